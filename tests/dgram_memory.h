/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dgram_memory.h - a carrier of datagrams that has no network: it brings one when it
 * starts, and takes what goes to port 9
 */
#ifndef TESTS_DGRAM_MEMORY_H
#define TESTS_DGRAM_MEMORY_H

#include <weir/dgram.h>

struct memory {
	struct weir_dgram_carrier carrier;
	struct weir_dgram *dgram;
	struct weir_op timer;
	struct weir_addr mine;		/* peers of port 9 are carried here */
	char text[16];
	unsigned int sent, flushed, stops, closes;
};

static inline void memory_deliver(struct weir_op *op)
{
	struct memory *memory = op->ctx;
	struct weir_datagram datagram = {
		.peer = &memory->mine, .data = "memory", .len = 6,
	};

	weir_dgram_received(memory->dgram, &datagram);
}

static inline int memory_open(struct weir_dgram_carrier *carrier, struct weir_dgram *dgram,
			      void **portp)
{
	struct memory *memory = container_of(carrier, struct memory, carrier);

	memory->dgram = dgram;
	*portp = memory;
	return 0;
}

static inline void memory_start(void *port)
{
	struct memory *memory = port;

	weir_prep_nop(&memory->timer, memory_deliver, memory);
	weir_submit(weir_dgram_loop(memory->dgram), &memory->timer);
}

static inline int memory_send(void *port, const struct weir_datagram *datagram)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)&datagram->peer->ss;
	struct memory *memory = port;

	if (in->sin_port != htons(9))
		return -EOPNOTSUPP;
	memcpy(memory->text, datagram->data, datagram->len);
	memory->sent++;
	return 0;
}

static inline void memory_flush(void *port)
{
	struct memory *memory = port;

	if (!memory->sent)
		return;
	weir_dgram_count(memory->dgram, memory->sent, 0, 0);
	memory->sent = 0;
	memory->flushed++;
}

static inline void memory_stopped(struct weir_op *op)
{
	struct memory *memory = op->ctx;

	weir_dgram_stopped(memory->dgram);
}

static inline void memory_stop(void *port, int now)
{
	struct memory *memory = port;

	if (memory->stops++)
		return;
	weir_prep_nop(&memory->timer, memory_stopped, memory);
	weir_submit(weir_dgram_loop(memory->dgram), &memory->timer);
}

static inline void memory_close(void *port)
{
	struct memory *memory = port;

	memory->closes++;
}

static const struct weir_dgram_carrier_ops memory_ops = {
	.sz = sizeof(memory_ops), .name = "memory", .open = memory_open, .start = memory_start,
	.send = memory_send, .flush = memory_flush, .stop = memory_stop, .close = memory_close,
};

#endif /* TESTS_DGRAM_MEMORY_H */
