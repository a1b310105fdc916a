/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * conn.h - a connection, for those who keep it in memory of their own
 *
 * Memory: below 1 KiB for each connection, three quarters of it four
 * operations. An idle one holds no buffer: receives share the pool's, and of
 * the send queue only the entry in front is the connection's own, the rest
 * come from the pool (struct pool_seg).
 *
 * Life: conn_init(), then callbacks, then closed(), then the hook release():
 * the memory may be used again. No function of a connection ever frees it
 * while the caller runs: closed() comes from a turn of the loop.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include <weir/flow.h>
#include <weir/net.h>

#include "buf/pool.h"
#include "io/loop.h"

/*
 * What a keeper of connections may want to know. Each may be NULL but @release.
 * @release: closed() has returned, the memory is free
 * @edge: the send queue crossed a mark. WEIR_WATER_HIGH comes from inside
 *	weir_conn_send*(): it may not call the user
 * @unstalled: the send outstanding when conn->stalled was set has ended
 * @halted: the user has paused receiving; from inside weir_conn_pause()
 * @moving: after conn_move(): nothing is in flight, and @fd, the keeper's, is a
 *	descriptor of the socket: conn_left() or conn_stay() comes next. Negative: it
 *	stays, and has gone on already
 */
struct conn_hooks {
	void (*release)(struct weir_conn *conn);
	void (*edge)(struct weir_conn *conn, enum weir_water_edge edge);
	void (*unstalled)(struct weir_conn *conn);
	void (*halted)(struct weir_conn *conn);
	void (*moving)(struct weir_conn *conn, int fd);
};

enum conn_state {
	CONN_OPEN,
	CONN_DRAIN,		/* close wished: the send queue goes out first */
	CONN_LINGER,		/* writing is shut down: wait for the peer's end */
	CONN_CLOSE,		/* ends now */
	CONN_MOVE,		/* on its way to another loop: nothing is in flight */
};

struct weir_conn {
	struct weir_loop *loop;
	struct weir_pool *pool;
	const struct weir_conn_ops *ops;
	void *ctx;
	struct weir_file file;
	int err;		/* what closed() will be told */
	uint8_t state;		/* enum conn_state */
	bool paused;
	bool eof;		/* the peer has finished sending */
	bool shut;		/* shutdown was submitted */
	bool closing;		/* close was submitted */
	bool gone;		/* close has ended */
	bool want_drain;	/* a send was cut short */
	bool tail_private;	/* the last entry is a buffer that we filled */
	bool stalled;		/* the keeper's: see conn_hooks.unstalled */
	bool moving;		/* the receive is to end and is not armed again */
	uint8_t wished;		/* in CONN_MOVE: the state that was wished meanwhile */

	/* The send queue: lib/net/sendq.c. No lease: it is empty. */
	struct pool_seg head;
	struct io_gather *gather;	/* in flight: of the first entries; NULL: of head */
	uint32_t last;		/* index of the last entry, SEG_NONE: it is head */
	uint32_t pad;
	struct weir_water water;
	uint64_t send_since_ns;	/* when the send in flight began; 0: none is */
	struct weir_link sending;
	struct weir_link *sending_head;
	struct pool_waiter waiter;

	const struct conn_hooks *hooks;
	void (*cookie_done)(struct weir_conn *conn);
	uint64_t cookie;
	uint64_t linger_ns;

	struct weir_op recv;
	struct weir_op send;
	struct weir_op ctl;	/* cookie, then shutdown, then close */
	struct weir_op timer;	/* bounds a close */
};

_Static_assert(sizeof(struct weir_conn) <= 1024, "memory of an idle connection");

/*
 * conn_init() - run a connection in the caller's memory
 *
 * As weir_conn_open(). @hooks and its release are set; @sending, if not NULL,
 * is a list where connections with a send in flight stand, by their member
 * sending, the longest outstanding (send_since_ns) first.
 */
int conn_init(struct weir_conn *conn, struct weir_loop *loop, struct weir_file file,
	      const struct weir_conn_opts *opts, const struct conn_hooks *hooks,
	      struct weir_link *sending);

/*
 * conn_read_cookie() - ask for the socket's cookie; @done when it is known
 *
 * To be called once, right after conn_init(). In @done weir_conn_cookie() is 0
 * if it could not be read, and the connection may be closing already.
 */
void conn_read_cookie(struct weir_conn *conn, void (*done)(struct weir_conn *conn));

/* conn_idle() - is nothing queued or being sent, and the peer not done? */
bool conn_idle(const struct weir_conn *conn);

/*
 * conn_move() - let go of the socket, so that another loop may have it
 *
 * The receive is cancelled; what had come is told to data() before that. Then
 * @moving is called. Return: 0, or -EBUSY when it is not idle.
 */
int conn_move(struct weir_conn *conn);

/* conn_left() - another loop has the socket: this one closes without a word to it */
void conn_left(struct weir_conn *conn);

/* conn_stay() - nobody has: go on, or do what was wished meanwhile */
void conn_stay(struct weir_conn *conn);

/* conn_advance() - take the next step of a close, if its time has come */
void conn_advance(struct weir_conn *conn);

/* lib/net/sendq.c */
void sendq_init(struct weir_conn *conn);

/* sendq_drop() - forget what is queued; the entry in flight goes at its end */
void sendq_drop(struct weir_conn *conn);

static inline bool sendq_empty(const struct weir_conn *conn)
{
	return !conn->head.lease;
}

#endif /* NET_CONN_H */
