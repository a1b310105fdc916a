// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* show_workers.c - one row per worker: what it says, what steering makes of it */
#include <errno.h>
#include <string.h>

#include "common.h"
#include "show.h"

static int64_t waiting(const struct weir_bpf_worker *w)
{
	int64_t n = (int64_t)(w->pending.established - w->row.accepted) - w->pending.unaccepted;

	return n > 0 ? n : 0;
}

static uint64_t hist_sum(const __u64 buckets[WEIR_HIST_BUCKETS])
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < WEIR_HIST_BUCKETS; i++)
		sum += buckets[i];
	return sum;
}

/* The upper edge, in us, of the bucket in which @permille of all are reached; 0: none. */
static uint64_t hist_edge_us(const __u64 buckets[WEIR_HIST_BUCKETS], unsigned int permille)
{
	uint64_t sum = hist_sum(buckets), want = (sum * permille + 999) / 1000, seen = 0;
	unsigned int i;

	for (i = 0; sum && i < WEIR_HIST_BUCKETS; i++) {
		seen += buckets[i];
		if (seen >= want)
			return 1ULL << i;
	}
	return 0;
}

static int workers_table(struct weir_bpf_view *view, FILE *out)
{
	static const char *const heads[] = {
		"WORKER", "<STATE", "<SPEED", "<ADMIN", "WEIGHT", "TURN_MS", "ACCEPTED", "CONNS",
		"PENDING", "INFLIGHT", "QDELAY_US", "QUEUE_P50_US", "QUEUE_P99_US",
		"ACCEPT_P99_US", "PICKED", "SKIP_STALE", "SKIP_STATE", "FALLBACK",
		"MIGRATED", "TID", NULL
	};
	struct table *table = table_open(heads);
	struct weir_bpf_worker w;
	unsigned int i;
	int err;

	for (i = 0; !(err = weir_bpf_view_worker(view, i, &w)); i++) {
		table_cell(table, "%u", i);
		table_cell(table, "%s", show_state(w.row.state));
		table_cell(table, "%s", show_speed(w.row.speed));
		table_cell(table, "%s", show_admin(w.admin.state));
		table_cell(table, "%u", w.admin.weight);
		table_cell(table, "%.1f", (double)show_age_ns(w.row.loop_ns) / 1e6);
		table_cell(table, "%llu", w.row.accepted);
		table_cell(table, "%u", w.row.conns);
		table_cell(table, "%lld", (long long)waiting(&w));
		table_cell(table, "%u", w.row.inflight);
		table_cell(table, "%u", w.row.qdelay_us);
		table_cell(table, "%llu", (unsigned long long)hist_edge_us(w.hist.queue, 500));
		table_cell(table, "%llu", (unsigned long long)hist_edge_us(w.hist.queue, 990));
		table_cell(table, "%llu", (unsigned long long)hist_edge_us(w.hist.accept, 990));
		table_cell(table, "%llu", w.listener.picked);
		table_cell(table, "%llu", w.listener.skip_stale);
		table_cell(table, "%llu", w.listener.skip_state);
		table_cell(table, "%llu", w.listener.fallback);
		table_cell(table, "%llu", w.listener.migrated);
		table_cell(table, "%u", w.row.pid);
	}
	table_close(table, out);
	return err == -ENOENT ? 0 : err;
}

static void hist_json(struct json *j, const char *name, const __u64 buckets[WEIR_HIST_BUCKETS])
{
	unsigned int i;

	json_object(j, name);
	json_u64(j, "count", hist_sum(buckets));
	json_u64(j, "p50_us", hist_edge_us(buckets, 500));
	json_u64(j, "p90_us", hist_edge_us(buckets, 900));
	json_u64(j, "p99_us", hist_edge_us(buckets, 990));
	json_u64(j, "p999_us", hist_edge_us(buckets, 999));
	json_array(j, "buckets");
	for (i = 0; i < WEIR_HIST_BUCKETS; i++)
		json_u64(j, NULL, buckets[i]);
	json_end_array(j);
	json_end_object(j);
}

static void worker_json(struct json *j, unsigned int worker, const struct weir_bpf_worker *w)
{
	json_object(j, NULL);
	json_u64(j, "worker", worker);
	json_string(j, "state", show_state(w->row.state));
	json_string(j, "speed", show_speed(w->row.speed));
	json_string(j, "admin", show_admin(w->admin.state));
	json_u64(j, "weight", w->admin.weight);
	json_u64(j, "loop_ns", w->row.loop_ns);
	json_u64(j, "turn_age_ns", show_age_ns(w->row.loop_ns));
	json_u64(j, "accepted", w->row.accepted);
	json_u64(j, "conns", w->row.conns);
	json_u64(j, "pending", (uint64_t)waiting(w));
	json_u64(j, "established", w->pending.established);
	json_u64(j, "inflight", w->row.inflight);
	json_u64(j, "cq_ready", w->row.cq_ready);
	json_u64(j, "qdelay_us", w->row.qdelay_us);
	json_u64(j, "wait_us", w->row.wait_us);
	json_u64(j, "epoch", w->row.epoch);
	json_u64(j, "cookie", w->row.cookie);
	json_u64(j, "tid", w->row.pid);
	json_u64(j, "picked", w->listener.picked);
	json_u64(j, "skip_stale", w->listener.skip_stale);
	json_u64(j, "skip_state", w->listener.skip_state);
	json_u64(j, "select_err", w->listener.select_err);
	json_u64(j, "fallback", w->listener.fallback);
	json_u64(j, "migrated", w->listener.migrated);
	hist_json(j, "queue_delay", w->hist.queue);
	hist_json(j, "accept_delay", w->hist.accept);
	json_end_object(j);
}

static int workers_json(struct weir_bpf_view *view, struct json *j)
{
	struct weir_bpf_worker w;
	unsigned int i;
	int err;

	for (i = 0; !(err = weir_bpf_view_worker(view, i, &w)); i++)
		worker_json(j, i, &w);
	return err == -ENOENT ? 0 : err;
}

const struct show_noun show_workers = {
	.name = "workers", .table = workers_table, .json = workers_json,
};
