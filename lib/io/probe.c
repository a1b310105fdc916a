// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * probe.c - which features of io_uring work here: one row each
 *
 * A feature bit or an opcode is a promise, a version says nothing (a distributor
 * carries patches of his own): so each feature is used. Versions matter in the
 * list of the denied alone, where a fault is known that a try may miss.
 */
#include <weir/probe.h>

#ifdef CONFIG_URING
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/base.h"
#include "io/probe.h"
#include "io/uring.h"

/* @after: the row that it needs, which comes before it */
static const struct probe_row {
	const char *name;
	const char *gives;
	int (*try)(struct probe *probe);
	enum probe_feature after;
	bool needed;
} rows[PROBE_MAX] = {
	[PROBE_SETUP] = { "setup", "the uring backend", probe_setup, PROBE_SETUP, true },
	[PROBE_OWNER] = { "defer_taskrun", "completions in the owner's turn; without, a hung "
		"worker's clients cannot be moved", probe_owner, PROBE_SETUP, true },
	[PROBE_DISABLED] = { "r_disabled", "rings that another thread starts", probe_disabled,
		PROBE_SETUP, true },
	[PROBE_RING_FD] = { "ring_fd", "cheaper system calls", probe_ring_fd, PROBE_SETUP, false },
	[PROBE_MIN_WAIT] = { "min_wait", "waiting in batches (Linux 6.12)", probe_min_wait,
		PROBE_SETUP, false },
	[PROBE_NO_IOWAIT] = { "no_iowait", "idle workers that do not count as I/O wait "
		"(Linux 6.15)", probe_no_iowait, PROBE_SETUP, false },
	[PROBE_WAIT_REG] = { "wait_reg", "waits whose arguments are not copied (Linux 6.13)",
		probe_wait_reg, PROBE_SETUP, false },
	[PROBE_MSG_RING] = { "msg_ring", "loops that ring each other", probe_msg_ring,
		PROBE_SETUP, false },
	[PROBE_SQPOLL] = { "sqpoll", "a kernel thread that submits, if asked for", probe_sqpoll,
		PROBE_SETUP, false },
	[PROBE_NAPI] = { "napi", "busy polling of network devices, if asked for (Linux 6.9)",
		probe_napi, PROBE_SETUP, false },
	[PROBE_FILES] = { "files", "registered files", probe_files, PROBE_SETUP, true },
	[PROBE_ACCEPT] = { "accept_multishot", "accepting into slots the kernel picks",
		probe_accept, PROBE_FILES, true },
	[PROBE_BUF_RING] = { "buf_ring", "buffers the kernel picks", probe_buf_ring,
		PROBE_ACCEPT, true },
	[PROBE_RECV] = { "recv_multishot", "one receive for many messages", probe_recv,
		PROBE_BUF_RING, true },
	[PROBE_BUNDLE] = { "recv_bundle", "several buffers in one completion (Linux 6.17)",
		probe_bundle, PROBE_RECV, false },
	[PROBE_BUF_INC] = { "buf_inc", "one buffer for several messages (Linux 6.12)",
		probe_buf_inc, PROBE_RECV, false },
	[PROBE_SEND_BUNDLE] = { "send_bundle", "a send queue that leaves in one go (Linux 6.10)",
		probe_send_bundle, PROBE_BUF_RING, false },
	[PROBE_SEND_ZC] = { "send_zc", "sending without a copy (Linux 6.0)", probe_send_zc,
		PROBE_ACCEPT, false },
	[PROBE_SOCK_CMD] = { "sock_cmd", "socket cookies without a descriptor (Linux 6.7)",
		probe_sock_cmd, PROBE_ACCEPT, false },
};

/* From @first to below @end; a try is no proof that the fault is gone. */
static const struct {
	enum probe_feature feature;
	unsigned int first, end;
	const char *why;
} denied[] = {
	/* liburing issue 1062: a race, which one try would not see */
	{ PROBE_ACCEPT, 6 << 16 | 6 << 8 | 1, 6 << 16 | 8 << 8,
	  "denied: accepts of Linux 6.6.1 to 6.8 may name a wrong slot (liburing #1062)" },
};

static struct weir_feature features[PROBE_MAX];

static unsigned int release(void)
{
	unsigned int major, minor = 0, patch = 0;
	struct utsname name;

	if (uname(&name) || sscanf(name.release, "%u.%u.%u", &major, &minor, &patch) < 1)
		return 0;
	return major << 16 | minor << 8 | (patch > 255 ? 255 : patch);
}

const char *probe_denied(enum probe_feature feature)
{
	unsigned int here = release();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(denied); i++)
		if (denied[i].feature == feature && denied[i].first <= here && here < denied[i].end)
			return denied[i].why;
	return NULL;
}

static void say(struct weir_feature *feature, const char *why)
{
	feature->state = WEIR_FEATURE_NO;
	snprintf(feature->why, sizeof(feature->why), "%s", why);
}

static void try_one(struct probe *probe, enum probe_feature i)
{
	const struct probe_row *row = &rows[i];
	struct weir_feature *feature = &features[i];
	const char *why = probe_denied(i);
	int err;

	feature->name = row->name;
	feature->gives = row->gives;
	feature->needed = row->needed;
	if (i && features[row->after].state != WEIR_FEATURE_OK) {
		feature->state = WEIR_FEATURE_SKIP;
		snprintf(feature->why, sizeof(feature->why), "not tried: no %s",
			 rows[row->after].name);
		return;
	}
	feature->state = WEIR_FEATURE_OK;
	err = row->try(probe);
	if (err && !i)
		uring_refusal(err, feature->why, sizeof(feature->why));
	else if (err == -ENODATA)
		say(feature, "it was tried, and did not bring what it should have");
	else if (err)
		say(feature, weir_strerror(err));
	else if (why)
		say(feature, why);
	if (err)
		feature->state = WEIR_FEATURE_NO;
}

static void try_all(void)
{
	struct probe probe = { .listener = -1, .client = { -1, -1 } };
	unsigned int i;

	for (i = 0; i < PROBE_MAX; i++)
		try_one(&probe, (enum probe_feature)i);
	probe_net_close(&probe);
	if (features[PROBE_SETUP].state == WEIR_FEATURE_OK) {
		snprintf(features[PROBE_SETUP].why, sizeof(features[PROBE_SETUP].why),
			 "features %#x", probe.features);
		probe_close(&probe);
	}
}

static void *try_thread(void *arg)
{
	try_all();
	return NULL;
}

/*
 * When a ring is gone the kernel interrupts each thread that has used it, later, and
 * ends with -EINTR what it waits for with a timeout. So it is a thread that waits for
 * nothing any more.
 */
static void try_apart(void)
{
	sigset_t all, old;
	pthread_t thread;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, try_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		try_all();
	else
		pthread_join(thread, NULL);
}

bool probe_works(enum probe_feature feature)
{
	return weir_uring_features(NULL)[feature].state == WEIR_FEATURE_OK;
}

const struct weir_feature *weir_uring_features(size_t *countp)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, try_apart);
	if (countp)
		*countp = PROBE_MAX;
	return features;
}
#else
const struct weir_feature *weir_uring_features(size_t *countp)
{
	static const struct weir_feature none = {
		.name = "setup",
		.gives = "the uring backend",
		.needed = 1,
		.why = "built without io_uring",
	};

	if (countp)
		*countp = 1;
	return &none;
}
#endif
