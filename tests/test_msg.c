// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_msg.c - messages: addresses, control messages, buffers of a pool, ends
 */
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>

#include "socks.h"
#include "kselftest_harness.h"

enum {
	BUF_BYTES	= 512,
	ROOM_NAME	= sizeof(struct sockaddr_in),
	NUMBERED	= 10000,
	WINDOW		= 12,		/* numbered messages on their way: no buffer overflows */
	HELD_MAX	= 4,
};

FIXTURE(msg)
{
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_file from;
	struct weir_file to;
	struct sockaddr_in from_addr;
	struct sockaddr_in to_addr;
};

BACKEND_VARIANTS(msg);

FIXTURE_SETUP(msg)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	/* Four to receive into. */
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = BUF_BYTES, .count = 5, .low = 1, .spare = 1,
	};

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, weir_pool_open(&self->pool, self->loop, &shape));
	ASSERT_EQ(0, bound_open(self->loop, SOCK_DGRAM, &self->from, &self->from_addr));
	ASSERT_EQ(0, bound_open(self->loop, SOCK_DGRAM, &self->to, &self->to_addr));
}

FIXTURE_TEARDOWN(msg)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(self->pool));
}

/* One receive from a pool, and what its last messages were. */
struct inbox {
	struct weir_op op;
	struct msghdr room;
	struct seen seen;
	struct weir_lease *held[HELD_MAX];
	bool hold;			/* keep the leases, until the pool is empty */
	unsigned int count;		/* that are kept */
	unsigned int messages;
	uint32_t next;			/* number of the next message, if they have one */
	unsigned int wrong;		/* messages that had another, or no address */
	struct sockaddr_in name;
	uint32_t len;
	uint32_t flags;
	uint32_t segment;
	int read;			/* of weir_msg_read(), at the last event */
	char text[64];
	int fds[4];
	uint32_t fds_count;
	uint64_t time_ns;
};

static void inbox_keep(struct inbox *inbox, struct weir_lease *lease)
{
	if (inbox->hold && lease)
		inbox->held[inbox->count++] = weir_lease_get(lease);
}

static void inbox_release(struct inbox *inbox)
{
	while (inbox->count)
		weir_lease_put(inbox->held[--inbox->count]);
}

static void inbox_event(struct weir_op *op)
{
	struct inbox *inbox = container_of(op, struct inbox, op);
	struct weir_msg msg;
	uint32_t number = 0;

	seen_done(op);
	inbox->read = weir_msg_read(op, &msg);
	if (inbox->read)
		return;
	inbox->messages++;
	inbox->wrong += (int)msg.len != op->res;
	inbox->len = msg.len;
	inbox->flags = msg.flags;
	inbox->segment = weir_msg_segment(&msg);
	if (msg.name_len == sizeof(inbox->name))
		memcpy(&inbox->name, msg.name, sizeof(inbox->name));
	snprintf(inbox->text, sizeof(inbox->text), "%.*s", (int)msg.len, (char *)msg.data);
	inbox->fds_count = weir_msg_fds(op->lib_loop, &msg, inbox->fds, 4);
	if (weir_msg_time(&msg, &inbox->time_ns))
		inbox->time_ns = 0;
	if (msg.len >= sizeof(number))
		memcpy(&number, msg.data, sizeof(number));
	inbox->wrong += number != inbox->next;
	inbox->next++;
	inbox_keep(inbox, op->lease);
}

static void inbox_open(struct inbox *inbox, struct weir_loop *loop, struct weir_file file,
		       struct weir_pool *pool, size_t control)
{
	inbox->room = (struct msghdr){ .msg_namelen = ROOM_NAME, .msg_controllen = control };
	weir_prep_recvmsg_pool(&inbox->op, file, pool, &inbox->room, inbox_event, &inbox->seen);
	weir_submit(loop, &inbox->op);
}

static int send_to(struct weir_loop *loop, struct weir_file file, const void *buf, size_t len,
		   const struct sockaddr_in *addr)
{
	struct letter letter;

	return do_sendmsg(loop, file, letter_out(&letter, buf, len, addr));
}

TEST_F(msg, a_datagram_comes_with_its_address)
{
	struct letter letter;
	struct sockaddr_in name;
	char text[32] = "";

	ASSERT_EQ(5, send_to(self->loop, self->from, "hello", 5, &self->to_addr));
	ASSERT_EQ(5, do_recvmsg(self->loop, self->to, letter_in(&letter, text, sizeof(text)), 0));
	EXPECT_STREQ("hello", text);
	ASSERT_EQ(sizeof(name), letter.msg.msg_namelen);
	memcpy(&name, &letter.name, sizeof(name));
	EXPECT_EQ(self->from_addr.sin_port, name.sin_port);
	EXPECT_EQ(htonl(INADDR_LOOPBACK), name.sin_addr.s_addr);
	EXPECT_EQ(0, letter.msg.msg_flags & MSG_TRUNC);
}

TEST_F(msg, a_receive_waits_for_its_datagram)
{
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	struct letter letter;
	char text[32] = "";

	letter_in(&letter, text, sizeof(text));
	weir_prep_recvmsg(&op, self->to, &letter.msg, 0, seen_done, &seen);
	weir_submit(self->loop, &op);
	ASSERT_EQ(5, send_to(self->loop, self->from, "hello", 5, &self->to_addr));
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_RESULT(&seen, 5, WEIR_ORIGIN_KERNEL);
	EXPECT_STREQ("hello", text);
}

TEST_F(msg, a_connected_socket_needs_no_address)
{
	char text[32] = "";

	ASSERT_EQ(0, do_connect(self->loop, self->from, (struct sockaddr *)&self->to_addr,
				sizeof(self->to_addr)));
	EXPECT_EQ(4, do_send(self->loop, self->from, "mail", 4));
	EXPECT_EQ(4, do_recv(self->loop, self->to, text, sizeof(text)));
	EXPECT_STREQ("mail", text);
}

TEST_F(msg, pieces_are_gathered_and_scattered)
{
	char head[4] = "", tail[8] = "";
	struct iovec out[2] = { { (char *)"abc", 3 }, { (char *)"defg", 4 } };
	struct iovec in[2] = { { head, 2 }, { tail, sizeof(tail) } };
	struct msghdr msg = {
		.msg_name = &self->to_addr, .msg_namelen = sizeof(self->to_addr),
		.msg_iov = out, .msg_iovlen = 2,
	};

	EXPECT_EQ(7, do_sendmsg(self->loop, self->from, &msg));
	msg = (struct msghdr){ .msg_iov = in, .msg_iovlen = 2 };
	EXPECT_EQ(7, do_recvmsg(self->loop, self->to, &msg, 0));
	EXPECT_STREQ("ab", head);
	EXPECT_STREQ("cdefg", tail);
}

TEST_F(msg, what_does_not_fit_is_cut_and_told)
{
	struct letter letter;
	char text[4] = "";

	ASSERT_EQ(5, send_to(self->loop, self->from, "hello", 5, &self->to_addr));
	EXPECT_EQ(3, do_recvmsg(self->loop, self->to, letter_in(&letter, text, 3), 0));
	EXPECT_EQ(0, memcmp("hello", text, 3));
	EXPECT_TRUE(letter.msg.msg_flags & MSG_TRUNC);
	ASSERT_EQ(5, send_to(self->loop, self->from, "hello", 5, &self->to_addr));
	EXPECT_EQ(5, do_recvmsg(self->loop, self->to, letter_in(&letter, text, 3), MSG_TRUNC));
}

TEST_F(msg, a_peek_leaves_the_message_there)
{
	struct letter letter;
	char text[8] = "";

	ASSERT_EQ(5, send_to(self->loop, self->from, "hello", 5, &self->to_addr));
	EXPECT_EQ(5, do_recvmsg(self->loop, self->to, letter_in(&letter, text, 8), MSG_PEEK));
	EXPECT_EQ(5, do_recvmsg(self->loop, self->to, letter_in(&letter, text, 8), 0));
}

TEST_F(msg, from_a_pool_each_message_has_its_parts)
{
	static struct inbox inbox;

	inbox_open(&inbox, self->loop, self->to, self->pool, 64);
	ASSERT_EQ(5, send_to(self->loop, self->from, "\0\0\0\0a", 5, &self->to_addr));
	RUN_UNTIL(self->loop, inbox.messages == 1);
	EXPECT_EQ(5, inbox.len);
	EXPECT_EQ(0, inbox.wrong);
	EXPECT_EQ(self->from_addr.sin_port, inbox.name.sin_port);
	EXPECT_EQ(0, inbox.flags & (MSG_TRUNC | MSG_CTRUNC));
	EXPECT_EQ(0, inbox.seen.terminals);
	weir_cancel(self->loop, &inbox.op);
	RUN_UNTIL(self->loop, inbox.seen.terminals);
	EXPECT_EQ(-ECANCELED, inbox.seen.res);
	EXPECT_EQ(-EINVAL, inbox.read);
}

TEST_F(msg, from_a_pool_what_does_not_fit_is_cut_and_told)
{
	static char big[BUF_BYTES];
	static struct inbox inbox;

	inbox_open(&inbox, self->loop, self->to, self->pool, 0);
	ASSERT_EQ(BUF_BYTES, send_to(self->loop, self->from, big, sizeof(big), &self->to_addr));
	RUN_UNTIL(self->loop, inbox.messages == 1);
	EXPECT_EQ(BUF_BYTES - sizeof(struct msg_head) - ROOM_NAME, inbox.len);
	EXPECT_TRUE(inbox.flags & MSG_TRUNC);
	EXPECT_EQ(0, inbox.wrong);
}

TEST_F(msg, a_datagram_without_bytes_does_not_end_it)
{
	static struct inbox inbox;

	inbox_open(&inbox, self->loop, self->to, self->pool, 0);
	ASSERT_EQ(0, send_to(self->loop, self->from, "", 0, &self->to_addr));
	RUN_UNTIL(self->loop, inbox.messages == 1);
	EXPECT_EQ(0, inbox.len);
	ASSERT_EQ(4, send_to(self->loop, self->from, "\1\0\0\0", 4, &self->to_addr));
	RUN_UNTIL(self->loop, inbox.messages == 2);
	EXPECT_EQ(4, inbox.len);
	EXPECT_EQ(0, inbox.seen.terminals);
}

TEST_F(msg, nor_does_it_end_a_receive_of_bytes_alone)
{
	static struct seen seen;
	static struct weir_op op;

	weir_prep_recv_pool(&op, self->to, self->pool, seen_done, &seen);
	weir_submit(self->loop, &op);
	ASSERT_EQ(0, send_to(self->loop, self->from, "", 0, &self->to_addr));
	RUN_UNTIL(self->loop, seen.events == 1);
	EXPECT_EQ(0, seen.res);
	ASSERT_EQ(2, send_to(self->loop, self->from, "ab", 2, &self->to_addr));
	RUN_UNTIL(self->loop, seen.events == 2);
	EXPECT_EQ(2, seen.res);
	EXPECT_EQ(0, seen.terminals);
}

/* Four buffers, and the user keeps them all for a while: the receive parks. */
TEST_F(msg, ten_thousand_come_in_order_through_an_empty_pool)
{
	static struct inbox inbox = { .hold = true };
	struct weir_pool_stats stats;
	unsigned char buf[64] = { 0 };
	uint32_t number;

	inbox_open(&inbox, self->loop, self->to, self->pool, 32);
	for (number = 0; number < NUMBERED; number++) {
		RUN_UNTIL(self->loop, inbox.count == HELD_MAX || number - inbox.messages < WINDOW);
		if (inbox.count == HELD_MAX)
			inbox_release(&inbox);
		memcpy(buf, &number, sizeof(number));
		ASSERT_EQ(sizeof(buf), send_to(self->loop, self->from, buf, sizeof(buf),
					       &self->to_addr));
	}
	while (inbox.messages < NUMBERED) {
		RUN_UNTIL(self->loop, inbox.count == HELD_MAX || inbox.messages == NUMBERED);
		inbox_release(&inbox);
	}
	inbox_release(&inbox);
	EXPECT_EQ(0, inbox.wrong);
	EXPECT_EQ(0, inbox.seen.terminals);
	weir_pool_stats(self->pool, &stats, sizeof(stats));
	EXPECT_LT(NUMBERED / HELD_MAX / 2, stats.parks);
	EXPECT_EQ(0, stats.free_min - 1);	/* the spare one */
}

TEST_F(msg, room_that_leaves_none_for_bytes_is_refused)
{
	struct msghdr room = { .msg_controllen = BUF_BYTES - sizeof(struct msg_head) };
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_recvmsg_pool(&op, self->to, self->pool, &room, seen_done, &seen);
	op_do(self->loop, &op);
	EXPECT_RESULT(&seen, -EINVAL, WEIR_ORIGIN_LIBRARY);
	room.msg_controllen = SIZE_MAX;
	EXPECT_EQ(-EINVAL, DO_OP(self->loop, weir_prep_recvmsg_pool, self->to, self->pool, &room));
	EXPECT_EQ(-EINVAL, DO_OP(self->loop, weir_prep_recvmsg_pool, self->to, self->pool, NULL));
}

TEST_F(msg, unknown_flags_and_vectors_that_overflow_are_refused)
{
	struct letter letter;
	char byte;

	letter_in(&letter, &byte, 1);
	EXPECT_EQ(-EINVAL, do_recvmsg(self->loop, self->to, &letter.msg, MSG_WAITALL));
	EXPECT_EQ(-EINVAL, do_recvmsg(self->loop, self->to, &letter.msg, MSG_DONTWAIT));
	EXPECT_EQ(-EINVAL, DO_OP(self->loop, weir_prep_sendmsg, self->to, &letter.msg, MSG_OOB));
	EXPECT_EQ(-EFAULT, do_recvmsg(self->loop, self->to, NULL, 0));
	letter.iov.iov_len = SIZE_MAX;
	EXPECT_EQ(-EINVAL, do_recvmsg(self->loop, self->to, &letter.msg, 0));
	letter.iov.iov_len = 1;
	letter.msg.msg_iovlen = SIZE_MAX;
	EXPECT_EQ(-EMSGSIZE, do_sendmsg(self->loop, self->to, &letter.msg));
}

TEST_F(msg, the_end_of_a_stream_ends_it)
{
	static struct inbox inbox;
	static struct server server;
	struct weir_file client, accepted;

	ASSERT_EQ(0, server_open(self->loop, &server, 4));
	ASSERT_EQ(0, pair_open(self->loop, &server, &client, &accepted));
	inbox_open(&inbox, self->loop, accepted, self->pool, 0);
	ASSERT_EQ(4, do_send(self->loop, client, "\0\0\0\0", 4));
	RUN_UNTIL(self->loop, inbox.messages == 1);
	ASSERT_EQ(0, do_close(self->loop, client));
	RUN_UNTIL(self->loop, inbox.seen.terminals);
	EXPECT_EQ(0, inbox.seen.res);
	EXPECT_EQ(-ENODATA, inbox.read);
	EXPECT_EQ(1, inbox.messages);
}

TEST_F(msg, control_messages_are_walked_within_their_bounds)
{
	uint64_t control[8];
	struct msghdr out = { .msg_control = control };
	struct weir_msg msg = { .control = control };
	struct weir_cmsg cmsg = { 0 };
	struct cmsghdr *head = (void *)control;
	int value = 7;

	ASSERT_EQ(0, weir_msg_put(&out, sizeof(control), SOL_SOCKET, 77, &value, sizeof(value)));
	ASSERT_EQ(0, weir_msg_put_segment(&out, sizeof(control), 1200));
	EXPECT_EQ(-ENOSPC, weir_msg_put(&out, sizeof(control), SOL_SOCKET, 78, &value,
					sizeof(value)));
	EXPECT_EQ(-EINVAL, weir_msg_put_fds(&out, sizeof(control), &value, 0));
	EXPECT_EQ(-EINVAL, weir_msg_put_fds(&out, sizeof(control), &value, 254));
	EXPECT_EQ(-EINVAL, weir_msg_put_segment(&out, sizeof(control), 0));
	msg.control_len = (uint32_t)out.msg_controllen;
	ASSERT_EQ(1, weir_msg_next(&msg, &cmsg));
	EXPECT_EQ(77, cmsg.type);
	EXPECT_EQ(sizeof(value), cmsg.len);
	EXPECT_EQ(0, memcmp(&value, cmsg.data, sizeof(value)));
	ASSERT_EQ(1, weir_msg_next(&msg, &cmsg));
	EXPECT_EQ(IPPROTO_UDP, cmsg.level);
	EXPECT_EQ(0, weir_msg_next(&msg, &cmsg));
	/* Lengths that lie. */
	head->cmsg_len = SIZE_MAX;
	EXPECT_EQ(0, weir_msg_next(&msg, &(struct weir_cmsg){ 0 }));
	head->cmsg_len = sizeof(*head) - 1;
	EXPECT_EQ(0, weir_msg_next(&msg, &(struct weir_cmsg){ 0 }));
	msg.control_len = sizeof(*head) - 1;
	EXPECT_EQ(0, weir_msg_next(&msg, &(struct weir_cmsg){ 0 }));
}

/* The simulated kernel has no socketpair(2). */
static int sim_pair(struct weir_loop *loop, int fds[2])
{
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "/pair" };
	const struct sockaddr *addr = (const struct sockaddr *)&name;
	int listener = loop->sys->socket(loop, AF_UNIX, SOCK_STREAM, 0);
	int err;

	fds[0] = loop->sys->socket(loop, AF_UNIX, SOCK_STREAM, 0);
	err = loop->sys->bind(loop, listener, addr, sizeof(name));
	if (!err)
		err = loop->sys->listen(loop, listener, 1);
	if (!err)
		err = loop->sys->connect(loop, fds[0], addr, sizeof(name));
	if (!err)
		fds[1] = loop->sys->accept(loop, listener);
	loop->sys->close(loop, listener);
	return err ? err : fds[1] < 0 ? fds[1] : 0;
}

/* A pair of connected Unix sockets, named by nobody. */
static int unix_pair(struct weir_loop *a_loop, struct weir_loop *b_loop, struct weir_file *a,
		     struct weir_file *b)
{
	int fds[2], err;

	if (on_sim(a_loop))
		err = sim_pair(a_loop, fds);
	else
		err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) ? -errno : 0;
	if (!err)
		err = weir_file_adopt(a_loop, fds[0], a);
	return err ? err : weir_file_adopt(b_loop, fds[1], b);
}

/* Send the write end of a pipe; @readp is its other end. */
static int send_pipe(struct weir_loop *loop, struct weir_file file, int *readp)
{
	struct letter letter;
	int fds[2], err;

	err = loop->sys->pipe(loop, fds);
	if (err)
		return err;
	letter_out(&letter, "\0\0\0\0", 4, NULL);
	err = weir_msg_put_fds(&letter.msg, sizeof(letter.control), &fds[1], 1);
	if (!err)
		err = do_sendmsg(loop, file, &letter.msg);
	loop->sys->close(loop, fds[1]);
	*readp = fds[0];
	return err;
}

/* Descriptors of the loop's kernel, whichever that is. */
static int fd_read(struct weir_loop *loop, int fd, char *buf, uint32_t len)
{
	return loop->sys->read(loop, fd, buf, len, 0);
}

static bool is_cloexec(struct weir_loop *loop, int fd)
{
	return on_sim(loop) || fcntl(fd, F_GETFD) == FD_CLOEXEC;
}

TEST_F(msg, a_descriptor_goes_from_loop_to_loop)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	struct weir_file here, there, passed;
	struct weir_loop *other;
	struct letter letter;
	struct weir_msg msg;
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	char text[8] = "";
	int fd = -1, in;

	if (on_sim(self->loop))
		SKIP(return, "a simulated world has one loop");
	OPEN_LOOP(&other, &opts);
	ASSERT_EQ(0, unix_pair(self->loop, other, &here, &there));
	ASSERT_EQ(4, send_pipe(self->loop, here, &in));
	weir_prep_recvmsg(&op, there, letter_in(&letter, text, sizeof(text)), 0, seen_done, &seen);
	ASSERT_EQ(4, op_do(other, &op));
	ASSERT_EQ(0, weir_msg_read(&op, &msg));
	ASSERT_EQ(1, weir_msg_fds(other, &msg, &fd, 1));
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, weir_msg_fds(other, &msg, &fd, 1));
	ASSERT_EQ(0, weir_file_adopt(other, fd, &passed));
	EXPECT_EQ(4, do_write(other, passed, "pass", 4, 0));
	EXPECT_EQ(4, read(in, text, sizeof(text)));
	EXPECT_EQ(0, memcmp("pass", text, 4));
	EXPECT_EQ(0, do_close(other, passed));
	EXPECT_EQ(0, read(in, text, sizeof(text)));
	close(in);
	EXPECT_EQ(0, weir_loop_close(other, LIMIT_NS));
}

TEST_F(msg, a_descriptor_comes_into_a_buffer_of_a_pool)
{
	static struct inbox inbox;
	struct weir_file here, there;
	char text[8];
	int in;

	ASSERT_EQ(0, unix_pair(self->loop, self->loop, &here, &there));
	inbox_open(&inbox, self->loop, there, self->pool, CMSG_SPACE(sizeof(int)));
	ASSERT_EQ(4, send_pipe(self->loop, here, &in));
	RUN_UNTIL(self->loop, inbox.messages == 1);
	ASSERT_EQ(1, inbox.fds_count);
	EXPECT_TRUE(is_cloexec(self->loop, inbox.fds[0]));
	EXPECT_EQ(2, self->loop->sys->write(self->loop, inbox.fds[0], "ok", 2, 0));
	EXPECT_EQ(2, fd_read(self->loop, in, text, sizeof(text)));
	self->loop->sys->close(self->loop, inbox.fds[0]);
	self->loop->sys->close(self->loop, in);
}

TEST_F(msg, descriptors_that_are_not_taken_are_closed)
{
	struct weir_file here, there;
	struct letter letter;
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	struct weir_msg msg;
	char text[8];
	int in;

	ASSERT_EQ(0, unix_pair(self->loop, self->loop, &here, &there));
	ASSERT_EQ(4, send_pipe(self->loop, here, &in));
	weir_prep_recvmsg(&op, there, letter_in(&letter, text, sizeof(text)), 0, seen_done, &seen);
	ASSERT_EQ(4, op_do(self->loop, &op));
	ASSERT_EQ(0, weir_msg_read(&op, &msg));
	EXPECT_EQ(0, weir_msg_fds(self->loop, &msg, NULL, 0));
	/* Nobody has its other end any more. */
	EXPECT_EQ(0, fd_read(self->loop, in, text, sizeof(text)));
	self->loop->sys->close(self->loop, in);
	/* And with no room the kernel takes none out. */
	ASSERT_EQ(4, send_pipe(self->loop, here, &in));
	letter_in(&letter, text, sizeof(text))->msg_controllen = 0;
	EXPECT_EQ(4, do_recvmsg(self->loop, there, &letter.msg, 0));
	EXPECT_TRUE(letter.msg.msg_flags & MSG_CTRUNC);
	EXPECT_EQ(0, fd_read(self->loop, in, text, sizeof(text)));
	self->loop->sys->close(self->loop, in);
}

TEST_F(msg, the_sender_of_a_unix_message_is_told)
{
	struct weir_creds creds = { 0 };
	struct weir_file here, there;
	struct letter letter;
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	struct weir_msg msg;
	char text[8];
	int on = 1;

	ASSERT_EQ(0, unix_pair(self->loop, self->loop, &here, &there));
	ASSERT_EQ(0, do_set(self->loop, there, WEIR_OPTION_PASSCRED, &on));
	ASSERT_EQ(1, do_send(self->loop, here, "x", 1));
	weir_prep_recvmsg(&op, there, letter_in(&letter, text, sizeof(text)), 0, seen_done, &seen);
	ASSERT_EQ(1, op_do(self->loop, &op));
	ASSERT_EQ(0, weir_msg_read(&op, &msg));
	ASSERT_EQ(0, weir_msg_creds(&msg, &creds));
	/* One process lives in the simulated kernel, and it is root. */
	EXPECT_EQ(on_sim(self->loop) ? 1 : getpid(), creds.pid);
	EXPECT_EQ(on_sim(self->loop) ? 0 : getuid(), creds.uid);
	EXPECT_EQ(on_sim(self->loop) ? 0 : getgid(), creds.gid);
}

/* What the kernel's stamps count in. */
static uint64_t wall_ns(struct weir_loop *loop)
{
	struct timespec ts;

	if (on_sim(loop))
		return loop->sys->now(loop);
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

TEST_F(msg, the_time_of_receipt_is_told)
{
	static struct inbox inbox;
	uint64_t before, after;
	int on = 1;

	ASSERT_EQ(0, do_set(self->loop, self->to, WEIR_OPTION_TIMESTAMPNS, &on));
	inbox_open(&inbox, self->loop, self->to, self->pool, 64);
	before = wall_ns(self->loop);
	ASSERT_EQ(4, send_to(self->loop, self->from, "\0\0\0\0", 4, &self->to_addr));
	RUN_UNTIL(self->loop, inbox.messages == 1);
	after = wall_ns(self->loop);
	EXPECT_LE(before, inbox.time_ns);
	EXPECT_GE(after, inbox.time_ns);
}

TEST_F(msg, one_send_is_cut_into_segments_and_they_come_merged)
{
	enum { SEGMENT = 1000, COUNT = 20, TAIL = 123, TOTAL = SEGMENT * COUNT + TAIL };
	static unsigned char out[TOTAL], in[65536];
	struct letter letter;
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	struct weir_msg msg;
	unsigned int i, got = 0;
	int on = 1;

	for (i = 0; i < TOTAL; i++)
		out[i] = (unsigned char)(i * 31 + i / SEGMENT);
	ASSERT_EQ(0, do_set(self->loop, self->to, WEIR_OPTION_UDP_GRO, &on));
	letter_out(&letter, out, TOTAL, &self->to_addr);
	ASSERT_EQ(0, weir_msg_put_segment(&letter.msg, sizeof(letter.control), SEGMENT));
	ASSERT_EQ(TOTAL, do_sendmsg(self->loop, self->from, &letter.msg));
	while (got < TOTAL) {
		letter_in(&letter, in, sizeof(in));
		weir_prep_recvmsg(&op, self->to, &letter.msg, 0, seen_done, &seen);
		ASSERT_LT(0, op_do(self->loop, &op));
		ASSERT_EQ(0, weir_msg_read(&op, &msg));
		EXPECT_EQ(0, msg.flags & MSG_TRUNC);
		ASSERT_LE(got + msg.len, TOTAL);
		EXPECT_EQ(0, memcmp(out + got, in, msg.len));
		if (msg.len > SEGMENT)
			EXPECT_EQ(SEGMENT, weir_msg_segment(&msg));
		got += msg.len;
	}
	/* They did come merged, or this has tested nothing. */
	EXPECT_GT(COUNT, seen.terminals);
}

TEST_F(msg, an_error_of_the_net_is_read_from_the_error_queue)
{
	struct sock_extended_err error;
	struct weir_cmsg cmsg = { 0 };
	struct sockaddr_in nobody;
	struct weir_file deaf;
	struct letter letter;
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	struct weir_msg msg;
	char text[8];
	int on = 1;

	if (on_sim(self->loop))
		SKIP(return, "an error queue of the simulated kernel is always empty");
	/* Nobody else gets the address, and who is connected to himself hears no other. */
	ASSERT_EQ(0, bound_open(self->loop, SOCK_DGRAM, &deaf, &nobody));
	ASSERT_EQ(0, do_connect(self->loop, deaf, (struct sockaddr *)&nobody, sizeof(nobody)));
	ASSERT_EQ(0, DO_OP(self->loop, weir_prep_setsockopt, self->from, IPPROTO_IP, IP_RECVERR,
			   &on, sizeof(on)));
	weir_prep_recvmsg(&op, self->from, letter_in(&letter, text, sizeof(text)), MSG_ERRQUEUE,
			  seen_done, &seen);
	weir_submit(self->loop, &op);
	ASSERT_EQ(2, send_to(self->loop, self->from, "hi", 2, &nobody));
	RUN_UNTIL(self->loop, seen.terminals);
	ASSERT_EQ(2, seen.res);
	ASSERT_EQ(0, weir_msg_read(&op, &msg));
	EXPECT_TRUE(msg.flags & MSG_ERRQUEUE);
	ASSERT_EQ(1, weir_msg_next(&msg, &cmsg));
	EXPECT_EQ(IP_RECVERR, cmsg.type);
	ASSERT_LE(sizeof(error), cmsg.len);
	memcpy(&error, cmsg.data, sizeof(error));
	EXPECT_EQ(ECONNREFUSED, error.ee_errno);
}

/* pipes */

struct tap {
	struct weir_op op;
	struct seen seen;
	char text[64];
	size_t len;
};

static void tap_event(struct weir_op *op)
{
	struct tap *tap = container_of(op, struct tap, op);

	seen_done(op);
	if (op->res <= 0)
		return;
	memcpy(tap->text + tap->len, weir_lease_data(op->lease), (size_t)op->res);
	tap->len += (size_t)op->res;
}

TEST_F(msg, a_pipe_is_read_into_a_pool_until_its_end)
{
	static struct tap tap;
	struct weir_file in, out;

	ASSERT_EQ(0, weir_pipe_open(self->loop, &in, &out));
	weir_prep_read_pool(&tap.op, in, self->pool, tap_event, &tap.seen);
	weir_submit(self->loop, &tap.op);
	ASSERT_EQ(3, do_write(self->loop, out, "one", 3, 0));
	RUN_UNTIL(self->loop, tap.len == 3);
	ASSERT_EQ(3, do_write(self->loop, out, "two", 3, 0));
	RUN_UNTIL(self->loop, tap.len == 6);
	EXPECT_EQ(0, tap.seen.terminals);
	ASSERT_EQ(0, do_close(self->loop, out));
	RUN_UNTIL(self->loop, tap.seen.terminals);
	EXPECT_EQ(0, tap.seen.res);
	EXPECT_EQ(0, memcmp("onetwo", tap.text, 6));
}

TEST_F(msg, a_regular_file_is_not_read_in_that_way)
{
	struct weir_file file;
	const char *path = on_sim(self->loop) ? "/file" : "/proc/self/exe";

	ASSERT_EQ(0, weir_file_open(self->loop, path, on_sim(self->loop) ? O_RDWR | O_CREAT :
				    O_RDONLY, 0600, &file));
	EXPECT_EQ(-EBADFD, DO_OP(self->loop, weir_prep_read_pool, file, self->pool));
}

TEST_HARNESS_MAIN
