/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * fiber.h - functions with a stack of their own on a loop's thread
 *
 * A fiber runs until it awaits something (weir/await.h, weir/call.h, and the calls
 * below); then the loop and the other fibers of its thread go on. Nothing else
 * takes the thread away from it. Its stack is a mapping with a guard page below: an
 * overflow is a segmentation fault, not somebody else's data.
 *
 * Fibers are structured: one is under the scope it was spawned in, and a scope that
 * is left cancels its fibers and waits for their ends.
 */
#ifndef WEIR_FIBER_H
#define WEIR_FIBER_H

#include <weir/await.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_fiber;
struct weir_fibers;
struct weir_loop;

/**
 * enum weir_fiber_limits - limits and defaults
 * @WEIR_FIBERS_DEFAULT: fibers at a time, if not said
 * @WEIR_FIBERS_MAX: the most that may be asked for
 * @WEIR_FIBER_STACK_DEFAULT: bytes of a stack, if not said
 * @WEIR_FIBER_STACK_MIN: the least that may be asked for
 * @WEIR_FIBER_STACK_MAX: the most that may be asked for
 */
enum weir_fiber_limits {
	WEIR_FIBERS_DEFAULT		= 256,
	WEIR_FIBERS_MAX			= 65536,
	WEIR_FIBER_STACK_DEFAULT	= 65536,
	WEIR_FIBER_STACK_MIN		= 16384,
	WEIR_FIBER_STACK_MAX		= 1 << 28,
};

/**
 * struct weir_fibers_opts - how to open fibers; zero means the default
 * @sz: sizeof(struct weir_fibers_opts)
 * @fibers_max: fibers at a time
 * @stack_bytes: of each, rounded up to pages; the guard page is not counted
 */
struct weir_fibers_opts {
	size_t sz;
	uint32_t fibers_max;
	uint32_t stack_bytes;
};

/**
 * typedef weir_fiber_fn - what a fiber does
 * @arg: as given to weir_fiber_spawn()
 *
 * Return: what weir_fiber_join() tells.
 */
typedef int weir_fiber_fn(void *arg);

/**
 * weir_fibers_open() - give a loop fibers
 * @fibersp: where they go
 * @loop: a loop that has none yet
 * @opts: options, or NULL
 *
 * Takes all memory they will ever need; pages of a stack are used when touched.
 *
 * Context: Owner thread.
 * Return: 0; -EBUSY if the loop has fibers; -EINVAL for a limit out of range; -E2BIG
 * for option bytes this version does not know; -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK
int weir_fibers_open(struct weir_fibers **fibersp, struct weir_loop *loop,
		     const struct weir_fibers_opts *opts);

/**
 * weir_fibers_close() - take a loop's fibers away, before the loop is closed
 * @fibers: the fibers, or NULL
 *
 * Those that have ended and were not joined are forgotten. To end the others, spawn
 * them in a scope (weir/await.h) and leave it, which cancels them and waits for their
 * ends; or under a token: cancel that, and join them.
 *
 * Context: Owner thread, not from a fiber.
 * Return: 0; -EBUSY while one has not ended.
 */
WEIR_API int weir_fibers_close(struct weir_fibers *fibers);

/**
 * weir_fiber_spawn() - start a fiber
 * @fiberp: where it goes, to be joined once; NULL: nobody will join it
 * @fibers: the fibers of a loop
 * @parent: the token it is under; NULL: that of the caller's scope, if any
 * @fn: what it does
 * @arg: handed to @fn
 *
 * It first runs from the next turn of the loop, never from inside this call. When
 * @fn returns, what is left under the fiber's token is cancelled and waited for.
 *
 * Context: Owner thread.
 * Return: 0; -EAGAIN when fibers_max are in use; -EINVAL for a token of another loop
 * or without @fn.
 */
WEIR_API int weir_fiber_spawn(struct weir_fiber **fiberp, struct weir_fibers *fibers,
			      struct weir_token *parent, weir_fiber_fn *fn, void *arg);

/**
 * weir_fiber_join() - wait for a fiber to end, and forget it
 * @fiber: a fiber that was not joined yet and is not the caller
 * @deadline_ns: when to stop waiting; 0: never
 * @resp: where the result of its function goes, or NULL
 *
 * Not cancellable: a fiber whose parent is cancelled is so itself, and ends soon.
 *
 * Context: Owner thread, not from a callback.
 * Return: 0; -ETIME: it runs on, and may be joined again; -EDEADLK from a callback
 * or for the caller itself.
 */
WEIR_API int weir_fiber_join(struct weir_fiber *fiber, uint64_t deadline_ns, int *resp);

/**
 * weir_fiber_cancel() - cancel a fiber's token
 * @fiber: a fiber that was not joined yet
 *
 * What it awaits, and whatever it awaits from now on, ends with -ECANCELED; it is the
 * fiber's affair to return.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_fiber_cancel(struct weir_fiber *fiber);

/**
 * weir_fiber_self() - the fiber that is running
 * @loop: the loop
 *
 * Context: Owner thread.
 * Return: the caller; NULL outside of fibers.
 */
WEIR_API struct weir_fiber *weir_fiber_self(struct weir_loop *loop);

/**
 * weir_fiber_yield() - let the loop and other fibers go on
 * @loop: the loop
 *
 * Context: From a fiber.
 * Return: 0; -ECANCELED or -ETIME if the caller's scope has ended; -EINVAL outside
 * of fibers.
 */
WEIR_API int weir_fiber_yield(struct weir_loop *loop);

/**
 * struct weir_sem - a counting semaphore of one loop
 *
 * For fibers, callbacks and plain code of the owner thread; first come, first served.
 * The fields are the library's.
 */
struct weir_sem {
	/* private: the library's */
	struct weir_loop *lib_loop;
	struct weir_link lib_waiters;
	uint32_t lib_count;
	uint32_t lib_pad;
};

/**
 * weir_sem_init() - make a semaphore
 * @sem: memory of the caller
 * @loop: its loop
 * @count: units it begins with
 *
 * It needs no end, but must outlive those that wait for it.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_sem_init(struct weir_sem *sem, struct weir_loop *loop, uint32_t count);

/**
 * weir_sem_wait() - take a unit, wait for one
 * @sem: a semaphore
 * @deadline_ns: when to give up; 0: never
 *
 * Context: Owner thread; where it must wait, not from a callback.
 * Return: 0; -ETIME; -ECANCELED if the caller's scope has been cancelled; -EDEADLK from
 * a callback when there is no unit.
 */
WEIR_API WEIR_MUST_CHECK int weir_sem_wait(struct weir_sem *sem, uint64_t deadline_ns);

/**
 * weir_sem_post() - give a unit
 * @sem: a semaphore
 *
 * Context: Owner thread, callbacks too.
 */
WEIR_API void weir_sem_post(struct weir_sem *sem);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_FIBER_H */
