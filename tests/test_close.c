// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_close.c - every way in which a connection ends
 */
#include "ends.h"
#include "io/gather.h"
#include "net/conn.h"

#include "kselftest_harness.h"

#define MIB	(1U << 20)

WORLD_FIXTURE(closing, BACKEND_VARIANTS);

TEST_F(closing, close_sends_what_is_queued_first)
{
	static unsigned char bytes[48 << 10];
	struct end *client, *server;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	client->close_at_eof = true;
	fill(bytes, sizeof(bytes), 0);
	ASSERT_EQ((int)sizeof(bytes), weir_conn_send(server->conn, bytes, sizeof(bytes)));
	weir_conn_close(server->conn);
	weir_conn_close(server->conn);
	EXPECT_EQ(-EPIPE, weir_conn_send(server->conn, bytes, 1));
	RUN(server->closes && client->closes);
	EXPECT_EQ(sizeof(bytes), client->in);
	EXPECT_FALSE(client->wrong);
	EXPECT_EQ(1, client->eofs);
	EXPECT_EQ(1, server->closes);
	EXPECT_EQ(0, server->err);
	EXPECT_EQ(0, client->err);
}

TEST_F(closing, close_of_a_paused_one_sees_the_peers_end)
{
	struct end *client, *server;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	client->close_at_eof = true;
	weir_conn_pause(server->conn);
	client->total = 3000;
	pump(client);
	RUN(!weir_conn_queued(client->conn));
	weir_conn_close(server->conn);
	RUN(server->closes && client->closes);
	EXPECT_EQ(0, server->err);
	EXPECT_EQ(0, server->in);
}

TEST_F(closing, after_the_peers_end_sending_goes_on)
{
	struct end *client, *server;
	int fd;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	client->total = 1000;
	pump(client);
	RUN(!weir_conn_queued(client->conn));
	fd = fd_of(self->world.loop, client->conn->file);
	ASSERT_EQ(0, self->world.loop->sys->shutdown(self->world.loop, fd, SHUT_WR));
	RUN(server->eofs);
	EXPECT_EQ(1000, server->in);
	server->total = 100000;
	pump(server);
	RUN(client->in == 100000);
	EXPECT_FALSE(client->wrong);
	EXPECT_EQ(1, server->eofs);
	weir_conn_close(server->conn);
	RUN(server->closes && client->eofs);
	EXPECT_EQ(0, server->err);
}

TEST_F(closing, a_peer_that_never_reads_ends_by_the_deadline)
{
	struct end *client, *server;
	uint64_t begin;

	ASSERT_EQ(0, keep_small(&self->world));
	self->world.opts.linger_ns = 50 * NSEC_PER_MSEC;
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	weir_conn_pause(client->conn);
	server->total = 4 * MIB;
	pump(server);
	RUN(server->shorts > server->drains && weir_op_busy(&server->conn->send));
	ASSERT_LE(0, weir_loop_run_once(self->world.loop, 0));
	begin = weir_loop_now(self->world.loop);
	weir_conn_close(server->conn);
	RUN(server->closes);
	EXPECT_EQ(-ETIME, server->err);
	EXPECT_LE(50 * NSEC_PER_MSEC, weir_loop_now(self->world.loop) - begin);
	weir_conn_abort(client->conn, 0);
	RUN(client->closes);
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(closing, a_peer_that_never_ends_ends_by_the_deadline)
{
	struct end *client;

	self->world.opts.linger_ns = 50 * NSEC_PER_MSEC;
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	weir_conn_close(client->peer->conn);
	RUN(client->peer->closes);
	EXPECT_EQ(-ETIME, client->peer->err);
	EXPECT_EQ(1, client->eofs);
}

TEST_F(closing, a_reset_in_the_middle_of_a_send_closes_with_it)
{
	struct linger linger = { .l_onoff = 1 };
	struct end *client, *server;
	int fd;

	ASSERT_EQ(0, keep_small(&self->world));
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	weir_conn_pause(client->conn);
	server->total = 4 * MIB;
	pump(server);
	RUN(server->shorts > server->drains && weir_op_busy(&server->conn->send));
	fd = fd_of(self->world.loop, client->conn->file);
	ASSERT_EQ(0, self->world.loop->sys->setsockopt(self->world.loop, fd, SOL_SOCKET,
						       SO_LINGER, &linger, sizeof(linger)));
	weir_conn_abort(client->conn, 0);
	RUN(client->closes && server->closes);
	EXPECT_TRUE(server->err == -ECONNRESET || server->err == -EPIPE) {
		TH_LOG("closed(%d)", server->err);
	}
	EXPECT_EQ(1, server->closes);
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(closing, abort_from_data_is_the_last_that_is_heard)
{
	struct end *client, *server;

	self->world.served[0].abort_at_data = true;
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	client->total = MIB;
	pump(client);
	RUN(server->closes && client->closes + client->eofs);
	EXPECT_EQ(1, server->receipts);
	EXPECT_EQ(1, server->closes);
	EXPECT_EQ(-EPROTO, server->err);
}

TEST_F(closing, abort_drops_the_queue_at_once)
{
	struct end *client, *server;

	ASSERT_EQ(0, keep_small(&self->world));
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	weir_conn_pause(client->conn);
	server->total = 4 * MIB;
	pump(server);
	RUN(server->shorts > server->drains && weir_op_busy(&server->conn->send));
	/* Close first, to abort in the middle of it. */
	weir_conn_close(server->conn);
	weir_conn_abort(server->conn, -EINTR);
	weir_conn_abort(server->conn, -EPROTO);
	weir_conn_close(server->conn);
	EXPECT_EQ(0, server->closes);
	/* What is in flight: test_sendq.c counts its buffers. */
	EXPECT_GE(GATHER_BYTES, weir_conn_queued(server->conn));
	RUN(server->closes);
	EXPECT_EQ(-EINTR, server->err);
	EXPECT_EQ(1, server->closes);
}

TEST_F(closing, the_end_of_the_loop_ends_its_connections)
{
	struct end *client, *server;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	server->total = MIB;
	pump(server);
	weir_conn_close(client->conn);
	ASSERT_LE(0, weir_loop_run_once(self->world.loop, 0));
	/* Not closed first: the listener too goes with its accept. */
	self->world.listener = NULL;
	EXPECT_EQ(0, weir_loop_close(self->world.loop, LIMIT_NS));
	self->world.loop = NULL;
	EXPECT_EQ(1, client->closes);
	EXPECT_EQ(1, server->closes);
	EXPECT_EQ(0, weir_pool_close(self->world.pool));
	self->world.pool = NULL;
	EXPECT_EQ(0, self->world.counter.blocks);
}

TEST_HARNESS_MAIN
