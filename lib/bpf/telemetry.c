// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * telemetry.c - the flow programs and the cgroup they watch
 *
 * Nothing here is necessary for steering. What cannot be had costs a rung, with
 * the reason in bpf->why and one warning.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "event.skel.h"
#include "flow.skel.h"
#include "steer.skel.h"

#include "bpf/instance.h"

/* What to ask the kernel for, best first; queues and tracing take CAP_PERFMON. */
static const struct attempt {
	bool queues;
	bool state;
	enum weir_rung rung;
	const char *why;
} attempts[] = {
	{ true, true, WEIR_RUNG_FULL, "" },
	{ true, false, WEIR_RUNG_FLOW, "no inet_sock_set_state tracepoint" },
	{ false, false, WEIR_RUNG_FLOW, "no queue lengths: CAP_PERFMON is needed" },
};

static int flow_share(struct weir_bpf *bpf, struct flow_bpf *flow)
{
	int err = maps_share(flow->obj, bpf->steer->obj);

	return err ? err : maps_share(flow->obj, bpf->event->obj);
}

static int flow_try(struct weir_bpf *bpf, const struct attempt *attempt,
		    const struct reason *reason)
{
	struct flow_bpf *flow;
	int err;

	flow = flow_bpf__open();
	if (!flow)
		return -errno;
	bpf_program__set_autoload(flow->progs.weir_sockops, !attempt->queues);
	bpf_program__set_autoload(flow->progs.weir_sockops_q, attempt->queues);
	bpf_program__set_autoload(flow->progs.weir_tp_state, attempt->state);
	err = flow_share(bpf, flow);
	if (!err)
		err = adopt_maps(bpf, flow->obj, reason);
	if (!err)
		err = flow_bpf__load(flow);
	if (err) {
		flow_bpf__destroy(flow);
		return err;
	}
	bpf->flow = flow;
	bpf->rung = attempt->rung;
	strcpy(bpf->why, attempt->why);
	return 0;
}

static int flow_open(struct weir_bpf *bpf, const struct reason *reason)
{
	const char *said = "";
	int err = -EINVAL;
	size_t i;

	for (i = 0; err && i < ARRAY_SIZE(attempts); i++) {
		capture_begin();
		err = flow_try(bpf, &attempts[i], reason);
		said = capture_end();
	}
	if (err == -EPROTO)
		return err;	/* adopt_maps() has said which map */
	if (err == -EPERM)
		return reason_set(reason, err, "no flows: CAP_NET_ADMIN is needed (%s)", said);
	if (err)
		return reason_set(reason, err, "no flows: cannot load: %s (%s)", strerror(-err),
				  said);
	bpf->own_fd = bpf_map__fd(bpf->flow->maps.weir_own);
	return 0;
}

static int flow_attach(struct weir_bpf *bpf, const struct reason *reason)
{
	struct flow_bpf *flow = bpf->flow;
	bool queues = bpf_program__fd(flow->progs.weir_sockops_q) >= 0;
	struct bpf_program *prog = queues ? flow->progs.weir_sockops_q : flow->progs.weir_sockops;
	struct bpf_link **linkp = queues ? &flow->links.weir_sockops_q : &flow->links.weir_sockops;
	const char *said;
	int err = 0;

	capture_begin();
	if (adopt_cgroup(bpf))
		err = adopt_link(bpf, "weir_link_ops", prog, linkp);
	else
		*linkp = bpf_program__attach_cgroup(prog, bpf->cgroup_fd);
	if (!err && !*linkp)
		err = -errno;
	said = capture_end();
	if (err == -EPERM)
		return reason_set(reason, err, "no flows: a sockops program on a cgroup above %s "
				  "does not allow another", bpf->cgroup);
	if (err)
		return reason_set(reason, err, "no flows: cannot attach to %s: %s (%s)",
				  bpf->cgroup, strerror(-err), said);
	return 0;
}

/* The tracepoint is one of four ways to end a flow: three remain without it. */
static void state_attach(struct weir_bpf *bpf)
{
	struct bpf_program *prog = bpf->flow->progs.weir_tp_state;

	if (bpf_program__fd(prog) < 0)
		return;
	capture_begin();
	bpf->flow->links.weir_tp_state = bpf_program__attach(prog);
	capture_end();
	if (bpf->flow->links.weir_tp_state)
		return;
	bpf->rung = WEIR_RUNG_FLOW;
	strcpy(bpf->why, attempts[1].why);
}

int flow_relink(struct weir_bpf *bpf)
{
	struct flow_bpf *flow = bpf->flow;

	if (!flow)
		return 0;
	if (flow->links.weir_sockops_q)
		return bpf_link__update_program(flow->links.weir_sockops_q,
						flow->progs.weir_sockops_q);
	return bpf_link__update_program(flow->links.weir_sockops, flow->progs.weir_sockops);
}

void flow_unload(struct weir_bpf *bpf)
{
	flow_bpf__destroy(bpf->flow);
	bpf->flow = NULL;
	bpf->own_fd = -1;
	cgroup_leave(bpf);
}

static int flow_start(struct weir_bpf *bpf, const struct reason *reason)
{
	int err;

	if (bpf->dgram)
		return reason_set(reason, -EOPNOTSUPP, "flows are of connections: what is known "
				  "of datagrams is in weir_dgram");
	if (bpf->opts.flags & WEIR_BPF_NO_FLOWS)
		return reason_set(reason, -EOPNOTSUPP, "flows were not asked for");
	err = flow_open(bpf, reason);
	if (!err)
		err = cgroup_enter(bpf, adopt_cgroup(bpf), reason);
	if (!err)
		err = flow_attach(bpf, reason);
	return err;
}

void flow_load(struct weir_bpf *bpf)
{
	char why[WEIR_BPF_WHY_BYTES] = "";
	const struct reason reason = { why, sizeof(why) };

	if (flow_start(bpf, &reason)) {
		flow_unload(bpf);
		bpf->rung = WEIR_RUNG_STEER;
		if (!bpf->dgram)	/* whose program counts itself */
			bpf->cfg->flags &= ~WEIR_CFG_PENDING;
		strcpy(bpf->why, why);
	} else {
		state_attach(bpf);
		bpf->cfg->flags |= WEIR_CFG_PENDING;
	}
	if (bpf->rung < WEIR_RUNG_FULL && !(bpf->opts.flags & WEIR_BPF_NO_FLOWS))
		bpf_log(bpf, WEIR_LOG_WARN, "bpf: instance %s: %s", bpf->name, bpf->why);
}
