// The table of guard kinds, and what add() holds every op to.
//
// The shape of a kind's operands is one letter each: s str, i int, b bool, t tuple, l list, d dict, v any value. The letters
// are what executors rely on when they index operands; what is inside a tuple or dict they check themselves.
#include <coldframe/model/guard_program.hpp>

#include <coldframe/util/try.hpp>

#include <algorithm>
#include <array>

namespace coldframe {
namespace {

struct KindRow {
    GuardKindInfo info;
    std::string_view shape;
};

constexpr std::uint8_t k_any = 255;

constexpr KindRow accessor(GuardKind kind, std::string_view name, std::string_view shape) {
    return {{kind, name, GuardRole::accessor, static_cast<std::uint8_t>(shape.size()), 1, 1}, shape};
}
constexpr KindRow check(GuardKind kind, std::string_view name, std::string_view shape) {
    return {{kind, name, GuardRole::check, static_cast<std::uint8_t>(shape.size()), 1, 1}, shape};
}
constexpr KindRow relation(GuardKind kind, std::string_view name, std::string_view shape, std::uint8_t min, std::uint8_t max) {
    return {{kind, name, GuardRole::relation, static_cast<std::uint8_t>(shape.size()), min, max}, shape};
}
constexpr KindRow mark(GuardKind kind, std::string_view name) { return {{kind, name, GuardRole::mark, 0, 1, 1}, {}}; }

constexpr std::array k_rows = {
    accessor(GuardKind::framelocals, "framelocals", "si"),
    accessor(GuardKind::getattr, "getattr", "s"),
    accessor(GuardKind::generic_getattr, "generic_getattr", "s"),
    accessor(GuardKind::getitem, "getitem", "v"),
    accessor(GuardKind::dict_getitem, "dict_getitem", "v"),
    accessor(GuardKind::list_getitem, "list_getitem", "i"),
    accessor(GuardKind::tuple_getitem, "tuple_getitem", "i"),
    accessor(GuardKind::set_getitem, "set_getitem", "i"),
    accessor(GuardKind::indexed, "indexed", "i"),
    accessor(GuardKind::tensor_size, "tensor_size", "i"),
    accessor(GuardKind::tensor_stride, "tensor_stride", "i"),
    accessor(GuardKind::tensor_storage_offset, "tensor_storage_offset", "v"),
    accessor(GuardKind::globals_dict, "globals_dict", ""),
    accessor(GuardKind::global_weakref, "global_weakref", "s"),
    accessor(GuardKind::grad, "grad", ""),
    accessor(GuardKind::closure, "closure", ""),
    accessor(GuardKind::code, "code", ""),
    accessor(GuardKind::func_defaults, "func_defaults", ""),
    accessor(GuardKind::func_kwdefaults, "func_kwdefaults", ""),
    accessor(GuardKind::call_no_args, "call_no_args", ""),
    accessor(GuardKind::type, "type", ""),
    accessor(GuardKind::type_mro, "type_mro", ""),
    accessor(GuardKind::type_dict, "type_dict", ""),
    accessor(GuardKind::generic_dict, "generic_dict", ""),
    accessor(GuardKind::tuple_iterator_getitem, "tuple_iterator_getitem", "i"),
    accessor(GuardKind::weakref_call, "weakref_call", ""),
    accessor(GuardKind::dict_key, "dict_key", "i"),
    accessor(GuardKind::dict_value, "dict_value", "i"),
    accessor(GuardKind::named_accessor, "named_accessor", "st"),
    check(GuardKind::type_match, "type_match", "v"),
    check(GuardKind::id_match, "id_match", "v"),
    check(GuardKind::equals_match, "equals_match", "v"),
    check(GuardKind::length, "length", "i"),
    check(GuardKind::dict_length, "dict_length", "i"),
    check(GuardKind::dict_contains, "dict_contains", "bv"),
    check(GuardKind::set_contains, "set_contains", "bv"),
    check(GuardKind::mapping_keys, "mapping_keys", "t"),
    check(GuardKind::no_hasattr, "no_hasattr", "s"),
    check(GuardKind::none_match, "none_match", ""),
    check(GuardKind::not_none, "not_none", ""),
    check(GuardKind::true_match, "true_match", ""),
    check(GuardKind::false_match, "false_match", ""),
    check(GuardKind::float_is_nan, "float_is_nan", ""),
    check(GuardKind::complex_is_nan, "complex_is_nan", ""),
    check(GuardKind::tuple_iterator_length, "tuple_iterator_length", "iv"),
    check(GuardKind::range_iterator_match, "range_iterator_match", "iiiv"),
    check(GuardKind::dict_version, "dict_version", "v"),
    check(GuardKind::fake_script_type_match, "fake_script_type_match", "v"),
    check(GuardKind::dispatch_key_set, "dispatch_key_set", "i"),
    check(GuardKind::dual_level, "dual_level", "i"),
    check(GuardKind::tensor_match, "tensor_match", "d"),
    check(GuardKind::dimension_marking, "dimension_marking", "dld"),
    check(GuardKind::default_device, "default_device", "v"),
    check(GuardKind::torch_function_mode_stack, "torch_function_mode_stack", "t"),
    check(GuardKind::global_state, "global_state", "dv"),
    check(GuardKind::named_check, "named_check", "st"),
    relation(GuardKind::object_aliasing, "object_aliasing", "", 2, 2),
    relation(GuardKind::no_tensor_aliasing, "no_tensor_aliasing", "t", 1, k_any),
    relation(GuardKind::storage_overlapping, "storage_overlapping", "i", 1, k_any),
    relation(GuardKind::expression, "expression", "t", 0, k_any),
    mark(GuardKind::mark_tag_safe, "mark_tag_safe"),
    mark(GuardKind::mark_tag_safe_root, "mark_tag_safe_root"),
};

constexpr auto k_infos = [] {
    std::array<GuardKindInfo, k_rows.size()> infos{};
    for (std::size_t i = 0; i < infos.size(); ++i) infos[i] = k_rows[i].info;
    return infos;
}();

const KindRow* find_row(GuardKind kind) {
    const auto number = [](const KindRow& row) { return row.info.kind; };
    const auto row = std::ranges::lower_bound(k_rows, kind, {}, number);
    return row != k_rows.end() && row->info.kind == kind ? &*row : nullptr;
}

bool has_shape(const Value& value, char shape) {
    switch (shape) {
        case 's': return value.get_if<Str>() != nullptr;
        case 'i': return value.get_if<std::int64_t>() != nullptr || value.get_if<BigInt>() != nullptr;
        case 'b': return value.get_if<bool>() != nullptr;
        case 't': return value.get_if<Tuple>() != nullptr;
        case 'l': return value.get_if<List>() != nullptr;
        case 'd': return value.get_if<Dict>() != nullptr;
        default: return true;
    }
}

std::string_view shape_name(char shape) {
    switch (shape) {
        case 's': return "a str";
        case 'i': return "an int";
        case 'b': return "a bool";
        case 't': return "a tuple";
        case 'l': return "a list";
        case 'd': return "a dict";
        default: return "any value";
    }
}

std::unexpected<Error> refuse(const KindRow& row, const std::string& what) {
    return fail(ErrorCode::invalid_argument, "guard kind " + std::string(row.info.name) + " " + what);
}

Status check_inputs(const KindRow& row, const std::vector<NodeId>& inputs, NodeId node_count) {
    const bool too_many = row.info.max_inputs != k_any && inputs.size() > row.info.max_inputs;
    if (inputs.size() < row.info.min_inputs || too_many) {
        return refuse(row, "does not take " + std::to_string(inputs.size()) + " inputs");
    }
    for (const NodeId input : inputs) {
        if (input >= node_count) return refuse(row, "reads node " + std::to_string(input) + ", which is not defined yet");
    }
    return {};
}

Status check_operands(const KindRow& row, const std::vector<Value>& operands) {
    if (operands.size() != row.shape.size()) {
        return refuse(row, "takes " + std::to_string(row.shape.size()) + " operands, not " + std::to_string(operands.size()));
    }
    for (std::size_t i = 0; i < operands.size(); ++i) {
        if (!has_shape(operands[i], row.shape[i])) {
            return refuse(row, "needs " + std::string(shape_name(row.shape[i])) + " as operand " + std::to_string(i));
        }
    }
    return {};
}

}  // namespace

std::span<const GuardKindInfo> guard_kinds() { return k_infos; }

const GuardKindInfo* find_guard_kind(std::string_view name) {
    const auto info = std::ranges::find(k_infos, name, &GuardKindInfo::name);
    return info == k_infos.end() ? nullptr : &*info;
}

const GuardKindInfo* find_guard_kind(GuardKind kind) {
    const KindRow* row = find_row(kind);
    return row == nullptr ? nullptr : &k_infos[static_cast<std::size_t>(row - k_rows.data())];
}

Result<std::optional<NodeId>> GuardProgram::add(GuardKind kind, std::vector<NodeId> inputs, std::vector<Value> operands,
                                                std::string source, std::vector<std::string> explanations,
                                                std::optional<Example> example) {
    const KindRow* row = find_row(kind);
    if (row == nullptr) {
        return fail(ErrorCode::invalid_argument, "no guard kind has number " + std::to_string(static_cast<unsigned>(kind)));
    }
    COLDFRAME_TRY(check_inputs(*row, inputs, node_count_));
    COLDFRAME_TRY(check_operands(*row, operands));
    const bool is_accessor = row->info.role == GuardRole::accessor;
    if (example && !is_accessor) return refuse(*row, "yields no value to give an example of");

    std::optional<NodeId> result;
    if (is_accessor) result = node_count_++;
    ops_.push_back(
        {kind, std::move(inputs), result, std::move(operands), std::move(source), std::move(explanations), std::move(example)});
    return result;
}

}  // namespace coldframe
