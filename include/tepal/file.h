/* Files, read and written in threads, so that a slow disk holds no other task up. The threads are
 * for files only: calls of tepal_offload() that take long, or wait for a task that uses a file, are
 * not in the way; see tepal_offload_configure().
 *
 * Every operation is one call in a thread. A task that is cancelled or out of time before a thread
 * has begun gets -ECANCELED or -ETIMEDOUT, and nothing has been done; what has begun is waited for
 * and its result returned. Besides the errors that are listed, and those of the system (-ENOENT,
 * -EACCES, -ENOSPC, -EIO, ...), each call returns those of tepal_offload(): -EBUSY when the pool's
 * queue is full, -EAGAIN, -ENOMEM, -EMFILE.
 */
#ifndef TEPAL_FILE_H
#define TEPAL_FILE_H

#include <tepal/base.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct stat;

/* --- Whole files ------------------------------------------------------------------------------ */

/* Reads a whole file. max is the size in octets that it may have; TEPAL_UNLIMITED: any. Suspends.
 * Returns its size, and in *data its content with a NUL behind, which the caller frees with free();
 * -EFBIG when the file is larger than max, -EISDIR; *data is NULL then. */
TEPAL_API ssize_t tepal_file_load(const char *path, size_t max, char **data);

typedef struct tepal_file_save_options {
    unsigned mode; /* permissions, such as 0600. Default: those of the file that is replaced; 0666
                      less the umask when there is none */
    bool no_sync;  /* do not wait until the disk has it: faster, but after a power failure the file
                      may be empty */
    uint64_t later[4];
} tepal_file_save_options;

/* Writes a whole file so that a reader, or a crash at any moment, sees the old content or the new
 * one, but never a part: into a new file in the same folder, which then takes the place of the old
 * one. Where the file system can (O_TMPFILE: ext4, xfs, btrfs, tmpfs) the new file has no name
 * before it is complete, and a process that is killed leaves nothing behind. Elsewhere, and in the
 * moment of taking the place, its name is ".tepal-", 16 hexadecimal digits made of the old one's
 * name, and a number; one that a killed process has left is removed when the same file is saved
 * again. A symbolic link is replaced, not followed. Suspends. Returns 0 or a negative error. After
 * an error the old file is as it was and the new one removed, unless it was the last step that
 * failed, to sync the folder: then the new file may not survive a power failure. */
TEPAL_API int tepal_file_save(const char *path, const void *data, size_t len,
                              const tepal_file_save_options *options);

/* --- Open files ------------------------------------------------------------------------------- */

/* An open file. Several tasks may use it at once; the operations have no order then. */
typedef struct tepal_file tepal_file;

typedef struct tepal_file_options {
    int flags;     /* as for open(2): O_RDWR | O_CREAT, ... Default: O_RDONLY. O_CLOEXEC, O_NOCTTY
                      and O_NONBLOCK are added: a FIFO does not wait for its other end */
    unsigned mode; /* permissions of a new file, less the umask. Default 0666 */
    uint64_t later[4];
} tepal_file_options;

/* Opens a file. Suspends. Returns 0 and the file, which the caller closes, or a negative error. */
TEPAL_API int tepal_file_open(tepal_file **file, const char *path,
                              const tepal_file_options *options);

/* Reads size octets from offset on. Suspends. Returns how many: fewer only where the file ends, 0
 * behind it. Or a negative error. */
TEPAL_API ssize_t tepal_file_read(tepal_file *file, void *buffer, size_t size, int64_t offset);

/* Writes all len octets at offset (with O_APPEND: at the end). Suspends. Returns 0, or a negative
 * error after which it is not known how much was written. */
TEPAL_API int tepal_file_write(tepal_file *file, const void *data, size_t len, int64_t offset);

/* The size in octets. Suspends. Returns it, or a negative error. */
TEPAL_API int64_t tepal_file_size(tepal_file *file);

/* All that fstat(2) says. Suspends. Returns 0 or a negative error. */
TEPAL_API int tepal_file_stat(tepal_file *file, struct stat *status);

/* Makes the file this long: cuts it, or adds zeros. Suspends. Returns 0 or a negative error. */
TEPAL_API int tepal_file_truncate(tepal_file *file, int64_t size);

/* Waits until what was written is on the disk. Suspends. Returns 0 or a negative error. */
TEPAL_API int tepal_file_sync(tepal_file *file);

/* Closes the file and frees it, in any case. No operation may be under way. Suspends, but cannot be
 * cancelled or time out, so that it works in a task that was; it comes before other operations that
 * wait for a thread. Returns 0, or a negative error when what was written may be lost (-EIO,
 * -EDQUOT, ...). NULL is allowed. */
TEPAL_API int tepal_file_close(tepal_file *file);

#ifdef __cplusplus
}
#endif
#endif
