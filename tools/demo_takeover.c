// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * demo_takeover.c - a service is replaced while its clients send, and is killed
 *
 * The services are processes of their own, of this same program. Two loads, one on
 * connections that last and one that makes a new one for each request, find the
 * first service and end with the second. That one is killed; the third finds what
 * it left.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "demo.h"

#define LOAD_NS		(3 * NS_PER_SEC)
#define RATE		800
#define KEPT		40
#define WORKERS		"2"

extern char **environ;

struct takeover {
	struct demo *demo;
	pid_t old, next;
	uint16_t port;
	bool taken;
	int status;		/* of the old one */
	uint64_t accepted;	/* by the rows, before and after the kill */
	uint64_t recovered;
	struct load_opts opts[2];
	struct load_result *load;	/* on connections that last; on new ones */
};

/* Its one line, once it listens; the port, or 0. */
static uint16_t listening(int fd)
{
	char line[512], *colon;
	unsigned int port = 0;
	size_t len = 0;

	while (len < sizeof(line) - 1 && read(fd, line + len, 1) == 1 && line[len] != '\n')
		len++;
	line[len] = '\0';
	colon = strchr(line, ':');
	if (!colon || sscanf(colon, ":%u", &port) != 1)
		return 0;
	return (uint16_t)port;
}

static uint16_t start(struct takeover *t, pid_t *pid, const char *option, const char *value)
{
	char *const argv[] = {
		"weir", "serve", "echo", "--instance", t->demo->instance, (char *)option,
		(char *)value, "--workers", WORKERS, NULL,
	};
	posix_spawn_file_actions_t actions;
	int fds[2], err;
	uint16_t port;

	if (pipe2(fds, O_CLOEXEC))
		return 0;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	err = posix_spawn(pid, "/proc/self/exe", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	port = err ? 0 : listening(fds[0]);
	close(fds[0]);
	if (err)
		*pid = 0;
	return port;
}

static int finish(pid_t *pid, int sig)
{
	int status = -1;

	if (!*pid)
		return -1;
	if (sig)
		kill(*pid, sig);
	while (waitpid(*pid, &status, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
	return status;
}

/* After a second of the load: clients are in the old one. */
static void *succeed(void *arg)
{
	struct takeover *t = arg;

	sleep_ns(NS_PER_SEC);
	t->taken = start(t, &t->next, "--takeover", NULL) == t->port;
	return NULL;
}

static void *kept_load(void *arg)
{
	struct takeover *t = arg;

	load_run(&t->opts[0], &t->load[0]);
	return NULL;
}

static int put_loads(struct takeover *t)
{
	void *(*const others[])(void *arg) = { kept_load, succeed };
	pthread_t threads[ARRAY_SIZE(others)];
	int i, err;

	for (i = 0; i < 2; i++) {
		load_opts_init(&t->opts[i]);
		load_opts_address(&t->opts[i], "127.0.0.1", t->port);
		t->opts[i].duration_ns = LOAD_NS;
		t->opts[i].rate = RATE;
		t->opts[i].seed = t->demo->seed + (uint64_t)i;
		t->opts[i].stop = &interrupted;
		t->opts[i].connections = KEPT;
	}
	t->opts[1].connections = 1000;
	t->opts[1].churn = true;
	for (i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, others[i], t))
			return demo_failed(t->demo, "no thread for the clients");
	err = load_run(&t->opts[1], &t->load[1]);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (!t->taken)
		return demo_failed(t->demo, "the second service does not take over");
	if (err)
		return demo_failed(t->demo, "the clients do not get through: %s",
				   weir_strerror(err));
	return 0;
}

static uint64_t accepted(const struct demo *demo)
{
	struct weir_bpf_view *view;
	struct weir_bpf_worker w;
	uint64_t sum = 0;
	unsigned int i;

	if (weir_bpf_view_open(&view, demo->instance))
		return 0;
	for (i = 0; !weir_bpf_view_worker(view, i, &w); i++)
		sum += w.row.accepted;
	weir_bpf_view_close(view);
	return sum;
}

static void report(const struct takeover *t)
{
	const struct load_result *kept = &t->load[0], *new = &t->load[1];
	uint64_t errors = load_errors(kept) + load_errors(new);
	struct demo *demo = t->demo;
	struct json *j = demo->json;

	fprintf(demo->out, "\na service is replaced while its clients send\n"
		"  connections that last  %llu requests, %llu errors, worst %.1f ms\n"
		"  new connections        %llu requests, %llu errors, worst %.1f ms\n"
		"  the old service ended with status %d\n",
		(unsigned long long)kept->requests, (unsigned long long)load_errors(kept),
		(double)hist_max(&kept->latency) / 1e6, (unsigned long long)new->requests,
		(unsigned long long)load_errors(new), (double)hist_max(&new->latency) / 1e6,
		t->status);
	if (t->accepted)
		fprintf(demo->out, "  killed, the next one goes on with %llu of %llu connections "
			"counted\n", (unsigned long long)t->recovered,
			(unsigned long long)t->accepted);
	demo_sum_up(demo, "takeover: %llu requests under a change of process, %llu errors",
		    (unsigned long long)(kept->requests + new->requests),
		    (unsigned long long)errors);
	if (!j)
		return;
	json_u64(j, "requests", kept->requests + new->requests);
	json_u64(j, "errors", errors);
	json_u64(j, "status", (uint64_t)t->status);
	json_u64(j, "accepted", t->accepted);
	json_u64(j, "recovered", t->recovered);
}

static int run(struct takeover *t)
{
	t->port = start(t, &t->old, "--port", "0");
	if (!t->port)
		return demo_failed(t->demo, "the first service does not start");
	if (put_loads(t))
		return 1;
	t->status = finish(&t->old, 0);
	t->accepted = accepted(t->demo);
	finish(&t->next, SIGKILL);
	if (!start(t, &t->next, "--port", "0"))
		return demo_failed(t->demo, "nothing starts after the kill");
	t->recovered = accepted(t->demo);
	finish(&t->next, SIGTERM);
	report(t);
	if (t->status)
		return demo_failed(t->demo, "the old service ended with status %d", t->status);
	return t->recovered == t->accepted ? 0 :
	       demo_failed(t->demo, "of %llu connections counted %llu were recovered",
			   (unsigned long long)t->accepted, (unsigned long long)t->recovered);
}

int demo_takeover(struct demo *demo)
{
	struct takeover t = { .demo = demo };
	int failed;

	if (access("/run/weir", W_OK) && access("/run", W_OK)) {
		fprintf(demo->out, "\ntakeover: off (no right to /run/weir)\n");
		demo_sum_up(demo, "takeover: off (no right to /run/weir)");
		return 0;
	}
	t.load = calloc(2, sizeof(*t.load));
	if (!t.load)
		return demo_failed(demo, "%s", weir_strerror(-ENOMEM));
	failed = run(&t);
	finish(&t.old, SIGKILL);
	finish(&t.next, SIGKILL);
	free(t.load);
	return failed;
}
