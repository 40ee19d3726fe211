// switchmaster::Reply and switchmaster::ReplyView.

#include "harness.hpp"

#include <algorithm>

using switchmaster::Factory;
using switchmaster::Handle;
using switchmaster::Options;
using switchmaster::Reply;
using switchmaster::ReplyView;

static_assert(std::is_nothrow_move_constructible_v<Reply>);
static_assert(!std::is_copy_constructible_v<Reply>);
static_assert(std::is_trivially_copyable_v<ReplyView>);

BEHAVIOUR(each_kind_of_reply_is_read_by_its_accessor) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    redis.command({"DEL", "cpp:kinds"});
    CHECK_EQ(redis.command({"SET", "cpp:text", "text"}).kind(), static_cast<int>(SWM_REPLY_STATUS));
    CHECK_EQ(redis.command({"GET", "cpp:text"}).str(), "text");
    CHECK_EQ(redis.command({"INCRBY", "cpp:kinds", "-7"}).integer(), -7);
    CHECK(redis.command({"GET", "cpp:no such key"}).is_nil());
    const Reply texts = redis.command({"MGET", "cpp:text", "cpp:no such key"});
    CHECK_EQ(texts.size(), 2u);
    CHECK_EQ(texts[0].str(), "text");
    CHECK(texts[1].is_nil());
    CHECK(!texts[2]);
}

BEHAVIOUR(replies_of_resp3_keep_their_kinds) {
    Options options(stage.url);
    options.set("protocol", "3");
    const Factory factory(options);
    Handle redis = factory.get(5s);
    redis.command({"DEL", "cpp:hash", "cpp:scores", "cpp:members"});
    redis.command({"HSET", "cpp:hash", "field", "value"});
    const Reply map = redis.command({"HGETALL", "cpp:hash"});
    CHECK_EQ(map.kind(), static_cast<int>(SWM_REPLY_MAP));
    CHECK_EQ(map.size(), 2u);
    CHECK_EQ(map[0].str(), "field");
    CHECK_EQ(map[1].str(), "value");
    redis.command({"ZADD", "cpp:scores", "1.5", "one"});
    CHECK_EQ(redis.command({"ZSCORE", "cpp:scores", "one"}).real(), 1.5);
    redis.command({"SADD", "cpp:members", "one"});
    CHECK_EQ(redis.command({"SMEMBERS", "cpp:members"}).kind(), static_cast<int>(SWM_REPLY_SET));
    CHECK(redis.command({"EVAL", "redis.setresp(3) return true", "0"}).boolean());
    CHECK_EQ(redis.command({"INFO", "server"}).format(), "txt");
    CHECK(!map.attributes());
}

BEHAVIOUR(an_error_reply_is_a_reply) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    redis.command({"SET", "cpp:text", "text"});
    const Reply refused = redis.command({"LPUSH", "cpp:text", "element"});
    CHECK(refused.is_error());
    CHECK(refused.str().substr(0, 10) == "WRONGTYPE ");
    CHECK_EQ(redis.command({"PING"}).str(), "PONG");
}

BEHAVIOUR(the_elements_of_a_reply_are_gone_through) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    std::string all;
    for (ReplyView element : redis.command({"EVAL", "return {'a', {'b', 'c'}, 'd', {}}", "0"})) {
        all += element.str();
        for (ReplyView inner : element)
            all += inner.str();
    }
    CHECK_EQ(all, "abcd");
    const Reply numbers = redis.command({"EVAL", "return {1, 2, 3}", "0"});
    const auto found = std::find_if(numbers.begin(), numbers.end(),
                                    [](ReplyView number) { return number.integer() == 2; });
    CHECK(found != numbers.end());
    CHECK_EQ(std::distance(numbers.begin(), numbers.end()), 3);
    CHECK(redis.command({"GET", "cpp:text"}).empty());
}

BEHAVIOUR(a_reply_outlives_its_handle_and_its_factory) {
    Reply reply;
    {
        const Factory factory(stage.url);
        reply = factory.get(5s).command({"ECHO", "still here"});
    }
    CHECK_EQ(reply.str(), "still here");
}

BEHAVIOUR(a_reply_that_was_moved_from_is_a_look_at_nothing) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    Reply first = redis.command({"ECHO", "moved"});
    Reply second(std::move(first));
    CHECK(!first);
    CHECK_EQ(first.kind(), static_cast<int>(SWM_REPLY_NONE));
    CHECK_EQ(first.str(), "");
    CHECK(first.begin() == first.end());
    CHECK_EQ(second.str(), "moved");
    first = std::move(second);
    CHECK(!second);
    CHECK_EQ(first.str(), "moved");
    Reply &same = first;
    first = std::move(same);
    CHECK_EQ(first.str(), "moved");
}

BEHAVIOUR(the_text_of_a_reply_that_nobody_holds_is_a_copy) {
    const Factory factory(stage.url);
    Handle redis = factory.get(5s);
    const auto text = redis.command({"ECHO", "held by nobody"}).str();
    redis.command({"ECHO", "something else"});
    CHECK_EQ(text, "held by nobody");
    const Reply held = redis.command({"ECHO", "held"});
    static_assert(std::is_same_v<decltype(held.str()), std::string_view>);
}
