/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sim_service.h - a service in a simulated kernel: one worker that echoes, and
 * guests on the same loop, some of them slow, rude or never leaving
 *
 * All of it is in the worker's thread and its virtual time; the thread that opened
 * the service only waits. So a seed is one run here too.
 */
#ifndef SIM_SERVICE_H
#define SIM_SERVICE_H

#include <weir/serve.h>

#include "sim_world.h"

enum {
	GUESTS_MAX	= 10,
	HOSTS_MAX	= 64,
};

enum guest_kind {
	GUEST_ECHO,		/* sends all, reads all, leaves */
	GUEST_SLOW,		/* the same, but reads little and seldom */
	GUEST_RUDE,		/* resets halfway */
	GUEST_STAYS,		/* until the service sends it away */
	GUEST_KINDS,
};

struct guest {
	struct act wait, connect, send, recv, option, shutdown, close;
	struct weir_file file;
	struct sockaddr_in addr;
	struct { int on, seconds; } linger;
	enum guest_kind kind;
	uint32_t id, want, sent, got;
	bool closing, over;
	uint64_t ended_ns;	/* when it saw the end of the stream, or 0 */
	int err;
	unsigned char out[CHUNK_MAX], in[CHUNK_MAX];
};

/* The service's side of a connection. */
struct host {
	int id;			/* of the guest, from the first byte; -1: not known */
	int err;		/* what its connection ended with */
	uint32_t got;
};

struct service_world {
	struct world world;		/* first */
	struct weir_service *service;
	struct act stopper;
	uint64_t drain_ns, stopped_ns, began_ns, left_ns;
	struct guest guests[GUESTS_MAX];
	struct host hosts[HOSTS_MAX];
	unsigned int guests_count, hosts_count;
	unsigned int opened, closed;
	int result;			/* of weir_service_wait() */
};

/* service_live() - from the opening to the judgement; world.bad says what was wrong */
void service_live(struct service_world *sw, uint64_t seed, const struct world_faults *faults);

#endif /* SIM_SERVICE_H */
