// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sem.c - semaphores
 *
 * Who waits awaits a timer, which a post ends before its time. So deadlines, tokens
 * and the loop's idea of what is in flight hold for it as for any operation.
 */
#include <errno.h>

#include "fiber/sem.h"
#include "io/await.h"

struct sem_waiter {
	struct weir_link link;
	struct weir_op timer;
};

void weir_sem_init(struct weir_sem *sem, struct weir_loop *loop, uint32_t count)
{
	assert_owner(loop);
	*sem = (struct weir_sem){ .lib_loop = loop, .lib_count = count };
	list_init(&sem->lib_waiters);
}

int sem_wait_under(struct weir_sem *sem, uint64_t deadline_ns, struct weir_token *token)
{
	struct sem_waiter self = { 0 };
	int res;

	assert_owner(sem->lib_loop);
	if (sem->lib_count) {
		sem->lib_count--;
		return 0;
	}
	weir_prep_timeout(&self.timer, deadline_ns ? deadline_ns : DEADLINE_NONE, NULL, NULL);
	list_add_tail(&sem->lib_waiters, &self.link);
	res = await_under(sem->lib_loop, &self.timer, token, "a semaphore");
	list_del(&self.link);
	if (weir_op_busy(&self.timer))
		base_die("weir: %s: a wait for a semaphore that goes away",
			 weir_strerror(res));
	if (res)
		return res;
	return self.timer.origin == WEIR_ORIGIN_LIBRARY ? 0 : -ETIME;
}

int weir_sem_wait(struct weir_sem *sem, uint64_t deadline_ns)
{
	return sem_wait_under(sem, deadline_ns, weir_scope_token(sem->lib_loop));
}

void weir_sem_post(struct weir_sem *sem)
{
	struct weir_link *node;

	assert_owner(sem->lib_loop);
	for (node = sem->lib_waiters.next; node != &sem->lib_waiters; node = node->next) {
		struct weir_op *timer = &container_of(node, struct sem_waiter, link)->timer;

		/* Others have their result already, and are on their way. */
		if (timer->lib_state != OP_TIMER)
			continue;
		op_finish(sem->lib_loop, timer, 0, WEIR_ORIGIN_LIBRARY);
		return;
	}
	sem->lib_count++;
}
