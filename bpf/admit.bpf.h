/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * admit.bpf.h - whether something new is let in
 *
 * First the budget of its source network, so that one source cannot use up the
 * admission of all; then the share that is shed while all workers are slow.
 * Only what is new is asked: never a connection that moves between listeners,
 * and with syncookies the SYN but not the ACK that comes back with the cookie.
 */
#ifndef BPF_ADMIT_BPF_H
#define BPF_ADMIT_BPF_H

#include "bucket.bpf.h"
#include "choose.bpf.h"
#include "saddr.bpf.h"

#define SHED_LIMIT_PERMILLE	990	/* some get in, whatever the maps say */

#define ETHERTYPE_IP		0x0800
#define ETHERTYPE_IPV6		0x86dd
#define TCP_FLAGS		13
#define TCP_SYN			0x02
#define TCP_ACK			0x10

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_gate);
} weir_gate SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct weir_prefix);
	__type(value, struct weir_bucket);
} weir_prefix SEC(".maps");

static __always_inline struct weir_gate *gate_get(void)
{
	__u32 zero ON_STACK = 0;

	return bpf_map_lookup_elem(&weir_gate, &zero);
}

/* The source network of a packet: false when it has none. */
static __always_inline bool source_read(struct sk_reuseport_md *md, const struct weir_cfg *cfg,
					struct source *source, bool reads)
{
	__u32 bits;

	source->ip[0] = 0;
	source->ip[1] = 0;
	if (md->eth_protocol == __builtin_bswap16(ETHERTYPE_IP)) {
		bits = cfg->prefix_bits4 < 32 ? cfg->prefix_bits4 : 32;
		source->bits = FIRST_HALF(bits);
		if (!saddr4_read(md, source->ip, reads))
			return false;
		source->ip[0] &= mask_of(bits);
		return true;
	}
	bits = cfg->prefix_bits6 < 128 ? cfg->prefix_bits6 : 128;
	source->bits = FIRST_HALF(128 + bits);
	if (md->eth_protocol != __builtin_bswap16(ETHERTYPE_IPV6) ||
	    !saddr6_read(md, source->ip, reads))
		return false;
	source->ip[0] &= mask_of(bits);
	source->ip[1] &= mask_of(bits > 64 ? bits - 64 : 0);
	return true;
}

/* The bucket of a prefix: the one there is, or a full one. */
static __always_inline struct weir_bucket *bucket_get(const struct source *source, __u64 full,
						      __u64 now)
{
	struct weir_bucket *bucket = bpf_map_lookup_elem(&weir_prefix, source);
	struct weir_bucket fresh = { .filled_ns = now, .tokens_milli = full };

	if (bucket)
		return bucket;
	bpf_map_update_elem(&weir_prefix, source, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&weir_prefix, source);
}

static __always_inline bool prefix_admits(struct sk_reuseport_md *md, const struct weir_cfg *cfg,
					  struct weir_gate *gate, __u32 rate, struct choice *c,
					  bool reads)
{
	__u64 burst = cfg->prefix_burst ? cfg->prefix_burst : 1;
	__u64 full = burst * MILLI;
	struct weir_bucket *bucket = NULL;
	struct source source;

	if (source_read(md, cfg, &source, reads))
		bucket = bucket_get(&source, full, choice_about(c));
	if (!bucket) {
		gate->prefix_failed++;
		return true;
	}
	/* Before it is refused, what the tick yielded up to now is counted too. */
	if (bucket_take(bucket, rate, full, choice_about(c)) ||
	    bucket_take(bucket, rate, full, choice_now(c)))
		return true;
	__sync_fetch_and_add(&bucket->refused, 1);
	return false;
}

/* Whether this one is of the share that is shed; drawn anew when it comes again. */
static __always_inline bool shed_one(const struct weir_cfg *cfg, __u32 permille, __u64 now)
{
	__u64 until_ns = cfg->shed_until_ns;

	if (permille > SHED_LIMIT_PERMILLE)
		permille = SHED_LIMIT_PERMILLE;
	/* Set by a supervisor that is there no more. */
	if (until_ns && (__s64)(now - until_ns) > 0)
		return false;
	return below(bpf_get_prandom_u32(), 1000) < permille;
}

/* Whether the budgets that are set let it in. */
static __always_inline bool budgets_ask(struct sk_reuseport_md *md, const struct weir_cfg *cfg,
					struct weir_gate *gate, struct choice *c, bool reads)
{
	__u32 rate = cfg->prefix_rate, permille = cfg->shed_permille;

	if (rate && !prefix_admits(md, cfg, gate, rate, c, reads)) {
		gate->shed_prefix++;
		return false;
	}
	if (permille && shed_one(cfg, permille, choice_about(c))) {
		gate->shed++;
		return false;
	}
	return true;
}

/* Of its own: with the rest it takes CAP_PERFMON to be verified. */
static __noinline bool budgets_admit(struct sk_reuseport_md *md, const struct weir_cfg *cfg,
				     struct weir_gate *gate, struct choice *c)
{
	return budgets_ask(md, cfg, gate, c, false);
}

/* Whether a new connection or a datagram of a new flow is let in; counts it. */
static __always_inline bool admit(struct sk_reuseport_md *md, const struct weir_cfg *cfg,
				  struct choice *c, bool reads)
{
	struct weir_gate *gate = gate_get();

	if (!gate)
		return true;
	gate->asked++;
	if (LIKELY(!(cfg->prefix_rate | cfg->shed_permille)))
		return true;
	return reads ? budgets_ask(md, cfg, gate, c, true) : budgets_admit(md, cfg, gate, c);
}

/* The same for TCP, where only a SYN asks. */
static __always_inline bool admit_syn(struct sk_reuseport_md *md, const struct weir_cfg *cfg,
				      struct choice *c, bool reads)
{
	const __u8 *tcp = md->data;

	if ((void *)tcp + TCP_FLAGS + 1 > md->data_end)
		return true;
	if ((tcp[TCP_FLAGS] & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return true;
	return admit(md, cfg, c, reads);
}

#endif /* BPF_ADMIT_BPF_H */
