// Remotes over a network, from the extension coldframe._network, which alone needs libcurl, hiredis and what those need in
// turn.
//
//   Result<RemoteSource> source = remote::open_remote(url, &open_network);      // imports it when it is first called
//
// It lies beside coldframe._core, is loaded once, and never unloaded. The two exchange C++ objects, so they have to be of one
// build: of another version it is not used.
//
// Thread-safety: needs the GIL. Failure: PythonError (io) where it cannot be loaded; else as open_remote.hpp says.
#pragma once

#include <coldframe/remote/open_remote.hpp>

namespace coldframe::python {

[[nodiscard]] Result<remote::RemoteSource> open_network(remote::Url url);

// What the extension gives, in a capsule.
struct NetworkLibrary {
    std::string_view version;
    remote::OpenNetwork open;
};
inline constexpr const char* k_network_capsule = "coldframe._network.library";

}  // namespace coldframe::python
