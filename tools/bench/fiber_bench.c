// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The fiber benchmark: what a switch costs, and with the loop around it.
 *
 * switch: from one stack to another, nothing else; two make a round trip. ucontext:
 * the same by the C library. yield: a fiber lets the others of its loop go on, that
 * is a switch to the loop, a turn's share of it and a switch to the next fiber. nop:
 * an operation awaited in a fiber, through the whole machinery.
 *
 * usage: fiber_bench [--count N] [--only switch|ucontext|yield|nop] [--strict]
 *
 * --only runs the one between two marks of its own, counted(), for a counter of
 * instructions such as callgrind. --strict ends with 1 above the limit.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

#include <weir/call.h>
#include <weir/fiber.h>
#include <weir/loop.h>

#include "base/base.h"
#include "fiber/arch.h"

enum {
	STACK_BYTES	= 64 << 10,
	FIBERS		= 16,
	ROUNDS		= 51,
};

#define SWITCH_NS_LIMIT	20.0

static uint64_t count = 20000;	/* a short while: others disturb few of the rounds */

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "fiber_bench: %s: %s\n", what, weir_strerror(err));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* switch */

static struct fiber_arch here, there;

static void bounce(void *arg)
{
	for (;;)
		fiber_arch_switch(&there, &here);
}

static uint64_t run_switch(uint64_t n)
{
	static char stack[STACK_BYTES] __attribute__((aligned(16)));
	uint64_t i;

	fiber_arch_make(&there, stack, sizeof(stack), bounce, NULL);
	for (i = 0; i < n / 2; i++)
		fiber_arch_switch(&here, &there);
	return n / 2 * 2;
}

/* ucontext */

static ucontext_t home, away;

static void bounce_ucontext(void)
{
	for (;;)
		swapcontext(&away, &home);
}

static uint64_t run_ucontext(uint64_t n)
{
	static char stack[STACK_BYTES];
	uint64_t i;

	n /= 8;		/* two system calls each */
	getcontext(&away);
	away.uc_stack.ss_sp = stack;
	away.uc_stack.ss_size = sizeof(stack);
	makecontext(&away, bounce_ucontext, 0);
	for (i = 0; i < n / 2; i++)
		swapcontext(&home, &away);
	return n / 2 * 2;
}

/* with the loop */

struct run {
	struct weir_loop *loop;
	struct weir_fibers *fibers;
	uint64_t left;
	int err;
};

static int yield_fiber(void *arg)
{
	struct run *run = arg;

	while (run->left && !run->err) {
		run->left--;
		run->err = weir_fiber_yield(run->loop);
	}
	return 0;
}

static int nop_fiber(void *arg)
{
	struct run *run = arg;

	while (run->left && !run->err) {
		run->left--;
		run->err = weir_call_nop(run->loop, 0);
	}
	return 0;
}

static uint64_t run_fibers(weir_fiber_fn *fn, uint64_t n)
{
	struct run run = { .left = n };
	int err, i;

	err = weir_loop_open(&run.loop, NULL);
	if (!err)
		err = weir_fibers_open(&run.fibers, run.loop, NULL);
	for (i = 0; i < FIBERS && !err; i++)
		err = weir_fiber_spawn(NULL, run.fibers, NULL, fn, &run);
	if (!err && weir_loop_run(run.loop) == 1)
		err = run.err;
	if (!err)
		err = weir_fibers_close(run.fibers);
	if (!err)
		err = weir_loop_close(run.loop, 1000000000);
	if (err)
		die("run", err);
	return n;
}

static uint64_t run_yield(uint64_t n)
{
	return run_fibers(yield_fiber, n);
}

static uint64_t run_nop(uint64_t n)
{
	return run_fibers(nop_fiber, n / 4);
}

static const struct bench {
	const char *name;
	uint64_t (*run)(uint64_t n);
	double limit_ns;
} benches[] = {
	{ "switch", run_switch, SWITCH_NS_LIMIT },
	{ "ucontext", run_ucontext, 0 },
	{ "yield", run_yield, 0 },
	{ "nop", run_nop, 0 },
};

/* What a counter of instructions is to look at. */
__attribute__((noinline)) uint64_t counted(const struct bench *bench, uint64_t n);
uint64_t counted(const struct bench *bench, uint64_t n)
{
	return bench->run(n);
}

/* The best of some rounds: what it costs when nobody disturbs it. */
static bool report(const struct bench *bench)
{
	double best = 1e9, ns;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		uint64_t begin = now_ns();

		ns = (double)counted(bench, count);
		ns = (double)(now_ns() - begin) / ns;
		if (ns < best)
			best = ns;
	}
	printf("%-10s %8.2f ns\n", bench->name, best);
	return !bench->limit_ns || best < bench->limit_ns;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'c' },
		{ "only", required_argument, NULL, 'o' },
		{ "strict", no_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	const char *only = NULL;
	bool strict = false, good = true;
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c')
			count = strtoull(optarg, NULL, 10);
		else if (c == 'o')
			only = optarg;
		else if (c == 's')
			strict = true;
		else
			return 2;
	}
	for (i = 0; i < ARRAY_SIZE(benches); i++) {
		if (!only)
			good &= report(&benches[i]);
		else if (!strcmp(only, benches[i].name))
			printf("%" PRIu64 "\n", counted(&benches[i], count));
	}
	return strict && !good;
}
