// Equality without recursion: pairs still to be compared wait in a list, so no nesting can exhaust the stack.
#include <coldframe/model/value.hpp>

#include <coldframe/model/code_object.hpp>

#include <bit>
#include <utility>

namespace coldframe {
namespace {

using Pending = std::vector<std::pair<const Value*, const Value*>>;

bool push(Pending& pending, const std::vector<Value>& left, const std::vector<Value>& right) {
    if (left.size() != right.size()) return false;
    for (std::size_t i = 0; i < left.size(); ++i) pending.emplace_back(&left[i], &right[i]);
    return true;
}

// Everything but the constants.
bool same_scalars(const CodeFields& left, const CodeFields& right) {
    const auto scalars = [](const CodeFields& f) {
        return std::tie(f.argcount, f.posonlyargcount, f.kwonlyargcount, f.nlocals, f.stacksize, f.flags, f.code, f.names,
                        f.varnames, f.filename, f.name, f.qualname, f.firstlineno, f.linetable, f.exceptiontable, f.freevars,
                        f.cellvars);
    };
    return scalars(left) == scalars(right);
}

// Compares what the two hold themselves; their items become pending.
struct Shallow {
    Pending& pending;

    template <typename T>
        requires std::equality_comparable<T>
    bool operator()(const T& left, const T& right) const {
        return left == right;
    }
    bool operator()(const Tuple& left, const Tuple& right) const { return push(pending, left.items, right.items); }
    bool operator()(const List& left, const List& right) const { return push(pending, left.items, right.items); }
    bool operator()(const Set& left, const Set& right) const {
        return left.frozen == right.frozen && push(pending, left.items, right.items);
    }
    bool operator()(const Slice& left, const Slice& right) const { return push(pending, left.parts, right.parts); }
    bool operator()(const Range& left, const Range& right) const { return push(pending, left.parts, right.parts); }
    bool operator()(const Construct& left, const Construct& right) const {
        return left.callee == right.callee && push(pending, left.args, right.args);
    }
    bool operator()(const Dict& left, const Dict& right) const {
        if (left.items.size() != right.items.size()) return false;
        for (std::size_t i = 0; i < left.items.size(); ++i) {
            pending.emplace_back(&left.items[i].key, &right.items[i].key);
            pending.emplace_back(&left.items[i].value, &right.items[i].value);
        }
        return true;
    }
    bool operator()(const CodePtr& left, const CodePtr& right) const {
        if (left == right) return true;
        if (left == nullptr || right == nullptr) return false;
        return same_scalars(left->fields(), right->fields()) && push(pending, left->fields().consts, right->fields().consts);
    }
};

bool shallow_equal(const Value& left, const Value& right, Pending& pending) {
    if (left.storage().index() != right.storage().index()) return false;
    return std::visit(
        [&](const auto& alternative) {
            using T = std::remove_cvref_t<decltype(alternative)>;
            return Shallow{pending}(alternative, *right.get_if<T>());
        },
        left.storage());
}

}  // namespace

Value Value::real(double value) { return Float{std::bit_cast<std::uint64_t>(value)}; }

bool Value::operator==(const Value& other) const {
    Pending pending;
    if (!shallow_equal(*this, other, pending)) return false;
    while (!pending.empty()) {
        const auto [left, right] = pending.back();
        pending.pop_back();
        if (!shallow_equal(*left, *right, pending)) return false;
    }
    return true;
}

}  // namespace coldframe
