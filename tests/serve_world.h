/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * serve_world.h - a service under test: what its callbacks saw, and clients
 *
 * The service runs in threads of its own. Tests wait for a condition with
 * AWAIT(), which looks again whenever a callback was called.
 */
#ifndef TESTS_SERVE_WORLD_H
#define TESTS_SERVE_WORLD_H

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>

#include <weir/serve.h>

#include "again.h"
#include "backends.h"

#define SECOND_NS	NSEC_PER_SEC
#define EVENTS_MAX	256

struct world {
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct weir_service *service;
	struct weir_steering *steering;	/* as given; the service's */
	struct weir_alloc alloc;
	atomic_int blocks;		/* of memory that are out */
	struct weir_loop_opts loop;
	struct weir_service_opts opts;
	struct weir_service_ops ops;
	struct weir_addr addr;
	unsigned int opens, closes, starts, stops, eofs;
	unsigned int conns_peak;
	int close_err;			/* of the last close */
	uint64_t queued_peak;
	uint64_t produced;		/* bytes taken by weir_conn_send() */
	uint64_t total;			/* bytes to produce */
	bool paused;			/* the producer is */
	bool obeys;			/* the producer answers pressure */
	unsigned int state_inside;	/* of the row, seen from a callback */
	int refuse_start;		/* what start() of the last worker returns */
	int refuse_open;
	struct weir_event events[EVENTS_MAX];
	uint64_t event_cookies[EVENTS_MAX];	/* of the connection that was told */
	unsigned int event_count;
};

/* Until a callback tells something, or a millisecond: for what tells nothing. */
static inline void world_wait(struct world *world)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	pthread_mutex_lock(&world->lock);
	pthread_cond_timedwait(&world->news, &world->lock, &ts);
	pthread_mutex_unlock(&world->lock);
}

/* It need not last: what held once is not looked at again. */
#define AWAIT(world, cond)						\
	do {								\
		uint64_t await_end = real_ns() + LIMIT_NS;		\
		bool await_held;					\
									\
		while (!(await_held = (cond)) && real_ns() < await_end)	\
			world_wait(world);				\
		ASSERT_TRUE(await_held) {				\
			TH_LOG("not within 10 s: %s", #cond);		\
		}							\
	} while (0)

#define LOCKED(world, expr)						\
	({								\
		pthread_mutex_lock(&(world)->lock);			\
		__auto_type locked_value = (expr);			\
		pthread_mutex_unlock(&(world)->lock);			\
		locked_value;						\
	})

static inline void world_enter(struct world *world)
{
	pthread_mutex_lock(&world->lock);
}

static inline void world_leave(struct world *world)
{
	pthread_cond_broadcast(&world->news);
	pthread_mutex_unlock(&world->lock);
}

static inline unsigned char pattern(uint64_t at)
{
	return (unsigned char)(at * 131 + (at >> 8) * 17 + (at >> 16) * 29);
}

/* callbacks */

static inline struct world *world_of(const struct weir_conn *conn)
{
	return weir_conn_service_ctx(conn);
}

static inline int on_open(struct weir_conn *conn)
{
	struct world *world = world_of(conn);
	int err;

	world_enter(world);
	world->opens++;
	if (world->opens - world->closes > world->conns_peak)
		world->conns_peak = world->opens - world->closes;
	err = world->refuse_open;
	world_leave(world);
	return err;
}

static inline void on_close(struct weir_conn *conn, int err)
{
	struct world *world = world_of(conn);

	world_enter(world);
	world->closes++;
	world->close_err = err;
	world_leave(world);
}

static inline int on_start(void *ctx, unsigned int worker, struct weir_loop *loop)
{
	struct world *world = ctx;
	int err;

	world_enter(world);
	world->starts++;
	err = worker == world->opts.workers - 1 ? world->refuse_start : 0;
	world_leave(world);
	return err;
}

static inline void on_stop(void *ctx, unsigned int worker)
{
	struct world *world = ctx;

	world_enter(world);
	world->stops++;
	world_leave(world);
}

static inline void on_echo(struct weir_conn *conn, struct weir_lease *lease)
{
	struct world *world = world_of(conn);

	if (!lease || weir_conn_send_lease(conn, lease, 0, weir_lease_len(lease)) < 0) {
		weir_conn_close(conn);
		return;
	}
	world_enter(world);
	if (weir_conn_queued(conn) > world->queued_peak)
		world->queued_peak = weir_conn_queued(conn);
	world_leave(world);
}

/* A producer of pattern(), which may obey pressure. */
static inline void produce(struct weir_conn *conn)
{
	struct world *world = world_of(conn);
	unsigned char buf[1000];
	unsigned int i;
	int taken;

	while (world->produced < world->total && !world->paused) {
		uint32_t want = (uint32_t)min_u64(sizeof(buf), world->total - world->produced);

		for (i = 0; i < want; i++)
			buf[i] = pattern(world->produced + i);
		taken = weir_conn_send(conn, buf, want);
		if (taken > 0)
			world->produced += (unsigned int)taken;
		if (taken != (int)want)
			break;
	}
	if (world->produced == world->total)
		weir_conn_close(conn);
}

static inline void on_drain(struct weir_conn *conn)
{
	struct world *world = world_of(conn);

	world_enter(world);
	produce(conn);
	world_leave(world);
}

static inline int on_open_produce(struct weir_conn *conn)
{
	int err = on_open(conn);

	on_drain(conn);
	return err;
}

static inline void on_pressure(struct weir_conn *conn, const struct weir_event *event)
{
	struct world *world = world_of(conn);

	world_enter(world);
	if (world->event_count < EVENTS_MAX) {
		world->event_cookies[world->event_count] = weir_conn_cookie(conn);
		world->events[world->event_count++] = *event;
	}
	if (world->obeys && event->kind == WEIR_EV_SENDQ) {
		world->paused = event->edge == WEIR_EDGE_ON;
		produce(conn);
	}
	world_leave(world);
}

/* How often it was told; the caller holds no lock. */
static inline unsigned int told(struct world *world, enum weir_event_kind kind,
				enum weir_edge edge)
{
	unsigned int i, n = 0;

	pthread_mutex_lock(&world->lock);
	for (i = 0; i < world->event_count; i++)
		n += world->events[i].kind == kind && world->events[i].edge == edge;
	pthread_mutex_unlock(&world->lock);
	return n;
}

/* the service */

static inline void *block_get(void *ctx, size_t bytes, size_t align)
{
	struct world *world = ctx;
	void *mem;

	if (posix_memalign(&mem, align < sizeof(void *) ? sizeof(void *) : align, bytes))
		return NULL;
	atomic_fetch_add(&world->blocks, 1);
	return mem;
}

static inline void block_put(void *ctx, void *mem, size_t bytes)
{
	struct world *world = ctx;

	atomic_fetch_sub(&world->blocks, 1);
	free(mem);
}

static inline void world_init(struct world *world, const char *backend, uint32_t workers)
{
	memset(world, 0, sizeof(*world));
	pthread_mutex_init(&world->lock, NULL);
	pthread_cond_init(&world->news, NULL);
	world->loop.sz = sizeof(world->loop);
	world->loop.backend = backend;
	world->alloc = (struct weir_alloc){
		.get = block_get, .put = block_put, .ctx = world,
	};
	world->loop.alloc = &world->alloc;
	world->ops.open = on_open;
	world->ops.data = on_echo;
	world->ops.close = on_close;
	world->ops.start = on_start;
	world->ops.stop = on_stop;
	world->opts.sz = sizeof(world->opts);
	world->opts.ops = &world->ops;
	world->opts.ctx = world;
	world->opts.addr = &world->addr;
	world->opts.loop = &world->loop;
	world->opts.workers = workers;
	world->opts.conns_max = 64;
	world->opts.backlog = 64;
	if (weir_addr_parse(&world->addr, "127.0.0.1:0"))
		abort();
}

static inline int world_open(struct world *world)
{
	struct weir_addr addr;
	int err;

	err = weir_service_open(&world->service, &world->opts);
	if (err)
		return err;
	weir_service_addr(world->service, &addr);
	world->addr = addr;
	return 0;
}

#define OPEN_WORLD(world)						\
	do {								\
		int open_err = world_open(world);			\
									\
		if (open_err == -ENOSYS || open_err == -EPERM)		\
			SKIP(_exit(KSFT_SKIP), "backend %s is refused here: %s",	\
			     (world)->loop.backend, weir_strerror(open_err));	\
		ASSERT_EQ(0, open_err);					\
	} while (0)

static inline int world_end(struct world *world, uint64_t timeout_ns)
{
	int ret;

	weir_service_stop(world->service, timeout_ns);
	ret = weir_service_wait(world->service);
	weir_service_close(world->service);
	world->service = NULL;
	return ret;
}

static inline struct weir_service_stats service_stats(const struct world *world,
						      unsigned int worker)
{
	struct weir_service_stats stats;

	if (weir_service_stats(world->service, worker, &stats, sizeof(stats)))
		abort();
	return stats;
}

/*
 * clients: blocking sockets that give up after the limit. Without one connect() is
 * gone on with where it is interrupted.
 */

static inline int client_open(const struct world *world, int rcvbuf)
{
	struct timeval limit = { .tv_sec = LIMIT_NS / SECOND_NS };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		abort();
	if (rcvbuf)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	if (connect(fd, (const struct sockaddr *)&world->addr.ss, world->addr.len)) {
		err = -errno;
		close(fd);
		return err;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

/* One byte there and back. */
static inline bool client_ping(int fd, char byte)
{
	char back = 0;

	return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && client_recv(fd, &back, 1) == 1 &&
	       back == byte;
}

/* Bytes of pattern() up to the end of the stream, or -1 if one is wrong. */
static inline int64_t client_read_all(int fd)
{
	unsigned char buf[16384];
	int64_t total = 0;
	ssize_t n, i;

	while ((n = client_recv(fd, buf, sizeof(buf))) > 0) {
		for (i = 0; i < n; i++) {
			if (buf[i] != pattern((uint64_t)(total + i)))
				return -1;
		}
		total += n;
	}
	return n < 0 ? -1 : total;
}

static inline unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	if (!dir)
		abort();
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

#endif /* TESTS_SERVE_WORLD_H */
