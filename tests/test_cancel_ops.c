// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_cancel_ops.c - every operation, cancelled at each of its steps
 *
 * A step is a hook of a turn or a callback. Each operation is run to its end in a
 * simulated kernel, to see how many there are, then once for each step n with the
 * cancel at n, by itself or through its token, in kernels with different faults.
 * Whatever n is: it has one terminal event, what it says it did is done and what it
 * says was cancelled is not, and no slot, file, buffer or memory is left.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include <weir/msg.h>
#include <weir/token.h>

#include "ends.h"
#include "files.h"
#include "io/sim.h"
#include "kselftest_harness.h"

enum {
	SEEDS		= 3,
	FILES_MAX	= 16,
	TEXT_BYTES	= 10,
	RING_BYTES	= 64,		/* of a socket */
	AFTER_TURNS	= 3,		/* that a multishot operation lives on */
	TURNS_MAX	= 10000,
};

static const unsigned char text[TEXT_BYTES + 1] = "0123456789";

struct stage;

/*
 * @prep: prepares stage->op
 * @help: submits stage->help after a while: what the operation waits for; or NULL
 * @wrong: NULL, or what it did though it was cancelled, or did not though it was not
 * @lasts: it has no end of its own
 */
struct kind {
	const char *name;
	enum weir_opcode opcode;
	void (*prep)(struct stage *stage);
	void (*help)(struct stage *stage);
	const char *(*wrong)(struct stage *stage);
	bool lasts;
};

struct stage {
	struct counter counter;
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_token token;
	const struct kind *kind;
	struct weir_op accept, op, delay, help;
	struct weir_file files[FILES_MAX];	/* to be closed */
	unsigned int files_count;
	struct weir_file listener, quiet, client, served, udp, read_end, write_end, sheet;
	struct sockaddr_in addr, quiet_addr;	/* nobody accepts at the quiet one */
	uint64_t steps, cancel_at;
	unsigned int events, terminals, works;
	bool armed, helped, by_token;
	uint32_t got_bytes;
	int installed;
	int32_t value;
	struct iovec iov;
	struct msghdr msg;
	struct statx st;
	unsigned char in[4 * RING_BYTES], got[4 * RING_BYTES];
};

static void step(void *arg)
{
	struct stage *stage = arg;

	if (!stage->armed || ++stage->steps != stage->cancel_at)
		return;
	if (stage->by_token)
		weir_token_cancel(&stage->token);
	else
		weir_cancel(stage->loop, &stage->op);
}

static void step_running(void *arg, uint64_t now_ns, unsigned int events)
{
	step(arg);
}

static struct weir_file keep(struct stage *stage, struct weir_file file)
{
	if (stage->files_count == FILES_MAX)
		abort();
	return stage->files[stage->files_count++] = file;
}

static void take(struct stage *stage, const void *bytes, int n)
{
	if (stage->got_bytes + (uint32_t)n > sizeof(stage->got))
		abort();
	memcpy(stage->got + stage->got_bytes, bytes, (size_t)n);
	stage->got_bytes += (uint32_t)n;
}

/* The event of the operation under test. */
static void op_done(struct weir_op *op)
{
	struct stage *stage = op->ctx;
	struct weir_msg msg;

	stage->events++;
	stage->terminals += !op->more;
	if (op->res >= 0 && (op->opcode == WEIR_OP_ACCEPT || op->opcode == WEIR_OP_SOCKET ||
			     op->opcode == WEIR_OP_OPEN ||
			     (op->opcode == WEIR_OP_CONNECT && !op->file.gen)))
		keep(stage, op->accepted);
	if (op->res >= 0 && op->opcode == WEIR_OP_INSTALL)
		stage->installed = op->res;
	if (op->lease && op->opcode == WEIR_OP_RECVMSG && !weir_msg_read(op, &msg))
		take(stage, msg.data, (int)msg.len);
	else if (op->flags & WEIR_OPF_MULTISHOT && op->res > 0 && op->xfer.pool &&
		 op->opcode != WEIR_OP_ACCEPT && op->opcode != WEIR_OP_POLL)
		take(stage, weir_lease_data(op->lease), op->res);
	step(stage);
}

static void arrived(struct weir_op *op)
{
	struct stage *stage = op->ctx;

	if (op->res >= 0)
		stage->served = keep(stage, op->accepted);
	step(stage);
}

static void helped(struct weir_op *op)
{
	struct stage *stage = op->ctx;

	stage->helped = true;
	if (op->opcode == WEIR_OP_CONNECT && op->res >= 0)
		keep(stage, op->accepted);
	step(stage);
}

static void help_due(struct weir_op *op)
{
	struct stage *stage = op->ctx;

	stage->kind->help(stage);
	weir_submit(stage->loop, &stage->help);
	step(stage);
}

/* what helps */

static void help_send(struct stage *stage)
{
	weir_prep_send(&stage->help, stage->client, text, TEXT_BYTES, helped, stage);
}

static void help_recv(struct stage *stage)
{
	weir_prep_recv(&stage->help, stage->client, stage->in, RING_BYTES, helped, stage);
}

static void help_connect(struct stage *stage)
{
	weir_prep_connect(&stage->help, (struct sockaddr *)&stage->quiet_addr,
			  sizeof(stage->quiet_addr), helped, stage);
}

static void help_pipe(struct stage *stage)
{
	weir_prep_write(&stage->help, stage->write_end, text, TEXT_BYTES, 0, helped, stage);
}

static void help_drain(struct stage *stage)
{
	weir_prep_read(&stage->help, stage->read_end, stage->in, RING_BYTES, 0, helped, stage);
}

/* what is wrong */

static bool was_done(const struct stage *stage)
{
	return stage->op.res >= 0;
}

/* What is left in a stream, straight from its kernel, behind what was got. */
static void get_rest(struct stage *stage, struct weir_file file)
{
	int fd = fd_of(stage->loop, file), n;

	while ((n = stage->loop->sys->read(stage->loop, fd, stage->in, RING_BYTES, 0)) > 0)
		take(stage, stage->in, n);
}

/* Of what the helper sent: each byte was received, or is still there. */
static const char *text_wrong(struct stage *stage, struct weir_file file)
{
	uint32_t sent = stage->help.res > 0 ? (uint32_t)stage->help.res : 0;

	if (!(stage->op.flags & WEIR_OPF_MULTISHOT) && was_done(stage))
		take(stage, stage->in, stage->op.res);
	get_rest(stage, file);
	return stage->got_bytes != sent || memcmp(stage->got, text, sent) ?
	       "a byte was lost, or came twice" : NULL;
}

static const char *recv_wrong(struct stage *stage)
{
	return text_wrong(stage, stage->served);
}

static const char *pipe_wrong(struct stage *stage)
{
	return text_wrong(stage, stage->read_end);
}

/* Behind what filled it stands what was sent, and no more. */
static const char *sent_wrong(struct stage *stage, struct weir_file file)
{
	uint32_t full = stage->got_bytes, sent = was_done(stage) ? (uint32_t)stage->op.res : 0;

	stage->got_bytes = 0;
	take(stage, stage->in, stage->help.res > 0 ? stage->help.res : 0);
	get_rest(stage, file);
	return stage->got_bytes != full + sent || memcmp(stage->got + full, text, sent) ?
	       "a byte was not sent, or was though it was cancelled" : NULL;
}

static const char *send_wrong(struct stage *stage)
{
	return sent_wrong(stage, stage->client);
}

static const char *splice_wrong(struct stage *stage)
{
	return sent_wrong(stage, stage->read_end);
}

static const char *work_wrong(struct stage *stage)
{
	return stage->works != was_done(stage) ? "the work was not done, or in vain" : NULL;
}

static bool exists(struct stage *stage, const char *path)
{
	return !do_statx(stage->loop, path, &stage->st);
}

static const char *new_wrong(struct stage *stage)
{
	return exists(stage, "/new") != was_done(stage) ? "a path that is not as was told" : NULL;
}

static const char *old_wrong(struct stage *stage)
{
	return exists(stage, "/sheet") == was_done(stage) ? "a path that is not as was told" : NULL;
}

static const char *size_wrong(struct stage *stage)
{
	if (do_fstatx(stage->loop, stage->sheet, &stage->st))
		return "no size";
	return (stage->st.stx_size != TEXT_BYTES) != was_done(stage) ?
	       "a size that is not as was told" : NULL;
}

static const char *write_wrong(struct stage *stage)
{
	int n = was_done(stage) ? stage->op.res : 0, fd = fd_of(stage->loop, stage->sheet), i;

	while ((i = stage->loop->sys->read(stage->loop, fd, stage->got + stage->got_bytes,
					   TEXT_BYTES, stage->got_bytes)) > 0)
		stage->got_bytes += (uint32_t)i;
	for (i = 0; i < TEXT_BYTES; i++) {
		if (stage->got[i] != (i < n ? 'w' : text[i]))
			return "bytes that are not as was told";
	}
	return NULL;
}

static const char *close_wrong(struct stage *stage)
{
	return stage->op.res ? "a close that was not done" : NULL;
}

/* what is tried */

/* Prepares a message of one part. */
static struct msghdr *message(struct stage *stage, const void *bytes, size_t len)
{
	stage->iov = (struct iovec){ (void *)(uintptr_t)bytes, len };
	stage->msg = (struct msghdr){ .msg_iov = &stage->iov, .msg_iovlen = 1 };
	return &stage->msg;
}

/* Nothing goes in any more. */
static void fill_up(struct stage *stage, struct weir_file file)
{
	int fd = fd_of(stage->loop, file), n;

	while ((n = stage->loop->sys->write(stage->loop, fd, text, TEXT_BYTES, 0)) > 0)
		stage->got_bytes += (uint32_t)n;
}

static int do_work(void *arg)
{
	((struct stage *)arg)->works++;
	return 0;
}

/* A function that prepares its operation by @prep with these arguments. */
#define KIND(name, prep, ...)						\
	static void name(struct stage *stage)				\
	{								\
		prep(&stage->op, __VA_ARGS__, op_done, stage);		\
	}								\
	struct stage

KIND(timeout, weir_prep_timeout, weir_loop_now(stage->loop) + NSEC_PER_MSEC);
KIND(poll_one, weir_prep_poll, stage->served, POLLIN);
KIND(poll_many, weir_prep_poll_multi, stage->served, POLLIN);
KIND(work, weir_prep_work, do_work, stage);
KIND(make_socket, weir_prep_socket, AF_INET, SOCK_STREAM, 0);
KIND(listen_on, weir_prep_listen, stage->quiet, 3);
KIND(accept_one, weir_prep_accept_once, stage->quiet);
KIND(accept_many, weir_prep_accept, stage->quiet, 4);
KIND(connect_new, weir_prep_connect, (struct sockaddr *)&stage->addr, sizeof(stage->addr));
KIND(recv_one, weir_prep_recv, stage->served, stage->in, RING_BYTES);
KIND(recv_pool, weir_prep_recv_pool, stage->served, stage->pool);
KIND(recvmsg_one, weir_prep_recvmsg, stage->served, message(stage, stage->in, RING_BYTES), 0);
KIND(shut_down, weir_prep_shutdown, stage->served, SHUT_WR);
KIND(get_option, weir_prep_getsockopt, stage->udp, SOL_SOCKET, SO_TYPE, &stage->value, 4);
KIND(set_option, weir_prep_setsockopt, stage->udp, SOL_SOCKET, SO_REUSEADDR, &stage->value, 4);
KIND(install, weir_prep_install, stage->udp);
KIND(open_new, weir_prep_open, "/new", O_RDWR | O_CREAT, 0600);
KIND(read_sheet, weir_prep_read, stage->sheet, stage->in, RING_BYTES, 0);
KIND(read_pipe, weir_prep_read, stage->read_end, stage->in, RING_BYTES, 0);
KIND(read_pool, weir_prep_read_pool, stage->read_end, stage->pool);
KIND(write_sheet, weir_prep_write, stage->sheet, "wwwwwwwwww", TEXT_BYTES, 0);
KIND(sync_sheet, weir_prep_fsync, stage->sheet);
KIND(allocate, weir_prep_fallocate, stage->sheet, 0, 0, 4096);
KIND(truncate_sheet, weir_prep_ftruncate, stage->sheet, 3);
KIND(look, weir_prep_statx, "/sheet", 0, STATX_SIZE, &stage->st);
KIND(look_at_file, weir_prep_fstatx, stage->sheet, STATX_SIZE, &stage->st);
KIND(remove_sheet, weir_prep_unlink, "/sheet", 0);
KIND(rename_sheet, weir_prep_rename, "/sheet", "/new", 0);
KIND(make_dir, weir_prep_mkdir, "/new", 0700);
KIND(advise, weir_prep_fadvise, stage->sheet, 0, 0, POSIX_FADV_WILLNEED);
KIND(close_served, weir_prep_close, stage->served);

static void nop(struct stage *stage)
{
	weir_prep_nop(&stage->op, op_done, stage);
}

static void recvmsg_pool(struct stage *stage)
{
	stage->msg = (struct msghdr){ .msg_namelen = 0 };
	weir_prep_recvmsg_pool(&stage->op, stage->served, stage->pool, &stage->msg, op_done, stage);
}

static void send_one(struct stage *stage)
{
	fill_up(stage, stage->served);
	weir_prep_send(&stage->op, stage->served, text, TEXT_BYTES, op_done, stage);
}

static void sendmsg_one(struct stage *stage)
{
	fill_up(stage, stage->served);
	weir_prep_sendmsg(&stage->op, stage->served, message(stage, text, TEXT_BYTES), 0,
			  op_done, stage);
}

static void readv_sheet(struct stage *stage)
{
	message(stage, stage->in, RING_BYTES);
	weir_prep_readv(&stage->op, stage->sheet, &stage->iov, 1, 0, op_done, stage);
}

static void writev_sheet(struct stage *stage)
{
	message(stage, "wwwwwwwwww", TEXT_BYTES);
	weir_prep_writev(&stage->op, stage->sheet, &stage->iov, 1, 0, op_done, stage);
}

static void splice_in(struct stage *stage)
{
	fill_up(stage, stage->write_end);
	weir_prep_splice(&stage->op, stage->sheet, 0, stage->write_end, -1, TEXT_BYTES, 0,
			 op_done, stage);
}

static void bind_udp(struct stage *stage)
{
	stage->quiet_addr.sin_port = htons(7777);
	weir_prep_bind(&stage->op, stage->udp, (struct sockaddr *)&stage->quiet_addr,
		       sizeof(stage->quiet_addr), op_done, stage);
}

static void connect_udp(struct stage *stage)
{
	weir_prep_connect_file(&stage->op, stage->udp, (struct sockaddr *)&stage->addr,
			       sizeof(stage->addr), op_done, stage);
}

static const struct kind kinds[] = {
	{ "nop", WEIR_OP_NOP, nop, NULL, NULL, false },
	{ "timeout", WEIR_OP_TIMEOUT, timeout, NULL, NULL, false },
	{ "poll", WEIR_OP_POLL, poll_one, help_send, NULL, false },
	{ "poll, multishot", WEIR_OP_POLL, poll_many, help_send, NULL, true },
	{ "work", WEIR_OP_WORK, work, NULL, work_wrong, false },
	{ "socket", WEIR_OP_SOCKET, make_socket, NULL, NULL, false },
	{ "bind", WEIR_OP_BIND, bind_udp, NULL, NULL, false },
	{ "listen", WEIR_OP_LISTEN, listen_on, NULL, NULL, false },
	{ "accept", WEIR_OP_ACCEPT, accept_one, help_connect, NULL, false },
	{ "accept, multishot", WEIR_OP_ACCEPT, accept_many, help_connect, NULL, true },
	{ "connect", WEIR_OP_CONNECT, connect_new, NULL, NULL, false },
	{ "connect a file", WEIR_OP_CONNECT, connect_udp, NULL, NULL, false },
	{ "recv", WEIR_OP_RECV, recv_one, help_send, recv_wrong, false },
	{ "recv, pool", WEIR_OP_RECV, recv_pool, help_send, recv_wrong, true },
	{ "recvmsg", WEIR_OP_RECVMSG, recvmsg_one, help_send, recv_wrong, false },
	{ "recvmsg, pool", WEIR_OP_RECVMSG, recvmsg_pool, help_send, recv_wrong, true },
	{ "send", WEIR_OP_SEND, send_one, help_recv, send_wrong, false },
	{ "sendmsg", WEIR_OP_SENDMSG, sendmsg_one, help_recv, send_wrong, false },
	{ "shutdown", WEIR_OP_SHUTDOWN, shut_down, NULL, NULL, false },
	{ "getsockopt", WEIR_OP_GETSOCKOPT, get_option, NULL, NULL, false },
	{ "setsockopt", WEIR_OP_SETSOCKOPT, set_option, NULL, NULL, false },
	{ "install", WEIR_OP_INSTALL, install, NULL, NULL, false },
	{ "open", WEIR_OP_OPEN, open_new, NULL, new_wrong, false },
	{ "read", WEIR_OP_READ, read_sheet, NULL, NULL, false },
	{ "read a pipe", WEIR_OP_READ, read_pipe, help_pipe, pipe_wrong, false },
	{ "read a pipe, pool", WEIR_OP_READ, read_pool, help_pipe, pipe_wrong, true },
	{ "write", WEIR_OP_WRITE, write_sheet, NULL, write_wrong, false },
	{ "readv", WEIR_OP_READV, readv_sheet, NULL, NULL, false },
	{ "writev", WEIR_OP_WRITEV, writev_sheet, NULL, write_wrong, false },
	{ "fsync", WEIR_OP_FSYNC, sync_sheet, NULL, NULL, false },
	{ "fallocate", WEIR_OP_FALLOCATE, allocate, NULL, size_wrong, false },
	{ "ftruncate", WEIR_OP_FTRUNCATE, truncate_sheet, NULL, size_wrong, false },
	{ "statx", WEIR_OP_STATX, look, NULL, NULL, false },
	{ "statx of a file", WEIR_OP_STATX, look_at_file, NULL, NULL, false },
	{ "unlink", WEIR_OP_UNLINK, remove_sheet, NULL, old_wrong, false },
	{ "rename", WEIR_OP_RENAME, rename_sheet, NULL, new_wrong, false },
	{ "mkdir", WEIR_OP_MKDIR, make_dir, NULL, new_wrong, false },
	{ "splice", WEIR_OP_SPLICE, splice_in, help_drain, splice_wrong, false },
	{ "fadvise", WEIR_OP_FADVISE, advise, NULL, NULL, false },
	{ "close", WEIR_OP_CLOSE, close_served, NULL, close_wrong, false },
};

/* the stage */

static void open_loop(struct stage *stage, const struct weir_sim_opts *sim, uint64_t seed)
{
	struct weir_loop_hooks hooks = {
		.parking = step, .running = step_running, .tick = step, .ctx = stage,
	};
	struct weir_pool_opts pool = {
		.sz = sizeof(pool), .buf_bytes = WEIR_POOL_BUF_MIN, .count = 4,
	};
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = "sim", .sim = sim, .seed = seed,
		.alloc = &stage->counter.alloc, .hooks = &hooks,
		.ops_max = 16, .files_max = FILES_MAX, .bufs_max = 8,
	};

	counter_init(&stage->counter);
	if (weir_loop_open(&stage->loop, &opts) ||
	    weir_pool_open(&stage->pool, stage->loop, &pool) ||
	    weir_token_init(&stage->token, stage->loop, NULL))
		abort();
}

static void open_files(struct stage *stage)
{
	struct weir_loop *loop = stage->loop;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int n;

	if (listener_open(loop, 4, &stage->listener, &stage->addr) ||
	    listener_open(loop, 4, &stage->quiet, &stage->quiet_addr) ||
	    weir_pipe_open(loop, &stage->read_end, &stage->write_end) ||
	    weir_file_open(loop, "/sheet", O_RDWR | O_CREAT, 0600, &stage->sheet))
		abort();
	keep(stage, stage->listener);
	keep(stage, stage->quiet);
	keep(stage, stage->read_end);
	keep(stage, stage->write_end);
	keep(stage, stage->sheet);
	weir_prep_accept(&stage->accept, stage->listener, 4, arrived, stage);
	weir_submit(loop, &stage->accept);
	weir_prep_connect(&op, (struct sockaddr *)&stage->addr, sizeof(stage->addr), seen_done,
			  &seen);
	if (op_do(loop, &op))
		abort();
	stage->client = keep(stage, op.accepted);
	while (!stage->served.gen)
		if (run_turn(loop))
			abort();
	weir_prep_socket(&op, AF_INET, SOCK_DGRAM, 0, seen_done, &seen);
	if (op_do(loop, &op))
		abort();
	stage->udp = keep(stage, op.accepted);
	/* Byte by byte: nothing can be cut short. */
	for (n = 0; n < TEXT_BYTES; n++)
		if (do_write(loop, stage->sheet, text + n, 1, (uint64_t)n) != 1)
			abort();
}

/* Until it has ended, and what helps it too; NULL, or why not. */
static const char *play(struct stage *stage)
{
	unsigned int turns, after = 0;

	stage->kind->prep(stage);
	stage->op.token = stage->by_token ? &stage->token : NULL;
	stage->armed = true;
	weir_submit(stage->loop, &stage->op);
	stage->helped = !stage->kind->help;
	if (!stage->helped) {
		weir_prep_timeout(&stage->delay, weir_loop_now(stage->loop) +
				  300 * NSEC_PER_USEC, help_due, stage);
		weir_submit(stage->loop, &stage->delay);
	}
	for (turns = 0; !stage->terminals || !stage->helped; turns++) {
		if (turns == TURNS_MAX || weir_loop_run_once(stage->loop, LIMIT_NS) < 0)
			return "it does not come to an end";
		after += stage->helped;
		if (stage->kind->lasts && after == AFTER_TURNS)
			weir_cancel(stage->loop, &stage->op);
	}
	stage->armed = false;
	return NULL;
}

static const char *close_all(struct stage *stage)
{
	struct weir_loop *loop = stage->loop;
	unsigned int i;

	if (stage->installed)
		loop->sys->close(loop, stage->installed);
	for (i = 0; i < stage->files_count; i++) {
		if (weir_file_valid(loop, stage->files[i]) && do_close(loop, stage->files[i]))
			return "a file does not close";
	}
	if (weir_loop_run(loop) != 1)
		return "something is in flight";
	if (stage->terminals != 1)
		return "more than one terminal event";
	if (stats_of(loop).files || stats_of(loop).inflight || stats_of(loop).waiting)
		return "a file or a slot is left";
	if (sim_of(loop)->objs_used || sim_of(loop)->embryos)
		return "the kernel has a file that nobody knows";
	if (!pool_whole(stage->pool) || weir_pool_close(stage->pool))
		return "a buffer is left";
	weir_token_fini(&stage->token);
	if (weir_loop_close(loop, LIMIT_NS))
		return "the loop does not close";
	return stage->counter.blocks ? "memory is left" : NULL;
}

/* With the cancel at step @n, 0: none; NULL, or what was wrong. */
static const char *run(struct stage *stage, const struct kind *kind,
		       const struct weir_sim_opts *sim, uint64_t seed, uint64_t n)
{
	const char *wrong;

	*stage = (struct stage){ .kind = kind, .cancel_at = n, .by_token = seed & 1 };
	open_loop(stage, sim, seed);
	open_files(stage);
	wrong = play(stage);
	if (wrong)
		return wrong;
	if (stage->op.origin == WEIR_ORIGIN_CANCELLED ? stage->op.res != -ECANCELED :
	    stage->op.origin != WEIR_ORIGIN_KERNEL || stage->op.res < 0)
		return "a result that nobody asked for";
	if (!n && !kind->lasts && stage->op.res < 0)
		return "cancelled, and nobody did";
	if (kind->wrong)
		wrong = kind->wrong(stage);
	return wrong ? wrong : close_all(stage);
}

FIXTURE(cancel) { struct stage stage; };
FIXTURE_VARIANT(cancel) { struct weir_sim_opts sim; };
#define KERNEL(...)	{ .sim = { .sz = sizeof(struct weir_sim_opts),		\
				   .socket_bytes = RING_BYTES, __VA_ARGS__ } }
FIXTURE_VARIANT_ADD(cancel, calm) KERNEL(.pad = 0);
FIXTURE_VARIANT_ADD(cancel, slow) KERNEL(.delay_max_ns = 200000, .short_permille = 300);
FIXTURE_VARIANT_ADD(cancel, reordering) KERNEL(.reorder_permille = 500, .rearm_permille = 500);
FIXTURE_VARIANT_ADD(cancel, too_late) KERNEL(.delay_max_ns = 100000, .late_permille = 700);

FIXTURE_SETUP(cancel)
{
}

FIXTURE_TEARDOWN(cancel)
{
}

TEST_F_TIMEOUT(cancel, every_operation_at_every_step_loses_nothing_and_leaves_nothing, 110)
{
	uint64_t seed, n, steps, runs = 0, cancelled = 0;
	const struct kind *kind;

	for (kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++) {
		for (seed = 1; seed <= SEEDS; seed++) {
			for (n = 0, steps = 0; n <= steps; n++, runs++) {
				const char *wrong = run(&self->stage, kind, &variant->sim, seed, n);

				ASSERT_EQ(NULL, wrong) {
					TH_LOG("%s, seed %" PRIu64 ", cancelled at step %" PRIu64
					       ": %s (%d)", kind->name, seed, n, wrong,
					       self->stage.op.res);
				}
				if (!n)
					steps = self->stage.steps;
				cancelled += n && self->stage.op.res == -ECANCELED;
			}
			ASSERT_LT(0, steps);
		}
	}
	TH_LOG("%" PRIu64 " runs, %" PRIu64 " cancelled", runs, cancelled);
	EXPECT_LT(ARRAY_SIZE(kinds), cancelled);
}

TEST(no_operation_is_forgotten_here)
{
	bool there[WEIR_OP_MAX] = { false };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		there[kinds[i].opcode] = true;
	for (i = 0; i < WEIR_OP_MAX; i++) {
		EXPECT_TRUE(there[i]);
		if (!there[i])
			TH_LOG("%s", weir_op_name(i));
	}
}

TEST_HARNESS_MAIN
