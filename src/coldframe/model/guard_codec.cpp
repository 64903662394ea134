// A program is {0: strings, 1: ops}; an op is [kind, inputs, operands, source, explanations, example], where source,
// explanations and the example's names are numbers in the strings. Strings are in the order of their first use, so there is
// one encoding for each program.
#include <coldframe/model/guard_codec.hpp>

#include <coldframe/model/value_codec.hpp>
#include <coldframe/util/try.hpp>

#include <unordered_map>
#include <unordered_set>

namespace coldframe {
namespace {

constexpr unsigned k_program_fields = 2;
constexpr std::size_t k_op_items = 6;
constexpr std::size_t k_example_items = 5;

class StringTable {
   public:
    std::uint64_t number_of(std::string_view string) {
        const auto [position, added] = numbers_.try_emplace(string, strings_.size());
        if (added) strings_.push_back(string);
        return position->second;
    }
    [[nodiscard]] const std::vector<std::string_view>& strings() const { return strings_; }

   private:
    std::unordered_map<std::string_view, std::uint64_t> numbers_;
    std::vector<std::string_view> strings_;
};

void collect(StringTable& table, const GuardOp& op) {
    table.number_of(op.source);
    for (const std::string& explanation : op.explanations) table.number_of(explanation);
    if (op.example) {
        table.number_of(op.example->type.module);
        table.number_of(op.example->type.qualname);
    }
}

void write_op(cbor::Writer& writer, StringTable& table, const GuardOp& op) {
    writer.array(k_op_items);
    writer.unsigned_int(static_cast<std::uint64_t>(op.kind));
    writer.array(op.inputs.size());
    for (const NodeId input : op.inputs) writer.unsigned_int(input);
    writer.array(op.operands.size());
    for (const Value& operand : op.operands) write_value(writer, operand);
    writer.unsigned_int(table.number_of(op.source));
    writer.array(op.explanations.size());
    for (const std::string& explanation : op.explanations) writer.unsigned_int(table.number_of(explanation));
    if (!op.example) {
        writer.null();
        return;
    }
    writer.array(k_example_items);
    writer.unsigned_int(table.number_of(op.example->type.module));
    writer.unsigned_int(table.number_of(op.example->type.qualname));
    writer.boolean(op.example->immutable);
    if (op.example->dict_length) {
        writer.integer(*op.example->dict_length);
    } else {
        writer.null();
    }
    writer.boolean(op.example->dict_manager);
}

class ProgramReader {
   public:
    ProgramReader(ByteView bytes, cbor::UnknownFields unknown) : reader_(bytes, unknown) {}

    Result<GuardProgram> read() {
        reader_.fields(k_program_fields, [&](unsigned field) { field == 0 ? read_strings() : read_ops(); });
        COLDFRAME_TRY(reader_.finish());
        return std::move(program_);
    }

   private:
    void read_strings() {
        const std::size_t count = reader_.array();
        for (std::size_t i = 0; reader_.ok() && i < count; ++i) strings_.push_back(reader_.string());
        const std::unordered_set<std::string_view> distinct(strings_.begin(), strings_.end());
        if (distinct.size() != strings_.size()) reader_.corrupt("a string table with equal strings");
    }

    void read_ops() {
        const std::size_t count = reader_.array();
        for (std::size_t i = 0; reader_.ok() && i < count; ++i) read_op();
        if (reader_.ok() && used_ != strings_.size()) reader_.corrupt("a string table with unused strings");
    }

    void read_op() {
        reader_.array_of(k_op_items);
        const auto kind = static_cast<GuardKind>(reader_.unsigned_int(0xffff));
        if (reader_.ok() && find_guard_kind(kind) == nullptr) {
            const bool newer = reader_.unknown_fields() == cbor::UnknownFields::skip;
            reader_.fail(newer ? ErrorCode::unsupported : ErrorCode::corrupt,
                         "an unknown guard kind " + std::to_string(static_cast<unsigned>(kind)));
        }
        std::vector<NodeId> inputs;
        const std::size_t input_count = reader_.array();
        for (std::size_t i = 0; reader_.ok() && i < input_count; ++i) {
            inputs.push_back(static_cast<NodeId>(reader_.unsigned_int(0xffffffff)));
        }
        std::vector<Value> operands;
        const std::size_t operand_count = reader_.array();
        for (std::size_t i = 0; reader_.ok() && i < operand_count; ++i) operands.push_back(read_value(reader_));
        std::string source = read_string();
        std::vector<std::string> explanations;
        const std::size_t explanation_count = reader_.array();
        for (std::size_t i = 0; reader_.ok() && i < explanation_count; ++i) explanations.push_back(read_string());
        std::optional<Example> example = read_example();
        if (!reader_.ok()) return;
        const auto added = program_.add(kind, std::move(inputs), std::move(operands), std::move(source),
                                        std::move(explanations), std::move(example));
        if (!added) reader_.corrupt(added.error().message);
    }

    std::string read_string() {
        const std::uint64_t number = reader_.unsigned_int();
        if (reader_.ok() && (number >= strings_.size() || number > used_)) {
            reader_.corrupt("a string number that is absent or out of order");
        }
        if (!reader_.ok()) return {};
        if (number == used_) ++used_;
        return strings_[static_cast<std::size_t>(number)];
    }

    std::optional<Example> read_example() {
        if (reader_.is_null()) return std::nullopt;
        Example example;
        reader_.array_of(k_example_items);
        example.type.module = read_string();
        example.type.qualname = read_string();
        example.immutable = reader_.boolean();
        if (!reader_.is_null()) example.dict_length = reader_.integer();
        example.dict_manager = reader_.boolean();
        return example;
    }

    cbor::Reader reader_;
    std::vector<std::string> strings_;
    std::size_t used_ = 0;  // strings referred to so far
    GuardProgram program_;
};

}  // namespace

Result<Bytes> encode_guards(const GuardProgram& program) {
    StringTable table;
    for (const GuardOp& op : program.ops()) collect(table, op);
    cbor::Writer writer;
    writer.map(k_program_fields);
    writer.unsigned_int(0);
    writer.array(table.strings().size());
    for (const std::string_view string : table.strings()) writer.string(string);
    writer.unsigned_int(1);
    writer.array(program.ops().size());
    for (const GuardOp& op : program.ops()) write_op(writer, table, op);
    return std::move(writer).finish();
}

Result<GuardProgram> decode_guards(ByteView bytes, cbor::UnknownFields unknown) { return ProgramReader(bytes, unknown).read(); }

}  // namespace coldframe
