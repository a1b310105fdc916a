// SPDX-License-Identifier: GPL-2.0-only
/*
 * sim_sockets.c - every operation on sockets that clients and servers of a world
 * do not use: made, named and connected by operations, messages, a file that is
 * passed on
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#include <weir/file.h>

#include "base/base.h"
#include "sim_script.h"
#include "sim_util.h"

/* Places of files; the first is free for what is left at the end. */
enum { LEFT, UDP_A, UDP_B, LISTENER, CALLER, CALLED, PASSED };

enum {
	LETTER_BYTES	= 200,
	CARD_BYTES	= 5,
	PORT		= 7000,
};

static struct weir_file file_of(const struct script *s, unsigned int number)
{
	return s->files[number];
}

static void udp_a(struct script *s)
{
	script_file(s, UDP_A);
	weir_prep_socket(&s->act.op, AF_INET, SOCK_DGRAM, 0, script_done, &s->act);
}

static void udp_b(struct script *s)
{
	script_file(s, UDP_B);
	weir_prep_socket(&s->act.op, AF_INET, SOCK_DGRAM, 0, script_done, &s->act);
}

static void times_on(struct script *s)
{
	s->value = 1;
	weir_prep_setsockopt(&s->act.op, file_of(s, UDP_B), SOL_SOCKET, SO_TIMESTAMPNS, &s->value,
			     sizeof(s->value), script_done, &s->act);
}

static void times_read(struct script *s)
{
	s->value = 0;
	weir_prep_getsockopt(&s->act.op, file_of(s, UDP_B), SOL_SOCKET, SO_TIMESTAMPNS, &s->value,
			     sizeof(s->value), script_done, &s->act);
}

static bool times_are_on(struct script *s, const struct weir_op *op)
{
	return op->res == sizeof(s->value) && s->value == 1;
}

static uint32_t name_b(struct script *s)
{
	struct sockaddr_in addr = sim_loopback(PORT);

	memcpy(&s->addr, &addr, sizeof(addr));
	return sizeof(addr);
}

static void bind_b(struct script *s)
{
	uint32_t len = name_b(s);

	weir_prep_bind(&s->act.op, file_of(s, UDP_B), (struct sockaddr *)&s->addr, len,
		       script_done, &s->act);
}

static void connect_a(struct script *s)
{
	uint32_t len = name_b(s);

	weir_prep_connect_file(&s->act.op, file_of(s, UDP_A), (struct sockaddr *)&s->addr, len,
			       script_done, &s->act);
}

static void send_from(struct script *s, unsigned int number, uint32_t len)
{
	s->iov[0] = (struct iovec){ s->out, len / 2 };
	s->iov[1] = (struct iovec){ s->out + len / 2, len - len / 2 };
	s->msg = (struct msghdr){ .msg_iov = s->iov, .msg_iovlen = 2 };
	weir_prep_sendmsg(&s->act.op, file_of(s, number), &s->msg, 0, script_done, &s->act);
}

static void send_letter(struct script *s)
{
	send_from(s, UDP_A, LETTER_BYTES);
}

static void send_card(struct script *s)
{
	send_from(s, PASSED, CARD_BYTES);
}

static void watch_b(struct script *s)
{
	weir_prep_poll(&s->act.op, file_of(s, UDP_B), POLLIN, script_done, &s->act);
}

static bool is_readable(struct script *s, const struct weir_op *op)
{
	return op->res == POLLIN;
}

static void receive_from(struct script *s, unsigned int number)
{
	s->iov[0] = (struct iovec){ s->in, sizeof(s->in) };
	s->msg = (struct msghdr){
		.msg_iov = s->iov, .msg_iovlen = 1,
		.msg_control = &s->control, .msg_controllen = sizeof(s->control),
	};
	weir_prep_recvmsg(&s->act.op, file_of(s, number), &s->msg, 0, script_done, &s->act);
}

static void receive_letter(struct script *s)
{
	receive_from(s, UDP_B);
}

/* The letter as it was sent, and not before the world began. */
static bool is_letter(struct script *s, const struct weir_op *op)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&s->msg);
	struct timespec ts;

	if (op->res != LETTER_BYTES || memcmp(s->in, s->out, LETTER_BYTES))
		world_bad(s->act.world, "another letter came");
	if (!cmsg || cmsg->cmsg_type != SCM_TIMESTAMPNS) {
		world_bad(s->act.world, "a letter without a date");
		return true;
	}
	memcpy(&ts, CMSG_DATA(cmsg), sizeof(ts));
	if ((uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec >
	    weir_loop_now(s->act.world->loop))
		world_bad(s->act.world, "a letter from the future");
	return true;
}

static void receive_card(struct script *s)
{
	weir_prep_recv(&s->act.op, file_of(s, UDP_B), s->in, sizeof(s->in), script_done, &s->act);
}

static bool is_card(struct script *s, const struct weir_op *op)
{
	if (op->res != CARD_BYTES || memcmp(s->in, s->out, CARD_BYTES))
		world_bad(s->act.world, "another card came");
	return true;
}

static void unix_listener(struct script *s)
{
	script_file(s, LISTENER);
	weir_prep_socket(&s->act.op, AF_UNIX, SOCK_STREAM, 0, script_done, &s->act);
}

static uint32_t name_listener(struct script *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "\0post" };

	memcpy(&s->addr, &addr, sizeof(addr));
	return offsetof(struct sockaddr_un, sun_path) + 5;
}

static void bind_listener(struct script *s)
{
	uint32_t len = name_listener(s);

	weir_prep_bind(&s->act.op, file_of(s, LISTENER), (struct sockaddr *)&s->addr, len,
		       script_done, &s->act);
}

static void listen_listener(struct script *s)
{
	weir_prep_listen(&s->act.op, file_of(s, LISTENER), 1, script_done, &s->act);
}

static void unix_caller(struct script *s)
{
	script_file(s, CALLER);
	weir_prep_socket(&s->act.op, AF_UNIX, SOCK_STREAM, 0, script_done, &s->act);
}

static void connect_caller(struct script *s)
{
	uint32_t len = name_listener(s);

	weir_prep_connect_file(&s->act.op, file_of(s, CALLER), (struct sockaddr *)&s->addr, len,
			       script_done, &s->act);
}

static void accept_called(struct script *s)
{
	script_file(s, CALLED);
	weir_prep_accept_once(&s->act.op, file_of(s, LISTENER), script_done, &s->act);
}

static void install_a(struct script *s)
{
	weir_prep_install(&s->act.op, file_of(s, UDP_A), script_done, &s->act);
}

static bool is_installed(struct script *s, const struct weir_op *op)
{
	s->fd = op->res;
	return true;
}

/* One byte, so that it cannot be cut short: the file goes with it. */
static void pass_on(struct script *s)
{
	struct cmsghdr *cmsg;

	s->iov[0] = (struct iovec){ s->out, 1 };
	s->msg = (struct msghdr){
		.msg_iov = s->iov, .msg_iovlen = 1, .msg_control = &s->control,
		.msg_controllen = CMSG_SPACE(sizeof(s->fd)),
	};
	cmsg = CMSG_FIRSTHDR(&s->msg);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(s->fd));
	memcpy(CMSG_DATA(cmsg), &s->fd, sizeof(s->fd));
	weir_prep_sendmsg(&s->act.op, file_of(s, CALLER), &s->msg, 0, script_done, &s->act);
}

static void take_over(struct script *s)
{
	receive_from(s, CALLED);
}

/* Ours is closed, the one that came does its work. */
static bool is_passed(struct script *s, const struct weir_op *op)
{
	struct weir_loop *loop = s->act.world->loop;
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&s->msg);
	int fd;

	if (op->res != 1 || !cmsg || cmsg->cmsg_type != SCM_RIGHTS) {
		world_bad(s->act.world, "the file that was passed on did not come");
		return true;
	}
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	loop->sys->close(loop, s->fd);
	s->fd = fd;
	return true;
}

/* The table of files may be full just now. */
static bool is_adopted(struct script *s, const struct weir_op *op)
{
	if (weir_file_adopt(s->act.world->loop, s->fd, &s->files[PASSED]))
		return false;
	s->fd = 0;
	return true;
}

static void shut_called(struct script *s)
{
	weir_prep_shutdown(&s->act.op, file_of(s, CALLED), SHUT_WR, script_done, &s->act);
}

static int work(void *arg)
{
	return ++*(int *)arg;
}

static void do_work(struct script *s)
{
	s->value = 41;
	weir_prep_work(&s->act.op, work, &s->value, script_done, &s->act);
}

static bool is_done(struct script *s, const struct weir_op *op)
{
	return op->res == 42;
}

static void nop(struct script *s)
{
	weir_prep_nop(&s->act.op, script_done, &s->act);
}

static const struct step steps[] = {
	{ "socket a", udp_a, NULL },
	{ "socket b", udp_b, NULL },
	{ "set option", times_on, NULL },
	{ "get option", times_read, times_are_on },
	{ "bind b", bind_b, NULL },
	{ "connect a", connect_a, NULL },
	{ "send letter", send_letter, NULL },
	{ "poll b", watch_b, is_readable },
	{ "receive letter", receive_letter, is_letter },
	{ "socket listener", unix_listener, NULL },
	{ "bind listener", bind_listener, NULL },
	{ "listen", listen_listener, NULL },
	{ "socket caller", unix_caller, NULL },
	{ "connect caller", connect_caller, NULL },
	{ "accept", accept_called, NULL },
	{ "install", install_a, is_installed },
	{ "pass on", pass_on, NULL },
	{ "take over", take_over, is_passed },
	{ "adopt", nop, is_adopted },
	{ "send card", send_card, NULL },
	{ "receive card", receive_card, is_card },
	{ "shut down", shut_called, NULL },
	{ "work", do_work, is_done },
};

void script_sockets(struct world *world)
{
	script_start(world->sockets, world, steps, ARRAY_SIZE(steps));
}
