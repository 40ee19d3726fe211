/* What the programs in C have in common: checks, requests to the driver, waiting, short forms. */

#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <switchmaster.h>

/* One test. The driver runs one of them in a process. */
struct test {
    const char *name;
    void (*run)(const char *url);
};

/* The tests of each file, ended by one without a name. */
extern const struct test command_tests[];
extern const struct test event_tests[];
extern const struct test factory_tests[];
extern const struct test fork_tests[];
extern const struct test failover_tests[];
extern const struct test hiredis_tests[];
extern const struct test lifetime_tests[];
extern const struct test option_tests[];
extern const struct test pipeline_tests[];
extern const struct test reply_tests[];
extern const struct test stream_tests[];
extern const struct test subscription_tests[];
extern const struct test thread_tests[];

/* ---- Checks: what does not hold ends the process ---- */

#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 3, 4)))
#endif
void check_failed(const char *file, int line, const char *format, ...);
void check_status(const char *file, int line, const char *call, swm_status status, swm_status expected,
                  const swm_error *err);
void check_number(const char *file, int line, const char *what, long long is, long long expected);
void check_text(const char *file, int line, const char *what, const char *is, const char *expected);

#define CHECK(condition) \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, "it does not hold: %s", #condition))
#define NUMBER(is, expected) \
    check_number(__FILE__, __LINE__, #is, (long long)(is), (long long)(expected))
#define TEXT(is, expected) check_text(__FILE__, __LINE__, #is, (is), (expected))

/* Every call's error; what is in it is that of the last failure of the thread. */
extern __thread swm_error err;

/* A call that succeeds, and one that fails with a status; err says why, and so does the message. */
#define OK(call) check_status(__FILE__, __LINE__, #call, (call), SWM_OK, &err)
#define FAILS(call, status) \
    (memset(&err, 0, sizeof(err)), check_status(__FILE__, __LINE__, #call, (call), (status), &err))

/* Waits for a condition, for a minute at most. */
#define WAIT_FOR(condition)                                                               \
    do {                                                                                  \
        long long until_ = now_ms() + patience_ms();                                      \
        while (!(condition)) {                                                            \
            if (now_ms() > until_)                                                        \
                check_failed(__FILE__, __LINE__, "it does not come true: %s", #condition); \
            pause_ms(5);                                                                  \
        }                                                                                 \
    } while (0)

/* Ends the process after some minutes: nothing is left running when the driver is gone. */
void limit_time(void);
long long now_ms(void);
void pause_ms(int ms);
/* So long is waited for what has to happen at all. */
uint32_t patience_ms(void);
/* How many things a folder of /proc has: threads, descriptors. */
long entries(const char *folder);
/* Whether a tool makes everything slow, and has memory of its own. */
bool is_under_a_tool(void);

/* ---- The driver, who has the servers ---- */

/* Sends a line and gives the answer, which stays until this thread's next request. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
const char *request(const char *format, ...);
/* The same of an answer that is a number. */
long long request_number(const char *line);

/* ---- Short forms ---- */

swm_factory *open_factory(const char *url);
/* With options behind the URL, such as "max_size=1&get_timeout=20s". */
swm_factory *open_with(const char *url, const char *options);
swm_handle *get(swm_factory *factory);
/* A command of words separated by blanks. */
swm_status try_command(swm_handle *handle, const char *words, swm_reply **reply);
swm_reply *command(swm_handle *handle, const char *words);
/* The same, without its reply, which is no error. */
void run(swm_handle *handle, const char *words);
/* The same of one that replies with a number. */
long long count(swm_handle *handle, const char *words);
void append(swm_handle *handle, const char *words);
/* Whether the reply has exactly these bytes. */
bool says(const swm_reply *reply, const char *bytes);
uint64_t generation(const swm_factory *factory);
swm_stats stats(const swm_factory *factory);
/* Waits for a generation after `after`. */
uint64_t wait_for_switch(const swm_factory *factory, uint64_t after);

#endif
