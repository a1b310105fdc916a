/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_DOCTOR_RING_H
#define WEIR_TOOLS_DOCTOR_RING_H

/*
 * A ring of eight entries by bare system calls, so that the doctor sees what
 * the kernel says and nothing that a library made of it.
 */

#include <linux/io_uring.h>
#include <stddef.h>

struct ring {
	int fd;
	struct io_uring_params params;
	char *rings;		/* submission and completion queue */
	size_t rings_bytes;
	struct io_uring_sqe *sqes;
	size_t sqes_bytes;
	unsigned int queued;	/* prepared and not submitted */
};

/* raw_ring_open() - Return: 0 or -errno of io_uring_setup(2). */
int raw_ring_open(struct ring *ring, unsigned int flags);
void raw_ring_close(struct ring *ring);

/* raw_ring_sqe() - the next entry, zeroed; at most eight between two waits. */
struct io_uring_sqe *raw_ring_sqe(struct ring *ring);

/*
 * raw_ring_wait() - submit, wait for one completion, at most a second
 * @flags: more flags for io_uring_enter(2)
 * @min_wait_us: minimum wait
 * Return: 0, or -errno (-ETIME when none came).
 */
int raw_ring_wait(struct ring *ring, struct io_uring_cqe *cqe, unsigned int flags,
		  unsigned int min_wait_us);

/* raw_ring_register() - io_uring_register(2). Return: as it, or -errno. */
int raw_ring_register(struct ring *ring, unsigned int opcode, void *arg, unsigned int n);

#endif /* WEIR_TOOLS_DOCTOR_RING_H */
