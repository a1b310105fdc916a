// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_flow.c - flow control arithmetic
 */
#include <errno.h>
#include <stdint.h>

#include <weir/flow.h>

#include "kselftest_harness.h"

TEST(marks_must_be_in_order)
{
	struct weir_water water = { .level_bytes = 7 };

	ASSERT_EQ(weir_water_init(&water, 4, 4), -EINVAL);
	ASSERT_EQ(weir_water_init(&water, 5, 4), -EINVAL);
	ASSERT_EQ(weir_water_init(&water, 0, 0), -EINVAL);
	EXPECT_EQ(water.level_bytes, 7);
	ASSERT_EQ(weir_water_init(&water, 0, 1), 0);
	EXPECT_EQ(water.level_bytes, 0);
	EXPECT_EQ(water.above, 0);
}

TEST(each_edge_is_told_once_per_cycle)
{
	struct weir_water water;
	int cycle;

	ASSERT_EQ(weir_water_init(&water, 10, 100), 0);
	for (cycle = 0; cycle < 3; cycle++) {
		uint64_t start = water.level_bytes;

		EXPECT_EQ(weir_water_add(&water, 99 - start), WEIR_WATER_SAME);
		EXPECT_EQ(weir_water_room(&water), 1);
		EXPECT_EQ(weir_water_add(&water, 1), WEIR_WATER_HIGH);
		EXPECT_EQ(weir_water_room(&water), 0);
		EXPECT_EQ(weir_water_add(&water, 50), WEIR_WATER_SAME);
		EXPECT_EQ(weir_water_room(&water), 0);
		EXPECT_EQ(weir_water_sub(&water, 139), WEIR_WATER_SAME);
		EXPECT_EQ(weir_water_add(&water, 100), WEIR_WATER_SAME);
		EXPECT_EQ(weir_water_sub(&water, 101), WEIR_WATER_LOW);
		EXPECT_EQ(weir_water_sub(&water, 4), WEIR_WATER_SAME);
	}
}

TEST(no_low_edge_without_a_high_one)
{
	struct weir_water water;

	ASSERT_EQ(weir_water_init(&water, 10, 100), 0);
	EXPECT_EQ(weir_water_add(&water, 99), WEIR_WATER_SAME);
	EXPECT_EQ(weir_water_sub(&water, 99), WEIR_WATER_SAME);
	EXPECT_EQ(weir_water_room(&water), 100);
}

TEST(a_step_over_both_marks_is_one_edge)
{
	struct weir_water water;

	ASSERT_EQ(weir_water_init(&water, 10, 100), 0);
	EXPECT_EQ(weir_water_add(&water, 1000), WEIR_WATER_HIGH);
	EXPECT_EQ(weir_water_sub(&water, 1000), WEIR_WATER_LOW);
}

TEST(levels_reach_the_end_of_the_type)
{
	struct weir_water water;

	ASSERT_EQ(weir_water_init(&water, 0, UINT64_MAX), 0);
	EXPECT_EQ(weir_water_add(&water, UINT64_MAX - 1), WEIR_WATER_SAME);
	EXPECT_EQ(weir_water_room(&water), 1);
	EXPECT_EQ(weir_water_add(&water, 1), WEIR_WATER_HIGH);
	EXPECT_EQ(weir_water_sub(&water, UINT64_MAX), WEIR_WATER_LOW);
}

/* The same by the definition, over a seeded walk. */
TEST(edges_agree_with_the_definition)
{
	struct weir_water water;
	uint64_t level = 0, x = 88172645463325252ULL;
	unsigned int above = 0, highs = 0, lows = 0, i;

	ASSERT_EQ(weir_water_init(&water, 300, 700), 0);
	for (i = 0; i < 100000; i++) {
		enum weir_water_edge edge, want = WEIR_WATER_SAME;
		uint64_t n;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		n = (x >> 8) % 200;
		if (x & 1 && level < 1000) {
			level += n;
			edge = weir_water_add(&water, n);
			if (!above && level >= 700) {
				want = WEIR_WATER_HIGH;
				above = 1;
				highs++;
			}
		} else {
			n = n < level ? n : level;
			level -= n;
			edge = weir_water_sub(&water, n);
			if (above && level <= 300) {
				want = WEIR_WATER_LOW;
				above = 0;
				lows++;
			}
		}
		ASSERT_EQ(edge, want) TH_LOG("step %u, level %llu", i, (unsigned long long)level);
		ASSERT_EQ(weir_water_room(&water), level < 700 ? 700 - level : 0);
	}
	EXPECT_GT(highs, 10);
	EXPECT_EQ(highs, lows + above);
}

TEST_HARNESS_MAIN
