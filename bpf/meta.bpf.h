/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * meta.bpf.h - what every program says of itself, for bpftool prog show
 *
 * The kernel shows the read-only data that is bound to a program, and bpftool
 * prints what is named bpf_metadata_* in it. The build says both.
 */
#ifndef BPF_META_BPF_H
#define BPF_META_BPF_H

#include <bpf/bpf_helpers.h>

#ifndef WEIR_BPF_VERSION
#error the build must define WEIR_BPF_VERSION and WEIR_BPF_BUILD_ID
#endif

const volatile char bpf_metadata_version[] SEC(".rodata") = WEIR_BPF_VERSION;
const volatile char bpf_metadata_build_id[] SEC(".rodata") = WEIR_BPF_BUILD_ID;

#endif /* BPF_META_BPF_H */
