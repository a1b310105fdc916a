// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_observe.c - events of user space, and who gets to see events
 */
#include <grp.h>
#include <pthread.h>
#include <stdatomic.h>

#include <weir/supervisor.h>

#include "bpf_service.h"

static struct weir_event slow(unsigned int worker, enum weir_edge edge)
{
	return (struct weir_event) {
		.ns = now_ns(),
		.value = 7000,
		.limit = 5000,
		.kind = WEIR_EV_WORKER_SLOW,
		.edge = edge,
		.worker = worker,
	};
}

static int recent_read(const struct service *s, struct weir_event *out, unsigned int max)
{
	struct weir_bpf_view *view;
	int count;

	count = weir_bpf_view_open(&view, s->name);
	if (count)
		return count;
	count = weir_bpf_view_events(view, out, max);
	weir_bpf_view_close(view);
	return count;
}

static int stats_read(const struct service *s, struct weir_stats *stats)
{
	struct weir_bpf_view *view;
	int err;

	err = weir_bpf_view_open(&view, s->name);
	if (err)
		return err;
	err = weir_bpf_view_stats(view, stats);
	weir_bpf_view_close(view);
	return err;
}

TEST_F(bpf, raised_event_reaches_the_worker_it_names)
{
	struct pollfd pfd = { .events = POLLIN };
	struct weir_event event, got[2], recent[2];

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, 0, AF_INET));
	pfd.fd = self->s.st->ops->signal_fd(self->s.st, 1);
	ASSERT_EQ(0, poll(&pfd, 1, 0));
	event = slow(1, WEIR_EDGE_ON);
	ASSERT_EQ(0, self->s.st->ops->raise(self->s.st, &event));
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(0, self->s.st->ops->signal_take(self->s.st, 0, got, 2));
	ASSERT_EQ(1, self->s.st->ops->signal_take(self->s.st, 1, got, 2));
	event.seq = 1;
	EXPECT_EQ(0, memcmp(&event, &got[0], sizeof(event)));
	ASSERT_EQ(1, recent_read(&self->s, recent, 2));
	EXPECT_EQ(0, memcmp(&event, &recent[0], sizeof(event)));
}

/*
 * Another processor is a whole table behind: it has emptied the slot and is writing.
 * What it writes must not be mixed with what comes next.
 */
TEST_F(bpf, a_slot_that_is_being_written_is_left_alone)
{
	struct weir_event busy = { .ns = 4711, .value = 1 }, event, got, recent[WEIR_RECENT_MAX];
	uint32_t slot = 1001 % WEIR_RECENT_MAX, next = slot + 1, zero = 0;
	uint64_t seq = 1000;
	int fd;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	fd = map_open(&self->s, "weir_seq");
	ASSERT_EQ(0, bpf_map_update_elem(fd, &zero, &seq, BPF_ANY));
	close(fd);
	fd = map_open(&self->s, "weir_recent");
	ASSERT_EQ(0, bpf_map_update_elem(fd, &slot, &busy, BPF_ANY));
	event = slow(0, WEIR_EDGE_ON);
	ASSERT_EQ(0, self->s.st->ops->raise(self->s.st, &event));
	event.seq = 1001;
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &slot, &got));
	EXPECT_EQ(0, memcmp(&busy, &got, sizeof(got)));
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &next, &got));
	EXPECT_EQ(0, memcmp(&event, &got, sizeof(got)));
	ASSERT_EQ(1, self->s.st->ops->signal_take(self->s.st, 0, &got, 1));
	EXPECT_EQ(0, memcmp(&event, &got, sizeof(got)));
	ASSERT_EQ(1, recent_read(&self->s, recent, WEIR_RECENT_MAX));
	EXPECT_EQ(0, memcmp(&event, &recent[0], sizeof(event)));
	close(fd);
}

/* As no processor would leave it: events find a place all the same. */
TEST_F(bpf, a_table_edited_by_hand_takes_events_again)
{
	struct weir_event busy = { .ns = 4711 }, event = slow(0, WEIR_EDGE_ON);
	struct weir_event recent[WEIR_RECENT_MAX];
	uint32_t slot;
	int fd;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	fd = map_open(&self->s, "weir_recent");
	for (slot = 0; slot < WEIR_RECENT_MAX; slot++)
		ASSERT_EQ(0, bpf_map_update_elem(fd, &slot, &busy, BPF_ANY));
	close(fd);
	ASSERT_EQ(0, self->s.st->ops->raise(self->s.st, &event));
	event.seq = 1;
	ASSERT_EQ(1, recent_read(&self->s, recent, WEIR_RECENT_MAX));
	EXPECT_EQ(0, memcmp(&event, &recent[0], sizeof(event)));
}

/* The next event of a worker, when there is one within the time. */
static int event_await(const struct service *s, unsigned int worker, struct weir_event *event)
{
	struct pollfd pfd = { .fd = s->st->ops->signal_fd(s->st, worker), .events = POLLIN };

	poll(&pfd, 1, WAIT_MS);
	return s->st->ops->signal_take(s->st, worker, event, 1);
}

static void speed_put(const struct service *s, enum weir_worker_speed speed, uint32_t least_us)
{
	__atomic_store_n(&row(s, 0)->qdelay_us, least_us, __ATOMIC_RELAXED);
	__atomic_store_n(&row(s, 0)->speed, speed, __ATOMIC_RELEASE);
}

static void slow_told(struct __test_metadata *_metadata, const struct service *s,
		      enum weir_edge edge, uint64_t value, uint64_t limit)
{
	struct weir_event event;

	ASSERT_EQ(1, event_await(s, 0, &event));
	EXPECT_EQ(WEIR_EV_WORKER_SLOW, event.kind);
	EXPECT_EQ(edge, event.edge);
	EXPECT_EQ(value, event.value);
	EXPECT_EQ(limit, event.limit);
}

/* Each edge says what was measured, and which of the two marks it crossed. */
TEST_F(bpf, a_supervisor_tells_who_is_slow_and_for_how_long_one_waits)
{
	struct weir_supervisor *sup;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, FOREVER_NS, AF_INET));
	row(&self->s, 0)->loop_ns = now_ns();
	row(&self->s, 0)->state = WEIR_RUN;
	/* For more than a window none hangs here. */
	weir_bpf_cfg(self->s.bpf)->window_us = UINT32_MAX;
	ASSERT_EQ(0, weir_supervisor_open(&sup, self->s.st, NULL));
	speed_put(&self->s, WEIR_SLOW, 31000);
	slow_told(_metadata, &self->s, WEIR_EDGE_ON, 31000, WEIR_SLOW_ON_US);
	speed_put(&self->s, WEIR_OK, 100);
	slow_told(_metadata, &self->s, WEIR_EDGE_OFF, 100, WEIR_SLOW_OFF_US);
	weir_supervisor_close(sup);
}

/* writers and a reader at the same time */

#define RAISED		60000

struct raiser {
	const struct service *s;
	atomic_bool looked;	/* the reader, meanwhile */
	atomic_bool done;
	int err;
};

/* All members tell the same number, so that parts of two do not go together. */
static void *raise_numbers(void *arg)
{
	struct raiser *raiser = arg;
	struct weir_event event = { .kind = WEIR_EV_RECVQ, .edge = WEIR_EDGE_ON };
	uint64_t i;

	for (i = 1; (i <= RAISED || !atomic_load(&raiser->looked)) && !raiser->err; i++) {
		event.ns = i;
		event.cookie = i;
		event.value = i;
		event.limit = i;
		raiser->err = raiser->s->st->ops->raise(raiser->s->st, &event);
	}
	atomic_store(&raiser->done, true);
	return NULL;
}

TEST_F(bpf, events_are_whole_for_who_reads_while_they_are_raised)
{
	struct weir_event events[WEIR_RECENT_MAX];
	struct raiser raiser = { .s = &self->s };
	unsigned int seen = 0, torn = 0;
	struct weir_bpf_view *view;
	pthread_t thread;
	int n;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_view_open(&view, self->s.name));
	ASSERT_EQ(0, pthread_create(&thread, NULL, raise_numbers, &raiser));
	while (!atomic_load(&raiser.done)) {
		n = weir_bpf_view_events(view, events, WEIR_RECENT_MAX);
		ASSERT_LE(0, n);
		seen += (unsigned int)n;
		atomic_store(&raiser.looked, seen > 0);
		while (n-- > 0)
			torn += events[n].ns != events[n].cookie ||
				events[n].ns != events[n].value || events[n].ns != events[n].limit;
	}
	pthread_join(thread, NULL);
	weir_bpf_view_close(view);
	EXPECT_EQ(0, raiser.err);
	EXPECT_LT(0, seen);
	EXPECT_EQ(0, torn);
}

TEST_F(bpf, raised_event_about_a_connection_is_not_told_to_its_worker)
{
	struct weir_event event, got, recent[2];

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	event = slow(0, WEIR_EDGE_ON);
	event.kind = WEIR_EV_RECVQ;
	event.cookie = 4711;
	ASSERT_EQ(0, self->s.st->ops->raise(self->s.st, &event));
	EXPECT_EQ(0, self->s.st->ops->signal_take(self->s.st, 0, &got, 1));
	ASSERT_EQ(1, recent_read(&self->s, recent, 2));
	EXPECT_EQ(4711, recent[0].cookie);
}

TEST_F(bpf, raised_event_of_no_worker_is_refused)
{
	struct weir_event event = slow(2, WEIR_EDGE_ON), recent;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, 0, AF_INET));
	EXPECT_EQ(-EINVAL, self->s.st->ops->raise(self->s.st, &event));
	event.worker = WEIR_WORKER_NONE;
	EXPECT_EQ(-EINVAL, self->s.st->ops->raise(self->s.st, &event));
	EXPECT_EQ(0, recent_read(&self->s, &recent, 1));
}

/* As a service is, once it is open. */
TEST_F(bpf, raising_takes_no_privilege)
{
	struct weir_event event = slow(0, WEIR_EDGE_ON), got;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, setresuid(-1, 65534, 0));
	ASSERT_EQ(0, caps_keep(0));
	EXPECT_EQ(-1, bpf_map_create(BPF_MAP_TYPE_RINGBUF, NULL, 0, 0, 4096, NULL) < 0 ? -1 : 0);
	EXPECT_EQ(0, self->s.st->ops->raise(self->s.st, &event));
	EXPECT_EQ(1, self->s.st->ops->signal_take(self->s.st, 0, &got, 1));
	EXPECT_EQ(0, setresuid(-1, 0, 0));
}

TEST_F(bpf, full_ring_of_a_worker_is_counted)
{
	struct weir_event event = slow(0, WEIR_EDGE_ON), got[64];
	struct weir_stats stats;
	int i, n, taken = 0;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	for (i = 0; i < 2000; i++)
		ASSERT_EQ(0, self->s.st->ops->raise(self->s.st, &event));
	ASSERT_EQ(0, stats_read(&self->s, &stats));
	EXPECT_EQ(2000, stats.events);
	EXPECT_LT(0, stats.event_dropped);
	while ((n = self->s.st->ops->signal_take(self->s.st, 0, got, 64)) > 0)
		taken += n;
	EXPECT_EQ(2000, taken + stats.event_dropped);
	/* Emptied, it takes again. */
	ASSERT_EQ(0, self->s.st->ops->raise(self->s.st, &event));
	ASSERT_EQ(1, self->s.st->ops->signal_take(self->s.st, 0, got, 64));
	EXPECT_EQ(2001, got[0].seq);
}

/* observers */

static int raise_many(const struct service *s, unsigned int count)
{
	struct weir_event event = slow(0, WEIR_EDGE_ON);
	int err = 0;

	event.cookie = 1;
	while (!err && count--)
		err = s->st->ops->raise(s->st, &event);
	return err;
}

static uint32_t observers(const struct service *s)
{
	return weir_bpf_cfg(s->bpf)->observers;
}

/* Take all; the seq of the last, or 0. */
static uint32_t take_all(struct weir_bpf_observer *observer, unsigned int *count)
{
	struct weir_event events[16];
	unsigned int n;
	uint32_t seq = 0;

	*count = 0;
	do {
		n = weir_bpf_observe_take(observer, events, 16);
		*count += n;
		if (n)
			seq = events[n - 1].seq;
	} while (n == 16);
	return seq;
}

TEST_F(bpf, observers_see_all_each_at_its_pace)
{
	struct weir_bpf_observer *one, *two;
	struct pollfd pfd = { .events = POLLIN };
	unsigned int count;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, raise_many(&self->s, 3));
	EXPECT_EQ(0, observers(&self->s));
	ASSERT_EQ(0, weir_bpf_observe_open(&one, self->s.name));
	ASSERT_EQ(0, weir_bpf_observe_open(&two, self->s.name));
	EXPECT_EQ(1, observers(&self->s));
	pfd.fd = weir_bpf_observe_fd(one);
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	ASSERT_EQ(0, raise_many(&self->s, 100));
	EXPECT_EQ(1, poll(&pfd, 1, 0));
	EXPECT_EQ(103, take_all(one, &count));
	EXPECT_EQ(100, count);
	EXPECT_EQ(0, poll(&pfd, 1, 0));
	ASSERT_EQ(0, raise_many(&self->s, 7));
	EXPECT_EQ(110, take_all(one, &count));
	EXPECT_EQ(7, count);
	EXPECT_EQ(110, take_all(two, &count));
	EXPECT_EQ(107, count);
	EXPECT_EQ(0, weir_bpf_observe_lost(one));
	EXPECT_EQ(0, weir_bpf_observe_lost(two));
	weir_bpf_observe_close(one);
	EXPECT_EQ(1, observers(&self->s));
	ASSERT_EQ(0, raise_many(&self->s, 1));
	EXPECT_EQ(111, take_all(two, &count));
	weir_bpf_observe_close(two);
	EXPECT_EQ(0, observers(&self->s));
}

/* The ring has room for 1170 of them. */
TEST_F(bpf, slow_observer_loses_and_counts_and_holds_up_nobody)
{
	struct weir_bpf_observer *quick, *slow;
	unsigned int i, count, taken = 0;
	struct weir_stats stats;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_observe_open(&quick, self->s.name));
	ASSERT_EQ(0, weir_bpf_observe_open(&slow, self->s.name));
	for (i = 0; i < 50; i++) {
		ASSERT_EQ(0, raise_many(&self->s, 100));
		EXPECT_EQ(100 * (i + 1), take_all(quick, &count));
		taken += count;
	}
	EXPECT_EQ(5000, taken);
	EXPECT_EQ(0, weir_bpf_observe_lost(quick));
	ASSERT_EQ(0, stats_read(&self->s, &stats));
	EXPECT_EQ(0, stats.observe_dropped);
	ASSERT_EQ(0, raise_many(&self->s, 10));
	EXPECT_EQ(5010, take_all(slow, &count));
	EXPECT_LE(10, count);
	EXPECT_GT(1200, count);
	EXPECT_EQ(5010 - count, weir_bpf_observe_lost(slow));
	weir_bpf_observe_close(quick);
	weir_bpf_observe_close(slow);
}

TEST_F(bpf, full_observers_ring_is_counted)
{
	struct weir_bpf_observer *observer;
	struct weir_stats stats;
	unsigned int count;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_observe_open(&observer, self->s.name));
	ASSERT_EQ(0, raise_many(&self->s, 3000));
	ASSERT_EQ(0, stats_read(&self->s, &stats));
	EXPECT_LT(0, stats.observe_dropped);
	take_all(observer, &count);
	EXPECT_EQ(3000, count + stats.observe_dropped);
	ASSERT_EQ(0, raise_many(&self->s, 1));
	EXPECT_EQ(3001, take_all(observer, &count));
	EXPECT_EQ(stats.observe_dropped, weir_bpf_observe_lost(observer));
	weir_bpf_observe_close(observer);
}

TEST_F(bpf, dead_observer_is_noticed)
{
	struct weir_bpf_observer *observer;
	int ready[2], status;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (weir_bpf_observe_open(&observer, self->s.name) ||
		    write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	self->s.st->ops->tick(self->s.st, now_ns());
	EXPECT_EQ(1, observers(&self->s));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(1, observers(&self->s));
	self->s.st->ops->tick(self->s.st, now_ns());
	EXPECT_EQ(0, observers(&self->s));
}

/* A dead one left the ring full: the next begins with what comes. */
TEST_F(bpf, next_observer_begins_anew)
{
	struct weir_bpf_observer *observer;
	unsigned int count;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	weir_bpf_cfg(self->s.bpf)->observers = 1;
	ASSERT_EQ(0, raise_many(&self->s, 3000));
	ASSERT_EQ(0, weir_bpf_observe_open(&observer, self->s.name));
	ASSERT_EQ(0, raise_many(&self->s, 5));
	EXPECT_EQ(3005, take_all(observer, &count));
	EXPECT_EQ(5, count);
	EXPECT_EQ(0, weir_bpf_observe_lost(observer));
	weir_bpf_observe_close(observer);
}

TEST_F(bpf, observing_is_refused)
{
	struct weir_bpf_observer *observer;

	EXPECT_EQ(-EINVAL, weir_bpf_observe_open(&observer, "a/b"));
	EXPECT_EQ(-EINVAL, weir_bpf_observe_open(&observer, NULL));
	EXPECT_EQ(-ENOENT, weir_bpf_observe_open(&observer, "test-no-such"));
	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, setresuid(-1, 65534, 0));
	EXPECT_EQ(-EACCES, weir_bpf_observe_open(&observer, self->s.name));
	EXPECT_EQ(0, setresuid(-1, 0, 0));
	EXPECT_EQ(0, observers(&self->s));
}

TEST_HARNESS_MAIN
