// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * fork.c - a loop belongs to the process that opened it
 *
 * A forked child has copies of its descriptors and memory, but neither its
 * threads nor, since the rings are not inherited, what the kernel shares with it.
 * Whoever uses it there all the same is told, before the parent's is harmed.
 *
 * The mark is set in the child alone, before fork() returns there; the lock makes
 * sure that the list it finds is whole.
 */
#include <pthread.h>

#include "io/loop.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct weir_link loops = { &loops, &loops };

static void before(void)
{
	pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	struct weir_link *node;

	for (node = loops.next; node != &loops; node = node->next) {
		struct weir_loop *loop = container_of(node, struct weir_loop, all);

		loop->forked = true;
		op_route(loop);
	}
	pthread_mutex_unlock(&lock);
}

static int watching;

static void watch(void)
{
	watching = -pthread_atfork(before, in_parent, in_child);
}

int fork_watch(struct weir_loop *loop)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, watch);
	if (watching)
		return watching;
	pthread_mutex_lock(&lock);
	list_add_tail(&loops, &loop->all);
	pthread_mutex_unlock(&lock);
	return 0;
}

void fork_forget(struct weir_loop *loop)
{
	pthread_mutex_lock(&lock);
	list_del(&loop->all);
	pthread_mutex_unlock(&lock);
}
