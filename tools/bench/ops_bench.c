// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The ops benchmark: what an operation costs beyond the kernel's work.
 *
 * Without --kind: nop round trips of weir and of a bare liburing loop, in one
 * process, in rounds that begin with the other one each time. With --kind:
 * operations of that kind and nothing else, for a counter of instructions such
 * as callgrind; what is to be counted runs inside counted().
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "bench/ops_kinds.h"

#define ROUNDS_MAX		31
#define RATIO_LIMIT		0.90	/* of the bare loop's speed, one at a time */
#define EXTRA_NS_LIMIT		25.0	/* per operation, sixteen at a time */
#define SINGLE_ISSUER		(1U << 12)	/* newer than the header of liburing 2.3 */
#define DEFER_TASKRUN		(1U << 13)

static const unsigned int depths[] = { 1, 16 };

struct options {
	const char *kind;
	const char *backend;
	uint64_t count;
	unsigned int depth;
	int rounds;
	bool strict;
	bool list;
};

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "ops_bench: %s: %s\n", what, strerror(-err));
	exit(1);
}

/* weir */

void ops_done(struct weir_op *op)
{
	struct ops_run *run = op->ctx;

	if (op->res < 0 && op->res != -ECANCELED && !run->err)
		run->err = op->res;
	if (op->res >= 0 && run->left)
		run->left--;
	if (op->more) {
		if (!run->left)
			weir_cancel(run->loop, op);
		return;
	}
	if (!run->due || run->err)
		return;
	run->due--;
	run->kind->prep(run, op);
	weir_submit(run->loop, op);
}

static int run_chunk(struct ops_run *run, unsigned int depth)
{
	unsigned int i;
	int ret;

	if (run->kind->multi)
		depth = 1;
	for (i = 0; i < depth && run->due; i++) {
		run->due--;
		run->kind->prep(run, &run->ops[i]);
		weir_submit(run->loop, &run->ops[i]);
	}
	ret = weir_loop_run(run->loop);
	if (ret < 0)
		return ret;
	if (run->left && !run->err)
		return -EIO;	/* nothing in flight, and not all have come */
	return run->err;
}

/* Not inlined: callgrind counts what is called from here. */
__attribute__((noinline)) static int counted(struct ops_run *run, unsigned int depth)
{
	return run_chunk(run, depth);
}

static void run_open(struct ops_run *run, const struct ops_kind *kind, const char *backend)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = backend, .flags = WEIR_LOOP_NO_BATCH,
	};
	unsigned int i;
	int err;

	memset(run, 0, sizeof(*run));
	run->kind = kind;
	run->peer = -1;
	for (i = 0; i < OPS_DEPTH_MAX; i++)
		run->clients[i] = -1;
	err = weir_loop_open(&run->loop, &opts);
	if (err)
		die("loop", err);
	err = kind->open ? kind->open(run) : 0;
	if (err)
		die(kind->name, err);
}

static void run_close(struct ops_run *run)
{
	unsigned int i;
	int err = weir_loop_close(run->loop, 1000000000U);

	if (err)
		die("closing the loop", err);
	weir_pool_close(run->pool);
	if (run->peer >= 0)
		close(run->peer);
	for (i = 0; i < OPS_DEPTH_MAX; i++)
		if (run->clients[i] >= 0)
			close(run->clients[i]);
}

/* @count operations, @depth in flight; in chunks, where they need feeding. */
static void run_ops(struct ops_run *run, uint64_t count, unsigned int depth,
		    int (*chunk)(struct ops_run *run, unsigned int depth))
{
	const struct ops_kind *kind = run->kind;
	uint64_t n;
	int err = 0;

	for (; count && !err; count -= n) {
		n = kind->chunk && kind->chunk < count ? kind->chunk : count;
		if (kind->multi)
			n = kind->chunk;
		err = kind->feed ? kind->feed(run) : 0;
		run->left = n;
		run->due = kind->multi ? 1 : n;
		if (!err)
			err = chunk(run, depth);
		if (n > count)
			break;
	}
	if (err)
		die(kind->name, err);
}

/* the bare loop */

static void bare_open(struct io_uring *ring)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SUBMIT_ALL | SINGLE_ISSUER | DEFER_TASKRUN,
	};
	int err = io_uring_queue_init_params(1024, ring, &params);

	if (err == -EINVAL) {
		params.flags = IORING_SETUP_COOP_TASKRUN;
		err = io_uring_queue_init_params(1024, ring, &params);
	}
	if (err)
		die("io_uring_queue_init_params", err);
	io_uring_register_ring_fd(ring);
}

/* What a hand-written loop does: fill, submit and wait, look at each completion. */
static void bare_ops(struct io_uring *ring, uint64_t count, unsigned int depth)
{
	uint64_t seen = 0, sum = 0;
	struct io_uring_cqe *cqe;
	unsigned int head, i, n;
	int err;

	while (seen < count) {
		for (i = 0; i < depth; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

			io_uring_prep_nop(sqe);
			io_uring_sqe_set_data64(sqe, i);
		}
		err = io_uring_submit_and_wait(ring, depth);
		if (err < 0)
			die("io_uring_submit_and_wait", err);
		n = 0;
		io_uring_for_each_cqe(ring, head, cqe) {
			if (cqe->res)
				die("nop", cqe->res);
			sum += cqe->user_data;
			n++;
		}
		io_uring_cq_advance(ring, n);
		seen += n;
	}
	if (sum != seen / depth * ((uint64_t)depth * (depth - 1) / 2))
		die("user_data", -EIO);
}

/* comparing */

static double spent_ns(void)
{
	struct timespec ts;

	/* Nothing here sleeps; and what others do on the processor is not ours. */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* What a hand-written program does with weir: again and again, from the callback. */
static void nop_done(struct weir_op *op)
{
	struct ops_run *run = op->ctx;

	if (op->res)
		die("nop", op->res);
	if (!run->due)
		return;
	run->due--;
	weir_prep_nop(op, nop_done, run);
	weir_submit(run->loop, op);
}

static double time_weir(struct ops_run *run, uint64_t count, unsigned int depth)
{
	double start = spent_ns();
	unsigned int i;
	int ret;

	run->due = count - depth;
	for (i = 0; i < depth; i++) {
		weir_prep_nop(&run->ops[i], nop_done, run);
		weir_submit(run->loop, &run->ops[i]);
	}
	ret = weir_loop_run(run->loop);
	if (ret < 0 || run->due)
		die("nop", ret < 0 ? ret : -EIO);
	return (spent_ns() - start) / (double)count;
}

static double time_bare(struct io_uring *ring, uint64_t count, unsigned int depth)
{
	double start = spent_ns();

	bare_ops(ring, count, depth);
	return (spent_ns() - start) / (double)count;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), compare);
	return values[n / 2];
}

struct nop_samples {
	double weir[ROUNDS_MAX];
	double bare[ROUNDS_MAX];
	double ratio[ROUNDS_MAX];	/* speed of weir by that of the bare loop */
	double extra[ROUNDS_MAX];
};

static void nop_rounds(const struct options *o, unsigned int depth, struct nop_samples *s)
{
	uint64_t count = o->count / depth * depth;
	struct io_uring ring;
	struct ops_run run;
	int i;

	run_open(&run, &ops_kinds[0], "uring");
	bare_open(&ring);
	time_weir(&run, count / 10 / depth * depth, depth);
	time_bare(&ring, count / 10 / depth * depth, depth);
	for (i = 0; i < o->rounds; i++) {
		if (i % 2)
			s->bare[i] = time_bare(&ring, count, depth);
		s->weir[i] = time_weir(&run, count, depth);
		if (!(i % 2))
			s->bare[i] = time_bare(&ring, count, depth);
		s->ratio[i] = s->bare[i] / s->weir[i];
		s->extra[i] = s->weir[i] - s->bare[i];
	}
	io_uring_queue_exit(&ring);
	run_close(&run);
}

/* Returns how many limits were missed. */
static int compare_nops(const struct options *o)
{
	int missed = 0;
	size_t i;

	printf("nop round trips, ns of processor time per operation: median of %d rounds "
	       "of %" PRIu64 "\n"
	       "IN FLIGHT     WEIR     BARE    EXTRA  SPEED/BARE  LIMIT\n", o->rounds, o->count);
	for (i = 0; i < ARRAY_SIZE(depths); i++) {
		struct nop_samples s;
		double ratio, extra;
		bool met;

		nop_rounds(o, depths[i], &s);
		ratio = median(s.ratio, o->rounds);
		extra = median(s.extra, o->rounds);
		met = depths[i] == 1 ? ratio >= RATIO_LIMIT : extra <= EXTRA_NS_LIMIT;
		printf("%9u %8.1f %8.1f %8.1f  %10.2f  ", depths[i], median(s.weir, o->rounds),
		       median(s.bare, o->rounds), extra, ratio);
		if (depths[i] == 1)
			printf("speed %.2f %s\n", RATIO_LIMIT, met ? "met" : "missed");
		else
			printf("extra %.0f ns %s\n", EXTRA_NS_LIMIT, met ? "met" : "missed");
		missed += !met;
	}
	return missed;
}

/* one kind */

static void one_kind(const struct options *o)
{
	const struct ops_kind *kind = ops_kinds;
	struct ops_run run;

	while (kind->name && strcmp(kind->name, o->kind))
		kind++;
	if (!kind->name) {
		fprintf(stderr, "ops_bench: no kind %s; see --list\n", o->kind);
		exit(2);
	}
	run_open(&run, kind, o->backend);
	/* Once, so that the loop has an owner and the symbols are bound. */
	run_ops(&run, o->depth, o->depth, run_chunk);
	run_ops(&run, o->count, o->depth, counted);
	run_close(&run);
}

static _Noreturn void usage(FILE *out, int status)
{
	fputs("Usage: ops_bench [OPTION]\n"
	      "Compare nop round trips with those of a bare liburing loop, or run\n"
	      "operations of one kind for a counter of instructions.\n"
	      "  --rounds N    default 11\n"
	      "  --count N     operations, of each round; default 400000\n"
	      "  --kind KIND   run that kind alone\n"
	      "  --list        list the kinds\n"
	      "  --depth N     with --kind: operations in flight, default 16\n"
	      "  --backend B   with --kind: uring or epoll, default uring\n"
	      "  --strict      a limit that is missed is a failure: status 1\n", out);
	exit(status);
}

static uint64_t number(const char *name, const char *text, uint64_t max)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (!errno && end != text && !*end && value && value <= max)
		return value;
	fprintf(stderr, "ops_bench: --%s %s: must be 1 to %" PRIu64 "\n", name, text, max);
	exit(2);
}

static void set_option(struct options *o, char which, const char *name, const char *value)
{
	switch (which) {
	case 'r':
		o->rounds = (int)number(name, value, ROUNDS_MAX);
		break;
	case 'n':
		o->count = number(name, value, 1000000000);
		break;
	case 'd':
		o->depth = (unsigned int)number(name, value, OPS_DEPTH_MAX);
		break;
	case 'k':
		o->kind = value;
		break;
	case 'b':
		o->backend = value;
		break;
	case 'l':
		o->list = true;
		break;
	case 's':
		o->strict = true;
		break;
	case 'h':
		usage(stdout, 0);
	default:
		usage(stderr, 2);
	}
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "count", required_argument, NULL, 'n' },
		{ "kind", required_argument, NULL, 'k' },
		{ "depth", required_argument, NULL, 'd' },
		{ "backend", required_argument, NULL, 'b' },
		{ "list", no_argument, NULL, 'l' },
		{ "strict", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct options o = { .backend = "uring", .count = 400000, .depth = 16, .rounds = 11 };
	const struct ops_kind *kind;
	int c, i = 0;

	while ((c = getopt_long(argc, argv, "h", longs, &i)) != -1)
		set_option(&o, (char)c, longs[i].name, optarg);
	if (optind != argc)
		usage(stderr, 2);
	if (o.list)
		for (kind = ops_kinds; kind->name; kind++)
			puts(kind->name);
	else if (o.kind)
		one_kind(&o);
	else
		return compare_nops(&o) && o.strict;
	return 0;
}
