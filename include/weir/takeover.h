/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * takeover.h - listeners outlive the process that opened them
 *
 * A service with weir_service_opts.control can be succeeded while it runs: it
 * hands over its listeners and the lock of its instance, yields, and serves the
 * connections it has until they end. A holder keeps the listeners of a service
 * over a crash, and so does a service manager with a descriptor store. Whoever
 * starts next gets them from one of the three and hands them to
 * weir_service_open(). See Documentation/takeover.rst.
 */
#ifndef WEIR_TAKEOVER_H
#define WEIR_TAKEOVER_H

#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_steering;
struct weir_takeover;

/**
 * enum weir_takeover_from - who has the listeners
 * @WEIR_TAKEOVER_SERVICE: a live service of that name; it goes on, also when
 *	weir_service_open() fails or this process dies in it, until that has returned 0
 * @WEIR_TAKEOVER_HOLDER: a holder, weir_hold(), that keeps those of a dead one
 * @WEIR_TAKEOVER_MANAGER: the service manager that started this process
 *	(sd_listen_fds(3)): descriptors that a service of that name had stored
 */
enum weir_takeover_from {
	WEIR_TAKEOVER_SERVICE	= 0,
	WEIR_TAKEOVER_HOLDER	= 1,
	WEIR_TAKEOVER_MANAGER	= 2,
};

/**
 * weir_takeover_open() - get the listeners of an instance
 * @takeoverp: where they go
 * @instance: its name, 1 to 31 of [A-Za-z0-9_-]
 * @from: enum weir_takeover_from
 *
 * Every socket is checked: TCP, and listening, or bound and no more: that of a worker
 * that died, where weir_service_open() listens again; or UDP, and bound. One that is
 * connected to itself was of a worker that died: weir_service_open() binds another.
 *
 * Context: Any thread. Waits for the other side, 5 s at most; from the manager,
 * changes the environment.
 * Return: 0; -EINVAL for a bad name or @from; -ENOENT when nobody is there or has
 * any; -EPERM when the other side is neither root nor this user, or refuses us;
 * -EPROTO when it speaks otherwise; -EAGAIN when it does not answer; -EOPNOTSUPP when
 * its datagrams come by a carrier, such as AF_XDP, which stays with its process;
 * -ENOMEM; or -errno.
 */
WEIR_API WEIR_MUST_CHECK
int weir_takeover_open(struct weir_takeover **takeoverp, const char *instance,
		       enum weir_takeover_from from);

/**
 * weir_takeover_listeners() - the sockets, one for each worker, in their order; of an
 *	acceptor's service one
 * @takeover: what was got
 * @count: how many there are
 *
 * Context: Any thread.
 * Return: for weir_service_opts.listeners; valid until weir_takeover_close().
 */
WEIR_API const int *weir_takeover_listeners(const struct weir_takeover *takeover,
					    unsigned int *count);

/**
 * weir_takeover_workers() - how many workers they were for
 * @takeover: what was got
 *
 * Of a service with WEIR_SERVICE_ACCEPTOR more than there are listeners.
 *
 * Context: Any thread.
 * Return: that; as many as there are listeners where it is not known: by the manager.
 */
WEIR_API unsigned int weir_takeover_workers(const struct weir_takeover *takeover);

/**
 * weir_takeover_lock() - the lock of the instance
 * @takeover: what was got
 *
 * Context: Any thread.
 * Return: for weir_bpf_opts.lock, valid until weir_takeover_close(); NULL when
 * there was none: the other side has no pins, or is dead.
 */
WEIR_API const int *weir_takeover_lock(const struct weir_takeover *takeover);

/**
 * weir_takeover_begin() - all is ready: the predecessor accepts nobody any more
 * @takeover: what was got
 * @st: steering that the listeners have joined, before its seal()
 * @listeners: how many there will be
 * @hung: told how many of the predecessor's may accept all the same, since they hang
 *
 * weir_service_open() does this by itself; for a process that has listeners and no
 * service. From here on it is ours until weir_takeover_close() gives it back, before
 * which @st has yielded and nobody serves any more. Where nobody lives who could yield
 * nothing happens.
 *
 * Context: Any thread. Waits for the other side, 5 s at most.
 * Return: 0; -EOPNOTSUPP when there are to be fewer listeners, and nobody would
 * move their queues; -EPIPE when the other side has turned away; or -errno.
 */
WEIR_API WEIR_MUST_CHECK
int weir_takeover_begin(struct weir_takeover *takeover, struct weir_steering *st,
			unsigned int listeners, unsigned int *hung);

/**
 * weir_takeover_serves() - it is ours for good
 * @takeover: what was got, and has begun
 * @listeners: how many are served; of those beyond these the queues are moved
 *
 * Context: Any thread.
 */
WEIR_API void weir_takeover_serves(struct weir_takeover *takeover, unsigned int listeners);

/**
 * weir_takeover_close() - let go
 * @takeover: what was got; NULL is allowed
 *
 * A live service that weir_service_open() was not called for goes on as if nothing
 * had been asked.
 *
 * Context: Any thread.
 */
WEIR_API void weir_takeover_close(struct weir_takeover *takeover);

/**
 * weir_takeover_clean() - remove the sockets of /run/weir whose owners are dead
 * @instance: of that name; NULL: of any
 *
 * Those of services and holders that live are never touched.
 *
 * Context: Any thread.
 * Return: how many were removed; -EINVAL for a bad name; -EXDEV when the directory is
 * not safe; or -errno.
 */
WEIR_API int weir_takeover_clean(const char *instance);

struct weir_control;

/**
 * struct weir_control_ops - what an owner of listeners does for a successor
 * @yield: accept nobody any more, but keep the listeners. With maps call the
 *	steering's yield() before that and after it. Told to *hung: how many workers may
 *	accept all the same, since they hang. 0, or -errno: nothing comes of the successor
 * @begins: the successor alone decides from here on, as long as he lives; NULL for none
 * @take_back: nothing came of the successor: all is as before; also when nothing had
 *	been yielded. It calls the steering's resume()
 * @heirs: he serves, with so many workers, or 0 when that is not known: before @leave;
 *	NULL for none
 * @leave: he serves: close the listeners, and serve those who are connected
 * @drained: drain_ns after that: whoever is connected still is to be sent away
 * @died: 1 when what ends now is a crash, and a holder is to keep the listeners; NULL:
 *	never
 *
 * Context of all: the thread of the control socket.
 */
struct weir_control_ops {
	int (*yield)(void *ctx, int maps, unsigned int *hung);
	void (*begins)(void *ctx);
	void (*take_back)(void *ctx);
	void (*heirs)(void *ctx, unsigned int workers);
	void (*leave)(void *ctx);
	void (*drained)(void *ctx);
	int (*died)(void *ctx);
};

/**
 * enum weir_control_flags - about the control socket
 * @WEIR_CONTROL_REPLACE: whoever has it is succeeded by us
 * @WEIR_CONTROL_HOLD: they can be held, but not be taken over from who lives
 * @WEIR_CONTROL_ALL: every flag this version knows; others are refused
 */
enum weir_control_flags {
	WEIR_CONTROL_REPLACE	= 1 << 0,
	WEIR_CONTROL_HOLD	= 1 << 1,
	WEIR_CONTROL_ALL	= WEIR_CONTROL_REPLACE | WEIR_CONTROL_HOLD,
};

/**
 * struct weir_control_opts - who may be succeeded; zero and NULL mean default
 * @sz: sizeof(struct weir_control_opts)
 * @instance: the name
 * @listeners: one for each worker; they are duplicated
 * @count: how many
 * @given: how many a predecessor had, for the service manager's store
 * @steering: whose lock() a successor gets; it stays the caller's
 * @ops: what is done for him
 * @ctx: handed to @ops
 * @log: where lines go; NULL: nowhere
 * @drain_ns: see @ops; default 60 s
 * @flags: enum weir_control_flags
 * @workers: how many they are for; default @count
 */
struct weir_control_opts {
	size_t sz;
	const char *instance;
	const int *listeners;
	uint32_t count;
	uint32_t given;
	struct weir_steering *steering;
	const struct weir_control_ops *ops;
	void *ctx;
	const struct weir_log *log;
	uint64_t drain_ns;
	uint32_t flags;
	uint32_t workers;
};

/**
 * weir_control_open() - let a successor, a holder and the service manager have listeners
 * @controlp: where it goes
 * @opts: options
 *
 * A service with weir_service_opts.control does this by itself. For a process that has
 * listeners and no service: one whose workers are processes. When they serve.
 *
 * Context: Any thread.
 * Return: 0; -EINVAL for bad options; -EADDRINUSE when a service of that name lives, and
 * is not replaced; -EACCES, -EXDEV when there can be no socket in /run/weir; -ENOMEM; or
 * -errno.
 */
WEIR_API WEIR_MUST_CHECK
int weir_control_open(struct weir_control **controlp, const struct weir_control_opts *opts);

/**
 * weir_control_stop() - nobody is to succeed any more, and nothing is kept
 * @control: the control socket; NULL is allowed
 *
 * A successor that has not begun yet is turned away; one that has begun has it.
 *
 * Context: Any thread, signal handler.
 */
WEIR_API void weir_control_stop(struct weir_control *control);

/**
 * weir_control_close() - stop, wait for a conversation to end, free
 * @control: the control socket; NULL is allowed
 *
 * Context: Any thread but that of the control socket; the steering is open still.
 */
WEIR_API void weir_control_close(struct weir_control *control);

/**
 * struct weir_hold_opts - how to hold the listeners of an instance
 * @sz: sizeof(struct weir_hold_opts)
 * @instance: its name
 * @stop: a descriptor that becomes readable when it is time to let go
 * @changed: called with the number of listeners that are held, and whether their
 *	service lives: at the start, and when either changes; may be NULL
 * @ctx: handed to @changed
 */
struct weir_hold_opts {
	size_t sz;
	const char *instance;
	int stop;
	void (*changed)(void *ctx, unsigned int count, int alive);
	void *ctx;
};

/**
 * weir_hold() - keep the listeners of an instance while its services come and go
 * @opts: options
 *
 * Asks the live service of that name, if there is one, for its listeners; each
 * that starts later finds the holder by itself. A service that ends as it was
 * told to takes its listeners with it; those of one that dies are kept, with
 * their queues, for the next.
 *
 * Context: Any thread; returns when @stop is readable.
 * Return: 0; -EINVAL for bad options; -EADDRINUSE when the instance has a holder;
 * -EXDEV when the directory of control sockets is not safe; or -errno.
 */
WEIR_API int weir_hold(const struct weir_hold_opts *opts);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_TAKEOVER_H */
