// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim.c - the backend that is a kernel in memory
 *
 * Time is virtual: it stands still while anything can run, and then jumps to
 * the next event or deadline. A delayed op is not tried before its time, so
 * completions come in an order that only the seed decides. From there on it is
 * an op over readiness like any other: see ready.c.
 */
#include <errno.h>
#include <unistd.h>

#include "base/list.h"
#include "io/lend.h"
#include "io/sim.h"

enum {
	STUCK_LINES	= 8,	/* ops that a stuck loop names */
};

static bool sim_cut_short(struct weir_loop *loop)
{
	return sim_does(sim_of(loop), SIM_REARMED, loop->sim.rearm_permille);
}

/* open and close */

static int check_faults(const struct weir_sim_opts *opts)
{
	uint32_t i;

	for (i = 0; i < opts->faults_count; i++) {
		const struct weir_sim_fault *row = &opts->faults[i];

		if (row->opcode >= WEIR_OP_MAX || row->opcode == WEIR_OP_CLOSE ||
		    row->opcode == WEIR_OP_TIMEOUT || row->error <= 0 ||
		    row->error == EAGAIN || row->permille > 1000)
			return -EINVAL;
	}
	return 0;
}

static int check_opts(const struct weir_sim_opts *opts)
{
	const uint32_t chances[] = {
		opts->short_permille, opts->error_permille, opts->reorder_permille,
		opts->late_permille, opts->rearm_permille, opts->dgram_loss_permille,
		opts->dgram_copy_permille, opts->dgram_reorder_permille,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(chances); i++) {
		if (chances[i] > 1000)
			return -EINVAL;
	}
	if (opts->delay_max_ns > SIM_DELAY_MAX_S * NSEC_PER_SEC ||
	    opts->socket_bytes > SIM_SOCKET_BYTES_MAX || opts->pad || opts->pad2 ||
	    (opts->faults_count && !opts->faults))
		return -EINVAL;
	return check_faults(opts);
}

static void sim_free(struct sim *sim)
{
	struct weir_loop *loop = sim->loop;

	sim_files_close(sim);
	sim_events_close(sim);
	sim_rights_close(sim);
	sim_dgrams_close(sim);
	sim_objs_close(sim);
	mem_put(&loop->alloc, sim, 1, sizeof(*sim));
	loop->priv = NULL;
}

/* The disk, or who does the work, is a thread to an op: it is tried when that is through. */
static int sim_offload(struct weir_loop *loop, struct weir_op *op)
{
	struct sim *sim = sim_of(loop);

	if (!sim_may_block(loop, op))
		return -EAGAIN;
	if (op->flags & WEIR_OPF_MULTISHOT)
		return -EBADFD;		/* as io_uring: a file has no edges */
	/* On a list, or an edge of its file would have it tried at once. */
	list_add_tail(&sim->delayed, &op->lib_queue);
	sim_event_add(sim, op->lib_slot, SIM_DUE_DISK,
		      sim->now_ns + SIM_DISK_NS + sim_delay(sim));
	return 0;
}

static int sim_backend_open(struct weir_loop *loop)
{
	struct sim *sim;
	int err;

	err = check_opts(&loop->sim);
	if (err)
		return err;
	sim = mem_get(&loop->alloc, 1, sizeof(*sim), _Alignof(struct sim));
	if (!sim)
		return -ENOMEM;
	loop->priv = sim;
	lend_limit(loop, LEND_MAX);
	sim->loop = loop;
	sim->now_ns = SIM_EPOCH_NS;
	sim->faults = loop->opts.seed;
	sim->entropy = ~loop->opts.seed;
	sim->socket_bytes = loop->sim.socket_bytes ? loop->sim.socket_bytes : SIM_SOCKET_BYTES;
	list_init(&sim->delayed);
	ready_init(&sim->ready);
	sim->ready.arm = sim_obj_arm;
	sim->ready.offload = sim_offload;
	sim->ready.short_drains = true;
	sim->ready.cut_short = sim_cut_short;
	err = sim_objs_open(sim);
	if (!err)
		err = sim_dgrams_open(sim);
	if (!err)
		err = sim_rights_open(sim);
	if (!err)
		err = sim_events_open(sim);
	if (!err)
		err = sim_files_open(sim);
	if (err) {
		sim_free(sim);
		return err;
	}
	sim->port = (uint32_t)sim_choose(sim, SIM_PORT_LAST - SIM_PORT_FIRST + 1);
	return 0;
}

static int sim_enable(struct weir_loop *loop)
{
	return 0;
}

static void sim_backend_close(struct weir_loop *loop)
{
	struct sim *sim = sim_of(loop);

	if (sim->objs_used || sim->embryos)
		loop_log(loop, WEIR_LOG_WARN, "backend sim: %u sockets or files never closed",
			 sim->objs_used + sim->embryos);
	sim_free(sim);
}

/* ops */

/* Those whose faults come from within, where there is a connection to break. */
static bool faults_inside(const struct weir_op *op)
{
	static const bool inside[WEIR_OP_MAX] = {
		[WEIR_OP_ACCEPT]	= true,
		[WEIR_OP_CONNECT]	= true,
		[WEIR_OP_RECV]		= true,
		[WEIR_OP_SEND]		= true,
		[WEIR_OP_RECVMSG]	= true,
		[WEIR_OP_SENDMSG]	= true,
		[WEIR_OP_READ]		= true,
		[WEIR_OP_WRITE]		= true,
		[WEIR_OP_FSYNC]		= true,
		[WEIR_OP_CLOSE]		= true,
	};

	return inside[op->opcode];
}

static int sim_queue(struct weir_loop *loop, struct weir_op *op)
{
	struct sim *sim = sim_of(loop);
	uint64_t delay = sim_delay(sim);

	op->res = faults_inside(op) ? 0 : sim_fault(sim, op->opcode);
	if (op->res)
		return IO_QUEUED_DONE;
	if (!delay && !sim_does(sim, SIM_REORDERED, loop->sim.reorder_permille))
		return ready_queue(loop, op);
	/* On a list, or an edge of its file would have it tried at once. */
	list_add_tail(&sim->delayed, &op->lib_queue);
	sim_event_add(sim, op->lib_slot, SIM_DUE_TRY, sim->now_ns + delay);
	return IO_QUEUED_PENDING;
}

static int sim_commit(struct weir_loop *loop)
{
	return 0;
}

/* What is under way goes on; what waits for an edge gets a last chance. */
static void cancel_late(struct sim *sim, struct weir_op *op)
{
	if (sim_event_queued(sim, op->lib_slot))
		return;
	list_del(&op->lib_queue);
	list_add_tail(&sim->delayed, &op->lib_queue);
	sim_event_add(sim, op->lib_slot, SIM_DUE_LATE, sim->now_ns + sim_delay(sim));
}

static void sim_cancel(struct weir_loop *loop, struct weir_op *op)
{
	struct sim *sim = sim_of(loop);

	if (sim_does(sim, SIM_LATE, loop->sim.late_permille)) {
		cancel_late(sim, op);
		return;
	}
	if (!sim_event_queued(sim, op->lib_slot)) {
		ready_cancel(loop, op);
		return;
	}
	sim_event_del(sim, op->lib_slot);
	sim_event_add(sim, op->lib_slot, SIM_DUE_CANCELLED, sim->now_ns);
}

static unsigned int op_due(struct weir_loop *loop, struct weir_op *op, enum sim_due due)
{
	list_del(&op->lib_queue);
	/* A multishot op that came late has had its chances before. */
	if (due == SIM_DUE_CANCELLED ||
	    (op->lib_end != OP_END_NONE && op->flags & WEIR_OPF_MULTISHOT)) {
		io_event(loop, op, -ECANCELED, false);
		return 1;
	}
	if (due == SIM_DUE_DISK) {
		io_event_offloaded(loop, op, op_def(op)->try(loop, op, op_fd(loop, op)));
		return 1;
	}
	if (op->lib_end != OP_END_NONE) {
		ready_late(loop, op);
		return 1;
	}
	if (ready_queue(loop, op) != IO_QUEUED_DONE)
		return 0;
	io_event(loop, op, op->res, false);
	return 1;
}

/* turn */

/* What was due before: what this causes comes later, even if at the same time. */
static unsigned int run_due(struct weir_loop *loop)
{
	struct sim *sim = sim_of(loop);
	uint64_t seq = sim->seq;
	unsigned int events = 0;
	uint32_t node;

	while ((node = sim_event_pop(sim, seq)) != SIM_NONE) {
		if (sim->nodes[node].due == SIM_DUE_LENT)
			sim_lent_due(sim, node);
		else if (node >= loop->slots_max)
			sim_obj_due(sim, &sim->objs[node - loop->slots_max]);
		else
			events += op_due(loop, loop->slots[node].op, sim->nodes[node].due);
	}
	return events;
}

/* Run what can run now: edges make ops runnable, and ops make edges. */
static unsigned int run_now(struct weir_loop *loop)
{
	struct sim *sim = sim_of(loop);
	unsigned int events;

	do {
		events = run_due(loop);
		events += ready_run(loop);
	} while (!events && !ready_pending(loop) && list_empty(&loop->finished) &&
		 sim_event_next_ns(sim) <= sim->now_ns);
	return events;
}

static bool was_woken(struct weir_loop *loop)
{
	uint64_t count;
	ssize_t ret;

	if (!atomic_load(&loop->woken))
		return false;
	ret = read(loop->wake_fd, &count, sizeof(count));
	(void)ret;	/* interrupted: it stays readable, which nobody here minds */
	/* After the read: a wake in between would be eaten, and none come again. */
	atomic_store(&loop->woken, false);
	return true;
}

/* Nothing will ever happen again in a world that has only this loop. */
static int stuck(struct weir_loop *loop)
{
	unsigned int lines = 0;
	uint32_t i;

	for (i = 0; i < loop->slots_max && lines < STUCK_LINES; i++) {
		const struct weir_op *op = loop->slots[i].op;

		if (!op)
			continue;
		lines++;
		loop_log(loop, WEIR_LOG_ERROR, "backend sim: nothing can end the %s of %s",
			 weir_op_name(op->opcode), op->lib_where);
	}
	return -EDEADLK;
}

static int sim_reap(struct weir_loop *loop, uint64_t deadline_ns)
{
	struct sim *sim = sim_of(loop);
	unsigned int events;
	uint64_t next_ns;

	events = run_now(loop);
	if (was_woken(loop) || events || ready_pending(loop) || !list_empty(&loop->finished) ||
	    deadline_ns <= sim->now_ns)
		return (int)events;
	deadline_ns = io_parking(loop, deadline_ns);
	if (was_woken(loop) || ready_pending(loop))
		deadline_ns = 0;
	next_ns = min_u64(deadline_ns, sim_event_next_ns(sim));
	if (next_ns == DEADLINE_NONE)
		return stuck(loop);
	if (next_ns > sim->now_ns)
		sim->now_ns = next_ns;
	io_running(loop, sim_event_count(sim));
	return (int)run_now(loop);
}

/* Sockets that were made here may enter the table; real descriptors may not. */
static int sim_adopt(struct weir_loop *loop, uint32_t file, int fd)
{
	const struct sim_obj *obj = sim_obj_of(sim_of(loop), fd);

	if (!obj)
		return -EOPNOTSUPP;
	if (sim_obj_is_tcp(obj))
		loop->files[file].hints |= READY_HINT_STREAM;
	return 0;
}

static int sim_fd(const struct weir_loop *loop)
{
	return -EOPNOTSUPP;
}

const struct weir_backend weir_backend_sim = {
	.name		= "sim",
	.sys		= &io_sys_sim,
	.fixed_files	= 0,
	.open		= sim_backend_open,
	.enable		= sim_enable,
	.close		= sim_backend_close,
	.queue		= sim_queue,
	.commit		= sim_commit,
	.reap		= sim_reap,
	.cancel		= sim_cancel,
	.adopt		= sim_adopt,
	.group_open	= ready_group_open,
	.group_close	= ready_group_close,
	.group_put	= ready_group_put,
	.fd		= sim_fd,
	.pending	= ready_pending,
	.lend		= sim_lend,
};
