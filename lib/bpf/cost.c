// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * cost.c - the programs of an instance, and what they cost
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/instance.h"

int weir_bpf_cost_open(void)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	return fd < 0 ? -errno : fd;
}

/* A pin may be of a map or a link as well; only its descriptor tells. */
static bool fd_is_prog(int fd)
{
	static const char prog[] = "anon_inode:bpf-prog";
	char path[32], target[sizeof(prog)];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target));
	return len == sizeof(prog) - 1 && !memcmp(target, prog, len);
}

static int prog_read(int fd, struct weir_bpf_prog *prog)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	const char *type;
	size_t i;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	memset(prog, 0, sizeof(*prog));
	type = libbpf_bpf_prog_type_str(info.type);
	snprintf(prog->name, sizeof(prog->name), "%.15s", info.name);
	snprintf(prog->type, sizeof(prog->type), "%s", type ? type : "?");
	for (i = 0; i < sizeof(info.tag); i++)
		snprintf(prog->tag + 2 * i, 3, "%02x", info.tag[i]);
	prog->id = info.id;
	prog->run_time_ns = info.run_time_ns;
	prog->run_cnt = info.run_cnt;
	return 0;
}

int progs_walk(int dir_fd, int (*fn)(void *ctx, const struct weir_bpf_prog *prog), void *ctx)
{
	struct weir_bpf_prog prog;
	struct dirent *entry;
	int fd, err;
	DIR *dir;

	err = dir_stream(dir_fd, &dir);
	if (err)
		return err;
	while (!err && (entry = readdir(dir))) {
		fd = entry->d_name[0] == '.' ? -1 : pin_read(dir_fd, entry->d_name, false);
		if (fd < 0)
			continue;	/* a link, or it is gone */
		if (fd_is_prog(fd)) {
			err = prog_read(fd, &prog);
			if (!err)
				err = fn(ctx, &prog);
		}
		close(fd);
	}
	closedir(dir);
	return err;
}
