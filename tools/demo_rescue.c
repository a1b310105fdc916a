// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * demo_rescue.c - what waits for a worker that hangs is served by the others
 *
 * The same arrivals three times: nobody hangs; one hangs and its queue stays; one
 * hangs and its queue is moved. New clients avoid it in any case once it is known
 * to hang; those that came before that are what rescue is about.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "demo.h"
#include "echo.h"

#define RATE		800
#define BLOCK_NS	(400 * NS_PER_MS)
#define PERIOD_NS	NS_PER_SEC

static const struct {
	const char *name;
	bool hang, rescue;
} runs[] = {
	{ "nobody hangs", false, true },
	{ "one hangs, its queue stays", true, false },
	{ "one hangs, its queue is moved", true, true },
};

enum { CALM, STAYS, MOVED, RUNS };

static int put_load(struct demo *demo, uint16_t port, struct load_result *load)
{
	struct load_opts opts;

	demo_load_init(demo, port, &opts);
	opts.connections = 1000;
	opts.rate = RATE;
	opts.duration_ns = demo->duration_ns / 2;
	opts.timeout_ns = 5 * NS_PER_SEC;
	return demo_clients(demo, &opts, load);
}

static int serve_one(struct demo *demo, unsigned int i, struct demo_run *run, struct echo *echo,
		     const char **off)
{
	struct demo_service ds = { 0 };
	struct weir_service_opts opts = {
		.sz = sizeof(opts),
		.ops = &echo_ops,
		.ctx = echo,
		.workers = demo->workers,
	};
	static char why[WEIR_BPF_WHY_BYTES];
	int failed;

	if (runs[i].hang)
		echo->stall = (struct echo_stall){ 1, 0, BLOCK_NS, PERIOD_NS };
	failed = demo_open(demo, &ds, &opts, WEIR_POLICY_P2C);
	if (failed)
		return failed;
	if (!weir_service_rescue(ds.service, off)) {
		snprintf(why, sizeof(why), "%s", ds.steer.bpf ? *off : ds.steer.reason);
		*off = why;
	} else {
		if (!runs[i].rescue)
			__atomic_store_n(&weir_bpf_cfg(ds.steer.bpf)->rescue_ns, NEVER_NS,
					 __ATOMIC_RELAXED);
		failed = put_load(demo, ds.port, &run->load);
		weir_supervisor_stats(weir_service_supervisor(ds.service), &run->stats,
				      sizeof(run->stats));
	}
	demo_close(&ds);
	return failed;
}

static int run_one(struct demo *demo, unsigned int i, struct demo_run *run, const char **off)
{
	struct echo *echo = aligned_alloc(64, sizeof(*echo));
	int failed;

	if (!echo)
		return demo_failed(demo, "%s", weir_strerror(-ENOMEM));
	memset(echo, 0, sizeof(*echo));
	failed = serve_one(demo, i, run, echo, off);
	free(echo);
	return failed;
}

static void print_table(const struct demo *demo, const struct demo_run *run)
{
	static const char *const heads[] = {
		"<  RUN", "CONNECTIONS", "ERRORS", "P50_MS", "P99_MS", "P99.9_MS", "MAX_MS",
		"MOVED", NULL,
	};
	struct table *table = table_open(heads);
	unsigned int i;

	for (i = 0; i < RUNS; i++) {
		table_cell(table, "  %s", runs[i].name);
		table_cell(table, "%llu", (unsigned long long)run[i].load.requests);
		table_cell(table, "%llu", (unsigned long long)load_errors(&run[i].load));
		table_cell(table, "%.2f", demo_ms(&run[i].load, 50));
		table_cell(table, "%.2f", demo_ms(&run[i].load, 99));
		table_cell(table, "%.2f", demo_ms(&run[i].load, 99.9));
		table_cell(table, "%.2f", (double)hist_max(&run[i].load.latency) / 1e6);
		table_cell(table, "%llu", (unsigned long long)run[i].stats.rescued);
	}
	table_close(table, demo->out);
	fprintf(demo->out, "  What is left beyond P99 are clients that the worker had accepted "
		"before it hung.\n");
	fflush(demo->out);
}

static void add_json(struct json *j, unsigned int i, const struct demo_run *run)
{
	json_string(j, "name", runs[i].name);
	json_bool(j, "hang", runs[i].hang);
	json_bool(j, "rescue", runs[i].rescue);
	json_u64(j, "connections", run->load.requests);
	json_u64(j, "errors", load_errors(&run->load));
	json_u64(j, "resets", run->load.errors[LOAD_ERR_RESET]);
	hist_json(&run->load.latency, j, "latency_ns");
	json_u64(j, "rescues", run->stats.rescues);
	json_u64(j, "rescued", run->stats.rescued);
	json_u64(j, "rescue_failed", run->stats.rescue_failed);
}

static int judge(struct demo *demo, const struct demo_run *run)
{
	unsigned int i;

	for (i = 0; i < RUNS; i++) {
		if (!run[i].load.requests || load_errors(&run[i].load))
			return demo_failed(demo, "%s: %llu of %llu clients were not served",
					   runs[i].name,
					   (unsigned long long)load_errors(&run[i].load),
					   (unsigned long long)run[i].load.issued);
	}
	demo_sum_up(demo, "rescue: the slowest client waits %.0f ms when a worker hangs, %.0f ms "
		    "when its queue is moved, %.0f ms without a hang",
		    demo_ms(&run[STAYS].load, 100), demo_ms(&run[MOVED].load, 100),
		    demo_ms(&run[CALM].load, 100));
	if (run[MOVED].stats.rescue_failed)
		return demo_failed(demo, "%llu queues could not be moved",
				   (unsigned long long)run[MOVED].stats.rescue_failed);
	return 0;
}

int demo_rescue(struct demo *demo)
{
	static const struct demo_series series = {
		.what	= "rescue",
		.count	= RUNS,
		.run	= run_one,
		.print	= print_table,
		.json	= add_json,
		.judge	= judge,
	};

	fprintf(demo->out, "\nThe queue of a worker that hangs: %u workers, %d new connections a "
		"second,\nworker 0 blocks %d ms of every second\n", demo->workers, RATE,
		(int)(BLOCK_NS / NS_PER_MS));
	fflush(demo->out);
	return demo_series(demo, &series);
}
