// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * event.c - the rings of the workers, and events that user space raises
 *
 * Needs CAP_BPF alone, so there are signals on every rung that has BPF.
 */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "event.skel.h"
#include "steer.skel.h"

#include "bpf/instance.h"

static int event_share(struct weir_bpf *bpf, struct event_bpf *event)
{
	int err = maps_share(event->obj, bpf->steer->obj);

	return err ? err : bpf_map__set_max_entries(event->maps.weir_events, bpf->opts.workers);
}

/* All at once: the kernel waits for running programs after each update of such a map. */
int rings_publish(struct weir_bpf *bpf)
{
	int events_fd = bpf_map__fd(bpf->event->maps.weir_events);
	uint32_t keys[WEIR_WORKERS_MAX], count = bpf->opts.workers, i;
	int fds[WEIR_WORKERS_MAX];

	for (i = 0; i < count; i++) {
		keys[i] = i;
		fds[i] = bpf->members[i].ring.fd;
	}
	return bpf_map_update_batch(events_fd, keys, fds, &count, NULL);
}

/* An owner that lives keeps its rings until it has left: bpf_seal(). */
static int rings_open(struct weir_bpf *bpf, const struct reason *reason)
{
	uint32_t i;
	int err = 0;

	for (i = 0; i < bpf->opts.workers && !err; i++)
		err = ring_open(&bpf->members[i].ring, "weir_ring", bpf->opts.ring_bytes);
	if (!err && bpf->adopted != WEIR_BPF_TAKEN)
		err = rings_publish(bpf);
	return err ? reason_set(reason, err, "event rings: %s", strerror(-err)) : 0;
}

int event_load(struct weir_bpf *bpf, const struct reason *reason)
{
	const char *said;
	int err;

	capture_begin();
	bpf->event = event_bpf__open();
	err = bpf->event ? event_share(bpf, bpf->event) : -errno;
	if (!err)
		err = adopt_maps(bpf, bpf->event->obj, reason);
	if (!err)
		err = event_bpf__load(bpf->event);
	said = capture_end();
	if (err == -EPROTO)
		return err;	/* adopt_maps() has said which map */
	if (err)
		return reason_set(reason, err, "cannot load the event program: %s (%s)",
				  strerror(-err), said);
	return rings_open(bpf, reason);
}

void event_unload(struct weir_bpf *bpf)
{
	uint32_t i;

	for (i = 0; i < bpf->opts.workers; i++)
		ring_close(&bpf->members[i].ring);
	event_bpf__destroy(bpf->event);
	bpf->event = NULL;
}

int event_raise(struct weir_bpf *bpf, const struct weir_event *event)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = event, .ctx_size_in = sizeof(*event));
	int err;

	if (event->worker >= bpf->opts.workers)
		return -EINVAL;
	err = bpf_prog_test_run_opts(bpf_program__fd(bpf->event->progs.weir_raise), &run);
	if (err)
		return err;
	return run.retval ? -EIO : 0;
}
