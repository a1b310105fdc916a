/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_BENCH_ECHO_BENCH_H
#define WEIR_TOOLS_BENCH_ECHO_BENCH_H

/* Between echo_bench.c (takes the samples) and report.c (judges them). */

#include <stdbool.h>
#include <stdio.h>

#include "load.h"

#define ROUNDS_MAX	100

enum suite {
	SUITE_MANY,		/* many connections: cost of a request */
	SUITE_ONE,		/* one connection: latency */
};

enum what {
	WHAT_CPU,		/* of the server, ns per request */
	WHAT_SYSCALLS,		/* of the server, per request */
	WHAT_RATE,		/* requests per second */
	WHAT_P50,		/* ns, at the client */
	WHAT_P99,
	WHAT_CLIENT_CPU,
	WHAT_OTHERS,		/* share of either processor that others used */
	WHAT_MAX,
};

struct contender {
	const char *name;
	enum suite suite;
	bool weir;
	bool no_batch;
	bool bpf;
	bool no_flows;
	const char *program;
	double sample[ROUNDS_MAX][WHAT_MAX];
};

struct bench {
	const char *weir;	/* program; NULL: only the peers */
	const char *peers;	/* directory */
	const char *out;	/* directory */
	const char *server_cpu;
	const char *only;	/* names with commas between; NULL: all */
	int rounds;
	bool bpf;		/* measure weir with steering and telemetry, too */
	bool strict;		/* a missed limit is a failure */
	struct load_opts load;
	struct load_result res;
};

/* contender_next() - the one after @c that is measured; NULL starts and ends. */
struct contender *contender_next(const struct bench *b, const struct contender *c);

/* report_table() - medians and limits for people. */
void report_table(const struct bench *b, FILE *out);

/* report_missed() - how many limits the medians miss. */
int report_missed(const struct bench *b);

/* report_json() - every sample, medians and limits. Return: 0 or -EIO. */
int report_json(const struct bench *b, FILE *out);

#endif /* WEIR_TOOLS_BENCH_ECHO_BENCH_H */
