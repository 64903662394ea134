// The fields of each structure of the manifest, which its writer and its reader follow.
//
// Every structure is a map with the keys 0, 1, 2, ... in order, all present: a field's number is its place here. Numbers are
// permanent: a new field comes last, none is ever taken out. docs/format.md lists them.
//
//   each_field(guarded, [&](unsigned number, auto& member) { ... });
//
// Thread-safety: constants. Failure: none.
#pragma once

#include <coldframe/model/package.hpp>

#include <tuple>

namespace coldframe::package_codec {

template <typename T>
inline constexpr std::tuple<> k_fields{};

template <>
inline constexpr std::tuple k_fields<PackageKey>{&PackageKey::module, &PackageKey::qualname, &PackageKey::code,
                                                 &PackageKey::options};

template <>
inline constexpr std::tuple k_fields<Environment>{
    &Environment::python_implementation,
    &Environment::python_version,
    &Environment::python_magic,
    &Environment::soabi,
    &Environment::torch_version,
    &Environment::torch_git,
    &Environment::device_type,
    &Environment::machine,
    &Environment::libc,
    &Environment::cpu_features,
    &Environment::device,
    &Environment::settings,
};

template <>
inline constexpr std::tuple k_fields<SourceFunction>{&SourceFunction::qualname, &SourceFunction::code,
                                                     &SourceFunction::first_line, &SourceFunction::last_line};

template <>
inline constexpr std::tuple k_fields<SourceFile>{&SourceFile::module, &SourceFile::path_hint, &SourceFile::digest,
                                                 &SourceFile::functions};

template <>
inline constexpr std::tuple k_fields<GuardedCode>{&GuardedCode::guards, &GuardedCode::dynamo_code, &GuardedCode::backend_ids,
                                                  &GuardedCode::compile_seconds, &GuardedCode::details};

template <>
inline constexpr std::tuple k_fields<CodeEntry>{
    &CodeEntry::python_code, &CodeEntry::module,        &CodeEntry::role,           &CodeEntry::function_names,
    &CodeEntry::code_source, &CodeEntry::guarded_codes, &CodeEntry::import_sources, &CodeEntry::installed_globals,
    &CodeEntry::backend_ids, &CodeEntry::bypassed,      &CodeEntry::bypass_reason,  &CodeEntry::skipped,
};

template <>
inline constexpr std::tuple k_fields<Artifact>{&Artifact::backend_id, &Artifact::kind, &Artifact::recipe, &Artifact::blobs};

template <>
inline constexpr std::tuple k_fields<Package>{
    &Package::key,       &Package::environment, &Package::sources, &Package::codes,
    &Package::artifacts, &Package::producer,    &Package::created, &Package::compile_seconds,
};

template <typename T>
inline constexpr unsigned k_field_count = std::tuple_size_v<std::remove_cvref_t<decltype(k_fields<T>)>>;

template <typename T>
concept Structure = k_field_count<T> > 0;

// Calls `visit(number, member)` for each field of a structure, in order.
template <typename T, typename Visit>
void each_field(T& structure, Visit&& visit) {
    unsigned number = 0;
    std::apply([&](auto... members) { (visit(number++, structure.*members), ...); }, k_fields<std::remove_const_t<T>>);
}

}  // namespace coldframe::package_codec
