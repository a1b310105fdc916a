// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * view.c - read an instance from its pins
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/instance.h"

enum view_map {
	VIEW_WORKER,
	VIEW_CFG,
	VIEW_PENDING,
	VIEW_LISTENER,
	VIEW_FLOW,
	VIEW_ADMIN,
	VIEW_HIST,
	VIEW_GATE,
	VIEW_RECENT,	/* from here on: absent on the steering rung */
	VIEW_STATS,
	VIEW_MAX,
};

static const char *const view_names[] = {
	[VIEW_WORKER]	= "weir_worker",
	[VIEW_CFG]	= "weir_cfg",
	[VIEW_PENDING]	= "weir_pending",
	[VIEW_LISTENER]	= "weir_listener",
	[VIEW_FLOW]	= "weir_flow",
	[VIEW_ADMIN]	= "weir_admin",
	[VIEW_HIST]	= "weir_hist",
	[VIEW_GATE]	= "weir_gate",
	[VIEW_RECENT]	= "weir_recent",
	[VIEW_STATS]	= "weir_stats",
};

_Static_assert(ARRAY_SIZE(view_names) == VIEW_MAX, "one name per map");

struct weir_bpf_view {
	struct weir_meta meta;
	int dir_fd;
	int fd[VIEW_MAX];
};

static bool meta_fits(const struct weir_meta *meta)
{
	return meta->abi_major == WEIR_ABI_MAJOR &&
	       meta->row_bytes == sizeof(struct weir_worker_row) &&
	       meta->cfg_bytes == sizeof(struct weir_cfg) &&
	       meta->flow_bytes == sizeof(struct weir_flow) &&
	       meta->event_bytes == sizeof(struct weir_event);
}

void meta_tidy(struct weir_meta *meta, const char *name)
{
	memset(meta->name, 0, sizeof(meta->name));
	strcpy(meta->name, name);
	meta->build_id[sizeof(meta->build_id) - 1] = '\0';
}

static int view_maps(struct weir_bpf_view *view, int dir_fd)
{
	int i;

	for (i = 0; i < VIEW_MAX; i++) {
		view->fd[i] = pin_read(dir_fd, view_names[i], false);
		if (view->fd[i] < 0 && (view->fd[i] != -ENOENT || i < VIEW_RECENT))
			return view->fd[i];
	}
	return 0;
}

int instance_dir(const char *name, struct weir_meta *meta)
{
	int root_fd, fd, err;

	if (!name || !name_valid(name))
		return -EINVAL;
	root_fd = root_open(false, NULL);
	if (root_fd < 0)
		return root_fd;
	fd = pins_at(root_fd, name);
	close(root_fd);
	if (fd < 0)
		return fd;
	err = pin_meta(fd, meta);
	if (!err && !meta_fits(meta))
		err = -EPROTO;
	if (err) {
		close(fd);
		return err;
	}
	meta_tidy(meta, name);
	return fd;
}

static int view_fill(struct weir_bpf_view *view, const char *name)
{
	int cpus = libbpf_num_possible_cpus();	/* which keeps it for percpu_sum() */

	if (cpus < 0)
		return cpus;
	view->dir_fd = instance_dir(name, &view->meta);
	if (view->dir_fd < 0)
		return view->dir_fd;
	return view_maps(view, view->dir_fd);
}

int weir_bpf_view_open(struct weir_bpf_view **viewp, const char *name)
{
	struct weir_bpf_view *view;
	int i, err;

	view = calloc(1, sizeof(*view));
	if (!view)
		return -ENOMEM;
	view->dir_fd = -1;
	for (i = 0; i < VIEW_MAX; i++)
		view->fd[i] = -1;
	err = view_fill(view, name);
	if (err) {
		weir_bpf_view_close(view);
		return err;
	}
	*viewp = view;
	return 0;
}

void weir_bpf_view_close(struct weir_bpf_view *view)
{
	int i;

	if (!view)
		return;
	for (i = 0; i < VIEW_MAX; i++) {
		if (view->fd[i] >= 0)
			close(view->fd[i]);
	}
	if (view->dir_fd >= 0)
		close(view->dir_fd);
	free(view);
}

const struct weir_meta *weir_bpf_view_meta(const struct weir_bpf_view *view)
{
	return &view->meta;
}

int weir_bpf_view_cfg(struct weir_bpf_view *view, struct weir_cfg *cfg)
{
	uint32_t zero = 0;

	return bpf_map_lookup_elem(view->fd[VIEW_CFG], &zero, cfg);
}

int weir_bpf_view_worker(struct weir_bpf_view *view, unsigned int worker,
			 struct weir_bpf_worker *out)
{
	uint64_t counters[sizeof(out->listener) / sizeof(uint64_t)];
	struct weir_bpf_worker read;
	uint32_t key = worker;
	int err;

	err = bpf_map_lookup_elem(view->fd[VIEW_WORKER], &key, &read.row);
	if (!err)
		err = bpf_map_lookup_elem(view->fd[VIEW_PENDING], &key, &read.pending);
	if (!err)
		err = bpf_map_lookup_elem(view->fd[VIEW_ADMIN], &key, &read.admin);
	if (!err)
		err = bpf_map_lookup_elem(view->fd[VIEW_HIST], &key, &read.hist);
	if (!err)
		err = percpu_sum(view->fd[VIEW_LISTENER], key, counters, ARRAY_SIZE(counters));
	if (err)
		return err;
	memcpy(&read.listener, counters, sizeof(read.listener));
	*out = read;
	return 0;
}

int weir_bpf_view_flows(struct weir_bpf_view *view,
			int (*fn)(void *ctx, uint64_t cookie, const struct weir_flow *flow),
			void *ctx)
{
	uint64_t cookie = 0, next, left = UINT64_MAX;
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	struct weir_flow flow;
	int err;

	/* A key that vanishes restarts the walk, so the walk has a limit. */
	err = bpf_obj_get_info_by_fd(view->fd[VIEW_FLOW], &info, &len);
	if (err)
		return err;
	left = 2ULL * info.max_entries;
	while (left-- && !bpf_map_get_next_key(view->fd[VIEW_FLOW], cookie ? &cookie : NULL,
					       &next)) {
		cookie = next;
		if (bpf_map_lookup_elem(view->fd[VIEW_FLOW], &cookie, &flow))
			continue;
		err = fn(ctx, cookie, &flow);
		if (err)
			return err;
	}
	return 0;
}

static int by_seq(const void *one, const void *two)
{
	const struct weir_event *a = one, *b = two;

	return (int32_t)(a->seq - b->seq);
}

#define READ_TRIES	3

/*
 * The kernel copies a slot while others may write it. They empty it first, so what
 * is the same twice was whole. True: there is an event.
 */
static bool event_read(int fd, uint32_t slot, struct weir_event *event, int *err)
{
	struct weir_event again;
	int i;

	for (i = 0; i < READ_TRIES; i++) {
		*err = bpf_map_lookup_elem(fd, &slot, event);
		if (*err || !event->seq)
			return false;
		*err = bpf_map_lookup_elem(fd, &slot, &again);
		if (*err)
			return false;
		if (!memcmp(event, &again, sizeof(again)))
			return true;
	}
	return false;
}

int weir_bpf_view_events(struct weir_bpf_view *view, struct weir_event *out, unsigned int max)
{
	struct weir_event *all;
	unsigned int count = 0;
	uint32_t slot;
	int err;

	if (view->fd[VIEW_RECENT] < 0)
		return 0;
	all = calloc(WEIR_RECENT_MAX, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (slot = 0; slot < WEIR_RECENT_MAX; slot++) {
		count += event_read(view->fd[VIEW_RECENT], slot, &all[count], &err);
		if (err) {
			free(all);
			return err;
		}
	}
	qsort(all, count, sizeof(*all), by_seq);
	if (count < max)
		max = count;
	memcpy(out, all + count - max, max * sizeof(*out));
	free(all);
	return max;
}

int weir_bpf_view_stats(struct weir_bpf_view *view, struct weir_stats *stats)
{
	uint64_t counters[sizeof(*stats) / sizeof(uint64_t)] = {};
	int err = 0;

	if (view->fd[VIEW_STATS] >= 0)
		err = percpu_sum(view->fd[VIEW_STATS], 0, counters, ARRAY_SIZE(counters));
	if (err)
		return err;
	memcpy(stats, counters, sizeof(*stats));
	return 0;
}

int weir_bpf_view_gate(struct weir_bpf_view *view, struct weir_gate *gate)
{
	uint64_t counters[sizeof(*gate) / sizeof(uint64_t)];
	int err;

	err = percpu_sum(view->fd[VIEW_GATE], 0, counters, ARRAY_SIZE(counters));
	if (err)
		return err;
	memcpy(gate, counters, sizeof(*gate));
	return 0;
}

int weir_bpf_view_groups(struct weir_bpf_view *view,
			 int (*fn)(void *ctx, const struct weir_bpf_group *group), void *ctx)
{
	int fd = openat(view->dir_fd, "group", O_RDONLY | O_NOFOLLOW | O_CLOEXEC), err;

	if (fd < 0)
		return errno == ENOENT ? -ENODATA : -errno;
	err = groups_walk(fd, fn, ctx);
	close(fd);
	return err;
}

int weir_bpf_view_progs(struct weir_bpf_view *view,
			int (*fn)(void *ctx, const struct weir_bpf_prog *prog), void *ctx)
{
	return progs_walk(view->dir_fd, fn, ctx);
}

/* It comes and goes while a view is open, so its maps are opened when asked for. */
static int xdp_map(const struct weir_bpf_view *view, const char *name)
{
	int fd = pin_read(view->dir_fd, name, false);

	return fd == -ENOENT ? -EOPNOTSUPP : fd;
}

int weir_bpf_view_xdp(struct weir_bpf_view *view, struct weir_xdp_cfg *cfg,
		      struct weir_xdp_stats *stats)
{
	uint64_t counters[sizeof(*stats) / sizeof(uint64_t)];
	uint32_t zero = 0;
	int fd, err;

	fd = xdp_map(view, "weir_xdp_cfg");
	if (fd < 0)
		return fd;
	err = bpf_map_lookup_elem(fd, &zero, cfg);
	close(fd);
	if (err)
		return err;
	fd = xdp_map(view, "weir_xdp_stats");
	if (fd < 0)
		return fd;
	err = percpu_sum(fd, 0, counters, ARRAY_SIZE(counters));
	close(fd);
	if (!err)
		memcpy(stats, counters, sizeof(*stats));
	return err;
}

int weir_bpf_view_xdp_row(struct weir_bpf_view *view, unsigned int worker,
			  struct weir_xdp_row *row)
{
	uint32_t key = worker;
	int fd, err;

	fd = xdp_map(view, "weir_xdp_row");
	if (fd < 0)
		return fd;
	err = bpf_map_lookup_elem(fd, &key, row);
	close(fd);
	return err;
}
