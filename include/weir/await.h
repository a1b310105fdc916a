/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * await.h - wait for operations in straight-line code
 *
 * The same calls from a fiber (weir/fiber.h) and from plain code. In a fiber they
 * suspend that fiber and nothing else; in plain code they run the loop until what
 * is awaited has ended. From a callback of the loop they are refused with -EDEADLK.
 *
 * There is no early return: whatever the deadline, the call comes back when the
 * library and the kernel own none of the memory any more.
 */
#ifndef WEIR_AWAIT_H
#define WEIR_AWAIT_H

#include <weir/op.h>
#include <weir/token.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * weir_await_at() - submit an operation and wait for it to end
 * @loop: the loop
 * @op: a prepared operation that is not in flight
 * @where: "file:line" of the caller, a static string; weir_await() fills it in
 *
 * The deadline is the operation's own: op->deadline_ns. One that names no token is
 * under the innermost scope of the caller, see weir_scope_enter(). op->done may be
 * NULL; if it is set it is called as ever, with op->ctx as it was, before this
 * returns, and it may even free the operation. While it is awaited op->done and
 * op->ctx are the library's.
 *
 * weir_loop_stop() cancels what plain code awaits; the next weir_loop_run() still
 * finds the stop.
 *
 * Context: Owner thread, not from a callback.
 * Return: the result of the terminal event; -EDEADLK from a callback: it was not
 * submitted; -EINVAL for a multishot operation without done(), whose events would
 * be lost. If the backend breaks and stays broken, its -errno: weir_op_busy() tells
 * whether the operation is in flight still.
 */
WEIR_API int weir_await_at(struct weir_loop *loop, struct weir_op *op, const char *where);

#define weir_await(loop, op)	weir_await_at(loop, op, __FILE__ ":" WEIR_STR(__LINE__))

/**
 * weir_await_end() - wait for an operation that was submitted before
 * @loop: the loop
 * @op: an operation in flight on @loop, or one that has ended; op->done was set, if
 *	only to weir_done_ignore()
 *
 * As weir_await() for the rest. Several may wait for one operation.
 *
 * Context: Owner thread; while it is in flight, not from a callback.
 * Return: the result of the terminal event; -EDEADLK from a callback; -EINVAL for an
 * operation of another loop; or the -errno of a broken backend.
 */
WEIR_API int weir_await_end(struct weir_loop *loop, struct weir_op *op);

/**
 * weir_await_all() - wait until nothing is in flight under a token
 * @token: a token; weir_token_deadline() is the deadline
 *
 * When the token is cancelled or its deadline passes the operations end early, and
 * that is still waited for.
 *
 * Context: Owner thread, not from a callback.
 * Return: 0; the token's error, -ECANCELED or -ETIME, if it has one; -EDEADLK from a
 * callback while something is in flight; or the -errno of a broken backend.
 */
WEIR_API int weir_await_all(struct weir_token *token);

/**
 * weir_await_any() - wait until something under a token has ended
 * @token: a token; weir_token_deadline() is the deadline
 *
 * weir_op_busy() or done() tell which ones. After a deadline all of them end.
 *
 * Context: Owner thread, not from a callback.
 * Return: how many operations have ended since the last call; 0 if none has and
 * none is in flight; -EDEADLK from a callback; or the -errno of a broken backend.
 */
WEIR_API int weir_await_any(struct weir_token *token);

/**
 * weir_call_at() - await an operation on the caller's stack
 * @loop: the loop
 * @op: a prepared operation
 * @deadline_ns: when to give up; 0: never
 * @where: "file:line" of the caller, a static string
 *
 * For weir/call.h. As weir_await(), but an operation that a broken backend leaves
 * in flight aborts the process, since its memory is about to go.
 *
 * Context: Owner thread, not from a callback.
 * Return: as weir_await().
 */
WEIR_API int weir_call_at(struct weir_loop *loop, struct weir_op *op, uint64_t deadline_ns,
			  const char *where);

/**
 * struct weir_scope - a token that lives as long as a block of code
 * @token: for weir_token_cancel(), weir_token_deadline() and op->token
 */
struct weir_scope {
	struct weir_token token;
	/* private: the library's */
	struct weir_token *lib_outer;
};

/**
 * weir_scope_enter() - what is awaited from here on is under a new token
 * @scope: memory of the caller; it need not be zeroed
 * @loop: the loop
 * @deadline_ns: of all that is under it; 0: never
 *
 * Its parent is the scope that the caller is in: each fiber has its own, and plain
 * code has one per loop. It holds for the calls of this header and for fibers that
 * are spawned; an operation that is merely submitted names its token itself.
 *
 * Context: Owner thread, not from a callback.
 */
WEIR_API void weir_scope_enter(struct weir_scope *scope, struct weir_loop *loop,
			       uint64_t deadline_ns);

/**
 * weir_scope_exit() - cancel what is left in a scope, wait for it, leave
 * @scope: the scope entered last by this fiber, or by plain code
 *
 * Waits for operations and for fibers. If it cannot (from a callback, with
 * something in flight) it aborts the process, since the memory is about to go.
 *
 * Context: Owner thread, not from a callback.
 */
WEIR_API void weir_scope_exit(struct weir_scope *scope);

/**
 * weir_scope_token() - the token that the caller's calls are under
 * @loop: the loop
 *
 * Context: Owner thread.
 * Return: that of the innermost scope of this fiber, or of plain code; NULL: none.
 */
WEIR_API struct weir_token *weir_scope_token(struct weir_loop *loop);

#ifndef __cplusplus
/* A scope that is left with its block, however that ends but for longjmp(3). */
#define WEIR_SCOPE(name, loop, deadline_ns)					\
	struct weir_scope name __attribute__((cleanup(weir_scope_exit)));	\
	weir_scope_enter(&(name), loop, deadline_ns)
#endif

/* For an operation that is submitted first and awaited later. */
static inline void weir_done_ignore(struct weir_op *op)
{
	(void)op;
}

#ifdef __cplusplus
}
#endif

#endif /* WEIR_AWAIT_H */
