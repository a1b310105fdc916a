// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_opt.c - options of the in-memory kernel's sockets
 *
 * What is set can be read back. Few of them change anything here: there are no
 * segments, no routes and no other hosts. An accepted socket has the options of
 * its listener.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "io/sim.h"

enum option_kind {
	OPTION_INT,
	OPTION_FLAG,		/* reads back as 0 or 1 */
	OPTION_BYTES,		/* reads back as twice that: socket(7) */
};

/* The place of a row is its place in sim_obj.options. */
static const struct {
	int level;
	int name;
	enum option_kind kind;
} options[] = {
	[SIM_REUSEADDR]		= { SOL_SOCKET, SO_REUSEADDR, OPTION_FLAG },
	[SIM_REUSEPORT]		= { SOL_SOCKET, SO_REUSEPORT, OPTION_FLAG },
	[SIM_V6ONLY]		= { IPPROTO_IPV6, IPV6_V6ONLY, OPTION_FLAG },
	[SIM_PASSCRED]		= { SOL_SOCKET, SO_PASSCRED, OPTION_FLAG },
	[SIM_TIMESTAMPNS]	= { SOL_SOCKET, SO_TIMESTAMPNS, OPTION_FLAG },
	[SIM_TIMESTAMPING]	= { SOL_SOCKET, SO_TIMESTAMPING, OPTION_INT },
	[SIM_UDP_GRO]		= { IPPROTO_UDP, UDP_GRO, OPTION_FLAG },
	[SIM_UDP_SEGMENT]	= { IPPROTO_UDP, UDP_SEGMENT, OPTION_INT },
	[SIM_OPTION_OTHERS]	= { SOL_SOCKET, SO_KEEPALIVE, OPTION_FLAG },
	{ SOL_SOCKET, SO_RCVBUF, OPTION_BYTES },
	{ SOL_SOCKET, SO_SNDBUF, OPTION_BYTES },
	{ SOL_SOCKET, SO_RCVLOWAT, OPTION_INT },
	{ SOL_SOCKET, SO_BROADCAST, OPTION_FLAG },
	{ SOL_SOCKET, SO_PRIORITY, OPTION_INT },
	{ SOL_SOCKET, SO_INCOMING_CPU, OPTION_INT },
	{ SOL_SOCKET, SO_BUSY_POLL, OPTION_INT },
	{ IPPROTO_TCP, TCP_NODELAY, OPTION_FLAG },
	{ IPPROTO_TCP, TCP_CORK, OPTION_FLAG },
	{ IPPROTO_TCP, TCP_QUICKACK, OPTION_FLAG },
	{ IPPROTO_TCP, TCP_KEEPIDLE, OPTION_INT },
	{ IPPROTO_TCP, TCP_KEEPINTVL, OPTION_INT },
	{ IPPROTO_TCP, TCP_KEEPCNT, OPTION_INT },
	{ IPPROTO_TCP, TCP_USER_TIMEOUT, OPTION_INT },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT, OPTION_INT },
	{ IPPROTO_TCP, TCP_NOTSENT_LOWAT, OPTION_INT },
	{ IPPROTO_TCP, TCP_FASTOPEN, OPTION_INT },
	{ IPPROTO_IP, IP_TOS, OPTION_INT },
	{ IPPROTO_IP, IP_TTL, OPTION_INT },
	{ IPPROTO_IPV6, IPV6_TCLASS, OPTION_INT },
};

_Static_assert(ARRAY_SIZE(options) <= SIM_OPTIONS_MAX, "a place for each option");

/* Is there such a level for this kind of socket? */
static bool level_fits(const struct sim_obj *obj, int level)
{
	switch (level) {
	case SOL_SOCKET:
		return true;
	case IPPROTO_TCP:
		return !obj->dgram && obj->local.family != AF_UNIX;
	case IPPROTO_UDP:
		return obj->dgram && obj->local.family != AF_UNIX;
	case IPPROTO_IPV6:
		return obj->local.family == AF_INET6;
	default:
		return obj->local.family != AF_UNIX;
	}
}

static int option_find(const struct sim_obj *obj, int level, int name)
{
	size_t i;

	if (!level_fits(obj, level))
		return -EOPNOTSUPP;
	for (i = 0; i < ARRAY_SIZE(options); i++) {
		if (options[i].level == level && options[i].name == name)
			return (int)i;
	}
	return -ENOPROTOOPT;
}

static int set_linger(struct sim_obj *obj, const void *value, uint32_t len)
{
	if (len < sizeof(obj->linger))
		return -EINVAL;
	memcpy(&obj->linger, value, sizeof(obj->linger));
	return 0;
}

int sim_setsockopt(struct weir_loop *loop, int fd, int level, int name,
		   const void *value, uint32_t len)
{
	struct sim_obj *obj;
	int32_t number;
	int at, err;

	err = sim_socket_of(sim_of(loop), fd, &obj);
	if (err)
		return err;
	if (level == SOL_SOCKET && name == SO_LINGER)
		return set_linger(obj, value, len);
	at = option_find(obj, level, name);
	if (at < 0)
		return at;
	if (len < sizeof(number) || (at == SIM_V6ONLY && obj->named))
		return -EINVAL;
	memcpy(&number, value, sizeof(number));
	if (options[at].kind == OPTION_FLAG)
		number = !!number;
	if (options[at].kind == OPTION_BYTES)
		number = number > INT32_MAX / 2 ? INT32_MAX : 2 * number;
	obj->options[at] = number;
	return 0;
}

static int type_of(struct sim_obj *obj)
{
	return obj->dgram ? SOCK_DGRAM : SOCK_STREAM;
}

static int family_of(struct sim_obj *obj)
{
	return obj->local.family;
}

static int protocol_of(struct sim_obj *obj)
{
	if (obj->local.family == AF_UNIX)
		return 0;
	return obj->dgram ? IPPROTO_UDP : IPPROTO_TCP;
}

static int listens(struct sim_obj *obj)
{
	return obj->state == SIM_LISTEN;
}

static int error_of(struct sim_obj *obj)
{
	return -sim_take_err(obj);
}

/* Options of SOL_SOCKET that can only be read. */
static const struct {
	int name;
	int (*get)(struct sim_obj *obj);
} states[] = {
	{ SO_ERROR, error_of },
	{ SO_TYPE, type_of },
	{ SO_DOMAIN, family_of },
	{ SO_PROTOCOL, protocol_of },
	{ SO_ACCEPTCONN, listens },
};

static int give(void *value, uint32_t *len, const void *from, uint32_t size)
{
	*len = min_u32(*len, size);
	memcpy(value, from, *len);
	return 0;
}

static int get_cookie(const struct sim_obj *obj, void *value, uint32_t *len)
{
	return *len < sizeof(obj->cookie) ? -EINVAL :
	       give(value, len, &obj->cookie, sizeof(obj->cookie));
}

int sim_getsockopt(struct weir_loop *loop, int fd, int level, int name, void *value,
		   uint32_t *len)
{
	struct sim_obj *obj;
	int32_t number;
	int at, err;
	size_t i;

	err = sim_socket_of(sim_of(loop), fd, &obj);
	if (err)
		return err;
	if (level == SOL_SOCKET && name == SO_COOKIE)
		return get_cookie(obj, value, len);
	if (level == SOL_SOCKET && name == SO_LINGER)
		return give(value, len, &obj->linger, sizeof(obj->linger));
	for (i = 0; i < ARRAY_SIZE(states) && level == SOL_SOCKET; i++) {
		if (states[i].name != name)
			continue;
		number = states[i].get(obj);
		return give(value, len, &number, sizeof(number));
	}
	at = option_find(obj, level, name);
	if (at < 0)
		return at;
	return give(value, len, &obj->options[at], sizeof(obj->options[at]));
}
