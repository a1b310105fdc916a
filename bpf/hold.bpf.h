/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * hold.bpf.h - hold a connection back while an edge of it is on
 *
 * Only what weir_cfg asks for, by bpf_setsockopt(): pacing of what we send, a
 * clamp on the window that we offer. What was there before is kept in storage of
 * the socket and comes back with the end of the last edge.
 */
#ifndef BPF_HOLD_BPF_H
#define BPF_HOLD_BPF_H

#include "weir.bpf.h"

#define SOL_SOCKET		1
#define SO_MAX_PACING_RATE	47
#define SOL_TCP			6
#define TCP_WINDOW_CLAMP	10

/* What a held socket had before; 0: not touched. */
struct before {
	__u64 pace;
	__u64 clamp;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct before);
} weir_hold SEC(".maps");

/* Set an option and return what it was; 0: it could not be set. */
static __always_inline __u32 exchange(struct bpf_sock_ops *ops, int level, int name, __u32 value)
{
	__u32 was ON_STACK = 0, now ON_STACK = value;

	if (bpf_getsockopt(ops, level, name, &was, sizeof(was)) ||
	    bpf_setsockopt(ops, level, name, &now, sizeof(now)))
		return 0;
	return was;
}

static __noinline int hold(struct bpf_sock_ops *ops, struct weir_flow *flow)
{
	struct weir_cfg *cfg = weir_cfg_get();
	struct bpf_sock *sk = ops->sk;
	struct before *before;

	if (!cfg || !sk)
		return 0;
	before = bpf_sk_storage_get(&weir_hold, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!before)
		return 0;
	if (cfg->pace_bytes)
		before->pace = exchange(ops, SOL_SOCKET, SO_MAX_PACING_RATE, cfg->pace_bytes);
	if (cfg->clamp_bytes)
		before->clamp = exchange(ops, SOL_TCP, TCP_WINDOW_CLAMP, cfg->clamp_bytes);
	flow->edges |= WEIR_FLOW_HELD;
	return 0;
}

static __noinline int release(struct bpf_sock_ops *ops, struct weir_flow *flow)
{
	struct bpf_sock *sk = ops->sk;
	struct before *before;

	flow->edges &= ~WEIR_FLOW_HELD;
	if (!sk)
		return 0;
	before = bpf_sk_storage_get(&weir_hold, sk, NULL, 0);
	if (!before)
		return 0;
	if (before->pace)
		exchange(ops, SOL_SOCKET, SO_MAX_PACING_RATE, before->pace);
	if (before->clamp)
		exchange(ops, SOL_TCP, TCP_WINDOW_CLAMP, before->clamp);
	bpf_sk_storage_delete(&weir_hold, sk);
	return 0;
}

/* After the edges of a callback were told. */
static __always_inline void hold_look(struct bpf_sock_ops *ops, struct weir_flow *flow,
				      const struct weir_cfg *cfg)
{
	bool held = flow->edges & WEIR_FLOW_HELD;
	bool on = flow->edges & ~WEIR_FLOW_HELD;

	if (on && !held && (cfg->pace_bytes || cfg->clamp_bytes))
		hold(ops, flow);
	else if (held && !on)
		release(ops, flow);
}

#endif /* BPF_HOLD_BPF_H */
