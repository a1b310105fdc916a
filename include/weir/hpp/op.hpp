/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * op.hpp - one operation that can be awaited, and what a loop has for all of them
 *
 * The struct weir_op lies in the frame of the coroutine that awaits it: nothing
 * is allocated for an operation.
 */
#ifndef WEIR_HPP_OP_HPP
#define WEIR_HPP_OP_HPP

#include <atomic>
#include <memory>
#include <unordered_map>
#include <vector>

#include <weir/file.h>
#include <weir/hpp/task.hpp>
#include <weir/loop.h>
#include <weir/pool.h>

namespace weir {

class Ops;

namespace detail {

/* A token that is not there before begin(), for then it has an address to keep. */
class LateToken {
public:
	LateToken() = default;
	LateToken(LateToken &&) noexcept {}

	~LateToken()
	{
		end();
	}

	weir_token *begin(weir_loop *loop, weir_token *parent) noexcept
	{
		if (weir_token_init(&token_, loop, parent))
			die("a token under one of another loop");
		return &token_;
	}

	void end() noexcept
	{
		weir_token_fini(&token_);
	}

	weir_token *raw() noexcept
	{
		return &token_;
	}

private:
	weir_token token_ = {};
};

} /* namespace detail */

/*
 * A cancellation token: cancels together all that was started under it, for
 * good. Its parent outlives it. To end while something is in flight under it
 * aborts the process.
 */
class Token {
public:
	explicit Token(const Ops &loop, Token *parent = nullptr) noexcept;
	Token(const Token &) = delete;
	Token &operator=(const Token &) = delete;

	void cancel() noexcept
	{
		weir_token_cancel(token_.raw());
	}

	weir_token *raw() noexcept
	{
		return token_.raw();
	}

private:
	detail::LateToken token_;
};

namespace detail {

/* The closing of a file: taken when the file is opened, so that it can never fail. */
struct Closer {
	Core *core;
	Closer *next;
	weir_file file;
	weir_op op;
};

/* Who waits for something that is not an operation, and can be cancelled all the same. */
struct Waiting {
	Waiting *next = nullptr;
	Waiting **prev = nullptr;
	void (*cancel)(Waiting *self) = nullptr;

	void enlist(Waiting **head) noexcept
	{
		next = *head;
		prev = head;
		if (next)
			next->prev = &next;
		*head = this;
	}

	void delist() noexcept
	{
		if (!prev)
			return;
		*prev = next;
		if (next)
			next->prev = prev;
		prev = nullptr;
	}
};

/* "file:line" of a submit, as the library wants it: kept for ever, made once. */
class Places {
public:
	const char *text(const Where &at)
	{
		Recent &recent = recent_[at.line() % std::size(recent_)];

		if (recent.file != at.file_name() || recent.line != at.line())
			recent = {at.file_name(), at.line(), find(at)};
		return recent.text;
	}

private:
	using Key = std::pair<const void *, uint_least32_t>;

	struct Recent {
		const char *file;
		uint_least32_t line;
		const char *text;
	};

	const char *find(const Where &at)
	{
		std::string &place = places_[{at.file_name(), at.line()}];

		if (place.empty())
			place = std::string(at.file_name()) + ':' + std::to_string(at.line());
		return place.c_str();
	}

	struct Hash {
		size_t operator()(const Key &key) const noexcept
		{
			return reinterpret_cast<uintptr_t>(key.first) ^
			       (static_cast<size_t>(key.second) << 4);
		}
	};

	std::unordered_map<Key, std::string, Hash> places_;
	Recent recent_[64] = {};
};

/* A coroutine nobody waits for. The loop ends those that are left when it ends. */
struct Detached {
	struct promise_type : PromiseBase, Waiting {
		Detached get_return_object() noexcept
		{
			return {std::coroutine_handle<promise_type>::from_promise(*this)};
		}

		~promise_type()
		{
			delist();
		}

		std::suspend_never final_suspend() noexcept
		{
			return {};
		}

		void return_void() noexcept {}

		/* As of a thread: what nobody can catch ends the process. */
		void unhandled_exception() noexcept
		{
			std::terminate();
		}
	};

	std::coroutine_handle<promise_type> frame;
};

/* What belongs to a loop in C++. Its address is what everything else keeps. */
struct Core {
	weir_loop *loop = nullptr;
	LateToken root;			/* of all that run() and spawn() started */
	std::atomic<bool> stop_asked = false;
	bool stopping = false;
	Waiting *waiting = nullptr;	/* those that wait under the root alone */
	Closer *closers = nullptr;	/* spare ones */
	std::vector<std::unique_ptr<Closer[]>> chunks;
	Waiting *detached = nullptr;
	Places places;
	std::vector<weir_pool *> pools;	/* to be closed after the loop */
	std::chrono::nanoseconds patience = std::chrono::seconds(5);

	void more_closers()
	{
		constexpr size_t count = 32;

		chunks.push_back(std::make_unique<Closer[]>(count));
		for (size_t i = 0; i < count; i++) {
			chunks.back()[i].core = this;
			chunks.back()[i].next = closers;
			closers = &chunks.back()[i];
		}
	}

	Closer *closer(weir_file file)
	{
		if (!closers)
			more_closers();

		Closer *closer = closers;

		closers = closer->next;
		closer->file = file;
		return closer;
	}

	static void spare(Closer *closer) noexcept
	{
		closer->next = closer->core->closers;
		closer->core->closers = closer;
	}

	/* Closes its file in the background; after the loop there is nothing to close. */
	static void close(Closer *closer) noexcept
	{
		if (!closer->core->loop) {
			spare(closer);
			return;
		}
		weir_prep_close(&closer->op, closer->file,
				[](weir_op *op) noexcept { spare(static_cast<Closer *>(op->ctx)); }, closer);
		weir_submit(closer->core->loop, &closer->op);
	}

	void detach(Detached task) noexcept
	{
		Detached::promise_type &promise = task.frame.promise();

		promise.context = {this, root.raw(), 0};
		promise.enlist(&detached);
		task.frame.resume();
	}

	void end_detached() noexcept
	{
		while (detached)
			std::coroutine_handle<Detached::promise_type>::from_promise(
				*static_cast<Detached::promise_type *>(detached)).destroy();
	}

	void cancel_all() noexcept
	{
		stopping = true;
		weir_token_cancel(root.raw());
		while (waiting)
			waiting->cancel(waiting);
	}

	uint64_t after(std::chrono::nanoseconds span) const noexcept
	{
		return weir_loop_now(loop) + static_cast<uint64_t>(std::max(span.count(), 0L));
	}
};

/* All of an operation but the type of what it comes to. */
class BasicOp {
public:
	BasicOp(Core *core, const Where &at) noexcept : core_(core), at_(at) {}

	BasicOp(BasicOp &&other) noexcept
		: op_(other.op_), core_(other.core_), timeout_(other.timeout_), at_(other.at_)
	{
		other.must_not_run("moved");
	}

	~BasicOp()
	{
		must_not_run("destroyed before it ended");
	}

	/* To be prepared, by any weir_prep_*() without a callback. */
	weir_op *raw() noexcept
	{
		return &op_;
	}

	/* Who produced the result: enum weir_origin. */
	weir_origin origin() const noexcept
	{
		return static_cast<weir_origin>(op_.origin);
	}

	std::coroutine_handle<> start(const Context &context, Link link) noexcept
	{
		must_not_run("awaited again");
		link_ = link;
		if (!op_.token)
			op_.token = context.token;
		limit(earlier(timeout_ ? core_->after(*timeout_) : 0, context.deadline_ns));
		submit([](weir_op *op) noexcept {
			static_cast<BasicOp *>(op->ctx)->link_.ended().resume();
		}, this);
		return std::noop_coroutine();
	}

	void submit(weir_done_fn *done, void *ctx) noexcept
	{
		op_.done = done;
		op_.ctx = ctx;
		weir_submit_at(core_->loop, &op_, core_->places.text(at_));
	}

	bool busy() const noexcept
	{
		return weir_op_busy(&op_);
	}

protected:
	/* -ETIME too for a sleep that was cut short, to which its deadline is success. */
	int result() const noexcept
	{
		return cut_ && !op_.res ? -ETIME : op_.res;
	}

	/* A close always takes the time it takes: what is to be given back is. */
	void limit(uint64_t deadline_ns) noexcept
	{
		if (!deadline_ns || op_.opcode == WEIR_OP_CLOSE)
			return;
		cut_ = op_.opcode == WEIR_OP_TIMEOUT && deadline_ns < op_.deadline_ns;
		op_.deadline_ns = earlier(op_.deadline_ns, deadline_ns);
	}

	void must_not_run(const char *what) const noexcept
	{
		if (busy()) [[unlikely]]
			die(what, weir_op_name(op_.opcode), at_);
	}

	weir_op op_ = {};
	Core *core_;
	Link link_;
	std::optional<std::chrono::nanoseconds> timeout_;
	Where at_;
	bool cut_ = false;
};

/* How the result of an operation becomes a T. */
template <typename T>
struct Convert {
	static T from(Core *, const weir_op &op) noexcept
	{
		return static_cast<T>(op.res);
	}
};

template <>
struct Convert<void> {
	static void from(Core *, const weir_op &) noexcept {}
};

} /* namespace detail */

/*
 * An operation: submitted when it is awaited, as an rvalue. Movable until then.
 * What it was given by pointer or range must live until it has ended.
 */
template <typename T>
class [[nodiscard]] Op : public detail::BasicOp {
public:
	using BasicOp::BasicOp;

	/* Ends with std::errc::timed_out when it takes longer. */
	Op &&with_timeout(std::chrono::nanoseconds timeout) && noexcept
	{
		this->timeout_ = timeout;
		return std::move(*this);
	}

	/* Ends with std::errc::operation_canceled when @token is cancelled. */
	Op &&with_token(Token &token) && noexcept;

	detail::Await<Op> operator co_await() && noexcept
	{
		return {*this};
	}

	Result<T> take()
	{
		if (int res = this->result(); res < 0)
			return failure(res);
		if constexpr (std::is_void_v<T>)
			return {};
		else
			return detail::Convert<T>::from(this->core_, this->op_);
	}
};

template <typename T>
Op<T> &&Op<T>::with_token(Token &token) && noexcept
{
	this->op_.token = token.raw();
	return std::move(*this);
}

/* Something awaited within a time limit, or under a token. */
template <typename A>
class [[nodiscard]] Within {
public:
	explicit Within(A &&it) noexcept : it_(std::move(it)) {}

	Within &&with_timeout(std::chrono::nanoseconds timeout) && noexcept
	{
		timeout_ = timeout_ ? std::min(*timeout_, timeout) : timeout;
		return std::move(*this);
	}

	Within &&with_token(Token &token) && noexcept
	{
		token_ = token.raw();
		return std::move(*this);
	}

	detail::Await<Within> operator co_await() && noexcept
	{
		return {*this};
	}

	std::coroutine_handle<> start(detail::Context context, detail::Link link)
	{
		if (token_)
			context.token = token_;
		if (timeout_ && !context.core)
			detail::die("a time limit where no loop runs");
		if (timeout_)
			context.deadline_ns = detail::earlier(context.deadline_ns,
							      context.core->after(*timeout_));
		return it_.start(context, link);
	}

	decltype(auto) take()
	{
		return it_.take();
	}

private:
	A it_;
	std::optional<std::chrono::nanoseconds> timeout_;
	weir_token *token_ = nullptr;
};

template <typename T>
Within<Task<T>> Task<T>::with_timeout(std::chrono::nanoseconds timeout) &&
{
	return Within<Task>(std::move(*this)).with_timeout(timeout);
}

template <typename T>
Within<Task<T>> Task<T>::with_token(Token &token) &&
{
	return Within<Task>(std::move(*this)).with_token(token);
}

} /* namespace weir */

#endif /* WEIR_HPP_OP_HPP */
