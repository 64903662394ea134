#include <coldframe/store/memory_store.hpp>

#include <store/support.hpp>

using namespace coldframe;
using namespace coldframe::testing;

TEST_CASE("a memory store serves what was put, whatever the caller does with the package afterwards") {
    store::MemoryStore store;
    const Package package = package_of("f", 2);
    Package changed = package_of("f", 2);
    REQUIRE(store.put(changed).value().added);
    changed.codes[0]->module = "changed";
    check_served(store, package);
    CHECK_FALSE(store.put(package).value().added);
    CHECK(store.list().value().size() == 1);
    CHECK(store.check().value().problems.empty());
    CHECK(store.statistics().value().counters[store::Counter::hits] == 1);
    CHECK(store.remove(store::key_digest(package.key)).value() == 1);
    CHECK(store.get(package.key).value().variants.empty());
}

TEST_CASE("a memory store evicts what was not used for longest") {
    store::MemoryStore store({.max_bytes = 50000});
    for (const char* name : {"a", "b"}) REQUIRE(store.put(package_of(name, 2, name)).has_value());
    check_served(store, package_of("a", 2, "a"));
    REQUIRE(store.put(package_of("c", 2, "c")).has_value());
    CHECK(store.get(package_of("b", 2, "b").key).value().variants.empty());
    check_served(store, package_of("a", 2, "a"));
    CHECK(store.collect({.max_bytes = 0, .dry_run = true}).value().evicted == 2);
    CHECK(store.collect({.max_bytes = 0}).value().evicted == 2);
    CHECK(store.list().value().empty());
}
