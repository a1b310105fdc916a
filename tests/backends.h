/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * backends.h - the same tests on every backend: loops, sockets, a record of
 * what an operation was told
 *
 * Include it before kselftest_harness.h. Nothing here sleeps: a condition is waited
 * for by running the loop, and fails after LIMIT_NS of real time. No turn of it is
 * cut short, for the next one would find what the loop was not woken for: when
 * nothing comes for STALL_NS of the loop's own time, a wake-up was lost.
 */
#ifndef TESTS_BACKENDS_H
#define TESTS_BACKENDS_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/file.h>
#include <weir/loop.h>
#include <weir/pool.h>

#include "io/backend.h"
#include "refuse.h"

#define LIMIT_NS	(10 * NSEC_PER_SEC)
#define STALL_NS	(4 * NSEC_PER_SEC)
#define REGISTER_MEM_REGION 34	/* IORING_REGISTER_MEM_REGION of <linux/io_uring.h> */
#define SETTLE_NS	(50 * NSEC_PER_MSEC)	/* nothing is expected to come */

#ifdef CONFIG_URING
#define URING_VARIANT(fixture)						\
	struct has_uring_##fixture;					\
	FIXTURE_VARIANT_ADD(fixture, uring) { .name = "uring" }
#define REFUSED_VARIANT(fixture)					\
	struct has_refused_##fixture;					\
	FIXTURE_VARIANT_ADD(fixture, refused) { .name = "refused" }
/* For waits: uring, where the kernel refuses to keep what they are for. */
#define COPIED_VARIANT(fixture)						\
	struct has_copied_##fixture;					\
	FIXTURE_VARIANT_ADD(fixture, copied) { .name = "copied" }
#else
#define URING_VARIANT(fixture) struct no_uring_##fixture
#define REFUSED_VARIANT(fixture) struct no_refused_##fixture
#define COPIED_VARIANT(fixture) struct no_copied_##fixture
#endif

/* The variants of a fixture whose tests need descriptors and real time: uring, epoll. */
#define KERNEL_VARIANTS(fixture)					\
	struct backend_of_##fixture;					\
	FIXTURE_VARIANT(fixture) { const char *name; };			\
	FIXTURE_VARIANT_ADD(fixture, epoll) { .name = "epoll" };	\
	URING_VARIANT(fixture)

/*
 * And of one whose tests run anywhere: uring, epoll, sim; and refused, where a
 * seccomp filter refuses io_uring and the library falls back by itself.
 */
#define BACKEND_VARIANTS(fixture)					\
	struct backends_of_##fixture;					\
	KERNEL_VARIANTS(fixture);					\
	REFUSED_VARIANT(fixture);					\
	FIXTURE_VARIANT_ADD(fixture, sim) { .name = "sim" }

/* In FIXTURE_SETUP and TEST: skips if this machine refuses the backend. */
#define OPEN_LOOP(loopp, opts)						\
	do {								\
		int open_err = open_variant(loopp, opts);		\
									\
		if (open_err == -ENOSYS || open_err == -EPERM)		\
			SKIP(_exit(KSFT_SKIP), "backend %s is refused here: %s",	\
			     (opts)->backend, weir_strerror(open_err));	\
		ASSERT_EQ(0, open_err);					\
	} while (0)

/* Run @loop until @cond holds; fails the test if it stalls, or after LIMIT_NS. */
#define RUN_UNTIL(loop, cond)						\
	do {								\
		uint64_t run_end = real_ns() + LIMIT_NS;		\
		bool run_held;						\
		int run_err = 0;					\
									\
		while (!(run_held = (cond)) && !run_err && real_ns() < run_end)	\
			run_err = run_turn(loop);			\
		ASSERT_TRUE(run_held) {					\
			TH_LOG("%s: %s", run_err ? weir_strerror(run_err) :	\
			       "not within 10 s", #cond);		\
		}							\
	} while (0)

#define EXPECT_RESULT(seen, want_res, want_origin)			\
	do {								\
		EXPECT_EQ(1, (seen)->terminals);			\
		EXPECT_EQ(want_res, (seen)->res);			\
		EXPECT_EQ(want_origin, (seen)->origin);			\
	} while (0)

/* What an operation was told. Its ctx points here. */
struct seen {
	unsigned int events;
	unsigned int terminals;
	int res;
	unsigned int origin;
	struct weir_file file;		/* of the last accept or connect */
	unsigned int serial;		/* of the last event, among all */
	uint64_t now_ns;
};

static unsigned int seen_serial;

static inline void seen_done(struct weir_op *op)
{
	struct seen *seen = op->ctx;

	seen->events++;
	seen->terminals += !op->more;
	seen->res = op->res;
	seen->origin = op->origin;
	seen->serial = ++seen_serial;
	seen->now_ns = weir_loop_now(op->lib_loop);
	if (op->res == 0 && (op->opcode == WEIR_OP_ACCEPT || op->opcode == WEIR_OP_CONNECT))
		seen->file = op->accepted;
}

static inline uint64_t real_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Is it the variant whose loops fell back to epoll? */
static inline bool is_refused(const char *name)
{
	return !strcmp(name, "refused");
}

/* Open a loop of the variant that opts->backend names, which becomes its backend's. */
static inline int open_variant(struct weir_loop **loopp, struct weir_loop_opts *opts)
{
	if (opts->backend && is_refused(opts->backend)) {
		if (refuse(SYS_io_uring_setup, EPERM))
			return -EPERM;
		opts->backend = NULL;
	}
	if (opts->backend && !strcmp(opts->backend, "copied")) {
		if (refuse_if(SYS_io_uring_register, 1, BPF_JEQ, REGISTER_MEM_REGION, EINVAL))
			return -EPERM;
		opts->backend = "uring";
	}
	return weir_loop_open(loopp, opts);
}

/* One turn: 0, -ETIMEDOUT if nothing came for STALL_NS, or what broke the loop. */
static inline int run_turn(struct weir_loop *loop)
{
	uint64_t before = loop->sys->now(loop);
	int ret = weir_loop_run_once(loop, STALL_NS);

	if (ret)
		return ret < 0 ? ret : 0;
	return loop->sys->now(loop) - before < STALL_NS ? 0 : -ETIMEDOUT;
}

static inline bool on_sim(const struct weir_loop *loop)
{
	return !strcmp(weir_loop_backend(loop), "sim");
}

/* A listening socket on an address of its own choice, as a file of @loop. */
static inline int listener_open(struct weir_loop *loop, int backlog, struct weir_file *filep,
				struct sockaddr_in *addr)
{
	const struct io_sys *sys = loop->sys;
	uint32_t len = sizeof(*addr);
	int fd, err;

	*addr = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	fd = sys->socket(loop, AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return fd;
	err = sys->bind(loop, fd, (struct sockaddr *)addr, len);
	if (err >= 0)
		err = sys->listen(loop, fd, backlog);
	if (err >= 0)
		err = sys->getsockname(loop, fd, (struct sockaddr *)addr, &len);
	if (err >= 0)
		err = on_sim(loop) ? io_file_new(loop, fd, filep) :
				     weir_file_adopt(loop, fd, filep);
	if (err < 0)
		sys->close(loop, fd);
	return err < 0 ? err : 0;
}

/* A listener, and an accept that is armed on it all the time. */
struct server {
	struct weir_file file;
	struct sockaddr_in addr;
	struct weir_op accept;
	struct seen seen;
};

static inline int server_open(struct weir_loop *loop, struct server *server, int backlog)
{
	int err = listener_open(loop, backlog, &server->file, &server->addr);

	if (err)
		return err;
	weir_prep_accept(&server->accept, server->file, (uint32_t)backlog, seen_done,
			 &server->seen);
	weir_submit(loop, &server->accept);
	return 0;
}

static inline void server_connect(struct weir_loop *loop, struct server *server,
				  struct weir_op *op, struct seen *seen)
{
	weir_prep_connect(op, (struct sockaddr *)&server->addr, sizeof(server->addr),
			  seen_done, seen);
	weir_submit(loop, op);
}

/* Connect to @server: @client and @accepted are the two ends. 0 or -errno. */
static inline int pair_open(struct weir_loop *loop, struct server *server,
			    struct weir_file *client, struct weir_file *accepted)
{
	unsigned int before = server->seen.events;
	uint64_t end = real_ns() + LIMIT_NS;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	server_connect(loop, server, &op, &seen);
	while (!seen.terminals || (!seen.res && server->seen.events == before)) {
		int err = real_ns() > end ? -ETIMEDOUT : run_turn(loop);

		if (err)
			return err;
	}
	if (seen.res)
		return seen.res;
	*client = seen.file;
	*accepted = server->seen.file;
	return server->seen.res;
}

/* Submit @op, run until it has ended, return its result. */
static inline int op_do(struct weir_loop *loop, struct weir_op *op)
{
	uint64_t end = real_ns() + LIMIT_NS;

	weir_submit(loop, op);
	while (weir_op_busy(op)) {
		if (real_ns() > end || run_turn(loop))
			abort();
	}
	return op->res;
}

static inline int do_send(struct weir_loop *loop, struct weir_file file, const void *buf,
			  uint32_t len)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_send(&op, file, buf, len, seen_done, &seen);
	return op_do(loop, &op);
}

static inline int do_recv(struct weir_loop *loop, struct weir_file file, void *buf,
			  uint32_t len)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_recv(&op, file, buf, len, seen_done, &seen);
	return op_do(loop, &op);
}

static inline int do_close(struct weir_loop *loop, struct weir_file file)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_close(&op, file, seen_done, &seen);
	return op_do(loop, &op);
}

static inline struct weir_loop_stats stats_of(const struct weir_loop *loop)
{
	struct weir_loop_stats stats;

	weir_loop_stats(loop, &stats, sizeof(stats));
	return stats;
}

/*
 * Run @fn in a child with stderr in @text. Returns the status of waitpid(2).
 * For what must end the process.
 */
static inline int run_child(void (*fn)(void *arg), void *arg, char *text, size_t size)
{
	size_t len = 0;
	int pipefd[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe(pipefd))
		return -1;
	pid = fork();
	if (!pid) {
		dup2(pipefd[1], STDERR_FILENO);
		close(pipefd[0]);
		close(pipefd[1]);
		signal(SIGABRT, SIG_DFL);
		fn(arg);
		_exit(0);
	}
	close(pipefd[1]);
	while (len < size - 1 && (n = read(pipefd[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(pipefd[0]);
	return pid < 0 || waitpid(pid, &status, 0) != pid ? -1 : status;
}

#endif /* TESTS_BACKENDS_H */
