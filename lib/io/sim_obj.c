// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_obj.c - objects of the in-memory kernel, and the edges they report
 *
 * Their number is fixed at open: what the loop's file table can hold, as many
 * again in accept queues, and a few on their way from one to the other.
 *
 * An edge works as with EPOLLET: it is reported once, after a delay, and says
 * all that the object is ready for at that later time.
 */
#include <errno.h>
#include <sys/mman.h>

#include "base/list.h"
#include "io/sim.h"

void *sim_pages(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

void sim_pages_free(void *pages, size_t bytes)
{
	if (pages)
		munmap(pages, bytes);
}

int sim_objs_open(struct sim *sim)
{
	uint32_t files = sim->loop->opts.files_max;
	size_t bytes;
	uint32_t i;

	sim->objs_max = 2 * files + SIM_SPARE;
	sim->objs = mem_get(&sim->loop->alloc, sim->objs_max, sizeof(*sim->objs),
			    _Alignof(struct sim_obj));
	if (!sim->objs)
		return -ENOMEM;
	for (i = 0; i < sim->objs_max; i++)
		sim->objs[i].next = i + 1;
	if (__builtin_mul_overflow((size_t)sim->objs_max, sim->socket_bytes, &bytes))
		return -ENOMEM;
	sim->rings = sim_pages(bytes);
	if (!sim->rings)
		return -ENOMEM;
	list_init(&sim->names);
	list_init(&sim->syns);
	return 0;
}

void sim_objs_close(struct sim *sim)
{
	sim_pages_free(sim->rings, (size_t)sim->objs_max * sim->socket_bytes);
	mem_put(&sim->loop->alloc, sim->objs, sim->objs_max, sizeof(*sim->objs));
}

bool sim_obj_room(const struct sim *sim)
{
	return sim->objs_used < sim->loop->opts.files_max + SIM_SPARE;
}

struct sim_obj *sim_obj_new(struct sim *sim, enum sim_state state, bool embryo)
{
	struct sim_obj *obj;

	if (embryo ? sim->embryos >= sim->loop->opts.files_max : !sim_obj_room(sim))
		return NULL;
	assert(sim->obj_free < sim->objs_max);
	obj = &sim->objs[sim->obj_free];
	sim->obj_free = obj->next;
	*obj = (struct sim_obj){
		.state	= (uint8_t)state,
		.embryo	= embryo,
		.refs	= 1,
		.peer	= SIM_NONE,
		.rights	= SIM_NONE,
		.first	= SIM_NONE,
		.cookie	= ++sim->cookies,
	};
	list_init(&obj->name);
	list_init(&obj->wait);
	list_init(&obj->queue);
	*(embryo ? &sim->embryos : &sim->objs_used) += 1;
	return obj;
}

void sim_obj_put(struct sim *sim, struct sim_obj *obj)
{
	assert(obj->state != SIM_FREE);
	assert(list_empty(&obj->queue));
	sim_event_del(sim, sim_obj_node(sim, obj));
	list_del(&obj->name);
	list_del(&obj->wait);
	*(obj->embryo ? &sim->embryos : &sim->objs_used) -= 1;
	obj->state = SIM_FREE;
	obj->next = sim->obj_free;
	sim->obj_free = sim_obj_index(sim, obj);
}

void sim_obj_adopt(struct sim *sim, struct sim_obj *obj)
{
	obj->embryo = false;
	sim->embryos--;
	sim->objs_used++;
}

struct sim_obj *sim_obj_of(struct sim *sim, int fd)
{
	uint32_t index = (uint32_t)fd - SIM_FD_BASE;

	if (fd < SIM_FD_BASE || index >= sim->objs_max || sim->objs[index].state == SIM_FREE ||
	    sim->objs[index].embryo)
		return NULL;
	return &sim->objs[index];
}

uint32_t sim_obj_index(const struct sim *sim, const struct sim_obj *obj)
{
	return (uint32_t)(obj - sim->objs);
}

int sim_obj_fd(const struct sim *sim, const struct sim_obj *obj)
{
	return SIM_FD_BASE + (int)sim_obj_index(sim, obj);
}

uint32_t sim_obj_node(const struct sim *sim, const struct sim_obj *obj)
{
	return sim->loop->slots_max + sim_obj_index(sim, obj);
}

void sim_obj_get(struct sim_obj *obj)
{
	obj->refs++;
	obj->shared = true;
}

void sim_obj_drop(struct sim *sim, struct sim_obj *obj)
{
	if (--obj->refs)
		return;
	/* What it holds may hold others, and those it. */
	obj->refs = 1;
	if (obj->state == SIM_LISTEN)
		sim_listen_end(sim, obj);
	else if (obj->state == SIM_OPEN)
		sim_hang_up(sim, obj);
	else if (obj->state == SIM_DGRAM)
		sim_dgram_end(sim, obj);
	else if (obj->state == SIM_FILE)
		sim_file_close(obj);
	else if (obj->state == SIM_PIPE)
		sim_pipe_close(sim, obj);
	sim_stream_empty(sim, obj);
	sim_obj_put(sim, obj);
	sim_retry_syns(sim);
}

int sim_close(struct weir_loop *loop, int fd)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj = sim_obj_of(sim, fd);

	if (!obj)
		return -EBADF;
	sim_obj_drop(sim, obj);
	return 0;
}

/* edges */

/* As with EPOLL_CTL_ADD, what is ready already is reported too. */
int sim_obj_arm(struct weir_loop *loop, uint32_t file)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj = sim_obj_of(sim, loop->files[file].fd);

	if (!obj)
		return -EBADF;
	if (obj->state == SIM_FILE)
		return -EINVAL;		/* it has no edges */
	if (loop->files[file].armed)
		return 0;
	loop->files[file].armed = 1;
	obj->armed = true;
	obj->file = file;
	if (sim_poll_mask(sim, obj))
		sim_edge(sim, obj);
	return 0;
}

void sim_edge(struct sim *sim, struct sim_obj *obj)
{
	uint32_t node = sim_obj_node(sim, obj);

	if (obj->armed && !sim_event_queued(sim, node))
		sim_event_add(sim, node, SIM_DUE_OBJ, sim->now_ns + sim_delay(sim));
}

/* Every file that stands for @obj is told. */
static void mark_all(struct sim *sim, const struct sim_obj *obj, uint32_t mask)
{
	struct weir_loop *loop = sim->loop;
	uint32_t i;

	for (i = 0; i < loop->files_max; i++) {
		if (loop->files[i].state != IO_FILE_FREE &&
		    loop->files[i].fd == sim_obj_fd(sim, obj))
			ready_mark(loop, i, mask);
	}
}

void sim_obj_due(struct sim *sim, struct sim_obj *obj)
{
	uint32_t mask;

	if (obj->state == SIM_SYN) {
		sim_handshake(sim, obj);
		return;
	}
	mask = sim_poll_mask(sim, obj);
	if (!mask || !obj->armed)
		return;
	if (obj->shared)
		mark_all(sim, obj, mask);
	else
		ready_mark(sim->loop, obj->file, mask);
}
