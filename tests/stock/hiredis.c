/* Writes by hiredis, which knows no Sentinel: its users ask the sentinels in turn, and again after every error.
 *
 * usage: hiredis SERVICE LIST HOST:PORT...
 *
 * Prints `ack VALUE` for every write that was acknowledged, and `err TEXT` for every other, until its
 * input ends. */

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { WRITERS = 4, PAUSE_US = 2000, WORD = 256 };

static atomic_bool ended;
static char **arguments;
static int count;

static redisContext *dial(const char *host, int port) {
    struct timeval second = {1, 0}, patience = {2, 0};
    redisContext *context = redisConnectWithTimeout(host, port, second);
    if (context != NULL && (context->err != 0 || redisSetTimeout(context, patience) != REDIS_OK)) {
        redisFree(context);
        context = NULL;
    }
    return context;
}

/* A connection to the master that the first sentinel names that answers. */
static redisContext *resolve(void) {
    redisContext *master = NULL;
    for (int at = 3; at < count && master == NULL; at++) {
        char host[WORD];
        snprintf(host, sizeof host, "%s", arguments[at]);
        char *colon = strrchr(host, ':');
        if (colon == NULL) {
            continue;
        }
        *colon = '\0';
        redisContext *sentinel = dial(host, atoi(colon + 1));
        if (sentinel == NULL) {
            continue;
        }
        redisReply *named = redisCommand(sentinel, "SENTINEL get-master-addr-by-name %s", arguments[1]);
        if (named != NULL && named->type == REDIS_REPLY_ARRAY && named->elements == 2) {
            master = dial(named->element[0]->str, atoi(named->element[1]->str));
        }
        if (named != NULL) {
            freeReplyObject(named);
        }
        redisFree(sentinel);
    }
    return master;
}

static void tell(const char *kind, const char *text) {
    flockfile(stdout);
    printf("%s %s\n", kind, text);
    fflush(stdout);
    funlockfile(stdout);
}

static void *write_on(void *writer) {
    char key[WORD], value[2 * WORD];
    snprintf(key, sizeof key, "%s:%d", arguments[2], *(int *)writer);
    redisContext *master = NULL;
    for (long number = 0; !atomic_load(&ended); number++) {
        snprintf(value, sizeof value, "%s:%ld", key, number);
        if (master == NULL) {
            master = resolve();
        }
        redisReply *reply = master == NULL ? NULL : redisCommand(master, "RPUSH %s %s", key, value);
        if (reply != NULL && reply->type == REDIS_REPLY_INTEGER) {
            tell("ack", value);
        } else {
            const char *why = "no master";
            if (reply != NULL) {
                why = reply->str;
            } else if (master != NULL) {
                why = master->errstr;
            }
            tell("err", why);
            /* Also after an error of the server, such as READONLY: it may be the master no longer. */
            if (master != NULL) {
                redisFree(master);
                master = NULL;
            }
        }
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        usleep(PAUSE_US);
    }
    if (master != NULL) {
        redisFree(master);
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: hiredis SERVICE LIST HOST:PORT...\n");
        return 2;
    }
    arguments = argv;
    count = argc;
    pthread_t threads[WRITERS];
    int numbers[WRITERS];
    for (int writer = 0; writer < WRITERS; writer++) {
        numbers[writer] = writer;
        if (pthread_create(&threads[writer], NULL, write_on, &numbers[writer]) != 0) {
            fprintf(stderr, "no thread\n");
            return 1;
        }
    }
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    atomic_store(&ended, 1);
    for (int writer = 0; writer < WRITERS; writer++) {
        pthread_join(threads[writer], NULL);
    }
    return 0;
}
