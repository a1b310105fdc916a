// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* service_opts.c - what a service is to be: read, checked, filled in */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "serve/parcel.h"
#include "serve/service.h"

enum {
	CONNS_DEFAULT	= 1024,
	BUF_DEFAULT	= 4096 + 64,	/* a page apart, all would share the same cache sets */
	BACKLOG_DEFAULT	= 4096,
	HIGH_DEFAULT	= 64 << 10,
	LOW_DEFAULT	= 16 << 10,
};

#define LINGER_DEFAULT_NS	(5 * NSEC_PER_SEC)
#define STALL_DEFAULT_NS	(100 * NSEC_PER_MSEC)

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
	return value ? value : fallback;
}

static void set_defaults(struct weir_service_opts *opts)
{
	opts->workers = or_default(opts->workers, 1);
	opts->conns_max = or_default(opts->conns_max, CONNS_DEFAULT);
	opts->buf_bytes = or_default(opts->buf_bytes, BUF_DEFAULT);
	opts->backlog = or_default(opts->backlog, BACKLOG_DEFAULT);
	opts->high_bytes = or_default(opts->high_bytes, HIGH_DEFAULT);
	opts->low_bytes = or_default(opts->low_bytes,
				     min_u32(LOW_DEFAULT, opts->high_bytes / 4));
	if (!opts->linger_ns)
		opts->linger_ns = LINGER_DEFAULT_NS;
	if (!opts->drain_ns)
		opts->drain_ns = DRAIN_DEFAULT_NS;
	if (!opts->send_stall_ns)
		opts->send_stall_ns = STALL_DEFAULT_NS;
}

/* Each loop of that backend is a world of its own, and has its own time. */
bool service_simulated(const struct weir_service *service)
{
	const char *backend = service->loop_opts.backend;

	return backend && !strcmp(backend, "sim");
}

/* The predecessor's listeners are as good as the caller's. */
static int take_over(struct weir_service *service)
{
	struct weir_service_opts *opts = &service->opts;
	uint32_t i;

	if (!opts->takeover) {
		service->given = opts->listeners ? or_default(opts->workers, 1) : 0;
		return 0;
	}
	if (opts->listeners)
		return -EINVAL;
	if (opts->carrier && takeover_lives(opts->takeover))
		return -EOPNOTSUPP;
	opts->listeners = weir_takeover_listeners(opts->takeover, &service->given);
	for (i = 0; i < service->given; i++)
		if (parcel_is_udp(opts->listeners[i]) != dgram_mode(service))
			return -EPROTOTYPE;
	opts->workers = or_default(opts->workers, acceptor_mode(service) ?
				   weir_takeover_workers(opts->takeover) : service->given);
	return 0;
}

/* That of the first: of one that is deaf it may be another. */
static void take_addr(struct weir_service *service)
{
	struct weir_addr addr = { .len = sizeof(addr.ss) };
	uint32_t i = 0;

	while (i + 1 < service->given && parcel_is_deaf(service->opts.listeners[i]))
		i++;
	if (!getsockname(service->opts.listeners[i], (struct sockaddr *)&addr.ss, &addr.len))
		service->addr = addr;
}

int service_read_opts(struct weir_service *service, const struct weir_service_opts *given)
{
	struct weir_service_opts *opts = &service->opts;
	int err;

	err = opts_copy(opts, sizeof(*opts), given);
	if (!err)
		err = opts_copy(&service->loop_opts, sizeof(service->loop_opts), opts->loop);
	if (err)
		return err;
	err = take_over(service);
	if (err)
		return err;
	if (!opts->ops || (!opts->addr && !opts->listeners) ||
	    opts->flags & ~(uint32_t)WEIR_SERVICE_ALL ||
	    (opts->flags & WEIR_SERVICE_ACCEPTOR && opts->steering) || service->loop_opts.hooks)
		return -EINVAL;
	if (dgram_mode(service) && (acceptor_mode(service) || !opts->ops->datagram))
		return -EINVAL;
	if (!dgram_mode(service) && opts->carrier)
		return -EINVAL;
	if (opts->flags & WEIR_SERVICE_SHARED &&
	    (!opts->listeners || dgram_mode(service) || acceptor_mode(service)))
		return -EINVAL;
	service->loop_opts.sz = sizeof(service->loop_opts);
	if (service->loop_opts.log)
		service->log = *service->loop_opts.log;
	set_defaults(opts);
	if (opts->workers > WEIR_WORKERS_MAX || opts->low_bytes >= opts->high_bytes ||
	    (service_simulated(service) && opts->workers > 1))
		return -EINVAL;
	service->ops = *opts->ops;
	if (opts->addr)
		service->addr = *opts->addr;
	if (opts->takeover)
		take_addr(service);
	service->conn_ops = (struct weir_conn_ops){
		.data	= service->ops.data ? service->ops.data : client_no_data,
		.drain	= service->ops.drain,
		.closed	= client_closed,
	};
	service->conn_opts = (struct weir_conn_opts){
		.sz		= sizeof(service->conn_opts),
		.ops		= &service->conn_ops,
		.low_bytes	= opts->low_bytes,
		.high_bytes	= opts->high_bytes,
		.linger_ns	= opts->linger_ns,
	};
	return limits_fit(service);
}
