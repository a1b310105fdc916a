// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * loop_open.c - options, backend and memory of a loop
 */
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/backend.h"
#include "io/gather.h"
#include "io/group.h"
#include "io/lend.h"

static const struct weir_backend *const backends[] = {
#ifdef CONFIG_URING
	&weir_backend_uring,
#endif
	&weir_backend_epoll,
	&weir_backend_sim,
};

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
	return value ? value : fallback;
}

/* The kernel allows no more registered files than descriptors. */
static uint32_t default_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= WEIR_LOOP_FILES_DEFAULT)
		return WEIR_LOOP_FILES_DEFAULT;
	return limit.rlim_cur ? (uint32_t)limit.rlim_cur : 1;
}

static int read_opts(struct weir_loop *loop, const struct weir_loop_opts *given)
{
	struct weir_loop_opts *opts = &loop->opts;
	int err;

	err = opts_copy(opts, sizeof(*opts), given);
	if (err)
		return err;
	loop->alloc = opts->alloc ? *opts->alloc : base_alloc_libc;
	if (opts->log)
		loop->log = *opts->log;
	if (opts->hooks)
		loop->hooks = *opts->hooks;
	err = opts_copy(&loop->sim, sizeof(loop->sim), opts->sim);
	if (err)
		return err;
	opts->ops_max = or_default(opts->ops_max, WEIR_LOOP_OPS_DEFAULT);
	opts->files_max = or_default(opts->files_max, default_files());
	opts->bufs_max = or_default(opts->bufs_max, WEIR_LOOP_BUFS_DEFAULT);
	opts->batch_max = or_default(opts->batch_max, 64);
	opts->batch_wait_us = or_default(opts->batch_wait_us, 100);
	opts->offload_threads = or_default(opts->offload_threads, 2);
	opts->zc_min_bytes = or_default(opts->zc_min_bytes, LEND_BYTES_DEFAULT);
	opts->posts_max = or_default(opts->posts_max, WEIR_LOOP_POSTS_DEFAULT);
	if (opts->flags & ~(uint32_t)WEIR_LOOP_ALL || opts->napi_us > 1000000)
		return -EINVAL;
	if ((uint64_t)opts->ops_max + opts->files_max + opts->bufs_max + 2 * SLOT_RESERVE >
	    WEIR_LOOP_CQ_MAX)
		return -EINVAL;
	if (opts->batch_max > 4096 || opts->batch_wait_us > 1000000 ||
	    opts->offload_threads > OFFLOAD_THREADS_MAX || opts->posts_max > INT32_MAX)
		return -EINVAL;
	return 0;
}

static int slots_open(struct weir_loop *loop)
{
	uint32_t i;

	loop->slots_budget = loop->opts.ops_max;
	loop->slots_max = loop->opts.ops_max + SLOT_RESERVE;
	loop->slots = mem_get(&loop->alloc, loop->slots_max, sizeof(*loop->slots),
			      _Alignof(struct io_slot));
	if (!loop->slots)
		return -ENOMEM;
	for (i = 0; i < loop->slots_max; i++) {
		loop->slots[i].next = i + 1 < loop->slots_max ? &loop->slots[i + 1] : NULL;
		loop->slots[i].data = SLOT_DATA_FIRST | i;
	}
	loop->slot_free = loop->slots;
	return 0;
}

uint64_t loop_look(struct weir_loop *loop)
{
	loop->now_ns = loop->sys->now(loop);
	loop->now_read = true;
	return loop->now_ns;
}

static int try_backend(struct weir_loop *loop, const struct weir_backend *backend)
{
	uint32_t files = loop->opts.files_max;
	int err;

	loop->backend = backend;
	loop->sys = backend->sys;
	err = files_open(loop, backend->fixed_files ? files : 0, files);
	if (err)
		return err;
	lend_limit(loop, 0);
	err = backend->open(loop);
	if (err) {
		files_close(loop);
		return err;
	}
	wheel_init(&loop->wheel, loop_clock(loop));
	return 0;
}

static bool same_name(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static int pick_backend(struct weir_loop *loop)
{
	const char *name = loop->opts.backend;
	int err = -EINVAL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(backends); i++) {
		if (name ? !same_name(name, backends[i]->name) :
			   backends[i] == &weir_backend_sim)
			continue;
		err = try_backend(loop, backends[i]);
		if (!err)
			break;
		/* A table larger than RLIMIT_NOFILE is the caller's to mend. */
		if (name || err == -EMFILE)
			return err;
		loop_log(loop, WEIR_LOG_WARN, "backend %s: refused: %s", backends[i]->name,
			 loop->reason[0] ? loop->reason : weir_strerror(err));
	}
	if (err)
		return err;
	if (!loop->reason[0])
		snprintf(loop->reason, sizeof(loop->reason), "%s",
			 name ? "asked for" : "first choice");
	loop_log(loop, WEIR_LOG_INFO, "backend %s: %s", loop->backend->name, loop->reason);
	if (!loop->backend->fixed_files && (loop->opts.flags & WEIR_LOOP_SQPOLL ||
					    loop->opts.napi_us))
		loop_log(loop, WEIR_LOG_WARN, "backend %s: a polling kernel was asked for, which "
			 "uring alone has", loop->backend->name);
	return 0;
}

/*
 * The rings are not inherited: whoever uses the loop there all the same is told, before
 * the parent's is harmed.
 */
static void loop_forked(struct fork_watch *watch)
{
	struct weir_loop *loop = container_of(watch, struct weir_loop, fork);

	loop->forked = true;
	op_route(loop);
}

int weir_loop_open(struct weir_loop **loopp, const struct weir_loop_opts *given)
{
	struct weir_alloc alloc = given && given->sz >= offsetof(struct weir_loop_opts, log) &&
				  given->alloc ? *given->alloc : base_alloc_libc;
	struct weir_loop *loop;
	int err;

	loop = mem_get(&alloc, 1, sizeof(*loop), _Alignof(struct weir_loop));
	if (!loop)
		return -ENOMEM;
	list_init(&loop->waiting);
	list_init(&loop->timers);
	list_init(&loop->finished);
	list_init(&loop->accepts);
	err = read_opts(loop, given);
	if (err)
		goto free_loop;
	err = slots_open(loop);
	if (err)
		goto free_loop;
	err = lend_open(loop);
	if (err)
		goto free_slots;
	err = gathers_open(loop);
	if (err)
		goto close_lend;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (loop->wake_fd < 0) {
		err = -errno;
		goto free_gathers;
	}
	err = offload_open(loop);
	if (err)
		goto close_wake;
	err = pick_backend(loop);
	if (err)
		goto close_offload;
	op_route(loop);
	loop->fork.in_child = loop_forked;
	err = fork_watch_add(&loop->fork);
	if (err)
		goto close_backend;
	*loopp = loop;
	return 0;

close_backend:
	files_close(loop);
	loop->backend->close(loop);
close_offload:
	offload_close(loop);
close_wake:
	close(loop->wake_fd);
free_gathers:
	gathers_close(loop);
close_lend:
	lend_close(loop);
free_slots:
	mem_put(&alloc, loop->slots, loop->slots_max, sizeof(*loop->slots));
free_loop:
	mem_put(&alloc, loop, 1, sizeof(*loop));
	return err;
}

void loop_free(struct weir_loop *loop)
{
	struct weir_alloc alloc = loop->alloc;
	uint32_t i;

	fork_watch_del(&loop->fork);
	for (i = 0; i < GROUPS_MAX; i++) {
		if (loop->groups[i])
			group_close(loop->groups[i]);
	}
	offload_close(loop);
	files_close(loop);
	loop->backend->close(loop);
	close(loop->wake_fd);
	gathers_close(loop);
	lend_close(loop);
	mem_put(&alloc, loop->slots, loop->slots_max, sizeof(*loop->slots));
	mem_put(&alloc, loop, 1, sizeof(*loop));
}

void loop_abandon(struct weir_loop *loop)
{
	uint32_t i;

	if (!loop)
		return;
	for (i = 0; i < GROUPS_MAX; i++) {
		struct io_group *group = loop->groups[i];

		if (!group)
			continue;
		list_init(&group->waiters);
		list_init(&group->hungry);
		group->parked = 0;
	}
	loop_free(loop);
}

void loop_lose(struct weir_loop *loop, const struct weir_op *op)
{
	int fd = -ENOENT;

	if (op->opcode != WEIR_OP_INSTALL)
		return;
	if (op->lib_state == OP_FINISHED)
		fd = op->res;
	else if ((op->lib_state == OP_ARMED || op->lib_state == OP_SHORT) && loop->backend->brought)
		fd = loop->backend->brought(loop, op);
	if (fd >= 0)
		loop->sys->close(loop, fd);
}
