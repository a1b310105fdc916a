// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_vip_serve.c - a whole service behind sk_lookup and BPF steering
 */
#include "vip.h"

#include <weir/serve.h>

/* 'm': go to the other worker instead; if it cannot be now, the 'm' comes back. */
static void echo(struct weir_conn *conn, struct weir_lease *lease)
{
	if (lease && *(char *)weir_lease_data(lease) == 'm') {
		int err = weir_conn_hand_over(conn, !weir_conn_worker(conn));

		if (!err)
			return;
		if (err != -EBUSY) {
			weir_conn_close(conn);
			return;
		}
	}
	if (!lease || weir_conn_send_lease(conn, lease, 0, weir_lease_len(lease)) < 0)
		weir_conn_close(conn);
}

static bool ping(const char *text, uint16_t port)
{
	char byte = 'p';
	int fd = connect_at(text, port);
	bool ok = fd >= 0 && send(fd, &byte, 1, MSG_NOSIGNAL) == 1 &&
		  client_recv(fd, &byte, 1) == 1;

	close(fd);
	return ok;
}

/* A service with BPF steering and two workers; the group's listener in self->s.fd[0]. */
static int serve(struct service *s, const char *backend, struct weir_service **servicep)
{
	static const struct weir_service_ops ops = { .data = echo };
	struct weir_loop_opts loop = { .sz = sizeof(loop), .backend = backend };
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .name = s->name, .workers = 2, .vips_max = NETS,
		.policy = WEIR_POLICY_P2C,
	};
	struct weir_service_opts service = {
		.sz = sizeof(service), .ops = &ops, .loop = &loop, .workers = 2,
		.conns_max = 64, .backlog = 64,
	};
	struct weir_addr addr;
	int err;

	snprintf(s->name, sizeof(s->name), "test-%d", runner);
	err = weir_bpf_open(&s->bpf, &opts);
	if (err)
		return err;
	s->st = weir_bpf_steering(s->bpf);
	service.steering = s->st;
	if (weir_addr_parse(&addr, "127.0.0.1:0"))
		return -EINVAL;
	service.addr = &addr;
	err = weir_service_open(servicep, &service);
	s->bpf = NULL;		/* the service's */
	if (err)
		return err;
	weir_service_addr(*servicep, &addr);
	s->port = ntohs(((struct sockaddr_in *)&addr.ss)->sin_port);
	return add(s, "127.9.0.0/16:443");
}

FIXTURE(workers)
{
	struct service s;
	struct weir_service *service;
};

FIXTURE_VARIANT(workers)
{
	const char *backend;
};

FIXTURE_VARIANT_ADD(workers, uring) { .backend = "uring" };
FIXTURE_VARIANT_ADD(workers, epoll) { .backend = "epoll" };

FIXTURE_SETUP(workers)
{
	const char *why = why_not();
	int err;

	if (why)
		SKIP(return, "%s", why);
	err = serve(&self->s, variant->backend, &self->service);
	if (err == -ENOSYS || err == -EPERM)
		SKIP(return, "backend %s is refused here", variant->backend);
	ASSERT_EQ(0, err);
}

FIXTURE_TEARDOWN(workers)
{
	weir_service_close(self->service);
}

TEST_F(workers, a_service_answers_on_its_networks)
{
	struct weir_service_stats one;
	unsigned int i, worker;

	for (i = 0; i < 40; i++)
		ASSERT_TRUE(ping("127.9.1.1", 443));
	EXPECT_EQ(40, stats(&self->s).assigned);
	weir_service_stop(self->service, 1000000000);
	EXPECT_EQ(0, weir_service_wait(self->service));
	for (worker = 0; worker < 2; worker++) {
		ASSERT_EQ(0, weir_service_stats(self->service, worker, &one, sizeof(one)));
		EXPECT_LT(0, one.accepted);
	}
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.1", 443));
}

#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF	68
#endif

/* Without a program the kernel's hash spreads over the group, that one included. */
TEST_F(workers, whoever_reaches_the_one_that_stands_for_the_group_is_served)
{
	int none = 0, i;

	ASSERT_EQ(0, setsockopt(self->s.st->ops->spare(self->s.st), SOL_SOCKET,
				SO_DETACH_REUSEPORT_BPF, &none, sizeof(none)));
	for (i = 0; i < 60; i++) {
		EXPECT_TRUE(ping("127.9.1.1", 443));
		EXPECT_TRUE(ping("127.0.0.1", self->s.port));
	}
}

/* The worker that the kernel half takes for the owner of the only connection. */
static uint32_t flow_owner(const struct service *s)
{
	struct flows flows;

	return flows_read(s, &flows) || flows.count != 1 ? WEIR_WORKER_NONE : flows.last.worker;
}

TEST_F(workers, a_connection_that_is_given_away_has_its_flow_with_it)
{
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;
	int fd = connect_at("127.9.1.1", 443), i;
	uint32_t before, after;
	char byte = 'p';

	ASSERT_LE(0, fd);
	for (i = 0; i < 10; i++) {
		ASSERT_EQ(1, send(fd, "p", 1, MSG_NOSIGNAL));
		ASSERT_EQ(1, client_recv(fd, &byte, 1));
		before = flow_owner(&self->s);
		if (before == WEIR_WORKER_NONE && !i)
			SKIP(return, "no flows here");
		ASSERT_GT(2, before);
		ASSERT_EQ(1, send(fd, "m", 1, MSG_NOSIGNAL));
		do {
			/* What it sent before may be on its way still. */
			if (recv(fd, &byte, 1, MSG_DONTWAIT) == 1)
				ASSERT_EQ(1, send(fd, "m", 1, MSG_NOSIGNAL));
			after = flow_owner(&self->s);
			/* While it is written over a row may be met twice. */
		} while ((after == before || after == WEIR_WORKER_NONE) && now_ns() < end);
		EXPECT_EQ(!before, after);
	}
	close(fd);
	EXPECT_EQ(0, flows_settle(&self->s, 0));
}

TEST_HARNESS_MAIN
