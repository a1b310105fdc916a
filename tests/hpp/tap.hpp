/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tap.hpp - tests of weir.hpp: each in a process of its own, on every backend
 *
 * A test is a function of a Loop; EXPECT tells and goes on. It fails too when it
 * checked nothing, died or took too long. A test that has to die says how: with
 * the line that it must leave on stderr.
 */
#ifndef TESTS_HPP_TAP_HPP
#define TESTS_HPP_TAP_HPP

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.hpp>

#include "../refuse.h"

using namespace std::literals;
using weir::Bytes, weir::Loop, weir::Result, weir::Socket, weir::Task;

namespace tap {

struct Case {
	const char *name;
	void (*run)(Loop &loop);
	std::string dies;	/* what it leaves on stderr; empty: it lives */
};

inline std::vector<Case> cases;
inline std::atomic<unsigned int> checks, faults;	/* of any thread */

struct Enrol {
	Enrol(const char *name, void (*run)(Loop &loop), std::string dies = {})
	{
		cases.push_back({name, run, std::move(dies)});
	}
};

inline void check(bool good, const char *what, int line)
{
	checks++;
	if (good)
		return;
	faults++;
	std::printf("# line %d: %s\n", line, what);
	std::fflush(stdout);
}

/* In the child: what its exit status is to say. */
enum { GOOD, BAD, EMPTY, REFUSED };

/* A loop of the variant @name: of a backend, or of what is taken where uring is refused. */
inline Result<Loop> open(const char *name)
{
	weir_loop_opts opts = {};

	opts.seed = 1;
	if (std::strcmp(name, "refused")) {
		opts.backend = name;
		return Loop::open(opts);
	}
	if (refuse(SYS_io_uring_setup, EPERM))
		return weir::failure(-EPERM);

	auto loop = Loop::open(opts);

	check(loop && !std::strcmp(loop->backend(), "epoll"), "it fell back to epoll", __LINE__);
	checks = 0;
	return loop;
}

[[noreturn]] inline void child(const Case &test, const char *backend)
{
	int status;

	alarm(60);
	{
		auto loop = open(backend);

		if (!loop) {
			std::printf("# %s\n", loop.error().message().c_str());
			std::fflush(stdout);
			_exit(loop.error() == std::errc::function_not_supported ||
			      loop.error() == std::errc::operation_not_permitted ? REFUSED : BAD);
		}
		test.run(*loop);
	}
	status = faults ? BAD : checks ? GOOD : EMPTY;
	std::fflush(nullptr);
	/* Not _exit(): what a leak checker has to say comes at exit. */
	std::exit(status);
}

/* What the child left on stderr, which is passed on. */
inline std::string drain(int fd)
{
	std::string all;
	char part[4096];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) > 0)
		all.append(part, static_cast<size_t>(n));
	return all;
}

struct Ending {
	int status;
	std::string said;
};

inline Ending in_child(const Case &test, const char *backend)
{
	Ending ending = {-1, {}};
	int fds[2];
	pid_t pid;

	std::fflush(nullptr);
	if (pipe2(fds, O_CLOEXEC))
		return ending;
	pid = fork();
	if (!pid) {
		if (dup2(fds[1], STDERR_FILENO) < 0)
			_exit(BAD);
		close(fds[0]);
		close(fds[1]);
		child(test, backend);
	}
	close(fds[1]);
	ending.said = drain(fds[0]);
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &ending.status, 0) != pid)
		ending.status = -1;
	return ending;
}

inline bool is_good(const Case &test, const Ending &ending)
{
	if (test.dies.empty())
		return WIFEXITED(ending.status) && WEXITSTATUS(ending.status) == GOOD;
	return WIFSIGNALED(ending.status) && WTERMSIG(ending.status) == SIGABRT &&
	       ending.said.find(test.dies) != std::string::npos;
}

/* One line of TAP, and why if it is not a good one. */
inline bool report(unsigned int number, const Case &test, const char *backend,
		   const Ending &ending)
{
	bool good = is_good(test, ending);

	if (WIFEXITED(ending.status) && WEXITSTATUS(ending.status) == REFUSED) {
		std::printf("ok %u - %s.%s # SKIP this backend is refused here\n", number, backend,
			    test.name);
		return true;
	}
	if (!good) {
		if (WIFSIGNALED(ending.status))
			std::printf("# killed by signal %d\n", WTERMSIG(ending.status));
		else if (WEXITSTATUS(ending.status) == EMPTY)
			std::printf("# checked nothing\n");
		std::printf("# on stderr: %s\n", ending.said.c_str());
	}
	std::printf("%sok %u - %s.%s\n", good ? "" : "not ", number, backend, test.name);
	return good;
}

/* usage: program [-b backend] [-t test]; "refused" is a backend too */
inline int main(int argc, char **argv)
{
	static const char *const backends[] = {
#ifdef CONFIG_URING
		"uring", "refused",
#endif
		"epoll", "sim",
	};
	const char *backend = nullptr, *name = nullptr;
	unsigned int number = 0, bad = 0;

	for (int i = 1; i + 1 < argc; i += 2)
		(std::strcmp(argv[i], "-b") ? name : backend) = argv[i + 1];
	for (const char *on : backends) {
		for (const Case &test : cases) {
			if ((backend && std::strcmp(on, backend)) ||
			    (name && std::strcmp(test.name, name)))
				continue;
			bad += !report(++number, test, on, in_child(test, on));
		}
	}
	std::printf("1..%u\n", number);
	return bad ? 1 : 0;
}

} /* namespace tap */

#define EXPECT(cond)	tap::check(static_cast<bool>(cond), #cond, __LINE__)

#define TEST(name)								\
	static void name(Loop &loop);						\
	static const tap::Enrol enrol_##name(#name, name);			\
	static void name([[maybe_unused]] Loop &loop)

#define TEST_DIES(name, line)							\
	static void name(Loop &loop);						\
	static const tap::Enrol enrol_##name(#name, name, line);		\
	static void name([[maybe_unused]] Loop &loop)

/* In a task of a Result: declares @var as the value of a Result, or ends with its error. */
#define TRY(var, what)								\
	auto var##_or = (what);							\
	if (!var##_or)								\
		co_return std::unexpected(var##_or.error());			\
	auto &var = *var##_or

/* The same where there is no value to name. */
#define TRY_ONLY(what)								\
	if (auto or_ = (what); !or_)						\
		co_return std::unexpected(or_.error())

int main(int argc, char **argv)
{
	return tap::main(argc, argv);
}

#endif /* TESTS_HPP_TAP_HPP */
