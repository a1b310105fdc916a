// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_bundle.c - receives that fill several buffers at once: the same bytes, in the
 * same order, in the same leases as from a backend that cannot
 */
#include <sys/un.h>

#ifdef CONFIG_URING
#include "io/probe.h"
#endif
#include "buf/pool.h"
#include "ends.h"
#include "kselftest_harness.h"

enum {
	PAIRS		= 6,
	BUF_BYTES	= 512,
	BUFS		= 256,
	LOW		= 32,		/* so many buffers may come at once */
	SPARE		= 32,
	HELD		= 24,		/* leases that a reader keeps */
	BURST		= 40 * BUF_BYTES,	/* at once, before anybody reads */
};

struct reader {
	struct weir_op op;
	struct weir_op close;
	struct seen closed;
	struct weir_file client;
	struct weir_file file;
	struct weir_lease *held[HELD];
	unsigned int keep;		/* how many of these it may hold */
	unsigned int end_at;		/* the event at which its callback ends it; 0: none */
	bool closes;			/* and how: its file is closed, not the op cancelled */
	uint64_t sent;
	uint64_t bytes;
	uint64_t wrong;			/* not what was sent at that place */
	unsigned int events;
	unsigned int oversize;		/* leases longer than a buffer */
	unsigned int terminals;
	int res;
	int worst;			/* the lowest result but the last */
};

static uint32_t draw_state;

static uint32_t draw(uint32_t below)
{
	draw_state = draw_state * 1664525 + 1013904223;
	return (draw_state >> 8) % below;
}

FIXTURE(bundle)
{
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct server server;
	struct reader reader[PAIRS];
};

FIXTURE_VARIANT(bundle) { const char *name; uint32_t flags; };
FIXTURE_VARIANT_ADD(bundle, epoll) { .name = "epoll" };
FIXTURE_VARIANT_ADD(bundle, sim) { .name = "sim" };
#ifdef CONFIG_URING
FIXTURE_VARIANT_ADD(bundle, refused) { .name = "refused" };
FIXTURE_VARIANT_ADD(bundle, uring) { .name = "uring" };
FIXTURE_VARIANT_ADD(bundle, single) { .name = "uring", .flags = WEIR_LOOP_NO_BUNDLE };
#endif

static int pool_of(struct weir_loop *loop, struct weir_pool **poolp, uint32_t count,
		   uint32_t low, uint32_t spare)
{
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = BUF_BYTES, .count = count,
		.low = low, .spare = spare,
	};

	return weir_pool_open(poolp, loop, &shape);
}

FIXTURE_SETUP(bundle)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .flags = variant->flags,
	};
	int i;

	draw_state = 20;
	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, pool_of(self->loop, &self->pool, BUFS, LOW, SPARE));
	ASSERT_EQ(0, server_open(self->loop, &self->server, PAIRS));
	for (i = 0; i < PAIRS; i++)
		ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->reader[i].client,
				       &self->reader[i].file));
}

static void let_go(struct reader *reader)
{
	unsigned int i;

	for (i = 0; i < HELD; i++) {
		weir_lease_put(reader->held[i]);
		reader->held[i] = NULL;
	}
}

FIXTURE_TEARDOWN(bundle)
{
	int i;

	for (i = 0; i < PAIRS; i++)
		let_go(&self->reader[i]);
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_TRUE(pool_whole(self->pool));
	EXPECT_EQ(0, weir_pool_close(self->pool));
}

/* Keeps the lease in a place drawn by lot, for the one that was there: in no order. */
static void keep(struct reader *reader, struct weir_lease *lease)
{
	struct weir_lease **place;

	if (!reader->keep)
		return;
	place = &reader->held[draw(reader->keep)];
	weir_lease_put(*place);
	*place = weir_lease_get(lease);
}

static void end_now(struct reader *reader)
{
	if (!reader->closes) {
		weir_cancel(reader->op.lib_loop, &reader->op);
		return;
	}
	weir_prep_close(&reader->close, reader->file, seen_done, &reader->closed);
	weir_submit(reader->op.lib_loop, &reader->close);
}

static void reader_done(struct weir_op *op)
{
	struct reader *reader = op->ctx;
	const unsigned char *data;
	uint32_t i;

	reader->events++;
	reader->terminals += !op->more;
	reader->res = op->res;
	if (op->more && op->res < reader->worst)
		reader->worst = op->res;
	if (op->lease) {
		data = weir_lease_data(op->lease);
		reader->oversize += weir_lease_len(op->lease) > weir_lease_size(op->lease);
		for (i = 0; i < (uint32_t)op->res; i++, reader->bytes++)
			reader->wrong += data[i] != pattern(reader->bytes);
		keep(reader, op->lease);
	}
	if (reader->events == reader->end_at)
		end_now(reader);
}

static void reader_start(struct weir_loop *loop, struct weir_pool *pool, struct reader *reader)
{
	weir_prep_recv_pool(&reader->op, reader->file, pool, reader_done, reader);
	weir_submit(loop, &reader->op);
}

/* Once, as much of @len as the socket takes. 0, or what went wrong. */
static int say(struct weir_loop *loop, struct reader *reader, uint32_t len)
{
	static unsigned char buf[BURST];
	int res;

	fill(buf, len, reader->sent);
	res = do_send(loop, reader->client, buf, len);
	if (res > 0)
		reader->sent += (uint32_t)res;
	return res > 0 ? 0 : res ? res : -EIO;
}

/* Those that read go on whenever a say() waits: it runs the loop. */
TEST_F(bundle, streams_in_pieces_of_any_size_come_whole_and_in_order)
{
	unsigned int i, round;

	for (i = 0; i < PAIRS; i++) {
		self->reader[i].keep = HELD;
		reader_start(self->loop, self->pool, &self->reader[i]);
	}
	for (round = 0; round < 400; round++) {
		uint32_t most = round % 3 ? BURST : BUF_BYTES / 4;

		ASSERT_EQ(0, say(self->loop, &self->reader[draw(PAIRS)], 1 + draw(most)));
	}
	for (i = 0; i < PAIRS; i++)
		ASSERT_EQ(0, do_close(self->loop, self->reader[i].client));
	for (i = 0; i < PAIRS; i++) {
		RUN_UNTIL(self->loop, self->reader[i].terminals);
		EXPECT_EQ(1, self->reader[i].terminals);
		EXPECT_EQ(0, self->reader[i].res);
		EXPECT_EQ(0, self->reader[i].worst);
		EXPECT_EQ(self->reader[i].sent, self->reader[i].bytes);
		EXPECT_EQ(0, self->reader[i].wrong);
		EXPECT_EQ(0, self->reader[i].oversize);
	}
}

static bool bundles_here(const char *backend, uint32_t flags, const char **whyp)
{
	*whyp = "no ring";
	if (strcmp(backend, "uring"))
		return false;
#ifdef CONFIG_URING
	if (flags & WEIR_LOOP_NO_BUNDLE) {
		*whyp = "switched off";
		return false;
	}
	*whyp = weir_uring_features(NULL)[PROBE_BUNDLE].why;
	return probe_works(PROBE_BUNDLE);
#else
	return false;
#endif
}

TEST_F(bundle, a_burst_comes_in_fewer_completions_than_buffers)
{
	const char *why;
	bool here = bundles_here(variant->name, variant->flags, &why);
	uint64_t events, bundled;

	/* The first tells that this one fills whole buffers. */
	ASSERT_EQ(0, say(self->loop, &self->reader[0], BURST));
	reader_start(self->loop, self->pool, &self->reader[0]);
	RUN_UNTIL(self->loop, self->reader[0].bytes == self->reader[0].sent);
	events = self->reader[0].events;
	bundled = stats_of(self->loop).bundled;
	ASSERT_EQ(0, say(self->loop, &self->reader[0], BURST));
	RUN_UNTIL(self->loop, self->reader[0].bytes == self->reader[0].sent);
	EXPECT_EQ(0, self->reader[0].wrong);
	EXPECT_LE((self->reader[0].sent + BUF_BYTES - 1) / BUF_BYTES, self->reader[0].events);
	EXPECT_EQ(self->reader[0].events, stats_of(self->loop).recvs);
	events = self->reader[0].events - events;
	bundled = stats_of(self->loop).bundled - bundled;
	if (!here) {
		EXPECT_EQ(0, stats_of(self->loop).bundled);
		if (!strcmp(variant->name, "uring") && !variant->flags)
			SKIP(return, "no bundles here: %s", why);
		return;
	}
	/* 40 buffers, 32 at most at once: two completions, if TCP gave them all. */
	EXPECT_LE(events / 2, bundled);
	EXPECT_GT(events, bundled);
}

TEST_F(bundle, short_messages_come_without)
{
	unsigned int i;

	reader_start(self->loop, self->pool, &self->reader[0]);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, say(self->loop, &self->reader[0], BUF_BYTES - 1));
		RUN_UNTIL(self->loop, self->reader[0].bytes == self->reader[0].sent);
	}
	EXPECT_EQ(0, self->reader[0].wrong);
	EXPECT_EQ(0, stats_of(self->loop).bundled);
	EXPECT_EQ(0, stats_of(self->loop).rearms);
}

TEST_F(bundle, a_small_pool_does_without)
{
	struct weir_pool *small;

	ASSERT_EQ(0, pool_of(self->loop, &small, 60, 15, 15));
	ASSERT_EQ(0, say(self->loop, &self->reader[0], BURST));
	reader_start(self->loop, small, &self->reader[0]);
	RUN_UNTIL(self->loop, self->reader[0].bytes == self->reader[0].sent);
	EXPECT_EQ(0, self->reader[0].wrong);
	EXPECT_EQ(0, stats_of(self->loop).bundled);
	weir_cancel(self->loop, &self->reader[0].op);
	RUN_UNTIL(self->loop, self->reader[0].terminals);
	EXPECT_EQ(0, weir_pool_close(small));
}

/* The buffers of a bundle that are left are told of, then the op ends, once. */
TEST_F(bundle, a_callback_in_the_middle_may_cancel)
{
	unsigned int i;

	for (i = 0; i < PAIRS; i++) {
		struct reader *reader = &self->reader[i];

		ASSERT_EQ(0, say(self->loop, reader, BURST));
		reader->end_at = 1 + 7 * i;
		reader->keep = HELD;
		reader_start(self->loop, self->pool, reader);
		RUN_UNTIL(self->loop, reader->terminals);
		EXPECT_EQ(1, reader->terminals);
		EXPECT_EQ(-ECANCELED, reader->res);
		EXPECT_LE(reader->end_at, reader->events - 1);
		EXPECT_EQ(0, reader->wrong);
		EXPECT_EQ(0, weir_op_busy(&reader->op));
		let_go(reader);
		EXPECT_TRUE(pool_whole(self->pool));
		/* Nothing that was read is lost, and nothing else was read. */
		reader->end_at = 0;
		reader->keep = 0;
		reader_start(self->loop, self->pool, reader);
		RUN_UNTIL(self->loop, reader->bytes == reader->sent);
		EXPECT_EQ(0, reader->wrong);
	}
}

TEST_F(bundle, a_callback_in_the_middle_may_close_its_file)
{
	unsigned int i;

	for (i = 0; i < PAIRS; i++) {
		struct reader *reader = &self->reader[i];

		ASSERT_EQ(0, say(self->loop, reader, BURST));
		reader->end_at = 1 + 7 * i;
		reader->closes = true;
		reader->keep = HELD;
		reader_start(self->loop, self->pool, reader);
		RUN_UNTIL(self->loop, reader->closed.terminals);
		EXPECT_EQ(0, reader->closed.res);
		EXPECT_EQ(1, reader->terminals);
		EXPECT_EQ(0, reader->wrong);
		EXPECT_EQ(0, weir_file_valid(self->loop, reader->file));
		let_go(reader);
		EXPECT_TRUE(pool_whole(self->pool));
	}
}

TEST_F(bundle, an_end_behind_a_burst_is_not_missed)
{
	struct reader *reader = &self->reader[0];

	ASSERT_EQ(0, say(self->loop, reader, BURST));
	ASSERT_EQ(0, do_close(self->loop, reader->client));
	reader_start(self->loop, self->pool, reader);
	RUN_UNTIL(self->loop, reader->terminals);
	EXPECT_EQ(0, reader->res);
	EXPECT_EQ(reader->sent, reader->bytes);
	EXPECT_EQ(0, reader->wrong);
}

/* Half of what was sent fits; the rest waits in the sockets until leases come back. */
TEST_F(bundle, an_empty_pool_parks_and_loses_nothing)
{
	static struct weir_lease *kept[BUFS];
	struct weir_pool_stats stats;
	unsigned int i, round, left, n = 0;
	uint64_t end = real_ns() + LIMIT_NS;

	memset(kept, 0, sizeof(kept));
	while (n < SPARE && !weir_pool_lease(self->pool, &kept[n]))
		n++;
	for (i = 0; i < PAIRS; i++) {
		self->reader[i].keep = HELD;
		for (round = 0; round < 4; round++)
			ASSERT_EQ(0, say(self->loop, &self->reader[i], BURST));
	}
	for (i = 0; i < PAIRS; i++)
		reader_start(self->loop, self->pool, &self->reader[i]);
	for (left = PAIRS; left && real_ns() < end;) {
		ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
		/* What some hold on to starves the others, until it is let go. */
		for (i = 0, left = 0; i < PAIRS; i++) {
			left += self->reader[i].bytes < self->reader[i].sent;
			if (self->pool->group.parked)
				let_go(&self->reader[i]);
		}
	}
	EXPECT_EQ(0, left);
	for (i = 0; i < PAIRS; i++) {
		EXPECT_EQ(self->reader[i].sent, self->reader[i].bytes);
		EXPECT_EQ(0, self->reader[i].wrong);
		EXPECT_EQ(0, self->reader[i].terminals);
		let_go(&self->reader[i]);
	}
	while (n)
		weir_lease_put(kept[--n]);
	weir_pool_stats(self->pool, &stats, sizeof(stats));
	EXPECT_EQ(BUFS, stats.free);
}

/* Sockets where a receive takes one record: it must not go on in the next buffer. */

FIXTURE(records)
{
	struct weir_loop *loop;
	struct weir_pool *pool;
};

KERNEL_VARIANTS(records);

FIXTURE_SETUP(records)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, pool_of(self->loop, &self->pool, BUFS, LOW, SPARE));
}

FIXTURE_TEARDOWN(records)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(self->pool));
}

/* Two records of a buffer and a half, of which one buffer comes each. */
#define EXPECT_CUT_OFF(loop, pool, from, fd)					\
	do {									\
		static unsigned char text[BUF_BYTES * 3 / 2];			\
		static struct reader reader;					\
										\
		reader = (struct reader){ .file = from };			\
		fill(text, BUF_BYTES, 0);					\
		reader_start(loop, pool, &reader);				\
		ASSERT_EQ(sizeof(text), send(fd, text, sizeof(text), 0));	\
		RUN_UNTIL(loop, reader.events == 1);				\
		EXPECT_EQ(BUF_BYTES, reader.bytes);				\
		fill(text, BUF_BYTES, BUF_BYTES);				\
		ASSERT_EQ(sizeof(text), send(fd, text, sizeof(text), 0));	\
		RUN_UNTIL(loop, reader.events == 2);				\
		EXPECT_EQ(2 * BUF_BYTES, reader.bytes);				\
		EXPECT_EQ(0, reader.wrong);					\
		EXPECT_EQ(0, stats_of(loop).bundled);				\
	} while (0)

TEST_F(records, of_an_adopted_socket_are_cut_off)
{
	static const int types[] = { SOCK_SEQPACKET, SOCK_DGRAM };
	struct weir_file file;
	unsigned int i;
	int fds[2];

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, fds));
		ASSERT_EQ(0, weir_file_adopt(self->loop, fds[0], &file));
		EXPECT_CUT_OFF(self->loop, self->pool, file, fds[1]);
		EXPECT_EQ(0, do_close(self->loop, file));
		close(fds[1]);
	}
}

TEST_F(records, of_an_accepted_socket_are_cut_off)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(addr);
	struct weir_op accept = { 0 };
	struct seen seen = { 0 };
	struct weir_file file;
	int fd, peer;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/* No name given: the kernel chooses one. */
	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&addr, sizeof(sa_family_t)));
	ASSERT_EQ(0, listen(fd, 4));
	ASSERT_EQ(0, getsockname(fd, (struct sockaddr *)&addr, &len));
	ASSERT_EQ(0, weir_file_adopt(self->loop, fd, &file));
	weir_prep_accept(&accept, file, 4, seen_done, &seen);
	weir_submit(self->loop, &accept);
	peer = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ASSERT_EQ(0, connect(peer, (struct sockaddr *)&addr, len));
	RUN_UNTIL(self->loop, seen.events == 1);
	ASSERT_EQ(0, seen.res);
	EXPECT_CUT_OFF(self->loop, self->pool, seen.file, peer);
	close(peer);
	EXPECT_EQ(0, do_close(self->loop, file));
}

TEST_HARNESS_MAIN
