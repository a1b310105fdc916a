// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * fork.c - what is the parent's alone learns of it in a forked child
 *
 * A child has copies of descriptors and memory, but no threads, nor what the kernel
 * shares with its parent. It is told before fork() returns there, by the only thread
 * that it has; the lock makes sure that what it finds is whole.
 */
#include <pthread.h>

#include "base/fork.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct weir_link watches = { &watches, &watches };

void fork_lock(void)
{
	pthread_mutex_lock(&lock);
}

void fork_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
	struct weir_link *node;

	for (node = watches.next; node != &watches; node = node->next) {
		struct fork_watch *watch = container_of(node, struct fork_watch, all);

		watch->in_child(watch);
	}
	fork_unlock();
}

static int watching;

static void begin(void)
{
	watching = -pthread_atfork(fork_lock, fork_unlock, in_child);
}

int fork_watch_add(struct fork_watch *watch)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, begin);
	if (watching)
		return watching;
	fork_lock();
	list_add_tail(&watches, &watch->all);
	fork_unlock();
	return 0;
}

void fork_watch_del(struct fork_watch *watch)
{
	fork_lock();
	list_del(&watch->all);
	fork_unlock();
}
