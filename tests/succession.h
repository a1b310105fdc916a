/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * succession.h - an owner and his successors, which are processes that were there
 * before the clients: each begins when it is told to. And the clients
 */
#ifndef TESTS_SUCCESSION_H
#define TESTS_SUCCESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/serve.h>
#include <weir/takeover.h>
#include <weir/vip.h>

#include "serve/parcel.h"

#include "bpf_service.h"

enum place {
	ASKS,			/* it has got the listeners, and ends */
	YIELD_SENT,
	YIELDED,
	TOO_SLOW,		/* to answer that */
	BEGUN,
	START_FAILS,
	START_DIES,
	START_EXITS,		/* the thread of a worker alone */
	SEAL_FAILS,
	SEAL_DIES,
	SEALED_FAILS,
	SEALED_DIES,
	SEAL_WAITS,		/* so that there are queues, and serves */
	NOWHERE,
	FEWER,			/* workers, and nobody moves the queues of the others */
};

enum {
	LOADERS		= 6,
	SERVED		= 150,		/* clients between two steps */
	PATIENCE_MS	= 30000,
	VIP_PORT	= 443,
};

#define VIP_NETWORK	"127.9.0.0/16:443"
#define VIP_IP		0x7f090102

struct child {
	pid_t pid;
	int go;			/* written to by the test */
	int ready;		/* read by it: the port, or nothing */
};

/* Whether that comes to be. */
#define AWAITED(cond)								\
	({									\
		int await_ms;							\
										\
		for (await_ms = 0; await_ms < PATIENCE_MS && !(cond); await_ms++) \
			usleep(1000);						\
		await_ms < PATIENCE_MS;						\
	})

/* What all of them are: enum weir_service_flags, before they are made. */
static uint32_t kind;

struct load {
	uint16_t port;
	bool vip;		/* half of the clients come there */
	bool keeps;		/* a flow of datagrams stays with its worker */
	atomic_uint served;
	atomic_uint failed;
	const char *step;	/* where the first failed, and its errno; once all have ended */
	int error;
	atomic_bool stop;
	pthread_t threads[LOADERS + 1];
};

static void failed(struct load *load, const char *step)
{
	if (atomic_fetch_add(&load->failed, 1))
		return;
	load->step = step;
	load->error = errno;
}

#include "succession_dgram.h"

/* a process that serves */

static struct weir_service *serving;
static enum place failing = NOWHERE;
static const struct weir_steering_ops *real_ops;

static void on_term(int sig)
{
	/* What its clients have sent may wait for it still, the end of each, too. */
	weir_service_stop(serving, PATIENCE_MS * 1000000ULL);
}

static const char poison[8] = "worker!";

static void echo(struct weir_conn *conn, struct weir_lease *lease)
{
	if (lease && weir_lease_len(lease) == sizeof(poison) &&
	    !memcmp(weir_lease_data(lease), poison, sizeof(poison)))
		pthread_exit(NULL);
	if (!lease || weir_conn_send_lease(conn, lease, 0, weir_lease_len(lease)) < 0)
		weir_conn_close(conn);
}

/* As an operator does it. */
static int weight_edit(const char *name, uint32_t worker, uint32_t weight)
{
	struct weir_admin admin = { .weight = weight };
	char path[300];
	int fd, err;

	snprintf(path, sizeof(path), "/sys/fs/bpf/weir/%s/weir_admin", name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -errno;
	err = bpf_map_update_elem(fd, &worker, &admin, BPF_ANY);
	close(fd);
	return err;
}

static int on_start(void *ctx, unsigned int worker, struct weir_loop *loop)
{
	if (worker && failing == START_DIES)
		kill(getpid(), SIGKILL);
	if (worker && failing == START_EXITS)
		pthread_exit(NULL);
	if (!worker && failing == SEAL_WAITS)
		weight_edit(ctx, 0, 99);
	return worker && failing == START_FAILS ? -ENODATA : 0;
}

static int bad_seal(struct weir_steering *st)
{
	int err = 0;

	if (failing == SEAL_WAITS) {
		usleep(200000);
		return real_ops->seal(st);
	}
	if (failing == SEAL_DIES)
		kill(getpid(), SIGKILL);
	if (failing == SEALED_FAILS || failing == SEALED_DIES)
		err = real_ops->seal(st);
	if (failing == SEALED_DIES)
		kill(getpid(), SIGKILL);
	return err ? err : -ENODATA;
}

static int steering_open(struct weir_steering **stp, const char *name, bool plain,
			 unsigned int workers, const int *lock)
{
	static struct weir_steering_ops bad;
	char why[256] = "";
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .name = name, .workers = workers,
		.policy = WEIR_POLICY_LEAST, .flags = WEIR_BPF_ADOPT, .lock = lock,
		.reason = why, .reason_bytes = sizeof(why),
		.vips_max = lock || kind ? 0 : 8,	/* a successor has what is there */
	};
	struct weir_bpf *bpf;
	int err;

	if (kind & WEIR_SERVICE_ACCEPTOR)
		return 0;
	opts.flags |= kind & WEIR_SERVICE_DGRAM ? WEIR_BPF_DGRAM : 0;
	if (plain) {
		err = weir_steering_reuseport(stp, workers);
	} else {
		err = weir_bpf_open(&bpf, &opts);
		if (err) {
			fprintf(stderr, "# %s\n", why);
			return err;
		}
		/* A busy machine is no reason to refuse. */
		weir_bpf_cfg(bpf)->shed_max_permille = 0;
		*stp = weir_bpf_steering(bpf);
	}
	if (!err && failing >= SEAL_FAILS && failing <= SEAL_WAITS) {
		real_ops = (*stp)->ops;
		bad = *real_ops;
		bad.seal = bad_seal;
		(*stp)->ops = &bad;
	}
	return err;
}

static int vip_open(const char *name)
{
	struct weir_bpf_vip vip;
	char why[256];
	int err = weir_bpf_vip_parse(&vip, VIP_NETWORK);

	return err ? err : weir_bpf_vip_add(name, &vip, why, sizeof(why));
}

/* An exit status: 0 when it served and ended well. */
static int serve(const char *name, bool plain, unsigned int workers, bool takeover, int ready)
{
	static const struct weir_service_ops ops = {
		.data = echo, .datagram = echo_datagram, .start = on_start,
	};
	struct weir_takeover *listeners = NULL;
	struct weir_service_opts opts = {
		.sz = sizeof(opts), .ops = &ops, .workers = workers, .control = name,
		.ctx = (void *)name, .flags = kind,
	};
	struct weir_addr addr;
	uint16_t port;
	int err;

	if (takeover && weir_takeover_open(&listeners, name, WEIR_TAKEOVER_SERVICE))
		return 2;
	if (weir_addr_parse(&addr, "127.0.0.1:0") ||
	    steering_open(&opts.steering, name, plain, opts.workers,
			  listeners ? weir_takeover_lock(listeners) : NULL))
		return 3;
	opts.addr = &addr;
	opts.takeover = listeners;
	err = weir_service_open(&serving, &opts);
	if (err)
		return err == -EOPNOTSUPP ? 6 : err == -EPROTOTYPE ? 8 : 4;
	weir_takeover_close(listeners);
	if (!plain && !takeover && !kind && vip_open(name))
		return 7;
	signal(SIGTERM, on_term);
	weir_service_addr(serving, &addr);
	port = ntohs(((struct sockaddr_in *)(void *)&addr.ss)->sin_port);
	if (write(ready, &port, sizeof(port)) != sizeof(port) ||
	    weir_service_wait(serving))
		return 5;
	weir_service_close(serving);
	return 0;
}

/* one that only talks */

static int hear_yielded(int fd)
{
	struct parcel parcel;

	return parcel_want(fd, PARCEL_YIELDED, &parcel);
}

static int talk(const char *name, bool plain, enum place place)
{
	int fd = parcel_connect(name, "sock"), *fds, lock = -1;
	struct pollfd pfd = { .fd = fd };
	struct parcel parcel;
	unsigned int count, got = 0;

	if (fd < 0 || parcel_send(fd, PARCEL_TAKE, 0, 0, NULL, 0) ||
	    parcel_recv_listeners(fd, &fds, &count) ||
	    count != (kind & WEIR_SERVICE_ACCEPTOR ? 1 : 2) ||
	    parcel_recv(fd, &parcel, &lock, 1, &got) || got != !plain || parcel.workers != 2)
		return 2;
	if (place == ASKS)
		return 0;
	if (parcel_send(fd, PARCEL_YIELD, !plain, 0, NULL, 0))
		return 3;
	if (place == YIELD_SENT)
		return 0;
	if (hear_yielded(fd))
		return 4;
	if (place == YIELDED)
		return 0;
	if (place == TOO_SLOW) {
		/* Until he has turned away: it must not be able to say that it begins. */
		poll(&pfd, 1, PATIENCE_MS);
		return parcel_send(fd, PARCEL_BEGIN, 0, 0, NULL, 0) == -EPIPE ? 0 : 5;
	}
	return parcel_send(fd, PARCEL_BEGIN, 0, 0, NULL, 0) ? 6 : 0;
}

static int child_make(struct child *child, const char *name, bool plain, unsigned int workers,
		      enum place place, bool takeover)
{
	int go[2], ready[2];
	char byte;

	if (pipe2(go, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		return -errno;
	child->pid = fork();
	if (child->pid < 0)
		return -errno;
	if (child->pid) {
		close(go[0]);
		close(ready[1]);
		child->go = go[1];
		child->ready = ready[0];
		return 0;
	}
	close(go[1]);
	close(ready[0]);
	failing = place;
	if (read(go[0], &byte, 1) != 1)
		_exit(1);
	_exit(place < START_FAILS ? talk(name, plain, place) :
	      serve(name, plain, workers, takeover, ready[1]));
}

/* The port, or 0 when it does not come to serve. */
static uint16_t child_start(struct child *child)
{
	struct pollfd pfd = { .fd = child->ready, .events = POLLIN };
	uint16_t port = 0;

	if (write(child->go, "g", 1) != 1 || poll(&pfd, 1, PATIENCE_MS) <= 0 ||
	    read(child->ready, &port, sizeof(port)) != sizeof(port))
		return 0;
	return port;
}

static int child_status(struct child *child)
{
	int status, ms;

	for (ms = 0; ms < PATIENCE_MS; ms++) {
		if (waitpid(child->pid, &status, WNOHANG) == child->pid) {
			child->pid = 0;
			return status;
		}
		usleep(1000);
	}
	return -ETIMEDOUT;
}

/* clients */

static int client(uint16_t port, bool vip)
{
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	struct sockaddr_storage addr;
	socklen_t len = addr_fill(&addr, AF_INET, vip ? VIP_PORT : port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (vip)
		((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(VIP_IP);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, len)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool asked(int fd)
{
	char text[8] = "request", answer[8];

	errno = 0;
	return send(fd, text, sizeof(text), MSG_NOSIGNAL) == sizeof(text) &&
	       recv(fd, answer, sizeof(answer), MSG_WAITALL) == sizeof(answer) &&
	       !memcmp(text, answer, sizeof(text));
}

static void *come_and_go(void *arg)
{
	struct load *load = arg;
	bool vip = false;
	int fd;

	while (!atomic_load(&load->stop)) {
		fd = client(load->port, vip);
		vip = load->vip && !vip;
		if (fd < 0)
			failed(load, "connect");
		else if (!asked(fd))
			failed(load, "ask");
		else
			atomic_fetch_add(&load->served, 1);
		if (fd >= 0)
			close(fd);
	}
	return NULL;
}

/* With the owner, whoever serves new ones. */
static void *stay(void *arg)
{
	struct load *load = arg;
	int fd = client(load->port, false);

	while (!atomic_load(&load->stop)) {
		if (!asked(fd)) {
			failed(load, "ask again");
			break;
		}
		usleep(1000);
	}
	close(fd);
	return NULL;
}

static int load_start(struct load *load, uint16_t port)
{
	unsigned int i;
	int err = 0;

	load->port = port;
	for (i = 0; i <= LOADERS && !err; i++)
		err = pthread_create(&load->threads[i], NULL, kind & WEIR_SERVICE_DGRAM ?
				     (i ? ask_anew : ask_on) : i ? come_and_go : stay, load);
	return -err;
}

static void load_end(struct load *load)
{
	unsigned int i;

	atomic_store(&load->stop, true);
	for (i = 0; i <= LOADERS; i++)
		if (load->threads[i])
			pthread_join(load->threads[i], NULL);
	memset(load->threads, 0, sizeof(load->threads));
}

/* As many clients again. */
static bool load_goes_on(struct load *load)
{
	unsigned int want = atomic_load(&load->served) + SERVED;

	return AWAITED(atomic_load(&load->served) >= want);
}

#endif /* TESTS_SUCCESSION_H */
