// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sweep.c - once a second: flows whose connection is gone, counts that drifted
 *
 * A flow is removed by age only when the kernel, asked by address and socket
 * cookie, knows no such connection; a live idle one stays for ever. Where the
 * kernel cannot be asked the flow is removed all the same, and comes back with
 * the connection's next callback.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "bpf/instance.h"

#define SWEEP_BATCHES	4	/* of SWEEP_BATCH flows, looked at in one tick */
#define SWEEP_BATCH	64
#define SWEEP_ASKS	16	/* questions to the kernel in one tick */

int sock_diag_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

static void diag_fill(struct inet_diag_req_v2 *req, uint64_t cookie, const struct weir_flow *flow)
{
	memset(req, 0, sizeof(*req));
	req->sdiag_family = flow->family;
	req->sdiag_protocol = IPPROTO_TCP;
	req->idiag_states = ~0U;
	req->id.idiag_sport = htons(flow->local_port);
	req->id.idiag_dport = htons(flow->remote_port);
	memcpy(req->id.idiag_src, flow->local_ip, sizeof(flow->local_ip));
	memcpy(req->id.idiag_dst, flow->remote_ip, sizeof(flow->remote_ip));
	req->id.idiag_cookie[0] = (uint32_t)cookie;
	req->id.idiag_cookie[1] = cookie >> 32;
}

struct answer {
	struct nlmsghdr head;
	char bytes[4096];
};

/* The kernel answers within send(), so there is nothing to wait for. */
static int answer_read(int diag_fd, uint32_t seq, struct answer *answer)
{
	ssize_t len;

	do {
		len = recv(diag_fd, answer, sizeof(*answer), MSG_DONTWAIT);
		if (len < 0)
			return -errno;
	} while ((size_t)len < sizeof(answer->head) || answer->head.nlmsg_seq != seq);
	return len;
}

/* 1: no such connection, 0: it is there, -errno: the kernel could not be asked. */
int sock_gone(int diag_fd, uint64_t cookie, const struct weir_flow *flow)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} ask = {
		.head.nlmsg_len = sizeof(ask),
		.head.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.head.nlmsg_flags = NLM_F_REQUEST,
		.head.nlmsg_seq = (uint32_t)cookie,
	};
	const struct nlmsgerr *error;
	struct answer answer;
	int len;

	diag_fill(&ask.req, cookie, flow);
	if (send(diag_fd, &ask, sizeof(ask), MSG_DONTWAIT) != sizeof(ask))
		return -errno;
	len = answer_read(diag_fd, (uint32_t)cookie, &answer);
	if (len < 0)
		return len;
	if (len < (int)NLMSG_LENGTH(sizeof(*error)) || answer.head.nlmsg_type != NLMSG_ERROR)
		return 0;
	error = NLMSG_DATA(&answer.head);
	if (error->error == -ENOENT || error->error == -ESTALE)
		return 1;
	return error->error;
}

/* One flow of old age: true when its row was removed. */
static bool sweep_one(struct weir_bpf *bpf, uint64_t cookie, const struct weir_flow *flow)
{
	int gone = -EBADF;

	if (bpf->diag_fd < 0)
		bpf->diag_fd = sock_diag_open();
	if (bpf->diag_fd >= 0)
		gone = sock_gone(bpf->diag_fd, cookie, flow);
	/* A kernel that is short of memory may be asked again later. */
	if (gone == 0 || gone == -EAGAIN || gone == -ENOBUFS || gone == -ENOMEM)
		return false;
	if (bpf_map_delete_elem(bpf->flow_fd, &cookie))
		return false;
	atomic_fetch_add(&bpf->flows_swept, 1);
	return true;
}

struct sweep {
	uint64_t now;
	unsigned int asks;		/* left in this tick */
	uint32_t count;
	uint64_t cookies[SWEEP_BATCH];
	struct weir_flow flows[SWEEP_BATCH];
};

static bool flow_old(const struct weir_bpf *bpf, const struct weir_flow *flow, uint64_t now)
{
	return now >= flow->updated_ns && now - flow->updated_ns >= bpf->cfg->flow_age_ns;
}

/* False when there is no question left and the rest of the batch must wait. */
static bool sweep_batch(struct weir_bpf *bpf, struct sweep *sweep)
{
	uint32_t i;

	for (i = bpf->sweep_skip; i < sweep->count; i++) {
		if (flow_old(bpf, &sweep->flows[i], sweep->now)) {
			if (!sweep->asks)
				return false;
			sweep->asks--;
			if (sweep_one(bpf, sweep->cookies[i], &sweep->flows[i]))
				continue;
		}
		bpf->sweep_skip++;	/* it stays before those of the next look */
	}
	bpf->sweep_skip = 0;
	return true;
}

/*
 * Goes on where the last tick stopped. By buckets and not from key to key: that
 * walk would begin anew whenever the key it stands on is gone.
 */
void sweep_tick(struct weir_bpf *bpf, uint64_t now)
{
	struct sweep sweep = { .now = now, .asks = SWEEP_ASKS };
	uint32_t next;
	int i, err;

	for (i = 0; i < SWEEP_BATCHES; i++) {
		sweep.count = SWEEP_BATCH;
		err = bpf_map_lookup_batch(bpf->flow_fd,
					   bpf->sweep_bucket ? &bpf->sweep_bucket : NULL, &next,
					   sweep.cookies, sweep.flows, &sweep.count, NULL);
		if (err && err != -ENOENT) {
			bpf->sweep_bucket = 0;
			bpf->sweep_skip = 0;
			return;
		}
		if (!sweep_batch(bpf, &sweep))
			return;
		bpf->sweep_bucket = err ? 0 : next;
		if (err)	/* that was the last one */
			return;
	}
}

static int queues_add_up(const struct member *member)
{
	struct tcp_info info;
	int v6, fd, err, total = 0;

	for (v6 = 0; v6 < 2; v6++) {
		fd = member->fd[v6];
		if (fd < 0)
			continue;
		err = listener_info(fd, &info);
		if (err)
			return err;
		if (info.tcpi_state != TCP_LISTEN)
			return -EINVAL;
		total += info.tcpi_unacked;
	}
	return total;
}

/* Neither in the middle of a rescue, nor of a listener that its worker has closed. */
int queue_length(struct weir_bpf *bpf, uint32_t worker)
{
	int length;

	pthread_mutex_lock(&bpf->listeners);
	length = queues_add_up(&bpf->members[worker]);
	pthread_mutex_unlock(&bpf->listeners);
	return length;
}

/*
 * So many wait, whatever was counted; if none did by the counts, then since now.
 * False: the counts say so already.
 */
static bool pending_correct(struct weir_pending *pending, uint64_t established,
			    uint64_t accepted, int queued)
{
	int64_t unaccepted = (int64_t)(established - accepted) - queued;

	if (unaccepted == pending->unaccepted)
		return false;
	if (queued && (int64_t)(established - accepted) <= pending->unaccepted) {
		__atomic_store_n(&pending->since_ns, clock_ns(), __ATOMIC_RELAXED);
		__atomic_store_n(&pending->accepted_seen, accepted, __ATOMIC_RELAXED);
	}
	__atomic_store_n(&pending->unaccepted, unaccepted, __ATOMIC_RELEASE);
	return true;
}

static void pending_check(struct weir_bpf *bpf, uint32_t worker)
{
	uint64_t accepted = __atomic_load_n(&bpf->rows[worker].accepted, __ATOMIC_ACQUIRE);
	uint64_t established = __atomic_load_n(&bpf->pending[worker].established,
					       __ATOMIC_ACQUIRE);
	struct member *member = &bpf->members[worker];
	int queued;

	if (established != member->established_seen || accepted != member->accepted_seen) {
		member->established_seen = established;
		member->accepted_seen = accepted;
		return;
	}
	queued = queue_length(bpf, worker);
	if (queued < 0 ||
	    established != __atomic_load_n(&bpf->pending[worker].established, __ATOMIC_ACQUIRE))
		return;
	if (pending_correct(&bpf->pending[worker], established, accepted, queued) && bpf->flow)
		atomic_fetch_add(&bpf->pending_fixed, 1);
}

/*
 * Nothing was established or accepted between two ticks, so what the counts
 * say is waiting must be what the listeners hold. Without sockops nothing is
 * counted as established, and this alone tells that a parked worker is hung.
 */
void pending_tick(struct weir_bpf *bpf)
{
	uint32_t i;

	for (i = 0; i < bpf->opts.workers; i++)
		pending_check(bpf, i);
}

/*
 * What was counted and never accepted is in the listeners' queues, or went with
 * the process that had them. Before anybody rescues, or with the listeners held.
 */
void pending_settle(struct weir_bpf *bpf)
{
	uint64_t accepted, established;
	uint32_t i;
	int queued;

	for (i = 0; i < bpf->opts.workers; i++) {
		queued = queues_add_up(&bpf->members[i]);
		if (queued < 0)
			continue;
		established = __atomic_load_n(&bpf->pending[i].established, __ATOMIC_ACQUIRE);
		accepted = __atomic_load_n(&bpf->rows[i].accepted, __ATOMIC_ACQUIRE);
		pending_correct(&bpf->pending[i], established, accepted, queued);
	}
}
