// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_setup.c - make a ring, or say precisely why it is refused
 *
 * The ring is made disabled. Its owner, the thread that runs the loop first,
 * registers the ring's own descriptor and enables it: SINGLE_ISSUER and the
 * registered descriptor belong to one task.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/group.h"
#include "io/lend.h"
#include "io/probe.h"
#include "io/uring.h"

enum {
	SQ_ENTRIES_MAX	= 1024,		/* a fuller turn is submitted in parts */
	SQ_IDLE_MS	= 100,		/* after that the kernel's thread sleeps */
};

/* From best to least: with DEFER_TASKRUN completions run when we ask, no sooner. */
static const uint32_t setup_flags[] = {
	URING_SINGLE_ISSUER | URING_DEFER_TASKRUN,
	IORING_SETUP_COOP_TASKRUN,
};

static int read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	int value = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

void uring_refusal(int err, char *text, size_t size)
{
	int disabled = read_number("/proc/sys/kernel/io_uring_disabled");
	const char *why = "";

	if (err == -ENOMEM)
		why = " (RLIMIT_MEMLOCK?)";
	else if (disabled > 0)
		why = disabled == 1 ? " (sysctl kernel.io_uring_disabled = 1, no CAP_SYS_ADMIN)" :
				      " (sysctl kernel.io_uring_disabled = 2)";
	else if (err == -EPERM || err == -EACCES)
		why = " (a seccomp filter or security module)";
	else if (err == -ENOSYS)
		why = " (a seccomp filter, or a kernel without io_uring)";
	snprintf(text, size, "io_uring_setup: %s%s", weir_strerror(err), why);
}

/* The kernel's thread runs completions too: nothing to be deferred. */
static const uint32_t polled_flags[ARRAY_SIZE(setup_flags)] = {
	IORING_SETUP_SQPOLL | URING_SINGLE_ISSUER,
	IORING_SETUP_SQPOLL,
};

static void napi_open(struct weir_loop *loop, struct uring *u)
{
	struct uring_napi napi = { .busy_poll_us = loop->opts.napi_us };
	int err;

	if (!napi.busy_poll_us)
		return;
	err = io_uring_register((unsigned int)u->ring.ring_fd, URING_REGISTER_NAPI, &napi, 1);
	if (err < 0)
		loop_log(loop, WEIR_LOG_WARN, "uring: polling of network devices refused: %s",
			 weir_strerror(err));
}

/*
 * What a wait is for stands in a page that the kernel reads where it is. Only a ring
 * that is disabled still takes one.
 */
static void wait_register(struct weir_loop *loop, struct uring *u)
{
	struct uring_region region = {
		.user_addr = (uintptr_t)u->wait,
		.size = u->wait_bytes,
		.flags = URING_REGION_USER,
	};
	struct uring_region_reg reg = {
		.region = (uintptr_t)&region,
		.flags = URING_REGION_WAIT,
	};
	int err = io_uring_register((unsigned int)u->ring.ring_fd, URING_REGISTER_MEM_REGION, &reg,
				    1);

	u->wait_known = err >= 0;
	if (u->wait_known)
		loop_log(loop, WEIR_LOG_DEBUG, "uring: what waits are for is registered");
	else
		loop_log(loop, WEIR_LOG_DEBUG, "uring: what waits are for is copied each time: %s",
			 weir_strerror(err));
}

static int ring_open(struct weir_loop *loop, struct uring *u)
{
	const struct weir_loop_opts *opts = &loop->opts;
	uint32_t sq = min_u32(round_up_pow2(opts->ops_max), SQ_ENTRIES_MAX);
	uint32_t demand = opts->ops_max + opts->files_max + opts->bufs_max + 2 * SLOT_RESERVE;
	uint32_t cq_entries = round_up_pow2(demand);
	const uint32_t *flags;
	int err = -EINVAL;
	size_t i;

	u->polled = opts->flags & WEIR_LOOP_SQPOLL;
	flags = u->polled ? polled_flags : setup_flags;
	for (i = 0; i < ARRAY_SIZE(setup_flags) && err == -EINVAL; i++) {
		struct io_uring_params params = { .sq_thread_idle = SQ_IDLE_MS };

		params.flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
			       IORING_SETUP_CQSIZE | flags[i];
		params.cq_entries = cq_entries;
		err = io_uring_queue_init_params(sq, &u->ring, &params);
		u->features = params.features;
		u->deferred = flags[i] & URING_DEFER_TASKRUN;
	}
	if (err) {
		uring_refusal(err, loop->reason, sizeof(loop->reason));
		return err;
	}
	/* What is lent has a completion to come: of those that nothing else may take. */
	lend_limit(loop, cq_entries - demand);
	/* A child would fill in entries that its parent submits. */
	io_uring_ring_dontfork(&u->ring);
	loop->eager = !u->deferred;
	if (!u->deferred)
		loop_log(loop, WEIR_LOG_WARN, "uring: no DEFER_TASKRUN here: the kernel accepts "
			 "for a hung worker, rescue: off");
	return 0;
}

static int tables_open(struct weir_loop *loop, struct uring *u)
{
	struct rlimit limit;
	int err;

	err = io_uring_register_files_sparse(&u->ring, loop->files_fixed);
	if (err) {
		getrlimit(RLIMIT_NOFILE, &limit);
		snprintf(loop->reason, sizeof(loop->reason),
			 "registered-file table of %u: %s (RLIMIT_NOFILE is %llu)",
			 loop->files_fixed, weir_strerror(err),
			 (unsigned long long)limit.rlim_cur);
		return err;
	}
	err = io_uring_register_buffers_sparse(&u->ring, GROUPS_MAX);
	if (err)
		snprintf(loop->reason, sizeof(loop->reason), "registered-buffer table: %s",
			 weir_strerror(err));
	return err;
}

int uring_open(struct weir_loop *loop)
{
	struct uring *u;
	int err;

	u = mem_get(&loop->alloc, 1, sizeof(*u), _Alignof(struct uring));
	if (!u)
		return -ENOMEM;
	list_init(&u->accepts);
	u->wait_bytes = (size_t)sysconf(_SC_PAGESIZE);
	u->wait = mem_get(&loop->alloc, 1, u->wait_bytes, u->wait_bytes);
	if (!u->wait) {
		err = -ENOMEM;
		goto free_state;
	}
	err = ring_open(loop, u);
	if (err)
		goto free_wait;
	if (!(u->features & IORING_FEAT_EXT_ARG)) {
		err = -ENOSYS;
		snprintf(loop->reason, sizeof(loop->reason), "io_uring here is too old: no "
			 "waiting with a timeout (IORING_FEAT_EXT_ARG)");
		goto exit_ring;
	}
	err = uring_rows_open(loop, u);
	if (!err)
		err = tables_open(loop, u);
	if (err)
		goto exit_ring;
	wait_register(loop, u);
	napi_open(loop, u);
	if (!(u->features & URING_FEAT_MIN_TIMEOUT))
		loop_log(loop, WEIR_LOG_INFO, "uring: no minimum wait here, batching: off");
	u->accept_one = probe_denied(PROBE_ACCEPT);
	if (u->accept_one)
		loop_log(loop, WEIR_LOG_INFO, "uring: multishot accept: %s",
			 probe_denied(PROBE_ACCEPT));
	loop->priv = u;
	return 0;

exit_ring:
	io_uring_queue_exit(&u->ring);
free_wait:
	mem_put(&loop->alloc, u->wait, 1, u->wait_bytes);
free_state:
	mem_put(&loop->alloc, u, 1, sizeof(*u));
	return err;
}

int uring_enable(struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);
	int err;

	/* Saves a reference count per call; without it the plain one serves. */
	err = io_uring_register_ring_fd(&u->ring);
	if (err < 0)
		loop_log(loop, WEIR_LOG_INFO, "uring: ring descriptor not registered: %s",
			 weir_strerror(err));
	/* io_uring_enable_rings() is not exported by the shared liburing 2.3. */
	err = io_uring_register(u->ring.ring_fd, URING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (err < 0)
		return err;
	return 0;
}

/*
 * The kernel frees the table of a ring when the last request of it has ended; that of a
 * send without a copy ends when the peer has acknowledged, which may be never. Until
 * then each file of the table, also those of other peers, would be open.
 */
static void let_go_of_files(struct weir_loop *loop, struct uring *u)
{
	int err;

	if (!loop->files_fixed)
		return;
	err = io_uring_register((unsigned int)u->ring.ring_fd, IORING_UNREGISTER_FILES, NULL, 0);
	if (err < 0)
		loop_log(loop, WEIR_LOG_WARN, "uring: files stay open until the kernel is rid of "
			 "the ring: %s", weir_strerror(err));
}

void uring_close(struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);

	uring_lose_bells(loop);
	uring_nest_close(loop);
	let_go_of_files(loop, u);
	io_uring_queue_exit(&u->ring);
	mem_put(&loop->alloc, u->wait, 1, u->wait_bytes);
	uring_gather_close(loop);
	mem_put(&loop->alloc, u, 1, sizeof(*u));
	loop->priv = NULL;
}
