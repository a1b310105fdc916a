// SPDX-License-Identifier: GPL-2.0-only
/*
 * calls.cpp - races, exact transfers, files into sockets
 */
#include <array>

#include "net.hpp"

using weir::Address, weir::File, weir::gather, weir::when_any;

static void expect_good(const Result<void> &result)
{
	EXPECT(result);
	if (!result)
		std::printf("# %s\n", result.error().message().c_str());
}

/* An address nobody listens at any more. */
static Task<Result<Address>> deserted(Loop &loop)
{
	uint64_t files = loop.stats().files;
	Address address = listen(loop).address();

	while (loop.stats().files > files)
		TRY_ONLY(co_await loop.sleep(1ms));
	co_return address;
}

static std::vector<char> numbers(size_t count)
{
	std::vector<char> all(count);

	for (size_t i = 0; i < count; i++)
		all[i] = static_cast<char>(i * 7 + i / 251);
	return all;
}

static Task<Result<File>> file_of(Loop &loop, const std::string &name,
				  const std::vector<char> &bytes)
{
	TRY(file, co_await loop.open(name, O_RDWR | O_CREAT | O_TRUNC));
	TRY_ONLY(co_await file.write_all(bytes, 0));
	co_return std::move(file);
}

TEST(a_race_is_won_by_the_address_that_answers)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		TRY(nobody, co_await deserted(loop));
		weir::Listener listener = listen(loop);
		std::array addresses = {nobody, listener.address()};
		auto [won, theirs] = co_await gather(loop.race(addresses), listener.accept());
		TRY(client, std::move(won));
		TRY(server, std::move(theirs));
		std::array<char, 5> buf;

		TRY_ONLY(co_await client.send_all("hello"sv));
		TRY(n, co_await server.recv_full(buf));
		EXPECT(n == 5 && !std::memcmp(buf.data(), "hello", 5));
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(a_race_that_nobody_can_win_tells_why)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		TRY(nobody, co_await deserted(loop));
		std::vector<Address> addresses(2, nobody);
		auto lost = co_await loop.race(addresses);

		EXPECT(!lost && lost.error() == std::errc::connection_refused);
		addresses.clear();
		lost = co_await loop.race(addresses);
		EXPECT(!lost && lost.error() == std::errc::invalid_argument);
		addresses.assign(WEIR_RACE_MAX + 1, nobody);
		lost = co_await loop.race(addresses);
		EXPECT(!lost && lost.error() == std::errc::argument_list_too_long);
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(a_race_ends_by_its_time_limit_and_by_its_token)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		weir::Listener listener = listen(loop);
		std::array addresses = {listener.address()};
		weir::Token token(loop);
		auto late = co_await loop.race(addresses).with_timeout(-1ns);

		EXPECT(!late && late.error() == std::errc::stream_timeout);
		token.cancel();
		late = co_await loop.race(addresses).with_token(token);
		EXPECT(!late && late.error() == std::errc::operation_canceled);
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

/* What is connected and not wanted any more must not stay open. */
TEST(connections_that_nobody_takes_are_closed)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		weir::Listener listener = listen(loop);
		Address address = listener.address();
		std::array addresses = {address};
		uint64_t files = loop.stats().files, most = 0;

		for (int i = 0; i < 20; i++) {
			auto first = co_await when_any(loop.connect(address), loop.connect(address),
						       loop.race(addresses), loop.race(addresses));

			EXPECT(std::visit([](auto &won) { return won.has_value(); }, first));
			most = std::max(most, loop.stats().files);
		}
		EXPECT(most > files);
		/* Their other ends, until the listener is asked no more. */
		for (;;) {
			auto theirs = co_await listener.accept().with_timeout(50ms);

			if (!theirs)
				break;
		}
		EXPECT(loop.stats().files == files);
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(a_file_is_sent_whole_and_in_part)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		std::string name = "hpp-"s + loop.backend() + "-sent";
		std::vector<char> bytes = numbers(300000), room(200000), got(bytes.size());
		TRY(file, co_await file_of(loop, name, bytes));
		weir::Listener listener = listen(loop);
		TRY(pair, co_await connect(loop, listener));
		uint64_t steps = 0, last = 0;
		auto tell = [&](uint64_t sent) { steps++; EXPECT(sent >= last); last = sent; };
		auto [sent, read] = co_await gather(
			pair.client.sendfile(file).with_room(room).with_progress(tell),
			pair.server.recv_full(got));

		EXPECT(sent && *sent == bytes.size() && read && *read == bytes.size());
		EXPECT(got == bytes && steps > 0 && last <= bytes.size());
		auto [part, tail] = co_await gather(pair.client.sendfile(file, 299000, 5000),
						    pair.server.recv_full(std::span(got).first(1000)));
		EXPECT(part && *part == 1000 && tail && *tail == 1000);
		EXPECT(std::equal(got.begin(), got.begin() + 1000, bytes.end() - 1000));
		TRY_ONLY(co_await loop.unlink(name));
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(a_file_that_is_not_taken_is_given_up_in_time)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		std::string name = "hpp-"s + loop.backend() + "-stuck";
		TRY(file, co_await file_of(loop, name, numbers(8 << 20)));
		weir::Listener listener = listen(loop);
		TRY(pair, co_await connect(loop, listener));
		auto late = co_await pair.client.sendfile(file).with_timeout(30ms);

		EXPECT(!late && late.error() == std::errc::stream_timeout);
		TRY_ONLY(co_await loop.unlink(name));
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST(exact_transfers_tell_how_far_they_are)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		auto [from, to] = *loop.pipe();
		std::vector<char> bytes = numbers(500000), got(bytes.size() + 1);
		uint64_t steps = 0;
		auto write = [](File to, const std::vector<char> &bytes) -> Task<Result<void>> {
			TRY_ONLY(co_await to.write_all(bytes));
			co_return co_await to.close();
		};
		auto [wrote, read] = co_await gather(
			write(std::move(to), bytes),
			from.read_full(got).with_progress([&](uint64_t) { steps++; }));

		/* The end came before the room was full, which is no error. */
		EXPECT(wrote && read && *read == bytes.size() && steps > 0);
		got.pop_back();
		EXPECT(got == bytes);
		auto bad = co_await loop.read_full(weir_file{}, got);
		EXPECT(!bad && bad.error() == std::errc::bad_file_descriptor);
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

TEST_DIES(a_transfer_destroyed_in_flight_terminates, "weir: read_full in flight since ")
{
	auto pipe = loop.pipe();
	std::array<char, 10> room;

	auto read = [](File &from, std::span<char> room) -> Task<> {
		EXPECT(!co_await from.read_full(room));
	};
	auto task = read(pipe->first, room);

	task.start({}, {std::noop_coroutine(), nullptr, 0}).resume();
}
