// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * fetch-callbacks.c - fetches from many at once, each with a deadline, with callbacks
 *
 * usage: fetch-callbacks MILLISECONDS ADDRESS...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/loop.h>
#include <weir/net.h>

static const char request[] = "GET / HTTP/1.0\r\n\r\n";

struct fetch {
	struct weir_loop *loop;
	struct weir_addr addr;
	struct weir_file file;
	struct weir_op op;
	uint64_t deadline_ns, bytes;
	uint32_t sent;
	int err;
	char buf[4096];
};

static void submit(struct fetch *fetch)
{
	fetch->op.deadline_ns = fetch->deadline_ns;
	weir_submit(fetch->loop, &fetch->op);
}

static void on_closed(struct weir_op *op)
{
	(void)op;
}

static void end(struct fetch *fetch, int err)
{
	fetch->err = err;
	if (!fetch->file.gen)
		return;	/* it never connected */
	weir_prep_close(&fetch->op, fetch->file, on_closed, fetch);
	weir_submit(fetch->loop, &fetch->op);
}

static void on_received(struct weir_op *op)
{
	struct fetch *fetch = op->ctx;

	if (op->res <= 0) {
		end(fetch, op->res);
		return;
	}
	fetch->bytes += (uint32_t)op->res;
	weir_prep_recv(op, fetch->file, fetch->buf, sizeof(fetch->buf), on_received, fetch);
	submit(fetch);
}

static void on_sent(struct weir_op *op)
{
	struct fetch *fetch = op->ctx;

	if (op->res < 0) {
		end(fetch, op->res);
		return;
	}
	fetch->sent += (uint32_t)op->res;
	if (fetch->sent < sizeof(request) - 1)
		weir_prep_send(op, fetch->file, request + fetch->sent,
			       (uint32_t)sizeof(request) - 1 - fetch->sent, on_sent, fetch);
	else
		weir_prep_recv(op, fetch->file, fetch->buf, sizeof(fetch->buf), on_received,
			       fetch);
	submit(fetch);
}

static void on_connected(struct weir_op *op)
{
	struct fetch *fetch = op->ctx;

	if (op->res < 0) {
		end(fetch, op->res);
		return;
	}
	fetch->file = op->accepted;
	weir_prep_send(op, fetch->file, request, sizeof(request) - 1, on_sent, fetch);
	submit(fetch);
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

	if (argc < 3 || weir_loop_open(&loop, NULL))
		return 2;
	fetches = calloc((size_t)argc, sizeof(*fetches));
	if (!fetches)
		return 2;
	for (i = 2; i < argc; i++) {
		struct fetch *fetch = &fetches[i];

		if (weir_addr_parse(&fetch->addr, argv[i]))
			return 2;
		fetch->loop = loop;
		fetch->deadline_ns = weir_loop_now(loop) + strtoull(argv[1], NULL, 10) * 1000000;
		weir_prep_connect(&fetch->op, (struct sockaddr *)&fetch->addr.ss, fetch->addr.len,
				  on_connected, fetch);
		submit(fetch);
	}
	if (weir_loop_run(loop) < 0)
		return 1;
	for (i = 2; i < argc; i++)
		tell(argv[i], &fetches[i]);
	free(fetches);
	weir_loop_close(loop, UINT64_MAX);
	return 0;
}
