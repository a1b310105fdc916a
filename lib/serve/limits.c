// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * limits.c - what a worker's loop must hold, from how many connections it may
 * have
 *
 * A connection has at most one receive and one send in flight; whatever else it
 * does comes before the first or after the last of them. It has one file. More
 * files than connections are wanted because multishot accept takes what the
 * backlog holds at once and drops what has no place: while fewer places than
 * that are free the loop takes one client at a time, which costs a little more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "serve/service.h"

enum {
	OPS_PER_CONN	= 2,
	OPS_MORE	= 64,	/* accept, polls, cookies being read */
	FILES_MORE	= 16,	/* listener, ring of signals, the user's few */
	BUFS_MIN	= 128,
	BUFS_MAX	= 8192,
	LOOP_RESERVE	= 128,	/* the loop's own share of the completion queue */
};

/* The kernel cuts every backlog to this. */
static uint32_t backlog_limit(void)
{
	char text[24] = "";
	int fd = open("/proc/sys/net/core/somaxconn", O_RDONLY | O_CLOEXEC);
	unsigned long value;

	if (fd < 0)
		return UINT32_MAX;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	value = strtoul(text, NULL, 10);
	return value && value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static uint64_t nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

static int files_fit(struct weir_service *service, uint64_t others)
{
	struct weir_loop_opts *loop = &service->loop_opts;
	uint64_t conns = service->opts.conns_max;
	uint64_t burst = min_u32(service->opts.backlog, backlog_limit());
	uint64_t least = conns + FILES_MORE;
	uint64_t want = least + burst + burst / 4;
	uint64_t room = WEIR_LOOP_CQ_MAX - LOOP_RESERVE;
	uint64_t limit = nofile();

	if (others + least > room) {
		service_log(service, WEIR_LOG_ERROR, "service: %llu connections need %llu "
			    "completion entries per worker, there are %llu: more workers",
			    (unsigned long long)conns, (unsigned long long)(others + least),
			    (unsigned long long)room);
		return -EINVAL;
	}
	if (least > limit) {
		service_log(service, WEIR_LOG_ERROR, "service: %llu connections need %llu "
			    "descriptors per worker, RLIMIT_NOFILE is %llu",
			    (unsigned long long)conns, (unsigned long long)least,
			    (unsigned long long)limit);
		return -EMFILE;
	}
	loop->files_max = (uint32_t)min_u64(want, min_u64(limit, room - others));
	if (loop->files_max < want)
		service_log(service, WEIR_LOG_WARN, "service: %u file slots per worker, %llu "
			    "wanted for %llu connections and a backlog of %llu (RLIMIT_NOFILE "
			    "%llu): near the limit clients are accepted one at a time",
			    loop->files_max, (unsigned long long)want, (unsigned long long)conns,
			    (unsigned long long)burst, (unsigned long long)limit);
	return 0;
}

int limits_fit(struct weir_service *service)
{
	struct weir_loop_opts *loop = &service->loop_opts;
	struct weir_service_opts *opts = &service->opts;

	if (opts->conns_max > WEIR_LOOP_CQ_MAX)
		return -EINVAL;
	if (!opts->bufs)
		opts->bufs = min_u32(opts->conns_max < BUFS_MIN ? BUFS_MIN : opts->conns_max,
				     BUFS_MAX);
	if (!loop->ops_max)
		loop->ops_max = opts->conns_max * OPS_PER_CONN + OPS_MORE;
	if (!loop->bufs_max)
		loop->bufs_max = opts->bufs;
	if (loop->files_max)
		return loop->files_max < opts->conns_max + FILES_MORE ? -EINVAL : 0;
	return files_fit(service, (uint64_t)loop->ops_max + loop->bufs_max);
}
