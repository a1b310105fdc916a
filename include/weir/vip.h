/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * vip.h - the networks and ports on which a service answers without a socket for
 * each: sk_lookup gives their clients to its workers
 *
 * See Documentation/lookup.rst. An instance has them if it was opened with
 * weir_bpf_opts.vips_max.
 */
#ifndef WEIR_VIP_H
#define WEIR_VIP_H

#include <weir/types.h>
#include <weir/wire.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct weir_bpf_vip - a network and ports on which a service answers
 * @family: enum weir_family
 * @bits: length of the prefix
 * @ip: network order, IPv4 in [0]; the host's bits zero
 * @proto: enum weir_proto: WEIR_PROTO_TCP or WEIR_PROTO_UDP; WEIR_PROTO_NONE: what the
 *	instance serves
 * @first: first port; 0: that of the service, and @last is 0, too
 * @last: last one
 */
struct weir_bpf_vip {
	uint32_t family;
	uint32_t bits;
	uint32_t ip[4];
	uint32_t proto;
	uint16_t first;
	uint16_t last;
};

#define WEIR_BPF_VIP_TEXT	64	/* bytes of one as text, with its NUL */

/**
 * weir_bpf_vip_parse() - read one from text
 * @vip: filled in
 * @text: "10.0.0.0/24:80", "10.1.2.3:8000-8999", "[2001:db8::/64]:443"; without ports
 *	they are the service's own: "10.0.0.0/24", "[2001:db8::/64]"
 *
 * Context: Any thread.
 * Return: 0, or -EINVAL, also for a prefix with bits of the host set.
 */
WEIR_API int weir_bpf_vip_parse(struct weir_bpf_vip *vip, const char *text);

/**
 * weir_bpf_vip_format() - write one as text, as weir_bpf_vip_parse() reads it
 * @vip: the network and its ports
 * @text: where it goes
 *
 * Context: Any thread.
 */
WEIR_API void weir_bpf_vip_format(const struct weir_bpf_vip *vip, char text[WEIR_BPF_VIP_TEXT]);

/**
 * weir_bpf_vip_add() - let an instance answer on a network
 * @name: the instance, of this or another process, with weir_bpf_opts.vips_max
 * @vip: the network and its ports
 * @reason: where the reason of a failure is written, as one line; may be NULL
 * @reason_bytes: size of @reason
 *
 * Takes effect with the next connection, or datagram. Datagrams are answered from the
 * port of the service's sockets alone: there is no other to be had. Packets to these
 * addresses must be routed to this host as its own (ip route add local PREFIX dev lo);
 * that is not done here. sk_lookup comes before the listeners there are: those that are
 * bound within the network get no new connections on these ports.
 *
 * Refused is what another live instance of this network namespace has, in whole
 * or in part, and what another sk_lookup program there claims, as far as it says
 * so for the first and last of these addresses and ports (asking needs
 * CAP_SYS_ADMIN; without it nobody is asked).
 *
 * Context: Any thread of a process that may write the pins of @name.
 * Return: 0; -EINVAL; -EOPNOTSUPP when the instance has no sk_lookup; -EPROTOTYPE when
 * it serves another protocol; -EADDRNOTAVAIL for a port that datagrams cannot be
 * answered from, or for the service's own when it has none yet; -EEXIST when
 * it has these ports of that network; -EADDRINUSE when somebody else has; -ENOSPC
 * when more than WEIR_VIP_RANGES ranges would meet there, or more than vips_max
 * networks; -EXDEV when the instance is of another network namespace; -ENOENT for
 * no such instance; -EACCES; or -errno.
 */
WEIR_API int weir_bpf_vip_add(const char *name, const struct weir_bpf_vip *vip, char *reason,
			      size_t reason_bytes);

/**
 * weir_bpf_vip_del() - let it no longer answer there
 * @name: the instance
 * @vip: as it was added
 *
 * Connections that are open stay.
 *
 * Context: Any thread of a process that may write the pins of @name.
 * Return: 0, -ENOENT when it was not there, or as weir_bpf_vip_add().
 */
WEIR_API int weir_bpf_vip_del(const char *name, const struct weir_bpf_vip *vip);

/**
 * weir_bpf_vip_add_all() - let an instance answer on several networks, or on none
 * @name: as for weir_bpf_vip_add()
 * @vips: the networks and their ports; what one of them says counts for the next
 * @count: of them
 * @at: where the place in @vips of the one that was refused goes; may be NULL
 * @reason: where the reason of a failure is written, as one line; may be NULL
 * @reason_bytes: size of @reason
 *
 * What fails changes nothing. A client who connects meanwhile may be answered on
 * some of them and not yet on others.
 *
 * Context: as weir_bpf_vip_add().
 * Return: as weir_bpf_vip_add().
 */
WEIR_API int weir_bpf_vip_add_all(const char *name, const struct weir_bpf_vip *vips,
				  unsigned int count, unsigned int *at, char *reason,
				  size_t reason_bytes);

/**
 * weir_bpf_vip_del_all() - answer on several networks no longer, or go on with all
 * @name: as for weir_bpf_vip_del()
 * @vips: the networks and their ports, as they were added
 * @count: of them
 * @at: where the place in @vips of the one that was refused goes; may be NULL
 *
 * Context: as weir_bpf_vip_del().
 * Return: as weir_bpf_vip_del().
 */
WEIR_API int weir_bpf_vip_del_all(const char *name, const struct weir_bpf_vip *vips,
				  unsigned int count, unsigned int *at);

/**
 * weir_bpf_vip_list() - what an instance answers on
 * @name: the instance
 * @fn: called for each; a value other than 0 ends the walk
 * @ctx: handed to @fn
 *
 * Context: Any thread of a process that may read the pins of @name.
 * Return: what @fn returned last, 0, -EOPNOTSUPP without sk_lookup, -ENOENT for no
 * such instance, or -errno.
 */
WEIR_API int weir_bpf_vip_list(const char *name,
			       int (*fn)(void *ctx, const struct weir_bpf_vip *vip), void *ctx);

/**
 * weir_bpf_vip_stats() - how many clients came that way
 * @name: the instance
 * @stats: filled in, summed over the CPUs
 *
 * Context: Any thread of a process that may read the pins of @name.
 * Return: as weir_bpf_vip_list().
 */
WEIR_API int weir_bpf_vip_stats(const char *name, struct weir_vip_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_VIP_H */
