// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * iter.c - the table of flows that cat(1) can read
 *
 * A convenience: where it cannot be had there is one line in the log, and all
 * else is as it would be. It takes CAP_PERFMON, as does all tracing.
 */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "iter.skel.h"

#include "bpf/instance.h"

static int iter_attach(struct weir_bpf *bpf)
{
	/* All of it is zeroed: libbpf refuses what lies between its members. */
	LIBBPF_OPTS(bpf_iter_attach_opts, opts);
	union bpf_iter_link_info over = { .map.map_fd = bpf->flow_fd };
	struct iter_bpf *iter = iter_bpf__open_and_load();

	if (!iter)
		return -errno;
	opts.link_info = &over;
	opts.link_info_len = sizeof(over);
	iter->links.weir_iter_flows = bpf_program__attach_iter(iter->progs.weir_iter_flows, &opts);
	if (!iter->links.weir_iter_flows) {
		iter_bpf__destroy(iter);
		return -errno;
	}
	bpf->iter = iter;
	return 0;
}

void iter_load(struct weir_bpf *bpf)
{
	const char *said;
	int err;

	if (!bpf->flow)
		return;		/* there are no flows to show */
	capture_begin();
	err = iter_attach(bpf);
	said = capture_end();
	/* Without CAP_PERFMON the rung says so already. */
	if (err && bpf->rung == WEIR_RUNG_FULL)
		bpf_log(bpf, WEIR_LOG_WARN, "bpf: instance %s: no table of flows for cat: %s (%s)",
			bpf->name, strerror(-err), said);
}

void iter_unload(struct weir_bpf *bpf)
{
	iter_bpf__destroy(bpf->iter);
	bpf->iter = NULL;
}

int iter_pin(struct weir_bpf *bpf, const struct reason *reason)
{
	struct iter_bpf *iter = bpf->iter;
	int err;

	if (!iter)
		return 0;
	err = pin_prog(bpf, bpf_program__fd(iter->progs.weir_iter_flows), "weir_iter_flows",
		       reason);
	return err ? err : pin_fd(bpf, bpf_link__fd(iter->links.weir_iter_flows), "flows", reason);
}
