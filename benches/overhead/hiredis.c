/* The cases through hiredis, for benches/overhead/hiredis.rs. Reads lines `CASE MILLISECONDS`, repeats the case for
 * about so long, and answers each with the number of operations and the nanoseconds of processor time they took. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MANY = 1000, SHORT = 64, LONG = 1 << 20 };

static redisContext *server;
static char keys[MANY][16];
static char value[SHORT];

static long long now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void check(int good, const char *what) {
    if (!good) {
        fprintf(stderr, "hiredis: %s %s\n", what, server->errstr);
        exit(1);
    }
}

static void is_string(const redisReply *reply, size_t len) {
    check(reply && reply->type == REDIS_REPLY_STRING && reply->len == len && reply->str[len - 1] == 'v',
          "a value is not the one expected");
}

static void command(int argc, const char **argv, const size_t *lens, size_t len) {
    redisReply *reply = redisCommandArgv(server, argc, argv, lens);
    if (len) is_string(reply, len);
    else check(reply && reply->type == REDIS_REPLY_STATUS, "SET was not answered with OK");
    freeReplyObject(reply);
}

static void get(const char *key, size_t len) {
    const char *argv[] = {"GET", key};
    const size_t lens[] = {3, strlen(key)};
    command(2, argv, lens, len);
}

static void pipeline(void) {
    for (int i = 0; i < MANY; i++) {
        const char *argv[] = {"GET", keys[i]};
        const size_t lens[] = {3, strlen(keys[i])};
        redisAppendCommandArgv(server, 2, argv, lens);
    }
    static redisReply *replies[MANY];
    for (int i = 0; i < MANY; i++) {
        check(redisGetReply(server, (void **)&replies[i]) == REDIS_OK, "a reply of a pipeline is missing");
        is_string(replies[i], SHORT);
    }
    for (int i = 0; i < MANY; i++) freeReplyObject(replies[i]);
}

static void mget(void) {
    const char *argv[MANY + 1] = {"MGET"};
    size_t lens[MANY + 1] = {4};
    for (int i = 0; i < MANY; i++) argv[i + 1] = keys[i], lens[i + 1] = strlen(keys[i]);
    redisReply *reply = redisCommandArgv(server, MANY + 1, argv, lens);
    check(reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == MANY, "MGET is not answered by an array");
    for (int i = 0; i < MANY; i++) is_string(reply->element[i], SHORT);
    freeReplyObject(reply);
}

static void once(const char *name) {
    if (!strcmp(name, "get")) get(keys[0], SHORT);
    else if (!strcmp(name, "long")) get("long", LONG);
    else if (!strcmp(name, "pipeline")) pipeline();
    else if (!strcmp(name, "mget")) mget();
    else {
        const char *argv[] = {"SET", "set", value};
        const size_t lens[] = {3, 3, SHORT};
        command(3, argv, lens, 0);
    }
}

int main(int argc, char **argv) {
    server = redisConnect("127.0.0.1", argc > 1 ? atoi(argv[1]) : 6379);
    check(server && !server->err, "no connection:");
    struct timeval timeout = {.tv_sec = 10};
    redisSetTimeout(server, timeout);
    memset(value, 'v', SHORT);
    for (int i = 0; i < MANY; i++) snprintf(keys[i], sizeof keys[i], "key:%04d", i);
    char name[16];
    int millis;
    while (scanf("%15s %d", name, &millis) == 2) {
        long long end = now(CLOCK_MONOTONIC) + millis * 1000000LL, cpu = now(CLOCK_PROCESS_CPUTIME_ID), done = 0;
        do once(name), done++;
        while (now(CLOCK_MONOTONIC) < end);
        printf("%lld %lld\n", done, now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
        fflush(stdout);
    }
    return 0;
}
