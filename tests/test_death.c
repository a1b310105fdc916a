// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_death.c - a worker of a service dies: what becomes of the others
 */
#include "base/base.h"

#include <kselftest_harness.h>

#include "serve_world.h"

FIXTURE(death) {
	struct world world;
	unsigned int fds;
};

KERNEL_VARIANTS(death);

FIXTURE_SETUP(death)
{
	world_init(&self->world, variant->name, 1);
	self->fds = descriptors();
}

FIXTURE_TEARDOWN(death)
{
	weir_service_close(self->world.service);
	EXPECT_EQ(0, atomic_load(&self->world.blocks));
}

/* 'X' ends the worker, 'W' asks for its number. */
static void on_data_die(struct weir_conn *conn, struct weir_lease *lease)
{
	char number = (char)('0' + weir_conn_worker(conn));

	if (lease && *(char *)weir_lease_data(lease) == 'X')
		pthread_exit(NULL);
	if (!lease || *(char *)weir_lease_data(lease) != 'W')
		on_echo(conn, lease);
	else if (weir_conn_send(conn, &number, 1) != 1)
		weir_conn_close(conn);
}

/* The worker of a client, or -1. */
static int client_worker(int fd)
{
	char number = 0;

	if (send(fd, "W", 1, MSG_NOSIGNAL) != 1 || client_recv(fd, &number, 1) != 1)
		return -1;
	return number - '0';
}

/* A client of another worker than @not; the kernel chooses, so it may take some. */
static int client_elsewhere(const struct world *world, int not, int *workerp)
{
	int tries, fd;

	for (tries = 0; tries < 200; tries++) {
		fd = client_open(world, 0);
		if (fd < 0)
			return fd;
		*workerp = client_worker(fd);
		if (*workerp >= 0 && *workerp != not)
			return fd;
		close(fd);
	}
	return -ETIMEDOUT;
}

TEST_F(death, a_worker_that_dies_leaves_the_others_serving)
{
	struct world *world = &self->world;
	int fd, bystander, alive, victim;
	unsigned int i, dead = 0;
	char byte = 'X';
	ssize_t n;

	world->opts.workers = 4;
	world->ops.data = on_data_die;
	OPEN_WORLD(world);
	bystander = client_elsewhere(world, -1, &alive);
	ASSERT_LE(0, bystander);
	fd = client_elsewhere(world, alive, &victim);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, send(fd, &byte, 1, 0));
	/* Its connections end with it; by then nobody new is sent there. */
	n = client_recv(fd, &byte, 1);
	EXPECT_TRUE(n == 0 || (n < 0 && errno == ECONNRESET)) {
		TH_LOG("recv %zd, errno %d", n, errno);
	}
	close(fd);
	for (i = 0; i < 4; i++)
		dead += service_stats(world, i).state == WEIR_DEAD;
	EXPECT_EQ(1, dead);
	EXPECT_EQ(WEIR_DEAD, service_stats(world, (unsigned int)victim).state);
	EXPECT_NE(WEIR_DEAD, service_stats(world, WEIR_WORKER_NONE).state);
	EXPECT_TRUE(client_ping(bystander, 'a'));
	EXPECT_EQ(alive, client_worker(bystander));
	for (i = 0; i < 64; i++) {
		fd = client_open(world, 0);
		ASSERT_LE(0, fd);
		EXPECT_TRUE(client_ping(fd, (char)('0' + i % 10)));
		EXPECT_NE(victim, client_worker(fd));
		close(fd);
	}
	EXPECT_TRUE(client_ping(bystander, 'b'));
	close(bystander);
	EXPECT_EQ(-EOWNERDEAD, world_end(world, LIMIT_NS));
	EXPECT_EQ(3, world->stops);
	EXPECT_EQ(self->fds, descriptors());
}

static void on_data_keep(struct weir_conn *conn, struct weir_lease *lease)
{
	struct world *world = world_of(conn);

	if (lease && *(char *)weir_lease_data(lease) == 'X')
		pthread_exit(NULL);
	if (!lease)
		return;
	weir_lease_get(lease);
	world_enter(world);
	world->produced++;
	world_leave(world);
}

TEST_F(death, a_worker_may_die_while_receives_wait_for_buffers)
{
	struct world *world = &self->world;
	int clients[9], i;

	/* Six to receive into; with one of them left, no receive is armed. */
	world->opts.bufs = 8;
	world->ops.data = on_data_keep;
	OPEN_WORLD(world);
	for (i = 0; i < 6; i++) {
		clients[i] = client_open(world, 0);
		ASSERT_LE(0, clients[i]);
	}
	AWAIT(world, LOCKED(world, world->opens) == 6);
	for (i = 1; i <= 5; i++) {
		ASSERT_EQ(1, send(clients[0], "k", 1, MSG_NOSIGNAL));
		AWAIT(world, LOCKED(world, world->produced) == (uint64_t)i);
	}
	for (i = 6; i < 9; i++) {
		clients[i] = client_open(world, 0);
		ASSERT_LE(0, clients[i]);
	}
	AWAIT(world, service_stats(world, 0).loop.parks >= 3);
	ASSERT_EQ(1, send(clients[3], "X", 1, MSG_NOSIGNAL));
	EXPECT_EQ(-EOWNERDEAD, weir_service_wait(world->service));
	weir_service_close(world->service);
	world->service = NULL;
	for (i = 0; i < 9; i++)
		close(clients[i]);
	EXPECT_EQ(self->fds, descriptors());
}

/* A process that serves until it is killed; 0 or -errno, and where it does. */
static pid_t service_fork(struct world *world)
{
	int fds[2], err;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		err = world_open(world);
		if (err || write(fds[1], &world->addr, sizeof(world->addr)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(fds[1]);
	n = read(fds[0], &world->addr, sizeof(world->addr));
	close(fds[0]);
	return n == (ssize_t)sizeof(world->addr) ? pid : -ECHILD;
}

/* One that reads nothing, and has sent until nothing more is taken. */
static int client_stuff(const struct world *world)
{
	static char buf[64 << 10];
	struct pollfd pfd = { .events = POLLOUT };

	pfd.fd = client_open(world, 16 << 10);
	while (pfd.fd >= 0 && poll(&pfd, 1, 200) > 0) {
		if (send(pfd.fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
	}
	return pfd.fd;
}

/* The kernel keeps what a ring has open until the last of its sends has been read. */
TEST_F(death, a_client_that_does_not_read_keeps_no_other_waiting_for_a_killed_process)
{
	struct world *world = &self->world;
	struct pollfd pfd = { .events = POLLIN };
	int slow, idle;
	pid_t pid;
	char byte;

	world->opts.buf_bytes = 64 << 10;
	world->loop.flags = WEIR_LOOP_ZC_ALWAYS;
	pid = service_fork(world);
	ASSERT_LT(0, pid);
	idle = client_open(world, 0);
	ASSERT_LE(0, idle);
	EXPECT_TRUE(client_ping(idle, 'a'));
	slow = client_stuff(world);
	ASSERT_LE(0, slow);
	EXPECT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	pfd.fd = idle;
	EXPECT_EQ(1, poll(&pfd, 1, (int)(LIMIT_NS / NSEC_PER_MSEC)));
	EXPECT_GE(0, recv(idle, &byte, 1, MSG_DONTWAIT));
	EXPECT_GT(0, client_open(world, 0));
	close(idle);
	close(slow);
}

TEST_HARNESS_MAIN
