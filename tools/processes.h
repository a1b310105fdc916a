/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_PROCESSES_H
#define WEIR_TOOLS_PROCESSES_H

/*
 * Workers that are processes: the parent has the listeners and the steering, each
 * child serves on one of them, and one that dies is started again.
 */

#include <stdbool.h>
#include <stdint.h>
#include <weir/serve.h>

/* What a child tells its parent once it serves. */
struct process_ready {
	char backend[16];
	char reason[160];
	char rescue[160];	/* why it is off, or empty */
};

/* One child, as it sees itself. */
struct process {
	unsigned int worker;
	struct weir_steering *steering;	/* its part, for its service to take over */
	int listener;
	bool shared;			/* WEIR_SERVICE_SHARED */
	int ready_fd;
	int parent_fd;			/* weir_service_opts.parent */
};

struct processes_opts {
	struct weir_steering *steering;		/* stays the caller's */
	struct weir_addr *addr;			/* told the port */
	struct weir_takeover **takeover;	/* listeners to go on with, or NULL in it;
						 * closed when they are ours
						 */
	bool replaces;				/* they are of one who lives */
	const char *instance;
	const char *name;			/* by which it may be taken over, or NULL */
	unsigned int workers;
	int backlog;
	/* Runs in the child; calls process_ready(). Its value is the exit status. */
	int (*child)(void *ctx, struct process *self);
	/* Runs in the parent when all serve. */
	void (*serving)(void *ctx, const struct process_ready *ready);
	void *ctx;
	uint64_t stop_ns;			/* after that children are killed */
	const struct weir_log *log;
};

/* process_ready() - tell the parent that @service serves. */
void process_ready(struct process *self, const struct weir_service *service);

/*
 * processes_run() - serve until SIGINT, SIGTERM or SIGHUP, which the caller has
 * blocked, as SIGCHLD
 * Return: an exit status, after fail() when it is not 0.
 */
int processes_run(const struct processes_opts *opts);

#endif /* WEIR_TOOLS_PROCESSES_H */
