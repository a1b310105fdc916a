// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dir_owner.c - the owner of an instance has its directory, and what lies there
 *
 * It is his by the lock, which he takes or is given by the owner before him. What
 * pins he finds he goes on with, puts his own beside, or clears away.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/instance.h"

#define OPEN_TRIES	16	/* a cleaner may remove the directory under us */

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

/* What a predecessor handed over must be the lock of this very directory. */
static int lock_given(struct weir_bpf *bpf, const struct reason *reason)
{
	int fd = fcntl(*bpf->opts.lock, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return reason_set(reason, -errno, "no lock was handed over: %s", strerror(errno));
	if (!dir_same(fd, bpf->root_fd, bpf->name) || flock(fd, LOCK_EX | LOCK_NB)) {
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
		err = pins_unlink(bpf->pins_fd);
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
