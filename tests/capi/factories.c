/* What a factory tells, and how it ends. */

#include "check.h"

#include <pthread.h>

static void generations_are_told_and_waited_for(const char *url)
{
    swm_factory *factory = open_factory(url);
    uint64_t number = 77;
    NUMBER(generation(factory), 1);
    OK(swm_factory_wait_for_generation(factory, 0, 0, &number, &err));
    NUMBER(number, 1);
    number = 77;
    FAILS(swm_factory_wait_for_generation(factory, 1, 20, &number, &err), SWM_E_NOTHING);
    TEXT(err.kind, "nothing");
    FAILS(swm_factory_wait_for_generation(factory, UINT64_MAX, 0, &number, &err), SWM_E_NOTHING);
    NUMBER(number, 77);
    swm_factory_close(factory);
}

static void the_master_and_the_topology_are_told(const char *url)
{
    swm_factory *factory = open_factory(url);
    char *text = NULL;
    char line[8192];
    OK(swm_factory_refresh(factory, &err));
    OK(swm_factory_master(factory, &text, &err));
    TEXT(text, request("master"));
    swm_string_free(text);
    OK(swm_factory_topology_json(factory, &text, &err));
    CHECK(!strchr(text, '\n'));
    CHECK(snprintf(line, sizeof(line), "json service %s", text) < (int)sizeof(line));
    TEXT(request("%s", line), "mymaster");
    swm_string_free(text);
    swm_string_free(NULL);
    swm_factory_close(factory);
}

static void statistics_fit_into_what_the_caller_has(const char *url)
{
    swm_factory *factory = open_with(url, "max_size=4");
    swm_handle *handle = get(factory);
    struct {
        swm_stats known;
        uint64_t later[4];
    } larger;
    swm_stats now = stats(factory), smaller;
    const size_t up_to_max = offsetof(swm_stats, max);
    static const size_t wrong[] = {0, 1, 4, 7, 9, 12, 17, sizeof(swm_stats) + 1, 1 << 20,
                                   SIZE_MAX};
    size_t at;
    NUMBER(now.max, 4);
    NUMBER(now.in_use, 1);
    NUMBER(now.checkouts, 1);
    NUMBER(now.switches, 1);
    NUMBER(now.watch_faults, 0);
    NUMBER(now.malformed_messages, 0);
    /* An older program knows fewer fields, */
    memset(&smaller, 0x5a, sizeof(smaller));
    smaller.struct_size = up_to_max;
    OK(swm_factory_stats(factory, &smaller, &err));
    NUMBER(smaller.struct_size, up_to_max);
    NUMBER(smaller.in_use, 1);
    NUMBER(smaller.max, 0x5a5a5a5a5a5a5a5aLL);
    /* and a newer one more, which this library knows nothing of. */
    memset(&larger, 0x5a, sizeof(larger));
    larger.known.struct_size = sizeof(larger);
    OK(swm_factory_stats(factory, &larger.known, &err));
    NUMBER(larger.known.max, 4);
    NUMBER(larger.known.malformed_messages, 0);
    for (at = 0; at < 4; at++)
        NUMBER(larger.later[at], 0);
    for (at = 0; at < sizeof(wrong) / sizeof(wrong[0]); at++) {
        now.struct_size = wrong[at];
        now.max = 99;
        FAILS(swm_factory_stats(factory, &now, &err), SWM_E_ARGUMENT);
        CHECK(strstr(err.message, "struct_size"));
        NUMBER(now.max, 99);
    }
    FAILS(swm_factory_stats(factory, NULL, &err), SWM_E_NULL);
    swm_handle_release(handle);
    NUMBER(stats(factory).in_use, 0);
    swm_factory_close(factory);
}

static void role_is(swm_handle *handle, const char *role)
{
    swm_reply *reply = command(handle, "ROLE");
    CHECK(says(swm_reply_element(reply, 0), role));
    swm_reply_free(reply);
    swm_handle_release(handle);
}

static swm_handle *get_from(swm_factory *factory, int32_t from)
{
    swm_handle *handle = NULL;
    OK(swm_factory_get_from(factory, from, &handle, &err));
    return handle;
}

static void handles_lead_to_the_node_that_was_asked_for(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = NULL;
    static const int32_t unknown[] = {-1, 4, 17, INT32_MAX, INT32_MIN};
    size_t at;
    OK(swm_factory_replica(factory, &handle, &err));
    role_is(handle, "slave");
    role_is(get_from(factory, SWM_READ_MASTER), "master");
    role_is(get_from(factory, SWM_READ_REPLICA), "slave");
    role_is(get_from(factory, SWM_READ_PREFER_REPLICA), "slave");
    handle = get_from(factory, SWM_READ_LOWEST_LATENCY);
    run(handle, "PING");
    swm_handle_release(handle);
    for (at = 0; at < sizeof(unknown) / sizeof(unknown[0]); at++)
        FAILS(swm_factory_get_from(factory, unknown[at], &handle, &err), SWM_E_ARGUMENT);
    swm_factory_close(factory);
}

static void without_replicas_there_is_the_master_or_an_error(const char *url)
{
    swm_factory *factory = open_with(url, "get_timeout=100ms");
    swm_handle *handle = NULL;
    FAILS(swm_factory_replica(factory, &handle, &err), SWM_E_NO_REPLICA);
    CHECK(!handle);
    role_is(get_from(factory, SWM_READ_PREFER_REPLICA), "master");
    swm_factory_close(factory);
}

static void *waits_for_a_handle(void *factory)
{
    swm_handle *handle = NULL;
    FAILS(swm_factory_get(factory, patience_ms(), &handle, &err), SWM_E_CLOSED);
    CHECK(!handle);
    return NULL;
}

static void *waits_for_a_generation(void *factory)
{
    uint64_t number = 0;
    FAILS(swm_factory_wait_for_generation(factory, 1, patience_ms(), &number, &err), SWM_E_CLOSED);
    return NULL;
}

static void *waits_for_an_element(void *handle)
{
    swm_reply *reply = NULL;
    FAILS(try_command(handle, "BLPOP close:never 0", &reply), SWM_E_CLOSED);
    return NULL;
}

static void closing_wakes_whoever_waits(const char *url)
{
    swm_factory *factory = open_with(url, "max_size=1");
    swm_handle *handle = get(factory), *none = NULL;
    pthread_t threads[3];
    size_t at;
    NUMBER(pthread_create(&threads[0], NULL, waits_for_a_handle, factory), 0);
    NUMBER(pthread_create(&threads[1], NULL, waits_for_a_generation, factory), 0);
    NUMBER(pthread_create(&threads[2], NULL, waits_for_an_element, handle), 0);
    WAIT_FOR(stats(factory).waiting == 1);
    WAIT_FOR(request_number("blocked") >= 1);
    swm_factory_close(factory);
    for (at = 0; at < 3; at++)
        NUMBER(pthread_join(threads[at], NULL), 0);
    swm_handle_release(handle);
    /* Its number is over, for every call. */
    FAILS(swm_factory_get(factory, 0, &none, &err), SWM_E_DEAD);
    CHECK(strstr(err.message, "swm_factory") && strstr(err.message, "closed"));
    FAILS(swm_factory_refresh(factory, &err), SWM_E_DEAD);
    swm_factory_close(factory);
    swm_factory_close(NULL);
}

const struct test factory_tests[] = {
    {"generations_are_told_and_waited_for", generations_are_told_and_waited_for},
    {"the_master_and_the_topology_are_told", the_master_and_the_topology_are_told},
    {"statistics_fit_into_what_the_caller_has", statistics_fit_into_what_the_caller_has},
    {"handles_lead_to_the_node_that_was_asked_for", handles_lead_to_the_node_that_was_asked_for},
    {"without_replicas_there_is_the_master_or_an_error",
     without_replicas_there_is_the_master_or_an_error},
    {"closing_wakes_whoever_waits", closing_wakes_whoever_waits},
    {NULL, NULL},
};
