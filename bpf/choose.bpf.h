/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * choose.bpf.h - the best worker for something new by the policy, and its socket
 */
#ifndef BPF_CHOOSE_BPF_H
#define BPF_CHOOSE_BPF_H

#include "judge.bpf.h"

#define CHUNK		8	/* rows that are looked at without a call in between */

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

/* Look at @count rows, CHUNK at most: @worker and every @step from there. */
__noinline int consider(struct choice *c, __u32 worker, __u32 step, __u32 count)
{
	__u64 key;
	__u32 i;

	if (!c)
		return 0;
	for (i = 0; i < CHUNK && i < count; i++) {
		key = judge_idle(c, worker);
		if (UNLIKELY(key == KEY_OUT))
			key = judge(c, worker);
		if (UNLIKELY(c->weighted) && key < KEY_RAMP)
			key = draw(c, worker);
		if (key < c->best_key) {
			c->best_key = key;
			c->best = worker;
		}
		worker += step;
		if (worker >= c->workers)
			worker -= c->workers;
	}
	return 0;
}

/* bpf_loop() hands on nothing but what is on its caller's own stack. */
static long scan_chunk(__u32 i, struct choice **cp)
{
	struct choice *c = *cp;
	__u32 before = i * CHUNK, worker = c->start + before;

	if (worker >= c->workers)
		worker -= c->workers;
	consider(c, worker, 1, c->workers - before);
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
	bpf_loop((c->workers + CHUNK - 1) / CHUNK, scan_chunk, &c, 0);
	return 0;
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

/* How many rows a policy looks at, when no better way is needed; 0: all. */
static __always_inline __u32 rows_of(const struct choice *c, const struct weir_cfg *cfg)
{
	if (cfg->policy == WEIR_POLICY_CPU)
		return 1;
	if (cfg->policy == WEIR_POLICY_P2C && c->workers > cfg->scan_max && c->workers > 1)
		return 2;
	return c->workers <= CHUNK ? c->workers : 0;
}

/* Two at random for p2c, else neighbours; true when these are all that there are. */
static __always_inline bool by_load(struct choice *c, const struct weir_cfg *cfg)
{
	__u32 count = rows_of(c, cfg), first, step = 1;

	if (cfg->policy == WEIR_POLICY_CPU) {
		first = bpf_get_smp_processor_id() % c->workers;
	} else {
		first = random_below(c, c->workers);
		if (cfg->policy == WEIR_POLICY_P2C && count == 2)
			step += random_below(c, c->workers - 1);
	}
	consider(c, first, step, count);
	return count == c->workers;
}

/*
 * Choose by the policy: c->best is the worker and c->best_key how good it is, or
 * WEIR_WORKER_NONE when none serves. A policy that is none is that of the least.
 */
static __always_inline void choose(struct choice *c, const struct weir_cfg *cfg, __u32 hash)
{
	bool all = false;

	forget(c);
	if (cfg->policy == WEIR_POLICY_HASH)
		hashed(c, hash);
	else
		all = by_load(c, cfg);
	if (UNLIKELY(c->best_key >= KEY_RAMP) && !all)
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

/* The socket of c->best was refused, or there is no best. */
static __noinline __u32 select_other(struct sk_reuseport_md *md, struct choice *c)
{
	__u32 i;

	for (i = 0; i < RETRIES && c->best != WEIR_WORKER_NONE; i++) {
		c->tried[i] = c->best + 1;
		scan(c);
		if (c->best != WEIR_WORKER_NONE && !try_select(md, c->best))
			return c->best;
	}
	c->best_key = KEY_OUT;
	return select_any(md);
}

/* Choose a worker and select its socket; WEIR_WORKER_NONE when there is no socket. */
static __always_inline __u32 select_worker(struct sk_reuseport_md *md, struct choice *c,
					   const struct weir_cfg *cfg, bool *fallback)
{
	__u32 worker;

	choose(c, cfg, md->hash);
	worker = c->best;
	if (UNLIKELY(worker == WEIR_WORKER_NONE) || UNLIKELY(try_select(md, worker)))
		worker = select_other(md, c);
	*fallback = c->best_key >= KEY_DRAIN;
	return worker;
}

#endif /* BPF_CHOOSE_BPF_H */
