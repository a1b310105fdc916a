// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * gather.c - a loop's gathers: taken at open, lent and given back in gather.h
 */
#include <errno.h>

#include "io/gather.h"

int gathers_open(struct weir_loop *loop)
{
	uint32_t i;

	loop->gathers_count = min_u32(GATHERS_MAX, loop->opts.ops_max);
	loop->gathers = mem_get(&loop->alloc, loop->gathers_count, sizeof(*loop->gathers),
				_Alignof(struct io_gather));
	if (!loop->gathers)
		return -ENOMEM;
	list_init(&loop->gathers_free[0]);
	list_init(&loop->gathers_free[1]);
	for (i = 0; i < loop->gathers_count; i++) {
		loop->gathers[i].msg.msg_iov = loop->gathers[i].iov;
		gather_give(loop, &loop->gathers[i]);
	}
	return 0;
}

void gathers_close(struct weir_loop *loop)
{
	mem_put(&loop->alloc, loop->gathers, loop->gathers_count, sizeof(*loop->gathers));
}
