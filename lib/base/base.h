/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * base.h - the ground floor: memory, log, options, arithmetic
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <weir/types.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define NSEC_PER_USEC	1000ULL
#define NSEC_PER_MSEC	1000000ULL
#define NSEC_PER_SEC	1000000000ULL

/* Never: the deadline of what has none. */
#define DEADLINE_NONE	UINT64_MAX

/* The default allocator; base_alloc() of NULL gives this. */
extern const struct weir_alloc base_alloc_libc;

/*
 * mem_get() - zeroed memory for @count objects of @size bytes
 *
 * NULL when there is none, or when the product does not fit in size_t.
 */
void *mem_get(const struct weir_alloc *alloc, size_t count, size_t size, size_t align);

/* mem_put() - give back what mem_get() gave for the same @count and @size */
void mem_put(const struct weir_alloc *alloc, void *mem, size_t count, size_t size);

/*
 * opts_copy() - read an option struct of any version
 *
 * Both begin with size_t sz. Bytes that the caller does not know stay zero;
 * bytes that we do not know must be zero, else -E2BIG. NULL @src is all zero.
 * An inline, because each library needs it and none exports it.
 */
static inline int opts_copy(void *dst, size_t dst_size, const void *src)
{
	const unsigned char *bytes = src;
	size_t size, i;

	memset(dst, 0, dst_size);
	if (!src)
		return 0;
	memcpy(&size, src, sizeof(size));
	if (size < sizeof(size))
		return -EINVAL;
	for (i = dst_size; i < size; i++) {
		if (bytes[i])
			return -E2BIG;
	}
	memcpy(dst, src, size < dst_size ? size : dst_size);
	return 0;
}

/* stats_copy() - the same in the other direction: write no more than @size */
void stats_copy(void *dst, size_t size, const void *src, size_t src_size);

void base_log(const struct weir_log *log, enum weir_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* base_die() - the ownership abort: one line on stderr, then abort(3) */
_Noreturn void base_die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* deadline_after() - @ns from @now, saturating below DEADLINE_NONE */
static inline uint64_t deadline_after(uint64_t now, uint64_t ns)
{
	return ns < DEADLINE_NONE - 1 - now ? now + ns : DEADLINE_NONE - 1;
}

static inline uint32_t round_up_pow2(uint32_t n)
{
	return n <= 1 ? 1 : 1U << (32 - __builtin_clz(n - 1));
}

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif /* BASE_BASE_H */
