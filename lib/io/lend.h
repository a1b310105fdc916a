/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * lend.h - buffers that are lent to the kernel beyond the end of their send
 *
 * A send without a copy has two ends: its bytes are sent, and its memory is free
 * again. The second comes when the peer has acknowledged them, so it may be an hour
 * later, or never: neither a caller nor a close can wait for it. So the op ends with
 * the first, and until the second the loop itself holds a reference to the lease
 * that the bytes lie in. Only a send that names its lease (WEIR_OPF_LEASE) can be
 * carried out that way.
 *
 * When: the send is long; the kernel has not told of this file that it copied all
 * the same (loopback does) or that it cannot; and no limit is met. Elsewhere it is
 * an ordinary send, which nobody can tell from the other by its result.
 */
#ifndef IO_LEND_H
#define IO_LEND_H

#include "io/loop.h"

struct io_group;
struct weir_lease;

enum {
	LEND_BYTES_DEFAULT	= 16 << 10,	/* see zc_min_bytes in weir/loop.h */
	LEND_MAX		= 256,		/* of a loop: each has a completion to come */
	LEND_FILE_MAX		= 16,		/* of a file: its peer may never acknowledge */
	LEND_SHARE		= 4,		/* one of so many buffers may be lent */
	LEND_COPIED_MAX		= 2,		/* copied so often in a row: no more of it */
	LEND_CANNOT		= UINT16_MAX,	/* io_file.copied: the kernel refused */
	LEND_PLAIN		= UINT32_MAX,	/* op->lib_priv: refused, to be sent plainly */
};

/* What is lent: from the time that the send is queued. */
struct lent {
	struct weir_op *op;		/* until the send has ended; then NULL */
	struct weir_lease *lease;	/* or NULL: its pool is closed */
	struct weir_file file;
	uint32_t len;
	uint32_t next;			/* free list */
	const void *bytes;		/* sim: what was sent, */
	uint32_t sent;			/* how many, */
	uint64_t sum;			/* and what they were */
};

/* lib/io/lend.c: the table of a loop */
int lend_open(struct weir_loop *loop);
void lend_close(struct weir_loop *loop);

/* lend_limit() - no more than @max at a time, of a backend that lends; before the first */
void lend_limit(struct weir_loop *loop, uint32_t max);

/* lend_may() - may a send of @len bytes over @file be worth it? */
bool lend_may(const struct weir_loop *loop, struct weir_file file, uint32_t len);

/* lend_wanted() - is @op to be sent without a copy, as far as policy goes? */
bool lend_wanted(const struct weir_loop *loop, const struct weir_op *op);

/* lend_begin() - the lease of @op, for which lend_wanted() holds, is lent */
struct lent *lend_begin(struct weir_loop *loop, struct weir_op *op);

/* lend_sent() - the send came to @res, which is its result unless it is refused */
void lend_sent(struct weir_loop *loop, struct lent *lent, int res);

/* lend_end() - the memory is free again; @copied: in the end the kernel copied */
void lend_end(struct weir_loop *loop, struct lent *lent, bool copied);

/* lend_is_refusal() - does @res say that a plain send may do what this one cannot? */
bool lend_is_refusal(int res);

/* lend_held() - how many buffers of @group nobody but the kernel holds */
uint32_t lend_held(const struct weir_loop *loop, const struct io_group *group);

/* lend_forget() - @group is closed: what is lent of it is the kernel's for good */
void lend_forget(struct weir_loop *loop, const struct io_group *group);

/* lend_awaited() - does somebody wait for a buffer that is lent? */
bool lend_awaited(const struct weir_loop *loop);

#endif /* IO_LEND_H */
