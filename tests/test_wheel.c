// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_wheel.c - the timer wheel against a sorted list of the same deadlines
 */
#include "base/base.h"
#include "base/list.h"
#include "io/wheel.h"
#include "kselftest_harness.h"

enum { COUNT = 3000 };

#define TICK_NS		(1ULL << WHEEL_TICK_SHIFT)

static struct weir_op ops[COUNT];
static uint64_t state;

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014 */
static uint64_t next_random(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Spread over all magnitudes: from below a tick to days. */
static uint64_t random_delay(void)
{
	return next_random() >> (17 + next_random() % 47);
}

static int by_deadline(const void *a, const void *b)
{
	const struct weir_op *const *x = a, *const *y = b;

	if ((*x)->deadline_ns != (*y)->deadline_ns)
		return (*x)->deadline_ns < (*y)->deadline_ns ? -1 : 1;
	return 0;
}

FIXTURE(wheel)
{
	struct wheel wheel;
	uint64_t now_ns;
};

FIXTURE_VARIANT(wheel)
{
	uint64_t seed;
	uint64_t start_ns;
};

FIXTURE_VARIANT_ADD(wheel, at_zero) { .seed = 1, .start_ns = 0 };
FIXTURE_VARIANT_ADD(wheel, at_an_odd_time) { .seed = 2, .start_ns = 123456789012345 };
FIXTURE_VARIANT_ADD(wheel, before_a_high_digit_turns) {
	.seed = 3, .start_ns = (1ULL << (WHEEL_TICK_SHIFT + 5 * WHEEL_BITS)) - 1000000,
};

FIXTURE_SETUP(wheel)
{
	int i;

	state = variant->seed;
	self->now_ns = variant->start_ns;
	wheel_init(&self->wheel, self->now_ns);
	for (i = 0; i < COUNT; i++)
		list_init(&ops[i].lib_wheel);
}

FIXTURE_TEARDOWN(wheel)
{
}

/* Advance to @now; count what fires, and check each against the clock. */
static unsigned int expire(struct __test_metadata *_metadata, struct wheel *wheel, uint64_t now)
{
	struct weir_link due;
	unsigned int n = 0;

	list_init(&due);
	wheel_expire(wheel, now, &due);
	while (!list_empty(&due)) {
		struct weir_op *op = container_of(due.next, struct weir_op, lib_wheel);

		list_del(&op->lib_wheel);
		EXPECT_LE(op->deadline_ns, now);
		op->ctx = wheel;	/* fired */
		n++;
	}
	return n;
}

TEST_F(wheel, nothing_is_early_lost_or_more_than_a_tick_late)
{
	static struct weir_op *sorted[COUNT];
	unsigned int fired = 0, due = 0, i;

	for (i = 0; i < COUNT; i++) {
		ops[i].deadline_ns = self->now_ns + random_delay();
		sorted[i] = &ops[i];
		wheel_start(&self->wheel, &ops[i]);
	}
	qsort(sorted, COUNT, sizeof(sorted[0]), by_deadline);
	while (fired < COUNT) {
		uint64_t next = wheel_next_ns(&self->wheel);

		/* Never asks to sleep past a deadline by more than its tick. */
		ASSERT_NE(DEADLINE_NONE, next);
		EXPECT_LE(next, sorted[fired]->deadline_ns + TICK_NS);
		/* Sometimes on time, sometimes late. */
		if (next < self->now_ns)
			next = self->now_ns;
		self->now_ns = next + (next_random() % 4 ? 0 : random_delay() / 64);
		fired += expire(_metadata, &self->wheel, self->now_ns);
		while (due < COUNT && sorted[due]->deadline_ns + TICK_NS <= self->now_ns)
			due++;
		ASSERT_GE(fired, due);
		for (i = 0; i < due; i++)
			ASSERT_NE(NULL, sorted[i]->ctx);
	}
	EXPECT_EQ(COUNT, fired);
	EXPECT_EQ(DEADLINE_NONE, wheel_next_ns(&self->wheel));
}

TEST_F(wheel, what_is_stopped_does_not_fire)
{
	unsigned int kept = 0, i;

	for (i = 0; i < COUNT; i++) {
		ops[i].deadline_ns = self->now_ns + random_delay();
		wheel_start(&self->wheel, &ops[i]);
	}
	for (i = 0; i < COUNT; i++) {
		if (next_random() % 2)
			list_del(&ops[i].lib_wheel);
		else
			kept++;
	}
	EXPECT_EQ(kept, expire(_metadata, &self->wheel, self->now_ns + (1ULL << 48)));
	EXPECT_EQ(DEADLINE_NONE, wheel_next_ns(&self->wheel));
}

TEST_F(wheel, starting_while_time_goes_on_keeps_the_order_of_ticks)
{
	uint64_t last_tick = 0;
	unsigned int fired = 0, started = 0;

	while (fired < COUNT) {
		struct weir_link due;

		if (started < COUNT && (next_random() % 3 || wheel_next_ns(&self->wheel) ==
					DEADLINE_NONE)) {
			ops[started].deadline_ns = self->now_ns + random_delay();
			wheel_start(&self->wheel, &ops[started++]);
			continue;
		}
		list_init(&due);
		if (wheel_next_ns(&self->wheel) > self->now_ns)
			self->now_ns = wheel_next_ns(&self->wheel);
		wheel_expire(&self->wheel, self->now_ns, &due);
		while (!list_empty(&due)) {
			struct weir_op *op = container_of(due.next, struct weir_op, lib_wheel);
			uint64_t tick = (op->deadline_ns + TICK_NS - 1) >> WHEEL_TICK_SHIFT;

			list_del(&op->lib_wheel);
			EXPECT_LE(op->deadline_ns, self->now_ns);
			EXPECT_GE(op->deadline_ns + TICK_NS, self->now_ns);
			EXPECT_LE(last_tick, tick);
			last_tick = tick;
			fired++;
		}
	}
}

TEST_F(wheel, a_deadline_in_the_past_fires_at_once)
{
	ops[0].deadline_ns = self->now_ns / 2;
	wheel_start(&self->wheel, &ops[0]);
	EXPECT_LE(wheel_next_ns(&self->wheel), self->now_ns);
	EXPECT_EQ(1, expire(_metadata, &self->wheel, self->now_ns));
}

TEST_F(wheel, the_end_of_time_is_far_away)
{
	ops[0].deadline_ns = DEADLINE_NONE;
	wheel_start(&self->wheel, &ops[0]);
	ops[1].deadline_ns = DEADLINE_NONE - 1;
	wheel_start(&self->wheel, &ops[1]);
	EXPECT_LT(self->now_ns + (1ULL << 56), wheel_next_ns(&self->wheel));
	EXPECT_EQ(0, expire(_metadata, &self->wheel, self->now_ns + (1ULL << 56)));
}

TEST_HARNESS_MAIN
