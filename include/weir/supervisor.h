/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * supervisor.h - who looks after workers: moves the queue of one that hangs,
 * refuses a share of new clients when all are slow
 *
 * A service brings one of its own. A process that has its workers in other
 * processes opens one on the steering they share, see weir_steering_share().
 */
#ifndef WEIR_SUPERVISOR_H
#define WEIR_SUPERVISOR_H

#include <weir/steering.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_supervisor;

/**
 * enum weir_supervisor_flags - what a supervisor leaves or takes on
 * @WEIR_SUPERVISOR_NO_RESCUE: no queue is moved
 * @WEIR_SUPERVISOR_TICK: it calls the steering's tick() once a second, because no
 *	worker does
 * @WEIR_SUPERVISOR_ALL: every flag this version knows; others are refused
 */
enum weir_supervisor_flags {
	WEIR_SUPERVISOR_NO_RESCUE	= 1 << 0,
	WEIR_SUPERVISOR_TICK		= 1 << 1,
	WEIR_SUPERVISOR_ALL		= WEIR_SUPERVISOR_NO_RESCUE | WEIR_SUPERVISOR_TICK,
};

/**
 * struct weir_supervisor_opts - how to supervise; zero and NULL mean default
 * @sz: sizeof(struct weir_supervisor_opts)
 * @log: where lines go; NULL: nowhere
 * @period_ns: how often it looks; default 5 ms, at least 1 ms. A queue is moved
 *	within weir_cfg.rescue_ns and this from when its worker began to hang. While
 *	every worker is idle it looks once in weir_cfg.rescue_ns, which is as soon
 *	as there could be something to do
 * @workers: of the steering; default: all its rows
 * @flags: enum weir_supervisor_flags
 */
struct weir_supervisor_opts {
	size_t sz;
	const struct weir_log *log;
	uint64_t period_ns;
	uint32_t workers;
	uint32_t flags;
};

/**
 * struct weir_supervisor_stats - what a supervisor did
 * @looks: times it looked at the workers
 * @rescues: queues that were moved
 * @rescued: connections in them
 * @rescue_failed: rescues that the kernel refused
 * @stale: times a worker began to hang
 * @slow: times a worker became slow
 * @shed_windows: windows in which a share of new clients was refused
 */
struct weir_supervisor_stats {
	uint64_t looks;
	uint64_t rescues;
	uint64_t rescued;
	uint64_t rescue_failed;
	uint64_t stale;
	uint64_t slow;
	uint64_t shed_windows;
};

/**
 * weir_supervisor_open() - start a thread that looks after workers
 * @supp: where the supervisor goes
 * @st: steering of the workers, all of which have joined; it stays the caller's
 * @opts: options; NULL for all defaults
 *
 * The thread gives up every capability, takes no signals, waits for nothing but
 * its timer, and holds nothing that a worker waits for: if it dies, workers serve
 * on, and BPF goes on to exclude those that hang.
 *
 * Context: Any thread.
 * Return: 0; -EINVAL for unknown flags, a period below 1 ms, or more workers than
 * there are rows; -ENOMEM; -EMFILE; -EAGAIN when there can be no thread.
 */
WEIR_API WEIR_MUST_CHECK
int weir_supervisor_open(struct weir_supervisor **supp, struct weir_steering *st,
			 const struct weir_supervisor_opts *opts);

/**
 * weir_supervisor_stats() - read counters
 * @sup: the supervisor
 * @stats: filled in
 * @sz: sizeof(*stats) of the caller; no more than that is written
 *
 * Context: Any thread.
 */
WEIR_API void weir_supervisor_stats(const struct weir_supervisor *sup,
				    struct weir_supervisor_stats *stats, size_t sz);

/**
 * weir_supervisor_close() - stop the thread, free
 * @sup: the supervisor; NULL is allowed
 *
 * A share of clients that it had refused is refused no longer.
 *
 * Context: Any thread; the steering is still open.
 */
WEIR_API void weir_supervisor_close(struct weir_supervisor *sup);

/**
 * weir_steering_share() - one worker's part of a steering, for its own process
 * @stp: where the new object goes
 * @base: steering that the parent opened, joined and sealed before it forked
 * @worker: the worker that this process is
 *
 * For weir_service_opts.steering of a service with one worker and its listener
 * in weir_service_opts.listeners: its worker 0 is @worker of @base. Closing it
 * does not close @base, leaving does not take the listener out of @base: both
 * are for the parent, who also supervises. Signals go where they belong.
 *
 * Context: Any thread.
 * Return: 0, -EINVAL for no such worker, or -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK
int weir_steering_share(struct weir_steering **stp, struct weir_steering *base,
			unsigned int worker);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_SUPERVISOR_H */
