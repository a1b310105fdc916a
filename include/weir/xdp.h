/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * xdp.h - the XDP program of an instance: datagrams of the service go from one
 * interface to its workers' AF_XDP sockets, all else to the kernel.
 */
#ifndef WEIR_XDP_H
#define WEIR_XDP_H

#include <weir/addr.h>
#include <weir/bpf.h>
#include <weir/dgram.h>
#include <weir/xsk.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weir_xdp;

/**
 * enum weir_xdp_want - which mode is wanted
 * @WEIR_XDP_WANT_NATIVE: in the driver, or not at all
 * @WEIR_XDP_WANT_ANY: by the kernel where the driver has none, with a warning
 * @WEIR_XDP_WANT_GENERIC: by the kernel
 */
enum weir_xdp_want {
	WEIR_XDP_WANT_NATIVE,
	WEIR_XDP_WANT_ANY,
	WEIR_XDP_WANT_GENERIC,
};

/**
 * struct weir_xdp_opts - how to attach; zero and NULL mean default
 * @sz: sizeof(struct weir_xdp_opts)
 * @ifname: the interface; required
 * @reason: where the reason of a failure is written, as one line; may be NULL
 * @reason_bytes: size of @reason
 * @want: enum weir_xdp_want
 * @queue_first: worker w has queue @queue_first + w of the interface
 */
struct weir_xdp_opts {
	size_t sz;
	const char *ifname;
	char *reason;
	size_t reason_bytes;
	uint32_t want;
	uint32_t queue_first;
};

/**
 * struct weir_xdp_status - how it is attached
 * @sz: sizeof(struct weir_xdp_status)
 * @mode: enum weir_xdp_mode
 * @by: enum weir_xdp_by
 * @prog_id: of the program
 * @ifindex: of the interface
 * @why: why there is no dispatcher, or why not native; empty when there is nothing
 *	to say
 */
struct weir_xdp_status {
	size_t sz;
	uint32_t mode;
	uint32_t by;
	uint32_t prog_id;
	uint32_t ifindex;
	char why[WEIR_BPF_WHY_BYTES];
};

/**
 * weir_xdp_open() - load, attach and pin
 * @xdpp: where it goes
 * @bpf: the instance, whose rows it reads; it logs there too
 * @opts: how
 *
 * Beside other programs where libxdp's dispatcher works. Elsewhere alone, by a link
 * that goes with this process, which weir_xdp_status.why tells and a line of the
 * log: then a program that is there already makes this fail, and ours keeps others
 * away. No program of anybody else's is ever replaced.
 *
 * Context: Any thread; needs CAP_BPF and CAP_NET_ADMIN. Sets libbpf's and libxdp's
 * print hooks for the length of the call.
 * Return: 0, or with @reason naming the thing: -EINVAL for a bad option; -ENODEV for
 * no such interface; -EEXIST when the instance has one; -EBUSY
 * when a program is there beside which there can be no
 * other; -EOPNOTSUPP when the driver has no native mode and no other was wanted, or
 * when built without libxdp; -EPERM; -ENOMEM; or what the kernel answered.
 */
WEIR_API WEIR_MUST_CHECK
int weir_xdp_open(struct weir_xdp **xdpp, struct weir_bpf *bpf, const struct weir_xdp_opts *opts);

/**
 * weir_xdp_close() - detach, unpin, free
 * @xdp: what was opened; NULL is allowed
 *
 * Before the instance is closed, which does it else.
 *
 * Context: Any thread.
 */
WEIR_API void weir_xdp_close(struct weir_xdp *xdp);

/**
 * weir_xdp_port_add() - what comes to an address is the service's
 * @xdp: what was opened
 * @addr: IPv4 or IPv6, with its port; the unspecified address is any of its family
 *	that this host has, as the tick of the steering finds them
 * @proto: IPPROTO_UDP: datagrams go to the workers' sockets. IPPROTO_TCP: SYNs
 *	have a budget, see struct weir_xdp_cfg
 *
 * Context: Any thread.
 * Return: 0; -EINVAL for another protocol or port 0; -EAFNOSUPPORT; -ENOSPC when
 * there are 64 already; or what the kernel answered.
 */
WEIR_API WEIR_MUST_CHECK
int weir_xdp_port_add(struct weir_xdp *xdp, const struct weir_addr *addr, int proto);

/**
 * weir_xdp_port_del() - it is no longer
 * @xdp: what was opened
 * @addr: as it was added
 * @proto: likewise
 *
 * Context: Any thread.
 * Return: 0; -ENOENT; or as weir_xdp_port_add().
 */
WEIR_API int weir_xdp_port_del(struct weir_xdp *xdp, const struct weir_addr *addr, int proto);

/**
 * weir_xdp_join() - a worker takes datagrams
 * @xdp: what was opened
 * @worker: its number in the instance
 * @xsk: its socket, on queue queue_first + @worker of the interface. Closing it is
 *	leaving
 *
 * Context: Any thread.
 * Return: 0; -EINVAL for a worker that is not there; or what the kernel answered.
 */
WEIR_API WEIR_MUST_CHECK
int weir_xdp_join(struct weir_xdp *xdp, unsigned int worker, const struct weir_xsk *xsk);

/**
 * weir_xdp_cfg() - the live configuration
 * @xdp: what was opened
 *
 * The four members of the budgets may be stored to; it takes effect with the next
 * frame.
 *
 * Context: Any thread.
 * Return: mapped memory, valid until weir_xdp_close().
 */
WEIR_API struct weir_xdp_cfg *weir_xdp_cfg(struct weir_xdp *xdp);

/**
 * weir_xdp_status() - how it is attached
 * @xdp: what was opened
 * @status: filled in; its sz is set by the caller
 *
 * Context: Any thread.
 * Return: 0, or -EINVAL when sz is too small to be one.
 */
WEIR_API int weir_xdp_status(const struct weir_xdp *xdp, struct weir_xdp_status *status);

/**
 * weir_xdp_stats() - read the counters
 * @xdp: what was opened
 * @stats: filled in, summed over the CPUs
 *
 * Context: Any thread.
 * Return: 0 or -errno.
 */
WEIR_API int weir_xdp_stats(const struct weir_xdp *xdp, struct weir_xdp_stats *stats);

/**
 * weir_xdp_row() - one worker as the program sees it
 * @xdp: what was opened
 * @worker: which one
 * @row: filled in
 *
 * Context: Any thread.
 * Return: 0, or -EINVAL for a worker that is not there.
 */
WEIR_API int weir_xdp_row(const struct weir_xdp *xdp, unsigned int worker,
			  struct weir_xdp_row *row);

/**
 * struct weir_xdp_carrier_stats - what became of datagrams
 * @received: came as frames, and were handed to the service
 * @sent: left as frames
 * @unverified: of those received: the sender left the checksum to a device and no
 *	device was between, as on a virtual interface; nothing could be verified
 * @damaged: frames with a wrong checksum, dropped
 * @lost: sent and not taken by the device when the socket was closed
 * @no_peer: left to the UDP socket: nothing was heard of the peer of late
 * @too_long: left to it: longer than the interface takes
 * @no_buffer: left to it: no frame was free
 * @no_socket: left to it: the AF_XDP socket had ended
 */
struct weir_xdp_carrier_stats {
	uint64_t received;
	uint64_t sent;
	uint64_t unverified;
	uint64_t damaged;
	uint64_t lost;
	uint64_t no_peer;
	uint64_t too_long;
	uint64_t no_buffer;
	uint64_t no_socket;
};

/**
 * weir_xdp_carrier_open() - let a service's datagrams go by AF_XDP
 * @carrierp: where it goes: carrier of struct weir_service_opts
 * @xdp: what was opened, with the instance that steers the service
 *
 * Each worker gets an AF_XDP socket on its queue, beside its UDP socket, which has what
 * the XDP program passes. Replies go to the hardware address that the peer's last frame
 * came from, from the address of ours that it was sent to, both of half a minute ago at
 * most; 4096 peers of a worker are remembered. Opening the service needs CAP_NET_RAW,
 * and CAP_IPC_LOCK or an RLIMIT_MEMLOCK that holds 4 MiB for each worker. Why it failed
 * is in the instance's log.
 *
 * Context: Any thread.
 * Return: 0; -ENOMEM; -EOPNOTSUPP when built without libxdp.
 */
WEIR_API WEIR_MUST_CHECK
int weir_xdp_carrier_open(struct weir_dgram_carrier **carrierp, struct weir_xdp *xdp);

/**
 * weir_xdp_carrier_close() - free it
 * @carrier: what was opened; NULL is allowed
 *
 * After the service is closed, or was not opened.
 *
 * Context: Any thread.
 */
WEIR_API void weir_xdp_carrier_close(struct weir_dgram_carrier *carrier);

/**
 * weir_xdp_carrier_stats() - read the counters, summed over the workers
 * @carrier: what was opened
 * @stats: filled in
 * @sz: sizeof(*stats) of the caller; no more than that is written
 *
 * Context: Any thread, while the service is open.
 */
WEIR_API void weir_xdp_carrier_stats(const struct weir_dgram_carrier *carrier,
				     struct weir_xdp_carrier_stats *stats, size_t sz);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_XDP_H */
