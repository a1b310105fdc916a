// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_path.c - paths in the in-memory kernel: what they lead to, and the calls that
 * open, make, move and remove it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "io/sim_fs.h"

/* A path taken apart: the last of its names, and where that is looked for. */
struct walk {
	uint32_t dir;
	uint32_t inode;		/* or SIM_NONE */
	char name[SIM_NAME_BYTES];	/* empty: "/", or one that ends with a dot */
	bool slash;		/* it must be a directory */
};

static uint32_t parent_of(const struct sim_fs *fs, uint32_t inode)
{
	uint32_t i;

	for (i = 0; i < SIM_NAMES_MAX; i++) {
		if (fs->now[i].name[0] && fs->now[i].inode == inode)
			return fs->now[i].dir;
	}
	return SIM_ROOT;
}

/* One step from @walk->inode, which must be a directory. */
static int step(struct sim_fs *fs, struct walk *walk, const char *name, size_t len)
{
	const struct sim_name *entry;

	if (walk->inode == SIM_NONE)
		return -ENOENT;
	if (!sim_is_dir(fs, walk->inode))
		return -ENOTDIR;
	if (len >= SIM_NAME_BYTES)
		return -ENAMETOOLONG;
	walk->dir = walk->inode;
	memcpy(walk->name, name, len);
	walk->name[len] = '\0';
	if (!strcmp(walk->name, ".") || !strcmp(walk->name, "..")) {
		if (len == 2)
			walk->inode = parent_of(fs, walk->inode);
		walk->name[0] = '\0';
		return 0;
	}
	entry = sim_dir_find(fs->now, walk->dir, walk->name);
	walk->inode = entry ? entry->inode : SIM_NONE;
	return 0;
}

/* The working directory is "/". */
static int walk_path(struct sim_fs *fs, const char *path, struct walk *walk)
{
	int err;

	*walk = (struct walk){ .dir = SIM_ROOT, .inode = SIM_ROOT };
	if (!path[0])
		return -ENOENT;
	if (strlen(path) >= SIM_PATH_MAX)
		return -ENAMETOOLONG;
	for (path += strspn(path, "/"); *path; path += strspn(path, "/")) {
		size_t len = strcspn(path, "/");

		err = step(fs, walk, path, len);
		if (err)
			return err;
		path += len;
		walk->slash = *path == '/';
	}
	if (walk->slash && walk->inode != SIM_NONE && !sim_is_dir(fs, walk->inode))
		return -ENOTDIR;
	return 0;
}

/* A new inode by the name that @walk has found free. */
static int create(struct sim *sim, const struct walk *walk, uint32_t mode, uint32_t *inodep)
{
	struct sim_fs *fs = sim->fs;
	struct sim_dirop op = { .to.dir = walk->dir, .gone = SIM_NONE };
	struct sim_inode *inode;

	if (sim_dir_count(fs->now, SIM_NONE, SIM_NONE) >= SIM_NAMES)
		return -ENOSPC;
	/* In a directory that was removed while somebody had it open. */
	if (!sim_inode_links(fs, walk->dir))
		return -ENOENT;
	inode = sim_inode_new(sim, mode);
	if (!inode)
		return -ENOSPC;
	op.to.inode = *inodep = sim_inode_number(fs, inode);
	memcpy(op.to.name, walk->name, sizeof(op.to.name));
	sim_dir_change(fs, &op);
	return 0;
}

/* As it would be found on a new machine: "/tmp" is there, and on disk. */
void sim_dirs_open(struct sim *sim)
{
	struct walk tmp = { .dir = SIM_ROOT, .name = "tmp" };
	uint32_t inode;
	int err;

	sim_inode_new(sim, S_IFDIR | 0755);
	err = create(sim, &tmp, S_IFDIR | 01777, &inode);
	assert(!err);
	(void)err;
	sim_dir_sync(sim->fs, SIM_ROOT);
}

/* calls */

static int open_check(const struct sim_fs *fs, const struct walk *walk, int flags)
{
	if (flags & (O_PATH | (O_TMPFILE & ~O_DIRECTORY)))
		return -EOPNOTSUPP;
	if (flags & O_CREAT && flags & O_DIRECTORY)
		return -EINVAL;
	if (walk->inode == SIM_NONE) {
		if (!(flags & O_CREAT))
			return -ENOENT;
		return walk->slash ? -EISDIR : 0;
	}
	if (flags & O_CREAT && flags & O_EXCL)
		return -EEXIST;
	if (!sim_is_dir(fs, walk->inode))
		return flags & O_DIRECTORY ? -ENOTDIR : 0;
	return flags & O_CREAT || (flags & O_ACCMODE) != O_RDONLY ? -EISDIR : 0;
}

int sim_open(struct weir_loop *loop, const char *path, int flags, unsigned int mode)
{
	struct sim *sim = sim_of(loop);
	struct sim_inode *inode;
	struct sim_obj *obj;
	struct walk walk;
	int err;

	err = walk_path(sim->fs, path, &walk);
	if (!err)
		err = open_check(sim->fs, &walk, flags);
	if (err)
		return err;
	if (!sim_obj_room(sim))
		return -EMFILE;
	if (walk.inode == SIM_NONE) {
		err = create(sim, &walk, S_IFREG | (mode & SIM_PERMISSIONS), &walk.inode);
		if (err)
			return err;
	}
	inode = &sim->fs->inodes[walk.inode];
	if (flags & O_TRUNC && (flags & O_ACCMODE) != O_RDONLY)
		sim_inode_resize(sim, inode, 0);
	obj = sim_obj_new(sim, SIM_FILE, false);
	assert(obj);
	inode->opens++;
	obj->inode = inode;
	obj->flags = flags;
	return sim_obj_fd(sim, obj);
}

int sim_unlink(struct weir_loop *loop, const char *path, int flags)
{
	struct sim *sim = sim_of(loop);
	struct sim_fs *fs = sim->fs;
	struct sim_dirop op = { .chosen = false };
	struct walk walk;
	int err;

	if (flags & ~AT_REMOVEDIR)
		return -EINVAL;
	err = walk_path(fs, path, &walk);
	if (err)
		return err;
	if (!walk.name[0])
		return flags ? -EBUSY : -EISDIR;
	if (walk.inode == SIM_NONE)
		return -ENOENT;
	if (!flags != !sim_is_dir(fs, walk.inode))
		return flags ? -ENOTDIR : -EISDIR;
	if (sim_dir_count(fs->now, walk.inode, SIM_NONE))
		return -ENOTEMPTY;
	op.from.dir = walk.dir;
	memcpy(op.from.name, walk.name, sizeof(op.from.name));
	op.gone = walk.inode;
	sim_dir_change(fs, &op);
	return 0;
}

int sim_mkdir(struct weir_loop *loop, const char *path, uint32_t mode)
{
	struct sim *sim = sim_of(loop);
	struct walk walk;
	uint32_t inode;
	int err;

	err = walk_path(sim->fs, path, &walk);
	if (err)
		return err == -ENOTDIR && walk.inode != SIM_NONE && walk.slash ? -EEXIST : err;
	if (walk.inode != SIM_NONE)
		return -EEXIST;
	return create(sim, &walk, S_IFDIR | (mode & SIM_PERMISSIONS), &inode);
}

/* Is @dir the directory @inode, or below it? */
static bool below(const struct sim_fs *fs, uint32_t dir, uint32_t inode)
{
	while (dir != inode && dir != SIM_ROOT)
		dir = parent_of(fs, dir);
	return dir == inode;
}

static int rename_check(const struct sim_fs *fs, const struct walk *from, const struct walk *to,
			uint32_t flags)
{
	if (!from->name[0] || !to->name[0])
		return -EBUSY;
	if (from->inode == SIM_NONE)
		return -ENOENT;
	if (sim_is_dir(fs, from->inode) && below(fs, to->dir, from->inode))
		return -EINVAL;
	if (to->inode == SIM_NONE)
		return to->slash && !sim_is_dir(fs, from->inode) ? -ENOTDIR : 0;
	if (flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (sim_is_dir(fs, from->inode) != sim_is_dir(fs, to->inode))
		return sim_is_dir(fs, to->inode) ? -EISDIR : -ENOTDIR;
	return from->inode != to->inode && sim_dir_count(fs->now, to->inode, SIM_NONE) ?
	       -ENOTEMPTY : 0;
}

int sim_rename(struct weir_loop *loop, const char *from_path, const char *to_path,
	       uint32_t flags)
{
	struct sim *sim = sim_of(loop);
	struct sim_dirop op = { .chosen = false };
	struct walk from, to;
	int err;

	if (flags & ~(uint32_t)RENAME_NOREPLACE)
		return -EINVAL;
	err = walk_path(sim->fs, from_path, &from);
	if (!err)
		err = walk_path(sim->fs, to_path, &to);
	if (!err)
		err = rename_check(sim->fs, &from, &to, flags);
	if (err || from.inode == to.inode)
		return err;
	op.from.dir = from.dir;
	memcpy(op.from.name, from.name, sizeof(op.from.name));
	op.to.dir = to.dir;
	op.to.inode = from.inode;
	memcpy(op.to.name, to.name, sizeof(op.to.name));
	op.gone = to.inode;
	op.carries = true;
	sim_dir_change(sim->fs, &op);
	return 0;
}

int sim_path_inode(struct sim *sim, const char *path, struct sim_inode **inodep)
{
	struct walk walk;
	int err = walk_path(sim->fs, path, &walk);

	if (err)
		return err;
	if (walk.inode == SIM_NONE)
		return -ENOENT;
	*inodep = &sim->fs->inodes[walk.inode];
	return 0;
}
