// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_nested.c - two loops inside a loop of somebody else's: poll(2) or
 * epoll(7) waits for their descriptors and for the nearer weir_loop_next_ns()
 *
 * An inner loop runs only when one of the two says so, and never waits itself.
 * So what its descriptor does not tell never comes, and what it tells for
 * nothing shows as turns of the outer loop.
 */
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>

#include "backends.h"
#include "kselftest_harness.h"

#define TRIPS		100
#define WAKES		200
#define INNERS		2
#define NEVER_MS	10000	/* as long as a lost wake-up takes to be one */

/* One end of a connection: what it received it sends. */
struct end {
	struct weir_loop *loop;
	struct weir_file file;
	struct weir_op op;
	unsigned int received;
	unsigned int until;	/* so many, then no more is sent */
	unsigned int failed;
	char byte;
};

struct waker {
	struct weir_loop *loop;
	sem_t go;
};

struct outer {
	struct weir_loop *loop[INNERS];
	int fd[INNERS];
	int epfd;		/* -1: it is poll(2) that waits */
	unsigned int turns;
};

FIXTURE(nested)
{
	struct outer outer;
	struct server server;
	struct end near, far;
};

FIXTURE_VARIANT(nested)
{
	const char *name;
	bool epoll;
};

FIXTURE_VARIANT_ADD(nested, epoll_in_poll) { .name = "epoll" };
FIXTURE_VARIANT_ADD(nested, epoll_in_epoll) { .name = "epoll", .epoll = true };
#ifdef CONFIG_URING
FIXTURE_VARIANT_ADD(nested, uring_in_poll) { .name = "uring" };
FIXTURE_VARIANT_ADD(nested, uring_in_epoll) { .name = "uring", .epoll = true };
#endif

FIXTURE_SETUP(nested)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	struct outer *outer = &self->outer;
	int i;

	outer->epfd = variant->epoll ? epoll_create1(EPOLL_CLOEXEC) : -1;
	for (i = 0; i < INNERS; i++)
		OPEN_LOOP(&outer->loop[i], &opts);
	/* Submitted before anybody asks for the descriptor, and never run for. */
	ASSERT_EQ(0, server_open(outer->loop[0], &self->server, 8));
	for (i = 0; i < INNERS; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		outer->fd[i] = weir_loop_fd(outer->loop[i]);
		ASSERT_LE(0, outer->fd[i]);
		if (variant->epoll)
			ASSERT_EQ(0, epoll_ctl(outer->epfd, EPOLL_CTL_ADD, outer->fd[i], &event));
	}
}

FIXTURE_TEARDOWN(nested)
{
	int i;

	for (i = 0; i < INNERS; i++)
		EXPECT_EQ(0, weir_loop_close(self->outer.loop[i], LIMIT_NS));
	if (self->outer.epfd >= 0)
		close(self->outer.epfd);
}

/* the outer loop */

/* Which descriptors are readable, a bit for each. */
static unsigned int outer_wait(const struct outer *outer, int timeout_ms)
{
	struct epoll_event event[INNERS];
	struct pollfd pfd[INNERS];
	unsigned int ready = 0;
	int i, n;

	if (outer->epfd >= 0) {
		do {
			n = epoll_wait(outer->epfd, event, INNERS, timeout_ms);
		} while (n < 0 && errno == EINTR);
		for (i = 0; i < n; i++)
			ready |= 1U << event[i].data.u32;
		return ready;
	}
	for (i = 0; i < INNERS; i++)
		pfd[i] = (struct pollfd) { .fd = outer->fd[i], .events = POLLIN };
	poll(pfd, INNERS, timeout_ms);
	for (i = 0; i < INNERS; i++)
		ready |= pfd[i].revents ? 1U << i : 0;
	return ready;
}

/* Rounded up: a wait that ends too early would be repeated for nothing. */
static int ms_until(uint64_t ns, int max_ms)
{
	uint64_t now_ns = real_ns(), ms;

	if (ns <= now_ns)
		return 0;
	ms = (ns - now_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms < (uint64_t)max_ms ? (int)ms : max_ms;
}

/* One turn; how many loops had to be run, or -errno. */
static int outer_turn(struct outer *outer, int max_ms)
{
	int i, ret, timeout_ms = max_ms, ran = 0;
	unsigned int ready;

	for (i = 0; i < INNERS; i++)
		timeout_ms = ms_until(weir_loop_next_ns(outer->loop[i]), timeout_ms);
	ready = outer_wait(outer, timeout_ms);
	outer->turns++;
	for (i = 0; i < INNERS; i++) {
		if (!(ready & 1U << i) && weir_loop_next_ns(outer->loop[i]) > real_ns())
			continue;
		ret = weir_loop_run_once(outer->loop[i], 0);
		if (ret < 0)
			return ret;
		ran++;
	}
	return ran;
}

/* Drive both until @cond holds: a turn without a loop to run means one was lost. */
#define DRIVE_UNTIL(outer, cond)						\
	do {								\
		uint64_t drive_end = real_ns() + LIMIT_NS;		\
		int drive_ran = 1;					\
									\
		while (!(cond) && drive_ran > 0 && real_ns() < drive_end)	\
			drive_ran = outer_turn(outer, NEVER_MS);		\
		ASSERT_TRUE((cond) && drive_ran > 0) {			\
			TH_LOG("%s: not told, after %u turns", #cond, (outer)->turns);	\
		}							\
	} while (0)

/* With nothing to do both are quiet, after few turns: nobody spins. */
#define EXPECT_QUIET(outer)						\
	do {								\
		int quiet_turns = 0;					\
									\
		while (quiet_turns < 8 && outer_turn(outer, SETTLE_NS / NSEC_PER_MSEC))	\
			quiet_turns++;					\
		EXPECT_GT(8, quiet_turns);				\
	} while (0)

/* what the inner loops do */

static void end_sent(struct weir_op *op);

static void end_received(struct weir_op *op)
{
	struct end *end = op->ctx;

	if (op->res != 1) {
		end->failed += op->res != -ECANCELED;
		return;
	}
	if (++end->received == end->until)
		return;
	weir_prep_send(op, end->file, &end->byte, 1, end_sent, end);
	weir_submit(end->loop, op);
}

static void end_sent(struct weir_op *op)
{
	struct end *end = op->ctx;

	if (op->res != 1) {
		end->failed++;
		return;
	}
	weir_prep_recv(op, end->file, &end->byte, 1, end_received, end);
	weir_submit(end->loop, op);
}

TEST_F(nested, both_ends_of_a_connection_come_through)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	self->far.until = TRIPS;
	self->far.loop = self->outer.loop[1];
	self->near.loop = self->outer.loop[0];
	server_connect(self->outer.loop[1], &self->server, &op, &seen);
	DRIVE_UNTIL(&self->outer, seen.terminals && self->server.seen.events);
	ASSERT_EQ(0, seen.res);
	ASSERT_EQ(0, self->server.seen.res);
	self->far.file = seen.file;
	self->near.file = self->server.seen.file;
	EXPECT_QUIET(&self->outer);
	/* Neither loop runs when these are submitted. */
	weir_prep_recv(&self->near.op, self->near.file, &self->near.byte, 1, end_received,
		       &self->near);
	weir_submit(self->outer.loop[0], &self->near.op);
	weir_prep_send(&self->far.op, self->far.file, &self->far.byte, 1, end_sent, &self->far);
	weir_submit(self->outer.loop[1], &self->far.op);
	self->outer.turns = 0;
	DRIVE_UNTIL(&self->outer, self->far.received == TRIPS || self->far.failed ||
		    self->near.failed);
	EXPECT_EQ(TRIPS, self->far.received);
	EXPECT_EQ(TRIPS, self->near.received);
	/* For each trip each loop has a byte to receive; hardly more than that. */
	EXPECT_GE(3 * TRIPS, self->outer.turns);
	EXPECT_QUIET(&self->outer);
	EXPECT_EQ(0, self->far.failed + self->near.failed);
}

TEST_F(nested, timers_come_in_time_and_without_spinning)
{
	const uint64_t after_ns[INNERS] = { 60 * NSEC_PER_MSEC, 30 * NSEC_PER_MSEC };
	struct seen seen[INNERS] = { 0 };
	struct weir_op op[INNERS] = { 0 };
	uint64_t begin_ns;
	int i;

	EXPECT_QUIET(&self->outer);
	begin_ns = real_ns();
	self->outer.turns = 0;
	for (i = 0; i < INNERS; i++) {
		weir_prep_timeout(&op[i], begin_ns + after_ns[i], seen_done, &seen[i]);
		weir_submit(self->outer.loop[i], &op[i]);
	}
	DRIVE_UNTIL(&self->outer, seen[0].terminals && seen[1].terminals);
	for (i = 0; i < INNERS; i++) {
		EXPECT_EQ(0, seen[i].res);
		EXPECT_LE(begin_ns + after_ns[i], seen[i].now_ns);
	}
	/* Early by a tick of the wheel now and then, not each time round. */
	EXPECT_GE(16, self->outer.turns);
	EXPECT_QUIET(&self->outer);
}

static struct weir_loop *other;
static struct weir_op other_op;

static void submit_to_other(struct weir_op *op)
{
	seen_done(op);
	weir_submit(other, &other_op);
}

TEST_F(nested, a_callback_may_submit_to_the_other_loop)
{
	struct seen seen[INNERS] = { 0 };
	struct weir_op op = { 0 };

	EXPECT_QUIET(&self->outer);
	other = self->outer.loop[0];
	weir_prep_nop(&other_op, seen_done, &seen[0]);
	/* Of the last loop of a turn to one whose turn is over. */
	weir_prep_nop(&op, submit_to_other, &seen[1]);
	weir_submit(self->outer.loop[1], &op);
	DRIVE_UNTIL(&self->outer, seen[0].terminals);
	EXPECT_RESULT(&seen[1], 0, seen[1].origin);
	EXPECT_EQ(0, seen[0].res);
	EXPECT_QUIET(&self->outer);
}

static void *wake_when_told(void *arg)
{
	struct waker *waker = arg;

	while (sem_wait(&waker->go))
		;
	weir_loop_wake(waker->loop);
	return NULL;
}

TEST_F(nested, a_wake_from_another_thread_ends_the_outer_wait)
{
	struct waker waker;
	pthread_t thread;
	int i;

	EXPECT_QUIET(&self->outer);
	for (i = 0; i < WAKES; i++) {
		waker.loop = self->outer.loop[i % INNERS];
		sem_init(&waker.go, 0, 0);
		ASSERT_EQ(0, pthread_create(&thread, NULL, wake_when_told, &waker));
		sem_post(&waker.go);
		EXPECT_LT(0, outer_turn(&self->outer, NEVER_MS));
		pthread_join(thread, NULL);
		sem_destroy(&waker.go);
	}
	EXPECT_QUIET(&self->outer);
}

TEST_HARNESS_MAIN
