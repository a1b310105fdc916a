// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_resolve.c - names to addresses on a loop: what servers answer
 */
#include <sched.h>

#include <weir/race.h>

#include "resolve/resolver.h"
#include "resolving.h"
#include "kselftest_harness.h"

#define RUN()	RUN_UNTIL(self->r.loop, self->r.asked.done)
#define Q	self->r.asked.q

RESOLVING(resolve, false);

/* Longer than the server may have to wait for a processor. */
enum { PATIENT_MS = 20000 };

/* Reopens the resolver with other options. */
static int reopen(struct resolving *r, const char *servers, uint32_t try_ms, uint32_t tries)
{
	weir_resolver_close(r->resolver);
	r->resolver = NULL;
	r->opts.servers = servers;
	r->opts.try_ms = try_ms;
	r->opts.tries = tries;
	return weir_resolver_open(&r->resolver, r->loop, &r->opts);
}

/* Ask, and expect one end, with @want. */
#define ASK(name, family, want)						\
	do {								\
		ask(&self->r, name, family);				\
		EXPECT_EQ(0, self->r.asked.done);			\
		RUN();							\
		EXPECT_EQ(1, self->r.asked.done);			\
		EXPECT_EQ(want, Q.res);					\
	} while (0)

TEST_F(resolve, a_name_has_an_address)
{
	ASSERT_EQ(0, reopen(&self->r, self->r.servers, PATIENT_MS, 1));
	ASK("v4.test", AF_INET, 1);
	EXPECT_EQ(1, has_addr(&Q, "127.0.0.1:4711"));
	EXPECT_EQ(1, dns_count(&self->r.dns.counts->udp));
}

TEST_F(resolve, a_name_has_an_address_of_ipv6)
{
	ASK("v6.test", AF_INET6, 1);
	EXPECT_EQ(1, has_addr(&Q, "[2001:db8::1]:4711"));
}

TEST_F(resolve, both_families_are_asked_unless_one_is_wanted)
{
	ASSERT_EQ(0, reopen(&self->r, self->r.servers, PATIENT_MS, 1));
	ASK("both.test", 0, 3);
	EXPECT_EQ(1, has_addr(&Q, "127.0.0.1:4711"));
	EXPECT_EQ(1, has_addr(&Q, "127.0.0.2:4711"));
	EXPECT_EQ(1, has_addr(&Q, "[2001:db8::1]:4711"));
	EXPECT_EQ(2, dns_count(&self->r.dns.counts->udp));
}

TEST_F(resolve, a_family_that_has_none_does_not_hide_the_other)
{
	ASK("v4.test", 0, 1);
	EXPECT_EQ(1, has_addr(&Q, "127.0.0.1:4711"));
}

TEST_F(resolve, a_name_that_does_not_exist)
{
	ASK("nowhere.test", 0, -ENOENT);
	EXPECT_LE(1, dns_count(&self->r.dns.counts->udp));
}

TEST_F(resolve, a_name_without_addresses)
{
	ASK("empty.test", 0, -ENOENT);
	self->r.asked.done = 0;
	ASK("v4.test", AF_INET6, -ENOENT);
}

TEST_F(resolve, a_server_that_fails)
{
	ASSERT_EQ(0, reopen(&self->r, self->r.servers, PATIENT_MS, 2));
	ASK("fails.test", AF_INET, -EREMOTEIO);
}

TEST_F(resolve, a_server_that_refuses)
{
	ASSERT_EQ(0, reopen(&self->r, self->r.servers, PATIENT_MS, 2));
	ASK("refuses.test", AF_INET, -EREMOTEIO);
}

TEST_F(resolve, an_alias_is_followed)
{
	ASK("alias.test", AF_INET, 1);
	EXPECT_EQ(1, has_addr(&Q, "127.0.0.1:4711"));
}

TEST_F(resolve, a_long_answer_comes_over_tcp_and_is_cut_to_what_there_is_room_for)
{
	int i, j;

	ASSERT_EQ(0, reopen(&self->r, self->r.servers, PATIENT_MS, 1));
	ASK("many.test", AF_INET, WEIR_RESOLVE_MAX);
	EXPECT_EQ(1, dns_count(&self->r.dns.counts->tcp));
	for (i = 0; i < WEIR_RESOLVE_MAX; i++) {
		for (j = 0; j < i; j++)
			EXPECT_FALSE(weir_addr_equal(&Q.addrs[i], &Q.addrs[j]));
	}
}

TEST_F(resolve, nonsense_ends_the_question_with_an_error)
{
	static const char *const names[] = { "garbage.test", "cut.test" };
	size_t i;

	ASSERT_EQ(0, reopen(&self->r, self->r.servers, 100, 2));
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		self->r.asked.done = 0;
		ask(&self->r, names[i], AF_INET);
		RUN();
		EXPECT_EQ(1, self->r.asked.done);
		EXPECT_TRUE(Q.res == -EBADMSG || Q.res == -ETIMEDOUT || Q.res == -EREMOTEIO) {
			TH_LOG("%s: %s", names[i], weir_strerror(Q.res));
		}
	}
}

TEST_F(resolve, a_server_that_is_silent_is_tried_as_often_as_was_said)
{
	uint64_t before = real_ns();

	ASSERT_EQ(0, reopen(&self->r, self->r.servers, 50, 2));
	ASK("silent.test", AF_INET, -ETIMEDOUT);
	EXPECT_LE(50 * NSEC_PER_MSEC, real_ns() - before);
	/* It counts in its own time: what it answers came after all of them. */
	self->r.asked.done = 0;
	ASSERT_EQ(0, reopen(&self->r, self->r.servers, PATIENT_MS, 1));
	ASK("v4.test", AF_INET, 1);
	EXPECT_EQ(2 + 1, dns_count(&self->r.dns.counts->udp));
}

TEST_F(resolve, the_answer_to_another_question_is_none)
{
	ASSERT_EQ(0, reopen(&self->r, self->r.servers, 50, 2));
	ASK("stranger.test", AF_INET, -ETIMEDOUT);
}

TEST_F(resolve, a_port_without_a_server)
{
	uint16_t port = 0;
	char servers[64];
	int fd = dns_bind(SOCK_DGRAM, &port);

	ASSERT_EQ(0, dns_refuse(fd));
	snprintf(servers, sizeof(servers), "127.0.0.1:%u", port);
	ASSERT_EQ(0, reopen(&self->r, servers, PATIENT_MS, 2));
	ASK("v4.test", AF_INET, -EREMOTEIO);
	close(fd);
}

TEST_F(resolve, after_a_dead_server_the_next_one_is_asked)
{
	uint16_t port = 0;
	char servers[96];
	int fd = dns_bind(SOCK_DGRAM, &port);	/* for now silent */

	snprintf(servers, sizeof(servers), "127.0.0.1:%u,%s", port, self->r.servers);
	/* Each time round twice as long: together more than RUN() waits. */
	ASSERT_EQ(0, reopen(&self->r, servers, 300, 5));
	ASK("v4.test", AF_INET, 1);
	self->r.asked.done = 0;
	ASSERT_EQ(0, dns_refuse(fd));
	ASSERT_EQ(0, reopen(&self->r, servers, PATIENT_MS, 1));
	ASK("v4.test", AF_INET, 1);
	close(fd);
}

/* A name of the hosts file, but for localhost, which is known without it. */
static bool a_host(char *addr, char *name)
{
	FILE *file = fopen("/etc/hosts", "re");
	struct in_addr in;
	bool found = false;
	char line[512];

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "%63s %127s", addr, name) == 2 &&
			inet_pton(AF_INET, addr, &in) == 1 && !strstr(name, "localhost");
	if (file)
		fclose(file);
	return found;
}

TEST_F(resolve, the_hosts_file_comes_before_any_server)
{
	char addr[64], name[128], text[80];

	if (!a_host(addr, name))
		SKIP(return, "the hosts file names no host but localhost");
	ask(&self->r, name, AF_INET);
	EXPECT_EQ(0, self->r.asked.done);
	RUN();
	EXPECT_LE(1, Q.res);
	snprintf(text, sizeof(text), "%s:4711", addr);
	EXPECT_LE(1, has_addr(&Q, text));
	EXPECT_EQ(0, dns_count(&self->r.dns.counts->udp));
}

TEST_F(resolve, numbers_are_addresses_and_nobody_is_asked)
{
	ASK("192.0.2.7", 0, 1);
	EXPECT_EQ(1, has_addr(&Q, "192.0.2.7:4711"));
	self->r.asked.done = 0;
	ASK("2001:db8::7", 0, 1);
	EXPECT_EQ(1, has_addr(&Q, "[2001:db8::7]:4711"));
	EXPECT_EQ(0, dns_count(&self->r.dns.counts->udp));
}

TEST_F(resolve, what_is_no_name_is_refused)
{
	char label[80] = { 0 }, text[400] = { 0 };
	size_t i;

	memset(label, 'a', 70);
	for (i = 0; i < 290; i++)
		text[i] = i % 50 ? 'b' : '.';
	text[0] = 'b';
	ASK(label, AF_INET, -EINVAL);
	self->r.asked.done = 0;
	ASK(text, AF_INET, -EINVAL);
	self->r.asked.done = 0;
	ASK("two..dots.test", AF_INET, -EINVAL);
	EXPECT_EQ(0, dns_count(&self->r.dns.counts->udp));
}

TEST_F(resolve, a_family_that_has_no_names_is_refused)
{
	ASK("v4.test", AF_UNIX, -EINVAL);
	EXPECT_EQ(0, dns_count(&self->r.dns.counts->udp));
}

TEST_F(resolve, two_hundred_questions_at_once_are_each_answered_once)
{
	static struct asked asked[200];
	unsigned int left, i;

	for (i = 0; i < ARRAY_SIZE(asked); i++)
		ask_at(&self->r, &asked[i], i % 2 ? "both.test" : "nowhere.test", 0, 0);
	do {
		ASSERT_EQ(0, run_turn(self->r.loop));
		for (left = i = 0; i < ARRAY_SIZE(asked); i++)
			left += !asked[i].done;
	} while (left);
	for (i = 0; i < ARRAY_SIZE(asked); i++) {
		EXPECT_EQ(1, asked[i].done);
		EXPECT_EQ(i % 2 ? 3 : -ENOENT, asked[i].q.res);
	}
}

static void race_done(struct weir_race *race)
{
	unsigned int *done = race->ctx;

	++*done;
}

/* 127.0.0.1 and 127.0.0.2 in either order; at one of them nobody listens. */
TEST_F(resolve, of_the_addresses_of_a_name_the_one_that_lives_wins_the_race)
{
	static struct server server;
	struct weir_race race = { 0 };
	unsigned int done = 0;
	struct weir_race_opts opts = {
		.sz = sizeof(opts), .addrs = Q.addrs, .done = race_done, .ctx = &done,
	};
	int i;

	ASSERT_EQ(0, server_open(self->r.loop, &server, 8));
	ASK("dual.test", 0, 2);
	for (i = 0; i < Q.res; i++)
		ASSERT_EQ(0, weir_addr_set_port(&Q.addrs[i], ntohs(server.addr.sin_port)));
	opts.count = (uint32_t)Q.res;
	ASSERT_EQ(0, weir_race_start(&race, self->r.loop, &opts));
	RUN_UNTIL(self->r.loop, done);
	EXPECT_EQ(0, race.res);
	EXPECT_EQ(htonl(INADDR_LOOPBACK),
		  ((struct sockaddr_in *)&Q.addrs[race.winner].ss)->sin_addr.s_addr);
	EXPECT_EQ(0, do_close(self->r.loop, race.file));
}

RESOLVING(rude, true);

/* A turn in which c-ares began to connect: the server hangs up before it writes. */
static void await_hang_up(void *ctx)
{
	struct resolving *r = ctx;
	uint64_t end = real_ns() + LIMIT_NS;

	/* One socket for UDP, one for TCP. */
	if (list_empty(&r->resolver->socks) || r->resolver->socks.next == r->resolver->socks.prev)
		return;
	while (dns_count(&r->dns.counts->tcp) == r->asked.done && real_ns() < end)
		sched_yield();
}

/* Writing to such a connection is EPIPE, and without further ado SIGPIPE. */
TEST_F(rude, a_server_that_hangs_up_kills_nobody)
{
	signal(SIGPIPE, SIG_DFL);
	self->r.loop->hooks = (struct weir_loop_hooks){ .tick = await_hang_up, .ctx = &self->r };
	ask(&self->r, "rude.test", AF_INET);
	RUN();
	/* It looks at the resolver, which is closed before the loop. */
	self->r.loop->hooks.tick = NULL;
	EXPECT_EQ(1, self->r.asked.done);
	EXPECT_GT(0, Q.res);
	EXPECT_LE(1, dns_count(&self->r.dns.counts->tcp));
}

TEST(options_are_checked)
{
	struct { struct weir_resolver_opts opts; uint64_t more; } big = {
		.opts = { .sz = sizeof(big) }, .more = 1,
	};
	struct weir_resolver_opts opts = { .sz = sizeof(opts), .servers = "not an address" };
	struct weir_resolver *resolver = NULL;
	struct weir_loop_opts how = { .sz = sizeof(how), .backend = "epoll" };
	struct weir_loop *loop;

	ASSERT_EQ(0, weir_loop_open(&loop, &how));
	EXPECT_EQ(-E2BIG, weir_resolver_open(&resolver, loop, &big.opts));
	EXPECT_EQ(-EINVAL, weir_resolver_open(&resolver, loop, &opts));
	opts.servers = NULL;
	opts.tries = UINT32_MAX;
	EXPECT_EQ(-EINVAL, weir_resolver_open(&resolver, loop, &opts));
	EXPECT_EQ(NULL, resolver);
	ASSERT_EQ(0, weir_resolver_open(&resolver, loop, NULL));
	weir_resolver_close(resolver);
	weir_resolver_close(NULL);
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

TEST(sim_has_no_name_servers)
{
	struct weir_loop_opts how = { .sz = sizeof(how), .backend = "sim" };
	struct weir_resolver *resolver = NULL;
	struct weir_loop *loop;

	ASSERT_EQ(0, weir_loop_open(&loop, &how));
	EXPECT_EQ(-EOPNOTSUPP, weir_resolver_open(&resolver, loop, NULL));
	EXPECT_EQ(NULL, resolver);
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

TEST_HARNESS_MAIN
