// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The receive benchmark: what a megabyte of a stream costs that is received from a
 * pool, by the way its buffers are filled.
 *
 * single: a completion brings one buffer of 4 KiB. bundle: it brings several, where
 * the kernel can. pieces: buffers of 64 KiB, filled one message behind the other.
 *
 * usage: recv_bench [--mib N] [--burst BYTES] [--only single|bundle|pieces]
 *
 * Sender and receiver are one thread: a burst is sent over loopback, and the loop runs
 * until it is there. With --only, a counter of instructions such as callgrind is told
 * to collect in weir_loop_run_once().
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/file.h>
#include <weir/loop.h>
#include <weir/pool.h>

#include "base/base.h"

enum { BURST_MAX = 1 << 20, MIB = 1 << 20 };

static const struct way {
	const char *name;
	uint32_t loop_flags;
	uint32_t pool_flags;
	uint32_t buf_bytes;
	uint32_t count;
} ways[] = {
	{ "single", WEIR_LOOP_NO_BUNDLE, 0, 4096, 1024 },
	{ "bundle", 0, 0, 4096, 1024 },
	{ "pieces", 0, WEIR_POOL_INCREMENTAL, 65536, 64 },
};

static const uint32_t bursts[] = { 100, 4096, 16384, 65536, 262144 };

struct run {
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_op recv;
	uint64_t bytes;
	int err;
	int peer;
};

static char text[BURST_MAX];

static _Noreturn void die(const char *what, int err)
{
	fprintf(stderr, "recv_bench: %s: %s\n", what, weir_strerror(err));
	exit(1);
}

static void received(struct weir_op *op)
{
	struct run *run = op->ctx;

	if (op->res > 0)
		run->bytes += (uint32_t)op->res;
	if (!op->more)
		run->err = op->res < 0 ? op->res : -EPIPE;
}

/* A connection over loopback: *@peerp and the descriptor returned are its ends. */
static int connection(int *peerp)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(addr);
	int fd;

	*peerp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || *peerp < 0 || bind(listener, (struct sockaddr *)&addr, len) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&addr, &len) ||
	    connect(*peerp, (struct sockaddr *)&addr, len))
		return -errno;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return fd;
}

static void run_open(struct run *run, const struct way *way)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = "uring", .flags = way->loop_flags,
	};
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = way->buf_bytes, .count = way->count,
		.flags = way->pool_flags,
	};
	struct weir_file file;
	int err, fd;

	err = weir_loop_open(&run->loop, &opts);
	if (!err)
		err = weir_pool_open(&run->pool, run->loop, &shape);
	if (err)
		die(way->name, err);
	fd = connection(&run->peer);
	err = fd < 0 ? -errno : weir_file_adopt(run->loop, fd, &file);
	if (err)
		die("connection", err);
	weir_prep_recv_pool(&run->recv, file, run->pool, received, run);
	weir_submit(run->loop, &run->recv);
}

/* All of @bytes in bursts, each of which is waited for. */
static void stream(struct run *run, uint64_t bytes, uint32_t burst)
{
	uint64_t sent = run->bytes, end = sent + bytes;

	while (sent < end) {
		ssize_t n = send(run->peer, text, burst, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			die("send", -errno);
		sent += n > 0 ? (uint64_t)n : 0;
		while (run->bytes < sent) {
			int err = weir_loop_run_once(run->loop, 1000000000);

			if (err < 0 || run->err)
				die("receive", err < 0 ? err : run->err);
		}
	}
}

static void measure(const struct way *way, uint64_t mib, uint32_t burst)
{
	struct weir_loop_stats before, after;
	struct run run = { 0 };
	double per = (double)mib;

	run_open(&run, way);
	stream(&run, burst, burst);
	weir_loop_stats(run.loop, &before, sizeof(before));
	stream(&run, mib * MIB, burst);
	weir_loop_stats(run.loop, &after, sizeof(after));
	after.recvs -= before.recvs;
	printf("%-8s %8" PRIu32 " %10.1f %12.1f %12.1f\n", way->name, burst,
	       (double)after.recvs / per,
	       (double)(after.recvs - (after.bundled - before.bundled)) / per,
	       (double)(after.syscalls - before.syscalls) / per);
	if (weir_loop_close(run.loop, 1000000000) || weir_pool_close(run.pool))
		die("close", -EBUSY);
	close(run.peer);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mib", required_argument, NULL, 'm' },
		{ "burst", required_argument, NULL, 'b' },
		{ "only", required_argument, NULL, 'o' },
		{ 0 },
	};
	uint64_t mib = 16, burst = 0;
	const char *only = NULL;
	size_t i, j, runs = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'm')
			mib = strtoull(optarg, NULL, 0);
		else if (opt == 'b')
			burst = strtoull(optarg, NULL, 0);
		else if (opt == 'o')
			only = optarg;
		else
			return 2;
	}
	if (!mib || mib > 1 << 20 || burst > BURST_MAX)
		die("--mib or --burst", -ERANGE);
	printf("FILLED   BURST      LEASES/MiB  COMPL./MiB  SYSCALLS/MiB\n");
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		for (j = 0; j < (burst ? 1 : ARRAY_SIZE(bursts)); j++) {
			if (only && strcmp(only, ways[i].name))
				continue;
			measure(&ways[i], mib, burst ? (uint32_t)burst : bursts[j]);
			runs++;
		}
	}
	return runs ? 0 : 2;
}
