/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * pass.h - hand an open file or socket over to another loop
 */
#ifndef WEIR_PASS_H
#define WEIR_PASS_H

#include <weir/op.h>
#include <weir/post.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_pass;

/**
 * typedef weir_pass_fn - a hand-over has ended, see weir_file_pass()
 * @pass: the hand-over, its @loop, @file and @res filled in
 *
 * Context: Owner thread of @pass->loop, from weir_loop_run() and its kin.
 */
typedef void weir_pass_fn(struct weir_pass *pass);

/**
 * struct weir_pass - one hand-over, in the caller's memory; zero it first
 * @done: called once
 * @ctx: the caller's
 * @loop: the loop that has the file now
 * @file: its handle there
 * @res: 0, or why it stayed where it was
 */
struct weir_pass {
	weir_pass_fn *done;
	void *ctx;
	struct weir_loop *loop;
	struct weir_file file;
	int32_t res;
	/* private: the library's */
	int32_t lib_fd;
	struct weir_loop *lib_from;
	struct weir_loop *lib_to;
	struct weir_file lib_place;
	uint32_t lib_sent;
	uint32_t lib_hints;
	struct weir_post lib_post;
	struct weir_op lib_op;
};

/**
 * weir_file_pass() - hand a file over to another loop
 * @from: its loop
 * @file: its handle there, stale from here unless the hand-over fails
 * @to: the target
 * @pass: the hand-over; the library's until @pass->done is called
 *
 * What is in flight on @file is cancelled and has its terminal events first. Then
 * a place is kept at the target; only when there is one does the file leave. On
 * success @pass->done is called on the owner thread of @to, with the new handle;
 * otherwise on that of @from, with the old one, which is good again: -ENFILE when
 * the target has no place, -ECANCELED when one of the two loops is closing, or
 * what the kernel said. Neither loop may be closed before, or else its
 * weir_loop_close() waits for the other one to take its turn.
 *
 * Context: Owner thread of @from.
 * Return: 0; -EINVAL without a callback or if the loops are the same; -EBADF for a
 * stale handle; -EOPNOTSUPP on sim, whose loops are worlds of their own, and for a
 * registered slot if the loops' backends differ. Nothing happens then.
 */
WEIR_API WEIR_MUST_CHECK
int weir_file_pass(struct weir_loop *from, struct weir_file file, struct weir_loop *to,
		   struct weir_pass *pass);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_PASS_H */
