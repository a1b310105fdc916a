// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_acceptor.c - a service whose first worker accepts for all
 */
#include "base/base.h"

#include <kselftest_harness.h>

#include "serve_world.h"

enum { WORKERS = 4 };

FIXTURE(acceptor) {
	struct world world;
	unsigned int fds;
};

KERNEL_VARIANTS(acceptor);
REFUSED_VARIANT(acceptor);

FIXTURE_SETUP(acceptor)
{
	bool refused = is_refused(variant->name);

	if (refused && refuse(SYS_io_uring_setup, EPERM))
		SKIP(_exit(KSFT_SKIP), "no seccomp filters here");
	world_init(&self->world, refused ? NULL : variant->name, WORKERS);
	self->world.opts.flags = WEIR_SERVICE_ACCEPTOR;
	self->fds = descriptors();
}

FIXTURE_TEARDOWN(acceptor)
{
	weir_service_close(self->world.service);
	EXPECT_EQ(0, atomic_load(&self->world.blocks));
}

TEST_F(acceptor, each_client_goes_to_the_worker_with_the_fewest)
{
	struct world *world = &self->world;
	int clients[3 * WORKERS], i;

	OPEN_WORLD(world);
	for (i = 0; i < 3 * WORKERS; i++) {
		clients[i] = client_open(world, 0);
		ASSERT_LE(0, clients[i]);
		EXPECT_TRUE(client_ping(clients[i], (char)('a' + i)));
	}
	for (i = 0; i < WORKERS; i++)
		AWAIT(world, service_stats(world, (unsigned int)i).accepted == 3);
	for (i = 0; i < 3 * WORKERS; i++) {
		EXPECT_TRUE(client_ping(clients[i], 'z'));
		close(clients[i]);
	}
	AWAIT(world, service_stats(world, WEIR_WORKER_NONE).conns == 0);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
	EXPECT_EQ(WORKERS, world->stops);
	EXPECT_EQ(self->fds, descriptors());
}

TEST_F(acceptor, more_clients_than_connections_are_all_served)
{
	struct world *world = &self->world;
	int clients[4 * WORKERS], i;

	world->opts.conns_max = 1;
	OPEN_WORLD(world);
	for (i = 0; i < 4 * WORKERS; i++) {
		clients[i] = client_open(world, 0);
		ASSERT_LE(0, clients[i]);
	}
	for (i = 0; i < 4 * WORKERS; i++) {
		EXPECT_TRUE(client_ping(clients[i], (char)('a' + i)));
		close(clients[i]);
	}
	AWAIT(world, LOCKED(world, world->closes) == 4 * WORKERS);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
	EXPECT_EQ(self->fds, descriptors());
}

struct crowd {
	const struct world *world;
	atomic_bool over;
	atomic_uint served;
};

/* Clients that come and go until nobody answers any more. */
static void *come_and_go(void *arg)
{
	struct crowd *crowd = arg;

	while (!atomic_load(&crowd->over)) {
		int fd = client_open(crowd->world, 0);

		if (fd < 0)
			continue;
		if (client_ping(fd, 'x'))
			atomic_fetch_add(&crowd->served, 1);
		close(fd);
	}
	return NULL;
}

TEST_F(acceptor, it_stops_while_clients_are_handed_over)
{
	struct world *world = &self->world;
	struct crowd crowds[3];
	pthread_t threads[3];
	int i;

	OPEN_WORLD(world);
	for (i = 0; i < 3; i++) {
		crowds[i] = (struct crowd){ .world = world };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, come_and_go, &crowds[i]));
	}
	AWAIT(world, LOCKED(world, world->closes) >= 100);
	for (i = 0; i < 3; i++)
		AWAIT(world, atomic_load(&crowds[i].served));
	weir_service_stop(world->service, LIMIT_NS);
	EXPECT_EQ(0, weir_service_wait(world->service));
	for (i = 0; i < 3; i++)
		atomic_store(&crowds[i].over, true);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(world->opens, world->closes);
	EXPECT_EQ(WORKERS, world->stops);
	weir_service_close(world->service);
	world->service = NULL;
	EXPECT_EQ(self->fds, descriptors());
}

/* 'X' ends the worker, anything else is answered with its number. */
static void on_data_number(struct weir_conn *conn, struct weir_lease *lease)
{
	char number = (char)('0' + weir_conn_worker(conn));

	if (lease && *(char *)weir_lease_data(lease) == 'X')
		pthread_exit(NULL);
	if (!lease || weir_conn_send(conn, &number, 1) != 1)
		weir_conn_close(conn);
}

static int worker_of(int fd)
{
	char number = 0;

	if (send(fd, "W", 1, MSG_NOSIGNAL) != 1 || client_recv(fd, &number, 1) != 1)
		return -1;
	return number - '0';
}

TEST_F(acceptor, a_worker_that_dies_is_given_none_any_more)
{
	struct world *world = &self->world;
	int clients[WORKERS], i, n, fd;
	char byte;

	world->ops.data = on_data_number;
	OPEN_WORLD(world);
	for (i = 0; i < WORKERS; i++) {
		clients[i] = client_open(world, 0);
		ASSERT_LE(0, clients[i]);
		ASSERT_EQ(i, worker_of(clients[i]));
	}
	ASSERT_EQ(1, send(clients[2], "X", 1, MSG_NOSIGNAL));
	EXPECT_GE(0, client_recv(clients[2], &byte, 1));
	for (i = 0; i < 16; i++) {
		fd = client_open(world, 0);
		ASSERT_LE(0, fd);
		n = worker_of(fd);
		EXPECT_LE(0, n);
		EXPECT_NE(2, n);
		close(fd);
	}
	for (i = 0; i < WORKERS; i++)
		close(clients[i]);
	EXPECT_EQ(-EOWNERDEAD, world_end(world, LIMIT_NS));
	EXPECT_EQ(WORKERS - 1, world->stops);
	EXPECT_EQ(self->fds, descriptors());
}

TEST_F(acceptor, the_others_end_when_the_acceptor_dies)
{
	struct world *world = &self->world;
	int fd;

	world->ops.data = on_data_number;
	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, worker_of(fd));
	ASSERT_EQ(1, send(fd, "X", 1, MSG_NOSIGNAL));
	AWAIT(world, service_stats(world, 0).state == WEIR_DEAD);
	EXPECT_EQ(-EOWNERDEAD, world_end(world, LIMIT_NS));
	EXPECT_EQ(WORKERS - 1, world->stops);
	close(fd);
	EXPECT_EQ(self->fds, descriptors());
}

TEST_F(acceptor, steering_of_another_and_unknown_flags_are_refused)
{
	struct world *world = &self->world;

	ASSERT_EQ(0, weir_steering_reuseport(&world->opts.steering, WORKERS));
	EXPECT_EQ(-EINVAL, world_open(world));
	world->opts.steering = NULL;
	world->opts.flags = 1U << 31;
	EXPECT_EQ(-EINVAL, world_open(world));
	EXPECT_EQ(self->fds, descriptors());
}

TEST_F(acceptor, a_start_that_is_refused_is_unwound)
{
	struct world *world = &self->world;

	world->refuse_start = -EDOM;
	EXPECT_EQ(-EDOM, world_open(world));
	EXPECT_EQ(WORKERS - 1, world->stops);
	EXPECT_EQ(self->fds, descriptors());
}

TEST_HARNESS_MAIN
