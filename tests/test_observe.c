// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_observe.c - events of user space, and who gets to see events
 */
#include <grp.h>

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

TEST_HARNESS_MAIN
