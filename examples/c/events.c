/*
 * A poll loop that is told of switches: epoll(7) watches the factory's descriptor beside the program's
 * own, here its input, and ends with that.
 *
 * usage: events URL
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <switchmaster.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static void print(const swm_event *event) {
    const int64_t at = swm_event_time_ms(event);
    const time_t seconds = (time_t)(at / 1000);
    struct tm local;
    char clock[16];
    localtime_r(&seconds, &local);
    strftime(clock, sizeof clock, "%H:%M:%S", &local);
    printf("%s.%03d %s\n", clock, (int)(at % 1000), swm_event_text(event));
    if (swm_event_type(event) == SWM_EVENT_SWITCHED && swm_event_previous(event) != NULL)
        printf("the master is %s, and no longer %s\n", swm_event_address(event),
               swm_event_previous(event));
}

/* Takes what there is, without waiting for more: whether there will be more. */
static bool take(const swm_factory *factory) {
    swm_error err;
    swm_event *event;
    while (swm_factory_next_event(factory, 0, &event, &err) == SWM_OK) {
        print(event);
        swm_event_free(event);
    }
    return err.status == SWM_E_NOTHING;
}

static int watch(int poll, int fd) {
    struct epoll_event wanted = {0};
    wanted.events = EPOLLIN;
    wanted.data.fd = fd;
    return epoll_ctl(poll, EPOLL_CTL_ADD, fd, &wanted);
}

int main(int argc, char **argv) {
    swm_error err;
    swm_factory *factory;
    char *master;
    int events, poll, ready, i;
    bool more = true;

    if (argc != 2) {
        fprintf(stderr, "usage: events URL\n");
        return 2;
    }
    if (swm_factory_open(argv[1], &factory, &err) != SWM_OK ||
        swm_factory_event_fd(factory, &events, &err) != SWM_OK ||
        swm_factory_master(factory, &master, &err) != SWM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("the master is %s\n", master);
    swm_string_free(master);
    poll = epoll_create1(EPOLL_CLOEXEC);
    /* A file cannot be watched (EPERM); without an input the program runs until it is killed. */
    if (poll < 0 || watch(poll, events) != 0 || (watch(poll, STDIN_FILENO) != 0 && errno != EPERM)) {
        fprintf(stderr, "epoll: %s\n", strerror(errno));
        return 1;
    }
    while (more) {
        struct epoll_event readable[2];
        ready = epoll_wait(poll, readable, 2, -1);
        for (i = 0; i < ready; i++) {
            char input[256];
            if (readable[i].data.fd == events)
                more = take(factory) && more;
            else if (read(STDIN_FILENO, input, sizeof input) <= 0)
                more = false;
        }
    }
    close(poll);
    swm_factory_close(factory);
    return 0;
}
