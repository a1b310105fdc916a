/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * op.hpp - one operation that can be awaited
 *
 * The struct weir_op lies in the frame of the coroutine that awaits it: nothing
 * is allocated for an operation.
 */
#ifndef WEIR_HPP_OP_HPP
#define WEIR_HPP_OP_HPP

#include <weir/hpp/core.hpp>

namespace weir {
namespace detail {

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
	static constexpr bool owns = false;

	static T from(Core *, const weir_op &op) noexcept
	{
		return static_cast<T>(op.res);
	}
};

template <>
struct Convert<void> {
	static constexpr bool owns = false;

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
	Op(Op &&) = default;

	/* A file that was opened and that nobody took is closed. */
	~Op()
	{
		if constexpr (detail::Convert<T>::owns)
			if (this->op_.done && !this->busy())
				static_cast<void>(take());
	}

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
		this->op_.done = nullptr;
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

} /* namespace weir */

#endif /* WEIR_HPP_OP_HPP */
