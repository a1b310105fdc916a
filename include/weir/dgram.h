/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * dgram.h - a service of datagrams: weir_service_open() with WEIR_SERVICE_DGRAM.
 *
 * Each worker has a socket in one SO_REUSEPORT group, receives from it into its
 * pool and hands each datagram to datagram() of struct weir_service_ops. What a
 * callback sends leaves at the end of the turn, datagrams of one size to one peer
 * in one message where the kernel can cut it (UDP_SEGMENT). Sending is bounded:
 * beyond it a datagram is refused, and ready() tells when there is room again.
 *
 * How datagrams come and go besides the socket is a table of functions, so that
 * something else (AF_XDP) can carry them: struct weir_dgram_carrier.
 */
#ifndef WEIR_DGRAM_H
#define WEIR_DGRAM_H

#include <weir/addr.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_dgram;
struct weir_dgram_carrier;
struct weir_lease;
struct weir_loop;
struct weir_pool;

/**
 * enum weir_dgram_limits - limits of datagrams
 * @WEIR_DGRAM_BYTES_MAX: the longest one that IPv4 carries
 * @WEIR_DGRAM_GRO_BYTES: with service buffers of this size the kernel may merge
 *	what one peer sent (UDP_GRO); callbacks still see each datagram
 */
enum weir_dgram_limits {
	WEIR_DGRAM_BYTES_MAX	= 65507,
	WEIR_DGRAM_GRO_BYTES	= 66 * 1024,
};

/**
 * struct weir_datagram - one datagram
 * @peer: who sent it, or who is to get it
 * @own: received: the address of ours that it was sent to, NULL where that is not
 *	known. To be sent: the one that it leaves from; NULL: the kernel chooses. Its
 *	port says nothing: that is always the socket's
 * @data: its bytes
 * @len: how many; 0 is a datagram too
 * @pad: zero
 * @lease: what holds the bytes; received: borrowed for the call of datagram().
 *	To be sent: kept until they are, and they must not change; NULL: they are
 *	copied
 */
struct weir_datagram {
	const struct weir_addr *peer;
	const struct weir_addr *own;
	const void *data;
	uint32_t len;
	uint32_t pad;
	struct weir_lease *lease;
};

/**
 * weir_dgram_send() - send a datagram
 * @dgram: a worker's end
 * @datagram: what, to whom; the struct itself is not kept
 *
 * It leaves at the end of the turn at the latest. What becomes of it is counted:
 * dgrams_out and dgrams_failed of struct weir_service_stats.
 *
 * Context: The worker's thread.
 * Return: 0; -EINVAL for no peer, or an @own of another family than the service's;
 * -EAGAIN when as many as may wait do (counted as refused; ready() will
 * be called); -ENOBUFS when it must be copied and no buffer is free; -EMSGSIZE when
 * it is longer than a datagram, or when copied than a buffer; -ESHUTDOWN when the
 * service stops and nothing more is sent.
 */
WEIR_API WEIR_MUST_CHECK
int weir_dgram_send(struct weir_dgram *dgram, const struct weir_datagram *datagram);

/**
 * weir_dgram_worker() - which worker this is
 * @dgram: a worker's end
 *
 * Context: The worker's thread.
 * Return: its number from 0.
 */
WEIR_API unsigned int weir_dgram_worker(const struct weir_dgram *dgram);

/**
 * weir_dgram_service_ctx() - ctx of struct weir_service_opts
 * @dgram: a worker's end
 *
 * Context: The worker's thread.
 * Return: the pointer.
 */
WEIR_API void *weir_dgram_service_ctx(const struct weir_dgram *dgram);

/**
 * weir_dgram_loop() - the worker's loop
 * @dgram: a worker's end
 *
 * Context: The worker's thread, or open() of a carrier.
 * Return: the loop.
 */
WEIR_API struct weir_loop *weir_dgram_loop(const struct weir_dgram *dgram);

/**
 * weir_dgram_pool() - the worker's pool
 * @dgram: a worker's end
 *
 * Context: The worker's thread, or open() of a carrier.
 * Return: the pool.
 */
WEIR_API struct weir_pool *weir_dgram_pool(const struct weir_dgram *dgram);

/**
 * weir_dgram_addr() - where the service is
 * @dgram: a worker's end
 * @addr: filled in: the address that its sockets are bound to
 *
 * Context: The worker's thread, or open() of a carrier.
 */
WEIR_API void weir_dgram_addr(const struct weir_dgram *dgram, struct weir_addr *addr);

/* carriers */

/**
 * struct weir_dgram_carrier_ops - how datagrams come and go
 * @sz: sizeof(struct weir_dgram_carrier_ops)
 * @name: for logs
 * @open: make the port of the worker of @dgram; *@portp is handed to the others.
 *	Called by the thread that opens the service, after the worker's socket is
 *	bound: the service's address is known. 0 or -errno, which opening returns
 * @start: begin to receive, on the worker's thread
 * @send: take a datagram as weir_dgram_send() does. -EOPNOTSUPP: not this one,
 *	the worker's socket shall send it
 * @flush: the turn ends: what was taken leaves now
 * @stop: receive no more, and when all that was taken has left call
 *	weir_dgram_stopped(), from a later turn of the loop; @now: do not wait for
 *	the peer's or a device's sake. May be called again with @now
 * @close: the loop is closed, or the worker died: free. Any thread
 *
 * Every slot must be set. Context but for open and close: the worker's thread.
 */
struct weir_dgram_carrier_ops {
	size_t sz;
	const char *name;
	int (*open)(struct weir_dgram_carrier *carrier, struct weir_dgram *dgram, void **portp);
	void (*start)(void *port);
	int (*send)(void *port, const struct weir_datagram *datagram);
	void (*flush)(void *port);
	void (*stop)(void *port, int now);
	void (*close)(void *port);
};

/**
 * struct weir_dgram_carrier - base of every implementation
 * @ops: its table
 *
 * The caller's, who keeps it until the service is closed.
 */
struct weir_dgram_carrier {
	const struct weir_dgram_carrier_ops *ops;
};

/**
 * weir_dgram_received() - a datagram has come
 * @dgram: the worker's end, from open()
 * @datagram: what, from whom; borrowed for the call. lease may be NULL
 *
 * For carriers. Calls the user.
 *
 * Context: The worker's thread, from a callback of its loop.
 */
WEIR_API void weir_dgram_received(struct weir_dgram *dgram,
				  const struct weir_datagram *datagram);

/**
 * weir_dgram_count() - what became of datagrams
 * @dgram: the worker's end
 * @sent: so many left
 * @failed: so many could not be sent
 * @cut: so many came too long for their buffer and were dropped
 *
 * For carriers.
 *
 * Context: The worker's thread.
 */
WEIR_API void weir_dgram_count(struct weir_dgram *dgram, uint64_t sent, uint64_t failed,
			       uint64_t cut);

/**
 * weir_dgram_room() - send() would take some again
 * @dgram: the worker's end
 *
 * For carriers, when at least half of what may wait is free. Calls the user if
 * one of his was refused.
 *
 * Context: The worker's thread, from a callback of its loop.
 */
WEIR_API void weir_dgram_room(struct weir_dgram *dgram);

/**
 * weir_dgram_stopped() - the carrier has stopped
 * @dgram: the worker's end
 *
 * For carriers, once after stop().
 *
 * Context: The worker's thread, from a callback of its loop.
 */
WEIR_API void weir_dgram_stopped(struct weir_dgram *dgram);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_DGRAM_H */
