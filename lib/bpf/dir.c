// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dir.c - the directory of an instance: found safe, locked, emptied
 *
 * The owner keeps a lock on <bpffs>/weir/<name> as long as it lives; the lock
 * goes with the process, however it ends. A directory that nobody holds is
 * stale and is emptied, provided that its weir_meta says that it was weir's.
 * weir_meta is pinned first and unlinked last, so a directory with pins but
 * without it is somebody else's. The lock belongs to the open file description:
 * an owner hands it to its successor by sending the descriptor.
 *
 * Everybody may create files in a bpffs by default, and so plant a link where
 * weir's directory is not yet. Directories are therefore opened one by one,
 * without following links, and looked at before anything is done below them;
 * what is done is done through the descriptor and not by path.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/instance.h"

#define META		"weir_meta"
#define LOCK_WAIT_MS	2000	/* for one who changes something, or asks */

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

/* Trust what belongs to root or to us and that no one else may write. */
static int dir_check(int fd, const char *path, const struct reason *reason)
{
	struct stat st;

	if (fstat(fd, &st))
		return reason_set(reason, -errno, "%s: %s", path, strerror(errno));
	if ((st.st_uid && st.st_uid != geteuid()) || st.st_mode & 022)
		return reason_set(reason, -EXDEV, "%s belongs to uid %u with mode %o: not safe",
				  path, st.st_uid, st.st_mode & 07777);
	return 0;
}

/* @path is for the reason; @name, below @at, is what is opened. */
static int dir_get(int at, const char *name, const char *path, const struct reason *reason)
{
	int fd, err;

	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return reason_set(reason, -EXDEV, "%s is not a directory: not safe", path);
	if (fd < 0)
		return reason_set(reason, -errno, "cannot open %s: %s", path, strerror(errno));
	err = dir_check(fd, path, reason);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int dir_make(int at, const char *name, const char *path, mode_t mode,
	     const struct reason *reason)
{
	bool made = !mkdirat(at, name, mode);
	int fd, err;

	if (!made && errno != EEXIST)
		return reason_set(reason, -errno, "cannot create %s: %s", path, strerror(errno));
	fd = dir_get(at, name, path, reason);
	if (fd < 0 || !made || !fchmod(fd, mode))	/* whatever the umask took */
		return fd;
	err = reason_set(reason, -errno, "cannot set the mode of %s: %s", path, strerror(errno));
	close(fd);
	return err;
}

int root_open(bool make, const struct reason *reason)
{
	char path[WEIR_BPF_PATH_BYTES];
	int err;

	err = dir_root(path, reason);
	if (err)
		return err;
	return make ? dir_make(AT_FDCWD, path, path, 0755, reason) :
		      dir_get(AT_FDCWD, path, path, reason);
}

int dir_at(int root_fd, const char *name)
{
	return dir_get(root_fd, name, name, NULL);
}

/* A directory that was opened but removed before it was locked is not ours. */
bool dir_same(int fd, int root_fd, const char *name)
{
	struct stat held, there;

	return !fstat(fd, &held) && !fstatat(root_fd, name, &there, AT_SYMLINK_NOFOLLOW) &&
	       held.st_ino == there.st_ino && held.st_dev == there.st_dev;
}

bool dir_held(int fd)
{
	if (flock(fd, LOCK_SH | LOCK_NB))
		return errno == EWOULDBLOCK;
	flock(fd, LOCK_UN);
	return false;
}

/*
 * Who only asks whether the directory is held has a lock too, for a moment, which
 * is longer where the processors are taken from him.
 */
static int lock_try(int fd)
{
	const struct timespec ts = { .tv_nsec = NSEC_PER_MSEC };
	int i;

	for (i = 0; i < LOCK_WAIT_MS; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK || dir_held(fd))
			return -errno;
		nanosleep(&ts, NULL);
	}
	return -EWOULDBLOCK;
}

/* Everybody who may read it can hold it for as long as he likes: we do not wait so long. */
int lock_wait(int fd)
{
	const struct timespec ts = { .tv_nsec = NSEC_PER_MSEC };
	int i;

	for (i = 0; i < LOCK_WAIT_MS; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK)
			return -errno;
		nanosleep(&ts, NULL);
	}
	return -ETIMEDOUT;
}

int dir_lock(int root_fd, const char *name, const char *path, const struct reason *reason)
{
	int fd, err;

	fd = dir_get(root_fd, name, path, reason);
	if (fd < 0)
		return fd;
	err = lock_try(fd);
	if (!err && !dir_same(fd, root_fd, name))
		err = -ENOENT;
	if (!err)
		return fd;
	close(fd);
	return reason_set(reason, err, "cannot lock %s: %s", path, strerror(-err));
}

int dir_stream(int dir_fd, DIR **dirp)
{
	int fd, err;

	fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*dirp = fdopendir(fd);
	if (*dirp)
		return 0;
	err = -errno;
	close(fd);
	return err;
}

int pins_unlink(int dir_fd)
{
	struct dirent *entry;
	DIR *dir;
	int err;

	err = dir_stream(dir_fd, &dir);
	if (err)
		return err;
	while (!err && (entry = readdir(dir))) {
		if (entry->d_type == DT_DIR || !strcmp(entry->d_name, META))
			continue;
		if (unlinkat(dir_fd, entry->d_name, 0))
			err = -errno;
	}
	closedir(dir);
	if (!err && unlinkat(dir_fd, META, 0) && errno != ENOENT)
		err = -errno;
	return err;
}

bool dir_empty(int dir_fd)
{
	int count = 0;
	DIR *dir;

	if (dir_stream(dir_fd, &dir))
		return false;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count <= 2;
}

/*
 * What holds a map may be a program that is attached to the listeners: they stay in
 * its arrays, and a listener can be in one alone.
 */
static void socks_empty(int pins_fd, const char *name)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), i;
	int fd = pin_read(pins_fd, name, true);

	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len) &&
	    info.type == BPF_MAP_TYPE_REUSEPORT_SOCKARRAY)
		for (i = 0; i < info.max_entries; i++)
			bpf_map_delete_elem(fd, &i);
	close(fd);
}

static int clean_pins(int fd, const char *path, const struct reason *reason)
{
	struct weir_meta meta;
	int err;

	if (dir_empty(fd))
		return 0;
	err = pin_meta(fd, &meta);
	if (err == -ENOENT || err == -EPROTO)
		return reason_set(reason, -EEXIST, "%s holds something that is not weir's", path);
	if (err)
		return reason_set(reason, err, "cannot read %s/%s: %s", path, META,
				  strerror(-err));
	socks_empty(fd, "weir_socks");
	socks_empty(fd, "weir_socks6");
	err = pins_unlink(fd);
	return err ? reason_set(reason, err, "cannot clean %s: %s", path, strerror(-err)) : 0;
}

/* The newest first: what is left by a failure is older. */
int clean_generations(int fd, unsigned int after, const char *path, const struct reason *reason)
{
	int latest, pins_fd, err;

	while ((latest = generation_latest(fd)) > (int)after) {
		pins_fd = generation_open(fd, (unsigned int)latest);
		err = pins_fd < 0 ? pins_fd : clean_pins(pins_fd, path, reason);
		if (pins_fd >= 0)
			close(pins_fd);
		if (!err)
			err = generation_remove(fd, (unsigned int)latest);
		if (err)
			return err;
	}
	return latest < 0 ? latest : 0;
}

int dir_clean(int fd, const char *path, const char *name, const struct reason *reason)
{
	int err;

	if (dir_empty(fd))
		return 0;
	err = clean_generations(fd, 0, path, reason);
	if (!err)
		err = clean_pins(fd, path, reason);
	if (!err)
		cgroup_remove_stale(name);
	return err;
}
