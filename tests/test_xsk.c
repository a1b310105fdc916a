// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_xsk.c - AF_XDP sockets on a pair of virtual interfaces: every byte that was
 * sent, whose a frame is, and what happens where the kernel has none or takes none
 */
#include "backends.h"
#include "veth.h"

#include <linux/capability.h>
#include <net/ethernet.h>

#include <weir/xsk.h>

#include "kselftest_harness.h"

#define ETHERTYPE	0x88b5		/* for experiments: nobody else sends it */
#define FRAMES		64
#define KEPT_MAX	64

/* One end: what came, and what was told. */
struct end {
	struct weir_xsk *xsk;
	unsigned int frames;
	unsigned int wrong;		/* not what fill_in() makes of its number */
	unsigned int room;
	unsigned int closed;
	int err;
	bool echo;			/* send each back in its own buffer */
	bool keep;			/* take a reference */
	bool close;			/* at the first frame */
	struct weir_lease *kept[KEPT_MAX];
	unsigned int kept_count;
};

static uint32_t length_of(uint32_t number)
{
	return ETH_HLEN + 4 + number * 7 % 1200;
}

static void fill_in(unsigned char *frame, uint32_t number)
{
	uint32_t i, len = length_of(number);

	memset(frame, 0xff, 2 * ETH_ALEN);
	frame[12] = ETHERTYPE >> 8;
	frame[13] = ETHERTYPE & 0xff;
	memcpy(frame + ETH_HLEN, &number, 4);
	for (i = ETH_HLEN + 4; i < len; i++)
		frame[i] = (unsigned char)(number * 31 + i);
}

static bool is_right(const unsigned char *frame, uint32_t len, uint32_t *numberp)
{
	unsigned char want[2048];

	memcpy(numberp, frame + ETH_HLEN, 4);
	if (len != length_of(*numberp))
		return false;
	fill_in(want, *numberp);
	return !memcmp(want, frame, len);
}

static void on_packet(void *ctx, struct weir_lease *lease, void *frame, uint32_t len)
{
	const unsigned char *bytes = frame;
	struct end *end = ctx;
	uint32_t number;

	if (len < ETH_HLEN + 4 || bytes[12] != ETHERTYPE >> 8 || bytes[13] != (ETHERTYPE & 0xff))
		return;		/* the kernel's own */
	end->wrong += !is_right(frame, len, &number) || number != end->frames;
	end->frames++;
	if (end->echo && weir_xsk_send(end->xsk, lease, frame, len))
		end->wrong++;
	if (end->keep && end->kept_count < KEPT_MAX)
		end->kept[end->kept_count++] = weir_lease_get(lease);
	if (end->close)
		weir_xsk_close(end->xsk);
}

static void on_room(void *ctx)
{
	struct end *end = ctx;

	end->room++;
}

static void on_error(void *ctx, int err)
{
	struct end *end = ctx;

	end->err = err;
}

static void on_closed(void *ctx)
{
	struct end *end = ctx;

	end->closed++;
}

static const struct weir_xsk_ops end_ops = {
	.sz = sizeof(end_ops), .packet = on_packet, .room = on_room, .error = on_error,
	.closed = on_closed,
};

FIXTURE(xsk) {
	struct weir_loop *loop;
	struct end a, b;		/* v0 and v1 */
	struct weir_xsk_opts opts;
	char reason[256];
	int map;
	int link;
};

FIXTURE_VARIANT(xsk) {
	const char *name;
	uint32_t mode;
};

#ifdef CONFIG_URING
FIXTURE_VARIANT_ADD(xsk, uring_native) { .name = "uring", .mode = XDP_FLAGS_DRV_MODE };
FIXTURE_VARIANT_ADD(xsk, uring_generic) { .name = "uring", .mode = XDP_FLAGS_SKB_MODE };
#endif
FIXTURE_VARIANT_ADD(xsk, epoll_native) { .name = "epoll", .mode = XDP_FLAGS_DRV_MODE };
FIXTURE_VARIANT_ADD(xsk, epoll_generic) { .name = "epoll", .mode = XDP_FLAGS_SKB_MODE };

FIXTURE_SETUP(xsk)
{
	struct weir_loop_opts loop = { .sz = sizeof(loop), .backend = variant->name };
	const char *why = veth_open(2);

	if (why)
		SKIP(_exit(KSFT_SKIP), "%s", why);
	OPEN_LOOP(&self->loop, &loop);
	self->map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "test_xsks", 4, 4, 2, NULL);
	ASSERT_LE(0, self->map);
	self->link = veth_attach_redirect("v1", self->map, variant->mode);
	ASSERT_LE(0, self->link);
	self->opts = (struct weir_xsk_opts){
		.sz = sizeof(self->opts), .ops = &end_ops, .reason = self->reason,
		.reason_bytes = sizeof(self->reason), .frames = FRAMES, .send_max = 16,
	};
}

FIXTURE_TEARDOWN(xsk)
{
	EXPECT_LE(0, weir_loop_close(self->loop, NSEC_PER_SEC));
	close(self->link);
	close(self->map);
}

#define OPEN_END(end, name)						\
	do {								\
		self->opts.ifname = name;				\
		self->opts.ctx = end;					\
		ASSERT_EQ(0, weir_xsk_open(&(end)->xsk, self->loop, &self->opts)) {	\
			TH_LOG("%s", self->reason);			\
		}							\
	} while (0)

#define CLOSE_END(end)							\
	do {								\
		weir_xsk_close((end)->xsk);				\
		RUN_UNTIL(self->loop, (end)->closed);			\
		EXPECT_EQ(1, (end)->closed);				\
	} while (0)

static int join(int map, struct end *end)
{
	int fd = weir_xsk_fd(end->xsk);
	uint32_t queue = 0;

	return bpf_map_update_elem(map, &queue, &fd, BPF_ANY);
}

/* Send frame @number from @end: what weir_xsk_send() or weir_xsk_lease() says. */
static int send_one(struct end *end, uint32_t number)
{
	struct weir_lease *lease;
	int err = weir_xsk_lease(end->xsk, &lease);

	if (err)
		return err;
	fill_in(weir_lease_data(lease), number);
	err = weir_xsk_send(end->xsk, lease, weir_lease_data(lease), length_of(number));
	weir_lease_put(lease);
	return err;
}

/* Send frames 0 to @count, each as soon as there is room; 0 or -errno. */
static int send_many(struct weir_loop *loop, struct end *end, const struct end *to,
		     unsigned int count)
{
	uint64_t limit = real_ns() + LIMIT_NS;
	uint32_t number = 0;
	int err;

	while (number < count) {
		/* No more on the way than the other end may receive. */
		err = to && number - to->frames >= 16 ? -EAGAIN : send_one(end, number);
		number += !err;
		if (err && err != -EAGAIN && err != -ENOBUFS)
			return err;
		if (err && run_turn(loop))
			return -EPIPE;
		if (real_ns() > limit)
			return -ETIMEDOUT;
	}
	return 0;
}

static struct weir_xsk_stats read_stats(const struct end *end)
{
	struct weir_xsk_stats stats;

	weir_xsk_stats(end->xsk, &stats, sizeof(stats));
	return stats;
}

TEST_F(xsk, every_byte_arrives_in_order)
{
	struct weir_xsk_stats sent, got;

	OPEN_END(&self->a, "v0");
	OPEN_END(&self->b, "v1");
	ASSERT_EQ(0, join(self->map, &self->b));
	ASSERT_EQ(0, send_many(self->loop, &self->a, &self->b, 1000));
	RUN_UNTIL(self->loop, self->b.frames >= 1000);
	EXPECT_EQ(1000, self->b.frames);
	EXPECT_EQ(0, self->b.wrong);
	RUN_UNTIL(self->loop, read_stats(&self->a).tx_done == 1000);
	sent = read_stats(&self->a);
	got = read_stats(&self->b);
	EXPECT_EQ(0, sent.outstanding);
	EXPECT_EQ(1000, sent.tx_frames);
	EXPECT_EQ(sent.tx_bytes, got.rx_bytes);
	EXPECT_EQ(0, got.rx_dropped + got.rx_ring_full + got.fill_empty + got.rx_invalid);
	EXPECT_EQ(0, sent.tx_invalid);
	EXPECT_EQ(0, sent.zero_copy);
	CLOSE_END(&self->a);
	CLOSE_END(&self->b);
}

/* The buffer that a frame came in is the one that it goes out from. */
TEST_F(xsk, a_frame_is_sent_back_from_where_it_lies)
{
	int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "test_back", 4, 4, 1, NULL);
	int link = veth_attach_redirect("v0", map, variant->mode);

	ASSERT_LE(0, link);
	OPEN_END(&self->a, "v0");
	OPEN_END(&self->b, "v1");
	self->b.echo = true;
	ASSERT_EQ(0, join(self->map, &self->b));
	ASSERT_EQ(0, join(map, &self->a));
	ASSERT_EQ(0, send_many(self->loop, &self->a, &self->a, 500));
	RUN_UNTIL(self->loop, self->a.frames >= 500);
	EXPECT_EQ(500, self->b.frames);
	EXPECT_EQ(0, self->a.wrong);
	EXPECT_EQ(0, self->b.wrong);
	CLOSE_END(&self->a);
	CLOSE_END(&self->b);
	close(link);
	close(map);
}

/* The kernel has nothing to receive into while all are kept, and then again. */
TEST_F(xsk, leases_that_come_back_are_received_into_again)
{
	unsigned int i, before;

	self->opts.fill = 32;
	OPEN_END(&self->a, "v0");
	OPEN_END(&self->b, "v1");
	self->b.keep = true;
	ASSERT_EQ(0, join(self->map, &self->b));
	ASSERT_EQ(0, send_many(self->loop, &self->a, NULL, 200));
	RUN_UNTIL(self->loop, read_stats(&self->a).tx_done == 200);
	RUN_UNTIL(self->loop, self->b.frames >= FRAMES - 1);
	/* All but the one that is not spare. */
	EXPECT_EQ(FRAMES - 1, self->b.kept_count);
	EXPECT_LT(0, read_stats(&self->b).fill_short);
	EXPECT_LT(0, read_stats(&self->b).fill_empty);
	for (i = 0; i < self->b.kept_count; i++)
		weir_lease_put(self->b.kept[i]);
	self->b.keep = false;
	before = self->b.frames;
	/* The frames that are given to the kernel anew are seen at a tick. */
	RUN_UNTIL(self->loop, !send_one(&self->a, before) && self->b.frames > before);
	CLOSE_END(&self->a);
	CLOSE_END(&self->b);
}

TEST_F(xsk, the_queue_of_sends_is_bounded_and_says_when_there_is_room)
{
	unsigned int sent = 0;
	int err = 0;

	OPEN_END(&self->a, "v0");
	while (!err && sent < 100) {
		err = send_one(&self->a, sent);
		sent += !err;
	}
	EXPECT_EQ(-EAGAIN, err);
	EXPECT_EQ(16, sent);
	EXPECT_EQ(0, self->a.room);
	RUN_UNTIL(self->loop, self->a.room);
	EXPECT_EQ(1, self->a.room);
	EXPECT_EQ(0, send_one(&self->a, sent));
	EXPECT_EQ(1, read_stats(&self->a).tx_refused);
	CLOSE_END(&self->a);
}

/* Nothing is ever received here: no event but the timer's own. */
TEST_F(xsk, a_lone_producer_does_not_stall)
{
	OPEN_END(&self->a, "v0");
	ASSERT_EQ(0, send_many(self->loop, &self->a, NULL, 2000));
	RUN_UNTIL(self->loop, read_stats(&self->a).tx_done == 2000);
	EXPECT_EQ(0, read_stats(&self->a).tx_stalls);
	EXPECT_EQ(0, self->a.err);
	CLOSE_END(&self->a);
}

TEST_F(xsk, a_kernel_that_takes_nothing_is_told_as_a_timeout)
{
	self->opts.tx_timeout_ns = 20 * NSEC_PER_MSEC;
	OPEN_END(&self->a, "v0");
	/* The poll sends too, when it is armed. */
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	if (refuse(SYS_sendto, ENOBUFS))
		SKIP(return, "no seccomp");
	ASSERT_EQ(0, send_one(&self->a, 0));
	RUN_UNTIL(self->loop, self->a.err);
	EXPECT_EQ(-ETIME, self->a.err);
	EXPECT_EQ(1, read_stats(&self->a).tx_stalls);
	EXPECT_EQ(1, read_stats(&self->a).outstanding);
	/* It may go on: the socket has not ended. */
	EXPECT_EQ(0, send_one(&self->a, 1));
	CLOSE_END(&self->a);
}

TEST_F(xsk, a_send_that_cannot_be_is_refused)
{
	struct weir_pool_opts other = { .sz = sizeof(other), .buf_bytes = 2048, .count = 4 };
	struct weir_lease *lease, *foreign;
	struct weir_pool *pool;
	unsigned char *data;

	OPEN_END(&self->a, "v0");
	ASSERT_EQ(0, weir_xsk_lease(self->a.xsk, &lease));
	data = weir_lease_data(lease);
	fill_in(data, 0);
	EXPECT_EQ(-EINVAL, weir_xsk_send(self->a.xsk, lease, data, ETH_HLEN - 1));
	EXPECT_EQ(-EINVAL, weir_xsk_send(self->a.xsk, lease, data, 2049));
	EXPECT_EQ(-EINVAL, weir_xsk_send(self->a.xsk, lease, data + 2000, 100));
	EXPECT_EQ(-EINVAL, weir_xsk_send(self->a.xsk, lease, data - 1, 100));
	EXPECT_EQ(-EINVAL, weir_xsk_send(self->a.xsk, lease, data + 2048, 100));
	EXPECT_EQ(-EMSGSIZE, weir_xsk_send(self->a.xsk, lease, data, 1519));
	ASSERT_EQ(0, weir_pool_open(&pool, self->loop, &other));
	ASSERT_EQ(0, weir_pool_lease(pool, &foreign));
	EXPECT_EQ(-EINVAL, weir_xsk_send(self->a.xsk, foreign, weir_lease_data(foreign), 64));
	weir_lease_put(foreign);
	EXPECT_EQ(0, weir_xsk_send(self->a.xsk, lease, data, 64));
	EXPECT_EQ(-EBUSY, weir_xsk_send(self->a.xsk, lease, data, 64));
	weir_lease_put(lease);
	weir_xsk_close(self->a.xsk);
	EXPECT_EQ(-ESHUTDOWN, weir_xsk_send(self->a.xsk, lease, data, 64));
	RUN_UNTIL(self->loop, self->a.closed);
	EXPECT_EQ(0, weir_pool_close(pool));
}

TEST_F(xsk, a_pool_of_the_users_carries_the_frames)
{
	struct weir_pool_opts opts = {
		.sz = sizeof(opts), .buf_bytes = 4096, .count = 128, .spare = 127,
	};
	struct weir_pool_stats stats;
	struct weir_pool *pool;

	ASSERT_EQ(0, weir_pool_open(&pool, self->loop, &opts));
	OPEN_END(&self->a, "v0");
	self->opts.pool = pool;
	OPEN_END(&self->b, "v1");
	ASSERT_EQ(0, join(self->map, &self->b));
	ASSERT_EQ(0, send_many(self->loop, &self->a, &self->b, 300));
	RUN_UNTIL(self->loop, self->b.frames >= 300);
	EXPECT_EQ(0, self->b.wrong);
	weir_pool_stats(pool, &stats, sizeof(stats));
	EXPECT_EQ(64, stats.free);	/* the kernel has the other half */
	EXPECT_EQ(-EBUSY, weir_pool_close(pool));
	CLOSE_END(&self->a);
	CLOSE_END(&self->b);
	weir_pool_stats(pool, &stats, sizeof(stats));
	EXPECT_EQ(128, stats.free);
	EXPECT_EQ(0, weir_pool_close(pool));
}

TEST_F(xsk, closing_waits_for_leases_that_are_out)
{
	OPEN_END(&self->a, "v0");
	OPEN_END(&self->b, "v1");
	self->b.keep = true;
	self->b.close = true;
	ASSERT_EQ(0, join(self->map, &self->b));
	ASSERT_EQ(0, send_one(&self->a, 0));
	RUN_UNTIL(self->loop, self->b.kept_count);
	CLOSE_END(&self->a);
	EXPECT_EQ(0, self->b.closed);
	weir_lease_put(self->b.kept[0]);
	RUN_UNTIL(self->loop, self->b.closed);
	EXPECT_EQ(1, self->b.frames);
}

TEST_F(xsk, an_interface_that_goes_ends_the_socket)
{
	OPEN_END(&self->a, "v0");
	ASSERT_EQ(0, system("ip link del v0"));
	RUN_UNTIL(self->loop, self->a.err);
	EXPECT_EQ(-ENETDOWN, self->a.err);
	EXPECT_EQ(-ESHUTDOWN, send_one(&self->a, 0));
	CLOSE_END(&self->a);
}

static int open_fails(struct weir_loop *loop, const struct weir_xsk_opts *opts)
{
	struct weir_xsk *xsk;

	opts->reason[0] = '\0';
	return weir_xsk_open(&xsk, loop, opts);
}

TEST_F(xsk, what_cannot_be_opened_is_named)
{
	struct weir_xsk_opts *opts = &self->opts;

	opts->ifname = "nosuch";
	EXPECT_EQ(-ENODEV, open_fails(self->loop, opts));
	EXPECT_NE(NULL, strstr(self->reason, "nosuch"));
	opts->ifname = "v0";
	opts->queue = 7;
	EXPECT_EQ(-EINVAL, open_fails(self->loop, opts));
	EXPECT_STREQ("v0 has no queue 7", self->reason);
	opts->queue = 0;
	opts->frame_bytes = 1000;
	EXPECT_EQ(-EINVAL, open_fails(self->loop, opts));
	EXPECT_NE(NULL, strstr(self->reason, "1000"));
	opts->frame_bytes = 0;
	opts->send_max = 100;
	EXPECT_EQ(-EINVAL, open_fails(self->loop, opts));
	EXPECT_NE(NULL, strstr(self->reason, "power of two"));
	opts->send_max = 0;
	opts->flags = WEIR_XSK_ZEROCOPY;
	EXPECT_EQ(-EOPNOTSUPP, open_fails(self->loop, opts));
	EXPECT_STREQ("v0 cannot send and receive without a copy", self->reason);
	opts->flags = 0;
	OPEN_END(&self->a, "v0");
	EXPECT_EQ(-EBUSY, open_fails(self->loop, opts));
	EXPECT_STREQ("queue 0 of v0 has an AF_XDP socket already", self->reason);
	CLOSE_END(&self->a);
	/* What failed left nothing behind. */
	OPEN_END(&self->b, "v0");
	CLOSE_END(&self->b);
	ASSERT_EQ(0, system("ip link set v0 down"));
	EXPECT_EQ(-ENETDOWN, open_fails(self->loop, opts));
	EXPECT_STREQ("v0 is down", self->reason);
}

static int drop_all(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

TEST_F(xsk, no_capability_is_needed_once_it_is_open)
{
	OPEN_END(&self->a, "v0");
	OPEN_END(&self->b, "v1");
	ASSERT_EQ(0, join(self->map, &self->b));
	ASSERT_EQ(0, drop_all());
	ASSERT_EQ(0, send_many(self->loop, &self->a, &self->b, 100));
	RUN_UNTIL(self->loop, self->b.frames >= 100);
	EXPECT_EQ(0, self->b.wrong);
	self->opts.queue = 1;
	EXPECT_EQ(-EPERM, open_fails(self->loop, &self->opts));
	EXPECT_STREQ("AF_XDP: CAP_NET_RAW is needed", self->reason);
	CLOSE_END(&self->a);
	CLOSE_END(&self->b);
}

TEST(the_simulated_kernel_has_none)
{
	struct weir_loop_opts loop_opts = { .sz = sizeof(loop_opts), .backend = "sim" };
	struct weir_xsk_opts opts = { .sz = sizeof(opts), .ops = &end_ops, .ifname = "v0" };
	const char *why = veth_open(1);
	struct weir_loop *loop;
	struct weir_xsk *xsk;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, weir_loop_open(&loop, &loop_opts));
	EXPECT_EQ(-EOPNOTSUPP, weir_xsk_open(&xsk, loop, &opts));
	EXPECT_EQ(0, weir_loop_close(loop, 0));
}

TEST_HARNESS_MAIN
