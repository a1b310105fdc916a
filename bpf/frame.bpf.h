/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * frame.bpf.h - what an Ethernet frame is: a datagram, a SYN, or nothing of ours
 */
#ifndef BPF_FRAME_BPF_H
#define BPF_FRAME_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <weir/wire.h>

#include "bucket.bpf.h"

#define ON_STACK	__attribute__((aligned(8)))	/* in a slot of its own */
#define PROTO_TCP	6
#define PROTO_UDP	17
#define TCP_BYTES	20
#define TCP_FLAGS_WORD	6
#define TCP_SYN		0x02
#define TCP_ACK		0x10
#define IP_FRAGMENT	0x3fff	/* more fragments, or an offset */

enum kind {
	OTHER,
	MALFORMED,
	FRAGMENT,
	TAGGED,
	SYN,
	DATAGRAM,
};

/* What a frame is. Members fill stack slots: see struct source. */
struct packet {
	__u64 from[2];
	__u64 to[2];
	__u64 family;
	__u64 proto;
	__u64 port;
	__u64 l4_at;		/* the transport header, from the frame's start */
	__u64 l4_bytes;		/* and what it and its data have */
};

static __always_inline enum kind read_ipv4(struct xdp_md *md, struct packet *p, __u64 bytes)
{
	struct iphdr *ip = (void *)(long)md->data + ETH_HLEN;
	__u64 head, total;

	if ((void *)(ip + 1) > (void *)(long)md->data_end)
		return MALFORMED;
	head = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || head < sizeof(*ip) || total < head || total > bytes - ETH_HLEN)
		return MALFORMED;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT))
		return FRAGMENT;
	p->from[0] = FIRST_HALF(ip->saddr);
	p->to[0] = FIRST_HALF(ip->daddr);
	p->family = WEIR_FAMILY_INET;
	p->proto = ip->protocol;
	p->l4_at = ETH_HLEN + head;
	p->l4_bytes = total - head;
	return OTHER;
}

static __always_inline enum kind read_ipv6(struct xdp_md *md, struct packet *p, __u64 bytes)
{
	struct ipv6hdr *ip = (void *)(long)md->data + ETH_HLEN;
	__u64 payload;

	if ((void *)(ip + 1) > (void *)(long)md->data_end)
		return MALFORMED;
	payload = bpf_ntohs(ip->payload_len);
	if (ip->version != 6 || payload > bytes - ETH_HLEN - sizeof(*ip))
		return MALFORMED;
	__builtin_memcpy(p->from, &ip->saddr, 16);
	__builtin_memcpy(p->to, &ip->daddr, 16);
	p->family = WEIR_FAMILY_INET6;
	p->proto = ip->nexthdr;		/* extension headers pass */
	p->l4_at = ETH_HLEN + sizeof(*ip);
	p->l4_bytes = payload;
	return OTHER;
}

/*
 * By copying: without CAP_PERFMON a pointer into a frame moves by constants alone,
 * and the header before may have options.
 */
static __always_inline enum kind read_udp(struct xdp_md *md, struct packet *p)
{
	struct udphdr udp ON_STACK;

	if (p->l4_bytes < sizeof(udp) || bpf_xdp_load_bytes(md, p->l4_at, &udp, sizeof(udp)))
		return MALFORMED;
	if (bpf_ntohs(udp.len) < sizeof(udp) || bpf_ntohs(udp.len) > p->l4_bytes)
		return MALFORMED;
	p->port = bpf_ntohs(udp.dest);
	return DATAGRAM;
}

static __always_inline enum kind read_tcp(struct xdp_md *md, struct packet *p)
{
	__be16 tcp[8] ON_STACK;		/* ports, sequence numbers, flags, window */

	if (p->l4_bytes < TCP_BYTES || bpf_xdp_load_bytes(md, p->l4_at, tcp, sizeof(tcp)))
		return MALFORMED;
	if ((bpf_ntohs(tcp[TCP_FLAGS_WORD]) & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return OTHER;
	p->port = bpf_ntohs(tcp[1]);
	return SYN;
}

#endif /* BPF_FRAME_BPF_H */
