// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dgram_udp.c - datagrams by a UDP socket of each worker
 *
 * A stop leaves the steering first and goes on receiving until some turns brought
 * nothing, since nobody else would ever take what waits in this socket. Where a
 * successor has the socket, it receives nothing any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <unistd.h>

#include <weir/option.h>

#include "io/backend.h"
#include "serve/dgram_udp.h"
#include "serve/parcel.h"

enum {
	QUIET_TURNS	= 4,		/* without a datagram, and a stop receives no more */
	STOP_TURNS	= 1024,		/* nor after so many */
};

/* stop */

static void closed(struct weir_op *op)
{
	struct udp *udp = op->ctx;

	weir_dgram_stopped(udp->dgram);
}

void udp_close_when_idle(struct udp *udp)
{
	if ((udp->busy && !udp->aborted) || weir_op_busy(&udp->close) || !udp->file.gen)
		return;
	weir_prep_close(&udp->close, udp->file, closed, udp);
	udp->file = (struct weir_file){ 0 };
	udp->fd = -1;
	weir_submit(udp->worker->loop, &udp->close);
}

static void receiving_over(struct udp *udp)
{
	if (udp->sending_over)
		return;
	udp_flush(udp);
	udp->sending_over = true;
	udp_recv_end(udp);
	weir_cancel(udp->worker->loop, &udp->quiet);
	udp_close_when_idle(udp);
}

static void turned(struct weir_op *op);

static void another_turn(struct udp *udp)
{
	udp->quiet_seen = udp->worker->meter.stats.accepted;
	weir_prep_nop(&udp->quiet, turned, udp);
	weir_submit(udp->worker->loop, &udp->quiet);
}

static void turned(struct weir_op *op)
{
	struct udp *udp = op->ctx;

	if (udp->sending_over)
		return;
	/* One that waits for a buffer does not know what there is. */
	udp->quiet_turns = udp->quiet_seen == udp->worker->meter.stats.accepted &&
			   !udp->worker->pool->group.parked ? udp->quiet_turns + 1 : 0;
	if (op->res || udp->quiet_turns == QUIET_TURNS || !udp->stop_turns--)
		receiving_over(udp);
	else
		another_turn(udp);
}

static void udp_stop(void *port, int now)
{
	struct udp *udp = port;

	if (!udp->stopping) {
		udp->stopping = true;
		udp->stop_turns = STOP_TURNS;
		another_turn(udp);
	}
	if (!now)
		return;
	udp->aborted = true;
	receiving_over(udp);
	udp_close_when_idle(udp);
}

/* open and close */

static int bind_socket(struct worker *w, int fd)
{
	const struct io_sys *sys = w->loop->sys;
	struct weir_addr *addr = &w->service->addr;
	int err;

	err = sys->bind(w->loop, fd, (const struct sockaddr *)&addr->ss, addr->len);
	/* The first one's port is everybody's. */
	if (!err)
		err = sys->getsockname(w->loop, fd, (struct sockaddr *)&addr->ss, &addr->len);
	return err;
}

static int new_socket(struct worker *w, bool later)
{
	const struct io_sys *sys = w->loop->sys;
	sa_family_t family = w->service->addr.ss.ss_family;
	int on = 1, err, fd;

	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	fd = sys->socket(w->loop, family, SOCK_DGRAM, 0);
	if (fd < 0)
		return fd;
	/* Of one worker too: steering needs a group, and a later one may join it. */
	err = sys->setsockopt(w->loop, fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (!err && !later)
		err = bind_socket(w, fd);
	if (!err)
		return fd;
	sys->close(w->loop, fd);
	return err;
}

/* One of the caller's, that is bound already. */
static int take_socket(struct worker *w)
{
	int given = w->service->opts.listeners[w->index], type, fd;
	struct weir_addr addr = { .len = sizeof(addr.ss) };
	socklen_t len = sizeof(type);

	if (w->loop->sys != &io_sys_linux)
		return -EOPNOTSUPP;
	if (getsockopt(given, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_DGRAM ||
	    getsockname(given, (struct sockaddr *)&addr.ss, &addr.len) ||
	    !((const struct sockaddr_in *)(const void *)&addr.ss)->sin_port)
		return -EINVAL;
	fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	w->service->addr = addr;
	return fd;
}

/* That of a worker that died hears nobody: its heir has a new one. */
static bool is_given(const struct worker *w)
{
	const struct weir_service *service = w->service;

	return w->index < service->given &&
	       !(service->opts.takeover && parcel_is_deaf(service->opts.listeners[w->index]));
}

static void merge_set(struct udp *udp, int fd)
{
	struct weir_loop *loop = udp->worker->loop;
	int on = udp->gro;

	if (loop->sys->setsockopt(loop, fd, SOL_UDP, UDP_GRO, &on, sizeof(on)))
		udp->gro = false;
}

void udp_merge(struct udp *udp)
{
	merge_set(udp, udp->fd);
}

static int socket_open(struct udp *udp)
{
	struct worker *w = udp->worker;
	const struct weir_service_opts *opts = &w->service->opts;
	bool given = is_given(w);
	int err, fd;

	/* A new one gets datagrams as soon as it is bound. */
	udp->later = opts->takeover && !given;
	fd = given ? take_socket(w) : new_socket(w, udp->later);
	if (fd < 0)
		return fd;
	udp->gro = opts->buf_bytes >= WEIR_DGRAM_GRO_BYTES;
	/* One that has an owner still is his to receive from. */
	if (!opts->takeover && udp->gro)
		merge_set(udp, fd);
	udp->own = udp_own_open(udp, fd);
	err = weir_file_adopt(w->loop, fd, &udp->file);
	if (err)
		w->loop->sys->close(w->loop, fd);
	else
		udp->fd = weir_file_fd(w->loop, udp->file);
	return err;
}

static void udp_close(void *port)
{
	struct udp *udp = port;
	const struct weir_alloc *alloc = &udp->worker->service->alloc;

	udp_messages_close(udp);
	mem_put(alloc, udp, 1, sizeof(*udp));
}

static int udp_open(struct weir_dgram_carrier *carrier, struct weir_dgram *dgram, void **portp)
{
	struct worker *w = dgram->worker;
	struct udp *udp = mem_get(&w->service->alloc, 1, sizeof(*udp), _Alignof(struct udp));
	int err;

	if (!udp)
		return -ENOMEM;
	udp->dgram = dgram;
	udp->worker = w;
	udp->max = w->service->opts.conns_max;
	udp->merge_bytes = MERGE_BYTES;
	err = udp_messages_open(udp);
	if (!err)
		err = socket_open(udp);
	if (err) {
		udp_close(udp);
		return err;
	}
	udp->room.msg_namelen = sizeof(struct sockaddr_in6);
	udp->room.msg_controllen = (udp->gro ? CMSG_SPACE(sizeof(int)) : 0) +
				   (udp->own ? OWN_SPACE : 0);
	*portp = udp;
	return 0;
}

static void udp_start(void *port)
{
	udp_recv_arm(port);
}

static struct udp *udp_of(const struct worker *w)
{
	return w->dgram.ports[w->dgram.count - 1].port;
}

bool dgram_is_later(const struct worker *w)
{
	return udp_of(w)->later;
}

int dgram_bind(struct worker *w)
{
	struct udp *udp = udp_of(w);
	int err = udp->later ? bind_socket(w, dgram_udp_fd(w)) : 0;

	if (!err)
		udp_merge(udp);
	return err;
}

void dgram_halt(struct worker *w)
{
	if (w->dgram.running)
		udp_halt(udp_of(w));
}

void dgram_go_on(struct worker *w)
{
	if (w->dgram.running)
		udp_go_on(udp_of(w));
}

void dgram_deafen(struct worker *w)
{
	int fd = w->dgram.count ? dgram_udp_fd(w) : -1, err;

	err = fd < 0 ? 0 : parcel_deafen(fd);
	if (err)
		service_log(w->service, WEIR_LOG_WARN, "worker %u: datagrams come to its socket "
			    "still, and are lost: %s", w->index, weir_strerror(err));
}

int dgram_udp_fd(const struct worker *w)
{
	/* A simulated one has none; who steers by the kernel refuses that. */
	return udp_of(w)->fd;
}

const struct weir_dgram_carrier_ops dgram_udp_ops = {
	.sz	= sizeof(struct weir_dgram_carrier_ops),
	.name	= "udp",
	.open	= udp_open,
	.start	= udp_start,
	.send	= udp_send,
	.flush	= udp_flush,
	.stop	= udp_stop,
	.close	= udp_close,
};
