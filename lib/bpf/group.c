// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * group.c - the listeners of a reuseport group: alike, and nobody else's
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "bpf/instance.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE		71
#endif

#define OPTION_BYTES	32

/*
 * A connection that is moved keeps what it got from its old listener, and is
 * used by a worker that expects what its own gives: where these differ, the
 * kernel's documentation warns of crashes.
 */
static const struct {
	int level, option;
	const char *name;
} alike[] = {
#define OPTION(level, option)	{ level, option, #option }
	OPTION(SOL_SOCKET, SO_REUSEPORT),
	OPTION(SOL_SOCKET, SO_KEEPALIVE),
	OPTION(SOL_SOCKET, SO_LINGER),
	OPTION(SOL_SOCKET, SO_OOBINLINE),
	OPTION(SOL_SOCKET, SO_RCVBUF),
	OPTION(SOL_SOCKET, SO_SNDBUF),
	OPTION(SOL_SOCKET, SO_RCVLOWAT),
	OPTION(SOL_SOCKET, SO_PRIORITY),
	OPTION(SOL_SOCKET, SO_MARK),
	OPTION(SOL_SOCKET, SO_MAX_PACING_RATE),
	OPTION(SOL_SOCKET, SO_ZEROCOPY),
	OPTION(IPPROTO_TCP, TCP_NODELAY),
	OPTION(IPPROTO_TCP, TCP_MAXSEG),
	OPTION(IPPROTO_TCP, TCP_SAVE_SYN),
	OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN),
	OPTION(IPPROTO_TCP, TCP_CONGESTION),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT),
	OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT),
	OPTION(IPPROTO_TCP, TCP_WINDOW_CLAMP),
	OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
	OPTION(IPPROTO_IP, IP_TOS),
	OPTION(IPPROTO_IP, IP_TTL),
	OPTION(IPPROTO_IP, IP_TRANSPARENT),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
	OPTION(IPPROTO_IPV6, IPV6_TCLASS),
#undef OPTION
};

/* What a socket says of an option, or why it does not: a datagram has no TCP. */
struct said {
	int err;
	char bytes[OPTION_BYTES];
};

static void option_read(int fd, int level, int option, struct said *said)
{
	socklen_t len = sizeof(said->bytes);

	memset(said, 0, sizeof(*said));
	if (getsockopt(fd, level, option, said->bytes, &len))
		said->err = errno;
}

/* Where a group listens, as the kernel's socket diagnosis says it. */
struct place {
	int protocol;
	int family;
	uint16_t port_be;
	uint32_t ip[4];
	uint32_t device;
};

static int place_of(int fd, struct place *place)
{
	struct sockaddr_storage addr;
	const struct sockaddr_in *in = (const void *)&addr;
	const struct sockaddr_in6 *in6 = (const void *)&addr;
	socklen_t len = sizeof(addr), four = sizeof(int);
	int device = 0;

	memset(place, 0, sizeof(*place));
	if (getsockname(fd, (struct sockaddr *)&addr, &len) ||
	    getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &place->protocol, &four))
		return -errno;
	four = sizeof(int);
#ifdef SO_BINDTOIFINDEX
	if (getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &device, &four))
		return -errno;
#endif
	place->device = (uint32_t)device;
	place->family = addr.ss_family;
	place->port_be = in->sin_port;	/* at the same place in both families */
	if (addr.ss_family == AF_INET)
		memcpy(place->ip, &in->sin_addr, sizeof(in->sin_addr));
	else
		memcpy(place->ip, &in6->sin6_addr, sizeof(in6->sin6_addr));
	return 0;
}

/* 1 or 0: what is elsewhere is in no group with the others, and nobody could be moved there. */
static int same_place(int fd, int other)
{
	struct place one, two;
	int err = place_of(fd, &one);

	if (!err)
		err = place_of(other, &two);
	return err ? err : !memcmp(&one, &two, sizeof(one));
}

int group_alike(const struct weir_bpf *bpf, int fd, int other)
{
	struct said one, two;
	int same;
	size_t i;

	/* A socket of datagrams that waits for its successor says where its peer is. */
	same = bpf->dgram ? 1 : same_place(fd, other);
	if (same <= 0) {
		bpf_log(bpf, WEIR_LOG_ERROR, "bpf: instance %s: listeners are not at the same "
			"address", bpf->name);
		return same ? same : -EINVAL;
	}
	for (i = 0; i < ARRAY_SIZE(alike); i++) {
		option_read(fd, alike[i].level, alike[i].option, &one);
		option_read(other, alike[i].level, alike[i].option, &two);
		if (!memcmp(&one, &two, sizeof(one)))
			continue;
		bpf_log(bpf, WEIR_LOG_ERROR, "bpf: instance %s: listeners differ in %s", bpf->name,
			alike[i].name);
		return -EINVAL;
	}
	return 0;
}

/* A listener, or for datagrams what is not connected. */
static uint32_t waiting_state(const struct place *place)
{
	return 1U << (place->protocol == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE);
}

static int strangers_ask(int diag_fd, const struct place *place)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} ask = {
		.head.nlmsg_len = sizeof(ask),
		.head.nlmsg_type = SOCK_DIAG_BY_FAMILY,
		.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.req.sdiag_family = (uint8_t)place->family,
		.req.sdiag_protocol = (uint8_t)place->protocol,
		.req.idiag_states = waiting_state(place),
		.req.id.idiag_sport = place->port_be,
	};

	return send(diag_fd, &ask, sizeof(ask), 0) == sizeof(ask) ? 0 : -errno;
}

static bool is_ours(const struct weir_bpf *bpf, uint64_t cookie, bool v6)
{
	int rep_fd = bpf->rep_fd[v6];
	socklen_t len = sizeof(uint64_t);
	uint64_t rep;
	uint32_t i;

	if (rep_fd >= 0 && !getsockopt(rep_fd, SOL_SOCKET, SO_COOKIE, &rep, &len) && rep == cookie)
		return true;
	for (i = 0; i < bpf->opts.workers; i++) {
		if (bpf->members[i].fd[v6] >= 0 && bpf->members[i].cookie[v6] == cookie)
			return true;
	}
	return false;
}

static bool is_stranger(const struct weir_bpf *bpf, const struct place *place,
			const struct inet_diag_msg *msg)
{
	const __u32 *half = msg->id.idiag_cookie;

	return msg->idiag_family == place->family && msg->id.idiag_sport == place->port_be &&
	       msg->id.idiag_if == place->device &&
	       !memcmp(msg->id.idiag_src, place->ip, sizeof(place->ip)) &&
	       !is_ours(bpf, (uint64_t)half[1] << 32 | half[0], place->family == AF_INET6);
}

/* NLMSG_NEXT(), through void: the kernel aligns what it sends. */
static const struct nlmsghdr *answer_next(const struct nlmsghdr *head, unsigned int *len)
{
	unsigned int bytes = NLMSG_ALIGN(head->nlmsg_len);

	*len -= bytes;
	return (const void *)((const char *)head + bytes);
}

/* One buffer of answers: 1 when there is a stranger, 0 for more, -ENODATA at the end. */
static int answers_look(const struct weir_bpf *bpf, const struct place *place, const char *buf,
			unsigned int len)
{
	const struct nlmsghdr *head = (const void *)buf;
	const struct nlmsgerr *error;

	for (; NLMSG_OK(head, len); head = answer_next(head, &len)) {
		if (head->nlmsg_type == NLMSG_DONE)
			return -ENODATA;
		if (head->nlmsg_type == NLMSG_ERROR) {
			error = NLMSG_DATA(head);
			return error->error ?: -EPROTO;
		}
		if (head->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)) &&
		    is_stranger(bpf, place, NLMSG_DATA(head)))
			return 1;
	}
	return 0;
}

static int strangers_look(const struct weir_bpf *bpf, int diag_fd, const struct place *place)
{
	char buf[16384] __attribute__((aligned(8)));
	ssize_t len;
	int found;

	do {
		/* The kernel fills the next part within recv(): nothing to wait for. */
		len = recv(diag_fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (len < 0)
			return -errno;
		found = answers_look(bpf, place, buf, (unsigned int)len);
	} while (!found);
	return found == -ENODATA ? 0 : found;
}

/* Diagnosis tells of its own network namespace, which need not be the listener's. */
static bool same_netns(int fd, int other)
{
	socklen_t one_len = sizeof(uint64_t), two_len = sizeof(uint64_t);
	uint64_t one, two;

	return !getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &one, &one_len) &&
	       !getsockopt(other, SOL_SOCKET, SO_NETNS_COOKIE, &two, &two_len) && one == two;
}

int group_strangers(const struct weir_bpf *bpf, int fd)
{
	struct place place;
	int diag_fd, err;

	err = place_of(fd, &place);
	if (err)
		return err;
	diag_fd = sock_diag_open();
	if (diag_fd < 0)
		return diag_fd;
	err = same_netns(fd, diag_fd) ? strangers_ask(diag_fd, &place) : -EXDEV;
	if (!err)
		err = strangers_look(bpf, diag_fd, &place);
	close(diag_fd);
	return err;
}
