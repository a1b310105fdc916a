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
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"
#include "parent.h"
#include "takeover.h"

#define READY_NS	(20 * NS_PER_SEC)	/* for all of them to serve */
#define AGAIN_NS	NS_PER_SEC	/* a child is started once in this time */

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
static void child_main(struct processes *all, unsigned int worker, int ready_fd, int parent_fd)
{
	struct process self = {
		.worker = worker,
		.listener = all->children[worker].listener,
		.shared = all->shared,
		.ready_fd = ready_fd,
		.parent_fd = parent_fd,
	};
	unsigned int i;
	int err;

	setpgid(0, 0);
	weir_crew_close(all->crew);
	/* A predecessor is to see the end of its successor. */
	weir_takeover_close(*all->opts->takeover);
	*all->opts->takeover = NULL;
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
	int fds[2], parent_fd;
	pid_t pid;

	/* Also when it fails: the next try is not at once. */
	child->started_ns = now_ns();
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	parent_fd = weir_crew_join(all->crew, worker);
	pid = -1;
	if (parent_fd >= 0) {
		fflush(NULL);
		pid = fork();
		if (!pid) {
			close(fds[0]);
			child_main(all, worker, fds[1], parent_fd);
		}
		close(parent_fd);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		weir_crew_leave(all->crew, worker);
		return parent_fd < 0 ? parent_fd : -EAGAIN;
	}
	child->pid = pid;
	*ready_fd = fds[0];
	return 0;
}

static int child_await(int ready_fd, struct process_ready *ready, uint64_t until)
{
	struct pollfd pfd = { .fd = ready_fd, .events = POLLIN };
	uint64_t now = now_ns();
	int n = poll(&pfd, 1, until > now ? (int)((until - now) / NS_PER_MS) + 1 : 0);

	n = n > 0 && read(ready_fd, ready, sizeof(*ready)) == sizeof(*ready);
	close(ready_fd);
	return n ? 0 : -ECHILD;
}

/* All at once: clients may wait for them, or for their predecessors when one fails. */
static int children_start(struct processes *all, struct process_ready *ready)
{
	uint64_t until = now_ns() + READY_NS;
	int fds[WEIR_WORKERS_MAX], err = 0;
	unsigned int i, count;

	for (count = 0; count < all->opts->workers && !err; count += !err)
		err = child_start(all, count, &fds[count]);
	for (i = 0; i < count; i++) {
		int failed = child_await(fds[i], ready, err ? 0 : until);

		err = err ? err : failed;
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

/* Alone it finds its queue when it comes back. */
static void rescue(struct processes *all, unsigned int worker)
{
	struct weir_steering *st = all->opts->steering;

	all->children[worker].rescue = false;
	if (another_serves(all, worker))
		st->ops->rescue(st, worker);
}

/* Its row says so, its queue goes to the others; it is started again in time. */
static void child_died(struct processes *all, unsigned int worker, int status)
{
	struct weir_steering *st = all->opts->steering;

	all->children[worker].pid = 0;
	weir_crew_leave(all->crew, worker);
	__atomic_store_n(&st->ops->row(st, worker)->state, WEIR_DEAD, __ATOMIC_RELEASE);
	if (all->stop_ns || all->left)
		return;
	if (WIFSIGNALED(status))
		fprintf(stderr, "weir: warning: worker %u was ended by signal %d; it is started "
			"again\n", worker, WTERMSIG(status));
	else
		fprintf(stderr, "weir: warning: worker %u ended with status %d; it is started "
			"again\n", worker, WEXITSTATUS(status));
	all->children[worker].rescue = true;
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

/*
 * Start those who are due; when the next one is, or UINT64_MAX. While a successor may
 * serve none is.
 */
static uint64_t children_again(struct processes *all, uint64_t now)
{
	uint64_t next = UINT64_MAX, due;
	unsigned int i;
	int fd;

	for (i = 0; i < all->opts->workers && !all->halted; i++) {
		struct child *child = &all->children[i];

		if (child->rescue)
			rescue(all, i);
		if (child->pid)
			continue;
		due = child->started_ns + AGAIN_NS;
		if (now >= due && !child_start(all, i, &fd)) {
			close(fd);
			weir_crew_tell(all->crew, i, WEIR_CREW_STAY);
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
	weir_control_stop(all->control);
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

/* When to look again; 0: nobody is left. */
static uint64_t look(struct processes *all)
{
	uint64_t until = 0;

	pthread_mutex_lock(&all->lock);
	children_reap(all);
	if (all->drained && !all->stop_ns)
		stop(all, now_ns());
	if ((!all->stop_ns && !all->left) || children_kill(all, 0))
		until = all->stop_ns ? all->stop_ns : children_again(all, now_ns());
	pthread_mutex_unlock(&all->lock);
	return until;
}

static void serve_on(struct processes *all)
{
	uint64_t until;
	int sig;

	while ((until = look(all))) {
		sig = wait_signal(until, now_ns());
		pthread_mutex_lock(&all->lock);
		if (sig > 0 && sig != SIGCHLD)
			stop(all, now_ns());
		else if (all->stop_ns && now_ns() >= all->stop_ns)
			kill_all(all, now_ns());
		pthread_mutex_unlock(&all->lock);
	}
}

static int start_failed(struct processes *all, int err)
{
	char text[WEIR_ADDR_TEXT_MAX] = "?";

	weir_addr_format(all->opts->addr, text, sizeof(text));
	if (err == -ECHILD)
		return fail("a worker's process did not come to serve");
	if (err == -EOPNOTSUPP && *all->opts->takeover)
		return takeover_surplus(all->opts->instance, all->opts->workers);
	if (err == -EADDRINUSE && all->opts->name)
		return fail("cannot listen on %s, or be instance %s: %s", text, all->opts->name,
			    weir_strerror(err));
	if (err == -EPIPE)
		return fail("cannot serve on %s: who was to be succeeded has ended, or turned away",
			    text);
	return fail("cannot serve on %s: %s", text, weir_strerror(err));
}

/*
 * Children stay when a predecessor has left, and not before: who dies in between has
 * not succeeded him.
 */
static int start(struct processes *all, struct process_ready *ready)
{
	int err = listeners_open(all);

	if (!err)
		err = children_start(all, ready);
	all->no_rescue = ready->rescue[0];
	if (!err)
		err = supervise(all);
	if (err)
		return err;
	if (*all->opts->takeover)
		weir_takeover_serves(*all->opts->takeover, all->opts->workers);
	weir_crew_tell(all->crew, WEIR_WORKER_NONE, WEIR_CREW_STAY);
	err = control_open(all);
	weir_takeover_close(*all->opts->takeover);
	*all->opts->takeover = NULL;
	return err;
}

/* Of a successor that fails nobody serves any more when its predecessor goes on. */
static int run(struct processes *all)
{
	struct process_ready ready = { 0 };
	int err, result = WEIR_EXIT_OK;
	unsigned int i;

	err = start(all, &ready);
	if (err) {
		result = start_failed(all, err);
		weir_supervisor_close(all->supervisor);
		all->supervisor = NULL;
		listeners_back(all);
		/* Not told to stay they end at once. */
		for (i = 0; i < all->opts->workers; i++)
			weir_crew_leave(all->crew, i);
		stop(all, now_ns());
	} else {
		all->opts->serving(all->opts->ctx, &ready);
	}
	serve_on(all);
	weir_control_close(all->control);
	weir_supervisor_close(all->supervisor);
	weir_crew_close(all->crew);
	return result;
}

int processes_run(const struct processes_opts *opts)
{
	struct processes *all = calloc(1, sizeof(*all));
	int err, result;
	unsigned int i;

	err = all ? 0 : -ENOMEM;
	if (!err)
		err = weir_crew_open(&all->crew, opts->workers);
	if (err) {
		free(all);
		return fail("%s", weir_strerror(err));
	}
	all->opts = opts;
	all->first = pthread_self();
	pthread_mutex_init(&all->lock, NULL);
	for (i = 0; i < opts->workers; i++)
		all->children[i].listener = -1;
	result = run(all);
	pthread_mutex_destroy(&all->lock);
	free(all);
	return result;
}
