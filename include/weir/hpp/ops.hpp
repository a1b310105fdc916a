/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * ops.hpp - every operation, to be awaited
 *
 * What each does is told in <weir/op.h>. Counts may be short, as there. Ranges,
 * paths, addresses and structures are borrowed until the operation has ended.
 */
#ifndef WEIR_HPP_OPS_HPP
#define WEIR_HPP_OPS_HPP

#include <weir/hpp/message.hpp>
#include <weir/option.h>
#include <weir/transfer.h>

namespace weir {

class File;
class Race;
class SendFile;
class Socket;
template <typename T>
class Exact;

namespace detail {

template <typename F>
class Work;

} /* namespace detail */

/* The operations of a loop; a reference to it, to be copied freely. */
class Ops {
public:
	explicit Ops(detail::Core *core) noexcept : core_(core) {}

	weir_loop *raw() const noexcept
	{
		return core_->loop;
	}

	/* For what is built upon it. */
	detail::Core *core() const noexcept
	{
		return core_;
	}

	/* The loop's clock, read once a turn. */
	std::chrono::nanoseconds now() const noexcept
	{
		return std::chrono::nanoseconds(weir_loop_now(raw()));
	}

	/* of the loop */

	Op<void> nop(Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_nop);
	}

	Op<void> sleep(std::chrono::nanoseconds span, Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_timeout, core_->after(span));
	}

	/* Calls @fn on another thread and gives what it returned, or throws what it threw. */
	template <typename F>
	detail::Work<F> work(F fn, Where at = Where::current()) const
	{
		return detail::Work<F>(core_, std::move(fn), at);
	}

	Op<uint32_t> poll(weir_file file, uint32_t events, Where at = Where::current()) const
	{
		return make<uint32_t>(at, weir_prep_poll, file, events);
	}

	Stream<uint32_t> poll_multi(weir_file file, uint32_t events,
				    Where at = Where::current()) const
	{
		return stream<uint32_t>(at, [&](auto *multi) {
			weir_prep_poll_multi(&multi->op, file, events, nullptr, nullptr);
		});
	}

	/* of sockets */

	Op<Socket> socket(int family, int type, int protocol = 0,
			  Where at = Where::current()) const
	{
		return make<Socket>(at, weir_prep_socket, family, type, protocol);
	}

	Op<void> bind(weir_file file, const Address &address, Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_bind, file, address.raw(), address.size());
	}

	Op<void> listen(weir_file file, int backlog = 4096, Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_listen, file, backlog);
	}

	Op<Socket> accept(weir_file file, Where at = Where::current()) const
	{
		return make<Socket>(at, weir_prep_accept_once, file);
	}

	/* All clients of a socket that listens; @burst is its backlog. */
	Stream<Socket> accept_multi(weir_file file, uint32_t burst = 4096,
				    Where at = Where::current()) const;

	Op<Socket> connect(const Address &address, Where at = Where::current()) const
	{
		return make<Socket>(at, weir_prep_connect, address.raw(), address.size());
	}

	/*
	 * Connects to whichever of @addresses, best first, answers first: RFC 8305. The
	 * next one is tried when one has failed, or after @delay; 0 is 250 ms.
	 */
	Race race(std::span<const Address> addresses, std::chrono::nanoseconds delay = {},
		  Where at = Where::current()) const;

	Op<void> connect(weir_file file, const Address &address,
			 Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_connect_file, file, address.raw(),
				  address.size());
	}

	Op<size_t> recv(weir_file file, Room room, int flags = 0,
			Where at = Where::current()) const
	{
		Op<size_t> op = make<size_t>(at, weir_prep_recv, file, room.data,
					     detail::clamp(room.size));

		op.raw()->xfer.msg_flags = flags;
		return op;
	}

	Stream<Lease> recv(weir_file file, const Pool &pool, Where at = Where::current()) const
	{
		return stream<Lease>(at, [&](auto *multi) {
			weir_prep_recv_pool(&multi->op, file, pool.raw(), nullptr, nullptr);
		});
	}

	Op<size_t> send(weir_file file, Bytes bytes, int flags = 0,
			Where at = Where::current()) const
	{
		Op<size_t> op = make<size_t>(at, weir_prep_send, file, bytes.data,
					     detail::clamp(bytes.size));

		op.raw()->xfer.msg_flags = flags;
		return op;
	}

	Op<size_t> recvmsg(weir_file file, msghdr *msg, int flags = 0,
			   Where at = Where::current()) const
	{
		return make<size_t>(at, weir_prep_recvmsg, file, msg, flags);
	}

	template <size_t Control>
	Op<Message> recvmsg(weir_file file, MessageRoom<Control> &room, int flags = 0,
			    Where at = Where::current()) const
	{
		return make<Message>(at, weir_prep_recvmsg, file, room.reset(), flags);
	}

	/* With room for the address and for @control bytes of control messages. */
	Stream<Message> recvmsg(weir_file file, const Pool &pool, size_t control = 0,
				Where at = Where::current()) const
	{
		return stream<Message>(at, [&](auto *multi) {
			multi->msg.msg_namelen = sizeof(sockaddr_storage);
			multi->msg.msg_controllen = control;
			weir_prep_recvmsg_pool(&multi->op, file, pool.raw(), &multi->msg, nullptr,
					       nullptr);
		});
	}

	Op<size_t> sendmsg(weir_file file, const msghdr *msg, int flags = 0,
			   Where at = Where::current()) const
	{
		return make<size_t>(at, weir_prep_sendmsg, file, msg, flags);
	}

	template <size_t Control>
	Op<size_t> sendmsg(weir_file file, MessageOut<Control> &out, int flags = 0,
			   Where at = Where::current()) const
	{
		return sendmsg(file, out.raw(), flags, at);
	}

	Op<void> shutdown(weir_file file, int how, Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_shutdown, file, how);
	}

	/* Gives the length of the value. */
	Op<size_t> getsockopt(weir_file file, int level, int name, Room value,
			      Where at = Where::current()) const
	{
		return make<size_t>(at, weir_prep_getsockopt, file, level, name, value.data,
				    detail::clamp(value.size));
	}

	Op<void> setsockopt(weir_file file, int level, int name, Bytes value,
			    Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_setsockopt, file, level, name, value.data,
				  detail::clamp(value.size));
	}

	/* One by name, @option of <weir/option.h>. */
	Op<void> set_option(weir_file file, weir_option option, const int &value,
			    Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_set_option, file, option, &value);
	}

	Op<void> get_option(weir_file file, weir_option option, int *value,
			    Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_get_option, file, option, value);
	}

	/* of files */

	Op<File> open(Path path, int flags, unsigned int mode = 0666,
		      Where at = Where::current()) const
	{
		return make<File>(at, weir_prep_open, path.text, flags, mode);
	}

	Op<size_t> read(weir_file file, Room room, uint64_t offset,
			Where at = Where::current()) const
	{
		return make<size_t>(at, weir_prep_read, file, room.data,
				    detail::clamp(room.size), offset);
	}

	/* Of what has no offsets: a pipe, a terminal. */
	Stream<Lease> read(weir_file file, const Pool &pool, Where at = Where::current()) const
	{
		return stream<Lease>(at, [&](auto *multi) {
			weir_prep_read_pool(&multi->op, file, pool.raw(), nullptr, nullptr);
		});
	}

	Op<size_t> write(weir_file file, Bytes bytes, uint64_t offset,
			 Where at = Where::current()) const
	{
		return make<size_t>(at, weir_prep_write, file, bytes.data,
				    detail::clamp(bytes.size), offset);
	}

	Op<size_t> readv(weir_file file, std::span<const iovec> vector, uint64_t offset,
			 Where at = Where::current()) const
	{
		return make<size_t>(at, weir_prep_readv, file, vector.data(),
				    detail::clamp(vector.size()), offset);
	}

	Op<size_t> writev(weir_file file, std::span<const iovec> vector, uint64_t offset,
			  Where at = Where::current()) const
	{
		return make<size_t>(at, weir_prep_writev, file, vector.data(),
				    detail::clamp(vector.size()), offset);
	}

	/* Until the room is full or the file ends; gives how much that was. */
	Exact<size_t> read_full(weir_file file, Room room, uint64_t offset = WEIR_NO_OFFSET,
				Where at = Where::current()) const;

	/* All of it, however many writes that takes. */
	Exact<void> write_all(weir_file file, Bytes bytes, uint64_t offset = WEIR_NO_OFFSET,
			      Where at = Where::current()) const;

	/* A file, or part of one, into a socket or pipe; gives how much that was. */
	SendFile sendfile(weir_file from, weir_file to, uint64_t offset = 0,
			  uint64_t len = UINT64_MAX, Where at = Where::current()) const;

	Op<void> fsync(weir_file file, Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_fsync, file);
	}

	Op<void> fdatasync(weir_file file, Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_fdatasync, file);
	}

	Op<void> fallocate(weir_file file, int mode, uint64_t offset, uint64_t len,
			   Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_fallocate, file, mode, offset, len);
	}

	Op<void> ftruncate(weir_file file, uint64_t size, Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_ftruncate, file, size);
	}

	Op<void> fadvise(weir_file file, uint64_t offset, uint64_t len, int advice,
			 Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_fadvise, file, offset, len, advice);
	}

	Op<void> statx(Path path, int flags, unsigned int mask, struct ::statx *out,
		       Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_statx, path.text, flags, mask, out);
	}

	Op<void> statx(weir_file file, unsigned int mask, struct ::statx *out,
		       Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_fstatx, file, mask, out);
	}

	Op<void> unlink(Path path, int flags = 0, Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_unlink, path.text, flags);
	}

	Op<void> mkdir(Path path, unsigned int mode = 0777, Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_mkdir, path.text, mode);
	}

	Op<void> rename(Path from, Path to, unsigned int flags = 0,
			Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_rename, from.text, to.text, flags);
	}

	Op<size_t> splice(weir_file from, int64_t off_in, weir_file to, int64_t off_out,
			  size_t len, unsigned int flags = 0, Where at = Where::current()) const
	{
		return make<size_t>(at, weir_prep_splice, from, off_in, to, off_out,
				    detail::clamp(len), flags);
	}

	/* of both */

	/* A plain descriptor of the file, the caller's own. */
	Op<int> install(weir_file file, Where at = Where::current()) const
	{
		return make<int>(at, weir_prep_install, file);
	}

	Op<void> close(weir_file file, Where at = Where::current()) const
	{
		return make<void>(at, weir_prep_close, file);
	}

protected:
	template <typename T, typename Prep, typename... Args>
	Op<T> make(const Where &at, Prep *prep, Args... args) const
	{
		Op<T> op(core_, at);

		prep(op.raw(), args..., nullptr, nullptr);
		return op;
	}

	template <typename T, typename Prepare>
	Stream<T> stream(const Where &at, Prepare &&prepare) const
	{
		auto *multi = new detail::Multishot<T>(core_, core_->places.text(at));

		prepare(multi);
		multi->start();
		return Stream<T>(multi);
	}

	detail::Core *core_;
};

inline Ops Handle::ops() const noexcept
{
	return Ops(closer_->core);
}

inline Op<uint32_t> Handle::poll(uint32_t events, Where at) const
{
	return ops().poll(*this, events, at);
}

inline Op<int> Handle::install(Where at) const
{
	return ops().install(*this, at);
}

inline Op<void> Handle::close(Where at)
{
	return ops().close(release(), at);
}

inline Token::Token(const Ops &loop, Token *parent) noexcept
{
	token_.begin(loop.raw(), parent ? parent->raw() : nullptr);
}

namespace detail {

/* The function lies in the operation, and so in the frame of who awaits it. */
template <typename F>
class [[nodiscard]] Work : public BasicOp {
public:
	using T = std::invoke_result_t<F &>;

	Work(Core *core, F &&fn, const Where &at) : BasicOp(core, at), fn_(std::move(fn)) {}

	Work &&with_timeout(std::chrono::nanoseconds timeout) && noexcept
	{
		timeout_ = timeout;
		return std::move(*this);
	}

	Work &&with_token(Token &token) && noexcept
	{
		op_.token = token.raw();
		return std::move(*this);
	}

	Await<Work> operator co_await() && noexcept
	{
		return {*this};
	}

	std::coroutine_handle<> start(const Context &context, Link link) noexcept
	{
		weir_token *token = op_.token;

		weir_prep_work(&op_, [](void *self) noexcept {
			static_cast<Work *>(self)->call();
			return 0;
		}, this, nullptr, nullptr);
		op_.token = token;
		return BasicOp::start(context, link);
	}

	Result<T> take()
	{
		if (op_.res < 0)
			return failure(op_.res);
		if constexpr (std::is_void_v<T>)
			return outcome_.take(), Result<T>();
		else
			return outcome_.take();
	}

private:
	void call() noexcept
	{
#ifdef __cpp_exceptions
		try {
			invoke();
		} catch (...) {
			outcome_.unhandled_exception();
		}
#else
		invoke();
#endif
	}

	void invoke()
	{
		if constexpr (std::is_void_v<T>) {
			fn_();
			outcome_.value.template emplace<1>();
		} else {
			outcome_.value.template emplace<1>(fn_());
		}
	}

	F fn_;
	Outcome<std::conditional_t<std::is_void_v<T>, std::monostate, T>> outcome_;
};

} /* namespace detail */
} /* namespace weir */

#endif /* WEIR_HPP_OPS_HPP */
