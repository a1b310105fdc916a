// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * control.c - the control socket of who has listeners, and the thread that answers
 *
 * It keeps descriptors of the listeners as long as they are served: for a
 * successor, for a holder and for the service manager. One conversation at a
 * time, each step of which has a limit: a peer that stops in the middle is left.
 *
 * What is done for a successor is the owner's: he accepts nobody any more, and what
 * the kernel and others see is the successor's, but the listeners stay: until that one
 * says that he serves. If he ends before that, all is taken back as it was.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fork.h"
#include "serve/control.h"
#include "serve/manager.h"
#include "serve/parcel.h"
#include "serve/service.h"

#define DRAIN_DEFAULT_NS	(60 * NSEC_PER_SEC)
#define YIELD_WAIT_MS		60000	/* for a successor that has asked: it loads */

struct weir_control {
	struct fork_watch fork;
	struct weir_control_opts opts;
	struct weir_log log;
	pthread_t thread;
	bool runs;		/* there is a thread */
	char instance[WEIR_NAME_BYTES];
	struct parcel_place place;
	int wake_fd;		/* told when it is time to stop */
	int listen_fd;
	int holder_fd;		/* where a holder listens for our end, or -1 */
	int peer_fd;		/* of the conversation, or -1 */
	int *fds;
	unsigned int count;
	bool left;		/* a successor serves */
};

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
	control->runs = false;
}

static void put(int *fdp)
{
	fork_lock();
	if (*fdp >= 0)
		close(*fdp);
	*fdp = -1;
	fork_unlock();
}

static void drop(struct weir_control *control)
{
	fork_lock();
	parcel_drop(control->fds, control->count);
	control->fds = NULL;
	control->count = 0;
	fork_unlock();
}

/* the holder */

static void holder_join(struct weir_control *control)
{
	int fd, err;

	put(&control->holder_fd);
	fork_lock();
	fd = parcel_connect(control->instance, "hold");
	control->holder_fd = fd < 0 ? -1 : fd;
	fork_unlock();
	if (fd < 0)
		return;		/* nobody holds */
	err = parcel_send(fd, PARCEL_KEEP, control->opts.workers, 0, NULL, 0);
	if (!err)
		err = parcel_send_listeners(fd, control->fds, control->count);
	if (!err)
		return;
	base_log(&control->log, WEIR_LOG_WARN, "control: the holder takes nothing: %s",
		 weir_strerror(err));
	put(&control->holder_fd);
}

/* a successor */

static int send_all(struct weir_control *control, int fd)
{
	struct weir_steering *st = control->opts.steering;
	int lock = st->ops->lock(st);
	int err;

	err = parcel_send_listeners(fd, control->fds, control->count);
	return err ? err : parcel_send_lock(fd, lock, control->opts.workers);
}

/* Nothing is to come to sockets of datagrams that the successor has nobody for. */
static void deafen_from(struct weir_control *control, uint32_t first)
{
	uint32_t i;
	int err;

	for (i = first; i < control->count; i++) {
		err = parcel_is_udp(control->fds[i]) ? parcel_deafen(control->fds[i]) : 0;
		if (err)
			base_log(&control->log, WEIR_LOG_WARN, "control: datagrams come to socket "
				 "%u still, which closes: %s", i, weir_strerror(err));
	}
}

/* One that does not listen would keep the mark, and hand it on when it listens again. */
void control_mute(struct weir_control *control, uint32_t listener)
{
	int fd = listener < control->count ? control->fds[listener] : -1;

	if (parcel_is_udp(fd))
		(void)parcel_deafen(fd);
	else if (parcel_listens(fd))
		shutdown(fd, SHUT_RDWR);
}

/* 0 heirs: how many is not known. */
static void heirs_set(struct weir_control *control, uint32_t heirs)
{
	if (heirs)
		deafen_from(control, heirs);
	if (control->opts.ops->heirs)
		control->opts.ops->heirs(control->opts.ctx, heirs);
}

static void leave(struct weir_control *control)
{
	control->opts.ops->leave(control->opts.ctx);
	drop(control);
	control->left = true;
	base_log(&control->log, WEIR_LOG_INFO, "control: a successor serves; draining");
}

/* The next word, which must be this one; not when it is time to stop. */
static int await_word(struct weir_control *control, int fd, int timeout_ms, enum parcel_kind kind,
		      struct parcel *parcel)
{
	struct pollfd pfds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = control->wake_fd, .events = POLLIN },
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
static int await_begin(struct weir_control *control, int fd)
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
static int hand_over(struct weir_control *control, int fd)
{
	const struct weir_control_ops *ops = control->opts.ops;
	unsigned int hung = 0;
	struct parcel parcel;
	int err;

	err = await_word(control, fd, YIELD_WAIT_MS, PARCEL_YIELD, &parcel);
	if (err)
		return err;
	err = ops->yield(control->opts.ctx, !!parcel.count, &hung);
	if (!err && hung)
		base_log(&control->log, WEIR_LOG_WARN, "control: %u workers do not come to leave "
			 "their listeners", hung);
	if (parcel_send(fd, PARCEL_YIELDED, hung, err, NULL, 0) || err)
		return err ? err : -EPIPE;
	err = await_begin(control, fd);
	if (err < 0)
		return err;
	if (ops->begins)
		ops->begins(control->opts.ctx);
	if (err)
		return 0;
	err = await_word(control, fd, -1, PARCEL_SERVES, &parcel);
	if (!err)
		heirs_set(control, parcel.count);
	return err == -ESHUTDOWN ? 0 : err;
}

static void give(struct weir_control *control, int fd)
{
	int err;

	if (control->opts.flags & WEIR_CONTROL_HOLD) {
		parcel_send(fd, PARCEL_LISTENERS, 0, -EOPNOTSUPP, NULL, 0);
		return;
	}
	err = send_all(control, fd);
	if (!err)
		err = hand_over(control, fd);
	if (err)
		control->opts.ops->take_back(control->opts.ctx);
	else
		leave(control);
}

static void converse(struct weir_control *control)
{
	struct parcel parcel;
	unsigned int none;
	int fd, nowhere;

	fork_lock();
	fd = parcel_accept(control->listen_fd);
	control->peer_fd = fd < 0 ? -1 : fd;
	fork_unlock();
	if (fd < 0)
		return;
	if (!parcel_recv(fd, &parcel, &nowhere, 0, &none)) {
		if (parcel.kind == PARCEL_HOLD)
			holder_join(control);
		else if (parcel.kind == PARCEL_TAKE)
			give(control, fd);
	}
	put(&control->peer_fd);
}

/* the thread */

bool control_told(int fd, uint64_t ns)
{
	uint64_t now = clock_ns(), end = deadline_after(now, ns);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int n;

	do {
		n = poll(&pfd, 1, (int)min_u64((end - now) / NSEC_PER_MSEC, INT32_MAX));
		now = clock_ns();
	} while (n < 0 && now < end);
	return n > 0;
}

/* As it was told: nothing is to be kept for a next one. */
static void end(struct weir_control *control)
{
	const struct weir_control_ops *ops = control->opts.ops;

	if (control->holder_fd >= 0 && !(ops->died && ops->died(control->opts.ctx)))
		parcel_send(control->holder_fd, PARCEL_BYE, 0, 0, NULL, 0);
	put(&control->holder_fd);
	drop(control);
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
	put(&control->holder_fd);
	if (!control_told(control->wake_fd, control->opts.drain_ns ?: DRAIN_DEFAULT_NS))
		control->opts.ops->drained(control->opts.ctx);
	return NULL;
}

/* open and close */

static int copy_listeners(struct weir_control *control, const int *listeners, uint32_t count)
{
	uint32_t i;
	int fd;

	control->fds = mem_get(&base_alloc_libc, count, sizeof(*control->fds), sizeof(int));
	if (!control->fds)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		fd = fcntl(listeners[i], F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		control->fds[control->count++] = fd;
	}
	return 0;
}

static int read_opts(struct weir_control *control, const struct weir_control_opts *given)
{
	struct weir_control_opts *opts = &control->opts;
	int err = opts_copy(opts, sizeof(*opts), given);

	if (err)
		return err;
	if (!parcel_name_ok(opts->instance) || !opts->listeners || !opts->count ||
	    opts->count > WEIR_WORKERS_MAX || opts->workers > WEIR_WORKERS_MAX ||
	    !opts->steering || !opts->ops ||
	    !opts->ops->yield || !opts->ops->take_back || !opts->ops->leave ||
	    !opts->ops->drained || opts->flags & ~(uint32_t)WEIR_CONTROL_ALL)
		return -EINVAL;
	strcpy(control->instance, opts->instance);
	opts->workers = opts->workers ?: opts->count;
	if (opts->log)
		control->log = *opts->log;
	return copy_listeners(control, opts->listeners, opts->count);
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

static int run(struct weir_control *control)
{
	const struct weir_control_opts *opts = &control->opts;
	bool replace = opts->flags & WEIR_CONTROL_REPLACE ||
		       opts->steering->ops->lock(opts->steering) >= 0;
	int err;

	control->listen_fd = parcel_listen(control->instance, "sock", replace, &control->place);
	if (control->listen_fd < 0)
		return control->listen_fd;
	err = manager_store(control->instance, control->fds, control->count, opts->given);
	if (err)
		base_log(&control->log, WEIR_LOG_WARN, "control: the service manager is not "
			 "told: %s", weir_strerror(err));
	err = thread_start(&control->thread, control_main, control);
	control->runs = !err;
	if (err)
		parcel_unlisten(&control->place);
	return err;
}

int control_run(struct weir_control *control)
{
	int err = run(control);

	if (err && err != -EADDRINUSE)
		base_log(&control->log, err == -EACCES ? WEIR_LOG_INFO : WEIR_LOG_WARN,
			 "control: nobody can take %s over: %s", control->instance,
			 weir_strerror(err));
	if (err)
		drop(control);
	return err;
}

int weir_control_open(struct weir_control **controlp, const struct weir_control_opts *opts)
{
	struct weir_control *control;
	int err = control_make(&control, opts);

	if (err)
		return err;
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
	fork_lock();
	close_all(control);
	fork_unlock();
	fork_watch_del(&control->fork);
	mem_put(&base_alloc_libc, control, 1, sizeof(*control));
}
