// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_xdp.c - which frames an instance's XDP program takes, which pass, which it
 * drops; who else may be on the interface, and what a death leaves there
 */
#include "xdp_scene.h"

TEST_F(xdp, datagrams_of_the_service_go_to_the_socket)
{
	struct weir_xdp_status status = { .sz = sizeof(status) };
	unsigned char frame[2048];
	uint32_t len, i;

	BEGIN(1);
	for (i = 0; i < 100; i++) {
		len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, i * 14);
		row_of(self, 0)->loop_ns = i + 1;
		SEND(frame, len);
		RUN_UNTIL(self->taken[0].frames == i + 1);
		ASSERT_EQ(len, self->taken[0].last_len);
		ASSERT_EQ(0, memcmp(frame, self->taken[0].last, len));
	}
	len = make_ipv6(self, frame, PORT, 99);
	SEND(frame, len);
	RUN_UNTIL(self->taken[0].frames == 101);
	EXPECT_EQ(len, self->taken[0].last_len);
	EXPECT_EQ(0, memcmp(frame, self->taken[0].last, len));
	EXPECT_EQ(101, stats_of(self).taken);
	EXPECT_EQ(101, stats_of(self).dgrams);
	ASSERT_EQ(0, weir_xdp_status(self->xdp, &status));
	EXPECT_EQ(variant->mode, status.mode);
	EXPECT_EQ(variant->mode, weir_xdp_cfg(self->xdp)->mode);
	EXPECT_STREQ("v1", weir_xdp_cfg(self->xdp)->ifname);
	EXPECT_LT(0, status.prog_id);
	/* Whoever is alone says why. */
	EXPECT_EQ(status.by == WEIR_XDP_BY_LINK, !!status.why[0]);
}

TEST_F(xdp, all_else_passes)
{
	unsigned char frame[2048];
	int fd = udp_socket(PORT + 1), own = udp_socket(PORT);
	struct weir_addr addr;
	uint32_t len;

	BEGIN(1);
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT + 1, 33);
	SEND(frame, len);
	EXPECT_EQ(33, udp_take(fd));
	put16(frame + 12, ETH_P_8021Q);
	SEND(frame, len);
	EXPECT_EQ(1, stats_of(self).tagged);
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 33);
	frame[ETH_HLEN + 6] = 0x20;	/* more fragments */
	SEND(frame, len);
	EXPECT_EQ(1, stats_of(self).fragments);
	/* To many: a socket of ours would be the only one to hear it. */
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 33);
	frame[0] |= 1;
	SEND(frame, len);
	EXPECT_EQ(33, udp_take(own));
	/* No longer the service's: the kernel's socket gets it. */
	ASSERT_EQ(0, addr_of(&addr, OWN_IP, PORT));
	ASSERT_EQ(0, weir_xdp_port_del(self->xdp, &addr, IPPROTO_UDP));
	EXPECT_EQ(-ENOENT, weir_xdp_port_del(self->xdp, &addr, IPPROTO_UDP));
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 34);
	SEND(frame, len);
	EXPECT_EQ(34, udp_take(own));
	EXPECT_EQ(0, self->taken[0].frames);
	EXPECT_EQ(0, stats_of(self).taken);
	EXPECT_EQ(stats_of(self).frames, stats_of(self).passed);
	EXPECT_EQ(0, stats_of(self).malformed);
}

/* Each is wrong in one place. All are left to the kernel, which drops them. */
TEST_F(xdp, malformed_frames_pass_and_are_counted)
{
	static const struct {
		uint32_t at;
		unsigned char value;
	} wrong[] = {
		{ ETH_HLEN, 0x44 },		/* header of 16 bytes */
		{ ETH_HLEN, 0x55 },		/* version 5 */
		{ ETH_HLEN, 0x4f },		/* header longer than the packet */
		{ ETH_HLEN + 2, 0xff },		/* longer than the frame */
		{ ETH_HLEN + 3, 19 },		/* shorter than its header */
		{ ETH_HLEN + 3, 27 },		/* shorter than the datagram's header */
		{ ETH_HLEN + 20 + 4, 0xff },	/* datagram longer than the packet */
		{ ETH_HLEN + 20 + 5, 7 },	/* shorter than its header */
	};
	unsigned char frame[2048];
	uint32_t len;
	size_t i;

	BEGIN(1);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 10);
		frame[wrong[i].at] = wrong[i].value;
		SEND(frame, len);
		EXPECT_EQ(i + 1, stats_of(self).malformed) {
			TH_LOG("case %zu", i);
		}
	}
	len = make_ipv6(self, frame, PORT, 10);
	put16(frame + ETH_HLEN + 4, 1000);
	SEND(frame, len);
	EXPECT_EQ(i + 1, stats_of(self).malformed);
	/* Cut within a header. */
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 10);
	SEND(frame, ETH_HLEN + 12);
	EXPECT_EQ(i + 2, stats_of(self).malformed);
	EXPECT_EQ(0, stats_of(self).taken);
}

/*
 * A virtual interface tells the queue of a frame in native mode alone: elsewhere
 * all come in on the first.
 */
TEST_F(xdp, each_queue_has_its_worker_and_the_kernel_serves_for_a_dead_one)
{
	struct weir_xsk_opts opts = {
		.sz = sizeof(opts), .ops = &ops, .ctx = &(struct taken){ 0 }, .ifname = "v0",
		.queue = 1, .frames = 64,
	};
	int fd = udp_socket(PORT);
	struct weir_xdp_row row;
	unsigned char frame[2048];
	struct weir_xsk *from;
	unsigned int w = variant->mode == WEIR_XDP_NATIVE;
	uint32_t len;

	BEGIN(2);
	from = self->from;
	if (w)
		ASSERT_EQ(0, weir_xsk_open(&from, self->loop, &opts));
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 50);
	ASSERT_EQ(0, send_on(from, frame, len));
	RUN_UNTIL(self->taken[w].frames == 1);
	EXPECT_EQ(0, self->taken[!w].frames);
	row_of(self, w)->state = WEIR_DEAD;
	ASSERT_EQ(0, send_on(from, frame, len));
	RUN_UNTIL(stats_of(self).no_worker == 1);
	EXPECT_EQ(50, udp_take(fd));
	ASSERT_EQ(0, weir_xdp_row(self->xdp, w, &row));
	EXPECT_EQ(1, row.frames);
	EXPECT_EQ(1, row.skipped);
	/* It serves again. */
	row_of(self, w)->state = WEIR_RUN;
	row_of(self, w)->loop_ns = now_ns();
	ASSERT_EQ(0, send_on(from, frame, len));
	RUN_UNTIL(self->taken[w].frames == 2);
	/* Its socket closed: the same. */
	weir_xsk_close(self->xsk[w]);
	self->xsk[w] = NULL;
	RUN_UNTIL(!send_on(from, frame, len) && stats_of(self).no_worker > 1);
	EXPECT_EQ(50, udp_take(fd));
	if (w)
		weir_xsk_close(from);
}

/* A worker that was stopped while parked still says PARKED. */
TEST_F(xdp, a_worker_that_hangs_gets_no_more)
{
	unsigned char frame[2048];
	int fd = udp_socket(PORT);
	uint32_t len;

	BEGIN(1);
	weir_bpf_cfg(self->bpf)->stale_ns = 1;
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 20);
	SEND(frame, len);
	SEND(frame, len);	/* the benefit of doubt */
	SEND(frame, len);
	EXPECT_EQ(2, stats_of(self).taken);
	EXPECT_EQ(1, stats_of(self).no_worker);
	EXPECT_EQ(20, udp_take(fd));
	row_of(self, 0)->loop_ns = now_ns();
	SEND(frame, len);
	EXPECT_EQ(3, stats_of(self).taken);
}

TEST_F(xdp, a_prefix_has_a_budget_of_datagrams)
{
	unsigned char frame[2048];
	uint32_t len, i;

	BEGIN(1);
	weir_bpf_cfg(self->bpf)->stale_ns = FOREVER_NS;
	weir_xdp_cfg(self->xdp)->dgram_burst = 5;
	weir_xdp_cfg(self->xdp)->dgram_rate = 1;
	for (i = 0; i < 30; i++) {
		len = make_ipv4(self, frame, i & 1 ? "10.9.0.9" : "10.9.0.77", IPPROTO_UDP, PORT,
				8);
		SEND(frame, len);
	}
	/* One more for each second that this took. */
	EXPECT_LE(5, stats_of(self).taken);
	EXPECT_GE(15, stats_of(self).taken);
	EXPECT_EQ(30, stats_of(self).taken + stats_of(self).dgrams_refused);
	i = stats_of(self).dgrams_refused;
	len = make_ipv4(self, frame, "10.8.0.9", IPPROTO_UDP, PORT, 8);
	SEND(frame, len);
	EXPECT_EQ(i, stats_of(self).dgrams_refused);
	/* And none of what is not the service's is counted. */
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT + 1, 8);
	SEND(frame, len);
	EXPECT_EQ(i, stats_of(self).dgrams_refused);
	weir_xdp_cfg(self->xdp)->dgram_rate = 0;
	i = stats_of(self).taken;
	len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_UDP, PORT, 8);
	SEND(frame, len);
	EXPECT_EQ(i + 1, stats_of(self).taken);
}

TEST_F(xdp, a_prefix_has_a_budget_of_syns)
{
	unsigned char frame[2048];
	uint32_t len, i;

	BEGIN(1);
	weir_xdp_cfg(self->xdp)->syn_burst = 3;
	weir_xdp_cfg(self->xdp)->syn_rate = 1;
	for (i = 0; i < 20; i++) {
		len = make_ipv4(self, frame, "10.9.0.9", IPPROTO_TCP, PORT, 0);
		SEND(frame, len);
	}
	EXPECT_EQ(20, stats_of(self).syns);
	EXPECT_LE(10, stats_of(self).syns_refused);
	EXPECT_GE(17, stats_of(self).syns_refused);
	i = stats_of(self).syns_refused;
	/* What is no SYN is never asked. */
	frame[ETH_HLEN + 20 + 13] = 0x10;
	SEND(frame, len);
	EXPECT_EQ(20, stats_of(self).syns);
	EXPECT_EQ(i, stats_of(self).syns_refused);
}

static uint32_t prog_on(const char *ifname)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	if (bpf_xdp_query((int)if_nametoindex(ifname), 0, &query))
		return 0;
	return query.prog_id ?: query.drv_prog_id ?: query.skb_prog_id;
}

static int is_alone(struct _test_data_xdp *self)
{
	struct weir_xdp_status status = { .sz = sizeof(status) };

	return !weir_xdp_status(self->xdp, &status) && status.by == WEIR_XDP_BY_LINK;
}

TEST_F(xdp, a_foreign_program_is_left_alone_and_named)
{
	int link = veth_attach_pass("v1", "foreign", variant->foreign);
	uint32_t id = prog_on("v1");

	ASSERT_LE(0, link);
	ASSERT_LT(0, id);
	EXPECT_EQ(-EBUSY, attach(self, variant->want, "v1"));
	EXPECT_NE(NULL, strstr(self->reason, "foreign"));
	EXPECT_NE(NULL, strstr(self->reason, "v1"));
	EXPECT_EQ(id, prog_on("v1"));
	close(link);
	ASSERT_EQ(0, attach(self, variant->want, "v1"));
}

TEST_F(xdp, nobody_replaces_ours)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	uint32_t id;

	BEGIN(1);
	if (!is_alone(self))
		SKIP(return, "the dispatcher works: others come beside it");
	id = prog_on("v1");
	libbpf_set_print(NULL);
	EXPECT_GT(0, veth_attach_pass("v1", "second", variant->foreign));
	EXPECT_GT(0, bpf_xdp_detach((int)if_nametoindex("v1"), variant->foreign, &opts));
	EXPECT_EQ(id, prog_on("v1"));
}

TEST_F(xdp, closing_detaches_and_unpins)
{
	char path[256];

	BEGIN(1);
	snprintf(path, sizeof(path), "/sys/fs/bpf/weir/%s/weir_xsks", self->name);
	EXPECT_EQ(0, access(path, F_OK));
	EXPECT_LT(0, prog_on("v1"));
	weir_xdp_close(self->xdp);
	self->xdp = NULL;
	EXPECT_NE(0, access(path, F_OK));
	EXPECT_EQ(0, prog_on("v1"));
	EXPECT_EQ(0, attach(self, variant->want, "v1"));
}

TEST_F(xdp, a_death_leaves_nothing_on_the_interface)
{
	int status, pipes[2], i;
	char byte;
	pid_t pid;

	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	if (!pid) {
		byte = !attach(self, variant->want, "v1") && is_alone(self);
		if (write(pipes[1], &byte, 1) != 1)
			_exit(1);
		pause();
	}
	ASSERT_EQ(1, read(pipes[0], &byte, 1));
	if (!byte)
		SKIP(kill(pid, SIGKILL); return, "not alone: cleaned by the next start");
	EXPECT_LT(0, prog_on("v1"));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	/* The kernel lets go of a dead process's links in a work of its own. */
	for (i = 0; i < TRIES && prog_on("v1"); i++)
		poll(NULL, 0, 1);
	EXPECT_EQ(0, prog_on("v1"));
	EXPECT_EQ(0, attach(self, variant->want, "v1"));
}

static int keep_caps(uint64_t caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)caps, .permitted = (uint32_t)caps },
		{ .effective = caps >> 32, .permitted = caps >> 32 },
	};

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

TEST_F(xdp, two_capabilities_attach_and_none_is_refused)
{
	ASSERT_EQ(0, keep_caps(1ULL << CAP_NET_ADMIN | 1ULL << CAP_BPF));
	ASSERT_EQ(0, attach(self, variant->want, "v1")) {
		TH_LOG("%s", self->reason);
	}
	weir_xdp_close(self->xdp);
	self->xdp = NULL;
	ASSERT_EQ(0, keep_caps(0));
	EXPECT_EQ(-EPERM, attach(self, variant->want, "v1"));
	EXPECT_NE('\0', self->reason[0]);
}

TEST_F(xdp, what_cannot_be_is_named)
{
	struct weir_xdp_status status = { .sz = sizeof(status) };
	struct weir_addr addr;

	EXPECT_EQ(-ENODEV, attach(self, variant->want, "nosuch"));
	EXPECT_NE(NULL, strstr(self->reason, "nosuch"));
	EXPECT_EQ(-EINVAL, attach(self, 3, "v1"));
	/* The loopback's driver has none. */
	EXPECT_EQ(-EOPNOTSUPP, attach(self, WEIR_XDP_WANT_NATIVE, "lo"));
	EXPECT_NE(NULL, strstr(self->reason, "generic mode was not asked for"));
	ASSERT_EQ(0, attach(self, WEIR_XDP_WANT_ANY, "lo"));
	ASSERT_EQ(0, weir_xdp_status(self->xdp, &status));
	EXPECT_EQ(WEIR_XDP_GENERIC, status.mode);
	ASSERT_EQ(0, addr_of(&addr, OWN_IP, 0));
	EXPECT_EQ(-EINVAL, weir_xdp_port_add(self->xdp, &addr, IPPROTO_UDP));
	ASSERT_EQ(0, addr_of(&addr, OWN_IP, 1));
	EXPECT_EQ(-EINVAL, weir_xdp_port_add(self->xdp, &addr, IPPROTO_ICMP));
}

TEST_HARNESS_MAIN
