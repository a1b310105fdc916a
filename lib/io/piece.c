// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * piece.c - incremental pools: a buffer is filled by one receive after the other, and
 * each is lent what it brought
 *
 * The lease of a whole buffer is nobody's here. It counts those who hold the buffer:
 * each piece, and the backend while there is room in it; and its len is how far the
 * buffer is filled. Pieces have leases of their own, from a list that grows as long
 * as more are out than ever before.
 */
#include "io/backend.h"
#include "io/group.h"

enum { PIECES_EACH = 127 };	/* a page of them */

struct pieces {
	struct pieces *next;
	struct weir_lease leases[PIECES_EACH];
};

static void grow(struct io_group *group)
{
	struct pieces *more;
	uint32_t i;

	more = mem_get(&group->loop->alloc, 1, sizeof(*more), _Alignof(struct pieces));
	if (!more)
		return;
	more->next = group->pieces;
	group->pieces = more;
	for (i = 0; i < PIECES_EACH; i++) {
		more->leases[i].group = group;
		more->leases[i].free_next = group->piece_free;
		group->piece_free = &more->leases[i];
	}
}

void pieces_free(struct io_group *group, const struct weir_alloc *alloc)
{
	while (group->pieces) {
		struct pieces *next = group->pieces->next;

		mem_put(alloc, group->pieces, 1, sizeof(*group->pieces));
		group->pieces = next;
	}
	group->piece_free = NULL;
}

static void whole_put(struct weir_lease *whole)
{
	if (--whole->refs)
		return;
	whole->len = 0;
	group_back(whole->group, whole->bid);
}

struct weir_lease *piece_take(struct io_group *group, uint32_t bid, uint32_t len)
{
	struct weir_lease *whole = &group->leases[bid];
	struct weir_lease *piece;

	assert(len && len <= group_room(group, bid));
	if (!group->piece_free)
		grow(group);
	piece = group->piece_free;
	if (!whole->len)
		whole->refs = 1;
	if (piece) {
		group->piece_free = piece->free_next;
		piece->data = whole->data + whole->len;
		piece->size = len;
		piece->len = len;
		piece->bid = (uint16_t)bid;
		piece->refs = 1;
		whole->refs++;
		group->pieces_out++;
	}
	whole->len += len;
	if (whole->len == whole->size) {
		group_gone(group);
		whole_put(whole);
	}
	return piece;
}

void piece_put(struct weir_lease *piece)
{
	struct io_group *group = piece->group;

	piece->free_next = group->piece_free;
	group->piece_free = piece;
	group->pieces_out--;
	whole_put(&group->leases[piece->bid]);
}
