/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * group.h - a pool as the loop and the backends see it: buffers by number,
 * leases over them, receives that wait for one
 */
#ifndef IO_GROUP_H
#define IO_GROUP_H

#include "io/loop.h"

/* A counted hold on one buffer, or a piece; free (refs == 0) while the backend has it. */
struct weir_lease {
	struct io_group *group;
	union {
		unsigned char *data;
		struct weir_lease *free_next;	/* of a piece that nobody holds */
	};
	uint32_t refs;
	uint32_t len;		/* bytes received into it */
	uint32_t size;
	uint16_t bid;
	uint16_t next;		/* uring: put into its ring behind this one */
};

/*
 * lib_priv of a receive from a pool: did it get a buffer since it was armed? The rest
 * is for uring, see uring_done.c: it is to be armed anew now and then, that was asked
 * for, and how many buffers it has had.
 */
enum {
	RECV_HUNGRY	= 0,
	RECV_SERVED	= 1 << 0,
	RECV_COUNTED	= 1 << 1,
	RECV_AGAIN	= 1 << 2,
	RECV_ONE	= 1 << 8,
};

struct pieces;

struct io_group {
	struct weir_loop *loop;
	unsigned char *slab;
	struct weir_lease *leases;	/* one per buffer */
	uint32_t buf_bytes;
	uint32_t count;
	uint32_t free;			/* nobody holds them: spares, and the backend's */
	uint32_t free_min;
	uint32_t low;			/* with no more than this, nothing is armed */
	uint32_t spare;			/* free ones kept for group_lease(), on spares */
	uint32_t spare_max;
	uint32_t armed;			/* receives in flight on it */
	uint32_t parked;
	uint32_t burst;			/* how many more to arm at once: see group_rearm() */
	uint32_t id;			/* place in loop->groups: buffer group and index */
	uint32_t lent[2];		/* sends from others, from spares: see io/lend.h */
	uint64_t parks;
	uint16_t *spares;
	bool fixed;			/* slab is registered as fixed buffer @id */
	bool streams;			/* asked to be incremental: for streams alone */
	bool incremental;		/* it is: see lib/io/piece.c */
	uint32_t pieces_out;
	struct pieces *pieces;
	struct weir_lease *piece_free;
	struct weir_link waiters;	/* parked receives, by lib_queue */
	struct weir_link hungry;	/* those that another left without a buffer */
	void (*spare_freed)(struct io_group *group);	/* set while someone waits for one */
	uint32_t mask;			/* uring: places of its ring, less one */
	uint32_t bundle_bytes;		/* uring: most in one completion; 0: one buffer */
	uint16_t last;			/* uring: the last that was put into its ring */
	void *priv;			/* the backend's */
};

/*
 * What the kernel may receive into cannot be taken back from it, so some
 * buffers are kept aside for group_lease(). group_open() gives the backend
 * buffers [spare_max, count) to receive into. None ever changes sides: two
 * peers that sent from all their buffers would wait for each other to receive.
 */
int group_open(struct io_group *group);
void group_close(struct io_group *group);

/* group_gone() - one buffer less that nobody holds */
static inline void group_gone(struct io_group *group)
{
	assert(group->free);
	group->free--;
	if (group->free < group->free_min)
		group->free_min = group->free;
}

/* group_back() - the last who held buffer @bid gave it back */
void group_back(struct io_group *group, uint32_t bid);

/* group_take() - buffer @bid was filled with @len bytes: a lease with one ref */
static inline struct weir_lease *group_take(struct io_group *group, uint32_t bid,
					    uint32_t len)
{
	struct weir_lease *lease = &group->leases[bid];

	assert(bid < group->count);
	assert(!lease->refs);
	lease->refs = 1;
	lease->len = len;
	group_gone(group);
	return lease;
}

/* group_room() - bytes that can still be received into buffer @bid */
static inline uint32_t group_room(const struct io_group *group, uint32_t bid)
{
	return group->buf_bytes - (group->incremental ? group->leases[bid].len : 0);
}

/*
 * lib/io/piece.c: the next @len bytes of buffer @bid of an incremental pool: a lease
 * with one ref. NULL: there is no memory for it, and these bytes are lost.
 */
struct weir_lease *piece_take(struct io_group *group, uint32_t bid, uint32_t len);
void piece_put(struct weir_lease *piece);	/* its last ref is gone */
void pieces_free(struct io_group *group, const struct weir_alloc *alloc);

/* group_lease() - a spare buffer for the user, or -ENOBUFS */
int group_lease(struct io_group *group, struct weir_lease **leasep);

void lease_put(struct weir_lease *lease);

/* group_ready() - buffers that receives may fill */
static inline uint32_t group_ready(const struct io_group *group)
{
	return group->free - group->spare;
}

/* group_admit() - may a receive be armed? Else it was parked. */
bool group_admit(struct io_group *group, struct weir_op *op);

/*
 * group_park() - @op waits for a buffer. A @hungry one was armed and got none: it
 * goes before the rest, or one that never pauses would starve it.
 */
void group_park(struct io_group *group, struct weir_op *op, bool hungry);

/*
 * group_rearm() - start some parked receives again, first in first out, if there
 * are buffers. To be called every turn while group_may_rearm().
 */
void group_rearm(struct io_group *group);

static inline bool group_may_rearm(const struct io_group *group)
{
	return group->parked && group_ready(group) > group->low;
}

/* group_find() - the pool whose slab holds all of @buf, or NULL */
struct io_group *group_find(const struct weir_loop *loop, const void *buf, uint32_t len);

#endif /* IO_GROUP_H */
