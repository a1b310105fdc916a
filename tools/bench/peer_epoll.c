// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The epoll peer of the echo benchmark: level-triggered, one recv and one send
 * per readable connection, as a careful engineer writes it without a library.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define EVENTS_MAX	1024
#define ACCEPTS_MAX	64	/* per turn, so that accepting starves nobody */
#define CHUNK_BYTES	16384U

/* What could not be sent back yet; indexed by descriptor. */
struct rest {
	char *bytes;
	uint32_t off;
	uint32_t len;
};

struct server {
	int epfd;
	int listener;
	int signals;
	bool accepting;
	struct peer_stats stats;
	struct rest rest[PEER_CONNS_MAX];
	char chunk[CHUNK_BYTES];
};

static void watch(struct server *s, int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	s->stats.syscalls++;
	if (epoll_ctl(s->epfd, op, fd, &ev))
		peer_die("epoll_ctl", errno);
}

static void drop(struct server *s, int fd)
{
	free(s->rest[fd].bytes);
	memset(&s->rest[fd], 0, sizeof(s->rest[fd]));
	s->stats.syscalls++;
	close(fd);
	/* A free descriptor again: listen for clients that were left waiting. */
	if (!s->accepting) {
		s->accepting = true;
		watch(s, EPOLL_CTL_MOD, s->listener, EPOLLIN);
	}
}

static void accept_some(struct server *s)
{
	int fd, n;

	for (n = 0; n < ACCEPTS_MAX; n++) {
		s->stats.syscalls++;
		fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= PEER_CONNS_MAX) {
			close(fd);
			continue;
		}
		if (fd >= 0) {
			watch(s, EPOLL_CTL_ADD, fd, EPOLLIN);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE) {
			s->accepting = false;
			watch(s, EPOLL_CTL_MOD, s->listener, 0);
			return;
		}
		if (errno == EAGAIN)
			return;
		if (errno != ECONNABORTED && errno != EINTR)
			peer_die("accept4", errno);
	}
}

/* Returns what was sent, at least 0; negative when the connection is gone. */
static ssize_t send_some(struct server *s, int fd, const char *bytes, size_t len)
{
	ssize_t n;

	s->stats.syscalls++;
	n = send(fd, bytes, len, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	s->stats.bytes += (uint64_t)n;
	return n;
}

/* Keep the rest and stop reading until it is gone. */
static void keep(struct server *s, int fd, const char *bytes, size_t len)
{
	struct rest *rest = &s->rest[fd];

	if (!rest->bytes)
		rest->bytes = malloc(CHUNK_BYTES);
	if (!rest->bytes) {
		drop(s, fd);
		return;
	}
	memcpy(rest->bytes, bytes, len);
	rest->off = 0;
	rest->len = (uint32_t)len;
	watch(s, EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void echo(struct server *s, int fd)
{
	ssize_t n, sent;

	s->stats.syscalls++;
	n = recv(fd, s->chunk, sizeof(s->chunk), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(s, fd);
		return;
	}
	s->stats.requests++;
	sent = send_some(s, fd, s->chunk, (size_t)n);
	if (sent < 0)
		drop(s, fd);
	else if (sent < n)
		keep(s, fd, s->chunk + sent, (size_t)(n - sent));
}

static void send_rest(struct server *s, int fd)
{
	struct rest *rest = &s->rest[fd];
	ssize_t n = send_some(s, fd, rest->bytes + rest->off, rest->len);

	if (n < 0) {
		drop(s, fd);
		return;
	}
	rest->off += (uint32_t)n;
	rest->len -= (uint32_t)n;
	if (!rest->len)
		watch(s, EPOLL_CTL_MOD, fd, EPOLLIN);
}

/* Returns false when the server must end. */
static bool turn(struct server *s)
{
	struct epoll_event events[EVENTS_MAX];
	int i, fd, n;

	s->stats.syscalls++;
	n = epoll_wait(s->epfd, events, EVENTS_MAX, -1);
	if (n < 0 && errno != EINTR)
		peer_die("epoll_wait", errno);
	for (i = 0; i < n; i++) {
		fd = events[i].data.fd;
		if (fd == s->signals)
			return false;
		if (fd == s->listener)
			accept_some(s);
		else if (s->rest[fd].len)
			send_rest(s, fd);
		else
			echo(s, fd);
	}
	return true;
}

int main(int argc, char **argv)
{
	struct peer_opts opts = { .name = "peer_epoll" };
	static struct server s;

	peer_parse(&opts, argc, argv);
	s.listener = peer_start(&opts);
	s.signals = peer_signals();
	s.epfd = epoll_create1(EPOLL_CLOEXEC);
	if (s.epfd < 0)
		peer_die("epoll_create1", errno);
	s.accepting = true;
	watch(&s, EPOLL_CTL_ADD, s.listener, EPOLLIN);
	watch(&s, EPOLL_CTL_ADD, s.signals, EPOLLIN);
	while (turn(&s))
		;
	return peer_finish(&s.stats);
}
