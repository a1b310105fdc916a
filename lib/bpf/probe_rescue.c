// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * probe_rescue.c - can the queue of a worker that hangs be moved? By moving one
 *
 * Two listeners on the loopback, the steering program on their group, a client:
 * the one that has him is shut down, and he must be in the queue of the other,
 * which is what bpf_rescue() does.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "steer.skel.h"

#include "bpf/instance.h"

#define PAIR	2
#define WAIT_MS	1000	/* the loopback takes no time; a loaded machine does */

struct trial {
	struct steer_bpf *steer;
	struct sockaddr_in addr;
	int fd[PAIR];
	int client;
};

static int trial_load(struct trial *t)
{
	struct weir_worker_row row = { .state = WEIR_PARKED };
	uint32_t zero = 0, i;
	struct weir_cfg cfg;
	int err;

	t->steer = steer_skel(false);
	err = t->steer ? bpf_map__set_max_entries(t->steer->maps.weir_worker, PAIR) : -errno;
	if (!err)
		err = bpf_map__set_max_entries(t->steer->maps.weir_listener, PAIR);
	if (!err)
		err = bpf_map__set_max_entries(t->steer->maps.weir_socks, PAIR);
	if (!err)
		err = steer_bpf__load(t->steer);
	if (err)
		return err;
	weir_cfg_init(&cfg);
	cfg.workers = PAIR;
	err = bpf_map_update_elem(bpf_map__fd(t->steer->maps.weir_cfg), &zero, &cfg, BPF_ANY);
	for (i = 0; i < PAIR && !err; i++)
		err = bpf_map_update_elem(bpf_map__fd(t->steer->maps.weir_worker), &i, &row,
					  BPF_ANY);
	return err;
}

static int socks_put(struct trial *t, uint32_t i)
{
	uint64_t value = (uint64_t)t->fd[i];

	return bpf_map_update_elem(bpf_map__fd(t->steer->maps.weir_socks), &i, &value, BPF_ANY);
}

/* The first one's port is the kernel's choice, the second one's is the first's. */
static int trial_listen(struct trial *t)
{
	socklen_t len = sizeof(t->addr);
	int one = 1, err = 0;
	uint32_t i;

	t->addr.sin_family = AF_INET;
	t->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < PAIR && !err; i++) {
		t->fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (t->fd[i] < 0 ||
		    setsockopt(t->fd[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) ||
		    bind(t->fd[i], (struct sockaddr *)&t->addr, sizeof(t->addr)) ||
		    listen(t->fd[i], PAIR) ||
		    getsockname(t->fd[i], (struct sockaddr *)&t->addr, &len))
			return -errno;
		err = socks_put(t, i);
	}
	return err;
}

static int trial_attach(struct trial *t)
{
	int prog = bpf_program__fd(t->steer->progs.weir_steer_l);

	return setsockopt(t->fd[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &prog, sizeof(prog)) ?
	       -errno : 0;
}

static int trial_connect(struct trial *t)
{
	t->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->client < 0)
		return -errno;
	if (connect(t->client, (struct sockaddr *)&t->addr, sizeof(t->addr)) &&
	    errno != EINPROGRESS)
		return -errno;
	return 0;
}

/* Who has it, shut down; is it the other's then? */
static int trial_move(struct trial *t)
{
	struct pollfd pfd[PAIR] = {
		{ .fd = t->fd[0], .events = POLLIN }, { .fd = t->fd[1], .events = POLLIN },
	};
	int from, fd;

	fd = poll(pfd, PAIR, WAIT_MS);
	if (fd <= 0)
		return fd ? -errno : -ETIMEDOUT;
	from = !(pfd[0].revents & POLLIN);
	if (shutdown(t->fd[from], SHUT_RDWR))
		return -errno;
	fd = accept4(t->fd[!from], NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	/* And back, as the one whose queue it was. */
	if (listen(t->fd[from], PAIR))
		return -errno;
	return socks_put(t, (uint32_t)from);
}

int rescue_probe(char *why)
{
	static const struct {
		const char *what;
		int (*run)(struct trial *t);
	} steps[] = {
		{ "to load the program that moves them", trial_load },
		{ "to listen on the loopback", trial_listen },
		{ "to attach the program to the listeners", trial_attach },
		{ "to connect over the loopback", trial_connect },
		{ "to move a connection from one listener to another", trial_move },
	};
	struct trial t = { .fd = { -1, -1 }, .client = -1 };
	int fds[PAIR + 1], err = 0;
	size_t i;

	capture_begin();
	for (i = 0; i < ARRAY_SIZE(steps) && !err; i++)
		err = steps[i].run(&t);
	capture_end();
	if (err)
		snprintf(why, WEIR_BPF_WHY_BYTES, "%s: %s", steps[i - 1].what, strerror(-err));
	else
		snprintf(why, WEIR_BPF_WHY_BYTES, "a connection was moved, and not reset");
	fds[0] = t.client;
	fds[1] = t.fd[0];
	fds[2] = t.fd[1];
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	steer_bpf__destroy(t.steer);
	return err;
}
