/* Finds structs that are not initialised, and those of a program made for a newer library. */
#include "base/room.h"

#include <tepal/log.h>

#include <errno.h>

const char room_fault[] = "is not initialised, or made for a newer tepal";

bool room_is_empty(const uint64_t *later, size_t size)
{
    for (size_t i = 0; i < size / sizeof(*later); i++)
        if (later[i] != 0)
            return false;
    return true;
}

int room_check(const char *call, const uint64_t *later, size_t size)
{
    if (room_is_empty(later, size))
        return 0;
    tepal_logf(TEPAL_LOG_ERROR, "%s: the options are not initialised, or made for a newer tepal",
               call);
    return -EINVAL;
}
