// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_bpf_instance.c - pins, owners, names, and what is missing
 */
#include "bpf_service.h"

TEST_F(bpf, pins_are_private)
{
	static const char *const names[] = {
		"weir_meta", "weir_worker", "weir_cfg", "weir_pending", "weir_listener",
		"weir_socks", "weir_socks6", "weir_flow", "weir_own", "weir_events",
		"weir_observe", "weir_recent", "weir_stats", "weir_steer", "weir_link_ops",
	};
	struct weir_bpf_status status = { .sz = sizeof(status) };
	struct stat st;
	char path[512];
	size_t i;

	umask(0);
	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	ASSERT_EQ(0, stat(status.dir, &st));
	EXPECT_EQ(0700, st.st_mode & 07777);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", status.dir, names[i]);
		ASSERT_EQ(0, stat(path, &st)) TH_LOG("%s", path);
		EXPECT_EQ(0600, st.st_mode & 07777) TH_LOG("%s", path);
	}
	service_close(&self->s);
	EXPECT_EQ(-1, stat(status.dir, &st));
	EXPECT_EQ(-1, stat(status.cgroup, &st));
}

TEST_F(bpf, pins_are_for_the_group)
{
	struct weir_bpf_opts opts = { .sz = sizeof(opts), .flags = WEIR_BPF_GROUP, .gid = 65534 };
	struct weir_bpf_status status = { .sz = sizeof(status) };
	struct weir_bpf_worker worker;
	struct weir_bpf_view *view;
	struct stat st;
	char path[512];

	snprintf(self->s.name, sizeof(self->s.name), "test-%d", runner);
	opts.name = self->s.name;
	ASSERT_EQ(0, weir_bpf_open(&self->s.bpf, &opts));
	self->s.st = weir_bpf_steering(self->s.bpf);
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	snprintf(path, sizeof(path), "%s/weir_worker", status.dir);
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_EQ(0640, st.st_mode & 07777);
	EXPECT_EQ(65534, st.st_gid);
	ASSERT_EQ(0, setegid(65534));
	ASSERT_EQ(0, seteuid(65534));
	EXPECT_EQ(-EACCES, bpf_obj_get(path));
	ASSERT_EQ(0, weir_bpf_view_open(&view, self->s.name));
	EXPECT_EQ(0, weir_bpf_view_worker(view, 0, &worker));
	weir_bpf_view_close(view);
	ASSERT_EQ(0, seteuid(0));
	ASSERT_EQ(0, setegid(0));
}

TEST_F(bpf, bpftool_prints_names)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	char command[600], text[4096];
	size_t len;
	FILE *pipe;

	if (system("command -v bpftool >/dev/null 2>&1"))
		SKIP(return, "no bpftool");
	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	snprintf(command, sizeof(command), "bpftool -j map dump pinned %s/weir_worker",
		 status.dir);
	pipe = popen(command, "r");
	ASSERT_NE(NULL, pipe);
	len = fread(text, 1, sizeof(text) - 1, pipe);
	text[len] = '\0';
	EXPECT_EQ(0, pclose(pipe));
	EXPECT_NE(NULL, strstr(text, "WEIR_PARKED")) TH_LOG("%s", text);
	EXPECT_NE(NULL, strstr(text, "loop_ns"));
}

static int instance_find(void *ctx, const struct weir_bpf_instance *instance)
{
	return strcmp(instance->name, ctx) ? 0 : 1 + instance->alive;
}

/* A process that opens the instance and then lives until it is told to die. */
static pid_t owner_start_other(const char *name)
{
	struct weir_bpf_opts opts = { .sz = sizeof(opts), .name = name };
	struct weir_bpf *bpf;
	int done[2], err;
	char byte;
	pid_t pid;

	if (pipe(done))
		return -1;
	pid = fork();
	if (pid == 0) {
		err = weir_bpf_open(&bpf, &opts);
		byte = !!err;
		if (write(done[1], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	close(done[1]);
	if (read(done[0], &byte, 1) != 1 || byte)
		pid = -1;
	close(done[0]);
	return pid;
}

TEST_F(bpf, dead_owner_is_cleaned_live_one_refused)
{
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .name = self->s.name,
		.reason = self->s.reason, .reason_bytes = sizeof(self->s.reason),
	};
	pid_t pid;

	snprintf(self->s.name, sizeof(self->s.name), "test-%d-own", runner);
	pid = owner_start_other(self->s.name);
	ASSERT_LT(0, pid);
	EXPECT_EQ(2, weir_bpf_list(instance_find, self->s.name));
	EXPECT_EQ(-EADDRINUSE, weir_bpf_clean_stale(self->s.name));
	EXPECT_EQ(-EADDRINUSE, weir_bpf_open(&self->s.bpf, &opts));
	EXPECT_NE(NULL, strstr(self->s.reason, "is alive"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(1, weir_bpf_list(instance_find, self->s.name));
	EXPECT_EQ(1, weir_bpf_clean_stale(self->s.name));
	EXPECT_EQ(0, weir_bpf_list(instance_find, self->s.name));
	EXPECT_EQ(-ENOENT, weir_bpf_clean_stale(self->s.name));
	pid = owner_start_other(self->s.name);
	ASSERT_LT(0, pid);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ASSERT_EQ(0, weir_bpf_open(&self->s.bpf, &opts)) TH_LOG("%s", self->s.reason);
	self->s.st = weir_bpf_steering(self->s.bpf);
}

TEST_F(bpf, foreign_directory_is_refused)
{
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .name = self->s.name,
		.reason = self->s.reason, .reason_bytes = sizeof(self->s.reason),
	};
	char dir[128], pin[160];
	int map;

	snprintf(self->s.name, sizeof(self->s.name), "test-%d-alien", runner);
	snprintf(dir, sizeof(dir), "/sys/fs/bpf/weir/%s", self->s.name);
	snprintf(pin, sizeof(pin), "%s/theirs", dir);
	/* One that was killed had this number before. */
	unlink(pin);
	rmdir(dir);
	ASSERT_EQ(0, mkdir(dir, 0700));
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "theirs", 4, 4, 1, NULL);
	ASSERT_EQ(0, bpf_obj_pin(map, pin));
	EXPECT_EQ(-EEXIST, weir_bpf_open(&self->s.bpf, &opts));
	EXPECT_NE(NULL, strstr(self->s.reason, "not weir's"));
	EXPECT_EQ(-EEXIST, weir_bpf_clean_stale(self->s.name));
	EXPECT_EQ(0, access(pin, F_OK));
	unlink(pin);
	rmdir(dir);
}

TEST_F(bpf, bad_options_are_refused)
{
	static const char *const names[] = {
		"", "a/b", ".", "..", "a.b", "../x", "a b",
		"0123456789012345678901234567890x",
	};
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .reason = self->s.reason,
		.reason_bytes = sizeof(self->s.reason),
	};
	struct weir_bpf_view *view;
	struct weir_bpf *bpf = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		opts.name = names[i];
		self->s.reason[0] = '\0';
		EXPECT_EQ(-EINVAL, weir_bpf_open(&bpf, &opts)) TH_LOG("\"%s\"", names[i]);
		EXPECT_NE(NULL, strstr(self->s.reason, "instance name"));
		EXPECT_EQ(-EINVAL, weir_bpf_view_open(&view, names[i]));
		EXPECT_EQ(-EINVAL, weir_bpf_clean_stale(names[i]));
	}
	opts.name = "test-options";
	opts.workers = WEIR_WORKERS_MAX + 1;
	EXPECT_EQ(-EINVAL, weir_bpf_open(&bpf, &opts));
	opts.workers = 1;
	opts.policy = WEIR_POLICY_WEIGHTED + 1;
	EXPECT_EQ(-EINVAL, weir_bpf_open(&bpf, &opts));
	opts.policy = WEIR_POLICY_HASH;
	opts.ring_bytes = 5000;
	EXPECT_EQ(-EINVAL, weir_bpf_open(&bpf, &opts));
	EXPECT_EQ(NULL, bpf);
}

/* One by one: in a chroot "/" need not be a mount. */
static void make_private(void)
{
	FILE *file = fopen("/proc/self/mountinfo", "r");
	char line[1024], path[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*s %*s %*s %*s %255s", path) == 1)
			mount(NULL, path, NULL, MS_PRIVATE, NULL);
	}
	if (file)
		fclose(file);
}

/* Take every mount of a type away, in a mount namespace of our own. */
static int unmount_all(const char *type)
{
	char line[1024], path[256], *dash;
	int count;
	FILE *file;

	if (unshare(CLONE_NEWNS))
		return -errno;
	make_private();
	do {
		count = 0;
		file = fopen("/proc/self/mountinfo", "r");
		while (file && fgets(line, sizeof(line), file)) {
			dash = strstr(line, " - ");
			if (!dash || strncmp(dash + 3, type, strlen(type)) ||
			    dash[3 + strlen(type)] != ' ')
				continue;
			if (sscanf(line, "%*s %*s %*s %*s %255s", path) == 1 &&
			    !umount2(path, MNT_DETACH))
				count++;
		}
		if (file)
			fclose(file);
	} while (count);
	return 0;
}

/* A bpffs of this process alone, where nothing was made yet. */
static int bpffs_private(void)
{
	if (unshare(CLONE_NEWNS))
		return -errno;
	make_private();
	return mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=1777") ? -errno : 0;
}

static int everywhere_refused(const char *name)
{
	struct weir_bpf_opts opts = { .sz = sizeof(opts), .name = name };
	struct weir_bpf_view *view;
	struct weir_bpf *bpf;

	return weir_bpf_clean_stale(NULL) == -EXDEV && weir_bpf_clean_stale(name) == -EXDEV &&
	       weir_bpf_list(instance_find, (void *)name) == -EXDEV &&
	       weir_bpf_view_open(&view, name) == -EXDEV &&
	       weir_bpf_open(&bpf, &opts) == -EXDEV;
}

/* Anybody may plant a link in a bpffs: nothing behind it may be touched. */
TEST_F(bpf, planted_link_is_not_followed)
{
	char dir[] = "/tmp/weir-victim-XXXXXX", victim[64];
	struct stat st;

	ASSERT_EQ(0, bpffs_private());
	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(victim, sizeof(victim), "%s/empty", dir);
	ASSERT_EQ(0, mkdir(victim, 0700));
	ASSERT_EQ(0, symlink(dir, "/sys/fs/bpf/weir"));
	EXPECT_TRUE(everywhere_refused("empty"));
	EXPECT_EQ(0, stat(victim, &st));
	ASSERT_EQ(0, unlink("/sys/fs/bpf/weir"));
	ASSERT_EQ(0, mkdir("/sys/fs/bpf/weir", 0755));
	ASSERT_EQ(0, symlink(victim, "/sys/fs/bpf/weir/empty"));
	EXPECT_EQ(-EXDEV, weir_bpf_clean_stale("empty"));
	EXPECT_EQ(0, weir_bpf_clean_stale(NULL));
	EXPECT_EQ(0, stat(victim, &st));
	EXPECT_EQ(0, rmdir(victim));
	EXPECT_EQ(0, rmdir(dir));
}

TEST_F(bpf, directory_of_another_is_refused)
{
	struct stat st;

	ASSERT_EQ(0, bpffs_private());
	ASSERT_EQ(0, mkdir("/sys/fs/bpf/weir", 0755));
	ASSERT_EQ(0, mkdir("/sys/fs/bpf/weir/empty", 0755));
	ASSERT_EQ(0, chown("/sys/fs/bpf/weir", 65534, 65534));
	EXPECT_TRUE(everywhere_refused("empty"));
	ASSERT_EQ(0, chown("/sys/fs/bpf/weir", 0, 0));
	ASSERT_EQ(0, chmod("/sys/fs/bpf/weir", 0777));
	EXPECT_TRUE(everywhere_refused("empty"));
	ASSERT_EQ(0, chmod("/sys/fs/bpf/weir", 0755));
	ASSERT_EQ(0, chown("/sys/fs/bpf/weir/empty", 65534, 65534));
	EXPECT_EQ(-EXDEV, weir_bpf_clean_stale("empty"));
	EXPECT_EQ(0, weir_bpf_clean_stale(NULL));
	EXPECT_EQ(0, stat("/sys/fs/bpf/weir/empty", &st));
	/* What a crash between mkdir and the first pin leaves. */
	ASSERT_EQ(0, chown("/sys/fs/bpf/weir/empty", 0, 0));
	EXPECT_EQ(1, weir_bpf_clean_stale(NULL));
	EXPECT_EQ(-1, stat("/sys/fs/bpf/weir/empty", &st));
}

/* Alive is who holds the directory, whatever became of the process that made it. */
TEST_F(bpf, lock_tells_who_is_alive)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	struct weir_meta meta;
	uint32_t zero = 0;
	char path[512];
	int map;

	ASSERT_EQ(0, service_open(&self->s, "", 1, WEIR_POLICY_HASH, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	snprintf(path, sizeof(path), "%s/weir_meta", status.dir);
	map = bpf_obj_get(path);
	ASSERT_LE(0, map);
	ASSERT_EQ(0, bpf_map_lookup_elem(map, &zero, &meta));
	meta.owner_pid = 1;
	meta.owner_start = 1;
	ASSERT_EQ(0, bpf_map_update_elem(map, &zero, &meta, BPF_ANY));
	EXPECT_EQ(2, weir_bpf_list(instance_find, self->s.name));
}

TEST_F(bpf, missing_bpffs_is_named)
{
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .reason = self->s.reason,
		.reason_bytes = sizeof(self->s.reason),
	};

	ASSERT_EQ(0, unmount_all("bpf"));
	EXPECT_EQ(-ENODEV, weir_bpf_open(&self->s.bpf, &opts));
	EXPECT_NE(NULL, strstr(self->s.reason, "bpffs is not mounted"));
	EXPECT_EQ(-ENODEV, weir_bpf_list(instance_find, "x"));
}

TEST_F(bpf, missing_cgroup2_costs_the_flows)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	unsigned int got[WORKERS];

	ASSERT_EQ(0, unmount_all("cgroup2"));
	ASSERT_EQ(0, service_open(&self->s, "", 2, WEIR_POLICY_LEAST, 0, AF_INET));
	ASSERT_EQ(0, weir_bpf_status(self->s.bpf, &status));
	EXPECT_EQ(WEIR_RUNG_STEER, status.rung);
	EXPECT_NE(NULL, strstr(status.why, "cgroup2"));
	EXPECT_LE(0, self->s.st->ops->signal_fd(self->s.st, 0));
	row(&self->s, 0)->inflight = 1;
	ASSERT_EQ(0, spread(&self->s, 10, got));
	EXPECT_EQ(10, got[1]);
	/* Stopped while parked: the length of its queue gives it away. */
	row(&self->s, 0)->inflight = 0;
	row(&self->s, 1)->inflight = 100;
	ASSERT_LE(0, connect_to(&self->s));
	self->s.st->ops->tick(self->s.st, now_ns());
	self->s.st->ops->tick(self->s.st, now_ns());
	weir_bpf_cfg(self->s.bpf)->stale_ns = 1;
	self->s.fd[0] = -self->s.fd[0];		/* poll() leaves it out */
	ASSERT_EQ(0, spread(&self->s, 10, got));
	self->s.fd[0] = -self->s.fd[0];
	EXPECT_EQ(10, got[1]);
}

TEST_F(bpf, missing_capability_is_named)
{
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .reason = self->s.reason,
		.reason_bytes = sizeof(self->s.reason),
	};

	ASSERT_EQ(0, caps_keep(1ULL << CAP_NET_ADMIN | 1ULL << CAP_DAC_OVERRIDE));
	EXPECT_EQ(-EPERM, weir_bpf_open(&self->s.bpf, &opts));
	EXPECT_NE(NULL, strstr(self->s.reason, "CAP_BPF"));
}

TEST_F(bpf, nobody_is_told_what_is_missing)
{
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .reason = self->s.reason,
		.reason_bytes = sizeof(self->s.reason),
	};

	ASSERT_EQ(0, setresuid(65534, 65534, 65534));
	EXPECT_EQ(-EPERM, weir_bpf_open(&self->s.bpf, &opts));
	EXPECT_NE(NULL, strstr(self->s.reason, "CAP_BPF")) TH_LOG("%s", self->s.reason);
}

static int probe_seen(void *ctx, const struct weir_bpf_probe *probe)
{
	unsigned int *yes = ctx;

	*yes += probe->ok;
	return !probe->ok && !probe->why[0];	/* a no has a reason */
}

TEST_F(bpf, probes_agree_with_what_runs)
{
	unsigned int yes = 0;

	EXPECT_EQ(0, weir_bpf_probes(probe_seen, &yes));
	EXPECT_LE(4, yes);
}

TEST_HARNESS_MAIN
