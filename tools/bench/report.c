// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The echo benchmark: medians, ratios with their spread, and the limits. */
#include <stdlib.h>
#include <string.h>

#include "bench/echo_bench.h"
#include "json.h"

static const char *const what_names[WHAT_MAX] = {
	[WHAT_CPU]		= "cpu_ns_per_request",
	[WHAT_SYSCALLS]		= "syscalls_per_request",
	[WHAT_RATE]		= "requests_per_second",
	[WHAT_P50]		= "p50_ns",
	[WHAT_P99]		= "p99_ns",
	[WHAT_CLIENT_CPU]	= "client_cpu_ns_per_request",
	[WHAT_OTHERS]		= "cpu_share_of_others",
};

/*
 * The project's limits, and the ratio or difference each one is about. One
 * without a limit (0) is published and not judged.
 */
static const struct limit {
	const char *text;
	const char *subject;
	const char *base;	/* NULL: the figure itself */
	enum what what;
	bool difference;
	double max;
} limits[] = {
	{ "CPU per request / peer_uring", "weir", "peer_uring", WHAT_CPU, false, 1.05 },
	{ "CPU per request / peer_epoll", "weir", "peer_epoll", WHAT_CPU, false, 0.90 },
	{ "system calls per request", "weir", NULL, WHAT_SYSCALLS, false, 0.02 },
	{ "p50 over no batching, ns", "weir-1", "weir-1-no-batch", WHAT_P50, true, 5000 },
	{ "peer_uring / peer_epoll, CPU", "peer_uring", "peer_epoll", WHAT_CPU, false, 1 },
	{ "CPU, steered / SO_REUSEPORT", "weir-steer", "weir", WHAT_CPU, false, 1.01 },
	{ "CPU, telemetry / without", "weir-bpf", "weir-steer", WHAT_CPU, false, 1.03 },
	{ }
};

struct spread {
	double min;
	double median;
	double max;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct spread spread_of(double *values, int n)
{
	struct spread s;

	qsort(values, (size_t)n, sizeof(*values), compare);
	s.min = values[0];
	s.max = values[n - 1];
	s.median = n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
	return s;
}

static struct spread figure(const struct bench *b, const struct contender *c, enum what what)
{
	double values[ROUNDS_MAX];
	int i;

	for (i = 0; i < b->rounds; i++)
		values[i] = c->sample[i][what];
	return spread_of(values, b->rounds);
}

static const struct contender *find(const struct bench *b, const char *name)
{
	const struct contender *c = contender_next(b, NULL);

	while (c && strcmp(c->name, name))
		c = contender_next(b, c);
	return c;
}

/* Returns false when one side was not measured. */
static bool judge(const struct bench *b, const struct limit *limit, struct spread *s)
{
	const struct contender *subject = find(b, limit->subject);
	const struct contender *base = limit->base ? find(b, limit->base) : NULL;
	double values[ROUNDS_MAX];
	int i;

	if (!subject || (limit->base && !base))
		return false;
	for (i = 0; i < b->rounds; i++) {
		values[i] = subject->sample[i][limit->what];
		if (base && limit->difference)
			values[i] -= base->sample[i][limit->what];
		else if (base)
			values[i] /= base->sample[i][limit->what];
	}
	*s = spread_of(values, b->rounds);
	return true;
}

static bool met(const struct limit *limit, const struct spread *s)
{
	return !limit->max || s->median <= limit->max;
}

int report_missed(const struct bench *b)
{
	const struct limit *limit;
	struct spread s;
	int missed = 0;

	for (limit = limits; limit->text; limit++)
		missed += judge(b, limit, &s) && !met(limit, &s);
	return missed;
}

void report_table(const struct bench *b, FILE *out)
{
	const struct limit *limit;
	const struct contender *c;
	struct spread s;

	fprintf(out, "Echo, %u bytes, closed loop, server on CPU %s, client on CPU %d, ",
		b->load.size_bytes, b->server_cpu, b->load.cpu);
	fprintf(out, "medians of %d rounds\n", b->rounds);
	fprintf(out, "%-16s %6s %12s %14s %12s %11s %11s %7s\n", "server", "conns", "cpu ns/req",
		"syscalls/req", "requests/s", "p50 us", "p99 us", "others");
	for (c = contender_next(b, NULL); c; c = contender_next(b, c))
		fprintf(out, "%-16s %6u %12.0f %14.4f %12.0f %11.1f %11.1f %6.0f%%\n", c->name,
			c->suite == SUITE_ONE ? 1 : b->load.connections,
			figure(b, c, WHAT_CPU).median, figure(b, c, WHAT_SYSCALLS).median,
			figure(b, c, WHAT_RATE).median, figure(b, c, WHAT_P50).median / 1e3,
			figure(b, c, WHAT_P99).median / 1e3,
			figure(b, c, WHAT_OTHERS).median * 100);
	fprintf(out, "\n%-32s %9s %9s %9s %9s\n", "within a round", "min", "median", "max",
		"limit");
	for (limit = limits; limit->text; limit++) {
		if (!judge(b, limit, &s))
			continue;
		fprintf(out, "%-32s %9.3f %9.3f %9.3f", limit->text, s.min, s.median, s.max);
		if (limit->max)
			fprintf(out, " %9.2f  %s\n", limit->max, met(limit, &s) ? "met" : "missed");
		else
			fprintf(out, " %9s\n", "none");
	}
}

static void json_spread(struct json *j, const char *name, struct spread s)
{
	json_object(j, name);
	json_double(j, "min", s.min);
	json_double(j, "median", s.median);
	json_double(j, "max", s.max);
	json_end_object(j);
}

static void json_contender(const struct bench *b, struct json *j, const struct contender *c)
{
	enum what w;
	int i;

	json_object(j, c->name);
	json_u64(j, "connections", c->suite == SUITE_ONE ? 1 : b->load.connections);
	for (w = 0; w < WHAT_MAX; w++)
		json_spread(j, what_names[w], figure(b, c, w));
	json_array(j, "rounds");
	for (i = 0; i < b->rounds; i++) {
		json_object(j, NULL);
		for (w = 0; w < WHAT_MAX; w++)
			json_double(j, what_names[w], c->sample[i][w]);
		json_end_object(j);
	}
	json_end_array(j);
	json_end_object(j);
}

static void json_limits(const struct bench *b, struct json *j)
{
	const struct limit *limit;
	struct spread s;

	json_array(j, "limits");
	for (limit = limits; limit->text; limit++) {
		if (!judge(b, limit, &s))
			continue;
		json_object(j, NULL);
		json_string(j, "text", limit->text);
		if (limit->max)
			json_double(j, "limit", limit->max);
		else
			json_string(j, "limit", NULL);
		json_spread(j, "measured", s);
		json_bool(j, "met", met(limit, &s));
		json_end_object(j);
	}
	json_end_array(j);
}

int report_json(const struct bench *b, FILE *out)
{
	const struct contender *c;
	struct json j;

	json_init(&j, out, true);
	json_object(&j, NULL);
	json_u64(&j, "size_bytes", b->load.size_bytes);
	json_u64(&j, "rounds", (uint64_t)b->rounds);
	json_u64(&j, "duration_ns", b->load.duration_ns);
	json_object(&j, "servers");
	for (c = contender_next(b, NULL); c; c = contender_next(b, c))
		json_contender(b, &j, c);
	json_end_object(&j);
	json_limits(b, &j);
	json_end_object(&j);
	return json_fini(&j);
}
