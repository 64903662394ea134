// Names told apart by how they begin: files of the program from those of torch, modules of the compiler from others.
//
//   Beginnings files({{"/usr/lib/python3.11/", false}, {"/usr/lib/python3.11/site-packages/", true}}, true);
//   files.has(name);  // what the longest beginning that fits says; what was given last where none fits
//
// Thread-safety: immutable. Failure: none.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace coldframe::python {

class Beginnings {
   public:
    struct Beginning {
        std::string text;
        bool has;
    };

    Beginnings(std::vector<Beginning> beginnings, bool otherwise) : beginnings_(std::move(beginnings)), otherwise_(otherwise) {}

    [[nodiscard]] bool has(std::string_view name) const {
        const Beginning* best = nullptr;
        for (const Beginning& each : beginnings_) {
            if (name.starts_with(each.text) && (best == nullptr || best->text.size() < each.text.size())) best = &each;
        }
        return best == nullptr ? otherwise_ : best->has;
    }

   private:
    std::vector<Beginning> beginnings_;
    bool otherwise_;
};

}  // namespace coldframe::python
