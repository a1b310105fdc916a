// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * race.c - connect to whichever of several addresses answers first
 *
 * One timer paces the attempts: its end, by time or because an attempt failed and
 * cancelled it, begins the next. So at any time there is either a timer in
 * flight or no address left to try.
 */
#include <errno.h>
#include <string.h>

#include <weir/loop.h>
#include <weir/race.h>

#include "base/base.h"

static void attempt(struct weir_race *race);

/* When nothing is in flight any more the memory goes back. */
static void settle(struct weir_race *race)
{
	if (race->lib_busy)
		return;
	if (race->lib_won)
		race->res = 0;
	race->lib_done(race);
}

static void cancel_attempts(struct weir_race *race)
{
	uint32_t i;

	for (i = 0; i < race->lib_count; i++) {
		if (race->lib_ops[i].opcode == WEIR_OP_CONNECT)
			weir_cancel(race->lib_loop, &race->lib_ops[i]);
	}
}

/* No further attempt; those under way are to end. */
static void finish(struct weir_race *race)
{
	race->lib_over = 1;
	weir_cancel(race->lib_loop, &race->lib_timer);
	cancel_attempts(race);
}

static void on_timer(struct weir_op *op)
{
	struct weir_race *race = op->ctx;

	race->lib_busy--;
	if (!race->lib_over)
		attempt(race);
	settle(race);
}

static void on_closed(struct weir_op *op)
{
	struct weir_race *race = op->ctx;

	race->lib_busy--;
	settle(race);
}

/* It connected as well, too late. */
static void drop(struct weir_race *race, struct weir_op *op)
{
	race->lib_busy++;
	weir_prep_close(op, op->accepted, on_closed, race);
	weir_submit(race->lib_loop, op);
}

static void on_connect(struct weir_op *op)
{
	struct weir_race *race = op->ctx;
	uint32_t index = (uint32_t)(op - race->lib_ops);

	race->lib_busy--;
	if (op->res < 0) {
		race->errs[index] = op->res;
		/* What ends because all is over is not why. */
		if (!race->lib_over)
			race->res = op->res;
		if (op->origin == WEIR_ORIGIN_DEADLINE)
			finish(race);	/* it is that of all */
		else
			weir_cancel(race->lib_loop, &race->lib_timer);
	} else if (race->lib_won) {
		race->errs[index] = -ECANCELED;
		drop(race, op);
	} else {
		race->lib_won = 1;
		race->winner = index;
		race->file = op->accepted;
		finish(race);
	}
	settle(race);
}

static void attempt(struct weir_race *race)
{
	uint32_t index = race->lib_order[race->lib_next++];
	const struct weir_addr *addr = &race->lib_addrs[index];
	struct weir_op *op = &race->lib_ops[index];
	struct weir_loop *loop = race->lib_loop;

	race->lib_busy++;
	weir_prep_connect(op, (const struct sockaddr *)&addr->ss, addr->len, on_connect, race);
	op->deadline_ns = race->lib_deadline_ns;
	weir_submit(loop, op);
	if (race->lib_next == race->lib_count)
		return;
	race->lib_busy++;
	weir_prep_timeout(&race->lib_timer,
			  deadline_after(weir_loop_now(loop), race->lib_delay_ns), on_timer, race);
	weir_submit(loop, &race->lib_timer);
}

/* Families in turn, each in the order given: RFC 8305, section 4. */
static void interleave(struct weir_race *race)
{
	sa_family_t first = race->lib_addrs[0].ss.ss_family;
	uint32_t at[2] = { 0, 0 };
	uint32_t n = 0, turn = 0;

	while (n < race->lib_count) {
		uint32_t *i = &at[turn];

		while (*i < race->lib_count &&
		       (race->lib_addrs[*i].ss.ss_family != first) != turn)
			(*i)++;
		if (*i < race->lib_count)
			race->lib_order[n++] = (uint8_t)(*i)++;
		turn = !turn;
	}
}

int weir_race_start(struct weir_race *race, struct weir_loop *loop,
		    const struct weir_race_opts *given)
{
	struct weir_race_opts opts;
	int err;

	err = opts_copy(&opts, sizeof(opts), given);
	if (err)
		return err;
	if (!opts.addrs || !opts.count || !opts.done || opts.pad)
		return -EINVAL;
	if (opts.count > WEIR_RACE_MAX)
		return -E2BIG;
	memset(race->errs, 0, sizeof(race->errs));
	race->ctx = opts.ctx;
	race->res = -ECANCELED;
	race->winner = 0;
	race->file = (struct weir_file){ 0, 0 };
	race->lib_done = opts.done;
	race->lib_loop = loop;
	race->lib_addrs = opts.addrs;
	race->lib_delay_ns = opts.delay_ns ? opts.delay_ns : WEIR_RACE_DELAY_MS * NSEC_PER_MSEC;
	race->lib_deadline_ns = opts.deadline_ns;
	race->lib_count = opts.count;
	race->lib_next = 0;
	race->lib_busy = 0;
	race->lib_over = 0;
	race->lib_won = 0;
	interleave(race);
	attempt(race);
	return 0;
}

void weir_race_cancel(struct weir_race *race)
{
	if (!race->lib_busy || race->lib_over)
		return;
	race->res = -ECANCELED;
	finish(race);
}
