// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_sim_disk.c - the disk of the in-memory kernel: what a power loss leaves
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <weir/sim.h>

#include "backends.h"
#include "files.h"
#include "io/sim_fs.h"
#include "kselftest_harness.h"

enum {
	SEEDS		= 1000,
	RECORDS		= 24,
	RECORD_BYTES	= 700,		/* more than a sector, and no multiple of one */
	FEW		= 64,
};

static struct weir_loop *open_seed(uint64_t seed, const struct weir_sim_opts *sim)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = "sim", .files_max = 8, .seed = seed, .sim = sim,
	};
	struct weir_loop *loop;

	if (weir_loop_open(&loop, &opts))
		abort();
	return loop;
}

FIXTURE(disk)
{
	struct weir_loop *loop;
	struct weir_file file;
	struct weir_file root;
	struct statx st;
	char buf[8192];
};

FIXTURE_SETUP(disk)
{
	self->loop = open_seed(1, NULL);
	ASSERT_EQ(0, do_open(self->loop, "/f", O_RDWR | O_CREAT, &self->file));
	ASSERT_EQ(0, do_open(self->loop, "/", O_RDONLY | O_DIRECTORY, &self->root));
}

FIXTURE_TEARDOWN(disk)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

TEST_F(disk, what_was_open_is_lost_and_can_only_be_closed)
{
	ASSERT_EQ(1, do_write(self->loop, self->file, "x", 1, 0));
	ASSERT_EQ(0, weir_sim_power_loss(self->loop));
	EXPECT_EQ(-EIO, do_read(self->loop, self->file, self->buf, 1, 0));
	EXPECT_EQ(-EIO, do_write(self->loop, self->file, self->buf, 1, 0));
	EXPECT_EQ(-EIO, do_fsync(self->loop, self->file, false));
	EXPECT_EQ(-EIO, do_ftruncate(self->loop, self->file, 0));
	EXPECT_EQ(-EIO, do_fstatx(self->loop, self->file, &self->st));
	EXPECT_EQ(-EIO, do_fsync(self->loop, self->root, false));
	EXPECT_EQ(0, do_close(self->loop, self->file));
	EXPECT_EQ(0, do_close(self->loop, self->root));
	EXPECT_EQ(0, do_statx(self->loop, "/tmp", &self->st));
}

TEST_F(disk, what_is_in_flight_ends_with_an_error)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_write(&op, self->file, "x", 1, 0, seen_done, &seen);
	weir_submit(self->loop, &op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	ASSERT_EQ(0, weir_sim_power_loss(self->loop));
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_RESULT(&seen, -EIO, WEIR_ORIGIN_KERNEL);
}

TEST_F(disk, direct_io_wants_whole_sectors)
{
	_Alignas(512) static char block[1024];
	struct weir_file file;

	ASSERT_EQ(0, do_open(self->loop, "/f", O_RDWR | O_DIRECT, &file));
	EXPECT_EQ(1024, do_write(self->loop, file, block, 1024, 512));
	EXPECT_EQ(-EINVAL, do_write(self->loop, file, block, 1024, 1));
	EXPECT_EQ(-EINVAL, do_write(self->loop, file, block, 1000, 0));
	EXPECT_EQ(-EINVAL, do_read(self->loop, file, block + 1, 512, 0));
	EXPECT_EQ(512, do_read(self->loop, file, block, 512, 0));
}

TEST_F(disk, a_tree_is_walked_by_dots_and_slashes)
{
	ASSERT_EQ(0, do_mkdir(self->loop, "/a", 0700));
	ASSERT_EQ(0, do_mkdir(self->loop, "a//b/", 0700));
	EXPECT_EQ(0, do_statx(self->loop, "a/./b/../../f", &self->st));
	EXPECT_TRUE(S_ISREG(self->st.stx_mode));
	EXPECT_EQ(0, do_statx(self->loop, "/../a/b/", &self->st));
	EXPECT_EQ(2, self->st.stx_nlink);
	EXPECT_EQ(0, do_statx(self->loop, "/a", &self->st));
	EXPECT_EQ(3, self->st.stx_nlink);
	EXPECT_EQ(-ENOTDIR, do_statx(self->loop, "/f/", &self->st));
	EXPECT_EQ(-ENOTDIR, do_statx(self->loop, "/f/x", &self->st));
	EXPECT_EQ(-ENOENT, do_statx(self->loop, "/none/x", &self->st));
	EXPECT_EQ(-ENOENT, do_statx(self->loop, "", &self->st));
	EXPECT_EQ(-EINVAL, do_rename(self->loop, "/a", "/a/b/c", 0));
	EXPECT_EQ(-ENOTDIR, do_rename(self->loop, "/a", "/f", 0));
	EXPECT_EQ(-EISDIR, do_rename(self->loop, "/f", "/a", 0));
	EXPECT_EQ(0, do_rename(self->loop, "/a/b", "/b", 0));
	EXPECT_EQ(0, do_rename(self->loop, "/b", "/a", 0));
	EXPECT_EQ(-EBUSY, do_unlink(self->loop, "/", AT_REMOVEDIR));
}

TEST_F(disk, a_full_disk_says_so)
{
	char path[32];
	int err = 0, n;

	for (n = 0; n < 2 * SIM_INODES && !err; n++) {
		struct weir_file file;

		snprintf(path, sizeof(path), "/%d", n);
		err = do_open(self->loop, path, O_WRONLY | O_CREAT, &file);
		if (!err)
			err = do_close(self->loop, file);
	}
	EXPECT_EQ(-ENOSPC, err);
	EXPECT_EQ(-EFBIG, do_ftruncate(self->loop, self->file, SIM_INODE_BYTES + 1));
	EXPECT_EQ(0, do_unlink(self->loop, "/0", 0));
	/* Until the disk knows, what it holds takes its place. */
	EXPECT_EQ(0, do_fsync(self->loop, self->root, false));
	ASSERT_EQ(0, do_open(self->loop, "/new", O_RDWR | O_CREAT, &self->file));
	EXPECT_EQ(0, do_read(self->loop, self->file, self->buf, 1, 0));
}

/* How often a power loss left what of two writes. */
struct outcomes {
	unsigned int none;
	unsigned int all;
	unsigned int torn;
	unsigned int second_only;
	unsigned int no_name;
};

static unsigned int count_of(const char *buf, size_t len, char c)
{
	unsigned int n = 0;

	while (len--)
		n += *buf++ == c;
	return n;
}

static void lose_unsynced(uint64_t seed, struct outcomes *out)
{
	struct weir_loop *loop = open_seed(seed, NULL);
	struct weir_file file, root;
	static char buf[4096];
	unsigned int first, second;

	memset(buf, 'a', sizeof(buf));
	if (do_open(loop, "/f", O_RDWR | O_CREAT, &file) ||
	    do_write(loop, file, buf, 4096, 0) != 4096 || do_fsync(loop, file, false) ||
	    do_open(loop, "/", O_RDONLY, &root) || do_fsync(loop, root, false))
		abort();
	memset(buf, 'b', sizeof(buf));
	if (do_write(loop, file, buf, 2048, 0) != 2048 ||
	    do_write(loop, file, buf, 2048, 2048) != 2048)
		abort();
	weir_sim_power_loss(loop);
	if (do_open(loop, "/f", O_RDWR, &file) || do_read(loop, file, buf, 4096, 0) != 4096)
		abort();
	first = count_of(buf, 2048, 'b');
	second = count_of(buf + 2048, 2048, 'b');
	if (first % SIM_SECTOR || second % SIM_SECTOR ||
	    count_of(buf, 4096, 'a') + first + second != 4096)
		abort();
	out->none += !first && !second;
	out->all += first + second == 4096;
	out->torn += first && first < 2048;
	out->second_only += !first && second;
	if (weir_loop_close(loop, LIMIT_NS))
		abort();
}

TEST(unsynced_writes_are_lost_torn_reordered_or_kept_by_seed)
{
	struct outcomes out = { 0 };
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++)
		lose_unsynced(seed, &out);
	EXPECT_LT(FEW, out.none);
	EXPECT_LT(FEW, out.all);
	EXPECT_LT(FEW, out.torn);
	EXPECT_LT(FEW / 4, out.second_only);
}

/* A name in a directory that was not synced: there or not. Returns which. */
static bool name_survives(uint64_t seed, bool synced)
{
	struct weir_loop *loop = open_seed(seed, NULL);
	struct weir_file file, dir;
	struct statx st;
	int err;

	if (do_mkdir(loop, "/d", 0700) || do_open(loop, "/d", O_RDONLY, &dir) ||
	    do_open(loop, "/d/f", O_RDWR | O_CREAT, &file) || do_fsync(loop, file, false))
		abort();
	if (synced) {
		if (do_fsync(loop, dir, false) || do_close(loop, dir) ||
		    do_open(loop, "/", O_RDONLY, &dir) || do_fsync(loop, dir, false))
			abort();
	}
	weir_sim_power_loss(loop);
	err = do_statx(loop, "/d/f", &st);
	if ((err && err != -ENOENT) || weir_loop_close(loop, LIMIT_NS))
		abort();
	return !err;
}

TEST(a_name_is_there_for_certain_only_when_its_directories_were_synced)
{
	unsigned int survived = 0, synced = 0;
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++) {
		survived += name_survives(seed, false);
		synced += name_survives(seed, true);
	}
	EXPECT_EQ(SEEDS, synced);
	EXPECT_LT(FEW, survived);
	EXPECT_GT(SEEDS - FEW, survived);
}

/* Write aside, sync, rename over: afterwards the old file is there, or the new one. */
static char replaced_with(uint64_t seed)
{
	struct weir_loop *loop = open_seed(seed, NULL);
	struct weir_file file, root;
	char buf[1024];

	memset(buf, 'o', sizeof(buf));
	if (do_open(loop, "/f", O_RDWR | O_CREAT, &file) ||
	    do_write(loop, file, buf, 1024, 0) != 1024 || do_fsync(loop, file, false) ||
	    do_open(loop, "/", O_RDONLY, &root) || do_fsync(loop, root, false) ||
	    do_close(loop, file))
		abort();
	memset(buf, 'n', sizeof(buf));
	if (do_open(loop, "/f.new", O_RDWR | O_CREAT, &file) ||
	    do_write(loop, file, buf, 1024, 0) != 1024 || do_fsync(loop, file, true) ||
	    do_rename(loop, "/f.new", "/f", 0))
		abort();
	weir_sim_power_loss(loop);
	if (do_open(loop, "/f", O_RDONLY, &file) || do_read(loop, file, buf, 1024, 0) != 1024 ||
	    count_of(buf, 1024, buf[0]) != 1024 || weir_loop_close(loop, LIMIT_NS))
		abort();
	return buf[0];
}

TEST(a_rename_is_done_whole_or_not_at_all)
{
	unsigned int old = 0, new = 0;
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++) {
		char c = replaced_with(seed);

		old += c == 'o';
		new += c == 'n';
	}
	EXPECT_EQ(SEEDS, old + new);
	EXPECT_LT(FEW, old);
	EXPECT_LT(FEW, new);
}

static void sync_dir(struct weir_loop *loop, const char *path)
{
	struct weir_file dir;

	if (do_open(loop, path, O_RDONLY | O_DIRECTORY, &dir) || do_fsync(loop, dir, false) ||
	    do_close(loop, dir))
		abort();
}

/* Make "/d/f" and put it on disk, with "/e" beside "/d". */
static void make_tree(struct weir_loop *loop)
{
	struct weir_file file;

	if (do_mkdir(loop, "/d", 0700) || do_mkdir(loop, "/e", 0700) ||
	    do_open(loop, "/d/f", O_RDWR | O_CREAT, &file) || do_close(loop, file))
		abort();
	sync_dir(loop, "/d");
	sync_dir(loop, "/");
}

/* Of paths, how many there are after a power loss. */
static unsigned int count_left(struct weir_loop *loop, const char *one, const char *two)
{
	struct statx st;
	unsigned int n;

	if (weir_sim_power_loss(loop))
		abort();
	n = !do_statx(loop, one, &st) + (two && !do_statx(loop, two, &st));
	if (weir_loop_close(loop, LIMIT_NS))
		abort();
	return n;
}

TEST(what_was_removed_with_its_directory_is_not_in_the_next_one)
{
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++) {
		struct weir_loop *loop = open_seed(seed, NULL);

		make_tree(loop);
		ASSERT_EQ(0, do_unlink(loop, "/d/f", 0));
		ASSERT_EQ(0, do_unlink(loop, "/d", AT_REMOVEDIR));
		sync_dir(loop, "/");
		/* The number of the old one is the first that is free. */
		ASSERT_EQ(0, do_mkdir(loop, "/new", 0700));
		sync_dir(loop, "/");
		ASSERT_EQ(0, count_left(loop, "/new/f", NULL));
	}
}

TEST(what_moved_out_of_a_directory_that_was_removed_is_not_lost_with_it)
{
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++) {
		struct weir_loop *loop = open_seed(seed, NULL);

		make_tree(loop);
		ASSERT_EQ(0, do_rename(loop, "/d/f", "/e/f", 0));
		ASSERT_EQ(0, do_unlink(loop, "/d", AT_REMOVEDIR));
		if (seed & 1)
			sync_dir(loop, "/");
		ASSERT_EQ(1, count_left(loop, "/d/f", "/e/f"));
	}
}

TEST(what_moved_into_a_new_directory_is_here_or_there)
{
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++) {
		struct weir_loop *loop = open_seed(seed, NULL);

		make_tree(loop);
		ASSERT_EQ(0, do_mkdir(loop, "/n", 0700));
		ASSERT_EQ(0, do_mkdir(loop, "/n/m", 0700));
		ASSERT_EQ(0, do_rename(loop, "/d/f", "/n/m/f", 0));
		if (seed & 1)
			sync_dir(loop, "/d");
		ASSERT_EQ(1, count_left(loop, "/d/f", "/n/m/f"));
	}
}

TEST(directories_that_move_do_not_end_up_inside_each_other)
{
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++) {
		struct weir_loop *loop = open_seed(seed, NULL);

		make_tree(loop);
		ASSERT_EQ(0, do_rename(loop, "/d", "/e/d", 0));
		ASSERT_EQ(0, do_rename(loop, "/e/d", "/d", 0));
		ASSERT_EQ(0, do_rename(loop, "/e", "/d/e", 0));
		ASSERT_LE(1, count_left(loop, "/d", "/e"));
	}
}

/* O_TRUNC, written anew, never synced: what programs lose their settings by. */
TEST(a_file_that_is_written_over_may_be_empty)
{
	unsigned int empty = 0, old = 0, new = 0;
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++) {
		struct weir_loop *loop = open_seed(seed, NULL);
		struct weir_file file;
		char buf[4] = "";

		ASSERT_EQ(0, do_open(loop, "/f", O_RDWR | O_CREAT, &file));
		ASSERT_EQ(3, do_write(loop, file, "old", 3, 0));
		ASSERT_EQ(0, do_fsync(loop, file, false));
		sync_dir(loop, "/");
		ASSERT_EQ(0, do_close(loop, file));
		ASSERT_EQ(0, do_open(loop, "/f", O_RDWR | O_TRUNC, &file));
		ASSERT_EQ(3, do_write(loop, file, "new", 3, 0));
		ASSERT_EQ(0, weir_sim_power_loss(loop));
		ASSERT_EQ(0, do_close(loop, file));
		ASSERT_EQ(0, do_open(loop, "/f", O_RDONLY, &file));
		empty += !do_read(loop, file, buf, 3, 0);
		old += !strcmp(buf, "old");
		new += !strcmp(buf, "new");
		EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	}
	EXPECT_LT(FEW, empty);
	EXPECT_LT(FEW, old);
	EXPECT_LT(FEW, new);
}

/* As on Linux: what a failed sync gave up, the next one does not write either. */
TEST(a_sync_after_one_that_failed_does_not_bring_back_what_that_gave_up)
{
	struct weir_sim_opts faults = { .sz = sizeof(faults), .error_permille = 300 };
	unsigned int failed = 0, lost = 0;
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++) {
		struct weir_loop *loop = open_seed(seed, &faults);
		struct weir_file file;
		char buf[4] = "";

		while (weir_file_open(loop, "/f", O_RDWR | O_CREAT | O_DSYNC, 0600, &file))
			;
		while (do_write(loop, file, "old", 3, 0) < 0)
			;
		do_close(loop, file);
		while (weir_file_open(loop, "/", O_RDONLY, 0, &file))
			;
		while (do_fsync(loop, file, false))
			;
		do_close(loop, file);
		while (weir_file_open(loop, "/f", O_RDWR, 0600, &file))
			;
		while (do_write(loop, file, "new", 3, 0) < 0)
			;
		if (do_fsync(loop, file, false)) {
			failed++;
			while (do_fsync(loop, file, false))
				;
			weir_sim_power_loss(loop);
			do_close(loop, file);
			while (weir_file_open(loop, "/f", O_RDONLY, 0, &file))
				;
			while (do_read(loop, file, buf, 3, 0) < 0)
				;
			lost += !strcmp(buf, "old");
			EXPECT_TRUE(!strcmp(buf, "old") || !strcmp(buf, "new"));
		}
		EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	}
	EXPECT_LT(FEW, failed);
	EXPECT_LT(failed / 2, lost);
}

/* A log: records are appended and acknowledged once they are synced. */
static void record_fill(char *record, unsigned int n)
{
	memset(record, 'A' + (int)(n % 26), RECORD_BYTES);
}

/* Records that were acknowledged before the power failed in the middle of the rest. */
static unsigned int write_log(struct weir_loop *loop, uint64_t seed)
{
	unsigned int acknowledged = 0, until = (unsigned int)(seed % RECORDS), n;
	char record[RECORD_BYTES];
	struct weir_file file, root;

	if (do_open(loop, "/log", O_RDWR | O_CREAT | O_EXCL, &file) ||
	    do_open(loop, "/", O_RDONLY, &root) || do_fsync(loop, root, false))
		abort();
	for (n = 0; n < RECORDS; n++) {
		record_fill(record, n);
		if (do_write(loop, file, record, RECORD_BYTES, (uint64_t)n * RECORD_BYTES) !=
		    RECORD_BYTES)
			abort();
		if (n >= until)
			continue;
		if (do_fsync(loop, file, seed & 1))
			abort();
		acknowledged++;
	}
	return acknowledged;
}

TEST(acknowledged_records_survive_a_power_loss_at_every_seed)
{
	unsigned int wrong = 0, partial = 0;
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++) {
		struct weir_loop *loop = open_seed(seed, NULL);
		char got[RECORD_BYTES], want[RECORD_BYTES];
		unsigned int acknowledged = write_log(loop, seed), n;
		struct weir_file file;

		ASSERT_EQ(0, weir_sim_power_loss(loop));
		ASSERT_EQ(0, do_open(loop, "/log", O_RDONLY, &file));
		for (n = 0; n < RECORDS; n++) {
			int len = do_read(loop, file, got, RECORD_BYTES,
					  (uint64_t)n * RECORD_BYTES);

			record_fill(want, n);
			if (len == RECORD_BYTES && !memcmp(got, want, RECORD_BYTES))
				continue;
			wrong += n < acknowledged;
			partial++;
		}
		EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	}
	EXPECT_EQ(0, wrong);
	/* And the disk was not so kind as to keep everything. */
	EXPECT_LT(SEEDS, partial);
}

/* What happened is a matter of the seed alone. */
TEST(the_same_seed_leaves_the_same_disk)
{
	struct outcomes one = { 0 }, two = { 0 };
	uint64_t seed;

	for (seed = 1; seed <= FEW; seed++) {
		lose_unsynced(seed, &one);
		lose_unsynced(seed, &two);
		EXPECT_EQ(0, memcmp(&one, &two, sizeof(one)));
	}
}

TEST(a_real_kernel_has_no_power_to_lose)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "epoll" };
	struct weir_loop *loop;

	ASSERT_EQ(0, weir_loop_open(&loop, &opts));
	EXPECT_EQ(-EOPNOTSUPP, weir_sim_power_loss(loop));
	EXPECT_EQ(0, weir_loop_close(loop, 0));
}

TEST_HARNESS_MAIN
