/* Files by way of the thread pool. What an operation needs is in one struct on the stack of the
 * task, which waits in any case once a thread has it. The functions named do_ run in the thread. */
#include "async/thread/offload.h"
#include "async/task/task.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"

#include <tepal/file.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tepal_file {
    int fd;
    unsigned n_running; /* operations */
};

/* --- Open files ------------------------------------------------------------------------------- */

struct operation {
    int fd;
    void *buffer;
    size_t size, done;
    int64_t offset; /* or the new size */
    struct stat *status;
};

static int run(tepal_file *file, int (*fn)(void *), struct operation *operation, const char *call)
{
    if (!file)
        misuse(call, "the file is NULL");
    operation->fd = file->fd;
    file->n_running++;
    int rc = offload_own(fn, operation, call);
    file->n_running--;
    return rc;
}

struct opening {
    const char *path;
    int flags, fd;
    unsigned mode;
};

static int do_open(void *arg)
{
    struct opening *opening = arg;
    int flags = opening->flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    do {
        opening->fd = fd_keep(open(opening->path, flags, opening->mode));
    } while (opening->fd < 0 && errno == EINTR);
    return opening->fd < 0 ? -errno : 0;
}

int tepal_file_open(tepal_file **file, const char *path, const tepal_file_options *options)
{
    if (!file || !path)
        misuse("tepal_file_open", path ? "file is NULL" : "the path is NULL");
    struct opening opening = { .path = path, .flags = options ? options->flags : 0, .mode = 0666 };
    if (options && options->mode)
        opening.mode = options->mode;
    int rc = task_check(loop_current, task_need("tepal_file_open"));
    if (rc == 0 && options)
        rc = room_check("tepal_file_open", options->later, sizeof(options->later));
    if (rc < 0)
        return rc;
    tepal_file *f = mem_zalloc(sizeof(*f));
    if (!f)
        return -ENOMEM;
    rc = offload_own(do_open, &opening, "tepal_file_open");
    if (rc < 0) {
        mem_free(f);
        return rc;
    }
    f->fd = opening.fd;
    *file = f;
    return 0;
}

static int do_read(void *arg)
{
    struct operation *o = arg;
    while (o->done < o->size) {
        ssize_t n = pread(o->fd, (char *)o->buffer + o->done, o->size - o->done,
                          o->offset + (int64_t)o->done);
        if (n == 0)
            break;
        if (n > 0)
            o->done += (size_t)n;
        else if (errno != EINTR)
            return -errno;
    }
    return 0;
}

ssize_t tepal_file_read(tepal_file *file, void *buffer, size_t size, int64_t offset)
{
    struct operation o = { .buffer = buffer, .size = size, .offset = offset };
    int rc = run(file, do_read, &o, "tepal_file_read");
    return rc < 0 ? rc : (ssize_t)o.done;
}

static int do_write(void *arg)
{
    struct operation *o = arg;
    while (o->done < o->size) {
        ssize_t n = pwrite(o->fd, (char *)o->buffer + o->done, o->size - o->done,
                           o->offset + (int64_t)o->done);
        if (n >= 0)
            o->done += (size_t)n;
        else if (errno != EINTR)
            return -errno;
    }
    return 0;
}

int tepal_file_write(tepal_file *file, const void *data, size_t len, int64_t offset)
{
    struct operation o = { .buffer = (void *)(uintptr_t)data, .size = len, .offset = offset };
    return run(file, do_write, &o, "tepal_file_write");
}

static int do_stat(void *arg)
{
    struct operation *o = arg;
    return fstat(o->fd, o->status) < 0 ? -errno : 0;
}

int tepal_file_stat(tepal_file *file, struct stat *status)
{
    return run(file, do_stat, &(struct operation){ .status = status }, "tepal_file_stat");
}

int64_t tepal_file_size(tepal_file *file)
{
    struct stat status;
    int rc = run(file, do_stat, &(struct operation){ .status = &status }, "tepal_file_size");
    return rc < 0 ? rc : (int64_t)status.st_size;
}

static int do_truncate(void *arg)
{
    struct operation *o = arg;
    return ftruncate(o->fd, o->offset) < 0 ? -errno : 0;
}

int tepal_file_truncate(tepal_file *file, int64_t size)
{
    return run(file, do_truncate, &(struct operation){ .offset = size }, "tepal_file_truncate");
}

static int do_sync(void *arg)
{
    struct operation *o = arg;
    return fsync(o->fd) < 0 ? -errno : 0;
}

int tepal_file_sync(tepal_file *file)
{
    return run(file, do_sync, &(struct operation){ 0 }, "tepal_file_sync");
}

static int do_close(void *arg)
{
    /* Interrupted or not: on Linux the descriptor is free afterwards. */
    return close(*(int *)arg) < 0 && errno != EINTR ? -errno : 0;
}

int tepal_file_close(tepal_file *file)
{
    if (!file)
        return 0;
    if (file->n_running > 0)
        misuse("tepal_file_close", "a task still uses the file");
    int rc = offload_shielded(do_close, &file->fd);
    mem_free(file);
    return rc;
}

/* --- Reading a whole file --------------------------------------------------------------------- */

struct loading {
    const char *path;
    size_t max, len, room; /* room for the content: data has one octet more */
    char *data;
};

/* Makes room for at least one octet more, up to one above the maximum. */
static int grow(struct loading *l, size_t room)
{
    if (room <= l->room)
        room = l->room < SIZE_MAX / 2 ? l->room * 2 : SIZE_MAX;
    if (room > l->max)
        room = l->max < SIZE_MAX - 1 ? l->max + 1 : SIZE_MAX - 1;
    char *data = mem_resize(l->data, room + 1);
    if (!data)
        return -ENOMEM;
    l->data = data;
    l->room = room;
    return 0;
}

static int load_from(struct loading *l, int fd)
{
    enum { AT_LEAST = 4096 };
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    size_t size = status.st_size > 0 ? (size_t)status.st_size : 0;
    if (S_ISREG(status.st_mode) && size > l->max)
        return -EFBIG;
    /* One more than its size, to see its end. There are files that do not know their size: those of
     * /proc say 0, and others grow meanwhile. */
    int rc = grow(l, size < AT_LEAST ? AT_LEAST : size + 1);
    while (rc == 0) {
        ssize_t n = read(fd, l->data + l->len, l->room - l->len);
        if (n == 0) {
            l->data[l->len] = '\0';
            break;
        }
        if (n > 0)
            l->len += (size_t)n;
        else if (errno != EINTR)
            rc = -errno;
        if (l->len > l->max)
            rc = -EFBIG;
        else if (rc == 0 && l->len == l->room)
            rc = grow(l, 0);
    }
    return rc;
}

static int do_load(void *arg)
{
    struct loading *l = arg;
    struct opening opening = { .path = l->path };
    int rc = do_open(&opening);
    if (rc < 0)
        return rc;
    rc = load_from(l, opening.fd);
    close(opening.fd);
    if (rc < 0)
        mem_free(l->data);
    return rc;
}

ssize_t tepal_file_load(const char *path, size_t max, char **data)
{
    if (!path || !data)
        misuse("tepal_file_load", path ? "data is NULL" : "the path is NULL");
    struct loading l = { .path = path, .max = max };
    int rc = offload_own(do_load, &l, "tepal_file_load");
    *data = rc < 0 ? NULL : l.data;
    return rc < 0 ? rc : (ssize_t)l.len;
}
