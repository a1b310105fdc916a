// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * mem.c - memory through the caller's hooks, and structs that grow by size
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

static void *libc_get(void *ctx, size_t bytes, size_t align)
{
	void *mem;

	if (posix_memalign(&mem, align < sizeof(void *) ? sizeof(void *) : align, bytes))
		return NULL;
	return mem;
}

static void libc_put(void *ctx, void *mem, size_t bytes)
{
	free(mem);
}

const struct weir_alloc base_alloc_libc = {
	.get	= libc_get,
	.put	= libc_put,
};

void *mem_get(const struct weir_alloc *alloc, size_t count, size_t size, size_t align)
{
	size_t bytes;
	void *mem;

	if (__builtin_mul_overflow(count, size, &bytes) || !bytes)
		return NULL;
	mem = alloc->get(alloc->ctx, bytes, align);
	if (mem)
		memset(mem, 0, bytes);
	return mem;
}

void mem_put(const struct weir_alloc *alloc, void *mem, size_t count, size_t size)
{
	if (mem)
		alloc->put(alloc->ctx, mem, count * size);
}

void stats_copy(void *dst, size_t size, const void *src, size_t src_size)
{
	memset(dst, 0, size);
	memcpy(dst, src, size < src_size ? size : src_size);
}
