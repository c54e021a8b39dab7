/* Reading a folder: a thread fills a block with as many entries as it has room for, and the task
 * takes one after the other. The functions named dir_ run in the thread. */
#include "async/thread/offload.h"
#include "async/task/task.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

#include <tepal/path.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* An entry in the block: an octet of its type, then its name with a NUL. 255 octets are the most
 * that a name has on most file systems, but not on all; the kernel lets none pass that is longer
 * than a path. */
enum { BLOCK_SIZE = 32 * 1024, LONGEST_ENTRY = 1 + PATH_MAX };

struct tepal_dir {
    const char *path; /* while it is being opened */
    DIR *stream;
    size_t at, len; /* of the block */
    int error;      /* after what is in the block; 1: the end */
    bool reading;
    char block[BLOCK_SIZE];
};

static int dir_open(void *arg)
{
    tepal_dir *dir = arg;
    int fd = fd_keep(open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd < 0)
        return -errno;
    dir->stream = fdopendir(fd);
    if (dir->stream)
        return 0;
    int rc = -errno;
    close(fd);
    return rc;
}

int tepal_dir_open(tepal_dir **opened, const char *path)
{
    if (!opened || !path)
        misuse("tepal_dir_open", path ? "dir is NULL" : "the path is NULL");
    int rc = task_check(loop_current, task_need("tepal_dir_open"));
    *opened = NULL;
    if (rc < 0)
        return rc;
    tepal_dir *dir = mem_alloc(sizeof(*dir));
    if (!dir)
        return -ENOMEM;
    dir->path = path;
    dir->at = dir->len = 0;
    dir->error = 0;
    dir->reading = false;
    rc = offload_own(dir_open, dir, "tepal_dir_open");
    if (rc == 0)
        *opened = dir;
    else
        mem_free(dir);
    return rc;
}

static tepal_entry_type type_of(unsigned char type)
{
    switch (type) {
    case DT_UNKNOWN:
        return TEPAL_ENTRY_UNKNOWN;
    case DT_REG:
        return TEPAL_ENTRY_FILE;
    case DT_DIR:
        return TEPAL_ENTRY_DIR;
    case DT_LNK:
        return TEPAL_ENTRY_LINK;
    default:
        return TEPAL_ENTRY_OTHER;
    }
}

static void add_entry(tepal_dir *dir, const struct dirent *entry)
{
    size_t size = strlen(entry->d_name) + 1;
    dir->block[dir->len] = (char)type_of(entry->d_type);
    memcpy(dir->block + dir->len + 1, entry->d_name, size);
    dir->len += 1 + size;
}

static int dir_read(void *arg)
{
    tepal_dir *dir = arg;
    dir->at = dir->len = 0;
    while (dir->error == 0 && BLOCK_SIZE - dir->len >= LONGEST_ENTRY) {
        errno = 0;
        const struct dirent *entry = readdir(dir->stream);
        if (!entry)
            dir->error = errno ? -errno : 1;
        else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            add_entry(dir, entry);
    }
    return 0;
}

int tepal_dir_next(tepal_dir *dir, tepal_dir_entry *entry)
{
    struct tepal_task *task = task_need("tepal_dir_next");
    if (!dir || !entry)
        misuse("tepal_dir_next", dir ? "entry is NULL" : "the folder is NULL");
    if (dir->reading)
        misuse("tepal_dir_next", "another task reads the folder");
    int rc = task_may_give_way(loop_current, task);
    if (rc == 0 && dir->at == dir->len && dir->error == 0) {
        dir->reading = true;
        rc = offload_own(dir_read, dir, "tepal_dir_next");
        dir->reading = false;
    }
    if (rc < 0)
        return rc;
    if (dir->at == dir->len)
        return dir->error < 0 ? dir->error : 0;
    const char *found = dir->block + dir->at;
    *entry = (tepal_dir_entry){ .name = found + 1, .type = (tepal_entry_type)found[0] };
    dir->at += 1 + strlen(entry->name) + 1;
    return 1;
}

static int dir_close(void *arg)
{
    closedir(arg); /* of what was only read nothing is lost */
    return 0;
}

void tepal_dir_close(tepal_dir *dir)
{
    if (!dir)
        return;
    if (dir->reading)
        misuse("tepal_dir_close", "a task still reads the folder");
    (void)offload_shielded(dir_close, dir->stream);
    mem_free(dir);
}
