// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * listener.c - listen, accept for ever, close
 *
 * The accept is armed again whenever it ends, whatever ended it: a listener
 * that was shut down and listens again (a rescue) ends it with -EINVAL. Only
 * when it fails twice with no connection in between does it pause.
 *
 * io_uring waits for a client exclusively: of several who accept on one socket the
 * first in line is woken, and he alone. Where that may be a predecessor that hangs,
 * a poll, which is always woken, tells when to try again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/net.h>

#include "io/backend.h"
#include "net/listener.h"
#include "net/port.h"

enum {
	BACKLOG_DEFAULT	= 4096,
	RETRY_NS	= 10000000,	/* 10 ms */
};

struct weir_listener {
	struct weir_loop *loop;
	struct weir_file file;
	struct weir_addr addr;
	struct weir_listener_opts opts;
	void (*closed)(void *ctx);
	void *closed_ctx;
	void (*halted)(void *ctx);	/* to be told, or NULL */
	void *halted_ctx;
	uint32_t burst;
	uint32_t failures;	/* in a row */
	bool halt;		/* accept nobody for now */
	bool closing;
	bool gone;		/* the close has ended */
	bool shared;
	bool nudged;		/* the accept was cancelled to try again */
	struct weir_op accept;
	struct weir_op watch;	/* of a shared one */
	struct weir_op retry;
	struct weir_op close;
};

/* open */

/* What the kernel cuts a backlog to; 0 if it does not say. */
static uint32_t backlog_limit(const struct weir_loop *loop)
{
	unsigned long value;
	char text[16];
	ssize_t len;
	int fd;

	if (loop->sys != &io_sys_linux)
		return 0;
	fd = open("/proc/sys/net/core/somaxconn", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	value = strtoul(text, NULL, 10);
	return value > INT32_MAX ? INT32_MAX : (uint32_t)value;
}

static int read_opts(struct weir_listener_opts *opts, struct weir_addr *addr,
		     const struct weir_listener_opts *given)
{
	int err;

	err = opts_copy(opts, sizeof(*opts), given);
	if (err)
		return err;
	if ((!opts->addr && !opts->fd) || !opts->accepted || opts->reuseport > 1 ||
	    opts->backlog > INT32_MAX)
		return -EINVAL;
	if (!opts->backlog)
		opts->backlog = BACKLOG_DEFAULT;
	if (opts->fd)
		return 0;
	if (opts->addr->ss.ss_family != AF_INET && opts->addr->ss.ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	*addr = *opts->addr;
	opts->addr = NULL;
	return 0;
}

static int make_listener(struct weir_loop *loop, struct weir_listener *listener, bool listens)
{
	int fd, err;

	fd = port_bind(loop, &listener->addr, listener->opts.reuseport);
	if (fd < 0 || !listens)
		return fd;
	err = loop->sys->listen(loop, fd, (int)listener->burst);
	if (!err)
		return fd;
	loop->sys->close(loop, fd);
	return err;
}

/* Into the loop's table. Sim has no descriptors that could be adopted. */
static int own_socket(struct weir_loop *loop, int fd, struct weir_file *filep)
{
	int err;

	err = io_file_new(loop, fd, filep);
	if (err || loop->sys != &io_sys_linux)
		return err;
	err = loop->backend->adopt(loop, filep->index, fd);
	if (err)
		io_file_free(loop, filep->index);
	return err;
}

static int open_it(struct weir_listener **listenerp, struct weir_loop *loop,
		   const struct weir_listener_opts *given, bool listens)
{
	struct weir_listener *listener;
	uint32_t limit = backlog_limit(loop);
	int fd, err;

	assert_owner(loop);
	listener = mem_get(&loop->alloc, 1, sizeof(*listener), _Alignof(struct weir_listener));
	if (!listener)
		return -ENOMEM;
	listener->loop = loop;
	err = read_opts(&listener->opts, &listener->addr, given);
	if (err)
		goto free_listener;
	listener->burst = listener->opts.backlog;
	if (limit && limit < listener->burst)
		listener->burst = limit;
	fd = listener->opts.fd ? port_take(loop, &listener->addr, *listener->opts.fd, listens) :
				 make_listener(loop, listener, listens);
	if (fd < 0) {
		err = fd;
		goto free_listener;
	}
	listener->opts.fd = NULL;
	err = own_socket(loop, fd, &listener->file);
	if (err)
		goto close_fd;
	*listenerp = listener;
	return 0;

close_fd:
	loop->sys->close(loop, fd);
free_listener:
	mem_put(&loop->alloc, listener, 1, sizeof(*listener));
	return err;
}

int weir_listener_open(struct weir_listener **listenerp, struct weir_loop *loop,
		       const struct weir_listener_opts *opts)
{
	return open_it(listenerp, loop, opts, true);
}

int listener_bind(struct weir_listener **listenerp, struct weir_loop *loop,
		  const struct weir_listener_opts *opts)
{
	return open_it(listenerp, loop, opts, false);
}

/* accept */

static void accept_arm(struct weir_listener *listener);

/* Both the close and the retry must have ended: whichever does so last. */
static void listener_free(struct weir_listener *listener)
{
	struct weir_alloc alloc = listener->loop->alloc;
	void (*closed)(void *ctx) = listener->closed;
	void *ctx = listener->closed_ctx;

	if (!listener->gone || weir_op_busy(&listener->retry))
		return;
	mem_put(&alloc, listener, 1, sizeof(*listener));
	if (closed)
		closed(ctx);
}

static void close_done(struct weir_op *op)
{
	struct weir_listener *listener = op->ctx;

	listener->gone = true;
	listener_free(listener);
}

/* Whichever of the two ends last. */
static void halt_check(struct weir_listener *listener)
{
	void (*halted)(void *ctx) = listener->halted;

	if (!halted || weir_op_busy(&listener->accept) || weir_op_busy(&listener->retry))
		return;
	listener->halted = NULL;
	halted(listener->halted_ctx);
}

static void retry_done(struct weir_op *op)
{
	struct weir_listener *listener = op->ctx;

	if (listener->closing)
		listener_free(listener);
	else if (listener->halt && !listener->loop->closing)
		halt_check(listener);
	else if (listener->loop->closing)	/* its listeners go with it */
		weir_listener_close(listener, NULL, NULL);
	else
		accept_arm(listener);
}

/* Faults of one client, not of the listener: the next may be well. */
static bool client_failed(int err)
{
	return err == -ECONNABORTED || err == -EPROTO || err == -EINTR || err == -EAGAIN;
}

static void accept_ended(struct weir_listener *listener, int res)
{
	if (listener->closing)
		return;
	if (listener->halt && !listener->loop->closing) {
		halt_check(listener);
		return;
	}
	if (res >= 0 || client_failed(res) ||
	    (res == -ECANCELED && listener->nudged && !listener->loop->closing)) {
		accept_arm(listener);
		return;
	}
	if (listener->loop->closing) {
		weir_listener_close(listener, NULL, NULL);
		return;
	}
	if (!listener->failures++) {
		accept_arm(listener);
		return;
	}
	weir_prep_timeout(&listener->retry, deadline_after(loop_clock(listener->loop), RETRY_NS),
			  retry_done, listener);
	weir_submit(listener->loop, &listener->retry);
	if (listener->opts.failed)
		listener->opts.failed(listener->opts.ctx, res);
}

static void accept_done(struct weir_op *op)
{
	struct weir_listener *listener = op->ctx;
	bool more = op->more;
	int res = op->res;

	if (res >= 0) {
		listener->failures = 0;
		listener->opts.accepted(listener->opts.ctx, op->accepted);
	} else if (more && !listener->closing && listener->opts.failed) {
		listener->opts.failed(listener->opts.ctx, res);
	}
	if (!more)
		accept_ended(listener, res);
}

/* Somebody waits: an accept that is armed anew looks before it waits. */
static void watch_done(struct weir_op *op)
{
	struct weir_listener *listener = op->ctx;

	if (listener->closing || listener->halt || op->res < 0)
		return;
	listener->nudged = true;
	weir_cancel(listener->loop, &listener->accept);
}

static void accept_arm(struct weir_listener *listener)
{
	listener->nudged = false;
	weir_prep_accept(&listener->accept, listener->file, listener->burst, accept_done,
			 listener);
	weir_submit(listener->loop, &listener->accept);
	if (!listener->shared || weir_op_busy(&listener->watch))
		return;
	weir_prep_poll(&listener->watch, listener->file, POLLIN, watch_done, listener);
	weir_submit(listener->loop, &listener->watch);
}

void listener_share(struct weir_listener *listener)
{
	/* The other backend's waits are all woken. */
	listener->shared = !strcmp(weir_loop_backend(listener->loop), "uring");
}

void weir_listener_start(struct weir_listener *listener)
{
	assert_owner(listener->loop);
	if (listener->closing || weir_op_busy(&listener->accept) ||
	    weir_op_busy(&listener->retry))
		return;
	accept_arm(listener);
}

void listener_halt(struct weir_listener *listener, void (*halted)(void *ctx), void *ctx)
{
	if (!listener || listener->closing)
		return;
	assert_owner(listener->loop);
	listener->halt = true;
	listener->halted = halted;
	listener->halted_ctx = ctx;
	weir_cancel(listener->loop, &listener->accept);
	weir_cancel(listener->loop, &listener->retry);
	halt_check(listener);
}

/* An accept that is being cancelled still is armed again when it has ended. */
void listener_go_on(struct weir_listener *listener)
{
	if (!listener || listener->closing || !listener->halt)
		return;
	listener->halt = false;
	listener->halted = NULL;
	listener->nudged = true;
	weir_listener_start(listener);
}

/* getters */

void weir_listener_addr(const struct weir_listener *listener, struct weir_addr *addr)
{
	assert_owner(listener->loop);
	*addr = listener->addr;
}

int weir_listener_fd(const struct weir_listener *listener)
{
	return weir_file_fd(listener->loop, listener->file);
}

/* close */

void weir_listener_close(struct weir_listener *listener, void (*closed)(void *ctx), void *ctx)
{
	struct weir_loop *loop;

	if (!listener || listener->closing)
		return;
	loop = listener->loop;
	assert_owner(loop);
	listener->closing = true;
	listener->closed = closed;
	listener->closed_ctx = ctx;
	weir_cancel(loop, &listener->retry);
	weir_prep_close(&listener->close, listener->file, close_done, listener);
	weir_submit(loop, &listener->close);
}

void listener_forget(struct weir_listener *listener, const struct weir_alloc *alloc)
{
	mem_put(alloc, listener, 1, sizeof(*listener));
}
