// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * signals.c - signals as events: a signalfd(2) that is read one by one
 */
#include <errno.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <weir/signals.h>

#include "io/backend.h"

_Static_assert(sizeof(struct signalfd_siginfo) ==
	       sizeof(((struct weir_signals *)NULL)->lib_info), "one signal");

static void closed(struct weir_op *op)
{
	struct weir_signals *signals = op->ctx;

	signals->fn(signals, NULL);
}

static void close_file(struct weir_signals *signals, int res)
{
	signals->lib_closing = 1;
	signals->res = res;
	weir_prep_close(&signals->lib_close, signals->lib_file, closed, signals);
	weir_submit(signals->lib_loop, &signals->lib_close);
}

static void read_next(struct weir_signals *signals);

static void came(struct weir_op *op)
{
	struct weir_signals *signals = op->ctx;

	if (op->res == sizeof(signals->lib_info)) {
		signals->fn(signals, (const void *)signals->lib_info);
		if (!signals->lib_closing)
			read_next(signals);
		return;
	}
	if (!signals->lib_closing)
		close_file(signals, op->res < 0 ? op->res : -EIO);
}

static void read_next(struct weir_signals *signals)
{
	weir_prep_read(&signals->lib_op, signals->lib_file, signals->lib_info,
		       sizeof(signals->lib_info), 0, came, signals);
	weir_submit(signals->lib_loop, &signals->lib_op);
}

int weir_signals_open(struct weir_signals *signals, struct weir_loop *loop, const sigset_t *set,
		      weir_signals_fn *fn, void *ctx)
{
	int fd, err;

	assert_owner(loop);
	if (!fn)
		return -EINVAL;
	if (loop->sys != &io_sys_linux)
		return -EOPNOTSUPP;
	/* Blocking: io_uring would not wait for one that is not. */
	fd = signalfd(-1, set, SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	*signals = (struct weir_signals){ .fn = fn, .ctx = ctx, .lib_loop = loop };
	err = weir_file_adopt(loop, fd, &signals->lib_file);
	if (!err)
		err = -pthread_sigmask(SIG_BLOCK, set, NULL);
	if (err) {
		close(fd);
		return err;
	}
	read_next(signals);
	return 0;
}

void weir_signals_close(struct weir_signals *signals)
{
	assert_owner(signals->lib_loop);
	if (!signals->lib_closing)
		close_file(signals, 0);
}
