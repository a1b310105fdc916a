/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dns.h - a name server of the test's own: on loopback, in a child, UDP and TCP on
 * one port. What it answers is told by the first label of the name.
 *
 * Include it before kselftest_harness.h. It ends with its parent, or after a minute.
 */
#ifndef TESTS_DNS_H
#define TESTS_DNS_H

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"

enum dns_limits {
	DNS_HEAD	= 12,
	DNS_TYPE_A	= 1,
	DNS_TYPE_CNAME	= 5,
	DNS_TYPE_AAAA	= 28,
	DNS_MANY	= 40,
	DNS_LIFE_S	= 60,
};

enum dns_manner {
	DNS_PLAIN,
	DNS_SILENT,
	DNS_TRUNCATED,		/* over UDP; TCP brings it all */
	DNS_HANGS_UP,		/* truncated over UDP; TCP is reset */
	DNS_ALIAS,		/* a CNAME before the addresses */
	DNS_GARBAGE,		/* the right number, then noise */
	DNS_CUT,		/* ends in the middle of a record */
	DNS_STRANGER,		/* the answer to another question */
};

/* @v4, @v6: how many addresses; 127.0.0.1 and on, 2001:db8::1 and on */
struct dns_name {
	const char *label;
	unsigned int v4;
	unsigned int v6;
	unsigned int rcode;
	enum dns_manner manner;
};

static const struct dns_name dns_names[] = {
	{ .label = "v4",	.v4 = 1 },
	{ .label = "v6",	.v6 = 1 },
	{ .label = "both",	.v4 = 2, .v6 = 1 },
	{ .label = "dual",	.v4 = 2 },
	{ .label = "empty" },
	{ .label = "fails",	.rcode = 2 },
	{ .label = "refuses",	.rcode = 5 },
	{ .label = "silent",	.manner = DNS_SILENT },
	{ .label = "many",	.v4 = DNS_MANY, .manner = DNS_TRUNCATED },
	{ .label = "rude",	.v4 = 1, .manner = DNS_HANGS_UP },
	{ .label = "alias",	.v4 = 1, .manner = DNS_ALIAS },
	{ .label = "garbage",	.v4 = 1, .manner = DNS_GARBAGE },
	{ .label = "cut",	.v4 = 2, .manner = DNS_CUT },
	{ .label = "stranger",	.v4 = 1, .manner = DNS_STRANGER },
};

/* Shared with the child, which counts. */
struct dns_counts {
	unsigned int udp;
	unsigned int tcp;
};

struct dns_server {
	struct dns_counts *counts;
	pid_t pid;
	uint16_t port;
	int udp;
	int tcp;
};

/* One question, and the answer as it grows. */
struct dns_talk {
	const struct dns_name *name;
	unsigned char *question;
	size_t question_len;
	unsigned int type;
	bool stream;
	size_t len;
	unsigned char text[2 + 4096];	/* room for the length in front, over TCP */
};

static inline void dns_put16(struct dns_talk *talk, unsigned int value)
{
	talk->text[2 + talk->len++] = (unsigned char)(value >> 8);
	talk->text[2 + talk->len++] = (unsigned char)value;
}

/* A record of the name at @at. */
static inline void dns_put_head(struct dns_talk *talk, size_t at, unsigned int type,
				unsigned int len)
{
	dns_put16(talk, 0xc000 | (unsigned int)at);
	dns_put16(talk, type);
	dns_put16(talk, 1);
	dns_put16(talk, 0);
	dns_put16(talk, 1);
	dns_put16(talk, len);
}

static inline void dns_put_addr(struct dns_talk *talk, size_t at, unsigned int i)
{
	static const unsigned char v6[15] = { 0x20, 0x01, 0x0d, 0xb8 };
	static const unsigned char v4[3] = { 127, 0, 0 };
	bool is_v4 = talk->type == DNS_TYPE_A;
	size_t len = is_v4 ? sizeof(v4) : sizeof(v6);

	dns_put_head(talk, at, talk->type, (unsigned int)len + 1);
	memcpy(talk->text + 2 + talk->len, is_v4 ? v4 : v6, len);
	talk->len += len;
	talk->text[2 + talk->len++] = (unsigned char)(i + 1);
}

static inline void dns_records(struct dns_talk *talk, unsigned int count)
{
	static const unsigned char alias[] = "\4real\4test";	/* with the root's zero */
	size_t at = DNS_HEAD;
	unsigned int i;

	if (talk->name->manner == DNS_ALIAS) {
		dns_put_head(talk, at, DNS_TYPE_CNAME, sizeof(alias));
		at = talk->len;
		memcpy(talk->text + 2 + at, alias, sizeof(alias));
		talk->len += sizeof(alias);
	}
	for (i = 0; i < count; i++)
		dns_put_addr(talk, at, i);
}

static inline void dns_answer(struct dns_talk *talk)
{
	const struct dns_name *name = talk->name;
	unsigned int count = talk->type == DNS_TYPE_A ? name->v4 :
			     talk->type == DNS_TYPE_AAAA ? name->v6 : 0;
	bool cut = !talk->stream && (name->manner == DNS_TRUNCATED ||
				     name->manner == DNS_HANGS_UP);

	talk->len = 0;
	dns_put16(talk, (unsigned int)talk->question[0] << 8 | talk->question[1]);
	if (name->manner == DNS_STRANGER)
		talk->text[2] ^= 0xff;
	dns_put16(talk, 0x8180 | (cut ? 0x0200 : 0) | name->rcode);
	dns_put16(talk, 1);
	dns_put16(talk, cut ? 0 : count + (name->manner == DNS_ALIAS));
	dns_put16(talk, 0);
	dns_put16(talk, 0);
	memcpy(talk->text + 2 + talk->len, talk->question + DNS_HEAD,
	       talk->question_len - DNS_HEAD);
	talk->len = talk->question_len;
	if (!cut)
		dns_records(talk, count);
	if (name->manner == DNS_GARBAGE)
		memset(talk->text + 2 + DNS_HEAD, 0xff, talk->len - DNS_HEAD);
	else if (name->manner == DNS_CUT)
		talk->len -= 7;
}

/* What is asked: false for what is no question of one name. */
static inline bool dns_read(struct dns_talk *talk, unsigned char *text, size_t len)
{
	static const struct dns_name unknown = { .label = "", .rcode = 3 };
	size_t at = DNS_HEAD, i;

	while (at < len && text[at])
		at += 1 + text[at];
	if (at + 5 > len)
		return false;
	talk->question = text;
	talk->question_len = at + 5;
	talk->type = (unsigned int)text[at + 1] << 8 | text[at + 2];
	talk->name = &unknown;
	for (i = 0; i < ARRAY_SIZE(dns_names); i++) {
		const char *label = dns_names[i].label;

		if (strlen(label) == text[DNS_HEAD] &&
		    !strncasecmp(label, (char *)text + DNS_HEAD + 1, strlen(label)))
			talk->name = &dns_names[i];
	}
	return true;
}

static inline void dns_add(unsigned int *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
}

static inline void dns_serve_udp(const struct dns_server *server)
{
	struct sockaddr_storage peer;
	socklen_t peer_len = sizeof(peer);
	struct dns_talk talk = { 0 };
	unsigned char text[1024];
	ssize_t len;

	len = recvfrom(server->udp, text, sizeof(text), 0, (struct sockaddr *)&peer, &peer_len);
	if (len < 0 || !dns_read(&talk, text, (size_t)len))
		return;
	dns_add(&server->counts->udp);
	if (talk.name->manner == DNS_SILENT)
		return;
	dns_answer(&talk);
	sendto(server->udp, talk.text + 2, talk.len, 0, (struct sockaddr *)&peer, peer_len);
}

static inline bool dns_read_all(int fd, unsigned char *text, size_t len)
{
	size_t have = 0;
	ssize_t n;

	while (have < len && (n = recv(fd, text + have, len - have, 0)) > 0)
		have += (size_t)n;
	return have == len;
}

/* Ends the connection in a way that its writer hears of as EPIPE, not ECONNRESET. */
static inline void dns_hang_up(int fd)
{
	struct linger hard = { .l_onoff = 1 };

	shutdown(fd, SHUT_WR);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
}

static inline void dns_serve_tcp(const struct dns_server *server, bool rude)
{
	int fd = accept(server->tcp, NULL, NULL);
	unsigned char head[2], text[1024];
	struct dns_talk talk = { .stream = true };

	if (rude)
		dns_hang_up(fd);
	else
		dns_add(&server->counts->tcp);
	while (!rude && dns_read_all(fd, head, 2)) {
		size_t len = (size_t)head[0] << 8 | head[1];

		if (len > sizeof(text) || !dns_read_all(fd, text, len) ||
		    !dns_read(&talk, text, len))
			break;
		dns_answer(&talk);
		talk.text[0] = (unsigned char)(talk.len >> 8);
		talk.text[1] = (unsigned char)talk.len;
		send(fd, talk.text, 2 + talk.len, MSG_NOSIGNAL);
	}
	close(fd);
	if (rude)
		dns_add(&server->counts->tcp);	/* once it is done */
}

static inline void dns_run(const struct dns_server *server, bool rude)
{
	struct pollfd fds[] = {
		{ .fd = server->udp, .events = POLLIN },
		{ .fd = server->tcp, .events = POLLIN },
	};

	for (;;) {
		poll(fds, ARRAY_SIZE(fds), -1);
		if (fds[0].revents)
			dns_serve_udp(server);
		if (fds[1].revents)
			dns_serve_tcp(server, rude);
	}
}

/* A socket of either type on one port of loopback; *@port 0: any. */
static inline int dns_bind(int type, uint16_t *port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(*port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int bytes = 1 << 20;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (bind(fd, (struct sockaddr *)&addr, len) ||
	    (type == SOCK_STREAM && listen(fd, 64))) {
		close(fd);
		return -1;
	}
	getsockname(fd, (struct sockaddr *)&addr, &len);
	*port = ntohs(addr.sin_port);
	return fd;
}

/* From now on it refuses: who is connected to himself hears nobody else. 0 or -1. */
static inline int dns_refuse(int udp)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);

	if (getsockname(udp, (struct sockaddr *)&addr, &len))
		return -1;
	return connect(udp, (struct sockaddr *)&addr, len);
}

/* 0 or -1. @rude: connections are reset before anything is read. */
static inline int dns_open(struct dns_server *server, bool rude)
{
	unsigned int tries;

	server->tcp = -1;
	for (tries = 0; tries < 16 && server->tcp < 0; tries++) {
		if (tries)
			close(server->udp);
		server->port = 0;
		server->udp = dns_bind(SOCK_DGRAM, &server->port);
		server->tcp = dns_bind(SOCK_STREAM, &server->port);
	}
	server->counts = mmap(NULL, sizeof(*server->counts), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (server->tcp < 0 || server->counts == MAP_FAILED)
		return -1;
	server->pid = fork();
	if (!server->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(DNS_LIFE_S);
		dns_run(server, rude);
	}
	close(server->udp);
	close(server->tcp);
	return server->pid < 0 ? -1 : 0;
}

static inline void dns_close(struct dns_server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	munmap(server->counts, sizeof(*server->counts));
}

static inline unsigned int dns_count(const unsigned int *counter)
{
	return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

#endif /* TESTS_DNS_H */
