#include <python/guard_lowering.hpp>

#include <python/guard_steps.hpp>
#include <python/object_codec.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>

namespace coldframe::python {
namespace {

using enum GuardOperation;

struct Same {
    GuardKind kind;
    GuardOperation operation;
};

// Kinds that are one step with the kind's input and, where it has one, its operand.
constexpr std::array k_same = {
    Same{GuardKind::getattr, getattr},
    Same{GuardKind::generic_getattr, generic_getattr},
    Same{GuardKind::getitem, getitem},
    Same{GuardKind::dict_getitem, dict_getitem},
    Same{GuardKind::closure, closure},
    Same{GuardKind::code, code},
    Same{GuardKind::func_defaults, defaults},
    Same{GuardKind::func_kwdefaults, kwdefaults},
    Same{GuardKind::call_no_args, call_no_args},
    Same{GuardKind::type, type},
    Same{GuardKind::type_mro, type_mro},
    Same{GuardKind::type_dict, type_dict},
    Same{GuardKind::generic_dict, generic_dict},
    Same{GuardKind::weakref_call, weakref_call},
    Same{GuardKind::globals_dict, globals},
    Same{GuardKind::equals_match, equals_match},
    Same{GuardKind::no_hasattr, no_hasattr},
    Same{GuardKind::none_match, none_match},
    Same{GuardKind::not_none, not_none},
    Same{GuardKind::float_is_nan, float_is_nan},
    Same{GuardKind::complex_is_nan, complex_is_nan},
};
// Those whose operand is a number.
constexpr std::array k_numbered = {
    Same{GuardKind::list_getitem, list_getitem},
    Same{GuardKind::tuple_getitem, tuple_getitem},
    Same{GuardKind::dict_key, dict_key},
    Same{GuardKind::dict_value, dict_value},
    Same{GuardKind::length, length},
    Same{GuardKind::dict_length, dict_length},
};

std::optional<GuardOperation> find(const auto& table, GuardKind kind) {
    const auto found = std::ranges::find(table, kind, &Same::kind);
    if (found == table.end()) return std::nullopt;
    return found->operation;
}

Ref resolved(const Value& value) { return to_python(value, References::resolved); }

Ref none() { return Ref::borrow(Py_None); }

void append(std::vector<GuardStep>& to, std::vector<GuardStep> steps) { std::ranges::move(steps, std::back_inserter(to)); }

class Lowering {
   public:
    Lowering(const GuardProgram& program, const LoweringContext& context)
        : program_(program),
          context_(context),
          objects_(owned(PyObject_GetAttrString(context.rare, "objects"))),
          parents_(program.node_count()),
          is_globals_(program.node_count()),
          is_unseen_(program.node_count()),
          next_(program.node_count()) {}

    std::vector<GuardStep> run() && {
        for (number_ = 0; std::cmp_less(number_, program_.ops().size()); ++number_) lower(program_.ops()[number_]);
        if (!tensors_.empty()) check_tensors();
        append(steps_, std::move(last_));
        return std::move(steps_);
    }

   private:
    void lower(const GuardOp& op) {
        const GuardRole role = find_guard_kind(op.kind)->role;
        if (role == GuardRole::mark) return;
        if (std::ranges::any_of(op.inputs, [&](NodeId node) { return is_unseen_[node]; })) {
            if (role == GuardRole::relation) unsupported("a relation with a module that is not imported");
            if (op.result) is_unseen_[*op.result] = true;
        } else if (role == GuardRole::accessor) {
            accessor(op);
        } else {
            check_of(op);
        }
    }

    void accessor(const GuardOp& op) {
        parents_[*op.result] = op.inputs[0];
        if (op.kind == GuardKind::globals_dict) is_globals_[*op.result] = true;
        if (op.kind == GuardKind::dict_getitem && is_globals_[op.inputs[0]] && is_lazy(op.operands[0])) {
            is_unseen_[*op.result] = true;
            return;
        }
        if (op.kind == GuardKind::framelocals) {
            add(local, {}, none(), index_of(op.operands[0]), *op.result);
        } else if (op.kind == GuardKind::global_weakref) {
            const NodeId all = value(globals, {}, none());
            const NodeId found = value(dict_getitem, {all}, resolved(op.operands[0]));
            add(weakref_call, {found}, none(), 0, *op.result);
        } else if (!plain(op)) {
            rare(op);
        }
        if (!op.example || !op.example->dict_manager) return;
        // torch's manager of an ordered dict checks these itself.
        if (op.example->type.module.empty() || !op.example->dict_length) unsupported("a dict of an unknown type");
        add(dict_size_match, {*op.result}, resolved(op.example->type), *op.example->dict_length);
    }

    void check_of(const GuardOp& op) {
        switch (op.kind) {
            case GuardKind::type_match:
            case GuardKind::id_match:
                if (op.operands[0].get_if<Dict>() != nullptr) return rare(op);
                return add(op.kind == GuardKind::type_match ? type_match : id_match, op.inputs, bound(op.operands[0]));
            case GuardKind::true_match: return add(id_match, op.inputs, Ref::borrow(Py_True));
            case GuardKind::false_match: return add(id_match, op.inputs, Ref::borrow(Py_False));
            case GuardKind::dict_contains:
                return add(is_true(op.operands[0]) ? dict_contains : dict_lacks, op.inputs, resolved(op.operands[1]));
            case GuardKind::set_contains:
                return add(is_true(op.operands[0]) ? set_contains : set_lacks, op.inputs, resolved(op.operands[1]));
            case GuardKind::mapping_keys: {
                const Ref keys = resolved(op.operands[0]);
                return add(mapping_keys, op.inputs, owned(PySequence_List(keys.get())));
            }
            case GuardKind::dimension_marking:
                if (!is_empty(op.operands[0]) || !is_empty(op.operands[2])) return rare(op);
                return add(unmarked_tensor, op.inputs, owned(PyObject_GetAttrString(context_.rare, "unmarked")));
            case GuardKind::tensor_match: tensors_.emplace_back(op.inputs[0], resolved(op.operands[0])); return;
            case GuardKind::object_aliasing: last_.push_back(made(same, op.inputs, none())); return;
            case GuardKind::no_tensor_aliasing: last_.push_back(made(distinct, op.inputs, none())); return;
            default:
                if (!plain(op)) rare(op);
        }
    }

    // Whether the op is one step.
    bool plain(const GuardOp& op) {
        const NodeId result = op.result.value_or(0);
        if (const auto operation = find(k_same, op.kind)) {
            const std::vector<NodeId> inputs = op.kind == GuardKind::globals_dict ? std::vector<NodeId>() : op.inputs;
            add(*operation, inputs, op.operands.empty() ? none() : resolved(op.operands[0]), 0, result);
            return true;
        }
        if (const auto operation = find(k_numbered, op.kind)) {
            const std::int64_t* number = op.operands[0].get_if<std::int64_t>();
            if (number == nullptr) unsupported("a number that is too large");
            add(*operation, op.inputs, none(), *number, result);
            return true;
        }
        return false;
    }

    static GuardStep made(GuardOperation operation, std::vector<NodeId> inputs, Ref operand) {
        GuardStep step;
        step.operation = operation;
        step.input = inputs.empty() ? 0 : inputs[0];
        step.inputs = std::move(inputs);
        step.operand = std::move(operand);
        return step;
    }

    void add(GuardOperation operation, std::vector<NodeId> inputs, Ref operand, Py_ssize_t number = 0, NodeId result = 0) {
        GuardStep step = made(operation, std::move(inputs), std::move(operand));
        step.number = number;
        step.result = result;
        steps_.push_back(std::move(step));
    }

    // A value that is not one of the program's.
    NodeId value(GuardOperation operation, std::vector<NodeId> inputs, Ref operand) {
        add(operation, std::move(inputs), std::move(operand), 0, next_);
        return next_++;
    }

    void rare(const GuardOp& op) {
        const NodeId parent = op.inputs.empty() ? 0 : parents_[op.inputs[0]];
        const Ref found = owned(PyObject_CallMethod(context_.rare, "lower", "nII", number_, parent, next_));
        PyObject* steps = nullptr;
        PyObject* last = nullptr;
        check(PyArg_ParseTuple(found.get(), "OOI", &steps, &last, &next_) != 0 ? 0 : -1);
        append(steps_, to_guard_steps(steps, next_));
        append(last_, to_guard_steps(last, next_));
    }

    void check_tensors() {
        const Ref nodes = owned(PyList_New(0));
        const Ref infos = owned(PyList_New(0));
        for (const auto& [node, info] : tensors_) {
            const Ref number = owned(PyLong_FromUnsignedLong(node));
            check(PyList_Append(nodes.get(), number.get()));
            check(PyList_Append(infos.get(), info.get()));
        }
        const Ref found = owned(PyObject_CallMethod(context_.rare, "tensors", "OO", nodes.get(), infos.get()));
        append(steps_, to_guard_steps(found.get(), next_));
    }

    // Whoever lowers the program again, for another executor, binds it to the same object.
    Ref bound(const Value& operand) {
        const Ref key = owned(PyLong_FromSsize_t(number_));
        PyObject* known = PyDict_GetItemWithError(objects_.get(), key.get());
        if (known != nullptr) return Ref::borrow(known);
        if (PyErr_Occurred() != nullptr) throw PythonError();
        Ref found = resolved(operand);
        check(PyDict_SetItem(objects_.get(), key.get(), found.get()));
        return found;
    }

    [[nodiscard]] Py_ssize_t index_of(const Value& name) {
        const Ref text = resolved(name);
        const Py_ssize_t index = PySequence_Index(context_.names, text.get());
        if (index < 0) {
            PyErr_Clear();
            unsupported("a guard on the local " + short_repr(text.get()) + ", which is no argument");
        }
        return index;
    }

    [[nodiscard]] bool is_lazy(const Value& key) const {
        if (key.get_if<Str>() == nullptr) return false;
        const Ref text = resolved(key);
        const int found = PySet_Contains(context_.lazy, text.get());
        check(found);
        return found == 1;
    }

    [[nodiscard]] static bool is_true(const Value& value) {
        const bool* found = value.get_if<bool>();
        return found != nullptr && *found;
    }

    [[nodiscard]] static bool is_empty(const Value& value) {
        const Dict* dict = value.get_if<Dict>();
        return dict != nullptr && dict->items.empty();
    }

    [[noreturn]] void unsupported(const std::string& reason) const {
        const Ref text = from_utf8(reason);
        const Ref never = owned(PyObject_CallMethod(context_.rare, "unsupported", "O", text.get()));
        raise({ErrorCode::internal, "unsupported() has not raised", ""});
    }

    const GuardProgram& program_;
    const LoweringContext& context_;
    Ref objects_;
    std::vector<NodeId> parents_;  // by value: what it was read of
    std::vector<bool> is_globals_;
    std::vector<bool> is_unseen_;  // values of modules that are not imported
    NodeId next_;
    Py_ssize_t number_ = 0;  // of the op
    std::vector<GuardStep> steps_;
    std::vector<GuardStep> last_;  // after everything else
    std::vector<std::pair<NodeId, Ref>> tensors_;
};

}  // namespace

Ref lower_guards(const GuardProgram& program, const LoweringContext& context, PyObject* before) {
    std::vector<GuardStep> steps = to_guard_steps(before);
    append(steps, Lowering(program, context).run());
    return to_object(std::move(steps));
}

}  // namespace coldframe::python
