/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_BENCH_PEER_H
#define WEIR_TOOLS_BENCH_PEER_H

/* What the hand-written echo servers share: options, listener, final line. */

#include <stdbool.h>
#include <stdint.h>

/* The descriptor limit of the machines weir is measured on is 20,000. */
#define PEER_CONNS_MAX	16384
#define PEER_BACKLOG	4096

struct peer_opts {
	const char *name;
	uint16_t port;
	int cpu;		/* negative: not pinned */
	bool batch;		/* wait for several completions; peer_uring alone */
};

struct peer_stats {
	uint64_t requests;	/* chunks received */
	uint64_t bytes;		/* sent back */
	uint64_t syscalls;	/* of the loop */
};

/* peer_parse() - read the command line; exits with 2 on a usage error. */
void peer_parse(struct peer_opts *opts, int argc, char **argv);

/*
 * peer_start() - pin the thread, block SIGINT and SIGTERM, raise the soft
 * descriptor limit, open the listener. Exits with 1 and a reason on failure.
 * Return: the non-blocking listener.
 */
int peer_start(const struct peer_opts *opts);

/* peer_signals() - a descriptor that is readable once the server must end. */
int peer_signals(void);

/* peer_finish() - print the JSON line. Return: the exit status. */
int peer_finish(const struct peer_stats *stats);

/* peer_die() - print "NAME: what: reason" and exit with 1; @err is positive. */
_Noreturn void peer_die(const char *what, int err);

#endif /* WEIR_TOOLS_BENCH_PEER_H */
