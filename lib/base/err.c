// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * err.c - names of errors and origins, and the library's version
 *
 * weir_strerror() must be safe in a signal handler and in any thread, which
 * strerror(3) is not: hence a table of what the kernel and this library return.
 */
#include <errno.h>

#include "base/base.h"

#define ERR(name, text)\
	[name] = #name ": " text

static const char *const errors[] = {
	[0] = "0: success",
	ERR(EPERM, "operation not permitted"),
	ERR(ENOENT, "no such file or directory"),
	ERR(ESRCH, "no such process"),
	ERR(EINTR, "interrupted"),
	ERR(EIO, "input/output error"),
	ERR(ENXIO, "no such device or address"),
	ERR(E2BIG, "too big, or an option this version does not know"),
	ERR(EBADF, "bad descriptor, or a stale handle"),
	ERR(ECHILD, "no child processes"),
	ERR(EAGAIN, "try again"),
	ERR(ENOMEM, "out of memory, or of lockable memory"),
	ERR(EACCES, "permission denied"),
	ERR(EFAULT, "bad address"),
	ERR(EBUSY, "busy"),
	ERR(EEXIST, "exists already"),
	ERR(ENODEV, "no such device"),
	ERR(ENOTDIR, "not a directory"),
	ERR(EISDIR, "is a directory"),
	ERR(EINVAL, "invalid argument"),
	ERR(ENFILE, "file table is full"),
	ERR(EMFILE, "too many open descriptors"),
	ERR(EFBIG, "file too large"),
	ERR(ENOSPC, "no space left"),
	ERR(ESPIPE, "illegal seek"),
	ERR(EROFS, "read-only file system"),
	ERR(EPIPE, "peer has closed"),
	ERR(EDOM, "out of the function's domain"),
	ERR(ERANGE, "out of range"),
	ERR(EDEADLK, "would deadlock"),
	ERR(ENAMETOOLONG, "name too long"),
	ERR(ENOSYS, "not implemented by the kernel, or refused by a filter"),
	ERR(ENOTEMPTY, "directory not empty"),
	ERR(ELOOP, "too many symbolic links"),
	ERR(ENODATA, "no data"),
	ERR(ETIME, "deadline passed"),
	ERR(ENOLINK, "link severed"),
	ERR(EPROTO, "protocol error"),
	ERR(EBADMSG, "bad message"),
	ERR(EOVERFLOW, "value too large"),
	ERR(EBADFD, "descriptor in bad state"),
	ERR(ENOTSOCK, "not a socket"),
	ERR(EDESTADDRREQ, "destination address required"),
	ERR(EMSGSIZE, "message too long"),
	ERR(EPROTOTYPE, "wrong protocol type"),
	ERR(ENOPROTOOPT, "no such protocol option"),
	ERR(EPROTONOSUPPORT, "protocol not supported"),
	ERR(EOPNOTSUPP, "operation not supported"),
	ERR(EAFNOSUPPORT, "address family not supported"),
	ERR(EADDRINUSE, "address in use"),
	ERR(EADDRNOTAVAIL, "address not available"),
	ERR(ENETDOWN, "network is down"),
	ERR(ENETUNREACH, "network unreachable"),
	ERR(ECONNABORTED, "connection aborted"),
	ERR(ECONNRESET, "connection reset by peer"),
	ERR(ENOBUFS, "no buffer free"),
	ERR(EISCONN, "is connected"),
	ERR(ENOTCONN, "not connected"),
	ERR(ESHUTDOWN, "shut down"),
	ERR(ETIMEDOUT, "timed out"),
	ERR(ECONNREFUSED, "connection refused"),
	ERR(EHOSTDOWN, "host is down"),
	ERR(EHOSTUNREACH, "no route to host"),
	ERR(EALREADY, "already in progress"),
	ERR(EINPROGRESS, "in progress"),
	ERR(ESTALE, "stale"),
	ERR(EDQUOT, "quota exceeded"),
	ERR(ECANCELED, "cancelled"),
};

const char *weir_strerror(int err)
{
	unsigned int n = err < 0 ? 0U - (unsigned int)err : (unsigned int)err;

	if (n >= ARRAY_SIZE(errors) || !errors[n])
		return "unknown error";
	return errors[n];
}

const char *weir_origin_name(unsigned int origin)
{
	static const char *const names[] = {
		[WEIR_ORIGIN_KERNEL]	= "kernel",
		[WEIR_ORIGIN_LIBRARY]	= "library",
		[WEIR_ORIGIN_CANCELLED]	= "cancelled",
		[WEIR_ORIGIN_DEADLINE]	= "deadline",
	};

	return origin < ARRAY_SIZE(names) ? names[origin] : "?";
}

const char *weir_version(void)
{
	return WEIR_VERSION;
}
