/* Events, by a call that waits and by a descriptor. */

#include "check.h"

#include <poll.h>
#include <pthread.h>
#include <time.h>

static swm_event *next(swm_factory *factory)
{
    swm_event *event = NULL;
    OK(swm_factory_next_event(factory, patience_ms(), &event, &err));
    CHECK(event);
    return event;
}

static swm_event *next_of(swm_factory *factory, int kind)
{
    for (;;) {
        swm_event *event = next(factory);
        if (swm_event_type(event) == kind)
            return event;
        swm_event_free(event);
    }
}

static int events_fd(swm_factory *factory)
{
    int fd = -1;
    OK(swm_factory_event_fd(factory, &fd, &err));
    CHECK(fd >= 0);
    return fd;
}

/* Whether there is something to read, within a time. */
static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd polled;
    polled.fd = fd;
    polled.events = POLLIN;
    polled.revents = 0;
    CHECK(poll(&polled, 1, timeout_ms) >= 0);
    CHECK((polled.revents & ~(POLLIN | POLLHUP)) == 0);
    return polled.revents != 0;
}

/* Takes what there is, without waiting, until it is this; as a loop around poll() does. */
static bool take(swm_factory *factory, int kind)
{
    swm_event *event = NULL;
    bool found = false;
    while (!found && swm_factory_next_event(factory, 0, &event, &err) == SWM_OK) {
        found = swm_event_type(event) == kind;
        swm_event_free(event);
    }
    return found;
}

static void describes_itself(const swm_event *event)
{
    char line[8192];
    CHECK(swm_event_text(event)[0] && !strchr(swm_event_text(event), '\n'));
    CHECK(snprintf(line, sizeof(line), "json name %s", swm_event_json(event)) < (int)sizeof(line));
    TEXT(request("%s", line), swm_event_name(event));
}

static int64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void an_event_is_waited_for(const char *url)
{
    swm_factory *factory = open_with(url, "leak_after=200ms");
    swm_event *event = NULL;
    swm_handle *handle;
    int64_t before = clock_ms(), at;
    while (swm_factory_next_event(factory, 0, &event, &err) == SWM_OK)
        swm_event_free(event);
    FAILS(swm_factory_next_event(factory, 0, &event, &err), SWM_E_NOTHING);
    FAILS(swm_factory_next_event(factory, 10, &event, &err), SWM_E_NOTHING);
    handle = get(factory);
    event = next_of(factory, SWM_EVENT_LEAKED);
    TEXT(swm_event_name(event), "leaked");
    NUMBER(swm_event_generation(event), 1);
    CHECK(!swm_event_address(event) && !swm_event_previous(event));
    at = swm_event_time_ms(event);
    CHECK(at >= before && at <= clock_ms());
    describes_itself(event);
    swm_handle_release(handle);
    swm_factory_close(factory);
    /* It outlives its factory. */
    describes_itself(event);
    swm_event_free(event);
    swm_event_free(NULL);
}

static void a_descriptor_is_readable_while_there_are_events(const char *url)
{
    swm_factory *factory = open_with(url, "leak_after=200ms");
    int fd = events_fd(factory);
    swm_handle *handle;
    NUMBER(events_fd(factory), fd);
    /* What happened at the start is taken; then it is silent in the end. */
    WAIT_FOR(!take(factory, -1) && !is_readable(fd, 0));
    handle = get(factory);
    do
        CHECK(is_readable(fd, (int)patience_ms()));
    while (!take(factory, SWM_EVENT_LEAKED));
    swm_handle_release(handle);
    WAIT_FOR(!take(factory, -1) && !is_readable(fd, 0));
    swm_factory_close(factory);
}

static void one_of_many_events_leaves_the_descriptor_readable(const char *url)
{
    swm_factory *factory = open_with(url, "leak_after=100ms&max_size=4");
    int fd = events_fd(factory), at;
    swm_handle *handles[4];
    for (at = 0; at < 4; at++)
        handles[at] = get(factory);
    WAIT_FOR(stats(factory).leaks == 4);
    for (at = 0; at < 4; at++) {
        CHECK(is_readable(fd, (int)patience_ms()));
        swm_event_free(next_of(factory, SWM_EVENT_LEAKED));
    }
    for (at = 0; at < 4; at++)
        swm_handle_release(handles[at]);
    swm_factory_close(factory);
}

static void a_switch_is_told_with_both_masters(const char *url)
{
    swm_factory *factory = open_factory(url);
    int fd = events_fd(factory);
    char old[64];
    char *new_master = NULL;
    swm_event *event;
    snprintf(old, sizeof(old), "%s", request("master"));
    request("failover");
    CHECK(is_readable(fd, (int)patience_ms()));
    do
        event = next_of(factory, SWM_EVENT_SWITCHED);
    while (swm_event_generation(event) != 2 && (swm_event_free(event), true));
    TEXT(swm_event_name(event), "switched");
    TEXT(swm_event_previous(event), old);
    OK(swm_factory_master(factory, &new_master, &err));
    TEXT(swm_event_address(event), new_master);
    CHECK(strcmp(old, new_master) != 0);
    describes_itself(event);
    swm_event_free(event);
    swm_string_free(new_master);
    swm_factory_close(factory);
}

static void *waits_until_closed(void *factory)
{
    swm_event *event = NULL;
    swm_status status;
    while ((status = swm_factory_next_event(factory, patience_ms(), &event, &err)) == SWM_OK)
        swm_event_free(event);
    /* Closed while it waited, or before it came back to wait. */
    CHECK(status == SWM_E_CLOSED || status == SWM_E_DEAD);
    return NULL;
}

static void closing_wakes_who_waits_for_events(const char *url)
{
    swm_factory *factory = open_factory(url);
    pthread_t thread;
    int fd = events_fd(factory);
    NUMBER(pthread_create(&thread, NULL, waits_until_closed, factory), 0);
    WAIT_FOR(!is_readable(fd, 0));
    swm_factory_close(factory);
    NUMBER(pthread_join(thread, NULL), 0);
    FAILS(swm_factory_event_fd(factory, &fd, &err), SWM_E_DEAD);
}

const struct test event_tests[] = {
    {"an_event_is_waited_for", an_event_is_waited_for},
    {"a_descriptor_is_readable_while_there_are_events",
     a_descriptor_is_readable_while_there_are_events},
    {"one_of_many_events_leaves_the_descriptor_readable",
     one_of_many_events_leaves_the_descriptor_readable},
    {"a_switch_is_told_with_both_masters", a_switch_is_told_with_both_masters},
    {"closing_wakes_who_waits_for_events", closing_wakes_who_waits_for_events},
    {NULL, NULL},
};
