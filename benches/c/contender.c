/* switchmaster's C interface as a contender in a comparison of Redis clients that some other program
 * drives. It speaks the lines that benches/contender/main.rs describes, and its rows are
 *
 *     c            one handle is held; swm_handle_command_argv, swm_handle_append_argv and get_reply
 *     c-pool       the same, and a handle is taken for each operation
 *     c-exchange   one handle is held; commands encoded beforehand, replies as they come
 *
 * usage: contender-c ROW PROGRAM      PROGRAM is the contender in Rust, which serves as the sentinel */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "switchmaster.h"

enum { MANY = 1000, SHORT = 64, LONG = 1 << 20, THREADS = 16, POOL = 8, CHECKOUTS = 64 };

typedef struct {
    swm_factory *factory;
    swm_handle *handle;
    void (*work)(swm_handle *handle);
    int pooled;
    int checkout;
    pthread_t thread;
    uint64_t until_ns, count, done, took_ns;
} worker;

static swm_factory *factory;
static worker workers[THREADS];
static int threads;
static pthread_barrier_t start;

static char keys[MANY][16];
static const char *get_argv[MANY][2];
static const char *mget_argv[MANY + 1];
static char value[SHORT + 1];
static char *packed;
static size_t packed_len, expected_len;

static void die(const char *what, const char *why) {
    fprintf(stderr, "contender-c: %s: %s\n", what, why);
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void check(swm_status status, const swm_error *err) {
    if (status != SWM_OK) die("a call failed", err->message);
}

static void check_value(const swm_reply *reply, size_t expected) {
    size_t len;
    const char *bytes = swm_reply_str(reply, &len);
    if (swm_reply_type(reply) != SWM_REPLY_STRING || len != expected || bytes[len - 1] != 'v')
        die("a reply", "it is not the value expected");
}

static void get(swm_handle *handle, const char *key, size_t expected) {
    const char *argv[2] = {"GET", key};
    const size_t lens[2] = {3, strlen(key)};
    swm_error err;
    swm_reply *reply;
    check(swm_handle_command_argv(handle, 2, argv, lens, &reply, &err), &err);
    check_value(reply, expected);
    swm_reply_free(reply);
}

static void get_short(swm_handle *handle) { get(handle, keys[0], SHORT); }

static void get_long(swm_handle *handle) { get(handle, "steady:big", LONG); }

static void set(swm_handle *handle) {
    const char *argv[3] = {"SET", "steady:set", value};
    const size_t lens[3] = {3, 10, SHORT};
    swm_error err;
    swm_reply *reply;
    check(swm_handle_command_argv(handle, 3, argv, lens, &reply, &err), &err);
    if (swm_reply_type(reply) != SWM_REPLY_STATUS) die("a reply", "it is no status");
    swm_reply_free(reply);
}

static void pipeline(swm_handle *handle) {
    static const size_t lens[2] = {3, 12};
    swm_error err;
    for (int i = 0; i < MANY; i++)
        check(swm_handle_append_argv(handle, 2, get_argv[i], lens, &err), &err);
    for (int i = 0; i < MANY; i++) {
        swm_reply *reply;
        check(swm_handle_get_reply(handle, &reply, &err), &err);
        check_value(reply, SHORT);
        swm_reply_free(reply);
    }
}

static void mget(swm_handle *handle) {
    swm_error err;
    swm_reply *reply;
    check(swm_handle_command_argv(handle, MANY + 1, mget_argv, NULL, &reply, &err), &err);
    if (swm_reply_elements(reply) != MANY) die("a reply", "it has not all elements");
    for (size_t i = 0; i < MANY; i++) check_value(swm_reply_element(reply, i), SHORT);
    swm_reply_free(reply);
}

static void exchange(swm_handle *handle) {
    const char *reply;
    size_t len;
    swm_error err;
    check(swm_handle_exchange(handle, packed, packed_len, &reply, &len, &err), &err);
    if (len != expected_len) die("a reply", "it is not as long as expected");
}

/* Appends a command to what `exchange` sends. */
static void pack(int argc, const char *const *argv) {
    packed = realloc(packed, packed_len + 64 * (size_t)argc + 256);
    packed_len += (size_t)sprintf(packed + packed_len, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++)
        packed_len += (size_t)sprintf(packed + packed_len, "$%zu\r\n%s\r\n", strlen(argv[i]), argv[i]);
}

static size_t reply_len(size_t value_len) {
    char head[32];
    return (size_t)sprintf(head, "$%zu\r\n", value_len) + value_len + 2;
}

/* What a case does; NULL where this row has no such case. */
static void (*work_of(const char *row, const char *name))(swm_handle *) {
    if (strcmp(row, "c-exchange") != 0) {
        if (!strcmp(name, "get")) return get_short;
        if (!strcmp(name, "set")) return set;
        if (!strcmp(name, "get1m")) return get_long;
        if (!strcmp(name, "pipe1000")) return pipeline;
        if (!strcmp(name, "mget1000")) return mget;
        return NULL;
    }
    packed_len = 0;
    if (!strcmp(name, "get")) {
        pack(2, get_argv[0]);
        expected_len = reply_len(SHORT);
    } else if (!strcmp(name, "get1m")) {
        const char *argv[2] = {"GET", "steady:big"};
        pack(2, argv);
        expected_len = reply_len(LONG);
    } else if (!strcmp(name, "set")) {
        const char *argv[3] = {"SET", "steady:set", value};
        pack(3, argv);
        expected_len = strlen("+OK\r\n");
    } else if (!strcmp(name, "pipe1000")) {
        for (int i = 0; i < MANY; i++) pack(2, get_argv[i]);
        expected_len = MANY * reply_len(SHORT);
    } else if (!strcmp(name, "mget1000")) {
        pack(MANY + 1, mget_argv);
        expected_len = strlen("*1000\r\n") + MANY * reply_len(SHORT);
    } else {
        return NULL;
    }
    return exchange;
}

static void operation(worker *self) {
    swm_error err;
    if (!self->pooled) {
        self->work(self->handle);
        return;
    }
    for (int i = 0; i < (self->checkout ? CHECKOUTS : 1); i++) {
        swm_handle *handle;
        check(swm_factory_get(factory, 1000, &handle, &err), &err);
        if (self->work) self->work(handle);
        swm_handle_release(handle);
    }
}

static void *run(void *argument) {
    worker *self = argument;
    uint64_t each = self->checkout ? CHECKOUTS : 1;
    pthread_barrier_wait(&start);
    uint64_t begun = now_ns();
    for (self->done = 0; self->count ? self->done < self->count : now_ns() < self->until_ns;
         self->done += each)
        operation(self);
    self->took_ns = now_ns() - begun;
    return NULL;
}

static void run_all(uint64_t milliseconds, uint64_t count) {
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    uint64_t begun = now_ns(), done = 0;
    for (int i = 0; i < threads; i++) {
        workers[i].until_ns = begun + milliseconds * 1000000;
        workers[i].count = count;
        if (threads > 1) pthread_create(&workers[i].thread, NULL, run, &workers[i]);
    }
    if (threads == 1) run(&workers[0]);
    for (int i = 0; i < threads; i++) {
        if (threads > 1) pthread_join(workers[i].thread, NULL);
        done += workers[i].done;
    }
    pthread_barrier_destroy(&start);
    printf("ok %llu %llu\n", (unsigned long long)done, (unsigned long long)(now_ns() - begun));
}

static void drop_all(void) {
    for (int i = 0; i < threads; i++) swm_handle_release(workers[i].handle);
    memset(workers, 0, sizeof workers);
    swm_factory_close(factory);
    factory = NULL;
    threads = 0;
}

static int prepare(const char *row, const char *sentinel, const char *name, int wanted) {
    int pooled = !strcmp(row, "c-pool"), checkout = !strcmp(name, "checkout");
    swm_error err;
    char url[256];
    swm_stats stats = {.struct_size = sizeof stats};
    drop_all();
    void (*work)(swm_handle *) = work_of(row, name);
    if (wanted < 1 || wanted > THREADS || (!pooled && (checkout || wanted > 1)) || (!work && !checkout))
        return 0;
    int size = pooled ? POOL : 1;
    sprintf(url, "redis+sentinel://%s/steady?max_size=%d&min_idle=%d", sentinel, size, size);
    check(swm_factory_open(url, &factory, &err), &err);
    /* None is dialled while it is measured. */
    for (uint64_t until = now_ns() + 10000000000u; stats.idle < (uint64_t)size;) {
        check(swm_factory_stats(factory, &stats, &err), &err);
        if (now_ns() > until) die("the pool", "not all connections are idle after 10 s");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    threads = wanted;
    for (int i = 0; i < threads; i++) {
        workers[i].pooled = pooled;
        workers[i].checkout = checkout;
        workers[i].work = work;
        if (!pooled) check(swm_factory_get(factory, 1000, &workers[i].handle, &err), &err);
    }
    return 1;
}

/* Starts the sentinel, which says where it listens, and ends with its standard input. */
static void start_sentinel(const char *program, char *address, int size) {
    const char *port = getenv("STEADY_PORT");
    int in[2], out[2];
    if (!port) die("STEADY_PORT", "it is not set");
    if (pipe(in) || pipe(out)) die("a pipe", "it cannot be made");
    if (fork() == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        execl(program, program, "sentinel", port, (char *)NULL);
        _exit(127);
    }
    close(in[0]), close(out[1]);
    FILE *said = fdopen(out[0], "r");
    if (!said || !fgets(address, size, said)) die(program, "it does not start as a sentinel");
    address[strcspn(address, "\n")] = 0;
}

int main(int argc, char **argv) {
    char line[256], name[64], address[128];
    long number;
    if (argc != 3) {
        fprintf(stderr, "usage: %s c|c-pool|c-exchange PROGRAM\n", argv[0]);
        return 2;
    }
    memset(value, 'v', SHORT);
    mget_argv[0] = "MGET";
    for (int i = 0; i < MANY; i++) {
        sprintf(keys[i], "steady:k%04d", i);
        get_argv[i][0] = "GET";
        get_argv[i][1] = mget_argv[i + 1] = keys[i];
    }
    start_sentinel(argv[2], address, sizeof address);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("hello %s\n", argv[1]);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "prepare %63s %ld", name, &number) == 2)
            printf(prepare(argv[1], address, name, (int)number) ? "ok\n" : "skip\n");
        else if (sscanf(line, "run %ld", &number) == 1)
            run_all((uint64_t)number, 0);
        else if (sscanf(line, "count %ld", &number) == 1)
            run_all(0, (uint64_t)number);
        else if (!strncmp(line, "quit", 4))
            break;
        else
            printf("error unknown line\n");
    }
    drop_all();
    return 0;
}
