// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_net.c - listeners
 */
#include <dirent.h>
#include <sys/resource.h>

#include "ends.h"

#include "kselftest_harness.h"

/* listeners */

static unsigned int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

FIXTURE(net) {
	struct world world;
	unsigned int descriptors;
};

BACKEND_VARIANTS(net);

FIXTURE_SETUP(net)
{
	self->descriptors = open_descriptors();
	WORLD_OPEN(&self->world, variant->name);
}

FIXTURE_TEARDOWN(net)
{
	EXPECT_EQ(0, world_close(&self->world));
	EXPECT_EQ(self->descriptors, open_descriptors());
}

static void drop_accepted(void *ctx, struct weir_file file)
{
}

static int listen_at(struct world *world, const struct weir_addr *addr, uint32_t reuseport,
		     struct weir_listener **listenerp)
{
	struct weir_listener_opts opts = {
		.sz = sizeof(opts), .addr = addr, .accepted = drop_accepted,
		.reuseport = reuseport,
	};

	return weir_listener_open(listenerp, world->loop, &opts);
}

static unsigned int port_of(const struct weir_addr *addr)
{
	return ntohs(((const struct sockaddr_in *)&addr->ss)->sin_port);
}

TEST_F(net, a_port_in_use_is_refused)
{
	struct weir_listener *const untouched = (struct weir_listener *)self;
	struct weir_listener *other = untouched;

	EXPECT_EQ(-EADDRINUSE, listen_at(&self->world, &self->world.addr, 0, &other));
	/* Nor does SO_REUSEPORT help when the holder did not set it. */
	EXPECT_EQ(-EADDRINUSE, listen_at(&self->world, &self->world.addr, 1, &other));
	EXPECT_EQ(untouched, other);
}

TEST_F(net, a_port_is_shared_when_all_agree)
{
	struct weir_listener *a, *b, *c;
	struct weir_addr addr, same;

	ASSERT_EQ(0, weir_addr_parse(&addr, "127.0.0.1:0"));
	ASSERT_EQ(0, listen_at(&self->world, &addr, 1, &a));
	weir_listener_addr(a, &addr);
	ASSERT_EQ(0, listen_at(&self->world, &addr, 1, &b));
	weir_listener_addr(b, &same);
	EXPECT_EQ(port_of(&addr), port_of(&same));
	EXPECT_EQ(-EADDRINUSE, listen_at(&self->world, &addr, 0, &c));
	weir_listener_close(a, NULL, NULL);
	weir_listener_close(b, NULL, NULL);
}

TEST_F(net, bad_options_are_refused)
{
	struct weir_addr other = { .ss.ss_family = AF_UNIX, .len = sizeof(sa_family_t) };
	struct weir_listener_opts opts = {
		.sz = sizeof(opts), .addr = &self->world.addr, .accepted = drop_accepted,
	};
	struct weir_listener *listener;

	EXPECT_EQ(-EINVAL, weir_listener_open(&listener, self->world.loop, NULL));
	opts.accepted = NULL;
	EXPECT_EQ(-EINVAL, weir_listener_open(&listener, self->world.loop, &opts));
	opts.accepted = drop_accepted;
	opts.reuseport = 2;
	EXPECT_EQ(-EINVAL, weir_listener_open(&listener, self->world.loop, &opts));
	opts.reuseport = 0;
	opts.backlog = UINT32_MAX;
	EXPECT_EQ(-EINVAL, weir_listener_open(&listener, self->world.loop, &opts));
	opts.backlog = 0;
	opts.addr = &other;
	EXPECT_EQ(-EAFNOSUPPORT, weir_listener_open(&listener, self->world.loop, &opts));
	opts.addr = NULL;
	EXPECT_EQ(-EINVAL, weir_listener_open(&listener, self->world.loop, &opts));
}

TEST_F(net, closing_while_clients_come_leaks_nothing)
{
	struct weir_op connects[12] = { 0 };
	struct seen seen[12] = { 0 };
	struct world *world = &self->world;
	unsigned int i, turns;

	/* Closed after each number of turns, so at each point of an accept. */
	for (turns = 0; turns < 6; turns++) {
		memset(seen, 0, sizeof(seen));
		world->listener_gone = false;
		ASSERT_EQ(0, world->listener ? 0 : world_listen(world, 16));
		for (i = 0; i < 12; i++) {
			weir_prep_connect(&connects[i], (struct sockaddr *)&world->addr.ss,
					  world->addr.len, seen_done, &seen[i]);
			weir_submit(world->loop, &connects[i]);
		}
		for (i = 0; i < turns; i++)
			ASSERT_LE(0, weir_loop_run_once(world->loop, 0));
		weir_listener_close(world->listener, world_closed, world);
		weir_listener_close(world->listener, NULL, NULL);
		RUN_UNTIL(world->loop, world->listener_gone);
		for (i = 0; i < 12; i++) {
			RUN_UNTIL(world->loop, seen[i].terminals);
			if (seen[i].res)
				continue;
			EXPECT_EQ(0, do_close(world->loop, seen[i].file));
		}
		for (i = 0; i < world->accepted; i++) {
			if (world->served[i].conn)
				weir_conn_abort(world->served[i].conn, 0);
			RUN_UNTIL(world->loop, world->served[i].closes == 1);
		}
		memset(world->served, 0, sizeof(world->served));
		world->accepted = 0;
		EXPECT_EQ(0, stats_of(world->loop).files);
	}
}

TEST_F(net, closing_before_the_first_accept_is_allowed)
{
	struct weir_listener *listener;
	struct weir_addr addr;

	ASSERT_EQ(0, weir_addr_parse(&addr, "[::1]:0"));
	ASSERT_EQ(0, listen_at(&self->world, &addr, 0, &listener));
	weir_listener_addr(listener, &addr);
	EXPECT_NE(0, port_of(&addr));
	weir_listener_close(listener, NULL, NULL);
	weir_listener_close(NULL, NULL, NULL);
}

TEST_F(net, a_full_file_table_refuses_a_listener)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .files_max = 1,
	};
	struct world small = { 0 };
	struct weir_listener *a, *b;
	struct weir_addr addr;

	ASSERT_EQ(0, open_variant(&small.loop, &opts));
	ASSERT_EQ(0, weir_addr_parse(&addr, "127.0.0.1:0"));
	ASSERT_EQ(0, listen_at(&small, &addr, 0, &a));
	EXPECT_EQ(-ENFILE, listen_at(&small, &addr, 0, &b));
	weir_listener_close(a, NULL, NULL);
	EXPECT_EQ(0, weir_loop_close(small.loop, LIMIT_NS));
}

TEST_F(net, port_zero_becomes_a_port)
{
	int fd = weir_listener_fd(self->world.listener);

	EXPECT_NE(0, port_of(&self->world.addr));
	EXPECT_EQ(on_sim(self->world.loop) ? -EOPNOTSUPP : 0, fd < 0 ? fd : 0);
}

/* Where there are descriptors. */

WORLD_FIXTURE(host, KERNEL_VARIANTS);

TEST_F(host, an_address_of_another_machine_is_refused)
{
	struct weir_listener *listener;
	struct weir_addr addr;

	ASSERT_EQ(0, weir_addr_parse(&addr, "192.0.2.1:80"));	/* RFC 5737 */
	EXPECT_EQ(-EADDRNOTAVAIL, listen_at(&self->world, &addr, 0, &listener));
}

TEST_F(host, a_port_that_was_zero_survives_a_rescue)
{
	int fd = weir_listener_fd(self->world.listener);
	struct sockaddr_in name;
	socklen_t len = sizeof(name);

	/* With the accept armed; what a rescue of a hung worker does. */
	ASSERT_LE(0, weir_loop_run_once(self->world.loop, 0));
	ASSERT_EQ(0, shutdown(fd, SHUT_RDWR));
	ASSERT_EQ(0, listen(fd, 16));
	ASSERT_EQ(0, getsockname(fd, (struct sockaddr *)&name, &len));
	EXPECT_EQ(port_of(&self->world.addr), ntohs(name.sin_port));
	ASSERT_NE(NULL, client_open(&self->world));
	EXPECT_EQ(0, self->world.failures);
}

TEST_F(host, a_listener_that_fails_tries_again_unhurriedly)
{
	uint64_t turns;
	int fd = weir_listener_fd(self->world.listener);

	ASSERT_EQ(0, shutdown(fd, SHUT_RDWR));
	RUN_UNTIL(self->world.loop, self->world.failures >= 3);
	EXPECT_EQ(-EINVAL, self->world.failure);
	/* Paced, not spinning: a handful of turns for each of its tries. */
	turns = stats_of(self->world.loop).turns;
	EXPECT_GT(60, turns);
	ASSERT_EQ(0, listen(fd, 16));
	ASSERT_NE(NULL, client_open(&self->world));
}

/* Uring accepts into slots; epoll needs descriptors. */
TEST(without_descriptors_accepting_pauses_and_goes_on)
{
	struct rlimit limit, old;
	struct world world = { 0 };
	int clients[3], i;

	ASSERT_EQ(0, world_open(&world, "epoll", NULL));
	for (i = 0; i < 3; i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM, 0);
		ASSERT_LE(0, clients[i]);
	}
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &old));
	limit = old;
	limit.rlim_cur = (rlim_t)clients[2] + 1;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, connect(clients[i], (struct sockaddr *)&world.addr.ss,
				     world.addr.len));
	RUN_UNTIL(world.loop, world.failures > 0);
	EXPECT_EQ(-EMFILE, world.failure);
	EXPECT_EQ(0, world.accepted);
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &old));
	RUN_UNTIL(world.loop, world.accepted == 3);
	for (i = 0; i < 3; i++)
		close(clients[i]);
	EXPECT_EQ(0, world_close(&world));
}

TEST_HARNESS_MAIN
