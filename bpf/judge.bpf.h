/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * judge.bpf.h - how good a worker is for something new
 *
 * Every worker that serves has a key, and the least key is best: its load, and
 * above the load whether it should be passed over. So whoever is passed over is
 * still there when nobody better is, and nothing is ever left without a worker.
 *
 * Other processes may write anything into these maps at any time. Every index is
 * looked up, every time is taken as an age of bounded size, every loop ends with
 * the rows.
 */
#ifndef BPF_JUDGE_BPF_H
#define BPF_JUDGE_BPF_H

#include "weir.bpf.h"
#include "tick.bpf.h"

#define RETRIES		2	/* after a choice whose socket turned out unusable */
#define TICK_MAX_NS	10000000ULL	/* CONFIG_HZ of 100 */
#define RAMP_MAX_NS	(1ULL << 41)

/* What a worker's key says above its load. */
#define KEY_RAMP	(1ULL << 60)	/* it comes back: not its turn yet */
#define KEY_DRAIN	(2ULL << 60)	/* the operator wants nothing new there */
#define KEY_HUNG	(4ULL << 60)	/* no progress for stale_ns; below: the age */
#define KEY_OUT		(~0ULL)		/* does not serve, or its socket was refused */

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
	__u64 about_ns;		/* the time, but up to a tick ago; 0: likewise */
	__u64 stale_ns;
	__u64 ramp_ns;
	__u64 workers;		/* rows to look at; there may be fewer */
	__u64 weighted;
	__u64 random;		/* what is drawn next; of the flow's hash and the tick: no call */
	__u64 best_key;
	__u64 best;
	__u64 start;		/* where a scan begins, so that ties spread */
	__u64 weights;		/* sum of those met in this scan */
	__u64 lots;		/* keys left for those that win by weight */
	__u64 tried[RETRIES];	/* workers, plus 1, whose socket was refused */
};

static __always_inline void choice_init(struct choice *c, const struct weir_cfg *cfg, __u32 hash)
{
	__u64 ramp_ns = cfg->ramp_ns;
	__u32 workers = cfg->workers;

	c->stale_ns = cfg->stale_ns;
	c->ramp_ns = ramp_ns < RAMP_MAX_NS ? ramp_ns : RAMP_MAX_NS;
	c->workers = workers && workers < WEIR_WORKERS_MAX ? workers : WEIR_WORKERS_MAX;
	c->weighted = cfg->policy == WEIR_POLICY_WEIGHTED;
	/* The tick: a SYN that is sent again, since a queue was full, draws anew. */
	c->random = hash + (bpf_jiffies64() << 32);
}

static __always_inline __u64 choice_now(struct choice *c)
{
	if (!c->now)
		c->now = bpf_ktime_get_ns();
	return c->now;
}

static __always_inline __u64 choice_about(struct choice *c)
{
	if (!c->about_ns)
		c->about_ns = tick_ns(&c->now);
	return c->about_ns;
}

static __always_inline __u32 below(__u32 random, __u32 n)
{
	return ((__u64)random * n) >> 32;
}

static __always_inline __u32 random_below(struct choice *c, __u32 n)
{
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

/* The age, exact unless it is far below @limit. */
static __always_inline __u64 age(struct choice *c, __u64 ns, __u64 limit)
{
	__u64 about = age_of(ns, choice_about(c));

	return about + TICK_MAX_NS < limit ? about : age_of(ns, choice_now(c));
}

/*
 * Connections that wait for the worker. Progress since the last look makes them
 * younger; that none waited is stored by who adds the first (pending_add()).
 */
static __always_inline __u64 waiting_look(struct choice *c, struct weir_pending *pending,
					  __u64 accepted)
{
	__s64 waiting = pending->established - accepted - pending->unaccepted;

	if (waiting <= 0)
		return 0;
	if (accepted != pending->accepted_seen) {
		pending->accepted_seen = accepted;
		pending->since_ns = choice_now(c);
	}
	return waiting;
}

/*
 * PARKED is idle only while nothing has been waiting for it: a worker that was
 * stopped while parked says PARKED for ever. RUN is alive only while its turns
 * are short.
 */
static __always_inline __u64 progress_age(struct choice *c, const struct weir_worker_row *row,
					  const struct weir_pending *pending, __u64 waiting)
{
	__u64 rescued_ns = pending->rescued_ns;

	if (row->state == WEIR_RUN)
		return age(c, row->loop_ns, c->stale_ns);
	/* It has not run since its queue was moved: an empty one does not prove it idle. */
	if ((__s64)(row->loop_ns - rescued_ns) < 0 &&
	    age_of(rescued_ns, choice_now(c)) < pending->trial_ns)
		return age_of(row->loop_ns, choice_now(c));
	return waiting ? age(c, pending->since_ns, c->stale_ns) : 0;
}

/* A worker that came back is passed over, ever more seldom, until it is warm. */
static __always_inline bool ramping(struct choice *c, struct weir_pending *pending)
{
	__u64 out;

	if (!pending->out_ns)
		return false;
	out = age_of(pending->out_ns, choice_about(c));
	if (out < c->ramp_ns)
		return random_below(c, c->ramp_ns >> 10) >= out >> 10;
	pending->out_ns = 0;
	return false;
}

static __always_inline bool serves(const struct weir_worker_row *row)
{
	return row->state == WEIR_RUN || row->state == WEIR_PARKED;
}

/* For who was passed over: @stale because it hung, else because it does not serve. */
static __noinline void skipped(struct weir_pending *pending, __u32 of, bool stale, __u64 now)
{
	__u32 worker ON_STACK = of;
	struct weir_listener_row *count = bpf_map_lookup_elem(&weir_listener, &worker);

	pending->out_ns = now;
	if (!count)
		return;
	count->skip_stale += stale;
	count->skip_state += !stale;
}

static __always_inline bool tried(const struct choice *c, __u32 of)
{
	__u64 mark = of + 1ULL;

	return c->tried[0] == mark || c->tried[1] == mark;
}

/*
 * The key of a worker. Not static: the verifier looks at a global function once,
 * and at a static one wherever it is called.
 */
__noinline __u64 judge(struct choice *c, __u32 of)
{
	__u32 worker ON_STACK = of;
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);
	struct weir_pending *pending = bpf_map_lookup_elem(&weir_pending, &worker);
	struct weir_admin *admin = bpf_map_lookup_elem(&weir_admin, &worker);
	__u64 waiting, late, drain;

	if (!c || !row || !pending || !admin || tried(c, of))
		return KEY_OUT;
	if (!serves(row)) {
		skipped(pending, of, false, choice_about(c));
		return KEY_OUT;
	}
	waiting = waiting_look(c, pending, row->accepted);
	late = progress_age(c, row, pending, waiting);
	drain = admin->state == WEIR_ADMIN_DRAIN ? KEY_DRAIN : 0;
	/* Else the state is kept in four bytes of a slot, which takes CAP_PERFMON. */
	asm volatile("" : "+r"(drain));
	if (late > c->stale_ns) {
		skipped(pending, of, true, choice_about(c));
		return KEY_HUNG | drain | (late < KEY_RAMP ? late : KEY_RAMP - 1);
	}
	if (drain)
		skipped(pending, of, false, choice_about(c));
	else if (ramping(c, pending))
		drain = KEY_RAMP;
	return drain | load_key(row, waiting);
}

/*
 * The same for a worker that is idle and of which nothing more has to be known,
 * else KEY_OUT. Here neither the time is asked nor anything called.
 */
static __always_inline __u64 judge_idle(const struct choice *c, __u32 of)
{
	__u32 worker ON_STACK = of;
	const struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);
	const struct weir_pending *pending = bpf_map_lookup_elem(&weir_pending, &worker);
	const struct weir_admin *admin = bpf_map_lookup_elem(&weir_admin, &worker);

	if (!row || !pending || !admin || row->state != WEIR_PARKED || pending->out_ns ||
	    admin->state == WEIR_ADMIN_DRAIN || c->tried[0])
		return KEY_OUT;
	if ((__s64)(pending->established - row->accepted - pending->unaccepted) > 0 ||
	    (__s64)(row->loop_ns - pending->rescued_ns) < 0)
		return KEY_OUT;
	return load_key(row, 0);
}

#endif /* BPF_JUDGE_BPF_H */
