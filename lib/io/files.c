// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * files.c - the table of open files of a loop
 *
 * Entries [0, files_fixed) mirror the ring's registered-file table: the kernel
 * chooses among them. The rest hold plain descriptors and are ours to choose.
 * Generations begin at 1, so that an all-zero handle is never valid.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "io/backend.h"

int files_open(struct weir_loop *loop, uint32_t fixed, uint32_t plain)
{
	uint32_t i;

	loop->files = mem_get(&loop->alloc, (size_t)fixed + plain, sizeof(*loop->files),
			      _Alignof(struct io_file));
	if (!loop->files)
		return -ENOMEM;
	loop->files_max = fixed + plain;
	loop->files_fixed = fixed;
	loop->file_free = fixed;
	for (i = 0; i < loop->files_max; i++) {
		struct io_file *entry = &loop->files[i];

		list_init(&entry->ops);
		entry->fd = -1;
		entry->gen = 1;
		io_file_state(entry, IO_FILE_FREE);
		entry->next = i + 1;
	}
	return 0;
}

void files_close(struct weir_loop *loop)
{
	uint32_t i;

	for (i = 0; i < loop->files_max; i++) {
		struct io_file *entry = &loop->files[i];

		if (entry->state != IO_FILE_FREE && entry->fd >= 0)
			loop->sys->close(loop, entry->fd);
	}
	mem_put(&loop->alloc, loop->files, loop->files_max, sizeof(*loop->files));
	loop->files = NULL;
	loop->files_max = 0;
}

void io_file_put(struct weir_loop *loop, uint32_t index, int fd)
{
	bool fixed = index < loop->files_fixed;

	loop->files[index].fd = fd;
	loop->files[index].target = (struct io_target){
		.flags = fixed,
		.fd = fixed ? (int)index : fd,
	};
}

static struct weir_file entry_open(struct weir_loop *loop, uint32_t index, int fd)
{
	struct io_file *entry = &loop->files[index];

	io_file_state(entry, IO_FILE_OPEN);
	io_file_put(loop, index, fd);
	entry->armed = 0;
	entry->hints = 0;
	entry->lent = 0;
	entry->copied = 0;
	entry->closer = NULL;
	loop->files_used++;
	return (struct weir_file){ .index = index, .gen = entry->gen };
}

int io_file_new(struct weir_loop *loop, int fd, struct weir_file *filep)
{
	uint32_t index = loop->file_free;

	if (!io_file_plain_room(loop))
		return -ENFILE;
	assert(index < loop->files_max);
	loop->file_free = loop->files[index].next;
	*filep = entry_open(loop, index, fd);
	return 0;
}

struct weir_file io_file_fixed(struct weir_loop *loop, uint32_t index)
{
	assert(index < loop->files_fixed);
	assert(loop->files[index].state == IO_FILE_FREE);
	loop->files_fixed_used++;
	return entry_open(loop, index, -1);
}

void io_file_type(struct weir_loop *loop, struct weir_file file, int family, int type)
{
	uint16_t *hints = &loop->files[file.index].hints;

	type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	*hints |= IO_HINT_SOCKET;
	if (family == AF_UNIX)
		*hints |= IO_HINT_UNIX;
	if (type == SOCK_STREAM)
		return;
	*hints |= IO_HINT_RECORDS;
	if (type != SOCK_SEQPACKET)
		*hints |= IO_HINT_DATAGRAM;
}

void io_file_free(struct weir_loop *loop, uint32_t index)
{
	struct io_file *entry = &loop->files[index];

	assert(list_empty(&entry->ops));
	entry->fd = -1;
	entry->closer = NULL;
	entry->gen = entry->gen == FILE_GEN_LAST ? 1 : entry->gen + 1;
	io_file_state(entry, IO_FILE_FREE);
	loop->files_used--;
	if (index < loop->files_fixed) {
		loop->files_fixed_used--;
	} else {
		entry->next = loop->file_free;
		loop->file_free = index;
	}
	/* A place is free: paused accepts may go on. */
	loop->accept_retry_ns = 0;
}

static uint32_t room(const struct weir_loop *loop)
{
	uint32_t max = loop->files_fixed ? loop->files_fixed : loop->files_max;
	uint32_t used = loop->files_fixed ? loop->files_fixed_used : loop->files_used;

	used += loop->files_reserved + (loop->files_fixed ? 0 : loop->plain_reserved);
	return used < max ? max - used : 0;
}

bool io_file_room(const struct weir_loop *loop, uint32_t n)
{
	return room(loop) >= n;
}

bool io_file_plain_room(const struct weir_loop *loop)
{
	uint32_t used = loop->files_used - loop->files_fixed_used + loop->plain_reserved;

	return used < loop->files_max - loop->files_fixed;
}

/*
 * The kernel accepts for a multishot as long as clients are queued, looks for
 * a slot only afterwards, and drops the client if there is none. So multishot
 * is for when a whole backlog fits, and what comes while it is being emptied.
 */
bool io_accept_one(const struct weir_loop *loop, const struct weir_op *op)
{
	uint64_t burst = op->accept.burst;

	return !(op->flags & WEIR_OPF_MULTISHOT) || room(loop) <= burst + burst / 4;
}

int weir_file_adopt(struct weir_loop *loop, int fd, struct weir_file *filep)
{
	uint32_t len = sizeof(int);
	struct weir_file file;
	int type, family, err;

	assert_owner(loop);
	/* What a simulated kernel knows has no descriptor of this one. */
	if (fd < 0 || (loop->sys == &io_sys_linux && fcntl(fd, F_GETFD) < 0))
		return -EBADF;
	err = io_file_new(loop, fd, &file);
	if (err)
		return err;
	err = loop->backend->adopt(loop, file.index, fd);
	if (err) {
		io_file_free(loop, file.index);
		return err;
	}
	if (!loop->sys->getsockopt(loop, fd, SOL_SOCKET, SO_TYPE, &type, &len)) {
		if (loop->sys->getsockopt(loop, fd, SOL_SOCKET, SO_DOMAIN, &family, &len))
			family = AF_UNSPEC;
		io_file_type(loop, file, family, type);
	}
	*filep = file;
	return 0;
}

int weir_file_open(struct weir_loop *loop, const char *path, int flags, unsigned int mode,
		   struct weir_file *filep)
{
	int fd, err;

	assert_owner(loop);
	fd = loop->sys->open(loop, path, flags | O_CLOEXEC, mode);
	if (fd < 0)
		return fd;
	err = io_file_new(loop, fd, filep);
	if (err)
		loop->sys->close(loop, fd);
	return err;
}

int weir_pipe_open(struct weir_loop *loop, struct weir_file *readp, struct weir_file *writep)
{
	struct weir_file ends[2];
	int fds[2], err;

	assert_owner(loop);
	err = loop->sys->pipe(loop, fds);
	if (err)
		return err;
	err = io_file_new(loop, fds[0], &ends[0]);
	if (err)
		goto close_both;
	err = io_file_new(loop, fds[1], &ends[1]);
	if (err)
		goto free_first;
	*readp = ends[0];
	*writep = ends[1];
	return 0;

free_first:
	io_file_free(loop, ends[0].index);
close_both:
	loop->sys->close(loop, fds[0]);
	loop->sys->close(loop, fds[1]);
	return err;
}

int weir_file_valid(const struct weir_loop *loop, struct weir_file file)
{
	assert_owner(loop);
	return !!io_file_get(loop, file);
}

int weir_file_fd(const struct weir_loop *loop, struct weir_file file)
{
	const struct io_file *entry;

	assert_owner(loop);
	entry = io_file_get(loop, file);
	if (!entry)
		return -EBADF;
	if (entry->fd < 0 || loop->sys != &io_sys_linux)
		return -EOPNOTSUPP;
	return entry->fd;
}
