// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * probe.bpf.c - can a function of an XDP program be replaced by another program?
 *
 * That is what libxdp's dispatcher is made of. Only loaded, never attached.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__noinline int slot(struct xdp_md *md)
{
	volatile int verdict = XDP_PASS;

	return md ? verdict : XDP_ABORTED;
}

SEC("xdp")
int weir_probe(struct xdp_md *md)
{
	return slot(md);
}

SEC("freplace/slot")
int weir_probe_slot(struct xdp_md *md)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
