// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xsk_open.c - open an AF_XDP socket, and take it apart again
 *
 * One memory, one socket: a bind that fails leaves the memory attached to the
 * queue, so it is never tried twice with the same one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>

#include <weir/file.h>

#include "bpf/xdp.h"
#include "bpf/xsk.h"

#define FRAMES_MIN	64U
#define FRAMES_DEFAULT	1024U
#define BYTES_DEFAULT	2048U
#define SEND_MIN	8U
#define SEND_LIMIT	16384U
#define SEND_DEFAULT	512U
#define BATCH_DEFAULT	64U
#define BATCH_MAX	1024U
#define BUSY_TRIES	500U
#define BUSY_PAUSE_NS	(2 * (long)NSEC_PER_MSEC)
#define FLAGS_ALL	(WEIR_XSK_COPY | WEIR_XSK_ZEROCOPY)

static void opts_default(struct weir_xsk_opts *opts)
{
	opts->frames = opts->frames ?: FRAMES_DEFAULT;
	opts->frame_bytes = opts->frame_bytes ?: BYTES_DEFAULT;
	opts->send_max = opts->send_max ?: SEND_DEFAULT;
	opts->batch = opts->batch ?: BATCH_DEFAULT;
	opts->tx_timeout_ns = opts->tx_timeout_ns ?: NSEC_PER_SEC;
}

static int opts_check(const struct weir_xsk_opts *opts, const struct reason *reason)
{
	if (!opts->ops || opts->ops->sz < sizeof(size_t) || !opts->ifname)
		return reason_set(reason, -EINVAL, "an AF_XDP socket needs ops and an interface");
	if (opts->frame_bytes != 2048 && opts->frame_bytes != 4096)
		return reason_set(reason, -EINVAL, "frames of %u bytes: 2048 and 4096 are possible",
				  opts->frame_bytes);
	if (opts->frames < FRAMES_MIN || opts->frames > WEIR_POOL_BUFS_MAX)
		return reason_set(reason, -EINVAL, "%u frames: not %u to %u", opts->frames,
				  FRAMES_MIN, WEIR_POOL_BUFS_MAX);
	if (opts->send_max < SEND_MIN || opts->send_max > SEND_LIMIT ||
	    opts->send_max & (opts->send_max - 1))
		return reason_set(reason, -EINVAL, "%u frames to be sent: not a power of two from "
				  "%u to %u", opts->send_max, SEND_MIN, SEND_LIMIT);
	if (opts->batch > BATCH_MAX)
		return reason_set(reason, -EINVAL, "%u frames a turn: at most %u", opts->batch,
				  BATCH_MAX);
	if (opts->flags & ~(uint32_t)FLAGS_ALL || opts->flags == FLAGS_ALL)
		return reason_set(reason, -EINVAL, "flags %#x", opts->flags);
	return 0;
}

/* What the interface takes, and whether it is there and up. */
static int link_read(struct weir_xsk *xsk, const char *ifname, const struct reason *reason)
{
	struct ifreq ifr;
	int err = link_ask(ifname, SIOCGIFMTU, &ifr, reason);

	if (err)
		return err;
	xsk->frame_max = (uint32_t)ifr.ifr_mtu + ETH_HLEN + VLAN_BYTES;
	err = link_ask(ifname, SIOCGIFFLAGS, &ifr, reason);
	if (err)
		return err;
	return ifr.ifr_flags & IFF_UP ? 0 :
	       reason_set(reason, -ENETDOWN, "%s is down", ifname);
}

/* All but one of its buffers are spare: none is received into by other means. */
static int pool_open(struct weir_xsk *xsk, const struct weir_xsk_opts *opts,
		     const struct reason *reason)
{
	struct weir_pool_opts pool = {
		.sz = sizeof(pool),
		.buf_bytes = opts->frame_bytes,
		.count = opts->frames,
		.spare = opts->frames - 1,
	};
	int err;

	xsk->pool = opts->pool;
	if (xsk->pool)
		return 0;
	err = weir_pool_open(&xsk->pool, xsk->loop, &pool);
	if (err)
		return reason_set(reason, err, "cannot have %u frames of %u bytes: %s",
				  opts->frames, opts->frame_bytes, strerror(-err));
	xsk->own_pool = true;
	return 0;
}

static int pool_read(struct weir_xsk *xsk, const struct weir_xsk_opts *opts,
		     const struct reason *reason)
{
	struct weir_pool_stats stats;
	size_t bytes = 0;

	weir_pool_stats(xsk->pool, &stats, sizeof(stats));
	xsk->slab = weir_pool_memory(xsk->pool, &bytes);
	xsk->frames = stats.count;
	xsk->frame_bytes = (uint32_t)(bytes / stats.count);
	if (xsk->frame_bytes != 2048 && xsk->frame_bytes != 4096)
		return reason_set(reason, -EINVAL, "the pool's buffers are of %u bytes: 2048 and "
				  "4096 are possible", xsk->frame_bytes);
	if (stats.incremental)
		return reason_set(reason, -EINVAL, "the pool's buffers are lent in pieces");
	xsk->fill_max = opts->fill ?: xsk->frames / 2;
	if (xsk->fill_max > xsk->frames)
		return reason_set(reason, -EINVAL, "%u frames to receive into: there are %u",
				  xsk->fill_max, xsk->frames);
	return 0;
}

static int umem_open(struct weir_xsk *xsk, const struct reason *reason)
{
	struct xsk_umem_config config = {
		.fill_size = round_up_pow2(xsk->frames),
		.comp_size = xsk->send_max,
		.frame_size = xsk->frame_bytes,
	};
	uint64_t bytes = (uint64_t)xsk->frames * xsk->frame_bytes;
	int err;

	err = xsk_umem__create(&xsk->umem, xsk->slab, bytes, &xsk->fill, &xsk->comp, &config);
	if (err == -EPERM)
		return reason_set(reason, err, "AF_XDP: CAP_NET_RAW is needed");
	if (err == -ENOBUFS || err == -ENOMEM)
		return reason_set(reason, -ENOBUFS, "AF_XDP: RLIMIT_MEMLOCK does not hold %llu "
				  "bytes", (unsigned long long)bytes);
	if (err == -EAFNOSUPPORT)
		return reason_set(reason, -EOPNOTSUPP, "the kernel has no AF_XDP");
	if (err)
		return reason_set(reason, err, "AF_XDP memory: %s", strerror(-err));
	return 0;
}

static int sock_open(struct weir_xsk *xsk, const struct weir_xsk_opts *opts,
		     const struct reason *reason)
{
	struct xsk_socket_config config = {
		.rx_size = round_up_pow2(xsk->frames),
		.tx_size = xsk->send_max,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_USE_NEED_WAKEUP,
	};
	struct xdp_options got = { 0 };
	socklen_t len = sizeof(got);
	int err;

	if (opts->flags & WEIR_XSK_COPY)
		config.bind_flags |= XDP_COPY;
	if (opts->flags & WEIR_XSK_ZEROCOPY)
		config.bind_flags |= XDP_ZEROCOPY;
	err = xsk_socket__create(&xsk->sock, opts->ifname, opts->queue, xsk->umem, &xsk->rx,
				 &xsk->tx, &config);
	if (err == -EBUSY)
		return reason_set(reason, err, "queue %u of %s has an AF_XDP socket already",
				  opts->queue, opts->ifname);
	if (err == -EINVAL)
		return reason_set(reason, err, "%s has no queue %u", opts->ifname, opts->queue);
	if (err == -EOPNOTSUPP)
		return reason_set(reason, err, "%s cannot send and receive without a copy",
				  opts->ifname);
	if (err)
		return reason_set(reason, err, "AF_XDP socket on queue %u of %s: %s", opts->queue,
				  opts->ifname, strerror(-err));
	if (getsockopt(xsk_socket__fd(xsk->sock), SOL_XDP, XDP_OPTIONS, &got, &len) == 0)
		xsk->zero_copy = got.flags & XDP_OPTIONS_ZEROCOPY;
	return 0;
}

/* What the loop polls is a descriptor of its own, which it closes. */
static int file_open(struct weir_xsk *xsk, const struct reason *reason)
{
	int err, fd = fcntl(xsk_socket__fd(xsk->sock), F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	err = weir_file_adopt(xsk->loop, fd, &xsk->file);
	if (err) {
		close(fd);
		return reason_set(reason, err, "the loop does not take the socket: %s",
				  strerror(-err));
	}
	return 0;
}

static void ops_read(struct weir_xsk *xsk, const struct weir_xsk_opts *opts)
{
	size_t sz = opts->ops->sz;

	memcpy(&xsk->ops, opts->ops, sz < sizeof(xsk->ops) ? sz : sizeof(xsk->ops));
	xsk->ctx = opts->ctx;
	xsk->send_max = opts->send_max;
	xsk->batch = opts->batch;
	xsk->tx_timeout_ns = opts->tx_timeout_ns;
}

/*
 * The kernel frees a queue in a work of its own, a moment after the last socket on
 * it was closed. Until then it looks like one that is in use.
 */
static int kernel_open(struct weir_xsk *xsk, const struct weir_xsk_opts *opts,
		       const struct reason *reason)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	unsigned int i;
	int err;

	for (i = 0; ; i++) {
		xdp_quiet_begin();
		err = umem_open(xsk, reason);
		if (!err)
			err = sock_open(xsk, opts, reason);
		xdp_quiet_end();
		if (err != -EBUSY || i == BUSY_TRIES)
			return err;
		xsk_release(xsk);
		nanosleep(&pause, NULL);
	}
}

int weir_xsk_open(struct weir_xsk **xskp, struct weir_loop *loop, const struct weir_xsk_opts *given)
{
	struct weir_xsk_opts opts;
	struct reason reason;
	struct weir_xsk *xsk;
	int err;

	err = opts_copy(&opts, sizeof(opts), given);
	if (err)
		return err;
	reason.text = opts.reason;
	reason.bytes = opts.reason_bytes;
	opts_default(&opts);
	err = opts_check(&opts, &reason);
	if (err)
		return err;
	xsk = calloc(1, sizeof(*xsk));
	if (!xsk)
		return -ENOMEM;
	xsk->loop = loop;
	ops_read(xsk, &opts);
	err = link_read(xsk, opts.ifname, &reason);
	if (!err)
		err = pool_open(xsk, &opts, &reason);
	if (!err)
		err = pool_read(xsk, &opts, &reason);
	if (!err) {
		xsk->held = calloc(xsk->frames, sizeof(struct weir_lease *));
		err = xsk->held ? 0 : -ENOMEM;
	}
	if (!err)
		err = kernel_open(xsk, &opts, &reason);
	if (!err)
		err = file_open(xsk, &reason);
	if (err) {
		/* Nothing was lent out of the pool yet, so that it can go. */
		xsk->ops.closed = NULL;
		xsk_release(xsk);
		xsk_free(xsk);
		return err;
	}
	xsk_start(xsk);
	*xskp = xsk;
	return 0;
}

void xsk_release(struct weir_xsk *xsk)
{
	uint32_t i;

	xdp_quiet_begin();
	if (xsk->sock)
		xsk_socket__delete(xsk->sock);
	if (xsk->umem)
		xsk_umem__delete(xsk->umem);
	xdp_quiet_end();
	xsk->sock = NULL;
	xsk->umem = NULL;
	for (i = 0; xsk->held && i < xsk->frames; i++) {
		weir_lease_put(xsk->held[i]);
		xsk->held[i] = NULL;
	}
}

int xsk_free(struct weir_xsk *xsk)
{
	void (*closed)(void *ctx) = xsk->ops.closed;
	void *ctx = xsk->ctx;
	int err;

	if (xsk->own_pool) {
		err = weir_pool_close(xsk->pool);
		if (err)
			return err;
	}
	free(xsk->held);
	free(xsk);
	if (closed)
		closed(ctx);
	return 0;
}

void xsk_forget(struct weir_xsk *xsk)
{
	xsk->ops.closed = NULL;
	weir_lease_put(xsk->lent);
	xsk_release(xsk);
	xsk_free(xsk);
}
