/* Several commands at once. */

#include "check.h"

#define MANY 1000

static swm_reply *next(swm_handle *handle)
{
    swm_reply *reply = NULL;
    OK(swm_handle_get_reply(handle, &reply, &err));
    CHECK(reply);
    return reply;
}

static void a_thousand_commands_bring_a_thousand_replies_in_order(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *replies[MANY], *none = NULL;
    char words[64];
    int at;
    for (at = 0; at < MANY; at++) {
        snprintf(words, sizeof(words), "ECHO number-%d", at);
        append(handle, words);
    }
    for (at = 0; at < MANY; at++)
        replies[at] = next(handle);
    FAILS(swm_handle_get_reply(handle, &none, &err), SWM_E_NOTHING);
    swm_handle_release(handle);
    swm_factory_close(factory);
    /* They share their memory, and are freed in any order: the odd ones backwards, then the even. */
    for (at = MANY - 1; at > 0; at -= 2)
        swm_reply_free(replies[at]);
    for (at = 0; at < MANY; at += 2) {
        snprintf(words, sizeof(words), "number-%d", at);
        CHECK(says(replies[at], words));
        swm_reply_free(replies[at]);
    }
}

static void an_error_in_the_middle_is_one_reply_of_many(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *reply;
    append(handle, "SET pipeline:text abc");
    append(handle, "INCR pipeline:text");
    append(handle, "GET pipeline:text");
    reply = next(handle);
    CHECK(says(reply, "OK"));
    swm_reply_free(reply);
    reply = next(handle);
    NUMBER(swm_reply_type(reply), SWM_REPLY_ERROR);
    swm_reply_free(reply);
    reply = next(handle);
    CHECK(says(reply, "abc"));
    swm_reply_free(reply);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void a_command_waits_until_the_pipeline_is_taken(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *reply = NULL;
    append(handle, "ECHO one");
    append(handle, "ECHO two");
    FAILS(try_command(handle, "ECHO single", &reply), SWM_E_ARGUMENT);
    CHECK(strstr(err.message, "swm_handle_get_reply"));
    NUMBER(err.outcome, SWM_NOT_SENT);
    reply = next(handle);
    CHECK(says(reply, "one"));
    swm_reply_free(reply);
    reply = NULL;
    FAILS(try_command(handle, "ECHO single", &reply), SWM_E_ARGUMENT);
    CHECK(!reply);
    reply = next(handle);
    CHECK(says(reply, "two"));
    swm_reply_free(reply);
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void what_is_appended_meanwhile_comes_after_what_was_sent(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    const char *expected[] = {"one", "two", "three"};
    swm_reply *reply = NULL;
    int at;
    append(handle, "ECHO one");
    append(handle, "ECHO two");
    for (at = 0; at < 3; at++) {
        reply = next(handle);
        CHECK(says(reply, expected[at]));
        swm_reply_free(reply);
        if (at == 0)
            append(handle, "ECHO three");
    }
    FAILS(swm_handle_get_reply(handle, &reply, &err), SWM_E_NOTHING);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void replies_that_nobody_took_are_dropped_at_the_release(const char *url)
{
    swm_factory *factory = open_with(url, "max_size=1");
    swm_handle *handle = get(factory);
    swm_reply *kept, *reply;
    append(handle, "ECHO taken");
    append(handle, "ECHO dropped");
    kept = next(handle);
    append(handle, "SET pipeline:never sent");
    swm_handle_release(handle);
    CHECK(says(kept, "taken"));
    /* The connection is the same, and what is asked next is answered next. */
    handle = get(factory);
    FAILS(swm_handle_get_reply(handle, &reply, &err), SWM_E_NOTHING);
    reply = command(handle, "ECHO next");
    CHECK(says(reply, "next"));
    swm_reply_free(reply);
    NUMBER(count(handle, "EXISTS pipeline:never"), 0);
    NUMBER(stats(factory).connections_created, 1);
    swm_handle_release(handle);
    swm_factory_close(factory);
    swm_reply_free(kept);
}

static void a_command_that_cannot_be_appended_leaves_the_pipeline_as_it_was(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    const char *argv[] = {"ECHO", NULL};
    swm_reply *reply = NULL;
    append(handle, "ECHO good");
    FAILS(swm_handle_append_argv(handle, 2, argv, NULL, &err), SWM_E_NULL);
    FAILS(swm_handle_append_argv(handle, 0, argv, NULL, &err), SWM_E_ARGUMENT);
    reply = next(handle);
    CHECK(says(reply, "good"));
    swm_reply_free(reply);
    FAILS(swm_handle_get_reply(handle, &reply, &err), SWM_E_NOTHING);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void a_pipeline_that_failed_is_over(const char *url)
{
    swm_factory *factory = open_with(url, "command_timeout=300ms");
    swm_handle *handle = get(factory);
    swm_reply *reply = NULL;
    request("ignore GET");
    append(handle, "ECHO one");
    append(handle, "GET two");
    FAILS(swm_handle_get_reply(handle, &reply, &err), SWM_E_COMMAND_TIMEOUT);
    NUMBER(err.outcome, SWM_UNKNOWN);
    request("behave");
    FAILS(swm_handle_get_reply(handle, &reply, &err), SWM_E_NOTHING);
    CHECK(!reply);
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(factory);
}

const struct test pipeline_tests[] = {
    {"a_thousand_commands_bring_a_thousand_replies_in_order",
     a_thousand_commands_bring_a_thousand_replies_in_order},
    {"an_error_in_the_middle_is_one_reply_of_many", an_error_in_the_middle_is_one_reply_of_many},
    {"a_command_waits_until_the_pipeline_is_taken", a_command_waits_until_the_pipeline_is_taken},
    {"what_is_appended_meanwhile_comes_after_what_was_sent",
     what_is_appended_meanwhile_comes_after_what_was_sent},
    {"replies_that_nobody_took_are_dropped_at_the_release",
     replies_that_nobody_took_are_dropped_at_the_release},
    {"a_command_that_cannot_be_appended_leaves_the_pipeline_as_it_was",
     a_command_that_cannot_be_appended_leaves_the_pipeline_as_it_was},
    {"a_pipeline_that_failed_is_over", a_pipeline_that_failed_is_over},
    {NULL, NULL},
};
