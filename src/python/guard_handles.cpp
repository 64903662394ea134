#include <python/guard_handles.hpp>

#include <python/object_codec.hpp>

namespace coldframe::python {

ProgramHandle ProgramHandle::own(GuardProgram program) {
    auto shared = std::make_shared<GuardProgram>(std::move(program));
    return {shared, shared};
}

ProgramHandle ProgramHandle::of(const GuardedCodePtr& code) {
    return {std::shared_ptr<const GuardProgram>(code, &code->guards), nullptr};
}

std::vector<OpHandle> list_ops(const ProgramHandle& handle) {
    std::vector<OpHandle> ops;
    for (std::size_t i = 0; i < handle.program->ops().size(); ++i) ops.push_back({handle.program, i});
    return ops;
}

OpHandle op_at(const ProgramHandle& handle, std::size_t index) {
    if (index >= handle.program->ops().size()) raise(PyExc_IndexError, "a guard program with fewer ops");
    return {handle.program, index};
}

std::optional<ExampleTuple> to_tuple(const std::optional<Example>& example) {
    if (!example) return std::nullopt;
    std::optional<ImportRef> type;
    if (!example->type.module.empty()) type = example->type;
    return ExampleTuple{std::move(type), example->immutable, example->dict_length, example->dict_manager};
}

std::optional<NodeId> add_guard(ProgramHandle& handle, const std::string& kind, std::vector<NodeId> inputs, PyObject* operands,
                                std::string source, std::vector<std::string> explanations,
                                const std::optional<ExampleTuple>& example) {
    if (handle.growing == nullptr) {
        raise({ErrorCode::invalid_argument, "the guard program of a GuardedCode does not change any more", {}});
    }
    const GuardKindInfo* info = find_guard_kind(kind);
    if (info == nullptr) raise({ErrorCode::invalid_argument, "there is no guard kind '" + kind + "'", {}});
    std::optional<Example> converted;
    if (example) {
        const auto& [type, immutable, dict_length, dict_manager] = *example;
        converted = Example{type.value_or(ImportRef{}), immutable, dict_length, dict_manager};
    }
    std::vector<Value> values = to_values(Place(kind, operands, 0), operands, ".operands");
    return value_or_raise(handle.growing->add(info->kind, std::move(inputs), std::move(values), std::move(source),
                                              std::move(explanations), std::move(converted)));
}

std::vector<KindTuple> list_kinds() {
    std::vector<KindTuple> kinds;
    for (const GuardKindInfo& kind : guard_kinds()) {
        kinds.emplace_back(static_cast<int>(kind.kind), kind.name, name_of(kind.role), kind.operands, kind.min_inputs,
                           kind.max_inputs);
    }
    return kinds;
}

std::string_view name_of(GuardRole role) {
    switch (role) {
        case GuardRole::accessor: return "accessor";
        case GuardRole::check: return "check";
        case GuardRole::relation: return "relation";
        case GuardRole::mark: return "mark";
    }
    return "";
}

}  // namespace coldframe::python
