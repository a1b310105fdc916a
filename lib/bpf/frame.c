// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * frame.c - take a UDP datagram out of an Ethernet frame, and put one into one
 *
 * By bytes and copies: headers in a frame are aligned to nothing.
 * RFC 768, 791, 8200; RFC 1071 on the checksum.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "bpf/frame.h"

enum {
	IPV4_BYTES	= 20,
	IPV6_BYTES	= 40,
	UDP_BYTES	= 8,
	TTL		= 64,
	DONT_FRAGMENT	= 0x4000,
	FRAGMENT	= 0x3fff,	/* more fragments, or an offset */
};

static uint16_t get16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void put16(unsigned char *at, uint32_t value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

/* In the machine's byte order, which the sum does not mind. */
static uint64_t sum_of(uint64_t sum, const void *data, uint32_t bytes)
{
	const unsigned char *at = data;
	uint32_t word;

	for (; bytes >= sizeof(word); bytes -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum += word;
	}
	word = 0;
	memcpy(&word, at, bytes);
	return sum + word;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* What UDP sums of the header below it. */
static uint64_t sum_ends(const struct frame_ends *ends, uint32_t udp_bytes)
{
	uint32_t bytes = ends->v6 ? 16 : 4;
	uint64_t sum = sum_of(0, ends->peer_ip, bytes);

	sum = sum_of(sum, ends->own_ip, bytes);
	return sum + htons((uint16_t)udp_bytes) + htons(IPPROTO_UDP);
}

/* in */

static int check_udp(const unsigned char *udp, const struct frame_ends *ends,
		     struct frame_body *body)
{
	uint64_t ends_sum = sum_ends(ends, body->len + UDP_BYTES);
	uint16_t said;

	memcpy(&said, udp + 6, sizeof(said));
	if (!said && !ends->v6)
		return 0;
	if (fold(sum_of(ends_sum, udp, body->len + UDP_BYTES)) == 0xffff)
		return 0;
	body->unverified = said == fold(ends_sum);
	return body->unverified ? 0 : -EBADMSG;
}

static int read_udp(unsigned char *udp, uint32_t bytes, struct frame_ends *ends,
		    struct frame_body *body)
{
	uint32_t len;

	if (bytes < UDP_BYTES)
		return -EBADMSG;
	len = get16(udp + 4);
	if (len < UDP_BYTES || len > bytes)
		return -EBADMSG;
	memcpy(&ends->peer_port, udp, sizeof(ends->peer_port));
	memcpy(&ends->own_port, udp + 2, sizeof(ends->own_port));
	body->data = udp + UDP_BYTES;
	body->len = len - UDP_BYTES;
	return check_udp(udp, ends, body);
}

static int read_ipv4(unsigned char *ip, uint32_t bytes, struct frame_ends *ends,
		     struct frame_body *body)
{
	uint32_t head, total;

	if (bytes < IPV4_BYTES)
		return -EBADMSG;
	head = (ip[0] & 0xf) * 4U;
	total = get16(ip + 2);
	if (ip[0] >> 4 != 4 || head < IPV4_BYTES || total < head || total > bytes ||
	    ip[9] != IPPROTO_UDP || get16(ip + 6) & FRAGMENT)
		return -EBADMSG;
	if (fold(sum_of(0, ip, head)) != 0xffff)
		return -EBADMSG;
	memcpy(ends->peer_ip, ip + 12, 4);
	memcpy(ends->own_ip, ip + 16, 4);
	return read_udp(ip + head, total - head, ends, body);
}

static int read_ipv6(unsigned char *ip, uint32_t bytes, struct frame_ends *ends,
		     struct frame_body *body)
{
	uint32_t payload;

	if (bytes < IPV6_BYTES)
		return -EBADMSG;
	payload = get16(ip + 4);
	if (ip[0] >> 4 != 6 || payload > bytes - IPV6_BYTES || ip[6] != IPPROTO_UDP)
		return -EBADMSG;
	ends->v6 = true;
	memcpy(ends->peer_ip, ip + 8, 16);
	memcpy(ends->own_ip, ip + 24, 16);
	return read_udp(ip + IPV6_BYTES, payload, ends, body);
}

int frame_read(unsigned char *frame, uint32_t len, struct frame_ends *ends,
	       struct frame_body *body)
{
	memset(ends, 0, sizeof(*ends));
	memset(body, 0, sizeof(*body));
	if (len < ETH_HLEN)
		return -EBADMSG;
	memcpy(ends->own_mac, frame, ETH_ALEN);
	memcpy(ends->peer_mac, frame + ETH_ALEN, ETH_ALEN);
	switch (get16(frame + 2 * ETH_ALEN)) {
	case ETH_P_IP:
		return read_ipv4(frame + ETH_HLEN, len - ETH_HLEN, ends, body);
	case ETH_P_IPV6:
		return read_ipv6(frame + ETH_HLEN, len - ETH_HLEN, ends, body);
	default:
		return -EBADMSG;
	}
}

/* out */

uint32_t frame_head(const struct frame_ends *ends)
{
	return ETH_HLEN + (ends->v6 ? IPV6_BYTES : IPV4_BYTES) + UDP_BYTES;
}

static void write_ipv4(unsigned char *ip, const struct frame_ends *ends, uint32_t udp_bytes)
{
	uint16_t sum;

	memset(ip, 0, IPV4_BYTES);
	ip[0] = 4 << 4 | IPV4_BYTES / 4;
	put16(ip + 2, IPV4_BYTES + udp_bytes);
	put16(ip + 6, DONT_FRAGMENT);
	ip[8] = TTL;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, ends->own_ip, 4);
	memcpy(ip + 16, ends->peer_ip, 4);
	sum = (uint16_t)~fold(sum_of(0, ip, IPV4_BYTES));
	memcpy(ip + 10, &sum, sizeof(sum));
}

static void write_ipv6(unsigned char *ip, const struct frame_ends *ends, uint32_t udp_bytes)
{
	memset(ip, 0, 8);
	ip[0] = 6 << 4;
	put16(ip + 4, udp_bytes);
	ip[6] = IPPROTO_UDP;
	ip[7] = TTL;
	memcpy(ip + 8, ends->own_ip, 16);
	memcpy(ip + 24, ends->peer_ip, 16);
}

static void write_udp(unsigned char *udp, const struct frame_ends *ends, uint32_t udp_bytes)
{
	uint16_t sum;

	memcpy(udp, &ends->own_port, 2);
	memcpy(udp + 2, &ends->peer_port, 2);
	put16(udp + 4, udp_bytes);
	put16(udp + 6, 0);
	sum = (uint16_t)~fold(sum_of(sum_ends(ends, udp_bytes), udp, udp_bytes));
	if (!sum)
		sum = 0xffff;	/* 0 says that there is none */
	memcpy(udp + 6, &sum, sizeof(sum));
}

void frame_write(unsigned char *head, const struct frame_ends *ends, uint32_t len)
{
	uint32_t ip_bytes = ends->v6 ? IPV6_BYTES : IPV4_BYTES;
	unsigned char *ip = head + ETH_HLEN;

	memcpy(head, ends->peer_mac, ETH_ALEN);
	memcpy(head + ETH_ALEN, ends->own_mac, ETH_ALEN);
	put16(head + 2 * ETH_ALEN, ends->v6 ? ETH_P_IPV6 : ETH_P_IP);
	if (ends->v6)
		write_ipv6(ip, ends, UDP_BYTES + len);
	else
		write_ipv4(ip, ends, UDP_BYTES + len);
	write_udp(ip + ip_bytes, ends, UDP_BYTES + len);
}
