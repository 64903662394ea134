// The binding: what Python sees of the core. It converts and forwards; the meaning lies elsewhere.
#include <python/code_codec.hpp>
#include <python/environment_dict.hpp>
#include <python/host.hpp>
#include <python/import_ref.hpp>
#include <python/object_codec.hpp>
#include <python/shared_library.hpp>
#include <python/wrappers.hpp>

#include <coldframe/archive/reader.hpp>
#include <coldframe/archive/writer.hpp>
#include <coldframe/util/version.hpp>

#include <algorithm>

#include <nanobind/nanobind.h>
#include <nanobind/operators.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

namespace nb = nanobind;
using namespace nb::literals;

namespace nanobind::detail {

// References of the bridge pass as any object.
template <>
struct type_caster<coldframe::python::Ref> {
    NB_TYPE_CASTER(coldframe::python::Ref, const_name("object"))
    bool from_python(handle object, uint32_t, cleanup_list*) noexcept {
        value = coldframe::python::Ref::borrow(object.ptr());
        return true;
    }
    static handle from_cpp(const coldframe::python::Ref& object, rv_policy, cleanup_list*) noexcept {
        return handle(object.get()).inc_ref();
    }
};

}  // namespace nanobind::detail

namespace coldframe::python {

Ref wrap(const ImportRef& reference) { return Ref::steal(nb::cast(reference).release().ptr()); }
Ref wrap(const Construct& construct) { return Ref::steal(nb::cast(construct).release().ptr()); }
Ref wrap(const CodePtr& code) { return Ref::steal(nb::cast(code).release().ptr()); }

const ImportRef* unwrap_import_ref(PyObject* object) {
    return nb::isinstance<ImportRef>(object) ? nb::inst_ptr<ImportRef>(object) : nullptr;
}
const Construct* unwrap_construct(PyObject* object) {
    return nb::isinstance<Construct>(object) ? nb::inst_ptr<Construct>(object) : nullptr;
}
CodePtr unwrap_code(PyObject* object) {
    return nb::isinstance<CodeObject>(object) ? nb::cast<CodePtr>(nb::handle(object)) : nullptr;
}

namespace {

Ref to_object(const Value& value) { return to_python(value, References::kept); }

ByteView view(const nb::bytes& bytes) { return {reinterpret_cast<const std::uint8_t*>(bytes.c_str()), bytes.size()}; }

Digest to_digest(const nb::bytes& bytes) {
    Digest digest{};
    if (bytes.size() != digest.size()) raise({ErrorCode::invalid_argument, "a digest has 32 bytes", {}});
    std::ranges::copy(view(bytes), digest.begin());
    return digest;
}

std::size_t hash(ByteView bytes) {
    return std::hash<std::string_view>()({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string file_path(const nb::object& path) {
    PyObject* bytes = nullptr;
    if (PyUnicode_FSConverter(path.ptr(), &bytes) == 0) throw PythonError();
    const nb::bytes owner = nb::steal<nb::bytes>(bytes);
    return {owner.c_str(), owner.size()};
}

// ---- Values

void bind_values(nb::module_& m) {
    nb::class_<ImportRef>(m, "ImportRef", nb::is_final())
        .def(nb::init<std::string, std::string>(), "module"_a, "qualname"_a = "")
        .def_ro("module", &ImportRef::module)
        .def_ro("qualname", &ImportRef::qualname)
        .def("resolve", [](const ImportRef& self) { return resolve(self); })
        .def(nb::self == nb::self)
        .def("__hash__", [](const ImportRef& self) { return std::hash<std::string>()(self.module + ":" + self.qualname); })
        .def("__repr__", [](const ImportRef& self) { return "ImportRef('" + self.module + "', '" + self.qualname + "')"; });

    nb::class_<Construct>(m, "Construct", nb::is_final())
        .def(
            "__init__",
            [](Construct* self, const ImportRef& callee, const nb::tuple& args) {
                std::vector<Value> values = to_values(Place("args", args.ptr(), 0), args.ptr());
                new (self) Construct{callee, std::move(values)};
            },
            "callee"_a, "args"_a)
        .def_ro("callee", &Construct::callee)
        .def_prop_ro("args", [](const Construct& self) { return to_tuple(self.args, References::kept); })
        .def("resolve", [](const Construct& self) { return to_python(self, References::resolved); })
        .def(
            "__eq__", [](const Construct& a, const Construct& b) { return Value(a) == Value(b); }, nb::is_operator())
        .def("__hash__", [](const Construct& self) { return hash(value_or_raise(encode(self))); })
        .def("__repr__", [](nb::handle self) {
            return nb::str("Construct({!r}, {!r})").format(self.attr("callee"), self.attr("args"));
        });

    m.def("import_ref", [](nb::handle object) {
        Result<ImportRef> reference = find_import_ref(object.ptr());
        if (reference) return std::move(*reference);
        raise({ErrorCode::not_portable, "an object " + describe(object.ptr()) + " is not portable: " + reference.error().message, {}});
    }, "obj"_a.none());
    m.def("encode", [](nb::handle value) { return from_bytes(encode_object(value.ptr())); }, "value"_a.none());
    m.def("digest", [](nb::handle value) { return from_bytes(sha256(encode_object(value.ptr()))); }, "value"_a.none());
    m.def("decode", [](const nb::bytes& data, bool resolve) {
        return to_python(value_or_raise(decode(view(data))), resolve ? References::resolved : References::kept);
    }, "data"_a, nb::kw_only(), "resolve"_a = true);
    m.def("resolve", [](nb::handle value) { return resolve_all(value.ptr()); }, "value"_a.none());
    m.def("roundtrip", [](nb::handle value) {
        return to_python(value_or_raise(decode(encode_object(value.ptr()))), References::resolved);
    }, "value"_a.none());
}

void bind_code(nb::module_& m) {
    nb::class_<CodeObject>(m, "CodeObject", nb::is_final())
        .def_static("from_code", [](nb::handle code) {
            if (!PyCode_Check(code.ptr())) raise(PyExc_TypeError, "a code object is expected, not one " + describe(code.ptr()));
            return from_code(code.ptr());
        }, "code"_a)
        .def_static("from_fields", [](nb::handle fields) { return code_from_fields(fields.ptr(), nullptr); }, "fields"_a)
        .def("to_code", [](const CodePtr& self) { return to_code(self); })
        .def("replace", [](const CodeObject& self, const nb::kwargs& fields) { return code_from_fields(fields.ptr(), &self); })
        .def_prop_ro("fields", [](const CodeObject& self) { return code_fields(self); })
        .def_prop_ro("digest", [](const CodeObject& self) { return from_bytes(self.digest()); })
        .def_prop_ro("semantic_digest", [](const CodeObject& self) { return from_bytes(self.semantic_digest()); })
        .def(nb::self == nb::self)
        .def("__hash__", [](const CodeObject& self) { return hash(self.digest()); })
        .def("__repr__", [](const CodeObject& self) { return "<CodeObject " + self.fields().name + " at line " + std::to_string(self.fields().firstlineno) + ">"; });
}

// ---- Guard programs

// A program of Python's own, or one that belongs to a GuardedCode and does not change any more.
struct ProgramHandle {
    std::shared_ptr<const GuardProgram> program;
    std::shared_ptr<GuardProgram> mutable_program;
};

// One op; it keeps the program, whose ops may move but not change.
struct OpHandle {
    std::shared_ptr<const GuardProgram> program;
    std::size_t index;
    const GuardOp* operator->() const { return &program->ops()[index]; }
};

using ExampleTuple = std::tuple<std::optional<ImportRef>, bool, std::optional<std::int64_t>, bool>;

std::optional<ExampleTuple> to_tuple(const std::optional<Example>& example) {
    if (!example) return std::nullopt;
    std::optional<ImportRef> type;
    if (!example->type.module.empty()) type = example->type;
    return ExampleTuple{type, example->immutable, example->dict_length, example->dict_manager};
}

std::optional<Example> to_example(const std::optional<ExampleTuple>& tuple) {
    if (!tuple) return std::nullopt;
    const auto& [type, immutable, dict_length, dict_manager] = *tuple;
    return Example{type.value_or(ImportRef{}), immutable, dict_length, dict_manager};
}

const char* role_name(GuardRole role) {
    switch (role) {
        case GuardRole::accessor: return "accessor";
        case GuardRole::check: return "check";
        case GuardRole::relation: return "relation";
        case GuardRole::mark: return "mark";
    }
    return "?";
}

std::optional<NodeId> add_guard(ProgramHandle& self, const std::string& kind, std::vector<NodeId> inputs, const nb::tuple& operands,
                                std::string source, std::vector<std::string> explanations, const std::optional<ExampleTuple>& example) {
    if (self.mutable_program == nullptr) {
        raise({ErrorCode::invalid_argument, "the guard program of a GuardedCode does not change any more", {}});
    }
    const GuardKindInfo* info = find_guard_kind(kind);
    if (info == nullptr) raise({ErrorCode::invalid_argument, "there is no guard kind '" + kind + "'", {}});
    std::vector<Value> values = to_values(Place(kind, operands.ptr(), 0), operands.ptr(), ".operands");
    return value_or_raise(self.mutable_program->add(info->kind, std::move(inputs), std::move(values), std::move(source),
                                                    std::move(explanations), to_example(example)));
}

void bind_guards(nb::module_& m) {
    nb::class_<OpHandle>(m, "GuardOp", nb::is_final())
        .def_prop_ro("kind", [](const OpHandle& self) { return find_guard_kind(self->kind)->name; })
        .def_prop_ro("role", [](const OpHandle& self) { return role_name(find_guard_kind(self->kind)->role); })
        .def_prop_ro("inputs", [](const OpHandle& self) { return self->inputs; })
        .def_prop_ro("result", [](const OpHandle& self) { return self->result; })
        .def_prop_ro("operands", [](const OpHandle& self) { return to_tuple(self->operands, References::kept); })
        .def_prop_ro("source", [](const OpHandle& self) { return self->source; })
        .def_prop_ro("explanations", [](const OpHandle& self) { return self->explanations; })
        .def_prop_ro("example", [](const OpHandle& self) { return to_tuple(self->example); })
        .def("__repr__", [](const OpHandle& self) {
            return "<GuardOp " + std::string(find_guard_kind(self->kind)->name) + " " + self->source + ">";
        });

    nb::class_<ProgramHandle>(m, "GuardProgram", nb::is_final())
        .def("__init__", [](ProgramHandle* self) {
            auto program = std::make_shared<GuardProgram>();
            new (self) ProgramHandle{program, program};
        })
        .def("add", &add_guard, "kind"_a, "inputs"_a, "operands"_a = nb::make_tuple(), "source"_a = "",
             "explanations"_a = std::vector<std::string>(), "example"_a = nb::none())
        .def_prop_ro("ops", [](const ProgramHandle& self) {
            std::vector<OpHandle> ops;
            for (std::size_t i = 0; i < self.program->ops().size(); ++i) ops.push_back({self.program, i});
            return ops;
        })
        .def("__len__", [](const ProgramHandle& self) { return self.program->ops().size(); })
        .def("__eq__", [](const ProgramHandle& a, const ProgramHandle& b) { return *a.program == *b.program; }, nb::is_operator());
    m.attr("GuardProgram").attr("__hash__") = nb::none();

    m.def("guard_kinds", [] {
        std::vector<std::tuple<int, std::string_view, const char*, int, int, int>> kinds;
        for (const GuardKindInfo& kind : guard_kinds()) {
            kinds.emplace_back(static_cast<int>(kind.kind), kind.name, role_name(kind.role), kind.operands, kind.min_inputs, kind.max_inputs);
        }
        return kinds;
    });
}

// ---- Packages

CodeRole to_role(const std::string& name) {
    if (name == "entry") return CodeRole::entry;
    if (name == "resume") return CodeRole::resume;
    if (name == "user_function") return CodeRole::user_function;
    raise({ErrorCode::invalid_argument, "a role is entry, resume or user_function, not '" + name + "'", {}});
}

const char* name_of(CodeRole role) {
    switch (role) {
        case CodeRole::entry: return "entry";
        case CodeRole::resume: return "resume";
        case CodeRole::user_function: return "user_function";
    }
    return "?";
}

void bind_codes(nb::module_& m) {
    nb::class_<GuardedCode>(m, "GuardedCode", nb::is_final())
        .def("__init__", [](GuardedCode* self, const ProgramHandle& guards, const CodePtr& dynamo_code, std::vector<std::string> backend_ids,
                            double compile_seconds, const nb::object& details) {
            Value value = details.is_none() ? Value(Dict{}) : to_dict_value(details.ptr(), "details");
            new (self) GuardedCode{*guards.program, dynamo_code, std::move(backend_ids), compile_seconds, std::move(value)};
        }, "guards"_a, "dynamo_code"_a, "backend_ids"_a = std::vector<std::string>(), "compile_seconds"_a = 0.0, "details"_a = nb::none())
        .def_prop_ro("guards", [](const GuardedCodePtr& self) {
            return ProgramHandle{std::shared_ptr<const GuardProgram>(self, &self->guards), nullptr};
        })
        .def_ro("dynamo_code", &GuardedCode::dynamo_code)
        .def_ro("backend_ids", &GuardedCode::backend_ids)
        .def_ro("compile_seconds", &GuardedCode::compile_seconds)
        .def_prop_ro("details", [](const GuardedCode& self) { return to_object(self.details); });

    nb::class_<CodeEntry>(m, "CodeEntry", nb::is_final())
        .def("__init__", [](CodeEntry* self, const CodePtr& python_code, std::string module, const std::string& role) {
            const CodeRole code_role = to_role(role);
            new (self) CodeEntry();
            self->python_code = python_code;
            self->module = std::move(module);
            self->role = code_role;
        }, "python_code"_a, "module"_a, "role"_a = "entry")
        .def_rw("python_code", &CodeEntry::python_code)
        .def_rw("module", &CodeEntry::module)
        .def_prop_rw("role", [](const CodeEntry& self) { return name_of(self.role); },
                     [](CodeEntry& self, const std::string& role) { self.role = to_role(role); })
        .def_rw("function_names", &CodeEntry::function_names)
        .def_rw("code_source", &CodeEntry::code_source)
        .def_rw("guarded_codes", &CodeEntry::guarded_codes)
        .def_rw("import_sources", &CodeEntry::import_sources)
        .def_prop_rw("installed_globals", [](const CodeEntry& self) {
            nb::dict globals;
            for (const InstalledGlobal& global : self.installed_globals) globals[nb::cast(global.name)] = to_object(global.recipe);
            return globals;
        }, [](CodeEntry& self, nb::handle globals) {
            const Value value = to_dict_value(globals.ptr(), "installed_globals");
            std::vector<InstalledGlobal> installed;
            for (const ValuePair& pair : value.get_if<Dict>()->items) installed.push_back({pair.key.get_if<Str>()->utf8, pair.value});
            self.installed_globals = std::move(installed);
        })
        .def_rw("backend_ids", &CodeEntry::backend_ids)
        .def_rw("bypassed", &CodeEntry::bypassed)
        .def_rw("bypass_reason", &CodeEntry::bypass_reason)
        .def_rw("skipped", &CodeEntry::skipped)
        .def("add_guarded_code", [](CodeEntry& self, GuardedCodePtr code) { self.guarded_codes.push_back(std::move(code)); }, "guarded_code"_a);
}

using FunctionTuple = std::tuple<std::string, nb::bytes, std::int64_t, std::int64_t>;

nb::bytes to_object(const Digest& digest) { return nb::bytes(digest.data(), digest.size()); }

void bind_parts(nb::module_& m) {
    nb::class_<SourceFile>(m, "SourceFile", nb::is_final())
        .def("__init__", [](SourceFile* self, std::string module, std::string path_hint, const nb::bytes& digest, const std::vector<FunctionTuple>& functions) {
            std::vector<SourceFunction> converted;
            for (const auto& [qualname, code, first, last] : functions) converted.push_back({qualname, to_digest(code), first, last});
            const Digest file_digest = to_digest(digest);
            new (self) SourceFile{std::move(module), std::move(path_hint), file_digest, std::move(converted)};
        }, "module"_a, "path_hint"_a, "digest"_a, "functions"_a)
        .def_ro("module", &SourceFile::module)
        .def_ro("path_hint", &SourceFile::path_hint)
        .def_prop_ro("digest", [](const SourceFile& self) { return to_object(self.digest); })
        .def_prop_ro("functions", [](const SourceFile& self) {
            std::vector<FunctionTuple> functions;
            for (const SourceFunction& f : self.functions) functions.emplace_back(f.qualname, to_object(f.code), f.first_line, f.last_line);
            return functions;
        });

    nb::class_<Blob>(m, "Blob", nb::is_final())
        .def(nb::new_([](std::string name, const nb::bytes& data) {
            const ByteView bytes = view(data);
            return without_gil([&] { return make_blob(std::move(name), Bytes(bytes.begin(), bytes.end())); });
        }), "name"_a, "data"_a)
        .def_prop_ro("name", &Blob::name)
        .def_prop_ro("size", &Blob::size)
        .def_prop_ro("digest", [](const Blob& self) { return to_object(self.digest()); })
        .def("read", [](const Blob& self) { return from_bytes(value_or_raise(without_gil([&] { return self.read(); }))); });

    nb::class_<Artifact>(m, "Artifact", nb::is_final())
        .def("__init__", [](Artifact* self, std::string backend_id, std::string kind, nb::handle recipe, std::vector<BlobPtr> blobs) {
            Value value = to_value(recipe.ptr(), "recipe");
            new (self) Artifact{std::move(backend_id), std::move(kind), std::move(value), std::move(blobs)};
        }, "backend_id"_a, "kind"_a, "recipe"_a.none(), "blobs"_a = std::vector<BlobPtr>())
        .def_ro("backend_id", &Artifact::backend_id)
        .def_ro("kind", &Artifact::kind)
        .def_prop_ro("recipe", [](const Artifact& self) { return to_object(self.recipe); })
        .def_ro("blobs", &Artifact::blobs);
}

// Codes are what Python may still change while a copy is being written.
Package snapshot(const Package& package) {
    Package copy = package;
    for (CodeEntryPtr& code : copy.codes) code = std::make_shared<CodeEntry>(*code);
    return copy;
}

void bind_package(nb::module_& m) {
    using Key = std::tuple<std::string, std::string, nb::bytes, nb::bytes>;
    nb::class_<Package>(m, "Package", nb::is_final())
        .def(nb::init<>())
        .def_prop_rw("key", [](const Package& self) { return Key{self.key.module, self.key.qualname, to_object(self.key.code), to_object(self.key.options)}; },
                     [](Package& self, const Key& key) {
                         const auto& [module, qualname, code, options] = key;
                         self.key = {module, qualname, to_digest(code), to_digest(options)};
                     })
        .def_prop_rw("environment", [](const Package& self) { return environment_to_dict(self.environment); },
                     [](Package& self, nb::handle dict) { self.environment = environment_from_dict(dict.ptr()); })
        .def_rw("sources", &Package::sources)
        .def_rw("codes", &Package::codes)
        .def_rw("artifacts", &Package::artifacts)
        .def_rw("producer", &Package::producer)
        .def_rw("created", &Package::created)
        .def_rw("compile_seconds", &Package::compile_seconds)
        .def("merge", [](Package& self, const Package& other) { value_or_raise(self.merge(other)); }, "other"_a)
        .def("write", [](const Package& self, const nb::object& path) {
            const Package copy = snapshot(self);
            return value_or_raise(without_gil([&, name = file_path(path)] { return archive::write(copy, name); })).size;
        }, "path"_a)
        .def_static("open", [](const nb::object& path) {
            return value_or_raise(without_gil([name = file_path(path)] { return archive::open(name); }));
        }, "path"_a)
        .def("verify", [](const Package& self) {
            for (const ArtifactPtr& artifact : self.artifacts) {
                for (const BlobPtr& blob : artifact->blobs) value_or_raise(without_gil([&] { return blob->read(); }));
            }
        })
        .def("__iter__", [](nb::handle self) { return nb::iter(self.attr("codes")); });
}

void bind_host(nb::module_& m) {
    nb::class_<SharedLibrary>(m, "SharedLibrary", nb::is_final())
        .def_static("load", [](const nb::bytes& data, const nb::bytes& digest, const std::string& name) {
            const Digest expected = to_digest(digest);
            if (without_gil([&] { return sha256(view(data)); }) != expected) return value_or_raise(SharedLibrary::load(view(data), expected, name));
            return value_or_raise(SharedLibrary::load_verified(view(data), expected, name));
        }, "data"_a, "digest"_a, "name"_a = "")
        .def_static("load_blob", [](const BlobPtr& blob) {
            if (SharedLibrary::Ptr known = SharedLibrary::find(blob->digest())) return known;
            const Bytes bytes = value_or_raise(without_gil([&] { return blob->read(); }));
            return value_or_raise(SharedLibrary::load_verified(bytes, blob->digest(), blob->name()));
        }, "blob"_a)
        .def_prop_ro("path", &SharedLibrary::path)
        .def("python_module", &SharedLibrary::python_module, "module_name"_a)
        .def("symbol", [](const SharedLibrary& self, const std::string& name) {
            return reinterpret_cast<std::uintptr_t>(value_or_raise(self.symbol(name)));
        }, "name"_a);
    m.def("cpu_features", &cpu_features);
    m.def("libc_version", &libc_version);
}

}  // namespace
}  // namespace coldframe::python

NB_MODULE(_core, m) {
    using namespace coldframe::python;
    // Objects may well live as long as the process: that is no leak.
    nb::set_leak_warnings(false);
    nb::register_exception_translator([](const std::exception_ptr& exception, void*) {
        try {
            std::rethrow_exception(exception);
        } catch (const PythonError&) {
            if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_SystemError, "an error without an exception");
        }
    });
    m.attr("__version__") = std::string(coldframe::k_version);
    bind_values(m);
    bind_code(m);
    bind_guards(m);
    bind_codes(m);
    bind_parts(m);
    bind_package(m);
    bind_host(m);
}
