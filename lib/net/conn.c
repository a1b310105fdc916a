// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * conn.c - life of a connection: receive, pause, close
 *
 * Closing is a sequence of states (conn.h), each left by an event:
 *
 *	OPEN -> DRAIN: weir_conn_close()	DRAIN -> LINGER: queue empty
 *	LINGER -> CLOSE: the peer's end		any -> CLOSE: abort, error, deadline
 *
 * In CLOSE the close operation cancels the receive and the send, waits for
 * their terminal events, and closes the file; then nothing can come any more.
 */
#include <errno.h>

#include "io/backend.h"
#include "net/conn.h"

enum {
	LOW_DEFAULT	= 16 << 10,
	HIGH_DEFAULT	= 64 << 10,
};

#define LINGER_DEFAULT_NS	(5 * NSEC_PER_SEC)

/* receive */

static void recv_done(struct weir_op *op);
static void move_on(struct weir_conn *conn);

static void recv_arm(struct weir_conn *conn)
{
	if (weir_op_busy(&conn->recv) || conn->eof || conn->moving || conn->state == CONN_CLOSE)
		return;
	/* A pause is the user's; a close must see the peer's end. */
	if (conn->paused && conn->state == CONN_OPEN)
		return;
	weir_prep_recv_pool(&conn->recv, conn->file, conn->pool, recv_done, conn);
	weir_submit(conn->loop, &conn->recv);
}

static void recv_done(struct weir_op *op)
{
	struct weir_conn *conn = op->ctx;
	bool more = op->more;
	int res = op->res;

	if (res > 0) {
		if (conn->state == CONN_OPEN)
			conn->ops->data(conn, op->lease);
	} else if (!res) {
		conn->eof = true;
		if (conn->state == CONN_OPEN)
			conn->ops->data(conn, NULL);
		else
			conn_advance(conn);
	} else if (res != -ECANCELED || conn->loop->closing) {
		weir_conn_abort(conn, res);
	}
	if (!more && conn->moving)
		move_on(conn);
	else if (!more)
		recv_arm(conn);
}

void weir_conn_pause(struct weir_conn *conn)
{
	assert_owner(conn->loop);
	conn->paused = true;
	if (conn->state == CONN_OPEN)
		weir_cancel(conn->loop, &conn->recv);
	if (conn->hooks->halted)
		conn->hooks->halted(conn);
}

void weir_conn_resume(struct weir_conn *conn)
{
	assert_owner(conn->loop);
	conn->paused = false;
	recv_arm(conn);
}

/* close */

static void conn_free(struct weir_conn *conn)
{
	if (!conn->gone || weir_op_busy(&conn->timer))
		return;
	assert(!weir_op_busy(&conn->recv));
	assert(!weir_op_busy(&conn->send));
	assert(sendq_empty(conn));
	conn->ops->closed(conn, conn->err);
	conn->hooks->release(conn);
}

static void timer_done(struct weir_op *op)
{
	struct weir_conn *conn = op->ctx;

	/* Zero: the deadline. Else cancelled, by us or by the end of the loop. */
	if (conn->state != CONN_CLOSE)
		weir_conn_abort(conn, op->res ? op->res : -ETIME);
	conn_free(conn);
}

static void cookie_read(struct weir_conn *conn, int res)
{
	if (res < 0)
		conn->cookie = 0;
	conn->cookie_done(conn);
}

static void ctl_done(struct weir_op *op)
{
	struct weir_conn *conn = op->ctx;

	switch ((enum weir_opcode)op->opcode) {
	case WEIR_OP_GETSOCKOPT:
		cookie_read(conn, op->res);
		break;
	case WEIR_OP_INSTALL:
		conn->hooks->moving(conn, op->res);
		return;
	case WEIR_OP_SHUTDOWN:
		/* No longer connected: who reset it did so before we saw it. */
		if (op->res < 0)
			weir_conn_abort(conn, op->res == -ENOTCONN ? -ECONNRESET : op->res);
		break;
	default:
		conn->gone = true;
		conn_free(conn);
		return;
	}
	conn_advance(conn);
}

static void submit_shutdown(struct weir_conn *conn)
{
	conn->shut = true;
	weir_prep_shutdown(&conn->ctl, conn->file, SHUT_WR, ctl_done, conn);
	weir_submit(conn->loop, &conn->ctl);
}

static void submit_close(struct weir_conn *conn)
{
	conn->closing = true;
	weir_cancel(conn->loop, &conn->timer);
	weir_prep_close(&conn->ctl, conn->file, ctl_done, conn);
	weir_submit(conn->loop, &conn->ctl);
}

void conn_advance(struct weir_conn *conn)
{
	bool idle = !weir_op_busy(&conn->ctl);

	if (conn->state == CONN_DRAIN && sendq_empty(conn))
		conn->state = CONN_LINGER;
	if (conn->state == CONN_LINGER && conn->eof)
		conn->state = CONN_CLOSE;
	if (conn->state == CONN_LINGER && idle && !conn->shut)
		submit_shutdown(conn);
	if (conn->state == CONN_CLOSE && idle && !conn->closing)
		submit_close(conn);
}

void weir_conn_close(struct weir_conn *conn)
{
	assert_owner(conn->loop);
	if (conn->state == CONN_MOVE && !conn->wished)
		conn->wished = CONN_DRAIN;
	if (conn->state != CONN_OPEN)
		return;
	conn->state = CONN_DRAIN;
	pool_wait_end(conn->pool, &conn->waiter);
	conn_advance(conn);
	if (conn->state == CONN_CLOSE)
		return;
	weir_prep_timeout(&conn->timer, deadline_after(loop_clock(conn->loop), conn->linger_ns),
			  timer_done, conn);
	weir_submit(conn->loop, &conn->timer);
	recv_arm(conn);
}

void weir_conn_abort(struct weir_conn *conn, int err)
{
	assert_owner(conn->loop);
	if (conn->state == CONN_CLOSE || conn->wished == CONN_CLOSE)
		return;
	conn->err = err;
	if (conn->state == CONN_MOVE) {
		conn->wished = CONN_CLOSE;
		return;
	}
	conn->state = CONN_CLOSE;
	sendq_drop(conn);
	conn_advance(conn);
}

/* moving to another loop */

bool conn_idle(const struct weir_conn *conn)
{
	return conn->state == CONN_OPEN && !conn->moving && !conn->eof && sendq_empty(conn) &&
	       !conn->want_drain && !weir_op_busy(&conn->send) && !weir_op_busy(&conn->ctl);
}

/* The receive has ended. What it told may have been answered: then it is not idle. */
static void move_on(struct weir_conn *conn)
{
	conn->moving = false;
	if (!conn_idle(conn)) {
		recv_arm(conn);
		conn->hooks->moving(conn, -EBUSY);
		return;
	}
	conn->moving = true;
	conn->state = CONN_MOVE;
	conn->wished = CONN_OPEN;
	weir_prep_install(&conn->ctl, conn->file, ctl_done, conn);
	weir_submit(conn->loop, &conn->ctl);
}

int conn_move(struct weir_conn *conn)
{
	if (!conn_idle(conn))
		return -EBUSY;
	conn->moving = true;
	if (weir_op_busy(&conn->recv))
		weir_cancel(conn->loop, &conn->recv);
	else
		move_on(conn);
	return 0;
}

void conn_left(struct weir_conn *conn)
{
	struct weir_loop *loop = conn->loop;

	/* Closing a descriptor does not take it out while the other one is open. */
	if (loop->backend->forget)
		loop->backend->forget(loop, conn->file.index);
	conn->state = CONN_CLOSE;
	conn_advance(conn);
}

void conn_stay(struct weir_conn *conn)
{
	uint8_t wished = conn->wished;

	conn->moving = false;
	conn->state = CONN_OPEN;
	conn->wished = CONN_OPEN;
	if (wished == CONN_CLOSE)
		weir_conn_abort(conn, conn->err);
	else if (wished == CONN_DRAIN)
		weir_conn_close(conn);
	else
		recv_arm(conn);
}

/* open */

static int read_opts(struct weir_conn_opts *opts, const struct weir_loop *loop,
		     const struct weir_conn_opts *given)
{
	int err;

	err = opts_copy(opts, sizeof(*opts), given);
	if (err)
		return err;
	if (!opts->ops || !opts->ops->data || !opts->ops->closed)
		return -EINVAL;
	if (!opts->pool || opts->pool->group.loop != loop)
		return -EINVAL;
	if (!opts->high_bytes)
		opts->high_bytes = HIGH_DEFAULT;
	if (!opts->low_bytes)
		opts->low_bytes = min_u32(LOW_DEFAULT, opts->high_bytes / 4);
	if (!opts->linger_ns)
		opts->linger_ns = LINGER_DEFAULT_NS;
	return 0;
}

int conn_init(struct weir_conn *conn, struct weir_loop *loop, struct weir_file file,
	      const struct weir_conn_opts *given, const struct conn_hooks *hooks,
	      struct weir_link *sending)
{
	struct weir_conn_opts opts;
	int err;

	assert_owner(loop);
	err = read_opts(&opts, loop, given);
	if (err)
		return err;
	if (!io_file_get(loop, file))
		return -EBADF;
	*conn = (struct weir_conn){
		.loop		= loop,
		.pool		= opts.pool,
		.ops		= opts.ops,
		.ctx		= opts.ctx,
		.file		= file,
		.sending_head	= sending,
		.hooks		= hooks,
		.linger_ns	= opts.linger_ns,
	};
	err = weir_water_init(&conn->water, opts.low_bytes, opts.high_bytes);
	if (err)
		return err;
	sendq_init(conn);
	recv_arm(conn);
	return 0;
}

void conn_read_cookie(struct weir_conn *conn, void (*done)(struct weir_conn *conn))
{
	assert(!weir_op_busy(&conn->ctl));
	conn->cookie_done = done;
	weir_prep_getsockopt(&conn->ctl, conn->file, SOL_SOCKET, SO_COOKIE, &conn->cookie,
			     sizeof(conn->cookie), ctl_done, conn);
	weir_submit(conn->loop, &conn->ctl);
}

static void own_release(struct weir_conn *conn)
{
	mem_put(&conn->loop->alloc, conn, 1, sizeof(*conn));
}

int weir_conn_open(struct weir_conn **connp, struct weir_loop *loop, struct weir_file file,
		   const struct weir_conn_opts *opts)
{
	static const struct conn_hooks hooks = {
		.release = own_release,
	};
	struct weir_conn *conn;
	int err;

	conn = mem_get(&loop->alloc, 1, sizeof(*conn), _Alignof(struct weir_conn));
	if (!conn)
		return -ENOMEM;
	err = conn_init(conn, loop, file, opts, &hooks, NULL);
	if (err) {
		mem_put(&loop->alloc, conn, 1, sizeof(*conn));
		return err;
	}
	*connp = conn;
	return 0;
}

/* getters */

uint64_t weir_conn_queued(const struct weir_conn *conn)
{
	assert_owner(conn->loop);
	return conn->water.level_bytes;
}

uint64_t weir_conn_cookie(const struct weir_conn *conn)
{
	assert_owner(conn->loop);
	if (weir_op_busy(&conn->ctl) && conn->ctl.opcode == WEIR_OP_GETSOCKOPT)
		return 0;
	return conn->cookie;
}

struct weir_file weir_conn_file(const struct weir_conn *conn)
{
	assert_owner(conn->loop);
	return conn->file;
}

struct weir_loop *weir_conn_loop(const struct weir_conn *conn)
{
	assert_owner(conn->loop);
	return conn->loop;
}

void *weir_conn_ctx(const struct weir_conn *conn)
{
	assert_owner(conn->loop);
	return conn->ctx;
}

void weir_conn_set_ctx(struct weir_conn *conn, void *ctx)
{
	assert_owner(conn->loop);
	conn->ctx = ctx;
}
