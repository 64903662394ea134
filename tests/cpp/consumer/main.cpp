// Writes a package of one frame, opens it again, and compares: with nothing but the installed headers and libraries.
#include <coldframe/archive/reader.hpp>
#include <coldframe/archive/writer.hpp>
#include <coldframe/util/version.hpp>

#include <iostream>

using namespace coldframe;

int main() {
    Package package;
    package.key = {.module = "model", .qualname = "Net.forward", .code = {}, .options = {}};
    package.producer = k_producer;
    CodeFields fields;
    fields.name = "forward";
    fields.qualname = "Net.forward";
    auto variant = std::make_shared<GuardedCode>();
    variant->dynamo_code = std::make_shared<CodeObject>(fields);
    const auto x = variant->guards.add(GuardKind::framelocals, {0}, {Value::str("x"), Value::integer(0)}, "L['x']");
    if (!x || !variant->guards.add(GuardKind::not_none, {**x}, {}, "L['x']", {"L['x'] is not None"})) return 1;
    variant->backend_ids = {"__compiled_fn_1"};
    auto entry = std::make_shared<CodeEntry>();
    entry->python_code = variant->dynamo_code;
    entry->module = "model";
    entry->backend_ids = variant->backend_ids;
    entry->guarded_codes = {variant};
    package.codes = {entry};
    for (const std::string id : {"__compiled_fn_1", "__compiled_fn_2"}) {
        package.artifacts.push_back(std::make_shared<Artifact>(id, "precompile_eager", Value(), std::vector<BlobPtr>()));
    }
    if (const auto written = archive::write(package, "consumer.cfp"); !written) {
        std::cerr << written.error().what() << '\n';
        return 1;
    }
    const auto opened = archive::open("consumer.cfp");
    return opened && opened->key == package.key && archive::verify("consumer.cfp") ? 0 : 1;
}
