// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * addr.c - socket addresses and their numeric text
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <weir/addr.h>

#include "base/base.h"

#define UNIX_PREFIX	"unix:"
#define UNIX_MIN	offsetof(struct sockaddr_un, sun_path)

/* Any of the three. A copy: a pointer cast would break aliasing rules. */
union name {
	sa_family_t family;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_un un;
};

_Static_assert(sizeof(union name) <= sizeof(struct sockaddr_storage), "fits");

static void name_of(const struct weir_addr *addr, union name *name)
{
	memcpy(name, &addr->ss, sizeof(*name));
}

static void addr_fill(struct weir_addr *addr, const union name *name, size_t len)
{
	memset(addr, 0, sizeof(*addr));
	memcpy(&addr->ss, name, len);
	addr->len = (uint32_t)len;
}

/* A decimal number of at most @max, all of @len bytes of @text. */
static int parse_number(const char *text, size_t len, uint32_t max, uint32_t *out)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		value = value * 10 + (unsigned int)(text[i] - '0');
		if (value > max)
			return -EINVAL;
	}
	if (!len)
		return -EINVAL;
	*out = (uint32_t)value;
	return 0;
}

static int parse_port(const char *text, in_port_t *port)
{
	uint32_t value;
	int err;

	/* "00080" is a port, "000080" is somebody's mistake. */
	if (strlen(text) > 5)
		return -EINVAL;
	err = parse_number(text, strlen(text), UINT16_MAX, &value);
	if (!err)
		*port = htons((uint16_t)value);
	return err;
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

static int parse_scope(const char *text, size_t len, uint32_t *scope)
{
	char name[IF_NAMESIZE];

	if (len && text[0] >= '0' && text[0] <= '9')
		return parse_number(text, len, UINT32_MAX, scope);
	if (!len || len >= sizeof(name))
		return -EINVAL;
	memcpy(name, text, len);
	name[len] = '\0';
	*scope = if_nametoindex(name);
	return *scope ? 0 : -ENODEV;
}

static int parse_v6(struct sockaddr_in6 *sin6, const char *text)
{
	const char *end = strchr(text, ']');
	const char *scope;
	int err;

	if (!end || end[1] != ':')
		return -EINVAL;
	scope = memchr(text, '%', (size_t)(end - text));
	sin6->sin6_family = AF_INET6;
	err = parse_port(end + 2, &sin6->sin6_port);
	if (!err)
		err = parse_host(AF_INET6, text + 1,
				 (size_t)((scope ? scope : end) - text - 1), &sin6->sin6_addr);
	if (!err && scope)
		err = parse_scope(scope + 1, (size_t)(end - scope - 1), &sin6->sin6_scope_id);
	return err;
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

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte of a Unix name at *@text, which moves past it; or -EINVAL. */
static int parse_byte(const char **text)
{
	const char *at = *text;
	int high, low;

	*text = at + 1;
	if (at[0] != '\\')
		return (unsigned char)at[0];
	*text = at + 2;
	if (at[1] == '\\')
		return '\\';
	if (at[1] != 'x')
		return -EINVAL;
	high = hex_digit(at[2]);
	low = high < 0 ? -1 : hex_digit(at[3]);
	if (low < 0)
		return -EINVAL;
	*text = at + 4;
	return high << 4 | low;
}

/* Length of the address, or -errno. The NUL of a path counts, as in unix(7). */
static int parse_unix(struct sockaddr_un *sun, const char *text)
{
	bool abstract = text[0] == '@';
	size_t len = abstract;

	text += abstract;
	if (!*text && !abstract)
		return -EINVAL;
	sun->sun_family = AF_UNIX;
	while (*text) {
		int byte = parse_byte(&text);

		if (byte < 0 || (!byte && !abstract))
			return -EINVAL;
		if (len >= sizeof(sun->sun_path) - !abstract)
			return -ENAMETOOLONG;
		sun->sun_path[len++] = (char)byte;
	}
	return (int)(UNIX_MIN + len + !abstract);
}

int weir_addr_parse(struct weir_addr *addr, const char *text)
{
	union name name = { 0 };
	int len, err;

	if (!strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX))) {
		len = parse_unix(&name.un, text + strlen(UNIX_PREFIX));
		err = len < 0 ? len : 0;
	} else if (text[0] == '[') {
		len = sizeof(name.v6);
		err = parse_v6(&name.v6, text);
	} else {
		len = sizeof(name.v4);
		err = parse_v4(&name.v4, text);
	}
	if (!err)
		addr_fill(addr, &name, (size_t)len);
	return err;
}

/* format */

/* Bytes of sun_path that are the name: all of an abstract one, a path to its NUL. */
static size_t unix_len(const struct weir_addr *addr, const struct sockaddr_un *sun)
{
	size_t len = addr->len - UNIX_MIN;

	if (!len || !sun->sun_path[0])
		return len;
	return strnlen(sun->sun_path, len);
}

static int format_unix(const struct weir_addr *addr, const struct sockaddr_un *sun, char *out,
		       size_t size)
{
	size_t len = unix_len(addr, sun);
	int at = snprintf(out, size, UNIX_PREFIX "%s", len && !sun->sun_path[0] ? "@" : "");
	size_t i;

	for (i = len && !sun->sun_path[0]; i < len; i++) {
		unsigned char byte = (unsigned char)sun->sun_path[i];
		const char *how = byte == '\\' ? "\\\\" : "%c";

		if (byte <= ' ' || byte > '~' || (byte == '@' && !i))
			how = "\\x%02x";
		if ((size_t)at >= size)
			return -ENOSPC;
		at += snprintf(out + at, size - (size_t)at, how, byte);
	}
	return at;
}

static int format_v6(const struct sockaddr_in6 *sin6, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN], scope[16] = "";

	inet_ntop(AF_INET6, &sin6->sin6_addr, host, sizeof(host));
	if (sin6->sin6_scope_id)
		snprintf(scope, sizeof(scope), "%%%u", sin6->sin6_scope_id);
	return snprintf(text, size, "[%s%s]:%u", host, scope, ntohs(sin6->sin6_port));
}

static int format_v4(const struct sockaddr_in *sin, char *text, size_t size)
{
	char host[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, &sin->sin_addr, host, sizeof(host));
	return snprintf(text, size, "%s:%u", host, ntohs(sin->sin_port));
}

/* Is @len enough for the family, and not too much? */
static int check(sa_family_t family, size_t len)
{
	switch (family) {
	case AF_INET:
		return len == sizeof(struct sockaddr_in) ? 0 : -EINVAL;
	case AF_INET6:
		return len == sizeof(struct sockaddr_in6) ? 0 : -EINVAL;
	case AF_UNIX:
		return len >= UNIX_MIN && len <= sizeof(struct sockaddr_un) ? 0 : -EINVAL;
	}
	return -EAFNOSUPPORT;
}

int weir_addr_format(const struct weir_addr *addr, char *text, size_t size)
{
	union name name;
	int len;

	name_of(addr, &name);
	if (addr->len < sizeof(sa_family_t) || check(name.family, addr->len))
		return -EAFNOSUPPORT;
	if (name.family == AF_INET)
		len = format_v4(&name.v4, text, size);
	else if (name.family == AF_INET6)
		len = format_v6(&name.v6, text, size);
	else
		len = format_unix(addr, &name.un, text, size);
	return len < 0 || (size_t)len >= size ? -ENOSPC : len;
}

/* values */

int weir_addr_set(struct weir_addr *addr, const struct sockaddr *sa, size_t len)
{
	union name name = { 0 };
	int err;

	if (len < sizeof(sa_family_t) || len > sizeof(name))
		return -EINVAL;
	memcpy(&name, sa, len);
	err = check(name.family, len);
	if (!err)
		addr_fill(addr, &name, len);
	return err;
}

int weir_addr_equal(const struct weir_addr *a, const struct weir_addr *b)
{
	union name x, y;

	if (a->ss.ss_family != b->ss.ss_family)
		return 0;
	name_of(a, &x);
	name_of(b, &y);
	switch (x.family) {
	case AF_INET:
		return x.v4.sin_port == y.v4.sin_port &&
		       x.v4.sin_addr.s_addr == y.v4.sin_addr.s_addr;
	case AF_INET6:
		return x.v6.sin6_port == y.v6.sin6_port &&
		       x.v6.sin6_scope_id == y.v6.sin6_scope_id &&
		       !memcmp(&x.v6.sin6_addr, &y.v6.sin6_addr, sizeof(x.v6.sin6_addr));
	case AF_UNIX:
		return a->len >= UNIX_MIN && b->len >= UNIX_MIN &&
		       unix_len(a, &x.un) == unix_len(b, &y.un) &&
		       !memcmp(x.un.sun_path, y.un.sun_path, unix_len(a, &x.un));
	}
	return a->len == b->len && !memcmp(&a->ss, &b->ss, a->len);
}

/* Where the port is, in network order; or NULL. */
static in_port_t *port_of(union name *name)
{
	if (name->family == AF_INET)
		return &name->v4.sin_port;
	return name->family == AF_INET6 ? &name->v6.sin6_port : NULL;
}

int weir_addr_port(const struct weir_addr *addr)
{
	union name name;
	in_port_t *port;

	name_of(addr, &name);
	port = port_of(&name);
	return port ? ntohs(*port) : -EAFNOSUPPORT;
}

int weir_addr_set_port(struct weir_addr *addr, uint16_t port)
{
	union name name;
	in_port_t *at;

	name_of(addr, &name);
	at = port_of(&name);
	if (!at)
		return -EAFNOSUPPORT;
	*at = htons(port);
	memcpy(&addr->ss, &name, sizeof(name));
	return 0;
}
