// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The io_uring peer of the echo benchmark, the yardstick for weir: what a good
 * engineer writes by hand for one processor when nothing else is asked for.
 * One ring that runs completions in its own system calls, direct multishot
 * accept, multishot receive from one provided-buffer ring, sends straight from
 * the received buffer, and one system call per turn that submits and waits for
 * many completions or a short while.
 *
 * It has no flow control: a client that sends and never reads can hold all
 * buffers. That is what a library is for; the benchmark's clients read.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "peer.h"

/* Newer than the headers of liburing 2.3 (Linux 6.12 and 6.15). */
#define ENTER_NO_IOWAIT		(1U << 7)
#define FEAT_MIN_TIMEOUT	(1U << 15)
#define FEAT_NO_IOWAIT		(1U << 17)

/* struct io_uring_getevents_arg, whose pad became min_wait_usec in 6.12. */
struct getevents_arg {
	__u64 sigmask;
	__u32 sigmask_sz;
	__u32 min_wait_usec;
	__u64 ts;
};

#define SQ_ENTRIES	4096U
#define CQ_ENTRIES	65536U
#define BUFS		4096U	/* a power of two */
#define BUF_BYTES	2048U
#define GROUP		0
#define HUGE_BYTES	(2U << 20)

/*
 * Wait for many only while many come: eight completions in the time of one
 * wait. To count those of the last turn alone is a trap: a server that is
 * faster than its clients then reaps one or two in each turn and never starts
 * to wait for more, at four to five times the system calls.
 */
#define BUSY_REAPED	8U
#define WAIT_MAX	64U
#define WAIT_USEC	100U
#define WAIT_NS		(WAIT_USEC * 1000ULL)

#define NO_BUF		UINT16_MAX

enum kind {
	KIND_ACCEPT,
	KIND_RECV,
	KIND_SEND,
	KIND_CANCEL,
	KIND_CLOSE,
	KIND_STOP,
};

/* One direct descriptor. Buffers wait in the order in which they came. */
struct conn {
	uint16_t head;		/* being sent */
	uint16_t tail;
	uint32_t off;		/* of the head that is already sent */
	bool armed;
	bool sending;
	bool eof;
	bool broken;
	bool parked;
	uint32_t next;		/* parked connection */
};

struct server {
	struct io_uring ring;
	struct io_uring_buf_ring *bufs;
	char *slab;
	uint16_t buf_tail;
	unsigned int enter_flags;
	bool batch;
	bool busy;
	bool stop;
	bool accepting;
	int listener;
	uint32_t slots;
	uint32_t live;
	uint32_t held;		/* buffers the kernel does not have */
	uint32_t parked;
	uint32_t park_first;
	uint32_t park_last;
	uint64_t window_ns;	/* when the rate was last looked at */
	uint64_t window_reaped;
	struct peer_stats stats;
	uint16_t next[BUFS];
	uint32_t len[BUFS];
	struct conn conns[PEER_CONNS_MAX];
};

static void enter(struct server *s, unsigned int wait)
{
	struct getevents_arg arg = { .min_wait_usec = WAIT_USEC };
	struct io_uring_sq *sq = &s->ring.sq;
	unsigned int flags = s->enter_flags;
	unsigned int submit = sq->sqe_tail - IO_URING_READ_ONCE(*sq->khead);
	int ret;

	io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
	s->stats.syscalls++;
	if (wait)
		flags |= IORING_ENTER_GETEVENTS;
	if (wait > 1)
		ret = io_uring_enter2((unsigned int)s->ring.enter_ring_fd, submit, wait,
				      flags | IORING_ENTER_EXT_ARG, (sigset_t *)&arg, sizeof(arg));
	else
		ret = io_uring_enter2((unsigned int)s->ring.enter_ring_fd, submit, wait, flags,
				      NULL, 0);
	/* A minimum wait without a timeout behind it ends with ETIME. */
	if (ret < 0 && ret != -ETIME && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
		peer_die("io_uring_enter", -ret);
}

static struct io_uring_sqe *get_sqe(struct server *s, enum kind what, uint32_t slot)
{
	struct io_uring_sq *sq = &s->ring.sq;
	struct io_uring_sqe *sqe;

	while (sq->sqe_tail - IO_URING_READ_ONCE(*sq->khead) == sq->ring_entries)
		enter(s, 0);
	sqe = &sq->sqes[sq->sqe_tail++ & sq->ring_mask];
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = (uint64_t)what << 32 | slot;
	return sqe;
}

static void arm_accept(struct server *s)
{
	struct io_uring_sqe *sqe = get_sqe(s, KIND_ACCEPT, 0);

	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = s->listener;
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
	s->accepting = true;
}

static void arm_recv(struct server *s, uint32_t slot)
{
	struct io_uring_sqe *sqe = get_sqe(s, KIND_RECV, slot);

	sqe->opcode = IORING_OP_RECV;
	sqe->fd = (int)slot;
	sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->ioprio = IORING_RECV_MULTISHOT | IORING_RECVSEND_POLL_FIRST;
	sqe->buf_group = GROUP;
	s->conns[slot].armed = true;
}

static void send_head(struct server *s, uint32_t slot)
{
	struct io_uring_sqe *sqe = get_sqe(s, KIND_SEND, slot);
	struct conn *c = &s->conns[slot];

	sqe->opcode = IORING_OP_SEND;
	sqe->fd = (int)slot;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->addr = (uintptr_t)s->slab + (size_t)c->head * BUF_BYTES + c->off;
	sqe->len = s->len[c->head] - c->off;
	sqe->msg_flags = MSG_NOSIGNAL | MSG_WAITALL;
	c->sending = true;
}

static void cancel_recv(struct server *s, uint32_t slot)
{
	struct io_uring_sqe *sqe = get_sqe(s, KIND_CANCEL, slot);

	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = (uint64_t)KIND_RECV << 32 | slot;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
}

static void give_buffer(struct server *s, uint16_t bid)
{
	struct io_uring_buf *buf = &s->bufs->bufs[s->buf_tail++ & (BUFS - 1)];

	/* Not by assignment: the ring's tail lies over bufs[0].resv. */
	buf->addr = (uintptr_t)s->slab + (size_t)bid * BUF_BYTES;
	buf->len = BUF_BYTES;
	buf->bid = bid;
}

static void pop_head(struct server *s, struct conn *c)
{
	uint16_t bid = c->head;

	c->head = s->next[bid];
	c->off = 0;
	s->held--;
	give_buffer(s, bid);
}

static void push_tail(struct server *s, struct conn *c, uint16_t bid, uint32_t len)
{
	s->held++;
	s->len[bid] = len;
	s->next[bid] = NO_BUF;
	if (c->head == NO_BUF)
		c->head = bid;
	else
		s->next[c->tail] = bid;
	c->tail = bid;
}

/* The slot is free again only after both operations have ended. */
static void maybe_close(struct server *s, uint32_t slot)
{
	struct conn *c = &s->conns[slot];
	struct io_uring_sqe *sqe;

	if (c->armed || c->sending || c->parked || !(c->eof || c->broken))
		return;
	sqe = get_sqe(s, KIND_CLOSE, slot);
	sqe->opcode = IORING_OP_CLOSE;
	sqe->file_index = slot + 1;
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	s->live--;
	/* The table was full: the slot is free when this accept is started. */
	if (!s->accepting)
		arm_accept(s);
}

static void break_conn(struct server *s, uint32_t slot)
{
	struct conn *c = &s->conns[slot];

	c->broken = true;
	while (c->head != NO_BUF && !c->sending)
		pop_head(s, c);
	if (c->armed)
		cancel_recv(s, slot);
}

static void park(struct server *s, uint32_t slot)
{
	s->conns[slot].parked = true;
	if (!s->parked++)
		s->park_first = slot;
	else
		s->conns[s->park_last].next = slot;
	s->park_last = slot;
}

/* As many as there are buffers, in the order in which they ran out. */
static void unpark(struct server *s)
{
	uint32_t n = BUFS - s->held;
	uint32_t slot;

	for (; n && s->parked; n--) {
		slot = s->park_first;
		s->park_first = s->conns[slot].next;
		s->parked--;
		s->conns[slot].parked = false;
		if (s->conns[slot].broken)
			maybe_close(s, slot);
		else
			arm_recv(s, slot);
	}
}

static void on_accept(struct server *s, const struct io_uring_cqe *cqe)
{
	struct conn *c;

	if (cqe->res >= 0) {
		c = &s->conns[cqe->res];
		memset(c, 0, sizeof(*c));
		c->head = NO_BUF;
		s->live++;
		arm_recv(s, (uint32_t)cqe->res);
	}
	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	s->accepting = false;
	if (cqe->res == -EINVAL || cqe->res == -EBADF)
		peer_die("accept", -cqe->res);
	/* A full table is tried again when a connection has closed. */
	if (cqe->res != -ENFILE)
		arm_accept(s);
}

static void on_recv(struct server *s, uint32_t slot, const struct io_uring_cqe *cqe)
{
	struct conn *c = &s->conns[slot];
	uint16_t bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

	if (!(cqe->flags & IORING_CQE_F_MORE))
		c->armed = false;
	if (cqe->flags & IORING_CQE_F_BUFFER)
		push_tail(s, c, bid, cqe->res > 0 ? (uint32_t)cqe->res : 0);
	if (cqe->res > 0) {
		s->stats.requests++;
		if (!c->sending && !c->broken)
			send_head(s, slot);
	} else if (cqe->res == -ENOBUFS) {
		park(s, slot);
		return;
	} else if (!cqe->res) {
		c->eof = true;
	} else {
		break_conn(s, slot);
	}
	if (c->broken)
		break_conn(s, slot);
	else if (!c->armed && !c->eof)
		arm_recv(s, slot);
	maybe_close(s, slot);
}

static void on_send(struct server *s, uint32_t slot, const struct io_uring_cqe *cqe)
{
	struct conn *c = &s->conns[slot];

	c->sending = false;
	if (cqe->res < 0 || c->broken) {
		break_conn(s, slot);
		maybe_close(s, slot);
		return;
	}
	s->stats.bytes += (uint32_t)cqe->res;
	c->off += (uint32_t)cqe->res;
	if (c->off >= s->len[c->head])
		pop_head(s, c);
	if (c->head != NO_BUF)
		send_head(s, slot);
	else
		maybe_close(s, slot);
}

static void dispatch(struct server *s, const struct io_uring_cqe *cqe)
{
	uint32_t slot = (uint32_t)cqe->user_data;

	switch ((enum kind)(cqe->user_data >> 32)) {
	case KIND_RECV:
		on_recv(s, slot, cqe);
		break;
	case KIND_SEND:
		on_send(s, slot, cqe);
		break;
	case KIND_ACCEPT:
		on_accept(s, cqe);
		break;
	case KIND_STOP:
		s->stop = true;
		break;
	case KIND_CLOSE:
		peer_die("close", -cqe->res);
	case KIND_CANCEL:	/* it had ended by itself */
		break;
	}
}

/* Returns how many completions there were. */
static unsigned int reap(struct server *s)
{
	struct io_uring_cq *cq = &s->ring.cq;
	unsigned int head = *cq->khead;
	unsigned int tail = io_uring_smp_load_acquire(cq->ktail);
	unsigned int n = tail - head;

	for (; head != tail; head++)
		dispatch(s, &cq->cqes[head & cq->ring_mask]);
	io_uring_smp_store_release(cq->khead, head);
	if (s->parked)
		unpark(s);
	io_uring_smp_store_release(&s->bufs->tail, s->buf_tail);
	return n;
}

static void look_at_rate(struct server *s, unsigned int reaped)
{
	struct timespec ts;
	uint64_t now, past;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
	past = now - s->window_ns;
	s->window_reaped += reaped;
	if (past < WAIT_NS)
		return;
	s->busy = s->window_reaped * WAIT_NS >= BUSY_REAPED * past;
	s->window_reaped = 0;
	s->window_ns = now;
}

static void turn(struct server *s)
{
	unsigned int n = reap(s);
	unsigned int wait = 1;

	if (s->stop)
		return;
	if (s->batch)
		look_at_rate(s, n);
	/* Fewer clients than that gain nothing and pay for the timer. */
	if (s->busy && s->live >= BUSY_REAPED / 2)
		wait = s->live < WAIT_MAX ? s->live : WAIT_MAX;
	/* Sends complete as they are submitted and tell nothing new. */
	if (wait > 1)
		wait += s->ring.sq.sqe_tail - *s->ring.sq.khead;
	enter(s, wait);
}

static void open_ring(struct server *s)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
		.cq_entries = CQ_ENTRIES,
	};
	unsigned int i;
	int err;

	err = io_uring_queue_init_params(SQ_ENTRIES, &s->ring, &p);
	if (err)
		peer_die("io_uring_setup", -err);
	/* The array stays the identity: only tails move. */
	for (i = 0; i < s->ring.sq.ring_entries; i++)
		s->ring.sq.array[i] = i;
	err = io_uring_register_ring_fd(&s->ring);
	if (err != 1)
		peer_die("register the ring", err < 0 ? -err : EIO);
	err = io_uring_register_files_sparse(&s->ring, s->slots);
	if (err)
		peer_die("register files", -err);
	s->enter_flags = IORING_ENTER_REGISTERED_RING;
	if (p.features & FEAT_NO_IOWAIT)
		s->enter_flags |= ENTER_NO_IOWAIT;
	if (s->batch && !(p.features & FEAT_MIN_TIMEOUT))
		peer_die("minimum wait (needs Linux 6.12; try --no-batch)", EOPNOTSUPP);
}

/* A slab that starts on a huge page: the kernel copies through our mapping. */
static char *map_slab(size_t bytes)
{
	uintptr_t base;
	char *p;

	p = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		peer_die("mmap", errno);
	base = ((uintptr_t)p + HUGE_BYTES - 1) & ~(uintptr_t)(HUGE_BYTES - 1);
	/* Only advice: without huge pages it is slower, not wrong. */
	madvise((void *)base, bytes, MADV_HUGEPAGE);
	memset((void *)base, 0, bytes);
	return (char *)base;
}

static void open_buffers(struct server *s)
{
	struct io_uring_buf_reg reg = { .ring_entries = BUFS, .bgid = GROUP };
	uint16_t bid;
	int err;

	s->bufs = mmap(NULL, BUFS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->bufs == MAP_FAILED)
		peer_die("mmap", errno);
	s->slab = map_slab((size_t)BUFS * BUF_BYTES);
	reg.ring_addr = (uintptr_t)s->bufs;
	err = io_uring_register_buf_ring(&s->ring, &reg, 0);
	if (err)
		peer_die("register buffers", -err);
	for (bid = 0; bid < BUFS; bid++)
		give_buffer(s, bid);
	io_uring_smp_store_release(&s->bufs->tail, s->buf_tail);
}

static uint32_t table_size(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		peer_die("getrlimit", errno);
	return lim.rlim_cur < PEER_CONNS_MAX ? (uint32_t)lim.rlim_cur : PEER_CONNS_MAX;
}

static void watch_signals(struct server *s)
{
	struct io_uring_sqe *sqe = get_sqe(s, KIND_STOP, 0);

	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = peer_signals();
	sqe->poll32_events = POLLIN;
}

int main(int argc, char **argv)
{
	struct peer_opts opts = { .name = "peer_uring" };
	static struct server s;

	peer_parse(&opts, argc, argv);
	s.batch = opts.batch;
	s.listener = peer_start(&opts);
	s.slots = table_size();
	open_ring(&s);
	open_buffers(&s);
	watch_signals(&s);
	arm_accept(&s);
	while (!s.stop)
		turn(&s);
	return peer_finish(&s.stats);
}
