// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * event.bpf.c - events that do not come from a packet
 *
 * weir_raise is run from user space, by BPF_PROG_TEST_RUN: a ring buffer has no
 * other writer than BPF, and so the events of user space keep one order with
 * those of the kernel. Running a program takes its descriptor and no capability.
 */
#include "event.bpf.h"

/* An event about a connection comes from its worker: only the others are told. */
SEC("syscall")
int weir_raise(struct weir_event *raised)
{
	__u32 seq ON_STACK;
	struct weir_event *event = event_new(&seq);

	if (!event)
		return 1;
	event->ns = raised->ns;
	event->cookie = raised->cookie;
	event->value = raised->value;
	event->limit = raised->limit;
	event->kind = raised->kind;
	event->edge = raised->edge;
	event->worker = raised->worker;
	event_send(event, seq, event->cookie != 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
