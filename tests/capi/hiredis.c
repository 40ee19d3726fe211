/* Contexts of hiredis over a handle. */

#include "check.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

#include <switchmaster_hiredis.h>

#define PATIENT "command_timeout=60s&get_timeout=60s&fence_timeout=60s&client_name=c"

static redisContext *context(swm_handle *handle)
{
    redisContext *c = swm_hiredis_context(handle);
    CHECK(c != NULL && c->err == 0);
    return c;
}

static void expect_text(redisContext *c, redisReply *reply, int type, const char *text)
{
    if (!reply)
        check_failed(__FILE__, __LINE__, "no reply: %s", c->errstr);
    NUMBER(reply->type, type);
    TEXT(reply->str, text);
    freeReplyObject(reply);
}

static void expect_number(redisContext *c, redisReply *reply, long long number)
{
    if (!reply)
        check_failed(__FILE__, __LINE__, "no reply: %s", c->errstr);
    NUMBER(reply->type, REDIS_REPLY_INTEGER);
    NUMBER(reply->integer, number);
    freeReplyObject(reply);
}

static void commands_pipelines_and_transactions_work_on_a_context(const char *url)
{
    enum { MANY = 3000, LONG = 1 << 20 };
    swm_factory *factory = open_with(url, PATIENT "&max_size=1");
    swm_handle *handle = get(factory);
    redisContext *c = context(handle);
    redisReply *reply;
    char *longer = malloc(LONG);
    int i;
    CHECK(longer != NULL);
    memset(longer, 'v', LONG);
    expect_text(c, redisCommand(c, "SET %s %s", "hi:a", "1"), REDIS_REPLY_STATUS, "OK");
    expect_text(c, redisCommand(c, "GET hi:a"), REDIS_REPLY_STRING, "1");
    reply = redisCommand(c, "LPUSH hi:a x");
    CHECK(reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) == 0);
    freeReplyObject(reply);
    expect_text(c, redisCommand(c, "SET hi:long %b", longer, (size_t)LONG), REDIS_REPLY_STATUS, "OK");
    reply = redisCommand(c, "GET hi:long");
    CHECK(reply && reply->len == LONG && memcmp(reply->str, longer, LONG) == 0);
    freeReplyObject(reply);
    for (i = 0; i < MANY; i++)
        NUMBER(redisAppendCommand(c, "INCR hi:n"), REDIS_OK);
    for (i = 0; i < MANY; i++) {
        NUMBER(redisGetReply(c, (void **)&reply), REDIS_OK);
        expect_number(c, reply, i + 1);
    }
    expect_text(c, redisCommand(c, "MULTI"), REDIS_REPLY_STATUS, "OK");
    expect_text(c, redisCommand(c, "INCR hi:n"), REDIS_REPLY_STATUS, "QUEUED");
    reply = redisCommand(c, "EXEC");
    CHECK(reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1);
    freeReplyObject(reply);
    redisFree(c);
    /* The connection is as good as before, and the only one. */
    NUMBER(count(handle, "INCR hi:n"), MANY + 2);
    swm_handle_release(handle);
    handle = get(factory);
    NUMBER(count(handle, "INCR hi:n"), MANY + 3);
    NUMBER(stats(factory).connections_created, 1);
    swm_handle_release(handle);
    free(longer);
    swm_factory_close(factory);
}

static void a_context_goes_on_at_the_next_master(const char *url)
{
    swm_factory *factory = open_with(url, PATIENT "&max_size=2");
    swm_handle *handle = get(factory);
    redisContext *c = context(handle);
    request("calm c");
    expect_number(c, redisCommand(c, "INCR hi:count"), 1);
    request("replicated");
    request("failover");
    wait_for_switch(factory, 1);
    expect_number(c, redisCommand(c, "INCR hi:count"), 2);
    NUMBER(swm_handle_generation(handle), generation(factory));
    NUMBER(c->err, 0);
    redisFree(c);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void *pops_through_hiredis(void *argument)
{
    redisContext *c = argument;
    redisReply *reply = redisCommand(c, "BLPOP hi:never 0");
    CHECK(!reply);
    NUMBER(c->err, REDIS_ERR_IO);
    CHECK(c->errstr[0] != 0);
    NUMBER(swm_hiredis_error(c)->status, SWM_E_SWITCHED);
    NUMBER(swm_hiredis_error(c)->outcome, SWM_UNKNOWN);
    return NULL;
}

static void a_context_in_blpop_wakes_from_a_frozen_master(const char *url)
{
    swm_factory *factory = open_with(url, PATIENT);
    swm_handle *handle = get(factory);
    redisContext *c = context(handle);
    pthread_t reader;
    request("calm c");
    NUMBER(pthread_create(&reader, NULL, pops_through_hiredis, c), 0);
    WAIT_FOR(request_number("blocked") == 1);
    request("freeze");
    wait_for_switch(factory, 1);
    NUMBER(pthread_join(reader, NULL), 0);
    /* The context is over, as ever after an error; the handle is not. */
    CHECK(redisCommand(c, "PING") == NULL);
    redisFree(c);
    c = context(handle);
    expect_text(c, redisCommand(c, "PING"), REDIS_REPLY_STATUS, "PONG");
    redisFree(c);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void listen_until_the_switch(swm_factory *factory, swm_handle *handle, redisContext *c, int type)
{
    swm_handle *other = get(factory);
    redisReply *reply = redisCommand(c, "SUBSCRIBE hi:news");
    if (!reply)
        check_failed(__FILE__, __LINE__, "no reply: %s", c->errstr);
    NUMBER(reply->type, type);
    NUMBER(reply->elements, 3);
    freeReplyObject(reply);
    NUMBER(count(other, "PUBLISH hi:news one"), 1);
    NUMBER(redisGetReply(c, (void **)&reply), REDIS_OK);
    NUMBER(reply->type, type);
    NUMBER(reply->elements, 3);
    TEXT(reply->element[2]->str, "one");
    freeReplyObject(reply);
    request("failover");
    NUMBER(redisGetReply(c, (void **)&reply), REDIS_ERR);
    NUMBER(swm_hiredis_error(c)->status, SWM_E_SWITCHED);
    redisFree(c);
    swm_handle_release(handle);
    swm_handle_release(other);
    swm_factory_close(factory);
}

static void a_subscribed_context_gets_messages_until_the_switch(const char *url)
{
    swm_factory *factory = open_with(url, PATIENT "&protocol=2");
    swm_handle *handle = get(factory);
    request("calm c");
    listen_until_the_switch(factory, handle, context(handle), REDIS_REPLY_ARRAY);
}

static void a_subscribed_context_gets_pushes_until_the_switch(const char *url)
{
    swm_factory *factory = open_with(url, PATIENT);
    swm_handle *handle = get(factory);
    redisContext *c = context(handle);
    request("calm c");
    redisSetPushCallback(c, NULL);
    listen_until_the_switch(factory, handle, c, REDIS_REPLY_PUSH);
}

static void what_a_context_sets_on_the_socket_ends_with_its_handle(const char *url)
{
    struct timeval short_time = {0, 1000};
    swm_factory *factory = open_with(url, "max_size=1");
    swm_handle *handle = get(factory);
    redisContext *c = context(handle);
    swm_reply *reply;
    NUMBER(redisSetTimeout(c, short_time), REDIS_OK);
    redisFree(c);
    swm_handle_release(handle);
    handle = get(factory);
    /* It takes longer than the context had set. */
    reply = command(handle, "DEBUG SLEEP 0.1");
    NUMBER(swm_reply_type(reply), SWM_REPLY_STATUS);
    swm_reply_free(reply);
    NUMBER(stats(factory).connections_created, 1);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void a_context_cannot_reconnect_and_fails_cleanly_from_then_on(const char *url)
{
    swm_factory *factory = open_with(url, "max_size=1");
    swm_handle *handle = get(factory);
    redisContext *c = context(handle);
    expect_text(c, redisCommand(c, "PING"), REDIS_REPLY_STATUS, "PONG");
    NUMBER(redisAppendCommand(c, "PING"), REDIS_OK);
    NUMBER(redisReconnect(c), REDIS_ERR);
    NUMBER(c->err, REDIS_ERR_OTHER);
    CHECK(c->errstr[0] != 0);
    CHECK(swm_hiredis_error(c) == NULL);
    CHECK(redisCommand(c, "PING") == NULL);
    NUMBER(redisReconnect(c), REDIS_ERR);
    redisFree(c);
    /* After an error, which is when programs reconnect. */
    c = context(handle);
    swm_handle_release(handle);
    CHECK(redisCommand(c, "PING") == NULL);
    CHECK(swm_hiredis_error(c) != NULL);
    NUMBER(redisReconnect(c), REDIS_ERR);
    CHECK(swm_hiredis_error(c) == NULL);
    redisFree(c);
    handle = get(factory);
    c = context(handle);
    expect_text(c, redisCommand(c, "PING"), REDIS_REPLY_STATUS, "PONG");
    redisFree(c);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

/* An option of TCP on the handle's connection. */
static int option_of(swm_handle *handle, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    NUMBER(getsockopt(swm_handle_fd(handle), IPPROTO_TCP, name, &value, &len), 0);
    return value;
}

static void options_that_a_context_sets_work_and_end_with_its_handle(const char *url)
{
    swm_factory *factory = open_with(url, "max_size=1");
    swm_handle *handle = get(factory);
    redisContext *c = context(handle);
    const int idle = option_of(handle, TCP_KEEPIDLE), patience = option_of(handle, TCP_USER_TIMEOUT);
    const int interval = option_of(handle, TCP_KEEPINTVL);
    int fd;
    CHECK(idle > 1 && patience > 1);
    NUMBER(redisEnableKeepAlive(c), REDIS_OK);
#if HIREDIS_MAJOR > 1 || HIREDIS_MINOR >= 1
    NUMBER(redisEnableKeepAliveWithInterval(c, 1), REDIS_OK);
    NUMBER(redisSetTcpUserTimeout(c, 1), REDIS_OK);
    NUMBER(option_of(handle, TCP_KEEPIDLE), 1);
    NUMBER(option_of(handle, TCP_USER_TIMEOUT), 1);
#endif
    expect_text(c, redisCommand(c, "PING"), REDIS_REPLY_STATUS, "PONG");
    /* The descriptor is a duplicate, and the caller's from here on. */
    fd = redisFreeKeepFd(c);
    CHECK(fd >= 0 && fd != swm_handle_fd(handle));
    NUMBER(close(fd), 0);
    c = context(handle);
    expect_text(c, redisCommand(c, "PING"), REDIS_REPLY_STATUS, "PONG");
    redisFree(c);
    swm_handle_release(handle);
    handle = get(factory);
    NUMBER(stats(factory).connections_created, 1);
    NUMBER(option_of(handle, TCP_KEEPIDLE), idle);
    NUMBER(option_of(handle, TCP_KEEPINTVL), interval);
    NUMBER(option_of(handle, TCP_USER_TIMEOUT), patience);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void no_context_is_made_of_what_is_no_handle(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    redisContext *c = context(handle);
    CHECK(swm_hiredis_context(NULL) == NULL);
    CHECK(swm_hiredis_context((swm_handle *)factory) == NULL);
    CHECK(swm_hiredis_error(NULL) == NULL);
    swm_handle_release(handle);
    CHECK(swm_hiredis_context(handle) == NULL);
    /* Released too early: an error, and nobody else's connection. */
    CHECK(redisCommand(c, "PING") == NULL);
    NUMBER(swm_hiredis_error(c)->status, SWM_E_DEAD);
    redisFree(c);
    swm_factory_close(factory);
}

const struct test hiredis_tests[] = {
    {"commands_pipelines_and_transactions_work_on_a_context",
     commands_pipelines_and_transactions_work_on_a_context},
    {"a_context_goes_on_at_the_next_master", a_context_goes_on_at_the_next_master},
    {"a_context_in_blpop_wakes_from_a_frozen_master", a_context_in_blpop_wakes_from_a_frozen_master},
    {"a_subscribed_context_gets_messages_until_the_switch",
     a_subscribed_context_gets_messages_until_the_switch},
    {"a_subscribed_context_gets_pushes_until_the_switch",
     a_subscribed_context_gets_pushes_until_the_switch},
    {"what_a_context_sets_on_the_socket_ends_with_its_handle",
     what_a_context_sets_on_the_socket_ends_with_its_handle},
    {"a_context_cannot_reconnect_and_fails_cleanly_from_then_on",
     a_context_cannot_reconnect_and_fails_cleanly_from_then_on},
    {"options_that_a_context_sets_work_and_end_with_its_handle",
     options_that_a_context_sets_work_and_end_with_its_handle},
    {"no_context_is_made_of_what_is_no_handle", no_context_is_made_of_what_is_no_handle},
    {NULL, NULL},
};
