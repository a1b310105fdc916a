// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * iter.bpf.c - the flows as a text that can be read with cat(1)
 *
 * One line per connection, addresses last: their width cannot be set.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <weir/wire.h>

#include "meta.bpf.h"
#include "seq.bpf.h"

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
} KERNELS_OWN;

#define STATES	(WEIR_TCP_NEW_SYN_RECV + 1)

static const char states[STATES][16] = WEIR_TCP_STATE_NAMES;

static __always_inline void heading(struct seq_file *seq)
{
	BPF_SEQ_PRINTF(seq, "%20s %6s %-12s %10s %10s %6s %12s %12s ", "COOKIE", "WORKER", "STATE",
		       "SRTT_US", "MIN_US", "CWND", "RECEIVED", "ACKED");
	BPF_SEQ_PRINTF(seq, "%8s %10s %10s %5s LOCAL REMOTE\n", "RETRANS", "SENDQ", "RECVQ",
		       "EDGES");
}

SEC("iter/bpf_map_elem")
int weir_iter_flows(struct bpf_iter__bpf_map_elem *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	const struct weir_flow *flow = ctx->value;
	const __u64 *cookie = ctx->key;
	__u32 state;

	if (!ctx->meta->seq_num)
		heading(seq);
	if (!cookie || !flow)
		return 0;
	state = flow->state;
	if (state >= STATES)
		state = 0;
	BPF_SEQ_PRINTF(seq, "%20llu %6u %-12s %10u %10u %6u %12llu %12llu ", *cookie, flow->worker,
		       states[state], flow->srtt_us, flow->rtt_min_us, flow->cwnd,
		       flow->bytes_received, flow->bytes_acked);
	BPF_SEQ_PRINTF(seq, "%8u %10u %10u %5x ", flow->retrans, flow->sendq_bytes,
		       flow->recvq_bytes, flow->edges);
	if (flow->family == WEIR_FAMILY_INET6)
		BPF_SEQ_PRINTF(seq, "[%pI6]:%u [%pI6]:%u\n", flow->local_ip, flow->local_port,
			       flow->remote_ip, flow->remote_port);
	else
		BPF_SEQ_PRINTF(seq, "%pI4:%u %pI4:%u\n", flow->local_ip, flow->local_port,
			       flow->remote_ip, flow->remote_port);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
