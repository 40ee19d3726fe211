/*
 * switchmaster: a blocking Redis Sentinel client that follows the master.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 *     swm_error err;
 *     swm_factory *factory;
 *     swm_handle *handle;
 *     swm_reply *reply;
 *     const char *argv[] = {"SET", "greeting", "hello"};
 *     if (swm_factory_open("redis+sentinel://10.0.0.1,10.0.0.2/mymaster", &factory, &err) != SWM_OK) {
 *         puts(err.message);
 *         exit(1);
 *     }
 *     if (swm_factory_get(factory, 500, &handle, &err) == SWM_OK) {
 *         if (swm_handle_command_argv(handle, 3, argv, NULL, &reply, &err) == SWM_OK)
 *             swm_reply_free(reply);
 *         swm_handle_release(handle);
 *     }
 *     swm_factory_close(factory);
 *
 * Calls return a swm_status, SWM_OK (0) or a negative number, and then `*err`, which may be NULL, says
 * why, and whether the command may have run. Results are written on success, and not otherwise. What a
 * call gives out is the caller's, and each type says how it ends and which threads may use it.
 * Accessors, which have no `err`, return 0, NULL or what they name for whatever they cannot look at.
 *
 * A NULL, and a factory, handle, subscription or options that ended before or never were, are errors
 * that name them, never a crash: what these pointers hold is a number that is looked up, and memory
 * that nobody may follow. Replies, events, deliveries and strings are memory like that of malloc, to
 * be freed once, by the function that their type names.
 *
 * No call ends the process, and none lets a panic or a signal out. Every wait has an end, which is
 * said at the call. Names and numbers never change their meaning; what is added grows SWM_ABI_VERSION.
 */

#ifndef SWITCHMASTER_H
#define SWITCHMASTER_H

/* Generated from src/ffi: edit the comments there, then `UPDATE_HEADER=1 cargo test --features capi --test header`. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SWM_VERSION_MAJOR 0
#define SWM_VERSION_MINOR 1
#define SWM_VERSION_PATCH 0

/// The version of the binary interface that this header describes. It grows when something is added, and
/// a program that was compiled for a smaller one still runs.
#define SWM_ABI_VERSION 1

/// How a call ended: SWM_OK, or why it failed. The numbers never change their meaning, and a later
/// version may add some: treat one that you do not know as a failure.
typedef enum {
    /// It did what it was asked to do. An error reply of the server is a reply, so it is SWM_OK.
    SWM_OK = 0,
    /// A pointer is NULL that must not be.
    SWM_E_NULL = -1,
    /// An argument cannot be meant: text that is not UTF-8, a number out of range.
    SWM_E_ARGUMENT = -2,
    /// What was passed was closed, released or freed before, is of another type, or was never given
    /// out by this library.
    SWM_E_DEAD = -3,
    /// Another thread is using it.
    SWM_E_BUSY = -4,
    /// This process was forked from one that had a factory open; see swm_factory.
    SWM_E_FORKED = -5,
    /// A fault inside the library, which was contained. Please report it.
    SWM_E_PANIC = -6,
    /// Nothing came within the time given, or there is nothing to be had.
    SWM_E_NOTHING = -7,
    /// The URL cannot be read. The message quotes the part that is wrong, never a password.
    SWM_E_INVALID_URL = -20,
    /// An option's value is not allowed, or a command is such that it cannot be sent.
    SWM_E_INVALID_CONFIG = -21,
    /// No sentinel could be reached.
    SWM_E_NO_SENTINEL = -22,
    /// The sentinels answer, and none of them monitors a service of this name.
    SWM_E_UNKNOWN_SERVICE = -23,
    /// The server refused the password, or wants one.
    SWM_E_AUTHENTICATION = -24,
    /// The server's ACL does not let this user do what is needed.
    SWM_E_PERMISSION = -25,
    /// There is no master to talk to.
    SWM_E_NO_MASTER = -26,
    /// There is no replica that may be read from.
    SWM_E_NO_REPLICA = -27,
    /// No handle came free in time.
    SWM_E_POOL_TIMEOUT = -28,
    /// No reply came in time.
    SWM_E_COMMAND_TIMEOUT = -29,
    /// The master was replaced while the command was on its way, or before and the handle held state.
    SWM_E_SWITCHED = -30,
    /// The master is being replaced, and the command waited until its deadline.
    SWM_E_FENCED = -31,
    /// The connection broke, or could not be made.
    SWM_E_DISCONNECTED = -32,
    /// The server sent what is no RESP.
    SWM_E_PROTOCOL = -33,
    /// The server is not what it should be: a replica where a master was promised.
    SWM_E_WRONG_ROLE = -34,
    /// The handle's connection broke earlier, while it held state. Release it and take another.
    SWM_E_POISONED = -35,
    /// The factory is closed.
    SWM_E_CLOSED = -36,
    /// Something that should not be possible. Please report it.
    SWM_E_INTERNAL = -37,
} swm_status;

/// What a failure says about the command: whether it may have run.
typedef enum {
    /// It was certainly not sent, so it may be sent again.
    SWM_NOT_SENT = 0,
    /// It may have run. Look before sending it again, unless it may run twice.
    SWM_UNKNOWN = 1,
    /// The server replied, and the reply could not be used.
    SWM_REPLIED = 2,
} swm_outcome;

/// What a delivery is.
typedef enum {
    /// None: what swm_delivery_type says of NULL.
    SWM_DELIVERY_NONE = 0,
    /// A message.
    SWM_DELIVERY_MESSAGE = 1,
    /// It subscribed again, and messages may be missing before this. What comes from now on is
    /// complete, and so is what is read from now on.
    SWM_DELIVERY_GAP = 2,
    /// The server refused a channel or pattern, after the call that asked for it had returned
    /// SWM_E_COMMAND_TIMEOUT or SWM_E_NO_MASTER. It is no longer asked for; the others are not affected.
    SWM_DELIVERY_REFUSED = 3,
} swm_delivery_kind;

/// What happened. Later versions may add some.
typedef enum {
    /// One that this header does not know; its name and text do.
    SWM_EVENT_OTHER = 0,
    /// Handles lead to another master from now on.
    SWM_EVENT_SWITCHED = 1,
    /// A sentinel chose this replica as the next master.
    SWM_EVENT_CHOSEN = 2,
    /// A replica says that it is a master now.
    SWM_EVENT_PROMOTED = 3,
    /// The same, and the sentinels' answers do not prove that it is the one to follow.
    SWM_EVENT_NOT_PROVEN = 4,
    /// Commands wait from now on.
    SWM_EVENT_FENCE_RAISED = 5,
    /// Commands no longer wait.
    SWM_EVENT_FENCE_LIFTED = 6,
    /// The sentinels named the master that was switched to at its promotion.
    SWM_EVENT_CONFIRMED = 7,
    /// Commands ran on a master that may have been replaced already.
    SWM_EVENT_OVERRULED = 8,
    /// Fewer than a majority of the sentinels can be heard.
    SWM_EVENT_MAJORITY_LOST = 9,
    /// A majority can be heard again.
    SWM_EVENT_MAJORITY_REGAINED = 10,
    /// The link to a sentinel is up.
    SWM_EVENT_SENTINEL_UP = 11,
    /// The link to a sentinel ended.
    SWM_EVENT_SENTINEL_DOWN = 12,
    /// A sentinel that was not configured became known.
    SWM_EVENT_SENTINEL_FOUND = 13,
    /// A sentinel that had been found is no longer listed.
    SWM_EVENT_SENTINEL_FORGOTTEN = 14,
    /// Most sentinels cannot reach a node.
    SWM_EVENT_NODE_DOWN = 15,
    /// A node is reached again.
    SWM_EVENT_NODE_UP = 16,
    /// A node came back as another process.
    SWM_EVENT_NODE_RESTARTED = 17,
    /// A replica is read from, from now on.
    SWM_EVENT_REPLICA_JOINED = 18,
    /// A replica is no longer read from.
    SWM_EVENT_REPLICA_LEFT = 19,
    /// A sentinel began to replace the master.
    SWM_EVENT_FAILOVER_STARTED = 20,
    /// The sentinels gave a failover up.
    SWM_EVENT_FAILOVER_ABORTED = 21,
    /// No sentinel monitors the service any longer.
    SWM_EVENT_SERVICE_REMOVED = 22,
    /// One does again.
    SWM_EVENT_SERVICE_MONITORED = 23,
    /// Sentinels name different masters.
    SWM_EVENT_DISAGREEMENT = 24,
    /// The master that is named does not say that it is one.
    SWM_EVENT_NOT_VERIFIED = 25,
    /// A sentinel published something that cannot be read.
    SWM_EVENT_MALFORMED = 26,
    /// A handle has been out for longer than `leak_after`.
    SWM_EVENT_LEAKED = 27,
    /// Events were lost, because nobody took them.
    SWM_EVENT_MISSED = 28,
} swm_event_kind;

/// Where a handle reads from.
typedef enum {
    /// The master.
    SWM_READ_MASTER = 0,
    /// A replica; an error when none may be read from.
    SWM_READ_REPLICA = 1,
    /// A replica, or the master when none may be read from.
    SWM_READ_PREFER_REPLICA = 2,
    /// The node that answers fastest, the master included.
    SWM_READ_LOWEST_LATENCY = 3,
} swm_read_from;

/// What swm_handle_send or swm_handle_receive would wait for.
typedef enum {
    /// Nothing: the call returns at once, with its result or an error.
    SWM_READY = 0,
    /// Bytes: until the descriptor of the handle (swm_handle_fd) is readable.
    SWM_WAITS_FOR_DESCRIPTOR = 1,
    /// The fence, another connection, or room for what is to be sent. No descriptor tells when that is
    /// over; make the call where it may block.
    SWM_WAITS_ELSEWHERE = 2,
} swm_readiness;

/// What a reply is. The numbers are those of hiredis.
typedef enum {
    /// No reply: what swm_reply_type says of NULL.
    SWM_REPLY_NONE = 0,
    /// Bytes: swm_reply_str.
    SWM_REPLY_STRING = 1,
    /// Elements in order: swm_reply_elements, swm_reply_element.
    SWM_REPLY_ARRAY = 2,
    /// A whole number: swm_reply_integer.
    SWM_REPLY_INTEGER = 3,
    /// Nothing, as of a key that does not exist.
    SWM_REPLY_NIL = 4,
    /// A short text such as `OK`: swm_reply_str.
    SWM_REPLY_STATUS = 5,
    /// An error of the server, its code first, such as `WRONGTYPE ...`: swm_reply_str.
    SWM_REPLY_ERROR = 6,
    /// A number with a fraction: swm_reply_double, and swm_reply_str as it was sent.
    SWM_REPLY_DOUBLE = 7,
    /// Yes or no: swm_reply_boolean.
    SWM_REPLY_BOOL = 8,
    /// Pairs: keys and values in turn are the elements, so there are twice as many.
    SWM_REPLY_MAP = 9,
    /// Elements without order.
    SWM_REPLY_SET = 10,
    /// What a server says about a reply: swm_reply_attributes. As a map.
    SWM_REPLY_ATTR = 11,
    /// What was sent unasked, or confirms a subscription. As an array.
    SWM_REPLY_PUSH = 12,
    /// A whole number of any size, in decimal: swm_reply_str.
    SWM_REPLY_BIGNUM = 13,
    /// Text of a format that swm_reply_format tells: swm_reply_str.
    SWM_REPLY_VERB = 14,
} swm_reply_kind;

/// What a subscription brought.
///
/// Owner: whoever took it, with swm_subscription_next, and frees it with swm_delivery_free. What its
/// accessors give lives as long as it does.
/// Threads: any, as many at once as you like.
typedef struct swm_delivery swm_delivery;

/// Something that happened.
///
/// Owner: whoever took it, with swm_factory_next_event, and frees it with swm_event_free. What its
/// accessors give lives as long as it does.
/// Threads: any, as many at once as you like.
typedef struct swm_event swm_event;

/// A factory follows one service: it asks the sentinels who is master, keeps connections to it, and
/// gives them out as handles. When the master is replaced, it notices, and so do its handles.
///
/// Owner: whoever opened it, and closes it with swm_factory_close. Then the pointer is dead
/// (SWM_E_DEAD), and calls that are under way end with SWM_E_CLOSED. Handles, events and subscriptions
/// that it gave out may outlive it; they fail with SWM_E_CLOSED then, and are to be released and freed
/// as ever.
/// Threads: any, as many at once as you like.
/// Fork: a child that inherits a factory has none of its threads. Every call there fails with
/// SWM_E_FORKED, and closes nothing of the parent's. Open factories after the fork. A fork while another
/// thread is in a call, or at the moment a factory is closed, leaves a child that may only exec, as in any
/// program of several threads.
typedef struct swm_factory swm_factory;

/// One connection to the master, or to a replica, that was taken from a factory.
///
/// Owner: whoever took it, and gives it back with swm_handle_release. What it is about to do when the
/// master is replaced is said at swm_handle_command_argv.
/// Threads: any, one at a time; a second one at the same time gets SWM_E_BUSY.
typedef struct swm_handle swm_handle;

/// The settings of a factory that is to be opened.
///
/// Owner: whoever made it, with swm_options_new, and frees it with swm_options_free. Opening a factory
/// copies it, so it may be freed at once or used again.
/// Threads: any, one at a time or several.
typedef struct swm_options swm_options;

/// A reply, or an element of one. What the accessors give of it lives as long as the reply that it
/// belongs to. The replies of one pipeline share their memory, which is freed with the last of them.
///
/// Owner: whoever got it, and frees it with swm_reply_free, once; elements are freed with their reply.
/// It may outlive its handle and its factory.
/// Threads: any, as many at once as you like; freeing waits until nobody reads it.
typedef struct swm_reply swm_reply;

/// A subscription to channels or patterns, with a connection of its own. It subscribes again by itself
/// when the master is replaced or the connection breaks, and says where messages may be missing.
///
/// Owner: whoever opened it, and closes it with swm_subscription_close.
/// Threads: one at a time takes deliveries and changes it (another gets SWM_E_BUSY); any may close it,
/// also while another waits for a delivery, which wakes it.
typedef struct swm_subscription swm_subscription;

/// Why a call failed. It is the caller's, on the stack or wherever, and needs no preparation; every
/// call takes NULL in its place. It is written when a call fails, and not otherwise.
typedef struct {
    /// The status that the call returned.
    swm_status status;
    /// Whether the command may have run.
    swm_outcome outcome;
    /// The status as a word for logs and metrics, such as `command-timeout`; ends with a NUL.
    char kind[24];
    /// One line for people, which says what to do; UTF-8, ends with a NUL, cut if it is longer.
    char message[256];
} swm_error;

/// Credentials that a swm_credentials_callback supplies. All members are NULL when the library calls it.
/// The callback owns the strings; the library copies them as soon as the callback returns.
typedef struct {
    /// The ACL user; NULL is the server's default user.
    const char *username;
    /// The password, in UTF-8. Needed, unless there is an error.
    const char *password;
    /// The reason why there are no credentials, or NULL. It is quoted in errors and logs.
    const char *error;
} swm_credentials;

/// Supplies the credentials that are valid now. It gets the `user_data` that it was set with.
///
/// Threads: the library calls it on threads of its own, one call at a time. It may block and may call
/// this library; it must not unwind (no C++ exception, no longjmp) and not end its thread.
/// Time: it counts towards `dial_timeout` of the connection that is made, and a switch to a new master
/// waits for it. A slower call fails only that connection; a call that never returns keeps its
/// thread.
typedef void (*swm_credentials_callback)(void *user_data, swm_credentials *out);

/// Frees the `user_data` of a callback.
typedef void (*swm_destructor)(void *user_data);

/// What a factory did since it was opened, and the state of its pool. Gauges mean what HikariCP's mean.
/// Later versions may add fields at the end: `struct_size` says up to where yours goes. What the library
/// does not know of is 0.
typedef struct {
    /// sizeof(swm_stats) as you compiled it; set it before the call.
    size_t struct_size;
    /// Connections of the current generation, idle and in use.
    uint64_t total;
    /// Connections that lie idle.
    uint64_t idle;
    /// Handles that are out.
    uint64_t in_use;
    /// Threads that wait for a handle now.
    uint64_t waiting;
    /// Connections that there may be at most.
    uint64_t max;
    /// Connections that are to lie idle.
    uint64_t min;
    /// Checkouts of handles, to the master and to replicas.
    uint64_t checkouts;
    /// Handles given out after a wait.
    uint64_t waits;
    /// Microseconds that threads waited for handles, all together.
    uint64_t wait_micros;
    /// Calls that waited until their deadline in vain.
    uint64_t timeouts;
    /// Handles that were out for longer than `leak_after`.
    uint64_t leaks;
    /// Connections made and verified.
    uint64_t connections_created;
    /// Connections that broke while a command used them.
    uint64_t connections_broken;
    /// Dials of a node that failed.
    uint64_t dial_failures;
    /// Switches to another master, the first master included.
    uint64_t switches;
    /// Commands that moved to a new connection before anything was sent.
    uint64_t moved;
    /// Commands that failed with SWM_NOT_SENT.
    uint64_t errors_not_sent;
    /// Commands that failed with SWM_UNKNOWN.
    uint64_t errors_unknown;
    /// How often commands were made to wait behind the fence.
    uint64_t fences;
    /// Commands that ran on a master while it was open whether it is the master.
    uint64_t doubtful_commands;
    /// Those of them whose master had been replaced: writes among them may be lost.
    uint64_t overruled_commands;
    /// Faults inside the watch that were survived.
    uint64_t watch_faults;
    /// Messages of sentinels that could not be read.
    uint64_t malformed_messages;
    /// Messages that came on handles between whole commands and were dropped: swm_handle_receive and
    /// swm_factory_subscribe deliver them.
    uint64_t dropped_messages;
    /// Connections to the replicas that are read from, idle and in use.
    uint64_t replica_total;
    /// Idle connections to the replicas that are read from.
    uint64_t replica_idle;
    /// Handles to the replicas that are read from.
    uint64_t replica_in_use;
} swm_stats;

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Versions ------------------------------------------------------------------------------ */

/// swm_abi_version tells the version of the binary interface that the library has. It is to be at least
/// the SWM_ABI_VERSION that a program was compiled with. For whoever loads the library at run time.
int swm_abi_version(void);

/// swm_version gives the version of the library, such as `0.1.0`. It is never freed.
const char *swm_version(void);

/* ---- Options ------------------------------------------------------------------------------- */

/// swm_options_new makes options: the defaults, and on top of them what `url` says, unless it is NULL.
/// Blocks never.
///
/// Errors: SWM_E_INVALID_URL, SWM_E_INVALID_CONFIG.
swm_status swm_options_new(const char *url,
                           swm_options **out,
                           swm_error *err);

/// swm_options_set sets one option. `name` is that of a URL's option or of the Rust builder's method:
/// `sentinel` (may be set again and again, each adds), `service`, `username`, `password`, `db`,
/// `client_name`, `protocol`, `sentinel_username`, `sentinel_password`, `tls`, `tls_ca`, `tls_cert`,
/// `tls_key`, `tls_server_name`, the same with `sentinel_` before, `address_map`, `max_size`,
/// `min_idle`, `max_lifetime`, `leak_after`, `connect_timeout`, `dial_timeout`, `get_timeout`,
/// `command_timeout`, `switch_on`, `confirm_within`, `fence`, `fence_timeout`, `on_lost_majority`,
/// `max_lag`. Times are `500ms`, `2s`. Blocks never.
///
/// Errors: SWM_E_INVALID_CONFIG, which names the option and quotes the value, unless it is secret.
swm_status swm_options_set(swm_options *options,
                           const char *name,
                           const char *value,
                           swm_error *err);

/// swm_options_get tells what an option is set to, as swm_options_set takes it. Free it with
/// swm_string_free. Blocks never.
///
/// Errors: SWM_E_NOTHING when it has no value, or a secret one; SWM_E_INVALID_CONFIG when there is no
/// such option.
swm_status swm_options_get(const swm_options *options,
                           const char *name,
                           char **out,
                           swm_error *err);

/// swm_options_set_credentials sets a callback that supplies user and password for each connection to a
/// node, instead of `username` and `password`: for passwords that are rotated. When it supplies others,
/// idle connections log in again. Connections in use log in again when they are returned, or are closed
/// then. swm_factory_refresh makes the library call it at once. A callback of NULL removes it. Never blocks.
///
/// `destroy`, unless NULL, is called once with `user_data` when the callback is not called any more:
/// after the options were freed or given another one, every factory opened with them was closed, and
/// their handles were released. It runs on the thread that releases the last of them, which may belong to
/// the library. When this call fails, `destroy` is not called, and `user_data` stays the caller's.
///
/// Errors: SWM_E_DEAD, SWM_E_NULL. Opening a factory reports SWM_E_INVALID_CONFIG when `password` is
/// set as well; the call that waits for the connection reports the error of the callback.
swm_status swm_options_set_credentials(swm_options *options,
                                       swm_credentials_callback provider,
                                       void *user_data,
                                       swm_destructor destroy,
                                       swm_error *err);

/// swm_options_set_sentinel_credentials is swm_options_set_credentials for the sentinels, instead of
/// `sentinel_username` and `sentinel_password`. Open links stay logged in as they are. Never blocks.
///
/// Errors: as swm_options_set_credentials.
swm_status swm_options_set_sentinel_credentials(swm_options *options,
                                                swm_credentials_callback provider,
                                                void *user_data,
                                                swm_destructor destroy,
                                                swm_error *err);

/// swm_options_free frees options. NULL, and options that were freed, are left alone.
void swm_options_free(swm_options *options);

/* ---- Factories ----------------------------------------------------------------------------- */

/// swm_factory_open opens a factory for a service that is named by a URL:
/// `redis+sentinel://[user][:password@]host[:port][,host[:port]...]/service[/db][?option=value&...]`,
/// or `rediss+sentinel://...` for TLS to the nodes. The options are those of swm_options_set.
///
/// Blocks until the master is known and a connection to it stands, at most for `connect_timeout`
/// (5 s unless set).
///
/// Errors: SWM_E_INVALID_URL, SWM_E_INVALID_CONFIG, SWM_E_NO_SENTINEL, SWM_E_UNKNOWN_SERVICE,
/// SWM_E_AUTHENTICATION, SWM_E_PERMISSION, SWM_E_NO_MASTER.
swm_status swm_factory_open(const char *url,
                            swm_factory **out,
                            swm_error *err);

/// swm_factory_open_options opens a factory with options. See swm_factory_open, which it is like.
swm_status swm_factory_open_options(const swm_options *options,
                                    swm_factory **out,
                                    swm_error *err);

/// swm_factory_get takes a handle to the current master. Give it back with swm_handle_release, once.
///
/// Blocks until a connection is free, at most for `timeout_ms` milliseconds; while the master is being
/// replaced that may be one to the next master. Those who wait are served in the order in which they
/// came.
///
/// Errors: SWM_E_POOL_TIMEOUT, SWM_E_NO_MASTER, SWM_E_DISCONNECTED and the other reasons for which a
/// connection cannot be made, SWM_E_CLOSED.
swm_status swm_factory_get(const swm_factory *factory,
                           uint32_t timeout_ms,
                           swm_handle **out,
                           swm_error *err);

/// swm_factory_replica takes a handle to a replica, for commands that only read. Release it like any.
///
/// Blocks until a connection to a replica is free, at most for `get_timeout` (5 s unless set).
///
/// Errors: SWM_E_NO_REPLICA, and those of swm_factory_get.
swm_status swm_factory_replica(const swm_factory *factory,
                               swm_handle **out,
                               swm_error *err);

/// swm_factory_get_from takes a handle to a node that `from`, a swm_read_from, says. See
/// swm_factory_replica, which it is like.
swm_status swm_factory_get_from(const swm_factory *factory,
                                int32_t from,
                                swm_handle **out,
                                swm_error *err);

/// swm_factory_generation tells how many masters were served so far, the current one included. It grows
/// by one at every switch. Blocks never.
swm_status swm_factory_generation(const swm_factory *factory,
                                  uint64_t *out,
                                  swm_error *err);

/// swm_factory_wait_for_generation waits for a generation after `after`, and tells its number.
///
/// Blocks at most for `timeout_ms` milliseconds.
///
/// Errors: SWM_E_NOTHING when there was no switch in that time, SWM_E_CLOSED.
swm_status swm_factory_wait_for_generation(const swm_factory *factory,
                                           uint64_t after,
                                           uint32_t timeout_ms,
                                           uint64_t *out,
                                           swm_error *err);

/// swm_factory_master tells the address of the current master, as the sentinels announce it:
/// `host:port`. Free it with swm_string_free. Blocks never.
///
/// Errors: SWM_E_NOTHING when none is known, SWM_E_CLOSED.
swm_status swm_factory_master(const swm_factory *factory, char **out, swm_error *err);

/// swm_factory_topology_json tells everything that is known of the service: its nodes, its sentinels,
/// what each of them says, and what is wrong. It is one line of JSON, as `switchmaster topology --json`
/// prints it. Free it with swm_string_free.
///
/// Blocks for the turn of another thread, some microseconds.
///
/// Errors: SWM_E_CLOSED.
swm_status swm_factory_topology_json(const swm_factory *factory,
                                     char **out,
                                     swm_error *err);

/// swm_factory_refresh has the sentinels asked now, instead of at their next turn. It need not be called:
/// every sign of trouble does the same. Blocks never.
swm_status swm_factory_refresh(const swm_factory *factory,
                               swm_error *err);

/// swm_factory_close closes a factory: its connections, its links to the sentinels, and with the last
/// factory of the process its threads. Whoever waits on it or on its handles wakes, with SWM_E_CLOSED.
/// NULL, and a factory that was closed, are left alone.
///
/// Blocks until the threads have ended, for a second or two at most.
void swm_factory_close(swm_factory *factory);

/// swm_string_free frees a string that a function of this header gave out. NULL is left alone.
void swm_string_free(char *string);

/* ---- Statistics ---------------------------------------------------------------------------- */

/// swm_factory_stats fills in `stats`, whose `struct_size` you have set. Blocks never.
///
/// Errors: SWM_E_ARGUMENT when `struct_size` cannot be right.
swm_status swm_factory_stats(const swm_factory *factory, swm_stats *stats, swm_error *err);

/* ---- Handles and their commands ------------------------------------------------------------ */

/// swm_handle_command_argv sends one command and waits for its reply. `argv` are its words, the command's
/// name first, `argvlen` their lengths in bytes; where `argvlen` is NULL, they are C strings. Free the
/// reply with swm_reply_free. An error reply of the server is a reply, of type SWM_REPLY_ERROR.
///
/// Blocks at most for `command_timeout` (2 s unless set), the wait behind the fence included; a blocking
/// command such as BLPOP for its own timeout on top of that, and without end where that is 0. When the
/// handle has to move to another connection, it may wait for that one for `get_timeout` first.
///
/// When the master was replaced, the command goes to the new one, without an error, unless the handle
/// held state that is lost: an open MULTI, a WATCH, another database, and the like. A command that was
/// on its way fails with SWM_E_SWITCHED and SWM_UNKNOWN.
///
/// Errors: SWM_E_COMMAND_TIMEOUT, SWM_E_SWITCHED, SWM_E_FENCED, SWM_E_DISCONNECTED, SWM_E_PROTOCOL,
/// SWM_E_POISONED, SWM_E_CLOSED, those of swm_factory_get when the handle has to move, and
/// SWM_E_INVALID_CONFIG for commands whose replies cannot be told apart (CLIENT REPLY, and MONITOR, which
/// swm_handle_send takes).
/// After an error the handle may be used again, except for SWM_E_POISONED.
swm_status swm_handle_command_argv(swm_handle *handle,
                                   size_t argc,
                                   const char *const *argv,
                                   const size_t *argvlen,
                                   swm_reply **out,
                                   swm_error *err);

/// swm_handle_append_argv adds a command to the handle's pipeline. Nothing is sent before
/// swm_handle_get_reply is called. Blocks never. See swm_handle_command_argv for `argv`.
swm_status swm_handle_append_argv(swm_handle *handle,
                                  size_t argc,
                                  const char *const *argv,
                                  const size_t *argvlen,
                                  swm_error *err);

/// swm_handle_get_reply takes the next reply of the handle's pipeline. The first call after
/// swm_handle_append_argv sends all commands that were appended and reads all their replies; the others
/// find theirs there. Free each with swm_reply_free.
///
/// Blocks as swm_handle_command_argv does, for all commands together. They go to one connection, so to
/// one master; a failure is that of all of them, and none of their replies can be had.
///
/// Errors: SWM_E_NOTHING when no reply is to come, and those of swm_handle_command_argv.
swm_status swm_handle_get_reply(swm_handle *handle,
                                swm_reply **out,
                                swm_error *err);

/// swm_handle_exchange sends commands that are RESP already and gives their replies as RESP, for whoever
/// has a codec. `*reply` and `*reply_len` are the replies, one behind the other, as many as there were
/// commands; they are the handle's memory, and stay until its next call.
///
/// Blocks and fails as swm_handle_command_argv does, for all commands together.
swm_status swm_handle_exchange(swm_handle *handle,
                               const char *request,
                               size_t request_len,
                               const char **reply,
                               size_t *reply_len,
                               swm_error *err);

/// swm_handle_send sends a part of a stream of commands (RESP), in pieces of any size: for a client that
/// has a codec and buffers of its own and wants a socket. swm_handle_receive gives what comes back.
///
/// Each call passes the gate, and waits behind the fence, as swm_handle_command_argv does. The handle
/// moves to the next master while nothing is under way on it: every command was sent whole, and every
/// reply received. Calls for whole commands are refused while something is.
///
/// MONITOR works only here: swm_handle_receive returns its reports until the connection ends, as at a
/// switch. The handle refuses whole commands from then on.
///
/// Blocks until everything is sent, at most for `command_timeout`, and for `get_timeout` before that
/// when the handle has to move.
///
/// Errors: those of swm_handle_command_argv. The outcome is that of all commands that are under way, and
/// none is any more.
swm_status swm_handle_send(swm_handle *handle,
                           const char *data,
                           size_t len,
                           swm_error *err);

/// swm_handle_receive receives a part of the stream of replies: at least a byte, at most `capacity`, and
/// tells in `*received` how many.
///
/// Blocks for as long as what is under way may take: `command_timeout` from the last part that was sent,
/// and the timeouts of blocking commands on top; without end where such a one is 0, or the connection is
/// subscribed or monitors and nothing is under way. A switch ends it at once.
///
/// Errors: as of swm_handle_send, and SWM_E_INVALID_CONFIG when no reply is to come.
swm_status swm_handle_receive(swm_handle *handle,
                              char *buffer,
                              size_t capacity,
                              size_t *received,
                              swm_error *err);

/// swm_handle_send_readiness tells what swm_handle_send would wait for with `len` bytes, a
/// swm_readiness, for callers that must not wait there, as in an event loop. Never
/// SWM_WAITS_FOR_DESCRIPTOR. Now and then, a fence goes up between this call and that one. Blocks never.
swm_status swm_handle_send_readiness(swm_handle *handle,
                                     size_t len,
                                     int *readiness,
                                     swm_error *err);

/// swm_handle_receive_readiness tells what swm_handle_receive would wait for, a swm_readiness. With
/// SWM_WAITS_FOR_DESCRIPTOR, `*timeout_ms` is how long it would wait at most: call it then in any case,
/// and it says that the time is over. UINT64_MAX is without end. Blocks never.
swm_status swm_handle_receive_readiness(swm_handle *handle,
                                        int *readiness,
                                        uint64_t *timeout_ms,
                                        swm_error *err);

/// swm_handle_hiredis_fd gives a duplicate of the descriptor of the handle's connection, for a
/// redisContext; `switchmaster_hiredis.h` has the rest. It is the caller's to close, and good for
/// poll(2): what is read from or written to it passes no gate. -1 when `handle` is none, or no connection
/// can be had.
///
/// Blocks only where the handle's last connection broke, and it has to take another: at most for
/// `get_timeout`.
int swm_handle_hiredis_fd(swm_handle *handle);

/// swm_handle_generation tells the generation that the handle's connection belongs to; 0 when it has
/// none at the moment, is in use by another thread, or `handle` is none.
uint64_t swm_handle_generation(const swm_handle *handle);

/// swm_handle_fd tells the descriptor of the handle's connection, to look at and not to touch; -1 when
/// it has none at the moment, is in use by another thread, or `handle` is none. It changes when the
/// handle moves.
int swm_handle_fd(const swm_handle *handle);

/// swm_handle_protocol returns the version of the protocol that the handle's connection speaks: 2 or 3. It
/// is 2 when the server refused RESP3, even with the option `protocol=3`, and may change when the handle
/// moves. Returns 0 when the handle has no connection at the moment, is in use by another thread, or
/// `handle` is none. Never blocks.
int swm_handle_protocol(const swm_handle *handle);

/// swm_handle_is_clean tells whether whoever uses the handle next finds nothing of what was done on it: 1
/// when its connection holds no state (a transaction, another database, a subscription), nothing is under
/// way, and every reply of a pipeline was taken; 0 when not, and when `handle` is none or in use. For a
/// pool of handles above this one: what is not clean is to be released.
int swm_handle_is_clean(swm_handle *handle);

/// swm_handle_release gives the handle back to its factory. Replies stay. Replies of a pipeline that were
/// not taken are dropped. NULL, a handle that was released, and one that another thread is using, are
/// left alone. Blocks never.
void swm_handle_release(swm_handle *handle);

/* ---- Replies ------------------------------------------------------------------------------- */

/// swm_reply_type tells what a reply is, a swm_reply_kind; SWM_REPLY_NONE of NULL.
int swm_reply_type(const swm_reply *reply);

/// swm_reply_str gives the bytes of a string, status, error, double, big number or verbatim text, and
/// where `len` is not NULL, how many they are. A NUL follows them, which is not counted; a string may
/// have others inside. NULL, and a length of 0, of any other reply.
const char *swm_reply_str(const swm_reply *reply,
                          size_t *len);

/// swm_reply_integer gives a whole number, or a boolean as 0 or 1; 0 of any other reply.
int64_t swm_reply_integer(const swm_reply *reply);

/// swm_reply_double gives a number with a fraction, or a whole number as one; 0 of any other reply.
double swm_reply_double(const swm_reply *reply);

/// swm_reply_boolean gives a boolean; false of any other reply.
bool swm_reply_boolean(const swm_reply *reply);

/// swm_reply_format gives the format of a verbatim text, such as `txt` or `mkd`; NULL of any other reply.
const char *swm_reply_format(const swm_reply *reply);

/// swm_reply_elements tells how many elements an array, set, map, push or attribute has; of a map twice
/// as many as pairs. 0 of any other reply.
size_t swm_reply_elements(const swm_reply *reply);

/// swm_reply_element gives an element; NULL when there is none of this index. It belongs to the reply.
const swm_reply *swm_reply_element(const swm_reply *reply,
                                   size_t index);

/// swm_reply_attributes gives what the server says about a reply, as keys and values in turn; NULL when
/// it says nothing. It belongs to the reply.
const swm_reply *swm_reply_attributes(const swm_reply *reply);

/// swm_reply_free frees a reply, its elements with it. NULL and elements are left alone. A reply may be
/// freed once, like memory of malloc; a second time is noticed where that is possible, and left alone.
void swm_reply_free(swm_reply *reply);

/* ---- Events -------------------------------------------------------------------------------- */

/// swm_factory_next_event takes the oldest event that was not taken. The factory keeps events from the
/// first call of this function or of swm_factory_event_fd on, up to 1024 of them: the oldest 256 and the
/// newest. Where some between were lost, an event of kind SWM_EVENT_MISSED says how many. Free the event with swm_event_free.
///
/// Blocks until there is one, at most for `timeout_ms` milliseconds; not at all with 0.
///
/// Errors: SWM_E_NOTHING when none came, SWM_E_CLOSED when there will be none.
swm_status swm_factory_next_event(const swm_factory *factory,
                                  uint32_t timeout_ms,
                                  swm_event **out,
                                  swm_error *err);

/// swm_factory_event_fd tells a descriptor for poll(2), epoll(7) and the like. It is readable while there
/// is an event to be taken, and now and then when there is none, so call swm_factory_next_event with a
/// timeout of 0. Do not read from it and do not close it: it belongs to the factory, and is gone soon after
/// that is closed. Take it out of every poll loop before. Blocks never.
///
/// Errors: SWM_E_CLOSED.
swm_status swm_factory_event_fd(const swm_factory *factory,
                                int *out,
                                swm_error *err);

/// swm_event_type tells what happened, a swm_event_kind; SWM_EVENT_OTHER of NULL.
int swm_event_type(const swm_event *event);

/// swm_event_name gives the kind as a word, such as `switched`; NULL of NULL.
const char *swm_event_name(const swm_event *event);

/// swm_event_time_ms tells when it happened, in milliseconds since 1970; 0 of NULL.
int64_t swm_event_time_ms(const swm_event *event);

/// swm_event_generation tells the generation that it is about: of a switch the new one. 0 where it is
/// about none.
uint64_t swm_event_generation(const swm_event *event);

/// swm_event_address gives the node or sentinel that it is about, `host:port`: of a switch the new
/// master. NULL where it is about none.
const char *swm_event_address(const swm_event *event);

/// swm_event_previous gives the master before a switch, `host:port`; NULL where there was none.
const char *swm_event_previous(const swm_event *event);

/// swm_event_text gives a line for people; NULL of NULL.
const char *swm_event_text(const swm_event *event);

/// swm_event_json gives everything that is known of it as one line of JSON, as `switchmaster watch
/// --json` prints it; NULL of NULL.
const char *swm_event_json(const swm_event *event);

/// swm_event_free frees an event, once. NULL is left alone.
void swm_event_free(swm_event *event);

/* ---- Subscriptions ------------------------------------------------------------------------- */

/// swm_factory_subscribe subscribes to channels. `lens` are the lengths of their names; where it is NULL,
/// they are C strings.
///
/// Blocks until the master confirmed it, at most for `get_timeout` (5 s unless set).
///
/// Errors: SWM_E_NO_MASTER, SWM_E_COMMAND_TIMEOUT, SWM_E_PERMISSION, SWM_E_INVALID_CONFIG for no names,
/// SWM_E_CLOSED.
swm_status swm_factory_subscribe(const swm_factory *factory,
                                 size_t count,
                                 const char *const *names,
                                 const size_t *lens,
                                 swm_subscription **out,
                                 swm_error *err);

/// swm_factory_psubscribe subscribes to patterns. See swm_factory_subscribe, which it is like.
swm_status swm_factory_psubscribe(const swm_factory *factory,
                                  size_t count,
                                  const char *const *names,
                                  const size_t *lens,
                                  swm_subscription **out,
                                  swm_error *err);

/// swm_subscription_subscribe subscribes to further channels. Blocks until the master confirmed it, at
/// most for `command_timeout`.
swm_status swm_subscription_subscribe(swm_subscription *subscription,
                                      size_t count,
                                      const char *const *names,
                                      const size_t *lens,
                                      swm_error *err);

/// swm_subscription_psubscribe subscribes to further patterns. Blocks as swm_subscription_subscribe does.
swm_status swm_subscription_psubscribe(swm_subscription *subscription,
                                       size_t count,
                                       const char *const *names,
                                       const size_t *lens,
                                       swm_error *err);

/// swm_subscription_unsubscribe ends the subscription to channels. Blocks as swm_subscription_subscribe
/// does.
swm_status swm_subscription_unsubscribe(swm_subscription *subscription,
                                        size_t count,
                                        const char *const *names,
                                        const size_t *lens,
                                        swm_error *err);

/// swm_subscription_punsubscribe ends the subscription to patterns. Blocks as swm_subscription_subscribe
/// does.
swm_status swm_subscription_punsubscribe(swm_subscription *subscription,
                                         size_t count,
                                         const char *const *names,
                                         const size_t *lens,
                                         swm_error *err);

/// swm_subscription_next takes the next delivery. While it waits it also subscribes again, where that is
/// needed: nothing else does. Free the delivery with swm_delivery_free.
///
/// Blocks until there is one, at most for `timeout_ms` milliseconds; not at all with 0.
///
/// Errors: SWM_E_NOTHING when none came, SWM_E_CLOSED when it or the factory was closed.
swm_status swm_subscription_next(swm_subscription *subscription,
                                 uint32_t timeout_ms,
                                 swm_delivery **out,
                                 swm_error *err);

/// swm_subscription_close closes a subscription, and wakes who waits for its deliveries. NULL, and one
/// that was closed, are left alone. Blocks never.
void swm_subscription_close(swm_subscription *subscription);

/// swm_delivery_type tells what it is, a swm_delivery_kind; SWM_DELIVERY_NONE of NULL.
int swm_delivery_type(const swm_delivery *delivery);

/// swm_delivery_channel returns the channel of a message, or the channel that was refused, and its length in
/// bytes where `len` is not NULL. No NUL follows. NULL of a gap, and where a pattern was refused.
const char *swm_delivery_channel(const swm_delivery *delivery,
                                 size_t *len);

/// swm_delivery_pattern returns the pattern that a message came by, or the pattern that was refused, and its
/// length in bytes where `len` is not NULL. No NUL follows. NULL when a message came by its channel, of a
/// gap, and where a channel was refused.
const char *swm_delivery_pattern(const swm_delivery *delivery,
                                 size_t *len);

/// swm_delivery_payload gives the payload of a message, and its length in bytes where `len` is not NULL.
/// No NUL follows. NULL of a gap and of a refusal.
const char *swm_delivery_payload(const swm_delivery *delivery,
                                 size_t *len);

/// swm_delivery_generation returns the generation of the master that a message came from, that a gap leads
/// to, or that refused a name; 0 of NULL.
uint64_t swm_delivery_generation(const swm_delivery *delivery);

/// swm_delivery_text returns a line for a log about a gap or a refusal, which ends with a NUL; NULL of a
/// message.
const char *swm_delivery_text(const swm_delivery *delivery);

/// swm_delivery_free frees a delivery, once. NULL is left alone.
void swm_delivery_free(swm_delivery *delivery);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif  /* SWITCHMASTER_H */
