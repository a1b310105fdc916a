/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * types.h - what every other header of weir needs: export marks, option
 * structs, allocator and log hooks, error origins.
 *
 * Contracts that hold for the whole library:
 *  - A function returns 0 (or a count) or a negative errno value, never sets
 *    errno, and changes its out pointers only on success.
 *  - A function is called by the *owner* of a loop (the thread that runs it, or
 *    the opener before the first run) unless its Context says "any thread" or
 *    "signal handler". Builds with CONFIG_DEBUG=y assert this.
 *  - The library never prints and never exits, but for what would corrupt memory
 *    if it went on. These abort the process with one line on stderr: an operation
 *    in flight that is submitted again (with its name and the place it was
 *    submitted from) or that has no callback, a token or scope that ends before
 *    what is under it, a lease given back twice, a kernel that says it lost
 *    completions or has no entropy. Builds with CONFIG_DEBUG=y also abort where
 *    the library finds a fault of its own.
 */
#ifndef WEIR_TYPES_H
#define WEIR_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define WEIR_STATIC_ASSERT(cond, text)	static_assert(cond, text)
#else
#define WEIR_STATIC_ASSERT(cond, text)	_Static_assert(cond, text)
#endif

#define WEIR_API		__attribute__((visibility("default")))
#define WEIR_MUST_CHECK		__attribute__((warn_unused_result))

/**
 * enum weir_origin - who produced the result of an operation
 * @WEIR_ORIGIN_KERNEL: the kernel (or the simulated one) carried it out
 * @WEIR_ORIGIN_LIBRARY: weir refused it before the kernel saw it
 * @WEIR_ORIGIN_CANCELLED: it was cancelled; the result is -ECANCELED
 * @WEIR_ORIGIN_DEADLINE: its deadline passed; the result is -ETIME
 */
enum weir_origin {
	WEIR_ORIGIN_KERNEL,
	WEIR_ORIGIN_LIBRARY,
	WEIR_ORIGIN_CANCELLED,
	WEIR_ORIGIN_DEADLINE,
};

/**
 * enum weir_log_level - how loud a log line is
 * @WEIR_LOG_ERROR: something does not work
 * @WEIR_LOG_WARN: a rung of the capability ladder was lost, or a limit was hit
 * @WEIR_LOG_INFO: one line per start, stop and choice
 * @WEIR_LOG_DEBUG: for the library's own developers
 */
enum weir_log_level {
	WEIR_LOG_ERROR,
	WEIR_LOG_WARN,
	WEIR_LOG_INFO,
	WEIR_LOG_DEBUG,
};

/**
 * struct weir_log - where log lines go
 * @line: called with one line without a newline; NULL drops all lines. May be
 *	called from any thread that runs a loop; must not call back into weir.
 * @ctx: handed to @line
 * @level: the loudest level wanted
 */
struct weir_log {
	void (*line)(void *ctx, enum weir_log_level level, const char *text);
	void *ctx;
	enum weir_log_level level;
};

/**
 * struct weir_alloc - allocator hooks
 * @get: returns @bytes of memory aligned to @align (a power of two), or NULL
 * @put: gives memory back; @bytes is what was asked for
 * @ctx: handed to both
 *
 * Called when something is opened or closed, never on the I/O path.
 */
struct weir_alloc {
	void *(*get)(void *ctx, size_t bytes, size_t align);
	void (*put)(void *ctx, void *mem, size_t bytes);
	void *ctx;
};

/**
 * weir_strerror() - text of an error
 * @err: a negative errno value as any function of weir returns it
 *
 * Context: Any thread, signal handler.
 * Return: a static string such as "ECANCELED: Operation canceled"; never NULL.
 */
WEIR_API const char *weir_strerror(int err);

/**
 * weir_origin_name() - text of a result's origin
 * @origin: an enum weir_origin
 *
 * Context: Any thread, signal handler.
 * Return: "kernel", "library", "cancelled" or "deadline"; "?" for anything else.
 */
WEIR_API const char *weir_origin_name(unsigned int origin);

/**
 * weir_version() - version of the library that is linked
 *
 * Context: Any thread.
 * Return: "major.minor.patch".
 */
WEIR_API const char *weir_version(void);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_TYPES_H */
