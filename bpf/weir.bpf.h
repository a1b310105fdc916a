/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * weir.bpf.h - what the BPF programs of weir share: maps that both objects use
 * and the arithmetic on a worker's pending connections
 *
 * The loader gives the maps of the object loaded first to the second one, and
 * sets max_entries to the number of workers; 1 stands for "set by the loader".
 */
#ifndef BPF_WEIR_BPF_H
#define BPF_WEIR_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <weir/wire.h>

#include "meta.bpf.h"
#include "rows.bpf.h"

/*
 * A key on the stack has a slot of its own: without CAP_PERFMON the verifier of
 * 6.1 refuses two values of four bytes in one.
 */
#define ON_STACK	__attribute__((aligned(8)))

/* What is rare stands apart from what runs for every packet: less to fetch. */
#define LIKELY(x)	__builtin_expect(!!(x), 1)
#define UNLIKELY(x)	__builtin_expect(!!(x), 0)

/* Mapped too, so that every entry starts on a cache line of its own. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_pending);
} weir_pending SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_admin);
} weir_admin SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct weir_flow);
} weir_flow SEC(".maps");

static __always_inline struct weir_cfg *weir_cfg_get(void)
{
	__u32 zero ON_STACK = 0;

	return bpf_map_lookup_elem(&weir_cfg, &zero);
}

/*
 * Connections of a worker that wait for accept. Refreshes since_ns when the
 * worker made progress since the last look, so that since_ns is the age of the
 * oldest one that could still be waiting, never an older one. Racing CPUs store
 * the same facts a few nanoseconds apart.
 */
static __always_inline void pending_look(struct weir_pending *pending, __u64 accepted, __u64 now)
{
	__s64 waiting = pending->established - accepted - pending->unaccepted;

	if (waiting <= 0 || accepted != pending->accepted_seen) {
		pending->accepted_seen = accepted;
		pending->since_ns = now;
	}
}

/* One more connection waits for the worker. */
static __always_inline void pending_add(__u32 of, __u64 now)
{
	__u32 worker ON_STACK = of;
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);
	struct weir_pending *pending = bpf_map_lookup_elem(&weir_pending, &worker);

	if (!row || !pending)
		return;
	pending_look(pending, row->accepted, now);
	__sync_fetch_and_add(&pending->established, 1);
}

#endif /* BPF_WEIR_BPF_H */
