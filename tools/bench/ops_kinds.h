/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_BENCH_OPS_KINDS_H
#define WEIR_TOOLS_BENCH_OPS_KINDS_H

/* Operations of one kind, many times over: what the ops benchmark runs. */

#include <weir/loop.h>
#include <weir/pool.h>

#define OPS_DEPTH_MAX	64

struct ops_run {
	const struct ops_kind *kind;
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_file file;
	int peer;			/* the other end, or -1 */
	int clients[OPS_DEPTH_MAX];	/* of accept */
	struct weir_op ops[OPS_DEPTH_MAX];
	uint64_t left;			/* events still wanted */
	uint64_t due;			/* operations still to be submitted */
	int err;			/* the first that failed */
	unsigned char buf[64];
};

/*
 * @chunk: how many operations a filling by feed() is enough for; 0: any number
 * @multi: one operation brings all events
 * @open: make what it works on. NULL: nothing
 * @feed: outside of what is counted, before each chunk. NULL: nothing
 * @prep: prepare @op for another go
 */
struct ops_kind {
	const char *name;
	unsigned int chunk;
	bool multi;
	int (*open)(struct ops_run *run);
	int (*feed)(struct ops_run *run);
	void (*prep)(struct ops_run *run, struct weir_op *op);
};

extern const struct ops_kind ops_kinds[];	/* ends with one without name */

void ops_done(struct weir_op *op);

#endif /* WEIR_TOOLS_BENCH_OPS_KINDS_H */
