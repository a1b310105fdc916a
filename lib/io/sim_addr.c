// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_addr.c - addresses as names of sockets in one loop
 *
 * Every address is a local one. IPv4 lives inside IPv6, so that an IPv6 socket
 * bound to "any" takes both, as ipv6(7) has it unless IPV6_V6ONLY is set.
 *
 * Names of AF_UNIX live in memory, and no longer than the socket: a path is
 * nothing in the file system of this kernel.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/list.h"
#include "io/sim.h"

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* A path ends at its zero byte; an abstract name has the length that is given. */
static int read_unix(struct sim_addr *to, const struct sockaddr *addr, uint32_t len)
{
	const uint32_t head = offsetof(struct sockaddr_un, sun_path);
	const char *path = (const char *)addr + head;

	if (len > sizeof(struct sockaddr_un))
		return -EINVAL;
	to->path_len = len - min_u32(head, len);
	if (to->path_len && path[0])
		to->path_len = (uint32_t)strnlen(path, to->path_len);
	memcpy(to->path, path, to->path_len);
	return 0;
}

int sim_addr_read(struct sim_addr *to, const struct sockaddr *addr, uint32_t len)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (len < sizeof(addr->sa_family))
		return -EINVAL;
	*to = (struct sim_addr){ .family = addr->sa_family };
	switch (addr->sa_family) {
	case AF_INET:
		if (len < sizeof(in))
			return -EINVAL;
		memcpy(&in, addr, sizeof(in));
		memcpy(to->ip, mapped, sizeof(mapped));
		memcpy(to->ip + sizeof(mapped), &in.sin_addr, 4);
		to->port = ntohs(in.sin_port);
		return 0;
	case AF_INET6:
		if (len < sizeof(in6))
			return -EINVAL;
		memcpy(&in6, addr, sizeof(in6));
		memcpy(to->ip, &in6.sin6_addr, 16);
		to->port = ntohs(in6.sin6_port);
		return 0;
	case AF_UNIX:
		return read_unix(to, addr, len);
	case AF_UNSPEC:
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

/* As getsockname(2): cut to *len, which then says how long it would be. */
int sim_addr_write(const struct sim_addr *from, struct sockaddr *addr, uint32_t *len)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	const void *src = &in;
	uint32_t size = sizeof(in);

	if (from->family == AF_UNIX) {
		memcpy(un.sun_path, from->path, from->path_len);
		src = &un;
		size = (uint32_t)offsetof(struct sockaddr_un, sun_path) + from->path_len;
		/* A path is told with its zero byte, if there is room for one. */
		size += from->path_len && from->path[0] && from->path_len < SIM_PATH_BYTES;
	} else if (from->family == AF_INET) {
		in.sin_port = htons(from->port);
		memcpy(&in.sin_addr, from->ip + sizeof(mapped), 4);
	} else {
		in6.sin6_port = htons(from->port);
		memcpy(&in6.sin6_addr, from->ip, 16);
		src = &in6;
		size = sizeof(in6);
	}
	memcpy(addr, src, min_u32(*len, size));
	*len = size;
	return 0;
}

void sim_addr_any(struct sim_addr *addr, uint16_t family)
{
	*addr = (struct sim_addr){ .family = family };
	if (family == AF_INET)
		memcpy(addr->ip, mapped, sizeof(mapped));
}

bool sim_addr_same(const struct sim_addr *a, const struct sim_addr *b)
{
	bool path = a->family == AF_UNIX;
	bool other_path = b->family == AF_UNIX;

	if (path != other_path)
		return false;
	if (path)
		return a->path_len == b->path_len && !memcmp(a->path, b->path, a->path_len);
	return a->port == b->port && !memcmp(a->ip, b->ip, sizeof(a->ip));
}

static bool is_v4(const struct sim_addr *addr)
{
	return !memcmp(addr->ip, mapped, sizeof(mapped));
}

static bool is_any(const struct sim_addr *addr)
{
	struct sim_addr any;

	sim_addr_any(&any, is_v4(addr) ? AF_INET : AF_INET6);
	return !memcmp(addr->ip, any.ip, sizeof(any.ip));
}

/* A connect to "any" goes to this machine: ip(7). */
void sim_addr_local(struct sim_addr *addr)
{
	if (addr->family == AF_UNIX || !is_any(addr))
		return;
	if (is_v4(addr))
		addr->ip[12] = 127;
	addr->ip[15] = 1;
}

/* Does the socket name @obj take what is sent to the address @ip of @addr? */
static bool covers(const struct sim_obj *obj, const struct sim_addr *addr)
{
	if (!memcmp(obj->local.ip, addr->ip, sizeof(addr->ip)))
		return true;
	if (!is_any(&obj->local))
		return false;
	return is_v4(&obj->local) == is_v4(addr) ||
	       (!is_v4(&obj->local) && !obj->options[SIM_V6ONLY]);
}

static bool overlap(const struct sim_obj *a, const struct sim_obj *b)
{
	if (a->local.family == AF_UNIX || b->local.family == AF_UNIX)
		return sim_addr_same(&a->local, &b->local);
	return a->dgram == b->dgram && a->local.port == b->local.port &&
	       (covers(a, &b->local) || covers(b, &a->local));
}

bool sim_name_taken(const struct sim *sim, const struct sim_obj *obj,
		    const struct sim_addr *addr, bool listening)
{
	struct sim_obj want = *obj;
	struct weir_link *node;

	want.local = *addr;
	for (node = sim->names.next; node != &sim->names; node = node->next) {
		const struct sim_obj *other = container_of(node, struct sim_obj, name);

		if (other == obj || !overlap(&want, other))
			continue;
		if (want.local.family == AF_UNIX)
			return true;
		if (want.options[SIM_REUSEPORT] && other->options[SIM_REUSEPORT])
			continue;
		/* With SO_REUSEADDR two may be bound, but not two listen: socket(7). */
		if (listening ? other->state != SIM_LISTEN :
		    want.options[SIM_REUSEADDR] && other->options[SIM_REUSEADDR] &&
		    other->state != SIM_LISTEN)
			continue;
		return true;
	}
	return false;
}

static bool port_used(const struct sim *sim, uint16_t port)
{
	struct weir_link *node;

	for (node = sim->names.next; node != &sim->names; node = node->next) {
		const struct sim_addr *name = &container_of(node, struct sim_obj, name)->local;

		if (name->family != AF_UNIX && name->port == port)
			return true;
	}
	return false;
}

/* A port no bound socket has, or 0. Connected ones may share: peers differ. */
uint16_t sim_port_new(struct sim *sim)
{
	const uint32_t count = SIM_PORT_LAST - SIM_PORT_FIRST + 1;
	uint32_t i;

	for (i = 0; i < count; i++) {
		uint16_t port = (uint16_t)(SIM_PORT_FIRST + sim->port++ % count);

		if (!port_used(sim, port))
			return port;
	}
	return 0;
}

/* What the caller left open: a port; or an abstract name, as unix(7) has it. */
static int fill_in(struct sim *sim, struct sim_addr *name)
{
	if (name->family == AF_UNIX) {
		if (!name->path_len)
			name->path_len = 1 + (uint32_t)snprintf(name->path + 1,
								sizeof(name->path) - 1, "%05x",
								sim->port++ & 0xfffff);
		return 0;
	}
	if (!name->port)
		name->port = sim_port_new(sim);
	return name->port ? 0 : -EADDRINUSE;
}

int sim_bind_name(struct sim *sim, struct sim_obj *obj, const struct sim_addr *addr)
{
	struct sim_addr name = *addr;

	if (fill_in(sim, &name))
		return -EADDRINUSE;
	if (sim_name_taken(sim, obj, &name, false))
		return -EADDRINUSE;
	obj->local = name;
	obj->named = true;
	list_add_tail(&sim->names, &obj->name);
	return 0;
}

struct sim_obj *sim_name_find(const struct sim *sim, const struct sim_addr *addr)
{
	struct weir_link *node;

	for (node = sim->names.next; node != &sim->names; node = node->next) {
		struct sim_obj *obj = container_of(node, struct sim_obj, name);

		if (sim_addr_same(&obj->local, addr))
			return obj;
	}
	return NULL;
}

/* Takers of @addr, exact or by "any": how many, and the one numbered @pick. */
static uint32_t takers(const struct sim *sim, const struct sim_addr *addr, enum sim_state state,
		       bool exact, uint32_t pick, struct sim_obj **objp)
{
	struct weir_link *node;
	uint32_t n = 0;

	for (node = sim->names.next; node != &sim->names; node = node->next) {
		struct sim_obj *obj = container_of(node, struct sim_obj, name);

		if (obj->state != state || obj->local.family == AF_UNIX || obj->connected ||
		    obj->local.port != addr->port || !covers(obj, addr) ||
		    is_any(&obj->local) == exact)
			continue;
		if (n++ == pick)
			*objp = obj;
	}
	return n;
}

/* An exact name goes before "any"; among those of SO_REUSEPORT chance decides. */
static struct sim_obj *taker(struct sim *sim, const struct sim_addr *addr, enum sim_state state)
{
	struct sim_obj *obj = NULL;
	bool exact = true;
	uint32_t n;

	n = takers(sim, addr, state, exact, 0, &obj);
	if (!n) {
		exact = false;
		n = takers(sim, addr, state, exact, 0, &obj);
	}
	if (n > 1)
		takers(sim, addr, state, exact, (uint32_t)sim_choose(sim, n), &obj);
	return obj;
}

struct sim_obj *sim_listener(struct sim *sim, const struct sim_addr *addr)
{
	struct sim_obj *obj;

	if (addr->family != AF_UNIX)
		return taker(sim, addr, SIM_LISTEN);
	obj = sim_name_find(sim, addr);
	return obj && obj->state == SIM_LISTEN ? obj : NULL;
}

/* One that is connected takes from its peer alone, and goes before the others. */
struct sim_obj *sim_receiver(struct sim *sim, const struct sim_addr *to,
			     const struct sim_addr *from)
{
	struct weir_link *node;

	for (node = sim->names.next; node != &sim->names; node = node->next) {
		struct sim_obj *obj = container_of(node, struct sim_obj, name);

		if (obj->state == SIM_DGRAM && obj->connected &&
		    obj->local.family != AF_UNIX && obj->local.port == to->port &&
		    covers(obj, to) && sim_addr_same(&obj->remote, from))
			return obj;
	}
	return taker(sim, to, SIM_DGRAM);
}
