// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* echo.c - sends back what it receives, without copying it */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common.h"
#include "echo.h"

/* echo */

/* One writer: a plain add, but no reader may see half of it. */
static void echo_counted(struct echo_count *count, uint32_t len)
{
	__atomic_store_n(&count->requests, count->requests + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&count->bytes, count->bytes + len, __ATOMIC_RELAXED);
}

static void echo_data(struct weir_conn *conn, struct weir_lease *lease)
{
	struct echo *echo = weir_conn_service_ctx(conn);
	struct echo_count *count = &echo->count[weir_conn_worker(conn)];
	uint32_t len;
	int err;

	if (!lease) {
		weir_conn_close(conn);
		return;
	}
	len = weir_lease_len(lease);
	err = weir_conn_send_lease(conn, lease, 0, len);
	if (err == 1)
		weir_conn_pause(conn);
	else if (err)
		weir_conn_abort(conn, err);
	if (err >= 0)
		echo_counted(count, len);
}

static void echo_drain(struct weir_conn *conn)
{
	weir_conn_resume(conn);
}

/* What has no room to wait is lost, as datagrams may be, and counted. */
static void echo_datagram(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	struct echo *echo = weir_dgram_service_ctx(dgram);

	if (!weir_dgram_send(dgram, datagram))
		echo_counted(&echo->count[weir_dgram_worker(dgram)], datagram->len);
}

/* the worker that hangs */

static void stall_done(struct weir_op *op)
{
	struct echo *echo = op->ctx;
	uint64_t now;

	if (op->res < 0)
		return;
	/*
	 * What a worker does that waits for a lock, a disk or a name server in a
	 * callback: its thread blocks, its loop does not turn.
	 */
	sleep_ns(echo->stall.block_ns);
	now = now_ns();
	do {
		echo->next_ns += echo->stall.period_ns;
	} while (echo->next_ns <= now);
	weir_prep_timeout(op, echo->next_ns, stall_done, echo);
	weir_submit(echo->loop, op);
}

static int echo_start(void *ctx, unsigned int worker, struct weir_loop *loop)
{
	struct echo *echo = ctx;

	if (!echo->stall.on || worker != echo->stall.worker)
		return 0;
	echo->loop = loop;
	echo->next_ns = now_ns() + echo->stall.period_ns / 2;
	weir_prep_timeout(&echo->timer, echo->next_ns, stall_done, echo);
	weir_submit(loop, &echo->timer);
	return 0;
}

static void echo_stop(void *ctx, unsigned int worker)
{
	struct echo *echo = ctx;

	if (echo->stall.on && worker == echo->stall.worker)
		weir_cancel(echo->loop, &echo->timer);
}

const struct weir_service_ops echo_ops = {
	.data		= echo_data,
	.drain		= echo_drain,
	.start		= echo_start,
	.stop		= echo_stop,
	.datagram	= echo_datagram,
};

/* options and totals */

/* A bare number is in milliseconds here. */
static int parse_ms(const char *text, uint64_t *ns)
{
	size_t len = strlen(text);
	int err = parse_time(text, ns);

	if (!err && isdigit((unsigned char)text[len - 1]))
		*ns /= 1000;
	return err;
}

int echo_stall_parse(const char *text, struct echo_stall *stall)
{
	char copy[64], *block, *period;
	uint64_t worker;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, text);
	block = strchr(copy, ':');
	period = block ? strchr(block, '/') : NULL;
	if (!period)
		return -EINVAL;
	*block++ = '\0';
	*period++ = '\0';
	if (parse_number(copy, 1000, &worker) || worker >= WEIR_WORKERS_MAX ||
	    parse_ms(block, &stall->block_ns) || parse_ms(period, &stall->period_ns) ||
	    !stall->block_ns || stall->block_ns >= stall->period_ns ||
	    stall->period_ns > 60 * NS_PER_SEC)
		return -EINVAL;
	stall->worker = (uint32_t)worker;
	stall->on = 1;
	return 0;
}

struct echo_count echo_total(const struct echo *echo)
{
	struct echo_count sum = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(echo->count); i++) {
		sum.requests += __atomic_load_n(&echo->count[i].requests, __ATOMIC_RELAXED);
		sum.bytes += __atomic_load_n(&echo->count[i].bytes, __ATOMIC_RELAXED);
	}
	return sum;
}
