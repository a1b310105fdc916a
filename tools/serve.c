// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* serve.c - weir serve: run a service until it is told to stop */
#include <errno.h>
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

#define STOP_NS		(5 * NS_PER_SEC)
#define BACKLOG		4096

/* open */

static int steer(struct serve *serve)
{
	struct steer_opts opts = {
		.instance = serve_instance(serve),
		.policy = serve->policy == POLICY_NOT_SAID ? WEIR_POLICY_P2C : serve->policy,
		.policy_said = serve->policy != POLICY_NOT_SAID,
		.adopt = true,
		.heir = serve->listeners,
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

/* The predecessor's are there. What cannot be added to them is no reason to end. */
static void vips_late(const struct serve *serve)
{
	if (serve->takeover && serve->vip)
		(void)vips_add(serve_instance(serve), serve->vip, (uint16_t)serve->port);
}

static int open_failed(const struct serve *serve, int err)
{
	char text[WEIR_ADDR_TEXT_MAX] = "?";

	weir_addr_format(&serve->where, text, sizeof(text));
	switch (err) {
	case -EADDRINUSE:
		if (serve->instance)
			return fail("cannot listen on %s, or be instance %s: %s", text,
				    serve_instance(serve), weir_strerror(err));
		return fail("cannot listen on %s: %s", text, weir_strerror(err));
	case -EADDRNOTAVAIL:
	case -EACCES:
		return fail("cannot listen on %s: %s", text, weir_strerror(err));
	case -EMFILE:
	case -ENFILE:
		return fail("cannot serve on %s: %s; a smaller --conns or a higher ulimit -n helps",
			    text, weir_strerror(err));
	case -EPIPE:
		return fail("cannot serve on %s: %s", text, serve->listeners ?
			    "who was to be succeeded has ended, or turned away" :
			    "the parent has ended");
	case -EOPNOTSUPP:
		if (serve->listeners)
			return takeover_surplus(serve_instance(serve),
						serve->acceptor ? 1 : serve->workers);
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
	if (!serve->instance && !serve->steer.bpf)
		return NULL;
	return serve_instance(serve);
}

/* @self: as one worker of a parent, or NULL */
static int open_service(struct serve *serve, const struct process *self)
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
			 (serve->hand_over ? WEIR_SERVICE_HAND_OVER : 0) |
			 (self && self->shared ? WEIR_SERVICE_SHARED : 0),
		.listeners = self ? &self->listener : NULL,
		.carrier = serve->carrier,
		.takeover = serve->listeners,
		.control = self ? NULL : named(serve),
		.parent = self ? &self->parent_fd : NULL,
	};
	int err = weir_service_open(&serve->service, &opts);

	serve->steer.steering = NULL;	/* taken over, also when it failed */
	return err ? open_failed(serve, err) : 0;
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
		serve_json(serve, aborted);
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
	serve->workers = 1;
	serve->cpus[0] = serve->cpus[self->worker];
	stall->on = stall->on && stall->worker == self->worker;
	stall->worker = 0;
	err = open_service(serve, self);
	close(self->parent_fd);
	if (err)
		return err;
	drop_rest();
	process_ready(self, serve->service);
	return await(serve);
}

static void processes_serve(void *ctx, const struct process_ready *ready)
{
	struct serve *serve = ctx;

	vips_late(serve);
	drop_rest();
	serve_processes_line(serve, ready);
}

static int run_processes(struct serve *serve)
{
	struct weir_log log = stderr_log(serve->verbose ? WEIR_LOG_INFO : WEIR_LOG_WARN);
	struct processes_opts opts = {
		.steering = serve->steer.steering,
		.addr = &serve->where,
		.takeover = &serve->listeners,
		.replaces = serve->takeover,
		.instance = serve_instance(serve),
		.name = named(serve),
		.workers = (unsigned int)serve->workers,
		.backlog = BACKLOG,
		.child = child,
		.serving = processes_serve,
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
	const char *instance = serve_instance(serve);
	const struct takeover_place place = {
		.where = &serve->where,
		.addr_said = serve->addr_said,
		.port_said = serve->port_said,
	};
	const struct takeover_heir heir = {
		.udp = serve->udp,
		.acceptor = serve->acceptor,
		.bpf = !serve->no_bpf,
	};
	int err;

	signal(SIGPIPE, SIG_IGN);
	privilege_raise_limits();
	/* From here on there are pins: a signal must find someone who removes them. */
	stop_signals(SIG_BLOCK);
	/* An acceptor has no name unless it is told one. */
	if (!serve->acceptor || serve->instance) {
		err = takeover_find(&serve->listeners, instance, serve->takeover, &place, &heir,
				    &serve->workers);
		if (err)
			return err;
	}
	if (serve->listeners)
		serve->port = takeover_port(serve->listeners);
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
	err = open_service(serve, NULL);
	if (err)
		return err;
	weir_takeover_close(serve->listeners);
	serve->listeners = NULL;
	vips_late(serve);
	drop_rest();
	serve_line(serve->service, &serve->steer, (unsigned int)serve->workers, instance);
	return await(serve);
}

static int serve_run(const struct command *cmd, int argc, char **argv)
{
	struct serve serve = {
		.port = PORT_NOT_SAID,
		.conns = 1024,
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
	result = serve_check(&serve, n, argv);
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
