// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * worker_listen.c - the listeners of a worker: its own, and the one that stands for the
 * group
 */
#include <errno.h>
#include <sys/socket.h>

#include "net/listener.h"
#include "serve/parcel.h"
#include "serve/service.h"

#define COMPLAIN_NS	NSEC_PER_SEC

static void accept_failed(void *ctx, int err)
{
	struct worker *w = ctx;
	uint64_t now_ns = weir_loop_now(w->loop);

	if (w->failed_ns && now_ns - w->failed_ns < COMPLAIN_NS)
		return;
	w->failed_ns = now_ns;
	service_log(w->service, WEIR_LOG_WARN,
		    "worker %u: accepting pauses: %s; %u connections, %u clients wait for one",
		    w->index, weir_strerror(err), w->conns, w->held.count);
}

static int join(struct worker *w, int fd)
{
	struct weir_steering *st = w->service->steering;

	w->row->epoch++;
	return st->ops->join(st, w->index, fd);
}

int worker_open_listener(struct worker *w)
{
	struct weir_service *service = w->service;
	struct weir_listener_opts opts = {
		.sz		= sizeof(opts),
		.addr		= &service->addr,
		.accepted	= client_accepted,
		.failed		= accept_failed,
		.ctx		= w,
		.backlog	= service->opts.backlog,
		.reuseport	= !acceptor_mode(service),
	};
	bool later = false;
	int err, fd;

	if (acceptor_mode(service) && w->index)
		return 0;
	if (w->index < service->given)
		opts.fd = &service->opts.listeners[w->index];
	/* One that is given does not listen when its worker had died. */
	if (service->opts.takeover)
		later = !opts.fd || !parcel_listens(*opts.fd);
	err = (later ? listener_bind : weir_listener_open)(&w->listener, w->loop, &opts);
	if (err)
		return err;
	/* A simulated one has none; who steers by the kernel refuses that. */
	fd = weir_listener_fd(w->listener);
	if (fd < 0 && fd != -EOPNOTSUPP)
		return fd;
	/* The first one's port is everybody's. */
	weir_listener_addr(w->listener, &service->addr);
	worker_accepting(w, true);
	w->later_fd = later ? fd : -1;
	return later ? 0 : join(w, fd);
}

int worker_listen(struct worker *w)
{
	int fd = w->later_fd;

	if (dgram_mode(w->service))
		return w->service->opts.takeover ? dgram_listen(w) : 0;
	if (fd < 0)
		return 0;
	w->later_fd = -1;
	if (!parcel_listens(fd)) {
		if (listen(fd, (int)w->service->opts.backlog))
			return -errno;
		w->revived = w->index < w->service->given;
	}
	return join(w, fd);
}

bool worker_first(const struct worker *w)
{
	uint32_t i;

	for (i = 0; i < w->index; i++) {
		if (!atomic_load(&w->service->workers[i].dead))
			return false;
	}
	return true;
}

/*
 * The steering may have a listener of its own in the group. It gives nobody to it,
 * but the kernel's hash, which decides when nothing else can, might.
 */
int worker_spare(struct worker *w)
{
	struct weir_service *service = w->service;
	int err, fd = service->steering->ops->spare(service->steering);
	struct weir_listener_opts opts = {
		.sz		= sizeof(opts),
		.accepted	= client_accepted,
		.failed		= accept_failed,
		.ctx		= w,
		.backlog	= service->opts.backlog,
		.fd		= &fd,
	};

	if (fd < 0 || w->spare || worker_stopping(w) || !worker_first(w))
		return 0;
	err = weir_listener_open(&w->spare, w->loop, &opts);
	if (!err)
		weir_listener_start(w->spare);
	return err;
}
