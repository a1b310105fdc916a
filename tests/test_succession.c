// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_succession.c - a successor fails somewhere between its question and its first
 * client: the service goes on, and the next successor serves; one that has another
 * number of workers; and one of an owner of whose workers one has died
 */
#include "succession_scene.h"

/* What moves queues where no program does; of this network namespace alone. */
static int migrate_set(bool on)
{
	int fd = open("/proc/sys/net/ipv4/tcp_migrate_req", O_WRONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = write(fd, on ? "1" : "0", 1) == 1 ? 0 : -errno;
	close(fd);
	return err;
}

FIXTURE(succession)
{
	struct scene s;
};

FIXTURE_VARIANT(succession)
{
	bool plain;
	enum place place;
};

FIXTURE_VARIANT_ADD(succession, bpf_ASKS) { .place = ASKS };
FIXTURE_VARIANT_ADD(succession, plain_ASKS) { .plain = true, .place = ASKS };
FIXTURE_VARIANT_ADD(succession, bpf_YIELD_SENT) { .place = YIELD_SENT };
FIXTURE_VARIANT_ADD(succession, plain_YIELD_SENT) { .plain = true, .place = YIELD_SENT };
FIXTURE_VARIANT_ADD(succession, bpf_YIELDED) { .place = YIELDED };
FIXTURE_VARIANT_ADD(succession, plain_YIELDED) { .plain = true, .place = YIELDED };
FIXTURE_VARIANT_ADD(succession, bpf_TOO_SLOW) { .place = TOO_SLOW };
FIXTURE_VARIANT_ADD(succession, plain_TOO_SLOW) { .plain = true, .place = TOO_SLOW };
FIXTURE_VARIANT_ADD(succession, bpf_BEGUN) { .place = BEGUN };
FIXTURE_VARIANT_ADD(succession, plain_BEGUN) { .plain = true, .place = BEGUN };
FIXTURE_VARIANT_ADD(succession, bpf_START_FAILS) { .place = START_FAILS };
FIXTURE_VARIANT_ADD(succession, plain_START_FAILS) { .plain = true, .place = START_FAILS };
FIXTURE_VARIANT_ADD(succession, bpf_START_DIES) { .place = START_DIES };
FIXTURE_VARIANT_ADD(succession, plain_START_DIES) { .plain = true, .place = START_DIES };
FIXTURE_VARIANT_ADD(succession, bpf_START_EXITS) { .place = START_EXITS };
FIXTURE_VARIANT_ADD(succession, plain_START_EXITS) { .plain = true, .place = START_EXITS };
FIXTURE_VARIANT_ADD(succession, bpf_SEAL_FAILS) { .place = SEAL_FAILS };
FIXTURE_VARIANT_ADD(succession, plain_SEAL_FAILS) { .plain = true, .place = SEAL_FAILS };
FIXTURE_VARIANT_ADD(succession, bpf_SEAL_DIES) { .place = SEAL_DIES };
FIXTURE_VARIANT_ADD(succession, plain_SEAL_DIES) { .plain = true, .place = SEAL_DIES };
FIXTURE_VARIANT_ADD(succession, bpf_SEALED_FAILS) { .place = SEALED_FAILS };
FIXTURE_VARIANT_ADD(succession, plain_SEALED_FAILS) { .plain = true, .place = SEALED_FAILS };
FIXTURE_VARIANT_ADD(succession, bpf_SEALED_DIES) { .place = SEALED_DIES };
FIXTURE_VARIANT_ADD(succession, plain_SEALED_DIES) { .plain = true, .place = SEALED_DIES };
FIXTURE_VARIANT_ADD(succession, plain_FEWER) { .plain = true, .place = FEWER };

FIXTURE_SETUP(succession)
{
	const struct heir next = { variant->place == FEWER ? 1 : 2, variant->place };
	const struct heir last = { 2, NOWHERE };
	const char *why = scene_init(&self->s);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, migrate_set(false));
	ASSERT_EQ(0, scene_make(&self->s, variant->plain, 2, next, last));
}

FIXTURE_TEARDOWN(succession)
{
	scene_close(&self->s);
}

static int meta_find(void *ctx, const struct weir_bpf_instance *instance)
{
	struct weir_bpf_instance *wanted = ctx;

	if (strcmp(instance->name, wanted->name))
		return 0;
	*wanted = *instance;
	return 1;
}

/* Whose instance it is, as others see it. */
static pid_t owner_of(const char *name)
{
	struct weir_bpf_instance instance = {};

	strcpy(instance.name, name);
	return weir_bpf_list(meta_find, &instance) == 1 ? (pid_t)instance.meta.owner_pid : -1;
}

/* What the workers say in the rows that others see. */
static uint64_t accepted(const char *name)
{
	struct service s = {};
	struct weir_bpf_worker w;
	uint64_t sum = 0;
	unsigned int i;

	strcpy(s.name, name);
	for (i = 0; i < 2 && !worker_read(&s, i, &w); i++)
		sum += w.row.accepted;
	return sum;
}

TEST_F_TIMEOUT(succession, one_that_fails_is_as_if_it_had_not_come, 100)
{
	struct scene *s = &self->s;
	struct load *load = &s->load;
	uint16_t port = child_start(&s->owner);
	uint64_t before;

	load->vip = !variant->plain;
	clients_come(_metadata, s, port);
	next_fails(_metadata, s, variant->place);
	before = accepted(s->name);
	EXPECT_TRUE(load_goes_on(load));
	EXPECT_EQ(0, atomic_load(&load->failed));
	/* Who served them may not even have heard of the one that failed. */
	if (!variant->plain) {
		EXPECT_TRUE(AWAITED(there("/sys/fs/bpf/weir/%s/weir_steer", s->name)));
		EXPECT_TRUE(AWAITED(accepted(s->name) >= before + SERVED / 2));
		EXPECT_TRUE(AWAITED(owner_of(s->name) == s->owner.pid));
	}

	EXPECT_EQ(port, child_start(&s->last));
	EXPECT_TRUE(load_goes_on(load));
	EXPECT_EQ(variant->plain ? -1 : s->last.pid, owner_of(s->name));
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
	bool plain;
	unsigned int from, to;
};

FIXTURE_VARIANT_ADD(number, bpf_more) { .from = 2, .to = 5 };
FIXTURE_VARIANT_ADD(number, bpf_fewer) { .from = 5, .to = 2 };
FIXTURE_VARIANT_ADD(number, bpf_one) { .from = 3, .to = 1 };
FIXTURE_VARIANT_ADD(number, plain_more) { .plain = true, .from = 2, .to = 5 };
FIXTURE_VARIANT_ADD(number, plain_fewer) { .plain = true, .from = 5, .to = 2 };

FIXTURE_SETUP(number)
{
	const struct heir next = { variant->to, SEAL_WAITS };
	const struct heir last = { variant->from, SEAL_WAITS };
	const char *why = scene_init(&self->s);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, migrate_set(false));
	ASSERT_EQ(0, scene_make(&self->s, variant->plain, variant->from, next, last));
}

FIXTURE_TEARDOWN(number)
{
	scene_close(&self->s);
}

static void settings_check(struct __test_metadata *_metadata, const char *name, unsigned int to)
{
	struct service s = {};
	struct weir_bpf_view *view;
	struct weir_bpf_worker w;
	struct weir_cfg cfg;

	strcpy(s.name, name);
	ASSERT_EQ(0, weir_bpf_view_open(&view, name));
	EXPECT_EQ(0, weir_bpf_view_cfg(view, &cfg));
	weir_bpf_view_close(view);
	EXPECT_EQ(WEIR_POLICY_LEAST, cfg.policy);
	EXPECT_EQ(777777777, cfg.rtx_quiet_ns);
	EXPECT_EQ(to, cfg.workers);
	/* Changed by the operator when the successor had read it already. */
	ASSERT_EQ(0, worker_read(&s, 0, &w));
	EXPECT_EQ(99, w.admin.weight);
	if (to == 1)
		return;
	ASSERT_EQ(0, worker_read(&s, 1, &w));
	EXPECT_EQ(42, w.admin.weight);
}

static int quiet_edit(const char *name)
{
	struct weir_cfg cfg;
	char path[300];
	uint32_t zero = 0;
	int fd, err;

	snprintf(path, sizeof(path), "/sys/fs/bpf/weir/%s/weir_cfg", name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	err = bpf_map_lookup_elem(fd, &zero, &cfg);
	cfg.rtx_quiet_ns = 777777777;
	if (!err)
		err = bpf_map_update_elem(fd, &zero, &cfg, BPF_ANY);
	close(fd);
	return err;
}

TEST_F_TIMEOUT(number, of_workers_may_be_another, 100)
{
	struct scene *s = &self->s;
	struct load *load = &s->load;
	uint16_t port = child_start(&s->owner);

	ASSERT_NE(0, port);
	if (!variant->plain) {
		ASSERT_EQ(0, quiet_edit(s->name));
		ASSERT_EQ(0, weight_edit(s->name, 1, 42));
	} else {
		ASSERT_EQ(0, migrate_set(true));
	}
	load->vip = !variant->plain;
	clients_come(_metadata, s, port);
	ASSERT_EQ(port, child_start(&s->next));
	EXPECT_TRUE(load_goes_on(load));
	EXPECT_EQ(0, atomic_load(&load->failed));
	/* With one that stands for the group; the owner's goes when he comes to it. */
	EXPECT_TRUE(sockets_are(TCP_LISTEN, port, variant->to + !variant->plain));
	if (!variant->plain)
		settings_check(_metadata, s->name, variant->to);
	/* And back, while the first still has a client. */
	EXPECT_EQ(port, child_start(&s->last));
	EXPECT_TRUE(load_goes_on(load));
	clients_go(_metadata, s);
	EXPECT_TRUE(sockets_are(TCP_LISTEN, port, variant->from + !variant->plain));
	all_end(_metadata, s);
}

/* a worker of the owner has died */

FIXTURE(dead)
{
	struct scene s;
};

FIXTURE_VARIANT(dead)
{
	bool plain;
	enum place place;
};

FIXTURE_VARIANT_ADD(dead, bpf) { .place = SEALED_FAILS };
FIXTURE_VARIANT_ADD(dead, bpf_killed) { .place = SEALED_DIES };
FIXTURE_VARIANT_ADD(dead, plain) { .plain = true, .place = SEALED_FAILS };
FIXTURE_VARIANT_ADD(dead, plain_killed) { .plain = true, .place = SEALED_DIES };

FIXTURE_SETUP(dead)
{
	const struct heir next = { 2, variant->place }, last = { 2, NOWHERE };
	const char *why = scene_init(&self->s);

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, scene_make(&self->s, variant->plain, 2, next, last));
}

FIXTURE_TEARDOWN(dead)
{
	scene_close(&self->s);
}

/* The only one that is lost is who brought it about. */
static int worker_kill(uint16_t port)
{
	int fd = client(port, false), err = -EPIPE;
	char byte;

	if (fd < 0)
		return -ENOTCONN;
	if (send(fd, poison, sizeof(poison), MSG_NOSIGNAL) == sizeof(poison) &&
	    recv(fd, &byte, 1, 0) <= 0)
		err = 0;
	close(fd);
	return err;
}

TEST_F_TIMEOUT(dead, workers_are_taken_over_too, 100)
{
	struct scene *s = &self->s;
	uint16_t port = child_start(&s->owner);

	ASSERT_NE(0, port);
	ASSERT_EQ(0, worker_kill(port));
	/* Who came to the listener that only the failing successor had is moved. */
	ASSERT_EQ(0, migrate_set(variant->plain));
	EXPECT_TRUE(sockets_are(TCP_LISTEN, port, 1 + !variant->plain));
	clients_come(_metadata, s, port);
	/* What one that failed had listen again does not. */
	next_fails(_metadata, s, variant->place);
	EXPECT_TRUE(load_goes_on(&s->load));
	EXPECT_TRUE(sockets_are(TCP_LISTEN, port, 1 + !variant->plain));
	EXPECT_EQ(port, child_start(&s->last));
	EXPECT_TRUE(load_goes_on(&s->load));
	EXPECT_TRUE(sockets_are(TCP_LISTEN, port, 2 + !variant->plain));
	clients_go(_metadata, s);
	EXPECT_EQ(5 << 8, child_status(&s->owner));
	kill(s->last.pid, SIGTERM);
	EXPECT_EQ(0, child_status(&s->last));
}

TEST_HARNESS_MAIN
