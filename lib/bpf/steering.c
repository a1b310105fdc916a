// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * steering.c - an instance as <weir/steering.h> wants it
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/list.h"
#include "bpf/instance.h"

/* A look at a flow is a system call: for one accept of so many. */
#define ACCEPTS_SAMPLED	16

static unsigned int bpf_rows(struct weir_steering *st)
{
	return to_bpf(st)->opts.workers;
}

static int sock_int(int fd, int level, int option, int *value)
{
	socklen_t len = sizeof(*value);

	return getsockopt(fd, level, option, value, &len) ? -errno : 0;
}

/* Datagrams or connections: an instance has one program for one of them. */
static int type_check(const struct weir_bpf *bpf, int fd)
{
	int type, err = sock_int(fd, SOL_SOCKET, SO_TYPE, &type);

	if (err)
		return err;
	return type == (bpf->dgram ? SOCK_DGRAM : SOCK_STREAM) ? 0 : -EPROTOTYPE;
}

/* The first listener of a family, or -1. */
static int group_fd(const struct weir_bpf *bpf, bool v6)
{
	uint32_t i;

	for (i = 0; i < bpf->opts.workers; i++) {
		if (bpf->members[i].fd[v6] >= 0)
			return bpf->members[i].fd[v6];
	}
	return -1;
}

/*
 * A listener that was taken over is in its place already, and a socket can be
 * in one array alone: one that is still in its old owner's waits for bpf_seal().
 */
static int socks_put(struct weir_bpf *bpf, unsigned int worker, int fd, bool v6)
{
	int err, socks_fd = steer_socks_fd(bpf, v6);
	uint64_t cookie, there, value = fd;
	socklen_t len = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len))
		return -errno;
	if (!bpf_map_lookup_elem(socks_fd, &worker, &there) && there == cookie)
		return 0;
	err = bpf_map_update_elem(socks_fd, &worker, &value, BPF_ANY);
	return err == -EBUSY && bpf->opts.lock && !bpf->sealed ? 0 : err;
}

/* What others see of a listener: in its place, and of this worker. */
static int member_put(struct weir_bpf *bpf, unsigned int worker, bool v6)
{
	int fd = bpf->members[worker].fd[v6], err;

	if (fd < 0)
		return 0;
	err = own_set(bpf, worker, fd);
	if (!err)
		err = socks_put(bpf, worker, fd, v6);
	return err ? err : watch_join(bpf, worker, fd);
}

static int bpf_join(struct weir_steering *st, unsigned int worker, int fd)
{
	struct weir_bpf *bpf = to_bpf(st);
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie;
	int domain, first, err;
	bool v6;

	if (worker >= bpf->opts.workers || fd < 0)
		return -EINVAL;
	err = sock_int(fd, SOL_SOCKET, SO_DOMAIN, &domain);
	if (!err)
		err = type_check(bpf, fd);
	if (err)
		return err;
	if (domain != AF_INET && domain != AF_INET6)
		return -EAFNOSUPPORT;
	v6 = domain == AF_INET6;
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len))
		return -errno;
	/* Again, by the process that serves what its parent has joined. */
	if (bpf->members[worker].fd[v6] >= 0)
		return bpf->members[worker].cookie[v6] == cookie ?
		       own_set(bpf, worker, fd) : -EEXIST;
	first = group_fd(bpf, v6);
	err = first < 0 ? 0 : group_alike(bpf, fd, first);
	if (err)
		return err;
	bpf->members[worker].fd[v6] = fd;
	bpf->members[worker].cookie[v6] = cookie;
	bpf->members[worker].epoch = bpf->rows[worker].epoch;
	bpf->rows[worker].cookie = cookie;
	/* Where there is an owner who lives, when he has yielded: bpf_seal(). */
	err = bpf->theirs ? 0 : member_put(bpf, worker, v6);
	if (err)
		bpf->members[worker].fd[v6] = -1;
	return err;
}

/* All that is shared becomes this process's: as a successor, or again. */
static int claim(struct weir_bpf *bpf)
{
	int err = rings_publish(bpf);

	if (!err)
		err = adopt_links(bpf);
	if (!err)
		err = meta_write(bpf);
	return err ? err : pin_all(bpf, NULL);
}

static int members_put(struct weir_bpf *bpf)
{
	uint32_t i;
	int v6, err = 0;

	for (i = 0; i < bpf->opts.workers && !err; i++) {
		for (v6 = 0; v6 < 2 && !err; v6++)
			err = member_put(bpf, i, v6);
	}
	return err;
}

/* The old owner has yielded: what waited for that. */
static int succeed(struct weir_bpf *bpf)
{
	bool taken = bpf->adopted == WEIR_BPF_TAKEN;
	int err = taken ? adopt_claim(bpf) : 0;

	if (err)
		return err;
	bpf->sealed = true;
	bpf->theirs = false;
	err = carry_again(bpf);
	if (!err)
		err = members_put(bpf);
	if (err)
		return err;
	/* Of listeners that were there before some clients are not counted. */
	pending_settle(bpf);
	return taken ? claim(bpf) : 0;
}

/*
 * The last program that is attached to a group wins: one that somebody else's
 * socket brought would be gone, and his clients sent to us. Where the group was
 * another's before, its sockets may be there still.
 */
static int group_check(const struct weir_bpf *bpf, int fd)
{
	bool succeeds = bpf->adopted || bpf->opts.lock || bpf->carried.count;
	int strangers = succeeds ? 0 : group_strangers(bpf, fd);

	if (strangers > 0) {
		bpf_log(bpf, WEIR_LOG_ERROR, "bpf: instance %s: another socket listens at the "
			"same address: its program would be replaced", bpf->name);
		return -EBUSY;
	}
	if (strangers < 0)
		bpf_log(bpf, WEIR_LOG_WARN, "bpf: instance %s: who else listens at its address "
			"is not known: %s", bpf->name, strerror(-strangers));
	return 0;
}

static uint16_t sock_port(int fd)
{
	struct sockaddr_in6 addr = { 0 };	/* the port is where sockaddr_in has it */
	socklen_t len = sizeof(addr);

	return getsockname(fd, (struct sockaddr *)&addr, &len) ? 0 : ntohs(addr.sin6_port);
}

/* Once per group, through any of its listeners. */
static int group_seal(struct weir_bpf *bpf, bool v6, int fd)
{
	int prog = bpf->dgram ? dgram_prog_fd(bpf) : steer_prog_fd(bpf), err;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &prog, sizeof(prog)))
		return -errno;
	bpf->port[v6] = sock_port(fd);
	/* From here on clients may come through it: the program chooses for them. */
	err = rep_open(bpf, v6, fd);
	if (!err && bpf->rep_fd[v6] >= 0)
		err = own_set(bpf, 0, bpf->rep_fd[v6]);
	return err;
}

static int bpf_seal(struct weir_steering *st)
{
	struct weir_bpf *bpf = to_bpf(st);
	int v6, fd, err = 0;

	for (v6 = 0; v6 < 2 && !err; v6++) {
		fd = group_fd(bpf, v6);
		err = fd < 0 ? 0 : group_check(bpf, fd);
	}
	if (!err)
		err = succeed(bpf);
	for (v6 = 0; v6 < 2 && !err; v6++) {
		fd = group_fd(bpf, v6);
		err = fd < 0 ? 0 : group_seal(bpf, v6, fd);
	}
	return err ? err : meta_ports(bpf);
}

static struct weir_worker_row *bpf_row(struct weir_steering *st, unsigned int worker)
{
	struct weir_bpf *bpf = to_bpf(st);

	return worker < bpf->opts.workers ? &bpf->rows[worker] : NULL;
}

static int bpf_signal_fd(struct weir_steering *st, unsigned int worker)
{
	struct weir_bpf *bpf = to_bpf(st);

	if (worker >= bpf->opts.workers)
		return -EINVAL;
	return bpf->members[worker].ring.fd;
}

static int bpf_signal_take(struct weir_steering *st, unsigned int worker, struct weir_event *out,
			   unsigned int max)
{
	struct weir_bpf *bpf = to_bpf(st);

	if (worker >= bpf->opts.workers)
		return -EINVAL;
	return (int)ring_take(&bpf->members[worker].ring, out, max);
}

static int bpf_raise(struct weir_steering *st, const struct weir_event *event)
{
	return event_raise(to_bpf(st), event);
}

/* Bucket i counts [2^(i-1), 2^i) us; written by the worker alone. */
static void hist_add(__u64 buckets[static WEIR_HIST_BUCKETS], uint64_t delay_ns)
{
	uint64_t us = delay_ns / 1000;
	unsigned int i = us ? 64 - (unsigned int)__builtin_clzll(us) : 0;

	if (i >= WEIR_HIST_BUCKETS)
		i = WEIR_HIST_BUCKETS - 1;
	__atomic_store_n(&buckets[i], buckets[i] + 1, __ATOMIC_RELAXED);
}

/*
 * The owner needs no change: the flow names the worker that will accept already.
 * It was counted for the listener that its last packet met, and the migrate hook
 * renames it when it moves on; a request that moves before it is established
 * becomes the child of the new listener and inherits its storage.
 */
static void bpf_accepted(struct weir_steering *st, unsigned int worker, uint64_t cookie,
			 uint64_t now_ns)
{
	struct weir_bpf *bpf = to_bpf(st);
	struct weir_flow flow;

	if (worker >= bpf->opts.workers || !bpf->flow ||
	    bpf->members[worker].accepts++ % ACCEPTS_SAMPLED)
		return;
	if (!bpf_map_lookup_elem(bpf->flow_fd, &cookie, &flow))
		hist_add(bpf->hist[worker].accept,
			 now_ns > flow.opened_ns ? now_ns - flow.opened_ns : 0);
}

static void bpf_closed(struct weir_steering *st, uint64_t cookie)
{
	struct weir_bpf *bpf = to_bpf(st);
	int err;

	if (!bpf->flow)
		return;
	err = bpf_map_delete_elem(bpf->flow_fd, &cookie);
	if (err && err != -ENOENT)
		atomic_fetch_add(&bpf->flow_errors, 1);
}

static void bpf_tick(struct weir_steering *st, uint64_t now_ns)
{
	struct weir_bpf *bpf = to_bpf(st);

	if (bpf->theirs)
		return;
	pending_tick(bpf);
	observers_look(bpf->cfg, bpf->lock_fd);
	overflow_tick(bpf, now_ns);
	watch_tick(bpf, now_ns);
	if (bpf->flow)
		sweep_tick(bpf, now_ns);
	pthread_mutex_lock(&bpf->listeners);
	if (bpf->xdp)
		xdp_tick(bpf->xdp);
	pthread_mutex_unlock(&bpf->listeners);
}

static void bpf_leave(struct weir_steering *st, unsigned int worker)
{
	struct weir_bpf *bpf = to_bpf(st);
	int v6;

	if (worker >= bpf->opts.workers)
		return;
	pthread_mutex_lock(&bpf->listeners);
	for (v6 = 0; v6 < 2; v6++) {
		bpf->members[worker].fd[v6] = -1;
		bpf->members[worker].lent[v6] = -1;
		if (bpf->theirs)
			continue;	/* the place is its successor's */
		bpf_map_delete_elem(steer_socks_fd(bpf, v6), &worker);
	}
	if (group_fd(bpf, false) < 0 && group_fd(bpf, true) < 0)
		rep_close(bpf);
	pthread_mutex_unlock(&bpf->listeners);
}

static struct weir_cfg *bpf_cfg(struct weir_steering *st)
{
	return to_bpf(st)->cfg;
}

static struct weir_admin *bpf_admin(struct weir_steering *st, unsigned int worker)
{
	struct weir_bpf *bpf = to_bpf(st);

	return worker < bpf->opts.workers ? &bpf->admin[worker] : NULL;
}

static struct weir_hist *bpf_hist(struct weir_steering *st, unsigned int worker)
{
	struct weir_bpf *bpf = to_bpf(st);

	return worker < bpf->opts.workers ? &bpf->hist[worker] : NULL;
}

/* The same sum as pending_look() in bpf/weir.bpf.h, which also refreshes the time. */
static int bpf_waiting(struct weir_steering *st, unsigned int worker, uint64_t *since_ns)
{
	struct weir_bpf *bpf = to_bpf(st);
	const struct weir_pending *pending;
	uint64_t accepted, established;
	int64_t waiting;

	if (worker >= bpf->opts.workers)
		return -EINVAL;
	*since_ns = 0;
	if (!(bpf->cfg->flags & WEIR_CFG_PENDING))
		return queue_length(bpf, worker);
	pending = &bpf->pending[worker];
	accepted = __atomic_load_n(&bpf->rows[worker].accepted, __ATOMIC_ACQUIRE);
	established = __atomic_load_n(&pending->established, __ATOMIC_ACQUIRE);
	waiting = (int64_t)(established - accepted) -
		  __atomic_load_n(&pending->unaccepted, __ATOMIC_RELAXED);
	if (waiting <= 0)
		return 0;
	/* It has accepted since the kernel looked: in its last turn, or before. */
	*since_ns = __atomic_load_n(&pending->accepted_seen, __ATOMIC_RELAXED) == accepted ?
		    __atomic_load_n(&pending->since_ns, __ATOMIC_RELAXED) :
		    __atomic_load_n(&bpf->rows[worker].loop_ns, __ATOMIC_RELAXED);
	/* Well before it would be taken for hung. */
	if (bpf->dgram && clock_ns() - *since_ns > bpf->cfg->stale_ns / 2 &&
	    dgram_settle(bpf, worker, established, accepted))
		return 0;
	return (int)(waiting < INT32_MAX ? waiting : INT32_MAX);
}

static int bpf_spare(struct weir_steering *st)
{
	struct weir_bpf *bpf = to_bpf(st);
	int fd = bpf->rep_fd[0] >= 0 ? bpf->rep_fd[0] : bpf->rep_fd[1];

	/* Datagrams that one of them brought it would have to go on reading for ever. */
	return fd < 0 || bpf->dgram ? -EOPNOTSUPP : fd;
}

/* From here on what the kernel raises about it goes to the ring of @worker. */
static void bpf_moved(struct weir_steering *st, unsigned int worker, uint64_t cookie, int fd)
{
	struct weir_bpf *bpf = to_bpf(st);
	struct weir_flow flow;
	int err;

	if (worker >= bpf->opts.workers || !bpf->flow)
		return;
	err = own_set(bpf, worker, fd);
	if (!err && !bpf_map_lookup_elem(bpf->flow_fd, &cookie, &flow)) {
		flow.worker = worker;
		err = bpf_map_update_elem(bpf->flow_fd, &cookie, &flow, BPF_EXIST);
	}
	if (err && err != -ENOENT)
		atomic_fetch_add(&bpf->flow_errors, 1);
}

static int bpf_lock(struct weir_steering *st)
{
	return to_bpf(st)->lock_fd;
}

static int bpf_adopted(struct weir_steering *st)
{
	return to_bpf(st)->adopted == WEIR_BPF_TAKEN;
}

/* Nobody rescues them from now on; a successor with other maps puts them into these. */
static void listeners_lend(struct weir_bpf *bpf)
{
	uint32_t i;
	int v6;

	for (i = 0; i < bpf->opts.workers; i++) {
		for (v6 = 0; v6 < 2; v6++) {
			bpf->members[i].lent[v6] = bpf->members[i].fd[v6];
			bpf->members[i].fd[v6] = -1;
			if (!bpf->theirs)
				bpf_map_delete_elem(steer_socks_fd(bpf, v6), &i);
		}
	}
	bpf->lent = true;
}

static int bpf_yield(struct weir_steering *st, int maps)
{
	struct weir_bpf *bpf = to_bpf(st);
	int err = 0;

	if (bpf->lent) {
		if (bpf->theirs)
			adopt_tell(bpf, 0, bpf->opts.workers);
		return 0;
	}
	pthread_mutex_lock(&bpf->listeners);
	if (maps && !bpf->theirs)
		err = adopt_leave(bpf);
	if (!err) {
		bpf->theirs = maps;
		listeners_lend(bpf);
	}
	pthread_mutex_unlock(&bpf->listeners);
	return err;
}

static void listeners_back(struct weir_bpf *bpf)
{
	uint32_t i;
	int v6;

	for (i = 0; i < bpf->opts.workers; i++)
		for (v6 = 0; v6 < 2; v6++)
			bpf->members[i].fd[v6] = bpf->members[i].lent[v6];
	bpf->lent = false;
}

/* One step that fails does not keep the next from its turn. */
static int take_back(struct weir_bpf *bpf)
{
	bool maps = bpf->theirs;
	int errs[6] = { 0 }, v6, fd;
	size_t i;

	listeners_back(bpf);
	errs[0] = maps ? adopt_return(bpf) : 0;
	bpf->theirs = false;
	bpf->resumed = true;
	errs[1] = members_put(bpf);
	errs[2] = maps ? claim(bpf) : 0;
	for (v6 = 0; v6 < 2; v6++) {
		fd = group_fd(bpf, v6);
		errs[3 + v6] = fd < 0 ? 0 : group_seal(bpf, v6, fd);
	}
	for (i = 0; i < ARRAY_SIZE(errs) - 1 && !errs[i]; i++)
		;
	return errs[i];
}

static int bpf_resume(struct weir_steering *st)
{
	struct weir_bpf *bpf = to_bpf(st);
	int pruned = generation_prune(bpf), err = 0;

	pthread_mutex_lock(&bpf->listeners);
	if (bpf->lent) {
		err = take_back(bpf);
		pending_settle(bpf);
	}
	pthread_mutex_unlock(&bpf->listeners);
	return err ? err : pruned;
}

static int bpf_apart(struct weir_steering *st, unsigned int worker, enum weir_apart how)
{
	struct weir_bpf *bpf = to_bpf(st);

	if (worker >= bpf->opts.workers)
		return -EINVAL;
	if (how == WEIR_APART_LEAVE)
		return adopt_leave(bpf);
	if (how == WEIR_APART_BACK)
		return adopt_rejoin(bpf, worker);
	adopt_tell(bpf, worker, 1);
	return 0;
}

static void bpf_close(struct weir_steering *st)
{
	weir_bpf_close(to_bpf(st));
}

const struct weir_steering_ops bpf_steering_ops = {
	.sz		= sizeof(struct weir_steering_ops),
	.name		= "bpf",
	.rows		= bpf_rows,
	.join		= bpf_join,
	.seal		= bpf_seal,
	.row		= bpf_row,
	.signal_fd	= bpf_signal_fd,
	.signal_take	= bpf_signal_take,
	.raise		= bpf_raise,
	.accepted	= bpf_accepted,
	.closed		= bpf_closed,
	.tick		= bpf_tick,
	.leave		= bpf_leave,
	.cfg		= bpf_cfg,
	.admin		= bpf_admin,
	.hist		= bpf_hist,
	.waiting	= bpf_waiting,
	.rescue		= bpf_rescue,
	.spare		= bpf_spare,
	.moved		= bpf_moved,
	.lock		= bpf_lock,
	.adopted	= bpf_adopted,
	.yield		= bpf_yield,
	.resume		= bpf_resume,
	.apart		= bpf_apart,
	.close		= bpf_close,
};
