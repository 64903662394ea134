// The types that format.md gives entries of the manifest's open maps: who wrote them must not be misread where they decide.
//
//   if (!are_details(guarded.details)) ...   // no dict, or `reentered` is no bool
//
// Thread-safety: pure functions. Failure: none.
#pragma once

#include <coldframe/model/value.hpp>

#include <map>
#include <string>

namespace coldframe::package_codec {

[[nodiscard]] bool are_details(const Value& details);
[[nodiscard]] bool are_settings(const std::map<std::string, Value>& settings);

}  // namespace coldframe::package_codec
