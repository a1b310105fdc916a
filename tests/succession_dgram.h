/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * succession_dgram.h - succession.h for datagrams: an answer has the number of its
 * request, and the worker that gave it
 */
#ifndef TESTS_SUCCESSION_DGRAM_H
#define TESTS_SUCCESSION_DGRAM_H

enum {
	BURST		= 8,		/* requests that wait for their answers at once */
	FLOW_BURSTS	= 5,		/* and then another socket asks */
	DGRAM_POISON	= 0xffffffff,	/* number: the worker shall die */
};

struct numbered {
	uint32_t number;
	uint32_t worker;
};

static void echo_datagram(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	struct weir_datagram answer = *datagram;
	struct numbered text;

	if (datagram->len != sizeof(text))
		return;
	memcpy(&text, datagram->data, sizeof(text));
	if (text.number == DGRAM_POISON)
		pthread_exit(NULL);
	text.worker = weir_dgram_worker(dgram);
	answer.data = &text;
	answer.lease = NULL;
	if (weir_dgram_send(dgram, &answer))
		abort();	/* there is room for a thousand */
}

static int dgram_client(uint16_t port)
{
	struct timeval patience = { .tv_sec = PATIENCE_MS / 2000 };
	struct sockaddr_storage addr;
	socklen_t len = addr_fill(&addr, AF_INET, port);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, len)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Each of a burst is answered once; by @worker, unless that is none or not known. */
static bool burst_asked(int fd, uint32_t first, uint32_t *worker)
{
	struct numbered text;
	uint32_t left, seen = 0, i;

	for (i = 0; i < BURST; i++) {
		text = (struct numbered){ .number = first + i };
		if (send(fd, &text, sizeof(text), MSG_NOSIGNAL) != sizeof(text))
			return false;
	}
	for (left = BURST; left; left--) {
		if (recv(fd, &text, sizeof(text), 0) != sizeof(text) ||
		    text.number - first >= BURST || seen & 1U << (text.number - first))
			return false;
		seen |= 1U << (text.number - first);
		if (worker && *worker != WEIR_WORKER_NONE && text.worker != *worker)
			return false;
		if (worker)
			*worker = text.worker;
	}
	return true;
}

static void burst_count(struct load *load, int fd, uint32_t *number, uint32_t *worker)
{
	bool ok = fd >= 0 && burst_asked(fd, *number, worker);

	*number += BURST;
	if (ok)
		atomic_fetch_add(&load->served, 1);
	else
		failed(load, "exchange datagrams");
}

/* A duplicate of the last burst must not be taken for the next one's answer. */
static bool nothing_more(int fd)
{
	struct numbered text;

	return recv(fd, &text, sizeof(text), MSG_DONTWAIT) < 0;
}

static void *ask_anew(void *arg)
{
	struct load *load = arg;
	uint32_t number = 0;
	unsigned int i;
	int fd;

	while (!atomic_load(&load->stop)) {
		fd = dgram_client(load->port);
		for (i = 0; i < FLOW_BURSTS && !atomic_load(&load->failed); i++)
			burst_count(load, fd, &number, NULL);
		if (!nothing_more(fd))
			failed(load, "hear no more");
		close(fd);
	}
	return NULL;
}

static void *ask_on(void *arg)
{
	struct load *load = arg;
	uint32_t number = 0, worker = WEIR_WORKER_NONE;
	int fd = dgram_client(load->port);

	while (!atomic_load(&load->stop) && !atomic_load(&load->failed)) {
		burst_count(load, fd, &number, load->keeps ? &worker : NULL);
		usleep(1000);
	}
	close(fd);
	return NULL;
}

#endif /* TESTS_SUCCESSION_DGRAM_H */
