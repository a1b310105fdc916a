// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_adopt.c - an instance goes on with the maps of an owner that died or leaves
 */
#include <sys/resource.h>

#include <weir/supervisor.h>

#include "bpf_service.h"

#define MARK	777777777ULL

static void adopt_opts(struct service *s, struct weir_bpf_opts *opts, unsigned int workers)
{
	*opts = (struct weir_bpf_opts) {
		.sz = sizeof(*opts), .name = s->name, .workers = workers,
		.policy = WEIR_POLICY_HASH, .flags = WEIR_BPF_ADOPT,
		.reason = s->reason, .reason_bytes = sizeof(s->reason),
	};
}

static struct weir_bpf_status status_of(const struct service *s)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };

	weir_bpf_status(s->bpf, &status);
	return status;
}

/* A service that marks what must survive it, serves four clients and is killed. */
static int service_killed(struct service *s, unsigned int workers)
{
	unsigned int got[WORKERS];
	int status, err;
	pid_t pid;

	pid = fork();
	if (!pid) {
		err = service_open(s, "-dead", workers, WEIR_POLICY_LEAST, 0, AF_INET);
		if (err)
			_exit(1);
		weir_bpf_cfg(s->bpf)->rtx_quiet_ns = MARK;
		s->st->ops->admin(s->st, 1)->weight = 42;
		err = spread(s, 4, got);
		/* One more waits in a queue that dies with the process. */
		if (err || connect_to(s) < 0)
			_exit(2);
		kill(getpid(), SIGKILL);
	}
	snprintf(s->name, sizeof(s->name), "test-%d-dead", runner);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFSIGNALED(status) ? 0 : -EPROTO;
}

static uint64_t picked(const struct service *s)
{
	struct weir_bpf_worker w;
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		if (worker_read(s, i, &w))
			return ~0ULL;
		sum += w.listener.picked;
	}
	return sum;
}

static bool pin_is(const struct service *s, const char *name)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "/sys/fs/bpf/weir/%s%s%s", s->name, *name ? "/" : "", name);
	return !stat(path, &st);
}

TEST_F(bpf, a_dead_owner_leaves_counters_configuration_and_weights)
{
	struct weir_bpf_opts opts;
	unsigned int got[WORKERS];
	uint64_t since, before;

	ASSERT_EQ(0, service_killed(&self->s, 2));
	before = picked(&self->s);
	ASSERT_LE(5, before);
	adopt_opts(&self->s, &opts, 2);
	ASSERT_EQ(0, weir_bpf_open(&self->s.bpf, &opts)) TH_LOG("%s", self->s.reason);
	ASSERT_EQ(0, service_join(&self->s, AF_INET, 2));
	EXPECT_EQ(WEIR_BPF_RECOVERED, status_of(&self->s).adopted);
	EXPECT_EQ(MARK, weir_bpf_cfg(self->s.bpf)->rtx_quiet_ns);
	EXPECT_EQ(WEIR_POLICY_LEAST, weir_bpf_cfg(self->s.bpf)->policy);
	EXPECT_EQ(42, self->s.st->ops->admin(self->s.st, 1)->weight);
	EXPECT_EQ(before, picked(&self->s));
	EXPECT_EQ(4, row(&self->s, 0)->accepted + row(&self->s, 1)->accepted);
	/* The one that died in the queue does not wait for anybody. */
	EXPECT_EQ(0, self->s.st->ops->waiting(self->s.st, 0, &since));
	EXPECT_EQ(0, self->s.st->ops->waiting(self->s.st, 1, &since));
	ASSERT_EQ(0, spread(&self->s, 6, got));
	EXPECT_EQ(before + 6, picked(&self->s));
}

TEST_F(bpf, a_recovered_link_counts_on)
{
	struct weir_bpf_opts opts;
	uint64_t before, after;
	unsigned int got[WORKERS];
	struct weir_bpf_worker w;

	ASSERT_EQ(0, service_killed(&self->s, 2));
	adopt_opts(&self->s, &opts, 2);
	ASSERT_EQ(0, weir_bpf_open(&self->s.bpf, &opts)) TH_LOG("%s", self->s.reason);
	if (status_of(&self->s).rung < WEIR_RUNG_FLOW)
		SKIP(return, "%s", status_of(&self->s).why);
	ASSERT_EQ(0, service_join(&self->s, AF_INET, 2));
	ASSERT_EQ(0, worker_read(&self->s, 0, &w));
	before = w.pending.established;
	ASSERT_EQ(0, worker_read(&self->s, 1, &w));
	before += w.pending.established;
	ASSERT_EQ(0, spread(&self->s, 6, got));
	ASSERT_EQ(0, worker_read(&self->s, 0, &w));
	after = w.pending.established;
	ASSERT_EQ(0, worker_read(&self->s, 1, &w));
	after += w.pending.established;
	EXPECT_EQ(6, after - before);
}

/* Nothing of what runs no more is said to run. */
TEST_F(bpf, a_recovered_one_without_flows_has_no_pins_of_theirs)
{
	static const char *const gone[] = { "weir_link_ops", "weir_link_state", "weir_sockops",
					    "weir_sockops_q", "weir_tp_state" };
	struct weir_bpf_opts opts;
	size_t i;

	ASSERT_EQ(0, service_killed(&self->s, 2));
	if (!pin_is(&self->s, gone[0]))
		SKIP(return, "no flows here");
	adopt_opts(&self->s, &opts, 2);
	opts.flags |= WEIR_BPF_NO_FLOWS;
	ASSERT_EQ(0, weir_bpf_open(&self->s.bpf, &opts)) TH_LOG("%s", self->s.reason);
	ASSERT_EQ(0, service_join(&self->s, AF_INET, 2));
	for (i = 0; i < sizeof(gone) / sizeof(*gone); i++)
		EXPECT_FALSE(pin_is(&self->s, gone[i]));
	EXPECT_TRUE(pin_is(&self->s, "weir_steer"));
}

TEST_F(bpf, other_workers_take_new_maps_and_the_old_configuration)
{
	struct weir_bpf_opts opts;

	ASSERT_EQ(0, service_killed(&self->s, 2));
	adopt_opts(&self->s, &opts, 3);
	ASSERT_EQ(0, weir_bpf_open(&self->s.bpf, &opts)) TH_LOG("%s", self->s.reason);
	ASSERT_EQ(0, service_join(&self->s, AF_INET, 3));
	EXPECT_EQ(WEIR_BPF_NEW, status_of(&self->s).adopted);
	EXPECT_EQ(MARK, weir_bpf_cfg(self->s.bpf)->rtx_quiet_ns);
	EXPECT_EQ(3, weir_bpf_cfg(self->s.bpf)->workers);
	EXPECT_EQ(0, picked(&self->s));
}

TEST_F(bpf, a_configuration_edited_to_nonsense_is_not_recovered)
{
	struct weir_bpf_opts opts;
	char path[300];
	uint32_t zero = 0;
	struct weir_cfg cfg;
	uint64_t before;
	int fd;

	ASSERT_EQ(0, service_killed(&self->s, 2));
	before = picked(&self->s);
	snprintf(path, sizeof(path), "/sys/fs/bpf/weir/%s/weir_cfg", self->s.name);
	fd = bpf_obj_get(path);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bpf_map_lookup_elem(fd, &zero, &cfg));
	cfg.policy = 99;
	ASSERT_EQ(0, bpf_map_update_elem(fd, &zero, &cfg, BPF_ANY));
	close(fd);
	adopt_opts(&self->s, &opts, 2);
	ASSERT_EQ(0, weir_bpf_open(&self->s.bpf, &opts)) TH_LOG("%s", self->s.reason);
	ASSERT_EQ(0, service_join(&self->s, AF_INET, 2));
	EXPECT_EQ(WEIR_POLICY_HASH, weir_bpf_cfg(self->s.bpf)->policy);
	EXPECT_EQ(WEIR_RTX_QUIET_NS, weir_bpf_cfg(self->s.bpf)->rtx_quiet_ns);
	EXPECT_EQ(before, picked(&self->s));
}

static int pin_get(const struct service *s, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "/sys/fs/bpf/weir/%s/%s", s->name, name);
	return bpf_obj_get(path);
}

/* Another thing under the name of a pin. */
static int pin_swap(const struct service *s, const char *name, int fd)
{
	char path[300];

	snprintf(path, sizeof(path), "/sys/fs/bpf/weir/%s/%s", s->name, name);
	if (unlink(path) || bpf_obj_pin(fd, path))
		return -errno;
	return close(fd);
}

TEST_F(bpf, a_foreign_program_is_refused_by_name)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct weir_bpf_opts opts;
	int fd;

	ASSERT_EQ(0, service_killed(&self->s, 2));
	fd = bpf_prog_load(BPF_PROG_TYPE_SK_REUSEPORT, "stranger", "GPL", insns, 2, NULL);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pin_swap(&self->s, "weir_steer", fd));
	adopt_opts(&self->s, &opts, 2);
	EXPECT_EQ(-EBADMSG, weir_bpf_open(&self->s.bpf, &opts));
	EXPECT_NE(NULL, strstr(self->s.reason, "weir_steer is a foreign program"))
		TH_LOG("%s", self->s.reason);
	/* And nothing was touched. */
	EXPECT_TRUE(pin_is(&self->s, "weir_meta"));
	EXPECT_EQ(1, weir_bpf_clean_stale(self->s.name));
}

TEST_F(bpf, a_map_laid_out_otherwise_is_refused_by_name)
{
	struct weir_bpf_opts opts;
	int fd;

	ASSERT_EQ(0, service_killed(&self->s, 2));
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "weir_admin", 4, 16, 2, NULL);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, pin_swap(&self->s, "weir_admin", fd));
	adopt_opts(&self->s, &opts, 2);
	EXPECT_EQ(-EPROTO, weir_bpf_open(&self->s.bpf, &opts));
	EXPECT_NE(NULL, strstr(self->s.reason, "/weir_admin is laid out otherwise"))
		TH_LOG("%s", self->s.reason);
	EXPECT_TRUE(pin_is(&self->s, "weir_meta"));
	EXPECT_EQ(1, weir_bpf_clean_stale(self->s.name));
}

TEST_F(bpf, a_link_with_a_foreign_program_is_refused_by_name)
{
	struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	struct weir_bpf_opts opts;
	int fd, link;

	ASSERT_EQ(0, service_killed(&self->s, 2));
	link = pin_get(&self->s, "weir_link_ops");
	if (link < 0) {
		weir_bpf_clean_stale(self->s.name);
		SKIP(return, "no flows here");
	}
	fd = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "stranger", "GPL", insns, 2, NULL);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, bpf_link_update(link, fd, NULL));
	close(fd);
	close(link);
	adopt_opts(&self->s, &opts, 2);
	EXPECT_EQ(-EBADMSG, weir_bpf_open(&self->s.bpf, &opts));
	EXPECT_NE(NULL, strstr(self->s.reason, "weir_link_ops holds a foreign program: stranger"))
		TH_LOG("%s", self->s.reason);
	EXPECT_EQ(1, weir_bpf_clean_stale(self->s.name));
}

/* The second owner of the first one's listeners: what a takeover does, step by step. */
static int successor_open(struct service *old, struct service *s)
{
	int lock = old->st->ops->lock(old->st);
	struct weir_bpf_opts opts;

	memcpy(s->name, old->name, sizeof(s->name));
	adopt_opts(s, &opts, old->workers);
	opts.lock = &lock;
	return weir_bpf_open(&s->bpf, &opts);
}

static int successor_join(struct service *old, struct service *s)
{
	unsigned int i;
	int err = 0;

	s->st = weir_bpf_steering(s->bpf);
	s->workers = old->workers;
	s->family = old->family;
	s->port = old->port;
	for (i = 0; i < s->workers && !err; i++) {
		s->fd[i] = dup(old->fd[i]);
		err = s->fd[i] < 0 ? -errno : s->st->ops->join(s->st, i, s->fd[i]);
	}
	return err;
}

TEST_F(bpf, a_live_owner_yields_maps_lock_and_listeners_without_a_gap)
{
	unsigned int got[WORKERS], i;
	struct weir_bpf_opts opts;
	struct service third = {};

	ASSERT_EQ(0, service_open(&self->s, "-live", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	weir_bpf_cfg(self->s.bpf)->rtx_quiet_ns = MARK;
	ASSERT_EQ(0, spread(&self->s, 4, got));
	ASSERT_EQ(0, successor_open(&self->s, &self->other)) TH_LOG("%s", self->other.reason);
	EXPECT_EQ(WEIR_BPF_TAKEN, status_of(&self->other).adopted);
	/* Nothing has changed for the old one so far. */
	ASSERT_EQ(0, spread(&self->s, 4, got));
	ASSERT_EQ(0, successor_join(&self->s, &self->other));
	ASSERT_EQ(0, self->s.st->ops->yield(self->s.st, 1));
	/* What the old one writes from now on is not seen. */
	row(&self->s, 0)->state = WEIR_DEAD;
	row(&self->s, 1)->state = WEIR_DEAD;
	EXPECT_EQ(WEIR_PARKED, row(&self->other, 0)->state);
	/* But what it accepted until it had ceased to listen counts. */
	row(&self->s, 0)->accepted++;
	for (i = 0; i < 2; i++)
		self->s.st->ops->leave(self->s.st, i);
	ASSERT_EQ(0, self->s.st->ops->yield(self->s.st, 1));
	EXPECT_EQ(WEIR_PARKED, row(&self->other, 0)->state);
	ASSERT_EQ(0, self->other.st->ops->seal(self->other.st));
	ASSERT_EQ(0, spread(&self->other, 4, got));
	service_close(&self->s);
	EXPECT_TRUE(pin_is(&self->other, "weir_meta"));
	adopt_opts(&self->other, &opts, 2);
	EXPECT_EQ(-EADDRINUSE, weir_bpf_open(&third.bpf, &opts));
	ASSERT_EQ(0, spread(&self->other, 4, got));
	EXPECT_EQ(16, picked(&self->other));
	EXPECT_EQ(17, row(&self->other, 0)->accepted + row(&self->other, 1)->accepted);
	EXPECT_EQ(MARK, weir_bpf_cfg(self->other.bpf)->rtx_quiet_ns);
	service_close(&self->other);
	EXPECT_FALSE(pin_is(&self->other, ""));
}

TEST_F(bpf, a_successor_that_gives_up_leaves_the_owner_as_he_was)
{
	unsigned int got[WORKERS];

	ASSERT_EQ(0, service_open(&self->s, "-up", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	ASSERT_EQ(0, successor_open(&self->s, &self->other)) TH_LOG("%s", self->other.reason);
	weir_bpf_close(self->other.bpf);
	self->other.bpf = NULL;
	ASSERT_EQ(0, spread(&self->s, 4, got));
	EXPECT_EQ(4, picked(&self->s));
	EXPECT_TRUE(pin_is(&self->s, "weir_steer"));
	EXPECT_EQ(-EADDRINUSE, weir_bpf_clean_stale(self->s.name));
	service_close(&self->s);
	EXPECT_FALSE(pin_is(&self->s, ""));
}

/* Memory for so many more pages, and no more. */
static int pages_limit(unsigned int pages, struct rlimit *old)
{
	struct rlimit limit;
	unsigned long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file) &&
	       sscanf(line, "VmData: %lu kB", &kib) != 1)
		;
	if (!file || fclose(file) || !kib || getrlimit(RLIMIT_DATA, old))
		return -1;
	limit = *old;
	limit.rlim_cur = (kib << 10) + pages * (unsigned long)getpagesize();
	return setrlimit(RLIMIT_DATA, &limit);
}

TEST_F(bpf, an_owner_without_memory_to_yield_has_not_yielded_at_all)
{
	struct weir_bpf_worker w;
	unsigned int got[WORKERS];
	struct rlimit old;
	int err;

	ASSERT_EQ(0, service_open(&self->s, "-full", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	ASSERT_EQ(0, pages_limit(2, &old));
	err = self->s.st->ops->yield(self->s.st, 1);
	ASSERT_EQ(0, setrlimit(RLIMIT_DATA, &old));
	ASSERT_EQ(-ENOMEM, err);
	row(&self->s, 1)->inflight = 42;
	ASSERT_EQ(0, worker_read(&self->s, 1, &w));
	EXPECT_EQ(42, w.row.inflight);
	ASSERT_EQ(0, spread(&self->s, 4, got));
	EXPECT_EQ(4, got[0]);
	service_close(&self->s);
}

static int meta_major(const struct service *s, uint32_t major)
{
	int fd = pin_get(s, "weir_meta");
	struct weir_meta meta;
	uint32_t zero = 0;

	if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &meta))
		return -1;
	meta.abi_major = major;
	if (bpf_map_update_elem(fd, &zero, &meta, BPF_ANY))
		return -1;
	return close(fd);
}

TEST_F(bpf, another_abi_lives_in_a_generation_of_its_own_until_the_old_one_left)
{
	struct weir_bpf_view *view;
	unsigned int got[WORKERS], i;

	ASSERT_EQ(0, service_open(&self->s, "-gen", 2, WEIR_POLICY_LEAST, FOREVER_NS, AF_INET));
	ASSERT_EQ(0, meta_major(&self->s, WEIR_ABI_MAJOR + 1));
	EXPECT_EQ(-EPROTO, weir_bpf_view_open(&view, self->s.name));
	ASSERT_EQ(0, successor_open(&self->s, &self->other)) TH_LOG("%s", self->other.reason);
	EXPECT_EQ(WEIR_BPF_NEW, status_of(&self->other).adopted);
	EXPECT_EQ(1, status_of(&self->other).generation);
	EXPECT_TRUE(pin_is(&self->s, "weir_meta"));
	EXPECT_TRUE(pin_is(&self->s, "1/weir_meta"));
	ASSERT_EQ(0, spread(&self->s, 4, got));
	ASSERT_EQ(0, successor_join(&self->s, &self->other));
	for (i = 0; i < 2; i++) {
		row(&self->other, i)->state = WEIR_PARKED;
		self->s.st->ops->leave(self->s.st, i);
	}
	ASSERT_EQ(0, self->other.st->ops->seal(self->other.st));
	ASSERT_EQ(0, spread(&self->other, 4, got));
	EXPECT_EQ(4, picked(&self->other));
	service_close(&self->s);
	EXPECT_FALSE(pin_is(&self->other, "weir_meta"));
	EXPECT_TRUE(pin_is(&self->other, "1/weir_meta"));
	EXPECT_EQ(-EADDRINUSE, weir_bpf_clean_stale(self->other.name));
	ASSERT_EQ(0, spread(&self->other, 4, got));
	service_close(&self->other);
	EXPECT_FALSE(pin_is(&self->other, ""));
}

TEST_F(bpf, generations_of_dead_owners_are_cleaned)
{
	int status;
	pid_t pid;

	snprintf(self->s.name, sizeof(self->s.name), "test-%d-gens", runner);
	pid = fork();
	if (!pid) {
		if (service_open(&self->s, "-gens", 2, WEIR_POLICY_LEAST, 0, AF_INET) ||
		    meta_major(&self->s, WEIR_ABI_MAJOR + 1) ||
		    successor_open(&self->s, &self->other))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_TRUE(pin_is(&self->s, "1/weir_meta"));
	EXPECT_EQ(1, weir_bpf_clean_stale(self->s.name));
	EXPECT_FALSE(pin_is(&self->s, ""));
}

TEST_F(bpf, a_lock_of_another_directory_is_refused)
{
	struct weir_bpf_opts opts;
	int lock = open("/tmp", O_RDONLY | O_DIRECTORY);

	snprintf(self->s.name, sizeof(self->s.name), "test-%d-lock", runner);
	adopt_opts(&self->s, &opts, 2);
	opts.lock = &lock;
	EXPECT_EQ(-EINVAL, weir_bpf_open(&self->s.bpf, &opts));
	EXPECT_NE(NULL, strstr(self->s.reason, "not the lock")) TH_LOG("%s", self->s.reason);
	opts.flags = 0;
	EXPECT_EQ(-EINVAL, weir_bpf_open(&self->s.bpf, &opts));
}

/* a worker that is a process */

/* Its part of a takeover that comes to nothing, a step at a time. */
static void worker_process(struct weir_steering *base, int go, int done)
{
	struct weir_steering *share;
	char step = 0;
	int err = weir_steering_share(&share, base, 1);

	while (!err && read(go, &step, 1) == 1) {
		switch (step) {
		case 0:
			share->ops->row(share, 0)->accepted = 5;
			err = share->ops->yield(share, 1);
			break;
		case 1:
			share->ops->row(share, 0)->accepted = 7;
			share->ops->hist(share, 0)->queue[3] = 9;
			/* Not its own. */
			base->ops->row(base, 0)->accepted = 99;
			base->ops->cfg(base)->rtx_quiet_ns = 99;
			break;
		case 2:
			err = share->ops->yield(share, 1);
			break;
		case 3:
			err = share->ops->resume(share);
			share->ops->row(share, 0)->conns = 3;
			break;
		}
		if (write(done, &step, 1) != 1)
			break;
	}
	_exit(err ? 1 : 0);
}

static bool step_done(const int *go, const int *done, char step)
{
	char answer;

	return write(go[1], &step, 1) == 1 && read(done[0], &answer, 1) == 1 && answer == step;
}

static uint64_t accepted_there(const struct service *s, unsigned int worker)
{
	struct weir_bpf_worker w;

	return worker_read(s, worker, &w) ? ~0ULL : w.row.accepted;
}

TEST_F(bpf, a_workers_process_goes_apart_and_comes_back)
{
	struct weir_worker_row theirs = { .accepted = 1000 };
	int go[2], done[2], fd, status, err;
	struct weir_bpf_worker w;
	uint32_t i;
	pid_t pid;

	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, pipe2(go, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(done, O_CLOEXEC));
	weir_bpf_cfg(self->s.bpf)->rtx_quiet_ns = MARK;
	pid = fork();
	if (!pid) {
		close(go[1]);
		close(done[0]);
		worker_process(self->s.st, go[0], done[1]);
	}
	close(go[0]);
	close(done[1]);
	ASSERT_EQ(0, self->s.st->ops->yield(self->s.st, 1));
	ASSERT_TRUE(step_done(go, done, 0));
	ASSERT_TRUE(step_done(go, done, 1));
	/* What it writes now nobody sees, and then what it has accepted. */
	EXPECT_EQ(5, accepted_there(&self->s, 1));
	ASSERT_TRUE(step_done(go, done, 2));
	EXPECT_EQ(7, accepted_there(&self->s, 1));
	EXPECT_EQ(0, accepted_there(&self->s, 0));
	ASSERT_EQ(0, self->s.st->ops->yield(self->s.st, 1));
	EXPECT_EQ(7, row(&self->s, 1)->accepted);
	/* A successor who fails. */
	fd = map_open(&self->s, "weir_worker");
	ASSERT_LE(0, fd);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, bpf_map_update_elem(fd, &i, &theirs, BPF_ANY));
	close(fd);
	/* The parent is first, and has what its child has told. */
	ASSERT_EQ(0, self->s.st->ops->resume(self->s.st));
	EXPECT_EQ(7, accepted_there(&self->s, 1));
	EXPECT_EQ(0, accepted_there(&self->s, 0));
	ASSERT_TRUE(step_done(go, done, 3));
	ASSERT_EQ(0, worker_read(&self->s, 1, &w));
	EXPECT_EQ(7, w.row.accepted);
	EXPECT_EQ(3, w.row.conns);
	EXPECT_EQ(9, w.hist.queue[3]);
	EXPECT_EQ(0, accepted_there(&self->s, 0));
	EXPECT_EQ(MARK, weir_bpf_cfg(self->s.bpf)->rtx_quiet_ns);
	close(go[1]);
	err = waitpid(pid, &status, 0) == pid ? status : -1;
	EXPECT_EQ(0, err);
}

TEST_HARNESS_MAIN
