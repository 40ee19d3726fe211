/*
 * A counter that survives failovers. Four threads increment it for as long as the input lasts, and at
 * the end its value has to lie between the increments that were acknowledged and those that may have
 * been made.
 *
 * usage: counter URL
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <switchmaster.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4
#define KEY "examples:counter"

/* What became of an increment. */
enum fate { ACKNOWLEDGED, DOUBTFUL, NOT_MADE };

struct counter {
    swm_factory *factory;
    pthread_mutex_t lock;
    /* Under the lock. */
    int64_t tally[3];
    bool stop;
};

static void pause_for(long milliseconds) {
    const struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

static enum fate failed(const char *what, const swm_error *err) {
    fprintf(stderr, "%s: %s\n", what, err->message);
    /* Only what was certainly not sent may be sent again. */
    return err->outcome == SWM_NOT_SENT ? NOT_MADE : DOUBTFUL;
}

/*
 * Increments once. A master that dies may have acknowledged what no replica has, so WAIT asks, in the
 * same round trip, for one that has it. An increment that only the master has is doubtful.
 */
static enum fate increment(const swm_factory *factory) {
    const char *const incr[] = {"INCR", KEY};
    const char *const wait[] = {"WAIT", "1", "100"};
    enum fate fate = DOUBTFUL;
    swm_error err;
    swm_handle *handle;
    swm_reply *incremented, *replicas;

    if (swm_factory_get(factory, 1000, &handle, &err) != SWM_OK)
        return failed("no handle", &err);
    if (swm_handle_append_argv(handle, 2, incr, NULL, &err) != SWM_OK ||
        swm_handle_append_argv(handle, 3, wait, NULL, &err) != SWM_OK ||
        swm_handle_get_reply(handle, &incremented, &err) != SWM_OK) {
        fate = failed("INCR", &err);
    } else {
        if (swm_reply_type(incremented) == SWM_REPLY_ERROR) {
            /* The server refused it. */
            fprintf(stderr, "INCR: %s\n", swm_reply_str(incremented, NULL));
            fate = NOT_MADE;
        }
        if (swm_handle_get_reply(handle, &replicas, &err) == SWM_OK) {
            if (fate == DOUBTFUL && swm_reply_integer(replicas) > 0)
                fate = ACKNOWLEDGED;
            swm_reply_free(replicas);
        }
        swm_reply_free(incremented);
    }
    swm_handle_release(handle);
    return fate;
}

static void *work(void *argument) {
    struct counter *counter = argument;
    bool stop = false;
    while (!stop) {
        enum fate fate = increment(counter->factory);
        pthread_mutex_lock(&counter->lock);
        counter->tally[fate]++;
        stop = counter->stop;
        pthread_mutex_unlock(&counter->lock);
        /* One that was not made is made by the next turn. */
        pause_for(fate == ACKNOWLEDGED ? 1 : 10);
    }
    return NULL;
}

/* Runs a command, again and again until it gets through. Only for what may run twice. */
static swm_reply *insist(const swm_factory *factory, size_t argc, const char *const *argv) {
    swm_error err;
    swm_handle *handle;
    swm_reply *reply = NULL;
    int attempt;
    for (attempt = 0; attempt < 100 && reply == NULL; attempt++) {
        if (attempt > 0)
            pause_for(100);
        if (swm_factory_get(factory, 1000, &handle, &err) != SWM_OK)
            continue;
        if (swm_handle_command_argv(handle, argc, argv, NULL, &reply, &err) != SWM_OK)
            reply = NULL;
        swm_handle_release(handle);
    }
    if (reply == NULL) {
        fprintf(stderr, "%s: %s\n", argv[0], err.message);
        exit(1);
    }
    return reply;
}

/* Whether the input ended within a second. */
static bool ended(void) {
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    char byte;
    return poll(&input, 1, 1000) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
}

int main(int argc, char **argv) {
    const char *const set[] = {"SET", KEY, "0"};
    const char *const get[] = {"GET", KEY};
    struct counter counter = {0};
    pthread_t threads[THREADS];
    swm_error err;
    swm_reply *reply;
    uint64_t generation;
    int64_t value, least, most;
    bool stop = false;
    int i;

    if (argc != 2) {
        fprintf(stderr, "usage: counter URL\n");
        return 2;
    }
    if (swm_factory_open(argv[1], &counter.factory, &err) != SWM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    swm_reply_free(insist(counter.factory, 3, set));

    pthread_mutex_init(&counter.lock, NULL);
    for (i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, &counter) != 0)
            abort();
    while (!stop) {
        stop = ended();
        if (swm_factory_generation(counter.factory, &generation, NULL) != SWM_OK)
            generation = 0;
        pthread_mutex_lock(&counter.lock);
        counter.stop = stop;
        printf("acknowledged %" PRId64 ", doubtful %" PRId64 ", generation %" PRIu64 "\n",
               counter.tally[ACKNOWLEDGED], counter.tally[DOUBTFUL], generation);
        pthread_mutex_unlock(&counter.lock);
    }
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&counter.lock);

    reply = insist(counter.factory, 2, get);
    value = strtoll(swm_reply_type(reply) == SWM_REPLY_STRING ? swm_reply_str(reply, NULL) : "-1",
                    NULL, 10);
    swm_reply_free(reply);
    swm_factory_close(counter.factory);

    least = counter.tally[ACKNOWLEDGED];
    most = least + counter.tally[DOUBTFUL];
    printf("between %" PRId64 " and %" PRId64 ": counter %" PRId64 "\n", least, most, value);
    return least <= value && value <= most ? 0 : 1;
}
