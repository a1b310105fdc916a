// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * steer_reuseport.c - the lowest rung of steering: the kernel's own hash over
 * the listeners of a SO_REUSEPORT group
 *
 * It looks at no load, tells nothing and excludes nobody but a listener that
 * has been closed. Rows are ordinary memory, so that what reads them (a tool, a
 * test, the statistics) finds the same on every rung.
 */
#include <errno.h>

#include "base/base.h"
#include "base/list.h"
#include "serve/service.h"

struct reuseport {
	struct weir_steering base;
	unsigned int workers;
	struct weir_worker_row *rows;
	struct weir_admin *admin;
	struct weir_hist *hist;
	struct weir_cfg cfg;
};

static struct reuseport *to_reuseport(struct weir_steering *st)
{
	return container_of(st, struct reuseport, base);
}

static unsigned int reuseport_rows(struct weir_steering *st)
{
	return to_reuseport(st)->workers;
}

static int reuseport_join(struct weir_steering *st, unsigned int worker, int fd)
{
	return worker < to_reuseport(st)->workers ? 0 : -EINVAL;
}

/* Nothing to start: listening in the group was enough. */
static int reuseport_seal(struct weir_steering *st)
{
	return 0;
}

static struct weir_worker_row *reuseport_row(struct weir_steering *st, unsigned int worker)
{
	struct reuseport *self = to_reuseport(st);

	return worker < self->workers ? &self->rows[worker] : NULL;
}

static int reuseport_signal_fd(struct weir_steering *st, unsigned int worker)
{
	return -EOPNOTSUPP;
}

static int reuseport_signal_take(struct weir_steering *st, unsigned int worker,
				 struct weir_event *out, unsigned int max)
{
	return 0;
}

static int reuseport_raise(struct weir_steering *st, const struct weir_event *event)
{
	return -EOPNOTSUPP;
}

static void reuseport_accepted(struct weir_steering *st, unsigned int worker, uint64_t cookie,
			       uint64_t now_ns)
{
}

static void reuseport_closed(struct weir_steering *st, uint64_t cookie)
{
}

static void reuseport_tick(struct weir_steering *st, uint64_t now_ns)
{
}

/* Its listener leaves the group with its close. */
static void reuseport_leave(struct weir_steering *st, unsigned int worker)
{
}

static struct weir_cfg *reuseport_cfg(struct weir_steering *st)
{
	return &to_reuseport(st)->cfg;
}

static struct weir_admin *reuseport_admin(struct weir_steering *st, unsigned int worker)
{
	struct reuseport *self = to_reuseport(st);

	return worker < self->workers ? &self->admin[worker] : NULL;
}

static struct weir_hist *reuseport_hist(struct weir_steering *st, unsigned int worker)
{
	struct reuseport *self = to_reuseport(st);

	return worker < self->workers ? &self->hist[worker] : NULL;
}

/* Nobody counts. */
static int reuseport_waiting(struct weir_steering *st, unsigned int worker, uint64_t *since_ns)
{
	*since_ns = 0;
	return -EOPNOTSUPP;
}

/* The kernel moves no queue unless a program or net.ipv4.tcp_migrate_req says so. */
static int reuseport_rescue(struct weir_steering *st, unsigned int worker)
{
	return -EOPNOTSUPP;
}

static int reuseport_spare(struct weir_steering *st)
{
	return -EOPNOTSUPP;
}

static void reuseport_moved(struct weir_steering *st, unsigned int worker, uint64_t cookie, int fd)
{
}

/* Nothing is shared with a successor but the listeners. */
static int reuseport_lock(struct weir_steering *st)
{
	return -1;
}

static int reuseport_adopted(struct weir_steering *st)
{
	return 0;
}

static int reuseport_yield(struct weir_steering *st, int maps)
{
	return 0;
}

static int reuseport_resume(struct weir_steering *st)
{
	return 0;
}

/* Each process has rows of its own. */
static int reuseport_apart(struct weir_steering *st, unsigned int worker, enum weir_apart how)
{
	return 0;
}

static void reuseport_close(struct weir_steering *st)
{
	struct reuseport *self = to_reuseport(st);

	mem_put(&base_alloc_libc, self->hist, self->workers, sizeof(*self->hist));
	mem_put(&base_alloc_libc, self->admin, self->workers, sizeof(*self->admin));
	mem_put(&base_alloc_libc, self->rows, self->workers, sizeof(*self->rows));
	mem_put(&base_alloc_libc, self, 1, sizeof(*self));
}

const struct weir_steering_ops steer_reuseport_ops = {
	.sz		= sizeof(struct weir_steering_ops),
	.name		= "reuseport",
	.rows		= reuseport_rows,
	.join		= reuseport_join,
	.seal		= reuseport_seal,
	.row		= reuseport_row,
	.signal_fd	= reuseport_signal_fd,
	.signal_take	= reuseport_signal_take,
	.raise		= reuseport_raise,
	.accepted	= reuseport_accepted,
	.closed		= reuseport_closed,
	.tick		= reuseport_tick,
	.leave		= reuseport_leave,
	.cfg		= reuseport_cfg,
	.admin		= reuseport_admin,
	.hist		= reuseport_hist,
	.waiting	= reuseport_waiting,
	.rescue		= reuseport_rescue,
	.spare		= reuseport_spare,
	.moved		= reuseport_moved,
	.lock		= reuseport_lock,
	.adopted	= reuseport_adopted,
	.yield		= reuseport_yield,
	.resume		= reuseport_resume,
	.apart		= reuseport_apart,
	.close		= reuseport_close,
};

int weir_steering_reuseport(struct weir_steering **stp, unsigned int workers)
{
	struct reuseport *self;
	unsigned int i;

	if (!workers || workers > WEIR_WORKERS_MAX)
		return -EINVAL;
	self = mem_get(&base_alloc_libc, 1, sizeof(*self), _Alignof(struct reuseport));
	if (!self)
		return -ENOMEM;
	self->workers = workers;
	self->rows = mem_get(&base_alloc_libc, workers, sizeof(*self->rows),
			     _Alignof(struct weir_worker_row));
	self->admin = mem_get(&base_alloc_libc, workers, sizeof(*self->admin),
			      _Alignof(struct weir_admin));
	self->hist = mem_get(&base_alloc_libc, workers, sizeof(*self->hist),
			     _Alignof(struct weir_hist));
	if (!self->rows || !self->admin || !self->hist) {
		reuseport_close(&self->base);
		return -ENOMEM;
	}
	self->base.ops = &steer_reuseport_ops;
	weir_cfg_init(&self->cfg);
	self->cfg.workers = workers;
	for (i = 0; i < workers; i++)
		self->admin[i].weight = WEIR_WEIGHT_DEFAULT;
	*stp = &self->base;
	return 0;
}
