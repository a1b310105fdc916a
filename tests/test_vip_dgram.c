// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_vip_dgram.c - a service of datagrams that answers on networks
 *
 * All of 127.0.0.0/8 is this host's own, so no route is needed for IPv4.
 */
#include "vip.h"
#include "dgram_steer.h"

#include <weir/loop.h>
#include <weir/serve.h>

/* An unconnected sender, which hears whoever answers. */
static int sender(int family)
{
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static socklen_t at(struct sockaddr_storage *addr, const char *text, uint16_t port)
{
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;
	socklen_t len = addr_fill(addr, family, port);

	if (family == AF_INET)
		inet_pton(AF_INET, text, &((struct sockaddr_in *)addr)->sin_addr);
	else
		inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)addr)->sin6_addr);
	return len;
}

/* One that hears nobody but who is at @text. */
static int connected(const char *text, uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t len = at(&addr, text, port);
	int fd = sender(addr.ss_family);

	if (!connect(fd, (struct sockaddr *)&addr, len))
		return fd;
	close(fd);
	return -errno;
}

/* The worker that gets one from a new flow, or -errno of who hears that nobody is there. */
static int served_by(const struct service *s, const char *text, uint16_t port)
{
	int fd = connected(text, port), err = 0, worker;
	socklen_t len = sizeof(err);

	if (fd < 0)
		return fd;
	worker = ask(s, fd);
	if (worker < 0)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	close(fd);
	return worker < 0 && err ? -err : worker;
}

static void only(const struct service *s, unsigned int one)
{
	unsigned int i;

	for (i = 0; i < s->workers; i++)
		row(s, i)->inflight = i == one ? 0 : 10;
}

static int vip_open(struct service *s, unsigned int workers, int family)
{
	s->vips_max = NETS;
	return dgram_open(s, workers, WEIR_POLICY_LEAST, family, 64);
}

TEST_F(bpf, a_datagram_to_a_network_gets_the_worker_that_is_chosen)
{
	struct weir_gate gate;
	int i, fd;

	ASSERT_EQ(0, vip_open(&self->s, 4, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16"));
	for (i = 0; i < 20; i++) {
		only(&self->s, (unsigned int)i % 4);
		EXPECT_EQ(i % 4, served_by(&self->s, "127.9.1.2", self->s.port));
	}
	/* One flow stays where it is. */
	only(&self->s, 2);
	fd = connected("127.9.1.2", self->s.port);
	EXPECT_EQ(2, ask(&self->s, fd));
	only(&self->s, 3);
	EXPECT_EQ(2, ask(&self->s, fd));
	ASSERT_EQ(0, gate_read(&self->s, &gate));
	EXPECT_EQ(21, gate.asked);
	EXPECT_EQ(1, gate.dgram_kept);
	EXPECT_EQ(22, stats(&self->s).assigned);
	close(fd);
}

TEST_F(bpf, beside_the_network_and_on_other_ports_nobody_is)
{
	ASSERT_EQ(0, vip_open(&self->s, 2, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16"));
	EXPECT_EQ(-ECONNREFUSED, served_by(&self->s, "127.8.1.2", self->s.port));
	EXPECT_EQ(-ECONNREFUSED, served_by(&self->s, "127.9.1.2", self->s.port + 1));
	EXPECT_EQ(0, stats(&self->s).assigned);
	only(&self->s, 1);
	EXPECT_EQ(1, served_by(&self->s, "127.0.0.1", self->s.port));
	/* A connection is another matter. */
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.2", self->s.port));
}

/* Whatever the others do, the socket that stands for the group gets nothing. */
TEST_F(bpf, no_datagram_is_lost_to_who_stands_for_the_group)
{
	int i;

	ASSERT_EQ(0, vip_open(&self->s, 3, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16"));
	for (i = 0; i < 3; i++)
		row(&self->s, (unsigned int)i)->state = WEIR_DEAD;
	for (i = 0; i < 50; i++)
		EXPECT_LE(0, served_by(&self->s, "127.9.1.2", self->s.port));
	worker_leave(&self->s, 0);
	worker_leave(&self->s, 1);
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(2, served_by(&self->s, "127.9.1.2", self->s.port));
		EXPECT_EQ(2, served_by(&self->s, "127.0.0.1", self->s.port));
	}
	worker_leave(&self->s, 2);
	EXPECT_EQ(-ECONNREFUSED, served_by(&self->s, "127.9.1.2", self->s.port));
	EXPECT_EQ(1, stats(&self->s).absent);
}

static int add_why(const struct service *s, const char *text, uint32_t proto, char why[256])
{
	struct weir_bpf_vip net = vip(text);

	net.proto = proto;
	why[0] = '\0';
	return weir_bpf_vip_add(s->name, &net, why, 256);
}

TEST_F(bpf, a_port_that_cannot_answer_is_refused)
{
	char text[64], why[256];

	ASSERT_EQ(0, vip_open(&self->s, 1, AF_INET));
	EXPECT_EQ(-EADDRNOTAVAIL, add_why(&self->s, "127.9.0.0/16:1-65535", 0, why));
	EXPECT_NE(NULL, strstr(why, "one port"));
	snprintf(text, sizeof(text), "127.9.0.0/16:%u", self->s.port + 1);
	EXPECT_EQ(-EADDRNOTAVAIL, add_why(&self->s, text, 0, why));
	snprintf(text, sizeof(text), "its port, %u", self->s.port);
	EXPECT_NE(NULL, strstr(why, text));
	EXPECT_EQ(-EADDRNOTAVAIL, add_why(&self->s, "[::/0]", 0, why));
	EXPECT_EQ(-EPROTOTYPE, add_why(&self->s, "127.9.0.0/16", WEIR_PROTO_TCP, why));
	EXPECT_NE(NULL, strstr(why, "datagrams"));
	snprintf(text, sizeof(text), "127.9.0.0/16:%u", self->s.port);
	EXPECT_EQ(0, add_why(&self->s, text, WEIR_PROTO_UDP, why));
	EXPECT_EQ(-EEXIST, add(&self->s, "127.9.0.0/16"));
	EXPECT_EQ(0, served_by(&self->s, "127.9.1.2", self->s.port));
}

/* A set that was pinned for a service on another port: silence would be no answer. */
TEST_F(bpf, a_network_on_a_port_that_is_not_the_socket_s_is_passed_by)
{
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .name = self->s.name, .workers = 1, .vips_max = NETS,
		.flags = WEIR_BPF_DGRAM,
	};
	struct service *s = &self->s;

	snprintf(s->name, sizeof(s->name), "test-%d", runner);
	ASSERT_EQ(0, weir_bpf_open(&s->bpf, &opts));
	s->st = weir_bpf_steering(s->bpf);
	s->workers = 1;
	s->family = AF_INET;
	/* What is bound nowhere has no port of its own. */
	EXPECT_EQ(-EADDRNOTAVAIL, add(s, "127.9.0.0/16"));
	ASSERT_EQ(0, add(s, "127.9.0.0/16:9"));
	ASSERT_EQ(0, worker_join(s, 0));
	ASSERT_EQ(0, s->st->ops->seal(s->st));
	EXPECT_EQ(-ECONNREFUSED, served_by(s, "127.9.1.2", 9));
	EXPECT_EQ(1, stats(s).absent);
	EXPECT_EQ(0, stats(s).assigned);
}

TEST_F(bpf, two_services_share_a_network_and_not_a_port)
{
	struct service *s = &self->s, *other = &self->other;
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .name = other->name, .workers = 1, .vips_max = NETS,
		.flags = WEIR_BPF_DGRAM,
	};
	char text[64], why[256];

	ASSERT_EQ(0, vip_open(s, 1, AF_INET));
	ASSERT_EQ(0, add(s, "127.9.0.0/16"));
	snprintf(other->name, sizeof(other->name), "test-%d-b", runner);
	ASSERT_EQ(0, weir_bpf_open(&other->bpf, &opts));
	other->st = weir_bpf_steering(other->bpf);
	other->workers = 1;
	other->family = AF_INET;
	snprintf(text, sizeof(text), "127.9.8.0/24:%u", s->port);
	EXPECT_EQ(-EADDRINUSE, add_why(other, text, 0, why));
	EXPECT_NE(NULL, strstr(why, s->name));
	ASSERT_EQ(0, worker_join(other, 0));
	ASSERT_EQ(0, other->st->ops->seal(other->st));
	ASSERT_NE(s->port, other->port);
	EXPECT_EQ(0, add(other, "127.9.8.0/24"));
	EXPECT_EQ(0, served_by(other, "127.9.8.1", other->port));
	EXPECT_EQ(0, served_by(s, "127.9.8.1", s->port));
}

/* a service of the library's own */

static void echo(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	if (weir_dgram_send(dgram, datagram))
		abort();
}

static int live_open(struct service *s, const char *backend, const char *where,
		     struct weir_service **servicep)
{
	static const struct weir_service_ops ops = { .datagram = echo };
	struct weir_loop_opts loop = { .sz = sizeof(loop), .backend = backend };
	struct weir_bpf_opts bpf = {
		.sz = sizeof(bpf), .name = s->name, .workers = 2, .vips_max = NETS,
		.policy = WEIR_POLICY_P2C, .flags = WEIR_BPF_DGRAM,
	};
	struct weir_addr addr;
	struct weir_service_opts opts = {
		.sz = sizeof(opts), .ops = &ops, .addr = &addr, .workers = 2, .loop = &loop,
		.flags = WEIR_SERVICE_DGRAM,
	};
	struct weir_bpf *instance;
	int err;

	snprintf(s->name, sizeof(s->name), "test-%d-live", runner);
	err = weir_bpf_open(&instance, &bpf);
	if (!err)
		err = weir_addr_parse(&addr, where);
	if (err)
		return err;
	opts.steering = weir_bpf_steering(instance);
	err = weir_service_open(servicep, &opts);
	if (err)
		return err;
	weir_service_addr(*servicep, &addr);
	s->port = (uint16_t)weir_addr_port(&addr);
	return 0;
}

FIXTURE(live)
{
	struct service s;
	struct weir_service *service;
};

FIXTURE_VARIANT(live)
{
	const char *backend;
};

FIXTURE_VARIANT_ADD(live, uring) { .backend = "uring" };
FIXTURE_VARIANT_ADD(live, epoll) { .backend = "epoll" };

FIXTURE_SETUP(live)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->backend };
	const char *why = why_not();
	struct weir_loop *loop;

	if (!why && weir_loop_open(&loop, &opts))
		why = "the backend is refused here";
	if (why)
		SKIP(return, "%s", why);
	weir_loop_close(loop, 0);
}

FIXTURE_TEARDOWN(live)
{
	weir_service_close(self->service);
}

#define LIVE(self, where)	ASSERT_EQ(0, live_open(&(self)->s, variant->backend, where, \
						   &(self)->service))

/* Who is connected hears nobody but the address that he wrote to. */
static bool ping(const char *text, uint16_t port)
{
	int fd = connected(text, port);
	char byte = 'p';
	bool ok = fd >= 0 && send(fd, &byte, 1, 0) == 1 && client_recv(fd, &byte, 1) == 1;

	close(fd);
	return ok;
}

TEST_F(live, answers_leave_from_where_the_datagram_was_sent_to)
{
	int i;

	LIVE(self, "127.0.0.1:0");
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16"));
	for (i = 0; i < 10; i++) {
		ASSERT_TRUE(ping("127.9.1.1", self->s.port));
		ASSERT_TRUE(ping("127.9.200.7", self->s.port));
		ASSERT_TRUE(ping("127.0.0.1", self->s.port));
	}
	EXPECT_EQ(20, stats(&self->s).assigned);
}

TEST_F(live, so_they_do_on_any_address_of_this_host)
{
	LIVE(self, "0.0.0.0:0");
	EXPECT_TRUE(ping("127.0.0.3", self->s.port));
	EXPECT_TRUE(ping("127.3.0.1", self->s.port));
}

/* By a route alone: no address of the network is anybody's. */
TEST_F(live, a_network_of_ipv6_that_is_but_routed_here_is_answered)
{
	if (system("ip -6 route add local fd00:9::/64 dev lo 2> /dev/null"))
		SKIP(return, "no ip -6 route");
	LIVE(self, "[::1]:0");
	ASSERT_EQ(0, add(&self->s, "[fd00:9::/64]"));
	EXPECT_TRUE(ping("fd00:9::1", self->s.port));
	EXPECT_TRUE(ping("fd00:9:0:0:ffff::2", self->s.port));
	EXPECT_EQ(2, stats(&self->s).assigned);
}

TEST_F(live, a_socket_of_ipv6_answers_networks_of_ipv4)
{
	LIVE(self, "[::]:0");
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16"));
	EXPECT_TRUE(ping("127.9.1.1", self->s.port));
	EXPECT_TRUE(ping("::1", self->s.port));
	EXPECT_EQ(1, stats(&self->s).assigned);
}

/* In one turn, to one peer: they must not become one message. */
TEST_F(live, answers_from_two_addresses_are_not_merged)
{
	static const char *const to[] = { "127.9.1.1", "127.9.1.2" };
	struct sockaddr_storage addr;
	struct sockaddr_in from;
	socklen_t len;
	ssize_t n;
	int fd, i;
	char byte;

	LIVE(self, "127.0.0.1:0");
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16"));
	fd = sender(AF_INET);
	for (i = 0; i < 200; i++) {
		len = at(&addr, to[i & 1], self->s.port);
		byte = (char)(i & 1);
		ASSERT_EQ(1, sendto(fd, &byte, 1, 0, (struct sockaddr *)&addr, len));
	}
	for (i = 0; i < 200; i++) {
		do {
			len = sizeof(from);
			n = recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from, &len);
		} while (n < 0 && errno == EINTR);
		ASSERT_EQ(1, n);
		ASSERT_EQ(inet_addr(to[(int)byte]), from.sin_addr.s_addr);
		ASSERT_EQ(htons(self->s.port), from.sin_port);
	}
	close(fd);
}

TEST_HARNESS_MAIN
