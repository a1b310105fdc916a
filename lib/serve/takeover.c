// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * takeover.c - get the listeners of an instance: from the service that serves
 * on them, from a holder, or from the service manager
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/wire.h>

#include "base/base.h"
#include "serve/manager.h"
#include "serve/parcel.h"
#include "serve/service.h"

struct weir_takeover {
	int fd;			/* to a live service until we serve, else -1 */
	int lock;		/* or -1 */
	int *fds;
	unsigned int count;
	unsigned int workers;	/* that they were for; 0: not known */
};

/* A conversation of one question: what do you have? */
static int ask(struct weir_takeover *takeover)
{
	struct parcel parcel;
	unsigned int got = 0;
	int err;

	err = parcel_send(takeover->fd, PARCEL_TAKE, 0, 0, NULL, 0);
	if (!err)
		err = parcel_recv_listeners(takeover->fd, &takeover->fds, &takeover->count);
	if (!err)
		err = parcel_recv(takeover->fd, &parcel, &takeover->lock, 1, &got);
	if (!got)
		takeover->lock = -1;
	if (!err && (parcel.kind != PARCEL_LOCK || parcel.count != got))
		err = -EPROTO;
	if (!err && parcel.workers <= WEIR_WORKERS_MAX)
		takeover->workers = parcel.workers;
	return err == -EPIPE ? -EPERM : err;	/* it hung up */
}

static int from_socket(struct weir_takeover *takeover, const char *instance, const char *suffix)
{
	int err;

	takeover->fd = parcel_connect(instance, suffix);
	if (takeover->fd < 0)
		return takeover->fd;
	err = ask(takeover);
	return err ? err : takeover->count ? 0 : -ENOENT;
}

int weir_takeover_open(struct weir_takeover **takeoverp, const char *instance,
		       enum weir_takeover_from from)
{
	struct weir_takeover *takeover;
	int err;

	if (!parcel_name_ok(instance))
		return -EINVAL;
	takeover = calloc(1, sizeof(*takeover));
	if (!takeover)
		return -ENOMEM;
	takeover->fd = -1;
	takeover->lock = -1;
	if (from == WEIR_TAKEOVER_SERVICE)
		err = from_socket(takeover, instance, "sock");
	else if (from == WEIR_TAKEOVER_HOLDER)
		err = from_socket(takeover, instance, "hold");
	else if (from == WEIR_TAKEOVER_MANAGER)
		err = manager_listeners(instance, &takeover->fds, &takeover->count);
	else
		err = -EINVAL;
	if (!err && from == WEIR_TAKEOVER_HOLDER) {
		close(takeover->fd);	/* it keeps its own until the service says more */
		takeover->fd = -1;
	}
	if (err) {
		weir_takeover_close(takeover);
		return err;
	}
	*takeoverp = takeover;
	return 0;
}

const int *weir_takeover_listeners(const struct weir_takeover *takeover, unsigned int *count)
{
	*count = takeover->count;
	return takeover->fds;
}

unsigned int weir_takeover_workers(const struct weir_takeover *takeover)
{
	return takeover->workers ? takeover->workers : takeover->count;
}

const int *weir_takeover_lock(const struct weir_takeover *takeover)
{
	return takeover->lock < 0 ? NULL : &takeover->lock;
}

/*
 * He waits for our answer for a limited time, and may have gone on by now: the last
 * word finds out. After it he does so only when this connection ends.
 */
int takeover_begin(struct weir_takeover *takeover, bool pins, unsigned int *hung)
{
	struct parcel parcel;
	int err;

	if (takeover->fd < 0)
		return 0;
	err = parcel_send(takeover->fd, PARCEL_YIELD, pins, 0, NULL, 0);
	if (!err)
		err = parcel_want(takeover->fd, PARCEL_YIELDED, &parcel);
	if (!err)
		err = parcel_send(takeover->fd, PARCEL_BEGIN, 0, 0, NULL, 0);
	if (!err)
		*hung = parcel.count;
	return err;
}

bool takeover_lives(const struct weir_takeover *takeover)
{
	return takeover && takeover->fd >= 0;
}

void takeover_serves(struct weir_takeover *takeover, uint32_t workers)
{
	if (!takeover || takeover->fd < 0)
		return;
	/* One who is not there any more needs not be told. */
	(void)parcel_send(takeover->fd, PARCEL_SERVES, workers, 0, NULL, 0);
	takeover_end(takeover);
}

void takeover_end(struct weir_takeover *takeover)
{
	if (!takeover || takeover->fd < 0)
		return;
	close(takeover->fd);
	takeover->fd = -1;
}

void weir_takeover_close(struct weir_takeover *takeover)
{
	if (!takeover)
		return;
	takeover_end(takeover);
	if (takeover->lock >= 0)
		close(takeover->lock);
	parcel_drop(takeover->fds, takeover->count);
	free(takeover);
}
