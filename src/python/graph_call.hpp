// The call of a compiled graph in dynamo code, and the reads that fetch its arguments.
//
// Dynamo code begins with a straight line of reads (self._modules['layer']._parameters['weight']), which end in the call of the
// graph. `find` follows that line; `rewritten` gives the same code with another callable in place of the graph, called with
// some of the arguments alone: it knows the others. Offsets do not change, so neither do lines, jumps and handlers.
//
//   std::optional<GraphCall> call = GraphCall::find(code);      // nothing where the line has anything that it does not know
//   Ref shorter = call->rewritten(callable, bound);             // bound: by expression, whether the callable knows it
//
// Thread-safety: needs the GIL. Failure: `rewritten` throws PythonError. For the bytecode of CPython 3.11 to 3.13.
#pragma once

#include <python/bridge.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace coldframe::python {

class GraphCall {
   public:
    enum class Kind : std::uint8_t { local, captured, free, global, attribute, item, constant, call, helper, holds };
    struct Expression {
        Kind kind{};
        std::size_t base = 0;         // of an attribute or an item: another expression; of a free variable: its number
        std::uint32_t argument = 0;   // of the instruction; of a local: its number
        PyObject* operand = nullptr;  // borrowed from the code: a name, a constant, an index
        std::optional<std::uint32_t> variable;  // that holds it, in the code as it was
        std::vector<std::size_t> arguments;     // of a call, whose callee is `base`
    };

    [[nodiscard]] static std::optional<GraphCall> find(PyObject* code);

    [[nodiscard]] const std::vector<Expression>& expressions() const { return expressions_; }
    [[nodiscard]] const std::vector<std::size_t>& arguments() const { return arguments_; }
    [[nodiscard]] PyObject* graph() const { return graph_; }  // its name among the globals
    // Null when the code does not become shorter.
    [[nodiscard]] Ref rewritten(PyObject* callable, const std::vector<bool>& bound) const;

   private:
    class Reader;
    class Writer;

    Ref code_;
    std::string bytes_;
    std::vector<Expression> expressions_;
    std::vector<std::size_t> arguments_;
    PyObject* graph_ = nullptr;
    std::size_t begin_ = 0;  // offsets of the straight line
    std::size_t end_ = 0;
    std::map<std::uint32_t, std::size_t> variables_;  // what each that is set in it holds at its end
};

}  // namespace coldframe::python
