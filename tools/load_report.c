// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Load generator: options in, results out. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>

#include "json.h"
#include "load.h"

#define SEC_NS	1000000000ULL

void load_opts_init(struct load_opts *opts)
{
	memset(opts, 0, sizeof(*opts));
	load_opts_address(opts, "127.0.0.1", 7);	/* echo, RFC 862 */
	opts->connections = 1;
	opts->size_bytes = 64;
	opts->cpu = -1;
	opts->duration_ns = 10 * SEC_NS;
	opts->timeout_ns = 5 * SEC_NS;
	opts->seed = 1;
}

int load_opts_address(struct load_opts *opts, const char *host, uint16_t port)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)&opts->addr;
	struct sockaddr_in *sin = (struct sockaddr_in *)&opts->addr;
	struct in6_addr addr6;
	struct in_addr addr;

	if (inet_pton(AF_INET, host, &addr) == 1) {
		memset(&opts->addr, 0, sizeof(opts->addr));
		sin->sin_family = AF_INET;
		sin->sin_port = htons(port);
		sin->sin_addr = addr;
		opts->addr_len = sizeof(*sin);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &addr6) == 1) {
		memset(&opts->addr, 0, sizeof(opts->addr));
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(port);
		sin6->sin6_addr = addr6;
		opts->addr_len = sizeof(*sin6);
		return 0;
	}
	return -EINVAL;
}

static bool loopback4(const struct load_opts *opts)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)&opts->addr;

	return sin->sin_family == AF_INET && ntohl(sin->sin_addr.s_addr) >> 24 == 127;
}

const char *load_opts_check(const struct load_opts *opts)
{
	if (!opts->addr_len)
		return "address: missing";
	if (!opts->connections || opts->connections > LOAD_CONNECTIONS_MAX)
		return "connections: must be 1 to 65536";
	if (!opts->size_bytes || opts->size_bytes > LOAD_SIZE_MAX)
		return "size: must be 1 to 16777216 bytes";
	if (opts->udp && opts->size_bytes > LOAD_DATAGRAM_MAX)
		return "size: a datagram has at most 65507 bytes";
	if (opts->sources > LOAD_SOURCES_MAX)
		return "sources: must be 0 to 200";
	if (opts->sources && !loopback4(opts))
		return "sources: only for a server in 127.0.0.0/8";
	if (opts->rate > LOAD_RATE_MAX)
		return "rate: must be 0 to 10000000 requests a second";
	if (!opts->duration_ns || opts->duration_ns > LOAD_DURATION_MAX_NS)
		return "duration: must be above 0 and at most 24 hours";
	if (opts->warmup_ns > LOAD_DURATION_MAX_NS)
		return "warm-up: must be at most 24 hours";
	if (!opts->timeout_ns || opts->timeout_ns > HIST_MAX_NS)
		return "timeout: must be above 0 and at most one hour";
	if (opts->cpu >= CPU_SETSIZE)
		return "cpu: no such number";
	return NULL;
}

uint64_t load_errors(const struct load_result *res)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < LOAD_ERR_MAX; i++)
		sum += res->errors[i];
	return sum;
}

const char *load_error_name(enum load_error error)
{
	static const char *const names[LOAD_ERR_MAX] = {
		[LOAD_ERR_CONNECT]	= "connect",
		[LOAD_ERR_READ]		= "read",
		[LOAD_ERR_WRITE]	= "write",
		[LOAD_ERR_TIMEOUT]	= "timeout",
		[LOAD_ERR_RESET]	= "reset",
		[LOAD_ERR_MISMATCH]	= "mismatch",
	};

	return names[error];
}

static double per_second(const struct load_result *res, uint64_t count)
{
	return res->elapsed_ns ? (double)count * SEC_NS / (double)res->elapsed_ns : 0;
}

static void print_latency(FILE *out, const char *name, const struct hist *h)
{
	fprintf(out, "%-12s p50 %.3f  p90 %.3f  p99 %.3f  p99.9 %.3f  max %.3f ms\n", name,
		(double)hist_percentile(h, 50) / 1e6, (double)hist_percentile(h, 90) / 1e6,
		(double)hist_percentile(h, 99) / 1e6, (double)hist_percentile(h, 99.9) / 1e6,
		(double)hist_max(h) / 1e6);
}

static void print_errors(FILE *out, const struct load_result *res)
{
	size_t i;

	fprintf(out, "%-12s %" PRIu64, "errors", load_errors(res));
	for (i = 0; i < LOAD_ERR_MAX; i++)
		if (res->errors[i])
			fprintf(out, "  %s %" PRIu64, load_error_name(i), res->errors[i]);
	if (res->first_errno)
		fprintf(out, "  (first: %s)", strerror(res->first_errno));
	fputc('\n', out);
}

/* A datagram that has no answer in time has none. */
static uint64_t lost(const struct load_opts *opts, const struct load_result *res)
{
	return opts->udp ? res->errors[LOAD_ERR_TIMEOUT] : 0;
}

void load_print(const struct load_opts *opts, const struct load_result *res, FILE *out)
{
	fprintf(out, "%-12s %s loop, %" PRIu32 " %s%s, %" PRIu32 " bytes\n", "load",
		opts->rate ? "open" : "closed", opts->connections,
		opts->udp ? "UDP sockets" : "connections",
		opts->churn ? ", a new one for each request" : "", opts->size_bytes);
	fprintf(out, "%-12s %" PRIu64 " in %.3f s, %.0f per second\n", "requests", res->requests,
		(double)res->elapsed_ns / 1e9, per_second(res, res->requests));
	print_latency(out, "latency", &res->latency);
	if (opts->rate)
		print_latency(out, "service", &res->service);
	print_errors(out, res);
	if (opts->udp)
		fprintf(out, "%-12s %" PRIu64 " of %" PRIu64 " datagrams\n", "lost",
			lost(opts, res), res->issued);
	if (res->abandoned)
		fprintf(out, "%-12s %" PRIu64 " (stopped before they were answered)\n",
			"abandoned", res->abandoned);
}

void load_print_spectrum(const struct load_result *res, FILE *out)
{
	fputs("\nLatency in milliseconds, from the scheduled instant:\n", out);
	hist_print(&res->latency, out, 1e6);
}

static void json_opts(const struct load_opts *opts, struct json *j)
{
	json_object(j, "options");
	json_string(j, "loop", opts->rate ? "open" : "closed");
	json_u64(j, "connections", opts->connections);
	json_bool(j, "churn", opts->churn);
	json_bool(j, "udp", opts->udp);
	json_u64(j, "size_bytes", opts->size_bytes);
	json_u64(j, "rate", opts->rate);
	json_u64(j, "duration_ns", opts->duration_ns);
	json_u64(j, "warmup_ns", opts->warmup_ns);
	json_u64(j, "timeout_ns", opts->timeout_ns);
	json_u64(j, "requests_max", opts->requests_max);
	json_u64(j, "sources", opts->sources);
	json_i64(j, "cpu", opts->cpu);
	json_u64(j, "seed", opts->seed);
	json_end_object(j);
}

static void json_errors(const struct load_result *res, struct json *j)
{
	size_t i;

	json_object(j, "errors");
	for (i = 0; i < LOAD_ERR_MAX; i++)
		json_u64(j, load_error_name(i), res->errors[i]);
	json_end_object(j);
}

void load_json(const struct load_opts *opts, const struct load_result *res, struct json *j)
{
	json_opts(opts, j);
	json_u64(j, "requests", res->requests);
	json_u64(j, "requests_total", res->requests_total);
	json_u64(j, "issued", res->issued);
	json_u64(j, "abandoned", res->abandoned);
	json_u64(j, "bytes", res->bytes);
	json_u64(j, "connects", res->connects);
	json_u64(j, "elapsed_ns", res->elapsed_ns);
	json_double(j, "requests_per_second", per_second(res, res->requests));
	json_u64(j, "cpu_ns", res->cpu_ns);
	json_u64(j, "syscalls", res->syscalls);
	json_bool(j, "stopped", res->stopped);
	json_errors(res, j);
	json_u64(j, "lost", lost(opts, res));
	json_string(j, "first_error", res->first_errno ? strerror(res->first_errno) : NULL);
	hist_json(&res->latency, j, "latency");
	hist_json(&res->service, j, "service");
}
