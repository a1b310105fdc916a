/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * loop.hpp - Loop: runs tasks
 */
#ifndef WEIR_HPP_LOOP_HPP
#define WEIR_HPP_LOOP_HPP

#include <weir/hpp/files.hpp>

namespace weir {
namespace detail {

template <typename T>
struct Flat {
	using type = Result<T>;
};
template <typename T>
struct Flat<Result<T>> {
	using type = Result<T>;
};

/* Where a run stands. */
struct Run {
	bool over = false;
	bool inside = false;	/* of weir_loop_run() */
};

/* Woken by the task that is run when it has ended. */
inline Detached at_end(weir_loop *loop, Run &run)
{
	run.over = true;
	if (run.inside)
		weir_loop_stop(loop);
	co_return;
}

} /* namespace detail */

/*
 * An event loop of one thread. All else that belongs to it must be gone before
 * it. Moving it does not move what the others refer to.
 */
class Loop : public Ops {
public:
	using Ops::open;	/* of a file, which has flags */

	/* Options as in <weir/loop.h>; the size is filled in. */
	static Result<Loop> open(weir_loop_opts opts = {})
	{
		auto core = std::make_unique<detail::Core>();
		int err;

		opts.sz = sizeof(opts);
		err = weir_loop_open(&core->loop, &opts);
		if (err)
			return failure(err);
		core->root.begin(core->loop, nullptr);
		return Loop(std::move(core));
	}

	static Result<Loop> open(const char *backend)
	{
		weir_loop_opts opts = {};

		opts.backend = backend;
		return open(opts);
	}

	Loop(Loop &&) = default;

	Loop &operator=(Loop &&other) noexcept
	{
		std::swap(own_, other.own_);
		std::swap(core_, other.core_);
		return *this;
	}

	/*
	 * Cancels what is left, waits for it, and closes. Terminates the process if
	 * that takes longer than set_patience(): the kernel still owns memory then.
	 */
	~Loop()
	{
		if (!own_)
			return;
		own_->cancel_all();
		drain();
		own_->end_detached();
		own_->root.end();
		if (weir_loop_close(raw(), static_cast<uint64_t>(own_->patience.count())))
			detail::die("a loop was destroyed, but the kernel still owns memory of it");
		own_->loop = nullptr;
		for (weir_pool *pool : own_->pools)
			if (weir_pool_close(pool))
				detail::die("a loop was destroyed before the leases of its pools");
	}

	/* How long the destructor waits; 5 s if not said. */
	void set_patience(std::chrono::nanoseconds patience) noexcept
	{
		own_->patience = patience;
	}

	const char *backend() const noexcept
	{
		return weir_loop_backend(raw());
	}

	/*
	 * Runs until @task has ended, and gives its result or throws what it threw;
	 * what was spawned meanwhile stays where it is. Fails if the loop breaks, or
	 * with EDEADLK when nothing that could wake the task is in flight.
	 */
	template <typename T>
	typename detail::Flat<T>::type run(Task<T> task)
	{
		detail::Run run;
		detail::Detached end = detail::at_end(raw(), run);
		int err = 0;

		task.start({core_, own_->root.raw(), 0}, {end.frame, nullptr, 0}).resume();
		while (!run.over && !err)
			err = turn(run);
		if (run.over)
			return flat(task);
		end.frame.destroy();
		return failure(err);
	}

	/* Runs until nothing is in flight any more. */
	Result<void> run()
	{
		detail::Run run;
		int err;

		do {
			err = turn(run);
		} while (!err);
		if (err != -EDEADLK)
			return failure(err);
		return {};
	}

	/*
	 * Lets @task run beside the others. What it comes to is dropped, what it
	 * throws terminates the process. The loop cancels it when it ends.
	 */
	template <typename T>
	void spawn(Task<T> task)
	{
		own_->detach(drop(std::move(task)));
	}

	/* The same; @handler is called with what it came to. */
	template <typename T, typename Handler>
		requires(std::is_void_v<T> ? std::invocable<Handler &> :
					     std::invocable<Handler &, detail::Taken<Task<T>>>)
	void spawn(Task<T> task, Handler handler)
	{
		own_->detach(hand(std::move(task), std::move(handler)));
	}

	/*
	 * From any thread or signal handler: cancels all that run() and spawn()
	 * started. For good: what is started later is cancelled at once.
	 */
	void stop() noexcept
	{
		own_->stop_asked = true;
		weir_loop_stop(raw());
	}

	Result<Pool> pool(weir_pool_opts opts)
	{
		weir_pool *pool;
		int err;

		opts.sz = sizeof(opts);
		own_->pools.reserve(WEIR_POOLS_MAX);
		err = weir_pool_open(&pool, raw(), &opts);
		if (err)
			return failure(err);
		return Pool(core_, pool);
	}

	Result<Listener> listen(const Address &address, weir_listener_opts opts = {})
	{
		Address copy = address;

		opts.addr = copy.addr();
		return Listener::open(core_, opts);
	}

	/* Of a plain descriptor, which is the file's from here; File or Socket. */
	template <typename H = File>
	Result<H> adopt(int fd)
	{
		weir_file file;
		int err = weir_file_adopt(raw(), fd, &file);

		if (err)
			return failure(err);
		return H(core_->closer(file));
	}

	/* The end to read from, and the one to write to. */
	Result<std::pair<File, File>> pipe()
	{
		weir_file from, to;
		int err = weir_pipe_open(raw(), &from, &to);

		if (err)
			return failure(err);
		return std::pair(File(core_->closer(from)), File(core_->closer(to)));
	}

	struct weir_loop_stats stats() const noexcept
	{
		struct weir_loop_stats stats;

		::weir_loop_stats(raw(), &stats, sizeof(stats));
		return stats;
	}

private:
	explicit Loop(std::unique_ptr<detail::Core> core) noexcept
		: Ops(core.get()), own_(std::move(core))
	{
	}

	/* 0 to go on; -EDEADLK with nothing in flight, or what broke the loop. */
	int turn(detail::Run &run)
	{
		int ret;

		if (own_->stop_asked && !own_->stopping)
			own_->cancel_all();
		run.inside = true;
		ret = weir_loop_run(raw());
		run.inside = false;
		if (ret > 0)
			return own_->stop_asked && !own_->stopping ? 0 : -EDEADLK;
		return ret;
	}

	/* What was cancelled ends, and what follows it. */
	void drain() noexcept
	{
		uint64_t end_ns = own_->after(own_->patience);

		while (weir_token_inflight(own_->root.raw())) {
			uint64_t now_ns = weir_loop_now(raw());

			if (now_ns >= end_ns || weir_loop_run_once(raw(), end_ns - now_ns) < 0)
				detail::die("a loop was destroyed, but what it ran did not end");
		}
	}

	template <typename T>
	static typename detail::Flat<T>::type flat(Task<T> &task)
	{
		if constexpr (std::is_void_v<T>)
			return task.take(), Result<void>();
		else
			return task.take();
	}

	template <typename T>
	static detail::Detached drop(Task<T> task)
	{
		co_await std::move(task);
	}

	template <typename T, typename Handler>
	static detail::Detached hand(Task<T> task, Handler handler)
	{
		if constexpr (std::is_void_v<T>) {
			co_await std::move(task);
			handler();
		} else {
			handler(co_await std::move(task));
		}
	}

	std::unique_ptr<detail::Core> own_;
};

} /* namespace weir */

#endif /* WEIR_HPP_LOOP_HPP */
