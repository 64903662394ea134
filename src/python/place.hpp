// Where a part lies inside the outermost object, for messages: value[3]['name'].consts[0].
//
// A chain of these lives on the C++ stack while containers are walked; it also finds cycles.
//
//   Place outer("value", list);
//   Place inner(outer, item, "[", index_object, "]");
//
// Thread-safety: needs the GIL. Failure: none.
#pragma once

#include <python/bridge.hpp>

namespace coldframe::python {

class Place {
   public:
    Place(std::string_view root, PyObject* object, unsigned depth) : object_(object), name_(root), depth_(depth) {}
    // A part of `outer`: an index, a key (`key` not null), or just a name such as ".args".
    Place(const Place& outer, PyObject* object, std::string_view name, Py_ssize_t index)
        : outer_(&outer), object_(object), name_(name), index_(index), depth_(outer.depth_ + 1) {}
    Place(const Place& outer, PyObject* object, std::string_view name, PyObject* key)
        : outer_(&outer), object_(object), name_(name), key_(key), depth_(outer.depth_ + 1) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    [[nodiscard]] PyObject* object() const { return object_; }
    // How many objects this one is in.
    [[nodiscard]] unsigned depth() const { return depth_; }
    // Whether the object contains itself.
    [[nodiscard]] bool is_cycle() const;
    [[nodiscard]] std::string path() const;

   private:
    const Place* outer_ = nullptr;
    PyObject* object_;
    std::string_view name_;
    Py_ssize_t index_ = -1;
    PyObject* key_ = nullptr;
    unsigned depth_;
};

}  // namespace coldframe::python
