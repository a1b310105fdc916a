/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * gather.h - several pieces of memory that leave in one send
 *
 * A loop has a few of these. Who has more than one piece to send borrows one for as
 * long as the send is in flight, and submits a sendmsg of its msg; who finds none
 * sends one piece alone. On uring some have a ring of provided buffers: their
 * sendmsg goes as a bundle.
 */
#ifndef IO_GATHER_H
#define IO_GATHER_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "io/loop.h"

/*
 * What a call costs is paid back within a few pieces, and within some ten KiB: more
 * would only be told of later. 16 is the high mark of a connection in small buffers.
 */
enum {
	GATHER_PIECES	= 16,		/* a power of two: places of a ring */
	GATHER_BYTES	= 64 << 10,	/* so much is enough for one send */
	GATHERS_MAX	= 64,		/* of one loop */
	GATHER_RINGS	= 8,		/* so many of them have a ring */
};

struct io_gather {
	struct weir_link free;
	uint32_t bytes;
	uint16_t bgid;		/* uring: the ring's buffer group */
	bool unsent;		/* uring: the ring may not be empty */
	void *ring;		/* uring: of provided buffers; NULL for none */
	struct msghdr msg;
	struct iovec iov[GATHER_PIECES];
};

int gathers_open(struct weir_loop *loop);
void gathers_close(struct weir_loop *loop);

/* gather_give() - @gather is free: those with a ring are the first to be taken */
static inline void gather_give(struct weir_loop *loop, struct io_gather *gather)
{
	list_add_tail(loop->gathers_free[!gather->ring].next, &gather->free);
}

/* gather_get() - one without pieces, or NULL */
static inline struct io_gather *gather_get(struct weir_loop *loop)
{
	struct weir_link *from = &loop->gathers_free[list_empty(&loop->gathers_free[0])];
	struct io_gather *gather;

	if (list_empty(from))
		return NULL;
	gather = container_of(from->next, struct io_gather, free);
	list_del(&gather->free);
	gather->bytes = 0;
	gather->msg.msg_iovlen = 0;
	return gather;
}

/* gather_add() - send @data too; false: there is enough in it */
static inline bool gather_add(struct io_gather *gather, void *data, uint32_t len)
{
	struct iovec *iov = &gather->iov[gather->msg.msg_iovlen];

	if (gather->msg.msg_iovlen == GATHER_PIECES || len > GATHER_BYTES - gather->bytes)
		return false;
	iov->iov_base = data;
	iov->iov_len = len;
	gather->msg.msg_iovlen++;
	gather->bytes += len;
	return true;
}

/* gather_put() - its send came to @res */
static inline void gather_put(struct weir_loop *loop, struct io_gather *gather, int res)
{
	gather->unsent = res != (int)gather->bytes;
	gather_give(loop, gather);
}

/* gather_of() - the gather that @msg is of, or NULL */
static inline struct io_gather *gather_of(const struct weir_loop *loop, const void *msg)
{
	uintptr_t at = (uintptr_t)msg - (uintptr_t)loop->gathers;

	return at < loop->gathers_count * sizeof(*loop->gathers) ?
	       container_of(msg, struct io_gather, msg) : NULL;
}

#endif /* IO_GATHER_H */
