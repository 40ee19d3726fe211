/* Real failovers, seen from C. */

#include "check.h"

#include <pthread.h>

/* The failover itself takes a second or two; behind a tool it may take longer. */
#define PATIENT "command_timeout=60s&get_timeout=60s&fence_timeout=60s&client_name=c"

static void *pops(void *handle)
{
    swm_reply *reply = NULL;
    FAILS(try_command(handle, "BLPOP failover:never 0", &reply), SWM_E_SWITCHED);
    TEXT(err.kind, "switched");
    NUMBER(err.outcome, SWM_UNKNOWN);
    CHECK(!reply);
    return NULL;
}

static void a_frozen_master_wakes_its_readers_at_the_switch(const char *url)
{
    swm_factory *factory = open_with(url, PATIENT);
    swm_handle *handle = get(factory);
    pthread_t reader;
    request("calm c");
    NUMBER(pthread_create(&reader, NULL, pops, handle), 0);
    WAIT_FOR(request_number("blocked") == 1);
    request("freeze");
    wait_for_switch(factory, 1);
    NUMBER(pthread_join(reader, NULL), 0);
    /* It held no state, so it goes on with the new master. */
    run(handle, "SET failover:after freeze");
    NUMBER(swm_handle_generation(handle), generation(factory));
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void *pops_until_the_end(void *handle)
{
    swm_reply *reply = NULL;
    swm_status status = try_command(handle, "BLPOP failover:never 0", &reply);
    CHECK(status == SWM_E_DISCONNECTED || status == SWM_E_SWITCHED);
    NUMBER(err.status, status);
    NUMBER(err.outcome, SWM_UNKNOWN);
    return NULL;
}

static void the_first_write_after_a_kill_goes_through(const char *url)
{
    swm_factory *factory = open_with(url, PATIENT);
    swm_handle *handle = get(factory), *blocked = get(factory);
    char *master = NULL;
    char old[64];
    pthread_t reader;
    request("calm c");
    snprintf(old, sizeof(old), "%s", request("master"));
    NUMBER(count(handle, "INCR failover:kill"), 1);
    /* Every node has it before it is the only one that is left. */
    request("replicated");
    NUMBER(pthread_create(&reader, NULL, pops_until_the_end, blocked), 0);
    WAIT_FOR(request_number("blocked") == 1);
    request("kill");
    NUMBER(pthread_join(reader, NULL), 0);
    NUMBER(count(handle, "INCR failover:kill"), 2);
    NUMBER(generation(factory), 2);
    NUMBER(swm_handle_generation(handle), 2);
    OK(swm_factory_master(factory, &master, &err));
    CHECK(strcmp(master, old) != 0);
    swm_string_free(master);
    /* What was in flight may be sent again by who knows that it may run twice. */
    run(blocked, "PING");
    swm_handle_release(blocked);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

#define WRITERS 4

struct load {
    swm_factory *factory;
    const volatile bool *stop;
    volatile long written;
    long unknown;
};

static void *increments(void *argument)
{
    struct load *load = argument;
    while (!*load->stop) {
        swm_handle *handle = get(load->factory);
        swm_reply *reply = NULL;
        swm_status status = try_command(handle, "INCR failover:count", &reply);
        if (status == SWM_OK && swm_reply_type(reply) == SWM_REPLY_INTEGER)
            load->written++;
        else if (status != SWM_OK && err.outcome == SWM_UNKNOWN)
            load->unknown++;
        else if (status != SWM_OK && err.outcome != SWM_NOT_SENT)
            check_failed(__FILE__, __LINE__, "%d: %s", status, err.message);
        if (status == SWM_OK)
            swm_reply_free(reply);
        swm_handle_release(handle);
        pause_ms(1);
    }
    return NULL;
}

static long written(const struct load *loads)
{
    long sum = 0;
    int writer;
    for (writer = 0; writer < WRITERS; writer++)
        sum += loads[writer].written;
    return sum;
}

static void a_planned_failover_loses_nothing(const char *url)
{
    swm_factory *factory = open_with(url, PATIENT "&max_size=4");
    volatile bool stop = false;
    struct load loads[WRITERS];
    pthread_t threads[WRITERS];
    swm_handle *handle;
    long acknowledged, unknown = 0, more;
    long long counted;
    int writer;
    request("calm c");
    memset(loads, 0, sizeof(loads));
    for (writer = 0; writer < WRITERS; writer++) {
        loads[writer].factory = factory;
        loads[writer].stop = &stop;
        NUMBER(pthread_create(&threads[writer], NULL, increments, &loads[writer]), 0);
    }
    WAIT_FOR(written(loads) > 100);
    request("failover");
    wait_for_switch(factory, 1);
    more = written(loads) + 100;
    WAIT_FOR(written(loads) > more);
    stop = true;
    for (writer = 0; writer < WRITERS; writer++) {
        NUMBER(pthread_join(threads[writer], NULL), 0);
        unknown += loads[writer].unknown;
    }
    acknowledged = written(loads);
    handle = get(factory);
    counted = count(handle, "INCRBY failover:count 0");
    swm_handle_release(handle);
    /* Where nobody told of the order in time, what may be lost is told. */
    CHECK(counted + (long long)stats(factory).overruled_commands >= acknowledged);
    CHECK(counted <= acknowledged + unknown);
    NUMBER(stats(factory).watch_faults, 0);
    swm_factory_close(factory);
}

static void a_handle_with_state_is_refused_after_the_switch(const char *url)
{
    swm_factory *factory = open_with(url, PATIENT);
    swm_handle *queueing = get(factory), *plain = get(factory);
    swm_reply *reply = NULL;
    run(queueing, "MULTI");
    run(plain, "SET failover:state before");
    request("failover");
    wait_for_switch(factory, 1);
    FAILS(try_command(queueing, "SET failover:state queued", &reply), SWM_E_SWITCHED);
    NUMBER(err.outcome, SWM_NOT_SENT);
    FAILS(try_command(queueing, "PING", &reply), SWM_E_POISONED);
    NUMBER(err.outcome, SWM_NOT_SENT);
    TEXT(err.kind, "poisoned");
    CHECK(!reply);
    NUMBER(swm_handle_fd(queueing), -1);
    NUMBER(swm_handle_generation(queueing), 0);
    run(plain, "SET failover:state after");
    NUMBER(swm_handle_generation(plain), 2);
    swm_handle_release(queueing);
    swm_handle_release(plain);
    swm_factory_close(factory);
}

static void *takes(void *factory)
{
    swm_handle *handle = get(factory);
    NUMBER(swm_handle_generation(handle), 2);
    run(handle, "INCR failover:waited");
    swm_handle_release(handle);
    return NULL;
}

static void waiters_of_an_exhausted_pool_move_to_the_new_master(const char *url)
{
    swm_factory *factory = open_with(url, PATIENT "&max_size=1");
    swm_handle *held = get(factory), *handle;
    pthread_t waiters[2];
    int waiter;
    for (waiter = 0; waiter < 2; waiter++)
        NUMBER(pthread_create(&waiters[waiter], NULL, takes, factory), 0);
    WAIT_FOR(stats(factory).waiting == 2);
    request("failover");
    wait_for_switch(factory, 1);
    for (waiter = 0; waiter < 2; waiter++)
        NUMBER(pthread_join(waiters[waiter], NULL), 0);
    /* What is held belongs to the generation before, and does not count. */
    NUMBER(swm_handle_generation(held), 1);
    handle = get(factory);
    NUMBER(count(handle, "INCRBY failover:waited 0"), 2);
    swm_handle_release(handle);
    swm_handle_release(held);
    swm_factory_close(factory);
}

const struct test failover_tests[] = {
    {"a_frozen_master_wakes_its_readers_at_the_switch",
     a_frozen_master_wakes_its_readers_at_the_switch},
    {"the_first_write_after_a_kill_goes_through", the_first_write_after_a_kill_goes_through},
    {"a_planned_failover_loses_nothing", a_planned_failover_loses_nothing},
    {"a_handle_with_state_is_refused_after_the_switch",
     a_handle_with_state_is_refused_after_the_switch},
    {"waiters_of_an_exhausted_pool_move_to_the_new_master",
     waiters_of_an_exhausted_pool_move_to_the_new_master},
    {NULL, NULL},
};
