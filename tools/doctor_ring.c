// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* doctor_ring.c - a small ring without liburing: io_uring_setup(2) */
#include <errno.h>
#include <linux/time_types.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common.h"
#include "doctor_ring.h"

#define ENTRIES	8

/* struct io_uring_getevents_arg with the field that headers of 6.1 lack. */
struct wait_arg {
	__u64 sigmask;
	__u32 sigmask_bytes;
	__u32 min_wait_us;
	__u64 timeout;
};

int raw_ring_register(struct ring *ring, unsigned int opcode, void *arg, unsigned int n)
{
	int ret = (int)syscall(SYS_io_uring_register, ring->fd, opcode, arg, n);

	return ret < 0 ? -errno : ret;
}

static size_t rings_size(const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(__u32);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);

	return sq > cq ? sq : cq;
}

int raw_ring_open(struct ring *ring, unsigned int flags)
{
	int err;

	memset(ring, 0, sizeof(*ring));
	ring->params.flags = flags;
	ring->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &ring->params);
	if (ring->fd < 0)
		return -errno;
	ring->rings_bytes = rings_size(&ring->params);
	ring->rings = mmap(NULL, ring->rings_bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
	if (ring->rings == MAP_FAILED) {
		err = -errno;
		goto close_fd;
	}
	ring->sqes_bytes = ring->params.sq_entries * sizeof(struct io_uring_sqe);
	ring->sqes = mmap(NULL, ring->sqes_bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (ring->sqes == MAP_FAILED) {
		err = -errno;
		goto unmap_rings;
	}
	return 0;

unmap_rings:
	munmap(ring->rings, ring->rings_bytes);
close_fd:
	close(ring->fd);
	ring->fd = -1;
	return err;
}

void raw_ring_close(struct ring *ring)
{
	munmap(ring->sqes, ring->sqes_bytes);
	munmap(ring->rings, ring->rings_bytes);
	close(ring->fd);
}

static __u32 *field(struct ring *ring, __u32 offset)
{
	return (__u32 *)(void *)(ring->rings + offset);
}

struct io_uring_sqe *raw_ring_sqe(struct ring *ring)
{
	__u32 *tail = field(ring, ring->params.sq_off.tail);
	__u32 *array = field(ring, ring->params.sq_off.array);
	__u32 at = *tail & (ring->params.sq_entries - 1);

	memset(&ring->sqes[at], 0, sizeof(ring->sqes[at]));
	array[at] = at;
	/* The kernel reads it in the enter call of this same thread. */
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	ring->queued++;
	return &ring->sqes[at];
}

static bool take_cqe(struct ring *ring, struct io_uring_cqe *cqe)
{
	struct io_uring_cqe *cqes = (void *)(ring->rings + ring->params.cq_off.cqes);
	__u32 *head = field(ring, ring->params.cq_off.head);
	__u32 tail = __atomic_load_n(field(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE);

	if (*head == tail)
		return false;
	memcpy(cqe, &cqes[*head & (ring->params.cq_entries - 1)], sizeof(*cqe));
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return true;
}

int raw_ring_wait(struct ring *ring, struct io_uring_cqe *cqe, unsigned int flags,
		  unsigned int min_wait_us)
{
	struct __kernel_timespec limit = { .tv_sec = 1 };
	struct wait_arg arg = {
		.sigmask_bytes = 8,
		.min_wait_us = min_wait_us,
		.timeout = (__u64)(uintptr_t)&limit,
	};
	long ret;

	if (!ring->queued && take_cqe(ring, cqe))
		return 0;
	ret = syscall(SYS_io_uring_enter, ring->fd, ring->queued, 1,
		      IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG | flags, &arg, sizeof(arg));
	if (ret < 0)
		return -errno;
	ring->queued -= (unsigned int)ret;
	return take_cqe(ring, cqe) ? 0 : -ETIME;
}
