/* Readiness of descriptors, as one thread waits for it. The only part that knows the kernel's
 * interface: poll_epoll.c.
 *
 * A descriptor is registered once, edge-triggered, for everything. What is known of it is kept in
 * its struct io, so that no system call is made to ask again.
 */
#ifndef TEPAL_ASYNC_LOOP_POLL_H
#define TEPAL_ASYNC_LOOP_POLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tepal_task;

/* What is known of a descriptor. IO_READ and IO_WRITE: an attempt may succeed. IO_EOF: the peer has
 * ended its side. IO_HUP: both sides have ended, or it failed; nothing can come or go. IO_STOPS: a
 * read may stop short of what there is, as it does at urgent data; once seen it stays. The last two
 * are not the poller's: the task in reader or writer is to give up what it is at. */
enum io_state {
    IO_READ = 1,
    IO_WRITE = 2,
    IO_EOF = 4,
    IO_HUP = 8,
    IO_STOPS = 16,
    IO_READER_INTERRUPTED = 32,
    IO_WRITER_INTERRUPTED = 64
};

struct io {
    int fd; /* -1 when closed */
    uint32_t state;
    void (*fn)(struct io *);            /* called when state has gained bits */
    struct tepal_task *reader, *writer; /* the tasks that wait for IO_READ and IO_WRITE */
};

struct poller {
    int fd;
    int n_events, next_event; /* of the batch that is being handed out */
    size_t n_watched;
    void *events;
};

/* Returns 0 or a negative errno. */
int poller_init(struct poller *poller);
void poller_clear(struct poller *poller);

/* In a child after fork(): the poller is the parent's, and this copy of it knows nothing. */
void poller_abandon(struct poller *poller);

/* Begins to watch io->fd. Returns 0 or a negative errno. */
int poller_add(struct poller *poller, struct io *io);

/* Forgets io, whose descriptor is still open: its function is not called any more. */
void poller_remove(struct poller *poller, struct io *io);

/* For a listener that must rest: stops and resumes reports about io. */
int poller_pause(struct poller *poller, struct io *io);
int poller_resume(struct poller *poller, struct io *io);

/* Waits at most timeout_ms (-1: for ever) until something happens. Returns to how many io;
 * poller_dispatch() must follow if there are any. */
int poller_wait(struct poller *poller, int timeout_ms);

/* Whether the last batch was as large as one can be, so that there may be more to tell; and how
 * many such batches tell all that there was at the first of them. */
bool poller_is_full(const struct poller *poller);
size_t poller_max_batches(const struct poller *poller);

/* Calls the function of every io that something has happened to. */
void poller_dispatch(struct poller *poller);

/* For a function that poller_dispatch() has called: the io that would be next, if its function is
 * this one, too. It is not called then: what it would do is the caller's to do. NULL: another one
 * is next, or none, or this is not within poller_dispatch(). */
struct io *poller_take_next(struct poller *poller, void (*fn)(struct io *));

#endif
