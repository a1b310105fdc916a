/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * backend.h - the line between the loop and what carries operations out
 *
 * Above it: budgets, deadlines, files, parking, statistics, callbacks; the same
 * for all. Below it: io_uring, epoll, or the in-memory kernel of sim.
 */
#ifndef IO_BACKEND_H
#define IO_BACKEND_H

#include <sys/socket.h>

#include <string.h>

#include "io/loop.h"

struct io_uring_sqe;
struct weir_pass;
struct iovec;
struct statx;

/* What became of an op handed to a backend. */
enum io_queued {
	IO_QUEUED_DONE,		/* finished now, result in op->res; reap was not needed */
	IO_QUEUED_PENDING,	/* io_event() will follow, from reap */
};

/*
 * One row per operation, one table for every backend.
 * @name: for people
 * @wait: poll events to wait for after -EAGAIN; 0: never waits. For readiness
 *	backends
 * @flags: IO_OPF_*
 * @msg_flags: of send(2) and recv(2), those that the caller may ask for
 * @check: are its arguments such that the kernel may have them? 0 or -errno.
 *	NULL: there are none that could hurt
 * @sqe: the opcode of io_uring that carries it out, with a prep. A ring that lacks
 *	one is none, but for IO_OPF_ELSEWHERE
 * @prep: fill in the submission entry. For uring. NULL: the loop does it alone,
 *	or with IO_OPF_BLOCKS its offload threads
 * @try: do it now without blocking (with IO_OPF_BLOCKS: from a thread that may
 *	block): a result >= 0, or -errno, -EAGAIN to be tried again. For
 *	readiness backends, through loop->sys
 * @fill: the same into a buffer of the op's pool, with IO_OPF_POOL
 */
struct weir_op_def {
	const char *name;
	uint32_t wait;
	uint32_t flags;
	int msg_flags;
	uint8_t sqe;
	int (*check)(const struct weir_loop *loop, const struct weir_op *op);
	void (*prep)(struct weir_loop *loop, const struct weir_op *op,
		     struct io_uring_sqe *sqe);
	int (*try)(struct weir_loop *loop, struct weir_op *op, int fd);
	int (*fill)(struct weir_loop *loop, struct weir_op *op, int fd, void *buf, uint32_t len);
} __attribute__((aligned(64)));

enum io_op_flags {
	IO_OPF_FILE	= 1 << 0,	/* needs an open file */
	IO_OPF_MULTI	= 1 << 1,	/* may be multishot */
	IO_OPF_POOL	= 1 << 2,	/* its buffers may be a pool's: multishot then */
	IO_OPF_OPENS	= 1 << 3,	/* its success is a new file */
	IO_OPF_BLOCKS	= 1 << 4,	/* must be offloaded, unless a ring does it */
	IO_OPF_IN	= 1 << 5,	/* its count is bytes in */
	IO_OPF_OUT	= 1 << 6,	/* its count is bytes out */
	IO_OPF_MAYFILE	= 1 << 7,	/* works on an open file if one is given */
	IO_OPF_ENDS	= 1 << 8,	/* frees resources: may use the reserve */
	IO_OPF_MSG	= 1 << 9,	/* has msg_flags, of which the row allows some */
	IO_OPF_PLAIN	= 1 << 10,	/* opens a plain descriptor: its result below */
	IO_OPF_TWO	= 1 << 11,	/* works on a second file, op->splice.from */
	IO_OPF_INLINE	= 1 << 12,	/* as a rule it ends as it is submitted */
	IO_OPF_NOW	= 1 << 13,	/* uring too tries it if the file has a descriptor */
	IO_OPF_HEADED	= 1 << 14,	/* a buffer of its pool begins with a struct msg_head */
	IO_OPF_ELSEWHERE = 1 << 15,	/* what a ring cannot do is done without it */
	/* More than an entry and its completion: what has none of these goes a shorter way. */
	IO_OPF_ODD	= IO_OPF_OPENS | IO_OPF_PLAIN | IO_OPF_TWO | IO_OPF_NOW | IO_OPF_ENDS |
			  IO_OPF_ELSEWHERE,
};

/*
 * What io_uring puts in front of a message in a buffer of a pool; behind it lie
 * the room for the name, the room for control messages, and the bytes. Other
 * backends do the same.
 */
struct msg_head {
	uint32_t name_len;
	uint32_t control_len;
	uint32_t len;
	uint32_t flags;
};

/* msg_head_bytes() - what lies before the bytes in a buffer of the op's pool */
static inline uint64_t msg_head_bytes(const struct weir_op *op)
{
	const struct msghdr *msg = op->xfer.buf;

	if (msg->msg_controllen > INT32_MAX)
		return UINT64_MAX;
	return sizeof(struct msg_head) + (uint64_t)msg->msg_namelen + msg->msg_controllen;
}

extern const struct weir_op_def weir_op_defs[WEIR_OP_MAX]	/* lib/optable.c */
	__attribute__((visibility("hidden")));

static inline const struct weir_op_def *op_def(const struct weir_op *op)
{
	return &weir_op_defs[op->opcode];
}

/* Generations begin at 1: an all-zero handle is none. */
static inline bool op_has_file(const struct weir_op *op)
{
	uint32_t flags = op_def(op)->flags;

	return flags & IO_OPF_FILE || (flags & IO_OPF_MAYFILE && op->file.gen);
}

/* The plain descriptor that it works on, or -1. */
static inline int op_fd(const struct weir_loop *loop, const struct weir_op *op)
{
	return op_has_file(op) ? loop->files[op->file.index].fd : -1;
}

/* Will its success be a new file? */
static inline bool op_opens(const struct weir_op *op)
{
	uint32_t flags = op_def(op)->flags;

	return flags & IO_OPF_OPENS && !(flags & IO_OPF_MAYFILE && op->file.gen);
}

/* The pool that it takes its buffers from; a pool begins with its group. */
static inline struct io_group *op_group(const struct weir_op *op)
{
	return op_def(op)->flags & IO_OPF_POOL ? (struct io_group *)(void *)op->xfer.pool : NULL;
}

static inline bool op_opens_plain(const struct weir_op *op)
{
	return op_def(op)->flags & IO_OPF_PLAIN;
}

/*
 * The system calls that readiness backends make, and the environment of every
 * backend. Results as the system call's, errors as -errno. fd is a descriptor,
 * or on sim an object of its kernel.
 */
struct io_sys {
	int (*socket)(struct weir_loop *loop, int family, int type, int protocol);
	int (*bind)(struct weir_loop *loop, int fd, const struct sockaddr *addr, uint32_t len);
	int (*listen)(struct weir_loop *loop, int fd, int backlog);
	int (*setsockopt)(struct weir_loop *loop, int fd, int level, int name,
			  const void *value, uint32_t len);
	int (*getsockname)(struct weir_loop *loop, int fd, struct sockaddr *addr, uint32_t *len);
	int (*accept)(struct weir_loop *loop, int fd);
	int (*connect)(struct weir_loop *loop, int fd, const struct sockaddr *addr, uint32_t len);
	int (*connected)(struct weir_loop *loop, int fd);	/* SO_ERROR of a connect */
	int (*recv)(struct weir_loop *loop, int fd, void *buf, uint32_t len, int flags);
	int (*send)(struct weir_loop *loop, int fd, const void *buf, uint32_t len, int flags);
	int (*recvmsg)(struct weir_loop *loop, int fd, struct msghdr *msg, int flags);
	int (*sendmsg)(struct weir_loop *loop, int fd, const struct msghdr *msg, int flags);
	int (*poll)(struct weir_loop *loop, int fd, uint32_t events);
	int (*shutdown)(struct weir_loop *loop, int fd, int how);
	int (*getsockopt)(struct weir_loop *loop, int fd, int level, int name, void *value,
			  uint32_t *len);
	int (*open)(struct weir_loop *loop, const char *path, int flags, unsigned int mode);
	int (*read)(struct weir_loop *loop, int fd, void *buf, uint32_t len, uint64_t offset);
	int (*write)(struct weir_loop *loop, int fd, const void *buf, uint32_t len,
		     uint64_t offset);
	int (*dup)(struct weir_loop *loop, int fd);		/* for the caller, close-on-exec */
	int (*readv)(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
		     uint64_t offset);
	int (*writev)(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
		      uint64_t offset);
	int (*fsync)(struct weir_loop *loop, int fd, bool data_only);
	int (*fallocate)(struct weir_loop *loop, int fd, int mode, uint64_t offset, uint64_t len);
	int (*ftruncate)(struct weir_loop *loop, int fd, uint64_t size);
	int (*fadvise)(struct weir_loop *loop, int fd, uint64_t offset, uint64_t len, int advice);
	int (*statx)(struct weir_loop *loop, int fd, const char *path, int flags,
		     uint32_t mask, struct statx *buf);		/* of fd if path is NULL */
	int (*unlink)(struct weir_loop *loop, const char *path, int flags);
	int (*rename)(struct weir_loop *loop, const char *from, const char *to, uint32_t flags);
	int (*mkdir)(struct weir_loop *loop, const char *path, uint32_t mode);
	/* Never blocks but for a disk; an offset of -1 is none. */
	int (*splice)(struct weir_loop *loop, int from, int64_t off_in, int to, int64_t off_out,
		      uint32_t len, uint32_t flags);
	int (*pipe)(struct weir_loop *loop, int fds[2]);
	int (*close)(struct weir_loop *loop, int fd);
	uint64_t (*now)(struct weir_loop *loop);
	void (*entropy)(struct weir_loop *loop, void *buf, size_t len);
};

extern const struct io_sys io_sys_linux;		/* lib/io/sys.c */

/*
 * A backend. Every slot is set but those that say so.
 * @name: "uring", …
 * @sys: its environment
 * @fixed_files: 1 if files [0, files_max) of the table are slots that the
 *	kernel hands out; 0 if every file has a descriptor of its own
 * @open: loop->opts is filled in; sets loop->priv. -ENOSYS or -EPERM (or
 *	another -errno) with loop->reason set: refused here
 * @enable: the owner thread is known and is the caller
 * @close: nothing is in flight any more
 * @submit: of an owned loop, where nothing waits: take @op the short way, or hand it
 *	to op_submit(). NULL: it has none
 * @queue: start @op: enum io_queued, or -EAGAIN: no room, commit and retry.
 *	Never calls io_event(). Any other failure is a DONE with op->res
 * @commit: hand what was queued to the kernel without waiting
 * @reap: commit, wait for something until @deadline_ns (DEADLINE_NONE: for
 *	ever; in the past: only look), call io_parking() before it may block and
 *	io_running() after, call io_event() for each completion. Returns how
 *	many, or -errno if the backend is broken
 * @cancel: @op is in flight below: make it end; its io_event() tells
 * @adopt: descriptor @fd becomes file @file
 * @group_open: make the pool @group known to the kernel: buffers
 *	[spare_max, count) may be received into from now on
 * @group_close: undo that
 * @group_put: buffer @bid may be received into again
 * @fd: a descriptor that polls readable when the kernel has events, or
 *	-EOPNOTSUPP
 * @pending: is there work for the next reap that @fd does not show?
 * @bell: with the next submission, make the owner of @to, a loop of the same
 *	backend, see that its bell was rung. 0 or -errno. NULL: it cannot
 * @lend: @op, a send of a lease, was tried and came to @res: the kernel may go on
 *	reading its bytes. NULL: it never does. For readiness backends
 * @forget: the descriptor of file @file leaves the loop open. NULL: no matter
 * @reserve: with fixed files: a slot is kept for a file that will arrive
 * @brought: what @op, in flight below, has come to already, or -ENOENT. NULL: that is
 *	always told at once
 * @send_file: with fixed files: the file in slot @file goes to @to, a loop of the
 *	same backend that keeps a slot for it. -errno, or 0: pass_sent() here, and
 *	on success pass_arrived() there, follow from reap
 */
struct weir_backend {
	const char *name;
	const struct io_sys *sys;
	int fixed_files;
	int (*open)(struct weir_loop *loop);
	int (*enable)(struct weir_loop *loop);
	void (*close)(struct weir_loop *loop);
	void (*submit)(struct weir_loop *loop, struct weir_op *op, const char *where);
	int (*queue)(struct weir_loop *loop, struct weir_op *op);
	int (*commit)(struct weir_loop *loop);
	int (*reap)(struct weir_loop *loop, uint64_t deadline_ns);
	void (*cancel)(struct weir_loop *loop, struct weir_op *op);
	int (*adopt)(struct weir_loop *loop, uint32_t file, int fd);
	int (*group_open)(struct weir_loop *loop, struct io_group *group);
	void (*group_close)(struct weir_loop *loop, struct io_group *group);
	void (*group_put)(struct weir_loop *loop, struct io_group *group, uint32_t bid);
	int (*fd)(const struct weir_loop *loop);
	bool (*pending)(const struct weir_loop *loop);
	int (*bell)(struct weir_loop *loop, struct weir_loop *to);
	void (*lend)(struct weir_loop *loop, struct weir_op *op, int res);
	void (*forget)(struct weir_loop *loop, uint32_t file);
	void (*reserve)(struct weir_loop *loop);
	int (*brought)(const struct weir_loop *loop, const struct weir_op *op);
	int (*send_file)(struct weir_loop *loop, uint32_t file, struct weir_loop *to,
			 struct weir_pass *pass);
};

extern const struct weir_backend weir_backend_uring;
extern const struct weir_backend weir_backend_epoll;
extern const struct weir_backend weir_backend_sim;

/*
 * What backends call, from reap() only.
 *
 * io_event() - an event of @op: @res as the kernel gave it; @more: not terminal.
 * For an accept or connect that succeeded, op->accepted is set already, by
 * io_file_open().
 */
void io_event(struct weir_loop *loop, struct weir_op *op, int res, bool more);

/* io_event_lease() - the same for an op that got @len bytes in buffer @bid of its pool */
void io_event_lease(struct weir_loop *loop, struct weir_op *op, uint32_t len, uint32_t bid,
		    bool more);

/*
 * io_pool_end() - do @len bytes in a buffer of @op's pool mean the end of the
 * stream? A datagram may be empty. If its buffer begins with nothing else, that is
 * told by io_event() without a lease: io_uring takes no buffer then.
 */
static inline bool io_pool_end(const struct weir_loop *loop, const struct weir_op *op,
			       const void *buf, uint32_t len)
{
	struct msg_head head;

	if (op_def(op)->flags & IO_OPF_HEADED) {
		memcpy(&head, buf, sizeof(head));
		len = head.len;
	}
	return !len && !(loop->files[op->file.index].hints & IO_HINT_DATAGRAM);
}

/*
 * io_event_nobufs() - a recv of @op found its pool empty. The op is no longer
 * in flight below; it parks and is queued again when buffers are back.
 */
void io_event_nobufs(struct weir_loop *loop, struct weir_op *op);

/*
 * io_event_again() - the multishot @op ended below although its work goes on
 * (completion queue pressure, a one-shot accept, …): queue it again.
 */
void io_event_again(struct weir_loop *loop, struct weir_op *op);

/*
 * io_event_offloaded() - what blocks was carried out elsewhere and came to @res.
 * -EAGAIN of a row that waits: it is queued again.
 */
void io_event_offloaded(struct weir_loop *loop, struct weir_op *op, int res);

/*
 * io_event_nofile() - the accept @op found no slot or descriptor (@err is
 * -ENFILE or -EMFILE). It is no longer in flight below; it pauses.
 */
void io_event_nofile(struct weir_loop *loop, struct weir_op *op, int err);

/*
 * io_parking() - the backend is about to block until @deadline_ns. Returns until
 * when it may: the user, who may submit and cancel here, was called.
 */
static inline uint64_t io_parking(struct weir_loop *loop, uint64_t deadline_ns)
{
	return loop->hooks.parking ? loop_parking(loop, deadline_ns) : deadline_ns;
}

static inline void io_running(struct weir_loop *loop, unsigned int events)
{
	loop->now_read = false;
	if (loop->hooks.running)
		loop->hooks.running(loop->hooks.ctx, loop_clock(loop), events);
}

/* io_accept_one() - must this accept be armed for a single connection? */
bool io_accept_one(const struct weir_loop *loop, const struct weir_op *op);

#endif /* IO_BACKEND_H */
