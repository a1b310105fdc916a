// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_simsock.c - datagrams, AF_UNIX, messages and options of the simulated
 * kernel, one call at a time
 */
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <weir/file.h>

#include "io/sim.h"
#include "sim_util.h"

#include "kselftest_harness.h"

static void log_line(void *ctx, enum weir_log_level level, const char *text)
{
	if (level <= WEIR_LOG_WARN)
		snprintf(ctx, 256, "%s", text);
}

FIXTURE(sim) {
	struct weir_loop *loop;
	const struct io_sys *sys;
	char text[256];		/* the last line of a warning or worse */
};

FIXTURE_SETUP(sim)
{
	struct weir_log log = { log_line, self->text, WEIR_LOG_DEBUG };
	struct weir_sim_opts sim = { .sz = sizeof(sim), .socket_bytes = 8192 };
	struct weir_loop_opts opts = {
		.sz		= sizeof(opts),
		.backend	= "sim",
		.log		= &log,
		.sim		= &sim,
		.seed		= 1,
		.ops_max	= 64,
		.files_max	= 16,
	};

	ASSERT_EQ(0, weir_loop_open(&self->loop, &opts));
	self->sys = self->loop->sys;
	ASSERT_EQ(1, weir_loop_run(self->loop));
}

FIXTURE_TEARDOWN(sim)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, NSEC_PER_SEC));
	EXPECT_EQ(0, self->text[0]) TH_LOG("%s", self->text);
}

static struct sockaddr_un unix_name(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memcpy(addr.sun_path, path, strlen(path) + 1);
	return addr;
}

/* A socket with a name of AF_UNIX. */
static int unix_socket(struct weir_loop *loop, int type, const char *path)
{
	struct sockaddr_un addr = unix_name(path);
	int fd = loop->sys->socket(loop, AF_UNIX, type, 0);

	int err;

	if (fd < 0)
		return fd;
	err = loop->sys->bind(loop, fd, (struct sockaddr *)&addr, sizeof(addr));
	if (err)
		loop->sys->close(loop, fd);
	return err ? err : fd;
}

static int unix_connect(struct weir_loop *loop, int fd, const char *path)
{
	struct sockaddr_un addr = unix_name(path);

	return loop->sys->connect(loop, fd, (struct sockaddr *)&addr, sizeof(addr));
}

/* Two ends of a connection of AF_UNIX. */
static int unix_pair(struct weir_loop *loop, int type, int fds[2])
{
	int listener;

	if (type == SOCK_DGRAM) {
		fds[0] = unix_socket(loop, type, "left");
		fds[1] = unix_socket(loop, type, "right");
		return unix_connect(loop, fds[0], "right") || unix_connect(loop, fds[1], "left");
	}
	listener = unix_socket(loop, type, "listener");
	fds[0] = loop->sys->socket(loop, AF_UNIX, type, 0);
	if (listener < 0 || loop->sys->listen(loop, listener, 1) ||
	    unix_connect(loop, fds[0], "listener"))
		return -1;
	fds[1] = loop->sys->accept(loop, listener);
	return loop->sys->close(loop, listener);
}

/* A UDP socket on a port of the kernel's choice. */
static int udp_socket(struct weir_loop *loop, struct sockaddr_in *addr)
{
	int fd = loop->sys->socket(loop, AF_INET, SOCK_DGRAM, 0);
	uint32_t len = sizeof(*addr);

	*addr = sim_loopback(0);
	if (fd < 0 || loop->sys->bind(loop, fd, (struct sockaddr *)addr, len) ||
	    loop->sys->getsockname(loop, fd, (struct sockaddr *)addr, &len))
		return -1;
	return fd;
}

static int send_to(struct weir_loop *loop, int fd, const void *bytes, size_t len,
		   const struct sockaddr_in *to)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr msg = {
		.msg_name = (void *)(uintptr_t)to, .msg_namelen = to ? sizeof(*to) : 0,
		.msg_iov = &iov, .msg_iovlen = 1,
	};

	return loop->sys->sendmsg(loop, fd, &msg, 0);
}

static int set_on(struct weir_loop *loop, int fd, int level, int name, int value)
{
	return loop->sys->setsockopt(loop, fd, level, name, &value, sizeof(value));
}

/* What a message brought along. */
struct received {
	char bytes[4096];
	char control[512];
	struct sockaddr_in from;
	struct msghdr msg;
	int res;
};

static void receive(struct weir_loop *loop, int fd, struct received *r, size_t control, int flags)
{
	struct iovec iov = { r->bytes, sizeof(r->bytes) };

	r->msg = (struct msghdr){
		.msg_name = &r->from, .msg_namelen = sizeof(r->from),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control ? r->control : NULL, .msg_controllen = control,
	};
	r->res = loop->sys->recvmsg(loop, fd, &r->msg, flags);
}

static const struct cmsghdr *control_find(struct received *r, int level, int type)
{
	struct cmsghdr *cmsg;

	for (cmsg = CMSG_FIRSTHDR(&r->msg); cmsg; cmsg = CMSG_NXTHDR(&r->msg, cmsg)) {
		if (cmsg->cmsg_level == level && cmsg->cmsg_type == type)
			return cmsg;
	}
	return NULL;
}

/* Send @text with the files @fds. */
static int send_files(struct weir_loop *loop, int fd, const char *text, const int *fds, int count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)text, strlen(text) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = CMSG_SPACE((size_t)count * sizeof(int)),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN((size_t)count * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, (size_t)count * sizeof(int));
	return loop->sys->sendmsg(loop, fd, &msg, 0);
}

/* UDP */

TEST_F(sim, datagrams_keep_their_bounds_and_tell_who_sent_them)
{
	struct sockaddr_in a, b;
	int left = udp_socket(self->loop, &a), right = udp_socket(self->loop, &b);
	struct received r;

	EXPECT_EQ(3, send_to(self->loop, left, "one", 3, &b));
	EXPECT_EQ(0, send_to(self->loop, left, "", 0, &b));
	EXPECT_EQ(5, send_to(self->loop, left, "three", 5, &b));
	EXPECT_EQ(POLLIN | POLLOUT, self->sys->poll(self->loop, right, POLLIN | POLLOUT));
	receive(self->loop, right, &r, 0, 0);
	EXPECT_EQ(3, r.res);
	EXPECT_EQ(0, memcmp(r.bytes, "one", 3));
	EXPECT_EQ(sizeof(a), r.msg.msg_namelen);
	EXPECT_EQ(0, memcmp(&r.from, &a, sizeof(a)));
	receive(self->loop, right, &r, 0, 0);
	EXPECT_EQ(0, r.res);
	receive(self->loop, right, &r, 0, 0);
	EXPECT_EQ(5, r.res);
	EXPECT_EQ(-EAGAIN, self->sys->recv(self->loop, right, r.bytes, 1, 0));
	self->sys->close(self->loop, left);
	self->sys->close(self->loop, right);
}

TEST_F(sim, a_datagram_that_is_too_long_for_the_buffer_is_cut_and_says_so)
{
	struct sockaddr_in a, b;
	int left = udp_socket(self->loop, &a), right = udp_socket(self->loop, &b);
	struct iovec iov = { &a, 2 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	static char large[65508];

	send_to(self->loop, left, "12345", 5, &b);
	EXPECT_EQ(5, self->sys->recvmsg(self->loop, right, &msg, MSG_PEEK | MSG_TRUNC));
	EXPECT_EQ(2, self->sys->recvmsg(self->loop, right, &msg, 0));
	EXPECT_EQ(MSG_TRUNC, msg.msg_flags);
	EXPECT_EQ(-EAGAIN, self->sys->recvmsg(self->loop, right, &msg, 0));
	EXPECT_EQ(-EMSGSIZE, send_to(self->loop, left, large, sizeof(large), &b));
	self->sys->close(self->loop, left);
	self->sys->close(self->loop, right);
}

TEST_F(sim, a_connected_datagram_socket_hears_its_peer_alone_and_of_closed_ports)
{
	struct sockaddr_in a, b, c;
	int left = udp_socket(self->loop, &a), right = udp_socket(self->loop, &b);
	int other = udp_socket(self->loop, &c);
	char byte;

	ASSERT_EQ(0, self->sys->connect(self->loop, left, (struct sockaddr *)&b, sizeof(b)));
	EXPECT_EQ(1, send_to(self->loop, other, "x", 1, &a));
	EXPECT_EQ(-EAGAIN, self->sys->recv(self->loop, left, &byte, 1, 0));
	EXPECT_EQ(1, send_to(self->loop, right, "y", 1, &a));
	EXPECT_EQ(1, self->sys->recv(self->loop, left, &byte, 1, 0));
	EXPECT_EQ('y', byte);
	self->sys->close(self->loop, right);
	EXPECT_EQ(1, self->sys->send(self->loop, left, "z", 1, 0));
	EXPECT_EQ(-ECONNREFUSED, self->sys->recv(self->loop, left, &byte, 1, 0));
	EXPECT_EQ(1, send_to(self->loop, other, "x", 1, &b));
	EXPECT_EQ(-EAGAIN, self->sys->recv(self->loop, other, &byte, 1, 0));
	self->sys->close(self->loop, left);
	self->sys->close(self->loop, other);
}

TEST_F(sim, a_full_datagram_socket_drops_and_the_network_may_lose_repeat_and_reorder)
{
	struct sockaddr_in a, b;
	int left = udp_socket(self->loop, &a), right = udp_socket(self->loop, &b);
	unsigned char seen[100] = { 0 }, byte, last = 0;
	unsigned int count = 0, again = 0, lost = 0, back = 0, i;
	static char bytes[3000];

	for (i = 0; i < 4; i++)
		EXPECT_EQ(3000, send_to(self->loop, left, bytes, 3000, &b));
	while (self->sys->recv(self->loop, right, bytes, 3000, 0) == 3000)
		count++;
	EXPECT_EQ(2, count);
	self->loop->sim.dgram_loss_permille = 200;
	self->loop->sim.dgram_copy_permille = 200;
	self->loop->sim.dgram_reorder_permille = 200;
	for (byte = 0; byte < 100; byte++)
		send_to(self->loop, left, &byte, 1, &b);
	while (self->sys->recv(self->loop, right, &byte, 1, 0) == 1) {
		again += seen[byte]++ > 0;
		back += byte < last;
		last = byte;
	}
	for (i = 0; i < 100; i++)
		lost += !seen[i];
	EXPECT_TRUE(lost > 5 && lost < 50);
	EXPECT_TRUE(again > 5 && again < 50);
	EXPECT_TRUE(back > 5 && back < 50);
	self->sys->close(self->loop, left);
	self->sys->close(self->loop, right);
}

TEST_F(sim, segments_come_one_by_one_or_as_a_train_with_their_size)
{
	struct sockaddr_in a, b;
	int left = udp_socket(self->loop, &a), right = udp_socket(self->loop, &b);
	const struct cmsghdr *cmsg;
	struct received r;
	char bytes[250];
	int size = 0;

	memset(bytes, 7, sizeof(bytes));
	ASSERT_EQ(0, set_on(self->loop, left, IPPROTO_UDP, UDP_SEGMENT, 100));
	EXPECT_EQ(250, send_to(self->loop, left, bytes, 250, &b));
	EXPECT_EQ(100, self->sys->recv(self->loop, right, r.bytes, 4096, 0));
	EXPECT_EQ(100, self->sys->recv(self->loop, right, r.bytes, 4096, 0));
	EXPECT_EQ(50, self->sys->recv(self->loop, right, r.bytes, 4096, 0));
	ASSERT_EQ(0, set_on(self->loop, right, IPPROTO_UDP, UDP_GRO, 1));
	EXPECT_EQ(250, send_to(self->loop, left, bytes, 250, &b));
	receive(self->loop, right, &r, sizeof(r.control), 0);
	EXPECT_EQ(250, r.res);
	cmsg = control_find(&r, IPPROTO_UDP, UDP_GRO);
	ASSERT_NE(NULL, cmsg);
	memcpy(&size, CMSG_DATA(cmsg), sizeof(size));
	EXPECT_EQ(100, size);
	self->sys->close(self->loop, left);
	self->sys->close(self->loop, right);
}

TEST_F(sim, arrival_times_are_those_of_the_virtual_clock)
{
	struct sockaddr_in a, b;
	int left = udp_socket(self->loop, &a), right = udp_socket(self->loop, &b);
	uint64_t now = self->sys->now(self->loop);
	const struct cmsghdr *cmsg;
	struct timespec ts = { 0 };
	struct received r;

	ASSERT_EQ(0, set_on(self->loop, right, SOL_SOCKET, SO_TIMESTAMPNS, 1));
	ASSERT_EQ(0, set_on(self->loop, right, SOL_SOCKET, SO_TIMESTAMPING,
			    SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE));
	send_to(self->loop, left, "x", 1, &b);
	receive(self->loop, right, &r, sizeof(r.control), 0);
	cmsg = control_find(&r, SOL_SOCKET, SCM_TIMESTAMPNS);
	ASSERT_NE(NULL, cmsg);
	memcpy(&ts, CMSG_DATA(cmsg), sizeof(ts));
	EXPECT_EQ(now, (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec);
	EXPECT_NE(NULL, control_find(&r, SOL_SOCKET, SCM_TIMESTAMPING));
	send_to(self->loop, left, "x", 1, &b);
	receive(self->loop, right, &r, 4, 0);
	EXPECT_EQ(MSG_CTRUNC, r.msg.msg_flags);
	self->sys->close(self->loop, left);
	self->sys->close(self->loop, right);
}

/* AF_UNIX */

TEST_F(sim, a_unix_name_has_one_owner_and_dies_with_it)
{
	int fd = unix_socket(self->loop, SOCK_DGRAM, "name");
	int other = self->sys->socket(self->loop, AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "\0abstract" };
	uint32_t len = offsetof(struct sockaddr_un, sun_path) + 9;

	ASSERT_GE(fd, 0);
	EXPECT_EQ(-EADDRINUSE, unix_socket(self->loop, SOCK_STREAM, "name"));
	EXPECT_EQ(-EPROTOTYPE, unix_connect(self->loop, other, "name"));
	self->sys->close(self->loop, fd);
	EXPECT_EQ(-ENOENT, unix_connect(self->loop, other, "name"));
	EXPECT_EQ(0, self->sys->bind(self->loop, other, (struct sockaddr *)&addr, len));
	EXPECT_EQ(-ECONNREFUSED, self->sys->connect(self->loop, other, (struct sockaddr *)&addr,
						    len));
	self->sys->close(self->loop, other);
	other = self->sys->socket(self->loop, AF_UNIX, SOCK_DGRAM, 0);
	EXPECT_EQ(-ECONNREFUSED, self->sys->connect(self->loop, other, (struct sockaddr *)&addr,
						    len));
	len = sizeof(addr.sun_family);
	EXPECT_EQ(0, self->sys->bind(self->loop, other, (struct sockaddr *)&addr, len));
	len = sizeof(addr);
	EXPECT_EQ(0, self->sys->getsockname(self->loop, other, (struct sockaddr *)&addr, &len));
	EXPECT_EQ(offsetof(struct sockaddr_un, sun_path) + 6, len);
	self->sys->close(self->loop, other);
}

TEST_F(sim, a_unix_connect_is_over_at_once_or_finds_the_backlog_full)
{
	int listener = unix_socket(self->loop, SOCK_STREAM, "listener");
	int fds[3], i;

	ASSERT_EQ(0, self->sys->listen(self->loop, listener, 1));
	for (i = 0; i < 3; i++) {
		fds[i] = self->sys->socket(self->loop, AF_UNIX, SOCK_STREAM, 0);
		EXPECT_EQ(i < 2 ? 0 : -EAGAIN, unix_connect(self->loop, fds[i], "listener"));
	}
	for (i = 0; i < 3; i++)
		self->sys->close(self->loop, fds[i]);
	self->sys->close(self->loop, listener);
}

TEST_F(sim, the_end_of_a_unix_stream_is_known_on_the_other_side_at_once)
{
	char byte;
	int fds[2];

	ASSERT_EQ(0, unix_pair(self->loop, SOCK_STREAM, fds));
	EXPECT_EQ(1, self->sys->send(self->loop, fds[0], "x", 1, 0));
	self->sys->close(self->loop, fds[0]);
	EXPECT_EQ(-EPIPE, self->sys->send(self->loop, fds[1], "y", 1, 0));
	EXPECT_EQ(1, self->sys->recv(self->loop, fds[1], &byte, 1, 0));
	EXPECT_EQ(0, self->sys->recv(self->loop, fds[1], &byte, 1, 0));
	self->sys->close(self->loop, fds[1]);
}

static void count_done(struct weir_op *op)
{
	++*(int *)op->ctx;
}

TEST_F(sim, a_sender_to_a_full_unix_socket_waits_for_room)
{
	int fds[2], done = 0, sent = 0;
	struct weir_file file;
	struct weir_op op = { 0 };
	char byte;

	ASSERT_EQ(0, unix_pair(self->loop, SOCK_DGRAM, fds));
	while (self->sys->send(self->loop, fds[0], "x", 1, 0) == 1)
		sent++;
	EXPECT_EQ(SIM_UNIX_QUEUE, sent);
	ASSERT_EQ(0, weir_file_adopt(self->loop, fds[0], &file));
	weir_prep_send(&op, file, "y", 1, count_done, &done);
	weir_submit(self->loop, &op);
	EXPECT_EQ(-EDEADLK, weir_loop_run(self->loop));
	self->text[0] = '\0';
	EXPECT_EQ(1, self->sys->recv(self->loop, fds[1], &byte, 1, 0));
	EXPECT_EQ(1, weir_loop_run(self->loop));
	EXPECT_EQ(1, done);
	EXPECT_EQ(1, op.res);
	self->sys->close(self->loop, fds[1]);
	EXPECT_EQ(-ECONNREFUSED, self->sys->send(self->loop, fds[0], "z", 1, 0));
}

/* files in messages */

TEST_F(sim, a_file_that_is_passed_on_outlives_its_sender)
{
	const int types[] = { SOCK_STREAM, SOCK_DGRAM };
	const struct cmsghdr *cmsg;
	struct sockaddr_in a, b;
	struct received r;
	int fds[2], i, udp, got;

	for (i = 0; i < 2; i++) {
		int peer = udp_socket(self->loop, &b);

		udp = udp_socket(self->loop, &a);
		ASSERT_EQ(0, unix_pair(self->loop, types[i], fds));
		EXPECT_EQ(4, send_files(self->loop, fds[0], "file", &udp, 1));
		self->sys->close(self->loop, udp);
		EXPECT_EQ(1, send_to(self->loop, peer, "x", 1, &a));
		receive(self->loop, fds[1], &r, sizeof(r.control), 0);
		EXPECT_EQ(4, r.res);
		cmsg = control_find(&r, SOL_SOCKET, SCM_RIGHTS);
		ASSERT_NE(NULL, cmsg);
		EXPECT_EQ(CMSG_LEN(sizeof(got)), cmsg->cmsg_len);
		memcpy(&got, CMSG_DATA(cmsg), sizeof(got));
		EXPECT_EQ(1, self->sys->recv(self->loop, got, r.bytes, 8, 0));
		EXPECT_EQ(0, self->sys->close(self->loop, got));
		EXPECT_EQ(-EBADF, self->sys->close(self->loop, got));
		self->sys->close(self->loop, peer);
		self->sys->close(self->loop, fds[0]);
		self->sys->close(self->loop, fds[1]);
	}
}

TEST_F(sim, files_nobody_takes_are_closed)
{
	struct sockaddr_in a;
	struct received r;
	int fds[2], udp[3], i;

	for (i = 0; i < 3; i++)
		udp[i] = udp_socket(self->loop, &a);
	ASSERT_EQ(0, unix_pair(self->loop, SOCK_STREAM, fds));
	EXPECT_EQ(1, send_files(self->loop, fds[0], "1", udp, 2));
	EXPECT_EQ(1, send_files(self->loop, fds[0], "2", udp, 3));
	EXPECT_EQ(1, send_files(self->loop, fds[0], "3", udp, 3));
	for (i = 0; i < 3; i++)
		self->sys->close(self->loop, udp[i]);
	/* No room for any; room for two of three; never received. */
	receive(self->loop, fds[1], &r, 0, 0);
	EXPECT_EQ(1, r.res);
	EXPECT_EQ(MSG_CTRUNC, r.msg.msg_flags);
	receive(self->loop, fds[1], &r, CMSG_LEN(2 * sizeof(int)), 0);
	EXPECT_EQ(1, r.res);
	EXPECT_EQ(MSG_CTRUNC, r.msg.msg_flags);
	EXPECT_EQ(0, self->sys->close(self->loop, udp[0]));
	EXPECT_EQ(0, self->sys->close(self->loop, udp[1]));
	self->sys->close(self->loop, fds[0]);
	self->sys->close(self->loop, fds[1]);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-EBADF, self->sys->close(self->loop, udp[i]));
}

TEST_F(sim, a_receive_ends_before_a_message_that_carries_files)
{
	char bytes[8];
	int fds[2];

	ASSERT_EQ(0, unix_pair(self->loop, SOCK_STREAM, fds));
	EXPECT_EQ(2, self->sys->send(self->loop, fds[0], "ab", 2, 0));
	EXPECT_EQ(2, send_files(self->loop, fds[0], "cd", &fds[1], 1));
	EXPECT_EQ(2, self->sys->recv(self->loop, fds[1], bytes, 8, 0));
	EXPECT_EQ(2, self->sys->recv(self->loop, fds[1], bytes, 8, 0));
	self->sys->close(self->loop, fds[0]);
	self->sys->close(self->loop, fds[1]);
}

TEST_F(sim, control_data_that_makes_no_sense_is_refused)
{
	int none = 12345, fds[2];

	ASSERT_EQ(0, unix_pair(self->loop, SOCK_STREAM, fds));
	EXPECT_EQ(-EBADF, send_files(self->loop, fds[0], "x", &none, 1));
	self->sys->close(self->loop, fds[0]);
	self->sys->close(self->loop, fds[1]);
	none = self->sys->socket(self->loop, AF_INET, SOCK_DGRAM, 0);
	EXPECT_EQ(-EDESTADDRREQ, send_files(self->loop, none, "x", &none, 1));
	self->sys->close(self->loop, none);
}

/* options */

TEST_F(sim, options_read_back_what_was_set)
{
	static const struct {
		int level, name, set, got;
	} rows[] = {
		{ SOL_SOCKET, SO_REUSEADDR, 7, 1 },
		{ SOL_SOCKET, SO_RCVBUF, 1000, 2000 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1, 1 },
		{ IPPROTO_TCP, TCP_NODELAY, 1, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 60, 60 },
	};
	int fd = self->sys->socket(self->loop, AF_INET, SOCK_STREAM, IPPROTO_TCP);
	uint32_t len;
	int value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_EQ(0, set_on(self->loop, fd, rows[i].level, rows[i].name, rows[i].set));
		len = sizeof(value);
		EXPECT_EQ(0, self->sys->getsockopt(self->loop, fd, rows[i].level, rows[i].name,
						   &value, &len));
		EXPECT_EQ(rows[i].got, value);
	}
	EXPECT_EQ(0, self->sys->getsockopt(self->loop, fd, SOL_SOCKET, SO_TYPE, &value, &len));
	EXPECT_EQ(SOCK_STREAM, value);
	EXPECT_EQ(-ENOPROTOOPT, set_on(self->loop, fd, SOL_SOCKET, 9999, 1));
	EXPECT_EQ(-EOPNOTSUPP, set_on(self->loop, fd, IPPROTO_UDP, UDP_GRO, 1));
	self->sys->close(self->loop, fd);
}

TEST_HARNESS_MAIN
