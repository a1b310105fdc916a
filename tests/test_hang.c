// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_hang.c - a service one of whose workers hangs: nobody waits for it
 *
 * The hang lasts until the test ends it, so that what was answered meanwhile was
 * answered by another; how fast that is judges test_rescue_time.c.
 */
#include "hang.h"
#include "tsan.h"

#define CLIENTS		40

FIXTURE_VARIANT_ADD(hang, uring_spin) { .backend = "uring", .hang = HANG_SPIN };
FIXTURE_VARIANT_ADD(hang, uring_sleep) { .backend = "uring", .hang = HANG_SLEEP };
FIXTURE_VARIANT_ADD(hang, uring_fifo) { .backend = "uring", .hang = HANG_FIFO };
FIXTURE_VARIANT_ADD(hang, uring_lock) { .backend = "uring", .hang = HANG_LOCK };
FIXTURE_VARIANT_ADD(hang, epoll_sleep) { .backend = "epoll", .hang = HANG_SLEEP };
FIXTURE_VARIANT_ADD(hang, epoll_fifo) { .backend = "epoll", .hang = HANG_FIFO };

/* By hash, which goes on to give it clients for as long as it hangs. */
TEST_F(hang, every_client_is_served_while_the_worker_hangs)
{
	struct weir_supervisor_stats stats;
	int clients[CLIENTS], blamed, i;
	uint64_t before;
	unsigned int w;

	ASSERT_EQ(0, open_never_slow(self, variant->backend, WEIR_POLICY_HASH));
	EXPECT_EQ(1, weir_service_rescue(self->service, NULL));
	blamed = make_hang(self);
	ASSERT_LE(0, blamed);
	for (i = 0; i < CLIENTS; i++) {
		clients[i] = client_send(self, 'x');
		ASSERT_LE(0, clients[i]);
	}
	for (i = 0; i < CLIENTS; i++)
		EXPECT_EQ(1, answered(clients[i], WAIT_MS));
	EXPECT_EQ(0, answered(blamed, 0));
	/* They may be answered before it is counted. */
	AWAIT(supervised(self).rescues);
	stats = supervised(self);
	EXPECT_LE(1, stats.rescued);
	EXPECT_EQ(0, stats.rescue_failed);
	/* It comes back, and its listener with it. */
	hang_end(self);
	EXPECT_EQ(1, answered(blamed, WAIT_MS));
	w = atomic_load(&scene.worker);
	before = accepted(self, w);
	for (i = 0; i < CLIENTS; i++) {
		close(clients[i]);
		clients[i] = client_send(self, 'y');
		ASSERT_LE(0, clients[i]);
		EXPECT_EQ(1, answered(clients[i], WAIT_MS));
	}
	AWAIT(accepted(self, w) > before);
}

TEST_F(hang, a_worker_that_hangs_gets_no_new_client)
{
	struct weir_bpf_worker worker;
	uint64_t picked;
	int blamed, i;

	ASSERT_EQ(0, open_never_slow(self, variant->backend, WEIR_POLICY_LEAST));
	blamed = make_hang(self);
	ASSERT_LE(0, blamed);
	/* Of two that hang the one that has longer is worse: the other one never is. */
	AWAIT(now_ns() > atomic_load(&scene.since_ns) + WEIR_STALE_NS);
	AWAIT(supervised(self).stale);
	self->s.st = self->st;
	ASSERT_EQ(0, worker_read(&self->s, atomic_load(&scene.worker), &worker));
	picked = worker.listener.picked;
	for (i = 0; i < CLIENTS; i++)
		EXPECT_EQ(1, answered(client_send(self, 'x'), WAIT_MS));
	ASSERT_EQ(0, worker_read(&self->s, atomic_load(&scene.worker), &worker));
	EXPECT_EQ(picked, worker.listener.picked);
	EXPECT_LT(0, worker.listener.skip_stale);
	EXPECT_EQ(0, answered(blamed, 0));
}

/* Moving a queue from one that hangs to one that may not have it helps nobody. */
TEST_F(hang, without_another_that_is_ok_its_queue_stays)
{
	int clients[CLIENTS], blamed, i;
	uint64_t looks;

	if (TSAN)
		SKIP(return, TSAN_WHY);
	ASSERT_EQ(0, open_never_slow(self, variant->backend, WEIR_POLICY_HASH));
	blamed = make_hang(self);
	ASSERT_LE(0, blamed);
	self->st->ops->admin(self->st, !atomic_load(&scene.worker))->state = WEIR_ADMIN_DRAIN;
	/* One look may have begun before. */
	looks = supervised(self).looks;
	AWAIT(supervised(self).looks > looks + 1);
	for (i = 0; i < CLIENTS; i++) {
		clients[i] = client_send(self, 'x');
		ASSERT_LE(0, clients[i]);
	}
	AWAIT(supervised(self).stale);
	/* Long after the time for it, and some looks more. */
	AWAIT(now_ns() > atomic_load(&scene.since_ns) + 4 * WEIR_RESCUE_NS);
	looks = supervised(self).looks;
	AWAIT(supervised(self).looks > looks + 2);
	EXPECT_EQ(0, supervised(self).rescues);
	hang_end(self);
	for (i = 0; i < CLIENTS; i++)
		EXPECT_EQ(1, answered(clients[i], WAIT_MS));
	EXPECT_EQ(1, answered(blamed, WAIT_MS));
}

/* The last edge of a worker: whether it is that one, of one that hung for long enough. */
static bool stale_told(struct _test_data_hang *self, unsigned int worker, enum weir_edge edge)
{
	struct weir_event events[WEIR_RECENT_MAX];
	struct weir_bpf_view *view;
	int n;

	if (weir_bpf_view_open(&view, self->s.name))
		return false;
	n = weir_bpf_view_events(view, events, WEIR_RECENT_MAX);
	weir_bpf_view_close(view);
	while (n-- > 0) {
		if (events[n].kind == WEIR_EV_WORKER_STALE && events[n].worker == worker)
			return events[n].edge == edge &&
			       (edge == WEIR_EDGE_OFF || events[n].value > WEIR_STALE_NS);
	}
	return false;
}

/* A hang and its end are told to whoever reads the last events. */
TEST_F(hang, its_edges_are_events)
{
	unsigned int worker;

	ASSERT_EQ(0, open_service(self, variant->backend, 2, WEIR_POLICY_LEAST, 0));
	ASSERT_LE(0, make_hang(self));
	worker = atomic_load(&scene.worker);
	AWAIT(stale_told(self, worker, WEIR_EDGE_ON));
	hang_end(self);
	AWAIT(stale_told(self, worker, WEIR_EDGE_OFF));
}

/* the supervisor dies */

static const struct weir_steering_ops *real_ops;

static int deadly_waiting(struct weir_steering *st, unsigned int worker, uint64_t *since_ns)
{
	if (atomic_load(&scene.supervisor_dies))
		pthread_exit(NULL);
	return real_ops->waiting(st, worker, since_ns);
}

TEST_F(hang, the_death_of_the_supervisor_is_harmless)
{
	static struct weir_steering_ops deadly;
	uint64_t looks;
	int i;

	if (TSAN)
		SKIP(return, TSAN_WHY);
	ASSERT_EQ(0, open_never_slow(self, variant->backend, WEIR_POLICY_LEAST));
	real_ops = self->st->ops;
	deadly = *real_ops;
	deadly.waiting = deadly_waiting;
	self->st->ops = &deadly;
	atomic_store(&scene.supervisor_dies, true);
	looks = supervised(self).looks;
	/* Three periods of an idle one: it would have looked. */
	do {
		looks = supervised(self).looks;
		usleep(3 * WEIR_RESCUE_NS / 1000);
	} while (looks != supervised(self).looks);
	ASSERT_LE(0, make_hang(self));
	AWAIT(now_ns() > atomic_load(&scene.since_ns) + WEIR_STALE_NS);
	for (i = 0; i < CLIENTS; i++)
		EXPECT_EQ(1, answered(client_send(self, 'x'), WAIT_MS));
	hang_end(self);
	weir_service_stop(self->service, 1000000000);
	EXPECT_LE(0, weir_service_wait(self->service));
}

/* too slow, and too many */

/* Does not wait for the answers: there is always something to be handled. */
static void *hammer(void *arg)
{
	const struct service *s = arg;
	char text[64] = "x";
	int fd = connect_to(s);

	while (atomic_load(&scene.slow) && fd >= 0 && send(fd, text, 1, 0) == 1) {
		usleep(1000);
		recv(fd, text + 1, sizeof(text) - 1, MSG_DONTWAIT);
	}
	close(fd);
	return NULL;
}

/* An event of that kind and edge, when there is one. */
static bool event_find(struct _test_data_hang *self, enum weir_event_kind kind,
		       enum weir_edge edge, struct weir_event *event)
{
	struct weir_event events[WEIR_RECENT_MAX];
	struct weir_bpf_view *view;
	int n, i;

	if (weir_bpf_view_open(&view, self->s.name))
		return false;
	n = weir_bpf_view_events(view, events, WEIR_RECENT_MAX);
	weir_bpf_view_close(view);
	for (i = 0; i < n; i++) {
		*event = events[i];
		if (event->kind == kind && event->edge == edge)
			return true;
	}
	return false;
}

/* By the first worker, who has all clients. */
static void slow_tried(struct __test_metadata *_metadata, struct _test_data_hang *self)
{
	const struct weir_worker_row *row = self->st->ops->row(self->st, 0);
	uint64_t least_ns = UINT64_MAX, end;
	struct weir_event event;
	pthread_t thread;
	int fd, refused = 0;

	ASSERT_TRUE(all_parked(self, now_ns() + WAIT_MS * 1000000ULL));

	atomic_store(&scene.slow, true);
	ASSERT_EQ(0, pthread_create(&thread, NULL, hammer, &self->s));
	AWAIT(__atomic_load_n(&row->speed, __ATOMIC_RELAXED) == WEIR_SLOW &&
	      __atomic_load_n(&row->qdelay_us, __ATOMIC_RELAXED) > WEIR_SLOW_ON_US);
	AWAIT(event_find(self, WEIR_EV_WORKER_SLOW, WEIR_EDGE_ON, &event));
	EXPECT_EQ(WEIR_SLOW_ON_US, event.limit);
	AWAIT(weir_bpf_cfg(self->bpf)->shed_permille >= 100);
	EXPECT_LE(1, supervised(self).slow);
	EXPECT_LE(1, supervised(self).shed_windows);
	end = now_ns() + WAIT_MS * 1000000ULL;
	while (!refused && now_ns() < end) {
		uint64_t begun = now_ns();

		fd = connect_to(&self->s);
		if (fd < 0) {
			EXPECT_EQ(ECONNREFUSED, errno);
			least_ns = min_u64(least_ns, now_ns() - begun);
			refused++;
		}
		close(fd);
	}
	EXPECT_LE(1, refused);
	TH_LOG("refused within %llu us", (unsigned long long)least_ns / 1000);
	atomic_store(&scene.slow, false);
	pthread_join(thread, NULL);
	AWAIT(!weir_bpf_cfg(self->bpf)->shed_permille);
	fd = client_send(self, 'x');
	EXPECT_EQ(1, answered(fd, WAIT_MS));
	AWAIT(event_find(self, WEIR_EV_WORKER_SLOW, WEIR_EDGE_OFF, &event));
	EXPECT_EQ(WEIR_SLOW_OFF_US, event.limit);
}

TEST_F(hang, when_all_are_slow_clients_are_refused_until_they_are_not)
{
	if (variant->hang != HANG_SLEEP)
		SKIP(return, "once for each backend");
	if (TSAN)
		SKIP(return, TSAN_WHY);
	ASSERT_EQ(0, open_service(self, variant->backend, 1, WEIR_POLICY_LEAST, 0));
	slow_tried(_metadata, self);
}

/* It is not slow, since it gets nothing, and no client of the others' would go there. */
TEST_F(hang, when_all_are_slow_but_one_that_is_drained_clients_are_refused_too)
{
	if (variant->hang != HANG_SLEEP)
		SKIP(return, "once for each backend");
	if (TSAN)
		SKIP(return, TSAN_WHY);
	ASSERT_EQ(0, open_service(self, variant->backend, 2, WEIR_POLICY_LEAST, 0));
	self->st->ops->admin(self->st, 1)->state = WEIR_ADMIN_DRAIN;
	slow_tried(_metadata, self);
}

/* where it is off */

TEST_F(hang, a_ring_that_accepts_by_itself_has_no_rescue)
{
	const char *reason = NULL;

	if (strcmp(variant->backend, "uring"))
		SKIP(return, "epoll accepts when it is asked to");
	if (variant->hang != HANG_SLEEP)
		SKIP(return, "once for each backend");
	ASSERT_EQ(0, open_service(self, "uring", 2, WEIR_POLICY_LEAST, WEIR_LOOP_SQPOLL));
	EXPECT_EQ(0, weir_service_rescue(self->service, &reason));
	ASSERT_NE(NULL, reason);
	EXPECT_NE(NULL, strstr(reason, "DEFER_TASKRUN"));
}

TEST_HARNESS_MAIN
