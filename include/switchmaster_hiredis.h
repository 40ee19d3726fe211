/*
 * switchmaster for programs that use hiredis: a redisContext over a handle.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 *     swm_handle *handle;
 *     swm_factory_get(factory, 500, &handle, &err);
 *     redisContext *c = swm_hiredis_context(handle);
 *     redisReply *reply = redisCommand(c, "SET %s %s", "greeting", "hello");
 *     ...
 *     redisFree(c);                       (first the context,)
 *     swm_handle_release(handle);         (then the handle)
 *
 * Everything that blocks in hiredis works on it: redisCommand and its like, pipelines by
 * redisAppendCommand and redisGetReply, and subscriptions. Each send passes the gate of the handle, and
 * waits behind its fence; what waits for a reply wakes at a switch, and has a deadline. While nothing is
 * under way the context goes on at the next master by itself, with no redisReconnect.
 *
 * After an error a context can no longer be used, as ever with hiredis: `c->err` is REDIS_ERR_TIMEOUT or
 * REDIS_ERR_IO, `c->errstr` says why, and swm_hiredis_error says whether the command may have run. Free
 * the context, release the handle, take another.
 *
 * Replies are those of the protocol that the factory speaks, RESP3 unless its option `protocol` says
 * otherwise. With `protocol=2` they have the types that redisConnect's have. In RESP3 what is published
 * comes as a push, which hiredis keeps from redisGetReply until redisSetPushCallback(c, NULL).
 *
 * The time that commands may take is the factory's `command_timeout`; redisSetTimeout does not change it.
 * Socket options of redisSetTimeout, redisEnableKeepAlive and redisSetTcpUserTimeout last until the
 * handle is released. redisReconnect fails with REDIS_ERR_OTHER, and the context can then only be freed:
 * take another with swm_hiredis_context. redisFreeKeepFd returns a duplicate of the socket's descriptor,
 * for you to close. hiredis's asynchronous interface takes no such context, and MONITOR and
 * CLIENT REPLY are not for it.
 *
 * It is as thread-safe as hiredis: one thread at a time. It needs hiredis 1.0 or later, whose contexts
 * can be given other ways to read and write, and is C99 and C++11 like hiredis.
 */

#ifndef SWITCHMASTER_HIREDIS_H
#define SWITCHMASTER_HIREDIS_H

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <hiredis/hiredis.h>
#include <hiredis/sds.h>
#include <switchmaster.h>

#if !defined(HIREDIS_MAJOR) || HIREDIS_MAJOR < 1
#error "switchmaster_hiredis.h needs hiredis 1.0 or later"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What such a context carries in its privctx. */
typedef struct {
    swm_handle *handle;
    swm_error error;
    redisContextFuncs functions;
    /* The context, and the functions that hiredis gave it. */
    redisContext *context;
    const redisContextFuncs *before;
} swm_hiredis;

/* Makes the context's error of ours. */
static inline ssize_t swm_hiredis_fail(redisContext *c) {
    const swm_error *error = &((swm_hiredis *)c->privctx)->error;
    size_t len = strlen(error->message);
    if (len >= sizeof c->errstr) len = sizeof c->errstr - 1;
    memcpy(c->errstr, error->message, len);
    c->errstr[len] = '\0';
    c->err = error->status == SWM_E_COMMAND_TIMEOUT ? REDIS_ERR_TIMEOUT : REDIS_ERR_IO;
    return -1;
}

/* What hiredis calls instead of send(2) and recv(2). */
static inline ssize_t swm_hiredis_write(redisContext *c) {
    swm_hiredis *self = (swm_hiredis *)c->privctx;
    size_t len = sdslen(c->obuf);
    if (swm_handle_send(self->handle, c->obuf, len, &self->error) != SWM_OK)
        return swm_hiredis_fail(c);
    return (ssize_t)len;
}

static inline ssize_t swm_hiredis_read(redisContext *c, char *buffer, size_t capacity) {
    swm_hiredis *self = (swm_hiredis *)c->privctx;
    size_t received;
    if (swm_handle_receive(self->handle, buffer, capacity, &received, &self->error) != SWM_OK)
        return swm_hiredis_fail(c);
    return (ssize_t)received;
}

/*
 * The function that hiredis calls from redisFree, and from redisReconnect, which then uses the context. So
 * it restores the functions of hiredis in the context, and frees `functions`.
 */
static inline void swm_hiredis_end(void *privctx) {
    swm_hiredis *self = (swm_hiredis *)privctx;
    if (self == NULL) return;
    self->context->funcs = self->before;
    free(self);
}

/*
 * swm_hiredis_context makes a context over a handle. Free it with redisFree, and before the handle is
 * released. NULL when `handle` is none, no connection can be had, or memory is short.
 *
 * Blocks only where the handle's last connection broke, and it has to take another: at most for the
 * factory's `get_timeout`.
 */
static inline redisContext *swm_hiredis_context(swm_handle *handle) {
    redisContext *c;
    swm_hiredis *self;
    int fd = swm_handle_hiredis_fd(handle);
    if (fd < 0) return NULL;
    c = redisConnectFd(fd);
    self = (swm_hiredis *)calloc(1, sizeof *self);
    if (c == NULL || self == NULL || c->err) {
        free(self);
        if (c != NULL)
            redisFree(c);
        else
            close(fd);
        return NULL;
    }
    self->handle = handle;
    self->functions = *c->funcs;
    self->functions.read = swm_hiredis_read;
    self->functions.write = swm_hiredis_write;
    self->functions.free_privctx = swm_hiredis_end;
    self->context = c;
    self->before = c->funcs;
    c->funcs = &self->functions;
    /* redisReconnect would take it for one of TCP, to a host that has no name. */
    c->connection_type = REDIS_CONN_USERFD;
    c->privctx = self;
    return c;
}

/*
 * swm_hiredis_error gives what made `c->err`, with its outcome. It is the context's, and means nothing
 * while `c->err` is 0. NULL of a context that was not made here, and after redisReconnect.
 */
static inline const swm_error *swm_hiredis_error(const redisContext *c) {
    const swm_hiredis *self = c == NULL ? NULL : (const swm_hiredis *)c->privctx;
    /* Only looked at, not followed, before it is known to be ours. */
    if (self == NULL || c->funcs != &self->functions) return NULL;
    return &self->error;
}

#ifdef __cplusplus
}
#endif

#endif /* SWITCHMASTER_HIREDIS_H */
