// Blobs on an HTTP server that takes GET, HEAD and PUT: Bazel caches, WebDAV, and S3.
//
//   HttpBlobs blobs({.base = "https://host/prefix/", .credentials = {.user = "u", .password = "p"}});
//
// With WebDAV servers that do not make directories by themselves, a PUT that is answered with 409 makes them (MKCOL) and is
// sent again. S3 gets conditional writes and the digest of what is sent.
//
// Thread-safety: one object serves one thread. Failure: as remote.hpp says.
#pragma once

#include <coldframe/network/transfer.hpp>
#include <coldframe/remote/blob_remote.hpp>

namespace coldframe::remote {

enum class Dialect : std::uint8_t { http, s3 };

struct HttpPlace {
    std::string base;  // of every name; ends in a slash
    Credentials credentials;
    Dialect dialect = Dialect::http;
    std::vector<std::string> headers;
};

class HttpBlobs final : public Blobs {
   public:
    explicit HttpBlobs(HttpPlace place) : place_(std::move(place)), transfer_(place_.credentials) {}

    [[nodiscard]] Result<std::optional<Content>> get(const std::string& name, std::uint64_t max_size,
                                                     const Limits& limits) override;
    [[nodiscard]] Result<bool> has(const std::string& name, std::uint64_t size, const Limits& limits) override;
    [[nodiscard]] Result<bool> put(const std::string& name, ByteView bytes, const Digest& digest, const Condition& condition,
                                   const Limits& limits) override;
    [[nodiscard]] bool conditional() const override { return conditional_; }

   private:
    [[nodiscard]] Result<Response> put_once(const std::string& name, ByteView bytes, const Digest& digest,
                                            const Condition& condition, const Limits& limits);
    void make_directories(const std::string& name, const Limits& limits);

    HttpPlace place_;
    Transfer transfer_;
    bool conditional_ = place_.dialect == Dialect::s3;  // until the server says that it cannot
};

}  // namespace coldframe::remote
