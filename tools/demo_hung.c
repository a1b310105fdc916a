// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * demo_hung.c - a worker that hangs, and who notices
 *
 * The same load twice: clients placed by a blind hash of the four-tuple (by BPF
 * where it is there, else by the kernel), and by the load that workers publish.
 * A hung worker keeps the clients it has accepted already; new ones must not
 * find it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "demo.h"
#include "echo.h"

#define RATE		800
#define BLOCK_NS	(400 * NS_PER_MS)
#define PERIOD_NS	NS_PER_SEC
#define WORKER_COLUMN	7	/* of the first worker, in the table */

struct hung {
	const char *policy;	/* in force */
	bool bpf;
	struct load_result load;
	uint64_t accepted[DEMO_WORKERS_MAX];
	uint64_t picked[DEMO_WORKERS_MAX];	/* of BPF */
};

static void read_workers(const struct demo *demo, const struct demo_service *ds, struct hung *hung)
{
	struct weir_service_stats stats;
	struct weir_bpf_view *view;
	struct weir_bpf_worker w;
	unsigned int i;

	for (i = 0; i < demo->workers; i++) {
		memset(&stats, 0, sizeof(stats));
		weir_service_stats(ds->service, i, &stats, sizeof(stats));
		hung->accepted[i] = stats.accepted;
	}
	if (!hung->bpf || weir_bpf_view_open(&view, demo->instance))
		return;
	for (i = 0; i < demo->workers; i++)
		if (!weir_bpf_view_worker(view, i, &w))
			hung->picked[i] = w.listener.picked;
	weir_bpf_view_close(view);
}

static void progress(void *arg, const struct load_progress *p)
{
	fprintf(stderr, "\r\033[K  %s: %.0f s, %llu connections, p99 %.1f ms", (char *)arg,
		(double)p->elapsed_ns / 1e9, (unsigned long long)p->requests,
		(double)p->interval_p99_ns / 1e6);
}

static int put_load(struct demo *demo, const struct demo_service *ds, struct hung *hung)
{
	bool terminal = isatty(STDERR_FILENO) && !demo->json;
	struct load_opts opts;
	int failed;

	demo_load_init(demo, ds->port, &opts);
	opts.connections = 1000;
	opts.rate = RATE;
	opts.duration_ns = demo->duration_ns;
	opts.timeout_ns = 5 * NS_PER_SEC;
	if (terminal) {
		opts.progress = progress;
		opts.arg = (void *)(uintptr_t)hung->policy;
	}
	failed = demo_clients(demo, &opts, &hung->load);
	if (terminal)
		fprintf(stderr, "\r\033[K");
	return failed;
}

static int run_policy(struct demo *demo, unsigned int policy, struct hung *hung,
		      struct steer *steer)
{
	struct demo_service ds = { 0 };
	struct weir_service_opts opts = {
		.sz = sizeof(opts),
		.ops = &echo_ops,
		.workers = demo->workers,
	};
	struct echo *echo = aligned_alloc(64, sizeof(*echo));
	int failed;

	if (!echo)
		return demo_failed(demo, "%s", weir_strerror(-ENOMEM));
	memset(echo, 0, sizeof(*echo));
	echo->stall = (struct echo_stall){ 1, 0, BLOCK_NS, PERIOD_NS };
	opts.ctx = echo;
	failed = demo_open(demo, &ds, &opts, policy);
	if (!failed) {
		*steer = ds.steer;
		hung->policy = ds.steer.policy;
		hung->bpf = ds.steer.bpf;
		/* What steering alone does: the part that comes next is about rescue. */
		if (hung->bpf)
			__atomic_store_n(&weir_bpf_cfg(ds.steer.bpf)->rescue_ns, NEVER_NS,
					 __ATOMIC_RELAXED);
		failed = put_load(demo, &ds, hung);
		read_workers(demo, &ds, hung);
		demo_close(&ds);
	}
	free(echo);
	return failed;
}

static void add_row(struct table *table, const struct hung *hung, unsigned int workers)
{
	const uint64_t *share = hung->bpf ? hung->picked : hung->accepted;
	unsigned int i;

	table_cell(table, "  %s", hung->policy);
	table_cell(table, "%llu", (unsigned long long)hung->load.requests);
	table_cell(table, "%llu", (unsigned long long)load_errors(&hung->load));
	table_cell(table, "%.2f", demo_ms(&hung->load, 50));
	table_cell(table, "%.2f", demo_ms(&hung->load, 99));
	table_cell(table, "%.2f", demo_ms(&hung->load, 99.9));
	table_cell(table, "%.2f", (double)hist_max(&hung->load.latency) / 1e6);
	for (i = 0; i < workers; i++)
		table_cell(table, "%llu", (unsigned long long)share[i]);
}

static void print_table(const struct demo *demo, const struct hung *hung, unsigned int count)
{
	const char *heads[WORKER_COLUMN + DEMO_WORKERS_MAX + 1] = {
		"<  POLICY", "CONNECTIONS", "ERRORS", "P50_MS", "P99_MS", "P99.9_MS", "MAX_MS",
		"PICKS_W0",
	};
	char names[DEMO_WORKERS_MAX][8];
	struct table *table;
	unsigned int i;

	for (i = 1; i < demo->workers; i++) {
		snprintf(names[i], sizeof(names[i]), "W%u", i);
		heads[WORKER_COLUMN + i] = names[i];
	}
	table = table_open(heads);
	for (i = 0; i < count; i++)
		add_row(table, &hung[i], demo->workers);
	table_close(table, demo->out);
	fflush(demo->out);
}

static void add_json(const struct demo *demo, const struct hung *hung, unsigned int count)
{
	struct json *j = demo->json;
	unsigned int i, w;

	if (!j)
		return;
	json_array(j, "policies");
	for (i = 0; i < count; i++) {
		json_object(j, NULL);
		json_string(j, "policy", hung[i].policy);
		json_bool(j, "bpf", hung[i].bpf);
		json_u64(j, "connections", hung[i].load.requests);
		json_u64(j, "errors", load_errors(&hung[i].load));
		hist_json(&hung[i].load.latency, j, "latency_ns");
		json_array(j, "accepted");
		for (w = 0; w < demo->workers; w++)
			json_u64(j, NULL, hung[i].accepted[w]);
		json_end_array(j);
		json_array(j, "picked");
		for (w = 0; hung[i].bpf && w < demo->workers; w++)
			json_u64(j, NULL, hung[i].picked[w]);
		json_end_array(j);
		json_end_object(j);
	}
	json_end_array(j);
}

static int judge(struct demo *demo, const struct hung *hung, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (!hung[i].load.requests)
			return demo_failed(demo, "%s: no client was answered", hung[i].policy);
		if (load_errors(&hung[i].load))
			return demo_failed(demo, "%s: %llu of %llu clients were not served",
					   hung[i].policy,
					   (unsigned long long)load_errors(&hung[i].load),
					   (unsigned long long)hung[i].load.issued);
	}
	if (count < 2) {
		demo_sum_up(demo, "hung worker: p99 %.1f ms by the kernel's hash; p2c needs BPF",
			    demo_ms(&hung->load, 99));
		return 0;
	}
	demo_sum_up(demo, "hung worker: p99 %.1f ms by hash, %.1f ms by p2c",
		    demo_ms(&hung[0].load, 99), demo_ms(&hung[1].load, 99));
	/* Of how long they waited the machine is a part, whose time others may take. */
	if (hung[1].picked[0] >= hung[0].picked[0])
		return demo_failed(demo, "p2c does not keep clients from the hung worker: it was "
				   "picked %llu times, by hash %llu",
				   (unsigned long long)hung[1].picked[0],
				   (unsigned long long)hung[0].picked[0]);
	return 0;
}

int demo_hung(struct demo *demo)
{
	static const unsigned int policies[] = { WEIR_POLICY_HASH, WEIR_POLICY_P2C };
	struct hung *hung = calloc(ARRAY_SIZE(policies), sizeof(*hung));
	unsigned int count = 0;
	struct steer steer;
	int failed = 0;

	if (!hung)
		return demo_failed(demo, "%s", weir_strerror(-ENOMEM));
	fprintf(demo->out,
		"A worker that hangs: %u workers, worker 0 blocks %d ms of every second; %d new\n"
		"connections a second, latency from the instant each was due\n", demo->workers,
		(int)(BLOCK_NS / NS_PER_MS), RATE);
	fprintf(demo->out,
		"  The hash is blind: it takes the four-tuple alone, made by BPF where that is to\n"
		"  be had, else by the kernel; p2c looks at the load that workers publish\n");
	fflush(demo->out);
	while (count < ARRAY_SIZE(policies) && !failed && !interrupted) {
		failed = run_policy(demo, policies[count], &hung[count], &steer);
		if (failed)
			break;
		count++;
		if (!steer.bpf) {
			fprintf(demo->out, "  steering by load: off (%s)\n"
				"  PICKS are connections accepted\n", steer.reason);
			break;
		}
	}
	if (count)
		print_table(demo, hung, count);
	if (count > 1)
		fprintf(demo->out, "  What is left beyond P99 are clients that the worker had "
			"accepted before it hung.\n");
	add_json(demo, hung, count);
	if (!failed && !interrupted)
		failed = judge(demo, hung, count);
	free(hung);
	return failed;
}
