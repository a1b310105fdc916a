// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * optable.c - the roof over the op families: one row per operation
 */
#include <poll.h>
#include <sys/socket.h>

#include "io/ops.h"

#ifdef CONFIG_URING
#include "io/uring_abi.h"
#endif

const struct weir_op_def weir_op_defs[] = {
	[WEIR_OP_NOP] = {
		.name	= "nop",
		.flags	= IO_OPF_INLINE,
		OP_PREP(nop_prep, IORING_OP_NOP),
		.try	= nop_try,
	},
	[WEIR_OP_TIMEOUT] = {
		.name	= "timeout",	/* the loop does it alone */
	},
	[WEIR_OP_POLL] = {
		.name	= "poll",
		.wait	= POLLIN | POLLOUT | POLLPRI,
		.flags	= IO_OPF_FILE | IO_OPF_MULTI,
		.check	= poll_check,
		OP_PREP(poll_prep, IORING_OP_POLL_ADD),
		.try	= poll_try,
	},
	[WEIR_OP_ACCEPT] = {
		.name	= "accept",
		.wait	= POLLIN,
		.flags	= IO_OPF_FILE | IO_OPF_MULTI | IO_OPF_OPENS,
		OP_PREP(accept_prep, IORING_OP_ACCEPT),
		.try	= accept_try,
	},
	[WEIR_OP_CONNECT] = {
		.name	= "connect",
		.wait	= POLLOUT,
		.flags	= IO_OPF_OPENS | IO_OPF_MAYFILE,
		.check	= addr_check,
		OP_PREP(connect_prep, IORING_OP_CONNECT),
		.try	= connect_try,
	},
	[WEIR_OP_RECV] = {
		.name	= "recv",
		.wait	= POLLIN,
		.flags	= IO_OPF_FILE | IO_OPF_MULTI | IO_OPF_POOL | IO_OPF_IN | IO_OPF_MSG,
		.msg_flags = MSG_NOSIGNAL | MSG_PEEK,
		.check	= xfer_check,
		OP_PREP(recv_prep, IORING_OP_RECV),
		.try	= recv_try,
		.fill	= recv_fill,
	},
	[WEIR_OP_SEND] = {
		.name	= "send",
		.wait	= POLLOUT,
		.flags	= IO_OPF_FILE | IO_OPF_OUT | IO_OPF_MSG | IO_OPF_INLINE,
		.msg_flags = MSG_NOSIGNAL | MSG_MORE,
		.check	= send_check,
		OP_PREP(send_prep, IORING_OP_SEND),
		.try	= send_try,
	},
	[WEIR_OP_READ] = {
		.name	= "read",
		.flags	= IO_OPF_FILE | IO_OPF_MULTI | IO_OPF_POOL | IO_OPF_BLOCKS | IO_OPF_IN,
		.check	= read_check,
		OP_PREP(read_prep, IORING_OP_READ),
		.try	= read_try,
		.fill	= read_fill,
	},
	[WEIR_OP_WRITE] = {
		.name	= "write",
		.flags	= IO_OPF_FILE | IO_OPF_BLOCKS | IO_OPF_OUT,
		.check	= xfer_check,
		OP_PREP(write_prep, IORING_OP_WRITE),
		.try	= write_try,
	},
	[WEIR_OP_SHUTDOWN] = {
		.name	= "shutdown",
		.flags	= IO_OPF_FILE | IO_OPF_INLINE,
		OP_PREP(shutdown_prep, IORING_OP_SHUTDOWN),
		.try	= shutdown_try,
	},
	[WEIR_OP_GETSOCKOPT] = {
		.name	= "getsockopt",
		.flags	= IO_OPF_FILE | IO_OPF_NOW | IO_OPF_INLINE | IO_OPF_ELSEWHERE,
		.check	= sockopt_check,
		OP_PREP(getsockopt_prep, URING_OP_URING_CMD),
		.try	= getsockopt_try,
	},
	[WEIR_OP_WORK] = {
		.name	= "work",
		.flags	= IO_OPF_BLOCKS | IO_OPF_ELSEWHERE,
		.check	= work_check,
		.try	= work_try,
	},
	[WEIR_OP_SOCKET] = {
		.name	= "socket",
		.flags	= IO_OPF_OPENS,
		OP_PREP(socket_prep, IORING_OP_SOCKET),
		.try	= socket_try,
	},
	[WEIR_OP_BIND] = {
		.name	= "bind",
		.flags	= IO_OPF_FILE | IO_OPF_NOW | IO_OPF_INLINE | IO_OPF_ELSEWHERE,
		.check	= addr_check,
		OP_PREP(bind_prep, URING_OP_BIND),
		.try	= bind_try,
	},
	[WEIR_OP_LISTEN] = {
		.name	= "listen",
		.flags	= IO_OPF_FILE | IO_OPF_NOW | IO_OPF_INLINE | IO_OPF_ELSEWHERE,
		OP_PREP(listen_prep, URING_OP_LISTEN),
		.try	= listen_try,
	},
	[WEIR_OP_RECVMSG] = {
		.name	= "recvmsg",
		.wait	= POLLIN,
		.flags	= IO_OPF_FILE | IO_OPF_MULTI | IO_OPF_POOL | IO_OPF_IN | IO_OPF_MSG |
			  IO_OPF_HEADED,
		.msg_flags = MSG_NOSIGNAL | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE,
		.check	= msg_check,
		OP_PREP(recvmsg_prep, IORING_OP_RECVMSG),
		.try	= recvmsg_try,
		.fill	= recvmsg_fill,
	},
	[WEIR_OP_SENDMSG] = {
		.name	= "sendmsg",
		.wait	= POLLOUT,
		.flags	= IO_OPF_FILE | IO_OPF_OUT | IO_OPF_MSG | IO_OPF_INLINE,
		.msg_flags = MSG_NOSIGNAL | MSG_MORE,
		.check	= msg_check,
		OP_PREP(sendmsg_prep, IORING_OP_SENDMSG),
		.try	= sendmsg_try,
	},
	[WEIR_OP_SETSOCKOPT] = {
		.name	= "setsockopt",
		.flags	= IO_OPF_FILE | IO_OPF_NOW | IO_OPF_INLINE | IO_OPF_ELSEWHERE,
		.check	= sockopt_check,
		OP_PREP(setsockopt_prep, URING_OP_URING_CMD),
		.try	= setsockopt_try,
	},
	[WEIR_OP_INSTALL] = {
		.name	= "install",
		.flags	= IO_OPF_FILE | IO_OPF_NOW | IO_OPF_INLINE | IO_OPF_ELSEWHERE,
		OP_PREP(install_prep, URING_OP_FIXED_FD_INSTALL),
		.try	= install_try,
	},
	[WEIR_OP_OPEN] = {
		.name	= "open",
		.flags	= IO_OPF_OPENS | IO_OPF_PLAIN | IO_OPF_BLOCKS | IO_OPF_ELSEWHERE,
		.check	= open_check,
		OP_PREP(open_prep, IORING_OP_OPENAT),
		.try	= open_try,
	},
	[WEIR_OP_READV] = {
		.name	= "readv",
		.flags	= IO_OPF_FILE | IO_OPF_BLOCKS | IO_OPF_IN,
		.check	= vector_check,
		OP_PREP(readv_prep, IORING_OP_READV),
		.try	= readv_try,
	},
	[WEIR_OP_WRITEV] = {
		.name	= "writev",
		.flags	= IO_OPF_FILE | IO_OPF_BLOCKS | IO_OPF_OUT,
		.check	= vector_check,
		OP_PREP(writev_prep, IORING_OP_WRITEV),
		.try	= writev_try,
	},
	[WEIR_OP_FSYNC] = {
		.name	= "fsync",
		.flags	= IO_OPF_FILE | IO_OPF_BLOCKS | IO_OPF_ELSEWHERE,
		.check	= sync_check,
		OP_PREP(fsync_prep, IORING_OP_FSYNC),
		.try	= fsync_try,
	},
	[WEIR_OP_FALLOCATE] = {
		.name	= "fallocate",
		.flags	= IO_OPF_FILE | IO_OPF_BLOCKS | IO_OPF_ELSEWHERE,
		.check	= range_check,
		OP_PREP(fallocate_prep, IORING_OP_FALLOCATE),
		.try	= fallocate_try,
	},
	[WEIR_OP_FTRUNCATE] = {
		.name	= "ftruncate",
		.flags	= IO_OPF_FILE | IO_OPF_BLOCKS | IO_OPF_ELSEWHERE,
		.check	= range_check,
		OP_PREP(ftruncate_prep, URING_OP_FTRUNCATE),
		.try	= ftruncate_try,
	},
	[WEIR_OP_STATX] = {
		.name	= "statx",
		.flags	= IO_OPF_MAYFILE | IO_OPF_BLOCKS | IO_OPF_ELSEWHERE,
		.check	= statx_check,
		OP_PREP(statx_prep, IORING_OP_STATX),
		.try	= statx_try,
	},
	[WEIR_OP_UNLINK] = {
		.name	= "unlink",
		.flags	= IO_OPF_BLOCKS | IO_OPF_ELSEWHERE,
		.check	= path_check,
		OP_PREP(unlink_prep, IORING_OP_UNLINKAT),
		.try	= unlink_try,
	},
	[WEIR_OP_RENAME] = {
		.name	= "rename",
		.flags	= IO_OPF_BLOCKS | IO_OPF_ELSEWHERE,
		.check	= rename_check,
		OP_PREP(rename_prep, IORING_OP_RENAMEAT),
		.try	= rename_try,
	},
	[WEIR_OP_MKDIR] = {
		.name	= "mkdir",
		.flags	= IO_OPF_BLOCKS | IO_OPF_ELSEWHERE,
		.check	= path_check,
		OP_PREP(mkdir_prep, IORING_OP_MKDIRAT),
		.try	= mkdir_try,
	},
	[WEIR_OP_SPLICE] = {
		.name	= "splice",
		.wait	= POLLIN | POLLOUT,
		.flags	= IO_OPF_FILE | IO_OPF_TWO | IO_OPF_BLOCKS | IO_OPF_OUT,
		.check	= splice_check,
		OP_PREP(splice_prep, IORING_OP_SPLICE),
		.try	= splice_try,
	},
	[WEIR_OP_FADVISE] = {
		.name	= "fadvise",
		.flags	= IO_OPF_FILE | IO_OPF_BLOCKS | IO_OPF_ELSEWHERE,
		.check	= range_check,
		OP_PREP(fadvise_prep, IORING_OP_FADVISE),
		.try	= fadvise_try,
	},
	[WEIR_OP_CLOSE] = {
		.name	= "close",
		.flags	= IO_OPF_FILE | IO_OPF_ENDS | IO_OPF_INLINE,
		OP_PREP(close_prep, IORING_OP_CLOSE),
		.try	= close_try,
	},
};

_Static_assert(ARRAY_SIZE(weir_op_defs) == WEIR_OP_MAX, "one row per operation");
