// SPDX-License-Identifier: GPL-2.0-only
/*
 * sim_actors.c - who lives in a simulated world: an echo server, its clients,
 * and one who writes a file and reads it back
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <weir/file.h>

#include "sim_util.h"
#include "sim_world.h"

void world_bad(struct world *world, const char *what)
{
	if (!world->bad)
		world->bad = what;
}

uint64_t world_roll(struct world *world, uint64_t n)
{
	world->dice ^= world->dice << 13;
	world->dice ^= world->dice >> 7;
	world->dice ^= world->dice << 17;
	return (world->dice >> 11) % n;
}

unsigned char world_byte(uint32_t id, uint32_t i)
{
	return i ? (unsigned char)((i * 2654435761U >> 13) + id * 37) : (unsigned char)id;
}

/* ops */

void act_start(struct act *act)
{
	if (act->busy)
		world_bad(act->world, "started twice");
	act->busy = true;
	act->world->started++;
	weir_submit(act->world->loop, &act->op);
}

void world_mix(struct world *world, uint64_t value)
{
	world->trace = (world->trace ^ value) * 0x100000001b3;
	world->trace ^= world->trace >> 29;
}

/* First thing in every callback. */
struct act *act_event(struct weir_op *op)
{
	struct act *act = op->ctx;
	struct world *world = act->world;

	world_mix(world, weir_loop_now(world->loop));
	world_mix(world, op->opcode);
	world_mix(world, (uint32_t)op->res);
	world->events++;
	world->errors += op->res < 0;
	if (!act->busy)
		world_bad(world, "an operation ended twice");
	if (!op->more) {
		act->busy = false;
		world->ended++;
		world->ended_well[op->opcode] += op->res >= 0;
	}
	return act;
}

void act_set(struct act *act, struct world *world, void *owner)
{
	act->world = world;
	act->owner = owner;
}

/* listener */

static void listener_done(struct weir_op *op)
{
	act_event(op);
}

static void listener_close(struct world *world)
{
	if (world->listener_closing)
		return;
	world->listener_closing = true;
	weir_prep_close(&world->close.op, world->listener, listener_done, &world->close);
	act_start(&world->close);
}

/* server */

static void conn_closed(struct weir_op *op)
{
	struct conn *conn = act_event(op)->owner;

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
	act_start(&conn->close);
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
	act_start(&conn->send);
}

static void conn_sent(struct weir_op *op)
{
	struct act *act = act_event(op);
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
		if (bytes[i] != world_byte((uint32_t)conn->id, conn->got++))
			world_bad(world, "the server received another byte");
	}
	if (conn->count == LEASES_MAX) {
		world_bad(world, "more leases than buffers");
		return;
	}
	conn->leases[(conn->head + conn->count++) % LEASES_MAX] = weir_lease_get(lease);
}

static void conn_received(struct weir_op *op)
{
	struct act *act = act_event(op);
	struct conn *conn = act->owner;
	bool bytes = op->res > 0;

	if (op->res == -ENOBUFS)
		world_bad(act->world, "-ENOBUFS reached the user");
	if (bytes != !!op->lease)
		world_bad(act->world, "bytes without a lease, or the other way round");
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
		act_start(act);
	conn_pump(conn);
}

static void conn_open(struct world *world, struct weir_file file)
{
	struct conn *conn;

	if (world->conns_count == CONNS_MAX) {
		world_bad(world, "more connections than clients made");
		return;
	}
	conn = &world->conns[world->conns_count++];
	act_set(&conn->recv, world, conn);
	act_set(&conn->send, world, conn);
	act_set(&conn->close, world, conn);
	conn->file = file;
	conn->id = -1;
	if (world->ending) {
		conn_close(conn, -ECANCELED);
		return;
	}
	weir_prep_recv_pool(&conn->recv.op, file, world->pool, conn_received, &conn->recv);
	act_start(&conn->recv);
}

static void accepted(struct weir_op *op)
{
	struct act *act = act_event(op);
	struct world *world = act->world;

	if (op->res >= 0)
		conn_open(world, op->accepted);
	else if (op->more && op->res != -EMFILE && op->res != -ENFILE)
		world_bad(world, "an accept error that is neither terminal nor a pause");
	if (op->more)
		return;
	if (op->res == -ECANCELED || world->ending)
		listener_close(world);
	else
		act_start(act);
}

void world_server_start(struct world *world)
{
	act_set(&world->accept, world, world);
	act_set(&world->close, world, world);
	world->listener = sim_listen_on(world->loop, &world->addr, 1 + (int)world_roll(world, 4));
	weir_prep_accept(&world->accept.op, world->listener, 4, accepted, &world->accept);
	act_start(&world->accept);
}

/* clients */

static void client_over(struct visitor *client, int err)
{
	struct world *world = client->connect.world;

	if (client->over)
		world_bad(world, "a client ended twice");
	client->over = true;
	if (!client->err)
		client->err = err;
	if (!--world->clients_left)
		weir_cancel(world->loop, &world->accept.op);
}

static void client_refused(struct weir_op *op)
{
	struct act *act = act_event(op);

	if (op->res != -EBADF)
		world_bad(act->world, "a handle that outlived its file was taken");
	client_over(act->owner, 0);
}

/* Its place in the table may be another's by now. */
static void client_late(struct weir_op *op)
{
	struct act *act = act_event(op);
	struct visitor *client = act->owner;

	if (op->res || act->world->ending) {
		client_over(client, 0);
		return;
	}
	weir_prep_shutdown(&client->late.op, client->file, SHUT_RDWR, client_refused,
			   &client->late);
	act_start(&client->late);
}

static void client_closed(struct weir_op *op)
{
	struct act *act = act_event(op);
	struct visitor *client = act->owner;
	struct world *world = act->world;

	if (world->ending) {
		client_over(client, 0);
		return;
	}
	weir_prep_timeout(&client->late.op, weir_loop_now(world->loop) + world_roll(world, 500000),
			  client_late, &client->late);
	act_start(&client->late);
}

static void client_close(struct visitor *client, int err)
{
	if (client->closing)
		return;
	client->closing = true;
	client->err = err;
	weir_prep_close(&client->close.op, client->file, client_closed, &client->close);
	act_start(&client->close);
}

/* The client a callback is for, or NULL if it is closing or closes now. */
static struct visitor *client_of(struct weir_op *op)
{
	struct act *act = act_event(op);
	struct visitor *client = act->owner;

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

static void client_send(struct visitor *client)
{
	struct world *world = client->send.world;
	uint32_t len = 1 + (uint32_t)world_roll(world, CHUNK_MAX);
	uint32_t i;

	if (client->sent == client->want) {
		weir_prep_shutdown(&client->shutdown.op, client->file, SHUT_WR, client_shut,
				   &client->shutdown);
		act_start(&client->shutdown);
		return;
	}
	if (len > client->want - client->sent)
		len = client->want - client->sent;
	for (i = 0; i < len; i++)
		client->out[i] = world_byte(client->id, client->sent + i);
	weir_prep_send(&client->send.op, client->file, client->out, len, client_sent,
		       &client->send);
	act_start(&client->send);
}

static void client_sent(struct weir_op *op)
{
	struct visitor *client = ((struct act *)op->ctx)->owner;

	/* Also when it is closing: these bytes are on their way. */
	if (op->res > 0)
		client->sent += (uint32_t)op->res;
	if (client_of(op) && (client->eager || client->got == client->sent))
		client_send(client);
}

static void client_received(struct weir_op *op);

static void client_recv(struct visitor *client)
{
	struct world *world = client->recv.world;

	weir_prep_recv(&client->recv.op, client->file, client->in,
		       1 + (uint32_t)world_roll(world, CHUNK_MAX), client_received, &client->recv);
	/* Some are impatient, and ask again. */
	if (client->id & 1)
		client->recv.op.deadline_ns = weir_loop_now(world->loop) + 100000 +
					      world_roll(world, 1000000);
	act_start(&client->recv);
}

static void client_received(struct weir_op *op)
{
	struct visitor *client = client_of(op);
	int i;

	if (!client)
		return;
	if (op->res == -ETIME && op->origin != WEIR_ORIGIN_DEADLINE)
		world_bad(client->recv.world, "-ETIME, but not from the deadline");
	for (i = 0; i < op->res; i++) {
		if (client->in[i] != world_byte(client->id, client->got++))
			world_bad(client->recv.world, "a client received another byte");
	}
	if (!op->res) {
		client_close(client, 0);
		return;
	}
	if (op->res > 0 && !client->eager && client->got == client->sent && !client->send.busy)
		client_send(client);
	client_recv(client);
}

static void client_cookie(struct weir_op *op)
{
	struct visitor *client = client_of(op);

	if (!client)
		return;
	if (!client->cookie_value)
		world_bad(client->cookie.world, "a cookie of zero");
	client_recv(client);
	client_send(client);
}

static void client_ready(struct weir_op *op)
{
	struct visitor *client = client_of(op);

	if (!client)
		return;
	if (!(op->res & POLLOUT))
		world_bad(client->poll.world, "connected, but not writable");
	weir_prep_getsockopt(&client->cookie.op, client->file, SOL_SOCKET, SO_COOKIE,
			     &client->cookie_value, sizeof(client->cookie_value), client_cookie,
			     &client->cookie);
	act_start(&client->cookie);
}

static void client_connected(struct weir_op *op)
{
	struct act *act = act_event(op);
	struct visitor *client = act->owner;

	if (op->res < 0) {
		if (client->tries++ < 5 && op->res != -ECANCELED && !act->world->ending)
			act_start(act);
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
	act_start(&client->poll);
}

void world_clients_start(struct world *world)
{
	unsigned int i;

	world->clients_left = world->clients_count;
	for (i = 0; i < world->clients_count; i++) {
		struct visitor *client = &world->clients[i];

		act_set(&client->connect, world, client);
		act_set(&client->poll, world, client);
		act_set(&client->cookie, world, client);
		act_set(&client->send, world, client);
		act_set(&client->recv, world, client);
		act_set(&client->shutdown, world, client);
		act_set(&client->close, world, client);
		act_set(&client->late, world, client);
		client->id = i + 1;
		client->eager = world_roll(world, 2);
		/* One in six has nothing to say. */
		if (world_roll(world, 6))
			client->want = (uint32_t)world_roll(world, 20000);
		weir_prep_connect(&client->connect.op, (const struct sockaddr *)&world->addr,
				  sizeof(world->addr), client_connected, &client->connect);
		act_start(&client->connect);
	}
}

/* file */

static void paper_closed(struct weir_op *op)
{
	act_event(op);
}

/* The paper of a callback, or NULL if it closes. Disks fail; then it is tried again. */
static struct paper *paper_of(struct weir_op *op)
{
	struct act *act = act_event(op);
	struct paper *paper = act->owner;
	bool give_up = act->world->ending || op->res == -ECANCELED ||
		       (op->res < 0 && ++paper->errors > 1000);

	if (!give_up && paper->at < 2 * FILE_BYTES)
		return paper;
	if (!paper->closing) {
		paper->closing = true;
		weir_prep_close(&paper->close.op, paper->file, paper_closed, &paper->close);
		act_start(&paper->close);
	}
	return NULL;
}

static void paper_read(struct weir_op *op)
{
	struct paper *paper = ((struct act *)op->ctx)->owner;
	int i;

	for (i = 0; i < op->res; i++) {
		if (paper->bytes[i] != world_byte(99, paper->at - FILE_BYTES + (uint32_t)i))
			world_bad(paper->read.world, "the file gave back another byte");
	}
	if (op->res > 0)
		paper->at += (uint32_t)op->res;
	else if (!op->res)
		world_bad(paper->read.world, "the file is shorter than what was written");
	if (!paper_of(op))
		return;
	weir_prep_read(&paper->read.op, paper->file, paper->bytes, 700, paper->at - FILE_BYTES,
		       paper_read, &paper->read);
	act_start(&paper->read);
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
		act_start(&paper->read);
		return;
	}
	len = len < CHUNK_MAX ? len : CHUNK_MAX;
	for (i = 0; i < len; i++)
		paper->bytes[i] = world_byte(99, paper->at + i);
	weir_prep_write(&paper->write.op, paper->file, paper->bytes, len, paper->at, paper_wrote,
			&paper->write);
	act_start(&paper->write);
}

void world_paper_start(struct world *world)
{
	struct paper *paper = &world->paper;

	act_set(&paper->write, world, paper);
	act_set(&paper->read, world, paper);
	act_set(&paper->close, world, paper);
	if (weir_file_open(world->loop, "paper", O_RDWR | O_CREAT, 0600, &paper->file))
		abort();
	paper_write(paper);
}
