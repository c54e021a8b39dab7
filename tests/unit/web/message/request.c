/* Tests of what a request says of itself. */
#include "../web_check.h"

#include "base/mem.h"
#include "web/message/request.h"

static const char *shown(const char *text)
{
    return text ? text : "(null)";
}

/* The query string q decides what is asked of the request. */
static tepal_res *show(tepal_req *req)
{
    return tepal_textf(req, 200, "%s|%s|%s|%s|HTTP/%d|%s|%s|%s", tepal_req_method(req),
                       tepal_req_target(req), tepal_req_path(req), tepal_req_query_string(req),
                       tepal_req_version(req), tepal_req_scheme(req), shown(tepal_req_host(req)),
                       shown(tepal_req_remote(req)));
}

static tepal_res *show_pattern(tepal_req *req)
{
    return tepal_textf(req, 200, "%s a=%s b=%s c=%s b=%lld none=%lld", tepal_req_pattern(req),
                       shown(tepal_req_match(req, "a")), shown(tepal_req_match(req, "b")),
                       shown(tepal_req_match(req, "c")), (long long)tepal_req_match_int(req, "b"),
                       (long long)tepal_req_match_int(req, "none"));
}

static void the_head(void **state)
{
    (void)state;
    tepal_any(app, "/{p:path}", show);
    start(NULL);
    assert_reply(get("/hello/wo%20rld?x=1&y"), 200,
                 "GET|/hello/wo%20rld?x=1&y|/hello/wo rld|x=1&y|HTTP/11|http|test|127.0.0.1");
    assert_reply(get("/a%2Fb?"), 200, "GET|/a%2Fb?|/a/b||HTTP/11|http|test|127.0.0.1");
    assert_reply(get("/a+b??x"), 200, "GET|/a+b??x|/a+b|?x|HTTP/11|http|test|127.0.0.1");
    assert_reply(ask("brew", "/", NULL, NULL), 200, "brew|/|/||HTTP/11|http|test|127.0.0.1");
    assert_reply(talk("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), 200,
                 "GET|/|/||HTTP/11|http|[::1]:80|127.0.0.1");
    assert_reply(talk("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 200, "GET|/|/||HTTP/11|http||127.0.0.1");
    assert_reply(talk("GET http://there:81/x?y HTTP/1.1\r\nHost: here\r\n\r\n"), 200,
                 "GET|http://there:81/x?y|/x|y|HTTP/11|http|there:81|127.0.0.1");
    assert_reply(talk("GET http://there HTTP/1.1\r\nHost: here\r\n\r\n"), 200,
                 "GET|http://there|/||HTTP/11|http|there|127.0.0.1");
    assert_reply(talk("GET http://there?q HTTP/1.1\r\nHost: here\r\n\r\n"), 200,
                 "GET|http://there?q|/|q|HTTP/11|http|there|127.0.0.1");
    assert_reply(talk("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n"
                      "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"
                      "Forwarded: for=1.2.3.4;host=evil;proto=https\r\n\r\n"),
                 200, "GET|/|/||HTTP/11|http|a|127.0.0.1");
    assert_reply(talk("GET /x HTTP/1.0\r\nHost: old\r\n\r\n"), 200,
                 "GET|/x|/x||HTTP/10|http|old|127.0.0.1");
    assert_reply(talk("GET / HTTP/1.0\r\n\r\n"), 200, "GET|/|/||HTTP/10|http||127.0.0.1");
}

static void bad_targets(void **state)
{
    (void)state;
    tepal_any(app, "/{p:path}", show);
    start(NULL);
    static const char *const targets[] = { "/%00", "/a%00b",  "/?a=%00", "/%",  "/%z1",
                                           "/%2",  "/%0a",    "/%0D",    "/#x", "*",
                                           "a",    "http:/x", "//%00" };
    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        tepal_test_reply *reply = get(targets[i]);
        if (reply->status != 400)
            print_error("%s\n", targets[i]);
        assert_reply(reply, 400, "400 Bad Request\n");
        assert_field(reply, "Connection", "close");
        tepal_test_disconnect(client);
    }
}

static void route_variables(void **state)
{
    (void)state;
    tepal_get(app, "/{a}/{b:int}", show_pattern);
    tepal_get(app, "/{a}.{c}", show_pattern);
    start(NULL);
    assert_reply(get("/x%2Fy/-42"), 200, "/{a}/{b:int} a=x/y b=-42 c=(null) b=-42 none=0");
    assert_reply(get("/x/9223372036854775807"), 200,
                 "/{a}/{b:int} a=x b=9223372036854775807 c=(null) b=9223372036854775807 none=0");
    assert_reply(get("/x/-9223372036854775808"), 200,
                 "/{a}/{b:int} a=x b=-9223372036854775808 c=(null) b=-9223372036854775808 none=0");
    assert_reply(get("/1.2"), 200, "/{a}.{c} a=1 b=(null) c=2 b=0 none=0");
}

/* --- The query -------------------------------------------------------------------------------- */

/* The n-th text of a list, or NULL. */
static const char *nth(const char *const *list, size_t n)
{
    while (n > 0 && *list) {
        list++;
        n--;
    }
    return *list;
}

static tepal_res *show_query(tepal_req *req)
{
    return tepal_textf(req, 200, "%s|%s|%s|%s", shown(tepal_req_query(req, "a")),
                       shown(nth(tepal_req_query_all(req, "a"), 1)),
                       shown(nth(tepal_req_query_all(req, "a"), 2)),
                       shown(tepal_req_query(req, "b c")));
}

static tepal_res *list_query(tepal_req *req)
{
    char text[1024] = "";
    tepal_pair pair;
    size_t at = 0;
    while (tepal_req_each_query(req, &at, &pair))
        sprintf(text + strlen(text), "[%s=%s]", pair.name, pair.value);
    return tepal_text(req, 200, text);
}

static void query(void **state)
{
    (void)state;
    tepal_get(app, "/q", show_query);
    tepal_get(app, "/l", list_query);
    start(NULL);
    static const struct {
        const char *query, *values, *list;
    } rows[] = {
        { "", "(null)|(null)|(null)|(null)", "" },
        { "?", "(null)|(null)|(null)|(null)", "" },
        { "?a", "|(null)|(null)|(null)", "[a=]" },
        { "?a=", "|(null)|(null)|(null)", "[a=]" },
        { "?=a", "(null)|(null)|(null)|(null)", "[=a]" },
        { "?a=1", "1|(null)|(null)|(null)", "[a=1]" },
        { "?a=1&a=2&b=3&a=4", "1|2|4|(null)", "[a=1][a=2][b=3][a=4]" },
        { "?a=1+2%2B3%20%26", "1 2+3 &|(null)|(null)|(null)", "[a=1 2+3 &]" },
        { "?b+c=x&%61=y", "y|(null)|(null)|x", "[b c=x][a=y]" },
        { "?b%20c=x", "(null)|(null)|(null)|x", "[b c=x]" },
        { "?&&a=1&&", "1|(null)|(null)|(null)", "[a=1]" },
        { "?a=b=c", "b=c|(null)|(null)|(null)", "[a=b=c]" },
        { "?a;b=1", "(null)|(null)|(null)|(null)", "[a;b=1]" },
        { "?A=1", "(null)|(null)|(null)|(null)", "[A=1]" },
        { "?a=%C3%A9", "\xc3\xa9|(null)|(null)|(null)", "[a=\xc3\xa9]" },
        { "?a=100%&b+c=%zz%41", "100%|(null)|(null)|%zzA", "[a=100%][b c=%zzA]" },
        { "?a=|^{}`[]\"<>\\", "|^{}`[]\"<>\\|(null)|(null)|(null)", "[a=|^{}`[]\"<>\\]" },
        { "?a=?/:", "?/:|(null)|(null)|(null)", "[a=?/:]" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char target[128];
        sprintf(target, "/q%s", rows[i].query);
        assert_reply(get(target), 200, rows[i].values);
        sprintf(target, "/l%s", rows[i].query);
        assert_reply(get(target), 200, rows[i].list);
    }
}

/* All values of a name in a query of many, and what asking again takes of the request's memory. */
static tepal_res *many_queries(tepal_req *req)
{
    tepal_pair pair;
    size_t n = 0, each = 0, at = 0, numbers = 0;
    for (const char *const *values = tepal_req_query_all(req, "a"); values[n]; n++)
        numbers += atoi(values[n]) == (int)n;
    size_t used = (size_t)(req->arena.end - req->arena.next) + req->arena.used;
    for (int i = 0; i < 100; i++) {
        at = each = 0;
        while (tepal_req_each_query(req, &at, &pair))
            each++;
        tepal_req_query(req, "b");
        tepal_req_query_all(req, "b");
        tepal_req_query_all(req, "none");
        tepal_req_query(req, "none");
    }
    used -= (size_t)(req->arena.end - req->arena.next) + req->arena.used;
    const char *last = tepal_req_query(req, "zz"), *first = tepal_req_query(req, "A");
    return tepal_textf(req, 200, "%zu %zu %zu %s %s %zu", n, numbers, each, shown(first),
                       shown(last), used);
}

static void large_queries(void **state)
{
    (void)state;
    static char target[60000];
    char said[64];
    tepal_get(app, "/", many_queries);
    start(&(tepal_run_options){ .limits.max_request_line = 60000 });
    static const size_t counts[] = { 1, 6, 7, 8, 9, 10, 100, 4000 };
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        char *p = target + sprintf(target, "/?zz=last&");
        for (size_t k = 0; k < counts[i]; k++)
            p += sprintf(p, "%s=%zu&", k % 3 == 0 ? "%61" : "a", k);
        strcpy(p, "A=first&aa=other");
        sprintf(said, "%zu %zu %zu first last 0", counts[i], counts[i], counts[i] + 3);
        assert_reply(get(target), 200, said);
    }
}

static tepal_res *repeated_names(tepal_req *req)
{
    const char *first = tepal_req_query(req, ""), *value = tepal_req_query(req, "x1");
    return tepal_textf(req, 200, "%s %s %s", shown(first), shown(value),
                       shown(nth(tepal_req_query_all(req, "x1"), 1)));
}

/* Pairs without a value, and without a name, among many. */
static void odd_queries(void **state)
{
    (void)state;
    tepal_get(app, "/", repeated_names);
    start(NULL);
    assert_reply(get("/?x1&=e&x2&x3&x4&x5&x6&x7&x8&x1=2&&"), 200, "e  2");
    assert_reply(get("/?x9&x9&x9&x9&x9&x9&x9&x9&x9&x9"), 200, "(null) (null) (null)");
    assert_reply(get("/?=&=&=&=&=&=&=&=&=&x1=y&"), 200, " y (null)");
    assert_reply(get("/?&&&&&&&&&&&&&"), 200, "(null) (null) (null)");
}

/* --- Fields ----------------------------------------------------------------------------------- */

/* A stream that looks at its request at every step must not run out of memory for it. */
static tepal_res *ask_again(tepal_req *req)
{
    const char *accept = tepal_req_header(req, "accept"), *one = tepal_req_cookie(req, "one");
    const char *two = tepal_req_cookie(req, "two");
    tepal_req_content_type(req);
    tepal_req_host(req);
    tepal_req_remote(req);
    tepal_req_path(req);
    size_t used = (size_t)(req->arena.end - req->arena.next) + req->arena.used;
    bool same = true;
    for (int i = 0; i < 1000; i++) {
        same &= accept == tepal_req_header(req, "Accept");
        same &= one == tepal_req_cookie(req, "one") && two == tepal_req_cookie(req, "two");
        same &= tepal_req_cookie(req, "none") == NULL && tepal_req_header(req, "none") == NULL;
        same &= tepal_req_header(req, "X-Twice") == tepal_req_header(req, "x-tWICE");
        tepal_req_content_type(req);
        tepal_req_host(req);
        tepal_req_remote(req);
        tepal_req_path(req);
        if (i == 0) /* x-twice is new */
            used = (size_t)(req->arena.end - req->arena.next) + req->arena.used;
    }
    used -= (size_t)(req->arena.end - req->arena.next) + req->arena.used;
    return tepal_textf(req, 200, "%s|%s|%s|%s|%d|%zu", accept, one, two,
                       tepal_req_header(req, "X-Twice"), same, used);
}

static void asked_again(void **state)
{
    (void)state;
    tepal_get(app, "/", ask_again);
    start(NULL);
    assert_reply(talk("GET / HTTP/1.1\r\nHost: a\r\nAccept: a/b\r\nCookie: one=1\r\n"
                      "X-Twice: x\r\nAccept: c/d\r\nCookie: two=2; one=3\r\nx-twice: y\r\n\r\n"),
                 200, "a/b, c/d|1|2|x, y|1|0");
}

static tepal_res *show_fields(tepal_req *req)
{
    return tepal_textf(req, 200, "%s|%s|%s|%s|%s", shown(tepal_req_header(req, "x-one")),
                       shown(nth(tepal_req_header_all(req, "X-ONE"), 0)),
                       shown(nth(tepal_req_header_all(req, "X-One"), 1)),
                       shown(nth(tepal_req_header_all(req, "X-One"), 2)),
                       shown(tepal_req_header(req, "accept")));
}

static tepal_res *list_fields(tepal_req *req)
{
    char text[1024] = "";
    tepal_pair pair;
    size_t at = 0;
    while (tepal_req_each_header(req, &at, &pair))
        sprintf(text + strlen(text), "[%s: %s]", pair.name, pair.value);
    return tepal_text(req, 200, text);
}

static void fields(void **state)
{
    (void)state;
    tepal_get(app, "/", show_fields);
    tepal_get(app, "/list", list_fields);
    start(NULL);
    assert_reply(get("/"), 200, "(null)|(null)|(null)|(null)|(null)");
    assert_reply(talk("GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n"), 200,
                 "1|1|(null)|(null)|(null)");
    assert_reply(talk("GET / HTTP/1.1\r\nx-one: 1\r\nHost: a\r\nX-ONE:2, 3\t \r\nX-one:\r\n"
                      "X-On: no\r\nX-One1: no\r\nAccept: a\r\nACCEPT: b\r\n\r\n"),
                 200, "1, 2, 3, |1|2, 3||a, b");
    assert_reply(talk("GET /list HTTP/1.1\r\nhOsT: a\r\nX-A:  b  c \r\nX-\xff: d\r\n\r\n"), 400,
                 NULL);
    tepal_test_disconnect(client);
    assert_reply(talk("GET /list HTTP/1.1\r\nhOsT: a\r\nX-A:  b  c \r\nX-B: \xff\r\nx-a:\r\n\r\n"),
                 200, "[hOsT: a][X-A: b  c][X-B: \xff][x-a: ]");
}

static tepal_res *show_cookies(tepal_req *req)
{
    return tepal_textf(req, 200, "%s|%s|%s", shown(tepal_req_cookie(req, "a")),
                       shown(tepal_req_cookie(req, "A")), shown(tepal_req_cookie(req, "path")));
}

static void cookies(void **state)
{
    (void)state;
    tepal_get(app, "/", show_cookies);
    start(NULL);
    static const struct {
        const char *fields, *values;
    } rows[] = {
        { "", "(null)|(null)|(null)" },
        { "Cookie: a=1\r\n", "1|(null)|(null)" },
        { "Cookie: A=1; a=2; a=3\r\n", "2|1|(null)" },
        { "Cookie: a=1\r\nCookie: A=2\r\n", "1|2|(null)" },
        { "Cookie: b=1; a=\"q\"; path=/x\r\n", "q|(null)|/x" },
        { "Cookie: (bad)=x; broken; a=1=2\r\n", "1=2|(null)|(null)" },
        { "Cookie: a=\r\n", "|(null)|(null)" },
        { "Cookie: aa=1; a =2\r\n", "(null)|(null)|(null)" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char request[256];
        sprintf(request, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].fields);
        tepal_test_reply *reply = talk(request);
        if (strcmp(reply->body.data, rows[i].values) != 0)
            print_error("%s\n", rows[i].fields);
        assert_reply(reply, 200, rows[i].values);
    }
}

static tepal_res *list_cookies(tepal_req *req)
{
    char text[1024] = "";
    tepal_pair pair;
    size_t at = 0;
    while (tepal_req_each_cookie(req, &at, &pair))
        sprintf(text + strlen(text), "[%s=%s]", pair.name, pair.value);
    return tepal_text(req, 200, text);
}

static void all_cookies(void **state)
{
    (void)state;
    tepal_get(app, "/", list_cookies);
    start(NULL);
    assert_reply(get("/"), 200, "");
    assert_reply(talk("GET / HTTP/1.1\r\nHost: a\r\nCookie: ;;broken\r\n\r\n"), 200, "");
    assert_reply(talk("GET / HTTP/1.1\r\nHost: a\r\nCookie: b=\"q\"; (bad)=x; a=\r\n"
                      "Cookie: b=2;c=3\r\n\r\n"),
                 200, "[b=q][a=][b=2][c=3]");
}

/* Lists of what is not there are empty, and what is asked for again takes no more memory. */
static tepal_res *list_again(tepal_req *req)
{
    const char *const *one = tepal_req_header_all(req, "x-one");
    tepal_pair pair;
    size_t n = 0, used = 0, at;
    for (int i = 0; i < 100; i++) {
        n += tepal_req_header_all(req, "X-One") == one;
        n += tepal_req_header_all(req, "X-None")[0] == NULL;
        n += tepal_req_query_all(req, "none")[0] == NULL;
        for (at = 0; tepal_req_each_cookie(req, &at, &pair);)
            n += tepal_req_cookie(req, pair.name) == pair.value;
        if (i == 0)
            used = (size_t)(req->arena.end - req->arena.next) + req->arena.used;
    }
    used -= (size_t)(req->arena.end - req->arena.next) + req->arena.used;
    return tepal_textf(req, 200, "%s %s %s %zu %zu", shown(one[0]), shown(one[0] ? one[1] : NULL),
                       shown(tepal_req_header(req, "X-One")), n, used);
}

static void lists_again(void **state)
{
    (void)state;
    tepal_get(app, "/", list_again);
    start(NULL);
    assert_reply(get("/"), 200, "(null) (null) (null) 300 0");
    assert_reply(talk("GET /?a=1 HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX-One: 2\r\n"
                      "Cookie: a=1; b=2\r\n\r\n"),
                 200, "1 2 1, 2 500 0");
}

static tepal_res *show_type(tepal_req *req)
{
    if (tepal_req_header(req, "Transfer-Encoding"))
        assert_true(tepal_req_content_length(req) == TEPAL_UNKNOWN);
    return tepal_textf(req, 200, "%s %lld", tepal_req_content_type(req),
                       (long long)tepal_req_content_length(req));
}

static void content_type_and_length(void **state)
{
    (void)state;
    tepal_any(app, "/", show_type);
    start(NULL);
    static const struct {
        const char *fields, *shown;
    } rows[] = {
        { "", "application/octet-stream 0" },
        { "Content-Length: 0\r\n", "application/octet-stream 0" },
        { "Content-Type: TEXT/Html; Charset=UTF-8\r\n", "text/html 0" },
        { "Content-Type: application/ld+json\r\n", "application/ld+json 0" },
        { "Content-Type: text/plain;\r\n", "text/plain 0" },
        { "Content-Type: text/plain \t ; x\r\n", "text/plain 0" },
        { "Content-Type: text/plain charset=x\r\n", "application/octet-stream 0" },
        { "Content-Type:\r\n", "application/octet-stream 0" },
        { "Content-Type: text\r\n", "application/octet-stream 0" },
        { "Content-Type: text/\r\n", "application/octet-stream 0" },
        { "Content-Type: /plain\r\n", "application/octet-stream 0" },
        { "Content-Type: a/b/c\r\n", "application/octet-stream 0" },
        { "Content-Type: ; charset=x\r\n", "application/octet-stream 0" },
        { "Content-Type: text/plain, text/html\r\n", "application/octet-stream 0" },
        { "Content-Type: te\xfft/plain\r\n", "application/octet-stream 0" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char request[256];
        sprintf(request, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].fields);
        tepal_test_reply *reply = talk(request);
        if (strcmp(reply->body.data, rows[i].shown) != 0)
            print_error("%s\n", rows[i].fields);
        assert_reply(reply, 200, rows[i].shown);
    }
    assert_reply(ask("POST", "/", NULL, "12345"), 200, "application/octet-stream 5");
    say("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_reply(hear("POST"), 200, "application/octet-stream -1");
}

/* --- What lives with the request -------------------------------------------------------------- */

static char story[256];

static void tell(void *arg)
{
    strcat(story, arg);
}

static int tell_at_end(void *arg)
{
    int rc = tepal_sleep_ms(TEPAL_NEVER);
    strcat(story, rc == -ECANCELED ? arg : "?");
    return 0;
}

static tepal_res *use_memory(tepal_req *req)
{
    char *text = tepal_req_strdup(req, "copy");
    char *formatted = tepal_req_printf(req, "%s %d", text, 7);
    char *big = tepal_req_alloc(req, 100000);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(big[i], 0);
    memset(big, 'x', 100000);
    tepal_req_defer(req, tell, "1");
    tepal_req_defer(req, tell, "2");
    tepal_group *group = tepal_req_group(req);
    assert_ptr_equal(group, tepal_req_group(req));
    tepal_spawn(group, tell_at_end, "task ", NULL);
    tepal_sleep_ms(10);
    strcat(story, "handler ");
    return tepal_text(req, 200, formatted);
}

static tepal_res *after_group(tepal_req *req, tepal_next *next)
{
    tepal_res *res = tepal_next_call(next, req);
    strcat(story, "middleware ");
    return res;
}

static void lifetimes(void **state)
{
    (void)state;
    story[0] = '\0';
    tepal_use(app, after_group, NULL);
    tepal_get(app, "/", use_memory);
    start(NULL);
    assert_reply(get("/"), 200, "copy 7");
    assert_string_equal(story, "handler middleware task 21");
}

/* The memory of requests is used again: it has no octets of the one before. */
static tepal_res *dirty_memory(tepal_req *req)
{
    char *small = tepal_req_alloc(req, 5000);
    size_t n = 0;
    for (size_t i = 0; i < 5000; i++)
        n += small[i] != 0;
    memset(small, 'x', 5000);
    return tepal_textf(req, 200, "%zu", n);
}

static void zeroed_memory(void **state)
{
    (void)state;
    tepal_get(app, "/", dirty_memory);
    start(NULL);
    for (int i = 0; i < 3; i++)
        assert_reply(get("/"), 200, "0");
}

static tepal_res *use_too_much(tepal_req *req)
{
    const char *what = tepal_req_query(req, "what");
    size_t size = (size_t)tepal_req_match_int(req, "size");
    void *p = NULL;
    if (strcmp(what, "alloc") == 0)
        p = tepal_req_alloc(req, size);
    else if (strcmp(what, "printf") == 0)
        p = tepal_req_printf(req, "%*s", (int)size, "");
    else if (strcmp(what, "text") == 0)
        return tepal_textf(req, 200, "%*s", (int)size, "");
    else if (strcmp(what, "many") == 0)
        while (size-- > 0)
            p = tepal_req_alloc(req, 1000);
    return p ? ok(req) : NULL;
}

static void memory_limit(void **state)
{
    (void)state;
    static const char *const whats[] = { "alloc", "printf", "text" };
    tepal_get(app, "/{size:int}", use_too_much);
    start(&(tepal_run_options){ .limits.max_request_memory = 256 * 1024 });
    for (size_t i = 0; i < 3; i++) {
        char target[64];
        sprintf(target, "/200000?what=%s", whats[i]);
        assert_reply(get(target), 200, NULL);
        sprintf(target, "/262144?what=%s", whats[i]);
        assert_reply(get(target), 413, NULL);
        sprintf(target, "/1000000?what=%s", whats[i]);
        assert_reply(get(target), 413, NULL);
    }
    assert_reply(get("/200?what=many"), 200, NULL);
    assert_reply(get("/300?what=many"), 413, NULL);
}

static tepal_res *defer_late(tepal_req *req)
{
    while (tepal_req_alloc(req, 16))
        continue;
    int rc = tepal_req_defer(req, tell, "called");
    return tepal_text(req, 200, tepal_code_name(rc)) ? NULL : NULL;
}

static void deferring_without_memory(void **state)
{
    (void)state;
    story[0] = '\0';
    tepal_get(app, "/", defer_late);
    start(&(tepal_run_options){ .limits.max_request_memory = 64 * 1024 });
    assert_true(get("/")->status >= 413);
    assert_string_equal(story, "called");
}

static tepal_res *show_error(tepal_req *req)
{
    tepal_req_text(req);
    int first = tepal_req_error(req);
    tepal_req_json(req);
    return tepal_textf(req, 200, "%s %s", tepal_code_name(first),
                       tepal_code_name(tepal_req_error(req)));
}

static void causes(void **state)
{
    (void)state;
    tepal_post(app, "/", show_error);
    start(NULL);
    assert_reply(ask("POST", "/", NULL, "\xff"), 200, "TEPAL_ECHARSET TEPAL_EJSON");
    assert_reply(ask("POST", "/", NULL, "{"), 200, "0 TEPAL_EJSON");
    assert_reply(ask("POST", "/", NULL, "{}"), 200, "0 0");
}

/* --- Seen from outside ------------------------------------------------------------------------ */

static char dumped[8192];

static void note_line(const char *line, void *arg)
{
    (void)arg;
    size_t len = strlen(dumped);
    snprintf(dumped + len, sizeof(dumped) - len, "%s\n", line);
}

static tepal_res *dump(tepal_req *req)
{
    dumped[0] = '\0';
    tepal_dump_tasks(note_line, NULL);
    return tepal_text(req, 200, "dumped");
}

static void says_what_it_is_at(void **state)
{
    (void)state;
    tepal_any(app, "/{rest:path}", dump);
    start(NULL);
    assert_reply(get("/todos/7?x=1"), 200, "dumped");
    assert_non_null(strstr(dumped, " \"/{rest:path}\" (GET /todos/7?x=1 from 127.0.0.1): "
                                   "running, "));
    assert_reply(ask("PATCH", "/b", NULL, "x"), 200,
                 "dumped"); /* the next one on that connection */
    assert_non_null(strstr(dumped, " \"/{rest:path}\" (PATCH /b from 127.0.0.1): "));
    assert_null(strstr(dumped, "todos"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(the_head),        WEB_TEST(bad_targets),
        WEB_TEST(route_variables), WEB_TEST(query),
        WEB_TEST(large_queries),   WEB_TEST(odd_queries),
        WEB_TEST(asked_again),     WEB_TEST(fields),
        WEB_TEST(cookies),         WEB_TEST(all_cookies),
        WEB_TEST(lists_again),     WEB_TEST(content_type_and_length),
        WEB_TEST(lifetimes),       WEB_TEST(memory_limit),
        WEB_TEST(zeroed_memory),   WEB_TEST(deferring_without_memory),
        WEB_TEST(causes),          WEB_TEST(says_what_it_is_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
