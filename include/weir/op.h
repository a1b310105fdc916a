/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * op.h - one asynchronous operation in the caller's memory.
 *
 * Life: prepare (an inline of weir/prep.h, touches only the op), weir_submit(), then
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

struct iovec;
struct msghdr;
struct sockaddr;
struct statx;
struct weir_lease;
struct weir_loop;
struct weir_op;
struct weir_pool;
struct weir_token;

/**
 * enum weir_opcode - what an operation does
 * @WEIR_OP_NOP: nothing, through the whole machinery
 * @WEIR_OP_TIMEOUT: ends with 0 when its deadline passes
 * @WEIR_OP_POLL: ends with the ready poll(2) events; multishot: at each edge
 * @WEIR_OP_WORK: calls a function on a thread of the offload pool
 * @WEIR_OP_SOCKET: creates a socket; see op->accepted
 * @WEIR_OP_BIND: bind(2)
 * @WEIR_OP_LISTEN: listen(2)
 * @WEIR_OP_ACCEPT: accepts connections; see op->accepted
 * @WEIR_OP_CONNECT: connects a socket, or creates a stream socket and connects
 *	that; see op->accepted
 * @WEIR_OP_RECV: receives into memory, or into buffers of a pool
 * @WEIR_OP_SEND: sends; may end short
 * @WEIR_OP_RECVMSG: recvmsg(2) into memory, or into buffers of a pool
 * @WEIR_OP_SENDMSG: sendmsg(2); may end short
 * @WEIR_OP_SHUTDOWN: shutdown(2)
 * @WEIR_OP_GETSOCKOPT: getsockopt(2); ends with the length of the value
 * @WEIR_OP_SETSOCKOPT: setsockopt(2)
 * @WEIR_OP_INSTALL: ends with a plain descriptor of the file, the caller's own
 * @WEIR_OP_OPEN: opens a file by path; see op->accepted
 * @WEIR_OP_READ: reads a file at an offset, or a pipe into buffers of a pool
 * @WEIR_OP_WRITE: writes a file at an offset; may end short
 * @WEIR_OP_READV: preadv(2)
 * @WEIR_OP_WRITEV: pwritev(2); may end short
 * @WEIR_OP_FSYNC: fsync(2) or fdatasync(2)
 * @WEIR_OP_FALLOCATE: fallocate(2)
 * @WEIR_OP_FTRUNCATE: ftruncate(2)
 * @WEIR_OP_STATX: statx(2), of a path or of the file
 * @WEIR_OP_UNLINK: unlink(2) or rmdir(2)
 * @WEIR_OP_RENAME: renameat2(2)
 * @WEIR_OP_MKDIR: mkdir(2)
 * @WEIR_OP_SPLICE: splice(2); ends with the bytes moved
 * @WEIR_OP_FADVISE: posix_fadvise(2)
 * @WEIR_OP_CLOSE: cancels all that is in flight on the file, waits for it,
 *	then closes
 * @WEIR_OP_MAX: count
 */
enum weir_opcode {
	WEIR_OP_NOP,
	WEIR_OP_TIMEOUT,
	WEIR_OP_POLL,
	WEIR_OP_WORK,
	WEIR_OP_SOCKET,
	WEIR_OP_BIND,
	WEIR_OP_LISTEN,
	WEIR_OP_ACCEPT,
	WEIR_OP_CONNECT,
	WEIR_OP_RECV,
	WEIR_OP_SEND,
	WEIR_OP_RECVMSG,
	WEIR_OP_SENDMSG,
	WEIR_OP_SHUTDOWN,
	WEIR_OP_GETSOCKOPT,
	WEIR_OP_SETSOCKOPT,
	WEIR_OP_INSTALL,
	WEIR_OP_OPEN,
	WEIR_OP_READ,
	WEIR_OP_WRITE,
	WEIR_OP_READV,
	WEIR_OP_WRITEV,
	WEIR_OP_FSYNC,
	WEIR_OP_FALLOCATE,
	WEIR_OP_FTRUNCATE,
	WEIR_OP_STATX,
	WEIR_OP_UNLINK,
	WEIR_OP_RENAME,
	WEIR_OP_MKDIR,
	WEIR_OP_SPLICE,
	WEIR_OP_FADVISE,
	WEIR_OP_CLOSE,
	WEIR_OP_MAX,
};

/**
 * enum weir_op_flags - how an operation runs
 * @WEIR_OPF_MULTISHOT: completes many times; accept and poll, and recv, recvmsg
 *	and read from a pool
 * @WEIR_OPF_LEASE: a send of bytes in op->xfer.lease, which the library may go on
 *	holding after the terminal event: see weir_prep_send_lease()
 * @WEIR_OPF_ALL: every flag this version knows; others are refused
 */
enum weir_op_flags {
	WEIR_OPF_MULTISHOT	= 1 << 0,
	WEIR_OPF_LEASE		= 1 << 1,
	WEIR_OPF_ALL		= WEIR_OPF_MULTISHOT | WEIR_OPF_LEASE,
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
 * @len: bytes wanted, where the operation moves bytes; of a vector its entries
 * @xfer: recv, send, recvmsg, sendmsg, read, write, readv, writev. msg_flags may
 *	hold MSG_NOSIGNAL, of a send MSG_MORE, of a recv into memory MSG_PEEK;
 *	others are refused
 * @accept: accept
 * @addr: bind, connect
 * @listen: listen
 * @poll: poll
 * @work: work
 * @socket: socket
 * @sockopt: getsockopt, setsockopt
 * @shutdown: shutdown
 * @path: open, unlink, mkdir
 * @rename: rename
 * @statx: statx
 * @range: fallocate, ftruncate (@offset is the length), fadvise, fsync
 * @splice: splice
 * @deadline_ns: when to give up, on the clock of weir_loop_now(); 0 is never. A
 *	close has none
 * @token: cancels it together with others, see weir/token.h; NULL for none
 * @res: result: a count or a negative errno value
 * @origin: enum weir_origin of @res
 * @more: non-zero: not the terminal event, more will come
 * @accepted: the new file, of an accept, connect, socket or open that succeeded
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
			union {
				uint64_t offset;
				struct weir_lease *lease;
			};
			int32_t msg_flags;
		} xfer;
		struct {
			uint32_t burst;		/* connections one wake may bring */
		} accept;
		struct {
			const struct sockaddr *addr;
			uint32_t len;
		} addr;
		struct {
			int32_t backlog;
		} listen;
		struct {
			uint32_t events;
		} poll;
		struct {
			int (*fn)(void *arg);
			void *arg;
		} work;
		struct {
			int32_t family;
			int32_t type;
			int32_t protocol;
		} socket;
		struct {
			void *value;
			int32_t level;
			int32_t name;
			uint32_t len;
		} sockopt;
		struct {
			int32_t how;
		} shutdown;
		struct {
			const char *name;
			int32_t flags;
			uint32_t mode;
		} path;
		struct {
			const char *from;
			const char *to;
			uint32_t flags;
		} rename;
		struct {
			const char *path;	/* or NULL: of the file itself */
			struct statx *buf;
			int32_t flags;
			uint32_t mask;
		} statx;
		struct {
			uint64_t offset;
			uint64_t len;
			int32_t mode;		/* of fallocate; advice; 1: data only */
		} range;
		struct {
			struct weir_file from;
			int64_t off_in;		/* -1: where it stands */
			int64_t off_out;
			uint32_t flags;
		} splice;
	};
	uint64_t deadline_ns;
	struct weir_token *token;

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
	struct weir_link lib_token;
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

#define WEIR_STR2(x)		#x
#define WEIR_STR(x)		WEIR_STR2(x)
#define weir_submit(loop, op)	weir_submit_at(loop, op, __FILE__ ":" WEIR_STR(__LINE__))

#ifdef __cplusplus
}
#endif

#include <weir/prep.h>

#endif /* WEIR_OP_H */
