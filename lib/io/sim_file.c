// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_file.c - files of the in-memory kernel: names, and bytes that grow
 *
 * SIM_INODES names of up to SIM_INODE_BYTES each, in memory that becomes real
 * when it is written. They live as long as the loop; there are no directories,
 * and a path is just a name. A socket that is read or written has no offsets.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "io/sim.h"

#define DISK_BYTES	((size_t)SIM_INODES * SIM_INODE_BYTES)

int sim_files_open(struct sim *sim)
{
	uint32_t i;

	sim->inodes = mem_get(&sim->loop->alloc, SIM_INODES, sizeof(*sim->inodes),
			      _Alignof(struct sim_inode));
	if (!sim->inodes)
		return -ENOMEM;
	sim->disk = mmap(NULL, DISK_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (sim->disk == MAP_FAILED) {
		sim->disk = NULL;
		return -ENOMEM;
	}
	for (i = 0; i < SIM_INODES; i++)
		sim->inodes[i].data = sim->disk + (size_t)i * SIM_INODE_BYTES;
	return 0;
}

void sim_files_close(struct sim *sim)
{
	if (sim->disk)
		munmap(sim->disk, DISK_BYTES);
	mem_put(&sim->loop->alloc, sim->inodes, SIM_INODES, sizeof(*sim->inodes));
}

/* The inode of @path; or a free one, whose name is empty; or NULL. */
static struct sim_inode *find(struct sim *sim, const char *path)
{
	struct sim_inode *free_one = NULL;
	uint32_t i;

	for (i = 0; i < SIM_INODES; i++) {
		struct sim_inode *inode = &sim->inodes[i];

		if (!strcmp(inode->name, path))
			return inode;
		if (!inode->name[0] && !free_one)
			free_one = inode;
	}
	return free_one;
}

static int open_check(const struct sim_inode *inode, int flags)
{
	if (!inode)
		return flags & O_CREAT ? -ENOSPC : -ENOENT;
	if (!inode->name[0] && !(flags & O_CREAT))
		return -ENOENT;
	if (inode->name[0] && flags & O_CREAT && flags & O_EXCL)
		return -EEXIST;
	return 0;
}

int sim_open(struct weir_loop *loop, const char *path, int flags, unsigned int mode)
{
	struct sim *sim = sim_of(loop);
	struct sim_inode *inode;
	struct sim_obj *obj;
	int err;

	if (!path[0])
		return -ENOENT;
	if (strlen(path) >= SIM_NAME_BYTES)
		return -ENAMETOOLONG;
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	inode = find(sim, path);
	err = open_check(inode, flags);
	if (err)
		return err;
	obj = sim_obj_new(sim, SIM_FILE, false);
	if (!obj)
		return -EMFILE;
	memcpy(inode->name, path, strlen(path) + 1);
	if (flags & O_TRUNC && (flags & O_ACCMODE) != O_RDONLY)
		inode->size = 0;
	obj->inode = inode;
	obj->flags = flags;
	return sim_obj_fd(sim, obj);
}

static int file_check(const struct sim_obj *obj, int refused, uint64_t offset)
{
	if ((obj->flags & O_ACCMODE) == refused)
		return -EBADF;
	return offset > INT64_MAX ? -EINVAL : 0;
}

int sim_read(struct weir_loop *loop, int fd, void *buf, uint32_t len, uint64_t offset)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj = sim_obj_of(sim, fd);
	int err;

	if (!obj || obj->state != SIM_FILE)
		return sim_recv(loop, fd, buf, len, 0);
	err = file_check(obj, O_WRONLY, offset);
	if (err)
		return err;
	err = sim_fault(sim, WEIR_OP_READ);
	if (err)
		return err;
	if (offset >= obj->inode->size || !len)
		return 0;
	len = (uint32_t)min_u64(len, obj->inode->size - offset);
	len = sim_cut(sim, len);
	memcpy(buf, obj->inode->data + offset, len);
	return (int)len;
}

int sim_write(struct weir_loop *loop, int fd, const void *buf, uint32_t len, uint64_t offset)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj = sim_obj_of(sim, fd);
	struct sim_inode *inode;
	int err;

	if (!obj || obj->state != SIM_FILE)
		return sim_send(loop, fd, buf, len, 0);
	err = file_check(obj, O_RDONLY, offset);
	if (err)
		return err;
	err = sim_fault(sim, WEIR_OP_WRITE);
	if (err || !len)
		return err;
	inode = obj->inode;
	/* Whatever the offset: a property of Linux that pwrite(2) calls a bug. */
	if (obj->flags & O_APPEND)
		offset = inode->size;
	if (offset >= SIM_INODE_BYTES)
		return -EFBIG;
	len = (uint32_t)min_u64(len, SIM_INODE_BYTES - offset);
	len = sim_cut(sim, len);
	/* What lies between may be left from before a truncation. */
	if (offset > inode->size)
		memset(inode->data + inode->size, 0, offset - inode->size);
	memcpy(inode->data + offset, buf, len);
	if (offset + len > inode->size)
		inode->size = offset + len;
	return (int)len;
}

bool sim_may_block(struct weir_loop *loop, const struct weir_op *op)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj = op_has_file(op) ? sim_obj_of(sim, op_fd(loop, op)) : NULL;

	return !obj || obj->state == SIM_FILE;
}

int sim_readv(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
	      uint64_t offset)
{
	return -EOPNOTSUPP;
}

int sim_writev(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
	       uint64_t offset)
{
	return -EOPNOTSUPP;
}

int sim_fsync(struct weir_loop *loop, int fd, bool data_only)
{
	return -EOPNOTSUPP;
}

int sim_fallocate(struct weir_loop *loop, int fd, int mode, uint64_t offset, uint64_t len)
{
	return -EOPNOTSUPP;
}

int sim_ftruncate(struct weir_loop *loop, int fd, uint64_t size)
{
	return -EOPNOTSUPP;
}

int sim_fadvise(struct weir_loop *loop, int fd, uint64_t offset, uint64_t len, int advice)
{
	return -EOPNOTSUPP;
}

int sim_statx(struct weir_loop *loop, int fd, const char *path, int flags, uint32_t mask,
	      struct statx *buf)
{
	return -EOPNOTSUPP;
}

int sim_unlink(struct weir_loop *loop, const char *path, int flags)
{
	return -EOPNOTSUPP;
}

int sim_rename(struct weir_loop *loop, const char *from, const char *to, uint32_t flags)
{
	return -EOPNOTSUPP;
}

int sim_mkdir(struct weir_loop *loop, const char *path, uint32_t mode)
{
	return -EOPNOTSUPP;
}

int sim_splice(struct weir_loop *loop, int from, int64_t off_in, int to, int64_t off_out,
	       uint32_t len, uint32_t flags)
{
	return -EOPNOTSUPP;
}

int sim_pipe(struct weir_loop *loop, int fds[2])
{
	return -EOPNOTSUPP;
}
