// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_nest.c - the descriptor by which another loop waits for a ring
 *
 * The ring's own will not do: with DEFER_TASKRUN who sleeps in poll(2) on it is
 * not woken for completions that wait to be run (seen on 6.18; io_uring_poll()
 * knows of them only when it is asked). The ring's eventfd is told of those too.
 * It is not told at once of what a wake brings, because an eventfd does not
 * signal another one but after a grace period of RCU: so the wake descriptor is
 * waited for as well.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/uring.h"

static int set_open(int first, int second)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd, err;

	fd = epoll_create1(EPOLL_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!epoll_ctl(fd, EPOLL_CTL_ADD, first, &event) &&
	    !epoll_ctl(fd, EPOLL_CTL_ADD, second, &event))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

int uring_fd(const struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);
	int err;

	if (loop->nested)
		return u->nest_fd;
	u->told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->told_fd < 0)
		return -errno;
	u->nest_fd = set_open(u->told_fd, loop->wake_fd);
	if (u->nest_fd < 0) {
		err = u->nest_fd;
		goto close_told;
	}
	err = io_uring_register_eventfd(&u->ring, u->told_fd);
	if (err)
		goto close_nest;
	return u->nest_fd;

close_nest:
	close(u->nest_fd);
close_told:
	close(u->told_fd);
	return err;
}

void uring_nest_close(struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);

	if (!loop->nested)
		return;
	close(u->nest_fd);
	close(u->told_fd);
}

void uring_nest_clear(struct weir_loop *loop)
{
	eventfd_t count;

	eventfd_read(uring_of(loop)->told_fd, &count);
}

/*
 * What came since the kernel was entered may have been told before the clearing,
 * and of more than it runs at a time it tells once: so the descriptor is made to
 * show what the ring itself knows of.
 */
bool uring_pending(const struct weir_loop *loop)
{
	const struct uring *u = uring_of(loop);
	struct pollfd pfd = { .fd = u->ring.ring_fd, .events = POLLIN };

	if (poll(&pfd, 1, 0) > 0)
		eventfd_write(u->told_fd, 1);
	return false;
}
