/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * task.hpp - Task: a coroutine that runs when it is awaited
 *
 * Everything that can be awaited here has two functions. start() is told the
 * context it runs in and whom to wake, and returns the coroutine to go on with;
 * take() gives what it came to. Await joins that to co_await; groups use it as
 * it is.
 */
#ifndef WEIR_HPP_TASK_HPP
#define WEIR_HPP_TASK_HPP

#include <algorithm>
#include <chrono>
#include <coroutine>
#include <optional>
#include <utility>
#include <variant>

#include <weir/hpp/result.hpp>
#include <weir/token.h>

namespace weir {

template <typename T>
class [[nodiscard]] Task;

namespace detail {

struct Core;

/*
 * What a task hands down to all that it awaits: its loop, the token that
 * cancels it, the time when it has to be over (0: never).
 */
struct Context {
	Core *core = nullptr;
	weir_token *token = nullptr;
	uint64_t deadline_ns = 0;
};

inline uint64_t earlier(uint64_t a_ns, uint64_t b_ns) noexcept
{
	return a_ns && b_ns ? std::min(a_ns, b_ns) : a_ns + b_ns;
}

struct Group;

/* Whom to wake: a coroutine, or a group as its member number @index. */
struct Link {
	std::coroutine_handle<> waiter;
	Group *group = nullptr;
	size_t index = 0;

	std::coroutine_handle<> ended() const noexcept;
};

/* Several at once, and whom to wake when all of them have ended. */
struct Group {
	static constexpr size_t none = static_cast<size_t>(-1);

	Link up;
	size_t left = 0;
	size_t first = none;
	weir_token *token = nullptr;	/* when one has ended, cancel the others */

	std::coroutine_handle<> arrive() noexcept
	{
		return --left ? std::noop_coroutine() : up.ended();
	}

	std::coroutine_handle<> ended(size_t index) noexcept
	{
		if (first == none) {
			first = index;
			if (token)
				weir_token_cancel(token);
		}
		return arrive();
	}
};

inline std::coroutine_handle<> Link::ended() const noexcept
{
	return group ? group->ended(index) : waiter;
}

struct PromiseBase {
	Context context;
	Link link;

	std::suspend_always initial_suspend() noexcept
	{
		return {};
	}

	struct Final {
		bool await_ready() const noexcept
		{
			return false;
		}

		template <typename Promise>
		std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) noexcept
		{
			return self.promise().link.ended();
		}

		void await_resume() const noexcept {}
	};

	Final final_suspend() noexcept
	{
		return {};
	}
};

/* The result of a coroutine: not yet, a value, or what it threw. */
template <typename T>
struct Outcome {
	std::variant<std::monostate, T, std::exception_ptr> value;

	void unhandled_exception() noexcept
	{
		value.template emplace<2>(std::current_exception());
	}

	T take()
	{
		if (value.index() == 2)
			std::rethrow_exception(std::get<2>(std::move(value)));
		return std::get<1>(std::move(value));
	}
};

template <typename T>
struct Promise : PromiseBase, Outcome<T> {
	Task<T> get_return_object() noexcept;

	template <typename U = T>
		requires std::constructible_from<T, U &&>
	void return_value(U &&result)
	{
		this->value.template emplace<1>(std::forward<U>(result));
	}
};

template <>
struct Promise<void> : PromiseBase, Outcome<std::monostate> {
	Task<void> get_return_object() noexcept;

	void return_void() noexcept
	{
		value.emplace<1>();
	}
};

/* A coroutine that is not one of ours hands down nothing. */
template <typename Promise>
Context context_of(const Promise &promise) noexcept
{
	if constexpr (std::derived_from<Promise, PromiseBase>)
		return promise.context;
	else
		return {};
}

template <typename A>
struct Await {
	A &it;

	bool await_ready() const noexcept
	{
		return false;
	}

	template <typename Promise>
	std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> waiter)
	{
		return it.start(context_of(waiter.promise()), Link{waiter, nullptr, 0});
	}

	decltype(auto) await_resume()
	{
		return it.take();
	}
};

template <typename A>
concept Awaitable = requires(A a, const Context &context, Link link) {
	{ a.start(context, link) } -> std::same_as<std::coroutine_handle<>>;
	a.take();
};

/* What awaiting A gives, with something in the place of void. */
template <typename A>
using TakenRaw = decltype(std::declval<A &>().take());
template <typename A>
using Taken = std::conditional_t<std::is_void_v<TakenRaw<A>>, std::monostate, TakenRaw<A>>;

template <typename A>
Taken<A> take(A &it)
{
	if constexpr (std::is_void_v<TakenRaw<A>>) {
		it.take();
		return {};
	} else {
		return it.take();
	}
}

} /* namespace detail */

template <typename A>
class Within;
class Token;

namespace detail {

/* What can be awaited, within a time limit or under a token. */
template <typename D>
class Limited {
public:
	/* Gives every operation in it at most so long, from when it is awaited. */
	Within<D> with_timeout(std::chrono::nanoseconds timeout) &&
	{
		return Within<D>(std::move(self())).with_timeout(timeout);
	}

	/* Cancels every operation in it when @token is cancelled. */
	Within<D> with_token(Token &token) &&
	{
		return Within<D>(std::move(self())).with_token(token);
	}

	Await<D> operator co_await() && noexcept
	{
		return {self()};
	}

private:
	D &self() noexcept
	{
		return static_cast<D &>(*this);
	}
};

} /* namespace detail */

/*
 * A coroutine that runs when it is awaited, once, and gives a T or throws what
 * it threw. To be awaited as an rvalue: co_await f(), or co_await std::move(t).
 *
 * A task that is destroyed while an operation of it is in flight terminates the
 * process: the kernel still writes into its frame.
 */
template <typename T = void>
class [[nodiscard]] Task : public detail::Limited<Task<T>> {
public:
	using promise_type = detail::Promise<T>;

	Task() = default;
	Task(Task &&other) noexcept : frame_(std::exchange(other.frame_, {})) {}

	Task &operator=(Task &&other) noexcept
	{
		std::swap(frame_, other.frame_);
		return *this;
	}

	~Task()
	{
		if (frame_)
			frame_.destroy();
	}

	explicit operator bool() const noexcept
	{
		return static_cast<bool>(frame_);
	}

	/* For what awaits it, see the head of this file. */
	std::coroutine_handle<> start(const detail::Context &context, detail::Link link) noexcept
	{
		if (!frame_ || frame_.done())
			detail::die("a task that was empty or over was awaited");
		frame_.promise().context = context;
		frame_.promise().link = link;
		return frame_;
	}

	T take()
	{
		if constexpr (std::is_void_v<T>)
			frame_.promise().take();
		else
			return frame_.promise().take();
	}

private:
	friend promise_type;
	explicit Task(promise_type &promise)
		: frame_(std::coroutine_handle<promise_type>::from_promise(promise))
	{
	}

	std::coroutine_handle<promise_type> frame_;
};

template <typename T>
Task<T> detail::Promise<T>::get_return_object() noexcept
{
	return Task<T>(*this);
}

inline Task<void> detail::Promise<void>::get_return_object() noexcept
{
	return Task<void>(*this);
}

} /* namespace weir */

#endif /* WEIR_HPP_TASK_HPP */
