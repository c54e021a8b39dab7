/* Tests of the command line: what is said of a bad one, and what a good one sets. */
#include "../../check.h"

#include <tepal/web.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *db, *token;
static int64_t most;
static bool dry;
static const tepal_argument own[] = {
    { .name = "db", .help = "file of the database", .text = &db },
    { .name = "most", .help = "how many", .number = &most },
    { .name = "dry", .help = "only tries", .flag = &dry },
    { .name = "a-name-that-is-long", .help = "the second column is elsewhere", .text = &token },
    { 0 },
};

static char said[4096]; /* on standard error and output */

/* Runs a program with these words, separated by spaces. Returns its exit status. */
static int run_options(const char *line, const tepal_run_options *options)
{
    static char copy[512]; /* as argv does: it outlives the call */
    char *argv[20] = { "/usr/bin/prog" };
    int argc = 1, saved[2] = { dup(1), dup(2) }, fd = memfd_create("said", 0);
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        argv[argc++] = word;
    token = NULL;
    db = "todo.db";
    most = -7;
    dry = false;
    fflush(stdout);
    dup2(fd, 1);
    dup2(fd, 2);
    tepal_app *app = tepal_app_new();
    int status = tepal_run_args(app, argc, argv, options);
    fflush(stdout);
    dup2(saved[0], 1);
    dup2(saved[1], 2);
    ssize_t n = pread(fd, said, sizeof(said) - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(fd);
    close(saved[0]);
    close(saved[1]);
    return status;
}

/* What is right gets as far as an option that is not: nothing is served here. */
static int run_words(const char *line)
{
    static const tepal_run_options options = {
        .arguments = own,
        .limits.max_fields = 256,
        .port = 81,
    };
    return run_options(line, &options);
}

static void bad_ones(void **state)
{
    (void)state;
    static const char port[] = ": not a port, which is a number from 1 to 65535, or 0 for one that "
                               "is free";
    static const struct {
        const char *words, *wrong, *more;
    } rows[] = {
        { "--port 99999", "--port 99999", port },
        { "--port=65536", "--port 65536", port },
        { "--port 99999999999999999999", "--port 99999999999999999999", port },
        { "--port abc", "--port abc", port },
        { "--port 80x", "--port 80x", port },
        { "--port -1", "--port -1", port },
        { "--port +1", "--port +1", port },
        { "--port", "--port needs a value", "" },
        { "--port=", "--port= needs a value", "" },
        { "--host= --port 1", "--host= needs a value", "" },
        { "--host --port 1", "--host needs a value", "" },
        { "--path", "--path needs a value", "" },
        { "--db", "--db needs a value", "" },
        { "--prot 80", "unknown option --prot: is --port meant?", "" },
        { "--prot=80", "unknown option --prot=80: is --port meant?", "" },
        { "-p 80", "unknown option -p: is --port meant?", "" },
        { "-port 80", "unknown option -port: is --port meant?", "" },
        { "--no-acces-log", "unknown option --no-acces-log: is --no-access-log meant?", "" },
        { "--dp x", "unknown option --dp: is --db meant?", "" },
        { "--nonsense", "unknown option --nonsense: there are --host, --port, --path, ",
          "--no-access-log, --help, --db, --most, --dry, --a-name-that-is-long" },
        { "--", "", "max_fields" }, /* nothing is wrong with it */
        { "-- --port", "unexpected argument --port: there are only options", "" },
        { "-- -- x", "unexpected argument --: there are only options", "" },
        { "x\x1b[31m", "unexpected argument x\\x1b[31m: there are only options", "" },
        { "--port 80 extra", "unexpected argument extra: there are only options", "" },
        { "-", "unknown option -: there are", "" },
        { "--no-access-log=1", "--no-access-log=1: this option has no value", "" },
        { "--most", "--most needs a value", "" },
        { "--most=", "--most= needs a value", "" },
        { "--most x", "--most x: not a number", "" },
        { "--most 1x", "--most 1x: not a number", "" },
        { "--most 0x10", "--most 0x10: not a number", "" },
        { "--most=1.5", "--most 1.5: not a number", "" },
        { "--most +1", "--most +1: not a number", "" },
        { "--most=-", "--most -: not a number", "" },
        { "--most --1", "--most --1: not a number", "" },
        { "--most 9223372036854775808", "--most 9223372036854775808: no number is that large", "" },
        { "--most -9223372036854775809", "--most -9223372036854775809: no number is that large",
          "" },
        { "--dry=1", "--dry=1: this option has no value", "" },
        { "--dry 1", "unexpected argument 1: there are only options", "" },
        { "--help=1", "--help=1: this option has no value", "" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int status = run_words(rows[i].words);
        if (!*rows[i].wrong) {
            assert_int_equal(status, 1);
            assert_non_null(strstr(said, rows[i].more));
            continue;
        }
        char start[300];
        snprintf(start, sizeof(start), "prog: %s%s", rows[i].wrong, rows[i].more);
        assert_int_equal(status, 2);
        assert_memory_equal(said, start, strlen(start));
        const char *end = strchr(said, '\n'); /* one line, which leads on */
        assert_string_equal(end - strlen(" (see prog --help)"), " (see prog --help)\n");
    }
    /* Names of any length. */
    char longest[400];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = longest[1] = '-';
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(run_words(longest), 2);
}

static void good_ones(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "--port 0 --host ::1",
        "--port=8080 --host=::1 --path=x",
        "--port 65535",
        "--no-access-log",
        "--db=a=b --a-name-that-is-long --nonsense",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(run_words(rows[i]), 1);
        /* One line for a start that failed. */
        assert_non_null(strstr(said, " error: cannot start: max_fields is "));
        assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
    }
    assert_string_equal(db, "a=b");
    assert_string_equal(token, "--nonsense");
    assert_int_equal(run_words("--most -9223372036854775808 --dry"), 1);
    assert_true(most == INT64_MIN && dry);
    assert_int_equal(run_words("--most=9223372036854775807"), 1);
    assert_true(most == INT64_MAX && !dry);
    assert_string_equal(db, "todo.db");
    assert_int_equal(run_words("--db= x"), 2);
    assert_string_equal(db, ""); /* of a program's own option it may be empty */
}

static void help(void **state)
{
    (void)state;
    static const char *const rows[] = { "--help", "-h", "--port 0 --help" };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(run_words(rows[i]), 0);
        assert_string_equal(said,
                            "usage: prog [OPTION]...\n"
                            "  --host HOST      address or name to listen on (default: all "
                            "addresses)\n"
                            "  --port PORT      port to listen on; 0: one that is free (default: "
                            "81)\n"
                            "  --path SOCKET    Unix socket to listen on instead\n"
                            "  --no-access-log  no line for each request\n"
                            "  --db VALUE       file of the database (default: todo.db)\n"
                            "  --most NUMBER    how many (default: -7)\n"
                            "  --dry            only tries\n"
                            "  --a-name-that-is-long VALUE\n"
                            "                   the second column is elsewhere\n"
                            "  --help           this text\n");
    }
}

/* A program that builds its application by its options reads them first, and then all again. */
static void read_first(void **state)
{
    (void)state;
    static char *argv[] = { "prog", "--port", "0", "--dry", "--most", "5", NULL };
    static char *bad[] = { "prog", "--port", NULL };
    const tepal_run_options options = { .arguments = own, .limits.max_fields = 256 };
    dry = false;
    most = 1;
    assert_int_equal(tepal_read_args(6, argv, &options), -1);
    assert_true(dry && most == 5);
    assert_int_equal(tepal_run_args(tepal_app_new(), 6, argv, &options), 1);
    assert_true(dry && most == 5);
    assert_int_equal(tepal_read_args(2, bad, &options), 2);
    assert_int_equal(tepal_read_args(1, bad, NULL), -1);
}

/* Names that no word of a command line could mean, or that would hide another option's. */
static void names_that_are_none(void **state)
{
    static const tepal_argument rows[][3] = {
        { { .name = "port", .flag = &dry }, { 0 } },
        { { .name = "help", .flag = &dry }, { 0 } },
        { { .name = "most", .number = &most }, { .name = "most", .text = &db }, { 0 } },
        { { .name = "--dry", .flag = &dry }, { 0 } },
        { { .name = "", .flag = &dry }, { 0 } },
        { { .name = "a=b", .flag = &dry }, { 0 } },
    };
    static const char *const lines[] = {
        "argument port has the name of an option that every program has",
        "argument help has the name of an option that every program has",
        "argument most is there twice",
        "argument --dry has no name that can be given",
        "argument  has no name that can be given",
        "argument a=b has no name that can be given",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(run_options("", &(tepal_run_options){ .arguments = rows[i] }), 1);
        assert_non_null(strstr(said, lines[i]));
    }
}

/* Who says on the command line where to listen means one place. */
static void one_place(void **state)
{
    (void)state;
    static const tepal_site sites[] = { { .port = 99999 } };
    const tepal_run_options options = { .sites = sites, .n_sites = 1, .limits.max_fields = 256 };
    static const char *const words[] = { "--port=81", "--host=::1", "--path=x" };
    for (size_t i = 0; i < 3; i++) {
        run_options(words[i], &options);
        assert_non_null(strstr(said, "cannot start: max_fields is over"));
    }
    run_options("--no-access-log", &options);
    assert_non_null(strstr(said, "cannot start: site 0: port is not between 1 and 65535: 99999"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_ones),
        cmocka_unit_test(good_ones),
        cmocka_unit_test(help),
        cmocka_unit_test(read_first),
        cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(one_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
