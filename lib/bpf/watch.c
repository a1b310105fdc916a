// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * watch.c - notice when a group of listeners gets another program than ours
 *
 * The last program that is attached to a reuseport group wins, and whoever has a
 * socket in it may attach one. The kernel tells nobody; a walk over the listeners,
 * once a second, finds out. It takes CAP_PERFMON to load; without it a foreign
 * program shows only in weir_listener, by what is no longer picked.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "group.skel.h"

#include "bpf/instance.h"

static uint32_t prog_id(int fd)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

static int watch_attach(struct weir_bpf *bpf)
{
	/* All of it is zeroed: libbpf refuses what lies between its members. */
	LIBBPF_OPTS(bpf_iter_attach_opts, opts);
	union bpf_iter_link_info over = {};
	struct group_bpf *watch = group_bpf__open();
	int err;

	if (!watch)
		return -errno;
	err = adopt_maps(bpf, watch->obj, NULL);
	if (!err)
		err = group_bpf__load(watch);
	if (!err) {
		over.map.map_fd = (uint32_t)bpf_map__fd(watch->maps.weir_group);
		opts.link_info = &over;
		opts.link_info_len = sizeof(over);
		watch->links.weir_iter_group =
			bpf_program__attach_iter(watch->progs.weir_iter_group, &opts);
		if (!watch->links.weir_iter_group)
			err = -errno;
	}
	if (err) {
		group_bpf__destroy(watch);
		return err;
	}
	bpf->watch = watch;
	return 0;
}

void watch_load(struct weir_bpf *bpf)
{
	const char *said;
	int err;

	capture_begin();
	err = watch_attach(bpf);
	said = capture_end();
	bpf->prog_id = prog_id(bpf->dgram ? dgram_prog_fd(bpf) : steer_prog_fd(bpf));
	/* Without CAP_PERFMON the rung says so already. */
	if (err && bpf->rung == WEIR_RUNG_FULL)
		bpf_log(bpf, WEIR_LOG_WARN, "bpf: instance %s: a foreign program on its listeners "
			"will not be noticed: %s (%s)", bpf->name, strerror(-err), said);
}

void watch_unload(struct weir_bpf *bpf)
{
	group_bpf__destroy(bpf->watch);
	bpf->watch = NULL;
}

int watch_pin(struct weir_bpf *bpf, const struct reason *reason)
{
	struct group_bpf *watch = bpf->watch;
	int err = 0;

	if (!watch)
		return 0;
	if (!pins_replace(bpf) || !pin_there(bpf, "weir_group"))
		err = pin_fd(bpf, bpf_map__fd(watch->maps.weir_group), "weir_group", reason);
	if (!err)
		err = pin_prog(bpf, bpf_program__fd(watch->progs.weir_iter_group),
			       "weir_iter_group", reason);
	return err ? err : pin_fd(bpf, bpf_link__fd(watch->links.weir_iter_group), "group",
				  reason);
}

int watch_join(struct weir_bpf *bpf, unsigned int worker, int fd)
{
	struct weir_group group = { .worker = worker, .prog = bpf->prog_id };

	if (!bpf->watch)
		return 0;
	return bpf_map_update_elem(bpf_map__fd(bpf->watch->maps.weir_group), &fd, &group, BPF_ANY);
}

/* the walk */

/* False for the heading. */
static bool line_parse(const char *line, struct weir_bpf_group *group)
{
	char *end;

	memset(group, 0, sizeof(*group));
	group->worker = (uint32_t)strtoul(line, &end, 10);
	if (end == line)
		return false;
	end += strspn(end, " ");
	group->family = strncmp(end, "inet6 ", 6) ? WEIR_FAMILY_INET : WEIR_FAMILY_INET6;
	end += strcspn(end, " ");
	group->prog = (uint32_t)strtoul(end, &end, 10);
	group->own = (uint32_t)strtoul(end, &end, 10);
	return true;
}

int groups_walk(int fd, int (*fn)(void *ctx, const struct weir_bpf_group *group), void *ctx)
{
	char buf[2048], *line, *end;
	struct weir_bpf_group group;
	size_t have = 0;
	ssize_t n;
	int err;

	while ((n = read(fd, buf + have, sizeof(buf) - have)) > 0) {
		have += (size_t)n;
		for (line = buf; (end = memchr(line, '\n', have)); line = end + 1) {
			*end = '\0';
			have -= (size_t)(end + 1 - line);
			err = line_parse(line, &group) ? fn(ctx, &group) : 0;
			if (err)
				return err;
		}
		memmove(buf, line, have);
	}
	return n < 0 ? -errno : 0;
}

static int note_foreign(void *ctx, const struct weir_bpf_group *group)
{
	struct weir_bpf_group *foreign = ctx;

	if (group->prog == group->own)
		return 0;
	*foreign = *group;
	return 1;
}

/* One event and one line for each time that it begins or ends. */
static void tell(struct weir_bpf *bpf, const struct weir_bpf_group *foreign, uint64_t now_ns)
{
	struct weir_event event = {
		.ns	= now_ns,
		.value	= foreign->prog,
		.limit	= bpf->prog_id,
		.kind	= WEIR_EV_FOREIGN,
		.edge	= bpf->foreign ? WEIR_EDGE_ON : WEIR_EDGE_OFF,
		.worker	= foreign->worker,
	};

	/* An event that found no room is counted where it is raised. */
	(void)event_raise(bpf, &event);
	if (!bpf->foreign)
		bpf_log(bpf, WEIR_LOG_INFO, "bpf: instance %s: its program is attached again",
			bpf->name);
	else if (foreign->prog)
		bpf_log(bpf, WEIR_LOG_ERROR, "bpf: instance %s: somebody attached program %u to "
			"its listeners: that chooses now, and not ours (%u)", bpf->name,
			foreign->prog, bpf->prog_id);
	else
		bpf_log(bpf, WEIR_LOG_ERROR, "bpf: instance %s: somebody took its program from "
			"its listeners: the kernel's hash or a classic filter chooses now",
			bpf->name);
}

void watch_tick(struct weir_bpf *bpf, uint64_t now_ns)
{
	struct weir_bpf_group foreign = {};
	int fd, found;

	if (!bpf->watch || !bpf->sealed)
		return;
	fd = bpf_iter_create(bpf_link__fd(bpf->watch->links.weir_iter_group));
	if (fd < 0)
		return;		/* without descriptors or memory: the next second */
	found = groups_walk(fd, note_foreign, &foreign);
	close(fd);
	if (found < 0 || found == bpf->foreign)
		return;
	bpf->foreign = found;
	tell(bpf, &foreign, now_ns);
}
