// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * mount.c - where bpffs and the cgroup2 tree are mounted
 *
 * Read from /proc/self/mountinfo, so that a hybrid cgroup tree is found too;
 * statfs() then tells whether the mount is still visible (ip netns exec, for
 * one, mounts a new /sys over both).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "bpf/instance.h"

#define MOUNTINFO	"/proc/self/mountinfo"
#define BLANKS		"\t\n "

/* mountinfo writes blanks in paths as \040 and so on. */
static void unescape(char *path)
{
	char *from = path, *to = path;

	while (*from) {
		if (from[0] == '\\' && strspn(from + 1, "01234567") >= 3) {
			*to++ = (from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0');
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

/* Field 5 is the mount point; the type follows a lone "-". */
static bool mount_parse(char *line, const char *type, char *path)
{
	char *field, *save = NULL, *point = NULL;
	int i;

	for (i = 1, field = strtok_r(line, BLANKS, &save); field;
	     i++, field = strtok_r(NULL, BLANKS, &save)) {
		if (i == 5)
			point = field;
		if (i > 6 && !strcmp(field, "-"))
			break;
	}
	field = strtok_r(NULL, BLANKS, &save);
	if (!field || !point || strcmp(field, type))
		return false;
	unescape(point);
	return path_join(path, "%s", point) == 0;
}

static int mount_find(char *path, const char *type, long magic)
{
	char found[WEIR_BPF_PATH_BYTES];
	struct statfs fs;
	char *line = NULL;
	size_t bytes = 0;
	int err = -ENODEV;
	FILE *file;

	file = fopen(MOUNTINFO, "re");
	if (!file)
		return -errno;
	while (err && getline(&line, &bytes, file) >= 0) {
		if (!mount_parse(line, type, found))
			continue;
		if (statfs(found, &fs) || fs.f_type != magic)
			continue;
		strcpy(path, found);
		err = 0;
	}
	free(line);
	fclose(file);
	return err;
}

int mount_bpffs(char path[static WEIR_BPF_PATH_BYTES])
{
	return mount_find(path, "bpf", BPF_FS_MAGIC);
}

int mount_cgroup2(char path[static WEIR_BPF_PATH_BYTES])
{
	return mount_find(path, "cgroup2", CGROUP2_SUPER_MAGIC);
}
