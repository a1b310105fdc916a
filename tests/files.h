/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * files.h - operations on files and paths, each run to its end: its result
 */
#ifndef TESTS_FILES_H
#define TESTS_FILES_H

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#include "backends.h"

#define DO_OP(loop, prep, ...)						\
	({								\
		struct seen do_seen = { 0 };				\
		struct weir_op do_it = { 0 };				\
									\
		prep(&do_it, __VA_ARGS__, seen_done, &do_seen);		\
		op_do(loop, &do_it);					\
	})

#define do_write(loop, file, buf, len, offset) \
	DO_OP(loop, weir_prep_write, file, buf, len, offset)
#define do_read(loop, file, buf, len, offset) \
	DO_OP(loop, weir_prep_read, file, buf, len, offset)
#define do_writev(loop, file, iov, count, offset) \
	DO_OP(loop, weir_prep_writev, file, iov, count, offset)
#define do_readv(loop, file, iov, count, offset) \
	DO_OP(loop, weir_prep_readv, file, iov, count, offset)
#define do_fsync(loop, file, data)					\
	((data) ? DO_OP(loop, weir_prep_fdatasync, file) :		\
		  DO_OP(loop, weir_prep_fsync, file))
#define do_ftruncate(loop, file, size)	DO_OP(loop, weir_prep_ftruncate, file, size)
#define do_fallocate(loop, file, mode, offset, len) \
	DO_OP(loop, weir_prep_fallocate, file, mode, offset, len)
#define do_fadvise(loop, file, offset, len, advice) \
	DO_OP(loop, weir_prep_fadvise, file, offset, len, advice)
#define do_statx(loop, path, st) \
	DO_OP(loop, weir_prep_statx, path, 0, STATX_BASIC_STATS, st)
#define do_fstatx(loop, file, st) \
	DO_OP(loop, weir_prep_fstatx, file, STATX_BASIC_STATS, st)
#define do_unlink(loop, path, flags)	DO_OP(loop, weir_prep_unlink, path, flags)
#define do_mkdir(loop, path, mode)	DO_OP(loop, weir_prep_mkdir, path, mode)
#define do_rename(loop, from, to, flags) \
	DO_OP(loop, weir_prep_rename, from, to, flags)
#define do_splice(loop, from, off_in, to, off_out, len) \
	DO_OP(loop, weir_prep_splice, from, off_in, to, off_out, len, 0)

/* How many descriptors this process has open. */
static inline unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* *@filep is the new file on success. */
static inline int do_open(struct weir_loop *loop, const char *path, int flags,
			  struct weir_file *filep)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int err;

	weir_prep_open(&op, path, flags, 0600, seen_done, &seen);
	err = op_do(loop, &op);
	if (!err)
		*filep = op.accepted;
	return err;
}

enum { TEMP_PATH = 64 };

/* A new file that is this process's own; who has asked for it unlinks @path. */
static inline int temp_open(struct weir_loop *loop, char path[TEMP_PATH],
			    struct weir_file *filep)
{
	snprintf(path, TEMP_PATH, "/tmp/weir-test-%d", (int)getpid());
	unlink(path);		/* one that was killed had this number before */
	return do_open(loop, path, O_RDWR | O_CREAT | O_EXCL, filep);
}

#endif /* TESTS_FILES_H */
