// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * demo_shed.c - more clients than workers can serve
 *
 * Twice half as many again as there is room for: once all are let in and wait for
 * each other, once a share is refused at its first packet, at once.
 */
#include <errno.h>

#include "common.h"
#include "demo.h"

#define WORKERS		2
#define HANDLER_NS	(4 * NS_PER_MS)		/* what a request takes of its worker */
#define CONNS		256			/* of a worker: bounds its turn */
#define CAPACITY	(WORKERS * NS_PER_SEC / HANDLER_NS)
#define RATE		(CAPACITY * 3 / 2)
#define LEAST_NS	(4 * NS_PER_SEC)	/* of one run: windows of 100 ms */

enum { LET_IN, SHED, RUNS };

static const char *const names[RUNS] = { "all are let in", "a share is refused" };

/* By the kernel half. */
static uint64_t refused(const struct demo_run *run)
{
	return run->load.errors[LOAD_ERR_CONNECT];
}

static void slow_data(struct weir_conn *conn, struct weir_lease *lease)
{
	if (!lease) {
		weir_conn_close(conn);
		return;
	}
	/* A sleep, so that the clients have the processor. */
	sleep_ns(HANDLER_NS);
	if (weir_conn_send_lease(conn, lease, 0, weir_lease_len(lease)) < 0)
		weir_conn_abort(conn, -EIO);
}

static const struct weir_service_ops slow_ops = { .data = slow_data };

static int put_load(struct demo *demo, uint16_t port, struct load_result *load)
{
	struct load_opts opts;

	demo_load_init(demo, port, &opts);
	opts.connections = 4000;
	opts.rate = RATE;
	opts.duration_ns = demo->duration_ns / 2 > LEAST_NS ? demo->duration_ns / 2 : LEAST_NS;
	opts.timeout_ns = 10 * NS_PER_SEC;
	return demo_clients(demo, &opts, load);
}

static int run_one(struct demo *demo, unsigned int i, struct demo_run *run, const char **off)
{
	struct demo_service ds = { 0 };
	struct weir_service_opts opts = {
		.sz = sizeof(opts),
		.ops = &slow_ops,
		.workers = WORKERS,
		.conns_max = CONNS,
	};
	static char why[WEIR_BPF_WHY_BYTES];
	int failed;

	failed = demo_open(demo, &ds, &opts, WEIR_POLICY_P2C);
	if (failed)
		return failed;
	if (!weir_service_supervisor(ds.service)) {
		snprintf(why, sizeof(why), "%s", ds.steer.reason);
		*off = why;
	} else {
		if (i == LET_IN)
			__atomic_store_n(&weir_bpf_cfg(ds.steer.bpf)->shed_max_permille, 0,
					 __ATOMIC_RELAXED);
		failed = put_load(demo, ds.port, &run->load);
		weir_supervisor_stats(weir_service_supervisor(ds.service), &run->stats,
				      sizeof(run->stats));
	}
	demo_close(&ds);
	return failed;
}

static void print_table(const struct demo *demo, const struct demo_run *run)
{
	static const char *const heads[] = {
		"<  RUN", "SERVED", "REFUSED", "FAILED", "P50_MS", "P99_MS", "MAX_MS", NULL,
	};
	struct table *table = table_open(heads);
	unsigned int i;

	for (i = 0; i < RUNS; i++) {
		table_cell(table, "  %s", names[i]);
		table_cell(table, "%llu", (unsigned long long)run[i].load.requests);
		table_cell(table, "%llu", (unsigned long long)refused(&run[i]));
		table_cell(table, "%llu", (unsigned long long)(load_errors(&run[i].load) -
							      refused(&run[i])));
		table_cell(table, "%.1f", demo_ms(&run[i].load, 50));
		table_cell(table, "%.1f", demo_ms(&run[i].load, 99));
		table_cell(table, "%.1f", (double)hist_max(&run[i].load.latency) / 1e6);
	}
	table_close(table, demo->out);
	fflush(demo->out);
}

static void add_json(struct json *j, unsigned int i, const struct demo_run *run)
{
	json_string(j, "name", names[i]);
	json_u64(j, "served", run->load.requests);
	json_u64(j, "refused", refused(run));
	json_u64(j, "failed", load_errors(&run->load) - refused(run));
	hist_json(&run->load.latency, j, "latency_ns");
	json_u64(j, "shed_windows", run->stats.shed_windows);
}

static int judge(struct demo *demo, const struct demo_run *run)
{
	demo_sum_up(demo, "shedding: half the clients wait %.0f ms when all are let in, %.0f ms "
		    "when %llu are refused", demo_ms(&run[LET_IN].load, 50),
		    demo_ms(&run[SHED].load, 50), (unsigned long long)refused(&run[SHED]));
	if (refused(&run[LET_IN]))
		return demo_failed(demo, "%llu clients were refused with shedding off",
				   (unsigned long long)refused(&run[LET_IN]));
	if (!refused(&run[SHED]))
		return demo_failed(demo, "nobody was refused, but all workers were slow");
	return 0;
}

int demo_shed(struct demo *demo)
{
	static const struct demo_series series = {
		.what	= "shedding",
		.count	= RUNS,
		.run	= run_one,
		.print	= print_table,
		.json	= add_json,
		.judge	= judge,
	};

	fprintf(demo->out, "\nMore clients than can be served: %d workers, room for %d a second, "
		"%d come\n", WORKERS, (int)CAPACITY, (int)RATE);
	fflush(demo->out);
	return demo_series(demo, &series);
}
