/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_ECHO_H
#define WEIR_TOOLS_ECHO_H

/* The echo service that `weir serve` runs and `weir demo` measures. */

#include <stdint.h>
#include <weir/serve.h>

/* A worker that hangs on purpose: blocks its own thread, again and again. */
struct echo_stall {
	uint32_t on;
	uint32_t worker;
	uint64_t block_ns;	/* of every... */
	uint64_t period_ns;
};

/* One writer each, the worker's thread; read by others. */
struct echo_count {
	uint64_t requests;	/* receives that were answered */
	uint64_t bytes;
} __attribute__((aligned(64)));

struct echo {
	struct echo_stall stall;
	struct weir_loop *loop;		/* of the worker that stalls */
	uint64_t next_ns;
	struct weir_op timer;
	struct echo_count count[WEIR_WORKERS_MAX];
};

/* Its ctx is a struct echo that outlives the service. */
extern const struct weir_service_ops echo_ops;	/* of connections and of datagrams */

/*
 * echo_stall_parse() - "W:BLOCK/PERIOD", such as 0:400/1000 (ms) or 0:400ms/1s
 * Return: 0, or -EINVAL.
 */
int echo_stall_parse(const char *text, struct echo_stall *stall);

/* echo_total() - the sum over all workers. */
struct echo_count echo_total(const struct echo *echo);

#endif /* WEIR_TOOLS_ECHO_H */
