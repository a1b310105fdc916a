// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The kinds of operations that the ops benchmark counts. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/file.h>

#include "bench/ops_kinds.h"

#define BUF_BYTES	64
#define BUFS		128

static int adopt(struct ops_run *run, int fd)
{
	return fd < 0 ? -errno : weir_file_adopt(run->loop, fd, &run->file);
}

/* A connection over the loopback. */
static int pair_open(struct ops_run *run)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err = 0;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || fd < 0 || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len))
		err = -errno;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!err && connect(fd, (struct sockaddr *)&addr, len))
		err = -errno;
	if (!err) {
		run->peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		err = run->peer < 0 ? -errno : 0;
	}
	close(listener);
	if (!err)
		return adopt(run, fd);
	close(fd);
	return err;
}

static int pool_open(struct ops_run *run)
{
	struct weir_pool_opts opts = {
		.sz = sizeof(opts), .buf_bytes = BUF_BYTES, .count = BUFS, .low = 1, .spare = 1,
	};
	int err = weir_pool_open(&run->pool, run->loop, &opts);

	return err ? err : pair_open(run);
}

static int event_open(struct ops_run *run)
{
	return adopt(run, eventfd(1, EFD_CLOEXEC));
}

static int memory_open(struct ops_run *run)
{
	int fd = memfd_create("weir-bench", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, BUF_BYTES)) {
		close(fd);
		return -errno;
	}
	return adopt(run, fd);
}

static int listener_open(struct ops_run *run)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && listen(fd, OPS_DEPTH_MAX)) {
		close(fd);
		return -errno;
	}
	return adopt(run, fd);
}

/* A chunk of bytes for the other end to receive. */
static int bytes_feed(struct ops_run *run)
{
	char bytes[BUF_BYTES * BUFS] = { 0 };
	size_t want = run->kind->multi ? (size_t)run->kind->chunk * BUF_BYTES : run->kind->chunk;
	ssize_t n = write(run->peer, bytes, want);

	return n == (ssize_t)want ? 0 : -EIO;
}

/* Take away what the chunk before left. */
static int bytes_drain(struct ops_run *run)
{
	char bytes[4096];

	while (recv(run->peer, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	return errno == EAGAIN ? 0 : -errno;
}

/* As many clients as a chunk, in the backlog; those of the chunk before go. */
static int clients_feed(struct ops_run *run)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	unsigned int i;

	if (getsockname(weir_file_fd(run->loop, run->file), (struct sockaddr *)&addr, &len))
		return -errno;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < run->kind->chunk; i++) {
		if (run->clients[i] >= 0)
			close(run->clients[i]);
		run->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (run->clients[i] < 0 || connect(run->clients[i], (struct sockaddr *)&addr, len))
			return -errno;
	}
	return 0;
}

static void nop_prep(struct ops_run *run, struct weir_op *op)
{
	weir_prep_nop(op, ops_done, run);
}

static void timeout_prep(struct ops_run *run, struct weir_op *op)
{
	weir_prep_timeout(op, 1, ops_done, run);
}

static void poll_prep(struct ops_run *run, struct weir_op *op)
{
	weir_prep_poll(op, run->file, POLLIN, ops_done, run);
}

static void recv_prep(struct ops_run *run, struct weir_op *op)
{
	weir_prep_recv(op, run->file, run->buf, 1, ops_done, run);
}

static void recv_pool_prep(struct ops_run *run, struct weir_op *op)
{
	weir_prep_recv_pool(op, run->file, run->pool, ops_done, run);
}

static void send_prep(struct ops_run *run, struct weir_op *op)
{
	weir_prep_send(op, run->file, run->buf, 1, ops_done, run);
}

static void read_prep(struct ops_run *run, struct weir_op *op)
{
	weir_prep_read(op, run->file, run->buf, sizeof(run->buf), 0, ops_done, run);
}

static void write_prep(struct ops_run *run, struct weir_op *op)
{
	weir_prep_write(op, run->file, run->buf, sizeof(run->buf), 0, ops_done, run);
}

static void accept_prep(struct ops_run *run, struct weir_op *op)
{
	weir_prep_accept(op, run->file, OPS_DEPTH_MAX, ops_done, run);
}

const struct ops_kind ops_kinds[] = {
	{ .name = "nop", .prep = nop_prep },
	{ .name = "timeout", .prep = timeout_prep },
	{ .name = "poll", .open = event_open, .prep = poll_prep },
	{ .name = "recv", .chunk = 4096, .open = pair_open, .feed = bytes_feed,
	  .prep = recv_prep },
	{ .name = "recv_pool", .chunk = 64, .multi = true, .open = pool_open, .feed = bytes_feed,
	  .prep = recv_pool_prep },
	{ .name = "send", .chunk = 128, .open = pair_open, .feed = bytes_drain,
	  .prep = send_prep },
	{ .name = "read", .open = memory_open, .prep = read_prep },
	{ .name = "write", .open = memory_open, .prep = write_prep },
	{ .name = "accept", .chunk = OPS_DEPTH_MAX, .multi = true, .open = listener_open,
	  .feed = clients_feed, .prep = accept_prep },
	{ }
};
