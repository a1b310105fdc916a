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
#include "load.h"

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

struct run {
	struct load_result load;
	struct weir_supervisor_stats stats;
};

static int put_load(struct demo *demo, uint16_t port, struct load_result *load)
{
	struct load_opts opts;
	int err;

	demo_load_init(demo, port, &opts);
	opts.connections = 1000;
	opts.rate = RATE;
	opts.duration_ns = demo->duration_ns / 2;
	opts.timeout_ns = 5 * NS_PER_SEC;
	err = load_run(&opts, load);
	if (err)
		return demo_failed(demo, "the clients do not get through: %s", weir_strerror(err));
	return 0;
}

static int serve_one(struct demo *demo, unsigned int i, struct run *run, struct echo *echo,
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

static int run_one(struct demo *demo, unsigned int i, struct run *run, const char **off)
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

static double ms(const struct run *run, double percent)
{
	return (double)hist_percentile(&run->load.latency, percent) / 1e6;
}

static void print_table(const struct demo *demo, const struct run *run)
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
		table_cell(table, "%.2f", ms(&run[i], 50));
		table_cell(table, "%.2f", ms(&run[i], 99));
		table_cell(table, "%.2f", ms(&run[i], 99.9));
		table_cell(table, "%.2f", (double)hist_max(&run[i].load.latency) / 1e6);
		table_cell(table, "%llu", (unsigned long long)run[i].stats.rescued);
	}
	table_close(table, demo->out);
	fprintf(demo->out, "  What is left beyond P99 are clients that the worker had accepted "
		"before it hung.\n");
	fflush(demo->out);
}

static void add_json(const struct demo *demo, const struct run *run)
{
	struct json *j = demo->json;
	unsigned int i;

	if (!j)
		return;
	json_array(j, "runs");
	for (i = 0; i < RUNS; i++) {
		json_object(j, NULL);
		json_string(j, "name", runs[i].name);
		json_bool(j, "hang", runs[i].hang);
		json_bool(j, "rescue", runs[i].rescue);
		json_u64(j, "connections", run[i].load.requests);
		json_u64(j, "errors", load_errors(&run[i].load));
		json_u64(j, "resets", run[i].load.errors[LOAD_ERR_RESET]);
		hist_json(&run[i].load.latency, j, "latency_ns");
		json_u64(j, "rescues", run[i].stats.rescues);
		json_u64(j, "rescued", run[i].stats.rescued);
		json_u64(j, "rescue_failed", run[i].stats.rescue_failed);
		json_end_object(j);
	}
	json_end_array(j);
}

static int judge(struct demo *demo, const struct run *run)
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
		    "when its queue is moved, %.0f ms without a hang", ms(&run[STAYS], 100),
		    ms(&run[MOVED], 100), ms(&run[CALM], 100));
	if (run[MOVED].stats.rescue_failed)
		return demo_failed(demo, "%llu queues could not be moved",
				   (unsigned long long)run[MOVED].stats.rescue_failed);
	return 0;
}

int demo_rescue(struct demo *demo)
{
	struct run *run = calloc(RUNS, sizeof(*run));
	const char *off = NULL;
	unsigned int i;
	int failed = 0;

	if (!run)
		return demo_failed(demo, "%s", weir_strerror(-ENOMEM));
	fprintf(demo->out, "\nThe queue of a worker that hangs: %u workers, %d new connections a "
		"second,\nworker 0 blocks %d ms of every second\n", demo->workers, RATE,
		(int)(BLOCK_NS / NS_PER_MS));
	fflush(demo->out);
	for (i = 0; i < RUNS && !failed && !off && !interrupted; i++)
		failed = run_one(demo, i, &run[i], &off);
	if (off) {
		fprintf(demo->out, "  rescue: off (%s)\n", off);
		demo_sum_up(demo, "rescue: off (%.120s)", off);
	} else if (!failed && !interrupted) {
		print_table(demo, run);
		add_json(demo, run);
		failed = judge(demo, run);
	}
	if (demo->json)
		json_string(demo->json, "off", off);
	free(run);
	return failed;
}
