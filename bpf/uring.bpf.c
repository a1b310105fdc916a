// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * uring.bpf.c - how long io_uring operations take, of any process
 *
 * From the submission of a request to its completion, by its address. What a
 * multishot request posts in between has no request in the tracepoint: its time
 * is the one from its start to its end. The name of the first tracepoint and the
 * arguments of the second changed between kernels; what is used did not.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <weir/wire.h>

#include "kernels.bpf.h"
#include "meta.bpf.h"

struct io_kiocb {
	__u8 opcode;
} KERNELS_OWN;

/* Of one process in that pid namespace; 0: of all. */
const volatile __u32 pid_only;
const volatile __u64 ns_dev;
const volatile __u64 ns_ino;

/* Requests under way. Those that never complete are pushed out. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, __u64);
} weir_lat_start SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEIR_LAT_OPS);
	__type(key, __u32);
	__type(value, struct weir_lat);
} weir_lat SEC(".maps");

static __always_inline bool wanted(void)
{
	struct bpf_pidns_info ids = {};

	if (!pid_only)
		return true;
	return !bpf_get_ns_current_pid_tgid(ns_dev, ns_ino, &ids, sizeof(ids)) &&
	       ids.tgid == pid_only;
}

/*
 * A request that posted no completion left its start behind: who gets its memory next
 * must not be measured from there.
 */
static __always_inline int submitted(__u64 request)
{
	__u64 now = bpf_ktime_get_ns();

	if (wanted())
		bpf_map_update_elem(&weir_lat_start, &request, &now, BPF_ANY);
	else if (bpf_map_lookup_elem(&weir_lat_start, &request))
		bpf_map_delete_elem(&weir_lat_start, &request);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int weir_lat_req(__u64 *args)
{
	return submitted(args[0]);
}

/* Its name before 6.4. */
SEC("tp_btf/io_uring_submit_sqe")
int weir_lat_sqe(__u64 *args)
{
	return submitted(args[0]);
}

static __always_inline __u32 bucket_of(__u64 ns)
{
	__u32 i = 0;

	/* No instruction counts leading zeroes here. */
	if (ns >> 32)
		return WEIR_HIST_BUCKETS - 1;
	if (ns >> 16) {
		ns >>= 16;
		i += 16;
	}
	if (ns >> 8) {
		ns >>= 8;
		i += 8;
	}
	if (ns >> 4) {
		ns >>= 4;
		i += 4;
	}
	if (ns >> 2) {
		ns >>= 2;
		i += 2;
	}
	i += ns >> 1 ? 2 : ns;
	return i < WEIR_HIST_BUCKETS ? i : WEIR_HIST_BUCKETS - 1;
}

SEC("tp_btf/io_uring_complete")
int weir_lat_done(__u64 *args)
{
	__u64 request = args[1];
	struct io_kiocb *req = (void *)request;
	__u64 *start, ns;
	struct weir_lat *lat;
	__u32 op;

	start = bpf_map_lookup_elem(&weir_lat_start, &request);
	if (!start)
		return 0;
	ns = bpf_ktime_get_ns() - *start;
	bpf_map_delete_elem(&weir_lat_start, &request);
	op = BPF_CORE_READ(req, opcode);
	lat = bpf_map_lookup_elem(&weir_lat, &op);
	if (!lat)
		return 0;
	lat->count++;
	lat->total_ns += ns;
	if (ns > lat->max_ns)
		lat->max_ns = ns;
	lat->buckets[bucket_of(ns) & (WEIR_HIST_BUCKETS - 1)]++;
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
