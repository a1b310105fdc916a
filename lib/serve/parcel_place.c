// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * parcel_place.c - where two owners of listeners meet
 *
 * Sockets of /run/weir, mode 0600, so that who may connect is a matter of the
 * directory and not of the network namespace; both sides ask the kernel who the
 * other is besides.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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

int parcel_socket(void)
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

int parcel_reach(int fd, const char *instance, const char *suffix)
{
	struct sockaddr_un addr;
	int err;

	err = address(&addr, instance, suffix);
	if (!err)
		err = directory_check();
	if (err)
		return err;
	do {
		err = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	} while (err == -EINTR);
	if (err)
		return err == -ECONNREFUSED ? -ENOENT : err;	/* its owner is dead */
	return parcel_peer_ok(fd) ? 0 : -EPERM;
}

int parcel_connect(const char *instance, const char *suffix)
{
	int fd = parcel_socket(), err;

	err = fd < 0 ? fd : parcel_reach(fd, instance, suffix);
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return err;
}

/*
 * Whether somebody listens at @path, and goes on to in that time: 1, 0, or -errno when that
 * is not to be known. He says nothing before we do; his end is heard.
 */
static int alive(const char *path, uint64_t ns)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	bool ended;
	int fd, err;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	ended = !err && ns && parcel_told(fd, ns);
	close(fd);
	if (!err || err == -EAGAIN)	/* as many wait as may: it lives */
		return !ended;
	return err == -ECONNREFUSED || err == -ENOENT ? 0 : err;
}

/*
 * A socket that is bound at @from, to the place of one who is dead, or of nobody. Two
 * may do so at once: what comes out of an exchange tells whether it was the dead one.
 */
static int put_in_place(const char *from, const char *place, uint64_t patience_ns)
{
	int tries, there;

	for (tries = 0; tries < PLACE_TRIES; tries++) {
		if (!renameat2(AT_FDCWD, from, AT_FDCWD, place, RENAME_NOREPLACE))
			return 0;
		if (errno != EEXIST)
			return -errno;
		there = alive(place, patience_ns);
		if (there)
			return there < 0 ? there : -EADDRINUSE;
		if (renameat2(AT_FDCWD, from, AT_FDCWD, place, RENAME_EXCHANGE)) {
			if (errno == ENOENT)
				continue;	/* it has gone meanwhile */
			return -errno;
		}
		if (alive(from, 0) == 1) {
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
int parcel_listen(int fd, const char *instance, const char *suffix, uint64_t patience_ns,
		  struct parcel_place *where)
{
	struct sockaddr_un addr, place;
	struct stat st;
	int err;

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
	unlink(addr.sun_path);
	/* Who accepts has been told that somebody is there, and waits for nobody. */
	if (fcntl(fd, F_SETFL, O_NONBLOCK) ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || chmod(addr.sun_path, 0600) ||
	    listen(fd, 8) || stat(addr.sun_path, &st))
		err = -errno;
	else if (patience_ns != PARCEL_REPLACE)
		err = put_in_place(addr.sun_path, place.sun_path, patience_ns);
	else if (rename(addr.sun_path, place.sun_path))
		err = -errno;
	if (err) {
		unlink(addr.sun_path);
		return err;
	}
	memcpy(where->path, place.sun_path, sizeof(place.sun_path));
	where->dev = st.st_dev;
	where->ino = st.st_ino;
	return 0;
}

void parcel_unlisten(struct parcel_place *where)
{
	struct stat now;

	if (!stat(where->path, &now) && now.st_ino == where->ino && now.st_dev == where->dev)
		unlink(where->path);
	where->path[0] = '\0';
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
	if (is_coming(entry) || alive(path, 0) || rename(path, away))
		return false;
	if (alive(away, 0)) {
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
