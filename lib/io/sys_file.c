// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sys_file.c - the system calls of a real kernel on files, pipes and paths
 *
 * What cannot seek has no offsets: as with io_uring they do not matter.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/sys.h"

int sys_open(struct weir_loop *loop, const char *path, int flags, unsigned int mode)
{
	return sys_result(open(path, flags, mode));
}

int sys_read(struct weir_loop *loop, int fd, void *buf, uint32_t len, uint64_t offset)
{
	int ret = sys_result(pread(fd, buf, len, (off_t)offset));

	return ret == -ESPIPE ? sys_result(read(fd, buf, len)) : ret;
}

int sys_write(struct weir_loop *loop, int fd, const void *buf, uint32_t len, uint64_t offset)
{
	int ret = sys_result(pwrite(fd, buf, len, (off_t)offset));

	return ret == -ESPIPE ? sys_result(write(fd, buf, len)) : ret;
}

int sys_readv(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
	      uint64_t offset)
{
	int ret = sys_result(preadv(fd, iov, (int)count, (off_t)offset));

	return ret == -ESPIPE ? sys_result(readv(fd, iov, (int)count)) : ret;
}

int sys_writev(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
	       uint64_t offset)
{
	int ret = sys_result(pwritev(fd, iov, (int)count, (off_t)offset));

	return ret == -ESPIPE ? sys_result(writev(fd, iov, (int)count)) : ret;
}

int sys_fsync(struct weir_loop *loop, int fd, bool data_only)
{
	return sys_result(data_only ? fdatasync(fd) : fsync(fd));
}

int sys_fallocate(struct weir_loop *loop, int fd, int mode, uint64_t offset, uint64_t len)
{
	return sys_result(fallocate(fd, mode, (off_t)offset, (off_t)len));
}

int sys_ftruncate(struct weir_loop *loop, int fd, uint64_t size)
{
	return sys_result(ftruncate(fd, (off_t)size));
}

int sys_fadvise(struct weir_loop *loop, int fd, uint64_t offset, uint64_t len, int advice)
{
	return -posix_fadvise(fd, (off_t)offset, (off_t)len, advice);
}

int sys_statx(struct weir_loop *loop, int fd, const char *path, int flags, uint32_t mask,
	      struct statx *buf)
{
	if (path)
		return sys_result(statx(AT_FDCWD, path, flags, mask, buf));
	return sys_result(statx(fd, "", flags | AT_EMPTY_PATH, mask, buf));
}

int sys_unlink(struct weir_loop *loop, const char *path, int flags)
{
	return sys_result(unlinkat(AT_FDCWD, path, flags));
}

int sys_rename(struct weir_loop *loop, const char *from, const char *to, uint32_t flags)
{
	return sys_result(renameat2(AT_FDCWD, from, AT_FDCWD, to, flags));
}

int sys_mkdir(struct weir_loop *loop, const char *path, uint32_t mode)
{
	return sys_result(mkdir(path, mode));
}

int sys_splice(struct weir_loop *loop, int from, int64_t off_in, int to, int64_t off_out,
	       uint32_t len, uint32_t flags)
{
	off64_t in = off_in, out = off_out;

	return sys_result(splice(from, in < 0 ? NULL : &in, to, out < 0 ? NULL : &out, len,
				 flags | SPLICE_F_NONBLOCK));
}

int sys_pipe(struct weir_loop *loop, int fds[2])
{
	return sys_result(pipe2(fds, O_CLOEXEC));
}
