// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * echo-fibers.c - an echo server, with fibers
 *
 * usage: echo-fibers ADDRESS
 *
 * Each client is a function on a stack of its own; what it awaits suspends that
 * function alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <weir/call.h>
#include <weir/fiber.h>
#include <weir/loop.h>
#include <weir/net.h>

struct server {
	struct weir_loop *loop;
	struct weir_fibers *fibers;
};

struct client {
	struct weir_loop *loop;
	struct weir_file file;
};

static int send_all(struct client *client, const char *buf, uint32_t len)
{
	while (len) {
		int n = weir_call_send(client->loop, client->file, buf, len, 0);

		if (n < 0)
			return n;
		buf += n;
		len -= (uint32_t)n;
	}
	return 0;
}

static int echo(void *arg)
{
	struct client *client = arg;
	char buf[4096];
	int n;

	do {
		n = weir_call_recv(client->loop, client->file, buf, sizeof(buf), 0);
	} while (n > 0 && !send_all(client, buf, (uint32_t)n));
	weir_call_close(client->loop, client->file);
	free(client);
	return 0;
}

static void on_accepted(void *ctx, struct weir_file file)
{
	struct server *server = ctx;
	struct client *client = malloc(sizeof(*client));

	if (!client)
		abort();
	client->loop = server->loop;
	client->file = file;
	/* There are as many fibers as the loop has files. */
	if (weir_fiber_spawn(NULL, server->fibers, NULL, echo, client))
		abort();
}

int main(int argc, char **argv)
{
	struct weir_listener_opts opts = { .sz = sizeof(opts), .accepted = on_accepted };
	struct weir_loop_opts loop_opts = { .sz = sizeof(loop_opts), .files_max = 256 };
	struct weir_fibers_opts fibers_opts = { .sz = sizeof(fibers_opts), .fibers_max = 256 };
	struct weir_listener *listener;
	char text[WEIR_ADDR_TEXT_MAX];
	struct server server;
	struct weir_addr addr;

	if (argc != 2 || weir_addr_parse(&addr, argv[1]) ||
	    weir_loop_open(&server.loop, &loop_opts) ||
	    weir_fibers_open(&server.fibers, server.loop, &fibers_opts))
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
	return weir_loop_run(server.loop) < 0;
}
