// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* takeover.c - listeners that are there already, and for whom */
#include <errno.h>

#include "common.h"
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
	if (*workers == count)
		return 0;
	weir_takeover_close(*takeoverp);
	*takeoverp = NULL;
	return fail("instance %s: it has %u listeners, one for each worker; leave out --workers, "
		    "or say %u", instance, count, count);
}
