// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * rescue.c - move the accept queue of a worker that does not come to accept
 *
 * A listener that is shut down gives its queue to the others of its group: the
 * migrate program chooses for each connection, and none is reset. In the same
 * step it listens again and returns to the sockarray, so that the worker finds
 * its listener as it was. From another thread or process than the worker's, by
 * the descriptor that was joined; leaving waits for a rescue that is under way.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <bpf/bpf.h>

#include "bpf/instance.h"

#define TRIAL_LEAST_NS	(100 * NSEC_PER_MSEC)
#define TRIAL_MOST_NS	NSEC_PER_SEC

int listener_info(int fd, struct tcp_info *info)
{
	socklen_t len = sizeof(*info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) ? -errno : 0;
}

int own_set(struct weir_bpf *bpf, unsigned int worker, int fd)
{
	struct weir_own own = {
		.instance = bpf->instance,
		.worker = worker,
		.epoch = bpf->rows[worker].epoch,
	};

	if (bpf->own_fd < 0)
		return 0;
	return bpf_map_update_elem(bpf->own_fd, &fd, &own, BPF_ANY);
}

/* Back into the group. -EBUSY: it has never left the sockarray. */
static int revive(struct weir_bpf *bpf, unsigned int worker, bool v6, int fd)
{
	uint64_t value = (uint64_t)fd;
	int err;

	if (listen(fd, bpf->members[worker].backlog))
		return -errno;
	err = own_set(bpf, worker, fd);
	if (!err)
		err = bpf_map_update_elem(steer_socks_fd(bpf, v6), &worker, &value, BPF_ANY);
	return err == -EBUSY ? 0 : err;
}

/* In a listening socket, tcpi_unacked is the queue's length, tcpi_sacked its limit. */
static int rescue_one(struct weir_bpf *bpf, unsigned int worker, bool v6)
{
	int fd = bpf->members[worker].fd[v6], err;
	struct tcp_info info;

	if (fd < 0)
		return 0;
	err = listener_info(fd, &info);
	if (err)
		return err;
	/* A rescue that got no further than half. */
	if (info.tcpi_state != TCP_LISTEN)
		return revive(bpf, worker, v6, fd);
	if (!info.tcpi_unacked)
		return 0;
	bpf->members[worker].backlog = (int)info.tcpi_sacked;
	if (shutdown(fd, SHUT_RDWR))
		return -errno;
	err = revive(bpf, worker, v6, fd);
	return err ? err : (int)info.tcpi_unacked;
}

/* What the dead one had taken, or was about to, is gone: nothing waits for it. */
static void forget_taken(struct weir_bpf *bpf, unsigned int worker)
{
	uint64_t accepted = __atomic_load_n(&bpf->rows[worker].accepted, __ATOMIC_ACQUIRE);
	struct weir_pending *pending = &bpf->pending[worker];
	uint64_t established = __atomic_load_n(&pending->established, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&bpf->rows[worker].state, __ATOMIC_ACQUIRE) == WEIR_DEAD)
		__atomic_store_n(&pending->unaccepted, (int64_t)(established - accepted),
				 __ATOMIC_RELAXED);
}

/*
 * A parked worker whose queue was moved looks idle. It is taken for hung until it
 * has run, or until one client may find out: rarer each time that it has not.
 */
static void trial_set(struct weir_bpf *bpf, unsigned int worker)
{
	uint64_t loop_ns = __atomic_load_n(&bpf->rows[worker].loop_ns, __ATOMIC_RELAXED);
	struct weir_pending *pending = &bpf->pending[worker];
	uint64_t trial_ns = min_u64(2 * pending->trial_ns, TRIAL_MOST_NS);

	if (loop_ns >= pending->rescued_ns || trial_ns < TRIAL_LEAST_NS)
		trial_ns = TRIAL_LEAST_NS;
	__atomic_store_n(&pending->trial_ns, trial_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&pending->rescued_ns, clock_ns(), __ATOMIC_RELAXED);
}

int bpf_rescue(struct weir_steering *st, unsigned int worker)
{
	struct weir_bpf *bpf = to_bpf(st);
	int v6, n, total = 0;

	if (worker >= bpf->opts.workers)
		return -EINVAL;
	if (bpf->dgram)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&bpf->listeners);
	for (v6 = 0; v6 < 2 && total >= 0; v6++) {
		n = rescue_one(bpf, worker, v6);
		total = n < 0 ? n : total + n;
	}
	if (total > 0)
		trial_set(bpf, worker);
	if (total >= 0)
		forget_taken(bpf, worker);
	pthread_mutex_unlock(&bpf->listeners);
	return total;
}
