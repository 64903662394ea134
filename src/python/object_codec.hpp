// Python objects as Values, and back.
//
// Only exact types are taken, so that nothing is lost: True, 1 and 1.0 stay three values, and a subclass of int is not an
// int. What has a name becomes an ImportRef, what a call makes (a torch.device, a namedtuple) a Construct; each is checked
// by following it. Containers are trees: shared parts are repeated, cycles refused.
//
//   Value value = to_value(object);                                  // NotPortableError names type, repr and path
//   Ref back = to_python(value, References::resolved, Codes::plain);
//
// Thread-safety: needs the GIL. Failure: PythonError.
#pragma once

#include <python/place.hpp>

#include <coldframe/model/value_codec.hpp>

namespace coldframe::python {

// What references and code objects in a Value become in Python.
enum class References { resolved, kept };  // kept: instances of ImportRef and Construct
enum class Codes { plain, wrapped };       // plain: types.CodeType; wrapped: instances of CodeObject

// `root` is what error messages call the whole object.
[[nodiscard]] Value to_value(PyObject* object, std::string_view root = "value");
[[nodiscard]] Value to_value(const Place& place);
// The items of a sequence that is the part `name` of the object at `place`.
[[nodiscard]] std::vector<Value> to_values(const Place& place, PyObject* sequence, std::string_view name = "");

[[nodiscard]] Ref to_python(const Value& value, References references, Codes codes = Codes::plain);
[[nodiscard]] Ref to_tuple(const std::vector<Value>& values, References references, Codes codes = Codes::plain);

// A copy of nested containers in which every ImportRef and Construct is replaced by what it stands for.
[[nodiscard]] Ref resolve_all(PyObject* object);

// The canonical bytes; NotPortableError when it nests too deeply or is too large.
[[nodiscard]] Bytes encode_object(PyObject* object);

}  // namespace coldframe::python
