// Which functions run on a thread, and so may have a say in what is compiled there.
//
//   FrameListener listener(Beginnings({{"/usr/lib/python3.11/", false}, {"/usr/lib/python3.11/site-packages/", true}}, true));
//   listener.start();               // on this thread, from now on
//   ...
//   Ref functions = listener.stop();  // those of files that are listened to, in the order of their first run
//   listener.asked();                 // what these asked of the world outside, "open 'scale.txt'"; empty for nothing
//
// It hears what the interpreter evaluates (PEP 523), whoever calls it: what C++ calls back, rules of operators, passes of a
// compiler. The evaluator that was there before is called as before. Other threads pay a few comparisons a call while
// somebody listens, and nothing at other times. What a module runs while it is imported, finders of modules, finalizers, the
// collector's callbacks and handlers of logs are left out: they run once in a process, or whenever they like. What functions
// that are listened to ask for, files and other threads above all, through whatever library, comes by an audit hook (PEP 578).
//
// Thread-safety: needs the GIL; start and stop belong to one thread. Failure: PythonError.
#pragma once

#include <python/beginnings.hpp>
#include <python/bridge.hpp>

#include <array>
#include <cstddef>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

struct _PyInterpreterFrame;  // CPython's own name

namespace coldframe::python {

// A function that holds something may be made anew at each run: more of one code are not told apart.
inline constexpr std::size_t k_functions_of_a_code = 512;

// Whether code over these globals lies in such files. Generated code belongs to where its globals are, or say that they are;
// what is typed in to the main module has no file. Torch generates code over globals that say nothing.
[[nodiscard]] bool is_of(const Beginnings& files, PyCodeObject* code, PyObject* globals);

class FrameListener {
   public:
    // `files`: those whose code is listened to.
    explicit FrameListener(Beginnings files) : files_(std::move(files)) {}
    FrameListener(const FrameListener&) = delete;
    FrameListener& operator=(const FrameListener&) = delete;
    ~FrameListener();

    void start();
    // A list of functions, at most k_functions_of_a_code of each code. RuntimeError when nothing could be heard.
    [[nodiscard]] Ref stop();

    // Whether what runs within the frame is not listened to.
    bool hear(const _PyInterpreterFrame* frame) noexcept;
    // `frame` is the innermost one that runs while an audit event is raised; its first argument, where that is known.
    void note_event(const char* event, PyObject* of, const _PyInterpreterFrame* frame) noexcept;
    [[nodiscard]] const PyThreadState* thread() const { return thread_; }
    [[nodiscard]] const std::string& asked() const { return asked_; }
    // Classes that functions were given, or of what they were given: no name need have led to them.
    [[nodiscard]] Ref classes() const;

   private:
    enum class Kind { ignored, heard, silent, starts_thread };

    void keep(PyFunctionObject* function);
    void keep_classes(const _PyInterpreterFrame* frame);
    void keep_class(PyObject* given);

    Beginnings files_;
    PyThreadState* thread_ = nullptr;                        // that it listens to
    std::array<const void*, 4096> last_met_{};               // code that is not listened to, by its address
    std::unordered_map<const void*, Kind> met_;              // by code
    std::unordered_map<const void*, std::size_t> distinct_;  // how many functions of a code were kept
    std::set<std::pair<const void*, const void*>> bare_;     // code and globals of functions that hold nothing
    std::unordered_set<const void*> functions_;
    std::vector<Ref> kept_;   // code that was met, so that its address stays its own
    std::vector<Ref> heard_;  // functions
    std::unordered_map<const void*, Ref> classes_;
    std::string asked_;
    bool failed_ = false;
};

}  // namespace coldframe::python
