/* Starting a program, in one step that no other process can get in between. */
#ifndef TEPAL_NET_PROCESS_SPAWN_H
#define TEPAL_NET_PROCESS_SPAWN_H

#include "base/platform.h"

#include <stdbool.h>
#include <sys/types.h>

enum { SPAWN_N_STDIO = 3 };

/* Where a standard descriptor of the program leads, if not to a descriptor of ours, which is above
 * the standard ones. */
enum spawn_stdio { SPAWN_INHERIT = -1, SPAWN_NULL = -2, SPAWN_OUTPUT = -3 };

struct spawn {
    const char *const *argv, *const *env;
    const char *cwd; /* NULL: as ours */
    int stdio[SPAWN_N_STDIO];
    bool own_group;
    int death_signal; /* that it gets when the thread ends that has started it; 0: none */
};

/* Starts the program. *pidfd is a descriptor of it, or -1 where the system has none. Returns 0 when
 * the program runs, or a negative errno. */
int spawn_program(const struct spawn *spawn, pid_t *pid, int *pidfd);

#endif
