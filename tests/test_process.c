// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_process.c - loops and fork, exec, signals
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <weir/post.h>
#include <weir/signals.h>

#include "backends.h"
#include "kselftest_harness.h"

FIXTURE(process)
{
	struct weir_loop *loop;
	struct weir_file pipe;
	int pipefd;
};

KERNEL_VARIANTS(process);
REFUSED_VARIANT(process);

FIXTURE_SETUP(process)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	int fds[2];

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	ASSERT_EQ(0, weir_file_adopt(self->loop, fds[0], &self->pipe));
	self->pipefd = fds[1];
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
}

FIXTURE_TEARDOWN(process)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	close(self->pipefd);
}

static void not_called(struct weir_post *post)
{
	abort();
}

static void run_in_child(void *arg)
{
	struct weir_loop *loop = arg;
	struct weir_post post = { .fn = not_called };

	if (weir_loop_run_once(loop, 0) != -ECHILD || weir_loop_run(loop) != -ECHILD ||
	    weir_loop_close(loop, 0) != -ECHILD || weir_post(NULL, loop, &post) != -ECHILD)
		_exit(1);
}

TEST_F(process, a_child_may_not_run_its_parents_loop)
{
	char text[256], bytes[4];
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_read(&op, self->pipe, bytes, sizeof(bytes), 0, seen_done, &seen);
	weir_submit(self->loop, &op);
	EXPECT_EQ(0, run_child(run_in_child, self->loop, text, sizeof(text)));
	/* And the parent's goes on as if there had been none. */
	ASSERT_EQ(4, write(self->pipefd, "word", 4));
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_EQ(4, seen.res);
}

static void submit_in_child(void *arg)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_nop(&op, seen_done, &seen);
	weir_submit(arg, &op);
}

TEST_F(process, a_child_that_submits_to_it_is_told_and_dies)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	char text[256];
	int status;

	status = run_child(submit_in_child, self->loop, text, sizeof(text));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT_NE(NULL, strstr(text, "nop submitted at "));
	EXPECT_NE(NULL, strstr(text, "parent"));
	weir_prep_nop(&op, seen_done, &seen);
	EXPECT_EQ(0, op_do(self->loop, &op));
}

static void own_loop_in_child(void *arg)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = arg };
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	struct weir_loop *loop;

	if (open_variant(&loop, &opts))
		_exit(1);
	weir_prep_nop(&op, seen_done, &seen);
	if (op_do(loop, &op) || weir_loop_close(loop, LIMIT_NS))
		_exit(2);
}

TEST_F(process, a_child_may_have_loops_of_its_own)
{
	char text[256];

	EXPECT_EQ(0, run_child(own_loop_in_child, (void *)(uintptr_t)variant->name, text,
			       sizeof(text)));
}

/* How many descriptors a program has that this one executes. */
static int count_in_exec(void)
{
	int fds[2], lines = 0;
	ssize_t n, i;
	char text[4096];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		abort();
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDOUT_FILENO);
		execl("/bin/ls", "ls", "/proc/self/fd", (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while ((n = read(fds[0], text, sizeof(text))) > 0) {
		for (i = 0; i < n; i++)
			lines += text[i] == '\n';
	}
	close(fds[0]);
	if (waitpid(pid, NULL, 0) != pid)
		abort();
	return lines;
}

static int nothing(void *arg)
{
	return 0;
}

static void not_heard(struct weir_signals *signals, const struct signalfd_siginfo *info)
{
}

TEST_F(process, a_program_that_is_executed_inherits_nothing)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	int before = count_in_exec();
	struct weir_file client, accepted, file;
	struct weir_signals signals;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	struct server server = { 0 };
	struct weir_loop *loop;
	sigset_t set;

	ASSERT_LT(2, before);
	OPEN_LOOP(&loop, &opts);
	ASSERT_EQ(0, server_open(loop, &server, 8));
	ASSERT_EQ(0, pair_open(loop, &server, &client, &accepted));
	ASSERT_EQ(0, weir_file_open(loop, "/dev/null", O_RDONLY, 0, &file));
	weir_prep_work(&op, nothing, NULL, seen_done, &seen);
	ASSERT_EQ(0, op_do(loop, &op));
	weir_prep_socket(&op, AF_INET, SOCK_DGRAM, 0, seen_done, &seen);
	ASSERT_EQ(0, op_do(loop, &op));
	weir_prep_open(&op, "/dev/null", O_RDONLY, 0, seen_done, &seen);
	ASSERT_EQ(0, op_do(loop, &op));
	weir_prep_install(&op, client, seen_done, &seen);
	ASSERT_LE(0, op_do(loop, &op));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	ASSERT_EQ(0, weir_signals_open(&signals, loop, &set, not_heard, NULL));
	EXPECT_EQ(before, count_in_exec());
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

struct heard {
	struct weir_signals signals;
	unsigned int count[NSIG];
	unsigned int total;
	unsigned int ends;
	int sender;
	bool close_at_once;
};

static void on_heard(struct weir_signals *signals, const struct signalfd_siginfo *info)
{
	struct heard *heard = signals->ctx;

	if (!info) {
		heard->ends++;
		return;
	}
	heard->total++;
	heard->count[info->ssi_signo]++;
	heard->sender = (int)info->ssi_pid;
	if (heard->close_at_once)
		weir_signals_close(signals);
}

static void hear(struct weir_loop *loop, struct heard *heard)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	if (weir_signals_open(&heard->signals, loop, &set, on_heard, heard))
		abort();
}

TEST_F(process, signals_are_told_as_events)
{
	struct heard heard = { .sender = 0 };

	hear(self->loop, &heard);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGUSR1);
	RUN_UNTIL(self->loop, heard.total == 2);
	EXPECT_EQ(1, heard.count[SIGTERM]);
	EXPECT_EQ(1, heard.count[SIGUSR1]);
	EXPECT_EQ(getpid(), heard.sender);
	kill(getpid(), SIGUSR1);
	RUN_UNTIL(self->loop, heard.total == 3);
	weir_signals_close(&heard.signals);
	weir_signals_close(&heard.signals);
	RUN_UNTIL(self->loop, heard.ends);
	EXPECT_EQ(1, heard.ends);
	EXPECT_EQ(0, heard.signals.res);
}

TEST_F(process, its_function_may_close_them)
{
	struct heard heard = { .close_at_once = true };

	hear(self->loop, &heard);
	kill(getpid(), SIGUSR1);
	RUN_UNTIL(self->loop, heard.ends);
	EXPECT_EQ(1, heard.total);
}

TEST_F(process, one_that_came_before_is_told_too)
{
	struct heard heard = { .sender = 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &set, NULL));
	kill(getpid(), SIGUSR1);
	hear(self->loop, &heard);
	RUN_UNTIL(self->loop, heard.total == 1);
	weir_signals_close(&heard.signals);
	RUN_UNTIL(self->loop, heard.ends);
}

TEST_F(process, closing_the_loop_ends_them)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	struct heard heard = { .sender = 0 };
	struct weir_loop *loop;

	OPEN_LOOP(&loop, &opts);
	hear(loop, &heard);
	ASSERT_LE(0, weir_loop_run_once(loop, 0));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	EXPECT_EQ(1, heard.ends);
	EXPECT_EQ(-ECANCELED, heard.signals.res);
}

TEST_F(process, bad_arguments_are_refused)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim" };
	struct weir_signals signals;
	struct weir_loop *sim;
	sigset_t set;

	sigemptyset(&set);
	EXPECT_EQ(-EINVAL, weir_signals_open(&signals, self->loop, &set, NULL, NULL));
	ASSERT_EQ(0, weir_loop_open(&sim, &opts));
	EXPECT_EQ(-EOPNOTSUPP, weir_signals_open(&signals, sim, &set, on_heard, NULL));
	EXPECT_EQ(0, weir_loop_close(sim, LIMIT_NS));
}

TEST_HARNESS_MAIN
