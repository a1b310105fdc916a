// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the hand-written echo servers share. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define SPARE_FDS	32

static const char *peer_name = "peer";

_Noreturn void peer_die(const char *what, int err)
{
	fprintf(stderr, "%s: %s: %s\n", peer_name, what, strerror(err));
	exit(1);
}

static _Noreturn void usage(FILE *out, int status)
{
	fprintf(out, "Usage: %s --port PORT [--cpu N] [--no-batch]\n"
		"A TCP echo server on 127.0.0.1 for benchmarks. SIGINT or SIGTERM ends it\n"
		"with one JSON line: requests, bytes, syscalls, cpu_ns.\n"
		"  --port PORT  1 to 65535\n"
		"  --cpu N      pin the server to this processor\n"
		"  --no-batch   wait for single completions (io_uring peer)\n", peer_name);
	exit(status);
}

static long number(const char *name, const char *text, long min, long max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text || *end || value < min || value > max) {
		fprintf(stderr, "%s: --%s %s: must be %ld to %ld\n", peer_name, name, text, min,
			max);
		exit(2);
	}
	return value;
}

void peer_parse(struct peer_opts *opts, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "port",	required_argument,	NULL, 'p' },
		{ "cpu",	required_argument,	NULL, 'c' },
		{ "no-batch",	no_argument,		NULL, 'n' },
		{ "help",	no_argument,		NULL, 'h' },
		{ }
	};
	int c;

	peer_name = opts->name;
	opts->cpu = -1;
	opts->batch = true;
	while ((c = getopt_long(argc, argv, "p:c:h", longs, NULL)) != -1) {
		if (c == 'p')
			opts->port = (uint16_t)number("port", optarg, 1, 65535);
		else if (c == 'c')
			opts->cpu = (int)number("cpu", optarg, 0, CPU_SETSIZE - 1);
		else if (c == 'n')
			opts->batch = false;
		else if (c == 'h')
			usage(stdout, 0);
		else
			usage(stderr, 2);
	}
	if (optind != argc || !opts->port)
		usage(stderr, 2);
}

static void pin_thread(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		peer_die("pin to processor", errno);
}

static void raise_descriptors(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		peer_die("getrlimit", errno);
	if (lim.rlim_max < PEER_CONNS_MAX + SPARE_FDS)
		fprintf(stderr, "%s: at most %ju descriptors, below %d connections\n", peer_name,
			(uintmax_t)lim.rlim_max, PEER_CONNS_MAX);
	lim.rlim_cur = lim.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &lim))
		peer_die("setrlimit", errno);
}

static void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

int peer_signals(void)
{
	sigset_t set;
	int fd;

	stop_signals(&set);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		peer_die("signalfd", errno);
	return fd;
}

int peer_start(const struct peer_opts *opts)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons(opts->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	sigset_t set;
	int one = 1;
	int fd;

	stop_signals(&set);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		peer_die("sigprocmask", errno);
	pin_thread(opts->cpu);
	raise_descriptors();
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		peer_die("socket", errno);
	/* Both options pass to the accepted sockets. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		peer_die("setsockopt", errno);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)))
		peer_die("bind", errno);
	if (listen(fd, PEER_BACKLOG))
		peer_die("listen", errno);
	return fd;
}

static uint64_t timeval_ns(const struct timeval *tv)
{
	return (uint64_t)tv->tv_sec * 1000000000ULL + (uint64_t)tv->tv_usec * 1000;
}

int peer_finish(const struct peer_stats *stats)
{
	struct rusage usage;

	if (getrusage(RUSAGE_THREAD, &usage))
		peer_die("getrusage", errno);
	printf("{\"requests\":%" PRIu64 ",\"cpu_ns\":%" PRIu64 ",\"syscalls\":%" PRIu64
	       ",\"bytes\":%" PRIu64 "}\n", stats->requests,
	       timeval_ns(&usage.ru_utime) + timeval_ns(&usage.ru_stime), stats->syscalls,
	       stats->bytes);
	return fflush(stdout) ? 1 : 0;
}
