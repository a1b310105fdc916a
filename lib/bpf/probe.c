// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * probe.c - try every kernel feature that this room uses
 *
 * By doing, never by version: the programs that would run are loaded, and
 * dropped again. One table row per feature.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "flow.skel.h"
#include "steer.skel.h"

#include "bpf/xdp.h"

static int probe_bpffs(char *why)
{
	const struct reason reason = { why, WEIR_BPF_WHY_BYTES };
	int fd = root_open(false, &reason);

	if (fd < 0 && fd != -ENOENT)
		return fd;
	if (fd >= 0)
		close(fd);
	return dir_root(why, &reason);
}

static int probe_cgroup2(char *why)
{
	int err = mount_cgroup2(why);

	if (err)
		snprintf(why, WEIR_BPF_WHY_BYTES, "no cgroup2 tree is mounted");
	return err;
}

static int probe_btf(char *why)
{
	static const char path[] = "/sys/kernel/btf/vmlinux";

	if (!access(path, R_OK)) {
		snprintf(why, WEIR_BPF_WHY_BYTES, "%s", path);
		return 0;
	}
	snprintf(why, WEIR_BPF_WHY_BYTES, "%s: %s", path, strerror(errno));
	return -errno;
}

static int said(char *why, int err, const char *text)
{
	if (err)
		snprintf(why, WEIR_BPF_WHY_BYTES, "%s%s%.160s", strerror(-err),
			 text[0] ? ": " : "", text);
	return err;
}

static int probe_steer(char *why)
{
	struct steer_bpf *steer;
	int err;

	capture_begin();
	steer = steer_skel(false);
	err = steer ? steer_bpf__load(steer) : -errno;
	steer_bpf__destroy(steer);
	return said(why, err, capture_end());
}

/* Load one program of the flow object and none of the others. */
static int probe_flow(char *why, const char *name)
{
	struct bpf_program *prog;
	struct flow_bpf *flow;
	int err;

	capture_begin();
	flow = flow_bpf__open();
	err = flow ? 0 : -errno;
	if (!err) {
		bpf_object__for_each_program(prog, flow->obj)
			bpf_program__set_autoload(prog, !strcmp(bpf_program__name(prog), name));
		err = flow_bpf__load(flow);
	}
	flow_bpf__destroy(flow);
	return said(why, err, capture_end());
}

static int probe_sockops(char *why)
{
	return probe_flow(why, "weir_sockops");
}

static int probe_queues(char *why)
{
	return probe_flow(why, "weir_sockops_q");
}

static int probe_state(char *why)
{
	return probe_flow(why, "weir_tp_state");
}

static int probe_diag(char *why)
{
	const struct weir_flow nobody = { .family = WEIR_FAMILY_INET };
	int err, fd = sock_diag_open();

	if (fd < 0)
		return said(why, fd, "NETLINK_SOCK_DIAG");
	err = sock_gone(fd, 1, &nobody);
	close(fd);
	return said(why, err < 0 ? err : 0, "NETLINK_SOCK_DIAG");
}

static const struct {
	const char *id;
	const char *gives;
	int (*run)(char *why);
} probes[] = {
	{ "bpf.bpffs",	 "pins: show, bpftool, restart",	probe_bpffs },
	{ "bpf.cgroup2", "flows and pending counts",		probe_cgroup2 },
	{ "bpf.btf",	 "queue lengths",			probe_btf },
	{ "bpf.steer",	 "steering by load",			probe_steer },
	{ "bpf.rescue",	 "clients of a worker that hangs are moved to others", rescue_probe },
	{ "bpf.sockops", "flows and pending counts",		probe_sockops },
	{ "bpf.queues",	 "queue lengths of flows",		probe_queues },
	{ "bpf.state",	 "second way to end a flow",		probe_state },
	{ "bpf.diag",	 "age sweep that spares idle connections", probe_diag },
	{ "bpf.xdp",	 "datagrams past the kernel's stack",	xdp_probe },
	{ "bpf.xsk",	 "AF_XDP sockets",			xsk_probe },
	{ "bpf.dispatcher", "XDP programs beside others",	dispatcher_probe },
};

int weir_bpf_probes(int (*fn)(void *ctx, const struct weir_bpf_probe *probe), void *ctx)
{
	struct weir_bpf_probe probe;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < ARRAY_SIZE(probes); i++) {
		memset(&probe, 0, sizeof(probe));
		probe.id = probes[i].id;
		probe.gives = probes[i].gives;
		probe.ok = !probes[i].run(probe.why);
		err = fn(ctx, &probe);
	}
	return err;
}
