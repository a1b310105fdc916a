// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * water.c - a level between two marks, with hysteresis
 */
#include <errno.h>

#include <weir/flow.h>

#include "base/base.h"

int weir_water_init(struct weir_water *water, uint64_t low_bytes, uint64_t high_bytes)
{
	if (low_bytes >= high_bytes)
		return -EINVAL;
	*water = (struct weir_water){
		.low_bytes	= low_bytes,
		.high_bytes	= high_bytes,
	};
	return 0;
}

enum weir_water_edge weir_water_add(struct weir_water *water, uint64_t bytes)
{
	assert(bytes <= UINT64_MAX - water->level_bytes);
	water->level_bytes += bytes;
	if (water->above || water->level_bytes < water->high_bytes)
		return WEIR_WATER_SAME;
	water->above = 1;
	return WEIR_WATER_HIGH;
}

enum weir_water_edge weir_water_sub(struct weir_water *water, uint64_t bytes)
{
	assert(bytes <= water->level_bytes);
	water->level_bytes -= bytes;
	if (!water->above || water->level_bytes > water->low_bytes)
		return WEIR_WATER_SAME;
	water->above = 0;
	return WEIR_WATER_LOW;
}

uint64_t weir_water_room(const struct weir_water *water)
{
	return water->level_bytes < water->high_bytes ?
	       water->high_bytes - water->level_bytes : 0;
}
