/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * token.h - cancellation tokens: a group of operations that ends together
 *
 * An operation is under the token that op->token named when it was submitted,
 * and a token may be under a parent. Cancelling a token cancels every operation
 * under it and under its children; so does its deadline. A token is also the
 * group: it counts what is in flight under it, see weir/await.h for waiting.
 */
#ifndef WEIR_TOKEN_H
#define WEIR_TOKEN_H

#include <weir/op.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct weir_token - a group of operations, in the caller's memory
 *
 * Fields named lib_* are the library's. Zero it, then weir_token_init(). It must
 * stay where it is until weir_token_fini().
 */
struct weir_token {
	/* private: the library's */
	uint32_t lib_magic;
	uint32_t lib_end;
	uint32_t lib_inflight;
	uint32_t lib_ended;
	uint32_t lib_seen;
	uint32_t lib_pad;
	struct weir_loop *lib_loop;
	struct weir_token *lib_parent;
	struct weir_link lib_sibling;
	struct weir_link lib_children;
	struct weir_link lib_ops;
	struct weir_link lib_waiters;
	struct weir_op lib_alarm;
};

/**
 * weir_token_init() - make a token
 * @token: zeroed memory of the caller, or a token that was finished
 * @loop: its loop; operations of no other may be under it
 * @parent: a token of the same loop that ends it when it ends itself and outlives
 *	it; NULL for none
 *
 * A token under a cancelled parent is cancelled from the start. One that has
 * operations in flight must not be made again: that aborts the process.
 *
 * Context: Owner thread.
 * Return: 0; -EINVAL for a parent that is none, or is another loop's.
 */
WEIR_API int weir_token_init(struct weir_token *token, struct weir_loop *loop,
			     struct weir_token *parent);

/**
 * weir_token_fini() - the end of a token
 * @token: a token; one that was never made is left alone
 *
 * Nothing may be in flight under it, no token be its child and nobody await it:
 * its memory would be used after. That aborts the process. An operation that is
 * submitted under it afterwards ends with -EINVAL.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_token_fini(struct weir_token *token);

/**
 * weir_token_cancel() - cancel everything under a token, for good
 * @token: a token
 *
 * As weir_cancel() of each operation; their terminal events tell, and none of them
 * comes from inside this call. An operation submitted under it from now on ends
 * with -ECANCELED, origin cancelled; but a close is carried out. Cancelling twice
 * is harmless. Only weir_token_fini() and weir_token_init() make it new.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_token_cancel(struct weir_token *token);

/**
 * weir_token_deadline() - when to give everything under a token up
 * @token: a token
 * @deadline_ns: a time of weir_loop_now(); 0: never; in the past: at once
 *
 * Then it is as if cancelled, but operations end with -ETIME, origin deadline. A
 * later call replaces the deadline; an end that has come is final.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_token_deadline(struct weir_token *token, uint64_t deadline_ns);

/**
 * weir_token_error() - what a token has come to
 * @token: a token
 *
 * Context: Owner thread.
 * Return: 0, -ECANCELED or -ETIME.
 */
WEIR_API int weir_token_error(const struct weir_token *token);

/**
 * weir_token_inflight() - how much is in flight under a token
 * @token: a token
 *
 * Context: Owner thread.
 * Return: operations between weir_submit() and their terminal event, its
 * children's among them.
 */
WEIR_API uint32_t weir_token_inflight(const struct weir_token *token);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_TOKEN_H */
