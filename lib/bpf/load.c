// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * load.c - the steering program, and the arrays that both halves map
 */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "steer.skel.h"

#include "bpf/instance.h"

int steer_prog_fd(const struct weir_bpf *bpf)
{
	int fd = bpf_program__fd(bpf->steer->progs.weir_steer);

	return fd < 0 ? bpf_program__fd(bpf->steer->progs.weir_steer_l) : fd;
}

int steer_socks_fd(const struct weir_bpf *bpf, bool v6)
{
	return bpf_map__fd(v6 ? bpf->steer->maps.weir_socks6 : bpf->steer->maps.weir_socks);
}

/* The arrays that both halves see, and where each is known here. */
struct mapped {
	void **memp;
	const struct bpf_map *map;
};

enum { MAPPED = 5 };

static void mapped_list(struct weir_bpf *bpf, struct mapped list[static MAPPED])
{
	list[0] = (struct mapped){ (void **)&bpf->rows, bpf->steer->maps.weir_worker };
	list[1] = (struct mapped){ (void **)&bpf->pending, bpf->steer->maps.weir_pending };
	list[2] = (struct mapped){ (void **)&bpf->cfg, bpf->steer->maps.weir_cfg };
	list[3] = (struct mapped){ (void **)&bpf->admin, bpf->steer->maps.weir_admin };
	list[4] = (struct mapped){ (void **)&bpf->hist, bpf->steer->maps.weir_hist };
}

void **steer_mapped(struct weir_bpf *bpf, unsigned int i, size_t *bytes, int *fd)
{
	struct mapped list[MAPPED];

	if (i >= MAPPED)
		return NULL;
	mapped_list(bpf, list);
	*bytes = array_bytes(list[i].map);
	*fd = bpf_map__fd(list[i].map);
	return list[i].memp;
}

static int steer_size(struct weir_bpf *bpf)
{
	struct bpf_map *maps[] = {
		bpf->steer->maps.weir_worker,
		bpf->steer->maps.weir_pending,
		bpf->steer->maps.weir_admin,
		bpf->steer->maps.weir_hist,
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
	uint32_t i;

	weir_cfg_init(bpf->cfg);
	bpf->cfg->stale_ns = bpf->opts.stale_ns;
	if (bpf->cfg->rescue_ns < bpf->cfg->stale_ns)
		bpf->cfg->rescue_ns = bpf->cfg->stale_ns;
	bpf->cfg->policy = bpf->opts.policy;
	for (i = 0; i < bpf->opts.workers; i++)
		bpf->admin[i].weight = WEIR_WEIGHT_DEFAULT;
	carry_set(bpf);
	bpf->cfg->workers = bpf->opts.workers;
}

static int steer_map(struct weir_bpf *bpf, const struct reason *reason)
{
	struct mapped list[MAPPED];
	uint32_t i;
	int err = 0;

	mapped_list(bpf, list);
	for (i = 0; i < MAPPED && !err; i++)
		err = array_map(list[i].memp, list[i].map);
	/* What a living owner maps is not touched before he has yielded: bpf_seal(). */
	if (!err && bpf->theirs) {
		err = adopt_leave(bpf);
		bpf->had = *bpf->cfg;
	}
	if (err)
		return reason_set(reason, err, "cannot map the load table: %s", strerror(-err));
	if (bpf->adopted)
		adopt_cfg(bpf);
	else
		cfg_defaults(bpf);
	bpf->flow_fd = bpf_map__fd(bpf->steer->maps.weir_flow);
	return 0;
}

struct steer_bpf *steer_skel(bool reads)
{
	struct steer_bpf *steer = steer_bpf__open();

	if (!steer)
		return NULL;
	bpf_program__set_autoload(steer->progs.weir_steer, reads);
	bpf_program__set_autoload(steer->progs.weir_steer_l, !reads);
	return steer;
}

static int steer_open(struct weir_bpf *bpf, bool reads, const struct reason *reason)
{
	int err;

	bpf->steer = steer_skel(reads);
	if (!bpf->steer)
		return reason_set(reason, -errno, "cannot open the steering program: %s",
				  strerror(errno));
	err = steer_size(bpf);
	return err ? reason_set(reason, err, "cannot size the maps of steering: %s",
				strerror(-err)) :
		     adopt_maps(bpf, bpf->steer->obj, reason);
}

/* Reading the kernel's memory takes CAP_PERFMON and a kernel of 6.2: tried first. */
int steer_load(struct weir_bpf *bpf, const struct reason *reason)
{
	const char *said;
	int reads, err = 0;

	for (reads = 1; reads >= 0; reads--) {
		capture_begin();
		err = steer_open(bpf, reads, reason);
		if (err) {
			capture_end();
			return err;
		}
		err = steer_bpf__load(bpf->steer);
		said = capture_end();
		if (!err)
			return steer_map(bpf, reason);
		steer_bpf__destroy(bpf->steer);
		bpf->steer = NULL;
	}
	if (err == -EPERM)
		return reason_set(reason, -EPERM, "the kernel refused BPF: CAP_BPF is needed (%s)",
				  said);
	return reason_set(reason, err, "cannot load the steering program: %s (%s)", strerror(-err),
			  said);
}

void steer_unload(struct weir_bpf *bpf)
{
	struct mapped list[MAPPED];
	size_t i;

	if (bpf->steer) {
		mapped_list(bpf, list);
		for (i = 0; i < MAPPED; i++)
			array_unmap(list[i].memp, list[i].map);
	}
	steer_bpf__destroy(bpf->steer);
}
