// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * pass.c - hand an open file over to another loop
 *
 *	source: settle -> target: keep a place -> source: send -> target: arrived
 *	                        \-> no place ->  \-> failed -> target: give it up -> source
 *
 * Steps between the threads are messages (io/post.h), which are never refused
 * half way. Until it is sent the file is the source's, in state CLOSING: its
 * handle is stale, its place taken. Either loop counts what it takes part in
 * (weir_loop.passing) and is not freed before.
 */
#include <errno.h>

#include "io/pass.h"

static struct weir_pass *pass_of(struct weir_post *post)
{
	return container_of(post, struct weir_pass, lib_post);
}

static struct io_file *entry_of(const struct weir_pass *pass)
{
	return &pass->lib_from->files[pass->file.index];
}

static bool is_slot(const struct weir_pass *pass)
{
	return pass->file.index < pass->lib_from->files_fixed;
}

static void go(struct weir_loop *from, struct weir_loop *to, struct weir_pass *pass,
	       weir_post_fn *fn)
{
	pass->lib_post.fn = fn;
	post_put(from, to, &pass->lib_post);
}

/* The last step: one loop or the other has the file. */
static void end(struct weir_loop *loop, struct weir_pass *pass, struct weir_file file, int res)
{
	pass->loop = loop;
	pass->file = file;
	pass->res = res;
	pass->done(pass);
}

/* at the source: it stays */
static void stay(struct weir_pass *pass, int err)
{
	struct weir_loop *loop = pass->lib_from;
	struct io_file *entry = entry_of(pass);

	io_file_state(entry, IO_FILE_OPEN);
	entry->closer = NULL;
	loop->passing--;
	end(loop, pass, pass->file, err);
}

static void refused(struct weir_post *post)
{
	stay(pass_of(post), pass_of(post)->res);
}

/* at the target: what is known of the file goes with it */
static void arrived_as(struct weir_pass *pass, struct weir_file file)
{
	pass->lib_to->files[file.index].hints |= (uint16_t)pass->lib_hints;
	end(pass->lib_to, pass, file, 0);
}

/* at the target: arrived, a descriptor */
static void arrived(struct weir_post *post)
{
	struct weir_pass *pass = pass_of(post);
	struct weir_loop *loop = pass->lib_to;

	loop->passing--;
	io_file_put(loop, pass->lib_place.index, pass->lib_fd);
	loop->backend->adopt(loop, pass->lib_place.index, pass->lib_fd);
	arrived_as(pass, pass->lib_place);
}

void pass_arrived(struct weir_loop *loop, struct weir_pass *pass, uint32_t slot)
{
	/* Pairs with the release in depart(): the kernel orders the rest. */
	if (!__atomic_load_n(&pass->lib_sent, __ATOMIC_ACQUIRE))
		base_die("weir: a file has arrived that was not sent");
	loop->passing--;
	loop->files_reserved--;
	arrived_as(pass, io_file_fixed(loop, slot));
}

/* at the target: keep a place, or give it up */

static int place_keep(struct weir_pass *pass)
{
	struct weir_loop *loop = pass->lib_to;

	if (loop->closing)
		return -ECANCELED;
	if (!is_slot(pass))
		return io_file_new(loop, -1, &pass->lib_place);
	if (!io_file_room(loop, 1))
		return -ENFILE;
	loop->backend->reserve(loop);
	return 0;
}

static void give_up(struct weir_post *post)
{
	struct weir_pass *pass = pass_of(post);
	struct weir_loop *loop = pass->lib_to;

	loop->passing--;
	loop->files_reserved--;
	loop->accept_retry_ns = 0;
	go(loop, pass->lib_from, pass, refused);
}

static void depart(struct weir_post *post);

static void keep(struct weir_post *post)
{
	struct weir_pass *pass = pass_of(post);

	pass->res = place_keep(pass);
	if (!pass->res)
		pass->lib_to->passing++;
	go(pass->lib_to, pass->lib_from, pass, pass->res ? refused : depart);
}

/* at the source: send it */

void pass_sent(struct weir_loop *loop, uint32_t index, int err)
{
	struct weir_pass *pass;

	if (!err) {
		/* The target has the hand-over by now, and may have ended it. */
		io_file_free(loop, index);
		loop->passing--;
		return;
	}
	pass = container_of(loop->files[index].closer, struct weir_pass, lib_op);
	pass->res = err;
	go(loop, pass->lib_to, pass, give_up);
}

static void depart(struct weir_post *post)
{
	struct weir_pass *pass = pass_of(post);
	struct weir_loop *loop = pass->lib_from;
	uint32_t index = pass->file.index;
	int err;

	if (!is_slot(pass)) {
		pass->lib_fd = entry_of(pass)->fd;
		if (loop->backend->forget)
			loop->backend->forget(loop, index);
		io_file_free(loop, index);
		loop->passing--;
		go(loop, pass->lib_to, pass, arrived);
		return;
	}
	err = loop->backend->send_file(loop, index, pass->lib_to, pass);
	/* It leaves with the loop's turn; nothing here looks at the target any more. */
	if (err)
		pass_sent(loop, index, err);
	else
		__atomic_store_n(&pass->lib_sent, 1, __ATOMIC_RELEASE);
}

/* Nothing is in flight on the file any more. */
static void settled(struct weir_op *op)
{
	struct weir_pass *pass = op->ctx;

	if (op->res < 0)
		stay(pass, op->res);
	else
		go(pass->lib_from, pass->lib_to, pass, keep);
}

int weir_file_pass(struct weir_loop *from, struct weir_file file, struct weir_loop *to,
		   struct weir_pass *pass)
{
	assert_owner(from);
	if (!pass->done || from == to)
		return -EINVAL;
	if (!io_file_get(from, file))
		return -EBADF;
	if (from->sys != &io_sys_linux || to->sys != &io_sys_linux ||
	    (file.index < from->files_fixed && from->backend != to->backend))
		return -EOPNOTSUPP;
	pass->lib_from = from;
	pass->lib_to = to;
	pass->lib_sent = 0;
	pass->lib_hints = from->files[file.index].hints & IO_HINTS_KIND;
	pass->file = file;
	from->passing++;
	weir_prep_nop(&pass->lib_op, settled, pass);
	pass->lib_op.file = file;
	op_settle(from, &pass->lib_op, "a hand-over");
	return 0;
}
