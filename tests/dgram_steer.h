/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dgram_steer.h - a service of datagrams played by a test: a socket for each worker,
 * and the rows that they would write
 */
#ifndef TESTS_DGRAM_STEER_H
#define TESTS_DGRAM_STEER_H

#include "bpf_service.h"

static inline int bind_at(int family, uint16_t *port, int shared)
{
	struct sockaddr_storage addr;
	socklen_t len = addr_fill(&addr, family, *port);
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof(shared)) ||
	    bind(fd, (struct sockaddr *)&addr, len) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len)) {
		close(fd);
		return -errno;
	}
	*port = ntohs(((struct sockaddr_in *)&addr)->sin_port);
	return fd;
}

/* A port that the kernel chooses for one that shares it may be another group's. */
static inline int bind_on(int family, uint16_t *port)
{
	int fd = *port ? -1 : bind_at(family, port, 0);

	if (fd >= 0)
		close(fd);
	return bind_at(family, port, 1);
}

static inline int worker_join(struct service *s, unsigned int worker)
{
	int err;

	s->fd[worker] = bind_on(s->family, &s->port);
	if (s->fd[worker] < 0)
		return s->fd[worker];
	err = s->st->ops->join(s->st, worker, s->fd[worker]);
	row(s, worker)->epoch++;
	row(s, worker)->state = WEIR_PARKED;
	return err;
}

static inline void worker_leave(struct service *s, unsigned int worker)
{
	row(s, worker)->state = WEIR_DEAD;
	s->st->ops->leave(s->st, worker);
	close(s->fd[worker]);
	s->fd[worker] = -1;
}

static inline int dgram_open(struct service *s, unsigned int workers, enum weir_policy policy,
			     int family, uint32_t flows_max)
{
	struct weir_bpf_opts opts = {
		.sz = sizeof(opts), .name = s->name, .policy = policy, .workers = workers,
		.stale_ns = FOREVER_NS, .reason = s->reason, .reason_bytes = sizeof(s->reason),
		.flags = WEIR_BPF_DGRAM, .flows_max = flows_max, .vips_max = s->vips_max,
	};
	unsigned int i;
	int err;

	snprintf(s->name, sizeof(s->name), "test-%d", runner);
	err = weir_bpf_open(&s->bpf, &opts);
	if (err) {
		printf("# %s\n", s->reason);
		return err;
	}
	s->st = weir_bpf_steering(s->bpf);
	s->workers = workers;
	s->family = family;
	for (i = 0; i < workers && !err; i++)
		err = worker_join(s, i);
	return err ? err : s->st->ops->seal(s->st);
}

#define OPEN(s, workers, policy, family, flows)				\
	ASSERT_EQ(0, dgram_open(s, workers, policy, family, flows))

/* The counters of all processors together. */
static inline int gate_read(const struct service *s, struct weir_gate *sum)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	struct weir_gate *each;
	char path[512];
	uint32_t zero = 0;
	int fd, cpus, i;

	memset(sum, 0, sizeof(*sum));
	weir_bpf_status(s->bpf, &status);
	snprintf(path, sizeof(path), "%s/weir_gate", status.dir);
	fd = bpf_obj_get(path);
	cpus = (int)sysconf(_SC_NPROCESSORS_CONF);
	each = calloc((size_t)cpus, sizeof(*each));
	if (fd < 0 || !each || bpf_map_lookup_elem(fd, &zero, each))
		return -1;
	for (i = 0; i < cpus; i++) {
		sum->asked += each[i].asked;
		sum->shed += each[i].shed;
		sum->shed_prefix += each[i].shed_prefix;
		sum->dgram_kept += each[i].dgram_kept;
		sum->dgram_moved += each[i].dgram_moved;
		sum->dgram_failed += each[i].dgram_failed;
		sum->dgram_named += each[i].dgram_named;
	}
	free(each);
	close(fd);
	return 0;
}

static inline int flows_map(const struct service *s)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };
	char path[512];

	weir_bpf_status(s->bpf, &status);
	snprintf(path, sizeof(path), "%s/weir_dgram", status.dir);
	return bpf_obj_get(path);
}

static inline unsigned int flows_count(const struct service *s)
{
	struct weir_dgram_key key, *last = NULL;
	int fd = flows_map(s);
	unsigned int n = 0;

	while (!bpf_map_get_next_key(fd, last, &key)) {
		last = &key;
		n++;
	}
	close(fd);
	return n;
}

static inline int sender_open(const struct service *s)
{
	struct sockaddr_storage addr;
	socklen_t len = addr_fill(&addr, s->family, s->port);
	int fd = socket(s->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, len)) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * Which worker a datagram landed at, as it sees it: loopback delivers within send().
 * -1: none. It takes it, unless @leave, which only looks.
 */
static inline int deliver(const struct service *s, int fd, const void *bytes, size_t len,
			  bool leave)
{
	char back[1500];
	unsigned int i;

	if (send(fd, bytes, len, 0) != (ssize_t)len)
		return -1;
	for (i = 0; i < s->workers; i++) {
		if (s->fd[i] < 0 ||
		    recv(s->fd[i], back, sizeof(back), leave ? MSG_PEEK : 0) < 0)
			continue;
		if (!leave)
			row(s, i)->accepted++;
		return (int)i;
	}
	return -1;
}

static inline int ask(const struct service *s, int fd)
{
	return deliver(s, fd, "x", 1, false);
}

/* A short header with the worker's number at @at. */
static inline int ask_quic(const struct service *s, int fd, unsigned int at,
			   unsigned int bytes, uint32_t worker, unsigned char first)
{
	unsigned char packet[64] = { first };
	unsigned int i;

	for (i = 0; i < bytes; i++)
		packet[at + i] = (unsigned char)(worker >> 8 * (bytes - 1 - i));
	return deliver(s, fd, packet, sizeof(packet), false);
}

#endif /* TESTS_DGRAM_STEER_H */
