// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_service_stats.c - what the workers of a service count, each and together
 */
#include "base/base.h"

#include <kselftest_harness.h>

#include "serve_world.h"

enum { WORKERS = 3, CLIENTS = 12, MESSAGES = 5, BYTES = 100 };

FIXTURE(counts) {
	struct world world;
	int clients[CLIENTS];
};

KERNEL_VARIANTS(counts);

/* One message at a time: each is one receive and one send of the service. */
static int talk(int fd)
{
	unsigned char out[BYTES], in[BYTES];
	int i;

	memset(out, 'w', sizeof(out));
	for (i = 0; i < MESSAGES; i++) {
		if (send(fd, out, BYTES, MSG_NOSIGNAL) != BYTES ||
		    recv(fd, in, BYTES, MSG_WAITALL) != BYTES || memcmp(in, out, BYTES))
			return -EIO;
	}
	return 0;
}

FIXTURE_SETUP(counts)
{
	int i;

	world_init(&self->world, variant->name, WORKERS);
	OPEN_WORLD(&self->world);
	for (i = 0; i < CLIENTS; i++) {
		self->clients[i] = client_open(&self->world, 0);
		ASSERT_LE(0, self->clients[i]);
		ASSERT_EQ(0, talk(self->clients[i]));
	}
}

FIXTURE_TEARDOWN(counts)
{
	weir_service_close(self->world.service);
	EXPECT_EQ(0, atomic_load(&self->world.blocks));
}

static void hang_up(const int *clients)
{
	int i;

	for (i = 0; i < CLIENTS; i++)
		close(clients[i]);
}

TEST_F(counts, all_workers_together_have_counted_each_thing_once)
{
	struct world *world = &self->world;
	struct weir_service_stats all;

	hang_up(self->clients);
	AWAIT(world, LOCKED(world, world->closes) == CLIENTS);
	weir_service_stop(world->service, LIMIT_NS);
	EXPECT_EQ(0, weir_service_wait(world->service));
	all = service_stats(world, WEIR_WORKER_NONE);
	EXPECT_EQ(CLIENTS, all.accepted);
	EXPECT_EQ(CLIENTS, all.loop.accepts);
	EXPECT_EQ(CLIENTS * MESSAGES, all.loop.recvs);
	EXPECT_EQ(CLIENTS * MESSAGES, all.loop.sends);
	EXPECT_EQ(CLIENTS * MESSAGES * BYTES, all.loop.bytes_in);
	EXPECT_EQ(CLIENTS * MESSAGES * BYTES, all.loop.bytes_out);
	EXPECT_EQ(0, all.loop.connects);
	EXPECT_EQ(0, all.loop.polls);
	EXPECT_EQ(0, all.loop.errors);
	EXPECT_EQ(0, all.conns);
	/* At least: each of them, each end of a stream, each close. */
	EXPECT_LE(CLIENTS * (2 * MESSAGES + 3), all.loop.events);
	EXPECT_LT(0, all.loop.syscalls);
	EXPECT_LT(0, all.cpu_ns);
}

TEST_F(counts, the_whole_is_the_sum_of_its_workers)
{
	const size_t n = offsetof(struct weir_service_stats, state) / sizeof(uint64_t);
	struct world *world = &self->world;
	struct weir_service_stats all, one;
	uint64_t sum[sizeof(all) / sizeof(uint64_t)] = { 0 }, words[ARRAY_SIZE(sum)];
	unsigned int i;
	size_t k;

	hang_up(self->clients);
	weir_service_stop(world->service, LIMIT_NS);
	EXPECT_EQ(0, weir_service_wait(world->service));
	for (i = 0; i < WORKERS; i++) {
		one = service_stats(world, i);
		EXPECT_EQ(one.accepted, one.loop.accepts);
		EXPECT_EQ(one.accepted * MESSAGES, one.loop.recvs);
		EXPECT_EQ(one.accepted * MESSAGES * BYTES, one.loop.bytes_out);
		memcpy(words, &one, sizeof(one));
		for (k = 0; k < n; k++)
			sum[k] += words[k];
	}
	all = service_stats(world, WEIR_WORKER_NONE);
	memcpy(words, &all, sizeof(all));
	for (k = 0; k < n; k++)
		EXPECT_EQ(sum[k], words[k]) TH_LOG("word %zu", k);
	EXPECT_EQ(CLIENTS, all.accepted);
}

/* Published about once a turn: what was answered before it parked is there. */
TEST_F(counts, they_are_there_while_it_runs)
{
	struct world *world = &self->world;

	AWAIT(world, service_stats(world, WEIR_WORKER_NONE).loop.sends == CLIENTS * MESSAGES);
	EXPECT_EQ(CLIENTS, service_stats(world, WEIR_WORKER_NONE).conns);
	EXPECT_EQ(CLIENTS * MESSAGES * BYTES,
		  service_stats(world, WEIR_WORKER_NONE).loop.bytes_in);
	hang_up(self->clients);
	AWAIT(world, service_stats(world, WEIR_WORKER_NONE).conns == 0);
}

TEST_HARNESS_MAIN
