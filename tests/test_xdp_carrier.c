// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_xdp_carrier.c - a service whose datagrams go by AF_XDP: frames that are damaged,
 * a worker that dies, an interface with too few queues
 *
 * v1 is the service's; v0 is in a namespace of the client's.
 */
#include "bpf_service.h"
#include "veth.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <pthread.h>

#include <weir/loop.h>
#include <weir/serve.h>
#include <weir/xdp.h>

#define PORT		7700
#define OWN_IP		"10.9.0.2"
#define CLIENTS		32
#define TRIES		50		/* of 100 ms */
#define STOP_NS		2000000000ULL

FIXTURE(carrier) {
	char name[WEIR_NAME_BYTES];
	char reason[256];
	int here, there;		/* namespaces */
	struct weir_bpf *bpf;
	struct weir_xdp *xdp;
	struct weir_dgram_carrier *carrier;
	struct weir_service *service;
	unsigned char mac[6];		/* of v1 */
};

/* An echo; '!' is the end of the worker, in the middle of it. */
static void echo(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	char first = datagram->len ? *(const char *)datagram->data : '\0';

	if (weir_dgram_send(dgram, datagram))
		abort();
	if (first == '!')
		pthread_exit(NULL);
}

static const struct weir_service_ops echo_ops = { .datagram = echo };

static const char *net_open(struct _test_data_carrier *self)
{
	char line[512];

	if (geteuid())
		return "needs root";
	if (unshare(CLONE_NEWNET))
		return "needs a network namespace";
	self->there = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET))
		return "needs a second network namespace";
	self->here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	snprintf(line, sizeof(line),
		 "ip link add v1 numrxqueues 2 numtxqueues 2 type veth "
		 "peer name v0 numrxqueues 2 numtxqueues 2 netns /proc/%d/fd/%d && "
		 "ip link set v1 up && ip addr add " OWN_IP "/24 dev v1",
		 getpid(), self->there);
	if (system(line) || setns(self->there, CLONE_NEWNET))
		return "needs ip link and veth";
	if (system("ip link set v0 up && ip addr add 10.9.0.1/24 dev v0 && " AWAIT_LINK("v0")) ||
	    setns(self->here, CLONE_NEWNET) || system(AWAIT_LINK("v1")))
		return "needs ip link and veth";
	return NULL;
}

FIXTURE_SETUP(carrier)
{
	struct weir_bpf_opts bpf = {
		.sz = sizeof(bpf), .name = self->name, .workers = 2,
		.flags = WEIR_BPF_NO_FLOWS | WEIR_BPF_DGRAM,
		.reason = self->reason, .reason_bytes = sizeof(self->reason),
	};
	struct weir_xdp_opts xdp = { .sz = sizeof(xdp), .ifname = "v1" };
	const char *why = net_open(self);
	int err;

	if (why)
		SKIP(_exit(KSFT_SKIP), "%s", why);
	snprintf(self->name, sizeof(self->name), "test-%d-c%d", runner, getpid());
	err = weir_bpf_open(&self->bpf, &bpf);
	if (err == -EPERM || err == -ENODEV)
		SKIP(_exit(KSFT_SKIP), "%s", self->reason);
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, weir_xdp_open(&self->xdp, self->bpf, &xdp));
	ASSERT_EQ(0, weir_xdp_carrier_open(&self->carrier, self->xdp));
	ASSERT_EQ(0, mac_of("v1", self->mac));
}

/* The service closes its steering, and that what is on the interface. */
FIXTURE_TEARDOWN(carrier)
{
	weir_service_close(self->service);
	weir_xdp_carrier_close(self->carrier);
	EXPECT_EQ(0, system("! ip link show v1 | grep -q prog/xdp"));
}

static int service_begin(struct _test_data_carrier *self)
{
	struct weir_service_opts opts = {
		.sz = sizeof(opts), .ops = &echo_ops, .workers = 2,
		.steering = weir_bpf_steering(self->bpf), .carrier = self->carrier,
		.flags = WEIR_SERVICE_DGRAM, .conns_max = 64,
	};
	struct weir_addr addr;
	int err = weir_addr_parse(&addr, OWN_IP ":7700");

	opts.addr = &addr;
	return err ?: weir_service_open(&self->service, &opts);
}

static struct weir_xdp_carrier_stats carried(struct _test_data_carrier *self)
{
	struct weir_xdp_carrier_stats stats;

	weir_xdp_carrier_stats(self->carrier, &stats, sizeof(stats));
	return stats;
}

/* A socket of the client's namespace. */
static int client_open(struct _test_data_carrier *self, int family, int type, int proto)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd;

	inet_pton(AF_INET, OWN_IP, &in.sin_addr);
	if (setns(self->there, CLONE_NEWNET))
		return -1;
	fd = socket(family, type | SOCK_CLOEXEC, proto);
	if (family == AF_INET && connect(fd, (struct sockaddr *)&in, sizeof(in)))
		return -1;
	return setns(self->here, CLONE_NEWNET) ? -1 : fd;
}

/* Ask until there is an answer: what was on its way to a worker that died is lost. */
static int ask(int fd, const char *text)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char answer[64];
	int i;

	for (i = 0; i < TRIES; i++) {
		if (send(fd, text, strlen(text), 0) < 0)
			return -errno;
		if (poll(&poll_fd, 1, 100) == 1)
			break;
	}
	return i < TRIES && recv(fd, answer, sizeof(answer), 0) == (ssize_t)strlen(text) &&
	       !memcmp(answer, text, strlen(text)) ? 0 : -ETIMEDOUT;
}

TEST_F(carrier, a_dead_worker_s_peers_are_served_by_the_socket_of_another)
{
	struct weir_xdp_stats stats;
	int fds[CLIENTS], i;

	ASSERT_EQ(0, service_begin(self)) {
		TH_LOG("%s", self->reason);
	}
	for (i = 0; i < CLIENTS; i++) {
		fds[i] = client_open(self, AF_INET, SOCK_DGRAM, 0);
		ASSERT_LE(0, fds[i]);
		ASSERT_EQ(0, ask(fds[i], "hello"));
	}
	EXPECT_LE(CLIENTS, carried(self).received);
	EXPECT_EQ(0, carried(self).no_peer);
	ASSERT_EQ(1, send(fds[0], "!", 1, 0));
	for (i = 0; i < CLIENTS; i++)
		ASSERT_EQ(0, ask(fds[i], "again"));
	ASSERT_EQ(0, weir_xdp_stats(self->xdp, &stats));
	EXPECT_LT(0, stats.no_worker);
	EXPECT_LT(0, carried(self).no_peer);
	weir_service_stop(self->service, STOP_NS);
	EXPECT_EQ(-EOWNERDEAD, weir_service_wait(self->service));
	for (i = 0; i < CLIENTS; i++)
		close(fds[i]);
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t sum_of(uint32_t sum, const unsigned char *at, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++)
		sum += (uint32_t)at[i] << (i & 1 ? 0 : 8);
	return sum;
}

static void put16(unsigned char *at, uint32_t value)
{
	at[0] = (value >> 8) & 0xff;
	at[1] = value & 0xff;
}

enum { PAYLOAD = 11, FRAME = ETH_HLEN + 28 + PAYLOAD };

/* With all its checksums, made another way than the carrier does. */
static void make(struct _test_data_carrier *self, unsigned char frame[FRAME])
{
	unsigned char *ip = frame + ETH_HLEN, *udp = ip + 20;

	memset(frame, 0, FRAME);
	memcpy(frame, self->mac, 6);
	frame[6] = 2;
	put16(frame + 12, ETH_P_IP);
	ip[0] = 0x45;
	put16(ip + 2, FRAME - ETH_HLEN);
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	inet_pton(AF_INET, "10.9.0.7", ip + 12);
	inet_pton(AF_INET, OWN_IP, ip + 16);
	put16(ip + 10, (uint16_t)~fold(sum_of(0, ip, 20)));
	put16(udp, 4000);
	put16(udp + 2, PORT);
	put16(udp + 4, 8 + PAYLOAD);
	memcpy(udp + 8, "hello world", PAYLOAD);
	put16(udp + 6, (uint16_t)~fold(sum_of(17 + 8 + PAYLOAD + sum_of(0, ip + 12, 8), udp,
					      8 + PAYLOAD)));
}

static int inject(struct _test_data_carrier *self, int fd, const unsigned char frame[FRAME])
{
	struct weir_xdp_carrier_stats before = carried(self), now;
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };
	int i;

	setns(self->there, CLONE_NEWNET);
	to.sll_ifindex = (int)if_nametoindex("v0");
	setns(self->here, CLONE_NEWNET);
	if (sendto(fd, frame, FRAME, 0, (struct sockaddr *)&to, sizeof(to)) != FRAME)
		return -errno;
	for (i = 0; i < 5000; i++) {
		now = carried(self);
		if (now.received + now.damaged != before.received + before.damaged)
			return now.received != before.received;
		poll(NULL, 0, 1);
	}
	return -ETIMEDOUT;
}

TEST_F(carrier, a_damaged_frame_is_dropped_and_counted)
{
	unsigned char frame[FRAME];
	int fd, at;

	ASSERT_EQ(0, service_begin(self));
	fd = client_open(self, AF_PACKET, SOCK_RAW, 0);
	ASSERT_LE(0, fd);
	make(self, frame);
	ASSERT_EQ(1, inject(self, fd, frame));
	EXPECT_EQ(0, carried(self).unverified);
	/* Each byte that a checksum covers, but those that make it somebody else's. */
	for (at = ETH_HLEN + 28; at < FRAME; at++) {
		make(self, frame);
		frame[at] ^= 0x10;
		EXPECT_EQ(0, inject(self, fd, frame));
	}
	make(self, frame);
	frame[ETH_HLEN + 8] = 63;	/* of the header */
	EXPECT_EQ(0, inject(self, fd, frame));
	EXPECT_EQ(PAYLOAD + 1, carried(self).damaged);
	/* IPv4 may do without. */
	make(self, frame);
	put16(frame + ETH_HLEN + 26, 0);
	EXPECT_EQ(1, inject(self, fd, frame));
	EXPECT_EQ(0, carried(self).unverified);
	close(fd);
	weir_service_stop(self->service, STOP_NS);
	EXPECT_EQ(0, weir_service_wait(self->service));
}

TEST_F(carrier, a_queue_that_is_taken_lets_no_service_open)
{
	static const struct weir_xsk_ops ops = { .sz = sizeof(ops) };
	struct weir_xsk_opts opts = {
		.sz = sizeof(opts), .ops = &ops, .ifname = "v1", .queue = 1, .frames = 64,
	};
	struct weir_loop_opts loop_opts = { .sz = sizeof(loop_opts) };
	struct weir_loop *loop;
	struct weir_xsk *xsk;

	ASSERT_EQ(0, weir_loop_open(&loop, &loop_opts));
	ASSERT_EQ(0, weir_xsk_open(&xsk, loop, &opts));
	EXPECT_EQ(-EBUSY, service_begin(self));
	EXPECT_EQ(NULL, self->service);
	weir_xsk_close(xsk);
	EXPECT_LE(0, weir_loop_close(loop, 1000000000));
}

TEST_HARNESS_MAIN
