// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* takeover.c - listeners that are there already, and for whom */
#include <errno.h>

#include "common.h"
#include "steer_vip.h"
#include "takeover.h"

static const struct {
	enum weir_takeover_from from;
	const char *who;
} kept[] = {
	{ WEIR_TAKEOVER_HOLDER, "the holder" },
	{ WEIR_TAKEOVER_MANAGER, "the service manager" },
};

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
	if (err)
		return fail("instance %s: cannot take it over: %s", instance, weir_strerror(err));
	return 0;
}

int takeover_find(struct weir_takeover **takeoverp, const char *instance, bool live,
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
		*workers = count;
	return 0;
}

int takeover_check(const struct command *cmd, bool udp, bool acceptor, bool processes)
{
	if (udp)
		return usage_error(cmd, "--takeover: not for datagrams: listeners of TCP alone are "
				   "handed over");
	if (acceptor)
		return usage_error(cmd, "--takeover: not with --acceptor, where workers share one "
				   "listener");
	if (processes)
		return usage_error(cmd, "--takeover: not with --processes, where the parent has "
				   "the listeners and its children the clients");
	return 0;
}

int takeover_surplus(const char *instance, uint64_t workers)
{
	return fail("instance %s: there are more listeners than %u workers, and without BPF the "
		    "kernel does not move the clients that wait in the others; sysctl "
		    "net.ipv4.tcp_migrate_req=1 helps", instance, (unsigned int)workers);
}

/* The predecessor's are there. What cannot be added to them is no reason to end. */
void takeover_vips(const struct weir_service *service, const char *instance, const char *list)
{
	struct weir_addr addr;

	weir_service_addr(service, &addr);
	(void)vips_add(instance, list, weir_addr_port(&addr));
}
