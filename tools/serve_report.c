// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* serve_report.c - what weir serve prints when it listens and when it ends */
#include <string.h>

#include "common.h"
#include "echo.h"
#include "processes.h"
#include "serve.h"
#include "serve_xdp.h"

static const char *steered_by(const struct steer *steer)
{
	if (steer->user_space)
		return "acceptor";
	return steer->rung == WEIR_RUNG_NONE ? "reuseport" : "bpf";
}

/* The end of the line: what holds for services of any kind. */
static void serve_rest(const struct steer *steer, const char *instance, const char *rescue)
{
	if (steer->dir[0])
		printf(", instance %s", instance);
	printf(", rung: %s", steer_rung_name(steer->rung));
	if (steer->reason[0])
		printf(" (not more: %s)", steer->reason);
	if (steer->xdp[0])
		printf(", xdp: %s", steer->xdp);
	printf(", rescue: %s", rescue ? "off" : "on");
	if (rescue)
		printf(" (%s)", rescue);
	printf("\n");
	fflush(stdout);
}

void serve_line(const struct weir_service *service, const struct steer *steer,
		unsigned int workers, const char *instance)
{
	char text[WEIR_ADDR_TEXT_MAX] = "?";
	const char *reason = NULL, *rescue = NULL, *backend;
	struct weir_addr addr;

	weir_service_addr(service, &addr);
	weir_addr_format(&addr, text, sizeof(text));
	backend = weir_service_backend(service, &reason);
	printf("listening on %s: %u worker%s, backend %s (%s), steering %s %s", text, workers,
	       workers == 1 ? "" : "s", backend, reason ? reason : "?",
	       steered_by(steer), steer->policy);
	weir_service_rescue(service, &rescue);
	serve_rest(steer, instance, rescue);
}

void serve_processes_line(void *ctx, const struct process_ready *ready)
{
	const struct serve *serve = ctx;
	char text[WEIR_ADDR_TEXT_MAX] = "?";

	weir_addr_format(&serve->where, text, sizeof(text));
	printf("listening on %s: %u process%s, backend %s (%s), steering %s %s", text,
	       (unsigned int)serve->workers, serve->workers == 1 ? "" : "es", ready->backend,
	       ready->reason, steered_by(&serve->steer), serve->steer.policy);
	serve_rest(&serve->steer, serve_instance(serve),
		   serve->steer.rung == WEIR_RUNG_NONE ? "the kernel's hash moves no queue" :
		   serve->workers == 1 ? "there is one worker" :
		   ready->rescue[0] ? ready->rescue : NULL);
}

void serve_sum(const struct weir_service *service, struct weir_service_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	weir_service_stats(service, WEIR_WORKER_NONE, stats, sizeof(*stats));
}

#define STAT(name, field)	{ name, offsetof(struct weir_service_stats, field) }
#define LOOP_STAT(field)	{ #field, offsetof(struct weir_service_stats, loop.field) }

static const struct {
	const char *name;
	size_t offset;
} exit_stats[] = {
	STAT("cpu_ns", cpu_ns),
	STAT("accepted", accepted),
	STAT("refused", refused),
	STAT("signals", signals),
	LOOP_STAT(syscalls),
	LOOP_STAT(turns),
	LOOP_STAT(events),
	LOOP_STAT(errors),
	LOOP_STAT(accepts),
	LOOP_STAT(connects),
	LOOP_STAT(polls),
	LOOP_STAT(recvs),
	LOOP_STAT(sends),
	LOOP_STAT(bytes_in),
	LOOP_STAT(bytes_out),
	LOOP_STAT(parks),
	LOOP_STAT(overflows),
	LOOP_STAT(bundled),
	LOOP_STAT(gathers),
	LOOP_STAT(send_bundles),
	LOOP_STAT(zc_sends),
	LOOP_STAT(zc_copied),
	LOOP_STAT(zc_bytes),
	STAT("dgrams_in", dgrams_in),
	STAT("dgrams_out", dgrams_out),
	STAT("dgrams_refused", dgrams_refused),
	STAT("dgrams_failed", dgrams_failed),
	STAT("dgrams_cut", dgrams_cut),
};

void serve_json(const struct serve *serve, int aborted)
{
	struct weir_service_stats stats;
	struct echo_count sum = echo_total(serve->echo);
	struct json j;
	size_t i;

	serve_sum(serve->service, &stats);
	json_init(&j, stdout, false);
	json_object(&j, NULL);
	json_u64(&j, "requests", sum.requests);
	json_u64(&j, "bytes", sum.bytes);
	json_u64(&j, "aborted", aborted > 0 ? (uint64_t)aborted : 0);
	for (i = 0; i < ARRAY_SIZE(exit_stats); i++) {
		const void *at = (const char *)&stats + exit_stats[i].offset;

		json_u64(&j, exit_stats[i].name, *(const uint64_t *)at);
	}
	if (serve->carrier)
		serve_xdp_json(&j, serve->carrier);
	json_end_object(&j);
	json_fini(&j);
}
