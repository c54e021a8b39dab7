/* Writing a log to a descriptor that is somebody else's: a file, a pipe, a terminal, a socket. It
 * never waits for a reader, raises no signal, and changes nothing that other processes see of the
 * descriptor, its blocking mode above all.
 *
 * A pipe or a terminal is opened a second time for that, through /proc, in a non-blocking way;
 * where that is not possible the system is asked first whether there is room. Lines that several
 * processes write into one pipe stay whole: up to PIPE_BUF octets the system sees to it, for longer
 * ones the pipe is locked (fcntl) while one of them is under way.
 */
#ifndef TEPAL_BASE_OUTLET_H
#define TEPAL_BASE_OUTLET_H

#include "base/platform.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

struct outlet {
    int fd;         /* where to write; of 0 to 2 it is the number that counts, whatever it is */
    int again;      /* the second opening, kept while a line is out in part; -1 */
    struct stat at; /* what it was, after the last write */
    bool failed;    /* the last write, so that somebody's line may have been cut */
    bool datagrams; /* one for each line */
    bool same;      /* what was cut can be gone on with */
    int caused;     /* the signal that a write has caused, 0 for none */
    sigset_t before, pending;
};

void outlet_init(struct outlet *outlet, int fd);
void outlet_clear(struct outlet *outlet);

/* Makes ready for writing; torn: the last write has cut a line, and outlet->same tells then whether
 * its rest can follow. Returns 0 or a negative errno; outlet_end() follows in either case. */
int outlet_begin(struct outlet *outlet, bool torn);

/* Writes some of the lines in data[0..len), each with its end; torn: the first of them is the rest
 * of one that was cut. Returns the number of octets, or a negative errno: -EAGAIN when there is no
 * room. */
ssize_t outlet_write(struct outlet *outlet, const char *data, size_t len, bool torn);

/* After the last write, whose result was rc. torn: it has cut a line. */
void outlet_end(struct outlet *outlet, ssize_t rc, bool torn);

#endif
