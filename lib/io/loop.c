// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * loop.c - run, stop and close a loop
 *
 * A turn: dispatch what finished without the kernel, fire timers, start what
 * waited, then one reap: submit, wait, dispatch completions.
 */
#include <errno.h>
#include <unistd.h>

#include "io/await.h"
#include "io/backend.h"
#include "io/group.h"
#include "io/lend.h"
#include "io/short.h"

/* What is ending when the time of a close is up may end; what begins anew each time not. */
enum { CLOSE_TURNS = 64 };

/* The first to run a loop owns it. */
static int own(struct weir_loop *loop)
{
	int err;

	if (loop->owned) {
		assert_owner(loop);
		return 0;
	}
	loop->owner = pthread_self();
	loop->owned = true;
	err = loop->backend->enable(loop);
	loop->owned = !err;
	if (!err)
		atomic_store(&loop->enabled, true);
	op_route(loop);
	return err;
}

static void start_parked(struct weir_loop *loop)
{
	unsigned int i;

	if (!list_empty(&loop->waiting))
		op_start_waiting(loop);
	if (!list_empty(&loop->accepts))
		op_retry_accepts(loop);
	for (i = 0; i < loop->groups_end; i++) {
		if (loop->groups[i] && loop->groups[i]->parked)
			group_rearm(loop->groups[i]);
	}
}

static bool fibers_wait(const struct weir_loop *loop)
{
	return loop->fibers && !list_empty(&loop->fibers->ready);
}

/* Fibers that can go on, and what finishes without the kernel meanwhile. */
static unsigned int run_fibers(struct weir_loop *loop)
{
	unsigned int events = 0, round;

	for (round = 0; round < FIBER_ROUNDS && fibers_wait(loop); round++) {
		events += loop->fibers->run(loop->fibers);
		events += op_dispatch_finished(loop);
	}
	return events;
}

/* How long this turn may block: not past a timer, not if there is work. */
static __always_inline uint64_t turn_deadline(struct weir_loop *loop, uint64_t until_ns)
{
	uint64_t deadline = until_ns;
	unsigned int i;

	if (!list_empty(&loop->finished) || posts_wait(loop) || fibers_wait(loop) ||
	    atomic_load(&loop->stop))
		return 0;
	if (!wheel_empty(&loop->wheel))
		deadline = min_u64(deadline, wheel_next_ns(&loop->wheel));
	for (i = 0; i < loop->groups_end; i++) {
		if (loop->groups[i] && group_may_rearm(loop->groups[i]))
			return 0;
	}
	if (!list_empty(&loop->accepts))
		deadline = min_u64(deadline, loop->accept_retry_ns);
	return deadline;
}

uint64_t loop_parking(struct weir_loop *loop, uint64_t deadline_ns)
{
	loop->hooks.parking(loop->hooks.ctx);
	/* It may have given the loop something to do. */
	return turn_deadline(loop, deadline_ns);
}

static int turn(struct weir_loop *loop, uint64_t until_ns)
{
	unsigned int events;
	int ret;

	loop->stats.turns++;
	events = list_empty(&loop->finished) ? 0 : op_dispatch_finished(loop);
	if (!wheel_empty(&loop->wheel))
		op_expire(loop);
	start_parked(loop);
	if (events)
		until_ns = 0;
	loop->rang = false;
	ret = loop->backend->reap(loop, turn_deadline(loop, until_ns));
	if (ret < 0) {
		loop_log(loop, WEIR_LOG_ERROR, "backend %s: %s", loop->backend->name,
			 weir_strerror(ret));
		return ret;
	}
	if (loop->offload.started)
		events += offload_reap(loop);
	if (posts_wait(loop))
		events += posts_run(loop);
	if (loop->fibers)
		events += run_fibers(loop);
	if (loop->hooks.tick)
		loop->hooks.tick(loop->hooks.ctx);
	if (loop->nested)
		loop_tell(loop);
	return (int)events + ret;
}

void loop_tell(struct weir_loop *loop)
{
	unsigned int i;
	bool work = !list_empty(&loop->finished) || !list_empty(&loop->waiting) ||
		    posts_wait(loop) || fibers_wait(loop);

	for (i = 0; i < loop->groups_end; i++)
		work |= loop->groups[i] && group_may_rearm(loop->groups[i]);
	if (loop->owned && loop->backend->commit(loop) < 0)
		work = true;	/* the next turn tells why */
	if (work || loop->backend->pending(loop))
		weir_loop_wake(loop);
}

static int run_begin(struct weir_loop *loop)
{
	int err;

	if (loop->forked)
		return -ECHILD;
	if (loop->running)
		return -EBUSY;
	err = own(loop);
	if (err)
		return err;
	loop->running = true;
	loop->now_read = false;
	return 0;
}

/* Looking is cheap, an exchange is not. */
static bool stop_taken(struct weir_loop *loop)
{
	return atomic_load(&loop->stop) && atomic_exchange(&loop->stop, false);
}

/* There may be no next turn: what was to be heard by others is said now. */
static void run_end(struct weir_loop *loop)
{
	/* If it fails, the next turn tells why. */
	if (loop->rang)
		(void)loop->backend->commit(loop);
	loop->rang = false;
	loop->running = false;
}

int weir_loop_run(struct weir_loop *loop)
{
	int ret;

	ret = run_begin(loop);
	if (ret)
		return ret;
	for (;;) {
		if (stop_taken(loop)) {
			ret = 0;
			break;
		}
		if (!loop->slots_used && op_none_left(loop) && !lend_awaited(loop)) {
			ret = 1;
			break;
		}
		ret = turn(loop, DEADLINE_NONE);
		if (ret < 0)
			break;
	}
	run_end(loop);
	return ret;
}

int weir_loop_run_once(struct weir_loop *loop, uint64_t timeout_ns)
{
	bool stopped;
	int ret;

	ret = run_begin(loop);
	if (ret)
		return ret;
	/* A stop that came before ends this one's wait, and no later one's. */
	stopped = stop_taken(loop);
	ret = turn(loop, timeout_ns && !stopped ? deadline_after(loop_clock(loop), timeout_ns) : 0);
	run_end(loop);
	return ret;
}

int weir_loop_run_until(struct weir_loop *loop, struct weir_op *op)
{
	int ret;

	ret = run_begin(loop);
	if (ret)
		return ret;
	/* Not by looking at the op: its callback may have freed it. */
	loop->awaited = weir_op_busy(op) ? op : NULL;
	if (loop->awaited)
		op_lengthen(op);
	while (loop->awaited) {
		if (stop_taken(loop)) {
			ret = -EINTR;
			break;
		}
		ret = turn(loop, DEADLINE_NONE);
		if (ret < 0)
			break;
	}
	loop->awaited = NULL;
	run_end(loop);
	return ret < 0 ? ret : 0;
}

int loop_run_for(struct weir_loop *loop, const bool *woken, void (*cancel)(void *arg),
		 void *arg)
{
	bool stopped = false, failed = false;
	int ret;

	ret = run_begin(loop);
	if (ret)
		return ret;
	while (!*woken) {
		if (stop_taken(loop)) {
			stopped = true;
			cancel(arg);
		}
		ret = turn(loop, DEADLINE_NONE);
		if (ret < 0 && failed)
			break;
		failed = ret < 0;
		if (failed)
			cancel(arg);
	}
	if (stopped)
		atomic_store(&loop->stop, true);
	run_end(loop);
	return *woken ? 0 : ret;
}

void weir_loop_wake(struct weir_loop *loop)
{
	uint64_t one = 1;
	int saved = errno;

	/* The loop clears woken before it looks at what the waker left for it. */
	if (!atomic_exchange(&loop->woken, true)) {
		while (write(loop->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	}
	errno = saved;
}

void weir_loop_stop(struct weir_loop *loop)
{
	atomic_store(&loop->stop, true);
	weir_loop_wake(loop);
}

/* close */

int weir_loop_close(struct weir_loop *loop, uint64_t timeout_ns)
{
	unsigned int late = 0;
	uint64_t until_ns;
	int ret;

	if (!loop)
		return 0;
	if (loop->fibers)
		return -EBUSY;
	ret = run_begin(loop);
	if (ret)
		return ret;
	loop->closing = true;
	op_route(loop);
	until_ns = deadline_after(loop_clock(loop), timeout_ns);
	while (!op_none_left(loop)) {
		atomic_store(&loop->stop, false);
		op_cancel_all(loop);
		ret = turn(loop, until_ns);
		late += loop_clock(loop) >= until_ns;
		if (ret < 0 || (late && (!ret || late > CLOSE_TURNS)))
			break;
	}
	run_end(loop);
	if (!op_none_left(loop))
		return ret < 0 ? ret : -ETIMEDOUT;
	loop_free(loop);
	return 0;
}

/* getters */

uint64_t weir_loop_now(const struct weir_loop *loop)
{
	assert_owner(loop);
	return loop_clock(loop);
}

void weir_loop_entropy(struct weir_loop *loop, void *buf, size_t len)
{
	assert_owner(loop);
	loop->sys->entropy(loop, buf, len);
}

const char *weir_loop_backend(const struct weir_loop *loop)
{
	return loop->backend->name;
}

const char *weir_loop_reason(const struct weir_loop *loop)
{
	return loop->reason;
}

int weir_loop_eager(const struct weir_loop *loop)
{
	return loop->eager;
}

int weir_loop_fd(struct weir_loop *loop)
{
	int err = own(loop);
	int fd = err ? err : loop->backend->fd(loop);

	if (fd < 0)
		return fd;
	loop->nested = true;
	op_route(loop);
	/* What was submitted before anybody asked is to be told too. */
	if (!loop->running)
		loop_tell(loop);
	return fd;
}

uint64_t weir_loop_next_ns(const struct weir_loop *loop)
{
	uint64_t next_ns = wheel_next_ns(&loop->wheel);

	assert_owner(loop);
	if (!list_empty(&loop->accepts))
		next_ns = min_u64(next_ns, loop->accept_retry_ns);
	return next_ns;
}

void weir_loop_stats(const struct weir_loop *loop, struct weir_loop_stats *stats, size_t sz)
{
	struct weir_loop_stats now = loop->stats;
	unsigned int i;

	assert_owner(loop);
	now.waiting = loop->waiting_count;
	now.inflight = loop->slots_used;
	now.files = loop->files_used;
	now.posts_refused = atomic_load(&loop->posts_refused);
	now.offload_queued = offload_queued(loop);
	now.zc_bytes = loop->lend.bytes;
	now.accepts = loop->good[WEIR_OP_ACCEPT];
	now.connects = loop->good[WEIR_OP_CONNECT];
	now.polls = loop->good[WEIR_OP_POLL];
	now.opens = loop->good[WEIR_OP_OPEN] + loop->good[WEIR_OP_SOCKET];
	for (i = 0; i < WEIR_OP_MAX; i++) {
		now.ops += loop->shorts[i];
		now.events += loop->shorts[i];
		if (weir_op_defs[i].flags & IO_OPF_IN) {
			now.recvs += loop->good[i] + loop->shorts[i];
			now.bytes_in += loop->moved[i];
		} else if (weir_op_defs[i].flags & IO_OPF_OUT) {
			now.sends += loop->good[i] + loop->shorts[i];
			now.bytes_out += loop->moved[i];
		}
	}
	stats_copy(stats, sz, &now, sizeof(now));
}
