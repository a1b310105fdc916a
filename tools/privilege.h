/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef WEIR_TOOLS_PRIVILEGE_H
#define WEIR_TOOLS_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * privilege_raise_limits() - descriptors and locked memory to the hard limit,
 * or beyond it where that is allowed. For a service, before privilege_drop().
 */
void privilege_raise_limits(void);

/* What a service still needs to be opened. */
enum privilege_keep {
	PRIVILEGE_KEEP_BIND	= 1 << 0,	/* CAP_NET_BIND_SERVICE: a port below 1024 */
	PRIVILEGE_KEEP_RAW	= 1 << 1,	/* CAP_NET_RAW: AF_XDP sockets */
};

/*
 * privilege_drop() - give up the capabilities of this thread and of those it
 * starts from now on, and forbid to get any by exec. CAP_IPC_LOCK stays where
 * the limit of locked memory could not be lifted: buffers would not fit in it.
 * @keep: enum privilege_keep
 *
 * Return: 0 or -errno.
 */
int privilege_drop(unsigned int keep);

/*
 * privilege_drop_all() - give up what is left, in every thread there is
 *
 * For a service that has its listeners and rings. A thread can only drop its own:
 * each is sent SIGPROF, which the workers leave open, with a handler that does it, and
 * then the handler of before is back. Threads of the kernel's io_uring are left
 * out: none of our code runs in them.
 *
 * Return: 0, or -errno: some thread may still have some.
 */
int privilege_drop_all(void);

/*
 * privilege_has() - is a capability (CAP_*) in this thread's effective set?
 */
bool privilege_has(unsigned int cap);

#endif /* WEIR_TOOLS_PRIVILEGE_H */
