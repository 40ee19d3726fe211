/*
 * A worker that takes jobs from a list. It sleeps in the server until there is one; when the master is
 * replaced it wakes, and goes on at the new one. The job `stop` ends it.
 *
 * usage: queue URL LIST
 */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <string.h>
#include <switchmaster.h>
#include <time.h>

/* Does a job: whether there are to be more. */
static bool work(const swm_reply *job) {
    size_t len;
    const char *text = swm_reply_str(job, &len);
    printf("job: %.*s\n", (int)len, text);
    return strcmp(text, "stop") != 0;
}

static void explain(const swm_error *err) {
    const struct timespec while_later = {0, 50000000};
    /*
     * SWM_UNKNOWN: the server may have taken a job out of the list, and it got lost on the way. Where
     * that must not be, take jobs with BLMOVE into a list of those that are under way, remove them
     * there when they are done, and look through it after this.
     */
    fprintf(stderr, "%s%s\n", err->message,
            err->outcome == SWM_UNKNOWN ? "; a job may be lost" : "");
    nanosleep(&while_later, NULL);
}

int main(int argc, char **argv) {
    const char *blpop[] = {"BLPOP", NULL, "0"};
    swm_error err;
    swm_factory *factory;
    swm_handle *handle;
    swm_reply *reply;
    bool more = true;

    if (argc != 3) {
        fprintf(stderr, "usage: queue URL LIST\n");
        return 2;
    }
    blpop[1] = argv[2];
    if (swm_factory_open(argv[1], &factory, &err) != SWM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (more) {
        if (swm_factory_get(factory, 5000, &handle, &err) != SWM_OK) {
            explain(&err);
            continue;
        }
        if (swm_handle_command_argv(handle, 3, blpop, NULL, &reply, &err) != SWM_OK) {
            explain(&err);
        } else {
            /* The list's name, and the job. */
            if (swm_reply_elements(reply) == 2) {
                more = work(swm_reply_element(reply, 1));
            } else if (swm_reply_type(reply) == SWM_REPLY_ERROR) {
                fprintf(stderr, "BLPOP: %s\n", swm_reply_str(reply, NULL));
                more = false;
            }
            swm_reply_free(reply);
        }
        swm_handle_release(handle);
    }
    swm_factory_close(factory);
    return 0;
}
