// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * parcel.c - one message between two owners of listeners, with descriptors
 *
 * Sockets of /run/weir, mode 0600, so that who may connect is a matter of the
 * directory and not of the network namespace; both sides ask the kernel who the
 * other is besides. A message is of one size; what is not, or carries what was
 * not asked for, ends the conversation.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <weir/takeover.h>
#include <weir/wire.h>

#include "base/base.h"
#include "serve/parcel.h"

#define DIRECTORY	"/run/weir"

enum {
	PLACE_TRIES	= 16,
	PATH_BYTES	= sizeof(DIRECTORY) + 256,	/* with any entry */
};

bool parcel_name_ok(const char *instance)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t len = instance ? strlen(instance) : 0;

	return len >= 1 && len < WEIR_NAME_BYTES && strspn(instance, allowed) == len;
}

static int address(struct sockaddr_un *addr, const char *instance, const char *suffix)
{
	int len;

	if (!parcel_name_ok(instance))
		return -EINVAL;
	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	len = snprintf(addr->sun_path, sizeof(addr->sun_path), DIRECTORY "/%s.%s", instance,
		       suffix);
	return len < 0 || (size_t)len >= sizeof(addr->sun_path) ? -ENAMETOOLONG : 0;
}

/* Ours or root's, and not to be written to by others: else names mean nothing. */
static int directory_check(void)
{
	struct stat st;

	if (lstat(DIRECTORY, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode) || (st.st_uid && st.st_uid != geteuid()) || st.st_mode & 022)
		return -EXDEV;
	return 0;
}

static int socket_new(void)
{
	struct timeval wait = { .tv_sec = PARCEL_WAIT_S };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	return fd;
}

bool parcel_peer_ok(int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return false;
	return !peer.uid || peer.uid == geteuid();
}

int parcel_connect(const char *instance, const char *suffix)
{
	struct sockaddr_un addr;
	int fd, err;

	err = address(&addr, instance, suffix);
	if (!err)
		err = directory_check();
	if (err)
		return err;
	fd = socket_new();
	if (fd < 0)
		return fd;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		err = errno == ECONNREFUSED ? -ENOENT : -errno;	/* its owner is dead */
	else if (!parcel_peer_ok(fd))
		err = -EPERM;
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* Whether somebody listens at @path: 1, 0, or -errno when that is not to be known. */
static int alive(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	close(fd);
	if (!err || err == -EAGAIN)	/* as many wait as may: it lives */
		return 1;
	return err == -ECONNREFUSED || err == -ENOENT ? 0 : err;
}

/*
 * A socket that is bound at @from, to the place of one who is dead, or of nobody. Two
 * may do so at once: what comes out of an exchange tells whether it was the dead one.
 */
static int put_in_place(const char *from, const char *place)
{
	int tries, there;

	for (tries = 0; tries < PLACE_TRIES; tries++) {
		if (!renameat2(AT_FDCWD, from, AT_FDCWD, place, RENAME_NOREPLACE))
			return 0;
		if (errno != EEXIST)
			return -errno;
		there = alive(place);
		if (there)
			return there < 0 ? there : -EADDRINUSE;
		if (renameat2(AT_FDCWD, from, AT_FDCWD, place, RENAME_EXCHANGE)) {
			if (errno == ENOENT)
				continue;	/* it has gone meanwhile */
			return -errno;
		}
		if (alive(from) == 1) {
			renameat2(AT_FDCWD, from, AT_FDCWD, place, RENAME_EXCHANGE);
			return -EADDRINUSE;
		}
		unlink(from);
		return 0;
	}
	return -EAGAIN;
}

/*
 * Bound beside its place and moved there, so that the name always leads to
 * somebody who listens, and what a dead one left is replaced.
 */
int parcel_listen(const char *instance, const char *suffix, bool replace,
		  struct parcel_place *where)
{
	struct sockaddr_un addr, place;
	struct stat st;
	int fd, err;

	if (mkdir(DIRECTORY, 0755) && errno != EEXIST)
		return -errno;
	err = directory_check();
	if (!err)
		err = address(&place, instance, suffix);
	if (err)
		return err;
	addr = place;
	if (snprintf(addr.sun_path, sizeof(addr.sun_path), DIRECTORY "/.%d.%s.%s", (int)getpid(),
		     instance, suffix) >= (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket_new();
	if (fd < 0)
		return fd;
	unlink(addr.sun_path);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || chmod(addr.sun_path, 0600) ||
	    listen(fd, 8) || stat(addr.sun_path, &st))
		err = -errno;
	else if (!replace)
		err = put_in_place(addr.sun_path, place.sun_path);
	else if (rename(addr.sun_path, place.sun_path))
		err = -errno;
	if (err) {
		unlink(addr.sun_path);
		close(fd);
		return err;
	}
	memcpy(where->path, place.sun_path, sizeof(place.sun_path));
	where->dev = st.st_dev;
	where->ino = st.st_ino;
	return fd;
}

void parcel_unlisten(const struct parcel_place *where)
{
	struct stat now;

	if (!stat(where->path, &now) && now.st_ino == where->ino && now.st_dev == where->dev)
		unlink(where->path);
}

/* ".sock" or ".hold" after a name, or what was on its way to be one: ".<pid>.<name>.sock" */
static bool is_socket_of(const char *entry, const char *instance)
{
	const char *dot = strrchr(entry, '.'), *name = entry;
	char copy[WEIR_NAME_BYTES];
	size_t len;

	if (!dot || (strcmp(dot, ".sock") && strcmp(dot, ".hold")))
		return false;
	if (*name == '.') {
		name += 1 + strspn(name + 1, "0123456789");
		if (*name++ != '.')
			return false;
	}
	if (name >= dot)
		return false;
	len = (size_t)(dot - name);
	if (len >= sizeof(copy))
		return false;
	memcpy(copy, name, len);
	copy[len] = '\0';
	return parcel_name_ok(copy) && (!instance || !strcmp(copy, instance));
}

/* Bound, and about to be moved to its place: it need not listen yet. */
static bool is_coming(const char *entry)
{
	long pid = entry[0] == '.' ? strtol(entry + 1, NULL, 10) : 0;

	return pid > 0 && (!kill((pid_t)pid, 0) || errno == EPERM);
}

/*
 * Moved away before it is unlinked: who starts at this moment may have replaced it by
 * his own, which then goes back.
 */
static bool clean_one(const char *entry)
{
	char path[PATH_BYTES], away[PATH_BYTES];

	snprintf(path, sizeof(path), DIRECTORY "/%s", entry);
	snprintf(away, sizeof(away), DIRECTORY "/.clean.%d", (int)getpid());
	if (is_coming(entry) || alive(path) || rename(path, away))
		return false;
	if (alive(away)) {
		/* Fails when there is yet another, who serves then. */
		renameat2(AT_FDCWD, away, AT_FDCWD, path, RENAME_NOREPLACE);
		return false;
	}
	return !unlink(away);
}

int weir_takeover_clean(const char *instance)
{
	struct dirent *entry;
	int count = 0, err;
	DIR *dir;

	if (instance && !parcel_name_ok(instance))
		return -EINVAL;
	err = directory_check();
	if (err)
		return err == -ENOENT ? 0 : err;
	dir = opendir(DIRECTORY);
	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (is_socket_of(entry->d_name, instance))
			count += clean_one(entry->d_name);
	closedir(dir);
	return count;
}

int parcel_accept(int listen_fd)
{
	struct timeval wait = { .tv_sec = PARCEL_WAIT_S };
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (parcel_peer_ok(fd))
		return fd;
	close(fd);
	return -EPERM;
}

union control {
	char bytes[CMSG_SPACE(PARCEL_FDS * sizeof(int))];
	struct cmsghdr align;
};

static int send_with(int fd, struct parcel *parcel, const int *fds, unsigned int fds_count)
{
	struct iovec iov = { parcel, sizeof(*parcel) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union control control = { 0 };
	struct cmsghdr *cmsg;

	if (fds_count) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, fds_count * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) == sizeof(*parcel) ? 0 : -errno;
}

int parcel_send(int fd, enum parcel_kind kind, uint32_t count, int err, const int *fds,
		unsigned int fds_count)
{
	struct parcel parcel = { PARCEL_MAGIC, kind, count, err, 0 };

	return send_with(fd, &parcel, fds, fds_count);
}

int parcel_send_lock(int fd, int lock, uint32_t workers)
{
	struct parcel parcel = { PARCEL_MAGIC, PARCEL_LOCK, lock >= 0, 0, workers };

	return send_with(fd, &parcel, &lock, lock >= 0);
}

static unsigned int take_fds(struct msghdr *msg, int fds[PARCEL_FDS])
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	unsigned int count;

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return 0;
	count = (unsigned int)((cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(fds, CMSG_DATA(cmsg), count * sizeof(int));
	return count;
}

int parcel_recv(int fd, struct parcel *parcel, int *fds, unsigned int max, unsigned int *got)
{
	struct iovec iov = { parcel, sizeof(*parcel) };
	union control control;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	unsigned int i, count;
	int came[PARCEL_FDS];
	ssize_t len;

	len = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	if (len < 0)
		return -errno;
	count = take_fds(&msg, came);
	if (len == sizeof(*parcel) && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
	    parcel->magic == PARCEL_MAGIC && parcel->kind && parcel->kind < PARCEL_MAX &&
	    count <= max) {
		memcpy(fds, came, count * sizeof(int));
		*got = count;
		return 0;
	}
	for (i = 0; i < count; i++)
		close(came[i]);
	return len ? -EPROTO : -EPIPE;
}

int parcel_want(int fd, enum parcel_kind kind, struct parcel *parcel)
{
	unsigned int none;
	int nowhere, err;

	err = parcel_recv(fd, parcel, &nowhere, 0, &none);
	if (err)
		return err;
	if (parcel->err)
		return parcel->err < 0 ? parcel->err : -EPROTO;
	return parcel->kind == kind ? 0 : -EPROTO;
}

int parcel_send_listeners(int fd, const int *fds, unsigned int count)
{
	unsigned int n, done = 0;
	int err = 0;

	do {
		n = count - done < PARCEL_FDS ? count - done : PARCEL_FDS;
		err = parcel_send(fd, PARCEL_LISTENERS, count - done, 0, fds + done, n);
		done += n;
	} while (!err && done < count);
	return err;
}

static bool option_is(int fd, int option, int want)
{
	socklen_t len = sizeof(int);
	int value;

	return !getsockopt(fd, SOL_SOCKET, option, &value, &len) && value == want;
}

bool parcel_listens(int fd)
{
	return option_is(fd, SO_ACCEPTCONN, 1);
}

static bool bound(int fd)
{
	struct sockaddr_in6 addr = { 0 };	/* the port is where sockaddr_in has it */
	socklen_t len = sizeof(addr);

	return !getsockname(fd, (struct sockaddr *)&addr, &len) && addr.sin6_port;
}

static bool bound_alone(int fd)
{
	socklen_t len = sizeof(struct tcp_info);
	struct tcp_info info;

	return bound(fd) && !getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) &&
	       info.tcpi_state == TCP_CLOSE;
}

bool parcel_is_udp(int fd)
{
	return option_is(fd, SO_TYPE, SOCK_DGRAM) && option_is(fd, SO_PROTOCOL, IPPROTO_UDP);
}

bool parcel_listener(int fd)
{
	if (parcel_is_udp(fd))
		return bound(fd);
	return option_is(fd, SO_TYPE, SOCK_STREAM) && option_is(fd, SO_PROTOCOL, IPPROTO_TCP) &&
	       (parcel_listens(fd) || bound_alone(fd));
}

int parcel_deafen(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &len) ||
	    connect(fd, (struct sockaddr *)&addr, len))
		return -errno;
	return 0;
}

bool parcel_is_deaf(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	return !getpeername(fd, (struct sockaddr *)&addr, &len);
}

void parcel_drop(int *fds, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		close(fds[i]);
	free(fds);
}

/* How many are to come is said with each, and falls by what came. */
static int recv_some(int fd, int *fds, unsigned int *done, unsigned int *total)
{
	struct parcel parcel;
	unsigned int got = 0;
	int err;

	err = parcel_recv(fd, &parcel, fds + *done, *total ? *total - *done : PARCEL_FDS, &got);
	if (err)
		return err;
	*done += got;
	if (parcel.err)
		return parcel.err < 0 ? parcel.err : -EPROTO;
	if (parcel.kind != PARCEL_LISTENERS || parcel.count > WEIR_WORKERS_MAX ||
	    parcel.count < got || (parcel.count && !got))
		return -EPROTO;
	if (!*total)
		*total = parcel.count;
	return *done - got + parcel.count == *total ? 0 : -EPROTO;
}

int parcel_recv_listeners(int fd, int **fdsp, unsigned int *countp)
{
	unsigned int i, done = 0, total = 0;
	int *fds = calloc(WEIR_WORKERS_MAX, sizeof(*fds));
	int err;

	if (!fds)
		return -ENOMEM;
	do {
		err = recv_some(fd, fds, &done, &total);
	} while (!err && done < total);
	for (i = 0; i < done && !err; i++)
		err = parcel_listener(fds[i]) ? 0 : -EPROTO;
	if (err) {
		parcel_drop(fds, done);
		return err;
	}
	*fdsp = fds;
	*countp = total;
	return 0;
}
