// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring.c - operations over io_uring: queue, cancel, dispatch
 *
 * Memory order: our acquire load of the completion tail pairs with the kernel's
 * release; our release store of the completion head lets it reuse the entry.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/group.h"
#include "io/ops.h"
#include "io/short.h"
#include "io/uring.h"

enum {
	ERESTARTSYS	= 512,	/* the kernel's own; a cancelled splice shows it */
	SHORT_BYTES	= 1 << 14,	/* with more, the bytes are what costs */
};

_Static_assert((int)SLOT_GEN_FIRST == (int)KIND_OP && SLOT_GEN_STEP == 0x100,
	       "the lowest byte of a generation says that it is of an op");

static uint64_t data_of(const struct weir_loop *loop, const struct weir_op *op)
{
	return op->lib_slot | (uint64_t)loop->slots[op->lib_slot].gen << URING_KIND_SHIFT;
}

/* queue and cancel */

static void set_file(struct weir_loop *loop, struct weir_file file, struct io_uring_sqe *sqe)
{
	if (file.index < loop->files_fixed) {
		sqe->fd = (int)file.index;
		sqe->flags |= IOSQE_FIXED_FILE;
	} else {
		sqe->fd = loop->files[file.index].fd;
	}
}

static bool is_installing(const struct weir_op *op)
{
	return op_def(op)->flags & IO_OPF_ELSEWHERE && op->lib_priv == OP_INSTALLING;
}

void uring_fill(struct weir_loop *loop, struct weir_op *op, struct io_uring_sqe *sqe)
{
	if (is_installing(op))
		install_prep(loop, op, sqe);
	else
		op_def(op)->prep(loop, op, sqe);
	sqe->user_data = data_of(loop, op);
	if (op->opcode == WEIR_OP_CLOSE)
		return;		/* a slot or a descriptor, never through the table */
	if (op_has_file(op))
		set_file(loop, op->file, sqe);
	else if (op_opens(op) && op->lib_priv == OPEN_CONNECTING)
		set_file(loop, op->accepted, sqe);
}

void uring_quiet(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = uring_data(KIND_QUIET, 0);
}

void uring_cancel(struct weir_loop *loop, struct weir_op *op)
{
	struct io_uring_sqe *sqe = uring_sqe(loop);

	if (!sqe)
		return;		/* the ring is broken; reap will tell */
	io_uring_prep_cancel64(sqe, uring_is_lent(op) ? uring_zc_data(op) : data_of(loop, op), 0);
	uring_quiet(sqe);
}

static int queue_odd(struct weir_loop *loop, struct weir_op *op)
{
	int queued = uring_elsewhere(loop, op);
	struct io_uring_sqe *sqe;

	if (queued != -ENOSYS)
		return queued;
	if (!io_uring_sq_space_left(&uring_of(loop)->ring))
		return -EAGAIN;
	if (op_opens(op))
		uring_opening(loop, op);
	sqe = uring_sqe(loop);
	if (!sqe) {
		op->res = -EIO;	/* the ring is broken; reap will tell */
		return IO_QUEUED_DONE;
	}
	uring_fill(loop, op, sqe);
	return IO_QUEUED_PENDING;
}

static int uring_queue(struct weir_loop *loop, struct weir_op *op)
{
	const struct weir_op_def *def = op_def(op);
	struct uring *u = uring_of(loop);
	struct io_uring_sqe *sqe;
	int queued = IO_QUEUED_PENDING;

	if (op->flags & WEIR_OPF_LEASE && uring_zc_wanted(loop, op))
		return uring_zc_queue(loop, op);
	if (def->flags & IO_OPF_ODD) {
		queued = queue_odd(loop, op);
	} else {
		sqe = io_uring_get_sqe(&u->ring);
		if (!sqe)
			return -EAGAIN;
		def->prep(loop, op, sqe);
		sqe->user_data = data_of(loop, op);
		if (op_has_file(op))
			set_file(loop, op->file, sqe);
	}
	u->inline_ops += queued == IO_QUEUED_PENDING && def->flags & IO_OPF_INLINE;
	return queued;
}

/* the short way: see io/short.h */

/* The whole of an entry but for its descriptor, whatever was in it before. */
static inline void fill_short(struct io_uring_sqe *sqe, uint8_t opcode, const void *buf,
			      uint32_t len, uint32_t flags)
{
	sqe->opcode = opcode;
	sqe->flags = 0;
	sqe->ioprio = 0;
	sqe->off = 0;
	sqe->addr = (uintptr_t)buf;
	sqe->len = len;
	sqe->msg_flags = flags;
	sqe->buf_index = 0;
	sqe->personality = 0;
	sqe->file_index = 0;
	sqe->addr3 = 0;
	sqe->__pad2[0] = 0;
}

/* May the bytes that @op names go as they are? What is wrong or large has a longer way. */
static inline bool is_plain(const struct weir_op_def *def, const struct weir_op *op)
{
	return op->xfer.buf && !op->xfer.pool && op->len <= SHORT_BYTES &&
	       !(op->xfer.msg_flags & ~def->msg_flags);
}

static inline bool may_go(const struct weir_loop *loop, const struct weir_op *op)
{
	const struct io_uring_sq *sq = &uring_of(loop)->ring.sq;

	return (op->opcode | op->flags << 8) < WEIR_OP_MAX &&
	       !(op->deadline_ns | (uintptr_t)op->token) && op->lib_magic != OP_MAGIC_BUSY &&
	       op->done && !loop_is_forked(loop) && loop->slots_used < loop->slots_budget &&
	       sq->sqe_tail - io_uring_smp_load_acquire(sq->khead) < sq->ring_entries;
}

static void uring_submit(struct weir_loop *loop, struct weir_op *op, const char *where)
{
	struct uring *u = uring_of(loop);
	struct io_uring_sq *sq = &u->ring.sq;
	const struct weir_op_def *def = op_def(op);
	struct io_file *file = NULL;
	struct io_uring_sqe *sqe;
	const struct io_slot *slot;

	if (!may_go(loop, op) || !(def->flags & IO_OPF_SHORT))
		goto long_way;
	sqe = &sq->sqes[sq->sqe_tail & sq->ring_mask];
	if (def->flags & IO_OPF_FILE) {
		file = io_file_get(loop, op->file);
		if (!file || !is_plain(def, op))
			goto long_way;
		fill_short(sqe, def->sqe, op->xfer.buf, op->len,
			   (uint32_t)(op->xfer.msg_flags | def->sqe_flags));
		set_file(loop, op->file, sqe);
	} else {
		if (op->len)
			goto long_way;	/* where it is judged */
		fill_short(sqe, def->sqe, NULL, 0, 0);
	}
	assert_owner(loop);
	sq->sqe_tail++;
	slot = short_start(loop, op, file, where);
	sqe->user_data = op->lib_slot | (uint64_t)slot->gen << URING_KIND_SHIFT;
	u->inline_ops += !!(def->flags & IO_OPF_INLINE);
	return;
long_way:
	op_submit(loop, op, where);
}

/*
 * With O_NONBLOCK io_uring would not wait, but end operations with -EAGAIN. What is
 * neither socket nor pipe is polled, and read by others who rely on theirs.
 */
static int uring_adopt(struct weir_loop *loop, uint32_t file, int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	if (flags < 0 || !(flags & O_NONBLOCK) || fstat(fd, &st))
		return 0;
	if (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode))
		fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	return 0;
}

/* completions */

static void wake_arm(struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);
	struct io_uring_sqe *sqe = uring_sqe(loop);

	if (!sqe)
		return;
	io_uring_prep_read(sqe, loop->wake_fd, &u->wake_count, sizeof(u->wake_count), 0);
	sqe->user_data = uring_data(KIND_WAKE, 0);
}

static void on_wake(struct weir_loop *loop)
{
	/* Cleared before anybody looks at what the waker left: see weir_loop_wake(). */
	atomic_store(&loop->woken, false);
	wake_arm(loop);
}

/* @len bytes in buffer @bid, which is a lease of its own. */
static inline void serve(struct weir_loop *loop, struct weir_op *op, uint32_t len, uint32_t bid)
{
	struct io_group *group = (struct io_group *)(void *)op->xfer.pool;
	struct weir_lease *lease = group_take(group, bid, len);

	short_event(loop, op, lease, len);
	if (lease->refs != 1) {
		lease_put(lease);
		return;
	}
	lease->refs = 0;
	group->free++;
	uring_put(group, lease);
}

static inline void on_served(struct weir_loop *loop, struct weir_op *op, uint32_t len,
			     uint32_t bid)
{
	uring_of(loop)->news++;
	serve(loop, op, len, bid);
}

/*
 * The kernel names the first buffer. It filled those that follow it in the ring,
 * each but the last one whole. None of them comes back, and so moves in the ring,
 * before its own lease ends.
 */
static void on_bundle(struct weir_loop *loop, struct weir_op *op, uint32_t len, uint32_t bid)
{
	const struct io_group *group = op_group(op);

	while (len > group->buf_bytes) {
		uint32_t next = group->leases[bid].next;

		len -= group->buf_bytes;
		loop->stats.bundled++;
		serve(loop, op, group->buf_bytes, bid);
		bid = next;
	}
	serve(loop, op, len, bid);
}

static void on_bytes(struct weir_loop *loop, struct weir_op *op, uint32_t len, uint32_t bid)
{
	if (len > op_group(op)->buf_bytes)
		on_bundle(loop, op, len, bid);
	else
		io_event_lease(loop, op, len, bid, true);
}

static void on_pool(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags)
{
	struct io_group *group = op_group(op);
	uint32_t bid = flags >> IORING_CQE_BUFFER_SHIFT;
	bool end;

	uring_of(loop)->news++;
	if (res == -ENOBUFS) {
		io_event_nobufs(loop, op);
		return;
	}
	end = res < 0 || io_pool_end(loop, op, group->leases[bid].data, (uint32_t)res);
	/* One that is filled in pieces is the kernel's until it is full, whatever this says. */
	if (flags & IORING_CQE_F_BUFFER && (end || !res) && !group->incremental)
		uring_group_put(loop, group, bid);
	if (end) {
		io_event(loop, op, res < 0 ? res : 0, false);
		return;
	}
	if (res)
		on_bytes(loop, op, (uint32_t)res, bid);
	else
		io_event(loop, op, 0, true);
	if (!(flags & IORING_CQE_F_MORE))
		io_event_again(loop, op);
}

/*
 * A multishot poll. The kernel may end it although it was not asked to, and does so
 * at once with what is always ready.
 */
static void on_poll(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags)
{
	int fd;

	io_event(loop, op, res, res >= 0);
	if (res < 0 || flags & IORING_CQE_F_MORE)
		return;
	fd = op_fd(loop, op);
	if (op->lib_end == OP_END_NONE && fd >= 0 && !uring_has_edges(loop, fd))
		io_event(loop, op, -EINVAL, false);
	else
		io_event_again(loop, op);
}

static void on_odd(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags)
{
	if (op->opcode == WEIR_OP_ACCEPT)
		uring_on_accept(loop, op, res, flags);
	else if (op_opens(op) && !op_opens_plain(op))
		uring_on_open(loop, op, res);
	else if (op->flags & WEIR_OPF_MULTISHOT)
		on_poll(loop, op, res, flags);
	else if (is_installing(op))
		uring_on_installed(loop, op, res);
	else
		io_event(loop, op, res == -ERESTARTSYS ? -EINTR : res, false);
}

static void on_op(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags)
{
	op_lengthen(op);
	if (op_group(op))
		on_pool(loop, op, res, flags);
	else
		on_odd(loop, op, res, flags);
}

/* What is no operation of a user. */
static bool on_other(struct weir_loop *loop, uint64_t data, int res, uint32_t flags)
{
	switch (uring_kind(data)) {
	case KIND_OP:
		loop->stats.stale++;
		break;
	case KIND_WAKE:
		on_wake(loop);
		break;
	case KIND_BELL:
		/* Before posts_run() looks: see lib/io/post.c. */
		atomic_store(&loop->bell, false);
		break;
	case KIND_BELL_LOST:
		uring_on_bell_lost(loop, uring_value(data), res);
		break;
	case KIND_ARRIVED:
		uring_on_arrived(loop, uring_value(data), res);
		return true;
	case KIND_SENT:
		uring_on_sent(loop, uring_value(data), res);
		break;
	case KIND_LENT:
		return uring_on_lent(loop, (uint32_t)data, res, flags);
	case KIND_QUIET:
		break;
	}
	return false;
}

/* Does it end well what went the short way? Without bytes it is an end of another kind. */
static inline bool is_short(const struct weir_op *op, int res)
{
	return op->lib_state == OP_SHORT && (res > 0 || (!res && op->opcode == WEIR_OP_NOP));
}

/* Did a receive that goes on get bytes in one buffer of its own? What is seen most. */
static inline bool is_served(const struct weir_op *op, int res, uint32_t flags)
{
	const struct io_group *group = (const void *)op->xfer.pool;

	/* None but those that have a pool get a buffer. */
	return flags & IORING_CQE_F_BUFFER && flags & IORING_CQE_F_MORE &&
	       op->opcode == WEIR_OP_RECV && (uint32_t)res - 1 < group->buf_bytes &&
	       !group->incremental;
}

int uring_dispatch(struct weir_loop *loop)
{
	struct io_uring_cq *cq = &uring_of(loop)->ring.cq;
	unsigned int head = *cq->khead;
	/* Those that come meanwhile wait for the next turn: it stays bounded. */
	unsigned int end = io_uring_smp_load_acquire(cq->ktail);
	unsigned int mask = *cq->kring_mask;
	int events = 0;

	while (head != end) {
		const struct io_uring_cqe *at = &cq->cqes[head & mask];
		/* One by one, as they were stored: a wider load would wait for them. */
		uint64_t data = IO_URING_READ_ONCE(at->user_data);
		int res = IO_URING_READ_ONCE(at->res);
		uint32_t flags = IO_URING_READ_ONCE(at->flags);
		uint32_t index = (uint32_t)data;
		const struct io_slot *slot = &loop->slots[index];

		io_uring_smp_store_release(cq->khead, ++head);
		if (index >= loop->slots_max || slot->gen != data >> URING_KIND_SHIFT) {
			events += on_other(loop, data, res, flags);
			continue;
		}
		events++;
		if (is_short(slot->op, res))
			short_end(loop, slot->op, index, res);
		else if (is_served(slot->op, res, flags))
			on_served(loop, slot->op, (uint32_t)res, flags >> IORING_CQE_BUFFER_SHIFT);
		else
			on_op(loop, slot->op, res, flags);
	}
	return events;
}

static int uring_start(struct weir_loop *loop)
{
	int err = uring_enable(loop);

	if (!err)
		wake_arm(loop);
	return err;
}

const struct weir_backend weir_backend_uring = {
	.name		= "uring",
	.sys		= &io_sys_linux,
	.fixed_files	= 1,
	.open		= uring_open,
	.enable		= uring_start,
	.close		= uring_close,
	.submit		= uring_submit,
	.queue		= uring_queue,
	.commit		= uring_commit,
	.reap		= uring_reap,
	.cancel		= uring_cancel,
	.adopt		= uring_adopt,
	.group_open	= uring_group_open,
	.group_close	= uring_group_close,
	.group_put	= uring_group_put,
	.fd		= uring_fd,
	.pending	= uring_pending,
	.bell		= uring_bell,
	.reserve	= uring_reserve,
	.send_file	= uring_send_file,
};
