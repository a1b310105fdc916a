// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_lookup.c - a service that answers on networks and ranges of ports
 *
 * All of 127.0.0.0/8 is this host's own, so no route is needed for IPv4.
 */
#include "vip.h"

#include <liburing.h>

static int del(const struct service *s, const char *text)
{
	struct weir_bpf_vip net = vip(text);

	return weir_bpf_vip_del(s->name, &net);
}

/* Connect there; the worker that has it, or -errno. */
static int served_by(const struct service *s, const char *text, uint16_t port)
{
	int server = -1, client = connect_at(text, port), worker;

	if (client < 0)
		return client;
	worker = accept_any(s, &server);
	close(client);
	close(server);
	return worker;
}

/* The worker @one is idle, the others are not. */
static void only(const struct service *s, unsigned int one)
{
	unsigned int i;

	for (i = 0; i < s->workers; i++)
		row(s, i)->inflight = i == one ? 0 : 10;
}

static int count_one(void *ctx, const struct weir_bpf_vip *vip)
{
	++*(unsigned int *)ctx;
	return 0;
}

static unsigned int listed(const struct service *s)
{
	unsigned int count = 0;

	if (weir_bpf_vip_list(s->name, count_one, &count))
		abort();
	return count;
}

/* How many sk_lookup programs this network namespace has. */
static unsigned int programs(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	uint32_t ids[64], count = 64;

	if (bpf_prog_query(fd, BPF_SK_LOOKUP, 0, NULL, ids, &count))
		abort();
	close(fd);
	return count;
}

/* The kernel frees what was pinned in its own time: look until it did, or give up. */
static unsigned int programs_settle(unsigned int want)
{
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;

	while (programs() != want && now_ns() < end)
		sched_yield();
	return programs();
}

static int lookup_open(struct service *s, const char *suffix, unsigned int workers, int family)
{
	s->vips_max = NETS;
	return service_open(s, suffix, workers, WEIR_POLICY_LEAST, FOREVER_NS, family);
}

TEST(text_is_read_and_written)
{
	static const char *const good[] = {
		"10.0.0.0/24:80", "10.1.2.3:8000-8999", "0.0.0.0/0:1-65535",
		"[2001:db8::/64]:443", "[::1]:7", "[::/0]:1-2",
		"10.0.0.0/24", "[2001:db8::/64]",
	};
	static const char *const bad[] = {
		"", "10.0.0.0/24:", "10.0.0.1/24:80", "10.0.0.0/33:80",
		"10.0.0.0/:80", "10.0.0.0:0", "10.0.0.0:0-0", "10.0.0.0:65536", "10.0.0.0:2-1",
		"10.0.0.0:1-",
		"10.0.0.0:1-2-3", "10.0.0.0: 1", "10.0.0.0:+1", "10.0.0:80", "[10.0.0.0]:80",
		"[2001:db8::1/64]:443", "[2001:db8::/129]:1", "[2001:db8::/64]443", "[::1:7",
		"[::1", "1.2.3.4/99999999999:1", "[0000:0000:0000:0000:0000:0000:0000:0000:0]:1",
	};
	char text[WEIR_BPF_VIP_TEXT];
	struct weir_bpf_vip read;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		ASSERT_EQ(0, weir_bpf_vip_parse(&read, good[i]));
		weir_bpf_vip_format(&read, text);
		EXPECT_STREQ(good[i], text);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, weir_bpf_vip_parse(&read, bad[i])) {
			TH_LOG("read: \"%s\"", bad[i]);
		}
	}
}

TEST_F(bpf, a_client_of_a_network_gets_the_worker_that_is_chosen)
{
	struct sockaddr_in local;
	socklen_t len = sizeof(local);
	int client, server, i;

	ASSERT_EQ(0, lookup_open(&self->s, "", 4, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:7000-7009"));
	for (i = 0; i < 20; i++) {
		only(&self->s, (unsigned int)i % 4);
		EXPECT_EQ(i % 4, served_by(&self->s, "127.9.1.2", (uint16_t)(7000 + i % 10)));
	}
	/* The socket has the address that the client asked for. */
	client = connect_at("127.9.255.1", 7003);
	ASSERT_LE(0, client);
	ASSERT_LE(0, accept_any(&self->s, &server));
	ASSERT_EQ(0, getsockname(server, (struct sockaddr *)&local, &len));
	EXPECT_EQ(inet_addr("127.9.255.1"), local.sin_addr.s_addr);
	EXPECT_EQ(htons(7003), local.sin_port);
	EXPECT_EQ(21, stats(&self->s).assigned);
}

TEST_F(bpf, a_client_beside_the_network_is_refused)
{
	ASSERT_EQ(0, lookup_open(&self->s, "", 2, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:7000-7009"));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.2", 6999));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.2", 7010));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.8.255.255", 7000));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.10.0.0", 7000));
	EXPECT_EQ(0, stats(&self->s).assigned);
	/* And where the service listens itself it is as it was. */
	only(&self->s, 1);
	EXPECT_EQ(1, served_by(&self->s, "127.0.0.1", self->s.port));
}

TEST_F(bpf, networks_of_ipv6_are_answered)
{
	ASSERT_EQ(0, lo_add6("fd00:1::1"));
	ASSERT_EQ(0, lo_add6("fd00:1:0:0:ffff::1"));
	ASSERT_EQ(0, lo_add6("fd00:2::1"));
	ASSERT_EQ(0, lookup_open(&self->s, "", 3, AF_INET6));
	ASSERT_EQ(0, add(&self->s, "[fd00:1::/64]:443"));
	only(&self->s, 2);
	EXPECT_EQ(2, served_by(&self->s, "fd00:1::1", 443));
	only(&self->s, 0);
	EXPECT_EQ(0, served_by(&self->s, "fd00:1:0:0:ffff::1", 443));
	EXPECT_EQ(-ECONNREFUSED, connect_at("fd00:2::1", 443));
	EXPECT_EQ(-ECONNREFUSED, connect_at("fd00:1::1", 444));
}

TEST_F(bpf, a_family_without_a_listener_is_left_alone)
{
	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	ASSERT_EQ(0, add(&self->s, "[::1]:443"));
	EXPECT_EQ(-ECONNREFUSED, connect_at("::1", 443));
	EXPECT_EQ(1, stats(&self->s).absent);
}

TEST_F(bpf, networks_within_networks_add_up)
{
	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:443"));
	ASSERT_EQ(0, add(&self->s, "127.9.8.7:22"));
	ASSERT_EQ(0, add(&self->s, "127.8.0.0/13:80-81"));
	EXPECT_EQ(0, served_by(&self->s, "127.9.8.7", 22));
	EXPECT_EQ(0, served_by(&self->s, "127.9.8.7", 443));
	EXPECT_EQ(0, served_by(&self->s, "127.9.8.7", 81));
	EXPECT_EQ(0, served_by(&self->s, "127.9.1.1", 80));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.1", 22));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.8.1.1", 443));
	EXPECT_EQ(3, listed(&self->s));
	ASSERT_EQ(0, del(&self->s, "127.8.0.0/13:80-81"));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.8.7", 81));
	EXPECT_EQ(0, served_by(&self->s, "127.9.8.7", 443));
	ASSERT_EQ(0, del(&self->s, "127.9.0.0/16:443"));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.8.7", 443));
	EXPECT_EQ(0, served_by(&self->s, "127.9.8.7", 22));
	EXPECT_EQ(1, listed(&self->s));
}

TEST_F(bpf, what_is_there_or_is_not_is_told)
{
	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	EXPECT_EQ(-ENOENT, del(&self->s, "127.9.0.0/16:443"));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:443"));
	EXPECT_EQ(-EEXIST, add(&self->s, "127.9.0.0/16:443"));
	EXPECT_EQ(-EEXIST, add(&self->s, "127.9.0.0/16:440-450"));
	EXPECT_EQ(-ENOENT, del(&self->s, "127.9.0.0/16:440-450"));
	EXPECT_EQ(-ENOENT, del(&self->s, "127.9.0.0/17:443"));
	EXPECT_EQ(1, listed(&self->s));
	/* An instance that was opened without has none. */
	ASSERT_EQ(0, service_open(&self->other, "-b", 1, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	EXPECT_EQ(-EOPNOTSUPP, add(&self->other, "127.7.0.0/16:443"));
	snprintf(self->other.reason, sizeof(self->other.reason), "%s", self->other.name);
	strcat(self->other.name, "-no");
	EXPECT_EQ(-ENOENT, add(&self->other, "127.7.0.0/16:443"));
	strcpy(self->other.name, self->other.reason);
}

TEST_F(bpf, what_does_not_fit_changes_nothing)
{
	char text[WEIR_BPF_VIP_TEXT];
	unsigned int i;

	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.9.9:9"));
	for (i = 1; i < WEIR_VIP_RANGES; i++) {
		snprintf(text, sizeof(text), "127.9.0.0/16:%u", 100 + 2 * i);
		ASSERT_EQ(0, add(&self->s, text));
	}
	/* Sixteen meet at 127.9.9.9 now. */
	EXPECT_EQ(-ENOSPC, add(&self->s, "127.9.0.0/16:999"));
	EXPECT_EQ(-ENOSPC, add(&self->s, "127.9.9.9:10"));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.1", 999));
	EXPECT_EQ(0, served_by(&self->s, "127.9.9.9", 9));
	EXPECT_EQ(0, served_by(&self->s, "127.9.9.9", 130));
	for (i = 2; i < NETS; i++) {
		snprintf(text, sizeof(text), "127.20.%u.0/24:80", i);
		ASSERT_EQ(0, add(&self->s, text));
	}
	EXPECT_EQ(-ENOSPC, add(&self->s, "127.30.0.0/16:80"));
	EXPECT_EQ(WEIR_VIP_RANGES + NETS - 2, listed(&self->s));
}

TEST_F(bpf, no_client_is_lost_while_networks_come_and_go)
{
	int i;

	ASSERT_EQ(0, lookup_open(&self->s, "", 2, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:443"));
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, add(&self->s, i & 1 ? "127.9.1.0/24:80" : "127.0.0.0/8:444"));
		EXPECT_LE(0, served_by(&self->s, "127.9.1.1", 443));
		ASSERT_EQ(0, del(&self->s, i & 1 ? "127.9.1.0/24:80" : "127.0.0.0/8:444"));
		EXPECT_LE(0, served_by(&self->s, "127.9.1.1", 443));
	}
}

TEST_F(bpf, what_another_instance_has_is_refused_by_name)
{
	struct weir_bpf_vip net;
	char why[256] = "";

	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	ASSERT_EQ(0, lookup_open(&self->other, "-b", 1, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:440-450"));
	net = vip("127.9.8.0/24:443");
	EXPECT_EQ(-EADDRINUSE, weir_bpf_vip_add(self->other.name, &net, why, sizeof(why)));
	EXPECT_NE(NULL, strstr(why, self->s.name));
	EXPECT_NE(NULL, strstr(why, "127.9.0.0/16:440-450"));
	EXPECT_EQ(-EADDRINUSE, add(&self->other, "127.0.0.0/8:450-500"));
	EXPECT_EQ(0, listed(&self->other));
	/* Beside it there is room for both. */
	EXPECT_EQ(0, add(&self->other, "127.9.0.0/16:451"));
	EXPECT_EQ(0, add(&self->other, "127.10.0.0/16:443"));
	EXPECT_EQ(0, served_by(&self->s, "127.9.1.1", 443));
	EXPECT_EQ(0, served_by(&self->other, "127.9.1.1", 451));
	EXPECT_EQ(0, served_by(&self->other, "127.10.1.1", 443));
}

static int pin_open(const struct service *s, const char *name)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	char path[2 * WEIR_BPF_PATH_BYTES];

	if (weir_bpf_status(s->bpf, &status))
		return -EINVAL;
	snprintf(path, sizeof(path), "%s/%s", status.dir, name);
	return bpf_obj_get(path);
}

/* A map that was edited by hand: the first program that was attached has it. */
TEST_F(bpf, what_two_claim_all_the_same_is_counted)
{
	struct weir_vip_key key;
	struct weir_vip value;
	int from, to, i;

	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	ASSERT_EQ(0, lookup_open(&self->other, "-b", 1, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:443"));
	from = pin_open(&self->s, "weir_vip");
	to = pin_open(&self->other, "weir_vip");
	ASSERT_EQ(0, bpf_map_get_next_key(from, NULL, &key));
	ASSERT_EQ(0, bpf_map_lookup_elem(from, &key, &value));
	ASSERT_EQ(0, bpf_map_update_elem(to, &key, &value, BPF_ANY));
	for (i = 0; i < 5; i++)
		EXPECT_EQ(0, served_by(&self->s, "127.9.1.1", 443));
	EXPECT_EQ(5, stats(&self->s).assigned);
	EXPECT_EQ(5, stats(&self->other).taken);
	EXPECT_EQ(0, stats(&self->other).assigned);
}

TEST_F(bpf, a_map_full_of_garbage_harms_nobody)
{
	struct weir_vip_key key;
	struct weir_vip value;
	int map;

	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:443"));
	map = pin_open(&self->s, "weir_vip");
	ASSERT_EQ(0, bpf_map_get_next_key(map, NULL, &key));
	ASSERT_EQ(0, bpf_map_lookup_elem(map, &key, &value));
	value.count = ~0U;
	value.own = ~0U;
	ASSERT_EQ(0, bpf_map_update_elem(map, &key, &value, BPF_ANY));
	EXPECT_EQ(0, served_by(&self->s, "127.9.1.1", 443));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.1", 444));
	EXPECT_EQ(WEIR_VIP_RANGES, listed(&self->s));
	EXPECT_EQ(-ENOSPC, add(&self->s, "127.9.0.0/16:80"));
	EXPECT_EQ(0, del(&self->s, "127.9.0.0/16:443"));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.1", 443));
}

TEST_F(bpf, what_is_no_network_is_not_listed)
{
	struct weir_vip_key key = { .bits = 0, .family = WEIR_FAMILY_INET };
	struct weir_vip value = { .own = 1, .count = 1 };
	int map;

	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	map = pin_open(&self->s, "weir_vip");
	ASSERT_EQ(0, bpf_map_update_elem(map, &key, &value, BPF_ANY));
	EXPECT_EQ(0, listed(&self->s));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:443"));
	EXPECT_EQ(1, listed(&self->s));
	key.bits = 32 + 33;
	key.ip[0] = htonl(0x7f090000);
	ASSERT_EQ(0, bpf_map_update_elem(map, &key, &value, BPF_ANY));
	EXPECT_EQ(1, listed(&self->s));
	EXPECT_EQ(0, served_by(&self->s, "127.9.1.1", 443));
	EXPECT_EQ(0, del(&self->s, "127.9.0.0/16:443"));
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.1", 443));
}

/* Somebody's program that refuses every client of @port, attached for good. */
static int foreign(uint16_t port)
{
	const struct bpf_insn insns[] = {
		{ BPF_LDX | BPF_MEM | BPF_W, 2, 1,
		  offsetof(struct bpf_sk_lookup, local_port), 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, SK_PASS },
		{ BPF_JMP | BPF_JNE | BPF_K, 2, 0, 1, port },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, SK_DROP },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_SK_LOOKUP);
	int netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int prog = bpf_prog_load(BPF_PROG_TYPE_SK_LOOKUP, "somebodys", "GPL", insns,
				 ARRAY_SIZE(insns), &opts);

	return prog < 0 ? prog : bpf_link_create(prog, netns, BPF_SK_LOOKUP, NULL);
}

TEST_F(bpf, what_a_foreign_program_claims_is_refused_by_name)
{
	struct weir_bpf_vip net = vip("127.9.0.0/16:443");
	char why[256] = "";
	int link = foreign(443);

	ASSERT_LE(0, link);
	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	EXPECT_EQ(-EADDRINUSE, weir_bpf_vip_add(self->s.name, &net, why, sizeof(why)));
	EXPECT_NE(NULL, strstr(why, "somebodys"));
	EXPECT_EQ(0, listed(&self->s));
	EXPECT_EQ(0, add(&self->s, "127.9.0.0/16:80"));
	EXPECT_EQ(0, served_by(&self->s, "127.9.1.1", 80));
	close(link);
	EXPECT_EQ(0, add(&self->s, "127.9.0.0/16:443"));
}

/* In a child: its network namespace has the same addresses and ports. */
static int other_netns(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd, client;

	if (netns_private())
		return 10;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect_at("127.9.1.1", port) != -ECONNREFUSED)
		return 11;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 4))
		return 12;
	client = connect_at("127.9.1.1", port);
	return client < 0 ? 13 : accept(fd, NULL, NULL) < 0 ? 14 : 0;
}

TEST_F(bpf, another_network_namespace_keeps_its_own)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.0.0.0/8:1-65535"));
	pid = fork();
	if (!pid)
		_exit(other_netns(443));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(0, stats(&self->s).assigned);
	EXPECT_EQ(0, served_by(&self->s, "127.9.1.1", 443));
}

TEST_F(bpf, the_end_of_the_service_takes_the_program_away)
{
	ASSERT_EQ(0, programs_settle(0));
	ASSERT_EQ(0, lookup_open(&self->s, "", 2, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:443"));
	EXPECT_EQ(1, programs());
	/* Who closes its last worker first refuses clients, and keeps none waiting. */
	self->s.st->ops->leave(self->s.st, 0);
	close(self->s.fd[0]);
	EXPECT_EQ(1, served_by(&self->s, "127.9.1.1", 443));
	self->s.st->ops->leave(self->s.st, 1);
	close(self->s.fd[1]);
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.1", 443));
	EXPECT_EQ(1, stats(&self->s).absent);
	self->s.workers = 0;
	service_close(&self->s);
	EXPECT_EQ(0, programs_settle(0));
}

TEST_F(bpf, a_dead_owner_leaves_nothing_that_stays)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		if (lookup_open(&self->s, "", 1, AF_INET) || add(&self->s, "127.9.0.0/16:443"))
			_exit(1);
		_exit(0);	/* without closing anything */
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(1, programs());
	EXPECT_EQ(-ECONNREFUSED, connect_at("127.9.1.1", 443));
	ASSERT_EQ(0, lookup_open(&self->s, "", 1, AF_INET));
	EXPECT_EQ(1, programs_settle(1));
	EXPECT_EQ(0, listed(&self->s));
}

TEST_F(bpf, without_the_privilege_the_missing_one_is_named)
{
	ASSERT_EQ(0, caps_keep(1ULL << CAP_BPF));
	EXPECT_EQ(-EPERM, lookup_open(&self->s, "", 1, AF_INET));
	EXPECT_NE(NULL, strstr(self->s.reason, "CAP_NET_ADMIN"));
}

/* One byte by a send without a copy; what the kernel says of it. */
static int send_zc(int fd)
{
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	char byte = 'z';
	int res;

	if (io_uring_queue_init(8, &ring, 0))
		return -ENOSYS;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send_zc(sqe, fd, &byte, 1, 0, 0);
	io_uring_submit(&ring);
	res = io_uring_wait_cqe(&ring, &cqe);
	if (!res)
		res = cqe->res;
	io_uring_queue_exit(&ring);
	return res;
}

TEST_F(bpf, its_children_send_without_a_copy)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int map, fd, client, server;
	uint64_t value;
	uint32_t zero = 0;

	ASSERT_EQ(0, lookup_open(&self->s, "", 2, AF_INET));
	ASSERT_EQ(0, add(&self->s, "127.9.0.0/16:443"));
	client = connect_at("127.9.1.1", 443);
	ASSERT_LE(0, client);
	ASSERT_LE(0, accept_any(&self->s, &server));
	if (send_zc(server) == -ENOSYS || send_zc(server) == -EINVAL)
		SKIP(return, "no io_uring sends without a copy here");
	EXPECT_EQ(1, send_zc(server));
	/* That it can fail: a listener that is in a sockmap itself. */
	self->other.port = 0;
	fd = listen_on(AF_INET, &self->other.port);
	map = bpf_map_create(BPF_MAP_TYPE_SOCKMAP, "test", 4, 8, 1, &opts);
	value = (uint64_t)fd;
	ASSERT_EQ(0, bpf_map_update_elem(map, &zero, &value, BPF_ANY));
	client = connect_at("127.0.0.1", self->other.port);
	ASSERT_LE(0, client);
	server = accept(fd, NULL, NULL);
	ASSERT_LE(0, server);
	EXPECT_EQ(-EOPNOTSUPP, send_zc(server));
}

TEST_HARNESS_MAIN
