// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_pipe.c - pipes of the in-memory kernel, and splicing
 *
 * What is in a pipe stands in the ring of its reading end. Spliced bytes are
 * copied: who splices cannot tell.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "io/sim_fs.h"

enum {
	SPLICE_FLAGS	= SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT,
};

static bool is_reader(const struct sim_obj *obj)
{
	return (obj->flags & O_ACCMODE) == O_RDONLY;
}

static struct sim_obj *other_end(const struct sim *sim, const struct sim_obj *obj)
{
	return obj->peer == SIM_NONE ? NULL : &sim->objs[obj->peer];
}

int sim_pipe(struct weir_loop *loop, int fds[2])
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *rd, *wr;

	rd = sim_obj_new(sim, SIM_PIPE, false);
	if (!rd)
		return -EMFILE;
	wr = sim_obj_new(sim, SIM_PIPE, false);
	if (!wr) {
		sim_obj_put(sim, rd);
		return -EMFILE;
	}
	rd->peer = sim_obj_index(sim, wr);
	rd->flags = O_RDONLY;
	wr->peer = sim_obj_index(sim, rd);
	wr->flags = O_WRONLY;
	fds[0] = sim_obj_fd(sim, rd);
	fds[1] = sim_obj_fd(sim, wr);
	return 0;
}

void sim_pipe_close(struct sim *sim, struct sim_obj *obj)
{
	struct sim_obj *other = other_end(sim, obj);

	if (!other)
		return;
	other->peer = SIM_NONE;
	sim_edge(sim, other);
}

uint32_t sim_pipe_mask(const struct sim *sim, const struct sim_obj *obj)
{
	const struct sim_obj *other = other_end(sim, obj);

	if (is_reader(obj))
		return (obj->len ? POLLIN : 0U) | (other ? 0U : POLLHUP);
	if (!other)
		return POLLOUT | POLLERR;
	/* As Linux has it: with room for a write that must be whole. */
	return sim->socket_bytes - other->len >= min_u32(PIPE_BUF, sim->socket_bytes) ?
	       POLLOUT : 0;
}

static void pipe_take(struct sim *sim, struct sim_obj *rd, uint32_t len)
{
	struct sim_obj *wr = other_end(sim, rd);

	sim_ring_drop(sim, rd, len);
	if (wr && wr->nospace && sim_pipe_mask(sim, wr) & POLLOUT) {
		wr->nospace = false;
		sim_edge(sim, wr);
	}
}

static void pipe_put(struct sim *sim, struct sim_obj *wr, const struct msghdr *msg, uint32_t len)
{
	struct sim_obj *rd = other_end(sim, wr);

	sim_ring_put(sim, rd, msg, len);
	sim_edge(sim, rd);
}

/* How much can be read: 0 at the end, or -errno. */
static int readable(const struct sim *sim, const struct sim_obj *obj)
{
	if (!is_reader(obj))
		return -EBADF;
	if (!obj->len)
		return other_end(sim, obj) ? -EAGAIN : 0;
	return (int)obj->len;
}

/* How much can be written, or -errno. */
static int writable(const struct sim *sim, struct sim_obj *obj)
{
	const struct sim_obj *rd = other_end(sim, obj);

	if (is_reader(obj))
		return -EBADF;
	if (!rd)
		return -EPIPE;
	if (rd->len < sim->socket_bytes)
		return (int)(sim->socket_bytes - rd->len);
	obj->nospace = true;
	return -EAGAIN;
}

int sim_pipe_read(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg, uint32_t len)
{
	int ret = readable(sim, obj);

	if (!len)
		return ret == -EBADF ? ret : 0;
	if (ret <= 0)
		return ret;
	len = sim_cut(sim, min_u32(len, (uint32_t)ret));
	sim_ring_peek(sim, obj, msg, len);
	pipe_take(sim, obj, len);
	return (int)len;
}

int sim_pipe_write(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg, uint32_t len)
{
	int ret = writable(sim, obj);

	if (!len)
		return ret < 0 && ret != -EAGAIN ? ret : 0;
	if (ret < 0)
		return ret;
	/* Not more than PIPE_BUF is written whole, or waits: pipe(7). */
	if (len > PIPE_BUF || len > sim->socket_bytes) {
		len = sim_cut(sim, min_u32(len, (uint32_t)ret));
	} else if (len > (uint32_t)ret) {
		obj->nospace = true;
		return -EAGAIN;
	}
	pipe_put(sim, obj, msg, len);
	return (int)len;
}

/* splice */

static bool is_pipe(const struct sim_obj *obj)
{
	return obj->state == SIM_PIPE;
}

static bool is_directory(const struct sim_obj *obj)
{
	return obj->state == SIM_FILE && obj->inode && S_ISDIR(obj->inode->mode);
}

static int splice_check(const struct sim *sim, const struct sim_obj *from, int64_t off_in,
			const struct sim_obj *to, int64_t off_out, uint32_t flags)
{
	if (flags & ~(uint32_t)SPLICE_FLAGS)
		return -EINVAL;
	if (!from || !to)
		return -EBADF;
	if ((off_in >= 0 && is_pipe(from)) || (off_out >= 0 && is_pipe(to)))
		return -ESPIPE;
	if ((is_pipe(from) && !is_reader(from)) || (is_pipe(to) && is_reader(to)))
		return -EBADF;
	if ((!is_pipe(from) && !is_pipe(to)) || is_directory(from))
		return -EINVAL;
	if ((off_in >= 0 && from->state != SIM_FILE) || (off_out >= 0 && to->state != SIM_FILE))
		return -EINVAL;
	if (to->state == SIM_FILE && to->flags & O_APPEND)
		return -EINVAL;
	return is_pipe(from) && is_pipe(to) && other_end(sim, from) == to ? -EINVAL : 0;
}

/* Up to @len bytes of @from into @iov: how many, 0 at its end. A pipe keeps them. */
static int splice_in(struct weir_loop *loop, struct sim_obj *from, int64_t off,
		     const struct iovec *iov)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = 1 };
	struct sim *sim = sim_of(loop);
	int fd = sim_obj_fd(sim, from);
	int ret;

	if (from->state == SIM_FILE) {
		ret = sim_readv(loop, fd, iov, 1, off < 0 ? from->pos : (uint64_t)off);
		if (ret > 0 && off < 0)
			from->pos += (uint32_t)ret;
		return ret;
	}
	if (!is_pipe(from))
		return sim_readv(loop, fd, iov, 1, 0);
	ret = readable(sim, from);
	if (ret > 0) {
		ret = (int)min_u32((uint32_t)iov->iov_len, (uint32_t)ret);
		sim_ring_peek(sim, from, &msg, (uint32_t)ret);
	}
	return ret;
}

static int splice_out(struct weir_loop *loop, struct sim_obj *to, int64_t off,
		      const struct iovec *iov)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = 1 };
	struct sim *sim = sim_of(loop);
	int fd = sim_obj_fd(sim, to);
	int ret;

	if (is_pipe(to)) {
		pipe_put(sim, to, &msg, (uint32_t)iov->iov_len);
		return (int)iov->iov_len;
	}
	if (to->state != SIM_FILE)
		return sim_writev(loop, fd, iov, 1, 0);
	ret = sim_writev(loop, fd, iov, 1, off < 0 ? to->pos : (uint64_t)off);
	if (ret > 0 && off < 0)
		to->pos += (uint32_t)ret;
	return ret;
}

int sim_splice(struct weir_loop *loop, int from_fd, int64_t off_in, int to_fd, int64_t off_out,
	       uint32_t len, uint32_t flags)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *from = sim_obj_of(sim, from_fd), *to = sim_obj_of(sim, to_fd);
	struct iovec iov = { .iov_base = sim->fs->spliced };
	int ret;

	ret = splice_check(sim, from, off_in, to, off_out, flags);
	if (ret || !len)
		return ret;
	len = min_u32(len, SIM_SPLICE_BYTES);
	/* Nothing may be taken from a file or socket that there is no room for. */
	if (is_pipe(to)) {
		ret = writable(sim, to);
		if (ret < 0)
			return ret;
		len = min_u32(len, (uint32_t)ret);
	}
	iov.iov_len = sim_cut(sim, len);
	ret = splice_in(loop, from, off_in, &iov);
	if (ret <= 0)
		return ret;
	iov.iov_len = (size_t)ret;
	ret = splice_out(loop, to, off_out, &iov);
	if (ret > 0 && is_pipe(from))
		pipe_take(sim, from, (uint32_t)ret);
	return ret;
}
