// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* source.c - a producer that listens to the signals of its connection */
#include <errno.h>
#include <string.h>

#include "common.h"
#include "source.h"

#define TURN_CHUNKS	64	/* sent in one go; the rest of the loop must turn too */

/* splitmix64 (S. Vigna): word @index of the stream, at random access. */
static uint64_t word_at(uint64_t seed, uint64_t index)
{
	uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void source_fill(uint64_t seed, uint64_t offset, unsigned char *buf, uint32_t len)
{
	uint32_t skip, n;
	uint64_t word;

	while (len) {
		word = word_at(seed, offset / 8);
		skip = offset % 8;
		n = 8 - skip < len ? 8 - skip : len;
		memcpy(buf, (unsigned char *)&word + skip, n);
		buf += n;
		offset += n;
		len -= n;
	}
}

/* producing */

static bool may_produce(const struct source *s)
{
	return s->conn && !s->kinds && s->offset < s->total;
}

/* One chunk; false when it was not taken whole. */
static bool produce(struct source *s)
{
	uint64_t left = s->total - s->offset;
	uint32_t len = left < SOURCE_CHUNK ? (uint32_t)left : SOURCE_CHUNK;
	int taken;

	source_fill(s->seed, s->offset, s->chunk, len);
	taken = weir_conn_send(s->conn, s->chunk, len);
	if (taken < 0)
		return false;
	s->offset += (uint32_t)taken;
	atomic_store(&s->produced, s->offset);
	atomic_store(&s->queued, weir_conn_queued(s->conn));
	if (s->offset == s->total)
		weir_conn_close(s->conn);
	return (uint32_t)taken == len;
}

static void tick_arm(struct source *s, uint64_t due_ns);

static void tick(struct weir_op *op)
{
	struct source *s = op->ctx;
	bool more = true;
	int i;

	if (op->res < 0 || !s->conn)
		return;
	if (s->period_ns && may_produce(s)) {
		produce(s);
	} else if (!s->period_ns) {
		for (i = 0; i < TURN_CHUNKS && more && may_produce(s); i++)
			more = produce(s);
		/* Not taken whole: drain() goes on. Held: the end of the signal does. */
		if (!more || !may_produce(s))
			return;
	}
	if (s->offset < s->total)
		tick_arm(s, op->deadline_ns + s->period_ns);
}

static void tick_arm(struct source *s, uint64_t due_ns)
{
	weir_prep_timeout(&s->timer, due_ns, tick, s);
	weir_submit(weir_conn_loop(s->conn), &s->timer);
}

/* A bulk producer goes on as soon as there is room; a trickle has its own time. */
static void go_on(struct source *s)
{
	if (!s->period_ns && may_produce(s) && !weir_op_busy(&s->timer))
		tick_arm(s, now_ns());
}

/* signals */

static void pause_begins(struct source *s, const struct weir_event *signal)
{
	s->pause.start_ns = now_ns();
	s->pause.on = *signal;
	atomic_store(&s->paused, (unsigned int)signal->kind);
}

static void pause_ends(struct source *s, const struct weir_event *signal)
{
	s->pause.end_ns = now_ns();
	s->pause.off = *signal;
	atomic_store(&s->paused, 0);
	if (s->pause.end_ns - s->pause.start_ns > s->longest.end_ns - s->longest.start_ns)
		s->longest = s->pause;
}

static void source_pressure(struct weir_conn *conn, const struct weir_event *signal)
{
	struct source *s = weir_conn_service_ctx(conn);
	uint32_t bit = 1U << signal->kind, before = s->kinds;

	/*
	 * The worker's own edges come in pairs. One of the kernel's may be lost,
	 * and a pause whose end was lost lasts for ever: those are counted.
	 */
	if (signal->seq || (signal->kind != WEIR_EV_SENDQ && signal->kind != WEIR_EV_ZERO_WINDOW)) {
		atomic_fetch_add(&s->noted, 1);
		return;
	}
	if (signal->edge == WEIR_EDGE_ON) {
		atomic_fetch_add(&s->signals_on, 1);
		s->kinds |= bit;
		if (!before)
			pause_begins(s, signal);
		return;
	}
	atomic_fetch_add(&s->signals_off, 1);
	s->kinds &= ~bit;
	if (before && !s->kinds) {
		pause_ends(s, signal);
		go_on(s);
	}
}

/* the connection */

static int source_open(struct weir_conn *conn)
{
	struct source *s = weir_conn_service_ctx(conn);

	if (s->conn)
		return -EBUSY;		/* one client */
	s->conn = conn;
	tick_arm(s, now_ns() + s->period_ns);
	return 0;
}

/* The client sends nothing but its end. */
static void source_data(struct weir_conn *conn, struct weir_lease *lease)
{
	if (!lease)
		weir_conn_close(conn);
}

static void source_drain(struct weir_conn *conn)
{
	struct source *s = weir_conn_service_ctx(conn);

	atomic_store(&s->queued, weir_conn_queued(conn));
	go_on(s);
}

static void source_close(struct weir_conn *conn, int err)
{
	struct source *s = weir_conn_service_ctx(conn);

	weir_cancel(weir_conn_loop(conn), &s->timer);
	s->conn = NULL;
	atomic_store(&s->err, err);
	atomic_store(&s->ended, 1);
}

const struct weir_service_ops source_ops = {
	.open		= source_open,
	.data		= source_data,
	.drain		= source_drain,
	.pressure	= source_pressure,
	.close		= source_close,
};
