// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * lend.c - when a send goes without a copy, and who holds its buffer meanwhile
 */
#include <errno.h>

#include "io/backend.h"
#include "io/group.h"
#include "io/lend.h"

int lend_open(struct weir_loop *loop)
{
	loop->lend.all = mem_get(&loop->alloc, LEND_MAX, sizeof(*loop->lend.all),
				 _Alignof(struct lent));
	if (!loop->lend.all)
		return -ENOMEM;
	return 0;
}

void lend_close(struct weir_loop *loop)
{
	mem_put(&loop->alloc, loop->lend.all, LEND_MAX, sizeof(*loop->lend.all));
}

void lend_limit(struct weir_loop *loop, uint32_t max)
{
	uint32_t i;

	assert(!loop->lend.used);
	loop->lend.max = min_u32(max, LEND_MAX);
	loop->lend.free = 0;
	for (i = 0; i < loop->lend.max; i++)
		loop->lend.all[i].next = i + 1;
}

/* The buffers that the same may use: see group_open(). */
static uint32_t kin_of(const struct weir_lease *lease)
{
	const struct io_group *group = lease->group;

	return lease->bid < group->spare_max ? group->spare_max : group->count - group->spare_max;
}

static uint32_t *lent_of(const struct weir_lease *lease)
{
	struct io_group *group = lease->group;

	return &group->lent[lease->bid < group->spare_max];
}

/*
 * What one peer never acknowledges must leave enough for the others. A piece would
 * keep the pieces beside it too.
 */
static bool is_spared(const struct weir_lease *lease)
{
	const struct io_group *group = lease->group;

	if (group->incremental && lease->bid >= group->spare_max)
		return false;
	return *lent_of(lease) < kin_of(lease) / LEND_SHARE;
}

bool lend_may(const struct weir_loop *loop, struct weir_file file, uint32_t len)
{
	uint16_t copied = loop->files[file.index].copied;

	if (len < loop->opts.zc_min_bytes || loop->lend.used >= loop->lend.max)
		return false;
	if (loop->opts.flags & WEIR_LOOP_ZC_ALWAYS)
		return copied != LEND_CANNOT;
	return copied < LEND_COPIED_MAX;
}

bool lend_wanted(const struct weir_loop *loop, const struct weir_op *op)
{
	return lend_may(loop, op->file, op->len) && op->lib_priv != LEND_PLAIN &&
	       loop->files[op->file.index].lent < LEND_FILE_MAX && is_spared(op->xfer.lease);
}

struct lent *lend_begin(struct weir_loop *loop, struct weir_op *op)
{
	struct lent *lent = &loop->lend.all[loop->lend.free];
	struct weir_lease *lease = op->xfer.lease;

	assert(loop->lend.used < loop->lend.max);
	assert(lease->refs);	/* the caller's, until the op has ended */
	loop->lend.free = lent->next;
	loop->lend.used++;
	loop->lend.bytes += op->len;
	lent->op = op;
	lent->lease = lease;
	lent->file = op->file;
	lent->len = op->len;
	lease->refs++;
	++*lent_of(lease);
	loop->files[op->file.index].lent++;
	return lent;
}

/* Its file, or NULL: that was closed meanwhile. */
static struct io_file *file_of(const struct weir_loop *loop, const struct lent *lent)
{
	struct io_file *file = &loop->files[lent->file.index];

	return file->gen == lent->file.gen ? file : NULL;
}

bool lend_is_refusal(int res)
{
	return res == -EOPNOTSUPP || res == -EINVAL || res == -ENOMEM || res == -ENOBUFS;
}

void lend_sent(struct weir_loop *loop, struct lent *lent, int res)
{
	struct io_file *file = file_of(loop, lent);

	lent->op = NULL;
	if (res >= 0) {
		loop->stats.zc_sends++;
		return;
	}
	/* Of what failed, the notification tells nothing. */
	loop->lend.bytes -= lent->len;
	lent->len = 0;
	/* For want of memory it may go another time. */
	if (file && (res == -EOPNOTSUPP || res == -EINVAL))
		file->copied = LEND_CANNOT;
}

static void learn(struct io_file *file, bool copied)
{
	if (file->copied == LEND_CANNOT)
		return;
	if (!copied)
		file->copied = 0;
	else if (file->copied < LEND_COPIED_MAX)
		file->copied++;
}

void lend_end(struct weir_loop *loop, struct lent *lent, bool copied)
{
	struct io_file *file = file_of(loop, lent);
	struct weir_lease *lease = lent->lease;

	assert(!lent->op);
	if (file)
		file->lent--;
	if (file && lent->len)
		learn(file, copied);
	loop->stats.zc_copied += copied && lent->len;
	loop->lend.bytes -= lent->len;
	loop->lend.used--;
	lent->lease = NULL;
	lent->next = loop->lend.free;
	loop->lend.free = (uint32_t)(lent - loop->lend.all);
	if (!lease)
		return;
	--*lent_of(lease);
	lease_put(lease);
}

/* pools that are closed */

/* How often is the lease of @first lent? 0: it was counted at an earlier one. */
static uint32_t times_lent(const struct weir_loop *loop, uint32_t first)
{
	const struct lent *all = loop->lend.all;
	uint32_t times = 0, i;

	for (i = 0; i < loop->lend.max; i++) {
		if (all[i].lease != all[first].lease)
			continue;
		if (i < first)
			return 0;
		times++;
	}
	return times;
}

uint32_t lend_held(const struct weir_loop *loop, const struct io_group *group)
{
	uint32_t held = 0, i;

	for (i = 0; i < loop->lend.max; i++) {
		const struct weir_lease *lease = loop->lend.all[i].lease;

		if (lease && lease->group == group)
			held += times_lent(loop, i) == lease->refs;
	}
	return held;
}

void lend_forget(struct weir_loop *loop, const struct io_group *group)
{
	uint32_t i;

	for (i = 0; i < loop->lend.max; i++) {
		struct lent *lent = &loop->lend.all[i];
		struct weir_lease *lease = lent->lease;

		if (!lease || lease->group != group)
			continue;
		lent->lease = NULL;
		lease_put(lease);
	}
}

bool lend_awaited(const struct weir_loop *loop)
{
	uint32_t i;

	for (i = 0; i < loop->groups_end; i++) {
		const struct io_group *group = loop->groups[i];

		if (group && group->spare_freed && group->lent[true])
			return true;
	}
	return false;
}
