/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ends.h - connections under test: what each end sent, received and was told
 *
 * The bytes of every stream follow from their place in it, so that each end
 * can tell a lost, doubled or displaced byte by itself.
 */
#ifndef TESTS_ENDS_H
#define TESTS_ENDS_H

#include <weir/net.h>
#include <weir/pool.h>

#include "backends.h"

#define ENDS_MAX	64
#define CHUNK_MAX	9973	/* prime: chunks fit no buffer */

/* An allocator that counts what is out. */
struct counter {
	struct weir_alloc alloc;
	size_t blocks;
	size_t calls;
};

static inline void *counter_get(void *ctx, size_t bytes, size_t align)
{
	struct counter *counter = ctx;
	void *mem;

	if (posix_memalign(&mem, align < sizeof(void *) ? sizeof(void *) : align, bytes))
		return NULL;
	counter->blocks++;
	counter->calls++;
	return mem;
}

static inline void counter_put(void *ctx, void *mem, size_t bytes)
{
	struct counter *counter = ctx;

	counter->blocks--;
	free(mem);
}

static inline void counter_init(struct counter *counter)
{
	*counter = (struct counter){
		.alloc = { .get = counter_get, .put = counter_put, .ctx = counter },
	};
}

struct end {
	struct weir_conn *conn;
	struct end *peer;
	struct weir_loop *loop;
	bool echo;		/* send back what comes, close when the peer does */
	bool close_at_eof;
	bool abort_at_data;
	bool pause_at_data;
	uint64_t total;		/* bytes to send by pump() */
	uint64_t out;		/* of these, queued */
	uint64_t in;		/* received, all of them right */
	bool wrong;		/* one was not */
	unsigned int receipts;
	unsigned int shorts;	/* sends that were cut short */
	unsigned int drains;
	unsigned int eofs;
	unsigned int closes;
	int err;
};

static inline unsigned char pattern(uint64_t at)
{
	return (unsigned char)(at * 131 + (at >> 8) * 17 + (at >> 16) * 29);
}

static inline void fill(unsigned char *buf, uint32_t len, uint64_t at)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		buf[i] = pattern(at + i);
}

/* Queue what is left of @end->total, in odd chunks, until a send is cut short. */
static inline void pump(struct end *end)
{
	static unsigned char buf[CHUNK_MAX];

	while (end->out < end->total) {
		uint64_t len = 1 + (end->out * 7919 + 104729) % CHUNK_MAX;
		int taken;

		if (len > end->total - end->out)
			len = end->total - end->out;
		fill(buf, (uint32_t)len, end->out);
		taken = weir_conn_send(end->conn, buf, (uint32_t)len);
		if (taken < 0)
			return;
		end->out += (uint64_t)taken;
		if ((uint64_t)taken < len) {
			end->shorts++;
			return;
		}
	}
}

static inline void end_data(struct weir_conn *conn, struct weir_lease *lease)
{
	struct end *end = weir_conn_ctx(conn);
	const unsigned char *bytes;
	uint32_t i;

	if (!lease) {
		end->eofs++;
		if (end->echo || end->close_at_eof)
			weir_conn_close(conn);
		return;
	}
	end->receipts++;
	bytes = weir_lease_data(lease);
	for (i = 0; i < weir_lease_len(lease); i++)
		end->wrong |= bytes[i] != pattern(end->in + i);
	end->in += weir_lease_len(lease);
	if (end->echo && weir_conn_send_lease(conn, lease, 0, weir_lease_len(lease)))
		weir_conn_pause(conn);
	if (end->pause_at_data)
		weir_conn_pause(conn);
	if (end->abort_at_data)
		weir_conn_abort(conn, -EPROTO);
}

static inline void end_drain(struct weir_conn *conn)
{
	struct end *end = weir_conn_ctx(conn);

	end->drains++;
	if (end->echo)
		weir_conn_resume(conn);
	pump(end);
}

static inline void end_closed(struct weir_conn *conn, int err)
{
	struct end *end = weir_conn_ctx(conn);

	end->closes++;
	end->err = err;
	end->conn = NULL;
}

static const struct weir_conn_ops end_ops = {
	.data	= end_data,
	.drain	= end_drain,
	.closed	= end_closed,
};

/* A loop, a pool, a listener, and what it accepted, in order. */
struct world {
	struct counter counter;
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_listener *listener;
	struct weir_addr addr;
	struct weir_conn_opts opts;	/* of accepted connections */
	uint32_t flags;			/* enum weir_loop_flags, before it is opened */
	uint32_t zc_min_bytes;		/* the same */
	struct end served[ENDS_MAX];
	struct end clients[ENDS_MAX];
	unsigned int accepted;
	unsigned int connected;
	unsigned int failures;
	int failure;
	bool listener_gone;
};

static inline void world_accepted(void *ctx, struct weir_file file)
{
	struct world *world = ctx;
	struct end *end = &world->served[world->accepted++];
	struct weir_conn_opts opts = world->opts;

	end->loop = world->loop;
	opts.ctx = end;
	if (weir_conn_open(&end->conn, world->loop, file, &opts))
		abort();
}

static inline void world_failed(void *ctx, int err)
{
	struct world *world = ctx;

	world->failures++;
	world->failure = err;
}

static inline void world_closed(void *ctx)
{
	struct world *world = ctx;

	world->listener_gone = true;
	world->listener = NULL;
}

static inline int world_listen(struct world *world, uint32_t backlog)
{
	struct weir_listener_opts opts = {
		.sz = sizeof(opts),
		.addr = &world->addr,
		.accepted = world_accepted,
		.failed = world_failed,
		.ctx = world,
		.backlog = backlog,
	};
	int err;

	err = weir_addr_parse(&world->addr, "127.0.0.1:0");
	if (!err)
		err = weir_listener_open(&world->listener, world->loop, &opts);
	if (err)
		return err;
	weir_listener_addr(world->listener, &world->addr);
	weir_listener_start(world->listener);
	return 0;
}

/* 0, -ENOSYS or -EPERM if the backend is refused, or what failed. */
static inline int world_open(struct world *world, const char *backend,
			     const struct weir_sim_opts *sim)
{
	struct weir_pool_opts pool = { .sz = sizeof(pool), .buf_bytes = 4096, .count = 64 };
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = backend, .sim = sim,
		.alloc = &world->counter.alloc, .flags = world->flags,
		.zc_min_bytes = world->zc_min_bytes,
	};
	int err;

	counter_init(&world->counter);
	err = open_variant(&world->loop, &opts);
	if (err)
		return err;
	err = weir_pool_open(&world->pool, world->loop, &pool);
	if (err)
		return err;
	world->opts = (struct weir_conn_opts){
		.sz = sizeof(world->opts), .ops = &end_ops, .pool = world->pool,
	};
	return world_listen(world, 16);
}

/* Everything is given back; 0, or what was not. */
static inline int world_close(struct world *world)
{
	unsigned int i;
	int err;

	for (i = 0; i < ENDS_MAX; i++) {
		if (world->clients[i].conn)
			weir_conn_abort(world->clients[i].conn, 0);
		if (world->served[i].conn)
			weir_conn_abort(world->served[i].conn, 0);
	}
	weir_listener_close(world->listener, world_closed, world);
	err = weir_loop_close(world->loop, LIMIT_NS);
	if (!err)
		err = weir_pool_close(world->pool);
	return err ? err : -(int)world->counter.blocks;
}

/* The plain descriptor, or sim's object, of a file that has one. */
static inline int fd_of(const struct weir_loop *loop, struct weir_file file)
{
	return loop->files[file.index].fd;
}

static inline int set_int(struct weir_loop *loop, int fd, int name, int value)
{
	return loop->sys->setsockopt(loop, fd, SOL_SOCKET, name, &value, sizeof(value));
}

/* Connect to the listener with a plain descriptor, so that options can be set. */
static inline int client_socket(struct world *world, struct weir_file *filep)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int fd;

	if (on_sim(world->loop)) {
		weir_prep_connect(&op, (struct sockaddr *)&world->addr.ss, world->addr.len,
				  seen_done, &seen);
		op_do(world->loop, &op);
		*filep = seen.file;
		return seen.res;
	}
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&world->addr.ss, world->addr.len))
		return -errno;
	return weir_file_adopt(world->loop, fd, filep);
}

/* A client of the listener, with the other end as its peer; or NULL. */
static inline struct end *client_open(struct world *world)
{
	struct end *end = &world->clients[world->connected++];
	struct end *peer = &world->served[world->accepted];
	struct weir_conn_opts opts = world->opts;
	uint64_t limit = real_ns() + LIMIT_NS;
	struct weir_file file;

	opts.ctx = end;
	end->loop = world->loop;
	if (client_socket(world, &file) || weir_conn_open(&end->conn, world->loop, file, &opts))
		return NULL;
	while (!peer->conn) {
		if (real_ns() > limit || run_turn(world->loop))
			return NULL;
	}
	end->peer = peer;
	peer->peer = end;
	return end;
}

/* Small socket buffers, so that a peer that does not read is felt soon. */
static inline int keep_small(struct world *world)
{
	int fd = weir_listener_fd(world->listener);

	if (fd < 0)	/* sim: 64 KiB each, always */
		return 0;
	return set_int(world->loop, fd, SO_SNDBUF, 16 << 10) ||
	       set_int(world->loop, fd, SO_RCVBUF, 16 << 10);
}

/* Nothing is in the pool's debt. */
static inline bool pool_whole(const struct weir_pool *pool)
{
	struct weir_pool_stats stats;

	weir_pool_stats(pool, &stats, sizeof(stats));
	return stats.free == stats.count && !stats.parked;
}

/* In FIXTURE_SETUP: skips if this machine refuses the backend. */
#define WORLD_OPEN(world, backend)						\
	do {									\
		int open_err = world_open(world, backend, NULL);		\
										\
		if (open_err == -ENOSYS || open_err == -EPERM)			\
			SKIP(_exit(KSFT_SKIP), "backend %s is refused here: %s",	\
			     backend, weir_strerror(open_err));			\
		ASSERT_EQ(0, open_err);						\
	} while (0)

/* A fixture that is a world, on each backend. */
#define WORLD_FIXTURE(fixture, variants)					\
	FIXTURE(fixture) { struct world world; };				\
	variants(fixture);							\
	FIXTURE_SETUP(fixture)							\
	{									\
		WORLD_OPEN(&self->world, variant->name);			\
	}									\
	FIXTURE_TEARDOWN(fixture)						\
	{									\
		EXPECT_EQ(0, world_close(&self->world));			\
	}									\
	struct world

/* In a TEST_F of such a fixture. */
#define RUN(cond)	RUN_UNTIL(self->world.loop, cond)

#endif /* TESTS_ENDS_H */
