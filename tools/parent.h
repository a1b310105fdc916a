/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_PARENT_H
#define WEIR_TOOLS_PARENT_H

/*
 * The parent of workers that are processes, as its two threads see it: the first starts
 * and reaps children, that of the control socket has them yield. What both use they
 * use with the lock.
 */

#include <pthread.h>
#include <stdbool.h>
#include <weir/crew.h>
#include <weir/supervisor.h>
#include <weir/takeover.h>

#include "processes.h"

struct child {
	pid_t pid;		/* 0: none */
	int listener;
	bool later;		/* it is bound, and listens when a predecessor has yielded */
	bool revived;		/* and did so already, for a worker that had died */
	bool rescue;		/* its queue waits: it died when others were not to accept */
	uint64_t started_ns;
};

struct processes {
	const struct processes_opts *opts;
	struct weir_supervisor *supervisor;
	struct weir_control *control;
	struct weir_crew *crew;
	struct child children[WEIR_WORKERS_MAX];
	uint64_t stop_ns;	/* 0: serving; else when children are killed */
	bool no_rescue;
	bool shared;		/* a predecessor that hangs may be first in line */
	bool halted;		/* nobody accepts: a successor is about to serve */
	bool left;		/* he serves */
	bool drained;		/* and those who are connected have had their time */
	pthread_t first;	/* thread, that of signals */
	pthread_mutex_t lock;
};

/* parent_listen.c */
int listeners_open(struct processes *all);	/* new ones, or those of a predecessor */
void listeners_close(struct processes *all);
void listeners_back(struct processes *all);	/* nothing comes of us as a successor */

/* parent_control.c: what is done for a successor, or for somebody who keeps listeners */
int control_open(struct processes *all);
int supervise(struct processes *all);

#endif /* WEIR_TOOLS_PARENT_H */
