/* Writing a whole file, so that there is always a whole one: the new content goes into a file that
 * has no name yet (O_TMPFILE), which gets one beside the old file, and then the old one's. A
 * process that dies meanwhile leaves nothing behind, or, between the last two steps, one file whose
 * name follows from that of the file that was to be replaced: the next one that saves it removes
 * it.
 *
 * Where the file system has no files without names, the new one has such a name from the beginning,
 * and a lock as long as its process lives. The functions named do_ run in the thread. */
#include "async/file/file_save.h"
#include "async/thread/offload.h"
#include "async/task/task.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/platform.h"
#include "base/room.h"

#include <tepal/file.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names for the new file of one path: some may be those of others who save it, or not ours to
 * remove. */
enum { MAX_SLOTS = 64 };

enum { TEMPORARY_NAME_SIZE = sizeof(".tepal-0123456789abcdef-00") };

bool file_save_named;

struct saving {
    const char *path;
    const void *data;
    size_t len;
    tepal_file_save_options options;
    char *temporary; /* the path of the new file; folder_len octets of it are the folder with '/' */
    size_t folder_len;
};

/* Names the new file: always the same for the same file, but for the slot. */
static void name_temporary(struct saving *s, uint8_t slot)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *p = s->path + s->folder_len; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
    snprintf(s->temporary + s->folder_len, TEMPORARY_NAME_SIZE, ".tepal-%016llx-%02x",
             (unsigned long long)hash, slot);
}

/* Opens the folder of the file, or a file without a name in it. Returns the descriptor or a
 * negative errno. */
static int open_folder(struct saving *s, int flags, unsigned mode)
{
    s->temporary[s->folder_len] = '\0';
    int fd;
    do {
        fd = fd_keep(open(s->folder_len ? s->temporary : ".", flags | O_CLOEXEC, mode));
    } while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

static int write_content(const struct saving *s, int fd)
{
    for (size_t done = 0; done < s->len;) {
        ssize_t n = write(fd, (const char *)s->data + done, s->len - done);
        if (n >= 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return -errno;
    }
    return 0;
}

/* Gives the new file all but its name. */
static int fill(const struct saving *s, int fd, const unsigned *mode)
{
    int rc = write_content(s, fd);
    if (rc == 0 && mode && fchmod(fd, *mode) < 0)
        rc = -errno;
    if (rc == 0 && !s->options.no_sync && fsync(fd) < 0)
        rc = -errno;
    return rc;
}

/* Lets the new name in the folder survive a power failure. Not all file systems can. */
static int sync_folder(struct saving *s)
{
    int fd = open_folder(s, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return 0; /* one that we may write into, but not read */
    int rc = fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
    close(fd);
    return rc;
}

/* --- The temporary name ----------------------------------------------------------------------- */

/* Whether the descriptor is that of the file with the temporary name. */
static bool has_name(const struct saving *s, int fd)
{
    struct stat named, opened;
    return fstat(fd, &opened) == 0 && lstat(s->temporary, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* Removes the file with the temporary name, unless it is locked: then a process that lives has it.
 * Where there are no locks nothing is removed. Returns -EAGAIN when the name may be free now,
 * -EEXIST when it cannot be had. */
static int remove_left_over(const struct saving *s)
{
    enum { FLAGS = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK };
    int fd = fd_keep(
        open(s->temporary, O_RDWR | FLAGS)); /* NFS has locks for what can be written only */
    if (fd < 0 && errno == EACCES)
        fd = fd_keep(open(s->temporary, O_RDONLY | FLAGS));
    if (fd < 0)
        return errno == ENOENT || errno == EINTR ? -EAGAIN : -EEXIST;
    int rc = -EAGAIN;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || (has_name(s, fd) && unlink(s->temporary) < 0))
        rc = -EEXIST;
    close(fd);
    return rc;
}

/* Gives the file, which is locked, the temporary name, and then that of the old one. Returns 0,
 * -EAGAIN to be called again, -EEXIST for a name that cannot be had, or another error. */
static int put_in_place(const struct saving *s, int fd)
{
    char source[40];
    snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
    if (linkat(AT_FDCWD, source, AT_FDCWD, s->temporary, AT_SYMLINK_FOLLOW) < 0)
        return errno == EEXIST ? remove_left_over(s) : -errno;
    int rc = rename(s->temporary, s->path) < 0 ? -errno : 0;
    if (rc < 0)
        unlink(s->temporary);
    return rc;
}

/* Creates the file with the temporary name, and locks it. Returns as above, or the descriptor. */
static int create_named(const struct saving *s, int mode)
{
    int fd = fd_keep(
        open(s->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, (mode_t)mode));
    if (fd < 0 && errno == EEXIST)
        return remove_left_over(s);
    if (fd < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    /* Before it was locked it may have been taken for left over. */
    bool stolen = flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    if (!stolen && has_name(s, fd))
        return fd;
    close(fd);
    return -EAGAIN;
}

/* --- Saving ----------------------------------------------------------------------------------- */

/* Whether this file system, or system, cannot do without names. */
static bool is_unsupported(int error)
{
    return error == -EOPNOTSUPP || error == -EISDIR || error == -EINVAL || error == -ENOENT ||
           error == -ENOSYS;
}

/* Tries names until one can be had: fn returns as put_in_place() and create_named(), or something
 * positive. */
static int try_names(struct saving *s, int (*fn)(const struct saving *, int), int arg)
{
    enum { ATTEMPTS = 10000, PAUSE_US = 1000 };
    int rc = -EEXIST;
    uint8_t slot = 0;
    for (int i = 0; i < ATTEMPTS; i++) {
        name_temporary(s, slot);
        rc = fn(s, arg);
        if (rc != -EAGAIN && rc != -EEXIST)
            break;
        if (rc == -EEXIST && ++slot == MAX_SLOTS) {
            slot = 0;
            usleep(PAUSE_US);
        }
    }
    return rc;
}

/* The new file has no more permissions than the final ones at any time. */
static int save_named(struct saving *s, unsigned mode, const unsigned *final_mode)
{
    int fd = try_names(s, create_named, (int)mode);
    if (fd < 0)
        return fd;
    int rc = fill(s, fd, final_mode);
    if (rc == 0 && rename(s->temporary, s->path) < 0)
        rc = -errno;
    if (rc < 0)
        unlink(s->temporary);
    int closed = close(fd) < 0 && errno != EINTR ? -errno : 0; /* and the lock goes */
    return rc < 0 ? rc : closed;
}

/* The same without a name. -EOPNOTSUPP where that is not possible. */
static int save_nameless(struct saving *s, unsigned mode, const unsigned *final_mode)
{
    int fd = open_folder(s, O_WRONLY | O_TMPFILE, mode);
    if (fd < 0)
        return is_unsupported(fd) ? -EOPNOTSUPP : fd;
    int rc = fill(s, fd, final_mode);
    if (rc == 0) {
        (void)flock(fd, LOCK_EX | LOCK_NB); /* nobody else knows the file */
        rc = try_names(s, put_in_place, fd);
        if (is_unsupported(rc) && access("/proc/self/fd", F_OK) < 0)
            rc = -EOPNOTSUPP;
    }
    int closed = close(fd) < 0 && errno != EINTR ? -errno : 0;
    return rc < 0 ? rc : closed;
}

static int do_save(void *arg)
{
    struct saving *s = arg;
    struct stat old;
    unsigned mode = s->options.mode;
    if (mode == 0 && stat(s->path, &old) == 0 && S_ISREG(old.st_mode))
        mode = old.st_mode & 0777;
    unsigned first_mode = mode ? 0600 : 0666;
    const unsigned *final_mode = mode ? &mode : NULL;
    int rc = -EOPNOTSUPP;
    if (!file_save_named)
        rc = save_nameless(s, first_mode, final_mode);
    if (rc == -EOPNOTSUPP)
        rc = save_named(s, first_mode, final_mode);
    return rc < 0 || s->options.no_sync ? rc : sync_folder(s);
}

int tepal_file_save(const char *path, const void *data, size_t len,
                    const tepal_file_save_options *options)
{
    if (!path || (!data && len > 0))
        misuse("tepal_file_save", path ? "data is NULL" : "the path is NULL");
    struct saving s = { .path = path, .data = data, .len = len };
    if (options)
        s.options = *options;
    int rc = task_check(loop_current, task_need("tepal_file_save"));
    if (rc == 0)
        rc = room_check("tepal_file_save", s.options.later, sizeof(s.options.later));
    if (rc < 0)
        return rc;
    const char *slash = strrchr(path, '/');
    s.folder_len = slash ? (size_t)(slash - path) + 1 : 0;
    s.temporary = mem_alloc(s.folder_len + TEMPORARY_NAME_SIZE);
    if (!s.temporary)
        return -ENOMEM;
    memcpy(s.temporary, path, s.folder_len);
    rc = offload_own(do_save, &s, "tepal_file_save");
    mem_free(s.temporary);
    return rc;
}
