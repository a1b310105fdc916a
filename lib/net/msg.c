// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * msg.c - the parts of a message, and its control messages
 *
 * Lengths are never believed: they come out of memory that others wrote. Nor is
 * alignment: in a buffer of a pool the parts stand one behind the other.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <linux/errqueue.h>
#include <weir/msg.h>

#include "io/backend.h"
#include "io/group.h"

enum {
	FDS_MAX		= 253,		/* SCM_MAX_FD of the kernel */
};

static int read_pool(const struct weir_op *op, struct weir_msg *msg)
{
	const struct msghdr *room = op->xfer.buf;
	const struct weir_lease *lease = op->lease;
	uint64_t before = msg_head_bytes(op);
	struct msg_head head;
	unsigned char *at;

	if (!lease)
		return -ENODATA;
	if (lease->len < before)
		return -EINVAL;
	memcpy(&head, lease->data, sizeof(head));
	at = lease->data + sizeof(head);
	msg->name_len = min_u32(head.name_len, room->msg_namelen);
	msg->name = msg->name_len ? at : NULL;
	at += room->msg_namelen;
	msg->control_len = min_u32(head.control_len, (uint32_t)room->msg_controllen);
	msg->control = at;
	msg->data = at + room->msg_controllen;
	msg->len = lease->len - (uint32_t)before;
	msg->flags = head.flags;
	if (head.len > msg->len)
		msg->flags |= MSG_TRUNC;
	return 0;
}

static int read_own(const struct weir_op *op, struct weir_msg *msg)
{
	const struct msghdr *own = op->xfer.buf;
	uint32_t room = own->msg_iovlen == 1 ? (uint32_t)own->msg_iov[0].iov_len : UINT32_MAX;

	msg->name_len = own->msg_name ? own->msg_namelen : 0;
	msg->name = msg->name_len ? own->msg_name : NULL;
	msg->control = own->msg_control;
	msg->control_len = msg->control ? (uint32_t)own->msg_controllen : 0;
	msg->data = own->msg_iovlen == 1 ? own->msg_iov[0].iov_base : NULL;
	/* With MSG_TRUNC the count is that of the whole message. */
	msg->len = min_u32((uint32_t)op->res, room);
	msg->flags = (uint32_t)own->msg_flags;
	return 0;
}

int weir_msg_read(const struct weir_op *op, struct weir_msg *msg)
{
	struct weir_msg found;
	int err;

	if (op->opcode != WEIR_OP_RECVMSG || op->res < 0)
		return -EINVAL;
	err = op_group(op) ? read_pool(op, &found) : read_own(op, &found);
	if (err)
		return err;
	found.flags &= ~(uint32_t)MSG_CMSG_CLOEXEC;	/* which was asked for by the library */
	*msg = found;
	return 0;
}

int weir_msg_next(const struct weir_msg *msg, struct weir_cmsg *cmsg)
{
	uint32_t at = cmsg->lib_next;
	struct cmsghdr head;
	uint32_t left;

	if (at > msg->control_len || msg->control_len - at < sizeof(head))
		return 0;
	left = msg->control_len - at;
	memcpy(&head, (unsigned char *)msg->control + at, sizeof(head));
	if (head.cmsg_len < sizeof(head) || head.cmsg_len > left)
		return 0;
	cmsg->data = (unsigned char *)msg->control + at + CMSG_LEN(0);
	cmsg->len = (uint32_t)(head.cmsg_len - CMSG_LEN(0));
	cmsg->level = head.cmsg_level;
	cmsg->type = head.cmsg_type;
	/* The last one may lack the bytes that would align another. */
	cmsg->lib_next = at + min_u32((uint32_t)CMSG_ALIGN(head.cmsg_len), left);
	return 1;
}

/* The first control message of a kind that has at least @size bytes: they. */
static int find(const struct weir_msg *msg, int level, int type, void *value, uint32_t size)
{
	struct weir_cmsg cmsg = { 0 };

	while (weir_msg_next(msg, &cmsg)) {
		if (cmsg.level == level && cmsg.type == type && cmsg.len >= size) {
			memcpy(value, cmsg.data, size);
			return 0;
		}
	}
	return -ENODATA;
}

uint32_t weir_msg_fds(struct weir_loop *loop, const struct weir_msg *msg, int *fds,
		      uint32_t max)
{
	static const int taken = -1;
	struct weir_cmsg cmsg = { 0 };
	uint32_t count = 0;

	assert_owner(loop);
	while (weir_msg_next(msg, &cmsg)) {
		unsigned char *at = cmsg.data;
		uint32_t n = cmsg.len / sizeof(int);
		int fd;

		if (cmsg.level != SOL_SOCKET || cmsg.type != SCM_RIGHTS)
			continue;
		for (; n--; at += sizeof(fd)) {
			memcpy(&fd, at, sizeof(fd));
			memcpy(at, &taken, sizeof(fd));
			if (fd >= 0 && count < max)
				fds[count++] = fd;
			else if (fd >= 0)
				loop->sys->close(loop, fd);
		}
	}
	return count;
}

static uint64_t ns_of(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * NSEC_PER_SEC + (uint64_t)ts->tv_nsec;
}

int weir_msg_time(const struct weir_msg *msg, uint64_t *ns)
{
	struct scm_timestamping all;
	struct timespec one;

	if (!find(msg, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one))) {
		*ns = ns_of(&one);
		return 0;
	}
	if (find(msg, SOL_SOCKET, SO_TIMESTAMPING, &all, sizeof(all)))
		return -ENODATA;
	/* [0] is the software's, [2] the card's own; the one that is not there is zero. */
	*ns = ns_of(&all.ts[0]) ? ns_of(&all.ts[0]) : ns_of(&all.ts[2]);
	return *ns ? 0 : -ENODATA;
}

uint32_t weir_msg_segment(const struct weir_msg *msg)
{
	int bytes;

	if (find(msg, SOL_UDP, UDP_GRO, &bytes, sizeof(bytes)) || bytes <= 0)
		return msg->len;
	return (uint32_t)bytes;
}

int weir_msg_creds(const struct weir_msg *msg, struct weir_creds *creds)
{
	_Static_assert(sizeof(*creds) == 3 * sizeof(int32_t), "struct ucred of the kernel");

	return find(msg, SOL_SOCKET, SCM_CREDENTIALS, creds, sizeof(*creds));
}

int weir_msg_put(struct msghdr *msg, size_t room, int level, int type, const void *data,
		 uint32_t len)
{
	const size_t aligned = _Alignof(struct cmsghdr);
	struct cmsghdr *head;

	if (!msg->msg_control || (uintptr_t)msg->msg_control % aligned ||
	    msg->msg_controllen > room || msg->msg_controllen % aligned)
		return -EINVAL;
	if (CMSG_SPACE(len) > room - msg->msg_controllen)
		return -ENOSPC;
	head = (void *)((unsigned char *)msg->msg_control + msg->msg_controllen);
	memset(head, 0, CMSG_SPACE((size_t)len));
	head->cmsg_len = CMSG_LEN((size_t)len);
	head->cmsg_level = level;
	head->cmsg_type = type;
	if (len)
		memcpy(CMSG_DATA(head), data, len);
	msg->msg_controllen += CMSG_SPACE((size_t)len);
	return 0;
}

int weir_msg_put_fds(struct msghdr *msg, size_t room, const int *fds, uint32_t count)
{
	if (!count || count > FDS_MAX)
		return -EINVAL;
	return weir_msg_put(msg, room, SOL_SOCKET, SCM_RIGHTS, fds,
			    count * (uint32_t)sizeof(*fds));
}

int weir_msg_put_segment(struct msghdr *msg, size_t room, uint16_t bytes)
{
	if (!bytes)
		return -EINVAL;
	return weir_msg_put(msg, room, SOL_UDP, UDP_SEGMENT, &bytes, sizeof(bytes));
}
