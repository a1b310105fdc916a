/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * choose.bpf.h - the best worker for something new, and its socket
 *
 * Every worker that serves has a key, and the least key is best: its load, and
 * above the load whether it should be passed over. So whoever is passed over is
 * still there when nobody better is, and nothing is ever left without a worker.
 *
 * Other processes may write anything into these maps at any time. Every index is
 * looked up, every time is taken as an age of bounded size, every loop ends with
 * the rows.
 */
#ifndef BPF_CHOOSE_BPF_H
#define BPF_CHOOSE_BPF_H

#include "weir.bpf.h"

#define TRIES_MAX	3	/* choices whose socket may turn out unusable */
#define RAMP_MAX_NS	(1ULL << 41)

/* What a worker's key says above its load. */
#define KEY_RAMP	(1ULL << 60)	/* it comes back: not its turn yet */
#define KEY_DRAIN	(2ULL << 60)	/* the operator wants nothing new there */
#define KEY_HUNG	(4ULL << 60)	/* no progress for stale_ns; below: the age */
#define KEY_OUT		(~0ULL)		/* does not serve, or its socket was refused */

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

/*
 * State of one choice. All members fill a stack slot: without CAP_PERFMON the
 * verifier of 6.1 refuses two that share one.
 */
struct choice {
	__u64 now;		/* 0: nobody has asked yet */
	__u64 stale_ns;
	__u64 ramp_ns;
	__u64 workers;		/* rows to look at; there may be fewer */
	__u64 weighted;
	__u64 random;		/* 0: likewise */
	__u64 start;		/* where a scan begins, so that ties spread */
	__u64 best_key;
	__u64 best;
	__u64 weights;		/* sum of those met in this scan */
	__u64 lots;		/* keys left for those that win by weight */
	__u64 tried[TRIES_MAX];	/* workers, plus 1, whose socket was refused */
};

static __always_inline void choice_init(struct choice *c, const struct weir_cfg *cfg)
{
	__u64 ramp_ns = cfg->ramp_ns;
	__u32 workers = cfg->workers;

	c->stale_ns = cfg->stale_ns;
	c->ramp_ns = ramp_ns < RAMP_MAX_NS ? ramp_ns : RAMP_MAX_NS;
	c->workers = workers && workers < WEIR_WORKERS_MAX ? workers : WEIR_WORKERS_MAX;
	c->weighted = cfg->policy == WEIR_POLICY_WEIGHTED;
}

/* The clock and the random number cost what some policies can do without. */
static __always_inline __u64 choice_now(struct choice *c)
{
	if (!c->now)
		c->now = bpf_ktime_get_ns();
	return c->now;
}

static __always_inline __u32 below(__u32 random, __u32 n)
{
	return ((__u64)random * n) >> 32;
}

static __always_inline __u32 random_below(struct choice *c, __u32 n)
{
	if (!c->random)
		c->random = bpf_get_prandom_u32();
	c->random = c->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return below(c->random >> 32, n);
}

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

	if (load > 0xfffff)
		load = 0xfffff;
	if (delay_ms > 0xffff)
		delay_ms = 0xffff;
	if (conns > 0xffffff)
		conns = 0xffffff;
	return load << 40 | delay_ms << 24 | conns;
}

/* A time further ahead than a store can race is as wrong as one that far behind. */
static __always_inline __u64 age_of(__u64 ns, __u64 now)
{
	__s64 age = now - ns;

	return age < 0 ? -age : age;
}

/*
 * PARKED is idle only while nothing has been waiting for it: a worker that was
 * stopped while parked says PARKED for ever. RUN is alive only while its turns
 * are short.
 */
static __always_inline __u64 progress_age(const struct weir_worker_row *row,
					  const struct weir_pending *pending, __u64 waiting,
					  __u64 now)
{
	if (row->state == WEIR_RUN)
		return age_of(row->loop_ns, now);
	/* It has not run since its queue was moved: an empty one does not prove it idle. */
	if ((__s64)(row->loop_ns - pending->rescued_ns) < 0 &&
	    age_of(pending->rescued_ns, now) < pending->trial_ns)
		return age_of(row->loop_ns, now);
	return waiting ? age_of(pending->since_ns, now) : 0;
}

/* A worker that came back is passed over, ever more seldom, until it is warm. */
static __always_inline bool ramping(struct choice *c, const struct weir_pending *pending)
{
	__u64 age = c->now - pending->out_ns;

	return age < c->ramp_ns && random_below(c, c->ramp_ns >> 10) >= age >> 10;
}

static __always_inline bool serves(const struct weir_worker_row *row)
{
	return row->state == WEIR_RUN || row->state == WEIR_PARKED;
}

/* For who was passed over: @stale because it hung, else because it does not serve. */
static __always_inline void skipped(struct weir_pending *pending, __u32 *worker, bool stale,
				    __u64 now)
{
	struct weir_listener_row *count = bpf_map_lookup_elem(&weir_listener, worker);

	pending->out_ns = now;
	if (!count)
		return;
	count->skip_stale += stale;
	count->skip_state += !stale;
}

/* The key of a worker. */
static __always_inline __u64 judge(struct choice *c, __u32 of)
{
	__u32 worker ON_STACK = of;
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);
	struct weir_pending *pending = bpf_map_lookup_elem(&weir_pending, &worker);
	struct weir_admin *admin = bpf_map_lookup_elem(&weir_admin, &worker);
	__u64 waiting, age, drain;

	choice_now(c);
	if (!row || !pending || !admin)
		return KEY_OUT;
	if (c->tried[0] == of + 1ULL || c->tried[1] == of + 1ULL || c->tried[2] == of + 1ULL)
		return KEY_OUT;
	if (!serves(row)) {
		skipped(pending, &worker, false, c->now);
		return KEY_OUT;
	}
	waiting = pending_look(pending, row->accepted, c->now);
	age = progress_age(row, pending, waiting, c->now);
	drain = admin->state == WEIR_ADMIN_DRAIN ? KEY_DRAIN : 0;
	/* Else the state is kept in four bytes of a slot, which takes CAP_PERFMON. */
	asm volatile("" : "+r"(drain));
	if (age > c->stale_ns) {
		skipped(pending, &worker, true, c->now);
		return KEY_HUNG | drain | (age < KEY_RAMP ? age : KEY_RAMP - 1);
	}
	if (drain)
		skipped(pending, &worker, false, c->now);
	else if (ramping(c, pending))
		drain = KEY_RAMP;
	return drain | load_key(row, waiting);
}

/*
 * A lottery in which each ticket is drawn when its holder is met: whoever wins
 * takes the place of who won before, which happens with just the chance that
 * makes all shares those of the weights. A loser is better than who is passed over.
 */
static __always_inline __u64 draw(struct choice *c, __u32 of)
{
	__u32 worker ON_STACK = of;
	struct weir_admin *admin = bpf_map_lookup_elem(&weir_admin, &worker);
	__u32 weight = admin ? admin->weight : 0;

	if (weight > WEIR_WEIGHT_MAX)
		weight = WEIR_WEIGHT_MAX;
	c->weights += weight;
	if (random_below(c, c->weights) >= weight)
		return KEY_RAMP - 1;
	return --c->lots;
}

/*
 * Not static: the verifier looks at a global function once, and at a static one
 * wherever it is called.
 */
__noinline int consider(struct choice *c, __u32 worker)
{
	__u64 key;

	if (!c)
		return 0;
	key = judge(c, worker);
	if (c->weighted && key < KEY_RAMP)
		key = draw(c, worker);
	if (key < c->best_key) {
		c->best_key = key;
		c->best = worker;
	}
	return 0;
}

/* bpf_loop() hands on nothing but what is on its caller's own stack. */
static long scan_one(__u32 i, struct choice **cp)
{
	struct choice *c = *cp;
	__u32 worker = c->start + i;

	if (worker >= c->workers)
		worker -= c->workers;
	consider(c, worker);
	return 0;
}

static __always_inline void forget(struct choice *c)
{
	c->best = WEIR_WORKER_NONE;
	c->best_key = KEY_OUT;
	c->weights = 0;
	c->lots = WEIR_WORKERS_MAX;
}

/* The best of all. */
__noinline int scan(struct choice *c)
{
	if (!c)
		return 0;
	forget(c);
	c->start = random_below(c, c->workers);
	bpf_loop(c->workers, scan_one, &c, 0);
	return 0;
}

static __always_inline void two_choices(struct choice *c)
{
	__u32 one = random_below(c, c->workers);
	__u32 two = one + 1 + random_below(c, c->workers - 1);

	if (two >= c->workers)
		two -= c->workers;
	consider(c, one);
	consider(c, two);
}

/*
 * The hash looks at no load and excludes no hung worker: it is the policy the
 * others are compared with. It leaves out only those that do not serve.
 */
static __always_inline void hashed(struct choice *c, __u32 hash)
{
	__u32 worker ON_STACK = below(hash, c->workers);
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);
	struct weir_admin *admin = bpf_map_lookup_elem(&weir_admin, &worker);

	if (!row || !admin || !serves(row) || admin->state == WEIR_ADMIN_DRAIN)
		return;
	c->best = worker;
	c->best_key = 0;
}

/*
 * Choose by the policy: c->best is the worker and c->best_key how good it is, or
 * WEIR_WORKER_NONE when none serves. A policy that is none is that of the least.
 */
static __always_inline void choose(struct choice *c, const struct weir_cfg *cfg, __u32 hash)
{
	forget(c);
	if (cfg->policy == WEIR_POLICY_HASH)
		hashed(c, hash);
	else if (cfg->policy == WEIR_POLICY_CPU)
		consider(c, bpf_get_smp_processor_id() % c->workers);
	else if (cfg->policy == WEIR_POLICY_P2C && c->workers > cfg->scan_max && c->workers > 1)
		two_choices(c);
	if (c->best_key >= KEY_RAMP)
		scan(c);
}

/* A v6 socket also takes v4 packets: what counts is the socket's family. */
static __always_inline long try_select(struct sk_reuseport_md *md, __u32 of)
{
	struct weir_listener_row *count;
	__u32 worker ON_STACK = of;
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

/*
 * Whatever has a socket, in order: better than the kernel's hash over nobody. In a
 * stack frame of its own, where nothing takes the place of a pointer: that is
 * refused without CAP_PERFMON.
 */
static __noinline __u32 select_any(struct sk_reuseport_md *md)
{
	struct any any = { .md = md, .worker = WEIR_WORKER_NONE };

	bpf_loop(WEIR_WORKERS_MAX, any_one, &any, 0);
	return any.worker;
}

/* Choose a worker and select its socket; WEIR_WORKER_NONE when there is no socket. */
static __always_inline __u32 select_worker(struct sk_reuseport_md *md, struct choice *c,
					   const struct weir_cfg *cfg, bool *fallback)
{
	__u32 i;

	choose(c, cfg, md->hash);
#pragma unroll
	for (i = 0; i < TRIES_MAX; i++) {
		*fallback = c->best_key >= KEY_DRAIN;
		if (c->best == WEIR_WORKER_NONE)
			break;
		if (!try_select(md, c->best))
			return c->best;
		c->tried[i] = c->best + 1;
		scan(c);
	}
	*fallback = true;
	return select_any(md);
}

#endif /* BPF_CHOOSE_BPF_H */
