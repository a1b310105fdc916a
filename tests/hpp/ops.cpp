// SPDX-License-Identifier: GPL-2.0-only
/*
 * ops.cpp - every operation, awaited
 */
#include <array>

#include <netinet/in.h>
#include <poll.h>
#include <sys/stat.h>

#include "net.hpp"

using weir::gather;

/* A socket that listens, made by operations alone. */
static Task<Result<Socket>> listening(Loop &loop, weir::Address *address)
{
	TRY(socket, co_await loop.socket(AF_INET, SOCK_STREAM));
	int on = 1, set = 0;

	TRY_ONLY(co_await socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, std::span(&on, 1)));
	TRY_ONLY(co_await socket.set_option(WEIR_OPTION_NODELAY, 1));
	TRY_ONLY(co_await socket.get_option(WEIR_OPTION_NODELAY, &set));
	EXPECT(set == 1);
	/* A port that was free a moment ago. */
	*address = listen(loop).address();
	EXPECT(co_await loop.sleep(1ms));
	TRY_ONLY(co_await socket.bind(*address));
	TRY_ONLY(co_await socket.listen(16));
	co_return std::move(socket);
}

static Task<Result<Pair>> connected(Loop &loop)
{
	weir::Address address;
	TRY(listener, co_await listening(loop, &address));
	auto [ours, theirs] = co_await gather(loop.connect(address), listener.accept());

	TRY(client, std::move(ours));
	TRY(server, std::move(theirs));
	co_return Pair{std::move(client), std::move(server)};
}

template <typename T>
static void expect_good(const Result<T> &result)
{
	if (!result)
		std::printf("# %s\n", result.error().message().c_str());
	EXPECT(result);
}

TEST(sockets_are_made_bound_listened_to_and_connected)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		TRY(pair, co_await connected(loop));
		TRY_ONLY(co_await pair.client.send_all("by operations"sv));
		std::array<char, 13> room;
		TRY(got, co_await pair.server.recv_full(room));

		EXPECT(got == 13 && std::string_view(room.data(), 13) == "by operations");
		co_return co_await pair.client.close();
	};

	expect_good(loop.run(make(loop)));
}

TEST(accept_multi_brings_client_after_client)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		weir::Address address;
		TRY(listener, co_await listening(loop, &address));
		auto clients = listener.accept_multi(16);

		for (int i = 0; i < 5; i++) {
			TRY(client, co_await loop.connect(address));
			TRY(server, co_await clients.next());
			char byte = 'a';

			TRY_ONLY(co_await server.send(std::span(&byte, 1)));
			TRY(n, co_await client.recv(std::span(&byte, 1)));
			EXPECT(n == 1);
		}
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(connect_of_a_socket_of_ones_own)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		weir::Listener listener = listen(loop);
		weir::Address address = listener.address();
		TRY(socket, co_await loop.socket(AF_INET, SOCK_STREAM));
		auto [there, server] = co_await gather(socket.connect(address), listener.accept());

		EXPECT(there && server);
		int kind = 0;
		TRY(size, co_await socket.getsockopt(SOL_SOCKET, SO_TYPE, std::span(&kind, 1)));
		EXPECT(size == sizeof(kind) && kind == SOCK_STREAM);
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(messages_of_several_parts)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		TRY(pair, co_await connected(loop));
		std::string one = "one", two = "two", room(6, ' ');
		std::array<iovec, 2> out = {iovec{one.data(), 3}, iovec{two.data(), 3}};
		std::array<iovec, 1> in = {iovec{room.data(), room.size()}};
		msghdr message = {}, reply = {};

		message.msg_iov = out.data();
		message.msg_iovlen = out.size();
		reply.msg_iov = in.data();
		reply.msg_iovlen = in.size();
		TRY(sent, co_await pair.client.sendmsg(&message));
		TRY(got, co_await pair.server.recvmsg(&reply));
		EXPECT(sent == 6 && got == 6 && room == "onetwo");
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(a_name_of_a_unix_socket_is_an_address_too)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		auto address = weir::Address::parse("unix:@weir-hpp-" + std::to_string(getpid()));

		EXPECT(address);
		TRY(listener, co_await loop.socket(AF_UNIX, SOCK_STREAM));
		TRY_ONLY(co_await listener.bind(*address));
		TRY_ONLY(co_await listener.listen(4));
		TRY(client, co_await loop.connect(*address));
		TRY(server, co_await listener.accept());
		char byte = 'u';

		TRY_ONLY(co_await client.send(std::span(&byte, 1)));
		TRY(n, co_await server.recv(std::span(&byte, 1)));
		EXPECT(n == 1 && byte == 'u');
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(poll_tells_what_is_ready)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		TRY(pair, co_await connected(loop));
		TRY(out, co_await pair.client.poll(POLLOUT));
		EXPECT(out & POLLOUT);
		auto [in, sent] = co_await gather(pair.server.poll(POLLIN),
						  pair.client.send("x"sv));
		TRY(events, in);
		EXPECT(sent && events & POLLIN);
		auto edges = loop.poll_multi(pair.server, POLLIN);
		TRY(edge, co_await edges.next());
		EXPECT(edge & POLLIN);
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

/* A name of its own for each backend, in the directory of the test. */
static std::string name(Loop &loop, const char *what)
{
	return "hpp-"s + loop.backend() + "-" + what;
}

TEST(files_are_written_read_measured_moved_and_removed)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		std::string from = name(loop, "from"), to = name(loop, "to");
		std::string out(10000, 'f'), in(20000, ' ');
		struct statx about;

		{
			TRY(file, co_await loop.open(from, O_RDWR | O_CREAT | O_TRUNC, 0600));
			TRY_ONLY(co_await file.write_all(out, 0));
			TRY_ONLY(co_await file.fdatasync());
			TRY_ONLY(co_await file.fsync());
			TRY(got, co_await file.read_full(in, 0));
			EXPECT(got == 10000 && in.compare(0, 10000, out) == 0);
			TRY_ONLY(co_await file.ftruncate(5000));
			TRY_ONLY(co_await file.statx(STATX_SIZE, &about));
			EXPECT(about.stx_size == 5000);
			TRY_ONLY(co_await file.fallocate(0, 0, 8192));
			TRY_ONLY(co_await file.fadvise(0, 0, POSIX_FADV_SEQUENTIAL));
			TRY_ONLY(co_await file.close());
			EXPECT(!file);
		}
		TRY_ONLY(co_await loop.rename(from, to));
		TRY_ONLY(co_await loop.statx(to, 0, STATX_SIZE, &about));
		EXPECT(about.stx_size == 8192);
		EXPECT(co_await loop.open(from, O_RDONLY) == weir::failure(-ENOENT));
		TRY_ONLY(co_await loop.unlink(to));
		EXPECT(co_await loop.unlink(to) == weir::failure(-ENOENT));
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(vectors_are_written_and_read)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		std::string path = name(loop, "vector"), a = "first ", b = "second", in(12, ' ');
		std::array<iovec, 2> out = {iovec{a.data(), 6}, iovec{b.data(), 6}};
		std::array<iovec, 2> back = {iovec{in.data(), 4}, iovec{in.data() + 4, 8}};
		TRY(file, co_await loop.open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));

		TRY(written, co_await file.writev(out, 100));
		TRY(read, co_await file.readv(back, 100));
		EXPECT(written == 12 && read == 12 && in == "first second");
		co_return co_await loop.unlink(path);
	};

	expect_good(loop.run(make(loop)));
}

TEST(directories_are_made_and_removed)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		std::string path = name(loop, "dir");

		TRY_ONLY(co_await loop.mkdir(path));
		EXPECT(co_await loop.mkdir(path) == weir::failure(-EEXIST));
		co_return co_await loop.unlink(path, AT_REMOVEDIR);
	};

	expect_good(loop.run(make(loop)));
}

TEST(a_pipe_is_read_and_spliced)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		std::string path = name(loop, "spliced"), in(6, ' ');
		TRY(pipe, loop.pipe());
		TRY(file, co_await loop.open(path, O_RDWR | O_CREAT | O_TRUNC, 0600));

		TRY(written, co_await pipe.second.write("spliced"sv, 0));
		TRY(moved, co_await loop.splice(pipe.first, -1, file, 0, 6));
		EXPECT(written == 7 && moved == 6);
		TRY(got, co_await file.read_full(in, 0));
		EXPECT(got == 6 && in == "splice");
		co_return co_await loop.unlink(path);
	};

	expect_good(loop.run(make(loop)));
}

TEST(install_gives_a_plain_descriptor)
{
	auto make = [](Loop &loop) -> Task<Result<int>> {
		TRY(pair, co_await connected(loop));

		co_return co_await pair.client.install();
	};
	auto fd = loop.run(make(loop));

	expect_good(fd);
	/* That of the simulated kernel is none of this process. */
	EXPECT(fd && (close(*fd) == 0) == (loop.backend() != "sim"sv));
}

TEST(a_descriptor_can_be_adopted)
{
	int fds[2];

	EXPECT(pipe(fds) == 0);

	auto from = loop.adopt(fds[0]);
	auto make = [](weir::File &file) -> Task<Result<size_t>> {
		std::array<char, 8> room;

		co_return co_await file.read(room, 0).with_timeout(10s);
	};

	if (loop.backend() == "sim"sv) {
		EXPECT(from.error() == std::errc::operation_not_supported);
		return;
	}
	expect_good(from);
	EXPECT(write(fds[1], "adopted", 7) == 7);

	auto got = loop.run(make(*from));

	expect_good(got);
	EXPECT(got && *got == 7);
}

TEST(a_file_that_goes_out_of_scope_is_closed)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		for (int i = 0; i < 100; i++) {
			TRY(file, co_await loop.open(name(loop, "scope"), O_RDWR | O_CREAT, 0600));
			EXPECT(file);
		}
		co_return co_await loop.unlink(name(loop, "scope"));
	};

	expect_good(loop.run(make(loop)));
	EXPECT(loop.run());
	EXPECT(loop.stats().files == 0);
}

TEST(a_released_file_stays_open)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		TRY(file, co_await loop.open(name(loop, "left"), O_RDWR | O_CREAT, 0600));
		weir_file left = file.release();

		EXPECT(!file && weir_file_valid(loop.raw(), left));
		TRY_ONLY(co_await loop.unlink(name(loop, "left")));
		co_return co_await loop.close(left);
	};

	expect_good(loop.run(make(loop)));
}

TEST(bad_input_is_refused_by_the_operation)
{
	auto make = [](Loop &loop) -> Task<void> {
		weir::Socket none;
		char byte = 0;

		EXPECT(co_await loop.send(none, std::span(&byte, 1)) == weir::failure(-EBADF));
		EXPECT(co_await loop.send(none, Bytes(), 1 << 30) == weir::failure(-EBADF));
		EXPECT(weir::Address::parse("nonsense").error() == std::errc::invalid_argument);
		EXPECT(co_await loop.open(nullptr, O_RDONLY) == weir::failure(-EFAULT));
	};

	EXPECT(loop.run(make(loop)));
}

TEST(a_loop_of_bad_options_is_refused)
{
	weir_loop_opts opts = {};

	EXPECT(Loop::open("none").error() == std::errc::invalid_argument);
	opts.ops_max = 1u << 31;
	EXPECT(Loop::open(opts).error() == std::errc::invalid_argument);
}
