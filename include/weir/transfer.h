/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * transfer.h - transfers that go on until all is moved: exact reads and writes of
 * files, pipes and sockets, files into sockets.
 *
 * The caller fills in the first part of a struct, zero the rest, and keeps it and
 * what it names until done() is called, once, from a turn of the loop. progress(),
 * if there is one, is called after each step but the last. The same struct may be
 * started again in done().
 */
#ifndef WEIR_TRANSFER_H
#define WEIR_TRANSFER_H

#include <weir/op.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_exact;
struct weir_sendfile;

/* Of a pipe, a socket, a terminal: it has no offsets. */
#define WEIR_NO_OFFSET	UINT64_MAX

/**
 * typedef weir_exact_fn - an event of an exact transfer
 * @exact: the transfer
 *
 * Context: Owner thread, from weir_loop_run() and its kin and nowhere else.
 */
typedef void weir_exact_fn(struct weir_exact *exact);

/**
 * typedef weir_sendfile_fn - an event of a file on its way
 * @sf: the transfer
 *
 * Context: Owner thread, from weir_loop_run() and its kin and nowhere else.
 */
typedef void weir_sendfile_fn(struct weir_sendfile *sf);

/**
 * struct weir_exact - a read or write that leaves nothing over
 * @done: called when it has ended
 * @progress: called after each step; NULL for none
 * @ctx: the caller's
 * @file: what is read or written: a file, a pipe, a stream socket
 * @buf: memory; not changed by a write
 * @len: bytes wanted
 * @offset: where in the file, or WEIR_NO_OFFSET
 * @step_bytes: of each step at the most; 0: as many as one operation takes
 * @deadline_ns: of the whole, on the clock of weir_loop_now(); 0 is never
 * @token: cancels it; NULL for none
 * @moved: result: bytes read or written so far, also after an error
 * @res: result: 0 when all was moved; -ENODATA when a read met the end before; or
 *	the -errno that stopped it
 */
struct weir_exact {
	weir_exact_fn *done;
	weir_exact_fn *progress;
	void *ctx;
	struct weir_file file;
	void *buf;
	uint64_t len;
	uint64_t offset;
	uint32_t step_bytes;
	int32_t res;
	uint64_t deadline_ns;
	struct weir_token *token;
	uint64_t moved;
	/* private: the library's */
	struct weir_loop *lib_loop;
	uint32_t lib_opcode;
	uint32_t lib_cancelled;
	struct weir_op lib_op;
};

/**
 * struct weir_sendfile - a file into a socket or pipe, without a copy in user memory
 * @done: called when it has ended
 * @progress: called after each step; NULL for none
 * @ctx: the caller's
 * @from: the file
 * @to: where it goes
 * @offset: where in the file
 * @len: bytes, or UINT64_MAX: to its end
 * @buf: memory for the case that @from cannot be spliced; NULL: then it fails
 * @buf_bytes: of @buf
 * @deadline_ns: of the whole, on the clock of weir_loop_now(); 0 is never
 * @token: cancels it; NULL for none
 * @sent: result: bytes that @to took so far, also after an error
 * @res: result: 0, or the -errno that stopped it. A file that ends sooner than
 *	@len is no error: see @sent
 */
struct weir_sendfile {
	weir_sendfile_fn *done;
	weir_sendfile_fn *progress;
	void *ctx;
	struct weir_file from;
	struct weir_file to;
	uint64_t offset;
	uint64_t len;
	void *buf;
	uint32_t buf_bytes;
	int32_t res;
	uint64_t deadline_ns;
	struct weir_token *token;
	uint64_t sent;
	/* private: the library's */
	struct weir_loop *lib_loop;
	struct weir_file lib_pipe[2];
	uint32_t lib_state;
	uint32_t lib_held;	/* bytes on their way, in the pipe or in buf */
	uint32_t lib_at;	/* of those in buf, how many were sent */
	uint32_t lib_cancelled;
	struct weir_op lib_op;
};

/**
 * weir_read_exact() - read until @exact->len bytes are there, or the end
 * @loop: the loop
 * @exact: filled in, and not under way
 *
 * Short counts are gone on from, -EINTR is tried again.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_read_exact(struct weir_loop *loop, struct weir_exact *exact);

/**
 * weir_write_all() - write until all @exact->len bytes are written
 * @loop: the loop
 * @exact: filled in, and not under way
 *
 * Short counts are gone on from, -EINTR is tried again. As write(2) does, it raises
 * SIGPIPE when a pipe or stream socket has no reader any more: ignore that signal, or
 * use weir_call_send_all() on sockets.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_write_all(struct weir_loop *loop, struct weir_exact *exact);

/**
 * weir_exact_cancel() - ask for a transfer to end now
 * @exact: one that was started
 *
 * Its done() tells, with -ECANCELED, or with 0 if it was quicker.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_exact_cancel(struct weir_exact *exact);

/**
 * weir_sendfile_start() - send a file, or part of one
 * @loop: the loop
 * @sf: filled in, and not under way
 *
 * Through a pipe, of which the loop keeps a few. Where splice(2) refuses the file
 * with -EINVAL, its bytes go through @sf->buf.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_sendfile_start(struct weir_loop *loop, struct weir_sendfile *sf);

/**
 * weir_sendfile_cancel() - ask for a transfer to end now
 * @sf: one that was started
 *
 * Its done() tells, with -ECANCELED, or with 0 if it was quicker.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_sendfile_cancel(struct weir_sendfile *sf);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_TRANSFER_H */
