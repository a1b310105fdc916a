// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * array.c - arrays that the kernel half and this process both see as memory, and
 * those of which each processor has its own
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/instance.h"

size_t array_size(uint32_t entries, uint32_t value_bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* The kernel keeps elements at multiples of eight bytes. */
	size_t bytes = (size_t)entries * ((value_bytes + 7) & ~7U);

	return (bytes + page - 1) & ~(page - 1);
}

size_t array_bytes(const struct bpf_map *map)
{
	return array_size(bpf_map__max_entries(map), bpf_map__value_size(map));
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

int percpu_sum(int map_fd, uint32_t key, uint64_t *sum, size_t words)
{
	int err, cpus = libbpf_num_possible_cpus();
	uint64_t *values;
	size_t i;

	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, words * sizeof(*values));
	if (!values)
		return -ENOMEM;
	err = bpf_map_lookup_elem(map_fd, &key, values);
	if (!err)
		memset(sum, 0, words * sizeof(*sum));
	for (i = 0; !err && i < (size_t)cpus * words; i++)
		sum[i % words] += values[i];
	free(values);
	return err;
}
