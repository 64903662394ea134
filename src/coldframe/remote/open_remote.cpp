#include <coldframe/remote/open_remote.hpp>

#include <coldframe/remote/directory_remote.hpp>
#include <coldframe/util/try.hpp>

#include <algorithm>
#include <array>

namespace coldframe::remote {
namespace {

constexpr std::array<std::string_view, 8> k_schemes = {"http", "https", "bazel+http", "bazel+https",
                                                       "s3",   "redis", "rediss",     "file"};

std::unexpected<Error> wrong(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

Result<RemoteSource> open_directory(Url url) {
    const std::string owner = url.take("owner");
    if (!owner.empty() && owner != "any") return wrong("the owner of a remote directory may be any, not '" + owner + "'");
    COLDFRAME_TRY(url.check_query());
    if (!url.host.empty() || url.path.empty()) return wrong("the remote's URL is not like file:///directory");
    const auto check = owner == "any" ? archive::OwnerCheck::skip : archive::OwnerCheck::enforce;
    return RemoteSource{url.printable(), [path = "/" + url.path, check] -> std::unique_ptr<Remote> {
                            return std::make_unique<DirectoryRemote>(path, check);
                        }};
}

}  // namespace

bool is_known_scheme(std::string_view url) { return std::ranges::find(k_schemes, scheme_of(url)) != k_schemes.end(); }

Result<RemoteSource> open_remote(std::string_view text, OpenNetwork network) {
    COLDFRAME_TRY_ASSIGN(Url url, parse_url(text));
    if (url.scheme == "file") return open_directory(std::move(url));
    if (is_known_scheme(text)) return network(std::move(url));
    return wrong("there is no remote '" + url.scheme + "://': known are http, https, bazel+http, bazel+https, s3, redis, " +
                 "rediss and file");
}

}  // namespace coldframe::remote
