// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_addr.c - addresses as names of sockets in one loop
 *
 * Every address is a local one. IPv4 lives inside IPv6, so that an IPv6 socket
 * bound to "any" takes both, as ipv6(7) has it unless IPV6_V6ONLY is set.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/list.h"
#include "io/sim.h"

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

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
	default:
		return -EAFNOSUPPORT;
	}
}

/* As getsockname(2): cut to *len, which then says how long it would be. */
int sim_addr_write(const struct sim_addr *from, struct sockaddr *addr, uint32_t *len)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const void *src = &in;
	uint32_t size = sizeof(in);

	if (from->family == AF_INET) {
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
	if (!is_any(addr))
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
	return is_v4(&obj->local) == is_v4(addr) || (!is_v4(&obj->local) && !obj->v6only);
}

static bool overlap(const struct sim_obj *a, const struct sim_obj *b)
{
	return a->local.port == b->local.port && (covers(a, &b->local) || covers(b, &a->local));
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
		if (want.reuse_port && other->reuse_port)
			continue;
		/* With SO_REUSEADDR two may be bound, but not two listen: socket(7). */
		if (listening ? other->state != SIM_LISTEN :
		    want.reuse_addr && other->reuse_addr && other->state != SIM_LISTEN)
			continue;
		return true;
	}
	return false;
}

static bool port_used(const struct sim *sim, uint16_t port)
{
	struct weir_link *node;

	for (node = sim->names.next; node != &sim->names; node = node->next) {
		if (container_of(node, struct sim_obj, name)->local.port == port)
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

int sim_bind_name(struct sim *sim, struct sim_obj *obj, const struct sim_addr *addr)
{
	struct sim_addr name = *addr;

	if (!name.port) {
		name.port = sim_port_new(sim);
		if (!name.port)
			return -EADDRINUSE;
	}
	if (sim_name_taken(sim, obj, &name, false))
		return -EADDRINUSE;
	obj->local = name;
	obj->named = true;
	list_add_tail(&sim->names, &obj->name);
	return 0;
}

/* Listeners of @addr, exact or by "any": how many, and the one numbered @pick. */
static uint32_t listeners(const struct sim *sim, const struct sim_addr *addr, bool exact,
			  uint32_t pick, struct sim_obj **objp)
{
	struct weir_link *node;
	uint32_t n = 0;

	for (node = sim->names.next; node != &sim->names; node = node->next) {
		struct sim_obj *obj = container_of(node, struct sim_obj, name);

		if (obj->state != SIM_LISTEN || obj->local.port != addr->port ||
		    !covers(obj, addr) || is_any(&obj->local) == exact)
			continue;
		if (n++ == pick)
			*objp = obj;
	}
	return n;
}

/* An exact name goes before "any"; among SO_REUSEPORT listeners chance decides. */
struct sim_obj *sim_listener(struct sim *sim, const struct sim_addr *addr)
{
	struct sim_obj *obj = NULL;
	bool exact = true;
	uint32_t n;

	n = listeners(sim, addr, exact, 0, &obj);
	if (!n) {
		exact = false;
		n = listeners(sim, addr, exact, 0, &obj);
	}
	if (n > 1)
		listeners(sim, addr, exact, (uint32_t)sim_choose(sim, n), &obj);
	return obj;
}
