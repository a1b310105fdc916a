/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_SERVE_XDP_H
#define WEIR_TOOLS_SERVE_XDP_H

/* weir serve udp-echo --xdp: datagrams of one interface by AF_XDP sockets. */

#include <weir/xdp.h>

#include "json.h"
#include "steer.h"

/*
 * serve_xdp_parse() - "IFACE" or "IFACE:native|generic"
 * @ifname: IFNAMSIZ bytes
 * @want: enum weir_xdp_want
 * Return: 0 or -EINVAL.
 */
int serve_xdp_parse(const char *text, char *ifname, uint32_t *want);

/*
 * serve_xdp_open() - attach to the interface, for the instance of @steer
 *
 * The program goes with the instance. What it is goes to @steer->xdp.
 *
 * Return: 0, or an exit status after a message.
 */
int serve_xdp_open(struct weir_dgram_carrier **carrierp, struct steer *steer, const char *text);

/* serve_xdp_json() - the carrier's counters */
void serve_xdp_json(struct json *j, const struct weir_dgram_carrier *carrier);

#endif /* WEIR_TOOLS_SERVE_XDP_H */
