// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * share.c - one worker's part of a steering that its parent has opened
 *
 * The maps are mapped into both processes, and listeners live in both tables of
 * descriptors. What is about the group (leaving it, moving queues, keeping house)
 * is the parent's; what is about this worker goes to the base under its number.
 */
#include <errno.h>

#include "base/list.h"
#include "serve/service.h"

struct share {
	struct weir_steering steering;
	struct weir_steering *base;
	unsigned int worker;
	bool apart;		/* a successor has the maps */
};

static struct share *to_share(struct weir_steering *st)
{
	return container_of(st, struct share, steering);
}

static unsigned int share_rows(struct weir_steering *st)
{
	return 1;
}

/* The base has it already; its listener gets this process's epoch. */
static int share_join(struct weir_steering *st, unsigned int worker, int fd)
{
	struct share *share = to_share(st);

	return worker ? -EINVAL : share->base->ops->join(share->base, share->worker, fd);
}

static int share_seal(struct weir_steering *st)
{
	return 0;
}

static struct weir_worker_row *share_row(struct weir_steering *st, unsigned int worker)
{
	struct share *share = to_share(st);

	return worker ? NULL : share->base->ops->row(share->base, share->worker);
}

static int share_signal_fd(struct weir_steering *st, unsigned int worker)
{
	struct share *share = to_share(st);

	return worker ? -EINVAL : share->base->ops->signal_fd(share->base, share->worker);
}

static int share_signal_take(struct weir_steering *st, unsigned int worker,
			     struct weir_event *out, unsigned int max)
{
	struct share *share = to_share(st);

	return worker ? -EINVAL :
	       share->base->ops->signal_take(share->base, share->worker, out, max);
}

static int share_raise(struct weir_steering *st, const struct weir_event *event)
{
	struct share *share = to_share(st);
	struct weir_event ours = *event;

	ours.worker = share->worker;
	return event->worker ? -EINVAL : share->base->ops->raise(share->base, &ours);
}

static void share_accepted(struct weir_steering *st, unsigned int worker, uint64_t cookie,
			   uint64_t now_ns)
{
	struct share *share = to_share(st);

	share->base->ops->accepted(share->base, share->worker, cookie, now_ns);
}

static void share_closed(struct weir_steering *st, uint64_t cookie)
{
	struct share *share = to_share(st);

	share->base->ops->closed(share->base, cookie);
}

static void share_tick(struct weir_steering *st, uint64_t now_ns)
{
}

static void share_leave(struct weir_steering *st, unsigned int worker)
{
}

static struct weir_cfg *share_cfg(struct weir_steering *st)
{
	struct share *share = to_share(st);

	return share->base->ops->cfg(share->base);
}

static struct weir_admin *share_admin(struct weir_steering *st, unsigned int worker)
{
	struct share *share = to_share(st);

	return worker ? NULL : share->base->ops->admin(share->base, share->worker);
}

static struct weir_hist *share_hist(struct weir_steering *st, unsigned int worker)
{
	struct share *share = to_share(st);

	return worker ? NULL : share->base->ops->hist(share->base, share->worker);
}

static int share_waiting(struct weir_steering *st, unsigned int worker, uint64_t *since_ns)
{
	struct share *share = to_share(st);

	return worker ? -EINVAL :
	       share->base->ops->waiting(share->base, share->worker, since_ns);
}

static int share_rescue(struct weir_steering *st, unsigned int worker)
{
	return -EOPNOTSUPP;
}

/* One worker accepts there: the first. */
static int share_spare(struct weir_steering *st)
{
	struct share *share = to_share(st);

	return share->worker ? -EOPNOTSUPP : share->base->ops->spare(share->base);
}

static void share_moved(struct weir_steering *st, unsigned int worker, uint64_t cookie, int fd)
{
	struct share *share = to_share(st);

	share->base->ops->moved(share->base, share->worker, cookie, fd);
}

static int share_lock(struct weir_steering *st)
{
	return -1;
}

static int share_adopted(struct weir_steering *st)
{
	return 0;
}

/* The group is its parent's to yield; what this process has mapped is its own. */
static int share_yield(struct weir_steering *st, int maps)
{
	struct share *share = to_share(st);
	int err;

	if (!maps)
		return 0;
	err = share->base->ops->apart(share->base, share->worker,
				      share->apart ? WEIR_APART_TELL : WEIR_APART_LEAVE);
	if (!err)
		share->apart = true;
	return err;
}

static int share_resume(struct weir_steering *st)
{
	struct share *share = to_share(st);

	if (!share->apart)
		return 0;
	share->apart = false;
	return share->base->ops->apart(share->base, share->worker, WEIR_APART_BACK);
}

static int share_apart(struct weir_steering *st, unsigned int worker, enum weir_apart how)
{
	return -EOPNOTSUPP;
}

static void share_close(struct weir_steering *st)
{
	struct share *share = to_share(st);

	mem_put(&base_alloc_libc, share, 1, sizeof(*share));
}

const struct weir_steering_ops share_ops = {
	.sz		= sizeof(struct weir_steering_ops),
	.name		= "share",
	.rows		= share_rows,
	.join		= share_join,
	.seal		= share_seal,
	.row		= share_row,
	.signal_fd	= share_signal_fd,
	.signal_take	= share_signal_take,
	.raise		= share_raise,
	.accepted	= share_accepted,
	.closed		= share_closed,
	.tick		= share_tick,
	.leave		= share_leave,
	.cfg		= share_cfg,
	.admin		= share_admin,
	.hist		= share_hist,
	.waiting	= share_waiting,
	.rescue		= share_rescue,
	.spare		= share_spare,
	.moved		= share_moved,
	.lock		= share_lock,
	.adopted	= share_adopted,
	.yield		= share_yield,
	.resume		= share_resume,
	.apart		= share_apart,
	.close		= share_close,
};

int weir_steering_share(struct weir_steering **stp, struct weir_steering *base,
			unsigned int worker)
{
	struct share *share;

	if (!base->ops->row(base, worker))
		return -EINVAL;
	share = mem_get(&base_alloc_libc, 1, sizeof(*share), _Alignof(struct share));
	if (!share)
		return -ENOMEM;
	share->steering.ops = &share_ops;
	share->base = base;
	share->worker = worker;
	*stp = &share->steering;
	return 0;
}
