/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sim_util.h - sockets of a simulated kernel, made the way lib/net makes them
 */
#ifndef SIM_UTIL_H
#define SIM_UTIL_H

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "io/backend.h"

/* A descriptor of loop->sys as a file of the loop; any failure ends the test. */
static inline struct weir_file sim_file_of(struct weir_loop *loop, int fd)
{
	struct weir_file file;

	if (fd < 0 || io_file_new(loop, fd, &file) || loop->backend->adopt(loop, file.index, fd))
		abort();
	return file;
}

static inline struct sockaddr_in sim_loopback(uint16_t port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};

	return addr;
}

/* A listener on a port of the kernel's choice; @addr says which. */
static inline struct weir_file sim_listen_on(struct weir_loop *loop, struct sockaddr_in *addr,
					     int backlog)
{
	int fd = loop->sys->socket(loop, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	uint32_t len = sizeof(*addr);

	*addr = sim_loopback(0);
	if (fd < 0 || loop->sys->bind(loop, fd, (struct sockaddr *)addr, sizeof(*addr)) ||
	    loop->sys->listen(loop, fd, backlog) ||
	    loop->sys->getsockname(loop, fd, (struct sockaddr *)addr, &len))
		abort();
	return sim_file_of(loop, fd);
}

#endif /* SIM_UTIL_H */
