/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * uring_abi.h - what the kernel has and liburing 2.3 has not
 *
 * Values are the kernel's ABI (include/uapi/linux/io_uring.h of 6.18); the
 * names differ so that newer headers do not clash. Whether a feature is there
 * is told by the ring's feature bits or by trying, never by a version.
 */
#ifndef IO_URING_ABI_H
#define IO_URING_ABI_H

#include <liburing.h>
#include <stddef.h>

enum {
	URING_ENTER_NO_IOWAIT		= 1U << 7,	/* 6.15 */
	URING_FEAT_MIN_TIMEOUT		= 1U << 15,	/* 6.12 */
	URING_FEAT_NO_IOWAIT		= 1U << 17,	/* 6.15 */
	URING_SINGLE_ISSUER		= 1U << 12,	/* 6.0 */
	URING_DEFER_TASKRUN		= 1U << 13,	/* 6.1 */
	URING_OP_URING_CMD		= 46,
	URING_MSG_SEND_FD		= 1,		/* 6.0 */
	URING_OP_READ_MULTISHOT		= 49,		/* 6.7 */
	URING_OP_FIXED_FD_INSTALL	= 54,		/* 6.8 */
	URING_OP_FTRUNCATE		= 55,		/* 6.9 */
	URING_OP_BIND			= 56,		/* 6.11 */
	URING_OP_LISTEN			= 57,		/* 6.11 */
	URING_OP_READV_FIXED		= 60,		/* 6.15 */
	URING_OP_WRITEV_FIXED		= 61,		/* 6.15 */
	URING_OPS_MAX			= 64,		/* more than are known here */
	URING_SOCKET_GETSOCKOPT		= 2,		/* 6.7 */
	URING_SOCKET_SETSOCKOPT		= 3,		/* 6.7 */
	URING_REGISTER_ENABLE_RINGS	= 12,
	URING_ENTER_EXT_ARG_REG		= 1U << 6,	/* 6.13 */
	URING_FEAT_BUNDLE		= 1U << 14,	/* 6.10 */
	URING_BUNDLE			= 1U << 4,	/* in ioprio of a recv or send */
	URING_REGISTER_BUF_STATUS	= 26,		/* 6.8 */
	URING_PBUF_INC			= 2,		/* 6.12 */
	URING_CQE_BUF_MORE		= 1U << 4,
	URING_OP_SEND_ZC		= 47,		/* 6.0 */
	URING_SEND_ZC_REPORT		= 1U << 3,	/* 6.2, in ioprio */
	URING_NOTIF_COPIED		= 1U << 31,	/* in res of the notification */
	URING_REGISTER_NAPI		= 27,		/* 6.9 */
	URING_REGISTER_MEM_REGION	= 34,		/* 6.13 */
	URING_REGION_USER		= 1,
	URING_REGION_WAIT		= 1,
	URING_WAIT_TS			= 1,
};

/* struct io_uring_buf_status */
struct uring_buf_status {
	uint32_t bgid;
	uint32_t head;
	uint32_t resv[8];
};

/* struct io_uring_napi */
struct uring_napi {
	uint32_t busy_poll_us;
	uint8_t prefer_busy_poll;
	uint8_t pad[3];
	uint64_t resv;
};

/* struct io_uring_region_desc */
struct uring_region {
	uint64_t user_addr;
	uint64_t size;
	uint32_t flags;
	uint32_t id;
	uint64_t mmap_offset;
	uint64_t resv[4];
};

/* struct io_uring_mem_region_reg */
struct uring_region_reg {
	uint64_t region;
	uint64_t flags;
	uint64_t resv[2];
};

/* struct io_uring_reg_wait: what a registered wait waits for */
struct uring_reg_wait {
	struct __kernel_timespec ts;
	uint32_t min_wait_usec;
	uint32_t flags;
	uint64_t sigmask;
	uint32_t sigmask_sz;
	uint32_t pad[3];
	uint64_t pad2[2];
};

_Static_assert(sizeof(struct uring_region) == 64 && sizeof(struct uring_region_reg) == 32 &&
	       sizeof(struct uring_reg_wait) == 64, "the kernel's structs");

/* struct io_uring_getevents_arg; min_wait_usec was padding before 6.12. */
struct uring_wait_arg {
	uint64_t sigmask;
	uint32_t sigmask_sz;
	uint32_t min_wait_usec;
	uint64_t ts;
};

_Static_assert(sizeof(struct uring_wait_arg) == sizeof(struct io_uring_getevents_arg),
	       "the kernel's struct io_uring_getevents_arg");

/* SOCKET_URING_OP_*SOCKOPT: level and optname stand in addr, optval in addr3. */
static inline void uring_prep_sockopt(struct io_uring_sqe *sqe, int cmd, int level, int name,
				      const void *value, uint32_t len)
{
	io_uring_prep_rw(URING_OP_URING_CMD, sqe, -1, NULL, 0, 0);
	sqe->off = (uint32_t)cmd;
	sqe->addr = (uint32_t)level | (uint64_t)(uint32_t)name << 32;
	sqe->file_index = len;
	sqe->addr3 = (uint64_t)(uintptr_t)value;
}

/* MSG_RING with a file: to any slot of the ring @to, where @data tells of it. */
static inline void uring_prep_send_file(struct io_uring_sqe *sqe, int to, uint32_t file,
					uint64_t data)
{
	io_uring_prep_rw(IORING_OP_MSG_RING, sqe, to, NULL, 0, data);
	sqe->addr = URING_MSG_SEND_FD;
	sqe->addr3 = file;
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

#endif /* IO_URING_ABI_H */
