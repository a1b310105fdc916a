// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* steer.c - BPF steering, or the kernel's hash and why */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "common.h"
#include "show.h"
#include "steer.h"

bool steer_name_ok(const char *name)
{
	size_t len = strlen(name);
	size_t i;

	if (!len || len >= WEIR_NAME_BYTES)
		return false;
	for (i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
			return false;
	return true;
}

const char *steer_rung_name(unsigned int rung)
{
	static const char *const names[] = {
		[WEIR_RUNG_NONE]	= "kernel hash",
		[WEIR_RUNG_STEER]	= "BPF steering",
		[WEIR_RUNG_FLOW]	= "BPF steering and flows",
		[WEIR_RUNG_FULL]	= "BPF steering, flows and queue lengths",
	};

	return rung < ARRAY_SIZE(names) ? names[rung] : "?";
}

static int open_hash(struct steer *steer, const struct steer_opts *opts)
{
	steer->policy = show_policy(WEIR_POLICY_HASH);
	steer->rung = WEIR_RUNG_NONE;
	return weir_steering_reuseport(&steer->steering, opts->workers);
}

static void read_status(struct steer *steer)
{
	struct weir_bpf_status status = { .sz = sizeof(status) };

	if (weir_bpf_status(steer->bpf, &status))
		return;
	steer->rung = status.rung;
	memcpy(steer->reason, status.why, sizeof(steer->reason));
	memcpy(steer->dir, status.dir, sizeof(steer->dir));
}

/* What libbpf adds to a missing privilege does not help anyone. */
static void cut_detail(char *reason)
{
	char *detail = strstr(reason, " (libbpf:");

	if (detail)
		*detail = '\0';
}

int steer_open(struct steer *steer, const struct steer_opts *opts)
{
	struct weir_log log = stderr_log(WEIR_LOG_WARN);
	struct weir_bpf_opts bpf = {
		.sz = sizeof(bpf),
		.name = opts->instance,
		.log = opts->quiet ? NULL : &log,
		.reason = steer->reason,
		.reason_bytes = sizeof(steer->reason),
		.policy = opts->policy,
		.workers = opts->workers,
		.flags = (opts->group ? WEIR_BPF_GROUP : 0) |
			 (opts->adopt ? WEIR_BPF_ADOPT : 0) | (opts->udp ? WEIR_BPF_DGRAM : 0) |
			 (opts->no_flows ? WEIR_BPF_NO_FLOWS : 0) |
			 (opts->heir ? WEIR_BPF_HEIR : 0),
		.lock = opts->lock,
		.vips_max = opts->vips_max,
		.gid = opts->group ? *opts->group : 0,
	};
	int err;

	memset(steer, 0, sizeof(*steer));
	if (opts->instance && !steer_name_ok(opts->instance)) {
		snprintf(steer->reason, sizeof(steer->reason),
			 "instance name '%.40s': 1 to %d of A-Z a-z 0-9 _ - are allowed",
			 opts->instance, WEIR_NAME_BYTES - 1);
		return -EINVAL;
	}
	if (opts->no_bpf) {
		strcpy(steer->reason, "asked for");
		return open_hash(steer, opts);
	}
	err = weir_bpf_open(&steer->bpf, &bpf);
	if (!err) {
		steer->steering = weir_bpf_steering(steer->bpf);
		if (opts->policy_said)
			weir_bpf_cfg(steer->bpf)->policy = opts->policy;
		steer->policy = show_policy(weir_bpf_cfg(steer->bpf)->policy);
		read_status(steer);
		return 0;
	}
	steer->bpf = NULL;
	if (!steer->reason[0])
		snprintf(steer->reason, sizeof(steer->reason), "%s", weir_strerror(err));
	if (err == -EPERM)
		cut_detail(steer->reason);
	/* A missing privilege or mount is a rung; a name taken or a trap is not. */
	if (err == -EADDRINUSE || err == -EEXIST || err == -EINVAL || err == -EXDEV ||
	    err == -EBADMSG || err == -EPROTO || opts->vips_max)
		return err;
	return open_hash(steer, opts);
}

void steer_close(struct steer *steer)
{
	if (steer->steering)
		steer->steering->ops->close(steer->steering);
	steer->steering = NULL;
	steer->bpf = NULL;
}
