// The remote that a URL names.
//
//   http(s)://host/prefix         GET and PUT below the prefix, as WebDAV servers do; ?layout=bazel as the next
//   bazel+http(s)://host/prefix   a Bazel cache: cas/<sha256> and ac/<key>
//   s3://bucket/prefix            ?region=eu-west-1, ?endpoint=https://host:9000 for another service than Amazon's
//   redis(s)://host:6379/0        user and password as in redis://user:password@host
//   file:///directory             a store that hosts share; ?owner=any for one that several users write
//
//   Result<RemoteSource> source = open_remote("s3://bucket/coldframe?region=eu-west-1", &open_network);
//   auto remote = source->connect();
//
// Credentials come from the URL (user and password), from $AWS_ACCESS_KEY_ID and its kin, from $COLDFRAME_REMOTE_TOKEN (a
// bearer token, for HTTP), or from ~/.netrc. Nothing is connected yet.
//
// All but directories is given to `network`: open_network of network/open_network.hpp, or what loads it first, so that who
// needs no network needs neither libcurl nor hiredis.
//
// Thread-safety: free functions; they read the environment. Failure: invalid_argument, which says what is expected.
#pragma once

#include <coldframe/remote/remote.hpp>
#include <coldframe/remote/url.hpp>

#include <string_view>

namespace coldframe::remote {

// Of a URL with a scheme that is_known_scheme, and not file.
using OpenNetwork = Result<RemoteSource> (*)(Url url);

[[nodiscard]] Result<RemoteSource> open_remote(std::string_view url, OpenNetwork network);
// Whether open_remote knows what stands before "://".
[[nodiscard]] bool is_known_scheme(std::string_view url);

}  // namespace coldframe::remote
