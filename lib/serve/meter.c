// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * meter.c - what a worker says about itself: its row, which the kernel reads on
 * every SYN, and its statistics
 *
 * The row is written by plain stores. The statistics are copied under a
 * sequence count, so that a reader never waits for the worker nor the worker
 * for a reader: odd while being written; a reader that saw it odd or changed
 * reads again.
 *
 * Queue delay. A worker cannot see when a completion was posted, only when its
 * wait returned. From there to the end of the turn is what the last event of
 * the turn waited for its handler and the handler took: an upper bound for the
 * delay of all events of the turn, and what a completion that arrives now has to
 * expect. The least of a window of 100 ms is published: a worker that now and
 * then has much to do, and catches up, is not slow. Nor does the first long turn
 * alone tell that: it may just have been interrupted, so that its window waits for
 * the next. One whose least is too much says SLOW, and OK again after two windows
 * of little. It says nothing while it is parked: who reads the row must take an old
 * SLOW for what it is.
 */
#include <sched.h>
#include <time.h>

#include "io/backend.h"
#include "serve/service.h"

#define CALM_WINDOWS	2
#define WINDOW_LEAST_US	1000U
#define PUBLISH_NS	(10 * NSEC_PER_MSEC)
#define CPU_NS		(10 * NSEC_PER_MSEC)

static uint64_t clock_read(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Release: who sees the state sees what was stored before it. */
static void state_set(struct worker *w, enum weir_worker_state state)
{
	__atomic_store_n(&w->row->state, state, __ATOMIC_RELEASE);
}

void meter_state(struct worker *w, enum weir_worker_state state)
{
	state_set(w, state);
}

static void row_set32(__u32 *field, uint32_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static void row_set64(__u64 *field, uint64_t value)
{
	__atomic_store_n(field, value, __ATOMIC_RELAXED);
}

/* What is in progress: not receives that wait for a client to speak, nor the accept. */
static uint32_t inflight(const struct worker *w)
{
	const struct io_group *group = &w->pool->group;
	uint32_t idle = group->armed + group->parked + !dgram_mode(w->service) + !!w->spare +
			w->signals.on + weir_op_busy(&w->unread.op);
	uint32_t used = w->loop->slots_used;

	return (used > idle ? used - idle : 0) + w->held.count;
}

static void row_update(struct worker *w)
{
	struct weir_worker_row *row = w->row;

	row_set32(&row->inflight, inflight(w));
	row_set32(&row->conns, w->conns);
	row_set64(&row->accepted, w->meter.base + w->meter.stats.accepted);
}

static void meter_parking(void *ctx)
{
	struct worker *w = ctx;

	if (w->ended)
		return;
	dgram_parking(w);
	row_update(w);
	meter_publish(w);
	if (!worker_stopping(w))
		state_set(w, WEIR_PARKED);
}

static void meter_running(void *ctx, uint64_t now_ns, unsigned int events)
{
	struct worker *w = ctx;

	if (w->ended)
		return;
	w->meter.turn_ns = now_ns;
	w->meter.turn_events = events ? events : 1;
	row_set64(&w->row->loop_ns, now_ns);
	row_set32(&w->row->cq_ready, events);
	if (!worker_stopping(w))
		state_set(w, WEIR_RUN);
}

static uint32_t to_us(uint64_t ns)
{
	return (uint32_t)min_u64(ns / NSEC_PER_USEC, UINT32_MAX);
}

/* Bucket i counts [2^(i-1), 2^i) us. */
static void hist_add(__u64 *buckets, uint64_t delay_us, uint64_t count)
{
	uint32_t i = delay_us ? 64 - (uint32_t)__builtin_clzll(delay_us) : 0;

	if (i >= WEIR_HIST_BUCKETS)
		i = WEIR_HIST_BUCKETS - 1;
	row_set64(&buckets[i], buckets[i] + count);
}

static void speed_tick(struct worker *w, uint32_t least_us)
{
	struct meter *m = &w->meter;
	enum weir_worker_speed speed = __atomic_load_n(&w->row->speed, __ATOMIC_RELAXED);

	m->calm = least_us < m->cfg->slow_off_us ? m->calm + 1 : 0;
	if (least_us > m->cfg->slow_on_us)
		speed = WEIR_SLOW;
	else if (m->calm >= CALM_WINDOWS)
		speed = WEIR_OK;
	/* Release: who sees it sees the delay that made it so. */
	__atomic_store_n(&w->row->speed, speed, __ATOMIC_RELEASE);
}

static void window_begin(struct meter *m, uint64_t now_ns)
{
	m->window_ns = now_ns;
	m->window_min_ns = UINT64_MAX;
	m->window_sum_ns = 0;
	m->window_events = 0;
	m->window_turns = 0;
}

static void window_tick(struct worker *w, uint64_t now_ns)
{
	struct meter *m = &w->meter;
	uint64_t delay = now_ns - m->turn_ns;
	uint32_t window_us = m->cfg->window_us, least_us;
	bool was_long = m->long_turn;

	m->long_turn = to_us(delay) > m->cfg->slow_on_us;
	m->window_min_ns = min_u64(m->window_min_ns, delay);
	m->window_sum_ns += delay * m->turn_events;
	m->window_events += m->turn_events;
	m->window_turns++;
	hist_add(m->hist->queue, delay / NSEC_PER_USEC, m->turn_events);
	/* Edited by hand it may be anything. */
	if (window_us < WINDOW_LEAST_US)
		window_us = WINDOW_LEAST_US;
	if (now_ns - m->window_ns < window_us * NSEC_PER_USEC)
		return;
	if (m->window_turns == 1 && m->long_turn && !was_long)
		return;
	least_us = to_us(m->window_min_ns);
	row_set32(&w->row->qdelay_us, least_us);
	row_set32(&w->row->wait_us, to_us(m->window_sum_ns / m->window_events));
	speed_tick(w, least_us);
	window_begin(m, now_ns);
}

/* After the events of a turn. */
void meter_tick(struct worker *w)
{
	uint64_t now_ns = w->loop->sys->now(w->loop);

	/* A simulated loop turns without a wait before its first one. */
	if (w->meter.turn_events)
		window_tick(w, now_ns);
	/* A busy worker never parks; it is to be seen all the same. */
	if (now_ns - w->meter.published_ns >= PUBLISH_NS) {
		row_update(w);
		meter_publish(w);
	}
}

static void stats_collect(struct worker *w, struct weir_service_stats *stats)
{
	struct weir_pool_stats pool;

	weir_loop_stats(w->loop, &stats->loop, sizeof(stats->loop));
	weir_pool_stats(w->pool, &pool, sizeof(pool));
	stats->buf_free = pool.free;
	stats->buf_count = pool.count;
	stats->conns = w->conns;
	if (w->meter.turn_ns - w->meter.cpu_read_ns >= CPU_NS || w->ended) {
		w->meter.cpu_read_ns = w->meter.turn_ns;
		stats->cpu_ns = clock_read(CLOCK_THREAD_CPUTIME_ID);
	}
}

void meter_publish(struct worker *w)
{
	struct meter *m = &w->meter;
	const uint64_t *from = (const uint64_t *)(const void *)&m->stats;
	uint32_t seq = atomic_load_explicit(&m->seq, memory_order_relaxed);
	size_t i;

	stats_collect(w, &m->stats);
	m->published_ns = m->turn_ns;
	atomic_store_explicit(&m->seq, seq + 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	for (i = 0; i < ARRAY_SIZE(m->words); i++)
		atomic_store_explicit(&m->words[i], from[i], memory_order_relaxed);
	atomic_store_explicit(&m->seq, seq + 2, memory_order_release);
}

void meter_read(const struct worker *w, struct weir_service_stats *stats)
{
	const struct meter *m = &w->meter;
	uint64_t *to = (uint64_t *)(void *)stats;
	uint32_t seq;
	size_t i;

	for (;;) {
		seq = atomic_load_explicit(&m->seq, memory_order_acquire);
		if (!(seq & 1)) {
			for (i = 0; i < ARRAY_SIZE(m->words); i++)
				to[i] = atomic_load_explicit(&m->words[i], memory_order_relaxed);
			atomic_thread_fence(memory_order_acquire);
			if (atomic_load_explicit(&m->seq, memory_order_relaxed) == seq)
				break;
		}
		sched_yield();
	}
	stats->state = __atomic_load_n(&w->row->state, __ATOMIC_ACQUIRE);
}

/* At once: what the kernel counts as waiting is its own count less this one. */
void meter_accepted(struct worker *w)
{
	row_set64(&w->row->accepted, w->meter.base + ++w->meter.stats.accepted);
}

static void hook_tick(void *ctx)
{
	worker_tick(ctx);
}

void meter_open(struct worker *w, struct weir_loop_hooks *hooks)
{
	struct weir_steering *st = w->service->steering;

	w->meter.cfg = st->ops->cfg(st);
	w->meter.hist = st->ops->hist(st, w->index);
	w->meter.base = w->row->accepted;
	window_begin(&w->meter, 0);
	hooks->parking = meter_parking;
	hooks->running = meter_running;
	hooks->tick = hook_tick;
	hooks->ctx = w;
}

/*
 * A predecessor who lives has counted on until now. What opening took is no delay
 * of anybody's.
 */
void meter_begin(struct worker *w)
{
	uint64_t now_ns = w->loop->sys->now(w->loop);

	w->meter.base = w->row->accepted;
	window_begin(&w->meter, now_ns);
	row_set64(&w->row->loop_ns, now_ns);
}
