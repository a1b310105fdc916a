/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * arch.h - the switch of stacks, for one kind of processor
 *
 * Our own where there is one, since that of the C library asks the kernel for the
 * signal mask twice per switch. FIBER_UCONTEXT takes the C library's nevertheless.
 */
#ifndef FIBER_ARCH_H
#define FIBER_ARCH_H

#include <stddef.h>

#if !(defined(__x86_64__) && defined(__LP64__)) && !defined(__aarch64__) && \
	!defined(FIBER_UCONTEXT)
#define FIBER_UCONTEXT
#endif

#ifdef FIBER_UCONTEXT
#include <ucontext.h>

struct fiber_arch {
	ucontext_t context;
};
#else
struct fiber_arch {
	void *sp;
};
#endif

/* fiber_arch_make() - what fiber_arch_switch() to it begins with */
void fiber_arch_make(struct fiber_arch *to, void *stack, size_t stack_bytes,
		     void (*fn)(void *arg), void *arg);

/* fiber_arch_switch() - save where we are in @from, go on at @to */
void fiber_arch_switch(struct fiber_arch *from, const struct fiber_arch *to);

#endif /* FIBER_ARCH_H */
