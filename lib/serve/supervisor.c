// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * supervisor.c - a thread that looks after the workers
 *
 * It wakes by its timer alone, reads rows and counts, and never waits for a
 * worker: what it calls is either a plain load or a system call on a listener or
 * a map. It holds nothing that a worker needs, so that its death costs no more
 * than what it does.
 */
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weir/supervisor.h>

#include "base/clock.h"
#include "serve/controller.h"
#include "serve/service.h"

#define PERIOD_DEFAULT_NS	(5 * NSEC_PER_MSEC)
#define PERIOD_LEAST_NS		NSEC_PER_MSEC
#define CALM_MAX_NS		(100 * NSEC_PER_MSEC)
#define TICK_NS			NSEC_PER_SEC

/* What is remembered of a worker from look to look. */
struct watched {
	uint64_t first_ns;	/* when something was first seen to wait, */
	uint64_t accepted;	/* at this count */
	uint64_t rescued_ns;	/* when its queue was moved last */
	bool stale, slow;	/* the edges that were told */
};

struct weir_supervisor {
	struct weir_steering *st;
	struct weir_cfg *cfg;
	struct weir_log log;
	struct weir_supervisor_opts opts;
	struct watched *watched;
	struct sight *sights;
	struct controller controller;
	uint64_t tick_ns;		/* of the steering: when next */
	uint64_t failed_ns;		/* when a rescue that failed was logged last */
	int stop_fd;
	bool joined;
	pthread_t thread;
	atomic_uint_least64_t counts[sizeof(struct weir_supervisor_stats) / 8];
};

#define AT(field)		(offsetof(struct weir_supervisor_stats, field) / 8)
#define COUNT(sup, field, n)							\
	atomic_fetch_add_explicit(&(sup)->counts[AT(field)], n, memory_order_relaxed)

/* a look */

/* Since when, also where the kernel counts no more than the queue's length. */
static uint64_t waits_since(struct watched *watched, const struct weir_worker_row *row,
			    int waiting, uint64_t since_ns, uint64_t now_ns)
{
	uint64_t accepted = __atomic_load_n(&row->accepted, __ATOMIC_RELAXED);

	if (waiting <= 0 || !watched->first_ns || accepted != watched->accepted)
		watched->first_ns = waiting > 0 ? now_ns : 0;
	watched->accepted = accepted;
	return since_ns ? since_ns : watched->first_ns;
}

/* By the operator, or because no more than some of the rows are in use. */
static bool is_drained(const struct weir_supervisor *sup, uint32_t i)
{
	const struct weir_admin *admin = sup->st->ops->admin(sup->st, i);
	uint32_t workers = __atomic_load_n(&sup->cfg->workers, __ATOMIC_RELAXED);

	return __atomic_load_n(&admin->state, __ATOMIC_RELAXED) == WEIR_ADMIN_DRAIN ||
	       (workers && i >= workers);
}

static void look(struct weir_supervisor *sup, uint32_t i, uint64_t now_ns)
{
	const struct weir_worker_row *row = sup->st->ops->row(sup->st, i);
	uint64_t since_ns = 0;
	int waiting = sup->st->ops->waiting(sup->st, i, &since_ns);

	since_ns = waits_since(&sup->watched[i], row, waiting, since_ns, now_ns);
	sight_judge(&sup->sights[i], row, sup->cfg, now_ns, waiting, since_ns);
	sup->sights[i].drained = is_drained(sup, i);
	/* An empty queue does not prove idle whom we have emptied it. */
	if (sup->sights[i].serving &&
	    __atomic_load_n(&row->loop_ns, __ATOMIC_RELAXED) < sup->watched[i].rescued_ns)
		sup->sights[i].hung = true;
}

/* edges */

static void edge(struct weir_supervisor *sup, uint32_t worker, enum weir_event_kind kind, bool on,
		 uint64_t value, uint64_t limit, uint64_t now_ns)
{
	struct weir_event event = {
		.ns = now_ns,
		.value = value,
		.limit = limit,
		.kind = kind,
		.edge = on ? WEIR_EDGE_ON : WEIR_EDGE_OFF,
		.worker = worker,
	};

	/* Without a ring there is nobody to tell. */
	(void)sup->st->ops->raise(sup->st, &event);
}

static void tell_edges(struct weir_supervisor *sup, uint32_t i, uint64_t now_ns)
{
	const struct sight *sight = &sup->sights[i];
	struct watched *watched = &sup->watched[i];

	if (sight->hung != watched->stale) {
		watched->stale = sight->hung;
		COUNT(sup, stale, sight->hung);
		edge(sup, i, WEIR_EV_WORKER_STALE, sight->hung, sight->age_ns, sup->cfg->stale_ns,
		     now_ns);
	}
	if (sight->slow != watched->slow) {
		watched->slow = sight->slow;
		COUNT(sup, slow, sight->slow);
		edge(sup, i, WEIR_EV_WORKER_SLOW, sight->slow, sight->least_us,
		     sight->slow ? sup->cfg->slow_on_us : sup->cfg->slow_off_us, now_ns);
	}
}

/* rescue */

static uint64_t rescue_age(const struct weir_supervisor *sup)
{
	uint64_t stale_ns = __atomic_load_n(&sup->cfg->stale_ns, __ATOMIC_RELAXED);
	uint64_t age_ns = __atomic_load_n(&sup->cfg->rescue_ns, __ATOMIC_RELAXED);

	return age_ns > stale_ns ? age_ns : stale_ns;
}

/* Is there one to take the queue of the others? */
static bool one_is_ok(const struct weir_supervisor *sup)
{
	uint32_t i;

	for (i = 0; i < sup->opts.workers; i++) {
		if (sup->sights[i].serving && !sup->sights[i].hung && !sup->sights[i].slow &&
		    !sup->sights[i].drained)
			return true;
	}
	return false;
}

static void rescue(struct weir_supervisor *sup, uint32_t worker, uint64_t now_ns)
{
	int n = sup->st->ops->rescue(sup->st, worker);

	if (n > 0) {
		sup->watched[worker].rescued_ns = now_ns;
		COUNT(sup, rescues, 1);
		COUNT(sup, rescued, (uint64_t)n);
	}
	if (n >= 0)
		return;
	COUNT(sup, rescue_failed, 1);
	if (sup->failed_ns && now_ns - sup->failed_ns < NSEC_PER_SEC)
		return;
	sup->failed_ns = now_ns;
	base_log(&sup->log, WEIR_LOG_WARN, "supervisor: worker %u hangs, its queue stays: %s",
		 worker, weir_strerror(n));
}

/*
 * One that runs and does not come back may have got a queue that is counted
 * nowhere: the steering looks. One that is parked has one.
 */
static void rescue_all(struct weir_supervisor *sup, uint64_t now_ns)
{
	uint64_t age_ns = rescue_age(sup);
	uint32_t i;

	if (sup->opts.flags & WEIR_SUPERVISOR_NO_RESCUE || !one_is_ok(sup))
		return;
	for (i = 0; i < sup->opts.workers; i++) {
		if (sup->sights[i].hung && sup->sights[i].age_ns > age_ns)
			rescue(sup, i, now_ns);
	}
}

/* the thread */

static void shed(struct weir_supervisor *sup, uint64_t now_ns)
{
	uint32_t old = sup->controller.permille, share;

	if (controller_tick(&sup->controller, sup->cfg, sup->sights, sup->opts.workers, now_ns))
		COUNT(sup, shed_windows, 1);
	share = sup->controller.permille;
	if (!share != !old)
		base_log(&sup->log, share ? WEIR_LOG_WARN : WEIR_LOG_INFO,
			 share ? "supervisor: all workers are slow: new clients are refused, %u "
				 "permille at first" :
				 "supervisor: workers keep up, %u permille of clients are refused",
			 share);
}

static void look_at_all(struct weir_supervisor *sup, uint64_t now_ns)
{
	uint32_t i;

	for (i = 0; i < sup->opts.workers; i++)
		look(sup, i, now_ns);
	rescue_all(sup, now_ns);
	shed(sup, now_ns);
	for (i = 0; i < sup->opts.workers; i++)
		tell_edges(sup, i, now_ns);
	if (sup->opts.flags & WEIR_SUPERVISOR_TICK && now_ns >= sup->tick_ns) {
		sup->tick_ns = now_ns + TICK_NS;
		sup->st->ops->tick(sup->st, now_ns);
	}
	COUNT(sup, looks, 1);
}

/*
 * While all are idle nobody can become due for a rescue before rescue_ns has
 * passed. Where a wait is dated by our own looks these must go on.
 */
static uint64_t next_look(const struct weir_supervisor *sup)
{
	uint64_t calm_ns = min_u64(rescue_age(sup), CALM_MAX_NS);
	uint32_t i;

	if (!(sup->cfg->flags & WEIR_CFG_PENDING) || sup->controller.permille)
		return sup->opts.period_ns;
	for (i = 0; i < sup->opts.workers; i++) {
		if (sup->sights[i].serving && !sup->sights[i].idle)
			return sup->opts.period_ns;
	}
	return calm_ns > sup->opts.period_ns ? calm_ns : sup->opts.period_ns;
}

/* It needs none: rows are mapped, and descriptors say what may be done with them. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	(void)syscall(SYS_capset, &head, none);
}

static void *supervise(void *arg)
{
	struct weir_supervisor *sup = arg;
	struct pollfd stop = { .fd = sup->stop_fd, .events = POLLIN };
	struct timespec ts;
	uint64_t ns;

	pthread_setname_np(pthread_self(), "weir-super");
	drop_capabilities();
	do {
		look_at_all(sup, clock_ns());
		ns = next_look(sup);
		ts.tv_sec = (time_t)(ns / NSEC_PER_SEC);
		ts.tv_nsec = (long)(ns % NSEC_PER_SEC);
	} while (ppoll(&stop, 1, &ts, NULL) <= 0);
	return NULL;
}

/* life */

static int read_opts(struct weir_supervisor_opts *opts, const struct weir_steering *st,
		     unsigned int rows, const struct weir_supervisor_opts *given)
{
	int err = opts_copy(opts, sizeof(*opts), given);

	if (err)
		return err;
	if (!opts->period_ns)
		opts->period_ns = PERIOD_DEFAULT_NS;
	if (!opts->workers)
		opts->workers = rows;
	if (opts->flags & ~(uint32_t)WEIR_SUPERVISOR_ALL || opts->period_ns < PERIOD_LEAST_NS ||
	    opts->workers > rows)
		return -EINVAL;
	return 0;
}

static void supervisor_free(struct weir_supervisor *sup)
{
	mem_put(&base_alloc_libc, sup->sights, sup->opts.workers, sizeof(*sup->sights));
	mem_put(&base_alloc_libc, sup->watched, sup->opts.workers, sizeof(*sup->watched));
	if (sup->stop_fd >= 0)
		close(sup->stop_fd);
	mem_put(&base_alloc_libc, sup, 1, sizeof(*sup));
}

static int supervisor_make(struct weir_supervisor *sup)
{
	uint32_t n = sup->opts.workers;

	sup->watched = mem_get(&base_alloc_libc, n, sizeof(*sup->watched), 8);
	sup->sights = mem_get(&base_alloc_libc, n, sizeof(*sup->sights), 8);
	if (!sup->watched || !sup->sights)
		return -ENOMEM;
	sup->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return sup->stop_fd < 0 ? -errno : 0;
}

int weir_supervisor_open(struct weir_supervisor **supp, struct weir_steering *st,
			 const struct weir_supervisor_opts *given)
{
	struct weir_supervisor_opts opts;
	struct weir_supervisor *sup;
	int err;

	err = read_opts(&opts, st, st->ops->rows(st), given);
	if (err)
		return err;
	sup = mem_get(&base_alloc_libc, 1, sizeof(*sup), _Alignof(struct weir_supervisor));
	if (!sup)
		return -ENOMEM;
	sup->st = st;
	sup->cfg = st->ops->cfg(st);
	sup->opts = opts;
	sup->stop_fd = -1;
	if (opts.log)
		sup->log = *opts.log;
	controller_begin(&sup->controller, sup->cfg);
	err = supervisor_make(sup);
	if (!err)
		err = thread_start(&sup->thread, supervise, sup);
	if (err) {
		supervisor_free(sup);
		return err;
	}
	*supp = sup;
	return 0;
}

void weir_supervisor_stats(const struct weir_supervisor *sup,
			   struct weir_supervisor_stats *stats, size_t sz)
{
	struct weir_supervisor_stats full;
	uint64_t *to = (uint64_t *)(void *)&full;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sup->counts); i++)
		to[i] = atomic_load_explicit(&sup->counts[i], memory_order_relaxed);
	stats_copy(stats, sz, &full, sizeof(full));
}

void supervisor_stop(struct weir_supervisor *sup)
{
	uint64_t one = 1;

	if (!sup || sup->joined)
		return;
	/* It cannot be full. */
	if (write(sup->stop_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(sup->thread, NULL);
	sup->joined = true;
	controller_end(&sup->controller, sup->cfg);
}

void weir_supervisor_close(struct weir_supervisor *sup)
{
	if (!sup)
		return;
	supervisor_stop(sup);
	supervisor_free(sup);
}
