/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * dgram_udp.h - the UDP socket of a worker, inside
 */
#ifndef SERVE_DGRAM_UDP_H
#define SERVE_DGRAM_UDP_H

#include <sys/socket.h>
#include <sys/uio.h>

#include <weir/msg.h>

#include "serve/service.h"

#define PIECES_MAX	16		/* places in memory that one message is gathered from */
#define MERGE_BYTES	65000
#define OWN_SPACE	CMSG_SPACE(20)	/* of a control message with an address of ours */

/* A message on its way out. */
struct message {
	struct weir_op op;
	struct udp *udp;
	struct message *next;		/* free list */
	struct msghdr msg;
	struct weir_addr peer;
	struct weir_addr own;		/* where it leaves from; empty: as the kernel likes */
	struct iovec iov[PIECES_MAX];
	struct weir_lease *leases[PIECES_MAX];
	struct iovec one;		/* of it, when sent one at a time */
	uint32_t pieces;
	uint32_t datagrams;
	uint32_t segment;		/* size of each of them but the last */
	uint32_t bytes;
	uint32_t piece;			/* where the one is */
	uint32_t left;			/* datagrams still to be sent one by one */
	bool full;			/* the last one was shorter */
	union {
		struct cmsghdr head;	/* for its alignment */
		unsigned char bytes[OWN_SPACE + CMSG_SPACE(sizeof(uint16_t))];
	} control;
};

struct udp {
	struct weir_dgram *dgram;
	struct worker *worker;
	struct weir_file file;
	int fd;				/* of it, for any thread; or -EOPNOTSUPP */
	struct weir_op recv;
	struct weir_op retry;
	struct weir_op quiet;
	struct weir_op close;
	struct msghdr room;		/* for the name and control of one received */
	struct message *messages;
	struct message *free;
	struct message *filling;
	struct weir_lease *copies;	/* where datagrams without a lease go */
	uint32_t copied;		/* bytes used of it */
	uint32_t max;
	uint32_t busy;			/* messages in use */
	uint32_t merge_bytes;		/* datagrams of up to this size are merged */
	uint32_t failures;		/* of receiving, in a row */
	uint32_t stop_turns;		/* left */
	uint32_t quiet_turns;		/* in a row */
	uint64_t quiet_seen;
	bool gro;
	bool later;			/* to be bound when a predecessor has yielded */
	bool halt;			/* receive nothing for now */
	bool again;			/* what is being cancelled is to be armed again */
	bool own;			/* the kernel tells where they were sent to */
	bool stopping;
	bool sending_over;		/* the stop takes no more */
	bool aborted;
};

/* dgram_udp.c: close when nothing is on its way, or now if the stop is one */
void udp_close_when_idle(struct udp *udp);
void udp_merge(struct udp *udp);	/* the kernel shall, or not: two processes may differ */

/* dgram_out.c */
int udp_messages_open(struct udp *udp);
void udp_messages_close(struct udp *udp);
int udp_send(void *port, const struct weir_datagram *given);
void udp_flush(void *port);

/* dgram_in.c */
void udp_recv_arm(struct udp *udp);
void udp_recv_end(struct udp *udp);
void udp_halt(struct udp *udp);	/* until udp_go_on(); the worker says when it is so */
void udp_go_on(struct udp *udp);

/* dgram_own.c: ask to be told; control messages that tell, and that say so */
bool udp_own_open(struct udp *udp, int fd);
void udp_own_read(const struct weir_msg *msg, struct weir_addr *own);
int udp_own_put(struct msghdr *msg, size_t room, const struct weir_addr *own);

#endif /* SERVE_DGRAM_UDP_H */
