// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * copy-callbacks.c - copies a file and tells how far it is, with callbacks
 *
 * usage: copy-callbacks FROM TO
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <weir/file.h>
#include <weir/loop.h>

struct copy {
	struct weir_loop *loop;
	const char *to_name;
	struct weir_file from, to;
	struct weir_op op;
	struct statx about;
	uint64_t done;
	uint32_t len, written;
	int percent, err;
	char buf[65536];
};

static void progress(struct copy *copy)
{
	int percent = copy->about.stx_size ? (int)(copy->done * 100 / copy->about.stx_size) : 100;

	if (percent / 10 != copy->percent / 10)
		printf("%d %%\n", percent);
	copy->percent = percent;
}

static void submit(struct copy *copy)
{
	weir_submit(copy->loop, &copy->op);
}

/* Nothing more is submitted then, and the loop has nothing left to do. */
static int failed(struct weir_op *op)
{
	struct copy *copy = op->ctx;

	if (op->res < 0)
		copy->err = op->res;
	return op->res < 0;
}

static void on_synced(struct weir_op *op)
{
	failed(op);
}

static void on_read(struct weir_op *op);

static void read_next(struct copy *copy)
{
	weir_prep_read(&copy->op, copy->from, copy->buf, sizeof(copy->buf), copy->done, on_read,
		       copy);
	submit(copy);
}

static void on_written(struct weir_op *op);

static void write_rest(struct copy *copy)
{
	weir_prep_write(&copy->op, copy->to, copy->buf + copy->written, copy->len - copy->written,
			copy->done, on_written, copy);
	submit(copy);
}

static void on_written(struct weir_op *op)
{
	struct copy *copy = op->ctx;

	if (failed(op))
		return;
	copy->written += (uint32_t)op->res;
	copy->done += (uint32_t)op->res;
	progress(copy);
	if (copy->written < copy->len)
		write_rest(copy);
	else
		read_next(copy);
}

static void on_read(struct weir_op *op)
{
	struct copy *copy = op->ctx;

	if (failed(op))
		return;
	if (!op->res) {
		weir_prep_fdatasync(op, copy->to, on_synced, copy);
		submit(copy);
		return;
	}
	copy->len = (uint32_t)op->res;
	copy->written = 0;
	write_rest(copy);
}

static void on_to_opened(struct weir_op *op)
{
	struct copy *copy = op->ctx;

	if (failed(op))
		return;
	copy->to = op->accepted;
	read_next(copy);
}

static void on_measured(struct weir_op *op)
{
	struct copy *copy = op->ctx;

	if (failed(op))
		return;
	weir_prep_open(op, copy->to_name, O_WRONLY | O_CREAT | O_TRUNC, 0666, on_to_opened, copy);
	submit(copy);
}

static void on_from_opened(struct weir_op *op)
{
	struct copy *copy = op->ctx;

	if (failed(op))
		return;
	copy->from = op->accepted;
	weir_prep_fstatx(op, copy->from, STATX_SIZE, &copy->about, on_measured, copy);
	submit(copy);
}

int main(int argc, char **argv)
{
	static struct copy copy;

	if (argc != 3 || weir_loop_open(&copy.loop, NULL))
		return 2;
	copy.to_name = argv[2];
	weir_prep_open(&copy.op, argv[1], O_RDONLY, 0, on_from_opened, &copy);
	submit(&copy);
	if (weir_loop_run(copy.loop) < 0)
		return 1;
	if (copy.err)
		fprintf(stderr, "%s\n", weir_strerror(copy.err));
	else
		printf("%llu bytes\n", (unsigned long long)copy.done);
	/* Closes the files too. */
	weir_loop_close(copy.loop, UINT64_MAX);
	return copy.err != 0;
}
