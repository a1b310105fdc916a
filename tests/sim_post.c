// SPDX-License-Identifier: GPL-2.0-only
/*
 * sim_post.c - numbered datagrams over AF_UNIX, which loses none: every one
 * arrives, once and in order, however narrow the pool
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <weir/msg.h>

#include "sim_util.h"
#include "sim_world.h"

static struct weir_file post_socket(struct world *world, const char *name, const char *peer)
{
	struct weir_loop *loop = world->loop;
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = loop->sys->socket(loop, AF_UNIX, SOCK_DGRAM, 0);

	strcpy(addr.sun_path, name);
	if (fd < 0 || loop->sys->bind(loop, fd, (struct sockaddr *)&addr, sizeof(addr)))
		abort();
	strcpy(addr.sun_path, peer ? peer : "");
	if (peer && loop->sys->connect(loop, fd, (struct sockaddr *)&addr, sizeof(addr)))
		abort();
	return sim_file_of(loop, fd);
}

static void post_closed(struct weir_op *op)
{
	act_event(op);
}

static void post_end(struct post *post)
{
	if (post->closing)
		return;
	post->closing = true;
	weir_prep_close(&post->close_from.op, post->from, post_closed, &post->close_from);
	weir_prep_close(&post->close_to.op, post->to, post_closed, &post->close_to);
	act_start(&post->close_from);
	act_start(&post->close_to);
}

static void post_sent(struct weir_op *op);

/* By turns as bytes and as a message in two parts. */
static void post_send(struct post *post)
{
	uint32_t len = POST_BYTES_MIN + post->sent % (POST_BYTES - POST_BYTES_MIN);
	uint32_t i;

	memcpy(post->out, &post->sent, sizeof(post->sent));
	for (i = POST_BYTES_MIN; i < len; i++)
		post->out[i] = world_byte(post->sent, i);
	if (post->sent & 1) {
		weir_prep_send(&post->send.op, post->from, post->out, len, post_sent,
			       &post->send);
	} else {
		post->iov[0] = (struct iovec){ post->out, 3 };
		post->iov[1] = (struct iovec){ post->out + 3, len - 3 };
		post->msg = (struct msghdr){ .msg_iov = post->iov, .msg_iovlen = 2 };
		weir_prep_sendmsg(&post->send.op, post->from, &post->msg, 0, post_sent,
				  &post->send);
	}
	act_start(&post->send);
}

static void post_sent(struct weir_op *op)
{
	struct act *act = act_event(op);
	struct post *post = act->owner;

	post->sent += op->res > 0;
	if (op->res == -ECANCELED || act->world->ending)
		post_end(post);
	else if (post->sent < POST_COUNT && !post->closing)
		post_send(post);
}

/* One datagram in a buffer of the pool. */
static void post_take(struct post *post, const struct weir_op *op)
{
	struct world *world = post->recv.world;
	const unsigned char *bytes;
	struct weir_msg msg;
	uint32_t number, i;

	if (weir_msg_read(op, &msg) || msg.len < POST_BYTES_MIN) {
		world_bad(world, "no datagram in a buffer");
		return;
	}
	bytes = msg.data;
	memcpy(&number, bytes, sizeof(number));
	if (number != post->got++)
		world_bad(world, "a datagram that was lost, repeated or out of order");
	if (msg.len != POST_BYTES_MIN + number % (POST_BYTES - POST_BYTES_MIN))
		world_bad(world, "a datagram of another size");
	for (i = POST_BYTES_MIN; i < msg.len; i++) {
		if (bytes[i] != world_byte(number, i))
			world_bad(world, "a datagram of other bytes");
	}
}

static void post_received(struct weir_op *op)
{
	struct act *act = act_event(op);
	struct post *post = act->owner;

	if (op->res >= 0 && op->lease)
		post_take(post, op);
	if (op->res == -ECANCELED || act->world->ending || post->got == POST_COUNT)
		post_end(post);
	else if (!op->more)
		act_start(act);
}

static void post_watched(struct weir_op *op)
{
	struct post *post = act_event(op)->owner;

	if (op->res >= 0 && !(op->res & POLLIN))
		world_bad(post->watch.world, "watched for one thing, told of another");
	post->seen += op->res >= 0;
}

void world_post_start(struct world *world)
{
	struct post *post = &world->post;

	act_set(&post->send, world, post);
	act_set(&post->recv, world, post);
	act_set(&post->watch, world, post);
	act_set(&post->close_from, world, post);
	act_set(&post->close_to, world, post);
	post->to = post_socket(world, "to", NULL);
	post->from = post_socket(world, "from", "to");
	weir_prep_poll_multi(&post->watch.op, post->to, POLLIN, post_watched, &post->watch);
	act_start(&post->watch);
	weir_prep_recvmsg_pool(&post->recv.op, post->to, world->pool, &post->room, post_received,
			       &post->recv);
	act_start(&post->recv);
	post_send(post);
}
