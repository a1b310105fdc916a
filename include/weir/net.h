/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * net.h - listeners, connections.
 *
 * A connection has one send queue with one operation in flight, so bytes leave
 * in the order they were queued. Above the high mark its producer should pause;
 * at the low mark drain() is called.
 */
#ifndef WEIR_NET_H
#define WEIR_NET_H

#include <sys/socket.h>
#include <weir/addr.h>
#include <weir/op.h>
#include <weir/pool.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_conn;
struct weir_listener;

/**
 * struct weir_listener_opts - how to listen
 * @sz: sizeof(struct weir_listener_opts)
 * @addr: where; port 0 is replaced by the one the kernel chose, explicitly
 * @accepted: a connection has come: @file is the caller's to close. Called
 *	until the listener is gone, so that no client is accepted and dropped
 * @failed: accepting paused for a reason (-EMFILE, -ENFILE, …); it goes on by
 *	itself. NULL for none
 * @ctx: handed to both
 * @backlog: of listen(2); default 4096, cut by net.core.somaxconn
 * @reuseport: 1: set SO_REUSEPORT
 * @fd: a TCP socket that listens already, instead of @addr, @backlog and
 *	@reuseport. It is duplicated and stays the caller's. NULL: one is opened
 */
struct weir_listener_opts {
	size_t sz;
	const struct weir_addr *addr;
	void (*accepted)(void *ctx, struct weir_file file);
	void (*failed)(void *ctx, int err);
	void *ctx;
	uint32_t backlog;
	uint32_t reuseport;
	const int *fd;
};

/**
 * weir_listener_open() - bind, listen, and get ready to accept
 * @listenerp: where the listener goes
 * @loop: the loop that will accept
 * @opts: options
 *
 * TCP_NODELAY and SO_REUSEADDR are set; accepted sockets inherit the former.
 * The socket is bound to an explicit port even if 0 was asked for, because a
 * listener bound to port 0 changes its port on shutdown and listen.
 *
 * Context: Owner thread.
 * Return: 0; -EINVAL without an address or callback, or for a @fd that does not
 * listen or has port 0; -EAFNOSUPPORT for what is neither IPv4 nor IPv6; -EBADF;
 * -EOPNOTSUPP for a @fd on the sim backend; -EADDRINUSE if the port is taken, or taken by a socket
 * without SO_REUSEPORT; -ENFILE; -ENOMEM; or another -errno of socket, bind,
 * listen.
 */
WEIR_API WEIR_MUST_CHECK
int weir_listener_open(struct weir_listener **listenerp, struct weir_loop *loop,
		       const struct weir_listener_opts *opts);

/**
 * weir_listener_start() - begin to accept
 * @listener: a listener
 *
 * Accepting goes on until the listener is closed. Whatever else ends it, the
 * listener takes it up again, after a failure that repeats itself in 10 ms.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_listener_start(struct weir_listener *listener);

/**
 * weir_listener_addr() - where a listener listens
 * @listener: a listener
 * @addr: filled in, with the port in use
 *
 * Context: Owner thread.
 */
WEIR_API void weir_listener_addr(const struct weir_listener *listener, struct weir_addr *addr);

/**
 * weir_listener_fd() - the plain descriptor of a listener
 * @listener: a listener
 *
 * Context: Owner thread.
 * Return: the descriptor, which stays the listener's; -EOPNOTSUPP on sim.
 */
WEIR_API int weir_listener_fd(const struct weir_listener *listener);

/**
 * weir_listener_close() - stop accepting and close
 * @listener: a listener, or NULL
 * @closed: called when it is gone and its memory was freed; NULL for none
 * @ctx: handed to @closed
 *
 * Connections in its accept queue are reset by the kernel unless another
 * listener of the group takes them over. What was accepted already still comes
 * to accepted(), before @closed. To be called before weir_loop_close(), which
 * waits for it.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_listener_close(struct weir_listener *listener, void (*closed)(void *ctx),
				  void *ctx);

/**
 * struct weir_conn_ops - what a connection tells its user
 * @data: bytes came; @lease is borrowed for the call (weir_lease_get() keeps
 *	it). NULL @lease: the peer has finished sending; what is to be sent can
 *	still be sent, and the user closes. Nothing comes after
 *	weir_conn_close()
 * @drain: the send queue fell to the low mark after it had reached the high
 *	one, or there is room after a send was cut short. Once for each time.
 *	NULL for none
 * @closed: the connection is over, @err is 0 or the -errno that ended it; the
 *	memory is gone when this returns
 *
 * Each may call any function of the connection.
 *
 * Context of all: owner thread, from weir_loop_run() and its kin.
 */
struct weir_conn_ops {
	void (*data)(struct weir_conn *conn, struct weir_lease *lease);
	void (*drain)(struct weir_conn *conn);
	void (*closed)(struct weir_conn *conn, int err);
};

/**
 * struct weir_conn_opts - how to run a connection
 * @sz: sizeof(struct weir_conn_opts)
 * @ops: callbacks
 * @ctx: see weir_conn_ctx()
 * @pool: of the same loop; where received bytes go and copied sends come from
 * @low_bytes: low mark of the send queue; default 16 KiB, at most a quarter of
 *	the high one
 * @high_bytes: high mark of the send queue; default 64 KiB
 * @linger_ns: how long a close may take to drain and to see the peer's end;
 *	default 5 s
 */
struct weir_conn_opts {
	size_t sz;
	const struct weir_conn_ops *ops;
	void *ctx;
	struct weir_pool *pool;
	uint32_t low_bytes;
	uint32_t high_bytes;
	uint64_t linger_ns;
};

/**
 * weir_conn_open() - run a connection over a connected stream socket
 * @connp: where the connection goes
 * @loop: the loop
 * @file: the socket, from an accept or connect; the connection's from here
 * @opts: options
 *
 * Starts receiving. Allocates; a service keeps its connections in a slab
 * instead. Connections are to be closed or aborted before their loop, which
 * waits for them, and their pool.
 *
 * Context: Owner thread.
 * Return: 0, -EBADF for a stale @file, -EINVAL for bad marks, a pool of another
 * loop or no data() or closed(), -ENOMEM. On failure @file stays the caller's.
 */
WEIR_API WEIR_MUST_CHECK
int weir_conn_open(struct weir_conn **connp, struct weir_loop *loop, struct weir_file file,
		   const struct weir_conn_opts *opts);

/**
 * weir_conn_send() - queue bytes, copying them into buffers of the pool
 * @conn: the connection
 * @buf: the bytes
 * @len: how many
 *
 * Takes what fits below the high mark and the pool's free buffers. After a
 * short count drain() is called when there is room again.
 *
 * Context: Owner thread.
 * Return: bytes taken, 0 to @len; -EPIPE if the connection is closing or its
 * peer is gone, and closed() will come; -EBUSY while it is on its way to another
 * worker, see weir_conn_hand_over().
 */
WEIR_API WEIR_MUST_CHECK
int weir_conn_send(struct weir_conn *conn, const void *buf, uint32_t len);

/**
 * weir_conn_send_lease() - queue bytes of a lease without copying
 * @conn: the connection
 * @lease: a lease the caller holds or borrows; the queue takes a reference
 * @offset: first byte
 * @len: how many
 *
 * Taken even above the high mark: the buffer is held either way. Its bytes must
 * not be written to until the buffer is back in its pool, that is, when every
 * reference was put and the library's is gone too: the kernel may still read them
 * after they were sent. Who wants to send other bytes takes another buffer.
 *
 * Context: Owner thread.
 * Return: 0; 1 if the queue is now at or above the high mark: pause; -EINVAL
 * for bytes outside the lease; -EPIPE and -EBUSY as weir_conn_send(); -ENOBUFS if the
 * queue has no entry left (all queues over one pool share two for each of its
 * buffers; one in front is always free), then drain() is called.
 */
WEIR_API WEIR_MUST_CHECK
int weir_conn_send_lease(struct weir_conn *conn, struct weir_lease *lease,
			 uint32_t offset, uint32_t len);

/**
 * weir_conn_pause() - stop receiving
 * @conn: the connection
 *
 * Events already under way may still come, no byte is lost. The receive window
 * closes behind them and the peer slows down. While paused, neither the peer's
 * end nor a reset is noticed but by a send that fails.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_conn_pause(struct weir_conn *conn);

/**
 * weir_conn_resume() - go on receiving
 * @conn: the connection
 *
 * Context: Owner thread.
 */
WEIR_API void weir_conn_resume(struct weir_conn *conn);

/**
 * weir_conn_close() - drain, shut down, linger to the peer's end, close
 * @conn: the connection
 *
 * Received bytes are dropped from here on, also when receiving was paused.
 * Bounded by linger_ns: closed() is then told -ETIME. Closing twice is harmless,
 * and abort may follow close.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_conn_close(struct weir_conn *conn);

/**
 * weir_conn_abort() - close now, dropping what is queued
 * @conn: the connection
 * @err: what closed() is told, 0 or a negative errno value
 *
 * Only the first abort counts. The peer sees a reset if it sent bytes that were
 * not received, else an end of file after what the kernel had taken.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_conn_abort(struct weir_conn *conn, int err);

/**
 * weir_conn_queued() - bytes in the send queue
 * @conn: the connection
 *
 * Context: Owner thread.
 * Return: bytes not yet taken by the kernel.
 */
WEIR_API uint64_t weir_conn_queued(const struct weir_conn *conn);

/**
 * weir_conn_cookie() - the socket's cookie
 * @conn: the connection
 *
 * Joins the connection with the BPF side's telemetry and signals.
 *
 * Context: Owner thread.
 * Return: the cookie, or 0 while it is not known.
 */
WEIR_API uint64_t weir_conn_cookie(const struct weir_conn *conn);

/**
 * weir_conn_file() - the handle under a connection
 * @conn: the connection
 *
 * Context: Owner thread.
 * Return: the handle, which stays the connection's.
 */
WEIR_API struct weir_file weir_conn_file(const struct weir_conn *conn);

/**
 * weir_conn_loop() - the loop of a connection
 * @conn: the connection
 *
 * Context: Owner thread.
 * Return: its loop.
 */
WEIR_API struct weir_loop *weir_conn_loop(const struct weir_conn *conn);

/**
 * weir_conn_ctx() - the user's pointer
 * @conn: the connection
 *
 * Context: Owner thread.
 * Return: what was set last.
 */
WEIR_API void *weir_conn_ctx(const struct weir_conn *conn);

/**
 * weir_conn_set_ctx() - set the user's pointer
 * @conn: the connection
 * @ctx: any pointer
 *
 * Context: Owner thread.
 */
WEIR_API void weir_conn_set_ctx(struct weir_conn *conn, void *ctx);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_NET_H */
