/* Subscriptions: messages, and gaps between them. */

#include "check.h"

#include <pthread.h>

static swm_subscription *subscribe(swm_factory *factory, const char *channel)
{
    swm_subscription *subscription = NULL;
    OK(swm_factory_subscribe(factory, 1, &channel, NULL, &subscription, &err));
    CHECK(subscription);
    return subscription;
}

static swm_delivery *next(swm_subscription *subscription)
{
    swm_delivery *delivery = NULL;
    OK(swm_subscription_next(subscription, patience_ms(), &delivery, &err));
    CHECK(delivery);
    return delivery;
}

static void is(const char *bytes, size_t len, const char *expected, size_t expected_len)
{
    CHECK(bytes);
    NUMBER(len, expected_len);
    CHECK(memcmp(bytes, expected, len) == 0);
}

/* Takes the next delivery, which is this message. */
static void brings(swm_subscription *subscription, const char *pattern, const char *channel,
                   const char *payload)
{
    swm_delivery *delivery = next(subscription);
    size_t len = 99;
    const char *text;
    NUMBER(swm_delivery_type(delivery), SWM_DELIVERY_MESSAGE);
    text = swm_delivery_channel(delivery, &len);
    is(text, len, channel, strlen(channel));
    text = swm_delivery_payload(delivery, &len);
    is(text, len, payload, strlen(payload));
    text = swm_delivery_pattern(delivery, &len);
    if (pattern)
        is(text, len, pattern, strlen(pattern));
    else
        CHECK(!text && len == 0);
    CHECK(swm_delivery_payload(delivery, NULL));
    CHECK(swm_delivery_generation(delivery) >= 1);
    CHECK(!swm_delivery_text(delivery));
    swm_delivery_free(delivery);
}

/* Takes a gap, which says nothing that only messages have. */
static void brings_a_gap(swm_subscription *subscription, uint64_t to_generation)
{
    swm_delivery *delivery = next(subscription);
    size_t len = 99;
    NUMBER(swm_delivery_type(delivery), SWM_DELIVERY_GAP);
    NUMBER(swm_delivery_generation(delivery), to_generation);
    CHECK(swm_delivery_text(delivery)[0]);
    CHECK(!swm_delivery_channel(delivery, &len) && len == 0);
    CHECK(!swm_delivery_pattern(delivery, NULL));
    CHECK(!swm_delivery_payload(delivery, &len) && len == 0);
    swm_delivery_free(delivery);
}

static void messages_come_by_channel_and_by_pattern(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_subscription *subscription = subscribe(factory, "c:news"), *patterns = NULL;
    const char *pattern = "c:n?ws", *more[] = {"c:more", "c:most"}, *wide = "c:m*";
    swm_delivery *none = NULL;
    OK(swm_factory_psubscribe(factory, 1, &pattern, NULL, &patterns, &err));
    FAILS(swm_subscription_next(subscription, 0, &none, &err), SWM_E_NOTHING);
    FAILS(swm_subscription_next(subscription, 10, &none, &err), SWM_E_NOTHING);
    request("publish c:news one");
    brings(subscription, NULL, "c:news", "one");
    brings(patterns, "c:n?ws", "c:news", "one");
    OK(swm_subscription_subscribe(subscription, 2, more, NULL, &err));
    OK(swm_subscription_psubscribe(subscription, 1, &wide, NULL, &err));
    OK(swm_subscription_unsubscribe(subscription, 1, more, NULL, &err));
    request("publish c:more two");
    brings(subscription, "c:m*", "c:more", "two");
    OK(swm_subscription_punsubscribe(subscription, 1, &wide, NULL, &err));
    request("publish c:more three");
    request("publish c:most four");
    brings(subscription, NULL, "c:most", "four");
    FAILS(swm_subscription_next(subscription, 0, &none, &err), SWM_E_NOTHING);
    CHECK(!none);
    swm_subscription_close(subscription);
    swm_subscription_close(patterns);
    swm_factory_close(factory);
}

static void names_and_payloads_may_hold_any_bytes(const char *url)
{
    static const char name[] = "c:\0\r\n\xff";
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    const char *names[] = {name}, *publish[] = {"PUBLISH", name, "pay\0load"};
    const size_t lens[] = {6}, all[] = {7, 6, 8};
    swm_subscription *subscription = NULL;
    swm_reply *reply = NULL;
    swm_delivery *delivery;
    const char *text;
    size_t len;
    OK(swm_factory_subscribe(factory, 1, names, lens, &subscription, &err));
    OK(swm_handle_command_argv(handle, 3, publish, all, &reply, &err));
    NUMBER(swm_reply_integer(reply), 1);
    swm_reply_free(reply);
    swm_handle_release(handle);
    delivery = next(subscription);
    swm_subscription_close(subscription);
    swm_factory_close(factory);
    /* It outlives both. */
    text = swm_delivery_channel(delivery, &len);
    is(text, len, name, 6);
    text = swm_delivery_payload(delivery, &len);
    is(text, len, "pay\0load", 8);
    swm_delivery_free(delivery);
    swm_delivery_free(NULL);
}

static void names_that_are_missing_are_told(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_subscription *subscription = NULL;
    const char *names[] = {"c:one", NULL};
    const size_t lens[] = {5, 3};
    FAILS(swm_factory_subscribe(factory, 0, names, NULL, &subscription, &err),
          SWM_E_INVALID_CONFIG);
    FAILS(swm_factory_subscribe(factory, 1, NULL, NULL, &subscription, &err), SWM_E_NULL);
    FAILS(swm_factory_subscribe(factory, 2, names, NULL, &subscription, &err), SWM_E_NULL);
    CHECK(strstr(err.message, "names[1]"));
    FAILS(swm_factory_psubscribe(factory, 2, names, lens, &subscription, &err), SWM_E_NULL);
    CHECK(strstr(err.message, "names[1]"));
    CHECK(!subscription);
    swm_factory_close(factory);
}

static void a_failover_is_a_gap_and_what_comes_after_it_is_complete(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_subscription *subscription = subscribe(factory, "c:gap");
    request("publish c:gap before");
    brings(subscription, NULL, "c:gap", "before");
    request("failover");
    wait_for_switch(factory, 1);
    brings_a_gap(subscription, 2);
    /* The sentinels name the new master a little later than it is followed. */
    request("reach c:gap after");
    brings(subscription, NULL, "c:gap", "after");
    swm_subscription_close(subscription);
    swm_factory_close(factory);
}

static void a_name_that_is_refused_after_its_call_returned_is_delivered_and_stops_no_other(const char *url)
{
    swm_factory *factory;
    swm_subscription *subscription;
    swm_handle *handle;
    const char *forbidden[] = {"c:secret"};
    swm_delivery *delivery;
    swm_status status;
    size_t len;
    const char *text;
    request("restrict c:ok");
    factory = open_with(url, "username=reader&password=pass&command_timeout=100ms&client_name=c");
    subscription = subscribe(factory, "c:ok");
    request("calm c");
    request("freeze");
    status = swm_subscription_subscribe(subscription, 1, forbidden, NULL, &err);
    CHECK(status == SWM_E_COMMAND_TIMEOUT || status == SWM_E_NO_MASTER);
    wait_for_switch(factory, 1);
    delivery = next(subscription);
    NUMBER(swm_delivery_type(delivery), SWM_DELIVERY_REFUSED);
    NUMBER(swm_delivery_generation(delivery), 2);
    text = swm_delivery_channel(delivery, &len);
    is(text, len, "c:secret", 8);
    CHECK(!swm_delivery_pattern(delivery, NULL));
    CHECK(!swm_delivery_payload(delivery, NULL));
    CHECK(strstr(swm_delivery_text(delivery), "c:secret"));
    swm_delivery_free(delivery);
    brings_a_gap(subscription, 2);
    handle = get(factory);
    NUMBER(count(handle, "PUBLISH c:ok heard"), 1);
    swm_handle_release(handle);
    brings(subscription, NULL, "c:ok", "heard");
    swm_subscription_close(subscription);
    swm_factory_close(factory);
}

static void *waits(void *subscription)
{
    swm_delivery *delivery = NULL;
    FAILS(swm_subscription_next(subscription, patience_ms(), &delivery, &err), SWM_E_CLOSED);
    CHECK(!delivery);
    return NULL;
}

/* Until another thread is inside. */
static bool is_busy(swm_subscription *subscription)
{
    swm_delivery *delivery = NULL;
    swm_status status = swm_subscription_next(subscription, 0, &delivery, &err);
    CHECK(status == SWM_E_BUSY || status == SWM_E_NOTHING);
    return status == SWM_E_BUSY;
}

static void another_thread_closes_it_and_is_told_that_it_is_busy_before(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_subscription *subscription = subscribe(factory, "c:closed");
    const char *more = "c:more";
    swm_delivery *delivery = NULL;
    pthread_t thread;
    NUMBER(pthread_create(&thread, NULL, waits, subscription), 0);
    WAIT_FOR(is_busy(subscription));
    FAILS(swm_subscription_subscribe(subscription, 1, &more, NULL, &err), SWM_E_BUSY);
    CHECK(strstr(err.message, "swm_subscription"));
    NUMBER(err.outcome, SWM_NOT_SENT);
    swm_subscription_close(subscription);
    NUMBER(pthread_join(thread, NULL), 0);
    FAILS(swm_subscription_next(subscription, 0, &delivery, &err), SWM_E_DEAD);
    swm_subscription_close(subscription);
    swm_subscription_close(NULL);
    swm_factory_close(factory);
}

static void a_subscription_ends_with_its_factory_and_wakes(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_subscription *subscription = subscribe(factory, "c:closed");
    swm_delivery *delivery = NULL;
    pthread_t thread;
    NUMBER(pthread_create(&thread, NULL, waits, subscription), 0);
    WAIT_FOR(is_busy(subscription));
    swm_factory_close(factory);
    NUMBER(pthread_join(thread, NULL), 0);
    FAILS(swm_subscription_next(subscription, patience_ms(), &delivery, &err), SWM_E_CLOSED);
    swm_subscription_close(subscription);
}

const struct test subscription_tests[] = {
    {"messages_come_by_channel_and_by_pattern", messages_come_by_channel_and_by_pattern},
    {"names_and_payloads_may_hold_any_bytes", names_and_payloads_may_hold_any_bytes},
    {"names_that_are_missing_are_told", names_that_are_missing_are_told},
    {"a_failover_is_a_gap_and_what_comes_after_it_is_complete",
     a_failover_is_a_gap_and_what_comes_after_it_is_complete},
    {"a_name_that_is_refused_after_its_call_returned_is_delivered_and_stops_no_other",
     a_name_that_is_refused_after_its_call_returned_is_delivered_and_stops_no_other},
    {"another_thread_closes_it_and_is_told_that_it_is_busy_before",
     another_thread_closes_it_and_is_told_that_it_is_busy_before},
    {"a_subscription_ends_with_its_factory_and_wakes",
     a_subscription_ends_with_its_factory_and_wakes},
    {NULL, NULL},
};
