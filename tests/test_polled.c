// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_polled.c - rings whose entries a kernel thread takes, and busy polling of
 * network devices: the same operations, and where there is no such thing a warning
 */
#include <stdio.h>

#include "backends.h"
#ifdef CONFIG_URING
#include "io/uring.h"
#endif
#include "kselftest_harness.h"

enum {
	NOPS		= 5000,
	BYTES		= 300000,
	UNREGISTER_NAPI	= 28,	/* IORING_UNREGISTER_NAPI of <linux/io_uring.h> */
};

struct notes {
	unsigned int warnings;
	char last[256];
};

static void note(void *ctx, enum weir_log_level level, const char *text)
{
	struct notes *notes = ctx;

	if (level > WEIR_LOG_WARN)
		return;
	notes->warnings++;
	snprintf(notes->last, sizeof(notes->last), "%s", text);
}

FIXTURE(polled)
{
	struct notes notes;
	struct weir_log log;
	struct weir_loop *loop;
	struct server server;
};

FIXTURE_VARIANT(polled)
{
	uint32_t flags;
	uint32_t napi_us;
	uint32_t ops_max;
};

FIXTURE_VARIANT_ADD(polled, sqpoll) { .flags = WEIR_LOOP_SQPOLL };
/* A ring far shorter than what is submitted: its entries have to be waited for. */
FIXTURE_VARIANT_ADD(polled, sqpoll_short) { .flags = WEIR_LOOP_SQPOLL, .ops_max = 8 };
FIXTURE_VARIANT_ADD(polled, napi) { .napi_us = 20 };

FIXTURE_SETUP(polled)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = "uring", .log = &self->log,
		.flags = variant->flags, .napi_us = variant->napi_us, .ops_max = variant->ops_max,
	};
	int err;

	self->log = (struct weir_log){ .line = note, .ctx = &self->notes,
					   .level = WEIR_LOG_WARN };
	err = weir_loop_open(&self->loop, &opts);
	if (err)
		SKIP(_exit(KSFT_SKIP), "refused here: %s", weir_strerror(err));
	ASSERT_EQ(0, server_open(self->loop, &self->server, 4));
}

FIXTURE_TEARDOWN(polled)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

#ifdef CONFIG_URING
/* What the kernel says of a ring: the number after @key in its fdinfo, -1 without. */
static long kernel_says(const struct weir_loop *loop, const char *key)
{
	char path[64], line[256];
	size_t len = strlen(key);
	long value = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", uring_of(loop)->ring.ring_fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, len) && line[len] == ':')
			value = strtol(line + len + 1, NULL, 10);
	}
	if (file)
		fclose(file);
	return value;
}

TEST_F(polled, the_kernel_says_that_its_thread_takes_the_entries)
{
	bool wanted = variant->flags & WEIR_LOOP_SQPOLL;
	uint64_t end = real_ns() + LIMIT_NS;
	long thread;

	EXPECT_EQ(wanted, uring_of(self->loop)->polled);
	EXPECT_EQ(wanted, !!(uring_of(self->loop)->ring.flags & IORING_SETUP_SQPOLL));
	/* It says nothing while it is busy with the ring. */
	do {
		thread = kernel_says(self->loop, "SqThread");
	} while (wanted && thread <= 0 && real_ns() < end);
	EXPECT_EQ(wanted, thread > 0);
}

TEST_F(polled, the_kernel_says_how_long_it_polls_the_devices)
{
	struct uring_napi napi = { 0 };
	unsigned int fd = (unsigned int)uring_of(self->loop)->ring.ring_fd;
	/* Taking it back tells what it was. */
	int err = io_uring_register(fd, UNREGISTER_NAPI, &napi, 1);

	EXPECT_EQ(variant->napi_us && err, !!strstr(self->notes.last, "network devices"));
	if (err == -EINVAL || err == -EOPNOTSUPP)
		SKIP(return, "no NAPI of rings here: %s", weir_strerror(err));
	EXPECT_EQ(0, err);
	EXPECT_EQ(variant->napi_us, napi.busy_poll_us);
}
#endif

TEST_F(polled, many_operations_at_once_all_end)
{
	static struct weir_op ops[NOPS];
	static struct seen seen[NOPS];
	unsigned int i, ended = 0;

	for (i = 0; i < NOPS; i++) {
		weir_prep_nop(&ops[i], seen_done, &seen[i]);
		weir_submit(self->loop, &ops[i]);
	}
	RUN_UNTIL(self->loop, stats_of(self->loop).ops >= NOPS);
	for (i = 0; i < NOPS; i++)
		ended += seen[i].terminals == 1 && !seen[i].res;
	EXPECT_EQ(NOPS, ended);
}

TEST_F(polled, an_operation_after_a_pause_wakes_the_kernel_thread)
{
	struct seen seen[2] = { 0 };
	struct weir_op op = { 0 };

	/* Longer than it stays awake without work. */
	weir_prep_timeout(&op, weir_loop_now(self->loop) + 300 * NSEC_PER_MSEC, seen_done,
			  &seen[0]);
	EXPECT_EQ(0, op_do(self->loop, &op));
	weir_prep_nop(&op, seen_done, &seen[1]);
	EXPECT_EQ(0, op_do(self->loop, &op));
}

TEST_F(polled, bytes_of_a_stream_come_whole_and_in_order)
{
	static unsigned char out[BYTES], in[BYTES];
	struct weir_file client, accepted;
	struct seen sent = { 0 }, came = { 0 };
	struct weir_op send = { 0 }, recv = { 0 };
	uint32_t i, outs = 0, ins = 0;

	for (i = 0; i < BYTES; i++)
		out[i] = (unsigned char)(i * 131 + (i >> 8));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	while (ins < BYTES) {
		if (outs < BYTES && !weir_op_busy(&send)) {
			weir_prep_send(&send, client, out + outs, BYTES - outs, seen_done, &sent);
			weir_submit(self->loop, &send);
		}
		weir_prep_recv(&recv, accepted, in + ins, BYTES - ins, seen_done, &came);
		ASSERT_LT(0, op_do(self->loop, &recv));
		ins += (uint32_t)came.res;
		if (!weir_op_busy(&send) && sent.terminals) {
			ASSERT_LT(0, sent.res);
			outs += (uint32_t)sent.res;
			sent = (struct seen){ 0 };
		}
	}
	EXPECT_EQ(0, memcmp(out, in, BYTES));
}

TEST(a_loop_that_cannot_have_it_says_so)
{
	struct notes notes = { 0 };
	struct weir_log log = { .line = note, .ctx = &notes, .level = WEIR_LOG_WARN };
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = "epoll", .log = &log, .flags = WEIR_LOOP_SQPOLL,
	};
	struct weir_loop *loop;

	ASSERT_EQ(0, weir_loop_open(&loop, &opts));
	EXPECT_EQ(1, notes.warnings);
	EXPECT_NE(NULL, strstr(notes.last, "uring alone"));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

TEST(a_time_of_more_than_a_second_is_refused)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .napi_us = 1000001 };
	struct weir_loop *loop;

	EXPECT_EQ(-EINVAL, weir_loop_open(&loop, &opts));
}

TEST_HARNESS_MAIN
