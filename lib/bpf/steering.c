// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * steering.c - an instance as <weir/steering.h> wants it
 */
#include <errno.h>

#include <bpf/bpf.h>

#include "base/list.h"
#include "bpf/instance.h"

/* A look at a flow is a system call: for one accept of so many. */
#define ACCEPTS_SAMPLED	16

static unsigned int bpf_rows(struct weir_steering *st)
{
	return to_bpf(st)->opts.workers;
}

static struct weir_worker_row *bpf_row(struct weir_steering *st, unsigned int worker)
{
	struct weir_bpf *bpf = to_bpf(st);

	return worker < bpf->opts.workers ? &bpf->rows[worker] : NULL;
}

static int bpf_signal_fd(struct weir_steering *st, unsigned int worker)
{
	struct weir_bpf *bpf = to_bpf(st);

	if (worker >= bpf->opts.workers)
		return -EINVAL;
	return bpf->members[worker].ring.fd;
}

static int bpf_signal_take(struct weir_steering *st, unsigned int worker, struct weir_event *out,
			   unsigned int max)
{
	struct weir_bpf *bpf = to_bpf(st);

	if (worker >= bpf->opts.workers)
		return -EINVAL;
	return (int)ring_take(&bpf->members[worker].ring, out, max);
}

static int bpf_raise(struct weir_steering *st, const struct weir_event *event)
{
	return event_raise(to_bpf(st), event);
}

/* Bucket i counts [2^(i-1), 2^i) us; written by the worker alone. */
static void hist_add(__u64 buckets[static WEIR_HIST_BUCKETS], uint64_t delay_ns)
{
	uint64_t us = delay_ns / 1000;
	unsigned int i = us ? 64 - (unsigned int)__builtin_clzll(us) : 0;

	if (i >= WEIR_HIST_BUCKETS)
		i = WEIR_HIST_BUCKETS - 1;
	__atomic_store_n(&buckets[i], buckets[i] + 1, __ATOMIC_RELAXED);
}

/*
 * The owner needs no change: the flow names the worker that will accept already.
 * It was counted for the listener that its last packet met, and the migrate hook
 * renames it when it moves on; a request that moves before it is established
 * becomes the child of the new listener and inherits its storage.
 */
static void bpf_accepted(struct weir_steering *st, unsigned int worker, uint64_t cookie,
			 uint64_t now_ns)
{
	struct weir_bpf *bpf = to_bpf(st);
	struct weir_flow flow;

	if (worker >= bpf->opts.workers || !bpf->flow ||
	    bpf->members[worker].accepts++ % ACCEPTS_SAMPLED)
		return;
	if (!bpf_map_lookup_elem(bpf->flow_fd, &cookie, &flow))
		hist_add(bpf->hist[worker].accept,
			 now_ns > flow.opened_ns ? now_ns - flow.opened_ns : 0);
}

static void bpf_closed(struct weir_steering *st, uint64_t cookie)
{
	struct weir_bpf *bpf = to_bpf(st);
	int err;

	if (!bpf->flow)
		return;
	err = bpf_map_delete_elem(bpf->flow_fd, &cookie);
	if (err && err != -ENOENT)
		atomic_fetch_add(&bpf->flow_errors, 1);
}

static void bpf_tick(struct weir_steering *st, uint64_t now_ns)
{
	struct weir_bpf *bpf = to_bpf(st);

	if (bpf->theirs)
		return;
	pending_tick(bpf);
	observers_look(bpf->cfg, bpf->lock_fd);
	overflow_tick(bpf, now_ns);
	watch_tick(bpf, now_ns);
	if (bpf->flow)
		sweep_tick(bpf, now_ns);
	pthread_mutex_lock(&bpf->listeners);
	if (bpf->xdp)
		xdp_tick(bpf->xdp);
	pthread_mutex_unlock(&bpf->listeners);
}

static struct weir_cfg *bpf_cfg(struct weir_steering *st)
{
	return to_bpf(st)->cfg;
}

static struct weir_admin *bpf_admin(struct weir_steering *st, unsigned int worker)
{
	struct weir_bpf *bpf = to_bpf(st);

	return worker < bpf->opts.workers ? &bpf->admin[worker] : NULL;
}

static struct weir_hist *bpf_hist(struct weir_steering *st, unsigned int worker)
{
	struct weir_bpf *bpf = to_bpf(st);

	return worker < bpf->opts.workers ? &bpf->hist[worker] : NULL;
}

/* The same sum as pending_look() in bpf/weir.bpf.h, which also refreshes the time. */
static int bpf_waiting(struct weir_steering *st, unsigned int worker, uint64_t *since_ns)
{
	struct weir_bpf *bpf = to_bpf(st);
	const struct weir_pending *pending;
	uint64_t accepted, established;
	int64_t waiting;

	if (worker >= bpf->opts.workers)
		return -EINVAL;
	*since_ns = 0;
	if (!(bpf->cfg->flags & WEIR_CFG_PENDING))
		return queue_length(bpf, worker);
	pending = &bpf->pending[worker];
	accepted = __atomic_load_n(&bpf->rows[worker].accepted, __ATOMIC_ACQUIRE);
	established = __atomic_load_n(&pending->established, __ATOMIC_ACQUIRE);
	waiting = (int64_t)(established - accepted) -
		  __atomic_load_n(&pending->unaccepted, __ATOMIC_RELAXED);
	if (waiting <= 0)
		return 0;
	/* It has accepted since the kernel looked: in its last turn, or before. */
	*since_ns = __atomic_load_n(&pending->accepted_seen, __ATOMIC_RELAXED) == accepted ?
		    __atomic_load_n(&pending->since_ns, __ATOMIC_RELAXED) :
		    __atomic_load_n(&bpf->rows[worker].loop_ns, __ATOMIC_RELAXED);
	/* Well before it would be taken for hung. */
	if (bpf->dgram && clock_ns() - *since_ns > bpf->cfg->stale_ns / 2 &&
	    dgram_settle(bpf, worker, established, accepted))
		return 0;
	return (int)(waiting < INT32_MAX ? waiting : INT32_MAX);
}

static int bpf_spare(struct weir_steering *st)
{
	struct weir_bpf *bpf = to_bpf(st);
	int fd = bpf->rep_fd[0] >= 0 ? bpf->rep_fd[0] : bpf->rep_fd[1];

	/* Datagrams that one of them brought it would have to go on reading for ever. */
	return fd < 0 || bpf->dgram ? -EOPNOTSUPP : fd;
}

/* From here on what the kernel raises about it goes to the ring of @worker. */
static void bpf_moved(struct weir_steering *st, unsigned int worker, uint64_t cookie, int fd)
{
	struct weir_bpf *bpf = to_bpf(st);
	struct weir_flow flow;
	int err;

	if (worker >= bpf->opts.workers || !bpf->flow)
		return;
	err = own_set(bpf, worker, fd);
	if (!err && !bpf_map_lookup_elem(bpf->flow_fd, &cookie, &flow)) {
		flow.worker = worker;
		err = bpf_map_update_elem(bpf->flow_fd, &cookie, &flow, BPF_EXIST);
	}
	if (err && err != -ENOENT)
		atomic_fetch_add(&bpf->flow_errors, 1);
}

static int bpf_lock(struct weir_steering *st)
{
	return to_bpf(st)->lock_fd;
}

static int bpf_adopted(struct weir_steering *st)
{
	return to_bpf(st)->adopted == WEIR_BPF_TAKEN;
}

static void bpf_close(struct weir_steering *st)
{
	weir_bpf_close(to_bpf(st));
}

const struct weir_steering_ops bpf_steering_ops = {
	.sz		= sizeof(struct weir_steering_ops),
	.name		= "bpf",
	.rows		= bpf_rows,
	.join		= bpf_join,
	.seal		= bpf_seal,
	.row		= bpf_row,
	.signal_fd	= bpf_signal_fd,
	.signal_take	= bpf_signal_take,
	.raise		= bpf_raise,
	.accepted	= bpf_accepted,
	.closed		= bpf_closed,
	.tick		= bpf_tick,
	.leave		= bpf_leave,
	.cfg		= bpf_cfg,
	.admin		= bpf_admin,
	.hist		= bpf_hist,
	.waiting	= bpf_waiting,
	.rescue		= bpf_rescue,
	.spare		= bpf_spare,
	.moved		= bpf_moved,
	.lock		= bpf_lock,
	.adopted	= bpf_adopted,
	.yield		= bpf_yield,
	.resume		= bpf_resume,
	.apart		= bpf_apart,
	.close		= bpf_close,
};
