// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_dir.c - names in the in-memory kernel: two tables and a log between them
 *
 * Two changes of the same name happen on disk in the order in which they were
 * made, and so do moves of directories; a directory goes after all that was done in
 * it, and nothing moves into one that is not there. All others happen in any order.
 */
#include <string.h>

#include "io/sim_fs.h"

/* tables */

struct sim_name *sim_dir_find(struct sim_name *table, uint32_t dir, const char *name)
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

uint32_t sim_dir_count(const struct sim_name *table, uint32_t dir, uint32_t inode)
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
		entry = sim_dir_find(table, op->from.dir, op->from.name);
		if (entry)
			entry->name[0] = '\0';
	}
	if (op->to.name[0]) {
		entry = sim_dir_find(table, op->to.dir, op->to.name);
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
	return op->from.name[0] && op->to.name[0] && sim_is_dir(fs, op->to.inode);
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

void sim_dir_change(struct sim_fs *fs, const struct sim_dirop *op)
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
			    sim_dir_count(fs->disk, SIM_NONE, entry->dir))
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

	if (inode == SIM_ROOT || sim_dir_count(fs->now, SIM_NONE, inode) ||
	    sim_dir_count(fs->disk, SIM_NONE, inode))
		return true;
	for (i = 0; i < fs->log_len; i++) {
		if (fs->log[i].to.name[0] && fs->log[i].to.inode == inode)
			return true;
	}
	return false;
}

uint32_t sim_inode_links(const struct sim_fs *fs, uint32_t inode)
{
	uint32_t i, links = sim_dir_count(fs->now, SIM_NONE, inode);

	if (!sim_is_dir(fs, inode) || (!links && inode != SIM_ROOT))
		return links;
	for (i = 0; i < SIM_NAMES_MAX; i++)
		links += fs->now[i].name[0] && fs->now[i].dir == inode &&
			 sim_is_dir(fs, fs->now[i].inode);
	return links + (inode == SIM_ROOT ? 2 : 1);
}
