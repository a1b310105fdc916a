// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * exact.c - reads and writes that go on until all is moved
 *
 * A kernel may move less than was asked for at any time: at a signal, at the end
 * of a page cache, in a pipe.
 */
#include <errno.h>

#include <weir/transfer.h>

#include "io/loop.h"

enum { STEP_BYTES_MAX = INT32_MAX & ~4095 };

static void exact_event(struct weir_op *op);

static void step(struct weir_exact *exact)
{
	uint64_t left = exact->len - exact->moved;
	uint32_t most = min_u32(exact->step_bytes ? exact->step_bytes : STEP_BYTES_MAX,
				STEP_BYTES_MAX);
	struct weir_op *op = &exact->lib_op;

	weir_prep(op, exact->lib_opcode, exact->file, exact_event, exact);
	op->xfer.buf = (unsigned char *)exact->buf + exact->moved;
	op->len = (uint32_t)min_u64(left, most);
	if (exact->offset != WEIR_NO_OFFSET)
		op->xfer.offset = exact->offset + exact->moved;
	op->deadline_ns = exact->deadline_ns;
	op->token = exact->token;
	weir_submit(exact->lib_loop, op);
}

static void finish(struct weir_exact *exact, int res)
{
	exact->res = res;
	exact->done(exact);
}

static void exact_event(struct weir_op *op)
{
	struct weir_exact *exact = op->ctx;

	if (op->res > 0)
		exact->moved += (uint32_t)op->res;
	if (op->res < 0 && op->res != -EINTR) {
		finish(exact, op->res);
	} else if (exact->moved == exact->len) {
		finish(exact, 0);
	} else if (!op->res) {
		finish(exact, exact->lib_opcode == WEIR_OP_READ ? -ENODATA : -EIO);
	} else if (exact->lib_cancelled) {
		finish(exact, -ECANCELED);
	} else {
		if (exact->progress)
			exact->progress(exact);
		step(exact);
	}
}

static void start(struct weir_loop *loop, struct weir_exact *exact, enum weir_opcode opcode)
{
	assert_owner(loop);
	exact->lib_loop = loop;
	exact->lib_opcode = opcode;
	exact->lib_cancelled = 0;
	exact->moved = 0;
	exact->res = 0;
	step(exact);
}

void weir_read_exact(struct weir_loop *loop, struct weir_exact *exact)
{
	start(loop, exact, WEIR_OP_READ);
}

void weir_write_all(struct weir_loop *loop, struct weir_exact *exact)
{
	start(loop, exact, WEIR_OP_WRITE);
}

void weir_exact_cancel(struct weir_exact *exact)
{
	exact->lib_cancelled = 1;
	weir_cancel(exact->lib_loop, &exact->lib_op);
}
