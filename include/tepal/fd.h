/* Waiting for descriptors that others own: those of a database's client library, a terminal, a
 * serial port, a FIFO, a device, an eventfd, an inotify. Whatever poll() can wait for. */
#ifndef TEPAL_FD_H
#define TEPAL_FD_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a descriptor is ready for; they are combined by |. */
enum {
    TEPAL_READABLE = 1, /* a read would not wait; also at the end, and after an error */
    TEPAL_WRITABLE = 2, /* a write would not wait; also when nobody reads, and after an error */
    TEPAL_URGENT = 4    /* something exceptional (POLLPRI): urgent data, a pin of a device */
};

/* Waits until the descriptor is ready for any of events. It stays the caller's, who reads and
 * writes it: it is best non-blocking, since readiness is a report and no promise. As with poll(), a
 * regular file is always ready, and so is what has hung up or failed, for all of events: the next
 * read or write tells the error. Several tasks may wait for one descriptor; all that wait for what
 * has happened are woken. It must not be closed while a task waits for it: the wait would not end.
 *
 * PGconn *db = ...;
 * while (PQconsumeInput(db) && PQisBusy(db))
 *     if ((rc = tepal_wait_fd(PQsocket(db), TEPAL_READABLE)) < 0)
 *         return rc;
 *
 * Suspends; where there is nothing to wait for, now and then. Returns what of events it is ready
 * for, over 0; -EBADF for what is no open descriptor, -EINVAL for no or other events, -EPERM for
 * one that cannot be waited for, -EMFILE, -ENOMEM, -ENOSPC (the system watches no more), -ECANCELED
 * or -ETIMEDOUT. */
TEPAL_API int tepal_wait_fd(int fd, int events);

#ifdef __cplusplus
}
#endif
#endif
