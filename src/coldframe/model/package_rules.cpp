#include <coldframe/model/package_rules.hpp>

#include <coldframe/util/digest.hpp>

#include <algorithm>
#include <string_view>

namespace coldframe::package_codec {
namespace {

bool is_digest(const Value& value) {
    const Bytes* bytes = value.get_if<Bytes>();
    return bytes != nullptr && bytes->size() == Digest{}.size();
}

bool is_detail(std::string_view name, const Value& value) {
    if (name == "reentered" || name == "threads_matter") return value.get_if<bool>() != nullptr;
    return name != "options" || is_digest(value);
}

}  // namespace

bool are_details(const Value& details) {
    const Dict* dict = details.get_if<Dict>();
    return dict != nullptr && std::ranges::all_of(dict->items, [](const ValuePair& pair) {
               const Str* name = pair.key.get_if<Str>();
               return name != nullptr && is_detail(name->utf8, pair.value);
           });
}

bool are_settings(const std::map<std::string, Value>& settings) {
    const auto structure = settings.find("structure");
    return structure == settings.end() || is_digest(structure->second);
}

}  // namespace coldframe::package_codec
