/* Tells of structs that are not initialised, and of those of a program made for a newer library. */
#include "base/room.h"

#include <tepal/log.h>

#include <errno.h>

const char room_fault[] = "is not initialised, or made for a newer tepal";

int room_refuse(const char *call)
{
    tepal_logf(TEPAL_LOG_ERROR, "%s: the options are not initialised, or made for a newer tepal",
               call);
    return -EINVAL;
}
