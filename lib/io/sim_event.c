// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_event.c - what is due when in virtual time, and the seeded chance
 *
 * A binary heap of node numbers, ordered by time and then by when they were
 * added. Every op and every object has its own node, so that adding cannot
 * fail and deleting knows its place.
 */
#include <errno.h>

#include "io/lend.h"
#include "io/sim.h"

/* The errors that operations may have on a healthy machine. */
static const struct weir_sim_fault healthy[] = {
	{ WEIR_OP_SOCKET, ENFILE, 0 },
	{ WEIR_OP_ACCEPT, ECONNABORTED, 0 },
	{ WEIR_OP_ACCEPT, EMFILE, 0 },
	{ WEIR_OP_CONNECT, ETIMEDOUT, 0 },
	{ WEIR_OP_CONNECT, ECONNREFUSED, 0 },
	{ WEIR_OP_CONNECT, EHOSTUNREACH, 0 },
	{ WEIR_OP_RECV, ECONNRESET, 0 },
	{ WEIR_OP_SEND, EPIPE, 0 },
	{ WEIR_OP_SEND, ECONNRESET, 0 },
	{ WEIR_OP_RECVMSG, ENOMEM, 0 },
	{ WEIR_OP_SENDMSG, ENOBUFS, 0 },
	{ WEIR_OP_SETSOCKOPT, ENOBUFS, 0 },
	{ WEIR_OP_INSTALL, EMFILE, 0 },
	{ WEIR_OP_OPEN, EMFILE, 0 },
	{ WEIR_OP_READ, EIO, 0 },
	{ WEIR_OP_WRITE, ENOSPC, 0 },
	{ WEIR_OP_WRITE, EIO, 0 },
	{ WEIR_OP_READV, EIO, 0 },
	{ WEIR_OP_WRITEV, ENOSPC, 0 },
	{ WEIR_OP_WRITEV, EIO, 0 },
	{ WEIR_OP_FSYNC, EIO, 0 },
	{ WEIR_OP_FALLOCATE, ENOSPC, 0 },
	{ WEIR_OP_FTRUNCATE, EIO, 0 },
	{ WEIR_OP_STATX, EIO, 0 },
	{ WEIR_OP_UNLINK, EIO, 0 },
	{ WEIR_OP_RENAME, EIO, 0 },
	{ WEIR_OP_MKDIR, ENOSPC, 0 },
	{ WEIR_OP_SPLICE, EIO, 0 },
};

int sim_events_open(struct sim *sim)
{
	uint32_t i;

	sim->nodes_max = sim->loop->slots_max + sim->objs_max + LEND_MAX;
	sim->nodes = mem_get(&sim->loop->alloc, sim->nodes_max, sizeof(*sim->nodes),
			     _Alignof(struct sim_node));
	sim->heap = mem_get(&sim->loop->alloc, sim->nodes_max, sizeof(*sim->heap),
			    _Alignof(uint32_t));
	if (!sim->nodes || !sim->heap)
		return -ENOMEM;
	for (i = 0; i < sim->nodes_max; i++)
		sim->nodes[i].at = SIM_NONE;
	return 0;
}

void sim_events_close(struct sim *sim)
{
	mem_put(&sim->loop->alloc, sim->heap, sim->nodes_max, sizeof(*sim->heap));
	mem_put(&sim->loop->alloc, sim->nodes, sim->nodes_max, sizeof(*sim->nodes));
}

/* heap */

static bool before(const struct sim *sim, uint32_t a, uint32_t b)
{
	const struct sim_node *x = &sim->nodes[a], *y = &sim->nodes[b];

	return x->when_ns != y->when_ns ? x->when_ns < y->when_ns : x->seq < y->seq;
}

static void place(struct sim *sim, uint32_t at, uint32_t node)
{
	sim->heap[at] = node;
	sim->nodes[node].at = at;
}

static void rise(struct sim *sim, uint32_t at, uint32_t node)
{
	while (at && before(sim, node, sim->heap[(at - 1) / 2])) {
		place(sim, at, sim->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(sim, at, node);
}

static void sink(struct sim *sim, uint32_t at, uint32_t node)
{
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= sim->heap_len)
			break;
		if (child + 1 < sim->heap_len &&
		    before(sim, sim->heap[child + 1], sim->heap[child]))
			child++;
		if (!before(sim, sim->heap[child], node))
			break;
		place(sim, at, sim->heap[child]);
		at = child;
	}
	place(sim, at, node);
}

void sim_event_add(struct sim *sim, uint32_t node, enum sim_due due, uint64_t when_ns)
{
	assert(!sim_event_queued(sim, node));
	sim->nodes[node].when_ns = when_ns;
	sim->nodes[node].seq = sim->seq++;
	sim->nodes[node].due = due;
	rise(sim, sim->heap_len++, node);
}

void sim_event_del(struct sim *sim, uint32_t node)
{
	uint32_t at = sim->nodes[node].at;
	uint32_t last;

	if (at == SIM_NONE)
		return;
	sim->nodes[node].at = SIM_NONE;
	last = sim->heap[--sim->heap_len];
	if (last == node)
		return;
	if (at && before(sim, last, sim->heap[(at - 1) / 2]))
		rise(sim, at, last);
	else
		sink(sim, at, last);
}

bool sim_event_queued(const struct sim *sim, uint32_t node)
{
	return sim->nodes[node].at != SIM_NONE;
}

uint64_t sim_event_next_ns(const struct sim *sim)
{
	return sim->heap_len ? sim->nodes[sim->heap[0]].when_ns : DEADLINE_NONE;
}

uint32_t sim_event_pop(struct sim *sim, uint64_t seq)
{
	uint32_t node;

	if (sim_event_next_ns(sim) > sim->now_ns)
		return SIM_NONE;
	node = sim->heap[0];
	if (sim->nodes[node].seq >= seq)
		return SIM_NONE;
	sim_event_del(sim, node);
	return node;
}

/* Below a place that is not due nothing is: as deep as the heap, log2(n). */
static unsigned int count_from(const struct sim *sim, uint32_t at)
{
	if (at >= sim->heap_len || sim->nodes[sim->heap[at]].when_ns > sim->now_ns)
		return 0;
	return 1 + count_from(sim, 2 * at + 1) + count_from(sim, 2 * at + 2);
}

unsigned int sim_event_count(const struct sim *sim)
{
	return count_from(sim, 0);
}

/* chance */

/* SplitMix64: Steele, Lea and Flood, OOPSLA 2014. */
uint64_t sim_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

uint64_t sim_choose(struct sim *sim, uint64_t n)
{
	return sim_random(&sim->faults) % n;
}

bool sim_chance(struct sim *sim, uint32_t permille)
{
	return permille && sim_choose(sim, 1000) < permille;
}

bool sim_does(struct sim *sim, enum sim_mischief what, uint32_t permille)
{
	bool yes = sim_chance(sim, permille);

	sim->mischief[what] += yes;
	return yes;
}

uint64_t sim_delay(struct sim *sim)
{
	uint64_t max = sim->loop->sim.delay_max_ns;
	uint64_t delay = max ? sim_choose(sim, max + 1) : 0;

	sim->mischief[SIM_DELAYED] += delay > 0;
	return delay;
}

uint32_t sim_cut(struct sim *sim, uint32_t len)
{
	if (len < 2 || !sim_does(sim, SIM_CUT, sim->loop->sim.short_permille))
		return len;
	return 1 + (uint32_t)sim_choose(sim, len - 1);
}

int sim_fault(struct sim *sim, enum weir_opcode opcode)
{
	const struct weir_sim_opts *opts = &sim->loop->sim;
	const struct weir_sim_fault *rows = opts->faults ? opts->faults : healthy;
	size_t count = opts->faults ? opts->faults_count : ARRAY_SIZE(healthy);
	size_t first, i;

	if (!count || (!opts->faults && !opts->error_permille))
		return 0;
	first = sim_choose(sim, count);
	for (i = 0; i < count; i++) {
		const struct weir_sim_fault *row = &rows[(first + i) % count];

		if (row->opcode == opcode &&
		    sim_chance(sim, opts->faults ? row->permille : opts->error_permille)) {
			sim->failed[opcode]++;
			return -row->error;
		}
	}
	return 0;
}
