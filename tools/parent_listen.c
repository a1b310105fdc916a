// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* parent_listen.c - listeners of workers that are processes: made, or a predecessor's */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "parent.h"

/* The options of lib/net/port.c; a port that is explicit (it outlives a rescue). */
static int listener_open(struct weir_addr *addr, int reuseport, int backlog)
{
	struct sockaddr *sa = (struct sockaddr *)&addr->ss;
	int fd, on = 1, err;

	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    (reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))) ||
	    bind(fd, sa, addr->len) || getsockname(fd, sa, &addr->len) ||
	    (backlog && listen(fd, backlog))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static bool listens(int fd)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) && value;
}

static int join(struct processes *all, unsigned int worker)
{
	struct weir_steering *st = all->opts->steering;

	return st->ops->join(st, worker, all->children[worker].listener);
}

/* Without SO_REUSEPORT at first: no stranger may share the port, and one is found. */
static int open_new(struct processes *all)
{
	const struct processes_opts *opts = all->opts;
	struct weir_steering *st = opts->steering;
	unsigned int i;
	int fd, err;

	fd = listener_open(opts->addr, 0, 0);
	if (fd < 0)
		return fd;
	close(fd);
	for (i = 0; i < opts->workers; i++) {
		fd = listener_open(opts->addr, 1, opts->backlog);
		if (fd < 0)
			return fd;
		all->children[i].listener = fd;
		err = join(all, i);
		if (err)
			return err;
	}
	return st->ops->seal(st);
}

/* What is missing is bound; it listens when the predecessor has yielded. */
static int take(struct processes *all, const int *given, unsigned int count)
{
	struct weir_addr *addr = all->opts->addr;
	struct child *child;
	unsigned int i;
	int err = 0;

	addr->len = sizeof(addr->ss);
	if (getsockname(given[0], (struct sockaddr *)(void *)&addr->ss, &addr->len))
		return -errno;
	for (i = 0; i < all->opts->workers && !err; i++) {
		child = &all->children[i];
		child->listener = i < count ? fcntl(given[i], F_DUPFD_CLOEXEC, 0) :
					      listener_open(addr, 1, 0);
		if (child->listener < 0)
			return i < count ? -errno : child->listener;
		child->later = !listens(child->listener);
		err = child->later ? 0 : join(all, i);
	}
	return err;
}

static int listen_later(struct processes *all, unsigned int count)
{
	struct child *child;
	unsigned int i;
	int err = 0;

	for (i = 0; i < all->opts->workers && !err; i++) {
		child = &all->children[i];
		if (!child->later)
			continue;
		if (!listens(child->listener)) {
			if (listen(child->listener, all->opts->backlog))
				return -errno;
			child->revived = i < count;
		}
		err = join(all, i);
	}
	return err;
}

int listeners_open(struct processes *all)
{
	struct weir_takeover *takeover = *all->opts->takeover;
	struct weir_steering *st = all->opts->steering;
	unsigned int count, hung = 0;
	const int *given;
	int err;

	if (!takeover)
		return open_new(all);
	given = weir_takeover_listeners(takeover, &count);
	err = take(all, given, count);
	if (!err)
		err = weir_takeover_begin(takeover, st, all->opts->workers, &hung);
	if (!err)
		err = listen_later(all, count);
	all->shared = hung;
	return err ? err : st->ops->seal(st);
}

/* Nothing is moved any more; with the child's own each of them is closed. */
void listeners_close(struct processes *all)
{
	struct weir_steering *st = all->opts->steering;
	unsigned int i;

	for (i = 0; i < all->opts->workers; i++) {
		if (all->children[i].listener < 0)
			continue;
		st->ops->leave(st, i);
		close(all->children[i].listener);
		all->children[i].listener = -1;
	}
}

void listeners_back(struct processes *all)
{
	struct weir_steering *st = all->opts->steering;
	unsigned int i;

	for (i = 0; i < all->opts->workers; i++)
		if (all->children[i].revived)
			shutdown(all->children[i].listener, SHUT_RDWR);
	if (*all->opts->takeover && st->ops->adopted(st))
		(void)st->ops->yield(st, 1);	/* it fails for want of memory alone */
}
