/* Runs one test: capi NAME URL. Without arguments it lists them. */

#include "check.h"

static const struct test *const files[] = {
#ifdef ON_HIREDIS
    hiredis_tests,
#else
    command_tests, event_tests,    factory_tests, failover_tests,     fork_tests,   lifetime_tests,
    option_tests,  pipeline_tests, reply_tests,   stream_tests,       subscription_tests,
    thread_tests,
#endif
};

int main(int argc, char **argv)
{
    size_t file;
    const struct test *test;
    for (file = 0; file < sizeof(files) / sizeof(files[0]); file++) {
        for (test = files[file]; test->name; test++) {
            if (argc == 1)
                puts(test->name);
            else if (argc == 3 && strcmp(argv[1], test->name) == 0) {
                limit_time();
                test->run(argv[2]);
                return 0;
            }
        }
    }
    return argc == 1 ? 0 : 2;
}
