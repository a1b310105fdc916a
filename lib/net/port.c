// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * port.c - a socket of a listener, bound to a port: a new one, or the caller's
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "io/backend.h"
#include "net/port.h"

enum { PORT_TRIES = 16 };

static int set_options(struct weir_loop *loop, int fd, bool reuseport)
{
	static const struct {
		int level, name;
	} options[] = {
		{ SOL_SOCKET, SO_REUSEADDR },
		{ IPPROTO_TCP, TCP_NODELAY },
		{ SOL_SOCKET, SO_REUSEPORT },
	};
	size_t n = ARRAY_SIZE(options) - !reuseport;
	int on = 1, err = 0;
	size_t i;

	for (i = 0; i < n && !err; i++)
		err = loop->sys->setsockopt(loop, fd, options[i].level, options[i].name, &on,
					    sizeof(on));
	return err;
}

/* A socket bound to @addr, which may be told the port it got. */
static int bind_socket(struct weir_loop *loop, struct weir_addr *addr, bool reuseport)
{
	int fd, err;

	fd = loop->sys->socket(loop, addr->ss.ss_family, SOCK_STREAM, 0);
	if (fd < 0)
		return fd;
	err = set_options(loop, fd, reuseport);
	if (!err)
		err = loop->sys->bind(loop, fd, (const struct sockaddr *)&addr->ss, addr->len);
	if (!err)
		err = loop->sys->getsockname(loop, fd, (struct sockaddr *)&addr->ss, &addr->len);
	if (!err)
		return fd;
	loop->sys->close(loop, fd);
	return err;
}

static bool port_is_zero(const struct weir_addr *addr)
{
	/* The port lies at the same place in both families. */
	return !((const struct sockaddr_in *)&addr->ss)->sin_port;
}

/*
 * Bound to an explicit port, always: one that the kernel chose is lost on
 * shutdown and listen. Another may take the port in between: then once more.
 */
int port_bind(struct weir_loop *loop, struct weir_addr *addr, bool reuseport)
{
	struct weir_addr found;
	int tries, fd;

	if (!port_is_zero(addr))
		return bind_socket(loop, addr, reuseport);
	for (tries = 0; tries < PORT_TRIES; tries++) {
		found = *addr;
		fd = bind_socket(loop, &found, false);
		if (fd < 0)
			return fd;
		loop->sys->close(loop, fd);
		fd = bind_socket(loop, &found, reuseport);
		if (fd != -EADDRINUSE) {
			*addr = found;
			return fd;
		}
	}
	return -EADDRINUSE;
}

/* One of the caller's, that is bound already, and if so wanted listens. */
int port_take(struct weir_loop *loop, struct weir_addr *addr, int given, bool wanted)
{
	socklen_t len = sizeof(int);
	int listens, fd, err = 0;

	if (loop->sys != &io_sys_linux)
		return -EOPNOTSUPP;
	addr->len = sizeof(addr->ss);
	if (getsockopt(given, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) ||
	    getsockname(given, (struct sockaddr *)&addr->ss, &addr->len))
		err = -errno;
	else if (addr->ss.ss_family != AF_INET && addr->ss.ss_family != AF_INET6)
		err = -EAFNOSUPPORT;
	else if ((wanted && !listens) || port_is_zero(addr))
		err = -EINVAL;
	if (err)
		return err == -ENOTSOCK ? -EINVAL : err;
	fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}
