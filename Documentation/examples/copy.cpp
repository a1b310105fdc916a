// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * copy.cpp - copies a file and tells how far it is, with coroutines
 *
 * usage: copy FROM TO
 *
 * The next block is read while the last one is written.
 */
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <vector>
#include <weir/weir.hpp>

static weir::Task<weir::Result<void>> copy(weir::Loop &loop, const char *from_name,
					   const char *to_name)
{
	std::vector<char> block(65536), next(65536);
	uint64_t done = 0, tenth = 0;
	struct statx about;

	auto from = co_await loop.open(from_name, O_RDONLY);
	if (!from)
		co_return std::unexpected(from.error());
	if (auto known = co_await from->statx(STATX_SIZE, &about); !known)
		co_return known;
	auto to = co_await loop.open(to_name, O_WRONLY | O_CREAT | O_TRUNC);
	if (!to)
		co_return std::unexpected(to.error());

	auto got = co_await from->read(block, 0);
	while (got && *got) {
		auto [written, read] =
			co_await weir::gather(to->write_all({block.data(), *got}, done),
					      from->read(next, done + *got));

		if (!written)
			co_return written;
		done += *got;
		got = read;
		std::swap(block, next);
		if (about.stx_size && done * 10 / about.stx_size != tenth) {
			tenth = done * 10 / about.stx_size;
			std::printf("%llu %%\n",
				    static_cast<unsigned long long>(done * 100 / about.stx_size));
		}
	}
	if (!got)
		co_return std::unexpected(got.error());
	if (auto synced = co_await to->fdatasync(); !synced)
		co_return synced;
	std::printf("%llu bytes\n", static_cast<unsigned long long>(done));
	co_return co_await to->close();
}

int main(int argc, char **argv)
{
	auto loop = weir::Loop::open();

	if (argc != 3 || !loop)
		return 2;

	auto result = loop->run(copy(*loop, argv[1], argv[2]));

	if (!result)
		std::fprintf(stderr, "%s\n", result.error().message().c_str());
	return !result;
}
