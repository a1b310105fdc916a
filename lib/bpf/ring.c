// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ring.c - consumer of a BPF ring buffer
 *
 * The kernel wakes a poller only when, at commit, the consumer has caught up
 * with the record. So the last thing before sleeping is: publish our position,
 * full fence, look again. Without the fence our store can still be in the store
 * buffer when the kernel reads the old position, and the wakeup is lost.
 *
 * Written here because the consumer of libbpf 1.1 has neither a bound per call
 * nor the fence.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/instance.h"

#define HEADER_BYTES	8U
#define LEN_MASK	(~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT))

int ring_open(struct ring *ring, const char *name, uint32_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *mem;
	int err;

	ring->fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, name, 0, 0, size, NULL);
	if (ring->fd < 0)
		return -errno;
	ring->size = size;
	mem = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, 0);
	if (mem == MAP_FAILED) {
		err = -errno;
		goto close_map;
	}
	ring->consumer = mem;
	mem = mmap(NULL, page + 2 * (size_t)size, PROT_READ, MAP_SHARED, ring->fd, page);
	if (mem == MAP_FAILED) {
		err = -errno;
		goto unmap_consumer;
	}
	ring->producer = mem;
	ring->data = (const char *)mem + page;
	return 0;

unmap_consumer:
	munmap((void *)ring->consumer, page);
close_map:
	close(ring->fd);
	ring->fd = -1;
	return err;
}

void ring_close(struct ring *ring)
{
	size_t page = sysconf(_SC_PAGESIZE);

	if (ring->fd < 0)
		return;
	munmap((void *)ring->producer, page + 2 * (size_t)ring->size);
	munmap((void *)ring->consumer, page);
	close(ring->fd);
	ring->fd = -1;
}

/* Length of the record at @pos, or 0: none there yet, or still being written. */
static uint32_t ring_record(const struct ring *ring, uint64_t pos)
{
	const _Atomic uint32_t *header;
	uint32_t len;

	if (pos == atomic_load_explicit(ring->producer, memory_order_acquire))
		return 0;
	header = (const void *)(ring->data + (pos & (ring->size - 1)));
	len = atomic_load_explicit(header, memory_order_acquire);
	return len & BPF_RINGBUF_BUSY_BIT ? 0 : len;
}

unsigned int ring_take(struct ring *ring, struct weir_event *out, unsigned int max)
{
	uint64_t pos = atomic_load_explicit(ring->consumer, memory_order_relaxed);
	unsigned int count = 0;
	const char *record;
	uint32_t len;

	while (count < max) {
		len = ring_record(ring, pos);
		if (!len) {
			/* Pairs with the kernel's own barrier at commit. */
			atomic_thread_fence(memory_order_seq_cst);
			len = ring_record(ring, pos);
			if (!len)
				break;
		}
		record = ring->data + (pos & (ring->size - 1)) + HEADER_BYTES;
		if (!(len & BPF_RINGBUF_DISCARD_BIT) && (len & LEN_MASK) == sizeof(*out))
			memcpy(&out[count++], record, sizeof(*out));
		pos += ((len & LEN_MASK) + HEADER_BYTES + 7) & ~7ULL;
		atomic_store_explicit(ring->consumer, pos, memory_order_release);
	}
	return count;
}
