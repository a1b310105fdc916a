/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * xsk.h - AF_XDP sockets driven by a loop: whole frames of one queue of a network
 * interface, past the kernel's network stack.
 *
 * Frames lie in the buffers of a pool. What the kernel may write to or still
 * has to send is a lease that the socket holds; a frame that came is a lease
 * that is lent to packet() for its call. When its last reference is given back
 * the buffer is free in the pool, and from there the kernel gets it again.
 *
 * What comes to such a socket is chosen by an XDP program: see weir/xdp.h. To
 * send no program is needed.
 */
#ifndef WEIR_XSK_H
#define WEIR_XSK_H

#include <weir/pool.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;
struct weir_xsk;

/**
 * enum weir_xsk_flags - how a socket is bound
 * @WEIR_XSK_COPY: the kernel copies each frame, also where the driver could do
 *	without
 * @WEIR_XSK_ZEROCOPY: it must not: else weir_xsk_open() says -EOPNOTSUPP
 */
enum weir_xsk_flags {
	WEIR_XSK_COPY		= 1 << 0,
	WEIR_XSK_ZEROCOPY	= 1 << 1,
};

/**
 * struct weir_xsk_ops - what a socket tells its user
 * @sz: sizeof(struct weir_xsk_ops)
 * @packet: a frame of @len bytes came, at @frame. @lease is borrowed for the
 *	call: to keep the frame take a reference of one's own. It may be changed
 *	in place and handed to weir_xsk_send(). NULL: frames are given back
 * @room: weir_xsk_send() said -EAGAIN, and now there is room again. NULL: untold
 * @error: -ETIME: nothing of what was sent was taken for tx_timeout_ns; told
 *	once, and again when it happens again. Any other error ends the socket:
 *	-ENETDOWN, for instance, when the interface is gone. NULL: untold
 * @closed: the last call: the socket is gone. NULL: untold
 *
 * All are called from turns of the loop, never from inside a call of the user's.
 */
struct weir_xsk_ops {
	size_t sz;
	void (*packet)(void *ctx, struct weir_lease *lease, void *frame, uint32_t len);
	void (*room)(void *ctx);
	void (*error)(void *ctx, int err);
	void (*closed)(void *ctx);
};

/**
 * struct weir_xsk_opts - how to open a socket; zero and NULL mean default
 * @sz: sizeof(struct weir_xsk_opts)
 * @ops: what is told; required
 * @ctx: handed to every call of @ops
 * @ifname: the network interface; required
 * @pool: where frames lie: buffers of 2048 or of 4096 bytes; the socket takes
 *	spare ones, see weir_pool_lease(), and one socket may use it. NULL: a pool
 *	of the socket's own
 * @reason: where the reason of a failure is written, as one line; may be NULL
 * @reason_bytes: size of @reason
 * @queue: of the interface, from 0
 * @frames: of a pool of its own, 64 to WEIR_POOL_BUFS_MAX; default 1024
 * @frame_bytes: size of each, 2048 (default) or 4096; 256 of them are the
 *	kernel's when a frame comes in
 * @fill: frames that the kernel may receive into at a time; default half of
 *	@frames, or of the pool's buffers
 * @send_max: frames sent and not yet taken, at most; a power of two from 8 to
 *	16384; default 512
 * @batch: frames received in one turn, 1 to 1024; default 64
 * @flags: enum weir_xsk_flags
 * @tx_timeout_ns: see error(); default a second
 */
struct weir_xsk_opts {
	size_t sz;
	const struct weir_xsk_ops *ops;
	void *ctx;
	const char *ifname;
	struct weir_pool *pool;
	char *reason;
	size_t reason_bytes;
	uint32_t queue;
	uint32_t frames;
	uint32_t frame_bytes;
	uint32_t fill;
	uint32_t send_max;
	uint32_t batch;
	uint32_t flags;
	uint64_t tx_timeout_ns;
};

/**
 * struct weir_xsk_stats - counters of a socket
 * @rx_frames: frames received
 * @rx_bytes: and their bytes
 * @tx_frames: frames handed to the kernel
 * @tx_bytes: and their bytes
 * @tx_done: frames that the kernel has given back
 * @tx_refused: calls of weir_xsk_send() that found no room
 * @tx_stalls: how often nothing was taken for tx_timeout_ns
 * @kicks: system calls to make the kernel send or receive
 * @late: frames that only the tick of a second found
 * @fill_short: turns in which the kernel could not be given all the frames it may
 *	have, since the pool had none
 * @rx_dropped: by the kernel's count: frames that did not fit into one of ours
 * @rx_ring_full: frames dropped since the user was too slow
 * @fill_empty: frames dropped since the kernel had none to receive into
 * @rx_invalid: descriptors of ours that the kernel refused
 * @tx_invalid: and those of sends
 * @zero_copy: 1 when the driver sends and receives without a copy
 * @outstanding: frames sent and not given back now
 */
struct weir_xsk_stats {
	uint64_t rx_frames;
	uint64_t rx_bytes;
	uint64_t tx_frames;
	uint64_t tx_bytes;
	uint64_t tx_done;
	uint64_t tx_refused;
	uint64_t tx_stalls;
	uint64_t kicks;
	uint64_t late;
	uint64_t fill_short;
	uint64_t rx_dropped;
	uint64_t rx_ring_full;
	uint64_t fill_empty;
	uint64_t rx_invalid;
	uint64_t tx_invalid;
	uint32_t zero_copy;
	uint32_t outstanding;
};

/**
 * weir_xsk_open() - open a socket on one queue of an interface
 * @xskp: where the socket goes
 * @loop: the loop that drives it
 * @opts: how
 *
 * Needs CAP_NET_RAW, and CAP_IPC_LOCK or an RLIMIT_MEMLOCK that holds the
 * memory; no capability is needed after it. Zero copy is taken where the driver
 * has it (weir_xsk_stats.zero_copy tells), and never silently missed with
 * WEIR_XSK_ZEROCOPY. libxdp's and libbpf's print hooks are set for the length of
 * the call.
 *
 * Context: Owner thread.
 * Return: 0, or with @reason naming the thing: -EINVAL for a bad option, a pool
 * of other buffers, or a queue that is not there; -ENODEV for no such interface;
 * -ENETDOWN when it is down; -EBUSY when the queue has a socket (said after a tenth
 * of a second: one that was just closed leaves it a moment later); -EPERM;
 * -ENOBUFS when RLIMIT_MEMLOCK does not hold the memory; -EOPNOTSUPP for zero
 * copy that the driver does not have, on the sim backend, without AF_XDP in the
 * kernel, or when built without libxdp; -ENOMEM; or what the kernel answered.
 */
WEIR_API WEIR_MUST_CHECK
int weir_xsk_open(struct weir_xsk **xskp, struct weir_loop *loop, const struct weir_xsk_opts *opts);

/**
 * weir_xsk_close() - end a socket
 * @xsk: the socket; NULL is allowed
 *
 * Nothing but closed() is told after this. The memory stays until every lease
 * of a pool of its own is back: closed() comes after that. Frames that were sent
 * and not taken may be lost. To be closed before its loop.
 *
 * Context: Owner thread; inside packet() too.
 */
WEIR_API void weir_xsk_close(struct weir_xsk *xsk);

/**
 * weir_xsk_send() - send a frame
 * @xsk: the socket
 * @lease: the buffer it lies in, of the socket's pool; the socket takes a
 *	reference of its own until the kernel has given the frame back, and until
 *	then nobody may change it
 * @frame: where it begins, with the Ethernet header
 * @len: its bytes, checksums and all
 *
 * Sends of one turn go out with one system call at its end.
 *
 * Context: Owner thread.
 * Return: 0; -EAGAIN when send_max frames are outstanding: room() will tell;
 * -EBUSY when this buffer is being sent; -EINVAL for bytes that are not within
 * @lease or less than an Ethernet header; -EMSGSIZE for a frame above the MTU that
 * the interface had when the socket was opened; -ESHUTDOWN after weir_xsk_close()
 * or the end of the socket.
 */
WEIR_API WEIR_MUST_CHECK
int weir_xsk_send(struct weir_xsk *xsk, struct weir_lease *lease, void *frame, uint32_t len);

/**
 * weir_xsk_lease() - take a free buffer to send from
 * @xsk: the socket
 * @leasep: where the lease goes, with one reference
 *
 * Context: Owner thread.
 * Return: 0, or -ENOBUFS when the pool has no spare buffer.
 */
WEIR_API WEIR_MUST_CHECK
int weir_xsk_lease(struct weir_xsk *xsk, struct weir_lease **leasep);

/**
 * weir_xsk_fd() - the descriptor, for a map of XDP sockets
 * @xsk: the socket
 *
 * Context: Any thread, while the socket is open.
 * Return: the descriptor, which stays the socket's.
 */
WEIR_API int weir_xsk_fd(const struct weir_xsk *xsk);

/**
 * weir_xsk_stats() - read the counters
 * @xsk: the socket
 * @stats: filled in
 * @sz: sizeof(*stats) of the caller; no more than that is written
 *
 * Context: Owner thread.
 */
WEIR_API void weir_xsk_stats(const struct weir_xsk *xsk, struct weir_xsk_stats *stats, size_t sz);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_XSK_H */
