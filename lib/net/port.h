/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * port.h - a socket of a listener, bound to a port
 */
#ifndef NET_PORT_H
#define NET_PORT_H

#include <stdbool.h>

#include <weir/addr.h>
#include <weir/loop.h>

/* port_bind() - a new one. Return: its descriptor, with @addr as it is now, or -errno */
int port_bind(struct weir_loop *loop, struct weir_addr *addr, bool reuseport);

/*
 * port_take() - a second descriptor of @given, which is bound already, and listens if
 * that is @wanted. Return: that descriptor, with its @addr, or -errno
 */
int port_take(struct weir_loop *loop, struct weir_addr *addr, int given, bool wanted);

#endif /* NET_PORT_H */
