/* The room at the end of the public structs, for members to come: see ROOM in tepal/base.h. */
#ifndef TEPAL_BASE_ROOM_H
#define TEPAL_BASE_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the words are all zero, as they are in a struct that was initialised for this library.
 * size is in octets. Returns 0, or -EINVAL, and then the log says what call was given. */
int room_check(const char *call, const uint64_t *later, size_t size);

/* The same as a question, and what is to be said behind the struct's name when they are not. */
bool room_is_empty(const uint64_t *later, size_t size);
extern const char room_fault[];

#endif
