// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * load.c - the steering program, and the arrays that both halves map
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "steer.skel.h"

#include "bpf/instance.h"

int steer_prog_fd(const struct weir_bpf *bpf)
{
	return bpf_program__fd(bpf->steer->progs.weir_steer);
}

int steer_socks_fd(const struct weir_bpf *bpf, bool v6)
{
	return bpf_map__fd(v6 ? bpf->steer->maps.weir_socks6 : bpf->steer->maps.weir_socks);
}

static size_t page_round(size_t bytes)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (bytes + page - 1) & ~(page - 1);
}

static int map_array(void **memp, size_t *bytesp, const struct bpf_map *map)
{
	size_t bytes = page_round((size_t)bpf_map__max_entries(map) * bpf_map__value_size(map));
	void *mem;

	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (mem == MAP_FAILED)
		return -errno;
	*memp = mem;
	*bytesp = bytes;
	return 0;
}

static int steer_size(struct weir_bpf *bpf)
{
	struct bpf_map *maps[] = {
		bpf->steer->maps.weir_worker,
		bpf->steer->maps.weir_pending,
		bpf->steer->maps.weir_listener,
		bpf->steer->maps.weir_socks,
		bpf->steer->maps.weir_socks6,
	};
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(maps); i++) {
		err = bpf_map__set_max_entries(maps[i], bpf->opts.workers);
		if (err)
			return err;
	}
	return bpf_map__set_max_entries(bpf->steer->maps.weir_flow, bpf->opts.flows_max);
}

static void cfg_defaults(struct weir_bpf *bpf)
{
	struct weir_cfg cfg = {
		.stale_ns = bpf->opts.stale_ns,
		.rescue_ns = WEIR_RESCUE_NS,
		.flow_age_ns = WEIR_FLOW_AGE_NS,
		.rtx_window_ns = WEIR_RTX_WINDOW_NS,
		.rtx_quiet_ns = WEIR_RTX_QUIET_NS,
		.policy = bpf->opts.policy,
		.workers = bpf->opts.workers,
		.scan_max = WEIR_SCAN_MAX,
		.flow_period_us = WEIR_FLOW_PERIOD_US,
		.rtt_on_permille = WEIR_RTT_ON_PERMILLE,
		.rtt_off_permille = WEIR_RTT_OFF_PERMILLE,
		.rtt_floor_us = WEIR_RTT_FLOOR_US,
		.rtx_burst = WEIR_RTX_BURST,
		.sendq_high_bytes = WEIR_SENDQ_HIGH_BYTES,
		.sendq_low_bytes = WEIR_SENDQ_LOW_BYTES,
	};

	*bpf->cfg = cfg;
}

static int steer_map(struct weir_bpf *bpf, const struct reason *reason)
{
	int err;

	err = map_array((void **)&bpf->rows, &bpf->rows_bytes, bpf->steer->maps.weir_worker);
	if (!err)
		err = map_array((void **)&bpf->pending, &bpf->pending_bytes,
				bpf->steer->maps.weir_pending);
	if (!err)
		err = map_array((void **)&bpf->cfg, &bpf->cfg_bytes, bpf->steer->maps.weir_cfg);
	if (err)
		return reason_set(reason, err, "cannot map the load table: %s", strerror(-err));
	cfg_defaults(bpf);
	bpf->flow_fd = bpf_map__fd(bpf->steer->maps.weir_flow);
	return 0;
}

int steer_load(struct weir_bpf *bpf, const struct reason *reason)
{
	const char *said;
	int err;

	capture_begin();
	bpf->steer = steer_bpf__open();
	err = bpf->steer ? steer_size(bpf) : -errno;
	if (!err)
		err = steer_bpf__load(bpf->steer);
	said = capture_end();
	if (err == -EPERM)
		return reason_set(reason, -EPERM, "the kernel refused BPF: CAP_BPF is needed (%s)",
				  said);
	if (err)
		return reason_set(reason, err, "cannot load the steering program: %s (%s)",
				  strerror(-err), said);
	return steer_map(bpf, reason);
}

void steer_unload(struct weir_bpf *bpf)
{
	if (bpf->cfg)
		munmap(bpf->cfg, bpf->cfg_bytes);
	if (bpf->pending)
		munmap(bpf->pending, bpf->pending_bytes);
	if (bpf->rows)
		munmap(bpf->rows, bpf->rows_bytes);
	steer_bpf__destroy(bpf->steer);
}
