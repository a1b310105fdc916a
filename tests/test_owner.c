// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_owner.c - what belongs to a loop's thread refuses every other one: in a
 * debug build it ends the process, even where it would only read a field; in
 * others nothing is looked at
 */
#include <pthread.h>

#include <weir/net.h>

#include "backends.h"
#include "kselftest_harness.h"

#ifdef WEIR_DEBUG
#define DIES 1
#else
#define DIES 0
#endif

struct held {
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_lease *lease;
	struct weir_listener *listener;
	struct weir_conn *conn;
	struct weir_file client;
	struct server server;
};

FIXTURE(owner)
{
	struct held held;
};

static void on_file(void *ctx, struct weir_file file)
{
}

static void on_data(struct weir_conn *conn, struct weir_lease *lease)
{
}

static void on_closed(struct weir_conn *conn, int err)
{
}

static const struct weir_conn_ops conn_ops = { .data = on_data, .closed = on_closed };

FIXTURE_SETUP(owner)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim" };
	struct weir_pool_opts pool = { .sz = sizeof(pool), .buf_bytes = 4096, .count = 8 };
	struct weir_conn_opts conn = { .sz = sizeof(conn), .ops = &conn_ops };
	struct weir_listener_opts listen = { .sz = sizeof(listen), .accepted = on_file };
	struct weir_addr addr;
	struct weir_file file;

	OPEN_LOOP(&self->held.loop, &opts);
	ASSERT_EQ(0, weir_pool_open(&self->held.pool, self->held.loop, &pool));
	ASSERT_EQ(0, weir_pool_lease(self->held.pool, &self->held.lease));
	ASSERT_EQ(0, weir_addr_parse(&addr, "127.0.0.1:0"));
	listen.addr = &addr;
	ASSERT_EQ(0, weir_listener_open(&self->held.listener, self->held.loop, &listen));
	/* Its accept is the op in flight. */
	ASSERT_EQ(0, server_open(self->held.loop, &self->held.server, 8));
	ASSERT_EQ(0, pair_open(self->held.loop, &self->held.server, &self->held.client, &file));
	conn.pool = self->held.pool;
	ASSERT_EQ(0, weir_conn_open(&self->held.conn, self->held.loop, file, &conn));
}

FIXTURE_TEARDOWN(owner)
{
	weir_conn_abort(self->held.conn, -ECANCELED);
	weir_listener_close(self->held.listener, NULL, NULL);
	EXPECT_EQ(0, weir_loop_close(self->held.loop, LIMIT_NS));
	weir_lease_put(self->held.lease);
	EXPECT_EQ(0, weir_pool_close(self->held.pool));
}

#define CALL(name, expr)						\
	static void name(struct held *held)					\
	{								\
		expr;							\
	}								\
	struct calls_##name

CALL(loop_now, weir_loop_now(held->loop));
CALL(loop_next_ns, weir_loop_next_ns(held->loop));
CALL(loop_stats, stats_of(held->loop));
CALL(op_busy, weir_op_busy(&held->server.accept));
CALL(pool_stats, weir_pool_stats(held->pool, &(struct weir_pool_stats) { 0 }, 8));
CALL(lease_data, weir_lease_data(held->lease));
CALL(lease_len, weir_lease_len(held->lease));
CALL(lease_size, weir_lease_size(held->lease));
CALL(listener_addr, weir_listener_addr(held->listener, &(struct weir_addr) { 0 }));
CALL(listener_fd, weir_listener_fd(held->listener));
CALL(conn_queued, weir_conn_queued(held->conn));
CALL(conn_cookie, weir_conn_cookie(held->conn));
CALL(conn_file, weir_conn_file(held->conn));
CALL(conn_loop, weir_conn_loop(held->conn));
CALL(conn_ctx, weir_conn_ctx(held->conn));
CALL(conn_set_ctx, weir_conn_set_ctx(held->conn, held));

static const struct {
	const char *name;
	void (*call)(struct held *held);
} calls[] = {
	{ "weir_loop_now",	loop_now },
	{ "weir_loop_next_ns",	loop_next_ns },
	{ "weir_loop_stats",	loop_stats },
	{ "weir_op_busy",	op_busy },
	{ "weir_pool_stats",	pool_stats },
	{ "weir_lease_data",	lease_data },
	{ "weir_lease_len",	lease_len },
	{ "weir_lease_size",	lease_size },
	{ "weir_listener_addr",	listener_addr },
	{ "weir_listener_fd",	listener_fd },
	{ "weir_conn_queued",	conn_queued },
	{ "weir_conn_cookie",	conn_cookie },
	{ "weir_conn_file",	conn_file },
	{ "weir_conn_loop",	conn_loop },
	{ "weir_conn_ctx",	conn_ctx },
	{ "weir_conn_set_ctx",	conn_set_ctx },
};

struct stranger {
	struct held *held;
	void (*call)(struct held *held);
};

static void *call_it(void *arg)
{
	struct stranger *stranger = arg;

	stranger->call(stranger->held);
	return NULL;
}

static void as_owner(void *arg)
{
	call_it(arg);
}

static void as_stranger(void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, call_it, arg))
		_exit(KSFT_FAIL);
	pthread_join(thread, NULL);
}

TEST_F(owner, getters_are_for_the_owner)
{
	struct stranger stranger = { .held = &self->held };
	char text[512];
	int status;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		stranger.call = calls[i].call;
		EXPECT_EQ(0, run_child(as_owner, &stranger, text, sizeof(text)));
		status = run_child(as_stranger, &stranger, text, sizeof(text));
		EXPECT_EQ(DIES, WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) {
			TH_LOG("%s: status %x", calls[i].name, status);
		}
		EXPECT_EQ(DIES, !!strstr(text, "pthread_self()")) {
			TH_LOG("%s: %s", calls[i].name, text);
		}
	}
}

TEST_HARNESS_MAIN
