// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_regress.c - faults that were found once and must not come back
 */
#include <linux/netlink.h>
#include <sys/un.h>

#include "backends.h"
#include "kselftest_harness.h"

static struct weir_loop *loop_with(struct __test_metadata *_metadata,
				   struct weir_loop_opts *opts)
{
	struct weir_loop *loop = NULL;

	OPEN_LOOP(&loop, opts);
	return loop;
}

/* What ends a run that nothing else ends. */
struct watchdog {
	struct weir_op op;
	bool bit;
};

static void watchdog_done(struct weir_op *op)
{
	struct watchdog *dog = op->ctx;

	if (op->res)
		return;
	dog->bit = true;
	weir_loop_stop(op->lib_loop);
}

static void watchdog_start(struct weir_loop *loop, struct watchdog *dog)
{
	weir_prep_timeout(&dog->op, loop->sys->now(loop) + STALL_NS, watchdog_done, dog);
	weir_submit(loop, &dog->op);
}

/* Where sockets of this process and real time are needed. */

FIXTURE(kernel)
{
	struct weir_loop_opts opts;
	struct weir_loop *loop;
};

KERNEL_VARIANTS(kernel);

FIXTURE_SETUP(kernel)
{
	self->opts.sz = sizeof(self->opts);
	self->opts.backend = variant->name;
}

FIXTURE_TEARDOWN(kernel)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

static int plain_client(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* An accept that gives up when there is no file, and takes another op with it. */
struct quitter {
	struct weir_op *accept;
	struct weir_op other;
	unsigned int terminals;
	unsigned int pauses;
	struct seen other_seen;
	char byte;
};

static void quitter_done(struct weir_op *op)
{
	struct quitter *quitter = op->ctx;

	if (!op->more) {
		quitter->terminals++;
		quitter->accept = NULL;
		memset(op, 0x5a, sizeof(*op));
		free(op);
		return;
	}
	if (op->res != -ENFILE)
		return;
	quitter->pauses++;
	weir_cancel(op->lib_loop, op);
	weir_cancel(op->lib_loop, &quitter->other);
}

TEST_F(kernel, an_accept_that_pauses_may_be_cancelled_by_that_event)
{
	struct quitter quitter = { 0 };
	struct sockaddr_in addr;
	struct weir_file listener, file;
	int pair[2], fd[6], i;

	self->opts.files_max = 4;
	self->loop = loop_with(_metadata, &self->opts);
	ASSERT_EQ(0, listener_open(self->loop, 16, &listener, &addr));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, weir_file_adopt(self->loop, pair[0], &file));
	weir_prep_recv(&quitter.other, file, &quitter.byte, 1, seen_done, &quitter.other_seen);
	weir_submit(self->loop, &quitter.other);
	quitter.accept = calloc(1, sizeof(*quitter.accept));
	ASSERT_NE(NULL, quitter.accept);
	weir_prep_accept(quitter.accept, listener, 16, quitter_done, &quitter);
	weir_submit(self->loop, quitter.accept);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	for (i = 0; i < 6; i++) {
		fd[i] = plain_client(&addr);
		ASSERT_LE(0, fd[i]);
	}
	RUN_UNTIL(self->loop, quitter.pauses || stats_of(self->loop).accept_pauses);
	/* One that pauses before it asks the kernel tells nobody. */
	if (quitter.accept && !quitter.pauses) {
		weir_cancel(self->loop, quitter.accept);
		weir_cancel(self->loop, &quitter.other);
	}
	RUN_UNTIL(self->loop, quitter.terminals && quitter.other_seen.terminals);
	for (i = 0; i < 4; i++)
		ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(1, quitter.terminals);
	EXPECT_RESULT(&quitter.other_seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_EQ(0, stats_of(self->loop).inflight);
	for (i = 0; i < 6; i++)
		close(fd[i]);
	close(pair[1]);
}

/* Of the sockets of a process that does not read, netlink's lose messages. */
TEST_F(kernel, a_plain_receive_may_end_with_enobufs)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	static struct { struct nlmsghdr head; char text[2000]; } message;
	int in, out, least = 1, i;
	struct weir_file file;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	char buf[4096];

	self->loop = loop_with(_metadata, &self->opts);
	in = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
	out = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK);
	if (in < 0 || out < 0 || bind(in, (struct sockaddr *)&addr, sizeof(addr)))
		SKIP(return, "no netlink socket here: %s", weir_strerror(-errno));
	ASSERT_EQ(0, setsockopt(in, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)));
	message.head.nlmsg_len = sizeof(message);
	for (i = 0; i < 50; i++)
		sendto(out, &message, sizeof(message), MSG_DONTWAIT, (struct sockaddr *)&addr,
		       sizeof(addr));
	ASSERT_EQ(0, weir_file_adopt(self->loop, in, &file));
	weir_prep_recv(&op, file, buf, sizeof(buf), seen_done, &seen);
	EXPECT_EQ(-ENOBUFS, op_do(self->loop, &op));
	EXPECT_RESULT(&seen, -ENOBUFS, WEIR_ORIGIN_KERNEL);
	/* What it kept comes after that. */
	EXPECT_EQ((int)sizeof(message), do_recv(self->loop, file, buf, sizeof(buf)));
	close(out);
}

/*
 * Connects take places in the file table between the moment an accept is armed
 * and the moment the kernel carries it out: it must not take a client then for
 * which there is no place, and drop it.
 */
TEST_F(kernel, connects_never_make_an_accept_drop_a_client)
{
	enum { CONNECTS = 70, CLIENTS = 4 };
	static struct weir_op connects[CONNECTS];
	static struct seen seen[CONNECTS];
	struct sockaddr_in other = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(other);
	struct server server = { 0 };
	int sink, fd[CLIENTS], i, ok = 0;
	char byte;

	self->opts.files_max = 64;
	self->loop = loop_with(_metadata, &self->opts);
	ASSERT_EQ(0, server_open(self->loop, &server, 16));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	sink = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(0, bind(sink, (struct sockaddr *)&other, len));
	ASSERT_EQ(0, listen(sink, 256));
	ASSERT_EQ(0, getsockname(sink, (struct sockaddr *)&other, &len));
	memset(connects, 0, sizeof(connects));
	memset(seen, 0, sizeof(seen));
	for (i = 0; i < CONNECTS; i++) {
		weir_prep_connect(&connects[i], (struct sockaddr *)&other, sizeof(other),
				  seen_done, &seen[i]);
		weir_submit(self->loop, &connects[i]);
	}
	for (i = 0; i < CONNECTS; i++) {
		RUN_UNTIL(self->loop, seen[i].terminals);
		ASSERT_TRUE(!seen[i].res || seen[i].res == -ENFILE);
		ok += !seen[i].res;
	}
	EXPECT_LE(60, ok);
	for (i = 0; i < CLIENTS; i++) {
		fd[i] = plain_client(&server.addr);
		ASSERT_LE(0, fd[i]);
		ASSERT_EQ(1, send(fd[i], "x", 1, MSG_NOSIGNAL));
	}
	/* All that the kernel would do now, it does. */
	for (i = 0; i < 8; i++)
		ASSERT_LE(0, weir_loop_run_once(self->loop, NSEC_PER_MSEC));
	for (i = 0; i < CLIENTS; i++) {
		ASSERT_EQ(-1, recv(fd[i], &byte, 1, MSG_DONTWAIT));
		ASSERT_EQ(EAGAIN, errno);
	}
	/* Places come free: each is served. */
	for (i = 0; i < CONNECTS; i++) {
		if (!seen[i].res)
			ASSERT_EQ(0, do_close(self->loop, seen[i].file));
	}
	RUN_UNTIL(self->loop, stats_of(self->loop).accepts == CLIENTS);
	EXPECT_EQ(1 + CLIENTS, stats_of(self->loop).files);
	EXPECT_EQ(0, server.seen.terminals);
	for (i = 0; i < CLIENTS; i++)
		close(fd[i]);
	close(sink);
	weir_cancel(self->loop, &server.accept);
	RUN_UNTIL(self->loop, server.seen.terminals);
}

/* @waiting ops hold all places when the send and the shutdown are submitted. */
static void shutdown_after_send(struct __test_metadata *_metadata, struct weir_loop *loop,
				unsigned int waiting)
{
	struct seen seen[6] = { 0 };
	struct weir_op op[6] = { 0 };
	struct weir_file file;
	unsigned int i;
	char buf[8];
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, weir_file_adopt(loop, pair[0], &file));
	for (i = 0; i < waiting; i++) {
		weir_prep_poll(&op[i], file, POLLIN, seen_done, &seen[i]);
		weir_submit(loop, &op[i]);
	}
	if (waiting)
		ASSERT_LE(0, weir_loop_run_once(loop, 0));
	weir_prep_send(&op[4], file, "hello", 5, seen_done, &seen[4]);
	weir_submit(loop, &op[4]);
	weir_prep_shutdown(&op[5], file, SHUT_WR, seen_done, &seen[5]);
	weir_submit(loop, &op[5]);
	EXPECT_EQ(2, stats_of(loop).waiting);
	for (i = 0; i < waiting; i++)
		weir_cancel(loop, &op[i]);
	RUN_UNTIL(loop, seen[4].terminals && seen[5].terminals);
	EXPECT_EQ(5, seen[4].res);
	EXPECT_EQ(0, seen[5].res);
	EXPECT_LT(seen[4].serial, seen[5].serial);
	EXPECT_EQ(5, recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT));
	EXPECT_EQ(0, recv(pair[1], buf, sizeof(buf), MSG_DONTWAIT));
	for (i = 0; i < waiting; i++)
		RUN_UNTIL(loop, seen[i].terminals);
	EXPECT_EQ(0, do_close(loop, file));
	close(pair[1]);
}

TEST_F(kernel, a_shutdown_never_overtakes_a_send_that_waits)
{
	self->opts.ops_max = 4;
	self->loop = loop_with(_metadata, &self->opts);
	/* For the loop to be run, and for places. */
	shutdown_after_send(_metadata, self->loop, 0);
	shutdown_after_send(_metadata, self->loop, 4);
}

/*
 * connect(2) to AF_UNIX waits for room in the backlog; on a socket that may not
 * block it fails, and nothing tells when there is room. io_uring lets a thread of
 * its own wait.
 */
TEST_F(kernel, a_connect_to_a_full_backlog_is_not_taken_for_connected)
{
	bool waits = !strcmp(variant->name, "uring");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(addr);
	struct weir_op op[4] = { 0 };
	struct seen seen[4] = { 0 };
	int listener, fd, i;

	self->loop = loop_with(_metadata, &self->opts);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* No name: the kernel chooses an abstract one. */
	ASSERT_EQ(0, bind(listener, (struct sockaddr *)&addr, sizeof(addr.sun_family)));
	ASSERT_EQ(0, listen(listener, 0));
	ASSERT_EQ(0, getsockname(listener, (struct sockaddr *)&addr, &len));
	for (i = 0; i < 4; i++) {
		weir_prep_connect(&op[i], (struct sockaddr *)&addr, len, seen_done, &seen[i]);
		if (!i) {
			ASSERT_EQ(0, op_do(self->loop, &op[i]));
			continue;
		}
		op[i].deadline_ns = weir_loop_now(self->loop) + 200 * NSEC_PER_MSEC;
		weir_submit(self->loop, &op[i]);
	}
	for (i = 1; i < 4; i++) {
		RUN_UNTIL(self->loop, seen[i].terminals);
		if (waits)
			EXPECT_RESULT(&seen[i], -ETIME, WEIR_ORIGIN_DEADLINE);
		else
			EXPECT_RESULT(&seen[i], -EAGAIN, WEIR_ORIGIN_KERNEL);
	}
	EXPECT_EQ(1, stats_of(self->loop).files);
	/* There is room: as ever. */
	fd = accept(listener, NULL, NULL);
	ASSERT_LE(0, fd);
	op[1].deadline_ns = 0;
	EXPECT_EQ(0, op_do(self->loop, &op[1]));
	EXPECT_EQ(2, stats_of(self->loop).files);
	close(fd);
	close(listener);
}

/* On every backend. */

FIXTURE(regress)
{
	struct weir_loop *loop;
	struct server server;
};

BACKEND_VARIANTS(regress);

FIXTURE_SETUP(regress)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 64));
}

FIXTURE_TEARDOWN(regress)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

struct keeper {
	struct weir_op op;
	struct weir_file client;
	struct weir_file file;
	struct weir_lease *kept[6];
	unsigned int count;
	unsigned int events;
	bool keeps;
};

static void keeper_done(struct weir_op *op)
{
	struct keeper *keeper = op->ctx;

	if (op->res <= 0)
		return;
	keeper->events++;
	if (keeper->keeps)
		keeper->kept[keeper->count++] = weir_lease_get(op->lease);
}

/*
 * Far more receives wait than there are buffers, and the one that has data is
 * the last of them: those before it must not keep it waiting.
 */
TEST_F(regress, parked_receives_are_armed_while_buffers_are_free)
{
	enum { WAITING = 20 };
	static struct keeper keeper[1 + WAITING];
	/* Six to receive into, one of them below the mark. */
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = 256, .count = 8, .low = 1, .spare = 2,
	};
	struct weir_pool *pool;
	unsigned int i;

	ASSERT_EQ(0, weir_pool_open(&pool, self->loop, &shape));
	for (i = 0; i < ARRAY_SIZE(keeper); i++) {
		ASSERT_EQ(0, pair_open(self->loop, &self->server, &keeper[i].client,
				       &keeper[i].file));
		weir_prep_recv_pool(&keeper[i].op, keeper[i].file, pool, keeper_done,
				    &keeper[i]);
	}
	keeper[0].keeps = true;
	weir_submit(self->loop, &keeper[0].op);
	for (i = 1; i <= 6; i++) {
		ASSERT_EQ(1, do_send(self->loop, keeper[0].client, "k", 1));
		RUN_UNTIL(self->loop, keeper[0].count == i);
	}
	for (i = 1; i < ARRAY_SIZE(keeper); i++)
		weir_submit(self->loop, &keeper[i].op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	ASSERT_EQ(5, do_send(self->loop, keeper[WAITING].client, "hello", 5));
	EXPECT_EQ(0, keeper[WAITING].events);
	while (keeper[0].count)
		weir_lease_put(keeper[0].kept[--keeper[0].count]);
	/* No timer either: nothing but the data ends a turn. */
	RUN_UNTIL(self->loop, keeper[WAITING].events);
}

TEST_F(regress, a_stop_ends_one_wait_of_run_once)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int turns;

	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	weir_prep_timeout(&op, self->loop->sys->now(self->loop) + 50 * NSEC_PER_MSEC, seen_done,
			  &seen);
	weir_submit(self->loop, &op);
	weir_loop_stop(self->loop);
	EXPECT_EQ(0, weir_loop_run_once(self->loop, LIMIT_NS));
	EXPECT_EQ(0, seen.terminals);
	/*
	 * Its wake may end one more, and so may the wheel on its way to the
	 * deadline. Turns that do not wait would be through long before it.
	 */
	for (turns = 0; turns < 30 && !seen.terminals; turns++)
		ASSERT_LE(0, weir_loop_run_once(self->loop, LIMIT_NS));
	EXPECT_RESULT(&seen, 0, WEIR_ORIGIN_KERNEL);
}

/* As another owner of the same memory would leave it. */
static void reuse_done(struct weir_op *op)
{
	memset(op, 0x5a, sizeof(*op));
	op->lib_magic = OP_MAGIC_BUSY;
}

TEST_F(regress, run_until_does_not_look_at_an_operation_that_has_ended)
{
	static struct watchdog dog;
	struct weir_op op = { 0 };

	watchdog_start(self->loop, &dog);
	weir_prep_nop(&op, reuse_done, NULL);
	weir_submit(self->loop, &op);
	EXPECT_EQ(0, weir_loop_run_until(self->loop, &op));
	EXPECT_FALSE(dog.bit);
}

TEST(each_errno_value_has_its_name_and_a_text)
{
	int err;

	for (err = 1; err <= EHWPOISON; err++) {
		const char *name = strerrorname_np(err);
		const char *text = weir_strerror(-err);

		/* 41 and 58 have none. */
		if (!name) {
			EXPECT_STREQ("unknown error", text);
			continue;
		}
		EXPECT_EQ(0, strncmp(text, name, strlen(name)));
		EXPECT_EQ(0, strncmp(text + strlen(name), ": ", 2));
		EXPECT_LT(strlen(name) + 2, strlen(text));
		EXPECT_STREQ(text, weir_strerror(err));
	}
	EXPECT_STREQ("unknown error", weir_strerror(-EHWPOISON - 1));
	EXPECT_STREQ("unknown error", weir_strerror(INT32_MIN));
}

TEST_HARNESS_MAIN
