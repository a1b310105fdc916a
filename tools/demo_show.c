// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* demo_show.c - a service's state through bpftool and through weir show */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "demo.h"
#include "echo.h"
#include "show.h"

#define WORKERS		4
#define CLIENTS		8
#define SETTLE_NS	NS_PER_SEC
#define LINES_MAX	24	/* of bpftool's output */

struct clients {
	pthread_t thread;
	struct load_opts opts;
	struct load_result *res;
	int stop;
	int err;
};

static void *clients_run(void *arg)
{
	struct clients *clients = arg;

	clients->err = load_run(&clients->opts, clients->res);
	return NULL;
}

static int clients_start(struct clients *clients, const struct demo_service *ds, uint64_t seed)
{
	int err;

	clients->res = malloc(sizeof(*clients->res));
	if (!clients->res)
		return -ENOMEM;
	load_opts_init(&clients->opts);
	load_opts_address(&clients->opts, "127.0.0.1", ds->port);
	clients->opts.connections = CLIENTS;
	clients->opts.rate = 400;
	clients->opts.duration_ns = 60 * NS_PER_SEC;
	clients->opts.seed = seed;
	clients->opts.stop = &clients->stop;
	err = pthread_create(&clients->thread, NULL, clients_run, clients);
	if (err)
		free(clients->res);
	return -err;
}

static void clients_stop(struct clients *clients)
{
	__atomic_store_n(&clients->stop, 1, __ATOMIC_RELAXED);
	pthread_join(clients->thread, NULL);
	free(clients->res);
}

/* Fixed places: this may run with privileges, so PATH is not asked. */
static const char *find_tool(void)
{
	static const char *const places[] = {
		"/usr/sbin/bpftool", "/sbin/bpftool", "/usr/bin/bpftool",
		"/usr/local/sbin/bpftool",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		if (!access(places[i], X_OK))
			return places[i];
	return NULL;
}

static void print_lines(FILE *from, FILE *out)
{
	char line[256];
	int n = 0;

	while (fgets(line, sizeof(line), from)) {
		if (n++ < LINES_MAX)
			fprintf(out, "  %s", line);
	}
	if (n > LINES_MAX)
		fprintf(out, "  ... %d lines more\n", n - LINES_MAX);
}

/* Run "bpftool map dump pinned PATH"; 0, or 1 when it failed. */
static int run_tool(struct demo *demo, const char *tool, const char *path)
{
	int pipes[2], status = -1;
	FILE *from;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return demo_failed(demo, "pipe: %s", weir_strerror(-errno));
	pid = fork();
	if (!pid) {
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		execl(tool, tool, "map", "dump", "pinned", path, (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	from = fdopen(pipes[0], "r");
	if (from) {
		print_lines(from, demo->out);
		fclose(from);
	} else {
		close(pipes[0]);
	}
	if (pid < 0)
		return demo_failed(demo, "%s: cannot be started", tool);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return demo_failed(demo, "%s map dump pinned %s failed", tool, path);
	return 0;
}

static int show_bpftool(struct demo *demo, const struct demo_service *ds)
{
	char path[WEIR_BPF_PATH_BYTES + 16];
	const char *tool = find_tool();

	if (!tool) {
		fprintf(demo->out, "\nbpftool: not installed, so this part is left out\n");
		return 0;
	}
	snprintf(path, sizeof(path), "%s/weir_worker", ds->steer.dir);
	fprintf(demo->out, "\n$ bpftool map dump pinned %s\n", path);
	fflush(demo->out);
	return run_tool(demo, tool, path);
}

static int show_nouns(struct demo *demo)
{
	static const struct show_noun *const nouns[] = {
		&show_workers, &show_flows, &show_events,
	};
	struct weir_bpf_view *view;
	size_t i;
	int err;

	for (i = 0; i < ARRAY_SIZE(nouns); i++) {
		fprintf(demo->out, "\n$ weir show %s --instance %s\n", nouns[i]->name,
			demo->instance);
		err = show_table(nouns[i], demo->instance, demo->out);
		if (err)
			return demo_failed(demo, "weir show %s: %s", nouns[i]->name,
					   weir_strerror(err));
	}
	if (!demo->json)
		return 0;
	err = weir_bpf_view_open(&view, demo->instance);
	if (err)
		return demo_failed(demo, "weir show: %s", weir_strerror(err));
	for (i = 0; i < ARRAY_SIZE(nouns) && !err; i++) {
		json_array(demo->json, nouns[i]->name);
		err = nouns[i]->json(view, demo->json);
		json_end_array(demo->json);
	}
	weir_bpf_view_close(view);
	return err ? demo_failed(demo, "weir show: %s", weir_strerror(err)) : 0;
}

/* Without BPF there are no maps; the loops count all the same. */
static void show_counters(struct demo *demo, const struct demo_service *ds)
{
	static const char *const heads[] = {
		"  WORKER", "<STATE", "ACCEPTED", "CONNS", "RECEIVES", "SENDS", "SYSCALLS", NULL
	};
	struct table *table = table_open(heads);
	struct weir_service_stats s;
	unsigned int i;

	for (i = 0; i < WORKERS; i++) {
		memset(&s, 0, sizeof(s));
		weir_service_stats(ds->service, i, &s, sizeof(s));
		table_cell(table, "%u", i);
		table_cell(table, "%s", show_state(s.state));
		table_cell(table, "%llu", (unsigned long long)s.accepted);
		table_cell(table, "%llu", (unsigned long long)s.conns);
		table_cell(table, "%llu", (unsigned long long)s.loop.recvs);
		table_cell(table, "%llu", (unsigned long long)s.loop.sends);
		table_cell(table, "%llu", (unsigned long long)s.loop.syscalls);
	}
	table_close(table, demo->out);
}

static int look(struct demo *demo, const struct demo_service *ds)
{
	int failed;

	sleep_ns(SETTLE_NS);
	if (!ds->steer.bpf) {
		fprintf(demo->out, "\nmaps: off (%s)\nwhat the loops count:\n", ds->steer.reason);
		show_counters(demo, ds);
		demo_sum_up(demo, "state: counters of the loops; maps need BPF");
		return 0;
	}
	failed = show_bpftool(demo, ds);
	if (!failed)
		failed = show_nouns(demo);
	if (!failed)
		demo_sum_up(demo, "state: the same rows from %s and from weir show",
			    find_tool() ? "bpftool" : "the maps");
	return failed;
}

int demo_show(struct demo *demo)
{
	struct echo *echo = aligned_alloc(64, sizeof(*echo));
	struct clients clients = { .stop = 0 };
	struct demo_service ds = { 0 };
	struct weir_service_opts opts = {
		.sz = sizeof(opts),
		.ops = &echo_ops,
		.ctx = echo,
		.workers = WORKERS,
	};
	int failed, err;

	if (!echo)
		return demo_failed(demo, "%s", weir_strerror(-ENOMEM));
	memset(echo, 0, sizeof(*echo));
	fprintf(demo->out, "\nThe state of a service with %d workers and %d clients\n", WORKERS,
		CLIENTS);
	failed = demo_open(demo, &ds, &opts, 2);
	if (!failed) {
		err = clients_start(&clients, &ds, demo->seed);
		if (err) {
			failed = demo_failed(demo, "clients: %s", weir_strerror(err));
		} else {
			failed = look(demo, &ds);
			clients_stop(&clients);
		}
		demo_close(&ds);
	}
	free(echo);
	return failed;
}
