// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* doctor_machine.c - limits, switches, privileges, and the library's own view */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weir/loop.h>

#include "common.h"
#include "doctor.h"
#include "privilege.h"

#ifndef CAP_PERFMON
#define CAP_PERFMON	38
#endif
#ifndef CAP_BPF
#define CAP_BPF		39
#endif

#define MEMLOCK_WANTED	(8ULL << 20)
#define NOFILE_WANTED	4096
#define SOMAXCONN_WANTED 4096
#define FOREIGN_MAX	16

/* The first line of a file, without its newline; false if there is none. */
static bool read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool ok;

	if (!file)
		return false;
	ok = fgets(line, (int)size, file);
	fclose(file);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

/* "Seccomp:" of this process: 0 none, 1 strict, 2 filter; -1 unknown. */
static int seccomp_mode(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	int mode = -1;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Seccomp: %d", &mode) == 1)
			break;
	fclose(file);
	return mode;
}

void doctor_refusal(int err, char *why)
{
	char value[32] = "0";
	int n;

	read_line("/proc/sys/kernel/io_uring_disabled", value, sizeof(value));
	n = snprintf(why, DOCTOR_WHY, "%s", weir_strerror(err));
	if (n < 0 || n >= DOCTOR_WHY)
		return;
	if (err == -ENOMEM)
		snprintf(why + n, (size_t)(DOCTOR_WHY - n), "; RLIMIT_MEMLOCK is too low");
	else if (strcmp(value, "0"))
		snprintf(why + n, (size_t)(DOCTOR_WHY - n), "; kernel.io_uring_disabled is %s",
			 value);
	else if (seccomp_mode() > 0)
		snprintf(why + n, (size_t)(DOCTOR_WHY - n),
			 "; a seccomp filter is in force, as containers have it");
	else if (err == -ENOSYS)
		snprintf(why + n, (size_t)(DOCTOR_WHY - n), "; this kernel was built without it");
}

/* the library's own view */

static void nop_done(struct weir_op *op)
{
}

static enum doctor_state try_loop(const char *backend, char *why)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = backend };
	struct weir_loop *loop;
	struct weir_op op = { 0 };
	int err = weir_loop_open(&loop, &opts);

	if (err == -EINVAL) {
		snprintf(why, DOCTOR_WHY, "not built in");
		return DOCTOR_NO;
	}
	if (err) {
		doctor_refusal(err, why);
		return DOCTOR_NO;
	}
	weir_prep_nop(&op, nop_done, NULL);
	weir_submit(loop, &op);
	err = weir_loop_run_until(loop, &op);
	weir_loop_close(loop, NS_PER_SEC);
	if (err)
		snprintf(why, DOCTOR_WHY, "%s", weir_strerror(err));
	return err ? DOCTOR_NO : DOCTOR_OK;
}

static enum doctor_state probe_uring(char *why)
{
	return try_loop("uring", why);
}

static enum doctor_state probe_epoll(char *why)
{
	return try_loop("epoll", why);
}

/* Two listeners on one port, as two workers have them. */
static enum doctor_state probe_reuseport(char *why)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd[2] = { -1, -1 };
	int i, one = 1, err = 0;

	for (i = 0; i < 2 && !err; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd[i] < 0 ||
		    setsockopt(fd[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ||
		    bind(fd[i], (struct sockaddr *)&sin, sizeof(sin)) || listen(fd[i], 1) ||
		    getsockname(fd[i], (struct sockaddr *)&sin, &len))
			err = errno;
	}
	for (i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	if (err)
		snprintf(why, DOCTOR_WHY, "%s", weir_strerror(-err));
	return err ? DOCTOR_NO : DOCTOR_OK;
}

/* switches */

static enum doctor_state probe_disabled(char *why)
{
	char value[32];

	if (!read_line("/proc/sys/kernel/io_uring_disabled", value, sizeof(value))) {
		snprintf(why, DOCTOR_WHY, "this kernel has no such switch");
		return DOCTOR_OK;
	}
	snprintf(why, DOCTOR_WHY, "kernel.io_uring_disabled is %s", value);
	return value[0] == '0' || (value[0] == '1' && privilege_has(CAP_SYS_ADMIN)) ?
	       DOCTOR_OK : DOCTOR_NO;
}

static enum doctor_state probe_seccomp(char *why)
{
	int mode = seccomp_mode();

	if (mode < 0) {
		snprintf(why, DOCTOR_WHY, "/proc/self/status does not tell");
		return DOCTOR_SKIP;
	}
	snprintf(why, DOCTOR_WHY, mode ? "a filter is in force" : "no filter");
	return mode ? DOCTOR_NO : DOCTOR_OK;
}

/* limits */

static enum doctor_state probe_limit(int which, unsigned long long wanted, bool exempt, char *why)
{
	struct rlimit lim;

	if (getrlimit((__rlimit_resource_t)which, &lim)) {
		snprintf(why, DOCTOR_WHY, "%s", weir_strerror(-errno));
		return DOCTOR_SKIP;
	}
	if (lim.rlim_max == RLIM_INFINITY)
		snprintf(why, DOCTOR_WHY, "no hard limit");
	else
		snprintf(why, DOCTOR_WHY, "hard limit %llu%s", (unsigned long long)lim.rlim_max,
			 exempt ? ", and this user is exempt" : "");
	return exempt || lim.rlim_max == RLIM_INFINITY || lim.rlim_max >= wanted ?
	       DOCTOR_OK : DOCTOR_NO;
}

static enum doctor_state probe_nofile(char *why)
{
	return probe_limit(RLIMIT_NOFILE, NOFILE_WANTED, false, why);
}

static enum doctor_state probe_memlock(char *why)
{
	return probe_limit(RLIMIT_MEMLOCK, MEMLOCK_WANTED, privilege_has(CAP_IPC_LOCK), why);
}

static enum doctor_state probe_somaxconn(char *why)
{
	char value[32];
	uint64_t n;

	if (!read_line("/proc/sys/net/core/somaxconn", value, sizeof(value)) ||
	    parse_number(value, 1000, &n)) {
		snprintf(why, DOCTOR_WHY, "/proc/sys/net/core/somaxconn does not tell");
		return DOCTOR_SKIP;
	}
	snprintf(why, DOCTOR_WHY, "net.core.somaxconn is %llu", (unsigned long long)n);
	return n >= SOMAXCONN_WANTED ? DOCTOR_OK : DOCTOR_NO;
}

/* privileges */

static enum doctor_state probe_cap(unsigned int cap, char *why)
{
	bool has = privilege_has(cap);

	snprintf(why, DOCTOR_WHY, has ? "in the effective set" : "not in the effective set");
	return has ? DOCTOR_OK : DOCTOR_NO;
}

static enum doctor_state probe_cap_bpf(char *why)
{
	return probe_cap(CAP_BPF, why);
}

static enum doctor_state probe_cap_net(char *why)
{
	return probe_cap(CAP_NET_ADMIN, why);
}

static enum doctor_state probe_cap_perfmon(char *why)
{
	return probe_cap(CAP_PERFMON, why);
}

/* Where the cgroup2 tree is mounted: the first line of that type. */
static bool cgroup2_root(char *path, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[1024], mount[256], *dash;
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		dash = strstr(line, " - ");
		if (dash && !strncmp(dash, " - cgroup2 ", 11) &&
		    sscanf(line, "%*s %*s %*s %*s %255s", mount) == 1)
			found = (size_t)snprintf(path, size, "%s", mount) < size;
	}
	fclose(file);
	return found;
}

/*
 * Other sockops programs on the root run on our connections too, and one after
 * ours can clear the callbacks that ours asked for.
 */
static enum doctor_state probe_foreign(char *why)
{
	__u32 ids[FOREIGN_MAX];
	union bpf_attr attr;
	char root[256];
	long err;
	int fd;

	if (!cgroup2_root(root, sizeof(root))) {
		snprintf(why, DOCTOR_WHY, "no cgroup2 tree is mounted");
		return DOCTOR_SKIP;
	}
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = (__u32)fd;
	attr.query.attach_type = BPF_CGROUP_SOCK_OPS;
	attr.query.prog_ids = (__u64)(uintptr_t)ids;
	attr.query.prog_cnt = FOREIGN_MAX;
	err = fd < 0 ? -1 : syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr));
	if (err)
		snprintf(why, DOCTOR_WHY, "%.100s: %s", root, weir_strerror(-errno));
	else if (attr.query.prog_cnt)
		snprintf(why, DOCTOR_WHY, "%u on %.100s, the first has id %u", attr.query.prog_cnt,
			 root, ids[0]);
	else
		snprintf(why, DOCTOR_WHY, "none on %.100s", root);
	if (fd >= 0)
		close(fd);
	if (err)
		return DOCTOR_SKIP;
	return attr.query.prog_cnt ? DOCTOR_NO : DOCTOR_OK;
}

const struct doctor_probe doctor_machine[] = {
	{ "loop.epoll", "loop", DOCTOR_SERVE, DOCTOR_REQUIRED, probe_epoll,
	  "the backend that works everywhere", "allow epoll_create1 and eventfd2 here" },
	{ "loop.uring", "loop", DOCTOR_SERVE, DOCTOR_OPTIONAL, probe_uring,
	  "the uring backend: fewer system calls, registered files and buffers",
	  "see the io_uring lines; or build with liburing (./scripts/deps install)" },
	{ "net.reuseport", "net", DOCTOR_SERVE, DOCTOR_REQUIRED, probe_reuseport,
	  "one listener for each worker", "a kernel with SO_REUSEPORT" },
	{ "net.somaxconn", "net", DOCTOR_SERVE, DOCTOR_PERF, probe_somaxconn,
	  "a long accept queue for bursts of clients", "sysctl net.core.somaxconn=4096" },
	{ "sys.io_uring_disabled", "limits", DOCTOR_SERVE, DOCTOR_OPTIONAL, probe_disabled,
	  "the uring backend", "sysctl kernel.io_uring_disabled=0" },
	{ "sys.seccomp", "limits", DOCTOR_SERVE, DOCTOR_PERF, probe_seccomp,
	  "nothing by itself: it explains refusals of io_uring and bpf",
	  "a container profile that allows io_uring_* and bpf" },
	{ "limit.nofile", "limits", DOCTOR_SERVE, DOCTOR_PERF, probe_nofile,
	  "connections: each takes a descriptor or a registered slot",
	  "ulimit -n, or LimitNOFILE= of the unit" },
	{ "limit.memlock", "limits", DOCTOR_SERVE, DOCTOR_PERF, probe_memlock,
	  "registered buffers", "ulimit -l, or LimitMEMLOCK= of the unit" },
	{ "cap.bpf", "privilege", DOCTOR_SERVE, DOCTOR_OPTIONAL, probe_cap_bpf,
	  "steering by load", "run as root, or give CAP_BPF" },
	{ "cap.net_admin", "privilege", DOCTOR_SERVE, DOCTOR_OPTIONAL, probe_cap_net,
	  "flows and pending counts", "run as root, or give CAP_NET_ADMIN" },
	{ "cap.perfmon", "privilege", DOCTOR_SERVE, DOCTOR_OPTIONAL, probe_cap_perfmon,
	  "queue lengths of flows", "run as root, or give CAP_PERFMON" },
	{ "bpf.foreign", "bpf", DOCTOR_SERVE, DOCTOR_PERF, probe_foreign,
	  "flows that nobody else disturbs",
	  "bpftool cgroup tree tells whose programs they are" },
	{ .id = NULL }
};
