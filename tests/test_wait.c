// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_wait.c - how the wait of a loop is ended: by stop and wake from other
 * threads and from signal handlers; and what is called around it
 */
#include <pthread.h>
#include <semaphore.h>

#include "backends.h"
#include "kselftest_harness.h"
#include "tsan.h"

/* What ends the wait, once the loop is about to begin it. */
enum ender { END_STOP, END_WAKE, END_SIGNAL, END_CALLS };

struct around {
	struct weir_loop *loop;
	pthread_t owner;
	sem_t parking;
	enum ender ender;
	unsigned int parked;
	unsigned int ran;
	unsigned int ticks;
	uint64_t ran_ns;
};

static struct around *current;

FIXTURE(wait)
{
	struct weir_loop_hooks hooks;
	struct weir_loop *loop;
	struct server server;
	struct around around;
	pthread_t thread;
};

KERNEL_VARIANTS(wait);
REFUSED_VARIANT(wait);

static void on_parking(void *ctx)
{
	struct around *around = ctx;

	around->parked++;
	sem_post(&around->parking);
}

static void on_running(void *ctx, uint64_t now_ns, unsigned int events)
{
	struct around *around = ctx;

	around->ran++;
	around->ran_ns = now_ns;
}

static void on_tick(void *ctx)
{
	struct around *around = ctx;

	around->ticks++;
}

static void on_signal(int sig)
{
	weir_loop_stop(current->loop);
}

static void *end_wait(void *arg)
{
	struct around *around = arg;

	while (sem_wait(&around->parking))
		;
	switch (around->ender) {
	case END_STOP:
		weir_loop_stop(around->loop);
		break;
	case END_WAKE:
		weir_loop_wake(around->loop);
		break;
	case END_SIGNAL:
		pthread_kill(around->owner, SIGUSR1);
		break;
	case END_CALLS:
		break;
	}
	return NULL;
}

FIXTURE_SETUP(wait)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .hooks = &self->hooks,
	};

	self->hooks = (struct weir_loop_hooks){
		.parking = on_parking, .running = on_running, .tick = on_tick,
		.ctx = &self->around,
	};
	sem_init(&self->around.parking, 0, 0);
	self->around.owner = pthread_self();
	current = &self->around;
	OPEN_LOOP(&self->loop, &opts);
	self->around.loop = self->loop;
	/* An accept that never comes: something to wait for. */
	ASSERT_EQ(0, server_open(self->loop, &self->server, 8));
}

FIXTURE_TEARDOWN(wait)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(1, self->server.seen.terminals);
	sem_destroy(&self->around.parking);
}

TEST_F(wait, another_thread_can_stop_it)
{
	int i;

	self->around.ender = END_STOP;
	for (i = 0; i < 200; i++) {
		while (!sem_trywait(&self->around.parking))
			;
		ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_wait, &self->around));
		EXPECT_EQ(0, weir_loop_run(self->loop));
		pthread_join(self->thread, NULL);
	}
	EXPECT_LE(200, self->around.parked);
}

TEST_F(wait, a_signal_handler_can_stop_it)
{
	struct sigaction action = { .sa_handler = on_signal };
	int i;

	if (TSAN)
		SKIP(return, "the thread sanitizer runs handlers after the wait, not in it");
	sigaction(SIGUSR1, &action, NULL);
	self->around.ender = END_SIGNAL;
	for (i = 0; i < 200; i++) {
		while (!sem_trywait(&self->around.parking))
			;
		ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_wait, &self->around));
		EXPECT_EQ(0, weir_loop_run(self->loop));
		pthread_join(self->thread, NULL);
	}
}

TEST_F(wait, another_thread_can_wake_it)
{
	uint64_t before = real_ns();

	self->around.ender = END_WAKE;
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_wait, &self->around));
	/* The first turns arm what was submitted; one of them waits. */
	while (!self->around.parked)
		ASSERT_LE(0, weir_loop_run_once(self->loop, LIMIT_NS));
	EXPECT_GT(LIMIT_NS / 2, real_ns() - before);
	pthread_join(self->thread, NULL);
	/* Not stopped: nothing is left behind that would end the next run. */
	EXPECT_EQ(0, atomic_load(&self->loop->stop));
}

static void *wake_often(void *arg)
{
	struct around *around = arg;
	int i;

	for (i = 0; i < 20000; i++)
		weir_loop_wake(around->loop);
	weir_loop_stop(around->loop);
	return NULL;
}

TEST_F(wait, no_wake_is_lost_among_many)
{
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, wake_often, &self->around));
	EXPECT_EQ(0, weir_loop_run(self->loop));
	pthread_join(self->thread, NULL);
	self->around.ender = END_STOP;
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, end_wait, &self->around));
	EXPECT_EQ(0, weir_loop_run(self->loop));
	pthread_join(self->thread, NULL);
}

TEST_F(wait, a_stop_that_comes_early_ends_the_next_run)
{
	weir_loop_stop(self->loop);
	EXPECT_EQ(0, weir_loop_run(self->loop));
	weir_loop_stop(self->loop);
	EXPECT_EQ(-EINTR, weir_loop_run_until(self->loop, &self->server.accept));
	EXPECT_EQ(0, self->server.seen.events);
}

TEST_F(wait, the_hooks_are_called_around_it)
{
	uint64_t before = real_ns(), turns = 0;

	self->around.ender = END_CALLS;
	/* A turn does not wait that has an event, or comes to it too late. */
	while (!self->around.parked || turns < 2) {
		ASSERT_LE(0, weir_loop_run_once(self->loop, 2 * NSEC_PER_MSEC));
		ASSERT_GT(LIMIT_NS, real_ns() - before);
		turns++;
	}
	EXPECT_LE(self->around.parked, self->around.ran);
	EXPECT_EQ(turns, self->around.ticks);
	EXPECT_LE(before, self->around.ran_ns);
	EXPECT_GE(real_ns(), self->around.ran_ns);
}

static int readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0);
}

TEST_F(wait, its_descriptor_polls_readable_when_events_wait)
{
	struct pollfd pfd = { .events = POLLIN };
	int fd;

	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	pfd.fd = weir_loop_fd(self->loop);
	ASSERT_LE(0, pfd.fd);
	EXPECT_EQ(0, readable(pfd.fd));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(0, connect(fd, (struct sockaddr *)&self->server.addr,
			     sizeof(self->server.addr)));
	EXPECT_EQ(1, poll(&pfd, 1, 10000));
	RUN_UNTIL(self->loop, self->server.seen.events == 1);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(0, readable(pfd.fd));
	weir_loop_wake(self->loop);
	EXPECT_EQ(1, poll(&pfd, 1, 10000));
	close(fd);
}

TEST_HARNESS_MAIN
