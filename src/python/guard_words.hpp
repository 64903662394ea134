// Memory that decides what a read gives: while every word has its value, the read gives what it gave.
//
//   GuardWords words;                                       // from proven objects on: one that the caller compares itself,
//   Found found = words.attribute(object, name);            // or one that a read of these words gave
//   words.hold()                                            // nothing has changed; no code of Python runs
//
// A word is a version tag of a dict or a type, or a pointer: an object's type, its dict, the content of a slot, of a cell or of
// a list. Words are compared in the order of the reads, so nothing is followed that an earlier word has not proven to be there,
// and no reference to what is read is held: only to those small values whose identity alone says nothing of their content.
// Where a version has changed and the entries that were read have not (a global that is written at each call), the version is
// taken over. Thread-safety: needs the GIL; without one nothing can be proven.
#pragma once

#include <python/dict_versions.hpp>

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace coldframe::python {

// What words say of a read: it gives `value` (borrowed), null when nothing is there; or they cannot tell.
struct Found {
    bool proven = false;
    PyObject* value = nullptr;
    bool runs_property = false;  // they cannot, for this property of the class makes it, by code that stays the same
};

class GuardWords {
   public:
    [[nodiscard]] bool hold();
    // The reads are over: what only they need is freed.
    void seal();
    [[nodiscard]] int traverse(visitproc visit, void* argument) const;
    [[nodiscard]] std::size_t size() const { return words_.size(); }

    // Reads, each from a proven object.
    [[nodiscard]] Found attribute(PyObject* object, PyObject* name);
    [[nodiscard]] Found generic_attribute(PyObject* object, PyObject* name);
    [[nodiscard]] Found instance_dict(PyObject* object);
    [[nodiscard]] Found item(PyObject* container, PyObject* key);
    [[nodiscard]] Found dict_item(PyObject* dict, PyObject* key);
    [[nodiscard]] Found list_item(PyObject* list, Py_ssize_t index);
    [[nodiscard]] Found tuple_item(PyObject* tuple, Py_ssize_t index);
    [[nodiscard]] Found function_slot(PyObject* function, PyObject* const* slot);
    [[nodiscard]] Found referent(PyObject* weak_reference);
    [[nodiscard]] Found method_order(PyObject* type);
    [[nodiscard]] Found type_dict(PyObject* type);

    // What a proven object is, has as its content, and has no attribute of. False when words cannot tell.
    [[nodiscard]] bool type_of(PyObject* object);
    [[nodiscard]] bool content_of_dict(PyObject* dict);
    [[nodiscard]] bool length_of(PyObject* object);
    [[nodiscard]] bool value_of(PyObject* constant);  // keeps it
    [[nodiscard]] bool code_of(PyObject* function);   // keeps it

   private:
    struct Word {
        const std::uintptr_t* address;
        std::uintptr_t expected;
    };
    struct Entry {
        std::size_t word;
        PyObject* dict;
        Ref key;
        PyObject* value;  // null: absent
    };

    // The number of the word.
    template <typename T>
    std::size_t add(const T* address);
    [[nodiscard]] std::optional<std::size_t> version_of_dict(PyObject* dict);
    bool version_of_type(PyTypeObject* type);
    [[nodiscard]] Found type_attribute(PyObject* type, PyObject* name);
    [[nodiscard]] Found module_attribute(PyObject* module, PyObject* name);
    [[nodiscard]] bool stays_what_it_is(PyObject* attribute);
    [[nodiscard]] bool proven_getter(PyObject* property);
    [[nodiscard]] Found slot_attribute(PyObject* object, PyObject* descriptor);
    [[nodiscard]] Found attribute_by_order(PyObject* object, PyObject* name, Py_ssize_t from);
    [[nodiscard]] Found hooked_attribute(PyObject* object, PyObject* name);
    [[nodiscard]] bool proven_code(PyObject* hook);
    [[nodiscard]] Found of_torch_module(PyObject* module, PyObject* name);
    [[nodiscard]] bool repair(std::size_t word);

    std::vector<Word> words_;
    std::vector<Entry> entries_;             // sorted by word once sealed
    std::unordered_set<std::size_t> whole_;  // words of dicts of which more than entries was read
    std::vector<Ref> kept_;
    std::vector<DictVersion> versions_;  // those that would not live as long as their words
    std::unordered_map<const void*, std::size_t> by_address_;
};

}  // namespace coldframe::python
