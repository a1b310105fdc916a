// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sendfile.c - a file into a socket: spliced into a pipe, and out of it again
 *
 *	FILL -> DRAIN -> FILL ... -> end          a pipe of the loop's, empty again
 *	READ -> WRITE -> READ ... -> end          splice(2) refused the file
 *	                 CLOSE_RD -> CLOSE_WR     it ended with bytes in the pipe
 */
#include <errno.h>

#include <weir/file.h>
#include <weir/transfer.h>

#include "io/loop.h"

enum { FILL_BYTES = 1 << 16 };	/* what a pipe holds unless told otherwise: pipe(7) */

enum state { FILL, DRAIN, READ, WRITE, CLOSE_RD, CLOSE_WR, FAILED };

static void sendfile_event(struct weir_op *op);

/* pipes: those that are empty are kept */

static int pipe_get(struct weir_loop *loop, struct weir_file ends[2])
{
	if (!loop->pipes_count)
		return weir_pipe_open(loop, &ends[0], &ends[1]);
	loop->pipes_count--;
	ends[0] = loop->pipes[loop->pipes_count][0];
	ends[1] = loop->pipes[loop->pipes_count][1];
	return 0;
}

static bool pipe_put(struct weir_loop *loop, const struct weir_file ends[2])
{
	if (loop->pipes_count == LOOP_PIPES)
		return false;
	loop->pipes[loop->pipes_count][0] = ends[0];
	loop->pipes[loop->pipes_count][1] = ends[1];
	loop->pipes_count++;
	return true;
}

/* steps */

static void prepare(struct weir_sendfile *sf, uint32_t len)
{
	struct weir_op *op = &sf->lib_op;

	switch ((enum state)sf->lib_state) {
	case FILL:
		weir_prep_splice(op, sf->from, (int64_t)(sf->offset + sf->sent), sf->lib_pipe[1],
				 -1, len, 0, sendfile_event, sf);
		break;
	case DRAIN:
		weir_prep_splice(op, sf->lib_pipe[0], -1, sf->to, -1, sf->lib_held, 0,
				 sendfile_event, sf);
		break;
	case READ:
		weir_prep_read(op, sf->from, sf->buf, min_u32(len, sf->buf_bytes),
			       sf->offset + sf->sent, sendfile_event, sf);
		break;
	case WRITE:
		weir_prep_write(op, sf->to, (unsigned char *)sf->buf + sf->lib_at, sf->lib_held,
				0, sendfile_event, sf);
		break;
	case CLOSE_RD:
	case CLOSE_WR:
		weir_prep_close(op, sf->lib_pipe[sf->lib_state - CLOSE_RD], sendfile_event, sf);
		return;
	case FAILED:
		weir_prep_nop(op, sendfile_event, sf);
		return;
	}
	op->deadline_ns = sf->deadline_ns;
	op->token = sf->token;
}

static void step(struct weir_sendfile *sf, enum state state)
{
	uint64_t left = sf->len - sf->sent;

	sf->lib_state = state;
	prepare(sf, (uint32_t)min_u64(left, FILL_BYTES));
	weir_submit(sf->lib_loop, &sf->lib_op);
}

static void end(struct weir_sendfile *sf, int res)
{
	bool piped = sf->lib_state == FILL || sf->lib_state == DRAIN;

	sf->res = res;
	if ((piped && sf->lib_held) || !pipe_put(sf->lib_loop, sf->lib_pipe))
		step(sf, CLOSE_RD);
	else
		sf->done(sf);
}

/* Bytes are on their way, or none are left to take. */
static void filled(struct weir_sendfile *sf, uint32_t len)
{
	if (!len) {
		end(sf, 0);
		return;
	}
	sf->lib_held = len;
	sf->lib_at = 0;
	step(sf, sf->lib_state == FILL ? DRAIN : WRITE);
}

static void drained(struct weir_sendfile *sf, uint32_t len)
{
	sf->sent += len;
	sf->lib_held -= len;
	sf->lib_at += len;
	if (sf->sent == sf->len) {
		end(sf, 0);
		return;
	}
	if (sf->progress)
		sf->progress(sf);
	if (sf->lib_held)
		step(sf, (enum state)sf->lib_state);
	else
		step(sf, sf->lib_state == DRAIN ? FILL : READ);
}

/* The step was quicker than its cancel; there is no other. */
static void cancelled(struct weir_sendfile *sf, bool in, uint32_t len)
{
	if (in) {
		sf->lib_held = len;
		end(sf, len ? -ECANCELED : 0);
		return;
	}
	sf->sent += len;
	sf->lib_held -= len;
	end(sf, sf->sent == sf->len ? 0 : -ECANCELED);
}

static void moved(struct weir_sendfile *sf, int res)
{
	bool in = sf->lib_state == FILL || sf->lib_state == READ;

	if (sf->lib_cancelled && res >= 0)
		cancelled(sf, in, (uint32_t)res);
	else if (sf->lib_cancelled && res == -EINTR)
		end(sf, -ECANCELED);
	else if (res == -EINTR)
		step(sf, (enum state)sf->lib_state);
	else if (res == -EINVAL && sf->lib_state == FILL && sf->buf_bytes && !sf->sent)
		step(sf, READ);
	else if (res < 0 || (!res && !in))
		end(sf, res ? res : -EIO);
	else if (in)
		filled(sf, (uint32_t)res);
	else
		drained(sf, (uint32_t)res);
}

static void sendfile_event(struct weir_op *op)
{
	struct weir_sendfile *sf = op->ctx;

	switch ((enum state)sf->lib_state) {
	case CLOSE_RD:
		step(sf, CLOSE_WR);
		break;
	case CLOSE_WR:
	case FAILED:
		sf->done(sf);
		break;
	case FILL:
	case DRAIN:
	case READ:
	case WRITE:
		moved(sf, op->res);
		break;
	}
}

void weir_sendfile_start(struct weir_loop *loop, struct weir_sendfile *sf)
{
	assert_owner(loop);
	sf->lib_loop = loop;
	sf->lib_cancelled = 0;
	sf->lib_held = 0;
	sf->sent = 0;
	sf->res = sf->offset > INT64_MAX ? -EINVAL : pipe_get(loop, sf->lib_pipe);
	step(sf, sf->res ? FAILED : FILL);
}

void weir_sendfile_cancel(struct weir_sendfile *sf)
{
	sf->lib_cancelled = 1;
	weir_cancel(sf->lib_loop, &sf->lib_op);
}
