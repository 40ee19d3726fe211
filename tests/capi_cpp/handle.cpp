// switchmaster::Handle.

#include "harness.hpp"

#include <deque>

using switchmaster::Factory;
using switchmaster::Handle;

static_assert(std::is_nothrow_move_constructible_v<Handle>);

BEHAVIOUR(words_come_as_a_list_or_in_any_container) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    const std::string key = "cpp:words";
    redis.command({"SET", key, "list"});
    CHECK_EQ(redis.command(std::vector<std::string>{"GET", key}).str(), "list");
    CHECK_EQ(redis.command(std::array<std::string_view, 2>{"GET", key}).str(), "list");
    CHECK_EQ(redis.command(std::deque<const char *>{"GET", key.c_str()}).str(), "list");
    const char *const plain[] = {"GET", key.c_str()};
    CHECK_EQ(redis.command(plain).str(), "list");
}

BEHAVIOUR(a_command_may_have_many_words) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    // On both sides of the number up to which nothing is allocated.
    for (std::size_t count : {15u, 16u, 17u, 1000u}) {
        redis.command({"DEL", "cpp:many"});
        std::vector<std::string> words = {"RPUSH", "cpp:many"};
        while (words.size() < count)
            words.push_back(std::to_string(words.size()));
        CHECK_EQ(redis.command(words).integer(), static_cast<std::int64_t>(count - 2));
        const auto elements = redis.command({"LRANGE", "cpp:many", "0", "-1"});
        CHECK_EQ(elements.size(), count - 2);
        CHECK_EQ(elements[0].str(), "2");
        CHECK_EQ(elements[count - 3].str(), std::to_string(count - 1));
    }
}

BEHAVIOUR(bytes_of_any_kind_go_there_and_back) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    const std::string_view bytes("a\0b\r\n\xff", 6);
    redis.command({"SET", "cpp:bytes", bytes});
    CHECK_EQ(redis.command({"GET", "cpp:bytes"}).str(), bytes);
    redis.command({"SET", "cpp:bytes", ""});
    const auto empty = redis.command({"GET", "cpp:bytes"});
    CHECK_EQ(empty.kind(), static_cast<int>(SWM_REPLY_STRING));
    CHECK_EQ(empty.str(), "");
}

BEHAVIOUR(no_words_are_an_error) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    CHECK_EQ(error_of([&] { redis.command({}); }).status(), SWM_E_ARGUMENT);
    CHECK_EQ(redis.command({"PING"}).str(), "PONG");
}

BEHAVIOUR(a_pipeline_gives_its_replies_in_order) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    redis.command({"DEL", "cpp:pipeline"});
    for (int i = 0; i < 100; ++i)
        redis.append({"INCR", "cpp:pipeline"});
    redis.append(std::vector<std::string>{"GET", "cpp:pipeline"});
    for (int i = 1; i <= 100; ++i)
        CHECK_EQ(redis.get_reply().integer(), i);
    CHECK_EQ(redis.get_reply().str(), "100");
    CHECK_EQ(error_of([&] { (void)redis.get_reply(); }).status(), SWM_E_NOTHING);
}

BEHAVIOUR(resp_is_exchanged_as_it_is) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    const std::string_view ping = "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n";
    CHECK_EQ(redis.exchange(ping), "+PONG\r\n$2\r\nhi\r\n");
}

BEHAVIOUR(resp_passes_through_in_pieces) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    redis.send("*2\r\n$4\r\nEC");
    CHECK(!redis.is_clean());
    CHECK_EQ(redis.send_readiness(12), SWM_READY);
    redis.send("HO\r\n$2\r\nhi\r\n");
    std::string received;
    char buffer[3];
    while (received.size() < 8)
        received.append(buffer, redis.receive(buffer, sizeof buffer));
    CHECK_EQ(received, "$2\r\nhi\r\n");
    CHECK(redis.is_clean());
    CHECK_EQ(redis.receive_readiness().first, SWM_READY);
    CHECK_EQ(error_of([&] { redis.receive(buffer, sizeof buffer); }).outcome(), SWM_NOT_SENT);
}

BEHAVIOUR(a_handle_goes_back_when_it_ends) {
    const Factory factory(stage.url);
    {
        const Handle handle = factory.get(5s);
        CHECK_EQ(factory.stats().in_use, 1u);
        CHECK_EQ(handle.generation(), 1u);
        CHECK_EQ(handle.protocol(), 3);
        CHECK(handle.fd() >= 0);
    }
    CHECK_EQ(factory.stats().in_use, 0u);
}

BEHAVIOUR(a_handle_that_is_assigned_to_is_given_back_first) {
    const Factory factory(stage.url);
    Handle handle = factory.get(5s);
    handle = factory.get(5s);
    CHECK_EQ(factory.stats().in_use, 1u);
    CHECK_EQ(handle.command({"PING"}).str(), "PONG");
}

BEHAVIOUR(a_handle_that_was_moved_from_is_empty_and_safe) {
    const Factory factory(stage.url);
    Handle first = factory.get(5s);
    Handle second(std::move(first));
    CHECK(!first);
    CHECK_EQ(error_of([&] { first.command({"PING"}); }).status(), SWM_E_NULL);
    CHECK_EQ(error_of([&] { first.append({"PING"}); }).status(), SWM_E_NULL);
    CHECK_EQ(error_of([&] { (void)first.get_reply(); }).status(), SWM_E_NULL);
    CHECK_EQ(first.generation(), 0u);
    CHECK_EQ(first.fd(), -1);
    first.release();
    CHECK_EQ(second.command({"PING"}).str(), "PONG");
    CHECK_EQ(factory.stats().in_use, 1u);
}

BEHAVIOUR(a_handle_can_be_released_twice) {
    const Factory factory(stage.url);
    Handle handle = factory.get(5s);
    handle.release();
    handle.release();
    CHECK_EQ(factory.stats().in_use, 0u);
    CHECK_EQ(error_of([&] { handle.command({"PING"}); }).status(), SWM_E_NULL);
}
