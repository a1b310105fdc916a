// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The send queue benchmark: what it costs a connection to send a mebibyte in pieces.
 *
 * usage: sendq_bench [--piece BYTES] [--no-bundle] [--backend NAME] [--slow]
 *
 * Sixteen pieces are queued at a time, and taken by a peer in between; with --slow the
 * queue is kept full, and the peer takes 16 KiB a turn out of small buffers. Printed are
 * sends, events and system calls of the loop. What is weir's runs in counted(), for a
 * counter of instructions such as callgrind.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/file.h>
#include <weir/loop.h>
#include <weir/net.h>
#include <weir/pool.h>

#include "base/base.h"

enum {
	TOTAL		= 1 << 20,
	PIECES		= 16,
	BUFFERS		= 64,
	SMALL_BYTES	= 16 << 10,
};

struct bench {
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_conn *conn;
	int peer;
	uint32_t piece;
	uint32_t queued;
	uint32_t taken;
	bool slow;
};

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "sendq_bench: %s: %s\n", what, weir_strerror(err));
	exit(1);
}

static void data(struct weir_conn *conn, struct weir_lease *lease)
{
	die("the peer", -ECONNRESET);
}

static void closed(struct weir_conn *conn, int err)
{
	if (err)
		die("connection", err);
}

static const struct weir_conn_ops conn_ops = { .data = data, .closed = closed };

/* Queue pieces, each a buffer of its own, until the queue or the total is full. */
static void queue(struct bench *bench)
{
	struct weir_lease *lease;
	int i, ret;

	for (i = 0; i < PIECES && bench->queued < TOTAL; i++) {
		if (weir_pool_lease(bench->pool, &lease))
			return;
		ret = weir_conn_send_lease(bench->conn, lease, 0, bench->piece);
		weir_lease_put(lease);
		if (ret < 0)
			die("weir_conn_send_lease", ret);
		bench->queued += bench->piece;
	}
}

/* Not inlined: what is counted is what runs below it. */
static __attribute__((noinline)) void counted(struct bench *bench)
{
	int ret;

	if (!bench->slow || weir_conn_queued(bench->conn) < PIECES * bench->piece)
		queue(bench);
	do {
		ret = weir_loop_run_once(bench->loop, 0);
		if (ret < 0)
			die("weir_loop_run_once", ret);
	} while (weir_conn_queued(bench->conn) && !bench->slow);
}

static void take(struct bench *bench)
{
	static unsigned char bytes[PIECES << 16];
	uint32_t until = bench->slow ? bench->taken + SMALL_BYTES : bench->queued;
	ssize_t n;

	while (bench->taken < until) {
		n = recv(bench->peer, bytes,
			 bench->slow ? until - bench->taken : sizeof(bytes),
			 bench->slow ? MSG_DONTWAIT : 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			die("recv", n ? -errno : -ECONNRESET);
		bench->taken += (uint32_t)n;
	}
}

/* Over loopback: @fds[0] is the peer's. */
static int pair_open(int fds[2], bool slow)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int small = SMALL_BYTES;
	socklen_t len = sizeof(sin);

	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || fds[0] < 0)
		return -errno;
	if (slow && (setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) ||
		     setsockopt(fds[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small))))
		return -errno;
	if (bind(listener, (struct sockaddr *)&sin, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&sin, &len) ||
	    connect(fds[0], (struct sockaddr *)&sin, len))
		return -errno;
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return fds[1] < 0 ? -errno : 0;
}

static void bench_open(struct bench *bench, const char *backend, uint32_t flags)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = backend, .flags = flags };
	struct weir_pool_opts pool = {
		.sz = sizeof(pool), .buf_bytes = bench->piece, .count = 2 * BUFFERS,
		.spare = BUFFERS,
	};
	struct weir_conn_opts conn = {
		.sz = sizeof(conn), .ops = &conn_ops, .high_bytes = INT32_MAX, .low_bytes = 1,
	};
	struct weir_file file;
	int fds[2] = { -1, -1 }, err;

	err = weir_loop_open(&bench->loop, &opts);
	if (!err)
		err = weir_pool_open(&bench->pool, bench->loop, &pool);
	if (!err)
		err = pair_open(fds, bench->slow);
	if (!err)
		err = weir_file_adopt(bench->loop, fds[1], &file);
	conn.pool = bench->pool;
	if (!err)
		err = weir_conn_open(&bench->conn, bench->loop, file, &conn);
	if (err)
		die("setting up", err);
	bench->peer = fds[0];
	/* The receive is armed. */
	err = weir_loop_run_once(bench->loop, 0);
	if (err < 0)
		die("weir_loop_run_once", err);
}

static void report(const struct weir_loop_stats *before, const struct weir_loop_stats *after)
{
	printf("of 1 MiB: sends %" PRIu64 ", of several pieces %" PRIu64 ", bundles %" PRIu64
	       ", events %" PRIu64 ", system calls %" PRIu64 "\n",
	       after->sends - before->sends, after->gathers - before->gathers,
	       after->send_bundles - before->send_bundles, after->events - before->events,
	       after->syscalls - before->syscalls);
}

static void run(struct bench *bench)
{
	struct weir_loop_stats before, after;

	weir_loop_stats(bench->loop, &before, sizeof(before));
	while (bench->taken < TOTAL) {
		counted(bench);
		take(bench);
	}
	weir_loop_stats(bench->loop, &after, sizeof(after));
	report(&before, &after);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "piece", required_argument, NULL, 'p' },
		{ "backend", required_argument, NULL, 'b' },
		{ "no-bundle", no_argument, NULL, 'n' },
		{ "slow", no_argument, NULL, 's' },
		{ 0 },
	};
	struct bench bench = { .piece = 1024 };
	const char *backend = "uring";
	uint32_t flags = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 'p':
			bench.piece = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 'b':
			backend = optarg;
			break;
		case 'n':
			flags = WEIR_LOOP_NO_BUNDLE;
			break;
		case 's':
			bench.slow = true;
			break;
		default:
			return 2;
		}
	}
	if (bench.piece < WEIR_POOL_BUF_MIN || bench.piece > 1 << 16 ||
	    bench.piece & (bench.piece - 1)) {
		fprintf(stderr, "sendq_bench: --piece is a power of two, 64 to 65536\n");
		return 2;
	}
	bench_open(&bench, backend, flags);
	run(&bench);
	weir_conn_abort(bench.conn, 0);
	close(bench.peer);
	if (weir_loop_close(bench.loop, NSEC_PER_SEC) || weir_pool_close(bench.pool))
		die("closing", -EBUSY);
	return 0;
}
