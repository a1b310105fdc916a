// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring.c - operations over io_uring: the short way, queue, cancel
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/group.h"
#include "io/ops.h"
#include "io/short.h"
#include "io/uring.h"

enum {
	SHORT_BYTES	= 1 << 14,	/* with more, the bytes are what costs */
};

_Static_assert(SLOT_DATA_FIRST == (uint64_t)KIND_OP << URING_KIND_SHIFT,
	       "what an op is called says that it is one");
_Static_assert(IOSQE_FIXED_FILE == 1 && offsetof(struct io_uring_sqe, fd) == 4 &&
	       sizeof(struct io_target) == 8, "an entry begins with its target");

static uint64_t data_of(const struct weir_loop *loop, const struct weir_op *op)
{
	return loop->slots[op->lib_slot].data;
}

/* queue and cancel */

static void set_file(struct weir_loop *loop, struct weir_file file, struct io_uring_sqe *sqe)
{
	const struct io_target *target = &loop->files[file.index].target;

	sqe->fd = target->fd;
	sqe->flags |= target->flags;
}

void uring_fill(struct weir_loop *loop, struct weir_op *op, struct io_uring_sqe *sqe)
{
	if (uring_is_installing(op))
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
		if (op_group(op) && loop->files[op->file.index].hints & IO_HINT_UNIX)
			op->lib_priv |= RECV_COUNTED;
	}
	u->inline_ops += queued == IO_QUEUED_PENDING && def->flags & IO_OPF_INLINE;
	return queued;
}

/* the short way: see io/short.h */

/* A kind of entry that goes it, known where it is compiled. */
struct short_kind {
	uint8_t sqe;
	bool on_file;	/* or it has neither file nor bytes */
	bool is_inline;	/* IO_OPF_INLINE */
	int msg_flags;
};

/* The whole of an entry, whatever was in it before. */
static __always_inline void fill_short(struct io_uring_sqe *sqe, const struct io_target *target,
				       const struct short_kind *kind, const struct weir_op *op)
{
	struct io_target head = *target;

	head.opcode = kind->sqe;
	memcpy(sqe, &head, sizeof(head));
	sqe->off = 0;
	sqe->addr = kind->on_file ? (uintptr_t)op->xfer.buf : 0;
	sqe->len = kind->on_file ? op->len : 0;
	sqe->msg_flags = (uint32_t)kind->msg_flags;
	sqe->buf_index = 0;
	sqe->personality = 0;
	sqe->file_index = 0;
	sqe->addr3 = 0;
	sqe->__pad2[0] = 0;
}

/* May the bytes that @op names go as they are? What is wrong or large has a longer way. */
static __always_inline bool is_plain(const struct weir_op *op, const struct short_kind *kind)
{
	if (!kind->on_file)
		return !op->len;
	return op->xfer.buf && !((uintptr_t)op->xfer.pool | (uint32_t)op->xfer.msg_flags) &&
	       op->len <= SHORT_BYTES;
}

/* Has the kernel taken so many entries that there is room for one at @tail? */
static __always_inline bool sq_room(struct uring *u, uint32_t tail)
{
	const struct io_uring_sq *sq = &u->ring.sq;

	/* What it had taken when somebody last looked is the less. */
	if ((int32_t)(tail - u->tail_end) < 0)
		return true;
	u->tail_end = io_uring_smp_load_acquire(sq->khead) + sq->ring_entries;
	return tail != u->tail_end;
}

static __always_inline bool may_go(const struct weir_loop *loop, const struct weir_op *op)
{
	return !(op->deadline_ns | (uintptr_t)op->token) && op->lib_magic != OP_MAGIC_BUSY &&
	       op->done && loop->slots_used < loop->slots_budget;
}

static __always_inline void submit_short(struct weir_loop *loop, struct weir_op *op,
					 const char *where, struct short_kind kind)
{
	static const struct io_target none = { .fd = -1 };
	struct uring *u = uring_of(loop);
	struct io_uring_sq *sq = &u->ring.sq;
	struct io_file *file = kind.on_file ? io_file_get(loop, op->file) : NULL;
	struct io_uring_sqe *sqe;
	uint32_t tail = sq->sqe_tail;

	if ((kind.on_file && !file) || !may_go(loop, op) || !is_plain(op, &kind) ||
	    !sq_room(u, tail)) {
		op_submit(loop, op, where);
		return;
	}
	assert_owner(loop);
	sqe = &sq->sqes[tail & sq->ring_mask];
	sq->sqe_tail = tail + 1;
	fill_short(sqe, file ? &file->target : &none, &kind, op);
	sqe->user_data = short_start(loop, op, file, where)->data;
	u->inline_ops += kind.is_inline;
}

static void uring_submit(struct weir_loop *loop, struct weir_op *op, const char *where)
{
	switch (op->opcode | op->flags << 8) {
	case WEIR_OP_RECV:
		submit_short(loop, op, where, (struct short_kind){
			.sqe = IORING_OP_RECV, .on_file = true });
		break;
	case WEIR_OP_SEND:
		submit_short(loop, op, where, (struct short_kind){
			.sqe = IORING_OP_SEND, .on_file = true, .is_inline = true,
			.msg_flags = MSG_NOSIGNAL });
		break;
	case WEIR_OP_NOP:
		submit_short(loop, op, where, (struct short_kind){
			.sqe = IORING_OP_NOP, .is_inline = true });
		break;
	default:
		op_submit(loop, op, where);
	}
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

static int uring_start(struct weir_loop *loop)
{
	int err = uring_enable(loop);

	if (!err)
		uring_wake_arm(loop);
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
	.brought	= uring_brought,
	.send_file	= uring_send_file,
};
