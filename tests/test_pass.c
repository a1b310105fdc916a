// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pass.c - files handed over from loop to loop; two loops of one thread, and
 * two threads
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>

#include <weir/pass.h>

#include "backends.h"
#include "kselftest_harness.h"

enum { TIMES = 300, FILES = 64 };

struct passed {
	struct weir_pass pass;
	unsigned int calls;
};

static void on_passed(struct weir_pass *pass)
{
	struct passed *passed = pass->ctx;

	passed->calls++;
}

static void passed_init(struct passed *passed)
{
	*passed = (struct passed){ .pass = { .done = on_passed, .ctx = passed } };
}

/* Turns of two loops whose messages need each other's. */
#define RUN_BOTH(a, b, cond)						\
	do {								\
		uint64_t both_end = real_ns() + LIMIT_NS;		\
									\
		while (!(cond) && real_ns() < both_end) {		\
			ASSERT_LE(0, weir_loop_run_once(a, NSEC_PER_MSEC));	\
			ASSERT_LE(0, weir_loop_run_once(b, NSEC_PER_MSEC));	\
		}							\
		ASSERT_TRUE(cond);					\
	} while (0)

FIXTURE(pass)
{
	struct weir_loop *a;
	struct weir_loop *b;
	struct server server;
	struct weir_file client;
	struct weir_file accepted;
	struct passed passed;
};

KERNEL_VARIANTS(pass);
REFUSED_VARIANT(pass);

FIXTURE_SETUP(pass)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .files_max = FILES,
	};

	OPEN_LOOP(&self->a, &opts);
	OPEN_LOOP(&self->b, &opts);
	ASSERT_LE(0, weir_loop_run_once(self->b, 0));
	ASSERT_EQ(0, server_open(self->a, &self->server, 8));
	ASSERT_EQ(0, pair_open(self->a, &self->server, &self->client, &self->accepted));
	passed_init(&self->passed);
}

FIXTURE_TEARDOWN(pass)
{
	EXPECT_EQ(0, weir_loop_close(self->a, LIMIT_NS));
	EXPECT_EQ(0, weir_loop_close(self->b, LIMIT_NS));
}

TEST_F(pass, a_connection_lives_on_at_the_other_loop)
{
	struct weir_pass *pass = &self->passed.pass;
	char text[8] = "";
	uint64_t before = stats_of(self->a).files;

	ASSERT_EQ(5, do_send(self->a, self->client, "early", 5));
	ASSERT_EQ(0, weir_file_pass(self->a, self->accepted, self->b, pass));
	EXPECT_FALSE(weir_file_valid(self->a, self->accepted));
	RUN_BOTH(self->a, self->b, self->passed.calls);
	ASSERT_EQ(0, pass->res);
	EXPECT_EQ(self->b, pass->loop);
	EXPECT_TRUE(weir_file_valid(self->b, pass->file));
	EXPECT_EQ(5, do_recv(self->b, pass->file, text, sizeof(text)));
	EXPECT_EQ(0, memcmp(text, "early", 5));
	ASSERT_EQ(4, do_send(self->b, pass->file, "back", 4));
	EXPECT_EQ(4, do_recv(self->a, self->client, text, sizeof(text)));
	RUN_BOTH(self->a, self->b, stats_of(self->a).files == before - 1);
	EXPECT_EQ(1, self->passed.calls);
}

TEST_F(pass, its_old_handle_is_stale)
{
	char text[8];

	ASSERT_EQ(0, weir_file_pass(self->a, self->accepted, self->b, &self->passed.pass));
	EXPECT_EQ(-EBADF, do_recv(self->a, self->accepted, text, sizeof(text)));
	RUN_BOTH(self->a, self->b, self->passed.calls);
	EXPECT_EQ(0, self->passed.pass.res);
	EXPECT_EQ(-EBADF, do_recv(self->a, self->accepted, text, sizeof(text)));
}

TEST_F(pass, what_is_in_flight_ends_first)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	char text[8];

	weir_prep_recv(&op, self->accepted, text, sizeof(text), seen_done, &seen);
	weir_submit(self->a, &op);
	ASSERT_LE(0, weir_loop_run_once(self->a, 0));
	ASSERT_EQ(0, weir_file_pass(self->a, self->accepted, self->b, &self->passed.pass));
	EXPECT_EQ(0, seen.events);
	RUN_BOTH(self->a, self->b, self->passed.calls);
	EXPECT_RESULT(&seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	ASSERT_EQ(0, self->passed.pass.res);
	ASSERT_EQ(4, do_send(self->a, self->client, "late", 4));
	EXPECT_EQ(4, do_recv(self->b, self->passed.pass.file, text, sizeof(text)));
}

TEST_F(pass, one_that_is_armed_for_edges_leaves_them)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	char text[8];

	/* Armed at the first loop by an op that waits there. */
	weir_prep_recv(&op, self->accepted, text, sizeof(text), seen_done, &seen);
	weir_submit(self->a, &op);
	ASSERT_LE(0, weir_loop_run_once(self->a, 0));
	ASSERT_EQ(0, weir_file_pass(self->a, self->accepted, self->b, &self->passed.pass));
	RUN_BOTH(self->a, self->b, self->passed.calls);
	ASSERT_EQ(0, self->passed.pass.res);
	seen = (struct seen){ 0 };
	weir_prep_recv(&op, self->passed.pass.file, text, sizeof(text), seen_done, &seen);
	weir_submit(self->b, &op);
	ASSERT_LE(0, weir_loop_run_once(self->b, 0));
	ASSERT_EQ(2, do_send(self->a, self->client, "go", 2));
	RUN_UNTIL(self->b, seen.terminals);
	EXPECT_EQ(2, seen.res);
	EXPECT_EQ(0, stats_of(self->a).stale);
}

TEST_F(pass, it_goes_there_and_back)
{
	struct weir_file file = self->accepted;
	struct weir_loop *here = self->a, *there = self->b, *swap;
	char text[8];
	int i;

	for (i = 0; i < 50; i++) {
		passed_init(&self->passed);
		ASSERT_EQ(0, weir_file_pass(here, file, there, &self->passed.pass));
		RUN_BOTH(here, there, self->passed.calls);
		ASSERT_EQ(0, self->passed.pass.res);
		file = self->passed.pass.file;
		swap = here;
		here = there;
		there = swap;
	}
	ASSERT_EQ(self->a, here);
	ASSERT_EQ(2, do_send(self->a, self->client, "hi", 2));
	EXPECT_EQ(2, do_recv(self->a, file, text, sizeof(text)));
	ASSERT_LE(0, weir_loop_run_once(self->b, 0));
	EXPECT_EQ(0, stats_of(self->b).files);
}

TEST_F(pass, without_a_place_it_stays)
{
	struct weir_pass *pass = &self->passed.pass;
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .files_max = 1,
	};
	struct passed second;
	struct weir_loop *small;
	char text[8];

	OPEN_LOOP(&small, &opts);
	ASSERT_LE(0, weir_loop_run_once(small, 0));
	ASSERT_EQ(0, weir_file_pass(self->a, self->client, small, pass));
	RUN_BOTH(self->a, small, self->passed.calls);
	ASSERT_EQ(0, pass->res);
	passed_init(&second);
	ASSERT_EQ(0, weir_file_pass(self->a, self->accepted, small, &second.pass));
	RUN_BOTH(self->a, small, second.calls);
	EXPECT_EQ(-ENFILE, second.pass.res);
	EXPECT_EQ(self->a, second.pass.loop);
	EXPECT_EQ(self->accepted.index, second.pass.file.index);
	EXPECT_TRUE(weir_file_valid(self->a, self->accepted));
	ASSERT_EQ(2, do_send(small, pass->file, "ok", 2));
	EXPECT_EQ(2, do_recv(self->a, self->accepted, text, sizeof(text)));
	EXPECT_EQ(0, weir_loop_close(small, LIMIT_NS));
}

TEST_F(pass, a_descriptor_goes_too)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	struct weir_file file;
	int pipefd[2];
	char text[8];

	ASSERT_EQ(0, pipe2(pipefd, O_CLOEXEC));
	ASSERT_EQ(0, weir_file_adopt(self->a, pipefd[0], &file));
	ASSERT_EQ(0, weir_file_pass(self->a, file, self->b, &self->passed.pass));
	RUN_BOTH(self->a, self->b, self->passed.calls);
	ASSERT_EQ(0, self->passed.pass.res);
	EXPECT_EQ(pipefd[0], weir_file_fd(self->b, self->passed.pass.file));
	ASSERT_EQ(3, write(pipefd[1], "abc", 3));
	weir_prep_read(&op, self->passed.pass.file, text, 3, 0, seen_done, &seen);
	EXPECT_EQ(3, op_do(self->b, &op));
	close(pipefd[1]);
}

TEST_F(pass, bad_arguments_are_refused)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim" };
	struct weir_pass none = { 0 };
	struct weir_loop *sim;

	EXPECT_EQ(-EINVAL, weir_file_pass(self->a, self->accepted, self->b, &none));
	EXPECT_EQ(-EINVAL, weir_file_pass(self->a, self->accepted, self->a, &self->passed.pass));
	EXPECT_EQ(-EBADF, weir_file_pass(self->a, (struct weir_file){ 0, 0 }, self->b,
					 &self->passed.pass));
	ASSERT_EQ(0, weir_loop_open(&sim, &opts));
	EXPECT_EQ(-EOPNOTSUPP, weir_file_pass(self->a, self->accepted, sim, &self->passed.pass));
	EXPECT_EQ(0, weir_loop_close(sim, LIMIT_NS));
	EXPECT_TRUE(weir_file_valid(self->a, self->accepted));
	EXPECT_EQ(0, self->passed.calls);
}

TEST_F(pass, a_source_that_closes_keeps_what_has_not_left)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	struct weir_file file;
	struct weir_loop *loop;
	int pipefd[2];

	OPEN_LOOP(&loop, &opts);
	ASSERT_EQ(0, pipe2(pipefd, O_CLOEXEC));
	ASSERT_EQ(0, weir_file_adopt(loop, pipefd[0], &file));
	ASSERT_EQ(0, weir_file_pass(loop, file, self->b, &self->passed.pass));
	/* The target takes no turn: the source waits for it, or cancels before. */
	if (weir_loop_close(loop, NSEC_PER_MSEC)) {
		EXPECT_EQ(0, self->passed.calls);
		RUN_BOTH(loop, self->b, self->passed.calls);
		EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
		EXPECT_EQ(0, self->passed.pass.res);
	} else {
		EXPECT_EQ(-ECANCELED, self->passed.pass.res);
	}
	EXPECT_EQ(1, self->passed.calls);
	close(pipefd[1]);
}

/* A thread that owns the target, and echoes one byte through what arrives. */
struct target {
	struct weir_loop *loop;
	pthread_t thread;
	sem_t ran;
	sem_t may_close;
	struct weir_op hold;
};

static void ignore(struct weir_op *op)
{
}

static void *own(void *arg)
{
	struct target *target = arg;

	weir_prep_timeout(&target->hold, UINT64_MAX, ignore, NULL);
	weir_submit(target->loop, &target->hold);
	if (weir_loop_run(target->loop))
		abort();
	sem_post(&target->ran);
	while (sem_wait(&target->may_close))
		;
	if (weir_loop_close(target->loop, LIMIT_NS))
		abort();
	return NULL;
}

struct bounce {
	struct weir_pass pass;
	struct weir_loop *home;
	unsigned int arrivals;		/* at home */
	atomic_uint wrong;
};

static void bounce_done(struct weir_pass *pass)
{
	struct bounce *bounce = pass->ctx;
	struct weir_loop *here = pass->loop;

	if (pass->res || !pthread_equal(here->owner, pthread_self()))
		atomic_fetch_add(&bounce->wrong, 1);
	if (here == bounce->home) {
		bounce->arrivals++;
		return;
	}
	if (weir_file_pass(here, pass->file, bounce->home, pass))
		abort();
}

TEST_F(pass, it_goes_to_another_thread_and_back)
{
	struct bounce bounce = {
		.pass = { .done = bounce_done, .ctx = &bounce }, .home = self->a,
	};
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .files_max = FILES,
	};
	struct target target = { 0 };
	char text[8];
	unsigned int i;

	OPEN_LOOP(&target.loop, &opts);
	sem_init(&target.ran, 0, 0);
	sem_init(&target.may_close, 0, 0);
	ASSERT_EQ(0, pthread_create(&target.thread, NULL, own, &target));
	bounce.pass.file = self->accepted;
	for (i = 0; i < TIMES; i++) {
		ASSERT_EQ(0, weir_file_pass(self->a, bounce.pass.file, target.loop,
					    &bounce.pass));
		RUN_UNTIL(self->a, bounce.arrivals == i + 1);
	}
	EXPECT_EQ(0, atomic_load(&bounce.wrong));
	ASSERT_EQ(2, do_send(self->a, self->client, "hi", 2));
	EXPECT_EQ(2, do_recv(self->a, bounce.pass.file, text, sizeof(text)));
	weir_loop_stop(target.loop);
	while (sem_wait(&target.ran))
		;
	sem_post(&target.may_close);
	pthread_join(target.thread, NULL);
}

TEST_HARNESS_MAIN
