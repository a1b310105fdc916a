// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * lookup.c - the sk_lookup program of an instance, and the sockets that stand for
 * its groups
 *
 * A socket cannot be in a reuseport array and in a sockmap at once, and in a
 * sockmap a listener loses zero-copy sends. So each group gets one more socket, which
 * is in the sockmap and in nothing else; the steering program never chooses it. What
 * the kernel's own hash might give it when nothing else is left is accepted by one
 * of the workers: weir_steering_ops.spare. Datagrams are not: a filter drops them.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lookup.skel.h"

#include "bpf/instance.h"

#define REP_BACKLOG	4096
#define PROGS_MAX	64	/* as many as the kernel takes */

int netns_open(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int lookup_walk(int netns_fd,
		int (*fn)(void *ctx, int prog_fd, const struct bpf_prog_info *info), void *ctx)
{
	uint32_t ids[PROGS_MAX], count = PROGS_MAX, i, len;
	struct bpf_prog_info info;
	int fd, err;

	err = bpf_prog_query(netns_fd, BPF_SK_LOOKUP, 0, NULL, ids, &count);
	for (i = 0; !err && i < count; i++) {
		fd = bpf_prog_get_fd_by_id(ids[i]);
		if (fd < 0)
			continue;	/* gone, or who we are may not ask it */
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		if (!bpf_obj_get_info_by_fd(fd, &info, &len))
			err = fn(ctx, fd, &info);
		close(fd);
	}
	return err;
}

/* Other programs of this network namespace, by name: they are asked before or after. */
static int foreign_warn(void *ctx, int prog_fd, const struct bpf_prog_info *info)
{
	const struct weir_bpf *bpf = ctx;

	if (strcmp(info->name, "weir_lookup"))
		bpf_log(bpf, WEIR_LOG_WARN, "bpf: instance %s: sk_lookup program %s (id %u) is "
			"there, too: what both claim goes to the one asked first", bpf->name,
			info->name, info->id);
	return 0;
}

static int lookup_attach(struct weir_bpf *bpf, const struct reason *reason)
{
	int netns_fd = netns_open(), err = 0;
	const char *said;

	if (netns_fd < 0)
		return reason_set(reason, netns_fd, "cannot open the network namespace: %s",
				  strerror(-netns_fd));
	(void)lookup_walk(netns_fd, foreign_warn, bpf);
	capture_begin();
	if (bpf->adopted && pin_there(bpf, "weir_link_vip"))
		err = adopt_link(bpf, "weir_link_vip", bpf->lookup->progs.weir_lookup,
				 &bpf->lookup->links.weir_lookup);
	else
		bpf->lookup->links.weir_lookup =
			bpf_program__attach_netns(bpf->lookup->progs.weir_lookup, netns_fd);
	if (!err && !bpf->lookup->links.weir_lookup)
		err = -errno;
	said = capture_end();
	close(netns_fd);
	if (err)
		return reason_set(reason, err, "cannot attach sk_lookup to the network namespace: "
				  "%s (%s)", strerror(-err), said);
	return 0;
}

int lookup_relink(struct weir_bpf *bpf)
{
	if (!bpf->lookup)
		return 0;
	return bpf_link__update_program(bpf->lookup->links.weir_lookup,
					bpf->lookup->progs.weir_lookup);
}

int lookup_load(struct weir_bpf *bpf, const struct reason *reason)
{
	const char *said;
	int err;

	if (!bpf->opts.vips_max)
		return 0;
	capture_begin();
	bpf->lookup = lookup_bpf__open();
	err = bpf->lookup ? bpf_map__set_max_entries(bpf->lookup->maps.weir_vip,
						     bpf->opts.vips_max) : -errno;
	if (!err)
		err = adopt_maps(bpf, bpf->lookup->obj, reason);
	if (!err)
		err = lookup_bpf__load(bpf->lookup);
	said = capture_end();
	if (err == -EPROTO)
		return err;	/* adopt_maps() has said which map */
	if (err == -EPERM)
		return reason_set(reason, err, "no sk_lookup: CAP_BPF and CAP_NET_ADMIN are needed "
				  "(%s)", said);
	if (err)
		return reason_set(reason, err, "cannot load sk_lookup: %s (%s)", strerror(-err),
				  said);
	return lookup_attach(bpf, reason);
}

void lookup_unload(struct weir_bpf *bpf)
{
	rep_close(bpf);
	lookup_bpf__destroy(bpf->lookup);
	bpf->lookup = NULL;
}

/* the sockets that stand for the groups */

/* What one hands on to its children, or must share with its group. */
static int options_copy(int to, int from)
{
	static const struct {
		int level, option;
		int domain, type;	/* 0: of any */
	} copied[] = {
		{ SOL_SOCKET, SO_REUSEADDR, 0, 0 },
		{ SOL_SOCKET, SO_REUSEPORT, 0, 0 },
		{ SOL_SOCKET, SO_KEEPALIVE, 0, SOCK_STREAM },
		{ IPPROTO_TCP, TCP_NODELAY, 0, SOCK_STREAM },
		{ IPPROTO_TCP, TCP_SAVE_SYN, 0, SOCK_STREAM },
		{ IPPROTO_TCP, TCP_DEFER_ACCEPT, 0, SOCK_STREAM },
		{ IPPROTO_IPV6, IPV6_V6ONLY, AF_INET6, 0 },
	};
	int value, domain, type;
	socklen_t len;
	size_t i;

	len = sizeof(int);
	if (getsockopt(from, SOL_SOCKET, SO_DOMAIN, &domain, &len) ||
	    getsockopt(from, SOL_SOCKET, SO_TYPE, &type, &len))
		return -errno;
	for (i = 0; i < ARRAY_SIZE(copied); i++) {
		if ((copied[i].domain && copied[i].domain != domain) ||
		    (copied[i].type && copied[i].type != type))
			continue;
		if (getsockopt(from, copied[i].level, copied[i].option, &value, &len))
			return -errno;
		if (value && setsockopt(to, copied[i].level, copied[i].option, &value, len))
			return -errno;
	}
	return 0;
}

/* Fast open has to be set on a socket that is bound, and not with zero. */
static int fastopen_copy(int to, int from)
{
	socklen_t len = sizeof(int);
	int value;

	if (getsockopt(from, IPPROTO_TCP, TCP_FASTOPEN, &value, &len) || !value)
		return 0;
	return setsockopt(to, IPPROTO_TCP, TCP_FASTOPEN, &value, len) ? -errno : 0;
}

static int rep_listen(int fd, int like)
{
	int err = fastopen_copy(fd, like);

	if (!err && listen(fd, REP_BACKLOG))
		err = -errno;
	return err;
}

/* Nobody reads it: it must not keep what the hash, or a multicast, brings. */
static int rep_deafen(int fd)
{
	struct sock_filter none = { .code = BPF_RET | BPF_K, .k = 0 };
	const struct sock_fprog filter = { .len = 1, .filter = &none };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) ? -errno : 0;
}

/* One more socket like @like, in its group. */
static int rep_make(int like, bool dgram)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	int fd, err;

	if (getsockname(like, (struct sockaddr *)&addr, &len))
		return -errno;
	fd = socket(addr.ss_family,
		    (dgram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = options_copy(fd, like);
	if (!err && dgram)
		err = rep_deafen(fd);
	if (!err && bind(fd, (struct sockaddr *)&addr, len))
		err = -errno;
	if (!err && !dgram)
		err = rep_listen(fd, like);
	if (!err)
		return fd;
	close(fd);
	return err;
}

static uint32_t rep_place(const struct weir_bpf *bpf, bool v6)
{
	return (bpf->dgram ? WEIR_REP_UDP4 : WEIR_REP_TCP4) + v6;
}

static int rep_put(struct weir_bpf *bpf, bool v6)
{
	uint32_t place = rep_place(bpf, v6);
	uint64_t value = bpf->rep_fd[v6];

	return bpf_map_update_elem(bpf_map__fd(bpf->lookup->maps.weir_rep), &place, &value,
				   BPF_ANY);
}

int rep_open(struct weir_bpf *bpf, bool v6, int like)
{
	int fd, err;

	if (!bpf->lookup)
		return 0;
	if (bpf->rep_fd[v6] >= 0)
		return rep_put(bpf, v6);	/* in its place may be a successor's */
	fd = rep_make(like, bpf->dgram);
	if (fd < 0)
		return fd;
	bpf->rep_fd[v6] = fd;
	err = rep_put(bpf, v6);
	if (err) {
		bpf->rep_fd[v6] = -1;
		close(fd);
	}
	return err;
}

/* Nobody serves any more: a client is to be refused, not to wait. */
void rep_close(struct weir_bpf *bpf)
{
	uint32_t place;
	int v6, fd;

	for (v6 = 0; v6 < 2; v6++) {
		fd = atomic_exchange(&bpf->rep_fd[v6], -1);
		if (fd < 0)
			continue;
		place = rep_place(bpf, v6);
		/* A worker that accepts here may keep the socket for a while. */
		if (!bpf->theirs)
			bpf_map_delete_elem(bpf_map__fd(bpf->lookup->maps.weir_rep), &place);
		close(fd);
	}
}
