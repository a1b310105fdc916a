// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xdp_own.c - what makes a frame one for this host: the interface's hardware address
 * and the addresses of the host, as the XDP program knows them
 *
 * A frame that would be forwarded has our hardware address too, and one for another
 * host comes in where an interface is promiscuous. The kernel tells when something has
 * changed; all of it is read anew then, by the tick of the steering. A new address is
 * the stack's, and so the UDP sockets', until that.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "xdp.skel.h"

#include "bpf/xdp.h"

static int news_open(void)
{
	const struct sockaddr_nl addr = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (!bind(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -errno;
}

/* That there was something is enough; also that it was too much. */
static bool news_take(int fd)
{
	bool news = false;
	char some[256];

	while (recv(fd, some, sizeof(some), 0) >= 0 || errno == ENOBUFS)
		news = true;
	return news;
}

/*
 * From the wire nobody may reach what this host calls itself, and an address of a link
 * is of that link alone.
 */
static bool addr_of(const struct weir_xdp *xdp, const struct ifaddrs *one,
		    struct weir_xdp_addr *addr)
{
	const struct sockaddr_in6 *in6 = (const void *)one->ifa_addr;
	const struct sockaddr_in *in = (const void *)one->ifa_addr;
	bool here = !strcmp(one->ifa_name, xdp->ifname);

	memset(addr, 0, sizeof(*addr));
	if (!one->ifa_addr)
		return false;
	if (one->ifa_addr->sa_family == AF_INET) {
		addr->family = WEIR_FAMILY_INET;
		addr->ip[0] = in->sin_addr.s_addr;
		return here || ntohl(in->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET;
	}
	if (one->ifa_addr->sa_family != AF_INET6)
		return false;
	addr->family = WEIR_FAMILY_INET6;
	memcpy(addr->ip, &in6->sin6_addr, sizeof(addr->ip));
	return here || !(IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr) ||
			 IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr));
}

/* Those that were not found this time. */
static void drop_old(int map_fd, uint32_t round)
{
	struct weir_xdp_addr key, next;
	uint32_t value;
	int err = bpf_map_get_next_key(map_fd, NULL, &next);

	while (!err) {
		key = next;
		/* Before it goes: a key that is not there begins at the start again. */
		err = bpf_map_get_next_key(map_fd, &key, &next);
		if (!bpf_map_lookup_elem(map_fd, &key, &value) && value != round)
			bpf_map_delete_elem(map_fd, &key);
	}
}

static int addrs_read(struct weir_xdp *xdp)
{
	int map_fd = bpf_map__fd(xdp->skel->maps.weir_xdp_addr), err = 0;
	struct ifaddrs *all, *one;
	struct weir_xdp_addr addr;

	if (getifaddrs(&all))
		return -errno;
	xdp->own_round++;
	for (one = all; one && !err; one = one->ifa_next) {
		if (addr_of(xdp, one, &addr))
			err = bpf_map_update_elem(map_fd, &addr, &xdp->own_round, BPF_ANY);
	}
	freeifaddrs(all);
	drop_old(map_fd, xdp->own_round);
	return err;
}

static int mac_read(struct weir_xdp *xdp)
{
	struct weir_xdp_mac mac = { 0 };
	uint32_t zero = 0;
	struct ifreq ifr;
	int err = link_ask(xdp->ifname, SIOCGIFHWADDR, &ifr, NULL);

	if (err)
		return err;
	memcpy(mac.mac, ifr.ifr_hwaddr.sa_data, sizeof(mac.mac));
	return bpf_map_update_elem(bpf_map__fd(xdp->skel->maps.weir_xdp_mac), &zero, &mac,
				   BPF_ANY);
}

static int own_read(struct weir_xdp *xdp)
{
	int err = mac_read(xdp);

	return err ? err : addrs_read(xdp);
}

int xdp_own_open(struct weir_xdp *xdp)
{
	xdp->news_fd = news_open();
	return xdp->news_fd < 0 ? xdp->news_fd : own_read(xdp);
}

void xdp_tick(struct weir_xdp *xdp)
{
	bool again = xdp->own_missing;
	int err;

	if (!news_take(xdp->news_fd) && !again)
		return;
	err = own_read(xdp);
	xdp->own_missing = err;
	/* What is not known passes to the stack; the next tick tries again. */
	if (err && !again)
		bpf_log(xdp->bpf, WEIR_LOG_WARN, "xdp: the addresses of this host are not all "
			"known: %s", strerror(-err));
}
