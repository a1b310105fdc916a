/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_DEMO_H
#define WEIR_TOOLS_DEMO_H

/* The parts of `weir demo`. Each returns 0, or 1 after demo_failed(). */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <weir/serve.h>

#include "json.h"
#include "load.h"
#include "steer.h"

#define DEMO_WORKERS_MAX	16

#define NEVER_NS	(3600 * NS_PER_SEC)	/* weir_cfg.rescue_ns: no rescue */

struct demo {
	FILE *out;		/* for people; nowhere when JSON is wanted */
	struct json *json;	/* or NULL */
	uint64_t duration_ns;	/* of each run of the hung worker */
	uint64_t seed;
	unsigned int workers;	/* of demo_hung() and demo_rescue() */
	char instance[WEIR_NAME_BYTES];
	char reason[256];	/* of the first failure */
	char summary[8][160];	/* a line for each part */
	unsigned int lines;
};

/* A service of the demo, with its steering. */
struct demo_service {
	struct weir_service *service;
	struct steer steer;
	uint16_t port;
};

/* New connections from four addresses, for as long as nobody interrupts. */
void demo_load_init(const struct demo *demo, uint16_t port, struct load_opts *opts);

/* demo_clients() - load_run(), and what is said of it where that fails. Return: 0 or 1. */
int demo_clients(struct demo *demo, const struct load_opts *opts, struct load_result *load);

/* demo_ms() - what @percent of the clients waited at most. */
double demo_ms(const struct load_result *load, double percent);

struct demo_run {
	struct load_result load;
	struct weir_supervisor_stats stats;
};

/* A part that has clients come several times, each time to another service. */
struct demo_series {
	const char *what;	/* it is about, which may be off */
	unsigned int count;
	/* Sets @off, the reason, where that cannot be had, until the next call. */
	int (*run)(struct demo *demo, unsigned int i, struct demo_run *run, const char **off);
	void (*print)(const struct demo *demo, const struct demo_run *run);	/* all of them */
	void (*json)(struct json *j, unsigned int i, const struct demo_run *run);	/* one */
	int (*judge)(struct demo *demo, const struct demo_run *run);	/* all: 0 or 1 */
};

int demo_series(struct demo *demo, const struct demo_series *series);

int demo_hung(struct demo *demo);
int demo_rescue(struct demo *demo);
int demo_shed(struct demo *demo);
int demo_slow(struct demo *demo);
int demo_takeover(struct demo *demo);
int demo_show(struct demo *demo);

/* demo_open() - a service on a free port of 127.0.0.1. Return: 0 or 1. */
int demo_open(struct demo *demo, struct demo_service *ds, const struct weir_service_opts *opts,
	      unsigned int policy);
void demo_close(struct demo_service *ds);

/* demo_failed() - remember why, once. Return: 1. */
__attribute__((format(printf, 2, 3)))
int demo_failed(struct demo *demo, const char *fmt, ...);

/* demo_sum_up() - a line for the summary at the end. */
__attribute__((format(printf, 2, 3)))
void demo_sum_up(struct demo *demo, const char *fmt, ...);

#endif /* WEIR_TOOLS_DEMO_H */
