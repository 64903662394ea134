// Writes a package, opens it again, and compares: with nothing but the installed headers and libraries.
#include <coldframe/archive/reader.hpp>
#include <coldframe/archive/writer.hpp>
#include <coldframe/util/version.hpp>

#include <iostream>

int main() {
    coldframe::Package package;
    package.key = {.module = "model", .qualname = "Net.forward", .code = {}, .options = {}};
    package.producer = coldframe::k_producer;
    if (const auto written = coldframe::archive::write(package, "consumer.cfp"); !written) {
        std::cerr << written.error().what() << '\n';
        return 1;
    }
    const auto opened = coldframe::archive::open("consumer.cfp");
    return opened && opened->key == package.key && coldframe::archive::verify("consumer.cfp") ? 0 : 1;
}
