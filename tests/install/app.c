/* What a stranger writes first: prints `hello`, by way of a server. */

#include <stdio.h>
#include <string.h>
#include <switchmaster.h>

static int run(swm_handle *handle, size_t argc, const char *const *argv, const char *expected) {
    swm_error err;
    swm_reply *reply;
    int fits;
    if (swm_handle_command_argv(handle, argc, argv, NULL, &reply, &err) != SWM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 0;
    }
    fits = strcmp(swm_reply_str(reply, NULL), expected) == 0;
    swm_reply_free(reply);
    return fits;
}

int main(int argc, char **argv) {
    const char *const set[] = {"SET", "greeting", "hello"};
    const char *const get[] = {"GET", "greeting"};
    swm_error err;
    swm_factory *factory;
    swm_handle *handle;
    int fits = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: app URL\n");
        return 2;
    }
    if (swm_factory_open(argv[1], &factory, &err) != SWM_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (swm_factory_get(factory, 5000, &handle, &err) == SWM_OK) {
        fits = run(handle, 3, set, "OK") && run(handle, 2, get, "hello");
        swm_handle_release(handle);
    } else {
        fprintf(stderr, "%s\n", err.message);
    }
    swm_factory_close(factory);
    if (fits)
        printf("hello from switchmaster %s\n", swm_version());
    return fits ? 0 : 1;
}
