// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * service.c - open, stop, wait for and close a service
 *
 * Whatever can fail is done first: loops, pools, listeners, by the thread that opens,
 * then the user's start(), by each worker's thread. When all are ready a predecessor
 * yields, steering begins, and the threads serve. Opening ends when all have reported
 * that.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/listener.h"
#include "serve/service.h"

/* How many sockets its workers have between them. */
static uint32_t sockets_of(const struct weir_service *service)
{
	return acceptor_mode(service) ? 1 : service->opts.workers;
}

static int take_steering(struct weir_service *service)
{
	int err;

	if (!service->steering) {
		err = weir_steering_reuseport(&service->steering, service->opts.workers);
		if (err)
			return err;
	}
	if (service->opts.workers > service->steering->ops->rows(service->steering))
		return -E2BIG;
	return takeover_fits(service->opts.takeover, service->steering, sockets_of(service));
}

/*
 * SO_REUSEPORT lets a stranger of the same user join the group, silently: half
 * of the clients would be his, and the group's steering program the last one's.
 * So it is tried first whether the port is free for one without.
 */
static int address_free(const struct weir_service *service)
{
	const struct weir_addr *addr = &service->addr;
	/* To UDP, SO_REUSEADDR is a way to share. */
	int reuse = !dgram_mode(service), err = 0, fd;

	/* The port lies at the same place in both families. */
	if (!((const struct sockaddr_in *)(const void *)&addr->ss)->sin_port)
		return 0;
	fd = socket(addr->ss.ss_family,
		    (dgram_mode(service) ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) ||
	    bind(fd, (const struct sockaddr *)(const void *)&addr->ss, addr->len))
		err = -errno;
	close(fd);
	return err;
}

/* open */

/* All that may fail for good has been done: from here on it is ours. */
static int succeed(struct weir_service *service)
{
	struct weir_steering *st = service->steering;
	unsigned int hung = service->opts.flags & WEIR_SERVICE_SHARED;
	uint32_t i;
	int err = 0;

	if (service->opts.takeover)
		err = weir_takeover_begin(service->opts.takeover, st, sockets_of(service), &hung);
	for (i = 0; hung && !dgram_mode(service) && i < sockets_of(service); i++)
		listener_share(service->workers[i].listener);
	for (i = 0; i < service->opts.workers && !err; i++)
		err = worker_listen(&service->workers[i]);
	return err ? err : st->ops->seal(st);
}

static int open_workers(struct weir_service *service)
{
	uint32_t i;
	int err;

	service->workers = mem_get(&service->alloc, service->opts.workers,
				   sizeof(*service->workers), WEIR_CACHELINE_BYTES);
	if (!service->workers)
		return -ENOMEM;
	for (i = 0; i < service->opts.workers; i++) {
		service->workers[i].service = service;
		service->workers[i].gone = true;
		handover_open(&service->workers[i]);
	}
	err = service_simulated(service) || service->opts.listeners ? 0 :
	      address_free(service);
	for (i = 0; i < service->opts.workers && !err; i++)
		err = worker_open(&service->workers[i], i);
	if (!err)
		err = owner_prepare(service);
	if (!err)
		err = child_prepare(service);
	if (err)
		return err;
	service->opts.listeners = NULL;
	service->backend = weir_loop_backend(service->workers[0].loop);
	snprintf(service->reason, sizeof(service->reason), "%s",
		 weir_loop_reason(service->workers[0].loop));
	return 0;
}

static int await_reports(struct weir_service *service, uint32_t count)
{
	int err;

	pthread_mutex_lock(&service->lock);
	while (service->reports < count)
		pthread_cond_wait(&service->reported, &service->lock);
	err = service->start_err;
	pthread_mutex_unlock(&service->lock);
	return err;
}

static int start_workers(struct weir_service *service)
{
	uint32_t i;
	int err = 0, failed;

	for (i = 0; i < service->opts.workers && !err; i++)
		err = worker_start(&service->workers[i]);
	/* The last of them was not created. */
	if (err)
		i--;
	failed = await_reports(service, i);
	return err ? err : failed;
}

/* What those that are ready wait for: 1 to serve, -errno to end. */
static void tell_workers(struct weir_service *service, int go)
{
	pthread_mutex_lock(&service->lock);
	if (!service->go)
		service->go = go;
	pthread_cond_broadcast(&service->reported);
	pthread_mutex_unlock(&service->lock);
}

static int run_workers(struct weir_service *service)
{
	tell_workers(service, 1);
	return await_reports(service, 2 * service->opts.workers);
}

/* Why the queue of a worker that hangs stays where it is, or NULL. */
static const char *rescue_off(const struct weir_service *service)
{
	if (service->steering->ops == &steer_reuseport_ops)
		return "the kernel's hash moves no queue";
	if (service_simulated(service))
		return "simulated";
	if (dgram_mode(service))
		return "datagrams stay in the socket that they came to";
	if (weir_loop_eager(service->workers[0].loop))
		return "without DEFER_TASKRUN the kernel accepts for a worker that hangs";
	/* Of a share, its parent does it, and knows how many there are. */
	if (service->opts.workers == 1 && service->steering->ops != &share_ops)
		return "there is one worker";
	return NULL;
}

/* Where nothing is steered there is nothing to be done about what it would see. */
static int open_supervisor(struct weir_service *service)
{
	struct weir_supervisor_opts opts = {
		.sz		= sizeof(opts),
		.log		= &service->log,
		.period_ns	= service->opts.supervise_ns,
		.workers	= service->opts.workers,
	};

	service->rescue = rescue_off(service);
	if (service->rescue)
		opts.flags |= WEIR_SUPERVISOR_NO_RESCUE;
	if (service->steering->ops == &steer_reuseport_ops ||
	    service->steering->ops == &share_ops || service_simulated(service))
		return 0;
	return weir_supervisor_open(&service->supervisor, service->steering, &opts);
}

static void log_open(struct weir_service *service)
{
	char text[WEIR_ADDR_TEXT_MAX];

	if (weir_addr_format(&service->addr, text, sizeof(text)) < 0)
		text[0] = '\0';
	service_log(service, WEIR_LOG_INFO,
		    "service: %u workers of %u connections on %s, backend %s (%s), steering %s, "
		    "rescue: %s%s", service->opts.workers, service->opts.conns_max, text,
		    service->backend, service->reason, service->steering->ops->name,
		    service->rescue ? "off: " : "on", service->rescue ? service->rescue : "");
}

/* Of options of any version: what is needed before they can be read. */
static struct weir_steering *steering_of(const struct weir_service_opts *given)
{
	return given && given->sz >= offsetof(struct weir_service_opts, loop) ?
	       given->steering : NULL;
}

static struct weir_alloc alloc_of(const struct weir_service_opts *given)
{
	const struct weir_loop_opts *loop = NULL;

	if (given && given->sz >= offsetof(struct weir_service_opts, cpus))
		loop = given->loop;
	if (loop && loop->sz >= offsetof(struct weir_loop_opts, log) && loop->alloc)
		return *loop->alloc;
	return base_alloc_libc;
}

static void steering_close(struct weir_steering *steering)
{
	if (steering)
		steering->ops->close(steering);
}

/* Those of workers that had died: nobody comes to them when the predecessor goes on. */
static void end_revived(struct weir_service *service)
{
	unsigned int count, i;
	const int *fds;

	if (!service->opts.takeover || !service->workers)
		return;
	fds = weir_takeover_listeners(service->opts.takeover, &count);
	for (i = 0; i < service->opts.workers && i < count; i++)
		if (service->workers[i].revived)
			shutdown(fds[i], SHUT_RDWR);
}

/* Everything that others see is the predecessor's again, who is told last. */
static void give_back(struct weir_service *service)
{
	struct weir_takeover *takeover = service->opts.takeover;
	struct weir_steering *st = service->steering;

	tell_workers(service, -ECANCELED);
	end_revived(service);
	if (takeover && st && st->ops->adopted(st))
		(void)st->ops->yield(st, 1);	/* it fails for want of memory alone */
	weir_service_close(service);
	takeover_end(takeover);
}

/* Whoever sets the clock makes nobody wait longer. */
static void reported_init(struct weir_service *service)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&service->reported, &attr);
	pthread_condattr_destroy(&attr);
}

int weir_service_open(struct weir_service **servicep, const struct weir_service_opts *given)
{
	struct weir_alloc alloc = alloc_of(given);
	struct weir_service *service;
	int err;

	service = mem_get(&alloc, 1, sizeof(*service), _Alignof(struct weir_service));
	if (!service) {
		steering_close(steering_of(given));
		return -ENOMEM;
	}
	service->alloc = alloc;
	service->steering = steering_of(given);
	service->stop_ns = DEADLINE_NONE;
	pthread_mutex_init(&service->lock, NULL);
	reported_init(service);
	err = service_read_opts(service, given);
	if (!err)
		err = take_steering(service);
	if (!err)
		err = owner_claim(service);
	if (!err)
		err = open_workers(service);
	if (!err)
		err = start_workers(service);
	if (!err)
		err = succeed(service);
	if (!err)
		err = child_begins(service);
	if (!err)
		err = run_workers(service);
	if (!err)
		err = open_supervisor(service);
	if (!err) {
		takeover_serves(service->opts.takeover, sockets_of(service), service->opts.workers);
		owner_announce(service);
	}
	if (!err)
		err = child_start(service);
	if (err) {
		give_back(service);
		return err;
	}
	service->opts.takeover = NULL;
	log_open(service);
	*servicep = service;
	return 0;
}

/* stop, wait, close */

/* The clock of the loops; a simulated one's as its only worker has told it last. */
static uint64_t clock_of(const struct weir_service *service)
{
	if (service_simulated(service) && service->workers && service->workers[0].row)
		return __atomic_load_n(&service->workers[0].row->loop_ns, __ATOMIC_RELAXED);
	return clock_ns();
}

void weir_service_stop(struct weir_service *service, uint64_t timeout_ns)
{
	uint64_t stop_ns = deadline_after(clock_of(service), timeout_ns);
	uint64_t old = atomic_load(&service->stop_ns);
	uint32_t i;

	while (stop_ns < old && !atomic_compare_exchange_weak(&service->stop_ns, &old, stop_ns))
		;
	for (i = 0; i < service->opts.workers; i++)
		worker_wake(&service->workers[i]);
	weir_control_stop(service->control);
	child_stop(service);
}

int weir_service_wait(struct weir_service *service)
{
	uint64_t aborted = 0;
	int died = 0;
	uint32_t i;

	if (service->joined)
		return service->result;
	for (i = 0; i < service->opts.workers; i++) {
		struct worker *w = &service->workers[i];

		if (!w->created)
			continue;
		pthread_join(w->thread, NULL);
		aborted += w->aborted;
		if (!died)
			died = w->err;
	}
	supervisor_stop(service->supervisor);
	service->joined = true;
	service->result = died ? died : (int)min_u64(aborted, INT32_MAX);
	service_log(service, WEIR_LOG_INFO, "service: ended, %llu connections aborted",
		    (unsigned long long)aborted);
	return service->result;
}

void weir_service_close(struct weir_service *service)
{
	struct weir_alloc alloc;
	bool leaked = false;
	uint32_t i;

	if (!service)
		return;
	if (service->workers) {
		weir_service_stop(service, 0);
		weir_service_wait(service);
		for (i = 0; i < service->opts.workers; i++) {
			worker_close(&service->workers[i]);
			leaked |= service->workers[i].leaked;
		}
	}
	weir_supervisor_close(service->supervisor);
	weir_control_close(service->control);
	child_close(service);
	steering_close(service->steering);
	if (leaked)
		return;		/* what the kernel keeps points to the rest */
	pthread_cond_destroy(&service->reported);
	pthread_mutex_destroy(&service->lock);
	alloc = service->alloc;
	mem_put(&alloc, service->workers, service->opts.workers, sizeof(*service->workers));
	mem_put(&alloc, service, 1, sizeof(*service));
}
