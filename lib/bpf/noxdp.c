// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * noxdp.c - the calls of AF_XDP and XDP in a build without libxdp
 *
 * The library exports the same names with CONFIG_XDP=n: opening says why not,
 * and nothing else can be called without what was opened.
 */
#include <errno.h>
#include <string.h>

#include <weir/xsk.h>

#include "bpf/instance.h"

#define WHY	"built without libxdp (CONFIG_XDP=n)"

int weir_xsk_open(struct weir_xsk **xskp, struct weir_loop *loop, const struct weir_xsk_opts *given)
{
	struct weir_xsk_opts opts;
	struct reason reason;
	int err;

	err = opts_copy(&opts, sizeof(opts), given);
	if (err)
		return err;
	reason.text = opts.reason;
	reason.bytes = opts.reason_bytes;
	return reason_set(&reason, -EOPNOTSUPP, WHY);
}

void weir_xsk_close(struct weir_xsk *xsk)
{
}

int weir_xsk_send(struct weir_xsk *xsk, struct weir_lease *lease, void *frame, uint32_t len)
{
	return -EOPNOTSUPP;
}

int weir_xsk_lease(struct weir_xsk *xsk, struct weir_lease **leasep)
{
	return -EOPNOTSUPP;
}

int weir_xsk_fd(const struct weir_xsk *xsk)
{
	return -EOPNOTSUPP;
}

void weir_xsk_stats(const struct weir_xsk *xsk, struct weir_xsk_stats *stats, size_t sz)
{
	memset(stats, 0, sz);
}
