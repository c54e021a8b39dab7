/* The limit of descriptors: a server wants as many as it can have, but the programs that it starts
 * get the limit that this one was given (select() of many a program knows no number above 1023). */
#ifndef TEPAL_BASE_FD_LIMIT_H
#define TEPAL_BASE_FD_LIMIT_H

#include "base/platform.h"

#include <sys/resource.h>

/* Raises the limit to what the system lets us have. Returns 0, or a negative errno when it is lower
 * than that could be. */
int fd_limit_raise(void);

/* The limit that a program should be started with: what this one had before it was raised, or what
 * the program has set since. Returns 0 or a negative errno. */
int fd_limit_for_children(struct rlimit *limit);

#endif
