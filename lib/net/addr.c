// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * addr.c - socket addresses and their numeric text
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <weir/net.h>

#include "base/base.h"

#define PORT_DIGITS	5

static int parse_port(const char *text, in_port_t *port)
{
	unsigned int value = 0;
	size_t i;

	for (i = 0; text[i]; i++) {
		if (text[i] < '0' || text[i] > '9' || i == PORT_DIGITS)
			return -EINVAL;
		value = value * 10 + (unsigned int)(text[i] - '0');
	}
	if (!i || value > UINT16_MAX)
		return -EINVAL;
	*port = htons((uint16_t)value);
	return 0;
}

/* Copies @len bytes of host text, which inet_pton() wants ended. */
static int parse_host(int family, const char *text, size_t len, void *out)
{
	char host[INET6_ADDRSTRLEN];

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	return inet_pton(family, host, out) == 1 ? 0 : -EINVAL;
}

static int parse_v6(struct sockaddr_in6 *sin6, const char *text)
{
	const char *end = strchr(text, ']');

	if (!end || end[1] != ':')
		return -EINVAL;
	sin6->sin6_family = AF_INET6;
	if (parse_port(end + 2, &sin6->sin6_port))
		return -EINVAL;
	return parse_host(AF_INET6, text + 1, (size_t)(end - text - 1), &sin6->sin6_addr);
}

static int parse_v4(struct sockaddr_in *sin, const char *text)
{
	const char *colon = strchr(text, ':');

	if (!colon)
		return -EINVAL;
	sin->sin_family = AF_INET;
	if (parse_port(colon + 1, &sin->sin_port))
		return -EINVAL;
	if (colon == text + 1 && *text == '*') {
		sin->sin_addr.s_addr = htonl(INADDR_ANY);
		return 0;
	}
	return parse_host(AF_INET, text, (size_t)(colon - text), &sin->sin_addr);
}

int weir_addr_parse(struct weir_addr *addr, const char *text)
{
	struct sockaddr_in6 sin6 = { 0 };
	struct sockaddr_in sin = { 0 };
	bool v6 = text[0] == '[';
	int err;

	err = v6 ? parse_v6(&sin6, text) : parse_v4(&sin, text);
	if (err)
		return err;
	memset(addr, 0, sizeof(*addr));
	addr->len = v6 ? sizeof(sin6) : sizeof(sin);
	memcpy(&addr->ss, v6 ? (const void *)&sin6 : &sin, addr->len);
	return 0;
}

int weir_addr_format(const struct weir_addr *addr, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN];
	struct sockaddr_in6 sin6;
	struct sockaddr_in sin;
	int len;

	if (addr->ss.ss_family == AF_INET && addr->len >= sizeof(sin)) {
		memcpy(&sin, &addr->ss, sizeof(sin));
		inet_ntop(AF_INET, &sin.sin_addr, host, sizeof(host));
		len = snprintf(text, size, "%s:%u", host, ntohs(sin.sin_port));
	} else if (addr->ss.ss_family == AF_INET6 && addr->len >= sizeof(sin6)) {
		memcpy(&sin6, &addr->ss, sizeof(sin6));
		inet_ntop(AF_INET6, &sin6.sin6_addr, host, sizeof(host));
		len = snprintf(text, size, "[%s]:%u", host, ntohs(sin6.sin6_port));
	} else {
		return -EAFNOSUPPORT;
	}
	return (size_t)len < size ? len : -ENOSPC;
}
