// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_stats.c - what a loop and a service count: exactly so many, and no others
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "socks.h"
#include "kselftest_harness.h"

enum { CLIENTS = 3, ROUNDS = 5 };

FIXTURE(stats)
{
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct server server;
	struct weir_file client, accepted;
	struct weir_loop_stats before;
	char path[64];
};

BACKEND_VARIANTS(stats);

FIXTURE_SETUP(stats)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	struct weir_pool_opts shape = { .sz = sizeof(shape), .buf_bytes = 64, .count = 16 };

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, weir_pool_open(&self->pool, self->loop, &shape));
	ASSERT_EQ(0, server_open(self->loop, &self->server, 8));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client, &self->accepted));
	snprintf(self->path, sizeof(self->path), "/tmp/weir-test-stats-%d", (int)getpid());
	self->before = stats_of(self->loop);
}

FIXTURE_TEARDOWN(stats)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	unlink(self->path);
}

/* How many more of a counter since the last look. */
static uint64_t more(const struct weir_loop *loop, const struct weir_loop_stats *before,
		     size_t offset)
{
	struct weir_loop_stats now = stats_of(loop);
	uint64_t counts[2];

	memcpy(&counts[0], (const char *)before + offset, sizeof(counts[0]));
	memcpy(&counts[1], (const char *)&now + offset, sizeof(counts[1]));
	return counts[1] - counts[0];
}

#define MORE(name)	more(self->loop, &self->before, offsetof(struct weir_loop_stats, name))
#define LOOK()		(self->before = stats_of(self->loop))

/* All that tells what was done, in one comparison each: the rest must be zero. */
#define EXPECT_MORE(want_accepts, want_connects, want_polls, want_opens, want_recvs,	\
		    want_sends, want_in, want_out)					\
	do {										\
		EXPECT_EQ(want_accepts, MORE(accepts));					\
		EXPECT_EQ(want_connects, MORE(connects));				\
		EXPECT_EQ(want_polls, MORE(polls));					\
		EXPECT_EQ(want_opens, MORE(opens));					\
		EXPECT_EQ(want_recvs, MORE(recvs));					\
		EXPECT_EQ(want_sends, MORE(sends));					\
		EXPECT_EQ(want_in, MORE(bytes_in));					\
		EXPECT_EQ(want_out, MORE(bytes_out));					\
		EXPECT_EQ(0, MORE(errors));						\
	} while (0)

TEST_F(stats, connections_are_counted_at_both_ends)
{
	struct weir_file client[CLIENTS], accepted[CLIENTS];
	int i;

	for (i = 0; i < CLIENTS; i++)
		ASSERT_EQ(0, pair_open(self->loop, &self->server, &client[i], &accepted[i]));
	EXPECT_MORE(CLIENTS, CLIENTS, 0, 0, 0, 0, 0, 0);
	/* The accept goes on: its events are no operations that ended. */
	EXPECT_EQ(2 * CLIENTS, MORE(events));
	EXPECT_EQ(CLIENTS, MORE(ops));
	EXPECT_EQ(2 * CLIENTS, MORE(files));
}

TEST_F(stats, messages_are_counted_with_their_bytes)
{
	struct iovec iov[2] = { { "vec", 3 }, { "tor", 3 } };
	struct msghdr out = { .msg_iov = iov, .msg_iovlen = 2 };
	struct msghdr in = { .msg_iov = iov, .msg_iovlen = 1 };
	char buf[16];

	ASSERT_EQ(5, do_send(self->loop, self->client, "hello", 5));
	ASSERT_EQ(5, do_recv(self->loop, self->accepted, buf, sizeof(buf)));
	EXPECT_MORE(0, 0, 0, 0, 1, 1, 5, 5);
	EXPECT_EQ(2, MORE(events));
	EXPECT_EQ(2, MORE(ops));
	LOOK();
	ASSERT_EQ(6, DO_OP(self->loop, weir_prep_sendmsg, self->client, &out, 0));
	iov[0] = (struct iovec){ buf, sizeof(buf) };
	ASSERT_EQ(6, DO_OP(self->loop, weir_prep_recvmsg, self->accepted, &in, 0));
	EXPECT_MORE(0, 0, 0, 0, 1, 1, 6, 6);
}

TEST_F(stats, a_receive_from_a_pool_counts_each_time_and_ends_once)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	unsigned int i;

	weir_prep_recv_pool(&op, self->accepted, self->pool, seen_done, &seen);
	weir_submit(self->loop, &op);
	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(10, do_send(self->loop, self->client, "0123456789", 10));
		RUN_UNTIL(self->loop, seen.events == i + 1);
	}
	EXPECT_MORE(0, 0, 0, 0, ROUNDS, ROUNDS, 10 * ROUNDS, 10 * ROUNDS);
	EXPECT_EQ(2 * ROUNDS, MORE(events));
	EXPECT_EQ(ROUNDS, MORE(ops));
	EXPECT_EQ(1, MORE(inflight));
	/* The end of the stream brings no bytes: an event, and no receive. */
	LOOK();
	ASSERT_EQ(0, do_close(self->loop, self->client));
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_MORE(0, 0, 0, 0, 0, 0, 0, 0);
	EXPECT_EQ(2, MORE(events));
	EXPECT_EQ(2, MORE(ops));
}

TEST_F(stats, the_end_of_a_stream_is_no_read_and_no_error)
{
	char byte;

	ASSERT_EQ(0, do_close(self->loop, self->client));
	LOOK();
	ASSERT_EQ(0, do_recv(self->loop, self->accepted, &byte, 1));
	EXPECT_MORE(0, 0, 0, 0, 0, 0, 0, 0);
	EXPECT_EQ(1, MORE(events));
}

TEST_F(stats, polls_are_counted_by_event)
{
	struct weir_op op = { 0 };
	struct seen seen = { 0 };

	weir_prep_poll(&op, self->client, POLLOUT, seen_done, &seen);
	ASSERT_LT(0, op_do(self->loop, &op));
	EXPECT_MORE(0, 0, 1, 0, 0, 0, 0, 0);
	EXPECT_EQ(1, MORE(events));
}

TEST_F(stats, files_are_counted_with_their_bytes)
{
	struct iovec iov[2] = { { "first", 5 }, { "second", 6 } };
	struct weir_file file;
	char buf[32];

	ASSERT_EQ(0, do_open(self->loop, on_sim(self->loop) ? "/f" : self->path,
			     O_RDWR | O_CREAT, &file));
	EXPECT_MORE(0, 0, 0, 1, 0, 0, 0, 0);
	EXPECT_EQ(1, MORE(files));
	LOOK();
	ASSERT_EQ(11, do_writev(self->loop, file, iov, 2, 0));
	ASSERT_EQ(4, do_write(self->loop, file, "tail", 4, 11));
	EXPECT_MORE(0, 0, 0, 0, 0, 2, 0, 15);
	LOOK();
	ASSERT_EQ(15, do_read(self->loop, file, buf, sizeof(buf), 0));
	iov[0] = (struct iovec){ buf, 3 };
	ASSERT_EQ(3, do_readv(self->loop, file, iov, 1, 2));
	ASSERT_EQ(0, do_read(self->loop, file, buf, sizeof(buf), 15));
	EXPECT_MORE(0, 0, 0, 0, 2, 0, 18, 0);
	EXPECT_EQ(3, MORE(events));
	LOOK();
	ASSERT_EQ(0, do_fsync(self->loop, file, false));
	ASSERT_EQ(0, do_close(self->loop, file));
	EXPECT_MORE(0, 0, 0, 0, 0, 0, 0, 0);
	EXPECT_EQ(2, MORE(ops));
	/* One file less: the counter is of those that are open. */
	EXPECT_EQ(UINT64_MAX, MORE(files));
}

TEST_F(stats, errors_are_counted_and_who_was_told_to_end_is_none)
{
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	struct sockaddr_in nobody;
	struct weir_file bound;
	char byte;

	weir_prep_recv(&op, self->accepted, &byte, 1, seen_done, &seen);
	weir_submit(self->loop, &op);
	weir_cancel(self->loop, &op);
	RUN_UNTIL(self->loop, seen.terminals);
	ASSERT_EQ(-ECANCELED, seen.res);
	weir_prep_recv(&op, self->accepted, &byte, 1, seen_done, &seen);
	op.deadline_ns = 1;
	ASSERT_EQ(-ETIME, op_do(self->loop, &op));
	EXPECT_EQ(0, MORE(errors));
	ASSERT_EQ(-EBADF, do_recv(self->loop, (struct weir_file){ 0, 0 }, &byte, 1));
	EXPECT_EQ(1, MORE(errors));
	/* Bound, so that nobody else gets it, but nobody listens there. */
	ASSERT_EQ(0, bound_open(self->loop, SOCK_STREAM, &bound, &nobody));
	LOOK();
	weir_prep_connect(&op, (struct sockaddr *)&nobody, sizeof(nobody), seen_done, &seen);
	ASSERT_EQ(-ECONNREFUSED, op_do(self->loop, &op));
	EXPECT_EQ(1, MORE(errors));
	EXPECT_EQ(0, MORE(connects));
	EXPECT_EQ(1, MORE(events));
}

TEST_F(stats, a_look_is_one_turn_and_one_system_call)
{
	unsigned int i;

	ASSERT_EQ(0, weir_loop_run_once(self->loop, 0));
	LOOK();
	for (i = 0; i < ROUNDS; i++)
		ASSERT_EQ(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(ROUNDS, MORE(turns));
	EXPECT_EQ(on_sim(self->loop) ? 0 : ROUNDS, MORE(syscalls));
	EXPECT_EQ(0, MORE(events));
}

/* system calls, as the kernel counts them */

/* What the child measures, and what it says of it. */
struct told {
	uint64_t syscalls;
	int failed;
};

/* Between two calls of getppid(2), which the library never makes. */
static void traced_work(struct weir_loop *loop, struct told *told)
{
	struct weir_file client, accepted;
	struct server server = { 0 };
	uint64_t before;
	char buf[8];
	unsigned int i;

	if (server_open(loop, &server, 8) || pair_open(loop, &server, &client, &accepted)) {
		told->failed = 1;
		return;
	}
	before = stats_of(loop).syscalls;
	syscall(SYS_getppid);
	for (i = 0; i < ROUNDS; i++) {
		told->failed |= do_send(loop, client, "weir", 4) != 4;
		told->failed |= do_recv(loop, accepted, buf, sizeof(buf)) != 4;
	}
	told->failed |= do_close(loop, client) || do_recv(loop, accepted, buf, 1);
	told->failed |= weir_loop_run_once(loop, NSEC_PER_MSEC) < 0;
	syscall(SYS_getppid);
	told->syscalls = stats_of(loop).syscalls - before;
}

/* One more stop of the child: 1, or 0 when it has ended. Counts those inside. */
static int trace_one(pid_t pid, bool *inside, uint64_t *count)
{
	struct __ptrace_syscall_info info = { 0 };
	int status;

	if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) || waitpid(pid, &status, 0) != pid ||
	    !WIFSTOPPED(status))
		return 0;
	if (WSTOPSIG(status) != (SIGTRAP | 0x80) ||
	    ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0 ||
	    info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return 1;
	if (info.entry.nr == SYS_getppid)
		*inside = !*inside;
	else if (info.entry.nr != SYS_clock_gettime)	/* one that the vDSO cannot read */
		*count += *inside;
	return 1;
}

TEST_F(stats, system_calls_are_as_many_as_the_kernel_sees)
{
	struct told *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = weir_loop_backend(self->loop),
	};
	struct weir_loop *loop;
	bool inside = false;
	uint64_t count = 0;
	int status;
	pid_t pid;

	ASSERT_NE(MAP_FAILED, told);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		told->failed = weir_loop_open(&loop, &opts);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		raise(SIGSTOP);
		if (!told->failed)
			traced_work(loop, told);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (!WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL,
		   (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)))
		SKIP(return, "a child cannot be traced here");
	while (trace_one(pid, &inside, &count))
		;
	EXPECT_EQ(0, told->failed);
	EXPECT_FALSE(inside);
	EXPECT_EQ(on_sim(self->loop) ? 0 : told->syscalls, count);
	EXPECT_EQ(!on_sim(self->loop), count > ROUNDS);
	munmap(told, sizeof(*told));
}

TEST_HARNESS_MAIN
