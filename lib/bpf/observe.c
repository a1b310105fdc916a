// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * observe.c - events for other processes, as they are raised
 *
 * weir_cfg.observers tells the kernel half whether to write the observers' ring.
 * An observer keeps a lock on the instance's directory as long as it lives: who
 * finds none (the last one to leave, or the service, once a second) clears it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bpf/instance.h"

struct weir_bpf_observer {
	struct ring ring;
	struct weir_cfg *cfg;
	int dir_fd;		/* carries the lock */
	uint64_t pos;
	uint32_t taken;
	uint32_t first;		/* seq of the last event before this observer */
	uint32_t last;		/* highest that it got */
};

static bool observed(int dir_fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return !fcntl(dir_fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

static void observers_set(struct weir_cfg *cfg, uint32_t observers)
{
	__atomic_store_n(&cfg->observers, observers, __ATOMIC_SEQ_CST);
}

/*
 * One that comes in between is not forgotten: it locks first and stores then, so
 * that either its store is the later one or its lock is seen here.
 */
void observers_look(struct weir_cfg *cfg, int dir_fd)
{
	if (!__atomic_load_n(&cfg->observers, __ATOMIC_RELAXED) || observed(dir_fd))
		return;
	observers_set(cfg, 0);
	if (observed(dir_fd))
		observers_set(cfg, 1);
}

/* The events so far; the ring begins where they end. */
static int observe_seq(struct weir_bpf_observer *observer)
{
	int err, fd = pin_read(observer->dir_fd, "weir_seq", false);
	uint32_t zero = 0;
	uint64_t seq;

	if (fd < 0)
		return fd;
	err = bpf_map_lookup_elem(fd, &zero, &seq);
	close(fd);
	observer->first = (uint32_t)seq;
	observer->last = (uint32_t)seq;
	return err;
}

static int observe_cfg(struct weir_bpf_observer *observer)
{
	int fd = pin_read(observer->dir_fd, "weir_cfg", true);
	void *mem;

	if (fd < 0)
		return fd;
	mem = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mem == MAP_FAILED)
		return -errno;
	observer->cfg = mem;
	return 0;
}

static int observe_ring(struct weir_bpf_observer *observer)
{
	int err, fd = pin_read(observer->dir_fd, "weir_observe", true);
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);

	if (fd < 0)
		return fd;
	err = bpf_obj_get_info_by_fd(fd, &info, &len);
	if (!err && info.type != BPF_MAP_TYPE_RINGBUF)
		err = -EPROTO;
	if (!err)
		err = ring_map(&observer->ring, fd, info.max_entries);
	if (err)
		close(fd);
	return err;
}

static int observe_begin(struct weir_bpf_observer *observer)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	if (fcntl(observer->dir_fd, F_OFD_SETLK, &lock))
		return -errno;
	observer->pos = ring_end(&observer->ring);
	observers_set(observer->cfg, 1);
	return observe_seq(observer);
}

/* The directory of an instance of this ABI. */
static int observe_dir(struct weir_bpf_observer *observer, const char *name)
{
	int fd, root_fd = root_open(false, NULL);
	struct weir_meta meta;
	int err;

	if (root_fd < 0)
		return root_fd;
	fd = dir_at(root_fd, name);
	close(root_fd);
	if (fd < 0)
		return fd;
	err = pin_meta(fd, &meta);
	if (!err && (meta.abi_major != WEIR_ABI_MAJOR ||
		     meta.event_bytes != sizeof(struct weir_event) ||
		     meta.cfg_bytes != sizeof(struct weir_cfg)))
		err = -EPROTO;
	if (err) {
		close(fd);
		return err;
	}
	observer->dir_fd = fd;
	return 0;
}

int weir_bpf_observe_open(struct weir_bpf_observer **observerp, const char *name)
{
	struct weir_bpf_observer *observer;
	int err;

	if (!name || !name_valid(name))
		return -EINVAL;
	observer = calloc(1, sizeof(*observer));
	if (!observer)
		return -ENOMEM;
	observer->dir_fd = -1;
	observer->ring.fd = -1;
	err = observe_dir(observer, name);
	if (!err)
		err = observe_cfg(observer);
	if (!err)
		err = observe_ring(observer);
	if (!err)
		err = observe_begin(observer);
	if (err) {
		weir_bpf_observe_close(observer);
		return err;
	}
	*observerp = observer;
	return 0;
}

void weir_bpf_observe_close(struct weir_bpf_observer *observer)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (!observer)
		return;
	if (observer->cfg) {
		fcntl(observer->dir_fd, F_OFD_SETLK, &lock);
		observers_look(observer->cfg, observer->dir_fd);
		munmap(observer->cfg, sysconf(_SC_PAGESIZE));
	}
	ring_close(&observer->ring);
	if (observer->dir_fd >= 0)
		close(observer->dir_fd);
	free(observer);
}

int weir_bpf_observe_fd(const struct weir_bpf_observer *observer)
{
	return observer->ring.fd;
}

unsigned int weir_bpf_observe_take(struct weir_bpf_observer *observer, struct weir_event *out,
				   unsigned int max)
{
	unsigned int i, count = ring_follow(&observer->ring, &observer->pos, out, max);

	for (i = 0; i < count; i++) {
		/* Raised between the beginning of the ring and the look at the count. */
		if (!observer->taken && (int32_t)(out[i].seq - observer->first) <= 0) {
			observer->first = out[i].seq - 1;
			observer->last = observer->first;
		}
		if ((int32_t)(out[i].seq - observer->last) > 0)
			observer->last = out[i].seq;
		observer->taken++;
	}
	return count;
}

uint64_t weir_bpf_observe_lost(const struct weir_bpf_observer *observer)
{
	int32_t lost = (int32_t)(observer->last - observer->first - observer->taken);

	return lost > 0 ? (uint64_t)lost : 0;
}
