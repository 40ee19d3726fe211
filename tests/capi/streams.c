/* Commands and replies as streams, and what a caller knows of them that must not wait. */

#include "check.h"

#include <poll.h>

static void sends(swm_handle *handle, const char *bytes)
{
    OK(swm_handle_send(handle, bytes, strlen(bytes), &err));
}

/* As many bytes as `expected` has, which they are. */
static void receives(swm_handle *handle, const char *expected)
{
    char bytes[256];
    size_t total = 0, received = 0, wanted = strlen(expected);
    while (total < wanted) {
        OK(swm_handle_receive(handle, bytes + total, wanted - total, &received, &err));
        CHECK(received > 0);
        total += received;
    }
    bytes[total] = '\0';
    TEXT(bytes, expected);
}

static int receive_readiness(swm_handle *handle, uint64_t *timeout_ms)
{
    int readiness = -1;
    OK(swm_handle_receive_readiness(handle, &readiness, timeout_ms, &err));
    return readiness;
}

static int send_readiness(swm_handle *handle, size_t len)
{
    int readiness = -1;
    OK(swm_handle_send_readiness(handle, len, &readiness, &err));
    return readiness;
}

static void a_stream_passes_in_pieces_of_any_size(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    sends(handle, "*2\r\n$4\r\nEC");
    NUMBER(swm_handle_is_clean(handle), 0);
    sends(handle, "HO\r\n$5\r\nhello\r\n*1\r\n$4\r\nPING\r\n");
    receives(handle, "$5\r\nhel");
    receives(handle, "lo\r\n+PONG\r\n");
    NUMBER(swm_handle_is_clean(handle), 1);
    NUMBER(swm_handle_protocol(handle), 3);
    NUMBER(swm_handle_protocol(NULL), 0);
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void a_caller_waits_at_the_descriptor_and_not_in_the_call(const char *url)
{
    swm_factory *factory = open_with(url, "command_timeout=30s");
    swm_handle *handle = get(factory);
    swm_handle *other = get(factory);
    uint64_t timeout_ms = 0;
    struct pollfd polled;
    NUMBER(send_readiness(handle, 64), SWM_READY);
    sends(handle, "*3\r\n$5\r\nBLPOP\r\n$7\r\nstreams\r\n$1\r\n0\r\n");
    NUMBER(receive_readiness(handle, &timeout_ms), SWM_WAITS_FOR_DESCRIPTOR);
    CHECK(timeout_ms == UINT64_MAX);
    polled.fd = swm_handle_fd(handle);
    polled.events = POLLIN;
    NUMBER(poll(&polled, 1, 0), 0);
    run(other, "RPUSH streams x");
    NUMBER(poll(&polled, 1, 30000), 1);
    NUMBER(receive_readiness(handle, &timeout_ms), SWM_READY);
    receives(handle, "*2\r\n$7\r\nstreams\r\n$1\r\nx\r\n");
    swm_handle_release(handle);
    swm_handle_release(other);
    swm_factory_close(factory);
}

static void the_time_that_is_left_is_told_and_over_then(const char *url)
{
    swm_factory *factory = open_with(url, "command_timeout=100ms");
    swm_handle *handle = get(factory);
    uint64_t timeout_ms = 0;
    char byte;
    size_t received = 0;
    /* No server answers half a command. */
    sends(handle, "*1\r\n$4\r\nPI");
    NUMBER(receive_readiness(handle, &timeout_ms), SWM_WAITS_FOR_DESCRIPTOR);
    CHECK(timeout_ms <= 100);
    WAIT_FOR(receive_readiness(handle, &timeout_ms) == SWM_READY);
    FAILS(swm_handle_receive(handle, &byte, 1, &received, &err), SWM_E_COMMAND_TIMEOUT);
    NUMBER(err.outcome, SWM_UNKNOWN);
    /* Its connection is gone, and the next one has to be taken first. */
    NUMBER(send_readiness(handle, 1), SWM_WAITS_ELSEWHERE);
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void nothing_is_received_where_nothing_is_to_come(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    uint64_t timeout_ms = 0;
    char byte;
    size_t received = 0;
    NUMBER(receive_readiness(handle, &timeout_ms), SWM_READY);
    FAILS(swm_handle_receive(handle, &byte, 1, &received, &err), SWM_E_INVALID_CONFIG);
    FAILS(swm_handle_receive(handle, &byte, 0, &received, &err), SWM_E_ARGUMENT);
    run(handle, "PING");
    swm_handle_release(handle);
    FAILS(swm_handle_receive_readiness(handle, NULL, &timeout_ms, &err), SWM_E_NULL);
    NUMBER(swm_handle_is_clean(handle), 0);
    swm_factory_close(factory);
}

static void a_handle_with_state_is_not_clean(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    NUMBER(swm_handle_is_clean(handle), 1);
    run(handle, "SELECT 1");
    NUMBER(swm_handle_is_clean(handle), 0);
    run(handle, "SELECT 0");
    NUMBER(swm_handle_is_clean(handle), 1);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

const struct test stream_tests[] = {
    {"a_stream_passes_in_pieces_of_any_size", a_stream_passes_in_pieces_of_any_size},
    {"a_caller_waits_at_the_descriptor_and_not_in_the_call",
     a_caller_waits_at_the_descriptor_and_not_in_the_call},
    {"the_time_that_is_left_is_told_and_over_then", the_time_that_is_left_is_told_and_over_then},
    {"nothing_is_received_where_nothing_is_to_come",
     nothing_is_received_where_nothing_is_to_come},
    {"a_handle_with_state_is_not_clean", a_handle_with_state_is_not_clean},
    {NULL, NULL},
};
