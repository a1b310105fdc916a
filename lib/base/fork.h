/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* fork.h - what is the parent's alone learns of it in a forked child */
#ifndef BASE_FORK_H
#define BASE_FORK_H

#include "base/list.h"

/* Embedded in what is watched. */
struct fork_watch {
	struct weir_link all;
	void (*in_child)(struct fork_watch *watch);	/* before fork() returns there */
};

int fork_watch_add(struct fork_watch *watch);
void fork_watch_del(struct fork_watch *watch);

/*
 * fork_lock() - nobody forks until fork_unlock(): what in_child() reads is true
 *
 * Around what ends at once: everybody who forks waits for it.
 */
void fork_lock(void);
void fork_unlock(void);

#endif /* BASE_FORK_H */
