// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A server under measurement. */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "server.h"

#define READY_TRIES	1000
#define READY_PAUSE_NS	5000000L
#define STOP_MS		10000
#define LINE_MAX_BYTES	4096

static int loopback_socket(struct sockaddr_in *sin, uint16_t port)
{
	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_port = htons(port);
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int free_port(uint16_t *port)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int fd = loopback_socket(&sin, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) ||
	    getsockname(fd, (struct sockaddr *)&sin, &len))
		err = -errno;
	else
		*port = ntohs(sin.sin_port);
	close(fd);
	return err;
}

static bool accepts(uint16_t port)
{
	struct sockaddr_in sin;
	int fd = loopback_socket(&sin, port);
	bool ok;

	if (fd < 0)
		return false;
	ok = !connect(fd, (struct sockaddr *)&sin, sizeof(sin));
	close(fd);
	return ok;
}

/* The servers share no readiness protocol: ask the port, at most 5 s long. */
static int wait_ready(struct server *s)
{
	const struct timespec pause = { .tv_nsec = READY_PAUSE_NS };
	int i;

	for (i = 0; i < READY_TRIES; i++) {
		if (accepts(s->port))
			return 0;
		if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
			s->pid = 0;
			return -ECHILD;
		}
		nanosleep(&pause, NULL);
	}
	return -ETIMEDOUT;
}

static void fill_args(const char **to, const char *const *argv, const char *port)
{
	int i;

	for (i = 0; argv[i] && i < SERVER_ARGS_MAX - 1; i++)
		to[i] = strcmp(argv[i], "PORT") ? argv[i] : port;
	to[i] = NULL;
}

static int spawn(struct server *s, const char *const *argv)
{
	const char *args[SERVER_ARGS_MAX];
	char port[8];
	int pipes[2];

	snprintf(port, sizeof(port), "%u", s->port);
	fill_args(args, argv, port);
	if (pipe(pipes))
		return -errno;
	s->pid = fork();
	if (!s->pid) {
		dup2(pipes[1], STDOUT_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		execv(args[0], (char *const *)args);
		fprintf(stderr, "%s: %s\n", args[0], strerror(errno));
		_exit(127);
	}
	close(pipes[1]);
	s->out = pipes[0];
	return s->pid < 0 ? -errno : 0;
}

int server_start(struct server *s, const char *const *argv)
{
	struct server_stats stats;
	int err;

	memset(s, 0, sizeof(*s));
	err = free_port(&s->port);
	if (err)
		return err;
	err = spawn(s, argv);
	if (err)
		return err;
	err = wait_ready(s);
	if (err == -ECHILD)
		close(s->out);
	else if (err)
		server_stop(s, &stats);
	return err;
}

static bool member(const char *line, const char *name, uint64_t *value)
{
	const char *at = strstr(line, name);

	return at && sscanf(at + strlen(name), " : %" SCNu64, value) == 1;
}

static int parse(const char *line, struct server_stats *stats)
{
	if (!member(line, "\"requests\"", &stats->requests) ||
	    !member(line, "\"cpu_ns\"", &stats->cpu_ns) ||
	    !member(line, "\"syscalls\"", &stats->syscalls) ||
	    !member(line, "\"bytes\"", &stats->bytes))
		return -EPROTO;
	return 0;
}

/* The last line that carries the figures; a server may print others before. */
static int read_stats(int fd, struct server_stats *stats)
{
	char line[LINE_MAX_BYTES];
	int err = -EPROTO;
	FILE *in = fdopen(fd, "r");

	if (!in) {
		close(fd);
		return -errno;
	}
	while (fgets(line, sizeof(line), in))
		if (strstr(line, "\"requests\""))
			err = parse(line, stats);
	fclose(in);
	return err;
}

static void kill_after(pid_t pid, int ms)
{
	struct pollfd pfd = { .fd = pidfd_open(pid, 0), .events = POLLIN };

	if (pfd.fd < 0 || poll(&pfd, 1, ms) <= 0)
		kill(pid, SIGKILL);
	if (pfd.fd >= 0)
		close(pfd.fd);
}

int server_stop(struct server *s, struct server_stats *stats)
{
	int status = 0;
	int err;

	memset(stats, 0, sizeof(*stats));
	kill(s->pid, SIGTERM);
	kill_after(s->pid, STOP_MS);
	err = read_stats(s->out, stats);
	waitpid(s->pid, &status, 0);
	s->pid = 0;
	if (err)
		return err;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -ECHILD;
}
