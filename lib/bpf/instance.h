/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * instance.h - the room's own view of an instance
 *
 * Not named bpf.h: lib is on the include path, and <bpf/bpf.h> is libbpf's.
 */
#ifndef BPF_INSTANCE_H
#define BPF_INSTANCE_H

#include <dirent.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <weir/bpf.h>

#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"

struct tcp_info;
struct dgram_bpf;
struct steer_bpf;
struct event_bpf;
struct flow_bpf;
struct overflow_bpf;
struct iter_bpf;
struct group_bpf;
struct lookup_bpf;
struct bpf_link;
struct bpf_map;
struct bpf_object;
struct bpf_prog_info;
struct bpf_program;

/* Where a failure says why, in one line. */
struct reason {
	char *text;
	size_t bytes;
};

/* The two mappings of one ring buffer. */
struct ring {
	_Atomic uint64_t *consumer;
	const _Atomic uint64_t *producer;
	const char *data;		/* mapped twice in a row */
	uint32_t size;			/* of the data, a power of two */
	int fd;
};

/* What the library remembers of a worker. */
struct member {
	_Atomic int fd[2];		/* listeners: IPv4, IPv6; -1: none */
	int lent[2];			/* those, while a successor is about to serve */
	uint32_t epoch;			/* of its row, when it joined */
	uint64_t cookie[2];		/* of those */
	int backlog;			/* before a rescue */
	struct ring ring;
	uint64_t accepts;		/* told, to take one of so many */
	uint64_t established_seen;	/* at the last tick, to find one at rest */
	uint64_t accepted_seen;
};

/* What was set in maps that could not be used. */
struct carried {
	int pins_fd;			/* of an owner who lives, or -1 */
	uint32_t count;			/* of admin */
	struct weir_admin *admin;
	struct weir_cfg cfg;		/* workers 0: there was none */
};

struct weir_bpf {
	struct weir_steering base;
	struct weir_bpf_opts opts;
	const struct weir_log *log;
	struct weir_log log_copy;
	char name[WEIR_NAME_BYTES];

	char dir[WEIR_BPF_PATH_BYTES];	/* of the pins */
	int root_fd;			/* the directory above it */
	int lock_fd;			/* the directory itself, locked */
	int pins_fd;			/* where the pins are: it, or a generation below it */
	unsigned int generation;	/* its number, or 0 */
	enum weir_bpf_adopted adopted;
	_Atomic bool theirs;		/* pins, and all that is shared, are another's now */
	bool lent;			/* the listeners are, to a successor */
	bool resumed;			/* one did not come to serve */
	bool sealed;
	struct weir_cfg had;		/* of a predecessor: what this process has not set */
	struct carried carried;

	char cgroup[WEIR_BPF_PATH_BYTES];
	char cgroup_home[WEIR_BPF_PATH_BYTES];
	char cgroup_self[WEIR_BPF_PATH_BYTES];	/* as /proc/self/cgroup says it */
	int cgroup_fd;

	struct steer_bpf *steer;
	struct dgram_bpf *dgram;	/* in an instance for datagrams */
	struct event_bpf *event;
	struct iter_bpf *iter;		/* NULL: no table for cat */
	struct group_bpf *watch;	/* NULL: a foreign program is not noticed */
	uint32_t prog_id;		/* of the one that is to choose */
	int foreign;			/* 1: another does */
	struct overflow_bpf *overflow;	/* NULL: no signals of it */
	struct weir_overflow *overflows;
	struct flow_bpf *flow;	/* NULL below WEIR_RUNG_FLOW */
	struct weir_xdp *xdp;		/* NULL: none is attached */
	struct lookup_bpf *lookup;	/* NULL: it was not asked for */
	uint16_t port[2];		/* of the groups: IPv4, IPv6; 0: none, or not yet */
	_Atomic int rep_fd[2];		/* who stands for the group: IPv4, IPv6; -1: none */
	enum weir_rung rung;
	char why[WEIR_BPF_WHY_BYTES];

	struct weir_worker_row *rows;
	struct weir_pending *pending;
	struct weir_cfg *cfg;
	struct weir_admin *admin;
	struct weir_hist *hist;

	int flow_fd;			/* weir_flow */
	int own_fd;			/* weir_own, -1 below WEIR_RUNG_FLOW */
	uint32_t instance;
	struct member *members;
	pthread_mutex_t listeners;	/* held while one is moved, and to leave */

	int diag_fd;			/* NETLINK_SOCK_DIAG of the sweep */
	uint32_t sweep_bucket;		/* of weir_flow: where the sweep goes on */
	uint32_t sweep_skip;		/* flows seen already, from there */
	_Atomic uint64_t flow_errors;
	_Atomic uint64_t flows_swept;
	_Atomic uint64_t pending_fixed;
};

/* util.c: print a reason; returns @err, so that a failure is one line */
int reason_set(const struct reason *reason, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void bpf_log(const struct weir_bpf *bpf, enum weir_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Catch what libbpf says; capture_end() returns its first warning. */
void capture_begin(void);
const char *capture_end(void);
/* Maps of @to that @from has by the same name become those of @from, before it loads. */
int maps_share(struct bpf_object *to, const struct bpf_object *from);
bool name_valid(const char *name);
/* Print a path; -ENAMETOOLONG when it does not fit. */
int path_join(char *path, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* xdp_own.c: follow the addresses of this host */
void xdp_tick(struct weir_xdp *xdp);

/* quiet.c: the same for libxdp, whose lines go nowhere */
void xdp_quiet_begin(void);
void xdp_quiet_end(void);

/* mount.c */
int mount_bpffs(char path[static WEIR_BPF_PATH_BYTES]);
int mount_cgroup2(char path[static WEIR_BPF_PATH_BYTES]);

/* dir.c: the directory of an instance: found safe, locked, emptied */
int dir_root(char path[static WEIR_BPF_PATH_BYTES], const struct reason *reason);
/* A safe <bpffs>/weir, or -ENOENT, or -EXDEV when it is not safe. */
int root_open(bool make, const struct reason *reason);
/* The same for one instance's directory below it. */
int dir_at(int root_fd, const char *name);
/* One that is made unless it is there. @path is for the reason. */
int dir_make(int at, const char *name, const char *path, mode_t mode,
	     const struct reason *reason);
/* Whether what is open is what that name stands for: else it was removed meanwhile. */
bool dir_same(int fd, int root_fd, const char *name);
/* Open one that is there and lock it; -EWOULDBLOCK when it is held. */
int dir_lock(int root_fd, const char *name, const char *path, const struct reason *reason);
/* Of who changes something, for as long as that takes: 0, -ETIMEDOUT or -errno. */
int lock_wait(int fd);
/* Whether its owner lives. */
bool dir_held(int fd);
bool dir_empty(int dir_fd);
/* Empty a directory that is locked and whose owner is therefore dead. */
int dir_clean(int fd, const char *path, const char *name, const struct reason *reason);
int clean_generations(int fd, unsigned int after, const char *path, const struct reason *reason);
int pins_unlink(int dir_fd);	/* all of them, weir_meta last */
/* Read an open directory from its start, by a descriptor of its own. */
int dir_stream(int dir_fd, DIR **dirp);

/*
 * dir_owner.c: the lock, and where the pins go. Sets bpf->adopted when those that are
 * there are to be used.
 */
int dir_open(struct weir_bpf *bpf, const struct reason *reason);
void dir_close(struct weir_bpf *bpf);

/* view.c: the pins of an instance of our ABI, by their directory, and its maker */
int instance_dir(const char *name, struct weir_meta *meta);

/* view.c: what was read is of @name, and its texts end, whatever a hand has written there */
void meta_tidy(struct weir_meta *meta, const char *name);
/* generation.c: which pins are the current ones */
enum { GENERATION_MAX = 999999 };
int generation_latest(int dir_fd);		/* its number, 0: no directory, or -errno */
int generation_open(int dir_fd, unsigned int number);	/* descriptor or -errno */
int generation_make(struct weir_bpf *bpf, const struct reason *reason);
int generation_remove(int dir_fd, unsigned int number);
int generation_prune(struct weir_bpf *bpf);	/* those after this one */
int pins_open(int dir_fd);			/* the current ones of a directory */
int pins_at(int root_fd, const char *name);	/* the same by the instance's name */

/* adopt.c: pins that another process made */
/* Before the lock is had: are there pins that could be? */
bool adopt_likely(const struct weir_bpf *bpf);
/* With the lock: 0, or why not, -EBADMSG for pins that are not weir's. */
int adopt_check(struct weir_bpf *bpf, int pins_fd, const struct reason *reason);
/* Let @object, opened and sized, use the pinned maps. */
int adopt_maps(struct weir_bpf *bpf, struct bpf_object *object, const struct reason *reason);
void adopt_cfg(struct weir_bpf *bpf);
/* The cgroup that a pinned link watches, by id; 0: there is none. */
uint64_t adopt_cgroup(struct weir_bpf *bpf);
/* The link that is pinned as @name, with @prog in it from now on. */
int adopt_link(struct weir_bpf *bpf, const char *name, struct bpf_program *prog,
	       struct bpf_link **linkp);
/* Mapped arrays become this process's own, at the same addresses. */
int adopt_leave(struct weir_bpf *bpf);
void adopt_tell(struct weir_bpf *bpf, uint32_t first, uint32_t count);
/* They become the shared ones again, at the same addresses: a successor's, */
int adopt_claim(struct weir_bpf *bpf);
/* or the owner's, with what he has in them. */
int adopt_return(struct weir_bpf *bpf);
/* or, in the process of one worker, with what that one has. */
int adopt_rejoin(struct weir_bpf *bpf, uint32_t worker);
/* Programs of this process into the links that are pinned. */
int adopt_links(struct weir_bpf *bpf);

/* carry.c: from maps that cannot be used to this instance's */
void carry_open(struct weir_bpf *bpf, int pins_fd, const struct weir_meta *meta);
void carry_close(struct weir_bpf *bpf);
void carry_set(struct weir_bpf *bpf);
int carry_again(struct weir_bpf *bpf);	/* what has changed since, of an owner who lives */
/* The words that differ @now from what was @then, each in one piece. */
void carry_changes(void *to, const void *now, const void *then, size_t bytes);
uint32_t carry_vips_max(int pins_fd);	/* for how many networks there is room, or 0 */

/* pin.c: what is in it */
int meta_write(struct weir_bpf *bpf);
int meta_ports(struct weir_bpf *bpf);	/* the groups are bound */
bool pin_there(const struct weir_bpf *bpf, const char *name);
/* Print the path of a pin; bpf(2) of older kernels takes no directory. */
int pin_path(char *path, int dir_fd, const char *name);
int pin_all(struct weir_bpf *bpf, const struct reason *reason);
int pin_fd(struct weir_bpf *bpf, int fd, const char *name, const struct reason *reason);
int pin_prog(struct weir_bpf *bpf, int fd, const char *name, const struct reason *reason);
int pin_read(int dir_fd, const char *name, bool writable);
/* What the kernel says of a program, or of a link, that is pinned there. */
int pin_info(int dir_fd, const char *name, void *info, uint32_t bytes);
int pin_meta(int dir_fd, struct weir_meta *meta);
uint64_t netns_cookie(void);
uint64_t owner_start(uint32_t pid);
void tag_text(const struct bpf_prog_info *info, char text[static WEIR_BUILD_ID_BYTES]);

/* cgroup.c */
/* @id: that of the cgroup to enter, 0: the one of this instance's name. */
int cgroup_enter(struct weir_bpf *bpf, uint64_t id, const struct reason *reason);
void cgroup_leave(struct weir_bpf *bpf);
void cgroup_remove_stale(const char *name);

/* load.c: the steering programs and the mapped arrays */
struct steer_bpf *steer_skel(bool reads);	/* @reads the kernel's memory; or NULL */
int steer_load(struct weir_bpf *bpf, const struct reason *reason);
void steer_unload(struct weir_bpf *bpf);
/* Each array that both halves map, in turn; NULL after the last. */
void **steer_mapped(struct weir_bpf *bpf, unsigned int i, size_t *bytes, int *fd);
int steer_prog_fd(const struct weir_bpf *bpf);
int steer_socks_fd(const struct weir_bpf *bpf, bool v6);

/* event.c: the workers' rings, and events of user space */
int event_load(struct weir_bpf *bpf, const struct reason *reason);
int rings_publish(struct weir_bpf *bpf);
void event_unload(struct weir_bpf *bpf);
int event_raise(struct weir_bpf *bpf, const struct weir_event *event);

/* dgram.c: the program for datagrams, with WEIR_BPF_DGRAM */
int dgram_load(struct weir_bpf *bpf, const struct reason *reason);
void dgram_unload(struct weir_bpf *bpf);
int dgram_prog_fd(const struct weir_bpf *bpf);

/*
 * What a parked worker was given but cannot take is no more than a count: the kernel
 * drops a datagram with a wrong checksum on its way out of the socket, and wakes nobody
 * for it. True: nothing is there, and the counts now say so.
 */
bool dgram_settle(struct weir_bpf *bpf, unsigned int worker, uint64_t established,
		  uint64_t accepted);
/* overflow.c: completion queues that overflow, as signals; nothing where it cannot be had */
void overflow_load(struct weir_bpf *bpf);
void overflow_unload(struct weir_bpf *bpf);
int overflow_pin(struct weir_bpf *bpf, const struct reason *reason);
void overflow_tick(struct weir_bpf *bpf, uint64_t now_ns);

/* telemetry.c: the flow programs and their cgroup; falls to lower rungs */
void flow_load(struct weir_bpf *bpf);
void flow_unload(struct weir_bpf *bpf);
int flow_relink(struct weir_bpf *bpf);

/* iter.c: the table of flows for cat */
void iter_load(struct weir_bpf *bpf);
void iter_unload(struct weir_bpf *bpf);
int iter_pin(struct weir_bpf *bpf, const struct reason *reason);

/* array.c: an array of the kernel half as memory; nothing there is nothing to unmap */
size_t array_size(uint32_t entries, uint32_t value_bytes);	/* in memory */
size_t array_bytes(const struct bpf_map *map);
int array_map(void **memp, const struct bpf_map *map);
void array_unmap(void **memp, const struct bpf_map *map);
/* Sum the @words counters of a per-CPU entry over the CPUs. */
int percpu_sum(int map_fd, uint32_t key, uint64_t *sum, size_t words);

/* lookup.c: sk_lookup, and the listeners it gives clients to */
int netns_open(void);
/* Each sk_lookup program there that may be asked, as long as @fn returns 0. */
int lookup_walk(int netns_fd,
		int (*fn)(void *ctx, int prog_fd, const struct bpf_prog_info *info), void *ctx);
int lookup_load(struct weir_bpf *bpf, const struct reason *reason);
void lookup_unload(struct weir_bpf *bpf);
int lookup_relink(struct weir_bpf *bpf);
int rep_open(struct weir_bpf *bpf, bool v6, int like);
void rep_close(struct weir_bpf *bpf);

/* cost.c: every program that is pinned in a directory */
int progs_walk(int dir_fd, int (*fn)(void *ctx, const struct weir_bpf_prog *prog), void *ctx);

/* ring.c */
int ring_open(struct ring *ring, const char *name, uint32_t size);
void ring_close(struct ring *ring);
int ring_map(struct ring *ring, int fd, uint32_t size);	/* takes @fd when it succeeds */
unsigned int ring_take(struct ring *ring, struct weir_event *out, unsigned int max);
/* For one of several readers: its position, where to begin, and what is there. */
uint64_t ring_end(struct ring *ring);
unsigned int ring_follow(struct ring *ring, uint64_t *pos, struct weir_event *out,
			 unsigned int max);

/* observe.c: say in the configuration whether anybody observes */
void observers_look(struct weir_cfg *cfg, int dir_fd);

/* watch.c: whose program the groups have; nothing where it cannot be had */
void watch_load(struct weir_bpf *bpf);
void watch_unload(struct weir_bpf *bpf);
int watch_pin(struct weir_bpf *bpf, const struct reason *reason);
int watch_join(struct weir_bpf *bpf, unsigned int worker, int fd);
void watch_tick(struct weir_bpf *bpf, uint64_t now_ns);
/* Each line of the table that @fd reads. Return: what @fn returned last, 0, or -errno. */
int groups_walk(int fd, int (*fn)(void *ctx, const struct weir_bpf_group *group), void *ctx);

/* group.c: 0, or -EINVAL when two listeners of a group differ in an option */
int group_alike(const struct weir_bpf *bpf, int fd, int other);
/* 1 when a socket that has not joined listens where @fd does; -errno: not known */
int group_strangers(const struct weir_bpf *bpf, int fd);

/* steering.c */
extern const struct weir_steering_ops bpf_steering_ops;

/* members.c: of that table, what is about listeners */
int bpf_join(struct weir_steering *st, unsigned int worker, int fd);
int bpf_seal(struct weir_steering *st);
void bpf_leave(struct weir_steering *st, unsigned int worker);
int bpf_yield(struct weir_steering *st, int maps);
int bpf_resume(struct weir_steering *st);
int bpf_apart(struct weir_steering *st, unsigned int worker, enum weir_apart how);

/* Pins are there, and what this process pins takes their place. */
static inline bool pins_replace(const struct weir_bpf *bpf)
{
	return bpf->adopted || bpf->resumed;
}

static inline struct weir_bpf *to_bpf(struct weir_steering *st)
{
	return container_of(st, struct weir_bpf, base);
}

/* rescue.c */
int listener_info(int fd, struct tcp_info *info);
int own_set(struct weir_bpf *bpf, unsigned int worker, int fd);
int bpf_rescue(struct weir_steering *st, unsigned int worker);

/* probe_rescue.c: 0, or why not; @why says what was done */
int rescue_probe(char *why);

/* sweep.c */
void sweep_tick(struct weir_bpf *bpf, uint64_t now);
void pending_tick(struct weir_bpf *bpf);
/* Connections in the accept queues of a worker, or -errno. */
int queue_length(struct weir_bpf *bpf, uint32_t worker);
/* Counts of another owner: what its end lost is put right. */
void pending_settle(struct weir_bpf *bpf);
int sock_gone(int diag_fd, uint64_t cookie, const struct weir_flow *flow);
int sock_diag_open(void);

#endif /* BPF_INSTANCE_H */
