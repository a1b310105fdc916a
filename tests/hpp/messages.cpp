// SPDX-License-Identifier: GPL-2.0-only
/*
 * messages.cpp - datagrams, and what comes beside the bytes
 */
#include <array>

#include "net.hpp"

using weir::Address, weir::File, weir::Message, weir::MessageOut, weir::MessageRoom;

static void expect_good(const Result<void> &result)
{
	EXPECT(result);
	if (!result)
		std::printf("# %s\n", result.error().message().c_str());
}

TEST(a_datagram_tells_where_it_came_from)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		Address here, there;
		TRY(ours, co_await datagrams(loop, &here));
		TRY(theirs, co_await datagrams(loop, &there));
		std::array<char, 8> buf;
		MessageRoom room(buf);
		MessageOut out("hello"sv);

		out.set_to(there);
		TRY(sent, co_await ours.sendmsg(out));
		EXPECT(sent == 5);
		TRY(got, co_await theirs.recvmsg(room));
		EXPECT(got && got.text() == "hello" && !got.truncated());
		EXPECT(got.from() && *got.from() == here && !(*got.from() == there));
		EXPECT(!got.time() && !got.creds() && got.segment() == 5);
		MessageOut more("much too long"sv);

		more.set_to(*got.from());
		TRY_ONLY(co_await theirs.sendmsg(more));
		TRY(cut, co_await ours.recvmsg(room));
		EXPECT(cut.truncated() && cut.text() == "much too");
		EXPECT(cut.from() && *cut.from() == there);
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(messages_into_a_pool_hold_their_buffers)
{
	auto make = [](Loop &loop, weir::Pool &pool) -> Task<Result<void>> {
		Address here, there;
		TRY(ours, co_await datagrams(loop, &here));
		TRY(theirs, co_await datagrams(loop, &there));
		auto stream = theirs.recvmsg(pool, 128);
		std::vector<Message> kept;

		for (char c : "abc"sv) {
			MessageOut out(Bytes(&c, 1));

			out.set_to(there);
			TRY_ONLY(co_await ours.sendmsg(out));
			TRY(got, co_await stream.next());
			EXPECT(got && got.from() && *got.from() == here);
			kept.push_back(std::move(got));
		}
		EXPECT(kept[0].text() == "a" && kept[1].text() == "b" && kept[2].text() == "c");
		co_return Result<void>();
	};
	weir_pool_opts opts = {};

	opts.buf_bytes = 2048;
	opts.count = 16;
	auto pool = loop.pool(opts);

	EXPECT(pool);
	expect_good(loop.run(make(loop, *pool)));
	EXPECT(pool->stats().free == 16);
}

/* Two ends of a Unix socket. */
static Task<Result<Pair>> unix_pair(Loop &loop)
{
	auto address = Address::parse("unix:@weir-hpp-msg-" + std::to_string(getpid()));

	TRY(listener, co_await loop.socket(AF_UNIX, SOCK_STREAM));
	TRY_ONLY(co_await listener.bind(*address));
	TRY_ONLY(co_await listener.listen(4));
	TRY(client, co_await loop.connect(*address));
	TRY(server, co_await listener.accept());
	co_return Pair{std::move(client), std::move(server)};
}

static Task<Result<void>> send_pipe(Loop &loop, Socket &to, File &out)
{
	auto pipe = loop.pipe();
	TRY(fd, co_await pipe->first.install());
	MessageOut message("x"sv);

	TRY_ONLY(message.add_fds(std::span(&fd, 1)));
	TRY_ONLY(co_await to.sendmsg(message));
	/* Closes it, in sim too. */
	TRY(mine, loop.adopt(fd));
	TRY_ONLY(co_await mine.close());
	out = std::move(pipe->second);
	co_return Result<void>();
}

TEST(a_file_goes_with_a_message)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		TRY(pair, co_await unix_pair(loop));
		std::array<char, 8> buf;
		MessageRoom room(buf);
		File out;

		TRY_ONLY(co_await send_pipe(loop, pair.client, out));
		TRY(got, co_await pair.server.recvmsg(room));
		EXPECT(got.text() == "x");
		TRY(files, got.take<File>());
		EXPECT(files.size() == 1);
		TRY_ONLY(co_await out.write_all("through"sv));
		TRY(n, co_await files.at(0).read(buf, 0));
		EXPECT(n == 7 && !std::memcmp(buf.data(), "through", 7));
		auto again = got.take<File>();
		EXPECT(again && again->empty());
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(a_file_of_a_message_that_nobody_takes_is_closed)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		TRY(pair, co_await unix_pair(loop));
		std::array<char, 8> buf;
		MessageRoom room(buf);
		File out;

		TRY_ONLY(co_await send_pipe(loop, pair.client, out));
		TRY_ONLY(co_await pair.server.recvmsg(room));
		/* No end to read from is open any more. */
		auto broken = co_await out.write("y"sv, 0).with_timeout(10s);
		EXPECT(!broken && broken.error() == std::errc::broken_pipe);
		TRY_ONLY(co_await pair.client.close());
		TRY(end, co_await pair.server.recvmsg(room));
		EXPECT(end.bytes().empty() && !end.from());
		co_return Result<void>();
	};

	std::signal(SIGPIPE, SIG_IGN);
	expect_good(loop.run(make(loop)));
}

TEST(addresses_are_values)
{
	auto one = Address::parse("127.0.0.1:80"), other = Address::parse("[::1]:80");

	EXPECT(one && other && !(*one == *other) && one->port() && *one->port() == 80);
	EXPECT(one->set_port(81) && one->text() == "127.0.0.1:81");
	EXPECT(!Address::parse("unix:/x")->port() && !Address::from(nullptr, 0));
	auto local = Address::resolve("127.0.0.1", 81);

	EXPECT(local && local->size() == 1 && local->at(0) == *one);
	EXPECT(!Address::resolve("", 1));
}
