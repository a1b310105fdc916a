// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * wheel.c - hierarchical timer wheel
 *
 * Level n has slots of 64^n ticks. An op is filed at the level of the highest
 * bit in which its tick differs from the wheel's, so that its slot comes up
 * when all higher digits agree; then it is filed again, lower, or is due.
 */
#include "base/base.h"
#include "base/list.h"
#include "io/wheel.h"

#define TICK_NS		(1ULL << WHEEL_TICK_SHIFT)

static uint64_t tick_of(uint64_t deadline_ns)
{
	/* Round up: never early. */
	return deadline_ns > UINT64_MAX - TICK_NS ? UINT64_MAX >> WHEEL_TICK_SHIFT :
	       (deadline_ns + TICK_NS - 1) >> WHEEL_TICK_SHIFT;
}

void wheel_init(struct wheel *wheel, uint64_t now_ns)
{
	unsigned int level, i;

	wheel->tick = now_ns >> WHEEL_TICK_SHIFT;
	wheel->used = 0;
	for (level = 0; level < WHEEL_LEVELS; level++) {
		wheel->full[level] = 0;
		for (i = 0; i < WHEEL_SLOTS; i++)
			list_init(&wheel->slot[level][i]);
	}
}

static unsigned int level_of(const struct wheel *wheel, uint64_t tick)
{
	uint64_t diff = tick ^ wheel->tick;
	unsigned int level = diff ? (63 - (unsigned int)__builtin_clzll(diff)) / WHEEL_BITS : 0;

	return level < WHEEL_LEVELS ? level : WHEEL_LEVELS - 1;
}

void wheel_start(struct wheel *wheel, struct weir_op *op)
{
	uint64_t tick = tick_of(op->deadline_ns);
	unsigned int level, i;

	if (tick < wheel->tick)
		tick = wheel->tick;
	level = level_of(wheel, tick);
	i = (tick >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);
	list_add_tail(&wheel->slot[level][i], &op->lib_wheel);
	wheel->full[level] |= 1ULL << i;
	wheel->used |= 1U << level;
}

/* First slot of @level at or after the wheel's own place that may hold nodes. */
static int next_slot(const struct wheel *wheel, unsigned int level)
{
	unsigned int at = (wheel->tick >> (level * WHEEL_BITS)) & (WHEEL_SLOTS - 1);
	uint64_t ahead = wheel->full[level] >> at;

	return ahead ? (int)at + __builtin_ctzll(ahead) : -1;
}

/* The tick at which slot @i of @level comes up. */
static uint64_t slot_tick(const struct wheel *wheel, unsigned int level, unsigned int i)
{
	unsigned int shift = level * WHEEL_BITS;
	uint64_t above = wheel->tick >> shift >> WHEEL_BITS << WHEEL_BITS;
	uint64_t tick = (above | i) << shift;

	return tick > wheel->tick ? tick : wheel->tick;
}

/* The earliest slot of all levels: its tick, or UINT64_MAX. Lower levels first. */
static uint64_t earliest(const struct wheel *wheel, unsigned int *levelp, unsigned int *ip)
{
	uint64_t best = UINT64_MAX;
	uint32_t used;

	for (used = wheel->used; used; used &= used - 1) {
		unsigned int level = (unsigned int)__builtin_ctz(used);
		int i = next_slot(wheel, level);
		uint64_t tick;

		if (i < 0)
			continue;
		tick = slot_tick(wheel, level, (unsigned int)i);
		/* At the same tick the higher level goes first: it may refill the lower. */
		if (tick <= best) {
			best = tick;
			*levelp = level;
			*ip = (unsigned int)i;
		}
	}
	return best;
}

uint64_t wheel_next_ns(const struct wheel *wheel)
{
	unsigned int level, i;
	uint64_t tick = earliest(wheel, &level, &i);

	return tick == UINT64_MAX ? DEADLINE_NONE : tick << WHEEL_TICK_SHIFT;
}

static void empty_slot(struct wheel *wheel, unsigned int level, unsigned int i,
		       struct weir_link *due)
{
	struct weir_link nodes;

	list_take(&nodes, &wheel->slot[level][i]);
	wheel->full[level] &= ~(1ULL << i);
	if (!wheel->full[level])
		wheel->used &= ~(1U << level);
	while (!list_empty(&nodes)) {
		struct weir_op *op = container_of(nodes.next, struct weir_op, lib_wheel);

		list_del(&op->lib_wheel);
		if (tick_of(op->deadline_ns) <= wheel->tick)
			list_add_tail(due, &op->lib_wheel);
		else
			wheel_start(wheel, op);
	}
}

void wheel_expire(struct wheel *wheel, uint64_t now_ns, struct weir_link *due)
{
	uint64_t now = now_ns >> WHEEL_TICK_SHIFT;

	for (;;) {
		unsigned int level, i;
		uint64_t tick = earliest(wheel, &level, &i);

		if (tick > now)
			break;
		wheel->tick = tick;
		empty_slot(wheel, level, i, due);
	}
	if (now > wheel->tick)
		wheel->tick = now;
}
