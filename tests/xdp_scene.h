/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * xdp_scene.h - an instance's XDP program on v1, workers played by the test
 *
 * Frames are made by hand and sent from v0.
 */
#ifndef TESTS_XDP_SCENE_H
#define TESTS_XDP_SCENE_H

#include "bpf_service.h"
#include "refuse.h"
#include "veth.h"

#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>

#include <weir/loop.h>
#include <weir/xdp.h>

#define PORT		7700
#define OWN_IP		"10.9.0.2"
#define OWN_IP6		"fd09::2"
#define TRIES		5000		/* turns of a millisecond */

struct taken {
	unsigned int frames;
	unsigned char last[2048];
	uint32_t last_len;
};

FIXTURE(xdp) {
	char name[WEIR_NAME_BYTES];
	char reason[256];
	struct weir_bpf *bpf;
	struct weir_xdp *xdp;
	struct weir_loop *loop;
	struct weir_xsk *xsk[2];
	struct taken taken[2];
	struct weir_xsk *from;		/* on queue 0 of v0 */
	unsigned char mac[6];		/* of v1 */
};

FIXTURE_VARIANT(xdp) {
	uint32_t want;
	uint32_t mode;
	uint32_t foreign;
};

FIXTURE_VARIANT_ADD(xdp, native) {
	.want = WEIR_XDP_WANT_NATIVE, .mode = WEIR_XDP_NATIVE, .foreign = XDP_FLAGS_DRV_MODE,
};

FIXTURE_VARIANT_ADD(xdp, generic) {
	.want = WEIR_XDP_WANT_GENERIC, .mode = WEIR_XDP_GENERIC, .foreign = XDP_FLAGS_SKB_MODE,
};

static inline void on_packet(void *ctx, struct weir_lease *lease, void *frame, uint32_t len)
{
	struct taken *taken = ctx;

	memcpy(taken->last, frame, len < sizeof(taken->last) ? len : sizeof(taken->last));
	taken->last_len = len;
	taken->frames++;
}

static const struct weir_xsk_ops ops = { .sz = sizeof(ops), .packet = on_packet };

static inline int addr_of(struct weir_addr *addr, const char *ip, uint16_t port)
{
	char text[64];

	snprintf(text, sizeof(text), strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip, port);
	return weir_addr_parse(addr, text);
}

FIXTURE_SETUP(xdp)
{
	struct weir_bpf_opts bpf = {
		.sz = sizeof(bpf), .name = self->name, .workers = 2, .flags = WEIR_BPF_NO_FLOWS,
		.reason = self->reason, .reason_bytes = sizeof(self->reason),
	};
	struct weir_loop_opts loop = { .sz = sizeof(loop) };
	const char *why = veth_open(2);
	int err;

	if (why)
		SKIP(_exit(KSFT_SKIP), "%s", why);
	ASSERT_EQ(0, system("ip addr add " OWN_IP "/24 dev v1 && "
			    "ip -6 addr add " OWN_IP6 "/64 dev v1 nodad"));
	snprintf(self->name, sizeof(self->name), "test-%d-x%d", runner, getpid());
	err = weir_bpf_open(&self->bpf, &bpf);
	if (err == -EPERM || err == -ENODEV)
		SKIP(_exit(KSFT_SKIP), "%s", self->reason);
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, weir_loop_open(&self->loop, &loop));
	ASSERT_EQ(0, mac_of("v1", self->mac));
}

FIXTURE_TEARDOWN(xdp)
{
	weir_xdp_close(self->xdp);
	weir_xsk_close(self->from);
	weir_xsk_close(self->xsk[0]);
	weir_xsk_close(self->xsk[1]);
	EXPECT_LE(0, weir_loop_close(self->loop, 1000000000));
	weir_bpf_close(self->bpf);
}

static inline int attach(struct _test_data_xdp *self, uint32_t want, const char *ifname)
{
	struct weir_xdp_opts opts = {
		.sz = sizeof(opts), .ifname = ifname, .want = want, .reason = self->reason,
		.reason_bytes = sizeof(self->reason),
	};

	self->reason[0] = '\0';
	return weir_xdp_open(&self->xdp, self->bpf, &opts);
}

static inline struct weir_worker_row *row_of(struct _test_data_xdp *self, unsigned int worker)
{
	struct weir_steering *st = weir_bpf_steering(self->bpf);

	return st->ops->row(st, worker);
}

/* Attach, and a socket for each worker, who is parked. */
static inline int begin(struct _test_data_xdp *self, uint32_t want, unsigned int workers)
{
	struct weir_xsk_opts opts = {
		.sz = sizeof(opts), .ops = &ops, .ifname = "v1", .frames = 64,
		.reason = self->reason, .reason_bytes = sizeof(self->reason),
	};
	int err = attach(self, want, "v1");
	struct weir_addr addr;
	unsigned int i;

	for (i = 0; !err && i < workers; i++) {
		opts.queue = i;
		opts.ctx = &self->taken[i];
		row_of(self, i)->state = WEIR_PARKED;
		err = weir_xsk_open(&self->xsk[i], self->loop, &opts);
		if (!err)
			err = weir_xdp_join(self->xdp, i, self->xsk[i]);
	}
	opts.ifname = "v0";
	opts.queue = 0;
	if (!err)
		err = weir_xsk_open(&self->from, self->loop, &opts);
	if (!err)
		err = addr_of(&addr, OWN_IP, PORT);
	if (!err)
		err = weir_xdp_port_add(self->xdp, &addr, IPPROTO_UDP);
	if (!err)
		err = weir_xdp_port_add(self->xdp, &addr, IPPROTO_TCP);
	if (!err)
		err = addr_of(&addr, "::", PORT);
	return err ?: weir_xdp_port_add(self->xdp, &addr, IPPROTO_UDP);
}

#define BEGIN(workers)	ASSERT_EQ(0, begin(self, variant->want, workers))

static inline uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline uint32_t sum_of(const void *data, size_t bytes)
{
	const unsigned char *at = data;
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < bytes; i++)
		sum += (uint32_t)at[i] << (i & 1 ? 0 : 8);
	return sum;
}

static inline void put16(unsigned char *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value & 0xff;
}

/* An IPv4 frame with @bytes of @proto from @from; TCP's flags are a SYN's. */
static inline uint32_t make_ipv4(struct _test_data_xdp *self, unsigned char *frame,
				 const char *from, int proto, uint16_t port,
				 uint32_t bytes)
{
	unsigned char *ip = frame + ETH_HLEN, *l4 = ip + 20;
	uint32_t head = proto == IPPROTO_UDP ? 8 : 20;
	uint32_t i, len = 20 + head + bytes;

	memset(frame, 0, ETH_HLEN + len);
	memcpy(frame, self->mac, 6);
	frame[6] = 2;
	put16(frame + 12, ETH_P_IP);
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)len);
	ip[8] = 64;
	ip[9] = (unsigned char)proto;
	inet_pton(AF_INET, from, ip + 12);
	inet_pton(AF_INET, OWN_IP, ip + 16);
	put16(ip + 10, fold(sum_of(ip, 20)));
	put16(l4, 4000);
	put16(l4 + 2, port);
	for (i = 0; i < bytes; i++)
		l4[head + i] = (unsigned char)(i * 7 + 1);
	if (proto == IPPROTO_UDP) {
		put16(l4 + 4, (uint16_t)(8 + bytes));
	} else {
		l4[12] = 5 << 4;
		l4[13] = 0x02;
	}
	return ETH_HLEN + len;
}

static inline uint32_t make_ipv6(struct _test_data_xdp *self, unsigned char *frame, uint16_t port,
				 uint32_t bytes)
{
	unsigned char *ip = frame + ETH_HLEN, *udp = ip + 40;
	uint32_t i;

	memset(frame, 0, ETH_HLEN + 48 + bytes);
	memcpy(frame, self->mac, 6);
	frame[6] = 2;
	put16(frame + 12, ETH_P_IPV6);
	ip[0] = 0x60;
	put16(ip + 4, (uint16_t)(8 + bytes));
	ip[6] = IPPROTO_UDP;
	ip[7] = 64;
	inet_pton(AF_INET6, "fd09::9", ip + 8);
	inet_pton(AF_INET6, OWN_IP6, ip + 24);
	put16(udp, 4000);
	put16(udp + 2, port);
	put16(udp + 4, (uint16_t)(8 + bytes));
	for (i = 0; i < bytes; i++)
		udp[8 + i] = (unsigned char)(i * 5 + 2);
	return ETH_HLEN + 48 + bytes;
}

static inline struct weir_xdp_stats stats_of(struct _test_data_xdp *self)
{
	struct weir_xdp_stats stats = { 0 };

	if (weir_xdp_stats(self->xdp, &stats))
		memset(&stats, 0xff, sizeof(stats));
	return stats;
}

/* From the queue of @from: it comes in on the same queue of v1. */
static inline int send_on(struct weir_xsk *from, const unsigned char *frame, uint32_t len)
{
	struct weir_lease *lease;
	int err = weir_xsk_lease(from, &lease);

	if (err)
		return err;
	memcpy(weir_lease_data(lease), frame, len);
	err = weir_xsk_send(from, lease, weir_lease_data(lease), len);
	weir_lease_put(lease);
	return err;
}

/* Send, and wait until the program has seen it. The stack's own frames count too. */
static inline int send_frame(struct _test_data_xdp *self, const unsigned char *frame, uint32_t len)
{
	uint64_t before = stats_of(self).frames;
	int i;

	if (send_on(self->from, frame, len))
		return -EPIPE;
	for (i = 0; i < TRIES && stats_of(self).frames == before; i++)
		weir_loop_run_once(self->loop, 1000000);
	return i < TRIES ? 0 : -ETIMEDOUT;
}

#define SEND(frame, len)	ASSERT_EQ(0, send_frame(self, frame, len))

#define RUN_UNTIL(cond)							\
	do {								\
		int turns = 0;						\
		bool run_held;						\
									\
		while (!(run_held = (cond)) && turns++ < TRIES)		\
			weir_loop_run_once(self->loop, 1000000);	\
		ASSERT_TRUE(run_held);					\
	} while (0)

static inline int udp_socket(uint16_t port)
{
	struct weir_addr addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (addr_of(&addr, OWN_IP, port) ||
	    bind(fd, (struct sockaddr *)&addr.ss, addr.len))
		return -1;
	return fd;
}

/* What the kernel's own stack delivered: its length, or -1 after a while. */
static inline ssize_t udp_take(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	char data[2048];

	return poll(&poll_fd, 1, WAIT_MS) == 1 ? recv(fd, data, sizeof(data), 0) : -1;
}

#endif /* TESTS_XDP_SCENE_H */
