// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xdp_probe.c - what the kernel has of XDP, by trying
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "probe.skel.h"
#include "xdp.skel.h"

#include "bpf/xdp.h"

static struct probe_bpf *probe_open(bool slot)
{
	struct probe_bpf *probe = probe_bpf__open();

	if (!probe)
		return NULL;
	bpf_program__set_autoload(probe->progs.weir_probe, !slot);
	bpf_program__set_autoload(probe->progs.weir_probe_slot, slot);
	return probe;
}

/* libxdp tries the same and, where it fails, silently does without. */
int dispatcher_probe(char why[static WEIR_BPF_WHY_BYTES])
{
	struct probe_bpf *target, *slot = NULL;
	const char *said;
	int err;

	capture_begin();
	target = probe_open(false);
	err = target ? probe_bpf__load(target) : -errno;
	if (!err) {
		slot = probe_open(true);
		err = slot ? bpf_program__set_attach_target(slot->progs.weir_probe_slot,
				bpf_program__fd(target->progs.weir_probe), "slot") : -errno;
	}
	if (!err)
		err = probe_bpf__load(slot);
	probe_bpf__destroy(slot);
	probe_bpf__destroy(target);
	said = capture_end();
	why[0] = '\0';
	if (err)
		snprintf(why, WEIR_BPF_WHY_BYTES, "the kernel does not replace functions of a "
			 "program (freplace): %s%s%.120s", strerror(-err), said[0] ? ": " : "",
			 said);
	return err;
}

int xdp_probe(char *why)
{
	struct xdp_bpf *skel;
	const char *said;
	int err;

	capture_begin();
	skel = xdp_bpf__open_and_load();
	err = skel ? 0 : -errno;
	xdp_bpf__destroy(skel);
	said = capture_end();
	if (err)
		snprintf(why, WEIR_BPF_WHY_BYTES, "%s%s%.160s", strerror(-err),
			 said[0] ? ": " : "", said);
	return err;
}

int xsk_probe(char *why)
{
	int err = 0, fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		err = -errno;
		snprintf(why, WEIR_BPF_WHY_BYTES, "AF_XDP: %s", strerror(-err));
		return err;
	}
	close(fd);
	return 0;
}
