// SPDX-License-Identifier: GPL-2.0-only
/*
 * group.cpp - several at once, deadlines and cancellation
 */
#include <array>
#include <stdexcept>

#include "net.hpp"

using weir::gather, weir::Token, weir::when_any;

static Task<int> later(Loop &loop, std::chrono::nanoseconds span, int value)
{
	co_return co_await loop.sleep(span) ? value : -value;
}

static Task<void> fail_later(Loop &loop, const char *what)
{
	(void)co_await loop.sleep(1ms);
	throw std::runtime_error(what);
}

TEST(gather_gives_all_results_in_order)
{
	auto make = [](Loop &loop) -> Task<void> {
		auto [slow, op, fast, none] = co_await gather(later(loop, 5ms, 1), loop.nop(),
							      later(loop, 1ms, 3),
							      [](Loop &loop) -> Task<void> {
			(void)co_await loop.nop();
		}(loop));

		EXPECT(slow == 1);
		EXPECT(op);
		EXPECT(fast == 3);
		EXPECT(none == std::monostate());
	};

	EXPECT(loop.run(make(loop)));
}

TEST(gather_of_a_hundred_each_with_its_deadline)
{
	auto make = [](Loop &loop) -> Task<void> {
		std::vector<weir::Within<Task<int>>> tasks;

		/* Those that want longer than 50 ms have 20 ms. */
		for (int i = 1; i <= 100; i++)
			tasks.push_back(later(loop, i * 1ms, i)
					.with_timeout(i <= 50 ? 10s : 20ms));

		auto begun = loop.now();
		std::vector<int> results = co_await gather(std::move(tasks));
		auto took = loop.now() - begun;

		EXPECT(results.size() == 100);
		for (int i = 1; i <= 100; i++)
			EXPECT(results[static_cast<size_t>(i) - 1] == (i <= 50 ? i : -i));
		EXPECT(took >= 50ms);
		EXPECT(took < 100ms || loop.backend() != "sim"sv);
	};

	EXPECT(loop.run(make(loop)));
}

TEST(gather_of_nothing_ends_at_once)
{
	auto make = [](std::vector<Task<int>> none) -> Task<size_t> {
		auto results = co_await gather(std::move(none));

		co_return results.size();
	};

	EXPECT(*loop.run(make({})) == 0);
}

TEST(gathers_may_be_nested)
{
	auto make = [](Loop &loop) -> Task<void> {
		auto [left, right] = co_await gather(gather(later(loop, 3ms, 1), later(loop, 1ms, 2)),
						     gather(later(loop, 2ms, 3), loop.nop()));

		EXPECT(std::get<0>(left) == 1 && std::get<1>(left) == 2);
		EXPECT(std::get<0>(right) == 3 && std::get<1>(right));
	};

	EXPECT(loop.run(make(loop)));
}

TEST(an_exception_in_a_gather_waits_for_the_others)
{
	auto make = [](Loop &loop) -> Task<int> {
		int done = 0;
		auto count = [](Loop &loop, int *done) -> Task<void> {
			EXPECT(co_await loop.sleep(10ms));
			++*done;
		};

		try {
			co_await gather(count(loop, &done), fail_later(loop, "first"),
					fail_later(loop, "second"), count(loop, &done));
		} catch (const std::runtime_error &error) {
			EXPECT(error.what() == "first"sv);
			co_return done;
		}
		co_return -1;
	};

	EXPECT(*loop.run(make(loop)) == 2);
}

TEST(when_any_gives_the_first_and_cancels_the_others)
{
	auto make = [](Loop &loop) -> Task<void> {
		auto first = co_await when_any(later(loop, 1h, 1), loop.sleep(1ms),
					       later(loop, 2h, 3));

		EXPECT(first.index() == 1);
		EXPECT(std::get<1>(first));
	};
	auto begun = loop.now();

	EXPECT(loop.run(make(loop)));
	EXPECT(loop.now() - begun < 1min);
	EXPECT(loop.stats().inflight == 0);
}

TEST(when_any_waits_for_those_it_cancels)
{
	auto make = [](Loop &loop) -> Task<int> {
		int cancelled = 0;
		auto stubborn = [](Loop &loop, int *cancelled) -> Task<int> {
			auto result = co_await loop.sleep(1h);

			*cancelled += result.error() == std::errc::operation_canceled;
			/* All that it goes on with is cancelled too. */
			result = co_await loop.sleep(1h);
			*cancelled += result.error() == std::errc::operation_canceled;
			co_return 0;
		};
		std::vector<Task<int>> tasks;

		tasks.push_back(stubborn(loop, &cancelled));
		tasks.push_back(later(loop, 1ms, 2));
		tasks.push_back(stubborn(loop, &cancelled));

		auto [index, value] = co_await when_any(std::move(tasks));

		EXPECT(index == 1 && value == 2);
		co_return cancelled;
	};

	EXPECT(*loop.run(make(loop)) == 4);
}

TEST(when_any_of_one_that_is_over_at_once)
{
	auto make = [](Loop &loop) -> Task<size_t> {
		auto at_once = []() -> Task<int> { co_return 1; };
		auto first = co_await when_any(at_once(), loop.sleep(1h));

		co_return first.index();
	};

	EXPECT(*loop.run(make(loop)) == 0);
}

TEST(a_timeout_ends_an_operation)
{
	auto make = [](Loop &loop) -> Task<Result<size_t>> {
		weir::Listener listener = listen(loop);
		TRY(pair, co_await connect(loop, listener));
		std::array<char, 16> room;

		co_return co_await pair.server.recv(room).with_timeout(5ms);
	};
	auto result = loop.run(make(loop));

	EXPECT(!result && result.error() == std::errc::timed_out);
	EXPECT(result.error() != std::errc::operation_canceled);
}

TEST(a_timeout_of_a_task_holds_for_all_it_awaits)
{
	auto make = [](Loop &loop) -> Task<void> {
		auto inner = [](Loop &loop) -> Task<Result<void>> {
			EXPECT(co_await loop.sleep(1ms));
			/* Its own limit is later: the outer one counts. */
			co_return co_await loop.sleep(1h).with_timeout(30min);
		};
		auto outer = [&inner](Loop &loop) -> Task<Result<void>> {
			co_return co_await inner(loop);
		};
		auto begun = loop.now();
		auto result = co_await outer(loop).with_timeout(20ms);

		EXPECT(!result && result.error() == std::errc::timed_out);
		EXPECT(loop.now() - begun >= 20ms);
		EXPECT(loop.now() - begun < 10s);
		/* And no longer than that. */
		EXPECT(co_await loop.sleep(1ms));
	};

	EXPECT(loop.run(make(loop)));
}

TEST(a_timeout_in_the_past_ends_at_once)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		co_return co_await loop.sleep(1h).with_timeout(-1s);
	};
	auto result = loop.run(make(loop));

	EXPECT(!result && result.error() == std::errc::timed_out);
}

TEST(a_token_cancels_what_is_under_it_and_under_its_children)
{
	auto make = [](Loop &loop) -> Task<void> {
		Token parent(loop);
		Token child(loop, &parent);
		auto cancel = [](Loop &loop, Token &token) -> Task<void> {
			EXPECT(co_await loop.sleep(1ms));
			token.cancel();
		};
		auto [task, op, other, none] =
			co_await gather(later(loop, 1h, 1).with_token(child),
					loop.sleep(1h).with_token(parent), later(loop, 5ms, 3),
					cancel(loop, parent));

		EXPECT(task == -1);
		EXPECT(!op && op.error() == std::errc::operation_canceled);
		EXPECT(other == 3);
		/* For good. */
		EXPECT(!co_await loop.nop().with_token(child));
	};

	EXPECT(loop.run(make(loop)));
}

TEST(a_token_cancelled_at_any_step_loses_nothing)
{
	auto scene = [](Loop &loop, int *ended) -> Task<void> {
		weir::Listener listener = listen(loop);
		auto pair = co_await connect(loop, listener);
		std::array<char, 8> room = {};

		if (pair) {
			auto [sent, got, nothing] =
				co_await gather(pair->client.send_all("12345678"sv),
						pair->server.recv_full(room), loop.nop());

			EXPECT(nothing || nothing.error() == std::errc::operation_canceled);
			EXPECT(sent || sent.error() == std::errc::operation_canceled);
			EXPECT(!got || *got < 8 || std::string_view(room.data(), 8) == "12345678");
		}
		++*ended;
	};
	auto make = [&scene](Loop &loop, int step, bool *over) -> Task<int> {
		Token token(loop);
		int ended = 0;
		auto cancel = [](Loop &loop, Token &token, int step) -> Task<void> {
			for (int i = 0; i < step; i++)
				EXPECT(co_await loop.nop());
			token.cancel();
		};
		auto run = [&scene](Loop &loop, int *ended, Token &token, bool *early) -> Task<void> {
			co_await scene(loop, ended);
			*early = !weir_token_error(token.raw());
		};

		co_await gather(run(loop, &ended, token, over).with_token(token),
				cancel(loop, token, step));
		co_return ended;
	};
	bool over = false;
	int step;

	for (step = 0; step < 10000 && !over; step++)
		EXPECT(*loop.run(make(loop, step, &over)) == 1);
	EXPECT(over);
	EXPECT(step > 3);
	EXPECT(loop.run());
	EXPECT(loop.stats().files == 0);
}

TEST_DIES(a_token_that_ends_too_early_aborts, "weir: ")
{
	Task<void> task = [](Loop &loop) -> Task<void> {
		auto *token = new Token(loop);
		auto end = [](Loop &loop, Token *token) -> Task<void> {
			EXPECT(co_await loop.nop());
			delete token;
		};

		co_await gather(loop.sleep(1h).with_token(*token), end(loop, token));
	}(loop);

	(void)loop.run(std::move(task));
}
