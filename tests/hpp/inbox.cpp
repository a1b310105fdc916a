// SPDX-License-Identifier: GPL-2.0-only
/*
 * inbox.cpp - values and sockets from loop to loop, and signals
 */
#include <array>
#include <future>
#include <memory>
#include <thread>

#include "net.hpp"

using weir::Inbox, weir::Sender, weir::gather;

static void expect_good(const Result<void> &result)
{
	EXPECT(result);
	if (!result)
		std::printf("# %s\n", result.error().message().c_str());
}

static bool on_sim(const Loop &loop)
{
	return loop.backend() == "sim"sv;
}

TEST(what_a_thread_sends_comes_in_order)
{
	if (on_sim(loop))	/* where time does not wait for other threads */
		return EXPECT(true);

	Inbox<std::unique_ptr<int>> inbox(loop);
	std::thread thread([sender = inbox.sender()] {
		for (int i = 0; i < 5000; i++)
			while (!sender.send(std::make_unique<int>(i)))
				std::this_thread::yield();
	});

	auto take = [](Inbox<std::unique_ptr<int>> &inbox) -> Task<Result<void>> {
		for (int i = 0; i < 5000; i++) {
			TRY(value, co_await inbox.next());
			if (*value != i)
				co_return weir::failure(-EBADMSG);
		}
		co_return Result<void>();
	};

	expect_good(loop.run(take(inbox)));
	thread.join();
}

TEST(an_inbox_is_bounded_and_a_refused_value_is_kept)
{
	Inbox<std::string> inbox(loop, 2);
	Sender<std::string> sender = inbox.sender();
	std::string three = "three, which is longer than what is kept inside";

	EXPECT(sender.send("one"s) && sender.send("two"s));
	auto full = sender.send(std::move(three));

	EXPECT(!full && full.error() == std::errc::resource_unavailable_try_again);
	EXPECT(three.starts_with("three"));
	auto take = [](Inbox<std::string> &inbox) -> Task<Result<void>> {
		TRY(one, co_await inbox.next());
		TRY(two, co_await inbox.next());
		EXPECT(one == "one" && two == "two");
		EXPECT(inbox.sender().send("four"s));
		TRY(four, co_await inbox.next());
		EXPECT(four == "four");
		co_return Result<void>();
	};

	expect_good(loop.run(take(inbox)));
}

TEST(an_inbox_can_be_waited_for_within_a_time_limit)
{
	Inbox<int> inbox(loop);
	auto take = [](Inbox<int> &inbox) -> Task<Result<void>> {
		auto none = co_await inbox.next().with_timeout(10ms);

		EXPECT(!none && none.error() == std::errc::stream_timeout);
		EXPECT(inbox.sender().send(7));
		TRY(seven, co_await inbox.next().with_timeout(10s));
		EXPECT(seven == 7);
		co_return Result<void>();
	};

	expect_good(loop.run(take(inbox)));
}

TEST(a_sender_outlives_its_inbox_and_is_told)
{
	auto inbox = std::make_unique<Inbox<std::shared_ptr<int>>>(loop);
	auto sender = inbox->sender();
	auto value = std::make_shared<int>(1);

	EXPECT(sender.send(value) && value.use_count() == 2);
	inbox.reset();
	auto gone = sender.send(value);

	EXPECT(!gone && gone.error() == std::errc::broken_pipe);
	/* What was on its way is dropped when it arrives. */
	expect_good(loop.run([](Loop &loop) -> Task<Result<void>> {
		co_return co_await loop.sleep(1ms);
	}(loop)));
	EXPECT(value.use_count() == 1);
}

/* Answers each client that comes in, and ends when it was told to. */
static Task<Result<void>> answer(Inbox<Socket> &inbox, int count)
{
	for (int i = 0; i < count; i++) {
		TRY(client, co_await inbox.next());
		std::array<char, 4> buf;

		TRY_ONLY(co_await client.recv_full(buf));
		TRY_ONLY(co_await client.send_all(buf));
		TRY_ONLY(co_await client.close());
	}
	co_return Result<void>();
}

TEST(sockets_are_handed_to_the_loop_of_another_thread)
{
	static constexpr int clients = 20;
	std::promise<Sender<Socket>> ready;
	std::promise<void> over;

	if (on_sim(loop)) {	/* whose loops are worlds of their own */
		Inbox<Socket> inbox(loop);
		Socket none;

		return EXPECT(!inbox.sender().pass(none));
	}

	std::thread thread([&, backend = std::string(loop.backend())] {
		auto other = Loop::open(backend.c_str());
		Inbox<Socket> inbox(*other);

		ready.set_value(inbox.sender());
		EXPECT(other->run(answer(inbox, clients)));
		/* That the last has come does not tell that its sender is done. */
		over.get_future().wait();
	});
	auto make = [](Loop &loop, Sender<Socket> sender) -> Task<Result<void>> {
		weir::Listener listener = listen(loop);
		uint64_t files = loop.stats().files;

		for (int i = 0; i < clients; i++) {
			TRY(pair, co_await connect(loop, listener));
			std::array<char, 4> buf;

			TRY_ONLY(sender.pass(pair.server));
			EXPECT(!pair.server);
			TRY_ONLY(co_await pair.client.send_all("ping"sv));
			TRY(n, co_await pair.client.recv_full(buf));
			EXPECT(n == 4 && !std::memcmp(buf.data(), "ping", 4));
			TRY_ONLY(co_await pair.client.close());
		}
		EXPECT(loop.stats().files == files);
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop, ready.get_future().get())));
	over.set_value();
	thread.join();
}

TEST(a_socket_that_cannot_be_handed_over_stays)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		weir::Listener listener = listen(loop);
		TRY(pair, co_await connect(loop, listener));
		auto inbox = std::make_unique<Inbox<Socket>>(loop, 0);
		auto full = inbox->sender().pass(pair.server);

		EXPECT(!full && full.error() == std::errc::resource_unavailable_try_again);
		inbox = std::make_unique<Inbox<Socket>>(loop);
		auto same = inbox->sender().pass(pair.server);
		EXPECT(!same && pair.server);
		TRY_ONLY(co_await pair.server.send_all("here"sv));
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop)));
}

/* Until there is no place any more. */
static Task<Result<void>> fill(Loop &loop, std::vector<Socket> &sockets)
{
	while (auto socket = co_await loop.socket(AF_INET, SOCK_STREAM))
		sockets.push_back(*std::move(socket));
	co_return Result<void>();
}

TEST(a_socket_that_the_other_loop_has_no_place_for_comes_back)
{
	if (on_sim(loop))
		return EXPECT(true);

	std::promise<Sender<Socket>> ready;
	std::promise<void> over;
	std::thread thread([&, backend = std::string(loop.backend())] {
		weir_loop_opts opts = {};

		opts.backend = backend.c_str();
		opts.files_max = 4;
		auto other = Loop::open(opts);
		std::vector<Socket> sockets;

		EXPECT(other->run(fill(*other, sockets)) && !sockets.empty());
		Inbox<Socket> inbox(*other);

		ready.set_value(inbox.sender());
		EXPECT(other->run([](Loop &loop, std::shared_future<void> over) -> Task<Result<void>> {
			while (over.wait_for(0s) != std::future_status::ready)
				TRY_ONLY(co_await loop.sleep(1ms));
			co_return Result<void>();
		}(*other, over.get_future().share())));
	});
	auto make = [](Loop &loop, Sender<Socket> sender) -> Task<Result<void>> {
		weir::Listener listener = listen(loop);
		TRY(pair, co_await connect(loop, listener));
		Inbox<std::pair<Socket, std::error_code>> back(loop);

		TRY_ONLY(sender.pass(pair.server, [&](Socket socket, std::error_code why) {
			EXPECT(back.sender().send({std::move(socket), why}));
		}));
		TRY(stayed, co_await back.next());
		EXPECT(stayed.second == std::errc::too_many_files_open_in_system);
		std::array<char, 4> buf;

		TRY_ONLY(co_await stayed.first.send_all("back"sv));
		TRY(n, co_await pair.client.recv_full(buf));
		EXPECT(n == 4);
		co_return Result<void>();
	};

	expect_good(loop.run(make(loop, ready.get_future().get())));
	over.set_value();
	thread.join();
}

TEST(signals_come_as_values)
{
	auto signals = weir::Signals::open(loop, {SIGUSR1, SIGUSR2});

	if (on_sim(loop))
		return EXPECT(!signals && signals.error() == std::errc::operation_not_supported);
	EXPECT(signals);
	auto make = [](weir::Signals &signals) -> Task<Result<void>> {
		kill(getpid(), SIGUSR1);
		TRY(one, co_await signals.next());
		EXPECT(one.ssi_signo == SIGUSR1 && one.ssi_pid == static_cast<uint32_t>(getpid()));
		kill(getpid(), SIGUSR2);
		TRY(two, co_await signals.next().with_timeout(10s));
		EXPECT(two.ssi_signo == SIGUSR2);
		auto none = co_await signals.next().with_timeout(10ms);
		EXPECT(!none && none.error() == std::errc::stream_timeout);
		co_return Result<void>();
	};

	expect_good(loop.run(make(*signals)));
	auto none = weir::Signals::open(loop, {-1});

	EXPECT(!none && none.error() == std::errc::invalid_argument);
}
