// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_msg.c - messages in parts, and what they carry beside bytes: files of
 * this kernel, times of its clock, sizes of UDP segments
 *
 * A file that is passed on is one more reference to its object. Its number is
 * the same for all who hold one, since all of them live in one loop.
 */
#include <errno.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "io/sim.h"

/* vectors */

/* Call copy with each piece of the bytes [at, at + len) of @msg. */
static void iov_walk(const struct msghdr *msg, uint32_t at, unsigned char *bytes, uint32_t len,
		     bool put)
{
	size_t i;

	for (i = 0; i < msg->msg_iovlen && len; i++) {
		const struct iovec *iov = &msg->msg_iov[i];
		uint32_t n;

		if (at >= iov->iov_len) {
			at -= (uint32_t)iov->iov_len;
			continue;
		}
		n = (uint32_t)min_u64(len, iov->iov_len - at);
		if (put)
			memcpy((unsigned char *)iov->iov_base + at, bytes, n);
		else
			memcpy(bytes, (unsigned char *)iov->iov_base + at, n);
		at = 0;
		bytes += n;
		len -= n;
	}
}

void sim_iov_put(const struct msghdr *msg, uint32_t at, const void *bytes, uint32_t len)
{
	iov_walk(msg, at, (unsigned char *)(uintptr_t)bytes, len, true);
}

void sim_iov_get(const struct msghdr *msg, uint32_t at, void *bytes, uint32_t len)
{
	iov_walk(msg, at, bytes, len, false);
}

/* files on their way */

int sim_rights_open(struct sim *sim)
{
	uint32_t i;

	sim->rights = mem_get(&sim->loop->alloc, SIM_RIGHTS, sizeof(*sim->rights),
			      _Alignof(struct sim_rights));
	if (!sim->rights)
		return -ENOMEM;
	for (i = 0; i < SIM_RIGHTS; i++)
		sim->rights[i].next = i + 1 < SIM_RIGHTS ? i + 1 : SIM_NONE;
	return 0;
}

void sim_rights_close(struct sim *sim)
{
	mem_put(&sim->loop->alloc, sim->rights, SIM_RIGHTS, sizeof(*sim->rights));
}

static void rights_free(struct sim *sim, uint32_t rights)
{
	sim->rights[rights].next = sim->rights_free;
	sim->rights_free = rights;
}

void sim_rights_drop(struct sim *sim, uint32_t rights)
{
	uint32_t i;

	if (rights == SIM_NONE)
		return;
	for (i = 0; i < sim->rights[rights].count; i++)
		sim_obj_drop(sim, &sim->objs[sim->rights[rights].objs[i]]);
	rights_free(sim, rights);
}

/* Take hold of the @count files of @fds. */
static int rights_take(struct sim *sim, const int *fds, uint32_t count, uint32_t *rightsp)
{
	struct sim_rights *rights;
	uint32_t i;

	if (count > SIM_RIGHTS_FILES)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		if (!sim_obj_of(sim, fds[i]))
			return -EBADF;
	}
	if (sim->rights_free == SIM_NONE)
		return -ETOOMANYREFS;
	*rightsp = sim->rights_free;
	rights = &sim->rights[*rightsp];
	sim->rights_free = rights->next;
	rights->count = count;
	for (i = 0; i < count; i++) {
		struct sim_obj *obj = sim_obj_of(sim, fds[i]);

		sim_obj_get(obj);
		rights->objs[i] = sim_obj_index(sim, obj);
	}
	return 0;
}

/* control data out */

static int read_rights(struct sim *sim, const struct sim_obj *obj, const struct cmsghdr *cmsg,
		       struct sim_control *control)
{
	int fds[SIM_RIGHTS_FILES];
	size_t bytes = cmsg->cmsg_len - CMSG_LEN(0);

	if (obj->local.family != AF_UNIX || control->rights != SIM_NONE ||
	    bytes > sizeof(fds))
		return -EINVAL;
	if (bytes < sizeof(fds[0]))
		return 0;
	memcpy(fds, CMSG_DATA(cmsg), bytes);
	return rights_take(sim, fds, (uint32_t)(bytes / sizeof(fds[0])), &control->rights);
}

static int read_one(struct sim *sim, const struct sim_obj *obj, const struct cmsghdr *cmsg,
		    struct sim_control *control)
{
	uint16_t segment;

	if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
		return read_rights(sim, obj, cmsg, control);
	/* There is one process here: nothing else could be said of it. */
	if (cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_CREDENTIALS)
		return obj->local.family == AF_UNIX ? 0 : -EINVAL;
	if (cmsg->cmsg_level != IPPROTO_UDP || cmsg->cmsg_type != UDP_SEGMENT ||
	    obj->local.family == AF_UNIX || !obj->dgram ||
	    cmsg->cmsg_len != CMSG_LEN(sizeof(segment)))
		return -EINVAL;
	memcpy(&segment, CMSG_DATA(cmsg), sizeof(segment));
	control->segment = segment;
	return 0;
}

int sim_control_read(struct sim *sim, const struct sim_obj *obj, const struct msghdr *msg,
		     struct sim_control *control)
{
	const uint32_t head = CMSG_LEN(0);
	size_t at = 0;
	int err = 0;

	control->rights = SIM_NONE;
	control->segment = obj->dgram && obj->local.family != AF_UNIX ?
			   (uint32_t)obj->options[SIM_UDP_SEGMENT] : 0;
	while (!err && msg->msg_control && at + head <= msg->msg_controllen) {
		const struct cmsghdr *cmsg = (void *)((char *)msg->msg_control + at);

		if (cmsg->cmsg_len < head || cmsg->cmsg_len > msg->msg_controllen - at)
			err = -EINVAL;
		else
			err = read_one(sim, obj, cmsg, control);
		at += CMSG_ALIGN(cmsg->cmsg_len);
	}
	if (err) {
		sim_rights_drop(sim, control->rights);
		control->rights = SIM_NONE;
	}
	return err;
}

/* control data in */

struct writer {
	struct msghdr *msg;
	size_t room;
	size_t used;
};

/* As put_cmsg(): what does not fit is cut, and that is told. Aligned for nobody. */
static void write_one(struct writer *to, int level, int type, const void *data, size_t len)
{
	struct cmsghdr head = { .cmsg_level = level, .cmsg_type = type };
	unsigned char *at = (unsigned char *)to->msg->msg_control + to->used;
	size_t left = to->room - to->used;

	if (left < CMSG_LEN(0)) {
		to->msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (left < CMSG_LEN(len)) {
		to->msg->msg_flags |= MSG_CTRUNC;
		len = left - CMSG_LEN(0);
	}
	head.cmsg_len = CMSG_LEN(len);
	memcpy(at, &head, sizeof(head));
	memcpy(at + CMSG_LEN(0), data, len);
	to->used += min_u64(CMSG_SPACE(len), left);
}

/* As many as fit become the receiver's; the others are closed. */
static void write_rights(struct sim *sim, struct writer *to, uint32_t number, bool peek)
{
	struct sim_rights *rights = &sim->rights[number];
	size_t left = to->room - to->used;
	int fds[SIM_RIGHTS_FILES];
	uint32_t fit = 0, i;

	if (left > CMSG_LEN(0))
		fit = (uint32_t)min_u64((left - CMSG_LEN(0)) / sizeof(fds[0]), rights->count);
	for (i = 0; i < rights->count; i++) {
		struct sim_obj *obj = &sim->objs[rights->objs[i]];

		fds[i] = sim_obj_fd(sim, obj);
		if (i < fit && peek)
			sim_obj_get(obj);
		else if (i >= fit && !peek)
			sim_obj_drop(sim, obj);
	}
	if (fit < rights->count)
		to->msg->msg_flags |= MSG_CTRUNC;
	if (fit)
		write_one(to, SOL_SOCKET, SCM_RIGHTS, fds, fit * sizeof(fds[0]));
	if (!peek)
		rights_free(sim, number);
}

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){ (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) };
}

static void write_times(const struct sim_obj *obj, struct writer *to, uint64_t when_ns)
{
	/* struct scm_timestamping: the first of three is the software's. */
	struct timespec stamps[3] = { timespec_of(when_ns) };
	uint32_t wanted = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

	if (obj->options[SIM_TIMESTAMPNS])
		write_one(to, SOL_SOCKET, SCM_TIMESTAMPNS, stamps, sizeof(stamps[0]));
	if (((uint32_t)obj->options[SIM_TIMESTAMPING] & wanted) == wanted)
		write_one(to, SOL_SOCKET, SCM_TIMESTAMPING, stamps, sizeof(stamps));
}

void sim_control_write(struct sim *sim, const struct sim_obj *obj, struct msghdr *msg,
		       uint32_t rights, const struct sim_dgram *dgram, bool peek)
{
	struct writer to = { msg, msg->msg_control ? msg->msg_controllen : 0, 0 };
	const struct ucred self = { .pid = 1 };
	int segment;

	msg->msg_flags = 0;
	if (dgram)
		write_times(obj, &to, dgram->when_ns);
	if (dgram && dgram->segment) {
		segment = (int)dgram->segment;
		write_one(&to, IPPROTO_UDP, UDP_GRO, &segment, sizeof(segment));
	}
	if (obj->options[SIM_PASSCRED] && obj->local.family == AF_UNIX)
		write_one(&to, SOL_SOCKET, SCM_CREDENTIALS, &self, sizeof(self));
	if (rights != SIM_NONE)
		write_rights(sim, &to, rights, peek);
	msg->msg_controllen = to.used;
}
