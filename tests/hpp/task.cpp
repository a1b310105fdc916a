// SPDX-License-Identifier: GPL-2.0-only
/*
 * task.cpp - tasks: what they give, throw, and leave behind
 */
#include <atomic>
#include <memory>
#include <stdexcept>
#include <thread>

#include "tap.hpp"

static Task<int> number(Loop &loop, int value)
{
	EXPECT(co_await loop.nop());
	co_return value;
}

TEST(a_task_gives_its_value)
{
	auto value = loop.run(number(loop, 42));

	EXPECT(value && *value == 42);
}

TEST(a_task_is_lazy)
{
	bool ran = false;
	auto make = [](bool *ran) -> Task<void> {
		*ran = true;
		co_return;
	};
	{
		Task<void> never = make(&ran);
	}
	EXPECT(!ran);
	EXPECT(loop.run(make(&ran)));
	EXPECT(ran);
}

TEST(an_error_of_an_operation_is_an_error_code)
{
	auto bad = [](Loop &loop) -> Task<Result<size_t>> {
		char byte[1];

		co_return co_await loop.recv(weir_file{}, byte);
	};
	auto result = loop.run(bad(loop));

	EXPECT(!result);
	EXPECT(result.error() == std::errc::bad_file_descriptor);
	EXPECT(result.error() != std::errc::timed_out);
	EXPECT(result.error().category() == weir::category());
	EXPECT(result.error().message() == weir_strerror(-EBADF));
}

TEST(a_result_that_is_only_movable_is_moved)
{
	auto make = [](Loop &loop) -> Task<std::unique_ptr<int>> {
		EXPECT(co_await loop.nop());
		co_return std::make_unique<int>(7);
	};
	auto pass = [&make](Loop &loop) -> Task<std::unique_ptr<int>> {
		co_return co_await make(loop);
	};
	auto value = loop.run(pass(loop));

	EXPECT(value && **value == 7);
}

static Task<void> thrower(Loop &loop)
{
	EXPECT(co_await loop.nop());
	throw std::runtime_error("thrown");
}

static Task<int> catcher(Loop &loop, std::string *what)
{
	try {
		co_await thrower(loop);
	} catch (const std::runtime_error &error) {
		*what = error.what();
	}
	co_return 1;
}

TEST(an_exception_goes_through_tasks_to_who_awaits)
{
	std::string what;
	auto value = loop.run(catcher(loop, &what));

	EXPECT(value && *value == 1);
	EXPECT(what == "thrown");
}

TEST(an_exception_goes_out_of_run)
{
	bool caught = false;

	try {
		(void)loop.run(thrower(loop));
	} catch (const std::runtime_error &) {
		caught = true;
	}
	EXPECT(caught);
}

TEST(an_exception_of_work_comes_back_from_its_thread)
{
	auto make = [](Loop &loop) -> Task<int> {
		auto fine = co_await loop.work([] { return std::string("on a thread"); });

		EXPECT(fine && *fine == "on a thread");
		try {
			(void)co_await loop.work([]() -> int { throw std::logic_error("w"); });
		} catch (const std::logic_error &) {
			co_return 1;
		}
		co_return 0;
	};
	auto value = loop.run(make(loop));

	EXPECT(value && *value == 1);
}

static Task<int> at_once()
{
	co_return 1;
}

static Task<int> deep(unsigned int depth)
{
	if (!depth)
		co_return 0;
	co_return 1 + co_await deep(depth - 1);
}

TEST(tasks_that_never_wait_may_be_nested)
{
	auto make = []() -> Task<int> {
		int sum = 0;

		for (int i = 0; i < 1000; i++)
			sum += co_await at_once();
		co_return sum;
	};

	EXPECT(*loop.run(make()) == 1000);
	EXPECT(*loop.run(deep(1000)) == 1000);
}

TEST(a_task_that_nothing_can_wake_is_a_deadlock)
{
	struct Never {
		bool await_ready() const { return false; }
		void await_suspend(std::coroutine_handle<>) const {}
		void await_resume() const {}
	};
	auto make = []() -> Task<void> {
		co_await Never();
	};
	auto result = loop.run(make());

	EXPECT(!result && result.error() == std::errc::resource_deadlock_would_occur);
}

TEST(what_is_spawned_runs_beside_and_hands_over_its_result)
{
	int sum = 0;

	for (int i = 1; i <= 10; i++)
		loop.spawn(number(loop, i), [&sum](int value) { sum += value; });
	EXPECT(sum == 0);
	EXPECT(loop.run());
	EXPECT(sum == 55);
}

static Task<void> wait_long(Loop &loop, int *count, std::error_code *error)
{
	auto result = co_await loop.sleep(1h);

	++*count;
	if (!result)
		*error = result.error();
}

TEST(a_loop_that_ends_cancels_what_was_spawned)
{
	std::error_code error;
	int count = 0;

	{
		auto other = Loop::open(loop.backend());

		EXPECT(other);
		for (int i = 0; i < 20; i++)
			other->spawn(wait_long(*other, &count, &error));
		EXPECT(other->run(number(*other, 1)));
		EXPECT(count == 0);
	}
	EXPECT(count == 20);
	EXPECT(error == std::errc::operation_canceled);
}

TEST(a_loop_that_ends_frees_what_waits_for_nothing)
{
	struct Never {
		bool await_ready() const { return false; }
		void await_suspend(std::coroutine_handle<>) const {}
		void await_resume() const {}
	};
	auto kept = std::make_shared<int>(1);

	{
		auto other = Loop::open(loop.backend());
		auto make = [](std::shared_ptr<int>) -> Task<void> {
			co_await Never();
		};

		other->spawn(make(kept));
		EXPECT(kept.use_count() > 1);
	}
	EXPECT(kept.use_count() == 1);
}

TEST(stop_from_another_thread_cancels_what_runs)
{
	std::error_code error;
	std::atomic<bool> begun = false;
	int count = 0;
	auto make = [](Loop &loop, std::atomic<bool> &begun, int *count,
		       std::error_code *error) -> Task<int> {
		EXPECT(co_await loop.nop());
		begun = true;
		begun.notify_one();
		co_await wait_long(loop, count, error);
		co_return 5;
	};
	std::thread stopper([&] {
		begun.wait(false);
		loop.stop();
	});
	/* On sim an hour passes at once: what matters is that it ends. */
	auto value = loop.run(make(loop, begun, &count, &error));

	stopper.join();
	EXPECT(value && *value == 5);
	EXPECT(count == 1);
	EXPECT(error == std::errc::operation_canceled || loop.backend() == "sim"sv);
}

TEST(after_stop_everything_is_cancelled)
{
	auto make = [](Loop &loop) -> Task<Result<void>> {
		co_return co_await loop.sleep(1ms);
	};

	loop.stop();
	EXPECT(loop.run(make(loop)).error() == std::errc::operation_canceled);
	EXPECT(loop.run(make(loop)).error() == std::errc::operation_canceled);
}

TEST(a_moved_loop_runs_on)
{
	auto other = Loop::open(loop.backend());
	Loop moved = *std::move(other);

	EXPECT(*moved.run(number(moved, 3)) == 3);
}

static constexpr unsigned int sleeper_line = __LINE__ + 3;
static Task<void> sleeper(Loop &loop)
{
	(void)co_await loop.sleep(1h);
}

TEST_DIES(a_task_destroyed_in_flight_tells_which_operation, "weir: timeout in flight since ")
{
	Task<void> task = sleeper(loop);

	task.start({}, {std::noop_coroutine(), nullptr, 0}).resume();
}

TEST_DIES(it_tells_where_that_was_submitted,
	  "task.cpp:" + std::to_string(sleeper_line) + " (")
{
	Task<void> task = sleeper(loop);

	task.start({}, {std::noop_coroutine(), nullptr, 0}).resume();
}

TEST_DIES(what_a_spawned_task_throws_ends_the_process, "thrown")
{
	loop.spawn(thrower(loop));
	(void)loop.run();
}

TEST_DIES(an_empty_task_is_refused, "weir: a task that was empty or over was awaited")
{
	(void)loop.run(Task<int>());
}
