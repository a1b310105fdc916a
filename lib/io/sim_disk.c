// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_disk.c - what the in-memory kernel keeps of files, and what of it survives
 *
 * Pages become real when they are written. The disk draws from a generator of its
 * own, so that runs with and without a power loss are alike until then.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <weir/sim.h>

#include "io/sim_fs.h"

enum {
	MAP_BYTES	= 1 << 16,	/* of a page, whatever that is, as madvise(2) wants */
	INODE_PAGES	= 2 * SIM_INODE_BYTES + MAP_BYTES,
	WRITE_BACK_ODDS	= 4,	/* one write in so many has the disk write back a sector */
	ODDS_ONE	= 8,
};

_Static_assert(SIM_SECTORS / 8 <= MAP_BYTES, "a bit for each sector");

#define FS_PAGES	((size_t)SIM_INODES * INODE_PAGES)

int sim_files_open(struct sim *sim)
{
	struct sim_fs *fs;
	uint32_t i;

	fs = mem_get(&sim->loop->alloc, 1, sizeof(*fs), _Alignof(struct sim_fs));
	if (!fs)
		return -ENOMEM;
	sim->fs = fs;
	fs->chance = sim->loop->opts.seed ^ 0x6469736b;		/* "disk" */
	fs->pages = mmap(NULL, FS_PAGES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (fs->pages == MAP_FAILED) {
		fs->pages = NULL;
		return -ENOMEM;
	}
	for (i = 0; i < SIM_INODES; i++) {
		struct sim_inode *inode = &fs->inodes[i];

		inode->data = fs->pages + (size_t)i * INODE_PAGES;
		inode->disk = inode->data + SIM_INODE_BYTES;
		inode->dirty = inode->disk + SIM_INODE_BYTES;
	}
	sim_dirs_open(sim);
	return 0;
}

void sim_files_close(struct sim *sim)
{
	if (sim->fs && sim->fs->pages)
		munmap(sim->fs->pages, FS_PAGES);
	mem_put(&sim->loop->alloc, sim->fs, 1, sizeof(*sim->fs));
}

uint32_t sim_inode_number(const struct sim_fs *fs, const struct sim_inode *inode)
{
	return (uint32_t)(inode - fs->inodes);
}

struct sim_inode *sim_inode_new(struct sim *sim, uint32_t mode)
{
	struct sim_fs *fs = sim->fs;
	uint32_t i;

	for (i = 0; i < SIM_INODES; i++) {
		struct sim_inode *inode = &fs->inodes[i];

		if (inode->mode && (inode->opens || sim_inode_named(fs, i)))
			continue;
		/* Anonymous pages that are given up read as zeroes. */
		if (inode->extent)
			madvise(inode->data, INODE_PAGES, MADV_DONTNEED);
		inode->mode = mode;
		inode->opens = 0;
		inode->size = 0;
		inode->disk_size = 0;
		inode->extent = 0;
		inode->time_ns = sim->now_ns;
		return inode;
	}
	return NULL;
}

/* chance */

/* One in @odds of ODDS_ONE. */
static bool survives(struct sim_fs *fs, uint32_t odds)
{
	return sim_random(&fs->chance) % ODDS_ONE < odds;
}

/* sectors */

static bool is_dirty(const struct sim_inode *inode, uint64_t sector)
{
	return inode->dirty[sector / 8] & 1 << sector % 8;
}

static void set_clean(struct sim_inode *inode, uint64_t sector)
{
	inode->dirty[sector / 8] &= (uint8_t)~(1 << sector % 8);
}

static void write_back(struct sim_inode *inode, uint64_t sector)
{
	uint64_t at = sector * SIM_SECTOR;

	memcpy(inode->disk + at, inode->data + at, SIM_SECTOR);
	set_clean(inode, sector);
}

static uint64_t sector_end(uint64_t byte)
{
	return (byte + SIM_SECTOR - 1) / SIM_SECTOR;
}

void sim_inode_dirty(struct sim *sim, struct sim_inode *inode, uint64_t from, uint64_t to)
{
	uint64_t first = from / SIM_SECTOR, end = sector_end(to), i;

	inode->time_ns = sim->now_ns;
	if (from >= to)
		return;
	for (i = first; i < end; i++)
		inode->dirty[i / 8] |= (uint8_t)(1 << i % 8);
	if (to > inode->extent)
		inode->extent = to;
	/* So that of several writes to one place an earlier one may be what is left. */
	if (!(sim_random(&sim->fs->chance) % WRITE_BACK_ODDS))
		write_back(inode, first + sim_random(&sim->fs->chance) % (end - first));
}

void sim_inode_sync(struct sim_inode *inode, uint64_t from, uint64_t to)
{
	uint64_t i, end = sector_end(min_u64(to, inode->extent));

	for (i = from / SIM_SECTOR; i < end; i++) {
		if (is_dirty(inode, i))
			write_back(inode, i);
	}
	inode->disk_size = inode->size;
}

void sim_inode_forget(struct sim_inode *inode)
{
	memset(inode->dirty, 0, sector_end(inode->extent) / 8 + 1);
}

void sim_inode_zero(struct sim *sim, struct sim_inode *inode, uint64_t from, uint64_t to)
{
	to = min_u64(to, inode->extent);
	if (from >= to)
		return;
	memset(inode->data + from, 0, to - from);
	sim_inode_dirty(sim, inode, from, to);
}

void sim_inode_resize(struct sim *sim, struct sim_inode *inode, uint64_t size)
{
	sim_inode_zero(sim, inode, size, inode->size);
	inode->size = size;
	inode->time_ns = sim->now_ns;
	if (size >= inode->disk_size || sim_random(&sim->fs->chance) % WRITE_BACK_ODDS)
		return;
	/* The disk has heard of it, whatever is written behind it later. */
	if (inode->extent > size)
		memset(inode->disk + size, 0, inode->extent - size);
	inode->disk_size = size;
}

/* power loss */

/* The old size, the new one, or one on the way. */
static uint64_t surviving_size(struct sim_fs *fs, const struct sim_inode *inode, uint32_t odds)
{
	if (inode->size == inode->disk_size || !survives(fs, odds))
		return inode->disk_size;
	if (inode->size > inode->disk_size && survives(fs, 1))
		return inode->disk_size +
		       sim_random(&fs->chance) % (inode->size - inode->disk_size);
	return inode->size;
}

static void inode_power_loss(struct sim_fs *fs, struct sim_inode *inode, uint32_t odds)
{
	uint64_t size = surviving_size(fs, inode, odds);
	uint64_t i, end = sector_end(inode->extent);

	for (i = 0; i < end; i++) {
		if (is_dirty(inode, i) && survives(fs, odds))
			write_back(inode, i);
		set_clean(inode, i);
	}
	if (inode->extent > size)
		memset(inode->disk + size, 0, inode->extent - size);
	memcpy(inode->data, inode->disk, inode->extent);
	inode->size = size;
	inode->disk_size = size;
	inode->opens = 0;
}

int weir_sim_power_loss(struct weir_loop *loop)
{
	/* From nothing that was not synced to everything. */
	static const uint32_t odds_of[] = { 0, 1, ODDS_ONE / 2, ODDS_ONE - 1, ODDS_ONE };
	struct sim_fs *fs;
	struct sim *sim;
	uint32_t i, odds;

	assert_owner(loop);
	if (loop->backend != &weir_backend_sim)
		return -EOPNOTSUPP;
	sim = sim_of(loop);
	fs = sim->fs;
	odds = odds_of[sim_random(&fs->chance) % ARRAY_SIZE(odds_of)];
	for (i = 0; i < SIM_INODES; i++)
		inode_power_loss(fs, &fs->inodes[i], odds);
	sim_dir_power_loss(fs, survives, odds);
	for (i = 0; i < sim->objs_max; i++) {
		if (sim->objs[i].state == SIM_FILE)
			sim->objs[i].inode = NULL;
	}
	return 0;
}
