/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * op.h - one asynchronous operation in the caller's memory.
 *
 * Life: prepare (an inline below, touches only the op), weir_submit(), then
 * exactly one terminal event: a call of done() with op->more == 0. A multishot
 * operation is called with op->more != 0 any number of times before that.
 * Between submit and the terminal event the library and the kernel own the op
 * and every buffer it names; afterwards the caller does, and done() itself may
 * free the op, prepare and submit it again, or stop the loop. It may not close
 * the loop.
 */
#ifndef WEIR_OP_H
#define WEIR_OP_H

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sockaddr;
struct weir_lease;
struct weir_loop;
struct weir_op;
struct weir_pool;

/**
 * enum weir_opcode - what an operation does
 * @WEIR_OP_NOP: nothing, through the whole machinery
 * @WEIR_OP_TIMEOUT: ends with 0 when its deadline passes
 * @WEIR_OP_POLL: ends with the ready poll(2) events
 * @WEIR_OP_ACCEPT: accepts connections; see op->accepted
 * @WEIR_OP_CONNECT: creates a stream socket and connects it; see op->accepted
 * @WEIR_OP_RECV: receives into memory, or into buffers of a pool
 * @WEIR_OP_SEND: sends; may end short
 * @WEIR_OP_READ: reads a file at an offset
 * @WEIR_OP_WRITE: writes a file at an offset; may end short
 * @WEIR_OP_SHUTDOWN: shutdown(2)
 * @WEIR_OP_COOKIE: reads the socket's cookie (SO_COOKIE) into 8 bytes
 * @WEIR_OP_CLOSE: cancels all that is in flight on the file, waits for it,
 *	then closes
 * @WEIR_OP_MAX: count
 */
enum weir_opcode {
	WEIR_OP_NOP,
	WEIR_OP_TIMEOUT,
	WEIR_OP_POLL,
	WEIR_OP_ACCEPT,
	WEIR_OP_CONNECT,
	WEIR_OP_RECV,
	WEIR_OP_SEND,
	WEIR_OP_READ,
	WEIR_OP_WRITE,
	WEIR_OP_SHUTDOWN,
	WEIR_OP_COOKIE,
	WEIR_OP_CLOSE,
	WEIR_OP_MAX,
};

/**
 * enum weir_op_flags - how an operation runs
 * @WEIR_OPF_MULTISHOT: completes many times; accept, and recv from a pool
 * @WEIR_OPF_ALL: every flag this version knows; others are refused
 */
enum weir_op_flags {
	WEIR_OPF_MULTISHOT	= 1 << 0,
	WEIR_OPF_ALL		= WEIR_OPF_MULTISHOT,
};

/** struct weir_link - a node of a list; the library's own */
struct weir_link {
	struct weir_link *next;
	struct weir_link *prev;
};

/**
 * struct weir_file - handle of an open file or socket of one loop
 * @index: its place in the loop's file table
 * @gen: generation; a handle that outlived its file is refused with -EBADF
 *
 * A value: copy it freely. Whether it is a slot of the ring's registered-file
 * table or a plain descriptor is the library's affair. All zero is no file.
 */
struct weir_file {
	uint32_t index;
	uint32_t gen;
};

/**
 * typedef weir_done_fn - an event of an operation
 * @op: the operation, its result fields filled in
 *
 * Context: Owner thread, from weir_loop_run() and its kin and nowhere else.
 */
typedef void weir_done_fn(struct weir_op *op);

/**
 * struct weir_op - one asynchronous operation
 * @done: called for each event
 * @ctx: the caller's
 * @file: what it works on
 * @opcode: enum weir_opcode
 * @flags: enum weir_op_flags
 * @len: bytes wanted, where the operation moves bytes
 * @xfer: recv, send, read, write, cookie. msg_flags may hold MSG_NOSIGNAL, of a
 *	send MSG_MORE, of a recv into memory MSG_PEEK; others are refused
 * @accept: accept
 * @connect: connect
 * @poll: poll
 * @shutdown: shutdown
 * @deadline_ns: when to give up, on the clock of weir_loop_now(); 0 is never. A
 *	close has none
 * @res: result: a count or a negative errno value
 * @origin: enum weir_origin of @res
 * @more: non-zero: not the terminal event, more will come
 * @accepted: the new file, of an accept or connect that succeeded
 * @lease: the buffer of a recv from a pool, or NULL; borrowed for the call of
 *	done(), which takes its own reference (weir_lease_get()) to keep it
 *
 * Fields named lib_* are the library's. The size is frozen.
 */
struct weir_op {
	weir_done_fn *done;
	void *ctx;
	struct weir_file file;
	uint8_t opcode;
	uint8_t flags;
	/* private: */
	uint16_t pad;
	/* public: */
	uint32_t len;
	union {
		struct {
			void *buf;
			struct weir_pool *pool;
			uint64_t offset;
			int32_t msg_flags;
		} xfer;
		struct {
			uint32_t burst;		/* connections one wake may bring */
		} accept;
		struct {
			const struct sockaddr *addr;
			uint32_t addr_len;
		} connect;
		struct {
			uint32_t events;
		} poll;
		struct {
			int32_t how;
		} shutdown;
	};
	uint64_t deadline_ns;

	int32_t res;
	uint8_t origin;
	uint8_t more;
	/* private: */
	uint16_t pad2;
	/* public: */
	union {
		struct weir_file accepted;
		struct weir_lease *lease;
	};

	/* private: the library's */
	uint32_t lib_magic;
	uint32_t lib_slot;
	uint8_t lib_state;
	uint8_t lib_end;
	uint16_t lib_pad;
	uint32_t lib_priv;
	struct weir_loop *lib_loop;
	const char *lib_where;
	struct weir_link lib_file;
	struct weir_link lib_queue;
	struct weir_link lib_wheel;
	uint64_t lib_room[3];
};

WEIR_STATIC_ASSERT(sizeof(void *) != 8 || sizeof(struct weir_op) == 192,
		   "struct weir_op is ABI");

/**
 * weir_submit_at() - hand an operation to a loop
 * @loop: the loop
 * @op: a prepared operation that is not in flight
 * @where: "file:line" of the caller, a static string; weir_submit() fills it in
 *
 * Never fails, never loses the op and never calls back: whatever is wrong with
 * it is told by its terminal event, with op->origin WEIR_ORIGIN_LIBRARY. When
 * the loop's budget of operations is used up the op waits, first in first out.
 * An op that is in flight already aborts the process with its name and the
 * place it was submitted from.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_submit_at(struct weir_loop *loop, struct weir_op *op, const char *where);

/**
 * weir_cancel() - ask for an operation to end now
 * @loop: the loop it was submitted to
 * @op: an operation; one that is not in flight is left alone
 *
 * Tells nothing: the terminal event does, with -ECANCELED, or with what the
 * operation came to if it was quicker. Cancelling twice is harmless.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_cancel(struct weir_loop *loop, struct weir_op *op);

/**
 * weir_op_busy() - is an operation in flight?
 * @op: an operation that was submitted or zeroed at least once
 *
 * Context: Owner thread.
 * Return: 1 between weir_submit() and the terminal event, else 0.
 */
WEIR_API int weir_op_busy(const struct weir_op *op);

/**
 * weir_op_name() - name of an opcode
 * @opcode: enum weir_opcode
 *
 * Context: Any thread.
 * Return: a static string such as "recv"; "?" for what is none.
 */
WEIR_API const char *weir_op_name(unsigned int opcode);

/* inline: these touch nothing but the caller's own op */

#define WEIR_STR2(x)		#x
#define WEIR_STR(x)		WEIR_STR2(x)
#define weir_submit(loop, op)	weir_submit_at(loop, op, __FILE__ ":" WEIR_STR(__LINE__))

static inline void weir_prep(struct weir_op *op, unsigned int opcode,
			     struct weir_file file, weir_done_fn *done, void *ctx)
{
	op->done = done;
	op->ctx = ctx;
	op->file = file;
	op->opcode = (uint8_t)opcode;
	op->flags = 0;
	op->pad = 0;
	op->len = 0;
	op->xfer.buf = NULL;
	op->xfer.pool = NULL;
	op->xfer.offset = 0;
	op->xfer.msg_flags = 0;
	op->deadline_ns = 0;
}

static inline void weir_prep_nop(struct weir_op *op, weir_done_fn *done, void *ctx)
{
	struct weir_file none = { 0, 0 };

	weir_prep(op, WEIR_OP_NOP, none, done, ctx);
}

/* Ends with 0 at @deadline_ns of the loop's clock; in the past: at once. */
static inline void weir_prep_timeout(struct weir_op *op, uint64_t deadline_ns,
				     weir_done_fn *done, void *ctx)
{
	struct weir_file none = { 0, 0 };

	weir_prep(op, WEIR_OP_TIMEOUT, none, done, ctx);
	op->deadline_ns = deadline_ns;
}

/* @events as in poll(2); one shot. */
static inline void weir_prep_poll(struct weir_op *op, struct weir_file file, uint32_t events,
				  weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_POLL, file, done, ctx);
	op->poll.events = events;
}

/*
 * @burst: the listener's backlog. While fewer file slots than that are free,
 * the library takes one connection at a time, and none without a slot.
 */
static inline void weir_prep_accept(struct weir_op *op, struct weir_file file, uint32_t burst,
				    weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_ACCEPT, file, done, ctx);
	op->flags = WEIR_OPF_MULTISHOT;
	op->accept.burst = burst;
}

/*
 * @addr stays the caller's and must live until the terminal event. A full backlog
 * of a Unix socket ends it with -EAGAIN on epoll; io_uring waits for room.
 */
static inline void weir_prep_connect(struct weir_op *op, const struct sockaddr *addr,
				     uint32_t addr_len, weir_done_fn *done, void *ctx)
{
	struct weir_file none = { 0, 0 };

	weir_prep(op, WEIR_OP_CONNECT, none, done, ctx);
	op->connect.addr = addr;
	op->connect.addr_len = addr_len;
}

static inline void weir_prep_recv(struct weir_op *op, struct weir_file file,
				  void *buf, uint32_t len, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_RECV, file, done, ctx);
	op->xfer.buf = buf;
	op->len = len;
}

/* Multishot: each event brings a lease of @pool; an empty pool only delays. */
static inline void weir_prep_recv_pool(struct weir_op *op, struct weir_file file,
				       struct weir_pool *pool, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_RECV, file, done, ctx);
	op->flags = WEIR_OPF_MULTISHOT;
	op->xfer.pool = pool;
}

static inline void weir_prep_send(struct weir_op *op, struct weir_file file,
				  const void *buf, uint32_t len, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_SEND, file, done, ctx);
	op->xfer.buf = (void *)(uintptr_t)buf;
	op->len = len;
}

static inline void weir_prep_read(struct weir_op *op, struct weir_file file, void *buf,
				  uint32_t len, uint64_t offset, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_READ, file, done, ctx);
	op->xfer.buf = buf;
	op->len = len;
	op->xfer.offset = offset;
}

static inline void weir_prep_write(struct weir_op *op, struct weir_file file, const void *buf,
				   uint32_t len, uint64_t offset, weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_WRITE, file, done, ctx);
	op->xfer.buf = (void *)(uintptr_t)buf;
	op->len = len;
	op->xfer.offset = offset;
}

/* @how as in shutdown(2). */
static inline void weir_prep_shutdown(struct weir_op *op, struct weir_file file, int how,
				      weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_SHUTDOWN, file, done, ctx);
	op->shutdown.how = how;
}

/* @cookie must live until the terminal event. */
static inline void weir_prep_cookie(struct weir_op *op, struct weir_file file, uint64_t *cookie,
				    weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_COOKIE, file, done, ctx);
	op->xfer.buf = cookie;
	op->len = sizeof(*cookie);
}

static inline void weir_prep_close(struct weir_op *op, struct weir_file file,
				   weir_done_fn *done, void *ctx)
{
	weir_prep(op, WEIR_OP_CLOSE, file, done, ctx);
}

#ifdef __cplusplus
}
#endif

#endif /* WEIR_OP_H */
