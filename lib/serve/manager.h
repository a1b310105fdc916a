/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* manager.h - the service manager's descriptor store: sd_notify(3), sd_listen_fds(3) */
#ifndef SERVE_MANAGER_H
#define SERVE_MANAGER_H

/*
 * Ready, and here is what to keep, in the place of the @before that may be kept; nothing
 * without NOTIFY_SOCKET. 0 or -errno.
 */
int manager_store(const char *instance, const int *fds, unsigned int count,
		  unsigned int before);
/* What was kept, in the order of the workers; -ENOENT: nothing of this instance. */
int manager_listeners(const char *instance, int **fdsp, unsigned int *countp);

#endif /* SERVE_MANAGER_H */
