/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * probe.h - inside of the probe: the features, and the ring they are tried in
 */
#ifndef IO_PROBE_H
#define IO_PROBE_H

#include <stdbool.h>
#include <weir/probe.h>

#include "io/uring_abi.h"

enum probe_feature {
	PROBE_SETUP,
	PROBE_OWNER,
	PROBE_DISABLED,
	PROBE_RING_FD,
	PROBE_MIN_WAIT,
	PROBE_NO_IOWAIT,
	PROBE_WAIT_REG,
	PROBE_MSG_RING,
	PROBE_SQPOLL,
	PROBE_NAPI,
	PROBE_FILES,
	PROBE_ACCEPT,
	PROBE_BUF_RING,
	PROBE_RECV,
	PROBE_BUNDLE,
	PROBE_BUF_INC,
	PROBE_SEND_BUNDLE,
	PROBE_SEND_ZC,
	PROBE_SOCK_CMD,
	PROBE_MAX,
};

enum {
	PROBE_SLOTS	= 16,
	PROBE_BUFS	= 4,
	PROBE_BUF_BYTES	= 16,
};

/* What the probes share. A probe returns 0, or -errno: -ENODATA for wrong bytes. */
struct probe {
	struct io_uring ring;
	uint32_t features;
	int listener;
	int client[2];			/* the far ends, or -1 */
	unsigned int slot;		/* the near end of client[0] */
	struct io_uring_buf_ring *bufs;	/* a page, and one of buffers behind it */
	unsigned char *bytes;
};

/* Whose a completion is. */
enum { PROBE_ONE = 1, PROBE_CANCEL, PROBE_BACKGROUND };

/* probe_wait() - submit, and wait a second at most for the next completion of @data */
int probe_wait(struct probe *probe, struct io_uring_cqe *cqe, uint64_t data);

/* lib/io/probe_ring.c */
int probe_setup(struct probe *probe);
int probe_owner(struct probe *probe);
int probe_disabled(struct probe *probe);
int probe_ring_fd(struct probe *probe);
int probe_min_wait(struct probe *probe);
int probe_no_iowait(struct probe *probe);
int probe_wait_reg(struct probe *probe);
int probe_msg_ring(struct probe *probe);
int probe_sqpoll(struct probe *probe);
int probe_napi(struct probe *probe);
void probe_close(struct probe *probe);

/* lib/io/probe_net.c, in this order */
int probe_files(struct probe *probe);
int probe_accept(struct probe *probe);
int probe_buf_ring(struct probe *probe);
int probe_recv(struct probe *probe);
int probe_bundle(struct probe *probe);
int probe_buf_inc(struct probe *probe);
int probe_send_bundle(struct probe *probe);
int probe_send_zc(struct probe *probe);
int probe_sock_cmd(struct probe *probe);
void probe_net_close(struct probe *probe);

/* probe_works() - does @feature work here? Tries all of them the first time. */
bool probe_works(enum probe_feature feature);

/* probe_denied() - why this kernel's @feature is known to be broken, or NULL */
const char *probe_denied(enum probe_feature feature);

#endif /* IO_PROBE_H */
