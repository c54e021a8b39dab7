/* Tests of files: each runs in a folder of its own, which must be empty at its end but for what the
 * test removes: so no temporary file is left. */
#include "../misuse.h"

#include "async/file/file_save.h"
#include "async/thread/offload.h"
#include "base/mem.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char path[128]; /* of a file in it, that need not exist */

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/tepal-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    umask(022);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails when anything is left */
}

static char pattern(size_t i)
{
    return (char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static char *new_pattern(size_t len)
{
    char *data = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        data[i] = pattern(i);
    return data;
}

/* Writes a file by plain means. */
static void put_file(const char *name, const char *data, size_t len)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
}

static void expect_file(const char *name, const char *data, size_t len)
{
    char *found = malloc(len + 1);
    int fd = open(name, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, found, len + 1), (ssize_t)len);
    assert_memory_equal(found, data, len);
    close(fd);
    free(found);
}

static unsigned mode_of(const char *name)
{
    struct stat status;
    assert_int_equal(lstat(name, &status), 0);
    return status.st_mode & 07777;
}

/* --- Whole files ------------------------------------------------------------------------------ */

static int load_sizes(void *arg)
{
    static const size_t sizes[] = { 0, 1, 2, 4095, 4096, 4097, 8192, 100000, 3000000 };
    char *data = new_pattern(3000000), *found;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t len = sizes[i];
        put_file(path, data, len);
        size_t maxima[] = { len, len + 1, TEPAL_UNLIMITED, TEPAL_UNLIMITED - 1, 3 * len + 5000 };
        for (int k = 0; k < 5; k++) {
            assert_int_equal(tepal_file_load(path, maxima[k], &found), (ssize_t)len);
            assert_memory_equal(found, data, len);
            assert_int_equal(found[len], 0);
            free(found);
        }
        for (size_t max = len / 2; len > 0; max = len - 1) {
            found = data;
            assert_int_equal(tepal_file_load(path, max, &found), -EFBIG);
            assert_null(found);
            if (max == len - 1)
                break;
        }
    }
    free(data);
    (void)arg;
    return 0;
}

static void loads_up_to_the_maximum(void **state)
{
    (void)state;
    assert_int_equal(run(load_sizes, NULL), 0);
}

/* Files that do not say how long they are. */
static int load_unknown_sizes(void *arg)
{
    char *data;
    ssize_t len = tepal_file_load("/proc/filesystems", 1 << 20, &data);
    assert_true(len > 10);
    assert_int_equal(strlen(data), len);
    free(data);
    assert_int_equal(tepal_file_load("/proc/filesystems", (size_t)len, &data), len);
    free(data);
    assert_int_equal(tepal_file_load("/proc/filesystems", (size_t)len - 1, &data), -EFBIG);
    assert_null(data);
    assert_int_equal(tepal_file_load("/dev/zero", 1 << 20, &data), -EFBIG); /* grows on and on */
    assert_int_equal(tepal_file_load("/dev/zero", 0, &data), -EFBIG);
    assert_int_equal(tepal_file_load("/dev/null", 0, &data), 0);
    assert_string_equal(data, "");
    free(data);
    (void)arg;
    return 0;
}

static void loads_what_has_no_size(void **state)
{
    (void)state;
    assert_int_equal(run(load_unknown_sizes, NULL), 0);
}

static int load_nothing(void *arg)
{
    char *data = path;
    assert_int_equal(tepal_file_load(path, 100, &data), -ENOENT);
    assert_null(data);
    assert_int_equal(tepal_file_load(folder, 1 << 20, &data), -EISDIR);
    assert_int_equal(tepal_file_load("", 100, &data), -ENOENT);
    /* A FIFO without a writer is empty, and does not hold the thread. */
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(tepal_file_load(path, 100, &data), 0);
    free(data);
    (void)arg;
    return 0;
}

static void loads_no_other_things(void **state)
{
    (void)state;
    assert_int_equal(run(load_nothing, NULL), 0);
}

static int save_and_replace(void *arg)
{
    size_t len = 300000;
    char *data = new_pattern(len);
    assert_int_equal(tepal_file_save(path, data, len, NULL), 0);
    expect_file(path, data, len);
    assert_int_equal(mode_of(path), 0644); /* less the umask */
    assert_int_equal(tepal_file_save(path, "short", 5, NULL), 0);
    expect_file(path, "short", 5);
    assert_int_equal(tepal_file_save(path, NULL, 0, NULL), 0);
    expect_file(path, "", 0);
    /* Who has it open sees the old content, whole. */
    assert_int_equal(tepal_file_save(path, "old", 3, NULL), 0);
    int fd = open(path, O_RDONLY);
    tepal_file_save_options fast = { .no_sync = true };
    assert_int_equal(tepal_file_save(path, "new", 3, &fast), 0);
    char buffer[8];
    assert_int_equal(read(fd, buffer, 8), 3);
    assert_memory_equal(buffer, "old", 3);
    close(fd);
    expect_file(path, "new", 3);
    free(data);
    (void)arg;
    return 0;
}

static void saves_whole_files(void **state)
{
    (void)state;
    assert_int_equal(run(save_and_replace, NULL), 0);
}

static int save_modes(void *arg)
{
    tepal_file_save_options shared = { .mode = 0666 };
    assert_int_equal(tepal_file_save(path, "x", 1, &shared), 0);
    assert_int_equal(mode_of(path), 0666); /* whatever the umask */
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(tepal_file_save(path, "secret", 6, NULL), 0);
    assert_int_equal(mode_of(path), 0600); /* stays */
    assert_int_equal(chmod(path, 04755), 0);
    assert_int_equal(tepal_file_save(path, "x", 1, NULL), 0);
    assert_int_equal(mode_of(path), 0755); /* but for what gives a program our rights */
    assert_int_equal(tepal_file_save(path, "x", 1, &(tepal_file_save_options){ .mode = 0400 }), 0);
    assert_int_equal(mode_of(path), 0400);
    unlink(path);
    umask(077);
    assert_int_equal(tepal_file_save(path, "x", 1, NULL), 0);
    assert_int_equal(mode_of(path), 0600);
    (void)arg;
    return 0;
}

static void keeps_permissions(void **state)
{
    (void)state;
    assert_int_equal(run(save_modes, NULL), 0);
}

static int save_elsewhere(void *arg)
{
    char place[128], other[192];
    char *before = getcwd(NULL, 0);
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(tepal_file_save("file", "here", 4, NULL), 0);
    expect_file(path, "here", 4);
    assert_int_equal(tepal_file_save("./file", "there", 5, NULL), 0);
    expect_file(path, "there", 5);
    assert_int_equal(chdir(before), 0);
    free(before);
    /* A link is replaced; what it leads to stays. */
    snprintf(other, sizeof(other), "%s/link", folder);
    assert_int_equal(symlink("file", other), 0);
    assert_int_equal(tepal_file_save(other, "new", 3, NULL), 0);
    expect_file(path, "there", 5);
    expect_file(other, "new", 3);
    unlink(other);
    /* The longest name that there is. */
    memset(other, 0, sizeof(other));
    snprintf(place, sizeof(place), "%s/", folder);
    char *longest = malloc(strlen(place) + 256);
    strcpy(longest, place);
    memset(longest + strlen(place), 'n', 255);
    longest[strlen(place) + 255] = '\0';
    assert_int_equal(tepal_file_save(longest, "long", 4, NULL), 0);
    expect_file(longest, "long", 4);
    unlink(longest);
    free(longest);
    (void)arg;
    return 0;
}

static void saves_anywhere(void **state)
{
    (void)state;
    assert_int_equal(run(save_elsewhere, NULL), 0);
}

/* What fails leaves the old file and no other: see teardown(). */
static int save_in_vain(void *arg)
{
    char place[192];
    snprintf(place, sizeof(place), "%s/none/file", folder);
    assert_int_equal(tepal_file_save(place, "x", 1, NULL), -ENOENT);
    assert_int_equal(tepal_file_save("", "x", 1, NULL), -ENOENT);
    snprintf(place, sizeof(place), "%s/inner", folder);
    assert_int_equal(mkdir(place, 0700), 0);
    assert_int_equal(tepal_file_save(place, "x", 1, NULL), -EISDIR);
    rmdir(place);
    /* The file gets too large: what is allowed is allowed, one octet more is not. */
    struct rlimit old, tight;
    char *data = new_pattern(20001);
    assert_int_equal(tepal_file_save(path, "old", 3, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = old;
    tight.rlim_cur = 20000;
    setrlimit(RLIMIT_FSIZE, &tight);
    int above = tepal_file_save(path, data, 20001, NULL);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(above, -EFBIG);
    expect_file(path, "old", 3);
    setrlimit(RLIMIT_FSIZE, &tight);
    int at = tepal_file_save(path, data, 20000, NULL);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(at, 0);
    expect_file(path, data, 20000);
    free(data);
    (void)arg;
    return 0;
}

static void a_failed_save_leaves_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(run(save_in_vain, NULL), 0);
}

static int save_and_load(void *arg)
{
    size_t len = 5000;
    char *ours = malloc(len), *data;
    memset(ours, *(char *)arg, len);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(
            tepal_file_save(path, ours, len, &(tepal_file_save_options){ .no_sync = 1 }), 0);
        assert_int_equal(tepal_file_load(path, len, &data), (ssize_t)len);
        for (size_t k = 1; k < len; k++)
            assert_int_equal(data[k], data[0]); /* of one of the writers, and whole */
        free(data);
    }
    free(ours);
    return 0;
}

static int save_at_once(void *arg)
{
    static char letters[] = "abcdefgh";
    tepal_group *group = tepal_group_new();
    for (char *p = letters; *p; p++)
        assert_int_equal(tepal_spawn(group, save_and_load, p, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void saves_are_atomic(void **state)
{
    (void)state;
    assert_int_equal(run(save_at_once, NULL), 0);
}

/* --- Open files ------------------------------------------------------------------------------- */

static tepal_file *open_file(int flags)
{
    tepal_file *file = NULL;
    assert_int_equal(tepal_file_open(&file, path, &(tepal_file_options){ .flags = flags }), 0);
    return file;
}

static int use_file(void *arg)
{
    char buffer[32];
    tepal_file *file = open_file(O_RDWR | O_CREAT | O_EXCL);
    assert_int_equal(mode_of(path), 0644);
    assert_int_equal(tepal_file_size(file), 0);
    assert_int_equal(tepal_file_read(file, buffer, 10, 0), 0);
    assert_int_equal(tepal_file_write(file, "hello world", 11, 0), 0);
    assert_int_equal(tepal_file_write(file, "W", 1, 6), 0);
    assert_int_equal(tepal_file_write(file, NULL, 0, 3), 0);
    assert_int_equal(tepal_file_read(file, buffer, 5, 6), 5);
    assert_memory_equal(buffer, "World", 5);
    assert_int_equal(tepal_file_read(file, buffer, 32, 6), 5); /* fewer where it ends */
    assert_int_equal(tepal_file_read(file, buffer, 32, 11), 0);
    assert_int_equal(tepal_file_read(file, buffer, 32, 1000), 0);
    assert_int_equal(tepal_file_read(file, buffer, 0, 0), 0);
    assert_int_equal(tepal_file_write(file, "end", 3, 20), 0); /* zeros between */
    assert_int_equal(tepal_file_read(file, buffer, 32, 10), 13);
    assert_memory_equal(buffer, "d\0\0\0\0\0\0\0\0\0end", 13);
    assert_int_equal(tepal_file_truncate(file, 5), 0);
    assert_int_equal(tepal_file_size(file), 5);
    assert_int_equal(tepal_file_truncate(file, 7), 0);
    assert_int_equal(tepal_file_sync(file), 0);
    struct stat status;
    assert_int_equal(tepal_file_stat(file, &status), 0);
    assert_int_equal(status.st_size, 7);
    assert_true(S_ISREG(status.st_mode));
    expect_file(path, "hello\0\0", 7);
    assert_int_equal(tepal_file_close(file), 0);
    assert_int_equal(tepal_file_close(NULL), 0);
    (void)arg;
    return 0;
}

static void reads_and_writes_anywhere(void **state)
{
    (void)state;
    assert_int_equal(run(use_file, NULL), 0);
}

static int use_flags(void *arg)
{
    char buffer[32];
    tepal_file *file;
    put_file(path, "12345", 5);
    assert_int_equal(tepal_file_open(&file, path, NULL), 0); /* to read */
    assert_int_equal(tepal_file_read(file, buffer, 32, 0), 5);
    assert_int_equal(tepal_file_write(file, "x", 1, 0), -EBADF);
    assert_int_equal(tepal_file_truncate(file, 1), -EINVAL);
    assert_int_equal(tepal_file_read(file, buffer, 32, -1), -EINVAL);
    assert_int_equal(tepal_file_close(file), 0);
    file = open_file(O_WRONLY | O_APPEND);
    assert_int_equal(tepal_file_write(file, "678", 3, 0), 0);
    assert_int_equal(tepal_file_read(file, buffer, 32, 0), -EBADF);
    assert_int_equal(tepal_file_close(file), 0);
    expect_file(path, "12345678", 8);
    file = open_file(O_WRONLY | O_TRUNC);
    assert_int_equal(tepal_file_size(file), 0);
    assert_int_equal(tepal_file_close(file), 0);
    file = NULL;
    tepal_file_options new = { .flags = O_RDWR | O_CREAT | O_EXCL, .mode = 0640 };
    assert_int_equal(tepal_file_open(&file, path, &new), -EEXIST);
    unlink(path);
    assert_int_equal(tepal_file_open(&file, path, NULL), -ENOENT);
    assert_null(file);
    assert_int_equal(tepal_file_open(&file, path, &new), 0);
    assert_int_equal(mode_of(path), 0640);
    assert_int_equal(tepal_file_close(file), 0);
    assert_int_equal(
        tepal_file_open(&file, "/dev/full", &(tepal_file_options){ .flags = O_WRONLY }), 0);
    assert_int_equal(tepal_file_write(file, "x", 1, 0), -ENOSPC);
    assert_int_equal(tepal_file_close(file), 0);
    (void)arg;
    return 0;
}

static void flags_and_errors(void **state)
{
    (void)state;
    assert_int_equal(run(use_flags, NULL), 0);
}

struct part {
    tepal_file *file;
    size_t offset, len;
};

static int copy_part(void *arg)
{
    struct part *part = arg;
    char *data = malloc(part->len);
    for (size_t i = 0; i < part->len; i++)
        data[i] = pattern(part->offset + i);
    assert_int_equal(tepal_file_write(part->file, data, part->len, (int64_t)part->offset), 0);
    memset(data, 0, part->len);
    assert_int_equal(tepal_file_read(part->file, data, part->len, (int64_t)part->offset),
                     (ssize_t)part->len);
    for (size_t i = 0; i < part->len; i++)
        assert_int_equal(data[i], pattern(part->offset + i));
    free(data);
    return 0;
}

static int share_file(void *arg)
{
    enum { PARTS = 40, LEN = 30011 };
    static struct part parts[PARTS];
    tepal_file *file = open_file(O_RDWR | O_CREAT);
    tepal_group *group = tepal_group_new();
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = (struct part){ file, (PARTS - 1 - i) * LEN, LEN };
        assert_int_equal(tepal_spawn(group, copy_part, &parts[i], NULL), 0);
    }
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_int_equal(tepal_file_size(file), PARTS * LEN);
    assert_int_equal(tepal_file_close(file), 0);
    (void)arg;
    return 0;
}

static void many_tasks_at_once(void **state)
{
    (void)state;
    assert_int_equal(run(share_file, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool blocked, may_go;

static int block_thread(void *arg)
{
    pthread_mutex_lock(&mutex);
    blocked = true;
    pthread_cond_broadcast(&changed);
    while (!may_go)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    (void)arg;
    return 0;
}

static int offload_block(void *arg)
{
    return offload_own(block_thread, arg, "block");
}

/* Takes the only thread for files away. */
static tepal_group *block_pool(void)
{
    blocked = may_go = false;
    tepal_offload_options options = { .max_threads = 1, .max_queue = 3 };
    assert_int_equal(tepal_offload_configure(&options), 0);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, offload_block, NULL, NULL), 0);
    settle();
    pthread_mutex_lock(&mutex);
    while (!blocked)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    return group;
}

static void unblock_pool(tepal_group *group)
{
    pthread_mutex_lock(&mutex);
    may_go = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
}

static int endless_load(void *arg)
{
    char *data = arg;
    int rc = (int)tepal_file_load(path, 1000, &data);
    assert_null(data);
    return rc;
}

static int endless_save(void *arg)
{
    (void)arg;
    return tepal_file_save(path, "changed", 7, NULL);
}

static int endless_open(void *arg)
{
    tepal_file *file = NULL;
    (void)arg;
    int rc = tepal_file_open(&file, path, &(tepal_file_options){ .flags = O_RDWR | O_TRUNC });
    assert_null(file);
    return rc;
}

static int endless_read(void *arg)
{
    char buffer[10];
    return (int)tepal_file_read(arg, buffer, sizeof(buffer), 0);
}

static int endless_write(void *arg)
{
    return tepal_file_write(arg, "changed", 7, 0);
}

static int endless_size(void *arg)
{
    return (int)tepal_file_size(arg);
}

static int endless_stat(void *arg)
{
    struct stat status;
    return tepal_file_stat(arg, &status);
}

static int endless_truncate(void *arg)
{
    return tepal_file_truncate(arg, 0);
}

static int endless_sync(void *arg)
{
    return tepal_file_sync(arg);
}

static int interrupt_calls(void *arg)
{
    static endless_call *const calls[] = { endless_load, endless_save,     endless_open,
                                           endless_read, endless_write,    endless_size,
                                           endless_stat, endless_truncate, endless_sync };
    put_file(path, "as it was", 9);
    tepal_file *file = open_file(O_RDWR);
    tepal_group *group = block_pool();
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        expect_refusal(calls[i], file);
        expect_cancellation(calls[i], file);
    }
    expect_interruptible(endless_open, NULL); /* they all wait at the same place */
    unblock_pool(group);
    expect_file(path, "as it was", 9);
    assert_int_equal(tepal_file_close(file), 0);
    (void)arg;
    return 0;
}

static void every_call_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run(interrupt_calls, NULL), 0);
}

/* Opens, is cancelled at any point, and closes what it has got; the count of descriptors and
 * valgrind see that nothing is lost. */
static int open_and_close(void *arg)
{
    char buffer[10];
    tepal_file *file = NULL;
    char *data;
    (void)arg;
    int rc = tepal_file_open(&file, path, NULL);
    if (rc == 0) {
        ssize_t n = tepal_file_read(file, buffer, 10, 0);
        assert_true(n == 9 || n == -ECANCELED);
        assert_int_equal(tepal_file_close(file), 0); /* also in a task that is cancelled */
    } else {
        assert_int_equal(rc, -ECANCELED);
    }
    rc = (int)tepal_file_load(path, 100, &data);
    assert_true(rc == 9 || rc == -ECANCELED);
    free(data);
    rc = tepal_file_save(path, "as it was", 9, NULL);
    assert_true(rc == 0 || rc == -ECANCELED);
    return 0;
}

static int interrupt_anywhere(void *arg)
{
    put_file(path, "as it was", 9);
    for (int i = 0; i < times(300); i++) {
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, open_and_close, NULL, NULL), 0);
        for (int k = 0; k < i % 150; k++)
            assert_int_equal(tepal_sleep_ms(0), 0);
        tepal_group_close(group);
    }
    expect_file(path, "as it was", 9);
    (void)arg;
    return 0;
}

static void cancelled_anywhere(void **state)
{
    (void)state;
    assert_int_equal(run(interrupt_anywhere, NULL), 0);
}

static int close_late(void *arg)
{
    (void)tepal_deadline_in_ms(-1000);
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT);
    return tepal_file_close(arg);
}

/* Closing works without a thread, too. */
static int close_when_busy(void *arg)
{
    tepal_file *files[4];
    put_file(path, "x", 1);
    for (int i = 0; i < 4; i++)
        files[i] = open_file(O_RDONLY);
    tepal_group *group = block_pool(), *closers = tepal_group_new();
    for (int i = 0; i < 4; i++)
        assert_int_equal(tepal_spawn(closers, close_late, files[i], NULL), 0);
    settle();
    tepal_file *file;
    assert_int_equal(tepal_file_open(&file, path, NULL), -EBUSY); /* the queue is full of them */
    unblock_pool(group);
    assert_int_equal(tepal_group_wait(closers), 0);
    tepal_group_close(closers);
    (void)arg;
    return 0;
}

static void closing_always_works(void **state)
{
    (void)state;
    assert_int_equal(run(close_when_busy, NULL), 0);
}

static int block_all(void *arg)
{
    return tepal_offload(block_thread, arg);
}

/* The program's calls wait for what a task does after it has used files, and closed one. */
static int use_files_when_busy(void *arg)
{
    enum { CALLS = 8 };
    (void)arg;
    put_file(path, "as it was", 9);
    tepal_file *file = open_file(O_RDWR);
    blocked = may_go = false;
    tepal_offload_options options = { .max_threads = 2, .max_queue = CALLS - 2 };
    assert_int_equal(tepal_offload_configure(&options), 0);
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(tepal_spawn(group, block_all, NULL, NULL), 0);
    settle();
    assert_int_equal(tepal_offload(block_thread, NULL), -EBUSY);
    assert_int_equal(tepal_file_write(file, "AS", 2, 0), 0);
    assert_int_equal(tepal_file_size(file), 9);
    assert_int_equal(tepal_file_close(file), 0);
    char *data;
    assert_int_equal(tepal_file_load(path, 100, &data), 9);
    assert_memory_equal(data, "AS it was", 9);
    free(data);
    assert_int_equal(tepal_file_save(path, "saved", 5, NULL), 0);
    unblock_pool(group);
    return 0;
}

static void files_do_not_wait_for_the_program(void **state)
{
    (void)state;
    assert_int_equal(run(use_files_when_busy, NULL), 0);
}

static int order[4], n_ordered;

struct ordered {
    tepal_file *file; /* to be closed; NULL: to be loaded */
    int number;
};

static int do_in_order(void *arg)
{
    struct ordered *o = arg;
    char *data = NULL;
    int rc = o->file ? tepal_file_close(o->file) : (int)tepal_file_load(path, 100, &data);
    free(data);
    order[n_ordered++] = o->number;
    return rc < 0 ? rc : 0;
}

static int close_before_others(void *arg)
{
    (void)arg;
    put_file(path, "x", 1);
    struct ordered all[3] = { { NULL, 0 }, { NULL, 1 }, { open_file(O_RDONLY), 2 } };
    n_ordered = 0;
    tepal_group *group = block_pool(), *users = tepal_group_new();
    for (int i = 0; i < 3; i++)
        assert_int_equal(tepal_spawn(users, do_in_order, &all[i], NULL), 0);
    settle();
    unblock_pool(group);
    assert_int_equal(tepal_group_wait(users), 0);
    tepal_group_close(users);
    assert_int_equal(order[0], 2);
    return 0;
}

static void closing_comes_first(void **state)
{
    (void)state;
    assert_int_equal(run(close_before_others, NULL), 0);
}

static int read_slowly(void *arg)
{
    char buffer[10];
    return (int)tepal_file_read(arg, buffer, 10, 0);
}

static int close_in_use(void *arg)
{
    tepal_file *file;
    assert_int_equal(tepal_file_open(&file, "/dev/null", NULL), 0);
    (void)block_pool();
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, read_slowly, file, NULL), 0);
    settle();
    (void)arg;
    return tepal_file_close(file);
}

static void closing_a_file_in_use_is_misuse(void **state)
{
    (void)state;
    expect_misuse(close_in_use, "a task still uses the file");
}

/* --- Shortage --------------------------------------------------------------------------------- */

static int fail_in_thread(void *arg)
{
    mem_fail_nth(*(size_t *)arg, 0);
    return 0;
}

static int run_short(void *arg)
{
    size_t first = 1, second = 2, none = 0;
    tepal_file *file = NULL;
    char *data;
    put_file(path, "as it was", 9);
    assert_int_equal(tepal_offload_configure(&(tepal_offload_options){ .max_threads = 1 }), 0);
    assert_int_equal(offload_own(fail_in_thread, &none, "test"), 0);
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_file_open(&file, path, NULL), -ENOMEM);
    assert_null(file);
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_file_save(path, "x", 1, NULL), -ENOMEM);
    mem_fail_nth(0, 0);
    /* What is loaded gets its memory in the thread. */
    assert_int_equal(offload_own(fail_in_thread, &first, "test"), 0);
    assert_int_equal(tepal_file_load(path, 100, &data), -ENOMEM);
    assert_null(data);
    assert_int_equal(offload_own(fail_in_thread, &second, "test"), 0);
    assert_int_equal(tepal_file_load("/dev/zero", 100000, &data), -ENOMEM); /* when it grows */
    assert_int_equal(offload_own(fail_in_thread, &none, "test"), 0);
    /* No descriptors. */
    struct rlimit old, tight;
    int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)next;
    setrlimit(RLIMIT_NOFILE, &tight);
    int opened = tepal_file_open(&file, path, NULL);
    /* Valgrind fails such a call after the kernel has created the file. */
    int saved = RUNNING_ON_VALGRIND ? -EMFILE : tepal_file_save(path, "x", 1, NULL);
    ssize_t loaded = tepal_file_load(path, 100, &data);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(opened, -EMFILE);
    assert_int_equal(saved, -EMFILE);
    assert_int_equal(loaded, -EMFILE);
    expect_file(path, "as it was", 9);
    (void)arg;
    return 0;
}

static void out_of_memory_and_descriptors(void **state)
{
    (void)state;
    assert_int_equal(run(run_short, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* --- Processes that die in the middle of it --------------------------------------------------- */

static int count_files(void)
{
    int n = 0;
    DIR *dir = opendir(folder);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

/* Saves without an end; each time it begins it says so. */
static int save_for_ever(void *arg)
{
    enum { LEN = 1 << 20 };
    char *data = calloc(1, LEN);
    while (true) {
        assert_int_equal(write(*(int *)arg, "x", 1), 1);
        int rc = tepal_file_save(path, data, LEN, &(tepal_file_save_options){ .no_sync = true });
        if (rc < 0)
            return rc;
    }
}

static int save_once(void *arg)
{
    (void)arg;
    return tepal_file_save(path, "x", 1, NULL);
}

/* Kills savers at any moment. */
static void kill_savers(int n)
{
    for (int i = 0; i < n; i++) {
        int ends[2], status;
        char octet;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            loop_current = NULL;
            _exit(tepal_main(save_for_ever, &ends[1]) < 0);
        }
        assert_int_equal(read(ends[0], &octet, 1), 1);
        usleep((useconds_t)(i * 100));
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        close(ends[0]);
        close(ends[1]);
    }
}

static void killed_savers_leave_nothing(void **state)
{
    (void)state;
    for (int named = 0; named < 2; named++) {
        file_save_named = named;
        kill_savers(RUNNING_ON_VALGRIND ? 3 : 20);
        assert_true(count_files() <= 2); /* never more than one besides */
        assert_int_equal(run(save_once, NULL), 0);
        assert_int_equal(count_files(), 1);
        unlink(path);
    }
    file_save_named = false;
}

/* Where files have names from the beginning: what is locked is another process' own, and a name
 * that cannot be had is passed over. */
static void others_are_left_alone(void **state)
{
    (void)state;
    char names[3][200];
    int fds[2];
    file_save_named = true;
    /* How it is called: what is left by a save that was killed before it began. */
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *p = "file"; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 0x100000001b3u;
    for (int i = 0; i < 3; i++)
        snprintf(names[i], sizeof(names[i]), "%s/.tepal-%016llx-%02x", folder,
                 (unsigned long long)hash, i);
    for (int i = 0; i < 2; i++) {
        fds[i] = open(names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fds[i] >= 0);
    }
    assert_int_equal(flock(fds[0], LOCK_EX), 0);
    assert_int_equal(run(save_once, NULL), 0);
    assert_int_equal(access(names[0], F_OK), 0);  /* in use */
    assert_int_equal(access(names[1], F_OK), -1); /* left over */
    assert_int_equal(count_files(), 2);
    for (int i = 0; i < 2; i++)
        close(fds[i]);
    assert_int_equal(run(save_once, NULL), 0);
    assert_int_equal(count_files(), 1);
    for (int named = 0; named < 2; named++) { /* a folder has the name */
        file_save_named = named;
        assert_int_equal(mkdir(names[0], 0700), 0);
        assert_int_equal(run(save_once, NULL), 0);
        assert_int_equal(rmdir(names[0]), 0);
        assert_int_equal(count_files(), 1);
    }
    file_save_named = false;
}

static int save_named_too(void *arg)
{
    file_save_named = true;
    int rc = save_and_replace(arg);
    rc = rc ? rc : save_modes(arg);
    rc = rc ? rc : save_elsewhere(arg);
    rc = rc ? rc : save_in_vain(arg);
    unlink(path);
    rc = rc ? rc : save_at_once(arg);
    file_save_named = false;
    return rc;
}

static void saves_with_names_from_the_beginning(void **state)
{
    (void)state;
    assert_int_equal(run(save_named_too, NULL), 0);
}

static int load_without_path(void *arg)
{
    char *data;
    (void)arg;
    return (int)tepal_file_load(NULL, 1, &data);
}

static int save_nothing_null(void *arg)
{
    (void)arg;
    return tepal_file_save(path, NULL, 1, NULL);
}

static int read_nothing_null(void *arg)
{
    char octet;
    (void)arg;
    return (int)tepal_file_read(NULL, &octet, 1, 0);
}

static int open_nothing_null(void *arg)
{
    tepal_file *file;
    (void)arg;
    return tepal_file_open(&file, NULL, NULL);
}

static void null_is_misuse(void **state)
{
    (void)state;
    expect_misuse(load_without_path, "tepal_file_load: the path is NULL");
    expect_misuse(save_nothing_null, "tepal_file_save: data is NULL");
    expect_misuse(read_nothing_null, "tepal_file_read: the file is NULL");
    expect_misuse(open_nothing_null, "tepal_file_open: the path is NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(loads_up_to_the_maximum),
        TEST(loads_what_has_no_size),
        TEST(loads_no_other_things),
        TEST(saves_whole_files),
        TEST(keeps_permissions),
        TEST(saves_anywhere),
        TEST(a_failed_save_leaves_the_old_file),
        TEST(saves_are_atomic),
        TEST(saves_with_names_from_the_beginning),
        TEST(killed_savers_leave_nothing),
        TEST(others_are_left_alone),
        TEST(null_is_misuse),
        TEST(reads_and_writes_anywhere),
        TEST(flags_and_errors),
        TEST(many_tasks_at_once),
        TEST(every_call_can_be_interrupted),
        TEST(cancelled_anywhere),
        TEST(closing_always_works),
        TEST(files_do_not_wait_for_the_program),
        TEST(closing_comes_first),
        TEST(closing_a_file_in_use_is_misuse),
        TEST(out_of_memory_and_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
