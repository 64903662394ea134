// Remotes that are reached over a network: HTTP, S3 and Redis. This folder alone needs libcurl and hiredis.
//
//   Result<RemoteSource> source = open_remote("https://host/prefix", &open_network);     // remote/open_remote.hpp
//
// The Python extension loads it when a store is opened with such a URL: src/python/network.hpp.
//
// Thread-safety: free function; it reads the environment. Failure: invalid_argument, which says what is expected.
#pragma once

#include <coldframe/remote/open_remote.hpp>

namespace coldframe::remote {

[[nodiscard]] Result<RemoteSource> open_network(Url url);

}  // namespace coldframe::remote
