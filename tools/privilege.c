// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* privilege.c - limits up, then capabilities away: capabilities(7) */
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
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

int privilege_drop(unsigned int kept)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[CAP_WORDS];
	int dumpable = prctl(PR_GET_DUMPABLE);

	memset(data, 0, sizeof(data));
	if (kept & PRIVILEGE_KEEP_BIND)
		keep(data, CAP_NET_BIND_SERVICE);
	if (kept & PRIVILEGE_KEEP_RAW)
		keep(data, CAP_NET_RAW);
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

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__
#endif
#endif

/* For a thread to take its signal: that sanitizer has one of its own, which takes none. */
#ifdef __SANITIZE_THREAD__
#define DROP_NS		(NS_PER_SEC / 10)
#else
#define DROP_NS		(5 * NS_PER_SEC)
#endif
#define LOOK_NS		(NS_PER_SEC / 100)	/* is it still there? */

static sem_t drop_done;

/* Only system calls: in a thread that may be anywhere. */
static void on_drop(int sig)
{
	static const struct __user_cap_data_struct none[CAP_WORDS];
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	int saved = errno;

	syscall(SYS_capset, &head, none);
	errno = saved;
	sem_post(&drop_done);
}

static bool thread_of_kernel(int tid)
{
	char path[64], name[8] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
	file = fopen(path, "re");
	if (!file)
		return true;		/* gone */
	if (!fgets(name, sizeof(name), file))
		name[0] = '\0';
	fclose(file);
	return !strncmp(name, "iou-", 4);
}

/*
 * One that is about to end takes no signal any more, and one of the kernel's may get
 * its name only now: so it is looked at again.
 */
static int drop_in(int tid, int sig)
{
	uint64_t end_ns = now_ns() + DROP_NS, next_ns;
	struct timespec until;

	if (syscall(SYS_tgkill, getpid(), tid, sig))
		return errno == ESRCH ? 0 : -errno;
	do {
		next_ns = now_ns() + LOOK_NS;
		until.tv_sec = (time_t)(next_ns / NS_PER_SEC);
		until.tv_nsec = (long)(next_ns % NS_PER_SEC);
		if (!sem_clockwait(&drop_done, CLOCK_MONOTONIC, &until))
			return 0;
		if (errno != EINTR && errno != ETIMEDOUT)
			return -errno;
		if (thread_of_kernel(tid)) {
			sem_trywait(&drop_done);	/* it may just have done it */
			return 0;
		}
	} while (now_ns() < end_ns);
	return -ETIMEDOUT;
}

/* All threads that are listed now; returns how many, or -errno. */
static int drop_pass(int sig)
{
	int count = 0, err = 0, tid;
	struct dirent *entry;
	DIR *dir;

	dir = opendir("/proc/self/task");
	if (!dir)
		return -errno;
	while (!err && (entry = readdir(dir))) {
		tid = atoi(entry->d_name);
		if (!tid || thread_of_kernel(tid))	/* "." and ".." */
			continue;
		err = drop_in(tid, sig);
		count++;
	}
	closedir(dir);
	return err ? err : count;
}

int privilege_drop_all(void)
{
	struct sigaction action = { .sa_handler = on_drop, .sa_flags = SA_RESTART }, old;
	int dumpable = prctl(PR_GET_DUMPABLE);
	int before = 0, count;

	if (sem_init(&drop_done, 0, 0) || sigaction(SIGPROF, &action, &old))
		return -errno;
	/* One that was started meanwhile may have been by one that still had them. */
	while ((count = drop_pass(SIGPROF)) > before)
		before = count;
	/* One that did not take it yet must find the handler when it does. */
	if (count >= 0)
		sigaction(SIGPROF, &old, NULL);
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1);
	return count < 0 ? count : 0;
}
