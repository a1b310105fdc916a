// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_dgram.c - a service of datagrams with real clients: echo, merging, limits,
 * stop, death, carriers
 */
#include <net/if.h>
#include <netinet/udp.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "base/list.h"

#include <kselftest_harness.h>

#include "serve_world.h"
#include "dgram_memory.h"

enum {
	ANSWERS		= 10,
	ANSWER_BYTES	= 100,
	CLIENTS		= 32,
};

/* Answers something else than an echo. */
typedef void answer_fn(struct weir_dgram *dgram, const struct weir_datagram *datagram);

struct scene {
	struct world world;
	answer_fn *answer;
	sem_t entered, go;
	struct weir_dgram *dgram;
	atomic_uint datagrams, ready;
	atomic_int err;			/* the last that weir_dgram_send() returned */
	atomic_uint refused;		/* how often it was not 0 */
};

FIXTURE(dgram) {
	struct scene scene;
	unsigned int fds;
};

KERNEL_VARIANTS(dgram);
REFUSED_VARIANT(dgram);

static struct scene *scene_of(struct weir_dgram *dgram)
{
	return container_of((struct world *)weir_dgram_service_ctx(dgram), struct scene, world);
}

static void reply(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	struct scene *scene = scene_of(dgram);
	int err = weir_dgram_send(dgram, datagram);

	if (err) {
		atomic_store(&scene->err, err);
		atomic_fetch_add(&scene->refused, 1);
	}
}

static void on_datagram(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	struct scene *scene = scene_of(dgram);

	world_enter(&scene->world);
	scene->dgram = dgram;
	world_leave(&scene->world);
	(scene->answer ? scene->answer : reply)(dgram, datagram);
	atomic_fetch_add(&scene->datagrams, 1);
	pthread_cond_broadcast(&scene->world.news);
}

static void on_ready(struct weir_dgram *dgram)
{
	atomic_fetch_add(&scene_of(dgram)->ready, 1);
}

FIXTURE_SETUP(dgram)
{
	struct scene *scene = &self->scene;

	memset(scene, 0, sizeof(*scene));
	world_init(&scene->world, variant->name, 1);
	if (is_refused(variant->name)) {
		ASSERT_EQ(0, refuse(SYS_io_uring_setup, EPERM));
		scene->world.loop.backend = NULL;
	}
	sem_init(&scene->entered, 0, 0);
	sem_init(&scene->go, 0, 0);
	scene->world.ops.datagram = on_datagram;
	scene->world.ops.ready = on_ready;
	scene->world.opts.flags = WEIR_SERVICE_DGRAM;
	self->fds = descriptors();
}

FIXTURE_TEARDOWN(dgram)
{
	weir_service_close(self->scene.world.service);
	EXPECT_EQ(0, atomic_load(&self->scene.world.blocks));
	EXPECT_EQ(self->fds, descriptors());
}

/* A client: a socket that gives up after the limit, connected to the service. */
static int udp_client(const struct world *world)
{
	struct timeval limit = { .tv_sec = LIMIT_NS / SECOND_NS };
	int fd = socket(world->addr.ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		abort();
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (!connect(fd, (const struct sockaddr *)&world->addr.ss, world->addr.len))
		return fd;
	close(fd);
	return -errno;
}

/* Bytes there and back: what came back, or -errno. */
static int udp_ask(int fd, const void *bytes, size_t len, void *back, size_t room)
{
	ssize_t n = send(fd, bytes, len, 0);

	if (n == (ssize_t)len)
		n = client_recv(fd, back, room);
	return n < 0 ? -errno : (int)n;
}

static bool udp_ping(int fd, char byte)
{
	char back[2] = "";

	return udp_ask(fd, &byte, 1, back, sizeof(back)) == 1 && back[0] == byte;
}

static struct weir_service_stats stats_now(struct scene *scene)
{
	return service_stats(&scene->world, WEIR_WORKER_NONE);
}

/* echo */

TEST_F(dgram, a_datagram_comes_back_to_its_sender)
{
	struct scene *scene = &self->scene;
	char text[64] = "";
	int one, two;

	OPEN_WORLD(&scene->world);
	one = udp_client(&scene->world);
	two = udp_client(&scene->world);
	EXPECT_EQ(5, udp_ask(one, "first", 5, text, sizeof(text)));
	EXPECT_STREQ("first", text);
	EXPECT_EQ(6, udp_ask(two, "second", 6, text, sizeof(text)));
	EXPECT_STREQ("second", text);
	EXPECT_EQ(-1, recv(one, text, sizeof(text), MSG_DONTWAIT));
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	close(one);
	close(two);
}

TEST_F(dgram, an_empty_datagram_is_one_too)
{
	struct scene *scene = &self->scene;
	char text[8];
	int fd;

	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	EXPECT_EQ(0, udp_ask(fd, "", 0, text, sizeof(text)));
	EXPECT_TRUE(udp_ping(fd, 'x'));
	AWAIT(&scene->world, stats_now(scene).dgrams_out == 2);
	EXPECT_EQ(2, stats_now(scene).dgrams_in);
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	close(fd);
}

TEST_F(dgram, six_is_served_as_four_is)
{
	struct scene *scene = &self->scene;
	int fd;

	ASSERT_EQ(0, weir_addr_parse(&scene->world.addr, "[::1]:0"));
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	EXPECT_TRUE(udp_ping(fd, '6'));
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	close(fd);
}

TEST_F(dgram, what_is_longer_than_a_buffer_is_dropped_and_counted)
{
	struct scene *scene = &self->scene;
	static char bytes[4096];
	int fd;

	scene->world.opts.buf_bytes = 1024;
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	ASSERT_EQ(4096, send(fd, bytes, sizeof(bytes), 0));
	EXPECT_TRUE(udp_ping(fd, 'x'));
	AWAIT(&scene->world, stats_now(scene).dgrams_in == 1);
	EXPECT_EQ(1, stats_now(scene).dgrams_cut);
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	close(fd);
}

/* merging */

static void answer_many(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	unsigned char bytes[ANSWER_BYTES];
	struct weir_datagram out = {
		.peer = datagram->peer, .data = bytes, .len = sizeof(bytes),
	};
	unsigned int i;

	for (i = 0; i < ANSWERS; i++) {
		memset(bytes, (int)('a' + i), sizeof(bytes));
		if (i == ANSWERS - 1)
			out.len = 7;
		reply(dgram, &out);
	}
}

TEST_F(dgram, datagrams_to_one_peer_leave_as_one_message)
{
	struct scene *scene = &self->scene;
	unsigned char back[2 * ANSWER_BYTES];
	unsigned int i;
	uint64_t before;
	int fd;

	scene->answer = answer_many;
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	before = stats_now(scene).loop.sends;
	ASSERT_EQ(1, send(fd, "?", 1, 0));
	for (i = 0; i < ANSWERS; i++) {
		ASSERT_EQ(i == ANSWERS - 1 ? 7 : ANSWER_BYTES,
			  client_recv(fd, back, sizeof(back)));
		EXPECT_EQ('a' + i, back[0]);
		EXPECT_EQ('a' + i, back[6]);
	}
	AWAIT(&scene->world, stats_now(scene).dgrams_out == ANSWERS);
	EXPECT_EQ(1, stats_now(scene).loop.sends - before);
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	close(fd);
}

/* A namespace of its own whose loopback has the MTU of an Ethernet. */
static int short_mtu(void)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct ifreq mtu = { .ifr_name = "lo", .ifr_mtu = 1500 };
	int fd, err;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = ioctl(fd, SIOCSIFMTU, &mtu) || ioctl(fd, SIOCSIFFLAGS, &up) ? -errno : 0;
	close(fd);
	return err;
}

static void answer_big(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	unsigned char bytes[2000];
	struct weir_datagram out = {
		.peer = datagram->peer, .data = bytes, .len = sizeof(bytes),
	};
	unsigned int i;

	for (i = 0; i < 3; i++) {
		memset(bytes, (int)('a' + i), sizeof(bytes));
		reply(dgram, &out);
	}
}

TEST_F(dgram, what_the_kernel_does_not_cut_is_sent_one_by_one)
{
	struct scene *scene = &self->scene;
	unsigned char back[4000];
	unsigned int i, round;
	uint64_t errors;
	int fd;

	if (short_mtu())
		SKIP(return, "no network namespace of its own: needs root");
	scene->answer = answer_big;
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	for (round = 0; round < 2; round++) {
		errors = stats_now(scene).loop.errors;
		ASSERT_EQ(1, send(fd, "?", 1, 0));
		for (i = 0; i < 3; i++) {
			ASSERT_EQ(2000, client_recv(fd, back, sizeof(back)));
			EXPECT_EQ('a' + i, back[0]);
			EXPECT_EQ('a' + i, back[1999]);
		}
		AWAIT(&scene->world, stats_now(scene).dgrams_out == 3 * (round + 1));
		/* The first time it was tried in one. */
		EXPECT_EQ(!round, stats_now(scene).loop.errors - errors);
	}
	EXPECT_EQ(0, stats_now(scene).dgrams_failed);
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	close(fd);
}

TEST_F(dgram, merged_datagrams_are_told_one_by_one)
{
	struct scene *scene = &self->scene;
	unsigned char bytes[ANSWERS * ANSWER_BYTES], back[sizeof(bytes)];
	int fd, segment = ANSWER_BYTES;
	unsigned int i;

	scene->world.opts.buf_bytes = WEIR_DGRAM_GRO_BYTES;
	scene->world.opts.bufs = 64;
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = pattern(i);
	if (setsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)))
		SKIP(return, "no UDP_SEGMENT: %s", strerror(errno));
	ASSERT_EQ((ssize_t)sizeof(bytes), send(fd, bytes, sizeof(bytes), 0));
	for (i = 0; i < ANSWERS; i++) {
		ASSERT_EQ(ANSWER_BYTES, client_recv(fd, back, sizeof(back)));
		EXPECT_EQ(0, memcmp(bytes + i * ANSWER_BYTES, back, ANSWER_BYTES));
	}
	AWAIT(&scene->world, stats_now(scene).dgrams_out == ANSWERS);
	EXPECT_EQ(ANSWERS, stats_now(scene).dgrams_in);
	EXPECT_EQ(1, stats_now(scene).accepted);
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	close(fd);
}

/* limits */

/* To five peers at once: each needs a message of its own. */
static void answer_around(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	struct weir_addr peer = *datagram->peer;
	struct weir_datagram out = { .peer = &peer, .data = "x", .len = 1 };
	struct sockaddr_in *in = (struct sockaddr_in *)&peer.ss;
	unsigned int i;

	for (i = 0; i < 5; i++) {
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK + i);
		reply(dgram, &out);
	}
}

TEST_F(dgram, a_full_queue_refuses_and_tells_when_there_is_room)
{
	struct scene *scene = &self->scene;
	char back[4];
	int fd;

	scene->world.opts.conns_max = 2;
	scene->answer = answer_around;
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	EXPECT_EQ(1, udp_ask(fd, "?", 1, back, sizeof(back)));
	AWAIT(&scene->world, atomic_load(&scene->ready) == 1);
	EXPECT_LE(1, (int)atomic_load(&scene->refused));
	EXPECT_EQ(-EAGAIN, (int)atomic_load(&scene->err));
	AWAIT(&scene->world, stats_now(scene).dgrams_refused == atomic_load(&scene->refused));
	/* And takes some again. */
	EXPECT_EQ(1, udp_ask(fd, "?", 1, back, sizeof(back)));
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	close(fd);
}

static void answer_too_long(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	static unsigned char bytes[WEIR_DGRAM_BYTES_MAX + 1];
	struct weir_datagram out = {
		.peer = datagram->peer, .data = bytes, .len = sizeof(bytes),
	};

	reply(dgram, &out);		/* longer than any */
	out.len = 4097;
	reply(dgram, &out);		/* than a buffer it could be copied to */
	reply(dgram, datagram);
}

static void answer_nobody(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	static const struct weir_addr nowhere;
	struct weir_datagram out = *datagram;

	out.peer = NULL;
	reply(dgram, &out);
	out.peer = &nowhere;
	reply(dgram, &out);
	reply(dgram, datagram);
}

TEST_F(dgram, what_has_no_peer_is_refused)
{
	struct scene *scene = &self->scene;
	int fd;

	scene->answer = answer_nobody;
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	EXPECT_TRUE(udp_ping(fd, 'x'));
	EXPECT_EQ(2, (int)atomic_load(&scene->refused));
	EXPECT_EQ(-EINVAL, (int)atomic_load(&scene->err));
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	close(fd);
}

TEST_F(dgram, what_is_too_long_to_send_is_refused)
{
	struct scene *scene = &self->scene;
	int fd;

	scene->world.opts.buf_bytes = 4096;
	scene->answer = answer_too_long;
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	EXPECT_TRUE(udp_ping(fd, 'x'));
	EXPECT_EQ(2, (int)atomic_load(&scene->refused));
	EXPECT_EQ(-EMSGSIZE, (int)atomic_load(&scene->err));
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	close(fd);
}

TEST_F(dgram, refuses_options_that_do_not_fit)
{
	struct world *world = &self->scene.world;
	struct weir_service_opts good = world->opts, *opts = &world->opts;
	struct weir_service_ops ops = world->ops;
	struct weir_dgram_carrier carrier = { 0 };

	ops.datagram = NULL;
	opts->ops = &ops;
	EXPECT_EQ(-EINVAL, world_open(world));
	*opts = good;
	opts->flags |= WEIR_SERVICE_ACCEPTOR;
	EXPECT_EQ(-EINVAL, world_open(world));
	*opts = good;
	opts->flags = 0;
	opts->carrier = &carrier;
	EXPECT_EQ(-EINVAL, world_open(world));
	*opts = good;
	opts->conns_max = 100000;
	EXPECT_EQ(-EINVAL, world_open(world));
}

TEST_F(dgram, refuses_an_address_in_use)
{
	struct world *world = &self->scene.world;
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int fd, on = 1;

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ASSERT_LE(0, fd);
	/* Even one that would share it. */
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)));
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&addr, len));
	ASSERT_EQ(0, getsockname(fd, (struct sockaddr *)&addr, &len));
	memcpy(&world->addr.ss, &addr, sizeof(addr));
	EXPECT_EQ(-EADDRINUSE, world_open(world));
	close(fd);
}

TEST_F(dgram, serves_on_sockets_of_the_caller)
{
	struct scene *scene = &self->scene;
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd, client, stream;
	char back[4];

	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	stream = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_LE(0, fd);
	scene->world.opts.addr = NULL;
	scene->world.opts.listeners = &stream;
	EXPECT_EQ(-EINVAL, world_open(&scene->world));
	scene->world.opts.listeners = &fd;
	EXPECT_EQ(-EINVAL, world_open(&scene->world));	/* not bound */
	ASSERT_EQ(0, bind(fd, (struct sockaddr *)&addr, sizeof(addr)));
	OPEN_WORLD(&scene->world);
	client = udp_client(&scene->world);
	EXPECT_TRUE(udp_ping(client, 'x'));
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	/* It was duplicated: it is the caller's as before, and queues. */
	EXPECT_EQ(1, send(client, "y", 1, 0));
	EXPECT_EQ(1, client_recv(fd, back, sizeof(back)));
	close(client);
	close(stream);
	close(fd);
}

/* stop and death */

static void answer_when_told(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	struct scene *scene = scene_of(dgram);

	if (*(const char *)datagram->data == 'B') {
		sem_post(&scene->entered);
		while (sem_wait(&scene->go))
			;
	}
	reply(dgram, datagram);
}

TEST_F(dgram, a_stop_answers_what_had_come)
{
	struct scene *scene = &self->scene;
	char back[4];
	int fd, i;

	scene->answer = answer_when_told;
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	ASSERT_EQ(1, send(fd, "B", 1, 0));
	while (sem_wait(&scene->entered))
		;
	for (i = 0; i < 40; i++)
		ASSERT_EQ(1, send(fd, "x", 1, 0));
	weir_service_stop(scene->world.service, 10 * SECOND_NS);
	sem_post(&scene->go);
	EXPECT_EQ(0, weir_service_wait(scene->world.service));
	for (i = 0; i < 41 && recv(fd, back, sizeof(back), MSG_DONTWAIT) == 1; i++)
		;
	EXPECT_EQ(41, i);
	/* Nobody is there any more. */
	send(fd, "x", 1, 0);
	EXPECT_EQ(-1, client_recv(fd, back, sizeof(back)));
	EXPECT_EQ(ECONNREFUSED, errno);
	close(fd);
}

TEST_F(dgram, a_stop_without_time_ends_at_once)
{
	struct scene *scene = &self->scene;
	int fd;

	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	EXPECT_TRUE(udp_ping(fd, 'x'));
	EXPECT_EQ(0, world_end(&scene->world, 0));
	close(fd);
}

/* 'X' ends the worker, anything else is answered with its number. */
static void answer_number(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	char number = (char)('0' + weir_dgram_worker(dgram));
	struct weir_datagram out = { .peer = datagram->peer, .data = &number, .len = 1 };

	if (*(const char *)datagram->data == 'X')
		pthread_exit(NULL);
	reply(dgram, &out);
}

static int udp_worker(int fd)
{
	char number = 0;
	int n = udp_ask(fd, "?", 1, &number, 1);

	return n == 1 ? number - '0' : -1;
}

TEST_F(dgram, workers_share_the_port_and_a_client_has_one)
{
	struct scene *scene = &self->scene;
	unsigned int seen = 0, i, round;
	int fd, worker;

	scene->world.opts.workers = 4;
	scene->answer = answer_number;
	OPEN_WORLD(&scene->world);
	/* The kernel chooses by a hash: sooner or later each of them. */
	for (i = 0; i < CLIENTS || (seen != 15 && i < 100 * CLIENTS); i++) {
		fd = udp_client(&scene->world);
		worker = udp_worker(fd);
		ASSERT_LE(0, worker);
		seen |= 1U << worker;
		for (round = 0; round < 3; round++)
			EXPECT_EQ(worker, udp_worker(fd));
		close(fd);
	}
	EXPECT_EQ(15, seen);
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
}

TEST_F(dgram, a_worker_that_dies_leaves_the_others_serving)
{
	struct scene *scene = &self->scene;
	unsigned int i, dead = 0;
	int fd;

	scene->world.opts.workers = 2;
	scene->answer = answer_number;
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	ASSERT_EQ(1, send(fd, "X", 1, 0));
	close(fd);
	/* Dead, and its socket closed: the hash is over the other alone. */
	AWAIT(&scene->world, service_stats(&scene->world, 0).state == WEIR_DEAD ||
	      service_stats(&scene->world, 1).state == WEIR_DEAD);
	for (i = 0; i < 2; i++)
		dead += service_stats(&scene->world, i).state == WEIR_DEAD;
	EXPECT_EQ(1, dead);
	AWAIT(&scene->world, descriptors() < self->fds + 9);
	for (i = 0; i < CLIENTS; i++) {
		struct timeval limit = { .tv_usec = 200000 };
		int tries = 0, worker = -1;

		fd = udp_client(&scene->world);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		/* Until the dead one's socket is gone its share is lost. */
		while (worker < 0 && tries++ < 50)
			worker = udp_worker(fd);
		ASSERT_LE(0, worker);
		close(fd);
	}
	EXPECT_EQ(-EOWNERDEAD, world_end(&scene->world, 0));
}

/* carriers */

TEST_F(dgram, a_carrier_carries_what_it_can_and_the_socket_the_rest)
{
	struct scene *scene = &self->scene;
	struct memory memory = { .carrier.ops = &memory_ops };
	int fd;

	ASSERT_EQ(0, weir_addr_parse(&memory.mine, "127.0.0.1:9"));
	scene->world.opts.carrier = &memory.carrier;
	OPEN_WORLD(&scene->world);
	fd = udp_client(&scene->world);
	AWAIT(&scene->world, stats_now(scene).dgrams_out == 1);
	EXPECT_TRUE(udp_ping(fd, 'x'));
	AWAIT(&scene->world, stats_now(scene).dgrams_out == 2);
	EXPECT_EQ(2, stats_now(scene).dgrams_in);
	EXPECT_EQ(0, world_end(&scene->world, SECOND_NS));
	EXPECT_STREQ("memory", memory.text);
	EXPECT_EQ(1, memory.flushed);
	EXPECT_EQ(1, memory.stops);
	EXPECT_EQ(1, memory.closes);
	close(fd);
}

TEST_HARNESS_MAIN
