// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_transfer.c - exact reads and writes, and files into sockets
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include <weir/call.h>
#include <weir/transfer.h>

#include "backends.h"
#include "files.h"
#include "kselftest_harness.h"

enum { BYTES = 300000 };

static unsigned char out[BYTES], in[BYTES];

/* One for each end of a transfer, whichever it is. */
struct told {
	unsigned int ends;
	unsigned int steps;
};

FIXTURE(transfer)
{
	struct weir_loop *loop;
	struct weir_file file;
	struct weir_file rd;
	struct weir_file wr;
	char path[TEMP_PATH];
	struct weir_exact read;
	struct weir_exact write;
	struct weir_sendfile sf;
	struct told told;
	struct told other;
	struct server server;
};

BACKEND_VARIANTS(transfer);

static void exact_done(struct weir_exact *exact)
{
	((struct told *)exact->ctx)->ends++;
}

static void exact_step(struct weir_exact *exact)
{
	((struct told *)exact->ctx)->steps++;
}

static void sendfile_done(struct weir_sendfile *sf)
{
	((struct told *)sf->ctx)->ends++;
}

static void sendfile_step(struct weir_sendfile *sf)
{
	((struct told *)sf->ctx)->steps++;
}

FIXTURE_SETUP(transfer)
{
	struct weir_sim_opts sim = { .sz = sizeof(sim), .short_permille = 500,
				     .delay_max_ns = 1000 };
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .files_max = 12, .sim = &sim,
	};
	unsigned int i;

	OPEN_LOOP(&self->loop, &opts);
	for (i = 0; i < BYTES; i++)
		out[i] = (unsigned char)(i * 31 + i / 251);
	memset(in, 0, sizeof(in));
	ASSERT_EQ(0, temp_open(self->loop, self->path, &self->file));
	ASSERT_EQ(0, weir_pipe_open(self->loop, &self->rd, &self->wr));
	self->read = (struct weir_exact){
		.done = exact_done, .progress = exact_step, .ctx = &self->told,
		.file = self->file, .buf = in, .len = BYTES,
	};
	self->write = self->read;
	self->write.buf = out;
	self->sf = (struct weir_sendfile){
		.done = sendfile_done, .progress = sendfile_step, .ctx = &self->other,
		.from = self->file, .len = UINT64_MAX,
	};
}

FIXTURE_TEARDOWN(transfer)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	unlink(self->path);
}

#define RUN_EXACT(self, how, exact, want)				\
	do {								\
		unsigned int ends_before = (self)->told.ends;		\
									\
		how((self)->loop, exact);				\
		RUN_UNTIL((self)->loop, (self)->told.ends > ends_before);	\
		EXPECT_EQ(want, (exact)->res);				\
	} while (0)

TEST_F(transfer, all_is_written_and_all_is_read)
{
	self->write.step_bytes = 70000;
	RUN_EXACT(self, weir_write_all, &self->write, 0);
	EXPECT_EQ(BYTES, self->write.moved);
	EXPECT_LE(4, self->told.steps);
	RUN_EXACT(self, weir_read_exact, &self->read, 0);
	EXPECT_EQ(BYTES, self->read.moved);
	EXPECT_EQ(0, memcmp(in, out, BYTES));
	EXPECT_EQ(2, self->told.ends);
}

TEST_F(transfer, a_file_that_ends_too_soon_says_so_and_how_much_there_was)
{
	self->write.len = 1000;
	RUN_EXACT(self, weir_write_all, &self->write, 0);
	self->read.offset = 100;
	RUN_EXACT(self, weir_read_exact, &self->read, -ENODATA);
	EXPECT_EQ(900, self->read.moved);
	EXPECT_EQ(0, memcmp(in, out + 100, 900));
}

TEST_F(transfer, a_step_may_be_as_long_as_one_likes)
{
	RUN_EXACT(self, weir_write_all, &self->write, 0);
	/* More than one operation takes, and than there is. */
	self->read.len = UINT32_MAX;
	self->read.step_bytes = UINT32_MAX;
	RUN_EXACT(self, weir_read_exact, &self->read, -ENODATA);
	EXPECT_EQ(BYTES, self->read.moved);
	EXPECT_EQ(0, memcmp(in, out, BYTES));
}

TEST_F(transfer, nothing_is_wanted_and_nothing_moved)
{
	self->write.len = 0;
	RUN_EXACT(self, weir_write_all, &self->write, 0);
	self->read.len = 0;
	RUN_EXACT(self, weir_read_exact, &self->read, 0);
}

TEST_F(transfer, what_does_not_fit_into_a_pipe_is_written_as_it_is_read)
{
	self->write.file = self->wr;
	self->write.offset = WEIR_NO_OFFSET;
	self->write.ctx = &self->other;
	weir_write_all(self->loop, &self->write);
	self->read.file = self->rd;
	self->read.offset = WEIR_NO_OFFSET;
	RUN_EXACT(self, weir_read_exact, &self->read, 0);
	EXPECT_EQ(0, memcmp(in, out, BYTES));
	EXPECT_LE(3, self->told.steps);
	RUN_UNTIL(self->loop, self->other.ends);
	EXPECT_EQ(0, self->write.res);
}

TEST_F(transfer, what_a_socket_does_not_take_at_once_is_written_as_it_is_read)
{
	struct weir_file client, accepted;

	ASSERT_EQ(0, server_open(self->loop, &self->server, 1));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	self->write.file = accepted;
	self->write.offset = WEIR_NO_OFFSET;
	self->write.ctx = &self->other;
	weir_write_all(self->loop, &self->write);
	self->read.file = client;
	self->read.offset = WEIR_NO_OFFSET;
	self->read.step_bytes = 70000;
	RUN_EXACT(self, weir_read_exact, &self->read, 0);
	EXPECT_EQ(0, memcmp(in, out, BYTES));
	EXPECT_LE(4, self->told.steps);
	RUN_UNTIL(self->loop, self->other.ends);
	EXPECT_EQ(0, self->write.res);
	EXPECT_EQ(BYTES, self->write.moved);
	ASSERT_EQ(0, do_close(self->loop, accepted));
	RUN_EXACT(self, weir_read_exact, &self->read, -ENODATA);
}

TEST_F(transfer, writing_to_a_socket_that_was_shut_down_is_an_error_where_sigpipe_is_ignored)
{
	struct weir_file client, accepted;

	signal(SIGPIPE, SIG_IGN);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 1));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	ASSERT_EQ(0, weir_call_shutdown(self->loop, client, SHUT_WR, 0));
	self->write.file = client;
	self->write.offset = WEIR_NO_OFFSET;
	RUN_EXACT(self, weir_write_all, &self->write, -EPIPE);
	EXPECT_EQ(0, self->write.moved);
}

TEST_F(transfer, a_call_receives_all_that_was_wanted_or_says_that_the_stream_ended)
{
	struct weir_file client, accepted;

	ASSERT_EQ(0, server_open(self->loop, &self->server, 1));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	self->write.file = accepted;
	self->write.offset = WEIR_NO_OFFSET;
	weir_write_all(self->loop, &self->write);
	ASSERT_EQ(0, weir_call_recv_exact(self->loop, client, in, BYTES, 0));
	EXPECT_EQ(0, memcmp(in, out, BYTES));
	RUN_UNTIL(self->loop, self->told.ends);
	ASSERT_EQ(0, weir_call_send_all(self->loop, accepted, "abc", 3, 0));
	ASSERT_EQ(0, do_close(self->loop, accepted));
	EXPECT_EQ(-ENODATA, weir_call_recv_exact(self->loop, client, in, 4, 0));
	EXPECT_EQ(0, memcmp(in, "abc", 3));
	EXPECT_EQ(-EBADF, weir_call_recv_exact(self->loop, accepted, in, 1, 0));
}

TEST_F(transfer, one_that_waits_is_cancelled_and_tells_what_was_moved)
{
	ASSERT_EQ(3, do_write(self->loop, self->wr, "abc", 3, 0));
	self->read.file = self->rd;
	self->read.offset = WEIR_NO_OFFSET;
	weir_read_exact(self->loop, &self->read);
	RUN_UNTIL(self->loop, self->read.moved == 3);
	weir_exact_cancel(&self->read);
	RUN_UNTIL(self->loop, self->told.ends);
	EXPECT_EQ(-ECANCELED, self->read.res);
	EXPECT_EQ(3, self->read.moved);
}

TEST_F(transfer, a_deadline_is_that_of_the_whole)
{
	self->read.file = self->rd;
	self->read.offset = WEIR_NO_OFFSET;
	self->read.deadline_ns = weir_loop_now(self->loop) + 5 * NSEC_PER_MSEC;
	RUN_EXACT(self, weir_read_exact, &self->read, -ETIME);
}

TEST_F(transfer, errors_are_told)
{
	ASSERT_EQ(0, do_close(self->loop, self->file));
	RUN_EXACT(self, weir_read_exact, &self->read, -EBADF);
	RUN_EXACT(self, weir_write_all, &self->write, -EBADF);
	self->read.file = self->rd;
	self->read.buf = NULL;
	RUN_EXACT(self, weir_read_exact, &self->read, -EFAULT);
}

/* Send the file into the pipe's or socket's end @to and read it from @from. */
static void send_through(struct weir_loop *loop, struct weir_sendfile *sf,
			 struct weir_exact *read, struct weir_file to, struct weir_file from)
{
	sf->to = to;
	read->file = from;
	read->offset = WEIR_NO_OFFSET;
	weir_sendfile_start(loop, sf);
	weir_read_exact(loop, read);
}

TEST_F(transfer, a_file_is_sent_to_a_socket)
{
	struct weir_file client, accepted;

	RUN_EXACT(self, weir_write_all, &self->write, 0);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 1));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	send_through(self->loop, &self->sf, &self->read, accepted, client);
	RUN_UNTIL(self->loop, self->told.ends == 2 && self->other.ends);
	EXPECT_EQ(0, self->sf.res);
	EXPECT_EQ(BYTES, self->sf.sent);
	EXPECT_LT(0, self->other.steps);
	EXPECT_EQ(0, self->read.res);
	EXPECT_EQ(0, memcmp(in, out, BYTES));
}

TEST_F(transfer, part_of_a_file_is_sent_and_the_pipe_is_used_again)
{
	uint64_t files;
	unsigned int i;

	RUN_EXACT(self, weir_write_all, &self->write, 0);
	self->sf.offset = 1000;
	self->sf.len = 5000;
	self->read.len = 5000;
	for (i = 0; i < 3; i++) {
		send_through(self->loop, &self->sf, &self->read, self->wr, self->rd);
		RUN_UNTIL(self->loop, self->told.ends == i + 2 && self->other.ends == i + 1);
		EXPECT_EQ(0, self->sf.res);
		EXPECT_EQ(5000, self->sf.sent);
		EXPECT_EQ(0, memcmp(in, out + 1000, 5000));
		files = i ? files : stats_of(self->loop).files;
		EXPECT_EQ(files, stats_of(self->loop).files);
	}
}

TEST_F(transfer, a_file_shorter_than_asked_for_is_sent_to_its_end)
{
	self->write.len = 10;
	RUN_EXACT(self, weir_write_all, &self->write, 0);
	self->sf.len = 1000;
	self->read.len = 10;
	send_through(self->loop, &self->sf, &self->read, self->wr, self->rd);
	RUN_UNTIL(self->loop, self->told.ends == 2 && self->other.ends);
	EXPECT_EQ(0, self->sf.res);
	EXPECT_EQ(10, self->sf.sent);
}

TEST_F(transfer, one_that_is_cancelled_in_the_middle_leaves_no_bytes_to_the_next)
{
	uint64_t files = stats_of(self->loop).files;

	RUN_EXACT(self, weir_write_all, &self->write, 0);
	/* Nobody reads: it fills the pipe, and then its own. */
	self->sf.to = self->wr;
	weir_sendfile_start(self->loop, &self->sf);
	RUN_UNTIL(self->loop, self->sf.sent >= 65536);
	ASSERT_LE(0, weir_loop_run_once(self->loop, NSEC_PER_MSEC));
	weir_sendfile_cancel(&self->sf);
	RUN_UNTIL(self->loop, self->other.ends);
	EXPECT_EQ(-ECANCELED, self->sf.res);
	EXPECT_EQ(files, stats_of(self->loop).files);
	self->read.file = self->rd;
	self->read.offset = WEIR_NO_OFFSET;
	self->read.len = self->sf.sent;
	RUN_EXACT(self, weir_read_exact, &self->read, 0);
	EXPECT_EQ(0, memcmp(in, out, self->sf.sent));
}

/* Fill the pipe: nothing more goes into it. */
static void fill(struct weir_loop *loop, struct weir_exact *write, const struct told *told)
{
	weir_write_all(loop, write);
	while (weir_loop_run_once(loop, NSEC_PER_MSEC) > 0)
		;
	weir_exact_cancel(write);
	while (!told->ends && !run_turn(loop))
		;
}

TEST_F(transfer, one_that_is_cancelled_at_any_step_ends_though_nobody_reads)
{
	struct weir_sim_opts sim = { .sz = sizeof(sim), .late_permille = 1000 };
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim", .sim = &sim };
	unsigned int i, step;

	/* On sim every cancel is late: what it was meant for ends well. */
	if (on_sim(self->loop)) {
		EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
		ASSERT_EQ(0, weir_loop_open(&self->loop, &opts));
		ASSERT_EQ(0, do_open(self->loop, "/f", O_RDWR | O_CREAT, &self->file));
		ASSERT_EQ(0, weir_pipe_open(self->loop, &self->rd, &self->wr));
		self->sf.from = self->file;
		self->write.file = self->file;
	}
	RUN_EXACT(self, weir_write_all, &self->write, 0);
	self->write.file = self->wr;
	self->write.offset = WEIR_NO_OFFSET;
	self->told.ends = 0;
	fill(self->loop, &self->write, &self->told);
	ASSERT_EQ(-ECANCELED, self->write.res);
	self->sf.to = self->wr;
	for (i = 0; i < 200; i++) {
		weir_sendfile_start(self->loop, &self->sf);
		for (step = 0; step < i % 4; step++)
			ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
		weir_sendfile_cancel(&self->sf);
		RUN_UNTIL(self->loop, self->other.ends == i + 1);
		ASSERT_EQ(-ECANCELED, self->sf.res);
		ASSERT_EQ(0, self->sf.sent);
	}
}

TEST_F(transfer, a_reader_that_is_gone_is_an_error_and_no_signal)
{
	self->write.len = 1000;
	RUN_EXACT(self, weir_write_all, &self->write, 0);
	ASSERT_EQ(0, do_close(self->loop, self->rd));
	self->sf.to = self->wr;
	weir_sendfile_start(self->loop, &self->sf);
	RUN_UNTIL(self->loop, self->other.ends);
	EXPECT_EQ(-EPIPE, self->sf.res);
	EXPECT_EQ(0, self->sf.sent);
}

TEST_F(transfer, without_room_for_a_pipe_it_fails)
{
	struct weir_file file;
	int err = 0;

	while (!err)
		err = do_open(self->loop, self->path, O_RDONLY, &file);
	ASSERT_EQ(-ENFILE, err);
	self->sf.to = self->wr;
	weir_sendfile_start(self->loop, &self->sf);
	EXPECT_EQ(0, self->other.ends);
	RUN_UNTIL(self->loop, self->other.ends);
	EXPECT_EQ(-ENFILE, self->sf.res);
}

TEST_F(transfer, what_cannot_be_spliced_fails_or_goes_through_the_buffer)
{
	static unsigned char buf[4096];

	self->sf.from = self->rd;
	self->sf.to = self->wr;
	weir_sendfile_start(self->loop, &self->sf);
	RUN_UNTIL(self->loop, self->other.ends);
	EXPECT_EQ(-ESPIPE, self->sf.res);
	if (on_sim(self->loop))
		return;
	/* Files of /proc that are made up as they are read cannot be spliced. */
	ASSERT_EQ(0, do_open(self->loop, "/proc/self/environ", O_RDONLY, &self->sf.from));
	weir_sendfile_start(self->loop, &self->sf);
	RUN_UNTIL(self->loop, self->other.ends == 2);
	EXPECT_EQ(-EINVAL, self->sf.res);
	self->sf.buf = buf;
	self->sf.buf_bytes = sizeof(buf);
	weir_sendfile_start(self->loop, &self->sf);
	RUN_UNTIL(self->loop, self->other.ends == 3);
	EXPECT_EQ(0, self->sf.res);
	EXPECT_LT(0, self->sf.sent);
}

TEST_HARNESS_MAIN
