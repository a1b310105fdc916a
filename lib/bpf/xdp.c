// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xdp.c - open and close the XDP program of an instance
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if.h>

#include "steer.skel.h"
#include "xdp.skel.h"

#include "bpf/xdp.h"

_Static_assert(sizeof(((struct weir_xdp_cfg *)0)->ifname) == IFNAMSIZ, "a name fits");

static int link_find(struct weir_xdp *xdp, const char *ifname, const struct reason *reason)
{
	struct ifreq ifr;
	int err = link_ask(ifname, SIOCGIFINDEX, &ifr, reason);

	if (err)
		return err;
	strcpy(xdp->ifname, ifname);
	xdp->ifindex = ifr.ifr_ifindex;
	return 0;
}

/* The instance's maps, and ours as long as it has workers. */
static int maps_size(struct weir_xdp *xdp)
{
	struct weir_bpf *bpf = xdp->bpf;
	struct xdp_bpf *skel = xdp->skel;
	int err;

	err = maps_share(skel->obj, bpf->steer->obj);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.weir_xsks, bpf->opts.workers);
	if (!err)
		err = bpf_map__set_max_entries(skel->maps.weir_xdp_row, bpf->opts.workers);
	return err;
}

static int maps_map(struct weir_xdp *xdp, uint32_t queue_first)
{
	int err = array_map((void **)&xdp->cfg, xdp->skel->maps.weir_xdp_cfg);

	if (!err)
		err = array_map((void **)&xdp->rows, xdp->skel->maps.weir_xdp_row);
	if (err)
		return err;
	xdp->cfg->ifindex = (uint32_t)xdp->ifindex;
	xdp->cfg->mode = xdp->mode;
	xdp->cfg->by = xdp->by;
	xdp->cfg->queue_first = queue_first;
	memcpy(xdp->cfg->ifname, xdp->ifname, sizeof(xdp->cfg->ifname));
	return 0;
}

/* All that is not the instance's, or libbpf's own. */
static bool is_pinned(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	return !bpf_map__is_internal(map) && strcmp(name, "weir_worker") &&
	       strcmp(name, "weir_cfg");
}

static void unpin(struct weir_xdp *xdp)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, xdp->skel->obj) {
		if (is_pinned(map))
			unlinkat(xdp->bpf->pins_fd, bpf_map__name(map), 0);
	}
	unlinkat(xdp->bpf->pins_fd, "weir_xdp", 0);
}

/* Those of an owner before, whose program is gone, are replaced. */
static int pin(struct weir_xdp *xdp, const struct reason *reason)
{
	struct bpf_map *map;
	int err;

	unpin(xdp);
	err = pin_prog(xdp->bpf, bpf_program__fd(xdp->skel->progs.weir_xdp), "weir_xdp", reason);
	bpf_object__for_each_map(map, xdp->skel->obj) {
		if (!err && is_pinned(map))
			err = pin_fd(xdp->bpf, bpf_map__fd(map), bpf_map__name(map), reason);
	}
	return err;
}

int weir_xdp_open(struct weir_xdp **xdpp, struct weir_bpf *bpf, const struct weir_xdp_opts *given)
{
	struct weir_xdp_opts opts;
	struct reason reason;
	struct weir_xdp *xdp;
	int err;

	err = opts_copy(&opts, sizeof(opts), given);
	if (err)
		return err;
	reason.text = opts.reason;
	reason.bytes = opts.reason_bytes;
	if (!bpf || !opts.ifname || opts.want > WEIR_XDP_WANT_GENERIC)
		return reason_set(&reason, -EINVAL, "XDP needs an instance and an interface");
	if (bpf->xdp)
		return reason_set(&reason, -EEXIST, "the instance has an XDP program on %s already",
				  bpf->xdp->ifname);
	xdp = calloc(1, sizeof(*xdp));
	if (!xdp)
		return -ENOMEM;
	xdp->bpf = bpf;
	xdp->link_fd = -1;
	xdp->news_fd = -1;
	xdp->want = opts.want;
	err = link_find(xdp, opts.ifname, &reason);
	if (!err) {
		xdp->skel = xdp_bpf__open();
		err = xdp->skel ? maps_size(xdp) : -errno;
	}
	if (!err)
		err = xdp_attach(xdp, &reason);
	if (!err)
		err = maps_map(xdp, opts.queue_first);
	if (!err)
		err = xdp_own_open(xdp);
	if (!err)
		err = pin(xdp, &reason);
	if (err) {
		weir_xdp_close(xdp);
		return err;
	}
	pthread_mutex_lock(&bpf->listeners);
	bpf->xdp = xdp;
	pthread_mutex_unlock(&bpf->listeners);
	*xdpp = xdp;
	return 0;
}

void weir_xdp_close(struct weir_xdp *xdp)
{
	if (!xdp)
		return;
	/* A tick may be under way. */
	pthread_mutex_lock(&xdp->bpf->listeners);
	if (xdp->bpf->xdp == xdp)
		xdp->bpf->xdp = NULL;
	pthread_mutex_unlock(&xdp->bpf->listeners);
	xdp_quiet_begin();
	xdp_detach(xdp);
	xdp_quiet_end();
	if (xdp->rows)
		array_unmap((void **)&xdp->rows, xdp->skel->maps.weir_xdp_row);
	if (xdp->cfg) {
		array_unmap((void **)&xdp->cfg, xdp->skel->maps.weir_xdp_cfg);
		unpin(xdp);
	}
	if (xdp->news_fd >= 0)
		close(xdp->news_fd);
	xdp_bpf__destroy(xdp->skel);
	free(xdp);
}

static int port_key(const struct weir_addr *addr, int proto, struct weir_xdp_port *key)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->ss;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->ss;

	memset(key, 0, sizeof(*key));
	if (proto != IPPROTO_UDP && proto != IPPROTO_TCP)
		return -EINVAL;
	key->proto = (uint8_t)proto;
	if (addr->ss.ss_family == AF_INET) {
		key->family = WEIR_FAMILY_INET;
		key->port = ntohs(in->sin_port);
		key->ip[0] = in->sin_addr.s_addr;
	} else if (addr->ss.ss_family == AF_INET6) {
		key->family = WEIR_FAMILY_INET6;
		key->port = ntohs(in6->sin6_port);
		memcpy(key->ip, &in6->sin6_addr, sizeof(key->ip));
	} else {
		return -EAFNOSUPPORT;
	}
	return key->port ? 0 : -EINVAL;
}

int weir_xdp_port_add(struct weir_xdp *xdp, const struct weir_addr *addr, int proto)
{
	struct weir_xdp_port key;
	uint32_t one = 1;
	int err = port_key(addr, proto, &key);

	if (err)
		return err;
	err = bpf_map_update_elem(bpf_map__fd(xdp->skel->maps.weir_xdp_port), &key, &one, BPF_ANY);
	return err == -E2BIG ? -ENOSPC : err;
}

int weir_xdp_port_del(struct weir_xdp *xdp, const struct weir_addr *addr, int proto)
{
	struct weir_xdp_port key;
	int err = port_key(addr, proto, &key);

	return err ?: bpf_map_delete_elem(bpf_map__fd(xdp->skel->maps.weir_xdp_port), &key);
}

int weir_xdp_join(struct weir_xdp *xdp, unsigned int worker, const struct weir_xsk *xsk)
{
	int fd = weir_xsk_fd(xsk);
	uint32_t key = worker;

	if (worker >= xdp->bpf->opts.workers)
		return -EINVAL;
	return bpf_map_update_elem(bpf_map__fd(xdp->skel->maps.weir_xsks), &key, &fd, BPF_ANY);
}

struct weir_xdp_cfg *weir_xdp_cfg(struct weir_xdp *xdp)
{
	return xdp->cfg;
}

int weir_xdp_status(const struct weir_xdp *xdp, struct weir_xdp_status *status)
{
	struct weir_xdp_status full = {
		.sz = sizeof(full), .mode = xdp->mode, .by = xdp->by,
		.ifindex = (uint32_t)xdp->ifindex,
	};
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	size_t sz = status->sz;

	if (sz < offsetof(struct weir_xdp_status, why))
		return -EINVAL;
	if (!bpf_obj_get_info_by_fd(bpf_program__fd(xdp->skel->progs.weir_xdp), &info, &len))
		full.prog_id = info.id;
	strcpy(full.why, xdp->why);
	memcpy(status, &full, sz < sizeof(full) ? sz : sizeof(full));
	status->sz = sz;
	return 0;
}

int weir_xdp_stats(const struct weir_xdp *xdp, struct weir_xdp_stats *stats)
{
	return percpu_sum(bpf_map__fd(xdp->skel->maps.weir_xdp_stats), 0, (uint64_t *)stats,
			  sizeof(*stats) / sizeof(uint64_t));
}

int weir_xdp_row(const struct weir_xdp *xdp, unsigned int worker, struct weir_xdp_row *row)
{
	if (worker >= xdp->bpf->opts.workers)
		return -EINVAL;
	*row = xdp->rows[worker];
	return 0;
}
