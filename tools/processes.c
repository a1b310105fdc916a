// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * processes.c - a worker is a process: started, looked after, started again
 *
 * The parent keeps every listener open, so that the queue of a child that dies
 * lives on: it is moved to the others first, and only then the child is started
 * again. If the parent dies, children serve on, and BPF goes on to keep clients
 * from one that hangs; nobody moves queues or starts children then.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weir/supervisor.h>

#include "common.h"
#include "processes.h"

#define READY_MS	20000
#define AGAIN_NS	NS_PER_SEC	/* a child is started once in this time */

struct child {
	pid_t pid;		/* 0: none */
	int listener;
	uint64_t started_ns;
};

struct processes {
	const struct processes_opts *opts;
	struct weir_supervisor *supervisor;
	struct child children[WEIR_WORKERS_MAX];
	uint64_t stop_ns;	/* 0: serving; else when children are killed */
};

/* listeners */

/* The options of lib/net/listener.c; a port that is explicit (it outlives a rescue). */
static int listener_open(struct weir_addr *addr, int reuseport, int backlog)
{
	struct sockaddr *sa = (struct sockaddr *)&addr->ss;
	int fd, on = 1, err;

	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    (reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))) ||
	    bind(fd, sa, addr->len) || getsockname(fd, sa, &addr->len) ||
	    (backlog && listen(fd, backlog))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

/* Without SO_REUSEPORT at first: no stranger may share the port, and one is found. */
static int listeners_open(struct processes *all)
{
	const struct processes_opts *opts = all->opts;
	struct weir_steering *st = opts->steering;
	unsigned int i;
	int fd, err;

	fd = listener_open(opts->addr, 0, 0);
	if (fd < 0)
		return fd;
	close(fd);
	for (i = 0; i < opts->workers; i++) {
		fd = listener_open(opts->addr, 1, opts->backlog);
		if (fd < 0)
			return fd;
		all->children[i].listener = fd;
		err = st->ops->join(st, i, fd);
		if (err)
			return err;
	}
	return st->ops->seal(st);
}

/* Nothing is moved any more; with the child's own each of them is closed. */
static void listeners_close(struct processes *all)
{
	struct weir_steering *st = all->opts->steering;
	unsigned int i;

	for (i = 0; i < all->opts->workers; i++) {
		if (all->children[i].listener < 0)
			continue;
		st->ops->leave(st, i);
		close(all->children[i].listener);
		all->children[i].listener = -1;
	}
}

/* children */

void process_ready(struct process *self, const struct weir_service *service)
{
	struct process_ready ready = { 0 };
	const char *reason = NULL, *rescue = NULL;

	snprintf(ready.backend, sizeof(ready.backend), "%s",
		 weir_service_backend(service, &reason));
	snprintf(ready.reason, sizeof(ready.reason), "%s", reason ? reason : "?");
	weir_service_rescue(service, &rescue);
	snprintf(ready.rescue, sizeof(ready.rescue), "%s", rescue ? rescue : "");
	/* A pipe takes it at once. Nobody reads it from one that is started again. */
	if (write(self->ready_fd, &ready, sizeof(ready)) < 0)
		errno = 0;
	close(self->ready_fd);
	self->ready_fd = -1;
}

/* A group of its own: what the terminal sends, the parent hands on. */
static void child_main(struct processes *all, unsigned int worker, int ready_fd)
{
	struct process self = {
		.worker = worker,
		.listener = all->children[worker].listener,
		.ready_fd = ready_fd,
	};
	unsigned int i;
	int err;

	setpgid(0, 0);
	for (i = 0; i < all->opts->workers; i++)
		if (i != worker && all->children[i].listener >= 0)
			close(all->children[i].listener);
	err = weir_steering_share(&self.steering, all->opts->steering, worker);
	_exit(err ? fail("worker %u: %s", worker, weir_strerror(err)) :
	      all->opts->child(all->opts->ctx, &self));
}

/* Its pid; *@ready_fd tells when it serves. */
static int child_start(struct processes *all, unsigned int worker, int *ready_fd)
{
	struct child *child = &all->children[worker];
	int fds[2];
	pid_t pid;

	/* Also when it fails: the next try is not at once. */
	child->started_ns = now_ns();
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(fds[0]);
		child_main(all, worker, fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return -errno;
	}
	child->pid = pid;
	*ready_fd = fds[0];
	return 0;
}

static int child_await(int ready_fd, struct process_ready *ready)
{
	struct pollfd pfd = { .fd = ready_fd, .events = POLLIN };
	int n = poll(&pfd, 1, READY_MS);

	n = n > 0 && read(ready_fd, ready, sizeof(*ready)) == sizeof(*ready);
	close(ready_fd);
	return n ? 0 : -ECHILD;
}

static int children_start(struct processes *all, struct process_ready *ready)
{
	unsigned int i;
	int err = 0, fd;

	for (i = 0; i < all->opts->workers && !err; i++) {
		err = child_start(all, i, &fd);
		if (!err)
			err = child_await(fd, ready);
	}
	return err;
}

/* Is there one beside @worker who could take its queue? */
static bool another_serves(const struct processes *all, unsigned int worker)
{
	struct weir_steering *st = all->opts->steering;
	unsigned int i, state;

	for (i = 0; i < all->opts->workers; i++) {
		state = __atomic_load_n(&st->ops->row(st, i)->state, __ATOMIC_ACQUIRE);
		if (i != worker && (state == WEIR_RUN || state == WEIR_PARKED))
			return true;
	}
	return false;
}

/* Its row says so, its queue goes to the others; it is started again in time. */
static void child_died(struct processes *all, unsigned int worker, int status)
{
	struct weir_steering *st = all->opts->steering;

	all->children[worker].pid = 0;
	__atomic_store_n(&st->ops->row(st, worker)->state, WEIR_DEAD, __ATOMIC_RELEASE);
	if (all->stop_ns)
		return;
	if (WIFSIGNALED(status))
		fprintf(stderr, "weir: warning: worker %u was ended by signal %d; it is started "
			"again\n", worker, WTERMSIG(status));
	else
		fprintf(stderr, "weir: warning: worker %u ended with status %d; it is started "
			"again\n", worker, WEXITSTATUS(status));
	/* Alone it finds its queue when it comes back. */
	if (another_serves(all, worker))
		st->ops->rescue(st, worker);
}

static void children_reap(struct processes *all)
{
	unsigned int i;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < all->opts->workers; i++)
			if (all->children[i].pid == pid)
				child_died(all, i, status);
	}
}

/* Start those who are due; when the next one is, or UINT64_MAX. */
static uint64_t children_again(struct processes *all, uint64_t now)
{
	uint64_t next = UINT64_MAX, due;
	unsigned int i;
	int fd;

	for (i = 0; i < all->opts->workers; i++) {
		struct child *child = &all->children[i];

		if (child->pid)
			continue;
		due = child->started_ns + AGAIN_NS;
		if (now >= due && !child_start(all, i, &fd)) {
			close(fd);
			continue;
		}
		due = child->started_ns + AGAIN_NS;
		next = due < next ? due : next;
	}
	return next;
}

static unsigned int children_kill(const struct processes *all, int sig)
{
	unsigned int i, count = 0;

	for (i = 0; i < all->opts->workers; i++) {
		if (!all->children[i].pid)
			continue;
		count++;
		if (sig)
			kill(all->children[i].pid, sig);
	}
	return count;
}

/* the parent */

/* One that is stopped must go on in order to end. */
static void stop(struct processes *all, uint64_t now)
{
	if (all->stop_ns && signal_echoes())
		return;
	all->stop_ns = now + all->opts->stop_ns;
	children_kill(all, SIGTERM);
	children_kill(all, SIGCONT);
	listeners_close(all);
}

static int wait_signal(uint64_t until, uint64_t now)
{
	uint64_t ns = until > now ? until - now : 0;
	struct timespec ts;
	sigset_t set;

	ts.tv_sec = (time_t)(ns / NS_PER_SEC);
	ts.tv_nsec = (long)(ns % NS_PER_SEC);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	return sigtimedwait(&set, NULL, until == UINT64_MAX ? NULL : &ts);
}

/* In the middle of a system call that does not end it dies later: we wait. */
static void kill_all(struct processes *all, uint64_t now)
{
	children_kill(all, SIGKILL);
	all->stop_ns = now + NS_PER_SEC;
}

static void serve_on(struct processes *all)
{
	uint64_t until;
	int sig;

	for (;;) {
		children_reap(all);
		if (all->stop_ns && !children_kill(all, 0))
			return;
		until = all->stop_ns ? all->stop_ns : children_again(all, now_ns());
		sig = wait_signal(until, now_ns());
		if (sig > 0 && sig != SIGCHLD)
			stop(all, now_ns());
		else if (all->stop_ns && now_ns() >= all->stop_ns)
			kill_all(all, now_ns());
	}
}

static int supervise(struct processes *all, const struct process_ready *ready)
{
	struct weir_supervisor_opts opts = {
		.sz = sizeof(opts),
		.log = all->opts->log,
		.workers = all->opts->workers,
		.flags = WEIR_SUPERVISOR_TICK |
			 (ready->rescue[0] ? WEIR_SUPERVISOR_NO_RESCUE : 0),
	};

	return weir_supervisor_open(&all->supervisor, all->opts->steering, &opts);
}

static int start_failed(struct processes *all, int err)
{
	char text[WEIR_ADDR_TEXT_MAX] = "?";

	weir_addr_format(all->opts->addr, text, sizeof(text));
	if (err == -ECHILD)
		return fail("a worker's process did not come to serve");
	return fail("cannot serve on %s: %s", text, weir_strerror(err));
}

int processes_run(const struct processes_opts *opts)
{
	struct processes *all = calloc(1, sizeof(*all));
	struct process_ready ready = { 0 };
	int err, result = WEIR_EXIT_OK;
	unsigned int i;

	if (!all)
		return fail("%s", weir_strerror(-ENOMEM));
	all->opts = opts;
	for (i = 0; i < opts->workers; i++)
		all->children[i].listener = -1;
	err = listeners_open(all);
	if (!err)
		err = children_start(all, &ready);
	if (!err)
		err = supervise(all, &ready);
	if (err) {
		result = start_failed(all, err);
		stop(all, now_ns());
	} else {
		opts->serving(opts->ctx, &ready);
	}
	serve_on(all);
	weir_supervisor_close(all->supervisor);
	free(all);
	return result;
}
