/* Several threads: on one factory, and on one handle. */

#include "check.h"

#include <pthread.h>

#define THREADS 8
#define ROUNDS 100

static void *works(void *factory)
{
    int round;
    for (round = 0; round < ROUNDS; round++) {
        swm_handle *handle = get(factory);
        CHECK(count(handle, "INCR threads:shared") > 0);
        swm_handle_release(handle);
    }
    return NULL;
}

static void many_threads_share_a_factory(const char *url)
{
    swm_factory *factory = open_with(url, "max_size=3");
    pthread_t threads[THREADS];
    swm_handle *handle = get(factory);
    swm_stats now;
    int thread;
    run(handle, "DEL threads:shared");
    swm_handle_release(handle);
    for (thread = 0; thread < THREADS; thread++)
        NUMBER(pthread_create(&threads[thread], NULL, works, factory), 0);
    for (thread = 0; thread < THREADS; thread++)
        NUMBER(pthread_join(threads[thread], NULL), 0);
    handle = get(factory);
    NUMBER(count(handle, "INCRBY threads:shared 0"), THREADS * ROUNDS);
    swm_handle_release(handle);
    now = stats(factory);
    NUMBER(now.checkouts, THREADS * ROUNDS + 2);
    NUMBER(now.in_use, 0);
    CHECK(now.connections_created <= 3);
    NUMBER(now.connections_broken, 0);
    swm_factory_close(factory);
}

static void *opens_and_closes(void *url)
{
    int round;
    for (round = 0; round < 5; round++) {
        swm_factory *factory = open_factory(url);
        run(get(factory), "PING");
        swm_factory_close(factory);
    }
    return NULL;
}

static void many_threads_open_and_close_factories(const char *url)
{
    pthread_t threads[THREADS];
    int thread;
    for (thread = 0; thread < THREADS; thread++)
        NUMBER(pthread_create(&threads[thread], NULL, opens_and_closes, (void *)(uintptr_t)url), 0);
    for (thread = 0; thread < THREADS; thread++)
        NUMBER(pthread_join(threads[thread], NULL), 0);
}

static void *pops(void *handle)
{
    swm_reply *reply = command(handle, "BLPOP threads:pop 0");
    CHECK(says(swm_reply_element(reply, 1), "element"));
    swm_reply_free(reply);
    return NULL;
}

static void a_handle_that_another_thread_uses_is_busy(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory), *other = get(factory);
    swm_reply *reply = NULL;
    const char *ping = "PING", *bytes = NULL;
    size_t len = 0;
    pthread_t thread;
    NUMBER(pthread_create(&thread, NULL, pops, handle), 0);
    WAIT_FOR(request_number("blocked") >= 1 && swm_handle_fd(handle) == -1);
    FAILS(try_command(handle, "PING", &reply), SWM_E_BUSY);
    TEXT(err.kind, "busy");
    NUMBER(err.outcome, SWM_NOT_SENT);
    CHECK(strstr(err.message, "swm_handle"));
    FAILS(swm_handle_append_argv(handle, 1, &ping, NULL, &err), SWM_E_BUSY);
    FAILS(swm_handle_get_reply(handle, &reply, &err), SWM_E_BUSY);
    FAILS(swm_handle_exchange(handle, "*1\r\n$4\r\nPING\r\n", 14, &bytes, &len, &err), SWM_E_BUSY);
    NUMBER(swm_handle_generation(handle), 0);
    CHECK(!reply && !bytes);
    /* It cannot be taken away from under the other. */
    swm_handle_release(handle);
    NUMBER(stats(factory).in_use, 2);
    NUMBER(count(other, "RPUSH threads:pop element"), 1);
    NUMBER(pthread_join(thread, NULL), 0);
    run(handle, "PING");
    swm_handle_release(handle);
    swm_handle_release(other);
    NUMBER(stats(factory).in_use, 0);
    swm_factory_close(factory);
}

static void *rivals(void *handle)
{
    long served = 0;
    int round;
    for (round = 0; round < 20 * ROUNDS; round++) {
        swm_reply *reply = NULL;
        swm_status status = try_command(handle, "INCR threads:rivals", &reply);
        if (status == SWM_OK) {
            CHECK(swm_reply_integer(reply) > 0);
            swm_reply_free(reply);
            served++;
        } else {
            NUMBER(status, SWM_E_BUSY);
        }
    }
    return (void *)(intptr_t)served;
}

static void threads_that_fight_for_a_handle_get_a_reply_or_nothing(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    pthread_t threads[THREADS];
    long long served = 0;
    int thread;
    run(handle, "DEL threads:rivals");
    for (thread = 0; thread < THREADS; thread++)
        NUMBER(pthread_create(&threads[thread], NULL, rivals, handle), 0);
    for (thread = 0; thread < THREADS; thread++) {
        void *own = NULL;
        NUMBER(pthread_join(threads[thread], &own), 0);
        served += (intptr_t)own;
    }
    CHECK(served > 0);
    NUMBER(count(handle, "INCRBY threads:rivals 0"), served);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

struct waiter {
    swm_factory *factory;
    pthread_t thread;
    long long place;
};

static void *takes_its_turn(void *argument)
{
    struct waiter *waiter = argument;
    swm_handle *handle = get(waiter->factory);
    waiter->place = count(handle, "INCR threads:turn");
    swm_handle_release(handle);
    return NULL;
}

static void waiters_of_an_exhausted_pool_are_served_in_their_order(const char *url)
{
    swm_factory *factory = open_with(url, "max_size=1");
    swm_handle *held = get(factory), *none = NULL;
    struct waiter waiters[THREADS];
    int at;
    FAILS(swm_factory_get(factory, 0, &none, &err), SWM_E_POOL_TIMEOUT);
    FAILS(swm_factory_get(factory, 20, &none, &err), SWM_E_POOL_TIMEOUT);
    TEXT(err.kind, "pool-timeout");
    NUMBER(err.outcome, SWM_NOT_SENT);
    CHECK(strstr(err.message, "max_size") && !none);
    run(held, "DEL threads:turn");
    for (at = 0; at < THREADS; at++) {
        waiters[at].factory = factory;
        NUMBER(pthread_create(&waiters[at].thread, NULL, takes_its_turn, &waiters[at]), 0);
        WAIT_FOR(stats(factory).waiting == (uint64_t)at + 1);
    }
    swm_handle_release(held);
    for (at = 0; at < THREADS; at++) {
        NUMBER(pthread_join(waiters[at].thread, NULL), 0);
        NUMBER(waiters[at].place, at + 1);
    }
    NUMBER(stats(factory).timeouts, 2);
    NUMBER(stats(factory).waits, THREADS);
    swm_factory_close(factory);
}

static void *releases(void *handle)
{
    run(handle, "PING");
    swm_handle_release(handle);
    return NULL;
}

static void a_handle_may_be_released_by_another_thread(const char *url)
{
    swm_factory *factory = open_with(url, "max_size=1");
    int round;
    for (round = 0; round < 20; round++) {
        pthread_t thread;
        NUMBER(pthread_create(&thread, NULL, releases, get(factory)), 0);
        NUMBER(pthread_join(thread, NULL), 0);
    }
    NUMBER(stats(factory).in_use, 0);
    NUMBER(stats(factory).connections_created, 1);
    swm_factory_close(factory);
}

const struct test thread_tests[] = {
    {"many_threads_share_a_factory", many_threads_share_a_factory},
    {"many_threads_open_and_close_factories", many_threads_open_and_close_factories},
    {"a_handle_that_another_thread_uses_is_busy", a_handle_that_another_thread_uses_is_busy},
    {"threads_that_fight_for_a_handle_get_a_reply_or_nothing",
     threads_that_fight_for_a_handle_get_a_reply_or_nothing},
    {"waiters_of_an_exhausted_pool_are_served_in_their_order",
     waiters_of_an_exhausted_pool_are_served_in_their_order},
    {"a_handle_may_be_released_by_another_thread", a_handle_may_be_released_by_another_thread},
    {NULL, NULL},
};
