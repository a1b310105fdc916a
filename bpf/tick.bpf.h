/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * tick.bpf.h - the time, up to a tick of the kernel's ago
 *
 * A call into the kernel is the dearest of all that a program does for a packet, and
 * the clock's is one. The count of ticks is read without one.
 */
#ifndef BPF_TICK_BPF_H
#define BPF_TICK_BPF_H

#include "weir.bpf.h"

/* When this CPU first asked for the time in this tick. */
struct weir_tick {
	__u64 ticks;
	__u64 ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_tick);
} weir_tick SEC(".maps");

/* *@now is the exact time, or 0 while it is not known: set when it had to be asked for. */
static __always_inline __u64 tick_ns(__u64 *now)
{
	__u32 zero ON_STACK = 0;
	__u64 ticks = bpf_jiffies64();
	struct weir_tick *tick = bpf_map_lookup_elem(&weir_tick, &zero);

	if (LIKELY(tick && tick->ticks == ticks))
		return tick->ns;
	if (!*now)
		*now = bpf_ktime_get_ns();
	if (tick) {
		tick->ns = *now;
		tick->ticks = ticks;
	}
	return *now;
}

#endif /* BPF_TICK_BPF_H */
