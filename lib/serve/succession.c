// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * succession.c - what who has listeners says with a successor, and with a holder
 *
 * What is done for a successor is the owner's: he accepts nobody any more, and what
 * the kernel and others see is the successor's, but the listeners stay: until that one
 * says that he serves. If he ends before that, all is taken back as it was.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/base.h"
#include "serve/control.h"
#include "serve/parcel.h"
#include "serve/service.h"

#define YIELD_WAIT_MS		60000	/* for a successor that has asked: it loads */

/* the holder */

void control_hold(struct weir_control *control)
{
	int fd, err;

	control_put(&control->holder_fd);
	err = control_socket(&control->holder_fd);
	if (err)
		return;
	fd = control->holder_fd;
	if (parcel_reach(fd, control->instance, "hold")) {
		control_put(&control->holder_fd);	/* nobody holds */
		return;
	}
	err = parcel_send(fd, PARCEL_KEEP, control->opts.workers, 0, NULL, 0);
	if (!err)
		err = parcel_send_listeners(fd, control->fds, control->count);
	if (!err)
		return;
	base_log(&control->log, WEIR_LOG_WARN, "control: the holder takes nothing: %s",
		 weir_strerror(err));
	control_put(&control->holder_fd);
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

void control_mute(struct weir_control *control, uint32_t listener)
{
	if (listener < control->count)
		parcel_mute(control->fds[listener]);
}

/* 0 heirs: how many is not known. */
static void heirs_set(struct weir_control *control, uint32_t heirs)
{
	if (heirs)
		deafen_from(control, heirs);
	if (control->opts.ops->heirs)
		control->opts.ops->heirs(control->opts.ctx, heirs);
}

/* The name is his; until he has it, or when he dies before that, it is nobody's. */
static void leave(struct weir_control *control)
{
	control_drop(control);
	control_put(&control->listen_fd);
	control->place.path[0] = '\0';
	control->left = true;
	control->opts.ops->leave(control->opts.ctx);
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

void control_converse(struct weir_control *control)
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
			control_hold(control);
		else if (parcel.kind == PARCEL_TAKE)
			give(control, fd);
	}
	control_put(&control->peer_fd);
}
