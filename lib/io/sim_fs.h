/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * sim_fs.h - the file system of the in-memory kernel, with a half that survives
 * a power loss
 *
 * Bytes: what is written stands in data, and in disk when it was synced. Names: a
 * change is done to now at once, stands in the log until its directory is synced,
 * and then in disk too. Both halves lie side by side, so that a power loss is to
 * choose what of the difference was written back in time.
 */
#ifndef IO_SIM_FS_H
#define IO_SIM_FS_H

#include <sys/stat.h>

#include "io/sim.h"

enum {
	SIM_ROOT	= 0,		/* inode of "/" */
	SIM_INODES	= 64,
	SIM_SECTOR	= 512,		/* what the disk writes whole or not at all */
	SIM_SECTORS	= SIM_INODE_BYTES / SIM_SECTOR,
	SIM_NAME_BYTES	= 256,		/* NAME_MAX, and the zero */
	SIM_PATH_MAX	= 4096,
	SIM_NAMES	= 128,		/* that can be created */
	SIM_NAMES_MAX	= 2 * SIM_NAMES,	/* with those that a power loss brings back */
	SIM_DIROPS	= 64,		/* changes of names that are not on disk */
	SIM_PERMISSIONS	= 07777,
	SIM_SPLICE_BYTES = 1 << 16,	/* moved at once at the most */
};

/*
 * A file or a directory. One without a name, on disk or in the log, that nobody
 * has open is free. Bytes beyond size are zero.
 */
struct sim_inode {
	uint32_t mode;		/* of stat(2) */
	uint32_t opens;
	uint64_t size;
	uint64_t disk_size;
	uint64_t extent;	/* no byte from here on was ever written */
	uint64_t time_ns;	/* of the last change */
	unsigned char *data;
	unsigned char *disk;
	uint8_t *dirty;		/* a bit for each sector that disk has not */
};

/* The name of an inode in a directory; empty: none. */
struct sim_name {
	uint32_t dir;
	uint32_t inode;
	char name[SIM_NAME_BYTES];
};

/*
 * A change of names, done whole or not at all: @from goes, @to comes or is replaced.
 *
 * @gone: the inode that is known by this name no more; SIM_NONE: none
 * @carries: what it names was there before, and must not get lost on the way
 */
struct sim_dirop {
	struct sim_name from;
	struct sim_name to;
	uint32_t gone;
	bool carries;
	bool chosen;
};

struct sim_fs {
	uint64_t chance;	/* of the disk's own: what it writes back, what survives */
	struct sim_inode inodes[SIM_INODES];
	struct sim_name now[SIM_NAMES_MAX];
	struct sim_name disk[SIM_NAMES_MAX];
	struct sim_dirop log[SIM_DIROPS];
	uint32_t log_len;
	unsigned char *pages;	/* data, disk and dirty of all */
	unsigned char spliced[SIM_SPLICE_BYTES];	/* on their way */
};

/* lib/io/sim_disk.c: inodes and their bytes */

/* sim_inode_new() - a free one, empty; or NULL */
struct sim_inode *sim_inode_new(struct sim *sim, uint32_t mode);
uint32_t sim_inode_number(const struct sim_fs *fs, const struct sim_inode *inode);

/* sim_inode_dirty() - [from, to) was changed; the disk may write some of it back */
void sim_inode_dirty(struct sim *sim, struct sim_inode *inode, uint64_t from, uint64_t to);

/* sim_inode_sync() - the size, and what was changed in [from, to), are on disk now */
void sim_inode_sync(struct sim_inode *inode, uint64_t from, uint64_t to);

/* sim_inode_forget() - no sync will write what is not on disk: one has failed */
void sim_inode_forget(struct sim_inode *inode);
void sim_inode_resize(struct sim *sim, struct sim_inode *inode, uint64_t size);
void sim_inode_zero(struct sim *sim, struct sim_inode *inode, uint64_t from, uint64_t to);

static inline bool sim_is_dir(const struct sim_fs *fs, uint32_t inode)
{
	return S_ISDIR(fs->inodes[inode].mode);
}

/* lib/io/sim_dir.c: names. A table is fs->now or fs->disk */
bool sim_inode_named(const struct sim_fs *fs, uint32_t inode);
uint32_t sim_inode_links(const struct sim_fs *fs, uint32_t inode);
void sim_dir_sync(struct sim_fs *fs, uint32_t dir);

/* sim_dir_find() - the entry of @table for @name in @dir, or NULL */
struct sim_name *sim_dir_find(struct sim_name *table, uint32_t dir, const char *name);

/* sim_dir_count() - names of @inode in @dir; each may be SIM_NONE: of any, in any */
uint32_t sim_dir_count(const struct sim_name *table, uint32_t dir, uint32_t inode);

/* sim_dir_change() - it is done now, and on disk some time */
void sim_dir_change(struct sim_fs *fs, const struct sim_dirop *op);

/* sim_dir_power_loss() - each change that was not synced is there, one in @odds, or not */
void sim_dir_power_loss(struct sim_fs *fs, bool (*chance)(struct sim_fs *fs, uint32_t odds),
			uint32_t odds);

/* lib/io/sim_path.c: what paths lead to */
void sim_dirs_open(struct sim *sim);

/* sim_path_inode() - what @path leads to; -ENOENT, … */
int sim_path_inode(struct sim *sim, const char *path, struct sim_inode **inodep);

#endif /* IO_SIM_FS_H */
