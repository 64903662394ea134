// Guard programs and their ops as Python holds them.
//
// A program of Python's own grows by `add`; one that belongs to a GuardedCode does not change any more. An op keeps its
// program, whose ops may move but not change.
//
//   ProgramHandle program = ProgramHandle::own({});
//   add_guard(program, "none_match", {0}, operands, "x", {}, std::nullopt);
//   std::vector<OpHandle> ops = list_ops(program);
//
// Thread-safety: needs the GIL. Failure: PythonError: InvalidArgumentError for what breaks the table of kinds.
#pragma once

#include <python/bridge.hpp>

#include <coldframe/model/package.hpp>

#include <tuple>

namespace coldframe::python {

struct ProgramHandle {
    std::shared_ptr<const GuardProgram> program;
    std::shared_ptr<GuardProgram> growing;  // the same one, or null

    [[nodiscard]] static ProgramHandle own(GuardProgram program);
    [[nodiscard]] static ProgramHandle of(const GuardedCodePtr& code);
};

struct OpHandle {
    std::shared_ptr<const GuardProgram> program;
    std::size_t index;

    [[nodiscard]] const GuardOp& op() const { return program->ops()[index]; }
    [[nodiscard]] const GuardKindInfo& kind() const { return *find_guard_kind(op().kind); }
};
[[nodiscard]] std::vector<OpHandle> list_ops(const ProgramHandle& handle);
[[nodiscard]] OpHandle op_at(const ProgramHandle& handle, std::size_t index);

// (type or None, immutable, dict length or None, guarded on key order)
using ExampleTuple = std::tuple<std::optional<ImportRef>, bool, std::optional<std::int64_t>, bool>;
[[nodiscard]] std::optional<ExampleTuple> to_tuple(const std::optional<Example>& example);

[[nodiscard]] std::optional<NodeId> add_guard(ProgramHandle& handle, const std::string& kind, std::vector<NodeId> inputs,
                                              PyObject* operands, std::string source, std::vector<std::string> explanations,
                                              const std::optional<ExampleTuple>& example);

// (number, name, role, operands, min inputs, max inputs) of every kind.
using KindTuple = std::tuple<int, std::string_view, std::string_view, int, int, int>;
[[nodiscard]] std::vector<KindTuple> list_kinds();
[[nodiscard]] std::string_view name_of(GuardRole role);

}  // namespace coldframe::python
