/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_LOAD_ENGINE_H
#define WEIR_TOOLS_LOAD_ENGINE_H

/* Between load.c (schedule, lists, results) and load_conn.c (one connection). */

#include <time.h>

#include "load.h"

#define NSEC_PER_SEC	1000000000ULL
#define NSEC_PER_MSEC	1000000ULL

#define SCRATCH_BYTES	65536U
/* Requests start at different offsets of one table; a power of two. */
#define PATTERN_SPAN	4096U

enum conn_state {
	CONN_DOWN,		/* no socket; list down, or not opened yet */
	CONN_CONNECTING,	/* list active */
	CONN_IDLE,		/* no request; list idle */
	CONN_BUSY,		/* request under way; list active */
	CONN_LINGER,		/* churn: answered, waits for end of file; list active */
};

struct conn {
	struct conn *prev;
	struct conn *next;
	int fd;
	enum conn_state state;
	bool asking;		/* carries a request, perhaps still connecting */
	uint32_t pattern;	/* offset of the request in the table */
	uint32_t sent_bytes;
	uint32_t got_bytes;
	uint64_t due_ns;
	uint64_t start_ns;
	uint64_t since_ns;	/* entered its list; lists are ordered by it */
};

struct engine {
	const struct load_opts *opts;
	struct load_result *res;
	struct conn *conns;
	struct conn idle;	/* list heads */
	struct conn active;
	struct conn down;
	unsigned char *pattern;
	unsigned char *scratch;
	struct hist *interval;
	int epfd;
	bool running;		/* the schedule has started */
	uint32_t opened;	/* first connects begun */
	uint32_t connecting;
	uint32_t connected;
	uint32_t inflight;	/* conns that are asking */
	uint32_t lingering;
	uint32_t sources_used;
	uint64_t zero_ns;	/* the first request is due */
	uint64_t measure_ns;	/* warm-up ends */
	uint64_t end_ns;	/* nothing is due from here on */
	uint64_t drain_ns;	/* what is still open then has timed out */
	uint64_t last_ns;	/* last measured answer */
	uint64_t tick_ns;	/* last progress report */
	uint64_t interval_requests;
};

static inline uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static inline uint64_t mix(uint64_t x)
{
	/* The finaliser of splitmix64 (Steele, Lea, Flood 2014). */
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static inline void conn_unlink(struct conn *c)
{
	c->prev->next = c->next;
	c->next->prev = c->prev;
	c->prev = c;
	c->next = c;
}

static inline void conn_move(struct conn *c, struct conn *list, uint64_t now)
{
	conn_unlink(c);
	c->prev = list->prev;
	c->next = list;
	list->prev->next = c;
	list->prev = c;
	c->since_ns = now;
}

static inline bool list_empty(const struct conn *list)
{
	return list->next == list;
}

/* load_conn.c */
void conn_open(struct engine *e, struct conn *c, uint64_t now);
void conn_request(struct engine *e, struct conn *c, uint64_t due, uint64_t now);
void conn_event(struct engine *e, struct conn *c, uint32_t events, uint64_t now);
void conn_fail(struct engine *e, struct conn *c, enum load_error error, int err, uint64_t now);
void conn_close(struct engine *e, struct conn *c);

/* load.c */
void engine_answered(struct engine *e, struct conn *c, uint64_t now);
void engine_timed_out(struct engine *e, uint64_t due, uint64_t now);
void engine_error(struct engine *e, enum load_error error, int err);

#endif /* WEIR_TOOLS_LOAD_ENGINE_H */
