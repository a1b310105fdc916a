// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * context.c - the switch, and those who must hear of it: AddressSanitizer,
 * ThreadSanitizer, valgrind
 *
 * The sanitizers keep a stack of their own per thread of execution, so each switch
 * is announced before and, to AddressSanitizer, confirmed on the other side.
 */
#include "fiber/context.h"

/* gcc says it with a macro of these names. */
#ifdef __has_feature
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>

static void asan_start(struct fiber_context *from, const struct fiber_context *to, int last)
{
	__sanitizer_start_switch_fiber(last ? NULL : &from->fake, to->stack, to->stack_bytes);
}

/* On the stack of @now; home's, which it came from, may be another each time. */
static void asan_finish(struct fiber_context *now)
{
	struct fiber_context *home = now->home;

	__sanitizer_finish_switch_fiber(now->fake, home ? &home->stack : NULL,
					home ? &home->stack_bytes : NULL);
}
#else
static void asan_start(struct fiber_context *from, const struct fiber_context *to, int last) { }
static void asan_finish(struct fiber_context *now) { }
#endif

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>

static void tsan_make(struct fiber_context *context)
{
	context->tsan = __tsan_create_fiber(0);
}

static void tsan_drop(struct fiber_context *context)
{
	__tsan_destroy_fiber(context->tsan);
}

static void tsan_switch(struct fiber_context *from, struct fiber_context *to)
{
	if (!from->home)
		from->tsan = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(to->tsan, 0);
}
#else
static void tsan_make(struct fiber_context *context) { }
static void tsan_drop(struct fiber_context *context) { }
static void tsan_switch(struct fiber_context *from, struct fiber_context *to) { }
#endif

#if defined(__has_include) && __has_include("valgrind/valgrind.h")
#include <valgrind/valgrind.h>

static void valgrind_make(struct fiber_context *context)
{
	context->valgrind = VALGRIND_STACK_REGISTER(context->stack, (const char *)context->stack +
								    context->stack_bytes);
}

static void valgrind_drop(struct fiber_context *context)
{
	VALGRIND_STACK_DEREGISTER(context->valgrind);
}
#else
static void valgrind_make(struct fiber_context *context) { }
static void valgrind_drop(struct fiber_context *context) { }
#endif

void context_make(struct fiber_context *context, struct fiber_context *home, void *stack,
		  size_t stack_bytes, void (*fn)(void *arg), void *arg)
{
	context->home = home;
	context->stack = stack;
	context->stack_bytes = stack_bytes;
	context->fake = NULL;
	fiber_arch_make(&context->arch, stack, stack_bytes, fn, arg);
	tsan_make(context);
	valgrind_make(context);
}

void context_drop(struct fiber_context *context)
{
	valgrind_drop(context);
	tsan_drop(context);
}

static void context_switch(struct fiber_context *from, struct fiber_context *to, int last)
{
	asan_start(from, to, last);
	tsan_switch(from, to);
	fiber_arch_switch(&from->arch, &to->arch);
	asan_finish(from);
}

void context_enter(struct fiber_context *context)
{
	context_switch(context->home, context, 0);
}

void context_home(struct fiber_context *context)
{
	context_switch(context, context->home, 0);
}

void context_begin(struct fiber_context *context)
{
	asan_finish(context);
}

void context_leave(struct fiber_context *context)
{
	context_switch(context, context->home, 1);
	__builtin_trap();
}
