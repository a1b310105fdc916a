// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * stale.c - which instances there are, and what dead owners left behind
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/instance.h"

/* An empty directory has no weir_meta to tell whose it is: its owner must do. */
static bool removable(int fd)
{
	struct stat st;

	return !dir_empty(fd) || (!fstat(fd, &st) && st.st_uid == geteuid());
}

static int clean_one(int root_fd, const char *name)
{
	int fd, err;

	fd = dir_lock(root_fd, name, name, NULL);
	if (fd < 0)
		return fd == -EWOULDBLOCK ? -EADDRINUSE : fd;
	err = removable(fd) ? dir_clean(fd, name, name, NULL) : -EEXIST;
	if (!err && unlinkat(root_fd, name, AT_REMOVEDIR))
		err = -errno;
	close(fd);
	return err;
}

/* Everything in the root that may be an instance; @fn ends it by other than 0. */
static int root_walk(int root_fd, int (*fn)(void *ctx, int root_fd, const char *name), void *ctx)
{
	struct dirent *entry;
	DIR *dir;
	int err;

	err = dir_stream(root_fd, &dir);
	if (err)
		return err;
	while (!err && (entry = readdir(dir))) {
		if (name_valid(entry->d_name))
			err = fn(ctx, root_fd, entry->d_name);
	}
	closedir(dir);
	return err;
}

static int clean_count(void *ctx, int root_fd, const char *name)
{
	int *count = ctx;

	*count += !clean_one(root_fd, name);
	return 0;
}

int weir_bpf_clean_stale(const char *name)
{
	int fd, err, count = 0;

	if (name && !name_valid(name))
		return -EINVAL;
	fd = root_open(false, NULL);
	if (fd < 0)
		return fd == -ENOENT && !name ? 0 : fd;
	if (name) {
		err = clean_one(fd, name);
		count = 1;
	} else {
		err = root_walk(fd, clean_count, &count);
	}
	close(fd);
	return err ? err : count;
}

struct lister {
	int (*fn)(void *ctx, const struct weir_bpf_instance *instance);
	void *ctx;
};

static int list_one(void *ctx, int root_fd, const char *name)
{
	struct weir_bpf_instance instance = {};
	struct lister *lister = ctx;
	int fd, pins_fd, err;

	fd = dir_at(root_fd, name);
	if (fd < 0)
		return 0;
	pins_fd = pins_open(fd);
	err = pins_fd < 0 ? pins_fd : pin_meta(pins_fd, &instance.meta);
	if (pins_fd >= 0)
		close(pins_fd);
	instance.alive = dir_held(fd);
	close(fd);
	if (err)
		return 0;
	strcpy(instance.name, name);
	meta_tidy(&instance.meta, name);
	return lister->fn(lister->ctx, &instance);
}

int weir_bpf_list(int (*fn)(void *ctx, const struct weir_bpf_instance *instance), void *ctx)
{
	struct lister lister = { fn, ctx };
	int fd, err;

	fd = root_open(false, NULL);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = root_walk(fd, list_one, &lister);
	close(fd);
	return err;
}
