// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * copy-await.c - copies a file and tells how far it is, awaiting
 *
 * usage: copy-await FROM TO
 *
 * A program that does one thing needs no more than main(): each call runs the
 * loop until its operation has ended.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <weir/call.h>
#include <weir/loop.h>

static char buf[65536];

static int write_all(struct weir_loop *loop, struct weir_file to, uint32_t len, uint64_t offset)
{
	uint32_t written = 0;
	int n;

	while (written < len) {
		n = weir_call_write(loop, to, buf + written, len - written, offset + written, 0);
		if (n < 0)
			return n;
		written += (uint32_t)n;
	}
	return 0;
}

static int copy(struct weir_loop *loop, const char *from_name, const char *to_name)
{
	struct weir_file from, to;
	uint64_t done = 0, tenth = 0;
	struct statx about;
	int n;

	n = weir_call_open(loop, from_name, O_RDONLY, 0, 0, &from);
	if (n < 0)
		return n;
	n = weir_call_fstatx(loop, from, STATX_SIZE, &about, 0);
	if (n < 0)
		return n;
	n = weir_call_open(loop, to_name, O_WRONLY | O_CREAT | O_TRUNC, 0666, 0, &to);
	if (n < 0)
		return n;
	while ((n = weir_call_read(loop, from, buf, sizeof(buf), done, 0)) > 0) {
		int err = write_all(loop, to, (uint32_t)n, done);

		if (err)
			return err;
		done += (uint32_t)n;
		if (about.stx_size && done * 10 / about.stx_size != tenth) {
			tenth = done * 10 / about.stx_size;
			printf("%llu %%\n", (unsigned long long)(done * 100 / about.stx_size));
		}
	}
	if (!n)
		n = weir_call_fdatasync(loop, to, 0);
	if (!n)
		printf("%llu bytes\n", (unsigned long long)done);
	return n;
}

int main(int argc, char **argv)
{
	struct weir_loop *loop;
	int err;

	if (argc != 3 || weir_loop_open(&loop, NULL))
		return 2;
	err = copy(loop, argv[1], argv[2]);
	if (err)
		fprintf(stderr, "%s\n", weir_strerror(err));
	/* Closes the files too. */
	weir_loop_close(loop, UINT64_MAX);
	return err != 0;
}
