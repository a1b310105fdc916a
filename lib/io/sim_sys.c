// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_sys.c - the system calls of the in-memory kernel, its clock and its entropy
 */
#include <string.h>

#include "io/sim.h"

static uint64_t sim_now(struct weir_loop *loop)
{
	return sim_of(loop)->now_ns;
}

static void sim_entropy(struct weir_loop *loop, void *buf, size_t len)
{
	unsigned char *bytes = buf;

	while (len) {
		uint64_t word = sim_random(&sim_of(loop)->entropy);
		size_t n = len < sizeof(word) ? len : sizeof(word);

		memcpy(bytes, &word, n);
		bytes += n;
		len -= n;
	}
}

const struct io_sys io_sys_sim = {
	.socket		= sim_socket,
	.bind		= sim_bind,
	.listen		= sim_listen,
	.setsockopt	= sim_setsockopt,
	.getsockname	= sim_getsockname,
	.accept		= sim_accept,
	.connect	= sim_connect,
	.connected	= sim_connected,
	.recv		= sim_recv,
	.send		= sim_send,
	.recvmsg	= sim_recvmsg,
	.sendmsg	= sim_sendmsg,
	.poll		= sim_poll,
	.shutdown	= sim_shutdown,
	.getsockopt	= sim_getsockopt,
	.open		= sim_open,
	.read		= sim_read,
	.write		= sim_write,
	.dup		= sim_dup,
	.readv		= sim_readv,
	.writev		= sim_writev,
	.fsync		= sim_fsync,
	.fallocate	= sim_fallocate,
	.ftruncate	= sim_ftruncate,
	.fadvise	= sim_fadvise,
	.statx		= sim_statx,
	.unlink		= sim_unlink,
	.rename		= sim_rename,
	.mkdir		= sim_mkdir,
	.splice		= sim_splice,
	.pipe		= sim_pipe,
	.close		= sim_close,
	.now		= sim_now,
	.entropy	= sim_entropy,
};
