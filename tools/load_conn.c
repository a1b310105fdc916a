// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Load generator: one client connection. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load_engine.h"

/* Debian 12 has it in <linux/in.h>, which cannot meet <netinet/in.h>. */
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT	24
#endif

void conn_close(struct engine *e, struct conn *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	e->res->syscalls++;
	c->fd = -1;
	if (c->state == CONN_CONNECTING)
		e->connecting--;
	else
		e->connected--;
	if (c->state == CONN_LINGER)
		e->lingering--;
	c->state = CONN_DOWN;
}

static void stop_asking(struct engine *e, struct conn *c)
{
	if (!c->asking)
		return;
	c->asking = false;
	e->inflight--;
}

void conn_fail(struct engine *e, struct conn *c, enum load_error error, int err, uint64_t now)
{
	if (error == LOAD_ERR_TIMEOUT && c->asking)
		engine_timed_out(e, c->due_ns, now);
	else
		engine_error(e, error, err);
	stop_asking(e, c);
	conn_close(e, c);
	conn_move(c, &e->down, now);
}

static enum load_error error_class(int err, enum load_error otherwise)
{
	if (err == ECONNRESET || err == EPIPE)
		return LOAD_ERR_RESET;
	return otherwise;
}

/* Spread over several sources: one has 28,000 ports, each kept a minute. */
static int bind_source(struct engine *e, int fd)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int one = 1;

	if (!e->opts->sources)
		return 0;
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + e->sources_used);
	e->sources_used = (e->sources_used + 1) % e->opts->sources;
	e->res->syscalls += 2;
	/* The port is then chosen at connect, unique by the four-tuple only. */
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)))
		return -errno;
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)))
		return -errno;
	return 0;
}

static int start_connect(struct engine *e, struct conn *c)
{
	const struct sockaddr *addr = (const struct sockaddr *)&e->opts->addr;
	struct epoll_event ev = {
		/* Edges: one registration serves connect, read and write. */
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = c,
	};
	int one = 1;
	int err;

	err = bind_source(e, c->fd);
	if (err)
		return err;
	e->res->syscalls += 3;
	if (!e->opts->udp && setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		return -errno;
	if (connect(c->fd, addr, e->opts->addr_len) && errno != EINPROGRESS)
		return -errno;
	if (epoll_ctl(e->epfd, EPOLL_CTL_ADD, c->fd, &ev))
		return -errno;
	return 0;
}

void conn_open(struct engine *e, struct conn *c, uint64_t now)
{
	int type = e->opts->udp ? SOCK_DGRAM : SOCK_STREAM;
	int err;

	conn_move(c, &e->active, now);
	e->res->syscalls++;
	c->fd = socket(e->opts->addr.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		conn_fail(e, c, LOAD_ERR_CONNECT, errno, now);
		return;
	}
	c->state = CONN_CONNECTING;
	e->connecting++;
	err = start_connect(e, c);
	if (err)
		conn_fail(e, c, LOAD_ERR_CONNECT, -err, now);
}

static void push(struct engine *e, struct conn *c, uint64_t now)
{
	const unsigned char *from = e->pattern + c->pattern;
	ssize_t n;

	while (c->sent_bytes < e->opts->size_bytes) {
		e->res->syscalls++;
		n = send(c->fd, from + c->sent_bytes, e->opts->size_bytes - c->sent_bytes,
			 MSG_NOSIGNAL);
		if (n < 0) {
			if (errno != EAGAIN)
				conn_fail(e, c, error_class(errno, LOAD_ERR_WRITE), errno, now);
			return;
		}
		c->sent_bytes += (uint32_t)n;
	}
}

void conn_request(struct engine *e, struct conn *c, uint64_t due, uint64_t now)
{
	uint32_t pattern = mix(e->opts->seed + e->res->issued) & (PATTERN_SPAN - 1);

	/* Never twice the same: an answer sent again is then a mismatch. */
	if (pattern == c->pattern)
		pattern = (pattern + 1) & (PATTERN_SPAN - 1);
	c->pattern = pattern;
	c->sent_bytes = 0;
	c->got_bytes = 0;
	c->due_ns = due;
	c->start_ns = now;
	c->asking = true;
	e->inflight++;
	if (c->state == CONN_DOWN) {
		conn_open(e, c, now);
		return;
	}
	c->state = CONN_BUSY;
	conn_move(c, &e->active, now);
	push(e, c, now);
}

/* Shut down and wait for the server's end of file, so that nobody resets. */
static void linger(struct engine *e, struct conn *c, uint64_t now)
{
	c->state = CONN_LINGER;
	e->lingering++;
	conn_move(c, &e->active, now);
	e->res->syscalls++;
	if (shutdown(c->fd, SHUT_WR))
		conn_fail(e, c, error_class(errno, LOAD_ERR_WRITE), errno, now);
}

static void answered(struct engine *e, struct conn *c, uint64_t now)
{
	stop_asking(e, c);
	engine_answered(e, c, now);
	if (e->opts->churn && !e->opts->udp) {
		linger(e, c, now);
		return;
	}
	if (e->opts->churn)
		conn_close(e, c);
	else
		c->state = CONN_IDLE;
	conn_move(c, &e->idle, now);
}

/* Whether @n more bytes in the scratch buffer are what was sent. */
static bool verify(struct engine *e, struct conn *c, size_t n)
{
	if (c->state != CONN_BUSY || n > c->sent_bytes - c->got_bytes)
		return false;
	/* A datagram comes as it was, or not at all. */
	if (e->opts->udp && n != e->opts->size_bytes)
		return false;
	return !memcmp(e->scratch, e->pattern + c->pattern + c->got_bytes, n);
}

static void end_of_file(struct engine *e, struct conn *c, uint64_t now)
{
	if (c->state != CONN_LINGER) {
		conn_fail(e, c, LOAD_ERR_READ, 0, now);
		return;
	}
	conn_close(e, c);
	conn_move(c, &e->idle, now);
}

static void pull(struct engine *e, struct conn *c, uint64_t now)
{
	ssize_t n;

	do {
		e->res->syscalls++;
		n = recv(c->fd, e->scratch, SCRATCH_BYTES, 0);
		if (n < 0) {
			if (errno != EAGAIN)
				conn_fail(e, c, error_class(errno, LOAD_ERR_READ), errno, now);
			return;
		}
		if (!n && !e->opts->udp) {
			end_of_file(e, c, now);
			return;
		}
		if (!verify(e, c, (size_t)n)) {
			conn_fail(e, c, LOAD_ERR_MISMATCH, 0, now);
			return;
		}
		c->got_bytes += (uint32_t)n;
		if (c->got_bytes == e->opts->size_bytes) {
			e->res->bytes += c->got_bytes;
			answered(e, c, now);
			return;
		}
		/* A short read emptied the socket: the next byte is an edge. */
	} while (n == SCRATCH_BYTES);
}

static void connected(struct engine *e, struct conn *c, uint64_t now)
{
	socklen_t len = sizeof(int);
	int err = 0;

	e->res->syscalls++;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	if (err) {
		conn_fail(e, c, LOAD_ERR_CONNECT, err, now);
		return;
	}
	e->connecting--;
	e->connected++;
	e->res->connects++;
	if (c->asking) {
		c->state = CONN_BUSY;
		push(e, c, now);
		return;
	}
	c->state = CONN_IDLE;
	conn_move(c, &e->idle, now);
}

void conn_event(struct engine *e, struct conn *c, uint32_t events, uint64_t now)
{
	if (c->state == CONN_CONNECTING)
		connected(e, c, now);
	if (c->state != CONN_DOWN && (events & ~(uint32_t)EPOLLOUT))
		pull(e, c, now);
	if (c->state == CONN_BUSY && (events & EPOLLOUT))
		push(e, c, now);
}
