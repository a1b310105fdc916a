// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_group.c - a pool on a ring: one slab, registered as a fixed buffer and
 * lent to the kernel as a ring of provided buffers
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "io/group.h"
#include "io/uring.h"

static size_t ring_bytes(const struct io_group *group)
{
	return round_up_pow2(group->count) * sizeof(struct io_uring_buf);
}

static void buf_add(struct io_group *group, uint32_t bid, uint32_t at)
{
	struct io_uring_buf_ring *ring = group->priv;

	io_uring_buf_ring_add(ring, group->leases[bid].data, group->buf_bytes, (uint16_t)bid,
			      (int)round_up_pow2(group->count) - 1, (int)at);
}

/*
 * A slab that may not be locked still serves as provided buffers; only reads
 * and writes of files lose their fixed variant.
 */
static void slab_register(struct weir_loop *loop, struct io_group *group)
{
	struct iovec iov = {
		.iov_base = group->slab,
		.iov_len = (size_t)group->count * group->buf_bytes,
	};
	struct rlimit limit = { 0 };
	int ret;

	ret = io_uring_register_buffers_update_tag(&uring_of(loop)->ring, group->id, &iov,
						   NULL, 1);
	group->fixed = ret == 1;
	if (group->fixed)
		return;
	getrlimit(RLIMIT_MEMLOCK, &limit);
	loop_log(loop, WEIR_LOG_WARN, "uring: pool of %zu bytes is not a fixed buffer: %s "
		 "(RLIMIT_MEMLOCK is %llu)", iov.iov_len, weir_strerror(ret),
		 (unsigned long long)limit.rlim_cur);
}

int uring_group_open(struct weir_loop *loop, struct io_group *group)
{
	struct io_uring_buf_reg reg = { 0 };
	uint32_t bid;
	void *ring;
	int err;

	ring = mmap(NULL, ring_bytes(group), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ring == MAP_FAILED)
		return -ENOMEM;
	reg.ring_addr = (uintptr_t)ring;
	reg.ring_entries = round_up_pow2(group->count);
	reg.bgid = (uint16_t)group->id;
	err = io_uring_register_buf_ring(&uring_of(loop)->ring, &reg, 0);
	if (err) {
		munmap(ring, ring_bytes(group));
		return err;
	}
	io_uring_buf_ring_init(ring);
	group->priv = ring;
	group->mask = reg.ring_entries - 1;
	for (bid = group->spare_max; bid < group->count; bid++)
		buf_add(group, bid, bid - group->spare_max);
	io_uring_buf_ring_advance(ring, (int)(group->count - group->spare_max));
	slab_register(loop, group);
	return 0;
}

void uring_group_close(struct weir_loop *loop, struct io_group *group)
{
	struct uring *u = uring_of(loop);
	struct iovec none = { 0 };

	io_uring_unregister_buf_ring(&u->ring, (int)group->id);
	if (group->fixed)
		io_uring_register_buffers_update_tag(&u->ring, group->id, &none, NULL, 1);
	munmap(group->priv, ring_bytes(group));
	group->priv = NULL;
}

void uring_group_put(struct weir_loop *loop, struct io_group *group, uint32_t bid)
{
	struct io_uring_buf_ring *ring = group->priv;
	struct io_uring_buf *buf = &ring->bufs[ring->tail & group->mask];

	buf->addr = (uintptr_t)group->leases[bid].data;
	buf->len = group->buf_bytes;
	buf->bid = (uint16_t)bid;
	io_uring_smp_store_release(&ring->tail, (uint16_t)(ring->tail + 1));
}
