/* Tests of HTML by a format: what its conversions print is text, and never markup. */
#include "../web_check.h"

#include <errno.h>
#include <locale.h>
#include <wchar.h>

/* The markup that a handler makes in this test. */
static tepal_res *(*make)(tepal_req *req);
static tepal_res *call_make(tepal_req *req)
{
    return make(req);
}

static void expect(tepal_res *(*handler)(tepal_req *req), const char *markup)
{
    make = handler;
    assert_reply(get("/"), 200, markup);
}

/* A 500, and why. */
static void expect_mistake(tepal_res *(*handler)(tepal_req *req), const char *says)
{
    make = handler;
    log_forget();
    assert_reply(get("/"), 500, NULL);
    if (!strstr(logged(), says))
        fail_msg("\"%s\" is not in the log: %s", says, logged());
}

static void begin(void)
{
    tepal_get(app, "/", call_make);
    start(NULL);
}

/* --- What is escaped -------------------------------------------------------------------------- */

static tepal_res *five_octets(tepal_req *req)
{
    return tepal_htmlf(req, 200, "<p title=\"%s\">'%s' & %s</p>", "&<>\"'", "a<b>c", "");
}
static tepal_res *no_conversions(tepal_req *req)
{
    return tepal_htmlf(req, 200, "<b>&amp;\"'%%</b>");
}
static tepal_res *empty(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%s", "");
}
static tepal_res *characters(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%c%c%3c|%-3c|", '<', 'x', '&', '>');
}
static tepal_res *widths(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%4s|%-4s|%.2s|%*s|%-*.*s|", "<", "<", "<<<", 3, ">", 4, 1, "\"x");
}
static tepal_res *numbers(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%d %5.2f %#x %ld %llu %zu %hhd %Lg %e %s %td %jd", -1, 1.5, 255u,
                       2L, 3ULL, (size_t)4, (signed char)5, 6.5L, 1e10, "<", (ptrdiff_t)7,
                       (intmax_t)8);
}
static tepal_res *wide_text(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%ls %lc %S %C", L"<a>", (wint_t)L'&', L"'", (wint_t)L'x');
}
static tepal_res *error_text(tepal_req *req)
{
    errno = ENOENT;
    return tepal_htmlf(req, 200, "%s %m, %m", "<");
}
static tepal_res *other_alphabets(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%s", "\xc3\xa9<\xe2\x82\xac");
}

static void escapes(void **state)
{
    (void)state;
    begin();
    expect(five_octets, "<p title=\"&amp;&lt;&gt;&quot;&#39;\">'a&lt;b&gt;c' & </p>");
    expect(no_conversions, "<b>&amp;\"'%</b>");
    expect(empty, "");
    expect(characters, "&lt;x  &amp;|&gt;  |");
    expect(widths, "   &lt;|&lt;   |&lt;&lt;|  &gt;|&quot;   |");
    expect(numbers, "-1  1.50 0xff 2 3 4 5 6.5 1.000000e+10 &lt; 7 8");
    expect(wide_text, "&lt;a&gt; &amp; &#39; x");
    expect(error_text, "&lt; No such file or directory, No such file or directory");
    expect(other_alphabets, "\xc3\xa9&lt;\xe2\x82\xac");
}

/* In a page for an error, which is made of such a format, it is escaped once. */
static tepal_res *error_page(tepal_req *req)
{
    return tepal_errorf(req, 404, "<%s>", "a&b");
}

static void error_pages(void **state)
{
    (void)state;
    tepal_app_set_error_pages(app, "text/html");
    tepal_get(app, "/", error_page);
    start(NULL);
    tepal_test_reply *reply = get("/");
    assert_int_equal(reply->status, 404);
    assert_non_null(strstr(reply->body.data, "<p>&lt;a&amp;b&gt;</p>"));
}

static tepal_res *with_nul(tepal_req *req)
{
    return tepal_htmlf(req, 200, "<i>%c%s", '\0', "<");
}

static void octet_zero(void **state)
{
    (void)state;
    begin();
    make = with_nul;
    tepal_test_reply *reply = get("/");
    assert_int_equal(reply->body.len, 8);
    assert_memory_equal(reply->body.data, "<i>\0&lt;", 8);
}

/* --- NULL, and mistakes ----------------------------------------------------------------------- */

static const char *nothing(tepal_req *req)
{
    return tepal_req_query(req, "none");
}
static tepal_res *null_texts(tepal_req *req)
{
    return tepal_htmlf(req, 200, "<%s|%5s|%-*.*s|%ls|%s>", nothing(req), nothing(req), 7, 3,
                       nothing(req), (const wchar_t *)(const void *)nothing(req), "a");
}
static tepal_res *null_of_failure(tepal_req *req)
{
    return tepal_htmlf(req, 200, "<p>%s</p>", tepal_req_text(req));
}
static tepal_res *wide_null_of_failure(tepal_req *req)
{
    return tepal_htmlf(req, 200, "<p>%5s</p>", tepal_req_text(req));
}

static void nulls(void **state)
{
    (void)state;
    tepal_post(app, "/", call_make);
    begin();
    expect(null_texts, "<||||a>");
    make = null_of_failure;
    assert_reply(ask("POST", "/", NULL, "\xff"), 400, NULL);
    make = wide_null_of_failure;
    assert_reply(ask("POST", "/", NULL, "\xff"), 400, NULL);
    assert_string_equal(logged(), "");
}

#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
static tepal_res *numbered(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%2$s %1$s", "a", "b");
}
static tepal_res *lone_percent(tepal_req *req)
{
    return tepal_htmlf(req, 200, "50%");
}
static int count = 77;
static tepal_res *counting(tepal_req *req)
{
    return tepal_htmlf(req, 200, "abc%n", &count);
}
static tepal_res *too_long(tepal_req *req)
{
    return tepal_htmlf(req, 200,
                       "%0000000000000000000000000000000000000000000000000000000000000000001d", 7);
}
static tepal_res *long_enough(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%0000000000000000000000000000000000000000000000000000000000001d",
                       7);
}
static tepal_res *not_printable(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%ls", L"\x20ac"); /* in the locale "C" */
}

static void mistakes(void **state)
{
    (void)state;
    begin();
    expect_mistake(numbered,
                   "tepal_htmlf: the conversion \"%2$s\" cannot be printed: its argument is "
                   "numbered");
    expect_mistake(lone_percent,
                   "tepal_htmlf: the conversion \"%\" cannot be printed: a '%' that is "
                   "meant is written %%");
    expect_mistake(counting,
                   "tepal_htmlf: the conversion \"%n\" cannot be printed: %n prints nothing");
    assert_int_equal(count, 77);
    expect_mistake(too_long, "tepal_htmlf: the conversion \"%0000000000000000000...\" cannot be "
                             "printed: it is too long");
    expect(long_enough, "7");
    expect_mistake(not_printable, "tepal_htmlf: the conversion \"%ls\" cannot be printed: ");
}

/* --- Sizes ------------------------------------------------------------------------------------ */

static char *long_text;
static tepal_res *long_texts(tepal_req *req)
{
    return tepal_htmlf(req, 200, "%s|%*s|%d", long_text, 30000, "<", 1);
}

static void grows(void **state)
{
    (void)state;
    long_text = octets(100 * 1000);
    memset(long_text + 500, '"', 50 * 1000);
    begin();
    make = long_texts;
    tepal_test_reply *reply = get("/");
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->body.len, 50 * 1000 + 6 * 50 * 1000 + 1 + 29999 + 4 + 2);
    assert_memory_equal(reply->body.data + 500, "&quot;&quot;", 12);
    assert_memory_equal(reply->body.data + reply->body.len - 7, " &lt;|1", 7);
    free(long_text);
}

/* Escaping takes more than there is: the limit of the request holds. */
static void no_memory(void **state)
{
    (void)state;
    long_text = octets(100 * 1000);
    tepal_get(app, "/", call_make);
    start(&(tepal_run_options){ .limits = { .max_request_memory = 300 * 1000 } });
    make = long_texts;
    assert_int_equal(get("/")->status, 200);
    memset(long_text, '"', 100 * 1000);
    assert_reply(get("/"), 413, NULL);
    free(long_text);
}

/* --- As vsnprintf() prints, and then escaped -------------------------------------------------- */

/* Formats of these arguments in this order, with what else is drawn by lot. */
enum { N_ARGUMENTS = 7, FORMATS = 3000 };

static struct {
    char format[1024], expected[8192];
    const char *text, *other;
    int number, letter, real_at;
    long large;
    double real;
} drawn;

static unsigned seed = 1;
static unsigned lot(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % n;
}

static const char *lot_of(const char *const *texts, unsigned n)
{
    return texts[lot(n)];
}

static void expect_text(const char *text, bool escaped)
{
    char *p = drawn.expected + strlen(drawn.expected);
    for (; *text; text++) {
        const char *entity = strchr("&<>\"'", *text);
        static const char *const entities[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#39;" };
        if (escaped && entity)
            p = stpcpy(p, entities[strchr("&<>\"'", *text) - "&<>\"'"]);
        else
            *p++ = *text;
    }
    *p = '\0';
}

/* The beginning of a conversion: flags, width, precision. */
static void draw_spec(char *spec, bool with_precision)
{
    static const char *const flags[] = { "", "-", "+", " ", "0", "#", "-+" };
    int n = sprintf(spec, "%%%s", lot_of(flags, 7));
    if (lot(2))
        n += sprintf(spec + n, "%u", lot(40));
    if (with_precision && lot(2))
        sprintf(spec + n, ".%u", lot(12));
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
static void draw_argument(int i)
{
    static const char *const plain[] = { "", "<b>", "&amp; ", "\"", "'x'", "%%", "a%%b" };
    static const char *const ints[] = { "d", "i", "x", "X", "o", "u" };
    static const char *const longs[] = { "ld", "lx", "lu", "lo" };
    static const char *const reals[] = { "f", "g", "e", "E", "G", "a" };
    char spec[64], text[512];
    const char *between = lot_of(plain, 7);
    strcat(drawn.format, between);
    snprintf(text, sizeof(text), between);
    expect_text(text, false);
    draw_spec(spec, true);
    strcat(spec, i == 0 || i == 4 ? "s"
                 : i == 1         ? lot_of(ints, 6)
                 : i == 2         ? lot_of(longs, 4)
                 : i == 3         ? lot_of(reals, 6)
                 : i == 5         ? "c"
                                  : "s");
    if (i == 0)
        snprintf(text, sizeof(text), spec, drawn.text);
    else if (i == 1)
        snprintf(text, sizeof(text), spec, drawn.number);
    else if (i == 2)
        snprintf(text, sizeof(text), spec, drawn.large);
    else if (i == 3)
        snprintf(text, sizeof(text), spec, drawn.real);
    else if (i == 5)
        snprintf(text, sizeof(text), spec, drawn.letter);
    else
        snprintf(text, sizeof(text), spec, drawn.other);
    strcat(drawn.format, spec);
    expect_text(text, true);
}

static void draw(void)
{
    static const char *const texts[] = {
        "",
        "a",
        "<script>",
        "\"'&<>",
        "&&&&&&&&&&&&&&&&",
        "50% %s",
        "&amp;",
        "\x01<\x02>\x03",
        "\xc3\xa9<",
        "a rather long text, with some \"quotes\" in it, <and> more"
    };
    memset(&drawn, 0, sizeof(drawn));
    drawn.text = lot_of(texts, 10);
    drawn.other = lot_of(texts, 10);
    drawn.number = (int)lot(1000) - 500;
    drawn.large = (long)lot(65536) * (long)lot(65536) * (lot(2) ? 1 : -1);
    drawn.real = ((double)lot(10000) - 5000) / 7;
    drawn.letter = " <>&\"'ax"[lot(8)];
    for (int i = 0; i < N_ARGUMENTS; i++)
        draw_argument(i);
}

static tepal_res *print_drawn(tepal_req *req)
{
    return tepal_htmlf(req, 200, drawn.format, drawn.text, drawn.number, drawn.large, drawn.real,
                       drawn.other, drawn.letter, drawn.other);
}

static void as_vsnprintf_then_escaped(void **state)
{
    (void)state;
    begin();
    make = print_drawn;
    for (int i = 0; i < FORMATS; i++) {
        draw();
        tepal_test_reply *reply = get("/");
        if (reply->status != 200 || strcmp(reply->body.data, drawn.expected) != 0)
            fail_msg("\"%s\" printed: %s\nexpected: %s\n%s", drawn.format, reply->body.data,
                     drawn.expected, logged());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WEB_TEST(escapes),    WEB_TEST(error_pages),
        WEB_TEST(octet_zero), WEB_TEST(nulls),
        WEB_TEST(mistakes),   WEB_TEST(grows),
        WEB_TEST(no_memory),  WEB_TEST(as_vsnprintf_then_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
