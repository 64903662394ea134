// How many fields each structure of the manifest has, shared by its writer and its reader.
//
// Every structure is a map with the keys 0, 1, 2, ... in order, all present. The numbers are permanent: a new field gets the
// next one, none is ever used again. docs/format.md lists them.
//
// Thread-safety: constants. Failure: none.
#pragma once

namespace coldframe::package_codec {

inline constexpr unsigned k_package_fields = 8;
inline constexpr unsigned k_key_fields = 4;
inline constexpr unsigned k_environment_fields = 12;
inline constexpr unsigned k_source_fields = 4;
inline constexpr unsigned k_function_fields = 4;
inline constexpr unsigned k_code_entry_fields = 12;
inline constexpr unsigned k_guarded_code_fields = 5;
inline constexpr unsigned k_artifact_fields = 4;

}  // namespace coldframe::package_codec
