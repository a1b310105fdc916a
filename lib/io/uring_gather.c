// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_gather.c - the pieces of a gather as one bundle: a send whose buffers the
 * kernel takes from a ring
 *
 * A send takes the whole ring when it is first tried, ends once, and not before all is
 * sent or an error or a cancel cut it short; then it tells how many bytes went. So the
 * ring is empty again, but for a send that failed before it was tried.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/gather.h"
#include "io/probe.h"
#include "io/uring.h"

static int ring_open(struct weir_loop *loop, struct io_gather *gather, void *ring, uint32_t bgid)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uintptr_t)ring, .ring_entries = GATHER_PIECES,
		.bgid = (uint16_t)bgid,
	};
	int err = io_uring_register_buf_ring(&uring_of(loop)->ring, &reg, 0);

	if (err)
		return err;
	gather->bgid = (uint16_t)bgid;
	list_del(&gather->free);
	gather->ring = ring;
	gather_give(loop, gather);
	return 0;
}

static const char *refusal(const struct weir_loop *loop)
{
	if (loop->opts.flags & WEIR_LOOP_NO_BUNDLE)
		return "switched off";
	return probe_works(PROBE_SEND_BUNDLE) ? NULL : "they do not work here";
}

/* Once a loop has buffers it may have something to send. */
void uring_gather_open(struct weir_loop *loop)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct uring *u = uring_of(loop);
	const char *why;
	uint32_t i;
	int err = 0;

	if (u->gather_known)
		return;
	u->gather_known = true;
	why = refusal(loop);
	if (!why) {
		/* A ring begins with a page. */
		u->gather_rings = mmap(NULL, GATHER_RINGS * page, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (u->gather_rings == MAP_FAILED) {
			u->gather_rings = NULL;
			err = -ENOMEM;
		}
		for (i = 0; i < GATHER_RINGS && i < loop->gathers_count && !err; i++)
			err = ring_open(loop, &loop->gathers[i], u->gather_rings + i * page,
					GROUPS_MAX + i);
		why = err ? weir_strerror(err) : NULL;
	}
	if (why)
		loop_log(loop, WEIR_LOG_INFO, "uring: sends in bundles: off: %s", why);
}

/* After the ring is closed, which knows the memory until then. */
void uring_gather_close(struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);

	if (u->gather_rings)
		munmap(u->gather_rings, GATHER_RINGS * (size_t)sysconf(_SC_PAGESIZE));
}

/* Take back what the kernel has not taken: nothing in flight uses the ring. */
static bool take_back(struct weir_loop *loop, struct io_gather *gather)
{
	struct uring_buf_status status = { .bgid = gather->bgid };
	struct io_uring_buf_ring *ring = gather->ring;

	loop->stats.syscalls++;
	if (io_uring_register((unsigned int)uring_of(loop)->ring.ring_fd,
			      URING_REGISTER_BUF_STATUS, &status, 1))
		return false;
	ring->tail = (uint16_t)status.head;
	gather->unsent = false;
	return true;
}

bool uring_gather_prep(struct weir_loop *loop, struct io_gather *gather, int msg_flags,
		       struct io_uring_sqe *sqe)
{
	struct io_uring_buf_ring *ring = gather->ring;
	uint16_t n = (uint16_t)gather->msg.msg_iovlen;
	uint16_t i;

	if (!ring || (gather->unsent && !take_back(loop, gather)))
		return false;
	for (i = 0; i < n; i++) {
		struct io_uring_buf *buf = &ring->bufs[(ring->tail + i) & (GATHER_PIECES - 1)];

		buf->addr = (uintptr_t)gather->iov[i].iov_base;
		buf->len = (uint32_t)gather->iov[i].iov_len;
		buf->bid = i;
	}
	io_uring_smp_store_release(&ring->tail, (uint16_t)(ring->tail + n));
	io_uring_prep_send(sqe, -1, NULL, 0, msg_flags | MSG_NOSIGNAL);
	sqe->ioprio |= URING_BUNDLE;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = gather->bgid;
	loop->stats.send_bundles++;
	return true;
}
