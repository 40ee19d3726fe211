/* Handles, and single commands on them. */

#include "check.h"

#define LONG (1 << 20)

static void it_goes_as_in_the_example(const char *url)
{
    swm_error error;
    swm_factory *factory;
    swm_handle *handle;
    const char *argv[] = {"SET", "greeting", "hello"};
    swm_reply *reply;
    CHECK(swm_factory_open(url, &factory, &error) == SWM_OK);
    CHECK(swm_factory_get(factory, 5000, &handle, &error) == SWM_OK);
    CHECK(swm_handle_command_argv(handle, 3, argv, NULL, &reply, &error) == SWM_OK);
    NUMBER(swm_reply_type(reply), SWM_REPLY_STATUS);
    CHECK(says(reply, "OK"));
    swm_reply_free(reply);
    argv[0] = "GET";
    /* Without anything to say why it failed, for it does not. */
    CHECK(swm_handle_command_argv(handle, 2, argv, NULL, &reply, NULL) == SWM_OK);
    NUMBER(swm_reply_type(reply), SWM_REPLY_STRING);
    CHECK(says(reply, "hello"));
    swm_reply_free(reply);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void an_error_reply_is_a_reply(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    size_t len = 0;
    swm_reply *reply;
    run(handle, "SET error:string text");
    reply = command(handle, "LPUSH error:string element");
    NUMBER(swm_reply_type(reply), SWM_REPLY_ERROR);
    CHECK(strncmp(swm_reply_str(reply, &len), "WRONGTYPE ", 10) == 0);
    NUMBER(len, strlen(swm_reply_str(reply, NULL)));
    swm_reply_free(reply);
    /* And the handle is as good as ever. */
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void words_may_hold_any_bytes(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    char *value = malloc(LONG);
    const char *set[] = {"SET", "bytes\0\r\n\xff", NULL};
    size_t lens[] = {3, 9, LONG};
    swm_reply *reply = NULL;
    const char *back;
    size_t at, len = 0;
    CHECK(value);
    for (at = 0; at < LONG; at++)
        value[at] = (char)(at * 31 + at / 256);
    set[2] = value;
    OK(swm_handle_command_argv(handle, 3, set, lens, &reply, &err));
    CHECK(says(reply, "OK"));
    swm_reply_free(reply);
    set[0] = "GET";
    OK(swm_handle_command_argv(handle, 2, set, lens, &reply, &err));
    back = swm_reply_str(reply, &len);
    NUMBER(len, LONG);
    CHECK(memcmp(back, value, LONG) == 0);
    NUMBER(back[len], 0);
    swm_reply_free(reply);
    free(value);

    /* An empty word has no bytes, and may be at NULL. */
    set[0] = "SET";
    set[2] = NULL;
    lens[2] = 0;
    OK(swm_handle_command_argv(handle, 3, set, lens, &reply, &err));
    swm_reply_free(reply);
    set[0] = "GET";
    OK(swm_handle_command_argv(handle, 2, set, lens, &reply, &err));
    NUMBER(swm_reply_type(reply), SWM_REPLY_STRING);
    CHECK(says(reply, ""));
    swm_reply_free(reply);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void words_that_are_missing_are_told(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *const untouched = (swm_reply *)&handle;
    swm_reply *reply = untouched;
    const char *argv[] = {"SET", NULL, "value"};
    const size_t lens[] = {3, 1, 5};
    FAILS(swm_handle_command_argv(handle, 0, argv, NULL, &reply, &err), SWM_E_ARGUMENT);
    FAILS(swm_handle_command_argv(handle, 3, NULL, NULL, &reply, &err), SWM_E_NULL);
    CHECK(strstr(err.message, "argv"));
    FAILS(swm_handle_command_argv(handle, 3, argv, NULL, &reply, &err), SWM_E_NULL);
    CHECK(strstr(err.message, "argv[1]"));
    NUMBER(err.outcome, SWM_NOT_SENT);
    FAILS(swm_handle_command_argv(handle, 3, argv, lens, &reply, &err), SWM_E_NULL);
    CHECK(strstr(err.message, "argv[1]"));
    argv[1] = "key";
    FAILS(swm_handle_command_argv(handle, 3, argv, NULL, NULL, &err), SWM_E_NULL);
    CHECK(strstr(err.message, "out"));
    /* And nothing is said where nobody listens. */
    NUMBER(swm_handle_command_argv(handle, 0, argv, NULL, &reply, NULL), SWM_E_ARGUMENT);
    CHECK(reply == untouched);
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void commands_whose_replies_cannot_be_told_apart_are_refused(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *reply = NULL;
    FAILS(try_command(handle, "MONITOR", &reply), SWM_E_INVALID_CONFIG);
    TEXT(err.kind, "invalid-config");
    NUMBER(err.outcome, SWM_NOT_SENT);
    FAILS(try_command(handle, "CLIENT REPLY OFF", &reply), SWM_E_INVALID_CONFIG);
    CHECK(!reply);
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void resp_is_exchanged_as_it_is(const char *url)
{
    static const char one[] = "*2\r\n$4\r\nECHO\r\n$3\r\na\0b\r\n";
    static const char three[] = "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nNONE\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n";
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    const char *reply = NULL;
    size_t len = 0;
    OK(swm_handle_exchange(handle, one, sizeof(one) - 1, &reply, &len, &err));
    NUMBER(len, 9);
    CHECK(memcmp(reply, "$3\r\na\0b\r\n", 9) == 0);
    OK(swm_handle_exchange(handle, three, sizeof(three) - 1, &reply, &len, &err));
    CHECK(memcmp(reply, "+PONG\r\n-ERR ", 12) == 0);
    CHECK(memcmp(reply + len - 8, "\r\n$0\r\n\r\n", 8) == 0);
    FAILS(swm_handle_exchange(handle, one, 0, &reply, &len, &err), SWM_E_ARGUMENT);
    /* It does not mix with a pipeline. */
    append(handle, "PING");
    FAILS(swm_handle_exchange(handle, one, sizeof(one) - 1, &reply, &len, &err), SWM_E_ARGUMENT);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void a_handle_that_was_released_is_told(const char *url)
{
    swm_factory *factory = open_with(url, "max_size=1");
    swm_handle *first = get(factory), *second;
    swm_reply *reply = NULL;
    CHECK(swm_handle_fd(first) >= 0);
    NUMBER(swm_handle_generation(first), 1);
    swm_handle_release(first);
    swm_handle_release(first);
    FAILS(try_command(first, "PING", &reply), SWM_E_DEAD);
    NUMBER(err.outcome, SWM_NOT_SENT);
    TEXT(err.kind, "dead");
    CHECK(strstr(err.message, "released"));
    NUMBER(swm_handle_fd(first), -1);
    NUMBER(swm_handle_generation(first), 0);
    /* The next handle has the same place and connection, and another number. */
    second = get(factory);
    CHECK(second != first);
    swm_handle_release(first);
    FAILS(try_command(first, "PING", &reply), SWM_E_DEAD);
    run(second, "PING");
    NUMBER(stats(factory).in_use, 1);
    swm_handle_release(second);
    NUMBER(stats(factory).in_use, 0);
    NUMBER(stats(factory).connections_created, 1);
    swm_factory_close(factory);
}

static void a_handle_outlives_its_factory_and_says_so(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory), *kept = get(factory);
    swm_reply *reply = command(handle, "ECHO text"), *none = NULL;
    swm_factory_close(factory);
    FAILS(try_command(handle, "PING", &none), SWM_E_CLOSED);
    NUMBER(err.outcome, SWM_NOT_SENT);
    CHECK(says(reply, "text"));
    swm_handle_release(handle);
    CHECK(says(reply, "text"));
    swm_reply_free(reply);
    swm_handle_release(kept);
}

static void a_server_that_does_not_answer_costs_the_command_timeout(const char *url)
{
    swm_factory *factory = open_with(url, "command_timeout=300ms");
    swm_handle *handle = get(factory);
    swm_reply *reply = NULL;
    run(handle, "GET key");
    request("ignore GET");
    FAILS(try_command(handle, "GET key", &reply), SWM_E_COMMAND_TIMEOUT);
    TEXT(err.kind, "command-timeout");
    NUMBER(err.outcome, SWM_UNKNOWN);
    request("behave");
    run(handle, "GET key");
    swm_handle_release(handle);
    swm_factory_close(factory);
}

const struct test command_tests[] = {
    {"it_goes_as_in_the_example", it_goes_as_in_the_example},
    {"an_error_reply_is_a_reply", an_error_reply_is_a_reply},
    {"words_may_hold_any_bytes", words_may_hold_any_bytes},
    {"words_that_are_missing_are_told", words_that_are_missing_are_told},
    {"commands_whose_replies_cannot_be_told_apart_are_refused",
     commands_whose_replies_cannot_be_told_apart_are_refused},
    {"resp_is_exchanged_as_it_is", resp_is_exchanged_as_it_is},
    {"a_handle_that_was_released_is_told", a_handle_that_was_released_is_told},
    {"a_handle_outlives_its_factory_and_says_so", a_handle_outlives_its_factory_and_says_so},
    {"a_server_that_does_not_answer_costs_the_command_timeout",
     a_server_that_does_not_answer_costs_the_command_timeout},
    {NULL, NULL},
};
