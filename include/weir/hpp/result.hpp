/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * result.hpp - what an operation comes to, and the bytes and names it is given
 */
#ifndef WEIR_HPP_RESULT_HPP
#define WEIR_HPP_RESULT_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <expected>
#include <ranges>
#include <source_location>
#include <span>
#include <string>
#include <system_error>
#include <type_traits>

#include <weir/op.h>
#include <weir/types.h>

namespace weir {

/* A value, or why there is none. Nothing in here throws. */
template <typename T>
using Result = std::expected<T, std::error_code>;

/* Where something was submitted; defaulted arguments fill it in. */
using Where = std::source_location;

namespace detail {

class Category final : public std::error_category {
public:
	const char *name() const noexcept override
	{
		return "weir";
	}

	std::string message(int value) const override
	{
		return weir_strerror(-value);
	}

	std::error_condition default_error_condition(int value) const noexcept override
	{
		return {value, std::generic_category()};
	}

	/* A deadline that passed is ETIME; whoever asks for a time-out means it too. */
	bool equivalent(int value, const std::error_condition &cond) const noexcept override
	{
		if (value == ETIME && cond == std::errc::timed_out)
			return true;
		return default_error_condition(value) == cond;
	}
};

/* Terminate rather than corrupt: one line, then the end. */
[[noreturn]] inline void die(const char *what, const char *name, const Where &at)
{
	std::fprintf(stderr, "weir: %s in flight since %s:%u (%s): %s\n", name, at.file_name(),
		     static_cast<unsigned int>(at.line()), at.function_name(), what);
	std::terminate();
}

[[noreturn]] inline void die(const char *what)
{
	std::fprintf(stderr, "weir: %s\n", what);
	std::terminate();
}

} /* namespace detail */

/* The category of every error_code of weir: its values are errno values. */
inline const std::error_category &category() noexcept
{
	static const detail::Category instance;

	return instance;
}

/* The error_code of a negative errno value, as any function of weir returns it. */
inline std::error_code error(int negative_errno) noexcept
{
	return {-negative_errno, category()};
}

inline std::unexpected<std::error_code> failure(int negative_errno) noexcept
{
	return std::unexpected(error(negative_errno));
}

namespace detail {

/* A string literal brings its NUL, which nobody means to send: say "..."sv. */
template <typename R>
concept Literal = std::is_array_v<std::remove_reference_t<R>> &&
		  std::is_same_v<std::remove_extent_t<std::remove_reference_t<R>>, const char>;

template <typename R>
concept Memory = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
		 std::is_trivially_copyable_v<std::ranges::range_value_t<R>> && !Literal<R>;

template <typename R>
concept WritableMemory =
	Memory<R> && !std::is_const_v<std::remove_reference_t<std::ranges::range_reference_t<R>>>;

} /* namespace detail */

/*
 * Bytes to send or write: of any contiguous range, borrowed. They must live
 * until the operation has ended, as a temporary of the same co_await does.
 */
struct Bytes {
	const void *data = nullptr;
	size_t size = 0;

	Bytes() = default;
	Bytes(const void *bytes, size_t count) : data(bytes), size(count) {}

	template <detail::Memory R>
	Bytes(R &&range)
		: data(std::ranges::data(range)),
		  size(std::ranges::size(range) * sizeof(std::ranges::range_value_t<R>))
	{
	}

	Bytes from(size_t offset) const
	{
		return {static_cast<const char *>(data) + offset, size - offset};
	}
};

/* Room to receive or read into: of any contiguous range, borrowed. */
struct Room {
	void *data = nullptr;
	size_t size = 0;

	Room() = default;
	Room(void *room, size_t count) : data(room), size(count) {}

	template <detail::WritableMemory R>
	Room(R &&range)
		: data(std::ranges::data(range)),
		  size(std::ranges::size(range) * sizeof(std::ranges::range_value_t<R>))
	{
	}

	Room from(size_t offset) const
	{
		return {static_cast<char *>(data) + offset, size - offset};
	}
};

/* A path: a C string, or whatever has c_str(). Borrowed, as bytes are. */
struct Path {
	const char *text;

	Path(const char *path) : text(path) {}

	template <typename S>
		requires requires(const S &s) {
			{ s.c_str() } -> std::convertible_to<const char *>;
		}
	Path(const S &path) : text(path.c_str())
	{
	}
};

namespace detail {

/* An operation may end short, so what is longer than it can take is cut. */
inline uint32_t clamp(size_t count) noexcept
{
	return count > INT32_MAX ? INT32_MAX : static_cast<uint32_t>(count);
}

template <typename T>
inline constexpr bool is_result = false;
template <typename T>
inline constexpr bool is_result<Result<T>> = true;

} /* namespace detail */
} /* namespace weir */

#endif /* WEIR_HPP_RESULT_HPP */
