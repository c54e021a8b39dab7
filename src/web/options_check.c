/* A struct on the stack that was not initialised has what others have left there. Most of it could be
 * meant, but no bool is anything but 0 or 1. */
#include "web/options_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The octets of stack that a handler cannot do without. */
enum { LEAST_STACK = 32 * 1024 };

/* The octet of a bool, which may be none. */
static unsigned octet_of(const bool *member)
{
    unsigned char octet;
    memcpy(&octet, member, 1);
    return octet;
}

int options_check(const tepal_run_options *options, char *text, size_t size)
{
    if (!options)
        return 0;
    const struct {
        const char *name;
        const bool *member;
    } bools[] = {
        { "reuse_port", &options->reuse_port },
        { "no_access_log", &options->no_access_log },
        { "no_signals", &options->no_signals },
    };
    for (size_t i = 0; i < sizeof(bools) / sizeof(*bools); i++)
        if (octet_of(bools[i].member) > 1) {
            snprintf(text, size,
                     "%s is %u, which is neither true nor false: the options are not initialised",
                     bools[i].name, octet_of(bools[i].member));
            return -EINVAL;
        }
    if (options->stack_size > 0 && options->stack_size < LEAST_STACK) {
        snprintf(text, size, "stack_size %zu is under the least of %d octets", options->stack_size,
                 LEAST_STACK);
        return -EINVAL;
    }
    if (options->access_log_fd < 0 && !options->no_access_log) {
        snprintf(text, size, "access_log_fd is %d", options->access_log_fd);
        return -EINVAL;
    }
    return 0;
}
