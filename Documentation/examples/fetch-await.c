// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * fetch-await.c - fetches from many at once, each with a deadline, awaiting
 *
 * usage: fetch-await MILLISECONDS ADDRESS...
 *
 * All are under one token. Whenever one of their operations has ended, the fetch
 * it belongs to takes its next step.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/await.h>
#include <weir/loop.h>
#include <weir/net.h>

static const char request[] = "GET / HTTP/1.0\r\n\r\n";

enum state { CONNECTING, SENDING, RECEIVING, CLOSING, OVER };

struct fetch {
	enum state state;
	struct weir_addr addr;
	struct weir_file file;
	struct weir_op op;
	uint64_t deadline_ns, bytes;
	uint32_t sent;
	int err;
	char buf[4096];
};

static struct weir_token all;

static void submit(struct weir_loop *loop, struct fetch *fetch, enum state state)
{
	fetch->state = state;
	fetch->op.token = &all;
	if (state != CLOSING)
		fetch->op.deadline_ns = fetch->deadline_ns;
	weir_submit(loop, &fetch->op);
}

static void end(struct weir_loop *loop, struct fetch *fetch, int err)
{
	fetch->err = err;
	if (fetch->state == CONNECTING) {
		fetch->state = OVER;
		return;
	}
	weir_prep_close(&fetch->op, fetch->file, weir_done_ignore, NULL);
	submit(loop, fetch, CLOSING);
}

static void send_rest(struct weir_loop *loop, struct fetch *fetch)
{
	weir_prep_send(&fetch->op, fetch->file, request + fetch->sent,
		       (uint32_t)sizeof(request) - 1 - fetch->sent, weir_done_ignore, NULL);
	submit(loop, fetch, SENDING);
}

static void receive(struct weir_loop *loop, struct fetch *fetch)
{
	weir_prep_recv(&fetch->op, fetch->file, fetch->buf, sizeof(fetch->buf), weir_done_ignore,
		       NULL);
	submit(loop, fetch, RECEIVING);
}

/* What its operation came to, and what is next. */
static void step(struct weir_loop *loop, struct fetch *fetch)
{
	int res = fetch->op.res;

	if (fetch->state == CLOSING) {
		fetch->state = OVER;
	} else if (res < 0) {
		end(loop, fetch, res);
	} else if (fetch->state == CONNECTING) {
		fetch->file = fetch->op.accepted;
		send_rest(loop, fetch);
	} else if (fetch->state == SENDING) {
		fetch->sent += (uint32_t)res;
		if (fetch->sent < sizeof(request) - 1)
			send_rest(loop, fetch);
		else
			receive(loop, fetch);
	} else if (res) {
		fetch->bytes += (uint32_t)res;
		receive(loop, fetch);
	} else {
		end(loop, fetch, 0);
	}
}

static void tell(const char *name, const struct fetch *fetch)
{
	if (fetch->err)
		printf("%s: %s\n", name, weir_strerror(fetch->err));
	else
		printf("%s: %llu bytes\n", name, (unsigned long long)fetch->bytes);
}

int main(int argc, char **argv)
{
	struct weir_loop *loop;
	struct fetch *fetches;
	int i;

	if (argc < 3 || weir_loop_open(&loop, NULL) || weir_token_init(&all, loop, NULL))
		return 2;
	fetches = calloc((size_t)argc, sizeof(*fetches));
	if (!fetches)
		return 2;
	for (i = 2; i < argc; i++) {
		struct fetch *fetch = &fetches[i];

		if (weir_addr_parse(&fetch->addr, argv[i]))
			return 2;
		fetch->deadline_ns = weir_loop_now(loop) + strtoull(argv[1], NULL, 10) * 1000000;
		weir_prep_connect(&fetch->op, (struct sockaddr *)&fetch->addr.ss, fetch->addr.len,
				  weir_done_ignore, NULL);
		submit(loop, fetch, CONNECTING);
	}
	while (weir_await_any(&all) > 0) {
		for (i = 2; i < argc; i++) {
			if (fetches[i].state != OVER && !weir_op_busy(&fetches[i].op))
				step(loop, &fetches[i]);
		}
	}
	for (i = 2; i < argc; i++)
		tell(argv[i], &fetches[i]);
	free(fetches);
	weir_token_fini(&all);
	weir_loop_close(loop, UINT64_MAX);
	return 0;
}
