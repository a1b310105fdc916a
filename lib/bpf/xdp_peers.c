// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xdp_peers.c - who sent frames, in a table with one place for each hash
 *
 * Who has lost his place to another, or was silent for long, is not known: the kernel
 * is asked for the way to him instead.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "bpf/xdp.h"
#include "bpf/xdp_peers.h"

#include "base/base.h"

#define PEER_NS	(30 * NSEC_PER_SEC)
#define MAPPED	htonl(0xffff)

/* An address and a port as they are on the wire. */
struct end {
	uint32_t ip[4];
	uint16_t port;
	bool v6;
};

/* A service on any address of IPv6 has those of IPv4, too. */
int peers_open(struct peers *peers, struct weir_xdp *xdp, const struct weir_addr *addr)
{
	struct weir_addr any;
	int err;

	peers->ifindex = (uint32_t)xdp->ifindex;
	peers->v6 = addr->ss.ss_family == AF_INET6;
	err = weir_xdp_port_add(xdp, addr, IPPROTO_UDP);
	if (err || !peers->v6 ||
	    !IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&addr->ss)->sin6_addr))
		return err;
	err = weir_addr_parse(&any, "0.0.0.0:0");
	if (!err)
		err = weir_addr_set_port(&any, (uint16_t)weir_addr_port(addr));
	return err ?: weir_xdp_port_add(xdp, &any, IPPROTO_UDP);
}

static bool is_mapped(const uint32_t ip[4])
{
	return !ip[0] && !ip[1] && ip[2] == MAPPED;
}

static int end_of(const struct weir_addr *addr, struct end *end)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->ss;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->ss;

	memset(end, 0, sizeof(*end));
	if (addr->ss.ss_family == AF_INET) {
		end->port = in->sin_port;
		end->ip[0] = in->sin_addr.s_addr;
		return 0;
	}
	if (addr->ss.ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	end->port = in6->sin6_port;
	memcpy(end->ip, &in6->sin6_addr, sizeof(end->ip));
	end->v6 = !is_mapped(end->ip);
	if (!end->v6) {
		end->ip[0] = end->ip[3];
		memset(&end->ip[1], 0, 3 * sizeof(uint32_t));
	}
	return 0;
}

static void addr_of(const struct peers *peers, const struct end *end, struct weir_addr *addr)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr->ss;
	struct sockaddr_in *in = (struct sockaddr_in *)&addr->ss;

	memset(addr, 0, sizeof(*addr));
	if (!peers->v6) {
		in->sin_family = AF_INET;
		in->sin_port = end->port;
		in->sin_addr.s_addr = end->ip[0];
		addr->len = sizeof(*in);
		return;
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = end->port;
	addr->len = sizeof(*in6);
	if (!end->v6) {
		in6->sin6_addr.s6_addr32[2] = MAPPED;
		in6->sin6_addr.s6_addr32[3] = end->ip[0];
		return;
	}
	memcpy(&in6->sin6_addr, end->ip, sizeof(in6->sin6_addr));
	if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr))
		in6->sin6_scope_id = peers->ifindex;
}

void peers_addr(const struct peers *peers, const struct frame_ends *ends, struct weir_addr *addr)
{
	struct end end = { .port = ends->peer_port, .v6 = ends->v6 };

	memcpy(end.ip, ends->peer_ip, sizeof(end.ip));
	addr_of(peers, &end, addr);
}

/* Like that of a socket's datagram, which does not tell the port. */
void peers_own(const struct peers *peers, const struct frame_ends *ends, struct weir_addr *addr)
{
	struct end end = { .v6 = ends->v6 };

	memcpy(end.ip, ends->own_ip, sizeof(end.ip));
	addr_of(peers, &end, addr);
}

int peers_from(struct frame_ends *ends, const struct weir_addr *own)
{
	struct end end;

	if (end_of(own, &end) || end.v6 != ends->v6)
		return -EINVAL;
	memcpy(ends->own_ip, end.ip, sizeof(ends->own_ip));
	return 0;
}

static struct peer *place_of(struct peers *peers, const uint32_t ip[4], uint16_t port)
{
	uint64_t hash = port;
	size_t i;

	for (i = 0; i < 4; i++)
		hash = (hash ^ ip[i]) * 0x9e3779b97f4a7c15ULL;
	return &peers->place[(hash >> 32) % PEERS];
}

void peers_heard(struct peers *peers, const struct frame_ends *ends, uint64_t now_ns)
{
	struct peer *peer = place_of(peers, ends->peer_ip, ends->peer_port);

	peer->ends = *ends;
	peer->seen_ns = now_ns;
}

const struct frame_ends *peers_find(struct peers *peers, const struct weir_addr *addr,
				    uint64_t now_ns)
{
	struct peer *peer;
	struct end end;

	if (end_of(addr, &end))
		return NULL;
	peer = place_of(peers, end.ip, end.port);
	if (!peer->seen_ns || now_ns - peer->seen_ns > PEER_NS || peer->ends.v6 != end.v6 ||
	    peer->ends.peer_port != end.port ||
	    memcmp(peer->ends.peer_ip, end.ip, sizeof(end.ip)))
		return NULL;
	return &peer->ends;
}
