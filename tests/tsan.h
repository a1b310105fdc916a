/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tsan.h - tests that share mapped memory with a service as another process would
 *
 * Operators, bpftool and the kernel read and write the maps with plain accesses of
 * one word each; so do these tests, from a thread of the same process, which the
 * thread sanitizer takes for a race of that process.
 */
#ifndef TESTS_TSAN_H
#define TESTS_TSAN_H

#if defined(__SANITIZE_THREAD__)
#define TSAN	1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN	1
#endif
#endif
#ifndef TSAN
#define TSAN	0
#endif

/* Any of the sanitizers, which make everything slower by a multiple. */
#if TSAN || defined(__SANITIZE_ADDRESS__)
#define SANITIZED	1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED	1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED	0
#endif

#define TSAN_WHY	"the thread sanitizer takes what another process may store in a map "	\
			"for a race of this one"

#endif /* TESTS_TSAN_H */
