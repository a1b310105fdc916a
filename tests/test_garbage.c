// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_garbage.c - every operation on every kind of file, fit or not: what it comes
 * to is the same on every backend
 *
 * On epoll it is what the system calls say. The others are held against that; where
 * a kernel differs from itself, the table of exceptions says so with the reason.
 */
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "garbage.h"
#include "lean.h"
#include "kselftest_harness.h"

enum { WAITS = INT_MAX };	/* instead of a result: it did not end by itself */

/* One operation on one file, and what it works with. */
struct cell {
	struct weir_op op;
	struct seen seen;
	struct weir_file file;
	struct weir_file in, out;	/* the ends of a pipe with 16 bytes, for splices */
	struct world *world;
	char buf[16];
	struct iovec iov[2];
	struct msghdr msg;
	struct statx st;
	struct sockaddr_in addr;
	int value;
};

#define PREP(cell, prep, ...) \
	prep(&(cell)->op, (cell)->file, ##__VA_ARGS__, seen_done, &(cell)->seen)

static void on_read(struct cell *c)
{
	PREP(c, weir_prep_read, c->buf, 4, 0);
}

static void on_read_none(struct cell *c)
{
	PREP(c, weir_prep_read, c->buf, 0, 0);
}

static void on_read_at(struct cell *c)
{
	PREP(c, weir_prep_read, c->buf, 4, 2);
}

static void on_readv(struct cell *c)
{
	PREP(c, weir_prep_readv, c->iov, 2, 0);
}

static void on_read_pool(struct cell *c)
{
	PREP(c, weir_prep_read_pool, c->world->pool);
}

static void on_write(struct cell *c)
{
	PREP(c, weir_prep_write, c->buf, 4, 0);
}

static void on_write_at(struct cell *c)
{
	PREP(c, weir_prep_write, c->buf, 4, 2);
}

static void on_write_none(struct cell *c)
{
	PREP(c, weir_prep_write, c->buf, 0, 0);
}

static void on_write_8(struct cell *c)
{
	PREP(c, weir_prep_write, c->buf, 8, 0);
}

static void on_writev(struct cell *c)
{
	PREP(c, weir_prep_writev, c->iov, 2, 0);
}

static void on_recv(struct cell *c)
{
	PREP(c, weir_prep_recv, c->buf, 4);
}

static void on_recv_none(struct cell *c)
{
	PREP(c, weir_prep_recv, c->buf, 0);
}

static void on_recv_pool(struct cell *c)
{
	PREP(c, weir_prep_recv_pool, c->world->pool);
}

static void on_recvmsg(struct cell *c)
{
	PREP(c, weir_prep_recvmsg, &c->msg, 0);
}

static void on_send(struct cell *c)
{
	PREP(c, weir_prep_send, c->buf, 4);
}

static void on_send_none(struct cell *c)
{
	PREP(c, weir_prep_send, c->buf, 0);
}

static void on_sendmsg(struct cell *c)
{
	PREP(c, weir_prep_sendmsg, &c->msg, 0);
}

static void on_poll(struct cell *c)
{
	PREP(c, weir_prep_poll, POLLIN | POLLOUT);
}

static void on_poll_in(struct cell *c)
{
	PREP(c, weir_prep_poll, POLLIN);
}

static void on_poll_none(struct cell *c)
{
	PREP(c, weir_prep_poll, 0);
}

static void on_poll_multi(struct cell *c)
{
	PREP(c, weir_prep_poll_multi, POLLPRI);
}

static void on_accept(struct cell *c)
{
	PREP(c, weir_prep_accept_once);
}

static void on_connect(struct cell *c)
{
	PREP(c, weir_prep_connect_file, (struct sockaddr *)&c->world->server.addr,
	     sizeof(c->addr));
}

static void on_bind(struct cell *c)
{
	PREP(c, weir_prep_bind, (struct sockaddr *)&c->addr, sizeof(c->addr));
}

static void on_listen(struct cell *c)
{
	PREP(c, weir_prep_listen, 1);
}

static void on_shutdown(struct cell *c)
{
	PREP(c, weir_prep_shutdown, SHUT_RDWR);
}

static void on_shutdown_bad(struct cell *c)
{
	PREP(c, weir_prep_shutdown, 99);
}

static void on_getsockopt(struct cell *c)
{
	PREP(c, weir_prep_getsockopt, SOL_SOCKET, SO_REUSEADDR, &c->value, sizeof(c->value));
}

static void on_getsockopt_tcp(struct cell *c)
{
	PREP(c, weir_prep_getsockopt, IPPROTO_TCP, TCP_NODELAY, &c->value, sizeof(c->value));
}

static void on_setsockopt(struct cell *c)
{
	PREP(c, weir_prep_setsockopt, SOL_SOCKET, SO_REUSEADDR, &c->value, sizeof(c->value));
}

static void on_fsync(struct cell *c)
{
	PREP(c, weir_prep_fsync);
}

static void on_ftruncate(struct cell *c)
{
	PREP(c, weir_prep_ftruncate, 0);
}

static void on_fallocate(struct cell *c)
{
	PREP(c, weir_prep_fallocate, 0, 0, 4096);
}

static void on_fadvise(struct cell *c)
{
	PREP(c, weir_prep_fadvise, 0, 0, 0);
}

static void on_fadvise_bad(struct cell *c)
{
	PREP(c, weir_prep_fadvise, 0, 0, 999);
}

static void on_fstatx(struct cell *c)
{
	PREP(c, weir_prep_fstatx, STATX_BASIC_STATS, &c->st);
}

static void on_splice_from(struct cell *c)
{
	weir_prep_splice(&c->op, c->file, -1, c->in, -1, 4, 0, seen_done, &c->seen);
}

static void on_splice_to(struct cell *c)
{
	weir_prep_splice(&c->op, c->out, -1, c->file, -1, 4, 0, seen_done, &c->seen);
}

static void on_splice_at(struct cell *c)
{
	weir_prep_splice(&c->op, c->file, 2, c->in, -1, 4, 0, seen_done, &c->seen);
}

static void on_install(struct cell *c)
{
	PREP(c, weir_prep_install);
}

static void on_close(struct cell *c)
{
	PREP(c, weir_prep_close);
}

static const struct action {
	const char *name;
	void (*prep)(struct cell *cell);
} actions[] = {
	{ "read", on_read },
	{ "read of nothing", on_read_none },
	{ "read at an offset", on_read_at },
	{ "readv", on_readv },
	{ "read into a pool", on_read_pool },
	{ "write", on_write },
	{ "write at an offset", on_write_at },
	{ "write of nothing", on_write_none },
	{ "write of 8 bytes", on_write_8 },
	{ "writev", on_writev },
	{ "recv", on_recv },
	{ "recv of nothing", on_recv_none },
	{ "recv into a pool", on_recv_pool },
	{ "recvmsg", on_recvmsg },
	{ "send", on_send },
	{ "send of nothing", on_send_none },
	{ "sendmsg", on_sendmsg },
	{ "poll", on_poll },
	{ "poll for data", on_poll_in },
	{ "poll for nothing", on_poll_none },
	{ "poll again and again", on_poll_multi },
	{ "accept", on_accept },
	{ "connect", on_connect },
	{ "bind", on_bind },
	{ "listen", on_listen },
	{ "shutdown", on_shutdown },
	{ "shutdown of no end", on_shutdown_bad },
	{ "getsockopt", on_getsockopt },
	{ "getsockopt of TCP", on_getsockopt_tcp },
	{ "setsockopt", on_setsockopt },
	{ "fsync", on_fsync },
	{ "ftruncate", on_ftruncate },
	{ "fallocate", on_fallocate },
	{ "fadvise", on_fadvise },
	{ "fadvise of no kind", on_fadvise_bad },
	{ "fstatx", on_fstatx },
	{ "splice from it", on_splice_from },
	{ "splice to it", on_splice_to },
	{ "splice from an offset", on_splice_at },
	{ "install", on_install },
	{ "close", on_close },
};

enum { ACTIONS = ARRAY_SIZE(actions) };

static const char no_call[] = "io_uring does not call the file for no bytes";
static const char no_edge[] = "io_uring waits for an edge before it calls what cannot be called";
static const char two_faults[] = "io_uring looks for the other one first";
static const char no_slot[] = "before Linux 6.8 a slot gets no descriptor";

/* Where a kernel differs from its own system calls, or a backend from the others. */
static const struct exception {
	const char *backend;
	const char *kind;
	const char *action;
	int want;
	const char *why;
} exceptions[] = {
	{ "uring", "directory", "read of nothing", 0, no_call },
	{ "uring", "eventfd", "write of nothing", 0, no_call },
	{ "uring", "epoll set", "read", WAITS, no_edge },
	{ "uring", "epoll set", "read of nothing", WAITS, no_edge },
	{ "uring", "epoll set", "readv", WAITS, no_edge },
	{ "uring", "epoll set", "read into a pool", WAITS, no_edge },
	{ "uring", "epoll set", "write", WAITS, no_edge },
	{ "uring", "epoll set", "write of nothing", WAITS, no_edge },
	{ "uring", "epoll set", "write of 8 bytes", WAITS, no_edge },
	{ "uring", "epoll set", "writev", WAITS, no_edge },
	{ "uring", "epoll set", "read at an offset", WAITS, no_edge },
	{ "uring", "epoll set", "write at an offset", WAITS, no_edge },
	{ "uring", "pipe's writing end", "splice from an offset", -EBADF, two_faults },
	{ "old", "socket that", "bind", -EOPNOTSUPP, no_slot },
	{ "old", "socket that", "listen", -EOPNOTSUPP, no_slot },
	{ "old", "socket that", "getsockopt", -EOPNOTSUPP, no_slot },
	{ "old", "socket that", "getsockopt of TCP", -EOPNOTSUPP, no_slot },
	{ "old", "socket that", "setsockopt", -EOPNOTSUPP, no_slot },
	{ "old", "socket that", "ftruncate", -EOPNOTSUPP, no_slot },
	{ "old", "socket that", "fstatx", -EOPNOTSUPP, no_slot },
	{ "old", "socket that", "install", -EOPNOTSUPP, no_slot },
};

static void fill(struct cell *cell)
{
	cell->iov[0] = (struct iovec){ cell->buf, 3 };
	cell->iov[1] = (struct iovec){ cell->buf + 8, 1 };
	cell->msg.msg_iov = cell->iov;
	cell->msg.msg_iovlen = 2;
	cell->addr.sin_family = AF_INET;
	cell->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

/* A descriptor that it ended with is closed: its number says nothing. */
static int outcome(struct weir_loop *loop, const struct cell *cell)
{
	int res = cell->seen.res;

	if (cell->seen.origin == WEIR_ORIGIN_DEADLINE)
		return WAITS;
	if (cell->op.opcode != WEIR_OP_INSTALL || res < 0)
		return res;
	loop->sys->close(loop, res);
	return 0;
}

static int pipe_for(struct world *w, struct cell *cell)
{
	int err = weir_pipe_open(w->loop, &cell->out, &cell->in);

	if (err)
		return err;
	err = keep(w, cell->out);
	if (!err)
		err = keep(w, cell->in);
	return err ? err : do_write(w->loop, cell->in, cell->buf, 16, 0) - 16;
}

/* All operations at once, each on a file of its own of that kind. 0 or -errno. */
static int try_all(struct world *w, const struct kind *kind, uint64_t wait_ns,
		   int *results)
{
	static struct cell cells[ACTIONS];
	unsigned int i;
	uint64_t now;
	int err = 0;

	memset(cells, 0, sizeof(cells));
	for (i = 0; i < ACTIONS && !err; i++) {
		fill(&cells[i]);
		cells[i].world = w;
		err = kind->make(w, &cells[i].file);
		actions[i].prep(&cells[i]);
		if (!err && cells[i].op.opcode == WEIR_OP_SPLICE)
			err = pipe_for(w, &cells[i]);
	}
	now = w->loop->sys->now(w->loop);	/* not that of its last turn */
	for (i = 0; i < ACTIONS && !err; i++) {
		actions[i].prep(&cells[i]);
		if (cells[i].op.opcode != WEIR_OP_CLOSE)
			cells[i].op.deadline_ns = now + wait_ns;
		weir_submit(w->loop, &cells[i].op);
	}
	for (i = 0; i < ACTIONS && !err; i++) {
		while (weir_op_busy(&cells[i].op) && !err)
			err = run_turn(w->loop);
		results[i] = outcome(w->loop, &cells[i]);
		if (!err && cells[i].op.opcode != WEIR_OP_CLOSE)
			err = do_close(w->loop, cells[i].file);
	}
	return err ? err : close_kept(w);
}

static const struct exception *exception_of(const char *backend, unsigned int kind,
					    unsigned int action)
{
	bool is_ring = !strcmp(lean_backend(backend), "uring");
	size_t i;

	for (i = 0; i < ARRAY_SIZE(exceptions); i++) {
		const struct exception *e = &exceptions[i];

		if ((!strcmp(e->backend, backend) ||
		     (is_ring && !strcmp(e->backend, "uring"))) &&
		    strstr(kinds[kind].name, e->kind) &&
		    !strcmp(e->action, actions[action].name))
			return e;
	}
	return NULL;
}

FIXTURE(garbage)
{
	struct world same, world;
};

FIXTURE_VARIANT(garbage)
{
	const char *name;
};

FIXTURE_VARIANT_ADD(garbage, sim) { .name = "sim" };
URING_VARIANT(garbage);
REFUSED_VARIANT(garbage);
LEAN_VARIANT(garbage, old);
LEAN_VARIANT(garbage, bare);

FIXTURE_SETUP(garbage)
{
	int err;

	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, world_open(&self->same, "epoll"));
	err = world_open(&self->world, lean_backend(variant->name));
	if (err == -ENOSYS || err == -EPERM)
		SKIP(_exit(KSFT_SKIP), "backend %s is refused here", variant->name);
	ASSERT_EQ(0, err);
}

FIXTURE_TEARDOWN(garbage)
{
	EXPECT_EQ(0, world_close(&self->world));
	EXPECT_EQ(0, world_close(&self->same));
}

/* How many answers are not as they should be; told of each if @tell. */
static unsigned int compare(struct __test_metadata *_metadata, const char *backend,
			    unsigned int kind, const int *same, const int *got, bool tell)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < ACTIONS; i++) {
		const struct exception *e = exception_of(backend, kind, i);

		if (got[i] == (e ? e->want : same[i]))
			continue;
		wrong++;
		if (!tell)
			continue;
		TH_LOG("%s of a %s: %d, epoll: %d (%s)", actions[i].name, kinds[kind].name,
		       got[i], same[i], e ? e->why : "");
	}
	return wrong;
}

/* What does not end by itself is given time; on a busy machine more. */
TEST_F_TIMEOUT(garbage, is_answered_in_the_same_way, 110)
{
	static const uint64_t waits_ns[] = {
		100 * NSEC_PER_MSEC, 2 * NSEC_PER_SEC, 8 * NSEC_PER_SEC,
	};
	int same[ACTIONS], got[ACTIONS];
	unsigned int kind, i, wrong;

	for (kind = 0; kind < KINDS; kind++) {
		if (on_sim(self->world.loop) && !kinds[kind].sim)
			continue;
		for (i = 0, wrong = 1; i < ARRAY_SIZE(waits_ns) && wrong; i++) {
			ASSERT_EQ(0, try_all(&self->same, &kinds[kind], waits_ns[i], same));
			ASSERT_EQ(0, try_all(&self->world, &kinds[kind], waits_ns[i], got));
			wrong = compare(_metadata, variant->name, kind, same, got,
					i == ARRAY_SIZE(waits_ns) - 1);
		}
		ASSERT_EQ(0, wrong);
	}
}

TEST_HARNESS_MAIN
