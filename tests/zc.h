/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * zc.h - loops that send without a copy, and pools whose buffers they lend
 */
#ifndef TESTS_ZC_H
#define TESTS_ZC_H

#include <weir/probe.h>

#include "buf/pool.h"
#include "ends.h"
#include "io/lend.h"

#define BUF_BYTES	(32 << 10)
#define SPARES		16

static inline bool probe_says(const char *name)
{
	size_t count, i;
	const struct weir_feature *features = weir_uring_features(&count);

	for (i = 0; i < count; i++) {
		if (!strcmp(features[i].name, name))
			return features[i].state == WEIR_FEATURE_OK;
	}
	return false;
}

/* Does this loop lend buffers to its kernel? */
static inline bool lends(const struct weir_loop *loop)
{
	return strcmp(weir_loop_backend(loop), "epoll");
}

static inline struct weir_pool *open_pool(struct weir_loop *loop)
{
	struct weir_pool_opts opts = {
		.sz = sizeof(opts), .buf_bytes = BUF_BYTES, .count = 2 * SPARES, .spare = SPARES,
	};
	struct weir_pool *pool;

	return weir_pool_open(&pool, loop, &opts) ? NULL : pool;
}

#endif
