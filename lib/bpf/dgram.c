// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dgram.c - the program that steers datagrams, in an instance that is for them
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dgram.skel.h"
#include "steer.skel.h"

#include "bpf/instance.h"

/* All but the table of flows are the maps of the steering program. */
static int dgram_share(struct weir_bpf *bpf, struct dgram_bpf *dgram)
{
	int err = maps_share(dgram->obj, bpf->steer->obj);

	return err ? err : bpf_map__set_max_entries(dgram->maps.weir_dgram, bpf->opts.flows_max);
}

int dgram_load(struct weir_bpf *bpf, const struct reason *reason)
{
	const char *said;
	int err;

	if (!(bpf->opts.flags & WEIR_BPF_DGRAM))
		return 0;
	capture_begin();
	bpf->dgram = dgram_bpf__open();
	err = bpf->dgram ? dgram_share(bpf, bpf->dgram) : -errno;
	if (!err)
		err = adopt_maps(bpf, bpf->dgram->obj, reason);
	if (!err)
		err = dgram_bpf__load(bpf->dgram);
	said = capture_end();
	if (err)
		return reason_set(reason, err, "cannot load the program for datagrams: %s (%s)",
				  strerror(-err), said);
	bpf->cfg->flags |= WEIR_CFG_PENDING;
	return 0;
}

void dgram_unload(struct weir_bpf *bpf)
{
	dgram_bpf__destroy(bpf->dgram);
	bpf->dgram = NULL;
}

int dgram_prog_fd(const struct weir_bpf *bpf)
{
	return bpf_program__fd(bpf->dgram->progs.weir_datagram);
}

/* May something be in the socket? A descriptor that is another's here tells nothing. */
static bool may_hold(const struct member *member, bool v6)
{
	struct pollfd in = { .fd = member->fd[v6], .events = POLLIN };
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie;

	if (in.fd < 0)
		return false;
	if (getsockopt(in.fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ||
	    cookie != member->cookie[v6])
		return true;
	return poll(&in, 1, 0) != 0;
}

bool dgram_settle(struct weir_bpf *bpf, unsigned int worker, uint64_t established,
		  uint64_t accepted)
{
	const struct member *member = &bpf->members[worker];
	bool empty;

	/* In a turn it may have what the sockets have no more. */
	if (__atomic_load_n(&bpf->rows[worker].state, __ATOMIC_ACQUIRE) != WEIR_PARKED)
		return false;
	pthread_mutex_lock(&bpf->listeners);
	empty = (member->fd[0] >= 0 || member->fd[1] >= 0) && !may_hold(member, false) &&
		!may_hold(member, true);
	pthread_mutex_unlock(&bpf->listeners);
	if (empty)
		__atomic_store_n(&bpf->pending[worker].unaccepted,
				 (int64_t)(established - accepted), __ATOMIC_RELAXED);
	return empty;
}
