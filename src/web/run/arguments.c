/* The command line of tepal_run_args(): options, and words for what is wrong with them. */
#include "base/log.h"
#include "web/app/application.h"
#include "web/server/options_check.h"

#include <tepal/run.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of an option's name that is compared with another. */
enum { NAME_MAX_LEN = 40 };

/* An option that every program has. */
struct option {
    const char *name, *value, *help; /* no value: NULL */
    int (*set)(tepal_run_options *options, const char *value, const char **why);
};

/* Who says where to listen means one place. */
static void take_one_place(tepal_run_options *options)
{
    options->sites = NULL;
    options->n_sites = 0;
}

static int set_host(tepal_run_options *options, const char *value, const char **why)
{
    (void)why;
    options->host = value;
    take_one_place(options);
    return 0;
}

static int set_port(tepal_run_options *options, const char *value, const char **why)
{
    char *end;
    *why = ": not a port, which is a number from 1 to 65535, or 0 for one that is free";
    errno = 0;
    long port = strtol(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || errno != 0 || port > 65535)
        return -EINVAL;
    options->port = port == 0 ? TEPAL_ANY_PORT : (int)port;
    take_one_place(options);
    return 0;
}

static int set_path(tepal_run_options *options, const char *value, const char **why)
{
    (void)why;
    options->path = value;
    take_one_place(options);
    return 0;
}

static int set_no_access_log(tepal_run_options *options, const char *value, const char **why)
{
    (void)value;
    (void)why;
    options->access_log.off = true;
    return 0;
}

static const struct option known[] = {
    { "host", "HOST", "address or name to listen on", set_host },
    { "port", "PORT", "port to listen on; 0: one that is free", set_port },
    { "path", "SOCKET", "Unix socket to listen on instead", set_path },
    { "no-access-log", NULL, "no line for each request", set_no_access_log },
    { "help", NULL, "this text", NULL },
};

enum { N_KNOWN = sizeof(known) / sizeof(*known) };

/* --- Words ------------------------------------------------------------------------------------ */

static const char *base_name(const char *program)
{
    const char *slash = strrchr(program, '/');
    return slash && slash[1] ? slash + 1 : program;
}

static void print_option(const char *name, const char *value, const char *help, const char *more)
{
    enum { COLUMN = 19 };
    char text[128];
    int n = snprintf(text, sizeof(text), "  --%s%s%s", name, value ? " " : "", value ? value : "");
    if (n + 1 < COLUMN)
        printf("%-*s%s%s\n", COLUMN, text, help, more);
    else
        printf("%s\n%-*s%s%s\n", text, COLUMN, "", help, more);
}

/* An option of the program's own, and its default. */
static void print_argument(const tepal_argument *a)
{
    char more[300] = "";
    if (a->text && *a->text)
        snprintf(more, sizeof(more), " (default: %s)", *a->text);
    else if (a->number)
        snprintf(more, sizeof(more), " (default: %" PRId64 ")", *a->number);
    print_option(a->name,
                 a->flag     ? NULL
                 : a->number ? "NUMBER"
                             : "VALUE",
                 a->help ? a->help : "", more);
}

static void print_help(const char *program, const tepal_run_options *options)
{
    printf("usage: %s [OPTION]...\n", base_name(program));
    for (size_t i = 0; i < N_KNOWN - 1; i++) {
        char more[300] = "";
        if (known[i].set == set_host)
            snprintf(more, sizeof(more), " (default: %s)",
                     options->host ? options->host : "all addresses");
        else if (known[i].set == set_port && options->port == TEPAL_ANY_PORT)
            snprintf(more, sizeof(more), " (default: 0)");
        else if (known[i].set == set_port)
            snprintf(more, sizeof(more), " (default: %d)", options->port ? options->port : 8080);
        print_option(known[i].name, known[i].value, known[i].help, more);
    }
    for (const tepal_argument *a = options->arguments; a && a->name; a++)
        print_argument(a);
    print_option(known[N_KNOWN - 1].name, NULL, known[N_KNOWN - 1].help, "");
}

/* How many letters have to be added, taken away or replaced to make one name of the other. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_LEN + 1], len = strlen(b);
    if (strlen(a) > NAME_MAX_LEN || len > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < len; j++) {
            size_t other = row[j] < row[j + 1] ? row[j] + 1 : row[j + 1] + 1;
            size_t same = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = same < other ? same : other;
        }
    }
    return row[len];
}

/* What the best guess so far has, and whether name is a better one. */
static void guess(const char *word, const char *name, const char **best, size_t *least)
{
    size_t n = *word && strncmp(name, word, strlen(word)) == 0 ? 0 : distance(word, name);
    if (n < *least && n < strlen(name)) {
        *least = n;
        *best = name;
    }
}

/* The option that may have been meant, or NULL. word: without its dashes. */
static const char *nearest(const tepal_argument *arguments, const char *word)
{
    enum { TOO_FAR = 3 };
    const char *best = NULL;
    size_t least = TOO_FAR;
    for (size_t i = 0; i < N_KNOWN; i++)
        guess(word, known[i].name, &best, &least);
    for (; arguments && arguments->name; arguments++)
        guess(word, arguments->name, &best, &least);
    return best;
}

/* One line that names the word. Always returns -EINVAL. */
static int complain(const char *program, const char *before, const char *word, const char *after)
{
    char text[200];
    const char *name = base_name(program);
    log_escape(text, sizeof(text), word, strlen(word));
    fprintf(stderr, "%s: %s%s%s (see %s --help)\n", name, before, text, after, name);
    return -EINVAL;
}

/* All that there are, since none is near. */
static void list_options(char *out, size_t size, const tepal_argument *arguments)
{
    size_t n = (size_t)snprintf(out, size, ": there are");
    for (size_t i = 0; i < N_KNOWN && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, " --%s%s", known[i].name,
                              i + 1 < N_KNOWN || (arguments && arguments->name) ? "," : "");
    for (; arguments && arguments->name && n < size; arguments++)
        n += (size_t)snprintf(out + n, size - n, " --%s%s", arguments->name,
                              arguments[1].name ? "," : "");
}

static int complain_unknown(const char *program, const char *word, const tepal_run_options *options)
{
    char text[500], name[NAME_MAX_LEN + 4];
    size_t dashes = strspn(word, "-"), len = strcspn(word + dashes, "=");
    if (dashes == 0)
        return complain(program, "unexpected argument ", word, ": there are only options");
    snprintf(name, sizeof(name), "%.*s", (int)(len < sizeof(name) ? len : sizeof(name) - 1),
             word + dashes);
    const char *meant = nearest(options->arguments, name);
    if (meant)
        snprintf(text, sizeof(text), ": is --%s meant?", meant);
    else
        list_options(text, sizeof(text), options->arguments);
    return complain(program, "unknown option ", word, text);
}

/* --- Taking them ------------------------------------------------------------------------------ */

/* The command line as it is being read. */
struct reader {
    const char *program;
    tepal_run_options *options;
    int argc, at;
    char **argv;
};

/* The option that the word names: one that every program has, or one of its own, or neither.
 * Returns whether there is one. */
static bool find(const struct reader *r, const char *word, const struct option **option,
                 const tepal_argument **argument)
{
    size_t len = strcspn(word, "=");
    *option = NULL;
    *argument = NULL;
    if (word[0] != '-' || word[1] != '-')
        return false;
    word += 2;
    len -= 2;
    for (size_t i = 0; i < N_KNOWN; i++)
        if (strlen(known[i].name) == len && memcmp(known[i].name, word, len) == 0)
            *option = &known[i];
    for (const tepal_argument *a = r->options->arguments; !*option && a && a->name; a++)
        if (strlen(a->name) == len && memcmp(a->name, word, len) == 0)
            *argument = a;
    return *option || *argument;
}

/* The value of the option at the reader's place: behind "=", or the next word, unless that is an
 * option itself. */
static const char *take_value(struct reader *r)
{
    const struct option *option;
    const tepal_argument *argument;
    const char *equals = strchr(r->argv[r->at], '=');
    if (equals)
        return equals + 1;
    if (r->at + 1 == r->argc || find(r, r->argv[r->at + 1], &option, &argument))
        return NULL;
    return r->argv[++r->at];
}

/* Says what is wrong with the value of an option. */
static int complain_value(const struct reader *r, const char *name, const char *value,
                          const char *why)
{
    char before[NAME_MAX_LEN + 8];
    snprintf(before, sizeof(before), "--%.*s ", NAME_MAX_LEN, name);
    return complain(r->program, before, value, why);
}

static int set_number(const struct reader *r, const tepal_argument *argument, const char *value)
{
    const char *digits = value + (*value == '-');
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (*digits < '0' || *digits > '9' || *end != '\0')
        return complain_value(r, argument->name, value, ": not a number");
    if (errno != 0)
        return complain_value(r, argument->name, value, ": no number is that large");
    *argument->number = number;
    return 0;
}

/* Takes an option of the program's own. */
static int take_argument(struct reader *r, const tepal_argument *argument)
{
    const char *word = r->argv[r->at];
    if (argument->flag) {
        if (strchr(word, '='))
            return complain(r->program, "", word, ": this option has no value");
        *argument->flag = true;
        return 0;
    }
    const char *value = take_value(r);
    if (!value || (argument->number && !*value))
        return complain(r->program, "", word, " needs a value");
    if (argument->number)
        return set_number(r, argument, value);
    *argument->text = value;
    return 0;
}

/* Takes the option at the reader's place, and its value. Returns 0, or -EINVAL, which has been
 * told. */
static int take_option(struct reader *r)
{
    const char *word = r->argv[r->at], *why = "";
    const struct option *option;
    const tepal_argument *argument;
    if (!find(r, word, &option, &argument))
        return complain_unknown(r->program, word, r->options);
    if (argument)
        return take_argument(r, argument);
    if (!option->value)
        return strchr(word, '=') ? complain(r->program, "", word, ": this option has no value")
                                 : option->set(r->options, NULL, &why);
    const char *value = take_value(r);
    if (!value || !*value)
        return complain(r->program, "", word, " needs a value");
    if (option->set(r->options, value, &why) == 0)
        return 0;
    return complain_value(r, option->name, value, why);
}

static bool wants_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Returns -1 to go on, or the exit status. */
static int read_all(struct reader *r)
{
    const tepal_run_options given = *r->options;
    for (r->at = 1; r->at < r->argc; r->at++) {
        const char *word = r->argv[r->at];
        if (wants_help(word)) {
            print_help(r->program, &given);
            return 0;
        }
        if (strcmp(word, "--") == 0) {
            if (r->at + 1 == r->argc)
                return -1;
            complain(r->program, "unexpected argument ", r->argv[r->at + 1],
                     ": there are only options");
            return 2;
        }
        if (take_option(r) < 0)
            return 2;
    }
    return -1;
}

/* What is wrong with the call itself; NULL: nothing. */
static const char *fault_of_call(int argc, char **argv, const tepal_argument *arguments)
{
    if (argc > 0 && !argv)
        return "argv is NULL";
    for (int i = 0; i < argc; i++)
        if (!argv[i])
            return "one of the words of argv is NULL";
    for (; arguments && arguments->name; arguments++)
        if (!arguments->text && !arguments->number && !arguments->flag)
            return "one of the arguments has no place for its value";
    return NULL;
}

/* What is wrong with the name of one of the arguments; NULL: nothing. */
static const char *fault_of_name(const tepal_argument *first, const tepal_argument *argument)
{
    if (*argument->name == '\0' || *argument->name == '-' || strchr(argument->name, '='))
        return "has no name that can be given: without dashes before it, and without '='";
    for (size_t i = 0; i < N_KNOWN; i++)
        if (strcmp(known[i].name, argument->name) == 0)
            return "has the name of an option that every program has";
    for (; first != argument; first++)
        if (strcmp(first->name, argument->name) == 0)
            return "is there twice";
    return NULL;
}

static int check_names(const tepal_argument *arguments, char *why, size_t size)
{
    for (const tepal_argument *a = arguments; a && a->name; a++) {
        const char *fault = fault_of_name(arguments, a);
        if (!fault)
            continue;
        snprintf(why, size, "argument %.40s %s", a->name, fault);
        return -EINVAL;
    }
    return 0;
}

/* Reads the command line into all, which begins as the options are. Returns -1 to go on, or the
 * exit status. */
static int read_into(tepal_run_options *all, int argc, char **argv,
                     const tepal_run_options *options)
{
    char why[160];
    *all = options ? *options : (tepal_run_options){ 0 };
    const char *fault = fault_of_call(argc, argv, all->arguments);
    if (fault) {
        tepal_logf(TEPAL_LOG_ERROR, "cannot start: tepal_run_args: %s", fault);
        return 1;
    }
    struct reader reader = {
        .program = argc > 0 ? argv[0] : "program", .options = all, .argc = argc, .argv = argv
    };
    if (options_check(options, why, sizeof(why)) == 0 &&
        check_names(all->arguments, why, sizeof(why)) == 0)
        return read_all(&reader);
    tepal_logf(TEPAL_LOG_ERROR, "cannot start: %s", why);
    return 1;
}

int tepal_read_args(int argc, char **argv, const tepal_run_options *options)
{
    tepal_run_options all;
    return read_into(&all, argc, argv, options);
}

int tepal_run_args(tepal_app *app, int argc, char **argv, const tepal_run_options *options)
{
    tepal_run_options all;
    int status = read_into(&all, argc, argv, options);
    if (status < 0)
        return tepal_run(app, &all);
    app_close_given(app);
    return status;
}
