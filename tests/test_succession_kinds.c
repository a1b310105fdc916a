// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_succession_kinds.c - succession of services that are not a listener of TCP for
 * each worker: of datagrams, each of which is answered once whoever fails, and of an
 * acceptor
 */
#include "succession_scene.h"

FIXTURE(kinds)
{
	struct scene s;
};

FIXTURE_VARIANT(kinds)
{
	bool acceptor;		/* without BPF, too; else datagrams */
	bool plain;
	enum place place;
	bool alone;		/* the one that fails has one worker: other maps */
};

FIXTURE_VARIANT_ADD(kinds, bpf_ASKS) { .place = ASKS };
FIXTURE_VARIANT_ADD(kinds, bpf_YIELD_SENT) { .place = YIELD_SENT };
FIXTURE_VARIANT_ADD(kinds, bpf_YIELDED) { .place = YIELDED };
FIXTURE_VARIANT_ADD(kinds, bpf_TOO_SLOW) { .place = TOO_SLOW };
FIXTURE_VARIANT_ADD(kinds, bpf_BEGUN) { .place = BEGUN };
FIXTURE_VARIANT_ADD(kinds, bpf_START_FAILS) { .place = START_FAILS };
FIXTURE_VARIANT_ADD(kinds, bpf_START_DIES) { .place = START_DIES };
FIXTURE_VARIANT_ADD(kinds, bpf_START_EXITS) { .place = START_EXITS };
FIXTURE_VARIANT_ADD(kinds, bpf_SEAL_FAILS) { .place = SEAL_FAILS };
FIXTURE_VARIANT_ADD(kinds, bpf_SEAL_DIES) { .place = SEAL_DIES };
FIXTURE_VARIANT_ADD(kinds, bpf_SEALED_FAILS) { .place = SEALED_FAILS };
FIXTURE_VARIANT_ADD(kinds, bpf_SEALED_DIES) { .place = SEALED_DIES };
FIXTURE_VARIANT_ADD(kinds, other_SEALED_FAILS) { .place = SEALED_FAILS, .alone = true };
FIXTURE_VARIANT_ADD(kinds, other_SEALED_DIES) { .place = SEALED_DIES, .alone = true };
FIXTURE_VARIANT_ADD(kinds, plain_ASKS) { .plain = true, .place = ASKS };
FIXTURE_VARIANT_ADD(kinds, plain_YIELD_SENT) { .plain = true, .place = YIELD_SENT };
FIXTURE_VARIANT_ADD(kinds, plain_YIELDED) { .plain = true, .place = YIELDED };
FIXTURE_VARIANT_ADD(kinds, plain_TOO_SLOW) { .plain = true, .place = TOO_SLOW };
FIXTURE_VARIANT_ADD(kinds, plain_BEGUN) { .plain = true, .place = BEGUN };
FIXTURE_VARIANT_ADD(kinds, plain_START_FAILS) { .plain = true, .place = START_FAILS };
FIXTURE_VARIANT_ADD(kinds, plain_START_DIES) { .plain = true, .place = START_DIES };
FIXTURE_VARIANT_ADD(kinds, plain_START_EXITS) { .plain = true, .place = START_EXITS };
FIXTURE_VARIANT_ADD(kinds, plain_SEAL_FAILS) { .plain = true, .place = SEAL_FAILS };
FIXTURE_VARIANT_ADD(kinds, plain_SEAL_DIES) { .plain = true, .place = SEAL_DIES };
FIXTURE_VARIANT_ADD(kinds, plain_SEALED_FAILS) { .plain = true, .place = SEALED_FAILS };
FIXTURE_VARIANT_ADD(kinds, plain_SEALED_DIES) { .plain = true, .place = SEALED_DIES };
FIXTURE_VARIANT_ADD(kinds, acceptor_ASKS) { .acceptor = true, .place = ASKS };
FIXTURE_VARIANT_ADD(kinds, acceptor_YIELD_SENT) { .acceptor = true, .place = YIELD_SENT };
FIXTURE_VARIANT_ADD(kinds, acceptor_YIELDED) { .acceptor = true, .place = YIELDED };
FIXTURE_VARIANT_ADD(kinds, acceptor_TOO_SLOW) { .acceptor = true, .place = TOO_SLOW };
FIXTURE_VARIANT_ADD(kinds, acceptor_BEGUN) { .acceptor = true, .place = BEGUN };
FIXTURE_VARIANT_ADD(kinds, acceptor_START_FAILS) { .acceptor = true, .place = START_FAILS };
FIXTURE_VARIANT_ADD(kinds, acceptor_START_DIES) { .acceptor = true, .place = START_DIES };
FIXTURE_VARIANT_ADD(kinds, acceptor_START_EXITS) { .acceptor = true, .place = START_EXITS };

FIXTURE_SETUP(kinds)
{
	const struct heir next = { variant->alone ? 1 : 2, variant->place };
	/* An acceptor's: as many as there are. */
	const struct heir last = { variant->acceptor ? 0 : 2, NOWHERE };
	const char *why = scene_init(&self->s);

	if (why)
		SKIP(return, "%s", why);
	kind = variant->acceptor ? WEIR_SERVICE_ACCEPTOR : WEIR_SERVICE_DGRAM;
	ASSERT_EQ(0, scene_make(&self->s, variant->plain || variant->acceptor, 2, next, last));
}

FIXTURE_TEARDOWN(kinds)
{
	scene_close(&self->s);
}

/* Both sockets are where the program finds them: in a moment. */
static bool steered(const char *name)
{
	char path[300];
	uint32_t worker;
	uint64_t cookie;
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/bpf/weir/%s/weir_socks", name);
	fd = bpf_obj_get(path);
	for (worker = 0; fd >= 0 && worker < 2; worker++)
		if (!AWAITED(!bpf_map_lookup_elem(fd, &worker, &cookie)))
			break;
	if (fd >= 0)
		close(fd);
	return worker == 2;
}

TEST_F_TIMEOUT(kinds, one_that_fails_is_as_if_it_had_not_come, 100)
{
	struct scene *s = &self->s;
	struct load *load = &s->load;
	uint16_t port = child_start(&s->owner);

	load->keeps = !variant->alone;
	clients_come(_metadata, s, port);
	next_fails(_metadata, s, variant->place);
	EXPECT_TRUE(load_goes_on(load));
	EXPECT_EQ(0, atomic_load(&load->failed));
	if (!variant->plain && !variant->acceptor)
		EXPECT_TRUE(steered(s->name));

	EXPECT_EQ(port, child_start(&s->last));
	EXPECT_TRUE(load_goes_on(load));
	if (kind & WEIR_SERVICE_DGRAM)	/* it has no clients to wait for */
		EXPECT_EQ(0, child_status(&s->owner));
	EXPECT_TRUE(load_goes_on(load));
	clients_go(_metadata, s);
	all_end(_metadata, s);
	EXPECT_FALSE(there("/run/weir/%s.sock", s->name));
}

/* another number of workers */

FIXTURE(number)
{
	struct scene s;
};

FIXTURE_VARIANT(number)
{
	bool acceptor;		/* without BPF, too; else datagrams */
	bool plain;
	unsigned int from, to;
};

FIXTURE_VARIANT_ADD(number, bpf_more) { .from = 2, .to = 5 };
FIXTURE_VARIANT_ADD(number, bpf_fewer) { .from = 5, .to = 2 };
FIXTURE_VARIANT_ADD(number, bpf_one) { .from = 3, .to = 1 };
FIXTURE_VARIANT_ADD(number, plain_more) { .plain = true, .from = 2, .to = 5 };
FIXTURE_VARIANT_ADD(number, plain_fewer) { .plain = true, .from = 5, .to = 2 };
FIXTURE_VARIANT_ADD(number, plain_one) { .plain = true, .from = 3, .to = 1 };
FIXTURE_VARIANT_ADD(number, acceptor_more) { .acceptor = true, .from = 2, .to = 5 };
FIXTURE_VARIANT_ADD(number, acceptor_fewer) { .acceptor = true, .from = 5, .to = 2 };

FIXTURE_SETUP(number)
{
	const struct heir next = { variant->to, SEAL_WAITS };
	const struct heir last = { variant->from, SEAL_WAITS };
	const char *why = scene_init(&self->s);

	if (why)
		SKIP(return, "%s", why);
	kind = variant->acceptor ? WEIR_SERVICE_ACCEPTOR : WEIR_SERVICE_DGRAM;
	ASSERT_EQ(0, scene_make(&self->s, variant->plain || variant->acceptor, variant->from, next,
				last));
}

FIXTURE_TEARDOWN(number)
{
	scene_close(&self->s);
}

TEST_F_TIMEOUT(number, of_workers_may_be_another, 100)
{
	struct scene *s = &self->s;
	uint16_t port = child_start(&s->owner);

	clients_come(_metadata, s, port);
	ASSERT_EQ(port, child_start(&s->next));
	EXPECT_TRUE(load_goes_on(&s->load));
	EXPECT_EQ(0, atomic_load(&s->load.failed));
	EXPECT_EQ(port, child_start(&s->last));
	EXPECT_TRUE(load_goes_on(&s->load));
	clients_go(_metadata, s);
	all_end(_metadata, s);
}

/* what is special about datagrams */

FIXTURE(dgrams)
{
	struct scene s;
};

FIXTURE_VARIANT(dgrams)
{
	bool plain;
};

FIXTURE_VARIANT_ADD(dgrams, bpf) { };
FIXTURE_VARIANT_ADD(dgrams, plain) { .plain = true };

FIXTURE_SETUP(dgrams)
{
	struct scene *s = &self->s;
	const char *why = scene_init(s);
	bool plain = variant->plain;

	if (why)
		SKIP(return, "%s", why);
	kind = WEIR_SERVICE_DGRAM;
	ASSERT_EQ(0, child_make(&s->owner, s->name, plain, 2, NOWHERE, false));
	ASSERT_EQ(0, child_make(&s->last, s->name, plain, 2, NOWHERE, true));
	/* Connections instead. */
	kind = 0;
	ASSERT_EQ(0, child_make(&s->next, s->name, true, 2, NOWHERE, true));
	kind = WEIR_SERVICE_DGRAM;
}

FIXTURE_TEARDOWN(dgrams)
{
	scene_close(&self->s);
}

TEST_F_TIMEOUT(dgrams, are_no_connections, 100)
{
	struct scene *s = &self->s;
	uint16_t port = child_start(&s->owner);

	s->load.keeps = true;
	clients_come(_metadata, s, port);
	EXPECT_EQ(0, child_start(&s->next));
	EXPECT_EQ(8 << 8, child_status(&s->next));
	EXPECT_TRUE(load_goes_on(&s->load));
	clients_go(_metadata, s);
	kill(s->owner.pid, SIGTERM);
	EXPECT_EQ(0, child_status(&s->owner));
}

/* The worker of the flow that asks for it. */
static int worker_kill(uint16_t port)
{
	struct numbered text = { .number = DGRAM_POISON };
	int fd = dgram_client(port);
	ssize_t sent = fd < 0 ? -1 : send(fd, &text, sizeof(text), MSG_NOSIGNAL);

	if (fd >= 0)
		close(fd);
	return sent == sizeof(text) ? 0 : -EPIPE;
}

/*
 * Until it has died: nothing comes to its socket then, but what came before is lost with
 * it. And until clients are answered by the one that is left.
 */
static bool settled(uint16_t port)
{
	uint32_t number = 0;
	unsigned int in_a_row = 0, tries;
	struct numbered text;
	int fd;

	if (!sockets_are(TCP_CLOSE, port, 1))
		return false;
	for (tries = 0; tries < 1000 && in_a_row < 50; tries++) {
		struct pollfd pfd = { .events = POLLIN };

		fd = dgram_client(port);
		text.number = number++;
		pfd.fd = fd;
		if (send(fd, &text, sizeof(text), MSG_NOSIGNAL) == sizeof(text) &&
		    poll(&pfd, 1, 200) == 1 && recv(fd, &text, sizeof(text), 0) == sizeof(text))
			in_a_row++;
		else
			in_a_row = 0;
		close(fd);
	}
	return in_a_row == 50;
}

TEST_F_TIMEOUT(dgrams, of_a_worker_that_died_go_to_the_others, 100)
{
	struct scene *s = &self->s;
	uint16_t port = child_start(&s->owner);

	ASSERT_NE(0, port);
	ASSERT_EQ(0, worker_kill(port));
	ASSERT_TRUE(settled(port));
	clients_come(_metadata, s, port);
	EXPECT_EQ(port, child_start(&s->last));
	EXPECT_EQ(5 << 8, child_status(&s->owner));
	EXPECT_TRUE(load_goes_on(&s->load));
	clients_go(_metadata, s);
	/* Both of the heir's workers serve: one dies, and the other is there. */
	ASSERT_EQ(0, worker_kill(port));
	EXPECT_TRUE(settled(port));
	kill(s->last.pid, SIGTERM);
	EXPECT_EQ(5 << 8, child_status(&s->last));
}

/* Many flows: none of two workers has none of them, but once in 2^60. */
enum { FLOWS = 60 };

static void flows_ask(uint16_t port, int *fds)
{
	struct numbered text = { 0 };
	unsigned int i;

	for (i = 0; i < FLOWS; i++) {
		fds[i] = dgram_client(port);
		text.number = i;
		if (send(fds[i], &text, sizeof(text), MSG_NOSIGNAL) != sizeof(text))
			abort();
	}
}

/* How many were answered, all by @worker, or -1; whoever answers has ended. */
static int flows_answered(int *fds, uint32_t worker)
{
	struct numbered text;
	int i, count = 0;

	for (i = 0; i < FLOWS; i++) {
		if (recv(fds[i], &text, sizeof(text), MSG_DONTWAIT) == sizeof(text)) {
			count++;
			if (text.worker != worker || text.number != (uint32_t)i)
				return -1;
		}
		close(fds[i]);
	}
	return count;
}

static int waiting_in(int fd)
{
	struct numbered text;
	int count = 0;

	while (recv(fd, &text, sizeof(text), MSG_DONTWAIT) == sizeof(text))
		count++;
	return count;
}

/* So many, and no more: what was sent may be on its way for a while. */
static bool come_to(int fd, int count)
{
	int come = 0;

	return AWAITED((come += waiting_in(fd)) >= count) && come == count;
}

/* The test is the successor, who has one worker, no program, and does not receive. */
TEST_F_TIMEOUT(dgrams, of_a_socket_too_many_are_the_owners, 100)
{
	struct scene *s = &self->s;
	uint16_t port = child_start(&s->owner);
	int fd, *socks, asked[FLOWS], lock = -1, answered;
	struct parcel parcel;
	unsigned int count, got = 0;

	ASSERT_NE(0, port);
	fd = parcel_connect(s->name, "sock");
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, parcel_send(fd, PARCEL_TAKE, 0, 0, NULL, 0));
	ASSERT_EQ(0, parcel_recv_listeners(fd, &socks, &count));
	ASSERT_EQ(2, count);
	ASSERT_EQ(0, parcel_recv(fd, &parcel, &lock, 1, &got));
	ASSERT_EQ(0, parcel_send(fd, PARCEL_YIELD, 0, 0, NULL, 0));
	ASSERT_EQ(0, hear_yielded(fd));
	flows_ask(port, asked);
	ASSERT_EQ(0, parcel_send(fd, PARCEL_BEGIN, 0, 0, NULL, 0));
	ASSERT_EQ(0, parcel_send(fd, PARCEL_SERVES, 1, 0, NULL, 0));
	EXPECT_EQ(0, child_status(&s->owner));
	/* What came after he had yielded: of the second socket he has answered all. */
	answered = flows_answered(asked, 1);
	EXPECT_LT(0, answered);
	EXPECT_TRUE(come_to(socks[0], FLOWS - answered));
	EXPECT_EQ(0, waiting_in(socks[1]));
	/* And nothing comes to it any more. */
	flows_ask(port, asked);
	EXPECT_TRUE(come_to(socks[0], FLOWS));
	EXPECT_EQ(0, waiting_in(socks[1]));
	EXPECT_EQ(0, flows_answered(asked, 1));
	parcel_drop(socks, count);
	close(fd);
}

TEST_HARNESS_MAIN
