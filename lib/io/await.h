/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * await.h - those that wait: fibers, or plain code that runs the loop meanwhile
 */
#ifndef IO_AWAIT_H
#define IO_AWAIT_H

#include <weir/await.h>

#include "io/loop.h"

/* A fiber as the loop knows it. */
struct io_fiber {
	struct weir_link ready;		/* on io_fibers.ready, or on none */
	struct weir_token *scope;	/* innermost */
};

/*
 * The fibers of a loop.
 * @run: run each that is ready now, once; returns how many
 * @suspend: the one that runs waits until it is on @ready again
 */
struct io_fibers {
	unsigned int (*run)(struct io_fibers *fibers);
	void (*suspend)(struct io_fibers *fibers);
	struct weir_link ready;
	struct io_fiber *running;	/* or NULL: the loop is */
};

/* What a waiter of a token waits for. */
enum await_what {
	AWAIT_ANY,	/* an operation under it has ended */
	AWAIT_ALL,	/* none is in flight */
	AWAIT_QUIET,	/* nor has it children */
};

/* Somebody who waits, on their own stack. */
struct waiter {
	struct weir_link link;		/* on a token's list */
	struct weir_loop *loop;
	struct io_fiber *fiber;		/* NULL: plain code */
	struct weir_op *op;		/* what a stop of plain code cancels: this */
	struct weir_token *token;	/* or that */
	uint8_t what;			/* enum await_what */
	bool woken;
};

/* waiter_wake() - what it waited for is there; it goes on from the loop's turn */
void waiter_wake(struct waiter *waiter);

/* token_wait() - until @what holds; 0, -EDEADLK or what broke the loop */
int token_wait(struct weir_token *token, enum await_what what);

/* token_settle() - cancel all under @token, wait for it, finish the token */
void token_settle(struct weir_token *token);

/* await_under() - weir_await_at() with @token for an op that names none */
int await_under(struct weir_loop *loop, struct weir_op *op, struct weir_token *token,
		const char *where);

#endif /* IO_AWAIT_H */
