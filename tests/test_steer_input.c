// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_steer_input.c - maps edited by hand, clocks that jump, other people's programs
 */
#include "bpf_service.h"

FIXTURE(input)
{
	struct service s;
	struct service other;
};

FIXTURE_SETUP(input)
{
	const char *why = why_not();

	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN(input)
{
	service_close(&self->s);
	service_close(&self->other);
}

static struct weir_cfg *cfg(const struct service *s)
{
	return weir_bpf_cfg(s->bpf);
}

/* The same in every run. */
static uint64_t seed;

static uint64_t random_next(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* What people write: small, near a limit, or nothing sensible. */
static uint64_t random_value(void)
{
	static const uint64_t ends[] = {
		0, 1, 2, 3, 4, 5, 7, 8, 255, 256, 257, 999, 1000, 1001, 10000, 10001,
		INT32_MAX, UINT32_MAX - 1, UINT32_MAX, INT64_MAX, 1ULL << 63, UINT64_MAX,
	};
	uint64_t value = random_next();

	if (value % 4)
		return ends[(value >> 8) % ARRAY_SIZE(ends)];
	return value >> value % 64;
}

static void scribble(void *mem, size_t bytes)
{
	uint64_t word;
	size_t i;

	for (i = 0; i < bytes; i += sizeof(word)) {
		word = random_next() % 2 ? random_value() :
		       random_value() << 32 | (uint32_t)random_value();
		memcpy((char *)mem + i, &word, sizeof(word));
	}
}

static int scribble_map(int map, unsigned int rows, size_t bytes)
{
	char row[512];
	uint32_t i;

	for (i = 0; i < rows; i++) {
		scribble(row, bytes);
		if (bpf_map_update_elem(map, &i, row, BPF_ANY))
			return -errno;
	}
	return 0;
}

/* A connection is served by whoever, and by one of us. */
static int served(const struct service *s)
{
	int client = connect_to(s), server, worker;

	if (client < 0)
		return 0;
	worker = accept_any(s, &server);
	close(client);
	if (worker >= 0)
		close(server);
	return worker >= 0;
}

#define ROUNDS	300

TEST_F(input, any_configuration_serves)
{
	struct weir_cfg garbage;
	int i;

	seed = 1;
	ASSERT_EQ(0, service_open(&self->s, "", WORKERS, WEIR_POLICY_P2C, 0, AF_INET));
	for (i = 0; i < ROUNDS; i++) {
		scribble(&garbage, sizeof(garbage));
		/* What may refuse a client has a test of its own. */
		garbage.shed_permille = 0;
		garbage.prefix_rate = 0;
		*cfg(&self->s) = garbage;
		ASSERT_TRUE(served(&self->s)) TH_LOG("round %d, policy %u, workers %u", i,
						     garbage.policy, garbage.workers);
	}
}

TEST_F(input, any_configuration_admits_some)
{
	struct weir_cfg garbage;
	int i, tries;

	seed = 2;
	ASSERT_EQ(0, service_open(&self->s, "", WORKERS, WEIR_POLICY_P2C, 0, AF_INET));
	for (i = 0; i < ROUNDS; i++) {
		scribble(&garbage, sizeof(garbage));
		garbage.prefix_rate = 0;
		*cfg(&self->s) = garbage;
		/* Of 100 at least one: 3000 in a row would be refused in 8e-14 of all runs. */
		for (tries = 0; tries < 3000 && !served(&self->s); tries++)
			;
		ASSERT_GT(3000, tries) TH_LOG("round %d, shed %u", i, garbage.shed_permille);
	}
}

/* A network that is new gets one in, whatever the burst and the rate are. */
TEST_F(input, any_budget_admits_one)
{
	struct weir_prefix key = { .ip[0] = htonl(INADDR_LOOPBACK & ~0xffU), .bits = 24 };
	struct weir_bucket bucket;
	int i, map;

	seed = 3;
	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_P2C, 0, AF_INET));
	map = map_open(&self->s, "weir_prefix");
	ASSERT_LE(0, map);
	for (i = 0; i < ROUNDS; i++) {
		cfg(&self->s)->prefix_rate = random_value();
		cfg(&self->s)->prefix_burst = random_value();
		bpf_map_delete_elem(map, &key);
		ASSERT_TRUE(served(&self->s)) TH_LOG("rate %u, burst %u",
						     cfg(&self->s)->prefix_rate,
						     cfg(&self->s)->prefix_burst);
		/* And one that was scribbled on does not break the next. */
		scribble(&bucket, sizeof(bucket));
		ASSERT_EQ(0, bpf_map_update_elem(map, &key, &bucket, BPF_ANY));
		served(&self->s);
	}
	close(map);
}

TEST_F(input, any_rows_serve)
{
	static const char *const names[] = { "weir_worker", "weir_pending", "weir_admin" };
	static const size_t bytes[] = {
		sizeof(struct weir_worker_row), sizeof(struct weir_pending),
		sizeof(struct weir_admin),
	};
	int map[3], i;
	size_t k;

	seed = 4;
	ASSERT_EQ(0, service_open(&self->s, "", WORKERS, WEIR_POLICY_P2C, 0, AF_INET));
	for (k = 0; k < ARRAY_SIZE(map); k++) {
		map[k] = map_open(&self->s, names[k]);
		ASSERT_LE(0, map[k]);
	}
	for (i = 0; i < ROUNDS; i++) {
		cfg(&self->s)->policy = random_next() % 6;
		cfg(&self->s)->scan_max = random_next() % 10;
		k = random_next() % ARRAY_SIZE(map);
		ASSERT_EQ(0, scribble_map(map[k], WORKERS, bytes[k]));
		ASSERT_TRUE(served(&self->s)) TH_LOG("round %d, %s", i, names[k]);
	}
	for (k = 0; k < ARRAY_SIZE(map); k++)
		close(map[k]);
}

TEST_F(input, policy_that_is_none_is_least)
{
	unsigned int got[WORKERS], i;

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_HASH, FOREVER_NS, AF_INET));
	cfg(&self->s)->policy = 77;
	for (i = 0; i < 4; i++)
		row(&self->s, i)->inflight = i != 2;
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(20, got[2]);
}

TEST_F(input, weight_that_is_none)
{
	unsigned int got[WORKERS];

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_WEIGHTED, FOREVER_NS, AF_INET));
	self->s.st->ops->admin(self->s.st, 0)->weight = 0;
	self->s.st->ops->admin(self->s.st, 1)->weight = 1;
	ASSERT_EQ(0, spread(&self->s, 50, got));
	EXPECT_EQ(50, got[1]);
	self->s.st->ops->admin(self->s.st, 1)->weight = 0;
	ASSERT_EQ(0, spread(&self->s, 50, got));
	EXPECT_LT(0, got[0]);
	EXPECT_LT(0, got[1]);
	/* More than the most is the most. */
	self->s.st->ops->admin(self->s.st, 0)->weight = WEIR_WEIGHT_MAX;
	self->s.st->ops->admin(self->s.st, 1)->weight = ~0U;
	ASSERT_EQ(0, spread(&self->s, 200, got));
	EXPECT_LT(60, got[0]);
	EXPECT_LT(60, got[1]);
}

/* Its own turn would put it right: a worker that says this for long has none. */
TEST_F(input, row_from_the_future_is_hung)
{
	unsigned int got[WORKERS];

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, 0, AF_INET));
	cfg(&self->s)->stale_ns = 1000000000;
	row(&self->s, 0)->loop_ns = now_ns() + FOREVER_NS;
	row(&self->s, 0)->state = WEIR_RUN;
	row(&self->s, 1)->inflight = 100;
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(20, got[1]);
	row(&self->s, 0)->loop_ns = now_ns();
	cfg(&self->s)->stale_ns = FOREVER_NS;
	cfg(&self->s)->ramp_ns = 0;
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(20, got[0]);
}

TEST_F(input, number_of_workers_changes_while_it_runs)
{
	struct weir_bpf_worker worker;
	unsigned int got[WORKERS], i;

	ASSERT_EQ(0, service_open(&self->s, "", 8, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	cfg(&self->s)->workers = 2;
	ASSERT_EQ(0, spread(&self->s, 50, got));
	EXPECT_EQ(50, got[0] + got[1]);
	cfg(&self->s)->workers = 8;
	for (i = 0; i < 7; i++)
		row(&self->s, i)->inflight = 100;
	for (i = 0; i < 5; i++)
		ASSERT_LE(0, connect_to(&self->s));
	ASSERT_EQ(0, worker_read(&self->s, 7, &worker));
	ASSERT_EQ(5, worker.pending.established - worker.row.accepted);
	/* What waits in a listener that is left out moves, and its counts with it. */
	cfg(&self->s)->workers = 1;
	ASSERT_EQ(0, shutdown(self->s.fd[7], SHUT_RDWR));
	ASSERT_EQ(0, worker_read(&self->s, 7, &worker));
	EXPECT_EQ(0, worker.pending.established - worker.row.accepted);
	ASSERT_EQ(0, worker_read(&self->s, 0, &worker));
	EXPECT_EQ(5, worker.listener.migrated);
	/* None, and more than there are: as many as there are. */
	cfg(&self->s)->workers = 0;
	for (i = 0; i < 7; i++)
		row(&self->s, i)->inflight = i != 5;
	ASSERT_LE(0, connect_to(&self->s));
	ASSERT_EQ(0, worker_read(&self->s, 5, &worker));
	EXPECT_EQ(1, worker.pending.established - worker.row.accepted);
	cfg(&self->s)->workers = ~0U;
	row(&self->s, 4)->inflight = 0;
	row(&self->s, 5)->inflight = 9;
	ASSERT_LE(0, connect_to(&self->s));
	ASSERT_EQ(0, worker_read(&self->s, 4, &worker));
	EXPECT_EQ(1, worker.pending.established - worker.row.accepted);
}

/* Sends every connection to nobody in particular, and counts as somebody's. */
static int foreign_prog(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = SK_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SK_REUSEPORT, "theirs", "GPL", insns,
			     ARRAY_SIZE(insns), NULL);
}

TEST_F(input, foreign_program_of_the_group_stays)
{
	int theirs, prog = foreign_prog(), zero = 0;

	ASSERT_LE(0, prog);
	theirs = listen_on(AF_INET, &self->s.port);
	ASSERT_LE(0, theirs);
	ASSERT_EQ(0, setsockopt(theirs, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &prog,
				sizeof(prog)));
	EXPECT_EQ(-EBUSY, service_open(&self->s, "", 2, WEIR_POLICY_P2C, 0, AF_INET));
	/* It can be taken off, so it is there. */
	EXPECT_EQ(0, setsockopt(theirs, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &zero,
				sizeof(zero)));
	/* Without a program it is a stranger all the same. */
	EXPECT_EQ(-EBUSY, self->s.st->ops->seal(self->s.st));
	close(theirs);
	EXPECT_EQ(0, self->s.st->ops->seal(self->s.st));
	EXPECT_TRUE(served(&self->s));
	close(prog);
}

/* The last event of that kind: its edge, or -1. */
static int foreign_edge(const struct service *s, struct weir_event *event)
{
	struct weir_event events[WEIR_RECENT_MAX];
	struct weir_bpf_view *view;
	int n, edge = -1;

	if (weir_bpf_view_open(&view, s->name))
		return -1;
	n = weir_bpf_view_events(view, events, WEIR_RECENT_MAX);
	weir_bpf_view_close(view);
	while (n-- > 0 && edge < 0) {
		if (events[n].kind != WEIR_EV_FOREIGN)
			continue;
		*event = events[n];
		edge = (int)events[n].edge;
	}
	return edge;
}

struct choosers {
	unsigned int listeners, foreign;
};

static int chooser_count(void *ctx, const struct weir_bpf_group *group)
{
	struct choosers *choosers = ctx;

	choosers->listeners++;
	choosers->foreign += group->prog != group->own;
	return group->own ? 0 : -EINVAL;
}

static int choosers_read(const struct service *s, struct choosers *choosers)
{
	struct weir_bpf_view *view;
	int err;

	memset(choosers, 0, sizeof(*choosers));
	err = weir_bpf_view_open(&view, s->name);
	if (err)
		return err;
	err = weir_bpf_view_groups(view, chooser_count, choosers);
	weir_bpf_view_close(view);
	return err;
}

static void foreign_tried(struct __test_metadata *_metadata, struct service *s, int theirs)
{
	const char *why = "no CAP_PERFMON: a foreign program is not noticed here";
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	struct weir_event event;
	struct choosers choosers;
	int prog = foreign_prog(), zero = 0, err;

	ASSERT_LE(0, prog);
	ASSERT_EQ(0, bpf_obj_get_info_by_fd(prog, &info, &len));
	err = choosers_read(s, &choosers);
	if (err == -ENODATA)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, err);
	EXPECT_EQ(3, choosers.listeners);
	EXPECT_EQ(0, choosers.foreign);
	s->st->ops->tick(s->st, now_ns());
	EXPECT_EQ(-1, foreign_edge(s, &event));
	/* By one who came later, and for the whole group. */
	ASSERT_EQ(0, setsockopt(theirs, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &prog,
				sizeof(prog)));
	ASSERT_EQ(0, choosers_read(s, &choosers));
	EXPECT_EQ(3, choosers.foreign);
	s->st->ops->tick(s->st, now_ns());
	s->st->ops->tick(s->st, now_ns());
	ASSERT_EQ(WEIR_EDGE_ON, foreign_edge(s, &event));
	EXPECT_EQ(info.id, event.value);
	EXPECT_NE(event.limit, event.value);
	ASSERT_EQ(0, setsockopt(theirs, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &zero,
				sizeof(zero)));
	ASSERT_EQ(0, choosers_read(s, &choosers));
	EXPECT_EQ(3, choosers.foreign);
	close(theirs);
	ASSERT_EQ(0, s->st->ops->seal(s->st));
	s->st->ops->tick(s->st, now_ns());
	EXPECT_EQ(WEIR_EDGE_OFF, foreign_edge(s, &event));
	close(prog);
}

TEST_F(input, foreign_program_that_comes_later_is_told)
{
	int theirs;

	ASSERT_EQ(0, service_open(&self->s, "", 3, WEIR_POLICY_P2C, 0, AF_INET));
	theirs = listen_on(AF_INET, &self->s.port);
	ASSERT_LE(0, theirs);
	foreign_tried(_metadata, &self->s, theirs);
}

TEST_F(input, foreign_program_of_ipv6_is_told)
{
	int theirs;

	ASSERT_EQ(0, service_open(&self->s, "", 3, WEIR_POLICY_P2C, 0, AF_INET6));
	theirs = listen_on(AF_INET6, &self->s.port);
	ASSERT_LE(0, theirs);
	foreign_tried(_metadata, &self->s, theirs);
}

TEST_F(input, same_port_of_another_address_is_no_stranger)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int theirs = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_P2C, 0, AF_INET));
	addr.sin_port = htons(self->s.port);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	ASSERT_EQ(0, setsockopt(theirs, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	ASSERT_EQ(0, bind(theirs, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, listen(theirs, 1));
	EXPECT_EQ(0, self->s.st->ops->seal(self->s.st));
	close(theirs);
}

static uint64_t picked(const struct service *s)
{
	struct weir_bpf_worker worker;
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < s->workers; i++) {
		if (!worker_read(s, i, &worker))
			sum += worker.listener.picked;
	}
	return sum;
}

/* The same port in two network namespaces: two services that know nothing of each other. */
TEST_F(input, same_port_in_another_namespace_is_another_service)
{
	int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), there;
	unsigned int got[WORKERS];

	ASSERT_LE(0, here);
	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, 0, AF_INET));
	ASSERT_EQ(0, netns_private());
	there = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, there);
	self->other.port = self->s.port;
	ASSERT_EQ(0, service_open(&self->other, "-b", 2, WEIR_POLICY_LEAST, 0, AF_INET));
	ASSERT_EQ(0, spread(&self->other, 10, got));
	EXPECT_EQ(10, picked(&self->other));
	EXPECT_EQ(0, picked(&self->s));
	ASSERT_EQ(0, setns(here, CLONE_NEWNET));
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(10, picked(&self->other));
	EXPECT_EQ(20, picked(&self->s));
	ASSERT_EQ(0, setns(there, CLONE_NEWNET));
}

TEST_HARNESS_MAIN
