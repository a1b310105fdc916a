// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xdp_attach.c - an XDP program on an interface, beside others or alone
 *
 * libxdp's dispatcher calls several programs in turn, each in the place of one of
 * its functions. Where the kernel cannot do that libxdp falls back in silence to a
 * program that is attached for good; we then attach by a link of our own instead,
 * which the kernel removes with the process, and which nobody else's program can be
 * replaced by.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <xdp/libxdp.h>

#include "xdp.skel.h"

#include "bpf/xdp.h"

#define DISPATCHER	"xdp_dispatcher"

/* Names of programs take CAP_SYS_ADMIN. */
static void prog_name(uint32_t id, char name[static BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	strcpy(name, "?");
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &len))
		memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	name[BPF_OBJ_NAME_LEN - 1] = '\0';
	close(fd);
}

/* Who is there already: its id, or 0, or -errno. */
static int prog_there(const struct weir_xdp *xdp, char name[static BPF_OBJ_NAME_LEN])
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	uint32_t id;
	int err;

	err = bpf_xdp_query(xdp->ifindex, 0, &query);
	if (err)
		return err;
	id = query.prog_id ?: query.drv_prog_id ?: query.skb_prog_id ?: query.hw_prog_id;
	if (id)
		prog_name(id, name);
	return (int)id;
}

/* alone */

static int link_try(struct weir_xdp *xdp, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);

	xdp->link_fd = bpf_link_create(bpf_program__fd(xdp->skel->progs.weir_xdp), xdp->ifindex,
				       BPF_XDP, &opts);
	return xdp->link_fd < 0 ? xdp->link_fd : 0;
}

static bool is_mode_missing(int err)
{
	return err == -EOPNOTSUPP || err == -EINVAL || err == -ERANGE;
}

static int link_attach(struct weir_xdp *xdp, const struct reason *reason)
{
	int err = -EOPNOTSUPP;

	xdp->by = WEIR_XDP_BY_LINK;
	if (xdp->want != WEIR_XDP_WANT_GENERIC) {
		xdp->mode = WEIR_XDP_NATIVE;
		err = link_try(xdp, XDP_FLAGS_DRV_MODE);
		if (!err)
			return 0;
		if (is_mode_missing(err) && xdp->want == WEIR_XDP_WANT_NATIVE)
			return reason_set(reason, -EOPNOTSUPP, "the driver of %s takes no XDP "
					  "program (%s), and the generic mode was not asked for",
					  xdp->ifname, strerror(-err));
		if (is_mode_missing(err))
			bpf_log(xdp->bpf, WEIR_LOG_WARN, "xdp: generic mode on %s: its driver "
				"takes no program (%s)", xdp->ifname, strerror(-err));
	}
	if (is_mode_missing(err)) {
		xdp->mode = WEIR_XDP_GENERIC;
		err = link_try(xdp, XDP_FLAGS_SKB_MODE);
	}
	if (err == -EBUSY || err == -EEXIST)
		return reason_set(reason, -EBUSY, "%s has an XDP program already", xdp->ifname);
	if (err)
		return reason_set(reason, err, "cannot attach to %s: %s", xdp->ifname,
				  strerror(-err));
	return 0;
}

static int attach_alone(struct weir_xdp *xdp, const struct reason *reason)
{
	char name[BPF_OBJ_NAME_LEN];
	const char *said;
	int err, id;

	id = prog_there(xdp, name);
	if (id < 0)
		return reason_set(reason, id, "cannot ask for the programs of %s: %s",
				  xdp->ifname, strerror(-id));
	if (id)
		return reason_set(reason, -EBUSY, "%s has XDP program %s (id %d), and there can "
				  "be no second: %s", xdp->ifname, name, id, xdp->why);
	capture_begin();
	err = xdp_bpf__load(xdp->skel);
	said = capture_end();
	if (err)
		return reason_set(reason, err, "cannot load the XDP program: %s (%s)",
				  strerror(-err), said);
	bpf_log(xdp->bpf, WEIR_LOG_INFO, "xdp: alone on %s: %s", xdp->ifname, xdp->why);
	return link_attach(xdp, reason);
}

/* beside others */

static int chain_try(struct weir_xdp *xdp, uint32_t mode)
{
	struct xdp_multiprog *all;
	int err;

	xdp->mode = mode;
	err = xdp_program__attach(xdp->chained, xdp->ifindex, mode == WEIR_XDP_NATIVE ?
				  XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	if (err)
		return err;
	all = xdp_multiprog__get_from_ifindex(xdp->ifindex);
	err = libxdp_get_error(all);
	if (!err && xdp_multiprog__is_legacy(all))
		err = -ENOTSUP;		/* the silent fallback: attached for good */
	if (!libxdp_get_error(all))
		xdp_multiprog__close(all);
	if (err)
		xdp_detach(xdp);
	return err;
}

/* An owner that died left the program that it pinned in the dispatcher. */
static void chain_clean(struct weir_xdp *xdp)
{
	struct xdp_multiprog *all;
	struct xdp_program *prog = NULL;
	struct bpf_prog_info info = {};

	if (pin_info(xdp->bpf->pins_fd, "weir_xdp", &info, sizeof(info)))
		return;
	all = xdp_multiprog__get_from_ifindex(xdp->ifindex);
	if (libxdp_get_error(all))
		return;
	while ((prog = xdp_multiprog__next_prog(prog, all))) {
		if (xdp_program__id(prog) != info.id)
			continue;
		(void)xdp_program__detach(prog, xdp->ifindex, xdp_multiprog__attach_mode(all), 0);
		break;
	}
	xdp_multiprog__close(all);
}

static int chain_attach(struct weir_xdp *xdp)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .obj = xdp->skel->obj,
			    .prog_name = "weir_xdp");
	int err;

	chain_clean(xdp);
	xdp->by = WEIR_XDP_BY_DISPATCHER;
	xdp->chained = xdp_program__create(&opts);
	err = libxdp_get_error(xdp->chained);
	if (err) {
		xdp->chained = NULL;
		return err;
	}
	err = -EOPNOTSUPP;
	if (xdp->want != WEIR_XDP_WANT_GENERIC)
		err = chain_try(xdp, WEIR_XDP_NATIVE);
	if (is_mode_missing(err) && xdp->want != WEIR_XDP_WANT_NATIVE)
		err = chain_try(xdp, WEIR_XDP_GENERIC);
	return err;
}

static int attach_chained(struct weir_xdp *xdp, const struct reason *reason)
{
	char name[BPF_OBJ_NAME_LEN];
	int err, id = prog_there(xdp, name);

	if (id > 0 && strcmp(name, DISPATCHER) && strcmp(name, "?"))
		return reason_set(reason, -EBUSY, "%s has XDP program %s (id %d), which is not "
				  "in a dispatcher", xdp->ifname, name, id);
	xdp_quiet_begin();
	err = chain_attach(xdp);
	xdp_quiet_end();
	if (err)
		return reason_set(reason, err, "libxdp cannot attach to %s: %s", xdp->ifname,
				  strerror(-err));
	if (xdp->mode == WEIR_XDP_GENERIC && xdp->want == WEIR_XDP_WANT_ANY)
		bpf_log(xdp->bpf, WEIR_LOG_WARN, "xdp: generic mode on %s: its driver takes no "
			"program", xdp->ifname);
	return 0;
}

int xdp_attach(struct weir_xdp *xdp, const struct reason *reason)
{
	return dispatcher_probe(xdp->why) ? attach_alone(xdp, reason) :
						attach_chained(xdp, reason);
}

void xdp_detach(struct weir_xdp *xdp)
{
	if (xdp->link_fd >= 0)
		close(xdp->link_fd);
	xdp->link_fd = -1;
	if (!xdp->chained)
		return;
	(void)xdp_program__detach(xdp->chained, xdp->ifindex, xdp->mode == WEIR_XDP_NATIVE ?
				  XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	xdp_program__close(xdp->chained);
	xdp->chained = NULL;
}
