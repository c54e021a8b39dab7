/* A struct on the stack that was not initialised has what others have left there. Most of it could
 * be meant, but no bool is anything but 0 or 1, and the room for members to come is zero. */
#include "web/server/options_check.h"

#include "base/room.h"

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

static int check_bool(const char *name, const bool *member, char *text, size_t size)
{
    if (octet_of(member) <= 1)
        return 0;
    snprintf(text, size,
             "%s is %u, which is neither true nor false: the options are not initialised", name,
             octet_of(member));
    return -EINVAL;
}

static int check_bools(const tepal_run_options *options, char *text, size_t size)
{
    const struct {
        const char *name;
        const bool *member;
    } bools[] = {
        { "half_closed_clients", &options->limits.half_closed_clients },
        { "access_log.off", &options->access_log.off },
        { "no_signals", &options->no_signals },
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof(bools) / sizeof(*bools) && rc == 0; i++)
        rc = check_bool(bools[i].name, bools[i].member, text, size);
    return rc;
}

static int check_room(const char *name, const uint64_t *later, size_t octets, char *text,
                      size_t size)
{
    if (room_is_empty(later, octets))
        return 0;
    snprintf(text, size, "%s %s", name, room_fault);
    return -EINVAL;
}

static int check_sites(const tepal_run_options *options, char *text, size_t size)
{
    int rc = 0;
    for (size_t i = 0; options->sites && i < options->n_sites && rc == 0; i++) {
        const tepal_site *site = &options->sites[i];
        rc = check_room("a site", site->later, sizeof(site->later), text, size);
        if (rc == 0)
            rc = check_bool("reuse_port of a site", &site->reuse_port, text, size);
    }
    return rc;
}

static int check_arguments(const tepal_argument *argument, char *text, size_t size)
{
    for (; argument && argument->name; argument++) {
        int n = !!argument->text + !!argument->number + !!argument->flag;
        if (check_room("an argument", argument->later, sizeof(argument->later), text, size) < 0)
            return -EINVAL;
        if (n == 1)
            continue;
        snprintf(text, size, "argument %.40s has %s text, number and flag", argument->name,
                 n ? "more than one of" : "none of");
        return -EINVAL;
    }
    return 0;
}

static int check_all(const tepal_run_options *options, char *text, size_t size)
{
    const tepal_limits *limits = &options->limits;
    const tepal_access_log *log = &options->access_log;
    if (check_bools(options, text, size) < 0 ||
        check_room("tepal_limits", limits->later, sizeof(limits->later), text, size) < 0 ||
        check_room("tepal_access_log", log->later, sizeof(log->later), text, size) < 0 ||
        check_room("tepal_run_options", options->later, sizeof(options->later), text, size) < 0)
        return -EINVAL;
    int rc = check_sites(options, text, size);
    return rc < 0 ? rc : check_arguments(options->arguments, text, size);
}

int options_check(const tepal_run_options *options, char *text, size_t size)
{
    if (!options)
        return 0;
    if (check_all(options, text, size) < 0)
        return -EINVAL;
    if (options->stack_size > 0 && options->stack_size < LEAST_STACK) {
        snprintf(text, size, "stack_size %zu is under the least of %d octets", options->stack_size,
                 LEAST_STACK);
        return -EINVAL;
    }
    if (options->access_log.fd < 0 && !options->access_log.off) {
        snprintf(text, size, "access_log.fd is %d", options->access_log.fd);
        return -EINVAL;
    }
    return 0;
}
