/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * core.hpp - tokens, and what a loop keeps in C++: closes set aside for its files,
 * coroutines nobody waits for, names of places
 */
#ifndef WEIR_HPP_CORE_HPP
#define WEIR_HPP_CORE_HPP

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

} /* namespace detail */
} /* namespace weir */

#endif /* WEIR_HPP_CORE_HPP */
