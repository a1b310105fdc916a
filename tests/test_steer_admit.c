// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_steer_admit.c - who is let in: shedding, budgets of networks, syncookies
 *
 * Clients have addresses of their own: 127.1.2.3 is of the network 127.1.2.0/24.
 */
#include <netinet/ip.h>
#include <netinet/tcp.h>

#include "bpf_service.h"

#define CLIENT(a, b)	(0x7f000000U | (a) << 8 | (b))

FIXTURE(admit)
{
	struct service s;
	int gate, prefix;
};

FIXTURE_SETUP(admit)
{
	const char *why = why_not();

	self->gate = -1;
	self->prefix = -1;
	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN(admit)
{
	if (self->gate >= 0)
		close(self->gate);
	if (self->prefix >= 0)
		close(self->prefix);
	service_close(&self->s);
}

static struct weir_cfg *cfg(const struct service *s)
{
	return weir_bpf_cfg(s->bpf);
}

#define OPEN(workers, policy, family)							\
do {											\
	ASSERT_EQ(0, service_open(&self->s, "", workers, policy, FOREVER_NS, family));	\
	self->gate = map_open(&self->s, "weir_gate");					\
	self->prefix = map_open(&self->s, "weir_prefix");				\
	ASSERT_LE(0, self->gate);							\
	ASSERT_LE(0, self->prefix);							\
} while (0)

static struct weir_gate gate_read(int map)
{
	struct weir_gate sum = {}, rows[512];
	const uint64_t *from;
	uint64_t *to = (uint64_t *)&sum;
	uint32_t zero = 0;
	size_t cpu, i;

	memset(rows, 0, sizeof(rows));
	if (bpf_map_lookup_elem(map, &zero, rows))
		return sum;
	for (cpu = 0; cpu < ARRAY_SIZE(rows); cpu++) {
		from = (const uint64_t *)&rows[cpu];
		for (i = 0; i < sizeof(sum) / sizeof(*to); i++)
			to[i] += from[i];
	}
	return sum;
}

static struct weir_prefix prefix4(uint32_t ip, uint32_t bits)
{
	return (struct weir_prefix){
		.ip[0] = htonl(bits ? ip & ~0U << (32 - bits) : 0), .bits = bits,
	};
}

/* A client with this address, or -errno. */
static int connect_from(const struct service *s, uint32_t ip)
{
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(ip) };
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(s->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* Of @count clients, accepted when they come: how many were let in; -1: lost. */
static int let_in(const struct service *s, uint32_t ip, unsigned int count)
{
	int in = 0, client, server;

	while (count--) {
		client = connect_from(s, ip);
		if (client == -ECONNREFUSED)
			continue;
		if (client < 0 || accept_any(s, &server) < 0)
			return -1;
		close(client);
		close(server);
		in++;
	}
	return in;
}

static uint64_t picked(const struct service *s)
{
	struct weir_bpf_worker worker;
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < s->workers; i++) {
		if (!worker_read(s, i, &worker))
			sum += worker.listener.picked;
	}
	return sum;
}

TEST_F(admit, share_is_shed)
{
	struct weir_gate gate;
	int in;

	OPEN(2, WEIR_POLICY_P2C, AF_INET);
	EXPECT_EQ(100, let_in(&self->s, CLIENT(0, 1), 100));
	gate = gate_read(self->gate);
	EXPECT_EQ(100, gate.asked);
	EXPECT_EQ(0, gate.shed);
	cfg(&self->s)->shed_permille = 300;
	in = let_in(&self->s, CLIENT(0, 1), 1000);
	/* 5 standard deviations: 72 */
	EXPECT_LT(700 - 73, in);
	EXPECT_GT(700 + 73, in);
	gate = gate_read(self->gate);
	EXPECT_EQ(1100, gate.asked);
	EXPECT_EQ((uint64_t)(1000 - in), gate.shed);
	EXPECT_EQ(0, gate.shed_prefix);
	EXPECT_EQ((uint64_t)(100 + in), picked(&self->s));
}

TEST_F(admit, shed_client_is_refused_at_once)
{
	OPEN(1, WEIR_POLICY_LEAST, AF_INET);
	cfg(&self->s)->shed_permille = 990;
	EXPECT_LE(0, let_in(&self->s, CLIENT(0, 1), 100));
	/* A SYN that got no answer is sent again, and asked again. */
	EXPECT_EQ(100, gate_read(self->gate).asked);
}

TEST_F(admit, never_all_are_shed)
{
	int in;

	OPEN(1, WEIR_POLICY_LEAST, AF_INET);
	cfg(&self->s)->shed_permille = ~0U;
	in = let_in(&self->s, CLIENT(0, 1), 2000);
	EXPECT_LT(0, in);
	EXPECT_GT(100, in);
}

static void networks4(struct __test_metadata *const _metadata, struct _test_data_admit *self)
{
	struct weir_prefix key = prefix4(CLIENT(1, 0), 24);
	struct weir_bucket bucket;
	struct weir_gate gate;
	int i;

	OPEN(2, WEIR_POLICY_P2C, AF_INET);
	cfg(&self->s)->prefix_rate = 1;
	cfg(&self->s)->prefix_burst = 60;
	/* One more each second: not so many that a slow machine could tell. */
	EXPECT_EQ(30, let_in(&self->s, CLIENT(1, 1), 30));
	EXPECT_EQ(25, let_in(&self->s, CLIENT(1, 200), 25));
	EXPECT_GT(30, let_in(&self->s, CLIENT(1, 7), 30));
	EXPECT_EQ(60, let_in(&self->s, CLIENT(2, 7), 60));
	gate = gate_read(self->gate);
	EXPECT_EQ(145, gate.asked);
	EXPECT_LT(0, gate.shed_prefix);
	EXPECT_EQ(0, gate.shed);
	EXPECT_EQ(0, gate.prefix_failed);
	ASSERT_EQ(0, bpf_map_lookup_elem(self->prefix, &key, &bucket));
	EXPECT_EQ(gate.shed_prefix, bucket.refused);
	/* Refused just now, it has none. */
	for (i = 0; i < 100 && let_in(&self->s, CLIENT(1, 7), 1); i++)
		;
	ASSERT_EQ(0, bpf_map_lookup_elem(self->prefix, &key, &bucket));
	EXPECT_GT(1000, bucket.tokens_milli);
}

TEST_F(admit, network_has_its_burst_and_others_theirs)
{
	networks4(_metadata, self);
}

TEST_F(admit, length_of_networks_is_the_operators)
{
	OPEN(2, WEIR_POLICY_P2C, AF_INET);
	cfg(&self->s)->prefix_rate = 1;
	cfg(&self->s)->prefix_burst = 10;
	cfg(&self->s)->prefix_bits4 = 32;
	EXPECT_EQ(10, let_in(&self->s, CLIENT(1, 1), 10));
	EXPECT_EQ(10, let_in(&self->s, CLIENT(1, 2), 10));
	cfg(&self->s)->prefix_bits4 = 16;
	EXPECT_EQ(5, let_in(&self->s, CLIENT(1, 1), 5));
	EXPECT_EQ(5, let_in(&self->s, CLIENT(9, 1), 5));
	EXPECT_GT(10, let_in(&self->s, CLIENT(3, 1), 10));
}

/* Time is what the bucket says it was filled: nobody sleeps here. */
TEST_F(admit, bucket_fills_with_time)
{
	struct weir_prefix key = prefix4(CLIENT(1, 0), 24);
	struct weir_bucket bucket;
	int in;

	OPEN(1, WEIR_POLICY_LEAST, AF_INET);
	cfg(&self->s)->prefix_rate = 10;
	cfg(&self->s)->prefix_burst = 100;
	EXPECT_LE(100, let_in(&self->s, CLIENT(1, 1), 120));
	ASSERT_EQ(0, bpf_map_lookup_elem(self->prefix, &key, &bucket));
	bucket.tokens_milli = 0;
	bucket.filled_ns = now_ns() - 3000000000ULL;
	ASSERT_EQ(0, bpf_map_update_elem(self->prefix, &key, &bucket, BPF_ANY));
	in = let_in(&self->s, CLIENT(1, 1), 90);
	EXPECT_LE(30, in);
	EXPECT_GT(90, in);	/* it would take six seconds */
	/* However long it was quiet, it holds no more than the burst. */
	bucket.tokens_milli = 0;
	bucket.filled_ns = 1;
	ASSERT_EQ(0, bpf_map_update_elem(self->prefix, &key, &bucket, BPF_ANY));
	in = let_in(&self->s, CLIENT(1, 1), 150);
	EXPECT_LT(10, in);
	EXPECT_GT(150, in);
}

/* An hour ahead by somebody's hand: not an hour without clients. */
TEST_F(admit, bucket_from_the_future_fills_again)
{
	struct weir_prefix key = prefix4(CLIENT(1, 0), 24);
	struct weir_bucket bucket = {};

	OPEN(1, WEIR_POLICY_LEAST, AF_INET);
	cfg(&self->s)->prefix_rate = 1000;
	cfg(&self->s)->prefix_burst = 10;
	bucket.filled_ns = now_ns() + FOREVER_NS;
	ASSERT_EQ(0, bpf_map_update_elem(self->prefix, &key, &bucket, BPF_ANY));
	EXPECT_GE(1, let_in(&self->s, CLIENT(1, 1), 1));
	ASSERT_EQ(0, bpf_map_lookup_elem(self->prefix, &key, &bucket));
	EXPECT_GE(now_ns(), bucket.filled_ns);
}

/* What one network takes is its own: the others see nothing of it. */
TEST_F(admit, greedy_source_takes_from_nobody)
{
	unsigned int i;

	OPEN(2, WEIR_POLICY_P2C, AF_INET);
	cfg(&self->s)->prefix_rate = 1;
	cfg(&self->s)->prefix_burst = 20;
	for (i = 2; i < 12; i++) {
		EXPECT_GT(60, let_in(&self->s, CLIENT(1, 1), 60));
		EXPECT_EQ(20, let_in(&self->s, CLIENT(i, 1), 20));
	}
}

static int let_in6(const struct service *s, const char *from, unsigned int count)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };
	struct sockaddr_storage to;
	socklen_t len = addr_fill(&to, AF_INET6, s->port);
	int in = 0, fd, server;

	inet_pton(AF_INET6, from, &addr.sin6_addr);
	while (count--) {
		fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)))
			return -1;
		if (!connect(fd, (struct sockaddr *)&to, len)) {
			if (accept_any(s, &server) < 0)
				return -1;
			close(server);
			in++;
		} else if (errno != ECONNREFUSED) {
			return -1;
		}
		close(fd);
	}
	return in;
}

static void networks6(struct __test_metadata *const _metadata, struct _test_data_admit *self)
{
	OPEN(2, WEIR_POLICY_P2C, AF_INET6);
	ASSERT_EQ(0, lo_add6("fd00:1:2:300::1"));
	ASSERT_EQ(0, lo_add6("fd00:1:2:3ff::2"));
	ASSERT_EQ(0, lo_add6("fd00:1:2:400::1"));
	cfg(&self->s)->prefix_rate = 1;
	cfg(&self->s)->prefix_burst = 30;
	EXPECT_EQ(15, let_in6(&self->s, "fd00:1:2:300::1", 15));
	EXPECT_EQ(15, let_in6(&self->s, "fd00:1:2:3ff::2", 15));
	EXPECT_GT(20, let_in6(&self->s, "fd00:1:2:300::1", 20));
	EXPECT_EQ(30, let_in6(&self->s, "fd00:1:2:400::1", 30));
	cfg(&self->s)->prefix_bits6 = 128;
	EXPECT_EQ(20, let_in6(&self->s, "fd00:1:2:300::1", 20));
	EXPECT_EQ(0, gate_read(self->gate).prefix_failed);
}

TEST_F(admit, networks_of_ipv6_are_56_bits)
{
	networks6(_metadata, self);
}

/* Who may not read the kernel's memory has the address copied. */
static int without_perfmon(void)
{
	return caps_keep(1ULL << CAP_BPF | 1ULL << CAP_NET_ADMIN | 1ULL << CAP_DAC_OVERRIDE |
			 1ULL << CAP_CHOWN);
}

TEST_F(admit, networks_of_ipv6_are_56_bits_without_CAP_PERFMON)
{
	ASSERT_EQ(0, without_perfmon());
	networks6(_metadata, self);
}

TEST_F(admit, network_has_its_burst_without_CAP_PERFMON)
{
	ASSERT_EQ(0, without_perfmon());
	networks4(_metadata, self);
}

/* Moving is not arriving: no budget is charged, nobody is shed or reset. */
TEST_F(admit, moving_connections_are_not_asked)
{
	struct weir_gate before, after;
	int client[20], i, server;
	char byte;

	OPEN(2, WEIR_POLICY_LEAST, AF_INET);
	row(&self->s, 1)->state = WEIR_DRAIN;
	cfg(&self->s)->prefix_rate = 1;
	cfg(&self->s)->prefix_burst = 20;
	for (i = 0; i < 20; i++) {
		client[i] = connect_from(&self->s, CLIENT(1, 1));
		ASSERT_LE(0, client[i]);
	}
	before = gate_read(self->gate);
	cfg(&self->s)->shed_permille = 990;
	row(&self->s, 1)->state = WEIR_PARKED;
	ASSERT_EQ(0, shutdown(self->s.fd[0], SHUT_RDWR));
	self->s.fd[0] = -self->s.fd[0];
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(1, accept_any(&self->s, &server));
		ASSERT_EQ(1, send(server, "x", 1, 0));
		close(server);
	}
	self->s.fd[0] = -self->s.fd[0];
	for (i = 0; i < 20; i++)
		EXPECT_EQ(1, recv(client[i], &byte, 1, 0));
	after = gate_read(self->gate);
	EXPECT_EQ(before.asked, after.asked);
	EXPECT_EQ(0, after.shed + after.shed_prefix);
}

static int sysctl_set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* With cookies the program runs on the SYN and on the ACK that brings one back. */
TEST_F(admit, syncookies_are_charged_once)
{
	struct weir_prefix key = prefix4(CLIENT(1, 0), 24);
	struct weir_bucket bucket;
	uint64_t spent;

	OPEN(4, WEIR_POLICY_P2C, AF_INET);
	ASSERT_EQ(0, sysctl_set("/proc/sys/net/ipv4/tcp_syncookies", "2"));
	cfg(&self->s)->prefix_rate = 1;
	cfg(&self->s)->prefix_burst = 1000;
	EXPECT_EQ(100, let_in(&self->s, CLIENT(1, 1), 100));
	EXPECT_EQ(200, picked(&self->s));
	EXPECT_EQ(100, gate_read(self->gate).asked);
	ASSERT_EQ(0, bpf_map_lookup_elem(self->prefix, &key, &bucket));
	spent = 1000 * 1000 - bucket.tokens_milli;
	EXPECT_GE(100 * 1000, spent);
	EXPECT_LT(50 * 1000, spent);	/* 200 would be nothing less than 150 seconds */
}

/* Whose SYN was let in is let in: the ACK is not asked again. */
TEST_F(admit, syncookies_are_decided_once)
{
	struct weir_gate gate;
	int in;

	OPEN(4, WEIR_POLICY_P2C, AF_INET);
	ASSERT_EQ(0, sysctl_set("/proc/sys/net/ipv4/tcp_syncookies", "2"));
	cfg(&self->s)->shed_permille = 500;
	in = let_in(&self->s, CLIENT(1, 1), 400);
	gate = gate_read(self->gate);
	EXPECT_EQ(400, gate.asked);
	EXPECT_EQ((uint64_t)(400 - in), gate.shed);
	EXPECT_LT(150, in);
	EXPECT_EQ((uint64_t)(2 * in), picked(&self->s));
}

struct syn {
	struct iphdr ip;
	struct tcphdr tcp;
};

static uint16_t sum_of(const void *data, size_t bytes, uint32_t sum)
{
	const uint16_t *word = data;

	for (; bytes; bytes -= 2)
		sum += *word++;
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

static struct syn syn_make(uint32_t from, uint16_t from_port, uint16_t port)
{
	struct syn syn = {
		.ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP,
			.saddr = htonl(from), .daddr = htonl(INADDR_LOOPBACK),
			.tot_len = htons(sizeof(syn)) },
		.tcp = { .source = htons(from_port), .dest = htons(port), .doff = 5, .syn = 1,
			 .window = htons(1024), .seq = htonl(from) },
	};
	uint32_t pseudo = htons(IPPROTO_TCP) + htons(sizeof(syn.tcp));

	pseudo += (syn.ip.saddr & 0xffff) + (syn.ip.saddr >> 16);
	pseudo += (syn.ip.daddr & 0xffff) + (syn.ip.daddr >> 16);
	syn.tcp.check = sum_of(&syn.tcp, sizeof(syn.tcp), pseudo);
	return syn;
}

/* SYNs from @count networks of which nobody is there. */
static int flood(const struct service *s, unsigned int count)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	struct syn syn;
	unsigned int i;

	if (fd < 0)
		return -errno;
	for (i = 0; i < count; i++) {
		syn = syn_make(CLIENT(0x100 + i, 1), 1024 + i % 50000, s->port);
		if (sendto(fd, &syn, sizeof(syn), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			return -errno;
	}
	close(fd);
	return 0;
}

TEST_F(admit, spoofed_syns_are_no_load)
{
	struct weir_bpf_worker worker;
	unsigned int got[WORKERS], i;

	OPEN(4, WEIR_POLICY_LEAST, AF_INET);
	cfg(&self->s)->stale_ns = 1;	/* whoever has something waiting is hung */
	ASSERT_EQ(0, flood(&self->s, 500));
	EXPECT_EQ(500, picked(&self->s));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, worker_read(&self->s, i, &worker));
		EXPECT_EQ(0, worker.pending.established);
		EXPECT_EQ(0, worker.listener.skip_stale);
		EXPECT_EQ(0, worker.listener.fallback);
	}
	cfg(&self->s)->stale_ns = FOREVER_NS;
	row(&self->s, 2)->inflight = 1;
	ASSERT_EQ(0, spread(&self->s, 40, got));
	EXPECT_EQ(0, got[2]);
}

/* More networks than there are buckets: the oldest go, and nobody is refused. */
TEST_F(admit, flood_of_networks_fills_no_table)
{
	struct weir_gate gate;

	OPEN(2, WEIR_POLICY_P2C, AF_INET);
	ASSERT_EQ(0, sysctl_set("/proc/sys/net/ipv4/tcp_syncookies", "2"));
	cfg(&self->s)->prefix_rate = 1;
	cfg(&self->s)->prefix_burst = 10;
	ASSERT_EQ(0, flood(&self->s, 20000));
	gate = gate_read(self->gate);
	EXPECT_EQ(20000, gate.asked);
	EXPECT_EQ(0, gate.shed_prefix);
	EXPECT_EQ(0, gate.prefix_failed);
	EXPECT_EQ(10, let_in(&self->s, CLIENT(1, 1), 10));
	EXPECT_GT(10, let_in(&self->s, CLIENT(1, 1), 10));
}

TEST_HARNESS_MAIN
