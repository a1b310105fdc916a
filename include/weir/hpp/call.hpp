/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * call.hpp - what takes several operations and is awaited as one: connecting to
 * one of several addresses, exact transfers, files into sockets
 *
 * The library's own struct lies in the frame of who awaits, like an operation.
 */
#ifndef WEIR_HPP_CALL_HPP
#define WEIR_HPP_CALL_HPP

#include <functional>

#include <weir/hpp/files.hpp>
#include <weir/race.h>
#include <weir/transfer.h>

namespace weir {
namespace detail {

/* Who waits for it, and that it is not moved or destroyed meanwhile. */
template <typename D>
class Call : public Limited<D> {
protected:
	Call(Core *core, const char *name, const Where &at) noexcept
		: core_(core), name_(name), at_(at)
	{
	}

	Call(Call &&other) noexcept : core_(other.core_), name_(other.name_), at_(other.at_)
	{
		other.must_not_run("moved");
	}

	~Call()
	{
		must_not_run("destroyed before it ended");
	}

	/* Before the library is given it, which may not call back at once. */
	void begin(Link link) noexcept
	{
		must_not_run("awaited again");
		link_ = link;
		running_ = true;
	}

	/* It was refused: nobody will call back. */
	std::coroutine_handle<> refused() noexcept
	{
		running_ = false;
		return link_.ended();
	}

	/* In the library's done(); last, since who is woken may destroy this. */
	void end() noexcept
	{
		running_ = false;
		link_.ended().resume();
	}

	Core *core_;

private:
	void must_not_run(const char *what) const noexcept
	{
		if (running_) [[unlikely]]
			die(what, name_, at_);
	}

	const char *name_;
	Link link_;
	Where at_;
	bool running_ = false;
};

/* What a transfer tells after each step: bytes so far. */
using Progress = std::function<void(uint64_t)>;

} /* namespace detail */

/* Connects to whichever answers first, see <weir/race.h>. */
class [[nodiscard]] Race : public detail::Call<Race> {
public:
	Race(detail::Core *core, std::span<const Address> addresses,
	     std::chrono::nanoseconds delay, const Where &at) noexcept
		: Call(core, "race", at), addresses_(addresses), delay_(delay)
	{
	}

	Race(Race &&other) noexcept
		: Call(std::move(other)), addresses_(other.addresses_), delay_(other.delay_)
	{
	}

	~Race()
	{
		close_file();
	}

	std::coroutine_handle<> start(const detail::Context &context, detail::Link link) noexcept
	{
		weir_race_opts opts = {};

		begin(link);
		opts.sz = sizeof(opts);
		opts.addrs = reinterpret_cast<const weir_addr *>(addresses_.data());
		opts.count = detail::clamp(addresses_.size());
		opts.delay_ns = static_cast<uint64_t>(std::max(delay_.count(), 0L));
		opts.deadline_ns = context.deadline_ns;
		opts.token = context.token;
		opts.done = [](weir_race *race) noexcept { static_cast<Race *>(race->ctx)->end(); };
		opts.ctx = this;
		race_.res = weir_race_start(&race_, core_->loop, &opts);
		return race_.res ? refused() : std::noop_coroutine();
	}

	Result<Socket> take() noexcept
	{
		if (race_.res)
			return failure(race_.res);
		return Socket(core_->closer(std::exchange(race_.file, {})));
	}

private:
	/* Of a connection that nobody took. */
	void close_file() noexcept
	{
		if (race_.file.gen)
			detail::Core::close(core_->closer(race_.file));
	}

	static_assert(sizeof(Address) == sizeof(weir_addr));

	std::span<const Address> addresses_;
	std::chrono::nanoseconds delay_;
	weir_race race_ = {};
};

/* Reads or writes until all is moved, see <weir/transfer.h>. */
template <typename T>
class [[nodiscard]] Exact : public detail::Call<Exact<T>> {
public:
	Exact(detail::Core *core, weir_file file, void *buf, size_t len, uint64_t offset,
	      const Where &at) noexcept
		: detail::Call<Exact>(core, name, at)
	{
		exact_.file = file;
		exact_.buf = buf;
		exact_.len = len;
		exact_.offset = offset;
	}

	Exact(Exact &&) = default;

	/* @fn is called after each step but the last, with how much was moved so far. */
	Exact &&with_progress(detail::Progress fn) &&
	{
		progress_ = std::move(fn);
		return std::move(*this);
	}

	std::coroutine_handle<> start(const detail::Context &context, detail::Link link) noexcept
	{
		this->begin(link);
		exact_.ctx = this;
		exact_.deadline_ns = context.deadline_ns;
		exact_.token = context.token;
		exact_.done = [](weir_exact *exact) noexcept {
			static_cast<Exact *>(exact->ctx)->end();
		};
		if (progress_)
			exact_.progress = [](weir_exact *exact) noexcept {
				static_cast<Exact *>(exact->ctx)->progress_(exact->moved);
			};
		if constexpr (std::is_void_v<T>)
			weir_write_all(this->core_->loop, &exact_);
		else
			weir_read_exact(this->core_->loop, &exact_);
		return std::noop_coroutine();
	}

	Result<T> take() noexcept
	{
		if constexpr (std::is_void_v<T>) {
			if (exact_.res)
				return failure(exact_.res);
			return {};
		} else {
			if (exact_.res && exact_.res != -ENODATA)
				return failure(exact_.res);
			return static_cast<T>(exact_.moved);
		}
	}

private:
	static constexpr const char *name = std::is_void_v<T> ? "write_all" : "read_full";

	weir_exact exact_ = {};
	detail::Progress progress_;
};

/* A file, or part of one, into a socket or pipe, see <weir/transfer.h>. */
class [[nodiscard]] SendFile : public detail::Call<SendFile> {
public:
	SendFile(detail::Core *core, weir_file from, weir_file to, uint64_t offset, uint64_t len,
		 const Where &at) noexcept
		: Call(core, "sendfile", at)
	{
		sf_.from = from;
		sf_.to = to;
		sf_.offset = offset;
		sf_.len = len;
	}

	SendFile(SendFile &&) = default;

	/* Room for the bytes of what cannot be spliced, which is an error without. */
	SendFile &&with_room(Room room) && noexcept
	{
		sf_.buf = room.data;
		sf_.buf_bytes = detail::clamp(room.size);
		return std::move(*this);
	}

	/* @fn is called after each step but the last, with how much was sent so far. */
	SendFile &&with_progress(detail::Progress fn) &&
	{
		progress_ = std::move(fn);
		return std::move(*this);
	}

	std::coroutine_handle<> start(const detail::Context &context, detail::Link link) noexcept
	{
		begin(link);
		sf_.ctx = this;
		sf_.deadline_ns = context.deadline_ns;
		sf_.token = context.token;
		sf_.done = [](weir_sendfile *sf) noexcept {
			static_cast<SendFile *>(sf->ctx)->end();
		};
		if (progress_)
			sf_.progress = [](weir_sendfile *sf) noexcept {
				static_cast<SendFile *>(sf->ctx)->progress_(sf->sent);
			};
		weir_sendfile_start(core_->loop, &sf_);
		return std::noop_coroutine();
	}

	/* How much was sent: less than was asked for if the file ended. */
	Result<uint64_t> take() noexcept
	{
		if (sf_.res)
			return failure(sf_.res);
		return sf_.sent;
	}

private:
	weir_sendfile sf_ = {};
	detail::Progress progress_;
};

inline Race Ops::race(std::span<const Address> addresses, std::chrono::nanoseconds delay,
		      Where at) const
{
	return Race(core_, addresses, delay, at);
}

inline Exact<size_t> Ops::read_full(weir_file file, Room room, uint64_t offset, Where at) const
{
	return Exact<size_t>(core_, file, room.data, room.size, offset, at);
}

inline Exact<void> Ops::write_all(weir_file file, Bytes bytes, uint64_t offset, Where at) const
{
	return Exact<void>(core_, file, const_cast<void *>(bytes.data), bytes.size, offset, at);
}

inline SendFile Ops::sendfile(weir_file from, weir_file to, uint64_t offset, uint64_t len,
			      Where at) const
{
	return SendFile(core_, from, to, offset, len, at);
}

inline Exact<size_t> File::read_full(Room room, uint64_t offset, Where at) const
{
	return ops().read_full(*this, room, offset, at);
}

inline Exact<void> File::write_all(Bytes bytes, uint64_t offset, Where at) const
{
	return ops().write_all(*this, bytes, offset, at);
}

inline SendFile Socket::sendfile(weir_file from, uint64_t offset, uint64_t len, Where at) const
{
	return ops().sendfile(from, *this, offset, len, at);
}

} /* namespace weir */

#endif /* WEIR_HPP_CALL_HPP */
