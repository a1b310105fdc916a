/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * inbox.hpp - values, files and sockets from other threads to a loop; signals
 *
 * An inbox belongs to its loop like all else; its senders may be anywhere and may
 * outlive it, and then are told that it is gone.
 */
#ifndef WEIR_HPP_INBOX_HPP
#define WEIR_HPP_INBOX_HPP

#include <memory>
#include <mutex>

#include <sys/signalfd.h>

#include <weir/hpp/files.hpp>
#include <weir/pass.h>
#include <weir/post.h>
#include <weir/signals.h>

namespace weir {
namespace detail {

/* What an inbox and its senders share. The source is the owner thread's alone. */
template <typename T>
struct Mail : Source<T> {
	std::mutex lock;
	bool open = true;	/* under the lock: while it is held the loop lives */
	size_t room;		/* under the lock: for so many more */

	Mail(Core *owner, size_t limit) : Source<T>(owner), room(limit)
	{
		this->outside = true;
		this->taken = [](Source<T> *self) {
			Mail *mail = static_cast<Mail *>(self);
			std::lock_guard guard(mail->lock);

			mail->room++;
		};
	}

	/* Calls @fn, which gives the loop something, if there is room for that. */
	template <typename Fn>
	Result<void> give(Fn fn)
	{
		std::lock_guard guard(lock);

		if (!open)
			return failure(-EPIPE);
		if (!room)
			return failure(-EAGAIN);
		if (int err = fn(this->core->loop))
			return failure(err);
		room--;
		return {};
	}

	/* On the owner thread: what was given has come, or has not. */
	void come(T &&value)
	{
		if (open)
			this->push(std::move(value));
	}

	void missed() noexcept
	{
		std::lock_guard guard(lock);

		room++;
	}
};

template <typename T>
struct Letter : weir_post {
	std::shared_ptr<Mail<T>> mail;
	T value;

	Letter(std::shared_ptr<Mail<T>> to, T &&what) noexcept
		: weir_post{}, mail(std::move(to)), value(std::move(what))
	{
		fn = [](weir_post *self) noexcept {
			std::unique_ptr<Letter> letter(static_cast<Letter *>(self));

			if (!letter->res)
				letter->mail->come(std::move(letter->value));
		};
	}
};

/* A file on its way to another loop; @stayed hears of it if it does not get there. */
template <typename H, typename Stayed>
struct Passage : weir_pass {
	std::shared_ptr<Mail<H>> mail;
	Core *from;
	Stayed stayed;

	Passage(std::shared_ptr<Mail<H>> to, Core *home, Stayed &&handler)
		: weir_pass{}, mail(std::move(to)), from(home), stayed(std::move(handler))
	{
		done = [](weir_pass *self) noexcept {
			std::unique_ptr<Passage> passage(static_cast<Passage *>(self));

			passage->end();
		};
	}

	void end()
	{
		if (!res) {
			if (mail->open)
				mail->come(H(mail->core->closer(file)));
			else
				orphan();
			return;
		}
		mail->missed();
		stayed(H(from->closer(file)), error(res));
	}

	/* Nobody there wants it any more: closed by an operation of that loop. */
	void orphan() noexcept
	{
		weir_op *op = new weir_op{};

		weir_prep_close(op, file, [](weir_op *self) noexcept { delete self; }, nullptr);
		weir_submit(loop, op);
	}
};

} /* namespace detail */

/* Sends to an inbox, from any thread but no signal handler; to be copied freely. */
template <typename T>
class Sender {
public:
	explicit Sender(std::shared_ptr<detail::Mail<T>> mail) noexcept : mail_(std::move(mail)) {}

	/*
	 * Fails with EPIPE when the inbox is gone, and with EAGAIN when it is full; then
	 * @value is as it was.
	 */
	Result<void> send(T &&value) const
	{
		auto letter = std::make_unique<detail::Letter<T>>(mail_, std::move(value));
		auto sent = mail_->give([&](weir_loop *loop) {
			return weir_post(nullptr, loop, letter.get());
		});

		if (sent)
			letter.release();
		else
			value = std::move(letter->value);
		return sent;
	}

	Result<void> send(const T &value) const
	{
		return send(T(value));
	}

	/*
	 * Hands @file, a File or Socket of the calling thread's loop, over to the loop of
	 * the inbox, see <weir/pass.h>: what is in flight on it is cancelled first. If it
	 * is refused, as by send() or because the loops are the same, @file is as it was.
	 * If it fails later, @stayed is called on this thread, with the file and the
	 * reason; without it the file is closed. Neither loop may end meanwhile, nor that
	 * of the inbox before the other has taken one more turn.
	 */
	template <typename Stayed = void (*)(T, std::error_code)>
		requires std::derived_from<T, Handle> && std::invocable<Stayed &, T, std::error_code>
	Result<void> pass(T &file, Stayed stayed = [](T, std::error_code) {}) const
	{
		using Passage = detail::Passage<T, Stayed>;

		if (!file)
			return failure(-EBADF);

		auto passage = std::make_unique<Passage>(mail_, file.core(), std::move(stayed));
		auto went = mail_->give([&](weir_loop *loop) {
			return weir_file_pass(file.ops().raw(), file, loop, passage.get());
		});

		if (went) {
			passage.release();
			file.release();
		}
		return went;
	}

private:
	std::shared_ptr<detail::Mail<T>> mail_;
};

/* The receiving end: bounded, and in order as far as one sender goes. */
template <typename T>
class Inbox {
public:
	/* For at most @room values that were sent and not taken yet. */
	explicit Inbox(const Ops &loop, size_t room = 1024)
		: mail_(std::make_shared<detail::Mail<T>>(loop.core(), room))
	{
	}

	Inbox(Inbox &&) = default;

	~Inbox()
	{
		if (!mail_)
			return;
		if (mail_->next)
			detail::die("an inbox was destroyed while its next was awaited");

		{
			std::lock_guard guard(mail_->lock);

			mail_->open = false;
		}
		mail_->queue.clear();
	}

	Sender<T> sender() const noexcept
	{
		return Sender<T>(mail_);
	}

	/* One at a time may wait. */
	detail::Next<T> next(Where at = Where::current())
	{
		return detail::Next<T>(mail_.get(), at);
	}

private:
	std::shared_ptr<detail::Mail<T>> mail_;
};

/*
 * Signals of the process as values, see <weir/signals.h>: to be made before threads
 * are. One that waits already to be taken is not told twice, as the kernel has it, but
 * real-time ones are.
 */
class Signals {
public:
	Signals(Signals &&other) noexcept : state_(std::exchange(other.state_, nullptr)) {}

	Signals &operator=(Signals &&other) noexcept
	{
		std::swap(state_, other.state_);
		return *this;
	}

	~Signals()
	{
		if (!state_)
			return;
		if (state_->next)
			detail::die("signals were destroyed while the next was awaited");
		state_->orphan = true;
		if (state_->over)
			delete state_;
		else
			weir_signals_close(&state_->signals);
	}

	static Result<Signals> open(const Ops &loop, std::initializer_list<int> numbers)
	{
		auto state = std::make_unique<State>(loop.core());
		sigset_t set;
		int err;

		sigemptyset(&set);
		for (int number : numbers)
			if (sigaddset(&set, number))
				return failure(-EINVAL);
		err = weir_signals_open(&state->signals, loop.raw(), &set, State::event,
					state.get());
		if (err)
			return failure(err);
		return Signals(state.release());
	}

	/* One at a time may wait. */
	detail::Next<signalfd_siginfo> next(Where at = Where::current())
	{
		return detail::Next<signalfd_siginfo>(state_, at);
	}

private:
	struct State : detail::Source<signalfd_siginfo> {
		using Source::Source;

		weir_signals signals = {};
		bool orphan = false;
		bool over = false;	/* no more calls will come */

		bool waits(uint32_t number) const noexcept
		{
			return std::any_of(queue.begin() + static_cast<ptrdiff_t>(head), queue.end(),
					   [&](auto &info) { return info && info->ssi_signo == number; });
		}

		static void event(weir_signals *signals, const signalfd_siginfo *info)
		{
			State *state = static_cast<State *>(signals->ctx);

			if (info) {
				if (!state->orphan && (static_cast<int>(info->ssi_signo) >= SIGRTMIN ||
						       !state->waits(info->ssi_signo)))
					state->push(*info);
				return;
			}
			state->over = true;
			if (state->orphan)
				delete state;
			else
				state->fail(signals->res);
		}

		void fail(int res)
		{
			ended = true;
			push(failure(res ? res : -ECANCELED));
		}
	};

	explicit Signals(State *state) noexcept : state_(state) {}

	State *state_;
};

} /* namespace weir */

#endif /* WEIR_HPP_INBOX_HPP */
