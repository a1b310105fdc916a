// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * generation.c - which pins of an instance are the current ones
 *
 * They lie in the instance's directory itself. A successor that cannot use them,
 * since its maps are of another ABI or another number of workers, puts its own
 * into a numbered directory below while the old owner drains with its own, so the
 * pins with the highest number are the current ones and those without one are the
 * oldest. One lock, that of the instance's directory, covers all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/instance.h"

/* 1 and up, or 0: the name of no generation. */
static unsigned int generation_of(const char *name)
{
	unsigned long number;
	char *end;

	if (name[0] < '1' || name[0] > '9')
		return 0;
	number = strtoul(name, &end, 10);
	return *end || number > GENERATION_MAX ? 0 : (unsigned int)number;
}

int generation_latest(int dir_fd)
{
	unsigned int number, latest = 0;
	struct dirent *entry;
	DIR *dir;
	int err;

	err = dir_stream(dir_fd, &dir);
	if (err)
		return err;
	while ((entry = readdir(dir))) {
		number = generation_of(entry->d_name);
		if (number > latest)
			latest = number;
	}
	closedir(dir);
	return (int)latest;
}

int generation_open(int dir_fd, unsigned int number)
{
	char name[16] = ".";

	if (number)
		snprintf(name, sizeof(name), "%u", number);
	return dir_at(dir_fd, name);
}

int pins_open(int dir_fd)
{
	int latest = generation_latest(dir_fd);

	return latest < 0 ? latest : generation_open(dir_fd, (unsigned int)latest);
}

int pins_at(int root_fd, const char *name)
{
	int pins_fd, fd = dir_at(root_fd, name);

	if (fd < 0)
		return fd;
	pins_fd = pins_open(fd);
	close(fd);
	return pins_fd;
}

int generation_make(struct weir_bpf *bpf, const struct reason *reason)
{
	struct stat st;
	int latest, err;
	char name[16];

	latest = generation_latest(bpf->lock_fd);
	if (latest < 0 || latest == GENERATION_MAX)
		return reason_set(reason, latest ?: -ENOSPC, "cannot number the pins of %s",
				  bpf->dir);
	snprintf(name, sizeof(name), "%d", latest + 1);
	if (fstat(bpf->lock_fd, &st) || mkdirat(bpf->lock_fd, name, 0700))
		return reason_set(reason, -errno, "cannot create %s/%s: %s", bpf->dir, name,
				  strerror(errno));
	err = generation_open(bpf->lock_fd, (unsigned int)latest + 1);
	if (err < 0)
		return reason_set(reason, err, "cannot open %s/%s: %s", bpf->dir, name,
				  strerror(-err));
	bpf->pins_fd = err;
	bpf->generation = (unsigned int)latest + 1;
	/* Who may look into the instance may look into this. */
	if (fchown(bpf->pins_fd, -1, st.st_gid) || fchmod(bpf->pins_fd, st.st_mode & 02777))
		return reason_set(reason, -errno, "cannot set the mode of %s/%s: %s", bpf->dir,
				  name, strerror(errno));
	return 0;
}

int generation_prune(struct weir_bpf *bpf)
{
	return bpf->lock_fd < 0 ? 0 :
	       clean_generations(bpf->lock_fd, bpf->generation, bpf->dir, NULL);
}

int generation_remove(int dir_fd, unsigned int number)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", number);
	return unlinkat(dir_fd, name, AT_REMOVEDIR) ? -errno : 0;
}
