/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * ops.h - the op families' halves of the table in lib/optable.c
 *
 * A prep fills in a submission entry but for the descriptor, the fixed-file
 * flag and user_data, which are the backend's. A try does the op once without
 * blocking. See io/backend.h.
 */
#ifndef IO_OPS_H
#define IO_OPS_H

#include "io/backend.h"

#ifdef CONFIG_URING
#define OP_PREP(fn, opcode)	.prep = fn, .sqe = (opcode)
#define OP_PREP_DECLARE(fn) \
	void fn(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
#else
/* They need liburing. */
#define OP_PREP(...)	.prep = NULL
#define OP_PREP_DECLARE(...)	extern const struct weir_op_def weir_op_defs[]
#endif
#define OP_TRY_DECLARE(fn) \
	int fn(struct weir_loop *loop, struct weir_op *op, int fd)
#define OP_FILL_DECLARE(fn) \
	int fn(struct weir_loop *loop, struct weir_op *op, int fd, void *buf, uint32_t len)
#define OP_CHECK_DECLARE(fn) \
	int fn(const struct weir_loop *loop, const struct weir_op *op)

/* lib/io/ops.c */
OP_PREP_DECLARE(nop_prep);
OP_TRY_DECLARE(nop_try);
OP_CHECK_DECLARE(poll_check);
OP_PREP_DECLARE(poll_prep);
OP_TRY_DECLARE(poll_try);
OP_CHECK_DECLARE(work_check);
OP_TRY_DECLARE(work_try);

/* lib/net/ops.c */
OP_PREP_DECLARE(recv_prep);
OP_TRY_DECLARE(recv_try);
OP_FILL_DECLARE(recv_fill);
OP_PREP_DECLARE(recvmsg_prep);
OP_TRY_DECLARE(recvmsg_try);
OP_FILL_DECLARE(recvmsg_fill);
OP_PREP_DECLARE(sendmsg_prep);
OP_TRY_DECLARE(sendmsg_try);
OP_CHECK_DECLARE(send_check);
OP_PREP_DECLARE(send_prep);
OP_TRY_DECLARE(send_try);
OP_PREP_DECLARE(shutdown_prep);
OP_TRY_DECLARE(shutdown_try);
OP_PREP_DECLARE(getsockopt_prep);
OP_TRY_DECLARE(getsockopt_try);
OP_PREP_DECLARE(setsockopt_prep);
OP_TRY_DECLARE(setsockopt_try);
OP_PREP_DECLARE(install_prep);
OP_TRY_DECLARE(install_try);
OP_CHECK_DECLARE(msg_check);
OP_CHECK_DECLARE(sockopt_check);

/* lib/net/open.c */
OP_CHECK_DECLARE(addr_check);
OP_PREP_DECLARE(socket_prep);
OP_TRY_DECLARE(socket_try);
OP_PREP_DECLARE(bind_prep);
OP_TRY_DECLARE(bind_try);
OP_PREP_DECLARE(listen_prep);
OP_TRY_DECLARE(listen_try);
OP_PREP_DECLARE(accept_prep);
OP_TRY_DECLARE(accept_try);
OP_PREP_DECLARE(connect_prep);
OP_TRY_DECLARE(connect_try);

/* lib/file/ops.c */
OP_PREP_DECLARE(read_prep);
OP_TRY_DECLARE(read_try);
OP_FILL_DECLARE(read_fill);
OP_PREP_DECLARE(write_prep);
OP_TRY_DECLARE(write_try);
OP_PREP_DECLARE(readv_prep);
OP_TRY_DECLARE(readv_try);
OP_PREP_DECLARE(writev_prep);
OP_TRY_DECLARE(writev_try);
OP_PREP_DECLARE(open_prep);
OP_TRY_DECLARE(open_try);
OP_PREP_DECLARE(unlink_prep);
OP_TRY_DECLARE(unlink_try);
OP_PREP_DECLARE(mkdir_prep);
OP_TRY_DECLARE(mkdir_try);
OP_PREP_DECLARE(rename_prep);
OP_TRY_DECLARE(rename_try);
OP_PREP_DECLARE(statx_prep);
OP_TRY_DECLARE(statx_try);
OP_PREP_DECLARE(fsync_prep);
OP_TRY_DECLARE(fsync_try);
OP_PREP_DECLARE(fallocate_prep);
OP_TRY_DECLARE(fallocate_try);
OP_PREP_DECLARE(ftruncate_prep);
OP_TRY_DECLARE(ftruncate_try);
OP_PREP_DECLARE(fadvise_prep);
OP_TRY_DECLARE(fadvise_try);
OP_PREP_DECLARE(splice_prep);
OP_TRY_DECLARE(splice_try);
OP_PREP_DECLARE(close_prep);
OP_TRY_DECLARE(close_try);

/* lib/file/check.c */
OP_CHECK_DECLARE(xfer_check);
OP_CHECK_DECLARE(read_check);
OP_CHECK_DECLARE(vector_check);
OP_CHECK_DECLARE(path_check);
OP_CHECK_DECLARE(open_check);
OP_CHECK_DECLARE(rename_check);
OP_CHECK_DECLARE(statx_check);
OP_CHECK_DECLARE(range_check);
OP_CHECK_DECLARE(sync_check);
OP_CHECK_DECLARE(splice_check);

/* An accept that io_uring carries out for one connection only: op->lib_priv. */
enum { ACCEPT_MULTI = 1, ACCEPT_ONE = 2 };

/* Its slot gets a descriptor, or has got this one less OP_FD: op->lib_priv. */
enum { OP_INSTALLING = 16, OP_FD = 17 };

/* An op that opens a file, on its way: op->lib_priv. Then a connect goes on with it. */
enum { OPEN_NONE, OPEN_FILE, OPEN_CONNECTING };

#endif /* IO_OPS_H */
