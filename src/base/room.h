/* The room at the end of the public structs, for members to come: see ROOM in tepal/base.h. */
#ifndef TEPAL_BASE_ROOM_H
#define TEPAL_BASE_ROOM_H

#include <stddef.h>
#include <stdint.h>

/* Whether the words are all zero, as they are in a struct that was initialised for this library.
 * size is in octets. Returns 0, or -EINVAL, and then the log says what call was given. */
int room_check(const char *call, const uint64_t *later, size_t size);

#endif
