/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * again.h - to receive, whoever interrupts
 */
#ifndef TESTS_AGAIN_H
#define TESTS_AGAIN_H

#include <errno.h>
#include <sys/socket.h>

/*
 * Of a socket with a time limit: who has made a ring is interrupted some
 * milliseconds after it has gone.
 */
static inline ssize_t client_recv(int fd, void *buf, size_t len)
{
	ssize_t n;

	do {
		n = recv(fd, buf, len, 0);
	} while (n < 0 && errno == EINTR);
	return n;
}

#endif /* TESTS_AGAIN_H */
