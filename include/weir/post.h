/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * post.h - messages to the thread of a loop
 *
 * A message is the sender's memory until its function is called on the target's
 * owner thread; from then on it is the function's, which may post it on, or back
 * as the answer. The queue is bounded, keeps the order of each sender, and never
 * makes one sender wait for another, so that signal handlers may post too.
 */
#ifndef WEIR_POST_H
#define WEIR_POST_H

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;
struct weir_post;

/**
 * typedef weir_post_fn - a message has arrived
 * @post: the message, its @loop and @res filled in
 *
 * Context: Owner thread of the target, from weir_loop_run() and its kin, or from
 * weir_loop_close(). It may not close the loop.
 */
typedef void weir_post_fn(struct weir_post *post);

/**
 * struct weir_post - a message; zero it before its first use
 * @fn: called on the target's thread
 * @ctx: the sender's
 * @loop: the loop that it reached
 * @res: 0, or -ECANCELED: that loop is closing
 */
struct weir_post {
	weir_post_fn *fn;
	void *ctx;
	struct weir_loop *loop;
	int32_t res;
	/* private: the library's */
	uint32_t lib_busy;
	struct weir_post *lib_next;
};

/**
 * weir_post() - have a function called on the thread of another loop
 * @from: the loop from whose callback this is called: it rings the other one
 *	through its own ring, with the next turn. NULL anywhere else
 * @to: the target, which may not be closed before this has returned: that the
 *	message has arrived does not tell so
 * @post: the message, which is not on its way
 *
 * What the sender wrote before is seen by @post->fn. A loop with nothing else in
 * flight does not wait for messages: weir_loop_run() returns 1 from it. A message
 * that is on its way already aborts the process.
 *
 * Context: Any thread; with @from NULL also a signal handler.
 * Return: 0; -EINVAL without a function; -ECHILD in a forked child; -EAGAIN when @to
 * has as many messages waiting as its options allow (posts_max), counted in its
 * statistics.
 */
WEIR_API WEIR_MUST_CHECK
int weir_post(struct weir_loop *from, struct weir_loop *to, struct weir_post *post);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_POST_H */
