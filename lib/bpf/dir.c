// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dir.c - the directory of an instance, and who holds it
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
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/instance.h"

#define META		"weir_meta"
#define OPEN_TRIES	16	/* a cleaner may remove the directory under us */
#define META_BYTES_MAX	4096
#define LOCK_TRIES	1000	/* of a yield each */
#define LOCK_WAIT_MS	2000	/* for one who changes something */

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

static int dir_make(int at, const char *name, const char *path, mode_t mode,
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

/* The value is read whole, and another ABI's may be larger than ours. */
int pin_meta(int dir_fd, struct weir_meta *meta)
{
	char value[META_BYTES_MAX] __attribute__((aligned(8)));
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;
	int fd, err;

	fd = pin_read(dir_fd, META, false);
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

/* A directory that was opened but removed before it was locked is not ours. */
static bool same_dir(int fd, int root_fd, const char *name)
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

/* Who only asks whether the directory is held has a lock too, for a moment. */
static int lock_try(int fd)
{
	int i;

	for (i = 0; i < LOCK_TRIES; i++) {
		if (!flock(fd, LOCK_EX | LOCK_NB))
			return 0;
		if (errno != EWOULDBLOCK || dir_held(fd))
			return -errno;
		sched_yield();
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
	if (!err && !same_dir(fd, root_fd, name))
		err = -ENOENT;
	if (!err)
		return fd;
	close(fd);
	return reason_set(reason, err, "cannot lock %s: %s", path, strerror(-err));
}

static int in_use(const struct weir_bpf *bpf, const struct reason *reason)
{
	const char *name = bpf->name;
	struct weir_meta meta;
	int fd, err;

	fd = dir_at(bpf->root_fd, name);
	err = fd < 0 ? fd : pin_meta(fd, &meta);
	if (fd >= 0)
		close(fd);
	if (err)
		return reason_set(reason, -EADDRINUSE, "instance %s is being opened by another "
				  "process", name);
	return reason_set(reason, -EADDRINUSE, "instance %s is alive: process %u, network "
			  "namespace %llu", name, meta.owner_pid, meta.netns_cookie);
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

static int unlink_all(int dir_fd)
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
	err = unlink_all(fd);
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

/* What a predecessor handed over must be the lock of this very directory. */
static int lock_given(struct weir_bpf *bpf, const struct reason *reason)
{
	int fd = fcntl(*bpf->opts.lock, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return reason_set(reason, -errno, "no lock was handed over: %s", strerror(errno));
	if (!same_dir(fd, bpf->root_fd, bpf->name) || flock(fd, LOCK_EX | LOCK_NB)) {
		close(fd);
		return reason_set(reason, -EINVAL, "what was handed over is not the lock of %s",
				  bpf->dir);
	}
	return fd;
}

static int lock_take(struct weir_bpf *bpf, const struct reason *reason)
{
	int i, fd = -ENOENT;

	if (bpf->opts.lock)
		return lock_given(bpf, reason);
	for (i = 0; i < OPEN_TRIES && fd == -ENOENT; i++) {
		fd = dir_make(bpf->root_fd, bpf->name, bpf->dir, 0700, reason);
		if (fd < 0)
			continue;
		close(fd);
		fd = dir_lock(bpf->root_fd, bpf->name, bpf->dir, reason);
	}
	return fd == -EWOULDBLOCK ? in_use(bpf, reason) : fd;
}

/*
 * What is pinned there later gets the group from the directory: without the privilege
 * to give something to a group, which an owner has dropped by then.
 */
static int dir_mode(struct weir_bpf *bpf, const struct reason *reason)
{
	const int fds[] = { bpf->lock_fd, bpf->pins_fd };
	bool group = bpf->opts.flags & WEIR_BPF_GROUP;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		if (fchown(fds[i], -1, group ? bpf->opts.gid : getegid()) ||
		    fchmod(fds[i], group ? 02750 : 0700))
			return reason_set(reason, -errno, "cannot set the mode of %s: %s",
					  bpf->dir, strerror(errno));
	}
	return 0;
}

/* Who may read goes on: it is said anew where nobody lives who has dropped his privilege. */
static int group_take(struct weir_bpf *bpf, const struct reason *reason)
{
	struct stat st;
	bool group;

	if (fstat(bpf->lock_fd, &st))
		return -errno;
	group = st.st_mode & 0010;
	if (bpf->opts.flags & WEIR_BPF_GROUP) {
		if (group && st.st_gid == bpf->opts.gid)
			return 0;
		if (bpf->opts.lock)
			return reason_set(reason, -EINVAL, "who may read it cannot be changed "
					  "while it is taken over");
		return dir_mode(bpf, reason);
	}
	if (group) {
		bpf->opts.flags |= WEIR_BPF_GROUP;
		bpf->opts.gid = st.st_gid;
	}
	return 0;
}

/* Use what is there, or put ours beside it, or away with it. */
static int pins_take(struct weir_bpf *bpf, const struct reason *reason)
{
	int latest = generation_latest(bpf->lock_fd);
	int pins_fd, err;

	pins_fd = latest < 0 ? latest : generation_open(bpf->lock_fd, (unsigned int)latest);
	if (pins_fd < 0)
		return reason_set(reason, pins_fd, "cannot read %s: %s", bpf->dir,
				  strerror(-pins_fd));
	/* Whoever succeeds a service answers wherever that does. */
	if (bpf->opts.lock && !bpf->opts.vips_max)
		bpf->opts.vips_max = carry_vips_max(pins_fd);
	err = adopt_check(bpf, pins_fd, reason);
	if (!err) {
		bpf->pins_fd = pins_fd;
		bpf->generation = (unsigned int)latest;
		bpf->adopted = bpf->opts.lock ? WEIR_BPF_TAKEN : WEIR_BPF_RECOVERED;
		bpf->theirs = bpf->adopted == WEIR_BPF_TAKEN;
		return group_take(bpf, reason);
	}
	close(pins_fd);
	if (err == -EBADMSG)
		return err;
	if (bpf->opts.lock) {
		err = group_take(bpf, reason);
		return err ? err : generation_make(bpf, reason);
	}
	err = dir_clean(bpf->lock_fd, bpf->dir, bpf->name, reason);
	if (err)
		return err;
	bpf->pins_fd = generation_open(bpf->lock_fd, 0);
	return bpf->pins_fd < 0 ? bpf->pins_fd : dir_mode(bpf, reason);
}

static void dir_drop(struct weir_bpf *bpf)
{
	int *fds[] = { &bpf->pins_fd, &bpf->lock_fd, &bpf->root_fd };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
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
	bpf->root_fd = root_open(true, reason);
	if (bpf->root_fd < 0)
		return bpf->root_fd;
	bpf->lock_fd = lock_take(bpf, reason);
	err = bpf->lock_fd < 0 ? bpf->lock_fd : pins_take(bpf, reason);
	if (!err && bpf->generation)
		err = path_join(bpf->dir, "%s/%s/%u", root, bpf->name, bpf->generation);
	if (err)
		dir_drop(bpf);
	return err;
}

/*
 * An owner that was succeeded leaves without a trace: the pins are another's, or
 * lie beside another's. So does one that could not begin with what it found.
 */
void dir_close(struct weir_bpf *bpf)
{
	int err = 0;

	if (bpf->lock_fd < 0)
		return;
	if (!bpf->theirs && (!bpf->adopted || bpf->sealed)) {
		err = unlink_all(bpf->pins_fd);
		if (!err && bpf->generation)
			err = generation_remove(bpf->lock_fd, bpf->generation);
		if (!err && unlinkat(bpf->root_fd, bpf->name, AT_REMOVEDIR) &&
		    (errno != ENOTEMPTY || (!bpf->generation &&
					    generation_latest(bpf->lock_fd) <= 0)))
			err = -errno;
	}
	if (err)
		bpf_log(bpf, WEIR_LOG_WARN, "bpf: pins stay in %s: %s", bpf->dir, strerror(-err));
	dir_drop(bpf);
}
