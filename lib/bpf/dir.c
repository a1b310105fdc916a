// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dir.c - the directory of an instance, and who holds it
 *
 * The owner keeps a lock on <bpffs>/weir/<name> as long as it lives; the lock
 * goes with the process, however it ends. A directory that nobody holds is
 * stale and is emptied, provided that its weir_meta says that it was weir's.
 * weir_meta is pinned first and unlinked last, so a directory with pins but
 * without it is somebody else's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/instance.h"

#define META		"weir_meta"
#define OPEN_TRIES	16	/* a cleaner may remove the directory under us */
#define META_BYTES_MAX	4096

int dir_root(char path[static WEIR_BPF_PATH_BYTES], const struct reason *reason)
{
	char mount[WEIR_BPF_PATH_BYTES];
	int err;

	err = mount_bpffs(mount);
	if (err)
		return reason_set(reason, err, "bpffs is not mounted; mount -t bpf "
				  "bpf /sys/fs/bpf");
	return path_join(path, "%s/weir", mount);
}

/* Everybody may create files in a bpffs by default: trust no one else's. */
static int dir_check(const char *path, const struct reason *reason)
{
	struct stat st;

	if (lstat(path, &st))
		return reason_set(reason, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return reason_set(reason, -ENOTDIR, "%s is not a directory", path);
	if ((st.st_uid && st.st_uid != geteuid()) || st.st_mode & 022)
		return reason_set(reason, -EPERM, "%s belongs to uid %u with mode %o: not safe",
				  path, st.st_uid, st.st_mode & 07777);
	return 0;
}

static int dir_make(const char *path, mode_t mode, const struct reason *reason)
{
	if (!mkdir(path, mode))
		chmod(path, mode);	/* whatever the umask took; dir_check() tells */
	else if (errno != EEXIST)
		return reason_set(reason, -errno, "cannot create %s: %s", path, strerror(errno));
	return dir_check(path, reason);
}

/* The value is read whole, and another ABI's may be larger than ours. */
int pin_meta(const char *dir, struct weir_meta *meta)
{
	char value[META_BYTES_MAX] __attribute__((aligned(8)));
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;
	int fd, err;

	fd = pin_read(dir, META, false);
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

bool owner_alive(const struct weir_meta *meta)
{
	return meta->owner_start && owner_start(meta->owner_pid) == meta->owner_start;
}

/* A directory that was opened but removed before it was locked is not ours. */
static bool same_dir(int fd, const char *path)
{
	struct stat held, there;

	return !fstat(fd, &held) && !stat(path, &there) && held.st_ino == there.st_ino &&
	       held.st_dev == there.st_dev;
}

/* Open and lock; -EWOULDBLOCK when somebody holds it, -ENOENT when it is gone. */
static int dir_lock(const char *path)
{
	int fd, err;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		err = -errno;
		close(fd);
		return err;
	}
	if (!same_dir(fd, path)) {
		close(fd);
		return -ENOENT;
	}
	return fd;
}

static int in_use(const char *path, const char *name, const struct reason *reason)
{
	struct weir_meta meta;

	if (pin_meta(path, &meta))
		return reason_set(reason, -EADDRINUSE, "instance %s is being opened by another "
				  "process", name);
	return reason_set(reason, -EADDRINUSE, "instance %s is alive: process %u, network "
			  "namespace %llu", name, meta.owner_pid, meta.netns_cookie);
}

static int unlink_all(int dir_fd)
{
	struct dirent *entry;
	int fd, err = 0;
	DIR *dir;

	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	while (!err && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    !strcmp(entry->d_name, META))
			continue;
		if (unlinkat(dir_fd, entry->d_name, 0))
			err = -errno;
	}
	closedir(dir);
	if (!err && unlinkat(dir_fd, META, 0) && errno != ENOENT)
		err = -errno;
	return err;
}

static bool dir_empty(int dir_fd)
{
	struct dirent *entry;
	int fd, count = 0;
	DIR *dir;

	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return false;
	while ((entry = readdir(dir)))
		count++;
	closedir(dir);
	return count <= 2;
}

/* Empty a directory that is locked and whose owner is therefore dead. */
static int dir_clean(int fd, const char *path, const char *name, const struct reason *reason)
{
	struct weir_meta meta;
	int err;

	if (dir_empty(fd))
		return 0;
	err = pin_meta(path, &meta);
	if (err == -ENOENT || err == -EPROTO)
		return reason_set(reason, -EEXIST, "%s holds something that is not weir's", path);
	if (err)
		return reason_set(reason, err, "cannot read %s/%s: %s", path, META,
				  strerror(-err));
	err = unlink_all(fd);
	if (err)
		return reason_set(reason, err, "cannot clean %s: %s", path, strerror(-err));
	cgroup_remove_stale(name);
	return 0;
}

static int dir_take(struct weir_bpf *bpf, const struct reason *reason)
{
	bool group = bpf->opts.flags & WEIR_BPF_GROUP;
	int i, err, fd = -ENOENT;

	for (i = 0; i < OPEN_TRIES && fd == -ENOENT; i++) {
		err = dir_make(bpf->dir, 0700, reason);
		if (err)
			return err;
		fd = dir_lock(bpf->dir);
	}
	if (fd == -EWOULDBLOCK)
		return in_use(bpf->dir, bpf->name, reason);
	if (fd < 0)
		return reason_set(reason, fd, "cannot lock %s: %s", bpf->dir, strerror(-fd));
	err = dir_clean(fd, bpf->dir, bpf->name, reason);
	if (!err && (fchown(fd, -1, group ? bpf->opts.gid : getegid()) ||
		     fchmod(fd, group ? 0750 : 0700)))
		err = reason_set(reason, -errno, "cannot set the mode of %s: %s", bpf->dir,
				 strerror(errno));
	if (err) {
		close(fd);
		return err;
	}
	bpf->lock_fd = fd;
	return 0;
}

int dir_open(struct weir_bpf *bpf, const struct reason *reason)
{
	char root[WEIR_BPF_PATH_BYTES];
	int err;

	err = dir_root(root, reason);
	if (!err)
		err = path_join(bpf->dir, "%s/%s", root, bpf->name);
	if (err)
		return err;
	err = dir_make(root, 0755, reason);
	if (err)
		return err;
	return dir_take(bpf, reason);
}

void dir_close(struct weir_bpf *bpf)
{
	int err;

	if (bpf->lock_fd < 0)
		return;
	err = unlink_all(bpf->lock_fd);
	if (!err && rmdir(bpf->dir))
		err = -errno;
	if (err)
		bpf_log(bpf, WEIR_LOG_WARN, "bpf: pins stay in %s: %s", bpf->dir, strerror(-err));
	close(bpf->lock_fd);
	bpf->lock_fd = -1;
}

static int clean_one(const char *root, const char *name)
{
	char path[WEIR_BPF_PATH_BYTES];
	int fd, err;

	err = path_join(path, "%s/%s", root, name);
	if (err)
		return err;
	fd = dir_lock(path);
	if (fd < 0)
		return fd == -EWOULDBLOCK ? -EADDRINUSE : fd;
	err = dir_clean(fd, path, name, NULL);
	if (!err && rmdir(path))
		err = -errno;
	close(fd);
	return err;
}

int weir_bpf_clean_stale(const char *name)
{
	char root[WEIR_BPF_PATH_BYTES];
	struct dirent *entry;
	int err, count = 0;
	DIR *dir;

	if (name && !name_valid(name))
		return -EINVAL;
	err = dir_root(root, NULL);
	if (err)
		return err;
	if (name) {
		err = clean_one(root, name);
		return err ? err : 1;
	}
	dir = opendir(root);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (name_valid(entry->d_name) && !clean_one(root, entry->d_name))
			count++;
	}
	closedir(dir);
	return count;
}

static int list_one(const char *root, const char *name,
		    int (*fn)(void *ctx, const struct weir_bpf_instance *instance), void *ctx)
{
	struct weir_bpf_instance instance = {};
	char path[WEIR_BPF_PATH_BYTES];

	if (!name_valid(name) || path_join(path, "%s/%s", root, name))
		return 0;
	if (pin_meta(path, &instance.meta))
		return 0;
	strcpy(instance.name, name);
	instance.alive = owner_alive(&instance.meta);
	return fn(ctx, &instance);
}

int weir_bpf_list(int (*fn)(void *ctx, const struct weir_bpf_instance *instance), void *ctx)
{
	char root[WEIR_BPF_PATH_BYTES];
	struct dirent *entry;
	int err;
	DIR *dir;

	err = dir_root(root, NULL);
	if (err)
		return err;
	dir = opendir(root);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (entry = readdir(dir)))
		err = list_one(root, entry->d_name, fn, ctx);
	closedir(dir);
	return err;
}
