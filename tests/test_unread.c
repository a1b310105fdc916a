// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_unread.c - the worker sees the receive queue of who is not read
 */
#include "serve_world.h"

#include "kselftest_harness.h"

#define HIGH	20000
#define LOW	5000
#define HOLD	256

/* Leases that the user keeps, so that the pool runs out of buffers. */
static struct weir_lease *kept[HOLD];
static unsigned int kept_count;

static void keep(struct weir_conn *conn, struct weir_lease *lease)
{
	struct world *world = world_of(conn);

	if (!lease) {
		weir_conn_close(conn);
		return;
	}
	world_enter(world);
	world->produced += weir_lease_len(lease);
	if (!world->obeys && kept_count < HOLD) {
		weir_lease_get(lease);
		kept[kept_count++] = lease;
	}
	world_leave(world);
}

static int open_paused(struct weir_conn *conn)
{
	weir_conn_pause(conn);
	return on_open(conn);
}

/* Read again, and give back what was kept. */
static void read_again(struct weir_conn *conn, const struct weir_event *event)
{
	on_pressure(conn, event);
	if (event->kind != WEIR_EV_RECVQ || event->edge != WEIR_EDGE_ON)
		return;
	world_of(conn)->obeys = true;
	while (kept_count)
		weir_lease_put(kept[--kept_count]);
	weir_conn_resume(conn);
}

/* A client whose receive has ended: what it sends from now on stays unread. */
static int client_paused(struct world *world)
{
	unsigned int opens = LOCKED(world, world->opens);
	int fd = client_open(world, 0);
	uint64_t turns, end = real_ns() + LIMIT_NS;

	while (LOCKED(world, world->opens) == opens && real_ns() < end)
		world_wait(world);
	turns = service_stats(world, 0).loop.turns;
	while (service_stats(world, 0).loop.turns < turns + 3 && real_ns() < end)
		world_wait(world);
	return fd;
}

FIXTURE(unread)
{
	struct world world;
};

KERNEL_VARIANTS(unread);

FIXTURE_SETUP(unread)
{
	struct weir_cfg *cfg;

	world_init(&self->world, variant->name, 1);
	ASSERT_EQ(0, weir_steering_reuseport(&self->world.opts.steering, 1));
	cfg = self->world.opts.steering->ops->cfg(self->world.opts.steering);
	cfg->recvq_high_bytes = HIGH;
	cfg->recvq_low_bytes = LOW;
	self->world.ops.open = open_paused;
	self->world.ops.data = keep;
	self->world.ops.pressure = on_pressure;
}

FIXTURE_TEARDOWN(unread)
{
	weir_service_close(self->world.service);
	EXPECT_EQ(0, atomic_load(&self->world.blocks));
}

static unsigned int edges(struct world *world, enum weir_edge edge)
{
	return told(world, WEIR_EV_RECVQ, edge);
}

TEST_F(unread, bytes_of_a_paused_connection_are_counted)
{
	static char text[HIGH + 1];
	struct world *world = &self->world;
	int fd;

	OPEN_WORLD(world);
	fd = client_paused(world);
	ASSERT_LE(0, fd);
	ASSERT_EQ(HIGH, send(fd, text, HIGH, 0));	/* not over the mark yet */
	ASSERT_EQ(1, send(fd, text, 1, 0));
	AWAIT(world, edges(world, WEIR_EDGE_ON) == 1);
	EXPECT_EQ(HIGH + 1, world->events[0].value);
	EXPECT_EQ(HIGH, world->events[0].limit);
	EXPECT_EQ(0, world->events[0].seq);
	EXPECT_EQ(0, edges(world, WEIR_EDGE_OFF));
	close(fd);
	EXPECT_LE(0, world_end(world, 0));
}

TEST_F(unread, edge_ends_when_it_is_read_again)
{
	static char text[4 * HIGH];
	struct world *world = &self->world;
	int fd;

	world->ops.pressure = read_again;
	OPEN_WORLD(world);
	fd = client_paused(world);
	ASSERT_LE(0, fd);
	ASSERT_EQ((int)sizeof(text), send(fd, text, sizeof(text), 0));
	AWAIT(world, edges(world, WEIR_EDGE_OFF) == 1);
	AWAIT(world, LOCKED(world, world->produced) == sizeof(text));
	EXPECT_EQ(1, edges(world, WEIR_EDGE_ON));
	/* Told when the turn ends. */
	AWAIT(world, service_stats(world, 0).loop.bytes_in == sizeof(text));
	EXPECT_EQ(LOW, world->events[1].limit);
	EXPECT_GT(LOW, world->events[1].value);
	close(fd);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* Below the high mark nothing is told, and an idle one holds nobody up. */
TEST_F(unread, only_who_is_over_the_mark_is_told)
{
	static char text[HIGH];
	struct world *world = &self->world;
	int idle[3], low, fd, i;

	OPEN_WORLD(world);
	for (i = 0; i < 3; i++) {
		idle[i] = client_paused(world);
		ASSERT_LE(0, idle[i]);
	}
	low = client_paused(world);
	ASSERT_EQ(HIGH - 1, send(low, text, HIGH - 1, 0));
	fd = client_paused(world);
	ASSERT_EQ(HIGH, send(fd, text, HIGH, 0));
	ASSERT_EQ(1, send(fd, text, 1, 0));	/* alone: a part of more might be seen */
	AWAIT(world, edges(world, WEIR_EDGE_ON) == 1);
	EXPECT_EQ(HIGH + 1, world->events[0].value);
	close(fd);
	close(low);
	for (i = 0; i < 3; i++)
		close(idle[i]);
	/* Paused ones do not see that their peer has gone: aborted. */
	EXPECT_LE(0, world_end(world, 0));
	EXPECT_EQ(1, edges(world, WEIR_EDGE_ON));
}

/* The pool is empty, since the user keeps its buffers: receives wait. */
TEST_F(unread, receive_without_a_buffer_is_seen)
{
	static char text[64 * 4096];
	struct timeval soon = { .tv_usec = 100000 };
	struct world *world = &self->world;
	uint64_t end = real_ns() + LIMIT_NS;
	ssize_t n, sent = 0;
	int fd;

	world->ops.open = on_open;
	world->ops.pressure = read_again;
	world->opts.bufs = 16;
	world->opts.buf_bytes = 1024;
	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)));
	while (sent < (ssize_t)sizeof(text) && real_ns() < end) {
		n = send(fd, text, sizeof(text) - (size_t)sent, MSG_NOSIGNAL);
		sent += n > 0 ? n : 0;
	}
	AWAIT(world, edges(world, WEIR_EDGE_ON) >= 1);
	AWAIT(world, LOCKED(world, world->produced) == sizeof(text));
	AWAIT(world, edges(world, WEIR_EDGE_OFF) == edges(world, WEIR_EDGE_ON));
	close(fd);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* What is asked about is not in the way of its close, nor of a stop. */
TEST_F(unread, closing_who_is_asked_about)
{
	struct world *world = &self->world;
	int fd, i;

	for (i = 0; i < 3; i++) {
		world->ops.open = open_paused;
		OPEN_WORLD(world);
		fd = client_open(world, 0);
		ASSERT_LE(0, fd);
		AWAIT(world, LOCKED(world, world->opens) == (unsigned int)i + 1);
		/* Some looks later, an empty queue is being asked about. */
		AWAIT(world, service_stats(world, 0).loop.turns > 20);
		EXPECT_LE(0, world_end(world, i * 10000000ULL));
		EXPECT_EQ(LOCKED(world, world->closes), LOCKED(world, world->opens));
		close(fd);
		ASSERT_EQ(0, weir_steering_reuseport(&world->opts.steering, 1));
	}
	world->opts.steering->ops->close(world->opts.steering);
}

TEST_HARNESS_MAIN
