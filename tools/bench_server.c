// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* bench_server.c - the server that weir bench --serve measures */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <weir/probe.h>

#include "bench_server.h"
#include "common.h"
#include "privilege.h"

#define STOP_NS	NS_PER_SEC

/* Does the kernel here have that feature? Says so if not. */
static int need(const char *option, const char *name)
{
	const struct weir_feature *features;
	size_t i, count;

	features = weir_uring_features(&count);
	for (i = 0; i < count; i++) {
		if (strcmp(features[i].name, name))
			continue;
		if (features[i].state == WEIR_FEATURE_OK)
			return 0;
		return fail("%s: not to be had here: %s", option, features[i].why);
	}
	return fail("%s: not to be had here: %s", option, features[0].why);
}

static int open_service(struct bench_server *server, uint32_t conns)
{
	struct weir_log log = stderr_log(WEIR_LOG_WARN);
	struct weir_loop_opts loop = {
		.sz = sizeof(loop),
		.log = &log,
		.flags = server->sqpoll ? WEIR_LOOP_SQPOLL : 0,
		.napi_us = (uint32_t)server->napi_us,
	};
	struct weir_addr addr;
	struct weir_service_opts opts = {
		.sz = sizeof(opts),
		.ops = &echo_ops,
		.ctx = server->echo,
		.addr = &addr,
		.loop = &loop,
		.cpus = server->cpu >= 0 ? &server->cpu : NULL,
		.workers = 1,
		.conns_max = conns,
		.flags = server->udp ? WEIR_SERVICE_DGRAM : 0,
	};
	int err = weir_addr_parse(&addr, "127.0.0.1:0");

	if (!err)
		err = weir_service_open(&server->service, &opts);
	if (err)
		return fail("a server for %u connections does not start: %s; run: weir doctor "
			    "--for serve", (unsigned int)conns, weir_strerror(err));
	weir_service_addr(server->service, &addr);
	server->port = ntohs(((struct sockaddr_in *)&addr.ss)->sin_port);
	return 0;
}

/* It was there when it was tried, but not for a ring of this size. */
static int check_backend(const struct bench_server *server)
{
	const char *reason = NULL;
	const char *backend = weir_service_backend(server->service, &reason);

	if ((!server->sqpoll && !server->napi_us) || !strcmp(backend, "uring"))
		return 0;
	return fail("%s: the server fell back to %s: %s", server->sqpoll ? "--sqpoll" : "--napi",
		    backend, reason ? reason : "?");
}

int bench_server_open(struct bench_server *server, uint32_t conns)
{
	int result;

	if ((server->sqpoll && need("--sqpoll", "sqpoll")) ||
	    (server->napi_us && need("--napi", "napi")))
		return WEIR_EXIT_FAILED;
	signal(SIGPIPE, SIG_IGN);
	privilege_raise_limits();
	result = privilege_drop(0);
	if (result)
		fprintf(stderr, "weir: warning: capabilities stay: %s\n", weir_strerror(result));
	server->echo = aligned_alloc(64, sizeof(*server->echo));
	if (!server->echo)
		return fail("%s", weir_strerror(-ENOMEM));
	memset(server->echo, 0, sizeof(*server->echo));
	result = open_service(server, conns);
	if (!result)
		result = check_backend(server);
	if (result)
		bench_server_close(server);
	return result;
}

int bench_server_stop(struct bench_server *server)
{
	int aborted;

	weir_service_stop(server->service, STOP_NS);
	aborted = weir_service_wait(server->service);
	if (aborted < 0)
		return fail("the server died: %s", weir_strerror(aborted));
	weir_service_stats(server->service, WEIR_WORKER_NONE, &server->stats,
			   sizeof(server->stats));
	return 0;
}

void bench_server_close(struct bench_server *server)
{
	weir_service_close(server->service);
	server->service = NULL;
	free(server->echo);
	server->echo = NULL;
}

static double per_request(const struct bench_server *server, uint64_t what)
{
	uint64_t requests = echo_total(server->echo).requests;

	return requests ? (double)what / (double)requests : 0;
}

void bench_server_print(const struct bench_server *server, FILE *out)
{
	fprintf(out, "%-12s backend %s, sqpoll %s, ", "server",
		weir_service_backend(server->service, NULL), server->sqpoll ? "on" : "off");
	if (server->napi_us)
		fprintf(out, "napi %u us\n", (unsigned int)server->napi_us);
	else
		fprintf(out, "napi off\n");
	fprintf(out, "%-12s %.0f ns of its thread%s and %.4f system calls each\n", "",
		per_request(server, server->stats.cpu_ns),
		server->sqpoll ? ", without the kernel's," : "",
		per_request(server, server->stats.loop.syscalls));
}

void bench_server_json(const struct bench_server *server, struct json *j)
{
	json_object(j, "server");
	json_string(j, "backend", weir_service_backend(server->service, NULL));
	json_bool(j, "sqpoll", server->sqpoll);
	json_u64(j, "napi_us", server->napi_us);
	json_i64(j, "cpu", server->cpu);
	json_u64(j, "requests", echo_total(server->echo).requests);
	json_u64(j, "cpu_ns", server->stats.cpu_ns);
	json_u64(j, "syscalls", server->stats.loop.syscalls);
	json_end_object(j);
}
