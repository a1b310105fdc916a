// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* clean.c - weir clean: remove what dead services left behind */
#include <errno.h>
#include <weir/bpf.h>
#include <weir/takeover.h>

#include "common.h"
#include "steer.h"

static const struct opt clean_opts[] = {
	OPT_END
};

static int clean_failed(const char *name, int err)
{
	switch (err) {
	case -EADDRINUSE:
		return fail("instance %s: its service is alive; stop that", name);
	case -ENOENT:
		return fail("instance %s: there is none of that name; run: weir show instances",
			    name);
	case -EEXIST:
		return fail("instance %s: not made by weir, or not yours: left alone", name);
	case -EXDEV:
		return fail("instance %s: its directory or the one above belongs to another user, "
			    "or others may write to it: left alone", name);
	case -ENODEV:
		return fail("no bpffs is mounted: there is nothing to clean");
	case -EOPNOTSUPP:
		return fail("this weir was built without BPF: there is nothing to clean");
	default:
		return fail("instance %s: %s", name, weir_strerror(err));
	}
}

static bool nothing_pinned(int err)
{
	return err == -ENOENT || err == -ENODEV || err == -EOPNOTSUPP;
}

/* The first one that is dead and still there ends the walk. */
static int each_left(void *ctx, const struct weir_bpf_instance *instance)
{
	if (instance->alive)
		return 0;
	return fail("instance %s: dead, and could not be removed; run: weir clean %s",
		    instance->name, instance->name);
}

static int clean_run(const struct command *cmd, int argc, char **argv)
{
	char unused;
	const char *name;
	int n, count, sockets;

	n = opts_parse(cmd, argc, argv, &unused);
	if (n < 0)
		return opts_exit(n);
	if (n > 1)
		return usage_error(cmd, "%s: one instance, or none for all", argv[1]);
	name = n ? argv[0] : NULL;
	if (name && !steer_name_ok(name))
		return usage_error(cmd, "'%s' is not 1 to %d of A-Z a-z 0-9 _ -", name,
				   WEIR_NAME_BYTES - 1);
	sockets = weir_takeover_clean(name);
	if (sockets < 0)
		return fail("/run/weir: %s", weir_strerror(sockets));
	count = weir_bpf_clean_stale(name);
	/* A service without BPF leaves its socket alone. */
	if (count < 0 && !(sockets && nothing_pinned(count)))
		return clean_failed(name ? name : "(all)", count);
	count = count < 0 ? 0 : count;
	printf("%d instance%s of dead services removed", count, count == 1 ? "" : "s");
	if (sockets)
		printf(", and %d control socket%s", sockets, sockets == 1 ? "" : "s");
	printf("\n");
	/* Without a name, one that cannot be removed does not keep others from it. */
	if (!name && weir_bpf_list(each_left, NULL) > 0)
		return WEIR_EXIT_FAILED;
	return WEIR_EXIT_OK;
}

const struct command cmd_clean = {
	.name = "clean",
	.operands = "[NAME]",
	.summary = "remove what dead services left behind",
	.about =
"Detaches the programs and removes the pins, empty cgroups and control sockets of\n"
"services that were killed: of instance NAME, or of all. One that is alive, or that is not\n"
"weir's, is never touched. A service that starts under the same name does this\n"
"by itself.",
	.examples =
"  weir show instances\n"
"  weir clean\n"
"  weir clean weir",
	.opts = clean_opts,
	.run = clean_run,
};
