/* A database whose client library has an asynchronous interface: PostgreSQL and libpq. No thread is
 * blocked while the database works; the handlers are straight lines all the same.
 *
 *     build/examples/quotes --database dbname=quotes --port 8080
 *     curl http://127.0.0.1:8080/                   -> [{"id": 1, "text": "Stay hungry"}]
 *     curl -d 'Stay hungry' http://127.0.0.1:8080/  -> {"id": 1}
 */
#include <stdlib.h>

#include <libpq-fe.h>
#include <tepal.h>

enum { N_CONNECTIONS = 4 };

static const char *database = "dbname=quotes";
static tepal_channel *idle; /* connections that no request uses; NULL: one that is to be opened */

static int failed(const PGconn *db)
{
    tepal_logf(TEPAL_LOG_ERROR, "database: %s", PQerrorMessage(db));
    return -EIO;
}

static int connect_to_database(PGconn **db)
{
    *db = PQconnectStart(database);
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (PQstatus(*db) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
        bool reads = next == PGRES_POLLING_READING;
        int rc = tepal_wait_fd(PQsocket(*db), reads ? TEPAL_READABLE : TEPAL_WRITABLE);
        if (rc < 0)
            return rc;
        next = PQconnectPoll(*db);
    }
    return next == PGRES_POLLING_OK && PQsetnonblocking(*db, 1) == 0 ? 0 : failed(*db);
}

/* Sends the query, and waits until its result is there. */
static int run_query(PGconn *db, const char *sql, const char *value, PGresult **result)
{
    int unsent, rc;
    if (!PQsendQueryParams(db, sql, value != NULL, NULL, &value, NULL, NULL, 0))
        return failed(db);
    while ((unsent = PQflush(db)) > 0 || PQisBusy(db)) {
        rc = tepal_wait_fd(PQsocket(db), TEPAL_READABLE | (unsent > 0 ? TEPAL_WRITABLE : 0));
        if (rc < 0)
            return rc;
        if (!PQconsumeInput(db))
            return failed(db);
    }
    *result = PQgetResult(db);
    PQclear(PQgetResult(db)); /* NULL: there is one result only */
    return PQresultStatus(*result) == PGRES_TUPLES_OK ? 0 : failed(db);
}

static void clear_result(void *result)
{
    PQclear(result);
}

/* Runs a query, for which it waits for a connection; value is $1 in it, or NULL. The result lives
 * as long as the request. */
static int query(tepal_req *req, const char *sql, const char *value, PGresult **result)
{
    PGconn *db;
    *result = NULL;
    int rc = tepal_channel_receive(idle, &db);
    if (rc < 0)
        return rc;
    if (!db)
        rc = connect_to_database(&db);
    if (rc == 0)
        rc = run_query(db, sql, value, result);
    tepal_req_defer(req, clear_result, *result);
    if (rc < 0) { /* whatever it is in the midst of: the next request opens a new one */
        PQfinish(db);
        db = NULL;
    }
    if (tepal_channel_try_send(idle, &db) < 0) /* there is room for all that there are */
        PQfinish(db);
    return rc;
}

static tepal_res *list(tepal_req *req)
{
    static const char sql[] =
        "SELECT coalesce(json_agg(json_build_object('id', id, 'text', text) ORDER BY id), '[]') "
        "FROM quotes";
    PGresult *result;
    int rc = query(req, sql, NULL, &result);
    return rc < 0 ? tepal_fail(req, rc) : tepal_jsonf(req, 200, "S", PQgetvalue(result, 0, 0));
}

static tepal_res *add(tepal_req *req)
{
    static const char sql[] = "INSERT INTO quotes (text) VALUES ($1) RETURNING id";
    PGresult *result;
    const char *text = tepal_req_text(req);
    if (!text)
        return NULL;
    int rc = query(req, sql, text, &result);
    return rc < 0 ? tepal_fail(req, rc)
                  : tepal_jsonf(req, 201, "{s:i}", "id", atoi(PQgetvalue(result, 0, 0)));
}

static int open_pool(tepal_app *app, void *arg)
{
    PGconn *none = NULL;
    idle = tepal_channel_new(sizeof(none), N_CONNECTIONS);
    int rc = idle ? 0 : -ENOMEM;
    for (int i = 0; i < N_CONNECTIONS && rc == 0; i++)
        rc = tepal_channel_try_send(idle, &none);
    (void)app, (void)arg;
    return rc;
}

static int close_pool(tepal_app *app, void *arg)
{
    PGconn *db;
    while (tepal_channel_try_receive(idle, &db) == 0)
        PQfinish(db);
    tepal_channel_close(idle);
    (void)app, (void)arg;
    return 0;
}

int main(int argc, char **argv)
{
    static const tepal_argument arguments[] = {
        { .name = "database", .help = "where the table \"quotes\" is", .text = &database },
        { 0 },
    };
    tepal_app *app = tepal_app_new();
    tepal_context(app, open_pool, close_pool, NULL);
    tepal_get(app, "/", list);
    tepal_post(app, "/", add);
    return tepal_run_args(app, argc, argv, &(tepal_run_options){ .arguments = arguments });
}
