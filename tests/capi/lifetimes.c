/* What is left when everything was given back: nothing. */

#include "check.h"

#include <dirent.h>
#include <malloc.h>

/* A leak of 1 KiB by each of a thousand breaks it; what grows once does not. */
#define TOLERANCE (512L << 10)

static long entries(const char *folder)
{
    long number = 0;
    DIR *opened = opendir(folder);
    CHECK(opened);
    while (readdir(opened))
        number++;
    closedir(opened);
    return number;
}

/* Bytes that were allocated and not freed. */
static long allocated(void)
{
    struct mallinfo2 now = mallinfo2();
    return (long)(now.uordblks + now.hblkhd);
}

static void uses_everything(const char *url)
{
    const char *channel = "lifetime:news";
    swm_options *options = NULL;
    swm_factory *factory = NULL;
    swm_handle *handle, *kept;
    swm_subscription *subscription = NULL;
    swm_event *event = NULL;
    swm_reply *reply = NULL;
    char *text = NULL;
    int fd;
    OK(swm_options_new(url, &options, &err));
    OK(swm_options_set(options, "client_name", "short-lived", &err));
    OK(swm_factory_open_options(options, &factory, &err));
    swm_options_free(options);
    OK(swm_factory_event_fd(factory, &fd, &err));
    OK(swm_factory_subscribe(factory, 1, &channel, NULL, &subscription, &err));
    OK(swm_factory_topology_json(factory, &text, &err));
    swm_string_free(text);
    OK(swm_factory_master(factory, &text, &err));
    swm_string_free(text);
    handle = get(factory);
    kept = get(factory);
    run(handle, "SET lifetime value");
    append(handle, "GET lifetime");
    append(handle, "GET lifetime");
    OK(swm_handle_get_reply(handle, &reply, &err));
    swm_handle_release(handle);
    swm_reply_free(reply);
    while (swm_factory_next_event(factory, 0, &event, &err) == SWM_OK)
        swm_event_free(event);
    FAILS(swm_factory_wait_for_generation(factory, 1, 0, NULL, &err), SWM_E_NULL);
    swm_factory_close(factory);
    /* Some outlive it. */
    swm_handle_release(kept);
    swm_subscription_close(subscription);
}

static void a_thousand_factories_leave_nothing_behind(const char *url)
{
    const int rounds = is_under_a_tool() ? 30 : 1000, first = is_under_a_tool() ? 5 : 100;
    long descriptors, memory;
    int round;
    for (round = 0; round < first; round++)
        uses_everything(url);
    WAIT_FOR(entries("/proc/self/task") == 3);
    descriptors = entries("/proc/self/fd");
    memory = allocated();
    for (round = 0; round < rounds; round++)
        uses_everything(url);
    /* The one that runs, and the two entries that every folder has. */
    WAIT_FOR(entries("/proc/self/task") == 3);
    NUMBER(entries("/proc/self/fd"), descriptors);
    if (is_under_a_tool())
        return; /* It has memory of its own, and looks for leaks itself. */
    if (allocated() - memory > TOLERANCE)
        check_failed(__FILE__, __LINE__, "%d factories left %ld bytes behind", rounds,
                     allocated() - memory);
}

static void what_fails_leaves_nothing_behind(const char *url)
{
    const int rounds = is_under_a_tool() ? 20 : 2000;
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_options *options = NULL;
    swm_factory *none = NULL;
    swm_reply *reply = NULL;
    long memory = 0;
    int round;
    for (round = 0; round < 2 * rounds; round++) {
        if (round == rounds)
            memory = allocated();
        FAILS(swm_factory_open("redis+sentinel://:secret@h:70000/x", &none, &err),
              SWM_E_INVALID_URL);
        FAILS(swm_options_new("nonsense", &options, &err), SWM_E_INVALID_URL);
        FAILS(try_command(handle, "MONITOR", &reply), SWM_E_INVALID_CONFIG);
        FAILS(swm_handle_get_reply(handle, &reply, &err), SWM_E_NOTHING);
        FAILS(swm_factory_get((swm_factory *)handle, 0, &handle, &err), SWM_E_DEAD);
        reply = command(handle, "INCR");
        swm_reply_free(reply);
    }
    if (!is_under_a_tool())
        CHECK(allocated() - memory < TOLERANCE);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

const struct test lifetime_tests[] = {
    {"a_thousand_factories_leave_nothing_behind", a_thousand_factories_leave_nothing_behind},
    {"what_fails_leaves_nothing_behind", what_fails_leaves_nothing_behind},
    {NULL, NULL},
};
