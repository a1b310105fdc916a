/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * veth.h - a pair of virtual interfaces in a network namespace of the test's own,
 * and XDP programs of a few instructions
 */
#ifndef TESTS_VETH_H
#define TESTS_VETH_H

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>

/* Until the kernel has seen that its peer is up, an interface drops what it is to send. */
#define AWAIT_LINK(name)	"timeout 20 sh -c 'until ip link show " name " | "	\
				"grep -q \"state UP\"; do sleep 0.01; done'"

/* Why there can be none here, or NULL. The namespace goes with the process. */
static inline const char *veth_open(unsigned int queues)
{
	char line[512];

	if (geteuid())
		return "needs root";
	if (unshare(CLONE_NEWNET))
		return "needs a network namespace";
	snprintf(line, sizeof(line),
		 "ip link add v0 numrxqueues %u numtxqueues %u type veth "
		 "peer name v1 numrxqueues %u numtxqueues %u && "
		 "ip link set v0 addrgenmode none up && ip link set v1 addrgenmode none up && "
		 "ip link set lo up", queues, queues, queues, queues);
	return system(line) ? "needs ip link and veth" : NULL;
}

/*
 * Attach @code with a link, whose descriptor is returned: closed, it is detached.
 * @flags: XDP_FLAGS_DRV_MODE or XDP_FLAGS_SKB_MODE.
 */
static inline int veth_attach(const char *ifname, const char *name, const struct bpf_insn *code,
			      size_t count, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int prog, link;

	prog = bpf_prog_load(BPF_PROG_TYPE_XDP, name, "GPL", code, count, NULL);
	if (prog < 0)
		return prog;
	link = bpf_link_create(prog, (int)if_nametoindex(ifname), BPF_XDP, &opts);
	close(prog);
	return link;
}

/* Everything passes. NAPI runs at an end that has a program. */
static inline int veth_attach_pass(const char *ifname, const char *name, uint32_t flags)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return veth_attach(ifname, name, code, 2, flags);
}

/* Whatever comes in on queue N goes to socket N of @map, or passes. */
static inline int veth_attach_redirect(const char *ifname, int map, uint32_t flags)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1,
		  .off = offsetof(struct xdp_md, rx_queue_index) },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ .code = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return veth_attach(ifname, "to_sockets", code, 6, flags);
}

/* The hardware address of an interface. */
static inline int mac_of(const char *ifname, unsigned char *mac)
{
	struct ifreq ifr = { 0 };
	int err, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(ifr.ifr_name, ifname);
	err = ioctl(fd, SIOCGIFHWADDR, &ifr);
	close(fd);
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	return err;
}

#endif /* TESTS_VETH_H */
