// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * parent_control.c - what the parent of workers does for a successor
 *
 * On the thread of the control socket. Children yield, each for itself, and so does
 * the parent, whose the group is; while nobody accepts none is started. When nothing
 * comes of the successor the group is the parent's again before its children go on.
 */
#include <errno.h>
#include <signal.h>

#include "common.h"
#include "parent.h"

int supervise(struct processes *all)
{
	struct weir_supervisor_opts opts = {
		.sz = sizeof(opts),
		.log = all->opts->log,
		.workers = all->opts->workers,
		.flags = WEIR_SUPERVISOR_TICK |
			 (all->no_rescue ? WEIR_SUPERVISOR_NO_RESCUE : 0),
	};

	return weir_supervisor_open(&all->supervisor, all->opts->steering, &opts);
}

/* Rows stand still from here on: to it all would seem to hang. */
static void supervise_no_more(struct processes *all)
{
	weir_supervisor_close(all->supervisor);
	all->supervisor = NULL;
}

/* The first thread waits for signals. */
static void wake(struct processes *all)
{
	pthread_kill(all->first, SIGCHLD);
}

static int yield(void *ctx, int maps, unsigned int *hung)
{
	struct processes *all = ctx;
	struct weir_steering *st = all->opts->steering;
	int err;

	pthread_mutex_lock(&all->lock);
	supervise_no_more(all);
	all->halted = true;
	err = st->ops->yield(st, maps);
	if (!err)
		err = weir_crew_yield(all->crew, maps, hung);
	if (!err && maps)
		(void)st->ops->yield(st, 1);	/* what was accepted meanwhile */
	pthread_mutex_unlock(&all->lock);
	return err;
}

static void begins(void *ctx)
{
	struct processes *all = ctx;

	pthread_mutex_lock(&all->lock);
	weir_crew_tell(all->crew, WEIR_WORKER_NONE, WEIR_CREW_BEGIN);
	pthread_mutex_unlock(&all->lock);
}

/* One that cannot be told has ended, or is made to: it is started again. */
static void back(struct processes *all)
{
	unsigned int i;

	for (i = 0; i < all->opts->workers; i++)
		if (weir_crew_tell(all->crew, i, WEIR_CREW_BACK) && all->children[i].pid)
			kill(all->children[i].pid, SIGKILL);
}

static void take_back(void *ctx)
{
	struct processes *all = ctx;
	struct weir_steering *st = all->opts->steering;
	int err;

	pthread_mutex_lock(&all->lock);
	err = st->ops->resume(st);
	if (err)
		fprintf(stderr, "weir: warning: not all that a successor had could be taken back: "
			"%s\n", weir_strerror(err));
	if (all->halted) {
		back(all);
		all->halted = false;
		fprintf(stderr, "weir: warning: a successor did not come to serve; the service "
			"goes on\n");
		err = all->stop_ns ? 0 : supervise(all);
		if (err)
			fprintf(stderr, "weir: warning: nobody looks after the workers: %s\n",
				weir_strerror(err));
	}
	pthread_mutex_unlock(&all->lock);
	wake(all);
}

static void leave(void *ctx)
{
	struct processes *all = ctx;

	pthread_mutex_lock(&all->lock);
	weir_crew_tell(all->crew, WEIR_WORKER_NONE, WEIR_CREW_LEAVE);
	listeners_close(all);
	all->left = true;
	pthread_mutex_unlock(&all->lock);
	wake(all);
}

/* Children do so by themselves, but one that was stopped. */
static void drained(void *ctx)
{
	struct processes *all = ctx;

	pthread_mutex_lock(&all->lock);
	all->drained = true;
	pthread_mutex_unlock(&all->lock);
	wake(all);
}

int control_open(struct processes *all)
{
	static const struct weir_control_ops ops = {
		.yield = yield,
		.begins = begins,
		.take_back = take_back,
		.leave = leave,
		.drained = drained,
	};
	int fds[WEIR_WORKERS_MAX];
	struct weir_control_opts opts = {
		.sz = sizeof(opts),
		.instance = all->opts->name,
		.listeners = fds,
		.count = all->opts->workers,
		.steering = all->opts->steering,
		.ops = &ops,
		.ctx = all,
		.log = all->opts->log,
	};
	unsigned int i;
	int err;

	if (!opts.instance)
		return 0;
	if (*all->opts->takeover)
		weir_takeover_listeners(*all->opts->takeover, &opts.given);
	if (all->opts->replaces)
		opts.flags = WEIR_CONTROL_REPLACE;
	for (i = 0; i < opts.count; i++)
		fds[i] = all->children[i].listener;
	err = weir_control_open(&all->control, &opts);
	if (err && err != -EADDRINUSE && err != -EACCES)
		fprintf(stderr, "weir: warning: nobody can take %s over: %s\n", opts.instance,
			weir_strerror(err));
	return err == -EADDRINUSE ? err : 0;
}
