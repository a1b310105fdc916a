/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * garbage.h - files of many kinds, each made anew for an operation that may not
 * fit it
 */
#ifndef TESTS_GARBAGE_H
#define TESTS_GARBAGE_H

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include "socks.h"

struct world {
	struct weir_loop *loop;
	struct server server;
	struct weir_pool *pool;
	char path[64];
	struct weir_file kept[256];	/* the other ends */
	unsigned int kept_count;
};

static inline int keep(struct world *w, struct weir_file file)
{
	if (w->kept_count == ARRAY_SIZE(w->kept))
		return -ENOSPC;
	w->kept[w->kept_count++] = file;
	return 0;
}

static inline int adopt(struct world *w, int fd, struct weir_file *filep)
{
	return fd < 0 ? -errno : weir_file_adopt(w->loop, fd, filep);
}

/* A file of its own with 16 bytes, and no name any more. */
static inline int open_with(struct world *w, int flags, struct weir_file *filep)
{
	const struct io_sys *sys = w->loop->sys;
	int fd = sys->open(w->loop, w->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return fd;
	err = sys->write(w->loop, fd, "0123456789abcdef", 16, 0);
	sys->close(w->loop, fd);
	if (err == 16)
		err = weir_file_open(w->loop, w->path, flags, 0, filep);
	sys->unlink(w->loop, w->path, 0);
	return err;
}

static inline int make_file(struct world *w, struct weir_file *filep)
{
	return open_with(w, O_RDWR, filep);
}

static inline int make_read_only(struct world *w, struct weir_file *filep)
{
	return open_with(w, O_RDONLY, filep);
}

static inline int make_write_only(struct world *w, struct weir_file *filep)
{
	return open_with(w, O_WRONLY, filep);
}

static inline int make_directory(struct world *w, struct weir_file *filep)
{
	return weir_file_open(w->loop, "/tmp", O_RDONLY | O_DIRECTORY, 0, filep);
}

static inline int make_pipe_out(struct world *w, struct weir_file *filep)
{
	struct weir_file other;
	int err = weir_pipe_open(w->loop, filep, &other);

	return err ? err : keep(w, other);
}

static inline int make_pipe_in(struct world *w, struct weir_file *filep)
{
	struct weir_file other;
	int err = weir_pipe_open(w->loop, &other, filep);

	return err ? err : keep(w, other);
}

static inline int make_socket(struct world *w, struct weir_file *filep)
{
	return do_socket(w->loop, AF_INET, SOCK_STREAM, filep);
}

static inline int make_udp(struct world *w, struct weir_file *filep)
{
	return do_socket(w->loop, AF_INET, SOCK_DGRAM, filep);
}

static inline int make_listener(struct world *w, struct weir_file *filep)
{
	struct sockaddr_in addr;

	return listener_open(w->loop, 4, filep, &addr);
}

static inline int make_client(struct world *w, struct weir_file *filep)
{
	struct weir_file other;
	int err = pair_open(w->loop, &w->server, filep, &other);

	return err ? err : keep(w, other);
}

static inline int make_accepted(struct world *w, struct weir_file *filep)
{
	struct weir_file other;
	int err = pair_open(w->loop, &w->server, &other, filep);

	return err ? err : keep(w, other);
}

static inline int make_unix(struct world *w, struct weir_file *filep, int type)
{
	struct weir_file other;
	int pair[2], err;

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair))
		return -errno;
	err = adopt(w, pair[0], filep);
	if (!err)
		err = adopt(w, pair[1], &other);
	return err ? err : keep(w, other);
}

static inline int make_unix_stream(struct world *w, struct weir_file *filep)
{
	return make_unix(w, filep, SOCK_STREAM);
}

static inline int make_unix_dgram(struct world *w, struct weir_file *filep)
{
	return make_unix(w, filep, SOCK_DGRAM);
}

static inline int make_eventfd(struct world *w, struct weir_file *filep)
{
	return adopt(w, eventfd(0, EFD_CLOEXEC), filep);
}

static inline int make_timerfd(struct world *w, struct weir_file *filep)
{
	return adopt(w, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), filep);
}

static inline int make_epoll(struct world *w, struct weir_file *filep)
{
	return adopt(w, epoll_create1(EPOLL_CLOEXEC), filep);
}

static inline int make_path(struct world *w, struct weir_file *filep)
{
	return adopt(w, open("/tmp", O_PATH | O_CLOEXEC), filep);
}

static inline int make_null(struct world *w, struct weir_file *filep)
{
	return adopt(w, open("/dev/null", O_RDWR | O_CLOEXEC), filep);
}

/* @sim: its kernel has them too */
static const struct kind {
	const char *name;
	int (*make)(struct world *w, struct weir_file *filep);
	bool sim;
} kinds[] = {
	{ "file", make_file, true },
	{ "read-only file", make_read_only, true },
	{ "write-only file", make_write_only, true },
	{ "directory", make_directory, true },
	{ "pipe's reading end", make_pipe_out, true },
	{ "pipe's writing end", make_pipe_in, true },
	{ "fresh socket", make_socket, true },
	{ "fresh UDP socket", make_udp, true },
	{ "listener", make_listener, true },
	{ "socket that connected", make_client, true },
	{ "socket that was accepted", make_accepted, true },
	{ "Unix stream", make_unix_stream, false },
	{ "Unix datagram socket", make_unix_dgram, false },
	{ "eventfd", make_eventfd, false },
	{ "timerfd", make_timerfd, false },
	{ "epoll set", make_epoll, false },
	{ "O_PATH", make_path, false },
	{ "/dev/null", make_null, false },
};

enum { KINDS = ARRAY_SIZE(kinds) };

static inline int world_open(struct world *w, const char *backend)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = backend, .files_max = 256 };
	struct weir_pool_opts shape = { .sz = sizeof(shape), .buf_bytes = 256, .count = 256 };
	int err = open_variant(&w->loop, &opts);

	if (err)
		return err;
	snprintf(w->path, sizeof(w->path), "/tmp/weir-test-garbage-%d", (int)getpid());
	unlink(w->path);	/* one that was killed had this number before */
	err = weir_pool_open(&w->pool, w->loop, &shape);
	return err ? err : server_open(w->loop, &w->server, 64);
}

static inline int close_kept(struct world *w)
{
	int err = 0;

	while (w->kept_count && !err)
		err = do_close(w->loop, w->kept[--w->kept_count]);
	return err;
}

static inline int world_close(struct world *w)
{
	int err = close_kept(w);

	if (!err)
		err = do_close(w->loop, w->server.file);
	if (!err)
		err = weir_pool_close(w->pool);
	return err ? err : weir_loop_close(w->loop, LIMIT_NS);
}

#endif /* TESTS_GARBAGE_H */
