// The instructions of the CPython that this is built for, as far as the code that Dynamo makes is read and written.
// In code objects as bytes, inline caches among them. Thread-safety: no state. Failure: none.
#pragma once

#include <python/compat.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#define Py_BUILD_CORE
#include <internal/pycore_code.h>
#undef Py_BUILD_CORE
#include <opcode.h>

namespace coldframe::python {

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030E0000
#error "the bytecode of this CPython is not known"
#endif

// What a call takes from the stack: null before the callable, since 3.13 behind it.
constexpr bool k_null_comes_first = PY_VERSION_HEX < 0x030D0000;
#if PY_VERSION_HEX < 0x030C0000
// The lowest bit of an attribute's argument, which says that it is called and puts null on the stack as well.
constexpr unsigned k_attribute_bits = 0;
#else
constexpr unsigned k_attribute_bits = 1;
constexpr int LOAD_CLASSDEREF = LOAD_FROM_DICT_OR_DEREF;
#endif

struct Instruction {
    std::uint8_t operation = 0;
    std::uint32_t argument = 0;
    std::size_t offset = 0;  // of the operation itself, behind its EXTENDED_ARG
    std::size_t next = 0;
};

// Inline caches come as instructions of their own, of operation CACHE.
inline Instruction instruction_at(const std::string& bytes, std::size_t offset) {
    Instruction result;
    do {
        result.operation = static_cast<std::uint8_t>(bytes[offset]);
        result.argument = result.argument << 8U | static_cast<std::uint8_t>(bytes[offset + 1]);
        result.offset = offset;
        offset += 2;
    } while (result.operation == EXTENDED_ARG && offset < bytes.size());
    while (offset < bytes.size() && bytes[offset] == CACHE) offset += 2;
    result.next = offset;
    return result;
}

inline std::size_t backward_target(const Instruction& jump) {
    return jump.next - std::min(jump.next, 2 * std::size_t{jump.argument});
}

inline bool jumps_back(std::uint8_t operation) {
    switch (operation) {
        case JUMP_BACKWARD:
#ifdef POP_JUMP_BACKWARD_IF_TRUE
        case POP_JUMP_BACKWARD_IF_FALSE:
        case POP_JUMP_BACKWARD_IF_TRUE:
        case POP_JUMP_BACKWARD_IF_NONE:
        case POP_JUMP_BACKWARD_IF_NOT_NONE:
#endif
        case JUMP_BACKWARD_NO_INTERRUPT: return true;
        default: return false;
    }
}

inline bool reads_variable(unsigned operation) {
#ifdef LOAD_FAST_CHECK
    if (operation == LOAD_FAST_CHECK || operation == LOAD_FAST_AND_CLEAR) return true;
#endif
    return operation == LOAD_FAST || operation == LOAD_CLOSURE || operation == LOAD_DEREF || operation == LOAD_CLASSDEREF;
}

// Of two variables at once: Dynamo writes none of these.
inline bool is_fused([[maybe_unused]] unsigned operation) {
#ifdef LOAD_FAST_LOAD_FAST
    return operation == LOAD_FAST_LOAD_FAST || operation == STORE_FAST_LOAD_FAST || operation == STORE_FAST_STORE_FAST;
#else
    return false;
#endif
}

// Jumps forward, if what is on the stack is true or false.
#ifdef POP_JUMP_FORWARD_IF_TRUE
constexpr unsigned k_jump_if = POP_JUMP_FORWARD_IF_TRUE;
constexpr unsigned k_jump_unless = POP_JUMP_FORWARD_IF_FALSE;
#else
constexpr unsigned k_jump_if = POP_JUMP_IF_TRUE;
constexpr unsigned k_jump_unless = POP_JUMP_IF_FALSE;
#endif

}  // namespace coldframe::python
