// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * vip_text.c - a network and its ports as text
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bpf/vip.h"

/* The host's bits, of a network of @bits, are zero. */
static bool host_clear(const struct weir_bpf_vip *vip)
{
	const uint8_t *byte = (const uint8_t *)vip->ip;
	uint32_t bit;

	for (bit = vip->bits; bit < sizeof(vip->ip) * 8; bit++) {
		if (byte[bit / 8] & 0x80 >> bit % 8)
			return false;
	}
	return true;
}

uint32_t vip_family_bits(uint32_t family)
{
	return family == WEIR_FAMILY_INET ? 32 : 128;
}

bool vip_valid(const struct weir_bpf_vip *vip)
{
	return (vip->family == WEIR_FAMILY_INET || vip->family == WEIR_FAMILY_INET6) &&
	       vip->bits <= vip_family_bits(vip->family) &&
	       (vip->proto == WEIR_PROTO_NONE || vip->proto == WEIR_PROTO_TCP ||
		vip->proto == WEIR_PROTO_UDP) &&
	       vip->first <= vip->last && (vip->first || !vip->last) && host_clear(vip);
}

/* Digits and nothing else. */
static int number(const char *text, const char *end, uint32_t max, uint32_t *value)
{
	uint32_t n = 0;

	if (text == end)
		return -EINVAL;
	for (; text < end; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (uint32_t)(*text - '0');
		if (n > max)
			return -EINVAL;
	}
	*value = n;
	return 0;
}

static int parse_ports(struct weir_bpf_vip *vip, const char *text)
{
	const char *end = text + strlen(text), *dash = strchr(text, '-');
	uint32_t first, last;

	if (number(text, dash ? dash : end, 65535, &first) || !first)
		return -EINVAL;
	last = first;
	if (dash && number(dash + 1, end, 65535, &last))
		return -EINVAL;
	vip->first = (uint16_t)first;
	vip->last = (uint16_t)last;
	return 0;
}

static int parse_net(struct weir_bpf_vip *vip, const char *text, const char *end)
{
	const char *slash = memchr(text, '/', (size_t)(end - text));
	size_t len = (size_t)((slash ? slash : end) - text);
	char addr[INET6_ADDRSTRLEN];

	if (len >= sizeof(addr))
		return -EINVAL;
	memcpy(addr, text, len);
	addr[len] = '\0';
	if (inet_pton((int)vip->family, addr, vip->ip) != 1)
		return -EINVAL;
	vip->bits = vip_family_bits(vip->family);
	return slash ? number(slash + 1, end, vip->bits, &vip->bits) : 0;
}

int weir_bpf_vip_parse(struct weir_bpf_vip *vip, const char *text)
{
	struct weir_bpf_vip read = { .family = WEIR_FAMILY_INET };
	const char *end = text + strcspn(text, ":");

	if (text[0] == '[') {
		read.family = WEIR_FAMILY_INET6;
		text++;
		end = strchr(text, ']');
	}
	if (!end || parse_net(&read, text, end))
		return -EINVAL;
	end += *end == ']';
	if ((*end && (*end != ':' || parse_ports(&read, end + 1))) || !vip_valid(&read))
		return -EINVAL;
	*vip = read;
	return 0;
}

void weir_bpf_vip_format(const struct weir_bpf_vip *vip, char text[WEIR_BPF_VIP_TEXT])
{
	bool v6 = vip->family == WEIR_FAMILY_INET6;
	char addr[INET6_ADDRSTRLEN] = "?", first[8] = "", last[8] = "", bits[8] = "";

	inet_ntop((int)vip->family, vip->ip, addr, sizeof(addr));
	if (vip->bits < vip_family_bits(vip->family))
		snprintf(bits, sizeof(bits), "/%u", vip->bits & 255);
	if (vip->first)
		snprintf(first, sizeof(first), ":%u", vip->first);
	if (vip->last != vip->first)
		snprintf(last, sizeof(last), "-%u", vip->last);
	snprintf(text, WEIR_BPF_VIP_TEXT, "%s%s%s%s%s%s", v6 ? "[" : "", addr, bits,
		 v6 ? "]" : "", first, last);
}
