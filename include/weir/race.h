/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * race.h - connect to whichever of several addresses answers first: "happy
 * eyeballs", RFC 8305, sections 4 and 5.
 *
 * Families take turns, beginning with that of the first address. An attempt
 * begins when the one before has failed, or after a delay. The first that
 * connects wins; the others are cancelled, and closed if they were too quick.
 */
#ifndef WEIR_RACE_H
#define WEIR_RACE_H

#include <weir/addr.h>
#include <weir/op.h>
#include <weir/token.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_race;

/**
 * enum weir_race_limits - limits and defaults
 * @WEIR_RACE_MAX: addresses of one race
 * @WEIR_RACE_DELAY_MS: between attempts, if not said: RFC 8305, section 5
 */
enum weir_race_limits {
	WEIR_RACE_MAX		= 16,
	WEIR_RACE_DELAY_MS	= 250,
};

/**
 * struct weir_race_opts - how to race; zero and NULL mean the default
 * @sz: sizeof(struct weir_race_opts)
 * @addrs: the addresses, best first; they must live until done()
 * @count: how many, 1 to WEIR_RACE_MAX
 * @delay_ns: before the next attempt while one is under way
 * @deadline_ns: when to give up, on the clock of weir_loop_now(); 0 is never
 * @done: called once, when all attempts have ended
 * @ctx: the caller's
 * @token: cancels it; NULL for none
 */
struct weir_race_opts {
	size_t sz;
	const struct weir_addr *addrs;
	uint32_t count;
	/* private: zero */
	uint32_t pad;
	/* public: */
	uint64_t delay_ns;
	uint64_t deadline_ns;
	void (*done)(struct weir_race *race);
	void *ctx;
	struct weir_token *token;
};

/**
 * struct weir_race - a race in the caller's memory
 * @ctx: the caller's
 * @res: 0; or -ETIME after the deadline, its own or the token's, -ECANCELED after
 *	weir_race_cancel() or that of the token, or else why the attempt failed that ended last
 * @winner: index of the address that won
 * @file: the connection, the caller's to close
 * @errs: for each address why it failed, -ECANCELED if another was quicker, 0 if
 *	it won or was not tried
 *
 * The memory is the library's from weir_race_start() until done(), which may
 * free it. Fields named lib_* are the library's always.
 */
struct weir_race {
	void *ctx;
	int32_t res;
	uint32_t winner;
	struct weir_file file;
	int32_t errs[WEIR_RACE_MAX];

	/* private: the library's */
	void (*lib_done)(struct weir_race *race);
	struct weir_loop *lib_loop;
	const struct weir_addr *lib_addrs;
	uint64_t lib_delay_ns;
	uint32_t lib_count;
	uint32_t lib_next;
	uint8_t lib_won;
	uint8_t lib_order[WEIR_RACE_MAX];
	struct weir_token lib_token;
	struct weir_op lib_timer;
	struct weir_op lib_ops[WEIR_RACE_MAX];
};

/**
 * weir_race_start() - begin
 * @race: zeroed once, and not under way
 * @loop: the loop
 * @opts: options
 *
 * Context: Owner thread.
 * Return: 0, and done() will be called; -EINVAL without addresses or done(), or
 * with a token that is none or another loop's; -E2BIG for more than WEIR_RACE_MAX
 * addresses, or for option bytes this version does not know.
 */
WEIR_API WEIR_MUST_CHECK
int weir_race_start(struct weir_race *race, struct weir_loop *loop,
		    const struct weir_race_opts *opts);

/**
 * weir_race_cancel() - ask for a race to end now
 * @race: a race; one that is not under way is left alone
 *
 * Tells nothing: done() does, with -ECANCELED, or with a connection if that was
 * quicker.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_race_cancel(struct weir_race *race);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_RACE_H */
