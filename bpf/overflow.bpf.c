// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * overflow.bpf.c - the completion queue of a worker has overflowed
 *
 * Host-wide, but on a path that a ring which is big enough never takes. A worker
 * is known by its thread id in the pid namespace of the instance, as its row has it.
 * The edge is on from the first completion that found no place; user space ends it
 * when there has been none for a second, with their number.
 */
#include "event.bpf.h"
#include "kernels.bpf.h"

#include <bpf/bpf_core_read.h>

struct ns_common {
	unsigned int inum;
} KERNELS_OWN;

struct pid_namespace {
	struct ns_common ns;
} KERNELS_OWN;

struct upid {
	int nr;
	struct pid_namespace *ns;
} KERNELS_OWN;

struct pid {
	unsigned int level;
	struct upid numbers[1];
} KERNELS_OWN;

struct task_struct {
	struct pid *thread_pid;
} KERNELS_OWN;

struct io_ring_ctx {
	struct task_struct *submitter_task;
} KERNELS_OWN;

/* The pid namespace of the workers. */
const volatile __u32 pid_ns;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_overflow);
} weir_overflow SEC(".maps");

struct search {
	__u64 tid;
	__u64 found;
};

static long match_tid(__u32 worker, struct search *search)
{
	struct weir_worker_row *row = bpf_map_lookup_elem(&weir_worker, &worker);

	if (!row || row->pid != search->tid || row->state == WEIR_DEAD)
		return 0;
	search->found = worker;
	return 1;
}

/* Its thread id where it lives; 0: not in our namespace. */
static __always_inline __u32 tid_of(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	unsigned int level = BPF_CORE_READ(pid, level);
	struct upid *last = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
			    level * bpf_core_type_size(struct upid);
	__u32 inum = BPF_CORE_READ(last, ns, ns.inum);

	return inum == pid_ns ? BPF_CORE_READ(last, nr) : 0;
}

static __always_inline void overflow_raise(__u32 worker, __u64 count, __u64 now)
{
	__u32 seq ON_STACK;
	struct weir_event *event = event_new(&seq);

	if (!event)
		return;
	event->ns = now;
	event->cookie = 0;
	event->value = count;
	event->limit = 0;
	event->kind = WEIR_EV_CQ_OVERFLOW;
	event->edge = WEIR_EDGE_ON;
	event->worker = worker;
	event_send(event, seq, false);
}

SEC("tp_btf/io_uring_cqe_overflow")
int weir_overflown(__u64 *args)
{
	__u32 worker ON_STACK = WEIR_WORKER_NONE;
	struct weir_cfg *cfg = weir_cfg_get();
	struct search search = { .found = WEIR_WORKER_NONE };
	struct io_ring_ctx *ring = (void *)args[0];
	struct weir_overflow *over;
	struct task_struct *task;
	__u64 now;

	if (!cfg || cfg->workers > WEIR_WORKERS_MAX)
		return 0;
	/* Only a ring with one issuer knows it; the others complete in their task. */
	task = BPF_CORE_READ(ring, submitter_task);
	if (!task)
		task = (void *)bpf_get_current_task();
	search.tid = tid_of(task);
	if (search.tid)
		bpf_loop(cfg->workers, match_tid, &search, 0);
	worker = search.found;
	over = bpf_map_lookup_elem(&weir_overflow, &worker);
	if (!over)
		return 0;
	now = bpf_ktime_get_ns();
	__sync_fetch_and_add(&over->count, 1);
	over->last_ns = now;
	if (!__sync_lock_test_and_set(&over->on, 1))
		overflow_raise(worker, over->count, now);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
