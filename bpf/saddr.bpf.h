/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * saddr.bpf.h - the source address of a packet that sk_reuseport sees from its
 * transport header on
 *
 * A helper copies it from before that header, and takes as long as the rest of a
 * budget together. Who may read the kernel's memory (CAP_PERFMON, and the kernel
 * functions of 6.2) looks where it is instead: neither of the two is a call.
 */
#ifndef BPF_SADDR_BPF_H
#define BPF_SADDR_BPF_H

#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "kernels.bpf.h"

#define IP_SADDR		12	/* its offset */
#define IPV6_SADDR		8

/* The kernel's own, as far as they are used. */
struct sk_buff {
	unsigned char *head;
	__u16 network_header;
} KERNELS_OWN;

struct sk_reuseport_kern {
	struct sk_buff *skb;
} KERNELS_OWN;

struct iphdr {
	__be32 saddr;
} KERNELS_OWN;

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
} KERNELS_OWN;

struct ipv6hdr {
	struct in6_addr saddr;
} KERNELS_OWN;

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;
extern void *bpf_rdonly_cast(const void *at, __u32 type) __ksym __weak;

static __always_inline const void *net_header(struct sk_reuseport_md *md)
{
	const struct sk_reuseport_kern *kern = bpf_cast_to_kern_ctx(md);

	return kern->skb->head + kern->skb->network_header;
}

static __always_inline bool saddr4_read(struct sk_reuseport_md *md, __u64 ip[2], bool reads)
{
	const struct iphdr *ip4;

	if (!reads)
		return !bpf_skb_load_bytes_relative(md, IP_SADDR, ip, 4, BPF_HDR_START_NET);
	ip4 = bpf_rdonly_cast(net_header(md), bpf_core_type_id_kernel(struct iphdr));
	ip[0] = FIRST_HALF(ip4->saddr);
	return true;
}

static __always_inline bool saddr6_read(struct sk_reuseport_md *md, __u64 ip[2], bool reads)
{
	const struct ipv6hdr *ip6;
	const __be32 *words;

	if (!reads)
		return !bpf_skb_load_bytes_relative(md, IPV6_SADDR, ip, 16, BPF_HDR_START_NET);
	ip6 = bpf_rdonly_cast(net_header(md), bpf_core_type_id_kernel(struct ipv6hdr));
	words = ip6->saddr.in6_u.u6_addr32;
	ip[0] = FIRST_HALF(words[0]) | SECOND_HALF(words[1]);
	ip[1] = FIRST_HALF(words[2]) | SECOND_HALF(words[3]);
	return true;
}

#endif /* BPF_SADDR_BPF_H */
