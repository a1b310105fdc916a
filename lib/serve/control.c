// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * control.c - the control socket of who has listeners, and the thread that answers
 *
 * It keeps descriptors of the listeners as long as they are served: for a
 * successor, for a holder and for the service manager. One conversation at a
 * time, each step of which has a limit: a peer that stops in the middle is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base.h"
#include "serve/control.h"
#include "serve/manager.h"
#include "serve/parcel.h"
#include "serve/service.h"

#define DYING_NS	(500 * NSEC_PER_MSEC)

static void close_all(struct weir_control *control)
{
	int *fds[] = {
		&control->peer_fd, &control->holder_fd, &control->listen_fd, &control->wake_fd,
	};
	size_t i;

	parcel_drop(control->fds, control->count);
	control->fds = NULL;
	control->count = 0;
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/*
 * A process that is forked has none of our descriptors: who is to learn of our end
 * would not, while it lives. With the lock what it finds of them is true.
 */
static void in_child(struct fork_watch *watch)
{
	struct weir_control *control = container_of(watch, struct weir_control, fork);

	close_all(control);
	control->place.path[0] = '\0';
	control->runs = false;
}

int control_socket(int *fdp)
{
	int fd;

	fork_lock();
	fd = parcel_socket();
	*fdp = fd < 0 ? -1 : fd;
	fork_unlock();
	return fd < 0 ? fd : 0;
}

void control_put(int *fdp)
{
	fork_lock();
	if (*fdp >= 0)
		close(*fdp);
	*fdp = -1;
	fork_unlock();
}

void control_drop(struct weir_control *control)
{
	fork_lock();
	parcel_drop(control->fds, control->count);
	control->fds = NULL;
	control->count = 0;
	fork_unlock();
}

/* the thread */

/* As it was told: nothing is to be kept for a next one. */
static void end(struct weir_control *control)
{
	const struct weir_control_ops *ops = control->opts.ops;

	if (control->holder_fd >= 0 && !(ops->died && ops->died(control->opts.ctx)))
		parcel_send(control->holder_fd, PARCEL_BYE, 0, 0, NULL, 0);
	control_put(&control->holder_fd);
	control_drop(control);
	parcel_unlisten(&control->place);
}

static void *control_main(void *arg)
{
	struct weir_control *control = arg;
	struct pollfd pfds[] = {
		{ .fd = control->wake_fd, .events = POLLIN },
		{ .fd = control->listen_fd, .events = POLLIN },
	};

	pthread_setname_np(pthread_self(), "weir-control");
	control_hold(control);
	while (!control->left) {
		if (poll(pfds, ARRAY_SIZE(pfds), -1) < 0)
			continue;
		if (pfds[0].revents) {
			end(control);
			return NULL;
		}
		control_converse(control);
	}
	/* The holder hears from the successor what is to be kept. */
	control_put(&control->holder_fd);
	if (!parcel_told(control->wake_fd, control->opts.drain_ns ?: DRAIN_DEFAULT_NS))
		control->opts.ops->drained(control->opts.ctx);
	return NULL;
}

/* open and close */

static int read_opts(struct weir_control *control, const struct weir_control_opts *given)
{
	struct weir_control_opts *opts = &control->opts;
	int err = opts_copy(opts, sizeof(*opts), given);

	if (err)
		return err;
	if (!parcel_name_ok(opts->instance) || opts->workers > WEIR_WORKERS_MAX ||
	    !opts->steering || !opts->ops ||
	    !opts->ops->yield || !opts->ops->take_back || !opts->ops->leave ||
	    !opts->ops->drained || opts->flags & ~(uint32_t)WEIR_CONTROL_ALL)
		return -EINVAL;
	strcpy(control->instance, opts->instance);
	if (opts->log)
		control->log = *opts->log;
	return 0;
}

int control_make(struct weir_control **controlp, const struct weir_control_opts *opts)
{
	struct weir_control *control;
	int err;

	control = mem_get(&base_alloc_libc, 1, sizeof(*control), _Alignof(struct weir_control));
	if (!control)
		return -ENOMEM;
	control->listen_fd = -1;
	control->holder_fd = -1;
	control->peer_fd = -1;
	control->wake_fd = -1;
	control->fork.in_child = in_child;
	err = fork_watch_add(&control->fork);
	if (err) {
		mem_put(&base_alloc_libc, control, 1, sizeof(*control));
		return err;
	}
	control->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = control->wake_fd < 0 ? -errno : read_opts(control, opts);
	if (err) {
		weir_control_close(control);
		return err;
	}
	*controlp = control;
	return 0;
}

static void log_refusal(const struct weir_control *control, int err)
{
	if (err == -EADDRINUSE)
		base_log(&control->log, WEIR_LOG_ERROR, "control: instance %s: its service lives; "
			 "it can be taken over, or stopped", control->instance);
	else
		base_log(&control->log, err == -EACCES ? WEIR_LOG_INFO : WEIR_LOG_WARN,
			 "control: nobody can take %s over: %s", control->instance,
			 weir_strerror(err));
}

static int take_place(struct weir_control *control, uint64_t patience_ns)
{
	int err = control_socket(&control->listen_fd);

	if (!err)
		err = parcel_listen(control->listen_fd, control->instance, "sock", patience_ns,
				    &control->place);
	if (!err)
		return 0;
	log_refusal(control, err);
	control_put(&control->listen_fd);
	return err;
}

/* Who was killed may have let go of his lock and his listeners, and not of this yet. */
int control_claim(struct weir_control *control)
{
	return control->opts.flags & WEIR_CONTROL_REPLACE ? 0 : take_place(control, DYING_NS);
}

int control_keep(struct weir_control *control, const int *listeners, uint32_t count)
{
	int *fds, fd = 0, err;
	uint32_t i;

	if (!listeners || !count || count > WEIR_WORKERS_MAX)
		return -EINVAL;
	control->opts.workers = control->opts.workers ?: count;
	fds = mem_get(&base_alloc_libc, count, sizeof(*fds), sizeof(int));
	if (!fds)
		return -ENOMEM;
	fork_lock();
	control->fds = fds;
	for (i = 0; i < count && fd >= 0; i++) {
		fd = fcntl(listeners[i], F_DUPFD_CLOEXEC, 0);
		if (fd >= 0)
			fds[control->count++] = fd;
	}
	err = fd < 0 ? -errno : 0;
	fork_unlock();
	return err;
}

static int run(struct weir_control *control)
{
	int err;

	err = manager_store(control->instance, control->fds, control->count, control->opts.given);
	if (err)
		base_log(&control->log, WEIR_LOG_WARN, "control: the service manager is not "
			 "told: %s", weir_strerror(err));
	err = thread_start(&control->thread, control_main, control);
	control->runs = !err;
	if (err)
		log_refusal(control, err);
	return err;
}

int control_run(struct weir_control *control)
{
	int err = 0;

	if (control->opts.flags & WEIR_CONTROL_REPLACE)
		err = take_place(control, PARCEL_REPLACE);
	if (!err && control->listen_fd >= 0)
		err = run(control);
	if (control->runs)
		return 0;
	parcel_unlisten(&control->place);
	control_put(&control->listen_fd);
	control_drop(control);
	return err;
}

int weir_control_open(struct weir_control **controlp, const struct weir_control_opts *opts)
{
	struct weir_control *control;
	int err = control_make(&control, opts);

	if (err)
		return err;
	err = control_claim(control);
	if (!err)
		err = control_keep(control, control->opts.listeners, control->opts.count);
	if (!err)
		err = control_run(control);
	if (err) {
		weir_control_close(control);
		return err;
	}
	*controlp = control;
	return 0;
}

void weir_control_stop(struct weir_control *control)
{
	uint64_t one = 1;

	/* It is full when it was written to: then there is nothing to say. */
	if (control && write(control->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void weir_control_close(struct weir_control *control)
{
	if (!control)
		return;
	weir_control_stop(control);
	if (control->runs)
		pthread_join(control->thread, NULL);
	parcel_unlisten(&control->place);
	fork_lock();
	close_all(control);
	fork_unlock();
	fork_watch_del(&control->fork);
	mem_put(&base_alloc_libc, control, 1, sizeof(*control));
}
