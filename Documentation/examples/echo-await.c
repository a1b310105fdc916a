// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * echo-await.c - an echo server, awaiting
 *
 * usage: echo-await ADDRESS
 *
 * One straight line of code does one thing at a time. For many at once their
 * operations are put under one token: wait until some of them have ended, then
 * see which.
 */
#include <stdio.h>
#include <string.h>
#include <weir/await.h>
#include <weir/loop.h>
#include <weir/net.h>

enum { CLIENTS = 256 };

enum state { FREE, NEW, RECEIVING, SENDING, CLOSING };

struct client {
	enum state state;
	struct weir_file file;
	struct weir_op op;
	uint32_t len, sent;
	char buf[4096];
};

struct server {
	struct weir_loop *loop;
	struct weir_token token;
	struct client clients[CLIENTS];
};

static void submit(struct server *server, struct client *client, enum state state)
{
	client->state = state;
	client->op.token = &server->token;
	weir_submit(server->loop, &client->op);
}

static void receive(struct server *server, struct client *client)
{
	weir_prep_recv(&client->op, client->file, client->buf, sizeof(client->buf),
		       weir_done_ignore, NULL);
	submit(server, client, RECEIVING);
}

static void send_rest(struct server *server, struct client *client)
{
	weir_prep_send(&client->op, client->file, client->buf + client->sent,
		       client->len - client->sent, weir_done_ignore, NULL);
	submit(server, client, SENDING);
}

static void end(struct server *server, struct client *client)
{
	weir_prep_close(&client->op, client->file, weir_done_ignore, NULL);
	submit(server, client, CLOSING);
}

/* What the client's operation came to, and what is next. */
static void step(struct server *server, struct client *client)
{
	if (client->state == CLOSING) {
		client->state = FREE;
	} else if (client->state == NEW) {
		receive(server, client);
	} else if (client->op.res <= 0) {
		end(server, client);
	} else if (client->state == RECEIVING) {
		client->len = (uint32_t)client->op.res;
		client->sent = 0;
		send_rest(server, client);
	} else {
		client->sent += (uint32_t)client->op.res;
		if (client->sent < client->len)
			send_rest(server, client);
		else
			receive(server, client);
	}
}

static void on_accepted(void *ctx, struct weir_file file)
{
	struct server *server = ctx;
	struct client *client = server->clients;

	while (client->state != FREE)
		client++;	/* there are as many as the loop has files */
	client->file = file;
	client->state = NEW;
	step(server, client);
}

static int serve(struct server *server)
{
	struct client *client;
	int ret;

	for (;;) {
		/* With no client yet there is nothing to wait for but the listener. */
		ret = weir_await_any(&server->token);
		if (!ret)
			ret = weir_loop_run_once(server->loop, UINT64_MAX);
		if (ret < 0)
			return ret;
		for (client = server->clients; client < server->clients + CLIENTS; client++) {
			if (client->state != FREE && !weir_op_busy(&client->op))
				step(server, client);
		}
	}
}

int main(int argc, char **argv)
{
	struct weir_listener_opts opts = { .sz = sizeof(opts), .accepted = on_accepted };
	struct weir_loop_opts loop_opts = { .sz = sizeof(loop_opts), .files_max = CLIENTS };
	static struct server server;
	struct weir_listener *listener;
	char text[WEIR_ADDR_TEXT_MAX];
	struct weir_addr addr;

	if (argc != 2 || weir_addr_parse(&addr, argv[1]) ||
	    weir_loop_open(&server.loop, &loop_opts) ||
	    weir_token_init(&server.token, server.loop, NULL))
		return 2;
	opts.addr = &addr;
	opts.ctx = &server;
	if (weir_listener_open(&listener, server.loop, &opts))
		return 1;
	weir_listener_start(listener);
	weir_listener_addr(listener, &addr);
	weir_addr_format(&addr, text, sizeof(text));
	printf("listening on %s\n", text);
	fflush(stdout);
	return serve(&server) < 0;
}
