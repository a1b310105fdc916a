/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * sim.h - inside of the in-memory kernel: one per loop, no thread, no system
 * call on the I/O path, and nothing that two runs with one seed could see
 * differently
 */
#ifndef IO_SIM_H
#define IO_SIM_H

#include "io/backend.h"
#include "io/ready.h"

struct iovec;
struct msghdr;
struct sim_fs;
struct sim_inode;
struct sockaddr;

enum {
	SIM_NONE		= UINT32_MAX,
	/* Descriptors begin here, so that a real system call refuses one that strays. */
	SIM_FD_BASE		= 1 << 20,
	SIM_SOCKET_BYTES	= 1 << 16,
	SIM_SOCKET_BYTES_MAX	= 1 << 24,
	SIM_BACKLOG_MAX		= 4096,		/* net.core.somaxconn */
	SIM_PORT_FIRST		= 32768,	/* net.ipv4.ip_local_port_range */
	SIM_PORT_LAST		= 60999,
	SIM_SPARE		= 16,		/* objects on their way into the file table */
	SIM_PATH_BYTES		= 108,		/* sun_path */
	SIM_DGRAMS		= 512,		/* datagrams in all queues together */
	SIM_DGRAM_BYTES		= 1 << 16,
	SIM_UNIX_QUEUE		= 11,		/* net.unix.max_dgram_qlen, and one more */
	SIM_RIGHTS		= 64,		/* messages in all queues that carry files */
	SIM_RIGHTS_FILES	= 253,		/* SCM_MAX_FD */
	SIM_INODE_BYTES		= 8 << 20,	/* of one file at the most */
	SIM_DISK_NS		= 50000,	/* of each call that takes the disk: 50 us */
	SIM_ACK_MAX_NS		= 40000000,	/* 40 ms: a peer may wait before it acknowledges */
	SIM_DELAY_MAX_S		= 3600,
};

/* The clock begins at a time that no deadline of "never" or "at once" equals. */
#define SIM_EPOCH_NS		(1000 * NSEC_PER_SEC)

/* What chance does, counted: a test can see that it did all of it. */
enum sim_mischief {
	SIM_DELAYED,
	SIM_CUT,		/* a transfer moved less than it could have */
	SIM_REORDERED,
	SIM_LATE,		/* a cancel came too late, or so it seemed */
	SIM_REARMED,		/* a multishot operation ended as with a full queue */
	SIM_MISCHIEFS,
};

/* What an entry of the event queue is due for. */
enum sim_due {
	SIM_DUE_TRY,		/* an op: its delay is over */
	SIM_DUE_DISK,		/* an op: the disk is done with it */
	SIM_DUE_CANCELLED,	/* an op: cancelled during its delay */
	SIM_DUE_LATE,		/* an op: its cancel came too late, or so it seems */
	SIM_DUE_OBJ,		/* an object: tell its readiness, or go on with its connect */
	SIM_DUE_LENT,		/* what is lent: the peer has acknowledged it */
};

/*
 * An entry of the event queue. There is one for each slot of the loop, by
 * op->lib_slot, then one for each object, and one for each that may be lent: it is
 * never full.
 */
struct sim_node {
	uint64_t when_ns;
	uint64_t seq;		/* first in first out at the same instant */
	uint32_t at;		/* place in the heap, or SIM_NONE */
	uint32_t due;		/* enum sim_due */
};

/*
 * An address as a name. IPv4 is mapped into IPv6, as in RFC 4291, 2.5.5.2. One of
 * AF_UNIX is a path, or abstract and begins with a zero byte, or none (0 bytes).
 */
struct sim_addr {
	uint16_t family;	/* as it was given */
	uint16_t port;
	uint32_t path_len;
	union {
		uint8_t ip[16];
		char path[SIM_PATH_BYTES];
	};
};

enum sim_state {
	SIM_FREE,
	SIM_FILE,		/* or a directory */
	SIM_PIPE,		/* an end of one */
	SIM_NEW,		/* a socket, perhaps bound */
	SIM_LISTEN,
	SIM_SYN,		/* connecting */
	SIM_OPEN,		/* connected; the peer may be gone */
	SIM_DGRAM,		/* a datagram socket, whatever is bound or connected */
	SIM_DEAD,		/* reset, or the connect failed */
};

/* Options that something here depends on; the others are kept and told: sim_opt.c */
enum sim_option {
	SIM_REUSEADDR,
	SIM_REUSEPORT,
	SIM_V6ONLY,
	SIM_PASSCRED,
	SIM_TIMESTAMPNS,
	SIM_TIMESTAMPING,
	SIM_UDP_GRO,
	SIM_UDP_SEGMENT,
	SIM_OPTION_OTHERS,
	SIM_OPTIONS_MAX		= 32,
};

/* Objects on their way from one socket to another. */
struct sim_rights {
	uint32_t next;		/* free list, or the next in the same stream */
	uint32_t count;
	uint64_t at;		/* in a stream: with its byte of this number */
	uint32_t objs[SIM_RIGHTS_FILES];
};

/* A datagram in a queue; its bytes are in sim->payload. */
struct sim_dgram {
	uint32_t next;		/* free list, or queue */
	uint32_t len;
	uint32_t segment;	/* size of the datagrams that it is made of, or 0 */
	uint32_t rights;	/* or SIM_NONE */
	uint64_t when_ns;	/* of its arrival */
	struct sim_addr from;
};

/*
 * A file or a socket. A stream socket has one ring: what it received and has
 * not read. What it sends goes straight into its peer's. A datagram socket has
 * a queue.
 */
struct sim_obj {
	uint8_t state;		/* enum sim_state */
	bool armed;		/* somebody waits, or waited, for edges of it */
	bool embryo;		/* in an accept queue */
	bool named;
	bool shared;		/* there are, or were, more descriptors of it than one */
	bool dgram;
	bool connected;		/* of a datagram socket */
	bool crowded;		/* a sender waits for room in its queue of datagrams */
	bool fin;		/* the peer sends no more */
	bool rd_shut;
	bool wr_shut;
	bool nospace;		/* a send found the peer's ring full */
	int32_t err;		/* SO_ERROR: positive */
	uint32_t refs;		/* descriptors, and places in messages */
	uint32_t file;		/* index in the loop's table, once armed */
	uint32_t peer;		/* or SIM_NONE */
	uint32_t next;		/* free list */
	uint32_t head;		/* of the ring */
	uint32_t len;		/* in the ring, or of all datagrams */
	uint64_t taken;		/* bytes that have left the ring */
	uint32_t rights;	/* first message in the ring that carries files */
	uint32_t first;		/* datagram */
	uint32_t queued;	/* of a listener: connections; or datagrams */
	uint32_t backlog;
	int32_t options[SIM_OPTIONS_MAX];
	struct { int32_t on, seconds; } linger;
	struct sim_addr local;
	struct sim_addr remote;
	uint64_t cookie;
	struct weir_link name;	/* on sim->names */
	struct weir_link wait;	/* on sim->syns, or on a listener's queue */
	struct weir_link queue;	/* of a listener: embryos, first come first */
	struct sim_inode *inode;	/* NULL: its disk lost power */
	uint64_t pos;		/* where a splice without an offset goes on */
	int flags;		/* of open(2); of a pipe, which end it is */
};

struct sim {
	struct ready ready;	/* first: see ready.h */
	struct weir_loop *loop;
	struct weir_link delayed;	/* ops not tried yet, by lib_queue */
	uint64_t now_ns;
	uint64_t faults;	/* state of the generator of delays, cuts, errors, choices */
	uint64_t entropy;	/* and of what the program draws: neither shifts the other */
	uint64_t mischief[SIM_MISCHIEFS];
	uint64_t failed[WEIR_OP_MAX];	/* operations, by the table of faults */

	struct sim_node *nodes;
	uint32_t nodes_max;
	uint32_t *heap;
	uint32_t heap_len;
	uint64_t seq;

	struct sim_obj *objs;
	uint32_t objs_max;
	uint32_t obj_free;
	uint32_t objs_used;	/* embryos are not counted */
	uint32_t embryos;
	uint64_t cookies;
	uint32_t port;		/* the next ephemeral one */
	struct weir_link names;	/* bound sockets */
	struct weir_link syns;	/* connects under way */

	unsigned char *rings;	/* objs_max times socket_bytes */
	uint32_t socket_bytes;
	struct sim_dgram *dgrams;
	uint32_t dgram_free;
	unsigned char *payload;	/* SIM_DGRAMS times SIM_DGRAM_BYTES */
	struct sim_rights *rights;
	uint32_t rights_free;
	struct sim_fs *fs;	/* io/sim_fs.h */
};

extern const struct io_sys io_sys_sim;	/* lib/io/sim_sys.c */

static inline struct sim *sim_of(const struct weir_loop *loop)
{
	return loop->priv;
}

/* lib/io/sim_event.c: the event queue, and chance */
int sim_events_open(struct sim *sim);
void sim_events_close(struct sim *sim);
void sim_event_add(struct sim *sim, uint32_t node, enum sim_due due, uint64_t when_ns);
void sim_event_del(struct sim *sim, uint32_t node);
bool sim_event_queued(const struct sim *sim, uint32_t node);
uint64_t sim_event_next_ns(const struct sim *sim);

/* sim_event_pop() - an entry due now that was added before @seq; or SIM_NONE */
uint32_t sim_event_pop(struct sim *sim, uint64_t seq);

/* sim_event_count() - how many are due now */
unsigned int sim_event_count(const struct sim *sim);

/* sim_random() - the next of the generator whose state is @state */
uint64_t sim_random(uint64_t *state);

/* sim_choose() - one of [0, @n), @n > 0 */
uint64_t sim_choose(struct sim *sim, uint64_t n);
uint64_t sim_delay(struct sim *sim);

/* sim_cut() - how much of @len a transfer moves: all, or by chance less but not 0 */
uint32_t sim_cut(struct sim *sim, uint32_t len);

/* sim_chance() - true in @permille of 1000 cases */
bool sim_chance(struct sim *sim, uint32_t permille);

/* sim_does() - the same, and counted */
bool sim_does(struct sim *sim, enum sim_mischief what, uint32_t permille);

/* sim_fault() - by chance an error of the table for @opcode, as -errno; else 0 */
int sim_fault(struct sim *sim, enum weir_opcode opcode);

/* lib/io/sim_obj.c: objects by descriptor, and their edges */
int sim_objs_open(struct sim *sim);
void sim_objs_close(struct sim *sim);
struct sim_obj *sim_obj_new(struct sim *sim, enum sim_state state, bool embryo);
void sim_obj_put(struct sim *sim, struct sim_obj *obj);
struct sim_obj *sim_obj_of(struct sim *sim, int fd);
uint32_t sim_obj_index(const struct sim *sim, const struct sim_obj *obj);
int sim_obj_fd(const struct sim *sim, const struct sim_obj *obj);
uint32_t sim_obj_node(const struct sim *sim, const struct sim_obj *obj);
int sim_obj_arm(struct weir_loop *loop, uint32_t file);

/* sim_obj_room() - may the program have one more? */
bool sim_obj_room(const struct sim *sim);

/* sim_obj_adopt() - @obj leaves the accept queue: it is the program's */
void sim_obj_adopt(struct sim *sim, struct sim_obj *obj);
int sim_close(struct weir_loop *loop, int fd);

/* sim_obj_get() - one more reference; sim_obj_drop() - the last one closes */
void sim_obj_get(struct sim_obj *obj);
void sim_obj_drop(struct sim *sim, struct sim_obj *obj);

/* sim_edge() - @obj may be ready for more than before: tell, after a delay */
void sim_edge(struct sim *sim, struct sim_obj *obj);

/* sim_obj_due() - the delay of an edge or of a connect is over */
void sim_obj_due(struct sim *sim, struct sim_obj *obj);

/* sim_pages() - memory that becomes real when it is touched, or NULL */
void *sim_pages(size_t bytes);
void sim_pages_free(void *pages, size_t bytes);

/* sim_obj_is_tcp() - does a short receive from it leave nothing behind? */
bool sim_obj_is_tcp(const struct sim_obj *obj);

/* lib/io/sim_addr.c: names of sockets */
int sim_addr_read(struct sim_addr *to, const struct sockaddr *addr, uint32_t len);
int sim_addr_write(const struct sim_addr *from, struct sockaddr *addr, uint32_t *len);
void sim_addr_any(struct sim_addr *addr, uint16_t family);
void sim_addr_local(struct sim_addr *addr);
bool sim_addr_same(const struct sim_addr *a, const struct sim_addr *b);
int sim_bind_name(struct sim *sim, struct sim_obj *obj, const struct sim_addr *addr);
bool sim_name_taken(const struct sim *sim, const struct sim_obj *obj,
		    const struct sim_addr *addr, bool listening);
uint16_t sim_port_new(struct sim *sim);

/* sim_name_find() - who has the AF_UNIX name @addr, or NULL */
struct sim_obj *sim_name_find(const struct sim *sim, const struct sim_addr *addr);

/* sim_listener() - who gets a connect to @addr, or NULL */
struct sim_obj *sim_listener(struct sim *sim, const struct sim_addr *addr);

/* sim_receiver() - who gets a UDP datagram to @to from @from, or NULL */
struct sim_obj *sim_receiver(struct sim *sim, const struct sim_addr *to,
			     const struct sim_addr *from);

/* lib/io/sim_net.c, sim_conn.c, sim_stream.c, sim_dgram.c: sockets */
int sim_socket(struct weir_loop *loop, int family, int type, int protocol);
int sim_bind(struct weir_loop *loop, int fd, const struct sockaddr *addr, uint32_t len);
int sim_listen(struct weir_loop *loop, int fd, int backlog);
int sim_getsockname(struct weir_loop *loop, int fd, struct sockaddr *addr, uint32_t *len);
int sim_accept(struct weir_loop *loop, int fd);
int sim_connect(struct weir_loop *loop, int fd, const struct sockaddr *addr, uint32_t len);
int sim_connected(struct weir_loop *loop, int fd);
int sim_recv(struct weir_loop *loop, int fd, void *buf, uint32_t len, int flags);
int sim_send(struct weir_loop *loop, int fd, const void *buf, uint32_t len, int flags);
int sim_recvmsg(struct weir_loop *loop, int fd, struct msghdr *msg, int flags);
int sim_sendmsg(struct weir_loop *loop, int fd, const struct msghdr *msg, int flags);
int sim_poll(struct weir_loop *loop, int fd, uint32_t events);
int sim_shutdown(struct weir_loop *loop, int fd, int how);

/* sim_dup() - one more descriptor of the same object; its number is the same */
int sim_dup(struct weir_loop *loop, int fd);

/* sim_socket_of() - the socket @fd; -EBADF, -ENOTSOCK */
int sim_socket_of(struct sim *sim, int fd, struct sim_obj **objp);

/* sim_take_err() - SO_ERROR as -errno, which is 0 from then on */
int sim_take_err(struct sim_obj *obj);

/* sim_poll_mask() - what poll(2) would say */
uint32_t sim_poll_mask(const struct sim *sim, const struct sim_obj *obj);

/* sim_handshake() - go on with a connect; false: no room at the listener yet */
bool sim_handshake(struct sim *sim, struct sim_obj *obj);

/* sim_retry_syns() - there may be room now, or no listener any more */
void sim_retry_syns(struct sim *sim);

/* sim_listen_end() - refuse those that wait in the queue of @obj */
void sim_listen_end(struct sim *sim, struct sim_obj *obj);

/* sim_reset() - the connection of @obj breaks; its peer learns -ECONNRESET */
void sim_reset(struct sim *sim, struct sim_obj *obj);

/* sim_hang_up() - @obj is about to go away: FIN, or reset if bytes are lost */
void sim_hang_up(struct sim *sim, struct sim_obj *obj);

/* sim_peer() - the other end of a stream, or NULL */
struct sim_obj *sim_peer(const struct sim *sim, const struct sim_obj *obj);

/* sim_breaks() - does this error, as -errno, end a connection? */
bool sim_breaks(int err);

/* What a message brings along, or is to take along. */
struct sim_control {
	uint32_t rights;	/* or SIM_NONE */
	uint32_t segment;
};

/*
 * Transfers, once the socket is known and not in error. @len: of @msg in all.
 * @opcode: whose faults they may have.
 */
int sim_stream_recv(struct sim *sim, struct sim_obj *obj, struct msghdr *msg, uint32_t len,
		    int flags, enum weir_opcode opcode);
int sim_stream_send(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg,
		    uint32_t len, enum weir_opcode opcode);

/* The ring of an object: in, out and away. There must be room, or as many bytes. */
void sim_ring_put(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg, uint32_t len);
void sim_ring_peek(const struct sim *sim, const struct sim_obj *obj, const struct msghdr *msg,
		   uint32_t len);
void sim_ring_drop(const struct sim *sim, struct sim_obj *obj, uint32_t len);
void sim_stream_empty(struct sim *sim, struct sim_obj *obj);
int sim_dgram_recv(struct sim *sim, struct sim_obj *obj, struct msghdr *msg, uint32_t len,
		   int flags, enum weir_opcode opcode);
int sim_dgram_send(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg,
		   uint32_t len, enum weir_opcode opcode);
int sim_dgram_connect(struct sim *sim, struct sim_obj *obj, const struct sim_addr *addr);
uint32_t sim_dgram_mask(const struct sim_obj *obj);

/* sim_dgram_end() - @obj goes: its queue too, and those who send to it are told */
void sim_dgram_end(struct sim *sim, struct sim_obj *obj);
int sim_dgrams_open(struct sim *sim);
void sim_dgrams_close(struct sim *sim);

/* lib/io/sim_lend.c: what the kernel goes on reading after a send */
void sim_lend(struct weir_loop *loop, struct weir_op *op, int res);
void sim_lent_due(struct sim *sim, uint32_t node);

/* lib/io/sim_msg.c: messages in parts, and what they carry beside bytes */
int sim_rights_open(struct sim *sim);
void sim_rights_close(struct sim *sim);
void sim_rights_drop(struct sim *sim, uint32_t rights);

/* sim_control_read() - of a message to be sent; rights are taken hold of */
int sim_control_read(struct sim *sim, const struct sim_obj *obj, const struct msghdr *msg,
		     struct sim_control *control);

/*
 * sim_control_write() - fill in msg_control: @rights (given to the receiver, or
 * only shown if @peek), and of @dgram, if there is one, time and segments
 */
void sim_control_write(struct sim *sim, const struct sim_obj *obj, struct msghdr *msg,
		       uint32_t rights, const struct sim_dgram *dgram, bool peek);

/* sim_iov_put() - to the vector of @msg from its byte @at; sim_iov_get() - from it */
void sim_iov_put(const struct msghdr *msg, uint32_t at, const void *bytes, uint32_t len);
void sim_iov_get(const struct msghdr *msg, uint32_t at, void *bytes, uint32_t len);

/* lib/io/sim_opt.c: options */
int sim_setsockopt(struct weir_loop *loop, int fd, int level, int name,
		   const void *value, uint32_t len);
int sim_getsockopt(struct weir_loop *loop, int fd, int level, int name, void *value,
		   uint32_t *len);

/* lib/io/sim_disk.c */
int sim_files_open(struct sim *sim);
void sim_files_close(struct sim *sim);

/* lib/io/sim_file.c: open files */
void sim_file_close(struct sim_obj *obj);
int sim_read(struct weir_loop *loop, int fd, void *buf, uint32_t len, uint64_t offset);
int sim_write(struct weir_loop *loop, int fd, const void *buf, uint32_t len, uint64_t offset);
int sim_readv(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
	      uint64_t offset);
int sim_writev(struct weir_loop *loop, int fd, const struct iovec *iov, uint32_t count,
	       uint64_t offset);
int sim_fsync(struct weir_loop *loop, int fd, bool data_only);
int sim_fallocate(struct weir_loop *loop, int fd, int mode, uint64_t offset, uint64_t len);
int sim_ftruncate(struct weir_loop *loop, int fd, uint64_t size);
int sim_fadvise(struct weir_loop *loop, int fd, uint64_t offset, uint64_t len, int advice);

/* sim_may_block() - does this op take the disk, or a thread, and may it now? */
bool sim_may_block(struct weir_loop *loop, const struct weir_op *op);

int sim_statx(struct weir_loop *loop, int fd, const char *path, int flags, uint32_t mask,
	      struct statx *buf);

/* lib/io/sim_path.c: paths */
int sim_open(struct weir_loop *loop, const char *path, int flags, unsigned int mode);
int sim_unlink(struct weir_loop *loop, const char *path, int flags);
int sim_rename(struct weir_loop *loop, const char *from, const char *to, uint32_t flags);
int sim_mkdir(struct weir_loop *loop, const char *path, uint32_t mode);

/* lib/io/sim_pipe.c */
int sim_pipe_read(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg, uint32_t len);
int sim_pipe_write(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg, uint32_t len);
uint32_t sim_pipe_mask(const struct sim *sim, const struct sim_obj *obj);
void sim_pipe_close(struct sim *sim, struct sim_obj *obj);
int sim_splice(struct weir_loop *loop, int from, int64_t off_in, int to, int64_t off_out,
	       uint32_t len, uint32_t flags);
int sim_pipe(struct weir_loop *loop, int fds[2]);

#endif /* IO_SIM_H */
