/*
 * hiredis_before.c on switchmaster: the commands stay as they are, and the program outlives its master.
 *
 *     ./hiredis_after redis+sentinel://127.0.0.1:26379/mymaster SECONDS
 *
 * A planned failover is not seen at all: the command waits, and goes to the next master. When a master
 * dies with a command on its way, nobody can know whether it has run, and the program has to decide.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <switchmaster_hiredis.h>

static swm_factory *factory;
static swm_handle *handle;

/* A context to the current master; where there is none yet, it is waited for. */
static redisContext *connect_to_master(void) {
    swm_error err;
    if (swm_factory_get(factory, 30000, &handle, &err) != SWM_OK) {
        fprintf(stderr, "no connection: %s\n", err.message);
        exit(1);
    }
    redisContext *c = swm_hiredis_context(handle);
    if (c == NULL) {
        fprintf(stderr, "no context over the handle\n");
        exit(1);
    }
    return c;
}

static void disconnect(redisContext *c) {
    redisFree(c);
    swm_handle_release(handle);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s URL SECONDS\n", argv[0]);
        return 2;
    }
    time_t end = time(NULL) + atoi(argv[2]);
    long long counted = 0, doubtful = 0;
    swm_error err;

    if (swm_factory_open(argv[1], &factory, &err) != SWM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    redisContext *c = connect_to_master();
    while (time(NULL) < end) {
        redisReply *reply = redisCommand(c, "INCR %s", "counted");
        if (reply == NULL) {
            /* What was certainly not sent is simply sent again. */
            if (swm_hiredis_error(c)->outcome != SWM_NOT_SENT) doubtful++;
            fprintf(stderr, "%s\n", c->errstr);
            disconnect(c);
            c = connect_to_master();
            continue;
        }
        if (reply->type == REDIS_REPLY_INTEGER) counted++;
        freeReplyObject(reply);
    }
    printf("counted %lld, and perhaps %lld more\n", counted, doubtful);
    disconnect(c);
    swm_factory_close(factory);
    return 0;
}
