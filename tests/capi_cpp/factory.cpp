// switchmaster::Factory and switchmaster::Options.

#include "harness.hpp"

#include <atomic>
#include <memory>
#include <thread>

using switchmaster::Error;
using switchmaster::Factory;
using switchmaster::Handle;
using switchmaster::Options;

static_assert(!std::is_copy_constructible_v<Factory> && !std::is_copy_constructible_v<Handle>);
static_assert(std::is_nothrow_move_constructible_v<Factory>);
static_assert(std::is_nothrow_move_assignable_v<Factory>);

BEHAVIOUR(a_factory_opens_by_url_and_by_options) {
    for (const Factory &factory : {Factory::open(stage.url), Factory::open(Options(stage.url))}) {
        CHECK(factory);
        CHECK_EQ(factory.generation(), 1u);
        CHECK_EQ(factory.get(5s).command({"PING"}).str(), "PONG");
    }
}

BEHAVIOUR(options_are_set_one_by_one) {
    Options options(stage.url);
    options.set("max_size", "3").set("min_idle", "0");
    const Factory factory(options);
    CHECK_EQ(factory.stats().max, 3u);
    CHECK_EQ(factory.stats().min, 0u);
    CHECK_EQ(options.get("max_size"), "3");
    CHECK_EQ(error_of([&] { (void)options.get("client_name"); }).status(), SWM_E_NOTHING);
}

BEHAVIOUR(credentials_come_from_a_provider_that_may_throw) {
    // Without a password of its own the default user takes any.
    auto calls = std::make_shared<std::atomic<int>>(0);
    {
        Options options(stage.url);
        options.credentials([calls] {
            ++*calls;
            return switchmaster::Credentials{"", "any"};
        });
        options.sentinel_credentials([] { return switchmaster::Credentials{"default", "any"}; });
        options.sentinel_credentials({});
        const Factory factory(options);
        CHECK_EQ(factory.get(5s).command({"PING"}).str(), "PONG");
        CHECK(*calls > 0);
        options.set("connect_timeout", "2s");
        options.credentials([]() -> switchmaster::Credentials {
            throw std::runtime_error("the vault is sealed");
        });
        const std::string sealed = error_of([&] { (void)Factory::open(options); }).what();
        CHECK(sealed.find("the vault is sealed") != std::string::npos);
        options.credentials([]() -> switchmaster::Credentials { throw 7; });
        const std::string strange = error_of([&] { (void)Factory::open(options); }).what();
        CHECK(strange.find("threw no std::exception") != std::string::npos);
    }
    // The first provider has ended with the factory that used it.
    for (int tries = 0; calls.use_count() > 1 && tries < 5000; ++tries)
        std::this_thread::sleep_for(1ms);
    CHECK_EQ(calls.use_count(), 1);
    Options moved_from;
    const Options other(std::move(moved_from));
    const auto late = [&] { moved_from.credentials([] { return switchmaster::Credentials{}; }); };
    CHECK_EQ(error_of(late).status(), SWM_E_NULL);
}

BEHAVIOUR(an_option_that_is_not_allowed_is_named) {
    Options options;
    const Error error = error_of([&] { options.set("max_size", "many"); });
    CHECK_EQ(error.status(), SWM_E_INVALID_CONFIG);
    CHECK_EQ(error.kind(), "invalid-config");
    CHECK(std::string(error.what()).find("max_size") != std::string::npos);
}

BEHAVIOUR(a_factory_that_cannot_be_opened_says_why) {
    const Error error = error_of([] { Factory("redis+sentinel://no service"); });
    CHECK_EQ(error.status(), SWM_E_INVALID_URL);
    CHECK_EQ(error.outcome(), SWM_NOT_SENT);
    CHECK_EQ(error.kind(), "invalid-url");
    const Options closed_port("redis+sentinel://127.0.0.1:1/mymaster?connect_timeout=300ms");
    CHECK_EQ(error_of([&] { (void)Factory::open(closed_port); }).status(), SWM_E_NO_SENTINEL);
}

BEHAVIOUR(a_factory_tells_its_master_its_topology_and_its_stats) {
    const Factory factory(stage.url);
    const std::string master = factory.master();
    CHECK(master.rfind("127.0.0.1:", 0) == 0);
    CHECK(factory.topology_json().find(master) != std::string::npos);
    factory.refresh();
    const Handle handle = factory.get(5s);
    const swm_stats stats = factory.stats();
    CHECK_EQ(stats.in_use, 1u);
    CHECK_EQ(stats.checkouts, 1u);
    CHECK_EQ(stats.switches, 1u);
}

BEHAVIOUR(a_switch_that_does_not_come_is_none) {
    const Factory factory(stage.url);
    CHECK(!factory.wait_for_generation(1, 20ms));
    CHECK_EQ(factory.wait_for_generation(0, 20ms).value(), 1u);
}

BEHAVIOUR(an_event_that_does_not_come_is_none) {
    const Factory factory(stage.url);
    CHECK(factory.event_fd() >= 0);
    // What the start brought may still be coming.
    while (factory.next_event(500ms)) {
    }
    CHECK(!factory.next_event(0ms));
    CHECK(!factory.next_event(-1ms));
}

BEHAVIOUR(a_pool_that_is_empty_is_an_error_in_time) {
    Options options(stage.url);
    options.set("max_size", "1");
    const Factory factory(options);
    const Handle taken = factory.get(5s);
    const Error error = error_of([&] { (void)factory.get(20ms); });
    CHECK_EQ(error.status(), SWM_E_POOL_TIMEOUT);
    CHECK_EQ(error.outcome(), SWM_NOT_SENT);
}

BEHAVIOUR(replicas_can_be_read_from) {
    const Factory factory(stage.url);
    CHECK_EQ(factory.replica().command({"ROLE"})[0].str(), "slave");
    CHECK_EQ(factory.get_from(SWM_READ_REPLICA).command({"ROLE"})[0].str(), "slave");
    CHECK_EQ(factory.get_from(SWM_READ_MASTER).command({"ROLE"})[0].str(), "master");
}

BEHAVIOUR(a_factory_that_was_moved_from_is_empty_and_safe) {
    Factory first(stage.url);
    const Factory second(std::move(first));
    CHECK(!first);
    CHECK_EQ(error_of([&] { (void)first.get(1s); }).status(), SWM_E_NULL);
    CHECK_EQ(error_of([&] { (void)first.generation(); }).status(), SWM_E_NULL);
    CHECK_EQ(error_of([&] { (void)first.topology_json(); }).status(), SWM_E_NULL);
    first.close();
    CHECK_EQ(second.get(5s).command({"PING"}).str(), "PONG");
}

BEHAVIOUR(a_factory_can_be_closed_twice_and_its_handles_outlive_it) {
    Handle handle;
    {
        const Factory factory(stage.url);
        handle = factory.get(5s);
        factory.close();
        factory.close();
        CHECK_EQ(error_of([&] { (void)factory.get(1s); }).status(), SWM_E_DEAD);
    }
    const Error error = error_of([&] { handle.command({"PING"}); });
    CHECK_EQ(error.status(), SWM_E_CLOSED);
    CHECK_EQ(error.outcome(), SWM_NOT_SENT);
}

BEHAVIOUR(closing_a_factory_wakes_who_waits_for_a_handle) {
    Options options(stage.url);
    options.set("max_size", "1");
    const Factory factory(options);
    const Handle taken = factory.get(5s);
    swm_status status = SWM_OK;
    std::thread waiter([&] {
        status = error_of([&] { (void)factory.get(PATIENCE); }).status();
    });
    while (factory.stats().waiting == 0)
        std::this_thread::yield();
    factory.close();
    waiter.join();
    CHECK_EQ(status, SWM_E_CLOSED);
}

BEHAVIOUR(many_threads_share_a_factory) {
    const Factory factory(stage.url);
    factory.get(5s).command({"DEL", "cpp:shared"});
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int n = 0; n < 50; ++n)
                factory.get(5s).command({"INCR", "cpp:shared"});
        });
    for (std::thread &thread : threads)
        thread.join();
    CHECK_EQ(factory.get(5s).command({"GET", "cpp:shared"}).str(), "200");
}
