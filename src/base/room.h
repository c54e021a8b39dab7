/* The room at the end of the public structs, for members to come: what tepal/base.h says of later.
 */
#ifndef TEPAL_BASE_ROOM_H
#define TEPAL_BASE_ROOM_H

#include "base/platform.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the words are all zero, as they are in a struct that was initialised for this library.
 * size is in octets. In line, since a task may be started a million times in a second. */
static inline bool room_is_empty(const uint64_t *later, size_t size)
{
    uint64_t any = 0;
    for (size_t i = 0; i < size / sizeof(*later); i++)
        any |= later[i];
    return LIKELY(any == 0);
}

/* What is to be said behind the struct's name when they are not. */
extern const char room_fault[];

/* Says in the log that the call was given such a struct. Returns -EINVAL. */
int room_refuse(const char *call);

/* 0 when the words are all zero; else as room_refuse(). */
static inline int room_check(const char *call, const uint64_t *later, size_t size)
{
    return room_is_empty(later, size) ? 0 : room_refuse(call);
}

#endif
