/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * frame.h - a UDP datagram in an Ethernet frame
 */
#ifndef BPF_FRAME_H
#define BPF_FRAME_H

#include <stdbool.h>
#include <stdint.h>

/* Between whom. All as on the wire; an IPv4 address is in the first word. */
struct frame_ends {
	uint32_t peer_ip[4];
	uint32_t own_ip[4];
	uint16_t peer_port;
	uint16_t own_port;
	unsigned char peer_mac[6];
	unsigned char own_mac[6];
	bool v6;
};

/* What it carries. */
struct frame_body {
	unsigned char *data;
	uint32_t len;
	bool unverified;	/* the sender left the checksum to a device that never saw it */
};

/*
 * frame_read() - take a frame apart
 *
 * The checksums of IPv4's header and of UDP are verified where there is something to
 * verify: an interface of this host's own hands over frames whose UDP checksum is only
 * that of the addresses, and IPv4 may have none.
 *
 * Return: 0, or -EBADMSG for a frame that is not a whole datagram or is damaged.
 */
int frame_read(unsigned char *frame, uint32_t len, struct frame_ends *ends,
	       struct frame_body *body);

/* frame_head() - bytes of all headers to a peer */
uint32_t frame_head(const struct frame_ends *ends);

/*
 * frame_write() - the headers, checksums and all
 * @head: frame_head() bytes; the @len bytes that they are for follow
 */
void frame_write(unsigned char *head, const struct frame_ends *ends, uint32_t len);

#endif /* BPF_FRAME_H */
