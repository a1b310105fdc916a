// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * await.c - straight-line code over operations
 *
 * Who waits is a struct waiter on its own stack. An awaited op has our callback in
 * place of the user's, which is called from it: so that an op can be awaited at any
 * time of its life, and by several.
 */
#include <errno.h>

#include "io/await.h"
#include "io/token.h"

/* Who waits for an op. */
struct op_waiter {
	struct waiter waiter;
	weir_done_fn *done;		/* the user's, while ours is in its place */
	void *ctx;
	struct weir_token *token;
	int res;
};

/* waiting */

static int waiter_init(struct waiter *waiter, struct weir_loop *loop)
{
	assert_owner(loop);
	*waiter = (struct waiter){
		.loop = loop,
		.fiber = loop->fibers ? loop->fibers->running : NULL,
	};
	list_init(&waiter->link);
	return loop->running && !waiter->fiber ? -EDEADLK : 0;
}

void waiter_wake(struct waiter *waiter)
{
	waiter->woken = true;
	if (waiter->fiber && list_empty(&waiter->fiber->ready))
		list_add_tail(&waiter->loop->fibers->ready, &waiter->fiber->ready);
}

static void waiter_cancel(void *arg)
{
	struct waiter *waiter = arg;

	if (waiter->op)
		weir_cancel(waiter->loop, waiter->op);
	else
		weir_token_cancel(waiter->token);
}

static int waiter_wait(struct waiter *waiter)
{
	struct io_fibers *fibers = waiter->loop->fibers;

	if (!waiter->fiber)
		return loop_run_for(waiter->loop, &waiter->woken, waiter_cancel, waiter);
	while (!waiter->woken)
		fibers->suspend(fibers);
	return 0;
}

/* operations */

static void await_done(struct weir_op *op)
{
	struct op_waiter *self = op->ctx;

	op->done = self->done;
	op->ctx = self->ctx;
	if (op->more) {
		if (op->done)
			op->done(op);
		self->done = op->done;
		self->ctx = op->ctx;
		op->done = await_done;
		op->ctx = self;
		return;
	}
	op->token = self->token;
	self->res = op->res;
	waiter_wake(&self->waiter);
	if (op->done)
		op->done(op);
}

/*
 * Our callback takes the place of the user's until the terminal event, and gives it
 * back. gcc does not see that when this is inlined: -Wdangling-pointer.
 */
static __attribute__((noinline))
int await_begin(struct op_waiter *self, struct weir_loop *loop, struct weir_op *op)
{
	int err;

	err = waiter_init(&self->waiter, loop);
	if (err)
		return err;
	self->waiter.op = op;
	self->done = op->done;
	self->ctx = op->ctx;
	self->token = op->token;
	op->done = await_done;
	op->ctx = self;
	return 0;
}

static int await_finish(struct op_waiter *self, struct weir_op *op)
{
	int err = waiter_wait(&self->waiter);

	if (self->waiter.woken)
		return self->res;
	op->done = self->done ? self->done : weir_done_ignore;
	op->ctx = self->ctx;
	return err;
}

int await_under(struct weir_loop *loop, struct weir_op *op, struct weir_token *token,
		const char *where)
{
	struct op_waiter self;
	int err;

	if (op->flags & WEIR_OPF_MULTISHOT && !op->done)
		return -EINVAL;
	err = await_begin(&self, loop, op);
	if (err)
		return err;
	if (!op->token)
		op->token = token;
	weir_submit_at(loop, op, where);
	return await_finish(&self, op);
}

int weir_await_end(struct weir_loop *loop, struct weir_op *op)
{
	struct op_waiter self;
	int err;

	if (!weir_op_busy(op))
		return op->res;
	if (op->lib_loop != loop)
		return -EINVAL;
	err = await_begin(&self, loop, op);
	return err ? err : await_finish(&self, op);
}

int weir_await_at(struct weir_loop *loop, struct weir_op *op, const char *where)
{
	return await_under(loop, op, weir_scope_token(loop), where);
}

int weir_call_at(struct weir_loop *loop, struct weir_op *op, uint64_t deadline_ns,
		 const char *where)
{
	int res;

	/* New memory on a stack, whatever was there before. */
	op->lib_magic = OP_MAGIC_IDLE;
	op->deadline_ns = deadline_ns;
	res = weir_await_at(loop, op, where);
	if (weir_op_busy(op))
		base_die("weir: %s: %s in flight on a stack that goes away",
			 weir_strerror(res), where);
	return res;
}

/* groups */

static bool holds(const struct weir_token *token, enum await_what what)
{
	switch (what) {
	case AWAIT_ANY:
		return !token->lib_inflight || token->lib_ended != token->lib_seen;
	case AWAIT_ALL:
		return !token->lib_inflight;
	case AWAIT_QUIET:
		break;
	}
	return !token->lib_inflight && list_empty(&token->lib_children);
}

int token_wait(struct weir_token *token, enum await_what what)
{
	struct waiter waiter;
	int err = 0;

	while (!err && !holds(token, what)) {
		err = waiter_init(&waiter, token->lib_loop);
		if (err)
			return err;
		waiter.token = token;
		waiter.what = what;
		list_add_tail(&token->lib_waiters, &waiter.link);
		err = waiter_wait(&waiter);
		list_del(&waiter.link);
	}
	return err;
}

int weir_await_all(struct weir_token *token)
{
	int err = token_wait(token, AWAIT_ALL);

	return err ? err : weir_token_error(token);
}

int weir_await_any(struct weir_token *token)
{
	uint32_t n;
	int err;

	err = token_wait(token, AWAIT_ANY);
	if (err)
		return err;
	n = token->lib_ended - token->lib_seen;
	token->lib_seen = token->lib_ended;
	return n < INT32_MAX ? (int)n : INT32_MAX;
}

/* scopes */

void token_settle(struct weir_token *token)
{
	int err;

	weir_token_cancel(token);
	err = token_wait(token, AWAIT_QUIET);
	if (err)
		base_die("weir: a scope ends with %u operations in flight: %s",
			 token->lib_inflight, weir_strerror(err));
	weir_token_fini(token);
}

/* Where the caller's innermost scope is kept; a callback has none. */
static struct weir_token **scope_of(struct weir_loop *loop)
{
	if (loop->fibers && loop->fibers->running)
		return &loop->fibers->running->scope;
	return loop->running ? NULL : &loop->scope;
}

struct weir_token *weir_scope_token(struct weir_loop *loop)
{
	struct weir_token **slot = scope_of(loop);

	return slot ? *slot : NULL;
}

void weir_scope_enter(struct weir_scope *scope, struct weir_loop *loop, uint64_t deadline_ns)
{
	struct weir_token **slot = scope_of(loop);

	if (!slot)
		base_die("weir: a scope is entered in a callback");
	scope->lib_outer = *slot;
	scope->token.lib_magic = 0;
	/* Of this loop, as its parent: cannot fail. */
	(void)weir_token_init(&scope->token, loop, *slot);
	weir_token_deadline(&scope->token, deadline_ns);
	*slot = &scope->token;
}

void weir_scope_exit(struct weir_scope *scope)
{
	struct weir_token **slot = scope_of(scope->token.lib_loop);

	if (!slot || *slot != &scope->token)
		base_die("weir: a scope is left that is not the innermost");
	token_settle(&scope->token);
	*slot = scope->lib_outer;
}
