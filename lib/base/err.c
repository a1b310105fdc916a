// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * err.c - names of errors and origins, and the library's version
 *
 * weir_strerror() must be safe in a signal handler and in any thread, which
 * strerror(3) is not: hence a table of all that the kernel knows. The texts are what
 * the errors mean to a user of this library.
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
	ERR(ENOEXEC, "not an executable format"),
	ERR(EBADF, "bad descriptor, or a stale handle"),
	ERR(ECHILD, "no child processes"),
	ERR(EAGAIN, "try again"),
	ERR(ENOMEM, "out of memory, or of lockable memory"),
	ERR(EACCES, "permission denied"),
	ERR(EFAULT, "bad address"),
	ERR(ENOTBLK, "not a block device"),
	ERR(EBUSY, "busy"),
	ERR(EEXIST, "exists already"),
	ERR(EXDEV, "link across devices"),
	ERR(ENODEV, "no such device"),
	ERR(ENOTDIR, "not a directory"),
	ERR(EISDIR, "is a directory"),
	ERR(EINVAL, "invalid argument"),
	ERR(ENFILE, "file table is full"),
	ERR(EMFILE, "too many open descriptors"),
	ERR(ENOTTY, "not a terminal, or no such request for this device"),
	ERR(ETXTBSY, "program text is busy"),
	ERR(EFBIG, "file too large"),
	ERR(ENOSPC, "no space left"),
	ERR(ESPIPE, "illegal seek"),
	ERR(EROFS, "read-only file system"),
	ERR(EMLINK, "too many links"),
	ERR(EPIPE, "peer has closed"),
	ERR(EDOM, "out of the function's domain"),
	ERR(ERANGE, "out of range"),
	ERR(EDEADLK, "would deadlock"),
	ERR(ENAMETOOLONG, "name too long"),
	ERR(ENOLCK, "no locks left"),
	ERR(ENOSYS, "not implemented by the kernel, or refused by a filter"),
	ERR(ENOTEMPTY, "directory not empty"),
	ERR(ELOOP, "too many symbolic links"),
	ERR(ENOMSG, "no message of that type"),
	ERR(EIDRM, "identifier removed"),
	ERR(ECHRNG, "channel number out of range"),
	ERR(EL2NSYNC, "level 2 not synchronized"),
	ERR(EL3HLT, "level 3 halted"),
	ERR(EL3RST, "level 3 reset"),
	ERR(ELNRNG, "link number out of range"),
	ERR(EUNATCH, "protocol driver not attached"),
	ERR(ENOCSI, "no CSI structure left"),
	ERR(EL2HLT, "level 2 halted"),
	ERR(EBADE, "invalid exchange"),
	ERR(EBADR, "invalid request descriptor"),
	ERR(EXFULL, "exchange full"),
	ERR(ENOANO, "no anode"),
	ERR(EBADRQC, "invalid request code"),
	ERR(EBADSLT, "invalid slot"),
	ERR(EBFONT, "bad font file format"),
	ERR(ENOSTR, "not a stream device"),
	ERR(ENODATA, "no data"),
	ERR(ETIME, "deadline passed"),
	ERR(ENOSR, "out of stream resources"),
	ERR(ENONET, "not on the network"),
	ERR(ENOPKG, "package not installed"),
	ERR(EREMOTE, "object is remote"),
	ERR(ENOLINK, "link severed"),
	ERR(EADV, "advertise error"),
	ERR(ESRMNT, "srmount error"),
	ERR(ECOMM, "communication error on send"),
	ERR(EPROTO, "protocol error"),
	ERR(EMULTIHOP, "multihop attempted"),
	ERR(EDOTDOT, "RFS specific error"),
	ERR(EBADMSG, "bad message"),
	ERR(EOVERFLOW, "value too large"),
	ERR(ENOTUNIQ, "name not unique on the network"),
	ERR(EBADFD, "descriptor in bad state"),
	ERR(EREMCHG, "remote address changed"),
	ERR(ELIBACC, "cannot access a needed shared library"),
	ERR(ELIBBAD, "shared library is corrupted"),
	ERR(ELIBSCN, "library section of a program is corrupted"),
	ERR(ELIBMAX, "too many shared libraries to link"),
	ERR(ELIBEXEC, "a shared library cannot be executed"),
	ERR(EILSEQ, "illegal byte sequence"),
	ERR(ERESTART, "interrupted system call should be restarted"),
	ERR(ESTRPIPE, "streams pipe error"),
	ERR(EUSERS, "too many users"),
	ERR(ENOTSOCK, "not a socket"),
	ERR(EDESTADDRREQ, "destination address required"),
	ERR(EMSGSIZE, "message too long"),
	ERR(EPROTOTYPE, "wrong protocol type"),
	ERR(ENOPROTOOPT, "no such protocol option"),
	ERR(EPROTONOSUPPORT, "protocol not supported"),
	ERR(ESOCKTNOSUPPORT, "socket type not supported"),
	ERR(EOPNOTSUPP, "operation not supported"),
	ERR(EPFNOSUPPORT, "protocol family not supported"),
	ERR(EAFNOSUPPORT, "address family not supported"),
	ERR(EADDRINUSE, "address in use"),
	ERR(EADDRNOTAVAIL, "address not available"),
	ERR(ENETDOWN, "network is down"),
	ERR(ENETUNREACH, "network unreachable"),
	ERR(ENETRESET, "connection dropped by a reset of the network"),
	ERR(ECONNABORTED, "connection aborted"),
	ERR(ECONNRESET, "connection reset by peer"),
	ERR(ENOBUFS, "no buffer free"),
	ERR(EISCONN, "is connected"),
	ERR(ENOTCONN, "not connected"),
	ERR(ESHUTDOWN, "shut down"),
	ERR(ETOOMANYREFS, "too many references"),
	ERR(ETIMEDOUT, "timed out"),
	ERR(ECONNREFUSED, "connection refused"),
	ERR(EHOSTDOWN, "host is down"),
	ERR(EHOSTUNREACH, "no route to host"),
	ERR(EALREADY, "already in progress"),
	ERR(EINPROGRESS, "in progress"),
	ERR(ESTALE, "stale"),
	ERR(EUCLEAN, "structure needs cleaning"),
	ERR(ENOTNAM, "not a XENIX named type file"),
	ERR(ENAVAIL, "no XENIX semaphores available"),
	ERR(EISNAM, "is a named type file"),
	ERR(EREMOTEIO, "remote input/output error"),
	ERR(EDQUOT, "quota exceeded"),
	ERR(ENOMEDIUM, "no medium"),
	ERR(EMEDIUMTYPE, "wrong type of medium"),
	ERR(ECANCELED, "cancelled"),
	ERR(ENOKEY, "key not available"),
	ERR(EKEYEXPIRED, "key has expired"),
	ERR(EKEYREVOKED, "key has been revoked"),
	ERR(EKEYREJECTED, "key was rejected by the service"),
	ERR(EOWNERDEAD, "owner died"),
	ERR(ENOTRECOVERABLE, "state not recoverable"),
	ERR(ERFKILL, "not possible because of the radio switch"),
	ERR(EHWPOISON, "memory page has a hardware error"),
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
