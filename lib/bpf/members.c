// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * members.c - the listeners of an instance's workers: how they become a group with its
 * program, and go to a successor, or come back
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>

#include "base/list.h"
#include "bpf/instance.h"

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

int bpf_join(struct weir_steering *st, unsigned int worker, int fd)
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
	bool succeeds = bpf->adopted || bpf->opts.lock || bpf->carried.count ||
			bpf->opts.flags & WEIR_BPF_HEIR;
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

int bpf_seal(struct weir_steering *st)
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

void bpf_leave(struct weir_steering *st, unsigned int worker)
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

int bpf_yield(struct weir_steering *st, int maps)
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

int bpf_resume(struct weir_steering *st)
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

int bpf_apart(struct weir_steering *st, unsigned int worker, enum weir_apart how)
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
