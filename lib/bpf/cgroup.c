// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * cgroup.c - the service's own cgroup
 *
 * A socket belongs to the cgroup that its creator was in when it was created,
 * for ever; a child of a listener belongs to the listener's. So the process
 * enters <home>/weir/<name> before it opens listeners, and sockops attached
 * there sees this service and nobody else.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/instance.h"

/* The process's place in the cgroup2 tree: the line "0::<path>". */
static int cgroup_self(char *path)
{
	char *line = NULL;
	size_t bytes = 0;
	int err = -ENODEV;
	FILE *file;

	file = fopen("/proc/self/cgroup", "re");
	if (!file)
		return -errno;
	while (err && getline(&line, &bytes, file) >= 0) {
		if (strncmp(line, "0::", 3))
			continue;
		line[strcspn(line, "\n")] = '\0';
		err = path_join(path, "%s", line + 3);
	}
	free(line);
	fclose(file);
	return err;
}

/* A process that is in one of our cgroups puts the next one beside it. */
static void strip_own(char *path)
{
	char *last = strrchr(path, '/');

	if (!last || last - path < 5 || strncmp(last - 5, "/weir", 5))
		return;
	last[-5] = '\0';
}

static int cgroup_home(char *home)
{
	char mount[WEIR_BPF_PATH_BYTES], self[WEIR_BPF_PATH_BYTES];
	int err;

	err = mount_cgroup2(mount);
	if (err)
		return err;
	err = cgroup_self(self);
	if (err)
		return err;
	if (!strcmp(self, "/"))
		self[0] = '\0';
	strip_own(self);
	return path_join(home, "%s%s", mount, self);
}

static int cgroup_move(const char *path)
{
	char procs[WEIR_BPF_PATH_BYTES];
	int fd, err = 0;

	err = path_join(procs, "%s/cgroup.procs", path);
	if (err)
		return err;
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, "0", 1) != 1)
		err = -errno;
	close(fd);
	return err;
}

static int make_dir(const char *path)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		return -errno;
	return 0;
}

static int cgroup_make(struct weir_bpf *bpf, const struct reason *reason)
{
	char parent[WEIR_BPF_PATH_BYTES];
	int err;

	err = path_join(parent, "%s/weir", bpf->cgroup_home);
	if (!err)
		err = path_join(bpf->cgroup, "%s/%s", parent, bpf->name);
	if (!err)
		err = make_dir(parent);
	if (!err)
		err = make_dir(bpf->cgroup);
	if (err)
		return reason_set(reason, err, "cannot create cgroup %s: %s", bpf->cgroup,
				  strerror(-err));
	return 0;
}

/* For cgroup_find(): nftw(3) hands on nothing. */
static _Thread_local struct {
	uint64_t id;
	char *path;
} wanted;

/* The id of a cgroup is the inode number of its directory. */
static int find_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)ftw;
	return type == FTW_D && st->st_ino == wanted.id && !path_join(wanted.path, "%s", path);
}

/* Where a link watches: its owner may have begun elsewhere in the tree. */
static int cgroup_find(char *path, uint64_t id)
{
	char mount[WEIR_BPF_PATH_BYTES];
	int err;

	err = mount_cgroup2(mount);
	if (err)
		return err;
	wanted.id = id;
	wanted.path = path;
	return nftw(mount, find_one, 16, FTW_PHYS) == 1 ? 0 : -ENOENT;
}

static int cgroup_place(struct weir_bpf *bpf, uint64_t id, const struct reason *reason)
{
	int err;

	if (!id)
		return cgroup_make(bpf, reason);
	err = cgroup_find(bpf->cgroup, id);
	return err ? reason_set(reason, err, "no flows: the cgroup of the pinned link is not "
				"to be found") : 0;
}

int cgroup_enter(struct weir_bpf *bpf, uint64_t id, const struct reason *reason)
{
	int err;

	err = cgroup_home(bpf->cgroup_home);
	if (err == -ENODEV)
		return reason_set(reason, err, "no cgroup2 tree is mounted; mount -t cgroup2 none "
				  "/sys/fs/cgroup/unified");
	if (err)
		return reason_set(reason, err, "cannot find this process's cgroup: %s",
				  strerror(-err));
	err = cgroup_place(bpf, id, reason);
	if (err)
		goto forget;
	bpf->cgroup_fd = open(bpf->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (bpf->cgroup_fd < 0) {
		err = reason_set(reason, -errno, "cannot open cgroup %s: %s", bpf->cgroup,
				 strerror(errno));
		goto remove;
	}
	err = cgroup_move(bpf->cgroup);
	if (err) {
		reason_set(reason, err, "cannot enter cgroup %s: %s", bpf->cgroup, strerror(-err));
		goto close_dir;
	}
	return cgroup_self(bpf->cgroup_self);

close_dir:
	close(bpf->cgroup_fd);
	bpf->cgroup_fd = -1;
remove:
	rmdir(bpf->cgroup);
forget:
	bpf->cgroup[0] = '\0';
	return err;
}

void cgroup_leave(struct weir_bpf *bpf)
{
	char self[WEIR_BPF_PATH_BYTES];

	if (!bpf->cgroup[0])
		return;
	/* Only from our own: another instance may have taken the process since. */
	if (!cgroup_self(self) && !strcmp(self, bpf->cgroup_self))
		cgroup_move(bpf->cgroup_home);
	close(bpf->cgroup_fd);
	bpf->cgroup_fd = -1;
	if (!bpf->theirs)
		rmdir(bpf->cgroup);	/* with it the link would go */
	*strrchr(bpf->cgroup, '/') = '\0';
	rmdir(bpf->cgroup);	/* <home>/weir, when this was the last one */
	bpf->cgroup[0] = '\0';
}

/* What a dead owner left; fails harmlessly while anything still runs in it. */
void cgroup_remove_stale(const char *name)
{
	char home[WEIR_BPF_PATH_BYTES], path[WEIR_BPF_PATH_BYTES];

	if (cgroup_home(home))
		return;
	if (!path_join(path, "%s/weir/%s", home, name))
		rmdir(path);
	if (!path_join(path, "%s/weir", home))
		rmdir(path);
}
