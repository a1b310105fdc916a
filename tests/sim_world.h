/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sim_world.h - a program for the simulated kernel to torment: clients, an echo
 * server over a tight pool and a file, in one loop, all of it from one seed
 *
 * Byte i of a client's stream is known, so both ends check every byte by its
 * place. Every operation is counted in and out.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <weir/loop.h>
#include <weir/pool.h>

#include "io/sim.h"

enum {
	CLIENTS_MAX	= 8,
	CONNS_MAX	= 64,
	LEASES_MAX	= 16,
	CHUNK_MAX	= 1024,
	FILE_BYTES	= 10000,
	TURNS_MAX	= 200000,
	POST_COUNT	= 60,
	POST_BYTES_MIN	= 4,
	POST_BYTES	= 40,
};

struct world;

/* An operation that knows whether it is in flight. */
struct act {
	struct weir_op op;
	struct world *world;
	void *owner;
	bool busy;
};

struct visitor {
	struct act connect, poll, cookie, send, recv, shutdown, close, late;
	struct weir_file file;
	uint64_t cookie_value;
	uint32_t id, want, sent, got;
	unsigned int tries;
	bool eager;		/* does not wait for the echo before it sends more */
	bool closing, over;
	int err;
	unsigned char out[CHUNK_MAX], in[CHUNK_MAX];
};

/* The server's side of a connection. */
struct conn {
	struct act recv, send, close;
	struct weir_file file;
	struct weir_lease *leases[LEASES_MAX];
	uint32_t head, count, off;
	uint32_t got, sent;
	int id;			/* of the client, from the first byte; -1: not known */
	bool eof, closing;
	int err;
};

struct paper {
	struct act write, read, close;
	struct weir_file file;
	uint32_t at;
	unsigned int errors;
	bool closing;
	unsigned char bytes[CHUNK_MAX];
};

/* Datagrams from one socket to another. */
struct post {
	struct act send, recv, watch, close_from, close_to;
	struct weir_file from, to;
	uint32_t sent, got, seen;
	bool closing;
	struct msghdr msg, room;
	struct iovec iov[2];
	unsigned char out[POST_BYTES];
};

struct script;

/* What was done to it, so that a test can see that all of it was. */
struct world_mischief {
	uint64_t kinds[SIM_MISCHIEFS];
	uint64_t failed[WEIR_OP_MAX];
	uint64_t waits;		/* turns in which operations waited for a slot */
	uint64_t parks;		/* receives that found the pool empty */
	uint64_t files_full;	/* accepts that found no place in the table of files */
};

struct world {
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_log log;
	enum weir_log_level log_worst;	/* from here on a line is a fault */
	struct weir_alloc alloc;
	struct weir_loop_hooks hooks;
	struct weir_sim_opts sim;
	uint64_t seed, dice;

	struct act accept, close, tick;
	struct weir_file listener;
	struct sockaddr_in addr;
	bool listener_closing;
	struct visitor clients[CLIENTS_MAX];
	struct conn conns[CONNS_MAX];
	struct paper paper;
	struct post post;
	struct script *sockets, *desk;
	unsigned int clients_count, clients_left, conns_count;
	bool ending;		/* start nothing but closes */
	bool over;		/* the run came to its end */

	struct world_mischief mischief;
	uint64_t trace;		/* hash of (time, opcode, result) of every event */
	uint64_t ended_well[WEIR_OP_MAX];	/* operations, with no error */
	uint64_t events, started, ended, errors, turns, turns_stop, jumps;
	size_t gets, puts;
	size_t bytes;
	const char *bad;	/* the first thing that was wrong, or NULL */
	char text[256];
};

/* What faults there are; the rest of a world comes from its seed. */
struct world_faults {
	uint64_t delay_max_ns;
	uint32_t short_permille;
	uint32_t error_permille;
	uint32_t race_permille;	/* reordering, late cancels, full completion queues */
};

/* world_init() - all of a world but its loop */
void world_init(struct world *world, uint64_t seed, const struct world_faults *faults);

void world_open(struct world *world, uint64_t seed, const struct world_faults *faults);

/* world_run() - until all is over, or for @turns turns if that is not 0 */
int world_run(struct world *world, uint64_t turns);

/* world_cancel() - cancel every operation; nobody starts anything but closes */
void world_cancel(struct world *world);

/* world_close() - close the loop and the pool, and look what is left */
void world_close(struct world *world);

/* world_judge() - after a run to the end: is every byte accounted for? */
void world_judge(struct world *world);

/* tests/sim_actors.c */
void world_server_start(struct world *world);
void world_clients_start(struct world *world);
void world_paper_start(struct world *world);
void world_post_start(struct world *world);		/* tests/sim_post.c */

/* world_bad() - something is wrong; the first one counts */
void world_bad(struct world *world, const char *what);

/* world_roll() - one of [0, @n), from the world's own seed */
uint64_t world_roll(struct world *world, uint64_t n);

/* world_mix() - @value becomes part of the trace */
void world_mix(struct world *world, uint64_t value);

/* world_byte() - byte @i of the stream of @id; the first one is the id */
unsigned char world_byte(uint32_t id, uint32_t i);

void act_set(struct act *act, struct world *world, void *owner);
void act_start(struct act *act);

/* act_event() - first thing in every callback */
struct act *act_event(struct weir_op *op);

#endif /* SIM_WORLD_H */
