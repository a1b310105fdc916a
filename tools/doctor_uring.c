// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * doctor_uring.c - every io_uring feature that weir uses, tried
 *
 * What needs a connection is tried in one scenario over loopback: two clients
 * are accepted, one is received from, its socket is asked for its cookie.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "doctor.h"
#include "doctor_ring.h"

/* Newer than the headers of Linux 6.1. */
#define FEAT_MIN_TIMEOUT	(1U << 15)	/* 6.12 */
#define FEAT_NO_IOWAIT		(1U << 17)	/* 6.15 */
#define ENTER_NO_IOWAIT		(1U << 7)
#define SOCKET_CMD_GETSOCKOPT	2		/* 6.7 */

#define OWNER_FLAGS	(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)
#define SLOTS		16
#define BUFS		4
#define BUF_BYTES	64
#define GROUP		1

static enum doctor_state said(int err, char *why)
{
	if (err)
		snprintf(why, DOCTOR_WHY, "%s", weir_strerror(err));
	return err ? DOCTOR_NO : DOCTOR_OK;
}

static enum doctor_state try_setup(unsigned int flags, char *why)
{
	struct ring ring;
	int err = raw_ring_open(&ring, flags);

	if (!err)
		raw_ring_close(&ring);
	return said(err, why);
}

static enum doctor_state probe_setup(char *why)
{
	struct ring ring;
	int err = raw_ring_open(&ring, 0);

	if (err) {
		doctor_refusal(err, why);
		return DOCTOR_NO;
	}
	snprintf(why, DOCTOR_WHY, "features %#x", ring.params.features);
	raw_ring_close(&ring);
	return DOCTOR_OK;
}

static enum doctor_state probe_owner(char *why)
{
	return try_setup(OWNER_FLAGS, why);
}

/* A ring that is made by one thread and run by another starts disabled. */
static enum doctor_state probe_disabled(char *why)
{
	struct ring ring;
	int err = raw_ring_open(&ring, OWNER_FLAGS | IORING_SETUP_R_DISABLED);

	if (err)
		return said(err, why);
	err = raw_ring_register(&ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	raw_ring_close(&ring);
	return said(err < 0 ? err : 0, why);
}

static enum doctor_state probe_ring_fd(char *why)
{
	struct io_uring_rsrc_update update = { .offset = -1U };
	struct ring ring;
	int err = raw_ring_open(&ring, 0);

	if (err)
		return said(err, why);
	update.data = (__u64)ring.fd;
	err = raw_ring_register(&ring, IORING_REGISTER_RING_FDS, &update, 1);
	if (err == 1)
		raw_ring_register(&ring, IORING_UNREGISTER_RING_FDS, &update, 1);
	raw_ring_close(&ring);
	return said(err < 0 ? err : 0, why);
}

/* A nop, waited for with the given flag or minimum wait, where the bit is set. */
static enum doctor_state try_wait(unsigned int feature, unsigned int flags, unsigned int min_us,
				  char *why)
{
	struct io_uring_cqe cqe;
	struct ring ring;
	int err = raw_ring_open(&ring, 0);

	if (err)
		return said(err, why);
	if (!(ring.params.features & feature)) {
		snprintf(why, DOCTOR_WHY, "the kernel does not announce it");
		raw_ring_close(&ring);
		return DOCTOR_NO;
	}
	raw_ring_sqe(&ring)->opcode = IORING_OP_NOP;
	err = raw_ring_wait(&ring, &cqe, flags, min_us);
	raw_ring_close(&ring);
	return said(err, why);
}

static enum doctor_state probe_min_wait(char *why)
{
	return try_wait(FEAT_MIN_TIMEOUT, 0, 50, why);
}

static enum doctor_state probe_no_iowait(char *why)
{
	return try_wait(FEAT_NO_IOWAIT, ENTER_NO_IOWAIT, 0, why);
}

/* the scenario */

enum step {
	STEP_FILES,		/* sparse table of registered files */
	STEP_ACCEPT,		/* multishot accept into slots the kernel picks */
	STEP_BUFFERS,		/* provided-buffer ring */
	STEP_RECV,		/* multishot recv from it */
	STEP_COOKIE,		/* getsockopt on a slot that has no descriptor */
	STEP_MAX,
};

struct scenario {
	bool done;
	int err[STEP_MAX];	/* 1: not tried */
	struct ring ring;
	int listener, client[2];
	int slot;
	char *memory;		/* buffer ring, then buffers; two pages */
};

static int open_sockets(struct scenario *s)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	size_t i;

	s->client[0] = -1;
	s->client[1] = -1;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&sin, len) ||
	    listen(s->listener, 8) || getsockname(s->listener, (struct sockaddr *)&sin, &len))
		return -errno;
	for (i = 0; i < 2; i++) {
		s->client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (s->client[i] < 0 || connect(s->client[i], (struct sockaddr *)&sin, len))
			return -errno;
	}
	return 0;
}

static int step_files(struct scenario *s)
{
	struct io_uring_rsrc_register files = {
		.nr = SLOTS,
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};
	int err = raw_ring_register(&s->ring, IORING_REGISTER_FILES2, &files, sizeof(files));

	return err < 0 ? err : 0;
}

static int step_accept(struct scenario *s)
{
	struct io_uring_sqe *sqe = raw_ring_sqe(&s->ring);
	struct io_uring_cqe cqe;
	int err, i;

	sqe->opcode = IORING_OP_ACCEPT;
	sqe->fd = s->listener;
	sqe->ioprio = IORING_ACCEPT_MULTISHOT;
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
	sqe->user_data = STEP_ACCEPT;
	for (i = 0; i < 2; i++) {
		err = raw_ring_wait(&s->ring, &cqe, 0, 0);
		if (err)
			return err;
		if (cqe.res < 0)
			return cqe.res;
		if (!(cqe.flags & IORING_CQE_F_MORE))
			return -EOPNOTSUPP;
		if (!i)
			s->slot = cqe.res;
	}
	return 0;
}

static int step_buffers(struct scenario *s)
{
	struct io_uring_buf_reg reg = { .ring_entries = BUFS, .bgid = GROUP };
	struct io_uring_buf_ring *ring;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int err;
	__u16 i;

	s->memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	if (s->memory == MAP_FAILED) {
		s->memory = NULL;
		return -errno;
	}
	ring = (void *)s->memory;
	reg.ring_addr = (__u64)(uintptr_t)ring;
	err = raw_ring_register(&s->ring, IORING_REGISTER_PBUF_RING, &reg, 1);
	if (err < 0)
		return err;
	for (i = 0; i < BUFS; i++) {
		ring->bufs[i].addr = (__u64)(uintptr_t)(s->memory + page + i * BUF_BYTES);
		ring->bufs[i].len = BUF_BYTES;
		ring->bufs[i].bid = i;
	}
	__atomic_store_n(&ring->tail, BUFS, __ATOMIC_RELEASE);
	return 0;
}

static int step_recv(struct scenario *s)
{
	struct io_uring_sqe *sqe = raw_ring_sqe(&s->ring);
	struct io_uring_cqe cqe;
	int err, i;

	sqe->opcode = IORING_OP_RECV;
	sqe->fd = s->slot;
	sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
	sqe->ioprio = IORING_RECV_MULTISHOT;
	sqe->buf_group = GROUP;
	sqe->user_data = STEP_RECV;
	for (i = 0; i < 2; i++) {
		if (send(s->client[0], "weir", 4, MSG_NOSIGNAL) != 4)
			return -errno;
		err = raw_ring_wait(&s->ring, &cqe, 0, 0);
		if (err)
			return err;
		if (cqe.res < 0)
			return cqe.res;
		if (!(cqe.flags & IORING_CQE_F_MORE) || !(cqe.flags & IORING_CQE_F_BUFFER))
			return -EOPNOTSUPP;
	}
	return 0;
}

static int step_cookie(struct scenario *s)
{
	struct io_uring_sqe *sqe = raw_ring_sqe(&s->ring);
	__u32 name[2] = { SOL_SOCKET, SO_COOKIE };
	struct io_uring_cqe cqe;
	__u64 cookie = 0;
	int err;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = s->slot;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->cmd_op = SOCKET_CMD_GETSOCKOPT;
	memcpy(&sqe->addr, name, sizeof(name));		/* level, optname */
	sqe->file_index = sizeof(cookie);		/* optlen */
	sqe->addr3 = (__u64)(uintptr_t)&cookie;		/* optval */
	sqe->user_data = STEP_COOKIE;
	err = raw_ring_wait(&s->ring, &cqe, 0, 0);
	if (err)
		return err;
	if (cqe.res < 0)
		return cqe.res;
	return cookie ? 0 : -ENODATA;
}

static void play(struct scenario *s)
{
	static int (*const steps[STEP_MAX])(struct scenario *s) = {
		step_files, step_accept, step_buffers, step_recv, step_cookie,
	};
	size_t i;

	s->done = true;
	for (i = 0; i < STEP_MAX; i++)
		s->err[i] = 1;
	s->err[0] = raw_ring_open(&s->ring, OWNER_FLAGS);
	if (s->err[0])
		s->err[0] = raw_ring_open(&s->ring, 0);
	if (s->err[0])
		return;
	s->err[0] = open_sockets(s);
	for (i = 0; i < STEP_MAX && !s->err[0]; i++) {
		s->err[i] = steps[i](s);
		if (s->err[i])
			break;
	}
	raw_ring_close(&s->ring);
	if (s->memory)
		munmap(s->memory, 2 * (size_t)sysconf(_SC_PAGESIZE));
	close(s->listener);
	close(s->client[0]);
	close(s->client[1]);
}

static enum doctor_state step(enum step step, char *why)
{
	static struct scenario scenario;

	if (!scenario.done)
		play(&scenario);
	if (scenario.err[step] == 1) {
		snprintf(why, DOCTOR_WHY, "not tried: what it needs is missing");
		return DOCTOR_SKIP;
	}
	return said(scenario.err[step], why);
}

static enum doctor_state probe_files(char *why)
{
	return step(STEP_FILES, why);
}

static enum doctor_state probe_accept(char *why)
{
	return step(STEP_ACCEPT, why);
}

static enum doctor_state probe_buffers(char *why)
{
	return step(STEP_BUFFERS, why);
}

static enum doctor_state probe_recv(char *why)
{
	return step(STEP_RECV, why);
}

static enum doctor_state probe_cookie(char *why)
{
	return step(STEP_COOKIE, why);
}

#define URING(name, lev, fn, what)						\
	{ .id = "uring." name, .group = "io_uring", .needed = DOCTOR_SERVE,	\
	  .level = lev, .run = fn, .gives = what,				\
	  .fix = "a newer kernel (6.1 or later), or leave it to the epoll backend" }

const struct doctor_probe doctor_uring[] = {
	{ .id = "uring.setup", .group = "io_uring", .needed = DOCTOR_SERVE,
	  .level = DOCTOR_OPTIONAL, .run = probe_setup, .gives = "the uring backend",
	  .fix = "sysctl kernel.io_uring_disabled=0; in a container allow io_uring_setup, "
		 "io_uring_enter and io_uring_register in its seccomp profile" },
	URING("defer_taskrun", DOCTOR_OPTIONAL, probe_owner,
	      "completions in the owner's turn; without, a hung worker's clients cannot be moved"),
	URING("r_disabled", DOCTOR_OPTIONAL, probe_disabled, "rings that another thread starts"),
	URING("ring_fd", DOCTOR_PERF, probe_ring_fd, "cheaper system calls"),
	URING("min_wait", DOCTOR_PERF, probe_min_wait, "waiting in batches (Linux 6.12)"),
	URING("no_iowait", DOCTOR_PERF, probe_no_iowait,
	      "idle workers that do not count as I/O wait (Linux 6.15)"),
	URING("files", DOCTOR_OPTIONAL, probe_files, "registered files"),
	URING("accept_multishot", DOCTOR_OPTIONAL, probe_accept,
	      "accepting into slots the kernel picks"),
	URING("buf_ring", DOCTOR_OPTIONAL, probe_buffers, "buffers the kernel picks"),
	URING("recv_multishot", DOCTOR_OPTIONAL, probe_recv, "one receive for many messages"),
	URING("sock_cmd", DOCTOR_PERF, probe_cookie,
	      "socket cookies without a descriptor (Linux 6.7)"),
	{ .id = NULL }
};
