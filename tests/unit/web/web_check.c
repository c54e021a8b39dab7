/* The words of web_check.h. */
#include "web_check.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

tepal_app *app;
tepal_test *client;

static char log_text[64 * 1024];
static size_t log_len;

static void keep_line(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    (void)level;
    size_t room = sizeof(log_text) - log_len;
    int n = snprintf(log_text + log_len, room, "%s\n", text);
    log_len += (size_t)n < room ? (size_t)n : room - 1;
}

const char *logged(void)
{
    return log_text;
}

void log_forget(void)
{
    log_len = 0;
    log_text[0] = '\0';
}

int web_setup(void **state)
{
    (void)state;
    tepal_log_set_fn(keep_line, NULL);
    log_forget();
    app = tepal_app_new();
    return app ? 0 : -1;
}

int web_teardown(void **state)
{
    (void)state;
    tepal_test_close(client);
    client = NULL;
    tepal_app_close(app);
    app = NULL;
    tepal_log_set_fn(NULL, NULL);
    return 0;
}

void start(const tepal_run_options *options)
{
    client = tepal_test_new(app, &(tepal_test_options){ .run = options });
    if (!client)
        print_error("%s", log_text);
    assert_non_null(client);
}

void again(void)
{
    web_teardown(NULL);
    assert_int_equal(web_setup(NULL), 0);
}

void assert_refused(const tepal_run_options *options, const char *text)
{
    client = tepal_test_new(app, &(tepal_test_options){ .run = options });
    assert_null(client);
    if (!strstr(log_text, text))
        fail_msg("\"%s\" is not in the log: %s", text, log_text);
    log_forget();
}

tepal_test_reply *ask(const char *method, const char *target, const char *header, const char *body)
{
    char name[200] = "";
    tepal_pair headers[3] = { { "Content-Type", NULL } }; /* none but a given one */
    tepal_fetch_options options = { .method = method, .headers = headers, .text = body };
    if (header) {
        size_t len = strcspn(header, ":");
        assert_true(header[len] == ':' && len < sizeof(name));
        memcpy(name, header, len);
        headers[1].name = name;
        headers[1].value = header + len + 1 + strspn(header + len + 1, " ");
    }
    tepal_test_reply *reply = tepal_test_send(client, target, &options);
    assert_non_null(reply);
    return reply;
}

tepal_test_reply *get(const char *target)
{
    return ask("GET", target, NULL, NULL);
}

void say_octets(const char *data, size_t len)
{
    assert_int_equal(tepal_test_write(client, data, len), 0);
}

void say(const char *text)
{
    say_octets(text, strlen(text));
}

tepal_test_reply *hear(const char *method)
{
    tepal_test_reply *reply = tepal_test_receive(client, method);
    assert_non_null(reply);
    return reply;
}

tepal_test_reply *talk(const char *text)
{
    say(text);
    return hear("GET");
}

/* Takes the line that begins with name out of the text. */
static void cut_line(char *text, const char *name)
{
    char *at = strstr(text, name), *end = at ? strstr(at, "\r\n") : NULL;
    if (end)
        memmove(at, end + 2, strlen(end + 2) + 1);
}

const char *wire(const tepal_test_reply *reply)
{
    static char text[64 * 1024];
    assert_true(reply->raw.len < sizeof(text));
    memcpy(text, reply->raw.data, reply->raw.len);
    text[reply->raw.len] = '\0';
    cut_line(text, "Date: ");
    cut_line(text, "Server: tepal");
    return text;
}

void assert_reply(const tepal_test_reply *reply, int status, const char *body)
{
    if (reply->status != status)
        print_error("%.*s\n%s", (int)reply->raw.len, reply->raw.data, log_text);
    assert_int_equal(reply->status, status);
    if (body)
        assert_string_equal(reply->body.data, body);
}

void assert_field(const tepal_test_reply *reply, const char *name, const char *value)
{
    const char *found = tepal_test_header(reply, name);
    if (!value) {
        assert_null(found);
        return;
    }
    if (!found)
        print_error("no %s in %s", name, reply->raw.data);
    assert_non_null(found);
    assert_string_equal(found, value);
}

void assert_gone(void)
{
    tepal_test_reply *reply = hear("GET");
    assert_int_equal(reply->status, 0);
    assert_int_equal(reply->raw.len, 0);
}

void assert_misuse(void (*fn)(void *arg), void *arg, const char *text)
{
    int err[2], status;
    char said[1024];
    assert_int_equal(pipe(err), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(err[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        fn(arg);
        _exit(0);
    }
    close(err[1]);
    size_t len = 0;
    ssize_t n;
    while ((n = read(err[0], said + len, sizeof(said) - 1 - len)) > 0)
        len += (size_t)n;
    said[len] = '\0';
    close(err[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    if (!strstr(said, text))
        fail_msg("\"%s\" is not in: %s", text, said);
}

tepal_res *lent(tepal_req *req, const void *data, size_t len)
{
    tepal_res *res = tepal_data(req, 200, "text/plain", NULL, 0);
    return tepal_res_lend_body(res, data, len, NULL, NULL) == 0 ? res : NULL;
}

tepal_res *ok(tepal_req *req)
{
    return tepal_text(req, 200, "ok");
}

char *octets(size_t len)
{
    char *data = malloc(len + 1);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)('a' + i % 23);
    data[len] = '\0';
    return data;
}
