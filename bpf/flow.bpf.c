// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * flow.bpf.c - telemetry of a service's connections, and edges for its workers
 *
 * A sockops program on the service's cgroup. A connection is ours when its
 * listener carries weir_own of this instance, which a child inherits; ports and
 * addresses decide nothing, so other services, other instances and other
 * network namespaces are never touched. Flows end in four ways, because another
 * sockops program that runs after this one can overwrite the callback flags:
 * the STATE callback, the inet_sock_set_state tracepoint, the worker's own
 * close and an age sweep, the last two from user space.
 *
 * The RTT callback fires on ACKs: a peer that stops reading is invisible here.
 * That edge is raised by the worker's loop.
 */
#include "fill.bpf.h"
#include "tick.bpf.h"
#include "edge.bpf.h"
#include "hold.bpf.h"

#define CALLBACKS	(BPF_SOCK_OPS_RTO_CB_FLAG | BPF_SOCK_OPS_RETRANS_CB_FLAG |	\
			 BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTT_CB_FLAG)

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct weir_own);
} weir_own SEC(".maps");

static const struct weir_flow flow_zero;

static __noinline int flow_open(struct bpf_sock_ops *ops, __u32 worker, __u32 state, __u64 now)
{
	__u64 cookie = bpf_get_socket_cookie(ops);
	struct weir_stats *stats = stats_get();
	struct weir_flow *flow;
	long err;

	if (!stats)
		return 0;
	err = bpf_map_update_elem(&weir_flow, &cookie, &flow_zero, BPF_NOEXIST);
	/* No branch: clang would choose the address, which takes CAP_PERFMON. */
	stats->flow_failed += err != 0;
	stats->flow_opened += err == 0;
	flow = bpf_map_lookup_elem(&weir_flow, &cookie);
	if (!flow)
		return 0;
	flow->worker = worker;
	flow->state = state;
	flow->opened_ns = now;
	flow_fill(flow, ops, now);
	flow_address(flow, ops);
	return 0;
}

/* Flags are OR-ed to what others asked for on this socket. */
static __always_inline void established(struct bpf_sock_ops *ops, struct bpf_sock *sk, __u64 now)
{
	struct weir_own *own = bpf_sk_storage_get(&weir_own, sk, NULL, 0);

	if (!own)
		return;
	pending_add(own->worker, now);
	flow_open(ops, own->worker, WEIR_TCP_ESTABLISHED, now);
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | CALLBACKS);
}

/*
 * The age sweep took a live connection's row: unless it is closing, put it back. What
 * was held is still: it is let go when no edge is on.
 */
static __noinline int flow_reopen(struct bpf_sock_ops *ops, __u64 now)
{
	struct bpf_sock *sk = ops->sk;
	struct weir_flow *flow;
	struct weir_own *own;
	__u64 cookie;

	if (!sk || (ops->state != BPF_TCP_ESTABLISHED && ops->state != BPF_TCP_CLOSE_WAIT))
		return 0;
	own = bpf_sk_storage_get(&weir_own, sk, NULL, 0);
	if (!own)
		return 0;
	flow_open(ops, own->worker, ops->state, now);
	cookie = bpf_get_socket_cookie(ops);
	flow = bpf_map_lookup_elem(&weir_flow, &cookie);
	if (flow && bpf_sk_storage_get(&weir_hold, sk, NULL, 0))
		flow->edges = WEIR_FLOW_HELD;
	return 0;
}

/* The flow of a callback's socket, or NULL when it is not ours. */
static __always_inline struct weir_flow *flow_find(struct bpf_sock_ops *ops, __u64 *cookie)
{
	struct weir_flow *flow;

	*cookie = bpf_get_socket_cookie(ops);
	flow = bpf_map_lookup_elem(&weir_flow, cookie);
	if (!flow) {
		flow_reopen(ops, bpf_ktime_get_ns());
		flow = bpf_map_lookup_elem(&weir_flow, cookie);
	}
	return flow;
}

/*
 * Whether a flow was looked at within its period. By the time a tick ago that is
 * certain for one that was not; *@now is the time that is known in the end.
 */
static __always_inline bool looked_at(const struct weir_flow *flow, const struct weir_cfg *cfg,
				      __u64 *now)
{
	__s64 period_ns = cfg->flow_period_us * 1000ULL;
	__u64 exact = 0, about = tick_ns(&exact);

	*now = about;
	if ((__s64)(about - flow->updated_ns) >= period_ns)
		return false;
	*now = exact ? exact : bpf_ktime_get_ns();
	return (__s64)(*now - flow->updated_ns) < period_ns;
}

/* An ACK with a round trip: it ends a timeout, and a burst that has gone quiet. */
static __always_inline void acked(struct bpf_sock_ops *ops, struct bpf_sock *sk, bool queues)
{
	struct weir_cfg *cfg = weir_cfg_get();
	struct weir_flow *flow;
	__u64 cookie, now;

	flow = flow_find(ops, &cookie);
	/* While an edge is on every ACK counts: the one that ends it may be the last. */
	if (!flow || !cfg || (looked_at(flow, cfg, &now) && !flow->edges))
		return;
	flow_fill(flow, ops, now);
	flow_fill_srtt(flow, ops);
	flow_edge(flow, cookie, WEIR_FLOW_RTO, false, 0, 0);
	if (queues) {
		flow_fill_queues(flow, sk);
		sendq_edge(flow, cfg, cookie);
	}
	rtt_edge(flow, cfg, cookie);
	if ((__s64)(now - flow->rtx_last_ns) > (__s64)cfg->rtx_quiet_ns)
		flow_edge(flow, cookie, WEIR_FLOW_RETRANS, false, 0, cfg->rtx_burst);
	hold_look(ops, flow, cfg);
}

/*
 * args[1]: segments that are sent again now, args[2]: 0 unless it failed. They
 * are counted as on their way only after this.
 */
static __always_inline void retransmitted(struct bpf_sock_ops *ops, struct bpf_sock *sk,
					  bool queues, __u64 now)
{
	struct weir_cfg *cfg = weir_cfg_get();
	__u32 failed = ops->args[2];
	__u32 again = ops->args[1];
	struct weir_flow *flow;
	__u64 cookie;

	flow = flow_find(ops, &cookie);
	if (!flow || !cfg)
		return;
	if (now - flow->rtx_mark_ns > cfg->rtx_window_ns) {
		flow->rtx_mark_ns = now;
		flow->rtx_mark = flow->retrans;
	}
	flow_fill(flow, ops, now);
	if (!failed)
		flow->inflight += again;
	if (queues)
		flow_fill_queues(flow, sk);
	flow->rtx_last_ns = now;
	if (flow->retrans - flow->rtx_mark >= cfg->rtx_burst)
		flow_edge(flow, cookie, WEIR_FLOW_RETRANS, true,
			  flow->retrans - flow->rtx_mark, cfg->rtx_burst);
	hold_look(ops, flow, cfg);
}

/* args[0]: timeouts in a row so far. */
static __always_inline void timed_out(struct bpf_sock_ops *ops, __u64 now)
{
	struct weir_cfg *cfg = weir_cfg_get();
	__u32 before = ops->args[0];
	struct weir_flow *flow;
	__u64 cookie;

	flow = flow_find(ops, &cookie);
	if (!flow || !cfg)
		return;
	flow->rto++;
	flow_fill(flow, ops, now);
	flow_edge(flow, cookie, WEIR_FLOW_RTO, true, before + 1, 0);
	hold_look(ops, flow, cfg);
}

static __always_inline void flow_close(__u64 cookie)
{
	struct weir_stats *stats = stats_get();

	if (stats && !bpf_map_delete_elem(&weir_flow, &cookie))
		stats->flow_closed++;
}

static __always_inline void state_changed(struct bpf_sock_ops *ops, __u64 now)
{
	__u64 cookie = bpf_get_socket_cookie(ops);
	struct weir_flow *flow = bpf_map_lookup_elem(&weir_flow, &cookie);
	__u32 state = ops->args[1];

	if (!flow)
		return;
	flow->state = state;
	flow->updated_ns = now;
	if (state == BPF_TCP_CLOSE)
		flow_close(cookie);
}

static __always_inline int sockops(struct bpf_sock_ops *ops, bool queues)
{
	struct weir_stats *stats;
	struct bpf_sock *sk;
	__u64 now;

	if (ops->op == BPF_SOCK_OPS_HDR_OPT_LEN_CB) {
		hold_again(ops);
		return 1;
	}
	switch (ops->op) {
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
	case BPF_SOCK_OPS_RTT_CB:
	case BPF_SOCK_OPS_RETRANS_CB:
	case BPF_SOCK_OPS_RTO_CB:
	case BPF_SOCK_OPS_STATE_CB:
		break;
	default:
		return 1;
	}
	sk = ops->sk;
	stats = stats_get();
	if (!sk || !stats)
		return 1;
	stats->callbacks++;
	if (ops->op == BPF_SOCK_OPS_RTT_CB) {
		acked(ops, sk, queues);
		return 1;
	}
	now = bpf_ktime_get_ns();
	if (ops->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB)
		established(ops, sk, now);
	else if (ops->op == BPF_SOCK_OPS_RETRANS_CB)
		retransmitted(ops, sk, queues, now);
	else if (ops->op == BPF_SOCK_OPS_RTO_CB)
		timed_out(ops, now);
	else
		state_changed(ops, now);
	return 1;
}

/* The loader takes one of the two: this one where CAP_PERFMON is missing. */
SEC("sockops")
int weir_sockops(struct bpf_sock_ops *ops)
{
	return sockops(ops, false);
}

SEC("sockops")
int weir_sockops_q(struct bpf_sock_ops *ops)
{
	return sockops(ops, true);
}

/* Host-wide, so the first thing is to see whether the socket is ours. */
SEC("tp_btf/inet_sock_set_state")
int weir_tp_state(__u64 *args)
{
	void *sk = (void *)args[0];
	int state = args[2];

	if (state != BPF_TCP_CLOSE || !bpf_sk_storage_get(&weir_own, sk, NULL, 0))
		return 0;
	flow_close(bpf_get_socket_cookie(sk));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
