// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* service_stats.c - what a service and its connections tell: getters and counters */
#include <errno.h>
#include <stddef.h>

#include "serve/service.h"

/* getters */

void weir_service_addr(const struct weir_service *service, struct weir_addr *addr)
{
	*addr = service->addr;
}

const char *weir_service_backend(const struct weir_service *service, const char **reason)
{
	if (reason)
		*reason = service->reason;
	return service->backend;
}

int weir_service_rescue(const struct weir_service *service, const char **reason)
{
	if (reason)
		*reason = service->rescue;
	return !service->rescue;
}

const struct weir_supervisor *weir_service_supervisor(const struct weir_service *service)
{
	return service->supervisor;
}

/* Higher: the service as a whole is in this state if any worker is. */
static unsigned int state_rank(uint32_t state)
{
	static const uint8_t ranks[] = {
		[WEIR_DEAD]	= 1,
		[WEIR_INIT]	= 2,
		[WEIR_DRAIN]	= 3,
		[WEIR_PARKED]	= 4,
		[WEIR_RUN]	= 5,
	};

	return state < ARRAY_SIZE(ranks) ? ranks[state] : 0;
}

static void stats_add(struct weir_service_stats *sum, const struct weir_service_stats *one)
{
	const size_t counters = offsetof(struct weir_service_stats, state) / sizeof(uint64_t);
	const uint64_t *from = (const uint64_t *)(const void *)one;
	uint64_t *to = (uint64_t *)(void *)sum;
	size_t i;

	for (i = 0; i < counters; i++)
		to[i] += from[i];
	if (state_rank(one->state) > state_rank(sum->state))
		sum->state = one->state;
}

int weir_service_stats(const struct weir_service *service, unsigned int worker,
		       struct weir_service_stats *stats, size_t sz)
{
	struct weir_service_stats one, sum = { .state = WEIR_DEAD };
	uint32_t i;

	if (worker != WEIR_WORKER_NONE && worker >= service->opts.workers)
		return -EINVAL;
	for (i = 0; i < service->opts.workers; i++) {
		if (worker != WEIR_WORKER_NONE && worker != i)
			continue;
		meter_read(&service->workers[i], &one);
		stats_add(&sum, &one);
	}
	stats_copy(stats, sz, &sum, sizeof(sum));
	return 0;
}

static const struct client *client_const(const struct weir_conn *conn)
{
	assert(conn->hooks == &client_hooks);
	return (const struct client *)(const void *)conn;
}

void *weir_conn_service_ctx(const struct weir_conn *conn)
{
	return client_const(conn)->worker->service->opts.ctx;
}

unsigned int weir_conn_worker(const struct weir_conn *conn)
{
	return client_const(conn)->worker->index;
}
