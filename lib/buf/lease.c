// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * lease.c - counted holds on buffers
 */
#include "buf/pool.h"

static void check_owner(const struct weir_lease *lease)
{
	/* A lease may outlive its pool's loop, not its pool. */
	if (lease->group->loop)
		assert_owner(lease->group->loop);
}

struct weir_lease *weir_lease_get(struct weir_lease *lease)
{
	check_owner(lease);
	if (!lease->refs)
		base_die("weir: buffer %u of pool %u was taken by someone who does not hold it",
			 lease->bid, lease->group->id);
	lease->refs++;
	return lease;
}

void weir_lease_put(struct weir_lease *lease)
{
	if (!lease)
		return;
	check_owner(lease);
	lease_put(lease);
}

void *weir_lease_data(const struct weir_lease *lease)
{
	check_owner(lease);
	return lease->data;
}

uint32_t weir_lease_len(const struct weir_lease *lease)
{
	check_owner(lease);
	return lease->len;
}

uint32_t weir_lease_size(const struct weir_lease *lease)
{
	check_owner(lease);
	return lease->size;
}
