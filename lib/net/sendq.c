// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sendq.c - the send queue of a connection
 *
 * One send in flight, so that bytes leave in the order they were queued: of the
 * first entry, or of the first few gathered (lib/io/gather.h). A short send is no
 * event: the rest is sent next. Bytes that are copied go to the end of the last
 * buffer while there is room, also when its beginning is in flight: the kernel
 * reads only what it was told to.
 */
#include <errno.h>
#include <string.h>

#include "io/gather.h"
#include "io/lend.h"
#include "net/conn.h"

static struct pool_seg *tail_of(struct weir_conn *conn)
{
	return conn->last == SEG_NONE ? &conn->head : &conn->pool->segs[conn->last];
}

static int push(struct weir_conn *conn, struct weir_lease *lease, uint32_t offset, uint32_t len)
{
	struct pool_seg *seg = &conn->head;
	uint32_t index;

	if (!sendq_empty(conn)) {
		index = pool_seg_get(conn->pool);
		if (index == SEG_NONE)
			return -ENOBUFS;
		tail_of(conn)->next = index;
		conn->last = index;
		seg = &conn->pool->segs[index];
	}
	seg->lease = lease;
	seg->offset = offset;
	seg->len = len;
	seg->next = SEG_NONE;
	return 0;
}

static void pop(struct weir_conn *conn)
{
	uint32_t index = conn->head.next;

	lease_put(conn->head.lease);
	if (index == SEG_NONE) {
		conn->head.lease = NULL;
		conn->tail_private = false;
		return;
	}
	conn->head = conn->pool->segs[index];
	if (conn->last == index)
		conn->last = SEG_NONE;
	pool_seg_put(conn->pool, index);
}

/* sending */

static void send_done(struct weir_op *op);

static bool gather_seg(struct io_gather *gather, const struct pool_seg *seg)
{
	return gather_add(gather, seg->lease->data + seg->offset, seg->len);
}

/* Borrow a gather for more than the entry in front; NULL if that goes alone. */
static struct io_gather *gather_head(struct weir_conn *conn)
{
	const struct pool_seg *segs = conn->pool->segs;
	const struct pool_seg *seg = &conn->head;
	struct io_gather *gather;

	if (lend_may(conn->loop, conn->file, seg->len))
		return NULL;
	if (seg->next == SEG_NONE || seg->len + segs[seg->next].len > GATHER_BYTES)
		return NULL;
	gather = gather_get(conn->loop);
	if (!gather)
		return NULL;
	while (gather_seg(gather, seg) && seg->next != SEG_NONE)
		seg = &segs[seg->next];
	conn->loop->stats.gathers++;
	return gather;
}

static void send_next(struct weir_conn *conn)
{
	if (weir_op_busy(&conn->send))
		return;
	conn->send_since_ns = loop_clock(conn->loop);
	if (conn->sending_head)
		list_add_tail(conn->sending_head, &conn->sending);
	conn->gather = gather_head(conn);
	if (conn->gather)
		weir_prep_sendmsg(&conn->send, conn->file, &conn->gather->msg, 0, send_done,
				  conn);
	else
		weir_prep_send(&conn->send, conn->file,
			       conn->head.lease->data + conn->head.offset, conn->head.len,
			       send_done, conn);
	/* A short one has nothing to gain, and a shorter way. */
	if (!conn->gather && lend_may(conn->loop, conn->file, conn->head.len)) {
		conn->send.flags = WEIR_OPF_LEASE;
		conn->send.xfer.lease = conn->head.lease;
	}
	weir_submit(conn->loop, &conn->send);
}

static void send_ended(struct weir_conn *conn)
{
	if (conn->gather)
		gather_put(conn->loop, conn->gather, conn->send.res);
	conn->gather = NULL;
	conn->send_since_ns = 0;
	list_del(&conn->sending);
	if (!conn->stalled)
		return;
	conn->stalled = false;
	if (conn->hooks->unstalled)
		conn->hooks->unstalled(conn);
}

static void tell_room(struct weir_conn *conn, enum weir_water_edge edge)
{
	if (edge == WEIR_WATER_LOW && conn->hooks->edge)
		conn->hooks->edge(conn, edge);
	if (conn->state != CONN_OPEN)
		return;
	if (edge != WEIR_WATER_LOW &&
	    !(conn->want_drain && conn->water.level_bytes <= conn->water.low_bytes))
		return;
	conn->want_drain = false;
	if (conn->ops->drain)
		conn->ops->drain(conn);
}

static void take_sent(struct weir_conn *conn, uint32_t bytes)
{
	while (bytes) {
		uint32_t n = min_u32(bytes, conn->head.len);

		conn->head.offset += n;
		conn->head.len -= n;
		bytes -= n;
		if (!conn->head.len)
			pop(conn);
	}
}

static void send_done(struct weir_op *op)
{
	struct weir_conn *conn = op->ctx;
	int res = op->res;

	send_ended(conn);
	if (res < 0 || conn->state == CONN_CLOSE) {
		sendq_drop(conn);
		if (res < 0)
			weir_conn_abort(conn, res);
		return;
	}
	take_sent(conn, (uint32_t)res);
	if (!sendq_empty(conn))
		send_next(conn);
	else if (conn->state == CONN_DRAIN)
		conn_advance(conn);
	tell_room(conn, weir_water_sub(&conn->water, (uint32_t)res));
}

/* queueing */

static void queued(struct weir_conn *conn, uint32_t bytes)
{
	enum weir_water_edge edge = weir_water_add(&conn->water, bytes);

	send_next(conn);
	if (edge == WEIR_WATER_HIGH && conn->hooks->edge)
		conn->hooks->edge(conn, edge);
}

static int above_high(const struct weir_conn *conn)
{
	return conn->water.level_bytes >= conn->water.high_bytes;
}

int weir_conn_send_lease(struct weir_conn *conn, struct weir_lease *lease, uint32_t offset,
			 uint32_t len)
{
	struct pool_seg *tail;
	int err;

	assert_owner(conn->loop);
	if (offset > lease->size || len > lease->size - offset)
		return -EINVAL;
	if (conn->state != CONN_OPEN)
		return conn->state == CONN_MOVE ? -EBUSY : -EPIPE;
	if (!len)
		return above_high(conn);
	tail = tail_of(conn);
	if (!sendq_empty(conn) && tail->lease == lease && tail->offset + tail->len == offset) {
		tail->len += len;
	} else {
		err = push(conn, lease, offset, len);
		if (err) {
			conn->want_drain = true;
			return err;
		}
		lease->refs++;
		conn->tail_private = false;
	}
	queued(conn, len);
	return above_high(conn);
}

/* Copies into the last buffer, or into a new one; how many bytes, 0: no buffer. */
static uint32_t append(struct weir_conn *conn, const unsigned char *buf, uint32_t len)
{
	struct pool_seg *tail = tail_of(conn);
	struct weir_lease *lease = tail->lease;
	uint32_t size = conn->pool->group.buf_bytes;

	if (conn->tail_private && lease->len < size) {
		len = min_u32(len, size - lease->len);
		tail->len += len;
	} else {
		if (group_lease(&conn->pool->group, &lease))
			return 0;
		len = min_u32(len, size);
		if (push(conn, lease, 0, len)) {
			lease_put(lease);
			return 0;
		}
		conn->tail_private = true;
	}
	memcpy(lease->data + lease->len, buf, len);
	lease->len += len;
	return len;
}

int weir_conn_send(struct weir_conn *conn, const void *buf, uint32_t len)
{
	const unsigned char *bytes = buf;
	uint32_t taken = 0, want, n;

	assert_owner(conn->loop);
	if (conn->state != CONN_OPEN)
		return conn->state == CONN_MOVE ? -EBUSY : -EPIPE;
	want = (uint32_t)min_u64(min_u32(len, INT32_MAX), weir_water_room(&conn->water));
	while (taken < want) {
		n = append(conn, bytes + taken, want - taken);
		if (!n)
			break;
		taken += n;
	}
	if (taken)
		queued(conn, taken);
	if (taken < len) {
		conn->want_drain = true;
		/* Nothing of ours in flight: another's buffer must come back. */
		if (sendq_empty(conn))
			pool_wait(conn->pool, &conn->waiter);
	}
	return (int)taken;
}

/* A spare buffer is free again. */
static void spare_came(struct pool_waiter *waiter)
{
	tell_room(container_of(waiter, struct weir_conn, waiter), WEIR_WATER_SAME);
}

void sendq_init(struct weir_conn *conn)
{
	conn->last = SEG_NONE;
	conn->head.next = SEG_NONE;
	conn->waiter.wake = spare_came;
	list_init(&conn->waiter.link);
	list_init(&conn->sending);
}

/* The entry behind @seg is forgotten. */
static void drop_next(struct weir_conn *conn, struct pool_seg *seg)
{
	uint32_t index = seg->next;
	struct pool_seg *next = &conn->pool->segs[index];

	lease_put(next->lease);
	seg->next = next->next;
	pool_seg_put(conn->pool, index);
}

/* What is in flight stays until the kernel is done with it. */
static uint64_t drop_behind_send(struct weir_conn *conn)
{
	size_t n = conn->gather ? conn->gather->msg.msg_iovlen : 1;
	struct pool_seg *seg = &conn->head;
	uint64_t kept = seg->len;

	conn->last = SEG_NONE;
	while (--n) {
		conn->last = seg->next;
		seg = &conn->pool->segs[conn->last];
		kept += seg->len;
	}
	while (seg->next != SEG_NONE)
		drop_next(conn, seg);
	return kept;
}

void sendq_drop(struct weir_conn *conn)
{
	uint64_t kept = 0;

	pool_wait_end(conn->pool, &conn->waiter);
	if (weir_op_busy(&conn->send))
		kept = drop_behind_send(conn);
	else
		while (!sendq_empty(conn))
			pop(conn);
	(void)weir_water_sub(&conn->water, conn->water.level_bytes - kept);
}
