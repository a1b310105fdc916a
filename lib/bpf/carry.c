// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * carry.c - what was set goes on in maps of another number of workers
 *
 * The configuration, the operator's lines of the workers that remain, and networks
 * of sk_lookup. It is read when the instance is opened and, where the old owner
 * lives, once more when he has yielded: what was set in between is set here, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lookup.skel.h"

#include "bpf/instance.h"

/* A map that is pinned there with elements of that size, to be read. */
static int map_read(int pins_fd, const char *name, uint32_t key_bytes, uint32_t value_bytes,
		    uint32_t *entries)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	int fd = pin_read(pins_fd, name, false), err;

	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (!err && (info.key_size != key_bytes || info.value_size != value_bytes))
		err = -EPROTO;
	if (err) {
		close(fd);
		return err;
	}
	*entries = info.max_entries;
	return fd;
}

static void cfg_read(int pins_fd, struct weir_cfg *cfg)
{
	uint32_t entries, zero = 0;
	struct weir_cfg got;
	int fd = map_read(pins_fd, "weir_cfg", sizeof(zero), sizeof(got), &entries);

	if (fd < 0)
		return;
	if (!bpf_map_lookup_elem(fd, &zero, &got) && !weir_cfg_check(&got, WEIR_WORKERS_MAX))
		*cfg = got;
	close(fd);
}

static uint32_t admin_read(int pins_fd, struct weir_admin *admin, uint32_t max)
{
	uint32_t entries, i, count = 0;
	int fd = map_read(pins_fd, "weir_admin", sizeof(i), sizeof(*admin), &entries);

	if (fd < 0)
		return 0;
	for (i = 0; i < entries && i < max; i++) {
		if (bpf_map_lookup_elem(fd, &i, &admin[i]))
			break;
		count++;
	}
	close(fd);
	return count;
}

void carry_open(struct weir_bpf *bpf, int pins_fd, const struct weir_meta *meta)
{
	struct carried *carried = &bpf->carried;

	if (meta->abi_major != WEIR_ABI_MAJOR)
		return;
	carried->admin = calloc(bpf->opts.workers, sizeof(*carried->admin));
	if (carried->admin)
		carried->count = admin_read(pins_fd, carried->admin, bpf->opts.workers);
	cfg_read(pins_fd, &carried->cfg);
	if (bpf->opts.lock)
		carried->pins_fd = fcntl(pins_fd, F_DUPFD_CLOEXEC, 0);
}

void carry_close(struct weir_bpf *bpf)
{
	if (bpf->carried.pins_fd >= 0)
		close(bpf->carried.pins_fd);
	bpf->carried.pins_fd = -1;
	free(bpf->carried.admin);
	bpf->carried.admin = NULL;
	bpf->carried.count = 0;
}

void carry_set(struct weir_bpf *bpf)
{
	if (bpf->carried.cfg.workers) {
		*bpf->cfg = bpf->carried.cfg;
		bpf->cfg->shed_permille = 0;
		bpf->cfg->flags = 0;
	}
	if (bpf->carried.count)
		memcpy(bpf->admin, bpf->carried.admin, bpf->carried.count * sizeof(*bpf->admin));
}

void carry_changes(void *to, const void *now, const void *then, size_t bytes)
{
	const uint32_t *from = now, *old = then;
	uint32_t *out = to;
	size_t i;

	for (i = 0; i < bytes / sizeof(*out); i++) {
		if (from[i] != old[i])
			__atomic_store_n(&out[i], from[i], __ATOMIC_RELAXED);
	}
}

/* As they are: each is whole, and all of them are one set. */
static int vips_copy(struct weir_bpf *bpf, int pins_fd)
{
	struct weir_vip_key key, *last = NULL;
	struct weir_vip vip;
	uint32_t entries;
	int from, to, err = 0;

	if (!bpf->lookup)
		return 0;
	from = map_read(pins_fd, "weir_vip", sizeof(key), sizeof(vip), &entries);
	if (from < 0)
		return 0;
	to = bpf_map__fd(bpf->lookup->maps.weir_vip);
	while (!err && !bpf_map_get_next_key(from, last, &key)) {
		if (!bpf_map_lookup_elem(from, &key, &vip))
			err = bpf_map_update_elem(to, &key, &vip, BPF_ANY);
		last = &key;
	}
	close(from);
	return err;
}

uint32_t carry_vips_max(int pins_fd)
{
	uint32_t entries;
	int fd = map_read(pins_fd, "weir_vip", sizeof(struct weir_vip_key),
			  sizeof(struct weir_vip), &entries);

	if (fd < 0)
		return 0;
	close(fd);
	return entries;
}

int carry_again(struct weir_bpf *bpf)
{
	struct carried *carried = &bpf->carried;
	struct weir_cfg cfg = carried->cfg;
	struct weir_admin admin;
	uint32_t i, entries;
	int fd, err;

	if (carried->pins_fd < 0)
		return 0;
	cfg_read(carried->pins_fd, &cfg);
	/* These two are the owner's own, and not an operator's. */
	cfg.shed_permille = carried->cfg.shed_permille;
	cfg.flags = carried->cfg.flags;
	carry_changes(bpf->cfg, &cfg, &carried->cfg, sizeof(cfg));
	bpf->cfg->workers = bpf->opts.workers;
	fd = map_read(carried->pins_fd, "weir_admin", sizeof(i), sizeof(admin), &entries);
	for (i = 0; fd >= 0 && i < carried->count; i++) {
		if (!bpf_map_lookup_elem(fd, &i, &admin))
			carry_changes(&bpf->admin[i], &admin, &carried->admin[i], sizeof(admin));
	}
	if (fd >= 0)
		close(fd);
	err = vips_copy(bpf, carried->pins_fd);
	carry_close(bpf);
	return err;
}
