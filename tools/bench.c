// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* bench.c - weir bench: put load on an echo server and measure it */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_server.h"
#include "common.h"
#include "load.h"

struct bench {
	uint64_t connections, size, rate, duration, warmup, timeout, seed, cpu, sources, requests;
	uint64_t port, napi_us, server_cpu;
	const char *addr;
	bool churn, json, pretty, spectrum, verbose, serve, sqpoll;
	/* from here on: not options */
	struct bench_server server;
};

#define AT(field)	offsetof(struct bench, field)
#define CPU_NONE	UINT64_MAX

static const struct opt bench_opts[] = {
	{ "connections", 'c', OPT_COUNT, .offset = AT(connections), .value = "N", .min = 1,
	  .max = LOAD_CONNECTIONS_MAX, .help = "connections at the same time; default 1" },
	{ "size", 's', OPT_BYTES, .offset = AT(size), .value = "BYTES", .min = 1,
	  .max = LOAD_SIZE_MAX, .help = "of each message; default 64" },
	{ "rate", 'R', OPT_COUNT, .offset = AT(rate), .value = "N", .max = LOAD_RATE_MAX,
	  .help = "requests due per second (open loop); default 0:\n"
		  "                            the next when the last is answered (closed loop)" },
	{ "duration", 'd', OPT_TIME, .offset = AT(duration), .value = "TIME", .min = 1,
	  .max = LOAD_DURATION_MAX_NS, .help = "measured part; default 10s" },
	{ "warmup", 0, OPT_TIME, .offset = AT(warmup), .value = "TIME",
	  .max = LOAD_DURATION_MAX_NS, .help = "load before it that is not measured; default 0" },
	{ "timeout", 0, OPT_TIME, .offset = AT(timeout), .value = "TIME", .min = 1,
	  .max = HIST_MAX_NS, .help = "for a connect and for an answer; default 5s" },
	{ "new-conn", 'n', OPT_FLAG, .offset = AT(churn),
	  .help = "a new connection for each request" },
	{ "requests", 0, OPT_COUNT, .offset = AT(requests), .value = "N", .max = UINT64_MAX,
	  .help = "end after so many; default 0, no limit" },
	{ "sources", 0, OPT_COUNT, .offset = AT(sources), .value = "N", .max = LOAD_SOURCES_MAX,
	  .help = "spread connections over so many addresses of 127/8" },
	{ "seed", 0, OPT_COUNT, .offset = AT(seed), .value = "N", .max = UINT64_MAX,
	  .help = "of the bytes, and of when requests are due; default 1" },
	{ "cpu", 0, OPT_COUNT, .offset = AT(cpu), .value = "N", .max = CPU_SETSIZE - 1,
	  .help = "pin the client to a processor" },
	{ "addr", 'a', OPT_TEXT, .offset = AT(addr), .value = "ADDR",
	  .help = "of the server, numeric; default 127.0.0.1" },
	{ "port", 0, OPT_COUNT, .offset = AT(port), .value = "PORT", .min = 1, .max = 65535,
	  .help = "of the server; default 7777" },
	{ "serve", 0, OPT_FLAG, .offset = AT(serve),
	  .help = "run the server too: one worker, a thread of this process" },
	{ "sqpoll", 0, OPT_FLAG, .offset = AT(sqpoll),
	  .help = "--serve, and a kernel thread submits for it" },
	{ "napi", 0, OPT_COUNT, .offset = AT(napi_us), .value = "USEC", .min = 1, .max = 1000000,
	  .help = "--serve, and poll network devices USEC before sleeping" },
	{ "server-cpu", 0, OPT_COUNT, .offset = AT(server_cpu), .value = "N",
	  .max = CPU_SETSIZE - 1, .help = "--serve, and pin it to a processor" },
	{ "spectrum", 'L', OPT_FLAG, .offset = AT(spectrum),
	  .help = "print every percentile, in HdrHistogram's format" },
	{ "json", 'j', OPT_FLAG, .offset = AT(json), .help = "result as JSON" },
	{ "pretty", 'p', OPT_FLAG, .offset = AT(pretty), .help = "result as indented JSON" },
	{ "verbose", 'v', OPT_FLAG, .offset = AT(verbose),
	  .help = "progress each second, also when stderr is no terminal" },
	OPT_END
};

/* A line that overwrites itself on a terminal. */
struct progress {
	bool on, terminal;
};

static void show_progress(void *arg, const struct load_progress *p)
{
	const struct progress *progress = arg;
	double seconds = (double)p->interval_ns / 1e9;

	if (!progress->on)
		return;
	fprintf(stderr, "%s%5.0fs%s  %.0f req/s  p50 %.3f  p99 %.3f  max %.3f ms  %u conns  "
		"%u in flight%s", progress->terminal ? "\r\033[K" : "",
		(double)p->elapsed_ns / 1e9, p->warmup ? " warm-up" : "",
		seconds > 0 ? (double)p->interval_requests / seconds : 0,
		(double)p->interval_p50_ns / 1e6, (double)p->interval_p99_ns / 1e6,
		(double)p->interval_max_ns / 1e6, p->connected, p->inflight,
		progress->terminal ? "" : "\n");
	if (p->errors)
		fprintf(stderr, "%s%llu errors%s", progress->terminal ? "  " : "       ",
			(unsigned long long)p->errors, progress->terminal ? "" : "\n");
	fflush(stderr);
}

static int check_cpu(const struct command *cmd, const char *option, uint64_t cpu)
{
	if (cpu == CPU_NONE || cpu_allowed((int)cpu))
		return 0;
	return usage_error(cmd, "--%s: '%llu' " CPU_NOT_ALLOWED, option, (unsigned long long)cpu);
}

/* A server of ours is where it is; one that is told where it is, is not ours. */
static int fill_server(const struct command *cmd, struct bench *bench)
{
	const char *own = bench->serve ? "serve" : bench->sqpoll ? "sqpoll" :
			  bench->napi_us ? "napi" :
			  bench->server_cpu != CPU_NONE ? "server-cpu" : NULL;

	if (own && (bench->addr || bench->port))
		return usage_error(cmd, "--%s: the server is one of its own; --addr and "
				   "--port are for one that runs already", own);
	bench->serve = own;
	bench->server.sqpoll = bench->sqpoll;
	bench->server.napi_us = bench->napi_us;
	bench->server.cpu = bench->server_cpu == CPU_NONE ? -1 : (int)bench->server_cpu;
	if (!bench->addr)
		bench->addr = "127.0.0.1";
	if (!bench->port)
		bench->port = 7777;
	return 0;
}

static int fill(const struct command *cmd, const struct bench *bench, struct load_opts *opts)
{
	const char *why;

	load_opts_init(opts);
	if (load_opts_address(opts, bench->addr, (uint16_t)bench->port))
		return usage_error(cmd, "--addr: '%s' is not a numeric address", bench->addr);
	opts->connections = (uint32_t)bench->connections;
	opts->size_bytes = (uint32_t)bench->size;
	opts->sources = (uint32_t)bench->sources;
	opts->cpu = bench->cpu == CPU_NONE ? -1 : (int)bench->cpu;
	opts->churn = bench->churn;
	opts->udp = bench->server.udp;
	opts->rate = bench->rate;
	opts->duration_ns = bench->duration;
	opts->warmup_ns = bench->warmup;
	opts->timeout_ns = bench->timeout;
	opts->requests_max = bench->requests;
	opts->seed = bench->seed;
	opts->stop = &interrupted;
	why = load_opts_check(opts);
	return why ? usage_error(cmd, "--%s", why) : 0;
}

static int report(const struct bench *bench, const struct load_opts *opts,
		  const struct load_result *res)
{
	struct json j;

	if (!bench->json && !bench->pretty) {
		load_print(opts, res, stdout);
		if (bench->serve)
			bench_server_print(&bench->server, stdout);
		if (bench->spectrum)
			load_print_spectrum(res, stdout);
		return fflush(stdout) ? -EIO : 0;
	}
	json_init(&j, stdout, bench->pretty);
	json_object(&j, NULL);
	load_json(opts, res, &j);
	if (bench->serve)
		bench_server_json(&bench->server, &j);
	else
		json_null(&j, "server");
	json_end_object(&j);
	return json_fini(&j);
}

static int run(struct bench *bench, struct load_opts *opts, struct load_result *res)
{
	struct progress progress = {
		.terminal = isatty(STDERR_FILENO),
		.on = bench->verbose || (isatty(STDERR_FILENO) && !bench->json && !bench->pretty),
	};
	int err;

	opts->progress = show_progress;
	opts->arg = &progress;
	catch_signals();
	err = load_run(opts, res);
	if (progress.on && progress.terminal)
		fprintf(stderr, "\r\033[K");
	if (err == -EMFILE)
		return fail("%u connections: %s; a higher ulimit -n helps", opts->connections,
			    weir_strerror(err));
	if (err)
		return fail("no connection to %s port %u: %s", bench->addr,
			    (unsigned int)bench->port, weir_strerror(err));
	if (bench->serve && bench_server_stop(&bench->server))
		return WEIR_EXIT_FAILED;
	err = report(bench, opts, res);
	if (err)
		return fail("standard output: %s", weir_strerror(err));
	if (res->errors[LOAD_ERR_MISMATCH])
		return fail("%llu answers held bytes that were not sent",
			    (unsigned long long)res->errors[LOAD_ERR_MISMATCH]);
	if (!res->requests)
		return fail("not one request was answered");
	return WEIR_EXIT_OK;
}

/* With a new connection for each request the last ones may still be closing. */
static int run_with_server(const struct command *cmd, struct bench *bench,
			   struct load_opts *opts, struct load_result *res)
{
	int result;

	result = bench_server_open(&bench->server, opts->connections * (bench->churn ? 2 : 1));
	if (result)
		return result;
	bench->port = bench->server.port;
	result = fill(cmd, bench, opts);
	if (!result)
		result = run(bench, opts, res);
	bench_server_close(&bench->server);
	return result;
}

static int bench_run(const struct command *cmd, int argc, char **argv)
{
	struct bench bench = {
		.connections = 1,
		.size = 64,
		.duration = 10 * NS_PER_SEC,
		.timeout = 5 * NS_PER_SEC,
		.seed = 1,
		.cpu = CPU_NONE,
		.server_cpu = CPU_NONE,
	};
	struct load_result *res;
	struct load_opts opts;
	int n, result;

	n = opts_parse(cmd, argc, argv, &bench);
	if (n < 0)
		return opts_exit(n);
	if (n != 1)
		return usage_error(cmd, "one thing to measure: there are echo and udp-echo");
	bench.server.udp = !strcmp(argv[0], "udp-echo");
	if (!bench.server.udp && strcmp(argv[0], "echo"))
		return usage_error(cmd, "%s: no such benchmark; there are echo and udp-echo",
				   argv[0]);
	result = check_cpu(cmd, "cpu", bench.cpu);
	if (!result)
		result = check_cpu(cmd, "server-cpu", bench.server_cpu);
	if (!result)
		result = fill_server(cmd, &bench);
	if (!result)
		result = fill(cmd, &bench, &opts);
	if (result)
		return result;
	res = malloc(sizeof(*res));
	if (!res)
		return fail("%s", weir_strerror(-ENOMEM));
	result = bench.serve ? run_with_server(cmd, &bench, &opts, res) :
			       run(&bench, &opts, res);
	free(res);
	return result;
}

const struct command cmd_bench = {
	.name = "bench",
	.operands = "echo|udp-echo",
	.summary = "put load on an echo server and measure it",
	.about =
"With --rate, one request is due in each step of 1 / rate, at an instant that the\n"
"seed draws, whatever the server does, and latency counts from the instant a\n"
"request was due (no coordinated omission).\n"
"Every echoed byte is compared. Exit status 1 if nothing was answered or bytes\n"
"came back that were not sent; other errors are counted in the report.\n"
"With --serve, --sqpoll, --napi or --server-cpu it measures a server of its own,\n"
"and the report says what that had on and what a request cost it.\n"
"With udp-echo a connection is a socket, and a datagram without an answer within\n"
"--timeout is lost; its socket is replaced.",
	.examples =
"  weir bench echo -c 100 -d 10s\n"
"  weir bench echo -c 1000 -R 20k -d 30s -j\n"
"  weir bench echo --new-conn -c 1000 -R 800 -d 8s\n"
"  weir bench udp-echo -c 100 -R 10k --timeout 500ms\n"
"  weir bench echo --sqpoll -c 100 -d 3s --cpu 1 --server-cpu 0",
	.opts = bench_opts,
	.run = bench_run,
};
