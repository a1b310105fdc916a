// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_bpf.c - steering in the running kernel: who gets a new connection
 */
#include "bpf_service.h"

TEST_F(bpf, hash_spreads)
{
	unsigned int got[WORKERS], i, total = 0;
	struct weir_bpf_worker worker;

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, spread(&self->s, 128, got));
	for (i = 0; i < 4; i++) {
		EXPECT_LT(8, got[i]);
		ASSERT_EQ(0, worker_read(&self->s, i, &worker));
		EXPECT_EQ(got[i], worker.listener.picked);
		EXPECT_EQ(got[i], worker.pending.established);
		EXPECT_EQ(0, worker.listener.fallback);
		total += got[i];
	}
	EXPECT_EQ(128, total);
}

TEST_F(bpf, least_takes_the_idle_one)
{
	unsigned int got[WORKERS], i;

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	for (i = 0; i < 4; i++)
		row(&self->s, i)->inflight = i == 2 ? 0 : 10;
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(20, got[2]);
}

/* Nobody accepts: only the kernel's own count can tell the queues apart. */
TEST_F(bpf, waiting_connections_are_load)
{
	struct weir_bpf_worker worker;
	unsigned int i;

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	for (i = 0; i < 40; i++)
		ASSERT_LE(0, connect_to(&self->s));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, worker_read(&self->s, i, &worker));
		EXPECT_EQ(10, worker.pending.established);
	}
}

TEST_F(bpf, p2c_avoids_hung_workers)
{
	unsigned int got[WORKERS], i, served = 0;
	struct weir_bpf_worker worker;

	ASSERT_EQ(0, service_open(&self->s, "", WORKERS, WEIR_POLICY_P2C, FOREVER_NS, AF_INET));
	weir_bpf_cfg(self->s.bpf)->scan_max = 0;
	weir_bpf_cfg(self->s.bpf)->stale_ns = 60ULL * 1000000000ULL;
	for (i = 0; i < 6; i++) {
		row(&self->s, i)->loop_ns = 1;
		row(&self->s, i)->state = WEIR_RUN;
	}
	/* The clock may be younger than that right after boot. */
	if (now_ns() < 61ULL * 1000000000ULL)
		weir_bpf_cfg(self->s.bpf)->stale_ns = now_ns() / 2;
	ASSERT_EQ(0, spread(&self->s, 200, got));
	for (i = 0; i < 6; i++)
		EXPECT_EQ(0, got[i]);
	for (; i < WORKERS; i++)
		served += !!got[i];
	EXPECT_EQ(2, served);
	ASSERT_EQ(0, worker_read(&self->s, 0, &worker));
	EXPECT_LT(0, worker.listener.skip_stale);
}

/* The busiest of all is never the better of two. */
TEST_F(bpf, p2c_compares_two)
{
	unsigned int got[WORKERS];

	ASSERT_EQ(0, service_open(&self->s, "", WORKERS, WEIR_POLICY_P2C, FOREVER_NS, AF_INET));
	weir_bpf_cfg(self->s.bpf)->scan_max = 0;
	row(&self->s, 3)->inflight = 100;
	ASSERT_EQ(0, spread(&self->s, 200, got));
	EXPECT_EQ(0, got[3]);
}

/* Delay decides between equals, and counts for less than one request. */
TEST_F(bpf, queue_delay_breaks_ties)
{
	unsigned int got[WORKERS], i;

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	for (i = 0; i < 4; i++)
		row(&self->s, i)->qdelay_us = i == 2 ? 0 : 5000;
	row(&self->s, 2)->conns = 1000;
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(20, got[2]);
	row(&self->s, 2)->inflight = 1;
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(0, got[2]);
}

TEST_F(bpf, busy_but_alive_is_not_hung)
{
	unsigned int got[WORKERS];

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	row(&self->s, 0)->loop_ns = now_ns();
	row(&self->s, 0)->state = WEIR_RUN;
	row(&self->s, 1)->inflight = 5;
	ASSERT_EQ(0, spread(&self->s, 10, got));
	EXPECT_EQ(10, got[0]);
}

TEST_F(bpf, parked_with_old_pending_is_hung)
{
	unsigned int got[WORKERS], i;

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	for (i = 1; i < 4; i++)
		row(&self->s, i)->state = WEIR_DRAIN;
	ASSERT_LE(0, connect_to(&self->s));
	for (i = 1; i < 4; i++) {
		row(&self->s, i)->state = WEIR_PARKED;
		row(&self->s, i)->inflight = 100;
	}
	/* Whatever waits is now old; the others accept before the next one. */
	weir_bpf_cfg(self->s.bpf)->stale_ns = 1;
	close(dup(self->s.fd[0]));
	self->s.fd[0] = -self->s.fd[0];		/* poll() leaves it out */
	ASSERT_EQ(0, spread(&self->s, 30, got));
	self->s.fd[0] = -self->s.fd[0];
	EXPECT_EQ(0, got[0]);
}

TEST_F(bpf, last_one_is_never_excluded)
{
	unsigned int got[WORKERS], i;
	struct weir_bpf_worker worker;

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_P2C, 1, AF_INET));
	for (i = 0; i < 4; i++) {
		row(&self->s, i)->loop_ns = 1 + 1000 * (i == 3);
		row(&self->s, i)->state = WEIR_RUN;
	}
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(20, got[3]);		/* ran last */
	ASSERT_EQ(0, worker_read(&self->s, 3, &worker));
	EXPECT_EQ(20, worker.listener.fallback);
	for (i = 0; i < 4; i++)
		row(&self->s, i)->state = WEIR_DEAD;
	EXPECT_EQ(0, spread(&self->s, 20, got));
}

TEST_F(bpf, ipv6_is_steered)
{
	unsigned int got[WORKERS];

	ASSERT_EQ(0, service_open(&self->s, "", 4, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET6));
	row(&self->s, 0)->inflight = 9;
	row(&self->s, 1)->inflight = 9;
	row(&self->s, 3)->inflight = 9;
	ASSERT_EQ(0, spread(&self->s, 10, got));
	EXPECT_EQ(10, got[2]);
}

TEST_F(bpf, migration_keeps_connections)
{
	struct weir_bpf_worker worker;
	int i, client[20], server;
	struct flows flows;
	char text[8];

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	row(&self->s, 1)->state = WEIR_DRAIN;
	for (i = 0; i < 20; i++) {
		client[i] = connect_to(&self->s);
		ASSERT_LE(0, client[i]);
		ASSERT_EQ(5, send(client[i], "hello", 5, 0));
	}
	row(&self->s, 1)->state = WEIR_PARKED;
	ASSERT_EQ(0, shutdown(self->s.fd[0], SHUT_RDWR));
	self->s.fd[0] = -self->s.fd[0];
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(1, accept_any(&self->s, &server));
		ASSERT_EQ(5, recv(server, text, sizeof(text), 0));
		ASSERT_EQ(2, send(server, "ok", 2, 0));
		close(server);
	}
	self->s.fd[0] = -self->s.fd[0];
	for (i = 0; i < 20; i++)
		EXPECT_EQ(2, recv(client[i], text, sizeof(text), 0));
	ASSERT_EQ(0, worker_read(&self->s, 0, &worker));
	EXPECT_EQ(0, worker.pending.established);
	ASSERT_EQ(0, worker_read(&self->s, 1, &worker));
	EXPECT_EQ(20, worker.pending.established);
	EXPECT_EQ(20, worker.listener.migrated);
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	EXPECT_EQ(1, flows.last.worker);
}

/* Without a flow the old worker is found by its listener's cookie. */
TEST_F(bpf, migration_moves_counts_without_flows)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	struct weir_bpf_worker worker;
	struct flows flows;
	char path[512];
	int i, map;

	ASSERT_EQ(0, service_open(&self->s, "", 3, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	snprintf(path, sizeof(path), "%s/weir_flow", status.dir);
	map = bpf_obj_get(path);
	ASSERT_LE(0, map);
	row(&self->s, 0)->state = WEIR_DRAIN;
	row(&self->s, 2)->state = WEIR_DRAIN;
	for (i = 0; i < 5; i++) {
		ASSERT_LE(0, connect_to(&self->s));
		ASSERT_EQ(0, flows_read(&self->s, &flows));
		ASSERT_EQ(0, bpf_map_delete_elem(map, &flows.cookie));
	}
	row(&self->s, 2)->state = WEIR_PARKED;
	ASSERT_EQ(0, shutdown(self->s.fd[1], SHUT_RDWR));
	ASSERT_EQ(0, worker_read(&self->s, 1, &worker));
	EXPECT_EQ(0, worker.pending.established);
	EXPECT_LT(0, worker.listener.select_err);
	ASSERT_EQ(0, worker_read(&self->s, 2, &worker));
	EXPECT_EQ(5, worker.pending.established);
}

TEST_HARNESS_MAIN
