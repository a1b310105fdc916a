/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * context.h - where a thread of execution stands, and the switch to another
 *
 * There is a home, the stack that the loop runs on, and contexts with stacks of
 * their own; switches go between home and one of these.
 */
#ifndef FIBER_CONTEXT_H
#define FIBER_CONTEXT_H

#include <stddef.h>

#include "fiber/arch.h"

/*
 * @arch: what the switch needs
 * @home: where it returns to; NULL: it is a home itself
 * @stack: lowest address of its stack; of a home, as the sanitizer found it
 * @fake: the sanitizer's, while another runs
 * @tsan: likewise
 * @valgrind: number of the stack
 */
struct fiber_context {
	struct fiber_arch arch;
	struct fiber_context *home;
	const void *stack;
	size_t stack_bytes;
	void *fake;
	void *tsan;
	unsigned int valgrind;
};

/*
 * context_make() - a context that begins with @fn(@arg)
 *
 * @fn must not return; its last act is context_leave().
 */
void context_make(struct fiber_context *context, struct fiber_context *home, void *stack,
		  size_t stack_bytes, void (*fn)(void *arg), void *arg);

/* context_drop() - @context was left, or never entered: its stack is free */
void context_drop(struct fiber_context *context);

/* context_enter() - from home to @context, until that goes home */
void context_enter(struct fiber_context *context);

/* context_home() - from @context, which runs, home; returns when it is entered again */
void context_home(struct fiber_context *context);

/* context_begin() - the first act of @fn */
void context_begin(struct fiber_context *context);

/* context_leave() - go home for good */
_Noreturn void context_leave(struct fiber_context *context);

#endif /* FIBER_CONTEXT_H */
