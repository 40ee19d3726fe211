// usage: capi_cpp --list, or: capi_cpp BEHAVIOUR URL

#include "harness.hpp"

#include <cstring>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
        for (const Behaviour &behaviour : Behaviour::all())
            std::cout << behaviour.name << "\n";
        return 0;
    }
    if (argc != 3) {
        std::cerr << "usage: capi_cpp --list | BEHAVIOUR URL\n";
        return 2;
    }
    // Nobody waits for one that hangs.
    alarm(150);
    for (const Behaviour &behaviour : Behaviour::all()) {
        if (std::strcmp(behaviour.name, argv[1]) != 0)
            continue;
        try {
            behaviour.run(Stage{argv[2]});
            return 0;
        } catch (const switchmaster::Error &error) {
            std::cerr << "an error that was not expected: " << error.what() << "\n";
        } catch (const std::exception &failure) {
            std::cerr << failure.what() << "\n";
        }
        return 1;
    }
    std::cerr << "there is no behaviour " << argv[1] << "\n";
    return 2;
}
