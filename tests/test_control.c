// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_control.c - the operator's hand: policies, weights, states, constants
 */
#include <sys/file.h>

#include "bpf_service.h"

static int service_control(struct service *s, unsigned int workers, enum weir_policy policy,
			   struct weir_bpf_control **control)
{
	int err = service_open(s, "", workers, policy, 0, AF_INET);

	return err ? err : weir_bpf_control_open(control, s->name);
}

static int set_one(struct weir_bpf_control *control, const char *member, uint64_t value,
		   const char **refused)
{
	const struct weir_bpf_change change = { member, value };

	return weir_bpf_control_set(control, &change, 1, refused);
}

TEST_F(bpf, policy_changes_while_it_serves)
{
	struct weir_bpf_control *control;
	unsigned int got[WORKERS], i;

	ASSERT_EQ(0, service_control(&self->s, 4, WEIR_POLICY_HASH, &control));
	for (i = 0; i < 4; i++)
		row(&self->s, i)->inflight = i == 2 ? 0 : 10;
	ASSERT_EQ(0, spread(&self->s, 64, got));
	EXPECT_LT(got[2], 64);
	ASSERT_EQ(0, set_one(control, "policy", WEIR_POLICY_LEAST, NULL));
	ASSERT_EQ(0, spread(&self->s, 20, got));
	EXPECT_EQ(20, got[2]);
	weir_bpf_control_close(control);
}

TEST_F(bpf, every_member_can_be_set_and_read_back)
{
	const struct weir_cfg_member *members;
	struct weir_bpf_control *control;
	struct weir_bpf_view *view;
	struct weir_cfg before, after;
	unsigned int count, i;
	const char *refused;
	uint64_t value;

	ASSERT_EQ(0, service_control(&self->s, 2, WEIR_POLICY_HASH, &control));
	ASSERT_EQ(0, weir_bpf_view_open(&view, self->s.name));
	members = weir_cfg_members(&count);
	for (i = 0; i < count; i++) {
		ASSERT_EQ(0, weir_bpf_view_cfg(view, &before));
		value = weir_cfg_get(&before, &members[i]);
		if (!strcmp(members[i].name, "flags")) {
			EXPECT_EQ(-EPERM, set_one(control, "flags", value, &refused));
			continue;
		}
		EXPECT_EQ(0, set_one(control, members[i].name, value, &refused))
			TH_LOG("%s: %s", members[i].name, refused);
	}
	ASSERT_EQ(0, set_one(control, "ramp_ns", 1ULL << 40, NULL));
	ASSERT_EQ(0, set_one(control, "clamp_bytes", 4096, NULL));
	ASSERT_EQ(0, weir_bpf_view_cfg(view, &after));
	EXPECT_EQ(1ULL << 40, after.ramp_ns);
	EXPECT_EQ(4096, after.clamp_bytes);
	before.ramp_ns = after.ramp_ns;
	before.clamp_bytes = after.clamp_bytes;
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	weir_bpf_view_close(view);
	weir_bpf_control_close(control);
}

TEST_F(bpf, what_is_out_of_range_changes_nothing)
{
	static const struct {
		const char *member, *refused;
		uint64_t value;
		int err;
	} bad[] = {
		{ "no_such", "no_such", 1, -ENOENT },
		{ "policy", "policy", WEIR_POLICY_WEIGHTED + 1, -ERANGE },
		{ "policy", "policy", 1ULL << 32, -ERANGE },
		{ "workers", "workers", 3, -ERANGE },
		{ "workers", "workers", 0, -ERANGE },
		{ "stale_ns", "rescue_ns", WEIR_RESCUE_NS + 1, -ERANGE },
		{ "shed_permille", "shed_permille", 1001, -ERANGE },
		{ "prefix_rate", "prefix_burst", 1, -ERANGE },
		{ "pad", "pad", 1, -ENOENT },
	};
	const struct weir_bpf_change twice[] = { { "scan_max", 1 }, { "scan_max", 2 } };
	const struct weir_bpf_change half[] = { { "scan_max", 9 }, { "quic_bytes", 9 } };
	struct weir_bpf_control *control;
	const char *refused;
	struct weir_cfg cfg;
	size_t i;

	ASSERT_EQ(0, service_control(&self->s, 2, WEIR_POLICY_HASH, &control));
	cfg = *weir_bpf_cfg(self->s.bpf);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		refused = NULL;
		EXPECT_EQ(bad[i].err, set_one(control, bad[i].member, bad[i].value, &refused));
		EXPECT_STREQ(bad[i].refused, refused);
	}
	EXPECT_EQ(-EINVAL, weir_bpf_control_set(control, twice, 0, NULL));
	EXPECT_EQ(-EINVAL, weir_bpf_control_set(control, twice, 2, NULL));
	EXPECT_EQ(-ERANGE, weir_bpf_control_set(control, half, 2, NULL));
	EXPECT_EQ(-ERANGE, weir_bpf_control_weight(control, 0, 0));
	EXPECT_EQ(-ERANGE, weir_bpf_control_weight(control, 0, WEIR_WEIGHT_MAX + 1));
	EXPECT_EQ(-ENOENT, weir_bpf_control_weight(control, 2, 1));
	EXPECT_EQ(-ENOENT, weir_bpf_control_admin(control, 2, WEIR_ADMIN_DRAIN));
	EXPECT_EQ(-EINVAL, weir_bpf_control_admin(control, 0, 2));
	EXPECT_EQ(0, memcmp(&cfg, weir_bpf_cfg(self->s.bpf), sizeof(cfg)));
	EXPECT_EQ(WEIR_WEIGHT_DEFAULT, self->s.st->ops->admin(self->s.st, 0)->weight);
	weir_bpf_control_close(control);
}

TEST_F(bpf, workers_are_drained_resumed_and_weighed)
{
	struct weir_bpf_control *control;
	struct weir_bpf_worker worker;

	ASSERT_EQ(0, service_control(&self->s, 3, WEIR_POLICY_HASH, &control));
	ASSERT_EQ(0, weir_bpf_control_admin(control, 1, WEIR_ADMIN_DRAIN));
	ASSERT_EQ(0, weir_bpf_control_weight(control, 1, 7));
	ASSERT_EQ(0, worker_read(&self->s, 1, &worker));
	EXPECT_EQ(WEIR_ADMIN_DRAIN, worker.admin.state);
	EXPECT_EQ(7, worker.admin.weight);
	ASSERT_EQ(0, weir_bpf_control_admin(control, 1, WEIR_ADMIN_ON));
	ASSERT_EQ(0, worker_read(&self->s, 1, &worker));
	EXPECT_EQ(WEIR_ADMIN_ON, worker.admin.state);
	ASSERT_EQ(0, worker_read(&self->s, 2, &worker));
	EXPECT_EQ(WEIR_WEIGHT_DEFAULT, worker.admin.weight);
	weir_bpf_control_close(control);
}

/* Pairs go up and down, whatever the order they are named in. */
TEST_F(bpf, members_that_belong_together_change_together)
{
	static const struct weir_bpf_change sets[][2] = {
		{ { "sendq_low_bytes", 5000000 }, { "sendq_high_bytes", 6000000 } },
		{ { "sendq_high_bytes", 60 }, { "sendq_low_bytes", 50 } },
		{ { "rtt_off_permille", 9000 }, { "rtt_on_permille", 9500 } },
		{ { "rtt_on_permille", 100 }, { "rtt_off_permille", 0 } },
		{ { "stale_ns", 1000000000 }, { "rescue_ns", 2000000000 } },
		{ { "rescue_ns", 20 }, { "stale_ns", 10 } },
		{ { "prefix_rate", 10 }, { "prefix_burst", 1 } },
		{ { "prefix_burst", 0 }, { "prefix_rate", 0 } },
	};
	struct weir_bpf_control *control;
	const char *refused;
	size_t i;

	ASSERT_EQ(0, service_control(&self->s, 2, WEIR_POLICY_HASH, &control));
	for (i = 0; i < ARRAY_SIZE(sets); i++) {
		EXPECT_EQ(0, weir_bpf_control_set(control, sets[i], 2, &refused))
			TH_LOG("%zu: %s", i, refused);
		EXPECT_EQ(NULL, weir_cfg_check(weir_bpf_cfg(self->s.bpf), 2));
	}
	weir_bpf_control_close(control);
}

static int operate(const char *name, unsigned int rounds)
{
	static const struct weir_bpf_change up[] = {
		{ "sendq_low_bytes", 3 }, { "sendq_high_bytes", 4 },
	};
	static const struct weir_bpf_change down[] = {
		{ "sendq_high_bytes", 2 }, { "sendq_low_bytes", 1 },
	};
	struct weir_bpf_control *control;
	int err = weir_bpf_control_open(&control, name);

	while (!err && rounds--) {
		/* Who has the turn may be stopped for longer than one waits for it. */
		do {
			err = weir_bpf_control_set(control, rounds % 2 ? up : down, 2, NULL);
		} while (err == -ETIMEDOUT);
	}
	weir_bpf_control_close(control);
	return err;
}

/* After what it has inherited, of which @lock is the last. */
static bool has_open(pid_t pid, int lock, const char *end)
{
	char path[64], target[512];
	ssize_t len;
	int fd;

	for (fd = lock + 1; fd < lock + 16; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		len = readlink(path, target, sizeof(target) - 1);
		if (len < 0)
			continue;
		target[len] = '\0';
		if (strstr(target, end))
			return true;
	}
	return false;
}

/* 1 when a process sleeps with the lock's file open, 0 when not, -1 when it has ended. */
static int waits(pid_t pid, int lock)
{
	char path[64], state = '?';
	FILE *file;

	if (waitpid(pid, NULL, WNOHANG))
		return -1;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (file && fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (file)
		fclose(file);
	return state == 'S' && has_open(pid, lock, "/weir_cfg");
}

TEST_F(bpf, operators_take_turns)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;
	uint32_t low;
	char path[512];
	int lock, rc;
	pid_t pid;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	snprintf(path, sizeof(path), "%s/weir_cfg", status.dir);
	lock = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, lock);
	ASSERT_EQ(0, flock(lock, LOCK_EX));
	low = weir_bpf_cfg(self->s.bpf)->sendq_low_bytes;
	pid = fork();
	if (!pid)
		_exit(operate(self->s.name, 1) ? 1 : 0);
	while (!waits(pid, lock) && now_ns() < end)
		sched_yield();
	EXPECT_NE(-1, waits(pid, lock));
	EXPECT_EQ(low, weir_bpf_cfg(self->s.bpf)->sendq_low_bytes);
	ASSERT_EQ(0, flock(lock, LOCK_UN));
	ASSERT_EQ(pid, waitpid(pid, &rc, 0));
	EXPECT_EQ(0, rc);
	EXPECT_EQ(1, weir_bpf_cfg(self->s.bpf)->sendq_low_bytes);
	close(lock);
}

/* An operator that is killed gives its turn up. */
TEST_F(bpf, a_dead_operator_holds_nobody_up)
{
	int i, status;
	pid_t pid;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, 0, AF_INET));
	for (i = 0; i < 20; i++) {
		pid = fork();
		if (!pid)
			_exit(operate(self->s.name, ~0U));
		ASSERT_EQ(0, operate(self->s.name, 10));
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
	}
	EXPECT_EQ(0, operate(self->s.name, 10));
	EXPECT_EQ(NULL, weir_cfg_check(weir_bpf_cfg(self->s.bpf), 2));
}

/* Who edits the map itself can make it what no command would: commands lead back. */
TEST_F(bpf, what_was_broken_by_hand_can_be_mended)
{
	const struct weir_bpf_change mend[] = { { "rescue_ns", 40 }, { "stale_ns", 30 } };
	struct weir_bpf_control *control;
	const char *refused;

	ASSERT_EQ(0, service_control(&self->s, 2, WEIR_POLICY_HASH, &control));
	weir_bpf_cfg(self->s.bpf)->stale_ns = 0;
	weir_bpf_cfg(self->s.bpf)->rescue_ns = 0;
	EXPECT_EQ(-ERANGE, set_one(control, "scan_max", 9, &refused));
	EXPECT_STREQ("stale_ns", refused);
	EXPECT_EQ(0, weir_bpf_control_set(control, mend, 2, &refused));
	EXPECT_EQ(0, set_one(control, "scan_max", 9, &refused));
	EXPECT_EQ(40, weir_bpf_cfg(self->s.bpf)->rescue_ns);
	weir_bpf_control_close(control);
}

static int instance_name_ok(void *ctx, const struct weir_bpf_instance *instance)
{
	const struct weir_meta *meta = &instance->meta;

	return strcmp(instance->name, ctx) ? 0 :
	       !strcmp(meta->name, ctx) && strlen(meta->build_id) < sizeof(meta->build_id);
}

/* Nobody goes by more rows than there are, or by a name without an end. */
TEST_F(bpf, a_meta_that_was_edited_leads_nobody_astray)
{
	struct weir_bpf_control *control;
	struct weir_bpf_view *view;
	struct weir_meta meta;
	uint32_t zero = 0;
	int fd;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, 0, AF_INET));
	fd = map_open(&self->s, "weir_meta");
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &zero, &meta));
	meta.workers_max = ~0U;
	memset(meta.name, 'x', sizeof(meta.name));
	memset(meta.build_id, 'x', sizeof(meta.build_id));
	meta.port4 = 0x7878;
	meta.port6 = 0x7878;
	meta.pad = 0x78787878;
	ASSERT_EQ(0, bpf_map_update_elem(fd, &zero, &meta, BPF_ANY));
	close(fd);
	ASSERT_EQ(0, weir_bpf_control_open(&control, self->s.name));
	EXPECT_EQ(-ENOENT, weir_bpf_control_admin(control, 1U << 20, WEIR_ADMIN_DRAIN));
	EXPECT_EQ(-ENOENT, weir_bpf_control_weight(control, 1U << 20, 1));
	EXPECT_EQ(-EOPNOTSUPP, weir_bpf_control_xdp(control, WEIR_XDP_SYNS, 1, 1));
	EXPECT_EQ(0, weir_bpf_control_admin(control, 1, WEIR_ADMIN_DRAIN));
	weir_bpf_control_close(control);
	ASSERT_EQ(0, weir_bpf_view_open(&view, self->s.name));
	EXPECT_STREQ(self->s.name, weir_bpf_view_meta(view)->name);
	weir_bpf_view_close(view);
	EXPECT_EQ(1, weir_bpf_list(instance_name_ok, self->s.name));
}

/* An instance that calls nothing hung for an hour rescues nothing sooner. */
TEST_F(bpf, an_instance_begins_with_what_may_be_used)
{
	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, FOREVER_NS, AF_INET));
	EXPECT_EQ(NULL, weir_cfg_check(weir_bpf_cfg(self->s.bpf), 2));
	EXPECT_EQ(FOREVER_NS, weir_bpf_cfg(self->s.bpf)->stale_ns);
}

TEST_F(bpf, a_dead_service_can_still_be_configured)
{
	struct weir_bpf_control *control;

	EXPECT_EQ(-EINVAL, weir_bpf_control_open(&control, "a/b"));
	EXPECT_EQ(-EINVAL, weir_bpf_control_open(&control, NULL));
	EXPECT_EQ(-ENOENT, weir_bpf_control_open(&control, "test-no-such"));
	ASSERT_EQ(0, service_control(&self->s, 2, WEIR_POLICY_HASH, &control));
	service_close(&self->s);
	EXPECT_EQ(0, set_one(control, "scan_max", 9, NULL));
	weir_bpf_control_close(control);
}

TEST_HARNESS_MAIN
