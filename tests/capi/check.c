/* What check.h declares. */

#include "check.h"

#include <dirent.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

/* Longer than anything may take. */
#define LIMIT_S 240

__thread swm_error err;

void limit_time(void)
{
    alarm(LIMIT_S);
}

void check_failed(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    _exit(1);
}

void check_status(const char *file, int line, const char *call, swm_status status, swm_status expected,
                  const swm_error *error)
{
    if (status != expected)
        check_failed(file, line, "%s is %d and not %d: %s", call, status, expected,
                     status == SWM_OK ? "no error" : error->message);
    if (status == SWM_OK)
        return;
    if (error->status != status)
        check_failed(file, line, "%s is %d, and its error says %d", call, status, error->status);
    if (!memchr(error->message, 0, sizeof(error->message)) || error->message[0] == 0 ||
        !memchr(error->kind, 0, sizeof(error->kind)) || error->kind[0] == 0)
        check_failed(file, line, "%s: its error does not say why", call);
}

void check_number(const char *file, int line, const char *what, long long is, long long expected)
{
    if (is != expected)
        check_failed(file, line, "%s is %lld and not %lld", what, is, expected);
}

void check_text(const char *file, int line, const char *what, const char *is, const char *expected)
{
    if (!is || strcmp(is, expected) != 0)
        check_failed(file, line, "%s is \"%s\" and not \"%s\"", what, is ? is : "(NULL)", expected);
}

long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void pause_ms(int ms)
{
    struct timespec pause;
    pause.tv_sec = ms / 1000;
    pause.tv_nsec = (long)(ms % 1000) * 1000000;
    nanosleep(&pause, NULL);
}

bool is_under_a_tool(void)
{
    const char *under = getenv("SWITCHMASTER_UNDER");
    return under && *under;
}

long entries(const char *folder)
{
    long number = 0;
    const struct dirent *entry;
    DIR *opened = opendir(folder);
    CHECK(opened);
    while ((entry = readdir(opened)))
        number += entry->d_name[0] != '.';
    closedir(opened);
    return number;
}

uint32_t patience_ms(void)
{
    return is_under_a_tool() ? 120000 : 60000;
}

const char *request(const char *format, ...)
{
    static __thread char answer[4096];
    char *end;
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
    if (!fgets(answer, sizeof(answer), stdin))
        check_failed(__FILE__, __LINE__, "the driver does not answer: %s", format);
    end = strchr(answer, '\n');
    if (end)
        *end = 0;
    return answer;
}

long long request_number(const char *line)
{
    char *end;
    const char *answer = request("%s", line);
    long long number = strtoll(answer, &end, 10);
    if (end == answer || *end)
        check_failed(__FILE__, __LINE__, "\"%s\" is answered by \"%s\"", line, answer);
    return number;
}

/* Behind a tool a connection takes a second to be made. */
#define PATIENT "connect_timeout=60s&dial_timeout=20s"

swm_factory *open_with(const char *url, const char *options)
{
    swm_factory *factory = NULL;
    char longer[1024];
    const char *patient = is_under_a_tool() ? "&" PATIENT : "";
    CHECK(snprintf(longer, sizeof(longer), "%s?%s%s", url, options, patient) < (int)sizeof(longer));
    OK(swm_factory_open(longer, &factory, &err));
    CHECK(factory);
    return factory;
}

swm_factory *open_factory(const char *url)
{
    swm_factory *factory = NULL;
    if (is_under_a_tool())
        return open_with(url, "min_idle=1");
    OK(swm_factory_open(url, &factory, &err));
    CHECK(factory);
    return factory;
}

swm_handle *get(swm_factory *factory)
{
    swm_handle *handle = NULL;
    OK(swm_factory_get(factory, patience_ms(), &handle, &err));
    CHECK(handle);
    return handle;
}

/* Cuts words apart, in place. */
static size_t cut(char *words, const char **argv, size_t most)
{
    size_t argc = 0;
    char *save = NULL;
    char *word = strtok_r(words, " ", &save);
    for (; word; word = strtok_r(NULL, " ", &save)) {
        CHECK(argc < most);
        argv[argc++] = word;
    }
    return argc;
}

swm_status try_command(swm_handle *handle, const char *words, swm_reply **reply)
{
    char copy[512];
    const char *argv[16];
    CHECK(snprintf(copy, sizeof(copy), "%s", words) < (int)sizeof(copy));
    return swm_handle_command_argv(handle, cut(copy, argv, 16), argv, NULL, reply, &err);
}

void append(swm_handle *handle, const char *words)
{
    char copy[512];
    const char *argv[16];
    CHECK(snprintf(copy, sizeof(copy), "%s", words) < (int)sizeof(copy));
    OK(swm_handle_append_argv(handle, cut(copy, argv, 16), argv, NULL, &err));
}

swm_reply *command(swm_handle *handle, const char *words)
{
    swm_reply *reply = NULL;
    swm_status status = try_command(handle, words, &reply);
    if (status != SWM_OK)
        check_failed(__FILE__, __LINE__, "%s: %d: %s", words, status, err.message);
    CHECK(reply);
    return reply;
}

void run(swm_handle *handle, const char *words)
{
    swm_reply *reply = command(handle, words);
    if (swm_reply_type(reply) == SWM_REPLY_ERROR)
        check_failed(__FILE__, __LINE__, "%s: %s", words, swm_reply_str(reply, NULL));
    swm_reply_free(reply);
}

long long count(swm_handle *handle, const char *words)
{
    swm_reply *reply = command(handle, words);
    long long number = swm_reply_integer(reply);
    if (swm_reply_type(reply) != SWM_REPLY_INTEGER)
        check_failed(__FILE__, __LINE__, "%s does not reply with a number", words);
    swm_reply_free(reply);
    return number;
}

bool says(const swm_reply *reply, const char *bytes)
{
    size_t len = 0;
    const char *text = swm_reply_str(reply, &len);
    return text && len == strlen(bytes) && memcmp(text, bytes, len + 1) == 0;
}

uint64_t generation(const swm_factory *factory)
{
    uint64_t number = 0;
    OK(swm_factory_generation(factory, &number, &err));
    return number;
}

swm_stats stats(const swm_factory *factory)
{
    swm_stats now;
    memset(&now, 0, sizeof(now));
    now.struct_size = sizeof(now);
    OK(swm_factory_stats(factory, &now, &err));
    NUMBER(now.struct_size, sizeof(now));
    return now;
}

uint64_t wait_for_switch(const swm_factory *factory, uint64_t after)
{
    uint64_t number = 0;
    OK(swm_factory_wait_for_generation(factory, after, patience_ms(), &number, &err));
    CHECK(number > after);
    return number;
}
