// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * control.c - change an instance from outside: the operator's hand
 *
 * The kernel half and the workers read the configuration at any moment, so each
 * change is one store, and several that belong together are stored in an order
 * in which every state between is one that weir_cfg_check() lets pass. Operators
 * take turns by a lock on the pin of weir_cfg; the service's own stores, of
 * members that are its own, need none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/instance.h"

_Static_assert(WEIR_BPF_CHANGES_MAX <= 64, "one bit per change");

struct weir_bpf_control {
	struct weir_meta meta;
	uint32_t rows;			/* workers that there can be */
	struct weir_cfg *cfg;
	struct weir_admin *admin;
	size_t cfg_bytes;		/* of the mappings */
	size_t admin_bytes;
	int lock_fd;
};

/* Map the pin of a mapped array for writing. */
static int map_pin(int dir_fd, const char *name, void **memp, size_t *bytes)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	void *mem;
	int fd, err;

	fd = pin_read(dir_fd, name, true);
	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (err)
		goto close_fd;
	*bytes = array_size(info.max_entries, info.value_size);
	mem = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		err = -errno;
	else
		*memp = mem;
close_fd:
	close(fd);
	return err;
}

static int control_fill(struct weir_bpf_control *control, const char *name)
{
	int fd, err;

	fd = instance_dir(name, &control->meta);
	if (fd < 0)
		return fd;
	err = map_pin(fd, "weir_cfg", (void **)&control->cfg, &control->cfg_bytes);
	if (!err)
		err = map_pin(fd, "weir_admin", (void **)&control->admin, &control->admin_bytes);
	if (!err) {
		control->lock_fd = openat(fd, "weir_cfg", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
		if (control->lock_fd < 0)
			err = -errno;
	}
	/* weir_meta may have been edited: no more than there is memory for. */
	control->rows = min_u32(control->meta.workers_max,
				(uint32_t)(control->admin_bytes / sizeof(*control->admin)));
	close(fd);
	return err;
}

int weir_bpf_control_open(struct weir_bpf_control **controlp, const char *name)
{
	struct weir_bpf_control *control;
	int err;

	control = calloc(1, sizeof(*control));
	if (!control)
		return -ENOMEM;
	control->lock_fd = -1;
	err = control_fill(control, name);
	if (err) {
		weir_bpf_control_close(control);
		return err;
	}
	*controlp = control;
	return 0;
}

void weir_bpf_control_close(struct weir_bpf_control *control)
{
	if (!control)
		return;
	if (control->lock_fd >= 0)
		close(control->lock_fd);
	if (control->admin)
		munmap(control->admin, control->admin_bytes);
	if (control->cfg)
		munmap(control->cfg, control->cfg_bytes);
	free(control);
}

static int control_lock(struct weir_bpf_control *control)
{
	return lock_wait(control->lock_fd);
}

static void control_unlock(struct weir_bpf_control *control)
{
	flock(control->lock_fd, LOCK_UN);
}

int weir_bpf_control_admin(struct weir_bpf_control *control, unsigned int worker,
			   enum weir_admin_state state)
{
	int err;

	if (state != WEIR_ADMIN_ON && state != WEIR_ADMIN_DRAIN)
		return -EINVAL;
	if (worker >= control->rows)
		return -ENOENT;
	err = control_lock(control);
	if (err)
		return err;
	__atomic_store_n(&control->admin[worker].state, state, __ATOMIC_RELEASE);
	control_unlock(control);
	return 0;
}

static int xdp_store(struct weir_bpf_control *control, struct weir_xdp_cfg *cfg,
		     enum weir_xdp_budget what, uint32_t rate, uint32_t burst)
{
	uint32_t *burst_at = what == WEIR_XDP_SYNS ? &cfg->syn_burst : &cfg->dgram_burst;
	uint32_t *rate_at = what == WEIR_XDP_SYNS ? &cfg->syn_rate : &cfg->dgram_rate;
	int err = control_lock(control);

	if (err)
		return err;
	/* A rate is never without its burst. */
	if (rate)
		__atomic_store_n(burst_at, burst, __ATOMIC_RELEASE);
	__atomic_store_n(rate_at, rate, __ATOMIC_RELEASE);
	if (!rate)
		__atomic_store_n(burst_at, burst, __ATOMIC_RELEASE);
	control_unlock(control);
	return 0;
}

int weir_bpf_control_xdp(struct weir_bpf_control *control, enum weir_xdp_budget what,
			 uint32_t rate, uint32_t burst)
{
	struct weir_meta meta;
	size_t bytes;
	void *mem;
	int fd, err;

	if (what != WEIR_XDP_SYNS && what != WEIR_XDP_DGRAMS)
		return -EINVAL;
	if (rate && !burst)
		return -ERANGE;
	fd = instance_dir(control->meta.name, &meta);
	if (fd < 0)
		return fd;
	err = map_pin(fd, "weir_xdp_cfg", &mem, &bytes);
	close(fd);
	if (err)
		return err == -ENOENT ? -EOPNOTSUPP : err;
	err = xdp_store(control, mem, what, rate, burst);
	munmap(mem, bytes);
	return err;
}

int weir_bpf_control_weight(struct weir_bpf_control *control, unsigned int worker, uint32_t weight)
{
	int err;

	if (!weight || weight > WEIR_WEIGHT_MAX)
		return -ERANGE;
	if (worker >= control->rows)
		return -ENOENT;
	err = control_lock(control);
	if (err)
		return err;
	__atomic_store_n(&control->admin[worker].weight, weight, __ATOMIC_RELEASE);
	control_unlock(control);
	return 0;
}

static const struct weir_cfg_member *member_find(const char *name)
{
	const struct weir_cfg_member *members;
	unsigned int count, i;

	members = weir_cfg_members(&count);
	for (i = 0; i < count; i++) {
		if (!strcmp(members[i].name, name))
			return &members[i];
	}
	return NULL;
}

static void member_store(struct weir_cfg *cfg, const struct weir_cfg_member *member,
			 uint64_t value)
{
	void *at = (char *)cfg + member->offset;

	if (member->bytes == sizeof(uint64_t))
		__atomic_store_n((uint64_t *)at, value, __ATOMIC_RELEASE);
	else
		__atomic_store_n((uint32_t *)at, (uint32_t)value, __ATOMIC_RELEASE);
}

static int changes_check(const struct weir_bpf_change *changes, unsigned int count,
			 const char **refused)
{
	const struct weir_cfg_member *member;
	unsigned int i, j;

	if (!count || count > WEIR_BPF_CHANGES_MAX)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		*refused = changes[i].member;
		member = member_find(changes[i].member);
		if (!member)
			return -ENOENT;
		for (j = 0; j < i; j++) {
			if (!strcmp(changes[j].member, member->name))
				return -EINVAL;
		}
		if (!strcmp(member->name, "flags"))
			return -EPERM;
		if (changes[i].value < member->least || changes[i].value > member->most)
			return -ERANGE;
	}
	return 0;
}

/*
 * The first change left that leads to what may be used. There is always one, but
 * where the map was edited by hand: then any is as good.
 */
static int change_next(const struct weir_cfg *cfg, const struct weir_bpf_change *changes,
		       uint64_t left, unsigned int rows)
{
	struct weir_cfg tried;
	uint64_t rest;
	int i;

	for (rest = left; rest; rest &= rest - 1) {
		i = __builtin_ctzll(rest);
		tried = *cfg;
		member_store(&tried, member_find(changes[i].member), changes[i].value);
		if (!weir_cfg_check(&tried, rows))
			return i;
	}
	return __builtin_ctzll(left);
}

static int changes_apply(struct weir_bpf_control *control, const struct weir_bpf_change *changes,
			 unsigned int count, const char **refused)
{
	unsigned int rows = control->rows, i;
	struct weir_cfg cfg = *control->cfg;
	uint64_t left;

	for (i = 0; i < count; i++)
		member_store(&cfg, member_find(changes[i].member), changes[i].value);
	*refused = weir_cfg_check(&cfg, rows);
	if (*refused)
		return -ERANGE;
	for (left = ~0ULL >> (64 - count); left; left &= ~(1ULL << i)) {
		i = change_next(control->cfg, changes, left, rows);
		member_store(control->cfg, member_find(changes[i].member), changes[i].value);
	}
	return 0;
}

int weir_bpf_control_set(struct weir_bpf_control *control, const struct weir_bpf_change *changes,
			 unsigned int count, const char **refused)
{
	const char *unwanted;
	int err;

	if (!refused)
		refused = &unwanted;
	*refused = NULL;
	err = changes_check(changes, count, refused);
	if (!err)
		err = control_lock(control);
	if (err)
		return err;
	err = changes_apply(control, changes, count, refused);
	control_unlock(control);
	return err;
}
