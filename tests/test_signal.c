// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_signal.c - signals from a steering to connections: a ring of ours stands
 * for the kernel's
 */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/eventfd.h>

#include "base/base.h"

#include <kselftest_harness.h>

#include "serve/cookies.h"
#include "serve_world.h"

#define RING_MAX	256

/* A steering that says what it is told to, and counts what it hears. */
struct fake {
	struct weir_steering base;
	struct weir_worker_row row;
	struct weir_cfg cfg;
	struct weir_admin admin;
	struct weir_hist hist;
	pthread_mutex_t lock;
	struct weir_event ring[RING_MAX];
	unsigned int count;
	int fd;
	uint64_t cookies[16];		/* accepted, in order */
	struct weir_event raised;	/* the last one */
	unsigned int raises;
	unsigned int accepted, closed, ticks, joins, seals, leaves, closes;
};

static struct fake *to_fake(struct weir_steering *st)
{
	return container_of(st, struct fake, base);
}

static unsigned int fake_rows(struct weir_steering *st)
{
	return 1;
}

static int fake_join(struct weir_steering *st, unsigned int worker, int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	to_fake(st)->joins++;
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len))
		return -errno;
	return on ? 0 : -EINVAL;
}

static int fake_seal(struct weir_steering *st)
{
	to_fake(st)->seals++;
	return 0;
}

static struct weir_worker_row *fake_row(struct weir_steering *st, unsigned int worker)
{
	return &to_fake(st)->row;
}

static int fake_signal_fd(struct weir_steering *st, unsigned int worker)
{
	return to_fake(st)->fd;
}

static int fake_signal_take(struct weir_steering *st, unsigned int worker,
			    struct weir_event *out, unsigned int max)
{
	struct fake *fake = to_fake(st);
	unsigned int n;
	uint64_t value;

	pthread_mutex_lock(&fake->lock);
	n = fake->count < max ? fake->count : max;
	memcpy(out, fake->ring, n * sizeof(*out));
	fake->count -= n;
	memmove(fake->ring, fake->ring + n, fake->count * sizeof(*out));
	/* Readable as long as something is there, as the kernel's. */
	if (!fake->count && read(fake->fd, &value, sizeof(value)) < 0 && errno != EAGAIN)
		abort();
	pthread_mutex_unlock(&fake->lock);
	return (int)n;
}

static int fake_raise(struct weir_steering *st, const struct weir_event *event)
{
	struct fake *fake = to_fake(st);

	pthread_mutex_lock(&fake->lock);
	fake->raised = *event;
	fake->raises++;
	pthread_mutex_unlock(&fake->lock);
	return 0;
}

static void fake_accepted(struct weir_steering *st, unsigned int worker, uint64_t cookie,
			  uint64_t now_ns)
{
	struct fake *fake = to_fake(st);

	pthread_mutex_lock(&fake->lock);
	if (fake->accepted < 16)
		fake->cookies[fake->accepted] = cookie;
	fake->accepted++;
	pthread_mutex_unlock(&fake->lock);
}

static void fake_closed(struct weir_steering *st, uint64_t cookie)
{
	struct fake *fake = to_fake(st);
	unsigned int i;

	pthread_mutex_lock(&fake->lock);
	for (i = 0; i < 16 && i < fake->accepted; i++)
		fake->closed += fake->cookies[i] == cookie;
	pthread_mutex_unlock(&fake->lock);
}

static void fake_tick(struct weir_steering *st, uint64_t now_ns)
{
	struct fake *fake = to_fake(st);

	pthread_mutex_lock(&fake->lock);
	fake->ticks++;
	pthread_mutex_unlock(&fake->lock);
}

static void fake_leave(struct weir_steering *st, unsigned int worker)
{
	to_fake(st)->leaves++;
}

static struct weir_cfg *fake_cfg(struct weir_steering *st)
{
	return &to_fake(st)->cfg;
}

static struct weir_admin *fake_admin(struct weir_steering *st, unsigned int worker)
{
	return &to_fake(st)->admin;
}

static struct weir_hist *fake_hist(struct weir_steering *st, unsigned int worker)
{
	return &to_fake(st)->hist;
}

static int fake_waiting(struct weir_steering *st, unsigned int worker, uint64_t *since_ns)
{
	*since_ns = 0;
	return 0;
}

static int fake_rescue(struct weir_steering *st, unsigned int worker)
{
	return 0;
}

static int fake_spare(struct weir_steering *st)
{
	return -EOPNOTSUPP;
}

static void fake_moved(struct weir_steering *st, unsigned int worker, uint64_t cookie, int fd)
{
}

static void fake_close(struct weir_steering *st)
{
	to_fake(st)->closes++;
}

static const struct weir_steering_ops fake_ops = {
	.sz		= sizeof(fake_ops),
	.name		= "fake",
	.rows		= fake_rows,
	.join		= fake_join,
	.seal		= fake_seal,
	.row		= fake_row,
	.signal_fd	= fake_signal_fd,
	.signal_take	= fake_signal_take,
	.raise		= fake_raise,
	.accepted	= fake_accepted,
	.closed		= fake_closed,
	.tick		= fake_tick,
	.leave		= fake_leave,
	.cfg		= fake_cfg,
	.admin		= fake_admin,
	.hist		= fake_hist,
	.waiting	= fake_waiting,
	.rescue		= fake_rescue,
	.spare		= fake_spare,
	.moved		= fake_moved,
	.close		= fake_close,
};

/* Raise a signal; @wake: and say so, as the kernel does. */
static void raise_signal(struct fake *fake, uint64_t cookie, uint64_t value, bool wake)
{
	uint64_t one = 1;

	pthread_mutex_lock(&fake->lock);
	if (fake->count == RING_MAX)
		abort();
	fake->ring[fake->count++] = (struct weir_event){
		.cookie = cookie, .value = value, .kind = WEIR_EV_RTT,
		.edge = WEIR_EDGE_ON, .seq = 1,
	};
	if (wake && write(fake->fd, &one, sizeof(one)) != sizeof(one))
		abort();
	pthread_mutex_unlock(&fake->lock);
}

/* The cookie of the server's end of client @fd, from the kernel, or 0. */
static uint64_t cookie_of_peer(int fd)
{
	struct sockaddr_in local, remote;
	socklen_t len = sizeof(local);
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} ask = {
		.head = {
			.nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.req = {
			.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP,
			.idiag_states = ~0U,
			.id.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE },
		},
	};
	union {
		struct nlmsghdr head;
		char bytes[4096];
	} answer;
	const struct inet_diag_msg *msg = NLMSG_DATA(&answer.head);
	uint64_t cookie = 0;
	int diag;

	if (getsockname(fd, (struct sockaddr *)&local, &len) ||
	    getpeername(fd, (struct sockaddr *)&remote, &len))
		return 0;
	ask.req.id.idiag_sport = remote.sin_port;
	ask.req.id.idiag_dport = local.sin_port;
	ask.req.id.idiag_src[0] = remote.sin_addr.s_addr;
	ask.req.id.idiag_dst[0] = local.sin_addr.s_addr;
	diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (diag >= 0 && send(diag, &ask, sizeof(ask), 0) == sizeof(ask) &&
	    recv(diag, &answer, sizeof(answer), 0) >= (ssize_t)NLMSG_LENGTH(sizeof(*msg)) &&
	    answer.head.nlmsg_type == SOCK_DIAG_BY_FAMILY)
		cookie = msg->id.idiag_cookie[0] | (uint64_t)msg->id.idiag_cookie[1] << 32;
	if (diag >= 0)
		close(diag);
	return cookie;
}

FIXTURE(signal) {
	struct world world;
	struct fake fake;
	unsigned int fds;
};

KERNEL_VARIANTS(signal);

FIXTURE_SETUP(signal)
{
	self->fds = descriptors();
	self->fake.base.ops = &fake_ops;
	pthread_mutex_init(&self->fake.lock, NULL);
	weir_cfg_init(&self->fake.cfg);
	self->fake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ASSERT_LE(0, self->fake.fd);
	world_init(&self->world, variant->name, 1);
	self->world.opts.steering = &self->fake.base;
	self->world.ops.pressure = on_pressure;
}

FIXTURE_TEARDOWN(signal)
{
	weir_service_close(self->world.service);
	EXPECT_EQ(1, self->fake.closes);
	EXPECT_EQ(0, atomic_load(&self->world.blocks));
	/* The service had a descriptor of its own. */
	EXPECT_EQ(0, close(self->fake.fd));
	EXPECT_EQ(self->fds, descriptors());
}

static unsigned int rtt_told(struct world *world)
{
	return told(world, WEIR_EV_RTT, WEIR_EDGE_ON);
}

TEST_F(signal, reach_the_connection_they_name)
{
	struct world *world = &self->world;
	struct fake *fake = &self->fake;
	int fds[3];
	unsigned int i;

	OPEN_WORLD(world);
	EXPECT_EQ(1, fake->joins);
	EXPECT_EQ(1, fake->seals);
	for (i = 0; i < 3; i++) {
		fds[i] = client_open(world, 0);
		ASSERT_LE(0, fds[i]);
		AWAIT(world, LOCKED(fake, fake->accepted) == i + 1);
		EXPECT_EQ(cookie_of_peer(fds[i]), LOCKED(fake, fake->cookies[i]));
	}
	for (i = 0; i < 60; i++)
		raise_signal(fake, fake->cookies[i % 3], i, true);
	AWAIT(world, rtt_told(world) == 60);
	for (i = 0; i < 60; i++) {
		EXPECT_EQ(i, world->events[i].value);
		EXPECT_EQ(fake->cookies[i % 3], world->event_cookies[i]);
	}
	for (i = 0; i < 3; i++)
		close(fds[i]);
	AWAIT(world, LOCKED(fake, fake->closed) == 3);
	AWAIT(world, service_stats(world, 0).signals == 60);
	EXPECT_EQ(0, service_stats(world, 0).signals_held);
	EXPECT_EQ(0, service_stats(world, 0).signals_lost);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
	EXPECT_EQ(1, fake->leaves);
}

static void on_trouble(void *ctx, unsigned int worker, const struct weir_event *event)
{
	struct world *world = ctx;

	world_enter(world);
	world->events[world->event_count++] = *event;
	world_leave(world);
}

TEST_F(signal, about_the_worker_reach_the_user)
{
	struct world *world = &self->world;

	world->ops.trouble = on_trouble;
	OPEN_WORLD(world);
	raise_signal(&self->fake, 0, 77, true);
	AWAIT(world, rtt_told(world) == 1);
	EXPECT_EQ(77, world->events[0].value);
	EXPECT_EQ(0, service_stats(world, 0).signals_held);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* And without a callback they are harmless. */
TEST_F(signal, about_the_worker_may_be_ignored)
{
	struct world *world = &self->world;

	OPEN_WORLD(world);
	raise_signal(&self->fake, 0, 77, true);
	AWAIT(world, service_stats(world, 0).signals == 1);
	EXPECT_EQ(0, service_stats(world, 0).signals_lost);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* The worker's own edges: others see them, too. */
TEST_F(signal, of_the_worker_are_shown)
{
	struct world *world = &self->world;
	struct fake *fake = &self->fake;
	int fd;

	world->total = 16 << 20;
	world->obeys = true;
	world->ops.open = on_open_produce;
	world->ops.drain = on_drain;
	OPEN_WORLD(world);
	fd = client_open(world, 4096);
	ASSERT_LE(0, fd);
	AWAIT(world, told(world, WEIR_EV_ZERO_WINDOW, WEIR_EDGE_ON) >
		     told(world, WEIR_EV_ZERO_WINDOW, WEIR_EDGE_OFF));
	/* One that was on for a worker that did not run is off again by now. */
	AWAIT(world, LOCKED(fake, fake->raised.kind == WEIR_EV_ZERO_WINDOW &&
			    fake->raised.edge == WEIR_EDGE_ON));
	EXPECT_EQ(cookie_of_peer(fd), LOCKED(fake, fake->raised.cookie));
	/* Every edge is shown or counted; not told are those of a close. */
	EXPECT_EQ((int64_t)world->total, client_read_all(fd));
	close(fd);
	AWAIT(world, LOCKED(world, world->closes) == 1);
	AWAIT(world, LOCKED(fake, fake->raises) + service_stats(world, 0).signals_unshown >=
		     LOCKED(world, world->event_count));
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* The kernel knows a connection before its worker does. */
TEST_F(signal, wait_for_their_connection)
{
	struct world *world = &self->world;
	struct fake *fake = &self->fake;
	uint64_t cookie;
	int first, second;

	world->opts.conns_max = 1;
	OPEN_WORLD(world);
	first = client_open(world, 0);
	ASSERT_LE(0, first);
	AWAIT(world, LOCKED(fake, fake->accepted) == 1);
	second = client_open(world, 0);
	ASSERT_LE(0, second);
	cookie = cookie_of_peer(second);
	if (!cookie)
		SKIP(_exit(KSFT_SKIP), "the kernel does not tell socket cookies (inet_diag)");
	raise_signal(fake, cookie, 1, true);
	raise_signal(fake, cookie, 2, true);
	AWAIT(world, service_stats(world, 0).signals_held == 2);
	EXPECT_EQ(0, rtt_told(world));
	close(first);
	AWAIT(world, rtt_told(world) == 2);
	EXPECT_EQ(cookie, world->event_cookies[0]);
	EXPECT_EQ(1, world->events[0].value);
	EXPECT_EQ(2, world->events[1].value);
	EXPECT_TRUE(client_ping(second, 'x'));
	close(second);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

TEST_F(signal, for_nobody_are_counted_as_lost)
{
	struct world *world = &self->world;
	struct fake *fake = &self->fake;
	struct weir_service_stats stats;
	unsigned int i;
	int fd;

	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	AWAIT(world, LOCKED(fake, fake->accepted) == 1);
	for (i = 0; i < 100; i++)
		raise_signal(fake, UINT64_MAX - i, i, true);
	raise_signal(fake, fake->cookies[0], 1, true);
	AWAIT(world, rtt_told(world) == 1);
	AWAIT(world, service_stats(world, 0).signals == 1);
	stats = service_stats(world, 0);
	EXPECT_EQ(100, stats.signals_held);
	EXPECT_EQ(100 - 64, stats.signals_lost);
	close(fd);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

TEST_F(signal, whose_wake_up_was_lost_come_with_the_tick)
{
	struct world *world = &self->world;
	struct fake *fake = &self->fake;
	int fd;

	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	AWAIT(world, LOCKED(fake, fake->accepted) == 1);
	raise_signal(fake, fake->cookies[0], 7, false);
	AWAIT(world, rtt_told(world) == 1);
	AWAIT(world, service_stats(world, 0).signals_late == 1);
	AWAIT(world, LOCKED(fake, fake->ticks) >= 1);
	close(fd);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* More than the table's half: find, close the gaps, find again. */
TEST_F(signal, find_their_connection_among_many)
{
	struct world *world = &self->world;
	struct fake *fake = &self->fake;
	uint64_t cookies[64];
	unsigned int i, round, want = 0;
	int fds[64];

	OPEN_WORLD(world);
	for (i = 0; i < 64; i++) {
		fds[i] = client_open(world, 0);
		ASSERT_LE(0, fds[i]);
	}
	AWAIT(world, LOCKED(fake, fake->accepted) == 64);
	for (i = 0; i < 64; i++)
		cookies[i] = cookie_of_peer(fds[i]);
	if (!cookies[0])
		SKIP(_exit(KSFT_SKIP), "the kernel does not tell socket cookies (inet_diag)");
	/* Every other one goes, then every fourth. */
	for (round = 2; round <= 4; round *= 2) {
		for (i = round / 2; i < 64; i += round) {
			close(fds[i]);
			fds[i] = -1;
		}
		AWAIT(world, LOCKED(world, world->closes) == 64 - 64 / round);
		for (i = 0; i < 64; i += round)
			raise_signal(fake, cookies[i], i, true);
		want += 64 / round;
		AWAIT(world, rtt_told(world) == want);
		for (i = 0; i < 64 / round; i++)
			EXPECT_EQ(cookies[i * round],
				  world->event_cookies[want - 64 / round + i]);
	}
	EXPECT_EQ(0, service_stats(world, 0).signals_lost);
	for (i = 0; i < 64; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* what a worker's row says of its delay */

static void on_data_long(struct weir_conn *conn, struct weir_lease *lease)
{
	struct timespec ts = { .tv_sec = 1 };

	if (lease)
		nanosleep(&ts, NULL);
	on_echo(conn, lease);
}

/* It may just have been interrupted: the next turn tells. */
TEST_F(signal, one_long_turn_makes_nobody_slow)
{
	struct world *world = &self->world;
	struct fake *fake = &self->fake;
	uint64_t end;
	int fd;

	world->ops.data = on_data_long;
	fake->cfg.slow_on_us = 500000;
	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	AWAIT(world, LOCKED(fake, fake->accepted) == 1);
	/* A short turn ends the window, so that the long one is the first of the next. */
	end = real_ns() + 2 * fake->cfg.window_us * NSEC_PER_USEC;
	AWAIT(world, real_ns() > end);
	raise_signal(fake, fake->cookies[0], 1, true);
	AWAIT(world, rtt_told(world) == 1);
	EXPECT_TRUE(client_ping(fd, 'x'));
	AWAIT(world, __atomic_load_n(&fake->row.state, __ATOMIC_ACQUIRE) == WEIR_PARKED);
	EXPECT_EQ(WEIR_OK, (int)__atomic_load_n(&fake->row.speed, __ATOMIC_RELAXED));
	close(fd);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* A long random life of the table, beside a plain array. */
TEST(cookies_are_found_until_they_go)
{
	struct cookies cookies = { 0 };
	uint64_t known[100] = { 0 };
	unsigned int step, i, at;

	srandom(1);
	ASSERT_EQ(0, cookies_open(&cookies, &base_alloc_libc, 100));
	for (step = 0; step < 100000; step++) {
		at = (unsigned int)random() % 100;
		if (known[at]) {
			cookies_del(&cookies, known[at]);
			ASSERT_EQ(NULL, cookies_get(&cookies, known[at]));
			known[at] = 0;
		} else {
			known[at] = (uint64_t)random() * 100 + at + 1;
			cookies_put(&cookies, known[at], &known[at]);
		}
		for (i = 0; i < 100; i += 7)
			ASSERT_TRUE(!known[i] || cookies_get(&cookies, known[i]) == &known[i]);
	}
	cookies_del(&cookies, UINT64_MAX);
	EXPECT_EQ(NULL, cookies_get(&cookies, 0));
	cookies_close(&cookies, &base_alloc_libc);
}

TEST_HARNESS_MAIN
