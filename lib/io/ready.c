// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ready.c - operations over readiness
 *
 * An armed op is in one of three places: on ready->runnable (by lib_queue), on a
 * list of the backend's, or nowhere but its file's list, which means that it met
 * -EAGAIN and waits for an edge. An edge that comes between
 * the -EAGAIN and the wait is not lost: the file is registered, or is being
 * registered, and that reports what is ready already.
 *
 * Callbacks run inside io_event(). An op is gone after its terminal event; after
 * any other it is still ours, but may have been cancelled, and is on the runnable
 * list then.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "io/group.h"
#include "io/ops.h"
#include "io/ready.h"

/* What no try returns: the op waits for its file, or is at the end of it. */
enum { READY_WAITS = INT_MIN, READY_END };

static struct ready *ready_of(const struct weir_loop *loop)
{
	return loop->priv;
}

/* The file an op works on, or NULL. A connect's is the socket it has made. */
static struct io_file *file_of(const struct weir_loop *loop, const struct weir_op *op)
{
	if (op_has_file(op))
		return &loop->files[op->file.index];
	if (op->opcode == WEIR_OP_CONNECT && op->lib_priv == OPEN_CONNECTING)
		return &loop->files[op->accepted.index];
	return NULL;
}

static uint32_t wait_of(const struct weir_op *op)
{
	const struct weir_op_def *def = op_def(op);

	/* A poll looks for itself. */
	if (op->opcode == WEIR_OP_POLL)
		return UINT32_MAX;
	if (def->wait)
		return def->wait;
	return def->flags & IO_OPF_IN ? POLLIN : POLLOUT;
}

void ready_init(struct ready *ready)
{
	list_init(&ready->runnable);
}

bool ready_pending(const struct weir_loop *loop)
{
	return !list_empty(&ready_of(loop)->runnable);
}

static void make_runnable(struct weir_loop *loop, struct weir_op *op)
{
	list_add_tail(&ready_of(loop)->runnable, &op->lib_queue);
}

void ready_mark(struct weir_loop *loop, uint32_t file, uint32_t events)
{
	struct io_file *entry = &loop->files[file];
	struct weir_link *node;

	if (events & (POLLHUP | POLLRDHUP | POLLERR | POLLPRI)) {
		entry->hints |= READY_HINT_MORE;
		events |= POLLIN;
	}
	if (events & (POLLHUP | POLLERR))
		events |= POLLOUT;
	for (node = entry->ops.next; node != &entry->ops; node = node->next) {
		struct weir_op *op = container_of(node, struct weir_op, lib_file);

		if (op->lib_state == OP_ARMED && list_empty(&op->lib_queue) &&
		    wait_of(op) & events)
			make_runnable(loop, op);
	}
}

static int wait_file(struct weir_loop *loop, struct weir_op *op, struct weir_file file)
{
	list_del(&op->lib_file);
	list_add_tail(&loop->files[file.index].ops, &op->lib_file);
	return ready_of(loop)->arm(loop, file.index);
}

bool ready_both(struct weir_loop *loop, const struct weir_op *op, struct weir_file *notp)
{
	*notp = op->splice.from;
	if (loop->sys->poll(loop, loop->files[notp->index].fd, POLLIN) == -EAGAIN)
		return false;
	*notp = op->file;
	return loop->sys->poll(loop, loop->files[notp->index].fd, POLLOUT) != -EAGAIN;
}

/* Leave @op on its file's list until the file becomes ready. */
static int wait_ready(struct weir_loop *loop, struct weir_op *op)
{
	struct io_file *entry = file_of(loop, op);
	struct weir_file file;

	if (!entry)
		return -EINVAL;
	if (op_def(op)->flags & IO_OPF_TWO) {
		if (op->splice.flags & SPLICE_F_NONBLOCK)
			return -EAGAIN;
		/* It was not when it was tried: what came since is no edge to wait for. */
		if (!ready_both(loop, op, &file))
			return wait_file(loop, op, file);
		make_runnable(loop, op);
		return 0;
	}
	if (!op_has_file(op))
		list_add_tail(&entry->ops, &op->lib_file);
	return ready_of(loop)->arm(loop, (uint32_t)(entry - loop->files));
}

/*
 * A connect is on the list of its new socket only while it waits: who ends it
 * frees that file, and op_release() would take it for one of the op's own.
 */
static int try_op(struct weir_loop *loop, struct weir_op *op)
{
	struct io_file *entry = file_of(loop, op);

	if (!op_has_file(op))
		list_del(&op->lib_file);
	return op_def(op)->try(loop, op, entry ? entry->fd : -1);
}

/* An op ends here before its time: what it opened is undone. */
static void abandon(struct weir_loop *loop, struct weir_op *op)
{
	if (op->opcode != WEIR_OP_CONNECT || op->lib_priv != OPEN_CONNECTING || !op_opens(op))
		return;
	list_del(&op->lib_file);
	loop->sys->close(loop, loop->files[op->accepted.index].fd);
	io_file_free(loop, op->accepted.index);
	op->lib_priv = OPEN_NONE;
}

/* A connect that met a full backlog of AF_UNIX has undone itself. */
static bool gave_up(const struct weir_op *op)
{
	return op->opcode == WEIR_OP_CONNECT && op->lib_priv == OPEN_NONE;
}

/* Try, and wait if that is what it takes: READY_WAITS if @op waits now. */
static int try_or_wait(struct weir_loop *loop, struct weir_op *op)
{
	int res, err;

	res = try_op(loop, op);
	if (res == -EAGAIN && !gave_up(op)) {
		err = wait_ready(loop, op);
		if (!err)
			return READY_WAITS;
		abandon(loop, op);
		res = err;
	}
	if (res >= 0 && op->opcode == WEIR_OP_CONNECT && op_opens(op) &&
	    ready_of(loop)->short_drains && op->addr.addr->sa_family != AF_UNIX)
		loop->files[op->accepted.index].hints |= READY_HINT_STREAM;
	return res;
}

/* What may block is carried out elsewhere, if its file is one that blocks. */
static int offload_or_try(struct weir_loop *loop, struct weir_op *op)
{
	int err = -EAGAIN;

	if (op_def(op)->flags & IO_OPF_BLOCKS)
		err = ready_of(loop)->offload(loop, op);
	if (err != -EAGAIN)
		return err ? err : READY_WAITS;
	if (!(op->flags & WEIR_OPF_MULTISHOT) && op->opcode != WEIR_OP_ACCEPT)
		return try_or_wait(loop, op);
	/* It has events that are not terminal, or starts over: from reap alone. */
	make_runnable(loop, op);
	return READY_WAITS;
}

int ready_queue(struct weir_loop *loop, struct weir_op *op)
{
	int res;

	/* Not into op->res: a thread may have it already. */
	res = offload_or_try(loop, op);
	if (res == READY_WAITS)
		return IO_QUEUED_PENDING;
	op->res = res;
	if (res < 0)
		op->lease = NULL;
	return IO_QUEUED_DONE;
}

void ready_cancel(struct weir_loop *loop, struct weir_op *op)
{
	/* op->lib_end tells ready_run() what to do with it. */
	if (list_empty(&op->lib_queue))
		make_runnable(loop, op);
}

void ready_late(struct weir_loop *loop, struct weir_op *op)
{
	int res = try_op(loop, op);

	if (res == -EAGAIN) {
		abandon(loop, op);
		res = -ECANCELED;
	}
	io_event(loop, op, res, false);
}

/*
 * After an event that was not terminal: has @op lost its turn? Its callback may
 * have cancelled it; or it is queued anew.
 */
static bool interrupted(struct weir_loop *loop, struct weir_op *op)
{
	const struct ready *ready = ready_of(loop);

	if (!list_empty(&op->lib_queue))
		return true;
	if (!ready->cut_short || !ready->cut_short(loop))
		return false;
	io_event_again(loop, op);
	return true;
}

static unsigned int run_once(struct weir_loop *loop, struct weir_op *op)
{
	int res = offload_or_try(loop, op);

	if (res == READY_WAITS)
		return 0;
	io_event(loop, op, res, false);
	return 1;
}

/* A client that went away while it was queued; the next one may be there. */
static bool is_transient(int res)
{
	return res == -ECONNABORTED || res == -EPROTO || res == -EINTR;
}

static unsigned int run_accept(struct weir_loop *loop, struct weir_op *op)
{
	bool more = op->flags & WEIR_OPF_MULTISHOT;
	unsigned int n = 0, tries;

	for (tries = 0; tries < READY_BURST; tries++) {
		int res = try_or_wait(loop, op);

		if (res == READY_WAITS)
			return n;
		if (is_transient(res))
			continue;
		n++;
		if (res == -ENFILE || res == -EMFILE) {
			io_event_nofile(loop, op, res);
			return n;
		}
		if (res < 0) {
			io_event(loop, op, res, false);
			return n;
		}
		loop->files[op->accepted.index].hints |=
			file_of(loop, op)->hints & (READY_HINT_STREAM | IO_HINT_RECORDS);
		io_event(loop, op, res, more);
		if (!more || interrupted(loop, op))
			return n;
	}
	make_runnable(loop, op);
	return n;
}

/* Nothing came: the op waits or ends. */
static unsigned int run_nothing(struct weir_loop *loop, struct weir_op *op, int res)
{
	if (res == -EAGAIN) {
		res = wait_ready(loop, op);
		if (!res)
			return 0;
	}
	io_event(loop, op, res, false);
	return 1;
}

static unsigned int run_poll(struct weir_loop *loop, struct weir_op *op)
{
	int res = try_or_wait(loop, op);

	if (res == READY_WAITS)
		return 0;
	io_event(loop, op, res, res >= 0);
	if (res < 0 || interrupted(loop, op))
		return 1;
	return 1 + run_nothing(loop, op, -EAGAIN);
}

/* Fill buffer @bid once: bytes, -errno or READY_END. It goes back if there is room left. */
static int pool_fill(struct weir_loop *loop, struct weir_op *op, uint32_t bid)
{
	struct io_group *group = op_group(op);
	uint32_t room = group_room(group, bid);
	void *buf = group->leases[bid].data + (group->buf_bytes - room);
	int res;

	res = op_def(op)->fill(loop, op, file_of(loop, op)->fd, buf, room);
	if (res >= 0 && io_pool_end(loop, op, buf, (uint32_t)res))
		res = READY_END;
	if (res <= 0 || (group->incremental && (uint32_t)res < room))
		ready_group_push(group, bid);
	return res;
}

/* Did that much of @room leave nothing behind, so that the next edge will tell? */
static bool was_drained(const struct weir_loop *loop, const struct weir_op *op, int res,
			uint32_t room)
{
	uint16_t hints = file_of(loop, op)->hints;

	return (uint32_t)res < room &&
	       (hints & (READY_HINT_STREAM | READY_HINT_MORE | IO_HINT_DATAGRAM)) ==
	       READY_HINT_STREAM;
}

static unsigned int run_pool(struct weir_loop *loop, struct weir_op *op)
{
	unsigned int n;

	for (n = 0; n < READY_BURST; n++) {
		bool drained;
		uint32_t room;
		int bid, res;

		bid = ready_group_pop(op_group(op));
		if (bid < 0) {
			io_event_nobufs(loop, op);
			return n;
		}
		room = group_room(op_group(op), (uint32_t)bid);
		res = pool_fill(loop, op, (uint32_t)bid);
		if (res < 0)
			return n + run_nothing(loop, op, res == READY_END ? 0 : res);
		drained = was_drained(loop, op, res, room);
		if (res)
			io_event_lease(loop, op, (uint32_t)res, (uint32_t)bid, true);
		else
			io_event(loop, op, 0, true);
		if (interrupted(loop, op))
			return n + 1;
		if (drained)
			return n + 1 + run_nothing(loop, op, -EAGAIN);
	}
	make_runnable(loop, op);
	return n;
}

static unsigned int run_op(struct weir_loop *loop, struct weir_op *op)
{
	if (op->lib_end != OP_END_NONE) {
		abandon(loop, op);
		io_event(loop, op, -ECANCELED, false);
		return 1;
	}
	if (op->opcode == WEIR_OP_ACCEPT)
		return run_accept(loop, op);
	if (op->flags & WEIR_OPF_MULTISHOT)
		return op_group(op) ? run_pool(loop, op) : run_poll(loop, op);
	return run_once(loop, op);
}

unsigned int ready_run(struct weir_loop *loop)
{
	unsigned int events = 0;
	struct weir_link now;

	/* Those that become runnable meanwhile wait for the next run. */
	list_take(&now, &ready_of(loop)->runnable);
	while (!list_empty(&now)) {
		struct weir_op *op = container_of(now.next, struct weir_op, lib_queue);

		list_del(&op->lib_queue);
		events += run_op(loop, op);
	}
	return events;
}
