/* Tests of what is done with names of files, each in a folder of its own. */
#include "../misuse.h"

#include "async/thread/offload.h"
#include "base/mem.h"

#include <tepal/async.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/tepal-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    umask(022);
    return chdir(folder);
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    return rmdir(folder); /* fails when anything is left */
}

static void put(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* --- Files ------------------------------------------------------------------------------------ */

static int files(void *arg)
{
    struct stat status;
    (void)arg;
    assert_int_equal(tepal_path_stat("a", &status), -ENOENT);
    assert_int_equal(tepal_path_lstat("a", &status), -ENOENT);
    assert_int_equal(tepal_path_unlink("a"), -ENOENT);
    assert_int_equal(tepal_path_rename("a", "b"), -ENOENT);
    put("a", "four");
    assert_int_equal(tepal_path_stat("a", &status), 0);
    assert_int_equal(status.st_size, 4);
    put("b", "old");
    assert_int_equal(tepal_path_rename("a", "b"), 0);
    assert_int_equal(tepal_path_stat("a", &status), -ENOENT);
    assert_int_equal(tepal_path_stat("b", &status), 0);
    assert_int_equal(status.st_size, 4);
    assert_int_equal(tepal_path_link("b", "c"), 0);
    assert_int_equal(tepal_path_link("b", "c"), -EEXIST);
    assert_int_equal(tepal_path_stat("c", &status), 0);
    assert_int_equal(status.st_nlink, 2);
    assert_int_equal(tepal_path_unlink("."), -EISDIR);
    assert_int_equal(tepal_path_unlink("b"), 0);
    assert_int_equal(tepal_path_unlink("c"), 0);
    return 0;
}

static void stat_unlink_rename_link(void **state)
{
    (void)state;
    assert_int_equal(run(files, NULL), 0);
}

static int links(void *arg)
{
    struct stat status;
    char *target, long_target[4096];
    (void)arg;
    assert_int_equal(tepal_path_symlink("nowhere", "a"), 0);
    assert_int_equal(tepal_path_symlink("nowhere", "a"), -EEXIST);
    assert_int_equal(tepal_path_stat("a", &status), -ENOENT);
    assert_int_equal(tepal_path_lstat("a", &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_int_equal(tepal_path_readlink("a", &target), 7);
    assert_string_equal(target, "nowhere");
    free(target);
    assert_int_equal(tepal_path_unlink("a"), 0);
    for (size_t len = 254; len < sizeof(long_target); len = len < 257 ? len + 1 : len * 2) {
        memset(long_target, 'x', len);
        long_target[len] = '\0';
        assert_int_equal(tepal_path_symlink(long_target, "a"), 0);
        assert_int_equal(tepal_path_readlink("a", &target), len);
        assert_string_equal(target, long_target);
        free(target);
        assert_int_equal(tepal_path_unlink("a"), 0);
    }
    put("a", "");
    assert_int_equal(tepal_path_readlink("a", &target), -EINVAL);
    assert_null(target);
    assert_int_equal(tepal_path_readlink("b", &target), -ENOENT);
    assert_int_equal(tepal_path_unlink("a"), 0);
    return 0;
}

static void symbolic_links(void **state)
{
    (void)state;
    assert_int_equal(run(links, NULL), 0);
}

/* --- Folders ---------------------------------------------------------------------------------- */

static unsigned mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(tepal_path_stat(path, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    return status.st_mode & 07777;
}

static int folders(void *arg)
{
    tepal_path_mkdir_options with_mode = { .mode = 0700 };
    (void)arg;
    assert_int_equal(tepal_path_mkdir("a", NULL), 0);
    assert_int_equal(mode_of("a"), 0755);
    assert_int_equal(tepal_path_mkdir("a", NULL), -EEXIST);
    assert_int_equal(tepal_path_mkdir("b/c", NULL), -ENOENT);
    assert_int_equal(tepal_path_mkdir("a/b", &with_mode), 0);
    assert_int_equal(mode_of("a/b"), 0700);
    assert_int_equal(tepal_path_rmdir("a"), -ENOTEMPTY);
    assert_int_equal(tepal_path_rmdir("a/b"), 0);
    assert_int_equal(tepal_path_rmdir("a"), 0);
    assert_int_equal(tepal_path_rmdir("a"), -ENOENT);
    with_mode.later[3] = 1;
    assert_int_equal(tepal_path_mkdir("a", &with_mode), -EINVAL);
    return 0;
}

static int with_parents(void *arg)
{
    static const char *const paths[] = { "a/b/c", "a//b///c//", "./a/b/c", "a/b/c" };
    tepal_path_mkdir_options options = { .mode = 0700, .parents = true };
    char path[128];
    (void)arg;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(tepal_path_mkdir(paths[i], &options), 0);
        assert_int_equal(tepal_path_mkdir(paths[i], &options), 0); /* again */
        assert_int_equal(mode_of("a"), 0755);
        assert_int_equal(mode_of("a/b"), 0755);
        assert_int_equal(mode_of("a/b/c"), 0700);
        assert_int_equal(tepal_path_rmdir("a/b/c"), 0);
        assert_int_equal(tepal_path_rmdir("a/b"), 0);
        assert_int_equal(tepal_path_rmdir("a"), 0);
    }
    snprintf(path, sizeof(path), "%s/a/b", folder);
    assert_int_equal(tepal_path_mkdir(path, &options), 0);
    put("a/file", "");
    assert_int_equal(tepal_path_mkdir("a/file", &options), -EEXIST);
    assert_int_equal(tepal_path_mkdir("a/file/b", &options), -EEXIST);
    assert_int_equal(tepal_path_mkdir("", &options), -ENOENT);
    assert_int_equal(tepal_path_mkdir("/", &options), 0);
    assert_int_equal(tepal_path_unlink("a/file"), 0);
    assert_int_equal(tepal_path_rmdir("a/b"), 0);
    assert_int_equal(tepal_path_rmdir("a"), 0);
    return 0;
}

static int temporary(void *arg)
{
    char *one, *two;
    (void)arg;
    assert_int_equal(tepal_path_mkdtemp("work-", &one), 0);
    assert_int_equal(tepal_path_mkdtemp("work-", &two), 0);
    assert_string_not_equal(one, two);
    assert_int_equal(strlen(one), 11);
    assert_int_equal(strncmp(one, "work-", 5), 0);
    assert_int_equal(mode_of(one), 0700);
    assert_int_equal(tepal_path_rmdir(one), 0);
    assert_int_equal(tepal_path_rmdir(two), 0);
    free(one);
    free(two);
    assert_int_equal(tepal_path_mkdtemp("none/work-", &one), -ENOENT);
    assert_null(one);
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_path_mkdtemp("work-", &one), -ENOMEM);
    mem_fail_nth(0, 0);
    assert_null(one);
    return 0;
}

static void making_and_removing(void **state)
{
    (void)state;
    assert_int_equal(run(folders, NULL), 0);
    assert_int_equal(run(with_parents, NULL), 0);
    assert_int_equal(run(temporary, NULL), 0);
}

/* --- Reading a folder ------------------------------------------------------------------------- */

enum { MANY = 300 };

static int kinds(void *arg)
{
    static const struct {
        const char *name;
        tepal_entry_type type;
    } rows[] = {
        { "file", TEPAL_ENTRY_FILE },    { "dir", TEPAL_ENTRY_DIR },
        { "link", TEPAL_ENTRY_LINK },    { "fifo", TEPAL_ENTRY_OTHER },
        { ".hidden", TEPAL_ENTRY_FILE }, { "...", TEPAL_ENTRY_FILE },
    };
    enum { N = sizeof(rows) / sizeof(rows[0]) };
    tepal_dir *dir;
    tepal_dir_entry entry;
    int rc, seen[N] = { 0 };
    (void)arg;
    assert_int_equal(tepal_dir_open(&dir, "."), 0);
    assert_int_equal(tepal_dir_next(dir, &entry), 0);
    assert_int_equal(tepal_dir_next(dir, &entry), 0); /* and again */
    tepal_dir_close(dir);
    put("file", "");
    put(".hidden", "");
    put("...", "");
    assert_int_equal(tepal_path_mkdir("dir", NULL), 0);
    assert_int_equal(tepal_path_symlink("file", "link"), 0);
    assert_int_equal(mkfifo("fifo", 0644), 0);
    assert_int_equal(tepal_dir_open(&dir, folder), 0);
    while ((rc = tepal_dir_next(dir, &entry)) > 0)
        for (int i = 0; i < N; i++)
            if (strcmp(entry.name, rows[i].name) == 0) {
                seen[i]++;
                assert_true(entry.type == rows[i].type || entry.type == TEPAL_ENTRY_UNKNOWN);
            }
    assert_int_equal(rc, 0);
    tepal_dir_close(dir);
    for (int i = 0; i < N; i++) {
        assert_int_equal(seen[i], 1);
        if (rows[i].type == TEPAL_ENTRY_DIR)
            assert_int_equal(tepal_path_rmdir(rows[i].name), 0);
        else
            assert_int_equal(tepal_path_unlink(rows[i].name), 0);
    }
    return 0;
}

/* More than fit into one block, with the longest names. */
static int many(void *arg)
{
    static bool seen[MANY];
    char name[256];
    tepal_dir *dir;
    tepal_dir_entry entry;
    int rc, n = 0;
    (void)arg;
    memset(seen, 0, sizeof(seen));
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "%d-%0*d", i, i % 2 ? 250 : 1, 0);
        put(name, "");
    }
    assert_int_equal(tepal_dir_open(&dir, "."), 0);
    for (; (rc = tepal_dir_next(dir, &entry)) > 0; n++) {
        int i = atoi(entry.name);
        assert_false(seen[i]);
        seen[i] = true;
        assert_int_equal(unlink(entry.name), 0);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(n, MANY);
    tepal_dir_close(dir);
    return 0;
}

static int wrong_folders(void *arg)
{
    tepal_dir *dir;
    (void)arg;
    put("file", "");
    assert_int_equal(tepal_dir_open(&dir, "none"), -ENOENT);
    assert_null(dir);
    assert_int_equal(tepal_dir_open(&dir, "file"), -ENOTDIR);
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_dir_open(&dir, "."), -ENOMEM);
    mem_fail_nth(0, 0);
    assert_null(dir);
    struct rlimit old, tight;
    getrlimit(RLIMIT_NOFILE, &old);
    int free_fd = dup(0);
    close(free_fd);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    int rc = tepal_dir_open(&dir, ".");
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(rc, -EMFILE);
    tepal_dir_close(NULL);
    return tepal_path_unlink("file");
}

static void reading_a_folder(void **state)
{
    (void)state;
    assert_int_equal(run(kinds, NULL), 0);
    assert_int_equal(run(many, NULL), 0);
    assert_int_equal(run(wrong_folders, NULL), 0);
}

/* --- Cancelled, late, and in the way of nobody ------------------------------------------------ */

static int refused(void *arg)
{
    struct stat status;
    char *text;
    tepal_dir_entry entry;
    tepal_dir *dir = arg, *other;
    int expected = tepal_sleep_ms(0);
    assert_true(expected == -ECANCELED || expected == -ETIMEDOUT);
    assert_int_equal(tepal_path_mkdir("new", NULL), expected);
    assert_int_equal(tepal_path_stat(".", &status), expected);
    assert_int_equal(tepal_path_mkdtemp("new", &text), expected);
    assert_int_equal(tepal_path_readlink("a", &text), expected);
    assert_int_equal(tepal_dir_open(&other, "."), expected);
    assert_int_equal(tepal_dir_next(dir, &entry), expected);
    return 0;
}

static int refuse(void *arg)
{
    tepal_dir *dir;
    tepal_dir_entry entry;
    (void)arg;
    put("only", "");
    assert_int_equal(tepal_dir_open(&dir, "."), 0);
    int64_t none = tepal_deadline_in_ms(-3600000);
    assert_int_equal(refused(dir), 0);
    tepal_deadline_restore(none);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, refused, dir, NULL), 0);
    tepal_group_close(group);
    assert_int_equal(tepal_dir_next(dir, &entry), 1); /* none is lost */
    assert_string_equal(entry.name, "only");
    assert_int_equal(tepal_dir_next(dir, &entry), 0);
    none = tepal_deadline_in_ms(-3600000);
    tepal_dir_close(dir); /* in any case */
    tepal_deadline_restore(none);
    return tepal_path_unlink("only");
}

static void cancelled_and_late(void **state)
{
    (void)state;
    assert_int_equal(run(refuse, NULL), 0);
    assert_int_equal(run_fake(refuse, NULL), 0);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static int no_path(void *arg)
{
    (void)arg;
    return tepal_path_unlink(NULL);
}

static int no_second_path(void *arg)
{
    (void)arg;
    return tepal_path_rename("a", NULL);
}

static int no_folder(void *arg)
{
    (void)arg;
    return tepal_dir_next(NULL, NULL);
}

static int outside(void *arg)
{
    (void)arg;
    loop_current->current = NULL;
    return tepal_path_rmdir("a");
}

static void wrong_use_is_told(void **state)
{
    (void)state;
    expect_misuse(no_path, "tepal_path_unlink: the path is NULL");
    expect_misuse(no_second_path, "tepal_path_rename: a path is NULL");
    expect_misuse(no_folder, "tepal_dir_next: the folder is NULL");
    expect_misuse(outside, "tepal_path_rmdir: must be called from a task");
}

#define PATH_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        PATH_TEST(stat_unlink_rename_link), PATH_TEST(symbolic_links),
        PATH_TEST(making_and_removing),     PATH_TEST(reading_a_folder),
        PATH_TEST(cancelled_and_late),      PATH_TEST(wrong_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
