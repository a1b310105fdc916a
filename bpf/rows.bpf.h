/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * rows.bpf.h - the workers' rows and the configuration, which every program on the
 * way to a worker reads; 1 stands for "set by the loader"
 */
#ifndef BPF_ROWS_BPF_H
#define BPF_ROWS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <weir/wire.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_worker_row);
} weir_worker SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_cfg);
} weir_cfg SEC(".maps");

#endif /* BPF_ROWS_BPF_H */
