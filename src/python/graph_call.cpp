#include <python/graph_call.hpp>

#include <algorithm>
#include <set>
#include <string_view>

#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
#include <opcode.h>
#define COLDFRAME_KNOWS_BYTECODE 1
#endif

namespace coldframe::python {

#ifdef COLDFRAME_KNOWS_BYTECODE

namespace {

struct Instruction {
    std::uint8_t operation = 0;
    std::uint32_t argument = 0;
    std::size_t offset = 0;  // of the operation itself, behind its EXTENDED_ARG
    std::size_t next = 0;
};

// Inline caches come as instructions of their own, of operation CACHE.
Instruction instruction_at(const std::string& bytes, std::size_t offset) {
    Instruction result;
    do {
        result.operation = static_cast<std::uint8_t>(bytes[offset]);
        result.argument = result.argument << 8U | static_cast<std::uint8_t>(bytes[offset + 1]);
        result.offset = offset;
        offset += 2;
    } while (result.operation == EXTENDED_ARG && offset < bytes.size());
    while (offset < bytes.size() && bytes[offset] == CACHE) offset += 2;
    result.next = offset;
    return result;
}

std::size_t backward_target(const Instruction& jump) { return jump.next - std::min(jump.next, 2 * std::size_t{jump.argument}); }

bool jumps_back(std::uint8_t operation) {
    switch (operation) {
        case JUMP_BACKWARD:
        case JUMP_BACKWARD_NO_INTERRUPT:
        case POP_JUMP_BACKWARD_IF_FALSE:
        case POP_JUMP_BACKWARD_IF_TRUE:
        case POP_JUMP_BACKWARD_IF_NONE:
        case POP_JUMP_BACKWARD_IF_NOT_NONE: return true;
        default: return false;
    }
}

bool reads_variable(std::uint8_t operation) {
    return operation == LOAD_FAST || operation == LOAD_CLOSURE || operation == LOAD_DEREF || operation == LOAD_CLASSDEREF;
}

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
            if (!follow(next)) return false;
            offset = next.next;
            if (next.operation == RESUME) made_.begin_ = offset;
        }
        return false;
    }

   private:
    static constexpr std::size_t k_null = SIZE_MAX;

    const Expression& top(std::size_t depth) const { return made_.expressions_[stack_[stack_.size() - 1 - depth]]; }
    bool has(std::size_t count) const { return stack_.size() >= count; }
    bool push(Kind kind, std::uint32_t argument, PyObject* operand, std::size_t base = 0) {
        stack_.push_back(made_.expressions_.size());
        made_.expressions_.push_back({kind, base, argument, operand, std::nullopt, {}});
        return true;
    }
    PyObject* name(std::uint32_t index) const { return PyTuple_GET_ITEM(names_.get(), index); }

    // The stack holds null, the graph, its arguments.
    bool is_graph(std::uint32_t count) const {
        if (!has(count + std::size_t{2}) || stack_.size() != count + std::size_t{2}) return false;
        return stack_[0] == k_null && stack_[1] != k_null && made_.expressions_[stack_[1]].kind == Kind::global;
    }

    bool finish(const Instruction& call) {
        made_.graph_ = made_.expressions_[stack_[1]].operand;
        made_.arguments_.assign(stack_.begin() + 2, stack_.end());
        made_.end_ = call.next;
        if (std::ranges::find(made_.arguments_, k_null) != made_.arguments_.end()) return false;
        for (std::size_t offset = call.next; offset < made_.bytes_.size();) {
            const Instruction next = instruction_at(made_.bytes_, offset);
            if (jumps_back(next.operation) && backward_target(next) < made_.end_) return false;
            offset = next.next;
        }
        return true;
    }

    bool follow(const Instruction& next) {
        switch (next.operation) {
            case RESUME:
            case COPY_FREE_VARS:
            case NOP:
            case PRECALL: return true;
            case MAKE_CELL: captured_.insert(next.argument); return true;
            case PUSH_NULL: stack_.push_back(k_null); return true;
            case LOAD_CONST: return push(Kind::constant, next.argument, PyTuple_GET_ITEM(constants_.get(), next.argument));
            case LOAD_FAST: return load(next.argument);
            case LOAD_DEREF:
                if (next.argument < locals_) return push(Kind::captured, next.argument, nullptr);
                return cells_ == 0 && push(Kind::free, next.argument, nullptr, next.argument - locals_);
            case LOAD_GLOBAL:
                if ((next.argument & 1U) != 0) stack_.push_back(k_null);
                return push(Kind::global, next.argument, name(next.argument >> 1U));
            case LOAD_ATTR: return read_from(Kind::attribute, next.argument, name(next.argument));
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

    bool read_from(Kind kind, std::uint32_t argument, PyObject* operand) {
        if (!has(1) || stack_.back() == k_null) return false;
        const std::size_t base = stack_.back();
        stack_.pop_back();
        return push(kind, argument, operand, base);
    }

    bool subscript() {
        if (!has(2) || stack_.back() == k_null || top(0).kind != Kind::constant) return false;
        const Expression index = top(0);
        stack_.pop_back();
        return read_from(Kind::item, index.argument, index.operand);
    }

    // The two functions that mark the reads for torch's profiler, and those that read sizes.
    bool call_helper(std::uint32_t count) {
        if (!has(count + std::size_t{2}) || stack_[stack_.size() - 2 - count] != k_null) return false;
        const std::vector<std::size_t> called(stack_.end() - 1 - count, stack_.end());
        if (std::ranges::find(called, k_null) != called.end()) return false;
        const Expression& callee = made_.expressions_[called[0]];
        if (callee.kind != Kind::attribute || made_.expressions_[callee.base].kind != Kind::global) return false;
        const char* said = PyUnicode_AsUTF8(callee.operand);
        if (said == nullptr) PyErr_Clear();
        const std::string_view name = said != nullptr ? said : "";
        stack_.resize(stack_.size() - 2 - count);
        if (name == "record_pregraph_bytecode_enter" || name == "record_pregraph_bytecode_exit") {
            return push(Kind::helper, 0, nullptr);
        }
        if (name != "call_size" && name != "call_stride" && name != "call_storage_offset") return false;
        push(Kind::call, count, nullptr, called[0]);
        made_.expressions_.back().arguments.assign(called.begin() + 1, called.end());
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
        add(PUSH_NULL, 0, 0);
        add(LOAD_CONST, constant, 0);
        for (const std::size_t argument : call_.arguments_) {
            if (bound_[argument]) continue;
            if (!emit(argument)) return {};
            ++count;
        }
        add(PRECALL, count, 1);
        add(CALL, count, 4);
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

    // Of the stack, by one of the operations that are written here.
    static Py_ssize_t growth(std::uint8_t operation, std::uint32_t argument) {
        switch (operation) {
            case CALL: return -1 - static_cast<Py_ssize_t>(argument);
            case BINARY_SUBSCR:
            case STORE_FAST:
            case POP_TOP: return -1;
            case LOAD_ATTR:
            case PRECALL:
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
            case Kind::global: add(LOAD_GLOBAL, expression.argument & ~1U, 5); break;
            case Kind::attribute:
                if (!emit(expression.base)) return false;
                add(LOAD_ATTR, expression.argument, 4);
                break;
            case Kind::item:
                if (!emit(expression.base)) return false;
                add(LOAD_CONST, expression.argument, 0);
                add(BINARY_SUBSCR, 0, 4);
                break;
            case Kind::call:
                add(PUSH_NULL, 0, 0);
                if (!emit(expression.base)) return false;
                for (const std::size_t argument : expression.arguments) {
                    if (!emit(argument)) return false;
                }
                add(PRECALL, expression.argument, 1);
                add(CALL, expression.argument, 4);
                break;
            case Kind::helper: return false;
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

#else

std::optional<GraphCall> GraphCall::find(PyObject*) { return std::nullopt; }
Ref GraphCall::rewritten(PyObject*, const std::vector<bool>&) const { return {}; }

#endif

}  // namespace coldframe::python
