// What `coldframe inspect` prints: the same package as text for people or as JSON for programs.
//
//   print_text({*reader, package}, {.guards = true}, std::cout);
//
// JSON keys are the model's names; digests are hex; constants and operands are Python's repr. Keys are only ever added.
//
// Thread-safety: free functions on values. Failure: none; a failed stream is the caller's to notice.
#pragma once

#include <coldframe/archive/reader.hpp>
#include <coldframe/model/package.hpp>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

namespace coldframe::cli {

struct Subject {
    const archive::Reader& reader;
    const Package& package;
};

struct Detail {
    bool guards = false;  // every op of every guard program
    bool code = false;    // fields and constants of the dynamo code
};

void print_text(const Subject& subject, Detail detail, std::ostream& out);
void print_json(const Subject& subject, Detail detail, std::ostream& out);

// What the blob takes in the file, compressed or not.
[[nodiscard]] std::uint64_t stored_size(const archive::Reader& reader, const Blob& blob);
[[nodiscard]] std::string version_text(const archive::Reader& reader);
[[nodiscard]] std::string_view role_name(CodeRole role);
[[nodiscard]] std::string_view guard_name(GuardKind kind);
[[nodiscard]] std::size_t guard_count(const GuardProgram& program);  // its conditions: checks and relations

}  // namespace coldframe::cli
