// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * echo-callbacks.c - an echo server, with callbacks
 *
 * usage: echo-callbacks ADDRESS
 *
 * Each client is a struct with its one operation in it. What was local in a
 * straight line of code is a field here, and each step names the next.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weir/loop.h>
#include <weir/net.h>

struct client {
	struct weir_loop *loop;
	struct weir_file file;
	struct weir_op op;
	uint32_t len, sent;
	char buf[4096];
};

static void receive(struct client *client);

static void on_close(struct weir_op *op)
{
	free(op->ctx);
}

static void end(struct client *client)
{
	weir_prep_close(&client->op, client->file, on_close, client);
	weir_submit(client->loop, &client->op);
}

static void on_sent(struct weir_op *op);

static void send_rest(struct client *client)
{
	weir_prep_send(&client->op, client->file, client->buf + client->sent,
		       client->len - client->sent, on_sent, client);
	weir_submit(client->loop, &client->op);
}

static void on_sent(struct weir_op *op)
{
	struct client *client = op->ctx;

	if (op->res < 0) {
		end(client);
		return;
	}
	client->sent += (uint32_t)op->res;
	if (client->sent < client->len)
		send_rest(client);
	else
		receive(client);
}

static void on_received(struct weir_op *op)
{
	struct client *client = op->ctx;

	if (op->res <= 0) {
		end(client);
		return;
	}
	client->len = (uint32_t)op->res;
	client->sent = 0;
	send_rest(client);
}

static void receive(struct client *client)
{
	weir_prep_recv(&client->op, client->file, client->buf, sizeof(client->buf), on_received,
		       client);
	weir_submit(client->loop, &client->op);
}

static void on_accepted(void *ctx, struct weir_file file)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		abort();
	client->loop = ctx;
	client->file = file;
	receive(client);
}

int main(int argc, char **argv)
{
	struct weir_listener_opts opts = { .sz = sizeof(opts), .accepted = on_accepted };
	struct weir_listener *listener;
	struct weir_loop *loop;
	struct weir_addr addr;
	char text[WEIR_ADDR_TEXT_MAX];

	if (argc != 2 || weir_addr_parse(&addr, argv[1]) || weir_loop_open(&loop, NULL))
		return 2;
	opts.addr = &addr;
	opts.ctx = loop;
	if (weir_listener_open(&listener, loop, &opts))
		return 1;
	weir_listener_start(listener);
	weir_listener_addr(listener, &addr);
	weir_addr_format(&addr, text, sizeof(text));
	printf("listening on %s\n", text);
	fflush(stdout);
	return weir_loop_run(loop) < 0;
}
