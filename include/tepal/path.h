/* What is done with names of files, and with folders, in threads, so that a slow disk holds no
 * other task up: file.h is for what is in files.
 *
 * Each call is that of the system of the same name, made in one of the threads that file.h uses. A
 * task that is cancelled or out of time before a thread has begun gets -ECANCELED or -ETIMEDOUT,
 * and nothing has been done; what has begun is waited for and its result returned. Besides the
 * errors of the system (-ENOENT, -EACCES, -EEXIST, ...), each call returns those of
 * tepal_offload(): -EBUSY when the pool's queue is full, -EAGAIN, -ENOMEM, -EMFILE. Relative paths
 * are seen from the working directory.
 */
#ifndef TEPAL_PATH_H
#define TEPAL_PATH_H

#include <tepal/base.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct stat;

/* All that stat(2) says of the file, and lstat(2): of a symbolic link itself. Whether there is one
 * is a 0 or -ENOENT. Suspends. Returns 0 or a negative error. */
TEPAL_API int tepal_path_stat(const char *path, struct stat *status);
TEPAL_API int tepal_path_lstat(const char *path, struct stat *status);

/* Removes a file, or a symbolic link itself; a folder is -EISDIR. Suspends. Returns 0 or a negative
 * error. */
TEPAL_API int tepal_path_unlink(const char *path);

/* Gives what is at from the name to, in place of what has it: at once, for all who look. Both are
 * in one file system, else -EXDEV. Suspends. Returns 0 or a negative error. */
TEPAL_API int tepal_path_rename(const char *from, const char *to);

/* Makes path another name of the file target, or a symbolic link whose content is target. What is
 * there already is -EEXIST. Suspends. Returns 0 or a negative error. */
TEPAL_API int tepal_path_link(const char *target, const char *path);
TEPAL_API int tepal_path_symlink(const char *target, const char *path);

/* What a symbolic link contains. Suspends. Returns its length, and in *target a text, which the
 * caller frees with free(); or a negative error (-EINVAL: it is no link), and *target is NULL. */
TEPAL_API ssize_t tepal_path_readlink(const char *path, char **target);

typedef struct tepal_path_mkdir_options {
    unsigned mode; /* permissions, less the umask; default 0777 */
    bool parents;  /* make the folders above it that are missing, too (they have 0777 less the
                      umask); and a folder that is there already is no error */
    uint64_t later[4];
} tepal_path_mkdir_options;

/* Makes a folder. Suspends. Returns 0, -EEXIST, or another negative error. */
TEPAL_API int tepal_path_mkdir(const char *path, const tepal_path_mkdir_options *options);

/* Makes a folder for this user only (0700), whose name is prefix and six characters that make it a
 * new one: "/tmp/upload-" becomes "/tmp/upload-x3Hq9a". Suspends. Returns 0, and in *path the name,
 * which the caller frees with free(); or a negative error, and *path is NULL. */
TEPAL_API int tepal_path_mkdtemp(const char *prefix, char **path);

/* Removes a folder, which must be empty: else -ENOTEMPTY. Suspends. Returns 0 or a negative
 * error. */
TEPAL_API int tepal_path_rmdir(const char *path);

/* --- What is in a folder ---------------------------------------------------------------------- */

typedef enum tepal_entry_type {
    TEPAL_ENTRY_UNKNOWN, /* the file system does not say: tepal_path_lstat() does */
    TEPAL_ENTRY_FILE,    /* a regular one */
    TEPAL_ENTRY_DIR,
    TEPAL_ENTRY_LINK, /* a symbolic one */
    TEPAL_ENTRY_OTHER /* a device, a socket, a FIFO */
} tepal_entry_type;

typedef struct tepal_dir_entry {
    const char *name; /* without the folder's; until the next call */
    tepal_entry_type type;
    uint64_t later[3];
} tepal_dir_entry;

/* A folder that is being read. It takes some 32 KiB however many names there are. */
typedef struct tepal_dir tepal_dir;

/* Opens a folder to read it. Suspends. Returns 0 and the folder, which the caller closes, or a
 * negative error, and NULL. */
TEPAL_API int tepal_dir_open(tepal_dir **dir, const char *path);

/* The next entry, in no order, without "." and "..": what was there when the folder was opened, and
 * is still; of what comes or goes meanwhile nothing is sure. One task at a time. Suspends, with
 * some hundred entries for each time that a thread reads. Returns 1 with *entry filled, 0 when
 * there is none left, or a negative error; after -ECANCELED or -ETIMEDOUT it may be called again,
 * and none is lost. */
TEPAL_API int tepal_dir_next(tepal_dir *dir, tepal_dir_entry *entry);

/* Closes the folder. Suspends, but cannot be cancelled or time out. NULL is allowed. */
TEPAL_API void tepal_dir_close(tepal_dir *dir);

#ifdef __cplusplus
}
#endif
#endif
