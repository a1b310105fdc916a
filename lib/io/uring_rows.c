// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_rows.c - which operations a ring carries out, and what is done with the rest
 *
 * A row of the table names the opcode that it needs; the ring was asked which it
 * has. What it lacks is carried out on the file's descriptor, at once or by a
 * thread. A slot has none: it gets one for as long as that takes.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "io/ops.h"
#include "io/uring.h"

_Static_assert(WEIR_OP_MAX <= 64, "a bit for each operation");

static int ask(struct uring *u)
{
	union {
		struct io_uring_probe head;
		unsigned char room[sizeof(struct io_uring_probe) +
				   URING_OPS_MAX * sizeof(struct io_uring_probe_op)];
	} probe = { 0 };
	unsigned int i;
	int err;

	err = io_uring_register_probe(&u->ring, &probe.head, URING_OPS_MAX);
	for (i = 0; i < probe.head.ops_len && i < URING_OPS_MAX && !err; i++) {
		if (probe.head.ops[i].flags & IO_URING_OP_SUPPORTED)
			u->ops |= 1ULL << i;
	}
	return err;
}

int uring_rows_open(struct weir_loop *loop, struct uring *u)
{
	unsigned int i;
	int err;

	err = ask(u);
	if (err) {
		snprintf(loop->reason, sizeof(loop->reason), "asking io_uring what it can do: %s",
			 weir_strerror(err));
		return err;
	}
	for (i = 0; i < WEIR_OP_MAX; i++) {
		const struct weir_op_def *def = &weir_op_defs[i];

		if (def->prep && u->ops >> def->sqe & 1)
			u->rows |= 1ULL << i;
		if (u->rows >> i & 1 || !def->prep)
			continue;
		if (def->flags & IO_OPF_ELSEWHERE) {
			loop_log(loop, WEIR_LOG_INFO, "uring: %s: not the ring's here", def->name);
			continue;
		}
		snprintf(loop->reason, sizeof(loop->reason), "io_uring here has no %s", def->name);
		return -ENOSYS;
	}
	/* As a slot it could not be bound. */
	if (!(u->rows >> WEIR_OP_BIND & 1))
		u->rows &= ~(1ULL << WEIR_OP_SOCKET);
	return 0;
}

/* Of a slot the kernel has no statx, and no options but those of SOL_SOCKET. */
static bool wants_descriptor(const struct weir_op *op)
{
	return op->opcode == WEIR_OP_STATX ||
	       (op->opcode == WEIR_OP_GETSOCKOPT && op->sockopt.level != SOL_SOCKET);
}

/* Has it edges to wait for? A regular file has none; epoll is the one to know. */
bool uring_has_edges(struct weir_loop *loop, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int set = epoll_create1(EPOLL_CLOEXEC);
	bool has;

	loop->stats.syscalls += 3;
	has = set < 0 || !epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) || errno != EPERM;
	if (set >= 0)
		close(set);
	return has;
}

static int done(struct weir_op *op, int res)
{
	op->res = res;
	return IO_QUEUED_DONE;
}

int uring_elsewhere(struct weir_loop *loop, struct weir_op *op)
{
	const struct weir_op_def *def = op_def(op);
	bool ours = uring_of(loop)->rows >> op->opcode & 1;
	int fd = op_fd(loop, op);
	int err;

	if (op_has_file(op) && fd < 0) {
		if (ours && !wants_descriptor(op))
			return -ENOSYS;
		if (!uring_has(loop, URING_OP_FIXED_FD_INSTALL))
			return done(op, -EOPNOTSUPP);
		op->lib_priv = OP_INSTALLING;
		return -ENOSYS;
	}
	if (ours && !(def->flags & IO_OPF_NOW && fd >= 0))
		return -ENOSYS;
	if (!(def->flags & IO_OPF_BLOCKS))
		return done(op, def->try(loop, op, fd));
	/* Not into op->res: a thread may have it already. */
	err = io_offload(loop, op);
	return err ? done(op, err) : IO_QUEUED_PENDING;
}

static int through_descriptor(struct weir_loop *loop, struct weir_op *op, int fd)
{
	int res = op->lib_end == OP_END_NONE ? op_def(op)->try(loop, op, fd) : -ECANCELED;

	loop->sys->close(loop, fd);
	return res;
}

void uring_on_installed(struct weir_loop *loop, struct weir_op *op, int res)
{
	op->lib_priv = 0;
	if (res >= 0 && op_def(op)->flags & IO_OPF_BLOCKS && op->lib_end == OP_END_NONE) {
		op->lib_priv = OP_FD + (uint32_t)res;
		res = io_offload(loop, op);
		if (!res)
			return;
		close((int)(op->lib_priv - OP_FD));
	} else if (res >= 0) {
		res = through_descriptor(loop, op, res);
	}
	io_event(loop, op, res, false);
}
