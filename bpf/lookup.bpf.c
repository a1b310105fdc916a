// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * lookup.bpf.c - answer on networks and ranges of ports without a socket for each
 *
 * Runs when the kernel looks for the socket of a packet, before it looks at the
 * listeners there are. What is in weir_vip goes to the socket in weir_rep, which
 * is of the same reuseport group as those of the workers: the kernel then asks
 * weir_steer, or for datagrams weir_datagram, and that chooses the worker. A listener
 * that is in a sockmap loses zero-copy sends, and so do its children; the workers'
 * are not in one.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <weir/wire.h>

#include "meta.bpf.h"

#define EEXIST	17
#define ON_STACK	__attribute__((aligned(8)))	/* in a slot of its own */

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct weir_vip_key);
	__type(value, struct weir_vip);
} weir_vip SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, WEIR_REP_MAX);
	__type(key, __u32);
	__type(value, __u64);
} weir_rep SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_vip_stats);
} weir_vip_stats SEC(".maps");

/*
 * Two words as they lie in memory: without CAP_PERFMON the verifier of 6.1
 * refuses two values of four bytes in one stack slot.
 */
static __always_inline __u64 pair(__u32 first, __u32 second)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return first | (__u64)second << 32;
#else
	return second | (__u64)first << 32;
#endif
}

static __always_inline const struct weir_vip *vip_find(const struct bpf_sk_lookup *ctx)
{
	__u64 key[3];

	_Static_assert(sizeof(key) == sizeof(struct weir_vip_key), "the same bytes");
	if (ctx->family == WEIR_FAMILY_INET) {
		key[0] = pair(32 + 32, WEIR_FAMILY_INET);
		key[1] = pair(ctx->local_ip4, 0);
		key[2] = 0;
	} else {
		key[0] = pair(32 + 128, WEIR_FAMILY_INET6);
		key[1] = pair(ctx->local_ip6[0], ctx->local_ip6[1]);
		key[2] = pair(ctx->local_ip6[2], ctx->local_ip6[3]);
	}
	return bpf_map_lookup_elem(&weir_vip, key);
}

static __always_inline bool vip_has(const struct weir_vip *vip, __u32 proto, __u32 port)
{
	__u32 i;

	for (i = 0; i < WEIR_VIP_RANGES; i++) {
		const struct weir_vip_range *range = &vip->range[i];

		if (i >= vip->count)
			return false;
		if (range->proto == proto && range->first <= port && port <= range->last)
			return true;
	}
	return false;
}

static __always_inline struct bpf_sock *rep_at(__u64 place)
{
	__u32 key ON_STACK = place;

	return bpf_map_lookup_elem(&weir_rep, &key);
}

/* A socket of IPv6 may take IPv4 too: the kernel refuses one that does not. */
static __always_inline struct bpf_sock *rep_find(const struct bpf_sk_lookup *ctx)
{
	__u32 first = ctx->protocol == WEIR_PROTO_UDP ? WEIR_REP_UDP4 : WEIR_REP_TCP4;
	struct bpf_sock *rep = NULL;

	if (ctx->family == WEIR_FAMILY_INET)
		rep = rep_at(first);
	if (!rep)
		rep = rep_at(first + 1);
	if (!rep || ctx->protocol != WEIR_PROTO_UDP || rep->src_port == ctx->local_port)
		return rep;
	/* Answers to a datagram leave from the socket's own port: that must be this one. */
	bpf_sk_release(rep);
	return NULL;
}

static __always_inline struct weir_vip_stats *stats_get(void)
{
	__u32 zero ON_STACK = 0;

	return bpf_map_lookup_elem(&weir_vip_stats, &zero);
}

SEC("sk_lookup")
int weir_lookup(struct bpf_sk_lookup *ctx)
{
	const struct weir_vip *vip = vip_find(ctx);
	struct weir_vip_stats *count;
	struct bpf_sock *rep;
	long err;

	if (!vip || !vip_has(vip, ctx->protocol, ctx->local_port))
		return SK_PASS;
	count = stats_get();
	if (!count)
		return SK_PASS;
	rep = rep_find(ctx);
	if (!rep) {
		count->absent++;
		return SK_PASS;
	}
	err = bpf_sk_assign(ctx, rep, 0);
	bpf_sk_release(rep);
	if (!err)
		count->assigned++;
	else if (err == -EEXIST)
		count->taken++;
	else
		count->failed++;
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
