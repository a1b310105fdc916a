// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_xdp_own.c - a service on any address has the frames that are for this host,
 * and no other
 */
#include "xdp_scene.h"

#include <linux/if_packet.h>

/* An interface behind which 10.77.0.0/24 is, and who captures what goes out there. */
static int router_open(void)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP) };
	int fd;

	if (system("ip link add f0 type veth peer name f1 && ip link set f0 addrgenmode none up && "
		   "ip link set f1 addrgenmode none up && ip addr add 10.77.0.254/24 dev f0 && "
		   "ip neigh add 10.77.0.1 lladdr 02:00:00:00:00:77 dev f0 && "
		   "echo 1 > /proc/sys/net/ipv4/ip_forward && "
		   AWAIT_LINK("f0")))
		return -1;
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	to.sll_ifindex = (int)if_nametoindex("f1");
	return bind(fd, (struct sockaddr *)&to, sizeof(to)) ? -1 : fd;
}

static void readdress(unsigned char *frame, const char *ip)
{
	unsigned char *head = frame + ETH_HLEN;

	inet_pton(AF_INET, ip, head + 16);
	put16(head + 10, 0);
	put16(head + 10, fold(sum_of(head, 20)));
}

/* The service is on any address, which means those of this host. */
TEST_F(xdp, a_frame_for_another_host_is_not_the_service_s)
{
	unsigned char frame[2048], out[2048];
	int own = udp_socket(PORT), router;
	struct weir_addr any;
	uint32_t len;

	router = router_open();
	if (router < 0)
		SKIP(return, "no second pair of interfaces, or nothing is forwarded here");
	BEGIN(1);
	ASSERT_EQ(0, addr_of(&any, "0.0.0.0", PORT));
	ASSERT_EQ(0, weir_xdp_port_add(self->xdp, &any, IPPROTO_UDP));
	ASSERT_EQ(0, weir_xdp_port_add(self->xdp, &any, IPPROTO_TCP));
	weir_xdp_cfg(self->xdp)->syn_rate = 1;
	weir_xdp_cfg(self->xdp)->syn_burst = 1;
	/* To our hardware address, as all that is to be forwarded. */
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 33);
	readdress(frame, "10.77.0.1");
	SEND(frame, len);
	ASSERT_EQ(len, recv(router, out, sizeof(out), 0));
	EXPECT_EQ(0x77, out[5]);
	EXPECT_EQ(0, memcmp(frame + ETH_HLEN + 20, out + ETH_HLEN + 20, len - ETH_HLEN - 20));
	/* Nor has it to keep to the budget of what is ours. */
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_TCP, PORT, 0);
	readdress(frame, "10.77.0.1");
	SEND(frame, len);
	SEND(frame, len);
	EXPECT_EQ(len, recv(router, out, sizeof(out), 0));
	EXPECT_EQ(len, recv(router, out, sizeof(out), 0));
	EXPECT_EQ(0, stats_of(self).syns);
	/* What this host calls itself, from the wire. */
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 33);
	readdress(frame, "127.0.0.1");
	SEND(frame, len);
	/* To somebody else's hardware address, at one of ours. */
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 33);
	frame[5] ^= 1;
	SEND(frame, len);
	EXPECT_EQ(-1, recv(own, out, sizeof(out), MSG_DONTWAIT));
	EXPECT_EQ(0, stats_of(self).dgrams);
	EXPECT_EQ(0, self->taken[0].frames);
	/* To one of ours: that of the other interface, too. */
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 33);
	readdress(frame, "10.77.0.254");
	SEND(frame, len);
	RUN_UNTIL(self->taken[0].frames == 1);
	close(router);
	close(own);
}

TEST_F(xdp, addresses_of_this_host_come_and_go)
{
	struct weir_steering *st = weir_bpf_steering(self->bpf);
	unsigned char frame[2048];
	struct weir_addr any;
	uint32_t len;

	BEGIN(1);
	ASSERT_EQ(0, addr_of(&any, "0.0.0.0", PORT));
	ASSERT_EQ(0, weir_xdp_port_add(self->xdp, &any, IPPROTO_UDP));
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 33);
	readdress(frame, "10.9.0.88");
	SEND(frame, len);
	EXPECT_EQ(0, stats_of(self).dgrams);
	ASSERT_EQ(0, system("ip addr add 10.9.0.88/24 dev v1"));
	st->ops->tick(st, now_ns());
	row_of(self, 0)->loop_ns++;
	SEND(frame, len);
	RUN_UNTIL(self->taken[0].frames == 1);
	ASSERT_EQ(0, system("ip addr del 10.9.0.88/24 dev v1"));
	st->ops->tick(st, now_ns());
	SEND(frame, len);
	EXPECT_EQ(1, stats_of(self).dgrams);
	/* So does the hardware address. */
	ASSERT_EQ(0, system("ip link set v1 address 02:00:00:00:00:99"));
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 33);
	SEND(frame, len);
	EXPECT_EQ(2, stats_of(self).dgrams);
	st->ops->tick(st, now_ns());
	SEND(frame, len);
	EXPECT_EQ(2, stats_of(self).dgrams);
	memcpy(frame, "\2\0\0\0\0\x99", 6);
	row_of(self, 0)->loop_ns++;
	SEND(frame, len);
	EXPECT_EQ(3, stats_of(self).dgrams);
	RUN_UNTIL(self->taken[0].frames == 3);
}

TEST_HARNESS_MAIN
