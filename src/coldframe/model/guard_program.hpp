// A guard program: the conditions under which one compilation may be used, in static single assignment.
//
// Node 0 is the frame (its locals). Each accessor reads one node and defines the next one; each check constrains nodes. The
// operands are Values, so a program is portable; `source` is the Python expression of the node and `explanations` say a check
// in words, for messages only (source texts are not unique and never a key).
//
//   GuardProgram program;
//   NodeId x = *program.add(GuardKind::framelocals, {0}, {Value::str("x"), Value::integer(0)}, "L['x']");
//   program.add(GuardKind::none_match, {x}, {}, "L['x']", {"L['x'] is None"});
//
// `guard_kinds()` is the table of all kinds: permanent numbers that lie on disk, names, what each defines and how many inputs
// and operands it takes. `add` and `validate` enforce it, so an executor may index operands without looking.
//
// Thread-safety: a value; do not change one that is shared. Failure: invalid_argument for an op that breaks the table.
#pragma once

#include <coldframe/model/value.hpp>
#include <coldframe/util/error.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coldframe {

using NodeId = std::uint32_t;

enum class GuardKind : std::uint16_t {
    // Accessors: one input, one new node.
    framelocals = 1,             // name: str, index: int
    getattr = 2,                 // attr
    generic_getattr = 3,         // attr; object.__getattribute__
    getitem = 4,                 // key
    dict_getitem = 5,            // key
    list_getitem = 6,            // index
    tuple_getitem = 7,           // index
    set_getitem = 8,             // index in iteration order
    indexed = 9,                 // index among the sources of a symbolic shape check
    tensor_size = 10,            // dimension
    tensor_stride = 11,          // dimension
    tensor_storage_offset = 12,  // None
    globals_dict = 13,
    global_weakref = 14,  // name
    grad = 15,
    closure = 16,
    code = 17,
    func_defaults = 18,
    func_kwdefaults = 19,
    call_no_args = 20,
    type = 21,
    type_mro = 22,
    type_dict = 23,
    generic_dict = 24,
    tuple_iterator_getitem = 25,  // index
    weakref_call = 26,
    dict_key = 27,        // index in insertion order
    dict_value = 28,      // index in insertion order
    named_accessor = 29,  // name of an accessor on the closed list, tuple of its arguments

    // Checks: one input, no node.
    type_match = 64,     // type
    id_match = 65,       // object
    equals_match = 66,   // value
    length = 67,         // int
    dict_length = 68,    // int
    dict_contains = 69,  // expected: bool, key
    set_contains = 70,   // expected: bool, item
    mapping_keys = 71,   // tuple of keys
    no_hasattr = 72,     // attr
    none_match = 73,
    not_none = 74,
    true_match = 75,
    false_match = 76,
    float_is_nan = 77,
    complex_is_nan = 78,
    tuple_iterator_length = 79,      // length, type
    range_iterator_match = 80,       // start, stop, step, type
    dict_version = 81,               // snapshot of the dict, as it must still be
    fake_script_type_match = 82,     // type
    dispatch_key_set = 83,           // raw bits: int
    dual_level = 84,                 // int
    tensor_match = 85,               // dict: see docs/format.md
    dimension_marking = 86,          // dict, list, dict: see docs/format.md
    default_device = 87,             // device or None
    torch_function_mode_stack = 88,  // tuple of types
    global_state = 89,               // dict of torch's global flags, thread count or None (does not matter)
    named_check = 90,                // name of a check on the closed list, tuple of its operands

    // Relations: several inputs, no node.
    object_aliasing = 128,      // two inputs
    no_tensor_aliasing = 129,   // n inputs; tuple of names
    storage_overlapping = 130,  // n inputs; how many of them, from the first, overlap: int
    // Over the whole frame, after everything else: closed expression grammar, see docs/format.md.
    expression = 131,  // tuple of expressions that must all hold

    // Not conditions: what an executor may skip.
    mark_tag_safe = 192,
    mark_tag_safe_root = 193,
};

enum class GuardRole : std::uint8_t { accessor, check, relation, mark };

struct GuardKindInfo {
    GuardKind kind;
    std::string_view name;
    GuardRole role;
    std::uint8_t operands;  // exact number
    std::uint8_t min_inputs;
    std::uint8_t max_inputs;  // 255: any number
};

[[nodiscard]] std::span<const GuardKindInfo> guard_kinds();
[[nodiscard]] const GuardKindInfo* find_guard_kind(std::string_view name);
[[nodiscard]] const GuardKindInfo* find_guard_kind(GuardKind kind);

// What executors need to know of the value that an accessor yielded when the program was made.
struct Example {
    ImportRef type;  // empty module: the type is not importable and does not matter
    bool immutable = false;
    std::optional<std::int64_t> dict_length;
    bool dict_manager = false;  // guarded on the order of its keys
    bool operator==(const Example&) const = default;
};

struct GuardOp {
    GuardKind kind = GuardKind::none_match;
    std::vector<NodeId> inputs;
    std::optional<NodeId> result;  // set for accessors
    std::vector<Value> operands;
    std::string source;
    std::vector<std::string> explanations;
    std::optional<Example> example;  // accessors only
    bool operator==(const GuardOp&) const = default;
};

class GuardProgram {
   public:
    // Appends an op; yields the new node of an accessor, nothing for the rest.
    [[nodiscard]] Result<std::optional<NodeId>> add(GuardKind kind, std::vector<NodeId> inputs, std::vector<Value> operands,
                                                    std::string source = {}, std::vector<std::string> explanations = {},
                                                    std::optional<Example> example = std::nullopt);
    [[nodiscard]] const std::vector<GuardOp>& ops() const { return ops_; }
    [[nodiscard]] NodeId node_count() const { return node_count_; }
    bool operator==(const GuardProgram&) const = default;

   private:
    std::vector<GuardOp> ops_;
    NodeId node_count_ = 1;
};

}  // namespace coldframe
