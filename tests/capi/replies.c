/* Replies of every type. */

#include "check.h"

#include <math.h>
#include <pthread.h>

/* What the scripted server answers, and what is made of it. */
static swm_reply *answer(swm_handle *handle, const char *bytes)
{
    request("answer %s", bytes);
    return command(handle, "GET anything");
}

/* What every accessor says that is not for this type. */
static void has_no_text(const swm_reply *reply)
{
    size_t len = 1;
    CHECK(!swm_reply_str(reply, &len));
    NUMBER(len, 0);
}

static void has_no_elements(const swm_reply *reply)
{
    NUMBER(swm_reply_elements(reply), 0);
    CHECK(!swm_reply_element(reply, 0));
}

static void has_no_number(const swm_reply *reply)
{
    NUMBER(swm_reply_integer(reply), 0);
    CHECK(swm_reply_double(reply) == 0);
    CHECK(!swm_reply_boolean(reply));
}

static void is_text(swm_handle *handle, const char *bytes, int type, const char *text)
{
    swm_reply *reply = answer(handle, bytes);
    NUMBER(swm_reply_type(reply), type);
    CHECK(says(reply, text));
    has_no_number(reply);
    has_no_elements(reply);
    CHECK(!swm_reply_attributes(reply));
    CHECK(!swm_reply_format(reply));
    swm_reply_free(reply);
}

static void texts_of_every_type_have_their_bytes(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *reply;
    size_t len;
    is_text(handle, "$5\\r\\nhello\\r\\n", SWM_REPLY_STRING, "hello");
    is_text(handle, "$0\\r\\n\\r\\n", SWM_REPLY_STRING, "");
    is_text(handle, "+fine\\r\\n", SWM_REPLY_STATUS, "fine");
    is_text(handle, "+\\r\\n", SWM_REPLY_STATUS, "");
    is_text(handle, "-ERR no\\r\\n", SWM_REPLY_ERROR, "ERR no");
    is_text(handle, "!9\\r\\nERR\\r\\nnono\\r\\n", SWM_REPLY_ERROR, "ERR\r\nnono");
    is_text(handle, "(-3492890328409238509324850943850943825024385\\r\\n", SWM_REPLY_BIGNUM,
            "-3492890328409238509324850943850943825024385");
    reply = answer(handle, "$4\\r\\na\\0\\r\\n\\r\\n");
    CHECK(memcmp(swm_reply_str(reply, &len), "a\0\r\n", 5) == 0);
    NUMBER(len, 4);
    swm_reply_free(reply);

    reply = answer(handle, "=9\\r\\nmkd:*two*\\r\\n");
    NUMBER(swm_reply_type(reply), SWM_REPLY_VERB);
    CHECK(says(reply, "*two*"));
    TEXT(swm_reply_format(reply), "mkd");
    has_no_number(reply);
    swm_reply_free(reply);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void is_integer(swm_handle *handle, const char *bytes, int64_t number)
{
    swm_reply *reply = answer(handle, bytes);
    NUMBER(swm_reply_type(reply), SWM_REPLY_INTEGER);
    NUMBER(swm_reply_integer(reply), number);
    CHECK(swm_reply_double(reply) == (double)number);
    CHECK(!swm_reply_boolean(reply));
    has_no_text(reply);
    has_no_elements(reply);
    swm_reply_free(reply);
}

static double number_of(swm_handle *handle, const char *bytes, const char *text)
{
    swm_reply *reply = answer(handle, bytes);
    double number = swm_reply_double(reply);
    NUMBER(swm_reply_type(reply), SWM_REPLY_DOUBLE);
    CHECK(says(reply, text));
    NUMBER(swm_reply_integer(reply), 0);
    has_no_elements(reply);
    swm_reply_free(reply);
    return number;
}

static void numbers_of_every_type_have_their_value(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    int truth;
    is_integer(handle, ":0\\r\\n", 0);
    is_integer(handle, ":-17\\r\\n", -17);
    is_integer(handle, ":9223372036854775807\\r\\n", INT64_MAX);
    is_integer(handle, ":-9223372036854775808\\r\\n", INT64_MIN);
    CHECK(number_of(handle, ",3.25\\r\\n", "3.25") == 3.25);
    CHECK(number_of(handle, ",-1e-3\\r\\n", "-1e-3") == -1e-3);
    CHECK(number_of(handle, ",10\\r\\n", "10") == 10);
    CHECK(isinf(number_of(handle, ",inf\\r\\n", "inf")));
    CHECK(number_of(handle, ",-inf\\r\\n", "-inf") < 0);
    CHECK(isnan(number_of(handle, ",nan\\r\\n", "nan")));
    for (truth = 0; truth < 2; truth++) {
        swm_reply *reply = answer(handle, truth ? "#t\\r\\n" : "#f\\r\\n");
        NUMBER(swm_reply_type(reply), SWM_REPLY_BOOL);
        NUMBER(swm_reply_boolean(reply), truth);
        NUMBER(swm_reply_integer(reply), truth);
        has_no_text(reply);
        has_no_elements(reply);
        swm_reply_free(reply);
    }
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void nothing_is_nil_in_each_of_its_forms(const char *url)
{
    static const char *const forms[] = {"_\\r\\n", "$-1\\r\\n", "*-1\\r\\n"};
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    size_t form;
    for (form = 0; form < 3; form++) {
        swm_reply *reply = answer(handle, forms[form]);
        NUMBER(swm_reply_type(reply), SWM_REPLY_NIL);
        has_no_text(reply);
        has_no_number(reply);
        has_no_elements(reply);
        swm_reply_free(reply);
    }
    NUMBER(swm_reply_type(NULL), SWM_REPLY_NONE);
    swm_reply_free(NULL);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void aggregates_have_their_elements(const char *url)
{
    static const struct {
        const char *bytes;
        int type;
        size_t elements;
    } cases[] = {
        {"*0\\r\\n", SWM_REPLY_ARRAY, 0},
        {"*2\\r\\n:1\\r\\n:2\\r\\n", SWM_REPLY_ARRAY, 2},
        {"~0\\r\\n", SWM_REPLY_SET, 0},
        {"~3\\r\\n:1\\r\\n:2\\r\\n:3\\r\\n", SWM_REPLY_SET, 3},
        {"%0\\r\\n", SWM_REPLY_MAP, 0},
        {"%2\\r\\n:1\\r\\n:2\\r\\n:3\\r\\n:4\\r\\n", SWM_REPLY_MAP, 4},
    };
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    size_t at, element;
    for (at = 0; at < sizeof(cases) / sizeof(cases[0]); at++) {
        swm_reply *reply = answer(handle, cases[at].bytes);
        NUMBER(swm_reply_type(reply), cases[at].type);
        NUMBER(swm_reply_elements(reply), cases[at].elements);
        for (element = 0; element < cases[at].elements; element++)
            NUMBER(swm_reply_integer(swm_reply_element(reply, element)), element + 1);
        CHECK(!swm_reply_element(reply, cases[at].elements));
        CHECK(!swm_reply_element(reply, SIZE_MAX));
        has_no_text(reply);
        has_no_number(reply);
        swm_reply_free(reply);
    }
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void aggregates_nest(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *reply = answer(handle, "*3\\r\\n%1\\r\\n+key\\r\\n~2\\r\\n#t\\r\\n,0.5\\r\\n*-1\\r\\n"
                                      "*2\\r\\n*1\\r\\n*1\\r\\n$4\\r\\ndeep\\r\\n-ERR in it\\r\\n");
    const swm_reply *map = swm_reply_element(reply, 0), *rest = swm_reply_element(reply, 2);
    const swm_reply *set = swm_reply_element(map, 1), *deep;
    NUMBER(swm_reply_type(map), SWM_REPLY_MAP);
    CHECK(says(swm_reply_element(map, 0), "key"));
    NUMBER(swm_reply_type(set), SWM_REPLY_SET);
    CHECK(swm_reply_boolean(swm_reply_element(set, 0)));
    CHECK(swm_reply_double(swm_reply_element(set, 1)) == 0.5);
    NUMBER(swm_reply_type(swm_reply_element(reply, 1)), SWM_REPLY_NIL);
    deep = swm_reply_element(swm_reply_element(swm_reply_element(rest, 0), 0), 0);
    CHECK(says(deep, "deep"));
    NUMBER(swm_reply_type(swm_reply_element(rest, 1)), SWM_REPLY_ERROR);
    /* An element is its reply's. */
    swm_reply_free((swm_reply *)(uintptr_t)deep);
    CHECK(says(deep, "deep"));
    swm_reply_free(reply);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void attributes_are_told_of_what_they_are_about(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *reply = answer(handle, "|1\\r\\n+ttl\\r\\n:3600\\r\\n*2\\r\\n:1\\r\\n"
                                      "|1\\r\\n+age\\r\\n:7\\r\\n$3\\r\\nold\\r\\n");
    const swm_reply *about = swm_reply_attributes(reply), *element;
    NUMBER(swm_reply_type(reply), SWM_REPLY_ARRAY);
    NUMBER(swm_reply_type(about), SWM_REPLY_ATTR);
    NUMBER(swm_reply_elements(about), 2);
    CHECK(says(swm_reply_element(about, 0), "ttl"));
    NUMBER(swm_reply_integer(swm_reply_element(about, 1)), 3600);
    CHECK(!swm_reply_attributes(swm_reply_element(reply, 0)));
    element = swm_reply_element(reply, 1);
    CHECK(says(element, "old"));
    NUMBER(swm_reply_integer(swm_reply_element(swm_reply_attributes(element), 1)), 7);
    CHECK(!swm_reply_attributes(about));
    swm_reply_free(reply);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void what_comes_unasked_is_no_reply(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *reply = answer(handle, ">2\\r\\n+invalidate\\r\\n*1\\r\\n$1\\r\\nk\\r\\n$4\\r\\nmine\\r\\n");
    CHECK(says(reply, "mine"));
    swm_reply_free(reply);
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void what_is_no_resp_is_told_and_the_handle_goes_on(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *reply = NULL;
    request("answer ?what\\r\\n");
    FAILS(try_command(handle, "GET key", &reply), SWM_E_PROTOCOL);
    NUMBER(err.outcome, SWM_UNKNOWN);
    CHECK(!reply);
    request("behave");
    run(handle, "PING");
    swm_handle_release(handle);
    swm_factory_close(factory);
}

static void a_real_server_answers_in_both_protocols(const char *url)
{
    int protocol;
    for (protocol = 2; protocol <= 3; protocol++) {
        swm_factory *factory = open_with(url, protocol == 2 ? "protocol=2" : "protocol=3");
        swm_handle *handle = get(factory);
        swm_reply *reply;
        run(handle, "HSET protocol:hash field value");
        run(handle, "SADD protocol:set member");
        run(handle, "ZADD protocol:sorted 1.5 member");
        reply = command(handle, "HGETALL protocol:hash");
        NUMBER(swm_reply_type(reply), protocol == 2 ? SWM_REPLY_ARRAY : SWM_REPLY_MAP);
        NUMBER(swm_reply_elements(reply), 2);
        CHECK(says(swm_reply_element(reply, 1), "value"));
        swm_reply_free(reply);
        reply = command(handle, "SMEMBERS protocol:set");
        NUMBER(swm_reply_type(reply), protocol == 2 ? SWM_REPLY_ARRAY : SWM_REPLY_SET);
        swm_reply_free(reply);
        reply = command(handle, "ZSCORE protocol:sorted member");
        NUMBER(swm_reply_type(reply), protocol == 2 ? SWM_REPLY_STRING : SWM_REPLY_DOUBLE);
        CHECK(says(reply, "1.5"));
        swm_reply_free(reply);
        reply = command(handle, "GET protocol:nothing");
        NUMBER(swm_reply_type(reply), SWM_REPLY_NIL);
        swm_reply_free(reply);
        /* The confirmation of a subscription is its reply. */
        reply = command(handle, "SUBSCRIBE protocol:channel");
        NUMBER(swm_reply_type(reply), protocol == 2 ? SWM_REPLY_ARRAY : SWM_REPLY_PUSH);
        NUMBER(swm_reply_elements(reply), 3);
        CHECK(says(swm_reply_element(reply, 0), "subscribe"));
        swm_reply_free(reply);
        swm_handle_release(handle);
        swm_factory_close(factory);
    }
}

#define READERS 4

static void *reads(void *reply)
{
    int round;
    for (round = 0; round < 1000; round++) {
        NUMBER(swm_reply_elements(reply), 3);
        CHECK(says(swm_reply_element(reply, 2), "three"));
    }
    return NULL;
}

static void *frees(void *reply)
{
    CHECK(says(swm_reply_element(reply, 0), "one"));
    swm_reply_free(reply);
    return NULL;
}

static void replies_are_read_and_freed_by_other_threads_after_everything_ended(const char *url)
{
    swm_factory *factory = open_factory(url);
    swm_handle *handle = get(factory);
    swm_reply *replies[100];
    pthread_t threads[READERS];
    size_t at, thread;
    run(handle, "DEL reply:list");
    run(handle, "RPUSH reply:list one two three");
    for (at = 0; at < 100; at++)
        replies[at] = command(handle, "LRANGE reply:list 0 -1");
    swm_handle_release(handle);
    swm_factory_close(factory);
    for (thread = 0; thread < READERS; thread++)
        NUMBER(pthread_create(&threads[thread], NULL, reads, replies[0]), 0);
    for (thread = 0; thread < READERS; thread++)
        NUMBER(pthread_join(threads[thread], NULL), 0);
    for (at = 0; at < 100; at += READERS) {
        for (thread = 0; thread < READERS; thread++)
            NUMBER(pthread_create(&threads[thread], NULL, frees, replies[at + thread]), 0);
        for (thread = 0; thread < READERS; thread++)
            NUMBER(pthread_join(threads[thread], NULL), 0);
    }
}

const struct test reply_tests[] = {
    {"texts_of_every_type_have_their_bytes", texts_of_every_type_have_their_bytes},
    {"numbers_of_every_type_have_their_value", numbers_of_every_type_have_their_value},
    {"nothing_is_nil_in_each_of_its_forms", nothing_is_nil_in_each_of_its_forms},
    {"aggregates_have_their_elements", aggregates_have_their_elements},
    {"aggregates_nest", aggregates_nest},
    {"attributes_are_told_of_what_they_are_about", attributes_are_told_of_what_they_are_about},
    {"what_comes_unasked_is_no_reply", what_comes_unasked_is_no_reply},
    {"what_is_no_resp_is_told_and_the_handle_goes_on",
     what_is_no_resp_is_told_and_the_handle_goes_on},
    {"a_real_server_answers_in_both_protocols", a_real_server_answers_in_both_protocols},
    {"replies_are_read_and_freed_by_other_threads_after_everything_ended",
     replies_are_read_and_freed_by_other_threads_after_everything_ended},
    {NULL, NULL},
};
