/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_SHOW_H
#define WEIR_TOOLS_SHOW_H

#include <stdbool.h>
#include <stdio.h>
#include <weir/bpf.h>

#include "json.h"

/* One thing that `weir show` shows of an instance. Each returns 0 or -errno. */
struct show_noun {
	const char *name;
	int (*table)(struct weir_bpf_view *view, FILE *out);
	int (*json)(struct weir_bpf_view *view, struct json *j);
};

extern const struct show_noun show_workers, show_flows, show_events, show_gate, show_cfg, show_cost;
extern const struct show_noun show_group, show_vips, show_xdp;

/* A counter of 64 bits in a structure, by its name there. */
struct counter {
	const char *name;
	size_t offset;
};

#define COUNTER(type, member)	{ #member, offsetof(type, member) }
#define COUNTERS_ALL(table, type)						\
	_Static_assert(ARRAY_SIZE(table) * sizeof(__u64) == sizeof(type), "one name per counter")

/* counters_table() - those of the structure at @of, a row each; and as members of JSON. */
void counters_table(FILE *out, const struct counter *counters, size_t count, const void *of);
void counters_json(struct json *j, const struct counter *counters, size_t count, const void *of);

/* show_age_ns() - how long ago that was; 0 for never. */
uint64_t show_age_ns(uint64_t then);

/* show_cost_over() - how long `show cost` measures. */
void show_cost_over(uint64_t ns);

/* show_member_json() - one member of the configuration, the policy by its name. */
void show_member_json(struct json *j, const struct weir_cfg *cfg,
		      const struct weir_cfg_member *member);

/* show_table() - one table of an instance on @out. Return: 0 or -errno. */
int show_table(const struct show_noun *noun, const char *instance, FILE *out);

/* show_event_json() - one event as an object */
void show_event_json(struct json *j, const struct weir_event *event);

/*
 * show_follow() - events of an instance on stdout as they are raised, a line each,
 * until a signal comes. What was missed is said on stderr. Return: 0 or -errno.
 */
int show_follow(const char *instance, bool json);

/* Names of the enums in <weir/wire.h>, as bpftool has them without prefix. */
const char *show_state(unsigned int state);		/* enum weir_worker_state */
const char *show_tcp_state(unsigned int state);		/* enum weir_tcp_state */
const char *show_kind(unsigned int kind);		/* enum weir_event_kind */
const char *show_edge(unsigned int edge);		/* enum weir_edge */
const char *show_rung(unsigned int rung);		/* enum weir_rung */
const char *show_admin(unsigned int state);		/* enum weir_admin_state */
const char *show_speed(unsigned int speed);		/* enum weir_worker_speed */
const char *show_policy(unsigned int policy);		/* enum weir_policy */

#endif /* WEIR_TOOLS_SHOW_H */
