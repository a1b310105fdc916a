/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hang.h - a service one of whose workers hangs for as long as a test wants
 *
 * A client that says 'h' makes the worker that has it hang; whatever else a client
 * says is said back to it.
 */
#ifndef TESTS_HANG_H
#define TESTS_HANG_H

#include "base/base.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>

#include <weir/serve.h>

#include "bpf_service.h"
#include "tsan.h"

#define NOBODY		(~0U)
#define SLOW_NS		30000000	/* a handler that is too slow */

enum hang {
	HANG_SPIN,
	HANG_SLEEP,
	HANG_FIFO,
	HANG_LOCK,
};

static struct {
	enum hang hang;
	char path[64];
	atomic_uint worker;		/* that hangs */
	atomic_uint_least64_t since_ns;	/* it does */
	atomic_bool hanging;
	atomic_bool slow;
	atomic_bool supervisor_dies;
} scene;

static void hang_now(void)
{
	int fd;

	switch (scene.hang) {
	case HANG_SPIN:
		while (atomic_load(&scene.hanging))
			;
		return;
	case HANG_SLEEP:
		while (atomic_load(&scene.hanging))
			usleep(200000);
		return;
	case HANG_FIFO:		/* blocks until the other end is opened */
		fd = open(scene.path, O_RDONLY | O_CLOEXEC);
		break;
	case HANG_LOCK:
		fd = open(scene.path, O_RDONLY | O_CLOEXEC);
		flock(fd, LOCK_EX);
		break;
	default:
		abort();
	}
	close(fd);
}

static void on_data(struct weir_conn *conn, struct weir_lease *lease)
{
	struct timespec ts = { .tv_nsec = SLOW_NS };

	if (!lease) {
		weir_conn_close(conn);
		return;
	}
	if (*(const char *)weir_lease_data(lease) == 'h') {
		atomic_store(&scene.since_ns, now_ns());
		atomic_store(&scene.worker, weir_conn_worker(conn));
		hang_now();
	}
	if (atomic_load(&scene.slow))
		nanosleep(&ts, NULL);
	if (weir_conn_send_lease(conn, lease, 0, 1) < 0)
		weir_conn_abort(conn, -EIO);
}

static const struct weir_service_ops ops = { .data = on_data };

FIXTURE(hang) {
	struct weir_bpf *bpf;
	struct weir_steering *st;
	struct weir_service *service;
	struct service s;		/* for its name, port and helpers */
	uint64_t supervise_ns;		/* to be set before it is opened, */
	bool never_slow;		/* and this */
	int lock;
};

FIXTURE_VARIANT(hang) {
	const char *backend;
	enum hang hang;
};

FIXTURE_SETUP(hang)
{
	const char *why = why_not();

	if (why)
		SKIP(return, "%s", why);
	signal(SIGPIPE, SIG_IGN);
	memset(&scene, 0, sizeof(scene));
	scene.hang = variant->hang;
	atomic_store(&scene.worker, NOBODY);
	snprintf(scene.path, sizeof(scene.path), "/tmp/weir-hang-%d", getpid());
	unlink(scene.path);	/* one that was killed had this number before */
	self->lock = -1;
	if (variant->hang == HANG_FIFO)
		ASSERT_EQ(0, mkfifo(scene.path, 0600));
	if (variant->hang == HANG_LOCK) {
		self->lock = open(scene.path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
		ASSERT_LE(0, self->lock);
		ASSERT_EQ(0, flock(self->lock, LOCK_EX));
	}
}

static inline void hang_begin(void)
{
	atomic_store(&scene.worker, NOBODY);
	atomic_store(&scene.hanging, true);
}

static inline void hang_end(struct _test_data_hang *self)
{
	int fd;

	if (!atomic_exchange(&scene.hanging, false))
		return;
	if (scene.hang == HANG_FIFO) {
		fd = open(scene.path, O_WRONLY | O_CLOEXEC);
		close(fd);
	}
	if (scene.hang == HANG_LOCK)
		flock(self->lock, LOCK_UN);
}

FIXTURE_TEARDOWN(hang)
{
	hang_end(self);
	weir_service_close(self->service);
	unlink(scene.path);
	if (self->lock >= 0)
		close(self->lock);
}

static inline int open_service(struct _test_data_hang *self, const char *backend,
			       unsigned int workers, enum weir_policy policy, uint32_t flags)
{
	struct weir_bpf_opts bpf = {
		.sz = sizeof(bpf), .name = self->s.name, .policy = policy, .workers = workers,
	};
	struct weir_loop_opts loop = { .sz = sizeof(loop), .backend = backend, .flags = flags };
	struct weir_service_opts opts = {
		.sz = sizeof(opts), .ops = &ops, .loop = &loop, .workers = workers,
		.conns_max = 256, .supervise_ns = self->supervise_ns,
	};
	struct weir_addr addr;
	int err;

	snprintf(self->s.name, sizeof(self->s.name), "test-%d", runner);
	self->s.family = AF_INET;
	err = weir_addr_parse(&addr, "127.0.0.1:0");
	if (!err)
		err = weir_bpf_open(&self->bpf, &bpf);
	if (err)
		return err;
	if (self->never_slow) {
		weir_bpf_cfg(self->bpf)->slow_on_us = UINT32_MAX;
		weir_bpf_cfg(self->bpf)->shed_max_permille = 0;
	}
	self->st = weir_bpf_steering(self->bpf);
	opts.addr = &addr;
	opts.steering = self->st;
	err = weir_service_open(&self->service, &opts);
	if (err)
		return err;
	weir_service_addr(self->service, &addr);
	self->s.port = weir_addr_port(&addr);
	return 0;
}

static inline int client_send(struct _test_data_hang *self, char c)
{
	int fd = connect_to(&self->s);

	if (fd >= 0 && send(fd, &c, 1, 0) == 1)
		return fd;
	return -1;
}

/* The answer within @ms: 1, 0 when there is none yet, -1 when it was reset. */
static inline int answered(int fd, int ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	char c;

	if (poll(&pfd, 1, ms) <= 0)
		return 0;
	return recv(fd, &c, 1, 0) == 1 ? 1 : -1;
}

/*
 * A worker that is to run and does not for a while, since others do, is slow or hung
 * too: here none is ever slow, and nobody is refused.
 */
static inline int open_never_slow(struct _test_data_hang *self, const char *backend,
				  enum weir_policy policy)
{
	self->never_slow = true;
	return open_service(self, backend, 2, policy, 0);
}

/* Nobody who is idle is hung, whoever else uses the processors. */
static inline bool all_parked(const struct _test_data_hang *self, uint64_t end)
{
	const struct weir_worker_row *row;
	unsigned int i;

	for (i = 0; (row = self->st->ops->row(self->st, i)); i++) {
		while (__atomic_load_n(&row->state, __ATOMIC_ACQUIRE) != WEIR_PARKED) {
			if (now_ns() > end)
				return false;
			usleep(100);
		}
	}
	return true;
}

/* One that is hanging now, and the client that is to blame. */
static inline int make_hang(struct _test_data_hang *self)
{
	uint64_t end = now_ns() + WAIT_MS * 1000000ULL;
	int fd;

	if (!all_parked(self, end))
		return -1;
	hang_begin();
	fd = client_send(self, 'h');
	while (atomic_load(&scene.worker) == NOBODY && now_ns() < end)
		usleep(100);
	return atomic_load(&scene.worker) == NOBODY ? -1 : fd;
}

static inline struct weir_supervisor_stats supervised(struct _test_data_hang *self)
{
	struct weir_supervisor_stats stats;

	weir_supervisor_stats(weir_service_supervisor(self->service), &stats, sizeof(stats));
	return stats;
}

#define AWAIT(cond)								\
	do {									\
		uint64_t await_end = now_ns() + WAIT_MS * 1000000ULL;		\
		bool await_met;							\
										\
		while (!(await_met = (cond)) && now_ns() < await_end)		\
			usleep(1000);						\
		ASSERT_TRUE(await_met) {					\
			TH_LOG("not within 10 s: %s", #cond);			\
		}								\
	} while (0)

static inline uint64_t accepted(struct _test_data_hang *self, unsigned int worker)
{
	struct weir_service_stats stats;

	weir_service_stats(self->service, worker, &stats, sizeof(stats));
	return stats.accepted;
}

#endif /* TESTS_HANG_H */
