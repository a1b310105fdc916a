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
 * that died, where weir_service_open() listens again.
 *
 * Context: Any thread. Waits for the other side, 5 s at most; from the manager,
 * changes the environment.
 * Return: 0; -EINVAL for a bad name or @from; -ENOENT when nobody is there or has
 * any; -EPERM when the other side is neither root nor this user, or refuses us;
 * -EPROTO when it speaks otherwise; -EAGAIN when it does not answer; -ENOMEM; or
 * -errno.
 */
WEIR_API WEIR_MUST_CHECK
int weir_takeover_open(struct weir_takeover **takeoverp, const char *instance,
		       enum weir_takeover_from from);

/**
 * weir_takeover_listeners() - the sockets, one for each worker, in their order
 * @takeover: what was got
 * @count: how many there are
 *
 * Context: Any thread.
 * Return: for weir_service_opts.listeners; valid until weir_takeover_close().
 */
WEIR_API const int *weir_takeover_listeners(const struct weir_takeover *takeover,
					    unsigned int *count);

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
