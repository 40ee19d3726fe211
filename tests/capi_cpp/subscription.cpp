// switchmaster::Subscription and switchmaster::Delivery.

#include "harness.hpp"

#include <atomic>
#include <thread>

using switchmaster::Delivery;
using switchmaster::Factory;
using switchmaster::Handle;
using switchmaster::Subscription;

BEHAVIOUR(messages_come_by_channel_and_by_pattern) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    Subscription subscription = factory.subscribe({"cpp:news"});
    subscription.psubscribe(std::vector<std::string>{"cpp:new?"});
    CHECK_EQ(redis.command({"PUBLISH", "cpp:news", "hello"}).integer(), 2);
    const Delivery by_channel = subscription.next(PATIENCE).value();
    CHECK(by_channel.is_message());
    CHECK_EQ(by_channel.channel(), "cpp:news");
    CHECK_EQ(by_channel.pattern(), "");
    CHECK_EQ(by_channel.payload(), "hello");
    CHECK_EQ(by_channel.generation(), 1u);
    const Delivery by_pattern = subscription.next(PATIENCE).value();
    CHECK_EQ(by_pattern.pattern(), "cpp:new?");
    subscription.punsubscribe({"cpp:new?"});
    subscription.unsubscribe({"cpp:news"});
    CHECK_EQ(redis.command({"PUBLISH", "cpp:news", "nobody"}).integer(), 0);
    CHECK(!subscription.next(0ms));
}

BEHAVIOUR(closing_a_subscription_wakes_who_waits) {
    const Factory factory(stage.url);
    Subscription subscription = factory.psubscribe({"cpp:silence*"});
    std::atomic<bool> waits = false;
    swm_status status = SWM_OK;
    std::thread waiter([&] {
        waits = true;
        status = error_of([&] { (void)subscription.next(PATIENCE); }).status();
    });
    while (!waits)
        std::this_thread::yield();
    subscription.close();
    waiter.join();
    // One that was closed before the wait began is dead.
    CHECK(status == SWM_E_CLOSED || status == SWM_E_DEAD);
    subscription.close();
    CHECK_EQ(error_of([&] { (void)subscription.next(0ms); }).status(), SWM_E_DEAD);
}

BEHAVIOUR(a_subscription_that_was_moved_from_is_empty_and_safe) {
    const Factory factory(stage.url);
    Subscription first = factory.subscribe({"cpp:moved"});
    Subscription second(std::move(first));
    CHECK(!first);
    CHECK_EQ(error_of([&] { (void)first.next(0ms); }).status(), SWM_E_NULL);
    first.close();
    CHECK(!second.next(0ms));
}

BEHAVIOUR(nothing_to_subscribe_to_is_an_error) {
    const Factory factory(stage.url);
    CHECK_EQ(error_of([&] { (void)factory.subscribe({}); }).status(), SWM_E_INVALID_CONFIG);
}
