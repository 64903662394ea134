// Functions of the program that parts of torch hold: in the place of their own, in tables, in what decorates or closes over
// them.
//
//   HeldFunctions search(files, modules);
//   Ref found = search.find();  // a list of (where, what): ("sin", <function>), (<OpOverload aten.sin>, <function>)
//
// It walks from the modules of sys.modules whose names are among `modules` through what they hold: classes of such modules and
// their instances, containers, functions with their closures, what wraps functions. Nothing of Python runs. What is looked up
// by a number is left out: numbers are addresses, of this process alone.
//
// Thread-safety: needs the GIL. Failure: PythonError.
#pragma once

#include <python/beginnings.hpp>
#include <python/bridge.hpp>

#include <array>
#include <cstddef>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace coldframe::python {

// Addresses that were met: far fewer allocations than std::unordered_set makes.
class Addresses {
   public:
    Addresses() : slots_(std::size_t{1} << 16U) {}
    // False when it was there.
    bool insert(const void* address);

   private:
    [[nodiscard]] const void*& slot_of(const void* address);

    std::vector<const void*> slots_;  // null where nothing is
    std::size_t size_ = 0;
};

class HeldFunctions {
   public:
    // `files`: those of the program; `modules`: the parts of torch.
    HeldFunctions(const Beginnings& files, const Beginnings& modules) : files_(files), modules_(modules) {}

    // Of each place: the key or the name there, and the function itself or what it is wrapped in.
    [[nodiscard]] Ref find();

   private:
    enum class Kind { plain, function, dict, container, wrapper, type, instance };
    struct Item {
        PyObject* object = nullptr;
        PyObject* key = nullptr;    // the innermost that led to it
        PyObject* entry = nullptr;  // the outermost that wraps it, null when nothing does
        bool is_result = false;  // of a function that keeps its results: collections of functions are computed, tables filled
    };

    static int visit(PyObject* object, void* self) noexcept;
    void push(const Item& item);
    void follow(const Item& item);
    void report(PyObject* key, PyObject* what);
    void follow_function(const Item& item);
    void follow_dict(PyObject* dict, const Item& of);
    void follow_parts(const Item& item, PyObject* entry);
    [[nodiscard]] Kind kind_of(PyTypeObject* type);
    [[nodiscard]] bool is_of_torch(const PyTypeObject* type) const;
    [[nodiscard]] bool is_of_program(PyObject* function);

    const Beginnings& files_;
    const Beginnings& modules_;
    std::vector<Item> waiting_;
    Item parent_;  // of what `visit` is given
    Addresses met_;
    std::unordered_set<const void*> leading_;                        // what was reported
    std::array<std::pair<const PyTypeObject*, Kind>, 512> kinds_{};  // by the type's address
    std::unordered_map<const void*, bool> known_;                    // names of files, and globals of generated code
    Ref found_;
};

}  // namespace coldframe::python
