// SPDX-License-Identifier: GPL-2.0-only
/*
 * sim_keepers.c - what programs do to keep files over a power loss, and what the
 * disk owes them for it
 *
 * Each life begins with a look at what is there. All calls are tried again when they
 * fail by chance; after a sync that failed, what it was for is written again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <weir/call.h>

#include "base/base.h"
#include "sim_power.h"

enum { TRIES_MAX = 1000 };

struct record {
	uint32_t number;	/* of a record, or version of settings */
	uint32_t edition;
	uint32_t len;		/* with this */
	uint32_t sum;
};

static void wrong(struct keeper *keeper, const char *what)
{
	world_bad(&keeper->pw->world, what);
}

/* What a call came to; then the power may fail. */
static int noted(struct keeper *keeper, int res)
{
	struct world *world = &keeper->pw->world;

	world_mix(world, weir_loop_now(world->loop));
	world_mix(world, keeper->id);
	world_mix(world, (uint32_t)res);
	world->events++;
	world->errors += res < 0;
	power_step(keeper->pw);
	return res;
}

/* Is it worth another try? What is or is not there is an answer. */
static bool may_pass(struct keeper *keeper, int res, unsigned int tries)
{
	if (res >= 0 || res == -ENOENT || res == -EEXIST || keeper->pw->dark)
		return false;
	if (!keeper->pw->world.sim.error_permille || tries > TRIES_MAX) {
		wrong(keeper, "an error that is no fault");
		return false;
	}
	return true;
}

/* Who has no power any more does nothing more. */
#define INSIST(keeper, call)						\
	({								\
		unsigned int insist_tries = 0;				\
		int insist_res;						\
									\
		do {							\
			insist_res = (keeper)->pw->dark ? -EIO :	\
				     noted(keeper, call);		\
		} while (may_pass(keeper, insist_res, ++insist_tries));	\
		insist_res;						\
	})

static struct weir_loop *loop_of(const struct keeper *keeper)
{
	return keeper->pw->world.loop;
}

static uint32_t roll(struct keeper *keeper, uint32_t n)
{
	return (uint32_t)world_roll(&keeper->pw->world, n);
}

/* Is the life over? Whatever was wrong ends it too. */
static bool is_over(const struct keeper *keeper)
{
	return keeper->pw->dark || keeper->pw->world.bad;
}

static uint32_t sum_of(const struct record *record)
{
	const unsigned char *bytes = (const unsigned char *)(record + 1);
	uint32_t sum = 0x811c9dc5 ^ record->number ^ record->edition << 8 ^ record->len << 16;
	uint32_t i;

	for (i = 0; i < record->len - sizeof(*record); i++)
		sum = (sum ^ bytes[i]) * 0x01000193;
	return sum;
}

/* Its length is given by its number, so that its place is known. */
static uint32_t record_len(uint32_t number)
{
	return (uint32_t)sizeof(struct record) + number * 389 % (RECORD_BYTES - 16);
}

static uint32_t record_at(uint32_t number)
{
	uint32_t at = 0;

	while (number)
		at += record_len(--number);
	return at;
}

static void record_fill(unsigned char *to, uint32_t number, uint32_t edition)
{
	struct record *record = (struct record *)(void *)to;
	uint32_t i;

	*record = (struct record){ number, edition, record_len(number), 0 };
	for (i = sizeof(*record); i < record->len; i++)
		to[i] = world_byte(number + 31 * edition, i);
	record->sum = sum_of(record);
}

/* Is it whole? What is not was never there. */
static bool record_whole(const unsigned char *from, uint32_t number, uint32_t bytes)
{
	const struct record *record = (const struct record *)(const void *)from;

	return bytes >= sizeof(*record) && record->number == number &&
	       record->len == record_len(number) && record->len <= bytes &&
	       record->sum == sum_of(record);
}

/* files */

static void close_files(struct keeper *keeper)
{
	if (keeper->has_file)
		noted(keeper, weir_call_close(loop_of(keeper), keeper->file));
	if (keeper->has_dir)
		noted(keeper, weir_call_close(loop_of(keeper), keeper->dir));
	keeper->has_file = false;
	keeper->has_dir = false;
}

static int open_file(struct keeper *keeper, const char *path, int flags)
{
	int err;

	if (keeper->has_file)
		noted(keeper, weir_call_close(loop_of(keeper), keeper->file));
	keeper->has_file = false;
	err = INSIST(keeper, weir_call_open(loop_of(keeper), path, flags, 0600, 0,
					    &keeper->file));
	keeper->has_file = !err;
	return err;
}

/* All of it, in one part or two, whatever is cut short; @keeper->out from its start. */
static int write_out(struct keeper *keeper, uint32_t len, uint64_t offset)
{
	uint32_t done = 0;

	while (done < len) {
		uint32_t half = (len - done) / 2;
		struct iovec iov[2] = {
			{ keeper->out + done, half },
			{ keeper->out + done + half, len - done - half },
		};
		int n;

		if (roll(keeper, 2))
			n = INSIST(keeper, weir_call_writev(loop_of(keeper), keeper->file, iov, 2,
							    offset + done, 0));
		else
			n = INSIST(keeper, weir_call_write(loop_of(keeper), keeper->file,
							   keeper->out + done, len - done,
							   offset + done, 0));
		if (n < 0)
			return n;
		done += (uint32_t)n;
		if (keeper->kind == KEEPER_LEDGER && done < len)
			keeper->sectors[(offset + done) / SECTOR_BYTES].cut |=
				done % SECTOR_BYTES;
	}
	return 0;
}

/* Into @keeper->in; how much there was. */
static int read_in(struct keeper *keeper, uint32_t len, uint64_t offset)
{
	uint32_t done = 0;
	int n;

	do {
		n = INSIST(keeper, weir_call_read(loop_of(keeper), keeper->file,
						  keeper->in + done, len - done,
						  offset + done, 0));
		if (n < 0)
			return n;
		done += (uint32_t)n;
	} while (n && done < len);
	return (int)done;
}

/* Once: after a failure the caller must write again. */
static int sync_file(struct keeper *keeper)
{
	int err;

	if (keeper->pw->dark)
		return -EIO;
	if (roll(keeper, 2))
		err = weir_call_fsync(loop_of(keeper), keeper->file, 0);
	else
		err = weir_call_fdatasync(loop_of(keeper), keeper->file, 0);
	err = noted(keeper, err);
	if (err && !keeper->pw->dark) {
		keeper->pw->counts.syncs_failed++;
		may_pass(keeper, err, 0);
	}
	return err;
}

/* A directory loses no name by a sync that fails. */
static int sync_home(struct keeper *keeper)
{
	return INSIST(keeper, weir_call_fsync(loop_of(keeper), keeper->dir, 0));
}

/* Its directory is there, and stays. */
static int find_home(struct keeper *keeper)
{
	struct weir_loop *loop = loop_of(keeper);
	struct weir_file root = { 0 };
	int err, made;

	made = INSIST(keeper, weir_call_mkdir(loop, keeper->home, 0700, 0));
	if (made && made != -EEXIST)
		return made;
	if (!made && keeper->housed && !keeper->pw->dark)
		wrong(keeper, "a directory that was synced is not there");
	err = INSIST(keeper, weir_call_open(loop, keeper->home, O_RDONLY | O_DIRECTORY, 0, 0,
					    &keeper->dir));
	if (err)
		return err;
	keeper->has_dir = true;
	err = INSIST(keeper, weir_call_open(loop, "/", O_RDONLY | O_DIRECTORY, 0, 0, &root));
	if (err)
		return err;
	err = INSIST(keeper, weir_call_fsync(loop, root, 0));
	keeper->housed |= !err;
	noted(keeper, weir_call_close(loop, root));
	return err;
}

/* Opens its file. Is it missing where it may not be? Then it is made. */
static int find_file(struct keeper *keeper)
{
	int err = open_file(keeper, keeper->path, O_RDWR);

	if (err != -ENOENT || keeper->pw->dark)
		return err;
	if (keeper->named)
		wrong(keeper, "a name that was synced is not there");
	keeper->pw->counts.names_lost += keeper->tried || keeper->version;
	return open_file(keeper, keeper->path, O_RDWR | O_CREAT);
}

/* journal */

/* Records that are there, from the first; -errno. */
static int journal_look(struct keeper *keeper)
{
	uint32_t number;

	for (number = 0; number < RECORDS_MAX; number++) {
		int n = read_in(keeper, record_len(number), record_at(number));

		if (n < 0)
			return n;
		if (!record_whole(keeper->in, number, (uint32_t)n))
			break;
		record_fill(keeper->out, number, keeper->editions[number]);
		if (number >= keeper->tried || memcmp(keeper->in, keeper->out, (size_t)n))
			wrong(keeper, "a whole record that nobody wrote there");
	}
	if (number < keeper->synced)
		wrong(keeper, "a record that was synced is lost");
	return (int)number;
}

/* What is after the last whole record is cut off, for good. */
static int journal_begin(struct keeper *keeper)
{
	int err, there;

	err = find_file(keeper);
	if (err)
		return err;
	there = journal_look(keeper);
	if (there < 0)
		return there;
	keeper->pw->counts.records_kept += (uint32_t)there;
	keeper->pw->counts.records_lost += keeper->tried - (uint32_t)there;
	if (keeper->pw->looking)
		return 0;
	err = INSIST(keeper, weir_call_ftruncate(loop_of(keeper), keeper->file,
						 record_at((uint32_t)there), 0));
	if (err)
		return err;
	do {
		err = sync_file(keeper);
	} while (err && !is_over(keeper));
	if (!err)
		err = sync_home(keeper);
	if (err)
		return err;
	keeper->named = true;
	keeper->synced = (uint32_t)there;
	keeper->tried = keeper->synced;
	keeper->edition++;
	return 0;
}

static int journal_append(struct keeper *keeper, uint32_t number)
{
	keeper->editions[number] = keeper->edition;
	if (keeper->tried <= number)
		keeper->tried = number + 1;
	record_fill(keeper->out, number, keeper->edition);
	return write_out(keeper, record_len(number), record_at(number));
}

static int journal_life(struct keeper *keeper)
{
	uint32_t number;
	int err;

	err = journal_begin(keeper);
	number = keeper->synced;
	while (!err && !is_over(keeper) && !keeper->pw->looking && number < RECORDS_MAX) {
		err = journal_append(keeper, number++);
		if (err || roll(keeper, 4))
			continue;
		if (sync_file(keeper))
			number = keeper->synced;	/* what is behind it was given up */
		else
			keeper->synced = number;
	}
	return err;
}

/* settings */

static int settings_look(struct keeper *keeper)
{
	const struct record *record = (const struct record *)(const void *)keeper->in;
	int n;

	n = open_file(keeper, keeper->path, O_RDONLY);
	if (n == -ENOENT && !keeper->pw->dark) {
		if (keeper->synced)
			wrong(keeper, "settings that were synced are not there");
		keeper->pw->counts.settings_old += keeper->tried > 0;
		return 0;
	}
	if (!n)
		n = read_in(keeper, RECORD_BYTES, 0);
	if (n < 0)
		return n;
	if (!record_whole(keeper->in, record->number, (uint32_t)n))
		wrong(keeper, "settings that are not whole");
	else if (record->number < keeper->synced)
		wrong(keeper, "settings from before those that were synced");
	else if (record->number > keeper->tried)
		wrong(keeper, "settings that nobody made");
	else if (keeper->tried > keeper->synced)
		*(record->number == keeper->synced ? &keeper->pw->counts.settings_old :
						     &keeper->pw->counts.settings_new) += 1;
	return 0;
}

static int settings_write(struct keeper *keeper, uint32_t version)
{
	int err;

	do {
		err = open_file(keeper, keeper->aside, O_RDWR | O_CREAT | O_TRUNC);
		if (err)
			return err;
		record_fill(keeper->out, version, 0);
		err = write_out(keeper, record_len(version), 0);
		if (err)
			return err;
		err = sync_file(keeper);
	} while (err && !is_over(keeper));
	return err;
}

static int settings_life(struct keeper *keeper)
{
	uint32_t version = keeper->tried + 1, end = version + VERSIONS_LIFE;
	int err;

	err = settings_look(keeper);
	for (; !err && !is_over(keeper) && !keeper->pw->looking && version < end; version++) {
		err = settings_write(keeper, version);
		if (err)
			break;
		keeper->tried = version;
		err = INSIST(keeper, weir_call_rename(loop_of(keeper), keeper->aside,
						      keeper->path, 0, 0));
		if (!err && roll(keeper, 2)) {
			err = sync_home(keeper);
			if (!err)
				keeper->synced = version;
		}
	}
	return err;
}

/* ledger */

static bool sector_uniform(const unsigned char *bytes)
{
	return !memcmp(bytes, bytes + 1, SECTOR_BYTES - 1);
}

static void sector_judge(struct keeper *keeper, uint32_t number)
{
	const unsigned char *bytes = keeper->in + (size_t)number * SECTOR_BYTES;
	const struct sector *sector = &keeper->sectors[number];
	uint32_t i;

	if (!sector_uniform(bytes) && !sector->cut)
		wrong(keeper, "a sector that is torn");
	for (i = 0; i < SECTOR_BYTES; i++) {
		if (bytes[i] != sector->synced && !sector->may[bytes[i]])
			wrong(keeper, "a sector from before it was synced, or from nowhere");
	}
	for (i = 0; i < VERSIONS && !sector->may[i]; i++)
		;
	if (i == VERSIONS)
		return;		/* nothing was at stake */
	keeper->pw->counts.sectors_old += bytes[0] == sector->synced;
	keeper->pw->counts.sectors_new += bytes[0] != sector->synced;
}

static int ledger_look(struct keeper *keeper)
{
	uint32_t i, last = 0;
	int n;

	n = read_in(keeper, SECTORS * SECTOR_BYTES, 0);
	if (n < 0)
		return n;
	if (!keeper->made)
		return 0;
	if (n != SECTORS * SECTOR_BYTES) {
		wrong(keeper, "a ledger of another size than was synced");
		return 0;
	}
	for (i = 0; i < SECTORS; i++)
		sector_judge(keeper, i);
	for (i = 0; i < keeper->last_count; i++)
		last += keeper->in[(keeper->last_first + i) * SECTOR_BYTES] == keeper->version;
	keeper->pw->counts.writes_torn += keeper->last_done && last && last < keeper->last_count;
	return 0;
}

static int ledger_write(struct keeper *keeper, uint32_t first, uint32_t count)
{
	uint32_t i;
	int err;

	keeper->version++;
	keeper->last_first = first;
	keeper->last_count = count;
	for (i = first; i < first + count; i++)
		keeper->sectors[i].may[keeper->version] = true;
	keeper->last_done = false;
	memset(keeper->out, (int)keeper->version, (size_t)count * SECTOR_BYTES);
	err = write_out(keeper, count * SECTOR_BYTES, (uint64_t)first * SECTOR_BYTES);
	keeper->last_done = !err;
	return err;
}

/* @latest: what was written to each sector last */
static void ledger_synced(struct keeper *keeper, const uint8_t *latest)
{
	uint32_t i;

	for (i = 0; i < SECTORS; i++)
		keeper->sectors[i] = (struct sector){ .synced = latest[i] };
	keeper->last_count = 0;
}

/* All of it anew, until that is on the disk. */
static int ledger_make(struct keeper *keeper, uint8_t *latest)
{
	int err;

	do {
		err = ledger_write(keeper, 0, SECTORS);
		if (err)
			return err;
		err = sync_file(keeper);
	} while (err && !is_over(keeper) && keeper->version < VERSIONS - 1);
	if (err)
		return err;
	memset(latest, (int)keeper->version, SECTORS);
	ledger_synced(keeper, latest);
	return 0;
}

static int ledger_life(struct keeper *keeper)
{
	uint32_t end = keeper->version + VERSIONS_LIFE;
	uint8_t latest[SECTORS];
	int err;

	err = find_file(keeper);
	if (!err)
		err = ledger_look(keeper);
	if (err || keeper->pw->looking || is_over(keeper))
		return err;
	err = ledger_make(keeper, latest);
	if (!err)
		err = sync_home(keeper);
	if (err)
		return err;
	keeper->named = true;
	keeper->made = true;
	while (!err && !is_over(keeper) && keeper->version < end) {
		uint32_t first = roll(keeper, SECTORS), count = 1 + roll(keeper, SECTORS - first);

		err = ledger_write(keeper, first, count);
		memset(latest + first, (int)keeper->version, count);
		if (err || roll(keeper, 4))
			continue;
		if (!sync_file(keeper))
			ledger_synced(keeper, latest);
		else if (!is_over(keeper))
			err = ledger_make(keeper, latest);
	}
	return err;
}

int keeper_life(void *arg)
{
	static int (*const lives[])(struct keeper *keeper) = {
		[KEEPER_JOURNAL]	= journal_life,
		[KEEPER_SETTINGS]	= settings_life,
		[KEEPER_LEDGER]		= ledger_life,
	};
	struct keeper *keeper = arg;
	int err;

	err = find_home(keeper);
	if (!err && !is_over(keeper))
		err = lives[keeper->kind](keeper);
	if (err && !is_over(keeper))
		wrong(keeper, "a keeper that gave up");
	close_files(keeper);
	return err;
}
