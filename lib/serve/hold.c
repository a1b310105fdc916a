// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * hold.c - keep the listeners of an instance while its services come and go
 *
 * A service that starts looks for the holder and gives it its listeners; the
 * connection on which they came tells of its end. A word before the end means that
 * nothing is to be kept; an end without one is a crash.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/takeover.h>

#include "base/base.h"
#include "serve/parcel.h"

struct holder {
	const struct weir_hold_opts *opts;
	int listen_fd;
	int service_fd;		/* of the one that lives, or -1 */
	int *fds;
	unsigned int count;
	uint32_t workers;
};

static void tell(const struct holder *holder)
{
	if (holder->opts->changed)
		holder->opts->changed(holder->opts->ctx, holder->count, holder->service_fd >= 0);
}

static void drop(struct holder *holder)
{
	parcel_drop(holder->fds, holder->count);
	holder->fds = NULL;
	holder->count = 0;
}

static void service_gone(struct holder *holder)
{
	close(holder->service_fd);
	holder->service_fd = -1;
}

/* The new ones are had before the old ones are let go: they are the same sockets. */
static int keep(struct holder *holder, int fd, uint32_t workers)
{
	unsigned int count;
	int *fds, err;

	err = parcel_recv_listeners(fd, &fds, &count);
	if (err)
		return err;
	drop(holder);
	holder->fds = fds;
	holder->count = count;
	holder->workers = workers;
	if (holder->service_fd >= 0)
		service_gone(holder);
	holder->service_fd = fd;
	tell(holder);
	return 0;
}

static void give(struct holder *holder, int fd)
{
	if (!parcel_send_listeners(fd, holder->fds, holder->count))
		parcel_send_lock(fd, -1, holder->workers);
}

static void converse(struct holder *holder)
{
	int fd = parcel_accept(holder->listen_fd), nowhere;
	struct parcel parcel;
	unsigned int none;

	if (fd < 0)
		return;
	if (!parcel_recv(fd, &parcel, &nowhere, 0, &none)) {
		if (parcel.kind == PARCEL_TAKE)
			give(holder, fd);
		else if (parcel.kind == PARCEL_KEEP && !keep(holder, fd, parcel.count))
			return;		/* the connection stays */
	}
	close(fd);
}

static void hear(struct holder *holder)
{
	struct parcel parcel;
	unsigned int none;
	int nowhere;

	if (!parcel_recv(holder->service_fd, &parcel, &nowhere, 0, &none) &&
	    parcel.kind == PARCEL_BYE)
		drop(holder);
	service_gone(holder);
	tell(holder);
}

/* One that runs already does not know of us. */
static void announce(const char *instance)
{
	int fd = parcel_connect(instance, "sock");

	if (fd < 0)
		return;
	parcel_send(fd, PARCEL_HOLD, 0, 0, NULL, 0);
	close(fd);
}

static int hold(struct holder *holder)
{
	int err = 0;

	announce(holder->opts->instance);
	tell(holder);
	while (!err) {
		struct pollfd pfds[] = {
			{ .fd = holder->opts->stop, .events = POLLIN },
			{ .fd = holder->listen_fd, .events = POLLIN },
			{ .fd = holder->service_fd, .events = POLLIN },
		};

		if (poll(pfds, ARRAY_SIZE(pfds), -1) < 0) {
			err = errno == EINTR ? 0 : -errno;
			continue;
		}
		if (pfds[0].revents)
			break;
		if (pfds[2].revents)
			hear(holder);
		else if (pfds[1].revents)
			converse(holder);
	}
	return err;
}

int weir_hold(const struct weir_hold_opts *given)
{
	struct weir_hold_opts opts;
	struct holder holder = { .opts = &opts, .service_fd = -1 };
	struct parcel_place place;
	int err;

	err = opts_copy(&opts, sizeof(opts), given);
	if (err)
		return err;
	if (!parcel_name_ok(opts.instance))
		return -EINVAL;
	holder.listen_fd = parcel_socket();
	if (holder.listen_fd < 0)
		return holder.listen_fd;
	err = parcel_listen(holder.listen_fd, opts.instance, "hold", 0, &place);
	if (!err) {
		err = hold(&holder);
		parcel_unlisten(&place);
	}
	close(holder.listen_fd);
	if (holder.service_fd >= 0)
		service_gone(&holder);
	drop(&holder);
	return err;
}
