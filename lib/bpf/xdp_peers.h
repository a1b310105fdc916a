/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * xdp_peers.h - who sent frames, and what the answers need
 */
#ifndef BPF_XDP_PEERS_H
#define BPF_XDP_PEERS_H

#include <weir/addr.h>

#include "bpf/frame.h"

#define PEERS	4096U	/* a power of two */

struct peers {
	uint32_t ifindex;	/* the scope of link-local addresses */
	bool v6;		/* the service's family: IPv4 comes as mapped */
	struct peer {
		struct frame_ends ends;
		uint64_t seen_ns;	/* 0: nobody */
	} place[PEERS];
};

struct weir_xdp;

/* peers_open() - of a service at @addr, where its frames come from now on */
int peers_open(struct peers *peers, struct weir_xdp *xdp, const struct weir_addr *addr);

/* peers_heard() - a frame came from there; who had the place has lost it */
void peers_heard(struct peers *peers, const struct frame_ends *ends, uint64_t now_ns);

/* peers_find() - the ends of the last frame from @addr, or NULL if that is long ago */
const struct frame_ends *peers_find(struct peers *peers, const struct weir_addr *addr,
				    uint64_t now_ns);

/* peers_addr(), peers_own() - who sent a frame, and to which address, as a service sees it */
void peers_addr(const struct peers *peers, const struct frame_ends *ends, struct weir_addr *addr);
void peers_own(const struct peers *peers, const struct frame_ends *ends, struct weir_addr *addr);

/* peers_from() - let a frame leave from that address. -EINVAL: of another family. */
int peers_from(struct frame_ends *ends, const struct weir_addr *own);

#endif /* BPF_XDP_PEERS_H */
