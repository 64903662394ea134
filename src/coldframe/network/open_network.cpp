#include <coldframe/network/open_network.hpp>

#include <coldframe/network/http_blobs.hpp>
#include <coldframe/network/redis_remote.hpp>
#include <coldframe/util/try.hpp>

#include <cstdlib>

namespace coldframe::remote {
namespace {

std::unexpected<Error> wrong(std::string message) { return fail(ErrorCode::invalid_argument, std::move(message)); }

std::string environment(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing of coldframe writes the environment
    return value == nullptr ? "" : value;
}

std::string first_of(std::initializer_list<const char*> names) {
    for (const char* name : names) {
        if (std::string value = environment(name); !value.empty()) return value;
    }
    return {};
}

std::string directory(std::string base) {
    if (!base.ends_with('/')) base += '/';
    return base;
}

RemoteSource blob_source(const Url& url, HttpPlace place, Layout layout) {
    return {url.printable(), [place = std::move(place), layout] -> std::unique_ptr<Remote> {
                const auto connect = [place] { return std::make_unique<HttpBlobs>(place); };
                return std::make_unique<BlobRemote>(connect(), layout, connect);
            }};
}

Result<RemoteSource> open_http(Url url) {
    const bool bazel = url.scheme.starts_with("bazel+");
    const std::string layout = url.take("layout");
    if (!layout.empty() && layout != "bazel" && layout != "subdirs") {
        return wrong("the layout of a remote is bazel or subdirs, not '" + layout + "'");
    }
    if (url.host.empty()) return wrong("the remote's URL names no host: write it like https://host/prefix");
    COLDFRAME_TRY(url.check_query());
    const std::string scheme = bazel ? url.scheme.substr(std::string_view("bazel+").size()) : url.scheme;
    HttpPlace place;
    place.base = directory(scheme + "://" + url.authority() + "/" + url.path);
    place.credentials = {
        .user = url.user, .password = url.password, .token = environment("COLDFRAME_REMOTE_TOKEN"), .sigv4 = {}, .netrc = true};
    return blob_source(url, std::move(place), bazel || layout == "bazel" ? Layout::bazel : Layout::sharded);
}

Result<RemoteSource> open_s3(Url url) {
    std::string region = url.take("region");
    if (region.empty()) region = first_of({"AWS_REGION", "AWS_DEFAULT_REGION"});
    if (region.empty()) region = "us-east-1";
    std::string endpoint = url.take("endpoint");
    if (endpoint.empty()) endpoint = first_of({"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
    COLDFRAME_TRY(url.check_query());
    if (url.host.empty() || url.port || !url.user.empty()) {
        return wrong(
            "the remote's URL is not like s3://bucket/prefix; keys come from $AWS_ACCESS_KEY_ID and "
            "$AWS_SECRET_ACCESS_KEY");
    }
    HttpPlace place;
    place.dialect = Dialect::s3;
    if (endpoint.empty()) {
        // Names with dots are in no certificate.
        const bool dotted = url.host.find('.') != std::string::npos;
        const std::string amazon = "s3." + region + ".amazonaws.com";
        place.base = dotted ? "https://" + amazon + "/" + url.host : "https://" + url.host + "." + amazon;
    } else {
        const Result<Url> parsed = parse_url(endpoint);
        if (!parsed || (parsed->scheme != "http" && parsed->scheme != "https") || parsed->host.empty()) {
            return wrong("the endpoint of the remote is not like https://host:9000");
        }
        place.base = directory(parsed->scheme + "://" + parsed->authority() + "/" + parsed->path) + url.host;
    }
    place.base = directory(directory(place.base) + url.path);
    place.credentials.user = environment("AWS_ACCESS_KEY_ID");
    place.credentials.password = environment("AWS_SECRET_ACCESS_KEY");
    if (!place.credentials.user.empty()) place.credentials.sigv4 = "aws:amz:" + region + ":s3";
    if (const std::string token = environment("AWS_SESSION_TOKEN"); !token.empty()) {
        place.headers.push_back("x-amz-security-token: " + token);
    }
    return blob_source(url, std::move(place), Layout::sharded);
}

Result<RemoteSource> open_redis(const Url& url) {
    COLDFRAME_TRY(url.check_query());
    const bool number = std::ranges::all_of(url.path, [](char c) { return c >= '0' && c <= '9'; });
    if (url.host.empty() || !number) return wrong("the remote's URL is not like redis://host:6379/0");
    RedisPlace place{.authority = url.host + ":" + std::to_string(url.port.value_or(6379)),
                     .tls = url.scheme == "rediss" ? Tls::yes : Tls::no,
                     .user = url.user,
                     .password = url.password,
                     .database = url.path};
    return RemoteSource{url.printable(),
                        [place = std::move(place)] -> std::unique_ptr<Remote> { return std::make_unique<RedisRemote>(place); }};
}

}  // namespace

Result<RemoteSource> open_network(Url url) {
    if (url.scheme == "s3") return open_s3(std::move(url));
    if (url.scheme.starts_with("redis")) return open_redis(url);
    return open_http(std::move(url));
}

}  // namespace coldframe::remote
