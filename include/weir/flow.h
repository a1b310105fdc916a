/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * flow.h - flow control as arithmetic: no I/O, no clock, no allocation.
 */
#ifndef WEIR_FLOW_H
#define WEIR_FLOW_H

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum weir_water_edge - what a change of level meant
 * @WEIR_WATER_SAME: no mark was crossed
 * @WEIR_WATER_HIGH: the high mark was reached: stop the producer
 * @WEIR_WATER_LOW: back at the low mark after a high: let it go on
 */
enum weir_water_edge {
	WEIR_WATER_SAME,
	WEIR_WATER_HIGH,
	WEIR_WATER_LOW,
};

/**
 * struct weir_water - a level between a low and a high mark
 * @level_bytes: the level now
 * @low_bytes: the low mark
 * @high_bytes: the high mark
 * @above: non-zero from a high edge to the next low edge
 *
 * Visible so that it can be embedded; change it through the functions.
 */
struct weir_water {
	uint64_t level_bytes;
	uint64_t low_bytes;
	uint64_t high_bytes;
	uint32_t above;
	/* private: */
	uint32_t pad;
};

/**
 * weir_water_init() - set the marks, empty the level
 * @water: the object
 * @low_bytes: the low mark
 * @high_bytes: the high mark, greater than @low_bytes
 *
 * Context: Any thread; the object itself is not locked.
 * Return: 0, or -EINVAL if the marks are not in order.
 */
WEIR_API WEIR_MUST_CHECK
int weir_water_init(struct weir_water *water, uint64_t low_bytes, uint64_t high_bytes);

/**
 * weir_water_add() - the level rises
 * @water: the object
 * @bytes: by how much; the level must not pass UINT64_MAX
 *
 * Context: Any thread; the object itself is not locked.
 * Return: WEIR_WATER_HIGH when the high mark is reached for the first time since
 * the last low edge, else WEIR_WATER_SAME.
 */
WEIR_API enum weir_water_edge weir_water_add(struct weir_water *water, uint64_t bytes);

/**
 * weir_water_sub() - the level falls
 * @water: the object
 * @bytes: by how much, at most the level
 *
 * Context: Any thread; the object itself is not locked.
 * Return: WEIR_WATER_LOW when the low mark is reached after a high edge, else
 * WEIR_WATER_SAME.
 */
WEIR_API enum weir_water_edge weir_water_sub(struct weir_water *water, uint64_t bytes);

/**
 * weir_water_room() - bytes up to the high mark
 * @water: the object
 *
 * Context: Any thread; the object itself is not locked.
 * Return: 0 at or above the high mark.
 */
WEIR_API uint64_t weir_water_room(const struct weir_water *water);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_FLOW_H */
