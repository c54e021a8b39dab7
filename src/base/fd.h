/* The standard descriptors, 0 to 2: everybody takes them for standard input, output and error, so
 * nothing else may get these numbers, and least of all a client's connection, which would then be
 * sent the log.
 */
#ifndef TEPAL_BASE_FD_H
#define TEPAL_BASE_FD_H

#include "base/platform.h"

/* The first number that is not a standard one's. */
enum { FD_FIRST = 3 };

/* Opens /dev/null for each of 0 to 2 that is closed. Where there is no /dev/null what is opened can
 * be neither read nor written. Returns 0 or a negative errno. Any thread may call it. */
int fd_fill_standard(void);

/* Moves a descriptor that is a standard one to another number, and fills its place. Returns the new
 * one; or -1 with errno set, and it is closed. */
int fd_move(int fd);
int fd_move_both(int fds[2]); /* see fd_keep_both() */

/* Every descriptor that is made for the library's own use passes here: fd itself, but for a
 * standard one. A negative one passes, and errno with it. */
static inline int fd_keep(int fd)
{
    return LIKELY(fd < 0 || fd >= FD_FIRST) ? fd : fd_move(fd);
}

/* The same for two at once. Returns 0, or a negative errno, and both are closed. */
static inline int fd_keep_both(int fds[2])
{
    return LIKELY(fds[0] >= FD_FIRST && fds[1] >= FD_FIRST) ? 0 : fd_move_both(fds);
}

#endif
