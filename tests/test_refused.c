// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_refused.c - a kernel that refuses system calls: which backend is taken
 * then, and what the loop says about it
 */
#include <stdio.h>
#include <sys/syscall.h>

#include "backends.h"
#include "kselftest_harness.h"

#define REFUSE(nr, err)							\
	do {								\
		int refuse_err = refuse(nr, err);			\
									\
		if (refuse_err)						\
			SKIP(_exit(KSFT_SKIP), "no seccomp filter here: %s",	\
			     weir_strerror(refuse_err));		\
	} while (0)

static void use_loop(struct __test_metadata *_metadata, struct weir_loop *loop)
{
	struct server server = { 0 };
	struct weir_file a, b;
	char byte = 0;

	ASSERT_EQ(0, server_open(loop, &server, 8));
	ASSERT_EQ(0, pair_open(loop, &server, &a, &b));
	EXPECT_EQ(1, do_send(loop, a, "x", 1));
	EXPECT_EQ(1, do_recv(loop, b, &byte, 1));
	EXPECT_EQ('x', byte);
	EXPECT_EQ(0, do_close(loop, server.file));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

#ifdef CONFIG_URING
struct lines {
	char text[2048];
	size_t len;
};

static void log_line(void *ctx, enum weir_log_level level, const char *text)
{
	struct lines *lines = ctx;
	int n = snprintf(lines->text + lines->len, sizeof(lines->text) - lines->len, "%d %s\n",
			 level, text);

	if (n > 0 && (size_t)n < sizeof(lines->text) - lines->len)
		lines->len += (size_t)n;
}

static void fall_back(struct __test_metadata *_metadata, int err, const char *name,
		      const char *why)
{
	struct lines lines = { 0 };
	struct weir_log log = { .line = log_line, .ctx = &lines, .level = WEIR_LOG_INFO };
	struct weir_loop_opts opts = { .sz = sizeof(opts), .log = &log };
	struct weir_loop *loop;

	REFUSE(SYS_io_uring_setup, (uint32_t)err);
	opts.backend = "uring";
	EXPECT_EQ(-err, weir_loop_open(&loop, &opts));
	opts.backend = NULL;
	lines.len = 0;
	ASSERT_EQ(0, weir_loop_open(&loop, &opts));
	EXPECT_STREQ("epoll", weir_loop_backend(loop));
	EXPECT_NE(NULL, strstr(weir_loop_reason(loop), "io_uring_setup"));
	EXPECT_NE(NULL, strstr(weir_loop_reason(loop), name));
	EXPECT_NE(NULL, strstr(weir_loop_reason(loop), why));
	/* The warning names what was lost, the line after it what is used. */
	EXPECT_NE(NULL, strstr(lines.text, "1 backend uring: refused: io_uring_setup"));
	EXPECT_NE(NULL, strstr(lines.text, "2 backend epoll: "));
	use_loop(_metadata, loop);
}

TEST(io_uring_forbidden_by_seccomp_leaves_epoll_and_the_reason)
{
	fall_back(_metadata, EPERM, "EPERM", "seccomp");
}

TEST(io_uring_unknown_to_the_kernel_leaves_epoll_and_the_reason)
{
	fall_back(_metadata, ENOSYS, "ENOSYS", "seccomp");
}

/* What a small RLIMIT_MEMLOCK comes to on older kernels. */
TEST(io_uring_without_memory_leaves_epoll_and_the_reason)
{
	fall_back(_metadata, ENOMEM, "ENOMEM", "RLIMIT_MEMLOCK");
}
#endif

static void never_early(struct __test_metadata *_metadata, int err)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "epoll" };
	struct weir_op op = { 0 };
	struct weir_loop *loop;
	int i;

#ifdef SYS_epoll_pwait2
	REFUSE(SYS_epoll_pwait2, (uint32_t)err);
#endif
	OPEN_LOOP(&loop, &opts);
	for (i = 0; i < 5; i++) {
		struct seen seen = { 0 };

		weir_prep_timeout(&op, weir_loop_now(loop) + 300000 + (uint64_t)i * 700000,
				  seen_done, &seen);
		EXPECT_EQ(0, op_do(loop, &op));
		EXPECT_LE(op.deadline_ns, seen.now_ns);
	}
	use_loop(_metadata, loop);
}

TEST(without_epoll_pwait2_timers_are_coarse_but_never_early)
{
	never_early(_metadata, ENOSYS);
}

TEST(with_epoll_pwait2_forbidden_timers_are_coarse_but_never_early)
{
	never_early(_metadata, EPERM);
}

TEST(epoll_refused_is_an_error_with_its_reason)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "epoll" };
	struct weir_loop *loop = NULL;

	REFUSE(SYS_epoll_create1, EPERM);
	EXPECT_EQ(-EPERM, weir_loop_open(&loop, &opts));
	EXPECT_EQ(NULL, loop);
}

TEST_HARNESS_MAIN
