// Variants that go from one store to another as they lie there.
#include <store/support.hpp>

#include <fstream>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

class Source final : public archive::ObjectSource {
   public:
    explicit Source(store::DiskStore& store) : store_(store) {}
    Result<Bytes> read(const archive::Entry& entry) const override {
        ++reads;
        if (reads > fails_after) return fail(ErrorCode::timeout, "as told");
        return store_.read_object(entry);
    }
    mutable int reads = 0;
    int fails_after = 1000;

   private:
    store::DiskStore& store_;
};

void overwrite(const std::string& path, const Bytes& bytes) {
    std::filesystem::permissions(path, std::filesystem::perms::owner_write, std::filesystem::perm_options::add);
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<long>(bytes.size()));
    std::filesystem::permissions(path, std::filesystem::perms::owner_write, std::filesystem::perm_options::remove);
}

}  // namespace

TEST_CASE("a variant keeps its id, and only objects that are not there are asked for") {
    const Scratch here;
    const Scratch there;
    const auto from = here.open();
    const auto to = there.open();
    const Package package = package_of("f", 3);
    const auto put = from->put(package).value();
    const auto variant = from->read_variant(put.key, put.id);
    REQUIRE(variant.has_value());
    CHECK(variant->objects.size() == 3);
    Source source(*from);
    const auto report = to->put_variant(put.key, variant->manifest, variant->objects, source);
    REQUIRE(report.has_value());
    CHECK(report->id == put.id);
    CHECK(report->added);
    CHECK(source.reads == 3);
    check_served(*to, package);
    CHECK_FALSE(to->put(package).value().added);
    REQUIRE(to->put_variant(put.key, variant->manifest, variant->objects, source).has_value());
    CHECK(source.reads == 3);
    CHECK(to->check().value().problems.empty());
}

TEST_CASE("what is damaged at the destination is asked for again") {
    const Scratch here;
    const Scratch there;
    const auto from = here.open();
    const auto to = there.open();
    const Package package = package_of("f", 2);
    const auto put = from->put(package).value();
    REQUIRE(to->put(package).has_value());
    Bytes bytes = load(there.objects().front());
    bytes[5] ^= 1;
    overwrite(there.objects().front(), bytes);
    const auto variant = from->read_variant(put.key, put.id).value();
    const Source source(*from);
    REQUIRE(to->put_variant(put.key, variant.manifest, variant.objects, source).has_value());
    CHECK(source.reads == 1);
    check_served(*to, package);
    CHECK(to->check().value().problems.empty());
}

TEST_CASE("a source that fails leaves nothing behind, and its error is the caller's") {
    const Scratch here;
    const auto from = here.open();
    const auto put = from->put(package_of("f", 3)).value();
    const auto variant = from->read_variant(put.key, put.id).value();
    for (int fails_after = 0; fails_after < 3; ++fails_after) {
        const Scratch there;
        const auto to = there.open();
        Source source(*from);
        source.fails_after = fails_after;
        const auto report = to->put_variant(put.key, variant.manifest, variant.objects, source);
        REQUIRE_FALSE(report.has_value());
        CHECK(report.error().code == ErrorCode::timeout);
        CHECK(there.manifests().empty());
        CHECK(there.objects().empty());
        CHECK(there.files(store::k_staging).empty());
    }
}

TEST_CASE("what is absent or damaged at the source is told") {
    const Scratch here;
    const auto from = here.open();
    const auto put = from->put(package_of("f", 1)).value();
    CHECK(from->read_variant(put.key, digest_of("none")).error().code == ErrorCode::not_found);
    CHECK(from->read_variant(digest_of("none"), put.id).error().code == ErrorCode::not_found);
    const auto variant = from->read_variant(put.key, put.id).value();
    Bytes bytes = load(here.objects().front());
    bytes[5] ^= 1;
    overwrite(here.objects().front(), bytes);
    CHECK(from->read_object(variant.objects.front()).error().code == ErrorCode::corrupt);
    bytes = load(here.manifests().front());
    bytes[300] ^= 1;
    overwrite(here.manifests().front(), bytes);
    CHECK(from->read_variant(put.key, put.id).error().code == ErrorCode::corrupt);
}
