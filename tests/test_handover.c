// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_handover.c - live connections go from one worker to another
 *
 * Every connection's ctx is its number in the test's table, so that it can be told
 * there whatever handle it has at the moment.
 */
#include "base/base.h"

#include <kselftest_harness.h>

#include "net/conn.h"
#include "serve/service.h"
#include "serve_world.h"

#define CONNS_MAX	64
#define MOVES		1000

/* What a connection did, told by whichever worker had it. */
struct story {
	uint64_t bytes;			/* of pattern(), in order */
	unsigned int moves;
	unsigned int wrong;		/* bytes out of order */
	unsigned int worker;
	int refused;			/* last answer of weir_conn_hand_over() but 0 */
	unsigned int refusals;
	unsigned int told;		/* to go */
	int stayed;			/* last err of moved() but 0 */
	unsigned int stays;
	bool eof;
	bool paused;			/* when it came */
};

static struct story seen[CONNS_MAX];
static atomic_uint opened;

FIXTURE(handover) {
	struct world world;
	unsigned int fds;
};

KERNEL_VARIANTS(handover);

FIXTURE_SETUP(handover)
{
	world_init(&self->world, variant->name, 2);
	self->fds = descriptors();
}

FIXTURE_TEARDOWN(handover)
{
	weir_service_close(self->world.service);
	EXPECT_EQ(0, atomic_load(&self->world.blocks));
	EXPECT_EQ(self->fds, descriptors());
}

static struct story *seen_of(const struct weir_conn *conn)
{
	return weir_conn_ctx(conn);
}

static int on_open_number(struct weir_conn *conn)
{
	unsigned int number = atomic_fetch_add(&opened, 1);
	struct world *world = world_of(conn);

	if (number >= CONNS_MAX)
		return -EMFILE;
	world_enter(world);
	seen[number].worker = weir_conn_worker(conn);
	world_leave(world);
	weir_conn_set_ctx(conn, &seen[number]);
	return on_open(conn);
}

static void go(struct weir_conn *conn)
{
	int err = weir_conn_hand_over(conn, !weir_conn_worker(conn));
	struct world *world = world_of(conn);

	if (!err)
		return;
	world_enter(world);
	seen_of(conn)->refused = err;
	seen_of(conn)->refusals++;
	world_leave(world);
}

static void on_moved(struct weir_conn *conn, int err)
{
	struct world *world = world_of(conn);
	struct story *one = seen_of(conn);

	world_enter(world);
	if (err) {
		one->stayed = err;
		one->stays++;
	} else {
		one->moves++;
		one->worker = weir_conn_worker(conn);
	}
	world_leave(world);
}

/* Swallow, look whether it is in order, and go. */
static void on_data_go(struct weir_conn *conn, struct weir_lease *lease)
{
	struct world *world = world_of(conn);
	struct story *one = seen_of(conn);
	const unsigned char *data;
	uint32_t i;

	world_enter(world);
	if (lease) {
		data = weir_lease_data(lease);
		for (i = 0; i < weir_lease_len(lease); i++)
			one->wrong += data[i] != pattern(one->bytes + i);
		one->bytes += weir_lease_len(lease);
	}
	one->eof = !lease;
	world_leave(world);
	if (!lease)
		weir_conn_close(conn);
	else if (one->moves < MOVES)
		go(conn);
}

static void use(struct world *world, void (*data)(struct weir_conn *, struct weir_lease *))
{
	world->ops.open = on_open_number;
	world->ops.moved = on_moved;
	world->ops.data = data;
}

/* Little by little, so that a byte comes at every moment of a move. */
TEST_F_TIMEOUT(handover, a_stream_keeps_its_order_through_a_thousand_moves, 100)
{
	struct world *world = &self->world;
	unsigned char buf[64];
	uint64_t sent = 0, i;
	int fd;

	use(world, on_data_go);
	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	while (LOCKED(world, seen[0].moves) < MOVES) {
		for (i = 0; i < sizeof(buf); i++)
			buf[i] = pattern(sent + i);
		ASSERT_EQ(sizeof(buf), send(fd, buf, sizeof(buf), MSG_NOSIGNAL));
		sent += sizeof(buf);
		/* Not far ahead of it: a stream without a gap is never met by a move. */
		while (LOCKED(world, seen[0].bytes) + 4096 < sent)
			world_wait(world);
	}
	shutdown(fd, SHUT_WR);
	AWAIT(world, LOCKED(world, world->closes) == 1);
	EXPECT_EQ(sent, seen[0].bytes);
	EXPECT_EQ(0, seen[0].wrong);
	EXPECT_EQ(0, LOCKED(world, world->close_err));
	AWAIT(world, service_stats(world, WEIR_WORKER_NONE).taken >= MOVES);
	AWAIT(world, service_stats(world, WEIR_WORKER_NONE).given ==
	      service_stats(world, WEIR_WORKER_NONE).taken);
	EXPECT_EQ(1, world->opens);
	close(fd);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

#define MUCH_BYTES	(16U << 20)	/* more than the kernel takes from a connection */

/* Ask first, and then queue what the peer does not read yet. */
static void on_data_answer(struct weir_conn *conn, struct weir_lease *lease)
{
	unsigned char buf[4096] = { 0 };
	unsigned int sent = 0;

	if (!lease) {
		weir_conn_close(conn);
		return;
	}
	go(conn);
	while (sent < MUCH_BYTES && weir_conn_send(conn, buf, sizeof(buf)) == sizeof(buf))
		sent += sizeof(buf);
	if (sent < MUCH_BYTES)
		abort();
	/* And now it is not even begun. */
	if (weir_conn_hand_over(conn, !weir_conn_worker(conn)) != -EBUSY)
		abort();
}

TEST_F(handover, who_answers_meanwhile_is_not_idle_and_stays)
{
	struct world *world = &self->world;
	static char buf[65536];
	unsigned int got = 0;
	ssize_t n;
	int fd;

	use(world, on_data_answer);
	world->opts.high_bytes = 2 * MUCH_BYTES;
	world->opts.bufs = 16384;
	OPEN_WORLD(world);
	fd = client_open(world, 4096);
	ASSERT_LE(0, fd);
	ASSERT_EQ(1, send(fd, "?", 1, MSG_NOSIGNAL));
	AWAIT(world, LOCKED(world, seen[0].stays) == 1);
	EXPECT_EQ(-EBUSY, seen[0].stayed);
	EXPECT_EQ(0, seen[0].moves);
	while (got < MUCH_BYTES && (n = client_recv(fd, buf, sizeof(buf))) > 0)
		got += (unsigned int)n;
	EXPECT_EQ(MUCH_BYTES, got);
	shutdown(fd, SHUT_WR);
	EXPECT_EQ(0, client_recv(fd, buf, 1));
	close(fd);
	AWAIT(world, LOCKED(world, world->closes) == 1);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* 'm' move, 'c' move and close, 'a' move and abort, 'p' pause and move, 's' send then */
static void on_data_do(struct weir_conn *conn, struct weir_lease *lease)
{
	char what = lease ? *(char *)weir_lease_data(lease) : 0;

	if (!lease) {
		weir_conn_close(conn);
		return;
	}
	if (what == 'X')
		pthread_exit(NULL);
	if (what == 'p')
		weir_conn_pause(conn);
	if (strchr("mcap", what))
		go(conn);
	else
		on_echo(conn, lease);
	if (what == 'c')
		weir_conn_close(conn);
	if (what == 'a')
		weir_conn_abort(conn, -ECANCELED);
}

static void tell(int fd, char what)
{
	if (send(fd, &what, 1, MSG_NOSIGNAL) != 1)
		abort();
}

/* Whether it has moved so often; one that was refused, or stayed, is told again. */
static bool went(struct world *world, int fd, unsigned int moves)
{
	struct story *one = &seen[0];
	bool again, there;

	world_enter(world);
	there = one->moves == moves;
	again = one->moves + one->stays + one->refusals == one->told;
	one->told += again && !there;
	world_leave(world);
	if (again && !there)
		tell(fd, 'm');
	return there;
}

TEST_F(handover, an_echo_goes_on_from_worker_to_worker)
{
	struct world *world = &self->world;
	unsigned int i;
	int fd;

	use(world, on_data_do);
	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	for (i = 0; i < 100; i++) {
		char out[16] = "entire messages", in[16];
		ssize_t n = 0, more;

		ASSERT_EQ(16, send(fd, out, 16, MSG_NOSIGNAL));
		do {
			more = client_recv(fd, in + n, sizeof(in) - (size_t)n);
			n += more;
		} while (more > 0 && n < 16);
		ASSERT_EQ(16, n);
		ASSERT_EQ(0, memcmp(out, in, 16));
		/* Its answer may not have been told as sent when it is asked to go. */
		AWAIT(world, went(world, fd, i + 1));
	}
	close(fd);
	AWAIT(world, LOCKED(world, world->closes) == 1);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

TEST_F(handover, a_close_right_after_it_is_a_close)
{
	struct world *world = &self->world;
	char byte;
	int fd;

	use(world, on_data_do);
	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	tell(fd, 'c');
	EXPECT_EQ(0, client_recv(fd, &byte, 1));
	close(fd);
	AWAIT(world, LOCKED(world, world->closes) == 1);
	EXPECT_EQ(0, LOCKED(world, world->close_err));
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	tell(fd, 'a');
	EXPECT_EQ(0, client_recv(fd, &byte, 1));
	close(fd);
	AWAIT(world, LOCKED(world, world->closes) == 2);
	EXPECT_EQ(-ECANCELED, LOCKED(world, world->close_err));
	EXPECT_EQ(0, service_stats(world, WEIR_WORKER_NONE).taken);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

static void on_moved_resume(struct weir_conn *conn, int err)
{
	seen_of(conn)->paused = conn->paused;
	on_moved(conn, err);
	weir_conn_resume(conn);
}

TEST_F(handover, a_pause_goes_with_it)
{
	struct world *world = &self->world;
	int fd;

	use(world, on_data_do);
	world->ops.moved = on_moved_resume;
	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	tell(fd, 'p');
	AWAIT(world, LOCKED(world, seen[0].moves) == 1);
	EXPECT_TRUE(LOCKED(world, seen[0].paused));
	EXPECT_TRUE(client_ping(fd, 'e'));
	close(fd);
	AWAIT(world, LOCKED(world, world->closes) == 1);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* From inside of open() nothing is known of it yet, so to say. */
static void on_data_wrong(struct weir_conn *conn, struct weir_lease *lease)
{
	struct world *world = world_of(conn);
	int worker = (int)weir_conn_worker(conn);

	world_enter(world);
	world->events[0].value = (uint64_t)-weir_conn_hand_over(conn, (unsigned int)worker);
	world->events[1].value = (uint64_t)-weir_conn_hand_over(conn, 2);
	world->events[2].value = (uint64_t)-weir_conn_hand_over(conn, WEIR_WORKER_NONE);
	world->event_count = 3;
	world_leave(world);
	weir_conn_close(conn);
}

TEST_F(handover, there_must_be_another_worker)
{
	struct world *world = &self->world;
	unsigned int i;
	int fd;

	use(world, on_data_wrong);
	OPEN_WORLD(world);
	fd = client_open(world, 0);
	ASSERT_LE(0, fd);
	tell(fd, '.');
	AWAIT(world, LOCKED(world, world->event_count) == 3);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(EINVAL, world->events[i].value);
	close(fd);
	AWAIT(world, LOCKED(world, world->closes) == 1);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

/* Clients until @worker has @count of them; fds[] gets those. */
static void fill(struct world *world, unsigned int worker, unsigned int count, int *fds)
{
	unsigned int n, got = 0;

	while (got < count) {
		n = atomic_load(&opened);
		fds[got] = client_open(world, 0);
		if (fds[got] < 0 || !client_ping(fds[got], 'e'))
			abort();
		if (LOCKED(world, seen[n].worker) == worker)
			got++;
		else
			close(fds[got]);
	}
}

TEST_F(handover, a_full_worker_refuses_and_nothing_is_lost)
{
	struct world *world = &self->world;
	int zero[4], one[1];
	unsigned int n, i;

	use(world, on_data_do);
	world->opts.conns_max = 4;
	OPEN_WORLD(world);
	fill(world, 1, 1, one);
	n = atomic_load(&opened) - 1;
	fill(world, 0, 4, zero);
	tell(one[0], 'm');
	AWAIT(world, LOCKED(world, seen[n].refused) == -EAGAIN);
	EXPECT_TRUE(client_ping(one[0], 'e'));
	/* With a place again it goes. */
	close(zero[3]);
	AWAIT(world, service_stats(world, 0).conns == 3);
	tell(one[0], 'm');
	AWAIT(world, LOCKED(world, seen[n].moves) == 1);
	EXPECT_TRUE(client_ping(one[0], 'e'));
	EXPECT_EQ(0, LOCKED(world, seen[n].worker));
	for (i = 0; i < 3; i++) {
		EXPECT_TRUE(client_ping(zero[i], 'e'));
		close(zero[i]);
	}
	close(one[0]);
	EXPECT_EQ(0, world_end(world, LIMIT_NS));
}

TEST_F(handover, a_dead_worker_gets_nothing)
{
	struct world *world = &self->world;
	int zero[1], one[1];
	unsigned int n;

	use(world, on_data_do);
	OPEN_WORLD(world);
	fill(world, 1, 1, one);
	n = atomic_load(&opened) - 1;
	fill(world, 0, 1, zero);
	tell(zero[0], 'X');
	AWAIT(world, service_stats(world, 0).state == WEIR_DEAD);
	tell(one[0], 'm');
	AWAIT(world, LOCKED(world, seen[n].refused) == -ESHUTDOWN);
	EXPECT_TRUE(client_ping(one[0], 'e'));
	close(zero[0]);
	close(one[0]);
	EXPECT_EQ(-EOWNERDEAD, world_end(world, LIMIT_NS));
}

/* Never at rest. */
static void on_moved_go(struct weir_conn *conn, int err)
{
	on_moved(conn, err);
	go(conn);
}

/* Many, in both directions at once. */
static void set_out(struct world *world, int fd[32])
{
	int i;

	for (i = 0; i < 32; i++) {
		fd[i] = client_open(world, 0);
		if (fd[i] < 0)
			abort();
		tell(fd[i], (char)pattern(0));
	}
}

TEST_F(handover, a_stop_meets_connections_on_their_way)
{
	struct world *world = &self->world;
	int fd[32], i;
	char byte;

	use(world, on_data_go);
	world->ops.moved = on_moved_go;
	OPEN_WORLD(world);
	set_out(world, fd);
	AWAIT(world, service_stats(world, WEIR_WORKER_NONE).taken > 1000);
	weir_service_stop(world->service, LIMIT_NS);
	/* Closed gracefully, each sees its end and no reset. */
	for (i = 0; i < 32; i++) {
		shutdown(fd[i], SHUT_WR);
		EXPECT_EQ(0, client_recv(fd[i], &byte, 1));
	}
	EXPECT_EQ(0, weir_service_wait(world->service));
	for (i = 0; i < 32; i++)
		close(fd[i]);
	EXPECT_EQ(world->opens, world->closes);
}

TEST_F(handover, an_abort_meets_connections_on_their_way)
{
	struct world *world = &self->world;
	int fd[32], i;

	use(world, on_data_go);
	world->ops.moved = on_moved_go;
	OPEN_WORLD(world);
	set_out(world, fd);
	AWAIT(world, service_stats(world, WEIR_WORKER_NONE).taken > 100);
	EXPECT_LE(0, world_end(world, 0));
	EXPECT_EQ(world->opens, world->closes);
	for (i = 0; i < 32; i++)
		close(fd[i]);
}

/* The one dies of a byte that another connection sends it, in the middle of it all. */
static void on_data_go_or_die(struct weir_conn *conn, struct weir_lease *lease)
{
	if (lease && *(char *)weir_lease_data(lease) == 'X')
		pthread_exit(NULL);
	on_data_go(conn, lease);
}

TEST_F(handover, a_worker_may_die_with_connections_on_their_way)
{
	struct world *world = &self->world;
	int fd[32], last, i, left = 0;

	use(world, on_data_go_or_die);
	world->ops.moved = on_moved_go;
	OPEN_WORLD(world);
	set_out(world, fd);
	AWAIT(world, service_stats(world, WEIR_WORKER_NONE).taken > 100);
	last = client_open(world, 0);
	ASSERT_LE(0, last);
	tell(last, 'X');
	AWAIT(world, service_stats(world, 0).state == WEIR_DEAD ||
	      service_stats(world, 1).state == WEIR_DEAD);
	/* Those that the other one has, or keeps, live on. */
	for (i = 0; i < 32; i++)
		left += send(fd[i], "?", 1, MSG_NOSIGNAL) == 1;
	EXPECT_EQ(-EOWNERDEAD, world_end(world, LIMIT_NS / 20));
	for (i = 0; i < 32; i++)
		close(fd[i]);
	close(last);
	EXPECT_LT(0, left);
}

/* Worker 0 is slow: whatever it does takes it long. */
static void on_data_slow(struct weir_conn *conn, struct weir_lease *lease)
{
	uint64_t end = real_ns() + 20 * NSEC_PER_MSEC;

	if (lease && *(char *)weir_lease_data(lease) == 'h')
		while (real_ns() < end)
			;
	on_echo(conn, lease);
}

#define HOT	4

static void heat_begin(const int hot[HOT])
{
	unsigned int i;

	for (i = 0; i < 2 * HOT; i++)
		tell(hot[i % HOT], 'h');
}

/* Requests that wait in every turn: @again of them are answered. */
static void heat(const int hot[HOT], unsigned int again)
{
	char bytes[8];
	unsigned int i;
	ssize_t n;

	for (i = 0; i < again; i++) {
		n = client_recv(hot[i % HOT], bytes, sizeof(bytes));
		if (n <= 0)
			abort();
		while (n--)
			tell(hot[i % HOT], 'h');
	}
}

/* So long that nobody listens any more to what its row says of its delay. */
static bool is_rested(const struct weir_worker_row *row)
{
	return __atomic_load_n(&row->state, __ATOMIC_ACQUIRE) == WEIR_PARKED &&
	       real_ns() - __atomic_load_n(&row->loop_ns, __ATOMIC_RELAXED) >
	       3 * WEIR_WINDOW_US * NSEC_PER_USEC;
}

/* Until the second worker, who says that it is @speed, has what is idle. */
static void given_tried(struct __test_metadata *_metadata, struct world *world,
			enum weir_worker_speed speed)
{
	struct weir_steering *st;
	int idle[8], hot[HOT], i;
	uint64_t end;

	use(world, on_data_slow);
	world->opts.flags = WEIR_SERVICE_HAND_OVER;
	OPEN_WORLD(world);
	st = world->service->steering;
	fill(world, 0, 8, idle);
	fill(world, 0, HOT, hot);
	AWAIT(world, is_rested(st->ops->row(st, 1)));
	__atomic_store_n(&st->ops->row(st, 1)->speed, speed, __ATOMIC_RELEASE);
	heat_begin(hot);
	end = real_ns() + LIMIT_NS;
	/* For as long as it takes: who is not let run is not slow for a while. */
	do {
		heat(hot, HOT);
	} while (service_stats(world, WEIR_WORKER_NONE).taken < 8 && real_ns() < end);
	EXPECT_LE(8, service_stats(world, WEIR_WORKER_NONE).taken);
	for (i = 0; i < 8; i++) {
		EXPECT_TRUE(client_ping(idle[i], 'e'));
		close(idle[i]);
	}
	for (i = 0; i < HOT; i++)
		close(hot[i]);
	EXPECT_LE(0, world_end(world, LIMIT_NS));
}

TEST_F(handover, a_slow_worker_gives_away_what_is_idle)
{
	given_tried(_metadata, &self->world, WEIR_OK);
}

/* It cannot say that it is slow no more: nobody comes to it. */
TEST_F(handover, who_was_slow_and_is_idle_is_given_some)
{
	given_tried(_metadata, &self->world, WEIR_SLOW);
}

TEST_F(handover, without_the_flag_nobody_is_moved)
{
	struct world *world = &self->world;
	int idle[8], hot[HOT], i;

	use(world, on_data_slow);
	OPEN_WORLD(world);
	fill(world, 0, 8, idle);
	fill(world, 0, HOT, hot);
	heat_begin(hot);
	heat(hot, 40);
	EXPECT_EQ(0, service_stats(world, WEIR_WORKER_NONE).given);
	for (i = 0; i < 8; i++)
		close(idle[i]);
	for (i = 0; i < HOT; i++)
		close(hot[i]);
	EXPECT_LE(0, world_end(world, LIMIT_NS));
}

TEST_HARNESS_MAIN
