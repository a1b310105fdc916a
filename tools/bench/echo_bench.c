// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The echo benchmark: weir against a hand-written io_uring and a hand-written
 * epoll server. Rounds are interleaved and start with another server each, so
 * that a slow minute of the machine meets all of them; ratios are taken within
 * a round, and shown with their spread.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/server.h"
#include "json.h"
#include "load.h"

#define ROUNDS_MAX	100
#define PATH_MAX_BYTES	512
#define SEC_NS		1000000000.0

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
	WHAT_MAX,
};

static const char *const what_names[WHAT_MAX] = {
	[WHAT_CPU]		= "cpu_ns_per_request",
	[WHAT_SYSCALLS]		= "syscalls_per_request",
	[WHAT_RATE]		= "requests_per_second",
	[WHAT_P50]		= "p50_ns",
	[WHAT_P99]		= "p99_ns",
	[WHAT_CLIENT_CPU]	= "client_cpu_ns_per_request",
};

struct contender {
	const char *name;
	enum suite suite;
	bool weir;
	bool no_batch;
	const char *program;
	double sample[ROUNDS_MAX][WHAT_MAX];
};

static struct contender contenders[] = {
	{ .name = "weir", .suite = SUITE_MANY, .weir = true },
	{ .name = "peer_uring", .suite = SUITE_MANY, .program = "peer_uring" },
	{ .name = "peer_epoll", .suite = SUITE_MANY, .program = "peer_epoll" },
	{ .name = "weir-1", .suite = SUITE_ONE, .weir = true },
	{ .name = "weir-1-no-batch", .suite = SUITE_ONE, .weir = true, .no_batch = true },
	{ .name = "peer_uring-1", .suite = SUITE_ONE, .program = "peer_uring" },
	{ .name = "peer_epoll-1", .suite = SUITE_ONE, .program = "peer_epoll" },
};

#define CONTENDERS	((int)(sizeof(contenders) / sizeof(contenders[0])))

/* The project's limits, and the ratio or difference each one is about. */
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
	{ "system calls per request", "weir", NULL, WHAT_SYSCALLS, false, 0.03 },
	{ "p50 over no batching, ns", "weir-1", "weir-1-no-batch", WHAT_P50, true, 5000 },
	{ "peer_uring / peer_epoll, CPU", "peer_uring", "peer_epoll", WHAT_CPU, false, 1 },
};

#define LIMITS	(sizeof(limits) / sizeof(limits[0]))

struct bench {
	const char *weir;	/* program; NULL: only the peers */
	const char *peers;	/* directory */
	const char *out;	/* directory */
	const char *server_cpu;
	int rounds;
	struct load_opts load;
	struct load_result res;
};

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "echo_bench: %s: %s\n", what, strerror(-err));
	exit(1);
}

static bool enabled(const struct bench *b, const struct contender *c)
{
	return !c->weir || b->weir;
}

static void server_args(const struct bench *b, const struct contender *c, char *path,
			const char **argv)
{
	int n = 0;

	if (c->weir) {
		argv[n++] = b->weir;
		argv[n++] = "serve";
		argv[n++] = "echo";
		argv[n++] = "--workers";
		argv[n++] = "1";
		argv[n++] = "--no-bpf";
		argv[n++] = "--json-exit";
	} else {
		snprintf(path, PATH_MAX_BYTES, "%s/%s", b->peers, c->program);
		argv[n++] = path;
	}
	argv[n++] = "--port";
	argv[n++] = "PORT";
	argv[n++] = "--cpu";
	argv[n++] = b->server_cpu;
	if (c->no_batch)
		argv[n++] = "--no-batch";
	argv[n] = NULL;
}

static void note(struct bench *b, double *sample, const struct server_stats *stats)
{
	double requests = (double)stats->requests;
	const struct load_result *res = &b->res;

	sample[WHAT_CPU] = (double)stats->cpu_ns / requests;
	sample[WHAT_SYSCALLS] = (double)stats->syscalls / requests;
	sample[WHAT_RATE] = (double)res->requests * SEC_NS / (double)res->elapsed_ns;
	sample[WHAT_P50] = (double)hist_percentile(&res->service, 50);
	sample[WHAT_P99] = (double)hist_percentile(&res->service, 99);
	sample[WHAT_CLIENT_CPU] = (double)res->cpu_ns / (double)res->requests_total;
}

/* A sample with errors or with requests the server did not see is no sample. */
static void check_sample(const struct bench *b, const struct contender *c,
			 const struct server_stats *stats)
{
	uint64_t expected = b->res.requests_total * b->load.size_bytes;

	if (!load_errors(&b->res) && b->res.requests && stats->bytes == expected)
		return;
	fprintf(stderr, "echo_bench: %s: %" PRIu64 " errors, %" PRIu64 " bytes verified, %" PRIu64
		" bytes sent by the server\n", c->name, load_errors(&b->res), expected,
		stats->bytes);
	exit(1);
}

static void measure(struct bench *b, struct contender *c, int round)
{
	const char *argv[SERVER_ARGS_MAX];
	struct load_opts opts = b->load;
	struct server_stats stats;
	char path[PATH_MAX_BYTES];
	struct server server;
	int err, stop_err;

	server_args(b, c, path, argv);
	err = server_start(&server, argv);
	if (err)
		die(argv[0], err);
	load_opts_address(&opts, "127.0.0.1", server.port);
	if (c->suite == SUITE_ONE)
		opts.connections = 1;
	err = load_run(&opts, &b->res);
	stop_err = server_stop(&server, &stats);
	if (err || stop_err)
		die(c->name, err ? err : stop_err);
	check_sample(b, c, &stats);
	note(b, c->sample[round], &stats);
	fprintf(stderr, "round %d/%d  %-16s %7.0f ns/request  %.4f calls/request  %8.0f/s\n",
		round + 1, b->rounds, c->name, c->sample[round][WHAT_CPU],
		c->sample[round][WHAT_SYSCALLS], c->sample[round][WHAT_RATE]);
}

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
	int i;

	for (i = 0; i < CONTENDERS; i++)
		if (!strcmp(contenders[i].name, name))
			return enabled(b, &contenders[i]) ? &contenders[i] : NULL;
	return NULL;
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

static void print_table(const struct bench *b, FILE *out)
{
	const struct contender *c;
	struct spread s;
	size_t i;

	fprintf(out, "Echo, %u bytes, closed loop, server on CPU %s, client on CPU %d, %d rounds, medians\n",
		b->load.size_bytes, b->server_cpu, b->load.cpu, b->rounds);
	fprintf(out, "%-16s %6s %12s %14s %12s %11s %11s\n", "server", "conns", "cpu ns/req",
		"syscalls/req", "requests/s", "p50 us", "p99 us");
	for (c = contenders; c < contenders + CONTENDERS; c++) {
		if (!enabled(b, c))
			continue;
		fprintf(out, "%-16s %6u %12.0f %14.4f %12.0f %11.1f %11.1f\n", c->name,
			c->suite == SUITE_ONE ? 1 : b->load.connections,
			figure(b, c, WHAT_CPU).median, figure(b, c, WHAT_SYSCALLS).median,
			figure(b, c, WHAT_RATE).median, figure(b, c, WHAT_P50).median / 1e3,
			figure(b, c, WHAT_P99).median / 1e3);
	}
	fprintf(out, "\n%-32s %9s %9s %9s %9s\n", "within a round", "min", "median", "max",
		"limit");
	for (i = 0; i < LIMITS; i++)
		if (judge(b, &limits[i], &s))
			fprintf(out, "%-32s %9.3f %9.3f %9.3f %9.2f  %s\n", limits[i].text, s.min,
				s.median, s.max, limits[i].max,
				s.median <= limits[i].max ? "met" : "missed");
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
	for (w = 0; w < WHAT_MAX; w++) {
		json_spread(j, what_names[w], figure(b, c, w));
	}
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
	struct spread s;
	size_t i;

	json_array(j, "limits");
	for (i = 0; i < LIMITS; i++) {
		if (!judge(b, &limits[i], &s))
			continue;
		json_object(j, NULL);
		json_string(j, "text", limits[i].text);
		json_double(j, "limit", limits[i].max);
		json_spread(j, "measured", s);
		json_bool(j, "met", s.median <= limits[i].max);
		json_end_object(j);
	}
	json_end_array(j);
}

static int print_json(const struct bench *b, FILE *out)
{
	const struct contender *c;
	struct json j;

	json_init(&j, out, true);
	json_object(&j, NULL);
	json_u64(&j, "size_bytes", b->load.size_bytes);
	json_u64(&j, "rounds", (uint64_t)b->rounds);
	json_u64(&j, "duration_ns", b->load.duration_ns);
	json_object(&j, "servers");
	for (c = contenders; c < contenders + CONTENDERS; c++)
		if (enabled(b, c))
			json_contender(b, &j, c);
	json_end_object(&j);
	json_limits(b, &j);
	json_end_object(&j);
	return json_fini(&j);
}

static void write_file(const struct bench *b, const char *name, bool json)
{
	char path[PATH_MAX_BYTES];
	int err = 0;
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", b->out, name);
	out = fopen(path, "w");
	if (!out)
		die(path, -errno);
	if (json)
		err = print_json(b, out);
	else
		print_table(b, out);
	if (fclose(out) || err)
		die(path, -EIO);
}

static _Noreturn void usage(FILE *out, int status)
{
	fputs("Usage: echo_bench --peers DIR --out DIR [--weir PROGRAM] [OPTION]\n"
	      "Compare echo servers; the table goes to standard output and DIR/echo.txt,\n"
	      "all samples to DIR/echo.json. Without --weir only the peers are measured.\n"
	      "  --rounds N       default 7\n"
	      "  --seconds N      length of a sample, default 3\n"
	      "  --connections N  default 1000\n"
	      "  --size N         bytes of a message, default 64\n"
	      "  --server-cpu N   default 0\n"
	      "  --client-cpu N   default 1\n", out);
	exit(status);
}

static long number(const char *name, const char *text, long min, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (!errno && end != text && !*end && value >= min && value <= max)
		return value;
	fprintf(stderr, "echo_bench: --%s %s: must be %ld to %ld\n", name, text, min, max);
	exit(2);
}

static void set_option(struct bench *b, const char *name, const char *value)
{
	if (!strcmp(name, "weir"))
		b->weir = value;
	else if (!strcmp(name, "peers"))
		b->peers = value;
	else if (!strcmp(name, "out"))
		b->out = value;
	else if (!strcmp(name, "rounds"))
		b->rounds = (int)number(name, value, 1, ROUNDS_MAX);
	else if (!strcmp(name, "seconds"))
		b->load.duration_ns = (uint64_t)number(name, value, 1, 3600) * 1000000000U;
	else if (!strcmp(name, "connections"))
		b->load.connections = (uint32_t)number(name, value, 1, 15000);
	else if (!strcmp(name, "size"))
		b->load.size_bytes = (uint32_t)number(name, value, 1, LOAD_SIZE_MAX);
	else if (!strcmp(name, "client-cpu"))
		b->load.cpu = (int)number(name, value, 0, 1023);
	else if (number(name, value, 0, 1023) >= 0)
		b->server_cpu = value;
}

static void parse_args(struct bench *b, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "weir", required_argument, NULL, 1 },
		{ "peers", required_argument, NULL, 1 },
		{ "out", required_argument, NULL, 1 },
		{ "rounds", required_argument, NULL, 1 },
		{ "seconds", required_argument, NULL, 1 },
		{ "connections", required_argument, NULL, 1 },
		{ "size", required_argument, NULL, 1 },
		{ "server-cpu", required_argument, NULL, 1 },
		{ "client-cpu", required_argument, NULL, 1 },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c, i = 0;

	while ((c = getopt_long(argc, argv, "h", longs, &i)) != -1) {
		if (c == 'h')
			usage(stdout, 0);
		if (c != 1)
			usage(stderr, 2);
		set_option(b, longs[i].name, optarg);
	}
	if (optind != argc || !b->peers || !b->out)
		usage(stderr, 2);
}

int main(int argc, char **argv)
{
	static struct bench b = { .rounds = 7, .server_cpu = "0" };
	struct contender *c;
	int round, i;

	load_opts_init(&b.load);
	b.load.connections = 1000;
	b.load.cpu = 1;
	b.load.duration_ns = 3000000000U;
	b.load.warmup_ns = 300000000;
	parse_args(&b, argc, argv);
	for (round = 0; round < b.rounds; round++) {
		for (i = 0; i < CONTENDERS; i++) {
			c = &contenders[(i + round) % CONTENDERS];
			if (enabled(&b, c))
				measure(&b, c, round);
		}
	}
	write_file(&b, "echo.txt", false);
	write_file(&b, "echo.json", true);
	print_table(&b, stdout);
	return fflush(stdout) ? 1 : 0;
}
