// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * link.c - questions about a network interface: netdevice(7)
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if.h>

#include "bpf/xdp.h"

int link_ask(const char *ifname, unsigned long what, struct ifreq *ifr,
	     const struct reason *reason)
{
	int err = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	memset(ifr, 0, sizeof(*ifr));
	if (strlen(ifname) >= sizeof(ifr->ifr_name))
		err = -ENODEV;
	else
		strcpy(ifr->ifr_name, ifname);
	if (!err && ioctl(fd, what, ifr))
		err = -errno;
	close(fd);
	return err ? reason_set(reason, err, "%.32s: %s", ifname, strerror(-err)) : 0;
}
