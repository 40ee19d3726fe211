/*
 * A program as many use hiredis: one connection to the master, made when the program starts. It counts
 * in Redis, and ends when the master does.
 *
 *     ./hiredis_before 127.0.0.1 6379 SECONDS
 *
 * hiredis_after.c is the same program on switchmaster.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <hiredis/hiredis.h>

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: %s HOST PORT SECONDS\n", argv[0]);
        return 2;
    }
    time_t end = time(NULL) + atoi(argv[3]);
    long long counted = 0;

    redisContext *c = redisConnect(argv[1], atoi(argv[2]));
    if (c == NULL || c->err) {
        fprintf(stderr, "no connection: %s\n", c ? c->errstr : "no memory");
        return 1;
    }
    while (time(NULL) < end) {
        redisReply *reply = redisCommand(c, "INCR %s", "counted");
        if (reply == NULL) {
            printf("counted %lld, then: %s\n", counted, c->errstr);
            redisFree(c);
            return 1;
        }
        if (reply->type == REDIS_REPLY_INTEGER) counted++;
        freeReplyObject(reply);
    }
    printf("counted %lld\n", counted);
    redisFree(c);
    return 0;
}
