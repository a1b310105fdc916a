// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_simnet.c - the simulated kernel by itself: what sockets, files and the
 * clock do there is what the manual pages say they do on Linux
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

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
	struct sockaddr_in addr;
	char text[256];		/* the last line of a warning or worse */
};

static struct weir_loop *open_loop(const struct weir_sim_opts *sim, const struct weir_log *log,
				   uint64_t seed)
{
	struct weir_loop_opts opts = {
		.sz		= sizeof(opts),
		.backend	= "sim",
		.log		= log,
		.sim		= sim,
		.seed		= seed,
		.ops_max	= 64,
		.files_max	= 16,
	};
	struct weir_loop *loop;

	return weir_loop_open(&loop, &opts) ? NULL : loop;
}

FIXTURE_SETUP(sim)
{
	struct weir_log log = { log_line, self->text, WEIR_LOG_DEBUG };

	self->loop = open_loop(NULL, &log, 1);
	ASSERT_NE(self->loop, NULL);
	self->sys = self->loop->sys;
	/* The first to run it owns it; until then ops wait. */
	ASSERT_EQ(weir_loop_run(self->loop), 1);
}

FIXTURE_TEARDOWN(sim)
{
	EXPECT_EQ(weir_loop_close(self->loop, NSEC_PER_SEC), 0);
	EXPECT_EQ(self->text[0], 0) TH_LOG("%s", self->text);
}

/* Let edges and handshakes that are due now happen. */
static void settle(struct weir_loop *loop)
{
	weir_loop_run_once(loop, 0);
}

static int make_listener(struct weir_loop *loop, struct sockaddr_in *addr, int backlog)
{
	int fd = loop->sys->socket(loop, AF_INET, SOCK_STREAM, 0);
	uint32_t len = sizeof(*addr);

	*addr = sim_loopback(0);
	if (fd < 0 || loop->sys->bind(loop, fd, (struct sockaddr *)addr, len) ||
	    loop->sys->listen(loop, fd, backlog) ||
	    loop->sys->getsockname(loop, fd, (struct sockaddr *)addr, &len))
		return -1;
	return fd;
}

static int dial(struct weir_loop *loop, const struct sockaddr_in *addr)
{
	int fd = loop->sys->socket(loop, AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || loop->sys->connect(loop, fd, (const struct sockaddr *)addr,
					 sizeof(*addr)) != -EINPROGRESS)
		return -1;
	settle(loop);
	return fd;
}

/* A connection: *@client, and the server's side as the result. */
static int make_pair(struct weir_loop *loop, int *client)
{
	struct sockaddr_in addr;
	int listener = make_listener(loop, &addr, 1);
	int server;

	*client = dial(loop, &addr);
	if (*client < 0 || loop->sys->connected(loop, *client))
		return -1;
	server = loop->sys->accept(loop, listener);
	loop->sys->close(loop, listener);
	return server;
}

static int send_text(struct weir_loop *loop, int fd, const char *text)
{
	return loop->sys->send(loop, fd, text, (uint32_t)strlen(text), 0);
}

/* Receive and compare; the result of recv. */
static int recv_text(struct weir_loop *loop, int fd, const char *text)
{
	char buf[64] = "";
	int ret = loop->sys->recv(loop, fd, buf, sizeof(buf) - 1, 0);

	return ret > 0 && strcmp(buf, text) ? -EBADMSG : ret;
}

static void count_done(struct weir_op *op)
{
	unsigned int *count = op->ctx;

	++*count;
}

/* the loop */

TEST_F(sim, has_no_descriptors_of_the_real_kernel)
{
	struct weir_file file;
	int fd;

	EXPECT_STREQ(weir_loop_backend(self->loop), "sim");
	EXPECT_EQ(weir_loop_fd(self->loop), -EOPNOTSUPP);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(weir_file_adopt(self->loop, fd, &file), -EOPNOTSUPP);
	EXPECT_EQ(self->sys->recv(self->loop, fd, &file, 1, 0), -EBADF);
	EXPECT_EQ(self->sys->close(self->loop, fd), -EBADF);
	EXPECT_EQ(close(fd), 0);
	ASSERT_EQ(weir_file_open(self->loop, "name", O_CREAT | O_RDWR, 0600, &file), 0);
	EXPECT_EQ(weir_file_fd(self->loop, file), -EOPNOTSUPP);
}

TEST(options_out_of_range_are_refused)
{
	static const struct weir_sim_opts table[] = {
		{ .sz = sizeof(table[0]), .short_permille = 1001 },
		{ .sz = sizeof(table[0]), .error_permille = 1001 },
		{ .sz = sizeof(table[0]), .socket_bytes = UINT32_MAX },
		{ .sz = sizeof(table[0]), .delay_max_ns = UINT64_MAX },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		struct weir_loop_opts opts = {
			.sz = sizeof(opts), .backend = "sim", .sim = &table[i],
		};
		struct weir_loop *loop = NULL;

		EXPECT_EQ(weir_loop_open(&loop, &opts), -EINVAL) TH_LOG("row %zu", i);
		EXPECT_EQ(loop, NULL);
	}
}

TEST_F(sim, time_stands_still_until_it_jumps)
{
	uint64_t begin = weir_loop_now(self->loop);
	unsigned int count = 0;
	struct weir_op op = { 0 };
	int i;

	EXPECT_EQ(begin, SIM_EPOCH_NS);
	for (i = 0; i < 1000; i++) {
		weir_prep_nop(&op, count_done, &count);
		weir_submit(self->loop, &op);
		ASSERT_EQ(weir_loop_run_until(self->loop, &op), 0);
	}
	EXPECT_EQ(count, 1000);
	EXPECT_EQ(weir_loop_now(self->loop), begin);

	weir_prep_timeout(&op, begin + 3600 * NSEC_PER_SEC, count_done, &count);
	weir_submit(self->loop, &op);
	ASSERT_EQ(weir_loop_run_until(self->loop, &op), 0);
	EXPECT_GE(weir_loop_now(self->loop), begin + 3600 * NSEC_PER_SEC);
	EXPECT_LT(weir_loop_now(self->loop), begin + 3600 * NSEC_PER_SEC + 100000);
}

TEST_F(sim, a_loop_that_nothing_can_move_says_so)
{
	unsigned int count = 0;
	struct weir_op op = { 0 };
	struct weir_file file;

	file = sim_listen_on(self->loop, &self->addr, 1);
	weir_prep_poll(&op, file, POLLIN, count_done, &count);
	weir_submit(self->loop, &op);
	weir_loop_stop(self->loop);
	EXPECT_EQ(weir_loop_run(self->loop), 0);
	EXPECT_EQ(weir_loop_run_once(self->loop, NSEC_PER_SEC), 0);
	weir_loop_wake(self->loop);
	EXPECT_EQ(weir_loop_run(self->loop), -EDEADLK);
	EXPECT_EQ(count, 0);
	EXPECT_NE(self->text[0], 0);
	self->text[0] = 0;
	weir_cancel(self->loop, &op);
	EXPECT_EQ(weir_loop_run(self->loop), 1);
	EXPECT_EQ(count, 1);
	EXPECT_EQ(op.res, -ECANCELED);
}

struct order {
	struct weir_op ops[32];
	unsigned int at[32], n;
};

static void order_done(struct weir_op *op)
{
	struct order *order = op->ctx;

	order->at[order->n++] = (unsigned int)(op - order->ops);
}

static void run_order(struct order *order, uint64_t seed)
{
	struct weir_sim_opts sim = { .sz = sizeof(sim), .delay_max_ns = NSEC_PER_MSEC };
	struct weir_loop *loop = open_loop(&sim, NULL, seed);
	unsigned int i;

	memset(order, 0, sizeof(*order));
	for (i = 0; i < ARRAY_SIZE(order->ops); i++) {
		weir_prep_nop(&order->ops[i], order_done, order);
		weir_submit(loop, &order->ops[i]);
	}
	weir_loop_run(loop);
	weir_loop_close(loop, NSEC_PER_SEC);
}

TEST(the_seed_decides_the_order_of_completions)
{
	static struct order one, same, other;
	unsigned int i, sorted = 0;

	run_order(&one, 5);
	run_order(&same, 5);
	run_order(&other, 6);
	ASSERT_EQ(one.n, ARRAY_SIZE(one.ops));
	for (i = 1; i < one.n; i++)
		sorted += one.at[i] > one.at[i - 1];
	EXPECT_LT(sorted, one.n - 1);
	EXPECT_EQ(memcmp(one.at, same.at, sizeof(one.at)), 0);
	EXPECT_NE(memcmp(one.at, other.at, sizeof(one.at)), 0);
}

TEST(entropy_comes_from_the_seed)
{
	unsigned char one[37], same[37], other[37];
	struct weir_loop *loop;

	loop = open_loop(NULL, NULL, 5);
	weir_loop_entropy(loop, one, sizeof(one));
	EXPECT_EQ(weir_loop_close(loop, 0), 0);
	loop = open_loop(NULL, NULL, 5);
	weir_loop_entropy(loop, same, sizeof(same));
	weir_loop_entropy(loop, other, sizeof(other));
	EXPECT_NE(memcmp(same, other, sizeof(same)), 0);
	EXPECT_EQ(weir_loop_close(loop, 0), 0);
	loop = open_loop(NULL, NULL, 6);
	weir_loop_entropy(loop, other, sizeof(other));
	EXPECT_EQ(weir_loop_close(loop, 0), 0);
	EXPECT_EQ(memcmp(one, same, sizeof(one)), 0);
	EXPECT_NE(memcmp(one, other, sizeof(one)), 0);
}

/* names */

TEST_F(sim, connecting_to_nobody_is_refused)
{
	int fd;

	self->addr = sim_loopback(9);
	fd = dial(self->loop, &self->addr);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(self->sys->connected(self->loop, fd), -ECONNREFUSED);
	EXPECT_EQ(self->sys->close(self->loop, fd), 0);
}

static int bind_with(struct weir_loop *loop, const struct sockaddr_in *addr, int option,
		     bool listening)
{
	int fd = loop->sys->socket(loop, AF_INET, SOCK_STREAM, 0);
	int on = 1, err = 0;

	if (option)
		err = loop->sys->setsockopt(loop, fd, SOL_SOCKET, option, &on, sizeof(on));
	if (!err)
		err = loop->sys->bind(loop, fd, (const struct sockaddr *)addr, sizeof(*addr));
	if (!err && listening)
		err = loop->sys->listen(loop, fd, 1);
	if (!err)
		return fd;
	loop->sys->close(loop, fd);
	return err;
}

TEST_F(sim, an_address_has_one_owner_unless_all_share_it)
{
	struct sockaddr_in any = sim_loopback(80), addr = sim_loopback(80);
	int a, b;

	any.sin_addr.s_addr = htonl(INADDR_ANY);
	a = bind_with(self->loop, &addr, 0, true);
	ASSERT_GE(a, 0);
	EXPECT_EQ(bind_with(self->loop, &addr, 0, true), -EADDRINUSE);
	EXPECT_EQ(bind_with(self->loop, &any, 0, true), -EADDRINUSE);
	EXPECT_EQ(bind_with(self->loop, &addr, SO_REUSEADDR, true), -EADDRINUSE);
	EXPECT_EQ(bind_with(self->loop, &addr, SO_REUSEPORT, true), -EADDRINUSE);
	self->sys->close(self->loop, a);

	a = bind_with(self->loop, &addr, SO_REUSEPORT, true);
	b = bind_with(self->loop, &addr, SO_REUSEPORT, true);
	EXPECT_GE(a, 0);
	EXPECT_GE(b, 0);
	self->sys->close(self->loop, a);
	self->sys->close(self->loop, b);

	/* Two may be bound with SO_REUSEADDR; the second to listen is refused. */
	a = bind_with(self->loop, &addr, SO_REUSEADDR, false);
	b = bind_with(self->loop, &any, SO_REUSEADDR, false);
	ASSERT_GE(a, 0);
	ASSERT_GE(b, 0);
	EXPECT_EQ(self->sys->listen(self->loop, a, 1), 0);
	EXPECT_EQ(self->sys->listen(self->loop, b, 1), -EADDRINUSE);
	self->sys->close(self->loop, a);
	self->sys->close(self->loop, b);
}

TEST_F(sim, port_zero_takes_a_free_one)
{
	struct sockaddr_in addr;
	int a, b;

	a = make_listener(self->loop, &self->addr, 1);
	b = make_listener(self->loop, &addr, 1);
	ASSERT_GE(a, 0);
	ASSERT_GE(b, 0);
	EXPECT_GE(ntohs(addr.sin_port), SIM_PORT_FIRST);
	EXPECT_NE(addr.sin_port, self->addr.sin_port);
	self->sys->close(self->loop, a);
	self->sys->close(self->loop, b);
}

TEST_F(sim, any_in_ipv6_takes_ipv4_unless_told_otherwise)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(80) };
	struct sockaddr_in addr = sim_loopback(80);
	int v6only, fd, client, on = 1;

	for (v6only = 0; v6only < 2; v6only++) {
		fd = self->sys->socket(self->loop, AF_INET6, SOCK_STREAM, 0);
		ASSERT_GE(fd, 0);
		if (v6only) {
			ASSERT_EQ(self->sys->setsockopt(self->loop, fd, IPPROTO_IPV6,
							IPV6_V6ONLY, &on, sizeof(on)), 0);
		}
		ASSERT_EQ(self->sys->bind(self->loop, fd, (void *)&any, sizeof(any)), 0);
		ASSERT_EQ(self->sys->listen(self->loop, fd, 1), 0);
		client = dial(self->loop, &addr);
		ASSERT_GE(client, 0);
		EXPECT_EQ(self->sys->connected(self->loop, client), v6only ? -ECONNREFUSED : 0);
		self->sys->close(self->loop, client);
		self->sys->close(self->loop, fd);
	}
}

/* connections */

TEST_F(sim, a_full_backlog_makes_clients_wait)
{
	int listener = make_listener(self->loop, &self->addr, 1);
	int fds[3], i;

	ASSERT_GE(listener, 0);
	for (i = 0; i < 3; i++) {
		fds[i] = dial(self->loop, &self->addr);
		ASSERT_GE(fds[i], 0);
	}
	EXPECT_EQ(self->sys->connected(self->loop, fds[0]), 0);
	EXPECT_EQ(self->sys->connected(self->loop, fds[1]), 0);
	EXPECT_EQ(self->sys->connected(self->loop, fds[2]), -EAGAIN);
	for (i = 0; i < 3; i++) {
		int fd = self->sys->accept(self->loop, listener);

		ASSERT_GE(fd, 0);
		self->sys->close(self->loop, fd);
	}
	EXPECT_EQ(self->sys->connected(self->loop, fds[2]), 0);
	EXPECT_EQ(self->sys->accept(self->loop, listener), -EAGAIN);
	for (i = 0; i < 3; i++)
		self->sys->close(self->loop, fds[i]);
	self->sys->close(self->loop, listener);
}

TEST_F(sim, a_listener_that_ends_resets_those_in_its_queue)
{
	int listener = make_listener(self->loop, &self->addr, 1);
	int fd = dial(self->loop, &self->addr);

	ASSERT_GE(fd, 0);
	EXPECT_EQ(self->sys->shutdown(self->loop, listener, SHUT_RD), 0);
	EXPECT_EQ(recv_text(self->loop, fd, ""), -ECONNRESET);
	EXPECT_EQ(self->sys->accept(self->loop, listener), -EINVAL);
	self->sys->close(self->loop, fd);
	fd = dial(self->loop, &self->addr);
	EXPECT_EQ(self->sys->connected(self->loop, fd), -ECONNREFUSED);
	self->sys->close(self->loop, fd);

	EXPECT_EQ(self->sys->listen(self->loop, listener, 1), 0);
	fd = dial(self->loop, &self->addr);
	EXPECT_EQ(self->sys->connected(self->loop, fd), 0);
	self->sys->close(self->loop, listener);
	EXPECT_EQ(recv_text(self->loop, fd, ""), -ECONNRESET);
	EXPECT_EQ(recv_text(self->loop, fd, ""), 0);
	self->sys->close(self->loop, fd);
}

TEST_F(sim, an_accept_that_fails_keeps_the_client)
{
	int listener = make_listener(self->loop, &self->addr, 1);
	int fd = dial(self->loop, &self->addr);
	int i, server, err, seen = 0;

	self->loop->sim.error_permille = 1000;
	for (i = 0; i < 20; i++) {
		err = self->sys->accept(self->loop, listener);
		ASSERT_TRUE(err == -EMFILE || err == -ECONNABORTED);
		seen |= err == -EMFILE ? 1 : 2;
	}
	EXPECT_EQ(seen, 3);
	self->loop->sim.error_permille = 0;
	server = self->sys->accept(self->loop, listener);
	ASSERT_GE(server, 0);
	EXPECT_EQ(send_text(self->loop, fd, "still here"), 10);
	EXPECT_EQ(recv_text(self->loop, server, "still here"), 10);
	self->sys->close(self->loop, server);
	self->sys->close(self->loop, fd);
	self->sys->close(self->loop, listener);
}

TEST_F(sim, half_a_connection_goes_on)
{
	int a, b = make_pair(self->loop, &a);

	ASSERT_GE(b, 0);
	EXPECT_EQ(send_text(self->loop, a, "last words"), 10);
	EXPECT_EQ(self->sys->shutdown(self->loop, a, SHUT_WR), 0);
	EXPECT_EQ(send_text(self->loop, a, "more"), -EPIPE);
	EXPECT_EQ(recv_text(self->loop, b, "last words"), 10);
	EXPECT_EQ(recv_text(self->loop, b, ""), 0);
	EXPECT_EQ(send_text(self->loop, b, "answer"), 6);
	EXPECT_EQ(recv_text(self->loop, a, "answer"), 6);
	EXPECT_EQ(recv_text(self->loop, a, ""), -EAGAIN);
	EXPECT_EQ(self->sys->close(self->loop, b), 0);
	EXPECT_EQ(recv_text(self->loop, a, ""), 0);
	EXPECT_EQ(self->sys->close(self->loop, a), 0);
}

TEST_F(sim, closing_with_bytes_unread_resets)
{
	int a, b = make_pair(self->loop, &a);

	ASSERT_GE(b, 0);
	EXPECT_EQ(send_text(self->loop, b, "before"), 6);
	EXPECT_EQ(send_text(self->loop, a, "unread"), 6);
	EXPECT_EQ(self->sys->close(self->loop, b), 0);
	EXPECT_EQ(self->sys->poll(self->loop, a, POLLIN),
		  POLLIN | POLLERR | POLLHUP);
	EXPECT_EQ(recv_text(self->loop, a, "before"), 6);
	EXPECT_EQ(recv_text(self->loop, a, ""), -ECONNRESET);
	EXPECT_EQ(recv_text(self->loop, a, ""), 0);
	EXPECT_EQ(send_text(self->loop, a, "x"), -EPIPE);
	EXPECT_EQ(self->sys->close(self->loop, a), 0);
}

TEST_F(sim, a_linger_of_zero_resets)
{
	struct linger linger = { .l_onoff = 1 };
	int a, b = make_pair(self->loop, &a);

	ASSERT_GE(b, 0);
	EXPECT_EQ(self->sys->setsockopt(self->loop, b, SOL_SOCKET, SO_LINGER, &linger,
					sizeof(linger)), 0);
	EXPECT_EQ(self->sys->close(self->loop, b), 0);
	EXPECT_EQ(recv_text(self->loop, a, ""), -ECONNRESET);
	EXPECT_EQ(self->sys->close(self->loop, a), 0);
}

TEST_F(sim, the_second_send_to_one_who_left_is_told)
{
	int a, b = make_pair(self->loop, &a);

	ASSERT_GE(b, 0);
	EXPECT_EQ(self->sys->close(self->loop, b), 0);
	EXPECT_EQ(send_text(self->loop, a, "hello?"), 6);
	EXPECT_EQ(send_text(self->loop, a, "hello?"), -EPIPE);
	EXPECT_EQ(recv_text(self->loop, a, ""), 0);
	EXPECT_EQ(self->sys->close(self->loop, a), 0);
}

TEST(bytes_keep_their_order_in_a_small_ring)
{
	struct weir_sim_opts sim = { .sz = sizeof(sim), .short_permille = 300,
				     .socket_bytes = 7 };
	struct weir_loop *loop = open_loop(&sim, NULL, 3);
	unsigned int sent = 0, got = 0, i;
	unsigned char buf[16];
	int a, b, ret;

	ASSERT_NE(loop, NULL);
	b = make_pair(loop, &a);
	ASSERT_GE(b, 0);
	while (got < 10000) {
		do {
			for (i = 0; i < sizeof(buf); i++)
				buf[i] = (unsigned char)(sent + i);
			ret = loop->sys->send(loop, a, buf, 1 + sent % sizeof(buf), 0);
			if (ret > 0)
				sent += (unsigned int)ret;
		} while (ret > 0);
		ASSERT_EQ(ret, -EAGAIN);
		ASSERT_EQ(sent - got, 7);
		ret = loop->sys->recv(loop, b, buf, 1 + got % 5, 0);
		ASSERT_GT(ret, 0);
		for (i = 0; i < (unsigned int)ret && buf[i] == (unsigned char)(got + i); i++)
			;
		ASSERT_EQ(i, (unsigned int)ret);
		got += (unsigned int)ret;
	}
	loop->sys->close(loop, a);
	loop->sys->close(loop, b);
	EXPECT_EQ(weir_loop_close(loop, 0), 0);
}

TEST_F(sim, a_full_socket_is_writable_again_when_it_was_read)
{
	static unsigned char bytes[SIM_SOCKET_BYTES];
	unsigned int count = 0;
	struct weir_op op = { 0 };
	struct weir_file file;
	int a, b = make_pair(self->loop, &a);

	ASSERT_GE(b, 0);
	file = sim_file_of(self->loop, a);
	EXPECT_EQ(self->sys->send(self->loop, a, bytes, sizeof(bytes), 0), sizeof(bytes));
	weir_prep_send(&op, file, bytes, 100, count_done, &count);
	weir_submit(self->loop, &op);
	settle(self->loop);
	EXPECT_EQ(count, 0);
	EXPECT_EQ(self->sys->recv(self->loop, b, bytes, 10, 0), 10);
	EXPECT_EQ(weir_loop_run(self->loop), 1);
	EXPECT_EQ(count, 1);
	EXPECT_EQ(op.res, 10);
	self->sys->close(self->loop, b);
}

TEST_F(sim, cookies_are_not_zero_and_differ)
{
	uint64_t one = 0, two = 0;
	uint32_t len = sizeof(one);
	int a, b = make_pair(self->loop, &a);

	ASSERT_GE(b, 0);
	EXPECT_EQ(self->sys->getsockopt(self->loop, a, SOL_SOCKET, SO_COOKIE, &one, &len), 0);
	EXPECT_EQ(self->sys->getsockopt(self->loop, b, SOL_SOCKET, SO_COOKIE, &two, &len), 0);
	EXPECT_NE(one, 0);
	EXPECT_NE(two, 0);
	EXPECT_NE(one, two);
	self->sys->close(self->loop, a);
	self->sys->close(self->loop, b);
}

TEST_F(sim, sockets_have_an_end)
{
	int fds[16 + SIM_SPARE + 1], n;

	for (n = 0; n < (int)ARRAY_SIZE(fds); n++) {
		fds[n] = self->sys->socket(self->loop, AF_INET, SOCK_STREAM, 0);
		if (fds[n] < 0)
			break;
	}
	EXPECT_EQ(n, 16 + SIM_SPARE);
	EXPECT_EQ(fds[n], -EMFILE);
	while (n--)
		self->sys->close(self->loop, fds[n]);
}

/* files */

TEST_F(sim, files_are_named_bytes)
{
	const struct io_sys *sys = self->sys;
	struct weir_loop *loop = self->loop;
	char buf[16];
	int a, b;

	EXPECT_EQ(sys->open(loop, "f", O_RDWR, 0), -ENOENT);
	a = sys->open(loop, "f", O_RDWR | O_CREAT, 0600);
	b = sys->open(loop, "f", O_RDONLY, 0);
	ASSERT_GE(a, 0);
	ASSERT_GE(b, 0);
	EXPECT_EQ(sys->open(loop, "f", O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
	EXPECT_EQ(sys->write(loop, b, "x", 1, 0), -EBADF);
	EXPECT_EQ(sys->write(loop, a, "abcdef", 6, 2), 6);
	EXPECT_EQ(sys->read(loop, b, buf, sizeof(buf), 0), 8);
	EXPECT_EQ(memcmp(buf, "\0\0abcdef", 8), 0);
	EXPECT_EQ(sys->read(loop, b, buf, sizeof(buf), 8), 0);
	EXPECT_EQ(sys->recv(loop, a, buf, 1, 0), -ENOTSOCK);
	EXPECT_EQ(sys->write(loop, a, "x", 1, SIM_INODE_BYTES), -EFBIG);
	EXPECT_EQ(sys->write(loop, a, "x", 1, UINT64_MAX), -EINVAL);
	EXPECT_EQ(sys->poll(loop, a, POLLIN | POLLOUT), POLLIN | POLLOUT);
	sys->close(loop, a);

	/* What was truncated does not come back in a hole. */
	a = sys->open(loop, "f", O_RDWR | O_TRUNC, 0);
	EXPECT_EQ(sys->read(loop, b, buf, sizeof(buf), 0), 0);
	EXPECT_EQ(sys->write(loop, a, "z", 1, 4), 1);
	EXPECT_EQ(sys->read(loop, b, buf, sizeof(buf), 0), 5);
	EXPECT_EQ(memcmp(buf, "\0\0\0\0z", 5), 0);
	sys->close(loop, a);

	a = sys->open(loop, "f", O_WRONLY | O_APPEND, 0);
	EXPECT_EQ(sys->write(loop, a, "!", 1, 0), 1);
	EXPECT_EQ(sys->read(loop, b, buf, sizeof(buf), 4), 2);
	EXPECT_EQ(memcmp(buf, "z!", 2), 0);
	EXPECT_EQ(sys->read(loop, a, buf, 1, 0), -EBADF);
	sys->close(loop, a);
	sys->close(loop, b);
}

TEST_F(sim, a_read_takes_the_time_of_a_disk)
{
	unsigned int count = 0;
	struct weir_file file;
	struct weir_op op = { 0 };
	char byte;

	ASSERT_EQ(weir_file_open(self->loop, "f", O_CREAT | O_RDWR, 0600, &file), 0);
	weir_prep_read(&op, file, &byte, 1, 0, count_done, &count);
	weir_submit(self->loop, &op);
	settle(self->loop);
	EXPECT_EQ(count, 0);
	EXPECT_EQ(weir_loop_run(self->loop), 1);
	EXPECT_EQ(count, 1);
	EXPECT_EQ(weir_loop_now(self->loop), SIM_EPOCH_NS + SIM_DISK_NS);
}

TEST_HARNESS_MAIN
