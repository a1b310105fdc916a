// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * steer.bpf.c - choose the worker of a new connection
 *
 * Runs on the SYN (and, with syncookies, again on the ACK), and when the queue
 * of a listener that closes is moved elsewhere. Always chooses: a pass without a
 * choice would fall back to the kernel's hash over all sockets of the group,
 * hung ones included. Never drops: a drop during migration resets a connection
 * that the client believes established.
 */
#include "weir.bpf.h"

#define TRIES_MAX	3	/* choices whose socket may turn out unusable */
#define KEY_WORST	(~0ULL)

struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} weir_socks SEC(".maps");

/* IPv6 listeners are a group of their own; one sockarray cannot serve both. */
struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} weir_socks6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_listener_row);
} weir_listener SEC(".maps");

/* Not read here: the workers' delays, for other processes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_hist);
} weir_hist SEC(".maps");

/* Not read here: it tells other processes whose maps these are. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_meta);
} weir_meta SEC(".maps");

enum verdict {
	USABLE,
	HUNG,		/* serving, but without progress for stale_ns */
	OUT,		/* not serving, or already tried */
};

/*
 * State of one choice. The key of a worker is its load: the least is best. All
 * members fill a stack slot: without CAP_PERFMON the verifier of 6.1 refuses
 * two that share one.
 */
struct choice {
	__u64 now;
	__u64 stale_ns;
	__u64 tried;		/* bit per worker whose socket was refused */
	__u64 best_key;
	__u64 hung_key;
	__u64 cookie;		/* worker_of(): the listener looked for */
	__u64 workers;
	__u64 start;		/* where a scan begins, so that ties spread */
	__u64 best;
	__u64 hung;		/* the hung one that ran last */
};

/*
 * Requests in progress and connections waiting count first; queueing delay
 * breaks ties in steps of a millisecond (below that it is noise), open
 * connections break the rest.
 */
static __always_inline __u64 load_key(const struct weir_worker_row *row, __u64 waiting)
{
	__u64 load = row->inflight + waiting;
	__u64 delay_ms = row->qdelay_us >> 10;
	__u64 conns = row->conns;

	if (load > 0xffffff)
		load = 0xffffff;
	if (delay_ms > 0xffff)
		delay_ms = 0xffff;
	if (conns > 0xffffff)
		conns = 0xffffff;
	return load << 40 | delay_ms << 24 | conns;
}

/*
 * PARKED is idle only while nothing has been waiting for it: a worker that was
 * stopped while parked says PARKED for ever. RUN is alive only while its turns
 * are short.
 */
static __noinline int judge(struct choice *c, __u32 worker, __u64 *key)
{
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);
	struct weir_pending *pending = bpf_map_lookup_elem(&weir_pending, &worker);
	struct weir_listener_row *count = bpf_map_lookup_elem(&weir_listener, &worker);
	__u64 waiting;
	__s64 age;

	*key = KEY_WORST;
	if (!row || !pending || !count)
		return OUT;
	if (c->tried & 1ULL << (worker & (WEIR_WORKERS_MAX - 1)))
		return OUT;
	if (row->state != WEIR_RUN && row->state != WEIR_PARKED) {
		count->skip_state++;
		return OUT;
	}
	waiting = pending_look(pending, row->accepted, c->now);
	if (row->state == WEIR_RUN)
		age = c->now - row->loop_ns;
	else
		age = waiting ? c->now - pending->since_ns : 0;
	if (age > (__s64)c->stale_ns) {
		count->skip_stale++;
		*key = age;
		return HUNG;
	}
	*key = load_key(row, waiting);
	return USABLE;
}

static __noinline int consider(struct choice *c, __u32 worker)
{
	__u64 key = KEY_WORST;
	int verdict = judge(c, worker, &key);

	if (verdict == USABLE && key < c->best_key) {
		c->best_key = key;
		c->best = worker;
	} else if (verdict == HUNG && key < c->hung_key) {
		c->hung_key = key;
		c->hung = worker;
	}
	return 0;
}

static long scan_one(__u32 i, struct choice *c)
{
	__u32 worker = c->start + i;

	if (worker >= c->workers)
		worker -= c->workers;
	consider(c, worker);
	return 0;
}

static __always_inline void forget(struct choice *c)
{
	c->best = WEIR_WORKER_NONE;
	c->hung = WEIR_WORKER_NONE;
	c->best_key = KEY_WORST;
	c->hung_key = KEY_WORST;
}

static __always_inline __u32 below(__u32 random, __u32 n)
{
	return ((__u64)random * n) >> 32;
}

/* Least loaded of all; none usable: the hung one that ran last. */
static __always_inline void scan(struct choice *c)
{
	forget(c);
	c->start = below(bpf_get_prandom_u32(), c->workers);
	bpf_loop(c->workers, scan_one, c, 0);
}

static __always_inline void two_choices(struct choice *c)
{
	__u32 one = below(bpf_get_prandom_u32(), c->workers);
	__u32 two = one + 1 + below(bpf_get_prandom_u32(), c->workers - 1);

	if (two >= c->workers)
		two -= c->workers;
	forget(c);
	consider(c, one);
	consider(c, two);
	if (c->best == WEIR_WORKER_NONE)
		scan(c);
}

/*
 * The hash looks at no load and excludes no hung worker: it is the policy the
 * others are compared with. It leaves out only those that do not serve.
 */
static __always_inline void hashed(struct choice *c, __u32 hash)
{
	__u32 worker = below(hash, c->workers);
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);

	forget(c);
	if (row && (row->state == WEIR_RUN || row->state == WEIR_PARKED))
		c->best = worker;
	else
		scan(c);
}

static __always_inline void choose(struct choice *c, const struct weir_cfg *cfg, __u32 hash)
{
	if (cfg->policy == WEIR_POLICY_HASH)
		hashed(c, hash);
	else if (cfg->policy == WEIR_POLICY_P2C && c->workers > cfg->scan_max && c->workers > 1)
		two_choices(c);
	else
		scan(c);
}

/* A v6 socket also takes v4 packets: what counts is the socket's family. */
static __always_inline long try_select(struct sk_reuseport_md *md, __u32 worker)
{
	struct weir_listener_row *count;
	long err;

	if (md->sk->family == WEIR_FAMILY_INET6)
		err = bpf_sk_select_reuseport(md, &weir_socks6, &worker, 0);
	else
		err = bpf_sk_select_reuseport(md, &weir_socks, &worker, 0);
	if (!err)
		return 0;
	count = bpf_map_lookup_elem(&weir_listener, &worker);
	if (count)
		count->select_err++;
	return err;
}

struct any {
	struct sk_reuseport_md *md;
	__u64 worker;
};

static long any_one(__u32 worker, struct any *any)
{
	if (try_select(any->md, worker))
		return 0;
	any->worker = worker;
	return 1;
}

/* Whatever has a socket, in order: better than the kernel's hash over nobody. */
static __always_inline __u32 select_any(struct sk_reuseport_md *md, __u32 workers)
{
	struct any any = { .md = md, .worker = WEIR_WORKER_NONE };

	bpf_loop(workers, any_one, &any, 0);
	return any.worker;
}

static __always_inline __u32 select_worker(struct sk_reuseport_md *md, struct choice *c,
					   const struct weir_cfg *cfg, bool *fallback)
{
	__u32 worker, i;

	choose(c, cfg, md->hash);
	/* The verifier of 6.1 takes the same bpf_loop() met twice for endless. */
#pragma unroll
	for (i = 0; i < TRIES_MAX; i++) {
		*fallback = c->best == WEIR_WORKER_NONE;
		worker = *fallback ? c->hung : c->best;
		if (worker == WEIR_WORKER_NONE)
			break;
		if (!try_select(md, worker))
			return worker;
		c->tried |= 1ULL << (worker & (WEIR_WORKERS_MAX - 1));
		scan(c);
	}
	*fallback = true;
	return select_any(md, c->workers);
}

static long match_cookie(__u32 worker, struct choice *c)
{
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);

	if (!row || row->cookie != c->cookie)
		return 0;
	c->best = worker;
	return 1;
}

/* The worker whose listener this is, or WEIR_WORKER_NONE. */
static __always_inline __u32 worker_of(struct choice *c, __u64 cookie)
{
	forget(c);
	c->cookie = cookie;
	bpf_loop(c->workers, match_cookie, c, 0);
	return c->best;
}

/*
 * For whom a connection was counted. Its flow tells; one without a flow (the map
 * was full) was counted all the same, for the worker of the listener it waits
 * in. A request that is not established yet was never counted.
 */
static __always_inline __u32 counted_for(struct sk_reuseport_md *md, struct bpf_sock *child,
					 struct choice *c, const struct weir_cfg *cfg,
					 const struct weir_flow *flow)
{
	if (flow)
		return flow->worker;
	if (!(cfg->flags & WEIR_CFG_PENDING))
		return WEIR_WORKER_NONE;
	if (child->state == WEIR_TCP_NEW_SYN_RECV || child->state == WEIR_TCP_SYN_RECV)
		return WEIR_WORKER_NONE;
	return worker_of(c, bpf_get_socket_cookie(md->sk));
}

/* A connection goes from one listener's queue to another's: so does its count. */
static __always_inline void moved(struct sk_reuseport_md *md, struct bpf_sock *child,
				  struct choice *c, const struct weir_cfg *cfg, __u32 to)
{
	__u64 cookie = bpf_get_socket_cookie(child);
	struct weir_flow *flow = bpf_map_lookup_elem(&weir_flow, &cookie);
	__u32 from = counted_for(md, child, c, cfg, flow);
	struct weir_pending *pending = bpf_map_lookup_elem(&weir_pending, &from);

	if (flow)
		flow->worker = to;
	if (!pending || from == to)
		return;
	__sync_fetch_and_add(&pending->established, -1);
	pending_add(to, c->now);
}

SEC("sk_reuseport/migrate")
int weir_steer(struct sk_reuseport_md *md)
{
	struct weir_cfg *cfg = weir_cfg_get();
	struct bpf_sock *child = md->migrating_sk;
	struct weir_listener_row *count;
	struct choice c = {};
	bool fallback = false;
	__u32 worker;

	if (!cfg || !cfg->workers || cfg->workers > WEIR_WORKERS_MAX)
		return SK_PASS;
	c.now = bpf_ktime_get_ns();
	c.stale_ns = cfg->stale_ns;
	c.workers = cfg->workers;
	worker = select_worker(md, &c, cfg, &fallback);
	count = bpf_map_lookup_elem(&weir_listener, &worker);
	if (!count)
		return SK_PASS;
	count->picked++;
	count->fallback += fallback;
	if (child) {
		count->migrated++;
		moved(md, child, &c, cfg, worker);
	}
	return SK_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
