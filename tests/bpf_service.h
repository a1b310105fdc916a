/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bpf_service.h - a service played by a test: instance, listeners, workers' rows
 *
 * Each test has a network namespace of its own and plays the workers itself: it
 * writes the rows that a worker would write, so that hung, parked and loaded
 * workers are states and not accidents of timing.
 */
#ifndef TESTS_BPF_SERVICE_H
#define TESTS_BPF_SERVICE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>

#include <weir/bpf.h>

#include "again.h"
#include "kselftest_harness.h"

#ifndef WORKERS
#define WORKERS		8	/* as many as a test needs at most */
#endif
#define FOREVER_NS	(3600ULL * 1000000000ULL)
#define WAIT_MS		10000

struct service {
	struct weir_bpf *bpf;
	struct weir_steering *st;
	char name[WEIR_NAME_BYTES];
	char reason[256];
	int fd[WORKERS];
	unsigned int workers;
	int family;
	uint16_t port;
	uint32_t vips_max;		/* to be set before it is opened */
};

/* The process that runs the tests: it is left when one of them is killed. */
static pid_t runner;

static inline int mine_clean(void *ctx, const struct weir_bpf_instance *instance)
{
	size_t len = strlen(ctx);

	if (!strncmp(instance->name, ctx, len) && strchr("-", instance->name[len]))
		weir_bpf_clean_stale(instance->name);
	return 0;
}

/* What failed or killed tests left: pins would outlive them for ever. */
static inline void runner_clean(void)
{
	char name[WEIR_NAME_BYTES];

	if (getpid() != runner)
		return;
	snprintf(name, sizeof(name), "test-%d", runner);
	weir_bpf_list(mine_clean, name);
	snprintf(name, sizeof(name), "try-%d", runner);
	weir_bpf_list(mine_clean, name);
}

static void __attribute__((constructor)) runner_note(void)
{
	runner = getpid();
	atexit(runner_clean);
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static inline int netns_private(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, err;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = ioctl(fd, SIOCSIFFLAGS, &ifr) ? -errno : 0;
	close(fd);
	return err;
}

/* net/if.h and linux/ipv6.h do not go together. */
struct ifreq6 {
	struct in6_addr addr;
	uint32_t prefix_bits;
	int index;
};

/* Nobody is asked on loopback whether an address is free, but a worker of the kernel must run. */
static inline int lo_add6(const char *text)
{
	struct ifreq6 req = { .prefix_bits = 128, .index = (int)if_nametoindex("lo") };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;

	if (fd < 0 || inet_pton(AF_INET6, text, &req.addr) != 1)
		return -EINVAL;
	addr.sin6_addr = req.addr;
	err = ioctl(fd, SIOCSIFADDR, &req) ? -errno : 0;
	while (!err && bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		if (errno != EADDRNOTAVAIL || now_ns() > end)
			err = -errno;
		sched_yield();
	}
	close(fd);
	return err;
}

static inline socklen_t addr_fill(struct sockaddr_storage *addr, int family, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;

	memset(addr, 0, sizeof(*addr));
	addr->ss_family = family;
	if (family == AF_INET) {
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in->sin_port = htons(port);
		return sizeof(*in);
	}
	in6->sin6_addr = in6addr_loopback;
	in6->sin6_port = htons(port);
	return sizeof(*in6);
}

static inline int listen_at(int family, uint16_t *port)
{
	struct sockaddr_storage addr;
	socklen_t len = addr_fill(&addr, family, *port);
	int one = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&addr, len) || listen(fd, 512) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len)) {
		close(fd);
		return -errno;
	}
	*port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
	return fd;
}

/* By an explicit port: one that the kernel chose is lost on shutdown and listen. */
static inline int listen_on(int family, uint16_t *port)
{
	int fd = *port ? -1 : listen_at(family, port);

	if (fd >= 0)
		close(fd);
	return listen_at(family, port);
}

static inline int connect_to(const struct service *s)
{
	struct sockaddr_storage addr;
	socklen_t len = addr_fill(&addr, s->family, s->port);
	int fd = socket(s->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, len)) {
		close(fd);
		return -1;
	}
	return fd;
}

static inline struct weir_worker_row *row(const struct service *s, unsigned int worker)
{
	return s->st->ops->row(s->st, worker);
}

/* Listeners for an instance that is open; every worker parked. */
static inline int service_join(struct service *s, int family, unsigned int workers)
{
	unsigned int i;
	int err;

	s->st = weir_bpf_steering(s->bpf);
	s->workers = workers;
	s->family = family;
	for (i = 0; i < workers; i++) {
		s->fd[i] = listen_on(family, &s->port);
		if (s->fd[i] < 0)
			return s->fd[i];
		err = s->st->ops->join(s->st, i, s->fd[i]);
		if (err)
			return err;
		row(s, i)->state = WEIR_PARKED;
	}
	return s->st->ops->seal(s->st);
}

/* Load, listen, steer; every worker parked. */
static inline int service_open(struct service *s, const char *suffix, unsigned int workers,
			       enum weir_policy policy, uint64_t stale_ns, int family)
{
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .name = s->name, .policy = policy, .workers = workers,
		.stale_ns = stale_ns, .reason = s->reason, .reason_bytes = sizeof(s->reason),
		.vips_max = s->vips_max,
	};
	int err;

	snprintf(s->name, sizeof(s->name), "test-%d%s", runner, suffix);
	err = weir_bpf_open(&s->bpf, &opts);
	if (err)
		return err;
	return service_join(s, family, workers);
}

static inline void service_close(struct service *s)
{
	unsigned int i;

	if (!s->bpf)
		return;
	for (i = 0; i < s->workers; i++) {
		s->st->ops->leave(s->st, i);
		close(s->fd[i]);
	}
	s->st->ops->close(s->st);
	s->bpf = NULL;
}

/* The worker that a connection landed on, accepted; -1 when nobody has it. */
static inline int accept_any(const struct service *s, int *fdp)
{
	struct pollfd pfd[WORKERS];
	unsigned int i;

	for (i = 0; i < s->workers; i++)
		pfd[i] = (struct pollfd) { .fd = s->fd[i], .events = POLLIN };
	if (poll(pfd, s->workers, WAIT_MS) <= 0)
		return -1;
	for (i = 0; i < s->workers; i++) {
		if (!(pfd[i].revents & POLLIN))
			continue;
		*fdp = accept4(s->fd[i], NULL, NULL, SOCK_CLOEXEC);
		if (*fdp < 0)
			continue;
		row(s, i)->accepted++;
		return i;
	}
	return -1;
}

/* Connect, accept, close @count times; who got how many. -1: one was lost. */
static inline int spread(const struct service *s, unsigned int count, unsigned int got[WORKERS])
{
	int client, server, worker;

	memset(got, 0, WORKERS * sizeof(*got));
	while (count--) {
		client = connect_to(s);
		if (client < 0)
			return -1;
		worker = accept_any(s, &server);
		close(client);
		if (worker < 0)
			return -1;
		close(server);
		got[worker]++;
	}
	return 0;
}

static inline int worker_read(const struct service *s, unsigned int worker,
			      struct weir_bpf_worker *out)
{
	struct weir_bpf_view *view;
	int err;

	err = weir_bpf_view_open(&view, s->name);
	if (err)
		return err;
	err = weir_bpf_view_worker(view, worker, out);
	weir_bpf_view_close(view);
	return err;
}

/* One of the instance's maps, for whoever edits it by hand. */
static inline int map_open(const struct service *s, const char *name)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	char path[512];

	if (weir_bpf_status(s->bpf, &status))
		return -EINVAL;
	snprintf(path, sizeof(path), "%s/%s", status.dir, name);
	return bpf_obj_get(path);
}

struct flows {
	unsigned int count;
	uint64_t cookie;
	struct weir_flow last;
};

static inline int flow_note(void *ctx, uint64_t cookie, const struct weir_flow *flow)
{
	struct flows *flows = ctx;

	flows->count++;
	flows->cookie = cookie;
	flows->last = *flow;
	return 0;
}

static inline int flows_read(const struct service *s, struct flows *flows)
{
	struct weir_bpf_view *view;
	int err;

	memset(flows, 0, sizeof(*flows));
	err = weir_bpf_view_open(&view, s->name);
	if (err)
		return err;
	err = weir_bpf_view_flows(view, flow_note, flows);
	weir_bpf_view_close(view);
	return err;
}

/* A flow ends when the kernel gets to it: look until it did, or give up. */
static inline unsigned int flows_settle(const struct service *s, unsigned int want)
{
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;
	struct flows flows;

	do {
		if (flows_read(s, &flows))
			return ~0U;
	} while (flows.count != want && now_ns() < end);
	return flows.count;
}

static inline int caps_keep(uint64_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = keep, .permitted = keep },
		{ .effective = keep >> 32, .permitted = keep >> 32 },
	};

	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

static inline const char *why_not(void)
{
	static char reason[256];
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .reason = reason, .reason_bytes = sizeof(reason),
	};
	char name[WEIR_NAME_BYTES];
	struct weir_bpf *bpf;

	if (geteuid())
		return "needs root";
	if (netns_private())
		return "no private network namespace";
	snprintf(name, sizeof(name), "try-%d", runner);
	opts.name = name;
	if (weir_bpf_open(&bpf, &opts))
		return reason;
	weir_bpf_close(bpf);
	return NULL;
}

FIXTURE(bpf)
{
	struct service s;
	struct service other;
};

FIXTURE_SETUP(bpf)
{
	const char *why = why_not();

	if (why)
		SKIP(return, "%s", why);
	signal(SIGPIPE, SIG_IGN);
}

FIXTURE_TEARDOWN(bpf)
{
	service_close(&self->s);
	service_close(&self->other);
}

static inline int cgroup_join(const char *path)
{
	char procs[600];
	int fd, err;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write(fd, "0", 1) == 1 ? 0 : -errno;
	close(fd);
	return err;
}

/* A sockops program that clears the callback flags of every socket. */
static inline int flags_clearer(const char *cgroup, unsigned int flags)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_sock_ops_cb_flags_set },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int prog, dir, err;

	prog = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "clear", "GPL", insns, 4, NULL);
	dir = open(cgroup, O_RDONLY | O_CLOEXEC);
	if (prog < 0 || dir < 0)
		return -errno;
	err = bpf_prog_attach(prog, dir, BPF_CGROUP_SOCK_OPS, flags);
	close(dir);
	close(prog);
	return err;
}

#endif /* TESTS_BPF_SERVICE_H */
