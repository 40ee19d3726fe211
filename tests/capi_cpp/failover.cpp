// What a failover looks like in C++.

#include "harness.hpp"

#include <poll.h>
#include <thread>

using switchmaster::Delivery;
using switchmaster::Error;
using switchmaster::Event;
using switchmaster::Factory;
using switchmaster::Handle;
using switchmaster::Subscription;

/// Waits for a switch by the descriptor, as a poll loop does. The first may be among the events as well.
static Event switch_to(const Factory &factory, std::uint64_t generation) {
    pollfd readable = {factory.event_fd(), POLLIN, 0};
    const auto deadline = std::chrono::steady_clock::now() + PATIENCE;
    while (std::chrono::steady_clock::now() < deadline) {
        poll(&readable, 1, 1000);
        while (std::optional<Event> event = factory.next_event(0ms))
            if (event->kind() == SWM_EVENT_SWITCHED && event->generation() == generation)
                return std::move(*event);
    }
    throw std::runtime_error("the event did not come");
}

BEHAVIOUR(a_killed_master_is_followed_and_each_error_has_its_outcome) {
    const Factory factory(stage.url);
    (void)factory.event_fd(); // Events are kept from here on.
    const std::string before = factory.master();
    Handle blocked = factory.get(5s);
    Subscription subscription = factory.subscribe({"cpp:news"});

    std::optional<Error> error;
    std::thread reader([&] {
        error = error_of([&] { blocked.command({"BLPOP", "cpp:never pushed", "0"}); });
    });
    const auto clients = [&] {
        return std::string(factory.get(5s).command({"INFO", "clients"}).str());
    };
    while (clients().find("blocked_clients:1") == std::string::npos)
        std::this_thread::yield();
    stage.ask("kill");
    reader.join();
    CHECK(error.has_value());
    CHECK(error->status() == SWM_E_DISCONNECTED || error->status() == SWM_E_SWITCHED);
    CHECK_EQ(error->outcome(), SWM_UNKNOWN);

    CHECK_EQ(factory.wait_for_generation(1, PATIENCE).value(), 2u);
    const Event switched = switch_to(factory, 2);
    CHECK_EQ(switched.name(), "switched");
    CHECK_EQ(switched.previous(), before);
    CHECK_EQ(switched.address(), factory.master());
    CHECK(switched.address() != before);
    CHECK(switched.json().find("\"switched\"") != std::string_view::npos);
    CHECK(!switched.text().empty());
    const auto age = std::chrono::system_clock::now() - switched.time();
    CHECK(age > -1s && age < PATIENCE * 2);

    // Neither has to be taken anew.
    CHECK_EQ(blocked.command({"SET", "cpp:after", "the switch"}).str(), "OK");
    CHECK_EQ(blocked.generation(), 2u);
    const Delivery gap = subscription.next(PATIENCE).value();
    CHECK(gap.is_gap());
    CHECK(!gap.text().empty());
    CHECK_EQ(gap.generation(), 2u);
    blocked.command({"PUBLISH", "cpp:news", "after"});
    CHECK_EQ(subscription.next(PATIENCE).value().payload(), "after");
}
