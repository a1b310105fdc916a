// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * names.c - names to addresses, blocking
 */
#include <errno.h>
#include <limits.h>
#include <netdb.h>

#include <weir/addr.h>

#include "base/base.h"

static int errno_of(int status)
{
	static const struct {
		int status;
		int err;
	} table[] = {
		{ EAI_NONAME,	-ENOENT },
		{ EAI_NODATA,	-ENOENT },
		{ EAI_ADDRFAMILY, -ENOENT },
		{ EAI_AGAIN,	-EAGAIN },
		{ EAI_FAIL,	-EREMOTEIO },
		{ EAI_MEMORY,	-ENOMEM },
		{ EAI_OVERFLOW,	-EINVAL },
		{ EAI_IDN_ENCODE, -EINVAL },
	};
	size_t i;

	if (status == EAI_SYSTEM)
		return errno ? -errno : -EIO;
	for (i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].status == status)
			return table[i].err;
	}
	return -EIO;
}

int weir_addr_resolve(const char *host, uint16_t port, struct weir_addr *addrs, size_t max)
{
	/* One socket type, so that each address comes once. */
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list, *node;
	int saved = errno;
	int count = 0;
	int status;

	status = getaddrinfo(host, NULL, &hints, &list);
	if (status) {
		status = errno_of(status);
		errno = saved;
		return status;
	}
	for (node = list; node && (size_t)count < max && count < INT_MAX; node = node->ai_next) {
		if (!weir_addr_set(&addrs[count], node->ai_addr, node->ai_addrlen) &&
		    !weir_addr_set_port(&addrs[count], port))
			count++;
	}
	freeaddrinfo(list);
	errno = saved;
	return count || !max ? count : -ENOENT;
}
