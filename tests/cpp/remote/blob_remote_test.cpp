// Records with several writers.
#include <remote/support.hpp>

using namespace coldframe;
using namespace coldframe::remote;
using namespace coldframe::testing;

namespace {

const Digest k_key = digest_of("key");

std::pair<Listed, Bytes> variant_of(const std::string& seed) {
    const Bytes bytes = noise(seed, 100);
    return {Listed{{sha256(bytes), bytes.size()}, {}}, bytes};
}

}  // namespace

TEST_CASE("writers that come between one another's reading and writing lose nothing") {
    for (const bool conditional : {true, false}) {
        const auto server = std::make_shared<MemoryServer>();
        server->conditional = conditional;
        const auto remote = server->source().connect();
        const auto [first, first_bytes] = variant_of("first");
        const auto [second, second_bytes] = variant_of("second");
        int between = 0;
        server->before_put = [&](const std::string& name) {
            if (!name.starts_with("ac/") || between++ != 0) return;
            const auto other = server->source().connect();
            REQUIRE(other->put_manifest(k_key, second, second_bytes, Overwrite::no, {}).has_value());
        };
        REQUIRE(remote->put_manifest(k_key, first, first_bytes, Overwrite::no, {}).has_value());
        const auto record = remote->get_record(k_key, {});
        REQUIRE(record.has_value());
        const auto has = [&](const Listed& variant) {
            return std::ranges::find(record->variants, variant) != record->variants.end();
        };
        CHECK(has(first));
        // Without conditions the one that was written between is not seen by who writes last; its own reading back sees that.
        if (conditional) CHECK(has(second));
    }
}

TEST_CASE("a record that others overwrite at once is written again") {
    const auto server = std::make_shared<MemoryServer>();
    const auto remote = server->source().connect();
    const auto [mine, bytes] = variant_of("mine");
    const auto other = variant_of("other").first;
    int reads = 0;
    // After this writer's first put, another one's, which had read before it, lands.
    server->fail = [&](const std::string& call) -> std::optional<Error> {
        if (call.starts_with("get ac/") && ++reads == 2) server->blobs[call.substr(4)] = encode_record(Record{{other}});
        return std::nullopt;
    };
    REQUIRE(remote->put_manifest(k_key, mine, bytes, Overwrite::no, {}).has_value());
    const auto record = remote->get_record(k_key, {}).value();
    CHECK(record.variants == std::vector<Listed>{mine, other});
}

TEST_CASE("a damaged record is written anew, and one that cannot be read is left alone") {
    const auto server = std::make_shared<MemoryServer>();
    const auto remote = server->source().connect();
    const auto [mine, bytes] = variant_of("mine");
    REQUIRE(remote->put_manifest(k_key, mine, bytes, Overwrite::no, {}).has_value());
    std::string name;
    for (auto& [blob, content] : server->blobs) {
        if (!blob.starts_with("ac/")) continue;
        name = blob;
        content = bytes_of("rubbish");
    }
    CHECK(remote->get_record(k_key, {}).error().code == ErrorCode::corrupt);
    REQUIRE(remote->put_manifest(k_key, mine, bytes, Overwrite::no, {}).has_value());
    CHECK(remote->get_record(k_key, {}).value().variants == std::vector<Listed>{mine});
    server->blobs[name] = bytes_of("rubbish");
    server->fail = [](const std::string& call) -> std::optional<Error> {
        if (call.starts_with("get ")) return Error{ErrorCode::timeout, "slow", {}};
        return std::nullopt;
    };
    CHECK(remote->put_manifest(k_key, mine, bytes, Overwrite::no, {}).error().code == ErrorCode::timeout);
    CHECK(server->blobs[name] == bytes_of("rubbish"));
}
