/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_BENCH_SERVER_H
#define WEIR_TOOLS_BENCH_SERVER_H

/* The echo server that `weir bench --serve` measures: one worker, a thread of ours. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "echo.h"
#include "json.h"

struct bench_server {
	/* from the command line */
	bool udp;
	bool sqpoll;
	uint64_t napi_us;
	int cpu;			/* pin it; negative: do not */
	/* in force */
	struct weir_service *service;
	struct echo *echo;
	struct weir_service_stats stats;	/* after bench_server_stop() */
	uint16_t port;
};

/*
 * bench_server_open() - start it for @conns connections, on a free port of 127.0.0.1
 *
 * What was asked for and is not to be had here is a failure: a figure without it
 * would pass for one with it. Gives up all capabilities of the caller.
 *
 * Return: 0, or 1 with a message on stderr.
 */
int bench_server_open(struct bench_server *server, uint32_t conns);

/* bench_server_stop() - stop it and take its counters. Return: 0, or 1 as above. */
int bench_server_stop(struct bench_server *server);
void bench_server_close(struct bench_server *server);

/* bench_server_print(), bench_server_json() - what it was, and what a request cost it. */
void bench_server_print(const struct bench_server *server, FILE *out);
void bench_server_json(const struct bench_server *server, struct json *j);

#endif /* WEIR_TOOLS_BENCH_SERVER_H */
