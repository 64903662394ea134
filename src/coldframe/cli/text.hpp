// Text for people: what a package holds, as a terminal can show it. Nothing that a file says reaches the terminal unescaped.
//
//   printable(text)      control characters and broken UTF-8 escaped
//   repr(value)          as Python would write it; long bytes cut short
//   size_text(1536)      "1.5 KiB"
//   Table                rows in aligned columns
//
//   repr(Construct{{"torch", "device"}, {Value::str("cpu")}})     // torch.device('cpu')
//
// Thread-safety: values. Failure: none.
#pragma once

#include <coldframe/model/value.hpp>
#include <coldframe/util/digest.hpp>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace coldframe::cli {

[[nodiscard]] std::string printable(std::string_view text);
[[nodiscard]] std::string repr(const Value& value);
[[nodiscard]] std::string size_text(std::uint64_t bytes);
[[nodiscard]] std::string seconds_text(double seconds);
[[nodiscard]] std::string time_text(std::int64_t seconds_since_epoch);  // UTC
[[nodiscard]] std::string short_hex(const Digest& digest);              // the first 16 digits
[[nodiscard]] std::string hex_preview(const Bytes& bytes);              // size and first bytes
[[nodiscard]] std::string join(const std::vector<std::string>& items, std::string_view separator);
[[nodiscard]] std::string count_text(std::size_t count, std::string_view noun);  // "1 guard", "2 guards"

class Table {
   public:
    explicit Table(std::size_t indent) : indent_(indent) {}
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    void align_right(std::size_t column) { right_.push_back(column); }
    void print(std::ostream& out) const;

   private:
    std::size_t indent_;
    std::vector<std::vector<std::string>> rows_;
    std::vector<std::size_t> right_;
};

}  // namespace coldframe::cli
