/* Options, URLs, and factories that cannot be opened. */

#include "check.h"

#include <poll.h>

static void options_are_set_by_name_and_value(const char *url)
{
    static const char *const settings[][2] = {
        {"client_name", "by-name"}, {"max_size", "3"},           {"min_idle", "0"},
        {"db", "2"},                {"protocol", "2"},       {"get_timeout", "7s"},
        {"command_timeout", "9s"},  {"connect_timeout", "20s"},  {"dial_timeout", "5s"},
        {"switch_on", "promotion"}, {"confirm_within", "1500ms"}, {"fence", "true"},
        {"fence_timeout", "3s"},    {"leak_after", "1h"},        {"max_lifetime", "1h"},
        {"on_lost_majority", "serve"}, {"max_lag", "5s"},
    };
    swm_options *options = NULL;
    swm_factory *factory = NULL, *second = NULL;
    swm_handle *handle;
    swm_reply *reply;
    size_t at;
    OK(swm_options_new(url, &options, &err));
    for (at = 0; at < sizeof(settings) / sizeof(settings[0]); at++) {
        swm_status status = swm_options_set(options, settings[at][0], settings[at][1], &err);
        if (status != SWM_OK)
            check_failed(__FILE__, __LINE__, "%s: %s", settings[at][0], err.message);
    }
    OK(swm_factory_open_options(options, &factory, &err));
    /* What is set later is for factories that are opened later. */
    OK(swm_options_set(options, "max_size", "5", &err));
    OK(swm_factory_open_options(options, &second, &err));
    swm_options_free(options);
    NUMBER(stats(factory).max, 3);
    NUMBER(stats(factory).min, 0);
    NUMBER(stats(second).max, 5);
    handle = get(factory);
    reply = command(handle, "CLIENT GETNAME");
    CHECK(says(reply, "by-name"));
    swm_reply_free(reply);
    reply = command(handle, "CLIENT INFO");
    CHECK(strstr(swm_reply_str(reply, NULL), " db=2 "));
    swm_reply_free(reply);
    swm_handle_release(handle);
    swm_factory_close(factory);
    swm_factory_close(second);
}

static void told(swm_options *options, const char *name, const char *expected)
{
    char *value = NULL;
    OK(swm_options_get(options, name, &value, &err));
    TEXT(value, expected);
    swm_string_free(value);
}

static void options_are_told_as_they_are_set(const char *url)
{
    swm_options *options = NULL;
    char *value = NULL;
    (void)url;
    OK(swm_options_new("redis+sentinel://:hunter2@h/told?get_timeout=1500ms", &options, &err));
    OK(swm_options_set(options, "max_size", "12", &err));
    told(options, "service", "told");
    told(options, "max_size", "12");
    told(options, "get_timeout", "1500ms");
    told(options, "dial_timeout", "500ms");
    told(options, "leak_after", "none");
    FAILS(swm_options_get(options, "password", &value, &err), SWM_E_NOTHING);
    FAILS(swm_options_get(options, "client_name", &value, &err), SWM_E_NOTHING);
    FAILS(swm_options_get(options, "max_sise", &value, &err), SWM_E_INVALID_CONFIG);
    CHECK(strstr(err.message, "max_size") && !value);
    swm_options_free(options);
    FAILS(swm_options_get(options, "max_size", &value, &err), SWM_E_DEAD);
}

static void a_factory_opens_without_any_url(const char *url)
{
    swm_options *options = NULL;
    swm_factory *factory = NULL;
    char sentinel[64];
    (void)url;
    snprintf(sentinel, sizeof(sentinel), "%s", request("sentinel"));
    OK(swm_options_new(NULL, &options, &err));
    OK(swm_options_set(options, "sentinel", sentinel, &err));
    OK(swm_options_set(options, "service", request("service"), &err));
    OK(swm_factory_open_options(options, &factory, &err));
    swm_options_free(options);
    swm_options_free(options);
    swm_options_free(NULL);
    FAILS(swm_options_set(options, "db", "1", &err), SWM_E_DEAD);
    CHECK(strstr(err.message, "swm_options") && strstr(err.message, "freed"));
    run(get(factory), "PING");
    swm_factory_close(factory);
}

static void values_that_are_not_allowed_are_quoted_unless_they_are_secret(const char *url)
{
    static const char *const bad[][2] = {
        {"max_size", "0"},       {"max_size", "-1"},    {"max_size", "many"},
        {"db", "-1"},            {"protocol", "4"}, {"get_timeout", "soon"},
        {"get_timeout", "5"},    {"fence", "perhaps"},  {"switch_on", "monday"},
        {"no_such_option", "1"}, {"", ""},              {"sentinel", "host:70000"},
    };
    swm_options *options = NULL;
    size_t at;
    OK(swm_options_new(url, &options, &err));
    for (at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
        FAILS(swm_options_set(options, bad[at][0], bad[at][1], &err), SWM_E_INVALID_CONFIG);
        NUMBER(err.outcome, SWM_NOT_SENT);
        if (!strstr(err.message, bad[at][0]))
            check_failed(__FILE__, __LINE__, "%s is not named: %s", bad[at][0], err.message);
    }
    FAILS(swm_options_set(options, "get_timeout", "soon", &err), SWM_E_INVALID_CONFIG);
    CHECK(strstr(err.message, "soon"));
    FAILS(swm_options_set(options, "password", "\xff\xfe", &err), SWM_E_ARGUMENT);
    FAILS(swm_options_set(options, NULL, "1", &err), SWM_E_NULL);
    FAILS(swm_options_set(options, "db", NULL, &err), SWM_E_NULL);
    swm_options_free(options);
}

static void urls_that_cannot_be_read_are_quoted_without_the_password(const char *url)
{
    static const char *const bad[] = {
        "",
        "http://127.0.0.1/mymaster",
        "redis+sentinel://:hunter2@127.0.0.1:70000/mymaster",
        "redis+sentinel://:hunter2@/mymaster",
        "redis+sentinel://:hunter2@127.0.0.1/mymaster?no_such_option=1",
        "redis+sentinel://:hunter2@127.0.0.1/mymaster?max_size=x",
    };
    swm_factory *const untouched = (swm_factory *)&url;
    swm_factory *factory = untouched;
    swm_options *options = NULL;
    size_t at;
    (void)url;
    for (at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
        swm_status status;
        memset(&err, 0, sizeof(err));
        status = swm_factory_open(bad[at], &factory, &err);
        if (status != SWM_E_INVALID_URL && status != SWM_E_INVALID_CONFIG)
            check_failed(__FILE__, __LINE__, "%s: %d", bad[at], status);
        NUMBER(err.status, status);
        CHECK(err.message[0] && !strstr(err.message, "hunter2"));
        NUMBER(swm_options_new(bad[at], &options, &err), status);
        CHECK(factory == untouched && !options);
    }
    FAILS(swm_factory_open("redis+sentinel://\xff/x", &factory, &err), SWM_E_ARGUMENT);
    FAILS(swm_factory_open(NULL, &factory, &err), SWM_E_NULL);
    TEXT(err.message, "url is NULL");
}

static void what_keeps_a_factory_from_opening_is_told(const char *url)
{
    swm_factory *factory = NULL;
    char other[256];
    /* Nobody listens there. Behind a tool it takes longer to find that out. */
    snprintf(other, sizeof(other), "redis+sentinel://127.0.0.1:1/x?connect_timeout=%s",
             is_under_a_tool() ? "10s" : "200ms");
    FAILS(swm_factory_open(other, &factory, &err), SWM_E_NO_SENTINEL);
    TEXT(err.kind, "no-sentinel");
    CHECK(strstr(err.message, "127.0.0.1:1"));
    snprintf(other, sizeof(other), "%s-of-nobody?connect_timeout=%s", url,
             is_under_a_tool() ? "20s" : "1s");
    FAILS(swm_factory_open(other, &factory, &err), SWM_E_UNKNOWN_SERVICE);
    CHECK(strstr(err.message, "-of-nobody"));
    CHECK(!factory);
}

/* The credentials of a callback, and the numbers of its calls and of its destructions. */
struct vault {
    const char *username, *password, *error;
    int calls, forgotten;
};

static void open_vault(void *user_data, swm_credentials *out)
{
    struct vault *vault = user_data;
    __atomic_add_fetch(&vault->calls, 1, __ATOMIC_SEQ_CST);
    CHECK(!out->username && !out->password && !out->error);
    out->username = vault->username;
    out->password = vault->password;
    out->error = vault->error;
}

static void forget_vault(void *user_data)
{
    struct vault *vault = user_data;
    __atomic_add_fetch(&vault->forgotten, 1, __ATOMIC_SEQ_CST);
}

static void is_forgotten(struct vault *vault)
{
    while (__atomic_load_n(&vault->forgotten, __ATOMIC_SEQ_CST) == 0)
        poll(NULL, 0, 1);
    NUMBER(__atomic_load_n(&vault->forgotten, __ATOMIC_SEQ_CST), 1);
}

static void credentials_come_from_a_callback_that_is_forgotten_once(const char *url)
{
    /* Without a password of its own this user takes any. */
    static struct vault good = {"default", "any", NULL, 0, 0};
    static struct vault replaced, sentinels = {"default", "any", NULL, 0, 0};
    swm_options *options = NULL;
    swm_factory *factory = NULL, *second = NULL;
    swm_handle *handle;
    OK(swm_options_new(url, &options, &err));
    OK(swm_options_set_credentials(options, open_vault, &replaced, forget_vault, &err));
    OK(swm_options_set_credentials(options, open_vault, &good, forget_vault, &err));
    NUMBER(replaced.forgotten, 1);
    OK(swm_options_set_sentinel_credentials(options, open_vault, &sentinels, forget_vault, &err));
    OK(swm_factory_open_options(options, &factory, &err));
    OK(swm_factory_open_options(options, &second, &err));
    swm_options_free(options);
    FAILS(swm_options_set_credentials(options, open_vault, &replaced, forget_vault, &err),
          SWM_E_DEAD);
    NUMBER(replaced.forgotten, 1);
    NUMBER(replaced.calls, 0);
    CHECK(__atomic_load_n(&good.calls, __ATOMIC_SEQ_CST) > 0);
    CHECK(__atomic_load_n(&sentinels.calls, __ATOMIC_SEQ_CST) > 0);
    handle = get(factory);
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(factory);
    NUMBER(__atomic_load_n(&good.forgotten, __ATOMIC_SEQ_CST), 0);
    handle = get(second);
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(second);
    is_forgotten(&good);
    is_forgotten(&sentinels);
}

static void a_callback_that_fails_is_reported_without_a_password(const char *url)
{
    static const struct {
        struct vault vault;
        const char *told;
    } bad[] = {
        {{NULL, NULL, "the vault is sealed", 0, 0}, "the vault is sealed"},
        {{"app", "hunter2", "the vault is sealed", 0, 0}, "the vault is sealed"},
        {{"app", NULL, NULL, 0, 0}, "neither a password nor an error"},
        {{"app", "\xff\xfe", NULL, 0, 0}, "not UTF-8"},
        {{"", "hunter2", NULL, 0, 0}, "empty user name"},
    };
    static struct vault vaults[sizeof(bad) / sizeof(bad[0])];
    size_t at;
    for (at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
        swm_options *options = NULL;
        swm_factory *factory = NULL;
        vaults[at] = bad[at].vault;
        OK(swm_options_new(url, &options, &err));
        OK(swm_options_set(options, "connect_timeout", is_under_a_tool() ? "20s" : "2s", &err));
        OK(swm_options_set_credentials(options, open_vault, &vaults[at], forget_vault, &err));
        FAILS(swm_factory_open_options(options, &factory, &err), SWM_E_NO_MASTER);
        if (!strstr(err.message, bad[at].told) || strstr(err.message, "hunter2"))
            check_failed(__FILE__, __LINE__, "%s", err.message);
        swm_options_free(options);
        is_forgotten(&vaults[at]);
    }
}

static void the_versions_are_told(const char *url)
{
    char version[32];
    (void)url;
    snprintf(version, sizeof(version), "%d.%d.%d", SWM_VERSION_MAJOR, SWM_VERSION_MINOR,
             SWM_VERSION_PATCH);
    TEXT(swm_version(), version);
    NUMBER(swm_abi_version(), SWM_ABI_VERSION);
}

const struct test option_tests[] = {
    {"options_are_set_by_name_and_value", options_are_set_by_name_and_value},
    {"options_are_told_as_they_are_set", options_are_told_as_they_are_set},
    {"a_factory_opens_without_any_url", a_factory_opens_without_any_url},
    {"values_that_are_not_allowed_are_quoted_unless_they_are_secret",
     values_that_are_not_allowed_are_quoted_unless_they_are_secret},
    {"urls_that_cannot_be_read_are_quoted_without_the_password",
     urls_that_cannot_be_read_are_quoted_without_the_password},
    {"what_keeps_a_factory_from_opening_is_told", what_keeps_a_factory_from_opening_is_told},
    {"credentials_come_from_a_callback_that_is_forgotten_once",
     credentials_come_from_a_callback_that_is_forgotten_once},
    {"a_callback_that_fails_is_reported_without_a_password",
     a_callback_that_fails_is_reported_without_a_password},
    {"the_versions_are_told", the_versions_are_told},
    {NULL, NULL},
};
