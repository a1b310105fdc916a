// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* serve.c - weir serve: run a service until it is told to stop */
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "echo.h"
#include "privilege.h"
#include "processes.h"
#include "serve.h"
#include "serve_xdp.h"
#include "steer_vip.h"
#include "takeover.h"

#define POLICY_NOT_SAID	UINT_MAX
#define STOP_NS		(5 * NS_PER_SEC)
#define BACKEND_ANY	2	/* place after the last of BACKENDS */
#define BACKENDS	"uring|epoll"
#define BACKLOG		4096
#define INSTANCE	"weir"

struct serve {
	uint64_t workers, port, conns;
	const char *addr, *instance, *group, *cpu_list, *stall, *vip, *xdp;
	unsigned int policy, backend;
	uint64_t napi_us;
	bool no_bpf, no_flows, acceptor, processes, hand_over, no_batch, sqpoll;
	bool json_exit, verbose, takeover;
	/* from here on: not options */
	bool udp;
	int cpus[WEIR_WORKERS_MAX];
	gid_t gid;
	struct weir_addr where;
	struct steer steer;
	struct weir_dgram_carrier *carrier;	/* or NULL: sockets alone */
	struct weir_takeover *listeners;	/* that were there already, or NULL */
	struct weir_service *service;
	const int *listener;	/* of a worker's process, or NULL */
	struct echo *echo;
};

#define AT(field)	offsetof(struct serve, field)

static const struct opt serve_opts[] = {
	{ "workers", 'w', OPT_COUNT, .offset = AT(workers), .value = "N", .min = 1,
	  .max = WEIR_WORKERS_MAX, .help = "threads, 1 to 256; default 1" },
	{ "addr", 'a', OPT_TEXT, .offset = AT(addr), .value = "ADDR",
	  .help = "numeric address, or * for any; default 127.0.0.1" },
	{ "port", 0, OPT_COUNT, .offset = AT(port), .value = "PORT", .max = 65535,
	  .help = "default 7777; 0 takes a free one" },
	{ "policy", 0, OPT_CHOICE, .offset = AT(policy), .value = STEER_POLICIES,
	  .help = "how a client finds its worker; default p2c" },
	{ "backend", 0, OPT_CHOICE, .offset = AT(backend), .value = BACKENDS,
	  .help = "default: uring where the kernel allows it" },
	{ "no-bpf", 0, OPT_FLAG, .offset = AT(no_bpf),
	  .help = "leave steering to the kernel's hash" },
	{ "no-flows", 0, OPT_FLAG, .offset = AT(no_flows),
	  .help = "steer, but without telemetry of connections" },
	{ "acceptor", 0, OPT_FLAG, .offset = AT(acceptor),
	  .help = "worker 0 accepts for all: each client to the one with the fewest" },
	{ "processes", 0, OPT_FLAG, .offset = AT(processes),
	  .help = "a process for each worker; one that dies is started again" },
	{ "hand-over", 0, OPT_FLAG, .offset = AT(hand_over),
	  .help = "a slow worker gives idle connections to one that is not" },
	{ "instance", 'i', OPT_TEXT, .offset = AT(instance), .value = "NAME",
	  .help = "name under /sys/fs/bpf/weir; default weir" },
	{ "group", 0, OPT_TEXT, .offset = AT(group), .value = "NAME",
	  .help = "who may read the instance beside its owner; default nobody" },
	{ "takeover", 0, OPT_FLAG, .offset = AT(takeover),
	  .help = "succeed the running service of that instance, without a gap" },
	{ "vip", 0, OPT_TEXT, .offset = AT(vip), .value = "LIST",
	  .help = "answer there, too, such as 10.0.0.0/24:80-89,[fd00::/64]:443,\n"
		  "                            or on its own port: 10.0.0.0/24;\n"
		  "                            - for none yet, see weir steer vip" },
	{ "xdp", 0, OPT_TEXT, .offset = AT(xdp), .value = "IFACE",
	  .help = "datagrams of that interface by AF_XDP, worker w on queue w;\n"
		  "                            IFACE:native or IFACE:generic: in that mode alone" },
	{ "cpu", 0, OPT_TEXT, .offset = AT(cpu_list), .value = "LIST",
	  .help = "pin workers in turn, such as 0,2-3" },
	{ "conns", 0, OPT_COUNT, .offset = AT(conns), .value = "N", .min = 1, .max = 60000,
	  .help = "connections, or messages waiting to be sent, per worker;\n"
		  "                            default 1024" },
	{ "no-batch", 0, OPT_FLAG, .offset = AT(no_batch),
	  .help = "never wait for more than one completion" },
	{ "sqpoll", 0, OPT_FLAG, .offset = AT(sqpoll),
	  .help = "let a kernel thread of each ring submit" },
	{ "napi", 0, OPT_COUNT, .offset = AT(napi_us), .value = "USEC", .max = 1000000,
	  .help = "poll network devices for USEC microseconds before sleeping" },
	{ "stall", 0, OPT_TEXT, .offset = AT(stall), .value = "W:MS/PERIOD",
	  .help = "worker W hangs MS of every PERIOD milliseconds" },
	{ "json-exit", 0, OPT_FLAG, .offset = AT(json_exit),
	  .help = "print the counters as one line of JSON at the end" },
	{ "verbose", 'v', OPT_FLAG, .offset = AT(verbose), .help = "log what is chosen and why" },
	OPT_END
};

/* options that a table cannot check */

static int add_cpus(struct serve *serve, size_t *count, char *range)
{
	char *dash = strchr(range, '-');
	uint64_t from, to, cpu;

	if (dash)
		*dash++ = '\0';
	if (parse_number(range, 1000, &from) || (dash && parse_number(dash, 1000, &to)))
		return -EINVAL;
	if (!dash)
		to = from;
	if (to < from || to >= CPU_SETSIZE)
		return -EINVAL;
	for (cpu = from; cpu <= to && *count < WEIR_WORKERS_MAX; cpu++)
		serve->cpus[(*count)++] = (int)cpu;
	return 0;
}

static int read_cpus(struct serve *serve)
{
	char copy[256], *range, *state;
	size_t count = 0, i;

	if (strlen(serve->cpu_list) >= sizeof(copy))
		return -EINVAL;
	strcpy(copy, serve->cpu_list);
	for (range = strtok_r(copy, ",", &state); range; range = strtok_r(NULL, ",", &state))
		if (add_cpus(serve, &count, range))
			return -EINVAL;
	if (!count)
		return -EINVAL;
	for (i = count; i < WEIR_WORKERS_MAX; i++)
		serve->cpus[i] = serve->cpus[i % count];
	for (i = 0; i < count; i++)
		if (!cpu_allowed(serve->cpus[i]))
			return -ENODEV;
	return 0;
}

static int read_addr(struct serve *serve)
{
	bool v6 = strchr(serve->addr, ':') && serve->addr[0] != '[';
	char text[WEIR_ADDR_TEXT_MAX + 16];
	int len;

	len = snprintf(text, sizeof(text), v6 ? "[%s]:%u" : "%s:%u", serve->addr,
		       (unsigned int)serve->port);
	if (len < 0 || (size_t)len >= sizeof(text))
		return -EINVAL;
	return weir_addr_parse(&serve->where, text);
}

static int read_group(struct serve *serve)
{
	const struct group *group = getgrnam(serve->group);
	uint64_t gid;

	if (group) {
		serve->gid = group->gr_gid;
		return 0;
	}
	if (parse_number(serve->group, 1000, &gid) || gid >= (gid_t)-1)
		return -ENOENT;
	serve->gid = (gid_t)gid;
	return 0;
}

static int check_xdp(const struct serve *serve)
{
	char ifname[IFNAMSIZ];
	uint32_t want;

	if (!serve->udp || serve->no_bpf)
		return usage_error(&cmd_serve, "--xdp: needs BPF, and is for datagrams");
	if (serve_xdp_parse(serve->xdp, ifname, &want))
		return usage_error(&cmd_serve, "--xdp: '%s' is not an interface, or one and "
				   ":native or :generic", serve->xdp);
	return 0;
}

static int check(struct serve *serve, int operands, char **argv)
{
	int err;

	if (operands != 1)
		return usage_error(&cmd_serve, "one service to run: there are echo and udp-echo");
	serve->udp = !strcmp(argv[0], "udp-echo");
	if (!serve->udp && strcmp(argv[0], "echo"))
		return usage_error(&cmd_serve, "%s: no such service; there are echo and udp-echo",
				   argv[0]);
	if (serve->udp && (serve->acceptor || serve->processes))
		return usage_error(&cmd_serve, "--%s: not for datagrams", serve->acceptor ?
				   "acceptor" : "processes");
	err = serve->takeover ? takeover_check(&cmd_serve, serve->udp, serve->acceptor,
					       serve->processes) : 0;
	if (err)
		return err;
	if (serve->instance && !steer_name_ok(serve->instance))
		return usage_error(&cmd_serve,
				   "--instance: '%s' is not 1 to %d of A-Z a-z 0-9 _ -",
				   serve->instance, WEIR_NAME_BYTES - 1);
	if (serve->group && read_group(serve))
		return usage_error(&cmd_serve, "--group: '%s' is no group", serve->group);
	if (serve->acceptor &&
	    (serve->policy != POLICY_NOT_SAID || serve->instance || serve->group))
		return usage_error(&cmd_serve, "--acceptor: clients go to the worker with the "
				   "fewest; --policy, --instance and --group are for listeners");
	if (serve->processes && (serve->acceptor || serve->json_exit))
		return usage_error(&cmd_serve, "--processes: not with --acceptor or --json-exit");
	if (read_addr(serve))
		return usage_error(&cmd_serve, "--addr: '%s' is not a numeric address",
				   serve->addr);
	err = serve->cpu_list ? read_cpus(serve) : 0;
	if (err)
		return usage_error(&cmd_serve, "--cpu: '%s' %s", serve->cpu_list,
				   err == -ENODEV ? CPU_NOT_ALLOWED :
				   "is not a list such as 0,2-3");
	if (serve->hand_over && (serve->processes || serve->udp))
		return usage_error(&cmd_serve, "--hand-over: needs connections, and workers in one "
				   "process");
	if (serve->vip && (serve->no_bpf || serve->acceptor))
		return usage_error(&cmd_serve, "--vip: needs BPF, and a listener of each worker");
	err = serve->vip ? vips_check(&cmd_serve, serve->vip, (uint16_t)serve->port, serve->udp) :
			   0;
	if (err)
		return err;
	err = serve->xdp ? check_xdp(serve) : 0;
	if (err)
		return err;
	if (serve->stall && echo_stall_parse(serve->stall, &serve->echo->stall))
		return usage_error(&cmd_serve,
				   "--stall: '%s' is not W:MS/PERIOD, such as 0:400/1000",
				   serve->stall);
	if (serve->stall && serve->echo->stall.worker >= (serve->workers ?: 1))
		return usage_error(&cmd_serve, "--stall: there is no worker %u, only %u",
				   serve->echo->stall.worker, (unsigned int)(serve->workers ?: 1));
	return 0;
}

/* open */

static int steer(struct serve *serve)
{
	struct steer_opts opts = {
		.instance = serve->instance ? serve->instance : INSTANCE,
		.policy = serve->policy == POLICY_NOT_SAID ? WEIR_POLICY_P2C : serve->policy,
		.policy_said = serve->policy != POLICY_NOT_SAID,
		.adopt = true,
		.lock = serve->listeners ? weir_takeover_lock(serve->listeners) : NULL,
		.workers = (unsigned int)serve->workers,
		.group = serve->group ? &serve->gid : NULL,
		.no_bpf = serve->no_bpf,
		.no_flows = serve->no_flows,
		.vips_max = serve->vip ? VIPS_MAX : 0,
		.udp = serve->udp,
	};
	int err;

	if (serve->acceptor) {
		serve->steer.policy = "fewest";
		serve->steer.user_space = true;
		serve->steer.rung = WEIR_RUNG_NONE;
		return 0;
	}
	err = steer_open(&serve->steer, &opts);
	if (err == -EADDRINUSE)
		return fail("instance %s: %s; choose another with --instance", opts.instance,
			    serve->steer.reason);
	if (err)
		return fail("instance %s: %s", opts.instance, serve->steer.reason);
	/* A lower rung than the highest was warned about by the library. */
	if (!serve->no_bpf && !serve->steer.bpf)
		fprintf(stderr, "weir: warning: the kernel's hash steers, "
			"and there are no flows: %s\n", serve->steer.reason);
	if (serve->xdp)
		err = serve_xdp_open(&serve->carrier, &serve->steer, serve->xdp);
	if (!err && serve->vip && !serve->takeover)
		err = vips_add(opts.instance, serve->vip, (uint16_t)serve->port);
	if (err)
		steer_close(&serve->steer);
	return err;
}

static int open_failed(const struct serve *serve, int err)
{
	char text[WEIR_ADDR_TEXT_MAX] = "?";

	weir_addr_format(&serve->where, text, sizeof(text));
	switch (err) {
	case -EADDRINUSE:
	case -EADDRNOTAVAIL:
	case -EACCES:
		return fail("cannot listen on %s: %s", text, weir_strerror(err));
	case -EMFILE:
	case -ENFILE:
		return fail("cannot serve on %s: %s; a smaller --conns or a higher ulimit -n helps",
			    text, weir_strerror(err));
	case -EOPNOTSUPP:
		if (serve->listeners)
			return takeover_surplus(serve->instance ?: INSTANCE, serve->workers);
		return fail("cannot serve on %s: %s", text, weir_strerror(err));
	case -EINVAL:
		return fail("cannot serve on %s: %s; %u connections per worker may be too many, "
			    "or backend or processor are not there (see -v)", text,
			    weir_strerror(err), (unsigned int)serve->conns);
	default:
		return fail("cannot serve on %s: %s; run: weir doctor --for serve", text,
			    weir_strerror(err));
	}
}

/*
 * Only a name that means this service: the default one does when BPF's lock of it
 * was had.
 */
static const char *named(const struct serve *serve)
{
	if (serve->acceptor || serve->processes || serve->udp ||
	    (!serve->instance && !serve->steer.bpf))
		return NULL;
	return serve->instance ? serve->instance : INSTANCE;
}

static int open_service(struct serve *serve)
{
	static const char *const backends[] = { "uring", "epoll", NULL };
	struct weir_log log = stderr_log(serve->verbose ? WEIR_LOG_INFO : WEIR_LOG_WARN);
	struct weir_loop_opts loop = {
		.sz = sizeof(loop),
		.backend = backends[serve->backend],
		.log = &log,
		.flags = (serve->no_batch ? WEIR_LOOP_NO_BATCH : 0) |
			 (serve->sqpoll ? WEIR_LOOP_SQPOLL : 0),
		.napi_us = (uint32_t)serve->napi_us,
	};
	struct weir_service_opts opts = {
		.sz = sizeof(opts),
		.ops = &echo_ops,
		.ctx = serve->echo,
		.addr = &serve->where,
		.steering = serve->steer.steering,
		.loop = &loop,
		.cpus = serve->cpu_list ? serve->cpus : NULL,
		.workers = (uint32_t)serve->workers,
		.conns_max = (uint32_t)serve->conns,
		.flags = (serve->acceptor ? WEIR_SERVICE_ACCEPTOR : 0) |
			 (serve->udp ? WEIR_SERVICE_DGRAM : 0) |
			 (serve->hand_over ? WEIR_SERVICE_HAND_OVER : 0),
		.listeners = serve->listener,
		.carrier = serve->carrier,
		.takeover = serve->listeners,
		.control = named(serve),
	};
	int err = weir_service_open(&serve->service, &opts);

	serve->steer.steering = NULL;	/* taken over, also when it failed */
	return err ? open_failed(serve, err) : 0;
}

/* report */

static const char *steered_by(const struct steer *steer)
{
	if (steer->user_space)
		return "acceptor";
	return steer->rung == WEIR_RUNG_NONE ? "reuseport" : "bpf";
}

/* The end of the line: what holds for services of any kind. */
static void serve_rest(const struct steer *steer, const char *instance, const char *rescue)
{
	if (steer->dir[0])
		printf(", instance %s", instance);
	printf(", rung: %s", steer_rung_name(steer->rung));
	if (steer->reason[0])
		printf(" (not more: %s)", steer->reason);
	if (steer->xdp[0])
		printf(", xdp: %s", steer->xdp);
	printf(", rescue: %s", rescue ? "off" : "on");
	if (rescue)
		printf(" (%s)", rescue);
	printf("\n");
	fflush(stdout);
}

void serve_line(const struct weir_service *service, const struct steer *steer,
		unsigned int workers, const char *instance)
{
	char text[WEIR_ADDR_TEXT_MAX] = "?";
	const char *reason = NULL, *rescue = NULL, *backend;
	struct weir_addr addr;

	weir_service_addr(service, &addr);
	weir_addr_format(&addr, text, sizeof(text));
	backend = weir_service_backend(service, &reason);
	printf("listening on %s: %u worker%s, backend %s (%s), steering %s %s", text, workers,
	       workers == 1 ? "" : "s", backend, reason ? reason : "?",
	       steered_by(steer), steer->policy);
	weir_service_rescue(service, &rescue);
	serve_rest(steer, instance, rescue);
}

void serve_sum(const struct weir_service *service, struct weir_service_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	weir_service_stats(service, WEIR_WORKER_NONE, stats, sizeof(*stats));
}

#define STAT(name, field)	{ name, offsetof(struct weir_service_stats, field) }
#define LOOP_STAT(field)	{ #field, offsetof(struct weir_service_stats, loop.field) }

static const struct {
	const char *name;
	size_t offset;
} exit_stats[] = {
	STAT("cpu_ns", cpu_ns),
	STAT("accepted", accepted),
	STAT("refused", refused),
	STAT("signals", signals),
	LOOP_STAT(syscalls),
	LOOP_STAT(turns),
	LOOP_STAT(events),
	LOOP_STAT(errors),
	LOOP_STAT(accepts),
	LOOP_STAT(connects),
	LOOP_STAT(polls),
	LOOP_STAT(recvs),
	LOOP_STAT(sends),
	LOOP_STAT(bytes_in),
	LOOP_STAT(bytes_out),
	LOOP_STAT(parks),
	LOOP_STAT(overflows),
	LOOP_STAT(bundled),
	LOOP_STAT(gathers),
	LOOP_STAT(send_bundles),
	LOOP_STAT(zc_sends),
	LOOP_STAT(zc_copied),
	LOOP_STAT(zc_bytes),
	STAT("dgrams_in", dgrams_in),
	STAT("dgrams_out", dgrams_out),
	STAT("dgrams_refused", dgrams_refused),
	STAT("dgrams_failed", dgrams_failed),
	STAT("dgrams_cut", dgrams_cut),
};

static void json_exit(const struct serve *serve, int aborted)
{
	struct weir_service_stats stats;
	struct echo_count sum = echo_total(serve->echo);
	struct json j;
	size_t i;

	serve_sum(serve->service, &stats);
	json_init(&j, stdout, false);
	json_object(&j, NULL);
	json_u64(&j, "requests", sum.requests);
	json_u64(&j, "bytes", sum.bytes);
	json_u64(&j, "aborted", aborted > 0 ? (uint64_t)aborted : 0);
	for (i = 0; i < ARRAY_SIZE(exit_stats); i++) {
		const void *at = (const char *)&stats + exit_stats[i].offset;

		json_u64(&j, exit_stats[i].name, *(const uint64_t *)at);
	}
	if (serve->carrier)
		serve_xdp_json(&j, serve->carrier);
	json_end_object(&j);
	json_fini(&j);
}

/* signals */

static struct weir_service *serving;	/* for the handler */

static void on_stop(int sig)
{
	static int count;

	if (signal_echoes())
		return;
	weir_service_stop(serving, count++ ? 0 : STOP_NS);
}

/* The workers must not get them: the handler runs where nothing is awaited. */
static void stop_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(how, &set, NULL);
}

static void catch_stop(struct weir_service *service)
{
	struct sigaction action = { .sa_handler = on_stop };

	serving = service;
	sigemptyset(&action.sa_mask);
	/* Nested: a second one must not see the count of the first half changed. */
	sigaddset(&action.sa_mask, SIGINT);
	sigaddset(&action.sa_mask, SIGTERM);
	sigaddset(&action.sa_mask, SIGHUP);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	stop_signals(SIG_UNBLOCK);
}

/* Until it is told to stop; an exit status. */
static int await(struct serve *serve)
{
	int aborted;

	catch_stop(serve->service);
	aborted = weir_service_wait(serve->service);
	stop_signals(SIG_BLOCK);
	if (serve->json_exit)
		json_exit(serve, aborted);
	weir_service_close(serve->service);
	if (aborted < 0)
		return fail("a worker died: %s", weir_strerror(aborted));
	if (aborted > 0)
		fprintf(stderr, "weir: warning: %d connections were aborted at the deadline\n",
			aborted);
	return WEIR_EXIT_OK;
}

/* What rings and ports took, once they are there. */
static void drop_rest(void)
{
	int err = privilege_drop_all();

	if (err)
		fprintf(stderr, "weir: warning: capabilities stay: %s\n", weir_strerror(err));
}

/* processes */

/* The service of one worker: it is number 0 of its own. */
static int child(void *ctx, struct process *self)
{
	struct serve *serve = ctx;
	struct echo_stall *stall = &serve->echo->stall;
	int err;

	serve->steer.steering = self->steering;
	serve->listener = &self->listener;
	serve->workers = 1;
	serve->cpus[0] = serve->cpus[self->worker];
	stall->on = stall->on && stall->worker == self->worker;
	stall->worker = 0;
	err = open_service(serve);
	if (err)
		return err;
	drop_rest();
	process_ready(self, serve->service);
	return await(serve);
}

static void serving_processes(void *ctx, const struct process_ready *ready)
{
	const struct serve *serve = ctx;
	char text[WEIR_ADDR_TEXT_MAX] = "?";

	weir_addr_format(&serve->where, text, sizeof(text));
	printf("listening on %s: %u process%s, backend %s (%s), steering %s %s", text,
	       (unsigned int)serve->workers, serve->workers == 1 ? "" : "es", ready->backend,
	       ready->reason, steered_by(&serve->steer), serve->steer.policy);
	serve_rest(&serve->steer, serve->instance ? serve->instance : INSTANCE,
		   serve->steer.rung == WEIR_RUNG_NONE ? "the kernel's hash moves no queue" :
		   serve->workers == 1 ? "there is one worker" :
		   ready->rescue[0] ? ready->rescue : NULL);
}

static int run_processes(struct serve *serve)
{
	struct weir_log log = stderr_log(serve->verbose ? WEIR_LOG_INFO : WEIR_LOG_WARN);
	struct processes_opts opts = {
		.steering = serve->steer.steering,
		.addr = &serve->where,
		.workers = (unsigned int)serve->workers,
		.backlog = BACKLOG,
		.child = child,
		.serving = serving_processes,
		.ctx = serve,
		.stop_ns = STOP_NS + NS_PER_SEC,
		.log = &log,
	};
	sigset_t set;
	int result;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	result = processes_run(&opts);
	steer_close(&serve->steer);
	return result;
}

static int run(struct serve *serve)
{
	const char *instance = serve->instance ? serve->instance : INSTANCE;
	int err;

	signal(SIGPIPE, SIG_IGN);
	privilege_raise_limits();
	/* From here on there are pins: a signal must find someone who removes them. */
	stop_signals(SIG_BLOCK);
	if (!serve->acceptor && !serve->processes) {
		err = takeover_find(&serve->listeners, instance, serve->takeover, &serve->workers);
		if (err)
			return err;
	}
	if (!serve->workers)
		serve->workers = 1;
	err = steer(serve);
	if (err)
		return err;
	/* Which port there is a listener on already is not asked. */
	err = privilege_drop((serve->listeners || (serve->port && serve->port < 1024) ?
			      PRIVILEGE_KEEP_BIND : 0) |
			     (serve->xdp ? PRIVILEGE_KEEP_RAW : 0));
	if (err)
		fprintf(stderr, "weir: warning: capabilities stay: %s\n", weir_strerror(err));
	if (serve->processes)
		return run_processes(serve);
	err = open_service(serve);
	if (err)
		return err;
	weir_takeover_close(serve->listeners);
	serve->listeners = NULL;
	if (serve->takeover && serve->vip)
		takeover_vips(serve->service, instance, serve->vip);
	drop_rest();
	serve_line(serve->service, &serve->steer, (unsigned int)serve->workers, instance);
	return await(serve);
}

static int serve_run(const struct command *cmd, int argc, char **argv)
{
	struct serve serve = {
		.port = 7777,
		.conns = 1024,
		.addr = "127.0.0.1",
		.policy = POLICY_NOT_SAID,
		.backend = BACKEND_ANY,
	};
	int n, result;

	n = opts_parse(cmd, argc, argv, &serve);
	if (n < 0)
		return opts_exit(n);
	serve.echo = aligned_alloc(64, sizeof(*serve.echo));
	if (!serve.echo)
		return fail("%s", weir_strerror(-ENOMEM));
	memset(serve.echo, 0, sizeof(*serve.echo));
	result = check(&serve, n, argv);
	if (!result)
		result = run(&serve);
	weir_takeover_close(serve.listeners);
	weir_xdp_carrier_close(serve.carrier);
	free(serve.echo);
	return result;
}

const struct command cmd_serve = {
	.name = "serve",
	.operands = "echo|udp-echo",
	.summary = "run a service until it is told to stop",
	.about =
"Prints one line once it listens. The first SIGINT, SIGTERM or SIGHUP stops it\n"
"gracefully: clients have 5 seconds to take what is queued; a second one stops\n"
"it now. No capability is kept once it listens.\n"
"\n"
"What a crashed service of the same instance left in the kernel is gone on with,\n"
"and so are listeners that weir hold or the service manager have kept.\n"
"--takeover does the same with one that runs: it yields, serves its connections\n"
"to their end, and leaves.",
	.examples =
"  weir serve echo --workers 4 --policy p2c\n"
"  weir serve echo --port 0 --no-bpf --json-exit\n"
"  weir serve echo --workers 4 --acceptor\n"
"  weir serve udp-echo --workers 4\n"
"  weir serve udp-echo --addr 10.0.0.2 --workers 4 --xdp eth0\n"
"  weir serve echo --workers 4 --processes\n"
"  weir serve echo --workers 4 --stall 0:400/1000    # a worker that hangs\n"
"  weir serve echo --instance web --takeover",
	.opts = serve_opts,
	.run = serve_run,
};
