/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * prep.h - an inline for each operation that fills it in, before weir_submit().
 *
 * They touch nothing but the caller's own op. op.h includes this.
 */
#ifndef WEIR_PREP_H
#define WEIR_PREP_H

#include <weir/op.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline void weir_prep(struct weir_op *op, unsigned int opcode,
			     struct weir_file file, weir_done_fn *done, void *ctx)
{
	op->done = done;
	op->ctx = ctx;
	op->file = file;
	op->opcode = (uint8_t)opcode;
	op->flags = 0;
	op->pad = 0;
	op->len = 0;
	op->xfer.buf = NULL;
	op->xfer.pool = NULL;
	op->xfer.offset = 0;
	op->xfer.msg_flags = 0;
	op->deadline_ns = 0;
	op->token = NULL;
}

/* Of an operation that works on no open file, or makes one. */
static inline void weir_prep_nofile(struct weir_op *op, unsigned int opcode,
				    weir_done_fn *done, void *ctx)
{
	struct weir_file none = { 0, 0 };

	weir_prep(op, opcode, none, done, ctx);
}

static inline void weir_prep_nop(struct weir_op *op, weir_done_fn *done, void *ctx)
{
	weir_prep_nofile(op, WEIR_OP_NOP, done, ctx);
}

/* Ends with 0 at @deadline_ns of the loop's clock; in the past: at once; UINT64_MAX: never. */
static inline void weir_prep_timeout(struct weir_op *op, uint64_t deadline_ns,
				     weir_done_fn *done, void *ctx)
{
	weir_prep_nofile(op, WEIR_OP_TIMEOUT, done, ctx);
	op->deadline_ns = deadline_ns;
}

/* @events as in poll(2); one shot. */
static inline void weir_prep_poll(struct weir_op *op, struct weir_file file, uint32_t events,
				  weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_POLL, file, done, ctx);
	op->poll.events = events;
}

/* An event whenever the file becomes ready anew: an edge may be told twice. */
static inline void weir_prep_poll_multi(struct weir_op *op, struct weir_file file,
					uint32_t events, weir_done_fn *done, void *ctx)
{
	weir_prep_poll(op, file, events, done, ctx);
	op->flags = WEIR_OPF_MULTISHOT;
}

/*
 * Calls @fn on another thread; its result is the operation's. A cancel or
 * deadline ends it only while it waits for a thread.
 */
static inline void weir_prep_work(struct weir_op *op, int (*fn)(void *arg), void *arg,
				  weir_done_fn *done, void *ctx)
{
	weir_prep_nofile(op, WEIR_OP_WORK, done, ctx);
	op->work.fn = fn;
	op->work.arg = arg;
}

/* As socket(2); it is close-on-exec, and never blocks the loop. */
static inline void weir_prep_socket(struct weir_op *op, int family, int type, int protocol,
				    weir_done_fn *done, void *ctx)
{
	weir_prep_nofile(op, WEIR_OP_SOCKET, done, ctx);
	op->socket.family = family;
	op->socket.type = type;
	op->socket.protocol = protocol;
}

/* @addr stays the caller's and must live until the terminal event. */
static inline void weir_prep_bind(struct weir_op *op, struct weir_file file,
				  const struct sockaddr *addr, uint32_t addr_len,
				  weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_BIND, file, done, ctx);
	op->addr.addr = addr;
	op->addr.len = addr_len;
}

static inline void weir_prep_listen(struct weir_op *op, struct weir_file file, int backlog,
				    weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_LISTEN, file, done, ctx);
	op->listen.backlog = backlog;
}

/*
 * @burst: the listener's backlog. While fewer file slots than that are free,
 * the library takes one connection at a time, and none without a slot.
 */
static inline void weir_prep_accept(struct weir_op *op, struct weir_file file, uint32_t burst,
				    weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_ACCEPT, file, done, ctx);
	op->flags = WEIR_OPF_MULTISHOT;
	op->accept.burst = burst;
}

/* One connection. */
static inline void weir_prep_accept_once(struct weir_op *op, struct weir_file file,
					 weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_ACCEPT, file, done, ctx);
	op->accept.burst = 1;
}

/*
 * @addr stays the caller's and must live until the terminal event. A full backlog
 * of a Unix socket ends it with -EAGAIN on epoll; io_uring waits for room.
 */
static inline void weir_prep_connect(struct weir_op *op, const struct sockaddr *addr,
				     uint32_t addr_len, weir_done_fn *done, void *ctx)
{
	weir_prep_nofile(op, WEIR_OP_CONNECT, done, ctx);
	op->addr.addr = addr;
	op->addr.len = addr_len;
}

/* The same with a socket of the caller's, which stays open whatever comes of it. */
static inline void weir_prep_connect_file(struct weir_op *op, struct weir_file file,
					  const struct sockaddr *addr, uint32_t addr_len,
					  weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_CONNECT, file, done, ctx);
	op->addr.addr = addr;
	op->addr.len = addr_len;
}

static inline void weir_prep_recv(struct weir_op *op, struct weir_file file,
				  void *buf, uint32_t len, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_RECV, file, done, ctx);
	op->xfer.buf = buf;
	op->len = len;
}

/*
 * Multishot: each event brings a lease of @pool; an empty pool only delays. A
 * datagram without bytes is an event with neither; the end of a stream is terminal.
 */
static inline void weir_prep_recv_pool(struct weir_op *op, struct weir_file file,
				       struct weir_pool *pool, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_RECV, file, done, ctx);
	op->flags = WEIR_OPF_MULTISHOT;
	op->xfer.pool = pool;
}

static inline void weir_prep_send(struct weir_op *op, struct weir_file file,
				  const void *buf, uint32_t len, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_SEND, file, done, ctx);
	op->xfer.buf = (void *)(uintptr_t)buf;
	op->len = len;
}

/*
 * The bytes lie in @lease, which the caller holds until the terminal event. A long
 * send of them may go without a copy: then the library holds the lease too, from
 * that event until the kernel has let go of it, and the pool has one buffer less.
 * The bytes must not be written to from the submit on, nor after the terminal event,
 * until the buffer is back in its pool: the kernel may still be reading them. Who
 * wants to send other bytes takes another buffer.
 */
static inline void weir_prep_send_lease(struct weir_op *op, struct weir_file file,
					struct weir_lease *lease, const void *buf,
					uint32_t len, weir_done_fn *done, void *ctx)
{
	weir_prep_send(op, file, buf, len, done, ctx);
	op->flags = WEIR_OPF_LEASE;
	op->xfer.lease = lease;
}

/*
 * @msg, what it points to and what is in there must live until the terminal
 * event, which also tells msg_flags and the lengths that came.
 */
static inline void weir_prep_recvmsg(struct weir_op *op, struct weir_file file,
				     struct msghdr *msg, int msg_flags,
				     weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_RECVMSG, file, done, ctx);
	op->xfer.buf = msg;
	op->xfer.msg_flags = msg_flags;
}

/*
 * Multishot: each event brings a lease of @pool; weir_msg_read() finds the parts
 * in it. Of @msg only msg_namelen and msg_controllen matter, the room for each;
 * it must live until the terminal event.
 */
static inline void weir_prep_recvmsg_pool(struct weir_op *op, struct weir_file file,
					  struct weir_pool *pool, struct msghdr *msg,
					  weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_RECVMSG, file, done, ctx);
	op->flags = WEIR_OPF_MULTISHOT;
	op->xfer.buf = msg;
	op->xfer.pool = pool;
}

/* @msg and what it points to must live until the terminal event. */
static inline void weir_prep_sendmsg(struct weir_op *op, struct weir_file file,
				     const struct msghdr *msg, int msg_flags,
				     weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_SENDMSG, file, done, ctx);
	op->xfer.buf = (void *)(uintptr_t)msg;
	op->xfer.msg_flags = msg_flags;
}

static inline void weir_prep_read(struct weir_op *op, struct weir_file file, void *buf,
				  uint32_t len, uint64_t offset, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_READ, file, done, ctx);
	op->xfer.buf = buf;
	op->len = len;
	op->xfer.offset = offset;
}

/* Multishot, of what has no offsets (a pipe, a terminal): leases of @pool. */
static inline void weir_prep_read_pool(struct weir_op *op, struct weir_file file,
				       struct weir_pool *pool, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_READ, file, done, ctx);
	op->flags = WEIR_OPF_MULTISHOT;
	op->xfer.pool = pool;
}

static inline void weir_prep_write(struct weir_op *op, struct weir_file file, const void *buf,
				   uint32_t len, uint64_t offset, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_WRITE, file, done, ctx);
	op->xfer.buf = (void *)(uintptr_t)buf;
	op->len = len;
	op->xfer.offset = offset;
}

/* @iov, @count entries of it, must live until the terminal event. */
static inline void weir_prep_readv(struct weir_op *op, struct weir_file file,
				   const struct iovec *iov, uint32_t count, uint64_t offset,
				   weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_READV, file, done, ctx);
	op->xfer.buf = (void *)(uintptr_t)iov;
	op->len = count;
	op->xfer.offset = offset;
}

static inline void weir_prep_writev(struct weir_op *op, struct weir_file file,
				    const struct iovec *iov, uint32_t count, uint64_t offset,
				    weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_WRITEV, file, done, ctx);
	op->xfer.buf = (void *)(uintptr_t)iov;
	op->len = count;
	op->xfer.offset = offset;
}

/*
 * Paths are the caller's and must live until the terminal event; one that is
 * relative is taken from the working directory.
 */

/* @flags and @mode as in open(2); O_CLOEXEC is added. */
static inline void weir_prep_open(struct weir_op *op, const char *path, int flags,
				  unsigned int mode, weir_done_fn *done, void *ctx)
{
	weir_prep_nofile(op, WEIR_OP_OPEN, done, ctx);
	op->path.name = path;
	op->path.flags = flags;
	op->path.mode = mode;
}

/* @flags as in unlinkat(2): AT_REMOVEDIR for a directory. */
static inline void weir_prep_unlink(struct weir_op *op, const char *path, int flags,
				    weir_done_fn *done, void *ctx)
{
	weir_prep_nofile(op, WEIR_OP_UNLINK, done, ctx);
	op->path.name = path;
	op->path.flags = flags;
	op->path.mode = 0;
}

static inline void weir_prep_mkdir(struct weir_op *op, const char *path, unsigned int mode,
				   weir_done_fn *done, void *ctx)
{
	weir_prep_nofile(op, WEIR_OP_MKDIR, done, ctx);
	op->path.name = path;
	op->path.flags = 0;
	op->path.mode = mode;
}

/* @flags as in renameat2(2). */
static inline void weir_prep_rename(struct weir_op *op, const char *from, const char *to,
				    unsigned int flags, weir_done_fn *done, void *ctx)
{
	weir_prep_nofile(op, WEIR_OP_RENAME, done, ctx);
	op->rename.from = from;
	op->rename.to = to;
	op->rename.flags = flags;
}

/* @flags and @mask as in statx(2). */
static inline void weir_prep_statx(struct weir_op *op, const char *path, int flags,
				   unsigned int mask, struct statx *buf,
				   weir_done_fn *done, void *ctx)
{
	weir_prep_nofile(op, WEIR_OP_STATX, done, ctx);
	op->statx.path = path;
	op->statx.buf = buf;
	op->statx.flags = flags;
	op->statx.mask = mask;
}

/* The same of an open file. */
static inline void weir_prep_fstatx(struct weir_op *op, struct weir_file file,
				    unsigned int mask, struct statx *buf,
				    weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_STATX, file, done, ctx);
	op->statx.path = NULL;
	op->statx.buf = buf;
	op->statx.flags = 0;
	op->statx.mask = mask;
}

static inline void weir_prep_range(struct weir_op *op, unsigned int opcode,
				   struct weir_file file, uint64_t offset, uint64_t len,
				   int mode, weir_done_fn *done, void *ctx)
{
	weir_prep(op, opcode, file, done, ctx);
	op->range.offset = offset;
	op->range.len = len;
	op->range.mode = mode;
}

static inline void weir_prep_fsync(struct weir_op *op, struct weir_file file,
				   weir_done_fn *done, void *ctx)
{
	weir_prep_range(op, WEIR_OP_FSYNC, file, 0, 0, 0, done, ctx);
}

static inline void weir_prep_fdatasync(struct weir_op *op, struct weir_file file,
				       weir_done_fn *done, void *ctx)
{
	weir_prep_range(op, WEIR_OP_FSYNC, file, 0, 0, 1, done, ctx);
}

/* @mode as in fallocate(2). */
static inline void weir_prep_fallocate(struct weir_op *op, struct weir_file file, int mode,
				       uint64_t offset, uint64_t len,
				       weir_done_fn *done, void *ctx)
{
	weir_prep_range(op, WEIR_OP_FALLOCATE, file, offset, len, mode, done, ctx);
}

static inline void weir_prep_ftruncate(struct weir_op *op, struct weir_file file,
				       uint64_t size, weir_done_fn *done, void *ctx)
{
	weir_prep_range(op, WEIR_OP_FTRUNCATE, file, size, 0, 0, done, ctx);
}

/* @advice as in posix_fadvise(2); @len 0 is to the end. */
static inline void weir_prep_fadvise(struct weir_op *op, struct weir_file file,
				     uint64_t offset, uint64_t len, int advice,
				     weir_done_fn *done, void *ctx)
{
	weir_prep_range(op, WEIR_OP_FADVISE, file, offset, len, advice, done, ctx);
}

/*
 * Moves up to @len bytes; one of the two is a pipe. Offsets of -1: where the
 * file stands, and always of a pipe. @flags as in splice(2).
 */
static inline void weir_prep_splice(struct weir_op *op, struct weir_file from, int64_t off_in,
				    struct weir_file to, int64_t off_out, uint32_t len,
				    unsigned int flags, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_SPLICE, to, done, ctx);
	op->len = len;
	op->splice.from = from;
	op->splice.off_in = off_in;
	op->splice.off_out = off_out;
	op->splice.flags = flags;
}

/* @how as in shutdown(2). */
static inline void weir_prep_shutdown(struct weir_op *op, struct weir_file file, int how,
				      weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_SHUTDOWN, file, done, ctx);
	op->shutdown.how = how;
}

/* @value must live until the terminal event. */
static inline void weir_prep_getsockopt(struct weir_op *op, struct weir_file file, int level,
					int name, void *value, uint32_t len,
					weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_GETSOCKOPT, file, done, ctx);
	op->sockopt.value = value;
	op->sockopt.level = level;
	op->sockopt.name = name;
	op->sockopt.len = len;
}

static inline void weir_prep_setsockopt(struct weir_op *op, struct weir_file file, int level,
					int name, const void *value, uint32_t len,
					weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_SETSOCKOPT, file, done, ctx);
	op->sockopt.value = (void *)(uintptr_t)value;
	op->sockopt.level = level;
	op->sockopt.name = name;
	op->sockopt.len = len;
}

/* For what only a descriptor can do: a registered file has none. */
static inline void weir_prep_install(struct weir_op *op, struct weir_file file,
				     weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_INSTALL, file, done, ctx);
}

static inline void weir_prep_close(struct weir_op *op, struct weir_file file,
				   weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_CLOSE, file, done, ctx);
}

#ifdef __cplusplus
}
#endif

#endif /* WEIR_PREP_H */
