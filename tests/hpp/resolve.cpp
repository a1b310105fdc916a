// SPDX-License-Identifier: GPL-2.0-only
/*
 * resolve.cpp - names to addresses, and connections by name, from a name server
 * that runs beside on the same loop
 */
#include <array>

#include <weir/hpp/resolve.hpp>

#include "net.hpp"

using weir::Address, weir::MessageOut, weir::MessageRoom, weir::Resolver;

static void expect_good(const Result<void> &result)
{
	EXPECT(result);
	if (!result)
		std::printf("# %s\n", result.error().message().c_str());
}

/* 127.0.0.1 for every question of an A record, none for others; says nothing to "silent". */
static Task<Result<void>> name_server(Socket &socket)
{
	std::array<unsigned char, 512> buf;
	MessageRoom room(buf);

	for (;;) {
		TRY(asked, co_await socket.recvmsg(room));
		size_t len = asked.bytes().size();
		size_t end = 12;

		if (asked.text().find("silent") != std::string_view::npos)
			continue;
		while (end < len && buf[end])
			end += buf[end] + 1u;
		end += 5;
		if (end > len)
			co_return weir::failure(-EBADMSG);

		bool is_a = buf[end - 3] == 1;
		static const unsigned char answer[] = {
			0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1,
		};

		buf[2] = 0x84;
		buf[3] = 0;
		buf[7] = is_a;
		std::fill(buf.begin() + 8, buf.begin() + 12, 0);
		std::copy(std::begin(answer), std::end(answer),
			  buf.begin() + static_cast<ptrdiff_t>(end));
		MessageOut out(weir::Bytes(buf.data(), end + (is_a ? sizeof(answer) : 0)));

		out.set_to(*asked.from());
		TRY_ONLY(co_await socket.sendmsg(out));
	}
}

/* Runs @test with a resolver that asks the name server above, which runs meanwhile. */
template <typename Test>
static void with_server(Loop &loop, Test test)
{
	auto make = [](Loop &loop, Test test) -> Task<Result<void>> {
		Address address;
		TRY(socket, co_await datagrams(loop, &address));
		std::string text = address.text();
		weir_resolver_opts opts = {};

		opts.servers = text.c_str();
		TRY(resolver, Resolver::open(loop, opts));
		auto first = co_await weir::when_any(test(loop, resolver), name_server(socket));
		EXPECT(first.index() == 0);
		co_return std::visit([](auto &result) { return result; }, first);
	};

	if (loop.backend() == "sim"sv) {
		auto none = Resolver::open(loop);

		return EXPECT(!none && none.error() == std::errc::operation_not_supported);
	}
	expect_good(loop.run(make(loop, test)));
}

TEST(a_name_has_addresses)
{
	with_server(loop, [](Loop &, Resolver &resolver) -> Task<Result<void>> {
		TRY(found, co_await resolver.resolve("a.test", 4711));
		EXPECT(found.size() == 1 && found[0].text() == "127.0.0.1:4711");
		auto none = co_await resolver.resolve("a.test", 4711, AF_INET6);
		EXPECT(!none && none.error() == std::errc::no_such_file_or_directory);
		auto bad = co_await resolver.resolve("a..test", 1);
		EXPECT(!bad && bad.error() == std::errc::invalid_argument);
		co_return Result<void>();
	});
}

TEST(a_question_ends_by_its_time_limit_and_by_its_token)
{
	with_server(loop, [](Loop &loop, Resolver &resolver) -> Task<Result<void>> {
		auto late = co_await resolver.resolve("silent.test", 1).with_timeout(20ms);

		EXPECT(!late && late.error() == std::errc::stream_timeout);
		weir::Token token(loop);
		auto cancel = [](Loop &loop, weir::Token &token) -> Task<> {
			(void)co_await loop.sleep(5ms);
			token.cancel();
		};
		auto [ended, done] = co_await weir::gather(
			resolver.resolve("silent.test", 1).with_token(token), cancel(loop, token));
		EXPECT(!ended && ended.error() == std::errc::operation_canceled);
		co_return Result<void>();
	});
}

TEST(a_connection_is_made_by_name)
{
	with_server(loop, [](Loop &loop, Resolver &resolver) -> Task<Result<void>> {
		weir::Listener listener = listen(loop);
		auto [ours, theirs] = co_await weir::gather(
			resolver.connect("b.test", *listener.address().port()), listener.accept());
		TRY(client, std::move(ours));
		TRY(server, std::move(theirs));
		std::array<char, 2> buf;

		TRY_ONLY(co_await client.send_all("hi"sv));
		TRY(n, co_await server.recv_full(buf));
		EXPECT(n == 2);
		co_return Result<void>();
	});
}

TEST(a_resolver_of_bad_options_is_refused)
{
	weir_resolver_opts opts = {};

	opts.servers = "nonsense";
	EXPECT(!Resolver::open(loop, opts));
}
