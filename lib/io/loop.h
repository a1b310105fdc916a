/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * loop.h - inside of a loop, for the rooms of io and the ones above
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/file.h>
#include <weir/loop.h>

#include "base/base.h"
#include "base/fork.h"
#include "base/list.h"
#include "io/offload.h"
#include "io/wheel.h"

struct io_fibers;
struct io_gather;
struct io_group;
struct weir_backend;
struct io_sys;
struct lent;
struct weir_post;

enum {
	OP_MAGIC_IDLE		= 0x1d1e0b5e,
	OP_MAGIC_BUSY		= 0x0b5e55ed,
	SLOT_NONE		= UINT32_MAX,
	SLOT_RESERVE		= 64,		/* for ops that free resources */
	LOOP_PIPES		= 16,		/* that a loop keeps */
	GROUPS_MAX		= 8,		/* pools of one loop */
	FIBER_ROUNDS		= 16,		/* a turn: they may wake each other */
	ACCEPT_RETRY_NS		= 20000000,	/* 20 ms: another may have freed one */
};

/* Where an op is between submit and its terminal event. */
enum op_state {
	OP_IDLE,
	OP_WAITING,	/* on loop->waiting: for the budget */
	OP_PARKED,	/* on a group's or loop->accepts: for a buffer or a file */
	OP_TIMER,	/* on loop->timers and the wheel */
	OP_ARMED,	/* the backend has it */
	OP_SHORT,	/* the same, and there is no more to it: see io/short.h */
	OP_OFFLOADED,	/* the offload threads have it */
	OP_CLOSING,	/* a close that waits for the file's other ops */
	OP_FINISHED,	/* on loop->finished: result known, to be dispatched */
	OP_ALARM,	/* no op: a call of ours when its deadline passes */
};

/* Why an op in flight was told to end. */
enum op_end {
	OP_END_NONE,
	OP_END_CANCEL,
	OP_END_DEADLINE,
	OP_END_NOMEM,	/* for what it brought: see lib/io/piece.c */
};

/*
 * What an op is called in the kernel. From the lowest bit: its index, a byte that
 * stays as it is, by which a backend tells it from what else it waits for, and a
 * generation.
 */
struct io_slot {
	struct weir_op *op;	/* or NULL: free */
	uint64_t data;		/* its index is the lower half */
	struct io_slot *next;	/* free list */
};

#define SLOT_DATA_FIRST		(1ULL << 32)
#define SLOT_DATA_STEP		(1ULL << 40)

/* Half of all numbers: what is no generation tells that a file is not open. */
#define FILE_GEN_LAST		INT32_MAX

enum io_file_state {
	IO_FILE_FREE,
	IO_FILE_OPEN,
	IO_FILE_CLOSING,
};

/* uring: the beginning of an entry that is about a file. */
struct io_target {
	uint8_t opcode;
	uint8_t flags;		/* 1: a slot of its table, as IOSQE_FIXED_FILE */
	uint16_t ioprio;
	int32_t fd;
};

struct io_file {
	struct weir_link ops;	/* in flight on it, by lib_file */
	struct weir_op *closer;
	struct io_target target;
	int fd;			/* plain descriptor, or -1: a fixed slot only */
	uint32_t gen;
	uint32_t open_gen;	/* gen while it is open, else what no handle has */
	uint32_t next;		/* free list */
	uint32_t pins;		/* ops of two files in flight on it, on its list or not */
	uint8_t state;		/* enum io_file_state */
	uint8_t armed;		/* readiness backends: poll events registered */
	uint16_t hints;		/* IO_HINT_*; readiness backends: enum ready_hints */
	uint16_t lent;		/* sends that the kernel has memory of: see io/lend.h */
	uint16_t copied;	/* those in a row that it copied, or LEND_CANNOT */
} __attribute__((aligned(64)));

/*
 * io_file.hints: a socket of datagrams, where one without bytes is not the end; a
 * socket of records, datagrams among them, of which a receive takes one; a socket
 * that has a descriptor; one of AF_UNIX; one that has filled a whole buffer.
 */
enum {
	IO_HINT_DATAGRAM	= 1 << 2,
	IO_HINT_RECORDS		= 1 << 3,
	IO_HINT_SOCKET		= 1 << 5,
	IO_HINT_UNIX		= 1 << 6,
	IO_HINT_BULK		= 1 << 7,
	IO_HINTS_KIND		= IO_HINT_DATAGRAM | IO_HINT_RECORDS | IO_HINT_UNIX,
};

struct weir_loop {
	void (*submit)(struct weir_loop *loop, struct weir_op *op, const char *where);
	const struct weir_backend *backend;
	const struct io_sys *sys;
	void *priv;		/* the backend's */
	uint64_t now_ns;	/* see loop_clock() */
	bool now_read;

	struct io_slot *slots;
	struct io_slot *slot_free;
	uint32_t slots_max;
	uint32_t slots_used;
	uint32_t slots_budget;	/* without the reserve */

	struct io_file *files;
	uint32_t files_max;	/* of the table */
	uint32_t files_fixed;	/* the first so many are the kernel's to hand out */
	uint32_t files_fixed_used;
	uint32_t files_used;
	uint32_t file_free;	/* list of those that are ours to hand out */
	uint32_t files_reserved;	/* places for files that ops in flight may open */
	uint32_t plain_reserved;	/* the same among those that are ours to hand out */

	struct weir_file pipes[LOOP_PIPES][2];	/* empty, for those who splice */
	uint32_t pipes_count;

	struct io_gather *gathers;
	struct weir_link gathers_free[2];	/* with a ring, without */
	uint32_t gathers_count;

	struct io_group *groups[GROUPS_MAX];
	uint32_t groups_end;	/* behind the last place that ever had one */
	uint32_t bufs_used;

	struct {
		struct lent *all;
		uint64_t bytes;
		uint32_t max;
		uint32_t used;
		uint32_t free;	/* list */
	} lend;			/* io/lend.h */

	struct wheel wheel;
	struct weir_link waiting;
	uint64_t waiting_count;
	struct weir_op *awaited;	/* by weir_loop_run_until(), until it ends */
	struct weir_link timers;	/* ops in OP_TIMER, by lib_queue */
	struct weir_link finished;
	struct weir_link accepts;	/* parked for a file */
	struct io_fibers *fibers;	/* of lib/fiber, or NULL: none */
	struct weir_token *scope;	/* innermost one of plain code */
	uint64_t accept_retry_ns;
	struct offload offload;

	struct fork_watch fork;
	pthread_t owner;
	bool forked;		/* this process is a child of the one that opened it */
	bool owned;
	bool running;		/* inside run(): its callbacks may not run or close */
	bool rang;		/* a bell that sounds when the backend commits */
	bool closing;
	bool nested;		/* another loop polls our descriptor */
	atomic_bool stop;
	atomic_bool woken;
	atomic_bool bell;		/* rung by another ring and not heard yet */
	atomic_bool enabled;		/* it may be */
	struct weir_post *_Atomic posts;	/* messages, the last first */
	atomic_uint posts_count;
	atomic_uint_least64_t posts_refused;
	uint32_t passing;		/* files on their way out or in, see io/pass.c */
	int wake_fd;

	struct weir_loop_opts opts;
	struct weir_loop_hooks hooks;
	struct weir_log log;
	struct weir_alloc alloc;
	struct weir_sim_opts sim;
	struct weir_loop_stats stats;
	uint64_t good[WEIR_OP_MAX];	/* events without an error, by opcode */
	uint64_t shorts[WEIR_OP_MAX];	/* more of them: ops that went the short way */
	uint64_t moved[WEIR_OP_MAX];	/* results without an error, summed up: bytes of some */
	char reason[160];
	bool eager;		/* the kernel completes without being asked */
};

/* loop_clock() - the time of this turn: read when it is first asked for */
uint64_t loop_look(struct weir_loop *loop);

static inline uint64_t loop_clock(const struct weir_loop *loop)
{
	return loop->now_read ? loop->now_ns : loop_look((struct weir_loop *)(uintptr_t)loop);
}

#define loop_log(loop, level, ...)	base_log(&(loop)->log, level, __VA_ARGS__)

#ifdef WEIR_DEBUG
#define assert_owner(loop) \
	assert(!(loop)->owned || pthread_equal((loop)->owner, pthread_self()))
#else
#define assert_owner(loop)	((void)(loop))
#endif

/*
 * lib/io/loop_open.c: loop_abandon() - free a loop whose owner dies in the middle of
 * a turn, on that thread. Nobody is called back and files are closed. Memory
 * that operations in flight name must live until the thread has ended: only then
 * is the kernel done with it for certain.
 */
void loop_abandon(struct weir_loop *loop);
/* Before that: a descriptor that @op has brought, of which nobody will be told. */
void loop_lose(struct weir_loop *loop, const struct weir_op *op);

/* lib/io/loop_open.c: nothing is in flight any more, and nobody holds a fiber */
void loop_free(struct weir_loop *loop);

/*
 * lib/io/loop.c: loop_run_for() - run until *@woken
 *
 * When the loop is stopped, or its backend fails, @cancel is to make that happen
 * soon; the stop is left for the next run. 0, or what broke the loop for good.
 */
int loop_run_for(struct weir_loop *loop, const bool *woken, void (*cancel)(void *arg),
		 void *arg);

/* lib/io/op.c: op_submit() - submit, at any time, whatever it takes */
void op_submit(struct weir_loop *loop, struct weir_op *op, const char *where);
/* op_route() - what decides whether ops may go the short way has changed */
void op_route(struct weir_loop *loop);
void op_start(struct weir_loop *loop, struct weir_op *op);
void op_start_waiting(struct weir_loop *loop);
/* op_park_accept() - there is no place for a file: op_retry_accepts() starts it again */
void op_park_accept(struct weir_loop *loop, struct weir_op *op);
void op_retry_accepts(struct weir_loop *loop);
/* op_settle() - end what is in flight on the file of @op, then carry @op out */
void op_settle(struct weir_loop *loop, struct weir_op *op, const char *where);
bool op_none_left(const struct weir_loop *loop);

/* op_finish() - @op has come to @res: a turn will call back */
static inline void op_finish(struct weir_loop *loop, struct weir_op *op, int res,
			     enum weir_origin origin)
{
	/* Wherever it waited, it does so no longer. */
	list_del(&op->lib_queue);
	op->lib_state = OP_FINISHED;
	op->res = res;
	op->origin = (uint8_t)origin;
	list_add_tail(&loop->finished, &op->lib_queue);
}

/* lib/io/op_event.c: op_finish_ended() - the same for one that was told to end */
void op_finish_ended(struct weir_loop *loop, struct weir_op *op);
/* op_opened() - the descriptor that an open ended with becomes a file, in the place kept for it */
int op_opened(struct weir_loop *loop, struct weir_op *op, int res);
unsigned int op_dispatch_finished(struct weir_loop *loop);
void op_end(struct weir_loop *loop, struct weir_op *op, enum op_end why);
void op_expire(struct weir_loop *loop);
void op_cancel_all(struct weir_loop *loop);

/* lib/io/op_check.c: is anything wrong with @op? 0 or -errno */
int op_check(const struct weir_loop *loop, const struct weir_op *op);

/*
 * lib/io/op_file.c: @op is in flight on its file, or no longer; a close cancels
 * what is, and op_start()s when the last has left
 */
void op_file_enter(struct weir_loop *loop, struct weir_op *op);
void op_file_leave(struct weir_loop *loop, struct weir_op *op);
void op_close_start(struct weir_loop *loop, struct weir_op *op);

/* lib/io/loop.c: the user hears that the loop parks; until when it may */
uint64_t loop_parking(struct weir_loop *loop, uint64_t deadline_ns);

/* lib/io/loop.c: work is left that the descriptor does not show by itself */
void loop_tell(struct weir_loop *loop);

/* lib/io/post.c: posts_run() - call the messages that have arrived; how many */
unsigned int posts_run(struct weir_loop *loop);

/* post_put() - a message of the library's own, which no limit refuses */
void post_put(struct weir_loop *from, struct weir_loop *to, struct weir_post *post);

static inline bool posts_wait(const struct weir_loop *loop)
{
	return atomic_load(&loop->posts);
}

/* lib/io/files.c: the file table */
int files_open(struct weir_loop *loop, uint32_t fixed, uint32_t plain);
void files_close(struct weir_loop *loop);

/* io_file_new() - a free entry of ours, opened with descriptor @fd; or -ENFILE */
int io_file_new(struct weir_loop *loop, int fd, struct weir_file *filep);

/* io_file_put() - @fd, or -1, is the descriptor of an entry that is open */
void io_file_put(struct weir_loop *loop, uint32_t index, int fd);

/* io_file_fixed() - the kernel put a new file into fixed slot @index */
struct weir_file io_file_fixed(struct weir_loop *loop, uint32_t index);

/* io_file_type() - it is a socket of this family and type, SOCK_STREAM or another */
void io_file_type(struct weir_loop *loop, struct weir_file file, int family, int type);

/* io_file_free() - the file is closed: its handle is stale, its place free */
void io_file_free(struct weir_loop *loop, uint32_t index);

/* io_file_room() - are there @n places for files the backend would open? */
bool io_file_room(const struct weir_loop *loop, uint32_t n);

/* io_file_plain_room() - is there a place for a plain descriptor, not reserved? */
bool io_file_plain_room(const struct weir_loop *loop);

/* io_file_state() - it is in @state from now on */
static inline void io_file_state(struct io_file *entry, enum io_file_state state)
{
	entry->state = (uint8_t)state;
	entry->open_gen = state == IO_FILE_OPEN ? entry->gen : ~entry->gen;
}

/* io_file_get() - entry of a handle in state open, or NULL */
static inline struct io_file *io_file_get(const struct weir_loop *loop, struct weir_file file)
{
	struct io_file *entry;

	if (file.index >= loop->files_max)
		return NULL;
	entry = &loop->files[file.index];
	return entry->open_gen == file.gen ? entry : NULL;
}

#endif /* IO_LOOP_H */
