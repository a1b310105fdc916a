/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * seq.bpf.h - what an iterator that prints needs of the kernel's own structures
 */
#ifndef BPF_SEQ_BPF_H
#define BPF_SEQ_BPF_H

#include <linux/types.h>

#include "kernels.bpf.h"

struct seq_file;
struct bpf_map;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
} KERNELS_OWN;

#endif /* BPF_SEQ_BPF_H */
