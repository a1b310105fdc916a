// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Load generator: the schedule and the loop. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load_engine.h"

#define EVENTS_MAX		512
#define CONNECTING_MAX		256	/* at once, below any listener's backlog */
#define RETRY_NS		(100 * NSEC_PER_MSEC)
#define STOP_POLL_NS		(100 * NSEC_PER_MSEC)
#define STOP_DRAIN_NS		NSEC_PER_SEC
#define SPARE_FDS		64

/* What a run changes about its thread, to be put back. */
struct thread_state {
	cpu_set_t cpus;
	int slack_ns;
	bool pinned;
};

static bool open_loop(const struct engine *e)
{
	return e->opts->rate;
}

/*
 * When request @k of an open loop is due: (k + u) / rate seconds after zero,
 * with u in [0, 1). Seeds next to each other must not give the same row of u,
 * moved by one: hence twice mixed.
 */
static uint64_t due_at(const struct engine *e, uint64_t k)
{
	uint64_t u_ns = (mix(mix(e->opts->seed + 1) + k) >> 32) * NSEC_PER_SEC >> 32;
	uint64_t rate = e->opts->rate;

	/* In two parts, so that a day's k cannot overflow. */
	return e->zero_ns + k / rate * NSEC_PER_SEC + (k % rate * NSEC_PER_SEC + u_ns) / rate;
}

/* No further request will become due. */
static bool schedule_over(const struct engine *e, uint64_t now)
{
	if (e->opts->requests_max && e->res->issued >= e->opts->requests_max)
		return true;
	if (open_loop(e))
		return due_at(e, e->res->issued) >= e->end_ns;
	return now >= e->end_ns;
}

/* Requests of an open loop that are due at @now and were not sent. */
static uint64_t backlog(const struct engine *e, uint64_t now)
{
	uint64_t until = now < e->end_ns ? now + 1 : e->end_ns;
	uint64_t past, due;

	if (!open_loop(e) || !e->running || until < e->zero_ns)
		return 0;
	/* How many k have due_at(k) < until: all of the full steps, perhaps the next. */
	past = until - e->zero_ns;
	due = past / NSEC_PER_SEC * e->opts->rate +
	      past % NSEC_PER_SEC * e->opts->rate / NSEC_PER_SEC;
	due += due_at(e, due) < until;
	if (e->opts->requests_max && due > e->opts->requests_max)
		due = e->opts->requests_max;
	return due > e->res->issued ? due - e->res->issued : 0;
}

void engine_error(struct engine *e, enum load_error error, int err)
{
	e->res->errors[error]++;
	if (!e->res->first_errno)
		e->res->first_errno = err;
}

void engine_timed_out(struct engine *e, uint64_t due, uint64_t now)
{
	engine_error(e, LOAD_ERR_TIMEOUT, ETIMEDOUT);
	/* It would have taken at least this long; leaving it out would flatter. */
	if (due >= e->measure_ns)
		hist_record(&e->res->latency, now - due);
}

void engine_answered(struct engine *e, struct conn *c, uint64_t now)
{
	e->res->requests_total++;
	e->interval_requests++;
	hist_record(e->interval, now - c->due_ns);
	if (c->due_ns < e->measure_ns)
		return;
	e->res->requests++;
	e->last_ns = now;
	hist_record(&e->res->latency, now - c->due_ns);
	hist_record(&e->res->service, now - c->start_ns);
}

/* Give what is due to the connections that are free, longest idle first. */
static void dispatch(struct engine *e, uint64_t now)
{
	uint64_t due = now;

	while (e->running && !list_empty(&e->idle) && !schedule_over(e, now)) {
		if (open_loop(e)) {
			due = due_at(e, e->res->issued);
			if (due > now)
				return;
		}
		conn_request(e, e->idle.next, due, now);
		e->res->issued++;
	}
}

static void expire(struct engine *e, uint64_t now)
{
	while (!list_empty(&e->active) &&
	       e->active.next->since_ns + e->opts->timeout_ns <= now)
		conn_fail(e, e->active.next, LOAD_ERR_TIMEOUT, ETIMEDOUT, now);
}

/* Failed connections come back after a pause; before the start, they do not. */
static void revive(struct engine *e, uint64_t now)
{
	struct conn *c;

	while (e->running && !list_empty(&e->down) && e->down.next->since_ns + RETRY_NS <= now) {
		c = e->down.next;
		if (e->opts->churn)
			conn_move(c, &e->idle, now);
		else
			conn_open(e, c, now);
	}
}

static void open_more(struct engine *e, uint64_t now)
{
	while (!e->running && e->opened < e->opts->connections && e->connecting < CONNECTING_MAX)
		conn_open(e, &e->conns[e->opened++], now);
}

static void report(struct engine *e, uint64_t now)
{
	struct load_progress p = {
		.elapsed_ns = now - e->zero_ns,
		.interval_ns = now - e->tick_ns,
		.interval_requests = e->interval_requests,
		.interval_p50_ns = hist_percentile(e->interval, 50),
		.interval_p99_ns = hist_percentile(e->interval, 99),
		.interval_max_ns = hist_max(e->interval),
		.requests = e->res->requests_total,
		.errors = load_errors(e->res),
		.inflight = e->inflight,
		.connected = e->connected,
		.backlog = backlog(e, now),
		.warmup = now < e->measure_ns,
	};

	e->opts->progress(e->opts->arg, &p);
	hist_init(e->interval);
	e->interval_requests = 0;
	e->tick_ns = now;
}

static void tick(struct engine *e, uint64_t now)
{
	if (e->running && e->opts->progress && now - e->tick_ns >= NSEC_PER_SEC)
		report(e, now);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The instant at which something must be done even if no event comes. */
static uint64_t next_instant(const struct engine *e, uint64_t now)
{
	uint64_t at = now + STOP_POLL_NS;

	if (!list_empty(&e->active))
		at = earlier(at, e->active.next->since_ns + e->opts->timeout_ns);
	if (!e->running)
		return at;
	if (!list_empty(&e->down))
		at = earlier(at, e->down.next->since_ns + RETRY_NS);
	if (open_loop(e) && !list_empty(&e->idle) && !schedule_over(e, now))
		at = earlier(at, due_at(e, e->res->issued));
	return earlier(at, now < e->end_ns ? e->end_ns : e->drain_ns);
}

static void turn(struct engine *e)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t now = clock_ns();
	uint64_t at = next_instant(e, now);
	uint64_t ns = at > now ? at - now : 0;
	struct timespec ts = {
		.tv_sec = (time_t)(ns / NSEC_PER_SEC),
		.tv_nsec = (long)(ns % NSEC_PER_SEC),
	};
	int i, n;

	n = epoll_pwait2(e->epfd, events, EVENTS_MAX, &ts, NULL);
	e->res->syscalls++;
	for (i = 0; i < n; i++) {
		now = clock_ns();
		conn_event(e, events[i].data.ptr, events[i].events, now);
		dispatch(e, now);
	}
	now = clock_ns();
	expire(e, now);
	revive(e, now);
	open_more(e, now);
	dispatch(e, now);
	tick(e, now);
}

static bool stop_asked(const struct engine *e)
{
	return e->opts->stop && __atomic_load_n(e->opts->stop, __ATOMIC_RELAXED);
}

static int connect_all(struct engine *e)
{
	open_more(e, clock_ns());
	while (!list_empty(&e->active) || e->opened < e->opts->connections) {
		if (stop_asked(e)) {
			e->res->stopped = true;
			return 0;
		}
		turn(e);
	}
	if (!e->connected)
		return e->res->first_errno ? -e->res->first_errno : -ETIMEDOUT;
	return 0;
}

static void start_clock(struct engine *e)
{
	e->zero_ns = clock_ns();
	e->measure_ns = e->zero_ns + e->opts->warmup_ns;
	e->end_ns = e->measure_ns + e->opts->duration_ns;
	e->drain_ns = e->end_ns + e->opts->timeout_ns;
	e->tick_ns = e->zero_ns;
	e->last_ns = e->measure_ns;
	e->running = true;
	dispatch(e, e->zero_ns);
}

static void stop_early(struct engine *e, uint64_t now)
{
	e->res->stopped = true;
	e->res->abandoned = backlog(e, now);
	/* What is still due counts as abandoned: nothing before zero is due. */
	e->end_ns = open_loop(e) ? e->zero_ns : now;
	e->drain_ns = now + earlier(STOP_DRAIN_NS, e->opts->timeout_ns);
}

/* The drain deadline has passed: account for everything that is not answered. */
static void give_up(struct engine *e, uint64_t now)
{
	struct conn *c;

	while (!list_empty(&e->active)) {
		c = e->active.next;
		if (!e->res->stopped && (c->asking || c->state == CONN_LINGER)) {
			conn_fail(e, c, LOAD_ERR_TIMEOUT, ETIMEDOUT, now);
			continue;
		}
		e->res->abandoned += c->asking;
		conn_unlink(c);
	}
	while (!schedule_over(e, now))
		engine_timed_out(e, due_at(e, e->res->issued++), now);
}

static void run_schedule(struct engine *e)
{
	uint64_t end, now = clock_ns();

	while (!schedule_over(e, now) || e->inflight || e->lingering) {
		if (now >= e->drain_ns)
			break;
		if (!e->res->stopped && stop_asked(e))
			stop_early(e, now);
		turn(e);
		now = clock_ns();
	}
	give_up(e, now);
	/* A run that ended by count or by a stop is as long as it was. */
	end = e->opts->requests_max || e->res->stopped ? e->last_ns : e->measure_ns +
		e->opts->duration_ns;
	if (e->last_ns > end)
		end = e->last_ns;
	e->res->elapsed_ns = end - e->measure_ns;
}

static int raise_descriptors(uint32_t connections)
{
	struct rlimit lim;
	rlim_t want = connections + SPARE_FDS;

	if (getrlimit(RLIMIT_NOFILE, &lim))
		return -errno;
	if (lim.rlim_cur >= want)
		return 0;
	if (lim.rlim_max < want)
		return -EMFILE;
	lim.rlim_cur = want;
	return setrlimit(RLIMIT_NOFILE, &lim) ? -errno : 0;
}

static int thread_enter(struct thread_state *old, int cpu)
{
	cpu_set_t set;

	memset(old, 0, sizeof(*old));
	if (cpu >= 0) {
		CPU_ZERO(&set);
		CPU_SET((size_t)cpu, &set);
		if (sched_getaffinity(0, sizeof(old->cpus), &old->cpus) ||
		    sched_setaffinity(0, sizeof(set), &set))
			return -errno;
		old->pinned = true;
	}
	/* The default slack of 50 us would be in every open-loop latency. */
	old->slack_ns = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
	prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
	return 0;
}

static void thread_leave(const struct thread_state *old)
{
	prctl(PR_SET_TIMERSLACK, old->slack_ns, 0, 0, 0);
	if (old->pinned)
		sched_setaffinity(0, sizeof(old->cpus), &old->cpus);
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void list_init(struct conn *c)
{
	c->prev = c;
	c->next = c;
}

static void fill_pattern(struct engine *e)
{
	uint64_t x = e->opts->seed;
	size_t i;

	for (i = 0; i < e->opts->size_bytes + PATTERN_SPAN; i++) {
		/* Knuth's MMIX generator; its high bits are the good ones. */
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		e->pattern[i] = (unsigned char)(x >> 56);
	}
}

static int engine_init(struct engine *e, const struct load_opts *opts, struct load_result *res)
{
	uint32_t i;

	memset(e, 0, sizeof(*e));
	e->opts = opts;
	e->res = res;
	e->measure_ns = UINT64_MAX;
	list_init(&e->idle);
	list_init(&e->active);
	list_init(&e->down);
	e->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (e->epfd < 0)
		return -errno;
	e->conns = calloc(opts->connections, sizeof(*e->conns));
	e->pattern = malloc((size_t)opts->size_bytes + PATTERN_SPAN);
	e->scratch = malloc(SCRATCH_BYTES);
	e->interval = malloc(sizeof(*e->interval));
	if (!e->conns || !e->pattern || !e->scratch || !e->interval)
		return -ENOMEM;
	hist_init(e->interval);
	fill_pattern(e);
	for (i = 0; i < opts->connections; i++) {
		list_init(&e->conns[i]);
		e->conns[i].fd = -1;
		e->conns[i].pattern = PATTERN_SPAN;
		if (opts->churn)
			conn_move(&e->conns[i], &e->idle, 0);
	}
	return 0;
}

/* Also undoes an engine_init() that failed half-way. */
static void engine_fini(struct engine *e)
{
	uint32_t i;

	for (i = 0; e->conns && i < e->opts->connections; i++)
		conn_close(e, &e->conns[i]);
	if (e->epfd >= 0)
		close(e->epfd);
	free(e->conns);
	free(e->pattern);
	free(e->scratch);
	free(e->interval);
}

static int run(struct engine *e)
{
	int err = e->opts->churn ? 0 : connect_all(e);

	if (err || e->res->stopped)
		return err;
	start_clock(e);
	run_schedule(e);
	return 0;
}

int load_run(const struct load_opts *opts, struct load_result *res)
{
	struct thread_state old;
	uint64_t cpu_ns = thread_cpu_ns();
	struct engine e;
	int err;

	if (load_opts_check(opts))
		return -EINVAL;
	memset(res, 0, sizeof(*res));
	hist_init(&res->latency);
	hist_init(&res->service);
	err = raise_descriptors(opts->connections);
	if (err)
		return err;
	err = thread_enter(&old, opts->cpu);
	if (err)
		return err;
	err = engine_init(&e, opts, res);
	if (!err)
		err = run(&e);
	engine_fini(&e);
	thread_leave(&old);
	res->cpu_ns = thread_cpu_ns() - cpu_ns;
	return err;
}
