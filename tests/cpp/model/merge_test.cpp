#include <support/sample.hpp>

#include <doctest/doctest.h>

using namespace coldframe;
using namespace coldframe::testing;

namespace {

void check_conflict(const Package& other, ErrorCode code, std::string_view message) {
    Package package = full_package();
    const Status merged = package.merge(other);
    REQUIRE_FALSE(merged.has_value());
    CHECK(merged.error().code == code);
    CHECK(merged.error().message == message);
    check_equal(package, full_package());  // as it was
}

}  // namespace

TEST_CASE("merging a package with itself changes nothing") {
    Package package = full_package();
    REQUIRE(package.merge(full_package()).has_value());
    check_equal(package, full_package());
}

TEST_CASE("variants come side by side, none twice, and neither package's entries are changed") {
    Package package = tiny_package();
    const CodeEntryPtr before = package.codes[0];
    Package other = tiny_package();
    auto variant = std::make_shared<GuardedCode>(*other.codes[0]->guarded_codes[0]);
    variant->guards = tiny_guards("z");
    variant->compile_seconds = 2;
    other.codes[0]->guarded_codes.push_back(variant);
    other.created += 10;
    REQUIRE(package.merge(other).has_value());
    REQUIRE(package.codes.size() == 1);
    REQUIRE(package.codes[0]->guarded_codes.size() == 2);
    CHECK(*package.codes[0]->guarded_codes[1] == *variant);
    CHECK(package.compile_seconds == 3.5);
    CHECK(package.created == other.created);
    CHECK(before->guarded_codes.size() == 1);
    REQUIRE(package.merge(other).has_value());
    CHECK(package.codes[0]->guarded_codes.size() == 2);
    CHECK(package.compile_seconds == 3.5);
}

TEST_CASE("a variant is the same one however long it took to compile") {
    GuardedCode one = *tiny_package().codes[0]->guarded_codes[0];
    GuardedCode other = one;
    other.compile_seconds += 1;
    CHECK(one == other);
    other.backend_ids.clear();
    CHECK_FALSE(one == other);
}

TEST_CASE("frames, sources, artifacts and names add up") {
    Package package = tiny_package();
    Package other = tiny_package();
    other.codes[0]->function_names = {"alias"};
    other.codes[0]->import_sources = {{"i", "torch"}};
    other.codes[0]->installed_globals = {{"g", Value::integer(1)}};
    other.codes[0]->backend_ids = {"graph_9"};
    auto entry = std::make_shared<CodeEntry>(*other.codes[0]);
    entry->role = CodeRole::resume;
    other.codes.push_back(entry);
    auto artifact = std::make_shared<Artifact>(*other.artifacts[0]);
    artifact->backend_id = "graph_9";
    other.artifacts.push_back(artifact);
    auto source = std::make_shared<SourceFile>();
    *source = {"lib", "lib.py", digest_of("lib"), {{"h", digest_of("h"), 1, 2}}};
    other.sources = {source};
    other.environment.cpu_features = {"fma", "avx2"};
    REQUIRE(package.merge(other).has_value());
    CHECK(package.codes.size() == 2);
    CHECK(package.codes[0]->function_names == std::vector<std::string>{"f", "alias"});
    CHECK(package.codes[0]->import_sources.size() == 1);
    CHECK(package.codes[0]->installed_globals.size() == 1);
    CHECK(package.codes[0]->backend_ids == std::vector<std::string>{"graph_0", "graph_9"});
    CHECK(package.artifacts.size() == 2);
    CHECK(package.environment.cpu_features == std::vector<std::string>{"avx2", "fma"});

    auto more = std::make_shared<SourceFile>(*source);
    more->functions.push_back({"k", digest_of("k"), 5, 6});
    other.sources = {more};
    REQUIRE(package.merge(other).has_value());
    REQUIRE(package.sources.size() == 1);
    CHECK(package.sources[0]->functions.size() == 2);
    CHECK(source->functions.size() == 1);
}

TEST_CASE("a frame that torch found nothing in stays skipped") {
    Package package = tiny_package();
    Package other = tiny_package();
    other.codes[0]->skipped = true;
    REQUIRE(package.merge(other).has_value());
    CHECK(package.codes[0]->skipped);
    REQUIRE(package.merge(tiny_package()).has_value());
    CHECK(package.codes[0]->skipped);
}

TEST_CASE("an entry stays bypassed only if it is so in both") {
    Package package = full_package();
    Package other = full_package();
    package.codes[1]->skipped = other.codes[1]->skipped = false;
    other.codes[1]->bypassed = false;
    other.codes[1]->bypass_reason.clear();
    REQUIRE(package.merge(other).has_value());
    CHECK_FALSE(package.codes[1]->bypassed);
    CHECK(package.codes[1]->bypass_reason.empty());
}

TEST_CASE("a skipped entry says why, bypassed in both or in one") {
    Package package = full_package();
    REQUIRE(package.codes[1]->skipped);
    Package other = full_package();
    other.codes[1]->bypassed = false;
    other.codes[1]->bypass_reason.clear();
    REQUIRE(package.merge(other).has_value());
    CHECK_FALSE(package.codes[1]->bypassed);
    CHECK_FALSE(package.codes[1]->bypass_reason.empty());
}

TEST_CASE("a source edited elsewhere lies beside the other; one whose functions changed is a conflict") {
    Package package = full_package();
    Package other = full_package();
    other.sources[0]->digest = digest_of("edited elsewhere");
    other.sources[0]->functions.pop_back();
    REQUIRE(package.merge(other).has_value());
    CHECK(package.sources.size() == 2);

    other.sources[0]->functions[0].code = digest_of("edited");
    check_conflict(other, ErrorCode::incompatible, "the source of 'm' changed between the packages: f");
}

TEST_CASE("another key or environment is refused") {
    Package other = full_package();
    other.key.qualname = "g";
    Package package = full_package();
    CHECK(package.merge(other).error().code == ErrorCode::invalid_argument);

    other = full_package();
    other.environment.torch_version = "2.14.0";
    check_conflict(other, ErrorCode::incompatible, "the packages were made in different environments: torch_version differs");
    other = full_package();
    other.environment.settings.erase("z");
    check_conflict(other, ErrorCode::incompatible, "the packages were made in different environments: settings differs");
}

TEST_CASE("one name for two things is a conflict, and a refused merge changes nothing") {
    Package other = full_package();
    other.codes[0]->import_sources["a"] = "elsewhere";
    check_conflict(other, ErrorCode::incompatible, "the import alias 'a' names 'aliased' and 'elsewhere'");
    other = full_package();
    other.codes[0]->installed_globals[0].recipe = Value::integer(7);
    check_conflict(other, ErrorCode::incompatible, "the installed global 'g2' has two recipes");
    other = full_package();
    other.artifacts[0]->recipe = None{};
    check_conflict(other, ErrorCode::incompatible, "the backend id 'graph_0' stands for two different artifacts");
}
