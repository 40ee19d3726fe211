/* fork(2): what a child may do with what its parent has, which is nothing. */

#include "check.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

/* Everything that a parent may have had when it forked. */
struct parent {
    swm_options *options;
    swm_factory *factory;
    swm_handle *handle;
    swm_subscription *subscription;
    swm_reply *reply;
    swm_event *event;
    const char *url;
};

static void in_a_child(void (*what)(const struct parent *), const struct parent *parent)
{
    int status = 0;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        what(parent);
        /* A tool would look for leaks at the end, and find what was its parent's threads'. */
        if (is_under_a_tool())
            execlp("true", "true", (char *)NULL);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void every_call_fails(const struct parent *p)
{
    const char *const word = "PING", *bytes = NULL;
    swm_options *options = NULL;
    swm_factory *factory = NULL;
    swm_handle *handle = NULL;
    swm_subscription *subscription = NULL;
    swm_reply *reply = NULL;
    swm_event *event = NULL;
    swm_delivery *delivery = NULL;
    char *text = NULL;
    swm_stats now;
    uint64_t number = 0;
    size_t len = 0;
    int fd = -1;
    now.struct_size = sizeof(now);
    FAILS(swm_options_new(NULL, &options, &err), SWM_E_FORKED);
    TEXT(err.kind, "forked");
    NUMBER(err.outcome, SWM_NOT_SENT);
    FAILS(swm_options_set(p->options, "db", "1", &err), SWM_E_FORKED);
    FAILS(swm_factory_open(p->url, &factory, &err), SWM_E_FORKED);
    FAILS(swm_factory_open_options(p->options, &factory, &err), SWM_E_FORKED);
    FAILS(swm_factory_get(p->factory, 0, &handle, &err), SWM_E_FORKED);
    FAILS(swm_factory_replica(p->factory, &handle, &err), SWM_E_FORKED);
    FAILS(swm_factory_get_from(p->factory, SWM_READ_MASTER, &handle, &err), SWM_E_FORKED);
    FAILS(swm_factory_generation(p->factory, &number, &err), SWM_E_FORKED);
    FAILS(swm_factory_wait_for_generation(p->factory, 0, 0, &number, &err), SWM_E_FORKED);
    FAILS(swm_factory_master(p->factory, &text, &err), SWM_E_FORKED);
    FAILS(swm_factory_topology_json(p->factory, &text, &err), SWM_E_FORKED);
    FAILS(swm_factory_stats(p->factory, &now, &err), SWM_E_FORKED);
    FAILS(swm_factory_refresh(p->factory, &err), SWM_E_FORKED);
    FAILS(swm_factory_next_event(p->factory, 0, &event, &err), SWM_E_FORKED);
    FAILS(swm_factory_event_fd(p->factory, &fd, &err), SWM_E_FORKED);
    FAILS(swm_factory_subscribe(p->factory, 1, &word, NULL, &subscription, &err), SWM_E_FORKED);
    FAILS(swm_factory_psubscribe(p->factory, 1, &word, NULL, &subscription, &err), SWM_E_FORKED);
    FAILS(swm_handle_command_argv(p->handle, 1, &word, NULL, &reply, &err), SWM_E_FORKED);
    FAILS(swm_handle_append_argv(p->handle, 1, &word, NULL, &err), SWM_E_FORKED);
    FAILS(swm_handle_get_reply(p->handle, &reply, &err), SWM_E_FORKED);
    FAILS(swm_handle_exchange(p->handle, "PING\r\n", 6, &bytes, &len, &err), SWM_E_FORKED);
    FAILS(swm_subscription_subscribe(p->subscription, 1, &word, NULL, &err), SWM_E_FORKED);
    FAILS(swm_subscription_psubscribe(p->subscription, 1, &word, NULL, &err), SWM_E_FORKED);
    FAILS(swm_subscription_unsubscribe(p->subscription, 1, &word, NULL, &err), SWM_E_FORKED);
    FAILS(swm_subscription_punsubscribe(p->subscription, 1, &word, NULL, &err), SWM_E_FORKED);
    FAILS(swm_subscription_next(p->subscription, 0, &delivery, &err), SWM_E_FORKED);
    NUMBER(swm_handle_generation(p->handle), 0);
    NUMBER(swm_handle_fd(p->handle), -1);
    CHECK(!options && !factory && !handle && !subscription && !reply && !event && !delivery && !text);
    NUMBER(swm_factory_refresh(p->factory, NULL), SWM_E_FORKED);
    /* What is plain memory is there, and is the child's own copy. */
    CHECK(says(p->reply, "text"));
    swm_reply_free(p->reply);
    CHECK(swm_event_text(p->event)[0]);
    swm_event_free(p->event);
}

static void everything_is_closed(const struct parent *p)
{
    swm_handle_release(p->handle);
    swm_subscription_close(p->subscription);
    swm_options_free(p->options);
    swm_factory_close(p->factory);
}

/* One that ends as programs do, with everything that runs at exit. */
static void it_exits(const struct parent *p)
{
    everything_is_closed(p);
    if (!is_under_a_tool())
        exit(0);
}

static long long client_id(swm_handle *handle)
{
    return count(handle, "CLIENT ID");
}

static void a_child_can_do_nothing_and_does_nothing_to_its_parent(const char *url)
{
    void (*const deeds[])(const struct parent *) = {every_call_fails, everything_is_closed, it_exits};
    struct parent p;
    const char *channel = "fork:news";
    swm_delivery *delivery = NULL;
    swm_factory *after;
    long long id;
    size_t at, len;
    int fd = -1;
    p.url = url;
    OK(swm_options_new(url, &p.options, &err));
    /* A handle that is out for longer makes an event. */
    p.factory = open_with(url, "leak_after=100ms");
    OK(swm_factory_event_fd(p.factory, &fd, &err));
    OK(swm_factory_subscribe(p.factory, 1, &channel, NULL, &p.subscription, &err));
    p.handle = get(p.factory);
    id = client_id(p.handle);
    p.reply = command(p.handle, "ECHO text");
    OK(swm_factory_next_event(p.factory, patience_ms(), &p.event, &err));
    for (at = 0; at < 3; at++) {
        in_a_child(deeds[at], &p);
        /* The parent goes on, on the same connections. */
        NUMBER(client_id(p.handle), id);
        request("publish fork:news text");
        OK(swm_subscription_next(p.subscription, patience_ms(), &delivery, &err));
        NUMBER(swm_delivery_type(delivery), SWM_DELIVERY_MESSAGE);
        CHECK(memcmp(swm_delivery_payload(delivery, &len), "text", 4) == 0);
        swm_delivery_free(delivery);
        CHECK(says(p.reply, "text"));
        NUMBER(stats(p.factory).connections_broken, 0);
        NUMBER(stats(p.factory).watch_faults, 0);
    }
    OK(swm_options_set(p.options, "db", "0", &err));
    OK(swm_factory_open_options(p.options, &after, &err));
    swm_factory_close(after);
    swm_reply_free(p.reply);
    swm_event_free(p.event);
    swm_handle_release(p.handle);
    swm_subscription_close(p.subscription);
    swm_options_free(p.options);
    swm_factory_close(p.factory);
}

static void it_opens_its_own(const struct parent *p)
{
    swm_factory *factory = open_factory(p->url);
    swm_handle *handle = get(factory);
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(factory);
}

struct lingering {
    swm_factory *factory;
    sem_t used, enough;
};

/* A thread that used a factory and outlives it. */
static void *lingers(void *argument)
{
    struct lingering *lingering = argument;
    swm_handle *handle = get(lingering->factory);
    run(handle, "PING");
    swm_handle_release(handle);
    NUMBER(sem_post(&lingering->used), 0);
    NUMBER(sem_wait(&lingering->enough), 0);
    return NULL;
}

static void a_child_opens_its_own_where_its_parent_has_none(const char *url)
{
    struct parent p;
    struct lingering lingering;
    pthread_t thread;
    memset(&p, 0, sizeof(p));
    p.url = url;
    /* Before the first, */
    in_a_child(it_opens_its_own, &p);
    lingering.factory = open_factory(url);
    NUMBER(sem_init(&lingering.used, 0, 0), 0);
    NUMBER(sem_init(&lingering.enough, 0, 0), 0);
    NUMBER(pthread_create(&thread, NULL, lingers, &lingering), 0);
    NUMBER(sem_wait(&lingering.used), 0);
    swm_factory_close(lingering.factory);
    /* One that is about to end may hold a lock, which the child would find locked for ever. */
    WAIT_FOR(entries("/proc/self/task") == 2);
    /* and after the last, though a thread is left that knew it. */
    in_a_child(it_opens_its_own, &p);
    NUMBER(sem_post(&lingering.enough), 0);
    NUMBER(pthread_join(thread, NULL), 0);
    in_a_child(it_opens_its_own, &p);
    it_opens_its_own(&p);
}

const struct test fork_tests[] = {
    {"a_child_can_do_nothing_and_does_nothing_to_its_parent",
     a_child_can_do_nothing_and_does_nothing_to_its_parent},
    {"a_child_opens_its_own_where_its_parent_has_none",
     a_child_opens_its_own_where_its_parent_has_none},
    {NULL, NULL},
};
