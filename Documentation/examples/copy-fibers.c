// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * copy-fibers.c - copies a file and tells how far it is, with fibers
 *
 * usage: copy-fibers FROM TO
 *
 * One fiber reads, another writes behind it, and main() joins both: the reads and
 * the writes overlap. Two buffers and two semaphores are the channel between them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <weir/call.h>
#include <weir/fiber.h>
#include <weir/loop.h>

struct block {
	int len;	/* 0: the end of the file; or -errno */
	char bytes[65536];
};

struct copy {
	struct weir_loop *loop;
	struct weir_file from, to;
	struct statx about;
	struct weir_sem full, empty;
	struct block blocks[2];
};

static int reader(void *arg)
{
	struct copy *copy = arg;
	struct block *block;
	uint64_t done = 0;
	unsigned int i = 0;

	do {
		int err = weir_sem_wait(&copy->empty, 0);

		if (err)
			return err;
		block = &copy->blocks[i++ % 2];
		block->len = weir_call_read(copy->loop, copy->from, block->bytes,
					    sizeof(block->bytes), done, 0);
		if (block->len > 0)
			done += (uint32_t)block->len;
		weir_sem_post(&copy->full);
	} while (block->len > 0);
	return block->len;
}

static int write_all(struct copy *copy, const struct block *block, uint64_t offset)
{
	uint32_t written = 0, len = (uint32_t)block->len;

	while (written < len) {
		int n = weir_call_write(copy->loop, copy->to, block->bytes + written,
					len - written, offset + written, 0);

		if (n < 0)
			return n;
		written += (uint32_t)n;
	}
	return 0;
}

static int writer(void *arg)
{
	struct copy *copy = arg;
	uint64_t done = 0, tenth = 0;
	unsigned int i;
	int err;

	for (i = 0;; i++) {
		struct block *block = &copy->blocks[i % 2];

		err = weir_sem_wait(&copy->full, 0);
		if (err || block->len < 0)
			return err ? err : block->len;
		if (!block->len)
			break;
		err = write_all(copy, block, done);
		if (err)
			return err;
		done += (uint32_t)block->len;
		if (copy->about.stx_size && done * 10 / copy->about.stx_size != tenth) {
			tenth = done * 10 / copy->about.stx_size;
			printf("%u %%\n", (unsigned int)(done * 100 / copy->about.stx_size));
		}
		weir_sem_post(&copy->empty);
	}
	err = weir_call_fdatasync(copy->loop, copy->to, 0);
	if (!err)
		printf("%llu bytes\n", (unsigned long long)done);
	return err;
}

static int run(struct copy *copy, const char *from, const char *to)
{
	int err, write_err = 0, read_err = 0;
	struct weir_fiber *reads, *writes;
	struct weir_fibers *fibers;

	err = weir_call_open(copy->loop, from, O_RDONLY, 0, 0, &copy->from);
	if (!err)
		err = weir_call_fstatx(copy->loop, copy->from, STATX_SIZE, &copy->about, 0);
	if (!err)
		err = weir_call_open(copy->loop, to, O_WRONLY | O_CREAT | O_TRUNC, 0666, 0,
				     &copy->to);
	if (!err)
		err = weir_fibers_open(&fibers, copy->loop, NULL);
	if (err)
		return err;
	weir_sem_init(&copy->full, copy->loop, 0);
	weir_sem_init(&copy->empty, copy->loop, 2);
	if (weir_fiber_spawn(&reads, fibers, NULL, reader, copy) ||
	    weir_fiber_spawn(&writes, fibers, NULL, writer, copy))
		return 1;
	weir_fiber_join(writes, 0, &write_err);
	/* Without a writer the reader would wait for ever. */
	weir_fiber_cancel(reads);
	weir_fiber_join(reads, 0, &read_err);
	weir_fibers_close(fibers);
	return write_err ? write_err : read_err;
}

int main(int argc, char **argv)
{
	static struct copy copy;
	int err;

	if (argc != 3 || weir_loop_open(&copy.loop, NULL))
		return 2;
	err = run(&copy, argv[1], argv[2]);
	if (err)
		fprintf(stderr, "%s\n", weir_strerror(err));
	/* Closes the files too. */
	weir_loop_close(copy.loop, UINT64_MAX);
	return err != 0;
}
