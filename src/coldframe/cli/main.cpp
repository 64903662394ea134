#include <coldframe/cli/command.hpp>

#include <iostream>

int main(int argc, char** argv) { return coldframe::cli::run(argc, argv, std::cout, std::cerr); }
