/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_LOAD_H
#define WEIR_TOOLS_LOAD_H

/*
 * Echo load generator: one thread, plain epoll, nothing of libweir, so that
 * the same client measures weir and its peers and shares no defect with them.
 *
 * Closed loop (rate 0): each connection sends the next request as soon as the
 * last one is answered. Open loop: request k is due at start + (k + u) / rate,
 * with a u in [0, 1) for each k that the seed decides, so that arrivals are not
 * in step with anything of the server's and a seed is a sequence of arrivals;
 * the mean rate is @rate. It is due whatever the server does; it is sent by the
 * connection that has been idle longest, or waits for one, and its latency
 * counts from the instant it was due. Nothing that was due is left out of the
 * figures (no coordinated omission: G. Tene, "How NOT to Measure Latency",
 * 2013). Every echoed byte is compared with a seeded pattern that differs
 * between requests.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#include "hist.h"

#define LOAD_CONNECTIONS_MAX	65536
#define LOAD_SIZE_MAX		(16U << 20)
#define LOAD_DATAGRAM_MAX	65507
#define LOAD_RATE_MAX		10000000
#define LOAD_SOURCES_MAX	200
#define LOAD_DURATION_MAX_NS	(24 * 3600 * 1000000000ULL)

enum load_error {
	LOAD_ERR_CONNECT,	/* refused, no port, no descriptor, no address */
	LOAD_ERR_READ,		/* failed, or the server closed too early */
	LOAD_ERR_WRITE,
	LOAD_ERR_TIMEOUT,	/* no connection or no answer in time; UDP: lost */
	LOAD_ERR_RESET,
	LOAD_ERR_MISMATCH,	/* bytes came back that were not sent */
	LOAD_ERR_MAX,
};

struct load_progress {
	uint64_t elapsed_ns;		/* since the first request was due */
	uint64_t interval_ns;		/* covered by the interval_ fields */
	uint64_t interval_requests;
	uint64_t interval_p50_ns;
	uint64_t interval_p99_ns;
	uint64_t interval_max_ns;
	uint64_t requests;		/* answered so far, warm-up included */
	uint64_t errors;
	uint32_t inflight;
	uint32_t connected;
	uint64_t backlog;		/* due and without a connection */
	bool warmup;
};

struct load_opts {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	uint32_t connections;	/* held open; with churn: at the same time */
	uint32_t size_bytes;	/* of each message */
	uint32_t sources;	/* bind to 127.0.0.2 and on; 0: let the kernel choose */
	int cpu;		/* pin this thread; negative: do not */
	bool churn;		/* a new connection for each request */
	bool udp;		/* a connection is a socket, a message a datagram */
	uint64_t rate;		/* requests due per second; 0: closed loop */
	uint64_t duration_ns;	/* measured part, after the warm-up */
	uint64_t warmup_ns;	/* issued before it and not measured */
	uint64_t timeout_ns;	/* for a connect, for an answer, for the final drain */
	uint64_t requests_max;	/* stop after so many, warm-up included; 0: no limit */
	uint64_t seed;		/* of the bytes, and of when requests are due */
	/* Called about once a second from load_run(); may be NULL. */
	void (*progress)(void *arg, const struct load_progress *progress);
	void *arg;
	/* Set non-zero from a signal handler or another thread to end early; may be NULL. */
	const int *stop;
};

/* Large (0.5 MiB): allocate it. */
struct load_result {
	struct hist latency;	/* from the due instant, timeouts as a lower bound */
	struct hist service;	/* from the first byte sent (churn: from connect) */
	uint64_t requests;	/* answered and measured */
	uint64_t requests_total;	/* answered, warm-up included */
	uint64_t issued;	/* due or sent, warm-up included */
	uint64_t abandoned;	/* due or sent, given up because the run was stopped */
	uint64_t bytes;		/* echoed and verified, warm-up included */
	uint64_t connects;	/* connections established */
	uint64_t errors[LOAD_ERR_MAX];
	int first_errno;	/* of the first error that has one */
	uint64_t elapsed_ns;	/* of the measured part, to the last answer */
	uint64_t cpu_ns;	/* of this thread, whole run */
	uint64_t syscalls;	/* made on the request path, whole run */
	bool stopped;		/* by opts->stop */
};

/* load_opts_init() - one connection to 127.0.0.1, 64 bytes, 10 s, closed loop. */
void load_opts_init(struct load_opts *opts);

/*
 * load_opts_address() - set opts->addr from a numeric IPv4 or IPv6 address.
 * Return: 0, or -EINVAL.
 */
int load_opts_address(struct load_opts *opts, const char *host, uint16_t port);

/*
 * load_opts_check() - what load_run() would refuse.
 * Return: NULL, or a sentence that names the option and the reason.
 */
const char *load_opts_check(const struct load_opts *opts);

/*
 * load_run() - run the load; blocks for warm-up, duration and final drain.
 *
 * Raises the soft RLIMIT_NOFILE when the connections need it. Errors of single
 * requests are counted in @res and do not end the run; a connection that fails
 * is opened again.
 *
 * Return: 0; -EINVAL (see load_opts_check()), -EMFILE when the hard descriptor
 * limit is too low, -ENOMEM, the error of a refused pin, or the first error
 * when not one connection could be established at the start.
 */
int load_run(const struct load_opts *opts, struct load_result *res);

/* load_errors() - sum over all classes. */
uint64_t load_errors(const struct load_result *res);

/* load_error_name() - "connect", "read", ... */
const char *load_error_name(enum load_error error);

/* load_print() - a short report for people. */
void load_print(const struct load_opts *opts, const struct load_result *res, FILE *out);

/* load_print_spectrum() - all percentiles. */
void load_print_spectrum(const struct load_result *res, FILE *out);

/* load_json() - options and result as members of the object that is open. */
void load_json(const struct load_opts *opts, const struct load_result *res, struct json *j);

#endif /* WEIR_TOOLS_LOAD_H */
