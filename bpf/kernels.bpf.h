/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* kernels.bpf.h - structures of the kernel: members lie where this kernel has them */
#ifndef BPF_KERNELS_BPF_H
#define BPF_KERNELS_BPF_H

#define KERNELS_OWN	__attribute__((preserve_access_index))

#endif /* BPF_KERNELS_BPF_H */
