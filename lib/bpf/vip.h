/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * vip.h - the networks on which an instance answers, in memory
 */
#ifndef BPF_VIP_H
#define BPF_VIP_H

#include <weir/vip.h>

#include "bpf/instance.h"

#define VIP_FAMILY_BITS	32	/* of a key, in front of the address */

/* vip_text.c */
uint32_t vip_family_bits(uint32_t family);
bool vip_valid(const struct weir_bpf_vip *vip);

struct vip_entry {
	struct weir_vip_key key;
	struct weir_vip stored;		/* in the map */
	struct weir_vip vip;		/* to be: its own ranges, the rest is derived */
};

struct vip_set {
	int map_fd;
	uint32_t count;
	uint32_t max;			/* of the map */
	struct vip_entry *entry;	/* one more than that */
};

/*
 * vip_set_open() - read the set of the instance whose directory is @dir_fd
 *
 * Return: 0, -EOPNOTSUPP without sk_lookup, -EPROTO for a map that is not ours, or
 * -errno. To be closed if it was opened.
 */
int vip_set_open(struct vip_set *set, int dir_fd, bool writable);
void vip_set_close(struct vip_set *set);

/* In memory: -EEXIST when some of these ports are there, -ENOSPC. */
int vip_set_add(struct vip_set *set, const struct weir_vip_key *key,
		const struct weir_vip_range *range);
/* -ENOENT when it is not there as it is. */
int vip_set_del(struct vip_set *set, const struct weir_vip_key *key,
		const struct weir_vip_range *range);
/* Store what differs; what cannot be held (-ENOSPC) is found before that. */
int vip_set_write(struct vip_set *set);

/* The first own range of @entry that meets @range of the network @key, or NULL. */
const struct weir_vip_range *vip_entry_meets(const struct vip_entry *entry,
					     const struct weir_vip_key *key,
					     const struct weir_vip_range *range);

#endif /* BPF_VIP_H */
