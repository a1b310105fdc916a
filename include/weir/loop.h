/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * loop.h - one thread's event loop: a backend, its operations, its timers,
 * its counters.
 *
 * A loop belongs to one thread, its owner: the thread of the first
 * weir_loop_run(), weir_loop_run_once() or weir_loop_run_until(). Until then
 * the thread that opened it may prepare pools, files and operations.
 *
 * And to one process. A forked child may open loops of its own; of its parent's it
 * has only descriptors, which are close-on-exec: running or closing one there is
 * refused with -ECHILD, and submitting to one aborts the child.
 */
#ifndef WEIR_LOOP_H
#define WEIR_LOOP_H

#include <weir/op.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum weir_loop_limits - limits and defaults
 * @WEIR_LOOP_OPS_DEFAULT: operations in flight, if not said
 * @WEIR_LOOP_FILES_DEFAULT: file slots, if not said
 * @WEIR_LOOP_BUFS_DEFAULT: buffers of all pools together, if not said
 * @WEIR_LOOP_POSTS_DEFAULT: messages waiting for a loop, if not said
 * @WEIR_LOOP_CQ_MAX: the kernel's longest completion queue; operations, file
 *	slots and buffers of a loop together stay below it
 */
enum weir_loop_limits {
	WEIR_LOOP_OPS_DEFAULT	= 4096,
	WEIR_LOOP_FILES_DEFAULT	= 2048,
	WEIR_LOOP_BUFS_DEFAULT	= 2048,
	WEIR_LOOP_POSTS_DEFAULT	= 4096,
	WEIR_LOOP_CQ_MAX	= 65536,
};

/**
 * enum weir_loop_flags - how a loop waits and receives
 * @WEIR_LOOP_NO_BATCH: never wait for more than one completion. Less latency
 *	at middling load, more system calls and processor time at high load.
 * @WEIR_LOOP_SQPOLL: a kernel thread of the ring submits; it polls, and costs a
 *	processor while there is work. For uring; others log that it has no effect
 * @WEIR_LOOP_NO_BUNDLE: a completion brings one buffer of a pool, also where the
 *	kernel can fill several at once; what a connection sends at once is a vector,
 *	not a bundle. For uring; others never do either
 * @WEIR_LOOP_ZC_ALWAYS: for tests and measurements: sends go without a copy also on
 *	ways where that was seen to be no gain, such as loopback
 * @WEIR_LOOP_ALL: every flag this version knows; others are refused
 */
enum weir_loop_flags {
	WEIR_LOOP_NO_BATCH	= 1 << 0,
	WEIR_LOOP_SQPOLL	= 1 << 1,
	WEIR_LOOP_NO_BUNDLE	= 1 << 2,
	WEIR_LOOP_ZC_ALWAYS	= 1 << 3,
	WEIR_LOOP_ALL		= WEIR_LOOP_NO_BATCH | WEIR_LOOP_SQPOLL | WEIR_LOOP_NO_BUNDLE |
				  WEIR_LOOP_ZC_ALWAYS,
};

/**
 * struct weir_loop_hooks - calls from a loop's turn, on its owner thread
 * @parking: the loop is idle, and about to block in the kernel; NULL for none
 * @running: back from the kernel at @now_ns; NULL for none
 * @tick: after the events of each turn; NULL for none
 * @ctx: handed to all
 *
 * They may do what a callback of an operation may. What parking() submits or
 * cancels, the wait that follows sees.
 */
struct weir_loop_hooks {
	void (*parking)(void *ctx);
	void (*running)(void *ctx, uint64_t now_ns, unsigned int events);
	void (*tick)(void *ctx);
	void *ctx;
};

/**
 * struct weir_sim_fault - an error that an operation may have on "sim"
 * @opcode: enum weir_opcode; not a close or timeout, which never fail
 * @error: errno value, positive. ECONNRESET, EPIPE and ETIMEDOUT of a transfer
 *	break its connection, and do not happen to datagrams
 * @permille: its chance, each time
 */
struct weir_sim_fault {
	uint32_t opcode;
	int32_t error;
	uint32_t permille;
};

/**
 * struct weir_sim_opts - the faults of the "sim" backend
 * @sz: sizeof(struct weir_sim_opts)
 * @delay_max_ns: each completion is delayed by up to this much virtual time
 * @short_permille: chance that a transfer is cut short
 * @error_permille: chance of each error of the library's own table of faults
 * @socket_bytes: capacity of each socket buffer
 * @reorder_permille: chance that an operation that could end at once ends later
 * @late_permille: chance that a cancel comes too late: the operation is tried
 *	once more before it ends
 * @rearm_permille: chance, with each event of a multishot operation, that it ends
 *	below as with a full completion queue and must be armed again
 * @dgram_loss_permille: chance that a UDP datagram is lost
 * @dgram_copy_permille: chance that it comes twice
 * @dgram_reorder_permille: chance that it overtakes the one before it
 * @pad: zero
 * @faults: instead of the library's own table: @faults_count rows, which must live
 *	as long as the loop; NULL: the library's
 * @faults_count: rows of @faults
 * @pad2: zero
 */
struct weir_sim_opts {
	size_t sz;
	uint64_t delay_max_ns;
	uint32_t short_permille;
	uint32_t error_permille;
	uint32_t socket_bytes;
	uint32_t reorder_permille;
	uint32_t late_permille;
	uint32_t rearm_permille;
	uint32_t dgram_loss_permille;
	uint32_t dgram_copy_permille;
	uint32_t dgram_reorder_permille;
	uint32_t pad;
	const struct weir_sim_fault *faults;
	uint32_t faults_count;
	uint32_t pad2;
};

/**
 * struct weir_loop_opts - how to open a loop; zero and NULL mean the default
 * @sz: sizeof(struct weir_loop_opts)
 * @backend: "uring", "epoll" or "sim"; NULL: uring, or epoll where io_uring is
 *	refused, with the reason in the log and weir_loop_reason()
 * @alloc: allocator; the default is the C library's
 * @log: log sink; the default drops everything
 * @hooks: calls from each turn
 * @sim: faults, for the sim backend
 * @seed: of the sim backend's randomness
 * @ops_max: operations in flight at once; more wait their turn
 * @files_max: open files and sockets; default 2048, or RLIMIT_NOFILE if that
 *	is less
 * @bufs_max: buffers of all pools together
 * @batch_max: completions to wait for at once at high load; default 64
 * @batch_wait_us: how long to wait for them at most; default 100
 * @offload_threads: threads for work, and for calls that block where the backend
 *	cannot do without; started when first needed; default 2, at most 64
 * @flags: enum weir_loop_flags
 * @posts_max: messages that may wait for the loop; default 4096
 * @napi_us: poll the network devices of its sockets for that long before
 *	sleeping, at most 1000000; 0: do not. For uring; where that is refused the
 *	log warns, and it has no effect
 * @zc_min_bytes: a send of so many bytes of a lease, or more, may go without a copy;
 *	default 16384; UINT32_MAX: none does. For uring, and sim. While one is not
 *	acknowledged the kernel keeps all connections of a loop whose process was
 *	killed: see net.rst, and WEIR_OPTION_USER_TIMEOUT
 */
struct weir_loop_opts {
	size_t sz;
	const char *backend;
	const struct weir_alloc *alloc;
	const struct weir_log *log;
	const struct weir_loop_hooks *hooks;
	const struct weir_sim_opts *sim;
	uint64_t seed;
	uint32_t ops_max;
	uint32_t files_max;
	uint32_t bufs_max;
	uint32_t batch_max;
	uint32_t batch_wait_us;
	uint32_t offload_threads;
	uint32_t flags;
	uint32_t posts_max;
	uint32_t napi_us;
	uint32_t zc_min_bytes;
};

/**
 * struct weir_loop_stats - counters of a loop since it was opened
 * @turns: turns of the loop
 * @syscalls: system calls the loop made for I/O and waiting, on its owner's
 *	thread: not those of offload threads and of who wakes it
 * @events: events handed to done()
 * @ops: operations that ended
 * @errors: operations that ended with an error other than -ECANCELED, -ETIME
 * @accepts: connections accepted
 * @connects: connections made
 * @polls: events of polls
 * @opens: files and sockets opened by an operation
 * @recvs: receives and reads that brought bytes
 * @sends: sends and writes that took bytes
 * @bytes_in: bytes received and read
 * @bytes_out: bytes sent and written
 * @stale: completions dropped because their generation was over
 * @overflows: turns in which the completion queue had overflowed
 * @parks: receives that waited for a pool buffer
 * @rearms: multishot operations armed again by the library
 * @accept_pauses: times accepting waited for a file slot or descriptor
 * @inflight: operations in flight now
 * @waiting: operations that wait for the budget now
 * @files: files open now
 * @offloaded: operations handed to the offload threads
 * @offload_queued: operations that wait for an offload thread now
 * @posts: messages that arrived
 * @posts_refused: messages refused because too many were waiting
 * @bells: times that another loop was told of a message through the ring
 * @bundled: buffers of pools that came with the completion of another one
 * @gathers: sends of a connection that took more than one entry of its queue
 * @send_bundles: those of them that went as a bundle of the ring
 * @zc_sends: sends that were carried out without a copy, as far as we could
 * @zc_copied: those that the kernel copied in the end, of which it told
 * @zc_bytes: bytes of them that the kernel may still read
 */
struct weir_loop_stats {
	uint64_t turns;
	uint64_t syscalls;
	uint64_t events;
	uint64_t ops;
	uint64_t errors;
	uint64_t accepts;
	uint64_t connects;
	uint64_t polls;
	uint64_t opens;
	uint64_t recvs;
	uint64_t sends;
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t stale;
	uint64_t overflows;
	uint64_t parks;
	uint64_t rearms;
	uint64_t accept_pauses;
	uint64_t inflight;
	uint64_t waiting;
	uint64_t files;
	uint64_t offloaded;
	uint64_t offload_queued;
	uint64_t posts;
	uint64_t posts_refused;
	uint64_t bells;
	uint64_t bundled;
	uint64_t gathers;
	uint64_t send_bundles;
	uint64_t zc_sends;
	uint64_t zc_copied;
	uint64_t zc_bytes;
};

/**
 * weir_loop_open() - make a loop
 * @loopp: where the loop goes
 * @opts: options, or NULL
 *
 * Takes all memory the loop will ever need.
 *
 * Context: Any thread; the caller may use the loop until another runs it.
 * Return: 0; -EINVAL for an unknown backend, flag or a limit out of range;
 * -E2BIG for option bytes this version does not know; -ENOSYS or -EPERM if the
 * backend asked for is refused here; -EMFILE if @files_max of the options is
 * above RLIMIT_NOFILE, on uring; -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK
int weir_loop_open(struct weir_loop **loopp, const struct weir_loop_opts *opts);

/**
 * weir_loop_close() - cancel what is in flight, drain it, free the loop
 * @loop: the loop, or NULL
 * @timeout_ns: how long draining may take
 *
 * Every op in flight gets its terminal event from inside this call. Files still
 * open are closed. Pools must have been closed or hold no lease.
 *
 * Context: Owner thread, not from a callback.
 * Return: 0; -ETIMEDOUT if after @timeout_ns the kernel still owns memory, or a
 * callback submits or posts anew each time, then
 * the loop lives on and this may be called again; -EBUSY from a callback, or while
 * the loop has fibers: weir_fibers_close() tells how they end.
 */
WEIR_API int weir_loop_close(struct weir_loop *loop, uint64_t timeout_ns);

/**
 * weir_loop_run() - run until stopped or until nothing is in flight
 * @loop: the loop
 *
 * Context: Owner thread, not from a callback.
 * Return: 0 when stopped, 1 when nothing was left to wait for, or the -errno of
 * a backend that broke; -EBUSY from a callback; -EDEADLK on sim if nothing in
 * its world can ever end what is in flight.
 */
WEIR_API int weir_loop_run(struct weir_loop *loop);

/**
 * weir_loop_run_once() - one turn: submit, wait, dispatch
 * @loop: the loop
 * @timeout_ns: how long to wait at most; 0 only looks
 *
 * A stop that came before it makes it not wait.
 *
 * Context: Owner thread, not from a callback.
 * Return: events dispatched, or -errno as weir_loop_run().
 */
WEIR_API int weir_loop_run_once(struct weir_loop *loop, uint64_t timeout_ns);

/**
 * weir_loop_run_until() - run until one operation has ended
 * @loop: the loop
 * @op: an operation in flight on it
 *
 * For a group of them, see weir_await_all() and weir_await_any(), which from plain
 * code run the loop likewise.
 *
 * Context: Owner thread, not from a callback.
 * Return: 0 when @op is no longer in flight, -EINTR when stopped first, or
 * -errno as weir_loop_run().
 */
WEIR_API int weir_loop_run_until(struct weir_loop *loop, struct weir_op *op);

/**
 * weir_loop_stop() - make weir_loop_run() return after the current turn
 * @loop: the loop
 *
 * A stop that comes while the loop does not run makes the next run return.
 *
 * Context: Any thread, signal handler. The loop must not be closed meanwhile.
 */
WEIR_API void weir_loop_stop(struct weir_loop *loop);

/**
 * weir_loop_wake() - end the current wait of a loop
 * @loop: the loop
 *
 * Context: Any thread, signal handler. The loop must not be closed meanwhile.
 */
WEIR_API void weir_loop_wake(struct weir_loop *loop);

/**
 * weir_loop_now() - the loop's clock
 * @loop: the loop
 *
 * Read once a turn: CLOCK_MONOTONIC, or virtual time on the sim backend.
 *
 * Context: Owner thread.
 * Return: nanoseconds.
 */
WEIR_API uint64_t weir_loop_now(const struct weir_loop *loop);

/**
 * weir_loop_entropy() - random bytes from the backend
 * @loop: the loop
 * @buf: where they go
 * @len: how many
 *
 * getrandom(2), or the seeded generator of the sim backend.
 *
 * Context: Owner thread.
 */
WEIR_API void weir_loop_entropy(struct weir_loop *loop, void *buf, size_t len);

/**
 * weir_loop_backend() - name of the backend in use
 * @loop: the loop
 *
 * Context: Any thread.
 * Return: "uring", "epoll" or "sim".
 */
WEIR_API const char *weir_loop_backend(const struct weir_loop *loop);

/**
 * weir_loop_reason() - why this backend
 * @loop: the loop
 *
 * Context: Any thread.
 * Return: "asked for", "first choice", or what refused the better one.
 */
WEIR_API const char *weir_loop_reason(const struct weir_loop *loop);

/**
 * weir_loop_eager() - does the kernel go on while the loop's thread does not?
 * @loop: the loop
 *
 * A ring without DEFER_TASKRUN (a kernel before 6.1, or WEIR_LOOP_SQPOLL) accepts
 * for a thread that hangs: nothing is left that could be moved to another.
 *
 * Context: Any thread.
 * Return: 1 if so, else 0.
 */
WEIR_API int weir_loop_eager(const struct weir_loop *loop);

/**
 * weir_loop_fd() - a descriptor that polls readable when events wait
 * @loop: the loop
 *
 * To nest a loop in another one: when it is readable, or at the time of
 * weir_loop_next_ns(), call weir_loop_run_once(loop, 0). The descriptor stays
 * the loop's, and does not show its timers. To ask for it is to run the loop:
 * who is the first to do so owns it.
 *
 * Context: Owner thread.
 * Return: the descriptor, -EOPNOTSUPP on sim, or why the loop cannot run.
 */
WEIR_API int weir_loop_fd(struct weir_loop *loop);

/**
 * weir_loop_next_ns() - when a loop has something to do by itself
 * @loop: the loop
 *
 * For the outer loop of a nested one; may be early, never late.
 *
 * Context: Owner thread.
 * Return: a time of the clock of weir_loop_now(); UINT64_MAX: never.
 */
WEIR_API uint64_t weir_loop_next_ns(const struct weir_loop *loop);

/**
 * weir_loop_stats() - read a loop's counters
 * @loop: the loop
 * @stats: filled in
 * @sz: sizeof(*stats) of the caller; no more than that is written
 *
 * Context: Owner thread.
 */
WEIR_API void weir_loop_stats(const struct weir_loop *loop, struct weir_loop_stats *stats,
			      size_t sz);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_LOOP_H */
