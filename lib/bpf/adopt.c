// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * adopt.c - an instance goes on with the maps that another process made
 *
 * Its owner is dead, or lives and is about to leave. The maps stay, so that
 * counters, configuration, flows and what the operator said stay; programs are
 * this version's. What is not laid out as this version wants it is refused by
 * name and never written to.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "steer.skel.h"

#include "bpf/instance.h"

static bool meta_fits(const struct weir_bpf *bpf, const struct weir_meta *meta)
{
	return meta->abi_major == WEIR_ABI_MAJOR &&
	       meta->row_bytes == sizeof(struct weir_worker_row) &&
	       meta->cfg_bytes == sizeof(struct weir_cfg) &&
	       meta->flow_bytes == sizeof(struct weir_flow) &&
	       meta->event_bytes == sizeof(struct weir_event) &&
	       meta->workers_max == bpf->opts.workers;
}

bool adopt_likely(const struct weir_bpf *bpf)
{
	struct weir_meta meta;
	int root_fd, fd, err;

	if (!(bpf->opts.flags & WEIR_BPF_ADOPT))
		return false;
	root_fd = root_open(false, NULL);
	if (root_fd < 0)
		return false;
	fd = pins_at(root_fd, bpf->name);
	close(root_fd);
	if (fd < 0)
		return false;
	err = pin_meta(fd, &meta);
	close(fd);
	return !err;
}

static int prog_check(int pins_fd, const struct weir_meta *meta, const struct reason *reason)
{
	struct bpf_prog_info info = {};
	char tag[WEIR_BUILD_ID_BYTES];
	uint32_t len = sizeof(info);
	int fd, err;

	fd = pin_read(pins_fd, "weir_steer", true);
	if (fd == -ENOENT)
		return 0;	/* its owner died before he had pinned it */
	if (fd < 0)
		return reason_set(reason, -EBADMSG, "weir_steer cannot be opened: %s",
				  strerror(-fd));
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	close(fd);
	tag_text(&info, tag);
	if (err || info.type != BPF_PROG_TYPE_SK_REUSEPORT || strcmp(tag, meta->build_id))
		return reason_set(reason, -EBADMSG, "weir_steer is a foreign program: tag %s, and "
				  "weir_meta says %s", tag, meta->build_id);
	return 0;
}

/* What hangs on the pinned link must be a sockops program by our name. */
static int link_check(int pins_fd, const struct reason *reason)
{
	static const char ours[] = "weir_sockops";
	struct bpf_prog_info prog = {};
	struct bpf_link_info info = {};
	uint32_t len = sizeof(prog);
	int prog_fd, err;

	err = pin_info(pins_fd, "weir_link_ops", &info, sizeof(info));
	if (err == -ENOENT)
		return 0;
	if (err || info.type != BPF_LINK_TYPE_CGROUP)
		return reason_set(reason, -EBADMSG, "weir_link_ops is no link of a cgroup");
	prog_fd = bpf_prog_get_fd_by_id(info.prog_id);
	if (prog_fd < 0)
		return 0;	/* without the privilege to look, the update will tell */
	err = bpf_obj_get_info_by_fd(prog_fd, &prog, &len);
	close(prog_fd);
	if (err || prog.type != BPF_PROG_TYPE_SOCK_OPS ||
	    strncmp(prog.name, ours, sizeof(ours) - 1))
		return reason_set(reason, -EBADMSG, "weir_link_ops holds a foreign program: %.16s",
				  prog.name);
	return 0;
}

int adopt_check(struct weir_bpf *bpf, int pins_fd, const struct reason *reason)
{
	struct weir_meta meta;
	int err;

	if (!(bpf->opts.flags & WEIR_BPF_ADOPT))
		return -ENOENT;
	err = pin_meta(pins_fd, &meta);
	if (err)
		return err;
	if (!meta_fits(bpf, &meta)) {
		carry_open(bpf, pins_fd, &meta);
		return -ESTALE;
	}
	err = prog_check(pins_fd, &meta, reason);
	if (!err)
		err = link_check(pins_fd, reason);
	if (!err)
		bpf->instance = meta.instance;
	return err;
}

/* How many entries a hash has is a choice; of an array it is the number of workers. */
static bool entries_matter(uint32_t type)
{
	return type != BPF_MAP_TYPE_HASH && type != BPF_MAP_TYPE_LRU_HASH &&
	       type != BPF_MAP_TYPE_LPM_TRIE && type != BPF_MAP_TYPE_RINGBUF;
}

static bool map_fits(const struct bpf_map *map, const struct bpf_map_info *info)
{
	return info->type == (uint32_t)bpf_map__type(map) &&
	       info->key_size == bpf_map__key_size(map) &&
	       info->value_size == bpf_map__value_size(map) &&
	       info->map_flags == bpf_map__map_flags(map) &&
	       (!entries_matter(info->type) || info->max_entries == bpf_map__max_entries(map));
}

/* A map that an older minor version did not have is made anew. */
static int adopt_map(struct weir_bpf *bpf, struct bpf_map *map, const struct reason *reason)
{
	const char *name = bpf_map__name(map);
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	int fd, err;

	fd = pin_read(bpf->pins_fd, name, true);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return reason_set(reason, fd, "cannot open %s/%s: %s", bpf->dir, name,
				  strerror(-fd));
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (!err && !map_fits(map, &info))
		err = reason_set(reason, -EPROTO, "%s/%s is laid out otherwise: type %u, key %u, "
				 "value %u, %u entries, flags %#x", bpf->dir, name, info.type,
				 info.key_size, info.value_size, info.max_entries,
				 info.map_flags);
	else if (!err)
		err = bpf_map__reuse_fd(map, fd);
	close(fd);
	return err;
}

int adopt_maps(struct weir_bpf *bpf, struct bpf_object *object, const struct reason *reason)
{
	struct bpf_map *map;
	int err = 0;

	if (!bpf->adopted)
		return 0;
	bpf_object__for_each_map(map, object) {
		if (bpf_map__is_internal(map) || bpf_map__fd(map) >= 0)
			continue;	/* shared with an object that was loaded before */
		err = adopt_map(bpf, map, reason);
		if (err)
			break;
	}
	return err;
}

/* A dead owner's controller cannot take back what it shed. */
void adopt_cfg(struct weir_bpf *bpf)
{
	const char *bad;

	if (bpf->adopted == WEIR_BPF_RECOVERED)
		bpf->cfg->shed_permille = 0;
	bad = weir_cfg_check(bpf->cfg, bpf->opts.workers);
	if (!bad)
		return;
	bpf_log(bpf, WEIR_LOG_WARN, "bpf: instance %s: %s in weir_cfg is out of range: "
		"the defaults are in force", bpf->name, bad);
	weir_cfg_init(bpf->cfg);
	bpf->cfg->stale_ns = bpf->opts.stale_ns;
	bpf->cfg->policy = bpf->opts.policy;
	bpf->cfg->workers = bpf->opts.workers;
}

uint64_t adopt_cgroup(struct weir_bpf *bpf)
{
	struct bpf_link_info info = {};

	if (!bpf->adopted || pin_info(bpf->pins_fd, "weir_link_ops", &info, sizeof(info)))
		return 0;
	return info.cgroup.cgroup_id;
}

int adopt_links(struct weir_bpf *bpf)
{
	int err = flow_relink(bpf);

	return err ? err : lookup_relink(bpf);
}

/* That of an owner who lives keeps his program until he has left: bpf_seal(). */
int adopt_link(struct weir_bpf *bpf, const char *name, struct bpf_program *prog,
	       struct bpf_link **linkp)
{
	char path[WEIR_BPF_PATH_BYTES];
	struct bpf_link *link;
	int err;

	err = pin_path(path, bpf->pins_fd, name);
	if (err)
		return err;
	link = bpf_link__open(path);
	if (!link)
		return -errno;
	err = bpf->theirs ? 0 : bpf_link__update_program(link, prog);
	if (err) {
		bpf_link__destroy(link);
		return err;
	}
	*linkp = link;
	return 0;
}

/* By words, each in one piece: its writers go on. */
static void copy_words(void *to, const void *from, size_t bytes)
{
	const uint64_t *words = from;
	uint64_t *out = to;
	size_t i;

	for (i = 0; i < bytes / sizeof(*out); i++)
		__atomic_store_n(&out[i], __atomic_load_n(&words[i], __ATOMIC_RELAXED),
				 __ATOMIC_RELAXED);
}

/* One call puts @other in the place of @mem: no writer sees a gap. */
static int put_over(void *mem, void *other, size_t bytes)
{
	int err;

	if (mremap(other, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, mem) != MAP_FAILED)
		return 0;
	err = -errno;
	munmap(other, bytes);
	return err;
}

static int own_copy(void *mem, size_t bytes)
{
	void *copy;

	copy = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (copy == MAP_FAILED)
		return -errno;
	copy_words(copy, mem, bytes);
	return put_over(mem, copy, bytes);
}

/* With @kept bytes of what is in this process's copy, from @at on. */
static int share_again(void *mem, size_t bytes, int fd, size_t at, size_t kept)
{
	void *shared;

	shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		return -errno;
	copy_words((char *)shared + at, (const char *)mem + at, kept);
	return put_over(mem, shared, bytes);
}

/*
 * Rows and delays have one writer, which has gone on with his copy; the configuration
 * is as it was before the successor. The rest others have written.
 */
static int return_first(struct weir_bpf *bpf, unsigned int count)
{
	unsigned int i;
	void **memp;
	size_t bytes;
	int err = 0, fd;

	for (i = 0; !err && i < count && (memp = steer_mapped(bpf, i, &bytes, &fd)); i++)
		err = share_again(*memp, bytes, fd, 0, memp == (void **)&bpf->rows ||
				  memp == (void **)&bpf->hist ||
				  memp == (void **)&bpf->cfg ? bytes : 0);
	return err;
}

int adopt_return(struct weir_bpf *bpf)
{
	return return_first(bpf, UINT_MAX);
}

int adopt_rejoin(struct weir_bpf *bpf, uint32_t worker)
{
	size_t bytes, own;
	unsigned int i;
	void **memp;
	int err = 0, fd;

	for (i = 0; !err && (memp = steer_mapped(bpf, i, &bytes, &fd)); i++) {
		own = memp == (void **)&bpf->rows ? sizeof(*bpf->rows) :
		      memp == (void **)&bpf->hist ? sizeof(*bpf->hist) : 0;
		err = share_again(*memp, bytes, fd, worker * own, own);
	}
	return err;
}

/*
 * From here on two processes have workers of the same numbers. The one that
 * leaves goes on writing its rows, its histograms and the rest where only it
 * sees them: all of that, or nothing.
 */
int adopt_leave(struct weir_bpf *bpf)
{
	unsigned int i;
	void **memp;
	size_t bytes;
	int err = 0, fd;

	for (i = 0; !err && (memp = steer_mapped(bpf, i, &bytes, &fd)); i++)
		err = own_copy(*memp, bytes);
	if (err)
		(void)return_first(bpf, i - 1);
	return err;
}

int adopt_claim(struct weir_bpf *bpf)
{
	struct weir_cfg want = *bpf->cfg;
	unsigned int i;
	void **memp;
	size_t bytes;
	int err = 0, fd;

	for (i = 0; !err && (memp = steer_mapped(bpf, i, &bytes, &fd)); i++)
		err = share_again(*memp, bytes, fd, 0, 0);
	if (err)
		return err;
	/* What this process was told to set, and no more: others may have set the rest. */
	carry_changes(bpf->cfg, &want, &bpf->had, sizeof(want));
	for (i = 0; i < bpf->opts.workers; i++) {
		bpf->rows[i].epoch = bpf->members[i].epoch;
		bpf->rows[i].cookie = bpf->members[i].cookie[1] ?: bpf->members[i].cookie[0];
	}
	return 0;
}

/* Whoever has accepted more in his copy tells; of a process that did, it is learnt. */
static void tell(struct weir_bpf *bpf, int fd, uint32_t worker)
{
	uint64_t accepted = __atomic_load_n(&bpf->rows[worker].accepted, __ATOMIC_ACQUIRE);
	struct weir_worker_row row;

	if (bpf_map_lookup_elem(fd, &worker, &row) || row.accepted == accepted)
		return;
	if (row.accepted > accepted) {
		__atomic_store_n(&bpf->rows[worker].accepted, row.accepted, __ATOMIC_RELEASE);
		return;
	}
	row.accepted = accepted;
	/* Without it a few are not counted. */
	(void)bpf_map_update_elem(fd, &worker, &row, BPF_EXIST);
}

/*
 * What its workers have accepted between that and the end of their listening. The
 * successor's do not write yet, and begin to count from here.
 */
void adopt_tell(struct weir_bpf *bpf, uint32_t first, uint32_t count)
{
	int fd = bpf_map__fd(bpf->steer->maps.weir_worker);
	uint32_t i;

	for (i = first; i < first + count; i++)
		tell(bpf, fd, i);
}
