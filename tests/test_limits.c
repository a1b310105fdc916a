// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_limits.c - full tables, used-up descriptors, thousands of resets at once
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

#include "backends.h"
#include "kselftest_harness.h"

enum {
	CLIENTS		= 20,
	TABLE		= 8,
	RESETS		= 15000,
	SPARE_FDS	= 200,		/* for everything but the connections */
};

/* Clients are plain sockets of this process: the loop under test is the server's. */
static int client_open(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static rlim_t raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) ? 0 : limit.rlim_cur;
}

/* A file table that is full. */

struct conn {
	struct weir_op op;
	struct weir_file file;
	char byte;
	bool open;
	bool ended;
};

struct table {
	struct weir_loop *loop;
	struct weir_op accept;
	struct weir_file listener;
	struct sockaddr_in addr;
	struct conn conn[CLIENTS];
	unsigned int accepted;
	unsigned int pauses;
	unsigned int closed;
	unsigned int wrong;
	unsigned int files_max;		/* the most that were open at once */
	bool serving;
};

FIXTURE(table)
{
	struct table table;
};

KERNEL_VARIANTS(table);
REFUSED_VARIANT(table);

FIXTURE_SETUP(table)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .files_max = TABLE,
	};

	OPEN_LOOP(&self->table.loop, &opts);
	ASSERT_EQ(0, listener_open(self->table.loop, 64, &self->table.listener,
				   &self->table.addr));
}

FIXTURE_TEARDOWN(table)
{
	EXPECT_EQ(0, weir_loop_close(self->table.loop, LIMIT_NS));
}

static void conn_closed(struct weir_op *op)
{
	struct table *table = op->ctx;

	table->closed++;
	table->wrong += op->res != 0;
}

static void conn_sent(struct weir_op *op)
{
	struct conn *conn = (struct conn *)(void *)op;
	struct table *table = op->ctx;

	table->wrong += op->res != 1;
	weir_prep_close(op, conn->file, conn_closed, table);
	weir_submit(op->lib_loop, op);
}

static void conn_received(struct weir_op *op)
{
	struct conn *conn = (struct conn *)(void *)op;
	struct table *table = op->ctx;

	table->wrong += op->res != 1;
	weir_prep_send(op, conn->file, &conn->byte, 1, conn_sent, table);
	weir_submit(op->lib_loop, op);
}

static void conn_serve(struct table *table, struct conn *conn)
{
	weir_prep_recv(&conn->op, conn->file, &conn->byte, 1, conn_received, table);
	weir_submit(table->loop, &conn->op);
}

static void table_accepted(struct weir_op *op)
{
	struct table *table = op->ctx;
	unsigned int files = (unsigned int)stats_of(op->lib_loop).files;
	struct conn *conn;

	if (op->res < 0) {
		table->pauses++;
		return;
	}
	if (files > table->files_max)
		table->files_max = files;
	if (table->accepted == CLIENTS) {
		table->wrong++;
		return;
	}
	conn = &table->conn[table->accepted++];
	conn->file = op->accepted;
	if (table->serving)
		conn_serve(table, conn);
}

TEST_F(table, no_client_is_dropped_and_each_is_served_in_its_turn)
{
	struct table *table = &self->table;
	int fd[CLIENTS];
	unsigned int i;
	char byte;

	weir_prep_accept(&table->accept, table->listener, 64, table_accepted, table);
	weir_submit(table->loop, &table->accept);
	for (i = 0; i < CLIENTS; i++) {
		fd[i] = client_open(&table->addr);
		ASSERT_LE(0, fd[i]);
		byte = (char)('a' + i);
		ASSERT_EQ(1, send(fd[i], &byte, 1, MSG_NOSIGNAL));
	}
	/* Full, and those that did not fit are left in the queue. */
	RUN_UNTIL(table->loop, stats_of(table->loop).accept_pauses);
	EXPECT_GT(CLIENTS, table->accepted);
	EXPECT_LE(table->files_max, TABLE + 1);
	table->serving = true;
	for (i = 0; i < table->accepted; i++)
		conn_serve(table, &table->conn[i]);
	RUN_UNTIL(table->loop, table->closed == CLIENTS);
	for (i = 0; i < CLIENTS; i++) {
		EXPECT_EQ(1, recv(fd[i], &byte, 1, MSG_WAITALL));
		EXPECT_EQ((char)('a' + i), byte);
		EXPECT_EQ(0, recv(fd[i], &byte, 1, 0));
		close(fd[i]);
	}
	EXPECT_EQ(0, table->wrong);
	EXPECT_EQ(CLIENTS, stats_of(table->loop).accepts);
	EXPECT_EQ(1, stats_of(table->loop).files);
	EXPECT_EQ(1, weir_op_busy(&table->accept));
}

TEST_F(table, a_connect_that_finds_it_full_is_refused)
{
	struct seen seen[TABLE + 2] = { 0 };
	struct weir_op op[TABLE + 2] = { 0 };
	unsigned int i, ok = 0, full = 0;

	for (i = 0; i < TABLE + 2; i++) {
		weir_prep_connect(&op[i], (struct sockaddr *)&self->table.addr,
				  sizeof(self->table.addr), seen_done, &seen[i]);
		weir_submit(self->table.loop, &op[i]);
	}
	for (i = 0; i < TABLE + 2; i++) {
		RUN_UNTIL(self->table.loop, seen[i].terminals);
		ok += !seen[i].res;
		full += seen[i].res == -ENFILE;
	}
	EXPECT_EQ(TABLE + 2, ok + full);
	EXPECT_LE(TABLE - 1, ok);
	EXPECT_LE(2, full);
}

/* Thousands of resets that all wait for the same turn. */

FIXTURE(resets)
{
	struct weir_loop *loop;
	struct weir_file listener;
	struct sockaddr_in addr;
	unsigned int count;
};

KERNEL_VARIANTS(resets);
REFUSED_VARIANT(resets);

struct victim {
	struct weir_op op;
	char buf[8];
};

struct resets {
	struct weir_loop *loop;
	struct victim *victims;
	unsigned int accepted;
	unsigned int reset;
	unsigned int other;
	unsigned int closed;
};

FIXTURE_SETUP(resets)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name,
		.bufs_max = 64, .ops_max = RESETS + 64, .files_max = RESETS + 64,
	};
	rlim_t limit = raise_descriptors();

	self->count = RESETS;
	if (limit < RESETS + SPARE_FDS) {
		ASSERT_LT(2 * SPARE_FDS, limit);
		self->count = (unsigned int)limit - SPARE_FDS;
		opts.files_max = self->count + 64;
	}
	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, listener_open(self->loop, 4096, &self->listener, &self->addr));
}

FIXTURE_TEARDOWN(resets)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

static void victim_closed(struct weir_op *op)
{
	struct resets *resets = op->ctx;

	resets->closed++;
}

static void victim_received(struct weir_op *op)
{
	struct resets *resets = op->ctx;

	if (op->res == -ECONNRESET)
		resets->reset++;
	else
		resets->other++;
	weir_prep_close(op, op->file, victim_closed, resets);
	weir_submit(op->lib_loop, op);
}

static void victim_accepted(struct weir_op *op)
{
	struct resets *resets = op->ctx;
	struct victim *victim;

	if (op->res < 0)
		return;
	victim = &resets->victims[resets->accepted++];
	weir_prep_recv(&victim->op, op->accepted, victim->buf, sizeof(victim->buf),
		       victim_received, resets);
	weir_submit(op->lib_loop, &victim->op);
}

/* Connects @count times, waits for a byte on @go, resets all at once. */
static void reset_all(const struct sockaddr_in *addr, unsigned int count, int go, int ready)
{
	struct linger abortive = { .l_onoff = 1, .l_linger = 0 };
	int *fd = calloc(count, sizeof(*fd));
	unsigned int i;
	char byte = 1;

	for (i = 0; fd && i < count; i++) {
		fd[i] = client_open(addr);
		if (fd[i] < 0)
			_exit(1);
		setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &abortive, sizeof(abortive));
	}
	if (!fd || read(go, &byte, 1) != 1)
		_exit(1);
	for (i = 0; i < count; i++)
		close(fd[i]);
	/* Loopback delivers within close(2): all of them are there now. */
	_exit(write(ready, &byte, 1) != 1);
}

TEST_F_TIMEOUT(resets, all_in_one_turn_end_each_its_own_operation, 120)
{
	struct resets resets = { .loop = self->loop };
	int go[2], ready[2], status;
	struct weir_op accept = { 0 };
	char byte = 1;
	pid_t child;

	resets.victims = calloc(self->count, sizeof(*resets.victims));
	ASSERT_NE(NULL, resets.victims);
	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	weir_prep_accept(&accept, self->listener, 1024, victim_accepted, &resets);
	weir_submit(self->loop, &accept);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		/* If the parent fails, the read ends too. */
		close(go[1]);
		reset_all(&self->addr, self->count, go[0], ready[1]);
	}
	close(ready[1]);
	while (resets.accepted < self->count) {
		unsigned int before = resets.accepted;

		RUN_UNTIL(self->loop, resets.accepted > before);
	}
	/* Let each of them arm its receive. */
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	ASSERT_EQ(1, write(go[1], &byte, 1));
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);

	while (resets.closed < self->count) {
		unsigned int before = resets.closed;

		RUN_UNTIL(self->loop, resets.closed > before);
	}
	EXPECT_EQ(self->count, resets.reset);
	EXPECT_EQ(0, resets.other);
	EXPECT_EQ(1, stats_of(self->loop).files);
	EXPECT_EQ(1, weir_op_busy(&accept));
	weir_cancel(self->loop, &accept);
	RUN_UNTIL(self->loop, !weir_op_busy(&accept));
	free(resets.victims);
	close(ready[0]);
	close(go[0]);
	close(go[1]);
}

/* No descriptor is left in the process. Only epoll needs one for each client. */

TEST(with_every_descriptor_used_up_accepting_pauses_and_goes_on)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "epoll" };
	rlim_t limit = raise_descriptors();
	struct server server = { 0 };
	struct weir_loop *loop;
	int client, fd, last = -1;
	char byte = 'x', got = 0;
	rlim_t used = 0;

	OPEN_LOOP(&loop, &opts);
	ASSERT_EQ(0, server_open(loop, &server, 64));
	ASSERT_LE(0, weir_loop_run_once(loop, 0));
	client = client_open(&server.addr);
	ASSERT_LE(0, client);
	while ((fd = dup(client)) >= 0) {
		last = fd;
		used++;
	}
	ASSERT_EQ(EMFILE, errno);
	EXPECT_LT(limit - SPARE_FDS, used);
	RUN_UNTIL(loop, server.seen.events);
	EXPECT_EQ(-EMFILE, server.seen.res);
	EXPECT_EQ(0, server.seen.terminals);
	EXPECT_LT(0, stats_of(loop).accept_pauses);
	/* Nobody tells the loop that one is free: it looks from time to time. */
	close(last);
	RUN_UNTIL(loop, stats_of(loop).accepts == 1);
	EXPECT_EQ(1, send(client, &byte, 1, MSG_NOSIGNAL));
	EXPECT_EQ(1, do_recv(loop, server.seen.file, &got, 1));
	EXPECT_EQ(byte, got);
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

TEST_HARNESS_MAIN
