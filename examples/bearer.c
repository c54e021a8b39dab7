/* A middleware that asks for a token below /api, and leaves everything else open.
 *
 *     build/examples/bearer --port 8080 --token s3cret
 *     curl http://127.0.0.1:8080/health                                      -> 200
 *     curl http://127.0.0.1:8080/api/me                                      -> 401
 *     curl -H 'Authorization: Bearer s3cret' http://127.0.0.1:8080/api/me    -> 200
 */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <tepal.h>

static const char *token;

/* Takes the same time for every text of a length, so that nobody finds the token octet by octet. */
static bool is_token(const char *text)
{
    size_t len = strlen(token);
    unsigned char differs = 0;
    if (strlen(text) != len)
        return false;
    for (size_t i = 0; i < len; i++)
        differs |= (unsigned char)(text[i] ^ token[i]);
    return differs == 0;
}

static tepal_res *authorized(tepal_req *req, tepal_next *next)
{
    const char *path = tepal_req_path(req);
    const char *given = tepal_req_header(req, "Authorization");
    if (!path)
        return NULL; /* why is recorded */
    if (strncmp(path, "/api/", 5) != 0)
        return tepal_next_call(next, req);
    if (given && strncasecmp(given, "Bearer ", 7) == 0 && is_token(given + 7))
        return tepal_next_call(next, req);
    tepal_res *res = tepal_error(req, 401, "a token is needed");
    tepal_res_set_header(res, "WWW-Authenticate", "Bearer");
    return res;
}

static tepal_res *health(tepal_req *req)
{
    return tepal_text(req, 200, "well\n");
}

static tepal_res *me(tepal_req *req)
{
    return tepal_jsonf(req, 200, "{s:s}", "name", "whoever has the token");
}

static int check_token(tepal_app *app, void *arg)
{
    (void)arg;
    (void)app;
    if (token && *token)
        return 0;
    tepal_log(TEPAL_LOG_ERROR, "--token is required");
    return -EINVAL;
}

int main(int argc, char **argv)
{
    static const tepal_argument arguments[] = {
        { .name = "token", .help = "what clients have to know (required)", .text = &token },
        { 0 },
    };
    tepal_app *app = tepal_app_new();
    tepal_on_startup(app, check_token, NULL);
    tepal_use(app, authorized, NULL);
    tepal_get(app, "/health", health);
    tepal_get(app, "/api/me", me);
    return tepal_run_args(app, argc, argv, &(tepal_run_options){ .arguments = arguments });
}
