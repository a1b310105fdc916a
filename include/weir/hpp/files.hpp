/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * files.hpp - files, sockets and listeners with the operations that suit them
 */
#ifndef WEIR_HPP_FILES_HPP
#define WEIR_HPP_FILES_HPP

#include <weir/hpp/ops.hpp>

namespace weir {

/* An open file. */
class File : public Handle {
public:
	File() = default;
	explicit File(detail::Closer *closer) noexcept : Handle(closer) {}

	auto read(Room room, uint64_t offset, Where at = Where::current()) const
	{
		return ops().read(*this, room, offset, at);
	}

	auto read(const Pool &pool, Where at = Where::current()) const
	{
		return ops().read(*this, pool, at);
	}

	auto write(Bytes bytes, uint64_t offset, Where at = Where::current()) const
	{
		return ops().write(*this, bytes, offset, at);
	}

	auto readv(std::span<const iovec> vector, uint64_t offset,
		   Where at = Where::current()) const
	{
		return ops().readv(*this, vector, offset, at);
	}

	auto writev(std::span<const iovec> vector, uint64_t offset,
		    Where at = Where::current()) const
	{
		return ops().writev(*this, vector, offset, at);
	}

	/* Until the room is full or the file ends; gives how much that was. */
	Exact<size_t> read_full(Room room, uint64_t offset = WEIR_NO_OFFSET,
				Where at = Where::current()) const;

	/* All of it, however many writes that takes. */
	Exact<void> write_all(Bytes bytes, uint64_t offset = WEIR_NO_OFFSET,
			      Where at = Where::current()) const;

	auto fsync(Where at = Where::current()) const
	{
		return ops().fsync(*this, at);
	}

	auto fdatasync(Where at = Where::current()) const
	{
		return ops().fdatasync(*this, at);
	}

	auto fallocate(int mode, uint64_t offset, uint64_t len,
		       Where at = Where::current()) const
	{
		return ops().fallocate(*this, mode, offset, len, at);
	}

	auto ftruncate(uint64_t size, Where at = Where::current()) const
	{
		return ops().ftruncate(*this, size, at);
	}

	auto fadvise(uint64_t offset, uint64_t len, int advice,
		     Where at = Where::current()) const
	{
		return ops().fadvise(*this, offset, len, advice, at);
	}

	auto statx(unsigned int mask, struct ::statx *out, Where at = Where::current()) const
	{
		return ops().statx(*this, mask, out, at);
	}
};

/* A socket. */
class Socket : public Handle {
public:
	Socket() = default;
	explicit Socket(detail::Closer *closer) noexcept : Handle(closer) {}

	auto bind(const Address &address, Where at = Where::current()) const
	{
		return ops().bind(*this, address, at);
	}

	auto listen(int backlog = 4096, Where at = Where::current()) const
	{
		return ops().listen(*this, backlog, at);
	}

	auto accept(Where at = Where::current()) const
	{
		return ops().accept(*this, at);
	}

	Stream<Socket> accept_multi(uint32_t burst = 4096, Where at = Where::current()) const;

	auto connect(const Address &address, Where at = Where::current()) const
	{
		return ops().connect(*this, address, at);
	}

	auto recv(Room room, int flags = 0, Where at = Where::current()) const
	{
		return ops().recv(*this, room, flags, at);
	}

	auto recv(const Pool &pool, Where at = Where::current()) const
	{
		return ops().recv(*this, pool, at);
	}

	auto send(Bytes bytes, int flags = 0, Where at = Where::current()) const
	{
		return ops().send(*this, bytes, flags, at);
	}

	auto recvmsg(msghdr *msg, int flags = 0, Where at = Where::current()) const
	{
		return ops().recvmsg(*this, msg, flags, at);
	}

	template <size_t Control>
	auto recvmsg(MessageRoom<Control> &room, int flags = 0, Where at = Where::current()) const
	{
		return ops().recvmsg(*this, room, flags, at);
	}

	auto recvmsg(const Pool &pool, size_t control = 0, Where at = Where::current()) const
	{
		return ops().recvmsg(*this, pool, control, at);
	}

	template <size_t Control>
	auto sendmsg(MessageOut<Control> &out, int flags = 0, Where at = Where::current()) const
	{
		return ops().sendmsg(*this, out, flags, at);
	}

	auto sendmsg(const msghdr *msg, int flags = 0, Where at = Where::current()) const
	{
		return ops().sendmsg(*this, msg, flags, at);
	}

	/* All of it, however many sends that takes. */
	Task<Result<void>> send_all(Bytes bytes, Where at = Where::current()) const
	{
		return send_all(ops(), *this, bytes, at);
	}

	/* Until the room is full or the peer has ended; gives how much that was. */
	Task<Result<size_t>> recv_full(Room room, Where at = Where::current()) const
	{
		return recv_full(ops(), *this, room, at);
	}

	/* A file, or part of one, without a copy in user memory. */
	SendFile sendfile(weir_file from, uint64_t offset = 0, uint64_t len = UINT64_MAX,
			  Where at = Where::current()) const;

	auto shutdown(int how, Where at = Where::current()) const
	{
		return ops().shutdown(*this, how, at);
	}

	auto getsockopt(int level, int name, Room value, Where at = Where::current()) const
	{
		return ops().getsockopt(*this, level, name, value, at);
	}

	auto set_option(weir_option option, const int &value, Where at = Where::current()) const
	{
		return ops().set_option(*this, option, value, at);
	}

	auto get_option(weir_option option, int *value, Where at = Where::current()) const
	{
		return ops().get_option(*this, option, value, at);
	}

	auto setsockopt(int level, int name, Bytes value, Where at = Where::current()) const
	{
		return ops().setsockopt(*this, level, name, value, at);
	}

private:
	static Task<Result<void>> send_all(Ops ops, weir_file file, Bytes bytes, Where at)
	{
		size_t done = 0;

		while (done < bytes.size) {
			auto n = co_await ops.send(file, bytes.from(done), 0, at);

			if (!n)
				co_return std::unexpected(n.error());
			done += *n;
		}
		co_return Result<void>();
	}

	static Task<Result<size_t>> recv_full(Ops ops, weir_file file, Room room, Where at)
	{
		size_t done = 0;

		while (done < room.size) {
			auto n = co_await ops.recv(file, room.from(done), 0, at);

			if (!n)
				co_return std::unexpected(n.error());
			if (!*n)
				break;
			done += *n;
		}
		co_return done;
	}
};

namespace detail {

template <>
struct Convert<File> {
	static constexpr bool owns = true;

	static File from(Core *core, const weir_op &op)
	{
		return File(core->closer(op.accepted));
	}
};

template <>
struct Convert<Socket> {
	static constexpr bool owns = true;

	static Socket from(Core *core, const weir_op &op)
	{
		return Socket(core->closer(op.accepted));
	}
};

} /* namespace detail */

inline Stream<Socket> Ops::accept_multi(weir_file file, uint32_t burst, Where at) const
{
	return stream<Socket>(at, [&](auto *multi) {
		weir_prep_accept(&multi->op, file, burst, nullptr, nullptr);
	});
}

inline Stream<Socket> Socket::accept_multi(uint32_t burst, Where at) const
{
	return ops().accept_multi(*this, burst, at);
}

/*
 * A TCP listener that goes on accepting whatever happens, see <weir/net.h>. It
 * can go out of scope at any time, and then what nobody accepted is closed.
 */
class Listener {
public:
	Listener(Listener &&other) noexcept : state_(std::exchange(other.state_, nullptr)) {}

	Listener &operator=(Listener &&other) noexcept
	{
		std::swap(state_, other.state_);
		return *this;
	}

	~Listener()
	{
		if (!state_)
			return;
		if (state_->next)
			detail::die("a listener was destroyed while a client was awaited");
		state_->orphan = true;
		state_->queue.clear();
		weir_listener_close(state_->listener,
				    [](void *self) { delete static_cast<State *>(self); }, state_);
	}

	/* The next client. One at a time may wait. */
	detail::Next<Socket> accept(Where at = Where::current())
	{
		return detail::Next<Socket>(state_, at);
	}

	/* With the port that was chosen. */
	Address address() const noexcept
	{
		Address address;

		weir_listener_addr(state_->listener, address.addr());
		return address;
	}

private:
	friend class Loop;

	struct State : detail::Source<Socket> {
		using Source::Source;

		weir_listener *listener = nullptr;
		bool orphan = false;

		void come(weir_file file)
		{
			Socket client(core->closer(file));

			if (!orphan)
				push(std::move(client));
		}
	};

	explicit Listener(State *state) noexcept : state_(state) {}

	static Result<Listener> open(detail::Core *core, weir_listener_opts opts)
	{
		auto state = std::make_unique<State>(core);
		int err;

		opts.sz = sizeof(opts);
		opts.accepted = [](void *self, weir_file file) {
			static_cast<State *>(self)->come(file);
		};
		opts.ctx = state.get();
		err = weir_listener_open(&state->listener, core->loop, &opts);
		if (err)
			return failure(err);
		weir_listener_start(state->listener);
		return Listener(state.release());
	}

	State *state_;
};

} /* namespace weir */

#endif /* WEIR_HPP_FILES_HPP */
