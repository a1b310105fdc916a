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
#define SO_RCVBUF		8
#define SO_MAX_PACING_RATE	47
#define SOL_TCP			6
#define TCP_WINDOW_CLAMP	10

/* What a held socket had before; 0: not touched. */
struct before {
	__u64 pace;
	__u64 clamp;
	__u64 rcvbuf;
	__u64 asked;		/* to be called before each packet: it was not before */
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct before);
} weir_hold SEC(".maps");

/* 0: not to be had. */
static __always_inline __u32 option_get(struct bpf_sock_ops *ops, int level, int name)
{
	__u32 value ON_STACK = 0;

	return bpf_getsockopt(ops, level, name, &value, sizeof(value)) ? 0 : value;
}

static __always_inline void option_set(struct bpf_sock_ops *ops, int level, int name, __u32 to)
{
	__u32 value ON_STACK = to;

	bpf_setsockopt(ops, level, name, &value, sizeof(value));
}

static __always_inline void clamp_lower(struct bpf_sock_ops *ops, __u32 to)
{
	if (option_get(ops, SOL_TCP, TCP_WINDOW_CLAMP) > to)
		option_set(ops, SOL_TCP, TCP_WINDOW_CLAMP, to);
}

/*
 * When the kernel widens the receive buffer it sets the clamp to what fits into it.
 * Before each packet it asks how much room for options is wanted, and then fills in
 * the window: in time to lower the clamp again.
 */
static __always_inline void hold_clamp(struct bpf_sock_ops *ops, struct before *before, __u32 to)
{
	if (!before->clamp) {
		before->clamp = option_get(ops, SOL_TCP, TCP_WINDOW_CLAMP);
		before->rcvbuf = option_get(ops, SOL_SOCKET, SO_RCVBUF);
	}
	clamp_lower(ops, to);
	if (ops->bpf_sock_ops_cb_flags & BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG)
		return;
	before->asked = 1;
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags |
				  BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}

/* A buffer that was widened meanwhile is half window, as the kernel reckons at first. */
static __always_inline void release_clamp(struct bpf_sock_ops *ops, const struct before *before)
{
	__u64 rcvbuf = option_get(ops, SOL_SOCKET, SO_RCVBUF);
	__u64 clamp = before->clamp;

	if (rcvbuf != before->rcvbuf && rcvbuf / 2 > clamp)
		clamp = rcvbuf / 2;
	option_set(ops, SOL_TCP, TCP_WINDOW_CLAMP, clamp);
	if (before->asked)
		bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags &
					  ~BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}

/* A packet is about to leave: of whose socket is not known. */
static __noinline int hold_again(struct bpf_sock_ops *ops)
{
	struct weir_cfg *cfg = weir_cfg_get();
	struct bpf_sock *sk = ops->sk;
	struct before *before;

	if (!cfg || !sk || !cfg->clamp_bytes)
		return 0;
	before = bpf_sk_storage_get(&weir_hold, sk, NULL, 0);
	if (before && before->clamp)
		clamp_lower(ops, cfg->clamp_bytes);
	return 0;
}

/*
 * One whose row has lost that it is held, because user space wrote an older one over
 * it, is held already: what it had before is known, and what it has now is ours.
 */
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
	if (cfg->pace_bytes) {
		if (!before->pace)
			before->pace = option_get(ops, SOL_SOCKET, SO_MAX_PACING_RATE);
		option_set(ops, SOL_SOCKET, SO_MAX_PACING_RATE, cfg->pace_bytes);
	}
	if (cfg->clamp_bytes)
		hold_clamp(ops, before, cfg->clamp_bytes);
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
		option_set(ops, SOL_SOCKET, SO_MAX_PACING_RATE, before->pace);
	if (before->clamp)
		release_clamp(ops, before);
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
