/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_BENCH_SERVER_H
#define WEIR_TOOLS_BENCH_SERVER_H

/* A server under measurement: a child process that ends with one JSON line. */

#include <stdint.h>
#include <sys/types.h>

#define SERVER_ARGS_MAX	24

struct server {
	pid_t pid;
	int out;		/* its standard output */
	uint16_t port;
};

struct server_stats {
	uint64_t requests;
	uint64_t cpu_ns;
	uint64_t syscalls;
	uint64_t bytes;
};

/*
 * server_start() - run @argv, in which "PORT" stands for a free port, and wait
 * until it accepts. Return: 0, -ETIMEDOUT, -ECHILD when it ended, or -errno.
 */
int server_start(struct server *s, const char *const *argv);

/*
 * server_stop() - SIGTERM, read the final line, collect the child; one that
 * does not end within ten seconds is killed.
 * Return: 0; -EPROTO without a complete line; -ECHILD for a bad exit status.
 */
int server_stop(struct server *s, struct server_stats *stats);

#endif /* WEIR_TOOLS_BENCH_SERVER_H */
