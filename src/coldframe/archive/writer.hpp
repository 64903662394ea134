// Writing a .cfp file: atomically, durably, and the same bytes for the same package.
//
//   Result<archive::WriteReport> report = archive::write(package, "bert.cfp");
//   if (!report) return std::unexpected(report.error());      // the previous bert.cfp is intact, nothing else is left
//
// Equal parts are stored once. A part is compressed where that saves at least a sixteenth of it. Bytes depend on nothing but
// the package and the zstd library's version.
//
// Thread-safety: free function; concurrent writers of one path each write a whole file, and the last rename wins. Failure: io,
// no_space, not_found (the directory), invalid_argument (a package that breaks the model's rules), and what reading a blob
// gives.
#pragma once

#include <coldframe/archive/format.hpp>
#include <coldframe/model/package.hpp>
#include <coldframe/util/fs.hpp>

#include <string>

namespace coldframe::archive {

struct WriteOptions {
    Fs* fs = nullptr;  // Fs::real() when null
};

struct WriteReport {
    std::uint64_t size = 0;         // of the file
    std::uint64_t raw_size = 0;     // of all parts before compression
    std::uint32_t entry_count = 0;  // the manifest included
    Digest digest{};                // as Reader::digest()
};

[[nodiscard]] Result<WriteReport> write(const Package& package, const std::string& path, const WriteOptions& options = {});
// What write() would put into a file.
[[nodiscard]] Result<Bytes> to_bytes(const Package& package);

}  // namespace coldframe::archive
