/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_SERVE_H
#define WEIR_TOOLS_SERVE_H

#include <limits.h>
#include <sys/types.h>

#include <weir/addr.h>
#include <weir/serve.h>

#include "common.h"
#include "steer.h"

#define POLICY_NOT_SAID	UINT_MAX
#define PORT_NOT_SAID	UINT64_MAX
#define BACKEND_ANY	2	/* place after the last of BACKENDS */
#define BACKENDS	"uring|epoll"
#define INSTANCE	"weir"

struct echo;
struct process_ready;
struct weir_dgram_carrier;
struct weir_takeover;

/* What was asked for, and what came of it. */
struct serve {
	uint64_t workers, port, conns;
	const char *addr, *instance, *group, *cpu_list, *stall, *vip, *xdp;
	unsigned int policy, backend;
	uint64_t napi_us;
	bool no_bpf, no_flows, acceptor, processes, hand_over, no_batch, sqpoll;
	bool json_exit, verbose, takeover;
	/* from here on: not options */
	bool udp, addr_said, port_said;
	int cpus[WEIR_WORKERS_MAX];
	gid_t gid;
	struct weir_addr where;
	struct steer steer;
	struct weir_dgram_carrier *carrier;	/* or NULL: sockets alone */
	struct weir_takeover *listeners;	/* that were there already, or NULL */
	struct weir_service *service;
	struct echo *echo;
};

static inline const char *serve_instance(const struct serve *serve)
{
	return serve->instance ? serve->instance : INSTANCE;
}

/* serve_processes_line() - the same of workers in processes; @ctx is a struct serve. */
void serve_processes_line(void *ctx, const struct process_ready *ready);

extern const struct opt serve_opts[];

/* serve_check() - what the table of options cannot; 0, or the status to end with. */
int serve_check(struct serve *serve, int operands, char **argv);

/* serve_json() - the counters of a service that has ended, as a line of JSON. */
void serve_json(const struct serve *serve, int aborted);

/*
 * serve_sum() - cpu time, system calls and all other counters of a service
 * whose workers have ended or still run.
 */
void serve_sum(const struct weir_service *service, struct weir_service_stats *stats);

/* serve_line() - one line: where it listens, backend, steering, rung, why. */
void serve_line(const struct weir_service *service, const struct steer *steer,
		unsigned int workers, const char *instance);

#endif /* WEIR_TOOLS_SERVE_H */
