// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * fork.c - a loop belongs to the process that opened it
 *
 * A forked child has copies of its descriptors and memory, but neither its
 * threads nor, since the rings are not inherited, what the kernel shares with it.
 * Whoever uses it there all the same is told, before the parent's is harmed.
 */
#include <pthread.h>

#include "io/loop.h"

/* How many forks lie between the first process and this one. */
unsigned int fork_count;

static void in_child(void)
{
	fork_count++;
}

static int watching;

static void watch(void)
{
	watching = -pthread_atfork(NULL, NULL, in_child);
}

int fork_watch(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, watch);
	return watching;
}
