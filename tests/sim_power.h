/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sim_power.h - a simulated machine whose power fails: keepers of files write, sync
 * and rename in fibers, until at some step it goes dark; then the program begins
 * anew on what the disk kept, and looks whether that is what it was promised
 */
#ifndef SIM_POWER_H
#define SIM_POWER_H

#include <weir/fiber.h>

#include "sim_world.h"

enum {
	KEEPERS_MAX	= 4,
	LIVES_MAX	= 4,		/* between power losses, and one to look */
	STEPS_DARK	= 800,		/* turns and calls until it goes dark, at the most */
	RECORDS_MAX	= 24,
	RECORD_BYTES	= 1400,		/* at the most */
	SECTOR_BYTES	= 512,		/* what the disk writes whole or not at all */
	SECTORS		= 12,
	VERSIONS	= 256,
	VERSIONS_LIFE	= 40,		/* of a ledger or of settings, in one life */
};

enum keeper_kind {
	KEEPER_JOURNAL,		/* appends records with a checksum */
	KEEPER_SETTINGS,	/* writes a file aside, syncs it, renames it over the old one */
	KEEPER_LEDGER,		/* writes sectors over in place */
	KEEPER_KINDS,
};

/* Of the sectors of a ledger, what its keeper knows. */
struct sector {
	bool may[VERSIONS];	/* have been left there by a power loss */
	uint8_t synced;
	bool cut;		/* a short write ended inside */
};

/*
 * What must be on the disk, whatever happens, and what may be. It outlives the
 * program: it is the judge's.
 */
struct keeper {
	struct power_world *pw;
	/* Records begin there: aligned like what is before them. */
	unsigned char out[SECTORS * SECTOR_BYTES], in[SECTORS * SECTOR_BYTES];
	struct weir_file file, dir;
	bool has_file, has_dir;
	enum keeper_kind kind;
	uint32_t id;
	char home[8], path[16], aside[16];
	bool housed;		/* its directory was synced, and the one above it */
	bool named;		/* its file's name too */

	/* journal: records; settings: versions */
	uint32_t synced, tried;
	uint32_t edition;	/* of the records that are written in this life */
	uint32_t editions[RECORDS_MAX];

	/* ledger */
	struct sector sectors[SECTORS];
	uint32_t version, last_first, last_count;
	bool last_done;		/* all of the last write was told to be written */
	bool made;
};

/* What the disk did, so that a test can see that it did all of it. */
struct power_counts {
	uint64_t losses, in_flight;	/* with operations in flight */
	uint64_t records_kept, records_lost;
	uint64_t settings_old, settings_new;
	uint64_t sectors_old, sectors_new, writes_torn, names_lost;
	uint64_t syncs_failed;
};

struct power_world {
	struct world world;		/* first */
	struct weir_fibers *fibers;
	struct keeper keepers[KEEPERS_MAX];
	unsigned int keepers_count, living;
	uint64_t steps, dark_at;
	bool dark;		/* the power has failed: this life is over */
	bool looking;		/* the last life: write no more */
	struct power_counts counts;
};

/* power_live() - from the opening to the judgement; world.bad says what was wrong */
void power_live(struct power_world *pw, uint64_t seed, const struct world_faults *faults);

/* power_step() - there may be no more power after it */
void power_step(struct power_world *pw);

/* tests/sim_keepers.c: one life of a keeper, a fiber */
int keeper_life(void *arg);

#endif /* SIM_POWER_H */
