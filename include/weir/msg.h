/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * msg.h - what recvmsg(2) brings beside the bytes, and sendmsg(2) takes.
 *
 * A message received from a pool lies in one buffer together with its address and
 * its control messages; weir_msg_read() finds them there, and in a struct msghdr
 * of the caller's all the same. Nothing is copied: what is found is valid as long
 * as the lease, or that msghdr, is.
 *
 * Descriptors in a message are the caller's from the event on, as with recvmsg(2).
 * They are close-on-exec. Who makes room for control messages on a Unix socket
 * calls weir_msg_fds() for each message, with room for none to close them all.
 * Without that room the kernel takes none out, and sets MSG_CTRUNC.
 */
#ifndef WEIR_MSG_H
#define WEIR_MSG_H

#include <weir/op.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct weir_msg - the parts of one message
 * @name: where it came from, NULL if that is not told; it may stand at any
 *	address: copy it (weir_addr_set() does) before looking inside
 * @name_len: bytes of it that are there; of one that was too long for its room
 *	the beginning
 * @flags: as recvmsg(2) tells: MSG_TRUNC if bytes were cut off, MSG_CTRUNC if
 *	control messages were
 * @control: control messages, for weir_msg_next()
 * @data: the bytes; NULL if they were received into several pieces
 * @control_len: bytes of @control
 * @len: bytes of @data
 */
struct weir_msg {
	const void *name;
	uint32_t name_len;
	uint32_t flags;
	void *control;
	void *data;
	uint32_t control_len;
	uint32_t len;
};

/**
 * struct weir_cmsg - one control message
 * @data: its bytes; they may stand at any address
 * @len: how many
 * @level: whose it is, SOL_SOCKET or a protocol
 * @type: what it is, SCM_RIGHTS or another
 *
 * All zero stands before the first one.
 */
struct weir_cmsg {
	void *data;
	uint32_t len;
	int32_t level;
	int32_t type;
	/* private: */
	uint32_t lib_next;
};

/**
 * struct weir_creds - who sent a message over a Unix socket: SCM_CREDENTIALS
 * @pid: process
 * @uid: user
 * @gid: group
 */
struct weir_creds {
	int32_t pid;
	uint32_t uid;
	uint32_t gid;
};

/**
 * weir_msg_read() - the parts of the message that an event of a recvmsg brought
 * @op: the operation, in done() or later; its msghdr as it was submitted, but for
 *	what the kernel wrote
 * @msg: filled in
 *
 * Context: Any thread that may read the buffer.
 * Return: 0; -EINVAL if @op is no recvmsg, or failed, or the buffer is not one that
 * a message was received into; -ENODATA at the end of a stream.
 */
WEIR_API WEIR_MUST_CHECK
int weir_msg_read(const struct weir_op *op, struct weir_msg *msg);

/**
 * weir_msg_next() - walk over the control messages
 * @msg: a message
 * @cmsg: all zero at first; then the next one
 *
 * Context: Any thread.
 * Return: 1; 0 behind the last one, or where one is malformed.
 */
WEIR_API int weir_msg_next(const struct weir_msg *msg, struct weir_cmsg *cmsg);

/**
 * weir_msg_fds() - take the descriptors out of a message
 * @loop: the loop that received it; on sim they are objects of its kernel, for
 *	weir_file_adopt() of the same loop
 * @msg: a message
 * @fds: where they go; NULL if @max is 0
 * @max: how many are wanted; those beyond it are closed
 *
 * What was taken or closed is marked in the message: a second call finds none.
 *
 * Context: Owner thread.
 * Return: how many were taken.
 */
WEIR_API uint32_t weir_msg_fds(struct weir_loop *loop, const struct weir_msg *msg, int *fds,
			       uint32_t max);

/**
 * weir_msg_time() - when the kernel received a message
 * @msg: a message
 * @ns: nanoseconds since 1970
 *
 * For sockets with SO_TIMESTAMPNS or SO_TIMESTAMPING. Of the latter the software's
 * stamp is preferred; one of a network card counts in that card's own time.
 *
 * Context: Any thread.
 * Return: 0, or -ENODATA.
 */
WEIR_API WEIR_MUST_CHECK
int weir_msg_time(const struct weir_msg *msg, uint64_t *ns);

/**
 * weir_msg_segment() - size of the datagrams that were merged into one message
 * @msg: a message
 *
 * For UDP sockets with WEIR_OPTION_UDP_GRO: each datagram but the last has this
 * size. Buffers must have room for 64 KiB, or the rest is cut off.
 *
 * Context: Any thread.
 * Return: bytes; the whole length if none were merged.
 */
WEIR_API uint32_t weir_msg_segment(const struct weir_msg *msg);

/**
 * weir_msg_creds() - who sent a message
 * @msg: a message
 * @creds: filled in
 *
 * For Unix sockets with WEIR_OPTION_PASSCRED.
 *
 * Context: Any thread.
 * Return: 0, or -ENODATA.
 */
WEIR_API WEIR_MUST_CHECK
int weir_msg_creds(const struct weir_msg *msg, struct weir_creds *creds);

/**
 * weir_msg_put() - add a control message to one that will be sent
 * @msg: msg_control is the caller's memory, aligned as struct cmsghdr is;
 *	msg_controllen what of it is in use, 0 at first
 * @room: bytes there
 * @level: see struct weir_cmsg
 * @type: see struct weir_cmsg
 * @data: its bytes
 * @len: how many; it takes CMSG_SPACE(@len) of the room
 *
 * Context: Any thread.
 * Return: 0; -ENOSPC; or -EINVAL without memory, or with a @msg_controllen above
 * @room.
 */
WEIR_API WEIR_MUST_CHECK
int weir_msg_put(struct msghdr *msg, size_t room, int level, int type, const void *data,
		 uint32_t len);

/**
 * weir_msg_put_fds() - send copies of descriptors along
 * @msg: as for weir_msg_put(); of a Unix socket, and with at least one byte
 * @room: bytes there
 * @fds: descriptors, which stay the caller's
 * @count: how many, up to 253
 *
 * Context: Any thread.
 * Return: as weir_msg_put(); -EINVAL for none or too many.
 */
WEIR_API WEIR_MUST_CHECK
int weir_msg_put_fds(struct msghdr *msg, size_t room, const int *fds, uint32_t count);

/**
 * weir_msg_put_segment() - have the bytes cut into datagrams of one size
 * @msg: as for weir_msg_put(); of a UDP socket
 * @room: bytes there
 * @bytes: size of each but the last
 *
 * Context: Any thread.
 * Return: as weir_msg_put(); -EINVAL for 0.
 */
WEIR_API WEIR_MUST_CHECK
int weir_msg_put_segment(struct msghdr *msg, size_t room, uint16_t bytes);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_MSG_H */
