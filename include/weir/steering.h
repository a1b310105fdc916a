/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * steering.h - how a service's workers are joined to whatever chooses the
 * worker of a new connection.
 *
 * lib/serve calls these; two things implement them: plain SO_REUSEPORT inside
 * libweir, and BPF (weir_bpf_steering() in libweir-bpf). The service owns
 * neither: it is handed a struct weir_steering and calls through its table.
 */
#ifndef WEIR_STEERING_H
#define WEIR_STEERING_H

#include <weir/types.h>
#include <weir/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_steering;

/**
 * enum weir_apart - a worker that is a process, and a successor who has the maps
 * @WEIR_APART_LEAVE: what it writes from now on nobody else sees
 * @WEIR_APART_TELL: it accepts nobody any more: what it has accepted since is to be
 *	counted
 * @WEIR_APART_BACK: nothing came of the successor: its row and its histograms are as it
 *	has them, and all is shared again
 */
enum weir_apart {
	WEIR_APART_LEAVE	= 0,
	WEIR_APART_TELL		= 1,
	WEIR_APART_BACK		= 2,
};

/**
 * struct weir_steering_ops - what steering does for a service
 * @sz: sizeof(struct weir_steering_ops)
 * @name: "reuseport" or "bpf", for logs and doctor
 * @rows: how many workers fit; a service with more is refused with -E2BIG
 * @join: worker @worker listens on the plain descriptor @fd (TCP, listening,
 *	SO_REUSEPORT set). Called once per listener before @seal, from the
 *	thread that opens the service. 0; -EINVAL when its options or its address
 *	are not those of the other listeners of its family (with BPF a connection
 *	may be moved to any of them); or -errno.
 * @seal: all workers have joined: start steering. 0; -EBUSY when a socket that
 *	did not join listens at the same address (with BPF: it would lose its
 *	clients and its program); or -errno.
 * @row: the worker's load row, valid until @close. Written by that worker
 *	alone with plain stores, read by the kernel. Never NULL for a worker
 *	below @rows: without BPF it is ordinary memory. The service raises its
 *	epoch before @join.
 * @signal_fd: a descriptor that polls readable when signals wait for @worker,
 *	or -EOPNOTSUPP when there are none on this rung.
 * @signal_take: copy up to @max waiting signals of @worker into @out; drains
 *	and fences as the ring needs. Called from the worker's thread.
 *	Returns the count; fewer than @max means the ring was seen empty after
 *	the fence, and the descriptor may be armed again.
 * @raise: an event that user space has found: into the table of recent ones, to
 *	the observers and, unless it is about a connection (cookie is not 0: it is
 *	the connection's worker who raises that), to the worker it names, through
 *	its ring. All but seq is the caller's to fill in. Takes a system call and no
 *	capability. Any thread. 0; -EINVAL for no such worker; -EOPNOTSUPP when
 *	there are no signals on this rung; or -errno. A full ring is no error: it
 *	is counted in weir_stats.
 * @accepted: the connection with socket cookie @cookie was accepted by
 *	@worker at @now_ns (for its histogram). That worker's thread.
 * @closed: the connection with @cookie is closed by its worker: drop its flow.
 *	Any worker thread.
 * @tick: housekeeping, at most once a second, from one worker's thread: age
 *	sweep of flows.
 * @leave: worker @worker is about to close its listener; its row says so
 *	already. Until this returns @fd of @join is open; after it, it is not used.
 * @cfg: the live configuration, valid until @close; never NULL: without BPF it
 *	is ordinary memory, with the defaults.
 * @admin: the operator's line of @worker, likewise.
 * @hist: the worker's histograms of delay, likewise; written by the worker.
 * @waiting: how many connections wait for @worker to accept them, by the
 *	kernel's count; @since_ns: since when without progress (0 if none waits, or
 *	if that is not known).
 *	Any thread. -errno when it is not known.
 * @rescue: worker @worker does not come to accept: move what waits in its
 *	listeners to others without a reset, and let them listen again, in one
 *	step. Nothing happens to empty queues. For a worker that is dead and left
 *	its listeners to the caller, what it had taken is forgotten. Any thread.
 *	Returns how many connections waited, or -errno; -EOPNOTSUPP where a queue
 *	cannot be moved.
 * @spare: a listener of the group that stands for it and that nobody else accepts
 *	on, which stays the steering's; -EOPNOTSUPP when there is none. After @seal;
 *	any worker thread. One worker accepts there too: as a rule nothing comes
 * @moved: @worker has the connection @cookie now, which another one gave it; @fd
 *	is its descriptor for the length of the call. Any worker thread.
 * @lock: the descriptor that a successor needs besides the listeners, or -1. Any
 *	thread
 * @adopted: 1 when the maps are those of a predecessor that lives: he yields
 *	them before @seal; else 0
 * @yield: a successor is about to serve. With @maps, he goes on with these: from now
 *	on touch nothing that he sees, also in @leave and @close; what @row, @hist
 *	and the rest returned stays valid, for this process alone. Without, he has
 *	others, and the listeners go into them. Any thread. 0 or -errno, which
 *	leaves everything as it was. With @maps called once more when nobody accepts
 *	any more, before the successor is told: what was accepted in between is to
 *	be counted. A successor whose start fails after @seal calls it, too
 * @resume: nothing came of the successor, who has ended: all is as before @yield,
 *	and what he left is removed; also when nothing had been yielded. Any thread.
 *	0 or -errno, when not all of it could be
 * @apart: the part of yield() and resume() that is about this process's memory, for
 *	worker @worker whose process was forked after @seal: the group, programs and
 *	pins are its parent's, who yields and resumes before it is told. Any thread. 0
 *	or -errno
 * @close: the service is gone: detach, unpin, free. Called last.
 *
 * Every slot must be set. Errors of @accepted, @closed, @moved and @tick are counted
 * by the implementation and never reach the service.
 */
struct weir_steering_ops {
	size_t sz;
	const char *name;
	unsigned int (*rows)(struct weir_steering *st);
	int (*join)(struct weir_steering *st, unsigned int worker, int fd);
	int (*seal)(struct weir_steering *st);
	struct weir_worker_row *(*row)(struct weir_steering *st, unsigned int worker);
	int (*signal_fd)(struct weir_steering *st, unsigned int worker);
	int (*signal_take)(struct weir_steering *st, unsigned int worker,
			   struct weir_event *out, unsigned int max);
	int (*raise)(struct weir_steering *st, const struct weir_event *event);
	void (*accepted)(struct weir_steering *st, unsigned int worker, uint64_t cookie,
			 uint64_t now_ns);
	void (*closed)(struct weir_steering *st, uint64_t cookie);
	void (*tick)(struct weir_steering *st, uint64_t now_ns);
	void (*leave)(struct weir_steering *st, unsigned int worker);
	struct weir_cfg *(*cfg)(struct weir_steering *st);
	struct weir_admin *(*admin)(struct weir_steering *st, unsigned int worker);
	struct weir_hist *(*hist)(struct weir_steering *st, unsigned int worker);
	int (*waiting)(struct weir_steering *st, unsigned int worker, uint64_t *since_ns);
	int (*rescue)(struct weir_steering *st, unsigned int worker);
	int (*spare)(struct weir_steering *st);
	void (*moved)(struct weir_steering *st, unsigned int worker, uint64_t cookie, int fd);
	int (*lock)(struct weir_steering *st);
	int (*adopted)(struct weir_steering *st);
	int (*yield)(struct weir_steering *st, int maps);
	int (*resume)(struct weir_steering *st);
	int (*apart)(struct weir_steering *st, unsigned int worker, enum weir_apart how);
	void (*close)(struct weir_steering *st);
};

/**
 * struct weir_steering - base of every implementation
 * @ops: its table
 */
struct weir_steering {
	const struct weir_steering_ops *ops;
};

/**
 * weir_steering_reuseport() - steering by the kernel's own SO_REUSEPORT hash
 * @stp: where the new object goes
 * @workers: how many workers will join, 1 to WEIR_WORKERS_MAX
 *
 * Rows are ordinary memory, no signals come from the kernel. The service that
 * is opened with it takes it over and closes it.
 *
 * Context: Any thread.
 * Return: 0, -EINVAL for a bad count, or -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK
int weir_steering_reuseport(struct weir_steering **stp, unsigned int workers);

/**
 * weir_cfg_init() - the defaults of the law
 * @cfg: filled in: policy hash, one worker, see the WEIR_* constants of wire.h
 *
 * Context: Any thread.
 */
WEIR_API void weir_cfg_init(struct weir_cfg *cfg);

/**
 * weir_cfg_check() - may a configuration be used?
 * @cfg: what somebody wants to store
 * @rows: rows of the instance
 *
 * Context: Any thread.
 * Return: NULL, or the name of the first member that is out of range.
 */
WEIR_API const char *weir_cfg_check(const struct weir_cfg *cfg, unsigned int rows);

/**
 * struct weir_cfg_member - one member of struct weir_cfg
 * @name: as in wire.h; its end is its unit
 * @offset: in struct weir_cfg
 * @bytes: 4 or 8
 * @least: smallest value that weir_cfg_check() lets pass
 * @most: largest one
 */
struct weir_cfg_member {
	const char *name;
	uint32_t offset;
	uint32_t bytes;
	uint64_t least;
	uint64_t most;
};

/**
 * weir_cfg_members() - the members of struct weir_cfg, for who names them at run time
 * @count: how many
 *
 * Context: Any thread.
 * Return: all but the padding, in the order of the struct; valid for ever.
 */
WEIR_API const struct weir_cfg_member *weir_cfg_members(unsigned int *count);

/**
 * weir_cfg_get() - the value of a member
 * @cfg: a configuration, also a live one
 * @member: one of weir_cfg_members()
 *
 * Context: Any thread.
 * Return: the value, read in one piece.
 */
WEIR_API uint64_t weir_cfg_get(const struct weir_cfg *cfg, const struct weir_cfg_member *member);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_STEERING_H */
