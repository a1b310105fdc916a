// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * overflow.c - signals of completion queues that overflowed
 *
 * An extra: without CAP_PERFMON, or where the kernel has no such tracepoint, a
 * worker still counts overflows in the statistics of its loop.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "event.skel.h"
#include "overflow.skel.h"
#include "steer.skel.h"

#include "bpf/instance.h"

static int overflow_share(struct weir_bpf *bpf, struct overflow_bpf *over)
{
	struct stat st;
	int err;

	err = maps_share(over->obj, bpf->steer->obj);
	if (!err)
		err = maps_share(over->obj, bpf->event->obj);
	if (err)
		return err;
	if (stat("/proc/self/ns/pid", &st))
		return -errno;
	over->rodata->pid_ns = (uint32_t)st.st_ino;
	return bpf_map__set_max_entries(over->maps.weir_overflow, bpf->opts.workers);
}

static int overflow_start(struct weir_bpf *bpf, struct overflow_bpf *over)
{
	int err;

	err = overflow_share(bpf, over);
	if (!err)
		err = overflow_bpf__load(over);
	if (!err)
		err = overflow_bpf__attach(over);
	if (!err)
		err = array_map((void **)&bpf->overflows, over->maps.weir_overflow);
	return err;
}

void overflow_load(struct weir_bpf *bpf)
{
	const char *said;
	int err;

	capture_begin();
	bpf->overflow = overflow_bpf__open();
	err = bpf->overflow ? overflow_start(bpf, bpf->overflow) : -errno;
	said = capture_end();
	if (!err)
		return;
	overflow_unload(bpf);
	/* Without CAP_PERFMON the rung says so already. */
	if (bpf->rung == WEIR_RUNG_FULL)
		bpf_log(bpf, WEIR_LOG_WARN, "bpf: instance %s: no signals of completion queues: %s"
			" (%s)", bpf->name, strerror(-err), said);
}

void overflow_unload(struct weir_bpf *bpf)
{
	if (bpf->overflows)
		array_unmap((void **)&bpf->overflows, bpf->overflow->maps.weir_overflow);
	overflow_bpf__destroy(bpf->overflow);
	bpf->overflow = NULL;
}

/* Not the link: the program ends with its owner, and with it what it costs others. */
int overflow_pin(struct weir_bpf *bpf, const struct reason *reason)
{
	struct overflow_bpf *over = bpf->overflow;
	int err;

	if (!over)
		return 0;
	err = pin_fd(bpf, bpf_map__fd(over->maps.weir_overflow), "weir_overflow", reason);
	return err ? err : pin_prog(bpf, bpf_program__fd(over->progs.weir_overflown),
				    "weir_overflown", reason);
}

/* The kernel half has no timer: what has been quiet for a second ends here. */
void overflow_tick(struct weir_bpf *bpf, uint64_t now_ns)
{
	uint32_t i;

	for (i = 0; bpf->overflows && i < bpf->opts.workers; i++) {
		struct weir_overflow *over = &bpf->overflows[i];
		struct weir_event event = {
			.ns	= now_ns,
			.kind	= WEIR_EV_CQ_OVERFLOW,
			.edge	= WEIR_EDGE_OFF,
			.worker	= i,
		};

		if (!__atomic_load_n(&over->on, __ATOMIC_RELAXED) ||
		    now_ns < __atomic_load_n(&over->last_ns, __ATOMIC_RELAXED) + NSEC_PER_SEC)
			continue;
		__atomic_store_n(&over->on, 0, __ATOMIC_SEQ_CST);
		event.value = __atomic_exchange_n(&over->count, 0, __ATOMIC_RELAXED);
		event_raise(bpf, &event);
	}
}
