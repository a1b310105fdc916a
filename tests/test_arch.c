// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_arch.c - the switch of stacks by itself: what a call preserves is preserved,
 * on this processor, and on others in an emulator (tests/test_arch.sh)
 *
 * It needs nothing of the library but lib/fiber/arch.c.
 */
#include <fenv.h>
#include <stdint.h>
#include <stdlib.h>

#include "fiber/arch.h"
#include "kselftest_harness.h"

enum {
	STACKS		= 200,
	STACK_BYTES	= 16 << 10,
	ROUNDS		= 50,
};

struct track {
	struct fiber_arch here, home;
	void *stack;
	unsigned int number, rounds;
	uintptr_t misaligned;
	int rounding;
	bool wrong;
};

static struct track *tracks;	/* STACKS of them */

FIXTURE(arch)
{
	struct track tracks[STACKS];
};

FIXTURE_SETUP(arch)
{
	unsigned int i;

	for (i = 0; i < STACKS; i++) {
		self->tracks[i].number = i;
		self->tracks[i].stack = malloc(STACK_BYTES);
		ASSERT_NE(NULL, self->tracks[i].stack);
	}
	tracks = self->tracks;
}

FIXTURE_TEARDOWN(arch)
{
	unsigned int i;

	for (i = 0; i < STACKS; i++)
		free(self->tracks[i].stack);
}

static void make(struct track *track, void (*fn)(void *arg))
{
	fiber_arch_make(&track->here, track->stack, STACK_BYTES, fn, track);
}

static void enter(struct track *track)
{
	fiber_arch_switch(&track->home, &track->here);
}

static void leave(struct track *track)
{
	fiber_arch_switch(&track->here, &track->home);
}

/* As many values as a processor may keep in registers over a call, and more. */
#define WHOLE(x, i)	((x) * 0x9e3779b97f4a7c15 + (i))
#define REAL(x, i)	((double)(x) * 3 + (i) + 0.5)

/* Computes with what lives in registers while others run. */
__attribute__((noinline)) static bool keeps(struct track *track, uint64_t seed)
{
	volatile uint64_t start = seed;
	uint64_t s = start;
	uint64_t a = WHOLE(s, 1), b = WHOLE(s, 2), c = WHOLE(s, 3), d = WHOLE(s, 4);
	uint64_t e = WHOLE(s, 5), f = WHOLE(s, 6), g = WHOLE(s, 7), h = WHOLE(s, 8);
	double p = REAL(s, 1), q = REAL(s, 2), r = REAL(s, 3), t = REAL(s, 4);
	double u = REAL(s, 5), v = REAL(s, 6), w = REAL(s, 7), x = REAL(s, 8);

	/* They are in registers, whatever they could be computed from again. */
	__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
	__asm__ volatile("" : "+r"(e), "+r"(f), "+r"(g), "+r"(h));
#ifdef __aarch64__
	__asm__ volatile("" : "+w"(p), "+w"(q), "+w"(r), "+w"(t));
	__asm__ volatile("" : "+w"(u), "+w"(v), "+w"(w), "+w"(x));
#endif
	leave(track);
	s = start;
	return a == WHOLE(s, 1) && b == WHOLE(s, 2) && c == WHOLE(s, 3) && d == WHOLE(s, 4) &&
	       e == WHOLE(s, 5) && f == WHOLE(s, 6) && g == WHOLE(s, 7) && h == WHOLE(s, 8) &&
	       p == REAL(s, 1) && q == REAL(s, 2) && r == REAL(s, 3) && t == REAL(s, 4) &&
	       u == REAL(s, 5) && v == REAL(s, 6) && w == REAL(s, 7) && x == REAL(s, 8);
}

static void keep_all(void *arg)
{
	struct track *track = arg;

	track->misaligned = (uintptr_t)__builtin_frame_address(0) % 16;
	for (; track->rounds < ROUNDS; track->rounds++)
		track->wrong |= !keeps(track, track->number * 1000 + track->rounds);
	for (;;)
		leave(track);
}

TEST_F(arch, many_stacks_keep_what_a_call_preserves)
{
	unsigned int i, round;

	for (i = 0; i < STACKS; i++)
		make(&self->tracks[i], keep_all);
	for (round = 0; round <= ROUNDS; round++) {
		for (i = 0; i < STACKS; i++)
			enter(&self->tracks[i]);
	}
	for (i = 0; i < STACKS; i++) {
		ASSERT_EQ(ROUNDS, self->tracks[i].rounds);
		ASSERT_EQ(false, self->tracks[i].wrong);
		ASSERT_EQ(0, self->tracks[i].misaligned);
	}
}

/* From one to the next, not home: each stack is left and entered from another. */
static void hand_on(void *arg)
{
	struct track *track = arg;
	struct track *next = &tracks[(track->number + 1) % STACKS];

	for (; track->rounds < ROUNDS; track->rounds++) {
		volatile unsigned char mine[512];
		size_t i;

		for (i = 0; i < sizeof(mine); i++)
			mine[i] = (unsigned char)(track->number + i + track->rounds);
		fiber_arch_switch(&track->here, &next->here);
		for (i = 0; i < sizeof(mine); i++)
			track->wrong |= mine[i] !=
					(unsigned char)(track->number + i + track->rounds);
	}
	/* The first to end is the first there is, and it knows the way home. */
	for (;;)
		fiber_arch_switch(&track->here, &track->home);
}

TEST_F(arch, they_switch_to_each_other_in_a_ring)
{
	unsigned int i;

	for (i = 0; i < STACKS; i++)
		make(&self->tracks[i], hand_on);
	enter(&self->tracks[0]);
	EXPECT_EQ(ROUNDS, self->tracks[0].rounds);
	for (i = 1; i < STACKS; i++)
		ASSERT_EQ(ROUNDS - 1, self->tracks[i].rounds);
	for (i = 0; i < STACKS; i++)
		ASSERT_EQ(false, self->tracks[i].wrong);
}

static void round_up(void *arg)
{
	struct track *track = arg;

	track->rounding = fegetround();
	fesetround(FE_UPWARD);
	for (;;) {
		leave(track);
		track->wrong |= fegetround() != FE_UPWARD;
		track->rounds++;
	}
}

TEST_F(arch, the_way_of_rounding_is_handed_down_and_then_its_own)
{
	struct track *track = &self->tracks[0];

	fesetround(FE_DOWNWARD);
	make(track, round_up);
	fesetround(FE_TONEAREST);
	enter(track);
	EXPECT_EQ(FE_DOWNWARD, track->rounding);
	EXPECT_EQ(FE_TONEAREST, fegetround());
	fesetround(FE_TOWARDZERO);
	enter(track);
	EXPECT_EQ(FE_TOWARDZERO, fegetround());
	fesetround(FE_TONEAREST);
	EXPECT_EQ(1, track->rounds);
	EXPECT_EQ(false, track->wrong);
}

TEST_HARNESS_MAIN
