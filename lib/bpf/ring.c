// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ring.c - consumer of a BPF ring buffer
 *
 * The kernel wakes a poller only when, at commit, the consumer has caught up
 * with the record. So the last thing before sleeping is: publish our position,
 * full fence, look again. Without the fence our store can still be in the store
 * buffer when the kernel reads the old position, and the wakeup is lost.
 *
 * A worker's ring has one reader. The observers' ring has any number, each with a
 * position of its own; the first to have read a record frees it, so that the slow
 * lose events (and see it by their seq) and hold up nobody.
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

int ring_map(struct ring *ring, int fd, uint32_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	void *mem;
	int err;

	mem = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		return -errno;
	ring->consumer = mem;
	mem = mmap(NULL, page + 2 * (size_t)size, PROT_READ, MAP_SHARED, fd, page);
	if (mem == MAP_FAILED) {
		err = -errno;
		munmap((void *)ring->consumer, page);
		return err;
	}
	ring->producer = mem;
	ring->data = (const char *)mem + page;
	ring->size = size;
	ring->fd = fd;
	return 0;
}

int ring_open(struct ring *ring, const char *name, uint32_t size)
{
	int err, fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, name, 0, 0, size, NULL);

	if (fd < 0)
		return -errno;
	err = ring_map(ring, fd, size);
	if (err)
		close(fd);
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

/* Copy the event at *@pos and step over it; -EAGAIN: nothing there, -ENOMSG: no event. */
static int ring_next(const struct ring *ring, uint64_t *pos, struct weir_event *out)
{
	uint32_t len = ring_record(ring, *pos);
	const char *record;

	if (!len)
		return -EAGAIN;
	record = ring->data + (*pos & (ring->size - 1)) + HEADER_BYTES;
	*pos += ((len & LEN_MASK) + HEADER_BYTES + 7) & ~7ULL;
	if (len & BPF_RINGBUF_DISCARD_BIT || (len & LEN_MASK) != sizeof(*out))
		return -ENOMSG;
	memcpy(out, record, sizeof(*out));
	return 0;
}

unsigned int ring_take(struct ring *ring, struct weir_event *out, unsigned int max)
{
	uint64_t pos = atomic_load_explicit(ring->consumer, memory_order_relaxed);
	unsigned int count = 0;
	int err;

	while (count < max) {
		err = ring_next(ring, &pos, &out[count]);
		if (err == -EAGAIN) {
			/* Pairs with the kernel's own barrier at commit. */
			atomic_thread_fence(memory_order_seq_cst);
			err = ring_next(ring, &pos, &out[count]);
		}
		if (err == -EAGAIN)
			break;
		count += !err;
		atomic_store_explicit(ring->consumer, pos, memory_order_release);
	}
	return count;
}

/*
 * Whether what was read at @pos was still whole: the kernel had not come round
 * to it. It writes the header of a record, and no more, before it says so.
 */
static bool ring_whole(const struct ring *ring, uint64_t pos)
{
	uint64_t producer;

	atomic_thread_fence(memory_order_acquire);
	producer = atomic_load_explicit(ring->producer, memory_order_relaxed);
	return producer + HEADER_BYTES <= pos + ring->size;
}

/* Let the kernel have what all up to @pos have read, or are too slow to read. */
static void ring_give(struct ring *ring, uint64_t pos)
{
	uint64_t now = atomic_load_explicit(ring->consumer, memory_order_relaxed);

	while ((int64_t)(pos - now) > 0 &&
	       !atomic_compare_exchange_weak_explicit(ring->consumer, &now, pos,
						      memory_order_seq_cst,
						      memory_order_relaxed))
		;
}

uint64_t ring_end(struct ring *ring)
{
	uint64_t pos = atomic_load_explicit(ring->producer, memory_order_acquire);

	ring_give(ring, pos);
	return pos;
}

unsigned int ring_follow(struct ring *ring, uint64_t *pos, struct weir_event *out,
			 unsigned int max)
{
	unsigned int count = 0;
	uint64_t next;
	int err;

	while (count < max) {
		next = *pos;
		err = ring_next(ring, &next, &out[count]);
		if (!ring_whole(ring, *pos)) {
			/* Overtaken: go on with the oldest that is surely there. */
			*pos = atomic_load_explicit(ring->consumer, memory_order_acquire);
			continue;
		}
		if (err == -EAGAIN)
			break;
		*pos = next;
		count += !err;
	}
	ring_give(ring, *pos);
	return count;
}
