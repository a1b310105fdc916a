// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * queue.c - a bounded queue of pointers: ConcurrencyKit's ring, or one of C11
 * atomics where that is missing or must not be seen as assembly (the thread
 * sanitizer)
 */
#include <errno.h>

#include <weir/queue.h>

#include "base/base.h"

enum { COUNT_MAX = 1 << 30, LINE_BYTES = 64 };

#ifdef CONFIG_CK
#include <ck_ring.h>

struct place {
	ck_ring_buffer_t item;
};

struct ring {
	ck_ring_t ck;
};

#else
#include <stdatomic.h>

/* Free for the producer of turn @turn, or full for the consumer of turn @turn - 1. */
struct place {
	atomic_uint turn;
	void *item;
};

struct ring {
	_Alignas(LINE_BYTES) atomic_uint tail;
	_Alignas(LINE_BYTES) unsigned int head;
};
#endif

struct weir_queue {
	struct ring ring;
	struct weir_alloc alloc;
	struct place *places;
	uint32_t size;
	uint32_t flags;
};

#ifdef CONFIG_CK

static void ring_init(struct weir_queue *queue)
{
	ck_ring_init(&queue->ring.ck, queue->size);
}

static bool ring_put(struct weir_queue *queue, void *item)
{
	return ck_ring_enqueue_spsc(&queue->ring.ck, &queue->places->item, item);
}

static bool ring_put_many(struct weir_queue *queue, void *item)
{
	return ck_ring_enqueue_mpsc(&queue->ring.ck, &queue->places->item, item);
}

static void *ring_take(struct weir_queue *queue)
{
	void *item;

	return ck_ring_dequeue_mpsc(&queue->ring.ck, &queue->places->item, &item) ? item : NULL;
}

#else

static void ring_init(struct weir_queue *queue)
{
	uint32_t i;

	for (i = 0; i < queue->size; i++)
		atomic_init(&queue->places[i].turn, i);
}

static struct place *place_of(struct weir_queue *queue, unsigned int at)
{
	return &queue->places[at & (queue->size - 1)];
}

static void fill(struct place *place, unsigned int at, void *item)
{
	place->item = item;
	/* Pairs with the acquire in ring_take(). */
	atomic_store_explicit(&place->turn, at + 1, memory_order_release);
}

static bool is_free(struct place *place, unsigned int at)
{
	return atomic_load_explicit(&place->turn, memory_order_acquire) == at;
}

static bool ring_put(struct weir_queue *queue, void *item)
{
	unsigned int at = atomic_load_explicit(&queue->ring.tail, memory_order_relaxed);
	struct place *place = place_of(queue, at);

	if (!is_free(place, at))
		return false;
	atomic_store_explicit(&queue->ring.tail, at + 1, memory_order_relaxed);
	fill(place, at, item);
	return true;
}

static bool ring_put_many(struct weir_queue *queue, void *item)
{
	unsigned int at = atomic_load_explicit(&queue->ring.tail, memory_order_relaxed);

	for (;;) {
		struct place *place = place_of(queue, at);

		if (!is_free(place, at)) {
			unsigned int now = atomic_load_explicit(&queue->ring.tail,
								memory_order_relaxed);

			if (now == at)
				return false;
			at = now;
			continue;
		}
		/* A failure tells where the tail is now. */
		if (atomic_compare_exchange_weak_explicit(&queue->ring.tail, &at, at + 1,
							  memory_order_relaxed,
							  memory_order_relaxed)) {
			fill(place, at, item);
			return true;
		}
	}
}

static void *ring_take(struct weir_queue *queue)
{
	unsigned int at = queue->ring.head;
	struct place *place = place_of(queue, at);
	void *item;

	if (!is_free(place, at + 1))
		return NULL;
	item = place->item;
	queue->ring.head = at + 1;
	/* Its next turn: pairs with the acquire of who puts there. */
	atomic_store_explicit(&place->turn, at + queue->size, memory_order_release);
	return item;
}
#endif

int weir_queue_open(struct weir_queue **queuep, uint32_t count, uint32_t flags,
		    const struct weir_alloc *alloc)
{
	struct weir_queue *queue;

	if (!alloc)
		alloc = &base_alloc_libc;
	if (!count || count >= COUNT_MAX || flags & ~(uint32_t)WEIR_QUEUE_ALL)
		return -EINVAL;
	queue = mem_get(alloc, 1, sizeof(*queue), LINE_BYTES);
	if (!queue)
		return -ENOMEM;
	queue->alloc = *alloc;
	queue->flags = flags;
	/* One place stays empty. */
	queue->size = round_up_pow2(count + 1);
	queue->places = mem_get(alloc, queue->size, sizeof(*queue->places), LINE_BYTES);
	if (!queue->places) {
		mem_put(alloc, queue, 1, sizeof(*queue));
		return -ENOMEM;
	}
	ring_init(queue);
	*queuep = queue;
	return 0;
}

void weir_queue_close(struct weir_queue *queue)
{
	struct weir_alloc alloc;

	if (!queue)
		return;
	alloc = queue->alloc;
	mem_put(&alloc, queue->places, queue->size, sizeof(*queue->places));
	mem_put(&alloc, queue, 1, sizeof(*queue));
}

int weir_queue_put(struct weir_queue *queue, void *item)
{
	bool there;

	if (!item)
		return -EINVAL;
	if (queue->flags & WEIR_QUEUE_MANY)
		there = ring_put_many(queue, item);
	else
		there = ring_put(queue, item);
	return there ? 0 : -EAGAIN;
}

void *weir_queue_take(struct weir_queue *queue)
{
	return ring_take(queue);
}
