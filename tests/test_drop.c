// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_drop.c - giving up all capabilities, in whatever threads there are
 */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "common.h"
#include "kselftest_harness.h"
#include "privilege.h"
#include "tsan.h"

#define ENDS_NS		(NS_PER_SEC / 5)

/* It is there when it is asked, and has gone before it could answer. */
static void *ends_deaf(void *arg)
{
	const struct timespec ts = { .tv_nsec = ENDS_NS };

	nanosleep(&ts, NULL);
	return arg;
}

TEST(a_thread_that_ends_meanwhile_is_not_waited_for)
{
	pthread_t thread;
	sigset_t all, old;

	if (TSAN)
		SKIP(return, "the thread sanitizer has a thread of its own, which keeps them");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ASSERT_EQ(0, pthread_create(&thread, NULL, ends_deaf, NULL));
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* Waited for, it would be -ETIMEDOUT. */
	EXPECT_EQ(0, privilege_drop_all());
	pthread_join(thread, NULL);
	EXPECT_FALSE(privilege_has(0));
}

TEST_HARNESS_MAIN
