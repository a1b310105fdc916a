// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * dgram.bpf.c - choose the worker of a datagram
 *
 * First the worker that a QUIC connection id names; then the worker that the flow
 * has, as long as it serves; else the flow is new, is let in or not, and gets a
 * worker by load, as a connection does. Flows stay where they are when others of
 * the group come and go, which the kernel's hash does not promise.
 *
 * What was given to a worker is counted as established, as connections are, and
 * the worker counts what it has taken: so choose.bpf.h tells a hung one.
 */
#include <bpf/bpf_endian.h>

#include "choose.bpf.h"
#include "admit.bpf.h"

#define IP_PAIR		12	/* offset of the source address, the other behind it */
#define IPV6_PAIR	8
#define UDP_BYTES	8
#define QUIC_LONG	0x80	/* of the first byte: no connection id of ours yet */
#define QUIC_BYTES_MAX	4
#define QUIC_OFFSET_MAX	1200
#define REFUSED		(WEIR_WORKER_NONE - 1)

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct weir_dgram_key);
	__type(value, struct weir_dgram_flow);
} weir_dgram SEC(".maps");

/*
 * struct weir_dgram_key in words of eight bytes: without CAP_PERFMON the verifier
 * of 6.1 refuses two members of four bytes in one stack slot.
 */
struct key {
	__u64 ip[2];
	__u64 own_ip[2];
	__u64 ports;
};

_Static_assert(sizeof(struct key) == sizeof(struct weir_dgram_key), "one key");

/* And its value. */
struct fresh {
	__u64 seen_ns;
	__u64 datagrams;
	__u64 who;
};

_Static_assert(sizeof(struct fresh) == sizeof(struct weir_dgram_flow), "one value");

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define PORTS(port, own)	((__u64)(port) << 48 | (__u64)(own) << 32)
#define WHO(worker, epoch)	((__u64)(worker) << 32 | (epoch))
#else
#define PORTS(port, own)	((__u64)(port) | (__u64)(own) << 16)
#define WHO(worker, epoch)	((__u64)(worker) | (__u64)(epoch) << 32)
#endif

static __always_inline bool key_read(struct sk_reuseport_md *md, struct key *key)
{
	__u16 ports[4] ON_STACK = {};
	__u64 pair = 0;

	key->ip[0] = 0;
	key->ip[1] = 0;
	key->own_ip[0] = 0;
	key->own_ip[1] = 0;
	if (bpf_skb_load_bytes(md, 0, ports, 4))
		return false;
	key->ports = PORTS(__builtin_bswap16(ports[0]), __builtin_bswap16(ports[1]));
	if (md->eth_protocol == __builtin_bswap16(ETHERTYPE_IPV6))
		return !bpf_skb_load_bytes_relative(md, IPV6_PAIR, key->ip, 32,
						    BPF_HDR_START_NET);
	if (md->eth_protocol != __builtin_bswap16(ETHERTYPE_IP) ||
	    bpf_skb_load_bytes_relative(md, IP_PAIR, &pair, 8, BPF_HDR_START_NET))
		return false;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	key->ip[0] = FIRST_HALF(pair >> 32);
	key->own_ip[0] = FIRST_HALF(pair & 0xffffffff);
#else
	key->ip[0] = pair & 0xffffffff;
	key->own_ip[0] = pair >> 32;
#endif
	return true;
}

/* How a worker stands to what it has already. */
enum standing {
	GONE,
	DRAINED,	/* serves, but the operator wants it to have nothing */
	STAYS,		/* also when it hangs: what a flow is about is there alone */
};

static __always_inline enum standing standing_of(__u32 of, __u32 *epoch)
{
	__u32 worker ON_STACK = of;
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);
	struct weir_admin *admin = bpf_map_lookup_elem(&weir_admin, &worker);

	if (!row || !admin || !serves(row))
		return GONE;
	*epoch = row->epoch;
	return admin->state == WEIR_ADMIN_DRAIN ? DRAINED : STAYS;
}

/* The worker that a short header names and whose socket is selected, or none. */
static __always_inline __u32 named(struct sk_reuseport_md *md, const struct weir_cfg *cfg)
{
	__u32 offset = cfg->quic_offset;
	__u32 bytes = cfg->quic_bytes;
	__u64 first = 0, word = 0;
	__u32 worker, epoch;

	if (!bytes || bytes > QUIC_BYTES_MAX || offset > QUIC_OFFSET_MAX ||
	    bpf_skb_load_bytes(md, UDP_BYTES, &first, 1) || *(__u8 *)&first >= QUIC_LONG)
		return WEIR_WORKER_NONE;
	/* Four bytes that end where the number does: what comes first lies in the header. */
	if (bpf_skb_load_bytes(md, UDP_BYTES + offset + bytes - QUIC_BYTES_MAX, &word, 4))
		return WEIR_WORKER_NONE;
	worker = bpf_ntohl(*(__u32 *)&word) & ~0U >> (32 - 8 * bytes);
	if (standing_of(worker, &epoch) == GONE || try_select(md, worker))
		return WEIR_WORKER_NONE;
	return worker;
}

/* No place in the table: at least the next one shall find the same. */
static __always_inline __u32 by_hash(struct sk_reuseport_md *md, struct choice *c, __u32 worker)
{
	forget(c);
	hashed(c, md->hash);
	if (c->best == WEIR_WORKER_NONE || try_select(md, c->best))
		return worker;
	return c->best;
}

/* Another processor may have met the same flow first. */
static __always_inline __u32 flow_add(struct sk_reuseport_md *md, struct choice *c,
				      struct weir_gate *gate, const struct key *key,
				      __u32 worker, __u32 epoch)
{
	struct fresh fresh = {
		.seen_ns = c->now, .datagrams = 1, .who = WHO(worker, epoch),
	};
	struct weir_dgram_flow *flow;

	if (!bpf_map_update_elem(&weir_dgram, key, &fresh, BPF_NOEXIST))
		return worker;
	flow = bpf_map_lookup_elem(&weir_dgram, key);
	if (flow && (flow->worker == worker || !try_select(md, flow->worker)))
		return flow->worker;
	gate->dgram_failed++;
	return by_hash(md, c, worker);
}

static __always_inline __u32 flow_keep(struct weir_dgram_flow *flow, struct weir_gate *gate,
				       __u64 now)
{
	gate->dgram_kept++;
	flow->seen_ns = now;
	flow->datagrams++;
	return flow->worker;
}

static __always_inline __u32 by_flow(struct sk_reuseport_md *md, const struct weir_cfg *cfg,
				     struct choice *c, struct weir_gate *gate, bool *fallback)
{
	enum standing standing = GONE;
	struct weir_dgram_flow *flow;
	__u32 worker, epoch = 0;
	struct key key;
	bool keyed;

	keyed = key_read(md, &key);
	flow = keyed ? bpf_map_lookup_elem(&weir_dgram, &key) : NULL;
	if (flow) {
		standing = standing_of(flow->worker, &epoch);
		if (epoch != flow->epoch)
			standing = GONE;
		if (standing == STAYS && !try_select(md, flow->worker))
			return flow_keep(flow, gate, c->now);
	} else if (!admit(md, cfg, c, false)) {
		return REFUSED;
	}
	worker = select_worker(md, c, cfg, fallback);
	/* Nobody who is better off than a drained one. */
	if (flow && *fallback && standing == DRAINED && !try_select(md, flow->worker))
		return flow_keep(flow, gate, c->now);
	if (worker == WEIR_WORKER_NONE)
		return worker;
	standing_of(worker, &epoch);
	if (flow) {
		gate->dgram_moved++;
		flow->seen_ns = c->now;
		flow->datagrams++;
		flow->worker = worker;
		flow->epoch = epoch;
		return worker;
	}
	if (keyed)
		return flow_add(md, c, gate, &key, worker, epoch);
	gate->dgram_failed++;
	return by_hash(md, c, worker);
}

/*
 * One more for the worker to take. That it took more than it was given means that
 * some came another way, or that it took for lost what was on its way to it.
 */
static __always_inline void given(__u32 of, __u64 now)
{
	__u32 worker ON_STACK = of;
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);
	struct weir_pending *pending = bpf_map_lookup_elem(&weir_pending, &worker);
	__u64 accepted;
	__s64 waiting;

	if (!row || !pending)
		return;
	accepted = row->accepted;
	waiting = pending->established - accepted - pending->unaccepted;
	if (waiting < 0)
		pending->unaccepted += waiting;
	pending_look(pending, accepted, now);
	__sync_fetch_and_add(&pending->established, 1);
}

SEC("sk_reuseport")
int weir_datagram(struct sk_reuseport_md *md)
{
	struct weir_cfg *cfg = weir_cfg_get();
	struct weir_gate *gate = gate_get();
	struct weir_listener_row *count;
	struct choice c = {};
	bool fallback = false;
	__u32 worker ON_STACK;

	if (!cfg || !gate)
		return SK_PASS;
	choice_init(&c, cfg, md->hash);
	choice_now(&c);
	worker = named(md, cfg);
	if (worker != WEIR_WORKER_NONE)
		gate->dgram_named++;
	else
		worker = by_flow(md, cfg, &c, gate, &fallback);
	if (worker == REFUSED)
		return SK_DROP;
	count = bpf_map_lookup_elem(&weir_listener, &worker);
	if (!count)
		return SK_PASS;
	count->picked++;
	count->fallback += fallback;
	given(worker, c.now);
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
