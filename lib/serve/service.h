/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * service.h - inside of a service: N workers, each with what is its own
 *
 * A worker's fields are its thread's alone, but for those under "shared" and
 * the row, which the kernel and other threads read.
 */
#ifndef SERVE_SERVICE_H
#define SERVE_SERVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/file.h>
#include <weir/serve.h>
#include <weir/takeover.h>
#include <weir/supervisor.h>

#include "base/base.h"
#include "base/list.h"
#include "net/conn.h"
#include "serve/cookies.h"

enum {
	SIGNALS_BATCH	= 32,	/* taken from the ring at once */
	SIGNALS_ROUNDS	= 8,	/* batches a wake-up may take: work per turn is bounded */
	SIGNALS_HELD	= 64,	/* waiting for their connection, per worker */
};

#define DRAIN_DEFAULT_NS	(60 * NSEC_PER_SEC)	/* of what hands itself over */

/* A connection of a service. */
struct client {
	struct weir_conn conn;		/* first: the user's pointer is ours */
	struct worker *worker;
	struct client *next;		/* free list */
	uint64_t cookie;		/* under which it is in the table of signals, or 0 */
	struct weir_link edge;		/* on worker->edges: an edge is to be told */
	struct weir_link unread;	/* on worker->unread.list */
	uint64_t accepted_ns;
	uint32_t edges;			/* 1 << kind: what is on now */
	uint32_t told;			/* 1 << kind: what the user was told */
	uint32_t unread_bytes;		/* at the last look */
	bool used;
	bool refused;
	bool left;			/* another worker has it: its end here is not told */
	bool asked;			/* by the user: he is told if it stays */
	struct worker *to;		/* where it is about to go; a place is kept there */
	bool answered;			/* the default answer has paused receiving */
};

/* Accepted clients without a connection: first in first out. */
struct held {
	struct weir_file *files;
	uint32_t max;
	uint32_t head;
	uint32_t count;
	struct weir_op close_op;	/* when stopping */
};

/* A signal whose connection has not been accepted yet. */
struct held_signal {
	struct weir_event event;
	uint64_t since_ns;
};

/* A live connection that another worker has let go of. */
struct arrival {
	int fd;
	bool paused;
	void *ctx;
	uint64_t cookie;
};

enum {
	ARRIVALS_MAX	= 64,	/* on their way to one worker at a time */
};

/* What comes to a worker; others see only this of it. */
struct arrivals {
	pthread_mutex_t lock;		/* of all but waiting */
	uint32_t reserved;		/* will come, or be taken back */
	uint32_t count;			/* are here */
	bool closed;			/* none is promised any more */
	bool lost;			/* nobody is there to take them */
	atomic_uint waiting;		/* count, to be looked at without the lock */
	struct arrival all[ARRIVALS_MAX];
};

struct handover;

/* What carries a worker's datagrams. */
struct port {
	const struct weir_dgram_carrier_ops *ops;
	void *port;
};

/* A worker's end of a service of datagrams. */
struct weir_dgram {
	struct worker *worker;
	struct port ports[2];		/* the socket last: it takes what others do not */
	uint32_t count;			/* ports that are open */
	uint32_t running;		/* those that have not stopped */
	uint32_t missed;		/* seemed to wait when it parked last */
	uint64_t missed_at;		/* and had taken so many */
	struct weir_op nudge;		/* one more turn before it blocks */
	bool refused;			/* one had no room: ready() is owed */
};

struct signals {
	struct weir_file file;		/* the ring's descriptor, ours */
	struct weir_op poll_op;
	struct weir_op tick_op;
	struct cookies cookies;		/* of connections; not open: not wanted */
	uint32_t held_count;
	struct held_signal held[SIGNALS_HELD];
	bool on;
};

/* Connections that are not being read: see unread.c. */
struct unread {
	struct weir_link list;		/* clients, the one to be asked next first */
	struct client *asked;		/* by op, or NULL */
	struct weir_op op;
	struct weir_op look_op;
	struct msghdr msg;
	struct iovec iov;
	uint32_t left;			/* to be asked in this look */
};

/* What the row and the statistics are made of. */
struct meter {
	const struct weir_cfg *cfg;
	struct weir_hist *hist;
	uint64_t base;			/* of row.accepted: by those before us, or lost */
	uint64_t turn_ns;		/* when the wait returned */
	uint64_t turn_events;
	uint64_t window_ns;		/* when the window began */
	uint64_t window_min_ns;		/* least delay of a turn */
	uint64_t window_sum_ns;		/* of all completions of the window */
	uint64_t window_events;
	uint32_t window_turns;
	bool long_turn;			/* the last one was, longer than slow_on_us */
	uint32_t calm;			/* windows below slow_off_us in a row */
	uint64_t published_ns;
	uint64_t cpu_read_ns;
	struct weir_service_stats stats;	/* the worker's own copy */
	atomic_uint seq;			/* odd: being written */
	atomic_uint_least64_t words[sizeof(struct weir_service_stats) / 8];	/* shared */
};

WEIR_STATIC_ASSERT(sizeof(struct weir_service_stats) % 8 == 0, "copied by words");

struct worker {
	struct weir_service *service;
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_listener *listener;	/* NULL: another accepts, or it is closed */
	int later_fd;			/* its, bound: it listens when a predecessor yields */
	struct weir_listener *spare;	/* stands for the group: of the first that lives */
	struct weir_dgram dgram;	/* instead, in a service of datagrams */
	struct weir_worker_row *row;
	struct client *clients;
	struct client *client_free;
	uint32_t index;
	uint32_t conns;			/* clients in use, refused ones among them */
	uint32_t aborted;		/* at the deadline of a stop */
	struct held held;
	struct handover *handovers;	/* of the acceptor: clients on their way */
	struct handover *handover_free;
	uint32_t handing;
	struct weir_op hold_op;		/* in flight while another accepts */
	struct signals signals;
	struct weir_link edges;		/* clients with something to be told */
	struct weir_link sending;	/* connections with a send in flight, oldest first */
	struct weir_link stalled;	/* those of them that were told */
	struct weir_op stall_op;
	struct unread unread;
	uint64_t shown_ns;		/* when the second of these began: */
	uint32_t shown;			/* own edges shown to others */
	uint64_t given_ns;		/* when idle connections were given away last */
	uint32_t given_at;		/* client that is looked at next */
	uint64_t failed_ns;		/* when a failure to accept was logged last */
	struct weir_op stop_op;		/* deadline of the stop */
	uint64_t stop_ns;		/* DEADLINE_NONE: not stopping */
	struct meter meter;
	pthread_t thread;
	int err;			/* what it died of, or why it did not start */
	bool created;			/* thread is valid */
	bool started;			/* the user's start() returned 0 */
	bool accepting;			/* counted in service->accepting */
	bool revived;			/* its listener was given, and did not listen */
	bool inbox_over;		/* nothing more comes to it, and all was taken */
	unsigned int reports;		/* to the opener */
	unsigned int phase;		/* of service->phase, as far as it has come */
	bool ended;			/* nothing left to do */
	bool leaked;			/* the kernel may still own our memory */

	/* shared */
	atomic_uint wakers;	/* threads inside worker_wake() */
	atomic_bool gone;		/* there is no loop, or it is being freed */
	atomic_bool dead;
	atomic_uint places;		/* clients in use, and kept for who comes */
	struct arrivals arrivals;
	atomic_uint load;		/* clients given to it that have not closed */
	struct weir_queue *inbox;	/* descriptors of those, plus 1 */
};

/* What a service that hands itself over does with new clients. */
enum phase {
	PHASE_ACCEPTING	= 0,
	PHASE_HALTED,		/* they wait: a successor is about to serve */
	PHASE_LEFT,		/* they are the successor's */
};

struct weir_service {
	struct weir_service_opts opts;
	uint32_t given;		/* of opts.listeners */
	struct weir_service_ops ops;
	struct weir_conn_ops conn_ops;
	struct weir_conn_opts conn_opts;
	struct weir_loop_opts loop_opts;
	struct weir_log log;
	struct weir_alloc alloc;
	struct weir_addr addr;
	struct weir_steering *steering;
	struct weir_supervisor *supervisor;	/* NULL: not here */
	const char *rescue;	/* why it is off, or NULL */
	struct worker *workers;
	atomic_bool handed;	/* the acceptor gives no more clients away */
	const char *backend;
	char reason[160];
	bool joined;
	int result;
	atomic_uint_least64_t stop_ns;	/* on the loops' clock; DEADLINE_NONE: serve on */

	pthread_mutex_t lock;		/* of these: */
	pthread_cond_t reported;
	uint32_t reports;
	uint32_t accepting;	/* workers that may take a client from their listener */
	int start_err;
	int go;			/* 1: workers that are ready may serve; -errno: end */

	struct weir_control *control;	/* NULL: nobody takes it over */
	struct child *child;		/* NULL: there is no parent */
	atomic_uint phase;	/* enum phase */
	atomic_uint heirs;	/* workers of the successor; 0: not known */
};

#define service_log(service, level, ...)	base_log(&(service)->log, level, __VA_ARGS__)

/* steer_reuseport.c */
extern const struct weir_steering_ops steer_reuseport_ops;

/* share.c */
extern const struct weir_steering_ops share_ops;

/* supervisor.c: end its thread; closing frees it */
void supervisor_stop(struct weir_supervisor *sup);

/* limits.c: fill in what the loop's options leave open */
int limits_fit(struct weir_service *service);

/* takeover.c */
int takeover_fits(const struct weir_takeover *takeover, const struct weir_steering *st,
		  unsigned int sockets);
bool takeover_lives(const struct weir_takeover *takeover);	/* its owner, until he is told */
void takeover_serves(struct weir_takeover *takeover, uint32_t sockets, uint32_t workers);
/* The predecessor goes on, unless it was told that we serve. */
void takeover_end(struct weir_takeover *takeover);

/* owner.c: hands the service over */
int owner_claim(struct weir_service *service);	/* its name; before it listens */
int owner_prepare(struct weir_service *service);	/* before there are threads */
void owner_announce(struct weir_service *service);
extern const struct weir_control_ops owner_ops;	/* of a service, by its control socket */

/* child.c: the same, of a process that is one worker of a parent's */
int child_prepare(struct weir_service *service);
int child_begins(const struct weir_service *service);	/* -EPIPE: it is not to serve */
int child_start(struct weir_service *service);
void child_stop(struct weir_service *service);	/* any thread, signal handler */
void child_close(struct weir_service *service);

/* service_opts.c */
int service_read_opts(struct weir_service *service, const struct weir_service_opts *given);
bool service_simulated(const struct weir_service *service);

/* worker.c */
int worker_open(struct worker *w, uint32_t index);
int worker_start(struct worker *w);	/* make its thread */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);
void worker_wake(struct worker *w);	/* any thread, signal handler */
void worker_close(struct worker *w);	/* its thread has ended, or never was */

/* worker_listen.c */
int worker_open_listener(struct worker *w);
int worker_listen(struct worker *w);	/* it stands by, and had to wait with that */
int worker_spare(struct worker *w);	/* accept for the group, too, if there is need to */
bool worker_first(const struct worker *w);	/* of those that live */

/* worker_stop.c */
void worker_tick(struct worker *w);	/* after the events of a turn */
void worker_accepting(struct worker *w, bool on);	/* it may take what a client sends */
void worker_idle(struct worker *w);	/* something ended that a stop may wait for */
void worker_leave(struct worker *w);	/* the group, before its listener is closed */

static inline bool worker_stopping(const struct worker *w)
{
	return w->ended || w->stop_ns != DEADLINE_NONE;
}

/* client.c: connections in their slab, and clients that wait for one */
extern const struct conn_hooks client_hooks;
int clients_open(struct worker *w);
void clients_close(struct worker *w);
void client_accepted(void *ctx, struct weir_file file);
void client_take(struct worker *w, struct weir_file file);	/* it is this worker's */
void client_arrived(struct worker *w, struct weir_file file, const struct arrival *arrival);
void client_no_data(struct weir_conn *conn, struct weir_lease *lease);
void client_closed(struct weir_conn *conn, int err);
void clients_stop(struct worker *w);
void clients_abort(struct worker *w);

/* acceptor.c: one worker accepts for all */
bool acceptor_mode(const struct weir_service *service);
int acceptor_open(struct worker *w);
void acceptor_close(struct worker *w);
bool acceptor_hand(struct worker *w, struct weir_file file);	/* false: keep it */
void acceptor_wait(struct worker *w);	/* begin to wait for clients */
void acceptor_tick(struct worker *w);	/* take what was given */
bool acceptor_done(const struct worker *w);	/* nothing more will be given */
void acceptor_ended(struct weir_service *service);
void acceptor_lost(struct worker *w);	/* close what was given to a dead one */

/* handover.c: live connections go from one worker to another */
void handover_open(struct worker *w);
void handover_close(struct worker *w);
void handover_stop(struct worker *w);	/* nobody new is to come */
void handover_lost(struct worker *w);	/* it dies, with those that were coming */
void handover_tick(struct worker *w);
bool handover_done(struct worker *w);	/* nobody will come any more */
void client_moving(struct weir_conn *conn, int fd);

/* A place among the clients, from any thread. */
bool place_take(struct worker *w);
void place_put(struct worker *w);

static inline struct client *client_of(struct weir_conn *conn)
{
	return container_of(conn, struct client, conn);
}

/* dgram.c: what a worker of datagrams has instead of a listener and clients */
int dgram_open(struct worker *w);
void dgram_close(struct worker *w);
void dgram_start(struct worker *w);
void dgram_stop(struct worker *w, bool now);
void dgram_flush(struct worker *w);	/* the turn ends */
void dgram_parking(struct worker *w);
void dgram_deliver(struct weir_dgram *dgram, const struct weir_datagram *datagram);
int dgram_join(struct worker *w);
int dgram_listen(struct worker *w);	/* a predecessor has yielded */
void dgram_left(struct worker *w, bool surplus);	/* a successor serves */

static inline bool dgram_mode(const struct weir_service *service)
{
	return service->opts.flags & WEIR_SERVICE_DGRAM;
}

/* dgram_udp.c: the socket */
extern const struct weir_dgram_carrier_ops dgram_udp_ops;
int dgram_udp_fd(const struct worker *w);	/* or -EOPNOTSUPP */
bool dgram_is_later(const struct worker *w);	/* it is not bound yet */
int dgram_bind(struct worker *w);	/* it is this process's from now on */
void dgram_halt(struct worker *w);	/* receive nothing; worker_accepting() tells when */
void dgram_go_on(struct worker *w);
void dgram_deafen(struct worker *w);	/* it dies: nothing more is to come to it */

/* signal.c: what the kernel half tells about connections */
int signals_open(struct worker *w);
void signals_close(struct worker *w);
void signals_start(struct worker *w);
void signals_stop(struct worker *w);
bool signals_wanted(const struct worker *w);
void signals_add(struct worker *w, struct client *client, uint64_t cookie);
void signals_del(struct worker *w, struct client *client);
void signals_leave(struct worker *w, struct client *client);	/* another worker has it */
void signals_arrive(struct worker *w, struct client *client, uint64_t cookie);

/* pressure.c: what the worker's own loop tells about them, and the answer */
void pressure_open(struct worker *w);
void pressure_edge(struct weir_conn *conn, enum weir_water_edge edge);
void pressure_unstalled(struct weir_conn *conn);
void pressure_tell(struct client *client, const struct weir_event *event);
void pressure_tick(struct worker *w);
void pressure_stop(struct worker *w);
void pressure_note(struct client *client, enum weir_event_kind kind, bool on);

/* unread.c: what waits in the receive queue of connections that are not read */
void unread_open(struct worker *w);
void unread_halted(struct weir_conn *conn);
void unread_watch(struct client *client);
void unread_forget(struct client *client);	/* it has closed */
void unread_tick(struct worker *w);
void unread_stop(struct worker *w);

/* meter.c: the row and the statistics */
void meter_open(struct worker *w, struct weir_loop_hooks *hooks);
void meter_begin(struct worker *w);	/* on its own thread */
void meter_state(struct worker *w, enum weir_worker_state state);
void meter_accepted(struct worker *w);
void meter_tick(struct worker *w);
void meter_publish(struct worker *w);
void meter_read(const struct worker *w, struct weir_service_stats *stats);

#endif /* SERVE_SERVICE_H */
