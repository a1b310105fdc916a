// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* demo.c - weir demo: the main job, with real TCP clients, in a minute */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "demo.h"
#include "privilege.h"

struct demo_args {
	uint64_t duration, seed, workers;
	bool json, pretty;
};

#define PREFIX		"demo-"
#define AT(field)	offsetof(struct demo_args, field)

static const struct opt demo_opts[] = {
	{ "duration", 'd', OPT_TIME, .offset = AT(duration), .value = "TIME",
	  .min = NS_PER_SEC, .max = 600 * NS_PER_SEC,
	  .help = "of each run of hung; of rescue and shed half of it; default 8s" },
	{ "workers", 'w', OPT_COUNT, .offset = AT(workers), .value = "N", .min = 2,
	  .max = DEMO_WORKERS_MAX, .help = "of hung and rescue, 2 to 16; default 4" },
	{ "seed", 0, OPT_COUNT, .offset = AT(seed), .value = "N", .max = UINT64_MAX,
	  .help = "of the arrivals and the bytes that are sent; default 1" },
	{ "json", 'j', OPT_FLAG, .offset = AT(json), .help = "results as JSON" },
	{ "pretty", 'p', OPT_FLAG, .offset = AT(pretty), .help = "results as indented JSON" },
	OPT_END
};

static const struct {
	const char *name;
	int (*run)(struct demo *demo);
} parts[] = {
	{ "hung", demo_hung },
	{ "rescue", demo_rescue },
	{ "shed", demo_shed },
	{ "slow", demo_slow },
	{ "takeover", demo_takeover },
	{ "show", demo_show },
};

int demo_failed(struct demo *demo, const char *fmt, ...)
{
	va_list args;

	if (demo->reason[0])
		return 1;
	va_start(args, fmt);
	vsnprintf(demo->reason, sizeof(demo->reason), fmt, args);
	va_end(args);
	return 1;
}

void demo_sum_up(struct demo *demo, const char *fmt, ...)
{
	va_list args;

	if (demo->lines == ARRAY_SIZE(demo->summary))
		return;
	va_start(args, fmt);
	vsnprintf(demo->summary[demo->lines++], sizeof(demo->summary[0]), fmt, args);
	va_end(args);
}

/* a service */

struct opener {
	struct weir_service **service;
	const struct weir_service_opts *opts;
	int err;
};

static void *open_dropped(void *arg)
{
	struct opener *opener = arg;
	int err = privilege_drop(0);

	if (err)
		fprintf(stderr, "weir: warning: capabilities stay: %s\n", weir_strerror(err));
	opener->err = weir_service_open(opener->service, opener->opts);
	return NULL;
}

/*
 * Capabilities belong to a thread and go to those it starts. The first thread
 * cannot do without: it opens another instance for the next run (CAP_BPF,
 * CAP_NET_ADMIN, CAP_PERFMON), and bpftool needs CAP_SYS_ADMIN to find the types
 * of a map. So the workers are started by a thread that has given up all of
 * them, as weir serve does, and what reads from clients has none.
 */
static int open_service(struct weir_service **service, const struct weir_service_opts *opts)
{
	struct opener opener = { .service = service, .opts = opts };
	pthread_t thread;
	int err;

	err = pthread_create(&thread, NULL, open_dropped, &opener);
	if (err) {
		/* It would have been taken over. */
		opts->steering->ops->close(opts->steering);
		return -err;
	}
	pthread_join(thread, NULL);
	return opener.err;
}

int demo_open(struct demo *demo, struct demo_service *ds, const struct weir_service_opts *given,
	      unsigned int policy)
{
	struct weir_service_opts opts = *given;
	struct steer_opts steer = {
		.instance = demo->instance,
		.policy = policy,
		.workers = opts.workers,
		.quiet = true,
	};
	struct weir_addr addr;
	int err;

	err = steer_open(&ds->steer, &steer);
	if (err)
		return demo_failed(demo, "instance %s: %s", demo->instance, ds->steer.reason);
	err = weir_addr_parse(&addr, "127.0.0.1:0");
	if (err) {
		steer_close(&ds->steer);
		return demo_failed(demo, "127.0.0.1:0: %s", weir_strerror(err));
	}
	opts.addr = &addr;
	opts.steering = ds->steer.steering;
	err = open_service(&ds->service, &opts);
	ds->steer.steering = NULL;	/* taken over, also when it failed */
	if (err)
		return demo_failed(demo, "the service does not start: %s; run: weir doctor",
				   weir_strerror(err));
	weir_service_addr(ds->service, &addr);
	ds->port = ntohs(((struct sockaddr_in *)&addr.ss)->sin_port);
	return 0;
}

void demo_close(struct demo_service *ds)
{
	weir_service_stop(ds->service, NS_PER_SEC);
	weir_service_wait(ds->service);
	weir_service_close(ds->service);
	ds->service = NULL;
}

void demo_load_init(const struct demo *demo, uint16_t port, struct load_opts *opts)
{
	load_opts_init(opts);
	load_opts_address(opts, "127.0.0.1", port);
	opts->churn = true;
	opts->sources = 4;
	opts->seed = demo->seed;
	opts->stop = &interrupted;
}

/* pins of demos that were killed: their names will not come again */

#define LEFT_MAX	16

struct left {
	unsigned int count;
	char names[LEFT_MAX][WEIR_NAME_BYTES];
};

static int note_left(void *ctx, const struct weir_bpf_instance *instance)
{
	struct left *left = ctx;

	if (!instance->alive && !strncmp(instance->name, PREFIX, strlen(PREFIX)))
		memcpy(left->names[left->count++], instance->name, WEIR_NAME_BYTES);
	return left->count == LEFT_MAX;
}

static void clean_left(void)
{
	struct left left = { 0 };
	unsigned int i;

	if (weir_bpf_list(note_left, &left) < 0)
		return;
	for (i = 0; i < left.count; i++)
		weir_bpf_clean_stale(left.names[i]);
}

/* the command */

static void print_end(const struct demo *demo, int failed)
{
	unsigned int i;

	fprintf(demo->out, "\nsummary\n");
	for (i = 0; i < demo->lines; i++)
		fprintf(demo->out, "  %s\n", demo->summary[i]);
	if (!failed)
		fprintf(demo->out, "  done\n");
	fflush(demo->out);
}

static int run_parts(struct demo *demo, const char *which)
{
	bool all = !strcmp(which, "all");
	int failed = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts) && !failed; i++) {
		if (!all && strcmp(which, parts[i].name))
			continue;
		if (demo->json)
			json_object(demo->json, parts[i].name);
		failed = parts[i].run(demo);
		if (demo->json)
			json_end_object(demo->json);
		if (!failed && interrupted)
			failed = demo_failed(demo, "interrupted");
	}
	return failed;
}

static int run(struct demo *demo, const char *which, const struct demo_args *args)
{
	struct json j;
	int failed, i;

	if (args->json || args->pretty) {
		demo->out = fopen("/dev/null", "we");
		if (!demo->out)
			return fail("/dev/null: %s", weir_strerror(-errno));
		json_init(&j, stdout, args->pretty);
		json_object(&j, NULL);
		demo->json = &j;
	}
	failed = run_parts(demo, which);
	if (demo->json) {
		json_bool(&j, "ok", !failed);
		json_string(&j, "reason", failed ? demo->reason : NULL);
		json_array(&j, "summary");
		for (i = 0; i < (int)demo->lines; i++)
			json_string(&j, NULL, demo->summary[i]);
		json_end_array(&j);
		json_end_object(&j);
		json_fini(&j);
	}
	print_end(demo, failed);
	if (demo->json)
		fclose(demo->out);
	return failed ? fail("demo: %s", demo->reason) : WEIR_EXIT_OK;
}

static int demo_run(const struct command *cmd, int argc, char **argv)
{
	struct demo_args args = { .duration = 8 * NS_PER_SEC, .seed = 1, .workers = 4 };
	struct demo demo = { .out = stdout };
	const char *which = "all";
	size_t i;
	int n;

	n = opts_parse(cmd, argc, argv, &args);
	if (n < 0)
		return opts_exit(n);
	if (n > 1)
		return usage_error(cmd, "%s: one part, or all", argv[1]);
	if (n)
		which = argv[0];
	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (!strcmp(which, parts[i].name))
			break;
	if (i == ARRAY_SIZE(parts) && strcmp(which, "all"))
		return usage_error(cmd, "%s: is not a part of the demo", which);
	demo.duration_ns = args.duration;
	demo.seed = args.seed;
	demo.workers = (unsigned int)args.workers;
	snprintf(demo.instance, sizeof(demo.instance), PREFIX "%d", (int)getpid());
	privilege_raise_limits();
	signal(SIGPIPE, SIG_IGN);
	catch_signals();
	clean_left();
	return run(&demo, which, &args);
}

const struct command cmd_demo = {
	.name = "demo",
	.operands = "[hung|rescue|shed|slow|takeover|show|all]",
	.summary = "show the main job with real TCP clients (about a minute)",
	.about =
"hung  some workers, one of which hangs 400 ms of every second, and 800 new\n"
"      connections a second: latency by a blind hash of the four-tuple (made by\n"
"      BPF where that is to be had, else by the kernel) and by BPF's p2c\n"
"rescue  the same worker, and what waits for it: left to wait, or moved to others\n"
"shed  more clients than can be served: all let in, or a share refused\n"
"slow  a client that stops reading: the signal, the producer's pause, flat\n"
"      memory, and every byte compared\n"
"takeover  a service is replaced while clients send, without an error; then one is\n"
"      killed, and the next goes on with its counters\n"
"show  the same state through bpftool and through weir show\n"
"Without the privilege for BPF it shows what is left, and says so.",
	.examples =
"  weir demo\n"
"  weir demo hung --duration 20s\n"
"  weir demo hung --workers 8\n"
"  weir demo -p",
	.opts = demo_opts,
	.run = demo_run,
};
