// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * option.c - options of sockets: one table
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <weir/option.h>

#include "base/base.h"

static const struct {
	const char *name;
	int level;
	int number;
} options[] = {
	[WEIR_OPTION_REUSEADDR]		= { "reuseaddr", SOL_SOCKET, SO_REUSEADDR },
	[WEIR_OPTION_REUSEPORT]		= { "reuseport", SOL_SOCKET, SO_REUSEPORT },
	[WEIR_OPTION_KEEPALIVE]		= { "keepalive", SOL_SOCKET, SO_KEEPALIVE },
	[WEIR_OPTION_BROADCAST]		= { "broadcast", SOL_SOCKET, SO_BROADCAST },
	[WEIR_OPTION_RCVBUF]		= { "rcvbuf", SOL_SOCKET, SO_RCVBUF },
	[WEIR_OPTION_SNDBUF]		= { "sndbuf", SOL_SOCKET, SO_SNDBUF },
	[WEIR_OPTION_INCOMING_CPU]	= { "incoming_cpu", SOL_SOCKET, SO_INCOMING_CPU },
	[WEIR_OPTION_TIMESTAMPNS]	= { "timestampns", SOL_SOCKET, SO_TIMESTAMPNS },
	[WEIR_OPTION_PASSCRED]		= { "passcred", SOL_SOCKET, SO_PASSCRED },
	[WEIR_OPTION_NODELAY]		= { "nodelay", IPPROTO_TCP, TCP_NODELAY },
	[WEIR_OPTION_CORK]		= { "cork", IPPROTO_TCP, TCP_CORK },
	[WEIR_OPTION_QUICKACK]		= { "quickack", IPPROTO_TCP, TCP_QUICKACK },
	[WEIR_OPTION_KEEPIDLE]		= { "keepidle", IPPROTO_TCP, TCP_KEEPIDLE },
	[WEIR_OPTION_KEEPINTVL]		= { "keepintvl", IPPROTO_TCP, TCP_KEEPINTVL },
	[WEIR_OPTION_KEEPCNT]		= { "keepcnt", IPPROTO_TCP, TCP_KEEPCNT },
	[WEIR_OPTION_USER_TIMEOUT]	= { "user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT },
	[WEIR_OPTION_V6ONLY]		= { "v6only", IPPROTO_IPV6, IPV6_V6ONLY },
	[WEIR_OPTION_UDP_GRO]		= { "udp_gro", IPPROTO_UDP, UDP_GRO },
};

_Static_assert(ARRAY_SIZE(options) == WEIR_OPTION_MAX, "one row per option");

/* What is wrong with an op is told by its terminal event: no op has such flags. */
static bool refuse(struct weir_op *op, unsigned int option)
{
	if (option < WEIR_OPTION_MAX)
		return false;
	op->flags = UINT8_MAX;
	return true;
}

void weir_prep_set_option(struct weir_op *op, struct weir_file file, unsigned int option,
			  const int *value, weir_done_fn *done, void *ctx)
{
	weir_prep_setsockopt(op, file, 0, 0, value, sizeof(*value), done, ctx);
	if (refuse(op, option))
		return;
	op->sockopt.level = options[option].level;
	op->sockopt.name = options[option].number;
}

void weir_prep_get_option(struct weir_op *op, struct weir_file file, unsigned int option,
			  int *value, weir_done_fn *done, void *ctx)
{
	weir_prep_getsockopt(op, file, 0, 0, value, sizeof(*value), done, ctx);
	if (refuse(op, option))
		return;
	op->sockopt.level = options[option].level;
	op->sockopt.name = options[option].number;
}

const char *weir_option_name(unsigned int option)
{
	return option < WEIR_OPTION_MAX ? options[option].name : "?";
}
