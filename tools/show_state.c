// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* show_state.c - what an instance is told, what it let in, what it costs */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "show.h"

/* gate */

static const struct counter gate_counters[] = {
	COUNTER(struct weir_gate, asked),
	COUNTER(struct weir_gate, shed),
	COUNTER(struct weir_gate, shed_prefix),
	COUNTER(struct weir_gate, prefix_failed),
	COUNTER(struct weir_gate, dgram_kept),
	COUNTER(struct weir_gate, dgram_moved),
	COUNTER(struct weir_gate, dgram_failed),
	COUNTER(struct weir_gate, dgram_named),
};

COUNTERS_ALL(gate_counters, struct weir_gate);

static uint64_t counter_value(const struct counter *counter, const void *of)
{
	const void *at = (const char *)of + counter->offset;

	return *(const __u64 *)at;
}

void counters_table(FILE *out, const struct counter *counters, size_t count, const void *of)
{
	static const char *const heads[] = { "<COUNTER", "VALUE", NULL };
	struct table *table = table_open(heads);
	size_t i;

	for (i = 0; i < count; i++) {
		table_cell(table, "%s", counters[i].name);
		table_cell(table, "%llu", (unsigned long long)counter_value(&counters[i], of));
	}
	table_close(table, out);
}

void counters_json(struct json *j, const struct counter *counters, size_t count, const void *of)
{
	size_t i;

	for (i = 0; i < count; i++)
		json_u64(j, counters[i].name, counter_value(&counters[i], of));
}

static int gate_table(struct weir_bpf_view *view, FILE *out)
{
	struct weir_gate gate;
	int err = weir_bpf_view_gate(view, &gate);

	if (!err)
		counters_table(out, gate_counters, ARRAY_SIZE(gate_counters), &gate);
	return err;
}

static int gate_json(struct weir_bpf_view *view, struct json *j)
{
	struct weir_gate gate;
	int err = weir_bpf_view_gate(view, &gate);

	if (err)
		return err;
	json_object(j, NULL);
	counters_json(j, gate_counters, ARRAY_SIZE(gate_counters), &gate);
	json_end_object(j);
	return 0;
}

const struct show_noun show_gate = { .name = "gate", .table = gate_table, .json = gate_json };

/* cfg */

static int cfg_table(struct weir_bpf_view *view, FILE *out)
{
	static const char *const heads[] = { "<MEMBER", "VALUE", NULL };
	const struct weir_cfg_member *members;
	unsigned int count, i;
	struct weir_cfg cfg;
	struct table *table;
	int err;

	err = weir_bpf_view_cfg(view, &cfg);
	if (err)
		return err;
	members = weir_cfg_members(&count);
	table = table_open(heads);
	for (i = 0; i < count; i++) {
		table_cell(table, "%s", members[i].name);
		if (!strcmp(members[i].name, "policy"))
			table_cell(table, "%s", show_policy(cfg.policy));
		else
			table_cell(table, "%llu",
				   (unsigned long long)weir_cfg_get(&cfg, &members[i]));
	}
	table_close(table, out);
	return 0;
}

void show_member_json(struct json *j, const struct weir_cfg *cfg,
		      const struct weir_cfg_member *member)
{
	if (!strcmp(member->name, "policy"))
		json_string(j, member->name, show_policy(cfg->policy));
	else
		json_u64(j, member->name, weir_cfg_get(cfg, member));
}

static int cfg_json(struct weir_bpf_view *view, struct json *j)
{
	const struct weir_cfg_member *members;
	unsigned int count, i;
	struct weir_cfg cfg;
	int err;

	err = weir_bpf_view_cfg(view, &cfg);
	if (err)
		return err;
	members = weir_cfg_members(&count);
	json_object(j, NULL);
	for (i = 0; i < count; i++)
		show_member_json(j, &cfg, &members[i]);
	json_end_object(j);
	return 0;
}

const struct show_noun show_cfg = { .name = "cfg", .table = cfg_table, .json = cfg_json };

/* cost */

#define PROGS_MAX	64

struct cost {
	struct weir_bpf_prog before[PROGS_MAX];
	struct weir_bpf_prog after[PROGS_MAX];
	size_t count;
	size_t count_after;
	uint64_t ns;
};

static uint64_t cost_interval_ns = NS_PER_SEC;

void show_cost_over(uint64_t ns)
{
	cost_interval_ns = ns;
}

static int note_before(void *ctx, const struct weir_bpf_prog *prog)
{
	struct cost *cost = ctx;

	if (cost->count == PROGS_MAX)
		return -E2BIG;
	cost->before[cost->count++] = *prog;
	return 0;
}

/* A program that came meanwhile has no count before; one that went is left out. */
static int note_after(void *ctx, const struct weir_bpf_prog *prog)
{
	struct cost *cost = ctx;
	size_t i;

	for (i = 0; i < cost->count; i++)
		if (cost->before[i].id == prog->id)
			break;
	if (i == cost->count)
		return 0;
	cost->before[cost->count_after] = cost->before[i];
	cost->after[cost->count_after++] = *prog;
	return 0;
}

/* Look twice, with the kernel's stop watch running in between. */
static int cost_read(struct weir_bpf_view *view, struct cost *cost)
{
	uint64_t began;
	int fd, err;

	memset(cost, 0, sizeof(*cost));
	fd = weir_bpf_cost_open();
	if (fd < 0)
		return fd;
	began = now_ns();
	err = weir_bpf_view_progs(view, note_before, cost);
	if (!err) {
		sleep_ns(cost_interval_ns);
		err = weir_bpf_view_progs(view, note_after, cost);
	}
	cost->ns = now_ns() - began;
	close(fd);
	return err;
}

static double mean_ns(uint64_t ns, uint64_t runs)
{
	return runs ? (double)ns / (double)runs : 0;
}

static int cost_table(struct weir_bpf_view *view, FILE *out)
{
	static const char *const heads[] = {
		"<PROGRAM", "<TYPE", "ID", "<TAG", "RUNS", "RUNS_S", "MEAN_NS", "CPU_PERCENT",
		"RUN_CNT", "RUN_TIME_NS", NULL
	};
	struct weir_bpf_prog *now;
	struct table *table;
	uint64_t runs, ns;
	struct cost cost;
	size_t i;
	int err;

	err = cost_read(view, &cost);
	if (err)
		return err;
	table = table_open(heads);
	for (i = 0; i < cost.count_after; i++) {
		now = &cost.after[i];
		runs = now->run_cnt - cost.before[i].run_cnt;
		ns = now->run_time_ns - cost.before[i].run_time_ns;
		table_cell(table, "%s", now->name);
		table_cell(table, "%s", now->type);
		table_cell(table, "%u", now->id);
		table_cell(table, "%s", now->tag);
		table_cell(table, "%llu", (unsigned long long)runs);
		table_cell(table, "%.0f", (double)runs * 1e9 / (double)cost.ns);
		table_cell(table, "%.0f", mean_ns(ns, runs));
		table_cell(table, "%.3f", 100.0 * (double)ns / (double)cost.ns);
		table_cell(table, "%llu", (unsigned long long)now->run_cnt);
		table_cell(table, "%llu", (unsigned long long)now->run_time_ns);
	}
	table_close(table, out);
	return 0;
}

static int cost_json(struct weir_bpf_view *view, struct json *j)
{
	struct weir_bpf_prog *now;
	uint64_t runs, ns;
	struct cost cost;
	size_t i;
	int err;

	err = cost_read(view, &cost);
	if (err)
		return err;
	for (i = 0; i < cost.count_after; i++) {
		now = &cost.after[i];
		runs = now->run_cnt - cost.before[i].run_cnt;
		ns = now->run_time_ns - cost.before[i].run_time_ns;
		json_object(j, NULL);
		json_string(j, "name", now->name);
		json_string(j, "type", now->type);
		json_u64(j, "id", now->id);
		json_string(j, "tag", now->tag);
		json_u64(j, "interval_ns", cost.ns);
		json_u64(j, "runs", runs);
		json_u64(j, "ns", ns);
		json_double(j, "mean_ns", mean_ns(ns, runs));
		json_u64(j, "run_cnt", now->run_cnt);
		json_u64(j, "run_time_ns", now->run_time_ns);
		json_end_object(j);
	}
	return 0;
}

const struct show_noun show_cost = { .name = "cost", .table = cost_table, .json = cost_json };
