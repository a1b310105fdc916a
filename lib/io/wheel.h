/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * wheel.h - hierarchical timer wheel over the operations' own links
 *
 * Starting and stopping are O(1). Nothing fires early; an operation may fire
 * up to one tick late. After Varghese and Lauck, "Hashed and hierarchical
 * timing wheels", SOSP 1987.
 */
#ifndef IO_WHEEL_H
#define IO_WHEEL_H

#include <stdbool.h>

#include <weir/op.h>

enum {
	WHEEL_TICK_SHIFT	= 14,	/* one tick is 16.4 us */
	WHEEL_BITS		= 6,
	WHEEL_SLOTS		= 1 << WHEEL_BITS,
	WHEEL_LEVELS		= 8,	/* 2^(14 + 8 * 6) ns: 146 years */
};

struct wheel {
	uint64_t tick;			/* everything before it has fired */
	uint32_t used;			/* bit set: something of the level is full */
	uint64_t full[WHEEL_LEVELS];	/* bit set: the slot may hold nodes */
	struct weir_link slot[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, uint64_t now_ns);

/* wheel_start() - file @op under op->deadline_ns */
void wheel_start(struct wheel *wheel, struct weir_op *op);

/* wheel_next_ns() - a time not after the earliest deadline; DEADLINE_NONE if empty */
uint64_t wheel_next_ns(const struct wheel *wheel);

static inline bool wheel_empty(const struct wheel *wheel)
{
	return !wheel->used;
}

/* wheel_expire() - move every op that is due by @now_ns to the list @due */
void wheel_expire(struct wheel *wheel, uint64_t now_ns, struct weir_link *due);

#endif /* IO_WHEEL_H */
