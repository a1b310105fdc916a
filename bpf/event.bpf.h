/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * event.bpf.h - raise an event: into the table of recent ones, the ring of the
 * worker it is for and, while somebody observes, the observers' ring
 *
 * Whatever raises one, in the kernel or (through weir_raise) in user space,
 * comes through here, so that there is one order: event.seq.
 */
#ifndef BPF_EVENT_BPF_H
#define BPF_EVENT_BPF_H

#include "weir.bpf.h"

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ring);
} weir_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} weir_observe SEC(".maps");

/* The last events, for readers who come later: a ring buffer dumps as empty. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WEIR_RECENT_MAX);
	__type(key, __u32);
	__type(value, struct weir_event);
} weir_recent SEC(".maps");

/* How many events there were: the seq of the last one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} weir_seq SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_stats);
} weir_stats SEC(".maps");

static __always_inline struct weir_stats *stats_get(void)
{
	__u32 zero ON_STACK = 0;

	return bpf_map_lookup_elem(&weir_stats, &zero);
}

/*
 * Nobody else writes into it until it is sent: seq is 0 meanwhile, and so the slot
 * empty for readers. One that was never used has no time either. Both exchanges are
 * full barriers, so that whoever reads an event twice and finds the same has a whole
 * one.
 */
static __always_inline bool event_claim(struct weir_event *event)
{
	__u32 old = *(volatile __u32 *)&event->seq;

	if (old)
		return __sync_val_compare_and_swap(&event->seq, old, 0) == old;
	return __sync_val_compare_and_swap(&event->ns, 0, 1) == 0;
}

#define EVENT_TRIES	4

/*
 * Events are made in the table of recent ones, never on the stack: without
 * CAP_PERFMON the verifier of 6.1 refuses two members of four bytes in one
 * stack slot. A slot that another processor still writes, a whole table of events
 * behind, is left to it. If that is so of several, the table was edited by hand.
 */
static __always_inline struct weir_event *event_new(__u32 *seq)
{
	__u32 slot ON_STACK = 0;
	__u64 *last = bpf_map_lookup_elem(&weir_seq, &slot);
	struct weir_event *event = NULL;
	__u32 i;

	if (!last)
		return NULL;
	*seq = __sync_fetch_and_add(last, 1) + 1;
	for (i = 0; i < EVENT_TRIES; i++) {
		slot = (*seq + i) % WEIR_RECENT_MAX;
		event = bpf_map_lookup_elem(&weir_recent, &slot);
		if (!event || event_claim(event))
			return event;
	}
	event->seq = 0;
	return event;
}

/* A copy into a ring: the event's own slot does not have its number yet. */
static __always_inline bool event_put(void *ring, const struct weir_event *event, __u32 seq)
{
	struct weir_event *copy = bpf_ringbuf_reserve(ring, sizeof(*copy), 0);

	if (!copy)
		return false;
	*copy = *event;
	copy->seq = seq;
	bpf_ringbuf_submit(copy, 0);
	return true;
}

static __always_inline void event_rings(const struct weir_event *event, __u32 seq, bool told)
{
	__u32 worker ON_STACK = event->worker;
	struct weir_stats *stats = stats_get();
	struct weir_cfg *cfg = weir_cfg_get();
	void *ring;

	if (!stats || !cfg)
		return;
	stats->events++;
	if (!told) {
		ring = bpf_map_lookup_elem(&weir_events, &worker);
		if (!ring || !event_put(ring, event, seq))
			stats->event_dropped++;
	}
	if (cfg->observers && !event_put(&weir_observe, event, seq))
		stats->observe_dropped++;
}

/* @told: the worker knows already, since it is the one who raised it. */
static __always_inline void event_send(struct weir_event *event, __u32 seq, bool told)
{
	event_rings(event, seq, told);
	/* From here on the slot is whoever's. */
	__sync_lock_test_and_set(&event->seq, seq);
}

#endif /* BPF_EVENT_BPF_H */
