/* Writes without a pause, and tells when writes were acknowledged again after a pause. It speaks the
 * lines that benches/languages/main.rs describes.
 *
 * usage: writer URL KEY */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "switchmaster.h"

/* What is shorter is no pause. */
enum { PAUSE_NS = 20000000 };

static volatile int ended;

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *wait_for_end(void *unused) {
    while (getchar() != EOF) {}
    ended = 1;
    return unused;
}

int main(int argc, char **argv) {
    swm_error err;
    swm_factory *factory;
    pthread_t waiting;
    uint64_t last = 0, acknowledged = 0, unknown = 0;
    if (argc != 3) return 2;
    if (swm_factory_open(argv[1], &factory, &err) != SWM_OK) {
        fprintf(stderr, "writer: %s\n", err.message);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_create(&waiting, NULL, wait_for_end, NULL);
    while (!ended) {
        const char *words[] = {"INCR", argv[2]};
        swm_handle *handle;
        swm_reply *reply;
        if (swm_factory_get(factory, 30000, &handle, &err) != SWM_OK) continue;
        swm_status status = swm_handle_command_argv(handle, 2, words, NULL, &reply, &err);
        swm_handle_release(handle);
        if (status != SWM_OK) {
            unknown += err.outcome != SWM_NOT_SENT;
            continue;
        }
        if (swm_reply_type(reply) == SWM_REPLY_INTEGER) {
            uint64_t now = now_ns();
            if (acknowledged++ == 0)
                puts("ready");
            else if (now - last >= PAUSE_NS)
                printf("pause %llu %llu\n", (unsigned long long)last, (unsigned long long)now);
            last = now;
        }
        swm_reply_free(reply);
    }
    printf("end %llu %llu\n", (unsigned long long)acknowledged, (unsigned long long)unknown);
    swm_factory_close(factory);
    return 0;
}
