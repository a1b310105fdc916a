/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vip.h - networks of an instance, and clients that connect to any address
 */
#ifndef TESTS_VIP_H
#define TESTS_VIP_H

#include "bpf_service.h"

#include <arpa/inet.h>

#include <weir/vip.h>

#define NETS	8

static inline struct weir_bpf_vip vip(const char *text)
{
	struct weir_bpf_vip vip;

	if (weir_bpf_vip_parse(&vip, text))
		abort();
	return vip;
}

static inline int add(const struct service *s, const char *text)
{
	struct weir_bpf_vip net = vip(text);
	char why[256] = "";

	return weir_bpf_vip_add(s->name, &net, why, sizeof(why));
}

static inline int connect_at(const char *text, uint16_t port)
{
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	struct sockaddr_storage addr;
	socklen_t len;
	int fd, err;

	len = addr_fill(&addr, strchr(text, ':') ? AF_INET6 : AF_INET, port);
	if (addr.ss_family == AF_INET)
		inet_pton(AF_INET, text, &((struct sockaddr_in *)&addr)->sin_addr);
	else
		inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&addr)->sin6_addr);
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* Without a limit: with one an interruption ends it. */
	if (connect(fd, (struct sockaddr *)&addr, len)) {
		err = -errno;
		close(fd);
		return err;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

static inline struct weir_vip_stats stats(const struct service *s)
{
	struct weir_vip_stats stats;

	if (weir_bpf_vip_stats(s->name, &stats))
		abort();
	return stats;
}

#endif /* TESTS_VIP_H */
