// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * child.c - a service that is one worker of a parent's: it yields when it is told to
 *
 * The parent has the control socket; here a thread hears what to do for a successor,
 * and that the parent has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/control.h"
#include "serve/parcel.h"
#include "serve/service.h"

struct child {
	struct weir_service *service;
	pthread_t thread;
	bool runs;		/* there is a thread */
	int wake_fd;		/* told when the service is to stop */
	int fd;			/* to the parent */
	bool stays;		/* also without a parent */
	bool yielded;
	bool begun;		/* the successor has it, as long as he lives */
};

/* Those who are connected have their time; not more when it is time to stop. */
static void leave(struct child *child)
{
	owner_ops.leave(child->service);
	if (!parcel_told(child->wake_fd, child->service->opts.drain_ns))
		owner_ops.drained(child->service);
}

static void take_back(struct child *child)
{
	if (child->yielded)
		owner_ops.take_back(child->service);
	child->yielded = false;
	child->begun = false;
}

static void yield(struct child *child, uint32_t asked)
{
	unsigned int hung = 0;
	int err = owner_ops.yield(child->service, asked & 1, &hung);

	child->yielded = !err;
	/* A parent that is not there needs no answer. */
	(void)parcel_send(child->fd, PARCEL_YIELDED, (asked & ~1U) | !!hung, err, NULL, 0);
}

/* Who has not served yet must not touch what is another's again. */
static void parent_ended(struct child *child)
{
	struct weir_steering *st = child->service->steering;

	if (child->begun) {
		leave(child);
	} else if (child->stays) {
		take_back(child);
	} else {
		(void)st->ops->yield(st, 1);
		weir_service_stop(child->service, 0);
	}
}

/* False: nothing more is to be heard. */
static bool hear(struct child *child)
{
	struct parcel parcel;
	unsigned int none;
	int nowhere;

	if (parcel_recv(child->fd, &parcel, &nowhere, 0, &none)) {
		parent_ended(child);
		return false;
	}
	if (parcel.kind == PARCEL_STAY)
		child->stays = true;
	else if (parcel.kind == PARCEL_YIELD)
		yield(child, parcel.count);
	else if (parcel.kind == PARCEL_BEGIN)
		child->begun = true;
	else if (parcel.kind == PARCEL_BACK)
		take_back(child);
	else if (parcel.kind == PARCEL_SERVES)
		leave(child);
	return parcel.kind != PARCEL_SERVES;
}

static void *child_main(void *arg)
{
	struct child *child = arg;
	struct pollfd pfds[] = {
		{ .fd = child->wake_fd, .events = POLLIN },
		{ .fd = child->fd, .events = POLLIN },
	};

	pthread_setname_np(pthread_self(), "weir-child");
	while (!pfds[0].revents) {
		if (poll(pfds, ARRAY_SIZE(pfds), -1) < 0)
			continue;
		if (pfds[1].revents && !hear(child))
			break;
	}
	return NULL;
}

int child_prepare(struct weir_service *service)
{
	const int *fd = service->opts.parent;
	struct child *child;

	if (!fd)
		return 0;
	if (service->opts.takeover || service->control || acceptor_mode(service) ||
	    dgram_mode(service))
		return -EINVAL;
	child = mem_get(&base_alloc_libc, 1, sizeof(*child), _Alignof(struct child));
	if (!child)
		return -ENOMEM;
	service->opts.parent = NULL;
	service->child = child;
	child->service = service;
	child->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	child->fd = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
	return child->wake_fd < 0 || child->fd < 0 ? -errno : 0;
}

/*
 * What it would accept is another's when its parent has ended meanwhile; unless it was
 * told to stay: then there is something to be heard.
 */
int child_begins(const struct weir_service *service)
{
	const struct child *child = service->child;
	char byte;

	return child && !recv(child->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) ? -EPIPE : 0;
}

int child_start(struct weir_service *service)
{
	struct child *child = service->child;
	int err = child ? thread_start(&child->thread, child_main, child) : 0;

	if (child)
		child->runs = !err;
	return err;
}

void child_stop(struct weir_service *service)
{
	uint64_t one = 1;

	/* It is full when it was written to: then there is nothing to say. */
	if (service->child && write(service->child->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void child_close(struct weir_service *service)
{
	struct child *child = service->child;

	if (!child)
		return;
	child_stop(service);
	if (child->runs)
		pthread_join(child->thread, NULL);
	if (child->wake_fd >= 0)
		close(child->wake_fd);
	if (child->fd >= 0)
		close(child->fd);
	service->child = NULL;
	mem_put(&base_alloc_libc, child, 1, sizeof(*child));
}
