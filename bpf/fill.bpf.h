/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * fill.bpf.h - what a flow's row says of its connection
 */
#ifndef BPF_FILL_BPF_H
#define BPF_FILL_BPF_H

#include "kernels.bpf.h"
#include "weir.bpf.h"

/* The few kernel fields that the sockops context does not have. */
struct tcp_sock {
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 snd_una;
	__u32 write_seq;
} KERNELS_OWN;

static __always_inline void flow_fill(struct weir_flow *flow, struct bpf_sock_ops *ops, __u64 now)
{
	flow->updated_ns = now;
	flow->bytes_acked = ops->bytes_acked;
	flow->bytes_received = ops->bytes_received;
	flow->srtt_us = ops->srtt_us >> 3;	/* the kernel keeps eighths */
	flow->rtt_min_us = ops->rtt_min;
	flow->cwnd = ops->snd_cwnd;
	flow->mss_bytes = ops->mss_cache;
	flow->retrans = ops->total_retrans;
	flow->inflight = ops->packets_out + ops->retrans_out - ops->lost_out - ops->sacked_out;
	flow->lost = ops->lost_out;
}

/* Queue lengths are kernel memory: reading them takes CAP_PERFMON. */
static __always_inline void flow_fill_queues(struct weir_flow *flow, struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp)
		return;
	flow->sendq_bytes = tp->write_seq - tp->snd_una;
	flow->recvq_bytes = tp->rcv_nxt - tp->copied_seq;
}

/*
 * The barrier ends one branch and not the other: clang would merge their tails
 * and compute the address of a context member, which the verifier refuses.
 */
static __always_inline void flow_address(struct weir_flow *flow, struct bpf_sock_ops *ops)
{
	flow->local_port = ops->local_port;
	flow->remote_port = __builtin_bswap32(ops->remote_port);
	if (ops->family == WEIR_FAMILY_INET) {
		flow->family = WEIR_FAMILY_INET;
		flow->local_ip[0] = ops->local_ip4;
		flow->remote_ip[0] = ops->remote_ip4;
		asm volatile("" ::: "memory");
		return;
	}
	flow->family = WEIR_FAMILY_INET6;
	flow->local_ip[0] = ops->local_ip6[0];
	flow->local_ip[1] = ops->local_ip6[1];
	flow->local_ip[2] = ops->local_ip6[2];
	flow->local_ip[3] = ops->local_ip6[3];
	flow->remote_ip[0] = ops->remote_ip6[0];
	flow->remote_ip[1] = ops->remote_ip6[1];
	flow->remote_ip[2] = ops->remote_ip6[2];
	flow->remote_ip[3] = ops->remote_ip6[3];
}

/*
 * The callback comes while the ACK is being worked on: the new srtt is not yet in
 * the socket, but an argument (since 6.10; before, it is one ACK behind).
 */
static __always_inline void flow_fill_srtt(struct weir_flow *flow, struct bpf_sock_ops *ops)
{
	__u32 srtt = ops->args[1];

	if (srtt)
		flow->srtt_us = srtt >> 3;
}

#endif /* BPF_FILL_BPF_H */
