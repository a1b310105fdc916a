/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ss.h - what ss(8) says of a connection
 */
#ifndef TESTS_SS_H
#define TESTS_SS_H

#include "bpf_service.h"

/* One connection as `ss -Htine` prints it. */
struct ss {
	char state[16];
	char local[64];
	char remote[64];
	unsigned long cookie;
	unsigned long acked, received;
	unsigned int recvq, sendq;
	unsigned int srtt_us, rtt_min_us;
	unsigned int cwnd, mss;
	unsigned int unacked, sacked, lost;
	unsigned int retrans_now, retrans;
	unsigned int backoff;
	/* Not the same from look to look, which was between these two. */
	unsigned int lastsnd_ms, lastack_ms;
	uint64_t from_ns, to_ns;
};

#define STEADY	offsetof(struct ss, lastsnd_ms)

static inline unsigned int us_of(const char *ms)
{
	return (unsigned int)(strtod(ms, NULL) * 1000 + 0.5);
}

static inline unsigned long number_of(const char *text, const char *name,
				      unsigned long otherwise)
{
	size_t len = strlen(name);

	return strncmp(text, name, len) ? otherwise : strtoul(text + len, NULL, 0);
}

static inline void ss_token(struct ss *ss, const char *token)
{
	const char *slash = strchr(token, '/');

	if (!strncmp(token, "sk:", 3))
		ss->cookie = strtoul(token + 3, NULL, 16);
	ss->acked = number_of(token, "bytes_acked:", ss->acked);
	ss->received = number_of(token, "bytes_received:", ss->received);
	ss->cwnd = number_of(token, "cwnd:", ss->cwnd);
	ss->mss = number_of(token, "mss:", ss->mss);
	ss->unacked = number_of(token, "unacked:", ss->unacked);
	ss->sacked = number_of(token, "sacked:", ss->sacked);
	ss->lost = number_of(token, "lost:", ss->lost);
	ss->retrans_now = number_of(token, "retrans:", ss->retrans_now);
	ss->backoff = number_of(token, "backoff:", ss->backoff);
	ss->lastsnd_ms = number_of(token, "lastsnd:", ss->lastsnd_ms);
	ss->lastack_ms = number_of(token, "lastack:", ss->lastack_ms);
	if (!strncmp(token, "retrans:", 8) && slash)
		ss->retrans = strtoul(slash + 1, NULL, 10);
	if (!strncmp(token, "rtt:", 4))
		ss->srtt_us = us_of(token + 4);
	if (!strncmp(token, "minrtt:", 7))
		ss->rtt_min_us = us_of(token + 7);
}

/* The server's end of the one connection of a service. */
static inline int ss_read(const struct service *s, struct ss *ss)
{
	char command[64], line[2048], *token, *save;
	FILE *out;

	memset(ss, 0, sizeof(*ss));
	ss->from_ns = now_ns();
	snprintf(command, sizeof(command), "ss -Htine sport = :%u", s->port);
	out = popen(command, "r");
	if (!out)
		return -errno;
	if (!fgets(line, sizeof(line), out) ||
	    sscanf(line, "%15s %u %u %63s %63s", ss->state, &ss->recvq, &ss->sendq, ss->local,
		   ss->remote) != 5) {
		pclose(out);
		return -ENOENT;
	}
	do {
		for (token = strtok_r(line, " \t\n", &save); token;
		     token = strtok_r(NULL, " \t\n", &save))
			ss_token(ss, token);
	} while (fgets(line, sizeof(line), out));
	ss->to_ns = now_ns();
	return pclose(out) ? -EIO : 0;
}

#endif /* TESTS_SS_H */
