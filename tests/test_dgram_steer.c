// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_dgram_steer.c - steering of datagrams in the running kernel: who gets one
 *
 * The test plays the workers: a socket each, and the rows that they would write.
 */
#include <semaphore.h>

#include <weir/serve.h>

#include "dgram_steer.h"
#include "tsan.h"

enum {
	SENDERS		= 64,
	ROUNDS		= 4,
	FLOWS_FEW	= 128,
};

TEST_F(bpf, a_flow_keeps_its_worker)
{
	static const int families[] = { AF_INET, AF_INET6 };
	unsigned int seen, i, round, f;
	struct service *s = &self->s;
	struct weir_gate gate;
	int fds[SENDERS], worker;

	for (f = 0; f < 2; f++) {
		seen = 0;
		OPEN(s, 4, WEIR_POLICY_P2C, families[f], 0);
		for (i = 0; i < SENDERS; i++) {
			/* Open, so that no two have the same port. */
			fds[i] = sender_open(s);
			worker = ask(s, fds[i]);
			ASSERT_LE(0, worker);
			seen |= 1U << worker;
			for (round = 1; round < ROUNDS; round++)
				EXPECT_EQ(worker, ask(s, fds[i]));
		}
		EXPECT_EQ(15, seen);
		ASSERT_EQ(0, gate_read(s, &gate));
		EXPECT_EQ(SENDERS, gate.asked);
		EXPECT_EQ(SENDERS * (ROUNDS - 1), gate.dgram_kept);
		EXPECT_EQ(0, gate.dgram_moved);
		EXPECT_EQ(SENDERS, flows_count(s));
		for (i = 0; i < SENDERS; i++)
			close(fds[i]);
		service_close(s);
	}
}

TEST_F(bpf, a_row_of_the_table_says_who_and_how_much)
{
	struct weir_dgram_key key = { 0 };
	struct weir_dgram_flow flow;
	struct service *s = &self->s;
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int fd, map, worker;

	OPEN(s, 2, WEIR_POLICY_LEAST, AF_INET, 0);
	fd = sender_open(s);
	worker = ask(s, fd);
	ASSERT_EQ(worker, ask(s, fd));
	ASSERT_EQ(worker, ask(s, fd));
	ASSERT_EQ(0, getsockname(fd, (struct sockaddr *)&in, &len));
	key.ip[0] = htonl(INADDR_LOOPBACK);
	key.own_ip[0] = htonl(INADDR_LOOPBACK);
	key.port = ntohs(in.sin_port);
	key.own_port = s->port;
	map = flows_map(s);
	ASSERT_EQ(0, bpf_map_lookup_elem(map, &key, &flow));
	EXPECT_EQ(worker, (int)flow.worker);
	EXPECT_EQ(row(s, worker)->epoch, flow.epoch);
	EXPECT_EQ(3, flow.datagrams);
	EXPECT_GE(now_ns(), flow.seen_ns);
	close(map);
	close(fd);
}

TEST_F(bpf, a_new_flow_goes_to_the_least_loaded)
{
	struct service *s = &self->s;
	unsigned int i;
	int fd, old;

	OPEN(s, 4, WEIR_POLICY_LEAST, AF_INET, 0);
	old = sender_open(s);
	for (i = 0; i < 4; i++)
		row(s, i)->inflight = i == 1 ? 0 : 10;
	EXPECT_EQ(1, ask(s, old));
	row(s, 1)->inflight = 20;
	row(s, 2)->inflight = 0;
	for (i = 0; i < 10; i++) {
		fd = sender_open(s);
		EXPECT_EQ(2, ask(s, fd));
		close(fd);
	}
	EXPECT_EQ(1, ask(s, old));
	close(old);
}

/* The table is bounded: those that speak stay, of the silent ones the oldest go. */
TEST_F(bpf, the_table_forgets_the_oldest_and_no_more)
{
	struct service *s = &self->s;
	int talker, fd, worker, lost = 0;
	unsigned int i;

	OPEN(s, 4, WEIR_POLICY_P2C, AF_INET, FLOWS_FEW);
	talker = sender_open(s);
	worker = ask(s, talker);
	for (i = 0; i < 4 * FLOWS_FEW; i++) {
		fd = sender_open(s);
		lost += ask(s, fd) < 0;
		close(fd);
		EXPECT_EQ(worker, ask(s, talker));
	}
	EXPECT_EQ(0, lost);
	EXPECT_GE(FLOWS_FEW, flows_count(s));
	EXPECT_LT(FLOWS_FEW / 4, flows_count(s));
	close(talker);
}

TEST_F(bpf, flows_of_a_dead_worker_move_and_those_of_others_stay)
{
	int fds[SENDERS], before[SENDERS], after[SENDERS];
	struct service *s = &self->s;
	struct weir_gate gate;
	unsigned int i, moved = 0;

	OPEN(s, 4, WEIR_POLICY_P2C, AF_INET, 0);
	for (i = 0; i < SENDERS; i++) {
		fds[i] = sender_open(s);
		before[i] = ask(s, fds[i]);
	}
	worker_leave(s, 2);
	for (i = 0; i < SENDERS; i++) {
		after[i] = ask(s, fds[i]);
		EXPECT_NE(2, after[i]);
		EXPECT_LE(0, after[i]);
		if (before[i] == 2)
			moved++;
		else
			EXPECT_EQ(before[i], after[i]);
		EXPECT_EQ(after[i], ask(s, fds[i]));
	}
	EXPECT_LT(0, moved);
	ASSERT_EQ(0, gate_read(s, &gate));
	EXPECT_EQ(moved, gate.dgram_moved);
	/* It comes back, and the kernel's own order of the group is another now. */
	ASSERT_EQ(0, worker_join(s, 2));
	for (i = 0; i < SENDERS; i++) {
		EXPECT_EQ(after[i], ask(s, fds[i]));
		close(fds[i]);
	}
}

/* Dead and back before its flows spoke: what they were about is gone all the same. */
TEST_F(bpf, a_worker_that_was_restarted_is_another)
{
	struct service *s = &self->s;
	struct weir_gate gate;
	int fd;

	OPEN(s, 2, WEIR_POLICY_LEAST, AF_INET, 0);
	row(s, 1)->inflight = 10;
	fd = sender_open(s);
	EXPECT_EQ(0, ask(s, fd));
	worker_leave(s, 0);
	ASSERT_EQ(0, worker_join(s, 0));
	row(s, 0)->inflight = 20;
	EXPECT_EQ(1, ask(s, fd));
	ASSERT_EQ(0, gate_read(s, &gate));
	EXPECT_EQ(1, gate.dgram_moved);
	close(fd);
}

TEST_F(bpf, flows_of_a_drained_worker_move_unless_all_are)
{
	struct service *s = &self->s;
	int fd, i;

	OPEN(s, 2, WEIR_POLICY_LEAST, AF_INET, 0);
	row(s, 1)->inflight = 10;
	fd = sender_open(s);
	EXPECT_EQ(0, ask(s, fd));
	s->st->ops->admin(s->st, 0)->state = WEIR_ADMIN_DRAIN;
	EXPECT_EQ(1, ask(s, fd));
	s->st->ops->admin(s->st, 0)->state = WEIR_ADMIN_ON;
	EXPECT_EQ(1, ask(s, fd));
	s->st->ops->admin(s->st, 0)->state = WEIR_ADMIN_DRAIN;
	s->st->ops->admin(s->st, 1)->state = WEIR_ADMIN_DRAIN;
	for (i = 0; i < 10; i++)
		EXPECT_EQ(1, ask(s, fd));
	close(fd);
}

/* What a flow is about is at its worker alone; for a new one another is better. */
TEST_F(bpf, a_hung_worker_keeps_its_flows_and_gets_no_new_ones)
{
	struct service *s = &self->s;
	struct weir_cfg *cfg;
	int old, fd, i;

	OPEN(s, 2, WEIR_POLICY_LEAST, AF_INET, 0);
	cfg = weir_bpf_cfg(s->bpf);
	row(s, 1)->inflight = 10;
	old = sender_open(s);
	EXPECT_EQ(0, ask(s, old));
	row(s, 0)->state = WEIR_RUN;
	row(s, 0)->loop_ns = 1;
	cfg->stale_ns = 1000;
	EXPECT_EQ(0, ask(s, old));
	for (i = 0; i < 5; i++) {
		fd = sender_open(s);
		EXPECT_EQ(1, ask(s, fd));
		close(fd);
	}
	row(s, 0)->state = WEIR_PARKED;
	cfg->ramp_ns = 0;
	fd = sender_open(s);
	EXPECT_EQ(0, ask(s, fd));
	close(fd);
	close(old);
}

/* It says PARKED for ever: what it does not take tells. */
TEST_F(bpf, parked_with_datagrams_that_it_does_not_take_is_hung)
{
	struct service *s = &self->s;
	struct weir_bpf_worker worker;
	int fd, i;

	OPEN(s, 2, WEIR_POLICY_LEAST, AF_INET, 0);
	weir_bpf_cfg(s->bpf)->ramp_ns = 0;
	row(s, 1)->inflight = 100;
	fd = sender_open(s);
	EXPECT_EQ(0, deliver(s, fd, "x", 1, true));
	EXPECT_EQ(0, deliver(s, fd, "x", 1, true));
	close(fd);
	ASSERT_EQ(0, worker_read(s, 0, &worker));
	EXPECT_EQ(2, worker.pending.established);
	weir_bpf_cfg(s->bpf)->stale_ns = 1;
	s->fd[0] = -s->fd[0];
	for (i = 0; i < 5; i++) {
		fd = sender_open(s);
		EXPECT_EQ(1, ask(s, fd));
		close(fd);
	}
	s->fd[0] = -s->fd[0];
	/* It counts them as taken, or lost: it is well again. */
	row(s, 0)->accepted += 2;
	fd = sender_open(s);
	EXPECT_EQ(0, deliver(s, fd, "x", 1, true));
	close(fd);
}

/* A worker that took for lost what was on its way does not hide what waits later. */
TEST_F(bpf, taken_above_what_was_given_is_put_right)
{
	struct service *s = &self->s;
	struct weir_bpf_worker worker;
	uint64_t since_ns;
	int fd;

	OPEN(s, 1, WEIR_POLICY_LEAST, AF_INET, 0);
	fd = sender_open(s);
	EXPECT_EQ(0, ask(s, fd));
	row(s, 0)->accepted += 10;
	EXPECT_EQ(0, deliver(s, fd, "x", 1, true));
	ASSERT_EQ(0, worker_read(s, 0, &worker));
	EXPECT_EQ(-10, worker.pending.unaccepted);
	EXPECT_EQ(1, s->st->ops->waiting(s->st, 0, &since_ns));
	close(fd);
}

TEST_F(bpf, a_connection_id_names_the_worker)
{
	struct service *s = &self->s;
	struct weir_cfg *cfg;
	struct weir_gate gate;
	unsigned int bytes, i;
	int fd, flow;

	OPEN(s, 4, WEIR_POLICY_LEAST, AF_INET, 0);
	cfg = weir_bpf_cfg(s->bpf);
	fd = sender_open(s);
	flow = ask(s, fd);
	for (bytes = 1; bytes <= 4; bytes++) {
		cfg->quic_offset = 3 * bytes;
		cfg->quic_bytes = bytes;
		for (i = 0; i < 4; i++)
			EXPECT_EQ((int)i, ask_quic(s, fd, 3 * bytes, bytes, i, 0x40));
		/* The next packet of the same client has no such number. */
		EXPECT_EQ(flow, ask_quic(s, fd, 3 * bytes, bytes, 1, 0xc0));
		EXPECT_EQ(flow, ask_quic(s, fd, 3 * bytes, bytes, 200, 0x40));
		EXPECT_EQ(flow, ask(s, fd));
	}
	ASSERT_EQ(0, gate_read(s, &gate));
	EXPECT_EQ(16, gate.dgram_named);
	close(fd);
}

TEST_F(bpf, a_connection_id_of_a_worker_that_is_gone_goes_by_flow)
{
	struct service *s = &self->s;
	int fd, other, i;

	OPEN(s, 3, WEIR_POLICY_LEAST, AF_INET, 0);
	weir_bpf_cfg(s->bpf)->quic_offset = 1;
	weir_bpf_cfg(s->bpf)->quic_bytes = 2;
	fd = sender_open(s);
	EXPECT_EQ(1, ask_quic(s, fd, 1, 2, 1, 0x40));
	/* Drained is about what is new: its connections go on. */
	s->st->ops->admin(s->st, 1)->state = WEIR_ADMIN_DRAIN;
	EXPECT_EQ(1, ask_quic(s, fd, 1, 2, 1, 0x40));
	worker_leave(s, 1);
	other = ask_quic(s, fd, 1, 2, 1, 0x40);
	EXPECT_TRUE(other == 0 || other == 2);
	for (i = 0; i < 5; i++)
		EXPECT_EQ(other, ask_quic(s, fd, 1, 2, 1, 0x40));
	close(fd);
}

TEST_F(bpf, a_policy_is_switched_while_flows_stay)
{
	struct service *s = &self->s;
	unsigned int i, got[WORKERS] = { 0 };
	int fds[SENDERS], before[SENDERS], fd;
	struct weir_cfg *cfg;

	OPEN(s, 4, WEIR_POLICY_HASH, AF_INET, 0);
	cfg = weir_bpf_cfg(s->bpf);
	for (i = 0; i < SENDERS; i++) {
		fds[i] = sender_open(s);
		before[i] = ask(s, fds[i]);
		ASSERT_LE(0, before[i]);
	}
	cfg->policy = WEIR_POLICY_WEIGHTED;
	for (i = 0; i < 4; i++)
		s->st->ops->admin(s->st, i)->weight = i == 3 ? 10000 : 1;
	for (i = 0; i < 100; i++) {
		fd = sender_open(s);
		got[ask(s, fd)]++;
		close(fd);
	}
	EXPECT_LT(90, got[3]);
	cfg->policy = WEIR_POLICY_LEAST;
	row(s, 3)->inflight = 5;
	fd = sender_open(s);
	EXPECT_NE(3, ask(s, fd));
	close(fd);
	for (i = 0; i < SENDERS; i++) {
		EXPECT_EQ(before[i], ask(s, fds[i]));
		close(fds[i]);
	}
}

/* Who is let in is asked of first datagrams alone. */
TEST_F(bpf, a_flow_that_was_let_in_is_never_refused)
{
	struct service *s = &self->s;
	struct weir_gate gate;
	struct weir_cfg *cfg;
	unsigned int i, in = 0;
	int old, fd, worker;

	OPEN(s, 2, WEIR_POLICY_LEAST, AF_INET, 0);
	cfg = weir_bpf_cfg(s->bpf);
	old = sender_open(s);
	worker = ask(s, old);
	ASSERT_LE(0, worker);
	cfg->prefix_rate = 1;
	cfg->prefix_burst = 3;
	for (i = 0; i < 20; i++) {
		fd = sender_open(s);
		in += ask(s, fd) >= 0;
		close(fd);
		EXPECT_EQ(worker, ask(s, old));
	}
	/* A burst, and what a slow run may earn. */
	EXPECT_LE(3, in);
	EXPECT_GT(20, in);
	ASSERT_EQ(0, gate_read(s, &gate));
	EXPECT_EQ(20 - in, (unsigned int)gate.shed_prefix);
	close(old);
}

TEST_F(bpf, an_instance_is_for_datagrams_or_for_connections)
{
	struct service *s = &self->s;
	uint16_t port = 0;
	int tcp, udp;

	OPEN(s, 1, WEIR_POLICY_LEAST, AF_INET, 0);
	tcp = listen_on(AF_INET, &port);
	EXPECT_EQ(-EPROTOTYPE, s->st->ops->join(s->st, 0, tcp));
	EXPECT_EQ(-EOPNOTSUPP, s->st->ops->rescue(s->st, 0));
	close(tcp);
	service_close(s);
	port = 0;
	ASSERT_EQ(0, service_open(&self->other, "-tcp", 1, WEIR_POLICY_LEAST, 0, AF_INET));
	udp = bind_on(AF_INET, &port);
	EXPECT_EQ(-EPROTOTYPE, self->other.st->ops->join(self->other.st, 0, udp));
	close(udp);
}

/* Any value in a map that others may write: nothing is lost for it. */
TEST_F(bpf, nonsense_in_the_configuration_loses_nothing)
{
	struct service *s = &self->s;
	struct weir_cfg *cfg;
	int fd, i;

	OPEN(s, 2, WEIR_POLICY_LEAST, AF_INET, 0);
	cfg = weir_bpf_cfg(s->bpf);
	cfg->quic_bytes = 77;
	cfg->quic_offset = 0xfffffff0;
	cfg->workers = 0;
	cfg->policy = 99;
	cfg->stale_ns = ~0ULL;
	cfg->ramp_ns = ~0ULL;
	fd = sender_open(s);
	EXPECT_LE(0, ask_quic(s, fd, 1, 2, 1, 0x40));
	cfg->quic_bytes = 4;
	EXPECT_LE(0, ask_quic(s, fd, 1, 2, 1, 0x40));
	for (i = 0; i < 2; i++) {
		row(s, i)->state = 55;
		EXPECT_LE(0, ask(s, fd));
	}
	close(fd);
}

/* Without CAP_PERFMON too, for which the verifier is stricter. */
TEST_F(bpf, needs_no_more_than_connections_do)
{
	struct service *s = &self->s;
	int fd;

	ASSERT_EQ(0, caps_keep(1ULL << CAP_BPF | 1ULL << CAP_NET_ADMIN |
			       1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_CHOWN));
	OPEN(s, 2, WEIR_POLICY_P2C, AF_INET, 0);
	fd = sender_open(s);
	EXPECT_LE(0, ask(s, fd));
	close(fd);
}

/* a service of the library's own */

struct live {
	struct weir_service *service;
	struct weir_steering *st;
	sem_t entered, go;
};

/* Answers with its number; 'B' blocks it first. */
static void live_datagram(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	struct live *live = weir_dgram_service_ctx(dgram);
	char number = (char)weir_dgram_worker(dgram);
	struct weir_datagram out = { .peer = datagram->peer, .data = &number, .len = 1 };

	if (*(const char *)datagram->data == 'B') {
		sem_post(&live->entered);
		sem_wait(&live->go);
	}
	if (weir_dgram_send(dgram, &out))
		abort();
}

static int live_open(struct live *live, struct service *s, unsigned int workers)
{
	static const struct weir_service_ops ops = { .datagram = live_datagram };
	struct weir_bpf_opts bpf = {
		.sz = sizeof(bpf), .name = s->name, .policy = WEIR_POLICY_LEAST,
		.workers = workers, .flags = WEIR_BPF_DGRAM,
		.reason = s->reason, .reason_bytes = sizeof(s->reason),
	};
	struct weir_addr addr;
	struct weir_service_opts opts = {
		.sz = sizeof(opts), .ops = &ops, .ctx = live, .addr = &addr, .workers = workers,
		.flags = WEIR_SERVICE_DGRAM,
	};
	struct weir_bpf *instance;
	int err;

	snprintf(s->name, sizeof(s->name), "test-%d-live", runner);
	sem_init(&live->entered, 0, 0);
	sem_init(&live->go, 0, 0);
	err = weir_bpf_open(&instance, &bpf);
	if (!err)
		err = weir_addr_parse(&addr, "127.0.0.1:0");
	if (err)
		return err;
	live->st = weir_bpf_steering(instance);
	weir_bpf_cfg(instance)->ramp_ns = 0;
	opts.steering = live->st;
	err = weir_service_open(&live->service, &opts);
	if (err)
		return err;
	weir_service_addr(live->service, &addr);
	s->family = AF_INET;
	s->port = weir_addr_port(&addr);
	return 0;
}

static int live_ask(int fd, char what)
{
	struct timeval limit = { .tv_sec = WAIT_MS / 1000 };
	char number = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(fd, &what, 1, 0) != 1 || client_recv(fd, &number, 1) != 1)
		return -1;
	return number;
}

/* Parked, and nothing waits for it. */
static bool is_idle(const struct live *live, unsigned int worker)
{
	const struct weir_worker_row *row = live->st->ops->row(live->st, worker);
	uint64_t since_ns;

	return __atomic_load_n(&row->state, __ATOMIC_ACQUIRE) == WEIR_PARKED &&
	       !live->st->ops->waiting(live->st, worker, &since_ns);
}

/* A worker that was blocked while its socket overflowed: idle again, and known to be. */
TEST_F(bpf, what_a_full_socket_lost_does_not_look_like_a_hang)
{
	struct service *s = &self->s;
	struct weir_service_stats stats;
	struct weir_worker_row *row0;
	struct live live;
	uint64_t end;
	bool idle;
	char big[1000] = "x";
	int fd, other, worker, i;

	if (TSAN)
		SKIP(return, TSAN_WHY);
	ASSERT_EQ(0, live_open(&live, s, 2)) {
		TH_LOG("%s", s->reason);
	}
	fd = sender_open(s);
	worker = live_ask(fd, '?');
	ASSERT_LE(0, worker);
	ASSERT_EQ(1, send(fd, "B", 1, 0));
	sem_wait(&live.entered);
	for (i = 0; i < 4000; i++)
		ASSERT_EQ((ssize_t)sizeof(big), send(fd, big, sizeof(big), 0));
	/* It hangs: nothing new for it, and its flow stays. */
	end = now_ns() + WAIT_MS * 1000000ULL;
	row0 = live.st->ops->row(live.st, (unsigned int)worker);
	while (now_ns() - row0->loop_ns < 50000000ULL && now_ns() < end)
		sched_yield();
	for (i = 0; i < 5; i++) {
		other = sender_open(s);
		EXPECT_EQ(!worker, live_ask(other, '?'));
		close(other);
	}
	sem_post(&live.go);
	end = now_ns() + WAIT_MS * 1000000ULL;
	while (!(idle = is_idle(&live, (unsigned int)worker)) && now_ns() < end)
		sched_yield();
	EXPECT_TRUE(idle);
	ASSERT_EQ(0, weir_service_stats(live.service, (unsigned int)worker, &stats,
					sizeof(stats)));
	/* Some were lost, or this shows nothing; and the row counts them as gone. */
	EXPECT_GT(4002, stats.dgrams_in);
	EXPECT_EQ(4002, row0->accepted);
	weir_service_stop(live.service, 1000000000ULL);
	EXPECT_EQ(0, weir_service_wait(live.service));
	weir_service_close(live.service);
	close(fd);
}

/* By a raw socket, as from anywhere: nobody's port, and a checksum that is wrong. */
static int send_spoilt(uint16_t port)
{
	unsigned char bytes[28 + 200] = { 0x45, [8] = 64, [9] = IPPROTO_UDP };
	uint16_t udp[4] = { htons(9), htons(port), htons(8 + 200), 0x1234 };
	uint32_t lo = htonl(INADDR_LOOPBACK);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = lo };
	int sent, fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);

	memcpy(bytes + 12, &lo, 4);
	memcpy(bytes + 16, &lo, 4);
	memcpy(bytes + 20, udp, sizeof(udp));
	sent = fd < 0 ? -1 : (int)sendto(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&to,
					 sizeof(to));
	close(fd);
	return sent == sizeof(bytes) ? 0 : -1;
}

/* When its workers ran last. */
static uint64_t ran_ns(const struct live *live)
{
	return __atomic_load_n(&live->st->ops->row(live->st, 0)->loop_ns, __ATOMIC_RELAXED) +
	       __atomic_load_n(&live->st->ops->row(live->st, 1)->loop_ns, __ATOMIC_RELAXED);
}

static struct weir_supervisor_stats supervised(const struct live *live)
{
	struct weir_supervisor_stats stats;

	weir_supervisor_stats(weir_service_supervisor(live->service), &stats, sizeof(stats));
	return stats;
}

/*
 * Sends @count and waits until each look of the supervisor would have seen who hangs.
 * False: a worker ran meanwhile, and may have been late for its own reasons.
 */
static bool spoilt_tried(struct __test_metadata *_metadata, const struct live *live,
			 const struct service *s, unsigned int count)
{
	uint64_t ran, end = now_ns() + WAIT_MS * 1000000ULL;
	struct weir_supervisor_stats before, after;

	while (!(is_idle(live, 0) && is_idle(live, 1)) && now_ns() < end)
		sched_yield();
	ran = ran_ns(live);
	before = supervised(live);
	while (count--)
		ASSERT_EQ(0, send_spoilt(s->port));
	end = now_ns() + 5 * WEIR_STALE_NS;
	do {
		usleep(1000);
		after = supervised(live);
	} while (now_ns() < end || after.looks < before.looks + 5);
	if (!is_idle(live, 0) || !is_idle(live, 1) || ran_ns(live) != ran)
		return false;
	EXPECT_EQ(before.stale, after.stale);
	EXPECT_EQ(before.slow, after.slow);
	EXPECT_EQ(before.shed_windows, after.shed_windows);
	return true;
}

/* The kernel gives it to a worker, drops it on the way out, and wakes nobody. */
TEST_F(bpf, a_wrong_checksum_does_not_look_like_a_hang)
{
	uint64_t end, given = 0, sent = 0;
	struct service *s = &self->s;
	struct weir_bpf_worker worker;
	struct live live;
	unsigned int i;
	bool seen;

	if (TSAN)
		SKIP(return, TSAN_WHY);
	ASSERT_EQ(0, live_open(&live, s, 2)) {
		TH_LOG("%s", s->reason);
	}
	ASSERT_NE(NULL, weir_service_supervisor(live.service));
	end = now_ns() + WAIT_MS * 1000000ULL;
	do {
		seen = spoilt_tried(_metadata, &live, s, 20);
		sent += 20;
	} while (!seen && now_ns() < end);
	EXPECT_TRUE(seen);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, worker_read(s, i, &worker));
		given += worker.pending.established;
	}
	EXPECT_EQ(sent, given);
	weir_service_stop(live.service, 1000000000ULL);
	EXPECT_EQ(0, weir_service_wait(live.service));
	weir_service_close(live.service);
}

TEST_HARNESS_MAIN
