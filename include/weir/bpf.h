/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * bpf.h - steering and flow telemetry in the kernel, and their instances
 *
 * An *instance* is one running service: its maps, programs and links, pinned
 * under <bpffs>/weir/<name>/ and locked while the service lives. libbpf stays
 * behind this header. See Documentation/bpf.rst for what each map holds and
 * <weir/wire.h> for its layout.
 *
 * Privilege: weir_bpf_open() needs CAP_BPF, and CAP_NET_ADMIN for flows,
 * CAP_PERFMON for queue lengths; a missing one costs a rung, not the service,
 * except CAP_BPF. Nothing after it needs any capability: maps stay reachable
 * through their descriptors, so a service may drop all of them once it is open,
 * save that removing the pins again needs the right to unlink them. A view needs
 * nothing but permission to read the pins.
 */
#ifndef WEIR_BPF_H
#define WEIR_BPF_H

#include <weir/steering.h>
#include <weir/types.h>
#include <weir/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_bpf;
struct weir_bpf_view;
struct weir_bpf_control;
struct weir_bpf_observer;
struct weir_bpf_lat;

#define WEIR_BPF_PATH_BYTES	256
#define WEIR_BPF_WHY_BYTES	256
#define WEIR_BPF_CHANGES_MAX	64

/**
 * struct weir_bpf_opts - how to open an instance; zero and NULL mean default
 * @sz: sizeof(struct weir_bpf_opts)
 * @name: of the instance: 1 to 31 of [A-Za-z0-9_-]; default "weir"
 * @log: where warnings go; NULL: nowhere
 * @reason: where the reason of a failure is written, as one line; may be NULL
 * @reason_bytes: size of @reason
 * @policy: enum weir_policy; default WEIR_POLICY_HASH
 * @workers: rows, 1 to WEIR_WORKERS_MAX; default 1
 * @flows_max: connections, or senders of datagrams, with a flow; default 65536
 * @ring_bytes: size of each worker's event ring: a power of two, whole pages;
 *	default 64 KiB
 * @flags: WEIR_BPF_NO_FLOWS, WEIR_BPF_GROUP, WEIR_BPF_ADOPT, WEIR_BPF_DGRAM,
 *	WEIR_BPF_HEIR
 * @gid: group that may read the pins, when WEIR_BPF_GROUP is in @flags; with
 *	WEIR_BPF_ADOPT and without that, the one that may already. With @lock no other
 *	is possible: -EINVAL
 * @stale_ns: age at which a worker counts as hung; default WEIR_STALE_NS
 * @vips_max: networks that the service may answer on without a socket for each,
 *	see <weir/vip.h>; 0: none, and no sk_lookup program
 * @pad: zero
 * @lock: with WEIR_BPF_ADOPT, the lock that a live owner has handed over, see
 *	weir_takeover_lock(); it is duplicated. NULL: there is none
 *
 * Everything else is in struct weir_cfg, see weir_bpf_cfg().
 */
struct weir_bpf_opts {
	size_t sz;
	const char *name;
	const struct weir_log *log;
	char *reason;
	size_t reason_bytes;
	uint32_t policy;
	uint32_t workers;
	uint32_t flows_max;
	uint32_t ring_bytes;
	uint32_t flags;
	uint32_t gid;
	uint64_t stale_ns;
	uint32_t vips_max;
	uint32_t pad;
	const int *lock;
};

/*
 * Bits of weir_bpf_opts.flags: steering alone; pins readable by gid; go on with
 * the pins of a dead owner, or of a live one that handed over its lock.
 */
#define WEIR_BPF_NO_FLOWS	(1U << 0)
#define WEIR_BPF_GROUP		(1U << 1)
#define WEIR_BPF_ADOPT		(1U << 2)
/* For a service of datagrams: flows_max of them are remembered, the oldest go. */
#define WEIR_BPF_DGRAM		(1U << 3)
/* Listeners are a predecessor's: others of their group, which he has still, are, too. */
#define WEIR_BPF_HEIR		(1U << 4)

/* Whose maps an instance has: its own; a dead owner's; those of one that leaves. */
enum weir_bpf_adopted {
	WEIR_BPF_NEW = 0,
	WEIR_BPF_RECOVERED = 1,
	WEIR_BPF_TAKEN = 2,
};

/**
 * struct weir_bpf_status - what an instance got, and why not more
 * @sz: sizeof(struct weir_bpf_status)
 * @rung: enum weir_rung
 * @workers: rows
 * @flow_errors: calls on the flow table that failed
 * @flows_swept: flows removed because their connection was gone
 * @pending_fixed: corrections of the pending counts
 * @adopted: enum weir_bpf_adopted
 * @generation: number of the directory of the pins, 0: the instance's own
 * @dir: directory of the pins
 * @cgroup: the service's own cgroup, empty when there is none
 * @why: why the rung is not the highest, empty when it is
 */
struct weir_bpf_status {
	size_t sz;
	uint32_t rung;
	uint32_t workers;
	uint64_t flow_errors;
	uint64_t flows_swept;
	uint64_t pending_fixed;
	char dir[WEIR_BPF_PATH_BYTES];
	char cgroup[WEIR_BPF_PATH_BYTES];
	char why[WEIR_BPF_WHY_BYTES];
	uint32_t adopted;
	uint32_t generation;
};

/**
 * struct weir_bpf_instance - one entry of weir_bpf_list()
 * @name: its name
 * @alive: 1 while its service runs, 0 when it is stale
 * @meta: who made it
 */
struct weir_bpf_instance {
	char name[WEIR_NAME_BYTES];
	uint32_t alive;
	struct weir_meta meta;
};

/**
 * struct weir_bpf_worker - everything that the maps say about one worker
 * @row: written by the worker
 * @pending: written by the kernel
 * @listener: counters of steering, summed over the CPUs
 * @hist: written by the worker
 * @admin: written by the operator
 */
struct weir_bpf_worker {
	struct weir_worker_row row;
	struct weir_pending pending;
	struct weir_listener_row listener;
	struct weir_hist hist;
	struct weir_admin admin;
};

/**
 * struct weir_bpf_prog - one program of an instance
 * @name: its name, also of its pin
 * @type: as bpftool says it, such as "sk_reuseport"
 * @tag: the kernel's hash of its instructions
 * @id: the kernel's number for it
 * @run_time_ns: time spent in it while run times were measured
 * @run_cnt: how often it ran then
 */
struct weir_bpf_prog {
	char name[16];
	char type[32];
	char tag[17];
	uint32_t id;
	uint64_t run_time_ns;
	uint64_t run_cnt;
};

/**
 * struct weir_bpf_group - a listener, and which program chooses in its group
 * @worker: whose it is
 * @family: enum weir_family
 * @prog: the kernel's number for the program; 0: there is none, or a classic
 *	filter, which has no number
 * @own: that of the instance's own: what @prog should be
 */
struct weir_bpf_group {
	uint32_t worker;
	uint32_t family;
	uint32_t prog;
	uint32_t own;
};

/**
 * struct weir_bpf_change - one new value for weir_bpf_control_set()
 * @member: of struct weir_cfg, by its name
 * @value: in the unit of that name
 */
struct weir_bpf_change {
	const char *member;
	uint64_t value;
};

/**
 * struct weir_bpf_probe - one answer of weir_bpf_probes()
 * @id: stable name, such as "bpf.steer"
 * @gives: what needs it
 * @ok: 1 when it is there
 * @why: why not, or where it is
 */
struct weir_bpf_probe {
	const char *id;
	const char *gives;
	int ok;
	char why[WEIR_BPF_WHY_BYTES];
};

/**
 * weir_bpf_open() - load, pin and attach an instance
 * @bpfp: where the instance goes
 * @opts: options; NULL for all defaults
 *
 * Takes the lock of the instance, removes what a dead owner of the same name
 * left behind, loads the programs, moves this process into a cgroup of its own
 * (so that listeners created from now on belong to it) and attaches the
 * telemetry there. Without a cgroup2 tree or the privilege for it there is
 * steering alone: weir_bpf_status() says so and a warning is logged.
 *
 * With WEIR_BPF_ADOPT the maps of a dead owner are used when they are of this ABI
 * major and this number of workers, and else removed (what weir_cfg held is kept
 * if it can be read). Then @policy and @stale_ns are what weir_cfg says. With
 * @lock the owner lives: his maps are used, or if they cannot be, new ones are
 * pinned in a numbered directory below his until he has left; his pins stay his
 * until the service is opened.
 *
 * Context: Any thread; before the listeners are created. Sets libbpf's print
 * hook for the length of the call.
 * Return: 0; -EINVAL for a bad name or option; -ENODEV when no bpffs is mounted;
 * -EPERM without CAP_BPF; -EXDEV when <bpffs>/weir or the instance's directory is not safe: a
 * link, no directory, or somebody's who is neither root nor this user, or open
 * to the writes of others; -EADDRINUSE when a live service has the name; -EEXIST
 * when the directory holds something foreign; -EBADMSG when a program among the
 * pins to be used is foreign; -EPROTO when a map among them is laid out otherwise;
 * -ENOMEM; or what the kernel
 * answered. @reason then names the thing.
 */
WEIR_API WEIR_MUST_CHECK
int weir_bpf_open(struct weir_bpf **bpfp, const struct weir_bpf_opts *opts);

/**
 * weir_bpf_close() - detach, unpin, free
 * @bpf: the instance; NULL is allowed
 *
 * Returns the process to the cgroup it came from. Not to be called when the
 * instance was handed to a service as weir_bpf_steering(): the service closes it.
 *
 * Context: Any thread; the workers have stopped.
 */
WEIR_API void weir_bpf_close(struct weir_bpf *bpf);

/**
 * weir_bpf_steering() - the instance as a service wants it
 * @bpf: the instance
 *
 * Context: Any thread.
 * Return: the steering; its close() is weir_bpf_close().
 */
WEIR_API struct weir_steering *weir_bpf_steering(struct weir_bpf *bpf);

/**
 * weir_bpf_status() - what the instance got
 * @bpf: the instance
 * @status: filled in; its sz is set by the caller
 *
 * Context: Any thread.
 * Return: 0, or -EINVAL when sz is too small to be one.
 */
WEIR_API int weir_bpf_status(struct weir_bpf *bpf, struct weir_bpf_status *status);

/**
 * weir_bpf_cfg() - the live configuration
 * @bpf: the instance
 *
 * Stores take effect with the next connection or callback.
 *
 * Context: Any thread.
 * Return: mapped memory, valid until the instance is closed.
 */
WEIR_API struct weir_cfg *weir_bpf_cfg(struct weir_bpf *bpf);

/**
 * weir_bpf_list() - find all instances
 * @fn: called for each one; a value other than 0 ends the walk
 * @ctx: handed to @fn
 *
 * Instances whose maps this process may not read are left out.
 *
 * Context: Any thread.
 * Return: what @fn returned last, else 0 (also when there is no instance), or
 * -ENODEV when no bpffs is mounted, or -EXDEV when <bpffs>/weir is not safe.
 */
WEIR_API int weir_bpf_list(int (*fn)(void *ctx, const struct weir_bpf_instance *instance),
			   void *ctx);

/**
 * weir_bpf_clean_stale() - remove what dead owners left behind
 * @name: the instance, or NULL for all
 *
 * Links are detached, pins and empty cgroups removed. A live instance is never
 * touched.
 *
 * Context: Any thread.
 * Return: how many were removed; -EINVAL for a bad name; -ENODEV when no bpffs
 * is mounted; -EXDEV when <bpffs>/weir or @name's directory is not safe;
 * -EADDRINUSE when @name is alive; -ENOENT when there is none; -EEXIST when it
 * is foreign: without a weir_meta of ours, or empty and not this user's; or why
 * it could not be removed.
 */
WEIR_API int weir_bpf_clean_stale(const char *name);

/**
 * weir_bpf_view_open() - read an instance from its pins
 * @viewp: where the view goes
 * @name: the instance
 *
 * Works for any process that may read the pins, also when the owner is dead.
 *
 * Context: Any thread.
 * Return: 0; -EINVAL for a bad name; -ENODEV when no bpffs is mounted; -EXDEV
 * when a directory on the way is not safe; -ENOENT for no such instance;
 * -EACCES; -EPROTO when it has another ABI; -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK
int weir_bpf_view_open(struct weir_bpf_view **viewp, const char *name);

/**
 * weir_bpf_view_close() - close a view
 * @view: the view; NULL is allowed
 *
 * Context: Any thread.
 */
WEIR_API void weir_bpf_view_close(struct weir_bpf_view *view);

/**
 * weir_bpf_view_meta() - who made the instance
 * @view: the view
 *
 * Context: Any thread.
 * Return: what weir_meta held when the view was opened.
 */
WEIR_API const struct weir_meta *weir_bpf_view_meta(const struct weir_bpf_view *view);

/**
 * weir_bpf_view_cfg() - read the configuration
 * @view: the view
 * @cfg: filled in
 *
 * Context: Any thread.
 * Return: 0 or -errno.
 */
WEIR_API int weir_bpf_view_cfg(struct weir_bpf_view *view, struct weir_cfg *cfg);

/**
 * weir_bpf_view_worker() - read everything about one worker
 * @view: the view
 * @worker: which one
 * @out: filled in
 *
 * Context: Any thread.
 * Return: 0, -ENOENT beyond the last one, or -errno.
 */
WEIR_API int weir_bpf_view_worker(struct weir_bpf_view *view, unsigned int worker,
				  struct weir_bpf_worker *out);

/**
 * weir_bpf_view_flows() - walk the connections
 * @view: the view
 * @fn: called for each one; a value other than 0 ends the walk
 * @ctx: handed to @fn
 *
 * Connections that come and go during the walk may be missed or, when the one
 * just visited goes, visited again.
 *
 * Context: Any thread.
 * Return: what @fn returned last, 0, or -errno.
 */
WEIR_API int weir_bpf_view_flows(struct weir_bpf_view *view,
				 int (*fn)(void *ctx, uint64_t cookie,
					   const struct weir_flow *flow),
				 void *ctx);

/**
 * weir_bpf_view_events() - read the last events
 * @view: the view
 * @out: where they go, oldest first
 * @max: how many fit; the newest are kept
 *
 * Context: Any thread.
 * Return: the count, or -errno.
 */
WEIR_API int weir_bpf_view_events(struct weir_bpf_view *view, struct weir_event *out,
				  unsigned int max);

/**
 * weir_bpf_view_stats() - read the counters of the telemetry
 * @view: the view
 * @stats: filled in, summed over the CPUs
 *
 * Context: Any thread.
 * Return: 0 or -errno.
 */
WEIR_API int weir_bpf_view_stats(struct weir_bpf_view *view, struct weir_stats *stats);

/**
 * weir_bpf_view_gate() - read the counters of admission
 * @view: the view
 * @gate: filled in, summed over the CPUs
 *
 * Context: Any thread.
 * Return: 0 or -errno.
 */
WEIR_API int weir_bpf_view_gate(struct weir_bpf_view *view, struct weir_gate *gate);

/**
 * weir_bpf_view_groups() - walk the listeners and see whose program chooses
 * @view: the view
 * @fn: called for each one; a value other than 0 ends the walk
 * @ctx: handed to @fn
 *
 * Context: Any thread.
 * Return: what @fn returned last, 0, -ENODATA where the instance has no such table
 * (it was opened without CAP_PERFMON), or -errno.
 */
WEIR_API int weir_bpf_view_groups(struct weir_bpf_view *view,
				  int (*fn)(void *ctx, const struct weir_bpf_group *group),
				  void *ctx);

/**
 * weir_bpf_view_xdp() - how the instance's XDP program is attached, and its counters
 * @view: the view
 * @cfg: filled in
 * @stats: filled in, summed over the CPUs
 *
 * Context: Any thread.
 * Return: 0, -EOPNOTSUPP when the instance has no XDP program, or -errno.
 */
WEIR_API int weir_bpf_view_xdp(struct weir_bpf_view *view, struct weir_xdp_cfg *cfg,
			       struct weir_xdp_stats *stats);

/**
 * weir_bpf_view_xdp_row() - one worker as the XDP program sees it
 * @view: the view
 * @worker: which one
 * @row: filled in
 *
 * Context: Any thread.
 * Return: 0, -ENOENT beyond the last one, -EOPNOTSUPP when the instance has no XDP
 * program, or -errno.
 */
WEIR_API int weir_bpf_view_xdp_row(struct weir_bpf_view *view, unsigned int worker,
				   struct weir_xdp_row *row);

/**
 * weir_bpf_view_progs() - walk the programs
 * @view: the view
 * @fn: called for each one; a value other than 0 ends the walk
 * @ctx: handed to @fn
 *
 * Context: Any thread.
 * Return: what @fn returned last, 0, or -errno.
 */
WEIR_API int weir_bpf_view_progs(struct weir_bpf_view *view,
				 int (*fn)(void *ctx, const struct weir_bpf_prog *prog),
				 void *ctx);

/**
 * weir_bpf_cost_open() - have the kernel measure the run time of all programs
 *
 * It does so until the last such descriptor on the machine is closed; each run
 * then costs two looks at the clock more.
 *
 * Context: Any thread.
 * Return: a descriptor to close(2), or -EPERM without CAP_SYS_ADMIN, or -errno.
 */
WEIR_API WEIR_MUST_CHECK int weir_bpf_cost_open(void);

/**
 * weir_bpf_control_open() - get hold of an instance to change it
 * @controlp: where the control goes
 * @name: the instance
 *
 * Works for any process that may write to the pins, also when the owner is dead:
 * the next one takes its configuration over.
 *
 * Context: Any thread.
 * Return: 0; -EINVAL for a bad name; -ENODEV when no bpffs is mounted; -EXDEV
 * when a directory on the way is not safe; -ENOENT for no such instance;
 * -EACCES; -EPROTO when it has another ABI; -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK
int weir_bpf_control_open(struct weir_bpf_control **controlp, const char *name);

/**
 * weir_bpf_control_close() - close a control; what was changed stays
 * @control: the control; NULL is allowed
 *
 * Context: Any thread.
 */
WEIR_API void weir_bpf_control_close(struct weir_bpf_control *control);

/**
 * weir_bpf_control_admin() - take a worker out of steering, or let it back
 * @control: the control
 * @worker: which one
 * @state: DRAIN: it gets nothing new while another serves; ON: it does again,
 *	with a share that grows over weir_cfg.ramp_ns
 *
 * Context: Any thread; one at a time for one control. Waits for other operators,
 * two seconds or so.
 * Return: 0, -EINVAL for no state, -ENOENT beyond the last worker, -ETIMEDOUT when
 * another keeps the lock.
 */
WEIR_API int weir_bpf_control_admin(struct weir_bpf_control *control, unsigned int worker,
				    enum weir_admin_state state);

/**
 * weir_bpf_control_weight() - give a worker another share under WEIR_POLICY_WEIGHTED
 * @control: the control
 * @worker: which one
 * @weight: 1 to WEIR_WEIGHT_MAX
 *
 * Context: Any thread; one at a time for one control. Waits for other operators,
 * two seconds or so.
 * Return: 0, -ERANGE for a bad weight, -ENOENT beyond the last worker, -ETIMEDOUT when
 * another keeps the lock.
 */
WEIR_API int weir_bpf_control_weight(struct weir_bpf_control *control, unsigned int worker,
				     uint32_t weight);

/* Of what a source network has a budget before the kernel's stack. */
enum weir_xdp_budget {
	WEIR_XDP_SYNS,
	WEIR_XDP_DGRAMS,
};

/**
 * weir_bpf_control_xdp() - give each source network a budget of frames, before the stack
 * @control: the control
 * @what: of SYNs, or of datagrams
 * @rate: how many a second; 0: no limit
 * @burst: how many at once, at least 1 where there is a rate
 *
 * Context: Any thread; one at a time for one control. Waits for other operators,
 * two seconds or so.
 * Return: 0, -EINVAL for no such budget, -ERANGE for a rate without a burst, -EOPNOTSUPP
 * for an instance without an XDP program, -ETIMEDOUT when another keeps the lock, or
 * -errno.
 */
WEIR_API int weir_bpf_control_xdp(struct weir_bpf_control *control, enum weir_xdp_budget what,
				  uint32_t rate, uint32_t burst);

/**
 * weir_bpf_control_set() - change the configuration
 * @control: the control
 * @changes: what to change, each member once
 * @count: how many, 1 to WEIR_BPF_CHANGES_MAX
 * @refused: when not NULL: the member that a refusal is about, or NULL
 *
 * All of them or none. Who reads meanwhile sees some of them stored and others
 * not yet, but never what weir_cfg_check() would refuse. A service that sheds by
 * itself overwrites shed_permille at the end of its window.
 *
 * Context: Any thread; one at a time for one control. Waits for other operators,
 * two seconds or so.
 * Return: 0; -EINVAL for a bad count or a member that comes twice; -ENOENT for
 * no such member; -EPERM for flags, which say what is attached; -ERANGE for a
 * value that is out of range or does not go together with another; -ETIMEDOUT when
 * another keeps the lock.
 */
WEIR_API int weir_bpf_control_set(struct weir_bpf_control *control,
				  const struct weir_bpf_change *changes, unsigned int count,
				  const char **refused);

/**
 * weir_bpf_observe_open() - see the events of an instance as they are raised
 * @observerp: where the observer goes
 * @name: the instance
 *
 * Begins with the next event. Any number may observe, each at its own pace: one
 * who is slower than the ring is long loses events, and holds up neither the
 * kernel nor the others. The kernel writes for observers only while there is one;
 * one that dies is noticed by the service within a second.
 *
 * Context: Any thread.
 * Return: 0; -EINVAL for a bad name; -ENODEV when no bpffs is mounted; -EXDEV
 * when a directory on the way is not safe; -ENOENT for no such instance; -EACCES:
 * an observer must be allowed to write the pins, since it says there that it is
 * here; -EPROTO when it has another ABI; -ENOMEM.
 */
WEIR_API WEIR_MUST_CHECK
int weir_bpf_observe_open(struct weir_bpf_observer **observerp, const char *name);

/**
 * weir_bpf_observe_close() - stop observing
 * @observer: the observer; NULL is allowed
 *
 * Context: The observer's thread.
 */
WEIR_API void weir_bpf_observe_close(struct weir_bpf_observer *observer);

/**
 * weir_bpf_observe_fd() - what to poll
 * @observer: the observer
 *
 * Readable when events came. Where others observe too, one of them may take the
 * readiness away before this one has seen it: look again after 100 ms at most.
 *
 * Context: Any thread.
 * Return: a descriptor that stays the observer's.
 */
WEIR_API int weir_bpf_observe_fd(const struct weir_bpf_observer *observer);

/**
 * weir_bpf_observe_take() - take events
 * @observer: the observer
 * @out: where they go, in the order of the ring, which with several processors may
 *	differ a little from that of their seq
 * @max: how many fit
 *
 * Context: The observer's thread. Does not wait.
 * Return: the count; less than @max: there were no more.
 */
WEIR_API unsigned int weir_bpf_observe_take(struct weir_bpf_observer *observer,
					    struct weir_event *out, unsigned int max);

/**
 * weir_bpf_observe_lost() - how many events it missed
 * @observer: the observer
 *
 * Events raised since it began and before the last one it took, which it did not
 * get: the ring was full, or it was too slow.
 *
 * Context: The observer's thread.
 * Return: the count.
 */
WEIR_API uint64_t weir_bpf_observe_lost(const struct weir_bpf_observer *observer);

/**
 * weir_bpf_lat_open() - begin to measure how long io_uring operations take
 * @latp: where it goes
 * @pid: of one process, as this process's pid namespace numbers it; 0: of all
 * @reason: where the reason of a failure is written, as one line; may be NULL
 * @bytes: size of @reason
 *
 * Belongs to no instance and pins nothing.
 *
 * Context: Any thread. Sets libbpf's print hook for the length of the call.
 * Return: 0; -EPERM without CAP_BPF and CAP_PERFMON; -EOPNOTSUPP where the kernel
 * has no such tracepoints; -ENOMEM; or what the kernel answered.
 */
WEIR_API WEIR_MUST_CHECK
int weir_bpf_lat_open(struct weir_bpf_lat **latp, uint32_t pid, char *reason, size_t bytes);

/**
 * weir_bpf_lat_read() - what was measured so far of one opcode
 * @lat: the measurement
 * @op: enum io_uring_op
 * @out: filled in, summed over the CPUs
 *
 * Context: Any one thread.
 * Return: 0; -ENOENT beyond the last opcode; or -errno.
 */
WEIR_API int weir_bpf_lat_read(struct weir_bpf_lat *lat, unsigned int op, struct weir_lat *out);

/**
 * weir_bpf_lat_close() - stop measuring
 * @lat: the measurement; NULL is allowed
 *
 * Context: Any thread.
 */
WEIR_API void weir_bpf_lat_close(struct weir_bpf_lat *lat);

/**
 * weir_bpf_probes() - try every kernel feature that this library uses
 * @fn: called with one answer at a time; a value other than 0 ends the walk
 * @ctx: handed to @fn
 *
 * Nothing stays loaded, attached or pinned.
 *
 * Context: Any thread. Sets libbpf's print hook for the length of the call.
 * Return: what @fn returned last, else 0.
 */
WEIR_API int weir_bpf_probes(int (*fn)(void *ctx, const struct weir_bpf_probe *probe), void *ctx);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_BPF_H */
