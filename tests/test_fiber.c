// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fiber.c - fibers on every backend: their life, their stacks, who waits for whom
 */
#include <fenv.h>

#include "ends.h"
#include "kselftest_harness.h"

#include <weir/call.h>
#include <weir/fiber.h>

enum { FIBERS = 6, STACK_BYTES = 64 << 10 };

FIXTURE(fiber)
{
	struct counter counter;
	struct weir_loop *loop;
	struct weir_fibers *fibers;
	struct server server;
	struct weir_file client;
	struct weir_file accepted;
};

BACKEND_VARIANTS(fiber);

FIXTURE_SETUP(fiber)
{
	struct weir_fibers_opts fibers = {
		.sz = sizeof(fibers), .fibers_max = FIBERS, .stack_bytes = STACK_BYTES,
	};
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .alloc = &self->counter.alloc,
	};

	counter_init(&self->counter);
	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, weir_fibers_open(&self->fibers, self->loop, &fibers));
	ASSERT_EQ(0, server_open(self->loop, &self->server, 16));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client, &self->accepted));
}

FIXTURE_TEARDOWN(fiber)
{
	EXPECT_EQ(-EBUSY, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_fibers_close(self->fibers));
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, self->counter.blocks);
}

/* What a fiber of a test is given. */
struct job {
	struct weir_loop *loop;
	struct weir_fibers *fibers;
	struct weir_file file;
	struct weir_sem *sem;
	struct weir_fiber *self;
	unsigned int *order;	/* where it notes its number, and counts on */
	unsigned int number;
	unsigned int ms;
	unsigned int runs;
	bool wrong;
	int res;
};

#define JOB(...)	{ .loop = self->loop, .fibers = self->fibers, __VA_ARGS__ }

/* Spawn, join, and return what it returned. */
static int run_job(struct job *job, weir_fiber_fn *fn)
{
	struct weir_fiber *fiber;
	int res, err;

	err = weir_fiber_spawn(&fiber, job->fibers, NULL, fn, job);
	if (!err)
		err = weir_fiber_join(fiber, 0, &res);
	return err ? err : res;
}

static int count_job(void *arg)
{
	struct job *job = arg;

	job->runs++;
	job->self = weir_fiber_self(job->loop);
	return 42;
}

static int recv_job(void *arg)
{
	struct job *job = arg;
	char byte;

	job->res = weir_call_recv(job->loop, job->file, &byte, 1, 0);
	return job->res;
}

static int sleep_job(void *arg)
{
	struct job *job = arg;

	job->res = weir_call_sleep(job->loop,
				   weir_loop_now(job->loop) + job->ms * NSEC_PER_MSEC);
	job->runs++;
	return job->res;
}

TEST_F(fiber, it_runs_from_the_loop_and_is_joined_with_its_result)
{
	struct job job = JOB();
	struct weir_fiber *fiber;
	int res = 0;

	ASSERT_EQ(0, weir_fiber_spawn(&fiber, self->fibers, NULL, count_job, &job));
	EXPECT_EQ(0, job.runs);
	EXPECT_EQ(NULL, weir_fiber_self(self->loop));
	EXPECT_EQ(0, weir_fiber_join(fiber, 0, &res));
	EXPECT_EQ(42, res);
	EXPECT_EQ(1, job.runs);
	EXPECT_EQ(fiber, job.self);
}

TEST_F(fiber, what_one_awaits_suspends_that_one_alone)
{
	struct job reader = JOB(.file = self->client), other = JOB();
	struct weir_fiber *fiber;

	ASSERT_EQ(0, weir_fiber_spawn(&fiber, self->fibers, NULL, recv_job, &reader));
	EXPECT_EQ(42, run_job(&other, count_job));
	EXPECT_EQ(-ETIME, weir_fiber_join(fiber, weir_loop_now(self->loop) + NSEC_PER_MSEC,
					  NULL));
	EXPECT_EQ(1, weir_call_send(self->loop, self->accepted, "x", 1, 0));
	EXPECT_EQ(0, weir_fiber_join(fiber, 0, NULL));
	EXPECT_EQ(1, reader.res);
}

TEST_F(fiber, a_loop_runs_until_they_have_all_ended)
{
	struct job job = JOB(.ms = 3);
	unsigned int i;

	weir_cancel(self->loop, &self->server.accept);
	for (i = 0; i < FIBERS; i++)
		ASSERT_EQ(0, weir_fiber_spawn(NULL, self->fibers, NULL, sleep_job, &job));
	EXPECT_EQ(-EBUSY, weir_fibers_close(self->fibers));
	EXPECT_EQ(1, weir_loop_run(self->loop));
	EXPECT_EQ(FIBERS, job.runs);
}

TEST_F(fiber, no_more_than_there_are_stacks_and_each_is_used_again)
{
	struct job job = JOB();
	struct weir_fiber *fiber[FIBERS], *more;
	size_t calls = self->counter.calls;
	unsigned int round, i;

	for (round = 0; round < 3; round++) {
		for (i = 0; i < FIBERS; i++)
			ASSERT_EQ(0, weir_fiber_spawn(&fiber[i], self->fibers, NULL, count_job,
						      &job));
		EXPECT_EQ(-EAGAIN, weir_fiber_spawn(&more, self->fibers, NULL, count_job, &job));
		for (i = 0; i < FIBERS; i++)
			EXPECT_EQ(0, weir_fiber_join(fiber[i], 0, NULL));
	}
	EXPECT_EQ(3 * FIBERS, job.runs);
	EXPECT_EQ(calls, self->counter.calls);
}

TEST_F(fiber, a_cancel_ends_what_it_awaits_now_and_later)
{
	struct job job = JOB(.file = self->client);
	struct weir_fiber *fiber;
	int res;

	ASSERT_EQ(0, weir_fiber_spawn(&fiber, self->fibers, NULL, recv_job, &job));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	weir_fiber_cancel(fiber);
	EXPECT_EQ(0, weir_fiber_join(fiber, 0, &res));
	EXPECT_EQ(-ECANCELED, res);
	/* Before it has begun. */
	ASSERT_EQ(0, weir_fiber_spawn(&fiber, self->fibers, NULL, recv_job, &job));
	weir_fiber_cancel(fiber);
	EXPECT_EQ(0, weir_fiber_join(fiber, 0, &res));
	EXPECT_EQ(-ECANCELED, res);
}

static int join_self_job(void *arg)
{
	struct job *job = arg;

	return weir_fiber_join(weir_fiber_self(job->loop), 0, NULL);
}

TEST_F(fiber, bad_input_is_refused)
{
	struct weir_fibers_opts small = { .sz = sizeof(small), .stack_bytes = 4096 };
	struct weir_fibers_opts many = { .sz = sizeof(many), .fibers_max = UINT32_MAX };
	struct weir_token finished = { 0 };
	struct weir_fibers *fibers = NULL;
	struct weir_loop *loop;
	struct job job = JOB();

	EXPECT_EQ(-EDEADLK, run_job(&job, join_self_job));
	EXPECT_EQ(-EINVAL, weir_fiber_yield(self->loop));
	EXPECT_EQ(-EINVAL, weir_fiber_spawn(NULL, self->fibers, NULL, NULL, NULL));
	EXPECT_EQ(-EINVAL, weir_fiber_spawn(NULL, self->fibers, &finished, count_job, &job));
	EXPECT_EQ(-EBUSY, weir_fibers_open(&fibers, self->loop, NULL));
	ASSERT_EQ(0, weir_loop_open(&loop, NULL));
	EXPECT_EQ(-EINVAL, weir_fibers_open(&fibers, loop, &small));
	EXPECT_EQ(-EINVAL, weir_fibers_open(&fibers, loop, &many));
	EXPECT_EQ(NULL, fibers);
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

/* stacks */

static int order_job(void *arg)
{
	struct job *job = arg;

	for (; job->runs < 50; job->runs++) {
		job->wrong |= (*job->order)++ % 2 != job->number;
		job->res = weir_fiber_yield(job->loop);
	}
	return job->res;
}

TEST_F(fiber, those_that_yield_take_turns)
{
	unsigned int order = 0;
	struct job a = JOB(.order = &order), b = JOB(.order = &order, .number = 1);
	struct weir_fiber *one, *two;

	ASSERT_EQ(0, weir_fiber_spawn(&one, self->fibers, NULL, order_job, &a));
	ASSERT_EQ(0, weir_fiber_spawn(&two, self->fibers, NULL, order_job, &b));
	EXPECT_EQ(0, weir_fiber_join(one, 0, NULL));
	EXPECT_EQ(0, weir_fiber_join(two, 0, NULL));
	EXPECT_EQ(100, order);
	EXPECT_EQ(false, a.wrong || b.wrong);
}

static int fill_job(void *arg)
{
	struct job *job = arg;
	volatile unsigned char mine[STACK_BYTES / 2];
	volatile double sum = job->number;
	size_t round, i;

	for (round = 0; round < 8; round++) {
		for (i = 0; i < sizeof(mine); i++)
			mine[i] = (unsigned char)(job->number * 31 + i + round);
		sum *= 1.5;
		if (weir_fiber_yield(job->loop))
			return -EIO;
		for (i = 0; i < sizeof(mine); i++)
			job->wrong |= mine[i] != (unsigned char)(job->number * 31 + i + round);
	}
	job->wrong |= sum != job->number * 25.62890625;
	return 0;
}

TEST_F(fiber, each_keeps_its_stack_and_its_registers)
{
	struct weir_fiber *fiber[FIBERS];
	struct job job[FIBERS];
	unsigned int i;
	int res;

	for (i = 0; i < FIBERS; i++) {
		job[i] = (struct job)JOB(.number = i + 1);
		ASSERT_EQ(0, weir_fiber_spawn(&fiber[i], self->fibers, NULL, fill_job, &job[i]));
	}
	for (i = 0; i < FIBERS; i++) {
		EXPECT_EQ(0, weir_fiber_join(fiber[i], 0, &res));
		EXPECT_EQ(0, res);
		EXPECT_EQ(false, job[i].wrong);
	}
}

static int rounding_job(void *arg)
{
	struct job *job = arg;

	fesetround(FE_UPWARD);
	job->res = weir_fiber_yield(job->loop);
	job->wrong = fegetround() != FE_UPWARD;
	return job->res;
}

TEST_F(fiber, the_way_of_rounding_is_its_own)
{
	struct job job = JOB();
	struct weir_fiber *fiber;

	ASSERT_EQ(0, weir_fiber_spawn(&fiber, self->fibers, NULL, rounding_job, &job));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(FE_TONEAREST, fegetround());
	EXPECT_EQ(0, weir_fiber_join(fiber, 0, NULL));
	EXPECT_EQ(false, job.wrong);
	EXPECT_EQ(FE_TONEAREST, fegetround());
}

static volatile uintptr_t lowest;	/* address that the overflow has reached */

static void on_fault(int sig, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	static const char text[] = "guard page\n";

	/* Within a page of the last frame: not somewhere else by chance. */
	if (at < lowest && lowest - at <= (uintptr_t)sysconf(_SC_PAGESIZE))
		_exit(write(STDERR_FILENO, text, sizeof(text) - 1) < 0);
	_exit(1);
}

__attribute__((noinline)) static int overflow(unsigned int depth)
{
	volatile char frame[256];
	int below;

	frame[0] = (char)depth;
	lowest = (uintptr_t)frame;
	below = depth < UINT32_MAX ? overflow(depth + 1) : 0;
	return below + frame[0];	/* not the last thing it does: a real call */
}

static int overflow_job(void *arg)
{
	return overflow(0);
}

static void overflow_child(void *arg)
{
	static char signal_stack[64 << 10];
	stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof(signal_stack) };
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim" };
	struct weir_fiber *below;
	struct job job = { 0 };

	/* It has a neighbour at the lower addresses. */
	if (weir_loop_open(&job.loop, &opts) || weir_fibers_open(&job.fibers, job.loop, NULL) ||
	    weir_fiber_spawn(&below, job.fibers, NULL, count_job, &job))
		_exit(3);
	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &action, NULL);
	run_job(&job, overflow_job);
	_exit(2);
}

TEST(a_stack_that_overflows_meets_its_guard_page)
{
	char text[256];
	int status;

	status = run_child(overflow_child, NULL, text, sizeof(text));
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_NE(NULL, strstr(text, "guard page"));
}

/* structure */

static int parent_job(void *arg)
{
	struct job *job = arg;
	struct job child = { .loop = job->loop, .fibers = job->fibers, .file = job->file };
	struct weir_fiber *fiber;

	if (weir_fiber_spawn(&fiber, job->fibers, NULL, recv_job, &child) ||
	    weir_fiber_spawn(NULL, job->fibers, NULL, sleep_job, job))
		return -EIO;
	if (weir_fiber_yield(job->loop))
		return -EIO;
	{
		WEIR_SCOPE(scope, job->loop, 0);

		job->ms = 60000;
		if (weir_fiber_spawn(NULL, job->fibers, NULL, sleep_job, job))
			return -EIO;
	}
	/* That of the scope has ended, the other two have not. */
	job->wrong = job->runs != 1 || job->res != -ECANCELED;
	weir_fiber_cancel(fiber);
	weir_fiber_join(fiber, 0, &job->res);
	return job->res;
}

TEST_F(fiber, a_scope_and_a_fiber_end_those_that_were_spawned_in_them)
{
	struct job job = JOB(.ms = 30000, .file = self->client);

	EXPECT_EQ(-ECANCELED, run_job(&job, parent_job));
	EXPECT_EQ(false, job.wrong);
	EXPECT_EQ(2, job.runs);
}

static int forever_job(void *arg)
{
	struct job *job = arg;

	while (!job->res)
		job->res = job->number ? weir_sem_wait(job->sem, 0) :
			   weir_call_sleep(job->loop, weir_loop_now(job->loop) + NSEC_PER_SEC);
	job->runs++;
	return 0;
}

/* The teardown closes both. */
TEST_F(fiber, a_scope_of_plain_code_ends_all_so_that_they_and_the_loop_can_be_closed)
{
	struct job sleeper = JOB(), waiter = JOB(.number = 1);
	struct weir_sem sem;

	weir_sem_init(&sem, self->loop, 0);
	waiter.sem = &sem;
	{
		WEIR_SCOPE(scope, self->loop, 0);

		ASSERT_EQ(0, weir_fiber_spawn(NULL, self->fibers, NULL, forever_job, &sleeper));
		ASSERT_EQ(0, weir_fiber_spawn(NULL, self->fibers, NULL, forever_job, &waiter));
		EXPECT_EQ(0, weir_call_nop(self->loop, 0));
		EXPECT_EQ(-EBUSY, weir_fibers_close(self->fibers));
		EXPECT_EQ(-EBUSY, weir_loop_close(self->loop, LIMIT_NS));
		EXPECT_EQ(0, sleeper.runs + waiter.runs);
	}
	EXPECT_EQ(2, sleeper.runs + waiter.runs);
	EXPECT_EQ(-ECANCELED, sleeper.res);
	EXPECT_EQ(-ECANCELED, waiter.res);
}

static int deadline_job(void *arg)
{
	struct job *job = arg;
	char byte;

	WEIR_SCOPE(scope, job->loop, weir_loop_now(job->loop) + job->ms * NSEC_PER_MSEC);

	job->res = weir_call_recv(job->loop, job->file, &byte, 1, 0);
	return job->res;
}

TEST_F(fiber, each_may_have_a_deadline_of_its_own)
{
	struct job late = JOB(.ms = 2, .file = self->client);
	struct job in_time = JOB(.ms = 9000, .file = self->accepted);
	struct weir_fiber *one, *two;

	ASSERT_EQ(0, weir_fiber_spawn(&one, self->fibers, NULL, deadline_job, &late));
	ASSERT_EQ(0, weir_fiber_spawn(&two, self->fibers, NULL, deadline_job, &in_time));
	EXPECT_EQ(0, weir_fiber_join(one, 0, NULL));
	EXPECT_EQ(1, weir_call_send(self->loop, self->client, "x", 1, 0));
	EXPECT_EQ(0, weir_fiber_join(two, 0, NULL));
	EXPECT_EQ(-ETIME, late.res);
	EXPECT_EQ(1, in_time.res);
}

static int twice(void *arg)
{
	return 2 * *(int *)arg;
}

static int work_job(void *arg)
{
	struct job *job = arg;
	int n = 21;

	return weir_call_work(job->loop, twice, &n, 0);
}

TEST_F(fiber, work_of_another_thread_is_a_plain_call)
{
	struct job job = JOB();

	EXPECT_EQ(42, run_job(&job, work_job));
}

static void await_in_callback(struct weir_op *op)
{
	struct job *job = op->ctx;

	job->res = weir_call_nop(job->loop, 0);
}

TEST_F(fiber, a_callback_is_no_fiber_even_while_one_waits)
{
	struct job reader = JOB(.file = self->client), callback = JOB();
	struct weir_fiber *fiber;
	struct weir_op op = { 0 };

	ASSERT_EQ(0, weir_fiber_spawn(&fiber, self->fibers, NULL, recv_job, &reader));
	weir_prep_nop(&op, await_in_callback, &callback);
	EXPECT_EQ(0, weir_await(self->loop, &op));
	EXPECT_EQ(-EDEADLK, callback.res);
	weir_fiber_cancel(fiber);
	EXPECT_EQ(0, weir_fiber_join(fiber, 0, NULL));
}

/* semaphores */

static int sem_job(void *arg)
{
	struct job *job = arg;
	uint64_t at = job->ms ? weir_loop_now(job->loop) + job->ms * NSEC_PER_MSEC : 0;

	job->res = weir_sem_wait(job->sem, at);
	job->number = (*job->order)++;
	return job->res;
}

TEST_F(fiber, a_semaphore_serves_first_come_first_and_passes_over_who_gave_up)
{
	unsigned int order = 0, i;
	struct weir_fiber *fiber[4];
	struct weir_sem sem;
	struct job job[4];

	weir_sem_init(&sem, self->loop, 1);
	EXPECT_EQ(0, weir_sem_wait(&sem, 0));
	EXPECT_EQ(-ETIME, weir_sem_wait(&sem, weir_loop_now(self->loop) + NSEC_PER_MSEC));
	for (i = 0; i < 4; i++) {
		job[i] = (struct job)JOB(.sem = &sem, .order = &order, .ms = i == 1 ? 2 : 0);
		ASSERT_EQ(0, weir_fiber_spawn(&fiber[i], self->fibers, NULL, sem_job, &job[i]));
	}
	EXPECT_EQ(0, weir_fiber_join(fiber[1], 0, NULL));
	EXPECT_EQ(-ETIME, job[1].res);
	/* Cancelled just as a unit comes: it goes to the next in line. */
	weir_fiber_cancel(fiber[0]);
	weir_sem_post(&sem);
	weir_sem_post(&sem);
	for (i = 0; i < 4; i += i ? 1 : 2)
		EXPECT_EQ(0, weir_fiber_join(fiber[i], 0, NULL));
	EXPECT_EQ(-ECANCELED, job[0].res);
	EXPECT_EQ(0, job[2].res);
	EXPECT_EQ(0, job[3].res);
	EXPECT_LT(job[2].number, job[3].number);
	/* None is left over, none is lost. */
	EXPECT_EQ(-ETIME, weir_sem_wait(&sem, weir_loop_now(self->loop)));
	weir_sem_post(&sem);
	EXPECT_EQ(0, weir_sem_wait(&sem, 0));
}

TEST_F(fiber, a_unit_that_was_given_stays_given_when_a_cancel_comes_after)
{
	unsigned int order = 0;
	struct weir_sem sem;
	struct job job = JOB(.sem = &sem, .order = &order);
	struct weir_fiber *fiber;

	weir_sem_init(&sem, self->loop, 0);
	ASSERT_EQ(0, weir_fiber_spawn(&fiber, self->fibers, NULL, sem_job, &job));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	weir_sem_post(&sem);
	weir_fiber_cancel(fiber);
	EXPECT_EQ(0, weir_fiber_join(fiber, 0, NULL));
	EXPECT_EQ(0, job.res);
}

TEST_HARNESS_MAIN
