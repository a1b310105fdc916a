// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * probe_ring.c - what a ring can do by itself, tried
 */
#include <errno.h>
#include <linux/time_types.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/probe.h"

enum {
	ENTRIES		= 16,
	OWNER_FLAGS	= URING_SINGLE_ISSUER | URING_DEFER_TASKRUN,
	MIN_WAIT_US	= 2000,
};

static int ring_open(struct io_uring *ring, unsigned int flags, uint32_t *features)
{
	struct io_uring_params params = { .flags = flags };
	int err = io_uring_queue_init_params(ENTRIES, ring, &params);

	if (!err && features)
		*features = params.features;
	return err;
}

static int try_setup(unsigned int flags)
{
	struct io_uring ring;
	int err = ring_open(&ring, flags, NULL);

	if (!err)
		io_uring_queue_exit(&ring);
	return err;
}

int probe_wait(struct probe *probe, struct io_uring_cqe *cqe, uint64_t data)
{
	struct __kernel_timespec second = { .tv_sec = 1 };
	struct io_uring_cqe *seen;
	int err;

	do {
		err = io_uring_submit_and_wait_timeout(&probe->ring, &seen, 1, &second, NULL);
		if (err < 0 && err != -ETIME)
			return err;
		err = io_uring_peek_cqe(&probe->ring, &seen);
		if (err)
			return err == -EAGAIN ? -ETIME : err;
		*cqe = *seen;
		io_uring_cqe_seen(&probe->ring, seen);
	} while (cqe->user_data != data);
	return 0;
}

/* The ring of all other probes is as weir's own, if it can be. */
int probe_setup(struct probe *probe)
{
	int err = ring_open(&probe->ring, OWNER_FLAGS, &probe->features);

	return err == -EINVAL ? ring_open(&probe->ring, 0, &probe->features) : err;
}

void probe_close(struct probe *probe)
{
	io_uring_queue_exit(&probe->ring);
}

int probe_owner(struct probe *probe)
{
	return try_setup(OWNER_FLAGS);
}

int probe_disabled(struct probe *probe)
{
	struct io_uring ring;
	int err = ring_open(&ring, IORING_SETUP_R_DISABLED, NULL);

	if (err)
		return err;
	err = io_uring_register(ring.ring_fd, URING_REGISTER_ENABLE_RINGS, NULL, 0);
	io_uring_queue_exit(&ring);
	return err < 0 ? err : 0;
}

int probe_ring_fd(struct probe *probe)
{
	struct io_uring ring;
	int err = ring_open(&ring, 0, NULL);

	if (err)
		return err;
	err = io_uring_register_ring_fd(&ring);
	io_uring_queue_exit(&ring);
	return err < 0 ? err : err != 1 ? -ENODATA : 0;
}

static uint64_t now_us(void)
{
	return clock_ns() / NSEC_PER_USEC;
}

static int enter(const struct io_uring *ring, unsigned int count, unsigned int min,
		 unsigned int flags, const void *arg, size_t bytes)
{
	long ret = syscall(__NR_io_uring_enter, ring->ring_fd, count, min,
			   IORING_ENTER_GETEVENTS | flags, arg, bytes);

	return ret < 0 ? -errno : (int)ret;
}

/* A nop to be submitted by enter() above, which liburing would do itself. */
static void nop_ready(struct io_uring *ring)
{
	io_uring_prep_nop(io_uring_get_sqe(ring));
	io_uring_smp_store_release(ring->sq.ktail, ring->sq.sqe_tail);
	ring->sq.sqe_head = ring->sq.sqe_tail;
}

static int nop_came(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;

	if (io_uring_peek_cqe(ring, &cqe))
		return -ENODATA;
	io_uring_cqe_seen(ring, cqe);
	return 0;
}

/* Two are wanted and one is there: it must wait the minimum, and not the second. */
int probe_min_wait(struct probe *probe)
{
	struct __kernel_timespec second = { .tv_sec = 1 };
	struct uring_wait_arg arg = { .min_wait_usec = MIN_WAIT_US, .ts = (uintptr_t)&second };
	uint64_t begin = now_us(), waited_us;
	int err;

	if (!(probe->features & URING_FEAT_MIN_TIMEOUT))
		return -EOPNOTSUPP;
	nop_ready(&probe->ring);
	err = enter(&probe->ring, 1, 2, IORING_ENTER_EXT_ARG, &arg, sizeof(arg));
	waited_us = now_us() - begin;
	if (err < 0 && err != -ETIME)
		return err;
	err = nop_came(&probe->ring);
	return err || waited_us >= MIN_WAIT_US * 9 / 10 ? err : -ENODATA;
}

int probe_no_iowait(struct probe *probe)
{
	int err;

	if (!(probe->features & URING_FEAT_NO_IOWAIT))
		return -EOPNOTSUPP;
	nop_ready(&probe->ring);
	err = enter(&probe->ring, 1, 1, URING_ENTER_NO_IOWAIT, NULL, 0);
	return err < 0 ? err : nop_came(&probe->ring);
}

/* A wait of nothing for a millisecond, its arguments registered. */
static int wait_registered(struct io_uring *ring, struct uring_reg_wait *wait)
{
	struct uring_region region = {
		.user_addr = (uintptr_t)wait,
		.size = (uint64_t)sysconf(_SC_PAGESIZE),
		.flags = URING_REGION_USER,
	};
	struct uring_region_reg reg = {
		.region = (uintptr_t)&region,
		.flags = URING_REGION_WAIT,
	};
	uint64_t begin;
	int err;

	err = io_uring_register((unsigned int)ring->ring_fd, URING_REGISTER_MEM_REGION, &reg, 1);
	if (!err)
		err = io_uring_register((unsigned int)ring->ring_fd, URING_REGISTER_ENABLE_RINGS,
					NULL, 0);
	if (err < 0)
		return err;
	wait->ts.tv_nsec = 1000000;
	wait->flags = URING_WAIT_TS;
	begin = now_us();
	err = enter(ring, 0, 1, IORING_ENTER_EXT_ARG | URING_ENTER_EXT_ARG_REG, NULL,
		    sizeof(*wait));
	if (err != -ETIME)
		return err < 0 ? err : -ENODATA;
	return now_us() - begin < 900 ? -ENODATA : 0;
}

int probe_wait_reg(struct probe *probe)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct io_uring ring;
	void *mem;
	int err;

	mem = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return -ENOMEM;
	err = ring_open(&ring, IORING_SETUP_R_DISABLED, NULL);
	if (!err) {
		err = wait_registered(&ring, mem);
		io_uring_queue_exit(&ring);
	}
	munmap(mem, page);
	return err;
}

/* A message to itself. */
int probe_msg_ring(struct probe *probe)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&probe->ring);
	struct io_uring_cqe cqe;
	int err;

	io_uring_prep_msg_ring(sqe, probe->ring.ring_fd, 7, PROBE_ONE, 0);
	sqe->user_data = PROBE_BACKGROUND;
	err = probe_wait(probe, &cqe, PROBE_ONE);
	if (err)
		return err;
	return cqe.res == 7 ? 0 : -ENODATA;
}

int probe_sqpoll(struct probe *probe)
{
	return try_setup(IORING_SETUP_SQPOLL);
}

int probe_napi(struct probe *probe)
{
	struct uring_napi napi = { .busy_poll_us = 1 };
	struct io_uring ring;
	int err = ring_open(&ring, 0, NULL);

	if (err)
		return err;
	err = io_uring_register((unsigned int)ring.ring_fd, URING_REGISTER_NAPI, &napi, 1);
	io_uring_queue_exit(&ring);
	return err < 0 ? err : 0;
}
