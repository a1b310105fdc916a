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
	OPS_PER_MSG	= 1,
	OPS_MORE	= 64,	/* accept, polls, cookies being read */
	CARRIER_BUFS	= 2048,	/* in a pool of the carrier's own */
	FILES_MORE	= 16,	/* listener, ring of signals, the user's few */
	BUFS_PER_CONN	= 2,	/* a pool lends fewer than all: see pool.h */
	BUFS_MIN	= 128,
	BUFS_MAX	= 16384,
	CQ_ROOM		= WEIR_LOOP_CQ_MAX - 128,	/* without the loop's own share */
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
	uint64_t room = CQ_ROOM;
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

/*
 * One for each connection without parking one, and as many again for what the
 * pool keeps back; fewer where the completion queue has no room for that.
 */
static uint32_t bufs_fit(uint32_t conns, uint32_t ops)
{
	uint64_t used = (uint64_t)ops + conns + FILES_MORE;
	uint64_t room = used < CQ_ROOM ? CQ_ROOM - used : 0;
	uint64_t want = min_u64((uint64_t)conns * BUFS_PER_CONN, min_u64(BUFS_MAX, room));

	return want < BUFS_MIN ? BUFS_MIN : (uint32_t)want;
}

/* A limit of the caller's: with less, receives would hold what sends wait for. */
static int given_fits(const struct weir_service *service, const char *name, uint32_t given,
		      uint32_t least)
{
	if (!given || given >= least)
		return 0;
	service_log(service, WEIR_LOG_ERROR, "service: %u connections need %s of %u, it is %u",
		    service->opts.conns_max, name, least, given);
	return -EINVAL;
}

int limits_fit(struct weir_service *service)
{
	struct weir_loop_opts *loop = &service->loop_opts;
	struct weir_service_opts *opts = &service->opts;
	uint32_t ops, files;
	int err;

	if (opts->conns_max > WEIR_LOOP_CQ_MAX) {
		service_log(service, WEIR_LOG_ERROR, "service: %u connections, a worker can "
			    "have %u", opts->conns_max, (unsigned int)WEIR_LOOP_CQ_MAX);
		return -EINVAL;
	}
	ops = opts->conns_max * (dgram_mode(service) ? OPS_PER_MSG : OPS_PER_CONN) + OPS_MORE;
	files = FILES_MORE + (dgram_mode(service) ? 0 : opts->conns_max);
	err = given_fits(service, "ops_max", loop->ops_max, ops);
	if (!err)
		err = given_fits(service, "files_max", loop->files_max, files);
	if (err)
		return err;
	/* One that is not acknowledged keeps all clients of a killed process waiting. */
	if (!loop->zc_min_bytes)
		loop->zc_min_bytes = UINT32_MAX;
	if (!loop->ops_max)
		loop->ops_max = ops;
	if (!opts->bufs)
		opts->bufs = bufs_fit(opts->conns_max, loop->ops_max);
	if (!loop->bufs_max)
		loop->bufs_max = opts->bufs + (opts->carrier ? CARRIER_BUFS : 0);
	if (dgram_mode(service) && !loop->files_max)
		loop->files_max = files;
	if (loop->files_max)
		return 0;
	return files_fit(service, (uint64_t)loop->ops_max + loop->bufs_max);
}
