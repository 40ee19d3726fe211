// What a stranger writes first in C++: prints `hello`, by way of a server.

#include <iostream>
#include <switchmaster.hpp>

int main(int argc, char **argv) {
    if (argc != 2) {
        std::cerr << "usage: app URL\n";
        return 2;
    }
    try {
        const switchmaster::Factory factory(argv[1]);
        switchmaster::Handle handle = factory.get(std::chrono::seconds(5));
        handle.command({"SET", "greeting", "hello"});
        const switchmaster::Reply reply = handle.command({"GET", "greeting"});
        std::cout << reply.str() << " from switchmaster " << switchmaster::version() << "\n";
        return 0;
    } catch (const switchmaster::Error &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
