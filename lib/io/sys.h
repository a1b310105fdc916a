/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * sys.h - the system calls of a real kernel, by noun
 */
#ifndef IO_SYS_H
#define IO_SYS_H

#include <errno.h>
#include <sys/types.h>

#include "io/backend.h"

static inline int sys_result(ssize_t ret)
{
	return ret < 0 ? -errno : (int)ret;
}

/* lib/io/sys_file.c. Most run on offload threads: no counters of the loop there. */
int sys_open(struct weir_loop *loop, const char *path, int flags, unsigned int mode);
int sys_read(struct weir_loop *loop, int fd, void *buf, uint32_t len, uint64_t offset);
int sys_write(struct weir_loop *loop, int fd, const void *buf, uint32_t len, uint64_t offset);
int sys_readv(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
	      uint64_t offset);
int sys_writev(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
	       uint64_t offset);
int sys_fsync(struct weir_loop *loop, int fd, bool data_only);
int sys_fallocate(struct weir_loop *loop, int fd, int mode, uint64_t offset, uint64_t len);
int sys_ftruncate(struct weir_loop *loop, int fd, uint64_t size);
int sys_fadvise(struct weir_loop *loop, int fd, uint64_t offset, uint64_t len, int advice);
int sys_statx(struct weir_loop *loop, int fd, const char *path, int flags, uint32_t mask,
	      struct statx *buf);
int sys_unlink(struct weir_loop *loop, const char *path, int flags);
int sys_rename(struct weir_loop *loop, const char *from, const char *to, uint32_t flags);
int sys_mkdir(struct weir_loop *loop, const char *path, uint32_t mode);
int sys_splice(struct weir_loop *loop, int from, int64_t off_in, int to, int64_t off_out,
	       uint32_t len, uint32_t flags);
int sys_pipe(struct weir_loop *loop, int fds[2]);

#endif /* IO_SYS_H */
