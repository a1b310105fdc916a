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

/* Whether the kernel moves a queue where no program says so. */
static bool kernel_moves(void)
{
	char digit = '0';
	int fd = open("/proc/sys/net/ipv4/tcp_migrate_req", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (read(fd, &digit, 1) != 1)
		digit = '0';
	close(fd);
	return digit != '0';
}

/* Clients wait in the queues of those that nobody takes. */
int takeover_fits(const struct weir_takeover *takeover, const struct weir_steering *st,
		  unsigned int sockets)
{
	return takeover && takeover->count > sockets && !parcel_is_udp(takeover->fds[0]) &&
	       st->ops == &steer_reuseport_ops && !kernel_moves() ? -EOPNOTSUPP : 0;
}

/*
 * A program that a predecessor has attached would go on to choose for us, and to refuse
 * clients, by maps that nobody has any more. If he goes on he attaches his again.
 */
static void programs_detach(const struct weir_takeover *takeover)
{
	unsigned int i;
	int none = 0;

	for (i = 0; i < takeover->count; i++)
		(void)setsockopt(takeover->fds[i], SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &none,
				 sizeof(none));
}

/*
 * He waits for our answer for a limited time, and may have gone on by now: the last
 * word finds out. After it he does so only when this connection ends.
 */
static int begin(struct weir_takeover *takeover, bool pins, unsigned int *hung)
{
	struct parcel parcel;
	int err;

	err = parcel_send(takeover->fd, PARCEL_YIELD, pins, 0, NULL, 0);
	if (!err)
		err = parcel_want(takeover->fd, PARCEL_YIELDED, &parcel);
	if (!err)
		err = parcel_send(takeover->fd, PARCEL_BEGIN, 0, 0, NULL, 0);
	if (!err)
		*hung = parcel.count;
	return err;
}

int weir_takeover_begin(struct weir_takeover *takeover, struct weir_steering *st,
			unsigned int listeners, unsigned int *hung)
{
	int err = takeover_fits(takeover, st, listeners);

	if (!err && takeover->fd >= 0)
		err = begin(takeover, st->ops->adopted(st), hung);
	if (!err && st->ops == &steer_reuseport_ops)
		programs_detach(takeover);
	return err;
}

bool takeover_lives(const struct weir_takeover *takeover)
{
	return takeover && takeover->fd >= 0;
}

/*
 * Listeners that no worker of ours has: the kernel moves their queues to the others
 * of the group, and nobody comes to them any more. Of datagrams the predecessor, who
 * has done the same, takes what has come to them; where he is dead it is lost.
 */
static void end_surplus(const struct weir_takeover *takeover, uint32_t first)
{
	uint32_t i;

	for (i = first; i < takeover->count; i++)
		parcel_mute(takeover->fds[i]);
}

void takeover_serves(struct weir_takeover *takeover, uint32_t sockets, uint32_t workers)
{
	if (!takeover)
		return;
	/* One who is not there any more needs not be told. */
	if (takeover->fd >= 0)
		(void)parcel_send(takeover->fd, PARCEL_SERVES, workers, 0, NULL, 0);
	takeover_end(takeover);
	end_surplus(takeover, sockets);
}

void weir_takeover_serves(struct weir_takeover *takeover, unsigned int listeners)
{
	takeover_serves(takeover, listeners, listeners);
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
