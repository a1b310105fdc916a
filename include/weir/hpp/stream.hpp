/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * stream.hpp - what comes many times from one operation: clients, leases, edges
 *
 * Its memory is its own and not a coroutine's, so that it can go out of scope
 * at any time: the operation is cancelled and the memory freed at its end. What
 * comes while nobody waits is kept, in order; how much that can be is bounded by
 * the pool, or by the loop's table of files.
 */
#ifndef WEIR_HPP_STREAM_HPP
#define WEIR_HPP_STREAM_HPP

#include <sys/socket.h>

#include <weir/hpp/handle.hpp>

namespace weir {
namespace detail {

template <typename T>
class Next;

/* What has come and was not taken yet, and who waits for it. */
template <typename T>
struct Source {
	Core *core;
	std::vector<Result<T>> queue;
	size_t head = 0;
	Next<T> *next = nullptr;
	bool ended = false;
	bool outside = false;			/* no operation keeps the loop waiting */
	void (*taken)(Source *self) = nullptr;	/* one of the queue was */

	explicit Source(Core *owner) : core(owner) {}

	bool has() const noexcept
	{
		return head < queue.size() || ended;
	}

	void push(Result<T> &&item)
	{
		queue.push_back(std::move(item));
		wake();
	}

	void end() noexcept
	{
		ended = true;
		wake();
	}

	Result<T> pop()
	{
		if (head == queue.size())
			return failure(-ENODATA);

		Result<T> item = std::move(queue[head++]);

		if (taken)
			taken(this);

		if (head == queue.size()) {
			queue.clear();
			head = 0;
		}
		return item;
	}

	void wake() noexcept;
};

/*
 * Waits for the next of a source. Within a deadline or under a token of its own
 * it waits with a timer, which is an operation and hears of both.
 */
template <typename T>
class [[nodiscard]] Next : Waiting, public Limited<Next<T>> {
public:
	Next(Source<T> *source, const Where &at) : source_(source), timer_(source->core, at) {}
	Next(Next &&other) noexcept : source_(other.source_), timer_(std::move(other.timer_)) {}

	~Next()
	{
		delist();
		if (source_->next == this)
			source_->next = nullptr;
	}

	std::coroutine_handle<> start(const Context &context, Link link)
	{
		if (source_->has())
			return link.ended();
		if (source_->next)
			die("two wait for the next of one stream");
		link_ = link;
		source_->next = this;
		if (context.deadline_ns || source_->outside ||
		    (context.token && context.token != core()->root.raw()))
			start_timer(context);
		else if (context.token)
			start_plain();
		return std::noop_coroutine();
	}

	Result<T> take()
	{
		if (source_->has())
			return source_->pop();
		return failure(why_);
	}

private:
	friend Source<T>;

	Core *core() const noexcept
	{
		return source_->core;
	}

	void start_plain() noexcept
	{
		cancel = [](Waiting *self) noexcept { static_cast<Next *>(self)->wake(-ECANCELED); };
		enlist(&core()->waiting);
		if (core()->stopping)
			wake(-ECANCELED);
	}

	void start_timer(const Context &context) noexcept
	{
		weir_prep_timeout(timer_.raw(), context.deadline_ns ? context.deadline_ns : UINT64_MAX,
				  nullptr, nullptr);
		timer_.raw()->token = context.token;
		timer_.submit([](weir_op *op) noexcept {
			static_cast<Next *>(op->ctx)->wake(op->res ? op->res : -ETIME);
		}, this);
	}

	/* The timer, if there is one, has ended: so has the wait. */
	void wake(int why) noexcept
	{
		delist();
		why_ = why;
		source_->next = nullptr;
		link_.ended().resume();
	}

	void come() noexcept
	{
		if (timer_.busy())
			weir_cancel(core()->loop, timer_.raw());
		else
			wake(0);
	}

	Source<T> *source_;
	BasicOp timer_;
	Link link_;
	int why_ = 0;
};

template <typename T>
void Source<T>::wake() noexcept
{
	if (next)
		next->come();
}

/* What an event of a multishot operation brought. */
template <typename T>
T brought(Core *core, const weir_op &op)
{
	if constexpr (std::is_same_v<T, Lease>)
		return Lease(op.lease ? weir_lease_get(op.lease) : nullptr);
	else
		return Convert<T>::from(core, op);
}

template <typename T>
struct Multishot : Source<T> {
	weir_op op = {};
	msghdr msg = {};	/* of recvmsg: how much room for what */
	const char *where;
	bool orphan = false;

	Multishot(Core *owner, const char *place) : Source<T>(owner), where(place) {}

	void start() noexcept
	{
		op.done = [](weir_op *self) noexcept { static_cast<Multishot *>(self->ctx)->event(); };
		op.ctx = this;
		weir_submit_at(this->core->loop, &op, where);
	}

	/* An end that brought something is the kernel's whim: go on. */
	bool goes_on() const noexcept
	{
		if (op.opcode != WEIR_OP_ACCEPT && op.opcode != WEIR_OP_POLL)
			return op.res > 0 || (op.res == 0 && op.lease);
		return op.res >= 0;
	}

	void event()
	{
		bool more = op.more;

		if (orphan) {
			if (op.res >= 0)
				brought<T>(this->core, op);
			if (!more)
				delete this;
			return;
		}

		bool on = more || goes_on();

		/* Armed again first: who is woken may drop the stream. */
		Result<T> item = op.res < 0 ? Result<T>(failure(op.res)) :
					      Result<T>(brought<T>(this->core, op));

		if (!more && on)
			start();
		this->ended |= !on;
		this->push(std::move(item));
	}
};

} /* namespace detail */

/*
 * What one operation brings, many times. A lease that is empty, or an error, is
 * the last: after that there is only ENODATA. An accept also tells of clients
 * that it could not take yet, with ENFILE or EMFILE, and goes on.
 */
template <typename T>
class [[nodiscard]] Stream {
public:
	explicit Stream(detail::Multishot<T> *source) noexcept : source_(source) {}
	Stream(Stream &&other) noexcept : source_(std::exchange(other.source_, nullptr)) {}

	Stream &operator=(Stream &&other) noexcept
	{
		std::swap(source_, other.source_);
		return *this;
	}

	~Stream()
	{
		if (!source_)
			return;
		if (source_->next)
			detail::die("a stream was destroyed while its next was awaited");
		source_->orphan = true;
		source_->queue.clear();
		if (weir_op_busy(&source_->op))
			weir_cancel(source_->core->loop, &source_->op);
		else
			delete source_;
	}

	/* One at a time may wait. */
	detail::Next<T> next(Where at = Where::current())
	{
		return detail::Next<T>(source_, at);
	}

private:
	detail::Multishot<T> *source_;
};

} /* namespace weir */

#endif /* WEIR_HPP_STREAM_HPP */
