#include <python/bytecode.hpp>
#include <python/graph_call.hpp>

#include <algorithm>
#include <set>
#include <string_view>

namespace coldframe::python {
namespace {

Py_ssize_t count_of(PyObject* code, const char* name) {
    const Ref value = owned(PyObject_GetAttrString(code, name));
    return PyTuple_Check(value.get()) ? PyTuple_GET_SIZE(value.get()) : PyLong_AsSsize_t(value.get());
}

}  // namespace

// Follows the code from its beginning to the call of a global.
class GraphCall::Reader {
   public:
    explicit Reader(GraphCall& made)
        : made_(made),
          names_(owned(PyObject_GetAttrString(made.code_.get(), "co_names"))),
          constants_(owned(PyObject_GetAttrString(made.code_.get(), "co_consts"))),
          locals_(static_cast<std::uint32_t>(count_of(made.code_.get(), "co_nlocals"))),
          cells_(static_cast<std::uint32_t>(count_of(made.code_.get(), "co_cellvars"))) {}

    bool read() {
        std::size_t offset = 0;
        while (offset < made_.bytes_.size()) {
            const Instruction next = instruction_at(made_.bytes_, offset);
            if (next.operation == CALL && is_graph(next.argument)) return finish(next);
            const bool jumps = skips_marks(next);
            if (!jumps && !follow(next)) return false;
            offset = next.next + (jumps ? 2 * std::size_t{next.argument} : 0);
            if (next.operation == RESUME) made_.begin_ = offset;
        }
        return false;
    }

   private:
    static constexpr std::size_t k_null = SIZE_MAX;

    const Expression& top(std::size_t depth) const { return made_.expressions_[stack_[stack_.size() - 1 - depth]]; }
    bool has(std::size_t count) const { return stack_.size() >= count; }
    // `is_called`: null goes on the stack as well.
    bool push(Kind kind, std::uint32_t argument, PyObject* operand, std::size_t base = 0, bool is_called = false) {
        if (is_called && k_null_comes_first) stack_.push_back(k_null);
        stack_.push_back(made_.expressions_.size());
        made_.expressions_.push_back({kind, base, argument, operand, std::nullopt, {}});
        if (is_called && !k_null_comes_first) stack_.push_back(k_null);
        return true;
    }
    PyObject* name(std::uint32_t index) const { return PyTuple_GET_ITEM(names_.get(), index); }

    // The callable of a call with so many arguments, an expression; k_null where none is to be seen.
    std::size_t called(std::uint32_t count) const {
        if (!has(count + std::size_t{2})) return k_null;
        const std::size_t* pair = &stack_[stack_.size() - 2 - count];
        return pair[k_null_comes_first ? 0 : 1] == k_null ? pair[k_null_comes_first ? 1 : 0] : k_null;
    }

    // The stack holds the graph, with its null, and its arguments.
    bool is_graph(std::uint32_t count) const {
        const std::size_t callable = called(count);
        return stack_.size() == count + std::size_t{2} && callable != k_null &&
               made_.expressions_[callable].kind == Kind::global;
    }

    bool finish(const Instruction& call) {
        made_.graph_ = made_.expressions_[called(call.argument)].operand;
        made_.arguments_.assign(stack_.begin() + 2, stack_.end());
        made_.end_ = call.next;
        if (std::ranges::find(made_.arguments_, k_null) != made_.arguments_.end()) return false;
        for (std::size_t offset = call.next; offset < made_.bytes_.size();) {
            const Instruction next = instruction_at(made_.bytes_, offset);
            if (is_fused(next.operation)) return false;
            if (jumps_back(next.operation) && backward_target(next) < made_.end_) return false;
            offset = next.next;
        }
        return true;
    }

    // Since torch 2.15 the marks of the reads are made by branches that no call without a profiler takes. Pops the condition.
    bool skips_marks(const Instruction& next) {
        if (!has(1) || stack_.back() == k_null) return false;
        const Expression& condition = top(0);
        const bool without = next.operation == k_jump_unless && condition.kind == Kind::attribute &&
                             made_.expressions_[condition.base].kind == Kind::global &&
                             PyUnicode_CompareWithASCIIString(condition.operand, "_is_profiler_enabled") == 0;
        if (!without && !(next.operation == k_jump_if && condition.kind == Kind::holds)) return false;
        stack_.pop_back();
        return true;
    }

    // Whether None is None.
    bool compare() {
        const auto is_none = [](const Expression& each) { return each.kind == Kind::constant && each.operand == Py_None; };
        if (!has(2) || stack_.back() == k_null || stack_[stack_.size() - 2] == k_null) return false;
        if (!is_none(top(0)) || !is_none(top(1))) return false;
        stack_.resize(stack_.size() - 2);
        return push(Kind::holds, 0, nullptr);
    }

    bool follow(const Instruction& next) {
        switch (next.operation) {
            case RESUME:
            case COPY_FREE_VARS:
#ifdef PRECALL
            case PRECALL:
#endif
#ifdef TO_BOOL
            case TO_BOOL:
#endif
            case NOP: return true;
            case IS_OP: return next.argument == 0 && compare();
            case MAKE_CELL: captured_.insert(next.argument); return true;
            case PUSH_NULL: stack_.push_back(k_null); return true;
            case LOAD_CONST: return push(Kind::constant, next.argument, PyTuple_GET_ITEM(constants_.get(), next.argument));
            case LOAD_FAST: return load(next.argument);
            case LOAD_DEREF:
                if (next.argument < locals_) return push(Kind::captured, next.argument, nullptr);
                return cells_ == 0 && push(Kind::free, next.argument, nullptr, next.argument - locals_);
            case LOAD_GLOBAL:
                return push(Kind::global, next.argument & ~1U, name(next.argument >> 1U), 0, (next.argument & 1U) != 0);
            case LOAD_ATTR: {
                const std::uint32_t is_called = next.argument & k_attribute_bits;
                const std::uint32_t index = next.argument >> k_attribute_bits;
                return read_from(Kind::attribute, next.argument - is_called, name(index), is_called != 0);
            }
            case BINARY_SUBSCR: return subscript();
            case COPY:
                if (next.argument != 1 || !has(1)) return false;
                stack_.push_back(stack_.back());
                return true;
            case STORE_FAST: return store(next.argument);
            case POP_TOP:
                if (!has(1)) return false;
                stack_.pop_back();
                return true;
            case CALL: return call_helper(next.argument);
            default: return false;
        }
    }

    bool load(std::uint32_t variable) {
        if (captured_.contains(variable)) return false;  // that would be the cell
        const auto set = made_.variables_.find(variable);
        if (set == made_.variables_.end()) return push(Kind::local, variable, nullptr);
        stack_.push_back(set->second);
        return true;
    }

    bool store(std::uint32_t variable) {
        const auto reads = [&](const Expression& each) { return each.kind == Kind::local && each.argument == variable; };
        if (!has(1) || stack_.back() == k_null || made_.variables_.contains(variable)) return false;
        if (captured_.contains(variable) || std::ranges::any_of(made_.expressions_, reads)) return false;
        made_.expressions_[stack_.back()].variable = variable;
        made_.variables_[variable] = stack_.back();
        stack_.pop_back();
        return true;
    }

    bool read_from(Kind kind, std::uint32_t argument, PyObject* operand, bool is_called = false) {
        if (!has(1) || stack_.back() == k_null) return false;
        const std::size_t base = stack_.back();
        stack_.pop_back();
        return push(kind, argument, operand, base, is_called);
    }

    bool subscript() {
        if (!has(2) || stack_.back() == k_null || top(0).kind != Kind::constant) return false;
        const Expression index = top(0);
        stack_.pop_back();
        return read_from(Kind::item, index.argument, index.operand);
    }

    // The two functions that mark the reads for torch's profiler, and those that read sizes.
    bool call_helper(std::uint32_t count) {
        const std::size_t callable = called(count);
        if (callable == k_null) return false;
        const std::vector<std::size_t> arguments(stack_.end() - count, stack_.end());
        if (std::ranges::find(arguments, k_null) != arguments.end()) return false;
        const Expression& callee = made_.expressions_[callable];
        if (callee.kind != Kind::attribute || made_.expressions_[callee.base].kind != Kind::global) return false;
        const char* said = PyUnicode_AsUTF8(callee.operand);
        if (said == nullptr) PyErr_Clear();
        const std::string_view name = said != nullptr ? said : "";
        stack_.resize(stack_.size() - 2 - count);
        if (name == "record_pregraph_bytecode_enter" || name == "record_pregraph_bytecode_exit") {
            return push(Kind::helper, 0, nullptr);
        }
        if (name != "call_size" && name != "call_stride" && name != "call_storage_offset") return false;
        push(Kind::call, count, nullptr, callable);
        made_.expressions_.back().arguments = arguments;
        return true;
    }

    GraphCall& made_;
    Ref names_;
    Ref constants_;
    std::uint32_t locals_;
    std::uint32_t cells_;
    std::set<std::uint32_t> captured_;  // variables that are cells
    std::vector<std::size_t> stack_;
};

// Writes the line anew, at its place.
class GraphCall::Writer {
   public:
    Writer(const GraphCall& call, const std::vector<bool>& bound) : call_(call), bound_(bound) {}

    // Empty when it does not fit.
    std::string write(std::uint32_t constant) {
        std::uint32_t count = 0;
        for (const auto& [variable, expression] : call_.variables_) {
            if (is_read_later(variable) && !keep(expression, variable)) return {};
        }
        if (k_null_comes_first) add(PUSH_NULL, 0, 0);
        add(LOAD_CONST, constant, 0);
        if (!k_null_comes_first) add(PUSH_NULL, 0, 0);
        for (const std::size_t argument : call_.arguments_) {
            if (bound_[argument]) continue;
            if (!emit(argument)) return {};
            ++count;
        }
        add_call(count);
        const std::size_t room = call_.end_ - call_.begin_;
        if (made_.size() + 6 > room) return {};
        add(JUMP_FORWARD, static_cast<std::uint32_t>((room - made_.size()) / 2), 0, 6);
        made_.resize(room, '\0');
        std::string bytes = call_.bytes_;
        bytes.replace(call_.begin_, room, made_);
        drop_deletions(bytes);
        return bytes;
    }

    [[nodiscard]] Py_ssize_t deepest() const { return deepest_; }

   private:
    // `size`: in bytes without caches, where it is not the least.
    void add(std::uint8_t operation, std::uint32_t argument, std::size_t caches, std::size_t size = 0) {
        const auto put = [&](unsigned code, std::uint32_t value) {
            made_.push_back(static_cast<char>(code));
            made_.push_back(static_cast<char>(value & 0xFFU));
        };
        if (size == 6) argument -= 3;  // a jump counts from behind itself
        if (size == 6 || argument > 0xFFFF) put(EXTENDED_ARG, argument >> 16U);
        if (size == 6 || argument > 0xFF) put(EXTENDED_ARG, argument >> 8U);
        put(operation, argument);
        made_.append(2 * caches, '\0');
        depth_ += growth(operation, argument);
        deepest_ = std::max(deepest_, depth_);
    }

    void add_call(std::uint32_t count) {
#ifdef PRECALL
        add(PRECALL, count, INLINE_CACHE_ENTRIES_PRECALL);
#endif
        add(CALL, count, INLINE_CACHE_ENTRIES_CALL);
    }

    // Of the stack, by one of the operations that are written here.
    static Py_ssize_t growth(std::uint8_t operation, std::uint32_t argument) {
        switch (operation) {
            case CALL: return -1 - static_cast<Py_ssize_t>(argument);
            case BINARY_SUBSCR:
            case STORE_FAST:
            case POP_TOP: return -1;
#ifdef PRECALL
            case PRECALL:
#endif
            case LOAD_ATTR:
            case EXTENDED_ARG:
            case JUMP_FORWARD: return 0;
            default: return 1;
        }
    }

    bool emit(std::size_t index) {
        const Expression& expression = call_.expressions_[index];
        if (expression.variable && kept_.contains(*expression.variable)) {
            add(LOAD_FAST, *expression.variable, 0);
            return true;
        }
        switch (expression.kind) {
            case Kind::local: add(LOAD_FAST, expression.argument, 0); break;
            case Kind::captured:
            case Kind::free: add(LOAD_DEREF, expression.argument, 0); break;
            case Kind::constant: add(LOAD_CONST, expression.argument, 0); break;
            case Kind::global: add(LOAD_GLOBAL, expression.argument, INLINE_CACHE_ENTRIES_LOAD_GLOBAL); break;
            case Kind::attribute:
                if (!emit(expression.base)) return false;
                add(LOAD_ATTR, expression.argument, INLINE_CACHE_ENTRIES_LOAD_ATTR);
                break;
            case Kind::item:
                if (!emit(expression.base)) return false;
                add(LOAD_CONST, expression.argument, 0);
                add(BINARY_SUBSCR, 0, INLINE_CACHE_ENTRIES_BINARY_SUBSCR);
                break;
            case Kind::call:
                if (k_null_comes_first) add(PUSH_NULL, 0, 0);
                if (!emit(expression.base)) return false;
                if (!k_null_comes_first) add(PUSH_NULL, 0, 0);
                for (const std::size_t argument : expression.arguments) {
                    if (!emit(argument)) return false;
                }
                add_call(expression.argument);
                break;
            case Kind::helper:
            case Kind::holds: return false;
        }
        if (expression.variable) {
            add(COPY, 1, 0);
            add(STORE_FAST, *expression.variable, 0);
            kept_.insert(*expression.variable);
        }
        return true;
    }

    bool keep(std::size_t expression, std::uint32_t variable) {
        if (kept_.contains(variable)) return true;
        if (!emit(expression)) return false;
        if (!kept_.contains(variable)) return false;  // several variables hold it
        add(POP_TOP, 0, 0);
        return true;
    }

    [[nodiscard]] bool is_read_later(std::uint32_t variable) const {
        for (std::size_t offset = call_.end_; offset < call_.bytes_.size();) {
            const Instruction next = instruction_at(call_.bytes_, offset);
            if (reads_variable(next.operation) && next.argument == variable) return true;
            offset = next.next;
        }
        return false;
    }

    // Of variables that are no longer set.
    void drop_deletions(std::string& bytes) const {
        std::set<std::uint32_t> set_again;
        for (std::size_t offset = call_.end_; offset < bytes.size();) {
            const Instruction next = instruction_at(bytes, offset);
            if (next.operation == STORE_FAST) set_again.insert(next.argument);
            const bool dropped = call_.variables_.contains(next.argument) && !kept_.contains(next.argument);
            if (next.operation == DELETE_FAST && dropped && !set_again.contains(next.argument)) {
                bytes[next.offset] = static_cast<char>(NOP);
            }
            offset = next.next;
        }
    }

    const GraphCall& call_;
    const std::vector<bool>& bound_;
    Py_ssize_t depth_ = 0;
    Py_ssize_t deepest_ = 0;
    std::string made_;
    std::set<std::uint32_t> kept_;
};

std::optional<GraphCall> GraphCall::find(PyObject* code) {
    GraphCall result;
    result.code_ = Ref::borrow(code);
    const Ref bytes = owned(PyObject_GetAttrString(code, "co_code"));
    result.bytes_ = std::string(PyBytes_AS_STRING(bytes.get()), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes.get())));
    if (!Reader(result).read()) return std::nullopt;
    return result;
}

Ref GraphCall::rewritten(PyObject* callable, const std::vector<bool>& bound) const {
    const Ref constants = owned(PyObject_GetAttrString(code_.get(), "co_consts"));
    Writer writer(*this, bound);
    const std::string bytes = writer.write(static_cast<std::uint32_t>(PyTuple_GET_SIZE(constants.get())));
    if (bytes.empty()) return {};
    const Ref added = owned(PyTuple_Pack(1, callable));
    const Ref replace = owned(PyObject_GetAttrString(code_.get(), "replace"));
    const Ref none = owned(PyTuple_New(0));
    const Ref all = owned(PySequence_Concat(constants.get(), added.get()));
    const Ref written = owned(PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())));
    const Ref fields = owned(Py_BuildValue("{s:O,s:O,s:n}", "co_consts", all.get(), "co_code", written.get(), "co_stacksize",
                                           std::max(count_of(code_.get(), "co_stacksize"), writer.deepest())));
    return owned(PyObject_Call(replace.get(), none.get(), fields.get()));
}

}  // namespace coldframe::python
