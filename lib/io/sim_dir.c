// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_dir.c - names in the in-memory kernel: two tables and a log between them
 *
 * Two changes of the same name happen on disk in the order in which they were
 * made, and so do moves of directories; a directory goes after all that was done in
 * it, and nothing moves into one that is not there. All others happen in any order.
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

static bool is_dir(const struct sim_fs *fs, uint32_t inode)
{
	return S_ISDIR(fs->inodes[inode].mode);
}

/* tables */

static struct sim_name *find(struct sim_name *table, uint32_t dir, const char *name)
{
	uint32_t i;

	for (i = 0; i < SIM_NAMES_MAX; i++) {
		if (table[i].name[0] && table[i].dir == dir && !strcmp(table[i].name, name))
			return &table[i];
	}
	return NULL;
}

static struct sim_name *find_free(struct sim_name *table)
{
	uint32_t i;

	for (i = 0; i < SIM_NAMES_MAX; i++) {
		if (!table[i].name[0])
			return &table[i];
	}
	return NULL;
}

static uint32_t count_names(const struct sim_name *table, uint32_t dir, uint32_t inode)
{
	uint32_t i, n = 0;

	for (i = 0; i < SIM_NAMES_MAX; i++)
		n += table[i].name[0] && (dir == SIM_NONE || table[i].dir == dir) &&
		     (inode == SIM_NONE || table[i].inode == inode);
	return n;
}

static void apply(struct sim_name *table, const struct sim_dirop *op)
{
	struct sim_name *entry;

	if (op->from.name[0]) {
		entry = find(table, op->from.dir, op->from.name);
		if (entry)
			entry->name[0] = '\0';
	}
	if (op->to.name[0]) {
		entry = find(table, op->to.dir, op->to.name);
		if (!entry)
			entry = find_free(table);
		assert(entry);
		*entry = op->to;
	}
}

/* log */

static bool touches(const struct sim_dirop *op, uint32_t dir, const char *name)
{
	return (op->from.name[0] && op->from.dir == dir &&
		(!name || !strcmp(op->from.name, name))) ||
	       (op->to.name[0] && op->to.dir == dir && (!name || !strcmp(op->to.name, name)));
}

static bool moves_dir(const struct sim_fs *fs, const struct sim_dirop *op)
{
	return op->from.name[0] && op->to.name[0] && is_dir(fs, op->to.inode);
}

/* Must @a, which was made before, be on disk if @b is? */
static bool needs(const struct sim_fs *fs, const struct sim_dirop *b, const struct sim_dirop *a)
{
	if ((a->from.name[0] && touches(b, a->from.dir, a->from.name)) ||
	    (a->to.name[0] && touches(b, a->to.dir, a->to.name)))
		return true;
	if (b->gone != SIM_NONE && touches(a, b->gone, NULL))
		return true;
	if (b->carries && b->to.name[0] && a->to.name[0] && b->to.dir == a->to.inode)
		return true;
	return moves_dir(fs, a) && moves_dir(fs, b);
}

/* Those chosen are on disk from now on; the others stay in the log. */
static void log_apply(struct sim_fs *fs)
{
	uint32_t i, left = 0;

	for (i = 0; i < fs->log_len; i++) {
		if (fs->log[i].chosen)
			apply(fs->disk, &fs->log[i]);
		else
			fs->log[left++] = fs->log[i];
	}
	fs->log_len = left;
}

static void change(struct sim_fs *fs, const struct sim_dirop *op)
{
	apply(fs->now, op);
	if (fs->log_len == SIM_DIROPS) {
		fs->log[0].chosen = true;
		log_apply(fs);
	}
	fs->log[fs->log_len++] = *op;
}

void sim_dir_sync(struct sim_fs *fs, uint32_t dir)
{
	uint32_t i, later;

	/* What one needs was done before it. */
	for (i = fs->log_len; i-- > 0;) {
		struct sim_dirop *op = &fs->log[i];

		op->chosen = touches(op, dir, NULL);
		for (later = i + 1; later < fs->log_len; later++) {
			const struct sim_dirop *b = &fs->log[later];

			if (!b->chosen || !needs(fs, b, op))
				continue;
			op->chosen = true;
			op->carries |= b->carries;
		}
	}
	log_apply(fs);
}

/* What lies in a directory that has no name itself is lost with it. */
static void prune(struct sim_fs *fs)
{
	bool again = true;
	uint32_t i;

	while (again) {
		again = false;
		for (i = 0; i < SIM_NAMES_MAX; i++) {
			struct sim_name *entry = &fs->disk[i];

			if (!entry->name[0] || entry->dir == SIM_ROOT ||
			    count_names(fs->disk, SIM_NONE, entry->dir))
				continue;
			entry->name[0] = '\0';
			again = true;
		}
	}
}

void sim_dir_power_loss(struct sim_fs *fs, bool (*chance)(struct sim_fs *fs, uint32_t odds),
			uint32_t odds)
{
	uint32_t i, before;

	for (i = 0; i < fs->log_len; i++) {
		struct sim_dirop *op = &fs->log[i];

		op->chosen = chance(fs, odds);
		/* In a directory that is not there it is lost: prune() says the same. */
		op->carries = true;
		for (before = 0; before < i && op->chosen; before++)
			op->chosen = fs->log[before].chosen ||
				     !needs(fs, op, &fs->log[before]);
	}
	log_apply(fs);
	fs->log_len = 0;
	prune(fs);
	memcpy(fs->now, fs->disk, sizeof(fs->now));
}

bool sim_inode_named(const struct sim_fs *fs, uint32_t inode)
{
	uint32_t i;

	if (inode == SIM_ROOT || count_names(fs->now, SIM_NONE, inode) ||
	    count_names(fs->disk, SIM_NONE, inode))
		return true;
	for (i = 0; i < fs->log_len; i++) {
		if (fs->log[i].to.name[0] && fs->log[i].to.inode == inode)
			return true;
	}
	return false;
}

uint32_t sim_inode_links(const struct sim_fs *fs, uint32_t inode)
{
	uint32_t i, links = count_names(fs->now, SIM_NONE, inode);

	if (!is_dir(fs, inode) || (!links && inode != SIM_ROOT))
		return links;
	for (i = 0; i < SIM_NAMES_MAX; i++)
		links += fs->now[i].name[0] && fs->now[i].dir == inode &&
			 is_dir(fs, fs->now[i].inode);
	return links + (inode == SIM_ROOT ? 2 : 1);
}

/* paths */

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
	if (!is_dir(fs, walk->inode))
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
	entry = find(fs->now, walk->dir, walk->name);
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
	if (walk->slash && walk->inode != SIM_NONE && !is_dir(fs, walk->inode))
		return -ENOTDIR;
	return 0;
}

/* A new inode by the name that @walk has found free. */
static int create(struct sim *sim, const struct walk *walk, uint32_t mode, uint32_t *inodep)
{
	struct sim_fs *fs = sim->fs;
	struct sim_dirop op = { .to.dir = walk->dir, .gone = SIM_NONE };
	struct sim_inode *inode;

	if (count_names(fs->now, SIM_NONE, SIM_NONE) >= SIM_NAMES)
		return -ENOSPC;
	/* In a directory that was removed while somebody had it open. */
	if (!sim_inode_links(fs, walk->dir))
		return -ENOENT;
	inode = sim_inode_new(sim, mode);
	if (!inode)
		return -ENOSPC;
	op.to.inode = *inodep = sim_inode_number(fs, inode);
	memcpy(op.to.name, walk->name, sizeof(op.to.name));
	change(fs, &op);
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
	if (!is_dir(fs, walk->inode))
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
	if (!flags != !is_dir(fs, walk.inode))
		return flags ? -ENOTDIR : -EISDIR;
	if (count_names(fs->now, walk.inode, SIM_NONE))
		return -ENOTEMPTY;
	op.from.dir = walk.dir;
	memcpy(op.from.name, walk.name, sizeof(op.from.name));
	op.gone = walk.inode;
	change(fs, &op);
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
	if (is_dir(fs, from->inode) && below(fs, to->dir, from->inode))
		return -EINVAL;
	if (to->inode == SIM_NONE)
		return to->slash && !is_dir(fs, from->inode) ? -ENOTDIR : 0;
	if (flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (is_dir(fs, from->inode) != is_dir(fs, to->inode))
		return is_dir(fs, to->inode) ? -EISDIR : -ENOTDIR;
	return from->inode != to->inode && count_names(fs->now, to->inode, SIM_NONE) ?
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
	change(sim->fs, &op);
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
