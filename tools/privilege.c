// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* privilege.c - limits up, then capabilities away: capabilities(7) */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common.h"
#include "privilege.h"

#define CAP_WORDS	_LINUX_CAPABILITY_U32S_3

static void raise_limit(int which, rlim_t want)
{
	struct rlimit lim, hard = { .rlim_cur = want, .rlim_max = want };

	/* Beyond the hard limit takes CAP_SYS_RESOURCE; up to it takes nothing. */
	if (!setrlimit((__rlimit_resource_t)which, &hard))
		return;
	if (getrlimit((__rlimit_resource_t)which, &lim))
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit((__rlimit_resource_t)which, &lim);
}

void privilege_raise_limits(void)
{
	struct rlimit lim;

	raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
	if (getrlimit(RLIMIT_NOFILE, &lim) || lim.rlim_cur == lim.rlim_max)
		return;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
}

static int caps_get(struct __user_cap_data_struct data[CAP_WORDS])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &head, data) ? -errno : 0;
}

bool privilege_has(unsigned int cap)
{
	struct __user_cap_data_struct data[CAP_WORDS];

	if (caps_get(data))
		return false;
	return data[CAP_TO_INDEX(cap)].effective & CAP_TO_MASK(cap);
}

/* Locked memory is free for CAP_IPC_LOCK, and else counted against the limit. */
static bool memlock_limited(void)
{
	struct rlimit lim;

	return getrlimit(RLIMIT_MEMLOCK, &lim) || lim.rlim_cur != RLIM_INFINITY;
}

static void keep(struct __user_cap_data_struct data[CAP_WORDS], unsigned int cap)
{
	if (!privilege_has(cap))
		return;
	data[CAP_TO_INDEX(cap)].permitted |= CAP_TO_MASK(cap);
	data[CAP_TO_INDEX(cap)].effective |= CAP_TO_MASK(cap);
}

int privilege_drop(bool keep_bind)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[CAP_WORDS];
	int dumpable = prctl(PR_GET_DUMPABLE);

	memset(data, 0, sizeof(data));
	if (keep_bind)
		keep(data, CAP_NET_BIND_SERVICE);
	if (memlock_limited())
		keep(data, CAP_IPC_LOCK);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (syscall(SYS_capset, &head, data))
		return -errno;
	/* The kernel clears it with the capabilities; a core or a profile may be wanted. */
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1);
	return 0;
}
