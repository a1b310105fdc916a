// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * steer.bpf.c - choose the worker of a new connection
 *
 * Runs on the SYN (and, with syncookies, again on the ACK), and when the queue
 * of a listener that closes is moved elsewhere. Always chooses: a pass without a
 * choice would fall back to the kernel's hash over all sockets of the group,
 * hung ones included. Drops only a SYN: a drop during migration resets a
 * connection that the client believes established.
 */
#include "choose.bpf.h"
#include "admit.bpf.h"

/* Not read here: the workers' delays, for other processes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_hist);
} weir_hist SEC(".maps");

/* Not read here: it tells other processes whose maps these are. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_meta);
} weir_meta SEC(".maps");

struct wanted {
	__u64 cookie;
	__u64 worker;
};

static long match_cookie(__u32 worker, struct wanted *wanted)
{
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);

	if (!row)
		return 1;
	if (row->cookie != wanted->cookie)
		return 0;
	wanted->worker = worker;
	return 1;
}

/* The worker whose listener this is, also when cfg.workers leaves it out. */
static __always_inline __u32 worker_of(__u64 cookie)
{
	struct wanted wanted = { .cookie = cookie, .worker = WEIR_WORKER_NONE };

	bpf_loop(WEIR_WORKERS_MAX, match_cookie, &wanted, 0);
	return wanted.worker;
}

/*
 * For whom a connection was counted. Its flow tells; one without a flow (the map
 * was full) was counted all the same, for the worker of the listener it waits
 * in. A request that is not established yet was never counted.
 */
static __always_inline __u32 counted_for(struct sk_reuseport_md *md, struct bpf_sock *child,
					 const struct weir_cfg *cfg, const struct weir_flow *flow)
{
	if (flow)
		return flow->worker;
	if (!(cfg->flags & WEIR_CFG_PENDING))
		return WEIR_WORKER_NONE;
	if (child->state == WEIR_TCP_NEW_SYN_RECV || child->state == WEIR_TCP_SYN_RECV)
		return WEIR_WORKER_NONE;
	return worker_of(bpf_get_socket_cookie(md->sk));
}

/* A connection goes from one listener's queue to another's: so does its count. */
static __noinline void moved(struct sk_reuseport_md *md, const struct weir_cfg *cfg, __u32 to,
			     __u64 now)
{
	__u32 from ON_STACK;
	struct bpf_sock *child = md->migrating_sk;
	struct weir_pending *pending;
	struct weir_flow *flow;
	__u64 cookie;

	if (!child)
		return;
	cookie = bpf_get_socket_cookie(child);
	flow = bpf_map_lookup_elem(&weir_flow, &cookie);
	from = counted_for(md, child, cfg, flow);
	pending = bpf_map_lookup_elem(&weir_pending, &from);
	if (flow)
		flow->worker = to;
	if (!pending || from == to)
		return;
	__sync_fetch_and_add(&pending->established, -1);
	pending_add(to, now);
}

static __always_inline int steer(struct sk_reuseport_md *md, bool reads)
{
	__u32 worker ON_STACK;
	struct weir_cfg *cfg = weir_cfg_get();
	struct bpf_sock *child = md->migrating_sk;
	struct weir_listener_row *count;
	struct choice c = {};
	bool fallback = false;

	if (!cfg)
		return SK_PASS;
	choice_init(&c, cfg, md->hash);
	if (!child && !admit_syn(md, cfg, &c, reads))
		return SK_DROP;
	worker = select_worker(md, &c, cfg, &fallback);
	count = bpf_map_lookup_elem(&weir_listener, &worker);
	if (!count)
		return SK_PASS;
	count->picked++;
	count->fallback += fallback;
	if (UNLIKELY(child)) {
		count->migrated++;
		moved(md, cfg, worker, choice_now(&c));
	}
	return SK_PASS;
}

/* The loader takes one of the two: the second where the kernel's memory is closed. */
SEC("sk_reuseport/migrate")
int weir_steer(struct sk_reuseport_md *md)
{
	return steer(md, true);
}

SEC("sk_reuseport/migrate")
int weir_steer_l(struct sk_reuseport_md *md)
{
	return steer(md, false);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
