// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_sock.c - sockets made, named, connected and tuned by operations; polls that
 * go on
 */
#include <fcntl.h>
#include <netinet/tcp.h>

#include "socks.h"
#include "lean.h"
#include "kselftest_harness.h"

FIXTURE(sock)
{
	struct weir_loop *loop;
	struct server server;
};

BACKEND_VARIANTS(sock);
LEAN_VARIANT(sock, bare);

FIXTURE_SETUP(sock)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = lean_backend(variant->name) };

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 16));
}

FIXTURE_TEARDOWN(sock)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

TEST_F(sock, bind_listen_accept_and_connect_are_operations)
{
	struct weir_file listener, client;
	struct sockaddr_in addr;
	struct weir_op accept = { 0 };
	struct seen seen = { 0 };
	char text[8] = "";

	ASSERT_EQ(0, bound_open(self->loop, SOCK_STREAM, &listener, &addr));
	EXPECT_NE(0, addr.sin_port);
	ASSERT_EQ(0, do_listen(self->loop, listener, 4));
	weir_prep_accept(&accept, listener, 4, seen_done, &seen);
	weir_submit(self->loop, &accept);
	ASSERT_EQ(0, do_socket(self->loop, AF_INET, SOCK_STREAM, &client));
	ASSERT_EQ(0, do_connect(self->loop, client, (struct sockaddr *)&addr, sizeof(addr)));
	RUN_UNTIL(self->loop, seen.events == 1);
	ASSERT_EQ(0, seen.res);
	EXPECT_EQ(5, do_send(self->loop, client, "hello", 5));
	EXPECT_EQ(5, do_recv(self->loop, seen.file, text, sizeof(text)));
	EXPECT_STREQ("hello", text);
	EXPECT_EQ(0, do_close(self->loop, listener));
}

TEST_F(sock, a_connect_that_is_refused_leaves_the_socket_open)
{
	struct weir_file file, other;
	struct sockaddr_in nobody;

	/* Bound, but nobody listens there. */
	ASSERT_EQ(0, bound_open(self->loop, SOCK_STREAM, &other, &nobody));
	ASSERT_EQ(0, do_socket(self->loop, AF_INET, SOCK_STREAM, &file));
	EXPECT_EQ(-ECONNREFUSED, do_connect(self->loop, file, (struct sockaddr *)&nobody,
					    sizeof(nobody)));
	EXPECT_EQ(1, weir_file_valid(self->loop, file));
	EXPECT_EQ(0, do_close(self->loop, file));
	EXPECT_EQ(0, do_close(self->loop, other));
}

TEST_F(sock, a_second_connect_tells_that_there_is_one)
{
	struct weir_file file;

	ASSERT_EQ(0, do_socket(self->loop, AF_INET, SOCK_STREAM, &file));
	ASSERT_EQ(0, do_connect(self->loop, file, (struct sockaddr *)&self->server.addr,
				sizeof(self->server.addr)));
	EXPECT_EQ(-EISCONN, do_connect(self->loop, file, (struct sockaddr *)&self->server.addr,
				       sizeof(self->server.addr)));
	EXPECT_EQ(1, weir_file_valid(self->loop, file));
}

TEST_F(sock, options_are_set_and_read_on_sockets_of_any_kind)
{
	struct weir_file file[3];
	unsigned int i;

	/* Connected and accepted by the library, and made by an operation. */
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &file[0], &file[1]));
	ASSERT_EQ(0, do_socket(self->loop, AF_INET, SOCK_STREAM, &file[2]));
	for (i = 0; i < 3; i++) {
		int on = 1, off = 0, value = -1;

		EXPECT_EQ(0, do_set(self->loop, file[i], WEIR_OPTION_KEEPALIVE, &on));
		EXPECT_EQ(4, do_get(self->loop, file[i], WEIR_OPTION_KEEPALIVE, &value));
		EXPECT_EQ(1, value);
		EXPECT_EQ(0, do_set(self->loop, file[i], WEIR_OPTION_NODELAY, &on));
		EXPECT_EQ(4, do_get(self->loop, file[i], WEIR_OPTION_NODELAY, &value));
		EXPECT_EQ(1, value);
		EXPECT_EQ(0, do_set(self->loop, file[i], WEIR_OPTION_NODELAY, &off));
		EXPECT_EQ(4, do_get(self->loop, file[i], WEIR_OPTION_NODELAY, &value));
		EXPECT_EQ(0, value);
	}
}

TEST_F(sock, a_buffer_size_reads_as_twice_what_was_set)
{
	int size = 16384, value = 0;
	struct weir_file file;

	ASSERT_EQ(0, do_socket(self->loop, AF_INET, SOCK_STREAM, &file));
	EXPECT_EQ(0, do_set(self->loop, file, WEIR_OPTION_RCVBUF, &size));
	EXPECT_EQ(4, do_get(self->loop, file, WEIR_OPTION_RCVBUF, &value));
	EXPECT_EQ(2 * size, value);
}

TEST_F(sock, what_is_no_option_is_refused)
{
	struct weir_file file;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int value = 1;

	ASSERT_EQ(0, do_socket(self->loop, AF_INET, SOCK_STREAM, &file));
	weir_prep_set_option(&op, file, WEIR_OPTION_MAX, &value, seen_done, &seen);
	op_do(self->loop, &op);
	EXPECT_RESULT(&seen, -EINVAL, WEIR_ORIGIN_LIBRARY);
	EXPECT_EQ(-EINVAL, do_get(self->loop, file, WEIR_OPTION_MAX, &value));
	EXPECT_STREQ("?", weir_option_name(WEIR_OPTION_MAX));
	EXPECT_STREQ("nodelay", weir_option_name(WEIR_OPTION_NODELAY));
	EXPECT_EQ(-ENOPROTOOPT, DO_OP(self->loop, weir_prep_setsockopt, file, IPPROTO_TCP, 9999,
				      &value, sizeof(value)));
}

TEST_F(sock, an_installed_descriptor_outlives_the_file)
{
	struct weir_file client, accepted, again;
	char text[8] = "";
	int fd;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	fd = do_install(self->loop, client);
	ASSERT_LE(0, fd);
	if (!on_sim(self->loop))
		EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
	EXPECT_EQ(0, do_close(self->loop, client));
	ASSERT_EQ(0, weir_file_adopt(self->loop, fd, &again));
	EXPECT_EQ(4, do_send(self->loop, again, "more", 4));
	EXPECT_EQ(4, do_recv(self->loop, accepted, text, sizeof(text)));
	EXPECT_STREQ("more", text);
	EXPECT_EQ(0, do_close(self->loop, again));
	EXPECT_EQ(0, do_recv(self->loop, accepted, text, sizeof(text)));
}

TEST_F(sock, operations_on_what_is_no_socket_are_refused)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	const char *path = on_sim(self->loop) ? "/file" : "/dev/null";
	struct weir_file file;
	struct letter letter;
	char byte = 0;
	int value = 1;

	ASSERT_EQ(0, weir_file_open(self->loop, path, O_RDWR | O_CREAT, 0600, &file));
	EXPECT_EQ(-ENOTSOCK, do_bind(self->loop, file, (struct sockaddr *)&addr, sizeof(addr)));
	EXPECT_EQ(-ENOTSOCK, do_listen(self->loop, file, 1));
	EXPECT_EQ(-ENOTSOCK, do_connect(self->loop, file, (struct sockaddr *)&addr,
					sizeof(addr)));
	EXPECT_EQ(-ENOTSOCK, do_sendmsg(self->loop, file, letter_out(&letter, &byte, 1, NULL)));
	EXPECT_EQ(-ENOTSOCK, do_recvmsg(self->loop, file, letter_in(&letter, &byte, 1), 0));
	EXPECT_EQ(-ENOTSOCK, do_set(self->loop, file, WEIR_OPTION_NODELAY, &value));
	EXPECT_EQ(-ENOTSOCK, do_get(self->loop, file, WEIR_OPTION_NODELAY, &value));
}

TEST_F(sock, operations_on_a_closed_file_are_refused)
{
	struct weir_file file;

	ASSERT_EQ(0, do_socket(self->loop, AF_INET, SOCK_STREAM, &file));
	ASSERT_EQ(0, do_close(self->loop, file));
	EXPECT_EQ(-EBADF, do_listen(self->loop, file, 1));
	EXPECT_EQ(-EBADF, do_connect(self->loop, file, (struct sockaddr *)&self->server.addr,
				     sizeof(self->server.addr)));
	EXPECT_EQ(-EBADF, do_install(self->loop, file));
}

TEST_F(sock, negative_lengths_are_refused)
{
	struct sockaddr *addr = (struct sockaddr *)&self->server.addr;
	struct weir_file file;
	int value = 1;

	ASSERT_EQ(0, do_socket(self->loop, AF_INET, SOCK_STREAM, &file));
	EXPECT_EQ(-EINVAL, do_bind(self->loop, file, addr, (uint32_t)-1));
	EXPECT_EQ(-EINVAL, do_connect(self->loop, file, addr, (uint32_t)-1));
	EXPECT_EQ(-EINVAL, DO_OP(self->loop, weir_prep_setsockopt, file, SOL_SOCKET,
				 SO_KEEPALIVE, &value, (uint32_t)-1));
	EXPECT_EQ(-EINVAL, DO_OP(self->loop, weir_prep_getsockopt, file, SOL_SOCKET,
				 SO_KEEPALIVE, &value, (uint32_t)-1));
}

TEST_F(sock, a_socket_of_no_kind_is_refused)
{
	struct weir_file file;

	EXPECT_EQ(-EAFNOSUPPORT, do_socket(self->loop, 12345, SOCK_STREAM, &file));
	EXPECT_EQ(-EPROTONOSUPPORT, DO_OP(self->loop, weir_prep_socket, AF_INET, SOCK_STREAM,
					  IPPROTO_UDP));
}

TEST_F(sock, a_socket_beyond_the_table_is_refused)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = lean_backend(variant->name), .files_max = 4,
	};
	struct weir_file file[4], more;
	struct weir_loop *loop;
	unsigned int i;

	OPEN_LOOP(&loop, &opts);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, do_socket(loop, AF_INET, SOCK_STREAM, &file[i]));
	EXPECT_EQ(-ENFILE, do_socket(loop, AF_INET, SOCK_STREAM, &more));
	ASSERT_EQ(0, do_close(loop, file[2]));
	EXPECT_EQ(0, do_socket(loop, AF_INET, SOCK_STREAM, &more));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

TEST_F(sock, a_poll_that_goes_on_tells_each_edge)
{
	struct weir_file client, accepted;
	struct seen seen = { 0 };
	struct weir_op poll = { 0 };
	unsigned int round;
	char byte;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	weir_prep_poll_multi(&poll, accepted, POLLIN, seen_done, &seen);
	weir_submit(self->loop, &poll);
	for (round = 0; round < 5; round++) {
		unsigned int before = seen.events;

		ASSERT_EQ(1, do_send(self->loop, client, "x", 1));
		RUN_UNTIL(self->loop, seen.events > before);
		EXPECT_TRUE(seen.res & POLLIN);
		ASSERT_EQ(1, do_recv(self->loop, accepted, &byte, 1));
	}
	EXPECT_EQ(0, seen.terminals);
	weir_cancel(self->loop, &poll);
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_RESULT(&seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
}

static void cancel_self(struct weir_op *op)
{
	seen_done(op);
	if (op->more)
		weir_cancel(op->lib_loop, op);
}

TEST_F(sock, a_poll_that_goes_on_may_be_cancelled_by_its_own_event)
{
	struct weir_file client, accepted;
	struct seen seen = { 0 };
	struct weir_op poll = { 0 };

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	weir_prep_poll_multi(&poll, client, POLLOUT, cancel_self, &seen);
	weir_submit(self->loop, &poll);
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_RESULT(&seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_EQ(2, seen.events);
}

TEST_F(sock, a_close_ends_a_poll_that_goes_on)
{
	struct weir_file client, accepted;
	struct seen seen = { 0 };
	struct weir_op poll = { 0 };

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	weir_prep_poll_multi(&poll, accepted, POLLIN, seen_done, &seen);
	weir_submit(self->loop, &poll);
	EXPECT_EQ(0, do_close(self->loop, accepted));
	EXPECT_RESULT(&seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
}

TEST_HARNESS_MAIN
