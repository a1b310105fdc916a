// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * instance.c - open and close an instance
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weir/xdp.h>

#include "bpf/instance.h"

#define NAME_DEFAULT	"weir"
#define FLOWS_DEFAULT	65536U
#define RING_DEFAULT	65536U
#define FLAGS_ALL	(WEIR_BPF_NO_FLOWS | WEIR_BPF_GROUP | WEIR_BPF_ADOPT | WEIR_BPF_DGRAM | \
			 WEIR_BPF_HEIR)

static int opts_check(const struct weir_bpf_opts *opts, const struct reason *reason)
{
	if (!name_valid(opts->name))
		return reason_set(reason, -EINVAL, "instance name \"%.40s\" is not 1 to %d of "
				  "[A-Za-z0-9_-]", opts->name, WEIR_NAME_BYTES - 1);
	if (opts->workers > WEIR_WORKERS_MAX)
		return reason_set(reason, -EINVAL, "%u workers: at most %u are possible",
				  opts->workers, WEIR_WORKERS_MAX);
	if (opts->policy > WEIR_POLICY_WEIGHTED)
		return reason_set(reason, -EINVAL, "policy %u is none", opts->policy);
	if (opts->ring_bytes & (opts->ring_bytes - 1) ||
	    opts->ring_bytes % (uint32_t)sysconf(_SC_PAGESIZE))
		return reason_set(reason, -EINVAL, "event ring of %u bytes: not a power of two of "
				  "whole pages", opts->ring_bytes);
	if (opts->flags & ~FLAGS_ALL)
		return reason_set(reason, -EINVAL, "unknown flags %#x", opts->flags);
	if (opts->lock && !(opts->flags & WEIR_BPF_ADOPT))
		return reason_set(reason, -EINVAL, "a lock without WEIR_BPF_ADOPT");
	return 0;
}

static void opts_default(struct weir_bpf_opts *opts)
{
	opts->name = opts->name ?: NAME_DEFAULT;
	opts->workers = opts->workers ?: 1;
	opts->flows_max = opts->flows_max ?: FLOWS_DEFAULT;
	opts->ring_bytes = opts->ring_bytes ?: RING_DEFAULT;
	opts->stale_ns = opts->stale_ns ?: WEIR_STALE_NS;
	/* They are of connections. */
	if (opts->flags & WEIR_BPF_DGRAM)
		opts->flags |= WEIR_BPF_NO_FLOWS;
}

static struct weir_bpf *instance_new(const struct weir_bpf_opts *opts)
{
	struct weir_bpf *bpf;
	uint32_t i;

	bpf = calloc(1, sizeof(*bpf));
	if (!bpf)
		return NULL;
	bpf->members = calloc(opts->workers, sizeof(*bpf->members));
	if (!bpf->members) {
		free(bpf);
		return NULL;
	}
	for (i = 0; i < opts->workers; i++) {
		bpf->members[i].fd[0] = -1;
		bpf->members[i].fd[1] = -1;
		bpf->members[i].lent[0] = -1;
		bpf->members[i].lent[1] = -1;
		bpf->members[i].ring.fd = -1;
	}
	pthread_mutex_init(&bpf->listeners, NULL);
	bpf->base.ops = &bpf_steering_ops;
	bpf->opts = *opts;
	strcpy(bpf->name, opts->name);
	bpf->opts.name = bpf->name;
	if (opts->log) {
		bpf->log_copy = *opts->log;
		bpf->log = &bpf->log_copy;
	}
	bpf->root_fd = -1;
	bpf->lock_fd = -1;
	bpf->pins_fd = -1;
	bpf->carried.pins_fd = -1;
	bpf->cgroup_fd = -1;
	bpf->own_fd = -1;
	bpf->rep_fd[0] = -1;
	bpf->rep_fd[1] = -1;
	bpf->diag_fd = -1;
	bpf->instance = (uint32_t)(clock_ns() * 0x9e3779b97f4a7c15ULL >> 32);
	return bpf;
}

static void instance_free(struct weir_bpf *bpf)
{
	carry_close(bpf);
	pthread_mutex_destroy(&bpf->listeners);
	free(bpf->members);
	free(bpf);
}

/*
 * Programs first, since what the unprivileged want to hear is which privilege;
 * but where there are maps to go on with, they are needed for that.
 */
static int instance_load(struct weir_bpf *bpf, const struct reason *reason)
{
	int err;

	if (adopt_likely(bpf)) {
		err = dir_open(bpf, reason);
		return err ? err : steer_load(bpf, reason);
	}
	err = steer_load(bpf, reason);
	return err ? err : dir_open(bpf, reason);
}

int weir_bpf_open(struct weir_bpf **bpfp, const struct weir_bpf_opts *opts)
{
	struct weir_bpf_opts known;
	struct reason reason;
	struct weir_bpf *bpf;
	int err;

	err = opts_copy(&known, sizeof(known), opts);
	if (err)
		return err;
	reason.text = known.reason;
	reason.bytes = known.reason_bytes;
	opts_default(&known);
	err = opts_check(&known, &reason);
	if (err)
		return err;
	bpf = instance_new(&known);
	if (!bpf)
		return -ENOMEM;
	err = instance_load(bpf, &reason);
	if (err)
		goto unload;
	err = event_load(bpf, &reason);
	if (!err)
		err = dgram_load(bpf, &reason);
	if (err)
		goto unload_event;
	flow_load(bpf);
	iter_load(bpf);
	watch_load(bpf);
	overflow_load(bpf);
	err = lookup_load(bpf, &reason);
	/* Of an owner who lives the pins are replaced when he has left: bpf_seal(). */
	if (!err && bpf->adopted != WEIR_BPF_TAKEN)
		err = pin_all(bpf, &reason);
	if (err)
		goto unload_flow;
	*bpfp = bpf;
	return 0;

unload_flow:
	lookup_unload(bpf);
	overflow_unload(bpf);
	watch_unload(bpf);
	iter_unload(bpf);
	flow_unload(bpf);
unload_event:
	dgram_unload(bpf);
	event_unload(bpf);
unload:
	dir_close(bpf);
	steer_unload(bpf);
	instance_free(bpf);
	return err;
}

void weir_bpf_close(struct weir_bpf *bpf)
{
	if (!bpf)
		return;
	weir_xdp_close(bpf->xdp);
	overflow_unload(bpf);
	lookup_unload(bpf);
	watch_unload(bpf);
	iter_unload(bpf);
	flow_unload(bpf);
	dgram_unload(bpf);
	event_unload(bpf);
	dir_close(bpf);
	steer_unload(bpf);
	if (bpf->diag_fd >= 0)
		close(bpf->diag_fd);
	instance_free(bpf);
}

struct weir_steering *weir_bpf_steering(struct weir_bpf *bpf)
{
	return &bpf->base;
}

struct weir_cfg *weir_bpf_cfg(struct weir_bpf *bpf)
{
	return bpf->cfg;
}

int weir_bpf_status(struct weir_bpf *bpf, struct weir_bpf_status *status)
{
	struct weir_bpf_status full = {
		.sz = sizeof(full),
		.rung = bpf->rung,
		.workers = bpf->opts.workers,
		.flow_errors = atomic_load(&bpf->flow_errors),
		.flows_swept = atomic_load(&bpf->flows_swept),
		.pending_fixed = atomic_load(&bpf->pending_fixed),
		.adopted = bpf->adopted,
		.generation = bpf->generation,
	};
	size_t sz = status->sz;

	if (sz < offsetof(struct weir_bpf_status, flow_errors))
		return -EINVAL;
	strcpy(full.dir, bpf->dir);
	strcpy(full.cgroup, bpf->cgroup);
	strcpy(full.why, bpf->why);
	memcpy(status, &full, sz < sizeof(full) ? sz : sizeof(full));
	status->sz = sz;
	return 0;
}
