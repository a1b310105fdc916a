/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * serve.h - a service: N workers, each a thread with a loop and a listener.
 *
 * Workers, accepting, registered buffers, fixed files, flow control, steering,
 * telemetry and graceful stop come with it; the user brings callbacks.
 */
#ifndef WEIR_SERVE_H
#define WEIR_SERVE_H

#include <weir/dgram.h>
#include <weir/loop.h>
#include <weir/net.h>
#include <weir/steering.h>
#include <weir/supervisor.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_service;
struct weir_takeover;

/**
 * struct weir_service_ops - the user's half of a service
 * @open: a client has connected; NULL for none. Return 0, or a negative errno
 *	value to refuse it: the connection is aborted and @close is not called
 * @data: bytes came; @lease is borrowed for the call. NULL @lease: the peer
 *	has finished sending; NULL @data there is none: received bytes are dropped
 * @drain: the send queue is at its low mark again; NULL for none
 * @pressure: a signal about this connection, from the kernel or the worker's
 *	own loop; at the end of a turn at the latest, never from inside a call of
 *	the user's. NULL: the default answer, which is to pause the receiving side
 *	on an edge of the worker's own (seq is 0: WEIR_EV_SENDQ, the send queue at
 *	its high mark; WEIR_EV_ZERO_WINDOW, a send not taken for send_stall_ns),
 *	and to resume when all have ended. WEIR_EV_RECVQ, the worker's own as well,
 *	says what waits in the kernel while receiving is paused or out of buffers; it
 *	is answered by nothing, since only reading ends it. The end of an edge from
 *	the kernel (seq is not 0) may be lost, or not come while the connection is
 *	quiet: it must not pause a producer
 * @trouble: a signal about worker @worker itself (cookie is 0): WEIR_EV_WORKER_SLOW,
 *	WEIR_EV_WORKER_STALE, WEIR_EV_CQ_OVERFLOW, WEIR_EV_FOREIGN. A worker that hangs hears of it
 *	when it is back. NULL: the default answer, which is none: steering, rescue and
 *	shedding have answered already
 * @close: the connection is over; @err is 0 or what ended it; NULL for none.
 *	Not called for the connections of a worker that died
 * @moved: @err is 0: the connection has come from another worker, and this is its
 *	new handle, with the ctx it had; told on the new worker's thread before
 *	anything else, and open() and close() are not. Else: it stays where it was
 *	though weir_conn_hand_over() had begun, because it was not idle any more
 *	(-EBUSY), because the other worker is gone (-EOWNERDEAD), or what the kernel
 *	said. NULL: nobody wants to know
 * @start: a worker has started, on its own thread; NULL for none. Return 0 or a
 *	negative errno value, which weir_service_open() returns then; a positive
 *	one is taken for -EINVAL
 * @stop: a worker is about to end, on its own thread; NULL for none
 * @datagram: a datagram came, of a service with WEIR_SERVICE_DGRAM, which needs this
 *	one and calls no other but @ready, @start and @stop. Everything in @datagram is
 *	borrowed for the call
 * @ready: datagrams can be sent again, after one was refused; NULL for none
 *
 * Context of all: the worker's thread.
 */
struct weir_service_ops {
	int (*open)(struct weir_conn *conn);
	void (*data)(struct weir_conn *conn, struct weir_lease *lease);
	void (*drain)(struct weir_conn *conn);
	void (*pressure)(struct weir_conn *conn, const struct weir_event *signal);
	void (*trouble)(void *ctx, unsigned int worker, const struct weir_event *signal);
	void (*close)(struct weir_conn *conn, int err);
	void (*moved)(struct weir_conn *conn, int err);
	int (*start)(void *ctx, unsigned int worker, struct weir_loop *loop);
	void (*stop)(void *ctx, unsigned int worker);
	void (*datagram)(struct weir_dgram *dgram, const struct weir_datagram *datagram);
	void (*ready)(struct weir_dgram *dgram);
};

/**
 * enum weir_service_flags - how clients find their worker
 * @WEIR_SERVICE_ACCEPTOR: the first worker alone listens, and hands each client to
 *	the worker with the fewest; instead of a listener for each of them. @steering
 *	must be NULL then
 * @WEIR_SERVICE_DGRAM: UDP, see <weir/dgram.h>; without WEIR_SERVICE_ACCEPTOR
 * @WEIR_SERVICE_HAND_OVER: a worker that is slow (weir_worker_row.speed) gives idle
 *	connections to one that is not. For a service that holds nothing of a
 *	worker between its callbacks on behalf of a connection: no lease, no
 *	operation, no other connection
 * @WEIR_SERVICE_SHARED: a predecessor that hangs may be first in line at @listeners
 *	still: be woken for their clients all the same
 * @WEIR_SERVICE_ALL: every flag this version knows; others are refused
 */
enum weir_service_flags {
	WEIR_SERVICE_ACCEPTOR	= 1 << 0,
	WEIR_SERVICE_DGRAM	= 1 << 1,
	WEIR_SERVICE_HAND_OVER	= 1 << 2,
	WEIR_SERVICE_SHARED	= 1 << 3,
	WEIR_SERVICE_ALL	= WEIR_SERVICE_ACCEPTOR | WEIR_SERVICE_DGRAM |
				  WEIR_SERVICE_HAND_OVER | WEIR_SERVICE_SHARED,
};

/**
 * struct weir_service_opts - how to run a service; zero and NULL mean default
 * @sz: sizeof(struct weir_service_opts)
 * @ops: the user's callbacks
 * @ctx: see weir_conn_service_ctx(), and handed to start() and stop()
 * @addr: where to listen; port 0 is chosen once for all workers
 * @steering: how connections find their worker; NULL: plain SO_REUSEPORT. The
 *	service takes it over, also when opening fails
 * @loop: options of each worker's loop (backend, allocator, log, limits); its
 *	hooks must be NULL, its allocator and log serve all threads. NULL, or 0 in
 *	it: fitted to @conns_max and @backlog. A connection needs two operations
 *	(ops_max) and one file (files_max), and a worker some more of its own. Its
 *	zc_min_bytes: 0 is UINT32_MAX here, no send goes without a copy; see net.rst,
 *	what becomes of the clients of a process that is killed
 * @cpus: processor for each worker, @workers of them; NULL: not pinned
 * @workers: threads, 1 to WEIR_WORKERS_MAX; default 1
 * @conns_max: connections per worker; default 1024. Clients beyond it wait,
 *	accepted or in the listener's queue, and are served as others close. Of
 *	datagrams: messages that may wait to be sent
 * @buf_bytes: size of a buffer; default 4160, a page and a cache line, so that
 *	buffers do not all fall into the same cache sets
 * @bufs: buffers per worker; default is fitted to @conns_max
 * @backlog: of each listener; default 4096
 * @low_bytes: low mark of a send queue; default 16 KiB
 * @high_bytes: high mark of a send queue; default 64 KiB
 * @linger_ns: how long one connection's graceful close may take; default 5 s
 * @send_stall_ns: a send that the peer has not taken for this long is a signal
 *	(WEIR_EV_ZERO_WINDOW); default 100 ms
 * @flags: enum weir_service_flags
 * @listeners: sockets to listen on, one for each worker: TCP, listening, all on
 *	the same explicit port, with SO_REUSEPORT unless there is one worker. They
 *	are duplicated and stay the caller's: a queue survives the service while he
 *	keeps them. @addr may be NULL then. NULL: the service opens its own. Of
 *	datagrams: UDP, bound
 * @supervise_ns: period of the supervisor, see struct weir_supervisor_opts;
 *	default 5 ms. There is one where steering is more than the kernel's hash
 * @carrier: carries datagrams beside the workers' sockets; NULL: they alone do
 * @takeover: listeners of a predecessor instead of @listeners and @addr; when all is
 *	open and every start() has returned, he is told to yield, and when all
 *	workers serve, that they do. If opening fails, he goes on. @workers is by
 *	default as many as there are; for more, listeners are opened beside them;
 *	of more listeners than workers the queues are moved to the others, by BPF
 *	or where net.ipv4.tcp_migrate_req is 1, else opening fails with
 *	-EOPNOTSUPP. Of sockets of datagrams what waits in those beyond @workers is
 *	answered by the predecessor. It stays the caller's. With WEIR_SERVICE_ACCEPTOR
 *	one listener is needed, and @workers is by default what the predecessor had.
 *	Sockets of the other kind are -EPROTOTYPE; with @carrier a predecessor who
 *	lives is -EOPNOTSUPP
 * @control: name by which another process may take this service over, or hold its
 *	listeners, see <weir/takeover.h>; the service manager's store gets them,
 *	too. NULL: none. With @carrier they can be held, but not be taken over
 * @drain_ns: how long after a takeover connections are served that do not end by
 *	themselves; default 60 s
 * @parent: of a process that is one worker, with a steering of weir_steering_share():
 *	what weir_crew_join() has returned. By it the parent has this service yield to a
 *	successor. It is duplicated. The service ends with its parent until that one has
 *	said WEIR_CREW_STAY. NULL: none. Without @takeover, @control and the same flags
 */
struct weir_service_opts {
	size_t sz;
	const struct weir_service_ops *ops;
	void *ctx;
	const struct weir_addr *addr;
	struct weir_steering *steering;
	const struct weir_loop_opts *loop;
	const int *cpus;
	uint32_t workers;
	uint32_t conns_max;
	uint32_t buf_bytes;
	uint32_t bufs;
	uint32_t backlog;
	uint32_t low_bytes;
	uint32_t high_bytes;
	uint32_t flags;
	uint64_t linger_ns;
	uint64_t send_stall_ns;
	const int *listeners;
	uint64_t supervise_ns;
	struct weir_dgram_carrier *carrier;
	struct weir_takeover *takeover;
	const char *control;
	uint64_t drain_ns;
	const int *parent;
};

/**
 * struct weir_service_stats - counters of a worker, or of all together
 * @loop: of the loop
 * @cpu_ns: processor time of the worker's thread
 * @accepted: connections accepted; of datagrams: messages received, which may hold
 *	several
 * @conns: connections open now
 * @refused: connections the user's open() refused
 * @signals: signals delivered to connections
 * @signals_held: signals that waited for their connection to be accepted
 * @signals_lost: signals for connections that never came or are gone
 * @signals_unshown: edges of the workers' own that observers did not get to see:
 *	more than 100 a second, or refused
 * @signals_late: signals that the tick of one second found, not the wake-up that
 *	was meant for them
 * @given: live connections that went to another worker
 * @taken: and that came from one
 * @buf_free: buffers nobody holds
 * @buf_count: buffers in all
 * @dgrams_in: datagrams handed to the user
 * @dgrams_out: datagrams sent
 * @dgrams_refused: datagrams that had no room to wait in
 * @dgrams_failed: datagrams that the kernel did not take
 * @dgrams_cut: datagrams longer than a buffer, which were dropped
 * @state: enum weir_worker_state of the worker; of all: the best of them
 * @pad: zero
 */
struct weir_service_stats {
	struct weir_loop_stats loop;
	uint64_t cpu_ns;
	uint64_t accepted;
	uint64_t conns;
	uint64_t refused;
	uint64_t signals;
	uint64_t signals_held;
	uint64_t signals_lost;
	uint64_t signals_unshown;
	uint64_t signals_late;
	uint64_t given;
	uint64_t taken;
	uint64_t buf_free;
	uint64_t buf_count;
	uint64_t dgrams_in;
	uint64_t dgrams_out;
	uint64_t dgrams_refused;
	uint64_t dgrams_failed;
	uint64_t dgrams_cut;
	uint32_t state;
	uint32_t pad;
};

/**
 * weir_service_open() - bind, start the workers, serve
 * @servicep: where the service goes
 * @opts: options
 *
 * When this returns 0 every worker listens and steering is on. All listeners
 * are opened by the caller, before threads start: what fails, fails here. When
 * a worker dies, the kernel may interrupt (EINTR) the thread that called this.
 *
 * Context: Any thread.
 * Return: 0; -EINVAL for options out of range (no ops or address, more than
 * WEIR_WORKERS_MAX workers, more than one on the sim backend, marks out of order,
 * a hooks table, more connections
 * than a completion queue can hold, limits of the loop too small for them: the
 * log has the numbers); -E2BIG for more workers than the steering
 * has rows; -EADDRINUSE, also if who listens there would share the port, or a service
 * lives that has the name of @control and is not taken over; -EMFILE
 * if RLIMIT_NOFILE is below @conns_max; -ENOMEM;
 * what start() of a worker returned; -EPIPE when who was to be succeeded has ended
 * or turned away, or a @parent has ended that has not said WEIR_CREW_STAY; or what a
 * loop, a listener or the steering refused.
 */
WEIR_API WEIR_MUST_CHECK
int weir_service_open(struct weir_service **servicep, const struct weir_service_opts *opts);

/**
 * weir_service_stop() - stop gracefully
 * @service: the service
 * @timeout_ns: how long connections may take to drain; 0: abort them now
 *
 * Listeners close first, then every connection is closed as by
 * weir_conn_close(); what is left at the deadline is aborted. A second call may
 * shorten the deadline, never lengthen it. Returns at once; weir_service_wait()
 * waits. On the sim backend @timeout_ns is virtual time, and to be called from the
 * worker's thread if a run is to be repeatable.
 *
 * Context: Any thread, signal handler.
 */
WEIR_API void weir_service_stop(struct weir_service *service, uint64_t timeout_ns);

/**
 * weir_service_wait() - wait until every worker has ended
 * @service: the service
 *
 * Context: Any one thread that is not a worker.
 * Return: 0 if all ended because of weir_service_stop() with nothing aborted;
 * the number of connections that had to be aborted, at the deadline or because
 * their own linger time was over; or the -errno of the first worker that died
 * (-EOWNERDEAD if a callback ended its thread).
 */
WEIR_API int weir_service_wait(struct weir_service *service);

/**
 * weir_service_close() - stop now, wait, free
 * @service: the service, or NULL
 *
 * Context: Any one thread that is not a worker.
 */
WEIR_API void weir_service_close(struct weir_service *service);

/**
 * weir_service_addr() - where the service listens
 * @service: the service
 * @addr: filled in, with the port in use
 *
 * Context: Any thread.
 */
WEIR_API void weir_service_addr(const struct weir_service *service, struct weir_addr *addr);

/**
 * weir_service_stats() - read counters
 * @service: the service
 * @worker: one worker, or WEIR_WORKER_NONE for the sum of all
 * @stats: filled in; each worker publishes its own about once per turn
 * @sz: sizeof(*stats) of the caller; no more than that is written
 *
 * Context: Any thread.
 * Return: 0, or -EINVAL for a worker that is not there.
 */
WEIR_API int weir_service_stats(const struct weir_service *service, unsigned int worker,
				struct weir_service_stats *stats, size_t sz);

/**
 * weir_service_backend() - backend of the workers' loops and why
 * @service: the service
 * @reason: where the reason goes, a static string; or NULL
 *
 * Context: Any thread.
 * Return: "uring", "epoll" or "sim".
 */
WEIR_API const char *weir_service_backend(const struct weir_service *service,
					  const char **reason);

/**
 * weir_service_rescue() - is the queue of a worker that hangs moved to others?
 * @service: the service
 * @reason: where it is told why not, a static string, or NULL when it is; or NULL
 *
 * Context: Any thread.
 * Return: 1 if so, else 0.
 */
WEIR_API int weir_service_rescue(const struct weir_service *service, const char **reason);

/**
 * weir_service_supervisor() - the supervisor of a service, for its counters
 * @service: the service
 *
 * Context: Any thread, until the service is closed.
 * Return: the supervisor, or NULL where there is none.
 */
WEIR_API const struct weir_supervisor *
weir_service_supervisor(const struct weir_service *service);

/**
 * weir_conn_service_ctx() - the service's ctx, from a connection
 * @conn: a connection of a service
 *
 * Context: The worker's thread.
 * Return: ctx of struct weir_service_opts.
 */
WEIR_API void *weir_conn_service_ctx(const struct weir_conn *conn);

/**
 * weir_conn_worker() - which worker a connection belongs to
 * @conn: a connection of a service
 *
 * Context: The worker's thread.
 * Return: its number from 0.
 */
WEIR_API unsigned int weir_conn_worker(const struct weir_conn *conn);

/**
 * weir_conn_hand_over() - give a live connection to another worker
 * @conn: a connection of a service, of which the caller holds nothing else: no
 *	lease, no operation on its file
 * @worker: who is to have it
 *
 * Idle is a connection with nothing queued and nothing being sent, whose peer has
 * not finished and that has no edge of pressure. Its receive is cancelled, and what
 * had come is told to data() first; if that is answered it is not idle any more, and
 * stays. Otherwise the socket goes to the other worker, and @conn with it: it may
 * not be used from then on. That moment is not told here, moved() of the service is
 * called over there. Until then the calls of net.h are allowed here: a close or
 * abort is carried out here, and a send may be refused with -EBUSY.
 *
 * No byte is lost, doubled or out of order. Signals of the kernel that are on their
 * way to the old worker meanwhile are lost.
 *
 * Context: The worker's thread.
 * Return: 0; -EINVAL for no other worker; -EBUSY when it is not idle; -EAGAIN when
 * the other worker has no room; -ESHUTDOWN when it has ended, or this one is ending.
 */
WEIR_API WEIR_MUST_CHECK
int weir_conn_hand_over(struct weir_conn *conn, unsigned int worker);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_SERVE_H */
