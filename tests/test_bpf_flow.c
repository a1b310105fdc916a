// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_bpf_flow.c - flows and events from the running kernel
 */
#include <bpf/libbpf.h>

#include "bpf_service.h"

TEST_F(bpf, flow_shows_the_connection)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int client, server;
	struct flows flows;
	char text[1000] = "";

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	row(&self->s, 0)->inflight = 3;
	weir_bpf_cfg(self->s.bpf)->flow_period_us = 0;
	client = connect_to(&self->s);
	ASSERT_EQ(1, accept_any(&self->s, &server));
	ASSERT_EQ(0, getsockname(client, (struct sockaddr *)&addr, &len));
	ASSERT_EQ(1000, send(client, text, 1000, 0));
	ASSERT_EQ(1000, recv(server, text, 1000, MSG_WAITALL));
	ASSERT_EQ(500, send(server, text, 500, 0));
	ASSERT_EQ(500, recv(client, text, 500, MSG_WAITALL));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	ASSERT_EQ(1, flows.count);
	EXPECT_EQ(1, flows.last.worker);
	EXPECT_EQ(WEIR_TCP_ESTABLISHED, flows.last.state);
	EXPECT_EQ(WEIR_FAMILY_INET, flows.last.family);
	EXPECT_EQ(self->s.port, flows.last.local_port);
	EXPECT_EQ(ntohs(addr.sin_port), flows.last.remote_port);
	EXPECT_EQ(htonl(INADDR_LOOPBACK), flows.last.remote_ip[0]);
	EXPECT_LE(1000, flows.last.bytes_received);
	EXPECT_LT(0, flows.last.cwnd);
	EXPECT_LT(0, flows.last.srtt_us);
	EXPECT_GT(1000000, flows.last.srtt_us);
}

static void flow_ends(struct __test_metadata *_metadata, const struct service *s)
{
	int client = connect_to(s), server;

	ASSERT_EQ(0, accept_any(s, &server));
	EXPECT_EQ(1, flows_settle(s, 1));
	close(client);
	close(server);
	EXPECT_EQ(0, flows_settle(s, 0));
}

/* Only the STATE callback is left without CAP_PERFMON. */
TEST_F(bpf, flow_ends_by_callback)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };

	ASSERT_EQ(0, caps_keep(1ULL << CAP_BPF | 1ULL << CAP_NET_ADMIN |
			       1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_CHOWN));
	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET))
		TH_LOG("%s", self->s.reason);
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	EXPECT_EQ(WEIR_RUNG_FLOW, status.rung) TH_LOG("%s", status.why);
	EXPECT_NE(NULL, strstr(status.why, "CAP_PERFMON"));
	flow_ends(_metadata, &self->s);
}

TEST_F(bpf, flow_ends_by_tracepoint)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	if (status.rung != WEIR_RUNG_FULL)
		SKIP(return, "%s", status.why);
	ASSERT_EQ(0, flags_clearer(status.cgroup, BPF_F_ALLOW_MULTI));
	flow_ends(_metadata, &self->s);
}

TEST_F(bpf, flow_ends_by_the_worker)
{
	int client, server;
	struct flows flows;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	client = connect_to(&self->s);
	ASSERT_EQ(0, accept_any(&self->s, &server));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	ASSERT_EQ(1, flows.count);
	self->s.st->ops->closed(self->s.st, flows.cookie);
	EXPECT_EQ(0, flows_settle(&self->s, 0));
	close(client);
}

/* An idle connection is as old as a dead one, and stays. */
TEST_F(bpf, flow_ends_by_age)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	struct weir_flow dead;
	char path[512];
	uint64_t cookie;
	struct flows flows;
	int fd, client;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	client = connect_to(&self->s);
	ASSERT_LE(0, client);
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	ASSERT_EQ(1, flows.count);
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	snprintf(path, sizeof(path), "%s/weir_flow", status.dir);
	fd = bpf_obj_get(path);
	ASSERT_LE(0, fd);
	dead = flows.last;
	cookie = flows.cookie + 1000000;	/* same addresses, another socket */
	ASSERT_EQ(0, bpf_map_update_elem(fd, &cookie, &dead, BPF_ANY));
	EXPECT_EQ(2, flows_settle(&self->s, 2));
	self->s.st->ops->tick(self->s.st, now_ns());
	EXPECT_EQ(2, flows_settle(&self->s, 2));
	weir_bpf_cfg(self->s.bpf)->flow_age_ns = 1;
	self->s.st->ops->tick(self->s.st, now_ns());
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	EXPECT_EQ(1, flows.count);
	EXPECT_NE(cookie, flows.cookie);
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	EXPECT_EQ(1, status.flows_swept);
}

#define SWEEP_LIVE	1000
#define SWEEP_DEAD	100

static int rows_add(int map, uint64_t first, unsigned int count, const struct weir_flow *flow)
{
	int err = 0;

	while (!err && count--) {
		err = bpf_map_update_elem(map, &first, flow, BPF_ANY);
		first++;
	}
	return err;
}

/* Whatever the order of the table: the dead go, the live stay, and it ends. */
TEST_F(bpf, sweep_finds_the_dead_among_many)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	struct flows flows;
	char path[512];
	int i, map, client;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	client = connect_to(&self->s);
	ASSERT_LE(0, client);
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	ASSERT_EQ(1, flows.count);
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	snprintf(path, sizeof(path), "%s/weir_flow", status.dir);
	map = bpf_obj_get(path);
	ASSERT_LE(0, map);
	flows.last.updated_ns = now_ns();	/* young, and so not asked about */
	ASSERT_EQ(0, rows_add(map, 1ULL << 40, SWEEP_LIVE, &flows.last));
	flows.last.updated_ns = 1;
	ASSERT_EQ(0, rows_add(map, 1ULL << 41, SWEEP_DEAD, &flows.last));
	weir_bpf_cfg(self->s.bpf)->flow_age_ns = now_ns() / 2;
	for (i = 0; i < 20; i++)
		self->s.st->ops->tick(self->s.st, now_ns());
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	EXPECT_EQ(1 + SWEEP_LIVE, flows.count);
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	EXPECT_EQ(SWEEP_DEAD, status.flows_swept);
	/* Live but idle, and so asked about: at most 16 in a tick, and it stays. */
	weir_bpf_cfg(self->s.bpf)->flow_age_ns = 1;
	self->s.st->ops->tick(self->s.st, now_ns());
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	EXPECT_LE(SWEEP_DEAD, status.flows_swept);
	EXPECT_GE(SWEEP_DEAD + 16, status.flows_swept);
	for (i = 0; i < 200; i++)
		self->s.st->ops->tick(self->s.st, now_ns());
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	EXPECT_EQ(1, flows.count);
}

TEST_F(bpf, full_flow_table_is_counted)
{
	struct weir_bpf_opts opts = { .sz = sizeof(opts), .flows_max = 4 };
	struct weir_bpf_view *view;
	struct weir_stats stats;
	int i, fd;

	snprintf(self->s.name, sizeof(self->s.name), "test-%d", runner);
	opts.name = self->s.name;
	ASSERT_EQ(0, weir_bpf_open(&self->s.bpf, &opts));
	self->s.st = weir_bpf_steering(self->s.bpf);
	self->s.family = AF_INET;
	fd = listen_on(AF_INET, &self->s.port);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, self->s.st->ops->join(self->s.st, 0, fd));
	for (i = 0; i < 40; i++)
		ASSERT_LE(0, connect_to(&self->s));
	ASSERT_EQ(0, weir_bpf_view_open(&view, self->s.name));
	ASSERT_EQ(0, weir_bpf_view_stats(view, &stats));
	weir_bpf_view_close(view);
	EXPECT_LT(0, stats.flow_failed);
	EXPECT_EQ(40, stats.flow_opened + stats.flow_failed);
}

TEST_F(bpf, drifted_count_is_put_right)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	struct weir_bpf_worker worker;
	int client, server;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	client = connect_to(&self->s);
	ASSERT_EQ(0, accept_any(&self->s, &server));
	row(&self->s, 0)->accepted = 0;		/* as if it had been lost on the way */
	self->s.st->ops->tick(self->s.st, now_ns());
	self->s.st->ops->tick(self->s.st, now_ns());
	ASSERT_EQ(0, worker_read(&self->s, 0, &worker));
	EXPECT_EQ(1, worker.pending.unaccepted);
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	EXPECT_EQ(1, status.pending_fixed);
	close(client);
}

static unsigned int event_bit(enum weir_event_kind kind, enum weir_edge edge)
{
	return 1U << (2 * kind + edge);
}

/* Take events until all of @want were seen; what was seen. */
static unsigned int wait_events(const struct service *s, unsigned int want, uint64_t cookie)
{
	struct pollfd pfd = { .fd = s->st->ops->signal_fd(s->st, 0), .events = POLLIN };
	unsigned int i, seen = 0;
	struct weir_event event;
	int count;

	for (i = 0; i < 64 && (seen & want) != want; i++) {
		count = s->st->ops->signal_take(s->st, 0, &event, 1);
		if (count == 0 && poll(&pfd, 1, WAIT_MS) != 1)
			break;
		if (count == 1 && event.cookie == cookie && event.ns <= now_ns())
			seen |= event_bit(event.kind, event.edge);
	}
	return seen;
}

/* The client's filter drops all that comes: no ACK, so the server times out. */
TEST_F(bpf, events_reach_the_worker)
{
	const unsigned int on = event_bit(WEIR_EV_RTO, WEIR_EDGE_ON) |
				event_bit(WEIR_EV_RETRANS, WEIR_EDGE_ON);
	const unsigned int off = event_bit(WEIR_EV_RTO, WEIR_EDGE_OFF) |
				 event_bit(WEIR_EV_RETRANS, WEIR_EDGE_OFF);
	struct sock_filter drop = { .code = BPF_RET | BPF_K };
	struct sock_fprog filter = { .len = 1, .filter = &drop };
	struct weir_event recent[8];
	struct weir_bpf_view *view;
	int client, server, i;
	struct flows flows;
	char text[64] = "";

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	weir_bpf_cfg(self->s.bpf)->rtx_burst = 1;
	weir_bpf_cfg(self->s.bpf)->rtx_quiet_ns = 1;
	weir_bpf_cfg(self->s.bpf)->flow_period_us = 0;
	client = connect_to(&self->s);
	ASSERT_EQ(0, accept_any(&self->s, &server));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	ASSERT_EQ(0, setsockopt(client, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)));
	ASSERT_EQ(64, send(server, text, 64, 0));
	EXPECT_EQ(on, wait_events(&self->s, on, flows.cookie));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	EXPECT_EQ(WEIR_FLOW_RTO, flows.last.edges & WEIR_FLOW_RTO);
	EXPECT_LT(0, flows.last.rto);
	ASSERT_EQ(0, setsockopt(client, SOL_SOCKET, SO_DETACH_FILTER, &filter, sizeof(filter)));
	ASSERT_EQ(64, recv(client, text, 64, MSG_WAITALL));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(64, send(server, text, 64, 0));
		ASSERT_EQ(64, recv(client, text, 64, MSG_WAITALL));
	}
	EXPECT_EQ(off, wait_events(&self->s, off, flows.cookie));
	ASSERT_EQ(0, weir_bpf_view_open(&view, self->s.name));
	ASSERT_EQ(4, weir_bpf_view_events(view, recent, 8));
	weir_bpf_view_close(view);
	for (i = 1; i < 4; i++)
		EXPECT_EQ(recent[i - 1].seq + 1, recent[i].seq);
}

/* A round trip with an RTT sample at the server. */
static int round_trip(int server, int client)
{
	char byte = 0;

	return send(server, &byte, 1, 0) == 1 && recv(client, &byte, 1, 0) == 1 &&
	       send(client, &byte, 1, 0) == 1 && recv(server, &byte, 1, 0) == 1;
}

/* Any round trip counts as inflated here: the edge is what is looked at. */
TEST_F(bpf, inflated_rtt_is_an_edge)
{
	const unsigned int on = event_bit(WEIR_EV_RTT, WEIR_EDGE_ON);
	const unsigned int off = event_bit(WEIR_EV_RTT, WEIR_EDGE_OFF);
	struct weir_cfg *cfg;
	int client, server, i;
	struct flows flows;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	cfg = weir_bpf_cfg(self->s.bpf);
	cfg->flow_period_us = 0;
	cfg->rtt_floor_us = 0;
	cfg->rtt_on_permille = 0;
	cfg->rtt_off_permille = 0;
	client = connect_to(&self->s);
	ASSERT_EQ(0, accept_any(&self->s, &server));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	for (i = 0; i < 20; i++)
		ASSERT_TRUE(round_trip(server, client));
	EXPECT_EQ(on, wait_events(&self->s, on, flows.cookie));
	/* Below the upper limit and above the lower one: it stays on. */
	cfg->rtt_on_permille = 1000000000;
	for (i = 0; i < 5; i++)
		ASSERT_TRUE(round_trip(server, client));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	EXPECT_EQ(WEIR_FLOW_RTT, flows.last.edges & WEIR_FLOW_RTT);
	cfg->rtt_floor_us = 10000000;
	ASSERT_TRUE(round_trip(server, client));
	EXPECT_EQ(off, wait_events(&self->s, off, flows.cookie));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	EXPECT_EQ(0, flows.last.edges & WEIR_FLOW_RTT);
}

static int read_all(int fd, size_t bytes)
{
	char text[4096];
	ssize_t got;

	while (bytes) {
		got = recv(fd, text, bytes < sizeof(text) ? bytes : sizeof(text), 0);
		if (got <= 0)
			return -1;
		bytes -= got;
	}
	return 0;
}

TEST_F(bpf, long_send_queue_is_an_edge)
{
	const unsigned int on = event_bit(WEIR_EV_SENDQ, WEIR_EDGE_ON);
	const unsigned int off = event_bit(WEIR_EV_SENDQ, WEIR_EDGE_OFF);
	struct weir_bpf_status status = { .sz = sizeof(status) };
	static char text[1 << 20];
	int client, server;
	struct flows flows;
	ssize_t sent;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	if (status.rung != WEIR_RUNG_FULL)
		SKIP(return, "%s", status.why);
	weir_bpf_cfg(self->s.bpf)->flow_period_us = 0;
	weir_bpf_cfg(self->s.bpf)->sendq_high_bytes = 1000;
	weir_bpf_cfg(self->s.bpf)->sendq_low_bytes = 0;
	client = connect_to(&self->s);
	ASSERT_EQ(0, accept_any(&self->s, &server));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	sent = send(server, text, sizeof(text), MSG_DONTWAIT);
	ASSERT_LT(1000, sent);
	ASSERT_EQ(0, read_all(client, sent));
	EXPECT_EQ(on, wait_events(&self->s, on, flows.cookie) & (on | off));
	/* Empty is below the upper limit, and not below this lower one: it stays on. */
	ASSERT_TRUE(round_trip(server, client));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	EXPECT_GT(1000, flows.last.sendq_bytes);
	EXPECT_EQ(WEIR_FLOW_SENDQ, flows.last.edges & WEIR_FLOW_SENDQ);
	weir_bpf_cfg(self->s.bpf)->sendq_low_bytes = 500;
	ASSERT_TRUE(round_trip(server, client));
	EXPECT_EQ(off, wait_events(&self->s, off, flows.cookie) & (on | off));
}

static int event_note(void *ctx, void *data, size_t bytes)
{
	if (bytes != sizeof(struct weir_event))
		return -EPROTO;
	memcpy(ctx, data, bytes);
	return 0;
}

TEST_F(bpf, observers_get_the_same_events)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	struct weir_event seen = {};
	struct ring_buffer *ring;
	int client, server, i;
	struct weir_cfg *cfg;
	char path[512];

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	snprintf(path, sizeof(path), "%s/weir_observe", status.dir);
	ring = ring_buffer__new(bpf_obj_get(path), event_note, &seen, NULL);
	ASSERT_NE(NULL, ring);
	cfg = weir_bpf_cfg(self->s.bpf);
	cfg->flow_period_us = 0;
	cfg->rtt_floor_us = 0;
	cfg->rtt_on_permille = 0;
	client = connect_to(&self->s);
	ASSERT_EQ(0, accept_any(&self->s, &server));
	for (i = 0; i < 20; i++)
		ASSERT_TRUE(round_trip(server, client));
	EXPECT_EQ(0, ring_buffer__consume(ring));	/* nobody watched */
	cfg->observers = 1;
	cfg->rtt_floor_us = 10000000;
	ASSERT_TRUE(round_trip(server, client));
	EXPECT_EQ(1, ring_buffer__consume(ring));
	EXPECT_EQ(WEIR_EV_RTT, seen.kind);
	EXPECT_EQ(WEIR_EDGE_OFF, seen.edge);
	ring_buffer__free(ring);
}

/* A sockops program that asks about every packet sent and counts them in @map. */
static int headers_asker(int dir, int map)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1 },
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .off = 3,
		  .imm = BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2,
		  .imm = BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sock_ops_cb_flags_set },
		{ .code = BPF_JMP | BPF_JA, .off = 5 },
		{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 2, .off = 4,
		  .imm = BPF_SOCK_OPS_HDR_OPT_LEN_CB },
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1,
		  .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = map },
		{ .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1 },
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 1, .src_reg = 2,
		  .imm = BPF_ADD },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int prog, err;

	prog = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "ask", "GPL", insns, ARRAY_SIZE(insns),
			     NULL);
	if (prog < 0)
		return prog;
	err = bpf_prog_attach(prog, dir, BPF_CGROUP_SOCK_OPS, BPF_F_ALLOW_MULTI);
	close(prog);
	return err;
}

/* Programs of a cgroup below ours run before it: what they asked for stays. */
TEST_F(bpf, callbacks_of_others_are_kept)
{
	struct weir_bpf_opts opts = { .sz = sizeof(opts) };
	struct weir_bpf_status status = { .sz = sizeof(status) };
	int i, fd, dir, map, client, server;
	uint64_t headers = 0;
	uint32_t zero = 0;
	char path[512];

	snprintf(self->s.name, sizeof(self->s.name), "test-%d", runner);
	opts.name = self->s.name;
	ASSERT_EQ(0, weir_bpf_open(&self->s.bpf, &opts));
	self->s.st = weir_bpf_steering(self->s.bpf);
	self->s.family = AF_INET;
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	snprintf(path, sizeof(path), "%s/below", status.cgroup);
	ASSERT_EQ(0, mkdir(path, 0755));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "headers", 4, 8, 1, NULL);
	ASSERT_LE(0, map);
	EXPECT_EQ(0, headers_asker(dir, map));
	EXPECT_EQ(0, cgroup_join(path));
	fd = listen_on(AF_INET, &self->s.port);
	EXPECT_EQ(0, self->s.st->ops->join(self->s.st, 0, fd));
	client = connect_to(&self->s);
	server = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	for (i = 0; i < 3; i++)
		EXPECT_TRUE(round_trip(server, client));
	EXPECT_EQ(0, bpf_map_lookup_elem(map, &zero, &headers));
	EXPECT_LE(3, headers);
	EXPECT_EQ(0, cgroup_join(status.cgroup));
	EXPECT_EQ(0, rmdir(path));
}

TEST_F(bpf, instances_are_apart)
{
	struct flows flows;
	unsigned int got[WORKERS];
	int client, server;

	ASSERT_EQ(0, service_open(&self->s, "-a", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, service_open(&self->other, "-b", 2, WEIR_POLICY_LEAST, 0, AF_INET));
	client = connect_to(&self->s);
	ASSERT_EQ(0, accept_any(&self->s, &server));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	EXPECT_EQ(1, flows.count);
	ASSERT_EQ(0, flows_read(&self->other, &flows));
	EXPECT_EQ(0, flows.count);
	ASSERT_EQ(0, spread(&self->other, 5, got));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	EXPECT_EQ(1, flows.count);
	close(client);
}

TEST_HARNESS_MAIN
