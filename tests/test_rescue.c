// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_rescue.c - a queue is moved away from a worker that does not accept
 */
#include <pthread.h>
#include <stdatomic.h>

#include "bpf_service.h"

#define QUEUED	20

/* @count clients that have said something, in the queue of worker 0. */
static int queue_up(struct service *s, int *clients, int count)
{
	int i;

	row(s, 1)->state = WEIR_DRAIN;
	for (i = 0; i < count; i++) {
		clients[i] = connect_to(s);
		if (clients[i] < 0 || send(clients[i], "hello", 5, 0) != 5)
			return -1;
	}
	row(s, 1)->state = WEIR_PARKED;
	return 0;
}

/* Worker @want accepts and answers @count of them, and each has the answer. */
static int served_by(struct service *s, int want, const int *clients, int count)
{
	char text[8];
	int i, server;

	for (i = 0; i < count; i++) {
		if (accept_any(s, &server) != want || recv(server, text, sizeof(text), 0) != 5 ||
		    send(server, "ok", 2, 0) != 2)
			return -1;
		close(server);
	}
	for (i = 0; i < count; i++)
		if (recv(clients[i], text, sizeof(text), 0) != 2)
			return -1;
	return 0;
}

TEST_F(bpf, a_queue_is_moved_without_a_reset_and_the_listener_lives_on)
{
	struct weir_bpf_worker worker;
	unsigned int got[WORKERS];
	int clients[QUEUED];
	uint64_t since;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	ASSERT_EQ(0, queue_up(&self->s, clients, QUEUED));
	EXPECT_EQ(QUEUED, self->s.st->ops->waiting(self->s.st, 0, &since));
	EXPECT_NE(0, since);
	ASSERT_EQ(QUEUED, self->s.st->ops->rescue(self->s.st, 0));
	EXPECT_EQ(0, self->s.st->ops->waiting(self->s.st, 0, &since));
	EXPECT_EQ(QUEUED, self->s.st->ops->waiting(self->s.st, 1, &since));
	EXPECT_EQ(0, served_by(&self->s, 1, clients, QUEUED));
	ASSERT_EQ(0, worker_read(&self->s, 1, &worker));
	EXPECT_EQ(QUEUED, worker.listener.migrated);
	/* It is what it was before, once it has run. */
	row(&self->s, 0)->loop_ns = now_ns();
	row(&self->s, 1)->inflight = 10;
	ASSERT_EQ(0, spread(&self->s, 10, got));
	EXPECT_EQ(10, got[0]);
}

TEST_F(bpf, an_ipv6_queue_is_moved_too)
{
	int clients[QUEUED];

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_P2C, FOREVER_NS, AF_INET6));
	ASSERT_EQ(0, queue_up(&self->s, clients, QUEUED));
	ASSERT_EQ(QUEUED, self->s.st->ops->rescue(self->s.st, 0));
	EXPECT_EQ(0, served_by(&self->s, 1, clients, QUEUED));
}

/* By hash the hung one is not excluded, but it is not in the sockarray either. */
TEST_F(bpf, a_queue_is_moved_under_hash)
{
	int clients[QUEUED];

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, FOREVER_NS, AF_INET));
	ASSERT_EQ(0, queue_up(&self->s, clients, QUEUED));
	ASSERT_EQ(QUEUED, self->s.st->ops->rescue(self->s.st, 0));
	EXPECT_EQ(0, served_by(&self->s, 1, clients, QUEUED));
}

/* Nothing is shut down for nothing: its clients would notice nothing, its loop would. */
TEST_F(bpf, an_empty_queue_is_left_alone)
{
	struct pollfd pfd = { .events = POLLIN };

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	pfd.fd = self->s.fd[0];
	EXPECT_EQ(0, self->s.st->ops->rescue(self->s.st, 0));
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	EXPECT_EQ(-EINVAL, self->s.st->ops->rescue(self->s.st, 2));
}

TEST_F(bpf, one_that_has_left_is_not_revived)
{
	int clients[1], listens = 1;
	socklen_t len = sizeof(listens);

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	ASSERT_EQ(0, queue_up(&self->s, clients, 1));
	self->s.st->ops->leave(self->s.st, 0);
	ASSERT_EQ(0, shutdown(self->s.fd[0], SHUT_RDWR));
	EXPECT_EQ(0, self->s.st->ops->rescue(self->s.st, 0));
	ASSERT_EQ(0, getsockopt(self->s.fd[0], SOL_SOCKET, SO_ACCEPTCONN, &listens, &len));
	EXPECT_EQ(0, listens);
}

/* Shut down by somebody, or by a rescue that was cut short. */
TEST_F(bpf, one_that_was_shut_down_is_revived)
{
	int clients[1];

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	ASSERT_EQ(0, queue_up(&self->s, clients, 1));
	ASSERT_EQ(1, self->s.st->ops->rescue(self->s.st, 0));
	ASSERT_EQ(0, shutdown(self->s.fd[0], SHUT_RDWR));
	EXPECT_EQ(0, self->s.st->ops->rescue(self->s.st, 0));
	EXPECT_EQ(0, served_by(&self->s, 1, clients, 1));
	row(&self->s, 0)->loop_ns = now_ns();
	ASSERT_EQ(0, queue_up(&self->s, clients, 1));
	EXPECT_EQ(0, served_by(&self->s, 0, clients, 1));
}

/* The next trial of worker 0 is due @trial_ns after a rescue @ago_ns ago. */
static int trial_put(const struct service *s, uint64_t trial_ns, uint64_t ago_ns)
{
	int map = map_open(s, "weir_pending"), err;
	struct weir_pending pending;
	uint32_t zero = 0;

	err = bpf_map_lookup_elem(map, &zero, &pending);
	pending.trial_ns = trial_ns;
	pending.rescued_ns = now_ns() - ago_ns;
	if (!err)
		err = bpf_map_update_elem(map, &zero, &pending, BPF_ANY);
	close(map);
	return err;
}

/* It was stopped while it was parked: with its queue gone it looks idle. */
TEST_F(bpf, one_that_has_not_run_since_is_tried_rarely)
{
	struct weir_bpf_worker worker;
	unsigned int got[WORKERS];
	uint64_t trial_ns = 0;
	int clients[1], i;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, WEIR_STALE_NS, AF_INET));
	weir_bpf_cfg(self->s.bpf)->ramp_ns = 0;
	row(&self->s, 1)->inflight = 10;
	row(&self->s, 0)->loop_ns = 1;
	for (i = 0; i < 6; i++) {
		ASSERT_EQ(0, queue_up(&self->s, clients, 1));
		ASSERT_EQ(1, self->s.st->ops->rescue(self->s.st, 0));
		ASSERT_EQ(0, served_by(&self->s, 1, clients, 1));
		ASSERT_EQ(0, worker_read(&self->s, 0, &worker));
		EXPECT_LT(trial_ns, worker.pending.trial_ns + (i == 5));
		trial_ns = worker.pending.trial_ns;
		ASSERT_EQ(0, trial_put(&self->s, FOREVER_NS, 0));
		ASSERT_EQ(0, spread(&self->s, 1, got));
		EXPECT_EQ(1, got[1]);
		ASSERT_EQ(0, trial_put(&self->s, trial_ns, trial_ns + 1));
		ASSERT_EQ(0, spread(&self->s, 1, got));
		EXPECT_EQ(1, got[0]);
	}
	EXPECT_EQ(1000000000, trial_ns);
	row(&self->s, 0)->loop_ns = now_ns();
	ASSERT_EQ(0, spread(&self->s, 1, got));
	EXPECT_EQ(1, got[0]);
}

/* the queue's length, where the kernel counts nothing else */

#define MOVES	10000	/* half of a rescue lasts some 10 us */
#define MOVES_S	60

struct mover {
	struct service *s;
	atomic_bool stop;
	atomic_uint moved;
};

/* One client, from one to the other and back. */
static void *move_on(void *arg)
{
	struct mover *mover = arg;
	unsigned int i;
	int n;

	for (i = 0; !atomic_load(&mover->stop); i = !i) {
		n = mover->s->st->ops->rescue(mover->s->st, i);
		if (n < 0)
			break;
		atomic_fetch_add(&mover->moved, (unsigned int)n);
	}
	return NULL;
}

TEST_F_TIMEOUT(bpf, a_look_at_a_queue_never_meets_half_a_rescue, MOVES_S + 30)
{
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .name = self->s.name, .policy = WEIR_POLICY_HASH, .workers = 2,
		.stale_ns = FOREVER_NS, .flags = WEIR_BPF_NO_FLOWS,
	};
	struct mover mover = { .s = &self->s };
	unsigned int wrong = 0, looks = 0;
	uint64_t since, end;
	pthread_t thread;
	int client;

	snprintf(self->s.name, sizeof(self->s.name), "test-%d", runner);
	ASSERT_EQ(0, weir_bpf_open(&self->s.bpf, &opts));
	ASSERT_EQ(0, service_join(&self->s, AF_INET, 2));
	client = connect_to(&self->s);
	ASSERT_LE(0, client);
	ASSERT_EQ(0, pthread_create(&thread, NULL, move_on, &mover));
	end = now_ns() + MOVES_S * 1000000000ULL;
	while (atomic_load(&mover.moved) < MOVES && now_ns() < end)
		wrong += self->s.st->ops->waiting(self->s.st, looks++ % 2, &since) < 0;
	atomic_store(&mover.stop, true);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, wrong);
	EXPECT_LE(MOVES, atomic_load(&mover.moved));
	EXPECT_EQ(1, self->s.st->ops->waiting(self->s.st, 0, &since) +
		     self->s.st->ops->waiting(self->s.st, 1, &since));
	close(client);
}

/* What a dead worker had taken is forgotten: its successor begins with nothing waiting. */
TEST_F(bpf, what_the_dead_had_taken_is_forgotten)
{
	int clients[QUEUED], server;
	uint64_t since;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	ASSERT_EQ(0, queue_up(&self->s, clients, QUEUED));
	/* Taken by the kernel for it, and not yet counted by it. */
	server = accept(self->s.fd[0], NULL, NULL);
	ASSERT_LE(0, server);
	row(&self->s, 0)->state = WEIR_DEAD;
	ASSERT_EQ(QUEUED - 1, self->s.st->ops->rescue(self->s.st, 0));
	EXPECT_EQ(0, self->s.st->ops->waiting(self->s.st, 0, &since));
	EXPECT_EQ(0, served_by(&self->s, 1, clients + 1, QUEUED - 1));
}

TEST_HARNESS_MAIN
