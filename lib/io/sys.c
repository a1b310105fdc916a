// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sys.c - the system calls and the environment of a real kernel
 *
 * Everything that can block is asked not to. Files are in sys_file.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/sys.h"

static int sys_socket(struct weir_loop *loop, int family, int type, int protocol)
{
	loop->stats.syscalls++;
	return sys_result(socket(family, type | SOCK_CLOEXEC, protocol));
}

static int sys_bind(struct weir_loop *loop, int fd, const struct sockaddr *addr, uint32_t len)
{
	loop->stats.syscalls++;
	return sys_result(bind(fd, addr, len));
}

static int sys_listen(struct weir_loop *loop, int fd, int backlog)
{
	loop->stats.syscalls++;
	return sys_result(listen(fd, backlog));
}

static int sys_setsockopt(struct weir_loop *loop, int fd, int level, int name,
			  const void *value, uint32_t len)
{
	loop->stats.syscalls++;
	return sys_result(setsockopt(fd, level, name, value, len));
}

static int sys_getsockname(struct weir_loop *loop, int fd, struct sockaddr *addr, uint32_t *len)
{
	socklen_t size = *len;
	int ret;

	loop->stats.syscalls++;
	ret = sys_result(getsockname(fd, addr, &size));
	*len = size;
	return ret;
}

static int sys_accept(struct weir_loop *loop, int fd)
{
	loop->stats.syscalls++;
	return sys_result(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

static int sys_connect(struct weir_loop *loop, int fd, const struct sockaddr *addr, uint32_t len)
{
	loop->stats.syscalls++;
	return sys_result(connect(fd, addr, len));
}

static int sys_connected(struct weir_loop *loop, int fd)
{
	socklen_t len = sizeof(int);
	int err = 0;

	loop->stats.syscalls++;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return -errno;
	return -err;
}

static int sys_recv(struct weir_loop *loop, int fd, void *buf, uint32_t len, int flags)
{
	loop->stats.syscalls++;
	return sys_result(recv(fd, buf, len, flags | MSG_DONTWAIT));
}

static int sys_send(struct weir_loop *loop, int fd, const void *buf, uint32_t len, int flags)
{
	loop->stats.syscalls++;
	return sys_result(send(fd, buf, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

static int sys_recvmsg(struct weir_loop *loop, int fd, struct msghdr *msg, int flags)
{
	loop->stats.syscalls++;
	return sys_result(recvmsg(fd, msg, flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
}

static int sys_sendmsg(struct weir_loop *loop, int fd, const struct msghdr *msg, int flags)
{
	loop->stats.syscalls++;
	return sys_result(sendmsg(fd, msg, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

static int sys_poll(struct weir_loop *loop, int fd, uint32_t events)
{
	struct pollfd pfd = { .fd = fd, .events = (short)events };
	int ret;

	loop->stats.syscalls++;
	ret = poll(&pfd, 1, 0);
	if (ret < 0)
		return -errno;
	if (pfd.revents & POLLNVAL)
		return -EBADF;		/* O_PATH */
	return ret ? pfd.revents : -EAGAIN;
}

static int sys_shutdown(struct weir_loop *loop, int fd, int how)
{
	loop->stats.syscalls++;
	return sys_result(shutdown(fd, how));
}

static int sys_getsockopt(struct weir_loop *loop, int fd, int level, int name, void *value,
			  uint32_t *len)
{
	socklen_t size = *len;
	int ret;

	loop->stats.syscalls++;
	ret = sys_result(getsockopt(fd, level, name, value, &size));
	*len = size;
	return ret;
}

static int sys_dup(struct weir_loop *loop, int fd)
{
	loop->stats.syscalls++;
	return sys_result(fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

static int sys_close(struct weir_loop *loop, int fd)
{
	loop->stats.syscalls++;
	return sys_result(close(fd));
}

static uint64_t sys_now(struct weir_loop *loop)
{
	return clock_ns();
}

static void sys_entropy(struct weir_loop *loop, void *buf, size_t len)
{
	unsigned char *bytes = buf;

	/* Up to 256 bytes come whole and cannot be interrupted: getrandom(2). */
	while (len) {
		ssize_t n = getrandom(bytes, len < 256 ? len : 256, 0);

		if (n < 0)
			base_die("weir: getrandom: %s", weir_strerror(-errno));
		bytes += n;
		len -= (size_t)n;
	}
}

const struct io_sys io_sys_linux = {
	.socket		= sys_socket,
	.bind		= sys_bind,
	.listen		= sys_listen,
	.setsockopt	= sys_setsockopt,
	.getsockname	= sys_getsockname,
	.accept		= sys_accept,
	.connect	= sys_connect,
	.connected	= sys_connected,
	.recv		= sys_recv,
	.send		= sys_send,
	.recvmsg	= sys_recvmsg,
	.sendmsg	= sys_sendmsg,
	.poll		= sys_poll,
	.shutdown	= sys_shutdown,
	.getsockopt	= sys_getsockopt,
	.open		= sys_open,
	.read		= sys_read,
	.write		= sys_write,
	.dup		= sys_dup,
	.readv		= sys_readv,
	.writev		= sys_writev,
	.fsync		= sys_fsync,
	.fallocate	= sys_fallocate,
	.ftruncate	= sys_ftruncate,
	.fadvise	= sys_fadvise,
	.statx		= sys_statx,
	.unlink		= sys_unlink,
	.rename		= sys_rename,
	.mkdir		= sys_mkdir,
	.splice		= sys_splice,
	.pipe		= sys_pipe,
	.close		= sys_close,
	.now		= sys_now,
	.entropy	= sys_entropy,
};
