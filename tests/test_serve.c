// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_serve.c - a service with real clients: open, echo, limits, stop, death
 */
#include <sched.h>
#include <sys/resource.h>

#include "base/base.h"

#include <kselftest_harness.h>

#include "serve_world.h"

FIXTURE(serve) {
	struct world world;
	unsigned int fds;
};

KERNEL_VARIANTS(serve);

FIXTURE_SETUP(serve)
{
	world_init(&self->world, variant->name, 1);
	self->fds = descriptors();
}

FIXTURE_TEARDOWN(serve)
{
	weir_service_close(self->world.service);
	EXPECT_EQ(0, atomic_load(&self->world.blocks));
}

/* options that are refused; everything is unwound */

TEST_F(serve, refuses_options_out_of_range)
{
	static const struct weir_loop_hooks hooks;
	struct world *world = &self->world;
	struct weir_service_opts good = world->opts, *opts = &world->opts;

	OPEN_WORLD(world);
	EXPECT_EQ(0, world_end(world, 0));

	opts->ops = NULL;
	EXPECT_EQ(-EINVAL, world_open(world));
	*opts = good;
	opts->addr = NULL;
	EXPECT_EQ(-EINVAL, world_open(world));
	*opts = good;
	opts->workers = WEIR_WORKERS_MAX + 1;
	EXPECT_EQ(-EINVAL, world_open(world));
	*opts = good;
	opts->low_bytes = 4096;
	opts->high_bytes = 4096;
	EXPECT_EQ(-EINVAL, world_open(world));
	*opts = good;
	opts->conns_max = 40000;
	EXPECT_EQ(-EINVAL, world_open(world));
	*opts = good;
	opts->bufs = 100000;
	EXPECT_EQ(-EINVAL, world_open(world));
	*opts = good;
	world->loop.hooks = &hooks;
	EXPECT_EQ(-EINVAL, world_open(world));
	world->loop.hooks = NULL;
	/* Its connections would wait for each other's operations, or for files. */
	world->loop.ops_max = 16;
	EXPECT_EQ(-EINVAL, world_open(world));
	world->loop.ops_max = 0;
	world->loop.files_max = 64;
	EXPECT_EQ(-EINVAL, world_open(world));
	world->loop.files_max = 0;
	world->loop.backend = "sim";
	opts->workers = 2;
	EXPECT_EQ(-EINVAL, world_open(world));
	*opts = good;
	world->loop.backend = "none";
	EXPECT_EQ(-EINVAL, world_open(world));
	EXPECT_EQ(self->fds, descriptors());
}

TEST_F(serve, refuses_more_workers_than_rows)
{
	struct world *world = &self->world;

	EXPECT_EQ(-EINVAL, weir_steering_reuseport(&world->opts.steering, 0));
	EXPECT_EQ(-EINVAL, weir_steering_reuseport(&world->opts.steering,
						   WEIR_WORKERS_MAX + 1));
	ASSERT_EQ(0, weir_steering_reuseport(&world->opts.steering, 2));
	world->opts.workers = 3;
	EXPECT_EQ(-E2BIG, world_open(world));
	EXPECT_EQ(self->fds, descriptors());
}

TEST_F(serve, refuses_an_address_in_use)
{
	struct world *world = &self->world;
	int reuse, fd;

	/* With SO_REUSEPORT too: half of the clients would be the other's. */
	for (reuse = 0; reuse < 2; reuse++) {
		struct sockaddr_in addr = {
			.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		};
		socklen_t len = sizeof(addr);

		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuse, sizeof(reuse)));
		ASSERT_EQ(0, bind(fd, (struct sockaddr *)&addr, len));
		ASSERT_EQ(0, listen(fd, 1));
		ASSERT_EQ(0, getsockname(fd, (struct sockaddr *)&addr, &len));
		memcpy(&world->addr.ss, &addr, sizeof(addr));
		world->opts.workers = 4;
		EXPECT_EQ(-EADDRINUSE, world_open(world));
		close(fd);
	}
	EXPECT_EQ(self->fds, descriptors());
}

/* A listening socket of the group of @first, or of a new one. */
static int group_listener(const struct sockaddr_in *first, struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, other = -1;
	socklen_t len = sizeof(*addr);

	*addr = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	if (first) {
		*addr = *first;
	} else {
		/*
		 * An explicit port: one that bind() chose is lost on listen(). Held until
		 * it is ours, so that nobody else takes it.
		 */
		other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (other < 0 || setsockopt(other, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
		    bind(other, (struct sockaddr *)addr, len) ||
		    getsockname(other, (struct sockaddr *)addr, &len))
			return -1;
	}
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)addr, len) || listen(fd, 64))
		return -1;
	if (other >= 0)
		close(other);
	return fd;
}

TEST_F(serve, listens_on_the_callers_sockets_whose_queues_outlive_it)
{
	struct world *world = &self->world;
	struct sockaddr_in addr, same;
	int listeners[2], fd;

	listeners[0] = group_listener(NULL, &addr);
	listeners[1] = group_listener(&addr, &same);
	ASSERT_LE(0, listeners[0]);
	ASSERT_LE(0, listeners[1]);
	memcpy(&world->addr.ss, &addr, sizeof(addr));
	world->opts.addr = NULL;
	world->opts.listeners = listeners;
	world->opts.workers = 2;
	OPEN_WORLD(world);
	fd = client_open(world, 0);
	EXPECT_TRUE(client_ping(fd, 1));
	close(fd);
	AWAIT(world, LOCKED(world, world->closes) == 1);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
	/* Nobody serves, but the client waits in a queue that is still there. */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, connect(fd, (struct sockaddr *)&addr, sizeof(addr)));
	world->opts.listeners = listeners;
	OPEN_WORLD(world);
	EXPECT_TRUE(client_ping(fd, 2));
	close(fd);
	AWAIT(world, LOCKED(world, world->closes) == 2);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
	close(listeners[1]);
	listeners[1] = -1;
	world->opts.listeners = listeners;
	EXPECT_EQ(-EBADF, world_open(world));
	close(listeners[0]);
	EXPECT_EQ(self->fds, descriptors());
}

TEST_F(serve, refuses_when_a_worker_refuses_to_start)
{
	struct world *world = &self->world;
	int bad[] = { 0, CPU_SETSIZE };

	world->opts.workers = 2;
	world->refuse_start = -EDOM;
	EXPECT_EQ(-EDOM, world_open(world));
	EXPECT_EQ(2, world->starts);
	EXPECT_EQ(1, world->stops);
	/* Not an errno value: opening must not pass for successful. */
	world->refuse_start = 7;
	EXPECT_EQ(-EINVAL, world_open(world));
	EXPECT_EQ(4, world->starts);
	world->refuse_start = 0;
	world->opts.cpus = bad;
	EXPECT_EQ(-EINVAL, world_open(world));
	EXPECT_EQ(self->fds, descriptors());
}

/* serving */

struct stream {
	const struct world *world;
	uint64_t total;
	bool right;
};

/* Sends and receives at once, in odd pieces, and compares every byte. */
static void *stream_run(void *arg)
{
	struct stream *stream = arg;
	uint64_t out = 0, in = 0, i;
	unsigned char buf[7919];
	int fd = client_open(stream->world, 0);
	struct pollfd pfd = { .fd = fd };
	ssize_t n;

	if (fd < 0)
		return NULL;
	while (in < stream->total) {
		pfd.events = POLLIN | (out < stream->total ? POLLOUT : 0);
		if (poll(&pfd, 1, LIMIT_NS / 1000000) <= 0)
			break;
		if (pfd.revents & POLLOUT) {
			n = 1 + (ssize_t)(out * 31 % sizeof(buf));
			if ((uint64_t)n > stream->total - out)
				n = (ssize_t)(stream->total - out);
			for (i = 0; i < (uint64_t)n; i++)
				buf[i] = pattern(out + i);
			n = send(fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
			out += n > 0 ? (uint64_t)n : 0;
			if (out == stream->total)
				shutdown(fd, SHUT_WR);
		}
		if (pfd.revents & (POLLIN | POLLHUP)) {
			n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
			if (n <= 0)
				break;
			for (i = 0; i < (uint64_t)n && buf[i] == pattern(in + i); i++)
				;
			if (i < (uint64_t)n)
				break;
			in += (uint64_t)n;
		}
	}
	stream->right = in == stream->total && recv(fd, buf, 1, 0) == 0;
	close(fd);
	return NULL;
}

TEST_F(serve, echoes_through_four_workers_byte_exact)
{
	struct world *world = &self->world;
	struct stream streams[12];
	struct weir_service_stats stats;
	pthread_t threads[12];
	unsigned int i;

	world->opts.workers = 4;
	OPEN_WORLD(world);
	EXPECT_EQ(4, world->starts);
	for (i = 0; i < 12; i++) {
		streams[i] = (struct stream){ .world = world, .total = 300000 + i };
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, stream_run, &streams[i]));
	}
	for (i = 0; i < 12; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_TRUE(streams[i].right);
	}
	AWAIT(world, LOCKED(world, world->closes) == 12);
	AWAIT(world, service_stats(world, WEIR_WORKER_NONE).conns == 0);
	stats = service_stats(world, WEIR_WORKER_NONE);
	EXPECT_EQ(12, stats.accepted);
	EXPECT_EQ(12 * 300000 + 66, stats.loop.bytes_in);
	EXPECT_EQ(12 * 300000 + 66, stats.loop.bytes_out);
	EXPECT_EQ(stats.buf_count, stats.buf_free);
	EXPECT_EQ(-EINVAL, weir_service_stats(world->service, 4, &stats, sizeof(stats)));
	EXPECT_EQ(0, strcmp(variant->name, weir_service_backend(world->service, NULL)));
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
	EXPECT_EQ(4, world->stops);
	EXPECT_EQ(self->fds, descriptors());
}

/* More clients than connections: all are served, none is dropped. */
TEST_F(serve, serves_twelve_clients_with_four_connections)
{
	struct world *world = &self->world;
	struct pollfd clients[12];
	unsigned int i, left = 12;
	char byte;

	world->opts.conns_max = 4;
	OPEN_WORLD(world);
	for (i = 0; i < 12; i++) {
		clients[i] = (struct pollfd){ .fd = client_open(world, 0), .events = POLLIN };
		ASSERT_LE(0, clients[i].fd);
		byte = (char)('a' + i);
		ASSERT_EQ(1, send(clients[i].fd, &byte, 1, 0));
	}
	AWAIT(world, LOCKED(world, world->opens) == 4);
	while (left) {
		ASSERT_LT(0, poll(clients, 12, LIMIT_NS / 1000000));
		for (i = 0; i < 12; i++) {
			if (!clients[i].revents)
				continue;
			ASSERT_EQ(1, recv(clients[i].fd, &byte, 1, 0));
			EXPECT_EQ((char)('a' + i), byte);
			close(clients[i].fd);
			clients[i].fd = -1;
			left--;
		}
	}
	AWAIT(world, LOCKED(world, world->closes) == 12);
	EXPECT_EQ(4, world->conns_peak);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* No descriptor left: the rest waits in the kernel's queue and is served later. */
TEST_F(serve, serves_all_when_descriptors_are_used_up)
{
	struct world *world = &self->world;
	struct pollfd clients[16];
	struct rlimit limit;
	unsigned int i, left = 16;
	char byte = 'x';

	OPEN_WORLD(world);
	for (i = 0; i < 16; i++) {
		clients[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		clients[i].events = POLLIN;
		ASSERT_LE(0, clients[i].fd);
	}
	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = (rlim_t)clients[15].fd + 4;
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	for (i = 0; i < 16; i++) {
		ASSERT_EQ(0, connect(clients[i].fd, (struct sockaddr *)&world->addr.ss,
				     world->addr.len));
		ASSERT_EQ(1, send(clients[i].fd, &byte, 1, 0));
	}
	/* Whom we leave gives a descriptor back: not before they are used up. */
	if (!strcmp(variant->name, "epoll"))
		AWAIT(world, service_stats(world, 0).loop.accept_pauses > 0);
	while (left) {
		ASSERT_LT(0, poll(clients, 16, LIMIT_NS / 1000000));
		for (i = 0; i < 16; i++) {
			if (clients[i].fd < 0 || !clients[i].revents)
				continue;
			ASSERT_EQ(1, recv(clients[i].fd, &byte, 1, 0));
			close(clients[i].fd);
			clients[i].fd = -1;
			left--;
		}
	}
	AWAIT(world, LOCKED(world, world->closes) == 16);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

TEST_F(serve, refuses_a_client_when_open_says_so)
{
	struct world *world = &self->world;
	char byte;
	int fd;

	world->refuse_open = -EACCES;
	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	EXPECT_GE(0, recv(fd, &byte, 1, 0));
	AWAIT(world, service_stats(world, 0).refused == 1 && service_stats(world, 0).conns == 0);
	EXPECT_EQ(0, world->closes);
	close(fd);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* Another thread writes it. */
#define GET(field)	__atomic_load_n(field, __ATOMIC_ACQUIRE)

static void on_data_state(struct weir_conn *conn, struct weir_lease *lease)
{
	struct world *world = world_of(conn);
	const struct weir_worker_row *row = world->steering->ops->row(world->steering,
								      weir_conn_worker(conn));

	world_enter(world);
	world->state_inside = GET(&row->state);
	world_leave(world);
	on_echo(conn, lease);
}

TEST_F(serve, rows_tell_what_a_worker_does)
{
	struct world *world = &self->world;
	struct weir_worker_row *row;
	int fd;

	ASSERT_EQ(0, weir_steering_reuseport(&world->steering, 1));
	world->opts.steering = world->steering;
	world->ops.data = on_data_state;
	row = world->steering->ops->row(world->steering, 0);
	ASSERT_NE(NULL, row);
	OPEN_WORLD(world);
	AWAIT(world, GET(&row->state) == WEIR_PARKED);
	EXPECT_EQ(1, GET(&row->epoch));
	EXPECT_NE(0, GET(&row->pid));
	EXPECT_EQ(0, GET(&row->conns));
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	EXPECT_TRUE(client_ping(fd, 'x'));
	EXPECT_EQ(WEIR_RUN, LOCKED(world, world->state_inside));
	AWAIT(world, GET(&row->state) == WEIR_PARKED);
	AWAIT(world, GET(&row->inflight) == 0);
	EXPECT_EQ(1, GET(&row->conns));
	EXPECT_EQ(1, GET(&row->accepted));
	EXPECT_GE(real_ns(), GET(&row->loop_ns));
	/* The client keeps its end open: the worker waits for it. */
	weir_service_stop(world->service, LIMIT_NS);
	AWAIT(world, GET(&row->state) == WEIR_DRAIN);
	EXPECT_EQ(WEIR_DRAIN, service_stats(world, 0).state);
	close(fd);
	EXPECT_EQ(0, weir_service_wait(world->service));
	EXPECT_EQ(WEIR_DEAD, GET(&row->state));
	EXPECT_EQ(WEIR_DEAD, service_stats(world, WEIR_WORKER_NONE).state);
}

static int on_start_affinity(void *ctx, unsigned int worker, struct weir_loop *loop)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) != 1)
		return -EDOM;
	return CPU_ISSET(sched_getcpu(), &set) ? 0 : -ERANGE;
}

TEST_F(serve, pins_a_worker_to_its_processor)
{
	struct world *world = &self->world;
	cpu_set_t set;
	int cpu = 0;

	ASSERT_EQ(0, sched_getaffinity(0, sizeof(set), &set));
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	world->opts.cpus = &cpu;
	world->ops.start = on_start_affinity;
	OPEN_WORLD(world);
	EXPECT_EQ(0, world_end(world, 0));
}

/* pressure */

/* A slow reader: the producer is told, pauses, goes on; every byte arrives. */
TEST_F(serve, tells_the_producer_of_a_slow_reader)
{
	struct world *world = &self->world;
	uint64_t produced;
	int fd;

	world->total = 16 << 20;
	world->obeys = true;
	world->ops.open = on_open_produce;
	world->ops.drain = on_drain;
	world->ops.pressure = on_pressure;
	OPEN_WORLD(world);
	fd = client_open(world, 4096);
	ASSERT_LE(0, fd);
	/* Together: one alone may be for a moment while buffers of the kernel grow. */
	AWAIT(world, told(world, WEIR_EV_SENDQ, WEIR_EDGE_ON) >
		     told(world, WEIR_EV_SENDQ, WEIR_EDGE_OFF) &&
		     told(world, WEIR_EV_ZERO_WINDOW, WEIR_EDGE_ON) >
		     told(world, WEIR_EV_ZERO_WINDOW, WEIR_EDGE_OFF) &&
		     LOCKED(world, world->paused));
	produced = LOCKED(world, world->produced);
	EXPECT_LT(produced, world->total);
	EXPECT_EQ((int64_t)world->total, client_read_all(fd));
	EXPECT_EQ(told(world, WEIR_EV_SENDQ, WEIR_EDGE_ON),
		  told(world, WEIR_EV_SENDQ, WEIR_EDGE_OFF));
	EXPECT_EQ(told(world, WEIR_EV_ZERO_WINDOW, WEIR_EDGE_ON),
		  told(world, WEIR_EV_ZERO_WINDOW, WEIR_EDGE_OFF));
	EXPECT_EQ(WEIR_EV_SENDQ, world->events[0].kind);
	EXPECT_EQ(0, world->events[0].seq);
	EXPECT_EQ(64 << 10, world->events[0].limit);
	EXPECT_LE(world->events[0].limit, world->events[0].value);
	close(fd);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* Without a callback the default answer bounds what an echo holds. */
TEST_F(serve, pauses_receiving_from_who_does_not_read)
{
	struct world *world = &self->world;
	static unsigned char buf[1 << 20];
	uint64_t total = 32 << 20, out = 0, end = real_ns() + LIMIT_NS;
	struct timeval soon = { .tv_usec = 300000 };
	ssize_t n = 1;
	int fd;

	memset(buf, 0, sizeof(buf));
	world->opts.bufs = 512;
	OPEN_WORLD(world);
	fd = client_open(world, 4096);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)));
	/* Until nobody takes any more: the server holds enough, and has closed its window. */
	while (out < total && (n > 0 || LOCKED(world, world->queued_peak) < 64 << 10) &&
	       real_ns() < end) {
		n = send(fd, buf, sizeof(buf), MSG_NOSIGNAL);
		out += n > 0 ? (uint64_t)n : 0;
	}
	EXPECT_LT(out, total);
	EXPECT_GT(0, n);
	EXPECT_LE(64 << 10, LOCKED(world, world->queued_peak));
	EXPECT_GE(1 << 20, LOCKED(world, world->queued_peak));
	/* It reads again: the rest comes. */
	while (out && (n = client_recv(fd, buf, sizeof(buf))) > 0)
		out -= (uint64_t)n;
	EXPECT_EQ(0, out);
	close(fd);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* stop */

/* A producer whose reader has stopped, with bytes in the queue. */
static int stalled_open(struct world *world)
{
	uint64_t end = real_ns() + LIMIT_NS;
	int fd;

	fd = client_open(world, 4096);
	while (fd >= 0 && real_ns() < end) {
		if (told(world, WEIR_EV_ZERO_WINDOW, WEIR_EDGE_ON) >
		    told(world, WEIR_EV_ZERO_WINDOW, WEIR_EDGE_OFF))
			return fd;
		world_wait(world);
	}
	return -ETIMEDOUT;
}

static void produce_much(struct world *world)
{
	world->total = 64 << 20;
	world->ops.open = on_open_produce;
	world->ops.drain = on_drain;
	world->ops.pressure = on_pressure;
	world->opts.linger_ns = 60 * SECOND_NS;
}

TEST_F(serve, stop_drains_what_is_queued)
{
	struct world *world = &self->world;
	uint64_t produced;
	int fd;

	produce_much(world);
	OPEN_WORLD(world);
	fd = stalled_open(world);
	ASSERT_LE(0, fd);
	weir_service_stop(world->service, 60 * SECOND_NS);
	AWAIT(world, service_stats(world, 0).state == WEIR_DRAIN);
	produced = LOCKED(world, world->produced);
	EXPECT_EQ((int64_t)produced, client_read_all(fd));
	close(fd);
	EXPECT_EQ(0, weir_service_wait(world->service));
	EXPECT_EQ(produced, world->produced);
	EXPECT_EQ(0, world->close_err);
	/* It listens no more. */
	EXPECT_EQ(-ECONNREFUSED, client_open(world, 0));
}

TEST_F(serve, stop_aborts_at_the_deadline)
{
	struct world *world = &self->world;
	uint64_t begin;
	int fd;

	produce_much(world);
	OPEN_WORLD(world);
	fd = stalled_open(world);
	ASSERT_LE(0, fd);
	begin = real_ns();
	weir_service_stop(world->service, SECOND_NS / 5);
	EXPECT_EQ(1, weir_service_wait(world->service));
	EXPECT_LE(SECOND_NS / 5, real_ns() - begin);
	EXPECT_GT(LIMIT_NS, real_ns() - begin);
	EXPECT_EQ(-ETIME, world->close_err);
	EXPECT_EQ(1, weir_service_wait(world->service));
	close(fd);
}

TEST_F(serve, a_second_stop_shortens_and_never_lengthens)
{
	struct world *world = &self->world;
	uint64_t begin = real_ns();
	int fd;

	produce_much(world);
	OPEN_WORLD(world);
	fd = stalled_open(world);
	ASSERT_LE(0, fd);
	weir_service_stop(world->service, 60 * SECOND_NS);
	AWAIT(world, service_stats(world, 0).state == WEIR_DRAIN);
	weir_service_stop(world->service, 0);
	weir_service_stop(world->service, 60 * SECOND_NS);
	EXPECT_EQ(1, weir_service_wait(world->service));
	EXPECT_GT(3 * LIMIT_NS, real_ns() - begin);
	close(fd);
	weir_service_close(world->service);
	world->service = NULL;
	EXPECT_EQ(self->fds, descriptors());
}

static struct weir_service *signalled;

static void on_sigint(int sig)
{
	weir_service_stop(signalled, LIMIT_NS);
}

TEST_F(serve, stops_from_a_signal_handler)
{
	struct world *world = &self->world;
	struct sigaction act = { .sa_handler = on_sigint };

	world->opts.workers = 4;
	OPEN_WORLD(world);
	signalled = world->service;
	ASSERT_EQ(0, sigaction(SIGINT, &act, NULL));
	/* The workers do not take it: this thread does. */
	ASSERT_EQ(0, kill(getpid(), SIGINT));
	EXPECT_EQ(0, weir_service_wait(world->service));
}

TEST_HARNESS_MAIN
