// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fair.c - one connection that always has more to say, and many that say
 * little: what it may have of a turn, how long the others wait, and how long a wait
 * is for more than one of them
 */
#include "backends.h"
#ifdef CONFIG_URING
#include "io/uring.h"
#endif
#include "kselftest_harness.h"

enum {
	QUIET		= 50,
	ANSWERS		= 100,		/* of each quiet one */
	BUF_BYTES	= 1024,
	BUFS		= 4096,		/* far more than a turn may take */
	WRITE_BYTES	= 1 << 16,
	WRITES		= 64,		/* each turn: more than the socket holds */
	SHARE_MAX	= 32,		/* events of one connection in one turn */
	SHARE_URING	= 96,		/* the same, where the kernel divides */
	WAIT_MAX	= 3,		/* turns from the byte to its event */
	BATCH_US	= 200000,	/* long, so that it shows in what a turn takes */
	BATCHES		= 4,		/* that see the load */
	BATCH_TURNS	= 20,		/* of each, at least */
	HEARINGS	= 10,		/* at most, until one was in time */
};

#define LATE_NS		(BATCH_US * NSEC_PER_USEC * 3 / 4)

struct peer {
	struct weir_op recv;
	struct crowd *crowd;
	struct weir_file file;
	int fd;				/* the other end, the test's own */
	uint64_t sent_turn;
	unsigned int answers;
	unsigned int share;		/* events in this turn */
	unsigned int share_max;
	unsigned int wait_max;
	bool waits;
};

struct crowd {
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct server server;
	struct peer loud;
	struct peer quiet[QUIET];
	uint64_t turn;
	unsigned int left;
	bool hush;			/* the loud one says no more */
	char text[WRITE_BYTES];
};

FIXTURE(fair)
{
	struct weir_loop_hooks hooks;
	struct crowd *crowd;
};

KERNEL_VARIANTS(fair);
REFUSED_VARIANT(fair);
COPIED_VARIANT(fair);

static void heard(struct weir_op *op)
{
	struct peer *peer = op->ctx;
	struct crowd *crowd = peer->crowd;
	unsigned int wait = (unsigned int)(crowd->turn - peer->sent_turn);

	if (!op->more)
		return;
	if (++peer->share > peer->share_max)
		peer->share_max = peer->share;
	if (!peer->waits)
		return;
	peer->waits = false;
	if (wait > peer->wait_max)
		peer->wait_max = wait;
	crowd->left -= ++peer->answers == ANSWERS;
}

/* After each turn the loud one's socket is full, and each quiet one has said something. */
static void speak(void *ctx)
{
	struct crowd *crowd = ctx;
	unsigned int i;

	crowd->turn++;
	crowd->loud.share = 0;
	for (i = 0; i < WRITES && !crowd->hush; i++) {
		if (send(crowd->loud.fd, crowd->text, WRITE_BYTES, MSG_DONTWAIT) < 0)
			break;
	}
	for (i = 0; i < QUIET; i++) {
		struct peer *peer = &crowd->quiet[i];

		if (peer->waits || send(peer->fd, "?", 1, MSG_DONTWAIT) != 1)
			continue;
		peer->waits = true;
		peer->sent_turn = crowd->turn;
	}
}

static int peer_open(struct crowd *crowd, struct peer *peer)
{
	unsigned int before = crowd->server.seen.events;

	peer->crowd = crowd;
	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(peer->fd, (struct sockaddr *)&crowd->server.addr,
		    sizeof(crowd->server.addr)))
		return -errno;
	while (crowd->server.seen.events == before) {
		int err = run_turn(crowd->loop);

		if (err)
			return err;
	}
	peer->file = crowd->server.seen.file;
	weir_prep_recv_pool(&peer->recv, peer->file, crowd->pool, heard, peer);
	weir_submit(crowd->loop, &peer->recv);
	return 0;
}

FIXTURE_SETUP(fair)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .bufs_max = BUFS,
		.files_max = 128, .ops_max = 256, .batch_wait_us = BATCH_US,
	};
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = BUF_BYTES, .count = BUFS,
	};
	unsigned int i;

	self->crowd = calloc(1, sizeof(*self->crowd));
	ASSERT_NE(NULL, self->crowd);
	OPEN_LOOP(&self->crowd->loop, &opts);
	ASSERT_EQ(0, weir_pool_open(&self->crowd->pool, self->crowd->loop, &shape));
	ASSERT_EQ(0, server_open(self->crowd->loop, &self->crowd->server, 64));
	ASSERT_EQ(0, peer_open(self->crowd, &self->crowd->loud));
	for (i = 0; i < QUIET; i++)
		ASSERT_EQ(0, peer_open(self->crowd, &self->crowd->quiet[i]));
	self->crowd->left = QUIET;
	self->crowd->loop->hooks = (struct weir_loop_hooks){ .tick = speak, .ctx = self->crowd };
}

FIXTURE_TEARDOWN(fair)
{
	unsigned int i;

	self->crowd->loop->hooks.tick = NULL;
	for (i = 0; i < QUIET; i++)
		close(self->crowd->quiet[i].fd);
	close(self->crowd->loud.fd);
	EXPECT_EQ(0, weir_loop_close(self->crowd->loop, LIMIT_NS));
	free(self->crowd);
}

TEST_F(fair, one_that_never_pauses_leaves_each_turn_to_the_others_too)
{
	struct crowd *crowd = self->crowd;
	unsigned int wait_max = 0, i;

	speak(crowd);
	RUN_UNTIL(crowd->loop, !crowd->left);
	for (i = 0; i < QUIET; i++) {
		if (crowd->quiet[i].wait_max > wait_max)
			wait_max = crowd->quiet[i].wait_max;
	}
	TH_LOG("%s: at most %u events a turn of the loud one, %u turns until a quiet one is heard",
	       weir_loop_backend(crowd->loop), crowd->loud.share_max, wait_max);
	/* It did speak all the time, or nothing was tested. */
	EXPECT_LE(ANSWERS, crowd->turn);
	EXPECT_LT(1, crowd->loud.share_max);
	EXPECT_GE(strcmp(weir_loop_backend(crowd->loop), "uring") ? SHARE_MAX : SHARE_URING,
		  crowd->loud.share_max);
	EXPECT_GE(WAIT_MAX, wait_max);
}

static bool batches(const struct weir_loop *loop)
{
#ifdef CONFIG_URING
	return !strcmp(weir_loop_backend(loop), "uring") &&
	       uring_of(loop)->features & URING_FEAT_MIN_TIMEOUT;
#else
	return false;
#endif
}

/* Nobody speaks any more, and all who have spoken are heard. */
static int fall_silent(struct crowd *crowd)
{
	unsigned int i;
	int err = 0;

	crowd->loop->hooks.tick = NULL;
	for (i = 0; !err && i < QUIET;) {
		if (crowd->quiet[i].waits)
			err = run_turn(crowd->loop);
		else
			i++;
	}
	return err;
}

/*
 * Until several batch times have seen all the quiet ones speak in each turn. A turn may
 * have to wait for a processor for longer than that: each has a number of them.
 */
static int load(struct crowd *crowd)
{
	unsigned int batch;
	int err = 0;

	crowd->hush = true;
	speak(crowd);
	for (batch = 0; !err && batch < BATCHES; batch++) {
		uint64_t end = real_ns() + BATCH_US * NSEC_PER_USEC;
		uint64_t turns = crowd->turn + BATCH_TURNS;

		while (!err && (real_ns() < end || crowd->turn < turns))
			err = run_turn(crowd->loop);
	}
	return err ? err : fall_silent(crowd);
}

/* How long it takes until one is heard who speaks alone. */
static uint64_t hear_one(struct crowd *crowd)
{
	uint64_t before = real_ns();

	crowd->quiet[0].waits = true;
	if (send(crowd->quiet[0].fd, "!", 1, 0) != 1)
		abort();
	while (crowd->quiet[0].waits) {
		if (run_turn(crowd->loop))
			abort();
	}
	return real_ns() - before;
}

/* A wait for others is as long each time; one for a processor is not. */
static bool hears_at_once(struct crowd *crowd)
{
	unsigned int i;

	for (i = 0; i < HEARINGS; i++) {
		if (hear_one(crowd) < LATE_NS)
			return true;
	}
	return false;
}

TEST_F(fair, after_high_load_a_wait_is_for_many_where_the_kernel_can_but_ends_for_one)
{
	ASSERT_EQ(0, load(self->crowd));
	if (batches(self->crowd->loop)) {
		EXPECT_LE(LATE_NS, hear_one(self->crowd));
		return;
	}
	EXPECT_TRUE(hears_at_once(self->crowd));
}

TEST_F(fair, who_asks_for_no_batches_is_told_at_once)
{
	self->crowd->loop->opts.flags |= WEIR_LOOP_NO_BATCH;
	ASSERT_EQ(0, load(self->crowd));
	EXPECT_TRUE(hears_at_once(self->crowd));
}

TEST_F(fair, at_low_load_a_wait_is_for_one)
{
	self->crowd->hush = true;
	speak(self->crowd);
	ASSERT_EQ(0, fall_silent(self->crowd));
	EXPECT_TRUE(hears_at_once(self->crowd));
}

TEST_HARNESS_MAIN
