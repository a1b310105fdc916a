// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * control.c - the thread of a service that hands it over
 *
 * It keeps descriptors of the listeners as long as the service serves: for a
 * successor, for a holder and for the service manager. One conversation at a
 * time, each step of which has a limit: a peer that stops in the middle is left.
 *
 * Who yields accepts nobody any more, and what the kernel and others see is the
 * successor's, but the listeners stay: until he says that he serves. If he ends
 * before that, all is taken back as it was. Then the listeners are closed, and those
 * who are connected are served until they leave or drain_ns is over.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/listener.h"
#include "serve/manager.h"
#include "serve/parcel.h"
#include "serve/service.h"

#define DRAIN_DEFAULT_NS	(60 * NSEC_PER_SEC)
#define LINGER_NS		(5 * NSEC_PER_SEC)
#define YIELD_WAIT_MS		60000	/* for a successor that has asked: it loads */
#define HALT_WAIT_NS		(250 * NSEC_PER_MSEC)	/* for workers to accept no more */

struct control {
	struct weir_service *service;
	pthread_t thread;
	char instance[WEIR_NAME_BYTES];
	struct parcel_place place;
	int listen_fd;
	int holder_fd;		/* where a holder listens for our end, or -1 */
	int *fds;
	unsigned int count;
	bool replace;		/* whoever has the name: it is ours by the lock */
	bool left;		/* a successor serves */
};

/* the holder */

static void holder_leave(struct control *control)
{
	if (control->holder_fd >= 0)
		close(control->holder_fd);
	control->holder_fd = -1;
}

static void holder_join(struct control *control)
{
	int fd, err;

	holder_leave(control);
	fd = parcel_connect(control->instance, "hold");
	if (fd < 0)
		return;		/* nobody holds */
	err = parcel_send(fd, PARCEL_KEEP, control->count, 0, NULL, 0);
	if (!err)
		err = parcel_send_listeners(fd, control->fds, control->count);
	control->holder_fd = fd;
	if (!err)
		return;
	service_log(control->service, WEIR_LOG_WARN, "control: the holder takes nothing: %s",
		    weir_strerror(err));
	holder_leave(control);
}

/* a successor */

static int send_all(struct control *control, int fd)
{
	struct weir_steering *st = control->service->steering;
	int lock = st->ops->lock(st);
	int err;

	err = parcel_send_listeners(fd, control->fds, control->count);
	return err ? err : parcel_send(fd, PARCEL_LOCK, lock >= 0, 0, &lock, lock >= 0);
}

/* Until nobody accepts; a worker that hangs is not waited for. */
static unsigned int wait_halted(struct weir_service *service)
{
	struct timespec end;
	unsigned int left;

	clock_gettime(CLOCK_MONOTONIC, &end);	/* which reported goes by */
	end.tv_nsec += HALT_WAIT_NS;
	if (end.tv_nsec >= (long)NSEC_PER_SEC) {
		end.tv_sec++;
		end.tv_nsec -= (long)NSEC_PER_SEC;
	}
	pthread_mutex_lock(&service->lock);
	while (service->accepting && !pthread_cond_timedwait(&service->reported, &service->lock,
							     &end))
		;
	left = service->accepting;
	pthread_mutex_unlock(&service->lock);
	return left;
}

static void phase_set(struct weir_service *service, enum phase phase)
{
	uint32_t i;

	atomic_store(&service->phase, phase);
	for (i = 0; i < service->opts.workers; i++)
		worker_wake(&service->workers[i]);
}

static int yield(struct control *control, bool pins, unsigned int *leftp)
{
	struct weir_service *service = control->service;
	struct weir_steering *st = service->steering;
	int err;

	err = st->ops->yield(st, pins);
	if (err)
		return err;
	phase_set(service, PHASE_HALTED);
	*leftp = wait_halted(service);
	if (pins)
		st->ops->yield(st, 1);	/* what was accepted meanwhile */
	if (*leftp)
		service_log(service, WEIR_LOG_WARN, "control: %u workers do not come to leave "
			    "their listeners", *leftp);
	return 0;
}

/* Whatever came of it: also when nothing had been yielded yet. */
static void take_back(struct control *control)
{
	struct weir_service *service = control->service;
	struct weir_steering *st = service->steering;
	bool halted = atomic_load(&service->phase) == PHASE_HALTED;
	int err = st->ops->resume(st);

	if (err)
		service_log(service, WEIR_LOG_ERROR, "control: not all that a successor had could "
			    "be taken back: %s", weir_strerror(err));
	if (!halted)
		return;
	phase_set(service, PHASE_ACCEPTING);
	service_log(service, WEIR_LOG_WARN, "control: a successor did not come to serve; the "
		    "service goes on");
}

static void leave(struct control *control)
{
	phase_set(control->service, PHASE_LEFT);
	parcel_drop(control->fds, control->count);
	control->fds = NULL;
	control->count = 0;
	control->left = true;
	service_log(control->service, WEIR_LOG_INFO, "control: a successor serves; draining");
}

/* The next word, which must be this one; not when it is time to stop. */
static int await_word(struct control *control, int fd, int timeout_ms, enum parcel_kind kind,
		      struct parcel *parcel)
{
	struct pollfd pfds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = control->service->control_wake, .events = POLLIN },
	};
	int n;

	do {
		n = poll(pfds, ARRAY_SIZE(pfds), timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (pfds[1].revents)
		return -ESHUTDOWN;
	return n > 0 ? parcel_want(fd, kind, parcel) : -ETIMEDOUT;
}

/*
 * The kernel decides who was first: the word that it begins, or our turning away,
 * after which the successor cannot say it any more.
 */
static int await_begin(struct control *control, int fd)
{
	struct parcel parcel;
	int err;

	err = await_word(control, fd, PARCEL_WAIT_S * 1000, PARCEL_BEGIN, &parcel);
	if (err != -ETIMEDOUT && err != -ESHUTDOWN)
		return err;
	shutdown(fd, SHUT_RDWR);
	err = parcel_want(fd, PARCEL_BEGIN, &parcel);
	return err ? err : 1;	/* and nothing more can be heard */
}

/*
 * The successor has what he needs, and says when he is ready. From the word that it
 * begins on he alone decides, as long as he lives: one who was slow must not find
 * that two serve.
 */
static int hand_over(struct control *control, int fd)
{
	unsigned int left = 0;
	struct parcel parcel;
	int err;

	err = await_word(control, fd, YIELD_WAIT_MS, PARCEL_YIELD, &parcel);
	if (err)
		return err;
	err = yield(control, parcel.count, &left);
	if (parcel_send(fd, PARCEL_YIELDED, left, err, NULL, 0) || err)
		return err ? err : -EPIPE;
	err = await_begin(control, fd);
	if (err)
		return err < 0 ? err : 0;
	err = await_word(control, fd, -1, PARCEL_SERVES, &parcel);
	return err == -ESHUTDOWN ? 0 : err;
}

static void give(struct control *control, int fd)
{
	int err = send_all(control, fd);

	if (!err)
		err = hand_over(control, fd);
	if (err)
		take_back(control);
	else
		leave(control);
}

static void converse(struct control *control)
{
	int fd = parcel_accept(control->listen_fd), nowhere;
	struct parcel parcel;
	unsigned int none;

	if (fd < 0)
		return;
	if (!parcel_recv(fd, &parcel, &nowhere, 0, &none)) {
		if (parcel.kind == PARCEL_HOLD)
			holder_join(control);
		else if (parcel.kind == PARCEL_TAKE)
			give(control, fd);
	}
	close(fd);
}

/* the thread */

static bool told_to_stop(struct control *control, int timeout_ms)
{
	struct pollfd pfd = { .fd = control->service->control_wake, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) > 0;
}

/* As it was told: nothing is to be kept for a next one. */
static void end(struct control *control)
{
	struct weir_service *service = control->service;
	bool died = false;
	uint32_t i;

	for (i = 0; i < service->opts.workers; i++)
		died |= atomic_load(&service->workers[i].dead);
	if (control->holder_fd >= 0 && !died)
		parcel_send(control->holder_fd, PARCEL_BYE, 0, 0, NULL, 0);
	holder_leave(control);
	parcel_drop(control->fds, control->count);
	control->fds = NULL;
	control->count = 0;
	parcel_unlisten(&control->place);
}

static void *control_main(void *arg)
{
	struct control *control = arg;
	struct weir_service *service = control->service;
	uint64_t drain_ns = service->opts.drain_ns ? service->opts.drain_ns : DRAIN_DEFAULT_NS;
	struct pollfd pfds[] = {
		{ .fd = service->control_wake, .events = POLLIN },
		{ .fd = control->listen_fd, .events = POLLIN },
	};

	pthread_setname_np(pthread_self(), "weir-control");
	holder_join(control);
	while (!control->left) {
		if (poll(pfds, ARRAY_SIZE(pfds), -1) < 0)
			continue;
		if (pfds[0].revents) {
			end(control);
			return NULL;
		}
		converse(control);
	}
	/* The holder hears from the successor what is to be kept. */
	holder_leave(control);
	if (!told_to_stop(control, (int)min_u64(drain_ns / NSEC_PER_MSEC, INT32_MAX)))
		weir_service_stop(service, LINGER_NS);
	return NULL;
}

/* open and close, by the thread that opens and closes the service */

static int copy_listeners(struct control *control)
{
	struct weir_service *service = control->service;
	uint32_t i;
	int fd;

	control->fds = calloc(service->opts.workers, sizeof(*control->fds));
	if (!control->fds)
		return -ENOMEM;
	for (i = 0; i < service->opts.workers; i++) {
		fd = weir_listener_fd(service->workers[i].listener);
		if (fd >= 0)
			fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		control->fds[control->count++] = fd;
	}
	return 0;
}

int control_prepare(struct weir_service *service)
{
	struct control *control;
	int err;

	if (!service->opts.control)
		return 0;
	if (!parcel_name_ok(service->opts.control) || acceptor_mode(service) ||
	    dgram_mode(service))
		return -EINVAL;
	control = calloc(1, sizeof(*control));
	if (!control)
		return -ENOMEM;
	strcpy(control->instance, service->opts.control);
	service->opts.control = NULL;
	control->service = service;
	control->replace = service->opts.takeover ||
			   service->steering->ops->lock(service->steering) >= 0;
	control->listen_fd = -1;
	control->holder_fd = -1;
	service->control = control;
	service->control_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = service->control_wake < 0 ? -errno : copy_listeners(control);
	return err;
}

/* Without a place for the socket the service serves all the same. */
int control_start(struct weir_service *service)
{
	struct control *control = service->control;
	int err;

	if (!control)
		return 0;
	control->listen_fd = parcel_listen(control->instance, "sock", control->replace,
					   &control->place);
	if (control->listen_fd == -EADDRINUSE)
		return -EADDRINUSE;
	if (control->listen_fd < 0) {
		service_log(service, control->listen_fd == -EACCES ? WEIR_LOG_INFO : WEIR_LOG_WARN,
			    "control: nobody can take %s over: %s", control->instance,
			    weir_strerror(control->listen_fd));
		control_close(service);
		return 0;
	}
	err = manager_store(control->instance, control->fds, control->count, service->given);
	if (err)
		service_log(service, WEIR_LOG_WARN, "control: the service manager is not told: %s",
			    weir_strerror(err));
	err = thread_start(&control->thread, control_main, control);
	if (!err)
		return 0;
	service_log(service, WEIR_LOG_WARN, "control: nobody can take %s over: %s",
		    control->instance, weir_strerror(err));
	control->thread = 0;
	parcel_unlisten(&control->place);
	control_close(service);
	return 0;
}

void control_wake(struct weir_service *service)
{
	uint64_t one = 1;

	/* It is full when it was written to: then there is nothing to say. */
	if (service->control && write(service->control_wake, &one, sizeof(one)) < 0)
		return;
}

void control_close(struct weir_service *service)
{
	struct control *control = service->control;

	if (!control)
		return;
	control_wake(service);
	if (control->thread)
		pthread_join(control->thread, NULL);
	else
		parcel_drop(control->fds, control->count);
	if (control->listen_fd >= 0)
		close(control->listen_fd);
	if (service->control_wake >= 0)
		close(service->control_wake);
	service->control = NULL;
	service->control_wake = -1;
	free(control);
}
