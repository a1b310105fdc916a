// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_zc.c - sends without a copy: who holds the buffer, and until when
 *
 * On loopback the kernel copies, but it holds the buffer all the same until the peer
 * has acknowledged. epoll always copies: the same sends, and nothing is held.
 */
#include <weir/option.h>

#include "socks.h"
#include "zc.h"

#include "kselftest_harness.h"

/* And until the peer acknowledges? On sim that is a matter of time. */
static bool holds(const struct weir_loop *loop)
{
	return !strcmp(weir_loop_backend(loop), "uring");
}

FIXTURE(zc) {
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct server server;
	struct weir_file client;
	struct weir_file accepted;
	uint64_t sent;		/* of the pattern, by the client */
	uint64_t came;
	struct weir_op op;	/* a send that waits for room */
	struct seen seen;
	struct weir_lease *lease;	/* of that, until it has ended */
};

FIXTURE_VARIANT(zc) {
	const char *name;
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(zc, epoll) { .name = "epoll" };
FIXTURE_VARIANT_ADD(zc, sim) { .name = "sim", .flags = WEIR_LOOP_ZC_ALWAYS };
#ifdef CONFIG_URING
FIXTURE_VARIANT_ADD(zc, uring) { .name = "uring", .flags = WEIR_LOOP_ZC_ALWAYS };
FIXTURE_VARIANT_ADD(zc, refused) { .name = "refused", .flags = WEIR_LOOP_ZC_ALWAYS };
#endif

FIXTURE_SETUP(zc)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .flags = variant->flags,
	};

	OPEN_LOOP(&self->loop, &opts);
	if (!strcmp(weir_loop_backend(self->loop), "uring") && !probe_says("send_zc"))
		SKIP(_exit(KSFT_SKIP), "no IORING_OP_SEND_ZC here");
	self->pool = open_pool(self->loop);
	ASSERT_NE(NULL, self->pool);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 4));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client, &self->accepted));
}

FIXTURE_TEARDOWN(zc)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(self->pool));
}

/* A lease whose first @len bytes are the next of the pattern; or NULL. */
static struct weir_lease *filled(struct _test_data_zc *self, uint32_t len)
{
	struct weir_lease *lease;

	if (weir_pool_lease(self->pool, &lease))
		return NULL;
	fill(weir_lease_data(lease), len, self->sent);
	return lease;
}

/* Sends the next @len bytes to the end, and lets go of the lease. */
static int send_next(struct _test_data_zc *self, uint32_t len)
{
	struct weir_lease *lease = filled(self, len);
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int res;

	if (!lease)
		return -ENOBUFS;
	weir_prep_send_lease(&op, self->client, lease, weir_lease_data(lease), len, seen_done,
			     &seen);
	res = op_do(self->loop, &op);
	weir_lease_put(lease);
	if (res > 0)
		self->sent += (uint32_t)res;
	return seen.terminals == 1 && seen.events == 1 ? res : -EPROTO;
}

/* Receives all that was sent: is it right? */
static bool receive(struct _test_data_zc *self)
{
	static unsigned char buf[BUF_BYTES];
	int res, i;

	while (self->came < self->sent) {
		res = do_recv(self->loop, self->accepted, buf, sizeof(buf));
		if (res <= 0)
			return false;
		for (i = 0; i < res; i++) {
			if (buf[i] != pattern(self->came + (uint64_t)i))
				return false;
		}
		self->came += (uint64_t)res;
	}
	return true;
}

static void waiting_done(struct weir_op *op)
{
	struct _test_data_zc *self = container_of(op, struct _test_data_zc, op);

	seen_done(op);
	weir_lease_put(self->lease);
}

/*
 * Sends until the peer, which does not receive, has no room: self->op waits then, and
 * what was sent last is not acknowledged.
 */
static bool stuff(struct _test_data_zc *self, uint64_t deadline_ns)
{
	const int bytes = 16 << 10;

	if (do_set(self->loop, self->client, WEIR_OPTION_SNDBUF, &bytes) ||
	    do_set(self->loop, self->accepted, WEIR_OPTION_RCVBUF, &bytes))
		return false;
	do {
		self->lease = filled(self, BUF_BYTES);
		if (!self->lease)
			return false;
		self->seen = (struct seen){ 0 };
		weir_prep_send_lease(&self->op, self->client, self->lease,
				     weir_lease_data(self->lease), BUF_BYTES, waiting_done,
				     &self->seen);
		if (deadline_ns)
			self->op.deadline_ns = weir_loop_now(self->loop) + deadline_ns;
		weir_submit(self->loop, &self->op);
		while (weir_op_busy(&self->op) &&
		       weir_loop_run_once(self->loop, SETTLE_NS) > 0)
			;
		if (self->seen.res > 0)
			self->sent += (uint32_t)self->seen.res;
	} while (self->seen.terminals && self->seen.res > 0);
	return !self->seen.terminals || self->seen.res == -ETIME;
}

/* the same as an ordinary send */

TEST_F(zc, a_long_send_of_a_lease_arrives_whole)
{
	EXPECT_EQ(BUF_BYTES, send_next(self, BUF_BYTES));
	EXPECT_TRUE(receive(self));
	EXPECT_EQ(lends(self->loop), stats_of(self->loop).zc_sends);
	EXPECT_EQ(1, stats_of(self->loop).sends);
	RUN_UNTIL(self->loop, pool_whole(self->pool));
	EXPECT_EQ(0, stats_of(self->loop).zc_bytes);
}

TEST_F(zc, a_short_send_is_copied)
{
	EXPECT_EQ(LEND_BYTES_DEFAULT - 1, send_next(self, LEND_BYTES_DEFAULT - 1));
	EXPECT_TRUE(pool_whole(self->pool));
	EXPECT_EQ(0, stats_of(self->loop).zc_sends);
	EXPECT_EQ(LEND_BYTES_DEFAULT, send_next(self, LEND_BYTES_DEFAULT));
	EXPECT_EQ(lends(self->loop), stats_of(self->loop).zc_sends);
	EXPECT_TRUE(receive(self));
}

TEST_F(zc, a_send_from_a_buffer_without_its_lease_is_copied)
{
	struct weir_lease *lease = filled(self, BUF_BYTES);

	ASSERT_NE(NULL, lease);
	EXPECT_EQ(BUF_BYTES, do_send(self->loop, self->client, weir_lease_data(lease), BUF_BYTES));
	self->sent = BUF_BYTES;
	EXPECT_EQ(0, stats_of(self->loop).zc_sends);
	/* The buffer is the caller's again. */
	memset(weir_lease_data(lease), 0xff, BUF_BYTES);
	weir_lease_put(lease);
	EXPECT_TRUE(receive(self));
}

TEST_F(zc, bytes_outside_of_the_lease_are_refused)
{
	struct weir_lease *lease = filled(self, BUF_BYTES);
	const unsigned char *data;
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	size_t i;

	ASSERT_NE(NULL, lease);
	data = weir_lease_data(lease);
	const struct {
		const void *buf;
		uint32_t len;
		struct weir_lease *lease;
	} cases[] = {
		{ data + 1, BUF_BYTES, lease }, { data - 1, BUF_BYTES, lease },
		{ data + BUF_BYTES + 1, 0, lease }, { NULL, 16, lease },
		{ data, INT32_MAX, lease }, { data, BUF_BYTES, NULL },
	};

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&seen, 0, sizeof(seen));
		weir_prep_send_lease(&op, self->client, cases[i].lease, cases[i].buf,
				     cases[i].len, seen_done, &seen);
		op_do(self->loop, &op);
		EXPECT_RESULT(&seen, -EINVAL, WEIR_ORIGIN_LIBRARY);
	}
	memset(&seen, 0, sizeof(seen));
	weir_prep_nop(&op, seen_done, &seen);
	op.flags = WEIR_OPF_LEASE;
	op_do(self->loop, &op);
	EXPECT_RESULT(&seen, -EINVAL, WEIR_ORIGIN_LIBRARY);
	weir_lease_put(lease);
}

TEST_F(zc, a_lease_of_another_loop_is_refused)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim" };
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	struct weir_lease *lease;
	struct weir_pool *pool;
	struct weir_loop *loop;

	ASSERT_EQ(0, weir_loop_open(&loop, &opts));
	pool = open_pool(loop);
	ASSERT_NE(NULL, pool);
	ASSERT_EQ(0, weir_pool_lease(pool, &lease));
	weir_prep_send_lease(&op, self->client, lease, weir_lease_data(lease), 16, seen_done,
			     &seen);
	op_do(self->loop, &op);
	EXPECT_RESULT(&seen, -EINVAL, WEIR_ORIGIN_LIBRARY);
	weir_lease_put(lease);
	EXPECT_EQ(0, weir_pool_close(pool));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

/* until the peer has it */

TEST_F(zc, the_buffer_is_held_until_the_peer_has_its_bytes)
{
	ASSERT_TRUE(stuff(self, 0));
	ASSERT_TRUE(weir_op_busy(&self->op));
	EXPECT_LT(0, self->sent);
	EXPECT_EQ(lends(self->loop), !!stats_of(self->loop).zc_sends);
	if (holds(self->loop)) {
		EXPECT_LT(0, stats_of(self->loop).zc_bytes);
		EXPECT_FALSE(pool_whole(self->pool));
	}
	/* The one that waits goes on when there is room, and is no other's. */
	EXPECT_TRUE(receive(self));
	RUN_UNTIL(self->loop, self->seen.terminals);
	ASSERT_LT(0, self->seen.res);
	self->sent += (uint32_t)self->seen.res;
	EXPECT_TRUE(receive(self));
	RUN_UNTIL(self->loop, pool_whole(self->pool));
	EXPECT_EQ(0, stats_of(self->loop).zc_bytes);
}

TEST_F(zc, one_that_waits_for_room_can_be_cancelled)
{
	ASSERT_TRUE(stuff(self, 0));
	ASSERT_TRUE(weir_op_busy(&self->op));
	weir_cancel(self->loop, &self->op);
	RUN_UNTIL(self->loop, self->seen.terminals);
	EXPECT_RESULT(&self->seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_TRUE(receive(self));
	RUN_UNTIL(self->loop, pool_whole(self->pool));
}

TEST_F(zc, one_that_waits_for_room_has_its_deadline)
{
	ASSERT_TRUE(stuff(self, NSEC_PER_SEC / 5));
	RUN_UNTIL(self->loop, self->seen.terminals);
	EXPECT_RESULT(&self->seen, -ETIME, WEIR_ORIGIN_DEADLINE);
	EXPECT_TRUE(receive(self));
	RUN_UNTIL(self->loop, pool_whole(self->pool));
}

TEST_F(zc, a_close_does_not_wait_for_a_peer_that_does_not_acknowledge)
{
	ASSERT_TRUE(stuff(self, 0));
	EXPECT_EQ(0, do_close(self->loop, self->client));
	EXPECT_RESULT(&self->seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	if (holds(self->loop))
		EXPECT_LT(0, stats_of(self->loop).zc_bytes);
	EXPECT_TRUE(receive(self));
	RUN_UNTIL(self->loop, pool_whole(self->pool));
}

TEST_F(zc, a_pool_can_be_closed_and_its_bytes_arrive)
{
	struct weir_lease *lease;

	ASSERT_TRUE(stuff(self, 0));
	weir_cancel(self->loop, &self->op);
	RUN_UNTIL(self->loop, self->seen.terminals);
	ASSERT_EQ(0, weir_pool_lease(self->pool, &lease));
	EXPECT_EQ(-EBUSY, weir_pool_close(self->pool));
	weir_lease_put(lease);
	if (holds(self->loop))
		EXPECT_LT(0, stats_of(self->loop).zc_bytes);
	EXPECT_EQ(0, weir_pool_close(self->pool));
	/* Whose memory it is now has nothing to do with them. */
	self->pool = open_pool(self->loop);
	ASSERT_NE(NULL, self->pool);
	lease = filled(self, BUF_BYTES);
	ASSERT_NE(NULL, lease);
	EXPECT_TRUE(receive(self));
	weir_lease_put(lease);
	RUN_UNTIL(self->loop, !stats_of(self->loop).zc_bytes);
	EXPECT_TRUE(pool_whole(self->pool));
}

TEST_F(zc, a_loop_can_be_closed_before_the_peer_acknowledges)
{
	ASSERT_TRUE(stuff(self, 0));
	/* The rest is the teardown's, which closes the loop and then the pool. */
	if (holds(self->loop))
		EXPECT_LT(0, stats_of(self->loop).zc_bytes);
}

/* limits */

TEST_F(zc, no_more_than_one_buffer_of_four_is_lent)
{
	uint32_t max = SPARES / LEND_SHARE * LEND_BYTES_DEFAULT, i;

	for (i = 0; i < 3 * SPARES; i++) {
		ASSERT_EQ(LEND_BYTES_DEFAULT, send_next(self, LEND_BYTES_DEFAULT));
		EXPECT_GE(max, stats_of(self->loop).zc_bytes);
		if (i % 4 == 3)
			ASSERT_TRUE(receive(self));
	}
	if (on_sim(self->loop))
		EXPECT_EQ(max, stats_of(self->loop).zc_bytes);
	RUN_UNTIL(self->loop, pool_whole(self->pool));
}

struct patient {
	struct pool_waiter waiter;
	bool woken;
};

static void wake(struct pool_waiter *waiter)
{
	container_of(waiter, struct patient, waiter)->woken = true;
}

TEST_F(zc, a_loop_runs_on_while_somebody_waits_for_what_is_lent)
{
	struct patient patient = { .waiter.wake = wake };
	struct weir_lease *rest[SPARES];
	unsigned int n = 0;

	EXPECT_EQ(0, do_close(self->loop, self->server.file));
	EXPECT_EQ(BUF_BYTES, send_next(self, BUF_BYTES));
	while (n < SPARES && !weir_pool_lease(self->pool, &rest[n]))
		n++;
	if (n < SPARES) {
		list_init(&patient.waiter.link);
		pool_wait(self->pool, &patient.waiter);
		EXPECT_EQ(1, weir_loop_run(self->loop));
		EXPECT_TRUE(patient.woken);
	} else {
		/* Nothing is lent, or the peer was quicker. */
		EXPECT_EQ(0, stats_of(self->loop).zc_bytes);
	}
	while (n)
		weir_lease_put(rest[--n]);
}

/* what the kernel tells */

struct write_test {
	bool early;
	struct _test_data_zc zc;
};

/* Sends, then writes to what was sent, when it has arrived or before. */
static void send_and_write(void *arg)
{
	struct write_test *test = arg;
	struct _test_data_zc *self = &test->zc;
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim" };
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	struct weir_lease *lease;

	if (weir_loop_open(&self->loop, &opts))
		_exit(1);
	self->pool = open_pool(self->loop);
	if (server_open(self->loop, &self->server, 4) ||
	    pair_open(self->loop, &self->server, &self->client, &self->accepted))
		_exit(2);
	lease = filled(self, BUF_BYTES);
	weir_prep_send_lease(&op, self->client, lease, weir_lease_data(lease), BUF_BYTES,
			     seen_done, &seen);
	if (op_do(self->loop, &op) != BUF_BYTES || !stats_of(self->loop).zc_bytes)
		_exit(3);
	if (test->early)
		((char *)weir_lease_data(lease))[BUF_BYTES - 1] ^= 1;
	while (stats_of(self->loop).zc_bytes) {
		if (weir_loop_run_once(self->loop, LIMIT_NS) < 0)
			_exit(4);
	}
	((char *)weir_lease_data(lease))[BUF_BYTES - 1] ^= 1;
}

TEST(sim_finds_who_writes_to_bytes_that_have_not_arrived)
{
	struct write_test test = { .early = false };
	char text[256];
	int status;

	status = run_child(send_and_write, &test, text, sizeof(text));
	EXPECT_EQ(0, status);
	test.early = true;
	status = run_child(send_and_write, &test, text, sizeof(text));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT_NE(NULL, strstr(text, "written to")) {
		TH_LOG("%s", text);
	}
}

/* connections */

#define ZC_WORLD_MIN	1024

FIXTURE(queue) { struct world world; };

BACKEND_VARIANTS(queue);

FIXTURE_SETUP(queue)
{
	self->world.zc_min_bytes = ZC_WORLD_MIN;
	self->world.flags = WEIR_LOOP_ZC_ALWAYS;
	WORLD_OPEN(&self->world, variant->name);
	if (!strcmp(weir_loop_backend(self->world.loop), "uring") && !probe_says("send_zc"))
		SKIP(_exit(KSFT_SKIP), "no IORING_OP_SEND_ZC here");
}

FIXTURE_TEARDOWN(queue)
{
	EXPECT_EQ(0, world_close(&self->world));
}

TEST_F(queue, an_echo_of_a_mebibyte_without_copies_is_exact)
{
	struct end *client;

	self->world.served[0].echo = true;
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	client->total = (1U << 20) + 1;
	pump(client);
	RUN(client->in == client->total || client->closes);
	EXPECT_EQ(client->total, client->in);
	EXPECT_FALSE(client->wrong || client->peer->wrong);
	EXPECT_EQ(lends(self->world.loop), !!stats_of(self->world.loop).zc_sends);
	weir_conn_close(client->conn);
	RUN(client->closes && client->peer->closes);
	EXPECT_EQ(0, client->err);
	RUN(pool_whole(self->world.pool));
}

TEST_F(queue, aborts_while_buffers_are_lent_leave_nothing_behind)
{
	struct end *client;
	int i;

	for (i = 0; i < 8; i++) {
		client = client_open(&self->world);
		ASSERT_NE(NULL, client);
		weir_conn_pause(client->peer->conn);
		client->total = 64 << 10;
		pump(client);
		RUN(stats_of(self->world.loop).zc_sends || !lends(self->world.loop));
		weir_conn_abort(client->conn, -EPROTO);
		RUN(client->closes);
		weir_conn_abort(client->peer->conn, 0);
		RUN(client->peer->closes);
	}
	RUN(pool_whole(self->world.pool));
}

TEST_HARNESS_MAIN
