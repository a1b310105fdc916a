// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* serve_xdp.c - datagrams of one interface by AF_XDP sockets */
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "common.h"
#include "serve_xdp.h"

int serve_xdp_parse(const char *text, char *ifname, uint32_t *want)
{
	const char *mode = strchr(text, ':');
	size_t len = mode ? (size_t)(mode - text) : strlen(text);

	if (!len || len >= IFNAMSIZ)
		return -EINVAL;
	memcpy(ifname, text, len);
	ifname[len] = '\0';
	*want = WEIR_XDP_WANT_ANY;
	if (!mode)
		return 0;
	*want = strcmp(mode, ":native") ? WEIR_XDP_WANT_GENERIC : WEIR_XDP_WANT_NATIVE;
	return *want == WEIR_XDP_WANT_GENERIC && strcmp(mode, ":generic") ? -EINVAL : 0;
}

static void describe(struct steer *steer, const struct weir_xdp *xdp, const char *ifname)
{
	struct weir_xdp_status status = { .sz = sizeof(status) };
	const char *mode;

	if (weir_xdp_status(xdp, &status))
		return;
	mode = status.mode == WEIR_XDP_NATIVE ? "native" : "generic";
	snprintf(steer->xdp, sizeof(steer->xdp), "%s %s%s%s", mode, ifname,
		 status.by == WEIR_XDP_BY_LINK ? ", alone: " : "", status.why);
}

int serve_xdp_open(struct weir_dgram_carrier **carrierp, struct steer *steer, const char *text)
{
	char ifname[IFNAMSIZ], reason[WEIR_BPF_WHY_BYTES] = "";
	struct weir_xdp_opts opts = {
		.sz = sizeof(opts), .ifname = ifname, .reason = reason,
		.reason_bytes = sizeof(reason),
	};
	struct weir_xdp *xdp;
	int err;

	if (serve_xdp_parse(text, ifname, &opts.want))
		return fail("--xdp: '%s' is no interface", text);
	if (!steer->bpf)
		return fail("--xdp: needs BPF: %s", steer->reason);
	err = weir_xdp_open(&xdp, steer->bpf, &opts);
	if (err)
		return fail("--xdp: %s", reason[0] ? reason : weir_strerror(err));
	describe(steer, xdp, ifname);
	err = weir_xdp_carrier_open(carrierp, xdp);
	return err ? fail("--xdp: %s", weir_strerror(err)) : 0;
}

#define STAT(field)	{ "xdp_" #field, offsetof(struct weir_xdp_carrier_stats, field) }

static const struct {
	const char *name;
	size_t offset;
} carrier_stats[] = {
	STAT(received),
	STAT(sent),
	STAT(unverified),
	STAT(damaged),
	STAT(lost),
	STAT(no_peer),
	STAT(too_long),
	STAT(no_buffer),
	STAT(no_socket),
};

void serve_xdp_json(struct json *j, const struct weir_dgram_carrier *carrier)
{
	struct weir_xdp_carrier_stats stats;
	size_t i;

	weir_xdp_carrier_stats(carrier, &stats, sizeof(stats));
	for (i = 0; i < ARRAY_SIZE(carrier_stats); i++) {
		const void *at = (const char *)&stats + carrier_stats[i].offset;

		json_u64(j, carrier_stats[i].name, *(const uint64_t *)at);
	}
}
