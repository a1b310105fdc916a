// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * group.bpf.c - whose program the listeners' groups really have, as a text
 *
 * A program of a reuseport group has no link, and no call tells which one it is:
 * the last one that was attached. But the kernel's own structures do. weir_group is
 * on the listeners and on nothing else, so that reading it walks these alone,
 * however many connections there are.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <weir/wire.h>

#include "meta.bpf.h"
#include "seq.bpf.h"

/* The kernel's own, as far as they are used. */
struct bpf_prog_aux {
	__u32 id;
} KERNELS_OWN;

struct bpf_prog {
	struct bpf_prog_aux *aux;
} KERNELS_OWN;

struct sock_reuseport {
	struct bpf_prog *prog;
} KERNELS_OWN;

struct sock_common {
	unsigned short skc_family;
} KERNELS_OWN;

struct sock {
	struct sock_common __sk_common;
	struct sock_reuseport *sk_reuseport_cb;
} KERNELS_OWN;

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
} KERNELS_OWN;

/* No clone flag: it stays on the listener. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct weir_group);
} weir_group SEC(".maps");

SEC("iter/bpf_sk_storage_map")
int weir_iter_group(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	const struct weir_group *group = ctx->value;
	struct sock *sk = ctx->sk;
	struct sock_reuseport *reuse;
	struct bpf_prog *prog;
	__u32 id = 0;

	if (!ctx->meta->seq_num)
		BPF_SEQ_PRINTF(seq, "%6s %6s %10s %10s\n", "WORKER", "FAMILY", "PROGRAM", "OURS");
	if (!sk || !group)
		return 0;
	reuse = sk->sk_reuseport_cb;
	if (!reuse)
		return 0;	/* it does not listen, or not any more */
	prog = reuse->prog;
	if (prog)
		id = prog->aux->id;
	BPF_SEQ_PRINTF(seq, "%6u %6s %10u %10u\n", group->worker,
		       sk->__sk_common.skc_family == WEIR_FAMILY_INET6 ? "inet6" : "inet", id,
		       group->prog);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
