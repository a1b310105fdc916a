/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * pool.h - buffers: one slab, registered with the kernel once, lent out in
 * counted leases.
 *
 * Exhaustion is backpressure, not an error. When fewer than low-water buffers
 * are free, receives are not armed; when none is left, armed ones park. As
 * leases come back, parked receives are armed again, first in first out. In
 * between the sockets' receive buffers fill and TCP slows the peers down.
 */
#ifndef WEIR_POOL_H
#define WEIR_POOL_H

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_lease;
struct weir_loop;
struct weir_pool;

/**
 * enum weir_pool_limits - limits of a pool
 * @WEIR_POOL_BUFS_MAX: buffers in one pool (the kernel's longest buffer ring)
 * @WEIR_POOL_BUF_MIN: smallest buffer
 * @WEIR_POOL_BUF_MAX: largest buffer
 * @WEIR_POOLS_MAX: pools of one loop
 */
enum weir_pool_limits {
	WEIR_POOL_BUFS_MAX	= 32768,
	WEIR_POOL_BUF_MIN	= 64,
	WEIR_POOL_BUF_MAX	= 1 << 24,
	WEIR_POOLS_MAX		= 8,
};

/**
 * enum weir_pool_flags - how a pool is used
 * @WEIR_POOL_INCREMENTAL: one receive goes on in the buffer where another one
 *	stopped, so that a large buffer serves many small messages. The lease of
 *	each is a piece of the buffer, which comes back when it was full and all
 *	its pieces were. For weir_prep_recv_pool() on sockets of SOCK_STREAM; on
 *	others, and other operations, -EINVAL ends it
 * @WEIR_POOL_ALL: every flag this version knows; others are refused
 */
enum weir_pool_flags {
	WEIR_POOL_INCREMENTAL	= 1 << 0,
	WEIR_POOL_ALL		= WEIR_POOL_INCREMENTAL,
};

/**
 * struct weir_pool_opts - shape of a pool
 * @sz: sizeof(struct weir_pool_opts)
 * @buf_bytes: size of each buffer, WEIR_POOL_BUF_MIN to WEIR_POOL_BUF_MAX
 * @count: buffers, 1 to WEIR_POOL_BUFS_MAX
 * @low: with no more than this many buffers left to receive into, no receive is
 *	armed; less than @count without @spare; 0: an eighth
 * @spare: buffers kept aside for weir_pool_lease() and for sends that copy,
 *	which the kernel may not receive into; 0: a quarter; less than @count.
 *	Neither side uses the other's, so that sends never stop receives
 * @flags: enum weir_pool_flags
 * @pad: zero
 */
struct weir_pool_opts {
	size_t sz;
	uint32_t buf_bytes;
	uint32_t count;
	uint32_t low;
	uint32_t spare;
	uint32_t flags;
	uint32_t pad;
};

/**
 * struct weir_pool_stats - occupancy of a pool
 * @count: buffers in all
 * @free: buffers nobody holds, spare ones among them, and those that are only
 *	partly lent out in pieces
 * @free_min: the fewest that were ever free
 * @parked: receives that wait for a buffer now
 * @parks: receives that ever waited
 * @incremental: 1 if buffers are lent in pieces; 0 too where that was asked for
 *	and the kernel cannot (before Linux 6.12), which the log says
 * @pieces: pieces of buffers that are out
 */
struct weir_pool_stats {
	uint32_t count;
	uint32_t free;
	uint32_t free_min;
	uint32_t parked;
	uint64_t parks;
	uint32_t incremental;
	uint32_t pieces;
};

/**
 * weir_pool_open() - make a pool and register it with a loop
 * @poolp: where the pool goes
 * @loop: the loop; the pool is part of it
 * @opts: shape
 *
 * Where RLIMIT_MEMLOCK is too small for the slab the pool works all the same:
 * the log warns, and reads and writes of files do without fixed buffers.
 *
 * Context: Owner thread.
 * Return: 0; -EINVAL for a size or count out of range (zero among them), or an
 * unknown flag;
 * -ENOSPC if the loop's budget of buffers (bufs_max) is used up, or if it has
 * WEIR_POOLS_MAX pools already; -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK
int weir_pool_open(struct weir_pool **poolp, struct weir_loop *loop,
		   const struct weir_pool_opts *opts);

/**
 * weir_pool_close() - unregister and free a pool
 * @pool: the pool, or NULL
 *
 * May follow weir_loop_close() too.
 *
 * Context: Owner thread.
 * Return: 0, or -EBUSY while a lease is out or a receive is armed on it.
 */
WEIR_API int weir_pool_close(struct weir_pool *pool);

/**
 * weir_pool_lease() - take a spare buffer
 * @pool: the pool
 * @leasep: where the lease goes, with one reference
 *
 * Context: Owner thread.
 * Return: 0, or -ENOBUFS if none of the pool's spare buffers is free.
 */
WEIR_API WEIR_MUST_CHECK
int weir_pool_lease(struct weir_pool *pool, struct weir_lease **leasep);

/**
 * weir_pool_stats() - read a pool's occupancy
 * @pool: the pool
 * @stats: filled in
 * @sz: sizeof(*stats) of the caller; no more than that is written
 *
 * Context: Owner thread.
 */
WEIR_API void weir_pool_stats(const struct weir_pool *pool, struct weir_pool_stats *stats,
			      size_t sz);

/**
 * weir_pool_memory() - where the buffers of a pool lie
 * @pool: the pool
 * @bytes: where the length goes; may be NULL
 *
 * For what must be told of the memory once, as an AF_XDP socket is. Buffer i
 * begins at i times the size of one; who holds none may not touch it.
 *
 * Context: Owner thread.
 * Return: start of the slab, which begins on a page.
 */
WEIR_API void *weir_pool_memory(const struct weir_pool *pool, size_t *bytes);

/**
 * weir_lease_get() - take another reference
 * @lease: a lease the caller may use
 *
 * Context: Owner thread of the pool's loop.
 * Return: @lease.
 */
WEIR_API struct weir_lease *weir_lease_get(struct weir_lease *lease);

/**
 * weir_lease_put() - give a reference back
 * @lease: a lease, or NULL; the last reference returns the buffer to its pool
 *
 * Returning a lease that nobody holds aborts the process.
 *
 * Context: Owner thread of the pool's loop.
 */
WEIR_API void weir_lease_put(struct weir_lease *lease);

/**
 * weir_lease_data() - the bytes of a lease
 * @lease: a lease the caller holds or borrows
 *
 * Context: Owner thread of the pool's loop.
 * Return: start of its buffer, or piece; aligned to nothing.
 */
WEIR_API void *weir_lease_data(const struct weir_lease *lease);

/**
 * weir_lease_len() - how many bytes of a lease are filled
 * @lease: a lease the caller holds or borrows
 *
 * Context: Owner thread of the pool's loop.
 * Return: bytes received into it; 0 for one from weir_pool_lease().
 */
WEIR_API uint32_t weir_lease_len(const struct weir_lease *lease);

/**
 * weir_lease_size() - capacity of a lease
 * @lease: a lease the caller holds or borrows
 *
 * Context: Owner thread of the pool's loop.
 * Return: bytes of its buffer, or of its piece of one.
 */
WEIR_API uint32_t weir_lease_size(const struct weir_lease *lease);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_POOL_H */
