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
#include <time.h>
#include <unistd.h>

#include "bench/echo_bench.h"
#include "bench/server.h"

#define PATH_MAX_BYTES	512
#define SEC_NS		1000000000.0

static struct contender contenders[] = {
	{ .name = "weir", .suite = SUITE_MANY, .weir = true },
	{ .name = "weir-steer", .suite = SUITE_MANY, .weir = true, .bpf = true, .no_flows = true },
	{ .name = "weir-bpf", .suite = SUITE_MANY, .weir = true, .bpf = true },
	{ .name = "peer_uring", .suite = SUITE_MANY, .program = "peer_uring" },
	{ .name = "peer_epoll", .suite = SUITE_MANY, .program = "peer_epoll" },
	{ .name = "weir-1", .suite = SUITE_ONE, .weir = true },
	{ .name = "weir-1-no-batch", .suite = SUITE_ONE, .weir = true, .no_batch = true },
	{ .name = "peer_uring-1", .suite = SUITE_ONE, .program = "peer_uring" },
	{ .name = "peer_epoll-1", .suite = SUITE_ONE, .program = "peer_epoll" },
	{ }
};

/* The processors at the start of a sample. */
struct use {
	struct timespec start;
	uint64_t server_ns;
	uint64_t client_ns;
};

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "echo_bench: %s: %s\n", what, strerror(-err));
	exit(1);
}

static bool wanted(const struct bench *b, const char *name)
{
	size_t len = strlen(name);
	const char *at = b->only;

	while (at && (strncmp(at, name, len) || (at[len] && at[len] != ','))) {
		at = strchr(at, ',');
		if (at)
			at++;
	}
	return !b->only || at;
}

static bool enabled(const struct bench *b, const struct contender *c)
{
	if (!wanted(b, c->name))
		return false;
	return !c->weir || (b->weir && (!c->bpf || b->bpf));
}

struct contender *contender_next(const struct bench *b, const struct contender *c)
{
	struct contender *next = c ? contenders + (c - contenders) + 1 : contenders;

	while (next->name && !enabled(b, next))
		next++;
	return next->name ? next : NULL;
}

/* A name of our own, so that no service that runs is in the way. */
static const char *instance(void)
{
	static char name[32];

	snprintf(name, sizeof(name), "bench-%d", (int)getpid());
	return name;
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
		argv[n++] = c->bpf ? "--instance" : "--no-bpf";
		if (c->bpf)
			argv[n++] = instance();
		if (c->no_flows)
			argv[n++] = "--no-flows";
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

/* What processor @cpu has spent on anything so far, in units of 10 ms. */
static uint64_t busy_ns(long cpu)
{
	uint64_t user, nice, system, idle, iowait, irq, softirq;
	uint64_t busy = 0;
	FILE *in = fopen("/proc/stat", "r");
	char line[PATH_MAX_BYTES];
	long id;

	if (!in)
		die("/proc/stat", -errno);
	while (fgets(line, sizeof(line), in))
		if (sscanf(line, "cpu%ld %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
			   " %" SCNu64 " %" SCNu64, &id, &user, &nice, &system, &idle, &iowait,
			   &irq, &softirq) == 8 && id == cpu)
			busy = user + nice + system + irq + softirq;
	fclose(in);
	return busy * (uint64_t)(SEC_NS / (double)sysconf(_SC_CLK_TCK));
}

static void use_begin(const struct bench *b, struct use *use)
{
	clock_gettime(CLOCK_MONOTONIC, &use->start);
	use->server_ns = busy_ns(atol(b->server_cpu));
	use->client_ns = busy_ns(b->load.cpu);
}

/* The share of others on the processor that they used more. */
static double use_of_others(const struct bench *b, const struct use *use,
			    const struct server_stats *stats)
{
	double server = (double)(busy_ns(atol(b->server_cpu)) - use->server_ns);
	double client = (double)(busy_ns(b->load.cpu) - use->client_ns);
	struct timespec now;
	double ns;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ns = (double)(now.tv_sec - use->start.tv_sec) * SEC_NS +
	     (double)(now.tv_nsec - use->start.tv_nsec);
	server -= (double)stats->cpu_ns;
	client -= (double)b->res.cpu_ns;
	if (client > server)
		server = client;
	return server > 0 ? server / ns : 0;
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
	struct use use;
	int err, stop_err;

	server_args(b, c, path, argv);
	use_begin(b, &use);
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
	c->sample[round][WHAT_OTHERS] = use_of_others(b, &use, &stats);
	fprintf(stderr, "round %d/%d  %-16s %7.0f ns/request  %.4f calls/request  %8.0f/s\n",
		round + 1, b->rounds, c->name, c->sample[round][WHAT_CPU],
		c->sample[round][WHAT_SYSCALLS], c->sample[round][WHAT_RATE]);
}

/* Each round starts with another server. */
static void run_round(struct bench *b, int round)
{
	struct contender *first = contender_next(b, NULL);
	struct contender *c;
	int i;

	for (i = 0; i < round; i++) {
		first = contender_next(b, first);
		if (!first)
			first = contender_next(b, NULL);
	}
	c = first;
	do {
		measure(b, c, round);
		c = contender_next(b, c);
		if (!c)
			c = contender_next(b, NULL);
	} while (c != first);
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
		err = report_json(b, out);
	else
		report_table(b, out);
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
	      "  --client-cpu N   default 1\n"
	      "  --only NAME[,NAME...]  measure these servers alone\n"
	      "  --bpf            weir with steering and telemetry as well; takes privileges\n"
	      "  --strict         a limit that is missed is a failure: status 1\n", out);
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
	else if (!strcmp(name, "only"))
		b->only = value;
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
		{ "only", required_argument, NULL, 1 },
		{ "bpf", no_argument, NULL, 'b' },
		{ "strict", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int c, i = 0;

	while ((c = getopt_long(argc, argv, "h", longs, &i)) != -1) {
		if (c == 'h')
			usage(stdout, 0);
		if (c == 's')
			b->strict = true;
		else if (c == 'b')
			b->bpf = true;
		else if (c == 1)
			set_option(b, longs[i].name, optarg);
		else
			usage(stderr, 2);
	}
	if (optind != argc || !b->peers || !b->out)
		usage(stderr, 2);
}

int main(int argc, char **argv)
{
	static struct bench b = { .rounds = 7, .server_cpu = "0" };
	int round;

	load_opts_init(&b.load);
	b.load.connections = 1000;
	b.load.cpu = 1;
	b.load.duration_ns = 3000000000U;
	b.load.warmup_ns = 300000000;
	parse_args(&b, argc, argv);
	if (!contender_next(&b, NULL)) {
		fprintf(stderr, "echo_bench: --only %s: no such server, or it takes --weir "
			"or --bpf\n", b.only);
		return 2;
	}
	for (round = 0; round < b.rounds; round++)
		run_round(&b, round);
	write_file(&b, "echo.txt", false);
	write_file(&b, "echo.json", true);
	report_table(&b, stdout);
	if (fflush(stdout) || ferror(stdout))
		die("cannot write", -EIO);
	return b.strict && report_missed(&b) ? 1 : 0;
}
