// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * pin.c - what is in the directory of an instance
 *
 * The mode of a pin is the only guard of what it pins: the kernel asks for no
 * capability from a process that opens one that it may read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "dgram.skel.h"
#include "event.skel.h"
#include "flow.skel.h"
#include "lookup.skel.h"
#include "steer.skel.h"

#include "bpf/instance.h"

#define META_BYTES_MAX	4096

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE		71
#endif

int pin_path(char *path, int dir_fd, const char *name)
{
	return path_join(path, "/proc/self/fd/%d/%s", dir_fd, name);
}

static int pin_mode(struct weir_bpf *bpf, const char *name, bool group,
		    const struct reason *reason)
{
	if (fchownat(bpf->pins_fd, name, -1, group ? bpf->opts.gid : getegid(),
		     AT_SYMLINK_NOFOLLOW) ||
	    fchmodat(bpf->pins_fd, name, group ? 0640 : 0600, 0))
		return reason_set(reason, -errno, "cannot set the mode of %s/%s: %s", bpf->dir,
				  name, strerror(errno));
	return 0;
}

static int pin_for(struct weir_bpf *bpf, int fd, const char *name, bool group,
		   const struct reason *reason)
{
	char path[WEIR_BPF_PATH_BYTES];
	int err;

	err = pin_path(path, bpf->pins_fd, name);
	if (err)
		return err;
	/* Of the owner before: what is pinned by that name now is ours. */
	if (pins_replace(bpf))
		unlinkat(bpf->pins_fd, name, 0);
	if (bpf_obj_pin(fd, path))
		return reason_set(reason, -errno, "cannot pin %s/%s: %s", bpf->dir, name,
				  strerror(errno));
	return pin_mode(bpf, name, group, reason);
}

int pin_fd(struct weir_bpf *bpf, int fd, const char *name, const struct reason *reason)
{
	return pin_for(bpf, fd, name, bpf->opts.flags & WEIR_BPF_GROUP, reason);
}

/* Never the group's: who may read a program may run it, and so write what it writes. */
int pin_prog(struct weir_bpf *bpf, int fd, const char *name, const struct reason *reason)
{
	return pin_for(bpf, fd, name, false, reason);
}

bool pin_there(const struct weir_bpf *bpf, const char *name)
{
	return bpf->pins_fd >= 0 && !faccessat(bpf->pins_fd, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

/* Readers with a group-readable pin may not open it for writing. */
int pin_read(int dir_fd, const char *name, bool writable)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = writable ? 0 : BPF_F_RDONLY);
	char path[WEIR_BPF_PATH_BYTES];
	int fd, err;

	err = pin_path(path, dir_fd, name);
	if (err)
		return err;
	fd = bpf_obj_get_opts(path, &opts);
	return fd < 0 ? -errno : fd;
}

int pin_info(int dir_fd, const char *name, void *info, uint32_t bytes)
{
	int err, fd = pin_read(dir_fd, name, true);

	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, info, &bytes);
	close(fd);
	return err;
}

/* The value is read whole, and another ABI's may be larger than ours. */
int pin_meta(int dir_fd, struct weir_meta *meta)
{
	char value[META_BYTES_MAX] __attribute__((aligned(8)));
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;
	int fd, err;

	fd = pin_read(dir_fd, "weir_meta", false);
	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (!err && (info.type != BPF_MAP_TYPE_ARRAY || info.value_size < sizeof(*meta) ||
		     info.value_size > sizeof(value)))
		err = -EPROTO;
	if (!err)
		err = bpf_map_lookup_elem(fd, &zero, value);
	close(fd);
	if (err)
		return err;
	memcpy(meta, value, sizeof(*meta));
	return meta->magic == WEIR_ABI_MAGIC ? 0 : -EPROTO;
}

uint64_t netns_cookie(void)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		cookie = 0;
	close(fd);
	return cookie;
}

uint64_t owner_start(uint32_t pid)
{
	char path[32], text[1024], *field;
	unsigned long long start = 0;
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	len = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[len] = '\0';
	/* Field 2 may hold anything, blanks and parentheses too; 22 is wanted. */
	field = strrchr(text, ')');
	if (!field || sscanf(field, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			     "%*s %*s %*s %*s %*s %llu", &start) != 1)
		return 0;
	return start;
}

void tag_text(const struct bpf_prog_info *info, char text[static WEIR_BUILD_ID_BYTES])
{
	uint32_t i;

	memset(text, 0, WEIR_BUILD_ID_BYTES);
	for (i = 0; i < sizeof(info->tag); i++) {
		text[2 * i] = "0123456789abcdef"[info->tag[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[info->tag[i] & 15];
	}
}

/* The tag is the kernel's hash of the program that really runs. */
static void build_id(const struct weir_bpf *bpf, char text[static WEIR_BUILD_ID_BYTES])
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	memset(text, 0, WEIR_BUILD_ID_BYTES);
	if (!bpf_obj_get_info_by_fd(steer_prog_fd(bpf), &info, &len))
		tag_text(&info, text);
}

int meta_write(struct weir_bpf *bpf)
{
	struct weir_meta meta = {
		.magic = WEIR_ABI_MAGIC,
		.netns_cookie = netns_cookie(),
		.owner_start = owner_start(getpid()),
		.opened_ns = clock_ns(),
		.abi_major = WEIR_ABI_MAJOR,
		.abi_minor = WEIR_ABI_MINOR,
		.owner_pid = getpid(),
		.instance = bpf->instance,
		.workers_max = bpf->opts.workers,
		.row_bytes = sizeof(struct weir_worker_row),
		.cfg_bytes = sizeof(struct weir_cfg),
		.flow_bytes = sizeof(struct weir_flow),
		.event_bytes = sizeof(struct weir_event),
		.rung = bpf->rung,
	};
	uint32_t zero = 0;

	strcpy(meta.name, bpf->name);
	build_id(bpf, meta.build_id);
	/* At no time may the pinned program differ from what weir_meta says of it. */
	if (pins_replace(bpf))
		unlinkat(bpf->pins_fd, "weir_steer", 0);
	return bpf_map_update_elem(bpf_map__fd(bpf->steer->maps.weir_meta), &zero, &meta, BPF_ANY);
}

int meta_ports(struct weir_bpf *bpf)
{
	int fd = bpf_map__fd(bpf->steer->maps.weir_meta), err;
	struct weir_meta meta;
	uint32_t zero = 0;

	err = bpf_map_lookup_elem(fd, &zero, &meta);
	if (err)
		return err;
	meta.port4 = bpf->port[0];
	meta.port6 = bpf->port[1];
	return bpf_map_update_elem(fd, &zero, &meta, BPF_ANY);
}

/* A map that the object did not make but took from one loaded before it. */
static bool pinned_already(const struct weir_bpf *bpf, const struct bpf_object *object,
			   const char *name)
{
	const struct bpf_object *before[] = { bpf->steer->obj, bpf->event->obj };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(before) && before[i] != object; i++) {
		if (bpf_object__find_map_by_name(before[i], name))
			return true;
	}
	return !strcmp(name, "weir_meta");
}

/* All maps of an object, but for libbpf's own and those pinned already. */
static int pin_maps(struct weir_bpf *bpf, struct bpf_object *object, const struct reason *reason)
{
	struct bpf_map *map;
	bool group = bpf->opts.flags & WEIR_BPF_GROUP;
	const char *name;
	int err = 0;

	bpf_object__for_each_map(map, object) {
		name = bpf_map__name(map);
		if (bpf_map__is_internal(map) || pinned_already(bpf, object, name))
			continue;
		/* What is there is the same one. */
		if (pins_replace(bpf) && pin_there(bpf, name))
			err = pin_mode(bpf, name, group, reason);
		else
			err = pin_fd(bpf, bpf_map__fd(map), name, reason);
		if (err)
			break;
	}
	return err;
}

static int pin_progs(struct weir_bpf *bpf, struct bpf_object *object, const struct reason *reason)
{
	struct bpf_program *prog;
	int err = 0;

	bpf_object__for_each_program(prog, object) {
		if (bpf_program__fd(prog) < 0) {	/* not of this rung */
			if (pins_replace(bpf))
				unlinkat(bpf->pins_fd, bpf_program__name(prog), 0);
			continue;
		}
		err = pin_prog(bpf, bpf_program__fd(prog), bpf_program__name(prog), reason);
		if (err)
			break;
	}
	return err;
}

static int pin_object(struct weir_bpf *bpf, struct bpf_object *object,
		      const struct reason *reason)
{
	int err = pin_maps(bpf, object, reason);

	return err ? err : pin_progs(bpf, object, reason);
}

/* Whichever of the two it is. */
static int pin_steer(struct weir_bpf *bpf, const struct reason *reason)
{
	int err = pin_maps(bpf, bpf->steer->obj, reason);

	return err ? err : pin_prog(bpf, steer_prog_fd(bpf), "weir_steer", reason);
}

static int pin_flow(struct weir_bpf *bpf, const struct reason *reason)
{
	struct flow_bpf *flow = bpf->flow;
	struct bpf_link *ops = flow->links.weir_sockops ?: flow->links.weir_sockops_q;
	int err;

	err = pin_object(bpf, flow->obj, reason);
	if (!err)
		err = pin_fd(bpf, bpf_link__fd(ops), "weir_link_ops", reason);
	if (!err && flow->links.weir_tp_state)
		err = pin_fd(bpf, bpf_link__fd(flow->links.weir_tp_state), "weir_link_state",
			     reason);
	return err;
}

static int pin_lookup(struct weir_bpf *bpf, const struct reason *reason)
{
	struct lookup_bpf *lookup = bpf->lookup;
	int err;

	err = pin_maps(bpf, lookup->obj, reason);
	if (!err)
		err = pin_progs(bpf, lookup->obj, reason);
	if (!err)
		err = pin_fd(bpf, bpf_link__fd(lookup->links.weir_lookup), "weir_link_vip",
			     reason);
	return err;
}

/* Of an instance with an owner, weir_meta tells of him until he has left. */
static int pin_meta_first(struct weir_bpf *bpf, const struct reason *reason)
{
	int err;

	if (bpf->adopted == WEIR_BPF_TAKEN || bpf->resumed)
		return 0;
	err = meta_write(bpf);
	if (err)
		return reason_set(reason, err, "cannot write weir_meta: %s", strerror(-err));
	if (bpf->adopted)
		return pin_mode(bpf, "weir_meta", bpf->opts.flags & WEIR_BPF_GROUP, reason);
	return pin_fd(bpf, bpf_map__fd(bpf->steer->maps.weir_meta), "weir_meta", reason);
}

/* What an owner before had running and this one has not; the maps wait for the next. */
static void unpin_missing(struct weir_bpf *bpf)
{
	const struct {
		const void *has;
		const char *names[6];
	} parts[] = {
		{ bpf->flow, { "weir_link_ops", "weir_link_state", "weir_sockops",
			       "weir_sockops_q", "weir_tp_state" } },
		{ bpf->overflow, { "weir_overflow", "weir_overflown" } },
		{ bpf->lookup, { "weir_link_vip", "weir_lookup" } },
	};
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		for (j = 0; !parts[i].has && parts[i].names[j]; j++)
			unlinkat(bpf->pins_fd, parts[i].names[j], 0);
}

int pin_all(struct weir_bpf *bpf, const struct reason *reason)
{
	int err;

	err = pin_meta_first(bpf, reason);
	if (!err)
		err = pin_steer(bpf, reason);
	if (!err)
		err = pin_object(bpf, bpf->event->obj, reason);
	if (!err && bpf->dgram)
		err = pin_object(bpf, bpf->dgram->obj, reason);
	if (!err && bpf->flow)
		err = pin_flow(bpf, reason);
	if (!err)
		err = iter_pin(bpf, reason);
	if (!err)
		err = watch_pin(bpf, reason);
	if (!err)
		err = overflow_pin(bpf, reason);
	if (!err && bpf->lookup)
		err = pin_lookup(bpf, reason);
	if (!err && pins_replace(bpf))
		unpin_missing(bpf);
	return err;
}
