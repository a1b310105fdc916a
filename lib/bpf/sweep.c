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

#define SWEEP_MAX	256	/* flows looked at in one tick */

int sock_diag_open(void)
{
	struct timeval limit = { .tv_sec = 1 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
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
	};
	union {
		struct nlmsghdr head;
		char bytes[4096];
	} answer;
	const struct nlmsgerr *error;
	ssize_t len;

	diag_fill(&ask.req, cookie, flow);
	if (send(diag_fd, &ask, sizeof(ask), 0) != sizeof(ask))
		return -errno;
	len = recv(diag_fd, &answer, sizeof(answer), 0);
	if (len < 0)
		return -errno;
	if ((size_t)len < NLMSG_LENGTH(sizeof(*error)) || answer.head.nlmsg_type != NLMSG_ERROR)
		return 0;
	error = NLMSG_DATA(&answer.head);
	if (error->error == -ENOENT || error->error == -ESTALE)
		return 1;
	return error->error;
}

static void sweep_one(struct weir_bpf *bpf, uint64_t cookie, uint64_t now)
{
	struct weir_flow flow;

	if (bpf_map_lookup_elem(bpf->flow_fd, &cookie, &flow))
		return;
	if (now < flow.updated_ns || now - flow.updated_ns < bpf->cfg->flow_age_ns)
		return;
	if (bpf->diag_fd < 0)
		bpf->diag_fd = sock_diag_open();
	if (bpf->diag_fd >= 0 && sock_gone(bpf->diag_fd, cookie, &flow) == 0)
		return;
	if (!bpf_map_delete_elem(bpf->flow_fd, &cookie))
		atomic_fetch_add(&bpf->flows_swept, 1);
}

/* Goes on where the last tick stopped; a cookie that went meanwhile restarts it. */
void sweep_tick(struct weir_bpf *bpf, uint64_t now)
{
	uint64_t cookie = bpf->sweep_cookie, next;
	unsigned int i;

	for (i = 0; i < SWEEP_MAX; i++) {
		if (bpf_map_get_next_key(bpf->flow_fd, cookie ? &cookie : NULL, &next)) {
			cookie = 0;
			break;
		}
		cookie = next;
		sweep_one(bpf, cookie, now);
	}
	bpf->sweep_cookie = cookie;
}

/* Connections in the accept queues of a worker, or -errno. */
static int queue_length(const struct member *member)
{
	struct tcp_info info;
	int v6, fd, total = 0;
	socklen_t len;

	for (v6 = 0; v6 < 2; v6++) {
		fd = member->fd[v6];
		if (fd < 0)
			continue;
		len = sizeof(info);
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
			return -errno;
		if (info.tcpi_state != TCP_LISTEN)
			return -EINVAL;
		total += info.tcpi_unacked;
	}
	return total;
}

static void pending_check(struct weir_bpf *bpf, uint32_t worker)
{
	uint64_t accepted = __atomic_load_n(&bpf->rows[worker].accepted, __ATOMIC_ACQUIRE);
	uint64_t established = __atomic_load_n(&bpf->pending[worker].established,
					       __ATOMIC_ACQUIRE);
	struct member *member = &bpf->members[worker];
	int64_t unaccepted;
	int queued;

	if (established != member->established_seen || accepted != member->accepted_seen) {
		member->established_seen = established;
		member->accepted_seen = accepted;
		return;
	}
	queued = queue_length(member);
	if (queued < 0 ||
	    established != __atomic_load_n(&bpf->pending[worker].established, __ATOMIC_ACQUIRE))
		return;
	unaccepted = (int64_t)(established - accepted) - queued;
	if (unaccepted == bpf->pending[worker].unaccepted)
		return;
	__atomic_store_n(&bpf->pending[worker].unaccepted, unaccepted, __ATOMIC_RELAXED);
	atomic_fetch_add(&bpf->pending_fixed, 1);
}

/*
 * Nothing was established or accepted between two ticks, so what the counts
 * say is waiting must be what the listeners hold.
 */
void pending_tick(struct weir_bpf *bpf)
{
	uint32_t i;

	for (i = 0; i < bpf->opts.workers; i++)
		pending_check(bpf, i);
}
