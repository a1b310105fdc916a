// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_file_ops.c - operations on files and paths other than read and write
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>

#include "backends.h"
#include "files.h"
#include "lean.h"
#include "kselftest_harness.h"

FIXTURE(ops)
{
	struct weir_loop *loop;
	struct weir_file file;
	char dir[64];
	char path[80];
	char other[80];
	struct statx st;
};

BACKEND_VARIANTS(ops);
LEAN_VARIANT(ops, old);
LEAN_VARIANT(ops, bare);

static void clear(const char *dir, const char *path, const char *other)
{
	unlink(path);
	unlink(other);
	rmdir(other);
	rmdir(dir);
}

FIXTURE_SETUP(ops)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = lean_backend(variant->name), .files_max = 8,
	};

	OPEN_LOOP(&self->loop, &opts);
	snprintf(self->dir, sizeof(self->dir), "/tmp/weir-test-ops-%d", (int)getpid());
	snprintf(self->path, sizeof(self->path), "%s/one", self->dir);
	snprintf(self->other, sizeof(self->other), "%s/two", self->dir);
	/* One that was killed had this number before. */
	clear(self->dir, self->path, self->other);
	ASSERT_EQ(0, do_mkdir(self->loop, self->dir, 0700));
	ASSERT_EQ(0, do_open(self->loop, self->path, O_RDWR | O_CREAT | O_EXCL, &self->file));
}

FIXTURE_TEARDOWN(ops)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	clear(self->dir, self->path, self->other);
}

TEST_F(ops, what_is_opened_is_read_and_written_and_closed)
{
	char buf[8] = "";

	EXPECT_EQ(5, do_write(self->loop, self->file, "hello", 5, 0));
	EXPECT_EQ(5, do_read(self->loop, self->file, buf, sizeof(buf), 0));
	EXPECT_STREQ("hello", buf);
	EXPECT_EQ(0, do_close(self->loop, self->file));
	EXPECT_EQ(0, stats_of(self->loop).files);
	EXPECT_EQ(-EBADF, do_read(self->loop, self->file, buf, 1, 0));
}

TEST_F(ops, what_is_opened_has_a_descriptor_that_is_closed_on_exec)
{
	int fd = weir_file_fd(self->loop, self->file);

	if (on_sim(self->loop)) {
		EXPECT_EQ(-EOPNOTSUPP, fd);
		return;
	}
	EXPECT_EQ(FD_CLOEXEC, fcntl(fd, F_GETFD));
}

TEST_F(ops, opening_tells_what_is_wrong_with_a_path)
{
	struct weir_file file;

	EXPECT_EQ(-ENOENT, do_open(self->loop, self->other, O_RDONLY, &file));
	EXPECT_EQ(-EEXIST, do_open(self->loop, self->path, O_RDWR | O_CREAT | O_EXCL, &file));
	EXPECT_EQ(-EISDIR, do_open(self->loop, self->dir, O_RDWR, &file));
	EXPECT_EQ(-ENOTDIR, do_open(self->loop, self->path, O_RDONLY | O_DIRECTORY, &file));
	EXPECT_EQ(-EFAULT, do_open(self->loop, NULL, O_RDONLY, &file));
	EXPECT_EQ(-EINVAL, do_open(self->loop, self->path, 1 << 30, &file));
	EXPECT_EQ(1, stats_of(self->loop).files);
}

TEST_F(ops, a_full_table_refuses_to_open_and_loses_no_descriptor)
{
	struct weir_op op[10] = { 0 };
	struct seen seen[10] = { 0 };
	unsigned int i, opened = 0;

	/* All at once: places are kept for those in flight. */
	for (i = 0; i < 10; i++) {
		weir_prep_open(&op[i], self->path, O_RDONLY, 0, seen_done, &seen[i]);
		weir_submit(self->loop, &op[i]);
	}
	for (i = 0; i < 10; i++) {
		RUN_UNTIL(self->loop, seen[i].terminals);
		opened += !seen[i].res;
		EXPECT_EQ(seen[i].res ? -ENFILE : 0, seen[i].res);
	}
	EXPECT_EQ(7, opened);
	EXPECT_EQ(8, stats_of(self->loop).files);
	EXPECT_EQ(0, do_close(self->loop, self->file));
	EXPECT_EQ(0, do_open(self->loop, self->path, O_RDONLY, &self->file));
}

TEST_F(ops, opens_that_are_cancelled_leave_no_place_taken)
{
	struct weir_op op[7] = { 0 };
	struct seen seen[7] = { 0 };
	unsigned int i;

	for (i = 0; i < 7; i++) {
		weir_prep_open(&op[i], self->path, O_RDONLY, 0, seen_done, &seen[i]);
		weir_submit(self->loop, &op[i]);
		weir_cancel(self->loop, &op[i]);
	}
	for (i = 0; i < 7; i++) {
		RUN_UNTIL(self->loop, seen[i].terminals);
		if (seen[i].res)
			EXPECT_RESULT(&seen[i], -ECANCELED, WEIR_ORIGIN_CANCELLED);
		else
			EXPECT_EQ(0, do_close(self->loop, op[i].accepted));
	}
	EXPECT_EQ(1, stats_of(self->loop).files);
	for (i = 0; i < 7; i++)
		EXPECT_EQ(0, do_open(self->loop, self->path, O_RDONLY, &op[i].accepted));
}

TEST_F(ops, a_vector_is_written_and_read_in_order)
{
	char a[3], b[4], c[8] = "";
	struct iovec out[] = { { "can", 3 }, { NULL, 0 }, { "dle light", 9 } };
	struct iovec in[] = { { a, 3 }, { b, 4 }, { c, 8 } };

	EXPECT_EQ(12, do_writev(self->loop, self->file, out, 3, 2));
	EXPECT_EQ(12, do_readv(self->loop, self->file, in, 3, 2));
	EXPECT_EQ(0, memcmp(a, "can", 3));
	EXPECT_EQ(0, memcmp(b, "dle ", 4));
	EXPECT_STREQ("light", c);
	EXPECT_EQ(12, stats_of(self->loop).bytes_out);
	EXPECT_EQ(12, stats_of(self->loop).bytes_in);
}

TEST_F(ops, bad_vectors_and_offsets_are_refused)
{
	char buf[4];
	struct iovec good = { buf, 4 }, null = { NULL, 4 };
	struct iovec huge[] = { { buf, INT32_MAX }, { buf, 1 } };
	static struct iovec many[1025];

	EXPECT_EQ(0, do_readv(self->loop, self->file, &good, 0, 0));
	EXPECT_EQ(-EFAULT, do_readv(self->loop, self->file, NULL, 1, 0));
	EXPECT_EQ(-EFAULT, do_writev(self->loop, self->file, &null, 1, 0));
	EXPECT_EQ(-EINVAL, do_writev(self->loop, self->file, huge, 2, 0));
	EXPECT_EQ(-EINVAL, do_writev(self->loop, self->file, many, 1025, 0));
	EXPECT_EQ(-EINVAL, do_readv(self->loop, self->file, &good, 1, (uint64_t)-1));
	EXPECT_EQ(-EINVAL, do_read(self->loop, self->file, buf, 4, (uint64_t)INT64_MAX + 1));
	EXPECT_EQ(-EINVAL, do_write(self->loop, self->file, buf, (uint32_t)-4, 0));
	EXPECT_EQ(-EFAULT, do_read(self->loop, self->file, NULL, 4, 0));
	EXPECT_EQ(-EFAULT, do_write(self->loop, self->file, NULL, 4, 0));
}

TEST_F(ops, the_size_follows_truncation_and_allocation)
{
	char buf[8] = "xxxxxxx";

	ASSERT_EQ(8, do_write(self->loop, self->file, "12345678", 8, 0));
	EXPECT_EQ(0, do_ftruncate(self->loop, self->file, 3));
	EXPECT_EQ(0, do_fstatx(self->loop, self->file, &self->st));
	EXPECT_EQ(3, self->st.stx_size);
	/* What was cut off does not come back. */
	EXPECT_EQ(0, do_ftruncate(self->loop, self->file, 6));
	EXPECT_EQ(6, do_read(self->loop, self->file, buf, 8, 0));
	EXPECT_EQ(0, memcmp(buf, "123\0\0\0x", 7));
	EXPECT_EQ(0, do_fallocate(self->loop, self->file, 0, 4096, 4096));
	EXPECT_EQ(0, do_fstatx(self->loop, self->file, &self->st));
	EXPECT_EQ(8192, self->st.stx_size);
	EXPECT_EQ(0, do_fallocate(self->loop, self->file, FALLOC_FL_KEEP_SIZE, 0, 65536));
	EXPECT_EQ(0, do_statx(self->loop, self->path, &self->st));
	EXPECT_EQ(8192, self->st.stx_size);
	EXPECT_EQ(-EINVAL, do_ftruncate(self->loop, self->file, (uint64_t)-1));
	EXPECT_EQ(-EINVAL, do_fallocate(self->loop, self->file, 0, 0, 0));
	EXPECT_EQ(-EOPNOTSUPP, do_fallocate(self->loop, self->file, 1 << 20, 0, 1));
}

TEST_F(ops, a_hole_punched_reads_as_zeroes_and_keeps_the_size)
{
	char buf[8];
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	ASSERT_EQ(8, do_write(self->loop, self->file, "12345678", 8, 0));
	EXPECT_EQ(0, do_fallocate(self->loop, self->file, mode, 2, 4));
	EXPECT_EQ(8, do_read(self->loop, self->file, buf, 8, 0));
	EXPECT_EQ(0, memcmp(buf, "12\0\0\0\0", 6));
	EXPECT_EQ(0, memcmp(buf + 6, "78", 2));
}

TEST_F(ops, syncing_and_advising_succeed_on_a_file)
{
	ASSERT_EQ(3, do_write(self->loop, self->file, "abc", 3, 0));
	EXPECT_EQ(0, do_fsync(self->loop, self->file, false));
	EXPECT_EQ(0, do_fsync(self->loop, self->file, true));
	EXPECT_EQ(0, do_fadvise(self->loop, self->file, 0, 0, POSIX_FADV_SEQUENTIAL));
	EXPECT_EQ(0, do_fadvise(self->loop, self->file, 0, 4096, POSIX_FADV_DONTNEED));
	EXPECT_EQ(-EINVAL, do_fadvise(self->loop, self->file, 0, 0, 999));
	EXPECT_EQ(-EINVAL, do_fadvise(self->loop, self->file, (uint64_t)-1, 0, 0));
	EXPECT_EQ(-EINVAL, DO_OP(self->loop, weir_prep_range, WEIR_OP_FSYNC, self->file, 0, 0, 2));
}

TEST_F(ops, statx_tells_kind_and_size_by_path_and_by_handle)
{
	ASSERT_EQ(5, do_write(self->loop, self->file, "hello", 5, 0));
	EXPECT_EQ(0, do_statx(self->loop, self->path, &self->st));
	EXPECT_TRUE(S_ISREG(self->st.stx_mode));
	EXPECT_EQ(5, self->st.stx_size);
	EXPECT_EQ(1, self->st.stx_nlink);
	EXPECT_EQ(0, do_statx(self->loop, self->dir, &self->st));
	EXPECT_TRUE(S_ISDIR(self->st.stx_mode));
	EXPECT_EQ(-ENOENT, do_statx(self->loop, self->other, &self->st));
	EXPECT_EQ(-EFAULT, do_statx(self->loop, NULL, &self->st));
	EXPECT_EQ(-EFAULT, do_statx(self->loop, self->path, NULL));
	EXPECT_EQ(0, do_fstatx(self->loop, self->file, &self->st));
	EXPECT_EQ(5, self->st.stx_size);
}

TEST_F(ops, a_name_is_removed_while_its_file_stays_open)
{
	char buf[4];

	ASSERT_EQ(3, do_write(self->loop, self->file, "abc", 3, 0));
	EXPECT_EQ(0, do_unlink(self->loop, self->path, 0));
	EXPECT_EQ(-ENOENT, do_unlink(self->loop, self->path, 0));
	EXPECT_EQ(-ENOENT, do_statx(self->loop, self->path, &self->st));
	EXPECT_EQ(3, do_read(self->loop, self->file, buf, 4, 0));
	EXPECT_EQ(0, do_fstatx(self->loop, self->file, &self->st));
	EXPECT_EQ(0, self->st.stx_nlink);
	EXPECT_EQ(-EFAULT, do_unlink(self->loop, NULL, 0));
	EXPECT_EQ(-EINVAL, do_unlink(self->loop, self->path, 1 << 20));
}

TEST_F(ops, renaming_replaces_what_had_the_name)
{
	struct weir_file two;
	char buf[4] = "";

	ASSERT_EQ(3, do_write(self->loop, self->file, "one", 3, 0));
	ASSERT_EQ(0, do_open(self->loop, self->other, O_RDWR | O_CREAT, &two));
	ASSERT_EQ(3, do_write(self->loop, two, "two", 3, 0));
	EXPECT_EQ(-EEXIST, do_rename(self->loop, self->path, self->other, RENAME_NOREPLACE));
	EXPECT_EQ(0, do_rename(self->loop, self->path, self->other, 0));
	EXPECT_EQ(-ENOENT, do_statx(self->loop, self->path, &self->st));
	/* The handles stay with their files. */
	EXPECT_EQ(3, do_read(self->loop, two, buf, 3, 0));
	EXPECT_STREQ("two", buf);
	EXPECT_EQ(0, do_close(self->loop, two));
	ASSERT_EQ(0, do_open(self->loop, self->other, O_RDONLY, &two));
	EXPECT_EQ(3, do_read(self->loop, two, buf, 3, 0));
	EXPECT_STREQ("one", buf);
	EXPECT_EQ(-ENOENT, do_rename(self->loop, self->path, self->other, 0));
	EXPECT_EQ(-EFAULT, do_rename(self->loop, self->path, NULL, 0));
	EXPECT_EQ(-EINVAL, do_rename(self->loop, self->other, self->path, 1 << 10));
}

TEST_F(ops, directories_are_made_and_removed_only_empty)
{
	EXPECT_EQ(-EEXIST, do_mkdir(self->loop, self->dir, 0700));
	EXPECT_EQ(-ENOTEMPTY, do_unlink(self->loop, self->dir, AT_REMOVEDIR));
	EXPECT_EQ(-EISDIR, do_unlink(self->loop, self->dir, 0));
	EXPECT_EQ(-ENOTDIR, do_unlink(self->loop, self->path, AT_REMOVEDIR));
	EXPECT_EQ(0, do_mkdir(self->loop, self->other, 0700));
	EXPECT_EQ(0, do_unlink(self->loop, self->other, AT_REMOVEDIR));
	EXPECT_EQ(-ENOENT, do_unlink(self->loop, self->other, AT_REMOVEDIR));
	EXPECT_EQ(-EFAULT, do_mkdir(self->loop, NULL, 0700));
}

TEST_F(ops, a_directory_is_opened_and_synced_but_not_read)
{
	struct weir_file dir;
	char buf[4];

	ASSERT_EQ(0, do_open(self->loop, self->dir, O_RDONLY | O_DIRECTORY, &dir));
	EXPECT_EQ(0, do_fsync(self->loop, dir, false));
	EXPECT_EQ(-EISDIR, do_read(self->loop, dir, buf, sizeof(buf), 0));
	EXPECT_EQ(-EBADF, do_write(self->loop, dir, buf, sizeof(buf), 0));
}

TEST_F(ops, what_may_only_be_read_or_written_says_so)
{
	struct weir_file file;
	char buf[4];

	ASSERT_EQ(0, do_open(self->loop, self->path, O_RDONLY, &file));
	EXPECT_EQ(-EBADF, do_write(self->loop, file, "abc", 3, 0));
	EXPECT_EQ(-EINVAL, do_ftruncate(self->loop, file, 0));
	EXPECT_EQ(-EBADF, do_fallocate(self->loop, file, 0, 0, 1));
	EXPECT_EQ(0, do_close(self->loop, file));
	ASSERT_EQ(0, do_open(self->loop, self->path, O_WRONLY, &file));
	EXPECT_EQ(-EBADF, do_read(self->loop, file, buf, sizeof(buf), 0));
}

TEST_F(ops, truncating_and_appending_are_flags_of_open)
{
	struct weir_file file;
	char buf[8] = "";

	ASSERT_EQ(3, do_write(self->loop, self->file, "abc", 3, 0));
	ASSERT_EQ(0, do_open(self->loop, self->path, O_WRONLY | O_APPEND, &file));
	EXPECT_EQ(2, do_write(self->loop, file, "de", 2, 0));
	EXPECT_EQ(5, do_read(self->loop, self->file, buf, sizeof(buf), 0));
	EXPECT_STREQ("abcde", buf);
	EXPECT_EQ(0, do_close(self->loop, file));
	ASSERT_EQ(0, do_open(self->loop, self->path, O_WRONLY | O_TRUNC, &file));
	EXPECT_EQ(0, do_read(self->loop, self->file, buf, sizeof(buf), 0));
}

TEST_F(ops, direct_io_that_is_not_aligned_is_refused)
{
	_Alignas(4096) static char block[8192];
	struct weir_file file;
	struct statfs fs;
	int err;

	err = do_open(self->loop, self->path, O_RDWR | O_DIRECT, &file);
	if (err == -EINVAL)
		SKIP(return, "the file system of /tmp has no direct I/O");
	ASSERT_EQ(0, err);
	if (!on_sim(self->loop) && !statfs("/tmp", &fs) && fs.f_type == TMPFS_MAGIC)
		SKIP(return, "tmpfs takes direct I/O of any alignment");
	EXPECT_EQ(8192, do_write(self->loop, file, block, 8192, 0));
	EXPECT_EQ(-EINVAL, do_read(self->loop, file, block + 1, 4096, 0));
	EXPECT_EQ(-EINVAL, do_read(self->loop, file, block, 4095, 0));
	EXPECT_EQ(-EINVAL, do_write(self->loop, file, block, 4096, 1));
	EXPECT_EQ(4096, do_read(self->loop, file, block, 4096, 4096));
}

TEST_F(ops, a_closed_handle_is_refused_by_every_operation)
{
	struct weir_file file = self->file;
	struct iovec iov = { self->path, 1 };

	ASSERT_EQ(0, do_close(self->loop, file));
	EXPECT_EQ(-EBADF, do_readv(self->loop, file, &iov, 1, 0));
	EXPECT_EQ(-EBADF, do_writev(self->loop, file, &iov, 1, 0));
	EXPECT_EQ(-EBADF, do_fsync(self->loop, file, false));
	EXPECT_EQ(-EBADF, do_ftruncate(self->loop, file, 0));
	EXPECT_EQ(-EBADF, do_fallocate(self->loop, file, 0, 0, 1));
	EXPECT_EQ(-EBADF, do_fadvise(self->loop, file, 0, 0, 0));
	EXPECT_EQ(-EBADF, do_fstatx(self->loop, file, &self->st));
	EXPECT_EQ(-EBADF, do_splice(self->loop, file, -1, file, -1, 1));
}

TEST_HARNESS_MAIN
