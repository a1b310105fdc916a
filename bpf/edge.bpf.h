/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * edge.bpf.h - edges of a flow: on above one mark, off below another
 */
#ifndef BPF_EDGE_BPF_H
#define BPF_EDGE_BPF_H

#include "event.bpf.h"

struct edge {
	__u64 cookie;
	__u64 value;
	__u64 limit;
};

static __always_inline enum weir_event_kind kind_of(__u32 bit)
{
	return bit == WEIR_FLOW_RTT ? WEIR_EV_RTT :
	       bit == WEIR_FLOW_RETRANS ? WEIR_EV_RETRANS :
	       bit == WEIR_FLOW_RTO ? WEIR_EV_RTO : WEIR_EV_SENDQ;
}

/* Turn an edge bit of a flow on or off; only changes come here. */
static __noinline int flow_toggle(struct weir_flow *flow, const struct edge *edge, __u32 bit)
{
	__u32 seq ON_STACK;
	struct weir_event *event;

	flow->edges ^= bit;
	event = event_new(&seq);
	if (!event)
		return 0;
	event->ns = bpf_ktime_get_ns();
	event->cookie = edge->cookie;
	event->value = edge->value;
	event->limit = edge->limit;
	event->kind = kind_of(bit);
	event->edge = flow->edges & bit ? WEIR_EDGE_ON : WEIR_EDGE_OFF;
	event->worker = flow->worker;
	event_send(event, seq, false);
	return 0;
}

static __always_inline void flow_edge(struct weir_flow *flow, __u64 cookie, __u32 bit, bool on,
				      __u64 value, __u64 limit)
{
	const struct edge edge = {
		.cookie = cookie,
		.value = value,
		.limit = limit,
	};

	if (!!(flow->edges & bit) != on)
		flow_toggle(flow, &edge, bit);
}

static __always_inline void rtt_edge(struct weir_flow *flow, const struct weir_cfg *cfg,
				     __u64 cookie)
{
	__u64 base = flow->rtt_min_us ? flow->rtt_min_us : 1;
	__u64 on, off;

	/* Most, and without a division. */
	if (!(flow->edges & WEIR_FLOW_RTT) && flow->srtt_us <= base + cfg->rtt_floor_us)
		return;
	on = base * cfg->rtt_on_permille / 1000;
	off = base * cfg->rtt_off_permille / 1000;
	if (on < base + cfg->rtt_floor_us)
		on = base + cfg->rtt_floor_us;
	if (off < base + cfg->rtt_floor_us / 2)
		off = base + cfg->rtt_floor_us / 2;
	if (flow->srtt_us > on)
		flow_edge(flow, cookie, WEIR_FLOW_RTT, true, flow->srtt_us, on);
	else if (flow->srtt_us < off)
		flow_edge(flow, cookie, WEIR_FLOW_RTT, false, flow->srtt_us, off);
}

static __always_inline void sendq_edge(struct weir_flow *flow, const struct weir_cfg *cfg,
				       __u64 cookie)
{
	__u64 bytes = flow->sendq_bytes;

	if (bytes > cfg->sendq_high_bytes)
		flow_edge(flow, cookie, WEIR_FLOW_SENDQ, true, bytes, cfg->sendq_high_bytes);
	else if (bytes < cfg->sendq_low_bytes)
		flow_edge(flow, cookie, WEIR_FLOW_SENDQ, false, bytes, cfg->sendq_low_bytes);
}

#endif /* BPF_EDGE_BPF_H */
