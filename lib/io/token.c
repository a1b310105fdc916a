// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * token.c - groups of operations that end together
 *
 * An op is on the list of its own token; counts go up to every ancestor. The end
 * of a token goes down at once, so that a look at its own token tells an op all. A
 * deadline is filed in the loop's wheel only while something is in flight under
 * the token: an idle token holds nothing of the loop's.
 */
#include <errno.h>

#include "io/await.h"
#include "io/token.h"

enum { TOKEN_MAGIC = 0x70c3a11e };

static const char *where_of(const struct weir_token *token)
{
	return list_empty(&token->lib_ops) ? "a child of it" :
	       container_of(token->lib_ops.next, struct weir_op, lib_token)->lib_where;
}

/* The next token below @top after @token, a parent before its children; or NULL. */
static struct weir_token *token_next(struct weir_token *token, const struct weir_token *top)
{
	if (!list_empty(&token->lib_children))
		return container_of(token->lib_children.next, struct weir_token, lib_sibling);
	for (; token != top; token = token->lib_parent) {
		if (token->lib_sibling.next != &token->lib_parent->lib_children)
			return container_of(token->lib_sibling.next, struct weir_token,
					    lib_sibling);
	}
	return NULL;
}

static void end_one(struct weir_token *token, enum op_end why)
{
	struct weir_link *node;

	if (token->lib_end)
		return;
	token->lib_end = why;
	list_del(&token->lib_alarm.lib_wheel);
	/* Nobody is called back here, so the list stays as it is. */
	for (node = token->lib_ops.next; node != &token->lib_ops; node = node->next)
		op_end(token->lib_loop, container_of(node, struct weir_op, lib_token), why);
}

static void token_end(struct weir_token *top, enum op_end why)
{
	struct weir_token *token;

	for (token = top; token; token = token_next(token, top))
		end_one(token, why);
}

static void on_alarm(struct weir_op *alarm)
{
	token_end(alarm->ctx, OP_END_DEADLINE);
}

static bool is_late(const struct weir_token *token)
{
	uint64_t deadline_ns = token->lib_alarm.deadline_ns;

	return deadline_ns && deadline_ns <= loop_clock(token->lib_loop);
}

static void alarm_start(struct weir_token *token)
{
	if (token->lib_end)
		return;
	if (is_late(token))
		token_end(token, OP_END_DEADLINE);
	else
		wheel_start(&token->lib_loop->wheel, &token->lib_alarm);
}

static void tell_waiters(struct weir_token *token)
{
	struct weir_link *node;

	for (node = token->lib_waiters.next; node != &token->lib_waiters; node = node->next) {
		struct waiter *waiter = container_of(node, struct waiter, link);

		if (waiter->what == AWAIT_ANY ||
		    (!token->lib_inflight &&
		     (waiter->what == AWAIT_ALL || list_empty(&token->lib_children))))
			waiter_wake(waiter);
	}
}

int token_join(struct weir_loop *loop, struct weir_op *op)
{
	struct weir_token *token = op->token;

	if (token->lib_magic != TOKEN_MAGIC || token->lib_loop != loop)
		return -EINVAL;
	list_add_tail(&token->lib_ops, &op->lib_token);
	for (; token; token = token->lib_parent) {
		if (!token->lib_inflight++ && token->lib_alarm.deadline_ns)
			alarm_start(token);
	}
	return 0;
}

void token_leave(struct weir_op *op)
{
	struct weir_token *token;

	list_del(&op->lib_token);
	for (token = op->token; token; token = token->lib_parent) {
		token->lib_ended++;
		if (!--token->lib_inflight && token->lib_alarm.deadline_ns)
			list_del(&token->lib_alarm.lib_wheel);
		if (!list_empty(&token->lib_waiters))
			tell_waiters(token);
	}
}

int weir_token_init(struct weir_token *token, struct weir_loop *loop, struct weir_token *parent)
{
	assert_owner(loop);
	if (parent && (parent->lib_magic != TOKEN_MAGIC || parent->lib_loop != loop))
		return -EINVAL;
	weir_token_fini(token);
	*token = (struct weir_token){
		.lib_magic = TOKEN_MAGIC,
		.lib_loop = loop,
		.lib_parent = parent,
		.lib_alarm = { .done = on_alarm, .ctx = token, .lib_state = OP_ALARM },
	};
	list_init(&token->lib_sibling);
	list_init(&token->lib_children);
	list_init(&token->lib_ops);
	list_init(&token->lib_waiters);
	list_init(&token->lib_alarm.lib_wheel);
	if (parent) {
		token->lib_end = parent->lib_end;
		list_add_tail(&parent->lib_children, &token->lib_sibling);
	}
	return 0;
}

void weir_token_fini(struct weir_token *token)
{
	if (token->lib_magic != TOKEN_MAGIC)
		return;
	if (token->lib_inflight)
		base_die("weir: a token ends with %u operations in flight, one since %s",
			 token->lib_inflight, where_of(token));
	if (!list_empty(&token->lib_children))
		base_die("weir: a token ends before its child");
	if (!list_empty(&token->lib_waiters))
		base_die("weir: a token ends while it is awaited");
	token->lib_magic = 0;
	list_del(&token->lib_sibling);
	if (token->lib_parent)
		tell_waiters(token->lib_parent);
}

void weir_token_cancel(struct weir_token *token)
{
	assert_owner(token->lib_loop);
	token_end(token, OP_END_CANCEL);
}

void weir_token_deadline(struct weir_token *token, uint64_t deadline_ns)
{
	assert_owner(token->lib_loop);
	list_del(&token->lib_alarm.lib_wheel);
	token->lib_alarm.deadline_ns = deadline_ns;
	if (token->lib_inflight && deadline_ns)
		alarm_start(token);
}

int weir_token_error(const struct weir_token *token)
{
	if (token->lib_end)
		return token->lib_end == OP_END_DEADLINE ? -ETIME : -ECANCELED;
	for (; token; token = token->lib_parent) {
		if (is_late(token))
			return -ETIME;
	}
	return 0;
}

uint32_t weir_token_inflight(const struct weir_token *token)
{
	return token->lib_inflight;
}
