// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * parcel.c - one message between two owners of listeners, with descriptors
 *
 * A message is of one size; what is not, or carries what was not asked for, ends the
 * conversation.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weir/wire.h>

#include "base/clock.h"
#include "serve/parcel.h"

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
	ssize_t len;

	if (fds_count) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(fds_count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, fds_count * sizeof(int));
	}
	/* Where there is a limit of time the kernel does not begin again by itself. */
	do {
		len = sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (len < 0 && errno == EINTR);
	return len < 0 ? -errno : 0;
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

	do {
		len = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	} while (len < 0 && errno == EINTR);
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

bool parcel_told(int fd, uint64_t ns)
{
	uint64_t now = clock_ns(), end = deadline_after(now, ns);
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int n;

	do {
		n = poll(&pfd, 1, (int)min_u64((end - now) / NSEC_PER_MSEC, INT32_MAX));
		now = clock_ns();
	} while (n < 0 && now < end);
	return n > 0;
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

/* One that does not listen would keep the mark, and hand it on when it listens again. */
void parcel_mute(int fd)
{
	if (parcel_is_udp(fd))
		(void)parcel_deafen(fd);
	else if (parcel_listens(fd))
		shutdown(fd, SHUT_RDWR);
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
