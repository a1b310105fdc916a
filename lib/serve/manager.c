// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * manager.c - the service manager's descriptor store
 *
 * A descriptor is stored by a datagram to $NOTIFY_SOCKET, FDSTORE=1 with its name,
 * and comes back with the next start from number 3 on, its name in
 * $LISTEN_FDNAMES. The order in which they come is not said: the worker's number is
 * part of the name. FDPOLL=0, since a listener that is rescued is shut down for a
 * moment, which a manager that polls would take for its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weir/wire.h>

#include "base/base.h"
#include "serve/manager.h"
#include "serve/parcel.h"

#define FIRST_FD	3
#define TEXT_BYTES	128

static int notify_open(struct sockaddr_un *addr, socklen_t *len)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t bytes = path ? strlen(path) : 0;
	int fd;

	if (!bytes)
		return -ENOENT;
	memset(addr, 0, sizeof(*addr));
	if (bytes >= sizeof(addr->sun_path) || (path[0] != '/' && path[0] != '@'))
		return -EINVAL;
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, path, bytes);
	if (path[0] == '@')
		addr->sun_path[0] = '\0';
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes +
			   (path[0] == '/' ? 1 : 0));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static int notify(int fd, struct sockaddr_un *addr, socklen_t len, char *text, const int *with)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { text, strlen(text) };
	struct msghdr msg = {
		.msg_name = addr,
		.msg_namelen = len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	struct cmsghdr *cmsg;

	if (with) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), with, sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int manager_store(const char *instance, const int *fds, unsigned int count,
		  unsigned int before)
{
	struct sockaddr_un addr;
	char text[TEXT_BYTES];
	unsigned int i;
	socklen_t len;
	int fd, err = 0;

	fd = notify_open(&addr, &len);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	/* By its name a descriptor of before is not replaced: it has to go first. */
	for (i = 0; i < (count > before ? count : before) && !err; i++) {
		snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=weir-%s-%u", instance, i);
		err = notify(fd, &addr, len, text, NULL);
		if (i >= count)
			continue;
		snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=weir-%s-%u", instance,
			 i);
		if (!err)
			err = notify(fd, &addr, len, text, &fds[i]);
	}
	snprintf(text, sizeof(text), "READY=1\nMAINPID=%d", (int)getpid());
	if (!err)
		err = notify(fd, &addr, len, text, NULL);
	close(fd);
	return err;
}

/* "weir-<instance>-<worker>": the number, or -1 for another's. */
static int worker_of(const char *name, size_t bytes, const char *instance)
{
	char text[WEIR_NAME_BYTES + 16];
	int len = snprintf(text, sizeof(text), "weir-%s-", instance);
	unsigned long worker;
	char *end;

	if (bytes <= (size_t)len || bytes >= sizeof(text) || strncmp(name, text, (size_t)len))
		return -1;
	memcpy(text, name + len, bytes - (size_t)len);
	text[bytes - (size_t)len] = '\0';
	worker = strtoul(text, &end, 10);
	return *end || end == text || worker >= WEIR_WORKERS_MAX ? -1 : (int)worker;
}

/* How many the manager has given to this process, or 0. */
static unsigned int given(void)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	unsigned long n = count ? strtoul(count, NULL, 10) : 0;

	if (!pid || strtoul(pid, NULL, 10) != (unsigned long)getpid())
		return 0;
	return n > 4 * WEIR_WORKERS_MAX ? 4 * WEIR_WORKERS_MAX : (unsigned int)n;
}

static void sort_given(const char *instance, int *fds)
{
	const char *name = getenv("LISTEN_FDNAMES");
	unsigned int i, n = given();
	size_t bytes;
	int worker;

	for (i = 0; i < n && name; i++) {
		bytes = strcspn(name, ":");
		worker = worker_of(name, bytes, instance);
		fcntl(FIRST_FD + (int)i, F_SETFD, FD_CLOEXEC);
		if (worker >= 0 && fds[worker] < 0 && parcel_listener(FIRST_FD + (int)i))
			fds[worker] = FIRST_FD + (int)i;
		name = name[bytes] ? name + bytes + 1 : NULL;
	}
}

int manager_listeners(const char *instance, int **fdsp, unsigned int *countp)
{
	int *fds = calloc(WEIR_WORKERS_MAX, sizeof(*fds));
	unsigned int i, count = 0;

	if (!fds)
		return -ENOMEM;
	for (i = 0; i < WEIR_WORKERS_MAX; i++)
		fds[i] = -1;
	sort_given(instance, fds);
	/* Not for those that this process starts. */
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	while (count < WEIR_WORKERS_MAX && fds[count] >= 0)
		count++;
	if (!count) {
		free(fds);
		return -ENOENT;
	}
	*fdsp = fds;
	*countp = count;
	return 0;
}
