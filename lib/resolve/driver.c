// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * driver.c - c-ares's sockets and timers as operations of a loop
 *
 * c-ares says for each descriptor what it waits for, whenever that changes, from
 * inside its own functions. So nothing here calls it but the ends of a poll and
 * of the timer.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/base.h"
#include "resolve/resolver.h"

/*
 * c-ares's own calls would block, since a loop may take O_NONBLOCK from a socket
 * that it adopts; and would raise SIGPIPE, if a server hangs up.
 */

static ares_socket_t call_socket(int domain, int type, int protocol, void *ctx)
{
	return socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int call_close(ares_socket_t fd, void *ctx)
{
	return close(fd);
}

/* Before c-ares says what it waits for, and so before the loop has it. */
static int call_connect(ares_socket_t fd, const struct sockaddr *addr, ares_socklen_t len,
			void *ctx)
{
	return connect(fd, addr, len);
}

static ares_ssize_t call_recv(ares_socket_t fd, void *buf, size_t len, int flags,
			      struct sockaddr *from, ares_socklen_t *from_len, void *ctx)
{
	return recvfrom(fd, buf, len, flags | MSG_DONTWAIT, from, from_len);
}

static ares_ssize_t call_send(ares_socket_t fd, const struct iovec *vec, int count, void *ctx)
{
	const struct msghdr msg = {
		.msg_iov	= (struct iovec *)(uintptr_t)vec,
		.msg_iovlen	= (size_t)count,
	};

	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

const struct ares_socket_functions resolver_calls = {
	.asocket	= call_socket,
	.aclose		= call_close,
	.aconnect	= call_connect,
	.arecvfrom	= call_recv,
	.asendv		= call_send,
};

static void sock_poll(struct resolve_sock *sock);

static void sock_free(struct resolve_sock *sock)
{
	struct weir_resolver *resolver = sock->resolver;

	free(sock);
	resolver->busy--;
	resolver_settle(resolver);
}

static void on_closed(struct weir_op *op)
{
	sock_free(op->ctx);
}

/* Nobody polls any more: what c-ares still waits for ends by its own timer. */
static void sock_close(struct resolve_sock *sock)
{
	list_del(&sock->node);
	weir_prep_close(&sock->op, sock->file, on_closed, sock);
	weir_submit(sock->resolver->loop, &sock->op);
}

static void on_ready(struct weir_op *op)
{
	struct resolve_sock *sock = op->ctx;
	struct weir_resolver *resolver = sock->resolver;
	uint32_t events = op->res > 0 ? (uint32_t)op->res : 0;
	bool broken = events & (POLLERR | POLLHUP);

	if (!sock->gone && events)
		ares_process_fd(resolver->channel,
				events & POLLIN || broken ? sock->fd : ARES_SOCKET_BAD,
				events & POLLOUT ? sock->fd : ARES_SOCKET_BAD);
	/* Cancelled by us: it wants to wait for something else, or nothing more. */
	if (!sock->gone && (events || op->origin == WEIR_ORIGIN_CANCELLED))
		sock_poll(sock);
	else
		sock_close(sock);
	resolver_pace(resolver);
}

static void sock_poll(struct resolve_sock *sock)
{
	weir_prep_poll(&sock->op, sock->file, sock->want, on_ready, sock);
	weir_submit(sock->resolver->loop, &sock->op);
}

static struct resolve_sock *sock_find(struct weir_resolver *resolver, ares_socket_t fd)
{
	struct weir_link *node;

	for (node = resolver->socks.next; node != &resolver->socks; node = node->next) {
		struct resolve_sock *sock = container_of(node, struct resolve_sock, node);

		if (sock->fd == fd)
			return sock;
	}
	return NULL;
}

/* Without memory or descriptors nobody polls: see sock_close(). */
static void sock_new(struct weir_resolver *resolver, ares_socket_t fd, uint32_t want)
{
	struct resolve_sock *sock = calloc(1, sizeof(*sock));
	int copy;

	if (!sock)
		return;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		goto free_sock;
	if (weir_file_adopt(resolver->loop, copy, &sock->file))
		goto close_copy;
	sock->resolver = resolver;
	sock->fd = fd;
	sock->want = want;
	list_add_tail(&resolver->socks, &sock->node);
	resolver->busy++;
	sock_poll(sock);
	return;

close_copy:
	close(copy);
free_sock:
	free(sock);
}

void resolver_sock_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
	struct weir_resolver *resolver = ctx;
	uint32_t want = (readable ? POLLIN : 0) | (writable ? POLLOUT : 0);
	struct resolve_sock *sock = sock_find(resolver, fd);

	if (!sock) {
		if (want && !resolver->closing)
			sock_new(resolver, fd, want);
		return;
	}
	if (sock->want == want && want)
		return;
	sock->want = want;
	sock->gone = !want;
	if (sock->gone)
		list_del(&sock->node);	/* its number may come again */
	/* The end of the poll goes on with it; from there it is not in flight. */
	weir_cancel(resolver->loop, &sock->op);
}

static void on_timer(struct weir_op *op)
{
	struct weir_resolver *resolver = op->ctx;

	resolver->busy--;
	if (!resolver->closing && !op->res)
		ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	/* Refused: the loop is being closed. */
	if (op->origin != WEIR_ORIGIN_LIBRARY)
		resolver_pace(resolver);
	resolver_settle(resolver);
}

void resolver_pace(struct weir_resolver *resolver)
{
	uint64_t now = weir_loop_now(resolver->loop);
	struct timeval tv, *left;
	uint64_t at;

	if (resolver->closing)
		return;
	left = ares_timeout(resolver->channel, NULL, &tv);
	at = left ? deadline_after(now, (uint64_t)left->tv_sec * NSEC_PER_SEC +
					(uint64_t)left->tv_usec * NSEC_PER_USEC) : 0;
	if (weir_op_busy(&resolver->timer)) {
		/* Late is wrong, early is not; its end comes back here. */
		if (!at || at < resolver->timer.deadline_ns)
			weir_cancel(resolver->loop, &resolver->timer);
		return;
	}
	if (!at)
		return;
	resolver->busy++;
	weir_prep_timeout(&resolver->timer, at, on_timer, resolver);
	weir_submit(resolver->loop, &resolver->timer);
}
