/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * xdp.h - inside of an attached XDP program
 */
#ifndef BPF_XDP_H
#define BPF_XDP_H

#include <weir/xdp.h>

#include "bpf/instance.h"

struct xdp_bpf;
struct xdp_program;
struct ifreq;

struct weir_xdp {
	struct weir_bpf *bpf;
	struct xdp_bpf *skel;
	struct weir_xdp_cfg *cfg;
	struct weir_xdp_row *rows;
	struct xdp_program *chained;	/* NULL: by the link */
	int link_fd;
	int news_fd;			/* tells that an address has changed */
	bool own_missing;		/* the addresses could not all be read */
	uint32_t own_round;		/* of reading them */
	int ifindex;
	uint32_t want;
	uint32_t mode;			/* enum weir_xdp_mode */
	uint32_t by;			/* enum weir_xdp_by */
	char ifname[16];
	char why[WEIR_BPF_WHY_BYTES];
};

/* xdp_attach.c: loads, too, since the dispatcher must */
int xdp_attach(struct weir_xdp *xdp, const struct reason *reason);
void xdp_detach(struct weir_xdp *xdp);

/* xdp_own.c */
int xdp_own_open(struct weir_xdp *xdp);

/* link.c: an ioctl of netdevice(7). 0, or -errno with the interface's name as the reason */
int link_ask(const char *ifname, unsigned long what, struct ifreq *ifr,
	     const struct reason *reason);

/* xdp_probe.c: 0, or why there can be no dispatcher */
int dispatcher_probe(char why[static WEIR_BPF_WHY_BYTES]);
int xdp_probe(char *why);
int xsk_probe(char *why);

#endif /* BPF_XDP_H */
