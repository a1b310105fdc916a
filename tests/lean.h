/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lean.h - rings that lack operations, as those of older kernels do
 *
 * It takes the place of liburing's io_uring_register_probe(), which the library
 * calls while its ring is still disabled: the answer loses some operations, and the
 * kernel is told to refuse them on this ring, so that none is used all the same.
 */
#ifndef TESTS_LEAN_H
#define TESTS_LEAN_H

#ifdef CONFIG_URING
#include <liburing.h>
#include <string.h>

#include "base/base.h"
#include "io/uring_abi.h"

#define LEAN_BIT(op)	(1ULL << (op))

enum {
	LEAN_REGISTER_MAX	= 24,	/* all register operations of Linux 5.19 */
	LEAN_RULES_MAX		= LEAN_REGISTER_MAX + URING_OPS_MAX + 1,
};

/* One row for each kind of ring: what it lacks, and what it refuses but tells of. */
static const struct lean_ring {
	const char *name;
	uint64_t lacks;
	uint64_t traps;
} lean_rings[] = {
	/* Linux 6.1, and its socket commands are none of sockets yet. */
	{ "old", ~(LEAN_BIT(URING_OP_URING_CMD) - 1), 0 },
	/* Nothing that can be done without it, but for descriptors of slots. */
	{ "bare",
	  LEAN_BIT(IORING_OP_OPENAT) | LEAN_BIT(IORING_OP_FSYNC) |
	  LEAN_BIT(IORING_OP_FALLOCATE) | LEAN_BIT(URING_OP_FTRUNCATE) |
	  LEAN_BIT(IORING_OP_STATX) | LEAN_BIT(IORING_OP_FADVISE) |
	  LEAN_BIT(IORING_OP_UNLINKAT) | LEAN_BIT(IORING_OP_RENAMEAT) |
	  LEAN_BIT(IORING_OP_MKDIRAT) | LEAN_BIT(URING_OP_BIND) |
	  LEAN_BIT(URING_OP_LISTEN) | LEAN_BIT(URING_OP_URING_CMD), 0 },
	/* What lies in a registered buffer is told so. */
	{ "fixed", 0,
	  LEAN_BIT(IORING_OP_READV) | LEAN_BIT(IORING_OP_WRITEV) |
	  LEAN_BIT(IORING_OP_READ) | LEAN_BIT(IORING_OP_WRITE) },
	{ "maimed", LEAN_BIT(IORING_OP_RECVMSG), 0 },
};

static const struct lean_ring *lean_ring;

/* The backend's name of a variant, whose loops have such rings from now on. */
static inline const char *lean_backend(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lean_rings); i++) {
		if (name && !strcmp(name, lean_rings[i].name)) {
			lean_ring = &lean_rings[i];
			return "uring";
		}
	}
	return name;
}

static inline int lean_restrict(struct io_uring *ring, const struct io_uring_probe *probe,
				uint64_t refused)
{
	struct io_uring_restriction rules[LEAN_RULES_MAX] = { { 0 } };
	unsigned int n = 0, i;

	for (i = 0; i < LEAN_REGISTER_MAX; i++, n++) {
		rules[n].opcode = IORING_RESTRICTION_REGISTER_OP;
		rules[n].register_op = (uint8_t)i;
	}
	for (i = 0; i < probe->ops_len && i < URING_OPS_MAX; i++) {
		if (refused & LEAN_BIT(i))
			continue;
		rules[n].opcode = IORING_RESTRICTION_SQE_OP;
		rules[n++].sqe_op = (uint8_t)i;
	}
	rules[n].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	rules[n++].sqe_flags = UINT8_MAX;
	return io_uring_register((unsigned int)ring->ring_fd, IORING_REGISTER_RESTRICTIONS,
				 rules, n);
}

int io_uring_register_probe(struct io_uring *ring, struct io_uring_probe *probe, unsigned int n);

int io_uring_register_probe(struct io_uring *ring, struct io_uring_probe *probe, unsigned int n)
{
	int ret = io_uring_register((unsigned int)ring->ring_fd, IORING_REGISTER_PROBE, probe, n);
	unsigned int i;

	if (ret < 0 || !lean_ring)
		return ret;
	for (i = 0; i < probe->ops_len && i < n; i++) {
		if (lean_ring->lacks >> i & 1)
			probe->ops[i].flags = 0;
	}
	return lean_restrict(ring, probe, lean_ring->lacks | lean_ring->traps);
}

/* A variant of a fixture, after one of the row of that name. */
#define LEAN_VARIANT(fixture, ring)					\
	struct ring##_of_##fixture;					\
	FIXTURE_VARIANT_ADD(fixture, ring) { .name = #ring }
#else
#define LEAN_VARIANT(fixture, ring) struct no_##ring##_of_##fixture

static inline const char *lean_backend(const char *name)
{
	return name;
}
#endif

#endif /* TESTS_LEAN_H */
