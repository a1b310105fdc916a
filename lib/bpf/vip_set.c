// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * vip_set.c - arithmetic of networks and ranges of ports, and the map they are in
 *
 * A trie answers with the longest prefix alone, so every entry also holds the
 * ranges of the wider networks around it (struct weir_vip). Each change computes
 * all entries anew and stores those that differ: one at a time, each whole, so
 * that a client meets either the old set or the new one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/vip.h"

/* arithmetic of networks and ranges */

/* Does the network @wide contain all of @narrow? Both may be the same. */
static bool contains(const struct weir_vip_key *wide, const struct weir_vip_key *narrow)
{
	const uint8_t *a = (const uint8_t *)wide->ip, *b = (const uint8_t *)narrow->ip;
	uint32_t bits = wide->bits - VIP_FAMILY_BITS;

	if (wide->family != narrow->family || wide->bits > narrow->bits)
		return false;
	if (memcmp(a, b, bits / 8))
		return false;
	return !(bits % 8) || !((a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8));
}

static bool same_key(const struct weir_vip_key *a, const struct weir_vip_key *b)
{
	return a->bits == b->bits && contains(a, b);
}

static bool ranges_meet(const struct weir_vip_range *a, const struct weir_vip_range *b)
{
	return a->proto == b->proto && a->first <= b->last && b->first <= a->last;
}

static bool range_within(const struct weir_vip_range *a, const struct weir_vip_range *b)
{
	return a->proto == b->proto && b->first <= a->first && a->last <= b->last;
}

const struct weir_vip_range *vip_entry_meets(const struct vip_entry *entry,
					     const struct weir_vip_key *key,
					     const struct weir_vip_range *range)
{
	uint32_t i;

	if (!contains(&entry->key, key) && !contains(key, &entry->key))
		return NULL;
	for (i = 0; i < entry->vip.own; i++) {
		if (ranges_meet(&entry->vip.range[i], range))
			return &entry->vip.range[i];
	}
	return NULL;
}

/* the map */

void vip_set_close(struct vip_set *set)
{
	free(set->entry);
	close(set->map_fd);
}

/* A key that was put there by hand may be none of a network. */
static bool key_valid(const struct weir_vip_key *key)
{
	return (key->family == WEIR_FAMILY_INET || key->family == WEIR_FAMILY_INET6) &&
	       key->bits >= VIP_FAMILY_BITS &&
	       key->bits <= VIP_FAMILY_BITS + vip_family_bits(key->family);
}

static int set_read(struct vip_set *set)
{
	struct weir_vip_key *last = NULL, key;
	struct vip_entry *entry;
	uint32_t i;

	for (i = 0; i < set->max && !bpf_map_get_next_key(set->map_fd, last, &key); i++) {
		last = &key;
		if (!key_valid(&key))
			continue;
		entry = &set->entry[set->count];
		entry->key = key;
		if (bpf_map_lookup_elem(set->map_fd, &key, &entry->stored))
			return -errno;
		entry->vip = entry->stored;
		/* Edited by hand: read no further than there is. */
		if (entry->vip.own > WEIR_VIP_RANGES)
			entry->vip.own = WEIR_VIP_RANGES;
		set->count++;
	}
	return 0;
}

int vip_set_open(struct vip_set *set, int dir_fd, bool writable)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	int err = 0;

	memset(set, 0, sizeof(*set));
	set->map_fd = pin_read(dir_fd, "weir_vip", writable);
	if (set->map_fd < 0)
		return set->map_fd == -ENOENT ? -EOPNOTSUPP : set->map_fd;
	if (bpf_obj_get_info_by_fd(set->map_fd, &info, &len))
		err = -errno;
	else if (info.type != BPF_MAP_TYPE_LPM_TRIE ||
		 info.key_size != sizeof(struct weir_vip_key) ||
		 info.value_size != sizeof(struct weir_vip))
		err = -EPROTO;
	set->max = info.max_entries;
	if (!err) {
		set->entry = calloc(set->max + 1, sizeof(*set->entry));
		err = set->entry ? set_read(set) : -ENOMEM;
	}
	if (err)
		vip_set_close(set);
	return err;
}

static struct vip_entry *set_find(struct vip_set *set, const struct weir_vip_key *key)
{
	uint32_t i;

	for (i = 0; i < set->count; i++) {
		if (same_key(&set->entry[i].key, key))
			return &set->entry[i];
	}
	return NULL;
}

/* The own ranges of @from, but for those that @to covers already. */
static int inherit(struct weir_vip *to, const struct weir_vip *from)
{
	uint32_t i, j;

	for (i = 0; i < from->own; i++) {
		for (j = 0; j < to->count; j++) {
			if (range_within(&from->range[i], &to->range[j]))
				break;
		}
		if (j < to->count)
			continue;
		if (to->count == WEIR_VIP_RANGES)
			return -ENOSPC;
		to->range[to->count++] = from->range[i];
	}
	return 0;
}

/* What @entry is to hold, from the own ranges of all. */
static int derive(const struct vip_set *set, const struct vip_entry *entry, struct weir_vip *vip)
{
	uint32_t i;
	int err = 0;

	memset(vip, 0, sizeof(*vip));
	vip->own = entry->vip.own;
	vip->count = vip->own;
	memcpy(vip->range, entry->vip.range, vip->own * sizeof(vip->range[0]));
	for (i = 0; i < set->count && !err; i++) {
		const struct vip_entry *wide = &set->entry[i];

		if (wide != entry && contains(&wide->key, &entry->key))
			err = inherit(vip, &wide->vip);
	}
	return err;
}

static int entry_put(struct vip_set *set, struct vip_entry *entry, const struct weir_vip *vip)
{
	return vip->own ? bpf_map_update_elem(set->map_fd, &entry->key, vip, BPF_ANY) :
			  bpf_map_delete_elem(set->map_fd, &entry->key);
}

/* The first @count as they were: what cannot be stored as a whole is not stored. */
static void take_back(struct vip_set *set, uint32_t count)
{
	struct vip_entry *entry;
	struct weir_vip vip;

	while (count--) {
		entry = &set->entry[count];
		if (derive(set, entry, &vip) || !memcmp(&vip, &entry->stored, sizeof(vip)))
			continue;
		/* It was so a moment ago, and takes no more room. */
		(void)entry_put(set, entry, &entry->stored);
	}
}

int vip_set_write(struct vip_set *set)
{
	struct weir_vip vip;
	uint32_t i;
	int err = 0;

	for (i = 0; i < set->count && !err; i++)
		err = derive(set, &set->entry[i], &vip);
	for (i = 0; i < set->count && !err; i++) {
		struct vip_entry *entry = &set->entry[i];

		err = derive(set, entry, &vip);
		if (err || !memcmp(&vip, &entry->stored, sizeof(vip)))
			continue;
		err = entry_put(set, entry, &vip);
		if (err)
			take_back(set, i);
	}
	return err;
}

int vip_set_add(struct vip_set *set, const struct weir_vip_key *key,
		const struct weir_vip_range *range)
{
	struct vip_entry *entry = set_find(set, key);
	uint32_t i;

	if (!entry) {
		if (set->count == set->max)
			return -ENOSPC;
		entry = &set->entry[set->count++];
		entry->key = *key;
	}
	for (i = 0; i < entry->vip.own; i++) {
		if (ranges_meet(&entry->vip.range[i], range))
			return -EEXIST;
	}
	if (entry->vip.own == WEIR_VIP_RANGES)
		return -ENOSPC;
	/* The rest is derived again. */
	entry->vip.range[entry->vip.own++] = *range;
	return 0;
}

int vip_set_del(struct vip_set *set, const struct weir_vip_key *key,
		const struct weir_vip_range *range)
{
	struct vip_entry *entry = set_find(set, key);
	uint32_t i;

	for (i = 0; entry && i < entry->vip.own; i++) {
		if (memcmp(&entry->vip.range[i], range, sizeof(*range)))
			continue;
		entry->vip.range[i] = entry->vip.range[--entry->vip.own];
		return 0;
	}
	return -ENOENT;
}
