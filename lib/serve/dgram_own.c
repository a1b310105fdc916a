// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dgram_own.c - which address of ours a datagram was sent to, and leaves from:
 * ip(7), RFC 3542
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "io/backend.h"
#include "serve/dgram_udp.h"

_Static_assert(CMSG_SPACE(sizeof(struct in6_pktinfo)) <= OWN_SPACE &&
	       CMSG_SPACE(sizeof(struct in_pktinfo)) <= OWN_SPACE, "room for either");

/*
 * A network that is this host's by a route alone is nobody's address: IPv4 sends from
 * there all the same, IPv6 where that is asked for.
 */
bool udp_own_open(struct udp *udp, int fd)
{
	const struct io_sys *sys = udp->worker->loop->sys;
	bool v6 = udp->worker->service->addr.ss.ss_family == AF_INET6;
	struct weir_loop *loop = udp->worker->loop;
	int on = 1;

	if (!v6)
		return !sys->setsockopt(loop, fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	return !sys->setsockopt(loop, fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) &&
	       !sys->setsockopt(loop, fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on));
}

/* Of a broadcast the kernel tells the address that would answer. */
static void own_set4(struct weir_addr *own, const struct in_pktinfo *info)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&own->ss;

	in->sin_family = AF_INET;
	in->sin_addr = info->ipi_spec_dst;
	own->len = sizeof(*in);
}

/* Of a multicast it does not. */
static void own_set6(struct weir_addr *own, const struct in6_pktinfo *info)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&own->ss;

	if (IN6_IS_ADDR_MULTICAST(&info->ipi6_addr))
		return;
	in6->sin6_family = AF_INET6;
	in6->sin6_addr = info->ipi6_addr;
	if (IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
		in6->sin6_scope_id = info->ipi6_ifindex;
	own->len = sizeof(*in6);
}

void udp_own_read(const struct weir_msg *msg, struct weir_addr *own)
{
	struct weir_cmsg cmsg = { 0 };
	struct in6_pktinfo info6;
	struct in_pktinfo info;

	memset(own, 0, sizeof(*own));
	while (!own->len && weir_msg_next(msg, &cmsg)) {
		if (cmsg.level == IPPROTO_IP && cmsg.type == IP_PKTINFO &&
		    cmsg.len >= sizeof(info)) {
			memcpy(&info, cmsg.data, sizeof(info));
			own_set4(own, &info);
		} else if (cmsg.level == IPPROTO_IPV6 && cmsg.type == IPV6_PKTINFO &&
			   cmsg.len >= sizeof(info6)) {
			memcpy(&info6, cmsg.data, sizeof(info6));
			own_set6(own, &info6);
			return;
		}
	}
}

int udp_own_put(struct msghdr *msg, size_t room, const struct weir_addr *own)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&own->ss;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&own->ss;
	struct in6_pktinfo info6 = { .ipi6_addr = in6->sin6_addr };
	struct in_pktinfo info = { .ipi_spec_dst = in->sin_addr };

	if (!own->len)
		return 0;
	if (own->ss.ss_family == AF_INET)
		return weir_msg_put(msg, room, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
		info6.ipi6_ifindex = in6->sin6_scope_id;
	return weir_msg_put(msg, room, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof(info6));
}
