/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_STEER_VIP_H
#define WEIR_TOOLS_STEER_VIP_H

#include "steer_cmd.h"

#define VIPS_MAX	1024	/* networks that an instance of weir serve has room for */

/* vip_run() - weir steer vip INSTANCE list|add|del [NET[:PORTS]...]. Return: exit status. */
int vip_run(const struct steer_call *call);

/*
 * vips_check() - is @list what --vip takes: networks by commas, or - for none?
 * @port: the service's; 0: not known yet
 * @udp: it is of datagrams, which are answered from that port alone
 *
 * Return: 0, or 2 when it was told what is wrong.
 */
int vips_check(const struct command *cmd, const char *list, uint16_t port, bool udp);

/*
 * vips_add() - let @instance answer on all of @list
 *
 * What it has already, since it goes on with what was pinned, is no error.
 * Return: 0, or 1 when it was told why not.
 */
int vips_add(const char *instance, const char *list, uint16_t port);

#endif /* WEIR_TOOLS_STEER_VIP_H */
