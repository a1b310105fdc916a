// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * fetch-fibers.c - fetches from many at once, each with a deadline, with fibers
 *
 * usage: fetch-fibers MILLISECONDS ADDRESS...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weir/call.h>
#include <weir/fiber.h>
#include <weir/loop.h>
#include <weir/net.h>

static const char request[] = "GET / HTTP/1.0\r\n\r\n";

struct fetch {
	struct weir_loop *loop;
	struct weir_fiber *fiber;
	struct weir_addr addr;
	uint64_t deadline_ns, bytes;
};

static int exchange(struct fetch *fetch, struct weir_file file)
{
	uint32_t sent = 0, len = sizeof(request) - 1;
	char buf[4096];
	int n;

	while (sent < len) {
		n = weir_call_send(fetch->loop, file, request + sent, len - sent,
				   fetch->deadline_ns);
		if (n < 0)
			return n;
		sent += (uint32_t)n;
	}
	while ((n = weir_call_recv(fetch->loop, file, buf, sizeof(buf), fetch->deadline_ns)) > 0)
		fetch->bytes += (uint32_t)n;
	return n;
}

static int fetch(void *arg)
{
	struct fetch *fetch = arg;
	struct weir_file file;
	int err;

	err = weir_call_connect(fetch->loop, (struct sockaddr *)&fetch->addr.ss, fetch->addr.len,
				fetch->deadline_ns, &file);
	if (err < 0)
		return err;
	err = exchange(fetch, file);
	weir_call_close(fetch->loop, file);
	return err;
}

int main(int argc, char **argv)
{
	struct weir_fibers *fibers;
	struct weir_loop *loop;
	struct fetch *fetches;
	int i, err;

	if (argc < 3 || weir_loop_open(&loop, NULL) || weir_fibers_open(&fibers, loop, NULL))
		return 2;
	fetches = calloc((size_t)argc, sizeof(*fetches));
	if (!fetches)
		return 2;
	for (i = 2; i < argc; i++) {
		fetches[i].loop = loop;
		fetches[i].deadline_ns = weir_loop_now(loop) +
					 strtoull(argv[1], NULL, 10) * 1000000;
		if (weir_addr_parse(&fetches[i].addr, argv[i]) ||
		    weir_fiber_spawn(&fetches[i].fiber, fibers, NULL, fetch, &fetches[i]))
			return 2;
	}
	for (i = 2; i < argc; i++) {
		weir_fiber_join(fetches[i].fiber, 0, &err);
		if (err)
			printf("%s: %s\n", argv[i], weir_strerror(err));
		else
			printf("%s: %llu bytes\n", argv[i], (unsigned long long)fetches[i].bytes);
	}
	free(fetches);
	weir_fibers_close(fibers);
	weir_loop_close(loop, UINT64_MAX);
	return 0;
}
