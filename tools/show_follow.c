// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* show_follow.c - the events of an instance as they are raised */
#include <errno.h>
#include <poll.h>

#include "common.h"
#include "show.h"

#define BATCH	64
#define LOOK_MS	100	/* another observer may have taken the readiness away */

static void print_json(const struct weir_event *event)
{
	struct json j;

	json_init(&j, stdout, false);
	show_event_json(&j, event);
	json_fini(&j);
}

static void print_line(const struct weir_event *event)
{
	printf("%-14.6f %6u  %-12s %-3s %12llu %12llu %llu\n", (double)event->ns / 1e9,
	       event->worker, show_kind(event->kind), show_edge(event->edge), event->value,
	       event->limit, event->cookie);
}

static void follow_all(struct weir_bpf_observer *observer, bool json)
{
	struct weir_event events[BATCH];
	unsigned int i, count;

	do {
		count = weir_bpf_observe_take(observer, events, BATCH);
		for (i = 0; i < count; i++) {
			if (json)
				print_json(&events[i]);
			else
				print_line(&events[i]);
		}
	} while (count == BATCH && !interrupted);
}

static void tell_lost(struct weir_bpf_observer *observer, uint64_t *told)
{
	uint64_t lost = weir_bpf_observe_lost(observer);

	if (lost > *told)
		fprintf(stderr, "weir: %llu events were missed\n",
			(unsigned long long)(lost - *told));
	*told = lost;
}

int show_follow(const char *instance, bool json)
{
	struct weir_bpf_observer *observer;
	struct pollfd pfd = { .events = POLLIN };
	uint64_t lost = 0;
	int err;

	err = weir_bpf_observe_open(&observer, instance);
	if (err)
		return err;
	catch_signals();
	pfd.fd = weir_bpf_observe_fd(observer);
	if (!json)
		printf("%-14s %6s  %-12s %-3s %12s %12s %s\n", "AT_S", "WORKER", "KIND", "EDGE",
		       "VALUE", "LIMIT", "COOKIE");
	do {
		follow_all(observer, json);
		tell_lost(observer, &lost);
		if (fflush(stdout))
			err = -EIO;
		if (!err && !interrupted && poll(&pfd, 1, LOOK_MS) < 0 && errno != EINTR)
			err = -errno;
	} while (!err && !interrupted);
	weir_bpf_observe_close(observer);
	return err;
}
