// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_group.c - a pool on a ring: one slab, registered as a fixed buffer and
 * lent to the kernel as a ring of provided buffers
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "io/group.h"
#include "io/probe.h"
#include "io/uring.h"

/*
 * A bundle is cut off at so many buffers, and the socket goes on after the others:
 * as many as the kernel's multishot fills in a row without. Cut off at fewer it
 * costs more than it saves.
 */
enum { BUNDLE_MIN = 16, BUNDLE_MAX = 32 };

static size_t ring_bytes(const struct io_group *group)
{
	return round_up_pow2(group->count) * sizeof(struct io_uring_buf);
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

/*
 * A bundle that could take all the buffers there are ends its multishot, even if it
 * takes one: so it may take no more than are left when nothing is armed any more.
 */
static void bundle_open(struct weir_loop *loop, struct io_group *group)
{
	uint32_t most = min_u32(group->low, BUNDLE_MAX);

	if (loop->opts.flags & WEIR_LOOP_NO_BUNDLE || most < BUNDLE_MIN || group->incremental)
		return;
	if (!probe_works(PROBE_BUNDLE)) {
		loop_log(loop, WEIR_LOG_INFO, "uring: several buffers in one completion: %s",
			 weir_uring_features(NULL)[PROBE_BUNDLE].why);
		return;
	}
	group->bundle_bytes = most * group->buf_bytes;
}

static bool can_be_incremental(struct weir_loop *loop)
{
	if (probe_works(PROBE_BUF_INC))
		return true;
	loop_log(loop, WEIR_LOG_WARN, "uring: a pool is not incremental, each receive takes a "
		 "whole buffer: %s", weir_uring_features(NULL)[PROBE_BUF_INC].why);
	return false;
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
	group->incremental = group->streams && can_be_incremental(loop);
	/* The flags stand where liburing 2.3 has padding. */
	if (group->incremental)
		reg.pad = URING_PBUF_INC;
	err = io_uring_register_buf_ring(&uring_of(loop)->ring, &reg, 0);
	if (err) {
		munmap(ring, ring_bytes(group));
		return err;
	}
	io_uring_buf_ring_init(ring);
	group->priv = ring;
	group->mask = reg.ring_entries - 1;
	group->last = (uint16_t)group->spare_max;
	for (bid = group->spare_max; bid < group->count; bid++)
		uring_group_put(loop, group, bid);
	slab_register(loop, group);
	bundle_open(loop, group);
	uring_gather_open(loop);
	uring_zc_open(loop, group);
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
	uring_put(group, &group->leases[bid]);
}
