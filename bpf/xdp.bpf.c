// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * xdp.bpf.c - datagrams of the service to its workers' AF_XDP sockets
 *
 * Runs on every frame of one interface. What is not a datagram or a SYN for the
 * service on this host passes unchanged, and so does whatever looks odd: the kernel's
 * stack knows better. The kernel gives a frame only to a socket of the queue that it came
 * in on, so each queue has one worker, and the interface spreads flows over queues.
 * A worker that does not serve, or hangs, gets none: its datagrams pass too, and the
 * stack gives them to another one's socket.
 *
 * Before that, a budget of SYNs and of datagrams for each source network, as in
 * admit.bpf.h but before the stack has spent anything on them: what is beyond is
 * dropped without an answer. Off while the rates are 0.
 */
#include "bucket.bpf.h"
#include "frame.bpf.h"
#include "meta.bpf.h"
#include "rows.bpf.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} weir_xsks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_xdp_row);
} weir_xdp_row SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_xdp_cfg);
} weir_xdp_cfg SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct weir_xdp_port);
	__type(value, __u32);
} weir_xdp_port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_xdp_mac);
} weir_xdp_mac SEC(".maps");

/* The value is that of the round in which user space found it last. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct weir_xdp_addr);
	__type(value, __u32);
} weir_xdp_addr SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_xdp_stats);
} weir_xdp_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct weir_prefix);
	__type(value, struct weir_bucket);
} weir_xdp_syn SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct weir_prefix);
	__type(value, struct weir_bucket);
} weir_xdp_dgram SEC(".maps");

/* struct weir_xdp_port, likewise. */
struct port_key {
	__u64 ip[2];
	__u64 what;
};

_Static_assert(sizeof(struct port_key) == sizeof(struct weir_xdp_port), "one key");

/* struct weir_xdp_addr. */
struct addr_key {
	__u64 ip[2];
	__u64 family;
};

_Static_assert(sizeof(struct addr_key) == sizeof(struct weir_xdp_addr), "one key");

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define PORT_WHAT(port, proto, family)	((port) << 48 | (proto) << 40 | (family) << 32)
#else
#define PORT_WHAT(port, proto, family)	((port) | (proto) << 16 | (family) << 24)
#endif

/* Not for another host on the link: the stack would drop it. Also none to many. */
static __always_inline bool is_addressed(const struct ethhdr *eth)
{
	__u32 zero ON_STACK = 0;
	const struct weir_xdp_mac *own = bpf_map_lookup_elem(&weir_xdp_mac, &zero);
	const __u16 *is = (const __u16 *)own, *to = (const __u16 *)eth->h_dest;

	return own && is[0] == to[0] && is[1] == to[1] && is[2] == to[2];
}

static __always_inline enum kind read_frame(struct xdp_md *md, struct packet *p)
{
	struct ethhdr *eth = (void *)(long)md->data;
	__u64 bytes = bpf_xdp_get_buff_len(md);
	enum kind kind;

	if ((void *)(eth + 1) > (void *)(long)md->data_end)
		return MALFORMED;
	if (eth->h_proto == bpf_htons(ETH_P_8021Q) || eth->h_proto == bpf_htons(ETH_P_8021AD))
		return TAGGED;
	if (!is_addressed(eth))
		return OTHER;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		kind = read_ipv4(md, p, bytes);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		kind = read_ipv6(md, p, bytes);
	else
		return OTHER;
	if (kind == OTHER && p->proto == PROTO_UDP)
		return read_udp(md, p);
	if (kind == OTHER && p->proto == PROTO_TCP)
		return read_tcp(md, p);
	return kind;
}

/* To an address of this host: anything else it would forward, or drop. */
static __always_inline bool is_local(const struct packet *p)
{
	struct addr_key key = {
		.ip = { p->to[0], p->to[1] }, .family = FIRST_HALF(p->family),
	};

	return bpf_map_lookup_elem(&weir_xdp_addr, &key);
}

static __always_inline bool is_ours(const struct packet *p)
{
	struct port_key key = {
		.ip = { p->to[0], p->to[1] },
		.what = PORT_WHAT(p->port, p->proto, p->family),
	};

	if (bpf_map_lookup_elem(&weir_xdp_port, &key))
		return true;
	key.ip[0] = 0;
	key.ip[1] = 0;
	return bpf_map_lookup_elem(&weir_xdp_port, &key) && is_local(p);
}

/* the gate */

static __always_inline void source_of(const struct packet *p, const struct weir_cfg *cfg,
				      struct source *source)
{
	__u32 bits;

	if (p->family == WEIR_FAMILY_INET) {
		bits = cfg->prefix_bits4 < 32 ? cfg->prefix_bits4 : 32;
		source->bits = FIRST_HALF(bits);
		source->ip[0] = p->from[0] & mask_of(bits);
		source->ip[1] = 0;
		return;
	}
	bits = cfg->prefix_bits6 < 128 ? cfg->prefix_bits6 : 128;
	source->bits = FIRST_HALF(128 + bits);
	source->ip[0] = p->from[0] & mask_of(bits);
	source->ip[1] = p->from[1] & mask_of(bits > 64 ? bits - 64 : 0);
}

static __always_inline bool gate_admits(void *map, const struct packet *p,
					const struct weir_cfg *cfg, __u32 rate, __u32 burst,
					struct weir_xdp_stats *stats)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 full = (burst ? burst : 1) * MILLI;
	struct weir_bucket fresh = { .filled_ns = now, .tokens_milli = full };
	struct weir_bucket *bucket;
	struct source source;

	source_of(p, cfg, &source);
	bucket = bpf_map_lookup_elem(map, &source);
	if (!bucket) {
		bpf_map_update_elem(map, &source, &fresh, BPF_NOEXIST);
		bucket = bpf_map_lookup_elem(map, &source);
	}
	if (!bucket) {
		stats->prefix_failed++;
		return true;
	}
	if (bucket_take(bucket, rate, full, now))
		return true;
	__sync_fetch_and_add(&bucket->refused, 1);
	return false;
}

/* the worker */

/*
 * A worker that got a frame begins a turn, and says so in loop_ns. One whose
 * loop_ns has not moved for stale_ns, although frames came, may have taken the first
 * of them within the turn it was in, and slept since: it gets stale_ns more. After
 * that it hangs, until it moves.
 */
static __always_inline bool is_usable(const struct weir_worker_row *row,
				      struct weir_xdp_row *mine, __u64 stale_ns)
{
	__u64 now = bpf_ktime_get_ns();
	__u64 loop_ns = row->loop_ns;

	if (row->state != WEIR_RUN && row->state != WEIR_PARKED)
		return false;
	if (loop_ns != mine->loop_seen_ns || !mine->since_ns) {
		mine->loop_seen_ns = loop_ns;
		mine->since_ns = now;
		mine->probed = 0;
		return true;
	}
	if ((__s64)(now - mine->since_ns) <= (__s64)stale_ns)
		return true;
	if (mine->probed)
		return false;
	mine->probed = 1;
	mine->since_ns = now;
	return true;
}

static __always_inline int steer(struct xdp_md *md, const struct weir_xdp_cfg *own,
				 const struct weir_cfg *cfg, struct weir_xdp_stats *stats)
{
	__u32 worker ON_STACK = md->rx_queue_index - own->queue_first;
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);
	struct weir_xdp_row *mine = bpf_map_lookup_elem(&weir_xdp_row, &worker);

	if (!row || !mine)
		goto pass;
	if (!bpf_map_lookup_elem(&weir_xsks, &worker)) {
		mine->no_socket++;
		goto pass;
	}
	if (!is_usable(row, mine, cfg->stale_ns)) {
		mine->skipped++;
		goto pass;
	}
	mine->frames++;
	stats->taken++;
	return bpf_redirect_map(&weir_xsks, worker, XDP_PASS);

pass:
	stats->no_worker++;
	stats->passed++;
	return XDP_PASS;
}

static __always_inline int pass(struct weir_xdp_stats *stats, enum kind kind)
{
	stats->passed++;
	stats->malformed += kind == MALFORMED;
	stats->fragments += kind == FRAGMENT;
	stats->tagged += kind == TAGGED;
	return XDP_PASS;
}

SEC("xdp")
int weir_xdp(struct xdp_md *md)
{
	__u32 zero ON_STACK = 0;
	struct weir_xdp_stats *stats = bpf_map_lookup_elem(&weir_xdp_stats, &zero);
	struct weir_xdp_cfg *own = bpf_map_lookup_elem(&weir_xdp_cfg, &zero);
	struct weir_cfg *cfg = bpf_map_lookup_elem(&weir_cfg, &zero);
	struct packet p = {};
	enum kind kind;
	__u32 rate;

	if (!stats || !own || !cfg)
		return XDP_PASS;
	stats->frames++;
	kind = read_frame(md, &p);
	if ((kind != SYN && kind != DATAGRAM) || !is_ours(&p))
		return pass(stats, kind);
	if (kind == SYN) {
		stats->syns++;
		rate = own->syn_rate;
		if (!rate || gate_admits(&weir_xdp_syn, &p, cfg, rate, own->syn_burst, stats))
			return pass(stats, kind);
		stats->syns_refused++;
		return XDP_DROP;
	}
	stats->dgrams++;
	rate = own->dgram_rate;
	if (rate && !gate_admits(&weir_xdp_dgram, &p, cfg, rate, own->dgram_burst, stats)) {
		stats->dgrams_refused++;
		return XDP_DROP;
	}
	return steer(md, own, cfg, stats);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
