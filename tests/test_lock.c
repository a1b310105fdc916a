// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_lock.c - spinning locks and the queue without one, under contention
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weir/lock.h>
#include <weir/queue.h>

#include "kselftest_harness.h"

enum { THREADS = 2, TIMES = 100000, PRODUCERS = 3, ITEMS = 50000, ENOUGH_S = 5 };

/* What a lock guards: without it, or with a wrong barrier, additions are lost. */
struct guarded {
	union {
		struct weir_spin spin;
		struct weir_cas cas;
		struct weir_ticket ticket;
	};
	uint64_t count;
	uint64_t twice;
	atomic_uint times;	/* of those who stop before TIMES */
};

static void add(struct guarded *guarded)
{
	guarded->count++;
	guarded->twice += 2;
}

static void *spin_some(void *arg)
{
	struct guarded *guarded = arg;
	int i;

	for (i = 0; i < TIMES; i++) {
		weir_spin_lock(&guarded->spin);
		add(guarded);
		weir_spin_unlock(&guarded->spin);
	}
	return NULL;
}

static void *cas_some(void *arg)
{
	struct guarded *guarded = arg;
	int i;

	for (i = 0; i < TIMES; i++) {
		if (weir_cas_trylock(&guarded->cas))
			weir_cas_lock(&guarded->cas);
		add(guarded);
		weir_cas_unlock(&guarded->cas);
	}
	return NULL;
}

static void *ticket_some(void *arg)
{
	struct guarded *guarded = arg;
	time_t end = time(NULL) + ENOUGH_S;
	unsigned int i;

	/* Turns alternate: while both have one processor each costs a time slice. */
	for (i = 0; i < TIMES / 10 && time(NULL) < end; i++) {
		weir_ticket_lock(&guarded->ticket);
		add(guarded);
		weir_ticket_unlock(&guarded->ticket);
	}
	atomic_fetch_add(&guarded->times, i);
	return NULL;
}

static uint64_t contend(struct guarded *guarded, void *(*fn)(void *))
{
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, fn, guarded))
			abort();
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return guarded->twice == 2 * guarded->count ? guarded->count : 0;
}

TEST(a_spin_lock_keeps_others_out)
{
	struct guarded guarded = { 0 };

	EXPECT_EQ(THREADS * TIMES, contend(&guarded, spin_some));
}

TEST(a_compare_and_swap_lock_keeps_others_out)
{
	struct guarded guarded = { 0 };

	EXPECT_EQ(THREADS * TIMES, contend(&guarded, cas_some));
}

TEST(a_ticket_lock_keeps_others_out)
{
	struct guarded guarded = { 0 };
	uint64_t count = contend(&guarded, ticket_some);

	EXPECT_LT(0, count);
	EXPECT_EQ(atomic_load(&guarded.times), count);
}

TEST(a_lock_that_is_held_is_busy)
{
	struct weir_spin spin = { 0 };
	struct weir_cas cas = { 0 };

	EXPECT_EQ(0, weir_spin_trylock(&spin));
	EXPECT_EQ(-EBUSY, weir_spin_trylock(&spin));
	weir_spin_unlock(&spin);
	EXPECT_EQ(0, weir_spin_trylock(&spin));
	EXPECT_EQ(0, weir_cas_trylock(&cas));
	EXPECT_EQ(-EBUSY, weir_cas_trylock(&cas));
	weir_cas_unlock(&cas);
	EXPECT_EQ(0, weir_cas_trylock(&cas));
}

FIXTURE(queue)
{
	struct weir_queue *queue;
};

FIXTURE_VARIANT(queue)
{
	uint32_t flags;
	unsigned int producers;
};

FIXTURE_VARIANT_ADD(queue, one_producer) { .producers = 1 };
FIXTURE_VARIANT_ADD(queue, many_producers) {
	.flags = WEIR_QUEUE_MANY, .producers = PRODUCERS,
};

FIXTURE_SETUP(queue)
{
	ASSERT_EQ(0, weir_queue_open(&self->queue, 100, variant->flags, NULL));
}

FIXTURE_TEARDOWN(queue)
{
	weir_queue_close(self->queue);
}

TEST_F(queue, what_is_put_comes_out_in_order)
{
	int items[100];
	size_t round, i;

	EXPECT_EQ(NULL, weir_queue_take(self->queue));
	for (round = 0; round < 7; round++) {
		for (i = 0; i < 100; i++)
			EXPECT_EQ(0, weir_queue_put(self->queue, &items[i]));
		for (i = 0; i < 100; i++)
			EXPECT_EQ(&items[i], weir_queue_take(self->queue));
		EXPECT_EQ(NULL, weir_queue_take(self->queue));
	}
}

TEST_F(queue, a_full_one_refuses)
{
	size_t n = 0;
	int item;

	while (n < 1000 && !weir_queue_put(self->queue, &item))
		n++;
	EXPECT_LE(100, n);
	EXPECT_GT(200, n);
	EXPECT_EQ(-EAGAIN, weir_queue_put(self->queue, &item));
	EXPECT_EQ(&item, weir_queue_take(self->queue));
	EXPECT_EQ(0, weir_queue_put(self->queue, &item));
	EXPECT_EQ(-EAGAIN, weir_queue_put(self->queue, &item));
}

TEST_F(queue, bad_arguments_are_refused)
{
	struct weir_queue *other = NULL;

	EXPECT_EQ(-EINVAL, weir_queue_put(self->queue, NULL));
	EXPECT_EQ(-EINVAL, weir_queue_open(&other, 0, 0, NULL));
	EXPECT_EQ(-EINVAL, weir_queue_open(&other, 1U << 31, 0, NULL));
	EXPECT_EQ(-EINVAL, weir_queue_open(&other, 8, 1U << 31, NULL));
	EXPECT_EQ(NULL, other);
	weir_queue_close(NULL);
}

static void *get_nothing(void *ctx, size_t bytes, size_t align)
{
	int *left = ctx;
	void *mem;

	if (!(*left)--)
		return NULL;
	return posix_memalign(&mem, align, bytes) ? NULL : mem;
}

static void put_counted(void *ctx, void *mem, size_t bytes)
{
	free(mem);
}

TEST_F(queue, without_memory_there_is_none)
{
	int left;
	struct weir_alloc alloc = { .get = get_nothing, .put = put_counted, .ctx = &left };
	struct weir_queue *other = NULL;

	left = 0;
	EXPECT_EQ(-ENOMEM, weir_queue_open(&other, 8, variant->flags, &alloc));
	left = 1;
	EXPECT_EQ(-ENOMEM, weir_queue_open(&other, 8, variant->flags, &alloc));
	EXPECT_EQ(NULL, other);
	left = 2;
	EXPECT_EQ(0, weir_queue_open(&other, 8, variant->flags, &alloc));
	weir_queue_close(other);
}

struct item {
	unsigned int producer;
	unsigned int number;
};

struct producer {
	pthread_t thread;
	struct weir_queue *queue;
	struct item *items;
	unsigned int number;
};

static void *produce(void *arg)
{
	struct producer *producer = arg;
	unsigned int i;

	for (i = 0; i < ITEMS; i++) {
		struct item *item = &producer->items[i];

		*item = (struct item){ producer->number, i };
		while (weir_queue_put(producer->queue, item))
			sched_yield();
	}
	return NULL;
}

/* How many came out of order, or not at all. */
static unsigned int consume(struct weir_queue *queue, unsigned int producers)
{
	struct producer all[PRODUCERS];
	unsigned int next[PRODUCERS] = { 0 };
	unsigned int wrong = 0, n, i;

	for (i = 0; i < producers; i++) {
		all[i] = (struct producer){ .queue = queue, .number = i };
		all[i].items = calloc(ITEMS, sizeof(*all[i].items));
		if (!all[i].items || pthread_create(&all[i].thread, NULL, produce, &all[i]))
			abort();
	}
	for (n = 0; n < producers * ITEMS;) {
		struct item *item = weir_queue_take(queue);

		if (!item) {
			sched_yield();
			continue;
		}
		wrong += item->number != next[item->producer]++;
		n++;
	}
	for (i = 0; i < producers; i++) {
		pthread_join(all[i].thread, NULL);
		free(all[i].items);
	}
	return wrong + !!weir_queue_take(queue);
}

TEST_F(queue, nothing_is_lost_on_the_way)
{
	EXPECT_EQ(0, consume(self->queue, variant->producers));
}

TEST_HARNESS_MAIN
