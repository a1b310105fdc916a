/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_SOURCE_H
#define WEIR_TOOLS_SOURCE_H

/*
 * A service that sends a seeded stream to its one client and pauses its
 * producer while a signal says that the client does not take it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <weir/serve.h>

#define SOURCE_CHUNK	4096

/* A time during which the producer stood still because of signals. */
struct source_pause {
	uint64_t start_ns;
	uint64_t end_ns;
	struct weir_event on;	/* the signal that began it... */
	struct weir_event off;	/* ...and the one that ended it */
};

struct source {
	/* set before the service is opened */
	uint64_t seed;
	uint64_t total;		/* bytes to send */
	uint64_t period_ns;	/* a chunk each; 0: as fast as it is taken */

	/* the worker's own */
	struct weir_conn *conn;
	struct weir_op timer;
	uint64_t offset;
	uint32_t kinds;		/* signals that are on, a bit for each kind */
	struct source_pause pause;
	unsigned char chunk[SOURCE_CHUNK];

	/* written by the worker, read by anyone */
	atomic_uint_fast64_t produced;
	atomic_uint_fast64_t queued;
	atomic_uint_fast64_t signals_on, signals_off;
	atomic_uint_fast64_t noted;	/* the kernel's, such as RTT: they hold nobody */
	atomic_uint paused;		/* kind of the signal that holds it, or 0 */
	atomic_int ended;		/* the connection is over */
	atomic_int err;			/* what ended it */

	/* the longest pause; valid when ended */
	struct source_pause longest;
};

/* Its ctx is a struct source that outlives the service. */
extern const struct weir_service_ops source_ops;

/* source_fill() - the stream's bytes from @offset on. */
void source_fill(uint64_t seed, uint64_t offset, unsigned char *buf, uint32_t len);

#endif /* WEIR_TOOLS_SOURCE_H */
