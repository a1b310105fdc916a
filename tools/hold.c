// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hold.c - weir hold: keep a service's listeners while it is not there */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <weir/takeover.h>

#include "common.h"
#include "privilege.h"
#include "steer.h"

static const struct opt hold_opts[] = {
	OPT_END
};

static void changed(void *ctx, unsigned int count, int alive)
{
	const char *instance = ctx;

	if (!count)
		printf("waiting for a service of %s\n", instance);
	else
		printf("holding %u listener%s of %s, %s\n", count, count == 1 ? "" : "s", instance,
		       alive ? "its service is alive" : "its service is gone");
	fflush(stdout);
}

static int hold_run(const struct command *cmd, int argc, char **argv)
{
	struct weir_hold_opts opts = { .sz = sizeof(opts), .changed = changed };
	sigset_t set;
	char unused;
	int n, err;

	n = opts_parse(cmd, argc, argv, &unused);
	if (n < 0)
		return opts_exit(n);
	if (n != 1)
		return usage_error(cmd, "one instance to hold");
	if (!steer_name_ok(argv[0]))
		return usage_error(cmd, "'%s' is not 1 to %d of A-Z a-z 0-9 _ -", argv[0],
				   WEIR_NAME_BYTES - 1);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	opts.stop = signalfd(-1, &set, SFD_CLOEXEC);
	if (opts.stop < 0)
		return fail("signals: %s", weir_strerror(-errno));
	opts.instance = argv[0];
	opts.ctx = argv[0];
	err = privilege_drop(0);
	if (err)
		fprintf(stderr, "weir: warning: capabilities stay: %s\n", weir_strerror(err));
	err = weir_hold(&opts);
	close(opts.stop);
	if (err == -EADDRINUSE)
		return fail("instance %s: it has a holder already", argv[0]);
	if (err)
		return fail("instance %s: cannot hold: %s", argv[0], weir_strerror(err));
	return WEIR_EXIT_OK;
}

const struct command cmd_hold = {
	.name = "hold",
	.operands = "INSTANCE",
	.summary = "keep a service's listeners while it is not there",
	.about =
"Gets the listeners of the running service, or of the next one, and keeps them\n"
"when it crashes: clients wait in their queues for the next weir serve of that\n"
"name, which finds the holder by itself. A service that is stopped takes its\n"
"listeners with it. Prints a line when either changes; ends by SIGTERM.",
	.examples =
"  weir hold web &\n"
"  weir serve echo --instance web",
	.opts = hold_opts,
	.run = hold_run,
};
