/* Operations on names of files, in the threads of the library. What one needs is in one struct on
 * the stack of the task. The functions named path_ run in the thread. */
#include "async/thread/offload.h"
#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"

#include <tepal/path.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct path_call {
    const char *path, *other;
    struct stat *status;
    unsigned mode;
    char *text; /* that was made */
    size_t len;
};

static int path_run(int (*fn)(void *), struct path_call *call, const char *name)
{
    if (!call->path)
        misuse(name, "the path is NULL");
    return offload_own(fn, call, name);
}

static int two_paths_run(int (*fn)(void *), struct path_call *call, const char *name)
{
    if (!call->other)
        misuse(name, "a path is NULL");
    return path_run(fn, call, name);
}

static int result_of(int rc)
{
    return rc < 0 ? -errno : 0;
}

static int path_stat(void *arg)
{
    const struct path_call *call = arg;
    return result_of(stat(call->path, call->status));
}

int tepal_path_stat(const char *path, struct stat *status)
{
    struct path_call call = { .path = path, .status = status };
    return path_run(path_stat, &call, "tepal_path_stat");
}

static int path_lstat(void *arg)
{
    const struct path_call *call = arg;
    return result_of(lstat(call->path, call->status));
}

int tepal_path_lstat(const char *path, struct stat *status)
{
    struct path_call call = { .path = path, .status = status };
    return path_run(path_lstat, &call, "tepal_path_lstat");
}

static int path_unlink(void *arg)
{
    return result_of(unlink(((const struct path_call *)arg)->path));
}

int tepal_path_unlink(const char *path)
{
    return path_run(path_unlink, &(struct path_call){ .path = path }, "tepal_path_unlink");
}

static int path_rename(void *arg)
{
    const struct path_call *call = arg;
    return result_of(rename(call->path, call->other));
}

int tepal_path_rename(const char *from, const char *to)
{
    struct path_call call = { .path = from, .other = to };
    return two_paths_run(path_rename, &call, "tepal_path_rename");
}

static int path_link(void *arg)
{
    const struct path_call *call = arg;
    return result_of(link(call->other, call->path));
}

int tepal_path_link(const char *target, const char *path)
{
    struct path_call call = { .path = path, .other = target };
    return two_paths_run(path_link, &call, "tepal_path_link");
}

static int path_symlink(void *arg)
{
    const struct path_call *call = arg;
    return result_of(symlink(call->other, call->path));
}

int tepal_path_symlink(const char *target, const char *path)
{
    struct path_call call = { .path = path, .other = target };
    return two_paths_run(path_symlink, &call, "tepal_path_symlink");
}

/* The length that lstat() tells may be 0, as in /proc, or change meanwhile. */
static int path_readlink(void *arg)
{
    struct path_call *call = arg;
    for (size_t room = 256;; room *= 2) {
        char *text = mem_resize(call->text, room);
        if (!text)
            return -ENOMEM;
        call->text = text;
        ssize_t n = readlink(call->path, text, room);
        if (n < 0)
            return -errno;
        if ((size_t)n < room) {
            text[n] = '\0';
            call->len = (size_t)n;
            return 0;
        }
    }
}

ssize_t tepal_path_readlink(const char *path, char **target)
{
    if (!target)
        misuse("tepal_path_readlink", "target is NULL");
    struct path_call call = { .path = path };
    int rc = path_run(path_readlink, &call, "tepal_path_readlink");
    if (rc < 0) {
        mem_free(call.text);
        call.text = NULL;
    }
    *target = call.text;
    return rc < 0 ? rc : (ssize_t)call.len;
}

static int path_mkdir(void *arg)
{
    const struct path_call *call = arg;
    return result_of(mkdir(call->path, call->mode));
}

/* Also when another one makes it at the same time. */
static int make_if_missing(const char *path, unsigned mode)
{
    struct stat status;
    if (mkdir(path, mode) == 0)
        return 0;
    int error = errno;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode) ? 0 : -error;
}

static int path_mkdir_all(void *arg)
{
    struct path_call *call = arg;
    call->text = mem_strdup(call->path);
    if (!call->text)
        return -ENOMEM;
    int rc = 0;
    for (char *p = call->text + 1; rc == 0 && call->text[0] && *p; p++) {
        if (*p != '/' || p[-1] == '/')
            continue;
        *p = '\0';
        if (p[1 + strspn(p + 1, "/")]) /* the last one has its own mode */
            rc = make_if_missing(call->text, 0777);
        *p = '/';
    }
    if (rc == 0)
        rc = make_if_missing(call->path, call->mode);
    mem_free(call->text);
    return rc;
}

int tepal_path_mkdir(const char *path, const tepal_path_mkdir_options *options)
{
    static const tepal_path_mkdir_options defaults;
    options = options ? options : &defaults;
    int rc = room_check("tepal_path_mkdir", options->later, sizeof(options->later));
    if (rc < 0)
        return rc;
    struct path_call call = { .path = path, .mode = options->mode ? options->mode : 0777 };
    return path_run(options->parents ? path_mkdir_all : path_mkdir, &call, "tepal_path_mkdir");
}

static int path_mkdtemp(void *arg)
{
    return result_of(mkdtemp(((struct path_call *)arg)->text) ? 0 : -1);
}

int tepal_path_mkdtemp(const char *prefix, char **path)
{
    static const char unique[] = "XXXXXX";
    if (!path || !prefix)
        misuse("tepal_path_mkdtemp", prefix ? "path is NULL" : "the prefix is NULL");
    task_need("tepal_path_mkdtemp");
    size_t size = strlen(prefix) + sizeof(unique);
    struct path_call call = { .path = prefix, .text = mem_alloc(size) };
    *path = NULL;
    if (!call.text)
        return -ENOMEM;
    snprintf(call.text, size, "%s%s", prefix, unique);
    int rc = path_run(path_mkdtemp, &call, "tepal_path_mkdtemp");
    if (rc == 0)
        *path = call.text;
    else
        mem_free(call.text);
    return rc;
}

static int path_rmdir(void *arg)
{
    return result_of(rmdir(((const struct path_call *)arg)->path));
}

int tepal_path_rmdir(const char *path)
{
    return path_run(path_rmdir, &(struct path_call){ .path = path }, "tepal_path_rmdir");
}
