// SPDX-License-Identifier: GPL-2.0-only
/*
 * sim_world.c - clients, echo server and file of one simulated world
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <weir/file.h>

#include "sim_world.h"
#include "sim_util.h"

static void bad(struct world *world, const char *what)
{
	if (!world->bad)
		world->bad = what;
}

static uint64_t roll(struct world *world, uint64_t n)
{
	world->dice ^= world->dice << 13;
	world->dice ^= world->dice >> 7;
	world->dice ^= world->dice << 17;
	return (world->dice >> 11) % n;
}

static unsigned char byte_at(uint32_t id, uint32_t i)
{
	return i ? (unsigned char)((i * 2654435761U >> 13) + id * 37) : (unsigned char)id;
}

/* ops */

static void start(struct act *act)
{
	if (act->busy)
		bad(act->world, "started twice");
	act->busy = true;
	act->world->started++;
	weir_submit(act->world->loop, &act->op);
}

static void mix(struct world *world, uint64_t value)
{
	world->trace = (world->trace ^ value) * 0x100000001b3;
	world->trace ^= world->trace >> 29;
}

/* First thing in every callback. */
static struct act *event(struct weir_op *op)
{
	struct act *act = op->ctx;
	struct world *world = act->world;

	mix(world, weir_loop_now(world->loop));
	mix(world, op->opcode);
	mix(world, (uint32_t)op->res);
	world->events++;
	world->errors += op->res < 0;
	if (!act->busy)
		bad(world, "an event after the terminal one");
	if (!op->more) {
		act->busy = false;
		world->ended++;
	}
	return act;
}

static void set(struct act *act, struct world *world, void *owner)
{
	act->world = world;
	act->owner = owner;
}

/* listener */

static void listener_done(struct weir_op *op)
{
	event(op);
}

static void listener_close(struct world *world)
{
	if (world->listener_closing)
		return;
	world->listener_closing = true;
	weir_prep_close(&world->close.op, world->listener, listener_done, &world->close);
	start(&world->close);
}

/* server */

static void conn_closed(struct weir_op *op)
{
	struct conn *conn = event(op)->owner;

	/* Not before: a send may have been reading them. */
	while (conn->count) {
		weir_lease_put(conn->leases[conn->head]);
		conn->head = (conn->head + 1) % LEASES_MAX;
		conn->count--;
	}
}

static void conn_close(struct conn *conn, int err)
{
	if (conn->closing)
		return;
	conn->closing = true;
	conn->err = err;
	weir_prep_close(&conn->close.op, conn->file, conn_closed, &conn->close);
	start(&conn->close);
}

static void conn_sent(struct weir_op *op);

static void conn_pump(struct conn *conn)
{
	struct weir_lease *lease;

	if (conn->closing || conn->send.busy)
		return;
	if (!conn->count) {
		if (conn->eof)
			conn_close(conn, 0);
		return;
	}
	lease = conn->leases[conn->head];
	weir_prep_send(&conn->send.op, conn->file,
		       (unsigned char *)weir_lease_data(lease) + conn->off,
		       weir_lease_len(lease) - conn->off, conn_sent, &conn->send);
	start(&conn->send);
}

static void conn_sent(struct weir_op *op)
{
	struct act *act = event(op);
	struct conn *conn = act->owner;
	struct weir_lease *lease;

	if (op->res > 0)
		conn->sent += (uint32_t)op->res;
	if (conn->closing)
		return;
	if (op->res <= 0 || act->world->ending) {
		conn_close(conn, op->res < 0 ? op->res : -ECANCELED);
		return;
	}
	conn->off += (uint32_t)op->res;
	lease = conn->leases[conn->head];
	if (conn->off == weir_lease_len(lease)) {
		weir_lease_put(lease);
		conn->head = (conn->head + 1) % LEASES_MAX;
		conn->count--;
		conn->off = 0;
	}
	conn_pump(conn);
}

static void conn_take(struct world *world, struct conn *conn, struct weir_lease *lease)
{
	const unsigned char *bytes = weir_lease_data(lease);
	uint32_t i;

	if (conn->id < 0)
		conn->id = bytes[0];
	for (i = 0; i < weir_lease_len(lease); i++) {
		if (bytes[i] != byte_at((uint32_t)conn->id, conn->got++))
			bad(world, "the server received a byte that was not sent there");
	}
	if (conn->count == LEASES_MAX) {
		bad(world, "more leases than buffers");
		return;
	}
	conn->leases[(conn->head + conn->count++) % LEASES_MAX] = weir_lease_get(lease);
}

static void conn_received(struct weir_op *op)
{
	struct act *act = event(op);
	struct conn *conn = act->owner;

	if (op->res == -ENOBUFS)
		bad(act->world, "-ENOBUFS reached the user");
	if ((op->res > 0) != (op->lease != NULL))
		bad(act->world, "bytes without a lease, or the other way round");
	if (conn->closing)
		return;
	if (act->world->ending || op->res < 0) {
		conn_close(conn, op->res < 0 ? op->res : -ECANCELED);
		return;
	}
	if (op->res > 0)
		conn_take(act->world, conn, op->lease);
	else
		conn->eof = true;
	if (op->res > 0 && !op->more)
		start(act);
	conn_pump(conn);
}

static void conn_open(struct world *world, struct weir_file file)
{
	struct conn *conn;

	if (world->conns_count == CONNS_MAX) {
		bad(world, "more connections than clients made");
		return;
	}
	conn = &world->conns[world->conns_count++];
	set(&conn->recv, world, conn);
	set(&conn->send, world, conn);
	set(&conn->close, world, conn);
	conn->file = file;
	conn->id = -1;
	if (world->ending) {
		conn_close(conn, -ECANCELED);
		return;
	}
	weir_prep_recv_pool(&conn->recv.op, file, world->pool, conn_received, &conn->recv);
	start(&conn->recv);
}

static void accepted(struct weir_op *op)
{
	struct act *act = event(op);
	struct world *world = act->world;

	if (op->res >= 0)
		conn_open(world, op->accepted);
	else if (op->more && op->res != -EMFILE && op->res != -ENFILE)
		bad(world, "an accept error that is neither terminal nor a pause");
	if (op->more)
		return;
	if (op->res == -ECANCELED || world->ending)
		listener_close(world);
	else
		start(act);
}

/* clients */

static void client_over(struct client *client, int err)
{
	struct world *world = client->connect.world;

	if (client->over)
		bad(world, "a client ended twice");
	client->over = true;
	if (!client->err)
		client->err = err;
	if (!--world->clients_left)
		weir_cancel(world->loop, &world->accept.op);
}

static void client_closed(struct weir_op *op)
{
	client_over(event(op)->owner, 0);
}

static void client_close(struct client *client, int err)
{
	if (client->closing)
		return;
	client->closing = true;
	client->err = err;
	weir_prep_close(&client->close.op, client->file, client_closed, &client->close);
	start(&client->close);
}

/* The client a callback is for, or NULL if it is closing or closes now. */
static struct client *client_of(struct weir_op *op)
{
	struct act *act = event(op);
	struct client *client = act->owner;

	if (client->closing)
		return NULL;
	if (!act->world->ending && op->res >= 0)
		return client;
	if (op->res == -ETIME && !act->world->ending)
		return client;
	client_close(client, op->res < 0 ? op->res : -ECANCELED);
	return NULL;
}

static void client_shut(struct weir_op *op)
{
	client_of(op);
}

static void client_sent(struct weir_op *op);

static void client_send(struct client *client)
{
	struct world *world = client->send.world;
	uint32_t len = 1 + (uint32_t)roll(world, CHUNK_MAX);
	uint32_t i;

	if (client->sent == client->want) {
		weir_prep_shutdown(&client->shutdown.op, client->file, SHUT_WR, client_shut,
				   &client->shutdown);
		start(&client->shutdown);
		return;
	}
	if (len > client->want - client->sent)
		len = client->want - client->sent;
	for (i = 0; i < len; i++)
		client->out[i] = byte_at(client->id, client->sent + i);
	weir_prep_send(&client->send.op, client->file, client->out, len, client_sent,
		       &client->send);
	start(&client->send);
}

static void client_sent(struct weir_op *op)
{
	struct client *client = ((struct act *)op->ctx)->owner;

	/* Also when it is closing: these bytes are on their way. */
	if (op->res > 0)
		client->sent += (uint32_t)op->res;
	if (client_of(op))
		client_send(client);
}

static void client_received(struct weir_op *op);

static void client_recv(struct client *client)
{
	struct world *world = client->recv.world;

	weir_prep_recv(&client->recv.op, client->file, client->in,
		       1 + (uint32_t)roll(world, CHUNK_MAX), client_received, &client->recv);
	/* Some are impatient, and ask again. */
	if (client->id & 1)
		client->recv.op.deadline_ns = weir_loop_now(world->loop) + 100000 +
					      roll(world, 1000000);
	start(&client->recv);
}

static void client_received(struct weir_op *op)
{
	struct client *client = client_of(op);
	int i;

	if (!client)
		return;
	if (op->res == -ETIME && op->origin != WEIR_ORIGIN_DEADLINE)
		bad(client->recv.world, "-ETIME, but not from the deadline");
	for (i = 0; i < op->res; i++) {
		if (client->in[i] != byte_at(client->id, client->got++))
			bad(client->recv.world, "a client received a byte it had not sent there");
	}
	if (op->res)
		client_recv(client);
	else
		client_close(client, 0);
}

static void client_cookie(struct weir_op *op)
{
	struct client *client = client_of(op);

	if (!client)
		return;
	if (!client->cookie_value)
		bad(client->cookie.world, "a cookie of zero");
	client_recv(client);
	client_send(client);
}

static void client_ready(struct weir_op *op)
{
	struct client *client = client_of(op);

	if (!client)
		return;
	if (!(op->res & POLLOUT))
		bad(client->poll.world, "connected, but not writable");
	weir_prep_cookie(&client->cookie.op, client->file, &client->cookie_value, client_cookie,
			 &client->cookie);
	start(&client->cookie);
}

static void client_connected(struct weir_op *op)
{
	struct act *act = event(op);
	struct client *client = act->owner;

	if (op->res < 0) {
		if (client->tries++ < 5 && op->res != -ECANCELED && !act->world->ending)
			start(act);
		else
			client_over(client, op->res);
		return;
	}
	client->file = op->accepted;
	if (act->world->ending) {
		client_close(client, -ECANCELED);
		return;
	}
	weir_prep_poll(&client->poll.op, client->file, POLLOUT, client_ready, &client->poll);
	start(&client->poll);
}

/* file */

static void paper_closed(struct weir_op *op)
{
	event(op);
}

/* The paper of a callback, or NULL if it closes. Disks fail; then it is tried again. */
static struct paper *paper_of(struct weir_op *op)
{
	struct act *act = event(op);
	struct paper *paper = act->owner;
	bool give_up = act->world->ending || op->res == -ECANCELED ||
		       (op->res < 0 && ++paper->errors > 1000);

	if (!give_up && paper->at < 2 * FILE_BYTES)
		return paper;
	if (!paper->closing) {
		paper->closing = true;
		weir_prep_close(&paper->close.op, paper->file, paper_closed, &paper->close);
		start(&paper->close);
	}
	return NULL;
}

static void paper_read(struct weir_op *op)
{
	struct paper *paper = ((struct act *)op->ctx)->owner;
	int i;

	for (i = 0; i < op->res; i++) {
		if (paper->bytes[i] != byte_at(99, paper->at - FILE_BYTES + (uint32_t)i))
			bad(paper->read.world, "the file gave back another byte");
	}
	if (op->res > 0)
		paper->at += (uint32_t)op->res;
	else if (!op->res)
		bad(paper->read.world, "the file is shorter than what was written");
	if (!paper_of(op))
		return;
	weir_prep_read(&paper->read.op, paper->file, paper->bytes, 700, paper->at - FILE_BYTES,
		       paper_read, &paper->read);
	start(&paper->read);
}

static void paper_write(struct paper *paper);

static void paper_wrote(struct weir_op *op)
{
	struct paper *paper = paper_of(op);

	if (!paper)
		return;
	if (op->res > 0)
		paper->at += (uint32_t)op->res;
	paper_write(paper);
}

static void paper_write(struct paper *paper)
{
	uint32_t len = FILE_BYTES - paper->at;
	uint32_t i;

	if (!len) {
		weir_prep_read(&paper->read.op, paper->file, paper->bytes, 700, 0, paper_read,
			       &paper->read);
		start(&paper->read);
		return;
	}
	len = len < CHUNK_MAX ? len : CHUNK_MAX;
	for (i = 0; i < len; i++)
		paper->bytes[i] = byte_at(99, paper->at + i);
	weir_prep_write(&paper->write.op, paper->file, paper->bytes, len, paper->at, paper_wrote,
			&paper->write);
	start(&paper->write);
}

/* world */

static void log_line(void *ctx, enum weir_log_level level, const char *text)
{
	struct world *world = ctx;

	if (level <= WEIR_LOG_WARN) {
		snprintf(world->text, sizeof(world->text), "%s", text);
		bad(world, world->text);
	}
}

static void *count_get(void *ctx, size_t bytes, size_t align)
{
	struct world *world = ctx;
	void *mem;

	if (posix_memalign(&mem, align < sizeof(mem) ? sizeof(mem) : align, bytes))
		return NULL;
	world->gets++;
	world->bytes += bytes;
	return mem;
}

static void count_put(void *ctx, void *mem, size_t bytes)
{
	struct world *world = ctx;

	world->puts++;
	world->bytes -= bytes;
	free(mem);
}

static void count_jump(void *ctx)
{
	((struct world *)ctx)->jumps++;
}

static void count_turn(void *ctx)
{
	struct world *world = ctx;

	if (++world->turns == world->turns_stop)
		weir_loop_stop(world->loop);
}

static void ticked(struct weir_op *op)
{
	event(op);
}

static void clients_start(struct world *world)
{
	unsigned int i;

	world->clients_left = world->clients_count;
	for (i = 0; i < world->clients_count; i++) {
		struct client *client = &world->clients[i];

		set(&client->connect, world, client);
		set(&client->poll, world, client);
		set(&client->cookie, world, client);
		set(&client->send, world, client);
		set(&client->recv, world, client);
		set(&client->shutdown, world, client);
		set(&client->close, world, client);
		client->id = i + 1;
		client->want = (uint32_t)roll(world, 6) ? (uint32_t)roll(world, 20000) : 0;
		weir_prep_connect(&client->connect.op, (const struct sockaddr *)&world->addr,
				  sizeof(world->addr), client_connected, &client->connect);
		start(&client->connect);
	}
}

static void world_loop(struct world *world)
{
	struct weir_pool_opts pool_opts = {
		.sz		= sizeof(pool_opts),
		.buf_bytes	= 64 + (uint32_t)roll(world, 1000),
		.count		= 2 + (uint32_t)roll(world, LEASES_MAX - 1),
		.low		= 1,
	};
	struct weir_loop_opts opts = {
		.sz		= sizeof(opts),
		.backend	= "sim",
		.alloc		= &world->alloc,
		.log		= &world->log,
		.hooks		= &world->hooks,
		.sim		= &world->sim,
		.seed		= world->seed,
		.ops_max	= 128,
		/* Listener, file and clients; the server's side waits for its turn. */
		.files_max	= 2 + world->clients_count + 1 + (uint32_t)roll(world, CLIENTS_MAX),
		.bufs_max	= 32,
	};

	if (weir_loop_open(&world->loop, &opts))
		abort();
	if (weir_pool_open(&world->pool, world->loop, &pool_opts))
		abort();
}

void world_open(struct world *world, uint64_t seed, const struct world_faults *faults)
{
	memset(world, 0, sizeof(*world));
	world->seed = seed;
	world->dice = seed * 2 + 1;
	world->trace = 0xcbf29ce484222325;
	roll(world, 2);
	world->log = (struct weir_log){ log_line, world, WEIR_LOG_DEBUG };
	world->alloc = (struct weir_alloc){ count_get, count_put, world };
	world->hooks = (struct weir_loop_hooks){ .parking = count_jump, .tick = count_turn,
						 .ctx = world };
	world->sim = (struct weir_sim_opts){
		.sz		= sizeof(world->sim),
		.delay_max_ns	= faults->delay_max_ns,
		.short_permille	= faults->short_permille,
		.error_permille	= faults->error_permille,
		.socket_bytes	= 1 + (uint32_t)roll(world, 4000),
	};
	world->clients_count = 1 + (unsigned int)roll(world, CLIENTS_MAX);
	world_loop(world);

	set(&world->accept, world, world);
	set(&world->close, world, world);
	set(&world->tick, world, world);
	world->listener = sim_listen_on(world->loop, &world->addr, 1 + (int)roll(world, 4));
	weir_prep_accept(&world->accept.op, world->listener, 4, accepted, &world->accept);
	start(&world->accept);
	clients_start(world);

	set(&world->paper.write, world, &world->paper);
	set(&world->paper.read, world, &world->paper);
	set(&world->paper.close, world, &world->paper);
	if (weir_file_open(world->loop, "paper", O_RDWR | O_CREAT, 0600, &world->paper.file))
		abort();
	paper_write(&world->paper);
	weir_prep_timeout(&world->tick.op, weir_loop_now(world->loop) + roll(world, 3000000),
			  ticked, &world->tick);
	start(&world->tick);
}

int world_run(struct world *world, uint64_t turns)
{
	size_t gets = world->gets;
	int ret;

	world->turns_stop = world->turns + (turns ? turns : TURNS_MAX);
	ret = weir_loop_run(world->loop);
	world->over = ret == 1;
	if (!ret && !turns)
		bad(world, "it does not come to an end");
	if (ret < 0)
		bad(world, weir_strerror(ret));
	if (world->gets != gets)
		bad(world, "memory was allocated on the I/O path");
	return ret;
}

static void cancel(struct act *act)
{
	if (act->busy)
		weir_cancel(act->world->loop, &act->op);
}

void world_cancel(struct world *world)
{
	unsigned int i;

	world->ending = true;
	cancel(&world->accept);
	cancel(&world->tick);
	cancel(&world->paper.write);
	cancel(&world->paper.read);
	for (i = 0; i < world->clients_count; i++) {
		struct client *client = &world->clients[i];

		cancel(&client->connect);
		cancel(&client->poll);
		cancel(&client->cookie);
		cancel(&client->send);
		cancel(&client->recv);
		cancel(&client->shutdown);
	}
	for (i = 0; i < world->conns_count; i++) {
		cancel(&world->conns[i].recv);
		cancel(&world->conns[i].send);
	}
}

void world_close(struct world *world)
{
	struct weir_loop_stats stats;
	struct weir_pool_stats pool;

	weir_loop_stats(world->loop, &stats, sizeof(stats));
	if (world->over && (stats.files || stats.inflight || stats.waiting))
		bad(world, "files or slots are left");
	if (weir_loop_close(world->loop, 1000000000))
		bad(world, "the loop does not close");
	if (world->started != world->ended)
		bad(world, "an operation without a terminal event");
	weir_pool_stats(world->pool, &pool, sizeof(pool));
	if (pool.free != pool.count || pool.parked)
		bad(world, "leases are left");
	if (weir_pool_close(world->pool))
		bad(world, "the pool does not close");
	if (world->gets != world->puts || world->bytes)
		bad(world, "memory is left");
}

static const struct conn *conn_of(const struct world *world, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < world->conns_count; i++) {
		if (world->conns[i].id == (int)id)
			return &world->conns[i];
	}
	return NULL;
}

void world_judge(struct world *world)
{
	unsigned int i;

	if (!world->paper.closing || world->paper.at != 2 * FILE_BYTES)
		bad(world, "the file was not written and read to its end");
	for (i = 0; i < world->clients_count; i++) {
		const struct client *client = &world->clients[i];
		const struct conn *conn = conn_of(world, client->id);

		if (!client->over)
			bad(world, "a client that did not end");
		if (client->err && client->err != -ENFILE && !world->sim.error_permille)
			bad(world, "an error without a fault");
		if (conn && (conn->got > client->sent || conn->sent > conn->got ||
			     client->got > conn->sent))
			bad(world, "more bytes received than sent");
		if (client->err || (conn && conn->err))
			continue;
		/* Nobody was told of an error: then all of it went there and back. */
		if (client->want && !conn && world->errors)
			continue;
		if (client->got != client->want)
			bad(world, "bytes are missing, and nobody was told");
	}
}
