// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * race.c - connect to whichever of several addresses answers first
 *
 * One timer paces the attempts: its end, by time or because an attempt failed and
 * cancelled it, begins the next. So at any time there is either a timer in
 * flight or no address left to try. All are under one token, whose end, by the
 * winner, by the deadline or by the user, is that of the race.
 */
#include <errno.h>
#include <string.h>

#include <weir/loop.h>
#include <weir/race.h>

#include "base/base.h"

static void attempt(struct weir_race *race);

static void race_submit(struct weir_race *race, struct weir_op *op)
{
	op->token = &race->lib_token;
	weir_submit(race->lib_loop, op);
}

/* When nothing is in flight any more the memory goes back. */
static void settle(struct weir_race *race)
{
	int over = weir_token_error(&race->lib_token);

	if (weir_token_inflight(&race->lib_token))
		return;
	weir_token_fini(&race->lib_token);
	if (race->lib_won)
		race->res = 0;
	else if (over)
		race->res = over;
	race->lib_done(race);
}

static void on_timer(struct weir_op *op)
{
	struct weir_race *race = op->ctx;

	if (!weir_token_error(&race->lib_token))
		attempt(race);
	settle(race);
}

static void on_closed(struct weir_op *op)
{
	settle(op->ctx);
}

/* It connected as well, too late. */
static void drop(struct weir_race *race, struct weir_op *op)
{
	weir_prep_close(op, op->accepted, on_closed, race);
	race_submit(race, op);
}

static void on_connect(struct weir_op *op)
{
	struct weir_race *race = op->ctx;
	uint32_t index = (uint32_t)(op - race->lib_ops);

	if (op->res < 0) {
		race->errs[index] = op->res;
		race->res = op->res;
		weir_cancel(race->lib_loop, &race->lib_timer);
	} else if (race->lib_won) {
		race->errs[index] = -ECANCELED;
		drop(race, op);
	} else {
		race->lib_won = 1;
		race->winner = index;
		race->file = op->accepted;
		weir_token_cancel(&race->lib_token);
	}
	settle(race);
}

static void attempt(struct weir_race *race)
{
	uint32_t index = race->lib_order[race->lib_next++];
	const struct weir_addr *addr = &race->lib_addrs[index];
	struct weir_op *op = &race->lib_ops[index];
	struct weir_loop *loop = race->lib_loop;

	weir_prep_connect(op, (const struct sockaddr *)&addr->ss, addr->len, on_connect, race);
	race_submit(race, op);
	if (race->lib_next == race->lib_count)
		return;
	weir_prep_timeout(&race->lib_timer,
			  deadline_after(weir_loop_now(loop), race->lib_delay_ns), on_timer, race);
	race_submit(race, &race->lib_timer);
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
	err = weir_token_init(&race->lib_token, loop, opts.token);
	if (err)
		return err;
	weir_token_deadline(&race->lib_token, opts.deadline_ns);
	memset(race->errs, 0, sizeof(race->errs));
	race->ctx = opts.ctx;
	race->winner = 0;
	race->file = (struct weir_file){ 0, 0 };
	race->lib_done = opts.done;
	race->lib_loop = loop;
	race->lib_addrs = opts.addrs;
	race->lib_delay_ns = opts.delay_ns ? opts.delay_ns : WEIR_RACE_DELAY_MS * NSEC_PER_MSEC;
	race->lib_count = opts.count;
	race->lib_next = 0;
	race->lib_won = 0;
	interleave(race);
	attempt(race);
	return 0;
}

void weir_race_cancel(struct weir_race *race)
{
	if (race->lib_token.lib_inflight)
		weir_token_cancel(&race->lib_token);
}
