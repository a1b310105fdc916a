// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_file.c - open files of the in-memory kernel: reading, writing, syncing
 *
 * A file whose disk lost power has no inode any more. What is read or written
 * and is no file has no offsets.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "io/sim_fs.h"

enum {
	ALLOC_MODES	= FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE,
	STATX_FLAGS	= AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH |
			  AT_STATX_SYNC_TYPE,
	BLOCK_BYTES	= 4096,
};

/* O_DIRECT wants whole sectors, in memory as on disk. */
static bool is_aligned(const struct msghdr *msg, uint64_t offset)
{
	uint64_t bits = offset;
	size_t i;

	for (i = 0; i < msg->msg_iovlen; i++)
		bits |= (uintptr_t)msg->msg_iov[i].iov_base | msg->msg_iov[i].iov_len;
	return !(bits % SIM_SECTOR);
}

/* May this be read (@refused is O_WRONLY) or written (O_RDONLY)? */
static int access_check(const struct sim_obj *obj, int refused)
{
	return (obj->flags & O_ACCMODE) == refused ? -EBADF : 0;
}

static int transfer_check(const struct sim_obj *obj, int refused, const struct msghdr *msg,
			  uint64_t offset)
{
	int err = access_check(obj, refused);

	if (err)
		return err;
	if (!obj->inode)
		return -EIO;
	if (S_ISDIR(obj->inode->mode))
		return -EISDIR;
	if (offset > INT64_MAX)
		return -EINVAL;
	return obj->flags & O_DIRECT && !is_aligned(msg, offset) ? -EINVAL : 0;
}

static int file_read(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg, uint32_t len,
		     uint64_t offset)
{
	struct sim_inode *inode = obj->inode;
	int err;

	err = transfer_check(obj, O_WRONLY, msg, offset);
	if (err || offset >= inode->size)
		return err;
	len = sim_cut(sim, (uint32_t)min_u64(len, inode->size - offset));
	sim_iov_put(msg, 0, inode->data + offset, len);
	return (int)len;
}

static int file_write(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg, uint32_t len,
		      uint64_t offset)
{
	struct sim_inode *inode = obj->inode;
	int err;

	err = transfer_check(obj, O_RDONLY, msg, offset);
	if (err || !len)
		return err;
	/* Whatever the offset: a property of Linux that pwrite(2) calls a bug. */
	if (obj->flags & O_APPEND)
		offset = inode->size;
	if (offset >= SIM_INODE_BYTES)
		return -EFBIG;
	len = sim_cut(sim, (uint32_t)min_u64(len, SIM_INODE_BYTES - offset));
	sim_iov_get(msg, 0, inode->data + offset, len);
	if (offset + len > inode->size)
		inode->size = offset + len;
	sim_inode_dirty(sim, inode, offset, offset + len);
	if (obj->flags & O_DSYNC)
		sim_inode_sync(inode, offset, offset + len);
	return (int)len;
}

static struct msghdr message(const struct iovec *iov, uint32_t count, uint32_t *len)
{
	uint32_t i;

	for (i = 0, *len = 0; i < count; i++)
		*len += (uint32_t)iov[i].iov_len;
	return (struct msghdr){
		.msg_iov	= (struct iovec *)(uintptr_t)iov,
		.msg_iovlen	= count,
	};
}

int sim_readv(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
	      uint64_t offset)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj = sim_obj_of(sim, fd);
	uint32_t len;
	struct msghdr msg = message(iov, count, &len);

	if (obj && obj->state == SIM_FILE)
		return file_read(sim, obj, &msg, len, offset);
	if (obj && obj->state == SIM_PIPE)
		return sim_pipe_read(sim, obj, &msg, len);
	if (obj && !len)
		return 0;	/* of a socket too, whatever its state */
	return sim_recvmsg(loop, fd, &msg, 0);
}

int sim_writev(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
	       uint64_t offset)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj = sim_obj_of(sim, fd);
	uint32_t len;
	struct msghdr msg = message(iov, count, &len);

	if (obj && obj->state == SIM_FILE)
		return file_write(sim, obj, &msg, len, offset);
	if (obj && obj->state == SIM_PIPE)
		return sim_pipe_write(sim, obj, &msg, len);
	return sim_sendmsg(loop, fd, &msg, 0);
}

/* A disk fails; a socket that is read has the errors of a receive. */
static int disk_fault(struct weir_loop *loop, int fd, enum weir_opcode opcode)
{
	const struct sim_obj *obj = sim_obj_of(sim_of(loop), fd);

	return obj && obj->state == SIM_FILE ? sim_fault(sim_of(loop), opcode) : 0;
}

int sim_read(struct weir_loop *loop, int fd, void *buf, uint32_t len, uint64_t offset)
{
	struct iovec iov = { buf, len };
	int err = disk_fault(loop, fd, WEIR_OP_READ);

	return err ? err : sim_readv(loop, fd, &iov, 1, offset);
}

int sim_write(struct weir_loop *loop, int fd, const void *buf, uint32_t len, uint64_t offset)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	int err = disk_fault(loop, fd, WEIR_OP_WRITE);

	return err ? err : sim_writev(loop, fd, &iov, 1, offset);
}

/* The file @fd; @other if it is none. */
static int file_of(struct sim *sim, int fd, int other, struct sim_obj **objp)
{
	struct sim_obj *obj = sim_obj_of(sim, fd);

	if (!obj)
		return -EBADF;
	if (obj->state != SIM_FILE)
		return other;
	*objp = obj;
	return obj->inode ? 0 : -EIO;
}

/* As on Linux, what a failed one did not write is given up: the next one succeeds. */
int sim_fsync(struct weir_loop *loop, int fd, bool data_only)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj;
	int err;

	err = file_of(sim, fd, -EINVAL, &obj);
	if (err)
		return err;
	err = sim_fault(sim, WEIR_OP_FSYNC);
	if (err)
		sim_inode_forget(obj->inode);
	else if (S_ISDIR(obj->inode->mode))
		sim_dir_sync(sim->fs, sim_inode_number(sim->fs, obj->inode));
	else
		sim_inode_sync(obj->inode, 0, SIM_INODE_BYTES);
	return err;
}

static int alloc_check(const struct sim_obj *obj, int mode, uint64_t offset, uint64_t len)
{
	int err;

	if (mode & ~ALLOC_MODES ||
	    (mode & FALLOC_FL_PUNCH_HOLE &&
	     mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)))
		return -EOPNOTSUPP;
	err = access_check(obj, O_RDONLY);
	if (err)
		return err;
	if (!len || offset > INT64_MAX || len > INT64_MAX)
		return -EINVAL;
	if (offset > SIM_INODE_BYTES || len > SIM_INODE_BYTES - offset)
		return -EFBIG;
	return 0;
}

int sim_fallocate(struct weir_loop *loop, int fd, int mode, uint64_t offset, uint64_t len)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj;
	int err;

	obj = sim_obj_of(sim, fd);
	if (obj && obj->state == SIM_PIPE)
		return access_check(obj, O_RDONLY) ? -EBADF : -ESPIPE;
	err = file_of(sim, fd, -ENODEV, &obj);
	if (!err)
		err = alloc_check(obj, mode, offset, len);
	if (err)
		return err;
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		sim_inode_zero(sim, obj->inode, offset, offset + len);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && offset + len > obj->inode->size)
		sim_inode_resize(sim, obj->inode, offset + len);
	return 0;
}

int sim_ftruncate(struct weir_loop *loop, int fd, uint64_t size)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj;
	int err;

	err = file_of(sim, fd, -EINVAL, &obj);
	if (err)
		return err;
	if (access_check(obj, O_RDONLY) || size > INT64_MAX)
		return -EINVAL;
	if (size > SIM_INODE_BYTES)
		return -EFBIG;
	sim_inode_resize(sim, obj->inode, size);
	return 0;
}

/* There is no cache to advise. */
int sim_fadvise(struct weir_loop *loop, int fd, uint64_t offset, uint64_t len, int advice)
{
	const struct sim_obj *obj = sim_obj_of(sim_of(loop), fd);

	if (!obj)
		return -EBADF;
	if (obj->state == SIM_PIPE)
		return -ESPIPE;
	if (obj->state == SIM_FILE && !obj->inode)
		return -EIO;
	return advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE || len > INT64_MAX ?
	       -EINVAL : 0;
}

static void stat_inode(const struct sim *sim, const struct sim_inode *inode, struct statx *buf)
{
	uint32_t number = sim_inode_number(sim->fs, inode);

	buf->stx_mode = (uint16_t)inode->mode;
	buf->stx_nlink = sim_inode_links(sim->fs, number);
	buf->stx_ino = number + 1;
	buf->stx_size = inode->size;
	buf->stx_blocks = (min_u64(inode->size, inode->extent) + SIM_SECTOR - 1) / SIM_SECTOR;
	buf->stx_mtime.tv_sec = (int64_t)(inode->time_ns / NSEC_PER_SEC);
	buf->stx_mtime.tv_nsec = (uint32_t)(inode->time_ns % NSEC_PER_SEC);
	buf->stx_ctime = buf->stx_mtime;
	buf->stx_atime = buf->stx_mtime;
}

int sim_statx(struct weir_loop *loop, int fd, const char *path, int flags, uint32_t mask,
	      struct statx *buf)
{
	struct sim *sim = sim_of(loop);
	struct sim_inode *inode = NULL;
	struct sim_obj *obj = NULL;
	int err = 0;

	if (flags & ~STATX_FLAGS || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE ||
	    mask & STATX__RESERVED)
		return -EINVAL;
	if (path) {
		err = sim_path_inode(sim, path, &inode);
	} else {
		obj = sim_obj_of(sim, fd);
		if (!obj || (obj->state == SIM_FILE && !obj->inode))
			err = obj ? -EIO : -EBADF;
		else if (obj->state == SIM_FILE)
			inode = obj->inode;
	}
	if (err)
		return err;
	memset(buf, 0, sizeof(*buf));
	buf->stx_mask = STATX_BASIC_STATS;
	buf->stx_blksize = BLOCK_BYTES;
	if (inode) {
		stat_inode(sim, inode, buf);
	} else {
		buf->stx_mode = (obj->state == SIM_PIPE ? S_IFIFO : S_IFSOCK) | 0600;
		buf->stx_nlink = 1;
	}
	return 0;
}

void sim_file_close(struct sim_obj *obj)
{
	if (obj->inode)
		obj->inode->opens--;
}

/* Paths lie on the disk. A pipe that is not ready is waited for without it. */
bool sim_may_block(struct weir_loop *loop, const struct weir_op *op)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj = op_has_file(op) ? sim_obj_of(sim, op_fd(loop, op)) : NULL;
	struct sim_obj *from;
	struct weir_file file;

	if (!(op_def(op)->flags & IO_OPF_TWO))
		return !obj || obj->state == SIM_FILE;
	from = sim_obj_of(sim, loop->files[op->splice.from.index].fd);
	if (!obj || !from || (obj->state != SIM_FILE && from->state != SIM_FILE))
		return false;
	return ready_both(loop, op, &file);
}
