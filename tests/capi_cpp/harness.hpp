// What the behaviours in C++ are written with. The program runs one of them, by its name; what is to
// happen to the cluster meanwhile, its parent does: it is asked by a line of output, and answers by one
// of input.

#ifndef SWITCHMASTER_TESTS_HARNESS_HPP
#define SWITCHMASTER_TESTS_HARNESS_HPP

#include <chrono>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <switchmaster.hpp>
#include <vector>

using namespace std::chrono_literals;

/// Long enough for anything that is going to happen at all.
constexpr auto PATIENCE = 60s;

struct Stage {
    std::string url;

    /// Has the parent do something, and waits until that is done.
    void ask(const std::string &what) const {
        std::cout << what << std::endl;
        std::string answer;
        if (!std::getline(std::cin, answer) || answer != "done")
            throw std::runtime_error("asked to " + what + ", the parent answered: " + answer);
    }
};

struct Behaviour {
    const char *name;
    void (*run)(const Stage &);

    static std::vector<Behaviour> &all() {
        static std::vector<Behaviour> all;
        return all;
    }
    Behaviour(const char *name, void (*run)(const Stage &)) : name(name), run(run) {
        all().push_back(*this);
    }
};

#define BEHAVIOUR(name)                                                                            \
    static void name(const Stage &);                                                               \
    static const Behaviour behaviour_##name(#name, name);                                          \
    static void name([[maybe_unused]] const Stage &stage)

template <typename T>
std::string shown(const T &value) {
    std::ostringstream text;
    text << value;
    return text.str();
}

inline void fail(const char *file, int line, const std::string &what) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail(__FILE__, __LINE__, #condition);                                                  \
    } while (false)

/// A call, so that what an expression looks into lives until the comparison is over.
template <typename Actual, typename Expected>
void check_eq(const char *file, int line, const char *what, const Actual &actual,
              const Expected &expected) {
    if (!(actual == expected))
        fail(file, line, std::string(what) + " is " + shown(actual) + ", not " + shown(expected));
}

#define CHECK_EQ(actual, expected) check_eq(__FILE__, __LINE__, #actual, (actual), (expected))

/// The error that a call ends with.
template <typename Call>
switchmaster::Error error_of(Call &&call) {
    try {
        call();
    } catch (const switchmaster::Error &error) {
        return error;
    }
    throw std::runtime_error("a call that had to fail did not");
}

#endif
