// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* takeover.c - listeners that are there already, and for whom */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "common.h"
#include "takeover.h"

static const struct {
	enum weir_takeover_from from;
	const char *who;
} kept[] = {
	{ WEIR_TAKEOVER_HOLDER, "the holder" },
	{ WEIR_TAKEOVER_MANAGER, "the service manager" },
};

/* Where the first of them listens: that of all, but of one whose worker died. */
static int where_is(const struct weir_takeover *takeover, struct weir_addr *addr)
{
	unsigned int count, i = 0;
	const int *fds = weir_takeover_listeners(takeover, &count);
	struct weir_addr peer = { .len = sizeof(peer.ss) };

	while (i + 1 < count &&
	       !getpeername(fds[i], (struct sockaddr *)(void *)&peer.ss, &peer.len))
		i++;
	addr->len = sizeof(addr->ss);
	return getsockname(fds[i], (struct sockaddr *)(void *)&addr->ss, &addr->len) ? -errno : 0;
}

uint16_t takeover_port(const struct weir_takeover *takeover)
{
	struct weir_addr addr;

	return where_is(takeover, &addr) ? 0 : (uint16_t)weir_addr_port(&addr);
}

static bool same_ip(const struct weir_addr *a, const struct weir_addr *b)
{
	const struct sockaddr_in6 *a6 = (const void *)&a->ss, *b6 = (const void *)&b->ss;
	const struct sockaddr_in *a4 = (const void *)&a->ss, *b4 = (const void *)&b->ss;

	if (a->ss.ss_family != b->ss.ss_family)
		return false;
	return a->ss.ss_family == AF_INET ?
	       a4->sin_addr.s_addr == b4->sin_addr.s_addr :
	       !memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr));
}

/* Clients would be served elsewhere than they are expected. */
static int place_check(const struct weir_takeover *takeover, const char *instance,
		       const struct takeover_place *place)
{
	int port = weir_addr_port(place->where);
	char text[WEIR_ADDR_TEXT_MAX];
	struct weir_addr addr;

	if (where_is(takeover, &addr) ||
	    ((!place->addr_said || same_ip(&addr, place->where)) &&
	     (!place->port_said || !port || port == weir_addr_port(&addr))))
		return 0;
	if (weir_addr_format(&addr, text, sizeof(text)) < 0)
		text[0] = '\0';
	return fail("instance %s: its listeners are at %s: --addr and --port cannot move them; "
		    "leave these out, or stop what has them first", instance, text);
}

static int option_of(int fd, int option)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) ? 0 : value;
}

static int kind_check(const struct weir_takeover *takeover, const char *instance,
		      const struct takeover_heir *heir, uint64_t workers)
{
	unsigned int count;
	const int *fds = weir_takeover_listeners(takeover, &count);
	bool udp = option_of(fds[0], SO_TYPE) == SOCK_DGRAM;

	if (udp != heir->udp)
		return fail("instance %s: what it has are %s: weir serve %s takes these", instance,
			    udp ? "UDP sockets, for datagrams" : "TCP listeners, for connections",
			    udp ? "udp-echo" : "echo");
	/* Of one that is alone no other can be beside it, nor a program choose it. */
	if (udp || heir->acceptor || option_of(fds[0], SO_REUSEPORT) ||
	    (!heir->bpf && workers <= count))
		return 0;
	return fail("instance %s: it has one listener, of --acceptor, that cannot be in a group: "
		    "--acceptor takes it, or --no-bpf with --workers 1", instance);
}

static int find_kept(struct weir_takeover **takeoverp, const char *instance)
{
	int err = -ENOENT;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kept) && err == -ENOENT; i++) {
		err = weir_takeover_open(takeoverp, instance, kept[i].from);
		if (err && err != -ENOENT && err != -EACCES)
			return fail("instance %s: nothing from %s: %s", instance, kept[i].who,
				    weir_strerror(err));
		if (err == -EACCES)	/* not this user's */
			err = -ENOENT;
	}
	return 0;
}

static int find_live(struct weir_takeover **takeoverp, const char *instance)
{
	int err = weir_takeover_open(takeoverp, instance, WEIR_TAKEOVER_SERVICE);

	if (err == -ENOENT)
		return fail("instance %s: there is no live service to take over", instance);
	if (err == -EOPNOTSUPP)
		return fail("instance %s: its datagrams come by AF_XDP, into memory of its "
			    "process: it cannot be taken over, only stopped", instance);
	if (err)
		return fail("instance %s: cannot take it over: %s", instance, weir_strerror(err));
	return 0;
}

int takeover_find(struct weir_takeover **takeoverp, const char *instance, bool live,
		  const struct takeover_place *place, const struct takeover_heir *heir,
		  uint64_t *workers)
{
	unsigned int count;
	int failed;

	*takeoverp = NULL;
	failed = live ? find_live(takeoverp, instance) : find_kept(takeoverp, instance);
	if (failed || !*takeoverp)
		return failed;
	weir_takeover_listeners(*takeoverp, &count);
	if (!*workers)
		*workers = heir->acceptor ? weir_takeover_workers(*takeoverp) : count;
	failed = kind_check(*takeoverp, instance, heir, *workers);
	return failed ? failed : place_check(*takeoverp, instance, place);
}

int takeover_check(const struct command *cmd, bool xdp, bool nameless)
{
	if (xdp)
		return usage_error(cmd, "--takeover: not with --xdp: an AF_XDP socket is bound to "
				   "the memory of its process");
	if (nameless)
		return usage_error(cmd, "--takeover: with --acceptor it needs --instance");
	return 0;
}

int takeover_surplus(const char *instance, uint64_t workers)
{
	return fail("instance %s: there are more listeners than %u worker%s, and without BPF the "
		    "kernel does not move the clients that wait in the others; sysctl "
		    "net.ipv4.tcp_migrate_req=1 helps", instance, (unsigned int)workers,
		    workers == 1 ? "" : "s");
}
