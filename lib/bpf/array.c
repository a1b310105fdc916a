// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * array.c - arrays that the kernel half and this process both see as memory
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "bpf/instance.h"

size_t array_bytes(const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* The kernel keeps elements at multiples of eight bytes. */
	size_t bytes = (size_t)bpf_map__max_entries(map) * ((bpf_map__value_size(map) + 7) & ~7U);

	return (bytes + page - 1) & ~(page - 1);
}

int array_map(void **memp, const struct bpf_map *map)
{
	void *mem = mmap(NULL, array_bytes(map), PROT_READ | PROT_WRITE, MAP_SHARED,
			 bpf_map__fd(map), 0);

	if (mem == MAP_FAILED)
		return -errno;
	*memp = mem;
	return 0;
}

void array_unmap(void **memp, const struct bpf_map *map)
{
	if (*memp)
		munmap(*memp, array_bytes(map));
	*memp = NULL;
}
