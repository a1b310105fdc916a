/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * queue.h - a bounded queue of pointers between threads, without a lock: one
 * consumer, and one producer or many
 *
 * It wakes nobody. What should be run on a loop's thread goes through
 * weir/post.h instead, which does.
 */
#ifndef WEIR_QUEUE_H
#define WEIR_QUEUE_H

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_queue;

/**
 * enum weir_queue_flags - who uses a queue
 * @WEIR_QUEUE_MANY: many threads put
 * @WEIR_QUEUE_ALL: every flag this version knows; others are refused
 */
enum weir_queue_flags {
	WEIR_QUEUE_MANY	= 1 << 0,
	WEIR_QUEUE_ALL	= WEIR_QUEUE_MANY,
};

/**
 * weir_queue_open() - make a queue
 * @queuep: where it goes
 * @count: pointers that it holds at least, 1 to 2^30 - 1
 * @flags: enum weir_queue_flags
 * @alloc: allocator, or NULL for the C library's
 *
 * Context: Any thread.
 * Return: 0, -EINVAL for a count out of range or an unknown flag, -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK
int weir_queue_open(struct weir_queue **queuep, uint32_t count, uint32_t flags,
		    const struct weir_alloc *alloc);

/**
 * weir_queue_close() - free a queue
 * @queue: the queue, which nobody uses any more, or NULL
 *
 * What is still in it is the caller's, as it was before.
 *
 * Context: Any thread.
 */
WEIR_API void weir_queue_close(struct weir_queue *queue);

/**
 * weir_queue_put() - append a pointer
 * @queue: the queue
 * @item: the pointer, not NULL; what it points to is seen by who takes it
 *
 * Context: One thread at a time; of WEIR_QUEUE_MANY any thread, but no signal
 * handler: a producer may wait for another that is just appending.
 * Return: 0, -EAGAIN when the queue is full, -EINVAL for NULL.
 */
WEIR_API WEIR_MUST_CHECK int weir_queue_put(struct weir_queue *queue, void *item);

/**
 * weir_queue_take() - take the first pointer
 * @queue: the queue
 *
 * Context: One thread at a time.
 * Return: the pointer, or NULL when there is none.
 */
WEIR_API void *weir_queue_take(struct weir_queue *queue);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_QUEUE_H */
