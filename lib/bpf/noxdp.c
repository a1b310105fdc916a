// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * noxdp.c - the calls of AF_XDP and XDP in a build without libxdp
 *
 * The library exports the same names with CONFIG_XDP=n: opening says why not,
 * and nothing else can be called without what was opened.
 */
#include <errno.h>
#include <string.h>

#include "bpf/xdp.h"

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

int weir_xdp_open(struct weir_xdp **xdpp, struct weir_bpf *bpf, const struct weir_xdp_opts *given)
{
	struct weir_xdp_opts opts;
	struct reason reason;
	int err;

	err = opts_copy(&opts, sizeof(opts), given);
	if (err)
		return err;
	reason.text = opts.reason;
	reason.bytes = opts.reason_bytes;
	return reason_set(&reason, -EOPNOTSUPP, WHY);
}

void weir_xdp_close(struct weir_xdp *xdp)
{
}

int weir_xdp_port_add(struct weir_xdp *xdp, const struct weir_addr *addr, int proto)
{
	return -EOPNOTSUPP;
}

int weir_xdp_port_del(struct weir_xdp *xdp, const struct weir_addr *addr, int proto)
{
	return -EOPNOTSUPP;
}

int weir_xdp_join(struct weir_xdp *xdp, unsigned int worker, const struct weir_xsk *xsk)
{
	return -EOPNOTSUPP;
}

struct weir_xdp_cfg *weir_xdp_cfg(struct weir_xdp *xdp)
{
	return NULL;
}

int weir_xdp_status(const struct weir_xdp *xdp, struct weir_xdp_status *status)
{
	return -EOPNOTSUPP;
}

int weir_xdp_stats(const struct weir_xdp *xdp, struct weir_xdp_stats *stats)
{
	return -EOPNOTSUPP;
}

int weir_xdp_row(const struct weir_xdp *xdp, unsigned int worker, struct weir_xdp_row *row)
{
	return -EOPNOTSUPP;
}

int weir_xdp_carrier_open(struct weir_dgram_carrier **carrierp, struct weir_xdp *xdp)
{
	return -EOPNOTSUPP;
}

void weir_xdp_carrier_close(struct weir_dgram_carrier *carrier)
{
}

void weir_xdp_carrier_stats(const struct weir_dgram_carrier *carrier,
			    struct weir_xdp_carrier_stats *stats, size_t sz)
{
	memset(stats, 0, sz);
}

static int no_probe(char *why)
{
	strcpy(why, WHY);
	return -EOPNOTSUPP;
}

int dispatcher_probe(char why[static WEIR_BPF_WHY_BYTES])
{
	return no_probe(why);
}

int xdp_probe(char *why)
{
	return no_probe(why);
}

int xsk_probe(char *why)
{
	return no_probe(why);
}

void xdp_tick(struct weir_xdp *xdp)
{
}
