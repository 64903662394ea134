#include <coldframe/model/global_names.hpp>

#include <coldframe/util/try.hpp>

#include <algorithm>
#include <functional>
#include <unordered_set>

namespace coldframe {
namespace {

using Rename = std::function<std::string(const std::string&)>;

bool is_word(const Value& value, std::string_view word) {
    const Str* text = value.get_if<Str>();
    return text != nullptr && text->utf8 == word;
}

// The name, if the value is the expression G["name"]: ("item", ("name", "G"), ("const", "name")).
const std::string* global_of(const Tuple& expression) {
    if (expression.items.size() != 3 || !is_word(expression.items[0], "item")) return nullptr;
    const Tuple* of = expression.items[1].get_if<Tuple>();
    const Tuple* key = expression.items[2].get_if<Tuple>();
    if (of == nullptr || of->items.size() != 2 || !is_word(of->items[0], "name") || !is_word(of->items[1], "G")) return nullptr;
    if (key == nullptr || key->items.size() != 2 || !is_word(key->items[0], "const")) return nullptr;
    const Str* name = key->items[1].get_if<Str>();
    return name == nullptr ? nullptr : &name->utf8;
}

Value renamed(const Value& value, const Rename& rename) {
    const auto each = [&](std::vector<Value> items) {
        for (Value& item : items) item = renamed(item, rename);
        return items;
    };
    if (const Tuple* tuple = value.get_if<Tuple>()) {
        if (const std::string* name = global_of(*tuple)) {
            Value key = Tuple{{Value::str("const"), Value::str(rename(*name))}};
            return Tuple{{tuple->items[0], tuple->items[1], std::move(key)}};
        }
        return Tuple{each(tuple->items)};
    }
    if (const List* list = value.get_if<List>()) return List{each(list->items)};
    if (const Dict* dict = value.get_if<Dict>()) {
        Dict made = *dict;
        for (ValuePair& pair : made.items) pair.value = renamed(pair.value, rename);
        return made;
    }
    return value;
}

// Operands with `rename` applied to each name of a global.
class Operands {
   public:
    explicit Operands(const Rename& rename) : rename_(rename) {}

    std::vector<Value> of(const GuardOp& op) {
        std::vector<Value> operands = op.operands;
        if (op.kind == GuardKind::globals_dict && op.result) globals_.insert(*op.result);
        const bool item_of_globals = op.kind == GuardKind::dict_getitem && globals_.contains(op.inputs[0]);
        if (item_of_globals || op.kind == GuardKind::global_weakref) {
            if (const Str* name = operands[0].get_if<Str>()) operands[0] = Value::str(rename_(name->utf8));
        } else if (op.kind == GuardKind::expression || op.kind == GuardKind::named_check) {
            for (Value& operand : operands) operand = renamed(operand, rename_);
        }
        return operands;
    }

   private:
    const Rename& rename_;
    std::unordered_set<NodeId> globals_;
};

bool is_word_byte(char byte) {
    const auto c = static_cast<unsigned char>(byte);
    return c == '_' || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string rename_text(const std::string& text, const Rename& rename) {
    std::string made;
    std::size_t done = 0;
    for (std::size_t begin; (begin = text.find("__", done)) != std::string::npos;) {
        const auto end = std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(begin), text.end(), is_word_byte);
        const auto length = static_cast<std::size_t>(end - text.begin()) - begin;
        made.append(text, done, begin - done).append(rename(text.substr(begin, length)));
        done = begin + length;
    }
    return made.append(text, done);
}

}  // namespace

CodePtr rename_globals(const CodePtr& code, const Renames& renames) {
    CodeFields changed = code->fields();
    for (std::string& name : changed.names) {
        if (const auto found = renames.find(name); found != renames.end()) name = found->second;
    }
    for (Value& constant : changed.consts) {
        if (const CodePtr* nested = constant.get_if<CodePtr>()) constant = rename_globals(*nested, renames);
    }
    return std::make_shared<const CodeObject>(std::move(changed));
}

Result<GuardProgram> rename_globals(const GuardProgram& program, const Renames& renames) {
    const Rename rename = [&](const std::string& name) {
        const auto found = renames.find(name);
        return found == renames.end() ? name : found->second;
    };
    GuardProgram made;
    Operands operands(rename);
    for (const GuardOp& op : program.ops()) {
        std::vector<std::string> explanations;
        for (const std::string& text : op.explanations) explanations.push_back(rename_text(text, rename));
        COLDFRAME_TRY(
            made.add(op.kind, op.inputs, operands.of(op), rename_text(op.source, rename), std::move(explanations), op.example));
    }
    return made;
}

std::set<std::string> global_names(const GuardProgram& program) {
    std::set<std::string> names;
    const Rename note = [&](const std::string& name) { return *names.insert(name).first; };
    Operands operands(note);
    for (const GuardOp& op : program.ops()) operands.of(op);
    return names;
}

}  // namespace coldframe
