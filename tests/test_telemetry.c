// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_telemetry.c - what a flow says, compared with what ss(8) says
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/utsname.h>

#ifdef CONFIG_URING
#include <liburing.h>
#endif

#include "bpf_service.h"
#include "ss.h"

/* A flow between two equal looks of ss, at the same place in the stream. */
static int both_read(const struct service *s, struct ss *ss, struct flows *flows)
{
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;
	struct ss after;
	int err;

	do {
		err = ss_read(s, ss);
		if (!err)
			err = flows_read(s, flows);
		if (!err)
			err = ss_read(s, &after);
		if (err)
			return err;
		if (!memcmp(ss, &after, STEADY) && flows->last.bytes_acked == ss->acked &&
		    flows->last.retrans == ss->retrans && flows->last.rto == ss->backoff)
			return 0;
	} while (now_ns() < end);
	return -ETIMEDOUT;
}

static void address_print(char *text, size_t bytes, const struct weir_flow *flow, const __u32 *ip,
			  unsigned int port)
{
	bool v6 = flow->family == WEIR_FAMILY_INET6;
	char host[INET6_ADDRSTRLEN];

	inet_ntop(v6 ? AF_INET6 : AF_INET, ip, host, sizeof(host));
	snprintf(text, bytes, v6 ? "[%s]:%u" : "%s:%u", host, port);
}

/* Before 6.10 the callback does not say the new srtt. */
static bool srtt_is_told(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	return sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 10));
}

/* Who should own it, since when there can be a flow, and what is on. */
struct known {
	uint64_t from_ns, to_ns;
	uint32_t worker;
	uint32_t edges;
	int family;
};

/* Was it @ms before the look? A clock of the kernel's ticks up to every 10 ms. */
static bool was(uint64_t ns, const struct ss *ss, unsigned int ms)
{
	const uint64_t tick_ns = 12000000, ago_ns = ms * 1000000ULL;

	return ns + ago_ns + tick_ns >= ss->from_ns && ns + ago_ns <= ss->to_ns + tick_ns;
}

static void compare_ends(struct __test_metadata *_metadata, const struct ss *ss,
			 const struct weir_flow *flow, int family)
{
	char local[80], remote[80];
	int i;

	EXPECT_EQ(family, (int)flow->family);
	address_print(local, sizeof(local), flow, flow->local_ip, flow->local_port);
	address_print(remote, sizeof(remote), flow, flow->remote_ip, flow->remote_port);
	EXPECT_STREQ(ss->local, local);
	EXPECT_STREQ(ss->remote, remote);
	for (i = 1; family == AF_INET && i < 4; i++)
		EXPECT_EQ(0, flow->local_ip[i] | flow->remote_ip[i]);
}

/* What was sent again: when, and how much at the beginning of that while. */
static void compare_rtx(struct __test_metadata *_metadata, const struct ss *ss,
			const struct weir_flow *flow)
{
	EXPECT_EQ(ss->retrans, flow->retrans);
	EXPECT_EQ(ss->lost, flow->lost);
	EXPECT_EQ(ss->backoff, flow->rto);
	/* Each by a timeout, and these are longer than the while is. */
	EXPECT_EQ(ss->retrans ? ss->retrans - 1 : 0, flow->rtx_mark);
	EXPECT_EQ(flow->rtx_last_ns, flow->rtx_mark_ns);
	EXPECT_EQ(!ss->retrans, !flow->rtx_last_ns);
	EXPECT_TRUE(!ss->retrans || was(flow->rtx_last_ns, ss, ss->lastsnd_ms));
}

_Static_assert(sizeof(struct weir_flow) == 144, "each member is compared here");

static void compare(struct __test_metadata *_metadata, const struct ss *ss,
		    const struct flows *flows, const struct known *known)
{
	const struct weir_flow *flow = &flows->last;

	compare_ends(_metadata, ss, flow, known->family);
	compare_rtx(_metadata, ss, flow);
	EXPECT_EQ(ss->cookie, flows->cookie);
	EXPECT_STREQ("ESTAB", ss->state);
	EXPECT_EQ(WEIR_TCP_ESTABLISHED, flow->state);
	EXPECT_EQ(known->worker, flow->worker);
	EXPECT_EQ(known->edges, flow->edges);
	EXPECT_LE(known->from_ns, flow->opened_ns);
	EXPECT_GE(known->to_ns, flow->opened_ns);
	EXPECT_TRUE(was(flow->updated_ns, ss, ss->retrans ? ss->lastsnd_ms : ss->lastack_ms));
	EXPECT_EQ(ss->acked, flow->bytes_acked);
	EXPECT_EQ(ss->received, flow->bytes_received);
	if (srtt_is_told())
		EXPECT_EQ(ss->srtt_us, flow->srtt_us);
	EXPECT_EQ(ss->rtt_min_us, flow->rtt_min_us);
	EXPECT_EQ(ss->cwnd, flow->cwnd);
	EXPECT_EQ(ss->mss, flow->mss_bytes);
	EXPECT_EQ(ss->unacked + ss->retrans_now - ss->lost - ss->sacked, flow->inflight);
	EXPECT_EQ(ss->sendq, flow->sendq_bytes);
	EXPECT_EQ(ss->recvq, flow->recvq_bytes);
}

/* Reno's window grows only while it is filled: no surprise in a comparison. */
static int listeners_calm(const struct service *s)
{
	unsigned int i;

	for (i = 0; i < s->workers; i++) {
		if (setsockopt(s->fd[i], IPPROTO_TCP, TCP_CONGESTION, "reno", 4))
			return -errno;
	}
	return 0;
}

/* A connection that the last of @workers has: all others are busy. */
static int pair_of(struct service *s, int family, unsigned int workers, int *client, int *server)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	unsigned int i;
	int err;

	err = service_open(s, "", workers, WEIR_POLICY_LEAST, FOREVER_NS, family);
	if (!err)
		err = weir_bpf_status(s->bpf, &status);
	if (!err)
		err = listeners_calm(s);
	if (err)
		return err;
	weir_bpf_cfg(s->bpf)->flow_period_us = 0;
	for (i = 0; i + 1 < workers; i++)
		row(s, i)->inflight = 100;
	*client = connect_to(s);
	if (accept_any(s, server) != (int)workers - 1)
		return -ETIMEDOUT;
	return status.rung == WEIR_RUNG_FULL ? 0 : -EOPNOTSUPP;
}

static int pair_open(struct service *s, int family, int *client, int *server)
{
	return pair_of(s, family, 1, client, server);
}

/* Bytes that the server sends and the client acknowledges at once. */
static int told(int server, int client, size_t bytes)
{
	char text[4096] = "";
	int one = 1;

	setsockopt(client, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));
	return send(server, text, bytes, 0) == (ssize_t)bytes &&
	       recv(client, text, bytes, MSG_WAITALL) == (ssize_t)bytes ? 0 : -EIO;
}

FIXTURE(ss)
{
	struct service s;
};

FIXTURE_VARIANT(ss)
{
	int family;
};

FIXTURE_VARIANT_ADD(ss, ipv4) { AF_INET };
FIXTURE_VARIANT_ADD(ss, ipv6) { AF_INET6 };

FIXTURE_SETUP(ss)
{
	const char *why = why_not();

	if (why)
		SKIP(return, "%s", why);
	if (system("ss -V >/dev/null 2>&1"))
		SKIP(return, "ss(8) is not installed");
}

FIXTURE_TEARDOWN(ss)
{
	service_close(&self->s);
}

TEST_F(ss, every_field_is_what_ss_says)
{
	struct known known = { .worker = 2, .family = variant->family, .from_ns = now_ns() };
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;
	char text[1000] = "";
	int client, server, i;
	struct flows flows;
	struct ss ss;

	ASSERT_EQ(0, pair_of(&self->s, variant->family, 3, &client, &server));
	known.to_ns = now_ns();
	ASSERT_EQ(1000, send(client, text, 1000, 0));
	ASSERT_EQ(300, recv(server, text, 300, MSG_WAITALL));
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, told(server, client, 500 + i));
	/* The last ACK may be on its way. */
	do {
		ASSERT_EQ(0, both_read(&self->s, &ss, &flows));
	} while (ss.acked < 2510 && now_ns() < end);
	EXPECT_EQ(2510, ss.acked);
	EXPECT_EQ(1000, ss.received);
	EXPECT_EQ(700, ss.recvq);
	EXPECT_LT(0, ss.srtt_us);
	compare(_metadata, &ss, &flows, &known);
}

/* The client's filter drops all that comes: nothing is acknowledged any more. */
TEST_F(ss, fields_of_loss_are_what_ss_says)
{
	struct sock_filter drop = { .code = BPF_RET | BPF_K };
	struct sock_fprog filter = { .len = 1, .filter = &drop };
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;
	struct known known = {
		.worker = 1, .edges = WEIR_FLOW_RTO, .family = variant->family, .from_ns = now_ns(),
	};
	int client, server, i;
	char text[64] = "";
	struct flows flows;
	struct ss ss;

	ASSERT_EQ(0, pair_of(&self->s, variant->family, 2, &client, &server));
	known.to_ns = now_ns();
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, told(server, client, 100));
	ASSERT_EQ(0, setsockopt(client, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)));
	ASSERT_EQ(64, send(server, text, 64, 0));
	do {
		ASSERT_EQ(0, both_read(&self->s, &ss, &flows));
	} while (ss.backoff < 2 && now_ns() < end);
	EXPECT_LE(2, ss.backoff);
	EXPECT_LE(2, ss.retrans);
	EXPECT_EQ(64, ss.sendq);
	EXPECT_EQ(1, ss.unacked);
	EXPECT_EQ(1, ss.lost);
	/* The sender's window was cut when it timed out. */
	EXPECT_EQ(1, ss.cwnd);
	compare(_metadata, &ss, &flows, &known);
}

/* holding back */

static uint64_t option(int fd, int level, int name)
{
	unsigned int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) ? 0 : value;
}

/* Any round trip counts as inflated, or none does. */
static void rtt_limit(struct weir_cfg *cfg, bool inflated)
{
	cfg->rtt_floor_us = inflated ? 0 : 10000000;
	cfg->rtt_on_permille = 0;
	cfg->rtt_off_permille = 0;
}

static uint32_t edges_settle(const struct service *s, int server, int client, uint32_t want)
{
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;
	struct flows flows;

	do {
		if (told(server, client, 100) || flows_read(s, &flows))
			return ~0U;
	} while (flows.last.edges != want && now_ns() < end);
	return flows.last.edges;
}

/* By pace and by clamp, from its next acknowledgements on. */
static void is_held(struct __test_metadata *_metadata, struct service *s, int server, int client)
{
	struct weir_cfg *cfg = weir_bpf_cfg(s->bpf);

	cfg->pace_bytes = 123456;
	cfg->clamp_bytes = 20000;
	rtt_limit(cfg, true);
	ASSERT_EQ(WEIR_FLOW_RTT | WEIR_FLOW_HELD,
		  edges_settle(s, server, client, WEIR_FLOW_RTT | WEIR_FLOW_HELD));
}

TEST_F(bpf, pressed_connection_is_held_back_and_let_go)
{
	uint64_t pace, clamp;
	struct weir_cfg *cfg;
	int client, server;

	ASSERT_EQ(0, pair_open(&self->s, AF_INET, &client, &server));
	pace = option(server, SOL_SOCKET, SO_MAX_PACING_RATE);
	clamp = option(server, IPPROTO_TCP, TCP_WINDOW_CLAMP);
	ASSERT_LT(20000, clamp);
	cfg = weir_bpf_cfg(self->s.bpf);
	is_held(_metadata, &self->s, server, client);
	EXPECT_EQ(123456, option(server, SOL_SOCKET, SO_MAX_PACING_RATE));
	EXPECT_EQ(20000, option(server, IPPROTO_TCP, TCP_WINDOW_CLAMP));
	/* Switched off meanwhile: let go all the same. */
	cfg->pace_bytes = 0;
	cfg->clamp_bytes = 0;
	rtt_limit(cfg, false);
	ASSERT_EQ(0, edges_settle(&self->s, server, client, 0));
	EXPECT_EQ(pace, option(server, SOL_SOCKET, SO_MAX_PACING_RATE));
	EXPECT_EQ(clamp, option(server, IPPROTO_TCP, TCP_WINDOW_CLAMP));
}

/* tcpi_snd_wnd of <linux/tcp.h>, which does not go with <netinet/tcp.h>. */
#define SND_WND_AT	228

/* What its peer offers. */
static uint32_t window_of(int fd)
{
	uint32_t words[64] = { 0 };
	socklen_t len = sizeof(words);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, words, &len) || len <= SND_WND_AT ? ~0U :
	       words[SND_WND_AT / 4];
}

/* The most that @server offered while @client sent it so much, beyond the first bytes. */
static uint32_t offered(int server, int client, size_t bytes, size_t first)
{
	static char chunk[65536];
	size_t in = 0, out = 0;
	uint32_t most = 0;
	ssize_t n;

	while (in < bytes) {
		n = send(client, chunk, sizeof(chunk), MSG_DONTWAIT);
		out += n > 0 ? (size_t)n : 0;
		n = out > in ? recv(server, chunk, sizeof(chunk), 0) : 0;
		if (n < 0)
			return ~0U;
		in += (size_t)n;
		if (in > first && window_of(client) > most)
			most = window_of(client);
	}
	return most;
}

/* Receiving fast makes the kernel widen the buffer, and its own clamp with it. */
TEST_F(bpf, clamp_of_a_held_connection_holds_while_data_flow)
{
	enum { CLAMP = 200000, SCALED = 4096, FLOW = 64 << 20, FIRST = 1 << 20 };
	struct weir_cfg *cfg;
	int client, server;
	uint32_t most;

	ASSERT_EQ(0, pair_open(&self->s, AF_INET, &client, &server));
	cfg = weir_bpf_cfg(self->s.bpf);
	cfg->clamp_bytes = CLAMP;
	rtt_limit(cfg, true);
	ASSERT_EQ(WEIR_FLOW_RTT | WEIR_FLOW_HELD,
		  edges_settle(&self->s, server, client, WEIR_FLOW_RTT | WEIR_FLOW_HELD));
	/* What it offers is less, and stays so. */
	EXPECT_GE(CLAMP, option(server, IPPROTO_TCP, TCP_WINDOW_CLAMP));
	EXPECT_GE(CLAMP + SCALED, offered(server, client, FLOW, 0));
	rtt_limit(cfg, false);
	ASSERT_EQ(0, edges_settle(&self->s, server, client, 0));
	/* Let go, it has what the kernel's tuning gives it. */
	most = offered(server, client, FLOW, 0);
	EXPECT_LT(CLAMP + SCALED, most);
	rtt_limit(cfg, true);
	ASSERT_EQ(WEIR_FLOW_RTT | WEIR_FLOW_HELD,
		  edges_settle(&self->s, server, client, WEIR_FLOW_RTT | WEIR_FLOW_HELD));
	/* What was offered before cannot be taken back: it has to be used up. */
	most += FIRST;
	most = offered(server, client, most + FLOW, most);
	EXPECT_GE(CLAMP + SCALED, most);
	EXPECT_LT(CLAMP / 2, most);
}

/* A row that was swept, or deleted by hand, comes back with no edge on. */
TEST_F(bpf, held_connection_whose_row_goes_is_let_go_all_the_same)
{
	socklen_t len = sizeof(uint64_t);
	int client, server, map;
	uint64_t pace, cookie;
	struct weir_cfg *cfg;

	ASSERT_EQ(0, pair_open(&self->s, AF_INET, &client, &server));
	pace = option(server, SOL_SOCKET, SO_MAX_PACING_RATE);
	ASSERT_EQ(0, getsockopt(server, SOL_SOCKET, SO_COOKIE, &cookie, &len));
	cfg = weir_bpf_cfg(self->s.bpf);
	cfg->pace_bytes = 123456;
	rtt_limit(cfg, true);
	ASSERT_EQ(WEIR_FLOW_RTT | WEIR_FLOW_HELD,
		  edges_settle(&self->s, server, client, WEIR_FLOW_RTT | WEIR_FLOW_HELD));
	map = map_open(&self->s, "weir_flow");
	ASSERT_LE(0, map);
	ASSERT_EQ(0, bpf_map_delete_elem(map, &cookie));
	close(map);
	ASSERT_EQ(WEIR_FLOW_RTT | WEIR_FLOW_HELD,
		  edges_settle(&self->s, server, client, WEIR_FLOW_RTT | WEIR_FLOW_HELD));
	rtt_limit(cfg, false);
	ASSERT_EQ(0, edges_settle(&self->s, server, client, 0));
	EXPECT_EQ(pace, option(server, SOL_SOCKET, SO_MAX_PACING_RATE));
}

/* An older row, written over the one that says so, as by a hand-over. */
TEST_F(bpf, held_connection_whose_row_forgets_it_gets_back_what_it_had)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t pace, clamp, cookie;
	struct weir_flow flow;
	struct weir_cfg *cfg;
	int client, server, map;

	ASSERT_EQ(0, pair_open(&self->s, AF_INET, &client, &server));
	pace = option(server, SOL_SOCKET, SO_MAX_PACING_RATE);
	clamp = option(server, IPPROTO_TCP, TCP_WINDOW_CLAMP);
	ASSERT_LT(20000, clamp);
	ASSERT_EQ(0, getsockopt(server, SOL_SOCKET, SO_COOKIE, &cookie, &len));
	map = map_open(&self->s, "weir_flow");
	ASSERT_LE(0, map);
	ASSERT_EQ(0, bpf_map_lookup_elem(map, &cookie, &flow));
	cfg = weir_bpf_cfg(self->s.bpf);
	is_held(_metadata, &self->s, server, client);
	ASSERT_EQ(0, bpf_map_update_elem(map, &cookie, &flow, BPF_EXIST));
	close(map);
	ASSERT_EQ(WEIR_FLOW_RTT | WEIR_FLOW_HELD,
		  edges_settle(&self->s, server, client, WEIR_FLOW_RTT | WEIR_FLOW_HELD));
	rtt_limit(cfg, false);
	ASSERT_EQ(0, edges_settle(&self->s, server, client, 0));
	EXPECT_EQ(pace, option(server, SOL_SOCKET, SO_MAX_PACING_RATE));
	EXPECT_EQ(clamp, option(server, IPPROTO_TCP, TCP_WINDOW_CLAMP));
}

TEST_F(bpf, nothing_is_held_back_unless_asked_for)
{
	uint64_t pace;
	int client, server;

	ASSERT_EQ(0, pair_open(&self->s, AF_INET, &client, &server));
	pace = option(server, SOL_SOCKET, SO_MAX_PACING_RATE);
	rtt_limit(weir_bpf_cfg(self->s.bpf), true);
	ASSERT_EQ(WEIR_FLOW_RTT, edges_settle(&self->s, server, client, WEIR_FLOW_RTT));
	EXPECT_EQ(pace, option(server, SOL_SOCKET, SO_MAX_PACING_RATE));
}

/* One accept in 16 is looked at, the first one among them. */
TEST_F(bpf, accept_delay_is_a_histogram)
{
	struct weir_hist *hist;
	struct flows flows;
	int client, server, i;

	ASSERT_EQ(0, pair_open(&self->s, AF_INET, &client, &server));
	ASSERT_EQ(0, flows_read(&self->s, &flows));
	hist = self->s.st->ops->hist(self->s.st, 0);
	self->s.st->ops->accepted(self->s.st, 0, flows.cookie, flows.last.opened_ns + 3000000);
	EXPECT_EQ(1, hist->accept[12]);		/* 2048 to 4095 us */
	for (i = 0; i < 15; i++)
		self->s.st->ops->accepted(self->s.st, 0, flows.cookie, flows.last.opened_ns);
	EXPECT_EQ(0, hist->accept[0]);
	self->s.st->ops->accepted(self->s.st, 0, flows.cookie, flows.last.opened_ns);
	EXPECT_EQ(1, hist->accept[0]);
	/* Gone already: nothing is known, nothing is counted. */
	self->s.st->ops->closed(self->s.st, flows.cookie);
	for (i = 0; i < 16; i++)
		self->s.st->ops->accepted(self->s.st, 0, flows.cookie, now_ns());
	for (i = 0; i < WEIR_HIST_BUCKETS; i++)
		EXPECT_EQ(i == 0 || i == 12, hist->accept[i]);
}

/* completion queues */

#ifdef CONFIG_URING

/* A ring of this thread whose queue has two places. */
static int ring_small(struct io_uring *ring)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = 2,
	};

	return io_uring_queue_init_params(2, ring, &params);
}

static int ring_overflow(struct io_uring *ring, unsigned int count)
{
	int ret = 0;

	while (count-- && ret >= 0) {
		io_uring_prep_nop(io_uring_get_sqe(ring));
		ret = io_uring_submit(ring);
	}
	return ret < 0 ? ret : 0;
}

static int overflow_take(const struct service *s, unsigned int worker, struct weir_event *event)
{
	int n = s->st->ops->signal_take(s->st, worker, event, 1);

	return n == 1 && event->kind == WEIR_EV_CQ_OVERFLOW ? (int)event->edge : -1;
}

TEST_F(bpf, overflow_of_a_completion_queue_is_a_signal_of_its_worker)
{
	struct weir_event event = {};
	struct io_uring ring;
	uint64_t now;
	int err;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, FOREVER_NS, AF_INET));
	err = ring_small(&ring);
	if (err)
		SKIP(return, "no io_uring: %s", strerror(-err));
	ASSERT_EQ(0, ring_overflow(&ring, 10));		/* of nobody */
	EXPECT_EQ(-1, overflow_take(&self->s, 0, &event));
	EXPECT_EQ(-1, overflow_take(&self->s, 1, &event));
	row(&self->s, 1)->pid = gettid();
	now = now_ns();
	ASSERT_EQ(0, ring_overflow(&ring, 10));
	EXPECT_EQ(-1, overflow_take(&self->s, 0, &event));
	ASSERT_EQ(WEIR_EDGE_ON, overflow_take(&self->s, 1, &event));
	EXPECT_EQ(1, event.value);
	EXPECT_EQ(0, event.cookie);
	EXPECT_EQ(1, event.worker);
	/* One edge, however many; it ends when it was quiet for a second. */
	EXPECT_EQ(-1, overflow_take(&self->s, 1, &event));
	self->s.st->ops->tick(self->s.st, now);
	EXPECT_EQ(-1, overflow_take(&self->s, 1, &event));
	self->s.st->ops->tick(self->s.st, now_ns() + 2000000000ULL);
	ASSERT_EQ(WEIR_EDGE_OFF, overflow_take(&self->s, 1, &event));
	EXPECT_EQ(10, event.value);
	ASSERT_EQ(0, ring_overflow(&ring, 1));
	EXPECT_EQ(WEIR_EDGE_ON, overflow_take(&self->s, 1, &event));
	io_uring_queue_exit(&ring);
}

#endif

/* programs of others */

FIXTURE(other)
{
	struct service s;
	char home[WEIR_BPF_PATH_BYTES];		/* of this process before the test */
	char cgroup[WEIR_BPF_PATH_BYTES];	/* the other's, with this process in it */
};

FIXTURE_VARIANT(other)
{
	unsigned int flags;
	enum weir_rung rung;	/* what a service below it gets */
};

FIXTURE_VARIANT_ADD(other, allows_more) { BPF_F_ALLOW_MULTI, WEIR_RUNG_FULL };
FIXTURE_VARIANT_ADD(other, allows_override) { BPF_F_ALLOW_OVERRIDE, WEIR_RUNG_FULL };
FIXTURE_VARIANT_ADD(other, allows_none) { 0, WEIR_RUNG_STEER };

FIXTURE_SETUP(other)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	const char *why = why_not();

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	service_close(&self->s);
	if (status.rung != WEIR_RUNG_FULL)
		SKIP(return, "%s", status.why);
	strcpy(self->home, status.cgroup);
	*strrchr(self->home, '/') = '\0';
	*strrchr(self->home, '/') = '\0';
	snprintf(self->cgroup, sizeof(self->cgroup), "%.200s/other-%d", self->home, runner);
	rmdir(self->cgroup);	/* one that was killed had this number before */
	ASSERT_EQ(0, mkdir(self->cgroup, 0755));
	ASSERT_EQ(0, cgroup_join(self->cgroup));
	ASSERT_EQ(0, flags_clearer(self->cgroup, variant->flags));
	memset(&self->s, 0, sizeof(self->s));
}

FIXTURE_TEARDOWN(other)
{
	service_close(&self->s);
	if (!self->cgroup[0])
		return;
	cgroup_join(self->home);
	rmdir(self->cgroup);
}

/*
 * It was there first, in a cgroup above ours, and so runs after ours. Where it
 * lets ours in, flows end although it takes every callback away; where it does
 * not, the service runs without and says so.
 */
TEST_F(other, program_above_ours_and_before_it)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	int client, server;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	EXPECT_EQ(variant->rung, status.rung);
	client = connect_to(&self->s);
	ASSERT_EQ(0, accept_any(&self->s, &server));
	if (variant->rung == WEIR_RUNG_STEER) {
		EXPECT_NE(NULL, strstr(status.why, "does not allow another"));
		EXPECT_EQ(0, flows_settle(&self->s, 0));
	} else {
		EXPECT_EQ(1, flows_settle(&self->s, 1));
	}
	close(client);
	close(server);
	EXPECT_EQ(0, flows_settle(&self->s, 0));
}

/* It comes after ours, to our own cgroup: ours is there as long as it is. */
TEST_F(bpf, program_of_another_after_ours_is_harmless)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	int client, server;

	ASSERT_EQ(0, pair_open(&self->s, AF_INET, &client, &server));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	/* Ours is there with the flag "multi", which lets nobody exclude it. */
	EXPECT_EQ(-EPERM, flags_clearer(status.cgroup, 0));
	EXPECT_EQ(-EPERM, flags_clearer(status.cgroup, BPF_F_ALLOW_OVERRIDE));
	ASSERT_EQ(0, flags_clearer(status.cgroup, BPF_F_ALLOW_MULTI));
	EXPECT_EQ(1, flows_settle(&self->s, 1));
	close(client);
	close(server);
	EXPECT_EQ(0, flows_settle(&self->s, 0));
	client = connect_to(&self->s);
	ASSERT_EQ(0, accept_any(&self->s, &server));
	EXPECT_EQ(1, flows_settle(&self->s, 1));
	close(client);
	close(server);
	EXPECT_EQ(0, flows_settle(&self->s, 0));
}

TEST_HARNESS_MAIN
