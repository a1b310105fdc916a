/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * message.hpp - what recvmsg(2) brings beside the bytes, and sendmsg(2) takes:
 * addresses, descriptors, times, sizes of datagrams
 */
#ifndef WEIR_HPP_MESSAGE_HPP
#define WEIR_HPP_MESSAGE_HPP

#include <sys/uio.h>
#include <unistd.h>

#include <weir/hpp/stream.hpp>
#include <weir/msg.h>

namespace weir {

/*
 * A message that was received: into a pool, then it holds its buffer; or into a
 * MessageRoom, which must live as long. Descriptors that nobody takes are closed.
 */
class Message {
public:
	Message() = default;

	Message(detail::Core *core, const weir_op &op) noexcept : core_(core)
	{
		if (weir_msg_read(&op, &msg_))
			return;
		there_ = true;
		if (op.flags & WEIR_OPF_MULTISHOT)
			lease_ = Lease(weir_lease_get(op.lease));
	}

	Message(Message &&other) noexcept
	{
		*this = std::move(other);
	}

	Message &operator=(Message &&other) noexcept
	{
		std::swap(lease_, other.lease_);
		std::swap(msg_, other.msg_);
		std::swap(core_, other.core_);
		std::swap(there_, other.there_);
		return *this;
	}

	~Message()
	{
		if (there_)
			weir_msg_fds(core_->loop, &msg_, nullptr, 0);
	}

	/* False at the end of a stream of them; into a MessageRoom that brings no bytes. */
	explicit operator bool() const noexcept
	{
		return there_;
	}

	std::span<const std::byte> bytes() const noexcept
	{
		if (!msg_.data)
			return {};
		return {static_cast<const std::byte *>(msg_.data), msg_.len};
	}

	std::string_view text() const noexcept
	{
		return {reinterpret_cast<const char *>(bytes().data()), bytes().size()};
	}

	/* Fails where that is not told, as of a connected stream. */
	Result<Address> from() const noexcept
	{
		if (!msg_.name)
			return failure(-ENODATA);
		return Address::from(static_cast<const sockaddr *>(msg_.name), msg_.name_len);
	}

	/* Bytes were cut off, for there was no room. */
	bool truncated() const noexcept
	{
		return msg_.flags & MSG_TRUNC;
	}

	/* Likewise what weir_msg_next() finds, or descriptors. */
	bool control_truncated() const noexcept
	{
		return msg_.flags & MSG_CTRUNC;
	}

	/* Of each datagram but the last, where several were merged: WEIR_OPTION_UDP_GRO. */
	size_t segment() const noexcept
	{
		return weir_msg_segment(&msg_);
	}

	/* When the kernel received it: WEIR_OPTION_TIMESTAMPNS. */
	Result<std::chrono::sys_time<std::chrono::nanoseconds>> time() const noexcept
	{
		uint64_t ns;
		int err = weir_msg_time(&msg_, &ns);

		if (err)
			return failure(err);
		return std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(ns));
	}

	/* Who sent it: WEIR_OPTION_PASSCRED. */
	Result<weir_creds> creds() const noexcept
	{
		weir_creds creds;
		int err = weir_msg_creds(&msg_, &creds);

		if (err)
			return failure(err);
		return creds;
	}

	/*
	 * The descriptors that came with it as files of the loop, File or Socket; once.
	 * If the loop has no room for one, it is closed with those behind it.
	 */
	template <std::derived_from<Handle> H>
	Result<std::vector<H>> take()
	{
		int fds[253], err = 0;
		uint32_t count = weir_msg_fds(core_->loop, &msg_, fds, std::size(fds));
		std::vector<H> all;

		for (uint32_t i = 0; i < count; i++) {
			weir_file file;

			err = err ? err : weir_file_adopt(core_->loop, fds[i], &file);
			if (!err)
				all.push_back(H(core_->closer(file)));
			else if (std::string_view(weir_loop_backend(core_->loop)) != "sim")
				::close(fds[i]);	/* in sim they are none of ours */
		}
		if (err)
			return failure(err);
		return all;
	}

	/* For weir_msg_next(). */
	const weir_msg &raw() const noexcept
	{
		return msg_;
	}

private:
	Lease lease_;
	weir_msg msg_ = {};
	detail::Core *core_ = nullptr;
	bool there_ = false;
};

namespace detail {

template <>
struct Convert<Message> {
	static constexpr bool owns = true;

	static Message from(Core *core, const weir_op &op) noexcept
	{
		return Message(core, op);
	}
};

/* A struct msghdr with one piece, an address, and room for control messages. */
template <size_t Control>
class MessageBase {
public:
	MessageBase(const MessageBase &) = delete;
	MessageBase &operator=(const MessageBase &) = delete;

	msghdr *raw() noexcept
	{
		return &msg_;
	}

protected:
	MessageBase(void *data, size_t size) noexcept : piece_{data, size}
	{
		msg_.msg_iov = &piece_;
		msg_.msg_iovlen = 1;
		msg_.msg_control = control_;
	}

	msghdr msg_ = {};
	iovec piece_;
	weir_addr addr_ = {};
	alignas(cmsghdr) std::byte control_[Control];
};

} /* namespace detail */

/* Where one message goes, for recvmsg(); it may be used again. @Control: bytes. */
template <size_t Control = 256>
class MessageRoom : public detail::MessageBase<Control> {
public:
	explicit MessageRoom(Room room) noexcept
		: detail::MessageBase<Control>(room.data, room.size)
	{
	}

	/* All of it is free again. */
	msghdr *reset() noexcept
	{
		this->msg_.msg_name = &this->addr_.ss;
		this->msg_.msg_namelen = sizeof(this->addr_.ss);
		this->msg_.msg_controllen = Control;
		this->msg_.msg_flags = 0;
		return &this->msg_;
	}
};

/* A message to be sent, for sendmsg(). @Control: bytes. */
template <size_t Control = 256>
class MessageOut : public detail::MessageBase<Control> {
public:
	explicit MessageOut(Bytes bytes) noexcept
		: detail::MessageBase<Control>(const_cast<void *>(bytes.data), bytes.size)
	{
	}

	void set_to(const Address &address) noexcept
	{
		Address copy = address;

		this->addr_ = *copy.addr();
		this->msg_.msg_name = &this->addr_.ss;
		this->msg_.msg_namelen = this->addr_.len;
	}

	/* Copies of plain descriptors, which stay the caller's: see install(). */
	Result<void> add_fds(std::span<const int> fds) noexcept
	{
		return result(weir_msg_put_fds(&this->msg_, Control, fds.data(),
					       detail::clamp(fds.size())));
	}

	/* Has the bytes cut into datagrams of @size. */
	Result<void> add_segment(uint16_t size) noexcept
	{
		return result(weir_msg_put_segment(&this->msg_, Control, size));
	}

	Result<void> add(int level, int type, Bytes bytes) noexcept
	{
		return result(weir_msg_put(&this->msg_, Control, level, type, bytes.data,
					   detail::clamp(bytes.size)));
	}

private:
	static Result<void> result(int err) noexcept
	{
		if (err)
			return failure(err);
		return {};
	}
};

} /* namespace weir */

#endif /* WEIR_HPP_MESSAGE_HPP */
