// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_steer.c - policies, weights, drain and ramp: who gets how many
 */
#define WORKERS		200
#include "bpf_service.h"

#define HOUR_NS		FOREVER_NS
#define MINUTE_NS	(HOUR_NS / 60)

FIXTURE(steer)
{
	struct service s;
	int pending;		/* weir_pending */
};

FIXTURE_VARIANT(steer)
{
	int family;
};

FIXTURE_VARIANT_ADD(steer, ipv4)
{
	.family = AF_INET,
};

FIXTURE_VARIANT_ADD(steer, ipv6)
{
	.family = AF_INET6,
};

FIXTURE_SETUP(steer)
{
	const char *why = why_not();

	self->pending = -1;
	if (why)
		SKIP(return, "%s", why);
}

FIXTURE_TEARDOWN(steer)
{
	if (self->pending >= 0)
		close(self->pending);
	service_close(&self->s);
}

static struct weir_admin *admin(const struct service *s, unsigned int worker)
{
	return s->st->ops->admin(s->st, worker);
}

static struct weir_cfg *cfg(const struct service *s)
{
	return weir_bpf_cfg(s->bpf);
}

/* That a worker was last seen out of service @ago_ns ago. */
static int out_set(int map, uint32_t worker, uint64_t ago_ns)
{
	struct weir_pending pending;

	if (bpf_map_lookup_elem(map, &worker, &pending))
		return -errno;
	pending.out_ns = now_ns() - ago_ns;
	return bpf_map_update_elem(map, &worker, &pending, BPF_ANY);
}

static bool two_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

/* Whatever sends on loopback receives there too. */
static int run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

TEST_F(steer, cpu_takes_the_worker_of_the_receiving_cpu)
{
	unsigned int got[WORKERS];

	if (!two_cpus())
		SKIP(return, "one CPU alone");
	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_CPU, HOUR_NS, variant->family));
	ASSERT_EQ(0, run_on(0));
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(20, got[0]);
	ASSERT_EQ(0, run_on(1));
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(20, got[1]);
}

TEST_F(steer, cpu_passes_over_who_is_hung)
{
	unsigned int got[WORKERS];

	ASSERT_EQ(0, service_open(&self->s, "", 3, WEIR_POLICY_CPU, HOUR_NS, variant->family));
	cfg(&self->s)->stale_ns = now_ns() / 2;
	ASSERT_EQ(0, run_on(0));
	row(&self->s, 0)->loop_ns = 1;
	row(&self->s, 0)->state = WEIR_RUN;
	row(&self->s, 2)->inflight = 7;
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(20, got[1]);
}

/* 5 standard deviations of a share of p: the test fails once in two million. */
#define NEAR(count, total, permille)						\
({										\
	double p_ = (permille) / 1000.0, sd_ = 0, x_;				\
	for (x_ = 1; x_ * x_ < (total) * p_ * (1 - p_); x_ += 0.5)		\
		sd_ = x_;							\
	EXPECT_LE((total) * p_ - 5 * (sd_ + 0.5), (double)(count));		\
	EXPECT_GE((total) * p_ + 5 * (sd_ + 0.5), (double)(count));		\
})

TEST_F(steer, weights_are_shares)
{
	unsigned int got[WORKERS];

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_WEIGHTED, HOUR_NS,
				  variant->family));
	admin(&self->s, 0)->weight = 100;
	admin(&self->s, 1)->weight = 200;
	admin(&self->s, 2)->weight = 300;
	admin(&self->s, 3)->weight = 400;
	row(&self->s, 3)->inflight = 50;	/* load does not count here */
	ASSERT_EQ(0, spread(&self->s, 1000, got));
	NEAR(got[0], 1000, 100);
	NEAR(got[1], 1000, 200);
	NEAR(got[2], 1000, 300);
	NEAR(got[3], 1000, 400);
}

TEST_F(steer, weights_of_the_usable_are_shares)
{
	unsigned int got[WORKERS];

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_WEIGHTED, HOUR_NS,
				  variant->family));
	admin(&self->s, 0)->weight = WEIR_WEIGHT_MAX;
	admin(&self->s, 1)->weight = WEIR_WEIGHT_MAX;
	admin(&self->s, 2)->weight = 1;
	admin(&self->s, 3)->weight = 3;
	row(&self->s, 0)->state = WEIR_DRAIN;
	admin(&self->s, 1)->state = WEIR_ADMIN_DRAIN;
	ASSERT_EQ(0, spread(&self->s, 400, got));
	EXPECT_EQ(400, got[2] + got[3]);
	NEAR(got[2], 400, 250);
}

/* From the same port every time: as it is with a SYN that is sent again. */
static int connect_from(const struct service *s, uint16_t *port)
{
	struct linger reset = { .l_onoff = 1 };
	struct sockaddr_storage addr;
	socklen_t len = addr_fill(&addr, s->family, *port);
	int one = 1, fd = socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	if (bind(fd, (struct sockaddr *)&addr, len) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len))
		goto close_fd;
	*port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
	len = addr_fill(&addr, s->family, s->port);
	if (!connect(fd, (struct sockaddr *)&addr, len))
		return fd;

close_fd:
	close(fd);
	return -1;
}

TEST_F(steer, lots_are_drawn_anew_for_who_comes_again)
{
	unsigned int got[4] = { 0 }, most = 0, i;
	int client, server, worker;
	uint16_t port = 0;

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_WEIGHTED, HOUR_NS,
				  variant->family));
	for (i = 0; i < 24; i++) {
		client = connect_from(&self->s, &port);
		ASSERT_LE(0, client);
		worker = accept_any(&self->s, &server);
		close(client);
		ASSERT_LE(0, worker);
		close(server);
		got[worker]++;
		most = got[worker] > most ? got[worker] : most;
		usleep(12000);		/* some ticks */
	}
	EXPECT_GT(24, most);
}

TEST_F(steer, policy_changes_while_it_runs)
{
	unsigned int got[WORKERS], again[WORKERS];
	int i;

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_HASH, HOUR_NS, variant->family));
	row(&self->s, 1)->inflight = 9;
	row(&self->s, 2)->inflight = 9;
	row(&self->s, 3)->inflight = 9;
	admin(&self->s, 0)->weight = 1;
	admin(&self->s, 1)->weight = 1;
	admin(&self->s, 2)->weight = 1;
	admin(&self->s, 3)->weight = WEIR_WEIGHT_MAX;
	for (i = 0; i < 2; i++) {
		cfg(&self->s)->policy = WEIR_POLICY_HASH;
		ASSERT_EQ(0, spread(&self->s, 100, got));
		NEAR(got[0], 100, 250);
		NEAR(got[2], 100, 250);
		cfg(&self->s)->policy = WEIR_POLICY_LEAST;
		ASSERT_EQ(0, spread(&self->s, 20, got));
		EXPECT_EQ(20, got[0]);
		cfg(&self->s)->policy = WEIR_POLICY_WEIGHTED;
		ASSERT_EQ(0, spread(&self->s, 100, got));
		EXPECT_LE(95, got[3]);
		cfg(&self->s)->policy = WEIR_POLICY_P2C;
		cfg(&self->s)->scan_max = 0;
		ASSERT_EQ(0, spread(&self->s, 100, got));
		NEAR(got[0], 100, 500);		/* whenever it is one of the two */
		cfg(&self->s)->policy = WEIR_POLICY_CPU;
		ASSERT_EQ(0, run_on(0));
		ASSERT_EQ(0, spread(&self->s, 20, again));
		EXPECT_EQ(20, again[0]);
	}
}

static const enum weir_policy policies[] = {
	WEIR_POLICY_HASH, WEIR_POLICY_CPU, WEIR_POLICY_LEAST, WEIR_POLICY_P2C,
	WEIR_POLICY_WEIGHTED,
};

TEST_F(steer, nothing_goes_to_who_is_drained)
{
	struct weir_bpf_worker worker;
	unsigned int got[WORKERS];
	size_t i;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, HOUR_NS, variant->family));
	cfg(&self->s)->ramp_ns = 0;
	cfg(&self->s)->scan_max = 0;
	for (i = 0; i < ARRAY_SIZE(policies); i++) {
		cfg(&self->s)->policy = policies[i];
		ASSERT_EQ(0, run_on(0));
		admin(&self->s, 0)->state = WEIR_ADMIN_DRAIN;
		row(&self->s, 1)->inflight = 1000;
		ASSERT_EQ(0, spread(&self->s, 40, got));
		EXPECT_EQ(0, got[0]) TH_LOG("policy %d", policies[i]);
		admin(&self->s, 0)->state = WEIR_ADMIN_ON;
		ASSERT_EQ(0, spread(&self->s, 40, got));
		EXPECT_LT(0, got[0]) TH_LOG("policy %d", policies[i]);
	}
	ASSERT_EQ(0, worker_read(&self->s, 0, &worker));
	EXPECT_LT(0, worker.listener.skip_state);
	ASSERT_EQ(0, worker_read(&self->s, 1, &worker));
	EXPECT_EQ(0, worker.listener.fallback);
}

/* While another serves: a hung one does not. */
TEST_F(steer, drained_ones_serve_when_no_other_does)
{
	struct weir_bpf_worker worker;
	unsigned int got[WORKERS];
	size_t i;

	ASSERT_EQ(0, service_open(&self->s, "", 3, WEIR_POLICY_HASH, HOUR_NS, variant->family));
	admin(&self->s, 0)->state = WEIR_ADMIN_DRAIN;
	row(&self->s, 2)->state = WEIR_DEAD;
	for (i = 0; i < ARRAY_SIZE(policies); i++) {
		cfg(&self->s)->policy = policies[i];
		if (policies[i] == WEIR_POLICY_HASH)
			continue;	/* it does not tell who is hung */
		cfg(&self->s)->stale_ns = now_ns() / 2;
		row(&self->s, 1)->loop_ns = 1;
		row(&self->s, 1)->state = WEIR_RUN;
		ASSERT_EQ(0, spread(&self->s, 10, got));
		EXPECT_EQ(10, got[0]) TH_LOG("policy %d", policies[i]);
		/* Both unusable by now: who is drained and hung comes last. */
		row(&self->s, 0)->loop_ns = 2;
		row(&self->s, 0)->state = WEIR_RUN;
		ASSERT_EQ(0, spread(&self->s, 10, got));
		EXPECT_EQ(10, got[1]) TH_LOG("policy %d", policies[i]);
		row(&self->s, 0)->state = WEIR_PARKED;
	}
	ASSERT_EQ(0, worker_read(&self->s, 0, &worker));
	EXPECT_EQ(40, worker.listener.fallback);
}

TEST_F(steer, who_comes_back_begins_with_nothing)
{
	unsigned int got[WORKERS];
	size_t i;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, HOUR_NS, variant->family));
	cfg(&self->s)->ramp_ns = HOUR_NS;
	row(&self->s, 0)->state = WEIR_DRAIN;
	ASSERT_EQ(0, spread(&self->s, 4, got));
	EXPECT_EQ(4, got[1]);
	row(&self->s, 0)->state = WEIR_PARKED;
	for (i = 0; i < ARRAY_SIZE(policies); i++) {
		cfg(&self->s)->policy = policies[i];
		cfg(&self->s)->scan_max = 0;
		if (policies[i] == WEIR_POLICY_HASH)
			continue;	/* blind to this too */
		ASSERT_EQ(0, spread(&self->s, 20, got));
		/* Each second since is worth one in two thousand. */
		NEAR(got[0], 20, 0);
	}
	/* But it is there when nobody else is. */
	row(&self->s, 1)->state = WEIR_DRAIN;
	ASSERT_EQ(0, spread(&self->s, 10, got));
	EXPECT_EQ(10, got[0]);
}

TEST_F(steer, ramp_gives_ever_more)
{
	static const unsigned int quarters[] = { 1, 2, 3, 4 };
	unsigned int got[WORKERS];
	size_t i, k;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, HOUR_NS, variant->family));
	self->pending = map_open(&self->s, "weir_pending");
	ASSERT_LE(0, self->pending);
	/* The clock may be younger: an age needs a time to come from. */
	cfg(&self->s)->ramp_ns = now_ns() / 2 < MINUTE_NS ? now_ns() / 2 : MINUTE_NS;
	for (k = 0; k < ARRAY_SIZE(policies); k++) {
		cfg(&self->s)->policy = policies[k];
		if (policies[k] == WEIR_POLICY_HASH || policies[k] == WEIR_POLICY_CPU)
			continue;	/* one worker a CPU: there is no share */
		for (i = 0; i < ARRAY_SIZE(quarters); i++) {
			ASSERT_EQ(0, out_set(self->pending, 0,
					     cfg(&self->s)->ramp_ns / 4 * quarters[i]));
			ASSERT_EQ(0, spread(&self->s, 200, got));
			NEAR(got[0], 200, 125 * quarters[i]);
		}
	}
}

TEST_F(steer, one_of_two_hundred_is_found)
{
	unsigned int got[WORKERS], i;

	ASSERT_EQ(0, service_open(&self->s, "", WORKERS, WEIR_POLICY_LEAST, HOUR_NS,
				  variant->family));
	for (i = 0; i < WORKERS; i++)
		row(&self->s, i)->inflight = i == 150 ? 3 : 4;
	ASSERT_EQ(0, spread(&self->s, 10, got));
	EXPECT_EQ(10, got[150]);
	for (i = 0; i < WORKERS; i++)
		row(&self->s, i)->state = i == 199 ? WEIR_PARKED : WEIR_DRAIN;
	for (i = 0; i < ARRAY_SIZE(policies); i++) {
		cfg(&self->s)->policy = policies[i];
		ASSERT_EQ(0, spread(&self->s, 5, got));
		EXPECT_EQ(5, got[199]) TH_LOG("policy %d", policies[i]);
	}
}

TEST_F(steer, two_hundred_share)
{
	unsigned int got[WORKERS], i, k, most, served;

	ASSERT_EQ(0, service_open(&self->s, "", WORKERS, WEIR_POLICY_P2C, HOUR_NS,
				  variant->family));
	for (k = 0; k < ARRAY_SIZE(policies); k++) {
		if (policies[k] == WEIR_POLICY_CPU)
			continue;
		cfg(&self->s)->policy = policies[k];
		ASSERT_EQ(0, spread(&self->s, 1000, got));
		for (i = 0, most = 0, served = 0; i < WORKERS; i++) {
			served += !!got[i];
			most = got[i] > most ? got[i] : most;
		}
		/* 5 each: nobody is left with 1 in 150, and 30 are not to be had. */
		EXPECT_LE(150, served) TH_LOG("policy %d", policies[k]);
		EXPECT_GE(30, most) TH_LOG("policy %d", policies[k]);
	}
}

/* Beyond the 64th as well, a socket that cannot be used is tried once. */
TEST_F(steer, the_next_best_is_tried)
{
	struct weir_bpf_worker worker;
	unsigned int got[WORKERS], i;

	ASSERT_EQ(0, service_open(&self->s, "", 140, WEIR_POLICY_LEAST, HOUR_NS, variant->family));
	for (i = 0; i < 140; i++)
		row(&self->s, i)->inflight = 150 - i;
	for (i = 137; i < 140; i++)
		self->s.st->ops->leave(self->s.st, i);
	ASSERT_EQ(0, spread(&self->s, 10, got));
	EXPECT_EQ(0, got[136]);		/* three tries, then whoever is first */
	EXPECT_EQ(10, got[0]);
	for (i = 137; i < 140; i++) {
		ASSERT_EQ(0, worker_read(&self->s, i, &worker));
		EXPECT_EQ(10, worker.listener.select_err);
	}
	row(&self->s, 139)->state = WEIR_DEAD;
	ASSERT_EQ(0, spread(&self->s, 10, got));
	EXPECT_EQ(10, got[136]);
}

/* Both families in one instance: one choice, two groups. */
TEST_F(steer, families_share_their_workers)
{
	struct service *s = &self->s;
	struct service other;
	unsigned int got[WORKERS], i;

	ASSERT_EQ(0, service_open(s, "", 3, WEIR_POLICY_LEAST, HOUR_NS, AF_INET));
	other = *s;
	other.family = AF_INET6;
	other.port = 0;
	for (i = 0; i < 3; i++) {
		other.fd[i] = listen_on(AF_INET6, &other.port);
		ASSERT_LE(0, other.fd[i]);
		ASSERT_EQ(0, s->st->ops->join(s->st, i, other.fd[i]));
	}
	ASSERT_EQ(0, s->st->ops->seal(s->st));
	for (i = 0; i < 3; i++)
		row(s, i)->inflight = i != 1;
	ASSERT_EQ(0, spread(s, 10, got));
	EXPECT_EQ(10, got[1]);
	ASSERT_EQ(0, spread(&other, 10, got));
	EXPECT_EQ(10, got[1]);
	for (i = 0; i < 3; i++)
		close(other.fd[i]);
}

TEST_F(steer, listeners_that_differ_are_refused)
{
	static const struct {
		int level, option, value;
	} differ[] = {
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ SOL_SOCKET, SO_RCVBUF, 4096 },
		{ SOL_SOCKET, SO_PRIORITY, 3 },
		{ IPPROTO_TCP, 1, 1 },		/* TCP_NODELAY */
		{ IPPROTO_TCP, 9, 5 },		/* TCP_DEFER_ACCEPT */
		{ IPPROTO_TCP, 27, 1 },		/* TCP_SAVE_SYN */
	};
	uint16_t port = 0;
	int fd;
	size_t i;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, HOUR_NS, variant->family));
	self->s.st->ops->leave(self->s.st, 1);
	/* Alike, but elsewhere. */
	fd = listen_on(variant->family, &port);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EINVAL, self->s.st->ops->join(self->s.st, 1, fd));
	close(fd);
	for (i = 0; i < ARRAY_SIZE(differ); i++) {
		fd = listen_on(variant->family, &self->s.port);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, setsockopt(fd, differ[i].level, differ[i].option, &differ[i].value,
					sizeof(differ[i].value)));
		EXPECT_EQ(-EINVAL, self->s.st->ops->join(self->s.st, 1, fd))
			TH_LOG("level %d option %d", differ[i].level, differ[i].option);
		close(fd);
	}
	fd = listen_on(variant->family, &self->s.port);
	EXPECT_EQ(0, self->s.st->ops->join(self->s.st, 1, fd));
	close(self->s.fd[1]);
	self->s.fd[1] = fd;
}

TEST_HARNESS_MAIN
